/* run/upload_bench.c: large updates from many sites into one coordinator, over mutual TLS and onto the disk.
 *
 * The coordinator is a process of its own with its state in the scratch folder; the sites are threads of this
 * one, each with its own key, certificate and connection. All send the same update, which was made once
 * and is read from the page cache, so that only the transfer is measured: begin → chunks → submit, and with the
 * last submit every byte is checked and on disk. Beside it a plain TLS copy of the same file by curl. */
#include "run/upload_bench.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "draw/stream.h"
#include "fed/coordinator.h"
#include "fed/upload.h"
#include "run/town.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- The update, made once ---- */

typedef struct update {
    char *path;
    wh_fd fd;
    uint64_t bytes;
    wh_manifest manifest;
    const uint8_t *view; /* mapped */
} update;

static void update_clear(update *u)
{
    union {
        const uint8_t *view;
        void *map;
    } memory = {u->view};
    if (u->view) munmap(memory.map, u->bytes);
    wh_fd_close(&u->fd);
    wh_manifest_clear(&u->manifest);
    wh_free(u->path);
}
WH_AUTO_CLEAR(update, update_clear)

static whist_status write_piece(void *user, uint64_t offset, whist_bytes bytes)
{
    return wh_write_at(((update *)user)->fd, bytes.data, bytes.len, offset);
}

static whist_status machine_and_layout(whist_protection **machine, wh_layout *layout, const whist_fed_plan *plan)
{
    WH_TRY(wh_layout_vectors(layout, plan, WHIST_PURPOSE_TRAIN, plan->n_sites));
    const whist_protection_env env = {
        .role = WHIST_ROLE_SITE,
        .name = plan->sites[0].name,
        .study = plan->study,
        .n_sites = plan->n_sites,
        .n_vectors = layout->n_vectors,
        .vectors = layout->vectors,
        .min_sites = plan->min_sites,
        .settings = plan->protection_settings,
    };
    WH_TRY(plan->protection->new_(machine, &env));
    return wh_layout_place(layout, *machine);
}

/* Random numbers, the same ones again after 2^20. */
static void fill(float *x, size_t n)
{
    const size_t period = n < 1 << 20 ? n : 1 << 20;
    wh_seeded stream;
    wh_seeded_init(&stream, 1, "upload", "", 0);
    for (size_t i = 0; i < period; i++) x[i] = wh_seeded_float(&stream) - .5f;
    for (size_t i = period; i < n; i += period) memcpy(x + i, x, (n - i < period ? n - i : period) * sizeof *x);
}

static whist_status protect_into(update *out, const whist_fed_plan *plan)
{
    wh_layout layout;
    whist_protection *machine = NULL;
    WH_AUTO(wh_owned) values = NULL;
    size_t n = whist_model_size(plan->model);
    WH_TRY(wh_alloc_raw(&values, n, sizeof(float)));
    fill(values, n);
    wh_contribution contribution = {.update = {.rows = 1, .steps = 1}};
    for (; plan->strategy->vectors[contribution.update.n_vectors].name; contribution.update.n_vectors++)
        contribution.update.vectors[contribution.update.n_vectors] = values;
    whist_status status = machine_and_layout(&machine, &layout, plan);
    if (status == WHIST_OK) status = wh_contribution_weigh(&contribution, plan, 0);
    if (status == WHIST_OK)
        status = wh_upload_make(plan, machine, &layout, plan->n_sites, &contribution, write_piece, out);
    out->bytes = status == WHIST_OK ? layout.bytes : 0;
    wh_protection_free(machine);
    return status;
}

static whist_status update_make(update *out, const whist_fed_plan *plan, const char *dir)
{
    WH_TRY(wh_path(&out->path, dir, "update.bin"));
    WH_TRY(wh_open(&out->fd, out->path, O_RDWR | O_CREAT | O_TRUNC, 0600));
    WH_TRY(protect_into(out, plan));
    WH_TRY(wh_sync(out->fd)); /* so that it does not compete with the spool for the disk */
    WH_TRY(wh_manifest_of_file(&out->manifest, out->fd, out->bytes, WH_CHUNK_BYTES));
    void *map = mmap(NULL, out->bytes, PROT_READ, MAP_SHARED, out->fd, 0);
    if (map == MAP_FAILED) WH_FAIL(WHIST_E_NOMEM, "cannot map the update");
    out->view = map;
    return WHIST_OK;
}

/* ---- Sites ---- */

typedef struct upload_run {
    wh_fed_town town;
    update update;
    pthread_barrier_t ready;
} upload_run;

typedef struct bench_site {
    upload_run *run;
    size_t index;
    double begin, end;
    whist_status status;
    char text[256];
} bench_site;

static void nap(uint32_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* Asks until the first step is open. */
static whist_status get_work(wh_link *link, wh_task *task)
{
    for (double end = wh_clock_seconds() + 120; wh_clock_seconds() < end; nap(task->wait_ms)) {
        WH_TRY(link->poll(link, task));
        if (task->kind == WH_TASK_WORK) return WHIST_OK;
        if (task->kind != WH_TASK_WAIT) WH_FAIL(WHIST_E_STATE, "the coordinator has no work: %s", task->text);
    }
    WH_FAIL(WHIST_E_TIMEOUT, "the coordinator opens no step");
}

static whist_status send_update(wh_link *link, const wh_task *task, const update *u)
{
    const uint8_t *have;
    WH_TRY(link->begin(link, task, u->bytes, &u->manifest, &have));
    for (size_t i = 0; i < u->manifest.n_chunks; i++) {
        uint64_t offset = (uint64_t)i * u->manifest.chunk_bytes;
        whist_bytes piece = {u->view + offset, wh_manifest_chunk_len(&u->manifest, i)};
        whist_status status;
        while ((status = link->put(link, task, offset, piece)) == WHIST_E_TIMEOUT) /* no room for the body just now */
            nap(((wh_link_http *)link)->retry_after_ms);
        WH_TRY(status);
    }
    return link->submit(link, task, NULL, 0);
}

/* The end of the study, so that the coordinator need not wait for us. */
static whist_status hear_the_end(wh_link *link)
{
    for (double end = wh_clock_seconds() + 600; wh_clock_seconds() < end;) {
        WH_AUTO(wh_task) task = WH_TASK_EMPTY;
        WH_TRY(link->poll(link, &task));
        if (task.kind == WH_TASK_FINISHED) return WHIST_OK;
        nap(task.wait_ms < 20 ? 20 : task.wait_ms);
    }
    WH_FAIL(WHIST_E_TIMEOUT, "the study does not end");
}

static whist_status site_work(bench_site *site, wh_client *client, wh_link_http *link)
{
    upload_run *run = site->run;
    WH_AUTO(wh_task) task = WH_TASK_EMPTY;
    whist_status status = wh_link_http_init(link, wh_client_transport(client), run->town.plan.study, "coordinator");
    if (status == WHIST_OK) status = get_work(&link->link, &task);
    pthread_barrier_wait(&run->ready);
    WH_TRY(status);
    site->begin = wh_clock_seconds();
    WH_TRY(send_update(&link->link, &task, &run->update));
    site->end = wh_clock_seconds();
    return hear_the_end(&link->link);
}

static void *site_main(void *arg)
{
    bench_site *site = arg;
    wh_client *client = NULL;
    wh_link_http link = {0};
    site->status = wh_fed_town_client(&client, &site->run->town, site->index);
    if (site->status == WHIST_OK)
        site->status = site_work(site, client, &link);
    else
        pthread_barrier_wait(&site->run->ready);
    if (site->status != WHIST_OK) snprintf(site->text, sizeof site->text, "%.250s", whist_detail_get()->text);
    wh_link_http_clear(&link);
    wh_client_free(client);
    return NULL;
}

static whist_status run_sites(upload_run *run, bench_site *sites, size_t n)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n, sizeof(pthread_t)));
    pthread_t *threads = memory;
    size_t started = 0;
    pthread_barrier_init(&run->ready, NULL, (unsigned)n);
    for (; started < n; started++) {
        sites[started] = (bench_site){.run = run, .index = started};
        /* With some of them missing the others would wait for ever: nothing to be done but to end. */
        if (pthread_create(&threads[started], NULL, site_main, &sites[started]) != 0) abort();
    }
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&run->ready);
    for (size_t i = 0; i < n; i++)
        if (sites[i].status != WHIST_OK) WH_FAIL(sites[i].status, "%s: %s", run->town.sites[i].name, sites[i].text);
    return WHIST_OK;
}

/* ---- One round ---- */

typedef struct round_spec {
    const char *strategy, *learner;
    size_t n_sites, width;
} round_spec;

typedef struct round_figures {
    double bytes_per_second, coordinator_bytes, coordinator_seconds; /* CPU, for 10⁹ bytes */
} round_figures;

static const whist_learner_class *learner_named(const char *name)
{
    const whist_learner_class *const *at = whist_learner_classes();
    while (*at && strcmp((*at)->name, name) != 0) at++;
    return *at;
}

static whist_status one_round(round_figures *out, upload_run *run)
{
    size_t n = run->town.plan.n_sites;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n, sizeof(bench_site)));
    bench_site *sites = memory;
    struct rusage usage;
    WH_TRY(wh_fed_town_start(&run->town));
    WH_TRY(run_sites(run, sites, n));
    WH_TRY(wh_fed_town_join(&run->town, &usage));
    double begin = sites[0].begin, end = sites[0].end;
    for (size_t i = 1; i < n; i++) {
        if (sites[i].begin < begin) begin = sites[i].begin;
        if (sites[i].end > end) end = sites[i].end;
    }
    out->bytes_per_second = (double)run->update.bytes * (double)n / (end - begin);
    /* Not what this process had in memory when it was forked: whole benches before this one. */
    out->coordinator_bytes = (double)usage.ru_maxrss * 1024 - (double)run->town.inherited;
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    out->coordinator_seconds = cpu / (1e-9 * (double)run->update.bytes * (double)n);
    return WHIST_OK;
}

static void run_clear(upload_run *run)
{
    wh_fed_town_clear(&run->town);
    update_clear(&run->update);
}
WH_AUTO_CLEAR(upload_run, run_clear)

static whist_status run_init(upload_run *run, const char *dir, const round_spec *spec)
{
    const wh_fed_town_options options = {.dir = dir,
                                         .n_sites = spec->n_sites,
                                         .width = spec->width,
                                         .strategy = spec->strategy,
                                         .learner = learner_named(spec->learner),
                                         .rounds = 1};
    run->update.fd = -1;
    WH_TRY(wh_make_dirs(dir));
    WH_TRY(wh_fed_town_init(&run->town, &options));
    return update_make(&run->update, &run->town.plan, dir);
}

static void emit(const whist_bench_env *env, const char *name, const char *unit, double value)
{
    whist_bench_result result = {.unit = unit, .median = value, .min = value, .max = value, .reps = 1, .threads = 1};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
}

/* ---- The plain TLS copy ---- */

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good =
        fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0;
    if (fd >= 0) close(fd);
    return good ? ntohs(at.sin_port) : 0;
}

/* Runs a program quietly; out: its standard output goes to this descriptor, or -1. 0 where it does not start. */
static pid_t launch(const char *const argv[], int out)
{
    union {
        const char *const *given;
        char *const *wanted;
    } words = {argv}; /* posix_spawn promises not to change them, but not in its type */
    pid_t pid = 0;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    if (out >= 0)
        posix_spawn_file_actions_adddup2(&files, out, 1);
    else
        posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, argv[0], &files, NULL, words.wanted, environ) != 0) pid = 0;
    posix_spawn_file_actions_destroy(&files);
    return pid;
}

/* Seconds that curl takes from the first byte asked to the last one there; 0: it failed. */
static double curl_once(int port)
{
    char url[64], text[64] = "";
    const char *const argv[] = {
        "curl", "-ks", "--tlsv1.3", "-o", "/dev/null", "-w", "%{http_code} %{time_pretransfer} %{time_total}",
        url,    NULL};
    int ends[2], code, status = 0;
    double from = 0, to = 0;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/update.bin", port);
    if (pipe2(ends, O_CLOEXEC) != 0) return 0;
    pid_t pid = launch(argv, ends[1]);
    close(ends[1]);
    ssize_t n = pid ? read(ends[0], text, sizeof text - 1) : 0;
    close(ends[0]);
    if (!pid || waitpid(pid, &code, 0) != pid || code != 0 || n <= 0) return 0;
    char *at = text;
    status = (int)strtol(at, &at, 10);
    from = strtod(at, &at);
    to = strtod(at, &at);
    return status == 200 ? to - from : 0;
}

/* `openssl s_server -WWW` gives out the files of its folder. Nothing is emitted where curl or openssl is missing. */
static whist_status plain_copy(const whist_bench_env *env, const char *name, const upload_run *run)
{
    char port_text[16];
    const char *const argv[] = {"openssl", "s_server", "-quiet",           "-WWW", "-tls1_3",          "-accept",
                                port_text, "-cert",    run->town.files[1], "-key", run->town.files[2], NULL};
    int port = free_port(), back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(port_text, sizeof port_text, "%d", port);
    pid_t server = 0;
    if (back >= 0 && chdir(run->town.dir) == 0) {
        server = launch(argv, -1);
        (void)!fchdir(back);
    }
    if (back >= 0) close(back);
    double seconds = 0;
    for (int i = 0; server && i < 100 && seconds <= 0; i++) {
        seconds = curl_once(port);
        if (seconds <= 0) nap(20);
    }
    double again = seconds > 0 ? curl_once(port) : 0;
    if (again > 0 && again < seconds) seconds = again;
    if (server) {
        kill(server, SIGTERM);
        waitpid(server, NULL, 0);
    }
    if (seconds > 0) emit(env, name, "B/s", (double)run->update.bytes / seconds);
    return WHIST_OK;
}

/* ---- Rows ---- */

enum { WIDTH_1G = 16384, WIDTH_64M = 4096, WIDTH_1M = 512, SITES = 8, MANY = 100 };

static whist_status measure(round_figures *out, const whist_bench_env *env, const round_spec *spec, const char *curl)
{
    WH_AUTO(upload_run) run = {0};
    char *dir = NULL;
    WH_TRY(wh_path(&dir, env->scratch, "upload-%s-%zu", spec->strategy, spec->width));
    whist_status status = run_init(&run, dir, spec);
    if (status == WHIST_OK) status = one_round(out, &run);
    if (status == WHIST_OK && curl) status = plain_copy(env, curl, &run);
    if (wh_tree_remove(dir) != WHIST_OK && status == WHIST_OK) status = WHIST_E_IO;
    wh_free(dir);
    return status;
}

static whist_status bench_upload(const whist_bench_env *env)
{
    round_figures figures;
    WH_TRY(measure(&figures, env, &(round_spec){"fedavg", "sgd", SITES, WIDTH_1G}, "fed.upload.curl"));
    emit(env, "fed.upload", "B/s", figures.bytes_per_second);
    emit(env, "fed.upload.cpu", "s", figures.coordinator_seconds);
    emit(env, "fed.upload.rss.fedavg", "B", figures.coordinator_bytes);
    return WHIST_OK;
}

/* Two whole models more than FedAvg has: the strategies that keep states. */
static whist_status bench_rss(const whist_bench_env *env)
{
    round_figures adam, scaffold;
    WH_TRY(measure(&adam, env, &(round_spec){"fedadam", "sgd", SITES, WIDTH_1G}, NULL));
    emit(env, "fed.upload.rss.fedadam", "B", adam.coordinator_bytes);
    WH_TRY(measure(&scaffold, env, &(round_spec){"scaffold", "scaffold", SITES, WIDTH_1G}, NULL));
    emit(env, "fed.upload.rss.scaffold", "B", scaffold.coordinator_bytes);
    double most =
        adam.coordinator_bytes > scaffold.coordinator_bytes ? adam.coordinator_bytes : scaffold.coordinator_bytes;
    emit(env, "fed.upload.rss", "B", most);
    return WHIST_OK;
}

static whist_status bench_upload_small(const whist_bench_env *env)
{
    round_figures figures;
    WH_TRY(measure(&figures, env, &(round_spec){"fedavg", "sgd", SITES, WIDTH_64M}, "fed.upload.curl.small"));
    emit(env, "fed.upload.small", "B/s", figures.bytes_per_second);
    emit(env, "fed.upload.cpu.small", "s", figures.coordinator_seconds);
    return WHIST_OK;
}

static whist_status bench_rss_small(const whist_bench_env *env)
{
    round_figures figures;
    WH_TRY(measure(&figures, env, &(round_spec){"fedadam", "sgd", MANY, WIDTH_1M}, NULL));
    emit(env, "fed.upload.rss.small", "B", figures.coordinator_bytes);
    return WHIST_OK;
}

/* ---- fed.overhead.disk ---- */

enum { OVERHEAD_SITES = 32, OVERHEAD_WIDTH = 1024 };

static whist_status answer_as(wh_coordinator *c, size_t actor, const update *u)
{
    WH_AUTO(wh_task) task = WH_TASK_EMPTY;
    WH_TRY(wh_coordinator_poll(c, actor, &task));
    WH_ENSURE(task.kind == WH_TASK_WORK, WHIST_E_STATE);
    WH_AUTO(wh_buf) have = WH_BUF_EMPTY;
    WH_TRY(wh_coordinator_begin(c, actor, task.step, task.phase, u->bytes, &u->manifest, &have));
    for (size_t i = 0; i < u->manifest.n_chunks; i++) {
        uint64_t offset = (uint64_t)i * u->manifest.chunk_bytes;
        const whist_bytes piece = {u->view + offset, wh_manifest_chunk_len(&u->manifest, i)};
        WH_TRY(wh_coordinator_put(c, actor, task.step, task.phase, offset, piece));
    }
    return wh_coordinator_submit(c, actor, task.step, task.phase, NULL, 0);
}

static whist_status rounds_without_net(double *seconds, const upload_run *run)
{
    const whist_fed_plan *plan = &run->town.plan;
    wh_store *store;
    wh_coordinator *c;
    WH_TRY(wh_store_open(&store, run->town.files[3], plan->study));
    whist_status status =
        wh_coordinator_new(&c, &(wh_coordinator_env){.plan = plan, .store = store, .max_spool_bytes = 0});
    if (status != WHIST_OK) {
        wh_store_close(store);
        return status;
    }
    wh_run_state state = WH_RUN_GOING;
    uint32_t wait_ms;
    status = wh_coordinator_tick(c, &state, &wait_ms);
    double begin = wh_clock_seconds();
    while (status == WHIST_OK && state == WH_RUN_GOING) {
        for (size_t i = 0; i < plan->n_sites && status == WHIST_OK; i++) status = answer_as(c, i, &run->update);
        if (status == WHIST_OK) status = wh_coordinator_tick(c, &state, &wait_ms); /* sums and steps */
        if (status == WHIST_OK) status = wh_coordinator_tick(c, &state, &wait_ms); /* opens the next one */
    }
    *seconds = wh_clock_seconds() - begin;
    wh_coordinator_free(c);
    wh_store_close(store);
    return status;
}

/* What a round costs the coordinator with everything durable: digests, ranges, spool, transactions, sum, step. */
static whist_status bench_overhead_disk(const whist_bench_env *env)
{
    WH_AUTO(upload_run) run = {0};
    char *dir = NULL;
    double seconds = 0;
    WH_TRY(wh_path(&dir, env->scratch, "overhead"));
    whist_status status = run_init(&run, dir, &(round_spec){"fedavg", "sgd", OVERHEAD_SITES, OVERHEAD_WIDTH});
    run.town.plan.rounds = 3;
    if (status == WHIST_OK) status = rounds_without_net(&seconds, &run);
    if (wh_tree_remove(dir) != WHIST_OK && status == WHIST_OK) status = WHIST_E_IO;
    wh_free(dir);
    WH_TRY(status);
    double thousands = (double)whist_model_size(run.town.plan.model) / 1000;
    emit(env, "fed.overhead.disk", "s", seconds / (3 * OVERHEAD_SITES * thousands));
    return WHIST_OK;
}

const whist_bench wh_run_benches[] = {
    {"fed.upload", "8 sites send an update of 1 GiB each over mutual TLS onto the coordinator's disk; beside it curl",
     true, bench_upload},
    {"fed.upload.rss", "peak memory of the coordinator in such a round, with FedAdam and with SCAFFOLD", true,
     bench_rss},
    {"fed.upload.small", "the same with updates of 64 MiB", false, bench_upload_small},
    {"fed.upload.rss.small", "peak memory of a coordinator with 100 sites and a model of 1 MiB", false,
     bench_rss_small},
    {"fed.overhead.disk", "a round at a coordinator on disk, for each site and 1,000 parameters (32-bit ring)", false,
     bench_overhead_disk},
    {0},
};
