/* codec/json_read.c: jansson behind the bounds of codec/json.h. */
#include "codec/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What the text will cost when read, seen without reading it: levels of brackets and number of
 * values, outside strings. Both we and jansson end a string at the first quote that no backslash
 * precedes, so neither sees brackets that the other does not. */
typedef struct outline {
    unsigned depth, deepest;
    size_t n_values; /* an upper bound */
} outline;

static outline look_over(whist_bytes text)
{
    outline o = {0, 0, 1};
    bool inside = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (inside && c == '\\')
            i++;
        else if (c == '"')
            inside = !inside;
        if (inside) continue;
        bool opens = c == '[' || c == '{', closes = c == ']' || c == '}';
        if (opens && ++o.depth > o.deepest) o.deepest = o.depth;
        if (closes && o.depth > 0) o.depth--;
        if (opens || c == ',') o.n_values++;
    }
    return o;
}

/* jansson quotes the text near the fault; that part is cut off, it may be somebody's data. */
static int without_quote(const char *text)
{
    const char *near = strstr(text, " near '");
    return near ? (int)(near - text) : (int)strlen(text);
}

whist_status wh_json_read(wh_json **out, whist_bytes text, size_t max_size, unsigned max_depth, const char *name)
{
    json_error_t error;
    if (text.len > max_size) WH_FAIL(WHIST_E_RANGE, "%s: more than the allowed %zu bytes of JSON", name, max_size);
    if (max_depth > WH_JSON_DEPTH_MAX) max_depth = WH_JSON_DEPTH_MAX;
    outline o = look_over(text);
    if (o.deepest > max_depth) WH_FAIL(WHIST_E_FORMAT, "%s: JSON nested deeper than %u levels", name, max_depth);
    if (o.n_values > WH_JSON_VALUES_MAX)
        WH_FAIL(WHIST_E_RANGE, "%s: more than %d values in one JSON document", name, WH_JSON_VALUES_MAX);
    json_t *json = json_loadb(text.data ? (const char *)text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (!json && json_error_code(&error) == json_error_out_of_memory)
        WH_FAIL(WHIST_E_NOMEM, "no memory to read %s", name);
    if (!json)
        WH_FAIL(WHIST_E_FORMAT, "%s, line %d, column %d: not the JSON it should be: %.*s", name, error.line,
                error.column, without_quote(error.text), error.text);
    *out = json;
    return WHIST_OK;
}

static whist_status member(const json_t **out, const wh_json *object, const char *key, const char *name)
{
    const json_t *value = json_object_get(object, key);
    if (!value) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' is missing", name, key);
    *out = value;
    return WHIST_OK;
}

whist_status wh_json_get_text(const char **out, const wh_json *object, const char *key, const char *name)
{
    const json_t *value;
    WH_TRY(member(&value, object, key, name));
    if (!json_is_string(value)) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' must be a text", name, key);
    *out = json_string_value(value);
    return WHIST_OK;
}

whist_status wh_json_get_int(int64_t *out, const wh_json *object, const char *key, int64_t min, int64_t max,
                             const char *name)
{
    const json_t *value;
    WH_TRY(member(&value, object, key, name));
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < min || number > max)
        WH_FAIL(WHIST_E_FORMAT, "%s: '%s' must be a whole number from %" PRId64 " to %" PRId64, name, key, min, max);
    *out = number;
    return WHIST_OK;
}

whist_status wh_json_get_real(double *out, const wh_json *object, const char *key, const char *name)
{
    const json_t *value;
    WH_TRY(member(&value, object, key, name));
    double number = json_number_value(value);
    if (!json_is_number(value) || !isfinite(number)) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' must be a number", name, key);
    *out = number;
    return WHIST_OK;
}

whist_status wh_json_get_bool(bool *out, const wh_json *object, const char *key, const char *name)
{
    const json_t *value;
    WH_TRY(member(&value, object, key, name));
    if (!json_is_boolean(value)) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' must be true or false", name, key);
    *out = json_is_true(value);
    return WHIST_OK;
}

whist_status wh_json_get_array(wh_json **out, const wh_json *object, const char *key, const char *name)
{
    wh_json *value = json_object_get(object, key);
    if (!value) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' is missing", name, key);
    if (!json_is_array(value)) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' must be a list", name, key);
    *out = value;
    return WHIST_OK;
}

whist_status wh_json_get_object(wh_json **out, const wh_json *object, const char *key, const char *name)
{
    wh_json *value = json_object_get(object, key);
    if (!value) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' is missing", name, key);
    if (!json_is_object(value)) WH_FAIL(WHIST_E_FORMAT, "%s: '%s' must be an object", name, key);
    *out = value;
    return WHIST_OK;
}
