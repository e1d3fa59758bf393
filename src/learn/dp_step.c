/* learn/dp_step.c: batch, sum, noise. */
#include "learn/dp_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "draw/private.h"
#include "draw/sample.h"
#include "learn/dp_parts.h"
#include "learn/dp_planted.h"
#include "learn/local.h"
#include "num/kern.h"

enum { BLOCK = 8192 }; /* numbers that are noised at once, in the near cache */

struct wh_dp_step {
    wh_dp_step_options options;
    size_t n; /* parameters */
    whist_batch batch;
    wh_pool *pool; /* NULL: one thread */
    wh_clip *clip;
    double bound;
    wh_private_draw draw;
    wh_noise *noise;
    int64_t values[BLOCK]; /* noise of some numbers */
};

#ifdef WH_TEST_HOOKS
static _Thread_local wh_dp_step_bug planted;

void wh_dp_step_break(wh_dp_step_bug bug)
{
    planted = bug;
}

wh_dp_step_bug wh_dp_step_bug_of(void)
{
    const char *named = getenv("WHIST_TEST_BREAK");
    if (named && strcmp(named, "half-noise") == 0) return WH_DP_STEP_HALF_NOISE;
    if (named && strcmp(named, "no-clip") == 0) return WH_DP_STEP_NO_CLIP;
    return planted;
}
#endif

static const double passed = 0x1p-50; /* the probability of a batch beyond n_max */

uint64_t wh_dp_step_most(uint64_t rows, double rate)
{
    uint64_t low = (uint64_t)floor((double)rows * rate), high = rows;
    while (low < high) { /* P(batch > m) <= exp(-rows KL(m / rows, rate)) for m > rows rate */
        uint64_t m = low + (high - low) / 2;
        double part = (double)m / (double)rows, kl = 0;
        if (part > rate) {
            kl = part * log(part / rate);
            if (part < 1) kl += (1 - part) * log1p((rate - part) / (1 - rate));
        }
        if ((double)rows * kl > -log(passed))
            high = m;
        else
            low = m + 1;
    }
    return high < 1 ? 1 : high;
}

size_t wh_dp_step_events(whist_dp_event *out, const wh_dp_step_options *o, uint64_t steps)
{
    double sigma = o->sigma;
    if (o->adaptive) sigma = 1 / sqrt(1 / (o->sigma * o->sigma) + 0.25 / (o->count_sigma * o->count_sigma));
    out[0] = (whist_dp_event){.mechanism = WHIST_DP_GAUSSIAN,
                              .noise = sigma,
                              .sampling = o->rate < 1 ? WHIST_DP_POISSON : WHIST_DP_ALL,
                              .rate = o->rate < 1 ? o->rate : 0,
                              .count = steps};
    if (wh_dp_step_most(o->rows, o->rate) >= o->rows) return 1;
    out[1] = (whist_dp_event){
        .mechanism = WHIST_DP_APPROXIMATE, .epsilon = 1e-9, .delta = (double)steps * passed, .count = 1};
    return 2;
}

static whist_status check(const wh_dp_step_options *o, const whist_rows *rows)
{
    WH_TRY(wh_dp_check_noise(o->sigma, o->batch));
    if (!(o->rate > 0x1p-40 && o->rate <= 1)) WH_FAIL(WHIST_E_ARG, "rate %g: it must lie above 0, up to 1", o->rate);
    if (o->adaptive && !(o->quantile > 0 && o->quantile < 1 && o->speed > 0 && o->count_sigma > 0))
        WH_FAIL(WHIST_E_ARG,
                "adaptive clipping needs a quantile between 0 and 1, a speed and a noise of the count above 0");
    if (o->adaptive && o->clipping != WH_CLIP_FLAT) WH_FAIL(WHIST_E_ARG, "only flat clipping adapts its bound");
    return wh_dp_check_rows(o->rows, rows);
}

static whist_status init(wh_dp_step *s, const whist_model *model, const whist_rows *rows, const wh_dp_step_options *o)
{
    WH_TRY(check(o, rows));
    WH_TRY(wh_local_refuse_dropout(model));
    s->options = *o;
    s->n = whist_model_size(model);
    s->bound = o->clip;
    s->batch = wh_batch_of(rows);
    if (o->threads > 1) WH_TRY(wh_pool_new(&s->pool, o->threads));
    const wh_clip_options clip = {.kind = o->clipping, .n_max = wh_dp_step_most(o->rows, o->rate), .pool = s->pool};
    WH_TRY(wh_clip_new(&s->clip, model, &clip));
    WH_TRY(wh_clip_begin(s->clip, o->clip));
    const wh_draw_design design = {.kind = WH_DRAW_POISSON, .n = rows->n, .rate = o->rate};
    WH_TRY(wh_private_draw_init(&s->draw, &design));
    return wh_noise_new(&s->noise);
}

whist_status wh_dp_step_new(wh_dp_step **out, const whist_model *model, const whist_rows *rows,
                            const wh_dp_step_options *options)
{
    WH_ENSURE(out && model && rows && options, WHIST_E_ARG);
    WH_AUTO(wh_dp_step_ptr) step = NULL;
    WH_TRY(WH_NEW(&step, 1));
    WH_TRY(init(step, model, rows, options));
    *out = step;
    step = NULL;
    return WHIST_OK;
}

void wh_dp_step_free(wh_dp_step *s)
{
    if (!s) return;
    wh_clip_free(s->clip);
    wh_pool_free(s->pool);
    wh_private_draw_clear(&s->draw);
    wh_noise_free(s->noise);
    wh_wipe(s->values, sizeof s->values);
    wh_free(s);
}

double wh_dp_step_clip(const wh_dp_step *s)
{
    return s->bound;
}

double wh_dp_step_inflation(const wh_dp_step *s)
{
    return wh_clip_sensitivity(s->clip) * wh_clip_step(s->clip) / s->bound;
}

/* The bound follows the share of gradients within it. The count moves by 1/2 either way around n/2, so noise of
 * count_sigma is 2 count_sigma over its sensitivity. The noised number decides; nothing else of it is kept. */
static whist_status adapt(wh_dp_step *s, size_t n, size_t smaller)
{
    const wh_dp_step_options *o = &s->options;
    enum { GRID = 1 << 20 };
    int64_t noise;
    WH_TRY(wh_sample_normal(s->noise, &noise, 1, o->count_sigma * GRID));
    double centred = (double)smaller - (double)n / 2 + (double)noise / GRID;
    double share = centred / o->batch + 0.5;
    double bound = s->bound * exp(-o->speed * (share - o->quantile));
    s->bound = fmin(fmax(bound, o->clip / 1024), o->clip * 1024);
    return WHIST_OK;
}

/* grad = (sum + noise) step / L, block by block: what has no noise yet is not in grad. */
static whist_status add_noise(wh_dp_step *s, float *grad, const int64_t *sum)
{
    const double sensitivity = planted_sensitivity(wh_clip_sensitivity(s->clip));
    const double sigma = planted_noise(s->options.sigma * sensitivity);
    const double factor = wh_clip_step(s->clip) / s->options.batch;
    const wh_num_kernels *k = wh_num_kernels_get();
    for (size_t i = 0; i < s->n; i += BLOCK) {
        const size_t n = s->n - i < BLOCK ? s->n - i : BLOCK;
        WH_TRY(wh_sample_normal(s->noise, s->values, n, sigma));
        k->from_whole64(grad + i, sum + i, s->values, n, factor);
    }
    return WHIST_OK;
}

whist_status wh_dp_step_gradient(wh_dp_step *s, float *grad, const float *params)
{
    WH_ENSURE(s && grad && params, WHIST_E_ARG);
    size_t smaller = 0, most = wh_dp_step_most(s->options.rows, s->options.rate);
    WH_TRY(wh_clip_begin(s->clip, planted_bound(s->bound)));
    WH_TRY(wh_private_draw_next(&s->draw, &s->batch.index, &s->batch.n));
    if (s->batch.n > most) s->batch.n = most;
    WH_TRY(wh_clip_add(s->clip, params, &s->batch, &smaller));
    const int64_t *sum = wh_clip_sum(s->clip);
    if (s->options.adaptive) WH_TRY(adapt(s, s->batch.n, smaller));
    whist_status status = add_noise(s, grad, sum);
    wh_wipe(s->values, sizeof s->values);
    if (status != WHIST_OK) wh_wipe(grad, s->n * sizeof *grad);
    return status;
}
