/* kat/kat.c: walking through a known-answer file. */
#include "kat/kat.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

WH_AUTO_FREE(double, wh_free)

const wh_json *kat_field(const kat_case *c, const char *key)
{
    const wh_json *found = json_object_get(c->inner, key);
    return found || !c->outer ? found : json_object_get(c->outer, key);
}

const char *kat_text(const wh_json *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

double kat_number(const wh_json *object, const char *key, double fallback)
{
    const wh_json *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

size_t kat_size(const wh_json *object, const char *key, size_t fallback)
{
    const wh_json *value = json_object_get(object, key);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? (size_t)json_integer_value(value) : fallback;
}

size_t kat_flatten(double *out, size_t max, const wh_json *list)
{
    if (json_is_number(list)) {
        if (max > 0) *out = json_number_value(list);
        return 1;
    }
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t room = n < max ? max - n : 0;
        n += kat_flatten(room ? out + n : out, room, json_array_get(list, i));
    }
    return n;
}

static bool tell(kat_case *c, const char *format, ...) WHIST_PRINTF(2, 3);
static bool tell(kat_case *c, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (wh_buf_text(&c->why, "%s%s", c->why.len ? "; " : "", text) != WHIST_OK) wh_buf_reset(&c->why);
    return false;
}

static double number_of(const kat_case *c, const char *key, double fallback)
{
    const wh_json *value = kat_field(c, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool kat_close(kat_case *c, const char *what, const double *got, size_t n, const wh_json *want)
{
    WH_AUTO(double_ptr) values = NULL;
    size_t n_want = kat_flatten(NULL, 0, want);
    if (n_want != n) return tell(c, "%s: got %zu numbers, wanted %zu", what, n, n_want);
    if (n == 0) return true;
    if (WH_NEW(&values, n) != WHIST_OK) return tell(c, "%s: no memory", what);
    kat_flatten(values, n, want);
    double top = 0;
    for (size_t i = 0; i < n; i++) top = fmax(top, fabs(values[i]));
    double bound = number_of(c, "tolerance_abs", 1e-12) + number_of(c, "tolerance_rel", 0) * top;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - values[i]) <= bound))
            return tell(c, "%s[%zu]: got %.17g, wanted %.17g (± %.1e)", what, i, got[i], values[i], bound);
    return true;
}

bool kat_close_one(kat_case *c, const char *what, double got, const wh_json *want)
{
    return kat_close(c, what, &got, 1, want);
}

/* ---- The walk ---------------------------------------------------------------------------------- */

typedef struct tally {
    kat_judge *judge;
    size_t count[3];
} tally;

static void judge_case(tally *t, kat_case *c, size_t index)
{
    const char *kind = kat_text(c->inner, "kind");
    if (!*kind && c->outer) kind = kat_text(c->outer, "kind");
    c->kind = *kind ? kind : c->section;
    kat_verdict verdict = t->judge(c);
    t->count[verdict]++;
    if (verdict == KAT_FAILED) {
        const char *name = kat_text(c->outer ? c->outer : c->inner, "name");
        printf("FAIL %s[%zu] %s %s: %s\n", c->section, index, name, c->kind, wh_buf_str(&c->why));
    }
    wh_buf_clear(&c->why);
}

static const wh_json *nested(const wh_json *element)
{
    static const char *const keys[] = {"cases", "vectors"};
    for (size_t k = 0; k < WH_COUNT(keys); k++) {
        const wh_json *list = json_object_get(element, keys[k]);
        if (json_is_array(list) && json_is_object(json_array_get(list, 0))) return list;
    }
    return NULL;
}

static void judge_section(tally *t, const char *name, const wh_json *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const wh_json *element = json_array_get(list, i);
        if (!json_is_object(element) || json_is_true(json_object_get(element, "info"))) continue;
        const wh_json *inner = nested(element);
        kat_case alone = {.inner = element, .section = name};
        if (!inner) judge_case(t, &alone, i);
        for (size_t k = 0; k < json_array_size(inner); k++) {
            kat_case c = {.inner = json_array_get(inner, k), .outer = element, .section = name};
            judge_case(t, &c, i);
        }
    }
}

static bool is_information(const char *key)
{
    static const char *const keys[] = {"about", "conventions", "definitions", "value_formula", "generator", "sources",
                                       "kinds", "case_count",  "area",        "set",           "notes"};
    for (size_t i = 0; i < WH_COUNT(keys); i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

static void judge_all(tally *t, wh_json *root)
{
    const char *key;
    wh_json *value;
    json_object_foreach(root, key, value)
    {
        if (is_information(key)) continue;
        const wh_json *list = json_is_object(value) ? json_object_get(value, "cases") : value;
        if (json_is_object(value) && json_is_true(json_object_get(value, "info"))) continue;
        if (json_is_array(list) && json_is_object(json_array_get(list, 0))) judge_section(t, key, list);
    }
}

int kat_main(int argc, char **argv, kat_judge *judge)
{
    enum { MAX_FILE = 256 << 20 };
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE.json\n", argv[0]);
        return 2;
    }
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_json_ptr) root = NULL;
    whist_status status = wh_file_read(&text, argv[1], MAX_FILE);
    if (status == WHIST_OK) status = wh_json_read(&root, wh_buf_view(&text), MAX_FILE, WH_JSON_DEPTH_MAX, argv[1]);
    if (status != WHIST_OK || !json_is_object(root)) {
        fprintf(stderr, "%s: %s\n", argv[1], status == WHIST_OK ? "no object" : whist_detail_get()->text);
        return 2;
    }
    tally t = {.judge = judge};
    judge_all(&t, root);
    printf("%zu passed, %zu failed, %zu skipped\n", t.count[KAT_PASSED], t.count[KAT_FAILED], t.count[KAT_SKIPPED]);
    return t.count[KAT_FAILED] > 0;
}
