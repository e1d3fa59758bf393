/* codec/npy.c: the reader and writer behind codec/npy.h. Source: numpy.lib.format.
 *
 * The header is a Python literal. Only the dictionaries that NumPy itself writes are read: three
 * known keys, each once, in any order. */
#include "codec/npy.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are written as memory is");

enum { MAGIC_SIZE = 6, HEADER_MAX = 65536 };
static const uint8_t magic[MAGIC_SIZE] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

static const struct {
    const char *text;
    wh_dtype type;
} descrs[] = {{"<f4", WH_DTYPE_F32}, {"<f8", WH_DTYPE_F64}, {"<i8", WH_DTYPE_I64}, {"|u1", WH_DTYPE_U8}};

static void skip_spaces(wh_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n')) c->at++;
}

/* Takes a letter if it is next. */
static bool take(wh_cursor *c, char letter)
{
    skip_spaces(c);
    if (c->at == c->end || *c->at != (uint8_t)letter) return false;
    c->at++;
    return true;
}

static bool take_word(wh_cursor *c, const char *word)
{
    size_t len = strlen(word);
    skip_spaces(c);
    if (wh_cursor_left(c) < len || memcmp(c->at, word, len) != 0) return false;
    c->at += len;
    return true;
}

static bool take_quoted(wh_cursor *c, whist_bytes *out)
{
    skip_spaces(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    uint8_t quote = *c->at++;
    const uint8_t *from = c->at;
    while (c->at < c->end && *c->at != quote && *c->at != '\\') c->at++;
    if (c->at == c->end || *c->at != quote) return false;
    *out = (whist_bytes){from, (size_t)(c->at++ - from)};
    return true;
}

static bool is_text(whist_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

static bool take_size(wh_cursor *c, size_t *out)
{
    skip_spaces(c);
    size_t value = 0;
    const uint8_t *from = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (!wh_mul_size(&value, value, 10) || !wh_add_size(&value, value, (size_t)(*c->at - '0'))) return false;
    *out = value;
    return c->at > from;
}

static whist_status read_descr(wh_npy *npy, wh_cursor *c, const char *name)
{
    whist_bytes text;
    if (!take_quoted(c, &text)) WH_FAIL(WHIST_E_FORMAT, "%s: its 'descr' is not one element type", name);
    for (size_t i = 0; i < WH_COUNT(descrs); i++)
        if (is_text(text, descrs[i].text)) {
            npy->type = descrs[i].type;
            return WHIST_OK;
        }
    WH_FAIL(WHIST_E_UNSUPPORTED,
            "%s: an element type that is not read: save it as float32, float64, int64 or uint8, little-endian", name);
}

static whist_status read_order(wh_cursor *c, const char *name)
{
    if (take_word(c, "False")) return WHIST_OK;
    if (take_word(c, "True"))
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s is in Fortran order: save numpy.ascontiguousarray(x)", name);
    WH_FAIL(WHIST_E_FORMAT, "%s: its 'fortran_order' is neither True nor False", name);
}

/* () or (3,) or (3, 4) or (3, 4,) */
static whist_status read_shape(wh_npy *npy, wh_cursor *c, const char *name)
{
    bool comma = true;
    if (!take(c, '(')) WH_FAIL(WHIST_E_FORMAT, "%s: its 'shape' is not a tuple", name);
    while (!take(c, ')')) {
        if (npy->n_dims == WH_DIMS_MAX) WH_FAIL(WHIST_E_FORMAT, "%s has more than %d dimensions", name, WH_DIMS_MAX);
        if (!comma || !take_size(c, &npy->dims[npy->n_dims++]))
            WH_FAIL(WHIST_E_FORMAT, "%s: its 'shape' is not a tuple of sizes", name);
        comma = take(c, ',');
    }
    if (npy->n_dims == 1 && !comma) WH_FAIL(WHIST_E_FORMAT, "%s: its 'shape' is not a tuple", name);
    return WHIST_OK;
}

static whist_status read_dictionary(wh_npy *npy, wh_cursor *c, const char *name)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    unsigned seen = 0;
    if (!take(c, '{')) WH_FAIL(WHIST_E_FORMAT, "%s: its header is not a dictionary", name);
    while (!take(c, '}')) {
        whist_bytes key;
        unsigned k = 0;
        if (!take_quoted(c, &key) || !take(c, ':')) WH_FAIL(WHIST_E_FORMAT, "%s: its header is not a dictionary", name);
        while (k < WH_COUNT(keys) && !is_text(key, keys[k])) k++;
        if (k == WH_COUNT(keys) || seen & 1u << k)
            WH_FAIL(WHIST_E_FORMAT, "%s: a key in its header is unknown or there twice", name);
        seen |= 1u << k;
        WH_TRY(k == 0 ? read_descr(npy, c, name) : k == 1 ? read_order(c, name) : read_shape(npy, c, name));
        if (!take(c, ',') && (c->at == c->end || *c->at != '}'))
            WH_FAIL(WHIST_E_FORMAT, "%s: its header is not a dictionary", name);
    }
    skip_spaces(c);
    if (seen != 7 || c->at != c->end) WH_FAIL(WHIST_E_FORMAT, "%s: its header lacks a key or goes on behind it", name);
    return WHIST_OK;
}

/* Magic, version and length; *header is the dictionary. */
static whist_status read_front(whist_bytes *header, wh_cursor *c, const char *name)
{
    whist_bytes front, low;
    uint32_t len = 0;
    if (wh_take_bytes(c, &front, MAGIC_SIZE + 2) != WHIST_OK || memcmp(front.data, magic, MAGIC_SIZE) != 0)
        WH_FAIL(WHIST_E_FORMAT, "%s is no NPY file", name);
    uint8_t version = front.data[MAGIC_SIZE];
    if ((version != 1 && version != 2) || front.data[MAGIC_SIZE + 1] != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s: NPY version %u, only 1 and 2 are read", name, version);
    whist_status status = version == 1 ? wh_take_bytes(c, &low, 2) : wh_take_u32(c, &len);
    if (status == WHIST_OK && version == 1) len = (uint32_t)low.data[0] | (uint32_t)low.data[1] << 8;
    if (status != WHIST_OK || len > HEADER_MAX || wh_take_bytes(c, header, len) != WHIST_OK)
        WH_FAIL(WHIST_E_FORMAT, "%s ends inside its header, or the header is larger than %d bytes", name, HEADER_MAX);
    return WHIST_OK;
}

whist_status wh_npy_read(wh_npy *out, whist_bytes file, const char *name)
{
    wh_npy npy = {0};
    whist_bytes header;
    wh_cursor cursor = wh_cursor_over(file);
    WH_TRY(read_front(&header, &cursor, name));
    wh_cursor dictionary = wh_cursor_over(header);
    WH_TRY(read_dictionary(&npy, &dictionary, name));
    size_t n_bytes;
    if (!wh_shape_size(&npy.n, &n_bytes, npy.dims, npy.n_dims, npy.type) || n_bytes != wh_cursor_left(&cursor))
        WH_FAIL(WHIST_E_FORMAT, "%s: its shape promises another size than the %zu bytes of values it has", name,
                wh_cursor_left(&cursor));
    npy.values = (whist_bytes){cursor.at, n_bytes};
    *out = npy;
    return WHIST_OK;
}

/* With the LF at its end the front takes a multiple of 64 bytes, as NumPy has it. */
whist_status wh_npy_header(wh_buf *out, wh_dtype type, unsigned n_dims, const size_t *dims)
{
    size_t d = 0;
    while (d < WH_COUNT(descrs) && descrs[d].type != type) d++;
    WH_ENSURE(d < WH_COUNT(descrs) && n_dims <= WH_DIMS_MAX, WHIST_E_ARG);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descrs[d].text));
    for (unsigned i = 0; i < n_dims; i++)
        WH_TRY(wh_buf_text(&text, "%s%zu%s", i ? ", " : "", dims[i], n_dims == 1 ? "," : ""));
    WH_TRY(wh_buf_text(&text, "), }"));
    size_t front = MAGIC_SIZE + 4, total = (front + text.len + 1 + 63) / 64 * 64, len = total - front;
    uint8_t *to;
    WH_TRY(wh_buf_grow(out, &to, total));
    memset(to, ' ', total);
    memcpy(to, magic, MAGIC_SIZE);
    to[MAGIC_SIZE] = 1;
    to[MAGIC_SIZE + 1] = 0;
    to[MAGIC_SIZE + 2] = (uint8_t)len;
    to[MAGIC_SIZE + 3] = (uint8_t)(len >> 8);
    memcpy(to + front, text.data, text.len);
    to[total - 1] = '\n';
    return WHIST_OK;
}

whist_status wh_npy_write(wh_buf *out, wh_dtype type, unsigned n_dims, const size_t *dims, const void *values)
{
    size_t n, n_bytes, before = out->len;
    WH_TRY(wh_npy_header(out, type, n_dims, dims));
    whist_status status = wh_shape_size(&n, &n_bytes, dims, n_dims, type)
                              ? wh_buf_add(out, values, n_bytes)
                              : wh_fail(WHIST_E_ARG, __FILE__, __LINE__, "an array larger than memory");
    if (status != WHIST_OK) out->len = before;
    return status;
}
