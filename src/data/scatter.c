/* data/scatter.c: filters of the scattering transform, and rows by it. */
#include "data/scatter.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"

#define PI 3.14159265358979323846
#define SIGMA 0.8         /* of the first scale's envelope, in pixels */
#define WAVE (3 * PI / 4) /* frequency of the first scale, radians a pixel */
#define SLANT 0.5         /* an envelope is 1 / SLANT as wide across the wave */
#define EPSILON 1e-5      /* of group norm */
#define LOW_LEAST 1e-9    /* smaller weights of the low pass are zero */

whist_status wh_scatter_check(size_t height, size_t width, size_t groups)
{
    const size_t size[] = {height, width};
    for (size_t i = 0; i < WH_COUNT(size); i++)
        if (size[i] < WH_SCATTER_LEAST || size[i] > WH_SCATTER_MOST || size[i] % WH_SCATTER_STEP)
            WH_FAIL(WHIST_E_ARG, "scattering takes images of %d to %d pixels each way, a multiple of %d, not %zu",
                    WH_SCATTER_LEAST, WH_SCATTER_MOST, WH_SCATTER_STEP, size[i]);
    if (groups && WH_SCATTER_CHANNELS % groups)
        WH_FAIL(WHIST_E_ARG, "%zu groups of the %d channels: 1, 3, 9, 27 or 81 divide them, and 0 is no norm", groups,
                WH_SCATTER_CHANNELS);
    return WHIST_OK;
}

/* ---- Fourier transforms ---------------------------------------------------------------------------------- */

static size_t take_radices(wh_scatter_fourier *f, size_t n)
{
    static const unsigned radices[] = {4, 3, 5, 2};
    f->n_radices = 0;
    for (size_t i = 0; i < WH_COUNT(radices); i++)
        for (; n % radices[i] == 0 && f->n_radices < WH_SCATTER_MAX_RADICES; n /= radices[i])
            f->radix[f->n_radices++] = radices[i];
    return n;
}

/* The least even product of 2, 3 and 5 that has room for a step of reflection at both ends. */
static size_t padded_length(size_t n)
{
    wh_scatter_fourier f;
    size_t length = n + 2 * WH_SCATTER_STEP;
    while (length % 2 || take_radices(&f, length) != 1) length++;
    return length;
}

static float *plan_fourier(wh_scatter_fourier *f, size_t n, float *memory)
{
    f->n = n;
    (void)take_radices(f, n);
    f->cosine = memory, f->sine = memory + n;
    for (size_t k = 0; k < n; k++) {
        f->cosine[k] = (float)cos(2 * PI * (double)k / (double)n);
        f->sine[k] = (float)sin(2 * PI * (double)k / (double)n);
    }
    return memory + 2 * n;
}

/* ---- Filters --------------------------------------------------------------------------------------------- */

/* Gaussian of sd sigma over a circle of n, at the pixels that are kept, seen from all of them. */
static void fill_low_pass(float *low, size_t out, size_t n, double step, double sigma)
{
    for (size_t o = 0; o < out; o++)
        for (size_t k = 0; k < n; k++) {
            double sum = 0, center = WH_SCATTER_STEP / step * (double)(o + 1);
            for (int turn = -2; turn <= 2; turn++) {
                double t = ((double)k - center + turn * (double)n) / sigma;
                sum += exp(-t * t / 2) / sqrt(2 * PI) / sigma;
            }
            low[o * n + k] = sum < LOW_LEAST ? 0 : (float)sum;
        }
}

/* The transform of exp(-(a² + slant² c²) / 2 sigma²) e^(i wave a), of unit volume, sampled at whole pixels (so its
 * spectrum repeats); a and c along and across the angle. fy, fx: frequency in radians a pixel. */
static double gabor(double fy, double fx, double angle, double wave, double sigma)
{
    double sum = 0, across_sigma = sigma / SLANT;
    for (int i = -2; i <= 2; i++)
        for (int k = -2; k <= 2; k++) {
            double wy = fy + 2 * PI * i, wx = fx + 2 * PI * k;
            double along = (wx * cos(angle) + wy * sin(angle) - wave) * sigma;
            double across = (wy * cos(angle) - wx * sin(angle)) * across_sigma;
            sum += exp(-(along * along + across * across) / 2);
        }
    return sum;
}

/* A Morlet wavelet: a Gabor function less so much of its envelope that the mean is zero. */
static void fill_wavelet(float *psi, size_t h, size_t w, unsigned scale, size_t angle)
{
    double sigma = SIGMA * (1 << scale), wave = WAVE / (1 << scale), theta = PI * (double)angle / WH_SCATTER_ANGLES;
    double part = gabor(0, 0, theta, wave, sigma) / gabor(0, 0, theta, 0, sigma);
    for (size_t y = 0; y < h; y++)
        for (size_t x = 0; x < w; x++) {
            double fy = 2 * PI * (double)y / (double)h, fx = 2 * PI * (double)x / (double)w;
            double value = gabor(fy, fx, theta, wave, sigma) - part * gabor(fy, fx, theta, 0, sigma);
            psi[y * w + x] = (float)(value / (double)(h * w)); /* the inverse transform does not divide */
        }
}

static void size_axis(wh_scatter_axis *axis, size_t n)
{
    axis->n = n;
    axis->padded = padded_length(n);
    axis->out = n / WH_SCATTER_STEP;
}

static size_t axis_floats(const wh_scatter_axis *axis)
{
    return 3 * axis->padded + 3 * axis->out * axis->padded / 2;
}

static float *plan_axis(wh_scatter_axis *axis, float *memory)
{
    size_t half = axis->padded / 2;
    memory = plan_fourier(&axis->full, axis->padded, memory);
    memory = plan_fourier(&axis->half, half, memory);
    axis->low[0] = memory;
    axis->low[1] = memory + axis->out * axis->padded;
    fill_low_pass(axis->low[0], axis->out, axis->padded, 1, 2 * SIGMA);
    fill_low_pass(axis->low[1], axis->out, half, 2, SIGMA);
    return axis->low[1] + axis->out * half;
}

whist_status wh_scatter_init(wh_scatter *out, size_t height, size_t width)
{
    wh_scatter s = {0};
    WH_TRY(wh_scatter_check(height, width, 0));
    size_axis(&s.y, height);
    size_axis(&s.x, width);
    size_t pixels = s.y.padded * s.x.padded;
    WH_TRY(WH_NEW_RAW(&s.memory, axis_floats(&s.y) + axis_floats(&s.x) + 2 * WH_SCATTER_ANGLES * pixels));
    float *at = plan_axis(&s.x, plan_axis(&s.y, s.memory));
    for (unsigned scale = 0; scale < 2; scale++)
        for (size_t a = 0; a < WH_SCATTER_ANGLES; a++, at += pixels)
            fill_wavelet(s.psi[scale][a] = at, s.y.padded, s.x.padded, scale, a);
    *out = s;
    return WHIST_OK;
}

void wh_scatter_clear(wh_scatter *scatter)
{
    wh_free(scatter->memory);
    *scatter = (wh_scatter){0};
}

/* ---- Rows ------------------------------------------------------------------------------------------------ */

/* Which pixel stands at place k of a padded axis: … 2 1 | 0 1 2 … n-1 | n-2 n-3 … */
static size_t reflected(const wh_scatter_axis *axis, size_t k)
{
    if (k < WH_SCATTER_STEP) return WH_SCATTER_STEP - k;
    k -= WH_SCATTER_STEP;
    return k < axis->n ? k : 2 * (axis->n - 1) - k;
}

static void put_image(float *padded, const wh_scatter *s, const float *image, size_t lane)
{
    for (size_t y = 0; y < s->y.padded; y++)
        for (size_t x = 0; x < s->x.padded; x++)
            padded[(y * s->x.padded + x) * WH_SCATTER_LANES + lane] =
                image[reflected(&s->y, y) * s->x.n + reflected(&s->x, x)];
}

static void normalise(float *row, size_t features, size_t groups)
{
    size_t n = groups ? features / groups : 0;
    for (size_t g = 0; g < groups; g++, row += n) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < n; i++) sum += (double)row[i];
        double mean = sum / (double)n;
        for (size_t i = 0; i < n; i++) square += ((double)row[i] - mean) * ((double)row[i] - mean);
        double scale = 1 / sqrt(square / (double)n + EPSILON);
        for (size_t i = 0; i < n; i++) row[i] = (float)(((double)row[i] - mean) * scale);
    }
}

typedef struct walk {
    float *out, *memory;
    const wh_scatter *scatter;
    wh_scatter_eight *eight;
    size_t groups, n, a_worker; /* a_worker: floats of memory that a thread has */
    wh_scatter_pixels_fn *pixels;
    const void *user;
} walk;

/* Eight rows; in the last piece the lanes that are left over repeat a row. */
static whist_status scatter_piece(void *user, size_t piece, unsigned worker)
{
    const walk *w = user;
    const wh_scatter *s = w->scatter;
    size_t d = wh_scatter_features(s), first = piece * WH_SCATTER_LANES;
    size_t n = w->n - first < WH_SCATTER_LANES ? w->n - first : WH_SCATTER_LANES;
    float *scratch = w->memory + worker * w->a_worker, *made = scratch + wh_scatter_scratch(s);
    for (size_t lane = 0; lane < WH_SCATTER_LANES; lane++) {
        if (lane < n) w->pixels(made, w->user, first + lane);
        put_image(scratch, s, made, lane);
    }
    w->eight(made, s, scratch);
    for (size_t lane = 0; lane < n; lane++) {
        float *row = w->out + (first + lane) * d;
        for (size_t i = 0; i < d; i++) row[i] = made[i * WH_SCATTER_LANES + lane];
        normalise(row, d, w->groups);
    }
    return WHIST_OK;
}

static wh_scatter_eight *best_kernel(void)
{
#ifdef __x86_64__
    if (wh_cpu_get() >= WH_CPU_AVX2) return wh_scatter_eight_avx2;
#endif
    return wh_scatter_eight_generic;
}

whist_status wh_scatter_rows(float *out, const wh_scatter *scatter, size_t groups, size_t n,
                             wh_scatter_pixels_fn *pixels, const void *user, wh_pool *pool)
{
    WH_ENSURE(out && scatter && pixels, WHIST_E_ARG);
    WH_AUTO(wh_owned) memory = NULL;
    walk w = {out, NULL, scatter, best_kernel(), groups, n, 0, pixels, user};
    w.a_worker = wh_scatter_scratch(scatter) + wh_scatter_features(scatter) * WH_SCATTER_LANES;
    WH_TRY(wh_alloc_raw(&memory, wh_pool_threads(pool), w.a_worker * sizeof(float)));
    w.memory = memory;
    return wh_pool_run(pool, (n + WH_SCATTER_LANES - 1) / WH_SCATTER_LANES, scatter_piece, &w);
}
