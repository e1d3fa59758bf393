/* whist/learn.h: the learner joint. What a site does with the model and its data to make an update.
 *
 * A learner is one struct of functions (whist_learner_class) plus an object of its own making. The
 * classes of the library and those of an embedding program go through the same door
 * (whist_learner_register in study.h). See examples/learner_mean.c.
 *
 *   begin(round) → fit → update        train: what leaves the site, before protection
 *   evaluate                           metrics as sums, so that sites can be pooled exactly
 *   adapt                              a personal copy of a model from a few rows
 *   state save/load                    what the learner remembers between rounds (SCAFFOLD's c_i)
 *
 * Threads: an object belongs to one thread at a time; different objects run in parallel. */
#ifndef WHIST_LEARN_H
#define WHIST_LEARN_H

#include <whist/base.h>
#include <whist/data.h>
#include <whist/dp.h>
#include <whist/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WHIST_MAX_VECTORS = 4, WHIST_MAX_METRICS = 16, WHIST_MAX_EVENTS = 8 };

/* Few-shot tasks: what `episodes` of a study says. */
typedef enum whist_task_kind {
    WHIST_TASKS_CLASSES,  /* `ways` classes of a fold, `shots` support and `queries` query rows of each */
    WHIST_TASKS_SITES,    /* rows of one owner: `shots` support and `queries` query rows in all */
    WHIST_TASKS_SINUSOID, /* y = a sin(x + p), made up: `shots` and `queries` points; a row is x, the target y */
    WHIST_TASKS_PERSONS,  /* rows of one person in a fold, `shots` support and `queries` query rows, by chance; only of
                             whist_meta_own_tasks: no study says it */
} whist_task_kind;
typedef enum whist_adversary {
    WHIST_ADVERSARY_NONE,
    WHIST_ADVERSARY_QUERY,   /* adversarial querying (Goldblum et al. 2020): query rows are attacked */
    WHIST_ADVERSARY_SUPPORT, /* support rows are */
    WHIST_ADVERSARY_BOTH, /* testing: both. Training: ADML (Yin et al. 2018), each episode twice, attacked on one side
                           */
} whist_adversary;
/* Steps of projected gradient ascent on a loss, within epsilon of each number (Madry et al. 2018); of images, whose
 * numbers lie in 0 … 1, they stay there. */
typedef struct whist_attack {
    whist_adversary on;
    double epsilon, step; /* step 0: epsilon / 4 */
    uint32_t steps;
} whist_attack;
typedef struct whist_episodes {
    whist_task_kind kind;
    uint32_t ways, shots, queries, turns; /* turns: 1, 2 or 4 turned images are classes */
    bool seen_classes;                    /* tests may be on classes of training */
    bool support_statistics;              /* transductive batch norm looks at the support rows alone: inductive */
    uint32_t validate;                    /* validation episodes of an evaluation in training */
    whist_attack attack;                  /* of training */
} whist_episodes;

/* What leaves a site. All vectors have the model's length. */
typedef struct whist_update {
    size_t n_vectors;
    const float *vectors[WHIST_MAX_VECTORS]; /* owned by the learner, valid until its next call */
    double rows;                             /* training rows behind it, the usual weight; >= 0, finite */
    double steps;                            /* effective local steps (FedNova's a_i); > 0 */
} whist_update;

/* Of an update that is one sum over records, on a grid: what one record moves it by, added or removed, in L2; and the
 * largest number that can stand in it. Both in steps, and public. */
typedef struct whist_record_sum {
    double norm, most;
} whist_record_sum;

/* What the coordinator sends for one round. */
typedef struct whist_learner_round {
    uint64_t round;     /* 0 … rounds-1 */
    const float *model; /* (n) */
    size_t n;
    size_t n_broadcast; /* the strategy's extra vectors (SCAFFOLD's c), each (n) */
    const float *broadcast[WHIST_MAX_VECTORS];
} whist_learner_round;

/* One release of a private step: a noised gradient at a model. For those who audit what they have trained themselves.
 */
typedef struct whist_release {
    const float *model, *gradient; /* (n) */
    size_t n;
    double clip, divisor; /* bound in force on a record's gradient; what the sum of them was divided by */
} whist_release;
typedef struct whist_release_watch {
    whist_status (*see)(void *user, const whist_release *release); /* after the noise; what fails ends the fit */
    void *user;
} whist_release_watch;

typedef struct whist_learner_env {
    const whist_model *model;       /* shape and mathematics, no weights */
    const whist_dataset *data;      /* this site's rows */
    const whist_settings *settings; /* of the class's own option table */
    const char *site;
    uint64_t seed;              /* the study's: order of rows only, never privacy noise */
    const char *const *metrics; /* names from the study, n_metrics of them */
    size_t n_metrics;
    const whist_episodes *episodes; /* the tasks of meta-learners; NULL: the study says nothing of them */
    unsigned threads; /* that it may use, 0 like 1: the caller's alone; they change the time, not the bits */
    const whist_release_watch *watch; /* NULL: nobody. Private learners that make steps show each */
} whist_learner_env;

typedef struct whist_learner_class whist_learner_class;

/* Every learner object begins with this. */
typedef struct whist_learner {
    const whist_learner_class *class_;
} whist_learner;

struct whist_learner_class {
    const char *name;
    const char *doc;
    const whist_option *options;
    /* The vectors of an update, by name, ending with NULL: {"delta", NULL}. A strategy takes a
     * learner whose list equals its own. */
    const char *const *vectors;
    size_t n_broadcast; /* extra vectors it needs from the strategy */
    size_t n_states;    /* vectors (model length) that it keeps between rounds */

    whist_status (*new_)(whist_learner **out, const whist_learner_env *env); /* env's parts outlive the learner */
    void (*free_)(whist_learner *self);
    /* Makes the update for this round. Same inputs and state, same bits, any number of threads. */
    whist_status (*fit)(whist_learner *self, const whist_learner_round *round, whist_update *out);
    /* out[k] for env->metrics[k] on one fold; zero sums where the fold has no rows. */
    whist_status (*evaluate)(whist_learner *self, const float *model, whist_fold fold, whist_metric_value *out);
    /* personal (n) = model adapted to the rows; NULL where the learner has no such thing. */
    whist_status (*adapt)(whist_learner *self, const float *model, const whist_rows *support, float *personal);
    /* The n_states vectors, to be stored with the update; pointers stay the learner's. NULL if stateless. */
    whist_status (*state)(whist_learner *self, float **out);
    /* Private learners: what the next fit of this round will have spent, asked before it and charged before its update
     * leaves. *out has room for WHIST_MAX_EVENTS events of one unit and relation (the study's); what they point at
     * stays the learner's until its next call. They must tell what fit really does: mechanism, sampling, count. An
     * object whose update was not kept and charged is ended, so one that goes on may count on what it told before.
     * NULL: the learner adds no noise of its own. */
    whist_status (*spends)(whist_learner *self, const whist_learner_round *round, whist_dp_event *out, size_t *n);
    whist_dp_unit unit; /* of its events; without `spends` nothing */
    /* What `rounds` rounds with these settings will have spent, told without rows: so a study that cannot pay for its
     * own plan is refused before anybody trains. As `spends`, and at least what it says of these rounds one after the
     * other, where nothing breaks off. NULL: nobody knows before the rows do. */
    whist_status (*plans)(const whist_settings *settings, uint64_t rounds, whist_dp_event *out, size_t *n);
    /* What speaks against a promise about this unit with these settings, as the end of a refusal; NULL: nothing that
     * this learner knows of. plain_metrics: metrics of the folds leave without noise. The function may be NULL. */
    const char *(*objection)(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics);
    /* Learners whose update is one sum over records, for noise that is added to the sum of all sites: in shares, or by
     * the coordinator. sum: the change of the model (n), in whole steps of a grid of `step`, with each record clipped
     * to `clip`; in place of fit, for promises about records. records: what is proven of it, from what is public. Both
     * or neither. */
    whist_status (*records)(whist_record_sum *out, const whist_model *model, const whist_settings *settings,
                            double clip, double step);
    whist_status (*sum)(whist_learner *self, const whist_learner_round *round, double clip, double step, int64_t *out);
    /* What the model of the last round (n) becomes before it is handed over, where rounds keep something else in it
     * than a model that predicts: sums, say. In place; a function of its arguments alone. NULL: nothing. */
    whist_status (*finish)(const whist_model *model, const whist_settings *settings, float *params);
};

/* The classes of the library; the list ends with NULL. */
WHIST_API const whist_learner_class *const *whist_learner_classes(void);

/* For learners over a whist_model: metrics of `model` on a fold of the data set. */
WHIST_API WHIST_MUST_CHECK whist_status whist_learn_evaluate(whist_metric_value *out, const whist_model *model,
                                                             const float *params, const whist_rows *rows,
                                                             const char *const *metrics, size_t n_metrics);

/* ---- Private statistics ------------------------------------------------------------------------
 *
 * Questions about a table, answered with differential privacy. A row is a record and the unit: a person with several
 * rows counts as often. What is asked of a number needs public bounds; values beyond them are moved to the nearer one.
 *
 *   count                                 count(COLUMN=LEVEL)
 *   sum(COLUMN, LOW, HIGH)                mean(COLUMN, LOW, HIGH)            variance(COLUMN, LOW, HIGH)
 *   quantile(COLUMN, Q, LOW, HIGH[, POINTS])   the best of POINTS (1000) evenly spaced candidates
 *   histogram(CATEGORY)                   histogram(COLUMN, LOW, HIGH, BINS)
 *   contingency(CATEGORY, CATEGORY)
 *   mode(CATEGORY[, permute_and_flip|noisy_max|exponential])   the level that most rows have, as one choice
 *   above(CATEGORY, THRESHOLD[, TIMES])   level by level, 1 where it has THRESHOLD rows and 0 where not, until it has
 *                                         said 1 TIMES times (1): sparse vector
 *   response(CATEGORY), unary(CATEGORY)   counts from answers that each row gives for itself, by randomised response or
 *                                         unary encoding; relation REPLACE
 *
 * COLUMN is a real column or the target of a regression, CATEGORY a category or the target of classes. */
typedef struct whist_query whist_query;
/* WHIST_E_ARG, saying what is missing: bounds, a column of that name, … */
WHIST_API WHIST_MUST_CHECK whist_status whist_query_parse(whist_query **out, const char *text,
                                                          const whist_schema *schema);
WHIST_API void whist_query_free(whist_query *query);

typedef struct whist_query_terms {
    double epsilon;    /* of all queries together, shared out evenly (basic composition); 0 < epsilon <= 100 */
    double delta;      /* 0: pure, Laplace noise; else Gaussian noise, and delta < 1 / public_n */
    uint64_t public_n; /* a public bound on the number of rows; 0: none is stated */
    /* Counts, histograms and contingency tables only: discrete Laplace noise in steady time. What its law is off by
     * goes into delta, which has to be above 0 and is enough. */
    bool steady;
    whist_dp_payer payer; /* ADD_REMOVE or REPLACE, unit RECORD */
} whist_query_terms;

typedef struct whist_query_value {
    char label[WHIST_NAME_SIZE * 2 + 8]; /* "count", "cp=2", "[20, 30)" */
    double value;
    double noise; /* standard deviation of the noise in the value; 0 where there is none to name */
} whist_query_value;
typedef struct whist_query_answer {
    whist_query_value *values; /* n; owned */
    size_t n;
    const char *mechanism; /* "discrete Laplace", … */
    double steady_delta;   /* steady: what the law being off costs, a part of delta; else 0 */
} whist_query_answer;

/* Answers n queries over the rows of n_sources sources (all folds). Columns that no query names are not read; each
 * query leaves out the rows that lack a value which it asks itself, fills of the schema apart, and a table without rows
 * is answered like others. Rows that a partition deals out (IID, SHARDS) are asked about together: n_sources is the
 * number of sites. out[i] for query i; on failure none is set, but what was charged stays charged. WHIST_E_ARG for
 * terms outside their ranges. */
WHIST_API WHIST_MUST_CHECK whist_status whist_query_run(whist_query_answer *out, whist_query *const *queries, size_t n,
                                                        const whist_schema *schema, const whist_data_source *sources,
                                                        size_t n_sources, const whist_query_terms *terms);
WHIST_API void whist_query_answer_clear(whist_query_answer *answer);

/* ---- Training in one place ---------------------------------------------------------------------------
 * What a study's section `training` says, step by step: batches of shuffled rows, an optimiser, metrics now and then,
 * checkpoints. A run is a function of model, rows, settings and seed: the number of threads changes no bit, nor does
 * stopping (kill -9 included) and going on from a checkpoint. Bits are promised for one kernel set, which a checkpoint
 * names and load compares. A run belongs to one thread at a time and uses threads of its own. */

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
