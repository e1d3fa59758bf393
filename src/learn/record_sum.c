/* learn/record_sum.c: one sum of clipped gradients over all of the site's rows, for noise that is not the site's own.
 *
 *     out = round(-lr / L  S / step)        S: clipped sum of nn/clip.h, in whole numbers;  L: a public number
 *
 * It bounds what a record adds and hides nothing: the noise comes in shares from all sites, or from the coordinator
 * (fed/ private.h). out is a function of S alone, off by half a step in each number, and a little for the products; so
 * one record moves it by at most lr / L times what it moves S by, and √P on top. */
#include <math.h>

#include "learn/dp_parts.h"
#include "learn/learners.h"
#include "learn/local.h"
#include "nn/clip.h"

static const whist_option record_sum_options[] = {
    {"lr", WHIST_OPTION_REAL, "0.1", 1e-9, 1e3, NULL, "learning rate"},
    {"rows", WHIST_OPTION_INT, NULL, 1, 16777216, NULL,
     "public bound on the training rows of a site; a site with more rows refuses"},
    {"batch", WHIST_OPTION_REAL, "0", 0, 1e9, NULL, "what sums are divided by, a public number; 0: rows"},
    {"clipping", WHIST_OPTION_CHOICE, "flat", 0, 0, "flat|layer|automatic",
     "flat: the whole gradient by its norm; layer: each tensor by its own; automatic: every gradient to the bound"},
    {0},
};

typedef struct record_sum {
    whist_learner base;
    wh_local local;
    wh_pool *pool; /* NULL: one thread */
    wh_clip *clip;
} record_sum;

static void record_sum_free(whist_learner *self)
{
    record_sum *d = (record_sum *)self;
    if (!d) return;
    wh_local_clear(&d->local);
    wh_clip_free(d->clip);
    wh_pool_free(d->pool);
    wh_free(d);
}

static size_t rows_of(const whist_settings *s)
{
    return (size_t)whist_settings_int(s, "rows");
}

/* Of a step of the model for a clipped gradient. */
static double factor_of(const whist_settings *s)
{
    double batch = whist_settings_real(s, "batch");
    return whist_settings_real(s, "lr") / (batch > 0 ? batch : (double)rows_of(s));
}

static whist_status record_sum_init(whist_learner *self, const whist_learner_env *env)
{
    record_sum *d = (record_sum *)self;
    wh_local *l = &d->local;
    if (env->threads > 1) WH_TRY(wh_pool_new(&d->pool, env->threads));
    const wh_clip_options clip = {
        .kind = wh_dp_clipping(env->settings), .n_max = rows_of(env->settings), .pool = d->pool};
    l->env = env;
    l->n = whist_model_size(env->model);
    l->train = whist_dataset_rows(env->data, WHIST_FOLD_TRAIN);
    WH_TRY(wh_dp_check_rows(clip.n_max, &l->train));
    WH_TRY(wh_local_refuse_dropout(env->model));
    return wh_clip_new(&d->clip, env->model, &clip);
}

static whist_status record_sum_new(whist_learner **out, const whist_learner_env *env)
{
    return wh_learner_make(out, &wh_learner_record_sum, sizeof(record_sum), record_sum_init, env);
}

static whist_status record_sum_records(whist_record_sum *out, const whist_model *model, const whist_settings *settings,
                                       double clip, double step)
{
    const double factor = factor_of(settings) / step * (1 + 0x1p-40), n = (double)whist_model_size(model);
    if (!(clip >= 0x1p-20 && clip <= 0x1p20)) WH_FAIL(WHIST_E_RANGE, "a bound of %g: allowed are 2^-20 to 2^20", clip);
    out->norm = wh_clip_reach(model, clip, rows_of(settings)) * factor + sqrt(n);
    out->most = wh_clip_most(model, clip, rows_of(settings)) * factor + 1;
    return WHIST_OK;
}

static whist_status record_sum_sum(whist_learner *self, const whist_learner_round *round, double clip, double step,
                                   int64_t *out)
{
    record_sum *d = (record_sum *)self;
    wh_local *l = &d->local;
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    whist_batch batch = wh_batch_of(&l->train);
    batch.n = l->train.n;
    WH_TRY(wh_clip_begin(d->clip, clip));
    WH_TRY(wh_clip_add(d->clip, round->model, &batch, NULL));
    const int64_t *sum = wh_clip_sum(d->clip);
    const double factor = -factor_of(l->env->settings) * wh_clip_step(d->clip) / step;
    for (size_t i = 0; i < l->n; i++) out[i] = llrint((double)sum[i] * factor);
    return WHIST_OK;
}

static whist_status record_sum_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    (void)self;
    (void)round;
    (void)out;
    WH_FAIL(WHIST_E_UNSUPPORTED, "learner record-sum hides nothing by itself: it is for privacy with unit record and "
                                 "noise distributed or central");
}

static const char *const vectors[] = {"delta", NULL};

const whist_learner_class wh_learner_record_sum = {
    .name = "record-sum",
    .doc = "one sum of clipped gradients a round, for noise in shares or from the coordinator that hides each record",
    .options = record_sum_options,
    .vectors = vectors,
    .new_ = record_sum_new,
    .free_ = record_sum_free,
    .fit = record_sum_fit,
    .evaluate = wh_local_evaluate,
    .records = record_sum_records,
    .sum = record_sum_sum,
};
