/* data/block.c: shared memory of rows; making, joining and freeing data sets. */
#include "data/block.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "data/scatter.h"
#include "data/text.h"

/* ---- Blocks */

static void block_free(wh_block *block)
{
    wh_free(block->x);
    wh_free(block->y);
    wh_free(block->event);
    wh_free(block->weight);
    wh_free(block->person);
    wh_free(block->names);
    wh_free(block->takes_part);
    wh_arena_clear(&block->arena);
    wh_free(block);
}

wh_block *wh_block_ref(wh_block *block)
{
    atomic_fetch_add(&block->refs, 1);
    return block;
}

void wh_block_unref(wh_block *block)
{
    if (block && atomic_fetch_sub(&block->refs, 1) == 1) block_free(block);
}

whist_status wh_block_new(wh_block **out, size_t n, size_t d, bool event, bool weight)
{
    WH_AUTO(wh_block_ptr) block = NULL;
    size_t values;
    if (!wh_mul_size(&values, n, d)) WH_FAIL(WHIST_E_NOMEM, "%zu rows of %zu features do not fit memory", n, d);
    WH_TRY(WH_NEW(&block, 1));
    atomic_init(&block->refs, 1);
    block->n = n;
    block->d = d;
    WH_TRY(WH_NEW_RAW(&block->x, values));
    WH_TRY(WH_NEW_RAW(&block->y, n));
    if (event) WH_TRY(WH_NEW(&block->event, n));
    if (weight) WH_TRY(WH_NEW_RAW(&block->weight, n));
    for (size_t i = 0; weight && i < n; i++) block->weight[i] = 1;
    WH_TRY(WH_NEW(&block->takes_part, d));
    *out = block;
    block = NULL;
    return WHIST_OK;
}

whist_status wh_block_add_persons(wh_block *block, bool wanted)
{
    return wanted && !block->person ? WH_NEW(&block->person, block->n) : WHIST_OK;
}

whist_status wh_block_set_name(wh_block *block, size_t j, const char *name, const char *level)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    if (!block->names) WH_TRY(WH_NEW(&block->names, block->d));
    WH_TRY(wh_buf_text(&text, level ? "%s=%s" : "%s", name, level));
    return wh_arena_strdup(&block->names[j], &block->arena, wh_buf_str(&text));
}

typedef struct frame_walk {
    wh_block *block;
    const whist_schema *schema;
    size_t j;
} frame_walk;

static whist_status frame_one(void *user, const whist_column *column, const char *level)
{
    frame_walk *framing = user;
    size_t j = framing->j++;
    framing->block->takes_part[j] = !column || (level ? framing->schema->standardize_one_hot : column->standardize);
    return column ? wh_block_set_name(framing->block, j, column->name, level) : WHIST_OK;
}

whist_status wh_block_frame(wh_block *block, const whist_schema *schema)
{
    frame_walk framing = {block, schema, 0};
    return wh_schema_each(schema, frame_one, &framing);
}

whist_status wh_block_copy_frame(wh_block *to, const wh_block *from)
{
    memcpy(to->takes_part, from->takes_part, from->d * sizeof *from->takes_part);
    for (size_t j = 0; from->names && j < from->d; j++) WH_TRY(wh_block_set_name(to, j, from->names[j], NULL));
    return WHIST_OK;
}

/* ---- Rows */

WH_AUTO_FREE(wh_pool, wh_pool_free)

size_t wh_block_features(const wh_table *table, const whist_schema *schema)
{
    if (!wh_schema_scatters(schema)) return table->d;
    return WH_SCATTER_CHANNELS * (table->d / (WH_SCATTER_STEP * WH_SCATTER_STEP));
}

typedef struct picked {
    const wh_table *table;
    const uint32_t *row;
} picked;

static void picked_row(float *out, const void *user, size_t i)
{
    const picked *rows = user;
    wh_table_row(out, rows->table, rows->row ? rows->row[i] : i);
}

whist_status wh_block_fill(wh_block *block, const wh_table *table, const whist_schema *schema, const uint32_t *row)
{
    enum { MOST_THREADS = 32 };
    const picked rows = {table, row};
    if (!wh_schema_scatters(schema)) {
        for (size_t i = 0; i < block->n; i++) picked_row(block->x + i * table->d, &rows, i);
        return WHIST_OK;
    }
    WH_AUTO(wh_scatter) scatter = {0};
    WH_AUTO(wh_pool_ptr) pool = NULL;
    long cores = block->n > 64 * WH_SCATTER_LANES ? sysconf(_SC_NPROCESSORS_ONLN) : 1;
    WH_TRY(wh_scatter_init(&scatter, schema->image_height, schema->image_width));
    WH_TRY(wh_pool_new(&pool, cores < 1 ? 1 : cores > MOST_THREADS ? MOST_THREADS : (unsigned)cores));
    return wh_scatter_rows(block->x, &scatter, schema->feature_groups, block->n, picked_row, &rows, pool);
}

/* ---- Data sets */

whist_status wh_dataset_new(whist_dataset **out, wh_block *block, size_t n_classes, size_t n_columns)
{
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    WH_TRY(WH_NEW(&dataset, 1));
    WH_TRY(wh_alloc((void **)&dataset->classes, n_classes, 3 * sizeof *dataset->classes));
    WH_TRY(WH_NEW(&dataset->missing, n_columns));
    dataset->n_classes = n_classes;
    dataset->n_columns = n_columns;
    dataset->block = wh_block_ref(block);
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}

void whist_dataset_free(whist_dataset *dataset)
{
    if (!dataset) return;
    wh_block_unref(dataset->block);
    wh_free(dataset->classes);
    wh_free(dataset->missing);
    wh_free(dataset->mean);
    wh_free(dataset->fill);
    wh_free(dataset);
}

whist_rows whist_dataset_rows(const whist_dataset *dataset, whist_fold fold)
{
    if (!dataset || (unsigned)fold > WHIST_FOLD_TEST) return (whist_rows){0};
    const wh_block *block = dataset->block;
    size_t at = dataset->begin[fold], n = dataset->n[fold];
    if (!n) return (whist_rows){.d = block->d};
    if (dataset->step[fold])
        return (whist_rows){.n = n,
                            .d = block->d,
                            .x = block->x + at,
                            .y = block->x + at + 1,
                            .n_targets = block->d,
                            .x_stride = dataset->step[fold],
                            .y_stride = dataset->step[fold]};
    return (whist_rows){
        .n = n,
        .d = block->d,
        .x = block->x + at * block->d,
        .y = block->y + at,
        .event = block->event ? block->event + at : NULL,
        .weight = block->weight && fold != WHIST_FOLD_TEST ? block->weight + at : NULL,
        .person = block->person ? block->person + at : NULL,
    };
}

size_t whist_dataset_features(const whist_dataset *dataset)
{
    return dataset ? dataset->block->d : 0;
}

const char *whist_dataset_feature_name(const whist_dataset *dataset, size_t j)
{
    return dataset && dataset->block->names && j < dataset->block->d ? dataset->block->names[j] : "";
}

whist_data_summary whist_dataset_describe(const whist_dataset *dataset)
{
    if (!dataset) return (whist_data_summary){0};
    return (whist_data_summary){
        .synthetic = dataset->synthetic,
        .rows_read = dataset->rows_read,
        .rows_dropped = dataset->rows_dropped,
        .rows_left_out = dataset->rows_left_out,
        .rows = {dataset->n[0], dataset->n[1], dataset->n[2]},
        .n_classes = dataset->n_classes,
        .classes = dataset->classes,
        .n_columns = dataset->n_columns,
        .missing = dataset->missing,
    };
}

/* Copies n rows into the block at row `at`. */
static void put_rows(wh_block *block, size_t at, const whist_rows *rows)
{
    if (!rows->n) return;
    memcpy(block->x + at * block->d, rows->x, rows->n * rows->d * sizeof *rows->x);
    memcpy(block->y + at, rows->y, rows->n * sizeof *rows->y);
    if (block->event && rows->event) memcpy(block->event + at, rows->event, rows->n * sizeof *rows->event);
    if (block->weight && rows->weight) memcpy(block->weight + at, rows->weight, rows->n * sizeof *rows->weight);
    if (block->person && rows->person) memcpy(block->person + at, rows->person, rows->n * sizeof *rows->person);
}

/* One target a row, and rows that stand one behind the other. */
static bool is_plain(const whist_rows *rows)
{
    return rows->n_targets <= 1 && rows->x_stride == 0 && rows->y_stride == 0;
}

whist_status whist_dataset_from_rows(whist_dataset **out, const whist_rows *train, const whist_rows *test)
{
    WH_ENSURE(out && train && train->n && train->d && train->x && train->y, WHIST_E_ARG);
    WH_ENSURE(!test || !test->n || (test->d == train->d && test->x && test->y), WHIST_E_ARG);
    WH_ENSURE(!test || !test->n || !test->event == !train->event, WHIST_E_ARG);
    WH_ENSURE(!test || !test->n || !test->person == !train->person, WHIST_E_ARG);
    WH_ENSURE(is_plain(train) && (!test || is_plain(test)), WHIST_E_ARG);
    size_t n_test = test ? test->n : 0, n;
    if (!wh_add_size(&n, train->n, n_test)) WH_FAIL(WHIST_E_NOMEM, "too many rows");
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    WH_TRY(wh_block_new(&block, n, train->d, train->event, train->weight));
    WH_TRY(wh_block_add_persons(block, train->person));
    WH_TRY(wh_dataset_new(&dataset, block, 0, 0));
    for (size_t j = 0; j < train->d; j++) block->takes_part[j] = true;
    put_rows(block, 0, train);
    if (n_test) put_rows(block, train->n, test);
    dataset->n[WHIST_FOLD_TRAIN] = train->n;
    dataset->begin[WHIST_FOLD_TEST] = train->n;
    dataset->n[WHIST_FOLD_TEST] = n_test;
    dataset->rows_read = n;
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}

/* ---- Joining */

static bool joinable(const whist_dataset *a, const whist_dataset *b)
{
    const wh_block *x = a->block, *y = b->block;
    if (x == y) return true;
    if (x->d != y->d || !x->event != !y->event || !x->person != !y->person || !x->names != !y->names ||
        a->n_classes != b->n_classes)
        return false;
    for (size_t j = 0; x->names && j < x->d; j++)
        if (strcmp(x->names[j], y->names[j]) != 0) return false;
    return memcmp(x->takes_part, y->takes_part, x->d * sizeof *x->takes_part) == 0;
}

/* True where the parts follow each other in one block in every fold. */
static bool adjacent(whist_dataset *const *parts, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (int fold = 0; fold < 3; fold++)
            if (parts[i]->block != parts[0]->block ||
                parts[i]->begin[fold] != parts[i - 1]->begin[fold] + parts[i - 1]->n[fold])
                return false;
    return true;
}

static void add_counts(whist_dataset *to, const whist_dataset *from)
{
    to->rows_read += from->rows_read;
    to->rows_dropped += from->rows_dropped;
    to->rows_left_out += from->rows_left_out;
    to->synthetic |= from->synthetic;
    to->standardized |= from->standardized;
    for (int fold = 0; fold < 3; fold++) to->n[fold] += from->n[fold];
    for (size_t k = 0; k < 3 * to->n_classes; k++) to->classes[k] += from->classes[k];
    for (size_t c = 0; c < to->n_columns && c < from->n_columns; c++) to->missing[c] += from->missing[c];
}

static whist_status copy_parts(wh_block **out, whist_dataset *const *parts, size_t n, const size_t total[3])
{
    size_t rows;
    bool weight = false;
    for (size_t i = 0; i < n; i++) weight |= parts[i]->block->weight != NULL;
    if (!wh_add_size(&rows, total[0], total[1]) || !wh_add_size(&rows, rows, total[2]))
        WH_FAIL(WHIST_E_NOMEM, "too many rows");
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_TRY(wh_block_new(&block, rows, parts[0]->block->d, parts[0]->block->event, weight));
    WH_TRY(wh_block_add_persons(block, parts[0]->block->person));
    WH_TRY(wh_block_copy_frame(block, parts[0]->block));
    size_t at = 0;
    for (int fold = 0; fold < 3; fold++)
        for (size_t i = 0; i < n; i++) {
            whist_rows view = whist_dataset_rows(parts[i], (whist_fold)fold);
            put_rows(block, at, &view);
            at += view.n;
        }
    *out = block;
    block = NULL;
    return WHIST_OK;
}

whist_status whist_dataset_concat(whist_dataset **out, whist_dataset *const *parts, size_t n)
{
    WH_ENSURE(out && parts && n && parts[0], WHIST_E_ARG);
    size_t total[3] = {0};
    bool text = parts[0]->step[0] != 0;
    for (size_t i = 0; i < n; i++) {
        WH_ENSURE(parts[i] && text == (parts[i]->step[0] != 0), WHIST_E_ARG);
        WH_ENSURE(parts[i] && joinable(parts[0], parts[i]), WHIST_E_ARG);
        for (int fold = 0; fold < 3; fold++)
            if (!wh_add_size(&total[fold], total[fold], parts[i]->n[fold])) WH_FAIL(WHIST_E_NOMEM, "too many rows");
    }
    if (text) return wh_text_concat(out, parts, n);
    bool view = adjacent(parts, n);
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    if (view)
        block = wh_block_ref(parts[0]->block);
    else
        WH_TRY(copy_parts(&block, parts, n, total));
    WH_TRY(wh_dataset_new(&dataset, block, parts[0]->n_classes, parts[0]->n_columns));
    for (size_t i = 0; i < n; i++) add_counts(dataset, parts[i]);
    for (int fold = 0; fold < 3; fold++)
        dataset->begin[fold] = view ? parts[0]->begin[fold] : fold ? dataset->begin[fold - 1] + total[fold - 1] : 0;
    if (view) atomic_store(&block->overlapped, true);
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}
