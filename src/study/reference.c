/* study/reference.c: docs/study.md and lists of names, from the tables that read the files. */
#include "study/config.h"
#include "study/registry.h"
#include "study/study_file.h"

#include <whist/study.h>

#include <string.h>

static const char opening[] =
    "# Studies and configurations\n\n"
    "<!-- Generated from the tables that read these files. Do not edit: src/study/table_test.c compares it and writes "
    "it anew. "
    "-->\n\n"
    "A study is what the partners agreed. It is one YAML file without local paths; the SHA-256 of its bytes\n"
    "names it, and every message carries that name. Sites and coordinators have configurations of their own, which\n"
    "stay where they are.\n\n"
    "Read strictly: an unknown key, a key that stands twice, an anchor, an alias, a tag and a second document\n"
    "are errors that name file, line and column. A file has at most 8 MiB, 16 levels and 500,000 values, in UTF-8.\n"
    "Times are written `500ms`, `30s`, `10m`, `2h`, `1d`; sizes `4096`, `64KiB`, `512MiB`, `10GiB`.\n\n";

static const char closing[] =
    "## How it is made\n\n"
    "The room `study` hides how text becomes checked values. A row of a table (src/study/table.h) says what a key is\n"
    "called, what may stand there, what it means when it is left out, where the value goes and why it exists; the\n"
    "same rows read files, refuse mistakes, complete words and write this page.\n\n"
    "| file | what it does |\n| --- | --- |\n"
    "| yaml | libyaml's events as a small bounded tree that knows lines and columns |\n"
    "| table, table_value, table_doc | the reader by tables, single values, Markdown |\n"
    "| study_table, study_read | the keys of a study, and those with a form of their own |\n"
    "| study_check | keys that do not fit together; `whist_fed_plan_check` and `whist_schema_features` do the rest |\n"
    "| study, pins, policy | the study as an object, keys of its actors, a site's demands |\n"
    "| config | configurations of sites, coordinators and ledgers |\n"
    "| table_file | a table without a study |\n"
    "| registry, machine, selftest | all names, benches and self-tests of the library |\n";

static whist_status metrics_section(whist_text_fn *emit, void *user)
{
    WH_AUTO(wh_buf) line = WH_BUF_EMPTY;
    static const char *const tasks[] = {"regression", "binary", "classes", "survival"};
    emit(user, "### Metrics\n\n| metric | tasks | meaning |\n| --- | --- | --- |\n");
    for (const whist_metric *m = whist_metrics(); m->name; m++) {
        wh_buf_reset(&line);
        WH_TRY(wh_buf_text(&line, "| `%s` |", m->name));
        for (unsigned t = 0, n = 0; t < WH_COUNT(tasks); t++)
            if (m->targets & (1u << t)) WH_TRY(wh_buf_text(&line, "%s `%s`", n++ ? "," : "", tasks[t]));
        WH_TRY(wh_buf_text(&line, " | %s |\n", m->doc));
        emit(user, wh_buf_str(&line));
    }
    emit(user, "\n");
    return WHIST_OK;
}

static whist_status reference(whist_text_fn *emit, void *user)
{
    emit(user, opening);
    WH_TRY(wh_table_reference("Study file", "What stands in a study:", wh_study_table, emit, user));
    WH_TRY(wh_table_reference("Sites by number", "In simulations `sites` may be a map:", wh_study_count_table, emit,
                              user));
    WH_TRY(metrics_section(emit, user));
    WH_TRY(wh_table_reference("Site configuration",
                              "Local to a site; relative paths begin at the folder of the configuration file.",
                              wh_site_config_table, emit, user));
    WH_TRY(wh_table_reference("Coordinator configuration",
                              "Local to the coordinator; relative paths begin at the folder of the configuration file.",
                              wh_coordinator_config_table, emit, user));
    WH_TRY(wh_table_reference("Ledger file",
                              "For questions and trainings in one place (`whist ledger new` makes one); relative paths "
                              "begin at the folder of the file.",
                              wh_ledger_config_table, emit, user));
    WH_TRY(wh_table_reference("Table file",
                              "What the columns of a CSV table are, for `whist dp query` without a study.",
                              wh_table_file_table, emit, user));
    emit(user, closing);
    return WHIST_OK;
}

void whist_study_reference(whist_text_fn *emit, void *user)
{
    if (emit) (void)reference(emit, user); /* what can fail is memory; the text then ends early */
}

static whist_status part_names(const wh_part_kind *kind, whist_text_fn *emit, void *user)
{
    wh_part_info info;
    for (size_t i = 0; kind->get(&info, i); i++) emit(user, info.name);
    return WHIST_OK;
}

whist_status whist_study_names(const char *kind, whist_text_fn *emit, void *user)
{
    WH_ENSURE(kind && emit, WHIST_E_ARG);
    const wh_part_kind *const kinds[] = {&wh_learner_parts, &wh_strategy_parts, &wh_protection_parts, &wh_model_parts};
    for (size_t i = 0; i < WH_COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]->many) == 0) return part_names(kinds[i], emit, user);
    if (strcmp(kind, "keys") == 0) return wh_table_names(wh_study_table, emit, user);
    if (strcmp(kind, "metrics") == 0) {
        for (const whist_metric *m = whist_metrics(); m->name; m++) emit(user, m->name);
        return WHIST_OK;
    }
    char near[64];
    wh_nearest_choice(near, "learners|strategies|protections|models|metrics|keys", kind);
    WH_FAIL(WHIST_E_ARG, "unknown kind '%.40s'%s%s%s Allowed: learners, strategies, protections, models, metrics, keys",
            kind, *near ? "; did you mean '" : ".", near, *near ? "'?" : "");
}
