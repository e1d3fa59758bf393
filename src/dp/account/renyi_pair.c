/* account/renyi_pair.c: Renyi divergences of any pair, both directions, as sums over outcomes.
 *
 * Outcomes that are not discrete are nodes of a quadrature: Gauss–Legendre between the atoms of a Laplace pair, where
 * the integrand is an exponential of at most `order` times the loss, panels short against that; the trapezoidal rule
 * for mixtures of normals, as in renyi_normal.c. */
#include <math.h>

#include "dp/account/closed.h"
#include "dp/account/renyi.h"

typedef struct outcomes {
    double *log_p, *log_q; /* (n) */
    size_t n, room;
    double p_only, q_only;
} outcomes;

static whist_status make_room(outcomes *o, wh_arena *arena, double n)
{
    enum { MAX = 1 << 23 };
    if (!(n <= MAX)) WH_FAIL(WHIST_E_UNSUPPORTED, "the Renyi divergence needs %g nodes: the noise is too small", n);
    o->room = (size_t)n;
    WH_TRY(WH_ARENA_NEW(&o->log_p, arena, o->room));
    return WH_ARENA_NEW(&o->log_q, arena, o->room);
}

static void put(outcomes *o, double log_p, double log_q)
{
    o->log_p[o->n] = log_p;
    o->log_q[o->n++] = log_q;
}

/* ---- Outcomes ---------------------------------------------------------------------------------- */

static const double gauss_node[5] = {0.14887433898163122, 0.43339539412924719, 0.67940956829902441, 0.86506336668898451,
                                     0.97390652851717172};
static const double gauss_weight[5] = {0.29552422471475287, 0.26926671930999636, 0.21908636251598204,
                                       0.14945134915058059, 0.066671344308688138};

/* A base outcome of log masses a, b at base loss a - b, after sampling. */
static void put_amplified(outcomes *o, const wh_dp_pair *pair, double a, double b)
{
    double loss = a - b;
    if (pair->amplify == WH_DP_PLAIN) {
        put(o, a, b);
    } else if (pair->amplify == WH_DP_BY_POISSON) {
        put(o, b + wh_dp_amplified_loss(pair, loss), b);
    } else if (loss > 0) {
        put(o, b + wh_dp_amplified_loss(pair, loss), b);
        put(o, b, b + wh_dp_amplified_loss(pair, loss));
    }
}

static whist_status laplace_outcomes(outcomes *o, wh_arena *arena, const wh_dp_pair *pair, double largest)
{
    bool subset = pair->amplify == WH_DP_BY_SUBSET;
    double mu = pair->mu, from = subset ? 0 : -mu, panels = ceil((mu - from) * (largest + 1) / 2) + 1;
    WH_TRY(make_room(o, arena, 22 * panels + 4));
    double half = (mu - from) / panels / 2;
    put_amplified(o, pair, -mu - log(2), -log(2));
    for (double k = 0; k < panels; k++)
        for (int i = -5; i < 5; i++) {
            double x = i < 0 ? -gauss_node[-1 - i] : gauss_node[i], w = i < 0 ? gauss_weight[-1 - i] : gauss_weight[i];
            double l = from + (2 * k + 1 + x) * half, log_w = log(w * half / 4);
            put_amplified(o, pair, (l - mu) / 2 + log_w, -(l + mu) / 2 + log_w);
        }
    put_amplified(o, pair, -log(2), -mu - log(2));
    if (!subset) return WHIST_OK;
    double rest = 1;
    for (size_t i = 0; i < o->n; i++) rest -= exp(o->log_p[i]);
    if (rest > 0) put(o, log(rest), log(rest));
    return WHIST_OK;
}

/* log of sum w_i density(x - sign s_i) over density(0) */
static double mixture_log(const wh_dp_pair *pair, double x, double sign)
{
    double top = -(double)INFINITY, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < pair->n; i++) {
            double t = x - sign * pair->shift[i], e = -t * t / 2;
            if (!(pair->weight[i] > 0)) continue;
            if (pass == 0)
                top = fmax(top, e);
            else
                sum += pair->weight[i] * exp(e - top);
        }
    return top + log(sum);
}

static whist_status mixture_outcomes(outcomes *o, wh_arena *arena, const wh_dp_pair *pair, double largest)
{
    double far = 0;
    for (size_t i = 0; i < pair->n; i++) far = fmax(far, pair->weight[i] > 0 ? pair->shift[i] : 0);
    double spread = pair->two_sided ? 2 * far : far, h = fmin(0.4, 0.4 / fmax(spread, 1e-3));
    double reach = 11 + (largest + 1) * spread, n = ceil(2 * reach / h) + 1;
    WH_TRY(make_room(o, arena, n));
    for (double k = 0; k < n; k++) {
        double x = -reach + h * k, log_h = log(h * 0.39894228040143267794);
        double q = pair->two_sided ? mixture_log(pair, x, -1) : -x * x / 2;
        put(o, mixture_log(pair, x, 1) + log_h, q + log_h);
    }
    return WHIST_OK;
}

static whist_status atom_outcomes(outcomes *o, wh_arena *arena, const wh_dp_pair *pair)
{
    wh_dp_pair plain;
    WH_TRY(wh_dp_atoms_amplified(&plain, arena, pair));
    WH_TRY(make_room(o, arena, (double)plain.n));
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] > 0 && plain.q[i] > 0)
            put(o, log(plain.p[i]), log(plain.q[i]));
        else
            o->p_only += plain.p[i], o->q_only += plain.q[i];
    }
    o->p_only += plain.p_only;
    o->q_only += plain.q_only;
    return WHIST_OK;
}

/* ---- Divergence -------------------------------------------------------------------------------- */

/* One outcome's part of the sum below, logarithm: q ((p/q)^a - 1 - a (p/q - 1)), l = log(p/q). */
static double log_term(double log_q, double l, double a)
{
    if (a * l >= 600) return log_q + a * l;
    double x = expm1(l);
    if (fabs(x) * a > 0.02) return log_q + log(fmax(expm1(a * l) - a * x, 1e-300));
    double t = a * (a - 1) / 2 * x * x, series = t;
    for (int k = 3; k <= 10; k++) t *= (a - k + 1) / k * x, series += t;
    return log_q + log(series);
}

/* sum q ((p/q)^a - 1 - a (p/q - 1)), which is E_Q[(P/Q)^a] - 1 as sum p = sum q = 1: all terms are positive. Logarithm.
 * Outcomes that add less than e^-60 of E_Q[(P/Q)^a] are left out. */
static double log_excess(const double *log_p, const double *log_q, size_t n, double a)
{
    double least = -(double)INFINITY, top = -(double)INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) least = fmax(least, log_q[i] + a * (log_p[i] - log_q[i]));
    least = fmax(least, 0) - 60;
    for (size_t i = 0; i < n; i++) {
        double l = log_p[i] - log_q[i];
        if (log_q[i] + fmax(a * l, log(a + 1)) < least) continue;
        double term = log_term(log_q[i], l, a);
        if (term > top) {
            sum = sum * exp(top - term) + 1;
            top = term;
        } else if (term > top - 45) {
            sum += exp(term - top);
        }
    }
    return sum > 0 ? top + log(sum) : -(double)INFINITY;
}

static double divergence(const outcomes *o, double a, bool backward)
{
    if ((backward ? o->q_only : o->p_only) > 1e-60) return INFINITY;
    double excess = backward ? log_excess(o->log_q, o->log_p, o->n, a) : log_excess(o->log_p, o->log_q, o->n, a);
    return wh_dp_log_add(0, excess) / (a - 1);
}

/* Shifted Laplace distributions, (P, Q) and (Q, P) alike. (Mironov 2017, Proposition 6) */
static double laplace_renyi(double mu, double a)
{
    double up = log(a / (2 * a - 1)) + (a - 1) * mu, down = log((a - 1) / (2 * a - 1)) - a * mu;
    return wh_dp_log_add(up, down) / (a - 1);
}

static whist_status without_other(double *out, const wh_dp_pair *pair, const double *order, size_t n)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    outcomes o = {.n = 0};
    double largest = 1;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, order[i]);
    switch (pair->shape) {
    case WH_DP_NORMAL:
        if (pair->amplify == WH_DP_BY_POISSON)
            wh_dp_sampled_normal_renyi(out, pair->mu, pair->rate, order, n);
        else
            for (size_t i = 0; i < n; i++) out[i] = order[i] * pair->mu * pair->mu / 2;
        return WHIST_OK;
    case WH_DP_TWO_LAPLACE:
        if (pair->amplify == WH_DP_PLAIN) {
            for (size_t i = 0; i < n; i++) out[i] = laplace_renyi(pair->mu, order[i]);
            return WHIST_OK;
        }
        WH_TRY(laplace_outcomes(&o, &arena, pair, largest));
        break;
    case WH_DP_MIXTURE: WH_TRY(mixture_outcomes(&o, &arena, pair, largest)); break;
    case WH_DP_ATOMS: WH_TRY(atom_outcomes(&o, &arena, pair)); break;
    }
    for (size_t i = 0; i < n; i++) out[i] = fmax(divergence(&o, order[i], false), divergence(&o, order[i], true));
    return WHIST_OK;
}

whist_status wh_dp_pair_renyi(double *out, const wh_dp_pair *pair, const double *order, size_t n)
{
    double other[WH_DP_ORDERS];
    WH_ENSURE(n <= WH_DP_ORDERS, WHIST_E_ARG);
    WH_TRY(without_other(out, pair, order, n));
    if (!pair->other) return WHIST_OK;
    WH_TRY(without_other(other, pair->other, order, n));
    for (size_t i = 0; i < n; i++) {
        double a = order[i] - 1, keep = log1p(-pair->odds) + a * out[i], change = log(pair->odds) + a * other[i];
        out[i] = wh_dp_log_add(keep, change) / a;
    }
    return WHIST_OK;
}
