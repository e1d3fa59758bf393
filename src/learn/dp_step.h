/* learn/dp_step.h: private gradients: a Poisson batch, clipped per-example gradients summed in whole numbers, Gaussian
 * noise rounded to the same grid (Abadi et al. 2016, algorithm 1; DP-SGD).
 *
 *     g = (S + round(σ Δ Z)) step / L
 *
 * S and Δ, its proven sensitivity in steps of the grid, are nn/clip.h's; Z is standard normal (draw/sample.h); L is a
 * public number. The batch is drawn by the system's randomness, never by the study's seed, and its size is private:
 * empty and large ones are batches like others. As S is whole, S + round(s Z) = round(S + s Z): the release is
 * post-processing of the continuous Gaussian mechanism with noise σ over sensitivity, and is charged as that.
 *
 * `rows` is a public bound on the number of rows. From it and the rate follows n_max, the batch size that is passed
 * with probability below 2^-50 (Chernoff): what lies beyond it is cut off, and the probability goes into delta.
 *
 * Adaptive clipping (Andrew, Thakkar, McMahan, Ramaswamy 2021, for records): how many gradients were within the bound
 * is released with Gaussian noise of count_sigma, and bound *= exp(-speed (share - quantile)). It is a release of its
 * own, with the gradient's batch; both together are one Gaussian of noise (σ^-2 + count_sigma^-2)^(-1/2): the count is
 * centred by 1/2 and scaled like one more coordinate.
 *
 * Threads: one caller at a time. */
#ifndef WH_LEARN_DP_STEP_H
#define WH_LEARN_DP_STEP_H

#include "nn/clip.h"

#include <whist/data.h>
#include <whist/dp.h>

typedef struct wh_dp_step_options {
    wh_clip_kind clipping;
    double clip;   /* the bound, or the first one: 2^-20 … 2^20 */
    double sigma;  /* > 0; noise over sensitivity */
    double rate;   /* of the Poisson batches, (0, 1] */
    uint64_t rows; /* public bound, 1 … 2^31 */
    double batch;  /* L > 0 */
    bool adaptive;
    double quantile, speed, count_sigma; /* (0, 1), > 0, > 0; adaptive only, with WH_CLIP_FLAT */
    unsigned threads;                    /* 0 like 1 */
} wh_dp_step_options;

typedef struct wh_dp_step wh_dp_step;

/* rows: the training rows, which outlive it. WHIST_E_ARG for options out of range; WHIST_E_UNSUPPORTED for models whose
 * rows are coupled, or that drop out; WHIST_E_STATE where there are more rows than the public bound; WHIST_E_ENTROPY.
 */
WH_MUST_CHECK whist_status wh_dp_step_new(wh_dp_step **out, const whist_model *model, const whist_rows *rows,
                                          const wh_dp_step_options *options);
void wh_dp_step_free(wh_dp_step *step);
WH_AUTO_FREE(wh_dp_step, wh_dp_step_free)

/* The steps that settings of the learner dp-sgd ask for. */
void wh_dp_step_options_read(wh_dp_step_options *out, const whist_settings *settings);

#ifdef WH_TEST_HOOKS
/* Test builds: plants a bug into the steps of this thread, for auditors to find. WHIST_TEST_BREAK names one for a whole
 * process: "half-noise", "no-clip". */
typedef enum wh_dp_step_bug { WH_DP_STEP_SOUND, WH_DP_STEP_HALF_NOISE, WH_DP_STEP_NO_CLIP } wh_dp_step_bug;
void wh_dp_step_break(wh_dp_step_bug bug);
#endif

/* The next private gradient, (P). On failure grad is untouched or zero; what was drawn is lost and has to be charged
 * all the same. */
WH_MUST_CHECK whist_status wh_dp_step_gradient(wh_dp_step *step, float *grad, const float *params);
/* What `steps` gradients spend, for records: out has room for 2 events. */
size_t wh_dp_step_events(whist_dp_event *out, const wh_dp_step_options *options, uint64_t steps);
/* Bound in force; sensitivity over the bound (1.00…: what rounding adds). */
double wh_dp_step_clip(const wh_dp_step *step);
double wh_dp_step_inflation(const wh_dp_step *step);
/* Batch size that is passed with probability below 2^-50. */
uint64_t wh_dp_step_most(uint64_t rows, double rate);

#endif
