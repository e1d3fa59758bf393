/* learn/ftrl_step.c: bin, sum, correlated noise. */
#include "learn/ftrl_step.h"

#include <math.h>

#include "base/mem.h"
#include "dp/matrix/stream.h"
#include "draw/private.h"
#include "learn/dp_parts.h"
#include "learn/dp_planted.h"
#include "learn/dp_step.h"
#include "learn/local.h"
#include "learn/turns.h"

struct wh_ftrl {
    wh_ftrl_options options;
    size_t n, rows; /* parameters; rows that there are */
    whist_batch batch;
    whist_dp_matrix *matrix;
    wh_pool *pool; /* NULL: one thread */
    wh_clip *clip;
    wh_turns turns;
    wh_private_draw draw;     /* one pass of it: the bins of this run */
    wh_matrix_stream *stream; /* NULL: no run */
    int64_t *noise;           /* (n) */
};

static const double passed = 0x1p-50; /* the probability of a batch beyond n_max */

static uint64_t most_in_bin(const wh_ftrl_options *o)
{
    return wh_dp_step_most(o->rows, 1 / (double)o->bins);
}

static uint64_t passes(const wh_ftrl_options *o)
{
    return (o->steps - 1) / o->bins + 1;
}

whist_dp_matrix_options wh_ftrl_pattern(const wh_ftrl_options *o)
{
    return (whist_dp_matrix_options){.design = o->design,
                                     .steps = o->steps,
                                     .participations = passes(o),
                                     .separation = o->bins,
                                     .fixed = true,
                                     .bands = o->bands};
}

whist_status wh_ftrl_check(const wh_ftrl_options *o)
{
    const whist_dp_matrix_options pattern = wh_ftrl_pattern(o);
    WH_TRY(wh_dp_check_noise(o->sigma, o->batch));
    if (most_in_bin(o) > 1 << 24)
        WH_FAIL(WHIST_E_ARG,
                "a step of a pass of %llu takes up to %llu of %llu rows: at most 2^24, so make pass longer",
                (unsigned long long)o->bins, (unsigned long long)most_in_bin(o), (unsigned long long)o->rows);
    return wh_matrix_check(&pattern);
}

size_t wh_ftrl_events(whist_dp_event *out, const wh_ftrl_options *o)
{
    out[0] = (whist_dp_event){.mechanism = WHIST_DP_GAUSSIAN, .noise = o->sigma, .count = 1};
    if (most_in_bin(o) >= o->rows) return 1;
    out[1] = (whist_dp_event){
        .mechanism = WHIST_DP_APPROXIMATE, .epsilon = 1e-9, .delta = (double)o->bins * passed, .count = 1};
    return 2;
}

/* Of the first steps of a run: (Δ + what rounding adds)², in steps of the grid. */
static whist_status cost(double *out, const wh_ftrl *f, uint64_t steps)
{
    double squared = 0;
    WH_TRY(wh_matrix_prefix(&squared, f->matrix, steps));
    double reach = steps ? wh_clip_sensitivity(f->clip) * sqrt(squared) + wh_matrix_slack(f->matrix, f->n) : 0;
    *out = reach * reach;
    return WHIST_OK;
}

whist_status wh_ftrl_events_of(whist_dp_event *out, size_t *n, const wh_ftrl *f, uint64_t from, uint64_t steps)
{
    double before = 0, after = 0, whole = 0;
    WH_TRY(cost(&before, f, from));
    WH_TRY(cost(&after, f, from + steps));
    WH_TRY(cost(&whole, f, f->options.steps));
    /* Rounded towards more; steps that add nothing are charged next to nothing, as an event's noise is at most 1e9. */
    double part = (after - before) / whole + 0x1p-40;
    *n = wh_ftrl_events(out, &f->options);
    out[0].noise = fmin(f->options.sigma / sqrt(fmin(part, 1)), 1e9);
    return WHIST_OK;
}

uint64_t wh_ftrl_at(const wh_ftrl *f)
{
    uint64_t at = f->stream ? wh_matrix_stream_at(f->stream) : 0;
    return at < f->options.steps ? at : 0;
}

static whist_status check(const wh_ftrl_options *o, const whist_rows *rows)
{
    WH_TRY(wh_dp_check_noise(o->sigma, o->batch));
    if (o->steps < 1 || o->bins < 1 || o->bins > 1 << 20)
        WH_FAIL(WHIST_E_ARG, "a run has at least one step, and a pass 1 to 2^20");
    return wh_dp_check_rows(o->rows, rows);
}

static whist_status init(wh_ftrl *f, const whist_model *model, const whist_rows *rows, const wh_ftrl_options *o)
{
    WH_TRY(check(o, rows));
    WH_TRY(wh_local_refuse_dropout(model));
    f->options = *o;
    f->n = whist_model_size(model);
    f->rows = rows->n;
    f->batch = wh_batch_of(rows);
    const whist_dp_matrix_options pattern = wh_ftrl_pattern(o);
    WH_TRY(whist_dp_matrix_new(&f->matrix, &pattern));
    if (o->threads > 1) WH_TRY(wh_pool_new(&f->pool, o->threads));
    const wh_clip_options clip = {.kind = o->clipping, .n_max = most_in_bin(o), .pool = f->pool};
    WH_TRY(wh_clip_new(&f->clip, model, &clip));
    WH_TRY(wh_clip_begin(f->clip, o->clip));
    WH_TRY(wh_turns_init(&f->turns, rows->n, pattern.participations, pattern.separation, true));
    return WH_NEW(&f->noise, f->n);
}

whist_status wh_ftrl_new(wh_ftrl **out, const whist_model *model, const whist_rows *rows,
                         const wh_ftrl_options *options)
{
    WH_ENSURE(out && model && rows && options, WHIST_E_ARG);
    WH_AUTO(wh_ftrl_ptr) f = NULL;
    WH_TRY(WH_NEW(&f, 1));
    WH_TRY(init(f, model, rows, options));
    *out = f;
    f = NULL;
    return WHIST_OK;
}

static void end_run(wh_ftrl *f)
{
    wh_matrix_stream_free(f->stream);
    f->stream = NULL;
    wh_private_draw_clear(&f->draw);
}

void wh_ftrl_free(wh_ftrl *f)
{
    if (!f) return;
    end_run(f);
    whist_dp_matrix_free(f->matrix);
    wh_clip_free(f->clip);
    wh_pool_free(f->pool);
    wh_turns_clear(&f->turns);
    if (f->noise) wh_wipe(f->noise, f->n * sizeof *f->noise);
    wh_free(f->noise);
    wh_free(f);
}

/* ---- Runs ---- */

static double deviation(const wh_ftrl *f)
{
    double step = wh_clip_sensitivity(f->clip);
    return f->options.sigma * (step * f->matrix->facts.sensitivity + wh_matrix_slack(f->matrix, f->n)) * (1 + 0x1p-50);
}

double wh_ftrl_noise(const wh_ftrl *f)
{
    return deviation(f) * wh_clip_step(f->clip);
}

uint64_t wh_ftrl_bin(const wh_ftrl *f, uint32_t row)
{
    for (uint64_t bin = 0; f->stream && bin < f->options.bins; bin++)
        for (size_t i = f->draw.bin[bin]; i < f->draw.bin[bin + 1]; i++)
            if (f->draw.index[i] == row) return bin;
    return UINT64_MAX;
}

const whist_dp_matrix *wh_ftrl_matrix(const wh_ftrl *f)
{
    return f->matrix;
}

whist_status wh_ftrl_begin(wh_ftrl *f)
{
    WH_ENSURE(f, WHIST_E_ARG);
    end_run(f);
    wh_turns_restart(&f->turns);
    if (f->rows) { /* one pass of balls in bins; its bins stay for all passes */
        const wh_draw_design design = {.kind = WH_DRAW_BALLS_IN_BINS, .n = f->rows, .bins = f->options.bins};
        const uint32_t *first;
        size_t n;
        WH_TRY(wh_private_draw_init(&f->draw, &design));
        WH_TRY(wh_private_draw_next(&f->draw, &first, &n));
    }
    return wh_matrix_stream_new(&f->stream, f->matrix, f->n, planted_sensitivity(planted_noise(deviation(f))));
}

static void take_bin(wh_ftrl *f, uint64_t bin)
{
    uint64_t most = most_in_bin(&f->options);
    f->batch.n = 0;
    if (f->rows == 0) return;
    f->batch.index = f->draw.index + f->draw.bin[bin];
    f->batch.n = f->draw.bin[bin + 1] - f->draw.bin[bin];
    if (f->batch.n > most) f->batch.n = most;
}

static whist_status gradient(wh_ftrl *f, float *grad, const float *params)
{
    uint64_t step = wh_matrix_stream_at(f->stream);
    take_bin(f, step % f->options.bins);
    WH_TRY(wh_turns_take(&f->turns, step, f->batch.index, f->batch.n));
    WH_TRY(wh_clip_begin(f->clip, planted_bound(f->options.clip)));
    WH_TRY(wh_clip_add(f->clip, params, &f->batch, NULL));
    WH_TRY(wh_matrix_stream_next(f->stream, f->noise));
    const int64_t *sum = wh_clip_sum(f->clip);
    const double factor = wh_clip_step(f->clip) / f->options.batch;
    for (size_t i = 0; i < f->n; i++) grad[i] = (float)((double)(sum[i] + f->noise[i]) * factor);
    wh_wipe(f->noise, f->n * sizeof *f->noise);
    return WHIST_OK;
}

whist_status wh_ftrl_gradient(wh_ftrl *f, float *grad, const float *params)
{
    WH_ENSURE(f && grad && params, WHIST_E_ARG);
    if (!f->stream) WH_FAIL(WHIST_E_STATE, "no run of correlated noise has begun, or it broke off: begin a new one");
    whist_status status = gradient(f, grad, params);
    if (status != WHIST_OK) end_run(f);
    return status;
}
