/* crypt/random.c: OpenSSL's private DRBG behind crypt/random.h. */
#include "crypt/random.h"

#include "crypt/ossl.h"

#include <limits.h>
#include <openssl/rand.h>

static _Thread_local uint64_t fail_after;

void wh_random_fail_after(uint64_t n)
{
    fail_after = n;
}

static bool planned_failure(void)
{
    return fail_after > 0 && --fail_after == 0;
}

whist_status wh_random_bytes(void *out, size_t len)
{
    bool good = !planned_failure();
    uint8_t *to = out;
    for (size_t left = len; good && left > 0;) {
        int piece = left < INT_MAX ? (int)left : INT_MAX;
        good = RAND_priv_bytes(to, piece) == 1;
        to += piece;
        left -= (size_t)piece;
    }
    if (good) return WHIST_OK;
    wh_wipe(out, len);
    WH_OSSL_FAIL(WHIST_E_ENTROPY, "the system gives no randomness");
}

/* The high word of x * n is uniform when x is, except for the 2^64 mod n values of x whose low
 * word falls below that number; those are drawn again. (Lemire, "Fast random integer generation in
 * an interval", 2019) */
whist_status wh_random_below(uint64_t *out, uint64_t n)
{
    WH_ENSURE(n > 0, WHIST_E_ARG);
    uint64_t excess = (0 - n) % n;
    for (;;) {
        uint64_t x;
        WH_TRY(wh_random_bytes(&x, sizeof x));
        unsigned __int128 product = (unsigned __int128)x * n;
        if ((uint64_t)product < excess) continue;
        *out = (uint64_t)(product >> 64);
        return WHIST_OK;
    }
}

whist_status wh_random_secret(whist_secret *out, size_t len)
{
    WH_AUTO(whist_secret) secret = WHIST_SECRET_EMPTY;
    WH_TRY(wh_secret_init(&secret, len));
    WH_TRY(wh_random_bytes(secret.data, len));
    *out = secret;
    secret = (whist_secret)WHIST_SECRET_EMPTY;
    return WHIST_OK;
}
