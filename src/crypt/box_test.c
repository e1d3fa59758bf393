/* Tests of crypt/box: known answers, files, and that nothing opens that was changed, cut or put in another order. */
#include "base/file.h"
#include "crypt/box.h"
#include "crypt/kat.h"
#include "crypt/keyfile.h"
#include "test.h"

#include <sys/stat.h>

static whist_bytes bytes_of(const void *data, size_t len)
{
    return (whist_bytes){data, len};
}

/* The key pair of RFC 7748, 6.1 (Alice); the box of PyNaCl's tests/data/sealed_box_ref.txt, made to that key. */
static void known_answers(void **state)
{
    (void)state;
    WH_AUTO(wh_box_key_ptr) key = NULL;
    uint8_t out[256];
    wh_kat secret = kat_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    wh_kat box = kat_hex("199c808806a62c1be56951023ad3396b0ce0ef2c5b9ca688ac96d2d06ca43f65d314400cc9bbefb23dd26f824c9c"
                         "b553f81e8c894ea9a553f4d777c77b66d5a6925da3f5961c5f7147172db5597ac14210066ee3ee13e6230a9a9610"
                         "e9cddbf24094f54fbbf6694c08a436cec39ff5a373656d9584f4df9dd8c817e2e597540628d0ee21a6524a3fcf3e"
                         "abdc0968390bd260a47366ead7f71cc2e774d411d96f3497c7e10291937bc16dc46a111686b85a8c86");
    assert_int_equal(box.len, 131 + WH_BOX_MORE);
    assert_ok(wh_box_key_from_secret(&key, secret.data));
    assert_hex(key->public_key, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_ok(wh_box_open(out, key, bytes_of(box.data, box.len)));
    assert_hex(out, "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296c"
                    "dc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde0489"
                    "77eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705");
}

static void boxes(void **state)
{
    (void)state;
    WH_AUTO(wh_box_key_ptr) key = NULL;
    WH_AUTO(wh_box_key_ptr) other = NULL;
    uint8_t text[32] = "what only one key opens", box[80], again[80], out[32];
    static const uint8_t nothing[32], small[32] = {1}; /* points of small order */
    assert_ok(wh_box_key_new(&key));
    assert_ok(wh_box_key_new(&other));
    assert_ok(wh_box_seal(box, key->public_key, bytes_of(text, 32)));
    assert_ok(wh_box_seal(again, key->public_key, bytes_of(text, 32)));
    assert_memory_not_equal(box, again, 80);
    assert_ok(wh_box_open(out, key, bytes_of(box, 80)));
    assert_memory_equal(out, text, 32);
    assert_int_equal(wh_box_open(out, other, bytes_of(box, 80)), WHIST_E_AUTH);
    assert_int_equal(wh_box_open(out, key, bytes_of(box, 47)), WHIST_E_AUTH);
    for (size_t bit = 0; bit < 640; bit += 3) {
        box[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memset(out, 0x55, sizeof out);
        whist_status status = wh_box_open(out, key, bytes_of(box, 80));
        box[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(status, WHIST_E_AUTH);
        for (size_t i = 0; i < 32; i++) assert_int_equal(out[i], 0);
    }
    assert_int_equal(wh_box_seal(box, nothing, bytes_of(text, 32)), WHIST_E_ARG);
    assert_int_equal(wh_box_seal(box, small, bytes_of(text, 32)), WHIST_E_ARG);
}

static void files(void **state)
{
    (void)state;
    char *dir = test_dir("box"), *path = NULL, *signing = NULL;
    WH_AUTO(wh_box_key_ptr) key = NULL;
    WH_AUTO(wh_box_key_ptr) back = NULL;
    WH_AUTO(whist_crypt_key_ptr) sign = NULL;
    struct stat st;
    assert_ok(wh_path(&path, dir, "seal.pem"));
    assert_ok(wh_path(&signing, dir, "key.pem"));
    assert_ok(wh_box_key_new(&key));
    assert_ok(wh_box_key_save(key, path, "a long passphrase"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(wh_box_key_save(key, path, NULL), WHIST_E_STATE);
    assert_int_equal(wh_box_key_load(&back, path, NULL), WHIST_E_AUTH);
    assert_ok(wh_box_key_load(&back, path, "a long passphrase"));
    assert_memory_equal(back->public_key, key->public_key, 32);
    /* One kind never stands for the other. */
    assert_int_equal(whist_crypt_key_load(&sign, path, "a long passphrase"), WHIST_E_FORMAT);
    assert_ok(whist_crypt_key_new(&sign));
    assert_ok(whist_crypt_key_save(sign, signing, NULL));
    wh_box_key_free(back);
    back = NULL;
    assert_int_equal(wh_box_key_load(&back, signing, NULL), WHIST_E_FORMAT);
    wh_free(path);
    wh_free(signing);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

enum { CHUNK = 64, SEALED = CHUNK + WH_STREAM_MORE };

static void streams(void **state)
{
    (void)state;
    static const uint8_t key[WH_STREAM_KEY] = {7};
    uint8_t head[WH_STREAM_HEAD], text[3][CHUNK] = {"one", "two", "three"}, sealed[3][SEALED], out[CHUNK];
    static const int orders[][3] = {{0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {0, 0, 1}, {1, 2, 2}};
    const whist_bytes aad = bytes_of("head", 4), other = bytes_of("heap", 4);
    wh_stream stream;
    wh_stream_seal_begin(&stream, head, key);
    for (int i = 0; i < 3; i++) assert_ok(wh_stream_seal(sealed[i], &stream, aad, bytes_of(text[i], CHUNK), i == 2));
    for (size_t o = 0; o < WH_COUNT(orders); o++) {
        bool good = true;
        assert_ok(wh_stream_open_begin(&stream, head, key));
        for (int i = 0; i < 3 && good; i++) {
            memset(out, 0x55, CHUNK);
            good = wh_stream_open(out, &stream, aad, bytes_of(sealed[orders[o][i]], SEALED), i == 2) == WHIST_OK;
            for (size_t j = 0; j < CHUNK; j++) assert_int_equal(out[j], good ? text[orders[o][i]][j] : 0);
        }
        assert_int_equal(good, o == 0);
    }
    /* Ended early; another head; a short chunk. */
    assert_ok(wh_stream_open_begin(&stream, head, key));
    assert_int_equal(wh_stream_open(out, &stream, aad, bytes_of(sealed[0], SEALED), true), WHIST_E_AUTH);
    assert_ok(wh_stream_open_begin(&stream, head, key));
    assert_int_equal(wh_stream_open(out, &stream, other, bytes_of(sealed[0], SEALED), false), WHIST_E_AUTH);
    assert_int_equal(wh_stream_open(out, &stream, aad, bytes_of(sealed[0], WH_STREAM_MORE - 1), false), WHIST_E_AUTH);
    wh_stream_clear(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(boxes),
        cmocka_unit_test(files),
        cmocka_unit_test(streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
