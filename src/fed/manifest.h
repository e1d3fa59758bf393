/* fed/manifest.h: what a large object is, chunk by chunk.
 *
 * Models and protected updates travel as chunks of a fixed size named by their SHA-256, so that a
 * transfer can stop anywhere and go on later, and nothing unchecked is ever stored.
 *
 *   object   | chunk 0 | chunk 1 | … | last, shorter |      digest = SHA-256(bytes, chunk size, digests) */
#ifndef WH_FED_MANIFEST_H
#define WH_FED_MANIFEST_H

#include "base/buf.h"
#include "crypt/hash.h"

enum {
    WH_CHUNK_BYTES = 1 << 20,         /* 1 MiB: 8 sites at once stay far below the 64 MiB of a coordinator */
    WH_MANIFEST_MAX_CHUNKS = 1 << 20, /* objects up to 1 TiB */
};

typedef struct wh_manifest {
    uint64_t bytes;
    uint32_t chunk_bytes;
    size_t n_chunks;    /* ceil(bytes / chunk_bytes) */
    wh_digest *digests; /* owned */
} wh_manifest;
#define WH_MANIFEST_EMPTY                                                                                              \
    {                                                                                                                  \
        0, 0, 0, NULL                                                                                                  \
    }

/* Room for an object of `bytes`, digests zero. WHIST_E_RANGE above the ceiling. */
WH_MUST_CHECK whist_status wh_manifest_init(wh_manifest *out, uint64_t bytes, uint32_t chunk_bytes);
void wh_manifest_clear(wh_manifest *manifest);
WH_AUTO_CLEAR(wh_manifest, wh_manifest_clear)

/* Length of chunk i. */
size_t wh_manifest_chunk_len(const wh_manifest *manifest, size_t i);
/* The name of the whole object. */
WH_MUST_CHECK whist_status wh_manifest_digest(wh_digest *out, const wh_manifest *manifest);
/* WHIST_E_FORMAT where chunk i has the wrong length or digest. */
WH_MUST_CHECK whist_status wh_manifest_check(const wh_manifest *manifest, size_t i, whist_bytes chunk);
/* Hashes a file of exactly `bytes`. */
WH_MUST_CHECK whist_status wh_manifest_of_file(wh_manifest *out, int fd, uint64_t bytes, uint32_t chunk_bytes);
/* Canonical bytes, for the database and for signatures; decode is bounded (WHIST_E_FORMAT). */
WH_MUST_CHECK whist_status wh_manifest_encode(wh_buf *out, const wh_manifest *manifest);
WH_MUST_CHECK whist_status wh_manifest_decode(wh_manifest *out, whist_bytes bytes);

#endif
