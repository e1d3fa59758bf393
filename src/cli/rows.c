/* cli/rows.c: the rows that a model is applied to. */
#include "cli/rows.h"

#include "cli/data.h"

#include <whist/run.h>

#include <stdlib.h>
#include <string.h>

CLI_ENDER(dataset_end, whist_dataset, whist_dataset_free)

int cli_rows_site(whist_dataset **out, const cli_args *args, const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    char folder[CLI_PATH];
    size_t site;
    CLI_TRY(cli_data_folder(folder, args, study));
    CLI_WORD(whist_study_site_find(study, cli_text(args, "site"), &site));
    const whist_data_source source = {
        .folder = folder,
        .file = whist_study_site_file(study, site),
        .site = plan->sites[site].name,
        .site_index = site,
        .n_sites = plan->n_sites,
        .seed = plan->seed,
    };
    CLI_LIB(whist_dataset_open(out, whist_study_schema(study), &source));
    return CLI_OK;
}

/* A path as a folder and a name in it. */
static int split(char folder[CLI_PATH], const char **name, const char *path)
{
    const char *slash = strrchr(path, '/');
    CLI_TRY(cli_path(folder, "%.*s", slash == path ? 1 : slash ? (int)(slash - path) : 1, slash ? path : "."));
    *name = slash ? slash + 1 : path;
    return CLI_OK;
}

int cli_rows_input(whist_dataset **out, const cli_args *args, const whist_study *study, const char *path,
                   const char *labels)
{
    char folder[CLI_PATH];
    const char *name;
    CLI_AUTO(dataset_end) whist_dataset *like = NULL;
    const whist_schema *schema = whist_study_schema(study);
    bool by_site = schema->standardize == WHIST_STANDARDIZE_SITE || schema->rows_with_missing == WHIST_MISSING_MEAN;
    if (by_site && schema->format == WHIST_DATA_CSV && !cli_flag(args, "site"))
        return cli_fail_text(CLI_USAGE, "usage",
                             "the study standardises or fills in by a site's training rows: give --site NAME and "
                             "--data DIR with the file");
    if (by_site && schema->format == WHIST_DATA_CSV) CLI_TRY(cli_rows_site(&like, args, study));
    bool images = schema->format != WHIST_DATA_CSV && schema->image_height > 0;
    if (!images && (labels || cli_flag(args, "ink")))
        return cli_fail_text(CLI_USAGE, "usage", "--%s is for images, and this study's rows are lines of a table",
                             labels ? "labels" : "ink");
    if (images) {
        CLI_LIB(whist_dataset_open_images(out, schema, path, labels, cli_flag(args, "ink")));
        return CLI_OK;
    }
    CLI_TRY(split(folder, &name, path));
    if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return cli_fail_text(CLI_USAGE, "usage", "%s is a folder: give the table itself", path);
    const whist_data_source source = {.folder = folder, .file = name, .site = cli_text(args, "site")};
    CLI_LIB(whist_dataset_open_more(out, schema, &source, like));
    return CLI_OK;
}

int cli_rows_standardize(whist_dataset *data, const whist_study *study, const char *model)
{
    if (whist_study_schema(study)->standardize != WHIST_STANDARDIZE_POOLED) return CLI_OK;
    size_t d = whist_dataset_features(data);
    double *mean = calloc(2 * d, sizeof *mean);
    if (!mean) return cli_no_memory();
    whist_status status = whist_model_load_moments(mean, mean + d, model, d);
    if (status == WHIST_OK) status = whist_dataset_standardize(data, mean, mean + d);
    free(mean);
    return status == WHIST_OK ? CLI_OK : cli_fail(status);
}
