/* run/search_private.c: hyper-parameter search as one private release: the best of many trainings.
 *
 * Trials are made in memory one after the other, and only the best of them so far is remembered; what is charged and
 * kept is that one. Scores come from validation rows that the study has said to be no part of the promise (metrics:
 * plain), so that a score is post-processing of its model.
 *
 * What two worlds must not tell apart includes how many trials there were: it is drawn, and nowhere told. */
#include "run/private_run.h"

#include "base/buf.h"
#include "base/log.h"
#include "crypt/random.h"
#include "fed/spend.h"

#include <math.h>
#include <string.h>

enum { HOW_RANDOM = 2, MAX_CANDIDATES = 4096 };

typedef struct way {
    const char *name;
    double shape; /* NaN: each once */
    whist_dp_event events[WHIST_MAX_EVENTS + 1];
    size_t n;
    double epsilon;
} way;

typedef struct search {
    const whist_private_search *in;
    const whist_fed_plan *plan;
    whist_dp_event run[WHIST_MAX_EVENTS], tails[WHIST_MAX_EVENTS]; /* of one trial: what repeats, what lies outside */
    size_t n_run, n_tails;
    way ways[HOW_RANDOM + 1];
    const way *chosen;
    uint8_t id[32];
    float *best; /* (n) */
    size_t n, best_candidate;
    double best_score;
    const whist_metric *metric;
} search;

static void search_clear(search *s)
{
    if (s->best) wh_wipe(s->best, s->n * sizeof *s->best);
    wh_free(s->best);
}
WH_AUTO_CLEAR(search, search_clear)

/* ---- What may be searched ---- */

static whist_status check(search *s)
{
    const whist_fed_plan *plan = s->plan;
    const whist_private_search *in = s->in;
    if (in->n_candidates < 2 || in->n_candidates > MAX_CANDIDATES)
        WH_FAIL(WHIST_E_ARG, "a search has 2 to %d candidates, not %zu", MAX_CANDIDATES, in->n_candidates);
    if (!(in->trials > 1 && in->trials <= 1e4)) WH_FAIL(WHIST_E_ARG, "trials: a mean above 1, up to 10,000");
    if (plan->n_metrics == 0) WH_FAIL(WHIST_E_UNSUPPORTED, "a search needs a metric: the study names none");
    if (!plan->privacy || !plan->privacy->plain_metrics)
        WH_FAIL(
            WHIST_E_UNSUPPORTED,
            "a search looks at the metrics of validation rows: say metrics: plain in privacy, which makes these rows "
            "no part of the promise, or search on public rows");
    if (whist_dataset_rows(in->training->data, WHIST_FOLD_VALIDATION).n == 0)
        WH_FAIL(
            WHIST_E_UNSUPPORTED,
            "a search needs validation rows, apart from those that test what it found: set split.validation_fraction");
    s->metric = whist_metric_find(plan->metrics[0]);
    WH_ENSURE(s->metric, WHIST_E_ARG);
    return WHIST_OK;
}

static bool same_event(const whist_dp_event *a, const whist_dp_event *b)
{
    return a->mechanism == b->mechanism && a->noise == b->noise && a->epsilon == b->epsilon && a->delta == b->delta &&
           a->sampling == b->sampling && a->rate == b->rate && a->n == b->n && a->batch == b->batch &&
           a->bins == b->bins && a->count == b->count && a->steps == b->steps && a->rho == b->rho;
}

/* The price of one trial, which is that of every candidate. */
static whist_status price_trial(search *s)
{
    whist_dp_event first[WHIST_MAX_EVENTS];
    size_t n = 0, n_first = 0;
    for (size_t c = 0; c < s->in->n_candidates; c++) {
        WH_AUTO(wh_private_run) run = {.plan = NULL};
        WH_TRY(wh_private_run_begin(&run, s->plan, s->in->training->data, s->in->candidates[c], 1));
        WH_TRY(wh_private_run_ask_all(&run, &n));
        if (c == 0) memcpy(first, run.events, sizeof first), n_first = n, s->n = run.n;
        bool same = n == n_first;
        for (size_t i = 0; same && i < n; i++) same = same_event(&run.events[i], &first[i]);
        if (!same)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "candidates spend differently: search over settings that change no price (lr, clip, optimizer, …), "
                    "and fix noise, rate, rows and updates");
    }
    for (size_t i = 0; i < n; i++)
        if (first[i].mechanism == WHIST_DP_APPROXIMATE)
            s->tails[s->n_tails++] = first[i];
        else
            s->run[s->n_run++] = first[i];
    return WHIST_OK;
}

/* ---- Ways and their prices ---- */

/* Tails are probabilities that a trial is not the one that is accounted: they add up over the trials there are in the
 * mean. */
static void add_tails(way *w, const search *s, double trials)
{
    for (size_t i = 0; i < s->n_tails; i++) {
        whist_dp_event tail = s->tails[i];
        tail.delta *= trials * (double)(tail.count ? tail.count : 1);
        tail.count = 1;
        w->events[w->n++] = tail;
    }
}

static whist_status price_way(way *w, search *s)
{
    const double n = (double)s->in->n_candidates;
    wh_spend spend;
    if (isnan(w->shape)) {
        for (size_t i = 0; i < s->n_run; i++) {
            w->events[w->n] = s->run[i];
            w->events[w->n].count = (s->run[i].count ? s->run[i].count : 1) * s->in->n_candidates;
            w->n++;
        }
        add_tails(w, s, n);
    } else {
        w->events[w->n++] = (whist_dp_event){
            .mechanism = WHIST_DP_REPEAT,
            .inner = s->run,
            .n_inner = s->n_run,
            .mean = s->in->trials,
            .shape = w->shape,
            .relation = s->run[0].relation,
            .unit = s->run[0].unit,
        };
        add_tails(w, s, s->in->trials);
    }
    WH_TRY(wh_spend_events(&spend, w->events, w->n));
    w->epsilon = wh_spend_epsilon(&spend, s->plan->privacy->delta);
    return WHIST_OK;
}

static whist_status choose_way(search *s)
{
    s->ways[0] = (way){.name = "geometric", .shape = 1};
    s->ways[1] = (way){.name = "logarithmic", .shape = 0};
    s->ways[HOW_RANDOM] = (way){.name = "each once", .shape = NAN};
    for (int i = 0; i <= HOW_RANDOM; i++) {
        WH_TRY(price_way(&s->ways[i], s));
        if (!s->chosen || s->ways[i].epsilon < s->chosen->epsilon) s->chosen = &s->ways[i];
    }
    return WHIST_OK;
}

/* ---- Trials ---- */

static bool better(const search *s, double score)
{
    if (isnan(s->best_score) || isnan(score)) return isnan(s->best_score) && !isnan(score);
    return s->metric->higher_is_better ? score > s->best_score : score < s->best_score;
}

static whist_status try_candidate(search *s, size_t c)
{
    WH_AUTO(wh_private_run) run = {.plan = NULL};
    const whist_private_training *t = s->in->training;
    const whist_rows rows = whist_dataset_rows(t->data, WHIST_FOLD_VALIDATION);
    whist_metric_value value;
    WH_TRY(wh_private_run_begin(&run, s->plan, t->data, s->in->candidates[c], t->threads));
    while (run.round < s->plan->rounds) {
        whist_status status = wh_private_run_round(&run);
        if (status == WHIST_E_RANGE) return WHIST_OK; /* it ran away: the worst score there is, and as private */
        WH_TRY(status);
        WH_TRY(wh_progress(t->progress, t->user, "search", 0, 0, "private trials"));
    }
    WH_TRY(whist_learn_evaluate(&value, s->plan->model, run.params, &rows, s->plan->metrics, 1));
    double score = value.den > 0 ? value.num / value.den : NAN;
    if (!better(s, score)) return WHIST_OK;
    s->best_score = score;
    s->best_candidate = c;
    memcpy(s->best, run.params, s->n * sizeof *s->best);
    return WHIST_OK;
}

static whist_status do_trials(search *s)
{
    const size_t n = s->in->n_candidates;
    uint64_t trials = n;
    const bool once = isnan(s->chosen->shape);
    WH_TRY(WH_NEW(&s->best, s->n));
    s->best_score = NAN;
    if (!once) WH_TRY(whist_dp_repeat_draw(&trials, s->in->trials, s->chosen->shape));
    for (uint64_t t = 0; t < trials; t++) {
        uint64_t c = t;
        if (!once) WH_TRY(wh_random_below(&c, n));
        WH_TRY(try_candidate(s, (size_t)c));
    }
    if (isnan(s->best_score))
        WH_FAIL(WHIST_E_RANGE, "no trial of the search came to a model with a score: nothing is released");
    return WHIST_OK;
}

/* ---- Release: the candidate's number (u64), then the model ---- */

static whist_status pay(search *s, double *after)
{
    WH_AUTO(wh_buf) release = WH_BUF_EMPTY;
    whist_purse_bill bill = {
        .name = s->plan->name,
        .events = s->chosen->events,
        .n_events = s->chosen->n,
        .epsilon = s->plan->privacy->epsilon,
        .delta = s->plan->privacy->delta,
    };
    memcpy(bill.id, s->id, sizeof bill.id);
    whist_purse *purse = s->in->training->purse;
    WH_TRY(wh_buf_u64(&release, s->best_candidate));
    WH_TRY(wh_buf_add(&release, s->best, s->n * sizeof *s->best));
    bill.release = wh_buf_view(&release);
    return purse ? whist_purse_pay(purse, &bill, after) : WHIST_OK;
}

/* Before anything is trained in vain. */
static whist_status check_budget(const search *s)
{
    const whist_purse_bill bill = {
        .name = s->plan->name,
        .events = s->chosen->events,
        .n_events = s->chosen->n,
        .epsilon = s->plan->privacy->epsilon,
        .delta = s->plan->privacy->delta,
    };
    if (s->in->training->purse) return whist_purse_check(s->in->training->purse, &bill);
    if (s->chosen->epsilon <= bill.epsilon) return WHIST_OK;
    WH_FAIL(WHIST_E_BUDGET, "the search would spend epsilon %.4g at delta %g, and study %s allows %g",
            s->chosen->epsilon, bill.delta, s->plan->name, bill.epsilon);
}

static whist_status take_kept(search *s, bool *found, double *after)
{
    char *bytes = NULL;
    size_t len;
    uint64_t round;
    whist_purse *purse = s->in->training->purse;
    *found = false;
    if (!purse) return WHIST_OK;
    WH_TRY(whist_purse_kept(purse, s->id, &round, &bytes, &len, found));
    if (!*found) return WHIST_OK;
    wh_cursor cursor = wh_cursor_over((whist_bytes){(const uint8_t *)bytes, len});
    uint64_t candidate = 0;
    bool good = len == 8 + s->n * sizeof *s->best && wh_take_u64(&cursor, &candidate) == WHIST_OK &&
                candidate < s->in->n_candidates;
    whist_status status = good ? WH_NEW(&s->best, s->n) : WHIST_OK;
    if (good && status == WHIST_OK) memcpy(s->best, bytes + 8, len - 8);
    s->best_candidate = (size_t)candidate;
    whist_ledger_text_free(bytes);
    if (!good) WH_FAIL(WHIST_E_FORMAT, "what the ledger kept of this search is no model of study %s", s->plan->name);
    WH_TRY(status);
    return whist_purse_spent(purse, s->plan->privacy->delta, after);
}

static whist_status single_epsilon(double *out, const search *s)
{
    wh_spend spend;
    WH_TRY(wh_spend_events(&spend, s->run, s->n_run));
    *out = wh_spend_epsilon(&spend, s->plan->privacy->delta);
    return WHIST_OK;
}

static whist_status identify(search *s)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    uint8_t plan[40];
    const whist_bytes first = whist_private_training_text(plan, s->plan);
    WH_TRY(wh_buf_add(&text, first.data, first.len));
    WH_TRY(wh_buf_add(&text, s->in->text.data, s->in->text.len));
    whist_purse_id(s->id, "search", wh_buf_view(&text), s->in->training->run);
    return WHIST_OK;
}

whist_status whist_search_private(whist_private_found *out, const whist_private_search *in)
{
    WH_ENSURE(out && in && in->training && in->training->plan && in->training->data && in->candidates, WHIST_E_ARG);
    WH_AUTO(search) s = {.in = in, .plan = in->training->plan};
    whist_private_found done = {.trained = {.spent = NAN}};
    bool found;
    WH_TRY(check(&s));
    WH_TRY(identify(&s));
    WH_TRY(price_trial(&s));
    WH_TRY(choose_way(&s));
    WH_TRY(single_epsilon(&done.single, &s));
    WH_TRY(take_kept(&s, &found, &done.trained.spent));
    if (!found) {
        WH_TRY(check_budget(&s));
        WH_TRY(do_trials(&s));
        WH_TRY(pay(&s, &done.trained.spent));
    }
    done.trained.rounds = s.plan->rounds;
    done.trained.kept = found ? s.plan->rounds : 0;
    done.trained.epsilon = s.chosen->epsilon;
    done.trained.params = s.best;
    s.best = NULL;
    done.best = s.best_candidate;
    done.how = s.chosen->name;
    done.random = fmin(s.ways[0].epsilon, s.ways[1].epsilon);
    done.once = s.ways[HOW_RANDOM].epsilon;
    *out = done;
    return WHIST_OK;
}
