/* codec/npy.h: NumPy's .npy files, versions 1 and 2; little-endian, C order; f32, f64, i64, u8.
 *
 *     93 "NUMPY" major minor | header length (u16, v2: u32) | {'descr': '<f4', 'fortran_order':
 *     False, 'shape': (3, 4), } padded with spaces to 64, LF | values */
#ifndef WH_CODEC_NPY_H
#define WH_CODEC_NPY_H

#include "base/buf.h"
#include "codec/dtype.h"

typedef struct wh_npy {
    wh_dtype type; /* F32, F64, I64 or U8 */
    unsigned n_dims;
    size_t dims[WH_DIMS_MAX];
    size_t n;           /* elements */
    whist_bytes values; /* a view into the file: n * size bytes, perhaps not aligned */
} wh_npy;

/* Reads a whole file from memory; the result views it. WHIST_E_FORMAT; WHIST_E_UNSUPPORTED for
 * another type, byte order or Fortran order. */
WH_MUST_CHECK whist_status wh_npy_read(wh_npy *out, whist_bytes file, const char *name);

/* Appends the header for these values; the caller appends n elements, little-endian.
 * WHIST_E_ARG for another type or more than 8 dims; WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_npy_header(wh_buf *out, wh_dtype type, unsigned n_dims, const size_t *dims);
/* Header and values. */
WH_MUST_CHECK whist_status wh_npy_write(wh_buf *out, wh_dtype type, unsigned n_dims, const size_t *dims,
                                        const void *values);

#endif
