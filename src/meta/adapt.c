/* meta/adapt.c: a personal model from support rows, and its predictions. */
#include <math.h>
#include <string.h>

#include "meta/train.h"
#include "nn/zoo.h"

WH_AUTO_CLEAR(wh_scheme_task, wh_scheme_task_clear)

static const float *row_of(const whist_rows *rows, size_t i)
{
    return rows->x + i * (rows->x_stride ? rows->x_stride : rows->d);
}

/* A row that is adapted to says nothing about rows that are new. */
static whist_status check_apart(const whist_rows *support, const whist_rows *query)
{
    for (size_t j = 0; j < query->n; j++)
        for (size_t i = 0; i < support->n; i++)
            if (memcmp(row_of(support, i), row_of(query, j), query->d * sizeof(float)) == 0)
                WH_FAIL(WHIST_E_ARG,
                        "query row %zu is support row %zu: rows that are adapted to would be predicted too well", j + 1,
                        i + 1);
    return WHIST_OK;
}

/* The distinct labels of the support, rising. */
static whist_status list_classes(whist_meta_personal *out, const whist_rows *support)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, 65536, 1));
    uint8_t *seen = memory;
    for (size_t i = 0; i < support->n; i++) {
        float y = support->y[i];
        if (isnan(y)) WH_FAIL(WHIST_E_ARG, "support row %zu has no label: what is adapted to must be known", i + 1);
        if (!(y >= 0 && y < 65536 && y == floorf(y)))
            WH_FAIL(WHIST_E_RANGE, "support row %zu has a label that is no class from 0 to 65535", i + 1);
        out->n_classes += !seen[(size_t)y];
        seen[(size_t)y] = 1;
    }
    WH_TRY(WH_NEW(&out->classes, out->n_classes + 1));
    for (uint32_t k = 0, at = 0; k < 65536; k++)
        if (seen[k]) out->classes[at++] = k;
    if (out->n_classes < 2)
        WH_FAIL(WHIST_E_ARG, "the support rows show %zu class: a task of classes has at least 2", out->n_classes);
    return WHIST_OK;
}

static uint32_t place_of(const whist_meta_personal *p, float y)
{
    uint32_t k = 0;
    while (k + 1 < p->n_classes && (float)p->classes[k] != y) k++;
    return k;
}

static whist_status put_targets(wh_scheme_task *task, const whist_meta_personal *p, const wh_scheme *scheme,
                                const whist_rows *support)
{
    for (size_t i = 0; i < support->n; i++) {
        float y = support->y[i];
        if (isnan(y)) WH_FAIL(WHIST_E_ARG, "support row %zu has no target: what is adapted to must be known", i + 1);
        if (p->n_classes > 0) y = (float)place_of(p, y);
        if (!wh_scheme_by_class(scheme)) {
            ((float *)task->y)[i] = y;
            continue;
        }
        if (!(y >= 0 && y < (float)wh_scheme_outputs(scheme)))
            WH_FAIL(WHIST_E_RANGE, "support row %zu has a target that is none of the %zu classes", i + 1,
                    wh_scheme_outputs(scheme));
        ((uint32_t *)task->y)[i] = (uint32_t)y;
    }
    return WHIST_OK;
}

/* A batch norm over a row or two takes away what tells it from others. */
static whist_status check_together(const whist_meta_env *env, const whist_meta_personal *p, const whist_rows *query)
{
    const size_t least = p->n_classes > 2 ? p->n_classes : 2;
    if (!wh_model_has_norm(env->model) || env->episodes.support_statistics || query->n >= least) return WHIST_OK;
    WH_FAIL(
        WHIST_E_ARG,
        "too few rows to predict (%zu): they are normalised by their own statistics (transductive), for which a task "
        "of this kind needs %zu; the statistics of the support (--statistics support) need no row but one",
        query->n, least);
}

static whist_status adapt(whist_meta_personal *out, const whist_meta_env *env, const float *params,
                          const whist_rows *support, const whist_rows *query, size_t steps)
{
    WH_AUTO(wh_scheme_ptr) scheme = NULL;
    WH_AUTO(wh_scheme_task) task = {0};
    WH_TRY(check_apart(support, query));
    if (env->episodes.kind == WHIST_TASKS_CLASSES) WH_TRY(list_classes(out, support));
    WH_TRY(check_together(env, out, query));
    const wh_scheme_env e = {.model = env->model,
                             .learner = env->learner,
                             .settings = env->settings,
                             .ways = out->n_classes,
                             .support = support->n,
                             .query = query->n,
                             .support_statistics = env->episodes.support_statistics,
                             .threads = 1,
                             .steps = steps};
    WH_TRY(wh_scheme_new(&scheme, &e));
    WH_TRY(wh_scheme_task_init(&task, scheme));
    if (support->d != wh_scheme_features(scheme) || query->d != support->d)
        WH_FAIL(WHIST_E_ARG, "support rows of %zu numbers, query rows of %zu, and the model takes %zu", support->d,
                query->d, wh_scheme_features(scheme));
    for (size_t i = 0; i < support->n; i++)
        memcpy(task.x + i * support->d, row_of(support, i), support->d * sizeof(float));
    for (size_t i = 0; i < query->n; i++)
        memcpy(task.x + (support->n + i) * support->d, row_of(query, i), support->d * sizeof(float));
    WH_TRY(put_targets(&task, out, scheme, support));
    WH_TRY(wh_scheme_task_mix(&task, scheme));
    out->outputs = wh_scheme_outputs(scheme);
    WH_TRY(WH_NEW(&out->params, whist_model_size(env->model)));
    WH_TRY(WH_NEW(&out->prediction, query->n * out->outputs));
    WH_TRY(wh_scheme_adapt(out->params, scheme, 0, params, &task));
    return wh_scheme_predict(out->prediction, scheme, 0, out->params, &task);
}

whist_status whist_meta_adapt(whist_meta_personal *out, const whist_meta_env *env, const float *params,
                              const whist_rows *support, const whist_rows *query, size_t steps)
{
    WH_ENSURE(out && env && params && support && query, WHIST_E_ARG);
    if (support->n == 0) WH_FAIL(WHIST_E_ARG, "no support rows: there is nothing to adapt to");
    if (query->n == 0) WH_FAIL(WHIST_E_ARG, "no query rows: there is nothing to predict");
    *out = (whist_meta_personal){0};
    whist_status status = adapt(out, env, params, support, query, steps);
    if (status != WHIST_OK) whist_meta_personal_clear(out);
    return status;
}

void whist_meta_personal_clear(whist_meta_personal *personal)
{
    wh_free(personal->prediction);
    wh_free(personal->classes);
    wh_free(personal->params);
    *personal = (whist_meta_personal){0};
}
