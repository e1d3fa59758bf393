/* crypt/ct.c: the loops of crypt/ct.h. */
#include "crypt/ct.h"

bool wh_ct_equal(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    uint64_t difference = 0;
    for (size_t i = 0; i < len; i++) difference |= (uint64_t)(x[i] ^ y[i]);
    uint64_t mask = wh_ct_mask(difference);
    /* The caller asks for exactly this bit. */
    WH_DECLASSIFY(&mask, sizeof mask);
    return mask == 0;
}

void wh_ct_select_bytes(uint8_t *out, uint64_t mask, const uint8_t *a, const uint8_t *b, size_t len)
{
    uint8_t m = (uint8_t)wh_ct_hide(mask);
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t)(b[i] ^ (m & (a[i] ^ b[i])));
}
