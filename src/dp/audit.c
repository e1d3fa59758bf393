/* dp/audit.c: intervals of rates, and the best threshold. */
#include "dp/audit.h"

#include <math.h>
#include <stdlib.h>

/* ---- Clopper, Pearson 1934 ---- */

/* The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22). */
static double fraction(double a, double b, double x)
{
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m < 100000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d), c = 1 + even / c, f *= d * c;
        d = 1 / (1 + odd * d), c = 1 + odd / c;
        double step = d * c;
        f *= step;
        if (fabs(step - 1) < 1e-15) break;
    }
    return f;
}

/* I_x(a, b) */
static double beta_share(double x, double a, double b)
{
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a : 1 - front * fraction(b, a, 1 - x) / b;
}

double wh_dp_rate_upper(uint64_t k, uint64_t n, double beta)
{
    if (k >= n) return 1;
    double low = (double)k / (double)n, high = 1; /* P(at most k) = I_(1-p)(n - k, k + 1) falls with p */
    for (int i = 0; i < 100 && high - low > 1e-12 * high; i++) {
        double p = low + (high - low) / 2;
        if (beta_share(1 - p, (double)(n - k), (double)k + 1) > beta)
            low = p;
        else
            high = p;
    }
    return fmin(high * (1 + 1e-9), 1);
}

/* ---- Thresholds ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many of n sorted scores are above t. */
static uint64_t above(const double *score, size_t n, double t)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (score[middle] > t)
            high = middle;
        else
            low = middle + 1;
    }
    return n - low;
}

static wh_dp_attack by_threshold(const double *one, const double *other, size_t n, double t, double delta, double beta)
{
    const uint64_t alarms = above(one, n, t), hits = above(other, n, t);
    wh_dp_attack a = {.false_alarms = wh_dp_rate_upper(alarms, n, beta), .misses = wh_dp_rate_upper(n - hits, n, beta)};
    const double by_alarms = (1 - delta - a.misses) / a.false_alarms,
                 by_misses = (1 - delta - a.false_alarms) / a.misses;
    a.epsilon = fmax(fmax(by_alarms, by_misses), 1);
    a.epsilon = log(a.epsilon);
    return a;
}

/* Scores are cut into so many candidates, dense at both ends, where a large epsilon shows. */
enum { THRESHOLDS = 400 };

/* Chosen by a stricter confidence than is asked for: otherwise the luckiest of many thresholds wins, out where few
 * scores are, and the second half does not repeat it. */
static double choose(const double *one, const double *other, size_t n, double delta, double asked)
{
    double best = -1, chosen = 0;
    const double beta = asked / 20;
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < THRESHOLDS; i++) {
            const double part = i / (double)THRESHOLDS, place = part * part * (double)(n - 1);
            const double *score = i % 2 ? one : other;
            const size_t k = side ? n - 1 - (size_t)place : (size_t)place;
            const wh_dp_attack a = by_threshold(one, other, n, score[k], delta, beta);
            if (a.epsilon > best) best = a.epsilon, chosen = score[k];
        }
    return chosen;
}

whist_status wh_dp_attack_scores(wh_dp_attack *out, double *one, double *other, size_t n, double delta,
                                 double confidence)
{
    WH_ENSURE(out && one && other && n >= 4, WHIST_E_ARG);
    WH_ENSURE(delta >= 0 && delta < 1 && confidence > 0 && confidence < 1, WHIST_E_ARG);
    const size_t first = n / 2, rest = n - first;
    const double beta = (1 - confidence) / 2; /* two intervals */
    qsort(one, first, sizeof *one, ascending);
    qsort(other, first, sizeof *other, ascending);
    qsort(one + first, rest, sizeof *one, ascending);
    qsort(other + first, rest, sizeof *other, ascending);
    const double t = choose(one, other, first, delta, beta);
    *out = by_threshold(one + first, other + first, rest, t, delta, beta);
    return WHIST_OK;
}
