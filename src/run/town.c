/* run/town.c: keys, plan and processes of a small federation. */
#include "run/town.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/settings.h"
#include "fed/protection.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CA, CERTIFICATE, KEY, STATE };

/* ---- Papers ---- */

whist_status wh_fed_town_pem(char **out, const wh_fed_town *town, const wh_citizen *citizen, const char *name,
                             const char *kind)
{
    char *path = NULL;
    WH_TRY(wh_path(&path, town->dir, "%s.%s", name, kind));
    whist_status status = WHIST_OK;
    if (!wh_file_exists(path))
        status = strcmp(kind, "key") == 0 ? whist_crypt_key_save(citizen->key, path, NULL)
                                          : wh_file_write(path, wh_text_bytes(citizen->cert), 0644);
    if (status == WHIST_OK)
        *out = path;
    else
        wh_free(path);
    return status;
}

static whist_status make_citizens(wh_fed_town *t, size_t n)
{
    WH_TRY(wh_town_new(&t->authority, "town"));
    WH_TRY(wh_citizen_new(&t->coordinator, &t->authority, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 365));
    WH_TRY(WH_NEW(&t->citizens, n));
    WH_TRY(WH_NEW(&t->sites, n));
    for (size_t i = 0; i < n; i++) {
        whist_fed_site *site = &t->sites[i];
        snprintf(site->name, sizeof site->name, "site-%zu", i);
        WH_TRY(wh_citizen_new(&t->citizens[i], &t->authority, site->name, WHIST_CRYPT_SITE, 1, 365));
        memcpy(site->pin, t->citizens[i].pin, sizeof site->pin);
        site->pinned = true;
    }
    WH_TRY(wh_path(&t->files[CA], t->dir, "ca.pem"));
    WH_TRY(wh_file_write(t->files[CA], wh_text_bytes(t->authority.ca), 0644));
    WH_TRY(wh_fed_town_pem(&t->files[CERTIFICATE], t, &t->coordinator, "coordinator", "pem"));
    WH_TRY(wh_fed_town_pem(&t->files[KEY], t, &t->coordinator, "coordinator", "key"));
    return wh_path(&t->files[STATE], t->dir, "coordinator");
}

/* ---- Plan ---- */

static whist_status make_model(whist_model **out, size_t width)
{
    const whist_model_shape shape = {width, 1, WHIST_TARGET_VALUE};
    whist_settings *mlp;
    char hidden[32];
    snprintf(hidden, sizeof hidden, "[%zu]", width);
    WH_TRY(whist_settings_new(&mlp, whist_model_class_find("mlp")->options));
    whist_status status = whist_settings_set(mlp, "hidden", hidden);
    if (status == WHIST_OK) status = whist_model_new(out, "mlp", mlp, &shape);
    whist_settings_free(mlp);
    return status;
}

static whist_status make_plan(wh_fed_town *t, const wh_fed_town_options *o)
{
    const whist_strategy_class *const *strategy = whist_strategy_classes();
    while (*strategy && strcmp((*strategy)->name, o->strategy) != 0) strategy++;
    WH_ENSURE(*strategy, WHIST_E_ARG);
    WH_TRY(make_model(&t->model, o->width));
    WH_TRY(whist_settings_new(&t->learner, o->learner->options));
    WH_TRY(whist_settings_new(&t->strategy, (*strategy)->options));
    WH_TRY(whist_settings_new(&t->protection, wh_protection_none.options));
    t->plan = (whist_fed_plan){
        .study = {0x74, 0x6f, 0x77, 0x6e},
        .name = "town",
        .seed = 1,
        .model = t->model,
        .learner = o->learner,
        .learner_settings = t->learner,
        .strategy = *strategy,
        .strategy_settings = t->strategy,
        .protection = &wh_protection_none,
        .protection_settings = t->protection,
        .bits = 32,
        .fraction = 16,
        .rounds = o->rounds,
        .sample_fraction = 1,
        .min_sites = o->n_sites,
        .round_timeout_ms = 3600000,
        .n_features = o->width,
        .sites = t->sites,
        .n_sites = o->n_sites,
    };
    snprintf(t->plan.coordinator.name, sizeof t->plan.coordinator.name, "coordinator");
    memcpy(t->plan.coordinator.pin, t->coordinator.pin, sizeof t->plan.coordinator.pin);
    t->plan.coordinator.pinned = true;
    return WHIST_OK;
}

whist_status wh_fed_town_init(wh_fed_town *out, const wh_fed_town_options *options)
{
    *out = (wh_fed_town){0};
    out->plan.n_sites = options->n_sites;
    whist_status status = wh_strdup(&out->dir, options->dir);
    if (status == WHIST_OK) status = make_citizens(out, options->n_sites);
    if (status == WHIST_OK) status = make_plan(out, options);
    if (status != WHIST_OK) wh_fed_town_clear(out);
    return status;
}

void wh_fed_town_clear(wh_fed_town *town)
{
    wh_fed_town_kill(town);
    whist_model_free(town->model);
    whist_settings_free(town->learner);
    whist_settings_free(town->strategy);
    whist_settings_free(town->protection);
    for (size_t i = 0; town->citizens && i < town->plan.n_sites; i++) wh_citizen_clear(&town->citizens[i]);
    wh_free(town->citizens);
    wh_free(town->sites);
    wh_citizen_clear(&town->coordinator);
    wh_town_clear(&town->authority);
    for (size_t i = 0; i < WH_COUNT(town->files); i++) wh_free(town->files[i]);
    wh_free(town->dir);
    *town = (wh_fed_town){0};
}

/* ---- The coordinator's process ---- */

typedef struct greeting {
    uint64_t inherited;
    uint16_t port;
} greeting;

typedef struct caller {
    int fd;
    uint64_t inherited;
} caller;

static void tell_port(void *user, uint16_t port)
{
    const caller *c = user;
    greeting hello;
    memset(&hello, 0, sizeof hello);
    hello.inherited = c->inherited;
    hello.port = port;
    (void)!write(c->fd, &hello, sizeof hello);
}

/* Bytes of this process in memory now; 0 where /proc is not there. */
static uint64_t resident(void)
{
    unsigned long long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    char line[128] = "", *at = line;
    if (file && fgets(line, sizeof line, file)) {
        size = strtoull(at, &at, 10);
        pages = strtoull(at, &at, 10);
    }
    if (file) (void)fclose(file);
    return size ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The peak of this process begins anew: what its parent once had is none of it. */
static void forget_peak(void)
{
    malloc_trim(0);
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (!file) return;
    (void)fputs("5", file);
    (void)fclose(file);
}

static whist_status run_coordinator(const wh_fed_town *town, int fd)
{
    forget_peak();
    caller to = {fd, resident()};
    char listen[32];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", town->port);
    const whist_coordinator_run run = {
        .plan = &town->plan,
        .identity = {.ca = town->files[CA], .certificate = town->files[CERTIFICATE], .key = town->files[KEY]},
        .state = town->files[STATE],
        .listen = listen,
        .listening = tell_port,
        .user = &to,
    };
    whist_fed_result result;
    WH_TRY(whist_run_coordinator(&result, &run));
    whist_fed_result_clear(&result);
    return WHIST_OK;
}

/* The reason of a failure goes where the port would have gone. */
static void child(const wh_fed_town *town, int fd)
{
    whist_status status = run_coordinator(town, fd);
    if (status != WHIST_OK) (void)!write(fd, whist_detail_get()->text, strlen(whist_detail_get()->text));
    _exit(status == WHIST_OK ? 0 : 1);
}

whist_status wh_fed_town_start(wh_fed_town *town)
{
    int ends[2];
    if (pipe(ends) != 0) WH_FAIL(WHIST_E_NOMEM, "no pipe to the coordinator's process: too many open files?");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(town, ends[1]);
    }
    close(ends[1]);
    char answer[256] = {0};
    ssize_t n = pid > 0 ? read(ends[0], answer, sizeof answer - 1) : -1;
    close(ends[0]);
    if (pid < 0) WH_FAIL(WHIST_E_NOMEM, "cannot start a process");
    town->process = pid;
    if (n == sizeof(greeting)) {
        greeting hello;
        memcpy(&hello, answer, sizeof hello);
        town->port = hello.port;
        town->inherited = hello.inherited;
        return WHIST_OK;
    }
    wh_fed_town_kill(town);
    WH_FAIL(WHIST_E_STATE, "the coordinator does not start: %s", answer);
}

whist_status wh_fed_town_join(wh_fed_town *town, struct rusage *usage)
{
    int code;
    pid_t pid = town->process;
    WH_ENSURE(pid > 0, WHIST_E_STATE);
    pid_t ended;
    do ended = wait4(pid, &code, 0, usage);
    while (ended < 0 && errno == EINTR);
    town->process = 0;
    if (ended != pid || !WIFEXITED(code) || WEXITSTATUS(code) != 0)
        WH_FAIL(WHIST_E_STATE, "the coordinator's process failed");
    return WHIST_OK;
}

void wh_fed_town_kill(wh_fed_town *town)
{
    if (town->process <= 0) return;
    kill(town->process, SIGKILL);
    while (waitpid(town->process, NULL, 0) < 0 && errno == EINTR) continue;
    town->process = 0;
}

whist_status wh_fed_town_client(wh_client **out, const wh_fed_town *town, size_t site)
{
    wh_identity identity = wh_identity_of(&town->authority, &town->citizens[site]);
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", town->port);
    options.address = address;
    options.identity = &identity;
    options.server_pin = town->coordinator.pin;
    return wh_client_new(out, &options);
}
