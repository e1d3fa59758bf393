/* data/table.c: tables, look-ups and bare file names. */
#include "data/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

void wh_table_clear(wh_table *table)
{
    wh_buf *bufs[] = {&table->x,       &table->y,      &table->event, &table->line,
                      &table->dropped, &table->person, &table->owner, &table->id};
    for (size_t i = 0; i < WH_COUNT(bufs); i++) wh_buf_clear(bufs[i]);
    wh_idx_clear(&table->images);
    wh_idx_clear(&table->test_images);
    wh_arena_clear(&table->ids);
    wh_free(table->missing);
    *table = (wh_table)WH_TABLE_EMPTY;
}

void wh_table_row(float *out, const wh_table *table, size_t row)
{
    size_t d = table->d, n_own_train = table->n - table->n_own_test;
    if (!table->images.values) {
        if (d) memcpy(out, table->x.data + row * d * sizeof *out, d * sizeof *out);
        return;
    }
    const uint8_t *pixels = row < n_own_train ? (const uint8_t *)table->images.values + row * d
                                              : (const uint8_t *)table->test_images.values + (row - n_own_train) * d;
    for (size_t j = 0; j < d; j++) out[j] = (float)pixels[j] / 255.0F;
}

/* ---- Look-ups */

whist_status wh_lookup_init(wh_lookup *out, size_t cap)
{
    *out = (wh_lookup){.cap = cap};
    return WH_NEW(&out->entries, cap);
}

void wh_lookup_add(wh_lookup *lookup, const char *text, uint32_t value)
{
    WH_CHECK(lookup->n < lookup->cap);
    lookup->entries[lookup->n++] = (struct wh_lookup_entry){text, strlen(text), value};
}

static int order(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t len = a_len < b_len ? a_len : b_len;
    int first = len ? memcmp(a, b, len) : 0;
    return first ? first : (a_len > b_len) - (a_len < b_len);
}

static int order_entries(const void *a, const void *b)
{
    const struct wh_lookup_entry *x = a, *y = b;
    return order(x->text, x->len, y->text, y->len);
}

void wh_lookup_sort(wh_lookup *lookup)
{
    if (lookup->n) qsort(lookup->entries, lookup->n, sizeof *lookup->entries, order_entries);
}

uint32_t wh_lookup_find(const wh_lookup *lookup, whist_bytes text)
{
    size_t low = 0, high = lookup->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct wh_lookup_entry *entry = &lookup->entries[mid];
        int cmp = order((const char *)text.data, text.len, entry->text, entry->len);
        if (cmp == 0) return entry->value;
        if (cmp < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return WH_NOBODY;
}

const char *wh_lookup_twice(const wh_lookup *lookup)
{
    for (size_t i = 1; i < lookup->n; i++)
        if (order_entries(&lookup->entries[i - 1], &lookup->entries[i]) == 0) return lookup->entries[i].text;
    return NULL;
}

void wh_lookup_clear(wh_lookup *lookup)
{
    wh_free(lookup->entries);
    *lookup = (wh_lookup){0};
}

/* ---- Files */

whist_status wh_data_path(char **out, const char *folder, const char *name)
{
    WH_ENSURE(folder && name, WHIST_E_ARG);
    if (!name[0]) WH_FAIL(WHIST_E_ARG, "no file is named: give its bare name inside the data folder");
    if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        WH_FAIL(WHIST_E_ARG, "'%s' is not a bare file name: files lie in the data folder itself, without '/' or '..'",
                name);
    return wh_path(out, folder, "%s", name);
}
