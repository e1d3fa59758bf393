/* cli/cmd_site.c: whist site run|preview|approve. The site's own policy comes first, whatever anybody else says. */
#include "cli/commands.h"
#include "cli/hex.h"
#include "cli/log.h"
#include "cli/signals.h"
#include "cli/site.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- run ---- */

static int print_done(const cli_site *s)
{
    const char *name = s->config.name, *study = whist_study_name(s->study);
    if (!cli_flag(s->args, "json")) {
        printf("%s: the study %s is over\n", name, study);
        return cli_flush();
    }
    char digest[CLI_HEX];
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "site"), whist_json_text(json, name);
    whist_json_key(json, "study"), whist_json_text(json, study);
    whist_json_key(json, "digest"), whist_json_text(json, cli_hex(digest, s->run.plan->study));
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int check_approval(const cli_site *s)
{
    char person[128];
    bool approved;
    if (s->party) return CLI_OK; /* holds no data */
    CLI_LIB(whist_site_approval(&s->run, person, &approved));
    if (approved) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "state",
                         "nobody at this site has approved the study %s: `whist site approve` does that",
                         whist_study_name(s->study));
}

static int run(const cli_args *args)
{
    cli_log_init(args, true);
    CLI_AUTO(cli_site_close) cli_site s = {0};
    CLI_TRY(cli_site_open(&s, args));
    CLI_LIB(cli_site_policy(&s));
    CLI_TRY(check_approval(&s));
    CLI_LIB(cli_site_open_data(&s));
    cli_progress progress;
    s.run.threads = (unsigned)cli_count(args, "threads", 1);
    s.run.stop = cli_signals_catch();
    cli_progress_init(&progress, args, s.run.stop);
    s.run.progress = cli_progress_show;
    s.run.user = &progress;
    whist_status status = whist_run_site(&s.run);
    cli_progress_end(&progress);
    CLI_LIB(status);
    return print_done(&s);
}

/* ---- preview ---- */

static void print_line(void *user, const char *line)
{
    fprintf(user, "%s\n", line);
}

static void put_line(void *user, const char *line)
{
    whist_json_text(user, line);
}

static int preview(const cli_args *args)
{
    CLI_AUTO(cli_site_close) cli_site s = {0};
    CLI_TRY(cli_site_open(&s, args));
    if (s.party)
        return cli_fail_text(CLI_FAILED, "unsupported", "%s is a third party: it has no rows of its own",
                             s.config.name);
    if (!cli_flag(args, "json")) {
        CLI_LIB(whist_site_preview(s.run.plan, s.index, print_line, stdout));
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "site"), whist_json_text(json, s.config.name);
    whist_json_key(json, "leaves");
    whist_json_begin_array(json);
    CLI_LIB(whist_site_preview(s.run.plan, s.index, put_line, json));
    whist_json_end_array(json);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* ---- approve ---- */

/* before: who approved already, or "". */
static int confirm(const cli_site *s, const char *person, const char *before)
{
    char digest[CLI_HEX], answer[16] = "";
    const whist_fed_plan *plan = s->run.plan;
    if (before[0])
        fprintf(stderr, "%s has approved %s for %s already\n", before, whist_study_name(s->study), s->config.name);
    if (cli_flag(s->args, "yes")) return CLI_OK;
    if (!isatty(STDIN_FILENO))
        return cli_fail_text(CLI_USAGE, "usage",
                             "nobody is there to confirm: look at `whist site preview`, then add --yes");
    fprintf(stderr, "study      %s\n           %s\nlearner    %s\nprotection %s\nrounds     %u\nsites      %zu\n",
            plan->name, cli_hex(digest, plan->study), plan->learner->name, plan->protection->name, plan->rounds,
            plan->n_sites);
    CLI_LIB(whist_site_preview(plan, s->index, print_line, stderr));
    fprintf(stderr, "%s, may this study train at %s? Type yes: ", person, s->config.name);
    if (fgets(answer, sizeof answer, stdin) && strcmp(answer, "yes\n") == 0) return CLI_OK;
    return cli_fail_text(CLI_REFUSED, "cancelled", "not approved");
}

static int approve(const cli_args *args)
{
    const char *person = cli_text(args, "as");
    char before[128];
    bool approved;
    CLI_AUTO(cli_site_close) cli_site s = {0};
    CLI_TRY(cli_site_open(&s, args));
    CLI_LIB(cli_site_policy(&s));
    if (s.party)
        return cli_fail_text(CLI_FAILED, "unsupported", "%s is a third party: it has no rows to approve a study for",
                             s.config.name);
    CLI_LIB(whist_site_approval(&s.run, before, &approved));
    CLI_TRY(confirm(&s, person, approved ? before : ""));
    if (!approved || strcmp(before, person) != 0) CLI_WORD(whist_site_approve(&s.run, person));
    if (!cli_flag(args, "json")) {
        printf("%s approved %s for %s\n", person, whist_study_name(s.study), s.config.name);
        return cli_flush();
    }
    char digest[CLI_HEX];
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "site"), whist_json_text(json, s.config.name);
    whist_json_key(json, "study"), whist_json_text(json, cli_hex(digest, s.run.plan->study));
    whist_json_key(json, "approved_by"), whist_json_text(json, person);
    whist_json_end_object(json);
    return cli_json_print(json);
}

#define STUDY_OPTION                                                                                                   \
    {                                                                                                                  \
        "study", 0, CLI_TEXT, "FILE", "The study, as the partners agreed on it.", .required = true                     \
    }
#define COORDINATOR_OPTION                                                                                             \
    {                                                                                                                  \
        "coordinator", 0, CLI_TEXT, "URL", "https://host:port instead of the configuration's."                         \
    }

static const cli_option run_options[] = {
    STUDY_OPTION,
    COORDINATOR_OPTION,
    {"threads", 't', CLI_COUNT, "N", "Threads of the learner (1). They change the time, not the result.", .min = 1,
     .max = 256},
    {0},
};
static const cli_option preview_options[] = {STUDY_OPTION, {0}};
static const cli_option approve_options[] = {
    STUDY_OPTION,
    {"as", 0, CLI_TEXT, "PERSON", "Your name; it is signed into the site's log.", .required = true},
    {"yes", 'y', CLI_FLAG, NULL, "Do not ask."},
    {0},
};

const cli_command cli_site_commands[] = {
    {"site run", "CONFIG", "Take part in a study with this site's data",
     "Connects outward only, on one port. Losing the coordinator is no end: it is asked again. SIGTERM or Ctrl-C ends "
     "in good order (exit code 4); the same command goes on.",
     run_options, 1, 1, run},
    {"site preview", "CONFIG", "Show what would leave the site, in fields and bytes", "", preview_options, 1, 1,
     preview},
    {"site approve", "CONFIG", "Allow a study at this site, as a named person",
     "Without it nothing trains here. A study that breaks the site's policy cannot be approved.", approve_options, 1, 1,
     approve},
    {0},
};
