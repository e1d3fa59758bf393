/* cli/cmd_audit.c: whist dp audit: what an attacker finds of a study's private step, beside what is proven. */
#include "cli/commands.h"
#include "cli/runs.h"
#include "cli/signals.h"
#include "cli/term.h"

#include <whist/run.h>

#include <stdlib.h>

enum { TRIALS = 5000 };

static int print_text(const whist_audit *a, const whist_fed_plan *plan, bool replaced)
{
    const char *relation = whist_dp_relation_name(plan->privacy->relation);
    printf("%s: %llu private steps, one record, %s, delta %g\n", plan->name, (unsigned long long)a->steps, relation,
           a->delta);
    printf("proven    epsilon <= %.4g\n", a->proven);
    printf(
        "attacked  epsilon >= %.4g with confidence %g (%llu trainings in each world; false alarms below %.3g, misses "
        "below %.3g%s)\n",
        a->attacked, a->confidence, (unsigned long long)a->trials, a->false_alarms, a->misses,
        replaced ? "; worlds with one of two records" : "");
    if (a->canary < 0.5) printf("the planted record reaches %.2g of the bound only: the attack is weak\n", a->canary);
    return cli_flush();
}

static int print_json(const whist_audit *a, const whist_fed_plan *plan)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(plan->privacy->unit));
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(plan->privacy->relation));
    whist_json_key(json, "delta"), whist_json_real(json, a->delta);
    whist_json_key(json, "steps"), whist_json_uint(json, a->steps);
    whist_json_key(json, "proven"), whist_json_real(json, a->proven);
    whist_json_key(json, "attacked"), whist_json_real(json, a->attacked);
    whist_json_key(json, "confidence"), whist_json_real(json, a->confidence);
    whist_json_key(json, "trials"), whist_json_uint(json, a->trials);
    whist_json_key(json, "false_alarms"), whist_json_real(json, a->false_alarms);
    whist_json_key(json, "misses"), whist_json_real(json, a->misses);
    whist_json_key(json, "canary"), whist_json_real(json, a->canary);
    whist_json_key(json, "holds"), whist_json_bool(json, a->attacked <= a->proven);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int audit(const cli_args *args)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    const char *confidence = cli_text(args, "confidence");
    char *end;
    cli_progress progress;
    whist_audit found;
    CLI_LIB(whist_study_load(&study, args->words[0]));
    whist_audit_in in = {.plan = whist_study_plan(study),
                         .trials = cli_count(args, "trials", TRIALS),
                         .confidence = confidence ? strtod(confidence, &end) : 0.95,
                         .replaced = cli_flag(args, "replaced")};
    if (confidence && (end == confidence || *end))
        return cli_fail_text(CLI_USAGE, "usage", "--confidence takes a number, not '%s'", confidence);
    CLI_LIB(whist_schema_shape(whist_study_schema(study), &in.shape));
    cli_progress_init(&progress, args, cli_signals_catch());
    in.progress = cli_progress_show;
    in.user = &progress;
    whist_status status = whist_audit_private(&found, &in);
    cli_progress_end(&progress);
    if (status == WHIST_E_ARG) return cli_fail_word(status);
    CLI_LIB(status);
    CLI_TRY(cli_flag(args, "json") ? print_json(&found, in.plan) : print_text(&found, in.plan, in.replaced));
    if (found.attacked <= found.proven || in.replaced) return CLI_OK;
    return cli_fail_text(
        CLI_FAILED, "state",
        "the attack found more than is proven: either this run was one of the %g %% that the confidence "
        "allows (run it again), or the promise does not hold",
        100 * (1 - in.confidence));
}

static const cli_option options[] = {
    {"trials", 0, CLI_COUNT, "N", "Trainings in each of the two worlds (5000). More find more.", .min = 100,
     .max = 10000000},
    {"confidence", 0, CLI_TEXT, "C", "Probability that the lower bound holds (0.95)."},
    {"replaced", 0, CLI_FLAG, NULL,
     "Worlds with one of two records, though the promise is about one that is there or not: what it is not."},
    {0},
};

const cli_command cli_audit_commands[] = {
    {"dp audit", "STUDY", "Attack a study's private step, to see a lower bound of epsilon beside the proven one",
     "An attacker who knows one planted record and sees every noised gradient or sum says whether it was there. The "
     "rows "
     "are made up, the worst there are, so the audit spends nothing and needs no data. Exit code 1 where the attack "
     "finds "
     "more than is proven. Studies that promise something about a record by the learners dp-sgd, dp-ftrl, dp-reptile, "
     "dp-fomaml and record-sum.",
     options, 1, 1, audit},
    {0},
};
