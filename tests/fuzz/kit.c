/* tests/fuzz/kit.c: start-up kits: whatever is read lies inside the bytes that were given. */
#include "cli/kit.h"

#include <stdlib.h>

static void inside(whist_bytes part, whist_bytes all)
{
    if (part.data < all.data || part.len > all.len || part.data + part.len > all.data + all.len) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const whist_bytes all = {data, size};
    cli_kit kit;
    if (cli_kit_read(&kit, all)) return 0;
    inside(kit.study, all);
    inside(kit.ca, all);
    inside(kit.crl, all);
    inside(kit.signed_part, all);
    if (kit.study.data + kit.study.len != kit.ca.data || kit.ca.data + kit.ca.len != kit.crl.data) abort();
    return 0;
}
