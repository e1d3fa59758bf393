/* data/dataset.c: opening: read a table, give its rows to sites and folds, fill a block, standardise. */
#include <string.h>

#include "data/assign.h"
#include "data/block.h"
#include "data/text.h"

/* ---- From table and plan to a block */

static whist_status make_block(wh_block **out, const wh_table *table, const wh_plan *plan, const whist_schema *schema,
                               size_t n_slots)
{
    WH_AUTO(wh_block_ptr) block = NULL;
    bool weights = schema->class_weights || schema->class_weights_balanced;
    const float *y = wh_table_y(table), *event = wh_table_event(table);
    size_t n = plan->begin[3 * n_slots];
    WH_TRY(wh_block_new(&block, n, wh_block_features(table, schema), event != NULL, weights));
    WH_TRY(wh_block_add_persons(block, table->person.len));
    WH_TRY(wh_block_frame(block, schema));
    WH_TRY(wh_block_fill(block, table, schema, plan->row));
    for (size_t i = 0; i < n; i++) {
        size_t row = plan->row[i];
        block->y[i] = y[row];
        if (event) block->event[i] = event[row];
        if (block->person) block->person[i] = wh_table_person(table)[row];
    }
    *out = block;
    block = NULL;
    return WHIST_OK;
}

/* Counts rows by fold and class. */
static void count_classes(whist_dataset *dataset, const whist_schema *schema)
{
    const wh_block *block = dataset->block;
    if (schema->asked_only) return; /* what a row lacks is of no class */
    for (int fold = 0; fold < 3; fold++)
        for (size_t i = dataset->begin[fold]; dataset->n_classes && i < dataset->begin[fold] + dataset->n[fold]; i++) {
            size_t k = wh_row_class(schema, block->y[i], block->event ? block->event[i] : 0);
            dataset->classes[(size_t)fold * dataset->n_classes + k]++;
        }
}

/* weight of class k: the study's, times n / (classes * count) where balanced. */
static void set_weights(whist_dataset *dataset, const whist_schema *schema)
{
    wh_block *block = dataset->block;
    if (!block->weight) return;
    double n = (double)dataset->n[WHIST_FOLD_TRAIN], classes = (double)dataset->n_classes;
    for (int fold = 0; fold < 2; fold++)
        for (size_t i = dataset->begin[fold]; i < dataset->begin[fold] + dataset->n[fold]; i++) {
            size_t k = (size_t)block->y[i];
            double weight = schema->class_weights ? schema->class_weights[k] : 1;
            if (schema->class_weights_balanced && dataset->classes[k])
                weight *= n / (classes * (double)dataset->classes[k]);
            block->weight[i] = (float)weight;
        }
}

static whist_status prepare(whist_dataset *dataset, const whist_schema *schema, const char *site)
{
    if (!dataset->n[WHIST_FOLD_TRAIN] && !schema->asked_only)
        WH_FAIL(WHIST_E_FORMAT,
                "site '%s' has no training rows (%llu read, %llu dropped for missing values, %llu not "
                "this site's or in no fold): check the file, the split and the site's name",
                site, (unsigned long long)dataset->rows_read, (unsigned long long)dataset->rows_dropped,
                (unsigned long long)dataset->rows_left_out);
    bool images = !dataset->block->names;
    count_classes(dataset, schema);
    set_weights(dataset, schema);
    if (!images && schema->rows_with_missing == WHIST_MISSING_MEAN) {
        WH_TRY(wh_rows_learn_fill(dataset));
        WH_TRY(wh_rows_fill(dataset, site));
    }
    if (schema->standardize != WHIST_STANDARDIZE_SITE) return WHIST_OK;
    WH_AUTO(wh_owned) moments = NULL;
    size_t d = dataset->block->d;
    WH_TRY(wh_alloc(&moments, d, 2 * sizeof(double)));
    double *mean = moments, *sd = mean + d;
    wh_rows_moments(mean, sd, dataset, images);
    WH_TRY(wh_dataset_keep_moments(dataset, mean, sd));
    wh_rows_standardize(dataset, mean, sd);
    dataset->standardized = true;
    return WHIST_OK;
}

/* The data sets of all slots from one table. out[s] are set as they are made. */
static whist_status build(whist_dataset **out, const wh_table *table, const whist_schema *schema, const wh_sites *sites,
                          const char *folder)
{
    WH_AUTO(wh_plan) plan = WH_PLAN_EMPTY;
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_TRY(wh_assign(&plan, table, schema, sites, folder));
    WH_TRY(make_block(&block, table, &plan, schema, sites->n));
    size_t n_dropped = 0;
    for (size_t i = 0; i < table->n; i++) n_dropped += wh_table_dropped(table, i);
    for (size_t s = 0; s < sites->n; s++) {
        WH_TRY(wh_dataset_new(&out[s], block, wh_schema_classes(schema), schema->n_columns));
        whist_dataset *dataset = out[s];
        size_t taken = 0;
        for (size_t fold = 0; fold < 3; fold++) {
            dataset->begin[fold] = plan.begin[fold * sites->n + s];
            dataset->n[fold] = plan.begin[fold * sites->n + s + 1] - dataset->begin[fold];
            taken += dataset->n[fold];
        }
        dataset->synthetic = table->synthetic;
        dataset->rows_read = table->n;
        dataset->rows_dropped = n_dropped;
        dataset->rows_left_out = table->n - n_dropped - taken;
        if (schema->n_columns) memcpy(dataset->missing, table->missing, schema->n_columns * sizeof *table->missing);
        WH_TRY(prepare(dataset, schema, sites->names[s]));
    }
    return WHIST_OK;
}

/* ---- Opening */

static whist_status read_table(wh_table *out, const whist_schema *schema, const whist_data_source *source,
                               const char *file, const wh_sites *sites)
{
    switch (schema->format) {
    case WHIST_DATA_CSV:
        return wh_table_read_csv(out, schema, source->folder, file ? file : schema->file, sites, source->local_names);
    case WHIST_DATA_IDX: return wh_table_read_idx(out, schema, source->folder);
    case WHIST_DATA_SYNTHETIC: return wh_table_synthesize(out, schema, sites);
    case WHIST_DATA_TEXT: break;
    }
    WH_FAIL(WHIST_E_ARG, "the schema names no known data format");
}

static whist_status open_files(whist_dataset **out, const whist_schema *schema, const whist_data_source *source,
                               const char *file, const wh_sites *sites)
{
    if (schema->format == WHIST_DATA_TEXT)
        return wh_text_open(out, schema, source->folder, file ? file : schema->file, sites);
    WH_AUTO(wh_table) table = WH_TABLE_EMPTY;
    WH_TRY(read_table(&table, schema, source, file, sites));
    return build(out, &table, schema, sites, source->folder);
}

static whist_status open_sites(whist_dataset **out, const whist_schema *schema, const whist_data_source *source,
                               const char *file, const wh_sites *sites)
{
    whist_status status = open_files(out, schema, source, file, sites);
    if (status != WHIST_E_IO || !whist_data_find(schema->set)) return status;
    return wh_fail_context(status, "data set %s (`whist data get %s` fetches it): ", schema->set, schema->set);
}

whist_status whist_dataset_open(whist_dataset **out, const whist_schema *schema, const whist_data_source *source)
{
    WH_ENSURE(out && schema && source && source->site, WHIST_E_ARG);
    WH_ENSURE(source->folder || schema->format == WHIST_DATA_SYNTHETIC, WHIST_E_ARG);
    WH_TRY(wh_schema_check(schema));
    size_t n_all = source->n_sites ? source->n_sites : 1;
    WH_ENSURE(source->site_index < n_all && n_all < WH_ANY_SLOT, WHIST_E_ARG);
    const wh_sites sites = {1, &source->site, source->site_index, n_all, source->seed};
    whist_dataset *dataset = NULL;
    whist_status status = open_sites(&dataset, schema, source, source->file, &sites);
    if (status != WHIST_OK) {
        whist_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return WHIST_OK;
}

static whist_status check_names(const char *const *names, size_t n)
{
    WH_AUTO(wh_lookup) lookup = {0};
    WH_TRY(wh_lookup_init(&lookup, n));
    for (size_t s = 0; s < n; s++) {
        WH_ENSURE(names[s] && names[s][0], WHIST_E_ARG);
        wh_lookup_add(&lookup, names[s], 0);
    }
    wh_lookup_sort(&lookup);
    if (wh_lookup_twice(&lookup)) WH_FAIL(WHIST_E_ARG, "two sites are named '%s'", wh_lookup_twice(&lookup));
    return WHIST_OK;
}

whist_status whist_dataset_open_all(whist_dataset **out, const whist_schema *schema, const whist_data_source *source,
                                    const char *const *files, const char *const *names)
{
    WH_ENSURE(out && schema && source && names && source->n_sites, WHIST_E_ARG);
    WH_ENSURE(source->folder || schema->format == WHIST_DATA_SYNTHETIC, WHIST_E_ARG);
    size_t n = source->n_sites;
    WH_ENSURE(n < WH_ANY_SLOT, WHIST_E_ARG);
    WH_TRY(wh_schema_check(schema));
    WH_TRY(check_names(names, n));
    bool apart = schema->format == WHIST_DATA_SYNTHETIC || schema->partition == WHIST_PARTITION_FILE;
    WH_AUTO(wh_owned) made = NULL;
    WH_TRY(wh_alloc(&made, n, sizeof *out));
    whist_dataset **datasets = made;
    whist_status status = WHIST_OK;
    for (size_t s = 0; apart && s < n && status == WHIST_OK; s++) {
        const wh_sites sites = {1, &names[s], s, n, source->seed};
        status = open_sites(&datasets[s], schema, source, files ? files[s] : source->file, &sites);
    }
    if (!apart) {
        const wh_sites sites = {n, names, 0, n, source->seed};
        status = open_sites(datasets, schema, source, source->file, &sites);
    }
    for (size_t s = 0; s < n; s++)
        if (status == WHIST_OK)
            out[s] = datasets[s];
        else
            whist_dataset_free(datasets[s]);
    return status;
}
