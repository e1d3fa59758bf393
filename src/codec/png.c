/* codec/png.c: grey images as PNG.
 *
 *     signature | length type content crc | …      IHDR first, the IDATs are one zlib stream of filtered rows, IEND
 * last
 */
#include "codec/png.h"

#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

enum { SIGNATURE = 8, FRAME = 12, HEADER = 13 };

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- Chunks ----------------------------------------------------------------------------------------------- */

typedef struct chunk {
    const uint8_t *type, *data;
    size_t len;
} chunk;

static whist_status next_chunk(chunk *out, whist_bytes file, size_t *at, const char *name)
{
    size_t left = file.len - *at;
    const uint8_t *p = file.data + *at;
    if (left < FRAME) WH_FAIL(WHIST_E_FORMAT, "%s is cut short", name);
    size_t len = u32(p);
    if (len > left - FRAME) WH_FAIL(WHIST_E_FORMAT, "%s is cut short", name);
    if (crc32(0, p + 4, (uInt)(len + 4)) != u32(p + 8 + len)) WH_FAIL(WHIST_E_FORMAT, "%s is damaged (CRC)", name);
    *out = (chunk){p + 4, p + 8, len};
    *at += FRAME + len;
    return WHIST_OK;
}

static bool is(const chunk *c, const char *type)
{
    return memcmp(c->type, type, 4) == 0;
}

static whist_status read_header(wh_png *png, unsigned *depth, const chunk *c, const char *name)
{
    if (!is(c, "IHDR") || c->len != HEADER) WH_FAIL(WHIST_E_FORMAT, "%s does not begin as a PNG does", name);
    png->width = u32(c->data), png->height = u32(c->data + 4);
    *depth = c->data[8];
    if (c->data[9] != 0 || *depth > 8 || c->data[12] != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s is no plain grey image: convert it to 8 bits of grey, not interlaced", name);
    if (*depth == 0 || (*depth & (*depth - 1)) || c->data[10] || c->data[11])
        WH_FAIL(WHIST_E_FORMAT, "%s: its header is damaged", name);
    if (png->width == 0 || png->height == 0 || png->width > WH_PNG_MAX_SIDE || png->height > WH_PNG_MAX_SIDE)
        WH_FAIL(WHIST_E_RANGE, "%s: sides from 1 to %d pixels are read", name, WH_PNG_MAX_SIDE);
    return WHIST_OK;
}

/* The content of all IDATs, one after the other. */
static whist_status gather(wh_buf *out, whist_bytes file, size_t at, const char *name)
{
    for (;;) {
        chunk c;
        WH_TRY(next_chunk(&c, file, &at, name));
        if (is(&c, "IEND")) return WHIST_OK;
        if (is(&c, "IDAT")) WH_TRY(wh_buf_add(out, c.data, c.len));
        if (!(c.type[0] & 0x20) && !is(&c, "IDAT"))
            WH_FAIL(WHIST_E_UNSUPPORTED, "%s: a part that is not read here", name);
    }
}

/* ---- Rows --------------------------------------------------------------------------------------------------- */

static int paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Undoes the filters in place: each row is a kind and n bytes; of grey of up to 8 bits the neighbour is a byte away. */
static whist_status unfilter(uint8_t *rows, size_t height, size_t n, const char *name)
{
    for (size_t y = 0; y < height; y++) {
        uint8_t *row = rows + y * (n + 1), kind = row[0], *x = row + 1;
        const uint8_t *up = y ? x - (n + 1) : NULL;
        if (kind > 4) WH_FAIL(WHIST_E_FORMAT, "%s is damaged: a filter that is none", name);
        for (size_t i = 0; i < n; i++) {
            int a = i ? x[i - 1] : 0, b = up ? up[i] : 0, c = up && i ? up[i - 1] : 0;
            int add = kind == 1 ? a : kind == 2 ? b : kind == 3 ? (a + b) / 2 : kind == 4 ? paeth(a, b, c) : 0;
            x[i] = (uint8_t)(x[i] + add);
        }
    }
    return WHIST_OK;
}

static whist_status unpack(wh_png *png, const wh_buf *packed, unsigned depth, const char *name)
{
    size_t n = (png->width * depth + 7) / 8;
    uLongf size = (uLongf)((n + 1) * png->height);
    const uLongf wanted = size;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, size, 1));
    uint8_t *rows = memory, top = (uint8_t)((1u << depth) - 1);
    if (uncompress(rows, &size, packed->data, (uLong)packed->len) != Z_OK || size != wanted)
        WH_FAIL(WHIST_E_FORMAT, "%s is damaged: its rows", name);
    WH_TRY(unfilter(rows, png->height, n, name));
    WH_TRY(WH_NEW(&png->pixels, png->height * png->width));
    for (size_t y = 0; y < png->height; y++)
        for (size_t x = 0; x < png->width; x++) {
            size_t bit = x * depth;
            unsigned shift = 8 - depth - (unsigned)(bit % 8), value = rows[y * (n + 1) + 1 + bit / 8] >> shift & top;
            png->pixels[y * png->width + x] = (uint8_t)(value * 255 / top);
        }
    return WHIST_OK;
}

whist_status wh_png_read(wh_png *out, whist_bytes file, const char *name)
{
    static const uint8_t signature[SIGNATURE] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    WH_AUTO(wh_png) png = WH_PNG_EMPTY;
    WH_AUTO(wh_buf) packed = WH_BUF_EMPTY;
    unsigned depth = 0;
    size_t at = SIGNATURE;
    chunk header;
    if (file.len < SIGNATURE || memcmp(file.data, signature, SIGNATURE) != 0)
        WH_FAIL(WHIST_E_FORMAT, "%s is no PNG image", name);
    WH_TRY(next_chunk(&header, file, &at, name));
    WH_TRY(read_header(&png, &depth, &header, name));
    WH_TRY(gather(&packed, file, at, name));
    if (packed.len == 0) WH_FAIL(WHIST_E_FORMAT, "%s holds no pixels", name);
    WH_TRY(unpack(&png, &packed, depth, name));
    *out = png;
    png = (wh_png)WH_PNG_EMPTY;
    return WHIST_OK;
}

void wh_png_clear(wh_png *png)
{
    wh_free(png->pixels);
    *png = (wh_png)WH_PNG_EMPTY;
}
