/* nn/graph/kern/image_turn.h: transposition by square blocks in registers. Wants what image_tiles.h wants, and
 *   v_low, v_high, v_shuffle   of single numbers within each 128 bits
 *   v_turn_parts(rows)         V_LANES vectors: their 128 bits as if they were one number each, transposed
 *   v_plain_turn               the kernel for what has no such blocks
 *
 * One axis, the side, lies number by number in the output and in strides in the input, or the other way round. What
 * lies between two of its strides is the run, which is in pieces where the side is not: their places come from its
 * axes. */

/* V_LANES vectors become their transpose: pairs of rows, then pairs of pairs, … exchange halves of what they hold. */
TILE void v_turn(vec r[V_LANES])
{
    vec t[V_LANES];
#pragma GCC unroll 8
    for (int i = 0; i < V_LANES; i += 2) {
        t[i] = v_low(r[i], r[i + 1]);
        t[i + 1] = v_high(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < V_LANES; i += 4) {
        r[i] = v_shuffle(t[i], t[i + 2], 0x44);
        r[i + 1] = v_shuffle(t[i], t[i + 2], 0xee);
        r[i + 2] = v_shuffle(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = v_shuffle(t[i + 1], t[i + 3], 0xee);
    }
    v_turn_parts(r);
}

typedef struct turn {
    unsigned rank;
    size_t size[WH_GRAPH_RANK], in[WH_GRAPH_RANK], out[WH_GRAPH_RANK]; /* of the output's axes, strides in both */
    unsigned side, first_run;                                          /* axes: the side; in `order`, the run's first */
    unsigned order[WH_GRAPH_RANK]; /* axes as they lie where the run is in one piece */
    size_t run;
    bool gathers; /* the run lies in one piece in the output */
} turn;

static turn turn_of(const wh_call *call)
{
    const wh_dims *to = call->out_dims, *from = call->arg_dims;
    turn t = {.rank = to->rank};
    size_t in[WH_GRAPH_RANK], step = 1;
    for (unsigned k = from->rank; k-- > 0; step *= from->dim[k]) in[k] = step;
    step = 1;
    for (unsigned k = to->rank; k-- > 0; step *= to->dim[k]) {
        t.size[k] = to->dim[k];
        t.in[k] = in[call->attr->whole[k]];
        t.out[k] = step;
    }
    return t;
}

/* Takes the axis whose numbers lie next to each other on one side, if blocks of it are worth it and the axes outside
 * lead on both sides. */
static bool choose(turn *t, const wh_call *call, bool gathers)
{
    t->gathers = gathers;
    for (unsigned k = 0; k < t->rank; k++) t->order[gathers ? k : call->attr->whole[k]] = k;
    for (unsigned k = 0; k < t->rank; k++)
        if ((gathers ? t->in : t->out)[k] == 1 && t->size[k] > 1) t->side = k;
    t->run = (gathers ? t->out : t->in)[t->side];
    for (unsigned k = 0; k < t->rank; k++)
        if (t->order[k] == t->side) t->first_run = k + 1;
    for (unsigned k = 0; k + 1 < t->first_run; k++)
        if (t->order[k] != k || call->attr->whole[k] != k) return false;
    return t->size[t->side] >= V_LANES / 2 && t->run >= V_LANES / 2;
}

/* Where places at … at + n - 1 of the run lie on the side where it is in pieces. */
static void places_of_run(size_t place[V_LANES], const turn *t, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t left = at + i;
        place[i] = 0;
        for (unsigned k = t->rank; k-- > t->first_run; left /= t->size[t->order[k]]) {
            unsigned axis = t->order[k];
            place[i] += left % t->size[axis] * (t->gathers ? t->in : t->out)[axis];
        }
    }
}

/* n x m numbers; n and m are constants where this is called for a whole block. */
TILE void turn_block(float *out, const float *in, const size_t from[], const size_t to[], size_t n, size_t m)
{
    vec block[V_LANES];
    const bool full = n == V_LANES && m == V_LANES;
    mask wide = v_mask(m), tall = v_mask(n);
#pragma GCC unroll 16
    for (size_t i = 0; i < V_LANES; i++)
        block[i] = full ? v_load(in + from[i]) : i < n ? v_load_mask(wide, in + from[i]) : v_zero();
    v_turn(block);
#pragma GCC unroll 16
    for (size_t i = 0; i < V_LANES; i++) {
        if (full)
            v_store(out + to[i], block[i]);
        else if (i < m)
            v_store_mask(out + to[i], tall, block[i]);
    }
}

static void turn_any(float *out, const float *in, const size_t from[], const size_t to[], size_t n, size_t m)
{
    if (n == V_LANES && m == V_LANES)
        turn_block(out, in, from, to, V_LANES, V_LANES);
    else
        turn_block(out, in, from, to, n, m);
}

/* One side x run. */
static void turn_part(float *out, const float *in, const turn *t)
{
    size_t side = t->size[t->side], step = t->run, piece[V_LANES], straight[V_LANES];
    for (size_t r = 0; r < t->run; r += V_LANES) {
        size_t n = lesser(V_LANES, t->run - r);
        places_of_run(piece, t, r, n);
        for (size_t s = 0; s < side; s += V_LANES) {
            size_t m = lesser(V_LANES, side - s);
            for (size_t i = 0; i < m; i++) straight[i] = (s + i) * step;
            if (t->gathers)
                turn_any(out + r, in + s, piece, straight, n, m);
            else
                turn_any(out + s, in + r, straight, piece, m, n);
        }
    }
}

/* Rows of the output; whole parts of it go by blocks. */
static void turn_rows(const wh_call *call, size_t from, size_t to)
{
    turn t = turn_of(call);
    size_t last = wh_dims_last(call->out_dims), begin = from * last, end = to * last;
    bool good = choose(&t, call, false) || choose(&t, call, true);
    size_t part = good ? t.size[t.side] * t.run : 1;
    if (!good || begin % part != 0 || end % part != 0) {
        v_plain_turn(call, from, to);
        return;
    }
    for (; begin < end; begin += part) turn_part((float *)call->out + begin, (const float *)call->arg[0] + begin, &t);
}
