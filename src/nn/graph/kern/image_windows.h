/* nn/graph/kern/image_windows.h: pools and norms, a vector of channels at a time. Wants what image_tiles.h wants.
 *
 * Pools give the bits of the generic kernels. Statistics add up in blocks of NORM_BLOCK rows (float), the blocks in
 * double, of differences from the grid cell's first number: the error is that of float sums over one block. */

typedef struct window {
    size_t h, w, c, oh, ow, kernel, stride, pad;
    size_t top, bottom, left, right; /* of the window at hand */
} window;

static window window_of(const wh_dims *image, const wh_dims *out, const wh_attr *attr)
{
    window v = {.h = image->dim[1], .w = image->dim[2], .c = image->dim[3], .oh = out->dim[1], .ow = out->dim[2]};
    v.kernel = attr->whole[0];
    v.stride = attr->whole[1];
    v.pad = attr->whole[2];
    return v;
}

static void window_at(window *v, size_t y, size_t z)
{
    wh_window_clip(&v->top, &v->bottom, y, v->kernel, v->stride, v->pad, v->h);
    wh_window_clip(&v->left, &v->right, z, v->kernel, v->stride, v->pad, v->w);
}

TILE mask lanes(size_t left)
{
    return v_mask(left < V_LANES ? left : V_LANES);
}

static void max_window(const wh_call *call, size_t from, size_t to)
{
    window v = window_of(call->arg_dims, call->out_dims, call->attr);
    float *out = (float *)call->out + from * v.oh * v.ow * v.c;
    for (size_t n = from; n < to; n++)
        for (size_t p = 0; p < v.oh * v.ow; p++, out += v.c) {
            window_at(&v, p / v.ow, p % v.ow);
            const float *x = (const float *)call->arg[0] + ((n * v.h + v.top) * v.w + v.left) * v.c;
            for (size_t k = 0; k < v.c; k += V_LANES) {
                mask part = lanes(v.c - k);
                vec best = v_load_mask(part, x + k);
                for (size_t i = 0; i < v.bottom - v.top; i++)
                    for (size_t j = 0; j < v.right - v.left; j++)
                        best = v_max(v_load_mask(part, x + (i * v.w + j) * v.c + k), best);
                v_store_mask(out + k, part, best);
            }
        }
}

static void window_take(const wh_call *call, size_t from, size_t to)
{
    window v = window_of(call->arg_dims, call->out_dims, call->attr);
    float *out = (float *)call->out + from * v.oh * v.ow * v.c;
    for (size_t n = from; n < to; n++)
        for (size_t p = 0; p < v.oh * v.ow; p++, out += v.c) {
            window_at(&v, p / v.ow, p % v.ow);
            size_t first = ((n * v.h + v.top) * v.w + v.left) * v.c;
            const float *x = (const float *)call->arg[0] + first, *t = (const float *)call->arg[1] + first;
            for (size_t k = 0; k < v.c; k += V_LANES) {
                mask part = lanes(v.c - k);
                vec best = v_load_mask(part, x + k), taken = v_load_mask(part, t + k);
                for (size_t i = 0; i < v.bottom - v.top; i++)
                    for (size_t j = 0; j < v.right - v.left; j++) {
                        size_t at = (i * v.w + j) * v.c + k;
                        vec next = v_load_mask(part, x + at);
                        choice larger = v_greater(next, best);
                        best = v_choose(larger, next, best);
                        taken = v_choose(larger, v_load_mask(part, t + at), taken);
                    }
                v_store_mask(out + k, part, taken);
            }
        }
}

/* Adds c to the pixels of one window and one vector of channels: first which tap, then there. */
TILE void put_at(float *out, const float *x, const float *c, const window *v, mask part)
{
    vec best = v_load_mask(part, x), which = v_zero(), value = v_load_mask(part, c);
    float tap = 0;
    for (size_t i = 0; i < v->bottom - v->top; i++)
        for (size_t j = 0; j < v->right - v->left; j++, tap++) {
            vec next = v_load_mask(part, x + (i * v->w + j) * v->c);
            choice larger = v_greater(next, best);
            best = v_choose(larger, next, best);
            which = v_choose(larger, v_set1(tap), which);
        }
    tap = 0;
    for (size_t i = 0; i < v->bottom - v->top; i++)
        for (size_t j = 0; j < v->right - v->left; j++, tap++) {
            float *to = out + (i * v->w + j) * v->c;
            vec more = v_choose(v_equal(which, v_set1(tap)), value, v_zero());
            v_store_mask(to, part, v_add(v_load_mask(part, to), more));
        }
}

static void window_put(const wh_call *call, size_t from, size_t to)
{
    window v = window_of(call->arg_dims, &call->arg_dims[1], call->attr);
    const float *c = (const float *)call->arg[1] + from * v.oh * v.ow * v.c;
    for (size_t n = from; n < to; n++) {
        float *image = (float *)call->out + n * v.h * v.w * v.c;
        memset(image, 0, v.h * v.w * v.c * sizeof *image);
        for (size_t p = 0; p < v.oh * v.ow; p++, c += v.c) {
            window_at(&v, p / v.ow, p % v.ow);
            size_t first = (v.top * v.w + v.left) * v.c;
            const float *x = (const float *)call->arg[0] + n * v.h * v.w * v.c + first;
            for (size_t k = 0; k < v.c; k += V_LANES) put_at(image + first + k, x + k, c + k, &v, lanes(v.c - k));
        }
    }
}

/* ---- Norms -------------------------------------------------------------------------------------------- */

enum { NORM_BLOCK = 64, NORM_WIDE = 2 * V_LANES };

/* Σ over the rows of a cell, from its first number of x: x, x², c, x c, t, x t, c t */
enum { SUM_X, SUM_XX, SUM_C, SUM_XC, SUM_T, SUM_XT, SUM_CT, N_SUMS };

/* One unit: rows of `width` columns, `stride` from one to the next, d columns of one group after the other. */
typedef struct rows {
    size_t at, stride, n, width, d;
} rows;

typedef struct group_sums {
    double sum[WH_GRID_STRIP][N_SUMS];
    float first[WH_GRID_STRIP];
} group_sums;

/* Up to two vectors of columns of one block of rows, into sum[·][column]. n_args is a constant where this is called. */
TILE void sum_block(float sum[N_SUMS][NORM_WIDE], const wh_call *call, unsigned n_args, size_t at, size_t stride,
                    size_t n, const float *first, mask part0, mask part1)
{
    const float *x = call->arg[0], *c = n_args > 1 ? call->arg[1] : NULL, *t = n_args > 2 ? call->arg[2] : NULL;
    const mask part[2] = {part0, part1};
    vec total[2][N_SUMS];
#pragma GCC unroll 2
    for (size_t v = 0; v < 2; v++)
#pragma GCC unroll 7
        for (size_t k = 0; k < N_SUMS; k++) total[v][k] = v_zero();
    for (size_t i = 0; i < n; i++, at += stride)
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++) {
            size_t here = at + v * V_LANES;
            vec dx = v_sub(v_load_mask(part[v], x + here), v_load(first + v * V_LANES));
            total[v][SUM_X] = v_add(total[v][SUM_X], dx);
            total[v][SUM_XX] = v_fma(dx, dx, total[v][SUM_XX]);
            if (n_args > 1) {
                vec vc = v_load_mask(part[v], c + here);
                total[v][SUM_C] = v_add(total[v][SUM_C], vc);
                total[v][SUM_XC] = v_fma(dx, vc, total[v][SUM_XC]);
                if (n_args > 2) {
                    vec vt = v_load_mask(part[v], t + here);
                    total[v][SUM_T] = v_add(total[v][SUM_T], vt);
                    total[v][SUM_XT] = v_fma(dx, vt, total[v][SUM_XT]);
                    total[v][SUM_CT] = v_fma(vc, vt, total[v][SUM_CT]);
                }
            }
        }
#pragma GCC unroll 2
    for (size_t v = 0; v < 2; v++)
#pragma GCC unroll 7
        for (size_t k = 0; k < N_SUMS; k++) v_store(sum[k] + v * V_LANES, total[v][k]);
}

static void sum_wide(group_sums *s, const wh_call *call, const rows *r, size_t column, size_t columns)
{
    float first[NORM_WIDE] = {0}, sum[N_SUMS][NORM_WIDE];
    double total[N_SUMS][NORM_WIDE] = {{0}};
    size_t high = columns > V_LANES ? columns - V_LANES : 0;
    mask part0 = lanes(columns), part1 = v_mask(high);
    for (size_t j = 0; j < columns; j++) first[j] = s->first[(column + j) / r->d];
    for (size_t i = 0; i < r->n; i += NORM_BLOCK) {
        size_t n = r->n - i < NORM_BLOCK ? r->n - i : NORM_BLOCK, at = r->at + i * r->stride + column;
        if (call->n_args == 1) sum_block(sum, call, 1, at, r->stride, n, first, part0, part1);
        if (call->n_args == 2) sum_block(sum, call, 2, at, r->stride, n, first, part0, part1);
        if (call->n_args == 3) sum_block(sum, call, 3, at, r->stride, n, first, part0, part1);
        for (size_t k = 0; k < N_SUMS; k++)
            for (size_t j = 0; j < NORM_WIDE; j++) total[k][j] += (double)sum[k][j];
    }
    for (size_t j = 0; j < columns; j++)
        for (size_t k = 0; k < N_SUMS; k++) s->sum[(column + j) / r->d][k] += total[k][j];
}

/* out = base + factor[0] x + factor[1] c + factor[2] t, the factors by column */
TILE void write_block(const wh_call *call, unsigned n_args, const rows *r, size_t at, float factor[4][NORM_WIDE],
                      mask part0, mask part1)
{
    const mask part[2] = {part0, part1};
    for (size_t i = 0; i < r->n; i++, at += r->stride)
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; v++) {
            vec sum = v_load(factor[3] + v * V_LANES);
#pragma GCC unroll 3
            for (unsigned q = 0; q < n_args; q++)
                sum = v_fma(v_load(factor[q] + v * V_LANES),
                            v_load_mask(part[v], (const float *)call->arg[q] + at + v * V_LANES), sum);
            v_store_mask((float *)call->out + at + v * V_LANES, part[v], sum);
        }
}

typedef struct factors {
    float by_arg[WH_GRID_STRIP][4]; /* of x, c, t, and the base */
} factors;

static void write_wide(const wh_call *call, const rows *r, const factors *f, size_t column, size_t columns)
{
    float factor[4][NORM_WIDE] = {{0}};
    size_t high = columns > V_LANES ? columns - V_LANES : 0;
    mask part0 = lanes(columns), part1 = v_mask(high);
    for (size_t j = 0; j < columns; j++)
        for (size_t k = 0; k < 4; k++) factor[k][j] = f->by_arg[(column + j) / r->d][k];
    if (call->n_args == 1) write_block(call, 1, r, r->at + column, factor, part0, part1);
    if (call->n_args == 2) write_block(call, 2, r, r->at + column, factor, part0, part1);
    if (call->n_args == 3) write_block(call, 3, r, r->at + column, factor, part0, part1);
}

/* What the sums of a group mean for the result: normalize, its Jacobian, and the derivative of that (kern_image_body.h
 * has the formulas). */
static void factors_of(float out[4], const double sum[N_SUMS], double first, double n, double eps, unsigned n_args)
{
    double dx = sum[SUM_X] / n, mx = first + dx, s = 1 / sqrt(fmax(sum[SUM_XX] / n - dx * dx, 0) + eps);
    double mc = sum[SUM_C] / n, mt = sum[SUM_T] / n;
    double gamma = s * (sum[SUM_XC] / n - dx * mc), tau = s * (sum[SUM_XT] / n - dx * mt);
    double factor[3] = {s, 0, 0};
    if (n_args == 2) {
        factor[0] = -s * s * gamma;
        factor[1] = s;
    } else if (n_args == 3) {
        factor[0] = -s * s * s * (sum[SUM_CT] / n - mc * mt - 3 * gamma * tau);
        factor[1] = -s * s * tau;
        factor[2] = -s * s * gamma;
    }
    for (unsigned k = 0; k < 3; k++) out[k] = (float)factor[k];
    out[3] = (float)(-factor[0] * mx - factor[1] * mc - factor[2] * mt);
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
        for (size_t j = 0; j < r.width; j += NORM_WIDE)
            sum_wide(&s, call, &r, j, r.width - j < NORM_WIDE ? r.width - j : NORM_WIDE);
        for (size_t k = 0; k < n_groups; k++)
            factors_of(f.by_arg[k], s.sum[k], (double)s.first[k], (double)(g.b * g.d), call->attr->real[0],
                       call->n_args);
        for (size_t j = 0; j < r.width; j += NORM_WIDE)
            write_wide(call, &r, &f, j, r.width - j < NORM_WIDE ? r.width - j : NORM_WIDE);
    }
}

#define IMAGE_TABLE                                                                                                    \
    .conv = conv, .conv_data = conv_data, .conv_weight = conv_weight, .conv_squared = conv_squared,                    \
    .max_window = max_window, .window_take = window_take, .window_put = window_put, .normalize_grid = normalize_grid,  \
    .normalize_grid_back = normalize_grid, .normalize_grid_second = normalize_grid
