/* run/metrics_out_test.c: metrics.csv, and each scalar once in the event file. */
#include "run/run_test.h"

#include "codec/tfevents.h"
#include "run/metrics_out.h"

#include <dirent.h>

typedef struct fixture {
    wh_test_plan t;
    wh_store *store;
    char *dir;
    wh_metrics_out *out;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.dir = test_dir("metrics")};
    test_plan_new(&f.t);
    assert_ok(wh_store_open(&f.store, NULL, f.t.plan.study));
    assert_ok(wh_metrics_out_new(&f.out, f.dir, &f.t.plan));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    wh_metrics_out_free(f->out);
    wh_store_close(f->store);
    test_plan_clear(&f->t);
    assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    return 0;
}

static void put(fixture *f, uint64_t round, const char *site, whist_fold fold, double num, double den)
{
    whist_metric_value value = {num, den, den};
    assert_ok(wh_store_begin(f->store));
    assert_ok(wh_store_metric_put(f->store, round, site, fold, "accuracy", &value));
    assert_ok(wh_store_commit(f->store));
}

static void read_csv(fixture *f, wh_buf *out)
{
    char *path = NULL;
    assert_ok(wh_path(&path, f->dir, "metrics.csv"));
    wh_buf_reset(out);
    assert_ok(wh_file_read(out, path, 1 << 20));
    wh_free(path);
}

/* The one event file: read whole, with its records checked; counts records and those that have the tag. */
static size_t count_events(fixture *f, const char *tag, size_t *n_files)
{
    DIR *dir = opendir(f->dir);
    size_t with_tag = 0;
    *n_files = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, "events.", 7) != 0) continue;
        ++*n_files;
        WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
        char *path = NULL;
        assert_ok(wh_path(&path, f->dir, "%s", entry->d_name));
        assert_ok(wh_file_read(&bytes, path, 1 << 20));
        wh_free(path);
        for (wh_cursor c = wh_cursor_over(wh_buf_view(&bytes)); wh_cursor_left(&c);) {
            uint64_t len;
            uint32_t crc;
            whist_bytes event;
            assert_ok(wh_take_u64(&c, &len));
            assert_ok(wh_take_u32(&c, &crc));
            assert_ok(wh_take_bytes(&c, &event, len));
            assert_ok(wh_take_u32(&c, &crc));
            uint32_t sum = wh_crc32c(event);
            assert_int_equal(crc, ((sum >> 15 | sum << 17) + 0xa282ead8u) & 0xffffffffu);
            with_tag += memmem(event.data, event.len, tag, strlen(tag)) != NULL;
        }
    }
    closedir(dir);
    return with_tag;
}

static void rows_become_lines(void **state)
{
    fixture *f = *state;
    put(f, 0, "", WHIST_FOLD_TEST, 3, 4);
    put(f, 0, "cleveland", WHIST_FOLD_VALIDATION, 1, 2);
    put(f, 1, "", WHIST_FOLD_TEST, 0, 0);
    assert_ok(wh_metrics_out_write(f->out, f->store));
    WH_AUTO(wh_buf) csv = WH_BUF_EMPTY;
    read_csv(f, &csv);
    assert_string_equal(wh_buf_str(&csv), "round,site,fold,metric,value,num,den,n\n"
                                          "0,\"\",test,accuracy,0.75,3,4,4\n"
                                          "0,cleveland,validation,accuracy,0.5,1,2,2\n"
                                          "1,\"\",test,accuracy,\"\",0,0,0\n");
    size_t n_files;
    assert_int_equal(count_events(f, "test/accuracy", &n_files), 1); /* 0/0 is no point */
    assert_int_equal(count_events(f, "validation/accuracy/cleveland", &n_files), 1);
    assert_int_equal(n_files, 1);
}

static void each_scalar_comes_once(void **state)
{
    fixture *f = *state;
    size_t n_files;
    for (uint64_t round = 0; round < 3; round++) {
        put(f, round, "", WHIST_FOLD_TEST, 1, 4);
        assert_ok(wh_metrics_out_write(f->out, f->store));
        assert_ok(wh_metrics_out_write(f->out, f->store));
        put(f, round, "cleveland", WHIST_FOLD_TEST, 1, 4); /* sites of one round in several steps */
        assert_ok(wh_metrics_out_write(f->out, f->store));
    }
    assert_int_equal(count_events(f, "test/accuracy", &n_files), 6);
    assert_int_equal(count_events(f, "test/accuracy/cleveland", &n_files), 3);
    assert_int_equal(n_files, 1);
}

static void nothing_new_touches_no_file(void **state)
{
    fixture *f = *state;
    assert_ok(wh_metrics_out_write(f->out, f->store));
    char *path = NULL;
    assert_ok(wh_path(&path, f->dir, "metrics.csv"));
    assert_false(wh_file_exists(path));
    put(f, 0, "", WHIST_FOLD_TEST, 1, 4);
    assert_ok(wh_metrics_out_write(f->out, f->store));
    assert_ok(wh_file_remove(path));
    assert_ok(wh_metrics_out_write(f->out, f->store));
    assert_false(wh_file_exists(path));
    wh_free(path);
}

static void a_new_process_shows_every_round_once(void **state)
{
    fixture *f = *state;
    size_t n_files;
    put(f, 0, "", WHIST_FOLD_TEST, 1, 4);
    put(f, 1, "", WHIST_FOLD_TEST, 2, 4);
    assert_ok(wh_metrics_out_write(f->out, f->store));
    char *foreign = test_file(f->dir, "events.out.tfevents.1.0123456789abcdef", "", 0644);
    wh_metrics_out_free(f->out);
    assert_ok(wh_metrics_out_new(&f->out, f->dir, &f->t.plan));
    put(f, 2, "", WHIST_FOLD_TEST, 3, 4);
    assert_ok(wh_metrics_out_write(f->out, f->store));
    assert_int_equal(count_events(f, "test/accuracy", &n_files), 3);
    assert_int_equal(n_files, 2); /* that of another study stays */
    assert_true(wh_file_exists(foreign));
    free(foreign);
}

/* The same rows and scalars as from the store of a coordinator that had this result. */
static void a_result_makes_the_same_files(void **state)
{
    fixture *f = *state;
    whist_fed_metrics history[2] = {{.round = 0, .test[0] = {1, 4, 4}}, {.round = 2, .test[0] = {3, 4, 4}}};
    whist_fed_metrics sites[2] = {{.test[0] = {2, 2, 2}, .validation[0] = {1, 2, 2}}, {.test[0] = {1, 2, 2}}};
    whist_fed_result result = {
        .rounds = 2, .pooled = history[1], .history = history, .n_history = 2, .sites = sites, .n_sites = 2};
    assert_ok(whist_metrics_save(f->dir, &f->t.plan, &result));
    assert_ok(whist_metrics_save(f->dir, &f->t.plan, &result)); /* once more: the files are replaced */
    WH_AUTO(wh_buf) csv = WH_BUF_EMPTY;
    read_csv(f, &csv);
    assert_string_equal(wh_buf_str(&csv), "round,site,fold,metric,value,num,den,n\n"
                                          "0,\"\",test,accuracy,0.25,1,4,4\n"
                                          "2,\"\",test,accuracy,0.75,3,4,4\n"
                                          "2,cleveland,validation,accuracy,0.5,1,2,2\n"
                                          "2,cleveland,test,accuracy,1,2,2,2\n"
                                          "2,hungary,test,accuracy,0.5,1,2,2\n");
    size_t n_files;
    assert_int_equal(count_events(f, "test/accuracy", &n_files), 4);
    assert_int_equal(n_files, 1);
    result.n_history = 0; /* a baseline */
    assert_ok(whist_metrics_save(f->dir, &f->t.plan, &result));
    read_csv(f, &csv);
    assert_non_null(strstr(wh_buf_str(&csv), "\n2,\"\",test,accuracy,0.75,3,4,4\n"));
    result.n_sites = 1;
    assert_int_equal(whist_metrics_save(f->dir, &f->t.plan, &result), WHIST_E_ARG);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(rows_become_lines),
        ROW(each_scalar_comes_once),
        ROW(nothing_new_touches_no_file),
        ROW(a_new_process_shows_every_round_once),
        ROW(a_result_makes_the_same_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
