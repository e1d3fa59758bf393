/* matrix/blt.c: coefficients that are a sum of a few falling powers: c_j = Σ_i ω_i θ_i^(j-1), c_0 = 1.
 *
 * The start is a quadrature of the coefficients of 1 / √(1 - x), which are (1/π) ∫ x^(j-1) √(x / (1 - x)) dx over (0,
 * 1): points 1 - x = e^-u evenly spaced in u. From there the mean squared error times Δ² goes down, by θ in logits and
 * ω in logarithms. ω > 0 and Σ ω <= 1 keep the coefficients falling, which the bound on Δ needs. */
#include <math.h>

#include "dp/matrix/descent.h"
#include "dp/matrix/matrix.h"

typedef struct blt {
    size_t n;
    double theta[WH_MATRIX_BUFFERS], omega[WH_MATRIX_BUFFERS];
} blt;

typedef struct problem {
    whist_dp_matrix_options options; /* steps: the horizon */
    size_t n;
    double *c; /* (steps) */
} problem;

static void coefficients(double *c, uint64_t steps, const blt *p)
{
    double power[WH_MATRIX_BUFFERS];
    for (size_t i = 0; i < p->n; i++) power[i] = p->omega[i];
    c[0] = 1;
    for (uint64_t t = 1; t < steps; t++) {
        c[t] = 0;
        for (size_t i = 0; i < p->n; i++) {
            c[t] += power[i];
            power[i] *= p->theta[i];
        }
    }
}

/* As wh_matrix_errors, by the buffers: b_t = 1 - Σ_i ω_i s_i, s_i ← θ_i s_i + b_t. */
static void errors(double *mean, double *last, const blt *p, uint64_t steps)
{
    double s[WH_MATRIX_BUFFERS] = {0}, sum = 0, total = 0;
    for (uint64_t t = 0; t < steps; t++) {
        double b = 1;
        for (size_t i = 0; i < p->n; i++) b -= p->omega[i] * s[i];
        for (size_t i = 0; i < p->n; i++) s[i] = p->theta[i] * s[i] + b;
        sum += b * b;
        total += sum;
    }
    *mean = total / (double)steps;
    *last = sum;
}

static blt from_numbers(const double *x, size_t n)
{
    blt p = {.n = n};
    for (size_t i = 0; i < n; i++) p.theta[i] = 1 / (1 + exp(-x[i])), p.omega[i] = exp(x[n + i]);
    return p;
}

static double value(const problem *z, const double *x)
{
    double mean, last, squared = 0, sum = 0;
    const blt p = from_numbers(x, z->n);
    for (size_t i = 0; i < p.n; i++) {
        sum += p.omega[i];
        if (!(p.theta[i] < 1 - 0x1p-20 && p.omega[i] > 0x1p-20)) return (double)INFINITY;
    }
    if (!(sum < 0.99)) return (double)INFINITY;
    coefficients(z->c, z->options.steps, &p);
    errors(&mean, &last, &p, z->options.steps);
    if (!isfinite(mean) || wh_matrix_sensitivity(&squared, z->c, z->options.steps, &z->options) != WHIST_OK)
        return (double)INFINITY;
    return log(mean) + log(squared);
}

static double loss(void *user, double *gradient, const double *x)
{
    enum { MOST = 2 * WH_MATRIX_BUFFERS };
    const problem *z = user;
    const double h = 1e-5;
    double at[MOST], here = value(z, x);
    if (!isfinite(here)) return here;
    for (size_t i = 0; i < 2 * z->n; i++) at[i] = x[i];
    for (size_t i = 0; i < 2 * z->n; i++) {
        at[i] = x[i] + h;
        double up = value(z, at);
        at[i] = x[i] - h;
        double down = value(z, at);
        at[i] = x[i];
        gradient[i] = isfinite(up) && isfinite(down) ? (up - down) / (2 * h) : isfinite(down) ? (here - down) / h : 0;
    }
    return here;
}

static void start(double *x, size_t n, uint64_t reach)
{
    double far = log(1 + (double)reach), gap = (far + 1) / (double)n;
    for (size_t i = 0; i < n; i++) {
        double u = gap * ((double)i + 0.5), theta = -expm1(-u);
        x[i] = log(theta / (1 - theta));
        x[n + i] = log(sqrt(theta) * exp(-u / 2) * gap / M_PI);
    }
}

/* The best of three starts. Short horizons are enough to choose by, with passes cut to fit. */
static whist_status choose(blt *out, const whist_dp_matrix_options *o)
{
    WH_AUTO(wh_owned) memory = NULL;
    double x[2 * WH_MATRIX_BUFFERS], best = (double)INFINITY;
    problem z = {.options = *o, .n = o->bands};
    if (z.options.steps > WH_MATRIX_HORIZON) z.options.steps = WH_MATRIX_HORIZON;
    uint64_t fit = (z.options.steps - 1) / z.options.separation + 1;
    if (z.options.participations > fit) z.options.participations = fit;
    WH_TRY(wh_alloc(&memory, z.options.steps, sizeof(double)));
    z.c = memory;
    const uint64_t reach[] = {z.options.steps, z.options.separation, 8}; /* two buffers that meet stay together */
    for (size_t i = 0; i < WH_COUNT(reach); i++) {
        start(x, z.n, reach[i]);
        WH_TRY(wh_descend(x, 2 * z.n, loss, &z, 150));
        double here = value(&z, x);
        if (here < best) best = here, *out = from_numbers(x, z.n);
    }
    if (!isfinite(best)) WH_FAIL(WHIST_E_RANGE, "no coefficients were found: take fewer buffers");
    return WHIST_OK;
}

static int32_t rounded(double x)
{
    return (int32_t)lrint(ldexp(x, WH_MATRIX_BLT));
}

static blt as_rounded(const whist_dp_matrix *m)
{
    blt p = {.n = m->options.bands};
    for (size_t i = 0; i < p.n; i++) {
        p.theta[i] = ldexp(m->theta[i], -WH_MATRIX_BLT);
        p.omega[i] = ldexp(m->omega[i], -WH_MATRIX_BLT);
    }
    return p;
}

whist_status wh_matrix_blt_sensitivity(double *squared, const whist_dp_matrix *m, const whist_dp_matrix_options *o)
{
    WH_AUTO(wh_owned) memory = NULL;
    const blt p = as_rounded(m);
    double sum = 0;
    WH_TRY(wh_alloc(&memory, o->steps, sizeof(double)));
    coefficients(memory, o->steps, &p);
    WH_TRY(wh_matrix_sensitivity(&sum, memory, o->steps, o));
    *squared = sum * (1 + (double)o->steps * 0x1p-49); /* of the coefficients: 2 steps + 8 roundings each, squared */
    return WHIST_OK;
}

whist_status wh_matrix_blt(whist_dp_matrix *m)
{
    whist_dp_matrix_options *o = &m->options;
    blt p = {.n = 0};
    double squared = 0, mean, last;
    if (o->bands == 0) o->bands = 4;
    WH_TRY(choose(&p, o));
    for (size_t i = 0; i < p.n; i++) m->theta[i] = rounded(p.theta[i]), m->omega[i] = rounded(p.omega[i]);
    p = as_rounded(m);
    WH_TRY(wh_matrix_blt_sensitivity(&squared, m, o));
    errors(&mean, &last, &p, o->steps);
    m->facts = (whist_dp_matrix_facts){.sensitivity = sqrt(squared) * (1 + 0x1p-50),
                                       .rms = sqrt(mean),
                                       .max = sqrt(last),
                                       .last = sqrt(last),
                                       .buffers = p.n};
    return WHIST_OK;
}
