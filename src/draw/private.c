/* draw/private.c: rows by runs of failures, by Floyd's subsets, by counting balls. */
#include "draw/private.h"

#include <stdlib.h>
#include <string.h>

#include "draw/sample.h"

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The number of failures before the next row that takes part is geometric, so a small rate costs little. */
static whist_status draw_poisson(const wh_private_draw *draw, size_t *n)
{
    enum { GAPS = 64 };
    int64_t gap[GAPS]; /* drawn together; those behind the last row are not looked at */
    size_t count = 0;
    for (uint64_t row = 0, at = GAPS;; row++, at++) {
        if (at == GAPS) {
            WH_TRY(wh_sample_geometric(draw->noise, gap, GAPS, draw->design.rate));
            at = 0;
        }
        row += (uint64_t)gap[at];
        if (row >= draw->design.n) break;
        draw->index[count++] = (uint32_t)row;
    }
    wh_wipe(gap, sizeof gap);
    *n = count;
    return WHIST_OK;
}

/* Keeps the first `keep` of a partial Fisher–Yates shuffle. */
static whist_status keep_some(const wh_private_draw *draw, size_t keep, size_t n)
{
    for (size_t i = 0; i < keep; i++) {
        uint64_t j;
        WH_TRY(wh_noise_below(draw->noise, &j, n - i));
        uint32_t other = draw->index[i + j];
        draw->index[i + j] = draw->index[i];
        draw->index[i] = other;
    }
    qsort(draw->index, keep, sizeof *draw->index, ascending);
    return WHIST_OK;
}

static whist_status draw_truncated(const wh_private_draw *draw, size_t *n)
{
    WH_TRY(draw_poisson(draw, n));
    if (*n <= draw->design.batch) return WHIST_OK;
    WH_TRY(keep_some(draw, draw->design.batch, *n));
    *n = draw->design.batch;
    return WHIST_OK;
}

static whist_status draw_subset(const wh_private_draw *draw, size_t *n)
{
    for (size_t i = 0; i < draw->design.n; i++) draw->index[i] = (uint32_t)i;
    WH_TRY(keep_some(draw, draw->design.batch, draw->design.n));
    *n = draw->design.batch;
    return WHIST_OK;
}

/* Bins of all rows, then rows sorted by bin by counting. */
static whist_status throw_balls(const wh_private_draw *draw)
{
    const size_t n = draw->design.n, bins = draw->design.bins;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n, sizeof(uint32_t)));
    uint32_t *bin_of = memory;
    memset(draw->bin, 0, (bins + 1) * sizeof *draw->bin);
    for (size_t i = 0; i < n; i++) {
        uint64_t bin;
        WH_TRY(wh_noise_below(draw->noise, &bin, bins));
        bin_of[i] = (uint32_t)bin;
        draw->bin[bin + 1]++;
    }
    for (size_t b = 1; b <= bins; b++) draw->bin[b] += draw->bin[b - 1];
    for (size_t i = 0; i < n; i++) draw->index[draw->bin[bin_of[i]]++] = (uint32_t)i;
    memmove(draw->bin + 1, draw->bin, bins * sizeof *draw->bin); /* each begin has moved to its end */
    draw->bin[0] = 0;
    wh_wipe(bin_of, n * sizeof *bin_of);
    return WHIST_OK;
}

static whist_status next_bin(wh_private_draw *draw, const uint32_t **index, size_t *n)
{
    if (draw->at == draw->design.bins) {
        WH_TRY(throw_balls(draw));
        draw->at = 0;
        draw->drawn++;
    }
    *index = draw->index + draw->bin[draw->at];
    *n = draw->bin[draw->at + 1] - draw->bin[draw->at];
    draw->at++;
    return WHIST_OK;
}

whist_status wh_private_draw_next(wh_private_draw *draw, const uint32_t **index, size_t *n)
{
    size_t count = 0;
    switch (draw->design.kind) {
    case WH_DRAW_POISSON: WH_TRY(draw_poisson(draw, &count)); break;
    case WH_DRAW_TRUNCATED_POISSON: WH_TRY(draw_truncated(draw, &count)); break;
    case WH_DRAW_WITHOUT_REPLACEMENT: WH_TRY(draw_subset(draw, &count)); break;
    case WH_DRAW_BALLS_IN_BINS: return next_bin(draw, index, n);
    case WH_DRAW_FULL:
    case WH_DRAW_SHUFFLED_PASS: WH_FAIL(WHIST_E_STATE, "not a private draw");
    }
    draw->drawn++;
    *index = draw->index;
    *n = count;
    return WHIST_OK;
}

/* ---- Making and ending ---------------------------------------------------------------------------- */

static whist_status check_design(const wh_draw_design *d)
{
    WH_ENSURE(d->n >= 1 && d->n <= UINT32_MAX, WHIST_E_ARG);
    WH_ENSURE(d->kind != WH_DRAW_FULL && d->kind != WH_DRAW_SHUFFLED_PASS, WHIST_E_ARG);
    bool poisson = d->kind == WH_DRAW_POISSON || d->kind == WH_DRAW_TRUNCATED_POISSON;
    if (poisson && !(d->rate >= 0x1p-40 && d->rate <= 1))
        WH_FAIL(WHIST_E_ARG, "a sampling rate of %g: allowed are 2^-40 to 1", d->rate);
    bool limited = d->kind == WH_DRAW_TRUNCATED_POISSON || d->kind == WH_DRAW_WITHOUT_REPLACEMENT;
    if (limited && (d->batch < 1 || d->batch > d->n))
        WH_FAIL(WHIST_E_ARG, "a batch of %zu of %zu rows: allowed are 1 to all", d->batch, d->n);
    if (d->kind == WH_DRAW_BALLS_IN_BINS && (d->bins < 1 || d->bins >= UINT32_MAX))
        WH_FAIL(WHIST_E_ARG, "%zu bins: allowed are 1 to 2^32 - 2", d->bins);
    return WHIST_OK;
}

static whist_status init(wh_private_draw *out, const wh_draw_design *design, wh_noise *noise)
{
    WH_TRY(check_design(design));
    WH_AUTO(wh_owned) bin = NULL;
    uint32_t *index = NULL;
    if (design->kind == WH_DRAW_BALLS_IN_BINS) WH_TRY(wh_alloc(&bin, design->bins + 1, sizeof *out->bin));
    WH_TRY(WH_NEW(&index, design->n));
    *out = (wh_private_draw){.design = *design, .noise = noise, .index = index, .bin = bin, .at = design->bins};
    bin = NULL;
    return WHIST_OK;
}

whist_status wh_private_draw_init(wh_private_draw *out, const wh_draw_design *design)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_noise_new(&noise));
    WH_TRY(init(out, design, noise));
    noise = NULL;
    return WHIST_OK;
}

#ifdef WH_TEST_HOOKS
whist_status wh_private_draw_init_from(wh_private_draw *out, const wh_draw_design *design, wh_noise *noise)
{
    return init(out, design, noise);
}
#endif

void wh_private_draw_clear(wh_private_draw *draw)
{
    if (draw->index) wh_wipe(draw->index, draw->design.n * sizeof *draw->index);
    wh_free(draw->index);
    wh_free(draw->bin);
    wh_noise_free(draw->noise);
    *draw = (wh_private_draw)WH_PRIVATE_DRAW_EMPTY;
}
