/* study/table.c: reads structs from YAML by the rows of table.h. Single values are in table_value.c. */
#include "study/table.h"

#include "study/table_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

whist_status wh_reader_fail(whist_status code, const wh_reader *reader, const wh_yaml *node, const char *format, ...)
{
    char text[sizeof((whist_detail){0}).text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return wh_fail(code, __FILE__, __LINE__, "%s:%u:%u: %s", reader->name, node->line, node->column, text);
}

void wh_part_clear(wh_part *part)
{
    whist_settings_free(part->settings);
    *part = (wh_part){0};
}

static void *field_of(void *object, const wh_key *key)
{
    return (char *)object + key->offset;
}

/* ---- Unknown keys: what may stand here, and what was probably meant ---- */

/* Names that are allowed in one map: of a table, of a part's options, and "name" of a part. */
typedef struct allowed {
    const wh_key *table;
    const whist_option *options;
    bool part;
} allowed;

static const char *allowed_name(const allowed *set, size_t i)
{
    if (set->part && i-- == 0) return "name";
    for (const whist_option *o = set->options; o && o->name; o++)
        if (i-- == 0) return o->name;
    for (const wh_key *k = set->table; k && k->name; k++)
        if (i-- == 0) return k->name;
    return NULL;
}

static whist_status refuse_unknown(const allowed *set, const wh_yaml *map, const wh_reader *reader)
{
    for (const wh_yaml *child = map->first; child; child = child->next) {
        const char *name, *near = NULL;
        unsigned best = 4;
        for (size_t i = 0; (name = allowed_name(set, i)) && strcmp(name, child->key) != 0; i++) {
            unsigned distance = wh_edit_distance(name, child->key);
            if (distance < best) best = distance, near = name;
        }
        if (name) continue;
        char list[320] = "";
        size_t at = 0;
        for (size_t i = 0; (name = allowed_name(set, i)); i++) {
            if (at + strlen(name) + 8 > sizeof list) {
                (void)snprintf(list + at, sizeof list - at, ", …");
                break;
            }
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", name);
        }
        const wh_yaml place = {.line = child->key_line, .column = child->key_column};
        WH_READER_FAIL(WHIST_E_FORMAT, reader, &place, "unknown key '%.48s'%s%s%s Allowed: %s", child->key,
                       near ? "; did you mean '" : ".", near ? near : "", near ? "'?" : "", list);
    }
    return WHIST_OK;
}

static whist_status want_map(const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind != WH_YAML_MAP)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: lines like 'key: value' or {key: value} are wanted here",
                       key->name);
    return WHIST_OK;
}

/* ---- Parts ---- */

static whist_status find_part(wh_part_info *out, const wh_key *key, const char *name, const wh_yaml *node,
                              const wh_reader *reader)
{
    const char *near = NULL;
    unsigned best = 4;
    char list[400] = "";
    size_t at = 0;
    wh_part_info info;
    for (size_t i = 0; key->parts->get(&info, i); i++) {
        if (strcmp(info.name, name) == 0) {
            *out = info;
            return WHIST_OK;
        }
        unsigned distance = wh_edit_distance(info.name, name);
        if (distance < best) best = distance, near = info.name;
        if (at + strlen(info.name) + 3 < sizeof list)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", info.name);
    }
    WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "unknown %s '%.48s'%s%s%s Allowed: %s", key->parts->one, name,
                   near ? "; did you mean '" : ".", near ? near : "", near ? "'?" : "", list);
}

/* [64, 64] as the text that settings take. */
static whist_status option_list(char *out, size_t size, const wh_yaml *node, const char *name, const wh_reader *reader)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (const wh_yaml *item = node->first; item; item = item->next) {
        if (item->kind != WH_YAML_SCALAR || strlen(item->text) + at + 4 > size)
            WH_READER_FAIL(WHIST_E_FORMAT, reader, item, "%s: up to 16 whole numbers like [64, 64] are wanted", name);
        at += (size_t)snprintf(out + at, size - at, "%s%s", item == node->first ? "" : ", ", item->text);
    }
    (void)snprintf(out + at, size - at, "]");
    return WHIST_OK;
}

static whist_status read_option(whist_settings *settings, const whist_option *option, const wh_yaml *node,
                                const wh_reader *reader)
{
    char list[512];
    const char *text = node->text;
    if (node->kind == WH_YAML_MAP || (node->kind == WH_YAML_LIST && option->type != WHIST_OPTION_INTS))
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a single value is wanted here", option->name);
    if (node->kind == WH_YAML_LIST) {
        WH_TRY(option_list(list, sizeof list, node, option->name, reader));
        text = list;
    } else {
        WH_TRY(wh_key_scalar(&(wh_key){.name = option->name}, node, reader));
    }
    whist_status status = whist_settings_set(settings, option->name, text);
    return status == WHIST_OK ? status : wh_fail_context(status, "%s:%u:%u: ", reader->name, node->line, node->column);
}

static whist_status read_options(whist_settings *settings, const whist_option *options, const wh_yaml *map,
                                 const wh_key *key, const char *part, const wh_reader *reader)
{
    for (const whist_option *option = options; option && option->name; option++) {
        const wh_yaml *node = wh_yaml_get(map, option->name);
        if (node) {
            WH_TRY(read_option(settings, option, node, reader));
        } else if (!option->fallback) {
            WH_READER_FAIL(WHIST_E_FORMAT, reader, map, "the %s '%s' needs the key '%s': %s", key->parts->one, part,
                           option->name, option->doc);
        }
    }
    return WHIST_OK;
}

static whist_status read_part(void *object, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    static const wh_key name_key = {.name = "name"};
    const wh_yaml *name = node->kind == WH_YAML_MAP ? wh_yaml_get(node, "name") : node;
    if (!name)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "the key 'name' is missing: which %s is it?", key->parts->one);
    WH_TRY(wh_key_scalar(&name_key, name, reader));
    wh_part_info info;
    WH_TRY(find_part(&info, key, name->text, name, reader));
    /* A bare name stands for a map with nothing else in it. */
    const wh_yaml bare = {.kind = WH_YAML_MAP, .line = node->line, .column = node->column, .text = ""};
    const wh_yaml *map = node->kind == WH_YAML_MAP ? node : &bare;
    WH_TRY(refuse_unknown(&(allowed){key->sub, info.options, true}, map, reader));

    wh_part *part = field_of(object, key);
    WH_TRY(whist_settings_new(&part->settings, info.options));
    part->class_ = info.class_;
    part->name = info.name;
    WH_TRY(read_options(part->settings, info.options, map, key, info.name, reader));
    return key->sub ? wh_table_fill(object, key->sub, map, reader) : WHIST_OK;
}

/* ---- Maps and lists of maps ---- */

static whist_status read_maps(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind != WH_YAML_LIST)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a list is wanted here: lines that begin with '- '",
                       key->name);
    if ((double)node->n < key->min || (double)node->n > key->max)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: %zu entries are outside %g … %g", key->name, node->n,
                       key->min, key->max);
    wh_items *items = field;
    WH_TRY(wh_arena_alloc(&items->items, reader->arena, node->n, key->size));
    for (const wh_yaml *child = node->first; child; child = child->next) {
        WH_TRY(want_map(key, child, reader));
        WH_TRY(wh_table_read((char *)items->items + items->n++ * key->size, key->sub, child, reader));
    }
    return WHIST_OK;
}

static whist_status read_key(void *object, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    void *field = field_of(object, key);
    switch (key->kind) {
    case WH_KEY_MAP: WH_TRY(want_map(key, node, reader)); return wh_table_read(field, key->sub, node, reader);
    case WH_KEY_MAPS: return read_maps(field, key, node, reader);
    case WH_KEY_PART: return read_part(object, key, node, reader);
    case WH_KEY_OTHER: return key->read(field, key, node, reader);
    default: return wh_value_read(field, key, node, reader);
    }
}

/* A key that is left out: its fallback is read as if it stood there. */
static whist_status fall_back(void *object, const wh_key *key, const wh_yaml *map, const wh_reader *reader)
{
    if (!key->fallback) WH_READER_FAIL(WHIST_E_FORMAT, reader, map, "the key '%s' is missing: %s", key->name, key->doc);
    wh_yaml node = {.line = map->line, .column = map->column, .text = key->fallback};
    if (key->kind == WH_KEY_MAP) {
        node.kind = WH_YAML_MAP;
        return wh_table_fill(field_of(object, key), key->sub, &node, reader);
    }
    return *key->fallback ? read_key(object, key, &node, reader) : WHIST_OK;
}

whist_status wh_table_fill(void *object, const wh_key *table, const wh_yaml *map, const wh_reader *reader)
{
    for (const wh_key *key = table; key->name; key++) {
        const wh_yaml *node = wh_yaml_get(map, key->name);
        WH_TRY(node ? read_key(object, key, node, reader) : fall_back(object, key, map, reader));
    }
    return WHIST_OK;
}

whist_status wh_table_read(void *object, const wh_key *table, const wh_yaml *map, const wh_reader *reader)
{
    WH_TRY(refuse_unknown(&(allowed){table, NULL, false}, map, reader));
    return wh_table_fill(object, table, map, reader);
}
