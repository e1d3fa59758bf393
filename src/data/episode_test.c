/* data/episode_test.c: episodes are balanced, disjoint, repeatable and fair; turned images are turned. */
#include "data/episode.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "data/schemas_test.h"
#include "test.h"

WH_AUTO_FREE(whist_dataset, whist_dataset_free)

/* Asserts the failure and a piece of its text. */
#define assert_fails(call, code, part)                                                                                 \
    do {                                                                                                               \
        assert_int_equal((call), (code));                                                                              \
        if (!strstr(whist_detail_get()->text, (part))) fail_msg("%s: %s", #call, whist_detail_get()->text);            \
    } while (0)

enum { CLASSES = 7, EACH = 6, H = 2, W = 2, D = H * W };

/* Row r of class k is (k, r, 100 + k, r): label and place can be read off. */
static whist_rows make_rows(float *x, float *y)
{
    for (size_t i = 0; i < CLASSES * EACH; i++) {
        size_t k = i % CLASSES;
        y[i] = (float)(2 * k); /* odd labels have no rows */
        for (size_t j = 0; j < D; j++) x[i * D + j] = (float)(j == 0 ? k : j == 2 ? 100 + k : i / CLASSES);
    }
    return (whist_rows){.n = CLASSES * EACH, .d = D, .x = x, .y = y};
}

static void test_episode_is_balanced_and_disjoint(void **state)
{
    (void)state;
    float x[CLASSES * EACH * D], y[CLASSES * EACH];
    whist_rows rows = make_rows(x, y);
    const wh_episode_design design = {.ways = 5, .shots = 2, .queries = 4, .turns = 1};
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    WH_AUTO(wh_episode) e = {0};
    assert_ok(wh_episode_pool_new(&pool, &rows, &design));
    assert_int_equal(wh_episode_pool_classes(pool), CLASSES);
    assert_ok(wh_episode_init(&e, pool));
    for (uint64_t index = 0; index < 50; index++) {
        bool used[CLASSES * EACH] = {false}, shown[CLASSES] = {false};
        wh_episode_draw(&e, pool, 3, "meta-train", index);
        for (size_t i = 0; i < e.n_support + e.n_query; i++) {
            bool support = i < e.n_support;
            size_t at = support ? i : i - e.n_support;
            uint32_t row = support ? e.support_row[at] : e.query_row[at];
            float label = support ? e.support_y[at] : e.query_y[at];
            const float *got = (support ? e.support_x : e.query_x) + at * D;
            assert_false(used[row]);
            used[row] = true;
            assert_int_equal((size_t)label, at / (support ? design.shots : design.queries));
            assert_memory_equal(got, x + row * D, D * sizeof *x);
            if (support && at % design.shots == 0) {
                assert_false(shown[(size_t)got[0]]);
                shown[(size_t)got[0]] = true;
            }
            /* All rows of one label are of one class. */
            assert_true(got[0] == e.support_x[(size_t)label * design.shots * D]);
        }
    }
}

static void test_same_index_same_episode(void **state)
{
    (void)state;
    float x[CLASSES * EACH * D], y[CLASSES * EACH];
    whist_rows rows = make_rows(x, y);
    const wh_episode_design design = {.ways = 3, .shots = 1, .queries = 2, .turns = 1};
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    WH_AUTO(wh_episode) a = {0};
    WH_AUTO(wh_episode) b = {0};
    assert_ok(wh_episode_pool_new(&pool, &rows, &design));
    assert_ok(wh_episode_init(&a, pool));
    assert_ok(wh_episode_init(&b, pool));
    wh_episode_draw(&a, pool, 1, "meta-train", 41);
    wh_episode_draw(&b, pool, 1, "meta-train", 7);
    wh_episode_draw(&b, pool, 1, "meta-train", 41);
    assert_memory_equal(a.support_row, b.support_row, a.n_support * sizeof *a.support_row);
    assert_memory_equal(a.query_row, b.query_row, a.n_query * sizeof *a.query_row);
    size_t same = 0;
    for (uint64_t i = 0; i < 20; i++) {
        wh_episode_draw(&a, pool, 1, "meta-train", i);
        wh_episode_draw(&b, pool, 1, "meta-test", i);
        same += memcmp(a.query_row, b.query_row, a.n_query * sizeof *a.query_row) == 0;
    }
    assert_true(same <= 1);
}

/* Each class is drawn equally often: 4000 episodes of 3 of 7; sd of a count is sqrt(4000 · 3/7 · 4/7) = 31. Seven
 * counts beyond 6 sd: below 2e-8. */
static void test_classes_are_drawn_fairly(void **state)
{
    (void)state;
    float x[CLASSES * EACH * D], y[CLASSES * EACH];
    whist_rows rows = make_rows(x, y);
    const wh_episode_design design = {.ways = 3, .shots = 1, .queries = 0, .turns = 1};
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    WH_AUTO(wh_episode) e = {0};
    size_t count[CLASSES] = {0};
    assert_ok(wh_episode_pool_new(&pool, &rows, &design));
    assert_ok(wh_episode_init(&e, pool));
    for (uint64_t index = 0; index < 4000; index++) {
        wh_episode_draw(&e, pool, 11, "meta-train", index);
        for (size_t i = 0; i < e.n_support; i++) count[(size_t)e.support_x[i * D]]++;
    }
    for (size_t k = 0; k < CLASSES; k++) assert_true(fabs((double)count[k] - 4000.0 * 3 / 7) < 6 * 31.3);
}

static void test_images_turn(void **state)
{
    (void)state;
    /* One image a class:  0 1    its quarter turns:  1 3   3 2   2 0
     *                     2 3                        0 2   1 0   3 1 */
    static const float turned[4][4] = {{0, 1, 2, 3}, {1, 3, 0, 2}, {3, 2, 1, 0}, {2, 0, 3, 1}};
    const float x[8] = {0, 1, 2, 3, 0, 1, 2, 3}, y[2] = {0, 1};
    const whist_rows rows = {.n = 2, .d = 4, .x = x, .y = y};
    const wh_episode_design design = {.ways = 8, .shots = 1, .queries = 0, .turns = 4, .height = 2, .width = 2};
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    WH_AUTO(wh_episode) e = {0};
    assert_ok(wh_episode_pool_new(&pool, &rows, &design));
    assert_int_equal(wh_episode_pool_classes(pool), 8);
    assert_ok(wh_episode_init(&e, pool));
    wh_episode_draw(&e, pool, 0, "meta-train", 0);
    for (size_t t = 0; t < 4; t++) {
        size_t found = 0;
        for (size_t i = 0; i < 8; i++) found += memcmp(e.support_x + i * 4, turned[t], sizeof turned[t]) == 0;
        assert_int_equal(found, 2); /* of either class */
    }
}

static void test_refusals_name_both_numbers(void **state)
{
    (void)state;
    float x[CLASSES * EACH * D], y[CLASSES * EACH];
    whist_rows rows = make_rows(x, y);
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    wh_episode_design design = {.ways = 8, .shots = 1, .queries = 1, .turns = 1};
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_FORMAT,
                 "7 classes, and an episode asks for 8 ways");
    design = (wh_episode_design){.ways = 5, .shots = 5, .queries = 2, .turns = 1};
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_FORMAT, "6 examples, and an episode takes 7");
    design = (wh_episode_design){.ways = 1, .shots = 1, .queries = 1, .turns = 1};
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_ARG, "at least 2 ways");
    design = (wh_episode_design){.ways = 2, .shots = 1, .queries = 1, .turns = 4, .height = 1, .width = 4};
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_ARG, "180 degrees only");
    design = (wh_episode_design){.ways = 2, .shots = 1, .queries = 1, .turns = 3};
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_ARG, "1, 2 or 4");
    design.turns = 1;
    y[5] = 0.5f;
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_RANGE, "row 5 has a label that is no class");
    design = (wh_episode_design){.ways = SIZE_MAX / 2, .shots = 3, .queries = 1, .turns = 1};
    assert_fails(wh_episode_pool_new(&pool, &rows, &design), WHIST_E_RANGE, "too large");
}

static void test_an_owner_shows_all_classes_first(void **state)
{
    (void)state;
    enum { N = 40 };
    float x[N] = {0}, y[N];
    uint32_t order[N], again[N];
    for (size_t i = 0; i < N; i++) y[i] = i < 35 ? 0 : 1;
    const whist_rows rows = {.n = N, .d = 1, .x = x, .y = y};
    assert_ok(wh_episode_owner(order, &rows, 2, 6, 5, "va", 0));
    for (size_t i = 0; i < 6; i++) assert_true(y[order[i]] == (float)(i % 2));
    bool seen[N] = {false};
    for (size_t i = 0; i < N; i++) seen[order[i]] = true;
    for (size_t i = 0; i < N; i++) assert_true(seen[i]);
    assert_ok(wh_episode_owner(again, &rows, 2, 6, 5, "va", 0));
    assert_memory_equal(order, again, sizeof order);
    assert_ok(wh_episode_owner(again, &rows, 2, 6, 5, "va", 1));
    assert_memory_not_equal(order, again, sizeof order);
    /* More support rows than the rare class has. */
    assert_ok(wh_episode_owner(order, &rows, 2, 16, 5, "va", 0));
    size_t rare = 0;
    for (size_t i = 0; i < 16; i++) rare += y[order[i]] == 1;
    assert_int_equal(rare, 5);
    assert_fails(wh_episode_owner(order, &rows, 2, N, 5, "va", 0), WHIST_E_FORMAT, "none is left to test on");
}

static void test_sinusoids(void **state)
{
    (void)state;
    enum { N = 64 };
    float x[N], y[N], most = 0;
    for (uint64_t task = 0; task < 200; task++) {
        wh_episode_sinusoid(x, y, N, 1, "meta-train", task);
        for (size_t i = 0; i < N; i++) {
            assert_true(x[i] >= -5 && x[i] < 5 && fabsf(y[i]) <= 5);
            most = fabsf(y[i]) > most ? fabsf(y[i]) : most;
        }
    }
    assert_true(most > 4.5f);
}

/* ---- The real thing ---- */

static whist_schema omniglot(const char *fold, const char *train, const char *test, const char *validation)
{
    whist_schema schema = {.format = WHIST_DATA_IDX,
                           .task = WHIST_TASK_CLASSES,
                           .n_classes = 1623,
                           .partition = WHIST_PARTITION_IID,
                           .image_height = 28,
                           .image_width = 28,
                           .split_classes = true};
    SET(schema.train_images, "omniglot28-images-idx3-ubyte.gz");
    SET(schema.train_labels, "omniglot28-labels-idx1-short.gz");
    SET(schema.split_file, "omniglot28-classes.csv");
    SET(schema.split_row, "class");
    SET(schema.split_fold, fold);
    SET(schema.fold_train, train);
    SET(schema.fold_test, test);
    SET(schema.fold_validation, validation);
    return schema;
}

static void check_split(const char *folder, const whist_schema *schema, const size_t classes[3])
{
    WH_AUTO(whist_dataset_ptr) data = NULL;
    const whist_data_source source = {.folder = folder, .site = "one", .n_sites = 1};
    assert_ok(whist_dataset_open(&data, schema, &source));
    bool seen[1623] = {false};
    for (int fold = 0; fold < 3; fold++) {
        whist_rows rows = whist_dataset_rows(data, (whist_fold)fold);
        assert_int_equal(rows.n, classes[fold] * 20);
        size_t n = 0;
        bool own[1623] = {false};
        for (size_t i = 0; i < rows.n; i++) {
            size_t k = (size_t)rows.y[i];
            assert_true(own[k] || !seen[k]); /* no class in two folds */
            n += !own[k];
            own[k] = seen[k] = true;
        }
        assert_int_equal(n, classes[fold]);
    }
    const wh_episode_design design = {.ways = 20, .shots = 5, .queries = 15, .turns = 4, .height = 28, .width = 28};
    whist_rows test = whist_dataset_rows(data, WHIST_FOLD_TEST);
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    WH_AUTO(wh_episode) e = {0};
    assert_ok(wh_episode_pool_new(&pool, &test, &design));
    assert_int_equal(wh_episode_pool_classes(pool), 4 * classes[WHIST_FOLD_TEST]);
    assert_ok(wh_episode_init(&e, pool));
    wh_episode_draw(&e, pool, 0, "meta-test", 0);
    assert_true(e.support_y[99] == 19 && e.query_y[299] == 19);
}

static void test_omniglot_splits_by_class(void **state)
{
    (void)state;
    const char *data = getenv("WHIST_DATA");
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/omniglot", data ? data : "");
    if (!data || !wh_file_exists(folder)) skip();
    whist_schema vinyals = omniglot("vinyals_split", "train", "test", "val");
    const size_t by_class[3] = {1028, 172, 423};
    check_split(folder, &vinyals, by_class);
    whist_schema lake = omniglot("set", "background", "evaluation", "");
    const size_t by_alphabet[3] = {964, 0, 659};
    check_split(folder, &lake, by_alphabet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_episode_is_balanced_and_disjoint),
        cmocka_unit_test(test_same_index_same_episode),
        cmocka_unit_test(test_classes_are_drawn_fairly),
        cmocka_unit_test(test_images_turn),
        cmocka_unit_test(test_refusals_name_both_numbers),
        cmocka_unit_test(test_an_owner_shows_all_classes_first),
        cmocka_unit_test(test_sinusoids),
        cmocka_unit_test(test_omniglot_splits_by_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
