/* nn/optim.h: optimisers by name, clipping and schedules.
 *
 * One table serves the training section of a study and the learners. An optimiser is one pass over flat vectors; all
 * arithmetic is float32, one element at a time, so every kernel set and any number of threads give the same bits. */
#ifndef WH_NN_OPTIM_H
#define WH_NN_OPTIM_H

#include "base/mem.h"
#include "base/pool.h"

/* ---- Schedules --------------------------------------------------------------------------------------- */

typedef struct wh_schedule {
    enum { WH_SCHEDULE_CONSTANT, WH_SCHEDULE_STEP, WH_SCHEDULE_COSINE } kind;
    uint64_t warmup; /* steps over which the rate rises in a line: (t + 1) / (warmup + 1) of it at step t */
    uint64_t length; /* STEP: steps from one fall to the next; COSINE: the fall ends here (warm-up included) */
    double decay;    /* STEP: what is left at a fall */
    double floor;    /* COSINE: what is left at the end, as a part of the rate */
} wh_schedule;

/* The rate of step t = 0, 1, …: rate times what the schedule leaves. Exactly rate for a constant one without warm-up.
 */
double wh_schedule_rate(const wh_schedule *schedule, double rate, uint64_t t);

/* Option rows; the reader fills length by `steps` where the study leaves it out (0 where that is not known). */
#define WH_SCHEDULE_OPTIONS                                                                                            \
    {"schedule", WHIST_OPTION_CHOICE, "constant", 0, 0, "constant|step|cosine", "how the learning rate falls"},        \
        {"warmup", WHIST_OPTION_INT, "0", 0, 1e9, NULL, "steps over which the learning rate rises in a line"},         \
        {"decay_steps",                                                                                                \
         WHIST_OPTION_INT,                                                                                             \
         "0",                                                                                                          \
         0,                                                                                                            \
         1e12,                                                                                                         \
         NULL,                                                                                                         \
         "schedule step: steps from one fall to the next; cosine: steps until it ends (0: all of the training)"},      \
        {"decay", WHIST_OPTION_REAL, "0.1", 0, 1, NULL, "schedule step: part of the rate that is left at a fall"},     \
    {                                                                                                                  \
        "decay_floor", WHIST_OPTION_REAL, "0", 0, 1, NULL, "schedule cosine: part of the rate that is left at the end" \
    }
/* WHIST_E_ARG where step or cosine has no length. */
WH_MUST_CHECK whist_status wh_schedule_read(wh_schedule *out, const whist_settings *settings, uint64_t steps);

/* ---- Optimisers ----------------------------------------------------------------------------------------- */

typedef struct wh_optimizer_class {
    const char *name, *doc;
    const whist_option *options; /* lr, its own, clip, schedule */
    unsigned n_states;           /* vectors that it keeps, 0 … 2 */
} wh_optimizer_class;

/* sgd, momentum, nesterov, adam, adamw, adagrad, yogi; ends with a name of NULL. g is the gradient, w the parameters:
 *
 *   sgd       w −= lr (g + decay w)
 *   momentum  g += decay w;  v = momentum v + g;  w −= lr v              nesterov: w −= lr (g + momentum v)
 *   adam      g += decay w;  m = β1 m + (1-β1) g;  v = β2 v + (1-β2) g²;  w −= lr m̂ / (√v̂ + eps)
 *   adamw     the same without decay in g;  w −= lr decay w before
 *   adagrad   g += decay w;  v += g²;  w −= lr g / (√v + eps)
 *   yogi      g += decay w;  m as Adam's;  v −= (1-β2) sign(v − g²) g²;  w −= lr m̂ / (√v̂ + eps)
 *
 * m̂ = m / (1 - β1^t), v̂ = v / (1 - β2^t). (Sutskever et al. 2013 in PyTorch's form; Kingma, Ba 2015; Loshchilov, Hutter
 * 2019; Duchi, Hazan, Singer 2011; Zaheer et al. 2018) */
const wh_optimizer_class *wh_optimizer_classes(void);
const wh_optimizer_class *wh_optimizer_find(const char *name); /* NULL where there is none */

/* Option rows by what they are for, to make a learner's table of. */
#define WH_OPTION_DECAY                                                                                                \
    {                                                                                                                  \
        "weight_decay", WHIST_OPTION_REAL, "0", 0, 10, NULL, "added to the gradient, times the parameters"             \
    }
#define WH_OPTION_MOMENTUM(fallback)                                                                                   \
    {                                                                                                                  \
        "momentum", WHIST_OPTION_REAL, fallback, 0, 0.9999, NULL, "share of the last step that is kept"                \
    }
#define WH_OPTIONS_MOMENTS(eps)                                                                                        \
    {"beta1", WHIST_OPTION_REAL, "0.9", 0, 0.9999, NULL, "decay of the gradient's mean"},                              \
        {"beta2", WHIST_OPTION_REAL, "0.999", 0, 0.999999, NULL, "decay of the gradient's square"},                    \
    {                                                                                                                  \
        "eps", WHIST_OPTION_REAL, eps, 1e-15, 1, NULL, "keeps the division away from zero"                             \
    }
#define WH_OPTION_CLIP                                                                                                 \
    {                                                                                                                  \
        "clip", WHIST_OPTION_REAL, "0", 0, 1e9, NULL,                                                                  \
            "greatest norm of a batch's gradient, which is shortened to it; 0: any"                                    \
    }

typedef struct wh_optimizer wh_optimizer;

/* For n parameters. settings: of a table with the class's own rows; what a table lacks counts as 0. WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_optimizer_new(wh_optimizer **out, const wh_optimizer_class *class_,
                                            const whist_settings *settings, size_t n);
void wh_optimizer_free(wh_optimizer *optimizer);
WH_AUTO_FREE(wh_optimizer, wh_optimizer_free)
/* As new: states at 0, no step taken. */
void wh_optimizer_reset(wh_optimizer *optimizer);
/* One step from grad (n), with the rate lr. pool may be NULL. */
void wh_optimizer_step(wh_optimizer *optimizer, float *params, const float *grad, double lr, wh_pool *pool);
/* State vector i (n), for checkpoints; the number of steps taken likewise. */
float *wh_optimizer_state(wh_optimizer *optimizer, unsigned i);
uint64_t wh_optimizer_steps(const wh_optimizer *optimizer);
void wh_optimizer_set_steps(wh_optimizer *optimizer, uint64_t steps);

/* √Σ x², summed in double over blocks of fixed size. */
double wh_norm(const float *x, size_t n, wh_pool *pool);

#endif
