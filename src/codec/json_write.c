/* codec/json_write.c: the JSON writer behind whist/codec.h and codec/json.h. */
#include "codec/json.h"
#include "codec/real.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Keeps the first failure together with its record. */
static void note(whist_json *json, whist_status status)
{
    if (status == WHIST_OK || json->failed != WHIST_OK) return;
    json->failed = status;
    json->why = *whist_detail_get();
}

static void refuse(whist_json *json, const char *why)
{
    note(json, wh_fail(WHIST_E_ARG, __FILE__, __LINE__, "JSON: %s", why));
}

static void add(whist_json *json, const char *text)
{
    if (json->failed == WHIST_OK) note(json, wh_buf_add(json->out, text, strlen(text)));
}

static bool in_object(const whist_json *json)
{
    return json->depth > 0 && (json->is_object >> (json->depth - 1) & 1);
}

/* What comes before a value: a comma, or nothing, and the rules of the place. */
static bool before_value(whist_json *json)
{
    if (!json) return false;
    if (json->done)
        refuse(json, "a second document");
    else if (in_object(json) && !json->keyed)
        refuse(json, "a value without a key");
    else if (!json->keyed && !json->first)
        add(json, ",");
    json->first = false;
    json->keyed = false;
    return json->failed == WHIST_OK;
}

static void after_value(whist_json *json)
{
    json->done = json->depth == 0;
}

static void open_bracket(whist_json *json, bool object)
{
    if (!before_value(json)) return;
    if (json->depth == WH_JSON_DEPTH_MAX) {
        refuse(json, "more than 64 levels");
        return;
    }
    uint64_t bit = UINT64_C(1) << json->depth++;
    json->is_object = object ? json->is_object | bit : json->is_object & ~bit;
    json->first = true;
    add(json, object ? "{" : "[");
}

static void close_bracket(whist_json *json, bool object)
{
    if (!json || json->failed != WHIST_OK) return;
    if (json->depth == 0 || in_object(json) != object || json->keyed) {
        refuse(json, "a closing bracket that closes nothing");
        return;
    }
    json->depth--;
    json->first = false;
    add(json, object ? "}" : "]");
    after_value(json);
}

/* Runs of plain letters go in one piece; the rest one by one. */
static whist_status add_string(wh_buf *out, whist_bytes text)
{
    if (!wh_is_utf8(text)) WH_FAIL(WHIST_E_FORMAT, "JSON: a text that is not UTF-8");
    WH_TRY(wh_buf_add(out, "\"", 1));
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) continue;
        WH_TRY(wh_buf_add(out, text.data + from, i - from));
        from = i + 1;
        if (c == '"' || c == '\\')
            WH_TRY(wh_buf_text(out, "\\%c", c));
        else if (c == '\n')
            WH_TRY(wh_buf_text(out, "\\n"));
        else if (c == '\t')
            WH_TRY(wh_buf_text(out, "\\t"));
        else
            WH_TRY(wh_buf_text(out, "\\u%04x", c));
    }
    WH_TRY(wh_buf_add(out, text.data + from, text.len - from));
    return wh_buf_add(out, "\"", 1);
}

void wh_json_writer_init(whist_json *json, wh_buf *out)
{
    *json = (whist_json){.out = out, .start = out->len, .first = true};
}

void wh_json_bytes(whist_json *json, whist_bytes text)
{
    if (!before_value(json)) return;
    note(json, add_string(json->out, text));
    after_value(json);
}

void whist_json_text(whist_json *json, const char *text)
{
    if (text)
        wh_json_bytes(json, (whist_bytes){(const uint8_t *)text, strlen(text)});
    else
        whist_json_null(json);
}

void whist_json_key(whist_json *json, const char *name)
{
    if (!json) return;
    if (!name || !in_object(json) || json->keyed) {
        refuse(json, "a key where a value belongs, or no key");
        return;
    }
    if (!json->first) add(json, ",");
    if (json->failed == WHIST_OK) note(json, add_string(json->out, (whist_bytes){(const uint8_t *)name, strlen(name)}));
    add(json, ":");
    json->first = false;
    json->keyed = true;
}

static void scalar(whist_json *json, const char *text)
{
    if (!before_value(json)) return;
    add(json, text);
    after_value(json);
}

void whist_json_int(whist_json *json, int64_t value)
{
    if (!before_value(json)) return;
    note(json, wh_buf_text(json->out, "%" PRId64, value));
    after_value(json);
}

void whist_json_uint(whist_json *json, uint64_t value)
{
    if (!before_value(json)) return;
    note(json, wh_buf_text(json->out, "%" PRIu64, value));
    after_value(json);
}

void whist_json_real(whist_json *json, double value)
{
    char text[32] = "null";
    if (isfinite(value)) wh_real_text(text, value);
    scalar(json, text);
}

void whist_json_bool(whist_json *json, bool value)
{
    scalar(json, value ? "true" : "false");
}

void whist_json_null(whist_json *json)
{
    scalar(json, "null");
}

void whist_json_begin_object(whist_json *json)
{
    open_bracket(json, true);
}

void whist_json_end_object(whist_json *json)
{
    close_bracket(json, true);
}

void whist_json_begin_array(whist_json *json)
{
    open_bracket(json, false);
}

void whist_json_end_array(whist_json *json)
{
    close_bracket(json, false);
}

whist_status whist_json_new(whist_json **out)
{
    whist_json *json;
    WH_ENSURE(out, WHIST_E_ARG);
    WH_TRY(WH_NEW(&json, 1));
    wh_json_writer_init(json, &json->own);
    *out = json;
    return WHIST_OK;
}

void whist_json_free(whist_json *json)
{
    if (!json) return;
    wh_buf_clear(&json->own);
    wh_free(json);
}

whist_status whist_json_finish(whist_json *json, const char **text)
{
    WH_ENSURE(json, WHIST_E_ARG);
    if (json->failed == WHIST_OK && !json->done) refuse(json, "the document is not complete");
    if (json->failed != WHIST_OK) {
        wh_detail_put(&json->why);
        return json->failed;
    }
    if (text) *text = wh_buf_str(json->out) + json->start;
    return WHIST_OK;
}

void whist_json_reset(whist_json *json)
{
    if (!json) return;
    json->out->len = json->start;
    wh_buf own = json->own;
    wh_buf *out = json->out;
    *json = (whist_json){.out = out, .start = out->len, .first = true, .own = own};
}
