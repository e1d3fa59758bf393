/* codec/safetensors_write.c: the writer behind codec/safetensors.h. */
#include "codec/json.h"
#include "codec/safetensors.h"

#include <stdlib.h>
#include <string.h>

static const char *dtype_name(wh_dtype type)
{
    switch (type) {
    case WH_DTYPE_F32: return "F32";
    case WH_DTYPE_F64: return "F64";
    case WH_DTYPE_I64: return "I64";
    case WH_DTYPE_U8: return "U8";
    default: return NULL;
    }
}

static whist_status check_tensor(const wh_safetensor *tensor)
{
    size_t len = tensor->name ? strlen(tensor->name) : 0;
    if (len == 0 || len > WH_SAFETENSORS_NAME_MAX || strcmp(tensor->name, "__metadata__") == 0)
        WH_FAIL(WHIST_E_ARG, "a tensor's name has 1 to %d bytes and is not __metadata__", WH_SAFETENSORS_NAME_MAX);
    if (tensor->n_dims > WH_DIMS_MAX || !dtype_name(tensor->type))
        WH_FAIL(WHIST_E_ARG, "tensor '%s' has another type or more dimensions than the file can keep", tensor->name);
    return WHIST_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* No name twice: sorts pointers to them. */
static whist_status check_different(const char **names, size_t n)
{
    if (n) qsort(names, n, sizeof *names, compare_texts);
    for (size_t i = 1; i < n; i++)
        if (strcmp(names[i - 1], names[i]) == 0) WH_FAIL(WHIST_E_ARG, "'%.128s' is there twice", names[i]);
    return WHIST_OK;
}

static whist_status check_all(const wh_safetensor *tensors, size_t n_tensors, const wh_safetensors_meta *meta,
                              size_t n_meta)
{
    if (n_tensors > WH_SAFETENSORS_TENSORS_MAX || n_meta > WH_SAFETENSORS_META_MAX)
        WH_FAIL(WHIST_E_RANGE, "%zu tensors and %zu pairs of metadata: at most %d and %d fit", n_tensors, n_meta,
                WH_SAFETENSORS_TENSORS_MAX, WH_SAFETENSORS_META_MAX);
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n_tensors + n_meta + 1, sizeof(char *)));
    const char **names = memory;
    for (size_t i = 0; i < n_tensors; i++) {
        WH_TRY(check_tensor(&tensors[i]));
        names[i] = tensors[i].name;
    }
    WH_TRY(check_different(names, n_tensors));
    for (size_t i = 0; i < n_meta; i++) {
        WH_ENSURE(meta[i].key && meta[i].value, WHIST_E_ARG);
        names[i] = meta[i].key;
    }
    return check_different(names, n_meta);
}

static void write_metadata(whist_json *json, const wh_safetensors_meta *meta, size_t n_meta)
{
    if (n_meta == 0) return;
    whist_json_key(json, "__metadata__");
    whist_json_begin_object(json);
    for (size_t i = 0; i < n_meta; i++) {
        whist_json_key(json, meta[i].key);
        whist_json_text(json, meta[i].value);
    }
    whist_json_end_object(json);
}

/* *at: where the tensor begins in the data; moved to its end. */
static whist_status write_tensor(whist_json *json, const wh_safetensor *tensor, uint64_t *at)
{
    size_t n, size;
    uint64_t end;
    if (!wh_shape_size(&n, &size, tensor->dims, tensor->n_dims, tensor->type) ||
        __builtin_add_overflow(*at, size, &end) || end > INT64_MAX)
        WH_FAIL(WHIST_E_RANGE, "tensor '%s' is larger than a file can be", tensor->name);
    whist_json_key(json, tensor->name);
    whist_json_begin_object(json);
    whist_json_key(json, "dtype");
    whist_json_text(json, dtype_name(tensor->type));
    whist_json_key(json, "shape");
    whist_json_begin_array(json);
    for (unsigned i = 0; i < tensor->n_dims; i++) whist_json_uint(json, tensor->dims[i]);
    whist_json_end_array(json);
    whist_json_key(json, "data_offsets");
    whist_json_begin_array(json);
    whist_json_uint(json, *at);
    whist_json_uint(json, end);
    whist_json_end_array(json);
    whist_json_end_object(json);
    *at = end;
    return WHIST_OK;
}

static whist_status write_header(wh_buf *text, const wh_safetensor *tensors, size_t n_tensors,
                                 const wh_safetensors_meta *meta, size_t n_meta)
{
    whist_json json;
    uint64_t at = 0;
    wh_json_writer_init(&json, text);
    whist_json_begin_object(&json);
    write_metadata(&json, meta, n_meta);
    for (size_t i = 0; i < n_tensors; i++) WH_TRY(write_tensor(&json, &tensors[i], &at));
    whist_json_end_object(&json);
    /* Text that is not UTF-8 is the caller's mistake here. */
    whist_status status = whist_json_finish(&json, NULL);
    if (status == WHIST_E_FORMAT) return wh_fail_context(WHIST_E_ARG, "a name or text for a safetensors file: ");
    WH_TRY(status);
    while (text->len % 8) WH_TRY(wh_buf_add(text, " ", 1));
    return WHIST_OK;
}

whist_status wh_safetensors_header(wh_buf *out, wh_safetensor *tensors, size_t n_tensors,
                                   const wh_safetensors_meta *meta, size_t n_meta)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    uint8_t *to;
    WH_TRY(check_all(tensors, n_tensors, meta, n_meta));
    WH_TRY(write_header(&text, tensors, n_tensors, meta, n_meta));
    if (text.len > WH_SAFETENSORS_HEADER_MAX)
        WH_FAIL(WHIST_E_RANGE, "a header of more than %d bytes: shorten names and metadata", WH_SAFETENSORS_HEADER_MAX);
    uint64_t header_size = text.len, at = 8 + header_size;
    WH_TRY(wh_buf_grow(out, &to, 8 + text.len));
    memcpy(to, &header_size, 8);
    memcpy(to + 8, text.data, text.len);
    for (size_t i = 0; i < n_tensors; i++) {
        (void)wh_shape_size(&tensors[i].n, &tensors[i].size, tensors[i].dims, tensors[i].n_dims, tensors[i].type);
        tensors[i].offset = at;
        at += tensors[i].size;
    }
    return WHIST_OK;
}
