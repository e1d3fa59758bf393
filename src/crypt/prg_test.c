/* Tests of crypt/prg: NIST SP 800-38A vectors, seeking, carries. */
#include "crypt/kat.h"
#include "crypt/prg.h"
#include "test.h"

static const char counter[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
static const char text[] = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                           "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

static void check_vector(const char *key_hex, const char *cipher_hex)
{
    wh_kat key = kat_hex(key_hex), nonce = kat_hex(counter), plain = kat_hex(text);
    WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
    uint8_t out[64];
    assert_ok(wh_prg_init(&prg, key.data, key.len, nonce.data));
    assert_ok(wh_prg_next(&prg, out, 5));
    assert_ok(wh_prg_next(&prg, out + 5, 59));
    for (int i = 0; i < 64; i++) out[i] ^= plain.data[i];
    assert_hex(out, cipher_hex);
}

static void test_nist_vectors(void **state)
{
    (void)state;
    check_vector("2b7e151628aed2a6abf7158809cf4f3c", /* SP 800-38A, F.5.1 */
                 "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
                 "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee");
    check_vector("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", /* F.5.5 */
                 "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
                 "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6");
}

/* Any block can be reached, before or after the present one, also where the counter's low half
 * overflows into the high one. */
static void test_seeking_gives_the_same_stream(void **state)
{
    (void)state;
    enum { BLOCKS = 5000 };
    static uint8_t whole[BLOCKS * WH_PRG_BLOCK], part[300];
    const uint8_t key[32] = {9};
    uint8_t nonce[WH_PRG_NONCE];
    memset(nonce, 0xff, sizeof nonce);
    nonce[14] = 0xf0; /* 3,840 blocks before the wrap of all 128 bits */
    WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
    assert_ok(wh_prg_init(&prg, key, sizeof key, nonce));
    assert_ok(wh_prg_next(&prg, whole, sizeof whole));
    const uint64_t places[] = {0, 4000, 1, 255, 256, 3839, 3840, 3841, 2};
    for (size_t i = 0; i < WH_COUNT(places); i++) {
        assert_ok(wh_prg_seek(&prg, places[i]));
        assert_ok(wh_prg_next(&prg, part, 17));
        assert_ok(wh_prg_next(&prg, part + 17, sizeof part - 17));
        assert_memory_equal(part, whole + places[i] * WH_PRG_BLOCK, sizeof part);
    }
}

static void test_nonces_separate_streams(void **state)
{
    (void)state;
    uint8_t nonce[WH_PRG_NONCE];
    wh_prg_nonce(nonce, 0x0102030405060708u);
    assert_hex(nonce, "01020304050607080000000000000000");
    const uint8_t key[16] = {1};
    uint8_t a[32], b[32];
    WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
    assert_ok(wh_prg_init(&prg, key, sizeof key, nonce));
    assert_ok(wh_prg_next(&prg, a, sizeof a));
    wh_prg_nonce(nonce, 2);
    assert_ok(wh_prg_init(&prg, key, sizeof key, nonce)); /* again: no leak, a fresh stream */
    assert_ok(wh_prg_next(&prg, b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_misuse_is_refused(void **state)
{
    (void)state;
    const uint8_t key[32] = {1};
    WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
    uint8_t out[4];
    assert_int_equal(wh_prg_next(&prg, out, 4), WHIST_E_STATE);
    assert_int_equal(wh_prg_init(&prg, key, 24, key), WHIST_E_ARG);
    assert_ok(wh_prg_init(&prg, key, 32, key));
    assert_ok(wh_prg_next(&prg, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nist_vectors),
        cmocka_unit_test(test_seeking_gives_the_same_stream),
        cmocka_unit_test(test_nonces_separate_streams),
        cmocka_unit_test(test_misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
