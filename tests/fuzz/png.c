/* Fuzz target: codec/png.h. */
#include "codec/png.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WH_AUTO(wh_png) png = WH_PNG_EMPTY;
    if (wh_png_read(&png, (whist_bytes){data, size}, "fuzz") != WHIST_OK) return 0;
    if (!png.pixels || !png.height || png.height > WH_PNG_MAX_SIDE || png.width > WH_PNG_MAX_SIDE) __builtin_trap();
    return 0;
}
