/* nn/graph/kern/image_windows.h: pools and norms, a vector of channels at a time. Wants what image_tiles.h wants.
 *
 * Pools give the bits of the generic kernels. Statistics add up in blocks of NORM_BLOCK rows (float), the blocks in
 * double, of differences from the grid cell's first number: the error is that of float sums over one block. */

TILE mask lanes(size_t left)
{
    return v_mask(left < V_LANES ? left : V_LANES);
}

/* A whole vector is not masked: what a masked store left, the next load waits for. */
TILE vec get(const float *p, bool full, mask part)
{
    return full ? v_load(p) : v_load_mask(part, p);
}

TILE void set(float *p, vec value, bool full, mask part)
{
    if (full)
        v_store(p, value);
    else
        v_store_mask(p, part, value);
}

/* One window and one vector of channels: x, t, in and out lie at its first pixel; c and y are one place. h, w and full
 * are constants where these are called for the window of all pools, 2 x 2. */
TILE void max_at(float *y, const float *x, size_t h, size_t w, const wh_windows *v, bool full, mask part)
{
    vec best = get(x, full, part);
#pragma GCC unroll 2
    for (size_t i = 0; i < h; i++)
#pragma GCC unroll 2
        for (size_t j = 0; j < w; j++) best = v_max(get(x + (i * v->w + j) * v->c, full, part), best);
    set(y, best, full, part);
}

TILE void take_at(float *y, const float *x, const float *t, size_t h, size_t w, const wh_windows *v, bool full,
                  mask part)
{
    vec best = get(x, full, part), taken = get(t, full, part);
#pragma GCC unroll 2
    for (size_t i = 0; i < h; i++)
#pragma GCC unroll 2
        for (size_t j = 0; j < w; j++) {
            size_t at = (i * v->w + j) * v->c;
            vec next = get(x + at, full, part);
            choice larger = v_greater(next, best);
            best = v_choose(larger, next, best);
            taken = v_choose(larger, get(t + at, full, part), taken);
        }
    set(y, taken, full, part);
}

/* Adds c where x is largest: first which tap, then there. */
TILE void put_at(float *out, const float *x, const float *c, size_t h, size_t w, const wh_windows *v, bool full,
                 mask part)
{
    vec best = get(x, full, part), which = v_zero(), value = get(c, full, part);
#pragma GCC unroll 2
    for (size_t i = 0; i < h; i++)
#pragma GCC unroll 2
        for (size_t j = 0; j < w; j++) {
            vec next = get(x + (i * v->w + j) * v->c, full, part);
            choice larger = v_greater(next, best);
            best = v_choose(larger, next, best);
            which = v_choose(larger, v_set1((float)(i * w + j)), which);
        }
#pragma GCC unroll 2
    for (size_t i = 0; i < h; i++)
#pragma GCC unroll 2
        for (size_t j = 0; j < w; j++) {
            float *to = out + (i * v->w + j) * v->c;
            vec more = v_choose(v_equal(which, v_set1((float)(i * w + j))), value, v_zero());
            set(to, v_add(get(to, full, part), more), full, part);
        }
}

typedef enum pooling { MAX, TAKE, PUT_BACK } pooling;

TILE void pool_at(pooling what, float *wide, float *narrow, const float *x, const float *t, const float *c, size_t h,
                  size_t w, const wh_windows *v, bool full, mask part)
{
    if (what == MAX) max_at(narrow, x, h, w, v, full, part);
    if (what == TAKE) take_at(narrow, x, t, h, w, v, full, part);
    if (what == PUT_BACK) put_at(wide, x, c, h, w, v, full, part);
}

TILE void pool_place(pooling what, float *wide, float *narrow, const float *x, const float *t, const float *c,
                     const wh_windows *v)
{
    size_t h = v->bottom - v->top, w = v->right - v->left, k = 0;
    const mask all = v_mask(V_LANES);
    if (h == 2 && w == 2)
        for (; k + V_LANES <= v->c; k += V_LANES)
            pool_at(what, wide + k, narrow + k, x + k, t + k, c + k, 2, 2, v, true, all);
    for (; k < v->c; k += V_LANES)
        pool_at(what, wide + k, narrow + k, x + k, t + k, c + k, h, w, v, false, lanes(v->c - k));
}

/* Images from … to-1. Of wide (an image of the output) and narrow (pooled), t and c each call has what it needs; the
 * others may be anything that can be pointed into. */
TILE void pool(pooling what, wh_windows *v, float *wide, float *narrow, const float *x, const float *t, const float *c,
               size_t from, size_t to)
{
    size_t image = v->h * v->w * v->c, pooled = v->oh * v->ow * v->c;
    for (size_t n = from; n < to; n++)
        for (size_t y = 0; y < v->oh; y++) {
            wh_window_clip(&v->top, &v->bottom, y, v->kernel, v->stride, v->pad, v->h);
            for (size_t z = 0; z < v->ow; z++) {
                wh_window_clip(&v->left, &v->right, z, v->kernel, v->stride, v->pad, v->w);
                size_t first = n * image + (v->top * v->w + v->left) * v->c;
                size_t place = n * pooled + (y * v->ow + z) * v->c;
                if (what == MAX) pool_place(what, NULL, narrow + place, x + first, NULL, NULL, v);
                if (what == TAKE) pool_place(what, NULL, narrow + place, x + first, t + first, NULL, v);
                if (what == PUT_BACK) pool_place(what, wide + first, NULL, x + first, NULL, c + place, v);
            }
        }
}

static void max_window(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, call->out_dims, call->attr);
    pool(MAX, &v, NULL, call->out, call->arg[0], NULL, NULL, from, to);
}

static void window_take(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, call->out_dims, call->attr);
    pool(TAKE, &v, NULL, call->out, call->arg[0], call->arg[1], NULL, from, to);
}

static void window_put(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, &call->arg_dims[1], call->attr);
    size_t image = v.h * v.w * v.c;
    memset((float *)call->out + from * image, 0, (to - from) * image * sizeof(float));
    pool(PUT_BACK, &v, call->out, NULL, call->arg[0], NULL, call->arg[1], from, to);
}

/* ---- Norms -------------------------------------------------------------------------------------------- */

/* Sums of floats run over a block of rows. Within it a chunk of columns is walked a few rows at a time, so that memory
 * is read about in its order. */
enum { NORM_BLOCK = 64, NORM_ROWS = 8, NORM_AHEAD = 24, NORM_WIDE = 2 * V_LANES, NORM_CHUNK = 128 };

/* Σ over the rows of a cell, x from its first number: x, x², c, x c, t, x t, c t, d, x d */
enum { SUM_X, SUM_XX, SUM_C, SUM_XC, SUM_T, SUM_XT, SUM_CT, SUM_D, SUM_XD, N_SUMS };
enum { NORM_ARGS = 4 };

/* One unit: rows of `width` columns, `stride` from one to the next, d columns of one group after the other. */
typedef struct rows {
    size_t at, stride, n, width, d;
} rows;

typedef struct group_sums {
    double sum[WH_GRID_STRIP][N_SUMS];
    float first[WH_GRID_STRIP];
} group_sums;

/* How many sums there are of so many arguments. */
TILE size_t sums_of(unsigned n_args)
{
    return n_args == 1 ? SUM_C : n_args == 2 ? SUM_T : n_args == 3 ? SUM_D : N_SUMS;
}

/* Rows are walked a few columns at a time, in which the processor sees no order. */
TILE void ask_ahead(const wh_call *call, unsigned n_args, size_t at)
{
#pragma GCC unroll 4
    for (unsigned q = 0; q < n_args; q++) __builtin_prefetch((const float *)call->arg[q] + at);
}

/* One or two vectors of columns of a few rows, added to sum[·][column]. n_args and n_vectors are constants where this
 * is called. */
TILE void sum_block(float sum[N_SUMS][NORM_CHUNK], size_t column, const wh_call *call, unsigned n_args,
                    size_t n_vectors, size_t at, size_t stride, size_t n, const float *first, bool full,
                    const mask *part)
{
    const float *x = call->arg[0], *c = n_args > 1 ? call->arg[1] : NULL, *t = n_args > 2 ? call->arg[2] : NULL;
    const float *d = n_args > 3 ? call->arg[3] : NULL;
    vec total[2][N_SUMS];
#pragma GCC unroll 2
    for (size_t v = 0; v < n_vectors; v++)
#pragma GCC unroll 9
        for (size_t k = 0; k < sums_of(n_args); k++) total[v][k] = v_load(sum[k] + column + v * V_LANES);
    for (size_t i = 0; i < n; i++, at += stride) {
        ask_ahead(call, n_args, at + NORM_AHEAD * stride);
#pragma GCC unroll 2
        for (size_t v = 0; v < n_vectors; v++) {
            size_t here = at + v * V_LANES;
            vec dx = v_sub(get(x + here, full, part[v]), v_load(first + column + v * V_LANES));
            total[v][SUM_X] = v_add(total[v][SUM_X], dx);
            total[v][SUM_XX] = v_fma(dx, dx, total[v][SUM_XX]);
            if (n_args > 1) {
                vec vc = get(c + here, full, part[v]);
                total[v][SUM_C] = v_add(total[v][SUM_C], vc);
                total[v][SUM_XC] = v_fma(dx, vc, total[v][SUM_XC]);
                if (n_args > 2) {
                    vec vt = get(t + here, full, part[v]);
                    total[v][SUM_T] = v_add(total[v][SUM_T], vt);
                    total[v][SUM_XT] = v_fma(dx, vt, total[v][SUM_XT]);
                    total[v][SUM_CT] = v_fma(vc, vt, total[v][SUM_CT]);
                }
                if (n_args > 3) {
                    vec vd = get(d + here, full, part[v]);
                    total[v][SUM_D] = v_add(total[v][SUM_D], vd);
                    total[v][SUM_XD] = v_fma(dx, vd, total[v][SUM_XD]);
                }
            }
        }
    }
#pragma GCC unroll 2
    for (size_t v = 0; v < n_vectors; v++)
#pragma GCC unroll 9
        for (size_t k = 0; k < sums_of(n_args); k++) v_store(sum[k] + column + v * V_LANES, total[v][k]);
}

/* Two vectors together where the registers hold all their sums, else one after the other. */
TILE void sum_pair(float sum[N_SUMS][NORM_CHUNK], size_t column, const wh_call *call, unsigned n_args, size_t at,
                   size_t stride, size_t n, const float *first, bool full, const mask *part)
{
    enum { REGISTERS = V_LANES == 16 ? 32 : 16 };
    if (2 * sums_of(n_args) + 4 <= REGISTERS) {
        sum_block(sum, column, call, n_args, 2, at, stride, n, first, full, part);
    } else {
        sum_block(sum, column, call, n_args, 1, at, stride, n, first, full, part);
        sum_block(sum, column + V_LANES, call, n_args, 1, at + V_LANES, stride, n, first, full, part + 1);
    }
}

/* Two vectors of columns that are all there go unmasked: a masked store of AVX2 is some forty times slower. */
TILE void sum_args(float sum[N_SUMS][NORM_CHUNK], size_t column, const wh_call *call, unsigned n_args, size_t at,
                   size_t stride, size_t n, const float *first, size_t columns)
{
    const mask part[2] = {lanes(columns), v_mask(columns > V_LANES ? columns - V_LANES : 0)};
    if (columns == NORM_WIDE)
        sum_pair(sum, column, call, n_args, at, stride, n, first, true, part);
    else
        sum_pair(sum, column, call, n_args, at, stride, n, first, false, part);
}

/* Columns column … of a chunk that starts at `start`, rows from … from + n - 1. */
static void sum_wide(float sum[N_SUMS][NORM_CHUNK], const wh_call *call, const rows *r, size_t from, size_t n,
                     size_t start, size_t column, size_t columns, const float *first)
{
    size_t at = r->at + from * r->stride + start + column;
    if (call->n_args == 1) sum_args(sum, column, call, 1, at, r->stride, n, first, columns);
    if (call->n_args == 2) sum_args(sum, column, call, 2, at, r->stride, n, first, columns);
    if (call->n_args == 3) sum_args(sum, column, call, 3, at, r->stride, n, first, columns);
    if (call->n_args == 4) sum_args(sum, column, call, 4, at, r->stride, n, first, columns);
}

/* The next column: of the same group of d, or the first of the next. */
TILE void next_column(size_t *group, size_t *in, size_t d)
{
    if (++*in < d) return;
    *in = 0;
    ++*group;
}

/* Columns start … start + columns - 1 of the block of rows from … from + n - 1. */
static void sum_chunk(group_sums *s, const wh_call *call, const rows *r, size_t from, size_t n, size_t start,
                      size_t columns)
{
    float first[NORM_CHUNK] = {0}, sum[N_SUMS][NORM_CHUNK];
    memset(sum, 0, sums_of(call->n_args) * sizeof *sum);
    size_t group = start / r->d, in = start % r->d;
    for (size_t j = 0, g = group, d = in; j < columns; j++, next_column(&g, &d, r->d)) first[j] = s->first[g];
    for (size_t i = 0; i < n; i += NORM_ROWS)
        for (size_t j = 0; j < columns; j += NORM_WIDE)
            sum_wide(sum, call, r, from + i, lesser(NORM_ROWS, n - i), start, j, lesser(NORM_WIDE, columns - j), first);
    for (size_t j = 0, g = group, d = in; j < columns; j++, next_column(&g, &d, r->d))
        for (size_t k = 0; k < sums_of(call->n_args); k++) s->sum[g][k] += (double)sum[k][j];
}

/* out = base + factor[0] x + factor[1] c + …, the factors by column, the base behind them. They and the addresses are
 * read before the rows: what is stored might be one of them, for all that the compiler knows. */
TILE void write_block(const wh_call *call, unsigned n_args, size_t at, size_t stride, size_t n,
                      float factor[NORM_ARGS + 1][NORM_CHUNK], size_t column, bool full, const mask *part)
{
    const float *arg[NORM_ARGS];
    float *out = call->out;
    vec by[2][NORM_ARGS], base[2];
#pragma GCC unroll 4
    for (unsigned q = 0; q < n_args; q++) arg[q] = call->arg[q];
#pragma GCC unroll 2
    for (size_t v = 0; v < 2; v++) {
        base[v] = v_load(factor[NORM_ARGS] + column + v * V_LANES);
#pragma GCC unroll 4
        for (unsigned q = 0; q < n_args; q++) by[v][q] = v_load(factor[q] + column + v * V_LANES);
    }
    for (size_t i = 0; i < n; i++, at += stride) {
        ask_ahead(call, n_args, at + NORM_AHEAD * stride);
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++) {
            vec sum = base[v];
#pragma GCC unroll 4
            for (unsigned q = 0; q < n_args; q++)
                sum = v_fma(by[v][q], get(arg[q] + at + v * V_LANES, full, part[v]), sum);
            set(out + at + v * V_LANES, sum, full, part[v]);
        }
    }
}

TILE void write_args(const wh_call *call, unsigned n_args, size_t at, size_t stride, size_t n,
                     float factor[NORM_ARGS + 1][NORM_CHUNK], size_t column, size_t columns)
{
    const mask part[2] = {lanes(columns), v_mask(columns > V_LANES ? columns - V_LANES : 0)};
    if (columns == NORM_WIDE)
        write_block(call, n_args, at, stride, n, factor, column, true, part);
    else
        write_block(call, n_args, at, stride, n, factor, column, false, part);
}

typedef struct factors {
    float by_arg[WH_GRID_STRIP][NORM_ARGS + 1]; /* of x, c, t, d, and the base */
} factors;

static void write_wide(const wh_call *call, const rows *r, float factor[NORM_ARGS + 1][NORM_CHUNK], size_t from,
                       size_t n, size_t start, size_t column, size_t columns)
{
    size_t at = r->at + from * r->stride + start + column;
    if (call->n_args == 1) write_args(call, 1, at, r->stride, n, factor, column, columns);
    if (call->n_args == 2) write_args(call, 2, at, r->stride, n, factor, column, columns);
    if (call->n_args == 3) write_args(call, 3, at, r->stride, n, factor, column, columns);
    if (call->n_args == 4) write_args(call, 4, at, r->stride, n, factor, column, columns);
}

static void write_chunk(const wh_call *call, const rows *r, const factors *f, size_t start, size_t columns)
{
    float factor[NORM_ARGS + 1][NORM_CHUNK] = {{0}};
    for (size_t j = 0, g = start / r->d, d = start % r->d; j < columns; j++, next_column(&g, &d, r->d))
        for (size_t k = 0; k <= NORM_ARGS; k++) factor[k][j] = f->by_arg[g][k];
    for (size_t i = 0; i < r->n; i += NORM_ROWS)
        for (size_t j = 0; j < columns; j += NORM_WIDE)
            write_wide(call, r, factor, i, lesser(NORM_ROWS, r->n - i), start, j, lesser(NORM_WIDE, columns - j));
}

/* What the sums of a group mean for the result: normalize, its Jacobian, and the derivative of that (kern_image_body.h
 * has the formulas). */
static void factors_of(float out[NORM_ARGS + 1], const double sum[N_SUMS], double first, double n, double eps,
                       unsigned n_args)
{
    double dx = sum[SUM_X] / n, mx = first + dx, s = 1 / sqrt(fmax(sum[SUM_XX] / n - dx * dx, 0) + eps);
    double mc = sum[SUM_C] / n, mt = sum[SUM_T] / n, md = sum[SUM_D] / n;
    double gamma = s * (sum[SUM_XC] / n - dx * mc), tau = s * (sum[SUM_XT] / n - dx * mt);
    double factor[NORM_ARGS] = {s};
    if (n_args == 2) {
        factor[0] = -s * s * gamma;
        factor[1] = s;
    } else if (n_args > 2) {
        factor[0] = -s * s * s * (sum[SUM_CT] / n - mc * mt - 3 * gamma * tau);
        factor[1] = -s * s * tau;
        factor[2] = -s * s * gamma;
    }
    if (n_args > 3) {
        factor[0] -= s * s * s * (sum[SUM_XD] / n - dx * md);
        factor[3] = s;
    }
    for (unsigned k = 0; k < NORM_ARGS; k++) out[k] = (float)factor[k];
    out[NORM_ARGS] = (float)(-factor[0] * mx - factor[1] * mc - factor[2] * mt - factor[3] * md);
}

static void normalize_grid(const wh_call *call, size_t from, size_t to)
{
    wh_grid g = wh_grid_of(call->out_dims);
    size_t groups = wh_grid_groups(&g), strips = wh_grid_strips(&g);
    for (size_t unit = from; unit < to; unit++) {
        size_t c = unit % strips * groups, n_groups = g.c - c < groups ? g.c - c : groups;
        rows r = {((unit / strips) * g.b * g.c + c) * g.d, g.c * g.d, g.b, n_groups * g.d, g.d};
        group_sums s = {0};
        factors f;
        for (size_t k = 0; k < n_groups; k++) s.first[k] = ((const float *)call->arg[0])[r.at + k * g.d];
        for (size_t i = 0; i < r.n; i += NORM_BLOCK)
            for (size_t j = 0; j < r.width; j += NORM_CHUNK)
                sum_chunk(&s, call, &r, i, lesser(NORM_BLOCK, r.n - i), j, lesser(NORM_CHUNK, r.width - j));
        for (size_t k = 0; k < n_groups; k++)
            factors_of(f.by_arg[k], s.sum[k], (double)s.first[k], (double)(g.b * g.d), call->attr->real[0],
                       call->n_args);
        for (size_t j = 0; j < r.width; j += NORM_CHUNK) write_chunk(call, &r, &f, j, lesser(NORM_CHUNK, r.width - j));
    }
}

#define IMAGE_TABLE                                                                                                    \
    .conv = conv, .conv_data = conv_data, .conv_weight = conv_weight, .conv_each = conv_each,                          \
    .conv_squared = conv_squared, .max_window = max_window, .window_take = window_take, .window_put = window_put,      \
    .normalize_grid = normalize_grid, .normalize_grid_back = normalize_grid, .normalize_grid_second = normalize_grid,  \
    .turn = turn_rows
