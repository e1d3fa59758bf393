/* matrix/stream.h: correlated noise, step by step, in whole steps of a grid: e_t with S_t + e_t to be released.
 *
 * S_t is the clipped sum of step t, in whole numbers. The mechanism whose privacy is proven releases, for real Z,
 *
 *     Y_t = Σ_j c_j S_{t-j} + s Z_t            (tree: the sum below each node + s Z)
 *
 * and everything that leaves is computed from Y alone. What is drawn is z = round(2^8 s Z), an exactly rounded Gaussian
 * (draw/sample.h), and from there all is whole numbers:
 *
 * banded, sqrt: e_t = round((z_t - Σ_{j>=1} 2^8 c_j e_{t-j}) / 2^8). The coefficients are multiples of 2^-8, so with
 * G_t = S_t + e_t for what is released G_t = round(round_8(Y_t) - Σ_{j>=1} c_j G_{t-j}), round_8 to multiples of 2^-8:
 * post-processing of Y, exactly. Rounding feeds back into the next steps and adds nothing to the sensitivity.
 *
 * tree: node estimates in multiples of 2^-8, each w own + (1 - w) (left + right), rounded. Whole numbers in S pass
 * through it unchanged, since w and 1 - w add up to 1 exactly: post-processing, too.
 *
 * blt: as banded, with Σ_j c_j e_{t-j} = Σ_i ω_i s_i from buffers s_i ← θ_i s_i + e that are rounded to 2^-12. Given
 * what was released before, that is off by at most η in each number, differently for neighbours. So the mean of G_t
 * moves by |(C ΔS)_t| + 2 η, and over all steps and numbers by Δ + 2 η √(steps · length), whatever came before, which
 * is as private as one Gaussian (Smith, Thakurta 2022). wh_matrix_slack is the second part, and belongs into s: 10^-4
 * of the sensitivity at 1,000 steps and a million parameters.
 *
 * Memory: `buffers` vectors of the facts, whatever the number of steps. What was drawn is wiped at the end. A stream
 * cannot be copied, set back or begun at another step: noise of a step is made once. */
#ifndef WH_DP_MATRIX_STREAM_H
#define WH_DP_MATRIX_STREAM_H

#include "dp/matrix/matrix.h"
#include "draw/noise.h"

typedef struct wh_matrix_stream wh_matrix_stream;

/* length numbers a step; s: standard deviation of Z in steps of the grid, noise × (Δ × the sensitivity of one step +
 * wh_matrix_slack). The matrix outlives it. WHIST_E_RANGE for s outside 2^-8 … 2^32; WHIST_E_ENTROPY. */
WH_MUST_CHECK whist_status wh_matrix_stream_new(wh_matrix_stream **out, const whist_dp_matrix *m, size_t length,
                                                double s);
#ifdef WH_TEST_HOOKS
/* Test builds only: draws from `noise`, which it then owns; on failure it is the caller's. */
WH_MUST_CHECK whist_status wh_matrix_stream_new_from(wh_matrix_stream **out, const whist_dp_matrix *m, size_t length,
                                                     double s, wh_noise *noise);
#endif
void wh_matrix_stream_free(wh_matrix_stream *stream);
WH_AUTO_FREE(wh_matrix_stream, wh_matrix_stream_free)
WH_AUTO_FREE(whist_dp_matrix, whist_dp_matrix_free)

/* e (length) of the next step. WHIST_E_STATE after the last one. WHIST_E_RANGE, WHIST_E_ENTROPY: the stream has ended,
 * and e is wiped. */
WH_MUST_CHECK whist_status wh_matrix_stream_next(wh_matrix_stream *stream, int64_t *e);
/* Steps made. */
uint64_t wh_matrix_stream_at(const wh_matrix_stream *stream);

#endif
