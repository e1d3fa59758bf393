/* nn/clip.h: the sum over a batch of clipped per-example gradients, in whole numbers, with a sensitivity that is
 * proven.
 *
 *     S = Σ_i q(w_i g_i),   w_i = min(1, C / |g_i|) or C / (|g_i| + 0.01),   q: to a grid of step 2^-k, toward zero
 *
 * What a privacy proof needs is how far S can move when one example leaves. In floating point that is more than C:
 * adding one example also moves how the others are rounded (Casacuberta, Shoemate, Vadhan, Wagaman 2022; Mironov 2012).
 * Here S is a sum of whole numbers, so order and grouping do not matter, and what an example puts into it depends on
 * that example alone, or is off by a counted error:
 *
 *   models that run as programs   each example's gradient is a function of that example and the parameters: of a
 *                                 program for one, or for a few that do not see each other. Its norm is off by less
 *                                 than 2^-14, scaling (of an outer product: two factors) by 2^-22, and each number is
 *                                 rounded toward zero: |q(w g)| <= C (1 + 2^-13). Nothing of one example meets
 *                                 another's rounding.
 *   stacks of dense layers        norms by the outer-product rule |a|² |δ|² (Goodfellow 2015), then one product for
 * PIECE examples, (a)ᵀ (w δ). A float32 sum of PIECE terms is off by γ Σ|terms| with γ = PIECE u / (1 - PIECE u), u =
 * 2^-24 (Higham 2002, section 3.1), in each number; over the vector that is at most γ Σ_i w_i |a_i| |δ_i| <= γ PIECE C.
 * It is rounded to the grid as it stands, so a step of the grid for each number comes on top.
 *
 * Pieces are cut in the order of the batch. An example that leaves moves the later ones into other pieces, so the
 * error of all pieces counts, on both sides: sensitivity = C (1 + ε) + 2 n_max (γ C + √P step / PIECE), where n_max is
 * the most examples that add takes between two begins. Everything on the right is public.
 *
 * An example whose gradient is not finite counts as zero: a refusal would tell.
 *
 * Layers: `layer` clips each learned tensor by itself to C / √(tensors), so that the whole is within C.
 *
 * Threads: one caller at a time; examples are spread over the pool, which changes no bit. */
#ifndef WH_NN_CLIP_H
#define WH_NN_CLIP_H

#include "base/pool.h"
#include "whist/nn.h"

typedef enum wh_clip_kind {
    WH_CLIP_FLAT,      /* min(1, C / |g|) */
    WH_CLIP_LAYER,     /* the same for each tensor, to C / √(tensors) */
    WH_CLIP_AUTOMATIC, /* C / (|g| + 0.01) (Bu, Wang, Zha, Karypis 2023) */
} wh_clip_kind;

typedef struct wh_clip_options {
    wh_clip_kind kind;
    size_t n_max;  /* most examples of one sum, 1 … 2^24 */
    wh_pool *pool; /* may be NULL; outlives the object */
} wh_clip_options;

typedef struct wh_clip wh_clip;

/* WHIST_E_UNSUPPORTED where examples of the model are coupled (batch norm by the batch, survival), naming why. The
 * model outlives the object. */
WH_MUST_CHECK whist_status wh_clip_new(wh_clip **out, const whist_model *model, const wh_clip_options *options);
void wh_clip_free(wh_clip *clip);
WH_AUTO_FREE(wh_clip, wh_clip_free)

/* Starts a sum with this bound, 2^-20 … 2^20. */
WH_MUST_CHECK whist_status wh_clip_begin(wh_clip *clip, double bound);
/* Adds the examples of a batch of any size. smaller (may be NULL): how many gradients were within the bound is added to
 * it. Fails like whist_model_loss_grad; WHIST_E_RANGE beyond n_max; the sum is void then. */
WH_MUST_CHECK whist_status wh_clip_add(wh_clip *clip, const float *params, const whist_batch *batch, size_t *smaller);
/* The sum so far: (P) in steps. Owned by the object, until begin. */
int64_t *wh_clip_sum(wh_clip *clip);
/* Of the grid. */
double wh_clip_step(const wh_clip *clip);
/* L2, in steps: proven bound on how far one example can move the sum (added, removed, or with nothing in its place; an
 * example that becomes another one: twice that). */
double wh_clip_sensitivity(const wh_clip *clip);
/* The same in the units of the gradient, without an object; and the largest number that can stand in a sum of n_max
 * examples. */
double wh_clip_reach(const whist_model *model, double bound, size_t n_max);
double wh_clip_most(const whist_model *model, double bound, size_t n_max);

#endif
