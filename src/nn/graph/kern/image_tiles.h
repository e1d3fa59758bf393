/* nn/graph/kern/image_tiles.h: convolutions as products over tiles that stay in registers.
 *
 * The file that includes this defines, for its vectors of V_LANES floats:
 *   vec, mask, v_zero(), v_set1(x), v_load(p), v_load_mask(mask, p), v_store(p, v), v_store_mask(p, mask, v),
 *   v_fma(a, b, c) = a b + c, v_mul, v_add, v_sub, v_max(a, b) = a > b ? a : b, v_mask(n) (the first n lanes),
 *   choice, v_greater(a, b), v_equal(a, b), v_choose(choice, yes, no), and
 *   ROWS_1, ROWS_2, ROWS_4: the rows of a tile that is 1, 2, 4 vectors wide (ROWS_4 may be 0).
 *
 * All three maps are one product with its sum in three nested loops:
 *   out[r][j] = Σ_p Σ_q Σ_l a[r][p a_outer + q a_inner + l a_step] · b[p b_outer + q b_inner + l ldb + j]
 * where row r is a place (conv: p, q, l are tap row, tap column, channel) or an input channel (conv_weight: image,
 * output row, output column). Each element adds its terms in this order with fma, whatever tile it is in. */
#include <math.h>
#include <string.h>

#include "nn/graph/image.h"

#define TILE static inline __attribute__((always_inline))

typedef struct nest {
    size_t outer, inner, run;
    ptrdiff_t a_outer, a_inner, a_step, b_outer, b_inner;
    size_t ldb;
} nest;

typedef enum finish { PUT, ADD, SQUARE } finish; /* SQUARE: adds Σ sum² to *out[0], a double, and stores nothing */

enum { ROWS_MAX = ROWS_1 > ROWS_2 ? ROWS_1 : ROWS_2 };

typedef struct tile_rows {
    const float *a[ROWS_MAX];
    float *out[ROWS_MAX];
    double *square;
} tile_rows;

TILE void finish_one(float *out, vec sum, bool full, mask part, finish how)
{
    if (how == ADD) sum = v_add(full ? v_load(out) : v_load_mask(part, out), sum);
    if (full)
        v_store(out, sum);
    else
        v_store_mask(out, part, sum);
}

/* rows, vecs and full are constants where this is called. */
TILE void tile(size_t rows, size_t vecs, bool full, mask part, const nest *t, const tile_rows *r, const float *b,
               finish how)
{
    vec sum[ROWS_MAX][4];
    const float *a[ROWS_MAX];
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++) {
        a[i] = r->a[i];
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++) sum[i][j] = v_zero();
    }
    ptrdiff_t step = t->a_step;
    for (size_t p = 0; p < t->outer; p++)
        for (size_t q = 0; q < t->inner; q++) {
            ptrdiff_t at = (ptrdiff_t)p * t->a_outer + (ptrdiff_t)q * t->a_inner;
            const float *bl = b + (ptrdiff_t)p * t->b_outer + (ptrdiff_t)q * t->b_inner;
            for (size_t l = t->run; l > 0; l--, at += step, bl += t->ldb) {
                vec w[4];
#pragma GCC unroll 4
                for (size_t j = 0; j < vecs; j++) w[j] = full ? v_load(bl + j * V_LANES) : v_load_mask(part, bl);
#pragma GCC unroll 16
                for (size_t i = 0; i < rows; i++) {
                    vec x = v_set1(a[i][at]);
#pragma GCC unroll 4
                    for (size_t j = 0; j < vecs; j++) sum[i][j] = v_fma(x, w[j], sum[i][j]);
                }
            }
        }
    if (how == SQUARE) {
        float lane[V_LANES];
        vec total = v_zero();
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (size_t j = 0; j < vecs; j++) total = v_fma(sum[i][j], sum[i][j], total);
        v_store(lane, total);
        for (size_t i = 0; i < V_LANES; i++) *r->square += (double)lane[i];
        return;
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t j = 0; j < vecs; j++) finish_one(r->out[i] + j * V_LANES, sum[i][j], full, part, how);
}

typedef void tile_fn(const nest *t, const tile_rows *r, const float *b, mask part, finish how);

#define TILE_OF(rows, kind, vecs, full)                                                                                \
    static void tile_##rows##_##kind(const nest *t, const tile_rows *r, const float *b, mask part, finish how)         \
    {                                                                                                                  \
        tile(rows, vecs, full, part, t, r, b, how);                                                                    \
    }
#define TILE_NARROW(rows) TILE_OF(rows, part, 1, false) TILE_OF(rows, 1, 1, true)
#define TILE_TWO(rows) TILE_OF(rows, 2, 2, true)
#define TILE_FOUR(rows) TILE_OF(rows, 4, 4, true)
#define TILE_UP_TO_6(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define TILE_UP_TO_12(X) TILE_UP_TO_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
TILE_UP_TO_12(TILE_NARROW)
#define NAME_PART(rows) tile_##rows##_part,
#define NAME_1(rows) tile_##rows##_1,
#define NAME_2(rows) tile_##rows##_2,
#define NAME_4(rows) tile_##rows##_4,
#if ROWS_2 > 6
TILE_UP_TO_12(TILE_TWO)
#else
TILE_UP_TO_6(TILE_TWO)
#endif
#if ROWS_4
TILE_UP_TO_6(TILE_FOUR)
#endif

/* How wide a strip of columns is done at once, with which tiles. */
typedef struct strip {
    size_t columns, rows;
    mask part;
    tile_fn *const *tile; /* by rows - 1 */
} strip;

static strip strip_of(size_t columns)
{
    static tile_fn *const part[] = {TILE_UP_TO_12(NAME_PART)}, *const one[] = {TILE_UP_TO_12(NAME_1)};
#if ROWS_2 > 6
    static tile_fn *const two[] = {TILE_UP_TO_12(NAME_2)};
#else
    static tile_fn *const two[] = {TILE_UP_TO_6(NAME_2)};
#endif
#if ROWS_4
    static tile_fn *const four[] = {TILE_UP_TO_6(NAME_4)};
    if (columns >= 4 * V_LANES) return (strip){4 * V_LANES, ROWS_4, v_mask(V_LANES), four};
#endif
    if (columns >= 2 * V_LANES) return (strip){2 * V_LANES, ROWS_2, v_mask(V_LANES), two};
    if (columns >= V_LANES) return (strip){V_LANES, ROWS_1, v_mask(V_LANES), one};
    return (strip){columns, ROWS_1, v_mask(columns), part};
}

/* n rows in as few tiles as there can be, as even as can be: the first `longer` have one row more. */
typedef struct even {
    size_t tiles, rows, longer;
} even;

TILE even even_rows(size_t n, size_t most)
{
    size_t tiles = (n + most - 1) / most;
    return (even){tiles, n / tiles, n % tiles};
}

/* ---- Convolution and its transpose: rows are places -------------------------------------------------------- */

/* Places (image, u, v): where each reads a, where it writes. */
typedef struct walk {
    size_t images, us, vs;
    const float *a;
    float *out;
    size_t a_image, a_u, a_v, out_image, out_u, out_v;
} walk;

static void product(const walk *w, const nest *t, const float *b, size_t columns)
{
    /* From the last place of a row, or of an image, to the next place. */
    const ptrdiff_t a_row = (ptrdiff_t)w->a_u - (ptrdiff_t)(w->vs * w->a_v);
    const ptrdiff_t a_image = (ptrdiff_t)w->a_image - (ptrdiff_t)(w->us * w->a_u);
    const ptrdiff_t out_row = (ptrdiff_t)w->out_u - (ptrdiff_t)(w->vs * w->out_v);
    const ptrdiff_t out_image = (ptrdiff_t)w->out_image - (ptrdiff_t)(w->us * w->out_u);
    size_t places = w->images * w->us * w->vs;
    for (size_t column = 0; column < columns;) {
        strip s = strip_of(columns - column);
        ptrdiff_t a = 0, out = (ptrdiff_t)column;
        size_t u = w->us, v = w->vs;
        const even e = even_rows(places, s.rows);
        for (size_t k = 0; k < e.tiles; k++) {
            tile_rows r;
            const size_t rows = e.rows + (k < e.longer);
            for (size_t i = 0; i < rows; i++) {
                r.a[i] = w->a + a;
                r.out[i] = w->out + out;
                a += (ptrdiff_t)w->a_v;
                out += (ptrdiff_t)w->out_v;
                if (--v > 0) continue;
                v = w->vs;
                a += a_row;
                out += out_row;
                if (--u > 0) continue;
                u = w->us;
                a += a_image;
                out += out_image;
            }
            s.tile[rows - 1](t, &r, b + column, s.part, PUT);
        }
        column += s.columns;
    }
}

/* Positions at … at + n - 1 along one axis that see the same taps, [lo, hi): none looks beside the image, so nothing is
 * padded and nothing is multiplied by zeros. */
typedef struct span {
    size_t at, n, lo, hi;
} span;

TILE size_t cut_off(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

TILE size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The taps by which position `at` sees pixels 0 … size-1. */
TILE span conv_taps(size_t at, size_t taps, size_t stride, size_t pad, size_t size)
{
    size_t lo = cut_off(pad, at * stride), hi = lesser(taps, cut_off(size + pad, at * stride));
    return (span){at, 1, lo < hi ? lo : 0, lo < hi ? hi : 0};
}

/* The span that starts at `at`, or an empty one. */
TILE span conv_span(size_t at, size_t positions, size_t taps, size_t stride, size_t pad, size_t size)
{
    span s = conv_taps(at, taps, stride, pad, size);
    for (s.n = 1; at + s.n < positions; s.n++) {
        span next = conv_taps(at + s.n, taps, stride, pad, size);
        if (next.lo != s.lo || next.hi != s.hi) break;
    }
    return s;
}

static void conv_region(float *out, const float *x, const float *w, const wh_geometry *g, size_t images, span y, span z)
{
    bool sees = y.hi > y.lo && z.hi > z.lo;
    walk places = {images, y.n, z.n};
    places.a = sees ? x + ((y.at * g->stride + y.lo - g->pad) * g->w + z.at * g->stride + z.lo - g->pad) * g->c : x;
    places.a_image = g->h * g->w * g->c;
    places.a_u = g->stride * g->w * g->c;
    places.a_v = g->stride * g->c;
    places.out = out + (y.at * g->ow + z.at) * g->o;
    places.out_image = g->oh * g->ow * g->o;
    places.out_u = g->ow * g->o;
    places.out_v = g->o;
    ptrdiff_t row = (ptrdiff_t)(g->w * g->c), taps = (ptrdiff_t)(g->kw * g->cg * g->o);
    const float *from = w + (y.lo * g->kw + z.lo) * g->cg * g->o;
    if (g->groups == 1) {
        const nest t = {1, y.hi - y.lo, (z.hi - z.lo) * g->c, 0, row, 1, 0, taps, g->o};
        product(&places, &t, from, g->o);
        return;
    }
    const nest t = {y.hi - y.lo, z.hi - z.lo, g->cg, row, (ptrdiff_t)g->c, 1, taps, (ptrdiff_t)(g->cg * g->o), g->o};
    for (size_t k = 0; k < g->groups; k++) {
        product(&places, &t, from + k * g->og, g->og);
        places.a += g->cg;
        places.out += g->og;
    }
}

static void conv(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_conv(call);
    size_t image = g.h * g.w * g.c, places = g.oh * g.ow * g.o, most = wh_geometry_images(&g);
    for (size_t n = from; n < to; n += most) {
        size_t images = lesser(most, to - n);
        span y = {0}, z;
        for (size_t u = 0; u < g.oh; u += y.n) {
            y = conv_span(u, g.oh, g.kh, g.stride, g.pad, g.h);
            for (size_t v = 0; v < g.ow; v += z.n) {
                z = conv_span(v, g.ow, g.kw, g.stride, g.pad, g.w);
                conv_region((float *)call->out + n * places, (const float *)call->arg[0] + n * image, call->arg[1], &g,
                            images, y, z);
            }
        }
    }
}

/* Pixels first, first + stride, … of one axis: pixel first + u stride is made of positions origin + u - t by taps
 * tap + t stride, t < taps. */
typedef struct phase {
    size_t first, pixels, tap, taps, origin, positions;
} phase;

TILE phase phase_of(size_t first, size_t size, size_t kernel, size_t stride, size_t pad, size_t positions)
{
    phase p = {.first = first, .pixels = (size - first + stride - 1) / stride, .tap = (first + pad) % stride};
    p.taps = (cut_off(kernel, p.tap) + stride - 1) / stride;
    p.origin = (first + pad - p.tap) / stride;
    p.positions = positions;
    return p;
}

TILE span data_taps(const phase *p, size_t u)
{
    size_t lo = cut_off(p->origin + u + 1, p->positions), hi = lesser(p->taps, p->origin + u + 1);
    return (span){u, 1, lo < hi ? lo : 0, lo < hi ? hi : 0};
}

TILE span data_span(const phase *p, size_t u)
{
    span s = data_taps(p, u);
    for (s.n = 1; u + s.n < p->pixels; s.n++) {
        span next = data_taps(p, u + s.n);
        if (next.lo != s.lo || next.hi != s.hi) break;
    }
    return s;
}

static void data_region(float *out, const float *c, const float *w, const wh_geometry *g, size_t images,
                        const phase *py, const phase *pz, span y, span z)
{
    size_t s = g->stride;
    bool sees = y.hi > y.lo && z.hi > z.lo;
    nest t = {.outer = y.hi - y.lo, .inner = z.hi - z.lo, .run = g->og, .a_step = 1, .ldb = g->cg};
    t.a_outer = -(ptrdiff_t)(g->ow * g->o);
    t.a_inner = -(ptrdiff_t)g->o;
    t.b_outer = (ptrdiff_t)(s * g->kw * g->o * g->cg);
    t.b_inner = (ptrdiff_t)(s * g->o * g->cg);
    walk pixels = {images, y.n, z.n};
    pixels.a = sees ? c + ((py->origin + y.at - y.lo) * g->ow + pz->origin + z.at - z.lo) * g->o : c;
    pixels.a_image = g->oh * g->ow * g->o;
    pixels.a_u = g->ow * g->o;
    pixels.a_v = g->o;
    pixels.out = out + ((py->first + y.at * s) * g->w + pz->first + z.at * s) * g->c;
    pixels.out_image = g->h * g->w * g->c;
    pixels.out_u = s * g->w * g->c;
    pixels.out_v = s * g->c;
    const float *from = sees ? w + ((py->tap + s * y.lo) * g->kw + pz->tap + s * z.lo) * g->o * g->cg : w;
    for (size_t k = 0; k < g->groups; k++) {
        product(&pixels, &t, from + k * g->og * g->cg, g->cg);
        pixels.a += g->og;
        pixels.out += g->cg;
    }
}

/* All pixels that see the same taps modulo the stride. */
static void data_phase(float *out, const float *c, const float *w, const wh_geometry *g, size_t images, size_t y0,
                       size_t z0)
{
    phase py = phase_of(y0, g->h, g->kh, g->stride, g->pad, g->oh);
    phase pz = phase_of(z0, g->w, g->kw, g->stride, g->pad, g->ow);
    span y = {0}, z;
    for (size_t u = 0; u < py.pixels; u += y.n) {
        y = data_span(&py, u);
        for (size_t v = 0; v < pz.pixels; v += z.n) {
            z = data_span(&pz, v);
            data_region(out, c, w, g, images, &py, &pz, y, z);
        }
    }
}

/* taps (kh,kw,C) of place (y,z) added to the image, as far as they are in it. */
static void add_taps(float *image, const float *taps, const wh_geometry *g, size_t y, size_t z)
{
    span rows = conv_taps(y, g->kh, g->stride, g->pad, g->h), columns = conv_taps(z, g->kw, g->stride, g->pad, g->w);
    size_t n = (columns.hi - columns.lo) * g->c;
    for (size_t i = rows.lo; i < rows.hi && n > 0; i++) {
        float *to = image + ((y * g->stride + i - g->pad) * g->w + z * g->stride + columns.lo - g->pad) * g->c;
        const float *add = taps + (i * g->kw + columns.lo) * g->c;
        for (size_t k = 0; k < n; k++) to[k] += add[k];
    }
}

static void data_of_few(const wh_call *call, const wh_geometry *g, size_t from, size_t to)
{
    const size_t places = g->oh * g->ow, taps = g->kh * g->kw * g->c, pixels = g->h * g->w * g->c;
    const float *w = call->arg[1];
    float *made = call->scratch, *turned = made + places * taps;
    for (size_t tap = 0; tap < g->kh * g->kw; tap++)
        for (size_t o = 0; o < g->o; o++)
            for (size_t c = 0; c < g->c; c++) turned[o * taps + tap * g->c + c] = w[(tap * g->o + o) * g->c + c];
    const nest t = {1, 1, g->o, 0, 0, 1, 0, 0, taps};
    for (size_t n = from; n < to; n++) {
        float *image = (float *)call->out + n * pixels;
        walk all = {1, 1, places, (const float *)call->arg[0] + n * places * g->o, made};
        all.a_v = g->o;
        all.out_v = taps;
        product(&all, &t, turned, taps);
        memset(image, 0, pixels * sizeof *image);
        for (size_t p = 0; p < places; p++) add_taps(image, made + p * taps, g, p / g->ow, p % g->ow);
    }
}

static void conv_data(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_data(call);
    if (wh_geometry_few(&g)) {
        data_of_few(call, &g, from, to);
        return;
    }
    size_t places = g.oh * g.ow * g.o, pixels = g.h * g.w * g.c, most = wh_geometry_images(&g);
    for (size_t n = from; n < to; n += most)
        for (size_t y0 = 0; y0 < g.stride && y0 < g.h; y0++)
            for (size_t z0 = 0; z0 < g.stride && z0 < g.w; z0++)
                data_phase((float *)call->out + n * pixels, (const float *)call->arg[0] + n * places, call->arg[1], &g,
                           lesser(most, to - n), y0, z0);
}

/* ---- Frames ------------------------------------------------------------------------------------------ */

/* Zeros for n images at most. */
static void clear_frame(float *frame, const wh_frame *f, size_t n)
{
    memset(frame, 0, (n < f->images ? n : f->images) * f->h * f->w * f->c * sizeof *frame);
}

/* Rows are short: a call of memcpy would be most of the work. */
TILE void copy_row(float *to, const float *from, size_t n)
{
    for (; n >= V_LANES; n -= V_LANES, to += V_LANES, from += V_LANES) v_store(to, v_load(from));
    mask part = v_mask(n);
    v_store_mask(to, part, v_load_mask(part, from));
}

/* n images inside zeros that are there already. */
static void fill_frame(float *frame, const float *images, const wh_frame *f, size_t n)
{
    size_t rows = f->h - f->before < f->inner_h ? f->h - f->before : f->inner_h;
    size_t columns = f->w - f->before < f->inner_w ? f->w - f->before : f->inner_w;
    for (size_t k = 0; k < n; k++)
        for (size_t y = 0; y < rows; y++)
            copy_row(frame + ((k * f->h + y + f->before) * f->w + f->before) * f->c,
                     images + (k * f->inner_h + y) * f->inner_w * f->c, columns * f->c);
}

/* ---- The weight's gradient: rows are input channels -------------------------------------------------------- */

/* n_rows rows that lie one after the other in a. */
static void channel_rows(float *out, size_t ldo, const float *a, const nest *t, const float *b, size_t n_rows,
                         size_t columns, finish how, double *square)
{
    tile_rows r = {.square = square};
    for (size_t column = 0; column < columns;) {
        strip s = strip_of(columns - column);
        const even e = even_rows(n_rows, s.rows);
        for (size_t k = 0, done = 0; k < e.tiles; k++) {
            const size_t rows = e.rows + (k < e.longer);
            for (size_t i = 0; i < rows; i++) {
                r.a[i] = a + done + i;
                r.out[i] = out ? out + (done + i) * ldo + column : NULL;
            }
            s.tile[rows - 1](t, &r, b + column, s.part, how);
            done += rows;
        }
        column += s.columns;
    }
}

/* Images as the weight's gradient reads them: as they are, or in frames. */
typedef struct seen {
    const float *x, *c;
    size_t images, h, w;
} seen;

static nest weight_nest(const wh_geometry *g, const seen *s, size_t rows, size_t run)
{
    nest t = {.outer = s->images, .inner = rows, .run = run, .ldb = g->o};
    t.a_outer = (ptrdiff_t)(s->h * s->w * g->c);
    t.a_inner = (ptrdiff_t)(g->stride * s->w * g->c);
    t.a_step = (ptrdiff_t)(g->stride * g->c);
    t.b_outer = (ptrdiff_t)(g->oh * g->ow * g->o);
    t.b_inner = (ptrdiff_t)(g->ow * g->o);
    return t;
}

/* A row of taps is one block of input channels, from the positions where it sees a row of the image. */
static void weight_row(float *out, const seen *s, const wh_geometry *g, size_t i, finish how, double *square)
{
    size_t y, y_end;
    wh_geometry_valid(&y, &y_end, g->oh, i, g->stride, g->pad, g->h);
    nest t = weight_nest(g, s, y_end - y, g->ow);
    const float *a = s->x + (y * g->stride + i) * s->w * g->c, *b = s->c + y * g->ow * g->o;
    channel_rows(out, g->o, a, &t, b, g->kw * g->c, g->o, how, square);
}

/* One tap, from the positions where it sees the image. */
static void weight_tap(float *out, const seen *s, const wh_geometry *g, size_t i, size_t j, finish how, double *square)
{
    size_t y, y_end, z, z_end;
    wh_geometry_valid(&y, &y_end, g->oh, i, g->stride, g->pad, g->h);
    wh_geometry_valid(&z, &z_end, g->ow, j, g->stride, g->pad, g->w);
    nest t = weight_nest(g, s, y_end - y, z_end - z);
    bool sees = t.inner > 0 && t.run > 0;
    const float *a = s->x, *b = s->c;
    if (sees) a += ((y * g->stride + i - g->pad) * g->w + z * g->stride + j - g->pad) * g->c;
    if (sees) b += (y * g->ow + z) * g->o;
    for (size_t k = 0; k < g->groups; k++)
        channel_rows(out ? out + k * g->og : NULL, g->o, a + k * g->cg, &t, b + k * g->og, g->cg, g->og, how, square);
}

/* Taps first … last-1 (whole rows of them, if they go together) to out, or their squares alone. */
static void weight_taps(float *out, const seen *s, const wh_geometry *g, size_t first, size_t last, finish how,
                        double *square)
{
    size_t tap = g->cg * g->o;
    if (wh_geometry_together(g))
        for (size_t i = first / g->kw; i < last / g->kw; i++)
            weight_row(out ? out + (i * g->kw - first) * tap : NULL, s, g, i, how, square);
    else
        for (size_t k = first; k < last; k++)
            weight_tap(out ? out + (k - first) * tap : NULL, s, g, k / g->kw, k % g->kw, how, square);
}

/* n images from `first` on, put into frames if they need it. */
static seen look(const wh_call *call, const wh_geometry *g, const wh_frame *f, size_t first, size_t n)
{
    const float *x = (const float *)call->arg[0] + first * g->h * g->w * g->c;
    const float *c = (const float *)call->arg[1] + first * g->oh * g->ow * g->o;
    if (!wh_geometry_framed(g)) return (seen){x, c, n, g->h, g->w};
    fill_frame(call->scratch, x, f, n);
    return (seen){call->scratch, c, n, f->h, f->w};
}

static void conv_weight(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_weight(call);
    wh_frame f = wh_frame_image(&g);
    size_t most = wh_geometry_framed(&g) ? f.images : wh_geometry_images(&g), taps = wh_geometry_unit_taps(&g);
    size_t first = from * taps, last = lesser(to * taps, g.kh * g.kw);
    if (wh_geometry_framed(&g)) clear_frame(call->scratch, &f, g.n);
    for (size_t n = 0; n < g.n; n += most) {
        seen s = look(call, &g, &f, n, lesser(most, g.n - n));
        weight_taps((float *)call->out + first * g.cg * g.o, &s, &g, first, last, n == 0 ? PUT : ADD, NULL);
    }
}

static void conv_each(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_squared(call);
    wh_frame f = wh_frame_image(&g);
    size_t taps = g.kh * g.kw;
    if (wh_geometry_framed(&g)) clear_frame(call->scratch, &f, 1);
    for (size_t n = from; n < to; n++) {
        seen s = look(call, &g, &f, n, 1);
        weight_taps((float *)call->out + n * taps * g.cg * g.o, &s, &g, 0, taps, PUT, NULL);
    }
}

static void conv_squared(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_squared(call);
    if (wh_geometry_by_places(&g)) {
        wh_image_kernels_generic.conv_squared(call, from, to); /* it is made of products that are fast already */
        return;
    }
    wh_frame f = wh_frame_image(&g);
    if (wh_geometry_framed(&g)) clear_frame(call->scratch, &f, 1);
    for (size_t n = from; n < to; n++) {
        double sum = 0;
        seen s = look(call, &g, &f, n, 1);
        weight_taps(NULL, &s, &g, 0, g.kh * g.kw, SQUARE, &sum);
        ((float *)call->out)[n] = (float)sum;
    }
}
