/* codec/idx.h: IDX files (the format of MNIST), plain or compressed by gzip.
 *
 *     0  0  type  n_dims | dim_0 (u32) … dim_{n-1} (u32) | values, row-major, big-endian */
#ifndef WH_CODEC_IDX_H
#define WH_CODEC_IDX_H

#include "base/buf.h"
#include "codec/dtype.h"

typedef struct wh_idx {
    wh_dtype type; /* U8, I8, I16, I32, F32 or F64 */
    unsigned n_dims;
    size_t dims[WH_DIMS_MAX]; /* the unused ones are 1 */
    size_t n;                 /* elements: the product of dims */
    void *values;             /* n, row-major, in host order; owned */
} wh_idx;
#define WH_IDX_EMPTY                                                                                                   \
    {                                                                                                                  \
        .values = NULL                                                                                                 \
    }

/* Reads a whole file from memory. `max` bounds the bytes of the file after decompression, `name`
 * stands in error texts. WHIST_E_FORMAT; WHIST_E_RANGE above max; WHIST_E_NOMEM. `out` is empty
 * before, untouched on failure; ended by wh_idx_clear. */
WH_MUST_CHECK whist_status wh_idx_read(wh_idx *out, whist_bytes file, size_t max, const char *name);
/* The same from a path, with at most max bytes on disk too. */
WH_MUST_CHECK whist_status wh_idx_load(wh_idx *out, const char *path, size_t max);
void wh_idx_clear(wh_idx *idx);
WH_AUTO_CLEAR(wh_idx, wh_idx_clear)

/* Appends a file to out. WHIST_E_ARG for I64, too many or too large dims; WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_idx_write(wh_buf *out, const wh_idx *idx);

#endif
