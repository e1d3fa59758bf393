/* fed/aggregate.c: the one place where a sum becomes a model. Memory: a few blocks, whatever the model. */
#include "fed/aggregate.h"

#include "fed/private.h"

#include "nn/model.h"
#include "zq/fixed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What may be read ahead of each vector of each upload: a share of 16 MiB, at most 1 MiB. */
static size_t read_ahead(const wh_step *step)
{
    size_t share = (16U << 20) / (step->n_complete * step->layout.n_vectors + 1);
    return share < 1 << 20 ? share : 1 << 20;
}

whist_status wh_step_open_block(wh_step *step, size_t k, uint64_t j, uint8_t *scratch, const uint8_t **elements)
{
    const wh_layout *layout = &step->layout;
    size_t n = wh_layout_block_length(layout, k, j), len = wh_protected_size(step->machine, layout, k, n);
    uint64_t at = wh_layout_block_start(layout, k, j), offset = j * WH_BLOCK;
    uint8_t *sum = scratch, *read = scratch + layout->block_bytes[k], *plain = read + layout->block_bytes[k];
    const uint8_t *total = step->sum ? step->sum + at : NULL;
    bool first = true;
    for (size_t i = 0; !step->sum && i < step->n; i++) {
        if (!step->uploads[i] || !step->uploads[i]->complete) continue;
        const uint8_t *bytes;
        WH_TRY(wh_upload_walk(step->uploads[i], k, at, len, read_ahead(step), first ? sum : read, &bytes));
        if (first)
            total = bytes;
        else
            WH_TRY(wh_combine(step->machine, layout, k, offset, sum, bytes, n));
        first = false;
    }
    if (!total) WH_FAIL(WHIST_E_STATE, "no upload arrived");
    if (!step->machine->class_->open) {
        *elements = total;
        return WHIST_OK;
    }
    *elements = plain;
    return wh_reveal(step->machine, layout, k, offset, total, n, plain);
}

static size_t scratch_bytes(const wh_step *step)
{
    size_t largest = WH_BLOCK * 8;
    for (size_t k = 0; k < step->layout.n_vectors; k++)
        if (step->layout.block_bytes[k] > largest) largest = step->layout.block_bytes[k];
    return 3 * largest;
}

/* ---- The short vector of sums ---- */

static whist_status open_sums(double *values, wh_step *step)
{
    size_t last = step->layout.n_vectors - 1;
    void *scratch;
    WH_TRY(wh_alloc_raw(&scratch, scratch_bytes(step), 1));
    whist_status status = WHIST_OK;
    for (uint64_t j = 0; status == WHIST_OK && j < wh_layout_blocks(&step->layout, last); j++) {
        const uint8_t *elements;
        status = wh_step_open_block(step, last, j, scratch, &elements);
        if (status == WHIST_OK)
            wh_sums_decode(values + j * WH_BLOCK, elements, wh_layout_block_length(&step->layout, last, j));
    }
    wh_free(scratch);
    return status;
}

whist_status wh_step_sums(wh_sums *out, const whist_fed_plan *plan, wh_step *step)
{
    double values[WH_MAX_SUMS];
    WH_TRY(open_sums(values, step));
    wh_sums_unpack(out, values, plan);
    return WHIST_OK;
}

/* ---- Files of a version ---- */

static size_t n_private_states(const whist_fed_plan *plan)
{
    return plan->strategy->n_states - plan->strategy->n_broadcast;
}

static uint64_t tail_floats(const whist_fed_plan *plan)
{
    return (plan->pooled_moments ? 2 * (uint64_t)plan->n_features : 0) + wh_private_tail(plan);
}

uint64_t wh_model_file_bytes(const whist_fed_plan *plan)
{
    return sizeof(float) * (whist_model_size(plan->model) * (1 + plan->strategy->n_broadcast) + tail_floats(plan));
}

double wh_model_clip_of(const whist_fed_plan *plan, const float *model)
{
    uint64_t last = wh_model_file_bytes(plan) / sizeof(float) - 1;
    return wh_private_tail(plan) ? (double)model[last] : plan->privacy->clip;
}

whist_status wh_model_clip(double *clip, const whist_fed_plan *plan, const wh_vecfile *model)
{
    float value;
    *clip = plan->privacy->clip;
    if (!wh_private_tail(plan)) return WHIST_OK;
    WH_TRY(wh_vecfile_read(model, &value, sizeof value, wh_model_file_bytes(plan) - sizeof value));
    if (!(value > 0) || !isfinite(value)) WH_FAIL(WHIST_E_FORMAT, "the bound behind the model is no number above 0");
    *clip = (double)value;
    return WHIST_OK;
}

void wh_model_file_name(char out[64], uint64_t version)
{
    snprintf(out, 64, "model/%08llu.bin", (unsigned long long)version);
}

static void state_file_name(char out[64], uint64_t version)
{
    snprintf(out, 64, "state/%08llu.bin", (unsigned long long)version);
}

/* The two files of a version, open. state is NULL where the strategy keeps nothing to itself. */
typedef struct version_files {
    wh_vecfile *model, *state;
} version_files;

static void close_files(version_files *files)
{
    wh_vecfile_close(files->model);
    wh_vecfile_close(files->state);
    *files = (version_files){0};
}
WH_AUTO_CLEAR(version_files, close_files)

static whist_status create_files(version_files *out, wh_store *store, const whist_fed_plan *plan, uint64_t version)
{
    char name[64];
    wh_model_file_name(name, version);
    WH_TRY(wh_vecfile_create(&out->model, store, name, wh_model_file_bytes(plan)));
    uint64_t states = sizeof(float) * whist_model_size(plan->model) * n_private_states(plan);
    if (!states) return WHIST_OK;
    state_file_name(name, version);
    return wh_vecfile_create(&out->state, store, name, states);
}

static whist_status open_files(version_files *out, wh_store *store, const whist_fed_plan *plan, uint64_t version)
{
    char name[64];
    wh_model_file_name(name, version);
    WH_TRY(wh_vecfile_open(&out->model, store, name));
    if (!n_private_states(plan)) return WHIST_OK;
    state_file_name(name, version);
    return wh_vecfile_open(&out->state, store, name);
}

static whist_status sync_files(version_files *files)
{
    WH_TRY(wh_vecfile_sync(files->model));
    return files->state ? wh_vecfile_sync(files->state) : WHIST_OK;
}

/* The file and byte offset of state s at parameter `at`: broadcast states live behind the model. */
static wh_vecfile *state_place(const version_files *files, const whist_fed_plan *plan, size_t s, uint64_t at,
                               uint64_t *offset)
{
    size_t p = whist_model_size(plan->model), n_broadcast = plan->strategy->n_broadcast;
    bool shared = s < n_broadcast;
    *offset = sizeof(float) * (at + p * (shared ? s + 1 : s - n_broadcast));
    return shared ? files->model : files->state;
}

static whist_status read_block(whist_strategy_block *block, const version_files *files, const whist_fed_plan *plan)
{
    size_t bytes = block->n * sizeof(float);
    WH_TRY(wh_vecfile_read(files->model, block->model, bytes, block->offset * sizeof(float)));
    for (size_t s = 0; s < plan->strategy->n_states; s++) {
        uint64_t offset;
        wh_vecfile *file = state_place(files, plan, s, block->offset, &offset);
        WH_TRY(wh_vecfile_read(file, block->state[s], bytes, offset));
    }
    return WHIST_OK;
}

static whist_status write_block(const whist_strategy_block *block, const version_files *files,
                                const whist_fed_plan *plan)
{
    size_t bytes = block->n * sizeof(float);
    WH_TRY(wh_vecfile_write(files->model, block->model, bytes, block->offset * sizeof(float)));
    for (size_t s = 0; s < plan->strategy->n_states; s++) {
        uint64_t offset;
        wh_vecfile *file = state_place(files, plan, s, block->offset, &offset);
        WH_TRY(wh_vecfile_write(file, block->state[s], bytes, offset));
    }
    return WHIST_OK;
}

/* ---- Stepping ---- */

/* Buffers for one block of everything, in one arena. */
static whist_status block_buffers(wh_arena *arena, const whist_fed_plan *plan, whist_strategy_block *block,
                                  double *sums[WHIST_MAX_VECTORS])
{
    *block = (whist_strategy_block){0};
    WH_TRY(WH_ARENA_NEW(&block->model, arena, WH_BLOCK));
    for (size_t s = 0; s < plan->strategy->n_states; s++) WH_TRY(WH_ARENA_NEW(&block->state[s], arena, WH_BLOCK));
    for (size_t k = 0; sums && plan->strategy->vectors[k].name; k++) {
        WH_TRY(WH_ARENA_NEW(&sums[k], arena, WH_BLOCK));
        block->sum[k] = sums[k];
    }
    return WHIST_OK;
}

/* What the promise asks of the coordinator; all zero without one. */
typedef struct keeper {
    wh_private rules;
    wh_noise *noise;
    int64_t *scratch;
    double last; /* the number behind the parameters */
} keeper;

static void keeper_clear(keeper *k)
{
    wh_noise_free(k->noise);
}
WH_AUTO_CLEAR(keeper, keeper_clear)

static whist_status keeper_init(keeper *k, const whist_fed_plan *plan, const version_files *from, wh_arena *arena)
{
    double clip;
    if (!wh_private_is_on(plan)) return WHIST_OK;
    WH_TRY(wh_model_clip(&clip, plan, from->model));
    k->rules = wh_private_rules(plan, clip);
    WH_TRY(WH_ARENA_NEW(&k->scratch, arena, WH_BLOCK));
    return wh_noise_new(&k->noise);
}

static whist_status open_sum(double *sum, wh_step *step, const whist_fed_plan *plan, keeper *keep, size_t k, uint64_t j,
                             uint8_t *scratch)
{
    const uint8_t *elements;
    size_t n = wh_layout_block_length(&step->layout, k, j);
    uint64_t p = whist_model_size(plan->model);
    WH_TRY(wh_step_open_block(step, k, j, scratch, &elements));
    if (!keep->noise) {
        wh_fixed_decode(sum, &step->layout.fixed[k], elements, n);
        return WHIST_OK;
    }
    WH_TRY(wh_private_sum(sum, plan, &keep->rules, elements, n, j, step->row.step, keep->noise, keep->scratch));
    if (p >= j * WH_BLOCK && p < j * WH_BLOCK + n) keep->last = sum[p - j * WH_BLOCK];
    return WHIST_OK;
}

static whist_status step_block(wh_step *step, const whist_fed_plan *plan, const whist_strategy_sums *info,
                               whist_strategy_block *block, double *sums[WHIST_MAX_VECTORS], uint8_t *scratch,
                               keeper *keep, const version_files *from, const version_files *to)
{
    for (size_t k = 0; plan->strategy->vectors[k].name; k++)
        WH_TRY(open_sum(sums[k], step, plan, keep, k, block->offset / WH_BLOCK, scratch));
    if (!block->n) return WHIST_OK; /* only the number behind the parameters */
    WH_TRY(read_block(block, from, plan));
    WH_TRY(plan->strategy->step(plan->strategy_settings, info, block));
    return write_block(block, to, plan);
}

static whist_status copy_tail(const whist_fed_plan *plan, const version_files *from, const version_files *to)
{
    uint64_t bytes = tail_floats(plan) * sizeof(float), at = wh_model_file_bytes(plan) - bytes;
    if (!bytes) return WHIST_OK;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    float *tail;
    WH_TRY(WH_ARENA_NEW(&tail, &arena, tail_floats(plan)));
    WH_TRY(wh_vecfile_read(from->model, tail, bytes, at));
    return wh_vecfile_write(to->model, tail, bytes, at);
}

static whist_status write_clip(const whist_fed_plan *plan, const keeper *keep, const version_files *to)
{
    float clip = (float)wh_private_next_clip(plan, &keep->rules, keep->last);
    return wh_vecfile_write(to->model, &clip, sizeof clip, wh_model_file_bytes(plan) - sizeof clip);
}

whist_status wh_model_step(wh_store *store, const whist_fed_plan *plan, wh_step *step, uint64_t version,
                           wh_sums *sums_out)
{
    WH_TRY(wh_step_sums(sums_out, plan, step));
    whist_strategy_sums info = {
        .round = step->row.round,
        .n_arrived = step->n_complete,
        .n_sites = plan->n_sites,
        .rows = sums_out->rows,
        .rows_steps = sums_out->rows_steps,
    };
    memcpy(info.weight, sums_out->weight, sizeof info.weight);
    /* Sums are divided by what everybody knew before, whoever arrived. */
    if (plan->privacy) info.weight[0] = info.rows = info.rows_steps = wh_private_weights(plan);

    WH_AUTO(version_files) from = {0}, to = {0};
    WH_TRY(open_files(&from, store, plan, version));
    WH_TRY(create_files(&to, store, plan, version + 1));
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    double *sums[WHIST_MAX_VECTORS];
    whist_strategy_block block;
    uint8_t *scratch;
    WH_TRY(block_buffers(&arena, plan, &block, sums));
    WH_TRY(WH_ARENA_NEW(&scratch, &arena, scratch_bytes(step)));
    WH_AUTO(keeper) keep = {.noise = NULL};
    WH_TRY(keeper_init(&keep, plan, &from, &arena));
    size_t p = whist_model_size(plan->model);
    for (uint64_t j = 0; j < wh_layout_blocks(&step->layout, 0); j++) {
        block.offset = j * WH_BLOCK;
        block.n = p <= block.offset ? 0 : p - block.offset < WH_BLOCK ? p - block.offset : WH_BLOCK;
        WH_TRY(step_block(step, plan, &info, &block, sums, scratch, &keep, &from, &to));
    }
    WH_TRY(copy_tail(plan, &from, &to));
    if (wh_private_tail(plan)) WH_TRY(write_clip(plan, &keep, &to));
    return sync_files(&to);
}

whist_status wh_model_begin(wh_store *store, const whist_fed_plan *plan)
{
    size_t p = whist_model_size(plan->model);
    WH_AUTO(version_files) to = {0};
    WH_TRY(create_files(&to, store, plan, 0));
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    float *tail;
    whist_strategy_block block;
    WH_TRY(WH_ARENA_NEW(&tail, &arena, tail_floats(plan)));
    WH_TRY(block_buffers(&arena, plan, &block, NULL));
    for (block.offset = 0; block.offset < p; block.offset += WH_BLOCK) {
        block.n = p - block.offset < WH_BLOCK ? p - block.offset : WH_BLOCK;
        wh_model_init_range(plan->model, block.model, block.offset, block.n, plan->seed);
        for (size_t s = 0; s < plan->strategy->n_states; s++) memset(block.state[s], 0, block.n * sizeof(float));
        if (plan->strategy->begin) WH_TRY(plan->strategy->begin(plan->strategy_settings, &block));
        WH_TRY(write_block(&block, &to, plan));
    }
    uint64_t tail_bytes = tail_floats(plan) * sizeof(float);
    if (wh_private_tail(plan)) tail[tail_floats(plan) - 1] = (float)plan->privacy->clip;
    if (tail_bytes) WH_TRY(wh_vecfile_write(to.model, tail, tail_bytes, wh_model_file_bytes(plan) - tail_bytes));
    return sync_files(&to);
}

/* ---- Moments ---- */

/* Mean and sample standard deviation from n, Σx, Σx². A constant column, one whose variance is no more than what
 * rounding leaves of one (of doubles, and of sums that keep 2^-60), gets sd 1. */
static void mean_and_sd(float *mean, float *sd, const double *sums, size_t d)
{
    double n = sums[0];
    for (size_t i = 0; i < d; i++) {
        double m = n > 0 ? sums[1 + i] / n : 0;
        double var = n > 1 ? (sums[1 + d + i] - n * m * m) / (n - 1) : 0;
        mean[i] = (float)m;
        sd[i] = var > 1e-14 * m * m + 0x1p-58 ? (float)sqrt(var) : 1;
    }
}

whist_status wh_model_moments(wh_store *store, const whist_fed_plan *plan, wh_step *step, uint64_t version)
{
    size_t d = plan->n_features;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    double *sums;
    float *tail;
    WH_TRY(WH_ARENA_NEW(&sums, &arena, 2 * (2 * d + 1)));
    WH_TRY(WH_ARENA_NEW(&tail, &arena, 2 * d));
    WH_TRY(open_sums(sums, step));
    wh_moments_join(sums, sums, 2 * d + 1);
    mean_and_sd(tail, tail + d, sums, d);

    WH_AUTO(version_files) from = {0}, to = {0};
    WH_TRY(open_files(&from, store, plan, version));
    WH_TRY(create_files(&to, store, plan, version + 1));
    whist_strategy_block block;
    WH_TRY(block_buffers(&arena, plan, &block, NULL));
    size_t p = whist_model_size(plan->model);
    for (block.offset = 0; block.offset < p; block.offset += WH_BLOCK) {
        block.n = p - block.offset < WH_BLOCK ? p - block.offset : WH_BLOCK;
        WH_TRY(read_block(&block, &from, plan));
        WH_TRY(write_block(&block, &to, plan));
    }
    uint64_t tail_bytes = 2 * d * sizeof(float);
    WH_TRY(wh_vecfile_write(to.model, tail, tail_bytes, wh_model_file_bytes(plan) - tail_bytes));
    return sync_files(&to);
}

whist_status wh_model_forget(wh_store *store, uint64_t version)
{
    char name[64];
    wh_model_file_name(name, version);
    WH_TRY(wh_vecfile_remove(store, name));
    state_file_name(name, version);
    return wh_vecfile_remove(store, name);
}
