/* cli/cmd_demo.c: whist demo: the main job on this machine. Four hospitals train together as processes; the same
 * study is then simulated, its model compared to the bit, and two baselines are put beside it. With --dp the study
 * promises privacy: then no two runs end with the same bits, and the ledgers of all five are verified instead. */
#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/file.h"
#include "cli/fleet.h"
#include "cli/log.h"
#include "cli/signals.h"

#include <whist/run.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_S = 120 };

typedef struct demo {
    const cli_args *args;
    const volatile int *stop;
    cli_progress progress;
    char work[CLI_PATH], folder[CLI_PATH];
    const char *data;   /* folder, or NULL: synthetic */
    const char *source; /* where the data come from, for people */
    double seconds;     /* of the processes */
    bool dp;
    char spent[640]; /* the coordinator's last charge */
} demo;

static void say(const demo *d, const char *text)
{
    if (!cli_flag(d->args, "quiet")) fprintf(stderr, "%s\n", text);
}

/* ---- Data: given, WHIST_DATA, the publisher, or made up ---- */

/* Quietly: that there is no network is no failure here. */
static bool download(demo *d, const whist_data_set *set)
{
    cli_progress quiet = {.off = true, .stop = d->stop};
    whist_log_set(NULL, NULL);
    whist_status status = whist_data_fetch(set, d->folder, NULL, NULL, cli_progress_show, &quiet);
    cli_log_init(d->args, false);
    return status == WHIST_OK;
}

static int find_data(demo *d)
{
    const whist_data_set *heart = whist_data_find("heart");
    const char *base = getenv("WHIST_DATA");
    d->data = cli_text(d->args, "data");
    d->source = "UCI heart disease, from --data";
    if (d->data) return CLI_OK;
    d->data = d->folder;
    d->source = "UCI heart disease, from WHIST_DATA";
    if (base && base[0]) {
        CLI_TRY(cli_path(d->folder, "%s/heart", base));
        if (whist_data_verify(heart, d->folder) == WHIST_OK) return CLI_OK;
    }
    d->source = "UCI heart disease, just downloaded";
    CLI_TRY(cli_path(d->folder, "%s/data", d->work));
    CLI_TRY(cli_make_dirs(d->folder, 0700));
    if (!cli_flag(d->args, "offline") && download(d, heart)) return CLI_OK;
    if (*d->stop) return cli_fail_text(CLI_INTERRUPTED, "cancelled", "stopped");
    d->data = NULL;
    d->source =
        cli_flag(d->args, "offline")
            ? "a made-up cohort (seeded), because the heart data are not in WHIST_DATA and --offline forbids "
              "a download"
            : "a made-up cohort (seeded), because the heart data are neither in WHIST_DATA nor to be had online";
    return CLI_OK;
}

/* The example, or the same over made-up rows. */
static int parse_study(whist_study **out, const demo *d, const char *text, const char *name)
{
    static const char real[] = "  format: csv\n", made_up[] = "  format: synthetic\n";
    const char *at = strstr(text, real);
    char *copy = NULL;
    int len = d->data || !at ? asprintf(&copy, "%s", text)
                             : asprintf(&copy, "%.*s%s%s", (int)(at - text), text, made_up, at + strlen(real));
    if (len < 0) return cli_no_memory();
    whist_status status = whist_study_parse(out, (whist_bytes){(const uint8_t *)copy, (size_t)len}, name);
    free(copy);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}

/* ---- The three results ---- */

static int simulate(cli_runs *out, demo *d, const whist_study *study, const char *name)
{
    cli_progress quiet = {.off = true, .stop = d->stop};
    const cli_runs_in in = {
        .study = study,
        .path = name,
        .data = d->data,
        .first_seed = whist_study_plan(study)->seed,
        .n_seeds = 1,
        .threads = 1,
        .progress = &quiet,
    };
    return cli_runs_do(out, &in);
}

static int simulate_baseline(cli_runs *out, demo *d, const char *text, const char *name)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_TRY(parse_study(&study, d, text, name));
    return simulate(out, d, study, name);
}

/* The model that the processes left behind has the bits of the simulated one. */
static int compare_models(const cli_fleet *fleet, const whist_fed_result *simulated)
{
    const whist_model *model = whist_study_plan(fleet->study)->model;
    float *params = calloc(whist_model_size(model), sizeof *params);
    if (!params) return cli_no_memory();
    whist_status status = whist_model_load(params, fleet->model, model);
    bool same = status == WHIST_OK && memcmp(params, simulated->model, simulated->n * sizeof *params) == 0;
    free(params);
    CLI_LIB(status);
    return same ? CLI_OK : cli_fail_text(CLI_FAILED, "state", "network and simulation gave different models");
}

/* ---- Ledgers ---- */

/* The last entry says what all of them add up to. */
static whist_status keep_last(void *user, const whist_log_line *line)
{
    return whist_ledger_sentence(user, line->body);
}

/* owner: a folder of the federation, "coordinator" or "sites/va"; below: of its ledger there. */
static int verify_ledger(const demo *d, const char *owner, const char *below, char last[640])
{
    char ledger[CLI_PATH], certificate[CLI_PATH];
    CLI_AUTO(cli_blob_clear) cli_blob pem = {0};
    whist_ledger_info info;
    CLI_TRY(cli_path(ledger, "%s/federation/%s/%s", d->work, owner, below));
    CLI_TRY(cli_path(certificate, "%s/federation/%s/cert.pem", d->work, owner));
    CLI_TRY(cli_read(&pem, certificate, CLI_FILE_MAX));
    CLI_LIB(whist_ledger_read(&info, ledger, cli_view(&pem), keep_last, last));
    return CLI_OK;
}

static int verify_ledgers(demo *d, const whist_fed_plan *plan)
{
    char owner[128], last[640], below[128];
    for (size_t i = 0; i < plan->n_sites; i++) {
        snprintf(owner, sizeof owner, "sites/%s", plan->sites[i].name);
        CLI_TRY(verify_ledger(d, owner, "state/ledger/data", last));
    }
    snprintf(below, sizeof below, "ledger/%s", plan->privacy->dataset); /* for all studies: beside the state of one */
    return verify_ledger(d, "coordinator", below, d->spent);
}

static int run_fleet(demo *d, cli_runs *federated, cli_fleet *fleet)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_TRY(d->dp ? parse_study(&study, d, cli_example_private, "heart/private.yaml")
                  : parse_study(&study, d, cli_example_fedavg, "heart/fedavg.yaml"));
    int64_t begin = cli_now_ms();
    fleet->work = d->work;
    fleet->data = d->data;
    fleet->wanted = study;
    fleet->progress = &d->progress;
    fleet->stop = d->stop;
    fleet->limit_s = LIMIT_S;
    CLI_TRY(cli_fleet_run(fleet));
    d->seconds = (double)(cli_now_ms() - begin) / 1000;
    say(d, "simulating the same study, and the baselines");
    CLI_TRY(simulate(federated, d, fleet->study, "study.yaml"));
    return d->dp ? verify_ledgers(d, whist_study_plan(fleet->study)) : compare_models(fleet, &federated->runs[0]);
}

/* ---- Showing ---- */

static const char *column(const demo *d, size_t c)
{
    static const char *const names[] = {"federated", "local", "pooled"};
    return d->dp && c == 0 ? "private" : names[c];
}

static size_t find_accuracy(const whist_fed_plan *plan)
{
    size_t m = 0;
    while (m + 1 < plan->n_metrics && strcmp(plan->metrics[m], "accuracy") != 0) m++;
    return m;
}

/* Row `site` of column c; site n_sites is the mean. */
static double accuracy(const cli_runs *three, const whist_fed_plan *plan, size_t c, size_t site)
{
    const cli_results results = {plan, three[c].runs, 1};
    size_t m = find_accuracy(plan);
    return site < plan->n_sites ? cli_stat_site(&results, m, site).mean : cli_stat_mean(&results, m).mean;
}

static const char *row_name(const whist_fed_plan *plan, size_t site)
{
    return site < plan->n_sites ? plan->sites[site].name : "mean";
}

static int print_json(const demo *d, const cli_runs *three, const whist_fed_plan *plan)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "data"), whist_json_text(json, d->source);
    whist_json_key(json, "synthetic"), whist_json_bool(json, d->data == NULL);
    whist_json_key(json, "processes"), whist_json_uint(json, plan->n_sites + 1);
    whist_json_key(json, "rounds"), whist_json_uint(json, plan->rounds);
    whist_json_key(json, "seconds"), whist_json_real(json, d->seconds);
    if (d->dp) {
        const whist_fed_privacy *p = plan->privacy;
        whist_json_key(json, "privacy");
        whist_json_begin_object(json);
        whist_json_key(json, "epsilon"), whist_json_real(json, three[0].runs[0].epsilon);
        whist_json_key(json, "delta"), whist_json_real(json, p->delta);
        whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(p->unit));
        whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(p->relation));
        whist_json_key(json, "trust"), whist_json_text(json, whist_privacy_trust(p->noise));
        whist_json_key(json, "ledgers_verified"), whist_json_uint(json, plan->n_sites + 1);
        whist_json_end_object(json);
    } else {
        whist_json_key(json, "same_bits_as_simulation"), whist_json_bool(json, true);
    }
    whist_json_key(json, "accuracy");
    whist_json_begin_object(json);
    for (size_t i = 0; i <= plan->n_sites; i++) {
        whist_json_key(json, row_name(plan, i));
        whist_json_begin_object(json);
        for (size_t c = 0; c < 3; c++)
            whist_json_key(json, column(d, c)), whist_json_real(json, accuracy(three, plan, c, i));
        whist_json_end_object(json);
    }
    whist_json_end_object(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static void print_promise(const demo *d, const cli_runs *three, const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    printf("\n%zu processes trained together over mutual TLS: %u rounds in %.1f s. Their models hide each %s:\n"
           "epsilon %.4g at delta %g (%s). %s.\nThe ledgers of all %zu are verified; the coordinator's ends with\n  "
           "%s\n\n",
           plan->n_sites + 1, plan->rounds, d->seconds, whist_dp_unit_name(p->unit), three[0].runs[0].epsilon, p->delta,
           whist_dp_relation_name(p->relation), whist_privacy_trust(p->noise), plan->n_sites + 1, d->spent);
}

static int print_text(const demo *d, const cli_runs *three, const whist_fed_plan *plan)
{
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(4);
    if (d->dp)
        print_promise(d, three, plan);
    else
        printf(
            "\n%zu processes trained together over mutual TLS: %u rounds in %.1f s. The simulation of the same study "
            "and\nseed gives the same model, bit for bit.\n\n",
            plan->n_sites + 1, plan->rounds, d->seconds);
    if (!d->data) printf("Data: %s.\n\n", d->source);
    cli_table_add(table, "accuracy");
    for (size_t c = 0; c < 3; c++) cli_table_add(table, "%s", column(d, c));
    for (size_t i = 0; i <= plan->n_sites; i++) {
        cli_table_add(table, "%s", row_name(plan, i));
        for (size_t c = 0; c < 3; c++) {
            double value = accuracy(three, plan, c, i);
            if (isnan(value))
                cli_table_add(table, "–");
            else
                cli_table_add(table, "%.3f", value);
        }
    }
    CLI_TRY(cli_table_print(table, stdout));
    if (d->dp)
        printf("\nprivate: a simulation of the same study; its noise is another draw than that of the processes. ");
    else
        printf("\nfederated: the model of the processes. ");
    printf("local (each hospital alone) and pooled (all rows in one place)\n"
           "are simulated for comparison.\n");
    return cli_flush();
}

static void clear_three(cli_runs (*three)[3])
{
    for (size_t c = 0; c < 3; c++) cli_runs_clear(&(*three)[c]);
}

static int run_demo(demo *d)
{
    CLI_AUTO(cli_fleet_clear) cli_fleet fleet = {0};
    CLI_AUTO(clear_three) cli_runs three[3] = {{0}};
    char line[400];
    CLI_TRY(find_data(d));
    snprintf(line, sizeof line, "data: %s", d->source);
    say(d, line);
    say(d, "one coordinator and four sites on 127.0.0.1, each with its own key, certificate and state");
    CLI_TRY(run_fleet(d, &three[0], &fleet));
    CLI_TRY(simulate_baseline(&three[1], d, cli_example_local, "heart/local.yaml"));
    CLI_TRY(simulate_baseline(&three[2], d, cli_example_pooled, "heart/pooled.yaml"));
    const whist_fed_plan *plan = whist_study_plan(fleet.study);
    return cli_flag(d->args, "json") ? print_json(d, three, plan) : print_text(d, three, plan);
}

static int make_work(demo *d)
{
    const char *keep = cli_text(d->args, "keep");
    if (!keep) return cli_temp_dir(d->work, "whist-demo");
    if (cli_exists(keep))
        return cli_fail_text(CLI_FAILED, "state", "%s is there already and stays as it is: name another folder", keep);
    CLI_TRY(cli_make_dirs(keep, 0700));
    return cli_absolute(d->work, keep);
}

static int demo_command(const cli_args *args)
{
    demo d = {.args = args, .stop = cli_signals_catch(), .dp = cli_flag(args, "dp")};
    cli_progress_init(&d.progress, args, d.stop);
    CLI_TRY(make_work(&d));
    int code = run_demo(&d);
    if (!cli_flag(args, "keep")) {
        int removed = cli_remove_tree(d.work);
        return code == CLI_OK ? removed : code;
    }
    fprintf(stderr, "%s holds keys, configurations, logs and the model\n", d.work);
    return code;
}

static const cli_option options[] = {
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the four hospitals' files; else WHIST_DATA/heart, else a download."},
    {"keep", 0, CLI_TEXT, "DIR", "Keep keys, configurations, logs and model in this new folder."},
    {"dp", 0, CLI_FLAG, NULL,
     "Let the study promise privacy: noise hides each hospital, and every process keeps a ledger of what was spent."},
    {"offline", 0, CLI_FLAG, NULL, "Do not download: without data, use a made-up cohort."},
    {0},
};

const cli_command cli_demo_commands[] = {
    {"demo", "", "Four hospitals train together on this machine, for real",
     "Makes an authority, keys and certificates, starts one coordinator and four sites as processes on loopback, lets "
     "them train a model of heart disease over mutual TLS, checks that the simulation gives the same bits, and "
     "compares with each hospital alone and with all rows in one place.",
     options, 0, 0, demo_command},
    {0},
};
