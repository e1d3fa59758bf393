/* meta/few_learner.c: every meta-learner over few-shot tasks of a site's own rows. */
#include "meta/few_learner.h"

#include <stdio.h>
#include <string.h>

#include "base/settings.h"
#include "meta/dp_learners.h"
#include "meta/rule_options.h"
#include "meta/source.h"

enum { TEST_TASKS = 20 }; /* of an evaluation over classes */

typedef struct few {
    whist_learner base;
    const whist_learner_class *class_; /* the study's */
    const whist_learner_env *env;
    wh_source_env rows;
    const char *site;
    wh_source *source;
    wh_source_seat *seat;
    wh_scheme *scheme;
    size_t n, n_tasks;
    double lr;
    wh_scheme_task *tasks;
    wh_meta_task *list;
    float *delta, *personal;
} few;

static void few_free(whist_learner *self)
{
    few *l = (few *)self;
    if (!l) return;
    for (size_t t = 0; l->tasks && t < l->n_tasks; t++) wh_scheme_task_clear(&l->tasks[t]);
    wh_free(l->tasks);
    wh_free(l->list);
    wh_free(l->delta);
    wh_free(l->personal);
    wh_scheme_free(l->scheme);
    wh_source_seat_free(l->seat);
    wh_source_free(l->source);
    wh_free(l);
}

/* ---- Making ------------------------------------------------------------------------------------------- */

static whist_status make_scheme(wh_scheme **out, const few *l, const wh_source *source, bool learns)
{
    const whist_episodes *e = l->env->episodes;
    const wh_scheme_env env = {.model = l->env->model,
                               .learner = l->class_,
                               .settings = l->env->settings,
                               .ways = e->kind == WHIST_TASKS_CLASSES ? e->ways : 0,
                               .support = wh_source_support(source),
                               .query = wh_source_query(source),
                               .support_statistics = e->support_statistics,
                               .threads = 1,
                               .steps = SIZE_MAX,
                               .learns = learns,
                               .attacks = learns && e->attack.on != WHIST_ADVERSARY_NONE};
    return wh_scheme_new(out, &env);
}

static whist_status init(few *l)
{
    const whist_learner_env *env = l->env;
    const whist_model_shape shape = whist_model_shape_get(env->model);
    l->n = whist_model_size(env->model);
    l->lr = whist_settings_real(env->settings, "lr");
    l->site = env->site ? env->site : "the site";
    l->rows = (wh_source_env){.episodes = *env->episodes,
                              .data = &env->data,
                              .names = &l->site,
                              .n = 1,
                              .fold = WHIST_FOLD_TRAIN,
                              .height = shape.height,
                              .width = shape.width,
                              .seed = env->seed};
    whist_status status = wh_source_new(&l->source, &l->rows);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: ", l->site);
    WH_TRY(wh_source_seat_new(&l->seat, l->source));
    WH_TRY(make_scheme(&l->scheme, l, l->source, true));
    size_t n = wh_source_step_tasks((size_t)whist_settings_int(env->settings, "tasks"), &env->episodes->attack);
    WH_TRY(WH_NEW(&l->tasks, n));
    WH_TRY(WH_NEW(&l->list, n));
    for (; l->n_tasks < n; l->n_tasks++) WH_TRY(wh_scheme_task_init(&l->tasks[l->n_tasks], l->scheme));
    for (size_t t = 0; t < n; t++) l->list[t] = l->tasks[t].task;
    WH_TRY(WH_NEW(&l->personal, l->n));
    return WH_NEW(&l->delta, l->n);
}

whist_status wh_few_learner_new(whist_learner **out, const whist_learner_env *env, const whist_learner_class *class_)
{
    few *l;
    if (!env->episodes)
        WH_FAIL(WHIST_E_ARG,
                "learner %s learns over few-shot tasks: the study says what they are by a section 'episodes'",
                class_->name);
    WH_TRY(WH_NEW(&l, 1));
    l->base.class_ = &wh_few_learner;
    l->class_ = class_;
    l->env = env;
    whist_status status = init(l);
    if (status != WHIST_OK) {
        few_free(&l->base);
        return status;
    }
    *out = &l->base;
    return WHIST_OK;
}

/* ---- A round ---------------------------------------------------------------------------------------------- */

/* The tasks of a round are public draws named by site and round; attacked as training in one place does it. */
static whist_status few_fit(whist_learner *self, const whist_learner_round *round, whist_update *out)
{
    few *l = (few *)self;
    char purpose[WHIST_NAME_SIZE + 16];
    if (round->n != l->n) WH_FAIL(WHIST_E_FORMAT, "the model has %zu parameters, this study's has %zu", round->n, l->n);
    snprintf(purpose, sizeof purpose, "meta-train %s", l->site);
    const wh_source_step step = {.purpose = purpose,
                                 .step = round->round,
                                 .n = l->n_tasks,
                                 .attack = &l->env->episodes->attack,
                                 .unit = whist_model_shape_get(l->env->model).height > 0,
                                 .params = round->model};
    for (size_t t = 0; t < l->n_tasks; t++)
        WH_TRY(wh_source_step_draw(&l->tasks[t], l->seat, l->source, l->scheme, 0, &step, t, l->personal));
    WH_TRY(wh_scheme_gradient(l->delta, NULL, l->scheme, round->model, round->round, l->list, l->n_tasks, NULL));
    for (size_t i = 0; i < l->n; i++) l->delta[i] *= (float)-l->lr;
    const whist_rows train = whist_dataset_rows(l->env->data, WHIST_FOLD_TRAIN);
    *out = (whist_update){.n_vectors = 1, .vectors = {l->delta}, .rows = (double)train.n, .steps = 1};
    return WHIST_OK;
}

/* ---- Measuring ------------------------------------------------------------------------------------------------ */

typedef struct measure {
    wh_source *source;
    wh_source_seat *seat;
    wh_scheme *scheme;
    wh_scheme_task task;
    float *prediction, *target; /* (rows, outputs), (rows) */
} measure;

static void measure_clear(measure *m)
{
    wh_scheme_task_clear(&m->task);
    wh_free(m->prediction);
    wh_free(m->target);
    wh_scheme_free(m->scheme);
    wh_source_seat_free(m->seat);
    wh_source_free(m->source);
}
WH_AUTO_CLEAR(measure, measure_clear)

static whist_status predict_tasks(measure *m, few *l, const float *model, size_t n_tasks)
{
    size_t q = wh_scheme_query(m->scheme), k = wh_scheme_outputs(m->scheme), s = wh_scheme_support(m->scheme);
    char purpose[WHIST_NAME_SIZE + 16];
    snprintf(purpose, sizeof purpose, "meta-test %s", l->site);
    for (size_t t = 0; t < n_tasks; t++) {
        WH_TRY(wh_source_draw(&m->task, m->seat, m->source, m->scheme, purpose, t));
        WH_TRY(wh_scheme_adapt(l->personal, m->scheme, 0, model, &m->task));
        WH_TRY(wh_scheme_predict(m->prediction + t * q * k, m->scheme, 0, l->personal, &m->task));
        for (size_t i = 0; i < q; i++) {
            const void *y = m->task.y;
            m->target[t * q + i] =
                wh_scheme_by_class(m->scheme) ? (float)((const uint32_t *)y)[s + i] : ((const float *)y)[s + i];
        }
    }
    return WHIST_OK;
}

/* The query rows of a fold's tasks; a site's own task is queried by all rows of the fold. A fold that cannot fill an
 * episode is not measured. */
static whist_status few_evaluate(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out)
{
    few *l = (few *)self;
    const whist_learner_env *env = l->env;
    WH_AUTO(measure) m = {0};
    wh_source_env rows = l->rows;
    bool classes = rows.episodes.kind == WHIST_TASKS_CLASSES;
    size_t n = whist_dataset_rows(env->data, fold).n, n_tasks = classes ? TEST_TASKS : 1, all, numbers;
    for (size_t i = 0; i < env->n_metrics; i++) out[i] = (whist_metric_value){0};
    if (n == 0 || rows.episodes.kind == WHIST_TASKS_SINUSOID) return WHIST_OK;
    rows.fold = fold;
    if (!classes && fold != WHIST_FOLD_TRAIN) rows.episodes.queries = (uint32_t)n;
    whist_status status = wh_source_new(&m.source, &rows);
    if (status == WHIST_E_FORMAT) return WHIST_OK;
    WH_TRY(status);
    WH_TRY(wh_source_seat_new(&m.seat, m.source));
    WH_TRY(make_scheme(&m.scheme, l, m.source, false));
    WH_TRY(wh_scheme_task_init(&m.task, m.scheme));
    if (!wh_mul_size(&all, n_tasks, wh_scheme_query(m.scheme)) ||
        !wh_mul_size(&numbers, all, wh_scheme_outputs(m.scheme)))
        WH_FAIL(WHIST_E_RANGE, "too many rows to measure");
    WH_TRY(WH_NEW(&m.prediction, numbers));
    WH_TRY(WH_NEW(&m.target, all));
    WH_TRY(predict_tasks(&m, l, model, n_tasks));
    whist_metric_rows measured = {
        .prediction = m.prediction, .target = m.target, .n = all, .shape = whist_model_shape_get(env->model)};
    if (wh_scheme_by_class(m.scheme)) measured.shape.target = WHIST_TARGET_CLASS;
    measured.shape.n_outputs = wh_scheme_outputs(m.scheme);
    for (size_t i = 0; i < env->n_metrics; i++) WH_TRY(whist_metric_compute(&out[i], env->metrics[i], &measured));
    return WHIST_OK;
}

const whist_learner_class wh_few_learner = {
    .name = "few-shot", .doc = "", .free_ = few_free, .fit = few_fit, .evaluate = few_evaluate};

/* ---- The classes ---------------------------------------------------------------------------------------------------
 */

#define LR                                                                                                             \
    {                                                                                                                  \
        "lr", WHIST_OPTION_REAL, "0.1", 0, 1e3, NULL, "step of all that is learned along the mean meta-gradient"       \
    }
#define TASKS                                                                                                          \
    {                                                                                                                  \
        "tasks", WHIST_OPTION_INT, "4", 1, 1e5, NULL, "tasks of a site in a round, or of a training step"              \
    }
#define INNER(rate, steps)                                                                                             \
    LR, TASKS, {"inner_lr", WHIST_OPTION_REAL, rate, 1e-9, 1e3, NULL, "learning rate of the steps inside a task"},     \
    {                                                                                                                  \
        "inner_steps", WHIST_OPTION_INT, steps, 1, 1000, NULL, "steps on a task's support rows"                        \
    }

static const whist_option meta_sgd_options[] = {INNER("0.01", "1"), {0}};
static const whist_option mamlpp_options[] = {INNER("0.1", "5"), WH_META_MAMLPP_OPTIONS(""), {0}};
static const whist_option imaml_options[] = {INNER("0.1", "16"), WH_META_IMAML_OPTIONS(""), {0}};
static const whist_option cavia_options[] = {INNER("1", "2"), WH_META_CAVIA_OPTIONS(""), {0}};
static const whist_option lstm_options[] = {INNER("0.01", "5"), WH_META_LSTM_OPTIONS(""), {0}};
static const whist_option abml_options[] = {INNER("0.1", "5"), WH_META_ABML_OPTIONS(""), {0}};
static const whist_option protonet_options[] = {
    LR,
    TASKS,
    {"distance", WHIST_OPTION_CHOICE, "euclidean", 0, 0, "euclidean|cosine", "between a query and the mean of a class"},
    {0},
};
static const whist_option matching_options[] = {
    LR,
    TASKS,
    {"scale", WHIST_OPTION_REAL, "10", 1e-3, 1e3, NULL, "factor of the cosines under the softmax"},
    {"context", WHIST_OPTION_BOOL, "false", 0, 0, NULL, "full-context embeddings: LSTMs over the support rows"},
    {"reads", WHIST_OPTION_INT, "3", 1, 100, NULL, "looks at the support for a query, with context"},
    {0},
};
static const whist_option relation_options[] = {
    LR, TASKS, {"hidden", WHIST_OPTION_INT, "64", 1, 65536, NULL, "width of the module that compares"}, {0}};
static const whist_option r2d2_options[] = {LR, TASKS, {0}};

const char *const wh_meta_learner_vectors[] = {"delta", NULL};

static whist_status few_make(whist_learner **out, const whist_learner_env *env, const whist_learner_class *class_)
{
    return wh_few_learner_new(out, env, class_);
}

/* A personal model is for learners whose inner steps give one of the model's own shape. */
#define FEW_LEARNER(id, text, words, table, order) WH_META_LEARNER(few, id, text, words, table, order, NULL)

FEW_LEARNER(meta_sgd, "meta-sgd", "MAML that learns a rate for every parameter", meta_sgd_options,
            wh_meta_objection_second)
FEW_LEARNER(mamlpp, "maml++",
            "MAML with learned rates for each tensor and step, and a loss over all steps that anneals", mamlpp_options,
            wh_meta_objection_second)
FEW_LEARNER(imaml, "imaml", "MAML by implicit gradients at the minimum, with a proximal term", imaml_options,
            wh_meta_objection_second)
FEW_LEARNER(cavia, "cavia", "inner steps move a small context of the task, not the network", cavia_options,
            wh_meta_objection_second)
FEW_LEARNER(meta_lstm, "meta-lstm", "the inner steps are made by learned gates of an LSTM", lstm_options,
            wh_meta_objection_second)
FEW_LEARNER(abml, "abml", "amortised Bayesian: Gaussians of weights, whose start is the prior", abml_options,
            wh_meta_objection_second)
FEW_LEARNER(protonet, "protonet", "prototypical networks: the nearest class mean of features", protonet_options,
            wh_meta_objection_first)
FEW_LEARNER(matching, "matching", "matching networks: attention over the support rows", matching_options,
            wh_meta_objection_first)
FEW_LEARNER(relation, "relation", "relation network: a learned comparison with class means", relation_options,
            wh_meta_objection_first)
FEW_LEARNER(r2d2, "r2d2", "ridge regression over features, solved for every task", r2d2_options,
            wh_meta_objection_first)
