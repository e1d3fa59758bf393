/* data/more.c: rows to predict for, turned into numbers by what another data set has learnt. */
#include <math.h>
#include <string.h>

#include "data/block.h"
#include "data/table.h"

static whist_status check_like(const whist_schema *schema, const whist_dataset *like, const wh_block *block)
{
    bool site = schema->standardize == WHIST_STANDARDIZE_SITE, fill = schema->rows_with_missing == WHIST_MISSING_MEAN;
    if (like) {
        bool same = like->block->d == block->d && like->block->names;
        for (size_t j = 0; same && j < block->d; j++) same = strcmp(like->block->names[j], block->names[j]) == 0;
        if (!same) WH_FAIL(WHIST_E_ARG, "the rows and the data set they are to be like have different columns");
    }
    if ((site && !(like && like->mean)) || (fill && !(like && like->fill)))
        WH_FAIL(WHIST_E_STATE,
                "the study %s by a site's own training rows, and such rows are not at hand: name the site and its data",
                site ? "standardises" : "fills in missing values");
    return WHIST_OK;
}

/* All rows, in order, as test rows; raw. */
static whist_status make_rows(whist_dataset **out, const wh_table *table, const whist_schema *schema)
{
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    bool survival = schema->task == WHIST_TASK_SURVIVAL;
    WH_TRY(wh_block_new(&block, table->n, table->d, survival, false));
    WH_TRY(wh_block_frame(block, schema));
    memcpy(block->x, table->x.data, table->x.len);
    memcpy(block->y, table->y.data, table->y.len);
    if (survival) memcpy(block->event, table->event.data, table->event.len);
    WH_TRY(wh_dataset_new(&dataset, block, 0, schema->n_columns));
    dataset->n[WHIST_FOLD_TEST] = dataset->rows_read = table->n;
    memcpy(dataset->missing, table->missing, schema->n_columns * sizeof *table->missing);
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}

/* Far enough from training rows that hardly differ, a value is beyond float32. */
static whist_status check_finite(const whist_dataset *dataset)
{
    const whist_rows rows = whist_dataset_rows(dataset, WHIST_FOLD_TEST);
    for (size_t i = 0; i < rows.n * rows.d; i++)
        if (!isfinite(rows.x[i]))
            WH_FAIL(WHIST_E_RANGE, "row %zu: the standardised value of '%s' is too large: is the cell right?",
                    i / rows.d + 1, dataset->block->names[i % rows.d]);
    return WHIST_OK;
}

static whist_status become_like(whist_dataset *dataset, const whist_schema *schema, const whist_dataset *like,
                                const char *site)
{
    size_t d = dataset->block->d;
    WH_TRY(check_like(schema, like, dataset->block));
    if (like && like->fill) {
        WH_TRY(WH_NEW(&dataset->fill, d));
        memcpy(dataset->fill, like->fill, d * sizeof *like->fill);
        WH_TRY(wh_rows_fill(dataset, site));
    }
    if (!like || !like->mean) return WHIST_OK;
    WH_TRY(whist_dataset_standardize(dataset, like->mean, like->sd));
    return check_finite(dataset);
}

whist_status whist_dataset_open_more(whist_dataset **out, const whist_schema *schema, const whist_data_source *source,
                                     const whist_dataset *like)
{
    WH_ENSURE(out && schema && source && source->folder, WHIST_E_ARG);
    /* Rows that are made up have columns that somebody's own file may have, too. */
    const bool made_up = schema->format == WHIST_DATA_SYNTHETIC && schema->n_columns > 0;
    if (schema->format != WHIST_DATA_CSV && !made_up)
        WH_FAIL(
            WHIST_E_UNSUPPORTED,
            "rows to adapt to or to predict for are read from CSV files by the study's data.columns, and it has none");
    WH_TRY(wh_schema_check(schema));
    WH_AUTO(wh_table) table = WH_TABLE_EMPTY;
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    const char *file = source->file ? source->file : schema->file;
    WH_TRY(wh_table_read_csv(&table, schema, source->folder, file, NULL, source->local_names));
    WH_TRY(make_rows(&dataset, &table, schema));
    WH_TRY(become_like(dataset, schema, like, source->site ? source->site : "that these rows are like"));
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}

whist_status whist_dataset_open_images(whist_dataset **out, const whist_schema *schema, const char *images_path,
                                       const char *labels_path, bool ink)
{
    WH_ENSURE(out && schema && images_path, WHIST_E_ARG);
    if (schema->image_height == 0 || schema->image_width == 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "the study's rows are no images");
    WH_AUTO(wh_table) table = WH_TABLE_EMPTY;
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    bool pictures = wh_is_pictures(images_path);
    if (pictures && labels_path)
        WH_FAIL(WHIST_E_ARG, "labels are of IDX images; of PNG images the folders are the classes");
    WH_TRY(pictures ? wh_table_read_pictures(&table, schema, images_path, ink)
                    : wh_table_read_images(&table, schema, images_path, labels_path));
    WH_TRY(wh_block_new(&block, table.n, wh_block_features(&table, schema), false, false));
    WH_TRY(wh_block_fill(block, &table, schema, NULL));
    memcpy(block->y, table.y.data, table.y.len);
    WH_TRY(wh_dataset_new(&dataset, block, 0, schema->n_columns));
    dataset->n[WHIST_FOLD_TEST] = dataset->rows_read = table.n;
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}
