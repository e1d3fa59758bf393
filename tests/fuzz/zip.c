/* Fuzz target: codec/zip.h. Every entry is read; an entry's name finds an entry. */
#include "codec/zip.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wh_zip zip;
    wh_zip_entry entry = {0};
    if (wh_zip_open(&zip, (whist_bytes){data, size}, "fuzz") != WHIST_OK) return 0;
    for (size_t at = 0, before = 1; at != before;) {
        WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
        before = at;
        if (wh_zip_next(&entry, &at, &zip) != WHIST_OK || at == before) break;
        if (wh_zip_read(&out, &zip, &entry, 1 << 16) == WHIST_OK && out.len != entry.size) __builtin_trap();
        char name[64];
        if (entry.len >= sizeof name || memchr(entry.name, 0, entry.len)) continue;
        memcpy(name, entry.name, entry.len);
        name[entry.len] = 0;
        if (wh_zip_find(&entry, &zip, name) != WHIST_OK) __builtin_trap();
    }
    return 0;
}
