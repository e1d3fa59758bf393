/* base/buf.c: growing buffers, cursors, hex, edit distance. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static whist_status reserve(wh_buf *buf, size_t extra)
{
    size_t need, with_zero;
    if (!wh_add_size(&need, buf->len, extra) || !wh_add_size(&with_zero, need, 1))
        WH_FAIL(WHIST_E_NOMEM, "buffer of %zu bytes cannot grow by %zu", buf->len, extra);
    if (buf->limit && need > buf->limit) WH_FAIL(WHIST_E_RANGE, "more than the allowed %zu bytes", buf->limit);
    if (with_zero <= buf->cap) return WHIST_OK;
    size_t cap = buf->cap < 128 ? 128 : buf->cap;
    while (cap < with_zero)
        if (!wh_mul_size(&cap, cap, 2)) cap = with_zero;
    void *data;
    WH_TRY(wh_alloc_raw(&data, cap, 1));
    if (buf->len) memcpy(data, buf->data, buf->len);
    if (buf->data) wh_wipe(buf->data, buf->len);
    wh_free(buf->data);
    buf->data = data;
    buf->cap = cap;
    return WHIST_OK;
}

whist_status wh_buf_grow(wh_buf *buf, uint8_t **out, size_t len)
{
    WH_TRY(reserve(buf, len));
    *out = buf->data + buf->len;
    buf->len += len;
    buf->data[buf->len] = 0;
    return WHIST_OK;
}

whist_status wh_buf_add(wh_buf *buf, const void *bytes, size_t len)
{
    uint8_t *to;
    WH_TRY(wh_buf_grow(buf, &to, len));
    if (len) memcpy(to, bytes, len);
    return WHIST_OK;
}

whist_status wh_buf_text(wh_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    whist_status status = len < 0 ? WHIST_E_FORMAT : reserve(buf, (size_t)len);
    if (status == WHIST_OK) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return status;
}

void wh_buf_reset(wh_buf *buf)
{
    if (buf->data) wh_wipe(buf->data, buf->len);
    buf->len = 0;
}

void wh_buf_clear(wh_buf *buf)
{
    wh_buf_reset(buf);
    wh_free(buf->data);
    *buf = (wh_buf)WH_BUF_EMPTY;
}

whist_status wh_buf_u32(wh_buf *buf, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
    return wh_buf_add(buf, bytes, sizeof bytes);
}

whist_status wh_buf_u64(wh_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
    return wh_buf_add(buf, bytes, sizeof bytes);
}

whist_status wh_take_bytes(wh_cursor *cursor, whist_bytes *out, size_t len)
{
    if (wh_cursor_left(cursor) < len)
        WH_FAIL(WHIST_E_FORMAT, "cut short: %zu bytes wanted, %zu left", len, wh_cursor_left(cursor));
    *out = (whist_bytes){cursor->at, len};
    cursor->at += len;
    return WHIST_OK;
}

static whist_status take_le(wh_cursor *cursor, uint64_t *out, size_t size)
{
    whist_bytes bytes;
    WH_TRY(wh_take_bytes(cursor, &bytes, size));
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | bytes.data[i];
    *out = value;
    return WHIST_OK;
}

whist_status wh_take_u32(wh_cursor *cursor, uint32_t *out)
{
    uint64_t value;
    WH_TRY(take_le(cursor, &value, 4));
    *out = (uint32_t)value;
    return WHIST_OK;
}

whist_status wh_take_u64(wh_cursor *cursor, uint64_t *out)
{
    return take_le(cursor, out, 8);
}

whist_status wh_take_u32be(wh_cursor *cursor, uint32_t *out)
{
    uint32_t value;
    WH_TRY(wh_take_u32(cursor, &value));
    *out = __builtin_bswap32(value);
    return WHIST_OK;
}

void wh_hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

whist_status wh_unhex(uint8_t *out, const char *text, size_t len)
{
    if (strlen(text) != 2 * len) WH_FAIL(WHIST_E_FORMAT, "%zu hex digits wanted, %zu found", 2 * len, strlen(text));
    for (size_t i = 0; i < len; i++)
        if (hex_digit(text[2 * i]) < 0 || hex_digit(text[2 * i + 1]) < 0)
            WH_FAIL(WHIST_E_FORMAT, "not a hex digit at position %zu", 2 * i);
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return WHIST_OK;
}

/* Optimal string alignment distance; names here are short, so long words are simply "far". */
unsigned wh_edit_distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX || m > MAX) return 255;
    unsigned d[MAX + 1][MAX + 1];
    for (size_t i = 0; i <= n; i++) d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++) d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}
