/* Fuzz target: codec/safetensors.h. The tensors of an accepted file cover its data exactly once. */
#include "codec/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    if (wh_safetensors_read(&file, (whist_bytes){data, size}, size, "fuzz") != WHIST_OK) return 0;
    uint64_t at = file.data_offset;
    for (size_t i = 0; i < file.n_tensors; i++) {
        if (file.tensors[i].offset != at || wh_safetensors_find(&file, file.tensors[i].name) != &file.tensors[i])
            __builtin_trap();
        at += file.tensors[i].size;
    }
    if (at != size) __builtin_trap();
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    if (wh_safetensors_header(&out, file.tensors, file.n_tensors, file.meta, file.n_meta) != WHIST_OK) __builtin_trap();
    return 0;
}
