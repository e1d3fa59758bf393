/* codec/real.h: decimal numbers as text, the same in every locale. */
#ifndef WH_CODEC_REAL_H
#define WH_CODEC_REAL_H

#include "base/status.h"

/* Reads the whole of text as a finite decimal: [+-] digits [. digits] [e [+-] digits], correctly
 * rounded. No spaces, no hex, no "nan", no "inf"; at most 1024 bytes. WHIST_E_FORMAT with a
 * reason that does not repeat the text (it may be somebody's data). */
WH_MUST_CHECK whist_status wh_real_parse(double *out, whist_bytes text);
/* The whole of text as [+-] digits within int64. WHIST_E_FORMAT. */
WH_MUST_CHECK whist_status wh_int_parse(int64_t *out, whist_bytes text);

/* The shortest decimal that reads back as the same double ("0.1", "1e-300"); "nan", "inf" and
 * "-inf" for the rest. Returns the length. */
size_t wh_real_text(char out[32], double value);

#endif
