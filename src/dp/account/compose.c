/* account/compose.c: tilting, transforming, raising to powers, transforming back; every error is counted. */
#include "dp/account/compose.h"

#include <complex.h>
#include <math.h>

/* Chernoff bounds put at most e^-wh_dp_window_cut of the tilted mass outside the window, on each side. Coefficients
 * below e^-dead are set to 0. */
const double wh_dp_window_cut = 25;
static const double dead = 60;
static const double unit = 0x1p-53;

/* ---- Tilting ----------------------------------------------------------------------------------- */

/* Logarithms of total masses under the tilts t, t + up, t - down. */
typedef struct logs {
    double at, more, less;
} logs;

typedef struct tilted {
    double *weight; /* (n) e^{t j h - pivot}, j = first .. */
    double pivot, log_above, log_below;
} tilted;

static double exponent(const wh_dp_measure *m, size_t i, double t)
{
    return t * ((double)(m->first + (ptrdiff_t)i) * m->h);
}

static whist_status tilt_measure(tilted *out, logs *above, logs *below, wh_arena *arena, const wh_dp_measure *m,
                                 double t, const wh_dp_lean *lean)
{
    double a[3] = {0}, b[3] = {0}, pivot = -(double)INFINITY, s = lean->up, r = lean->down;
    size_t peak = 0;
    WH_TRY(WH_ARENA_NEW(&out->weight, arena, m->n));
    /* Any pivot near the largest weighted mass will do; where weights vary little, that is the largest weight. */
    bool narrow = t * m->h * (double)m->n < 200;
    for (size_t i = 0; i < m->n; i++) {
        if (!(m->above[i] > 0)) continue;
        double size = exponent(m, i, t) + (narrow ? 0 : log(m->above[i]));
        if (size > pivot) pivot = size, peak = i;
    }
    if (!(pivot > -(double)INFINITY)) WH_FAIL(WHIST_E_RANGE, "a mechanism has no mass at finite losses");
    double up = exp(s * m->h), rise = exp(-s * m->h * (double)peak);
    double down = exp(-r * m->h), fall = exp(r * m->h * (double)peak);
    for (size_t i = 0; i < m->n; i++) {
        double w = exp(exponent(m, i, t) - pivot);
        out->weight[i] = w;
        a[0] += m->above[i] * w, b[0] += m->below[i] * w;
        a[1] += m->above[i] * w * rise, b[1] += m->below[i] * w * rise;
        a[2] += m->above[i] * w * fall, b[2] += m->below[i] * w * fall;
        rise *= up, fall *= down;
    }
    double at = m->h * (double)(m->first + (ptrdiff_t)peak);
    *above = (logs){pivot + log(a[0]), pivot + log(a[1]) + s * at, pivot + log(a[2]) - r * at};
    *below = (logs){pivot + log(b[0]), pivot + log(b[1]) + s * at, pivot + log(b[2]) - r * at};
    out->pivot = pivot;
    out->log_above = above->at;
    out->log_below = below->at;
    return WHIST_OK;
}

static void add_logs(logs *to, const logs *more, double uses)
{
    to->at += uses * more->at;
    to->more += uses * more->more;
    to->less += uses * more->less;
}

/* The window [bottom, top] outside of which at most 2 e^-wh_dp_window_cut of the tilted mass lies:
 * P(S > top) <= exp(K(t + up) - K(t) - up top), and the like below. */
static void widen_window(double *bottom, double *top, const logs *k, const wh_dp_lean *lean)
{
    double high = (k->more - k->at + wh_dp_window_cut) / lean->up,
           low = (k->at - k->less - wh_dp_window_cut) / lean->down;
    if (high > *top) *top = high;
    if (low < *bottom) *bottom = low;
}

/* ---- Powers ------------------------------------------------------------------------------------ */

/* Products over the measures, for frequencies 0 .. n/2, of both sides; the bounds are of |value| + error. */
typedef struct spectrum {
    double complex *above, *below;
    double *above_bound, *below_bound;
    double lost; /* bound on each coefficient that was set to 0 */
} spectrum;

static double complex power(double complex base, double uses)
{
    double complex result = 1;
    for (uint64_t left = (uint64_t)uses; left > 0; left >>= 1) {
        if (left & 1) result *= base;
        if (left > 1) base *= base;
    }
    return result;
}

static double real_power(double base, double uses)
{
    double result = 1;
    for (uint64_t left = (uint64_t)uses; left > 0; left >>= 1) {
        if (left & 1) result *= base;
        if (left > 1) base *= base;
    }
    return result;
}

static void multiply(double complex *value, double *bound, double complex factor, double error, double uses,
                     double alive)
{
    double re = creal(factor), im = cimag(factor), square = re * re + im * im;
    if (*bound == 0) return;
    if (alive > error && square < (alive - error) * (alive - error)) { /* |factor| + error < alive */
        *value = 0;
        *bound = 0;
    } else {
        *value *= power(factor, uses);
        *bound *= real_power(sqrt(square) * (1 + 4 * unit) + error, uses);
    }
}

/* Masses that are kept out of a transform: where nearly every use has a loss in a few cells (rare sampling), the
 * transform's error is relative to those, and raised to the number of uses it buries all that is rare. What they add to
 * a coefficient is summed here instead, to a few units. */
enum { CORE = 16 };
static const double core_error = (CORE + 12) * 0x1p-53; /* twiddles within 4u, products, sums; of a total of 1 */
typedef struct heart {
    size_t n;     /* 0: none */
    size_t first; /* index modulo the transform's length */
    double above[CORE], below[CORE];
} heart;

static void add_core(double complex *above, double complex *below, const heart *c, const wh_dp_fft *fft, size_t k)
{
    double ar = 0, ai = 0, br = 0, bi = 0;
    for (size_t i = 0; i < c->n; i++) {
        const size_t at = (k * (c->first + i)) & (fft->n - 1);
        const double x = fft->cosine[at], y = fft->sine[at];
        ar += c->above[i] * x, ai -= c->above[i] * y;
        br += c->below[i] * x, bi -= c->below[i] * y;
    }
    *above += ar + ai * I;
    *below += br + bi * I;
}

/* Both sides travel in one complex transform: above + i below. */
static void take_spectrum(spectrum *to, const double *re, const double *im, const wh_dp_fft *fft, const heart *core,
                          double error, double uses)
{
    const size_t n = fft->n;
    double alive = exp(-dead / uses);
    to->lost *= real_power(1 + error, uses);
    for (size_t k = 0; k <= n / 2; k++) {
        if (to->above_bound[k] == 0 && to->below_bound[k] == 0) continue;
        size_t m = (n - k) % n;
        double complex a = ((re[k] + re[m]) + (im[k] - im[m]) * I) / 2;
        double complex b = ((im[k] + im[m]) + (re[m] - re[k]) * I) / 2;
        if (core->n) add_core(&a, &b, core, fft, k);
        multiply(&to->above[k], &to->above_bound[k], a, error, uses, alive);
        multiply(&to->below[k], &to->below_bound[k], b, error, uses, alive);
    }
}

/* Mean over all coefficients of what each may be off; uses: of all measures together. */
static double spectrum_error(const double complex *value, const double *bound, size_t n, double lost, double uses)
{
    double sum = 0;
    for (size_t k = 0; k <= n / 2; k++) {
        double twice = k == 0 || k == n / 2 ? 1 : 2;
        if (bound[k] > 0) sum += twice * (fmax(0, bound[k] - cabs(value[k])) + 10 * unit * uses * bound[k]);
    }
    return sum / (double)n + lost;
}

/* What rounding of powers may do to all coefficients together, in the norm that the inverse transform keeps. */
static double spectrum_norm(const double *bound, size_t n, double uses)
{
    double sum = 0;
    for (size_t k = 0; k <= n / 2; k++) sum += (k == 0 || k == n / 2 ? 1 : 2) * bound[k] * bound[k];
    return 10 * unit * uses * sqrt(sum / (double)n);
}

/* ---- Composing --------------------------------------------------------------------------------- */

typedef struct job {
    wh_arena *arena;
    wh_dp_fft *fft;
    const wh_dp_measure *measure;
    const double *uses;
    size_t n;
    tilted *tilted;
    double *re, *im;
    spectrum spectrum;
    double all_uses;
} job;

static size_t modulo(ptrdiff_t j, size_t n)
{
    return (size_t)j & (n - 1);
}

static void load(const job *w, size_t i)
{
    const wh_dp_measure *m = &w->measure[i];
    const tilted *t = &w->tilted[i];
    size_t n = w->fft->n;
    double above = exp(t->pivot - t->log_above), below = exp(t->pivot - t->log_below);
    for (size_t k = 0; k < n; k++) w->re[k] = w->im[k] = 0;
    for (size_t k = 0; k < m->n; k++) {
        size_t at = modulo(m->first + (ptrdiff_t)k, n);
        w->re[at] += m->above[k] * t->weight[k] * above;
        w->im[at] += m->below[k] * t->weight[k] * below;
    }
}

static double norm(const double *re, const double *im, size_t n)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += re[k] * re[k] + im[k] * im[k];
    return sqrt(sum);
}

/* Takes the cells around the largest one out, where the transform's error would matter and they are most of it; *error
 * is that of each coefficient. */
static void set_core_aside(heart *out, double *error, job *w, size_t i, double fade)
{
    const size_t n = w->fft->n;
    const double each = wh_dp_fft_error(n) * sqrt((double)n);
    heart found = {.n = CORE};
    double whole = norm(w->re, w->im, n), taken = 0;
    size_t peak = 0;
    out->n = 0;
    *error = each * whole;
    if (n < 4 * CORE || w->uses[i] * *error < 1e-4 * fade) return;
    for (size_t k = 1; k < n; k++)
        if (w->re[k] > w->re[peak]) peak = k;
    found.first = modulo((ptrdiff_t)peak - CORE / 2, n);
    for (size_t k = 0; k < CORE; k++) {
        const size_t at = (found.first + k) & (n - 1);
        found.above[k] = w->re[at], found.below[k] = w->im[at];
        taken += w->re[at] * w->re[at] + w->im[at] * w->im[at];
    }
    if (whole * whole - taken > whole * whole / 64) return;
    for (size_t k = 0; k < CORE; k++) w->re[(found.first + k) & (n - 1)] = w->im[(found.first + k) & (n - 1)] = 0;
    *out = found;
    *error = each * norm(w->re, w->im, n) + core_error;
}

static whist_status make_room(job *w)
{
    size_t n = w->fft->n, half = n / 2 + 1;
    WH_TRY(WH_ARENA_NEW(&w->re, w->arena, 2 * n));
    w->im = w->re + n;
    WH_TRY(WH_ARENA_NEW(&w->spectrum.above, w->arena, 2 * half));
    w->spectrum.below = w->spectrum.above + half;
    WH_TRY(WH_ARENA_NEW(&w->spectrum.above_bound, w->arena, 2 * half));
    w->spectrum.below_bound = w->spectrum.above_bound + half;
    for (size_t k = 0; k < half; k++) {
        w->spectrum.above[k] = w->spectrum.below[k] = 1;
        w->spectrum.above_bound[k] = w->spectrum.below_bound[k] = 1;
    }
    w->spectrum.lost = exp(-dead);
    return WHIST_OK;
}

/* Forward transforms, powers, one inverse transform; then re, im hold both sides. */
static void transform(job *w, wh_dp_composed *out)
{
    size_t n = w->fft->n;
    spectrum *s = &w->spectrum;
    double off = 0;
    for (size_t i = 0; i < w->n; i++) {
        heart core;
        double error;
        load(w, i);
        set_core_aside(&core, &error, w, i, -expm1(-out->tilt * out->h));
        wh_dp_fft_forward(w->fft, w->re, w->im);
        take_spectrum(s, w->re, w->im, w->fft, &core, error, w->uses[i]);
        off += w->uses[i] * (core.n ? (error - core_error) / sqrt((double)n) + core_error : error / sqrt((double)n));
    }
    for (size_t k = 0; k <= n / 2; k++) {
        double complex z = s->above[k] + I * s->below[k], twin = conj(s->above[k]) + I * conj(s->below[k]);
        w->re[k] = creal(z) / (double)n;
        w->im[k] = cimag(z) / (double)n;
        if (k == 0 || k == n / 2) continue;
        w->re[n - k] = creal(twin) / (double)n;
        w->im[n - k] = cimag(twin) / (double)n;
    }
    double back = wh_dp_fft_error(n) * sqrt((double)n) * norm(w->re, w->im, n);
    wh_dp_fft_inverse(w->fft, w->re, w->im);
    out->above.mass = w->re;
    out->below.mass = w->im;
    out->above.inverse = out->below.inverse = back;
    out->above.error = spectrum_error(s->above, s->above_bound, n, s->lost, w->all_uses);
    out->below.error = spectrum_error(s->below, s->below_bound, n, s->lost, w->all_uses);
    off = s->lost * (1 + off / exp(-dead)) * exp(out->relative_error); /* lost holds all (1 + error)^uses */
    out->above.norm = off + spectrum_norm(s->above_bound, n, w->all_uses);
    out->below.norm = off + spectrum_norm(s->below_bound, n, w->all_uses);
}

static whist_status choose_window(wh_dp_composed *out, wh_dp_fft *fft, const logs *above, const logs *below,
                                  const wh_dp_lean *lean, size_t n_max)
{
    double bottom = INFINITY, top = -(double)INFINITY;
    widen_window(&bottom, &top, above, lean);
    widen_window(&bottom, &top, below, lean);
    double points = (top - bottom) / out->h + 8;
    if (!(points <= (double)n_max)) WH_FAIL(WHIST_E_RANGE, "the losses need %g grid points", points);
    size_t n = 64;
    while ((double)n < points) n *= 2;
    WH_TRY(wh_dp_fft_init(fft, n));
    out->n = n;
    out->first = (ptrdiff_t)floor(bottom / out->h - ((double)n - points) / 2) - 2;
    return WHIST_OK;
}

whist_status wh_dp_compose_measures(wh_dp_composed *out, wh_arena *arena, wh_dp_fft *fft, const wh_dp_measure *measure,
                                    const double *uses, size_t n, double tilt, wh_dp_lean lean, size_t n_max)
{
    job w = {.arena = arena, .fft = fft, .measure = measure, .uses = uses, .n = n};
    wh_dp_composed c = {.h = measure[0].h, .tilt = tilt};
    logs above = {0, 0, 0}, below = {0, 0, 0};
    double reach = 0, finite = 0, grown = 0;
    WH_TRY(WH_ARENA_NEW(&w.tilted, arena, n));
    for (size_t i = 0; i < n; i++) {
        double widest = (double)measure[i].n * c.h;
        lean.up = fmin(lean.up, 300 / widest);
        lean.down = fmin(lean.down, 300 / widest);
        reach = fmax(reach,
                     c.h * fmax(fabs((double)measure[i].first), fabs((double)measure[i].first + (double)measure[i].n)));
    }
    for (size_t i = 0; i < n; i++) {
        logs a, b;
        WH_TRY(tilt_measure(&w.tilted[i], &a, &b, arena, &measure[i], tilt, &lean));
        add_logs(&above, &a, uses[i]);
        add_logs(&below, &b, uses[i]);
        w.all_uses += uses[i];
        c.origin += uses[i] * measure[i].offset;
        if (measure[i].blurred) {
            double sine = sinh(c.h / 2);
            c.blur += uses[i] * log1p(4 * sine * sine / 3) * (1 + 1e-12);
            c.blur_squares += uses[i] * c.h * c.h;
        }
        c.slack += uses[i] * measure[i].slack;
        c.beyond_p += uses[i] * log1p(-measure[i].beyond_p);
        c.beyond_q += uses[i] * log1p(-measure[i].beyond_q);
        finite += uses[i] * log1p(-measure[i].infinity / (1 + measure[i].excess));
        grown += uses[i] * measure[i].excess;
        c.certain += uses[i] * log1p(-measure[i].certain);
    }
    /* (1 + x)^n - (1 + x - i)^n, for masses that sum to 1 + x, i of them infinite */
    c.infinity = -expm1(finite) * exp(grown) * (1 + 1e-12);
    c.beyond_p = -expm1(c.beyond_p) * (1 - 1e-12);
    c.beyond_q = -expm1(c.beyond_q) * (1 + 1e-12);
    c.certain = -expm1(c.certain) * (1 - 1e-12);
    WH_TRY(choose_window(&c, fft, &above, &below, &lean, n_max));
    c.slack += 8 * unit * (fabs(c.origin) + fabs((double)c.first) * c.h + (double)c.n * c.h);
    c.relative_error = unit * w.all_uses * (16 + 4 * tilt * reach);
    c.above.log_scale = above.at;
    c.below.log_scale = below.at;
    c.above.outside = c.below.outside = 2 * exp(-wh_dp_window_cut) * (1 + 1e-6);
    WH_TRY(make_room(&w));
    transform(&w, &c);
    *out = c;
    return WHIST_OK;
}
