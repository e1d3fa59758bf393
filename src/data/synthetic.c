/* data/synthetic.c: a cohort that nobody lived: for machines without the data.
 *
 * One truth for all sites (a logistic model with weights from the study's seed) and for each site a
 * shift of its features, its level frequencies and its base rate: so that local, federated and pooled
 * training differ, as they do on real hospitals. Values depend on seed and site name only.
 *
 *     z = w . (x - 0.3 shift) + b_site     shift ~ N(0, 0.8^2) per feature and site, w ~ N(0, 4 / D)
 *
 * A column of persons: ten rows each, in order.
 *
 * Images: one prototype per class, made of broad strokes, plus noise and a site's brightness. */
#include <math.h>
#include <string.h>

#include "data/table.h"
#include "draw/stream.h"

typedef struct cohort_maker {
    const whist_schema *schema;
    wh_arena arena;
    size_t d, n_outputs;
    float *w;     /* (n_outputs, d), images: the prototypes */
    float *shift; /* (d) */
    float *bias;  /* (n_outputs) */
    float *x;     /* (d) one row */
    wh_seeded stream;
} cohort_maker;

static void cohort_clear(cohort_maker *cohort)
{
    wh_arena_clear(&cohort->arena);
}
WH_AUTO_CLEAR(cohort_maker, cohort_clear)

static void draw_tabular_truth(cohort_maker *cohort, wh_seeded *truth, wh_seeded *site)
{
    double scale = 2 / sqrt((double)cohort->d);
    for (size_t i = 0; i < cohort->n_outputs * cohort->d; i++) cohort->w[i] = (float)(scale * wh_seeded_normal(truth));
    for (size_t j = 0; j < cohort->d; j++) cohort->shift[j] = (float)(0.8 * wh_seeded_normal(site));
    for (size_t k = 0; k < cohort->n_outputs; k++) cohort->bias[k] = (float)(0.5 * wh_seeded_normal(site));
}

/* Twelve blobs of ink for each class. */
static void draw_prototypes(cohort_maker *cohort, wh_seeded *truth)
{
    size_t height = cohort->schema->image_height, width = cohort->schema->image_width;
    for (size_t k = 0; k < cohort->n_outputs; k++)
        for (int blob = 0; blob < 12; blob++) {
            double cy = wh_seeded_uniform(truth, 0, (double)height), cx = wh_seeded_uniform(truth, 0, (double)width);
            double r2 = (double)(height * width) / 80;
            for (size_t y = 0; y < height; y++)
                for (size_t x = 0; x < width; x++) {
                    double dy = (double)y - cy, dx = (double)x - cx;
                    float *pixel = &cohort->w[(k * height + y) * width + x];
                    *pixel = fmaxf(*pixel, (float)(0.8 / (1 + (dy * dy + dx * dx) / r2)));
                }
        }
}

static void draw_features(cohort_maker *cohort)
{
    size_t at = 0;
    for (size_t c = 0; c < cohort->schema->n_columns; c++) {
        const whist_column *column = &cohort->schema->columns[c];
        if (column->type == WHIST_COLUMN_REAL) {
            cohort->x[at] = cohort->shift[at] + (float)wh_seeded_normal(&cohort->stream);
            at++;
        } else if (column->type == WHIST_COLUMN_CATEGORY) {
            size_t n_x = column->n_levels - column->drop_first;
            size_t level = wh_seeded_below(&cohort->stream, (uint32_t)column->n_levels);
            if (n_x && cohort->shift[at] > 0 && wh_seeded_float(&cohort->stream) < 0.3F) /* the site's favourite */
                level = (size_t)(cohort->shift[at] * 1000) % column->n_levels;
            for (size_t j = 0; j < n_x; j++) cohort->x[at + j] = level == j + column->drop_first;
            at += n_x;
        }
    }
}

static double score(const cohort_maker *cohort, size_t k)
{
    double sum = (double)cohort->bias[k];
    for (size_t j = 0; j < cohort->d; j++)
        sum += (double)cohort->w[k * cohort->d + j] * ((double)cohort->x[j] - 0.3 * (double)cohort->shift[j]);
    return sum;
}

static void draw_target(cohort_maker *cohort, float *y, float *event)
{
    wh_seeded *stream = &cohort->stream;
    double z = score(cohort, 0);
    switch (cohort->schema->task) {
    case WHIST_TASK_REGRESSION: *y = (float)(z + 0.5 * wh_seeded_normal(stream)); return;
    case WHIST_TASK_BINARY: *y = wh_seeded_double(stream) < 1 / (1 + exp(-z)); return;
    case WHIST_TASK_SURVIVAL: { /* exponential with hazard e^z a 1000 days, censored at random; whole days */
        double time = 1000 * -log(1 - wh_seeded_double(stream)) * exp(-z);
        double end = wh_seeded_uniform(stream, 100, 3000);
        *event = time <= end;
        *y = (float)fmax(1, rint(fmin(time, end)));
        return;
    }
    case WHIST_TASK_CLASSES: {
        double best = -INFINITY;
        for (size_t k = 0; k < cohort->n_outputs; k++) {
            double noisy = score(cohort, k) + wh_seeded_normal(stream);
            if (noisy > best) best = noisy, *y = (float)k;
        }
        return;
    }
    }
}

static void draw_image(cohort_maker *cohort, float *y)
{
    uint32_t k = wh_seeded_below(&cohort->stream, (uint32_t)cohort->n_outputs);
    const float *prototype = cohort->w + (size_t)k * cohort->d;
    for (size_t j = 0; j < cohort->d; j++) {
        float value = prototype[j] + cohort->bias[0] * 0.1F + 0.3F * (float)wh_seeded_normal(&cohort->stream);
        cohort->x[j] = rintf(255 * fminf(fmaxf(value, 0), 1)) / 255.0F;
    }
    *y = (float)k;
}

static whist_status draw_rows(wh_table *out, cohort_maker *cohort, size_t n)
{
    bool images = !cohort->schema->n_columns;
    for (uint64_t line = 1; line <= n; line++) {
        float y = 0, event = 0;
        if (images) {
            draw_image(cohort, &y);
        } else {
            draw_features(cohort);
            draw_target(cohort, &y, &event);
        }
        WH_TRY(wh_buf_add(&out->x, cohort->x, cohort->d * sizeof *cohort->x));
        WH_TRY(wh_buf_add(&out->y, &y, sizeof y));
        if (cohort->schema->task == WHIST_TASK_SURVIVAL) WH_TRY(wh_buf_add(&out->event, &event, sizeof event));
        WH_TRY(wh_buf_u64(&out->line, line));
        if (wh_schema_column(cohort->schema, WHIST_COLUMN_PERSON)) WH_TRY(wh_buf_u64(&out->person, (line - 1) / 10));
        out->n++;
    }
    return WHIST_OK;
}

whist_status wh_table_synthesize(wh_table *out, const whist_schema *schema, const wh_sites *sites)
{
    WH_AUTO(cohort_maker) cohort = {.schema = schema};
    size_t outputs, n = schema->synthetic_rows ? schema->synthetic_rows : 200;
    if (n >= UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "more than 2^32 - 2 synthetic rows");
    WH_TRY(whist_schema_features(schema, &cohort.d, &outputs));
    bool images = !schema->n_columns;
    if (images && schema->task == WHIST_TASK_REGRESSION)
        WH_FAIL(WHIST_E_UNSUPPORTED, "synthetic images are made for classes only");
    if (images) cohort.d = wh_schema_pixels(schema);
    cohort.n_outputs = images ? wh_schema_classes(schema) : outputs;
    WH_TRY(wh_arena_alloc((void **)&cohort.w, &cohort.arena, cohort.n_outputs, cohort.d * sizeof *cohort.w));
    WH_TRY(WH_ARENA_NEW(&cohort.shift, &cohort.arena, cohort.d));
    WH_TRY(WH_ARENA_NEW(&cohort.bias, &cohort.arena, cohort.n_outputs));
    WH_TRY(WH_ARENA_NEW(&cohort.x, &cohort.arena, cohort.d));
    wh_seeded truth, site;
    wh_seeded_init(&truth, sites->seed, "synthetic", "", 0);
    wh_seeded_init(&site, sites->seed, "synthetic", sites->names[0], 1);
    wh_seeded_init(&cohort.stream, sites->seed, "synthetic", sites->names[0], 2);
    if (images) {
        draw_prototypes(&cohort, &truth);
        cohort.bias[0] = (float)wh_seeded_normal(&site);
    } else {
        draw_tabular_truth(&cohort, &truth, &site);
    }
    out->d = cohort.d;
    out->synthetic = true;
    WH_TRY(WH_NEW(&out->missing, schema->n_columns));
    return draw_rows(out, &cohort, n);
}
