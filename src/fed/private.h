/* fed/private.h: an update that a promise can be made about: bounded, on a grid, noised; and its sum.
 *
 *   site          x → scale into the L2 bound → grid of 2^-fraction → [noise] → mod 2^bits
 *   distributed   x → scale → public random rotation → grid → rounding at random, again until the norm is in bounds
 *                   → a share of the noise → mod 2^bits                     (Kairouz, Liu, Steinke 2021, algorithm 2)
 *   coordinator   sum mod 2^bits → [noise] → [rotation undone] → sum / public weight → strategy
 *
 *   records       the learner's sum of clipped gradients, in whole numbers → [a share of the noise] → mod 2^bits
 *
 * The bound is checked on the whole numbers that leave, exactly; nothing rests on how floating point rounded before. An
 * update that is not finite counts as zero: a refusal would tell. Weights are public constants, and so is what the sum
 * is divided by; a site that is late or lost changes neither.
 *
 * Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy 2021): one more number in the vector says whether the update
 * was smaller than the bound, as +kappa/2 or -kappa/2. It is part of the vector whose norm is bounded and that is
 * noised, so it costs no release of its own. The bound in force stands behind the model, where all can read it. */
#ifndef WH_FED_PRIVATE_H
#define WH_FED_PRIVATE_H

#include "draw/noise.h"
#include "fed/ledger.h"

#include <whist/fed.h>

/* What holds in one round. All of it follows from the plan and the bound in force: public. */
typedef struct wh_private {
    double clip;       /* an update is scaled to this norm */
    double kappa;      /* width of the number that says "smaller"; 0 without adaptive clipping */
    double bound;      /* norm of what one site puts into the sum, in the units of the model, before rounding */
    double step;       /* of the grid: 2^-fraction */
    double norm;       /* the same bound on the whole numbers, in steps: the sensitivity, to a site or to a record */
    double most;       /* largest number of one site, in steps, before noise; without a promise about records: norm */
    double sigma;      /* of the noise, in steps: in the sum (central), at a site (local), of a share (distributed) */
    uint64_t length;   /* numbers in the vector, before padding */
    uint64_t elements; /* on the wire: padded for the rotation */
} wh_private;

/* Whether this file's road is taken: the plan makes a promise and the learner does not add the noise itself. */
bool wh_private_is_on(const whist_fed_plan *plan);
/* Whether the promise is about records, and the learner makes sums over them (whist_learner_class.sum). */
bool wh_private_is_of_records(const whist_fed_plan *plan);
/* Elements of an update's vector on the wire, with or without a promise. */
uint64_t wh_private_elements(const whist_fed_plan *plan);
/* Floats behind the model that carry the bound in force: 0 or 1. */
size_t wh_private_tail(const whist_fed_plan *plan);
/* An adaptive bound stays between the first one and so many times more or less. */
#define WH_PRIVATE_CLIP_RANGE 64.0
/* Noise of the share of smaller updates, in sites. */
double wh_private_count_sigma(const whist_fed_plan *plan);
/* clip: the bound in force; that of the plan where it is not adaptive. */
wh_private wh_private_rules(const whist_fed_plan *plan, double clip);
/* How much site i counts, and what sums are divided by. */
double wh_private_weight(const whist_fed_plan *plan, size_t site);
double wh_private_weights(const whist_fed_plan *plan);

/* The price of one round with this bound in force: what a site, or the coordinator, charges. step, round, phase and
 * bytes are the caller's. */
wh_charge wh_private_charge(const whist_fed_plan *plan, double clip);
/* The phase in whose answer a site pays. */
size_t wh_private_paying_phase(const whist_fed_plan *plan);
/* Which promises can be kept (private_check.c). WHIST_E_UNSUPPORTED with the reason and the change to make. */
WH_MUST_CHECK whist_status wh_private_check(const whist_fed_plan *plan);
/* Least sigma for which the plan's rounds stay within its epsilon. */
WH_MUST_CHECK whist_status wh_private_calibrate(double *sigma, const whist_fed_plan *plan);
/* Whether the plan's rounds, with its own sigma, stay within its epsilon: by the rule of ledgers. */
bool wh_private_fits(const whist_fed_plan *plan);
/* Epsilon of `rounds` rounds at the plan's delta. */
double wh_private_epsilon(const whist_fed_plan *plan, uint64_t rounds);

/* ---- At a site (private_site.c) ---- */

/* out (rules->elements) from x (model size): bounded, rounded, with this site's part of the noise. step names the
 * rotation. */
WH_MUST_CHECK whist_status wh_private_update(int64_t *out, const whist_fed_plan *plan, const wh_private *rules,
                                             const float *x, size_t site, uint64_t step, wh_noise *noise);
/* The same for a sum over records (model size), which the learner has bounded: noise on top, no rotation. */
WH_MUST_CHECK whist_status wh_private_records(int64_t *out, const whist_fed_plan *plan, const wh_private *rules,
                                              wh_noise *noise);
/* Whole numbers to n elements of the ring and back. */
void wh_private_pack(uint8_t *out, const whist_fed_plan *plan, const int64_t *values, size_t n);
void wh_private_unpack(int64_t *out, const whist_fed_plan *plan, const uint8_t *elements, size_t n);

/* ---- At the coordinator (private_sum.c) ---- */

/* sum (n) of block j from its elements: with the coordinator's noise, the rotation undone, in the units of the model.
 * The block has wh_layout_block_length elements, which is n. scratch: n whole numbers. */
WH_MUST_CHECK whist_status wh_private_sum(double *sum, const whist_fed_plan *plan, const wh_private *rules,
                                          const uint8_t *elements, size_t n, uint64_t j, uint64_t step, wh_noise *noise,
                                          int64_t *scratch);
/* The bound of the next round from the last number of the sum. */
double wh_private_next_clip(const whist_fed_plan *plan, const wh_private *rules, double last);

/* ---- Rotation (rotate.c) ---- */

/* x (n, a power of two up to 16384) becomes H D x / sqrt(n): D random signs, H of Hadamard. Public: everybody who knows
 * the study can repeat it. inverse: D H x / sqrt(n). */
void wh_rotate(double *x, size_t n, const whist_fed_plan *plan, uint64_t step, uint64_t block, bool inverse);

#endif
