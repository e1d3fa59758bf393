/* Fuzz target: codec/json.h, and the writer on what was read. */
#include "codec/json.h"

static void write_value(whist_json *out, json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_object(value)) {
        whist_json_begin_object(out);
        json_object_foreach(value, key, member)
        {
            whist_json_key(out, key);
            write_value(out, member);
        }
        whist_json_end_object(out);
    } else if (json_is_array(value)) {
        whist_json_begin_array(out);
        json_array_foreach(value, i, member) write_value(out, member);
        whist_json_end_array(out);
    } else if (json_is_string(value))
        whist_json_text(out, json_string_value(value));
    else if (json_is_integer(value))
        whist_json_int(out, json_integer_value(value));
    else if (json_is_real(value))
        whist_json_real(out, json_real_value(value));
    else if (json_is_boolean(value))
        whist_json_bool(out, json_is_true(value));
    else
        whist_json_null(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WH_AUTO(wh_json_ptr) root = NULL;
    WH_AUTO(wh_json_ptr) again = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    whist_json out;
    if (wh_json_read(&root, (whist_bytes){data, size}, 1 << 20, 32, "fuzz") != WHIST_OK) return 0;
    wh_json_writer_init(&out, &text);
    write_value(&out, root);
    if (whist_json_finish(&out, NULL) != WHIST_OK) __builtin_trap();
    if (wh_json_read(&again, wh_buf_view(&text), 1 << 24, 32, "again") != WHIST_OK) __builtin_trap();
    return 0;
}
