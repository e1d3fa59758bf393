/* data/kern/scatter_lanes.h: the loops of scatter.h in C, compiled for each instruction set. */
#ifndef WH_DATA_KERN_SCATTER_LANES_H
#define WH_DATA_KERN_SCATTER_LANES_H

#include <math.h>
#include <string.h>

#include "data/kern/scatter.h"

enum { LANES = WH_SCATTER_LANES };

typedef struct plane {
    float *re, *im;
} plane;

/* ---- Fourier transforms: y[q + s (r p + k)] = w^(pk) Σ_j x[q + s (p + m j)] e^(-2 pi i jk / r),  q < s -------------
 */

typedef struct stage {
    const float *xr, *xi;
    float *yr, *yi;
    const wh_scatter_fourier *fourier;
    size_t m, s, turn; /* s: with lanes and batch; p turns by turn pixels of the table */
} stage;

/* out <- (re, im) turned by w; w is 1 where p is 0. */
#define PUT(k, re, im)                                                                                                 \
    do {                                                                                                               \
        float r_ = (re), i_ = (im);                                                                                    \
        yr[(k)*s + q] = r_ * c[k] - i_ * d[k];                                                                         \
        yi[(k)*s + q] = r_ * d[k] + i_ * c[k];                                                                         \
    } while (0)

static inline void radix2(const float *restrict xr, const float *restrict xi, float *restrict yr, float *restrict yi,
                          size_t s, size_t ms, const float *c, const float *d)
{
    for (size_t q = 0; q < s; q++) {
        float ar = xr[q], ai = xi[q], br = xr[ms + q], bi = xi[ms + q];
        yr[q] = ar + br, yi[q] = ai + bi;
        PUT(1, ar - br, ai - bi);
    }
}

static inline void radix3(const float *restrict xr, const float *restrict xi, float *restrict yr, float *restrict yi,
                          size_t s, size_t ms, const float *c, const float *d)
{
    const float h = 0.86602540378443865F; /* sin(2 pi / 3) */
    for (size_t q = 0; q < s; q++) {
        float ar = xr[q], ai = xi[q];
        float pr = xr[ms + q] + xr[2 * ms + q], pi = xi[ms + q] + xi[2 * ms + q];
        float nr = h * (xr[ms + q] - xr[2 * ms + q]), ni = h * (xi[ms + q] - xi[2 * ms + q]);
        float tr = ar - 0.5F * pr, ti = ai - 0.5F * pi;
        yr[q] = ar + pr, yi[q] = ai + pi;
        PUT(1, tr + ni, ti - nr);
        PUT(2, tr - ni, ti + nr);
    }
}

static inline void radix4(const float *restrict xr, const float *restrict xi, float *restrict yr, float *restrict yi,
                          size_t s, size_t ms, const float *c, const float *d)
{
    for (size_t q = 0; q < s; q++) {
        float acr = xr[q] + xr[2 * ms + q], aci = xi[q] + xi[2 * ms + q];
        float amr = xr[q] - xr[2 * ms + q], ami = xi[q] - xi[2 * ms + q];
        float bdr = xr[ms + q] + xr[3 * ms + q], bdi = xi[ms + q] + xi[3 * ms + q];
        float bmr = xi[ms + q] - xi[3 * ms + q], bmi = xr[3 * ms + q] - xr[ms + q]; /* -i (b - d) */
        yr[q] = acr + bdr, yi[q] = aci + bdi;
        PUT(1, amr + bmr, ami + bmi);
        PUT(2, acr - bdr, aci - bdi);
        PUT(3, amr - bmr, ami - bmi);
    }
}

static inline void radix5(const float *restrict xr, const float *restrict xi, float *restrict yr, float *restrict yi,
                          size_t s, size_t ms, const float *c, const float *d)
{
    const float c1 = 0.30901699437494742F, c2 = -0.80901699437494742F; /* cos(2 pi / 5), cos(4 pi / 5) */
    const float s1 = 0.95105651629515357F, s2 = 0.58778525229247313F;
    for (size_t q = 0; q < s; q++) {
        float ar = xr[q], ai = xi[q];
        float pr = xr[ms + q] + xr[4 * ms + q], pi = xi[ms + q] + xi[4 * ms + q];
        float nr = xr[ms + q] - xr[4 * ms + q], ni = xi[ms + q] - xi[4 * ms + q];
        float ur = xr[2 * ms + q] + xr[3 * ms + q], ui = xi[2 * ms + q] + xi[3 * ms + q];
        float vr = xr[2 * ms + q] - xr[3 * ms + q], vi = xi[2 * ms + q] - xi[3 * ms + q];
        float er = ar + c1 * pr + c2 * ur, ei = ai + c1 * pi + c2 * ui;
        float fr = ar + c2 * pr + c1 * ur, fi = ai + c2 * pi + c1 * ui;
        float gr = s1 * nr + s2 * vr, gi = s1 * ni + s2 * vi, hr = s2 * nr - s1 * vr, hi = s2 * ni - s1 * vi;
        yr[q] = ar + pr + ur, yi[q] = ai + pi + ui;
        PUT(1, er + gi, ei - gr);
        PUT(2, fr + hi, fi - hr);
        PUT(3, fr - hi, fi + hr);
        PUT(4, er - gi, ei + gr);
    }
}
#undef PUT

static void run_stage(const stage *t, unsigned radix)
{
    for (size_t p = 0; p < t->m; p++) {
        float c[5], d[5];
        for (size_t k = 1; k < radix; k++) {
            size_t at = p * k * t->turn % t->fourier->n;
            c[k] = t->fourier->cosine[at], d[k] = -t->fourier->sine[at];
        }
        const float *xr = t->xr + t->s * p, *xi = t->xi + t->s * p;
        float *yr = t->yr + t->s * radix * p, *yi = t->yi + t->s * radix * p;
        switch (radix) {
        case 2: radix2(xr, xi, yr, yi, t->s, t->m * t->s, c, d); break;
        case 3: radix3(xr, xi, yr, yi, t->s, t->m * t->s, c, d); break;
        case 4: radix4(xr, xi, yr, yi, t->s, t->m * t->s, c, d); break;
        default: radix5(xr, xi, yr, yi, t->s, t->m * t->s, c, d); break;
        }
    }
}

/* Transforms (n, batch) in `a`, stage by stage between `a` and `b`. */
static void fourier(const wh_scatter_fourier *f, plane a, plane b, size_t batch)
{
    size_t length = f->n, s = batch;
    for (size_t i = 0; i < f->n_radices; i++) {
        const stage t = {a.re, a.im, b.re, b.im, f, length / f->radix[i], s, f->n / length};
        run_stage(&t, f->radix[i]);
        length = t.m, s *= f->radix[i];
        const plane swap = a;
        a = b, b = swap;
    }
}

/* (h, w, lane) in place; `work` is as large. Swap re and im of both for the inverse, which is not divided by h w. */
static void fourier2(const wh_scatter_fourier *y, const wh_scatter_fourier *x, plane a, plane work)
{
    const size_t row = x->n * LANES;
    fourier(y, a, work, row);
    plane from = y->n_radices % 2 ? work : a, to = y->n_radices % 2 ? a : work;
    for (size_t r = 0; r < y->n; r++)
        fourier(x, (plane){from.re + r * row, from.im + r * row}, (plane){to.re + r * row, to.im + r * row}, LANES);
    if ((y->n_radices + x->n_radices) % 2 == 0) return;
    memcpy(a.re, work.re, y->n * row * sizeof *a.re);
    memcpy(a.im, work.im, y->n * row * sizeof *a.im);
}

/* ---- Steps ----------------------------------------------------------------------------------------------- */

static void multiply(float *restrict out, const float *restrict z, const float *restrict psi, size_t pixels)
{
    for (size_t k = 0; k < pixels; k++)
        for (size_t l = 0; l < LANES; l++) out[k * LANES + l] = z[k * LANES + l] * psi[k];
}

/* The same, and every other pixel each way: the four quarters of the spectrum come together. out (h/2, w/2). */
static void multiply_fold(float *restrict out, const float *restrict z, const float *restrict psi, size_t h, size_t w)
{
    for (size_t y = 0; y < h / 2; y++)
        for (size_t x = 0; x < w / 2; x++) {
            size_t a = y * w + x, b = a + w / 2, c = a + h / 2 * w, d = c + w / 2;
            float *o = out + (y * (w / 2) + x) * LANES;
            for (size_t l = 0; l < LANES; l++)
                o[l] = (z[a * LANES + l] * psi[a] + z[b * LANES + l] * psi[b]) +
                       (z[c * LANES + l] * psi[c] + z[d * LANES + l] * psi[d]);
        }
}

static void modulus(float *restrict out, const float *restrict re, const float *restrict im, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = sqrtf(re[i] * re[i] + im[i] * im[i]);
}

/* Spectra of two real images from that of (first + i second): even and odd parts, (z(k) ± z(-k)) / 2. */
static void part_row(float *restrict even, float *restrict odd, const float *restrict z, const float *restrict mirror,
                     size_t w)
{
    for (size_t x = 0; x < w; x++) {
        size_t a = x * LANES, b = (x ? w - x : 0) * LANES;
        for (size_t l = 0; l < LANES; l++) {
            even[a + l] = 0.5F * (z[a + l] + mirror[b + l]);
            odd[a + l] = 0.5F * (z[a + l] - mirror[b + l]);
        }
    }
}

/* first = even re + i odd im, second = even im - i odd re. */
static void part(plane first, plane second, plane z, size_t h, size_t w)
{
    for (size_t y = 0; y < h; y++) {
        size_t at = y * w * LANES, mirror = (y ? h - y : 0) * w * LANES;
        part_row(first.re + at, second.im + at, z.re + at, z.re + mirror, w);
        part_row(second.re + at, first.im + at, z.im + at, z.im + mirror, w);
        for (size_t i = at; i < at + w * LANES; i++) second.im[i] = -second.im[i];
    }
}

/* out (out y, out x) <- low pass of u (h, w) at the pixels that are kept; zeros of the filters are left out. */
static void low_pass(float *restrict out, const wh_scatter *s, const float *restrict u, unsigned half,
                     float *restrict work)
{
    const size_t h = s->y.padded >> half, w = s->x.padded >> half, row = w * LANES;
    for (size_t o = 0; o < s->y.out; o++) {
        const float *low = s->y.low[half] + o * h;
        memset(work, 0, row * sizeof *work);
        for (size_t y = 0; y < h; y++) {
            if (low[y] == 0) continue;
            for (size_t i = 0; i < row; i++) work[i] += low[y] * u[y * row + i];
        }
        for (size_t p = 0; p < s->x.out; p++) {
            float sum[LANES] = {0};
            low = s->x.low[half] + p * w;
            for (size_t x = 0; x < w; x++) {
                if (low[x] == 0) continue;
                for (size_t l = 0; l < LANES; l++) sum[l] += low[x] * work[x * LANES + l];
            }
            memcpy(out + (o * s->x.out + p) * LANES, sum, sizeof sum);
        }
    }
}

static plane turned(plane z)
{
    return (plane){z.im, z.re};
}

/* |z ⋆ psi| on the grid of every other pixel, low-passed. */
static void last_wavelet(float *out, const wh_scatter *s, plane z, const float *psi, plane small, plane work)
{
    multiply_fold(small.re, z.re, psi, s->y.padded, s->x.padded);
    multiply_fold(small.im, z.im, psi, s->y.padded, s->x.padded);
    fourier2(&s->y.half, &s->x.half, turned(small), turned(work));
    modulus(work.re, small.re, small.im, s->y.half.n * s->x.half.n * LANES);
    low_pass(out, s, work.re, 1, work.im);
}

static void eight(float *out, const wh_scatter *s, float *scratch)
{
    const size_t pixels = s->y.padded * s->x.padded, n = pixels * LANES, channel = s->y.out * s->x.out * LANES;
    const plane x = {scratch, scratch + n}, z = {x.im + n, x.im + 2 * n}, work = {z.im + n, z.im + 2 * n};
    const plane u = {work.im + n, work.im + 2 * n}, pair = {u.im + n, u.im + 2 * n}, spectrum[2] = {u, z};
    const plane small = {work.re, work.re + n / 4}, small_work = {work.im, work.im + n / 4};
    float *first = out + channel, *second = out + (1 + 2 * WH_SCATTER_ANGLES) * channel;
    low_pass(out, s, x.re, 0, work.re);
    memset(x.im, 0, n * sizeof *x.im);
    fourier2(&s->y.full, &s->x.full, x, work);
    for (size_t a = 0; a < WH_SCATTER_ANGLES; a += 2) { /* two real images share a transform */
        for (size_t i = 0; i < 2; i++) {
            float *to = i ? pair.im : pair.re;
            multiply(z.re, x.re, s->psi[0][a + i], pixels);
            multiply(z.im, x.im, s->psi[0][a + i], pixels);
            fourier2(&s->y.full, &s->x.full, turned(z), turned(work));
            modulus(to, z.re, z.im, n);
            low_pass(first + (a + i) * channel, s, to, 0, work.re);
        }
        fourier2(&s->y.full, &s->x.full, pair, work);
        part(u, z, pair, s->y.padded, s->x.padded);
        for (size_t i = 0; i < 2; i++)
            for (size_t b = 0; b < WH_SCATTER_ANGLES; b++)
                last_wavelet(second + ((a + i) * WH_SCATTER_ANGLES + b) * channel, s, spectrum[i], s->psi[1][b], small,
                             small_work);
    }
    for (size_t b = 0; b < WH_SCATTER_ANGLES; b++)
        last_wavelet(first + (WH_SCATTER_ANGLES + b) * channel, s, x, s->psi[1][b], small, small_work);
}

#endif
