/* study/table_doc.c: tables of keys as Markdown and as lists of words. */
#include "study/table.h"

#include <stdio.h>
#include <string.h>

typedef struct writer {
    wh_emit_fn *emit;
    void *user;
    wh_buf line;
} writer;

static void writer_clear(writer *w)
{
    wh_buf_clear(&w->line);
}
WH_AUTO_CLEAR(writer, writer_clear)

#define SAY(w, ...)                                                                                                    \
    do {                                                                                                               \
        wh_buf_reset(&(w)->line);                                                                                      \
        WH_TRY(wh_buf_text(&(w)->line, __VA_ARGS__));                                                                  \
        (w)->emit((w)->user, wh_buf_str(&(w)->line));                                                                  \
    } while (0)

/* "a|b" as "`a`, `b`": a bar would end the cell. */
static whist_status add_choices(wh_buf *out, const char *choices)
{
    for (const char *at = choices; *at;) {
        size_t len = strcspn(at, "|");
        WH_TRY(wh_buf_text(out, "%s`%.*s`", at == choices ? "" : ", ", (int)len, at));
        at += len + (at[len] == '|');
    }
    return WHIST_OK;
}

static whist_status add_type(wh_buf *out, const wh_key *key)
{
    switch (key->kind) {
    case WH_KEY_TEXT: return wh_buf_text(out, "text");
    case WH_KEY_PATH: return wh_buf_text(out, "path");
    case WH_KEY_INT: return wh_buf_text(out, "whole number, %.16g … %.16g", key->min, key->max);
    case WH_KEY_REAL: return wh_buf_text(out, "number, %g … %g", key->min, key->max);
    case WH_KEY_BOOL: return wh_buf_text(out, "`true`, `false`");
    case WH_KEY_CHOICE: return add_choices(out, key->choices);
    case WH_KEY_DURATION: return wh_buf_text(out, "time, %s", key->type);
    case WH_KEY_BYTES: return wh_buf_text(out, "size, %s", key->type);
    case WH_KEY_MAP: return wh_buf_text(out, "map");
    case WH_KEY_MAPS: return wh_buf_text(out, "list of maps");
    case WH_KEY_PART: return wh_buf_text(out, "%s: its name, or {name, options}", key->parts->one);
    case WH_KEY_TEXTS:
    case WH_KEY_OTHER: return wh_buf_text(out, "%s", key->type);
    }
    return WHIST_OK;
}

static whist_status add_default(wh_buf *out, const char *fallback)
{
    if (!fallback) return wh_buf_text(out, "required");
    return *fallback ? wh_buf_text(out, "`%s`", fallback) : wh_buf_text(out, "–");
}

static whist_status emit_rows(writer *w, const wh_key *table)
{
    SAY(w, "| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (const wh_key *key = table; key->name; key++) {
        wh_buf_reset(&w->line);
        WH_TRY(wh_buf_text(&w->line, "| `%s` | ", key->name));
        WH_TRY(add_type(&w->line, key));
        WH_TRY(wh_buf_text(&w->line, " | "));
        WH_TRY(add_default(&w->line, key->fallback));
        WH_TRY(wh_buf_text(&w->line, " | %s |\n", key->doc));
        w->emit(w->user, wh_buf_str(&w->line));
    }
    SAY(w, "\n");
    return WHIST_OK;
}

/* ---- Parts ---- */

static whist_status add_option_type(wh_buf *out, const whist_option *o)
{
    switch (o->type) {
    case WHIST_OPTION_INT: return wh_buf_text(out, "whole number, %.16g … %.16g", o->min, o->max);
    case WHIST_OPTION_REAL: return wh_buf_text(out, "number, %g … %g", o->min, o->max);
    case WHIST_OPTION_BOOL: return wh_buf_text(out, "`true`, `false`");
    case WHIST_OPTION_CHOICE: return add_choices(out, o->choices);
    case WHIST_OPTION_TEXT: return wh_buf_text(out, "text");
    case WHIST_OPTION_INTS: return wh_buf_text(out, "list of whole numbers, %.16g … %.16g", o->min, o->max);
    }
    return WHIST_OK;
}

static whist_status emit_options(writer *w, const whist_option *options)
{
    if (!options || !options->name) return WHIST_OK;
    SAY(w, "| option | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (const whist_option *o = options; o->name; o++) {
        wh_buf_reset(&w->line);
        WH_TRY(wh_buf_text(&w->line, "| `%s` | ", o->name));
        WH_TRY(add_option_type(&w->line, o));
        WH_TRY(wh_buf_text(&w->line, " | "));
        WH_TRY(add_default(&w->line, o->fallback));
        WH_TRY(wh_buf_text(&w->line, " | %s |\n", o->doc));
        w->emit(w->user, wh_buf_str(&w->line));
    }
    SAY(w, "\n");
    return WHIST_OK;
}

static whist_status emit_parts(writer *w, const wh_part_kind *kind)
{
    wh_part_info info;
    for (size_t i = 0; kind->get(&info, i); i++) {
        SAY(w, "**%s `%s`**: %s\n\n", kind->one, info.name, info.doc);
        WH_TRY(emit_options(w, info.options));
    }
    return WHIST_OK;
}

/* ---- Sections ---- */

static whist_status emit_subs(writer *w, const char *path, const wh_key *table)
{
    for (const wh_key *key = table; key->name; key++) {
        if (!key->sub && key->kind != WH_KEY_PART) continue;
        char below[128];
        int len = snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key->name);
        if (len < 0 || (size_t)len >= sizeof below) return WHIST_E_RANGE;
        bool list = key->kind == WH_KEY_MAPS || key->kind == WH_KEY_OTHER;
        SAY(w, "### `%s`%s\n\n%s\n\n", below, list ? " (each entry)" : "", key->doc);
        if (key->sub) WH_TRY(emit_rows(w, key->sub));
        if (key->kind == WH_KEY_PART) WH_TRY(emit_parts(w, key->parts));
        if (key->sub) WH_TRY(emit_subs(w, below, key->sub));
    }
    return WHIST_OK;
}

whist_status wh_table_reference(const char *title, const char *intro, const wh_key *table, wh_emit_fn *emit, void *user)
{
    WH_AUTO(writer) w = {emit, user, WH_BUF_EMPTY};
    SAY(&w, "## %s\n\n%s\n\n", title, intro);
    WH_TRY(emit_rows(&w, table));
    return emit_subs(&w, "", table);
}

static whist_status emit_names(writer *w, const char *path, const wh_key *table)
{
    for (const wh_key *key = table; key->name; key++) {
        char name[128];
        int len = snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", key->name);
        if (len < 0 || (size_t)len >= sizeof name) return WHIST_E_RANGE;
        w->emit(w->user, name);
        if (key->sub) WH_TRY(emit_names(w, name, key->sub));
    }
    return WHIST_OK;
}

whist_status wh_table_names(const wh_key *table, wh_emit_fn *emit, void *user)
{
    WH_AUTO(writer) w = {emit, user, WH_BUF_EMPTY};
    return emit_names(&w, "", table);
}
