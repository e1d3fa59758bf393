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

/* What both audits say of the study first; the object stays open. */
static void json_promise(whist_json *json, const whist_fed_plan *plan, double delta, uint64_t steps)
{
    whist_json_begin_object(json);
    whist_json_key(json, "study"), whist_json_text(json, plan->name);
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(plan->privacy->unit));
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(plan->privacy->relation));
    whist_json_key(json, "delta"), whist_json_real(json, delta);
    whist_json_key(json, "steps"), whist_json_uint(json, steps);
}

static int print_json(const whist_audit *a, const whist_fed_plan *plan)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    json_promise(json, plan, a->delta, a->steps);
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

/* ---- One training with planted records ---- */

static int print_canaries(const whist_canaries *a, const whist_fed_plan *plan, bool white_box)
{
    printf("%s: one training of %llu private steps with %llu planted records, %llu of them there, one record, %s, "
           "delta %g\n",
           plan->name, (unsigned long long)a->steps, (unsigned long long)a->canaries, (unsigned long long)a->there,
           whist_dp_relation_name(plan->privacy->relation), a->delta);
    printf("proven    epsilon <= %.4g\n", a->proven);
    printf("attacked  epsilon >= %.4g with confidence %g (%s; %llu of %llu guesses right)\n", a->attacked,
           a->confidence, white_box ? "sees every noised gradient" : "sees the final model",
           (unsigned long long)a->right, (unsigned long long)a->guesses);
    printf("          epsilon >= %.4g with confidence %g, if the training is the claimed one but for the amount of its "
           "noise\n",
           a->by_law, a->confidence);
    if (a->reach < 0.5)
        printf("the planted gradients reach %.2g of the bound on average: the attack is weak\n", a->reach);
    return cli_flush();
}

static int print_canaries_json(const whist_canaries *a, const whist_fed_plan *plan, bool white_box)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    json_promise(json, plan, a->delta, a->steps);
    whist_json_key(json, "white_box"), whist_json_bool(json, white_box);
    whist_json_key(json, "canaries"), whist_json_uint(json, a->canaries);
    whist_json_key(json, "there"), whist_json_uint(json, a->there);
    whist_json_key(json, "guesses"), whist_json_uint(json, a->guesses);
    whist_json_key(json, "right"), whist_json_uint(json, a->right);
    whist_json_key(json, "proven"), whist_json_real(json, a->proven);
    whist_json_key(json, "attacked"), whist_json_real(json, a->attacked);
    whist_json_key(json, "by_law"), whist_json_real(json, a->by_law);
    whist_json_key(json, "confidence"), whist_json_real(json, a->confidence);
    whist_json_key(json, "reach"), whist_json_real(json, a->reach);
    whist_json_key(json, "holds"), whist_json_bool(json, a->attacked <= a->proven && !a->refuted);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int broken(double confidence)
{
    return cli_fail_text(
        CLI_FAILED, "state",
        "the attack found more than is proven: either this run was one of the %g %% that the confidence "
        "allows (run it again), or the promise does not hold",
        100 * (1 - confidence));
}

static int audit_canaries(const cli_args *args, const whist_study *study, double confidence)
{
    cli_progress progress;
    whist_canaries found;
    whist_canaries_in in = {.plan = whist_study_plan(study),
                            .canaries = cli_count(args, "canaries", 0),
                            .white_box = cli_flag(args, "white-box"),
                            .confidence = confidence};
    CLI_LIB(whist_schema_shape(whist_study_schema(study), &in.shape));
    cli_progress_init(&progress, args, cli_signals_catch());
    in.progress = cli_progress_show;
    in.user = &progress;
    whist_status status = whist_audit_canaries(&found, &in);
    cli_progress_end(&progress);
    if (status == WHIST_E_ARG) return cli_fail_word(status);
    CLI_LIB(status);
    CLI_TRY(cli_flag(args, "json") ? print_canaries_json(&found, in.plan, in.white_box)
                                   : print_canaries(&found, in.plan, in.white_box));
    return found.attacked <= found.proven && !found.refuted ? CLI_OK : broken(confidence);
}

/* ---- Many trainings with one ---- */

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
    if (cli_flag(args, "white-box") && !cli_count(args, "canaries", 0))
        return cli_fail_text(CLI_USAGE, "usage",
                             "--white-box says what the attacker of --canaries sees: the other attack "
                             "sees every noised gradient");
    if (cli_count(args, "canaries", 0)) {
        if (in.replaced || cli_count(args, "trials", 0))
            return cli_fail_text(CLI_USAGE, "usage",
                                 "--canaries trains once, on records that are there or not: without "
                                 "--trials and --replaced");
        return audit_canaries(args, study, in.confidence);
    }
    CLI_LIB(whist_schema_shape(whist_study_schema(study), &in.shape));
    cli_progress_init(&progress, args, cli_signals_catch());
    in.progress = cli_progress_show;
    in.user = &progress;
    whist_status status = whist_audit_private(&found, &in);
    cli_progress_end(&progress);
    if (status == WHIST_E_ARG) return cli_fail_word(status);
    CLI_LIB(status);
    CLI_TRY(cli_flag(args, "json") ? print_json(&found, in.plan) : print_text(&found, in.plan, in.replaced));
    return found.attacked <= found.proven || in.replaced ? CLI_OK : broken(in.confidence);
}

static const cli_option options[] = {
    {"trials", 0, CLI_COUNT, "N", "Trainings in each of the two worlds (5000). More find more.", .min = 100,
     .max = 10000000},
    {"confidence", 0, CLI_TEXT, "C", "Probability that the lower bound holds (0.95)."},
    {"canaries", 0, CLI_COUNT, "K",
     "One training instead (dp-sgd, dp-ftrl), with K planted records that each go in by a coin; the attacker guesses "
     "the coins.",
     .min = 10, .max = 100000},
    {"white-box", 0, CLI_FLAG, NULL,
     "With --canaries: the attacker sees every noised gradient, not the final model only."},
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
