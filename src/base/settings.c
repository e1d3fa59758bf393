/* base/settings.c: values checked against an option table (whist_option).
 *
 * Values are kept parsed, one slot a row of the table; text form exists only on the way in. */
#include "base/settings.h"

#include "base/buf.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INTS = 16, MAX_TEXT = 256 };

typedef struct value {
    bool set;
    int64_t integer;
    double real;
    bool yes;
    char text[MAX_TEXT];
    int64_t ints[MAX_INTS];
    size_t n_ints;
} value;

struct whist_settings {
    const whist_option *table;
    size_t n;
    value values[];
};

size_t wh_option_count(const whist_option *table)
{
    size_t n = 0;
    while (table && table[n].name) n++;
    return n;
}

const char *wh_option_nearest(const whist_option *table, const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 4;
    for (; table && table->name; table++) {
        unsigned distance = wh_edit_distance(table->name, name);
        if (distance < best_distance) {
            best_distance = distance;
            best = table->name;
        }
    }
    return best;
}

static whist_status parse_int(int64_t *out, const whist_option *option, const char *text)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        WH_FAIL(WHIST_E_FORMAT, "%s: a whole number is wanted, not '%s'", option->name, text);
    if ((double)number < option->min || (double)number > option->max)
        WH_FAIL(WHIST_E_FORMAT, "%s: %lld is outside %.17g … %.17g", option->name, number, option->min, option->max);
    *out = number;
    return WHIST_OK;
}

static whist_status parse_real(double *out, const whist_option *option, const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number))
        WH_FAIL(WHIST_E_FORMAT, "%s: a finite number is wanted, not '%s'", option->name, text);
    if (number < option->min || number > option->max)
        WH_FAIL(WHIST_E_FORMAT, "%s: %g is outside %g … %g", option->name, number, option->min, option->max);
    *out = number;
    return WHIST_OK;
}

static whist_status parse_bool(bool *out, const whist_option *option, const char *text)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        WH_FAIL(WHIST_E_FORMAT, "%s: true or false is wanted, not '%s'", option->name, text);
    *out = text[0] == 't';
    return WHIST_OK;
}

static whist_status check_choice(const whist_option *option, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = option->choices; at && *at;) {
        size_t word = strcspn(at, "|");
        if (word == len && strncmp(at, text, len) == 0) return WHIST_OK;
        at += word + (at[word] == '|');
    }
    WH_FAIL(WHIST_E_FORMAT, "%s: '%s' is not one of %s", option->name, text, option->choices);
}

/* "[64, 64]" or "64, 64" or "". */
static whist_status parse_ints(value *out, const whist_option *option, const char *text)
{
    out->n_ints = 0;
    char piece[32];
    const char *at = text + strspn(text, " [");
    while (*at && *at != ']') {
        size_t len = strcspn(at, ",] ");
        if (len == 0 || len >= sizeof piece || out->n_ints == MAX_INTS)
            WH_FAIL(WHIST_E_FORMAT, "%s: up to %d whole numbers like [64, 64] are wanted, not '%s'", option->name,
                    MAX_INTS, text);
        memcpy(piece, at, len);
        piece[len] = 0;
        WH_TRY(parse_int(&out->ints[out->n_ints++], option, piece));
        at += len;
        at += strspn(at, ", ");
    }
    return WHIST_OK;
}

static whist_status parse_value(value *out, const whist_option *option, const char *text)
{
    *out = (value){.set = true};
    switch (option->type) {
    case WHIST_OPTION_INT: return parse_int(&out->integer, option, text);
    case WHIST_OPTION_REAL: return parse_real(&out->real, option, text);
    case WHIST_OPTION_BOOL: return parse_bool(&out->yes, option, text);
    case WHIST_OPTION_INTS: return parse_ints(out, option, text);
    case WHIST_OPTION_CHOICE: WH_TRY(check_choice(option, text)); break;
    case WHIST_OPTION_TEXT: break;
    }
    if (strlen(text) >= sizeof out->text)
        WH_FAIL(WHIST_E_FORMAT, "%s: longer than %d bytes", option->name, MAX_TEXT - 1);
    memcpy(out->text, text, strlen(text) + 1);
    return WHIST_OK;
}

whist_status whist_settings_new(whist_settings **out, const whist_option *table)
{
    WH_ENSURE(out, WHIST_E_ARG);
    size_t n = wh_option_count(table);
    void *memory;
    WH_TRY(wh_alloc(&memory, 1, sizeof(whist_settings) + n * sizeof(value)));
    whist_settings *settings = memory;
    settings->table = table;
    settings->n = n;
    for (size_t i = 0; i < n; i++) {
        if (!table[i].fallback) continue;
        whist_status status = parse_value(&settings->values[i], &table[i], table[i].fallback);
        if (status != WHIST_OK) {
            whist_settings_free(settings);
            return status;
        }
    }
    *out = settings;
    return WHIST_OK;
}

whist_status whist_settings_copy(whist_settings **out, const whist_settings *settings)
{
    WH_ENSURE(out && settings, WHIST_E_ARG);
    const size_t size = sizeof *settings + settings->n * sizeof *settings->values;
    void *memory;
    WH_TRY(wh_alloc(&memory, 1, size));
    memcpy(memory, settings, size);
    *out = memory;
    return WHIST_OK;
}

void whist_settings_free(whist_settings *settings)
{
    wh_free(settings);
}

static size_t find(const whist_settings *settings, const char *name)
{
    size_t i = 0;
    while (i < settings->n && strcmp(settings->table[i].name, name) != 0) i++;
    return i;
}

whist_status whist_settings_set(whist_settings *settings, const char *name, const char *text)
{
    WH_ENSURE(settings && name && text, WHIST_E_ARG);
    size_t i = find(settings, name);
    if (i == settings->n) {
        const char *near = wh_option_nearest(settings->table, name);
        WH_FAIL(WHIST_E_ARG, "unknown key '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "",
                near ? "'?" : "");
    }
    value parsed;
    WH_TRY(parse_value(&parsed, &settings->table[i], text));
    settings->values[i] = parsed;
    return WHIST_OK;
}

whist_status whist_settings_complete(const whist_settings *settings)
{
    WH_ENSURE(settings, WHIST_E_ARG);
    for (size_t i = 0; i < settings->n; i++)
        if (!settings->values[i].set)
            WH_FAIL(WHIST_E_ARG, "the key '%s' is missing: %s", settings->table[i].name, settings->table[i].doc);
    return WHIST_OK;
}

bool wh_settings_has(const whist_settings *settings, const char *name)
{
    return find(settings, name) < settings->n;
}

static const value *get(const whist_settings *settings, const char *name)
{
    static const value none;
    size_t i = settings ? find(settings, name) : 0;
    WH_CHECK(settings && i < settings->n);
    return settings && i < settings->n ? &settings->values[i] : &none;
}

int64_t whist_settings_int(const whist_settings *settings, const char *name)
{
    return get(settings, name)->integer;
}

double whist_settings_real(const whist_settings *settings, const char *name)
{
    return get(settings, name)->real;
}

bool whist_settings_bool(const whist_settings *settings, const char *name)
{
    return get(settings, name)->yes;
}

const char *whist_settings_text(const whist_settings *settings, const char *name)
{
    return get(settings, name)->text;
}

const int64_t *whist_settings_ints(const whist_settings *settings, const char *name, size_t *n)
{
    const value *v = get(settings, name);
    *n = v->n_ints;
    return v->ints;
}
