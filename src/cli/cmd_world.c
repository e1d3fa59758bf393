/* cli/cmd_world.c: whist provision demo. */
#include "cli/commands.h"
#include "cli/world.h"

static int show(const cli_args *args, const cli_world *world, const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    if (cli_flag(args, "json")) {
        CLI_AUTO(cli_json_end) whist_json *json = NULL;
        CLI_LIB(whist_json_new(&json));
        whist_json_begin_object(json);
        whist_json_key(json, "folder"), whist_json_text(json, world->folder);
        whist_json_key(json, "sites");
        whist_json_begin_array(json);
        for (size_t i = 0; i < plan->n_sites; i++) whist_json_text(json, plan->sites[i].name);
        whist_json_end_array(json);
        whist_json_end_object(json);
        return cli_json_print(json);
    }
    const char *d = world->folder, *first = plan->sites[0].name;
    printf("%s holds a federation of %zu sites for a demo: all keys on one machine, for %u days. To run it:\n\n"
           "whist coordinator %s/coordinator/coordinator.yaml --study %s/study.yaml\n"
           "whist site approve %s/sites/%s/site.yaml --study %s/study.yaml --as \"Your Name\"\n"
           "whist site run %s/sites/%s/site.yaml --study %s/study.yaml\n",
           d, plan->n_sites, world->days, d, d, d, first, d, d, first, d);
    if (plan->n_sites > 1) printf("\n… and so on for the other %zu.\n", plan->n_sites - 1);
    return cli_flush();
}

static int demo(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    const char *host = cli_text(args, "host");
    const cli_world world = {
        .folder = cli_text(args, "out"),
        .host = host ? host : "127.0.0.1",
        .port = (unsigned)cli_count(args, "port", 8443),
        .data = cli_text(args, "data"),
        .days = (unsigned)cli_count(args, "days", 90),
    };
    CLI_TRY(cli_world_make(&world, study));
    return show(args, &world, study);
}

static const cli_option options[] = {
    {"out", 'o', CLI_TEXT, "DIR", "New folder for all of it.", .required = true},
    {"data", 'd', CLI_TEXT, "DIR", "Folder with the data of all sites; else each site has its own, sites/NAME/data."},
    {"host", 0, CLI_TEXT, "NAME", "Name or address of the coordinator (127.0.0.1)."},
    {"port", 'p', CLI_COUNT, "N", "Port of the coordinator (8443).", .min = 1, .max = 65535},
    {"days", 0, CLI_COUNT, "N", "Days that the certificates hold (90).", .min = 1, .max = 3650},
    {0},
};

const cli_command cli_world_commands[] = {
    {"provision demo", "STUDY", "Make a complete federation on this machine in one go",
     "Authority, coordinator, sites and an operator, each in a folder of its own with key, certificate and "
     "configuration, and the study with their pins. All private keys lie on one machine: for demos and tests.",
     options, 1, 1, demo},
    {0},
};
