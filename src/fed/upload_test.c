/* fed/upload_test.c: update → weight → fixed point → sum → real numbers again, for every width; and what cannot
 * be a number never leaves. */
#include "test.h"

#include "fed/protection.h"
#include "fed/upload.h"
#include "fed/world.h"

#include <math.h>
#include <string.h>

enum { SITES = 3, FEATURES = WH_BLOCK + 100, P = FEATURES + 1 };

typedef struct bench {
    world_plan plan;
    wh_layout layout;
    whist_protection *machine;
    float *x[2];
    uint8_t *sum, *one; /* layout.bytes */
} bench;

static void bench_init(bench *b, unsigned bits, unsigned fraction, const char *strategy)
{
    *b = (bench){0};
    assert_ok(world_plan_init(&b->plan, SITES, FEATURES));
    assert_ok(world_plan_strategy(&b->plan, strategy));
    b->plan.plan.bits = bits;
    b->plan.plan.fraction = fraction;
    assert_ok(wh_layout_vectors(&b->layout, &b->plan.plan, WHIST_PURPOSE_TRAIN, SITES));
    const whist_protection_env env = {0};
    assert_ok(wh_protection_none.new_(&b->machine, &env));
    assert_ok(wh_layout_place(&b->layout, b->machine));
    assert_ok(WH_NEW(&b->x[0], P));
    assert_ok(WH_NEW(&b->x[1], P));
    assert_ok(WH_NEW(&b->sum, b->layout.bytes));
    assert_ok(WH_NEW(&b->one, b->layout.bytes));
}

static void bench_clear(bench *b)
{
    wh_free(b->x[0]);
    wh_free(b->x[1]);
    wh_free(b->sum);
    wh_free(b->one);
    wh_protection_free(b->machine);
    world_plan_clear(&b->plan);
}

typedef struct taker {
    bench *b;
    uint64_t next; /* pieces come in order, without a gap */
} taker;

static whist_status take(void *user, uint64_t offset, whist_bytes bytes)
{
    taker *t = user;
    assert_int_equal(offset, t->next);
    assert_true(offset + bytes.len <= t->b->layout.bytes);
    memcpy(t->b->one + offset, bytes.data, bytes.len);
    t->next += bytes.len;
    return WHIST_OK;
}

static whist_status make(bench *b, double rows, double steps)
{
    wh_contribution c = {.update = {.n_vectors = 2, .vectors = {b->x[0], b->x[1]}, .rows = rows, .steps = steps}};
    taker t = {b, 0};
    WH_TRY(wh_contribution_weigh(&c, &b->plan.plan, 0));
    WH_TRY(wh_upload_make(&b->plan.plan, b->machine, &b->layout, SITES, &c, take, &t));
    assert_int_equal(t.next, b->layout.bytes);
    return WHIST_OK;
}

static void add(bench *b)
{
    for (size_t k = 0; k < b->layout.n_vectors; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(&b->layout, k); j++) {
            uint64_t at = wh_layout_block_start(&b->layout, k, j);
            assert_ok(wh_combine(b->machine, &b->layout, k, j * WH_BLOCK, b->sum + at, b->one + at,
                                 wh_layout_block_length(&b->layout, k, j)));
        }
}

static double value(size_t site, size_t vector, size_t i)
{
    return (double)(float)(sin((double)(site * 977 + vector * 31 + i)) * (i % 2 ? 1 : 0.01));
}

/* The sum over sites of weight * x, to within half a unit for each site. */
static void check_round_trip(unsigned bits, unsigned fraction)
{
    bench b;
    bench_init(&b, bits, fraction, "scaffold");
    for (size_t site = 0; site < SITES; site++) {
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < P; i++) b.x[k][i] = (float)value(site, k, i);
        assert_ok(make(&b, 10.0 + (double)site, 2));
        add(&b);
    }
    double *back;
    assert_ok(WH_NEW(&back, WH_BLOCK));
    for (size_t k = 0; k < 2; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(&b.layout, k); j++) {
            size_t n = wh_layout_block_length(&b.layout, k, j);
            wh_fixed_decode(back, &b.layout.fixed[k], b.sum + wh_layout_block_start(&b.layout, k, j), n);
            for (size_t i = 0; i < n; i++) {
                double want = 0;
                for (size_t site = 0; site < SITES; site++) want += value(site, k, j * WH_BLOCK + i);
                assert_true(fabs(back[i] - want) <= SITES * 0.5001 * ldexp(1, -(int)fraction) + 1e-15);
            }
        }
    double sums[WH_MAX_SUMS];
    wh_sums all;
    wh_sums_decode(sums, b.sum + b.layout.start[2], wh_sums_count(&b.plan.plan, WHIST_PURPOSE_TRAIN));
    wh_sums_unpack(&all, sums, &b.plan.plan);
    assert_true(all.rows == 33 && all.rows_steps == 66 && all.weight[0] == SITES && all.weight[1] == SITES);
    wh_free(back);
    bench_clear(&b);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned bits = 8; bits <= 64; bits += bits < 12 ? 1 : 4) check_round_trip(bits, bits - 5);
    check_round_trip(63, 40);
}

static void test_weights(void **state)
{
    (void)state;
    static const struct {
        const char *strategy;
        double want;
    } cases[] = {{"fedavg", 12}, {"fedavg-uniform", 1}, {"fednova", 3}};
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        bench b;
        bench_init(&b, 64, 30, cases[i].strategy);
        for (size_t j = 0; j < P; j++) b.x[0][j] = 0.5F;
        assert_ok(make(&b, 12, 4));
        double first;
        wh_fixed_decode(&first, &b.layout.fixed[0], b.one, 1);
        assert_true(first == 0.5 * cases[i].want);
        bench_clear(&b);
    }
}

static void assert_refused(bench *b, const char *word, const char *block)
{
    assert_int_equal(make(b, 1, 1), WHIST_E_RANGE);
    if (!strstr(whist_detail_get()->text, word) || !strstr(whist_detail_get()->text, block))
        fail_msg("'%s' names neither %s nor %s", whist_detail_get()->text, word, block);
}

static void test_what_is_no_number_stays(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, 32, 16, "scaffold");
    assert_ok(make(&b, 1, 1));
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, 0x1p15F};
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        b.x[0][3] = bad[i];
        assert_refused(&b, "delta", "block 0");
        b.x[0][3] = 0;
        b.x[1][P - 1] = bad[i];
        assert_refused(&b, "control", "block 1");
        b.x[1][P - 1] = 0;
    }
    b.x[0][0] = (float)floor(wh_fixed_largest(&b.layout.fixed[0])); /* as much as one site may say */
    assert_ok(make(&b, 1, 1));
    bench_clear(&b);
}

static void test_nonsense_about_rows_is_refused(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, 64, 30, "fedavg");
    static const double bad[][2] = {{-1, 1}, {NAN, 1}, {INFINITY, 1}, {1, 0}, {1, -2}, {1, NAN}, {1, INFINITY}};
    for (size_t i = 0; i < WH_COUNT(bad); i++) assert_int_equal(make(&b, bad[i][0], bad[i][1]), WHIST_E_RANGE);
    assert_ok(make(&b, 0, 1)); /* a site without rows counts nothing */
    bench_clear(&b);
}

/* A sink that fails ends the upload with its own failure. */
static whist_status full(void *user, uint64_t offset, whist_bytes bytes)
{
    (void)user;
    (void)bytes;
    return offset ? wh_fail(WHIST_E_IO, __FILE__, __LINE__, "the disk is full") : WHIST_OK;
}

static void test_a_failing_sink(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, 64, 30, "fedavg");
    wh_contribution c = {.update = {.n_vectors = 1, .vectors = {b.x[0]}, .rows = 1, .steps = 1}};
    assert_ok(wh_contribution_weigh(&c, &b.plan.plan, 0));
    assert_int_equal(wh_upload_make(&b.plan.plan, b.machine, &b.layout, SITES, &c, full, NULL), WHIST_E_IO);
    bench_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_what_is_no_number_stays),
        cmocka_unit_test(test_nonsense_about_rows_is_refused),
        cmocka_unit_test(test_a_failing_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
