/* Tests of codec/safetensors.h. */
#include "base/file.h"
#include "codec/safetensors.h"
#include "test.h"

#include <fcntl.h>
#include <string.h>

static void test_bytes_are_as_the_format_says(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"study\":\"ab\"},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                                 "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]}}";
    wh_safetensor tensors[] = {{.name = "w", .type = WH_DTYPE_F32, .n_dims = 2, .dims = {2, 3}},
                               {.name = "n", .type = WH_DTYPE_I64}};
    wh_safetensors_meta meta[] = {{"study", "ab"}};
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_ok(wh_safetensors_header(&out, tensors, 2, meta, 1));
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    assert_int_equal(out.len, 8 + padded);
    assert_int_equal(out.data[0], padded);
    assert_memory_equal(out.data + 8, header, sizeof header - 1);
    for (size_t i = 8 + sizeof header - 1; i < out.len; i++) assert_int_equal(out.data[i], ' ');
    assert_int_equal(tensors[0].offset, out.len);
    assert_int_equal(tensors[0].n, 6);
    assert_int_equal(tensors[1].offset, out.len + 24);
    assert_int_equal(tensors[1].size, 8);
}

static void test_what_is_written_reads_back_from_a_file(void **state)
{
    (void)state;
    wh_safetensor tensors[] = {{.name = "empty", .type = WH_DTYPE_U8, .n_dims = 2, .dims = {0, 9}},
                               {.name = "w\"\xC3\xA9", .type = WH_DTYPE_F64, .n_dims = 1, .dims = {3}},
                               {.name = "mask", .type = WH_DTYPE_U8, .n_dims = 1, .dims = {5}}};
    wh_safetensors_meta meta[] = {{"study", "1234"}, {"kernels", "avx2"}};
    double values[3] = {1, 2.5, -3}, back[3];
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_ok(wh_safetensors_header(&out, tensors, 3, meta, 2));
    assert_ok(wh_buf_add(&out, values, sizeof values));
    assert_ok(wh_buf_add(&out, "\1\2\3\4\5", 5));
    char *dir = test_dir("safetensors"), *path;
    assert_ok(wh_path(&path, dir, "model.safetensors"));
    assert_ok(wh_file_write(path, wh_buf_view(&out), 0600));
    WH_AUTO(wh_fd) fd = -1;
    assert_ok(wh_open(&fd, path, O_RDONLY, 0));
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    assert_ok(wh_safetensors_read_fd(&file, fd, path));
    assert_int_equal(file.n_tensors, 3);
    assert_string_equal(wh_safetensors_meta_find(&file, "kernels"), "avx2");
    assert_null(wh_safetensors_meta_find(&file, "seeds"));
    const wh_safetensor *w = wh_safetensors_find(&file, "w\"\xC3\xA9");
    assert_non_null(w);
    assert_int_equal(w->type, WH_DTYPE_F64);
    assert_int_equal(w->offset, tensors[1].offset);
    assert_ok(wh_read_at(fd, back, w->size, w->offset));
    assert_memory_equal(back, values, sizeof values);
    assert_int_equal(wh_safetensors_find(&file, "empty")->n, 0);
    assert_null(wh_safetensors_find(&file, "nothing"));
    for (size_t len = 0; len < out.len; len++) {
        WH_AUTO(wh_safetensors) cut = WH_SAFETENSORS_EMPTY;
        assert_int_equal(wh_safetensors_read(&cut, (whist_bytes){out.data, len}, len, "cut"), WHIST_E_FORMAT);
    }
    assert_ok(wh_tree_remove(dir));
    wh_free(path);
    test_dir_free(dir);
}

/* A file with this header and n_data zero bytes. */
static whist_status read_with(const char *header, size_t n_data)
{
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_TRY(wh_buf_u64(&out, strlen(header)));
    WH_TRY(wh_buf_add(&out, header, strlen(header)));
    return wh_safetensors_read(&file, wh_buf_view(&out), out.len + n_data, "bad");
}

static void assert_refused(const char *header, size_t n_data, const char *why)
{
    if (read_with(header, n_data) != WHIST_E_FORMAT) fail_msg("took %s", header);
    if (!strstr(whist_detail_get()->text, why)) fail_msg("'%s' lacks '%s'", whist_detail_get()->text, why);
}

#define U8(name, n, from, to) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #n "],\"data_offsets\":[" #from "," #to "]}"

static void test_every_offset_is_checked(void **state)
{
    (void)state;
    assert_ok(read_with("{" U8("b", 2, 3, 5) "," U8("a", 3, 0, 3) "}", 5));
    assert_ok(read_with("{}", 0));
    assert_refused("{" U8("a", 3, 0, 3) "," U8("b", 2, 4, 6) "}", 6, "a hole in front of tensor 'b'");
    assert_refused("{" U8("a", 3, 0, 3) "," U8("b", 2, 2, 4) "}", 4, "overlaps tensor 'b'");
    assert_refused("{" U8("a", 3, 0, 3) "}", 4, "1 bytes behind");
    assert_refused("{" U8("a", 3, 1, 4) "}", 4, "a hole");
    assert_refused("{" U8("a", 3, 0, 3) "}", 2, "outside the file");
    assert_refused("{" U8("a", 3, 3, 0) "}", 3, "outside the file");
    assert_refused("{" U8("a", 2, 0, 3) "}", 3, "its shape needs 2");
    assert_refused("{" U8("a", 3, 0, 3) "," U8("a", 3, 0, 3) "}", 3, "duplicate");
    assert_refused("{" U8("a", -1, 0, 3) "}", 3, "no list of sizes");
    assert_refused("{" U8("a", 1.5, 0, 3) "}", 3, "no list of sizes");
    assert_refused("{" U8("a", 9223372036854775807, 0, 3) "}", 3, "its shape needs");
    assert_refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
                   "larger than memory");
    assert_refused("{" U8("a", 18446744073709551615, 0, 3) "}", 3, "JSON");
    assert_refused("{" U8("", 3, 0, 3) "}", 3, "no tensor");
    assert_refused("{\"a\":1}", 0, "no tensor");
    assert_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1, "no tensor");
    assert_refused("{\"__metadata__\":{\"a\":1}}", 0, "something else than texts");
    assert_refused("{\"__metadata__\":[]}", 0, "no map");
    assert_refused(" {}", 0, "does not begin with '{'");
    assert_refused("", 0, "does not begin with '{'");
    assert_int_equal(read_with("{\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2),
                     WHIST_E_UNSUPPORTED);
}

static void test_a_large_header_is_not_believed(void **state)
{
    (void)state;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    uint8_t front[16] = {255, 255, 255, 255, 255, 255, 255, 255, '{'};
    assert_int_equal(wh_safetensors_read(&file, (whist_bytes){front, 16}, UINT64_MAX, "huge"), WHIST_E_FORMAT);
    memcpy(front, "\1\0\0\1\0\0\0\0", 8); /* 16 MiB + 1 */
    assert_int_equal(wh_safetensors_read(&file, (whist_bytes){front, 16}, UINT64_MAX, "huge"), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "16777217"));
}

static void test_the_writer_refuses_what_no_reader_takes(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    wh_safetensor twice[] = {{.name = "a", .type = WH_DTYPE_U8}, {.name = "a", .type = WH_DTYPE_U8}};
    assert_int_equal(wh_safetensors_header(&out, twice, 2, NULL, 0), WHIST_E_ARG);
    twice[0].name = "__metadata__";
    assert_int_equal(wh_safetensors_header(&out, twice, 2, NULL, 0), WHIST_E_ARG);
    twice[0].name = "\xFF";
    assert_int_equal(wh_safetensors_header(&out, twice, 2, NULL, 0), WHIST_E_ARG);
    twice[0].name = "b";
    twice[0].type = WH_DTYPE_I16;
    assert_int_equal(wh_safetensors_header(&out, twice, 2, NULL, 0), WHIST_E_ARG);
    twice[0] = (wh_safetensor){.name = "b", .type = WH_DTYPE_U8, .n_dims = 2, .dims = {SIZE_MAX, 2}};
    assert_int_equal(wh_safetensors_header(&out, twice, 2, NULL, 0), WHIST_E_RANGE);
    assert_int_equal(out.len, 0);
}

static void test_every_failed_allocation_is_survived(void **state)
{
    (void)state;
    whist_status status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status == WHIST_E_NOMEM; n++) {
        wh_alloc_fail_after(n);
        status = read_with("{\"__metadata__\":{\"a\":\"b\"}," U8("a", 3, 0, 3) "," U8("b", 2, 3, 5) "}", 5);
        assert_true(n < 100);
    }
    wh_alloc_fail_after(0);
    assert_int_equal(status, WHIST_OK);
    wh_safetensor tensors[] = {{.name = "a", .type = WH_DTYPE_U8, .n_dims = 1, .dims = {3}}};
    status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status == WHIST_E_NOMEM; n++) {
        WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
        wh_alloc_fail_after(n);
        status = wh_safetensors_header(&out, tensors, 1, NULL, 0);
        if (status != WHIST_OK) assert_int_equal(out.len, 0);
        assert_true(n < 100);
    }
    wh_alloc_fail_after(0);
    assert_int_equal(status, WHIST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_as_the_format_says),
        cmocka_unit_test(test_what_is_written_reads_back_from_a_file),
        cmocka_unit_test(test_every_offset_is_checked),
        cmocka_unit_test(test_a_large_header_is_not_believed),
        cmocka_unit_test(test_the_writer_refuses_what_no_reader_takes),
        cmocka_unit_test(test_every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
