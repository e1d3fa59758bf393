/* matrix/toeplitz.c: lower triangular Toeplitz matrices: sensitivity, errors, and the coefficients of banded ones. */
#include "dp/matrix/matrix.h"

#include <math.h>
#include <stdlib.h>

#include "dp/matrix/descent.h"

/* ---- Sensitivity ---- */

static double square_sum(const double *c, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += c[i] * c[i];
    return sum;
}

static bool falls(const double *c, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (!(c[i] <= c[i - 1])) return false;
    return n == 0 || c[n - 1] >= 0;
}

/* Entry `row` of the sum of the columns 0, b, 2b, …, at most k of them. */
static double row_sum(const double *c, size_t n_c, uint64_t row, uint64_t k, uint64_t b)
{
    double sum = 0;
    for (uint64_t i = 0; i < k && i * b <= row; i++)
        if (row - i * b < n_c) sum += c[row - i * b];
    return sum;
}

whist_status wh_matrix_sensitivity(double *squared, const double *c, size_t n_c, const whist_dp_matrix_options *o)
{
    uint64_t k = o->participations, b = o->separation;
    double sum = 0;
    if (k > 1 && n_c > b && !falls(c, n_c))
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "%zu coefficients that do not fall to 0 overlap where a unit takes part every %llu steps: no bound is "
                "known; take at most as many bands as steps lie between",
                n_c, (unsigned long long)b);
    for (uint64_t row = 0; row < o->steps; row++) {
        double entry = row_sum(c, n_c, row, k, b);
        sum += entry * entry;
    }
    /* Terms of which none cancels another: each of fewer than 2 (steps + k) operations adds at most 2^-53, relatively.
     */
    *squared = sum * (1 + ((double)(o->steps + k) * 2 + 4) * 0x1p-52);
    return WHIST_OK;
}

/* ---- Errors ---- */

whist_status wh_matrix_errors(double *mean, double *last, const double *c, size_t n_c, uint64_t steps)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, steps, sizeof(double)));
    double *b = memory, sum = 0, total = 0;
    for (uint64_t t = 0; t < steps; t++) { /* c * b = 1, 1, 1, … */
        b[t] = 1;
        for (uint64_t i = 1; i < n_c && i <= t; i++) b[t] -= c[i] * b[t - i];
        b[t] /= c[0];
        sum += b[t] * b[t];
        total += sum;
    }
    *mean = total / (double)steps;
    *last = sum;
    return WHIST_OK;
}

/* ---- Coefficients that minimise ---- */

typedef struct problem {
    size_t bands, horizon;
    double *b, *d; /* (horizon): the series of 1 / ((1-x) c) and of 1 / ((1-x) c²) */
} problem;

/* log of (mean squared error × Δ²), by c_1 … c_{bands-1}; c_0 = 1. With db/dc_m = -x^m d. */
static double loss(void *user, double *gradient, const double *x)
{
    const problem *p = user;
    const size_t last = p->bands - 1;
    double error = 0, norm = 1 + square_sum(x, last);
    for (size_t t = 0; t < p->horizon; t++) {
        double b = 1, d;
        size_t reach = t < last ? t : last;
        for (size_t i = 1; i <= reach; i++) b -= x[i - 1] * p->b[t - i];
        p->b[t] = d = b;
        for (size_t i = 1; i <= reach; i++) d -= x[i - 1] * p->d[t - i];
        p->d[t] = d;
        error += (double)(p->horizon - t) * b * b;
    }
    if (!isfinite(error)) return (double)INFINITY;
    for (size_t m = 1; m <= last; m++) {
        double sum = 0;
        for (size_t t = m; t < p->horizon; t++) sum += (double)(p->horizon - t) * p->b[t] * p->d[t - m];
        gradient[m - 1] = 2 * x[m - 1] / norm - 2 * sum / error;
    }
    return log(error) + log(norm);
}

/* Of 1 / √(1 - x): 1, 1/2, 3/8, … */
static void square_root(double *c, size_t n)
{
    c[0] = 1;
    for (size_t i = 1; i < n; i++) c[i] = c[i - 1] * ((double)i - 0.5) / (double)i;
}

static whist_status improve(double *c, const whist_dp_matrix_options *o)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    problem p = {.bands = o->bands, .horizon = o->steps < WH_MATRIX_HORIZON ? (size_t)o->steps : WH_MATRIX_HORIZON};
    WH_TRY(WH_ARENA_NEW(&p.b, &arena, p.horizon));
    WH_TRY(WH_ARENA_NEW(&p.d, &arena, p.horizon));
    return wh_descend(c + 1, o->bands - 1, loss, &p, 200);
}

/* ---- The two designs ---- */

static uint32_t bands_of(const whist_dp_matrix_options *o)
{
    uint64_t most = o->participations > 1 ? o->separation : o->steps;
    return o->bands ? o->bands : (uint32_t)(most < 16 ? most : 16);
}

whist_status wh_matrix_banded(whist_dp_matrix *m)
{
    double c[WH_MATRIX_BANDS], squared = 0, mean = 0, last = 0;
    m->options.bands = bands_of(&m->options);
    const size_t n = m->options.bands;
    square_root(c, n);
    if (m->options.design == WHIST_DP_BANDED) WH_TRY(improve(c, &m->options));
    for (size_t i = 0; i < n; i++) {
        m->c[i] = (int32_t)lrint(ldexp(c[i], WH_MATRIX_FINE));
        if (abs(m->c[i]) > m->c[0]) WH_FAIL(WHIST_E_RANGE, "the search for coefficients went astray: take fewer bands");
        c[i] = ldexp(m->c[i], -WH_MATRIX_FINE);
    }
    WH_TRY(wh_matrix_sensitivity(&squared, c, n, &m->options));
    WH_TRY(wh_matrix_errors(&mean, &last, c, n, m->options.steps));
    m->facts = (whist_dp_matrix_facts){
        .sensitivity = sqrt(squared) * (1 + 0x1p-50), .rms = sqrt(mean), .last = sqrt(last), .buffers = n - 1};
    m->facts.max = m->facts.last; /* the variance of a Toeplitz matrix grows with the step */
    return WHIST_OK;
}
