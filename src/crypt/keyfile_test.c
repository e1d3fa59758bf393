/* Tests of crypt/keyfile: who may open the file, passphrases, foreign and damaged files. */
#include "base/file.h"
#include "crypt/kat.h"
#include "crypt/keyfile.h"
#include "crypt/random.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

static whist_bytes view(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

static void assert_says(const char *words)
{
    if (!strstr(whist_detail_get()->text, words)) fail_msg("'%s' not in: %s", words, whist_detail_get()->text);
}

/* RFC 8410, 10.3 and 10.1 */
static void test_rfc8410_example(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    assert_ok(wh_key_from_pem(&key,
                              view("-----BEGIN PRIVATE KEY-----\n"
                                   "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                                   "-----END PRIVATE KEY-----\n"),
                              NULL));
    assert_hex(key->public_key, "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
}

static void check_round_trip(const char *path, const char *passphrase)
{
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    WH_AUTO(whist_crypt_key_ptr) back = NULL;
    struct stat st;
    assert_ok(whist_crypt_key_new(&key));
    assert_ok(whist_crypt_key_save(key, path, passphrase));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(whist_crypt_key_load(&back, path, passphrase));
    assert_memory_equal(back->secret.data, key->secret.data, 64);
    assert_int_equal(whist_crypt_key_save(key, path, passphrase), WHIST_E_STATE);
    assert_says("never overwritten");
}

static void test_files(void **state)
{
    (void)state;
    char *dir = test_dir("keyfile");
    WH_AUTO(wh_buf) path = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&path, "%s/a.key", dir));
    const char *file = wh_buf_str(&path);
    /* a stale temporary file that all may read must not lend its mode to the key */
    WH_AUTO(wh_buf) stale = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&stale, "%s.part", file));
    assert_ok(wh_file_write(wh_buf_str(&stale), view("x"), 0644));
    check_round_trip(file, NULL);

    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    const unsigned modes[] = {0640, 0604, 0620, 0601, 0666};
    for (size_t i = 0; i < WH_COUNT(modes); i++) {
        assert_int_equal(chmod(file, (mode_t)modes[i]), 0);
        assert_int_equal(whist_crypt_key_load(&key, file, NULL), WHIST_E_AUTH);
        assert_says("chmod 600");
        assert_null(key);
    }
    assert_int_equal(chmod(file, 0400), 0);
    assert_ok(whist_crypt_key_load(&key, file, NULL));
    WH_AUTO(whist_crypt_key_ptr) again = NULL;
    assert_int_equal(whist_crypt_key_load(&again, dir, NULL), WHIST_E_IO);
    assert_int_equal(whist_crypt_key_load(&again, "/nonexistent/x.key", NULL), WHIST_E_IO);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void test_passphrases(void **state)
{
    (void)state;
    char *dir = test_dir("passphrase");
    WH_AUTO(wh_buf) path = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&path, "%s/a.key", dir));
    const char *file = wh_buf_str(&path);
    check_round_trip(file, "correct horse");
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    assert_int_equal(whist_crypt_key_load(&key, file, "wrong horse"), WHIST_E_AUTH);
    assert_says("does not open");
    assert_int_equal(whist_crypt_key_load(&key, file, NULL), WHIST_E_AUTH);
    assert_says("give its passphrase");
    assert_null(key);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    assert_ok(wh_file_read(&text, file, 10000));
    assert_non_null(strstr(wh_buf_str(&text), "-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert_ok(whist_crypt_key_new(&key));
    WH_AUTO(wh_buf) pem = WH_BUF_EMPTY;
    assert_int_equal(wh_key_to_pem(&pem, key, "short"), WHIST_E_ARG);
    assert_int_equal(pem.len, 0);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void test_damaged_and_foreign_text(void **state)
{
    (void)state;
    const char *const bad[] = {
        "", "\n", "hello", "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        /* a NIST P-256 key */
        "-----BEGIN PRIVATE KEY-----\n"
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQGhRANCAARv8DtU\n"
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    whist_crypt_key *key = NULL;
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        assert_int_equal(wh_key_from_pem(&key, view(bad[i]), NULL), WHIST_E_FORMAT);
        assert_null(key);
    }
    uint8_t *large;
    assert_ok(WH_NEW(&large, WH_KEYFILE_MAX + 1));
    assert_int_equal(wh_key_from_pem(&key, (whist_bytes){large, WH_KEYFILE_MAX + 1}, NULL), WHIST_E_FORMAT);
    wh_free(large);
}

static void test_failures_leave_nothing_behind(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    assert_ok(whist_crypt_key_new(&key));
    WH_AUTO(wh_buf) pem = WH_BUF_EMPTY;
    for (uint64_t n = 1; n <= 2; n++) { /* salt, iv */
        wh_random_fail_after(n);
        assert_int_equal(wh_key_to_pem(&pem, key, "long enough"), WHIST_E_ENTROPY);
        assert_int_equal(pem.len, 0);
    }
    wh_alloc_fail_after(1);
    assert_int_equal(wh_key_to_pem(&pem, key, NULL), WHIST_E_NOMEM);
    assert_ok(wh_key_to_pem(&pem, key, NULL));
    for (uint64_t n = 1;; n++) {
        whist_crypt_key *back = NULL;
        wh_alloc_fail_after(n);
        whist_status status = wh_key_from_pem(&back, wh_buf_view(&pem), NULL);
        wh_alloc_fail_after(0);
        whist_crypt_key_free(back);
        if (status == WHIST_OK) break;
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_null(back);
        assert_true(n < 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8410_example),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_passphrases),
        cmocka_unit_test(test_damaged_and_foreign_text),
        cmocka_unit_test(test_failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
