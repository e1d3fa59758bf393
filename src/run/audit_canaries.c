/* run/audit_canaries.c: one private training with planted records under attack.
 *
 * The set is the planted records that a coin put there, and a row without a number, which has no gradient. The training
 * is the learner's own, from the first step to the last (run/private_run.h); it watches for nobody but this attacker,
 * who knows every planted record, though not the coins:
 *
 *   white box   sum over steps of log (1 - q + q exp((s b - b²/2) / σ²)), s the noised gradient's part along that of
 *               the record, b the length of the latter, both in units of the bound: by how much the step speaks for the
 *               record. Other records and correlated noise blur it; a score may be anything
 *   black box   by how much the record's loss fell over the training, over the length of its gradient at first
 *
 * Scores never look at the coins, so that guesses by a fixed rule are those of an attacker who does not know them: half
 * of them for the highest scores, half for the lowest. How many guesses are best depends on what there is to find:
 * TRIES numbers are tried, each at its part of the confidence. */
#include "run/private_run.h"

#include "base/log.h"
#include "dp/one_run.h"
#include "draw/private.h"
#include "draw/stream.h"
#include "learn/learners.h"
#include "nn/clip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

WH_AUTO_FREE(whist_dataset, whist_dataset_free)
WH_AUTO_FREE(whist_model_work, whist_model_work_free)
WH_AUTO_FREE(whist_dp_accountant, whist_dp_accountant_free)

enum { TRIES = 3, LEAST = 10, MOST = 100000, POINTS = 12, SCALES = 6, REFINED = 5 };

typedef struct canaries {
    const whist_canaries_in *in;
    size_t k, d;
    float *x, *y;    /* (k, d), (k) */
    uint8_t *in_set; /* (k) coins */
    double *score;   /* (k) */
    wh_clip *clip;
    float *start;       /* (n) first model */
    double rate, sigma; /* of a step, by the claim */
    uint64_t steps, shown;
    double reach; /* sum over what was shown */
    whist_dp_event events[WHIST_MAX_EVENTS];
    size_t n_events;
    wh_arena memory;
} canaries;

static void canaries_clear(canaries *c)
{
    wh_clip_free(c->clip);
    wh_arena_clear(&c->memory);
}
WH_AUTO_CLEAR(canaries, canaries_clear)

/* ---- What may be audited ---- */

static whist_status check(const whist_canaries_in *in)
{
    const whist_fed_plan *plan = in->plan;
    if (!plan->privacy || !plan->learner->spends || plan->privacy->unit != WHIST_DP_RECORD)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "planted records attack a private learner that makes a promise about records: study %s has none",
                plan->name);
    if (plan->learner != &wh_learner_dp_sgd && plan->learner != &wh_learner_dp_ftrl)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "planted records attack trainings that go on from every noised gradient (dp-sgd, dp-ftrl): learner %s "
                "does not show its releases one by one, and inner steps that are thrown away are seen at no end. whist "
                "dp audit without --canaries says whether it can attack a single step",
                plan->learner->name);
    if (plan->privacy->relation == WHIST_DP_REPLACE)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "records that are planted by a coin are there or not: study %s promises something "
                "about one that becomes another",
                plan->name);
    if (in->shape.vocabulary || in->shape.n_targets > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the audit plants rows of numbers or images, not texts");
    if (!(in->confidence > 0 && in->confidence < 1)) WH_FAIL(WHIST_E_ARG, "confidence lies between 0 and 1");
    const double rows = (double)whist_settings_int(plan->learner_settings, "rows");
    if (in->canaries < LEAST || in->canaries > MOST || !((double)in->canaries < rows))
        WH_FAIL(WHIST_E_ARG, "canaries: %d to %d, and fewer than the %g rows of study %s", LEAST, MOST, rows,
                plan->name);
    return WHIST_OK;
}

/* ---- The planted records ---- */

/* Rows that have long gradients in directions of their own: one large number each where there is a column for each,
 * else large numbers of random signs. They are public: their order and content come from the study's seed. */
static void fill_row(canaries *c, size_t i)
{
    const float size = 10;
    const bool apart = c->d >= c->k && !c->in->shape.height;
    const size_t outputs = c->in->shape.n_outputs;
    float *x = c->x + i * c->d;
    wh_seeded stream;
    wh_seeded_init(&stream, c->in->plan->seed, "canaries", "audit", i);
    for (size_t j = 0; j < c->d; j++) {
        const bool up = wh_seeded_u64(&stream) & 1;
        x[j] = !apart ? (up ? size : -size) : j == i ? size : 0;
    }
    const uint64_t label = wh_seeded_u64(&stream) >> 8;
    c->y[i] = (float)(label % (outputs > 1 ? outputs : 2));
}

static whist_status make(canaries *c)
{
    const size_t n = whist_model_size(c->in->plan->model);
    c->k = (size_t)c->in->canaries;
    c->d = c->in->shape.n_features;
    WH_TRY(WH_ARENA_NEW(&c->x, &c->memory, c->k * c->d));
    WH_TRY(WH_ARENA_NEW(&c->y, &c->memory, c->k));
    WH_TRY(WH_ARENA_NEW(&c->in_set, &c->memory, c->k));
    WH_TRY(WH_ARENA_NEW(&c->score, &c->memory, c->k));
    WH_TRY(WH_ARENA_NEW(&c->start, &c->memory, n));
    for (size_t i = 0; i < c->k; i++) fill_row(c, i);
    const wh_clip_options clip = {.kind = WH_CLIP_FLAT, .n_max = 1};
    return wh_clip_new(&c->clip, c->in->plan->model, &clip);
}

/* Coins, and the set that they make. */
static whist_status plant(whist_dataset **out, canaries *c)
{
    WH_AUTO(wh_private_draw) coins = WH_PRIVATE_DRAW_EMPTY;
    WH_AUTO(wh_owned) memory = NULL;
    const wh_draw_design design = {.kind = WH_DRAW_POISSON, .n = c->k, .rate = 0.5};
    const uint32_t *index;
    size_t n, d = c->d;
    WH_TRY(wh_private_draw_init(&coins, &design));
    WH_TRY(wh_private_draw_next(&coins, &index, &n));
    WH_TRY(wh_alloc(&memory, (n + 1) * (d + 1), sizeof(float)));
    float *x = memory, *y = x + (n + 1) * d;
    for (size_t j = 0; j < d; j++) x[j] = NAN;
    y[0] = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(x + (i + 1) * d, c->x + index[i] * d, d * sizeof *x);
        y[i + 1] = c->y[index[i]];
        c->in_set[index[i]] = 1;
    }
    const whist_rows rows = {.n = n + 1, .d = d, .x = x, .y = y, .n_targets = 1};
    return whist_dataset_from_rows(out, &rows, NULL);
}

static whist_batch alone(const canaries *c, size_t i)
{
    return (whist_batch){.rows = c->x + i * c->d, .target = c->y + i, .n_rows = 1, .n = 1};
}

/* ---- White box ---- */

static double add_logs(double a, double b)
{
    return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

static whist_status see_one(canaries *c, size_t i, const whist_release *r)
{
    const whist_batch batch = alone(c, i);
    double along = 0, length = 0;
    WH_TRY(wh_clip_begin(c->clip, r->clip));
    WH_TRY(wh_clip_add(c->clip, r->model, &batch, NULL));
    const int64_t *own = wh_clip_sum(c->clip);
    for (size_t j = 0; j < r->n; j++) {
        along += (double)own[j] * (double)r->gradient[j];
        length += (double)own[j] * (double)own[j];
    }
    length = sqrt(length);
    if (!(length > 0)) return WHIST_OK;
    const double s = along / length * r->divisor / r->clip, b = length * wh_clip_step(c->clip) / r->clip;
    const double there = (s * b - b * b / 2) / (c->sigma * c->sigma);
    c->score[i] += c->rate < 1 ? add_logs(log1p(-c->rate), log(c->rate) + there) : there;
    c->reach += b;
    return WHIST_OK;
}

static whist_status see(void *user, const whist_release *release)
{
    canaries *c = user;
    WH_TRY(wh_progress(c->in->progress, c->in->user, "audit", c->shown, c->steps, "steps"));
    for (size_t i = 0; i < c->k; i++) WH_TRY(see_one(c, i, release));
    c->shown++;
    return WHIST_OK;
}

/* ---- Black box ---- */

static whist_status look_at_end(canaries *c, const float *end, size_t n)
{
    WH_AUTO(whist_model_work_ptr) work = NULL;
    WH_AUTO(wh_owned) grad = NULL;
    const whist_model *model = c->in->plan->model;
    WH_TRY(whist_model_work_new(&work, model, 1));
    WH_TRY(wh_alloc(&grad, n, sizeof(float)));
    for (size_t i = 0; i < c->k; i++) {
        const whist_batch batch = alone(c, i);
        double before, after, square = 0;
        WH_TRY(whist_model_loss_grad(model, work, c->start, &batch, grad, &before));
        WH_TRY(whist_model_loss_grad(model, work, end, &batch, NULL, &after));
        for (size_t j = 0; j < n; j++) square += (double)((float *)grad)[j] * (double)((float *)grad)[j];
        const double length = sqrt(square), score = (before - after) / length;
        c->score[i] = isfinite(score) ? score : 0;
        c->reach += fmin(1, length / whist_settings_real(c->in->plan->learner_settings, "clip"));
    }
    c->shown = 1;
    return WHIST_OK;
}

/* ---- The training ---- */

/* Noise and rate of a step, as far as the claim is about steps of their own. */
static void read_claim(canaries *c)
{
    c->rate = 1, c->sigma = 1, c->steps = 1;
    for (size_t i = 0; i < c->n_events; i++)
        if (c->events[i].mechanism == WHIST_DP_GAUSSIAN) {
            c->sigma = c->events[i].noise;
            c->steps = c->events[i].count;
            if (c->events[i].sampling == WHIST_DP_POISSON) c->rate = c->events[i].rate;
        }
}

static whist_status train(canaries *c, const whist_dataset *data)
{
    WH_AUTO(wh_private_run) run = {.plan = NULL};
    const whist_release_watch watch = {see, c};
    WH_TRY(wh_private_run_begin(&run, c->in->plan, data, NULL, 1));
    WH_TRY(wh_private_run_ask_all(&run, &c->n_events));
    memcpy(c->events, run.events, sizeof c->events);
    memcpy(c->start, run.params, run.n * sizeof *run.params);
    read_claim(c);
    if (c->in->white_box) run.env.watch = &watch;
    while (run.round < c->in->plan->rounds) WH_TRY(wh_private_run_round(&run));
    if (!c->in->white_box) return look_at_end(c, run.params, run.n);
    if (c->shown == 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "learner %s shows no steps: the attack on it sees the final model only",
                c->in->plan->learner->name);
    return WHIST_OK;
}

/* ---- What the guesses say ---- */

typedef struct guesses {
    uint64_t n[TRIES], right[TRIES];
} guesses;

typedef struct ranked {
    double score;
    uint32_t index;
} ranked;

static int falling(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static whist_status guess(guesses *out, const canaries *c)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, c->k, sizeof(ranked) + sizeof(uint32_t)));
    ranked *rank = memory;
    uint32_t *order = (uint32_t *)(rank + c->k);
    for (size_t i = 0; i < c->k; i++) rank[i] = (ranked){c->score[i], (uint32_t)i};
    qsort(rank, c->k, sizeof *rank, falling);
    for (size_t i = 0; i < c->k; i++) order[i] = rank[i].index;
    for (int t = 0; t < TRIES; t++) {
        const size_t n = c->k >> (t + 1) & ~(size_t)1;
        out->n[t] = n < 2 ? 2 : n;
        out->right[t] = wh_dp_one_run_right(order, c->in_set, c->k, out->n[t]);
    }
    return WHIST_OK;
}

/* The claim with `scale` times its noise: an accountant, and what lies outside it (tails, by basic composition). */
typedef struct claim {
    whist_dp_accountant *accountant;
    double epsilon, delta;
} claim;

static void claim_clear(claim *c)
{
    whist_dp_accountant_free(c->accountant);
}
WH_AUTO_CLEAR(claim, claim_clear)

static whist_status claim_begin(claim *out, const canaries *c, double scale, double width)
{
    const whist_fed_privacy *p = c->in->plan->privacy;
    const whist_dp_options options = {.method = WHIST_DP_PLD, .relation = p->relation, .unit = p->unit, .width = width};
    WH_TRY(whist_dp_accountant_new(&out->accountant, &options));
    for (size_t i = 0; i < c->n_events; i++) {
        whist_dp_event event = c->events[i];
        if (event.mechanism == WHIST_DP_APPROXIMATE) {
            out->delta += event.delta;
            out->epsilon += event.epsilon;
            continue;
        }
        event.noise *= scale;
        event.relation = p->relation;
        event.unit = p->unit;
        WH_TRY(whist_dp_compose(out->accountant, &event));
    }
    return WHIST_OK;
}

static whist_status claim_epsilon(double *out, claim *c, double delta)
{
    whist_dp_answer answer;
    WH_TRY(whist_dp_epsilon(&answer, c->accountant, delta - c->delta));
    *out = answer.upper + c->epsilon;
    return WHIST_OK;
}

/* Whether the training with this much noise is out of the question. Points are upper ends within a fiftieth: more or
 * sharper ones would only refute a little more. */
static whist_status try_scale(bool *refuted, const canaries *c, const guesses *g, double scale)
{
    WH_AUTO(claim) scaled = {.accountant = NULL};
    double e[POINTS], d[POINTS];
    const wh_dp_claim curve = {e, d, POINTS};
    WH_TRY(claim_begin(&scaled, c, scale, 0.02));
    for (int i = 0; i < POINTS; i++) {
        d[i] = ldexp(0.4, -i);
        WH_TRY(claim_epsilon(&e[i], &scaled, d[i]));
    }
    *refuted = false;
    for (int t = 0; t < TRIES; t++)
        *refuted |= wh_dp_one_run_refutes(&curve, c->k, g->n[t], g->right[t], (1 - c->in->confidence) / TRIES);
    return WHIST_OK;
}

/* Epsilon at the plan's delta, within 10^-4. */
static whist_status prove(double *epsilon, const canaries *c, double scale)
{
    WH_AUTO(claim) whole = {.accountant = NULL};
    WH_TRY(claim_begin(&whole, c, scale, 0));
    return claim_epsilon(epsilon, &whole, c->in->plan->privacy->delta);
}

/* Less noise is harder to refute: *least (log2) is the least that is refuted, within a 32nd part of a factor of two;
 * INFINITY where 64 times the noise is not. */
static whist_status least_refuted(double *least, const canaries *c, const guesses *g)
{
    bool first, refuted;
    int at = 0;
    WH_TRY(try_scale(&first, c, g, 1));
    *least = first ? 0 : INFINITY;
    do {
        at += first ? -1 : 1;
        WH_TRY(try_scale(&refuted, c, g, exp2(at)));
        if (refuted) *least = at;
    } while (refuted == first && at > -SCALES && at < SCALES);
    if (refuted == first) return WHIST_OK;
    double low = first ? at : at - 1; /* not refuted; low + 1 is */
    for (double step = 0.5; step >= ldexp(1, -REFINED); step /= 2) {
        WH_TRY(try_scale(&refuted, c, g, exp2(low + step)));
        if (refuted)
            *least = low + step;
        else
            low += step;
    }
    return WHIST_OK;
}

static whist_status bound_by_law(whist_canaries *out, const canaries *c, const guesses *g)
{
    double least;
    WH_TRY(least_refuted(&least, c, g));
    WH_TRY(prove(&out->proven, c, 1));
    out->refuted = least <= 0;
    return isinf(least) ? WHIST_OK : prove(&out->by_law, c, exp2(least));
}

static whist_status judge(whist_canaries *out, const canaries *c)
{
    guesses g;
    WH_TRY(guess(&g, c));
    for (int t = 0; t < TRIES; t++) {
        const double epsilon = wh_dp_one_run_epsilon(c->k, g.n[t], g.right[t], c->in->plan->privacy->delta,
                                                     (1 - c->in->confidence) / TRIES);
        if (t && epsilon <= out->attacked) continue;
        out->attacked = epsilon;
        out->guesses = g.n[t];
        out->right = g.right[t];
    }
    return bound_by_law(out, c, &g);
}

whist_status whist_audit_canaries(whist_canaries *out, const whist_canaries_in *in)
{
    WH_ENSURE(out && in && in->plan, WHIST_E_ARG);
    WH_AUTO(canaries) c = {.in = in, .memory = WH_ARENA_EMPTY};
    WH_AUTO(whist_dataset_ptr) data = NULL;
    whist_canaries found = {.confidence = in->confidence, .canaries = in->canaries};
    WH_TRY(check(in));
    WH_TRY(make(&c));
    WH_TRY(plant(&data, &c));
    WH_TRY(train(&c, data));
    found.delta = in->plan->privacy->delta;
    WH_TRY(judge(&found, &c));
    for (size_t i = 0; i < c.k; i++) found.there += c.in_set[i];
    found.steps = c.steps;
    found.reach = c.reach / (double)c.k / (double)c.shown;
    *out = found;
    return WHIST_OK;
}
