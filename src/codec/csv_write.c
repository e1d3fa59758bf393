/* codec/csv_write.c: the writer behind codec/csv.h. */
#include "codec/csv.h"
#include "codec/real.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* A field that is empty, has blanks at its ends or holds a special letter is quoted; an empty one
 * so that a row of one empty field is no empty line. */
static bool needs_quotes(whist_bytes text, char delimiter)
{
    if (text.len == 0 || text.data[0] == ' ' || text.data[text.len - 1] == ' ') return true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == (uint8_t)delimiter || c == '"' || c == '\n' || c == '\r' || c == '\t') return true;
    }
    return false;
}

static whist_status add_quoted(wh_buf *out, whist_bytes text)
{
    WH_TRY(wh_buf_add(out, "\"", 1));
    for (size_t from = 0; from < text.len;) {
        const uint8_t *quote = memchr(text.data + from, '"', text.len - from);
        size_t to = quote ? (size_t)(quote - text.data) + 1 : text.len;
        WH_TRY(wh_buf_add(out, text.data + from, to - from));
        if (quote) WH_TRY(wh_buf_add(out, "\"", 1));
        from = to;
    }
    return wh_buf_add(out, "\"", 1);
}

whist_status wh_csv_put(wh_csv_writer *writer, whist_bytes text)
{
    if (writer->inside) WH_TRY(wh_buf_add(writer->out, &writer->delimiter, 1));
    writer->inside = true;
    if (needs_quotes(text, writer->delimiter)) return add_quoted(writer->out, text);
    return wh_buf_add(writer->out, text.data, text.len);
}

whist_status wh_csv_put_text(wh_csv_writer *writer, const char *text)
{
    return wh_csv_put(writer, (whist_bytes){(const uint8_t *)text, strlen(text)});
}

whist_status wh_csv_put_int(wh_csv_writer *writer, int64_t value)
{
    if (writer->inside) WH_TRY(wh_buf_add(writer->out, &writer->delimiter, 1));
    writer->inside = true;
    return wh_buf_text(writer->out, "%" PRId64, value);
}

whist_status wh_csv_put_real(wh_csv_writer *writer, double value)
{
    char text[32];
    size_t len = isfinite(value) ? wh_real_text(text, value) : 0;
    return wh_csv_put(writer, (whist_bytes){(const uint8_t *)text, len});
}

whist_status wh_csv_end_row(wh_csv_writer *writer)
{
    writer->inside = false;
    return wh_buf_add(writer->out, "\n", 1);
}
