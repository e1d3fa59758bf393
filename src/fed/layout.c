/* fed/layout.c: places in an upload, and the coding of the short vector of sums. */
#include "fed/layout.h"

#include "fed/private.h"

#include <math.h>
#include <string.h>

size_t wh_sums_count(const whist_fed_plan *plan, whist_purpose purpose)
{
    if (purpose == WHIST_PURPOSE_MOMENTS) return 2 * (2 * plan->n_features + 1);
    return 2 + WHIST_MAX_VECTORS + 2 * 3 * plan->n_metrics;
}

whist_status wh_layout_vectors(wh_layout *out, const whist_fed_plan *plan, whist_purpose purpose, size_t n_sites)
{
    *out = (wh_layout){0};
    if (purpose == WHIST_PURPOSE_TRAIN)
        while (plan->strategy->vectors[out->n_vectors].name) {
            WH_TRY(wh_fixed_init(&out->fixed[out->n_vectors], plan->bits, plan->fraction, n_sites));
            out->vectors[out->n_vectors++] = (whist_ring_vector){wh_private_elements(plan), plan->bits};
        }
    WH_TRY(wh_fixed_init(&out->fixed[out->n_vectors], WH_SUM_BITS, WH_SUM_FRACTION, n_sites));
    out->vectors[out->n_vectors++] = (whist_ring_vector){wh_sums_count(plan, purpose), WH_SUM_BITS};
    return WHIST_OK;
}

size_t wh_protected_size(const whist_protection *machine, const wh_layout *layout, size_t k, size_t n)
{
    if (machine->class_->size) return machine->class_->size(machine, k, n);
    return n * layout->fixed[k].width;
}

whist_status wh_layout_place(wh_layout *layout, const whist_protection *machine)
{
    uint64_t at = 0;
    for (size_t k = 0; k < layout->n_vectors; k++) {
        uint64_t full = layout->vectors[k].length / WH_BLOCK, rest = layout->vectors[k].length % WH_BLOCK, bytes;
        layout->block_bytes[k] = wh_protected_size(machine, layout, k, WH_BLOCK);
        layout->start[k] = at;
        if (__builtin_mul_overflow(full, layout->block_bytes[k], &bytes) ||
            __builtin_add_overflow(bytes, rest ? wh_protected_size(machine, layout, k, rest) : 0, &bytes) ||
            __builtin_add_overflow(at, bytes, &at))
            WH_FAIL(WHIST_E_RANGE, "an upload of this model does not fit in 64-bit sizes");
    }
    layout->bytes = at;
    return WHIST_OK;
}

static size_t walk(double *values, wh_sums *sums, const whist_fed_plan *plan, bool pack)
{
    size_t at = 0;
    double *fields[WH_MAX_SUMS];
    fields[at++] = &sums->rows;
    fields[at++] = &sums->rows_steps;
    for (size_t k = 0; k < WHIST_MAX_VECTORS; k++) fields[at++] = &sums->weight[k];
    for (size_t fold = 0; fold < 2; fold++)
        for (size_t m = 0; m < plan->n_metrics; m++) {
            fields[at++] = &sums->metrics[fold][m].num;
            fields[at++] = &sums->metrics[fold][m].den;
            fields[at++] = &sums->metrics[fold][m].n;
        }
    for (size_t i = 0; i < at; i++)
        if (pack)
            values[i] = *fields[i];
        else
            *fields[i] = values[i];
    return at;
}

void wh_sums_pack(double *out, const wh_sums *sums, const whist_fed_plan *plan)
{
    wh_sums copy = *sums;
    walk(out, &copy, plan, true);
}

void wh_sums_unpack(wh_sums *out, const double *values, const whist_fed_plan *plan)
{
    double copy[WH_MAX_SUMS];
    memcpy(copy, values, wh_sums_count(plan, WHIST_PURPOSE_TRAIN) * sizeof *copy);
    *out = (wh_sums){0};
    walk(copy, out, plan, false);
}

void wh_moments_split(double *out, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = rint(values[i] * 0x1p20) * 0x1p-20;
        out[n + i] = (values[i] - out[i]) * 0x1p40;
    }
}

void wh_moments_join(double *values, const double *sums, size_t n)
{
    for (size_t i = 0; i < n; i++) values[i] = sums[i] + sums[n + i] * 0x1p-40;
}

whist_status wh_sums_encode(uint8_t *elements, const double *values, size_t n, size_t sites)
{
    double limit = 0x1p63 / (double)sites - 1;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(values[i] * (double)(1 << WH_SUM_FRACTION)) < limit)) /* also refuses NaN */
            WH_FAIL(WHIST_E_RANGE, "sum %zu of this site cannot be added up over %zu sites without wrapping", i, sites);
    for (size_t i = 0; i < n; i++) {
        int64_t v = (int64_t)llrint(values[i] * (double)(1 << WH_SUM_FRACTION));
        memcpy(elements + 8 * i, &v, 8); /* little-endian machines only; big-endian ones do not build */
    }
    return WHIST_OK;
}

void wh_sums_decode(double *values, const uint8_t *elements, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v;
        memcpy(&v, elements + 8 * i, 8);
        values[i] = (double)v / (double)(1 << WH_SUM_FRACTION);
    }
}
