/* Masks go through wh_fixed_add: no kernel may branch on what it adds, at any width.
 *
 * What a site encodes is data whose range is checked in the open; what is added to it is a secret. */
#include "base/cpu.h"
#include "crypt/ct.h"
#include "test.h"
#include "zq/fixed.h"

#include <string.h>

/* Odd, so that each kernel's last few elements are among them. */
enum { COUNT = 77, WIDTH_MAX = 8 };

static const unsigned widths[] = {8, 20, 32, 53, 64};

/* mask and its complement to 2^b, element by element: they sum to 0. */
static void make_masks(uint8_t *mask, uint8_t *undo, const wh_fixed *fixed)
{
    uint64_t word = 0x9e3779b97f4a7c15, ring = UINT64_MAX >> (64 - fixed->bits);
    for (size_t i = 0; i < COUNT; i++) {
        word = word * 6364136223846793005 + 1442695040888963407;
        uint64_t pair[2] = {word & ring, (0 - word) & ring};
        memcpy(mask + i * fixed->width, &pair[0], fixed->width);
        memcpy(undo + i * fixed->width, &pair[1], fixed->width);
    }
}

static void check_width(unsigned bits)
{
    wh_fixed fixed;
    assert_ok(wh_fixed_init(&fixed, bits, bits / 2, 2));
    size_t size = COUNT * fixed.width;
    uint8_t clear[COUNT * WIDTH_MAX], masked[COUNT * WIDTH_MAX], mask[COUNT * WIDTH_MAX], undo[COUNT * WIDTH_MAX];
    float x[COUNT];
    for (size_t i = 0; i < COUNT; i++) x[i] = (float)((double)i / COUNT - 0.5);
    assert_ok(wh_fixed_encode(clear, &fixed, x, COUNT, 1.0));
    memcpy(masked, clear, size);
    make_masks(mask, undo, &fixed);
    WH_CLASSIFY(mask, size);
    WH_CLASSIFY(undo, size);
    wh_fixed_add(masked, &fixed, mask, COUNT);
    wh_fixed_add(masked, &fixed, undo, COUNT);
    /* The masks have cancelled: the sum is what the federation publishes. */
    WH_DECLASSIFY(masked, size);
    assert_memory_equal(masked, clear, size);
}

/* WHIST_CPU only lowers: valgrind 3.19 shows no AVX-512, under MemorySanitizer the machine's is there. */
static void check_level(wh_cpu_level level)
{
    if (level > wh_cpu_machine()) {
        print_message("# no %s here: not checked\n", wh_cpu_name(level));
        skip();
    }
    setenv("WHIST_CPU", wh_cpu_name(level), 1);
    assert_int_equal(wh_cpu_get(), level);
    for (size_t i = 0; i < WH_COUNT(widths); i++) check_width(widths[i]);
}

static void test_add_generic(void **state)
{
    (void)state;
    check_level(WH_CPU_GENERIC);
}

static void test_add_avx2(void **state)
{
    (void)state;
    check_level(WH_CPU_AVX2);
}

static void test_add_avx512(void **state)
{
    (void)state;
    check_level(WH_CPU_AVX512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_generic),
        cmocka_unit_test(test_add_avx2),
        cmocka_unit_test(test_add_avx512),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
