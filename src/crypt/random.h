/* crypt/random.h: the system's cryptographic randomness. Keys, masks and privacy noise come from
 * here and from nowhere else; there is no seed.
 *
 * OpenSSL's private DRBG (AES-256-CTR, SP 800-90A), one per thread, seeded by the kernel.
 * Threads: any. */
#ifndef WH_CRYPT_RANDOM_H
#define WH_CRYPT_RANDOM_H

#include "base/mem.h"

/* Fills out with len random bytes. WHIST_E_ENTROPY; out is wiped then. */
WH_MUST_CHECK whist_status wh_random_bytes(void *out, size_t len);

/* A uniform value in [0, n), without bias. n > 0 (WHIST_E_ARG). WHIST_E_ENTROPY. */
WH_MUST_CHECK whist_status wh_random_below(uint64_t *out, uint64_t n);

/* A fresh secret of len bytes. */
WH_MUST_CHECK whist_status wh_random_secret(whist_secret *out, size_t len);

/* Tests: the n-th request of this thread from now on fails once (0: none). */
void wh_random_fail_after(uint64_t n);

#endif
