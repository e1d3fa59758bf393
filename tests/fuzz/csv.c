/* Fuzz target: codec/csv.h, with the options in the first byte. Whatever is read must read back the
 * same after it was written. */
#include "codec/csv.h"

#include <string.h>

static whist_status copy_table(wh_buf *out, whist_bytes file, const wh_csv_options *options)
{
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    wh_csv_writer writer = wh_csv_writer_over(out);
    bool more;
    double number;
    WH_TRY(wh_csv_init(&csv, file, options));
    for (size_t i = 0; csv.names && i < csv.n_columns; i++) WH_TRY(wh_csv_put_text(&writer, csv.names[i]));
    if (csv.names) WH_TRY(wh_csv_end_row(&writer));
    for (;;) {
        WH_TRY(wh_csv_next(&csv, &more));
        if (!more) return WHIST_OK;
        for (size_t i = 0; i < csv.n_columns; i++) {
            (void)!wh_csv_real(&number, &csv, i);
            WH_TRY(wh_csv_put(&writer, csv.fields[i]));
        }
        WH_TRY(wh_csv_end_row(&writer));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    wh_csv_options options = WH_CSV_DEFAULT, plain = WH_CSV_DEFAULT;
    options.header = plain.header = data[0] & 1;
    options.trim = data[0] & 2;
    options.delimiter = data[0] & 4 ? ';' : ',';
    options.skip_lines = data[0] >> 3 & 1;
    options.max_field = data[0] & 16 ? 8 : 65536;
    WH_AUTO(wh_buf) once = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) twice = WH_BUF_EMPTY;
    if (copy_table(&once, (whist_bytes){data + 1, size - 1}, &options) != WHIST_OK) return 0;
    if (once.len >= 3 && memcmp(once.data, "\xEF\xBB\xBF", 3) == 0) return 0; /* would be taken for a mark */
    if (once.len == 0 && options.header) return 0;
    if (copy_table(&twice, wh_buf_view(&once), &plain) != WHIST_OK) __builtin_trap();
    if (once.len != twice.len || (once.len && memcmp(once.data, twice.data, once.len) != 0)) __builtin_trap();
    return 0;
}
