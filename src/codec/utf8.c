/* codec/utf8.c: is this UTF-8, and which characters? (RFC 3629, section 4) */
#include "codec/json.h"

/* Length of the well-formed character at the front, 0 where there is none. */
static size_t character(const uint8_t *s, size_t left)
{
    uint8_t low = 0x80, high = 0xBF;
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (len > left) return 0;
    if (s[0] == 0xE0) low = 0xA0;  /* overlong */
    if (s[0] == 0xED) high = 0x9F; /* surrogates */
    if (s[0] == 0xF0) low = 0x90;  /* overlong */
    if (s[0] == 0xF4) high = 0x8F; /* above U+10FFFF */
    for (size_t i = 1; i < len; i++) {
        if (s[i] < low || s[i] > high) return 0;
        low = 0x80;
        high = 0xBF;
    }
    return len;
}

size_t wh_utf8_next(uint32_t *code, whist_bytes text)
{
    size_t len = text.len ? character(text.data, text.len) : 0;
    if (len == 0) return 0;
    uint32_t value = len == 1 ? text.data[0] : text.data[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) value = value << 6 | (text.data[i] & 0x3F);
    *code = value;
    return len;
}

bool wh_is_utf8(whist_bytes text)
{
    for (size_t i = 0; i < text.len;) {
        size_t len = character(text.data + i, text.len - i);
        if (len == 0) return false;
        i += len;
    }
    return true;
}
