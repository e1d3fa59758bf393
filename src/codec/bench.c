/* codec/bench.c: how fast files become numbers. */
#include "codec/bench.h"

#include "base/clock.h"
#include "codec/csv.h"
#include "codec/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPS = 7, COLUMNS = 14, ROWS = 20000, TENSORS = 4096 };

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times fn(user) and reports `bytes` over each time. */
static whist_status measure(const whist_bench_env *env, const char *name, size_t bytes, whist_status (*fn)(whist_bytes),
                            whist_bytes input)
{
    double rates[REPS];
    WH_TRY(fn(input)); /* warms up */
    for (int i = 0; i < REPS; i++) {
        double start = wh_clock_seconds();
        WH_TRY(fn(input));
        rates[i] = (double)bytes / fmax(wh_clock_seconds() - start, 1e-9);
    }
    qsort(rates, REPS, sizeof *rates, compare_reals);
    whist_bench_result result = {
        .unit = "B/s", .median = rates[REPS / 2], .min = rates[0], .max = rates[REPS - 1], .reps = REPS, .threads = 1};
    snprintf(result.name, sizeof result.name, "%s", name);
    env->emit(env->user, &result);
    return WHIST_OK;
}

static whist_status read_csv(whist_bytes file)
{
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    wh_csv_options options = WH_CSV_DEFAULT;
    bool more;
    double value;
    WH_TRY(wh_csv_init(&csv, file, &options));
    for (;;) {
        WH_TRY(wh_csv_next(&csv, &more));
        if (!more) return WHIST_OK;
        for (size_t c = 0; c < csv.n_columns; c++) WH_TRY(wh_csv_real(&value, &csv, c));
    }
}

/* A table as hospitals have them: whole numbers and short decimals. */
static whist_status bench_csv(const whist_bench_env *env)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    for (int c = 0; c < COLUMNS; c++) WH_TRY(wh_buf_text(&file, "%scolumn_%d", c ? "," : "", c));
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) {
            int mixed = (r * 31 + c * 17) % 1999;
            WH_TRY(c % 3 ? wh_buf_text(&file, ",%d", mixed)
                         : wh_buf_text(&file, "%c%d.%d", c ? ',' : '\n', mixed / 10, r % 100));
        }
    return measure(env, "codec.csv", file.len, read_csv, wh_buf_view(&file));
}

static whist_status read_header(whist_bytes file)
{
    WH_AUTO(wh_safetensors) tensors = WH_SAFETENSORS_EMPTY;
    return wh_safetensors_read(&tensors, file, file.len + (uint64_t)TENSORS * 64 * 4, "bench");
}

static whist_status bench_safetensors(const whist_bench_env *env)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    WH_AUTO(wh_arena) memory = WH_ARENA_EMPTY;
    wh_safetensor *tensors;
    WH_TRY(WH_ARENA_NEW(&tensors, &memory, TENSORS));
    for (int i = 0; i < TENSORS; i++) {
        char name[32];
        char *copy;
        snprintf(name, sizeof name, "layers.%d.weight", i);
        WH_TRY(wh_arena_strdup(&copy, &memory, name));
        tensors[i] = (wh_safetensor){.name = copy, .type = WH_DTYPE_F32, .n_dims = 2, .dims = {8, 8}};
    }
    WH_TRY(wh_safetensors_header(&file, tensors, TENSORS, NULL, 0));
    return measure(env, "codec.safetensors_header", file.len, read_header, wh_buf_view(&file));
}

const whist_bench wh_codec_benches[] = {
    {"codec.csv", "reads a table of 14 numeric columns", false, bench_csv},
    {"codec.safetensors_header", "reads the header of a model of 4096 tensors", false, bench_safetensors},
    {NULL, NULL, false, NULL},
};
