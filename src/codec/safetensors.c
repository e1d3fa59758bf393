/* codec/safetensors.c: the reader behind codec/safetensors.h. */
#include "codec/safetensors.h"

#include "base/file.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEADER_DEPTH = 3 }; /* {name: {key: [ … ]}} */
static const char metadata_key[] = "__metadata__";

static const struct {
    const char *text;
    wh_dtype type;
} dtypes[] = {{"F32", WH_DTYPE_F32}, {"F64", WH_DTYPE_F64}, {"I64", WH_DTYPE_I64}, {"U8", WH_DTYPE_U8}};

static whist_status keep_text(const char **out, wh_safetensors *file, const char *text)
{
    char *copy;
    WH_TRY(wh_arena_strdup(&copy, &file->memory, text));
    *out = copy;
    return WHIST_OK;
}

static whist_status read_metadata(wh_safetensors *file, wh_json *map, const char *name)
{
    const char *key;
    wh_json *value;
    if (!json_is_object(map)) WH_FAIL(WHIST_E_FORMAT, "%s: its __metadata__ is no map", name);
    if (json_object_size(map) > WH_SAFETENSORS_META_MAX)
        WH_FAIL(WHIST_E_FORMAT, "%s: more than %d pairs of metadata", name, WH_SAFETENSORS_META_MAX);
    WH_TRY(WH_ARENA_NEW(&file->meta, &file->memory, json_object_size(map)));
    json_object_foreach(map, key, value)
    {
        wh_safetensors_meta *pair = &file->meta[file->n_meta];
        if (!json_is_string(value))
            WH_FAIL(WHIST_E_FORMAT, "%s: its __metadata__ holds something else than texts", name);
        WH_TRY(keep_text(&pair->key, file, key));
        WH_TRY(keep_text(&pair->value, file, json_string_value(value)));
        file->n_meta++;
    }
    return WHIST_OK;
}

static whist_status read_dtype(wh_safetensor *tensor, const wh_json *json, const char *name)
{
    const char *text;
    WH_TRY(wh_json_get_text(&text, json, "dtype", name));
    for (size_t i = 0; i < WH_COUNT(dtypes); i++)
        if (strcmp(text, dtypes[i].text) == 0) {
            tensor->type = dtypes[i].type;
            return WHIST_OK;
        }
    WH_FAIL(WHIST_E_UNSUPPORTED, "%s: tensor '%.128s' has an element type other than F32, F64, I64, U8: convert it",
            name, tensor->name);
}

/* Element i of a list as a size. */
static bool size_at(uint64_t *out, const wh_json *list, size_t i)
{
    const wh_json *value = json_array_get(list, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static whist_status read_shape(wh_safetensor *tensor, const wh_json *json, const char *name)
{
    wh_json *list;
    uint64_t dim;
    WH_TRY(wh_json_get_array(&list, json, "shape", name));
    if (json_array_size(list) > WH_DIMS_MAX)
        WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%.128s' has more than %d dimensions", name, tensor->name, WH_DIMS_MAX);
    tensor->n_dims = (unsigned)json_array_size(list);
    for (unsigned i = 0; i < tensor->n_dims; i++) {
        if (!size_at(&dim, list, i) || dim > SIZE_MAX)
            WH_FAIL(WHIST_E_FORMAT, "%s: the shape of tensor '%.128s' is no list of sizes", name, tensor->name);
        tensor->dims[i] = (size_t)dim;
    }
    if (!wh_shape_size(&tensor->n, &tensor->size, tensor->dims, tensor->n_dims, tensor->type))
        WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%.128s' is larger than memory can be", name, tensor->name);
    return WHIST_OK;
}

static whist_status read_place(wh_safetensor *tensor, const wh_safetensors *file, const wh_json *json, const char *name)
{
    wh_json *list;
    uint64_t begin, end;
    WH_TRY(wh_json_get_array(&list, json, "data_offsets", name));
    if (json_array_size(list) != 2 || !size_at(&begin, list, 0) || !size_at(&end, list, 1) || end < begin ||
        end > file->file_size - file->data_offset)
        WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%.128s' lies outside the file: fetch it again", name, tensor->name);
    if (end - begin != tensor->size)
        WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%.128s' has %llu bytes where its shape needs %zu", name, tensor->name,
                (unsigned long long)(end - begin), tensor->size);
    tensor->offset = file->data_offset + begin;
    return WHIST_OK;
}

static whist_status read_tensor(wh_safetensors *file, const char *key, const wh_json *json, const char *name)
{
    wh_safetensor *tensor = &file->tensors[file->n_tensors];
    size_t len = strlen(key);
    if (len == 0 || len > WH_SAFETENSORS_NAME_MAX || !json_is_object(json) || json_object_size(json) != 3)
        WH_FAIL(WHIST_E_FORMAT, "%s: entry %zu of its header is no tensor", name, file->n_tensors + 1);
    WH_TRY(keep_text(&tensor->name, file, key));
    WH_TRY(read_dtype(tensor, json, name));
    WH_TRY(read_shape(tensor, json, name));
    WH_TRY(read_place(tensor, file, json, name));
    file->n_tensors++;
    return WHIST_OK;
}

/* By place; empty tensors before the one that begins at the same byte. */
static int compare_places(const void *a, const void *b)
{
    const wh_safetensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

static whist_status check_cover(wh_safetensors *file, const char *name)
{
    uint64_t at = file->data_offset;
    if (file->n_tensors) qsort(file->tensors, file->n_tensors, sizeof *file->tensors, compare_places);
    for (size_t i = 0; i < file->n_tensors; i++) {
        const wh_safetensor *tensor = &file->tensors[i];
        if (tensor->offset != at)
            WH_FAIL(WHIST_E_FORMAT, "%s: %s tensor '%.128s'", name,
                    tensor->offset > at ? "a hole in front of" : "something overlaps", tensor->name);
        at += tensor->size;
    }
    if (at != file->file_size)
        WH_FAIL(WHIST_E_FORMAT, "%s: %llu bytes behind the last tensor", name,
                (unsigned long long)(file->file_size - at));
    return WHIST_OK;
}

static whist_status read_entries(wh_safetensors *file, wh_json *root, const char *name)
{
    const char *key;
    wh_json *value;
    size_t n = json_object_size(root);
    if (!json_is_object(root)) WH_FAIL(WHIST_E_FORMAT, "%s: its header is no map", name);
    if (n > WH_SAFETENSORS_TENSORS_MAX + 1)
        WH_FAIL(WHIST_E_FORMAT, "%s: more than %d tensors", name, WH_SAFETENSORS_TENSORS_MAX);
    WH_TRY(WH_ARENA_NEW(&file->tensors, &file->memory, n));
    json_object_foreach(root, key, value)
    {
        bool metadata = strcmp(key, metadata_key) == 0;
        WH_TRY(metadata ? read_metadata(file, value, name) : read_tensor(file, key, value, name));
    }
    return check_cover(file, name);
}

/* The length in front, checked against the file and the ceiling. */
static whist_status read_size(uint64_t *header_size, whist_bytes front, uint64_t file_size, const char *name)
{
    wh_cursor cursor = wh_cursor_over(front);
    if (file_size < 8 || wh_take_u64(&cursor, header_size) != WHIST_OK)
        WH_FAIL(WHIST_E_FORMAT, "%s is no safetensors file: it has fewer than 8 bytes", name);
    if (*header_size > WH_SAFETENSORS_HEADER_MAX || *header_size > file_size - 8)
        WH_FAIL(WHIST_E_FORMAT, "%s is no safetensors file, or cut short: its header would have %llu bytes", name,
                (unsigned long long)*header_size);
    return WHIST_OK;
}

whist_status wh_safetensors_read(wh_safetensors *out, whist_bytes front, uint64_t file_size, const char *name)
{
    uint64_t header_size;
    WH_TRY(read_size(&header_size, front, file_size, name));
    if (front.len - 8 < header_size) WH_FAIL(WHIST_E_FORMAT, "%s ends inside its header", name);
    if (header_size == 0 || front.data[8] != '{')
        WH_FAIL(WHIST_E_FORMAT, "%s: its header does not begin with '{'", name);
    WH_AUTO(wh_json_ptr) root = NULL;
    whist_bytes header = {front.data + 8, (size_t)header_size};
    WH_TRY(wh_json_read(&root, header, WH_SAFETENSORS_HEADER_MAX, HEADER_DEPTH, name));
    wh_safetensors file = {.data_offset = 8 + header_size, .file_size = file_size};
    whist_status status = read_entries(&file, root, name);
    if (status == WHIST_OK)
        *out = file;
    else
        wh_safetensors_clear(&file);
    return status;
}

whist_status wh_safetensors_read_fd(wh_safetensors *out, int fd, const char *name)
{
    struct stat st;
    uint8_t first[8], *rest;
    uint64_t header_size;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) WH_FAIL(WHIST_E_IO, "%s is no plain file", name);
    uint64_t file_size = (uint64_t)st.st_size;
    size_t first_size = file_size < 8 ? (size_t)file_size : 8;
    WH_TRY(wh_read_at(fd, first, first_size, 0));
    WH_TRY(read_size(&header_size, (whist_bytes){first, first_size}, file_size, name));
    WH_AUTO(wh_buf) front = WH_BUF_EMPTY;
    WH_TRY(wh_buf_add(&front, first, sizeof first));
    WH_TRY(wh_buf_grow(&front, &rest, (size_t)header_size));
    WH_TRY(wh_read_at(fd, rest, (size_t)header_size, 8));
    return wh_safetensors_read(out, wh_buf_view(&front), file_size, name);
}

void wh_safetensors_clear(wh_safetensors *file)
{
    wh_arena_clear(&file->memory);
    *file = (wh_safetensors)WH_SAFETENSORS_EMPTY;
}

const wh_safetensor *wh_safetensors_find(const wh_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

const char *wh_safetensors_meta_find(const wh_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->n_meta; i++)
        if (strcmp(file->meta[i].key, key) == 0) return file->meta[i].value;
    return NULL;
}
