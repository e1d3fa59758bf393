/* run/model_file_test.c: models as files: round trip, metadata, and files that must be refused. */
#include "run/run_test.h"

#include "codec/safetensors.h"

#include <fcntl.h>
#include <math.h>

typedef struct fixture {
    wh_test_plan t;
    char *dir, *path;
    float params[4];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.dir = test_dir("model"), .params = {0.5f, -1.25f, 3e-39f, -0.0f}};
    test_plan_new(&f.t);
    assert_int_equal(whist_model_size(f.t.model), 4);
    assert_ok(wh_path(&f.path, f.dir, "final.safetensors"));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    test_plan_clear(&f->t);
    wh_free(f->path);
    assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    return 0;
}

static void round_trip(void **state)
{
    fixture *f = *state;
    float back[4] = {9, 9, 9, 9};
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, NULL));
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, NULL)); /* over itself */
    assert_ok(whist_model_load(back, f->path, f->t.model));
    assert_memory_equal(back, f->params, sizeof back);
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&part, "%s.part", f->path));
    assert_false(wh_file_exists(wh_buf_str(&part)));
}

static void metadata_tells_where_it_came_from(void **state)
{
    fixture *f = *state;
    const whist_model_meta extra[] = {{"rounds", "30"}, {"note", "\xc3\xa9"}, {NULL, NULL}};
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, extra));
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    assert_ok(wh_open(&fd, f->path, O_RDONLY, 0));
    assert_ok(wh_safetensors_read_fd(&file, fd, f->path));
    char hex[65];
    wh_hex(hex, f->t.plan.study, 32);
    assert_string_equal(wh_safetensors_meta_find(&file, "study"), hex);
    assert_string_equal(wh_safetensors_meta_find(&file, "study_name"), "hearts");
    assert_string_equal(wh_safetensors_meta_find(&file, "seed"), "7");
    assert_string_equal(wh_safetensors_meta_find(&file, "strategy"), f->t.plan.strategy->name);
    assert_string_equal(wh_safetensors_meta_find(&file, "learner"), f->t.plan.learner->name);
    assert_string_equal(wh_safetensors_meta_find(&file, "whist"), whist_version());
    assert_non_null(wh_safetensors_meta_find(&file, "kernels"));
    assert_string_equal(wh_safetensors_meta_find(&file, "rounds"), "30");
    assert_string_equal(wh_safetensors_meta_find(&file, "note"), "\xc3\xa9");
}

static void a_save_that_fails_leaves_the_old_file(void **state)
{
    fixture *f = *state;
    float back[4];
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, NULL));
    float bad[4] = {1, NAN, 1, 1};
    assert_int_equal(whist_model_save(f->path, &f->t.plan, bad, NULL, NULL), WHIST_E_RANGE);
    const whist_model_meta twice[] = {{"study", "mine"}, {NULL, NULL}};
    assert_int_equal(whist_model_save(f->path, &f->t.plan, f->params, NULL, twice), WHIST_E_ARG);
    assert_ok(whist_model_load(back, f->path, f->t.model));
    assert_memory_equal(back, f->params, sizeof back);
    assert_int_equal(whist_model_save("/nowhere/at/all", &f->t.plan, f->params, NULL, NULL), WHIST_E_IO);
}

static void pooled_moments_come_back(void **state)
{
    fixture *f = *state;
    float back[4], moments[6] = {1.5f, -2, 0.1f, 3, 0, 7};
    double mean[3], sd[3];
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, moments, NULL));
    assert_ok(whist_model_load(back, f->path, f->t.model));
    assert_memory_equal(back, f->params, sizeof back);
    assert_ok(whist_model_load_moments(mean, sd, f->path, 3));
    for (size_t j = 0; j < 3; j++) assert_true(mean[j] == (double)moments[j] && sd[j] == (double)moments[3 + j]);
    double kept[2] = {9, 9};
    assert_int_equal(whist_model_load_moments(kept, kept, f->path, 2), WHIST_E_FORMAT);
    assert_says("'standardize.mean' is (3) and the model's is (2)");
    moments[4] = -1; /* no standard deviation */
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, moments, NULL));
    assert_int_equal(whist_model_load_moments(mean, sd, f->path, 3), WHIST_E_FORMAT);
    moments[4] = NAN;
    assert_int_equal(whist_model_save(f->path, &f->t.plan, f->params, moments, NULL), WHIST_E_RANGE);
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, NULL));
    assert_int_equal(whist_model_load_moments(kept, kept, f->path, 2), WHIST_E_STATE);
    assert_true(kept[0] == 9 && kept[1] == 9);
}

static void metadata_are_read_by_key(void **state)
{
    fixture *f = *state;
    char value[65] = "as before", hex[65];
    const whist_model_meta extra[] = {{"note", "a \"quoted\" word"}, {NULL, NULL}};
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, extra));
    wh_hex(hex, f->t.plan.study, 32);
    assert_ok(whist_model_metadata(value, sizeof value, f->path, "study"));
    assert_string_equal(value, hex);
    assert_ok(whist_model_metadata(value, sizeof value, f->path, "note"));
    assert_string_equal(value, "a \"quoted\" word");
    assert_int_equal(whist_model_metadata(value, 64, f->path, "study"), WHIST_E_RANGE);
    assert_string_equal(value, "a \"quoted\" word");
    assert_ok(whist_model_metadata(value, sizeof value, f->path, "absent"));
    assert_string_equal(value, "");
    assert_ok(wh_file_write(f->path, wh_text_bytes("no model"), 0644));
    assert_int_equal(whist_model_metadata(value, sizeof value, f->path, "study"), WHIST_E_FORMAT);
}

/* ---- Files that must be refused */

static void write_tensors(fixture *f, const wh_safetensor *tensors, size_t n, const void *values, size_t len)
{
    wh_safetensor copy[4];
    memcpy(copy, tensors, n * sizeof *tensors);
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    assert_ok(wh_safetensors_header(&bytes, copy, n, NULL, 0));
    assert_ok(wh_buf_add(&bytes, values, len));
    assert_ok(wh_file_write(f->path, wh_buf_view(&bytes), 0644));
}

static void refused(fixture *f, const char *words)
{
    float back[4] = {7, 7, 7, 7};
    assert_int_equal(whist_model_load(back, f->path, f->t.model), WHIST_E_FORMAT);
    assert_says(words);
    for (size_t i = 0; i < 4; i++) assert_true(back[i] == 7); /* untouched */
}

static void other_tensors_are_named(void **state)
{
    fixture *f = *state;
    size_t n;
    const whist_tensor_info *info = whist_model_tensors(f->t.model, &n);
    assert_int_equal(n, 2);
    float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char words[200];
    wh_safetensor good[3] = {
        {.name = info[0].name, .type = WH_DTYPE_F32, .n_dims = (unsigned)info[0].n_dims},
        {.name = info[1].name, .type = WH_DTYPE_F32, .n_dims = (unsigned)info[1].n_dims},
        {.name = "extra", .type = WH_DTYPE_F32, .n_dims = 1, .dims = {2}},
    };
    memcpy(good[0].dims, info[0].shape, sizeof(size_t) * info[0].n_dims);
    memcpy(good[1].dims, info[1].shape, sizeof(size_t) * info[1].n_dims);

    /* In the other order it is the same model. */
    wh_safetensor swapped[2] = {good[1], good[0]};
    float back[4];
    write_tensors(f, swapped, 2, values, 16);
    assert_ok(whist_model_load(back, f->path, f->t.model));
    float expected[4] = {2, 3, 4, 1};
    assert_memory_equal(back, expected, sizeof back);

    write_tensors(f, good, 3, values, 24);
    refused(f, "tensor 'extra' (2) is none of the model's");
    write_tensors(f, good, 1, values, 12);
    snprintf(words, sizeof words, "tensor '%s' (1) of the model is missing", info[1].name);
    refused(f, words);
    wh_safetensor wide[2] = {good[0], good[1]};
    wide[0].dims[0] = 5;
    write_tensors(f, wide, 2, values, 24);
    snprintf(words, sizeof words, "tensor '%s' is (5,1) and the model's is (3,1)", info[0].name);
    refused(f, words);
    wh_safetensor whole[2] = {good[0], good[1]};
    whole[1].type = WH_DTYPE_I64;
    write_tensors(f, whole, 2, values, 20);
    refused(f, "is not of 32-bit floats");
    values[2] = INFINITY;
    write_tensors(f, good, 2, values, 16);
    refused(f, "value 2 of tensor");
}

/* Cut anywhere, or with any bit of it changed: refused, or another finite model, and never more than that. */
static void damaged_files_do_no_harm(void **state)
{
    fixture *f = *state;
    assert_ok(whist_model_save(f->path, &f->t.plan, f->params, NULL, NULL));
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    assert_ok(wh_file_read(&bytes, f->path, 1 << 20));
    float back[4];
    for (size_t cut = 0; cut < bytes.len; cut++) {
        WH_AUTO(wh_fd) fd = -1;
        assert_ok(wh_open(&fd, f->path, O_WRONLY | O_TRUNC, 0));
        assert_ok(wh_write_at(fd, bytes.data, cut, 0));
        assert_int_equal(whist_model_load(back, f->path, f->t.model), WHIST_E_FORMAT);
    }
    for (size_t i = 0; i < bytes.len * 8; i++) {
        WH_AUTO(wh_fd) fd = -1;
        assert_ok(wh_open(&fd, f->path, O_WRONLY, 0));
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_ok(wh_write_at(fd, bytes.data, bytes.len, 0));
        bytes.data[i / 8] ^= (uint8_t)(1u << i % 8);
        if (whist_model_load(back, f->path, f->t.model) != WHIST_OK) continue;
        for (size_t k = 0; k < 4; k++) assert_true(isfinite(back[k]));
    }
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(round_trip),
        ROW(metadata_tells_where_it_came_from),
        ROW(pooled_moments_come_back),
        ROW(metadata_are_read_by_key),
        ROW(a_save_that_fails_leaves_the_old_file),
        ROW(other_tensors_are_named),
        ROW(damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
