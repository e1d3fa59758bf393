/* run/private_run.c: a private learner on rows that lie in one place. */
#include "run/private_run.h"

#include "learn/learners.h"

#include <math.h>
#include <string.h>

static whist_status check(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (!p || !plan->learner->spends)
        WH_FAIL(
            WHIST_E_UNSUPPORTED,
            "study %s has no private learner: give it learner: dp-sgd and a section privacy, or leave privacy out and "
            "train in the open",
            plan->name);
    if (p->unit != WHIST_DP_RECORD)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "study %s promises something about one %s: where all rows lie in one place there are records only; set "
                "unit: record",
                plan->name, whist_dp_unit_name(p->unit));
    if (plan->learner != &wh_learner_dp_sgd && plan->rounds > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "the rounds of learner %s go on from each other, and here each has to stand alone to be paid for: set "
                "rounds: 1, and all steps in updates",
                plan->learner->name);
    if (plan->learner->n_states || plan->learner->n_broadcast)
        WH_FAIL(WHIST_E_UNSUPPORTED, "learner %s keeps more than the model from round to round: it needs a federation",
                plan->learner->name);
    return WHIST_OK;
}

static whist_status begin(wh_private_run *run, const whist_dataset *data, const whist_settings *settings,
                          unsigned threads)
{
    const whist_fed_plan *plan = run->plan;
    WH_TRY(check(plan));
    run->n = whist_model_size(plan->model);
    run->env = (whist_learner_env){
        .model = plan->model,
        .data = data,
        .settings = settings ? settings : plan->learner_settings,
        .site = plan->sites[0].name,
        .seed = plan->seed,
        .metrics = plan->metrics,
        .n_metrics = plan->n_metrics,
        .threads = threads,
    };
    WH_TRY(WH_NEW_RAW(&run->params, run->n));
    whist_model_init(plan->model, run->params, plan->seed);
    return plan->learner->new_(&run->learner, &run->env);
}

whist_status wh_private_run_begin(wh_private_run *out, const whist_fed_plan *plan, const whist_dataset *data,
                                  const whist_settings *settings, unsigned threads)
{
    *out = (wh_private_run){.plan = plan};
    whist_status status = begin(out, data, settings, threads);
    if (status != WHIST_OK) wh_private_run_clear(out);
    return status;
}

void wh_private_run_clear(wh_private_run *run)
{
    if (run->learner) run->learner->class_->free_(run->learner);
    if (run->params) wh_wipe(run->params, run->n * sizeof *run->params);
    wh_free(run->params);
    *run = (wh_private_run){.plan = NULL};
}

whist_status wh_private_run_ask(wh_private_run *run, uint64_t round, size_t *n)
{
    const whist_fed_plan *plan = run->plan;
    const whist_learner_round r = {.round = round, .model = run->params, .n = run->n};
    *n = 0;
    memset(run->events, 0, sizeof run->events);
    WH_TRY(plan->learner->spends(run->learner, &r, run->events, n));
    if (*n == 0 || *n > WHIST_MAX_EVENTS)
        WH_FAIL(WHIST_E_RANGE, "learner %s names %zu events", plan->learner->name, *n);
    for (size_t i = 0; i < *n; i++)
        if (run->events[i].unit != plan->privacy->unit || run->events[i].relation != plan->privacy->relation)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "learner %s promises something about one %s (%s), the study about one %s (%s): set them alike",
                    plan->learner->name, whist_dp_unit_name(run->events[i].unit),
                    whist_dp_relation_name(run->events[i].relation), whist_dp_unit_name(plan->privacy->unit),
                    whist_dp_relation_name(plan->privacy->relation));
    return WHIST_OK;
}

whist_status wh_private_run_ask_all(wh_private_run *run, size_t *n)
{
    WH_TRY(wh_private_run_ask(run, run->round, n));
    for (size_t i = 0; i < *n; i++)
        run->events[i].count = (run->events[i].count ? run->events[i].count : 1) * (run->plan->rounds - run->round);
    return WHIST_OK;
}

whist_status wh_private_run_round(wh_private_run *run)
{
    whist_update update = {0};
    const whist_learner_round r = {.round = run->round, .model = run->params, .n = run->n};
    WH_TRY(run->plan->learner->fit(run->learner, &r, &update));
    WH_ENSURE(update.n_vectors >= 1, WHIST_E_STATE);
    for (size_t i = 0; i < run->n; i++) run->params[i] += update.vectors[0][i];
    for (size_t i = 0; i < run->n; i++)
        if (!isfinite(run->params[i]))
            WH_FAIL(WHIST_E_RANGE, "the model of round %llu is not finite: lower lr",
                    (unsigned long long)run->round + 1);
    run->round++;
    return WHIST_OK;
}
