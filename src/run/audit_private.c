/* run/audit_private.c: the private step of a study under attack.
 *
 * Worlds. Promises are about any data, so the auditor takes the worst: a set of one record without a gradient (it holds
 * no number), with or without a planted record whose gradient has the full norm; or, for replaced records, with one of
 * two. The attacker knows the record, sees every noised gradient or sum, and scores a run by the likelihood ratio of
 * what the study claims (audit_step.c, audit_ftrl.c, audit_records.c: what runs is the learner's own). That is the best
 * score where the claim is true, and a score like any other where it is not. */
#include "run/audit_parts.h"

#include "base/log.h"
#include "crypt/random.h"
#include "dp/audit.h"
#include "fed/private.h"
#include "learn/learners.h"
#include "meta/dp_learners.h"

#include <math.h>
#include <string.h>

enum { TRIED = 16, MOST_TRIALS = 10000000 };

static void audit_clear(wh_audit *a)
{
    wh_arena_clear(&a->memory);
}
WH_AUTO_CLEAR(wh_audit, audit_clear)

/* ---- What may be audited ---- */

/* How this learner releases; NULL, and why there is no attack on it. */
static const wh_audited *kind_of(const char **why, const whist_fed_plan *plan)
{
    const whist_learner_class *l = plan->learner;
    *why = "makes no promise: give it a section privacy";
    if (!plan->privacy) return NULL;
    *why = "promises something about a task: all rows of a person, of which the worst are not known. What such a task "
           "puts into the sum is bounded and noised by learn/dp_sum.h, whose law its tests compare";
    if (l == &wh_learner_dp_meta) return NULL;
    *why = "releases sums of embedded rows, and no row is known that reaches the bound under every embedding. They are "
           "bounded and noised by learn/dp_sum.h, whose law its tests compare";
    if (l == &wh_learner_dp_protonet) return NULL;
    *why = "promises something about a site: the worst update there is no rows make. Its bound is checked on the whole "
           "numbers that leave, and fed's tests compare the noise with what is charged. Set unit: record, and learner "
           "dp-sgd, dp-ftrl, dp-reptile, dp-fomaml or record-sum";
    if (plan->privacy->unit != WHIST_DP_RECORD) return NULL;
    *why =
        "has a learner of its own: the audit knows how dp-sgd, dp-ftrl, dp-reptile, dp-fomaml and record-sum release";
    if (l == &wh_learner_dp_sgd || l == &wh_learner_dp_reptile || l == &wh_learner_dp_fomaml) return &wh_audited_step;
    if (l == &wh_learner_dp_ftrl) return &wh_audited_ftrl;
    return l == &wh_learner_record_sum && wh_private_is_of_records(plan) ? &wh_audited_records : NULL;
}

static whist_status check(const wh_audited **kind, const whist_audit_in *in)
{
    const char *why;
    *kind = kind_of(&why, in->plan);
    if (!*kind) WH_FAIL(WHIST_E_UNSUPPORTED, "study %s %s", in->plan->name, why);
    if (in->shape.vocabulary || in->shape.n_targets > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the audit plants rows of numbers or images, not texts");
    if (in->trials < 100 || in->trials > MOST_TRIALS)
        WH_FAIL(WHIST_E_ARG, "trials: 100 to %d in each world", MOST_TRIALS);
    if (!(in->confidence > 0 && in->confidence < 1)) WH_FAIL(WHIST_E_ARG, "confidence lies between 0 and 1");
    return WHIST_OK;
}

static whist_status make(wh_audit *a)
{
    const whist_fed_plan *plan = a->in->plan;
    a->n = whist_model_size(plan->model);
    a->d = a->in->shape.n_features;
    WH_TRY(WH_ARENA_NEW(&a->params, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&a->direction, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&a->x, &a->memory, 2 * a->d));
    WH_TRY(WH_ARENA_NEW(&a->y, &a->memory, 2));
    for (int w = 0; w < 2; w++) {
        WH_TRY(WH_ARENA_NEW(&a->planted[w], &a->memory, a->d));
        WH_TRY(WH_ARENA_NEW(&a->score[w], &a->memory, a->in->trials));
    }
    whist_model_init(plan->model, a->params, plan->seed);
    for (size_t j = 0; j < a->d; j++) a->x[j] = NAN;
    return a->kind->make(a);
}

static bool is_replaced(const wh_audit *a)
{
    return a->in->replaced || a->in->plan->privacy->relation == WHIST_DP_REPLACE;
}

/* ---- The planted record ---- */

/* The gradient of one record, clipped to `bound`, in units of the study's bound. */
static whist_status gradient_of(double *out, double *norm, wh_audit *a, const float *x, float y, double bound)
{
    WH_AUTO(wh_clip_ptr) clip = NULL;
    const whist_batch batch = {.rows = x, .target = &y, .n_rows = 1, .n = 1};
    const wh_clip_options options = {.kind = a->clipping, .n_max = 1};
    WH_TRY(wh_clip_new(&clip, a->in->plan->model, &options));
    WH_TRY(wh_clip_begin(clip, bound));
    WH_TRY(wh_clip_add(clip, a->params, &batch, NULL));
    double sum = 0;
    for (size_t i = 0; i < a->n; i++) {
        out[i] = (double)wh_clip_sum(clip)[i] * wh_clip_step(clip) / a->clip;
        sum += out[i] * out[i];
    }
    *norm = sqrt(sum);
    return WHIST_OK;
}

/* Uniform in [-1, 1): what is tried is public, only the noise of the step must be what it is. */
static whist_status fill(float *x, size_t d, float scale)
{
    WH_AUTO(wh_owned) bytes = NULL;
    WH_TRY(wh_alloc(&bytes, d, 1));
    WH_TRY(wh_random_bytes(bytes, d));
    for (size_t j = 0; j < d; j++) x[j] = scale * ((float)((uint8_t *)bytes)[j] / 128 - 1);
    return WHIST_OK;
}

/* Of the planted row and its mirror image, long and short, under either label, the one whose gradient is farthest from
 * `best`. */
static whist_status plant_other(wh_audit *a, double *other, const double *best)
{
    WH_AUTO(wh_owned) memory = NULL;
    const size_t outputs = a->in->shape.n_outputs;
    const float flipped = outputs > 1 ? (float)(((size_t)a->label[1] + 1) % outputs) : 1 - a->label[1];
    double most = -1, norm;
    WH_TRY(wh_alloc(&memory, a->n, sizeof(double)));
    double *tried = memory;
    float *x = a->x + a->d;        /* its place until the trials begin */
    for (int k = 0; k < 16; k++) { /* under a saturated model only a shorter row pulls the other way */
        static const float scales[] = {1, 0.3F, 0.1F, 0.03F};
        const float y = k & 1 ? flipped : a->label[1], scale = (k & 2 ? -1 : 1) * scales[k / 4];
        double distance = 0;
        for (size_t j = 0; j < a->d; j++) x[j] = scale * a->planted[1][j];
        WH_TRY(gradient_of(tried, &norm, a, x, y, a->clip));
        for (size_t i = 0; i < a->n; i++) distance += (tried[i] - best[i]) * (tried[i] - best[i]);
        if (!(distance > most)) continue;
        most = distance;
        memcpy(other, tried, a->n * sizeof *other);
        memcpy(a->planted[0], x, a->d * sizeof *x);
        a->label[0] = y;
    }
    return WHIST_OK;
}

/* Of some records the one with the longest gradient before it is clipped: it reaches the bound where any does, and goes
 * far beyond it where nobody clips. */
static whist_status plant(wh_audit *a)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, 2 * a->n + a->d, sizeof(double)));
    double *best = memory, *other = best + a->n, most = -1, norm, length = 0;
    float *x = (float *)(other + a->n);
    const size_t outputs = a->in->shape.n_outputs;
    for (int t = 0; t < TRIED; t++) {
        const float y = outputs > 1 ? (float)((size_t)t % outputs) : (float)(t % 2);
        WH_TRY(fill(x, a->d, t < TRIED / 2 ? 1 : 30));
        WH_TRY(gradient_of(other, &norm, a, x, y, 0x1p20));
        if (!(norm > most)) continue;
        most = norm;
        memcpy(a->planted[1], x, a->d * sizeof *x);
        a->label[1] = y;
    }
    WH_TRY(gradient_of(best, &norm, a, a->planted[1], a->label[1], a->clip));
    memset(other, 0, a->n * sizeof *other);
    if (is_replaced(a)) WH_TRY(plant_other(a, other, best));
    for (size_t i = 0; i < a->n; i++) a->direction[i] = best[i] - other[i], length += a->direction[i] * a->direction[i];
    length = sqrt(length);
    if (!(length > 0)) WH_FAIL(WHIST_E_UNSUPPORTED, "no planted record has a gradient under this model");
    for (size_t i = 0; i < a->n; i++) {
        a->direction[i] /= length;
        a->place[0] += a->direction[i] * other[i];
        a->place[1] += a->direction[i] * best[i];
    }
    return WHIST_OK;
}

/* ---- Trials ---- */

double wh_audit_along(const wh_audit *a, const float *grad)
{
    double sum = 0;
    for (size_t i = 0; i < a->n; i++) sum += a->direction[i] * (double)grad[i];
    return sum;
}

static whist_status run_trials(wh_audit *a, int world)
{
    for (uint64_t t = 0; t < a->in->trials; t++) {
        if (t % 64 == 0)
            WH_TRY(wh_progress(a->in->progress, a->in->user, "audit", (uint64_t)world * a->in->trials + t,
                               2 * a->in->trials, "trials"));
        WH_TRY(a->kind->trial(&a->score[world][t], a));
    }
    return WHIST_OK;
}

static whist_status run_world(wh_audit *a, int world)
{
    const bool there = world == 1 || is_replaced(a);
    const whist_rows rows = {.n = there ? 2 : 1, .d = a->d, .x = a->x, .y = a->y, .n_targets = 1};
    memcpy(a->x + a->d, a->planted[world], a->d * sizeof *a->x);
    a->y[1] = a->label[world];
    whist_status status = a->kind->enter(a, &rows);
    if (status == WHIST_OK) status = run_trials(a, world);
    a->kind->leave(a);
    return status;
}

/* ---- What is proven ---- */

whist_status wh_audit_prove(double *out, const wh_audit *a, whist_dp_event *events, size_t n)
{
    const whist_fed_privacy *p = a->in->plan->privacy;
    whist_dp_accountant *accountant;
    whist_dp_answer answer;
    const whist_dp_options options = {.method = WHIST_DP_PLD, .relation = p->relation, .unit = p->unit};
    WH_TRY(whist_dp_accountant_new(&accountant, &options));
    whist_status status = WHIST_OK;
    double delta = p->delta, epsilon = 0;
    for (size_t i = 0; i < n && status == WHIST_OK; i++) {
        if (events[i].mechanism == WHIST_DP_APPROXIMATE) { /* a tail: by basic composition, no grid is fine enough */
            delta -= events[i].delta;
            epsilon += events[i].epsilon;
            continue;
        }
        events[i].relation = p->relation;
        events[i].unit = p->unit;
        status = whist_dp_compose(accountant, &events[i]);
    }
    if (status == WHIST_OK) status = whist_dp_epsilon(&answer, accountant, delta);
    if (status == WHIST_OK) *out = answer.upper + epsilon;
    whist_dp_accountant_free(accountant);
    return status;
}

whist_status whist_audit_private(whist_audit *out, const whist_audit_in *in)
{
    WH_ENSURE(out && in && in->plan, WHIST_E_ARG);
    WH_AUTO(wh_audit) a = {.in = in, .memory = WH_ARENA_EMPTY};
    whist_audit found = {.delta = 0, .confidence = in->confidence, .trials = in->trials};
    wh_dp_attack attack;
    WH_TRY(check(&a.kind, in));
    WH_TRY(make(&a));
    WH_TRY(a.kind->prove(&found.proven, &a));
    WH_TRY(plant(&a));
    for (int world = 0; world < 2; world++) WH_TRY(run_world(&a, world));
    found.delta = in->plan->privacy->delta;
    WH_TRY(wh_dp_attack_scores(&attack, a.score[0], a.score[1], in->trials, found.delta, in->confidence));
    found.attacked = attack.epsilon;
    found.false_alarms = attack.false_alarms;
    found.misses = attack.misses;
    found.steps = a.steps;
    found.canary = a.place[1] - a.place[0];
    *out = found;
    return WHIST_OK;
}
