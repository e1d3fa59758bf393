/* Tests of base: status record, memory, buffers, pool, files, settings. */
#include "base/buf.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/settings.h"
#include "test.h"

#include <string.h>
#include <unistd.h>

static void test_detail_keeps_the_reason(void **state)
{
    (void)state;
    assert_int_equal(wh_fail(WHIST_E_RANGE, "f.c", 7, "%d apples", 3), WHIST_E_RANGE);
    assert_string_equal(whist_detail_get()->text, "3 apples");
    assert_int_equal(wh_fail_context(WHIST_E_FORMAT, "%s: ", "basket"), WHIST_E_FORMAT);
    assert_string_equal(whist_detail_get()->text, "basket: 3 apples");
    assert_string_equal(whist_status_name(WHIST_E_UNSUPPORTED), "unsupported");
}

static void test_allocation_is_checked(void **state)
{
    (void)state;
    void *ptr = &ptr;
    void *before = ptr;
    assert_int_equal(wh_alloc(&ptr, SIZE_MAX, 2), WHIST_E_NOMEM);
    assert_ptr_equal(ptr, before);
    wh_alloc_fail_after(1);
    assert_int_equal(wh_alloc(&ptr, 1, 8), WHIST_E_NOMEM);
    assert_int_equal(wh_alloc(&ptr, 1, 8), WHIST_OK);
    wh_free(ptr);
}

/* Blocks of large pages: a size that is no multiple of such a page is as good as any (AddressSanitizer asks). */
static void test_large_blocks_have_any_size(void **state)
{
    (void)state;
    const size_t sizes[] = {(8 << 20) - 1, 8 << 20, (8 << 20) + 1, (9 << 20) + 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *bytes;
        assert_int_equal(WH_NEW(&bytes, sizes[i]), WHIST_OK);
        assert_int_equal((uintptr_t)bytes % 64, 0);
        assert_int_equal(bytes[0] | bytes[sizes[i] - 1], 0);
        wh_free(bytes);
    }
}

static void test_arena_gives_aligned_zeroes_again_after_reset(void **state)
{
    (void)state;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 20000; n = n * 3 + 1) {
            uint8_t *bytes;
            assert_int_equal(WH_ARENA_NEW(&bytes, &arena, n), WHIST_OK);
            assert_int_equal((uintptr_t)bytes % 64, 0);
            for (size_t i = 0; i < n; i++) assert_int_equal(bytes[i], 0);
            memset(bytes, 255, n);
        }
        wh_arena_reset(&arena);
    }
}

static void test_buffer_respects_its_limit(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) buf = WH_BUF_EMPTY;
    buf.limit = 10;
    assert_int_equal(wh_buf_text(&buf, "%s", "123456789"), WHIST_OK);
    assert_int_equal(wh_buf_add(&buf, "ab", 2), WHIST_E_RANGE);
    assert_string_equal(wh_buf_str(&buf), "123456789");
}

static void test_cursor_never_passes_the_end(void **state)
{
    (void)state;
    const uint8_t bytes[] = {1, 0, 0, 0, 2, 3};
    wh_cursor cursor = wh_cursor_over((whist_bytes){bytes, sizeof bytes});
    uint32_t word;
    uint64_t wide;
    assert_int_equal(wh_take_u32(&cursor, &word), WHIST_OK);
    assert_int_equal(word, 1);
    assert_int_equal(wh_take_u64(&cursor, &wide), WHIST_E_FORMAT);
    assert_int_equal(wh_cursor_left(&cursor), 2);
}

static void test_hex_round_trip(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0, 15, 255, 171};
    uint8_t back[4];
    char text[9];
    wh_hex(text, bytes, 4);
    assert_string_equal(text, "000fffab");
    assert_int_equal(wh_unhex(back, text, 4), WHIST_OK);
    assert_memory_equal(back, bytes, 4);
    assert_int_equal(wh_unhex(back, "000fffag", 4), WHIST_E_FORMAT);
    assert_int_equal(wh_unhex(back, "000fff", 4), WHIST_E_FORMAT);
}

static void test_edit_distance(void **state)
{
    (void)state;
    assert_int_equal(wh_edit_distance("rounds", "rounds"), 0);
    assert_int_equal(wh_edit_distance("rounds", "ruonds"), 1);
    assert_int_equal(wh_edit_distance("learner", "lerner"), 1);
    assert_int_equal(wh_edit_distance("a", "xyz"), 3);
}

static whist_status count_piece(void *user, size_t piece, unsigned worker)
{
    (void)worker;
    unsigned char *seen = user;
    seen[piece]++;
    if (piece == 77 || piece == 900) return wh_fail(WHIST_E_RANGE, "p", 0, "piece %zu", piece);
    return WHIST_OK;
}

static void test_pool_runs_each_piece_once_and_carries_the_failure(void **state)
{
    (void)state;
    wh_pool *pool;
    assert_int_equal(wh_pool_new(&pool, 4), WHIST_OK);
    unsigned char seen[1000];
    for (int repeat = 0; repeat < 50; repeat++) {
        memset(seen, 0, sizeof seen);
        assert_int_equal(wh_pool_run(pool, 77, count_piece, seen), WHIST_OK);
        for (int i = 0; i < 77; i++) assert_int_equal(seen[i], 1);
    }
    memset(seen, 0, sizeof seen);
    assert_int_equal(wh_pool_run(pool, 1000, count_piece, seen), WHIST_E_RANGE);
    assert_string_equal(whist_detail_get()->text, "piece 77");
    for (int i = 0; i < 1000; i++) assert_true(seen[i] <= 1);
    wh_pool_free(pool);
}

static void test_files_are_replaced_whole(void **state)
{
    (void)state;
    char *dir = test_dir("files");
    char *path = NULL;
    assert_int_equal(wh_path(&path, dir, "a/%d", 1), WHIST_OK);
    whist_bytes text = {(const uint8_t *)"hello", 5};
    assert_int_equal(wh_file_write(path, text, 0600), WHIST_E_IO);
    char *sub = NULL;
    assert_int_equal(wh_path(&sub, dir, "a"), WHIST_OK);
    assert_int_equal(wh_make_dirs(sub), WHIST_OK);
    assert_int_equal(wh_file_write(path, text, 0600), WHIST_OK);
    WH_AUTO(wh_buf) read = WH_BUF_EMPTY;
    assert_int_equal(wh_file_read(&read, path, 4), WHIST_E_RANGE);
    wh_buf_reset(&read);
    assert_int_equal(wh_file_read(&read, path, 5), WHIST_OK);
    assert_string_equal(wh_buf_str(&read), "hello");
    assert_int_equal(wh_tree_remove(dir), WHIST_OK);
    assert_false(wh_file_exists(dir));
    wh_free(sub);
    wh_free(path);
    test_dir_free(dir);
}

static const whist_option options[] = {
    {"lr", WHIST_OPTION_REAL, "0.01", 0, 10, NULL, "learning rate"},
    {"updates", WHIST_OPTION_INT, NULL, 1, 1e6, NULL, "local steps"},
    {"mode", WHIST_OPTION_CHOICE, "fast", 0, 0, "fast|exact", "how"},
    {"widths", WHIST_OPTION_INTS, "[64, 32]", 1, 4096, NULL, "hidden widths"},
    {0},
};

static void test_settings_say_what_is_allowed(void **state)
{
    (void)state;
    whist_settings *s;
    size_t n;
    assert_int_equal(whist_settings_new(&s, options), WHIST_OK);
    assert_int_equal(whist_settings_complete(s), WHIST_E_ARG);
    assert_int_equal(whist_settings_set(s, "updates", "100"), WHIST_OK);
    assert_int_equal(whist_settings_complete(s), WHIST_OK);
    assert_int_equal(whist_settings_set(s, "updates", "0"), WHIST_E_FORMAT);
    assert_int_equal(whist_settings_int(s, "updates"), 100);
    assert_int_equal(whist_settings_set(s, "lr", "nan"), WHIST_E_FORMAT);
    assert_int_equal(whist_settings_set(s, "mode", "fas"), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "fast|exact"));
    assert_int_equal(whist_settings_set(s, "udpates", "1"), WHIST_E_ARG);
    assert_non_null(strstr(whist_detail_get()->text, "updates"));
    assert_int_equal(whist_settings_ints(s, "widths", &n)[1], 32);
    assert_int_equal(n, 2);
    assert_int_equal(whist_settings_set(s, "widths", "[]"), WHIST_OK);
    whist_settings_ints(s, "widths", &n);
    assert_int_equal(n, 0);
    whist_settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detail_keeps_the_reason),
        cmocka_unit_test(test_allocation_is_checked),
        cmocka_unit_test(test_large_blocks_have_any_size),
        cmocka_unit_test(test_arena_gives_aligned_zeroes_again_after_reset),
        cmocka_unit_test(test_buffer_respects_its_limit),
        cmocka_unit_test(test_cursor_never_passes_the_end),
        cmocka_unit_test(test_hex_round_trip),
        cmocka_unit_test(test_edit_distance),
        cmocka_unit_test(test_pool_runs_each_piece_once_and_carries_the_failure),
        cmocka_unit_test(test_files_are_replaced_whole),
        cmocka_unit_test(test_settings_say_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
