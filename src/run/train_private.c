/* run/train_private.c: private training where the rows are: learner, price, model, round by round.
 *
 * What a round makes exists in memory only until its charge is durable, and the model is in that very transaction. So
 * after kill -9 the ledger says how far the training came and holds the model to go on from. */
#include <whist/run.h>

#include "base/log.h"
#include "base/mem.h"
#include "fed/spend.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct work {
    const whist_private_training *in;
    const whist_fed_plan *plan;
    whist_learner *learner;
    whist_learner_env env;
    whist_settings *settings;
    float *params; /* (n) */
    size_t n;
    uint64_t round; /* the next one */
    uint8_t id[32];
    whist_dp_event events[WHIST_MAX_EVENTS];
    wh_spend spent; /* of this training */
    double after;   /* of the data set; NaN where nothing was charged */
} work;

static void work_clear(work *w)
{
    if (w->learner) w->learner->class_->free_(w->learner);
    wh_free(w->params);
}
WH_AUTO_CLEAR(work, work_clear)

/* ---- What may be trained here ---- */

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
                "study %s promises something about one %s: where all rows lie in one place there "
                "are records only; set unit: record",
                plan->name, whist_dp_unit_name(p->unit));
    if (plan->learner->n_states || plan->learner->n_broadcast)
        WH_FAIL(WHIST_E_UNSUPPORTED, "learner %s keeps more than the model from round to round: it needs a federation",
                plan->learner->name);
    return WHIST_OK;
}

/* What a round will have spent; it may depend on the round. */
static whist_status ask(work *w, uint64_t round, size_t *n)
{
    const whist_learner_round r = {.round = round, .model = w->params, .n = w->n};
    *n = 0;
    memset(w->events, 0, sizeof w->events);
    WH_TRY(w->plan->learner->spends(w->learner, &r, w->events, n));
    if (*n == 0 || *n > WHIST_MAX_EVENTS)
        WH_FAIL(WHIST_E_RANGE, "learner %s names %zu events", w->plan->learner->name, *n);
    for (size_t i = 0; i < *n; i++)
        if (w->events[i].unit != w->plan->privacy->unit || w->events[i].relation != w->plan->privacy->relation)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "learner %s promises something about one %s (%s), the study about one %s (%s): set them alike",
                    w->plan->learner->name, whist_dp_unit_name(w->events[i].unit),
                    whist_dp_relation_name(w->events[i].relation), whist_dp_unit_name(w->plan->privacy->unit),
                    whist_dp_relation_name(w->plan->privacy->relation));
    return WHIST_OK;
}

static whist_purse_bill bill_of(const work *w, uint64_t round, size_t n_events)
{
    whist_purse_bill bill = {
        .round = round,
        .name = w->plan->name,
        .events = w->events,
        .n_events = n_events,
        .epsilon = w->plan->privacy->epsilon,
        .delta = w->plan->privacy->delta,
    };
    memcpy(bill.id, w->id, sizeof bill.id);
    return bill;
}

/* All rounds from here on must fit: half a training is paid for and good for nothing. */
static whist_status check_whole(work *w)
{
    size_t n;
    WH_TRY(ask(w, w->round, &n));
    whist_purse_bill bill = bill_of(w, w->round, n);
    for (size_t i = 0; i < n; i++)
        w->events[i].count = (w->events[i].count ? w->events[i].count : 1) * (w->plan->rounds - w->round);
    if (w->in->purse) return whist_purse_check(w->in->purse, &bill);
    wh_spend all;
    WH_TRY(wh_spend_events(&all, w->events, n));
    if (wh_spend_fits(&all, bill.epsilon, bill.delta)) return WHIST_OK;
    WH_FAIL(WHIST_E_BUDGET,
            "this training would spend epsilon %.4g at delta %g, and study %s allows %g: raise the noise, "
            "take fewer steps, or agree on a larger epsilon",
            wh_spend_epsilon(&all, bill.delta), bill.delta, w->plan->name, bill.epsilon);
}

/* ---- Going on ---- */

static whist_status add_spent(work *w, uint64_t round)
{
    size_t n;
    wh_spend one;
    WH_TRY(ask(w, round, &n));
    WH_TRY(wh_spend_events(&one, w->events, n));
    wh_spend_add(&w->spent, &one);
    return WHIST_OK;
}

static whist_status go_on(work *w, uint64_t *kept)
{
    char *bytes = NULL;
    size_t len;
    uint64_t round;
    bool found;
    *kept = 0;
    if (!w->in->purse) return WHIST_OK;
    WH_TRY(whist_purse_kept(w->in->purse, w->id, &round, &bytes, &len, &found));
    if (!found) return WHIST_OK;
    bool good = len == w->n * sizeof *w->params && round < w->plan->rounds;
    if (good) memcpy(w->params, bytes, len);
    whist_ledger_text_free(bytes);
    if (!good) WH_FAIL(WHIST_E_FORMAT, "what the ledger kept of study %s is no model of it", w->plan->name);
    for (uint64_t r = 0; r <= round; r++) WH_TRY(add_spent(w, r));
    w->round = *kept = round + 1;
    return whist_purse_spent(w->in->purse, w->plan->privacy->delta, &w->after);
}

/* ---- Rounds ---- */

static whist_status add_update(work *w)
{
    whist_update update = {0};
    const whist_learner_round r = {.round = w->round, .model = w->params, .n = w->n};
    WH_TRY(w->plan->learner->fit(w->learner, &r, &update));
    WH_ENSURE(update.n_vectors >= 1, WHIST_E_STATE);
    for (size_t i = 0; i < w->n; i++) w->params[i] += update.vectors[0][i];
    for (size_t i = 0; i < w->n; i++)
        if (!isfinite(w->params[i]))
            WH_FAIL(WHIST_E_RANGE, "the model of round %llu is not finite: lower lr", (unsigned long long)w->round + 1);
    return WHIST_OK;
}

static whist_status do_round(work *w)
{
    size_t n;
    WH_TRY(ask(w, w->round, &n));
    whist_purse_bill bill = bill_of(w, w->round, n);
    if (w->in->purse) WH_TRY(whist_purse_check(w->in->purse, &bill));
    WH_TRY(add_update(w));
    bill.release = (whist_bytes){(const uint8_t *)w->params, w->n * sizeof *w->params};
    if (w->in->purse) WH_TRY(whist_purse_pay(w->in->purse, &bill, &w->after));
    WH_TRY(add_spent(w, w->round));
    w->round++;
    return WHIST_OK;
}

static whist_status do_rounds(work *w)
{
    if (w->round < w->plan->rounds) WH_TRY(check_whole(w));
    while (w->round < w->plan->rounds) {
        WH_TRY(wh_progress(w->in->progress, w->in->user, "train", w->round, w->plan->rounds, "private rounds"));
        WH_TRY(do_round(w));
    }
    return WHIST_OK;
}

/* The study, and its seed, which a command may have replaced. */
whist_bytes whist_private_training_text(uint8_t text[40], const whist_fed_plan *plan)
{
    memcpy(text, plan->study, 32);
    for (unsigned i = 0; i < 8; i++) text[32 + i] = (uint8_t)(plan->seed >> (8 * i));
    return (whist_bytes){text, 40};
}

static whist_status begin(work *w)
{
    const whist_fed_plan *plan = w->plan;
    w->n = whist_model_size(plan->model);
    w->env = (whist_learner_env){
        .model = plan->model,
        .data = w->in->data,
        .settings = plan->learner_settings,
        .site = plan->sites[0].name,
        .seed = plan->seed,
        .metrics = plan->metrics,
        .n_metrics = plan->n_metrics,
    };
    uint8_t text[40];
    whist_purse_id(w->id, "training", whist_private_training_text(text, plan), w->in->run);
    WH_TRY(WH_NEW_RAW(&w->params, w->n));
    whist_model_init(plan->model, w->params, plan->seed);
    return plan->learner->new_(&w->learner, &w->env);
}

whist_status whist_train_private(whist_private_trained *out, const whist_private_training *in)
{
    WH_ENSURE(out && in && in->plan && in->data, WHIST_E_ARG);
    WH_AUTO(work) w = {.in = in, .plan = in->plan, .after = NAN};
    whist_private_trained done = {0};
    WH_TRY(check(w.plan));
    WH_TRY(begin(&w));
    WH_TRY(go_on(&w, &done.kept));
    WH_TRY(do_rounds(&w));
    done.rounds = w.round;
    done.epsilon = wh_spend_epsilon(&w.spent, w.plan->privacy->delta);
    done.spent = w.after;
    done.params = w.params;
    w.params = NULL;
    *out = done;
    return WHIST_OK;
}

void whist_private_trained_clear(whist_private_trained *trained)
{
    wh_free(trained->params);
    *trained = (whist_private_trained){0};
}
