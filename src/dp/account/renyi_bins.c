/* account/renyi_bins.c: each record in one of T steps of a pass, at random ("balls in bins", random allocation).
 *
 * The outputs of a pass are dominated by P = mean over t of N(mu e_t, I), Q = N(0, I) in T dimensions (Chua et al.
 * 2024). Under Q, P/Q = M, the mean of T independent Y = e^{mu z - mu^2/2}. So
 *
 *   D_a(P || Q) = log E[M^a] / (a - 1):  at integers a! / T^a times the coefficient of x^a in (sum_k E[Y^k] x^k /
 * k!)^T, E[Y^k] = e^{k(k-1) mu^2 / 2}; log E[M^a] is convex in a, so chords between integers lie above D_a(Q || P) =
 * log E[M^-s] / s, s = a - 1:  E[M^-s] = 1 / Gamma(s) * integral of u^{s-1} E[e^{-uY/T}]^T du
 *
 * All terms and integrands are positive. */
#include <math.h>

#include "dp/account/closed.h"
#include "dp/account/renyi.h"

enum { LARGEST = 64, TERMS = LARGEST + 1 };

/* c = a b up to x^LARGEST, by logarithms */
static void multiply(double *c, const double *a, const double *b)
{
    double out[TERMS];
    for (int k = 0; k < TERMS; k++) {
        double top = -(double)INFINITY, sum = 0;
        for (int i = 0; i <= k; i++) top = fmax(top, a[i] + b[k - i]);
        for (int i = 0; i <= k; i++) sum += exp(a[i] + b[k - i] - top);
        out[k] = top + log(sum);
    }
    for (int k = 0; k < TERMS; k++) c[k] = out[k];
}

/* log E[M^k], k = 0 .. LARGEST */
static void moments(double *out, double mu, uint64_t bins)
{
    double base[TERMS];
    for (int k = 0; k < TERMS; k++) {
        base[k] = k * (k - 1.0) * mu * mu / 2 - lgamma(k + 1.0);
        out[k] = k ? -(double)1e300 : 0;
    }
    for (uint64_t left = bins; left > 0; left >>= 1) {
        if (left & 1) multiply(out, out, base);
        if (left > 1) multiply(base, base, base);
    }
    for (int k = 0; k < TERMS; k++) out[k] += lgamma(k + 1.0) - k * log((double)bins);
    out[0] = out[1] = 0;
}

/* T log E[e^{-uY/T}] at u = e^v: trapezoidal rule; singular only at distance pi / (2 mu). Near 1 as 1 + E[e^-. - 1]. */
static double log_laplace(double v, double mu, double bins)
{
    double h = fmin(0.25, 0.24 / mu), small = 0, whole = 0, unit = h * 0.39894228040143267794;
    for (double z = -10 - mu; z <= 10; z += h) {
        double t = exp(v - log(bins) + mu * z - mu * mu / 2), density = exp(-z * z / 2);
        small += density * expm1(-t);
        whole += density * exp(-t);
    }
    return bins * (small * unit > -0.5 ? log1p(small * unit) : log(whole * unit));
}

typedef struct transform {
    double *log_psi, first, h;
    size_t n;
} transform;

static whist_status fill(transform *t, wh_arena *arena, double mu, double bins, double least)
{
    t->h = 0.2;
    t->first = -44 / least;
    double last = 0;
    while (last < 2000 && log_laplace(last, mu, bins) > -60) last++; /* the outer integrand is below 1e-26 from there */
    t->n = (size_t)ceil((last - t->first) / t->h) + 1;
    WH_TRY(WH_ARENA_NEW(&t->log_psi, arena, t->n));
    for (size_t i = 0; i < t->n; i++) {
        double v = t->first + t->h * (double)i;
        t->log_psi[i] = v < -60 ? -exp(v) : log_laplace(v, mu, bins);
    }
    return WHIST_OK;
}

static double negative_moment(const transform *t, double s)
{
    double top = -(double)INFINITY, sum = 0;
    for (size_t i = 0; i < t->n; i++) {
        double e = s * (t->first + t->h * (double)i) + t->log_psi[i];
        if (e > top) {
            sum = sum * exp(top - e) + 1;
            top = e;
        } else {
            sum += exp(e - top);
        }
    }
    return top + log(sum * t->h) - lgamma(s);
}

whist_status wh_dp_bins_renyi(double *out, double mu, uint64_t bins, const double *order, size_t n)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    double moment[TERMS], least = INFINITY;
    transform t;
    for (size_t i = 0; i < n; i++) least = fmin(least, order[i] - 1);
    moments(moment, mu, bins);
    WH_TRY(fill(&t, &arena, mu, (double)bins, fmax(least, 0.02)));
    for (size_t i = 0; i < n; i++) {
        double a = order[i], low = floor(a), part = a - low;
        out[i] = INFINITY;
        if (a > LARGEST) continue;
        double forward = moment[(int)low] * (1 - part) + (part > 0 ? part * moment[(int)low + 1] : 0);
        out[i] = fmax(fmax(forward, negative_moment(&t, a - 1)) / (a - 1), 0) * (1 + 1e-9);
    }
    return WHIST_OK;
}
