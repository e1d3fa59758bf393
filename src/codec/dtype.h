/* codec/dtype.h: element types that files know, and the product of a shape from outside. */
#ifndef WH_CODEC_DTYPE_H
#define WH_CODEC_DTYPE_H

#include "base/status.h"

typedef enum wh_dtype {
    WH_DTYPE_U8,
    WH_DTYPE_I8,
    WH_DTYPE_I16,
    WH_DTYPE_I32,
    WH_DTYPE_I64,
    WH_DTYPE_F32,
    WH_DTYPE_F64,
} wh_dtype;

enum { WH_DIMS_MAX = 8 };

static inline size_t wh_dtype_size(wh_dtype type)
{
    static const uint8_t sizes[] = {1, 1, 2, 4, 8, 4, 8};
    return sizes[type];
}

/* Product of n_dims sizes (1 for none) and the bytes it takes; false on overflow of size_t. */
static inline bool wh_shape_size(size_t *n, size_t *n_bytes, const size_t *dims, unsigned n_dims, wh_dtype type)
{
    size_t product = 1, bytes;
    bool fits = true, empty = false;
    for (unsigned i = 0; i < n_dims; i++) {
        empty |= dims[i] == 0;
        if (dims[i] && __builtin_mul_overflow(product, dims[i], &product)) fits = false;
    }
    if (!fits || __builtin_mul_overflow(product, wh_dtype_size(type), &bytes)) return false;
    *n = empty ? 0 : product;
    *n_bytes = empty ? 0 : bytes;
    return true;
}

#endif
