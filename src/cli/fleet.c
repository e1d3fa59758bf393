/* cli/fleet.c: starts the processes of a federation and looks after them. Progress is asked for as an operator
 * would ask, over mutual TLS. */
#include "cli/fleet.h"

#include "cli/hex.h"
#include "cli/world.h"

#include <whist/run.h>

#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 20, ASK_MS = 200, STOP_MS = 4000, TAIL_LINES = 12 };

/* ---- Watching ---- */

static int blame(const cli_child *child)
{
    int code = cli_child_code(child);
    fprintf(stderr, "whist: %s ended with code %d; its last lines:\n", child->name, code);
    cli_child_tail(child, TAIL_LINES, stderr);
    return code > 0 && code <= CLI_LATE && code != CLI_USAGE ? code : CLI_FAILED;
}

/* Stop, time limit, and children that failed. *running counts the others. */
static int look_after(cli_fleet *f, int64_t deadline, size_t *running)
{
    *running = 0;
    if (*f->stop) return cli_fail_text(CLI_INTERRUPTED, "cancelled", "stopped");
    for (size_t i = 0; i < f->n_children; i++) {
        cli_child *child = &f->children[i];
        if (cli_child_runs(child))
            (*running)++;
        else if (cli_child_code(child) != 0)
            return blame(child);
    }
    if (cli_now_ms() < deadline) return CLI_OK;
    return cli_fail_text(CLI_LATE, "timeout", "the federation is not done after %u s", f->limit_s);
}

/* ---- Starting ---- */

static int start(cli_fleet *f, const char *name, const char *const *argv)
{
    char log[CLI_PATH];
    CLI_TRY(cli_path(log, "%s/logs/%s.log", f->work, name));
    return cli_child_start(&f->children[f->n_children++], name, log, argv);
}

static int make_world(cli_fleet *f)
{
    char path[CLI_PATH];
    CLI_TRY(cli_path(path, "%s/logs", f->work));
    CLI_TRY(cli_make_dirs(path, 0700));
    CLI_TRY(cli_path(path, "%s/federation", f->work));
    const cli_world world = {.folder = path, .host = "127.0.0.1", .port = 8443, .data = f->data, .days = 90};
    CLI_TRY(cli_world_make(&world, f->wanted));
    CLI_TRY(cli_path(path, "%s/federation/study.yaml", f->work));
    CLI_LIB(whist_study_load(&f->study, path));
    return CLI_OK;
}

/* The port is in its file once sites can connect. */
static int await_port(cli_fleet *f, const char *port_file, int64_t deadline)
{
    size_t running;
    while (!cli_exists(port_file)) {
        CLI_TRY(look_after(f, deadline, &running));
        cli_sleep_ms(POLL_MS);
    }
    CLI_AUTO(cli_blob_clear) cli_blob port = {0};
    CLI_TRY(cli_read(&port, port_file, 16));
    snprintf(f->url, sizeof f->url, "https://127.0.0.1:%.*s", (int)strcspn(port.data, "\n"), port.data);
    return CLI_OK;
}

static int start_coordinator(cli_fleet *f, int64_t deadline)
{
    char config[CLI_PATH], study[CLI_PATH], port[CLI_PATH];
    CLI_TRY(cli_path(config, "%s/federation/coordinator/coordinator.yaml", f->work));
    CLI_TRY(cli_path(study, "%s/federation/study.yaml", f->work));
    CLI_TRY(cli_path(port, "%s/port", f->work));
    CLI_TRY(cli_path(f->model, "%s/federated.safetensors", f->work));
    const char *const argv[] = {"coordinator", config, "--study", study,    "--listen", "127.0.0.1:0",
                                "--port-file", port,   "--model", f->model, "--quiet",  NULL};
    CLI_TRY(start(f, "coordinator", argv));
    return await_port(f, port, deadline);
}

static int start_site(cli_fleet *f, const char *site)
{
    char config[CLI_PATH], study[CLI_PATH], log[CLI_PATH];
    cli_child approval;
    CLI_TRY(cli_path(config, "%s/federation/sites/%s/site.yaml", f->work, site));
    CLI_TRY(cli_path(study, "%s/federation/study.yaml", f->work));
    CLI_TRY(cli_path(log, "%s/logs/%s.approve.log", f->work, site));
    const char *const approve[] = {"site", "approve", config, "--study", study, "--as", "Demo", "--yes", NULL};
    const char *const run[] = {"site", "run", config, "--study", study, "--coordinator", f->url, "--quiet", NULL};
    CLI_TRY(cli_child_start(&approval, site, log, approve));
    if (cli_child_wait(&approval) != 0) return blame(&approval);
    return start(f, site, run);
}

/* ---- Waiting ---- */

/* The round, as the coordinator tells an operator; not told: nothing is shown. */
static void show_round(cli_fleet *f)
{
    char path[CLI_PATH], folder[CLI_PATH], ca[CLI_PATH], certificate[CLI_PATH], key[CLI_PATH], *json = NULL;
    const whist_fed_plan *plan = whist_study_plan(f->study);
    if (cli_path(folder, "%s/federation/operator", f->work) != CLI_OK || cli_path(ca, "%s/ca.pem", folder) != CLI_OK ||
        cli_path(certificate, "%s/cert.pem", folder) != CLI_OK || cli_path(key, "%s/key.pem", folder) != CLI_OK ||
        cli_path(path, "%s/crl.pem", folder) != CLI_OK)
        return;
    const whist_operator_call call = {
        .identity = {ca, certificate, key, path, NULL},
        .coordinator = f->url,
        .coordinator_pin = plan->coordinator.pin,
    };
    if (whist_operator_status(&json, &call) != WHIST_OK) return;
    const char *at = strstr(json, "\"round\":");
    whist_progress now = {"train", at ? strtoull(at + 8, NULL, 10) : 0, plan->rounds, "rounds"};
    bool back = f->progress->done != UINT64_MAX && now.done < f->progress->done; /* between rounds and the end */
    if (at && !back) (void)cli_progress_show(f->progress, &now);
    whist_operator_text_free(json);
}

static int await_end(cli_fleet *f, int64_t deadline)
{
    int64_t asked = cli_now_ms();
    for (size_t running = 1; running > 0;) {
        CLI_TRY(look_after(f, deadline, &running));
        if (cli_now_ms() - asked >= ASK_MS && cli_child_runs(&f->children[0])) {
            show_round(f);
            asked = cli_now_ms();
        }
        if (running) cli_sleep_ms(POLL_MS);
    }
    const uint32_t rounds = whist_study_plan(f->study)->rounds;
    const whist_progress done = {"train", rounds, rounds, "rounds"};
    (void)cli_progress_show(f->progress, &done);
    return CLI_OK;
}

static int run_all(cli_fleet *f)
{
    int64_t deadline = cli_now_ms() + 1000 * (int64_t)f->limit_s;
    const whist_fed_plan *plan = whist_study_plan(f->wanted);
    f->children = calloc(plan->n_sites + 1, sizeof *f->children);
    if (!f->children) return cli_no_memory();
    CLI_TRY(make_world(f));
    CLI_TRY(start_coordinator(f, deadline));
    for (size_t i = 0; i < plan->n_sites; i++) CLI_TRY(start_site(f, plan->sites[i].name));
    return await_end(f, deadline);
}

int cli_fleet_run(cli_fleet *fleet)
{
    int code = run_all(fleet);
    cli_progress_end(fleet->progress);
    if (code != CLI_OK) cli_child_stop(fleet->children, fleet->n_children, STOP_MS);
    return code;
}

void cli_fleet_clear(cli_fleet *fleet)
{
    cli_child_stop(fleet->children, fleet->n_children, STOP_MS);
    free(fleet->children);
    whist_study_free(fleet->study);
    *fleet = (cli_fleet){0};
}
