/* cli/data.c: finds the folder of a study's data, and looks for targets that cannot be learned from. */
#include "cli/data.h"

#include "cli/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int cli_data_folder(char out[CLI_PATH], const cli_args *args, const whist_study *study)
{
    const whist_schema *schema = whist_study_schema(study);
    const char *given = cli_text(args, "data"), *base = getenv("WHIST_DATA"), *set = schema->set;
    bool plain = set[0] && set[0] != '.' && !strchr(set, '/'); /* a study names no path */
    if (given) return cli_path(out, "%s", given);
    if (schema->format == WHIST_DATA_SYNTHETIC) return cli_path(out, ".");
    if (plain && base && base[0]) {
        CLI_TRY(cli_path(out, "%s/%s", base, set));
        if (is_folder(out)) return CLI_OK;
    }
    if (!plain)
        return cli_fail_text(CLI_USAGE, "usage", "--data is missing: the folder with the data of %s",
                             whist_study_name(study));
    return cli_fail_text(CLI_USAGE, "usage",
                         "--data is missing: the folder with the data of %s; or set WHIST_DATA to the folder that "
                         "holds %s/",
                         whist_study_name(study), set);
}

/* ---- One class ---- */

static bool has_one_class(const whist_dataset *data)
{
    whist_data_summary s = whist_dataset_describe(data);
    size_t there = 0;
    for (size_t k = 0; k < s.n_classes; k++) there += s.classes[WHIST_FOLD_TRAIN * s.n_classes + k] > 0;
    return s.n_classes > 1 && there == 1;
}

void cli_data_warn(whist_dataset *const *data, const whist_fed_site *sites, size_t n)
{
    enum { NAMED = 5 };
    char names[NAMED * (WHIST_NAME_SIZE + 2) + 1] = "";
    size_t found = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        if (has_one_class(data[i]) && found++ < NAMED)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", sites[i].name);
    if (found > NAMED)
        cli_log(WHIST_LOG_WARNING, "data.one_class",
                "the target has one class only in the training rows of %s and %zu more", names, found - NAMED);
    else if (found)
        cli_log(WHIST_LOG_WARNING, "data.one_class", "the target has one class only in the training rows of %s", names);
}
