/* base/buf.h: growing byte buffers (also used to build text) and bounded cursors over input. */
#ifndef WH_BASE_BUF_H
#define WH_BASE_BUF_H

#include "base/mem.h"

/* Owns its bytes. data[len] is always 0 once anything was added, so text can be read as a C
 * string. A limit of 0 means no ceiling but memory. */
typedef struct wh_buf {
    uint8_t *data;
    size_t len, cap, limit;
} wh_buf;
#define WH_BUF_EMPTY                                                                                                   \
    {                                                                                                                  \
        NULL, 0, 0, 0                                                                                                  \
    }

/* WHIST_E_NOMEM; WHIST_E_RANGE past the limit. On failure the buffer is as before. */
WH_MUST_CHECK whist_status wh_buf_add(wh_buf *buf, const void *bytes, size_t len);
WH_MUST_CHECK whist_status wh_buf_text(wh_buf *buf, const char *format, ...) WHIST_PRINTF(2, 3);
/* Makes room for len more bytes and adds them uninitialised; *out points at them. */
WH_MUST_CHECK whist_status wh_buf_grow(wh_buf *buf, uint8_t **out, size_t len);
static inline whist_bytes wh_buf_view(const wh_buf *buf)
{
    return (whist_bytes){buf->data, buf->len};
}
/* The text so far, "" when empty. */
static inline const char *wh_buf_str(const wh_buf *buf)
{
    return buf->data ? (const char *)buf->data : "";
}
void wh_buf_reset(wh_buf *buf); /* keeps the memory, wipes the content */
void wh_buf_clear(wh_buf *buf); /* wipes and frees */
WH_AUTO_CLEAR(wh_buf, wh_buf_clear)

/* Numbers on the wire and on disk are little-endian unless a standard says otherwise. */
WH_MUST_CHECK whist_status wh_buf_u32(wh_buf *buf, uint32_t value);
WH_MUST_CHECK whist_status wh_buf_u64(wh_buf *buf, uint64_t value);

/* A cursor over bytes from outside: each take moves forward or fails with WHIST_E_FORMAT. */
typedef struct wh_cursor {
    const uint8_t *at, *end;
} wh_cursor;
static inline wh_cursor wh_cursor_over(whist_bytes bytes)
{
    return (wh_cursor){bytes.data, bytes.data ? bytes.data + bytes.len : NULL};
}
static inline size_t wh_cursor_left(const wh_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}
WH_MUST_CHECK whist_status wh_take_bytes(wh_cursor *cursor, whist_bytes *out, size_t len);
WH_MUST_CHECK whist_status wh_take_u32(wh_cursor *cursor, uint32_t *out);
WH_MUST_CHECK whist_status wh_take_u64(wh_cursor *cursor, uint64_t *out);
WH_MUST_CHECK whist_status wh_take_u32be(wh_cursor *cursor, uint32_t *out);

/* Hex, lower case. out has room for 2 * len + 1. */
void wh_hex(char *out, const uint8_t *bytes, size_t len);
/* Reads exactly 2 * len hex digits and nothing more. WHIST_E_FORMAT. */
WH_MUST_CHECK whist_status wh_unhex(uint8_t *out, const char *text, size_t len);

/* How many single-letter edits (insert, delete, replace, swap neighbours) turn a into b, at most 255:
 * "did you mean" in error texts. */
unsigned wh_edit_distance(const char *a, const char *b);

#endif
