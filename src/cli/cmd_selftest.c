/* cli/cmd_selftest.c: whist selftest: known answers on this machine. */
#include "cli/commands.h"
#include "cli/term.h"

#include <whist/study.h>

#include <stdio.h>
#include <string.h>

static bool wanted(const cli_args *args, const char *name)
{
    for (unsigned i = 0; i < args->n_words; i++)
        if (strcmp(args->words[i], name) == 0) return true;
    return args->n_words == 0;
}

static int check_names(const cli_args *args)
{
    for (unsigned i = 0; i < args->n_words; i++) {
        const whist_selftest *const *t = whist_selftests();
        while (*t && strcmp((*t)->name, args->words[i]) != 0) t++;
        if (!*t) return cli_fail_text(CLI_USAGE, "usage", "there is no self-test '%s'", args->words[i]);
    }
    return CLI_OK;
}

static void show_line(void *user, const char *text)
{
    (void)user;
    puts(text);
}

static int selftest(const cli_args *args)
{
    CLI_TRY(check_names(args));
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(3);
    CLI_LIB(whist_json_new(&json));
    int code = CLI_OK;
    cli_table_add(table, "%s", ""), cli_table_add(table, "test"), cli_table_add(table, "what");
    whist_json_begin_object(json);
    whist_json_key(json, "tests");
    whist_json_begin_object(json);
    for (const whist_selftest *const *t = whist_selftests(); *t; t++) {
        if (!wanted(args, (*t)->name)) continue;
        bool shows = args->n_words > 0 && !cli_flag(args, "json"); /* what was asked for by name shows its numbers */
        whist_status status = (*t)->run(shows ? show_line : NULL, NULL);
        if (status != WHIST_OK) code = CLI_FAILED, (void)cli_fail(status);
        cli_table_add(table, status == WHIST_OK ? "ok" : "FAIL");
        cli_table_add(table, "%s", (*t)->name);
        cli_table_add(table, "%s", (*t)->doc);
        whist_json_key(json, (*t)->name), whist_json_bool(json, status == WHIST_OK);
    }
    whist_json_end_object(json);
    whist_json_key(json, "ok"), whist_json_bool(json, code == CLI_OK);
    whist_json_end_object(json);
    CLI_TRY(cli_flag(args, "json") ? cli_json_print(json) : cli_table_print(table, stdout));
    CLI_TRY(cli_flush());
    return code;
}

static const char *test_name(size_t k)
{
    const whist_selftest *test = whist_selftests()[k];
    return test ? test->name : NULL;
}

const cli_command cli_selftest_commands[] = {
    {"selftest", "[NAME…]", "Known answers on this machine, in a few seconds", "", NULL, 0, CLI_ANY, selftest,
     test_name},
    {0},
};
