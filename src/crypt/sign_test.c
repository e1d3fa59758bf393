/* Tests of crypt/sign: RFC 8032 vectors for the primitive, and the separation of purposes. */
#include "crypt/kat.h"
#include "crypt/random.h"
#include "crypt/sign.h"
#include "test.h"

static void check_vector(const char *seed, const char *public_key, const char *message, const char *signature)
{
    wh_kat text = kat_hex(message);
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    uint8_t out[WH_SIGN_SIZE];
    assert_ok(wh_sign_key_from_seed(&key, kat_hex(seed).data));
    assert_hex(key->public_key, public_key);
    assert_ok(wh_ed25519_sign(out, key, (whist_bytes){text.data, text.len}));
    assert_hex(out, signature);
    assert_ok(wh_ed25519_verify(key->public_key, (whist_bytes){text.data, text.len}, out));
    out[63] ^= 1;
    assert_int_equal(wh_ed25519_verify(key->public_key, (whist_bytes){text.data, text.len}, out), WHIST_E_AUTH);
}

static void test_rfc8032_vectors(void **state)
{
    (void)state;
    /* RFC 8032, 7.1, tests 1 to 3 */
    check_vector("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                 "d25bf5f0595bbe24655141438e7a100b");
    check_vector("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                 "387b2eaeb4302aeeb00d291612bb0c00");
    check_vector("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
                 "4a7c15e9716ed28dc027beceea1ec40a");
}

static void test_a_signature_serves_one_purpose(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    WH_AUTO(whist_crypt_key_ptr) other = NULL;
    uint8_t signature[WH_SIGN_SIZE];
    whist_bytes text = {(const uint8_t *)"hello", 5}, shorter = {(const uint8_t *)"hello", 4};
    assert_ok(whist_crypt_key_new(&key));
    assert_ok(whist_crypt_key_new(&other));
    assert_ok(wh_sign(signature, key, "whist/kit/1", text));
    assert_ok(wh_sign_verify(key->public_key, "whist/kit/1", text, signature));
    assert_int_equal(wh_sign_verify(key->public_key, "whist/log/1", text, signature), WHIST_E_AUTH);
    assert_int_equal(wh_sign_verify(key->public_key, "whist/kit/", text, signature), WHIST_E_AUTH);
    assert_int_equal(wh_sign_verify(key->public_key, "whist/kit/1", shorter, signature), WHIST_E_AUTH);
    assert_int_equal(wh_sign_verify(other->public_key, "whist/kit/1", text, signature), WHIST_E_AUTH);
    assert_int_equal(wh_ed25519_verify(key->public_key, text, signature), WHIST_E_AUTH);
    wh_digest digest;
    wh_sha256_of(&digest, text.data, text.len);
    assert_ok(wh_sign_verify_digest(key->public_key, "whist/kit/1", &digest, signature));
}

static void test_contexts_have_a_length(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    uint8_t signature[WH_SIGN_SIZE];
    char context[66];
    memset(context, 'x', sizeof context);
    context[65] = 0;
    whist_bytes none = {NULL, 0};
    assert_ok(whist_crypt_key_new(&key));
    assert_int_equal(wh_sign(signature, key, context, none), WHIST_E_ARG);
    context[64] = 0;
    assert_ok(whist_crypt_sign(signature, key, context, none));
    assert_int_equal(wh_sign(signature, key, "", none), WHIST_E_ARG);
    assert_int_equal(whist_crypt_sign(signature, NULL, "x", none), WHIST_E_ARG);
}

/* The all-zero key has small order: any message would have a valid signature in a careless
 * implementation. */
static void test_small_order_keys_verify_nothing(void **state)
{
    (void)state;
    uint8_t public_key[32] = {1}, signature[WH_SIGN_SIZE] = {1};
    assert_int_equal(wh_sign_verify(public_key, "x", (whist_bytes){NULL, 0}, signature), WHIST_E_AUTH);
}

static void test_key_making_survives_failures(void **state)
{
    (void)state;
    whist_crypt_key *key = NULL;
    wh_random_fail_after(1);
    assert_int_equal(whist_crypt_key_new(&key), WHIST_E_ENTROPY);
    for (uint64_t n = 1;; n++) {
        wh_alloc_fail_after(n);
        whist_status status = whist_crypt_key_new(&key);
        wh_alloc_fail_after(0);
        if (status == WHIST_OK) break;
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_null(key);
        assert_true(n < 10);
    }
    whist_crypt_key_free(key);
    whist_crypt_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8032_vectors),
        cmocka_unit_test(test_a_signature_serves_one_purpose),
        cmocka_unit_test(test_contexts_have_a_length),
        cmocka_unit_test(test_small_order_keys_verify_nothing),
        cmocka_unit_test(test_key_making_survives_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
