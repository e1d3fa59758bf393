<<<<<<< HEAD
/* fed/upload_test.c: update → weight → fixed point → sum → real numbers again, for every width; and what cannot
 * be a number never leaves. */
#include "test.h"

#include "fed/protection.h"
#include "fed/upload.h"
#include "fed/world.h"

#include <math.h>
#include <string.h>

enum { SITES = 3, FEATURES = WH_BLOCK + 100, P = FEATURES + 1 };

typedef struct bench {
    world_plan plan;
    wh_layout layout;
    whist_protection *machine;
    float *x[2];
    uint8_t *sum, *one; /* layout.bytes */
} bench;

static void bench_init(bench *b, unsigned bits, unsigned fraction, const char *strategy)
{
    *b = (bench){0};
    assert_ok(world_plan_init(&b->plan, SITES, FEATURES));
    assert_ok(world_plan_strategy(&b->plan, strategy));
    b->plan.plan.bits = bits;
    b->plan.plan.fraction = fraction;
    assert_ok(wh_layout_vectors(&b->layout, &b->plan.plan, WHIST_PURPOSE_TRAIN, SITES));
    const whist_protection_env env = {0};
    assert_ok(wh_protection_none.new_(&b->machine, &env));
    assert_ok(wh_layout_place(&b->layout, b->machine));
    assert_ok(WH_NEW(&b->x[0], P));
    assert_ok(WH_NEW(&b->x[1], P));
    assert_ok(WH_NEW(&b->sum, b->layout.bytes));
    assert_ok(WH_NEW(&b->one, b->layout.bytes));
}

static void bench_clear(bench *b)
{
    wh_free(b->x[0]);
    wh_free(b->x[1]);
    wh_free(b->sum);
    wh_free(b->one);
    wh_protection_free(b->machine);
    world_plan_clear(&b->plan);
}

typedef struct taker {
    bench *b;
    uint64_t next; /* pieces come in order, without a gap */
} taker;

static whist_status take(void *user, uint64_t offset, whist_bytes bytes)
{
    taker *t = user;
    assert_int_equal(offset, t->next);
    assert_true(offset + bytes.len <= t->b->layout.bytes);
    memcpy(t->b->one + offset, bytes.data, bytes.len);
    t->next += bytes.len;
    return WHIST_OK;
}

static whist_status make(bench *b, double rows, double steps)
{
    wh_contribution c = {.update = {.n_vectors = 2, .vectors = {b->x[0], b->x[1]}, .rows = rows, .steps = steps}};
    taker t = {b, 0};
    WH_TRY(wh_contribution_weigh(&c, &b->plan.plan));
    WH_TRY(wh_upload_make(&b->plan.plan, b->machine, &b->layout, SITES, &c, take, &t));
    assert_int_equal(t.next, b->layout.bytes);
    return WHIST_OK;
}

static void add(bench *b)
{
    for (size_t k = 0; k < b->layout.n_vectors; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(&b->layout, k); j++) {
            uint64_t at = wh_layout_block_start(&b->layout, k, j);
            assert_ok(wh_combine(b->machine, &b->layout, k, j * WH_BLOCK, b->sum + at, b->one + at,
                                 wh_layout_block_length(&b->layout, k, j)));
        }
}

static double value(size_t site, size_t vector, size_t i)
{
    return (double)(float)(sin((double)(site * 977 + vector * 31 + i)) * (i % 2 ? 1 : 0.01));
}

/* The sum over sites of weight * x, to within half a unit for each site. */
static void check_round_trip(unsigned bits, unsigned fraction)
{
    bench b;
    bench_init(&b, bits, fraction, "scaffold");
    for (size_t site = 0; site < SITES; site++) {
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < P; i++) b.x[k][i] = (float)value(site, k, i);
        assert_ok(make(&b, 10.0 + (double)site, 2));
        add(&b);
    }
    double *back;
    assert_ok(WH_NEW(&back, WH_BLOCK));
    for (size_t k = 0; k < 2; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(&b.layout, k); j++) {
            size_t n = wh_layout_block_length(&b.layout, k, j);
            wh_fixed_decode(back, &b.layout.fixed[k], b.sum + wh_layout_block_start(&b.layout, k, j), n);
            for (size_t i = 0; i < n; i++) {
                double want = 0;
                for (size_t site = 0; site < SITES; site++) want += value(site, k, j * WH_BLOCK + i);
                assert_true(fabs(back[i] - want) <= SITES * 0.5001 * ldexp(1, -(int)fraction) + 1e-15);
            }
        }
    double sums[WH_MAX_SUMS];
    wh_sums all;
    wh_sums_decode(sums, b.sum + b.layout.start[2], wh_sums_count(&b.plan.plan, WHIST_PURPOSE_TRAIN));
    wh_sums_unpack(&all, sums, &b.plan.plan);
    assert_true(all.rows == 33 && all.rows_steps == 66 && all.weight[0] == SITES && all.weight[1] == SITES);
    wh_free(back);
    bench_clear(&b);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned bits = 8; bits <= 64; bits += bits < 12 ? 1 : 4) check_round_trip(bits, bits - 5);
    check_round_trip(63, 40);
}

static void test_weights(void **state)
{
    (void)state;
    static const struct {
        const char *strategy;
        double want;
    } cases[] = {{"fedavg", 12}, {"fedavg-uniform", 1}, {"fednova", 3}};
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        bench b;
        bench_init(&b, 64, 30, cases[i].strategy);
        for (size_t j = 0; j < P; j++) b.x[0][j] = 0.5F;
        assert_ok(make(&b, 12, 4));
        double first;
        wh_fixed_decode(&first, &b.layout.fixed[0], b.one, 1);
        assert_true(first == 0.5 * cases[i].want);
        bench_clear(&b);
    }
}

static void assert_refused(bench *b, const char *word, const char *block)
{
    assert_int_equal(make(b, 1, 1), WHIST_E_RANGE);
    if (!strstr(whist_detail_get()->text, word) || !strstr(whist_detail_get()->text, block))
        fail_msg("'%s' names neither %s nor %s", whist_detail_get()->text, word, block);
}

static void test_what_is_no_number_stays(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, 32, 16, "scaffold");
    assert_ok(make(&b, 1, 1));
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, 0x1p15F};
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        b.x[0][3] = bad[i];
        assert_refused(&b, "delta", "block 0");
        b.x[0][3] = 0;
        b.x[1][P - 1] = bad[i];
        assert_refused(&b, "control", "block 1");
        b.x[1][P - 1] = 0;
    }
    b.x[0][0] = (float)floor(wh_fixed_largest(&b.layout.fixed[0])); /* as much as one site may say */
    assert_ok(make(&b, 1, 1));
    bench_clear(&b);
}

static void test_nonsense_about_rows_is_refused(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, 64, 30, "fedavg");
    static const double bad[][2] = {{-1, 1}, {NAN, 1}, {INFINITY, 1}, {1, 0}, {1, -2}, {1, NAN}, {1, INFINITY}};
    for (size_t i = 0; i < WH_COUNT(bad); i++) assert_int_equal(make(&b, bad[i][0], bad[i][1]), WHIST_E_RANGE);
    assert_ok(make(&b, 0, 1)); /* a site without rows counts nothing */
    bench_clear(&b);
}

/* A sink that fails ends the upload with its own failure. */
static whist_status full(void *user, uint64_t offset, whist_bytes bytes)
{
    (void)user;
    (void)bytes;
    return offset ? wh_fail(WHIST_E_IO, __FILE__, __LINE__, "the disk is full") : WHIST_OK;
}

static void test_a_failing_sink(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, 64, 30, "fedavg");
    wh_contribution c = {.update = {.n_vectors = 1, .vectors = {b.x[0]}, .rows = 1, .steps = 1}};
    assert_ok(wh_contribution_weigh(&c, &b.plan.plan));
    assert_int_equal(wh_upload_make(&b.plan.plan, b.machine, &b.layout, SITES, &c, full, NULL), WHIST_E_IO);
    bench_clear(&b);
=======
/* fed/upload_test.c: large updates between real processes over mutual TLS, with one process killed in the middle
 * of an upload. What lay at the coordinator is not sent again, and the model comes out the same to the bit. */
#include "fed/town.h"
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
>>>>>>> room-bench
}

int main(void)
{
    const struct CMUnitTest tests[] = {
<<<<<<< HEAD
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_what_is_no_number_stays),
        cmocka_unit_test(test_nonsense_about_rows_is_refused),
        cmocka_unit_test(test_a_failing_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
=======
        cmocka_unit_test(test_site_killed),
        cmocka_unit_test(test_coordinator_killed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
>>>>>>> room-bench
}
