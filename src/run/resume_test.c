/* run/resume_test.c: large updates between real processes over mutual TLS, with one process killed in the middle
 * of an upload. What lay at the coordinator is not sent again, and the model comes out the same to the bit. */
#include "run/town.h"
#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "fed/node.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SITES = 4, WIDTH = 2048, MODEL_BYTES = 4 * (WIDTH * WIDTH + 2 * WIDTH + 1), PATIENCE_MS = 60000 };

/* ---- A learner that moves every parameter, each site another way ---- */

typedef struct mover {
    whist_learner base;
    uint32_t phase;
    float *delta;
} mover;

static void mover_free(whist_learner *self)
{
    wh_free(((mover *)self)->delta);
    wh_free(self);
}

static whist_status mover_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    mover *m = (mover *)self;
    for (size_t i = 0; i < round->n; i++)
        m->delta[i] = (float)((i * 2654435761U + m->phase) % 1024) / 1024 - .25f * round->model[i];
    *out = (whist_update){.n_vectors = 1, .vectors = {m->delta}, .rows = 1 + m->phase % 3, .steps = 1};
    return WHIST_OK;
}

static whist_status mover_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    (void)self, (void)model, (void)fold, (void)out;
    return WHIST_OK;
}

static whist_status mover_new(whist_learner **out, const whist_learner_env *env);
static const char *const mover_vectors[] = {"delta", NULL};
static const whist_option no_options[] = {{0}};
static const whist_learner_class mover_class = {
    .name = "mover",
    .doc = "moves every parameter",
    .options = no_options,
    .vectors = mover_vectors,
    .new_ = mover_new,
    .free_ = mover_free,
    .fit = mover_fit,
    .evaluate = mover_evaluate,
};

static whist_status mover_new(whist_learner **out, const whist_learner_env *env)
{
    mover *m;
    WH_TRY(WH_NEW(&m, 1));
    m->base.class_ = &mover_class;
    for (const char *at = env->site; *at; at++) m->phase = m->phase * 31 + (uint8_t)*at;
    whist_status status = WH_NEW_RAW(&m->delta, whist_model_size(env->model));
    if (status == WHIST_OK)
        *out = &m->base;
    else
        wh_free(m);
    return status;
}

/* ---- What all processes see ---- */

typedef struct shared {
    atomic_uint puts[SITES], taken[SITES]; /* chunks sent; chunks whose arrival the site heard of */
    atomic_uint made[SITES];               /* lives of the site */
    atomic_int coordinator;                /* its process */
} shared;

typedef struct scene {
    wh_fed_town town;
    char *dir;
    shared *seen;
    unsigned site_dies_at, coordinator_dies_at; /* at the k-th chunk of site 0, of site 1; 0: never */
    pid_t sites[SITES];
    long peak_kib; /* of every coordinator that ended by itself */
} scene;

/* ---- A site's process ---- */

typedef struct tapped {
    wh_transport inner;
    const scene *scene;
    size_t site;
} tapped;

static whist_status tap(void *self, wh_response *out, const char *method, const char *path, whist_bytes body)
{
    tapped *t = self;
    shared *seen = t->scene->seen;
    bool chunk = strcmp(method, "PUT") == 0;
    unsigned number = chunk ? atomic_fetch_add(&seen->puts[t->site], 1) + 1 : 0;
    if (chunk && t->site == 1 && number == t->scene->coordinator_dies_at)
        kill(atomic_load(&seen->coordinator), SIGKILL);
    whist_status status = t->inner.call(t->inner.self, out, method, path, body);
    if (chunk && status == WHIST_OK && out->code == 204) atomic_fetch_add(&seen->taken[t->site], 1);
    if (chunk && t->site == 0 && number == t->scene->site_dies_at) raise(SIGKILL);
    return status;
}

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static whist_status site_loop(const wh_node_env *env)
{
    wh_node *node;
    WH_TRY(wh_node_new(&node, env));
    wh_node_state state = WH_NODE_WAITING;
    whist_status status = WHIST_E_TIMEOUT;
    for (unsigned waited = 0; waited < PATIENCE_MS && state != WH_NODE_FINISHED; waited += 20) {
        uint32_t wait_ms;
        status = wh_node_step(node, &state, &wait_ms);
        bool again = status == WHIST_E_IO || status == WHIST_E_TIMEOUT || status == WHIST_E_STATE;
        if (status != WHIST_OK && !again) break;
        nap(20);
    }
    wh_node_free(node);
    return state == WH_NODE_FINISHED ? WHIST_OK : status;
}

static whist_status site_main(const scene *s, size_t site)
{
    char *dir = NULL;
    wh_store *store;
    wh_client *client;
    tapped transport = {.scene = s, .site = site};
    WH_TRY(wh_path(&dir, s->dir, "site-%zu", site));
    WH_TRY(wh_make_dirs(dir));
    WH_TRY(wh_store_open(&store, dir, s->town.plan.study));
    WH_TRY(wh_fed_town_client(&client, &s->town, site));
    transport.inner = wh_client_transport(client);
    wh_link_http link;
    WH_TRY(wh_link_http_init(&link, (wh_transport){tap, &transport}, s->town.plan.study, "coordinator"));
    const wh_node_env env = {
        .plan = &s->town.plan, .role = WHIST_ROLE_SITE, .index = site, .store = store, .link = &link.link};
    whist_status status = site_loop(&env);
    wh_link_http_clear(&link);
    wh_client_free(client);
    wh_store_close(store);
    wh_free(dir);
    return status;
}

static void start_site(scene *s, size_t site)
{
    atomic_fetch_add(&s->seen->made[site], 1);
    if (atomic_load(&s->seen->made[site]) > 1) s->site_dies_at = 0;
    s->sites[site] = fork();
    assert_true(s->sites[site] >= 0);
    if (s->sites[site] > 0) return;
    whist_status status = site_main(s, site);
    if (status != WHIST_OK) (void)fprintf(stderr, "site %zu: %s\n", site, whist_detail_get()->text);
    _exit(status == WHIST_OK ? 0 : 1);
}

/* ---- The run, watched ---- */

static void scene_start(scene *s, const char *name)
{
    s->dir = test_dir(name);
    const wh_fed_town_options options = {
        .dir = s->dir, .n_sites = SITES, .width = WIDTH, .strategy = "fedadam", .learner = &mover_class, .rounds = 1};
    s->seen = mmap(NULL, sizeof *s->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(s->seen != MAP_FAILED);
    assert_ok(wh_fed_town_init(&s->town, &options));
    assert_ok(wh_fed_town_start(&s->town));
    atomic_store(&s->seen->coordinator, s->town.process);
    for (size_t i = 0; i < SITES; i++) start_site(s, i);
}

/* Whoever was killed comes back; whoever ends otherwise must have ended well. */
static void bury(scene *s, pid_t pid, int code, const struct rusage *usage, size_t *left)
{
    bool killed = WIFSIGNALED(code) && WTERMSIG(code) == SIGKILL;
    assert_true(killed || (WIFEXITED(code) && WEXITSTATUS(code) == 0));
    if (pid == s->town.process) {
        s->town.process = 0;
        if (!killed) {
            if (usage->ru_maxrss > s->peak_kib) s->peak_kib = usage->ru_maxrss;
            (*left)--;
            return;
        }
        assert_true(s->coordinator_dies_at > 0);
        assert_ok(wh_fed_town_start(&s->town));
        atomic_store(&s->seen->coordinator, s->town.process);
        return;
    }
    size_t site = 0;
    while (site < SITES && s->sites[site] != pid) site++;
    assert_true(site < SITES);
    s->sites[site] = 0;
    if (killed)
        start_site(s, site);
    else
        (*left)--;
}

static void scene_watch(scene *s)
{
    for (size_t left = SITES + 1; left > 0;) {
        int code;
        struct rusage usage;
        pid_t pid = wait4(-1, &code, 0, &usage);
        if (pid < 0 && errno == EINTR) continue;
        assert_true(pid > 0);
        bury(s, pid, code, &usage, &left);
    }
}

static void scene_end(scene *s)
{
    for (size_t i = 0; i < SITES; i++)
        if (s->sites[i] > 0) kill(s->sites[i], SIGKILL);
    wh_fed_town_clear(&s->town);
    munmap(s->seen, sizeof *s->seen);
    assert_ok(wh_tree_remove(s->dir));
    test_dir_free(s->dir);
}

static void read_model(wh_buf *out, const scene *s)
{
    char *path = NULL;
    assert_ok(wh_path(&path, s->dir, "coordinator/model/00000001.bin"));
    assert_ok(wh_file_read(out, path, 2 * (size_t)MODEL_BYTES));
    wh_free(path);
    assert_int_equal(out->len, MODEL_BYTES);
}

/* ---- Tests ---- */

static unsigned chunks(void)
{
    return MODEL_BYTES / WH_CHUNK_BYTES + 1;
}

static void undisturbed(wh_buf *model)
{
    scene s = {0};
    scene_start(&s, "upload-calm");
    scene_watch(&s);
    for (size_t i = 0; i < SITES; i++) assert_int_equal(atomic_load(&s.seen->puts[i]), chunks());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(s.peak_kib <= (2 * (long)MODEL_BYTES + (64L << 20)) / 1024);
#endif
    read_model(model, &s);
    scene_end(&s);
}

static wh_buf calm = WH_BUF_EMPTY;

static int set_up(void **state)
{
    (void)state;
    undisturbed(&calm);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wh_buf_clear(&calm);
    return 0;
}

static void assert_calm(const scene *s)
{
    WH_AUTO(wh_buf) model = WH_BUF_EMPTY;
    read_model(&model, s);
    assert_memory_equal(model.data, calm.data, calm.len);
}

static void test_site_killed(void **state)
{
    (void)state;
    scene s = {.site_dies_at = 5};
    scene_start(&s, "upload-site");
    scene_watch(&s);
    assert_int_equal(atomic_load(&s.seen->made[0]), 2);
    for (size_t i = 0; i < SITES; i++) assert_int_equal(atomic_load(&s.seen->puts[i]), chunks()); /* none twice */
    assert_calm(&s);
    scene_end(&s);
}

/* A chunk may have arrived without the site hearing of it, never the other way round. */
static void test_coordinator_killed(void **state)
{
    (void)state;
    scene s = {.coordinator_dies_at = 7};
    scene_start(&s, "upload-coordinator");
    scene_watch(&s);
    for (size_t i = 0; i < SITES; i++) {
        unsigned taken = atomic_load(&s.seen->taken[i]);
        assert_in_range(taken, chunks() - 1, chunks());
    }
    assert_true(atomic_load(&s.seen->puts[1]) > atomic_load(&s.seen->taken[1]));
    assert_calm(&s);
    scene_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_site_killed),
        cmocka_unit_test(test_coordinator_killed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
