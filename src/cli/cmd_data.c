/* cli/cmd_data.c: whist data list|get|describe. */
#include "cli/commands.h"
#include "cli/data.h"
#include "cli/file.h"
#include "cli/rows.h"
#include "cli/runs.h"
#include "cli/signals.h"

#include <whist/run.h>

#include <stdlib.h>
#include <string.h>

/* ---- list ---- */

static uint64_t size_of(const whist_data_set *set)
{
    uint64_t bytes = 0;
    for (const whist_data_file *f = set->files; f->name; f++) bytes += f->size;
    return bytes;
}

static void put_set(whist_json *json, const whist_data_set *set)
{
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, set->name);
    whist_json_key(json, "title"), whist_json_text(json, set->title);
    whist_json_key(json, "licence"), whist_json_text(json, set->licence);
    whist_json_key(json, "citation"), whist_json_text(json, set->citation);
    whist_json_key(json, "notice"), whist_json_text(json, set->notice);
    whist_json_key(json, "bytes"), whist_json_uint(json, size_of(set));
    whist_json_end_object(json);
}

static int list(const cli_args *args)
{
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(4);
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "sets");
    whist_json_begin_array(json);
    cli_table_add(table, "name"), cli_table_add(table, "kB"), cli_table_add(table, "what");
    cli_table_add(table, "licence");
    for (const whist_data_set *set = whist_data_sets(); set->name; set++) {
        put_set(json, set);
        cli_table_add(table, "%s", set->name);
        cli_table_add(table, "%llu", (unsigned long long)(size_of(set) + 999) / 1000);
        cli_table_add(table, "%s", set->title);
        cli_table_add(table, "%s", set->licence);
    }
    whist_json_end_array(json);
    whist_json_end_object(json);
    if (cli_flag(args, "json")) return cli_json_print(json);
    CLI_TRY(cli_table_print(table, stdout));
    return cli_flush();
}

/* ---- get ---- */

static int find_set(const whist_data_set **out, const char *name)
{
    *out = whist_data_find(name);
    if (*out) return CLI_OK;
    const char *near = NULL;
    unsigned best = 4;
    for (const whist_data_set *set = whist_data_sets(); set->name; set++) {
        unsigned distance = cli_distance(set->name, name);
        if (distance < best) best = distance, near = set->name;
    }
    return cli_fail_text(CLI_USAGE, "usage", "there is no data set '%s'%s%s%s (see `whist data list`)", name,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int choose_folder(char out[CLI_PATH], const cli_args *args, const char *name)
{
    const char *folder = cli_text(args, "out"), *base = getenv("WHIST_DATA");
    if (folder) return cli_path(out, "%s", folder);
    return cli_path(out, "%s/%s", base && base[0] ? base : ".", name);
}

static int get(const cli_args *args)
{
    const whist_data_set *set;
    char folder[CLI_PATH];
    cli_progress progress;
    CLI_TRY(find_set(&set, args->words[0]));
    CLI_TRY(choose_folder(folder, args, set->name));
    CLI_TRY(cli_make_dirs(folder, 0755));
    cli_progress_init(&progress, args, cli_signals_catch());
    whist_status status = whist_data_fetch(set, folder, cli_text(args, "url-base"), cli_text(args, "cacert"),
                                           cli_progress_show, &progress);
    cli_progress_end(&progress);
    CLI_LIB(status);
    if (cli_flag(args, "json")) {
        CLI_AUTO(cli_json_end) whist_json *json = NULL;
        CLI_LIB(whist_json_new(&json));
        whist_json_begin_object(json);
        whist_json_key(json, "set"), whist_json_text(json, set->name);
        whist_json_key(json, "folder"), whist_json_text(json, folder);
        whist_json_end_object(json);
        return cli_json_print(json);
    }
    printf("%s is in %s, with the bytes its publisher promised.\n%s\nLicence: %s. Cite: %s\n", set->title, folder,
           set->notice, set->licence, set->citation);
    return cli_flush();
}

static const cli_option get_options[] = {
    {"out", 'o', CLI_TEXT, "DIR", "Folder for the files (WHIST_DATA/NAME, else ./NAME)."},
    {"url-base", 0, CLI_TEXT, "URL", "Fetch from a mirror: https://… and the file's name."},
    {"cacert", 0, CLI_TEXT, "FILE", "PEM of the authorities to trust, instead of the system's."},
    {0},
};

/* ---- describe ---- */

static int open_one(whist_dataset **out, const whist_study *study, const cli_args *args)
{
    size_t site;
    CLI_TRY(cli_rows_site(out, args, study));
    CLI_WORD(whist_study_site_find(study, cli_text(args, "site"), &site));
    cli_data_warn(out, &whist_study_plan(study)->sites[site], 1);
    return CLI_OK;
}

CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)

static const char *const folds[] = {"train", "validation", "test"};

static int describe_json(const whist_dataset *data, const whist_data_summary *s)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "synthetic"), whist_json_bool(json, s->synthetic);
    whist_json_key(json, "rows_read"), whist_json_uint(json, s->rows_read);
    whist_json_key(json, "rows_dropped"), whist_json_uint(json, s->rows_dropped);
    whist_json_key(json, "rows_left_out"), whist_json_uint(json, s->rows_left_out);
    for (size_t f = 0; f < 3; f++) {
        whist_json_key(json, folds[f]);
        whist_json_begin_object(json);
        whist_json_key(json, "rows"), whist_json_uint(json, s->rows[f]);
        whist_json_key(json, "classes");
        whist_json_begin_array(json);
        for (size_t k = 0; k < s->n_classes; k++) whist_json_uint(json, s->classes[f * s->n_classes + k]);
        whist_json_end_array(json);
        whist_json_end_object(json);
    }
    whist_json_key(json, "features");
    whist_json_begin_array(json);
    for (size_t j = 0; j < whist_dataset_features(data); j++)
        whist_json_text(json, whist_dataset_feature_name(data, j));
    whist_json_end_array(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static void print_missing(const whist_schema *schema, const whist_data_summary *s)
{
    printf("missing values:");
    for (size_t c = 0; c < s->n_columns && c < schema->n_columns; c++)
        if (s->missing[c]) printf(" %s %llu", schema->columns[c].name, (unsigned long long)s->missing[c]);
    printf("\n");
}

static int describe(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_AUTO(dataset_end) whist_dataset *data = NULL;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    CLI_TRY(open_one(&data, study, args));
    whist_data_summary s = whist_dataset_describe(data);
    if (cli_flag(args, "json")) return describe_json(data, &s);
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(2 + s.n_classes);
    cli_table_add(table, "fold"), cli_table_add(table, "rows");
    for (size_t k = 0; k < s.n_classes; k++) cli_table_add(table, "class %zu", k);
    for (size_t f = 0; f < 3; f++) {
        cli_table_add(table, "%s", folds[f]);
        cli_table_add(table, "%zu", s.rows[f]);
        for (size_t k = 0; k < s.n_classes; k++)
            cli_table_add(table, "%llu", (unsigned long long)s.classes[f * s.n_classes + k]);
    }
    printf("%llu rows read, %llu dropped for a missing value, %llu left out, %zu features%s\n",
           (unsigned long long)s.rows_read, (unsigned long long)s.rows_dropped, (unsigned long long)s.rows_left_out,
           whist_dataset_features(data), s.synthetic ? " (made up)" : "");
    print_missing(whist_study_schema(study), &s);
    CLI_TRY(cli_table_print(table, stdout));
    return cli_flush();
}

static const cli_option describe_options[] = {
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the data (WHIST_DATA/SET, the study's set)."},
    {"site", 0, CLI_TEXT, "NAME", "The site whose rows are meant.", .required = true},
    {0},
};

static const char *set_name(size_t k)
{
    return whist_data_sets()[k].name;
}

const cli_command cli_data_commands[] = {
    {"data list", "", "List the public data sets that can be fetched", "", NULL, 0, 0, list},
    {"data get", "NAME", "Download a public data set from its publisher",
     "Over HTTPS, with a pinned hash and size: a file appears only when every byte is right.", get_options, 1, 1, get,
     set_name},
    {"data describe", "STUDY", "Count a site's rows as the study reads them", "Counts are data too: they stay here.",
     describe_options, 1, 1, describe},
    {0},
};
