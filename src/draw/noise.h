/* draw/noise.h: the one source of privacy noise and of private sampling.
 *
 *   kernel → OpenSSL's private DRBG → 32-byte key → AES-256-CTR → samplers       a fresh key for each MiB
 *
 * Only wh_noise_new makes a wh_noise, and it takes no seed: no call of the product leads from a number that somebody
 * knows to a wh_noise. (Test builds have a second constructor, so that statistical tests are a pass for ever.) The
 * seeded streams of draw/stream.h share neither type nor function with it, and there is no fallback where the system
 * gives no randomness: the draw fails with WHIST_E_ENTROPY.
 *
 * After a fork the child starts from a key of its own: what parent and child draw is independent. Bytes are wiped as
 * they are given out; a key is forgotten after one MiB.
 *
 * Threads: one source belongs to one thread at a time; make one for each. */
#ifndef WH_DRAW_NOISE_H
#define WH_DRAW_NOISE_H

#include "base/mem.h"

typedef struct wh_noise wh_noise;

/* WHIST_E_ENTROPY, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_noise_new(wh_noise **out);
void wh_noise_free(wh_noise *noise);
WH_AUTO_FREE(wh_noise, wh_noise_free)

#ifdef WH_TEST_HOOKS
/* Test builds only: the same bytes for the same seed, for ever; refuses to go on after a fork. */
WH_MUST_CHECK whist_status wh_noise_new_replayed(wh_noise **out, uint64_t seed);
/* Test builds only: sources that this thread makes from now on are replayed ones of seed, seed + 1, …; 0: no longer. */
void wh_noise_replay_from(uint64_t seed);
#endif

/* len random bytes. WHIST_E_ENTROPY; out is wiped then. */
WH_MUST_CHECK whist_status wh_noise_bytes(wh_noise *noise, void *out, size_t len);

static inline whist_status wh_noise_u64(wh_noise *noise, uint64_t *out)
{
    return wh_noise_bytes(noise, out, sizeof *out);
}

/* Uniform in 0 .. n-1 without bias, n >= 1 (WHIST_E_ARG). */
WH_MUST_CHECK whist_status wh_noise_below(wh_noise *noise, uint64_t *out, uint64_t n);

#endif
