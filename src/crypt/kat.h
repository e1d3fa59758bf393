/* crypt/kat.h: hex in known-answer tests. */
#ifndef WH_CRYPT_KAT_H
#define WH_CRYPT_KAT_H

#include "base/buf.h"

#include <string.h>

/* The bytes of a hex text, at most 256 of them. */
typedef struct wh_kat {
    uint8_t data[256];
    size_t len;
} wh_kat;

/* A mistake in the text gives no bytes, which no known answer has. */
static inline wh_kat kat_hex(const char *text)
{
    wh_kat kat = {.len = strlen(text) / 2};
    if (kat.len > sizeof kat.data || wh_unhex(kat.data, text, kat.len) != WHIST_OK) kat.len = 0;
    return kat;
}

/* The bytes begin with those of the text. */
#define assert_hex(bytes, text)                                                                                        \
    do {                                                                                                               \
        wh_kat kat_ = kat_hex(text);                                                                                   \
        assert_true(kat_.len > 0);                                                                                     \
        assert_memory_equal((bytes), kat_.data, kat_.len);                                                             \
    } while (0)

#endif
