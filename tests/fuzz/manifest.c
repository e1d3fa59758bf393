/* fuzz/manifest.c: bytes that claim to be a manifest. What decode takes, encode gives back to the bit. */
#include "fed/manifest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    if (wh_manifest_decode(&manifest, (whist_bytes){data, size}) != WHIST_OK) return 0;
    WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
    wh_digest name;
    uint64_t sum = 0;
    if (wh_manifest_encode(&encoded, &manifest) != WHIST_OK) return 0; /* out of memory */
    if (encoded.len != size || memcmp(encoded.data, data, size) != 0) __builtin_trap();
    if (wh_manifest_digest(&name, &manifest) != WHIST_OK) __builtin_trap();
    for (size_t i = 0; i < manifest.n_chunks; i++) sum += wh_manifest_chunk_len(&manifest, i);
    if (sum != manifest.bytes) __builtin_trap();
    return 0;
}
