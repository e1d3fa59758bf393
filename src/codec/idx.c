/* codec/idx.c: the reader and writer behind codec/idx.h. Source: http://yann.lecun.com/exdb/mnist,
 * "The IDX file format". */
#include "codec/idx.h"

#include "base/file.h"
#include "codec/gzip.h"

#include <string.h>

/* The third byte of a file, by our type; I64 is not in the format. */
static const uint8_t codes[] = {
    [WH_DTYPE_U8] = 0x08,  [WH_DTYPE_I8] = 0x09,  [WH_DTYPE_I16] = 0x0B,
    [WH_DTYPE_I32] = 0x0C, [WH_DTYPE_F32] = 0x0D, [WH_DTYPE_F64] = 0x0E,
};

/* Big-endian to host or back: turns the bytes of each element round. `to` may be `from`. */
static void swap_elements(uint8_t *to, const uint8_t *from, size_t n, size_t size)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    if (size == 1 && to != from && n > 0) memcpy(to, from, n);
    for (size_t i = 0; size == 2 && i < n; i++) {
        memcpy(&two, from + 2 * i, 2);
        two = __builtin_bswap16(two);
        memcpy(to + 2 * i, &two, 2);
    }
    for (size_t i = 0; size == 4 && i < n; i++) {
        memcpy(&four, from + 4 * i, 4);
        four = __builtin_bswap32(four);
        memcpy(to + 4 * i, &four, 4);
    }
    for (size_t i = 0; size == 8 && i < n; i++) {
        memcpy(&eight, from + 8 * i, 8);
        eight = __builtin_bswap64(eight);
        memcpy(to + 8 * i, &eight, 8);
    }
}

static whist_status read_header(wh_idx *idx, wh_cursor *file, const char *name)
{
    whist_bytes magic;
    if (wh_take_bytes(file, &magic, 4) != WHIST_OK || magic.data[0] != 0 || magic.data[1] != 0)
        WH_FAIL(WHIST_E_FORMAT, "%s is no IDX file: it does not begin with two zero bytes", name);
    size_t type = 0;
    while (type < WH_COUNT(codes) && (codes[type] == 0 || codes[type] != magic.data[2])) type++;
    if (type == WH_COUNT(codes))
        WH_FAIL(WHIST_E_FORMAT, "%s: unknown element type 0x%02x at byte 2", name, magic.data[2]);
    idx->type = (wh_dtype)type;
    idx->n_dims = magic.data[3];
    if (idx->n_dims > WH_DIMS_MAX)
        WH_FAIL(WHIST_E_FORMAT, "%s: %u dimensions at byte 3, at most %d are read", name, idx->n_dims, WH_DIMS_MAX);
    for (unsigned i = 0; i < WH_DIMS_MAX; i++) {
        uint32_t dim = 1;
        if (i < idx->n_dims && wh_take_u32be(file, &dim) != WHIST_OK)
            WH_FAIL(WHIST_E_FORMAT, "%s ends inside its header: fetch it again", name);
        idx->dims[i] = dim;
    }
    return WHIST_OK;
}

static whist_status read_plain(wh_idx *out, whist_bytes file, size_t max, const char *name)
{
    wh_idx idx = WH_IDX_EMPTY;
    size_t n_bytes;
    wh_cursor cursor = wh_cursor_over(file);
    if (file.len > max) WH_FAIL(WHIST_E_RANGE, "%s is larger than the allowed %zu bytes", name, max);
    WH_TRY(read_header(&idx, &cursor, name));
    if (!wh_shape_size(&idx.n, &n_bytes, idx.dims, idx.n_dims, idx.type) || n_bytes != wh_cursor_left(&cursor))
        WH_FAIL(WHIST_E_FORMAT,
                "%s: its header promises another size than the %zu bytes of values it has: fetch it again", name,
                wh_cursor_left(&cursor));
    WH_TRY(wh_alloc_raw(&idx.values, n_bytes, 1));
    swap_elements(idx.values, cursor.at, idx.n, wh_dtype_size(idx.type));
    *out = idx;
    return WHIST_OK;
}

whist_status wh_idx_read(wh_idx *out, whist_bytes file, size_t max, const char *name)
{
    if (!wh_is_gzip(file)) return read_plain(out, file, max, name);
    WH_AUTO(wh_buf) inflated = WH_BUF_EMPTY;
    WH_TRY(wh_gunzip(&inflated, file, max, name));
    return read_plain(out, wh_buf_view(&inflated), max, name);
}

whist_status wh_idx_load(wh_idx *out, const char *path, size_t max)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    WH_TRY(wh_file_read(&file, path, max));
    return wh_idx_read(out, wh_buf_view(&file), max, path);
}

void wh_idx_clear(wh_idx *idx)
{
    wh_free(idx->values);
    *idx = (wh_idx)WH_IDX_EMPTY;
}

whist_status wh_idx_write(wh_buf *out, const wh_idx *idx)
{
    size_t n, n_bytes;
    WH_ENSURE(idx->n_dims <= WH_DIMS_MAX && idx->type < WH_COUNT(codes) && codes[idx->type], WHIST_E_ARG);
    WH_ENSURE(wh_shape_size(&n, &n_bytes, idx->dims, idx->n_dims, idx->type), WHIST_E_ARG);
    for (unsigned i = 0; i < idx->n_dims; i++) WH_ENSURE(idx->dims[i] <= UINT32_MAX, WHIST_E_ARG);
    uint8_t *to;
    WH_TRY(wh_buf_grow(out, &to, 4 + 4 * idx->n_dims + n_bytes));
    to[0] = to[1] = 0;
    to[2] = codes[idx->type];
    to[3] = (uint8_t)idx->n_dims;
    for (unsigned i = 0; i < idx->n_dims; i++) {
        uint32_t dim = __builtin_bswap32((uint32_t)idx->dims[i]);
        memcpy(to + 4 + 4 * i, &dim, 4);
    }
    swap_elements(to + 4 + 4 * idx->n_dims, idx->values, n, wh_dtype_size(idx->type));
    return WHIST_OK;
}
