/* Tests of the registry: the table is whole, verification sees each kind of damage, and the computed split
 * is the published one. */
#include <string.h>

#include "base/file.h"
#include "crypt/hash.h"
#include "test.h"
#include "whist/data.h"

static void test_the_table_is_whole(void **state)
{
    (void)state;
    size_t n = 0;
    for (const whist_data_set *set = whist_data_sets(); set->name; set++, n++) {
        assert_ptr_equal(whist_data_find(set->name), set);
        assert_true(set->title[0] && set->licence[0] && set->citation[0] && set->notice && set->files[0].name);
        for (const whist_data_file *file = set->files; file->name; file++) {
            wh_digest digest;
            assert_ok(wh_digest_parse(&digest, file->sha256));
            assert_true(file->size > 0 && !strchr(file->name, '/'));
            for (int i = 0; i < WHIST_DATA_MIRRORS && file->urls[i]; i++) {
                const char *last = strrchr(file->urls[i], '/');
                assert_non_null(last);
                assert_string_equal(last + 1, file->name);
                assert_true(i > 1 || !strncmp(file->urls[i], "https://", 8));
            }
        }
    }
    assert_int_equal(n, 7);
    assert_null(whist_data_find("hearts"));
    assert_null(whist_data_find(NULL));
}

static void test_verification(void **state)
{
    (void)state;
    char *folder = test_dir("registry"), *path = NULL;
    static const whist_data_file files[] = {
        {"abc", {NULL}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3}, {NULL}};
    static const whist_data_set set = {"letters", "t", "l", "c", "", files};
    assert_ok(wh_path(&path, folder, "abc"));
    assert_int_equal(whist_data_verify(&set, folder), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "whist data get letters"));
    assert_ok(wh_file_write(path, (whist_bytes){(const uint8_t *)"abc", 3}, 0600));
    assert_ok(whist_data_verify(&set, folder));
    assert_ok(wh_file_write(path, (whist_bytes){(const uint8_t *)"abd", 3}, 0600));
    assert_int_equal(whist_data_verify(&set, folder), WHIST_E_FORMAT);
    assert_ok(wh_file_write(path, (whist_bytes){(const uint8_t *)"ab", 2}, 0600));
    assert_int_equal(whist_data_verify(&set, folder), WHIST_E_FORMAT);
    assert_ok(whist_data_derive(&set, folder)); /* nothing to do */
    assert_int_equal(whist_data_derive(whist_data_find("heart"), folder), WHIST_E_IO);
    wh_free(path);
    assert_ok(wh_tree_remove(folder));
    test_dir_free(folder);
}

/* From the four downloaded files alone comes, to the byte, the split that published results use. */
static void test_the_heart_split(void **state)
{
    (void)state;
    if (!test_data()) skip();
    char *from = NULL, *to = NULL, *folder = test_dir("heart");
    const whist_data_set *heart = whist_data_find("heart");
    assert_ok(wh_path(&from, test_data(), "heart"));
    if (!wh_file_exists(from)) skip();
    assert_ok(whist_data_verify(heart, from));
    for (const whist_data_file *file = heart->files; file->urls[0]; file++) {
        WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
        char *path = NULL;
        assert_ok(wh_path(&path, from, "%s", file->name));
        assert_ok(wh_file_read(&bytes, path, 1 << 20));
        assert_ok(wh_path(&to, folder, "%s", file->name));
        assert_ok(wh_file_write(to, wh_buf_view(&bytes), 0600));
        wh_free(path);
        wh_free(to);
    }
    assert_int_equal(whist_data_verify(heart, folder), WHIST_E_IO);
    assert_ok(whist_data_derive(heart, folder));
    assert_ok(whist_data_verify(heart, folder));
    wh_free(from);
    assert_ok(wh_tree_remove(folder));
    test_dir_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_whole),
        cmocka_unit_test(test_verification),
        cmocka_unit_test(test_the_heart_split),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
