/* fed/manifest.h: what a large object is, chunk by chunk.
 *
 * Models and protected updates travel as chunks of a fixed size named by their SHA-256, so that a
 * transfer can stop anywhere and go on later, and nothing unchecked is ever stored.
 *
 *   object   | chunk 0 | chunk 1 | … | last, shorter |      digest = SHA-256(the encoded manifest)
 *
 * Threads: a manifest that nobody changes may be read by many. */
#ifndef WH_FED_MANIFEST_H
#define WH_FED_MANIFEST_H

#include "base/buf.h"
#include "crypt/hash.h"

enum {
    WH_CHUNK_BYTES = 1 << 20,         /* 1 MiB: 8 sites at once stay far below the 64 MiB of a coordinator */
    WH_CHUNK_MAX = 64 << 20,          /* largest chunk size anybody may ask for */
    WH_MANIFEST_MAX_CHUNKS = 1 << 20, /* objects up to 1 TiB in chunks of WH_CHUNK_BYTES */
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

/* Room for an object of `bytes`, digests zero. WHIST_E_RANGE above the ceiling, or for chunks that are not
 * 1 … WH_CHUNK_MAX bytes. */
WH_MUST_CHECK whist_status wh_manifest_init(wh_manifest *out, uint64_t bytes, uint32_t chunk_bytes);
WH_MUST_CHECK whist_status wh_manifest_copy(wh_manifest *out, const wh_manifest *manifest);
void wh_manifest_clear(wh_manifest *manifest);
WH_AUTO_CLEAR(wh_manifest, wh_manifest_clear)

/* Length of chunk i < n_chunks. */
size_t wh_manifest_chunk_len(const wh_manifest *manifest, size_t i);
/* The name of the whole object. WHIST_E_ARG for WH_MANIFEST_EMPTY, which describes none. */
WH_MUST_CHECK whist_status wh_manifest_digest(wh_digest *out, const wh_manifest *manifest);
/* WHIST_E_FORMAT where there is no chunk i, or it has the wrong length or digest. */
WH_MUST_CHECK whist_status wh_manifest_check(const wh_manifest *manifest, size_t i, whist_bytes chunk);
/* Hashes bytes in memory, or the first `bytes` of a file (WHIST_E_FORMAT where it is shorter). */
WH_MUST_CHECK whist_status wh_manifest_of_bytes(wh_manifest *out, whist_bytes bytes, uint32_t chunk_bytes);
WH_MUST_CHECK whist_status wh_manifest_of_file(wh_manifest *out, int fd, uint64_t bytes, uint32_t chunk_bytes);
/* Canonical bytes, for the database, the wire and signatures: an object has one encoding. decode takes no
 * more memory than its input (WHIST_E_FORMAT). */
WH_MUST_CHECK whist_status wh_manifest_encode(wh_buf *out, const wh_manifest *manifest);
WH_MUST_CHECK whist_status wh_manifest_decode(wh_manifest *out, whist_bytes bytes);

#endif
