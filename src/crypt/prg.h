/* crypt/prg.h: a pseudo-random generator from a short key: AES in counter mode.
 *
 *   block i of the stream = AES_key(nonce + i),   i = 0, 1, …   16 bytes each
 *
 * where nonce is read as a 128-bit big-endian number and the sum wraps (NIST SP 800-38A, 6.5: the
 * counter mode encryption of zeros). Any block can be reached at once, so masks can be expanded
 * chunk by chunk and by several threads.
 *
 * Two streams under one key must not overlap: let their nonces differ in the first 8 bytes
 * (wh_prg_nonce does) and take fewer than 2^64 blocks of each.
 *
 * Threads: one generator belongs to one thread at a time. */
#ifndef WH_CRYPT_PRG_H
#define WH_CRYPT_PRG_H

#include "base/mem.h"

enum {
    WH_PRG_BLOCK = 16,
    WH_PRG_NONCE = 16,
};

typedef struct wh_prg {
    void *ctx; /* EVP_CIPHER_CTX, holds the key schedule; wiped by clear */
    uint8_t nonce[WH_PRG_NONCE];
} wh_prg;
#define WH_PRG_EMPTY                                                                                                   \
    {                                                                                                                  \
        NULL,                                                                                                          \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

/* key_len: 16 (AES-128) or 32 (AES-256), else WHIST_E_ARG. The stream starts at block 0. An
 * initialised generator may be initialised again: it is cleared first. WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_prg_init(wh_prg *prg, const uint8_t *key, size_t key_len,
                                       const uint8_t nonce[WH_PRG_NONCE]);
/* The next len bytes of the stream. */
WH_MUST_CHECK whist_status wh_prg_next(wh_prg *prg, void *out, size_t len);
/* The next byte given out is the first of this block. */
WH_MUST_CHECK whist_status wh_prg_seek(wh_prg *prg, uint64_t block);
void wh_prg_clear(wh_prg *prg);
WH_AUTO_CLEAR(wh_prg, wh_prg_clear)

/* The nonce of stream `index` under a key: index, big-endian, then eight zero bytes. */
void wh_prg_nonce(uint8_t nonce[WH_PRG_NONCE], uint64_t index);

#endif
