/* crypt/kat.h: hex in known-answer tests. */
#ifndef WH_CRYPT_KAT_H
#define WH_CRYPT_KAT_H

#include "base/buf.h"
#include "test.h"

#include <string.h>

/* The bytes of a hex text, at most 256 of them. */
typedef struct wh_kat {
    uint8_t data[256];
    size_t len;
} wh_kat;

static inline wh_kat kat_hex(const char *text)
{
    wh_kat kat = {.len = strlen(text) / 2};
    assert_true(kat.len <= sizeof kat.data);
    assert_ok(wh_unhex(kat.data, text, kat.len));
    return kat;
}

#define assert_hex(bytes, text)                                                                                        \
    do {                                                                                                               \
        wh_kat kat_ = kat_hex(text);                                                                                   \
        assert_memory_equal((bytes), kat_.data, kat_.len);                                                             \
    } while (0)

#endif
