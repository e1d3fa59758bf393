/* account/pair.h: dominating pairs: what a use of a mechanism may show at worst, as two distributions (P, Q).
 *
 * For every pair of neighbours and every e^eps, the hockey-stick divergence of the mechanism's outputs is at most that
 * of (P, Q) or of (Q, P). An event becomes one or two pairs, each with a number of uses. docs/accounting.md has the
 * theorem behind each.
 *
 *   NORMAL    P = N(mu, 1), Q = N(0, 1)
 *   LAPLACE   two Laplace distributions, losses in [-mu, mu] with atoms at both ends
 *   MIXTURE   P = sum w_i N(+s_i, 1); Q = N(0, 1), or two-sided: sum w_i N(-s_i, 1)
 *   ATOMS     outcomes with masses p_i and q_i, ordered by loss; p_only where Q has nothing, q_only likewise
 *
 * How sampling at rate q changes a base pair (A, B):
 *
 *   POISSON   P = (1-q) B + q A, Q = B
 *   SUBSET    the pair with hockey-stick curve H(1 + q(a-1)) = q H_A,B(a) for a >= 1, mirrored below 1: its losses
 *             above 0 are those of POISSON, those below are their mirror image, the rest has loss 0. Needs a base pair
 *             that is its own mirror image. (Balle, Barthe, Gaboardi 2018; Zhu, Dong, Wang 2022)
 *
 * Losses are log(dP/dQ). x is the outcome's coordinate, in which the loss increases. */
#ifndef WH_DP_ACCOUNT_PAIR_H
#define WH_DP_ACCOUNT_PAIR_H

#include "dp/account/event.h"

typedef enum wh_dp_shape { WH_DP_NORMAL, WH_DP_TWO_LAPLACE, WH_DP_MIXTURE, WH_DP_ATOMS } wh_dp_shape;
typedef enum wh_dp_amplify { WH_DP_PLAIN, WH_DP_BY_POISSON, WH_DP_BY_SUBSET } wh_dp_amplify;

typedef struct wh_dp_pair {
    wh_dp_shape shape;
    wh_dp_amplify amplify;
    double rate;
    double mu; /* NORMAL: distance; LAPLACE: largest loss */

    size_t n; /* MIXTURE, ATOMS */
    const double *shift, *weight;
    bool two_sided;
    const double *p, *q; /* ATOMS: loss increases with the index */
    double p_only, q_only, relative_error;
    double lattice; /* ATOMS: losses are whole multiples of it apart; 0 where they are not */

    const struct wh_dp_pair *other; /* with probability `odds` this pair is used instead, visibly; NULL: never */
    double odds;
    bool tight; /* some pair of neighbours attains it */
} wh_dp_pair;

typedef struct wh_dp_part {
    wh_dp_pair pair;
    uint64_t uses;
} wh_dp_part;

enum { WH_DP_PARTS_MAX = 2 };

/* The pairs of a checked event. WHIST_E_UNSUPPORTED, with a reason, where no pair is known for it (what only has a
 * Renyi curve: repeat, concentrated, vectors of integer noise, balls in bins). */
WH_MUST_CHECK whist_status wh_dp_parts(wh_dp_part out[WH_DP_PARTS_MAX], size_t *n, wh_arena *arena,
                                       const whist_dp_event *event);

/* ---- Atoms ------------------------------------------------------------------------------------- */

/* Pure (epsilon, delta): delta = 0 for pure. */
WH_MUST_CHECK whist_status wh_dp_atoms_approximate(wh_dp_pair *out, wh_arena *arena, double epsilon, double delta);
/* Losses between any two neighbours' outputs differ by at most `range` (the exponential mechanism). Not tight. */
WH_MUST_CHECK whist_status wh_dp_atoms_bounded_range(wh_dp_pair *out, wh_arena *arena, double range);
/* k-ary randomised response; `null`: the neighbour's answer is uniform. */
WH_MUST_CHECK whist_status wh_dp_atoms_response(wh_dp_pair *out, wh_arena *arena, double p, uint32_t k, bool null);
WH_MUST_CHECK whist_status wh_dp_atoms_discrete_laplace(wh_dp_pair *out, wh_arena *arena, double a, uint64_t shift);
WH_MUST_CHECK whist_status wh_dp_atoms_discrete_gaussian(wh_dp_pair *out, wh_arena *arena, double sigma,
                                                         uint64_t shift);
WH_MUST_CHECK whist_status wh_dp_atoms_skellam(wh_dp_pair *out, wh_arena *arena, double variance, uint64_t shift);
/* Applies the pair's amplification to its atoms: the result is PLAIN. */
WH_MUST_CHECK whist_status wh_dp_atoms_amplified(wh_dp_pair *out, wh_arena *arena, const wh_dp_pair *pair);
/* delta at epsilon of one use, both directions, by summing. */
double wh_dp_atoms_delta(const wh_dp_pair *pair, double epsilon);
/* The variance of the discrete Gaussian. */
double wh_dp_discrete_gaussian_variance(double sigma);

/* ---- Losses ------------------------------------------------------------------------------------ */

/* The loss after sampling from that before, and back: -inf for losses below the least. */
static inline bool wh_dp_has_atoms(const wh_dp_pair *pair)
{
    return pair->shape == WH_DP_ATOMS || pair->shape == WH_DP_TWO_LAPLACE;
}
double wh_dp_amplified_loss(const wh_dp_pair *pair, double base);
double wh_dp_base_loss(const wh_dp_pair *pair, double loss);
/* Mixtures: the loss at x, and x at a loss (-inf, inf outside its range). */
double wh_dp_mixture_loss(const wh_dp_pair *pair, double x);
double wh_dp_mixture_at(const wh_dp_pair *pair, double loss, double guess);
/* Losses outside [low, high] have at most the mass `tail` under Q (below) and under P (above). */
void wh_dp_loss_range(double *low, double *high, const wh_dp_pair *pair, double tail);

#endif
