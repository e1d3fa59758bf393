/* data/idx_table.c: images and labels as IDX files, as MNIST is published. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "data/table.h"

static whist_status load_images(wh_idx *out, const whist_schema *schema, const char *path, const char *file)
{
    WH_TRY(wh_idx_load(out, path, WH_MAX_FILE_BYTES));
    if (out->type != WH_DTYPE_U8 || out->n_dims != 3)
        WH_FAIL(WHIST_E_FORMAT,
                "%s does not hold images: it must be bytes in 3 dimensions. Are images and labels swapped?", file);
    if (out->dims[1] != schema->image_height || out->dims[2] != schema->image_width)
        WH_FAIL(WHIST_E_FORMAT, "%s holds images of %zu x %zu pixels, and the study's have %u x %u", file, out->dims[1],
                out->dims[2], schema->image_height, schema->image_width);
    if (!out->dims[0]) WH_FAIL(WHIST_E_FORMAT, "%s holds no images", file);
    return WHIST_OK;
}

static whist_status read_images(wh_idx *out, const whist_schema *schema, const char *folder, const char *file)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_TRY(wh_data_path((char **)&path, folder, file));
    return load_images(out, schema, path, file);
}

static double label_at(const wh_idx *labels, size_t i)
{
    switch (labels->type) {
    case WH_DTYPE_U8: return ((const uint8_t *)labels->values)[i];
    case WH_DTYPE_I8: return ((const int8_t *)labels->values)[i];
    case WH_DTYPE_I16: return ((const int16_t *)labels->values)[i];
    case WH_DTYPE_I32: return ((const int32_t *)labels->values)[i];
    case WH_DTYPE_F32: return (double)((const float *)labels->values)[i];
    case WH_DTYPE_F64: return ((const double *)labels->values)[i];
    case WH_DTYPE_I64: break;
    }
    return -1;
}

static whist_status read_labels(wh_table *table, const whist_schema *schema, const char *folder, const char *file,
                                size_t n)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_idx) labels = WH_IDX_EMPTY;
    WH_TRY(wh_data_path((char **)&path, folder, file));
    WH_TRY(wh_idx_load(&labels, path, WH_MAX_FILE_BYTES));
    if (labels.n_dims != 1 || labels.dims[0] != n)
        WH_FAIL(WHIST_E_FORMAT, "%s must hold one label for each of the %zu images", file, n);
    const whist_column *target = wh_schema_column(schema, WHIST_COLUMN_TARGET);
    size_t classes = wh_schema_classes(schema);
    for (size_t i = 0; i < n; i++) {
        double value = label_at(&labels, i);
        if (target && target->has_threshold) value = value > target->threshold;
        float y = (float)value;
        if (y - y != 0) WH_FAIL(WHIST_E_FORMAT, "%s, label %zu: not a finite number", file, i + 1);
        if (classes && !(y >= 0 && y < (float)classes && y == (float)(size_t)y))
            WH_FAIL(WHIST_E_FORMAT, "%s, label %zu: a class must be a whole number from 0 to %zu", file, i + 1,
                    classes - 1);
        WH_TRY(wh_buf_add(&table->y, &y, sizeof y));
    }
    return WHIST_OK;
}

whist_status wh_table_read_idx(wh_table *out, const whist_schema *schema, const char *folder)
{
    WH_TRY(read_images(&out->images, schema, folder, schema->train_images));
    WH_TRY(read_labels(out, schema, folder, schema->train_labels, out->images.dims[0]));
    out->n = out->images.dims[0];
    out->d = wh_schema_pixels(schema);
    if (schema->test_images[0]) {
        WH_TRY(read_images(&out->test_images, schema, folder, schema->test_images));
        out->n_own_test = out->test_images.dims[0];
        WH_TRY(read_labels(out, schema, folder, schema->test_labels, out->n_own_test));
        if (!wh_add_size(&out->n, out->n, out->n_own_test)) WH_FAIL(WHIST_E_RANGE, "too many images");
    }
    if (out->n >= UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "more than 2^32 - 2 images");
    for (uint64_t i = 1; i <= out->n; i++) WH_TRY(wh_buf_u64(&out->line, i));
    return WH_NEW(&out->missing, schema->n_columns);
}

/* Classes of new tasks need not be the study's: any whole numbers will do. */
static whist_status new_labels(wh_table *table, const char *path)
{
    WH_AUTO(wh_idx) labels = WH_IDX_EMPTY;
    WH_TRY(wh_idx_load(&labels, path, WH_MAX_FILE_BYTES));
    if (labels.n_dims != 1 || labels.dims[0] != table->n)
        WH_FAIL(WHIST_E_FORMAT, "%s must hold one label for each of the %zu images", path, table->n);
    for (size_t i = 0; i < table->n; i++) {
        double value = label_at(&labels, i);
        if (!(value >= 0 && value < 65536 && value == floor(value)))
            WH_FAIL(WHIST_E_FORMAT, "%s, label %zu: a class must be a whole number from 0 to 65535", path, i + 1);
        float y = (float)value;
        WH_TRY(wh_buf_add(&table->y, &y, sizeof y));
    }
    return WHIST_OK;
}

whist_status wh_table_read_images(wh_table *out, const whist_schema *schema, const char *images, const char *labels)
{
    const float unknown = NAN;
    WH_TRY(load_images(&out->images, schema, images, images));
    out->n = out->images.dims[0];
    out->d = wh_schema_pixels(schema);
    if (out->n >= UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "more than 2^32 - 2 images");
    if (labels) return new_labels(out, labels);
    for (size_t i = 0; i < out->n; i++) WH_TRY(wh_buf_add(&out->y, &unknown, sizeof unknown));
    return WHIST_OK;
}
