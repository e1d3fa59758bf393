/* nn/clip_parts.h: what the two ways to a clipped sum share. */
#ifndef WH_NN_CLIP_PARTS_H
#define WH_NN_CLIP_PARTS_H

#include "nn/clip.h"
#include "nn/model.h"

enum {
    WH_CLIP_PIECE = 128,    /* examples of one product of a dense layer */
    WH_CLIP_BITS = 22,      /* the bound is 2^22 to 2^23 steps: a number of one example fits 24 bits with its sign */
    WH_CLIP_CARRY_AT = 128, /* examples that an int32 holds */
};

typedef struct wh_clip_each wh_clip_each;   /* by programs of batch 1 (clip_each.c) */
typedef struct wh_clip_dense wh_clip_dense; /* stacks of dense layers (clip_dense.c) */

struct wh_clip {
    const whist_model *model;
    wh_clip_options options;
    double bound, step;
    size_t n;           /* examples of this sum so far */
    int64_t *sum;       /* (P) */
    uint64_t seed;      /* of dropout: new with every begin, and the same for all examples but for their row */
    wh_clip_each *each; /* one of the two */
    wh_clip_dense *dense;
};

/* What the workers of an add are given. */
typedef struct wh_clip_job {
    wh_clip *clip;
    const float *params;
    const whist_batch *batch;
} wh_clip_job;
/* The clip's sum takes a worker's, (P), which is zero then. */
void wh_clip_collect(wh_clip *clip, int64_t *far);

/* What a gradient of this norm is multiplied by; 0 where the norm is not finite. Rounded down. `parts`: tensors that
 * the bound is shared by. */
float wh_clip_weight(const wh_clip *clip, double norm, double bound);
/* |x|², off by less than one part in 2^14. */
double wh_clip_squared(const wh_num_kernels *kernels, const float *x, size_t n);
/* The learned tensors, each with an equal part of the bound where clipping is by layer. */
double wh_clip_layer_bound(const wh_clip *clip);

WH_MUST_CHECK whist_status wh_clip_each_new(wh_clip_each **out, const wh_clip *clip);
void wh_clip_each_free(wh_clip_each *each);
WH_MUST_CHECK whist_status wh_clip_each_add(wh_clip *clip, const float *params, const whist_batch *batch,
                                            size_t *smaller);

WH_MUST_CHECK whist_status wh_clip_dense_new(wh_clip_dense **out, const wh_clip *clip);
void wh_clip_dense_free(wh_clip_dense *dense);
WH_MUST_CHECK whist_status wh_clip_dense_add(wh_clip *clip, const float *params, const whist_batch *batch,
                                             size_t *smaller);

#endif
