/* dp/one_run.c: binomial tails, and the chain of a curve. */
#include "dp/one_run.h"

#include <math.h>

/* P(B = k) of n coins of probability q, 0 < q < 1. */
static double coins(uint64_t n, uint64_t k, double q)
{
    const double a = (double)n, b = (double)k;
    return exp(lgamma(a + 1) - lgamma(b + 1) - lgamma(a - b + 1) + b * log(q) + (a - b) * log1p(-q));
}

double wh_dp_one_run_chance(uint64_t m, uint64_t guesses, uint64_t right, double epsilon, double delta)
{
    const double q = fmin(1 / (1 + exp(-epsilon)), 1 - 0x1p-53);
    double tail = 0, more = 0, slope = 0;
    for (uint64_t k = right; k <= guesses; k++) tail += coins(guesses, k, q);
    if (delta > 0)
        for (uint64_t i = 1; i <= right; i++) {
            more += coins(guesses, right - i, q);
            slope = fmax(slope, more / (double)i);
        }
    return fmin(tail + 2 * (double)m * delta * slope, 1);
}

double wh_dp_one_run_epsilon(uint64_t m, uint64_t guesses, uint64_t right, double delta, double beta)
{
    double low = 0, high = 32; /* q is 1 in doubles soon after */
    if (guesses == 0 || wh_dp_one_run_chance(m, guesses, right, 0, delta) > beta) return 0;
    for (int i = 0; i < 60; i++) {
        const double middle = (low + high) / 2;
        if (wh_dp_one_run_chance(m, guesses, right, middle, delta) <= beta)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The least share of wrong guesses beside this share of right ones: each point says right <= δ + e^ε wrong and
 * 1 - right >= e^-ε (1 - δ - wrong). */
static double least_wrong(const wh_dp_claim *claim, double right)
{
    double most = 0;
    for (size_t i = 0; i < claim->n; i++) {
        const double e = exp(claim->epsilon[i]);
        most = fmax(most, fmax((right - claim->delta[i]) / e, 1 - claim->delta[i] - e * (1 - right)));
    }
    return most;
}

bool wh_dp_one_run_refutes(const wh_dp_claim *claim, uint64_t m, uint64_t guesses, uint64_t right, double beta)
{
    const double all = (double)guesses / (double)m;
    double r = beta * (double)right / (double)m, h = beta * (double)(guesses - right) / (double)m;
    for (uint64_t i = right; i-- > 0;) {
        const double wrong = fmax(h, least_wrong(claim, r));
        r += (double)i / (double)(guesses - i) * (wrong - h);
        h = wrong;
        if (r + h > all) return true;
    }
    return false;
}

uint64_t wh_dp_one_run_right(const uint32_t *order, const uint8_t *in, size_t m, size_t guesses)
{
    uint64_t right = 0;
    for (size_t i = 0; i < guesses / 2; i++) right += in[order[i]] + (uint64_t)!in[order[m - 1 - i]];
    return right;
}
