/* Tests of codec/npy.h. */
#include "codec/npy.h"
#include "test.h"

#include <string.h>

/* numpy.save of arange(6, dtype=float32).reshape(2, 3): header of 118 bytes, padded to 128. */
static void test_bytes_are_those_of_numpy(void **state)
{
    (void)state;
    static const char dictionary[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    uint8_t want[128];
    memset(want, ' ', sizeof want);
    memcpy(want, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(want + 10, dictionary, sizeof dictionary - 1);
    want[127] = '\n';
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    float values[6] = {0, 1, 2, 3, 4, 5};
    assert_ok(wh_npy_write(&out, WH_DTYPE_F32, 2, (size_t[]){2, 3}, values));
    assert_int_equal(out.len, 128 + sizeof values);
    assert_memory_equal(out.data, want, 128);
    assert_memory_equal(out.data + 128, values, sizeof values);
}

static void test_every_type_and_rank_survives(void **state)
{
    (void)state;
    static const wh_dtype types[] = {WH_DTYPE_F32, WH_DTYPE_F64, WH_DTYPE_I64, WH_DTYPE_U8};
    static const size_t dims[WH_DIMS_MAX] = {1, 2, 3, 1, 1, 2, 1, 1};
    uint8_t bytes[12 * 8];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 11);
    for (size_t t = 0; t < WH_COUNT(types); t++)
        for (unsigned n_dims = 0; n_dims <= WH_DIMS_MAX; n_dims++) {
            WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
            wh_npy back;
            assert_ok(wh_npy_write(&out, types[t], n_dims, dims, bytes));
            assert_ok(wh_npy_read(&back, wh_buf_view(&out), "array"));
            assert_int_equal(back.type, types[t]);
            assert_int_equal(back.n_dims, n_dims);
            for (unsigned d = 0; d < n_dims; d++) assert_int_equal(back.dims[d], dims[d]);
            assert_memory_equal(back.values.data, bytes, back.values.len);
            assert_int_equal(back.values.len, back.n * wh_dtype_size(types[t]));
        }
}

/* A file of version `version` with this dictionary and n_values bytes of values. */
static whist_status read_with(const char *dictionary, uint8_t version, size_t n_values, wh_npy *out)
{
    uint8_t file[512] = {0x93, 'N', 'U', 'M', 'P', 'Y', version, 0};
    size_t len = strlen(dictionary), front = version == 2 ? 12 : 10;
    file[8] = (uint8_t)len;
    memcpy(file + front, dictionary, len);
    return wh_npy_read(out, (whist_bytes){file, front + len + n_values}, "x.npy");
}

static void test_dictionaries(void **state)
{
    (void)state;
    wh_npy npy;
    assert_ok(read_with("{\"shape\": (3,), 'descr':'|u1','fortran_order':False}\n", 2, 3, &npy));
    assert_int_equal(npy.n, 3);
    assert_ok(read_with("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 7,), }", 1, 0, &npy));
    assert_int_equal(npy.n, 0);
    assert_int_equal(read_with("{'descr': '<f8', 'fortran_order': True, 'shape': (1,), }", 1, 8, &npy),
                     WHIST_E_UNSUPPORTED);
    assert_int_equal(read_with("{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }", 1, 8, &npy),
                     WHIST_E_UNSUPPORTED);
    assert_int_equal(read_with("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 1, 8, &npy),
                     WHIST_E_UNSUPPORTED);
    assert_int_equal(read_with("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", 3, 1, &npy),
                     WHIST_E_UNSUPPORTED);
    static const char *const bad[] = {
        "",
        "{",
        "{}",
        "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '|u1' 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296,4294967296,4294967296)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (1,)}"};
    for (size_t i = 0; i < WH_COUNT(bad); i++)
        if (read_with(bad[i], 1, 1, &npy) != WHIST_E_FORMAT) fail_msg("took %s", bad[i]);
}

static void test_cuts_are_refused(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    wh_npy npy;
    assert_ok(wh_npy_write(&out, WH_DTYPE_U8, 1, (size_t[]){3}, "abc"));
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(wh_npy_read(&npy, (whist_bytes){out.data, len}, "cut"), WHIST_E_FORMAT);
    assert_int_equal(wh_npy_header(&out, WH_DTYPE_I16, 1, (size_t[]){3}), WHIST_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_those_of_numpy),
        cmocka_unit_test(test_every_type_and_rank_survives),
        cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_cuts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
