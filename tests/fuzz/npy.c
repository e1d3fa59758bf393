/* Fuzz target: codec/npy.h. What is read must survive being written and read again. */
#include "codec/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wh_npy npy, again;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    if (wh_npy_read(&npy, (whist_bytes){data, size}, "fuzz") != WHIST_OK) return 0;
    if (wh_npy_write(&out, npy.type, npy.n_dims, npy.dims, npy.values.data) != WHIST_OK) __builtin_trap();
    if (wh_npy_read(&again, wh_buf_view(&out), "again") != WHIST_OK) __builtin_trap();
    if (again.n != npy.n || again.type != npy.type) __builtin_trap();
    return 0;
}
