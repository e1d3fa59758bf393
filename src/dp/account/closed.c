/* account/closed.c: Gaussian, zCDP, optimal composition. */
#include "dp/account/closed.h"

#include <math.h>

#include "whist/dp.h"

double wh_dp_log_add(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);
    return low == -(double)INFINITY ? high : high + log1p(exp(low - high));
}

double wh_dp_log1mexp(double x)
{
    return x > -0.69 ? log(-expm1(x)) : log1p(-exp(x));
}

/* Where f, which falls from low to high, comes down to 0; the good side: f(result) <= 0. */
typedef double falling(double x, const double *user);
static double root_of(falling *f, const double *user, double low, double high)
{
    for (int i = 0; i < 400; i++) {
        double middle = low > 0 && high > 4 * low ? sqrt(low * high) : (low + high) / 2;
        if (!(middle > low && middle < high)) break;
        if (f(middle, user) <= 0)
            high = middle;
        else
            low = middle;
        if (high - low <= 1e-15 * high) break;
    }
    return high;
}

/* ---- Gaussian ---------------------------------------------------------------------------------- */

/* Nodes and weights of the ten-point Gauss–Legendre rule on [-1, 1], one half. */
static const double node[5] = {0.14887433898163122, 0.43339539412924719, 0.67940956829902441, 0.86506336668898451,
                               0.97390652851717172};
static const double weight[5] = {0.29552422471475287, 0.26926671930999636, 0.21908636251598204, 0.14945134915058059,
                                 0.066671344308688138};

/* integral of e^{-a s - s^2/2} (1 - e^{-mu s}) over s > 0; all terms positive, so small mu costs no digits */
static double excess(double a, double mu)
{
    enum { PANELS = 48 };
    double end = -a + sqrt(a * a + 90), half = end / PANELS / 2, sum = 0;
    for (int k = 0; k < PANELS; k++)
        for (int i = -5; i < 5; i++) {
            double x = i < 0 ? -node[-1 - i] : node[i], w = i < 0 ? weight[-1 - i] : weight[i];
            double s = (2 * k + 1 + x) * half;
            sum += w * exp(-s * (a + s / 2)) * -expm1(-mu * s);
        }
    return sum * half;
}

/* A normal tail over its density, x > 4: the continued fraction 1 / (x + 1 / (x + 2 / (x + …))). */
static double mills(double x)
{
    double value = x;
    for (int k = 120; k > 0; k--) value = x + k / value;
    return 1 / value;
}

/* P(Z > a) - e^eps P(Z > b); e^eps density(b) = density(a). */
double wh_dp_normal_delta(double mu, double epsilon)
{
    double a = epsilon / mu - mu / 2, b = epsilon / mu + mu / 2, density = 0.39894228040143267794 * exp(-a * a / 2);
    double whole = erfc(a * 0.70710678118654752440) / 2;
    double less = b > 4 ? density * mills(b) : exp(epsilon) * erfc(b * 0.70710678118654752440) / 2;
    return whole - less > whole / 64 ? whole - less : density * excess(a, mu);
}

static double epsilon_gap(double epsilon, const double *user)
{
    return wh_dp_normal_delta(user[0], epsilon) - user[1];
}

double wh_dp_normal_epsilon(double mu, double delta)
{
    double user[2] = {mu, delta}, high = mu * (mu / 2 + sqrt(-2 * log(delta)));
    return epsilon_gap(0, user) <= 0 ? 0 : root_of(epsilon_gap, user, 0, high);
}

static double sigma_gap(double sigma, const double *user)
{
    return wh_dp_normal_delta(1 / sigma, user[0]) - user[1];
}

static whist_status check_epsilon(double epsilon)
{
    if (!(epsilon > 0 && epsilon <= 1e6))
        WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 1e6", epsilon);
    return WHIST_OK;
}

static whist_status check_delta(double delta)
{
    if (!(delta >= 1e-200 && delta < 1)) WH_FAIL(WHIST_E_ARG, "delta is %g: it must lie between 1e-200 and 1", delta);
    return WHIST_OK;
}

static whist_status check_sigma(double sigma)
{
    if (!(sigma >= 1e-3 && sigma <= 1e9)) WH_FAIL(WHIST_E_ARG, "sigma is %g: it must lie between 0.001 and 1e9", sigma);
    return WHIST_OK;
}

whist_status whist_dp_gaussian_delta(double *delta, double sigma, double epsilon)
{
    WH_ENSURE(delta, WHIST_E_ARG);
    WH_TRY(check_sigma(sigma));
    WH_TRY(check_epsilon(epsilon));
    *delta = wh_dp_normal_delta(1 / sigma, epsilon);
    return WHIST_OK;
}

whist_status whist_dp_gaussian_epsilon(double *epsilon, double sigma, double delta)
{
    WH_ENSURE(epsilon, WHIST_E_ARG);
    WH_TRY(check_sigma(sigma));
    WH_TRY(check_delta(delta));
    *epsilon = wh_dp_normal_epsilon(1 / sigma, delta);
    return WHIST_OK;
}

whist_status whist_dp_gaussian_sigma(double *sigma, double epsilon, double delta)
{
    double user[2] = {epsilon, delta};
    WH_ENSURE(sigma, WHIST_E_ARG);
    WH_TRY(check_epsilon(epsilon));
    WH_TRY(check_delta(delta));
    if (sigma_gap(1e9, user) > 0) WH_FAIL(WHIST_E_RANGE, "no sigma up to 1e9 reaches epsilon %g", epsilon);
    *sigma = root_of(sigma_gap, user, 1e-3, 1e9);
    return WHIST_OK;
}

/* ---- zCDP -------------------------------------------------------------------------------------- */

/* log of exp((a-1)(a rho - eps)) / (a-1) (1 - 1/a)^a at the best a > 1. Its derivative in a is
 * (2a - 1) rho - eps + log(1 - 1/a), which rises. */
static double zcdp_log_delta(double rho, double epsilon)
{
    double low = 1 + 1e-12, high = fmax(2, (epsilon + 1) / rho + 2);
    for (int i = 0; i < 300 && high - low > 1e-15 * high; i++) {
        double a = (low + high) / 2;
        if ((2 * a - 1) * rho - epsilon + log1p(-1 / a) < 0)
            low = a;
        else
            high = a;
    }
    double a = (low + high) / 2;
    return fmin(0, (a - 1) * (a * rho - epsilon) - log(a - 1) + a * log1p(-1 / a));
}

static double zcdp_epsilon_gap(double epsilon, const double *user)
{
    return zcdp_log_delta(user[0], epsilon) - user[1];
}

static double zcdp_rho_gap(double inverse_rho, const double *user)
{
    return zcdp_log_delta(1 / inverse_rho, user[0]) - user[1];
}

static whist_status check_rho(double rho)
{
    if (!(rho >= 1e-15 && rho <= 1e6)) WH_FAIL(WHIST_E_ARG, "rho is %g: it must lie between 1e-15 and 1e6", rho);
    return WHIST_OK;
}

whist_status whist_dp_zcdp_delta(double *delta, double rho, double epsilon)
{
    WH_ENSURE(delta, WHIST_E_ARG);
    WH_TRY(check_rho(rho));
    WH_TRY(check_epsilon(epsilon));
    *delta = exp(zcdp_log_delta(rho, epsilon));
    return WHIST_OK;
}

whist_status whist_dp_zcdp_epsilon(double *epsilon, double rho, double delta)
{
    WH_ENSURE(epsilon, WHIST_E_ARG);
    WH_TRY(check_rho(rho));
    WH_TRY(check_delta(delta));
    double user[2] = {rho, log(delta)};
    *epsilon =
        zcdp_epsilon_gap(0, user) <= 0 ? 0 : root_of(zcdp_epsilon_gap, user, 0, rho + 2 * sqrt(-rho * log(delta)));
    return WHIST_OK;
}

whist_status whist_dp_zcdp_rho(double *rho, double epsilon, double delta)
{
    double user[2] = {epsilon, 0};
    WH_ENSURE(rho, WHIST_E_ARG);
    WH_TRY(check_epsilon(epsilon));
    WH_TRY(check_delta(delta));
    user[1] = log(delta);
    *rho = 1 / root_of(zcdp_rho_gap, user, 1e-7, 1e15);
    return WHIST_OK;
}

/* ---- Optimal composition ----------------------------------------------------------------------- */

/* user: epsilon and delta of a step, uses. With s uses that
 * favour P out of T the loss is (2s - T) e and P's mass Binomial(T, 1 / (1 + e^-e)) at s. */
static double optimal_delta(double epsilon, const double *user)
{
    double e = user[0], uses = user[2], log_p = -log1p(exp(-e)), log_q = log_p - e, sum = 0;
    for (double s = uses; s >= 0; s--) {
        double gap = epsilon - (2 * s - uses) * e;
        if (gap >= 0) break;
        double log_mass = lgamma(uses + 1) - lgamma(s + 1) - lgamma(uses - s + 1) + s * log_p + (uses - s) * log_q;
        sum += exp(log_mass) * -expm1(gap);
    }
    return -expm1(uses * log1p(-user[1]) + log1p(-fmin(sum, 1)));
}

static double optimal_gap(double epsilon, const double *user)
{
    return optimal_delta(epsilon, user) - user[3];
}

static whist_status check_steps(double epsilon_step, double delta_step, uint64_t uses)
{
    WH_TRY(check_epsilon(epsilon_step));
    if (!(delta_step >= 0 && delta_step < 1))
        WH_FAIL(WHIST_E_ARG, "delta of a step is %g: it must lie in [0, 1)", delta_step);
    if (!(uses >= 1 && uses <= 100000000)) WH_FAIL(WHIST_E_ARG, "uses: 1 to 10^8");
    return WHIST_OK;
}

whist_status whist_dp_optimal_epsilon(double *epsilon, double epsilon_step, double delta_step, uint64_t uses,
                                      double delta)
{
    WH_ENSURE(epsilon, WHIST_E_ARG);
    WH_TRY(check_steps(epsilon_step, delta_step, uses));
    WH_TRY(check_delta(delta));
    double user[4] = {epsilon_step, delta_step, (double)uses, delta}, most = (double)uses * epsilon_step;
    if (optimal_gap(most, user) > 0)
        WH_FAIL(WHIST_E_RANGE, "%g uses of delta %g exceed delta %g: no epsilon holds", (double)uses, delta_step,
                delta);
    *epsilon = optimal_gap(0, user) <= 0 ? 0 : root_of(optimal_gap, user, 0, most);
    return WHIST_OK;
}

whist_status whist_dp_optimal_delta(double *delta, double epsilon_step, double delta_step, uint64_t uses,
                                    double epsilon)
{
    WH_ENSURE(delta, WHIST_E_ARG);
    WH_TRY(check_steps(epsilon_step, delta_step, uses));
    WH_TRY(check_epsilon(epsilon));
    double user[3] = {epsilon_step, delta_step, (double)uses};
    *delta = optimal_delta(epsilon, user);
    return WHIST_OK;
}
