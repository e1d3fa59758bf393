/* Tests of crypt/aead: known answers, and that every changed bit is noticed. */
#include "crypt/aead.h"
#include "crypt/kat.h"
#include "test.h"

static void check_vector(wh_aead aead, const char *key_hex, const char *nonce_hex, const char *aad_hex,
                         const char *text_hex, const char *sealed_hex)
{
    wh_kat key = kat_hex(key_hex), nonce = kat_hex(nonce_hex), aad = kat_hex(aad_hex), text = kat_hex(text_hex);
    whist_bytes aad_view = {aad.data, aad.len};
    uint8_t sealed[300], opened[300];
    assert_ok(wh_aead_seal(sealed, aead, key.data, nonce.data, aad_view, (whist_bytes){text.data, text.len}));
    assert_hex(sealed, sealed_hex);
    size_t len = text.len + WH_AEAD_TAG;
    assert_int_equal(strlen(sealed_hex), 2 * len);
    assert_ok(wh_aead_open(opened, aead, key.data, nonce.data, aad_view, (whist_bytes){sealed, len}));
    assert_memory_equal(opened, text.data, text.len);
    for (size_t bit = 0; bit < 8 * len; bit += 3) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memset(opened, 0x55, sizeof opened);
        assert_int_equal(wh_aead_open(opened, aead, key.data, nonce.data, aad_view, (whist_bytes){sealed, len}),
                         WHIST_E_AUTH);
        for (size_t i = 0; i < text.len; i++) assert_int_equal(opened[i], 0);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    aad.data[0] ^= 1;
    assert_int_equal(wh_aead_open(opened, aead, key.data, nonce.data, aad_view, (whist_bytes){sealed, len}),
                     WHIST_E_AUTH);
    aad.data[0] ^= 1;
    /* in place */
    assert_ok(wh_aead_open(sealed, aead, key.data, nonce.data, aad_view, (whist_bytes){sealed, len}));
    assert_memory_equal(sealed, text.data, text.len);
}

static void test_known_answers(void **state)
{
    (void)state;
    /* RFC 8439, 2.8.2 */
    check_vector(WH_AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
                 "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
                 "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f75"
                 "6c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e7363726565"
                 "6e20776f756c642062652069742e",
                 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71"
                 "de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def0"
                 "8e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691");
    /* McGrew and Viega, The Galois/Counter Mode of Operation, test case 16 */
    check_vector(WH_AEAD_AES256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
                 "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
                 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
}

static void test_short_and_empty(void **state)
{
    (void)state;
    const uint8_t key[WH_AEAD_KEY] = {1}, nonce[WH_AEAD_NONCE] = {2};
    const whist_bytes none = {NULL, 0};
    uint8_t sealed[WH_AEAD_TAG], opened[1];
    for (int aead = 0; aead < 2; aead++) {
        assert_ok(wh_aead_seal(sealed, (wh_aead)aead, key, nonce, none, none));
        assert_ok(wh_aead_open(opened, (wh_aead)aead, key, nonce, none, (whist_bytes){sealed, sizeof sealed}));
        assert_int_equal(wh_aead_open(opened, (wh_aead)aead, key, nonce, none, (whist_bytes){sealed, 15}),
                         WHIST_E_AUTH);
    }
    assert_int_equal(wh_aead_seal(sealed, WH_AEAD_AES256_GCM, key, nonce, none, (whist_bytes){sealed, (size_t)1 << 31}),
                     WHIST_E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_short_and_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
