/* fed/manifest.c: chunk digests of a large object, and their canonical bytes.
 *
 *   "WHISTMF1"  8 bytes
 *   bytes       u64       little-endian
 *   chunk       u32
 *   digests     32 bytes each, ceil(bytes / chunk) of them: the count is not stored, it follows
 *
 * The name of the object is the SHA-256 of exactly these bytes, so equal names mean equal encodings. */
#include "fed/manifest.h"

#include "base/file.h"

#include <inttypes.h>
#include <string.h>

enum { HEAD = 20, DIGEST = 32 };
static const uint8_t tag[8] = {'W', 'H', 'I', 'S', 'T', 'M', 'F', '1'};

/* ceil(bytes / chunk) without overflow. */
static uint64_t count_chunks(uint64_t bytes, uint32_t chunk_bytes)
{
    return bytes / chunk_bytes + (bytes % chunk_bytes != 0);
}

whist_status wh_manifest_init(wh_manifest *out, uint64_t bytes, uint32_t chunk_bytes)
{
    if (chunk_bytes == 0 || chunk_bytes > WH_CHUNK_MAX)
        WH_FAIL(WHIST_E_RANGE, "chunks of %" PRIu32 " bytes: 1 to %d are allowed", chunk_bytes, WH_CHUNK_MAX);
    uint64_t n = count_chunks(bytes, chunk_bytes);
    if (n > WH_MANIFEST_MAX_CHUNKS)
        WH_FAIL(WHIST_E_RANGE, "an object of %" PRIu64 " bytes has more than %d chunks", bytes, WH_MANIFEST_MAX_CHUNKS);
    wh_digest *digests;
    WH_TRY(WH_NEW(&digests, (size_t)n));
    *out = (wh_manifest){bytes, chunk_bytes, (size_t)n, digests};
    return WHIST_OK;
}

void wh_manifest_clear(wh_manifest *manifest)
{
    wh_free(manifest->digests);
    *manifest = (wh_manifest)WH_MANIFEST_EMPTY;
}

whist_status wh_manifest_copy(wh_manifest *out, const wh_manifest *manifest)
{
    wh_digest *digests;
    WH_TRY(WH_NEW_RAW(&digests, manifest->n_chunks));
    if (manifest->n_chunks) memcpy(digests, manifest->digests, manifest->n_chunks * sizeof *digests);
    *out = *manifest;
    out->digests = digests;
    return WHIST_OK;
}

size_t wh_manifest_chunk_len(const wh_manifest *manifest, size_t i)
{
    if (i + 1 < manifest->n_chunks) return manifest->chunk_bytes;
    return (size_t)(manifest->bytes - (uint64_t)i * manifest->chunk_bytes);
}

static void encode_head(uint8_t out[HEAD], const wh_manifest *manifest)
{
    memcpy(out, tag, sizeof tag);
    for (int i = 0; i < 8; i++) out[8 + i] = (uint8_t)(manifest->bytes >> (8 * i));
    for (int i = 0; i < 4; i++) out[16 + i] = (uint8_t)(manifest->chunk_bytes >> (8 * i));
}

whist_status wh_manifest_digest(wh_digest *out, const wh_manifest *manifest)
{
    WH_ENSURE(manifest->chunk_bytes > 0, WHIST_E_ARG);
    uint8_t head[HEAD];
    encode_head(head, manifest);
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, head, sizeof head);
    for (size_t i = 0; i < manifest->n_chunks; i++) wh_sha256_update(&hash, manifest->digests[i].bytes, DIGEST);
    wh_sha256_final(out, &hash);
    return WHIST_OK;
}

whist_status wh_manifest_check(const wh_manifest *manifest, size_t i, whist_bytes chunk)
{
    if (i >= manifest->n_chunks) WH_FAIL(WHIST_E_FORMAT, "chunk %zu of an object of %zu", i, manifest->n_chunks);
    if (chunk.len != wh_manifest_chunk_len(manifest, i))
        WH_FAIL(WHIST_E_FORMAT, "chunk %zu has %zu bytes, its manifest says %zu", i, chunk.len,
                wh_manifest_chunk_len(manifest, i));
    wh_digest digest;
    wh_sha256_of(&digest, chunk.data, chunk.len);
    if (!wh_digest_equal(&digest, &manifest->digests[i]))
        WH_FAIL(WHIST_E_FORMAT, "chunk %zu is not what its manifest says", i);
    return WHIST_OK;
}

whist_status wh_manifest_of_bytes(wh_manifest *out, whist_bytes bytes, uint32_t chunk_bytes)
{
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    WH_TRY(wh_manifest_init(&manifest, bytes.len, chunk_bytes));
    for (size_t i = 0; i < manifest.n_chunks; i++)
        wh_sha256_of(&manifest.digests[i], bytes.data + i * chunk_bytes, wh_manifest_chunk_len(&manifest, i));
    *out = manifest;
    manifest = (wh_manifest)WH_MANIFEST_EMPTY;
    return WHIST_OK;
}

/* Reads in pieces that stay in the cache, however long the chunks are. */
static whist_status hash_chunk(wh_digest *out, int fd, uint64_t offset, size_t len)
{
    uint8_t piece[16384];
    wh_sha256 hash;
    wh_sha256_init(&hash);
    while (len > 0) {
        size_t now = len < sizeof piece ? len : sizeof piece;
        WH_TRY(wh_read_at(fd, piece, now, offset));
        wh_sha256_update(&hash, piece, now);
        offset += now;
        len -= now;
    }
    wh_sha256_final(out, &hash);
    return WHIST_OK;
}

whist_status wh_manifest_of_file(wh_manifest *out, int fd, uint64_t bytes, uint32_t chunk_bytes)
{
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    WH_TRY(wh_manifest_init(&manifest, bytes, chunk_bytes));
    for (size_t i = 0; i < manifest.n_chunks; i++)
        WH_TRY(hash_chunk(&manifest.digests[i], fd, (uint64_t)i * chunk_bytes, wh_manifest_chunk_len(&manifest, i)));
    *out = manifest;
    manifest = (wh_manifest)WH_MANIFEST_EMPTY;
    return WHIST_OK;
}

whist_status wh_manifest_encode(wh_buf *out, const wh_manifest *manifest)
{
    WH_ENSURE(manifest->chunk_bytes > 0, WHIST_E_ARG);
    uint8_t *at; /* one step, so that a failure leaves out as it was */
    WH_TRY(wh_buf_grow(out, &at, HEAD + DIGEST * manifest->n_chunks));
    encode_head(at, manifest);
    for (size_t i = 0; i < manifest->n_chunks; i++) memcpy(at + HEAD + DIGEST * i, manifest->digests[i].bytes, DIGEST);
    return WHIST_OK;
}

whist_status wh_manifest_decode(wh_manifest *out, whist_bytes bytes)
{
    wh_cursor cursor = wh_cursor_over(bytes);
    whist_bytes head, digests;
    uint64_t total;
    uint32_t chunk_bytes;
    WH_TRY(wh_take_bytes(&cursor, &head, sizeof tag));
    if (memcmp(head.data, tag, sizeof tag) != 0) WH_FAIL(WHIST_E_FORMAT, "not a manifest of this version");
    WH_TRY(wh_take_u64(&cursor, &total));
    WH_TRY(wh_take_u32(&cursor, &chunk_bytes));
    if (chunk_bytes == 0 || chunk_bytes > WH_CHUNK_MAX) WH_FAIL(WHIST_E_FORMAT, "a manifest with impossible chunks");
    uint64_t n = count_chunks(total, chunk_bytes);
    /* Memory is asked for only after the bytes themselves are seen to be there. */
    if (n > WH_MANIFEST_MAX_CHUNKS || wh_cursor_left(&cursor) != n * DIGEST)
        WH_FAIL(WHIST_E_FORMAT, "a manifest with the wrong number of digests");
    WH_TRY(wh_take_bytes(&cursor, &digests, (size_t)n * DIGEST));
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    WH_TRY(wh_manifest_init(&manifest, total, chunk_bytes));
    for (size_t i = 0; i < (size_t)n; i++) memcpy(manifest.digests[i].bytes, digests.data + i * DIGEST, DIGEST);
    *out = manifest;
    manifest = (wh_manifest)WH_MANIFEST_EMPTY;
    return WHIST_OK;
}
