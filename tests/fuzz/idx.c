/* Fuzz target: codec/idx.h, plain and compressed. What is read must be written to the same bytes. */
#include "codec/idx.h"
#include "codec/gzip.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WH_AUTO(wh_idx) idx = WH_IDX_EMPTY;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    whist_bytes file = {data, size};
    if (wh_idx_read(&idx, file, 1 << 20, "fuzz") != WHIST_OK) return 0;
    if (wh_idx_write(&out, &idx) != WHIST_OK) __builtin_trap();
    if (!wh_is_gzip(file) && (out.len != size || memcmp(out.data, data, size) != 0)) __builtin_trap();
    return 0;
}
