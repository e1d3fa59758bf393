/* matrix/tree.c: a binary tree of sums over the steps: how far one unit moves it, and how its estimates err. */
#include "dp/matrix/matrix.h"

#include <math.h>

/* Height of the root: 2^height >= steps. */
static unsigned height_of(uint64_t steps)
{
    unsigned h = 0;
    while (UINT64_C(1) << h < steps) h++;
    return h;
}

/* Σ over nodes of (participations below)², for steps first, first + b, …; only nodes that are complete are released. */
static uint64_t at_distance(const whist_dp_matrix_options *o, uint64_t first)
{
    uint64_t sum = 0;
    for (unsigned h = 0; h <= height_of(o->steps); h++) {
        uint64_t node = UINT64_MAX, count = 0;
        for (uint64_t i = 0; i < o->participations; i++) {
            uint64_t step = first + i * o->separation;
            if (step >= o->steps || ((step >> h) + 1) << h > o->steps) break;
            if (step >> h != node) sum += count * count, count = 0, node = step >> h;
            count++;
        }
        sum += count * count;
    }
    return sum;
}

static uint64_t worst_fixed(const whist_dp_matrix_options *o)
{
    uint64_t worst = 0, last = o->participations > 1 ? o->separation : o->steps;
    for (uint64_t first = 0; first < last && first < o->steps; first++) {
        uint64_t sum = at_distance(o, first);
        if (sum > worst) worst = sum;
    }
    return worst;
}

/* A node of height h has room for min(k, ⌈2^h / b⌉) of them; a sum of squares of counts with a given total is largest
 * where counts are as large as can be. */
static uint64_t worst_apart(const whist_dp_matrix_options *o)
{
    uint64_t sum = 0, k = o->participations, b = o->separation;
    for (unsigned h = 0; h <= height_of(o->steps) && UINT64_C(1) << h <= o->steps; h++) {
        uint64_t room = ((UINT64_C(1) << h) + b - 1) / b;
        if (room > k) room = k;
        sum += k / room * room * room + (k % room) * (k % room);
    }
    return sum;
}

/* The variance v of a node's estimate: 1 alone; of two estimates below it 2v; both weighed by their inverses. */
static void weigh(whist_dp_matrix *m, double variance[WH_MATRIX_LEVELS])
{
    variance[0] = 1;
    m->weight[0] = 1 << WH_MATRIX_WEIGHT;
    for (unsigned h = 1; h < WH_MATRIX_LEVELS; h++) {
        double below = 2 * variance[h - 1], w = below / (1 + below);
        m->weight[h] = (int32_t)lrint(ldexp(w, WH_MATRIX_WEIGHT));
        w = ldexp(m->weight[h], -WH_MATRIX_WEIGHT);
        variance[h] = w * w + (1 - w) * (1 - w) * below;
    }
}

static void errors(whist_dp_matrix *m)
{
    double variance[WH_MATRIX_LEVELS], total = 0, most = 0, now = 0;
    weigh(m, variance);
    for (uint64_t t = 1; t <= m->options.steps; t++) { /* the sum of the first t is that of its bits' nodes */
        now = 0;
        for (unsigned h = 0; h < WH_MATRIX_LEVELS; h++)
            if (t >> h & 1) now += variance[h];
        total += now;
        if (now > most) most = now;
    }
    m->facts.rms = sqrt(total / (double)m->options.steps);
    m->facts.max = sqrt(most);
    m->facts.last = sqrt(now);
}

double wh_matrix_tree_sensitivity(const whist_dp_matrix_options *o)
{
    return (double)(o->fixed ? worst_fixed(o) : worst_apart(o)) * (1 + 0x1p-52);
}

whist_status wh_matrix_tree(whist_dp_matrix *m)
{
    const whist_dp_matrix_options *o = &m->options;
    errors(m);
    m->facts.sensitivity = sqrt(wh_matrix_tree_sensitivity(o)) * (1 + 0x1p-50);
    /* Nodes that wait, by height, and two sums. */
    for (m->facts.buffers = 3; o->steps >> (m->facts.buffers - 2); m->facts.buffers++) {
    }
    return WHIST_OK;
}
