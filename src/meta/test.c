/* meta/test.c: measuring a start on tasks. */
#include <math.h>
#include <string.h>

#include "draw/stream.h"
#include "meta/attack.h"
#include "meta/train.h"
#include "nn/zoo.h"

const char *whist_meta_batches(const whist_meta_env *env)
{
    if (!wh_model_has_norm(env->model)) return "no batch statistics";
    return env->episodes.support_statistics ? "inductive (statistics of the support rows)"
                                            : "transductive (statistics of each batch)";
}

whist_status wh_meta_source(wh_source **out, const whist_meta_env *env, whist_fold fold)
{
    const whist_model_shape shape = whist_model_shape_get(env->model);
    const wh_source_env rows = {.episodes = env->episodes,
                                .data = env->data,
                                .names = env->names,
                                .n = env->n_data,
                                .fold = fold,
                                .height = shape.height,
                                .width = shape.width,
                                .seed = env->seed};
    if (env->episodes.kind == WHIST_TASKS_CLASSES && shape.target != WHIST_TARGET_CLASS &&
        shape.target != WHIST_TARGET_BINARY)
        WH_FAIL(WHIST_E_UNSUPPORTED, "episodes need classes: the study's task is another");
    if (env->episodes.kind == WHIST_TASKS_SINUSOID && (shape.target != WHIST_TARGET_VALUE || shape.n_features != 1))
        WH_FAIL(WHIST_E_UNSUPPORTED, "sinusoids are a regression on one number: the study's data are others");
    return wh_source_new(out, &rows);
}

whist_status wh_meta_scheme(wh_scheme **out, const whist_meta_env *env, const wh_source *source, size_t steps,
                            bool learns, bool attacks)
{
    const wh_scheme_env scheme = {.model = env->model,
                                  .learner = env->learner,
                                  .settings = env->settings,
                                  .ways = env->episodes.kind == WHIST_TASKS_CLASSES ? env->episodes.ways : 0,
                                  .support = wh_source_support(source),
                                  .query = wh_source_query(source),
                                  .support_statistics = env->episodes.support_statistics,
                                  .threads = env->threads,
                                  .steps = steps,
                                  .learns = learns,
                                  .attacks = attacks};
    return wh_scheme_new(out, &scheme);
}

/* ---- Memory --------------------------------------------------------------------------------------------- */

static whist_status vectors(float ***out, unsigned threads, size_t n)
{
    WH_TRY(wh_alloc((void **)out, threads, sizeof **out));
    for (unsigned w = 0; w < threads; w++) WH_TRY(WH_NEW(&(*out)[w], n));
    return WHIST_OK;
}

static whist_status init(wh_measure *m)
{
    const whist_meta_env *env = m->env;
    WH_TRY(wh_meta_source(&m->source, env, m->test->fold));
    WH_TRY(wh_meta_scheme(&m->scheme, env, m->source, m->test->steps, false, m->test->attack.epsilon > 0));
    m->threads = env->threads;
    size_t scores = wh_scheme_query(m->scheme) * wh_scheme_outputs(m->scheme);
    WH_TRY(wh_alloc((void **)&m->seats, m->threads, sizeof *m->seats));
    WH_TRY(WH_NEW(&m->task, m->threads));
    WH_TRY(WH_NEW(&m->own, m->threads));
    for (unsigned w = 0; w < m->threads; w++) {
        WH_TRY(wh_source_seat_new(&m->seats[w], m->source));
        WH_TRY(wh_scheme_task_init(&m->task[w], m->scheme));
        WH_TRY(wh_scheme_task_init(&m->own[w], m->scheme));
    }
    WH_TRY(vectors(&m->personal, m->threads, whist_model_size(env->model)));
    WH_TRY(vectors(&m->sum, m->threads, scores));
    WH_TRY(vectors(&m->part, m->threads, scores));
    return WH_NEW(&m->score, (size_t)m->test->episodes);
}

whist_status wh_measure_init(wh_measure *out, const whist_meta_env *env, const whist_meta_test *test, wh_pool *pool)
{
    WH_ENSURE(test->episodes >= 2 && test->episodes <= SIZE_MAX / 64, WHIST_E_ARG);
    if (test->trigger) WH_TRY(wh_backdoor_check(env, test->trigger));
    *out = (wh_measure){.env = env, .test = test, .pool = pool};
    whist_status status = init(out);
    if (status != WHIST_OK) wh_measure_clear(out);
    return status;
}

void wh_measure_clear(wh_measure *m)
{
    for (unsigned w = 0; w < m->threads; w++) {
        if (m->seats) wh_source_seat_free(m->seats[w]);
        if (m->task) wh_scheme_task_clear(&m->task[w]);
        if (m->own) wh_scheme_task_clear(&m->own[w]);
        if (m->personal) wh_free(m->personal[w]);
        if (m->sum) wh_free(m->sum[w]);
        if (m->part) wh_free(m->part[w]);
    }
    wh_free(m->seats);
    wh_free(m->task);
    wh_free(m->own);
    wh_free(m->personal);
    wh_free(m->sum);
    wh_free(m->part);
    wh_free(m->score);
    wh_scheme_free(m->scheme);
    wh_source_free(m->source);
    *m = (wh_measure){0};
}

/* ---- One task ---------------------------------------------------------------------------------------------- */

/* How many triggered rows of other classes are taken for the target. */
static double fooled(const wh_measure *m, const wh_scheme_task *task, const float *prediction)
{
    const size_t q = wh_scheme_query(m->scheme), k = wh_scheme_outputs(m->scheme), from = wh_scheme_support(m->scheme);
    size_t others = 0, taken = 0;
    for (size_t i = 0; i < q; i++) {
        if (wh_task_class(m->scheme, task, from + i) == m->test->trigger->target) continue;
        others++;
        taken += wh_prediction_class(m->scheme, prediction + i * k) == m->test->trigger->target;
    }
    return others ? (double)taken / (double)others : 0;
}

static double loss_of(const wh_measure *m, const wh_scheme_task *task, const float *prediction)
{
    const size_t q = wh_scheme_query(m->scheme), k = wh_scheme_outputs(m->scheme), from = wh_scheme_support(m->scheme);
    const bool value = whist_model_shape_get(m->env->model).target == WHIST_TARGET_VALUE;
    double sum = 0;
    for (size_t i = 0; i < q; i++) {
        const float *p = prediction + i * k;
        if (value) {
            const double off = (double)p[0] - (double)((const float *)task->y)[from + i];
            sum += off * off;
            continue;
        }
        const uint32_t y = wh_task_class(m->scheme, task, from + i);
        const double there = wh_scheme_by_class(m->scheme) ? (double)p[y] : y ? (double)p[0] : 1 - (double)p[0];
        sum -= log(fmax(there, 1e-30));
    }
    return sum / (double)q;
}

static double score_of(const wh_measure *m, const wh_scheme_task *task, const float *prediction)
{
    size_t q = wh_scheme_query(m->scheme), k = wh_scheme_outputs(m->scheme), from = wh_scheme_support(m->scheme);
    const bool value = whist_model_shape_get(m->env->model).target == WHIST_TARGET_VALUE;
    double sum = 0;
    if (m->losses) return loss_of(m, task, prediction);
    if (m->test->trigger) return fooled(m, task, prediction);
    for (size_t i = 0; i < q; i++) {
        const float *p = prediction + i * k;
        if (wh_scheme_by_class(m->scheme)) {
            size_t best = 0;
            for (size_t j = 1; j < k; j++)
                if (p[j] > p[best]) best = j;
            sum += best == ((const uint32_t *)task->y)[from + i];
            continue;
        }
        double y = (double)((const float *)task->y)[from + i], off = (double)p[0] - y;
        sum += value ? off * off : (p[0] > .5f) == (y > .5);
    }
    return sum / (double)q;
}

/* Fresh noise: of the support rows (randomised fine-tuning), of the weights (abml). */
static void perturb(wh_measure *m, unsigned w, uint64_t index, uint32_t draw)
{
    wh_scheme_task *own = &m->own[w];
    wh_seeded stream;
    wh_scheme_task_copy(own, &m->task[w], m->scheme);
    wh_seeded_init(&stream, m->env->seed, "meta-perturb", "", index * 4096 + draw);
    size_t n = wh_scheme_support(m->scheme) * wh_scheme_features(m->scheme);
    for (size_t i = 0; m->test->noise > 0 && i < n; i++)
        own->x[i] += (float)(m->test->noise * wh_seeded_normal(&stream));
    for (size_t i = 0; draw > 0 && i < wh_scheme_noise(m->scheme); i++)
        own->noise[i] = (float)wh_seeded_normal(&stream);
}

static whist_status attack_query(wh_measure *m, unsigned w, bool unit)
{
    const whist_attack *attack = &m->test->attack;
    if (!(attack->epsilon > 0) || attack->on == WHIST_ADVERSARY_SUPPORT) return WHIST_OK;
    WH_TRY(wh_scheme_adapt(m->personal[w], m->scheme, w, m->params, &m->task[w]));
    return wh_scheme_attack(&m->task[w], m->scheme, w, m->personal[w], true, attack, unit);
}

static whist_status one(void *user, size_t index, unsigned w)
{
    wh_measure *m = user;
    const whist_meta_test *test = m->test;
    const bool unit = whist_model_shape_get(m->env->model).height > 0;
    const char *purpose = test->purpose ? test->purpose : "meta-test";
    size_t n = wh_scheme_query(m->scheme) * wh_scheme_outputs(m->scheme);
    uint32_t draws = test->noise > 0 && test->noise_draws > 1 ? test->noise_draws : 1;
    if (draws < wh_scheme_draws(m->scheme)) draws = wh_scheme_draws(m->scheme);
    WH_TRY(wh_source_draw(&m->task[w], m->seats[w], m->source, m->scheme, purpose, index));
    if (test->trigger) wh_backdoor_put(&m->task[w], m->scheme, m->env->model, test->trigger, false);
    if (test->attack.epsilon > 0 && test->attack.on != WHIST_ADVERSARY_QUERY)
        WH_TRY(wh_scheme_attack(&m->task[w], m->scheme, w, m->params, false, &test->attack, unit));
    WH_TRY(attack_query(m, w, unit));
    memset(m->sum[w], 0, n * sizeof(float));
    for (uint32_t r = 0; r < draws; r++) {
        perturb(m, w, index, r);
        WH_TRY(wh_scheme_adapt(m->personal[w], m->scheme, w, m->params, &m->own[w]));
        WH_TRY(wh_scheme_predict(m->part[w], m->scheme, w, m->personal[w], &m->own[w]));
        for (size_t i = 0; i < n; i++) m->sum[w][i] += m->part[w][i] / (float)draws;
    }
    m->score[index] = score_of(m, &m->task[w], m->sum[w]);
    return WHIST_OK;
}

/* ---- Many ----------------------------------------------------------------------------------------------------- */

whist_status wh_measure_run(whist_meta_score *out, wh_measure *m, const float *params)
{
    size_t n = (size_t)m->test->episodes;
    double mean = 0, square = 0;
    m->params = params;
    WH_TRY(wh_pool_run(m->pool, n, one, m));
    for (size_t i = 0; i < n; i++) mean += m->score[i] / (double)n;
    for (size_t i = 0; i < n; i++) square += (m->score[i] - mean) * (m->score[i] - mean);
    *out = (whist_meta_score){.is_error = whist_model_shape_get(m->env->model).target == WHIST_TARGET_VALUE,
                              .mean = mean,
                              .interval = 1.96 * sqrt(square / (double)(n - 1) / (double)n),
                              .episodes = n,
                              .steps = wh_scheme_steps(m->scheme)};
    return WHIST_OK;
}

whist_status whist_meta_evaluate(whist_meta_score *out, const whist_meta_env *env, const float *params,
                                 const whist_meta_test *test)
{
    WH_ENSURE(out && env && params && test && env->threads > 0, WHIST_E_ARG);
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(wh_measure) measure = {0};
    WH_TRY(wh_pool_new(&pool, env->threads));
    WH_TRY(wh_measure_init(&measure, env, test, pool));
    return wh_measure_run(out, &measure, params);
}
