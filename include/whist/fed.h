/* whist/fed.h: the two other joints, protection and strategy, and the plan of a federation.
 *
 * One federated step is a sum. A site turns its update into elements of Z_2^b (fixed point, weighted
 * at the site), a protection carries them so that the coordinator learns the sum only, a strategy
 * turns the sum into the next model. What is summed depends on the purpose of the step: moments for
 * pooled standardisation, updates, or metrics.
 *
 *   vectors of an update     whist_learner_class.vectors == whist_strategy_class.vectors, by name
 *   elements                 v = round(x * weight * 2^fraction) mod 2^bits, refused where it could
 *                            make the sum of all sites wrap, or is NaN or infinite
 *   phases of a protection   advertise, share, upload, reveal …: in each, actors get the messages
 *                            addressed to them and answer with messages; in one of them sites upload */
#ifndef WHIST_FED_H
#define WHIST_FED_H

#include <whist/base.h>
#include <whist/data.h>
#include <whist/dp.h>
#include <whist/learn.h>
#include <whist/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Protection ----------------------------------------------------------------------------- */

/* Who takes part in a protection. */
typedef enum whist_role {
    WHIST_ROLE_COORDINATOR, /* collects, never sees a plain update unless shows_updates */
    WHIST_ROLE_SITE,
    WHIST_ROLE_PARTY, /* a third party that holds no data (key keeper, computing server) */
} whist_role;

/* A small message between actors. The coordinator carries it; protections seal what it must not read.
 * from and to are names of actors; "" is the coordinator, to "*" reaches every other actor. */
typedef struct whist_message {
    char from[WHIST_NAME_SIZE], to[WHIST_NAME_SIZE];
    whist_bytes body; /* at most WHIST_MESSAGE_MAX; owned by whoever hands the message over */
} whist_message;
enum { WHIST_MESSAGE_MAX = 65536 };

/* Takes a copy of a message. WHIST_E_RANGE when too large or too many. */
typedef whist_status whist_send_fn(void *outbox, const char *to, whist_bytes body);

typedef struct whist_phase {
    const char *name;
    bool sites, parties; /* who acts in it */
    bool upload;         /* sites upload their protected elements in it; exactly one phase does */
} whist_phase;

/* One vector of an upload: elements of Z_2^bits, packed in element_bytes(bits) bytes each. */
typedef struct whist_ring_vector {
    uint64_t length;
    unsigned bits;
} whist_ring_vector;

typedef struct whist_protection_env {
    whist_role role;
    const char *name;     /* this actor's */
    const uint8_t *study; /* 32 bytes: name of the study; bind every key and message to it */
    uint64_t step;        /* and to the step: a session is never used twice */
    size_t n_sites;       /* of the step's cohort */
    const char *const *sites;
    size_t n_parties;
    const char *const *parties;
    size_t n_vectors; /* of the upload, in order: those of the update, then one of sums (rows, metrics) */
    const whist_ring_vector *vectors;
    size_t min_sites; /* fewer survivors: no reveal */
    const whist_settings *settings;
} whist_protection_env;

/* What one phase brings an actor. */
typedef struct whist_phase_input {
    unsigned phase;
    const char *const *alive; /* sites that completed the phase before (the cohort in phase 0) */
    size_t n_alive;
    const whist_message *inbox; /* of the phase before, addressed to this actor */
    size_t n_inbox;
} whist_phase_input;

typedef struct whist_protection_class whist_protection_class;

/* Every protection object (one actor's machine for one step) begins with this. */
typedef struct whist_protection {
    const whist_protection_class *class_;
} whist_protection;

struct whist_protection_class {
    const char *name;
    const char *doc;
    const whist_option *options;
    bool shows_updates; /* the coordinator can read single updates: needed by cyclic and robust rules */
    size_t n_parties;   /* third parties it needs; 0 … */
    const whist_phase *phases;
    size_t n_phases; /* 1 … 8 */

    whist_status (*new_)(whist_protection **out, const whist_protection_env *env); /* env's parts outlive it */
    void (*free_)(whist_protection *self);
    /* One phase at one actor. Sites and parties: before they answer (and, in the upload phase, before
     * protect). Coordinator: when the phase has closed, with alive = who completed it. NULL: nothing to do. */
    whist_status (*step)(whist_protection *self, const whist_phase_input *in, whist_send_fn *send, void *outbox);
    /* Bytes that n elements of vector k take when protected. NULL: as many as unprotected. */
    size_t (*size)(const whist_protection *self, size_t k, size_t n);
    /* Site: n elements of vector k from `offset` on into out (size(k,n) bytes, no overlap with elements). Called
     * once for each block, in order. NULL: copy. */
    whist_status (*protect)(whist_protection *self, size_t k, uint64_t offset, const uint8_t *elements, size_t n,
                            uint8_t *out);
    /* Coordinator: adds one site's protected block to the sum of others. Commutes. NULL: add mod 2^bits. */
    whist_status (*combine)(whist_protection *self, size_t k, uint64_t offset, uint8_t *sum, const uint8_t *in,
                            size_t n);
    /* Coordinator, after the last phase: plain elements of the sum. NULL: copy. */
    whist_status (*open)(whist_protection *self, size_t k, uint64_t offset, const uint8_t *sum, size_t n,
                         uint8_t *elements);
    /* The machine as bytes (put is called once, `to` NULL), stored in the transaction of the phase; load follows
     * new_. NULL: stateless. */
    whist_status (*save)(const whist_protection *self, whist_send_fn *put, void *user);
    whist_status (*load)(whist_protection *self, whist_bytes state);
};

/* The protections of the library; the list ends with NULL. */
WHIST_API const whist_protection_class *const *whist_protection_classes(void);

/* ---- Strategy ------------------------------------------------------------------------------- */

/* How a site weights one vector before it goes into the sum. */
typedef enum whist_weighting {
    WHIST_WEIGHT_ROWS,          /* training rows n_i */
    WHIST_WEIGHT_UNIFORM,       /* 1 */
    WHIST_WEIGHT_ROWS_PER_STEP, /* n_i / a_i (FedNova) */
} whist_weighting;

typedef struct whist_strategy_vector {
    const char *name; /* NULL ends the list */
    whist_weighting weighting;
} whist_strategy_vector;

/* What the coordinator knows after the reveal: sums over the sites that arrived. */
typedef struct whist_strategy_sums {
    uint64_t round;
    size_t n_arrived, n_sites;        /* of this step; of the study */
    double weight[WHIST_MAX_VECTORS]; /* Σ weight of vector k */
    double rows, rows_steps;          /* Σ n_i; Σ n_i a_i */
} whist_strategy_sums;

/* A piece of the parameters. Strategies work element by element, so that a model larger than memory
 * passes through in blocks. */
typedef struct whist_strategy_block {
    uint64_t offset;
    size_t n;
    float *model;                         /* in-out (n) */
    float *state[WHIST_MAX_VECTORS];      /* in-out (n) each */
    const double *sum[WHIST_MAX_VECTORS]; /* Σ weight * x of vector k, (n) */
} whist_strategy_block;

/* Baselines to compare a federation with; simulation only. */
typedef enum whist_baseline {
    WHIST_BASELINE_NONE,   /* a real strategy */
    WHIST_BASELINE_LOCAL,  /* each site trains alone */
    WHIST_BASELINE_POOLED, /* all rows in one place */
} whist_baseline;

typedef struct whist_strategy_class {
    const char *name;
    const char *doc;
    const whist_option *options;
    whist_baseline baseline;
    const whist_strategy_vector *vectors;
    size_t n_states;    /* vectors kept between rounds */
    size_t n_broadcast; /* the first of them go to the sites with the model */
    bool sequential;    /* sites take turns inside a round (cyclic); needs a protection that shows_updates */
    /* Fills the states before round 0 (they come zeroed). NULL: zeroes are right. */
    whist_status (*begin)(const whist_settings *settings, whist_strategy_block *block);
    whist_status (*step)(const whist_settings *settings, const whist_strategy_sums *sums, whist_strategy_block *block);
} whist_strategy_class;

/* The strategies of the library; the list ends with NULL. */
WHIST_API const whist_strategy_class *const *whist_strategy_classes(void);

/* ---- Privacy -------------------------------------------------------------------------------- */

/* Where the noise is added, and so who is trusted with what. */
typedef enum whist_privacy_noise {
    WHIST_NOISE_LOCAL,       /* at each site: the coordinator sees noised updates */
    WHIST_NOISE_DISTRIBUTED, /* in shares at the sites: only their sum is ever open */
    WHIST_NOISE_CENTRAL,     /* at the coordinator, which sees the plain sum */
} whist_privacy_noise;

typedef enum whist_privacy_mechanism {
    WHIST_MECHANISM_GAUSSIAN,          /* rounded to the grid: local and central noise */
    WHIST_MECHANISM_DISCRETE_GAUSSIAN, /* distributed noise */
    WHIST_MECHANISM_SKELLAM,           /* distributed noise */
} whist_privacy_mechanism;

/* The words of a study: "local", "gaussian" … Never NULL. */
WHIST_API const char *whist_privacy_noise_name(whist_privacy_noise noise);
WHIST_API const char *whist_privacy_mechanism_name(whist_privacy_mechanism mechanism);
/* What the coordinator is trusted with: the sentence of the trust table, as it stands in the ledger. */
WHIST_API const char *whist_privacy_trust(whist_privacy_noise noise);

/* What a study promises. Everything here is public and fixed before the first round. */
typedef struct whist_fed_privacy {
    whist_dp_unit unit;
    whist_dp_relation relation;
    whist_privacy_noise noise;
    whist_privacy_mechanism mechanism;
    double clip;           /* L2 bound of a site's update; with adaptive clipping the first one */
    double sigma;          /* noise in the sum over the bound; 0 where the learner adds the noise itself */
    double delta;          /* that epsilons are told at */
    double epsilon;        /* the data set's budget, over all studies */
    size_t honest;         /* distributed: honest sites that are sure to be among the survivors */
    size_t colluders;      /* distributed: sites that may tell the coordinator what they know */
    uint64_t units;        /* public upper bound on their number, of records and tasks; of sites the study knows it */
    bool adaptive;         /* the bound follows a quantile of the norms */
    double quantile, rate; /* which, and how fast: clip *= exp(-rate (share of smaller updates - quantile)) */
    double count_sigma;    /* noise of that share, in sites */
    bool plain_metrics;  /* metrics of test and validation rows leave as they are: those rows are no part of the promise
                          */
    const char *dataset; /* name of the data as the study has it; "" for none */
} whist_fed_privacy;

/* ---- Plan ----------------------------------------------------------------------------------- */

typedef struct whist_fed_site {
    char name[WHIST_NAME_SIZE];
    uint8_t pin[32]; /* SHA-256 of the public key; all zero where the study names none (simulation) */
    bool pinned;
    double weight; /* with privacy: how much the site counts, a public number; 0 stands for 1 */
} whist_fed_site;

/* What a federation does, made from a study. Plain data; pointers are owned by the study. */
typedef struct whist_fed_plan {
    uint8_t study[32]; /* SHA-256 of the study file */
    const char *name;
    uint64_t seed;

    const whist_model *model;
    const whist_learner_class *learner;
    const whist_settings *learner_settings;
    const whist_strategy_class *strategy;
    const whist_settings *strategy_settings;
    const whist_protection_class *protection;
    const whist_settings *protection_settings;
    unsigned bits, fraction; /* fixed point of the updates */

    uint32_t rounds;
    double sample_fraction; /* of the sites, in each round; 1 = all */
    size_t min_sites;       /* fewer arrivals: the round fails */
    uint64_t round_timeout_ms;

    const char *const *metrics;
    size_t n_metrics;
    uint32_t min_metric_count; /* fewer rows: the site's metrics stay at home */
    uint32_t evaluate_every;   /* rounds; the last model is always evaluated. 0: only the last */
    bool pooled_moments;       /* a step of purpose MOMENTS comes first */
    size_t n_features;
    const whist_episodes *episodes;   /* the tasks of meta-learners; NULL: the study says nothing of them */
    const whist_fed_privacy *privacy; /* NULL: no promise is made */
    bool stop_early;                  /* on the first metric of the validation fold */
    uint32_t stop_patience;           /* evaluations without improvement */

    whist_fed_site coordinator; /* whose key the sites expect */
    const whist_fed_site *sites;
    size_t n_sites;
    const whist_fed_site *parties;
    size_t n_parties;
} whist_fed_plan;

/* WHIST_E_UNSUPPORTED with the reason and the change to make, where parts do not fit together. */
WHIST_API WHIST_MUST_CHECK whist_status whist_fed_plan_check(const whist_fed_plan *plan);

/* ---- Results -------------------------------------------------------------------------------- */

typedef enum whist_purpose {
    WHIST_PURPOSE_MOMENTS,  /* Σ of column moments, for pooled standardisation */
    WHIST_PURPOSE_TRAIN,    /* updates, and metrics of the model that was trained from */
    WHIST_PURPOSE_EVALUATE, /* metrics of the final model */
} whist_purpose;

/* One evaluation of one model: per fold and metric. */
typedef struct whist_fed_metrics {
    uint64_t round; /* of the model: 0 = initial … rounds = final */
    whist_metric_value test[WHIST_MAX_METRICS], validation[WHIST_MAX_METRICS];
} whist_fed_metrics;

/* ---- Simulation ----------------------------------------------------------------------------- */

typedef struct whist_simulation {
    const whist_fed_plan *plan;
    whist_dataset *const *data; /* one for each site of the plan; moments are applied to them */
    unsigned threads;
    /* NULL, or an empty folder that gets the coordinator's state at the end: what `replay` reads. Not of baselines. */
    const char *work_dir;
    whist_progress_fn *progress;
    void *user;
    /* State folder of a coordinator: the sites that arrived in each of its steps take part in the same
     * steps here. NULL draws cohorts from the seed. */
    const char *replay;
} whist_simulation;

typedef struct whist_fed_result {
    float *model; /* (whist_model_size), the final one; NULL for the local baseline */
    size_t n;
    float *moments;           /* (2D) pooled mean, then sd, of the features; NULL where the plan pools none */
    uint32_t rounds;          /* done */
    whist_fed_metrics pooled; /* final model, Σ over sites */
    whist_fed_metrics *sites; /* final model at each site of the plan; NULL where there are no metrics or the
                                 protection hides them */
    size_t n_sites;
    whist_fed_metrics *history; /* pooled, one an evaluation */
    size_t n_history;
    double seconds;
    double epsilon; /* spent by this study's rounds at plan->privacy->delta, for one unit; 0 without privacy */
} whist_fed_result;

/* Runs the same coordinator and site machines that the network runs, in this process. A baseline
 * strategy runs them over one site at a time (local) or over one site that has all rows (pooled). */
WHIST_API WHIST_MUST_CHECK whist_status whist_fed_simulate(whist_fed_result *out, const whist_simulation *simulation);
WHIST_API void whist_fed_result_clear(whist_fed_result *result);

#ifdef __cplusplus
}
#endif
#endif
