/* cli/cmd_study.c: whist study check|reference|names. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/runs.h"

static void put_study(whist_json *json, const char *path, const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    char digest[CLI_HEX];
    whist_json_begin_object(json);
    whist_json_key(json, "file"), whist_json_text(json, path);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "digest"), whist_json_text(json, cli_hex(digest, plan->study));
    whist_json_key(json, "model"), whist_json_text(json, whist_model_class_name(plan->model));
    whist_json_key(json, "parameters"), whist_json_uint(json, whist_model_size(plan->model));
    whist_json_key(json, "learner"), whist_json_text(json, plan->learner->name);
    whist_json_key(json, "strategy"), whist_json_text(json, plan->strategy->name);
    whist_json_key(json, "protection"), whist_json_text(json, plan->protection->name);
    whist_json_key(json, "rounds"), whist_json_uint(json, plan->rounds);
    whist_json_key(json, "privacy"),
        whist_json_text(json, plan->privacy ? whist_dp_unit_name(plan->privacy->unit) : NULL);
    if (plan->privacy) {
        whist_json_key(json, "epsilon"), whist_json_real(json, plan->privacy->epsilon);
        whist_json_key(json, "delta"), whist_json_real(json, plan->privacy->delta);
        whist_json_key(json, "sigma"), whist_json_real(json, plan->privacy->sigma);
    }
    whist_json_key(json, "sites"), whist_json_uint(json, plan->n_sites);
    whist_json_key(json, "pinned"), whist_json_bool(json, plan->coordinator.pinned);
    whist_json_end_object(json);
}

static void add_study(cli_table *table, const char *path, const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    char digest[CLI_HEX];
    cli_table_add(table, "%s", path);
    cli_table_add(table, "%s", plan->name);
    cli_table_add(table, "%.16s…", cli_hex(digest, plan->study));
    cli_table_add(table, "%s (%zu)", whist_model_class_name(plan->model), whist_model_size(plan->model));
    cli_table_add(table, "%s", plan->learner->name);
    cli_table_add(table, "%s", plan->strategy->name);
    cli_table_add(table, "%s", plan->protection->name);
    if (plan->privacy)
        cli_table_add(table, "%s, ε %g", whist_dp_unit_name(plan->privacy->unit), plan->privacy->epsilon);
    else
        cli_table_add(table, "none");
    cli_table_add(table, "%u", plan->rounds);
    cli_table_add(table, "%zu", plan->n_sites);
}

/* Every file is read, every wrong one is told; the table holds only when all are good. */
static int check(const cli_args *args)
{
    static const char *const heads[] = {"file",     "study",      "digest",  "model",  "learner",
                                        "strategy", "protection", "privacy", "rounds", "sites"};
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(10);
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    for (size_t i = 0; i < 10; i++) cli_table_add(table, "%s", heads[i]);
    int code = CLI_OK;
    whist_json_begin_object(json);
    whist_json_key(json, "studies");
    whist_json_begin_array(json);
    for (unsigned i = 0; i < args->n_words; i++) {
        CLI_AUTO(cli_study_end) whist_study *study = NULL;
        whist_status status = whist_study_load(&study, args->words[i]);
        if (status != WHIST_OK) {
            code = cli_fail(status);
            continue;
        }
        add_study(table, args->words[i], study);
        put_study(json, args->words[i], study);
    }
    whist_json_end_array(json);
    whist_json_end_object(json);
    if (code != CLI_OK) return code;
    if (cli_flag(args, "json")) return cli_json_print(json);
    CLI_TRY(cli_table_print(table, stdout));
    return cli_flush();
}

static void print_text(void *user, const char *text)
{
    fputs(text, user);
}

static void put_text(void *user, const char *text)
{
    whist_json_text(user, text);
}

static void print_line(void *user, const char *text)
{
    fprintf(user, "%s\n", text);
}

static int reference(const cli_args *args)
{
    if (cli_flag(args, "json"))
        return cli_fail_text(CLI_USAGE, "usage", "unknown option --json: the reference is Markdown and nothing else");
    whist_study_reference(print_text, stdout);
    return cli_flush();
}

static int names(const cli_args *args)
{
    if (!cli_flag(args, "json")) {
        CLI_WORD(whist_study_names(args->words[0], print_line, stdout));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, args->words[0]);
    whist_json_begin_array(json);
    CLI_WORD(whist_study_names(args->words[0], put_text, json));
    whist_json_end_array(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static const char *kind_name(size_t k)
{
    static const char *const kinds[] = {"learners", "strategies", "protections", "models", "metrics", "keys", NULL};
    return kinds[k];
}

const cli_command cli_study_commands[] = {
    {"study check", "STUDY…", "Read studies and say what is wrong with them", "", NULL, 1, CLI_ANY, check},
    {"study reference", "", "Print every key of studies and configurations, as Markdown", "", NULL, 0, 0, reference},
    {"study names", "KIND", "List what a study may name",
     "KIND is learners, strategies, protections, models, metrics or keys.", NULL, 1, 1, names, kind_name},
    {0},
};
