/* account/renyi_normal.c: sampled Gaussians. */
#include <math.h>

#include "dp/account/closed.h"
#include "dp/account/renyi.h"

/* log(e^x - 1), x > 0 */
static double log_expm1(double x)
{
    return x > 40 ? x : log(expm1(x));
}

/* E[(P/Q)^a] - 1 = sum_{k>=2} C(a,k) (1-q)^{a-k} q^k (e^{k(k-1) mu^2 / 2} - 1): all terms are positive. log_factorial
 * has a + 1 entries. Returns the logarithm. */
static double integer_excess(double mu, double q, int a, const double *log_factorial)
{
    double top = -(double)INFINITY, sum = 0, log_q = log(q), log_rest = log1p(-q);
    for (int k = 2; k <= a; k++) {
        double kd = k, term = log_factorial[a] - log_factorial[k] - log_factorial[a - k] + kd * log_q +
                              (double)(a - k) * log_rest + log_expm1(kd * (kd - 1) * mu * mu / 2);
        if (term > top) {
            sum = sum * exp(top - term) + 1;
            top = term;
        } else if (term > top - 45) {
            sum += exp(term - top);
        }
    }
    return top + log(sum);
}

/* (1 + x)^a - 1 - a x >= 0 without cancellation */
static double bernoulli_excess(double x, double log1px, double a)
{
    if (fabs(x) * a > 0.02) return expm1(a * log1px) - a * x;
    double term = a * (a - 1) / 2 * x * x, sum = term;
    for (int k = 3; k <= 10; k++) {
        term *= (a - k + 1) / k * x;
        sum += term;
    }
    return sum;
}

/* The trapezoidal rule on nodes z_i of a standard normal: its error is exp(-2 pi d / h), d = pi / mu being the distance
 * of the nearest singularity from the real line, so 1e-17 at h = 0.45 / mu and below. */
typedef struct nodes {
    double *log_density, *x, *log1px; /* of N(0, 1) times h; P/Q - 1; log(P/Q) */
    size_t n;
} nodes;

static double excess_at(const nodes *t, double a, double *log_excess)
{
    double top = -(double)INFINITY, sum = 0;
    for (size_t i = 0; i < t->n; i++) top = fmax(top, t->log_density[i] + a * t->log1px[i]);
    if (top < 600) {
        for (size_t i = 0; i < t->n; i++) {
            double grown = a * t->log1px[i];
            if (grown > 600) /* the rest is nothing beside it, and it may be too large to stand alone */
                sum += exp(t->log_density[i] + grown);
            else if (t->log_density[i] > -700)
                sum += exp(t->log_density[i]) * bernoulli_excess(t->x[i], t->log1px[i], a);
        }
        *log_excess = log(sum);
        return log1p(sum);
    }
    for (size_t i = 0; i < t->n; i++) sum += exp(t->log_density[i] + a * t->log1px[i] - top);
    *log_excess = top + log(sum);
    return *log_excess;
}

static double plain_sum(const nodes *t, double a)
{
    double ignored;
    return excess_at(t, a, &ignored);
}

void wh_dp_sampled_normal_renyi(double *out, double mu, double q, const double *order, size_t n)
{
    enum { LARGEST = 4096, NODES = 8192 };
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    double *log_factorial = NULL, largest = 1, fraction = 0;
    nodes t = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        out[i] = INFINITY;
        if (order[i] == floor(order[i]) && order[i] <= LARGEST)
            largest = fmax(largest, order[i]);
        else
            fraction = fmax(fraction, order[i]);
    }
    if (WH_ARENA_NEW(&log_factorial, &arena, (size_t)largest + 1) != WHIST_OK) return;
    for (size_t k = 2; k <= (size_t)largest; k++) log_factorial[k] = log_factorial[k - 1] + log((double)k);
    double h = fmin(0.4, 0.45 / mu), low = -10, high = fraction * mu + 10, count = ceil((high - low) / h) + 1;
    if (fraction > 0 && count <= NODES) {
        if (WH_ARENA_NEW(&t.x, &arena, 3 * (size_t)count) != WHIST_OK) return;
        t.n = (size_t)count;
        t.log1px = t.x + t.n;
        t.log_density = t.log1px + t.n;
    }
    for (size_t i = 0; i < t.n; i++) {
        double z = low + h * (double)i, base = mu * z - mu * mu / 2;
        t.log_density[i] = log(h * 0.39894228040143267794) - z * z / 2;
        t.x[i] = base > 700 ? INFINITY : q * expm1(base);
        t.log1px[i] = base > 700 ? base + log(q) : log1p(t.x[i]);
    }
    for (size_t i = 0; i < n; i++) {
        double a = order[i];
        if (a == floor(a) && a <= LARGEST)
            out[i] = wh_dp_log_add(0, integer_excess(mu, q, (int)a, log_factorial)) / (a - 1);
        else if (t.n > 0)
            out[i] = plain_sum(&t, a) / (a - 1);
        else
            out[i] = a * mu * mu / 2; /* without amplification: still a bound */
    }
}

/* ---- Without replacement ----------------------------------------------------------------------- */

/* log E_Q[(P/Q - 1)^j], j even: the even differences of the moments, as one positive integral. */
static double log_even_moment(double mu, int j)
{
    double h = fmin(0.4, 0.45 / mu), low = -10, high = j * mu + 10, top = -(double)INFINITY, sum = 0;
    for (double z = low; z <= high; z += h) {
        double base = mu * z - mu * mu / 2, size = base > 40 ? base : log(fabs(expm1(base)));
        double term = -z * z / 2 + j * size;
        if (term > top) {
            sum = sum * exp(top - term) + 1;
            top = term;
        } else {
            sum += exp(term - top);
        }
    }
    return top + log(sum) + log(h * 0.39894228040143267794);
}

/* (a - 1) times the divergence at an integer order. */
static double subset_log_moment(double mu, double q, int a)
{
    enum { EXACT_UP_TO = 256 };
    double log_sum = 0, log_choose = log((double)a), two = mu * mu, moment[2] = {0, 0};
    if (a < 2) return 0;
    for (int i = 2; i <= a; i++) {
        double id = i, plain = log(2) + id * (id - 1) * mu * mu / 2, term = plain;
        log_choose += log((double)(a - i + 1) / id);
        if (i == 2) {
            term = fmin(log(4) + log_expm1(two), plain);
            moment[0] = log_even_moment(mu, 2);
        } else if (a <= EXACT_UP_TO) {
            if (i % 2) moment[1] = log_even_moment(mu, i + 1);
            term = fmin(plain, log(4) + (i % 2 ? (moment[0] + moment[1]) / 2 : moment[1]));
            if (i % 2 == 0) moment[0] = moment[1];
        }
        log_sum = wh_dp_log_add(log_sum, term + id * log(q) + log_choose);
    }
    return log_sum;
}

double wh_dp_subset_normal_renyi(double mu, double q, double order)
{
    double low = floor(order), part = order - low, plain = order * mu * mu / 2; /* without amplification */
    double moment = subset_log_moment(mu, q, (int)low);
    if (part > 0) moment = (1 - part) * moment + part * subset_log_moment(mu, q, (int)low + 1);
    return fmin(moment / (order - 1), plain);
}
