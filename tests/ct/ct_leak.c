/* ct_leak NAME: what must be reported, so that silence of the other programs means something.
 *
 *   compare   ends at the first difference: a branch that depends on a secret
 *   table     an address that depends on a secret
 *   verdict   branches on a mask of crypt/ct.h that nobody declared public
 *   none      the same work done right, which must not be reported
 *   marks     nothing; ends with 0 if this build marks secrets at all
 *
 * leaks.sh runs each and reads what is said. */
#include "crypt/ct.h"

#include <stdio.h>
#include <string.h>

#if defined(WH_CT_VALGRIND) || defined(WH_CT_MSAN)
enum { MARKS = 1 };
#else
enum { MARKS = 0 };
#endif

enum { SIZE = 32 };

static uint8_t secret[SIZE], guess[SIZE];
static volatile unsigned sink;

__attribute__((noinline)) static bool leak_compare(const uint8_t *a, const uint8_t *b)
{
    for (size_t i = 0; i < SIZE; i++)
        if (a[i] != b[i]) return false;
    return true;
}

__attribute__((noinline)) static unsigned leak_table(const uint8_t *a)
{
    static const uint8_t table[256] = {1, 2, 3};
    unsigned sum = 0;
    for (size_t i = 0; i < SIZE; i++) sum += table[a[i]];
    return sum;
}

__attribute__((noinline)) static unsigned leak_verdict(const uint8_t *a, const uint8_t *b)
{
    if (wh_ct_eq(a[0], b[0])) sink = 1;
    return sink;
}

static unsigned none(const uint8_t *a, const uint8_t *b)
{
    uint8_t out[SIZE];
    wh_ct_select_bytes(out, wh_ct_lt(a[0], 5), a, b, SIZE);
    unsigned equal = wh_ct_equal(a, b, SIZE);
    /* The program's own made-up secret, on its way to the end. */
    WH_DECLASSIFY(out, SIZE);
    return equal + out[0];
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "marks") == 0) return MARKS ? 0 : 1;
    WH_CLASSIFY(secret, SIZE);
    unsigned result;
    if (strcmp(what, "compare") == 0)
        result = leak_compare(secret, guess);
    else if (strcmp(what, "table") == 0)
        result = leak_table(secret);
    else if (strcmp(what, "verdict") == 0)
        result = leak_verdict(secret, guess);
    else if (strcmp(what, "none") == 0)
        result = none(secret, guess);
    else
        return fprintf(stderr, "usage: ct_leak compare|table|verdict|none|marks\n"), 2;
    /* What the leak told is out by now; volatile keeps it from being left out. */
    WH_DECLASSIFY(&result, sizeof result);
    sink = result;
    return 0;
}
