/* whist/dp.h: private releases and what they cost: events, accountants, calibration, mechanisms.
 *
 *   event       what ran: mechanism, sampling design, how often, for which neighbours and unit of privacy
 *   accountant  takes events, answers epsilon(delta) or delta(epsilon) as an interval, or refuses
 *   calibrate   the least noise, the highest rate or the most steps that stay within a target
 *   odometer    what has been spent so far, valid at every moment of an adaptive run; filter: may it go on?
 *   mechanism   makes a number private: charges an event first, then draws
 *
 * An epsilon means nothing without its delta, its relation and its unit, so an answer carries them. An upper end
 * is a guarantee (docs/accounting.md names the theorem); an approximation is refused unless it is asked for by name.
 *
 * Conventions. The noise of continuous mechanisms is relative to the sensitivity of adding or removing one record
 * (L2 for Gaussians, L1 for Laplace); the accountant itself doubles the shift where a record is replaced. Integer
 * mechanisms give their noise in absolute units and their sensitivity as an integer.
 *
 * Threads: events are plain values; an accountant, an odometer belongs to one thread at a time. */
#ifndef WHIST_DP_H
#define WHIST_DP_H

#include "whist/base.h"
#include "whist/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Events ------------------------------------------------------------------------------------ */

typedef enum whist_dp_mechanism {
    WHIST_DP_GAUSSIAN,            /* noise: sigma, std over L2 sensitivity. Also: Gaussian rounded to a grid */
    WHIST_DP_LAPLACE,             /* noise: b, scale over L1 sensitivity */
    WHIST_DP_DISCRETE_GAUSSIAN,   /* noise: sigma, pmf ~ exp(-x^2 / (2 sigma^2)) on the integers; sensitivity */
    WHIST_DP_DISCRETE_LAPLACE,    /* noise: a, pmf ~ exp(-a |x|) on the integers; sensitivity */
    WHIST_DP_SKELLAM,             /* noise: the variance, difference of two Poisson(variance / 2); sensitivity */
    WHIST_DP_RANDOMISED_RESPONSE, /* p, k: the true one of k values with probability 1 - p + p / k, others p / k */
    WHIST_DP_EXPONENTIAL,         /* epsilon: exponential mechanism, epsilon-bounded range */
    WHIST_DP_PERMUTE_AND_FLIP,    /* epsilon: permute-and-flip; report-noisy-max with exponential noise */
    WHIST_DP_NOISY_MAX,           /* epsilon: report-noisy-max with other noise, above threshold (sparse vector) */
    WHIST_DP_PURE,                /* epsilon: anything that is epsilon-DP */
    WHIST_DP_APPROXIMATE,         /* epsilon, delta: anything that is (epsilon, delta)-DP */
    WHIST_DP_CONCENTRATED,        /* rho: anything that is rho-zCDP */
    WHIST_DP_GAUSSIAN_MIXTURE,    /* noise: sigma; shift i with probability weight i (sensitivity is random) */
    WHIST_DP_TREE,                /* noise: sigma of a node; steps: leaves of a binary tree of sums, one epoch */
    WHIST_DP_REPEAT,              /* inner runs a random number of times (mean, shape), the best one is released */
    WHIST_DP_MECHANISMS           /* how many there are */
} whist_dp_mechanism;

typedef enum whist_dp_sampling {
    WHIST_DP_ALL,                 /* every record takes part in each use */
    WHIST_DP_POISSON,             /* rate: each record on its own coin */
    WHIST_DP_WITHOUT_REPLACEMENT, /* n, batch: a uniform subset of fixed size */
    WHIST_DP_TRUNCATED_POISSON,   /* rate, n, batch: Poisson, cut to at most `batch` records */
    WHIST_DP_SHUFFLED_PASS,       /* n, batch: a shuffled order cut into batches; count is the number of PASSES */
    WHIST_DP_BALLS_IN_BINS,       /* bins: each record lands in one of `bins` steps of a pass; count: PASSES */
    WHIST_DP_SAMPLINGS
} whist_dp_sampling;

/* Which pairs of data sets must look alike. */
typedef enum whist_dp_relation {
    WHIST_DP_ADD_REMOVE, /* one record more or less */
    WHIST_DP_REPLACE,    /* one record is another */
    WHIST_DP_ZERO_OUT,   /* one record is the null record; the number of records is public */
    WHIST_DP_RELATIONS
} whist_dp_relation;

/* Whose contribution a "record" of the relation is. */
typedef enum whist_dp_unit { WHIST_DP_RECORD, WHIST_DP_TASK, WHIST_DP_SITE, WHIST_DP_UNITS } whist_dp_unit;

typedef struct whist_dp_event whist_dp_event;
struct whist_dp_event {
    whist_dp_mechanism mechanism;
    double noise;         /* sigma, b, a or variance, as the mechanism says; > 0 */
    double epsilon;       /* > 0 */
    double delta;         /* [0, 1) */
    double rho;           /* > 0 */
    double p;             /* (0, 1] */
    uint32_t k;           /* >= 2 */
    uint32_t sensitivity; /* of integer mechanisms to adding or removing a record, >= 1; 0 means 1. L2 of a vector */
    uint32_t dimension;   /* of integer mechanisms: entries of the vector; 0 means 1 */
    uint64_t steps;       /* >= 1 */
    size_t n_mixture;     /* of a Gaussian mixture: 1 … WHIST_DP_MIXTURE_MAX */
    const double *shift;  /* (n_mixture) >= 0, over the sensitivity; the caller's, copied when charged */
    const double *weight; /* (n_mixture) >= 0, sum 1 within 1e-9; likewise */
    const whist_dp_event *inner; /* n_inner events that one repetition runs; likewise; no REPEAT inside */
    size_t n_inner;
    double mean;  /* of the number of repetitions, >= 1 */
    double shape; /* 1 geometric, 0 logarithmic, INFINITY Poisson, other > 0 truncated negative binomial */

    whist_dp_sampling sampling;
    double rate; /* (0, 1] */
    uint64_t n;  /* records, public */
    uint64_t batch;
    uint64_t bins;

    uint64_t count;             /* uses, or passes where the sampling says so; 0 means 1 */
    uint32_t group;             /* records that one unit may own (group privacy, user level); 0 means 1 */
    whist_dp_relation relation; /* all events of an accountant share relation and unit */
    whist_dp_unit unit;
};
enum { WHIST_DP_MIXTURE_MAX = 4096, WHIST_DP_INNER_MAX = 64 };

/* Stable words: "gaussian", "poisson", "add_remove", "record". NULL outside the enum. */
WHIST_API const char *whist_dp_mechanism_name(whist_dp_mechanism mechanism);
WHIST_API const char *whist_dp_sampling_name(whist_dp_sampling sampling);
WHIST_API const char *whist_dp_relation_name(whist_dp_relation relation);
WHIST_API const char *whist_dp_unit_name(whist_dp_unit unit);

/* WHIST_E_ARG naming the field that is out of its range (NaN is), or the combination that means nothing. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_event_check(const whist_dp_event *event);

/* Writes an event as one JSON object: only the fields that its mechanism and sampling use. */
WHIST_API void whist_dp_event_json(whist_json *json, const whist_dp_event *event);

/* Events from JSON: an array of such objects. */
typedef struct whist_dp_events {
    whist_dp_event *event; /* n */
    size_t n;
    void *memory;
} whist_dp_events;
/* At most 1 MiB of text and 4,096 events; unknown and missing fields are refused by name. WHIST_E_FORMAT; WHIST_E_ARG
 * for an event that does not pass the check. Ended by whist_dp_events_clear. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_events_read(whist_dp_events *out, whist_bytes text);
WHIST_API void whist_dp_events_clear(whist_dp_events *events);

/* ---- Accountants ------------------------------------------------------------------------------- */

typedef enum whist_dp_method {
    WHIST_DP_PLD,  /* privacy-loss distributions: certified interval; schedules fixed in advance */
    WHIST_DP_RDP,  /* Renyi: certified upper bound; adaptive schedules, composition across studies */
    WHIST_DP_ZCDP, /* zero-concentrated: certified upper bound, no sampling; adaptive schedules */
    WHIST_DP_GDP,  /* central limit theorem: an approximation that may lie below the truth; never a bound */
    WHIST_DP_METHODS
} whist_dp_method;
WHIST_API const char *whist_dp_method_name(whist_dp_method method);

typedef struct whist_dp_options {
    whist_dp_method method;
    whist_dp_relation relation;
    whist_dp_unit unit;
    bool adaptive;            /* events may depend on what was released: PLD is refused */
    bool allow_approximation; /* without it GDP is refused */
    uint64_t public_n;        /* a public bound on the units, at most: delta >= 1 / n is refused; 0: not stated */
    double width;             /* PLD: aim at upper - lower <= width * upper; (0, 1), 0 means 1e-4 */
} whist_dp_options;

/* epsilon (or delta) lies in [lower, upper].
 *
 * certified: `upper` is proven, rounding and truncation included. Of an approximation it is false and both ends
 * are the same number. tight: `lower` is proven for the mechanism itself, too; otherwise it bounds only the
 * analysis (a dominating pair that no pair of data sets need attain), and is 0 where nothing is claimed. */
typedef struct whist_dp_answer {
    double lower, upper;
    bool certified, tight;
    whist_dp_method method;
    whist_dp_relation relation;
    whist_dp_unit unit;
    double order; /* RDP, zCDP: the order that gave it; 0 elsewhere */
} whist_dp_answer;

typedef struct whist_dp_accountant whist_dp_accountant;

/* WHIST_E_ARG for options outside their ranges; WHIST_E_UNSUPPORTED for PLD with `adaptive` and for GDP without
 * `allow_approximation`; WHIST_E_NOMEM. Ended by whist_dp_accountant_free. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_accountant_new(whist_dp_accountant **out,
                                                                const whist_dp_options *options);
WHIST_API void whist_dp_accountant_free(whist_dp_accountant *accountant);

/* Charges an event. WHIST_E_ARG for an event that is not well formed; WHIST_E_STATE where relation or unit are not
 * the accountant's; WHIST_E_UNSUPPORTED where the method has no theorem for it, with a reason that names one that has.
 * On failure nothing is charged. compose(n) and n calls give the same. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_compose(whist_dp_accountant *accountant, const whist_dp_event *event);

/* Adds what another accountant was charged (another study on the same data). Both RDP or both zCDP, same relation and
 * unit; else WHIST_E_STATE, WHIST_E_UNSUPPORTED. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_merge(whist_dp_accountant *into, const whist_dp_accountant *from);

/* epsilon at delta in (0, 1). WHIST_E_ARG for another delta, or one not below 1 / public_n; WHIST_E_RANGE where no
 * finite epsilon holds (the events' own deltas exceed it). Nothing charged: 0. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_epsilon(whist_dp_answer *out, whist_dp_accountant *accountant,
                                                         double delta);
/* delta at epsilon > 0. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_delta(whist_dp_answer *out, whist_dp_accountant *accountant,
                                                       double epsilon);

/* The Renyi curve charged so far: n orders > 1 (constant, increasing) and the divergence at each. RDP only. Pointers
 * are the accountant's, valid until its next call. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_curve(const double **order, const double **divergence, size_t *n,
                                                       const whist_dp_accountant *accountant);

/* ---- Calibration ------------------------------------------------------------------------------- */

typedef enum whist_dp_knob {
    WHIST_DP_NOISE, /* least noise (a: largest) */
    WHIST_DP_RATE,  /* highest Poisson rate */
    WHIST_DP_COUNT, /* most uses */
    WHIST_DP_KNOBS
} whist_dp_knob;

/* *value: the setting of `knob` in event[which] with which all n events stay within epsilon at delta, by the upper end
 * of the method. Noise and rate within `tolerance` (relative, 0 means 1e-4) on the safe side. answer (may be NULL):
 * what *value gives. WHIST_E_ARG for epsilon <= 0 and the like; WHIST_E_RANGE where no value in range does it. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_calibrate(double *value, whist_dp_answer *answer,
                                                           const whist_dp_options *options, const whist_dp_event *event,
                                                           size_t n, size_t which, whist_dp_knob knob, double epsilon,
                                                           double delta, double tolerance);

/* ---- Closed forms ------------------------------------------------------------------------------ */

/* Gaussian mechanism, means one apart: delta(epsilon) and the sigma that reaches a target exactly (Balle, Wang 2018).
 */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_gaussian_delta(double *delta, double sigma, double epsilon);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_gaussian_epsilon(double *epsilon, double sigma, double delta);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_gaussian_sigma(double *sigma, double epsilon, double delta);
/* rho-zCDP to (epsilon, delta) and back (Canonne, Kamath, Steinke 2020). */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_zcdp_delta(double *delta, double rho, double epsilon);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_zcdp_epsilon(double *epsilon, double rho, double delta);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_zcdp_rho(double *rho, double epsilon, double delta);
/* T uses of an (epsilon, delta) mechanism, tight (Kairouz, Oh, Viswanath 2015). uses: 1 … 10^8. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_optimal_epsilon(double *epsilon, double epsilon_step,
                                                                 double delta_step, uint64_t uses, double delta);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_optimal_delta(double *delta, double epsilon_step, double delta_step,
                                                               uint64_t uses, double epsilon);

/* ---- Correlated noise --------------------------------------------------------------------------
 *
 * The running sums of a stream of vectors, with noise that is correlated between the steps, so that it cancels in the
 * sums (matrix mechanism, DP-FTRL; docs/dp.md). All steps together are ONE Gaussian mechanism: an event GAUSSIAN whose
 * noise is relative to the sensitivity below. It holds for the pattern of participation that is stated, whatever is
 * known of who takes part when; no sampling amplifies it. */
typedef enum whist_dp_design {
    WHIST_DP_BANDED,    /* Toeplitz, few coefficients, chosen for the least mean squared error */
    WHIST_DP_SQRT,      /* Toeplitz, the first coefficients of 1 / sqrt(1 - x) */
    WHIST_DP_BLT,       /* coefficients that are a sum of few falling powers */
    WHIST_DP_TREE_SUMS, /* a binary tree of sums */
    WHIST_DP_DESIGNS
} whist_dp_design;
/* "banded", "sqrt", "blt", "tree"; NULL outside the enum. */
WHIST_API const char *whist_dp_design_name(whist_dp_design design);

typedef struct whist_dp_matrix_options {
    whist_dp_design design;
    uint64_t steps;          /* 1 … 2^20 */
    uint64_t participations; /* of one unit, at most; >= 1, and they fit into the steps */
    uint64_t separation;     /* steps from one participation to the next, at least; >= 1 */
    bool fixed;              /* exactly `separation`: passes in the same order. Only the tree gains by it */
    uint32_t bands; /* BANDED, SQRT: 1 … 256, 1 is independent noise; BLT: buffers, 1 … 8; 0: up to 16, 4 */
} whist_dp_matrix_options;

/* sensitivity: L2, in contributions of norm 1, rounded outward. rms, max, last: of the error of the running sums over
 * the steps, for noise of standard deviation 1 before it is correlated: sums err by noise * sensitivity * rms. buffers:
 * vectors of the model's length that are kept. */
typedef struct whist_dp_matrix_facts {
    double sensitivity;
    double rms, max, last;
    uint64_t buffers;
} whist_dp_matrix_facts;

typedef struct whist_dp_matrix whist_dp_matrix;
/* WHIST_E_ARG for options outside their ranges or that contradict each other (banded: bands beyond the separation);
 * WHIST_E_UNSUPPORTED where no bound on the sensitivity is known. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_matrix_new(whist_dp_matrix **out,
                                                            const whist_dp_matrix_options *options);
WHIST_API void whist_dp_matrix_free(whist_dp_matrix *matrix);
WHIST_API whist_dp_matrix_facts whist_dp_matrix_get(const whist_dp_matrix *matrix);

/* ---- Adaptive runs ----------------------------------------------------------------------------- */

typedef struct whist_dp_odometer whist_dp_odometer;

/* What was spent, for events chosen while the run goes on. method RDP or ZCDP. With probability at least 1 - delta the
 * privacy loss is below the answer at all moments at once, so one may stop whenever. epsilon_limit > 0 makes it a
 * filter: what was admitted is (epsilon_limit, delta)-DP whenever it stops. 0: no limit. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_odometer_new(whist_dp_odometer **out, const whist_dp_options *options,
                                                              double delta, double epsilon_limit);
WHIST_API void whist_dp_odometer_free(whist_dp_odometer *odometer);
/* Charges an event BEFORE it runs. WHIST_E_BUDGET where the limit would be passed: nothing is charged, the event must
 * not run, a smaller one may. Otherwise as whist_dp_compose. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_odometer_charge(whist_dp_odometer *odometer,
                                                                 const whist_dp_event *event);
/* Spent so far. */
WHIST_API whist_dp_answer whist_dp_odometer_spent(const whist_dp_odometer *odometer);

/* ---- Mechanisms --------------------------------------------------------------------------------
 *
 * Every mechanism charges first: `payer` gets the event before any randomness is drawn, and where it does not return
 * WHIST_OK nothing is drawn and its status is returned. What was charged stays charged if a draw fails.
 *
 * Numbers are whole multiples of a public grid step, held as int64; no floating-point value is ever released. Noise
 * comes from the system's randomness (no seed), exactly distributed (docs/draw.md). The time of a draw may depend on it
 * (docs/THREATS.md) unless the function says otherwise. out may be the input. On failure out is untouched or wiped.
 *
 * Sensitivities are for neighbours of one unit, in grid steps, and the caller's to enforce (whist_dp_sum does). Those
 * of additive noise are for adding or removing a record, as in events; those of scores for the payer's own relation. */

typedef struct whist_dp_payer {
    whist_status (*charge)(void *user, const whist_dp_event *event);
    void *user;
    whist_dp_relation relation;
    whist_dp_unit unit;
} whist_dp_payer;

/* Continuous noise of scale noise * sensitivity, exactly rounded to the grid: out[i] = in[i] + round(scale Z_i). By
 * post-processing the continuous mechanism's accountants hold. Charged: GAUSSIAN (sensitivity in L2) or LAPLACE (in L1)
 * with `noise`. sensitivity >= 1; |in| < 2^62; scale within 2^-20 .. 2^40 steps. WHIST_E_RANGE, WHIST_E_ENTROPY. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_gaussian(int64_t *out, const int64_t *in, size_t n, double noise,
                                                          double sensitivity, const whist_dp_payer *payer);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_laplace(int64_t *out, const int64_t *in, size_t n, double noise,
                                                         double sensitivity, const whist_dp_payer *payer);

/* Noise on the integers, with their own accounting. noise as in events: sigma; a (pmf ~ exp(-a |x|)); the variance.
 * sensitivity: of a vector in L2, for discrete Laplace in L1; 1 .. 2^20. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_discrete_gaussian(int64_t *out, const int64_t *in, size_t n,
                                                                   double sigma, uint32_t sensitivity,
                                                                   const whist_dp_payer *payer);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_discrete_laplace(int64_t *out, const int64_t *in, size_t n, double a,
                                                                  uint32_t sensitivity, const whist_dp_payer *payer);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_skellam(int64_t *out, const int64_t *in, size_t n, double variance,
                                                         uint32_t sensitivity, const whist_dp_payer *payer);
/* The same two in steady time: each draw costs the same operations whatever it is. sigma 2^-3 .. 2^11; a 2^-8 .. 8. The
 * law is off by a computed distance d a draw; n (1 + e^30) d is charged first as the delta of an event of its own
 * (APPROXIMATE), which covers it for every epsilon up to 30, and is put into *delta (may be NULL). */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_steady_gaussian(int64_t *out, double *delta, const int64_t *in,
                                                                 size_t n, double sigma, uint32_t sensitivity,
                                                                 const whist_dp_payer *payer);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_steady_laplace(int64_t *out, double *delta, const int64_t *in,
                                                                size_t n, double a, uint32_t sensitivity,
                                                                const whist_dp_payer *payer);

/* The classic sigma over sensitivity, sqrt(2 ln(1.25 / delta)) / epsilon, proven for 0 < epsilon < 1 only (Dwork, Roth
 * 2014, theorem A.1; WHIST_E_RANGE elsewhere). whist_dp_gaussian_sigma is smaller and holds for all. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_gaussian_classic(double *sigma, double epsilon, double delta);

/* Choosing one of n candidates by their scores, higher is better; each score moves by at most `sensitivity` (>= 1)
 * between neighbours. n 1 .. 2^24, 0 < epsilon <= 1000, exactly. exponential   P(i) ~ exp(epsilon score[i] / (2
 * sensitivity)) (McSherry, Talwar 2007), by coins exp(-x) on integers permute_and_flip   never worse in expectation
 * (McKenna, Sheldon 2020); = noisy max with exponential noise noisy_max     the largest score plus discrete Laplace
 * noise of scale 2 sensitivity / epsilon; ties to the lower index Charged: EXPONENTIAL, PERMUTE_AND_FLIP, NOISY_MAX
 * with epsilon. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_exponential(size_t *out, const int64_t *score, size_t n,
                                                             uint64_t sensitivity, double epsilon,
                                                             const whist_dp_payer *payer);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_permute_and_flip(size_t *out, const int64_t *score, size_t n,
                                                                  uint64_t sensitivity, double epsilon,
                                                                  const whist_dp_payer *payer);
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_noisy_max(size_t *out, const int64_t *score, size_t n,
                                                           uint64_t sensitivity, double epsilon,
                                                           const whist_dp_payer *payer);

/* Above threshold (sparse vector): says for each of a stream of queries whether it is above a threshold, until it has
 * said so `positives` times; all answers together cost epsilon, charged (NOISY_MAX) when it is made. Threshold noise
 * 2 sensitivity / epsilon, query noise 4 positives sensitivity / epsilon (Lyu, Su, Li 2017, algorithm 1), both discrete
 * Laplace. No value is released. */
typedef struct whist_dp_sparse whist_dp_sparse;
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_sparse_new(whist_dp_sparse **out, int64_t threshold,
                                                            uint32_t positives, uint64_t sensitivity, double epsilon,
                                                            const whist_dp_payer *payer);
WHIST_API void whist_dp_sparse_free(whist_dp_sparse *sparse);
/* WHIST_E_BUDGET once it has said so often enough. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_sparse_ask(whist_dp_sparse *sparse, bool *above, int64_t query);

/* Randomised response: each of n values in 0 .. k-1 stays with probability 1 - p and becomes uniform (over all k) with
 * probability p. Charged: RANDOMISED_RESPONSE with p and k (binary: k = 2), for the one value of each unit. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_response(uint32_t *out, const uint32_t *in, size_t n, uint32_t k,
                                                          double p, const whist_dp_payer *payer);
/* p = k / (e^epsilon + k - 1), rounded up. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_response_p(double *p, double epsilon, uint32_t k);
/* Unbiased counts from n answers: (seen[v] - n p / k) / (1 - p). */
WHIST_API void whist_dp_response_counts(double *out, const uint64_t *seen, uint64_t n, uint32_t k, double p);

/* Unary encoding (Wang, Blocki, Li, Jha 2017): the value v as k bits of which bit v is 1; a 1 stays with probability
 * `keep`, a 0 becomes 1 with probability `lie`. bits (n, k) of 0 and 1. Charged: PURE with epsilon. */
typedef enum whist_dp_unary {
    WHIST_DP_UNARY_SYMMETRIC, /* keep = 1 - lie = e^(epsilon/2) / (1 + e^(epsilon/2)) */
    WHIST_DP_UNARY_OPTIMISED, /* keep = 1/2, lie = 1 / (1 + e^epsilon) */
} whist_dp_unary;
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_unary_encode(uint8_t *bits, const uint32_t *in, size_t n, uint32_t k,
                                                              double epsilon, whist_dp_unary kind,
                                                              const whist_dp_payer *payer);
/* Unbiased counts from the sums of the bits. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_unary_counts(double *out, const uint64_t *ones, uint64_t n, uint32_t k,
                                                              double epsilon, whist_dp_unary kind);

/* How often a REPEAT runs what it repeats: exactly the law of the event, with mean > 1; shape 1 (geometric) or 0
 * (logarithmic), else WHIST_E_UNSUPPORTED. The number is a secret: only the best run's result may be released, and the
 * time that all of them took tells it. */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_repeat_draw(uint64_t *out, double mean, double shape);

/* Snapping (Mironov 2012), FOR COMPARISON ONLY: Laplace noise of scale b in doubles, snapped to the power of two at or
 * above b and clamped to [-bound, bound]; x has sensitivity 1. Charged: PURE with 1/b + 2^-49 bound/b, which holds
 * for b < bound < 2^46 b where the logarithm is correctly rounded (libm's is off by less than one unit, not half). */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_snapping(double *out, double x, double b, double bound,
                                                          const whist_dp_payer *payer);

/* ---- Sums in fixed point -----------------------------------------------------------------------
 * Values are clamped to public bounds, rounded to the grid and added as integers: the sum depends on no order, and
 * adding or removing a record moves it by at most `reach` steps, exactly. */
typedef struct whist_dp_sum {
    int grid;          /* a step is 2^grid */
    int64_t low, high; /* the bounds in steps, rounded outward */
    int64_t total;
    uint64_t n; /* values added */
} whist_dp_sum;
/* -1022 <= grid <= 512; lower < upper, both finite (else WHIST_E_ARG) and at most 2^30 steps from zero (WHIST_E_RANGE).
 */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_sum_init(whist_dp_sum *out, double lower, double upper, int grid);
/* The value in steps, as it would be added. A NaN counts as the bound nearest to 0, and so moves no sum by more. */
WHIST_API int64_t whist_dp_sum_steps(const whist_dp_sum *sum, double x);
/* Adds one value. At most 2^31 of them (WHIST_E_RANGE). */
WHIST_API WHIST_MUST_CHECK whist_status whist_dp_sum_add(whist_dp_sum *sum, double x);
/* max(|low|, |high|). */
WHIST_API int64_t whist_dp_sum_reach(const whist_dp_sum *sum);
/* steps * 2^grid. */
WHIST_API double whist_dp_from_grid(int64_t steps, int grid);

#ifdef __cplusplus
}
#endif
#endif
