/* account/renyi_repeat.c: the best of K runs, K random: hyper-parameter search. (Papernot, Steinke 2022) */
#include <math.h>

#include "dp/account/renyi.h"

/* Mean of the truncated negative binomial with shape eta and gamma: eta (1/gamma - 1) / (1 - gamma^eta), which tends to
 * (1/gamma - 1) / log(1/gamma) as eta -> 0. */
static double mean_of(double gamma, double shape)
{
    double log_gamma = log(gamma), odds = 1 / gamma - 1;
    if (shape == 0) return odds / -log_gamma;
    return shape * odds / -expm1(shape * log_gamma);
}

double wh_dp_repeat_gamma(double mean, double shape)
{
    double low = 1e-300, high = 1 - 1e-12;
    if (shape == 1) return 1 / mean;
    for (int i = 0; i < 2000 && high / low > 1 + 1e-15; i++) {
        double middle = sqrt(low * high);
        if (mean_of(middle, shape) > mean)
            low = middle;
        else
            high = middle;
    }
    return low; /* the side with more runs */
}

/* delta of one run at eps: the least over the orders. */
static double delta_of_run(const double *inner, const double *order, size_t n, double eps)
{
    double best = 0;
    for (size_t i = 0; i < n; i++) {
        double b = order[i], r = inner[i];
        double by_order = (b - 1) * (r - eps + log1p(-1 / b)) - log(b), by_entropy = log(-expm1(-r)) / 2;
        best = fmin(best, fmin(by_order, by_entropy));
    }
    return exp(best);
}

void wh_dp_repeat_renyi(double *out, const double *inner, const double *order, size_t n, double mean, double shape)
{
    double constant = INFINITY;
    bool poisson = isinf(shape);
    double gamma = poisson ? 1 : wh_dp_repeat_gamma(mean, shape);
    for (size_t i = 0; i < n && !poisson; i++) {
        double b = order[i];
        constant = fmin(constant, (1 + shape) * ((1 - 1 / b) * inner[i] - log(gamma) / b));
    }
    for (size_t i = 0; i < n; i++) {
        double a = order[i], spread = log(mean) / (a - 1);
        out[i] = inner[i] + spread;
        out[i] += poisson ? mean * delta_of_run(inner, order, n, log1p(1 / (a - 1))) : constant;
    }
    /* Divergence grows with the order, so a larger order's bound holds, too. */
    for (size_t i = n - 1; i-- > 0;) out[i] = fmin(out[i], out[i + 1]);
}
