/* cli/cmd_operator.c: whist status|start|stop: an operator asks a running coordinator. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/term.h"

#include <whist/run.h>
#include <whist/study.h>

#include <string.h>

static int call_of(whist_operator_call *call, whist_operator_config *config, uint8_t pin[32], const cli_args *args)
{
    const char *url = cli_text(args, "coordinator");
    CLI_LIB(whist_operator_config_load(config, args->words[0]));
    if (!cli_pin_read(pin, config->coordinator_key))
        return cli_fail_text(CLI_FAILED, "format", "%s: coordinator_key takes sha256: and 64 digits", args->words[0]);
    *call = (whist_operator_call){
        .identity = {config->ca, config->certificate, config->key, config->crl, config->passphrase_file},
        .coordinator = url ? url : config->coordinator,
        .proxy = config->proxy,
        .coordinator_pin = pin,
    };
    return CLI_OK;
}

/* One member a line. What comes from the coordinator was read as JSON before: only its form is changed here. */
static void print_lines(const char *json)
{
    unsigned depth = 0;
    for (bool text = false; *json; json++) {
        if (text || (*json != '{' && *json != '}' && *json != ',' && *json != '[' && *json != ']')) {
            if (*json == '"')
                text = !text;
            else if (*json == ':' && !text)
                fputs(": ", stdout);
            else
                putchar(*json);
            if (text && *json == '\\' && json[1]) putchar(*++json);
            continue;
        }
        depth += *json == '{' || *json == '[';
        depth -= *json == '}' || *json == ']';
        if (*json != '}' && *json != ']' && !(depth == 1 && *json == '{')) printf("\n%*s", (int)(2 * (depth - 1)), "");
    }
    putchar('\n');
}

static int status(const cli_args *args)
{
    whist_operator_config config;
    whist_operator_call call;
    uint8_t pin[32];
    char *json;
    CLI_TRY(call_of(&call, &config, pin, args));
    CLI_LIB(whist_operator_status(&json, &call));
    if (cli_flag(args, "json"))
        puts(json);
    else
        print_lines(json);
    whist_operator_text_free(json);
    return cli_flush();
}

/* Whether the coordinator says so. An operator who may start need not have the right to ask: false then. */
static bool has_state(const whist_operator_call *call, const char *member)
{
    char *json;
    if (whist_operator_status(&json, call) != WHIST_OK) return false;
    bool has = strstr(json, member) != NULL;
    whist_operator_text_free(json);
    return has;
}

static int start(const cli_args *args)
{
    whist_operator_config config;
    whist_operator_call call;
    uint8_t pin[32];
    CLI_TRY(call_of(&call, &config, pin, args));
    bool running = has_state(&call, "\"state\":\"running\"");
    CLI_LIB(whist_operator_start(&call)); /* also then: who may not start is refused */
    if (running)
        puts(cli_flag(args, "json") ? "{\"started\":false}" : "it is running already");
    else
        puts(cli_flag(args, "json") ? "{\"started\":true}" : "the rounds begin");
    return cli_flush();
}

static int stop(const cli_args *args)
{
    whist_operator_config config;
    whist_operator_call call;
    uint8_t pin[32];
    CLI_TRY(call_of(&call, &config, pin, args));
    CLI_LIB(whist_operator_stop(&call));
    puts(cli_flag(args, "json") ? "{\"stopped\":true}" : "the coordinator stops; its command goes on from there");
    return cli_flush();
}

static const cli_option options[] = {
    {"coordinator", 0, CLI_TEXT, "URL", "https://host:port instead of the configuration's."},
    {0},
};

const cli_command cli_operator_commands[] = {
    {"status", "CONFIG", "Ask a coordinator how far it is",
     "CONFIG is the operator's; its certificate must carry the "
     "right to read.",
     options, 1, 1, status},
    {"start", "CONFIG", "Let a coordinator that waits begin its rounds",
     "For a coordinator run with --wait. CONFIG is the operator's; its certificate must carry the right to start.",
     options, 1, 1, start},
    {"stop", "CONFIG", "Stop a coordinator in good order",
     "CONFIG is the operator's; its certificate must carry the "
     "right to stop.",
     options, 1, 1, stop},
    {0},
};
