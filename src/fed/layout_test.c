/* fed/layout_test.c: places in an upload cover it without gap or overlap, and sums survive their coding. */
#include "test.h"

#include "fed/layout.h"
#include "fed/protection.h"
#include "fed/world.h"

#include <math.h>
#include <string.h>

static whist_status machine_for(whist_protection **out, const whist_protection_class *class_, const wh_layout *layout)
{
    const whist_protection_env env = {.n_vectors = layout->n_vectors, .vectors = layout->vectors};
    return class_->new_(out, &env);
}

/* Blocks of all vectors, in order, follow one another to the end. */
static void assert_tiled(const wh_layout *layout, const whist_protection *machine)
{
    uint64_t at = 0;
    for (size_t k = 0; k < layout->n_vectors; k++) {
        uint64_t elements = 0;
        for (uint64_t j = 0; j < wh_layout_blocks(layout, k); j++) {
            assert_int_equal(wh_layout_block_start(layout, k, j), at);
            size_t n = wh_layout_block_length(layout, k, j);
            assert_true(n > 0 && n <= WH_BLOCK);
            elements += n;
            at += wh_protected_size(machine, layout, k, n);
        }
        assert_int_equal(elements, layout->vectors[k].length);
    }
    assert_int_equal(at, layout->bytes);
}

static void check_size(size_t features, unsigned bits, const char *strategy, size_t n_vectors)
{
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, features));
    assert_ok(world_plan_strategy(&plan, strategy));
    plan.plan.bits = bits;
    plan.plan.fraction = bits / 2 - 1;
    wh_layout layout;
    assert_ok(wh_layout_vectors(&layout, &plan.plan, WHIST_PURPOSE_TRAIN, 3));
    assert_int_equal(layout.n_vectors, n_vectors + 1);
    whist_protection *machine;
    assert_ok(machine_for(&machine, &wh_protection_none, &layout));
    assert_ok(wh_layout_place(&layout, machine));
    assert_tiled(&layout, machine);
    uint64_t elements = n_vectors * (features + 1), width = (bits + 7) / 8;
    assert_int_equal(layout.bytes, elements * width + 8 * wh_sums_count(&plan.plan, WHIST_PURPOSE_TRAIN));
    wh_protection_free(machine);
    world_plan_clear(&plan);
}

static void test_places(void **state)
{
    (void)state;
    static const size_t features[] = {1, 100, WH_BLOCK - 2, WH_BLOCK - 1, WH_BLOCK, 3 * WH_BLOCK + 5};
    static const unsigned bits[] = {8, 9, 16, 20, 24, 32, 33, 48, 63, 64};
    for (size_t f = 0; f < WH_COUNT(features); f++)
        for (size_t b = 0; b < WH_COUNT(bits); b++) {
            check_size(features[f], bits[b], "fedavg", 1);
            check_size(features[f], bits[b], "scaffold", 2);
        }
}

static void test_purposes(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, 40));
    wh_layout layout;
    assert_ok(wh_layout_vectors(&layout, &plan.plan, WHIST_PURPOSE_MOMENTS, 3));
    assert_int_equal(layout.n_vectors, 1);
    assert_int_equal(layout.vectors[0].length, 2 * (2 * 40 + 1));
    assert_int_equal(layout.vectors[0].bits, 64);
    assert_ok(wh_layout_vectors(&layout, &plan.plan, WHIST_PURPOSE_EVALUATE, 3));
    assert_int_equal(layout.n_vectors, 1);
    assert_int_equal(layout.vectors[0].length, 2 + WHIST_MAX_VECTORS + 6);
    /* So many sites that nothing but 0 is left to each. */
    plan.plan.bits = 8;
    plan.plan.fraction = 4;
    assert_int_equal(wh_layout_vectors(&layout, &plan.plan, WHIST_PURPOSE_TRAIN, 1000), WHIST_E_RANGE);
    world_plan_clear(&plan);
}

/* ---- A protection whose blocks are too large for 64-bit places ---- */

static size_t huge(const whist_protection *self, size_t k, size_t n)
{
    (void)self;
    (void)k;
    return n == WH_BLOCK ? SIZE_MAX / 2 : n;
}

static void test_overflow_is_refused(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, 4 * WH_BLOCK));
    whist_protection_class class_ = wh_protection_none;
    class_.size = huge;
    whist_protection machine = {&class_};
    wh_layout layout;
    assert_ok(wh_layout_vectors(&layout, &plan.plan, WHIST_PURPOSE_TRAIN, 3));
    assert_int_equal(wh_layout_place(&layout, &machine), WHIST_E_RANGE);
    world_plan_clear(&plan);
}

/* ---- Sums ---- */

static void test_sums_pack(void **state)
{
    (void)state;
    world_plan plan;
    assert_ok(world_plan_init(&plan, 3, 4));
    static const char *const names[WHIST_MAX_METRICS] = {"a", "b", "c"};
    plan.plan.metrics = names;
    plan.plan.n_metrics = 3;
    wh_sums in = {.rows = 7, .rows_steps = 21, .weight = {1, 2, 3, 4}}, out;
    for (int f = 0; f < 2; f++)
        for (int m = 0; m < 3; m++) in.metrics[f][m] = (whist_metric_value){1 + f, 2 + m, 3 + f + 10 * m};
    double values[WH_MAX_SUMS];
    wh_sums_pack(values, &in, &plan.plan);
    wh_sums_unpack(&out, values, &plan.plan);
    assert_memory_equal(&in, &out, sizeof in);
    assert_int_equal(wh_sums_count(&plan.plan, WHIST_PURPOSE_TRAIN), 2 + WHIST_MAX_VECTORS + 2 * 3 * 3);
    world_plan_clear(&plan);
}

static void test_sums_coding(void **state)
{
    (void)state;
    const double values[] = {0, 1, -1, 0.5, 1e6, -123456.789, 0x1p-20, -0x1p-20, 0x1p41 - 1};
    uint8_t elements[8 * WH_COUNT(values)];
    double back[WH_COUNT(values)];
    assert_ok(wh_sums_encode(elements, values, WH_COUNT(values), 3));
    wh_sums_decode(back, elements, WH_COUNT(values));
    for (size_t i = 0; i < WH_COUNT(values); i++) assert_true(fabs(back[i] - values[i]) <= 0x1p-21);

    const double bad[] = {NAN, INFINITY, -INFINITY, 0x1p43 / 3, -0x1p43 / 3, 1e300};
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        const double two[] = {1, bad[i]};
        assert_int_equal(wh_sums_encode(elements, two, 2, 3), WHIST_E_RANGE);
        assert_non_null(strstr(whist_detail_get()->text, "sum 1 "));
    }
    /* The largest that 3 sites may each send really adds up. */
    const double largest = floor(0x1p63 / 3 - 1e4) / 0x1p20;
    assert_ok(wh_sums_encode(elements, &largest, 1, 3));
    int64_t v, sum;
    memcpy(&v, elements, 8);
    assert_false(__builtin_mul_overflow(v, 3, &sum));
}

/* Sums of 3 sites' moments: 2^-60 of each is kept, whatever its size. */
static void test_moments_coding(void **state)
{
    (void)state;
    const double values[] = {0, 85, 1e-13, -3.3e-9, 0.1, 123456.789012345678, -0x1p40, 0x1.fffffffffffffp-1};
    enum { N = WH_COUNT(values) };
    double parts[2 * N], total[2 * N] = {0}, back[N];
    uint8_t elements[8 * 2 * N];
    wh_moments_split(parts, values, N);
    assert_ok(wh_sums_encode(elements, parts, 2 * N, 3));
    wh_sums_decode(parts, elements, 2 * N);
    for (int site = 0; site < 3; site++)
        for (size_t i = 0; i < 2 * N; i++) total[i] += parts[i];
    wh_moments_join(back, total, N);
    for (size_t i = 0; i < N; i++)
        assert_true(fabs(back[i] - 3 * values[i]) <= 3 * 0x1p-61 + 4 * 0x1p-53 * fabs(values[i]));
    const double bad[] = {NAN, INFINITY, 1e300};
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        wh_moments_split(parts, &bad[i], 1);
        assert_int_equal(wh_sums_encode(elements, parts, 2, 3), WHIST_E_RANGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_purposes),
        cmocka_unit_test(test_overflow_is_refused),
        cmocka_unit_test(test_sums_pack),
        cmocka_unit_test(test_sums_coding),
        cmocka_unit_test(test_moments_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
