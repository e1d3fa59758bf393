/* run/train_private.c: private training where the rows are: learner, price, model, round by round.
 *
 * What a round makes exists in memory only until its charge is durable, and the model is in that very transaction. So
 * after kill -9 the ledger says how far the training came and holds the model to go on from. */
#include "run/private_run.h"

#include "base/log.h"
#include "fed/spend.h"

#include <math.h>
#include <string.h>

typedef struct work {
    const whist_private_training *in;
    const whist_fed_plan *plan;
    wh_private_run run;
    uint8_t id[32];
    wh_spend spent; /* of this training */
    double after;   /* of the data set; NaN where nothing was charged */
} work;

static void work_clear(work *w)
{
    wh_private_run_clear(&w->run);
}
WH_AUTO_CLEAR(work, work_clear)

static whist_purse_bill bill_of(const work *w, size_t n_events)
{
    whist_purse_bill bill = {
        .round = w->run.round,
        .name = w->plan->name,
        .events = w->run.events,
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
    wh_spend all;
    WH_TRY(wh_private_run_ask_all(&w->run, &n));
    const whist_purse_bill bill = bill_of(w, n);
    if (w->in->purse) return whist_purse_check(w->in->purse, &bill);
    WH_TRY(wh_spend_events(&all, w->run.events, n));
    if (wh_spend_fits(&all, bill.epsilon, bill.delta)) return WHIST_OK;
    WH_FAIL(WHIST_E_BUDGET,
            "this training would spend epsilon %.4g at delta %g, and study %s allows %g: raise the noise, take fewer "
            "steps, or agree on a larger epsilon",
            wh_spend_epsilon(&all, bill.delta), bill.delta, w->plan->name, bill.epsilon);
}

/* ---- Going on ---- */

static whist_status add_spent(work *w, uint64_t round)
{
    size_t n;
    wh_spend one;
    WH_TRY(wh_private_run_ask(&w->run, round, &n));
    WH_TRY(wh_spend_events(&one, w->run.events, n));
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
    bool good = len == w->run.n * sizeof *w->run.params && round < w->plan->rounds;
    if (good) memcpy(w->run.params, bytes, len);
    whist_ledger_text_free(bytes);
    if (!good) WH_FAIL(WHIST_E_FORMAT, "what the ledger kept of study %s is no model of it", w->plan->name);
    for (uint64_t r = 0; r <= round; r++) WH_TRY(add_spent(w, r));
    w->run.round = *kept = round + 1;
    double any_time;
    return whist_purse_spent(w->in->purse, w->plan->privacy->delta, &w->after, &any_time);
}

/* ---- Rounds ---- */

/* Two equal trainings that run at once: the second to come to a round finds it paid for, with the first one's noise. */
static whist_status pay(work *w, const whist_purse_bill *bill, uint64_t round)
{
    char *bytes = NULL;
    size_t len;
    uint64_t kept;
    bool found;
    whist_status status = whist_purse_pay(w->in->purse, bill, &w->after);
    if (status != WHIST_E_AUTH) return status;
    const whist_detail why = *whist_detail_get();
    WH_TRY(whist_purse_kept(w->in->purse, w->id, &kept, &bytes, &len, &found));
    whist_ledger_text_free(bytes);
    if (found && kept >= round)
        WH_FAIL(WHIST_E_STATE,
                "another run of this training came first to round %llu and paid for it: nothing is charged "
                "twice; the same command again goes on from what it has made",
                (unsigned long long)round);
    WH_FAIL(WHIST_E_AUTH, "%s", why.text);
}

static whist_status do_round(work *w)
{
    size_t n;
    const uint64_t round = w->run.round;
    WH_TRY(wh_private_run_ask(&w->run, round, &n));
    whist_purse_bill bill = bill_of(w, n);
    if (w->in->purse) WH_TRY(whist_purse_check(w->in->purse, &bill));
    WH_TRY(wh_private_run_round(&w->run));
    bill.release = (whist_bytes){(const uint8_t *)w->run.params, w->run.n * sizeof *w->run.params};
    if (w->in->purse) WH_TRY(pay(w, &bill, round));
    return add_spent(w, round);
}

static whist_status do_rounds(work *w)
{
    const uint64_t rounds = w->plan->rounds;
    if (w->run.round < rounds) WH_TRY(check_whole(w));
    while (w->run.round < rounds) {
        WH_TRY(wh_progress(w->in->progress, w->in->user, "train", w->run.round, rounds, "private rounds"));
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

whist_status whist_train_private(whist_private_trained *out, const whist_private_training *in)
{
    WH_ENSURE(out && in && in->plan && in->data, WHIST_E_ARG);
    WH_AUTO(work) w = {.in = in, .plan = in->plan, .after = NAN};
    whist_private_trained done = {0};
    uint8_t text[40];
    whist_purse_id(w.id, "training", whist_private_training_text(text, in->plan), in->run);
    WH_TRY(wh_private_run_begin(&w.run, in->plan, in->data, NULL, in->threads));
    WH_TRY(go_on(&w, &done.kept));
    WH_TRY(do_rounds(&w));
    done.rounds = w.run.round;
    done.epsilon = wh_spend_epsilon(&w.spent, w.plan->privacy->delta);
    done.spent = w.after;
    done.params = w.run.params;
    w.run.params = NULL;
    *out = done;
    return WHIST_OK;
}

void whist_private_trained_clear(whist_private_trained *trained)
{
    wh_free(trained->params);
    *trained = (whist_private_trained){0};
}
