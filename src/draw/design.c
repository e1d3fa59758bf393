/* draw/design.c: shuffled passes cut into batches. */
#include "draw/design.h"

size_t wh_draw_pass(const wh_draw_design *design)
{
    return design->kind == WH_DRAW_FULL ? 1 : (design->n - 1) / design->batch + 1;
}

whist_status wh_draw_init(wh_draw *out, const wh_draw_design *design, uint64_t seed, const char *site, uint64_t round)
{
    WH_ENSURE(design->n >= 1 && design->n <= UINT32_MAX, WHIST_E_ARG);
    WH_ENSURE(design->kind == WH_DRAW_FULL || design->kind == WH_DRAW_SHUFFLED_PASS, WHIST_E_ARG);
    WH_ENSURE(design->kind == WH_DRAW_FULL || design->batch >= 1, WHIST_E_ARG);
    uint32_t *index = NULL;
    WH_TRY(WH_NEW_RAW(&index, design->n));
    *out = (wh_draw){.design = *design, .index = index};
    wh_draw_restart(out, seed, site, round);
    return WHIST_OK;
}

void wh_draw_restart(wh_draw *draw, uint64_t seed, const char *site, uint64_t round)
{
    wh_seeded_init(&draw->stream, seed, "order", site, round);
    for (size_t i = 0; i < draw->design.n; i++) draw->index[i] = (uint32_t)i;
    draw->at = draw->design.n;
    draw->passes = 0;
}

void wh_draw_next(wh_draw *draw, const uint32_t **index, size_t *n)
{
    const wh_draw_design *design = &draw->design;
    if (draw->at == design->n) { /* a pass shuffles the order of the one before */
        if (design->kind == WH_DRAW_SHUFFLED_PASS) wh_seeded_shuffle(&draw->stream, draw->index, design->n);
        draw->at = 0;
        draw->passes++;
    }
    size_t left = design->n - draw->at;
    *n = design->kind == WH_DRAW_FULL || design->batch > left ? left : design->batch;
    *index = draw->index + draw->at;
    draw->at += *n;
}

void wh_draw_clear(wh_draw *draw)
{
    wh_free(draw->index);
    *draw = (wh_draw)WH_DRAW_EMPTY;
}
