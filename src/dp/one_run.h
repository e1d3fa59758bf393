/* dp/one_run.h: from one training with many planted records to an epsilon that it spent at least.
 *
 * Of m records each goes in by a fair coin of its own. An attacker who sees what was released guesses the coins of
 * some, abstains from the others, and is right v times out of r.
 *
 *   epsilon, delta   P(right >= v) <= p = P(B >= v) + 2 m δ max_{1 <= i <= v} (P(B >= v - i) - P(B >= v)) / i
 *                    with B of r coins of probability e^ε / (1 + e^ε)
 *                    (Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", theorem 5.2)
 *   a curve          a claim of one ε for each δ keeps tests between worlds with and without a record at
 *                    right <= 1 - f(wrong), f the lower envelope of all its points. Let r_i be 1/m times the expected
 *                    number of right guesses where at least i are right, h_i that of wrong ones. Turning one coin at
 *                    the same release makes a right guess of i into a wrong one of i - 1, so r_(i+1) <= 1 - f(h_i)
 *                    by concavity, for each i. With p_v = P(right >= v) = β these begin at r_v >= β v / m and end at
 *                    r_0 + h_0 = r / m, and the least that the chain between them allows may be more than that: then
 *                    the claim does not hold, or this happens with probability below β (Mahloujifar, Melis, Chaudhuri
 *                    2024, "Auditing f-differential privacy in one run", algorithm 3)
 *
 * Relations: records that are there or not (add_remove), or there with nothing (zero_out). */
#ifndef WH_DP_ONE_RUN_H
#define WH_DP_ONE_RUN_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* The p above: how likely `right` or more of `guesses` are under (epsilon, delta), at most; 0 … 1. m >= guesses >=
 * right, epsilon >= 0, 0 <= delta < 1. */
double wh_dp_one_run_chance(uint64_t m, uint64_t guesses, uint64_t right, double epsilon, double delta);
/* The largest epsilon whose p is at most beta, rounded down: a lower bound with confidence 1 - beta. 0: none. */
double wh_dp_one_run_epsilon(uint64_t m, uint64_t guesses, uint64_t right, double delta, double beta);

/* A claim that holds for each of n points (epsilon, delta) at once. */
typedef struct wh_dp_claim {
    const double *epsilon, *delta; /* (n) */
    size_t n;
} wh_dp_claim;
/* Whether so many right guesses refute the claim, with confidence 1 - beta. */
bool wh_dp_one_run_refutes(const wh_dp_claim *claim, uint64_t m, uint64_t guesses, uint64_t right, double beta);

/* How many guesses are right where the highest scores are taken for records that went in, the lowest for others: an
 * even number of guesses, half of each. order (m): record numbers by falling score; in (m): 1 where the record went in.
 */
uint64_t wh_dp_one_run_right(const uint32_t *order, const uint8_t *in, size_t m, size_t guesses);

#endif
