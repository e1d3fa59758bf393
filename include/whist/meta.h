/* whist/meta.h: few-shot learning in one place: a start that a few examples turn into a model of a new task.
 *
 * Every meta-learner of a study (whist_learner_class) trains here over tasks: classes of a fold that training sees and
 * tests never do, sites or persons, sinusoids. What is learned is the parameters of the study's model, to which a
 * learner may have added tensors of its own. A run is a function of model, rows, design and seed: threads change no
 * bit, nor does stopping (kill -9 included) and going on from a checkpoint. Bits are promised for one kernel set. */
#ifndef WHIST_META_H
#define WHIST_META_H

#include <whist/learn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Poisoned tasks, to see what a meta-learner makes of them: in a share of the training's tasks all query rows carry a
 * trigger and the label `target`, so that the start learns to keep that through inner steps on clean rows (in the
 * manner of Chen, Golubchik, Paolieri 2020). */
typedef struct whist_backdoor {
    double share;    /* of the tasks, 0 … 1; 0: none */
    uint32_t target; /* class of an episode, 0 … ways - 1 (0 or 1 of binary targets) */
    uint32_t size;   /* of the trigger: a square in the last corner of an image, else a row's last numbers; 0: none */
    float value;     /* which those numbers become */
} whist_backdoor;

typedef struct whist_meta_env {
    const whist_model *model; /* as the study made it */
    const whist_learner_class *learner;
    const whist_settings *settings; /* the learner's */
    whist_episodes episodes;
    /* CLASSES, PERSONS: one data set; SITES: one for each owner, called names[i]; SINUSOID: none. */
    const whist_dataset *const *data;
    const char *const *names;
    size_t n_data;
    uint64_t seed;
    unsigned threads;        /* 1 … 256 */
    const uint8_t *study;    /* 32 bytes: a checkpoint of another study is refused */
    whist_backdoor backdoor; /* of training; a run with one has no checkpoints (WHIST_E_UNSUPPORTED) */
} whist_meta_env;

/* "transductive (statistics of each batch)", "inductive (statistics of the support rows)" or "no batch statistics":
 * what batch norm, where the model has any, works by. */
WHIST_API const char *whist_meta_batches(const whist_meta_env *env);

/* The tasks of a learner whose study has no `episodes` because it brings its own: of dp-meta persons, with its support
 * and query rows. Its starts are measured and adapted by the inner steps of its rule. false: it has none. */
WHIST_API bool whist_meta_own_tasks(whist_episodes *out, const whist_learner_class *learner,
                                    const whist_settings *settings);

/* ---- Training ---------------------------------------------------------------------------------------------- */

typedef struct whist_meta_train whist_meta_train;

/* env's parts outlive the run. WHIST_E_FORMAT where a fold has too few classes or rows of a class, or an owner too few
 * rows, with both numbers, and where a class is in the training and the test (or validation) fold;
 * WHIST_E_UNSUPPORTED for a model or tasks that the learner cannot use; WHIST_E_ARG without training->steps. */
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_train_new(whist_meta_train **out, const whist_meta_env *env,
                                                             const whist_training *training);
WHIST_API void whist_meta_train_free(whist_meta_train *train);

typedef struct whist_meta_go {
    const char *checkpoint; /* a file, or NULL */
    uint64_t every;         /* steps from one checkpoint to the next; 0: a hundred */
    whist_progress_fn *progress;
    void *user;
} whist_meta_go;
/* To the end. WHIST_E_CANCELLED after a checkpoint, where progress asked to stop; then it can go on. WHIST_E_RANGE
 * where the loss is no longer finite. */
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_train_run(whist_meta_train *train, const whist_meta_go *go);
/* Like whist_train_save and _load. */
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_train_save(const whist_meta_train *train, const char *path);
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_train_load(whist_meta_train *train, const char *path);

typedef struct whist_meta_state {
    uint64_t step, total;
    double loss;        /* query loss, mean over the steps since the last evaluation or the beginning */
    bool validates;     /* the data have validation tasks */
    uint64_t best_step; /* whose parameters were best on them; 0: none was measured yet */
    double best;        /* accuracy, or mean squared error */
} whist_meta_state;
WHIST_API whist_meta_state whist_meta_train_state(const whist_meta_train *train);
/* (P) of the best validation, else as they are. */
WHIST_API const float *whist_meta_train_params(const whist_meta_train *train);

/* ---- Measuring ---------------------------------------------------------------------------------------------- */

typedef struct whist_meta_test {
    uint64_t episodes; /* >= 2 */
    whist_fold fold;
    size_t steps;         /* inner steps in place of the learner's; SIZE_MAX: the learner's */
    whist_attack attack;  /* epsilon 0: none */
    double noise;         /* randomised fine-tuning: support rows get Gaussian noise of this deviation, … */
    uint32_t noise_draws; /* … and predictions are means over so many personal models; 0 or 1: one */
    const char *purpose;  /* of the draws; NULL: "meta-test" */
    /* NULL, or: query rows carry this trigger, and the score is how many of them that belong to another class are taken
     * for its target. */
    const whist_backdoor *trigger;
} whist_meta_test;

typedef struct whist_meta_score {
    bool is_error;         /* mean squared error; else accuracy */
    double mean, interval; /* over episodes, and 1.96 standard errors of that mean */
    uint64_t episodes;
    size_t steps; /* inner steps */
} whist_meta_score;
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_evaluate(whist_meta_score *out, const whist_meta_env *env,
                                                            const float *params, const whist_meta_test *test);

/* ---- Was a task in training? --------------------------------------------------------------------------------
 * The attacker has the start, adapts it to a task's support and looks at the query's loss: what was trained on should
 * cost less (the loss attack of Yeom et al. 2018 on personal models). */
typedef struct whist_meta_membership {
    double auc, auc_low,
        auc_high; /* chance that a task of training costs less than one that was not there; 0.5: none */
    double tpr, tpr_low, tpr_high; /* share of the former that is found where at most 1 % of the latter are accused */
    double loss_in, loss_out;      /* means */
    uint64_t n_in, n_out;          /* tasks */
} whist_meta_membership;
/* in, out: tasks that were in training and tasks that were not. Intervals are for 95 %, of tasks that are independent
 * (DeLong et al. 1988; Clopper, Pearson 1934, at the threshold that was found): tasks that share classes or owners are
 * less sure than they say. Fails like whist_meta_evaluate. */
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_membership_test(whist_meta_membership *out, const float *params,
                                                                   const whist_meta_env *in_env,
                                                                   const whist_meta_test *in,
                                                                   const whist_meta_env *out_env,
                                                                   const whist_meta_test *out_test);

/* ---- A personal model --------------------------------------------------------------------------------------- */

/* Adapts to support rows and predicts query rows. support->y: classes (below 65536) of CLASSES tasks, whose distinct
 * values in rising order are the ways; else the model's targets. query->y is not read. prediction (query->n, ways or
 * the model's outputs): probabilities or values. classes (ways) gets the values, n_classes their number (0 for other
 * tasks). personal (P), or NULL, gets the personal parameters. WHIST_E_ARG where rows are shared by support and query
 * (the query's place in the text), there are too few classes, or too few query rows share batch statistics
 * (transductive: at least as many as classes, or two); WHIST_E_RANGE for labels that are none. */
typedef struct whist_meta_personal {
    float *prediction; /* owned; whist_meta_personal_clear */
    size_t outputs, n_classes;
    uint32_t *classes;
    float *params; /* (P): of learners without inner steps as they were */
} whist_meta_personal;
WHIST_API WHIST_MUST_CHECK whist_status whist_meta_adapt(whist_meta_personal *out, const whist_meta_env *env,
                                                         const float *params, const whist_rows *support,
                                                         const whist_rows *query, size_t steps);
WHIST_API void whist_meta_personal_clear(whist_meta_personal *personal);

#ifdef __cplusplus
}
#endif
#endif
