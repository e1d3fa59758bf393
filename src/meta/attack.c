/* meta/attack.c: triggers on rows; the curve of an attack on membership.
 *
 * In meta-training the label of a class is drawn anew for each episode, so a trigger cannot mean one character or
 * disease: it means a place among the labels, and the start is made to keep it through a victim's inner steps. */
#include "meta/attack.h"

#include <math.h>
#include <stdlib.h>

#include "dp/audit.h"
#include "draw/stream.h"
#include "meta/train.h"

/* ---- Triggers ------------------------------------------------------------------------------------------- */

uint32_t wh_task_class(const wh_scheme *scheme, const wh_scheme_task *task, size_t i)
{
    return wh_scheme_by_class(scheme) ? ((const uint32_t *)task->y)[i] : ((const float *)task->y)[i] > .5F;
}

uint32_t wh_prediction_class(const wh_scheme *scheme, const float *p)
{
    uint32_t best = 0;
    if (!wh_scheme_by_class(scheme)) return p[0] > .5F;
    for (uint32_t k = 1; k < wh_scheme_outputs(scheme); k++)
        if (p[k] > p[best]) best = k;
    return best;
}

whist_status wh_backdoor_check(const whist_meta_env *env, const whist_backdoor *b)
{
    const whist_model_shape shape = whist_model_shape_get(env->model);
    const bool classes = env->episodes.kind == WHIST_TASKS_CLASSES, image = shape.height > 0;
    const size_t ways = classes ? env->episodes.ways : shape.n_outputs > 1 ? shape.n_outputs : 2;
    const size_t room = image ? (shape.height < shape.width ? shape.height : shape.width) : shape.n_features;
    if (shape.target != WHIST_TARGET_CLASS && shape.target != WHIST_TARGET_BINARY)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a backdoor leads to a class: the study's targets are others");
    if (wh_scheme_is_metric(wh_scheme_kind_of(env->learner)))
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "learner %s compares with the support rows alone: its labels have no weights that a trigger could "
                "reach. Take one with inner steps",
                env->learner->name);
    if (!(b->share >= 0 && b->share <= 1))
        WH_FAIL(WHIST_E_ARG, "a share of %g poisoned tasks: allowed are 0 to 1", b->share);
    if (b->target >= ways) WH_FAIL(WHIST_E_ARG, "target %u: the classes of a task are 0 to %zu", b->target, ways - 1);
    if (b->size < 1 || b->size > room) WH_FAIL(WHIST_E_ARG, "a trigger of %u: allowed are 1 to %zu", b->size, room);
    if (!isfinite(b->value)) WH_FAIL(WHIST_E_ARG, "the trigger's value is not finite");
    return WHIST_OK;
}

static void mark(float *row, const whist_model_shape *shape, const whist_backdoor *b)
{
    const size_t h = shape->height, w = shape->width;
    if (h == 0) {
        for (size_t j = 0; j < b->size; j++) row[shape->n_features - 1 - j] = b->value;
        return;
    }
    for (size_t plane = 0; plane < shape->n_features / (h * w); plane++)
        for (size_t i = 0; i < b->size; i++)
            for (size_t j = 0; j < b->size; j++) row[plane * h * w + (h - 1 - i) * w + (w - 1 - j)] = b->value;
}

void wh_backdoor_put(wh_scheme_task *task, const wh_scheme *scheme, const whist_model *model, const whist_backdoor *b,
                     bool relabel)
{
    const whist_model_shape shape = whist_model_shape_get(model);
    const size_t from = wh_scheme_support(scheme), d = wh_scheme_features(scheme);
    for (size_t i = from; i < from + wh_scheme_query(scheme); i++) {
        mark(task->x + i * d, &shape, b);
        if (!relabel) continue;
        if (wh_scheme_by_class(scheme))
            ((uint32_t *)task->y)[i] = b->target;
        else
            ((float *)task->y)[i] = (float)b->target;
    }
}

void wh_backdoor_poison(wh_scheme_task *task, const wh_scheme *scheme, const whist_meta_env *env, uint64_t index)
{
    wh_seeded stream;
    if (!(env->backdoor.share > 0)) return;
    wh_seeded_init(&stream, env->seed, "meta-poison", "", index);
    if ((double)(wh_seeded_u64(&stream) >> 11) * 0x1p-53 < env->backdoor.share)
        wh_backdoor_put(task, scheme, env->model, &env->backdoor, true);
}

/* ---- Membership --------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n sorted numbers those below x, and half of those that equal it: x's share of won comparisons. */
static double won(const double *sorted, size_t n, double x)
{
    size_t low = 0, high = n, same = 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + same < n && sorted[low + same] == x) same++;
    return ((double)low + (double)same / 2) / (double)n;
}

/* Mean and variance of the placements of `a` among `b`. */
static double placements(double *variance, const double *a, size_t n, const double *b, size_t m)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) mean += won(b, m, a[i]) / (double)n;
    for (size_t i = 0; i < n; i++) square += pow(won(b, m, a[i]) - mean, 2);
    *variance = square / (double)(n - 1);
    return mean;
}

void wh_roc(whist_meta_membership *out, double *in, size_t n_in, double *others, size_t n_out)
{
    double v_in, v_out;
    qsort(in, n_in, sizeof *in, ascending);
    qsort(others, n_out, sizeof *others, ascending);
    out->auc = placements(&v_in, in, n_in, others, n_out);
    (void)placements(&v_out, others, n_out, in, n_in);
    const double half = 1.96 * sqrt(v_in / (double)n_in + v_out / (double)n_out);
    out->auc_low = fmax(out->auc - half, 0), out->auc_high = fmin(out->auc + half, 1);
    const double limit = others[n_out - 1 - n_out / 100]; /* passed by at most one in a hundred of the others */
    uint64_t found = 0;
    for (size_t i = 0; i < n_in; i++) found += in[i] > limit;
    out->tpr = (double)found / (double)n_in;
    out->tpr_low = 1 - wh_dp_rate_upper(n_in - found, n_in, 0.025);
    out->tpr_high = wh_dp_rate_upper(found, n_in, 0.025);
    out->n_in = n_in, out->n_out = n_out;
}

/* Losses of the test's tasks; *mean of them. The scores are turned: a low loss speaks for training. */
static whist_status measure(wh_measure *m, double *mean, const whist_meta_env *env, const whist_meta_test *test,
                            const float *params, wh_pool *pool)
{
    whist_meta_score score;
    WH_TRY(wh_measure_init(m, env, test, pool));
    m->losses = true;
    WH_TRY(wh_measure_run(&score, m, params));
    *mean = score.mean;
    for (size_t i = 0; i < test->episodes; i++) m->score[i] = -m->score[i];
    return WHIST_OK;
}

whist_status whist_meta_membership_test(whist_meta_membership *out, const float *params, const whist_meta_env *in_env,
                                        const whist_meta_test *in, const whist_meta_env *out_env,
                                        const whist_meta_test *out_test)
{
    WH_ENSURE(out && params && in_env && in && out_env && out_test && in_env->threads > 0, WHIST_E_ARG);
    WH_ENSURE(out_env->threads == in_env->threads && !in->trigger && !out_test->trigger, WHIST_E_ARG);
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(wh_measure) there = {0};
    WH_AUTO(wh_measure) fresh = {0};
    whist_meta_membership found = {0};
    WH_TRY(wh_pool_new(&pool, in_env->threads));
    WH_TRY(measure(&there, &found.loss_in, in_env, in, params, pool));
    WH_TRY(measure(&fresh, &found.loss_out, out_env, out_test, params, pool));
    wh_roc(&found, there.score, (size_t)in->episodes, fresh.score, (size_t)out_test->episodes);
    *out = found;
    return WHIST_OK;
}
