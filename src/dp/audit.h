/* dp/audit.h: from how often an attacker is right to an epsilon that was spent at least.
 *
 * An (epsilon, delta)-private mechanism keeps every test between two neighbouring worlds at
 *
 *     false alarms · e^epsilon + misses >= 1 - delta    and the other way round        (Kairouz, Oh, Viswanath 2015)
 *
 * so upper ends of both rates give a lower bound of epsilon (Jagielski, Ullman, Oprea 2020; Nasr et al. 2021). */
#ifndef WH_DP_AUDIT_H
#define WH_DP_AUDIT_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* The largest p for which at most k of n successes are not less likely than beta: upper end of a one-sided
 * Clopper-Pearson interval of confidence 1 - beta, rounded up. 0 <= k <= n, n >= 1, 0 < beta < 1. */
double wh_dp_rate_upper(uint64_t k, uint64_t n, double beta);

typedef struct wh_dp_attack {
    double epsilon;              /* lower bound; 0 where nothing was found */
    double false_alarms, misses; /* upper ends, of the test that gave it */
} wh_dp_attack;

/* What n scores in each world say: the higher, the more an attacker believes in `other`. The first half of each chooses
 * the threshold, the second half pays for it, so the bound holds with the confidence for any scores that are
 * independent from trial to trial. Both arrays are sorted in halves. n >= 4. */
WH_MUST_CHECK whist_status wh_dp_attack_scores(wh_dp_attack *out, double *one, double *other, size_t n, double delta,
                                               double confidence);

#endif
