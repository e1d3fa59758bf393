/* Secrets of the crypt room, marked undefined: no branch and no address may depend on them, in our
 * code nor in the code of OpenSSL and libsodium that it calls.
 *
 * All secrets are made up here. Each result is compared with the one of the same call on a secret
 * that is not marked, which also shows that marking changes nothing. */
#include "crypt/aead.h"
#include "crypt/box.h"
#include "crypt/ct.h"
#include "crypt/hash.h"
#include "crypt/prg.h"
#include "crypt/sign.h"
#include "test.h"

#include <string.h>

enum { KEY = 32, LONG = 200 };

static void fill(uint8_t *out, size_t len, uint8_t from)
{
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t)(from + 7 * i);
}

/* The same bytes as fill's, marked. */
static void fill_secret(uint8_t *out, size_t len, uint8_t from)
{
    fill(out, len, from);
    WH_CLASSIFY(out, len);
}

static void test_masks(void **state)
{
    (void)state;
    uint64_t a = 3, b = 5, out[5];
    WH_CLASSIFY(&a, sizeof a);
    WH_CLASSIFY(&b, sizeof b);
    out[0] = wh_ct_mask(a);
    out[1] = wh_ct_eq(a, b);
    out[2] = wh_ct_lt(a, b);
    out[3] = wh_ct_select(out[2], a, b);
    out[4] = wh_ct_select(out[1], a, b);
    /* The test looks at its own made-up secrets. */
    WH_DECLASSIFY(out, sizeof out);
    const uint64_t expected[5] = {UINT64_MAX, 0, UINT64_MAX, 3, 5};
    assert_memory_equal(out, expected, sizeof out);
}

static void test_select_bytes(void **state)
{
    (void)state;
    uint8_t a[33], b[33], out[33], expected[33];
    fill_secret(a, sizeof a, 1);
    fill_secret(b, sizeof b, 2);
    fill(expected, sizeof expected, 2);
    wh_ct_select_bytes(out, wh_ct_lt(b[0], a[0]), a, b, sizeof out);
    /* The test looks at its own made-up secrets. */
    WH_DECLASSIFY(out, sizeof out);
    assert_memory_equal(out, expected, sizeof out);
}

/* Equal, different in the first byte, different in the last. */
static void test_equal(void **state)
{
    (void)state;
    for (size_t place = 0; place <= 2; place++) {
        wh_digest a, b;
        fill(a.bytes, sizeof a.bytes, 1);
        b = a;
        if (place > 0) b.bytes[place == 1 ? 0 : 31] ^= 1;
        WH_CLASSIFY(&a, sizeof a);
        WH_CLASSIFY(&b, sizeof b);
        assert_true(wh_digest_equal(&a, &b) == (place == 0));
        assert_true(wh_ct_equal(a.bytes, b.bytes, 31) == (place != 1));
    }
}

/* Keys shorter and longer than a block, messages over several. */
static void test_hmac(void **state)
{
    (void)state;
    const size_t key_lens[] = {0, 16, 64, LONG};
    for (size_t i = 0; i < WH_COUNT(key_lens); i++) {
        uint8_t key[LONG], plain[LONG], text[LONG];
        fill_secret(key, sizeof key, 9);
        fill(plain, sizeof plain, 9);
        fill(text, sizeof text, 4);
        wh_digest expected, out;
        wh_hmac_of(&expected, plain, key_lens[i], (whist_bytes){text, sizeof text});
        WH_CLASSIFY(text, sizeof text);
        wh_hmac_of(&out, key, key_lens[i], (whist_bytes){text, sizeof text});
        assert_true(wh_digest_equal(&out, &expected));
    }
}

static void test_hkdf(void **state)
{
    (void)state;
    uint8_t secret[KEY], plain[KEY], expected[LONG], out[LONG];
    fill_secret(secret, sizeof secret, 3);
    fill(plain, sizeof plain, 3);
    const whist_bytes salt = {(const uint8_t *)"salt", 4}, info = {(const uint8_t *)"purpose", 7};
    assert_ok(wh_hkdf(expected, LONG, (whist_bytes){plain, KEY}, salt, info));
    assert_ok(wh_hkdf(out, LONG, (whist_bytes){secret, KEY}, salt, info));
    assert_true(wh_ct_equal(out, expected, LONG));
}

/* The streams become masks, so what comes out stays secret. */
static void test_prg(void **state)
{
    (void)state;
    for (size_t key_len = 16; key_len <= 32; key_len += 16) {
        uint8_t key[KEY], plain[KEY], nonce[WH_PRG_NONCE], expected[1000], out[1000];
        fill_secret(key, sizeof key, 5);
        fill(plain, sizeof plain, 5);
        wh_prg_nonce(nonce, 7);
        WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
        assert_ok(wh_prg_init(&prg, plain, key_len, nonce));
        assert_ok(wh_prg_next(&prg, expected, sizeof expected));
        assert_ok(wh_prg_init(&prg, key, key_len, nonce));
        assert_ok(wh_prg_next(&prg, out, sizeof out));
        assert_true(wh_ct_equal(out, expected, sizeof out));
        assert_ok(wh_prg_seek(&prg, 3));
        assert_ok(wh_prg_next(&prg, out, 33));
        assert_true(wh_ct_equal(out, expected + 3 * WH_PRG_BLOCK, 33));
    }
}

static void test_sign(void **state)
{
    (void)state;
    uint8_t seed[WH_SIGN_SEED], plain[WH_SIGN_SEED], signature[WH_SIGN_SIZE], expected[WH_SIGN_SIZE];
    fill_secret(seed, sizeof seed, 8);
    fill(plain, sizeof plain, 8);
    const whist_bytes message = {(const uint8_t *)"round 3", 7};
    WH_AUTO(whist_crypt_key_ptr) known = NULL;
    assert_ok(wh_sign_key_from_seed(&known, plain));
    assert_ok(wh_sign(expected, known, "purpose", message));
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    assert_ok(wh_sign_key_from_seed(&key, seed));
    assert_ok(wh_sign(signature, key, "purpose", message));
    /* A public key is in every certificate, a signature is sent to whoever checks it. */
    WH_DECLASSIFY(key->public_key, sizeof key->public_key);
    WH_DECLASSIFY(signature, sizeof signature);
    assert_memory_equal(signature, expected, sizeof signature);
    assert_ok(wh_sign_verify(key->public_key, "purpose", message, signature));
}

static void seal(uint8_t *sealed, wh_aead aead, uint8_t *key, uint8_t *text, size_t len)
{
    const uint8_t nonce[WH_AEAD_NONCE] = {1, 2, 3};
    assert_ok(
        wh_aead_seal(sealed, aead, key, nonce, (whist_bytes){(const uint8_t *)"aad", 3}, (whist_bytes){text, len}));
}

static void check_aead(wh_aead aead)
{
    uint8_t key[KEY], plain_key[KEY], text[LONG], plain[LONG], sealed[LONG + WH_AEAD_TAG], expected[sizeof sealed];
    fill_secret(key, sizeof key, 6);
    fill(plain_key, sizeof plain_key, 6);
    fill_secret(text, sizeof text, 2);
    fill(plain, sizeof plain, 2);
    seal(expected, aead, plain_key, plain, LONG);
    seal(sealed, aead, key, text, LONG);
    assert_true(wh_ct_equal(sealed, expected, sizeof sealed));
    const uint8_t nonce[WH_AEAD_NONCE] = {1, 2, 3};
    assert_ok(wh_aead_open(text, aead, key, nonce, (whist_bytes){(const uint8_t *)"aad", 3},
                           (whist_bytes){sealed, sizeof sealed}));
    assert_true(wh_ct_equal(text, plain, LONG));
    /* A tag that is wrong at its start, then one that is wrong at its end. */
    for (size_t i = LONG; i < sizeof sealed; i += WH_AEAD_TAG - 1) {
        sealed[i] ^= 1;
        assert_int_equal(wh_aead_open(text, aead, key, nonce, (whist_bytes){(const uint8_t *)"aad", 3},
                                      (whist_bytes){sealed, sizeof sealed}),
                         WHIST_E_AUTH);
        sealed[i] ^= 1;
    }
}

static void test_aead_gcm(void **state)
{
    (void)state;
    check_aead(WH_AEAD_AES256_GCM);
}

static void test_aead_chacha(void **state)
{
    (void)state;
    check_aead(WH_AEAD_CHACHA20_POLY1305);
}

/* The secret half of the key that boxes are sealed to, from its public half to what is in a box. */
static void test_box(void **state)
{
    (void)state;
    uint8_t secret[WH_BOX_SECRET], plain[WH_BOX_SECRET], text[WH_STREAM_KEY], out[WH_STREAM_KEY];
    uint8_t box[WH_STREAM_KEY + WH_BOX_MORE];
    fill_secret(secret, sizeof secret, 5);
    fill(plain, sizeof plain, 5);
    fill(text, sizeof text, 4);
    WH_AUTO(wh_box_key_ptr) known = NULL;
    WH_AUTO(wh_box_key_ptr) key = NULL;
    assert_ok(wh_box_key_from_secret(&known, plain));
    assert_ok(wh_box_seal(box, known->public_key, (whist_bytes){text, sizeof text}));
    assert_ok(wh_box_key_from_secret(&key, secret));
    WH_DECLASSIFY(key->public_key, sizeof key->public_key); /* it stands in the site's notice */
    assert_ok(wh_box_open(out, key, (whist_bytes){box, sizeof box}));
    assert_true(wh_ct_equal(out, text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks), cmocka_unit_test(test_select_bytes), cmocka_unit_test(test_equal),
        cmocka_unit_test(test_hmac),  cmocka_unit_test(test_hkdf),         cmocka_unit_test(test_prg),
        cmocka_unit_test(test_sign),  cmocka_unit_test(test_aead_gcm),     cmocka_unit_test(test_aead_chacha),
        cmocka_unit_test(test_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
