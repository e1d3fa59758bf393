/* whist/meta.h: few-shot learning in one place: a network of features learned over episodes, measured on classes that
 * training never saw.
 *
 * The learner is prototypical networks (Snell et al. 2017): a query goes to the class whose mean support feature is
 * nearest in squared Euclidean distance. Support and query pass the network as two batches: a transductive batch norm
 * works by the statistics of each. A run is a function of model, rows, design and seed; threads change no bit. */
#ifndef WHIST_META_H
#define WHIST_META_H

#include <whist/learn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct whist_episodes {
    uint32_t ways, shots, queries, turns; /* classes, support and query rows of each; 1, 2 or 4 turned images */
} whist_episodes;

typedef struct whist_meta_env {
    const whist_model *model;
    const whist_dataset *data;
    whist_episodes episodes;
    uint64_t seed;
    unsigned threads;            /* 1 … 256: one episode each at a time */
    whist_progress_fn *progress; /* or NULL */
    void *user;
} whist_meta_env;

/* params (P) from whist_model_init, then training->steps steps of its optimiser, each on the mean gradient of four
 * episodes of the training fold. *loss: of the last step. WHIST_E_FORMAT where the fold has too few classes or rows
 * of a class, with both numbers; WHIST_E_UNSUPPORTED for a model with running statistics, which no gradient moves;
 * WHIST_E_CANCELLED. */
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_train(float *params, double *loss, const whist_meta_env *env,
                                                         const whist_training *training);

typedef struct whist_meta_accuracy {
    double mean, interval; /* over episodes, and 1.96 standard errors of that mean */
} whist_meta_accuracy;

/* On n >= 2 episodes of the test fold. Fails likewise. */
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_evaluate(whist_meta_accuracy *out, const whist_meta_env *env,
                                                            const float *params, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
