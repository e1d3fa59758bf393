/* study/study_read.c: the keys of a study that have a form of their own. */
#include "study/study_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

whist_status wh_read_version(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    if (strcmp(node->text, "1") != 0)
        WH_READER_FAIL(WHIST_E_UNSUPPORTED, reader, node,
                       "format version '%.20s'; this program reads version 1 only: write 'whist: 1', or take the "
                       "program that the study was written for",
                       node->text);
    *(uint32_t *)field = WH_STUDY_VERSION;
    return WHIST_OK;
}

whist_status wh_read_optional_real(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    wh_optional_real *out = field;
    WH_TRY(wh_key_real(&out->value, key, node, reader));
    out->has = true;
    return WHIST_OK;
}

whist_status wh_read_class_weights(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    whist_schema *schema = field;
    if (node->kind == WH_YAML_SCALAR && strcmp(node->text, "balanced") == 0) {
        schema->class_weights_balanced = true;
        return WHIST_OK;
    }
    if (node->kind != WH_YAML_LIST || node->n == 0)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: balanced or a list like [1, 2.5] is wanted", key->name);
    double *weights;
    WH_TRY(WH_ARENA_NEW(&weights, reader->arena, node->n));
    size_t n = 0;
    for (const wh_yaml *item = node->first; item; item = item->next)
        WH_TRY(wh_key_real(&weights[n++], key, item, reader));
    schema->class_weights = weights;
    schema->n_class_weights = n;
    return WHIST_OK;
}

whist_status wh_read_alphabet(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind != WH_YAML_SCALAR || !*node->text)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: the characters in one text, like \"ab\\n\", are wanted",
                       key->name);
    return wh_arena_strdup((char **)field, reader->arena, node->text);
}

whist_status wh_read_pin(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    struct {
        uint8_t pin[32];
        bool pinned;
    } out = {.pinned = true};
    _Static_assert(sizeof out == sizeof(((wh_site_file *)0)->key), "layout of a pin");
    WH_TRY(wh_key_scalar(key, node, reader));
    bool good = strncmp(node->text, "sha256:", 7) == 0 && strlen(node->text) == 7 + 64;
    if (!good || wh_unhex(out.pin, node->text + 7, 32) != WHIST_OK)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: sha256: and 64 hex digits are wanted, not '%.80s'", key->name,
                       node->text);
    memcpy(field, &out, sizeof out);
    return WHIST_OK;
}

/* ---- Sites and parties ---- */

static int by_name(const void *a, const void *b)
{
    const whist_fed_site *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int by_pin(const void *a, const void *b)
{
    const whist_fed_site *const *x = a, *const *y = b;
    if ((*x)->pinned != (*y)->pinned) return (*x)->pinned ? -1 : 1;
    return memcmp((*x)->pin, (*y)->pin, sizeof(*x)->pin);
}

/* A name or a key that two sites share would let one of them speak for the other. */
static whist_status refuse_twins(const wh_site_list *list, const wh_key *key, const wh_yaml *node,
                                 const wh_reader *reader)
{
    const whist_fed_site **order;
    WH_TRY(WH_ARENA_NEW(&order, reader->arena, list->n));
    for (size_t i = 0; i < list->n; i++) order[i] = &list->sites[i];
    qsort(order, list->n, sizeof *order, by_name);
    for (size_t i = 1; i < list->n; i++)
        if (strcmp(order[i - 1]->name, order[i]->name) == 0)
            WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: the name '%s' stands twice", key->name, order[i]->name);
    qsort(order, list->n, sizeof *order, by_pin);
    for (size_t i = 1; i < list->n; i++)
        if (order[i]->pinned && memcmp(order[i - 1]->pin, order[i]->pin, sizeof order[i]->pin) == 0)
            WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: '%s' and '%s' have the same key; each needs its own",
                           key->name, order[i - 1]->name, order[i]->name);
    return WHIST_OK;
}

static whist_status read_list(wh_site_list *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if ((double)node->n < key->min || (double)node->n > key->max)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: %zu entries are outside %g … %g", key->name, node->n,
                       key->min, key->max);
    WH_TRY(WH_ARENA_NEW(&out->sites, reader->arena, node->n));
    WH_TRY(wh_arena_alloc((void **)(uintptr_t)&out->files, reader->arena, node->n, sizeof *out->files));
    for (const wh_yaml *item = node->first; item; item = item->next) {
        if (item->kind != WH_YAML_MAP)
            WH_READER_FAIL(WHIST_E_FORMAT, reader, item, "%s: entries like {name: x} are wanted", key->name);
        wh_site_file entry = {0};
        WH_TRY(wh_table_read(&entry, key->sub, item, reader));
        whist_fed_site *site = &out->sites[out->n];
        memcpy(site->name, entry.name, sizeof site->name);
        memcpy(site->pin, entry.key.pin, sizeof site->pin);
        site->pinned = entry.key.pinned;
        site->weight = entry.weight;
        char *file = NULL;
        if (*entry.file) WH_TRY(wh_arena_strdup(&file, reader->arena, entry.file));
        out->files[out->n++] = file;
    }
    return refuse_twins(out, key, node, reader);
}

static whist_status read_count(wh_site_list *out, const wh_yaml *node, const wh_reader *reader)
{
    wh_site_count count = {0};
    WH_TRY(wh_table_read(&count, wh_study_count_table, node, reader));
    WH_TRY(WH_ARENA_NEW(&out->sites, reader->arena, count.count));
    WH_TRY(wh_arena_alloc((void **)(uintptr_t)&out->files, reader->arena, count.count, sizeof *out->files));
    for (uint32_t i = 0; i < count.count; i++)
        (void)snprintf(out->sites[i].name, sizeof out->sites[i].name, "%s%u", count.prefix, i);
    out->n = count.count;
    return WHIST_OK;
}

whist_status wh_read_sites(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind == WH_YAML_MAP) return read_count(field, node, reader);
    if (node->kind == WH_YAML_LIST) return read_list(field, key, node, reader);
    WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a list of sites or {count: 100, prefix: site-} is wanted",
                   key->name);
}

whist_status wh_read_parties(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind != WH_YAML_LIST)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a list of {name: …, key: …} is wanted", key->name);
    return read_list(field, key, node, reader);
}

/* ---- Schema ---- */

whist_status wh_study_schema_finish(wh_data_file *data, wh_arena *arena)
{
    whist_schema *schema = &data->schema;
    schema->delimiter = strcmp(data->delimiter, "tab") == 0 ? '\t' : data->delimiter[0];
    schema->skip_lines = data->skip_lines;
    schema->shards = data->shards;
    schema->image_height = data->height;
    schema->image_width = data->width;
    schema->feature_groups = data->groups;
    schema->text_window = data->window;
    schema->text_step = data->step;
    schema->missing = data->missing.items;
    schema->n_missing = data->missing.n;
    WH_TRY(WH_ARENA_NEW(&schema->columns, arena, data->columns.n));
    schema->n_columns = data->columns.n;
    const wh_column_file *columns = data->columns.items;
    schema->n_classes = data->classes;
    for (size_t i = 0; i < schema->n_columns; i++) {
        whist_column *column = &schema->columns[i];
        *column = columns[i].column;
        column->levels = columns[i].levels.items;
        column->n_levels = columns[i].levels.n;
        column->has_threshold = columns[i].threshold.has;
        column->threshold = columns[i].threshold.value;
        column->has_fill = columns[i].fill.has;
        column->fill = columns[i].fill.value;
        if (columns[i].low.has != columns[i].high.has)
            WH_FAIL(WHIST_E_FORMAT, "column '%s' has one bound: low and high stand together", column->name);
        column->has_bounds = columns[i].low.has;
        column->low = columns[i].low.value;
        column->high = columns[i].high.value;
        if (column->type == WHIST_COLUMN_TARGET && schema->task == WHIST_TASK_CLASSES && !schema->n_classes)
            schema->n_classes = column->n_levels;
    }
    return WHIST_OK;
}
