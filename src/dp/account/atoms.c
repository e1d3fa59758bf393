/* account/atoms.c: pairs with finitely many outcomes. */
#include <math.h>
#include <stdlib.h>

#include "dp/account/pair.h"

typedef struct atoms {
    double *p, *q;
    size_t n;
} atoms;

static whist_status make_room(atoms *out, wh_arena *arena, size_t n)
{
    enum { MAX = 1 << 22 };
    if (n > MAX)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the mechanism has %zu outcomes, more than are taken: use rdp or zcdp", n);
    WH_TRY(WH_ARENA_NEW(&out->p, arena, n));
    WH_TRY(WH_ARENA_NEW(&out->q, arena, n));
    out->n = n;
    return WHIST_OK;
}

static wh_dp_pair pair_of(const atoms *a)
{
    return (wh_dp_pair){
        .shape = WH_DP_ATOMS, .n = a->n, .p = a->p, .q = a->q, .relative_error = 0x1p-50, .tight = true};
}

whist_status wh_dp_atoms_approximate(wh_dp_pair *out, wh_arena *arena, double epsilon, double delta)
{
    atoms a;
    WH_TRY(make_room(&a, arena, 2));
    a.p[1] = a.q[0] = (1 - delta) / (1 + exp(-epsilon));
    a.p[0] = a.q[1] = (1 - delta) / (1 + exp(-epsilon)) * exp(-epsilon);
    *out = pair_of(&a);
    out->p_only = out->q_only = delta;
    out->lattice = 2 * epsilon;
    return WHIST_OK;
}

/* Losses of neighbours lie within a range [t - r, t] whose place t is theirs. For each t the worst is a response with
 * two outcomes (Dong, Durfee, Rogers 2020); over all t their curves have the largest value
 *
 *     delta(x) = (e^{r/2} - e^{x/2})^2 / (e^r - 1),   |x| <= r,
 *
 * which is convex in e^x and so the curve of a pair (Zhu, Dong, Wang 2022, Proposition 8). The dots of it at x = -r + i
 * h are connected, which lies above it: with th = tanh(h/4), for inner points q_i = 2 e^{-(r + x_i)/2} th / (1 -
 * e^{-r}), at the ends th / (1 - e^{-r}) and e^{-r} th / (1 - e^{-r}), and p is its mirror image. */
whist_status wh_dp_atoms_bounded_range(wh_dp_pair *out, wh_arena *arena, double range)
{
    atoms a;
    const size_t half = (size_t)fmax(512, ceil(64 * range));
    const double h = range / (double)half, unit = tanh(h / 4) / -expm1(-range);
    WH_TRY(make_room(&a, arena, 2 * half + 1));
    for (size_t i = 0; i < a.n; i++) a.q[i] = 2 * unit * exp(-0.5 * h * (double)i);
    a.q[0] = unit;
    a.q[a.n - 1] = unit * exp(-range);
    for (size_t i = 0; i < a.n; i++) a.p[i] = a.q[a.n - 1 - i];
    *out = pair_of(&a);
    out->relative_error = 0x1p-44;
    out->lattice = h;
    out->tight = false;
    return WHIST_OK;
}

/* The true value of P, values of neither, the true value of Q. With a null record as neighbour Q is uniform. */
whist_status wh_dp_atoms_response(wh_dp_pair *out, wh_arena *arena, double p, uint32_t k, bool null)
{
    atoms a;
    double high = 1 - p + p / k, low = p / k;
    WH_TRY(make_room(&a, arena, null || k == 2 ? 2 : 3));
    if (null) {
        a.p[0] = (k - 1) * low, a.q[0] = (k - 1.0) / k;
        a.p[1] = high, a.q[1] = 1.0 / k;
    } else {
        a.p[0] = a.q[a.n - 1] = low;
        if (k > 2) a.p[1] = a.q[1] = (k - 2) * low;
        a.p[a.n - 1] = a.q[0] = high;
    }
    *out = pair_of(&a);
    if (!null) out->lattice = log(high / low) * (k == 2 ? 2 : 1);
    if (null && high > low) out->lattice = log(high / low);
    return WHIST_OK;
}

/* Outcomes x = 0 .. shift lie between the two centres; those beyond have the losses of the ends.
 *
 *   pmf(x) = tanh(a/2) e^{-a|x|};   mass of x <= 0: 1 / (1 + e^{-a}) */
whist_status wh_dp_atoms_discrete_laplace(wh_dp_pair *out, wh_arena *arena, double a, uint64_t shift)
{
    atoms to;
    double top = tanh(a / 2), end = 1 / (1 + exp(-a)), s = (double)shift;
    WH_TRY(make_room(&to, arena, (size_t)shift + 1));
    for (uint64_t x = 0; x <= shift; x++) {
        double from_q = x == 0 ? end : top * exp(-a * (double)x);
        double from_p = x == shift ? end : top * exp(-a * (s - (double)x));
        if (x == shift) from_q = end * exp(-a * s);
        if (x == 0) from_p = end * exp(-a * s);
        to.p[x] = from_p;
        to.q[x] = from_q;
    }
    *out = pair_of(&to);
    out->lattice = 2 * a;
    return WHIST_OK;
}

/* P and Q are one pmf on 0 .. reach (by |x|), shifted against each other; masses beyond are counted. */
static whist_status shifted(wh_dp_pair *out, wh_arena *arena, const double *pmf, uint64_t reach, uint64_t shift)
{
    atoms a;
    int64_t r = (int64_t)reach, s = (int64_t)shift;
    double p_only = 0, q_only = 0;
    if (2 * reach < shift) WH_FAIL(WHIST_E_UNSUPPORTED, "the noise is too small for its sensitivity");
    WH_TRY(make_room(&a, arena, (size_t)(2 * r - s + 1)));
    a.n = 0;
    for (int64_t x = s - r; x <= r; x++) {
        double p = pmf[llabs(x - s)], q = pmf[llabs(x)];
        if (p > 0 && q > 0)
            a.p[a.n] = p, a.q[a.n++] = q;
        else
            p_only += p, q_only += q; /* one of them is below the smallest double */
    }
    for (int64_t x = r - s + 1; x <= r; x++) p_only += pmf[llabs(x)], q_only += pmf[llabs(x)];
    *out = pair_of(&a);
    out->p_only = p_only + pmf[r];
    out->q_only = q_only + pmf[r];
    out->relative_error = 0x1p-44;
    return WHIST_OK;
}

/* exp(-x^2 / 2 sigma^2) is below 1e-80 of its top from 20 sigma on. */
static uint64_t gaussian_reach(double sigma, uint64_t shift)
{
    return (uint64_t)ceil(20 * sigma) + 4 + shift;
}

whist_status wh_dp_atoms_discrete_gaussian(wh_dp_pair *out, wh_arena *arena, double sigma, uint64_t shift)
{
    enum { MAX_SIGMA = 1 << 15 };
    uint64_t reach = gaussian_reach(sigma, shift);
    double *pmf = NULL, sum = 0;
    if (sigma > MAX_SIGMA)
        WH_FAIL(WHIST_E_UNSUPPORTED, "sigma is %g: above %d the discrete Gaussian has rdp and zcdp only", sigma,
                MAX_SIGMA);
    WH_TRY(WH_ARENA_NEW(&pmf, arena, reach + 1));
    for (uint64_t x = reach + 1; x-- > 0;) {
        pmf[x] = exp(-(double)x / sigma * ((double)x / sigma) / 2);
        sum += x ? 2 * pmf[x] : pmf[x];
    }
    for (uint64_t x = 0; x <= reach; x++) pmf[x] /= sum;
    WH_TRY(shifted(out, arena, pmf, reach, shift));
    out->lattice = (double)shift / (sigma * sigma);
    return WHIST_OK;
}

double wh_dp_discrete_gaussian_variance(double sigma)
{
    double sum = 0, square = 0;
    for (uint64_t x = gaussian_reach(sigma, 0); x > 0; x--) {
        double mass = exp(-(double)x / sigma * ((double)x / sigma) / 2);
        sum += 2 * mass;
        square += 2 * mass * (double)x * (double)x;
    }
    return square / (sum + 1);
}

/* pmf(x) = e^{-v} I_x(v). Ratios I_{x+1}/I_x = v / (2(x+1) + v I_{x+2}/I_{x+1}) go down from far out, where they are
 * nearly 0, and are stable in that direction. The masses then sum to 1. */
whist_status wh_dp_atoms_skellam(wh_dp_pair *out, wh_arena *arena, double variance, uint64_t shift)
{
    enum { MAX_VARIANCE = 1 << 30 };
    if (variance > MAX_VARIANCE)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a Skellam variance of %g is too large for one outcome each: use rdp", variance);
    uint64_t reach = (uint64_t)ceil(20 * sqrt(variance)) + 60 + 2 * shift;
    double *pmf = NULL, ratio = 0, sum = 0;
    WH_TRY(WH_ARENA_NEW(&pmf, arena, reach + 1));
    for (uint64_t x = reach + 40; x-- > 0;) {
        ratio = variance / (2 * (double)(x + 1) + variance * ratio);
        if (x < reach) pmf[x + 1] = ratio;
    }
    pmf[0] = 1;
    for (uint64_t x = 1; x <= reach; x++) pmf[x] *= pmf[x - 1];
    for (uint64_t x = reach; x > 0; x--) sum += 2 * pmf[x];
    for (uint64_t x = 0; x <= reach; x++) pmf[x] /= sum + 1;
    return shifted(out, arena, pmf, reach, shift);
}

/* ---- Sampling ---------------------------------------------------------------------------------- */

static whist_status amplify_poisson(wh_dp_pair *out, wh_arena *arena, const wh_dp_pair *pair)
{
    atoms a;
    double q = pair->rate;
    WH_TRY(make_room(&a, arena, pair->n + (pair->q_only > 0)));
    size_t at = 0;
    if (pair->q_only > 0) a.p[at] = (1 - q) * pair->q_only, a.q[at++] = pair->q_only;
    for (size_t i = 0; i < pair->n; i++, at++) {
        a.p[at] = (1 - q) * pair->q[i] + q * pair->p[i];
        a.q[at] = pair->q[i];
    }
    *out = pair_of(&a);
    out->p_only = q * pair->p_only;
    return WHIST_OK;
}

/* Losses above 0 as by Poisson, mirrored below, the rest at 0. */
static whist_status amplify_subset(wh_dp_pair *out, wh_arena *arena, const wh_dp_pair *pair)
{
    atoms a;
    double q = pair->rate, rest = 1 - q * pair->p_only;
    size_t first = pair->n;
    while (first > 0 && pair->p[first - 1] > pair->q[first - 1]) first--;
    size_t above = pair->n - first;
    WH_TRY(make_room(&a, arena, 2 * above + 1));
    for (size_t i = 0; i < above; i++) {
        double base_q = pair->q[first + i], base_p = (1 - q) * base_q + q * pair->p[first + i];
        a.p[above + 1 + i] = a.q[above - 1 - i] = base_p;
        a.q[above + 1 + i] = a.p[above - 1 - i] = base_q;
        rest -= base_p + base_q;
    }
    a.p[above] = a.q[above] = fmax(rest, 0);
    *out = pair_of(&a);
    out->p_only = out->q_only = q * pair->p_only;
    return WHIST_OK;
}

whist_status wh_dp_atoms_amplified(wh_dp_pair *out, wh_arena *arena, const wh_dp_pair *pair)
{
    *out = *pair;
    if (pair->amplify == WH_DP_BY_POISSON) WH_TRY(amplify_poisson(out, arena, pair));
    if (pair->amplify == WH_DP_BY_SUBSET) WH_TRY(amplify_subset(out, arena, pair));
    out->relative_error = pair->relative_error + 0x1p-50;
    out->tight = pair->tight;
    return WHIST_OK;
}

double wh_dp_atoms_delta(const wh_dp_pair *pair, double epsilon)
{
    double forward = pair->p_only, backward = pair->q_only, factor = exp(epsilon);
    for (size_t i = 0; i < pair->n; i++) {
        forward += fmax(0, pair->p[i] - factor * pair->q[i]);
        backward += fmax(0, pair->q[i] - factor * pair->p[i]);
    }
    return fmax(forward, backward);
}
