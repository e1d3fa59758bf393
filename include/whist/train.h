/* whist/train.h: training a model on rows that lie in one place.
 *
 * What a study's section `training` says, step by step: batches of shuffled rows, an optimiser, metrics now and then,
 * checkpoints. A run is a function of model, rows, settings and seed: the number of threads changes no bit, nor does
 * stopping (kill -9 included) and going on from a checkpoint. Bits are promised for one kernel set, which a checkpoint
 * names and load compares.
 *
 * Threads: a run belongs to one thread at a time and uses threads of its own. */
#ifndef WHIST_TRAIN_H
#define WHIST_TRAIN_H

#include <whist/base.h>
#include <whist/data.h>
#include <whist/learn.h>
#include <whist/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct whist_training {
    const char *optimizer;          /* "sgd", "momentum", "nesterov", "adam", "adamw", "adagrad", "yogi" */
    const whist_settings *settings; /* of its option table */
    uint64_t epochs;                /* passes over the training rows, … */
    uint64_t steps;                 /* … unless this is not 0 */
    uint64_t batch;                 /* rows; 0: all of them at once */
    uint64_t evaluate_every;        /* steps; 0: once an epoch */
} whist_training;

/* The option table of an optimiser by name; NULL where there is none. */
WHIST_API const whist_option *whist_training_options(const char *optimizer);

typedef struct whist_train_env {
    const whist_model *model;
    const whist_dataset *data; /* validation rows where it has some, else test rows, are measured on the way */
    whist_training training;
    uint64_t seed;              /* start values, order of rows, dropout */
    const char *const *metrics; /* n_metrics names, up to WHIST_MAX_METRICS */
    size_t n_metrics;
    unsigned threads;     /* 1 … 256 */
    const uint8_t *study; /* 32 bytes that name what is trained: a checkpoint of anything else is refused */
} whist_train_env;

typedef struct whist_train whist_train;

/* env's parts outlive the run. WHIST_E_ARG for what does not fit together, WHIST_E_FORMAT without training rows. */
WHIST_API WHIST_MUST_CHECK whist_status whist_train_new(whist_train **out, const whist_train_env *env);
WHIST_API void whist_train_free(whist_train *train);

typedef struct whist_train_go {
    const char *checkpoint; /* a file, or NULL */
    uint64_t every;         /* steps from one checkpoint to the next; 0: once an epoch. At the end there is one too */
    whist_progress_fn *progress; /* may be NULL; done and total count steps */
    void *user;
} whist_train_go;
/* Trains to the end. WHIST_E_CANCELLED where progress asked to stop, after a checkpoint; then it can go on.
 * WHIST_E_RANGE where the loss is no longer finite. */
WHIST_API WHIST_MUST_CHECK whist_status whist_train_run(whist_train *train, const whist_train_go *go);

/* What was measured, in order. Owned by the run, until it goes on. */
typedef struct whist_train_point {
    uint64_t step;   /* taken so far */
    double epoch;    /* the same in passes */
    double lr;       /* of the last step */
    double loss;     /* mean over the steps since the last point; NaN where there was none */
    whist_fold fold; /* of the metrics */
    whist_metric_value metrics[WHIST_MAX_METRICS];
} whist_train_point;
WHIST_API const whist_train_point *whist_train_points(const whist_train *train, size_t *n);
WHIST_API const float *whist_train_params(const whist_train *train);
WHIST_API uint64_t whist_train_done(const whist_train *train, uint64_t *total); /* steps */
/* Metrics of a fold by the parameters as they are. */
WHIST_API WHIST_MUST_CHECK whist_status whist_train_measure(const whist_train *train, whist_fold fold,
                                                            whist_metric_value *out);

/* A checkpoint is a safetensors file of parameters, optimiser, points and position; after a crash the old one or the
 * new one is there. load: WHIST_E_FORMAT where it is none, or of another shape (the text names both); WHIST_E_STATE
 * where it is of another study, seed or kernel set, with what differs; the run is untouched then. */
WHIST_API WHIST_MUST_CHECK whist_status whist_train_save(const whist_train *train, const char *path);
WHIST_API WHIST_MUST_CHECK whist_status whist_train_load(whist_train *train, const char *path);

/* DIR/training.csv and a TensorBoard event file: loss, rate and metrics over steps. */
WHIST_API WHIST_MUST_CHECK whist_status whist_train_save_points(const whist_train *train, const char *dir);

#ifdef __cplusplus
}
#endif
#endif
