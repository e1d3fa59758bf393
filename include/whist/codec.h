/* whist/codec.h: writing JSON for programs that read results, and line charts for people.
 *
 * A writer holds the text it has built so far. Calls return nothing: the first failure (no memory,
 * a key where a value belongs, bad UTF-8) stays in the writer and comes out of whist_json_finish,
 * so code that prints reads straight down.
 *
 * Threads: a writer belongs to one thread at a time. */
#ifndef WHIST_CODEC_H
#define WHIST_CODEC_H

#include "whist/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct whist_json whist_json;

/* WHIST_E_NOMEM. Ended by whist_json_free. */
WHIST_API WHIST_MUST_CHECK whist_status whist_json_new(whist_json **out);
WHIST_API void whist_json_free(whist_json *json);

/* Values, one after the other. Inside an object each is preceded by whist_json_key. The text is
 * compact, on one line. At most 64 levels deep. */
WHIST_API void whist_json_begin_object(whist_json *json);
WHIST_API void whist_json_end_object(whist_json *json);
WHIST_API void whist_json_begin_array(whist_json *json);
WHIST_API void whist_json_end_array(whist_json *json);
WHIST_API void whist_json_key(whist_json *json, const char *name);
WHIST_API void whist_json_text(whist_json *json, const char *text); /* UTF-8; NULL writes null */
WHIST_API void whist_json_int(whist_json *json, int64_t value);
WHIST_API void whist_json_uint(whist_json *json, uint64_t value);
/* The shortest decimal that reads back as the same double; NaN and infinities write null. */
WHIST_API void whist_json_real(whist_json *json, double value);
WHIST_API void whist_json_bool(whist_json *json, bool value);
WHIST_API void whist_json_null(whist_json *json);

/* Ends the document: *text is its one line without newline, owned by the writer and valid until
 * the next call on it. WHIST_E_ARG where brackets are still open, nothing was written or calls
 * came in the wrong order; WHIST_E_FORMAT for text that is not UTF-8; WHIST_E_NOMEM. */
WHIST_API WHIST_MUST_CHECK whist_status whist_json_finish(whist_json *json, const char **text);
/* Forgets document and failure; keeps the memory. For the next line of many. */
WHIST_API void whist_json_reset(whist_json *json);

/* ---- Line charts as SVG ---- */

typedef struct whist_plot_line {
    const char *name; /* in the legend; NULL or "": it has none there */
    const double *x, *y;
    size_t n; /* points in order; one that is not finite interrupts the line */
} whist_plot_line;

typedef struct whist_plot {
    const char *title, *x_label, *y_label; /* UTF-8; NULL: none */
    const whist_plot_line *lines;
    size_t n_lines;    /* up to 8 have a colour of their own */
    bool log_x, log_y; /* logarithmic; points at or below 0 interrupt the line */
} whist_plot;

/* A whole SVG document of fixed size, with axes, round ticks, grid and legend; light and dark readers alike. Ended by
 * whist_plot_free. WHIST_E_ARG where no line has a point to show; WHIST_E_FORMAT for text that is not UTF-8. */
WHIST_API WHIST_MUST_CHECK whist_status whist_plot_svg(char **out, const whist_plot *plot);
WHIST_API void whist_plot_free(char *svg);

#ifdef __cplusplus
}
#endif
#endif
