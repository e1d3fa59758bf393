/* crypt/ct.h: code whose time and memory accesses do not depend on secrets.
 *
 * Masks are all ones or all zeros. wh_ct_hide keeps the compiler from seeing that a value is a mask
 * and turning the select back into a branch.
 *
 * WH_CLASSIFY marks bytes as secret and WH_DECLASSIFY as public again. Built with
 * -DWH_CT_VALGRIND (test builds are) and run under memcheck, or under MemorySanitizer, a branch or
 * an index that depends on classified bytes is reported; otherwise both are nothing. Each
 * WH_DECLASSIFY carries a sentence that says why the value may be known. */
#ifndef WH_CRYPT_CT_H
#define WH_CRYPT_CT_H

#include "base/status.h"

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define WH_CT_MSAN
#endif
#endif

#if defined(WH_CT_MSAN)
#include <sanitizer/msan_interface.h>
#define WH_CLASSIFY(ptr, len) __msan_allocated_memory((ptr), (len))
#define WH_DECLASSIFY(ptr, len) __msan_unpoison((ptr), (len))
#elif defined(WH_CT_VALGRIND)
#include <valgrind/memcheck.h>
#define WH_CLASSIFY(ptr, len) ((void)VALGRIND_MAKE_MEM_UNDEFINED((ptr), (len)))
#define WH_DECLASSIFY(ptr, len) ((void)VALGRIND_MAKE_MEM_DEFINED((ptr), (len)))
#else
#define WH_CLASSIFY(ptr, len) ((void)(ptr), (void)(len))
#define WH_DECLASSIFY(ptr, len) ((void)(ptr), (void)(len))
#endif

static inline uint64_t wh_ct_hide(uint64_t x)
{
#ifndef WH_CT_MSAN /* which cannot follow a mark through assembly and reports it there */
    __asm__("" : "+r"(x));
#endif
    return x;
}

/* All ones if x != 0, else 0. */
static inline uint64_t wh_ct_mask(uint64_t x)
{
    return wh_ct_hide(0 - ((x | (0 - x)) >> 63));
}
/* All ones if a == b, else 0. */
static inline uint64_t wh_ct_eq(uint64_t a, uint64_t b)
{
    return ~wh_ct_mask(a ^ b);
}
/* All ones if a < b, else 0. */
static inline uint64_t wh_ct_lt(uint64_t a, uint64_t b)
{
    return wh_ct_hide(0 - ((a ^ ((a ^ b) | ((a - b) ^ b))) >> 63));
}
/* mask ? a : b. */
static inline uint64_t wh_ct_select(uint64_t mask, uint64_t a, uint64_t b)
{
    return b ^ (mask & (a ^ b));
}

/* Whether len bytes are equal. The result is public, the place of the first difference is not. */
bool wh_ct_equal(const void *a, const void *b, size_t len);
/* out[i] = mask ? a[i] : b[i]; out may be a or b. */
void wh_ct_select_bytes(uint8_t *out, uint64_t mask, const uint8_t *a, const uint8_t *b, size_t len);

#endif
