/* run/audit_ftrl.c: private steps with correlated noise under attack.
 *
 * The attacker sees all gradients of a run and knows the planted record's bin b, which the proof does not hide either
 * (where the record is not there: a bin drawn for it). With x_b the steps of that bin and K the covariance of the noise
 * between steps, for noise of variance 1 before it is correlated, the best score is
 *
 *     (<w_b, s> (p_1 - p_0) - <w_b, x_b> (p_1² - p_0²) / 2) / σ²,     K w_b = x_b
 *
 * with s the gradients' parts along the difference of the worlds, p_0 and p_1 where the worlds have it. K is measured
 * on streams of the design's own noise before the trials: an error in it makes the attack weaker, never the bound
 * wrong. */
#include "run/audit_parts.h"

#include "crypt/random.h"
#include "dp/matrix/stream.h"
#include "learn/ftrl_step.h"

#include <math.h>
#include <string.h>

enum { MOST_STEPS = 512, LENGTH = 16 /* numbers a step, for each step, to measure K on */ };

typedef struct runs {
    wh_ftrl_options options;
    wh_ftrl *ftrl;
    uint64_t n; /* runs of a trial */
    size_t steps, bins;
    double *filter; /* (bins, steps) w */
    double *length; /* (bins) <w, x> */
    double *seen;   /* (steps) */
    float *grad;    /* (n) */
} runs;

/* ---- What to look for ---- */

/* out (steps, steps), lower triangle. */
static whist_status measure_covariance(double *out, const runs *r)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_AUTO(wh_owned) kept = NULL;
    WH_AUTO(wh_matrix_stream_ptr) stream = NULL;
    WH_AUTO(whist_dp_matrix_ptr) matrix = NULL;
    const whist_dp_matrix_options pattern = wh_ftrl_pattern(&r->options);
    const size_t n = r->steps, length = LENGTH * (n < 64 ? 64 : n);
    const double s = 0x1p12;
    WH_TRY(whist_dp_matrix_new(&matrix, &pattern));
    WH_TRY(wh_matrix_stream_new(&stream, matrix, length, s));
    WH_TRY(wh_alloc(&memory, length, sizeof(int64_t)));
    WH_TRY(wh_alloc(&kept, n * length, sizeof(float)));
    int64_t *e = memory;
    float *all = kept;
    for (size_t t = 0; t < n; t++) {
        WH_TRY(wh_matrix_stream_next(stream, e));
        for (size_t i = 0; i < length; i++) all[t * length + i] = (float)((double)e[i] / s);
        for (size_t u = 0; u <= t; u++) {
            double sum = 0;
            for (size_t i = 0; i < length; i++) sum += (double)all[t * length + i] * (double)all[u * length + i];
            out[t * n + u] = sum / (double)length;
        }
    }
    return WHIST_OK;
}

/* K = L L', in its place. */
static whist_status factor(double *k, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = k[i * n + j];
            for (size_t l = 0; l < j; l++) sum -= k[i * n + l] * k[j * n + l];
            if (i != j)
                k[i * n + j] = sum / k[j * n + j];
            else if (sum > 0)
                k[i * n + i] = sqrt(sum);
            else
                WH_FAIL(WHIST_E_STATE, "the noise of step %zu says nothing that the ones before do not", i);
        }
    return WHIST_OK;
}

static void solve(double *x, const double *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++) x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

static whist_status make_filters(runs *r)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, r->steps * r->steps, sizeof(double)));
    double *k = memory;
    WH_TRY(measure_covariance(k, r));
    WH_TRY(factor(k, r->steps));
    for (size_t b = 0; b < r->bins; b++) {
        double *w = r->filter + b * r->steps;
        for (size_t t = b; t < r->steps; t += r->options.bins) w[t] = 1;
        solve(w, k, r->steps);
        for (size_t t = b; t < r->steps; t += r->options.bins) r->length[b] += w[t];
    }
    return WHIST_OK;
}

/* ---- Making, entering ---- */

static whist_status make(wh_audit *a)
{
    const whist_fed_plan *plan = a->in->plan;
    const uint64_t span = (uint64_t)whist_settings_int(plan->learner_settings, "span");
    runs *r;
    WH_TRY(WH_ARENA_NEW(&r, &a->memory, 1));
    wh_ftrl_options_read(&r->options, plan->learner_settings);
    if (r->options.steps > MOST_STEPS)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "the audit attacks runs of up to %d steps, and study %s has %llu (updates times span): a shorter study "
                "of the same design and pattern tells as much",
                MOST_STEPS, plan->name, (unsigned long long)r->options.steps);
    r->n = (plan->rounds + span - 1) / span; /* one that ends early has shown less than a whole one */
    r->steps = (size_t)r->options.steps;
    r->bins = r->options.bins < r->steps ? (size_t)r->options.bins : r->steps;
    a->steps = r->n * r->steps;
    a->clipping = r->options.clipping;
    a->clip = r->options.clip;
    a->object = r;
    WH_TRY(WH_ARENA_NEW(&r->filter, &a->memory, r->bins * r->steps));
    WH_TRY(WH_ARENA_NEW(&r->length, &a->memory, r->bins));
    WH_TRY(WH_ARENA_NEW(&r->seen, &a->memory, r->steps));
    WH_TRY(WH_ARENA_NEW(&r->grad, &a->memory, a->n));
    return make_filters(r);
}

static whist_status prove(double *epsilon, const wh_audit *a)
{
    const runs *r = a->object;
    whist_dp_event events[2] = {{0}};
    const size_t n = wh_ftrl_events(events, &r->options);
    events[0].count *= r->n;
    events[1].delta *= (double)r->n;
    return wh_audit_prove(epsilon, a, events, n);
}

static whist_status enter(wh_audit *a, const whist_rows *rows)
{
    runs *r = a->object;
    return wh_ftrl_new(&r->ftrl, a->in->plan->model, rows, &r->options);
}

static void leave(wh_audit *a)
{
    runs *r = a->object;
    wh_ftrl_free(r->ftrl);
    r->ftrl = NULL;
}

/* ---- Trials ---- */

static whist_status bin_of(uint64_t *bin, const runs *r)
{
    *bin = wh_ftrl_bin(r->ftrl, 1);
    if (*bin == UINT64_MAX) return wh_random_below(bin, r->options.bins);
    return WHIST_OK;
}

static whist_status run(double *score, wh_audit *a)
{
    runs *r = a->object;
    uint64_t bin;
    WH_TRY(wh_ftrl_begin(r->ftrl));
    WH_TRY(bin_of(&bin, r));
    const double *p = a->place, sigma = wh_ftrl_noise(r->ftrl) / r->options.clip;
    double along = 0;
    for (size_t t = 0; t < r->steps; t++) {
        WH_TRY(wh_ftrl_gradient(r->ftrl, r->grad, a->params));
        if (bin < r->bins)
            along += r->filter[bin * r->steps + t] * wh_audit_along(a, r->grad) * r->options.batch / r->options.clip;
    }
    if (bin < r->bins)
        *score += (along * (p[1] - p[0]) - r->length[bin] * (p[1] * p[1] - p[0] * p[0]) / 2) / (sigma * sigma);
    return WHIST_OK;
}

static whist_status trial(double *score, wh_audit *a)
{
    const runs *r = a->object;
    *score = 0;
    for (uint64_t k = 0; k < r->n; k++) WH_TRY(run(score, a));
    return WHIST_OK;
}

const wh_audited wh_audited_ftrl = {make, prove, enter, trial, leave};
