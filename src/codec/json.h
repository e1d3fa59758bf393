/* codec/json.h: JSON from outside, and the writer of whist/codec.h on a buffer of ours.
 *
 * Reading goes through jansson behind a check of size and depth: jansson descends by recursion, so
 * the depth must be known before it starts. Keys may not repeat. */
#ifndef WH_CODEC_JSON_H
#define WH_CODEC_JSON_H

#include "base/buf.h"
#include "whist/codec.h"

#include <jansson.h>

enum {
    WH_JSON_DEPTH_MAX = 64,
    WH_JSON_VALUES_MAX = 1 << 20 /* in one document; each takes up to about 300 bytes when read */
};

typedef json_t wh_json;
static inline void wh_json_unref(wh_json *json)
{
    json_decref(json);
}
WH_AUTO_FREE(wh_json, wh_json_unref) /* WH_AUTO(wh_json_ptr) root = NULL; */

/* Reads one document: an object or an array, valid UTF-8, at most max_size bytes and max_depth
 * (≤ 64) levels. `name` stands in error texts. WHIST_E_FORMAT with line and column; WHIST_E_RANGE
 * above max_size or WH_JSON_VALUES_MAX; WHIST_E_NOMEM. Ended by wh_json_unref. */
WH_MUST_CHECK whist_status wh_json_read(wh_json **out, whist_bytes text, size_t max_size, unsigned max_depth,
                                        const char *name);

/* The member `key` of an object, of the type that the function's name says. WHIST_E_FORMAT naming
 * `name` and the key where it is missing, of another type or out of range. Results belong to the
 * document. */
WH_MUST_CHECK whist_status wh_json_get_text(const char **out, const wh_json *object, const char *key, const char *name);
WH_MUST_CHECK whist_status wh_json_get_int(int64_t *out, const wh_json *object, const char *key, int64_t min,
                                           int64_t max, const char *name);
WH_MUST_CHECK whist_status wh_json_get_real(double *out, const wh_json *object, const char *key, const char *name);
WH_MUST_CHECK whist_status wh_json_get_bool(bool *out, const wh_json *object, const char *key, const char *name);
WH_MUST_CHECK whist_status wh_json_get_array(wh_json **out, const wh_json *object, const char *key, const char *name);
WH_MUST_CHECK whist_status wh_json_get_object(wh_json **out, const wh_json *object, const char *key, const char *name);

/* The writer's state; whist_json_new makes one on the heap. Set up by wh_json_writer_init on a
 * buffer that outlives it; nothing to clear. Text is appended to the buffer. */
struct whist_json {
    wh_buf *out;
    size_t start;       /* out->len when the document began */
    uint64_t is_object; /* bit d: level d is an object */
    unsigned depth;     /* open brackets, ≤ 64 */
    bool first, keyed, done;
    whist_status failed; /* the first failure */
    whist_detail why;    /* and its record */
    wh_buf own;          /* the buffer of whist_json_new */
};
void wh_json_writer_init(whist_json *json, wh_buf *out);
/* Text that may hold any bytes but must be UTF-8, with its length. */
void wh_json_bytes(whist_json *json, whist_bytes text);
WH_AUTO_FREE(whist_json, whist_json_free)

/* True where the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool wh_is_utf8(whist_bytes text);
/* Length and code point of the character at the front; 0 where there is none. */
size_t wh_utf8_next(uint32_t *code, whist_bytes text);

#endif
