/* num/onednn.h: convolutions of oneDNN, loaded when somebody asks for them and never linked.
 *
 * oneDNN (Debian: libdnnl2) writes machine code for a convolution of one shape. Here such code is a number, its
 * primitive, made once for each shape and kept until the process ends. Images lie in blocks of B channels, B = 8 (avx2)
 * or 16 (avx512), which is what its fastest kernels want:
 *
 *   image      (N,C/B,H,W,B), or (N,C,H,W) where C <= 4
 *   FORWARD    x, w (O/B,C/B,kh,kw,B of C,B of O) → y; with C <= 4: w (O/B,kh,kw,C,B)
 *   DATA       dy, w (O/B,C/B,kh,kw,B of O,B of C) → dx
 *   WEIGHT     x, dy → dw, laid out as FORWARD's w
 *
 * The library's own threads stay out of it: each call runs on the thread that makes it, and the instruction set is that
 * of base/cpu.h. Only one version is taken, for two versions may give different bits.
 *
 * Threads: all functions may be called from any thread. */
#ifndef WH_NUM_ONEDNN_H
#define WH_NUM_ONEDNN_H

#include "base/status.h"

/* Loads the library the first time. WHIST_E_UNSUPPORTED with the reason: it is not there, of another version, or the
 * instruction set in force is one it has no code for. */
WH_MUST_CHECK whist_status wh_onednn_load(void);
/* "onednn-2.6.3" once there is a primitive, else NULL. */
const char *wh_onednn_name(void);
/* B; only after a load that succeeded. */
size_t wh_onednn_block(void);

typedef enum wh_onednn_kind { WH_ONEDNN_FORWARD, WH_ONEDNN_DATA, WH_ONEDNN_WEIGHT } wh_onednn_kind;

typedef struct wh_onednn_shape {
    wh_onednn_kind kind;
    size_t n, c, h, w, o, oh, ow, kh, kw, stride, pad;
} wh_onednn_shape;

/* The primitive for a shape; 0 where the library has no generated code for it in the layouts above (its fallbacks are
 * slow), or WH_ONEDNN_SHAPES are made already. Only after a load that succeeded. */
enum { WH_ONEDNN_SHAPES = 1024 };
size_t wh_onednn_conv(const wh_onednn_shape *shape);
/* Bytes that a call of it works in. */
size_t wh_onednn_scratch(size_t primitive);
/* out: y, dx or dw; a and b: its two arguments in the order above. False if the library failed: out is void. */
bool wh_onednn_run(size_t primitive, float *out, const float *a, const float *b, void *scratch);

#endif
