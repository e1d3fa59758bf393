/* Tests of zq/fixed: known words, limits, sums without wrap, and every kernel set against the generic one. */
#include "zq/fixed.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "test.h"
#include "zq/kern/fixed.h"

static uint64_t state_;
static uint64_t next(void) /* splitmix64 */
{
    uint64_t z = (state_ += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static float uniform(float largest)
{
    return ((float)(int64_t)(next() >> 40) / 0x1p23f - 1.0f) * largest;
}

static void test_known_words(void **state)
{
    (void)state;
    wh_fixed fixed;
    assert_ok(wh_fixed_init(&fixed, 32, 1, 1));
    /* halves of a unit round to even: .25 -> .5 units -> 0, .75 -> 1.5 -> 2, -1.25 -> -2.5 -> -2 */
    const float x[] = {0.25f, 0.75f, -1.25f, 1.0f, -0.5f};
    const uint8_t words[] = {0, 0, 0, 0, 2, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    uint8_t out[sizeof words];
    assert_ok(wh_fixed_encode(out, &fixed, x, 5, 1));
    assert_memory_equal(out, words, sizeof words);

    assert_ok(wh_fixed_init(&fixed, 20, 0, 1));
    assert_int_equal(fixed.width, 3);
    const float y[] = {-1, 524287};
    const uint8_t packed[] = {0xff, 0xff, 0x0f, 0xff, 0xff, 0x07};
    assert_ok(wh_fixed_encode(out, &fixed, y, 2, 1));
    assert_memory_equal(out, packed, sizeof packed);
    assert_ok(wh_fixed_check(&fixed, packed, 2));
    out[2] |= 0x10; /* a bit above b */
    assert_int_equal(wh_fixed_check(&fixed, out, 2), WHIST_E_RANGE);
}

static void test_bad_shapes_are_refused(void **state)
{
    (void)state;
    wh_fixed fixed;
    assert_int_equal(wh_fixed_init(&fixed, 7, 0, 1), WHIST_E_RANGE);
    assert_int_equal(wh_fixed_init(&fixed, 65, 0, 1), WHIST_E_RANGE);
    assert_int_equal(wh_fixed_init(&fixed, 32, 31, 1), WHIST_E_RANGE);
    assert_int_equal(wh_fixed_init(&fixed, 32, 30, 0), WHIST_E_RANGE);
    assert_int_equal(wh_fixed_init(&fixed, 8, 0, 128), WHIST_E_RANGE);
    assert_ok(wh_fixed_init(&fixed, 8, 6, 127));
    assert_true(fixed.limit == 1);
    assert_ok(wh_fixed_init(&fixed, 64, 62, 1));
    assert_true(fixed.limit == 0x1p63 - 1024); /* largest double below 2^63 */
}

/* Every width: values at the limit pass, one unit beyond, NaN and infinity do not, wherever they stand. */
static void test_limits_hold_at_every_place(void **state)
{
    (void)state;
    enum { N = 67 };
    float x[N];
    uint8_t out[8 * N];
    for (unsigned bits = 8; bits <= 64; bits++) {
        wh_fixed fixed;
        assert_ok(wh_fixed_init(&fixed, bits, 0, 3));
        float edge = (float)fixed.limit;
        while ((double)edge > fixed.limit) edge = nextafterf(edge, 0);
        float beyond = edge + 1 > edge ? edge + 1 : nextafterf(edge, INFINITY);
        for (size_t i = 0; i < N; i++) x[i] = i % 2 ? edge : -edge;
        assert_ok(wh_fixed_encode(out, &fixed, x, N, 1));
        assert_ok(wh_fixed_check(&fixed, out, N));
        const float bad[] = {beyond, -beyond, NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < N; i++) {
            float kept = x[i];
            for (size_t k = 0; k < WH_COUNT(bad); k++) {
                x[i] = bad[k];
                assert_int_equal(wh_fixed_encode(out, &fixed, x, N, 1), WHIST_E_RANGE);
                char place[32];
                snprintf(place, sizeof place, "element %zu ", i);
                assert_non_null(strstr(whist_detail_get()->text, place));
            }
            x[i] = kept;
        }
    }
    wh_fixed fixed;
    assert_ok(wh_fixed_init(&fixed, 32, 8, 3));
    assert_int_equal(wh_fixed_encode(out, &fixed, x, 1, -1), WHIST_E_RANGE);
    assert_int_equal(wh_fixed_encode(out, &fixed, x, 1, NAN), WHIST_E_RANGE);
    assert_int_equal(wh_fixed_encode(out, &fixed, x, 1, INFINITY), WHIST_E_RANGE);
}

static void test_check_sees_each_element(void **state)
{
    (void)state;
    enum { N = 37 };
    for (unsigned bits = 9; bits <= 64; bits++) {
        wh_fixed fixed;
        assert_ok(wh_fixed_init(&fixed, bits, 0, 2));
        uint8_t words[8 * N] = {0};
        assert_ok(wh_fixed_check(&fixed, words, N));
        for (size_t i = 0; i < N; i++) {
            int64_t v = (int64_t)fixed.limit + 1;
            for (int sign = 0; sign < 2; sign++, v = -v) {
                for (unsigned k = 0; k < fixed.width; k++)
                    words[i * fixed.width + k] = (uint8_t)(((uint64_t)v & (UINT64_MAX >> (64 - bits))) >> (8 * k));
                assert_int_equal(wh_fixed_check(&fixed, words, N), WHIST_E_RANGE);
            }
            memset(words, 0, sizeof words);
        }
    }
}

/* decode(Σ encode) is the sum of the rounded values, with sites at the limit, in every width. */
static void test_sums_come_out_right(void **state)
{
    (void)state;
    enum { N = 61, SITES = 5 };
    state_ = 1;
    for (unsigned bits = 8; bits <= 64; bits++) {
        wh_fixed fixed;
        unsigned fraction = (unsigned)(next() % (bits / 2));
        assert_ok(wh_fixed_init(&fixed, bits, fraction, SITES));
        uint8_t sum[8 * N] = {0}, words[8 * N];
        double want[N] = {0}, got[N];
        for (int site = 0; site < SITES; site++) {
            float x[N];
            for (size_t i = 0; i < N; i++) x[i] = uniform((float)(wh_fixed_largest(&fixed) * 0.5));
            x[site] = (float)(wh_fixed_largest(&fixed) * 0.7999);
            assert_ok(wh_fixed_encode(words, &fixed, x, N, 1.25));
            wh_fixed_add(sum, &fixed, words, N);
            for (size_t i = 0; i < N; i++)
                want[i] += ldexp(rint((double)x[i] * ldexp(1.25, (int)fraction)), -(int)fraction);
        }
        wh_fixed_decode(got, &fixed, sum, N);
        for (size_t i = 0; i < N; i++) assert_true(fabs(got[i] - want[i]) <= fabs(want[i]) * 1e-15);
    }
}

static void compare_kernels(const wh_fixed_kernels *kernels, size_t n, double limit)
{
    const wh_fixed_kernels *generic = &wh_fixed_kernels_generic;
    float x[200];
    uint8_t a[1601], b[1601], c[1601];
    double da[200], db[200];
    double scale = 0x1p20;
    for (size_t i = 0; i < n; i++) x[i] = uniform((float)(limit / scale * 1.0001)); /* some lie beyond */
    for (size_t i = 0; i < sizeof c; i++) c[i] = (uint8_t)next();
    bool good = generic->encode32(a + 1, x, n, scale, fmin(limit, 0x1p31 - 1));
    assert_int_equal(kernels->encode32(b + 1, x, n, scale, fmin(limit, 0x1p31 - 1)), good);
    if (good) assert_memory_equal(a + 1, b + 1, 4 * n);
    good = generic->encode64(a + 1, x, n, scale, limit);
    assert_int_equal(kernels->encode64(b + 1, x, n, scale, limit), good);
    if (good) assert_memory_equal(a + 1, b + 1, 8 * n);
    memcpy(a, c, sizeof a), memcpy(b, c, sizeof b);
    generic->add32(a + 1, c + 801, n), kernels->add32(b + 1, c + 801, n);
    assert_memory_equal(a, b, sizeof a);
    if (8 * n <= 800) {
        generic->add64(a + 1, c + 801, n), kernels->add64(b + 1, c + 801, n);
        assert_memory_equal(a, b, sizeof a);
    }
    generic->decode32(da, c + 3, n, 0x1p-9), kernels->decode32(db, c + 3, n, 0x1p-9);
    assert_memory_equal(da, db, n * sizeof da[0]);
    generic->decode64(da, c + 1, n, 0x1p-9), kernels->decode64(db, c + 1, n, 0x1p-9);
    assert_memory_equal(da, db, n * sizeof da[0]);
    for (int32_t bound = 0x7fffff; bound > 0x7fff; bound -= 0x155555) {
        assert_int_equal(generic->within32(c, n, bound), kernels->within32(c, n, bound));
        assert_int_equal(generic->within64(c, n, (int64_t)bound << 39), kernels->within64(c, n, (int64_t)bound << 39));
    }
}

/* Halves around a limit: 5.5 becomes 6 and 6.5 becomes 6, whichever way a set looks at the range. */
static void compare_ties(const wh_fixed_kernels *kernels)
{
    static const double limits[] = {4.5, 5, 5.99, 6, 6.25, 7};
    static const float values[] = {4.5f, 5.5f, 5.4999995f, 6.5f, 6.4999995f, 6.5000005f, 7.5f};
    uint8_t a[64], b[64];
    for (size_t l = 0; l < WH_COUNT(limits); l++)
        for (size_t v = 0; v < 2 * WH_COUNT(values); v++) {
            float x[16] = {0};
            x[v] = (v % 2 ? -1.0f : 1.0f) * values[v / 2];
            bool good = wh_fixed_kernels_generic.encode32(a, x, 16, 1, limits[l]);
            assert_int_equal(kernels->encode32(b, x, 16, 1, limits[l]), good);
            if (good) assert_memory_equal(a, b, sizeof a);
        }
}

static void test_kernel_sets_agree_to_the_bit(void **state)
{
    (void)state;
#if defined(__x86_64__)
    const wh_fixed_kernels *const tables[] = {&wh_fixed_kernels_generic, &wh_fixed_kernels_avx2,
                                              &wh_fixed_kernels_avx512};
    state_ = 2;
    for (int level = 1; level <= (int)wh_cpu_machine(); level++) {
        compare_ties(tables[level]);
        for (size_t n = 0; n <= 200; n = n < 70 ? n + 1 : n + 13) {
            compare_kernels(tables[level], n, 0x1p30);
            compare_kernels(tables[level], n, 0x1p55);
        }
    }
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_words),
        cmocka_unit_test(test_bad_shapes_are_refused),
        cmocka_unit_test(test_limits_hold_at_every_place),
        cmocka_unit_test(test_check_sees_each_element),
        cmocka_unit_test(test_sums_come_out_right),
        cmocka_unit_test(test_kernel_sets_agree_to_the_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
