/* cli/purse.c: opens a ledger to pay from, and tells what is left in it. */
#include "cli/purse.h"

#include <stdio.h>
#include <string.h>

whist_purse_place cli_purse_place(const whist_ledger_config *config)
{
    return (whist_purse_place){
        .state = config->state,
        .dataset = config->dataset,
        .owner = config->owner,
        .key = config->key,
        .passphrase_file = config->passphrase_file,
        .epsilon = config->epsilon,
        .delta = config->delta,
        .head = config->head,
    };
}

/* Charged to another data set's ledger, what is released of these rows would be missing in their own. */
static int check_dataset(const whist_ledger_config *config, const cli_args *args, const char *set)
{
    const char *named = cli_text(args, "dataset");
    if (named && strcmp(named, config->dataset) != 0)
        return cli_fail_text(CLI_USAGE, "usage", "--dataset names '%s', and the ledger is that of '%s'", named,
                             config->dataset);
    const bool unnamed = !set[0] || (!config->head[0] && strcmp(config->dataset, "data") == 0); /* a site's, as it is */
    if (named || unnamed || strcmp(set, config->dataset) == 0) return CLI_OK;
    return cli_fail_text(CLI_USAGE, "usage",
                         "the study's data are '%s', and the ledger is that of '%s': name the right ledger, or say by "
                         "--dataset %s that they are the same data",
                         set, config->dataset, config->dataset);
}

int cli_purse_open(whist_purse **out, whist_ledger_config *config, const cli_args *args, bool made_up, const char *set)
{
    const char *path = cli_text(args, "ledger");
    *out = NULL;
    if (!path && made_up) return CLI_OK;
    if (!path)
        return cli_fail_text(CLI_USAGE, "usage",
                             "--ledger is missing: what is released of these rows must be paid for. `whist ledger new` "
                             "begins a ledger; a site names its configuration");
    CLI_LIB(whist_ledger_config_load(config, path));
    CLI_TRY(check_dataset(config, args, set));
    const whist_purse_place place = cli_purse_place(config);
    CLI_LIB(whist_purse_open(out, &place));
    return CLI_OK;
}

static int is_kept(bool *out, whist_purse *purse, const uint8_t id[32])
{
    char *bytes = NULL;
    size_t len;
    uint64_t round;
    CLI_LIB(whist_purse_kept(purse, id, &round, &bytes, &len, out));
    whist_ledger_text_free(bytes);
    return CLI_OK;
}

int cli_purse_run(uint8_t id[32], uint64_t *run, whist_purse *purse, const char *kind, whist_bytes text, bool anew)
{
    bool kept = purse != NULL;
    uint64_t n = 0;
    for (; kept; n++) {
        whist_purse_id(id, kind, text, n);
        CLI_TRY(is_kept(&kept, purse, id));
    }
    /* n is one behind the first that nothing was kept of */
    *run = n > 1 && !anew ? n - 2 : n > 0 ? n - 1 : 0;
    whist_purse_id(id, kind, text, *run);
    return CLI_OK;
}

static double delta_of(const whist_ledger_config *config)
{
    return config->delta > 0 ? config->delta : 1e-5;
}

int cli_purse_print(whist_purse *purse, const whist_ledger_config *config)
{
    double held, any_time;
    CLI_LIB(whist_purse_spent(purse, delta_of(config), &held, &any_time));
    printf("ledger of '%s' (%s): epsilon %.4g", config->dataset, config->owner, held);
    if (config->epsilon > 0) printf(" of %g", config->epsilon);
    printf(" at delta %g spent, for one record", delta_of(config));
    if (any_time < held) printf("; what is out so far is within %.4g", any_time);
    printf("\n");
    return CLI_OK;
}

int cli_purse_json(whist_json *json, whist_purse *purse, const whist_ledger_config *config, bool paid)
{
    double held, any_time;
    CLI_LIB(whist_purse_spent(purse, delta_of(config), &held, &any_time));
    whist_json_key(json, "ledger");
    whist_json_begin_object(json);
    whist_json_key(json, "dataset"), whist_json_text(json, config->dataset);
    whist_json_key(json, "owner"), whist_json_text(json, config->owner);
    whist_json_key(json, "paid"), whist_json_bool(json, paid);
    whist_json_key(json, "spent"), whist_json_real(json, held);
    whist_json_key(json, "any_time"), whist_json_real(json, any_time);
    whist_json_key(json, "budget"), whist_json_real(json, config->epsilon);
    whist_json_key(json, "delta"), whist_json_real(json, delta_of(config));
    whist_json_end_object(json);
    return CLI_OK;
}
