/* run/audit_private.c: the private step of a study under attack.
 *
 * Worlds. Promises are about any data, so the auditor takes the worst: a set of one record without a gradient (it holds
 * no number), with or without a planted record whose gradient has the full norm; or, for replaced records, with one of
 * two. The attacker knows the record, sees every noised gradient, and scores a run by the likelihood ratio of what the
 * study claims:
 *
 *     sum over steps of  log (1 - q + q exp((s b - b²/2) / σ²)) / (1 - q + q exp((s a - a²/2) / σ²))
 *
 * with s the gradient's part along the difference of the two worlds, in units of the bound, and a, b where the worlds
 * have it. That is the best score where the claim is true, and a score like any other where it is not. What runs is the
 * step of learn/dp_step.h itself: sampling, clipping, sums, noise. */
#include "run/private_run.h"

#include "base/log.h"
#include "crypt/random.h"
#include "dp/audit.h"
#include "learn/dp_step.h"
#include "learn/learners.h"
#include "learn/local.h"

#include <math.h>
#include <string.h>

enum { TRIED = 16, MOST_TRIALS = 10000000 };

typedef struct audit {
    const whist_audit_in *in;
    wh_dp_step_options options;
    uint64_t steps;
    size_t n, d;
    float *params, *grad; /* (n) */
    float *x, *y;         /* (2, d), (2): row 0 without a gradient, row 1 planted */
    float *planted[2], label[2];
    double *direction; /* (n) of length 1: from world 0 to world 1 */
    double place[2];   /* of the worlds along it, over the bound */
    double inflation;
    double *score[2]; /* (trials) */
    wh_arena memory;
} audit;

static void audit_clear(audit *a)
{
    wh_arena_clear(&a->memory);
}
WH_AUTO_CLEAR(audit, audit_clear)

/* ---- What may be audited ---- */

static whist_status check(const whist_audit_in *in)
{
    const whist_fed_plan *plan = in->plan;
    if (!plan->privacy || plan->learner != &wh_learner_dp_sgd || plan->privacy->unit != WHIST_DP_RECORD)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "the audit attacks the private step of learner dp-sgd, promised for records: study %s "
                "has another",
                plan->name);
    if (in->shape.vocabulary || in->shape.n_targets > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the audit plants rows of numbers or images, not texts");
    if (in->trials < 100 || in->trials > MOST_TRIALS)
        WH_FAIL(WHIST_E_ARG, "trials: 100 to %d in each world", MOST_TRIALS);
    if (!(in->confidence > 0 && in->confidence < 1)) WH_FAIL(WHIST_E_ARG, "confidence lies between 0 and 1");
    return WHIST_OK;
}

static whist_status make(audit *a)
{
    const whist_fed_plan *plan = a->in->plan;
    const uint64_t updates = (uint64_t)whist_settings_int(plan->learner_settings, "updates");
    wh_dp_step_options_read(&a->options, plan->learner_settings);
    a->steps = updates * plan->rounds;
    a->n = whist_model_size(plan->model);
    a->d = a->in->shape.n_features;
    WH_TRY(WH_ARENA_NEW(&a->params, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&a->grad, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&a->direction, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&a->x, &a->memory, 2 * a->d));
    WH_TRY(WH_ARENA_NEW(&a->y, &a->memory, 2));
    for (int w = 0; w < 2; w++) {
        WH_TRY(WH_ARENA_NEW(&a->planted[w], &a->memory, a->d));
        WH_TRY(WH_ARENA_NEW(&a->score[w], &a->memory, a->in->trials));
    }
    whist_model_init(plan->model, a->params, plan->seed);
    for (size_t j = 0; j < a->d; j++) a->x[j] = NAN;
    return WHIST_OK;
}

static bool is_replaced(const audit *a)
{
    return a->in->replaced || a->in->plan->privacy->relation == WHIST_DP_REPLACE;
}

/* ---- The planted record ---- */

/* The gradient of one record, clipped to `bound`, in units of the study's bound. */
static whist_status gradient_of(double *out, double *norm, audit *a, const float *x, float y, double bound)
{
    WH_AUTO(wh_clip_ptr) clip = NULL;
    const whist_batch batch = {.rows = x, .target = &y, .n_rows = 1, .n = 1};
    const wh_clip_options options = {.kind = a->options.clipping, .n_max = 1};
    WH_TRY(wh_clip_new(&clip, a->in->plan->model, &options));
    WH_TRY(wh_clip_begin(clip, bound));
    WH_TRY(wh_clip_add(clip, a->params, &batch, NULL));
    double sum = 0;
    for (size_t i = 0; i < a->n; i++) {
        out[i] = (double)wh_clip_sum(clip)[i] * wh_clip_step(clip) / a->options.clip;
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
static whist_status plant_other(audit *a, double *other, const double *best)
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
        WH_TRY(gradient_of(tried, &norm, a, x, y, a->options.clip));
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
static whist_status plant(audit *a)
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
    WH_TRY(gradient_of(best, &norm, a, a->planted[1], a->label[1], a->options.clip));
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

static double add_logs(double a, double b)
{
    return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

static double log_likelihood(const audit *a, double s, double place)
{
    const double sigma = a->options.sigma * a->inflation, q = a->options.rate;
    const double there = (s * place - place * place / 2) / (sigma * sigma);
    return q < 1 ? add_logs(log1p(-q), log(q) + there) : there;
}

static whist_status run_trial(double *score, audit *a, wh_dp_step *step)
{
    *score = 0;
    for (uint64_t t = 0; t < a->steps; t++) {
        double s = 0;
        WH_TRY(wh_dp_step_gradient(step, a->grad, a->params));
        for (size_t i = 0; i < a->n; i++) s += a->direction[i] * (double)a->grad[i];
        s *= a->options.batch / a->options.clip;
        *score += log_likelihood(a, s, a->place[1]) - log_likelihood(a, s, a->place[0]);
    }
    return WHIST_OK;
}

static whist_status run_world(audit *a, int world)
{
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    const bool there = world == 1 || is_replaced(a);
    const whist_rows rows = {.n = there ? 2 : 1, .d = a->d, .x = a->x, .y = a->y, .n_targets = 1};
    memcpy(a->x + a->d, a->planted[world], a->d * sizeof *a->x);
    a->y[1] = a->label[world];
    WH_TRY(wh_dp_step_new(&step, a->in->plan->model, &rows, &a->options));
    a->inflation = wh_dp_step_inflation(step);
    for (uint64_t t = 0; t < a->in->trials; t++) {
        if (t % 64 == 0)
            WH_TRY(wh_progress(a->in->progress, a->in->user, "audit", (uint64_t)world * a->in->trials + t,
                               2 * a->in->trials, "trials"));
        WH_TRY(run_trial(&a->score[world][t], a, step));
    }
    return WHIST_OK;
}

/* ---- What is proven ---- */

static whist_status prove(double *out, const audit *a)
{
    const whist_fed_privacy *p = a->in->plan->privacy;
    whist_dp_event events[2] = {{0}};
    const size_t n = wh_dp_step_events(events, &a->options, a->steps);
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
    WH_AUTO(audit) a = {.in = in, .memory = WH_ARENA_EMPTY};
    whist_audit found = {.delta = 0, .confidence = in->confidence, .trials = in->trials};
    wh_dp_attack attack;
    WH_TRY(check(in));
    WH_TRY(make(&a));
    WH_TRY(prove(&found.proven, &a));
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
