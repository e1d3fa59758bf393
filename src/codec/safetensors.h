/* codec/safetensors.h: named tensors in one file, with a map of texts beside them.
 *
 *     header size (u64, little-endian) | header: JSON, padded with spaces to 8 | data
 *     {"__metadata__": {"study": "…"}, "dense.w": {"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}, …}
 *
 * The header says where each tensor lies in the data. A reader accepts a file only where the
 * tensors cover the data exactly once: no hole, no overlap, nothing behind the end. Neither side
 * needs the whole model in memory: a reader takes the header from the front, a writer appends the
 * data itself. Source: https://huggingface.co/docs/safetensors, "Format". */
#ifndef WH_CODEC_SAFETENSORS_H
#define WH_CODEC_SAFETENSORS_H

#include "base/buf.h"
#include "codec/dtype.h"

enum {
    WH_SAFETENSORS_HEADER_MAX = 16 << 20, /* bytes */
    WH_SAFETENSORS_TENSORS_MAX = 65536,
    WH_SAFETENSORS_NAME_MAX = 512, /* bytes in a name */
    WH_SAFETENSORS_META_MAX = 1024 /* pairs of metadata */
};

typedef struct wh_safetensor {
    const char *name;
    wh_dtype type; /* F32, F64, I64 or U8 */
    unsigned n_dims;
    size_t dims[WH_DIMS_MAX];
    size_t n;        /* elements; the writer works it out */
    uint64_t offset; /* of the first byte in the file; the writer works it out */
    size_t size;     /* bytes; the writer works it out */
} wh_safetensor;

typedef struct wh_safetensors_meta {
    const char *key, *value;
} wh_safetensors_meta;

typedef struct wh_safetensors {
    wh_safetensor *tensors; /* n_tensors, in the order of their data */
    size_t n_tensors;
    wh_safetensors_meta *meta; /* n_meta, in the order of the header */
    size_t n_meta;
    uint64_t data_offset, file_size;
    wh_arena memory; /* of all the above */
} wh_safetensors;
#define WH_SAFETENSORS_EMPTY                                                                                           \
    {                                                                                                                  \
        .memory = WH_ARENA_EMPTY                                                                                       \
    }

/* Reads the header of a file of file_size bytes of which `front` is the beginning (or the whole).
 * WHIST_E_FORMAT, also where front ends inside the header; WHIST_E_UNSUPPORTED for an element type
 * we do not keep; WHIST_E_NOMEM. `out` is empty before, untouched on failure; ended by
 * wh_safetensors_clear. It keeps nothing of front. */
WH_MUST_CHECK whist_status wh_safetensors_read(wh_safetensors *out, whist_bytes front, uint64_t file_size,
                                               const char *name);
/* The same from an open file, of which only the header is read. */
WH_MUST_CHECK whist_status wh_safetensors_read_fd(wh_safetensors *out, int fd, const char *name);
void wh_safetensors_clear(wh_safetensors *file);
WH_AUTO_CLEAR(wh_safetensors, wh_safetensors_clear)

/* NULL where there is none. */
const wh_safetensor *wh_safetensors_find(const wh_safetensors *file, const char *name);
const char *wh_safetensors_meta_find(const wh_safetensors *file, const char *key);

/* Appends the header of a file that holds the tensors in this order and fills in n, offset and size
 * of each. The caller then writes their values, little-endian, one behind the other.
 * WHIST_E_ARG for a name that is empty, too long, not UTF-8 or there twice, for too many dims and
 * for another type; WHIST_E_RANGE above the limits; WHIST_E_NOMEM. On failure `out` is as before. */
WH_MUST_CHECK whist_status wh_safetensors_header(wh_buf *out, wh_safetensor *tensors, size_t n_tensors,
                                                 const wh_safetensors_meta *meta, size_t n_meta);

/* ---- A file that says the SHA-256 of itself (safetensors_seal.c) ----
 *
 * Its metadata hold this key, with 64 zeros as the file is written. seal puts the digest there (fd reads and writes);
 * check_seal: WHIST_E_FORMAT where the file does not say it, or is another one than it says. */
#define WH_SAFETENSORS_SEAL "sha256"
#define WH_SAFETENSORS_UNSEALED "0000000000000000000000000000000000000000000000000000000000000000"
WH_MUST_CHECK whist_status wh_safetensors_seal(int fd, const char *name);
WH_MUST_CHECK whist_status wh_safetensors_check_seal(int fd, const char *name);

#endif
