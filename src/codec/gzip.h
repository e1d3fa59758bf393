/* codec/gzip.h: gzip (RFC 1952) with a ceiling on what comes out. */
#ifndef WH_CODEC_GZIP_H
#define WH_CODEC_GZIP_H

#include "base/buf.h"

/* True where the bytes begin as a gzip file does. */
bool wh_is_gzip(whist_bytes bytes);
/* Appends the inflated content, at most max bytes of it. `name` stands in error texts.
 * WHIST_E_FORMAT (damaged, cut short, bytes behind the end); WHIST_E_RANGE above max;
 * WHIST_E_NOMEM. On failure out is as before. */
WH_MUST_CHECK whist_status wh_gunzip(wh_buf *out, whist_bytes in, size_t max, const char *name);
/* Appends `in` compressed at zlib's level 6, without time stamp: same input, same bytes.
 * WHIST_E_NOMEM. On failure out is as before. */
WH_MUST_CHECK whist_status wh_gzip(wh_buf *out, whist_bytes in);

#endif
