/* study/yaml.c: libyaml's events become the tree of yaml.h.
 *
 * The builder recurses with the text, at most WH_YAML_MAX_DEPTH deep. Duplicate keys are found by a
 * small open hash table over each map, so that a hostile map of 100,000 keys costs no square time. */
#include "study/yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

typedef struct builder {
    yaml_parser_t parser;
    wh_arena *arena;
    const char *name;
    size_t nodes;
} builder;

#define REFUSE(b, code, mark, ...)                                                                                     \
    do {                                                                                                               \
        char why_[256];                                                                                                \
        (void)snprintf(why_, sizeof why_, __VA_ARGS__);                                                                \
        WH_FAIL((code), "%s:%zu:%zu: %s", (b)->name, (mark).line + 1, (mark).column + 1, why_);                        \
    } while (0)

/* libyaml's events own memory; this one ends with its block. */
typedef yaml_event_t event;
static void event_clear(event *e)
{
    yaml_event_delete(e);
}
WH_AUTO_CLEAR(event, event_clear)

static whist_status next_event(event *out, builder *b)
{
    if (yaml_parser_parse(&b->parser, out)) return WHIST_OK;
    memset(out, 0, sizeof *out);
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR) WH_FAIL(WHIST_E_NOMEM, "%s: no memory to read it", b->name);
    const char *problem = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR)
        WH_FAIL(WHIST_E_FORMAT, "%s: byte %zu: %s; the text must be UTF-8", b->name, p->problem_offset, problem);
    REFUSE(b, WHIST_E_FORMAT, p->problem_mark, "%s%s%s", problem, p->context ? " " : "", p->context ? p->context : "");
}

static whist_status new_node(wh_yaml **out, builder *b, const event *e)
{
    if (++b->nodes > WH_YAML_MAX_NODES)
        REFUSE(b, WHIST_E_RANGE, e->start_mark, "more than %d values in one file", WH_YAML_MAX_NODES);
    wh_yaml *node;
    WH_TRY(WH_ARENA_NEW(&node, b->arena, 1));
    node->line = node->last_line = (unsigned)e->start_mark.line + 1;
    node->column = (unsigned)e->start_mark.column + 1;
    node->text = "";
    *out = node;
    return WHIST_OK;
}

static unsigned line_of_end(const event *e)
{
    unsigned line = (unsigned)e->end_mark.line + 1;
    /* A block scalar ends at the start of the line after it. */
    return e->end_mark.column == 0 && e->end_mark.line > e->start_mark.line ? line - 1 : line;
}

static whist_status scalar(wh_yaml *node, builder *b, const event *e)
{
    const char *value = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    if (e->data.scalar.anchor) REFUSE(b, WHIST_E_FORMAT, e->start_mark, "anchors (&) are not allowed");
    if (e->data.scalar.tag) REFUSE(b, WHIST_E_FORMAT, e->start_mark, "tags (!) are not allowed");
    if (strlen(value) != len) REFUSE(b, WHIST_E_FORMAT, e->start_mark, "a zero byte is not allowed");
    char *copy;
    WH_TRY(wh_arena_strdup(&copy, b->arena, value));
    node->text = copy;
    node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->last_line = line_of_end(e);
    return WHIST_OK;
}

/* ---- Keys that stand twice ---- */

static uint64_t hash_text(const char *text)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *text; text++) h = (h ^ (uint8_t)*text) * 1099511628211u;
    return h;
}

static whist_status refuse_twins(const builder *b, const wh_yaml *map)
{
    size_t slots = 8;
    while (slots < 2 * map->n) slots *= 2;
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, slots, sizeof(wh_yaml *)));
    const wh_yaml **seen = owned;
    for (const wh_yaml *child = map->first; child; child = child->next) {
        size_t at = (size_t)hash_text(child->key) & (slots - 1);
        for (; seen[at]; at = (at + 1) & (slots - 1))
            if (strcmp(seen[at]->key, child->key) == 0)
                WH_FAIL(WHIST_E_FORMAT, "%s:%u:%u: the key '%.64s' stands twice; the first is in line %u", b->name,
                        child->key_line, child->key_column, child->key, seen[at]->key_line);
        seen[at] = child;
    }
    return WHIST_OK;
}

/* ---- Tree ---- */

static whist_status value(wh_yaml **out, builder *b, const event *e, unsigned depth);

static whist_status children(wh_yaml *node, builder *b, unsigned depth)
{
    wh_yaml **tail = &node->first;
    for (;;) {
        WH_AUTO(event) e = {0};
        WH_TRY(next_event(&e, b));
        if (e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT) {
            if (node->flow) node->last_line = line_of_end(&e);
            return WHIST_OK;
        }
        wh_yaml *key = NULL, *child;
        if (node->kind == WH_YAML_MAP) {
            if (e.type != YAML_SCALAR_EVENT) REFUSE(b, WHIST_E_FORMAT, e.start_mark, "a key must be a word");
            WH_TRY(value(&key, b, &e, depth + 1));
            WH_AUTO(event) v = {0};
            WH_TRY(next_event(&v, b));
            WH_TRY(value(&child, b, &v, depth + 1));
            child->key = key->text;
            child->key_line = key->line;
            child->key_column = key->column;
        } else {
            WH_TRY(value(&child, b, &e, depth + 1));
        }
        *tail = child;
        tail = &child->next;
        node->n++;
        if (child->last_line > node->last_line) node->last_line = child->last_line;
    }
}

static whist_status collection(wh_yaml *node, builder *b, const event *e, unsigned depth)
{
    bool map = e->type == YAML_MAPPING_START_EVENT;
    if (map ? e->data.mapping_start.anchor != NULL : e->data.sequence_start.anchor != NULL)
        REFUSE(b, WHIST_E_FORMAT, e->start_mark, "anchors (&) are not allowed");
    if (map ? e->data.mapping_start.tag != NULL : e->data.sequence_start.tag != NULL)
        REFUSE(b, WHIST_E_FORMAT, e->start_mark, "tags (!) are not allowed");
    if (depth >= WH_YAML_MAX_DEPTH)
        REFUSE(b, WHIST_E_RANGE, e->start_mark, "nested more than %d deep", WH_YAML_MAX_DEPTH);
    node->kind = map ? WH_YAML_MAP : WH_YAML_LIST;
    node->flow = map ? e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                     : e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    WH_TRY(children(node, b, depth));
    return map ? refuse_twins(b, node) : WHIST_OK;
}

static whist_status value(wh_yaml **out, builder *b, const event *e, unsigned depth)
{
    wh_yaml *node;
    WH_TRY(new_node(&node, b, e));
    switch (e->type) {
    case YAML_SCALAR_EVENT: WH_TRY(scalar(node, b, e)); break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: WH_TRY(collection(node, b, e, depth)); break;
    case YAML_ALIAS_EVENT: REFUSE(b, WHIST_E_FORMAT, e->start_mark, "aliases (*) are not allowed");
    default: REFUSE(b, WHIST_E_FORMAT, e->start_mark, "a value is wanted here");
    }
    *out = node;
    return WHIST_OK;
}

static whist_status document(wh_yaml **out, builder *b)
{
    for (;;) {
        WH_AUTO(event) e = {0};
        WH_TRY(next_event(&e, b));
        if (e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_START_EVENT) continue;
        if (e.type == YAML_STREAM_END_EVENT) WH_FAIL(WHIST_E_FORMAT, "%s: the file is empty", b->name);
        WH_TRY(value(out, b, &e, 0));
        if ((*out)->kind != WH_YAML_MAP)
            REFUSE(b, WHIST_E_FORMAT, e.start_mark, "the file must consist of lines like 'key: value'");
        break;
    }
    WH_AUTO(event) end = {0};
    WH_TRY(next_event(&end, b));
    WH_AUTO(event) last = {0};
    WH_TRY(next_event(&last, b));
    if (last.type != YAML_STREAM_END_EVENT)
        REFUSE(b, WHIST_E_FORMAT, last.start_mark, "only one document is allowed in a file");
    return WHIST_OK;
}

whist_status wh_yaml_read(wh_yaml **out, wh_arena *arena, whist_bytes text, const char *name)
{
    if (text.len > WH_YAML_MAX_BYTES) WH_FAIL(WHIST_E_RANGE, "%s: longer than %d bytes", name, WH_YAML_MAX_BYTES);
    if (text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0) { /* some editors begin UTF-8 so */
        text.data += 3;
        text.len -= 3;
    }
    builder b = {.arena = arena, .name = name};
    if (!yaml_parser_initialize(&b.parser)) WH_FAIL(WHIST_E_NOMEM, "%s: no memory to read it", name);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, text.data ? text.data : (const uint8_t *)"", text.len);
    wh_yaml *root = NULL;
    whist_status status = document(&root, &b);
    yaml_parser_delete(&b.parser);
    if (status == WHIST_OK) *out = root;
    return status;
}

const wh_yaml *wh_yaml_get(const wh_yaml *map, const char *key)
{
    const wh_yaml *child = map && map->kind == WH_YAML_MAP ? map->first : NULL;
    while (child && strcmp(child->key, key) != 0) child = child->next;
    return child;
}

static const wh_yaml *step(const wh_yaml *node, const char *word, size_t len)
{
    size_t index = 0;
    if (node->kind == WH_YAML_LIST)
        for (size_t i = 0; i < len; i++) index = index * 10 + (size_t)(word[i] - '0');
    for (const wh_yaml *child = node->first; child; child = child->next) {
        if (node->kind == WH_YAML_LIST ? index-- == 0 : strlen(child->key) == len && !strncmp(child->key, word, len))
            return child;
    }
    return NULL;
}

const wh_yaml *wh_yaml_nearest(const wh_yaml *root, const char *path)
{
    const wh_yaml *node = root;
    while (*path) {
        size_t len = strcspn(path, ".");
        const wh_yaml *child = step(node, path, len);
        if (!child) break;
        node = child;
        path += len + (path[len] == '.');
    }
    return node;
}
