/* account/fft.h: the discrete Fourier transform of 2^k complex numbers, real and imaginary parts apart.
 *
 *   forward   X_k = sum_j x_j e^{-2 pi i j k / n}
 *   inverse   x_j = sum_k X_k e^{+2 pi i j k / n}     (without 1/n)
 *
 * Error bound (Higham, Accuracy and Stability, 2nd ed., Theorem 24.2): |X' - X|_2 <= wh_dp_fft_error(n) |X|_2. The
 * theorem is for radix 2 with twiddle factors in error by at most mu: a factor log2(n) eta with
 * eta = mu + gamma_4 (sqrt 2 + mu). A radix-4 step does the work of two radix-2 steps with one multiplication less on
 * each way. Ours have mu <= 4u: arguments are reduced to [0, pi/4] in integers before sin and cos. eta <= 10u. */
#ifndef WH_DP_ACCOUNT_FFT_H
#define WH_DP_ACCOUNT_FFT_H

#include "base/mem.h"

typedef struct wh_dp_fft {
    size_t n;
    double *memory; /* twiddles, then scratch */
    double *cosine, *sine, *re, *im;
} wh_dp_fft;
#define WH_DP_FFT_EMPTY                                                                                                \
    {                                                                                                                  \
        .n = 0                                                                                                         \
    }

enum { WH_DP_FFT_MAX = 1 << 22 };

/* n a power of two, 4 .. WH_DP_FFT_MAX. A plan may be made again for another n. */
WH_MUST_CHECK whist_status wh_dp_fft_init(wh_dp_fft *fft, size_t n);
void wh_dp_fft_clear(wh_dp_fft *fft);
WH_AUTO_CLEAR(wh_dp_fft, wh_dp_fft_clear)

void wh_dp_fft_forward(const wh_dp_fft *fft, double *re, double *im);
void wh_dp_fft_inverse(const wh_dp_fft *fft, double *re, double *im);
double wh_dp_fft_error(size_t n);

#endif
