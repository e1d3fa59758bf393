/* learn/ftrl_step.h: private gradients with noise that is correlated between the steps (DP-FTRL; Kairouz et al. 2021).
 *
 *     g_t = (S_t + e_t) step / L
 *
 * S_t is the clipped sum of nn/clip.h over the batch of step t, e_t the noise of dp/matrix/stream.h, L a public number.
 * Noise cancels in the sums of the gradients, which is what an optimiser adds up; nothing is amplified by sampling.
 *
 * Pattern. A pass is `bins` steps. When a run begins, each row falls into one of the bins by the system's randomness,
 * and keeps it: it takes part in steps bin, bin + bins, bin + 2 bins, … and no other. A row's bin tells nothing of
 * other rows and moves none of them, so adding or removing one changes exactly its own contributions. learn/turns.h
 * refuses whatever does not keep to this. The noise is that of the worst bin; that bins are secret is not counted.
 *
 * A run is one Gaussian mechanism of noise σ, over all of its steps. Its noise is drawn once, in order, and can neither
 * be set back nor kept: what comes after a run that broke off is another one, with noise of its own and a price of its
 * own.
 *
 * The bound on a batch's size that is passed with probability below 2^-50 (dp_step.h) holds for each bin: bins 2^-50
 * goes into delta.
 *
 * Threads: one caller at a time. */
#ifndef WH_LEARN_FTRL_STEP_H
#define WH_LEARN_FTRL_STEP_H

#include "nn/clip.h"

#include <whist/data.h>
#include <whist/dp.h>

typedef struct wh_ftrl_options {
    wh_clip_kind clipping;
    double clip;    /* 2^-20 … 2^20 */
    double sigma;   /* > 0; noise over the sensitivity of the run */
    uint64_t rows;  /* public bound, 1 … 2^31 - 1 */
    uint64_t bins;  /* steps of a pass, 1 … 2^20 */
    uint64_t steps; /* of a run, 1 … 2^20 */
    double batch;   /* L > 0 */
    whist_dp_design design;
    uint32_t bands;   /* as in whist_dp_matrix_options */
    unsigned threads; /* 0 like 1 */
} wh_ftrl_options;

typedef struct wh_ftrl wh_ftrl;

/* What the pattern asks of the noise. */
whist_dp_matrix_options wh_ftrl_pattern(const wh_ftrl_options *options);
/* Whether design, bands, pass and steps of a run fit each other, and a pass the rows: all that a site would refuse,
 * but for what it has to look for coefficients to know. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_ftrl_check(const wh_ftrl_options *options);

/* rows: the training rows, which outlive it. WHIST_E_ARG for options out of range; WHIST_E_UNSUPPORTED for models whose
 * rows are coupled, or that drop out; WHIST_E_STATE where there are more rows than the public bound; WHIST_E_ENTROPY.
 */
WH_MUST_CHECK whist_status wh_ftrl_new(wh_ftrl **out, const whist_model *model, const whist_rows *rows,
                                       const wh_ftrl_options *options);
void wh_ftrl_free(wh_ftrl *ftrl);
WH_AUTO_FREE(wh_ftrl, wh_ftrl_free)

/* A new run: bins and noise that are independent of all before. */
WH_MUST_CHECK whist_status wh_ftrl_begin(wh_ftrl *ftrl);
/* The next private gradient, (P). WHIST_E_STATE before begin, after the last step, and where a row would take part out
 * of turn. On failure grad is untouched and the run has ended. */
WH_MUST_CHECK whist_status wh_ftrl_gradient(wh_ftrl *ftrl, float *grad, const float *params);
/* What a run spends, for records: out has room for 2 events. */
size_t wh_ftrl_events(whist_dp_event *out, const wh_ftrl_options *options);
/* What the next `steps` steps of a run that has made `from` add to what these cost: the Gaussian's share goes by the
 * square of the sensitivity, so that the parts of a run add up to the whole at every Rényi order. */
WH_MUST_CHECK whist_status wh_ftrl_events_of(whist_dp_event *out, size_t *n, const wh_ftrl *ftrl, uint64_t from,
                                             uint64_t steps);
/* Steps made of the present run; that of no run, or of one that is over: 0. */
uint64_t wh_ftrl_at(const wh_ftrl *ftrl);
/* Standard deviation of the noise before it is correlated, in the units of the sum (of clipped gradients). */
double wh_ftrl_noise(const wh_ftrl *ftrl);
const whist_dp_matrix *wh_ftrl_matrix(const wh_ftrl *ftrl);
/* The bin of a row in the present run, for auditors: bins are secret, and no part of the proof. UINT64_MAX: none. */
uint64_t wh_ftrl_bin(const wh_ftrl *ftrl, uint32_t row);
/* The steps that settings of the learner dp-ftrl ask for. */
void wh_ftrl_options_read(wh_ftrl_options *out, const whist_settings *settings);

#endif
