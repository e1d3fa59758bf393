/* cli/cmd_seal.c: whist site recipient, whist model seal|open: models that only named sites can read. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/pem.h"
#include "cli/runs.h"

#include <whist/run.h>

#include <stdlib.h>

enum { RECIPIENTS = 1000 };

/* ---- recipient ---- */

static int recipient(const cli_args *args)
{
    whist_site_config config;
    int64_t until = 0;
    char date[16];
    CLI_LIB(whist_site_config_load(&config, args->words[0]));
    const whist_recipient_run run = {
        .identity = {config.ca, config.certificate, config.key, config.crl, config.passphrase_file},
        .state = config.state,
        .notice = cli_text(args, "out"),
        .days = (unsigned)cli_count(args, "days", 365),
        .renew = cli_flag(args, "renew"),
    };
    CLI_LIB(whist_recipient_make(&until, &run));
    if (!cli_flag(args, "json")) {
        printf("%s: models can be sealed to %s until %s; send it to the coordinator. The key stays here.\n", run.notice,
               config.name, cli_date(date, until));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "site"), whist_json_text(json, config.name);
    whist_json_key(json, "notice"), whist_json_text(json, run.notice);
    whist_json_key(json, "until"), whist_json_int(json, until);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* ---- seal and open ---- */

static int show(const cli_args *args, const whist_sealed_info *info, const char *verb)
{
    char study[CLI_HEX], model[CLI_HEX], date[16];
    if (!cli_flag(args, "json")) {
        printf("%s: %llu bytes %s, for %zu site%s, until %s\nmodel  sha256 %s\nstudy  %s\n", cli_text(args, "out"),
               (unsigned long long)info->bytes, verb, info->n_recipients, info->n_recipients == 1 ? "" : "s",
               cli_date(date, info->until), cli_hex(model, info->model), cli_hex(study, info->study));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "file"), whist_json_text(json, cli_text(args, "out"));
    whist_json_key(json, "bytes"), whist_json_uint(json, info->bytes);
    whist_json_key(json, "recipients"), whist_json_uint(json, info->n_recipients);
    whist_json_key(json, "made"), whist_json_int(json, info->made);
    whist_json_key(json, "until"), whist_json_int(json, info->until);
    whist_json_key(json, "model"), whist_json_text(json, cli_hex(model, info->model));
    whist_json_key(json, "study"), whist_json_text(json, cli_hex(study, info->study));
    whist_json_end_object(json);
    return cli_json_print(json);
}

static size_t count_of(const cli_args *args, const char *option)
{
    size_t n = 0;
    while (cli_list(args, option, n)) n++;
    return n;
}

static int seal_to(const cli_args *args, const whist_seal_run *run)
{
    whist_sealed_info info;
    CLI_LIB(whist_model_seal(&info, run));
    return show(args, &info, "sealed");
}

static int read_lists(const char **to, uint8_t (*pins)[32], const cli_args *args, size_t n_to, size_t n_pins)
{
    for (size_t i = 0; i < n_to; i++) to[i] = cli_list(args, "to", i);
    for (size_t i = 0; i < n_pins; i++)
        if (!cli_pin_read(pins[i], cli_list(args, "pin", i)))
            return cli_fail_text(CLI_USAGE, "usage", "--pin takes sha256: and 64 digits, not '%.80s'",
                                 cli_list(args, "pin", i));
    return CLI_OK;
}

static int seal(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    whist_coordinator_config config;
    size_t n_to = count_of(args, "to"), n_pins = count_of(args, "pin");
    if (n_to > RECIPIENTS || n_pins > RECIPIENTS)
        return cli_fail_text(CLI_USAGE, "usage", "--to and --pin may be given %d times", RECIPIENTS);
    CLI_LIB(whist_coordinator_config_load(&config, cli_text(args, "config")));
    CLI_LIB(whist_study_load(&study, cli_text(args, "study")));
    const char **to = calloc(n_to, sizeof *to);
    uint8_t(*pins)[32] = calloc(n_pins + 1, sizeof *pins);
    int code = to && pins ? read_lists(to, pins, args, n_to, n_pins) : cli_no_memory();
    if (code == CLI_OK)
        code = seal_to(args,
                       &(whist_seal_run){
                           .plan = whist_study_plan(study),
                           .identity = {config.ca, config.certificate, config.key, config.crl, config.passphrase_file},
                           .model = args->words[0],
                           .out = cli_text(args, "out"),
                           .to = to,
                           .n_to = n_to,
                           .pins = (const uint8_t(*)[32])pins,
                           .n_pins = n_pins,
                           .days = (unsigned)cli_count(args, "days", 30),
                       });
    free(to);
    free(pins);
    return code;
}

static int open_sealed(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    whist_site_config config;
    whist_sealed_info info;
    CLI_LIB(whist_site_config_load(&config, cli_text(args, "config")));
    CLI_LIB(whist_study_load(&study, cli_text(args, "study")));
    const whist_unseal_run run = {
        .plan = whist_study_plan(study),
        .identity = {config.ca, config.certificate, config.key, config.crl, config.passphrase_file},
        .state = config.state,
        .file = args->words[0],
        .out = cli_text(args, "out"),
    };
    CLI_LIB(whist_model_unseal(&info, &run));
    return show(args, &info, "opened");
}

#define STUDY_OPTION                                                                                                   \
    {                                                                                                                  \
        "study", 0, CLI_TEXT, "FILE", "The study that made the model, with the keys of its participants.",             \
            .required = true                                                                                           \
    }

static const cli_option recipient_options[] = {
    {"out", 'o', CLI_TEXT, "FILE", "The notice, for the coordinator.", .required = true},
    {"days", 0, CLI_COUNT, "N", "Days for which models may be sealed to the key (365).", .min = 1, .max = 3650},
    {"renew", 0, CLI_FLAG, NULL, "A fresh key: what was sealed to the old one can be opened by nobody any more."},
    {0},
};
static const cli_option seal_options[] = {
    {"config", 0, CLI_TEXT, "CONFIG", "The coordinator's configuration: its key signs.", .required = true},
    STUDY_OPTION,
    {"to", 0, CLI_LIST, "NOTICE", "Of a site that may open it (`whist site recipient`); once for each.",
     .required = true},
    {"pin", 0, CLI_LIST, "PIN", "The key of a site that the study does not name and that may have the model, too."},
    {"days", 0, CLI_COUNT, "N", "Days for which it can be opened (30).", .min = 1, .max = 3650},
    {"out", 'o', CLI_TEXT, "FILE", "The sealed model.", .required = true},
    {0},
};
static const cli_option open_options[] = {
    {"config", 0, CLI_TEXT, "CONFIG", "This site's configuration.", .required = true},
    STUDY_OPTION,
    {"out", 'o', CLI_TEXT, "FILE", "The model; a file that is there stays.", .required = true},
    {0},
};

const cli_command cli_seal_commands[] = {
    {"site recipient", "CONFIG", "Make the key that models can be sealed to, and its notice",
     "The private half is made in the site's state folder and stays there. The notice is signed with the site's key.",
     recipient_options, 1, 1, recipient},
    {"model seal", "MODEL", "Seal a model so that only named sites can open it",
     "Signed with the coordinator's key. Each --to is checked: its certificate, its signature, and that the study (or "
     "--pin) names its key.",
     seal_options, 1, 1, seal},
    {"model open", "FILE", "Open a sealed model at a site that it was sealed to",
     "Nothing is written before all of the file has proved to be what the study's coordinator signed.", open_options, 1,
     1, open_sealed},
    {0},
};
