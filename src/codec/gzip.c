/* codec/gzip.c: zlib behind codec/gzip.h. */
#include "codec/gzip.h"

#define ZLIB_CONST /* input is only read */
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16 }; /* zlib: largest window, gzip wrapping */

bool wh_is_gzip(whist_bytes bytes)
{
    return bytes.len >= 3 && bytes.data[0] == 0x1F && bytes.data[1] == 0x8B && bytes.data[2] == 8;
}

static void undo(wh_buf *out, size_t len)
{
    if (out->len == len) return;
    wh_wipe(out->data + len, out->len - len);
    out->len = len;
}

/* zlib counts in 32 bits: hands it the next piece of what is left. */
static void feed(z_stream *z, const uint8_t **at, const uint8_t *end)
{
    if (z->avail_in > 0) return;
    size_t left = (size_t)(end - *at), piece = left < (1u << 30) ? left : 1u << 30;
    z->next_in = *at;
    z->avail_in = (uInt)piece;
    *at += piece;
}

static whist_status inflate_all(wh_buf *out, z_stream *z, whist_bytes in, size_t max, const char *name)
{
    const uint8_t *at = in.data, *end = in.data + in.len;
    size_t total = 0;
    for (;;) {
        uint8_t piece[32768];
        feed(z, &at, end);
        z->next_out = piece;
        z->avail_out = sizeof piece;
        int code = inflate(z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) WH_FAIL(WHIST_E_NOMEM, "no memory to decompress %s", name);
        if (code == Z_BUF_ERROR) WH_FAIL(WHIST_E_FORMAT, "%s is cut short: fetch it again", name);
        if (code != Z_OK && code != Z_STREAM_END)
            WH_FAIL(WHIST_E_FORMAT, "%s is damaged (%s): fetch it again", name, z->msg ? z->msg : "not gzip");
        size_t got = sizeof piece - z->avail_out;
        total += got;
        if (total > max) WH_FAIL(WHIST_E_RANGE, "%s holds more than the allowed %zu bytes", name, max);
        WH_TRY(wh_buf_add(out, piece, got));
        if (code != Z_STREAM_END) continue;
        if (z->avail_in == 0 && at == end) return WHIST_OK;
        if (inflateReset(z) != Z_OK) WH_FAIL(WHIST_E_STATE, "%s cannot be decompressed further", name);
    }
}

whist_status wh_gunzip(wh_buf *out, whist_bytes in, size_t max, const char *name)
{
    z_stream z = {0};
    size_t before = out->len;
    if (!wh_is_gzip(in)) WH_FAIL(WHIST_E_FORMAT, "%s is not compressed by gzip", name);
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK) WH_FAIL(WHIST_E_NOMEM, "no memory to decompress %s", name);
    whist_status status = inflate_all(out, &z, in, max, name);
    inflateEnd(&z);
    if (status != WHIST_OK) undo(out, before);
    return status;
}

static whist_status deflate_all(wh_buf *out, z_stream *z, whist_bytes in)
{
    const uint8_t *at = in.data, *end = in.data + in.len;
    for (int code = Z_OK; code != Z_STREAM_END;) {
        uint8_t piece[32768];
        feed(z, &at, end);
        z->next_out = piece;
        z->avail_out = sizeof piece;
        code = deflate(z, at == end ? Z_FINISH : Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            WH_FAIL(WHIST_E_STATE, "zlib refused to compress (%d)", code);
        WH_TRY(wh_buf_add(out, piece, sizeof piece - z->avail_out));
    }
    return WHIST_OK;
}

whist_status wh_gzip(wh_buf *out, whist_bytes in)
{
    static const uint8_t nothing[1];
    z_stream z = {0};
    size_t before = out->len;
    if (!in.data) in.data = nothing;
    if (deflateInit2(&z, 6, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        WH_FAIL(WHIST_E_NOMEM, "no memory to compress %zu bytes", in.len);
    whist_status status = deflate_all(out, &z, in);
    deflateEnd(&z);
    if (status != WHIST_OK) undo(out, before);
    return status;
}
