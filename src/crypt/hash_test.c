/* Tests of crypt/hash: known answers of FIPS 180-4, RFC 4231, RFC 5869, and forking states. */
#include "crypt/hash.h"
#include "crypt/kat.h"
#include "test.h"

static void test_sha256_known_answers(void **state)
{
    (void)state;
    wh_digest digest;
    wh_sha256_of(&digest, NULL, 0);
    assert_hex(digest.bytes, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    wh_sha256_of(&digest, "abc", 3); /* FIPS 180-4 example */
    assert_hex(digest.bytes, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    wh_sha256 hash;
    wh_sha256_init(&hash);
    for (int i = 0; i < 1000000; i++) wh_sha256_update(&hash, "a", 1);
    wh_sha256_final(&digest, &hash);
    assert_hex(digest.bytes, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_a_copied_state_is_a_fork(void **state)
{
    (void)state;
    wh_sha256 one, two;
    wh_digest a, b, abc;
    wh_sha256_init(&one);
    wh_sha256_update(&one, "ab", 2);
    two = one;
    wh_sha256_update(&two, "x", 1);
    wh_sha256_update(&one, "c", 1);
    wh_sha256_final(&a, &one);
    wh_sha256_final(&b, &two);
    wh_sha256_of(&abc, "abc", 3);
    assert_true(wh_digest_equal(&a, &abc));
    assert_false(wh_digest_equal(&a, &b));
}

static void test_numbers_are_little_endian(void **state)
{
    (void)state;
    wh_sha256 hash;
    wh_digest a, b;
    wh_sha256_init(&hash);
    wh_sha256_u64(&hash, 0x0102030405060708u);
    wh_sha256_final(&a, &hash);
    wh_sha256_of(&b, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_true(wh_digest_equal(&a, &b));
}

static void test_digest_text(void **state)
{
    (void)state;
    wh_digest digest, back;
    char text[65];
    wh_sha256_of(&digest, "abc", 3);
    wh_digest_hex(text, &digest);
    assert_ok(wh_digest_parse(&back, text));
    assert_true(wh_digest_equal(&digest, &back));
    text[63] = 0;
    assert_int_equal(wh_digest_parse(&back, text), WHIST_E_FORMAT);
}

static void test_hmac_known_answers(void **state)
{
    (void)state;
    uint8_t key[131];
    wh_digest mac;
    memset(key, 0x0b, 20); /* RFC 4231, cases 1, 2, 6 */
    wh_hmac_of(&mac, key, 20, (whist_bytes){(const uint8_t *)"Hi There", 8});
    assert_hex(mac.bytes, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    wh_hmac_of(&mac, (const uint8_t *)"Jefe", 4, (whist_bytes){(const uint8_t *)"what do ya want for nothing?", 28});
    assert_hex(mac.bytes, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    wh_hmac_of(&mac, key, sizeof key, (whist_bytes){(const uint8_t *)text, strlen(text)});
    assert_hex(mac.bytes, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_hkdf_known_answers(void **state)
{
    (void)state;
    uint8_t out[82], secret[80], salt[80], info[80];
    memset(secret, 0x0b, 22); /* RFC 5869, A.1 */
    for (uint8_t i = 0; i < 13; i++) salt[i] = i;
    for (uint8_t i = 0; i < 10; i++) info[i] = (uint8_t)(0xf0 + i);
    assert_ok(wh_hkdf(out, 42, (whist_bytes){secret, 22}, (whist_bytes){salt, 13}, (whist_bytes){info, 10}));
    assert_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_ok(wh_hkdf(out, 42, (whist_bytes){secret, 22}, (whist_bytes){NULL, 0}, (whist_bytes){NULL, 0})); /* A.3 */
    assert_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    for (uint8_t i = 0; i < 80; i++) { /* A.2 */
        secret[i] = i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    assert_ok(wh_hkdf(out, 82, (whist_bytes){secret, 80}, (whist_bytes){salt, 80}, (whist_bytes){info, 80}));
    assert_hex(out, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                    "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                    "cc30c58179ec3e87c14c01d5c1f3434f1d87");
    uint8_t *large;
    assert_ok(WH_NEW(&large, 255 * 32 + 1));
    whist_bytes bytes = {secret, 80};
    assert_ok(wh_hkdf(large, 255 * 32, bytes, bytes, bytes));
    assert_int_equal(wh_hkdf(large, 255 * 32 + 1, bytes, bytes, bytes), WHIST_E_ARG);
    wh_free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_known_answers),      cmocka_unit_test(test_a_copied_state_is_a_fork),
        cmocka_unit_test(test_numbers_are_little_endian), cmocka_unit_test(test_digest_text),
        cmocka_unit_test(test_hmac_known_answers),        cmocka_unit_test(test_hkdf_known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
