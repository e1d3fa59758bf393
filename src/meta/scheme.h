/* meta/scheme.h: a learner by its name over a model: what is learned beside the network, what a task's objectives are,
 * how a task is predicted. One scheme serves training in one place, sites, measuring and adapting.
 *
 * All that is learned is one flat vector, the parameters of the model:
 *
 *     | the network's tensors (of metric learners without the head) | more of θ | rates |
 *
 * wh_scheme_extend adds what a learner (or the rule of dp-meta) needs when the study's model is made: rates of meta-sgd
 * and maml++, a context of cavia, gates of lstm, deviations of abml, a relation module, LSTMs of full context, the
 * three numbers of r2d2. So model files, updates, strategies and protections know no learner.
 *
 * The rows of a task are those of an episode: support x (S,D) and y (S), query x (Q,D) and y (Q). */
#ifndef WH_META_SCHEME_H
#define WH_META_SCHEME_H

#include "meta/metric.h"
#include "meta/model.h"

#include <whist/learn.h>

typedef enum wh_scheme_kind {
    WH_SCHEME_CHAIN, /* maml, fomaml, reptile, anil, boil, per-fedavg */
    WH_SCHEME_META_SGD,
    WH_SCHEME_MAMLPP,
    WH_SCHEME_IMAML,
    WH_SCHEME_CAVIA,
    WH_SCHEME_LSTM,
    WH_SCHEME_ABML,
    WH_SCHEME_PROTONET, /* from here on no inner steps: a head over features */
    WH_SCHEME_MATCHING,
    WH_SCHEME_RELATION,
    WH_SCHEME_RIDGE,
    WH_SCHEME_NONE, /* no meta-learner */
} wh_scheme_kind;

wh_scheme_kind wh_scheme_kind_of(const whist_learner_class *class_);
static inline bool wh_scheme_is_metric(wh_scheme_kind kind)
{
    return kind >= WH_SCHEME_PROTONET && kind < WH_SCHEME_NONE;
}

/* By whose mathematics a learner goes, with settings (the caller's) of that one's table: of dp-meta its rule, of others
 * themselves. WHIST_E_UNSUPPORTED, with the reason, for a rule whose tasks dp-meta does not have. */
WH_MUST_CHECK whist_status wh_scheme_rule(const whist_learner_class **learner, whist_settings **settings,
                                          const whist_learner_class *class_, const whist_settings *given);

/* Before the model is shared. Learners that bring nothing along leave it as it is. WHIST_E_UNSUPPORTED for a model that
 * the learner cannot use, with the reason. */
WH_MUST_CHECK whist_status wh_scheme_extend(whist_model *model, const whist_learner_class *class_,
                                            const whist_settings *settings);

typedef struct wh_scheme_env {
    const whist_model *model;
    const whist_learner_class *learner;
    const whist_settings *settings;
    size_t ways;           /* classes of a task; 0: the model's own targets */
    size_t support, query; /* rows, >= 1 */
    bool support_statistics;
    unsigned threads;
    size_t steps; /* inner steps in place of the learner's; SIZE_MAX: the learner's */
    bool learns;  /* gradients are wanted: else only wh_scheme_predict and _adapt */
    bool attacks; /* wh_scheme_attack is wanted */
} wh_scheme_env;

typedef struct wh_scheme wh_scheme;
WH_MUST_CHECK whist_status wh_scheme_new(wh_scheme **out, const wh_scheme_env *env);
void wh_scheme_free(wh_scheme *scheme);
WH_AUTO_FREE(wh_scheme, wh_scheme_free)

/* One task's memory. */
enum { WH_SCHEME_ARRAYS = 5 };
typedef struct wh_scheme_task {
    float *x;     /* (S + Q, D) */
    void *y;      /* (S + Q): uint32_t where targets are classes, else float */
    float *noise; /* abml: of every step and of the query; else NULL */
    const void *data[WH_SCHEME_ARRAYS], *support[3];
    wh_meta_task task;
} wh_scheme_task;
WH_MUST_CHECK whist_status wh_scheme_task_init(wh_scheme_task *out, const wh_scheme *scheme);
/* Row `at` of the task (support rows, then query rows) gets this target; WHIST_E_RANGE where it is none of the classes.
 */
WH_MUST_CHECK whist_status wh_scheme_task_target(wh_scheme_task *out, size_t at, float target, const wh_scheme *scheme);
/* Rows order[0 … n-1] become rows at … at + n - 1 of the task. */
WH_MUST_CHECK whist_status wh_scheme_task_rows(wh_scheme_task *out, size_t at, const whist_rows *rows,
                                               const uint32_t order[], size_t n, const wh_scheme *scheme);
/* Once its support rows are there: where steps take parts of them, rows are moved so that each part shows the classes
 * evenly. */
WH_MUST_CHECK whist_status wh_scheme_task_mix(wh_scheme_task *task, const wh_scheme *scheme);
/* A copy of the rows, noise included. */
void wh_scheme_task_copy(wh_scheme_task *out, const wh_scheme_task *from, const wh_scheme *scheme);
void wh_scheme_task_clear(wh_scheme_task *task);

size_t wh_scheme_support(const wh_scheme *scheme);
size_t wh_scheme_query(const wh_scheme *scheme);
size_t wh_scheme_features(const wh_scheme *scheme);
bool wh_scheme_by_class(const wh_scheme *scheme);  /* targets are indices below wh_scheme_outputs */
size_t wh_scheme_outputs(const wh_scheme *scheme); /* numbers of a prediction: ways, or the model's */
size_t wh_scheme_steps(const wh_scheme *scheme);
size_t wh_scheme_noise(const wh_scheme *scheme); /* normal numbers that a task takes */
/* Zeroes, in a vector (P), what every task starts anew from zero whatever the parameters say: cavia's context. */
void wh_scheme_forget(float *vector, const wh_scheme *scheme);
unsigned wh_scheme_draws(const wh_scheme *scheme); /* predictions that are averaged, each with noise of its own; 1 */

/* grad (P): mean over the tasks. losses (n): of the query. time: steps (rounds) taken so far, which maml++ anneals by.
 */
WH_MUST_CHECK whist_status wh_scheme_gradient(float *grad, double *losses, wh_scheme *scheme, const float *params,
                                              uint64_t time, const wh_meta_task tasks[], size_t n, wh_pool *pool);
/* personal (P) = params after the inner steps on the task's support; metric learners have none: a copy. */
WH_MUST_CHECK whist_status wh_scheme_adapt(float *personal, wh_scheme *scheme, unsigned worker, const float *params,
                                           const wh_scheme_task *task);
/* out (Q, outputs): probabilities, or values, of the query by a personal vector (query targets are not read); of abml
 * by one draw of the weights. */
WH_MUST_CHECK whist_status wh_scheme_predict(float *out, wh_scheme *scheme, unsigned worker, const float *personal,
                                             const wh_scheme_task *task);
/* Moves the query rows (by the loss of a personal vector) or the support rows (by the loss that the inner steps lower,
 * at params) of the task; in [0, 1] where `unit`. Metric learners have no support loss: the query's is taken. */
WH_MUST_CHECK whist_status wh_scheme_attack(wh_scheme_task *task, wh_scheme *scheme, unsigned worker,
                                            const float *personal, bool query, const whist_attack *attack, bool unit);

#endif
