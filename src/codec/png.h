/* codec/png.h: grey images as PNG (W3C PNG, second edition): 1, 2, 4 or 8 bits, not interlaced. */
#ifndef WH_CODEC_PNG_H
#define WH_CODEC_PNG_H

#include "base/buf.h"

enum { WH_PNG_MAX_SIDE = 4096 };

typedef struct wh_png {
    size_t height, width;
    uint8_t *pixels; /* (height, width), 0 black … 255 white; owned */
} wh_png;
#define WH_PNG_EMPTY                                                                                                   \
    {                                                                                                                  \
        .pixels = NULL                                                                                                 \
    }

/* `name` stands in error texts. WHIST_E_FORMAT: damaged, cut short, a wrong CRC; WHIST_E_UNSUPPORTED: colour,
 * interlaced; WHIST_E_RANGE: a side above WH_PNG_MAX_SIDE. out is untouched then; ended by wh_png_clear. */
WH_MUST_CHECK whist_status wh_png_read(wh_png *out, whist_bytes file, const char *name);
void wh_png_clear(wh_png *png);
WH_AUTO_CLEAR(wh_png, wh_png_clear)

#endif
