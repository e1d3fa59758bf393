/* cli/cmd_coordinator.c: whist coordinator: runs a study until it is over or somebody stops it. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/log.h"
#include "cli/runs.h"
#include "cli/signals.h"

#include "cli/file.h"

#include <whist/run.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

typedef struct place {
    cli_progress progress; /* first: the run's user pointer is one for both callbacks */
    const char *port_file;
    bool failed;
} place;

static void listening(void *user, uint16_t port)
{
    place *p = user;
    char text[16];
    int len = snprintf(text, sizeof text, "%u\n", port);
    cli_log(WHIST_LOG_INFO, "coordinator.listening", "port %u", port);
    if (p->port_file) p->failed = cli_write(p->port_file, text, (size_t)len, 0644, CLI_WRITE_REPLACE) != CLI_OK;
}

static bool progress(void *user, const whist_progress *now)
{
    place *p = user;
    return cli_progress_show(&p->progress, now) && !p->failed;
}

static int print_json(const whist_fed_plan *plan, const whist_fed_result *result)
{
    const cli_results results = {plan, result, 1};
    char digest[CLI_HEX];
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "digest"), whist_json_text(json, cli_hex(digest, plan->study));
    whist_json_key(json, "rounds"), whist_json_uint(json, result->rounds);
    whist_json_key(json, "seconds"), whist_json_real(json, result->seconds);
    cli_results_json(json, &results);
    whist_json_key(json, "kernels"), whist_json_text(json, whist_kernels());
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int print_text(const whist_fed_plan *plan, const whist_fed_result *result)
{
    const cli_results results = {plan, result, 1};
    printf("%s: %u round%s with %zu sites, %.1f s\n", plan->name, result->rounds, result->rounds == 1 ? "" : "s",
           plan->n_sites, result->seconds);
    CLI_TRY(cli_results_table(&results, stdout));
    cli_results_privacy(&results, stdout);
    return cli_flush();
}

/* A number and a port, as bind takes them: 127.0.0.1:8443, [::]:0. */
static bool is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    unsigned char number[16];
    uint64_t port;
    if (!colon || colon - text >= (ptrdiff_t)sizeof host || !cli_number(&port, colon + 1, 0, 65535)) return false;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    size_t len = strlen(host);
    if (len < 2 || host[0] != '[' || host[len - 1] != ']') return inet_pton(AF_INET, host, number) == 1;
    host[len - 1] = 0;
    return inet_pton(AF_INET6, host + 1, number) == 1;
}

/* Before any folder is touched. */
static int check_listen(const char *option, const char *config, const char *path)
{
    static const char how[] = "an address and a port, such as 127.0.0.1:8443 or [::]:8443";
    if (option && !is_address(option))
        return cli_fail_text(CLI_USAGE, "usage", "--listen takes %s, not '%s'", how, option);
    if (!option && !is_address(config))
        return cli_fail_text(CLI_FAILED, "format", "%s: listen takes %s, not '%s'", path, how, config);
    return CLI_OK;
}

static int run_config(const cli_args *args, const whist_study *study, const whist_coordinator_config *config)
{
    const char *listen = cli_text(args, "listen"), *metrics = cli_text(args, "metrics"),
               *model = cli_text(args, "model");
    place p = {.port_file = cli_text(args, "port-file")};
    const volatile int *stop = cli_signals_catch();
    if (p.port_file && remove(p.port_file) != 0 && errno != ENOENT) return cli_fail_errno(p.port_file);
    cli_progress_init(&p.progress, args, stop);
    const whist_coordinator_run run = {
        .plan = whist_study_plan(study),
        .identity = {config->ca, config->certificate, config->key, config->crl, config->passphrase_file},
        .state = config->state,
        .listen = listen ? listen : config->listen,
        .operations = config->operations,
        .max_spool_bytes = config->max_spool_bytes,
        .ledger = config->ledger,
        .metrics_dir = metrics ? metrics : config->metrics,
        .wait_for_start = cli_flag(args, "wait"),
        .stop = stop,
        .listening = listening,
        .progress = progress,
        .user = &p,
    };
    CLI_AUTO(whist_fed_result_clear) whist_fed_result result = {0};
    whist_status status = whist_run_coordinator(&result, &run);
    cli_progress_end(&p.progress);
    if (p.failed) return CLI_FAILED; /* said already */
    CLI_LIB(status);
    if (model) CLI_LIB(whist_model_save(model, run.plan, result.model, result.moments, NULL));
    return cli_flag(args, "json") ? print_json(run.plan, &result) : print_text(run.plan, &result);
}

static int coordinator(const cli_args *args)
{
    cli_log_init(args, true);
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    whist_coordinator_config config;
    CLI_LIB(whist_coordinator_config_load(&config, args->words[0]));
    CLI_TRY(check_listen(cli_text(args, "listen"), config.listen, args->words[0]));
    CLI_LIB(whist_study_load(&study, cli_text(args, "study")));
    return run_config(args, study, &config);
}

static const cli_option options[] = {
    {"study", 0, CLI_TEXT, "FILE", "The study, with the keys of its participants.", .required = true},
    {"listen", 0, CLI_TEXT, "ADDRESS:PORT", "Instead of the configuration's; port 0 takes a free one."},
    {"port-file", 0, CLI_TEXT, "FILE", "Write the port there once sites can connect."},
    {"model", 'o', CLI_TEXT, "FILE", "Write the final model as safetensors."},
    {"wait", 0, CLI_FLAG, NULL, "Do not begin the rounds before an operator's `whist start`."},
    {"metrics", 0, CLI_TEXT, "DIR", "Folder for CSV and TensorBoard files, instead of the configuration's."},
    {0},
};

const cli_command cli_coordinator_commands[] = {
    {"coordinator", "CONFIG", "Run the rounds of a study; holds no data",
     "Waits for the sites, runs the rounds, shows the result. SIGTERM or Ctrl-C ends it in good order (exit code 4); "
     "the same command goes on where it stopped, also after a crash.",
     options, 1, 1, coordinator},
    {0},
};
