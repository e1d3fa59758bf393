/* fed/layout.h: where everything lies in an upload.
 *
 * The elements of an upload are those of the update's vectors, in order, and then a short vector of
 * sums (training rows, weights, metrics or moments), which always lives in Z_2^64:
 *
 *   | delta: P elements of Z_2^bits | control: P … | sums: S elements of Z_2^64 |
 *
 * Each vector is cut into blocks of WH_BLOCK elements; a protection turns each block into bytes, and
 * a full block always takes the same number of them. So block j of vector k has a fixed place and any
 * piece of the model can be summed, opened and stepped without the others. */
#ifndef WH_FED_LAYOUT_H
#define WH_FED_LAYOUT_H

#include "base/status.h"
#include "zq/fixed.h"

#include <whist/fed.h>

enum {
    WH_BLOCK = 16384, /* elements: 128 KiB of ring elements stay in a level-2 cache */
    WH_SUM_BITS = 64,
    WH_SUM_FRACTION = 20, /* sums keep 2^-20 and hold 2^43 / sites */
    WH_MAX_SUMS = 2 + WHIST_MAX_VECTORS + 2 * 3 * WHIST_MAX_METRICS,
};

typedef struct wh_layout {
    size_t n_vectors; /* the last one holds the sums */
    whist_ring_vector vectors[WHIST_MAX_VECTORS + 1];
    wh_fixed fixed[WHIST_MAX_VECTORS + 1];     /* how each is coded, for as many sites as the step has */
    size_t block_bytes[WHIST_MAX_VECTORS + 1]; /* of a full protected block */
    uint64_t start[WHIST_MAX_VECTORS + 1];     /* of the vector, in protected bytes */
    uint64_t bytes;                            /* of the whole upload */
} wh_layout;

/* The vectors of a purpose, without places: what a protection is made for. WHIST_E_RANGE where nothing but 0 could
 * be sent with so many sites. */
WH_MUST_CHECK whist_status wh_layout_vectors(wh_layout *out, const whist_fed_plan *plan, whist_purpose purpose,
                                             size_t n_sites);
/* … and their places for a protection (a machine made for these vectors). WHIST_E_RANGE on overflow. */
WH_MUST_CHECK whist_status wh_layout_place(wh_layout *layout, const whist_protection *machine);

static inline uint64_t wh_layout_blocks(const wh_layout *layout, size_t k)
{
    return (layout->vectors[k].length + WH_BLOCK - 1) / WH_BLOCK;
}
/* Elements in block j of vector k. */
static inline size_t wh_layout_block_length(const wh_layout *layout, size_t k, uint64_t j)
{
    uint64_t left = layout->vectors[k].length - j * WH_BLOCK;
    return left < WH_BLOCK ? (size_t)left : WH_BLOCK;
}
static inline uint64_t wh_layout_block_start(const wh_layout *layout, size_t k, uint64_t j)
{
    return layout->start[k] + j * layout->block_bytes[k];
}
/* Protected bytes of n elements of vector k. */
size_t wh_protected_size(const whist_protection *machine, const wh_layout *layout, size_t k, size_t n);

/* ---- The sums of a train or evaluate step ---- */
typedef struct wh_sums {
    double rows, rows_steps, weight[WHIST_MAX_VECTORS];
    whist_metric_value metrics[2][WHIST_MAX_METRICS]; /* [0] test, [1] validation */
} wh_sums;

size_t wh_sums_count(const whist_fed_plan *plan, whist_purpose purpose);
void wh_sums_pack(double *out, const wh_sums *sums, const whist_fed_plan *plan);
void wh_sums_unpack(wh_sums *out, const double *values, const whist_fed_plan *plan);

/* Moments need the range of sums and, for columns of small values, more than their 2^-20: n values travel as the
 * multiples of 2^-20 nearest to them and then n times 2^40 times the rest, which keeps 2^-60. out: 2n. */
void wh_moments_split(double *out, const double *values, size_t n);
/* Of the sums: what the values add up to. values may be sums. */
void wh_moments_join(double *values, const double *sums, size_t n);

/* Real numbers to elements of Z_2^64 and back. WHIST_E_RANGE where the sum over `sites` of them could wrap. */
WH_MUST_CHECK whist_status wh_sums_encode(uint8_t *elements, const double *values, size_t n, size_t sites);
void wh_sums_decode(double *values, const uint8_t *elements, size_t n);

#endif
