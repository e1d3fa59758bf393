/* data/split_file.c: a published split: which row is whose, in which fold. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "codec/csv.h"
#include "data/assign.h"

static const char *or_else(const char *text, const char *fallback)
{
    return text[0] ? text : fallback;
}

/* A fold's name with {site} and {index} filled in. */
static whist_status expand(char **out, wh_arena *arena, const char *pattern, const wh_sites *sites, size_t slot)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    while (*pattern) {
        if (!strncmp(pattern, "{site}", 6)) {
            WH_TRY(wh_buf_text(&text, "%s", sites->names[slot]));
            pattern += 6;
        } else if (!strncmp(pattern, "{index}", 7)) {
            WH_TRY(wh_buf_text(&text, "%zu", sites->first + slot));
            pattern += 7;
        } else {
            WH_TRY(wh_buf_add(&text, pattern++, 1));
        }
    }
    return wh_arena_strdup(out, arena, wh_buf_str(&text));
}

/* What each text in the fold column stands for. */
static whist_status fold_names(wh_lookup *out, wh_arena *arena, const whist_schema *schema, const wh_sites *sites)
{
    const char *patterns[3] = {or_else(schema->fold_train, "train"), schema->fold_validation,
                               or_else(schema->fold_test, "test")};
    WH_TRY(wh_lookup_init(out, 3 * sites->n + 3));
    for (uint32_t fold = 0; fold < 3; fold++) {
        if (!patterns[fold][0]) continue;
        bool by_site = strchr(patterns[fold], '{') != NULL;
        for (size_t s = 0; s < (by_site ? sites->n : 1); s++) {
            char *text;
            WH_TRY(expand(&text, arena, patterns[fold], sites, s));
            wh_lookup_add(out, text, (by_site ? (uint32_t)s : (uint32_t)WH_ANY_SLOT) * 4 + fold);
        }
    }
    wh_lookup_sort(out);
    const char *twice = wh_lookup_twice(out);
    if (twice) WH_FAIL(WHIST_E_ARG, "two folds, or the folds of two sites, are both named '%s'", twice);
    return WHIST_OK;
}

typedef struct split_reader {
    const wh_table *table;
    const wh_csv *csv;
    size_t site, row, fold; /* columns; site is SIZE_MAX without one */
    wh_lookup ids;
} split_reader;

/* The row of the table that the split file's present row names. Lines rise in a table, so a line
 * is found by halving. */
static whist_status find_row(size_t *out, const split_reader *split)
{
    const wh_table *table = split->table;
    if (table->id.len) {
        uint32_t found = wh_lookup_find(&split->ids, split->csv->fields[split->row]);
        if (found == WH_NOBODY)
            return wh_csv_fail(WHIST_E_FORMAT, split->csv, split->row,
                               "no row of the data has this id: do data and split file belong together?");
        *out = found;
        return WHIST_OK;
    }
    int64_t line;
    WH_TRY(wh_csv_int(&line, split->csv, split->row));
    const uint64_t *lines = wh_table_line(table);
    size_t low = 0, high = table->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if ((int64_t)lines[mid] < line)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == table->n || (int64_t)lines[low] != line)
        return wh_csv_fail(WHIST_E_FORMAT, split->csv, split->row,
                           "no row of the data begins on this line: do data and split file belong together?");
    *out = low;
    return WHIST_OK;
}

static whist_status index_ids(split_reader *split)
{
    const wh_table *table = split->table;
    WH_TRY(wh_lookup_init(&split->ids, table->n));
    char *const *ids = (char *const *)(const void *)table->id.data;
    for (size_t i = 0; i < table->n; i++) wh_lookup_add(&split->ids, ids[i], (uint32_t)i);
    wh_lookup_sort(&split->ids);
    if (wh_lookup_twice(&split->ids))
        WH_FAIL(WHIST_E_FORMAT, "two rows of the data have the same id: ids must be unique to be split by");
    return WHIST_OK;
}

static whist_status read_rows(uint32_t *out, const split_reader *split, const wh_lookup *folds, const wh_lookup *names,
                              wh_csv *csv)
{
    for (bool more;;) {
        WH_TRY(wh_csv_next(csv, &more));
        if (!more) return WHIST_OK;
        uint32_t slot = WH_ANY_SLOT;
        if (split->site != SIZE_MAX) slot = wh_lookup_find(names, csv->fields[split->site]);
        uint32_t place = wh_lookup_find(folds, csv->fields[split->fold]);
        if (slot == WH_NOBODY || place == WH_NOBODY) continue; /* another site's, or a fold that is not used */
        if (place / 4 == WH_ANY_SLOT)
            place = slot * 4 + place % 4;
        else if (slot != WH_ANY_SLOT && slot != place / 4)
            return wh_csv_fail(WHIST_E_FORMAT, csv, split->fold, "the fold is named after another site than the row's");
        size_t row = 0;
        WH_TRY(find_row(&row, split));
        if (out[row] != WH_NOBODY)
            return wh_csv_fail(WHIST_E_FORMAT, csv, split->row, "the same row a second time: a row has one fold");
        out[row] = place;
    }
}

/* A file that was cut short would leave the classes behind it in no fold, and the rest would train all the same. */
static whist_status check_classes_named(const wh_table *table, const bool *named, size_t n_classes, const char *file)
{
    const float *y = wh_table_y(table);
    for (size_t i = 0; i < table->n; i++)
        if (!wh_table_dropped(table, i) && !named[(size_t)y[i]])
            WH_FAIL(WHIST_E_FORMAT,
                    "%s: no line is about class %zu of 0 to %zu, which has rows: give it a fold, or a name "
                    "that is none",
                    file, (size_t)y[i], n_classes - 1);
    return WHIST_OK;
}

/* The same for a file that names classes: out[row] is what its class has. */
static whist_status read_classes(uint32_t *out, const split_reader *split, const wh_lookup *folds, size_t n_classes,
                                 wh_csv *csv, const char *file)
{
    WH_AUTO(wh_owned) owned = NULL;
    WH_AUTO(wh_owned) flags = NULL;
    WH_TRY(wh_alloc_raw(&owned, n_classes, sizeof(uint32_t)));
    WH_TRY(wh_alloc(&flags, n_classes, sizeof(bool)));
    bool *named = flags;
    uint32_t *place = owned;
    for (size_t k = 0; k < n_classes; k++) place[k] = WH_NOBODY;
    for (bool more = true; more;) {
        WH_TRY(wh_csv_next(csv, &more));
        if (!more) break;
        int64_t k;
        WH_TRY(wh_csv_int(&k, csv, split->row));
        if (k < 0 || (size_t)k >= n_classes)
            return wh_csv_fail(WHIST_E_FORMAT, csv, split->row, "the classes are 0 to %zu", n_classes - 1);
        named[k] = true;
        uint32_t found = wh_lookup_find(folds, csv->fields[split->fold]);
        if (found == WH_NOBODY) continue;
        if (place[k] != WH_NOBODY && place[k] != found)
            return wh_csv_fail(WHIST_E_FORMAT, csv, split->row, "the same class in two folds: folds share no class");
        place[k] = found;
    }
    WH_TRY(check_classes_named(split->table, named, n_classes, file));
    const float *y = wh_table_y(split->table);
    for (size_t i = 0; i < split->table->n; i++)
        if (!wh_table_dropped(split->table, i)) out[i] = place[(size_t)y[i]];
    return WHIST_OK;
}

static void split_clear(split_reader *split)
{
    wh_lookup_clear(&split->ids);
}
WH_AUTO_CLEAR(split_reader, split_clear)

whist_status wh_split_read(uint32_t *out, const wh_table *table, const whist_schema *schema, const wh_sites *sites,
                           const char *folder)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    WH_AUTO(wh_lookup) folds = {0};
    WH_AUTO(wh_lookup) names = {0};
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    WH_AUTO(split_reader) split = {.table = table, .csv = &csv, .site = SIZE_MAX};
    WH_TRY(fold_names(&folds, &arena, schema, sites));
    WH_TRY(wh_lookup_init(&names, sites->n));
    for (size_t s = 0; s < sites->n; s++) wh_lookup_add(&names, sites->names[s], (uint32_t)s);
    wh_lookup_sort(&names);
    if (table->id.len) WH_TRY(index_ids(&split));

    wh_csv_options options = WH_CSV_DEFAULT;
    options.name = schema->split_file;
    options.trim = true;
    WH_TRY(wh_data_path((char **)&path, folder, schema->split_file));
    WH_TRY(wh_file_read(&text, path, WH_MAX_FILE_BYTES));
    WH_TRY(wh_csv_init(&csv, wh_buf_view(&text), &options));
    if (schema->split_site[0]) WH_TRY(wh_csv_column(&split.site, &csv, schema->split_site));
    WH_TRY(wh_csv_column(&split.row, &csv, or_else(schema->split_row, "row")));
    WH_TRY(wh_csv_column(&split.fold, &csv, or_else(schema->split_fold, "fold")));
    if (schema->split_classes)
        return read_classes(out, &split, &folds, wh_schema_classes(schema), &csv, schema->split_file);
    return read_rows(out, &split, &folds, &names, &csv);
}
