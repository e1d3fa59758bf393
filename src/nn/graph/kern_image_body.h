/* nn/graph/kern_image_body.h: the kernels for images, channels last; compiled after kern_body.h, whose helpers they
 * use. For double they are the kernels; for float they are the specification of those in kern/.
 *
 * A product adds its terms upward, by tap row, tap column, channel (conv, conv_data) or by image, row, column
 * (conv_weight), in REAL; statistics run in double. */
#include "nn/graph/image.h"

#if WH_KERN_F32
#define IMAGE(name) image_##name
#else
#define IMAGE(name) NAME(name)
#endif
#if WH_KERN_F32
#define IMAGE_KERNEL static void
#else
#define IMAGE_KERNEL void
#endif

/* Where the row of the image under output row y and kernel row i lies; false outside. */
static inline bool inside(size_t *at, size_t out, size_t tap, size_t stride, size_t pad, size_t size)
{
    size_t padded = out * stride + tap;
    *at = padded - pad;
    return padded >= pad && padded - pad < size;
}

/* out[j] += Σ_i a[i] b[i,j], one i after the other */
static inline void add_products(REAL *restrict out, const REAL *restrict a, const REAL *restrict b, size_t ldb,
                                size_t n, size_t m)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) out[j] += a[i] * b[i * ldb + j];
}

static void conv_place(REAL *out, const REAL *x, const REAL *w, const wh_geometry *g, size_t y, size_t z)
{
    for (size_t i = 0; i < g->kh; i++)
        for (size_t j = 0; j < g->kw; j++) {
            size_t row, column;
            if (!inside(&row, y, i, g->stride, g->pad, g->h) || !inside(&column, z, j, g->stride, g->pad, g->w))
                continue;
            const REAL *pixel = x + (row * g->w + column) * g->c, *tap = w + (i * g->kw + j) * g->cg * g->o;
            for (size_t k = 0; k < g->groups; k++)
                add_products(out + k * g->og, pixel + k * g->cg, tap + k * g->og, g->o, g->cg, g->og);
        }
}

IMAGE_KERNEL IMAGE(conv)(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_conv(call);
    size_t places = g.oh * g.ow, image = g.h * g.w * g.c;
    REAL *out = (REAL *)call->out + from * places * g.o;
    memset(out, 0, (to - from) * places * g.o * sizeof *out);
    for (size_t n = from; n < to; n++)
        for (size_t p = 0; p < places; p++, out += g.o)
            conv_place(out, (const REAL *)call->arg[0] + n * image, call->arg[1], &g, p / g.ow, p % g.ow);
}

/* Which position saw pixel `at` at tap `tap`; false: none. */
static inline bool seen(size_t *position, size_t at, size_t tap, size_t stride, size_t pad, size_t positions)
{
    size_t shifted = at + pad - tap;
    *position = shifted / stride;
    return at + pad >= tap && shifted % stride == 0 && *position < positions;
}

static void data_pixel(REAL *out, const REAL *c, const REAL *w, const wh_geometry *g, size_t y, size_t z)
{
    for (size_t i = 0; i < g->kh; i++)
        for (size_t j = 0; j < g->kw; j++) {
            size_t row, column;
            if (!seen(&row, y, i, g->stride, g->pad, g->oh) || !seen(&column, z, j, g->stride, g->pad, g->ow)) continue;
            const REAL *place = c + (row * g->ow + column) * g->o, *tap = w + (i * g->kw + j) * g->o * g->cg;
            for (size_t k = 0; k < g->groups; k++)
                add_products(out + k * g->cg, place + k * g->og, tap + k * g->og * g->cg, g->cg, g->og, g->cg);
        }
}

IMAGE_KERNEL IMAGE(conv_data)(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_data(call);
    size_t pixels = g.h * g.w, image = g.oh * g.ow * g.o;
    REAL *out = (REAL *)call->out + from * pixels * g.c;
    memset(out, 0, (to - from) * pixels * g.c * sizeof *out);
    for (size_t n = from; n < to; n++)
        for (size_t p = 0; p < pixels; p++, out += g.c)
            data_pixel(out, (const REAL *)call->arg[0] + n * image, call->arg[1], &g, p / g.w, p % g.w);
}

/* Adds one image's gradient of the taps first … last-1 to out (taps,C/groups,O). */
static void weight_taps(REAL *restrict out, const REAL *restrict x, const REAL *restrict c, const wh_geometry *g,
                        size_t first, size_t last)
{
    for (size_t p = 0; p < g->oh * g->ow; p++, c += g->o)
        for (size_t tap = first; tap < last; tap++) {
            size_t row, column;
            if (!inside(&row, p / g->ow, tap / g->kw, g->stride, g->pad, g->h) ||
                !inside(&column, p % g->ow, tap % g->kw, g->stride, g->pad, g->w))
                continue;
            const REAL *pixel = x + (row * g->w + column) * g->c;
            for (size_t k = 0; k < g->groups; k++)
                for (size_t a = 0; a < g->cg; a++) {
                    REAL factor = pixel[k * g->cg + a], *to = out + ((tap - first) * g->cg + a) * g->o + k * g->og;
                    for (size_t b = 0; b < g->og; b++) to[b] += factor * c[k * g->og + b];
                }
        }
}

/* A unit is some taps. */
IMAGE_KERNEL IMAGE(conv_weight)(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_weight(call);
    size_t image = g.h * g.w * g.c, places = g.oh * g.ow * g.o, tap = g.cg * g.o, taps = wh_geometry_unit_taps(&g);
    size_t first = from * taps, last = least(to * taps, g.kh * g.kw);
    REAL *out = (REAL *)call->out + first * tap;
    memset(out, 0, (last - first) * tap * sizeof *out);
    for (size_t n = 0; n < g.n; n++)
        weight_taps(out, (const REAL *)call->arg[0] + n * image, (const REAL *)call->arg[1] + n * places, &g, first,
                    last);
}

/* A unit is an image: the gradient that it alone would have. */
IMAGE_KERNEL IMAGE(conv_each)(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_squared(call);
    size_t image = g.h * g.w * g.c, places = g.oh * g.ow * g.o, taps = g.kh * g.kw, size = taps * g.cg * g.o;
    memset((REAL *)call->out + from * size, 0, (to - from) * size * sizeof(REAL));
    for (size_t n = from; n < to; n++)
        weight_taps((REAL *)call->out + n * size, (const REAL *)call->arg[0] + n * image,
                    (const REAL *)call->arg[1] + n * places, &g, 0, taps);
}

/* rows (places, depth): what group k of the image shows to each place. */
static void unfold(REAL *rows, const REAL *x, const wh_geometry *g, size_t k)
{
    for (size_t p = 0; p < g->oh * g->ow; p++)
        for (size_t i = 0; i < g->kh; i++)
            for (size_t j = 0; j < g->kw; j++, rows += g->cg) {
                size_t row, column;
                if (inside(&row, p / g->ow, i, g->stride, g->pad, g->h) &&
                    inside(&column, p % g->ow, j, g->stride, g->pad, g->w))
                    memcpy(rows, x + (row * g->w + column) * g->c + k * g->cg, g->cg * sizeof *rows);
                else
                    memset(rows, 0, g->cg * sizeof *rows);
            }
}

/* |rowsᵀ c|² = Σ_pq (rows rowsᵀ)_pq (c cᵀ)_pq */
static double squared_by_places(const wh_num_kernels *num, const REAL *x, const REAL *c, REAL *scratch,
                                const wh_geometry *g)
{
    size_t l = g->oh * g->ow, depth = g->kh * g->kw * g->cg;
    REAL *rows = scratch, *a = rows + l * depth, *b = a + l * l;
    double sum = 0;
    for (size_t k = 0; k < g->groups; k++) {
        unfold(rows, x, g, k);
        gemm(num, WH_GEMM_NT, a, l, rows, depth, rows, depth, l, l, depth);
        gemm(num, WH_GEMM_NT, b, l, c + k * g->og, g->o, c + k * g->og, g->o, l, l, g->og);
        sum += dot_n(a, b, l * l);
    }
    return sum;
}

static double squared_by_gradient(const REAL *x, const REAL *c, REAL *scratch, const wh_geometry *g)
{
    size_t size = g->kw * g->cg * g->o;
    double sum = 0;
    for (size_t i = 0; i < g->kh; i++) {
        memset(scratch, 0, size * sizeof *scratch);
        weight_taps(scratch, x, c, g, i * g->kw, (i + 1) * g->kw);
        sum += dot_n(scratch, scratch, size);
    }
    return sum;
}

IMAGE_KERNEL IMAGE(conv_squared)(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_squared(call);
    size_t image = g.h * g.w * g.c, places = g.oh * g.ow * g.o;
    bool by_places = wh_geometry_by_places(&g);
    for (size_t n = from; n < to; n++) {
        const REAL *x = (const REAL *)call->arg[0] + n * image, *c = (const REAL *)call->arg[1] + n * places;
        double sum = by_places ? squared_by_places(call->num, x, c, call->scratch, &g)
                               : squared_by_gradient(x, c, call->scratch, &g);
        ((REAL *)call->out)[n] = (REAL)sum;
    }
}

/* ---- Windows ------------------------------------------------------------------------------------ */

static void window_at(wh_windows *v, size_t place)
{
    wh_window_clip(&v->top, &v->bottom, place / v->ow, v->kernel, v->stride, v->pad, v->h);
    wh_window_clip(&v->left, &v->right, place % v->ow, v->kernel, v->stride, v->pad, v->w);
}

/* The pixel of the window whose channel is largest; the first of equals, and never before a NaN that stands first. */
static size_t largest_in(const REAL *x, const wh_windows *v, size_t channel)
{
    size_t best = (v->top * v->w + v->left) * v->c + channel;
    for (size_t i = v->top; i < v->bottom; i++)
        for (size_t j = v->left; j < v->right; j++) {
            size_t at = (i * v->w + j) * v->c + channel;
            if (x[at] > x[best]) best = at;
        }
    return best;
}

IMAGE_KERNEL IMAGE(max_window)(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, call->out_dims, call->attr);
    REAL *out = (REAL *)call->out + from * v.oh * v.ow * v.c;
    for (size_t n = from; n < to; n++) {
        const REAL *x = (const REAL *)call->arg[0] + n * v.h * v.w * v.c;
        for (size_t p = 0; p < v.oh * v.ow; p++) {
            window_at(&v, p);
            for (size_t k = 0; k < v.c; k++) *out++ = x[largest_in(x, &v, k)];
        }
    }
}

/* t where x is largest */
IMAGE_KERNEL IMAGE(window_take)(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, call->out_dims, call->attr);
    REAL *out = (REAL *)call->out + from * v.oh * v.ow * v.c;
    for (size_t n = from; n < to; n++) {
        const REAL *x = (const REAL *)call->arg[0] + n * v.h * v.w * v.c;
        const REAL *t = (const REAL *)call->arg[1] + n * v.h * v.w * v.c;
        for (size_t p = 0; p < v.oh * v.ow; p++) {
            window_at(&v, p);
            for (size_t k = 0; k < v.c; k++) *out++ = t[largest_in(x, &v, k)];
        }
    }
}

/* c added where x is largest */
IMAGE_KERNEL IMAGE(window_put)(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, &call->arg_dims[1], call->attr);
    const REAL *c = (const REAL *)call->arg[1] + from * v.oh * v.ow * v.c;
    for (size_t n = from; n < to; n++) {
        const REAL *x = (const REAL *)call->arg[0] + n * v.h * v.w * v.c;
        REAL *out = (REAL *)call->out + n * v.h * v.w * v.c;
        memset(out, 0, v.h * v.w * v.c * sizeof *out);
        for (size_t p = 0; p < v.oh * v.ow; p++) {
            window_at(&v, p);
            for (size_t k = 0; k < v.c; k++) out[largest_in(x, &v, k)] += *c++;
        }
    }
}

void NAME(avg_pool)(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->arg_dims, call->out_dims, call->attr);
    REAL *out = (REAL *)call->out + from * v.oh * v.ow * v.c, share = (REAL)(1 / (double)(v.kernel * v.kernel));
    for (size_t n = from; n < to; n++)
        for (size_t p = 0; p < v.oh * v.ow; p++, out += v.c) {
            const REAL *x = (const REAL *)call->arg[0] + n * v.h * v.w * v.c;
            window_at(&v, p);
            memset(out, 0, v.c * sizeof *out);
            for (size_t i = v.top; i < v.bottom; i++)
                for (size_t j = v.left; j < v.right; j++)
                    for (size_t k = 0; k < v.c; k++) out[k] += x[(i * v.w + j) * v.c + k];
            for (size_t k = 0; k < v.c; k++) out[k] *= share;
        }
}

void NAME(avg_pool_back)(const wh_call *call, size_t from, size_t to)
{
    wh_windows v = wh_windows_of(call->out_dims, call->arg_dims, call->attr);
    const REAL *c = (const REAL *)call->arg[0] + from * v.oh * v.ow * v.c;
    REAL share = (REAL)(1 / (double)(v.kernel * v.kernel));
    memset((REAL *)call->out + from * v.h * v.w * v.c, 0, (to - from) * v.h * v.w * v.c * sizeof(REAL));
    for (size_t n = from; n < to; n++)
        for (size_t p = 0; p < v.oh * v.ow; p++, c += v.c) {
            REAL *out = (REAL *)call->out + n * v.h * v.w * v.c;
            window_at(&v, p);
            for (size_t i = v.top; i < v.bottom; i++)
                for (size_t j = v.left; j < v.right; j++)
                    for (size_t k = 0; k < v.c; k++) out[(i * v.w + j) * v.c + k] += c[k] * share;
        }
}

/* ---- Statistics over a grid -------------------------------------------------------------------------- */

/* The numbers of one (a,c) of a grid (A,B,C,D): B runs of D. */
typedef struct cell {
    size_t at, step, runs, len;
} cell;

static cell cell_of(const wh_grid *g, size_t a, size_t c)
{
    return (cell){(a * g->b * g->c + c) * g->d, g->c * g->d, g->b, g->d};
}

static double cell_mean(const REAL *x, const cell *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->runs; i++) sum += sum_n(x + l->at + i * l->step, l->len);
    return sum / (double)(l->runs * l->len);
}

/* The mean of (x - mx) (y - my) */
static double cell_product(const REAL *x, double mx, const REAL *y, double my, const cell *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->runs; i++)
        for (size_t k = 0, at = l->at + i * l->step; k < l->len; k++, at++)
            sum += ((double)x[at] - mx) * ((double)y[at] - my);
    return sum / (double)(l->runs * l->len);
}

static double cell_scale(const REAL *x, double mean, const cell *l, double eps)
{
    return 1 / sqrt(cell_product(x, mean, x, mean, l) + eps);
}

/* out = base + Σ_k factor[k] arg[k], over the cell */
static void cell_write(const wh_call *call, const cell *l, unsigned n_args, const double factor[], double base)
{
    for (size_t i = 0; i < l->runs; i++)
        for (size_t k = 0, at = l->at + i * l->step; k < l->len; k++, at++) {
            double sum = base;
            for (unsigned q = 0; q < n_args; q++) sum += factor[q] * (double)((const REAL *)call->arg[q])[at];
            ((REAL *)call->out)[at] = (REAL)sum;
        }
}

typedef void cell_fn(const wh_call *call, const cell *l);

static void each_cell(const wh_call *call, size_t from, size_t to, cell_fn *fn)
{
    wh_grid g = wh_grid_of(call->out_dims);
    size_t groups = wh_grid_groups(&g), strips = wh_grid_strips(&g);
    for (size_t unit = from; unit < to; unit++)
        for (size_t c = unit % strips * groups; c < least(g.c, (unit % strips + 1) * groups); c++) {
            cell l = cell_of(&g, unit / strips, c);
            fn(call, &l);
        }
}

static void normalize_cell(const wh_call *call, const cell *l)
{
    const REAL *x = call->arg[0];
    double mean = cell_mean(x, l), scale = cell_scale(x, mean, l, call->attr->real[0]);
    cell_write(call, l, 1, &scale, -mean * scale);
}

/* s (c - m(c) - x̂ m(c x̂)) */
static void normalize_back_cell(const wh_call *call, const cell *l)
{
    const REAL *x = call->arg[0], *c = call->arg[1];
    double mx = cell_mean(x, l), mc = cell_mean(c, l), s = cell_scale(x, mx, l, call->attr->real[0]);
    double along = s * cell_product(x, mx, c, mc, l);
    double factor[] = {-s * s * along, s};
    cell_write(call, l, 2, factor, -factor[0] * mx - s * mc);
}

/* -s² (τ ĉ + γ t̂ + x̂ (m(ĉ t̂) - 3 γ τ)), γ = m(c x̂), τ = m(t x̂), ĉ = c - m(c), t̂ = t - m(t); with a fourth argument
 * d, plus the Jacobian times d */
static void normalize_second_cell(const wh_call *call, const cell *l)
{
    const REAL *x = call->arg[0], *c = call->arg[1], *t = call->arg[2];
    double mx = cell_mean(x, l), mc = cell_mean(c, l), mt = cell_mean(t, l);
    double s = cell_scale(x, mx, l, call->attr->real[0]);
    double gamma = s * cell_product(x, mx, c, mc, l), tau = s * cell_product(x, mx, t, mt, l);
    double factor[4] = {-s * s * s * (cell_product(c, mc, t, mt, l) - 3 * gamma * tau), -s * s * tau, -s * s * gamma};
    double base = -factor[1] * mc - factor[2] * mt;
    if (call->n_args > 3) {
        const REAL *d = call->arg[3];
        double md = cell_mean(d, l);
        factor[0] -= s * s * s * cell_product(x, mx, d, md, l);
        factor[3] = s;
        base -= s * md;
    }
    cell_write(call, l, call->n_args, factor, base - factor[0] * mx);
}

IMAGE_KERNEL IMAGE(normalize_grid)(const wh_call *call, size_t from, size_t to)
{
    each_cell(call, from, to, normalize_cell);
}

IMAGE_KERNEL IMAGE(normalize_grid_back)(const wh_call *call, size_t from, size_t to)
{
    each_cell(call, from, to, normalize_back_cell);
}

IMAGE_KERNEL IMAGE(normalize_grid_second)(const wh_call *call, size_t from, size_t to)
{
    each_cell(call, from, to, normalize_second_cell);
}

#if WH_KERN_F32
/* Transposition, whose blocks are one set's business. */
static void image_turn(const wh_call *call, size_t from, size_t to)
{
    NAME(transpose)(call, from, to);
}

#define IMAGE_ENTRY(name) .name = image_##name,
const wh_image_kernels wh_image_kernels_generic = {WH_IMAGE_KERNELS(IMAGE_ENTRY)};
#endif
