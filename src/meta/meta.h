/* meta/meta.h: gradients through learning: what a start (and its rates) should have been, so that a few steps on a
 * task's support rows leave the least loss on its query rows.
 *
 * A task has two objectives, each a graph builder: the support loss S(z, θ), which the inner steps lower, and the query
 * loss Q(z, θ). With A_j the rates of step j (0 for tensors that do not adapt):
 *
 *     z_0 = θ,   z_{j+1} = z_j - A_j ∘ ∂S(z_j, θ)/∂z,   j = 0 … k-1;   L(θ) = Σ_j w_j Q(z_j, θ), by itself w_k = 1
 *
 * The gradient of L is a chain of Hessian-vector products, backwards, each step computed again from z_j:
 *
 *     v_k = w_k ∂Q(z_k)/∂z
 *     v_j = v_{j+1} - ∂²S(z_j)/∂z∂z (A_j ∘ v_{j+1}) + w_j ∂Q(z_j)/∂z        dL/dθ = v_0 + d_0
 *     d_j = d_{j+1} - ∂²S(z_j)/∂θ∂z (A_j ∘ v_{j+1}) + w_j ∂Q(z_j)/∂θ        (only where an objective reads θ)
 *     dL/dA_j = -v_{j+1} ∘ ∂S(z_j)/∂z
 *
 * so memory holds points z_j and nothing else that grows with k. Of many steps only every keep_every-th point is kept,
 * and those between are made again on the way back: about 2√k vectors, and the same bits. Every known learner of this
 * kind is a setting:
 *
 *     MAML           EXACT                                                          (Finn et al. 2017)
 *     FOMAML         FIRST_ORDER: v_j = v_{j+1}                                     (ibid.)
 *     ANIL, BOIL     `adapts`: the head alone; all but the head            (Raghu et al. 2020; Oh et al. 2021)
 *     Meta-SGD       rates of ELEMENTS, learned                                     (Li et al. 2017)
 *     MAML++         rates of TENSORS for each step, learned; step weights          (Antoniou et al. 2019)
 *     CAVIA          context tensors adapt, and start at zero                       (Zintgraf et al. 2019)
 *     Reptile        REPTILE: θ - z_k instead of a gradient                         (Nichol et al. 2018)
 *     iMAML          IMPLICIT, with `proximal`                                      (Rajeswaran et al. 2019)
 *     Per-FedAvg     FIRST_ORDER, HESSIAN_FREE (differences of gradients) or EXACT  (Fallah et al. 2020)
 *     LSTM           LSTM: learned gates make the steps                             (Ravi and Larochelle 2017)
 *     ABML           an objective over means and deviations (meta/bayes.h)          (Ravi and Beatson 2019)
 *     ProtoNet, …    no inner steps: k = 0, and Q builds the head (meta/metric.h)
 *
 * A wh_meta is made once for a problem and its shapes and is immutable; a wh_meta_work is the memory of one caller with
 * its threads. Gradients allocate nothing. Numbers are of the problem's type: float for training, double for answers.
 */
#ifndef WH_META_META_H
#define WH_META_META_H

#include "base/pool.h"
#include "nn/graph/graph.h"

/* One array that an objective reads. */
typedef struct wh_meta_array {
    const char *name;
    wh_dims dims;
    uint64_t limit; /* 0: real numbers; else indices below it */
    bool per_step;  /* its data are those of all k inner steps (of a query: all k+1 points), one after the other */
    size_t parts;   /* per_step: there are so many instead, and step j reads part j mod parts; 0: one for each step */
} wh_meta_array;

/* Into how many equal parts a task's rows are cut for steps that take them in turns, each of about so many (about 0:
 * of all). No more parts than steps, so that every row is seen; and of the sizes that divide the rows the largest from
 * half of `about` up to it, else the smallest beyond: 25 rows by tens are five of 5, 22 two of 11, 13 one. */
size_t wh_meta_parts(size_t rows, size_t about, size_t steps);
/* order (n): the rows such that classes take turns, each class's rows in their own order; class_[i] < n_classes. */
WH_MUST_CHECK whist_status wh_meta_turns(uint32_t *order, const uint32_t *class_, size_t n, size_t n_classes);

/* Builds a scalar. params[i] has the shape of tensor i; prior[i] is θ's tensor, NULL where the problem does not say
 * that it is used; data[a] is array a. Failures stick to the graph. */
typedef wh_value wh_meta_build(void *user, wh_graph *graph, const wh_value params[], const wh_value prior[],
                               const wh_value data[]);
typedef struct wh_meta_objective {
    wh_meta_build *build; /* NULL: there is none */
    void *user;
    const wh_meta_array *arrays;
    size_t n_arrays;
} wh_meta_objective;

typedef enum wh_meta_rule {
    WH_META_EXACT,
    WH_META_FIRST_ORDER,
    WH_META_HESSIAN_FREE,
    WH_META_REPTILE,  /* needs no query objective */
    WH_META_IMPLICIT, /* all tensors adapt; rate ONE, not learned, halved for a task whose steps climb; proximal > 0 */
    WH_META_LSTM,     /* below */
} wh_meta_rule;

/* The LSTM's step, for each number c of z by itself, with x = (slope, S, c) and both gates of the step before:
 *
 *     i' = σ(WI · (x, i) + bI),   f' = σ(WF · (x, f) + bF),   c' = f' c - i' slope
 *
 * The rates are WI, bI, WF, bF. Slope and S are inputs of the gates and of the step, not functions of z: the gradient
 * is of first order. With log_range = p > 0 each of the two becomes a pair: (log|x| / p, sign x) where |x| >= e^-p,
 * else
 * (-1, e^p x), so that W has 6 numbers instead of 4 (Andrychowicz et al. 2016). */

typedef enum wh_meta_rates {
    WH_META_RATE_ONE,      /* one number */
    WH_META_RATE_TENSORS,  /* one for each tensor that adapts */
    WH_META_RATE_ELEMENTS, /* one for each element of those */
} wh_meta_rates;

typedef struct wh_meta_problem {
    wh_real real;
    const wh_dims *params; /* θ: n_params tensors, flat one after the other in this order */
    size_t n_params;
    wh_meta_objective support, query;
    bool uses_prior; /* objectives read θ beside z */

    wh_meta_rule rule;
    size_t steps;               /* k >= 0 */
    size_t keep_every;          /* points that are kept; 1: all. 0: all of up to 8 steps, else about √k */
    const bool *adapts;         /* by tensor; NULL: all */
    const bool *starts_at_zero; /* by tensor, which must adapt; its part of the gradient is zero. NULL: none */
    wh_meta_rates rates;
    bool rates_per_step; /* a set of rates for each step, one after the other */
    bool learns_rates;   /* EXACT, FIRST_ORDER, HESSIAN_FREE, LSTM: dL/dA is made as well */
    bool weighs_steps;   /* Q counts at every z_j; else at z_k alone */
    double proximal;     /* λ >= 0: S gets λ/2 |z - θ|², over the tensors that adapt */
    double delta;        /* HESSIAN_FREE: the differences' half step, > 0 */
    size_t newton;       /* IMPLICIT: Newton steps after the k steps, to reach the minimum */
    size_t conjugate;    /* IMPLICIT: conjugate-gradient iterations of each linear solve, >= 1 */
    double tolerance;    /* IMPLICIT: a solve is over when its residue is this part of the right side */
    double gate_start;   /* LSTM: both gates before the first step */
    double log_range;    /* LSTM: p; 0: slope and S as they are */
} wh_meta_problem;

typedef struct wh_meta wh_meta;
typedef struct wh_meta_work wh_meta_work;

/* Fails like wh_graph_status; WHIST_E_ARG for settings that do not go together, saying which. What `problem` points to
 * may go afterwards. */
WH_MUST_CHECK whist_status wh_meta_new(wh_meta **out, const wh_meta_problem *problem);
void wh_meta_free(wh_meta *meta);
WH_AUTO_FREE(wh_meta, wh_meta_free)
size_t wh_meta_n(const wh_meta *meta);         /* numbers of θ */
size_t wh_meta_n_rates(const wh_meta *meta);   /* of all steps */
size_t wh_meta_n_adapted(const wh_meta *meta); /* numbers of the tensors that adapt */

/* Memory for a pool of at most so many threads. The meta outlives it. */
WH_MUST_CHECK whist_status wh_meta_work_new(wh_meta_work **out, const wh_meta *meta, unsigned threads);
void wh_meta_work_free(wh_meta_work *work);
WH_AUTO_FREE(wh_meta_work, wh_meta_work_free)
size_t wh_meta_work_bytes(const wh_meta_work *work);

/* The arrays of one task, in the order of the objectives'. */
typedef struct wh_meta_task {
    const void *const *support, *const *query;
} wh_meta_task;

/* Where the gradient is taken. */
typedef struct wh_meta_at {
    const void *theta;     /* (n) */
    const void *rates;     /* (n_rates) */
    const double *weights; /* (k+1), where the problem weighs steps */
} wh_meta_at;

typedef struct wh_meta_gradient {
    void *theta;          /* (n): mean over the tasks */
    void *rates;          /* (n_rates), or NULL; only where they are learned */
    double *support_loss; /* (tasks): before the first step; or NULL */
    double *query_loss;   /* (tasks): L; or NULL. Zero where there is no query objective */
} wh_meta_gradient;

/* One task at a time on each thread; sums run in an order that does not depend on the threads. pool may be NULL.
 * WHIST_E_ARG: more threads than work has memory for, no tasks; WHIST_E_RANGE: an index out of its limit. */
WH_MUST_CHECK whist_status wh_meta_step(const wh_meta_gradient *out, wh_meta_work *work, const wh_meta_at *at,
                                        const wh_meta_task tasks[], size_t n_tasks, wh_pool *pool);
/* The same of one task, by the memory of one worker (0 … threads-1): for those who clip or weigh tasks. */
WH_MUST_CHECK whist_status wh_meta_one(const wh_meta_gradient *out, wh_meta_work *work, unsigned worker,
                                       const wh_meta_at *at, const wh_meta_task *task);

/* z (n) = θ with the tensors that adapt after all inner steps. The query arrays are not read. */
WH_MUST_CHECK whist_status wh_meta_adapt(void *z, wh_meta_work *work, unsigned worker, const wh_meta_at *at,
                                         const wh_meta_task *task);
/* losses[j] = Q(z_j), j = 0 … k; no derivatives are made. */
WH_MUST_CHECK whist_status wh_meta_curve(double losses[], wh_meta_work *work, unsigned worker, const wh_meta_at *at,
                                         const wh_meta_task *task);

#endif
