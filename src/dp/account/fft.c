/* account/fft.c: Stockham's radix-4 transform: no bit reversal, all inner loops contiguous. */
#include "dp/account/fft.h"

#include <math.h>
#include <string.h>

/* cos and sin of 2 pi k / n: one eighth of the circle is computed, at angles of at most pi/4, and mirrored. */
static void fill_twiddles(wh_dp_fft *fft)
{
    size_t n = fft->n, quarter = n / 4;
    double *c = fft->cosine, *s = fft->sine;
    for (size_t r = 0; r <= n / 8; r++) {
        double angle = 2 * 3.14159265358979323846 * (double)r / (double)n, x = cos(angle), y = sin(angle);
        for (size_t turn = 0; turn < 4; turn++) {
            size_t on = turn * quarter + r, back = (turn + 1) * quarter - r;
            c[on] = x, s[on] = y;
            if (back < n) c[back] = y, s[back] = x; /* both still without the turn */
        }
    }
    for (size_t k = quarter; k < n; k++) {
        double x = c[k], y = s[k];
        size_t turns = k / quarter;
        c[k] = turns == 1 ? -y : turns == 2 ? -x : y;
        s[k] = turns == 1 ? x : turns == 2 ? -y : -x;
    }
}

whist_status wh_dp_fft_init(wh_dp_fft *fft, size_t n)
{
    if (fft->n == n) return WHIST_OK;
    double *memory = NULL;
    WH_ENSURE(n >= 4 && n <= WH_DP_FFT_MAX && (n & (n - 1)) == 0, WHIST_E_ARG);
    WH_TRY(WH_NEW_RAW(&memory, 4 * n));
    wh_dp_fft_clear(fft);
    *fft = (wh_dp_fft){
        .n = n, .memory = memory, .cosine = memory, .sine = memory + n, .re = memory + 2 * n, .im = memory + 3 * n};
    fill_twiddles(fft);
    return WHIST_OK;
}

void wh_dp_fft_clear(wh_dp_fft *fft)
{
    wh_free(fft->memory);
    *fft = (wh_dp_fft)WH_DP_FFT_EMPTY;
}

double wh_dp_fft_error(size_t n)
{
    double levels = log2((double)n), eta = 10 * 0x1p-53;
    return levels * eta / (1 - levels * eta);
}

typedef struct step {
    const double *xr, *xi;
    double *yr, *yi;
    const wh_dp_fft *fft;
    size_t length, stride; /* length * stride = n */
} step;

/* y[q + s(4p + k)] = w^{kp} (x[p] + (-i)^k x[p+m] + (-1)^k x[p+2m] + i^k x[p+3m])[q], q < s */
static void radix4(const step *t)
{
    size_t m = t->length / 4, s = t->stride;
    const double *restrict xr = t->xr, *restrict xi = t->xi;
    double *restrict yr = t->yr, *restrict yi = t->yi;
    for (size_t p = 0; p < m; p++) {
        double c1 = t->fft->cosine[p * s], s1 = -t->fft->sine[p * s];
        double c2 = t->fft->cosine[2 * p * s], s2 = -t->fft->sine[2 * p * s];
        double c3 = t->fft->cosine[3 * p * s], s3 = -t->fft->sine[3 * p * s];
        size_t a = s * p, b = s * (p + m), c = s * (p + 2 * m), d = s * (p + 3 * m), o = 4 * s * p;
        for (size_t q = 0; q < s; q++) {
            double acr = xr[a + q] + xr[c + q], aci = xi[a + q] + xi[c + q];
            double amr = xr[a + q] - xr[c + q], ami = xi[a + q] - xi[c + q];
            double bdr = xr[b + q] + xr[d + q], bdi = xi[b + q] + xi[d + q];
            double bmr = xi[b + q] - xi[d + q], bmi = xr[d + q] - xr[b + q]; /* -i (b - d) */
            double r1 = amr + bmr, i1 = ami + bmi, r2 = acr - bdr, i2 = aci - bdi, r3 = amr - bmr, i3 = ami - bmi;
            yr[o + q] = acr + bdr;
            yi[o + q] = aci + bdi;
            yr[o + s + q] = r1 * c1 - i1 * s1;
            yi[o + s + q] = r1 * s1 + i1 * c1;
            yr[o + 2 * s + q] = r2 * c2 - i2 * s2;
            yi[o + 2 * s + q] = r2 * s2 + i2 * c2;
            yr[o + 3 * s + q] = r3 * c3 - i3 * s3;
            yi[o + 3 * s + q] = r3 * s3 + i3 * c3;
        }
    }
}

static void radix2(const step *t)
{
    size_t s = t->stride;
    for (size_t q = 0; q < s; q++) {
        t->yr[q] = t->xr[q] + t->xr[s + q];
        t->yi[q] = t->xi[q] + t->xi[s + q];
        t->yr[s + q] = t->xr[q] - t->xr[s + q];
        t->yi[s + q] = t->xi[q] - t->xi[s + q];
    }
}

void wh_dp_fft_forward(const wh_dp_fft *fft, double *re, double *im)
{
    step t = {re, im, fft->re, fft->im, fft, fft->n, 1};
    for (; t.length > 1; t.length /= 4, t.stride *= 4) {
        if (t.length == 2) {
            radix2(&t);
            t.length = 4; /* the last step */
        } else {
            radix4(&t);
        }
        double *was_r = (double *)(uintptr_t)t.xr, *was_i = (double *)(uintptr_t)t.xi;
        t.xr = t.yr, t.xi = t.yi;
        t.yr = was_r, t.yi = was_i;
    }
    if (t.xr == re) return;
    memcpy(re, t.xr, fft->n * sizeof *re);
    memcpy(im, t.xi, fft->n * sizeof *im);
}

/* The inverse is the forward transform with real and imaginary parts exchanged. */
void wh_dp_fft_inverse(const wh_dp_fft *fft, double *re, double *im)
{
    wh_dp_fft_forward(fft, im, re);
}
