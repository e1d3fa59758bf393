/* Tests of codec/idx.h and codec/gzip.h. */
#include "base/file.h"
#include "codec/gzip.h"
#include "codec/idx.h"
#include "test.h"

#include <string.h>

static void test_known_bytes(void **state)
{
    (void)state;
    static const uint8_t file[] = {0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 1, 0xFF, 0xFE, 0x12, 0x34};
    WH_AUTO(wh_idx) idx = WH_IDX_EMPTY;
    assert_ok(wh_idx_read(&idx, (whist_bytes){file, sizeof file}, 100, "known"));
    assert_int_equal(idx.type, WH_DTYPE_I16);
    assert_int_equal(idx.n, 3);
    assert_int_equal(idx.dims[0], 1);
    assert_int_equal(idx.dims[1], 3);
    const int16_t *values = idx.values;
    assert_int_equal(values[0], 1);
    assert_int_equal(values[1], -2);
    assert_int_equal(values[2], 0x1234);
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_ok(wh_idx_write(&out, &idx));
    assert_int_equal(out.len, sizeof file);
    assert_memory_equal(out.data, file, sizeof file);
}

static void test_every_type_survives_with_and_without_gzip(void **state)
{
    (void)state;
    static const wh_dtype types[] = {WH_DTYPE_U8, WH_DTYPE_I8, WH_DTYPE_I16, WH_DTYPE_I32, WH_DTYPE_F32, WH_DTYPE_F64};
    uint8_t bytes[6 * 8];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 37 + 5);
    for (size_t t = 0; t < WH_COUNT(types); t++) {
        wh_idx in = {types[t], 3, {1, 2, 3}, 6, bytes};
        WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
        WH_AUTO(wh_buf) packed = WH_BUF_EMPTY;
        WH_AUTO(wh_idx) back = WH_IDX_EMPTY;
        WH_AUTO(wh_idx) again = WH_IDX_EMPTY;
        assert_ok(wh_idx_write(&file, &in));
        assert_ok(wh_gzip(&packed, wh_buf_view(&file)));
        assert_ok(wh_idx_read(&back, wh_buf_view(&file), 1000, "plain"));
        assert_ok(wh_idx_read(&again, wh_buf_view(&packed), 1000, "packed"));
        assert_int_equal(again.type, types[t]);
        assert_int_equal(again.n_dims, 3);
        assert_memory_equal(back.values, bytes, 6 * wh_dtype_size(types[t]));
        assert_memory_equal(again.values, bytes, 6 * wh_dtype_size(types[t]));
    }
}

static void assert_refused(const uint8_t *file, size_t len)
{
    WH_AUTO(wh_idx) idx = WH_IDX_EMPTY;
    assert_int_equal(wh_idx_read(&idx, (whist_bytes){file, len}, 1000, "bad.idx"), WHIST_E_FORMAT);
    assert_null(idx.values);
    assert_non_null(strstr(whist_detail_get()->text, "bad.idx"));
}

static void test_damage_is_refused(void **state)
{
    (void)state;
    static const uint8_t good[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 7};
    uint8_t bad[16];
    for (size_t len = 0; len < sizeof good; len++) assert_refused(good, len);
    memcpy(bad, good, sizeof good);
    assert_refused(bad, sizeof good + 1); /* a byte too many */
    bad[2] = 7;
    assert_refused(bad, sizeof good);
    bad[2] = 8;
    bad[3] = 9;
    assert_refused(bad, sizeof good);
    static const uint8_t huge[] = {0, 0, 0x0E, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    assert_refused(huge, sizeof huge);
}

static void test_a_bomb_stops_at_the_ceiling(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) zeros = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) bomb = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    uint8_t *bytes;
    assert_ok(wh_buf_grow(&zeros, &bytes, 4 << 20));
    memset(bytes, 0, 4 << 20);
    assert_ok(wh_gzip(&bomb, wh_buf_view(&zeros)));
    assert_true(bomb.len < 8192);
    assert_ok(wh_buf_add(&out, "x", 1));
    assert_int_equal(wh_gunzip(&out, wh_buf_view(&bomb), (4 << 20) - 1, "bomb"), WHIST_E_RANGE);
    assert_int_equal(out.len, 1);
    assert_true(out.cap <= 8 << 20);
    assert_ok(wh_gunzip(&out, wh_buf_view(&bomb), 4 << 20, "bomb"));
    assert_int_equal(out.len, 1 + (4 << 20));
}

static void test_gzip_damage_and_members(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) packed = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_ok(wh_gzip(&packed, (whist_bytes){(const uint8_t *)"hello ", 6}));
    size_t first = packed.len;
    assert_ok(wh_gzip(&packed, (whist_bytes){(const uint8_t *)"world", 5}));
    assert_ok(wh_gunzip(&out, wh_buf_view(&packed), 100, "two"));
    assert_string_equal(wh_buf_str(&out), "hello world");
    wh_buf_reset(&out);
    for (size_t len = 0; len < first; len++)
        assert_int_equal(wh_gunzip(&out, (whist_bytes){packed.data, len}, 100, "cut"), WHIST_E_FORMAT);
    packed.data[first - 8] ^= 1; /* the CRC */
    assert_int_equal(wh_gunzip(&out, (whist_bytes){packed.data, first}, 100, "crc"), WHIST_E_FORMAT);
    assert_int_equal(out.len, 0);
}

static void test_mnist(void **state)
{
    (void)state;
    if (!test_data()) skip();
    char *path;
    assert_ok(wh_path(&path, test_data(), "mnist/t10k-images-idx3-ubyte.gz"));
    WH_AUTO(wh_idx) idx = WH_IDX_EMPTY;
    assert_ok(wh_idx_load(&idx, path, 16 << 20));
    assert_int_equal(idx.type, WH_DTYPE_U8);
    assert_int_equal(idx.n_dims, 3);
    assert_int_equal(idx.dims[0], 10000);
    assert_int_equal(idx.dims[1], 28);
    assert_int_equal(idx.n, 7840000);
    wh_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_every_type_survives_with_and_without_gzip),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_a_bomb_stops_at_the_ceiling),
        cmocka_unit_test(test_gzip_damage_and_members),
        cmocka_unit_test(test_mnist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
