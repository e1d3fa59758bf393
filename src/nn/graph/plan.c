/* nn/graph/plan.c: where values lie in the arena.
 *
 * The steps are walked in order. A value gets the smallest free gap that holds it, else the arena grows; after its last
 * reader its bytes are free again. An elementwise step whose argument dies with it writes over that argument. What is
 * kept from one run to the next lies before all others and is never free. */
#include <string.h>

#include "nn/graph/program_parts.h"

typedef struct gap {
    size_t offset, bytes;
} gap;

typedef struct gaps {
    gap *gap; /* by offset, no two touch */
    size_t n, end;
} gaps;

WH_AUTO_FREE(gap, wh_free)

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t take_gap(gaps *g, size_t bytes)
{
    size_t best = g->n;
    for (size_t i = 0; i < g->n; i++)
        if (g->gap[i].bytes >= bytes && (best == g->n || g->gap[i].bytes < g->gap[best].bytes)) best = i;
    if (best < g->n) {
        size_t offset = g->gap[best].offset;
        g->gap[best].offset += bytes;
        g->gap[best].bytes -= bytes;
        if (g->gap[best].bytes == 0) memmove(g->gap + best, g->gap + best + 1, (--g->n - best) * sizeof *g->gap);
        return offset;
    }
    /* A gap at the end grows instead of staying behind. */
    size_t offset = g->end;
    if (g->n > 0 && g->gap[g->n - 1].offset + g->gap[g->n - 1].bytes == g->end) offset = g->gap[--g->n].offset;
    g->end = offset + bytes;
    return offset;
}

static void give_gap(gaps *g, size_t offset, size_t bytes)
{
    size_t at = 0;
    while (at < g->n && g->gap[at].offset < offset) at++;
    bool left = at > 0 && g->gap[at - 1].offset + g->gap[at - 1].bytes == offset;
    bool right = at < g->n && offset + bytes == g->gap[at].offset;
    if (left && right) {
        g->gap[at - 1].bytes += bytes + g->gap[at].bytes;
        memmove(g->gap + at, g->gap + at + 1, (--g->n - at) * sizeof *g->gap);
    } else if (left) {
        g->gap[at - 1].bytes += bytes;
    } else if (right) {
        g->gap[at].offset = offset;
        g->gap[at].bytes += bytes;
    } else {
        memmove(g->gap + at + 1, g->gap + at, (g->n++ - at) * sizeof *g->gap);
        g->gap[at] = (gap){offset, bytes};
    }
}

/* The argument that the step may write over, or 0: read element by element as the output lies, dead afterwards, and
 * not read in any other way. */
static uint32_t overwritten(const wh_program *p, size_t s)
{
    const wh_step *step = &p->steps[s];
    if (!step->chain || step->chain_arg) return 0; /* a product writes before its chain reads */
    for (unsigned i = 0; i < step->n_args; i++) {
        uint32_t place = step->arg_place[i];
        const wh_place *from = &p->places[place];
        bool good = place != 0 && step->chain->operand[i].kind == WH_OPERAND_ARRAY && from->kind == WH_PLACE_ARENA &&
                    from->last_use == s && from->bytes == p->places[step->out_place].bytes && !from->taken &&
                    !from->kept;
        for (unsigned k = 0; good && k < step->n_args; k++)
            good = step->arg_place[k] != place || step->chain->operand[k].kind == WH_OPERAND_ARRAY;
        if (good) return place;
    }
    return 0;
}

static void place_step(wh_program *p, gaps *g, size_t s)
{
    const wh_step *step = &p->steps[s];
    wh_place *out = &p->places[step->out_place];
    if (out->kind == WH_PLACE_ARENA && !out->kept) {
        p->size.values_bytes += rounded(out->bytes);
        uint32_t over = overwritten(p, s);
        if (over) {
            out->offset = p->places[over].offset;
            p->places[over].taken = true;
        } else {
            out->offset = take_gap(g, rounded(out->bytes));
        }
    }
    for (unsigned i = 0; i < step->n_args; i++) {
        wh_place *from = &p->places[step->arg_place[i]];
        if (step->arg_place[i] == 0 || from->kind != WH_PLACE_ARENA || from->last_use != s || from->taken || from->kept)
            continue;
        give_gap(g, from->offset, rounded(from->bytes));
        from->taken = true;
    }
}

whist_status wh_program_plan(wh_program *program)
{
    WH_AUTO(gap_ptr) list = NULL;
    WH_TRY(WH_NEW(&list, program->n_places + 1));
    gaps g = {.gap = list};
    for (size_t i = 1; i < program->n_places; i++) {
        wh_place *place = &program->places[i];
        if (place->kind != WH_PLACE_ARENA || !place->kept) continue;
        place->offset = take_gap(&g, rounded(place->bytes));
        program->size.values_bytes += rounded(place->bytes);
    }
    for (size_t s = 0; s < program->n_steps; s++) place_step(program, &g, s);
    program->size.arena_bytes = g.end;
    return WHIST_OK;
}
