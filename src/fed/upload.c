/* fed/upload.c: weight → fixed point → protection → sink. */
#include "fed/upload.h"

#include "base/mem.h"
#include "fed/private.h"
#include "zq/fixed.h"

#include <math.h>
#include <string.h>

/* Rows and steps are the site's own affair where a promise is made. */
static whist_status weigh_in_public(wh_contribution *contribution, const whist_fed_plan *plan, size_t site)
{
    for (size_t k = 0; plan->strategy->vectors[k].name; k++) contribution->weight[k] = wh_private_weight(plan, site);
    return WHIST_OK;
}

whist_status wh_contribution_weigh(wh_contribution *contribution, const whist_fed_plan *plan, size_t site)
{
    const whist_update *update = &contribution->update;
    if (plan->privacy) return weigh_in_public(contribution, plan, site);
    if (!(update->rows >= 0) || !isfinite(update->rows) || !(update->steps > 0) || !isfinite(update->steps))
        WH_FAIL(WHIST_E_RANGE, "the learner reports %g rows and %g steps", update->rows, update->steps);
    contribution->sums.rows = update->rows;
    contribution->sums.rows_steps = update->rows * update->steps;
    for (size_t k = 0; plan->strategy->vectors[k].name; k++) switch (plan->strategy->vectors[k].weighting) {
        case WHIST_WEIGHT_ROWS: contribution->sums.weight[k] = update->rows; break;
        case WHIST_WEIGHT_UNIFORM: contribution->sums.weight[k] = 1; break;
        case WHIST_WEIGHT_ROWS_PER_STEP: contribution->sums.weight[k] = update->rows / update->steps; break;
        }
    memcpy(contribution->weight, contribution->sums.weight, sizeof contribution->weight);
    return WHIST_OK;
}

typedef struct maker {
    whist_protection *machine;
    const wh_layout *layout;
    uint8_t *elements, *out; /* one block each */
    wh_upload_sink *sink;
    void *user;
} maker;

static whist_status send_block(const maker *m, size_t k, uint64_t j)
{
    size_t n = wh_layout_block_length(m->layout, k, j);
    size_t len = wh_protected_size(m->machine, m->layout, k, n);
    const uint8_t *bytes = m->elements;
    if (m->machine->class_->protect) {
        WH_TRY(wh_protect(m->machine, m->layout, k, j * WH_BLOCK, m->elements, n, m->out));
        bytes = m->out;
    }
    return m->sink(m->user, wh_layout_block_start(m->layout, k, j), (whist_bytes){bytes, len});
}

static whist_status encode_block(const maker *m, const whist_fed_plan *plan, const wh_contribution *contribution,
                                 size_t k, uint64_t j)
{
    size_t n = wh_layout_block_length(m->layout, k, j);
    if (!contribution->numbers)
        return wh_fixed_encode(m->elements, &m->layout->fixed[k], contribution->update.vectors[k] + j * WH_BLOCK, n,
                               contribution->weight[k]);
    wh_private_pack(m->elements, plan, contribution->numbers + j * WH_BLOCK, n);
    return WHIST_OK;
}

static whist_status send_vectors(const maker *m, const whist_fed_plan *plan, const wh_contribution *contribution)
{
    for (size_t k = 0; k + 1 < m->layout->n_vectors; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(m->layout, k); j++) {
            whist_status status = encode_block(m, plan, contribution, k, j);
            if (status != WHIST_OK)
                return wh_fail_context(status, "vector %s, block %llu: ", plan->strategy->vectors[k].name,
                                       (unsigned long long)j);
            WH_TRY(send_block(m, k, j));
        }
    return WHIST_OK;
}

static whist_status send_sums(const maker *m, const whist_fed_plan *plan, size_t n_sites,
                              const wh_contribution *contribution)
{
    double packed[WH_MAX_SUMS];
    const double *values = contribution->moments;
    if (!values) {
        wh_sums_pack(packed, &contribution->sums, plan);
        values = packed;
    }
    size_t last = m->layout->n_vectors - 1;
    for (uint64_t j = 0; j < wh_layout_blocks(m->layout, last); j++) {
        size_t n = wh_layout_block_length(m->layout, last, j);
        WH_TRY(wh_sums_encode(m->elements, values + j * WH_BLOCK, n, n_sites));
        WH_TRY(send_block(m, last, j));
    }
    return WHIST_OK;
}

whist_status wh_upload_make(const whist_fed_plan *plan, whist_protection *machine, const wh_layout *layout,
                            size_t n_sites, const wh_contribution *contribution, wh_upload_sink *sink, void *user)
{
    size_t largest = 1;
    for (size_t k = 0; k < layout->n_vectors; k++)
        if (layout->block_bytes[k] > largest) largest = layout->block_bytes[k];
    maker m = {.machine = machine, .layout = layout, .sink = sink, .user = user};
    WH_AUTO(wh_owned) elements = NULL, out = NULL;
    WH_TRY(wh_alloc_raw(&elements, WH_BLOCK, 8));
    if (machine->class_->protect) WH_TRY(wh_alloc_raw(&out, largest, 1));
    m.elements = elements;
    m.out = out;
    WH_TRY(send_vectors(&m, plan, contribution));
    return send_sums(&m, plan, n_sites, contribution);
}
