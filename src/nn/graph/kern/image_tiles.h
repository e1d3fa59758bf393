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

/* The rows of the next tile: as even as can be. */
TILE size_t even_rows(size_t left, size_t most)
{
    size_t tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

/* ---- Frames ------------------------------------------------------------------------------------------ */

static bool needs_frame(const wh_frame *f)
{
    return f->before > 0 || f->h > f->inner_h || f->w > f->inner_w;
}

/* Images first … first + n - 1 inside zeros that are there already. */
static void fill_frame(float *frame, const float *images, const wh_frame *f, size_t n)
{
    size_t rows = f->h - f->before < f->inner_h ? f->h - f->before : f->inner_h;
    size_t columns = f->w - f->before < f->inner_w ? f->w - f->before : f->inner_w;
    for (size_t k = 0; k < n; k++)
        for (size_t y = 0; y < rows; y++)
            memcpy(frame + ((k * f->h + y + f->before) * f->w + f->before) * f->c,
                   images + (k * f->inner_h + y) * f->inner_w * f->c, columns * f->c * sizeof *frame);
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
    size_t places = w->images * w->us * w->vs;
    for (size_t column = 0; column < columns;) {
        strip s = strip_of(columns - column);
        size_t image = 0, u = 0, v = 0;
        for (size_t done = 0; done < places;) {
            tile_rows r;
            size_t rows = even_rows(places - done, s.rows);
            for (size_t i = 0; i < rows; i++) {
                r.a[i] = w->a + image * w->a_image + u * w->a_u + v * w->a_v;
                r.out[i] = w->out + image * w->out_image + u * w->out_u + v * w->out_v + column;
                if (++v < w->vs) continue;
                v = 0;
                if (++u < w->us) continue;
                u = 0;
                image++;
            }
            s.tile[rows - 1](t, &r, b + column, s.part, PUT);
            done += rows;
        }
        column += s.columns;
    }
}

static void conv_images(float *out, const float *x, const float *w, const wh_geometry *g, size_t width, size_t height,
                        size_t images)
{
    walk places = {images, g->oh, g->ow, x, out, height * width * g->c, g->stride * width * g->c, g->stride * g->c};
    places.out_image = g->oh * g->ow * g->o;
    places.out_u = g->ow * g->o;
    places.out_v = g->o;
    ptrdiff_t row = (ptrdiff_t)(width * g->c), taps = (ptrdiff_t)(g->kw * g->cg * g->o);
    if (g->groups == 1) {
        const nest t = {1, g->kh, g->kw * g->c, 0, row, 1, 0, taps, g->o};
        product(&places, &t, w, g->o);
        return;
    }
    const nest t = {g->kh, g->kw, g->cg, row, (ptrdiff_t)g->c, 1, taps, (ptrdiff_t)(g->cg * g->o), g->o};
    for (size_t k = 0; k < g->groups; k++) {
        product(&places, &t, w + k * g->og, g->og);
        places.a += g->cg;
        places.out += g->og;
    }
}

static void conv(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_conv(call);
    wh_frame f = wh_frame_image(&g);
    size_t image = g.h * g.w * g.c, places = g.oh * g.ow * g.o;
    const float *x = call->arg[0];
    float *out = call->out;
    if (!needs_frame(&f)) {
        conv_images(out + from * places, x + from * image, call->arg[1], &g, g.w, g.h, to - from);
        return;
    }
    memset(call->scratch, 0, wh_frame_reals(&f) * sizeof(float));
    for (size_t n = from; n < to; n += f.images) {
        size_t images = to - n < f.images ? to - n : f.images;
        fill_frame(call->scratch, x + n * image, &f, images);
        conv_images(out + n * places, call->scratch, call->arg[1], &g, f.w, f.h, images);
    }
}

/* The pixels y ≡ y0, z ≡ z0 (modulo the stride): they see the same taps. */
static void data_phase(float *out, const float *c, const float *w, const wh_geometry *g, const wh_frame *f,
                       size_t images, size_t y0, size_t z0)
{
    size_t s = g->stride, i0 = (y0 + g->pad) % s, j0 = (z0 + g->pad) % s;
    size_t u = f->before + (y0 + g->pad - i0) / s, v = f->before + (z0 + g->pad - j0) / s;
    nest t = {.outer = i0 < g->kh ? (g->kh - i0 + s - 1) / s : 0, .inner = j0 < g->kw ? (g->kw - j0 + s - 1) / s : 0};
    t.run = g->og;
    t.a_outer = -(ptrdiff_t)(f->w * g->o);
    t.a_inner = -(ptrdiff_t)g->o;
    t.a_step = 1;
    t.b_outer = (ptrdiff_t)(s * g->kw * g->o * g->cg);
    t.b_inner = (ptrdiff_t)(s * g->o * g->cg);
    t.ldb = g->cg;
    walk pixels = {images, (g->h - y0 + s - 1) / s, (g->w - z0 + s - 1) / s};
    pixels.a = c + (u * f->w + v) * g->o;
    pixels.a_image = f->h * f->w * g->o;
    pixels.a_u = f->w * g->o;
    pixels.a_v = g->o;
    pixels.out = out + (y0 * g->w + z0) * g->c;
    pixels.out_image = g->h * g->w * g->c;
    pixels.out_u = s * g->w * g->c;
    pixels.out_v = s * g->c;
    const float *taps = t.outer > 0 && t.inner > 0 ? w + (i0 * g->kw + j0) * g->o * g->cg : w;
    for (size_t k = 0; k < g->groups; k++) {
        product(&pixels, &t, taps + k * g->og * g->cg, g->cg);
        pixels.a += g->og;
        pixels.out += g->cg;
    }
}

static void conv_data(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_data(call);
    wh_frame f = wh_frame_cotangent(&g);
    size_t image = g.oh * g.ow * g.o, pixels = g.h * g.w * g.c;
    bool framed = needs_frame(&f);
    size_t most = framed ? f.images : to - from;
    if (framed) memset(call->scratch, 0, wh_frame_reals(&f) * sizeof(float));
    for (size_t n = from; n < to; n += most) {
        size_t images = to - n < most ? to - n : most;
        const float *c = (const float *)call->arg[0] + n * image;
        if (framed) fill_frame(call->scratch, c, &f, images);
        for (size_t y0 = 0; y0 < g.stride && y0 < g.h; y0++)
            for (size_t z0 = 0; z0 < g.stride && z0 < g.w; z0++)
                data_phase((float *)call->out + n * pixels, framed ? call->scratch : c, call->arg[1], &g, &f, images,
                           y0, z0);
    }
}

/* ---- The weight's gradient: rows are input channels -------------------------------------------------------- */

/* n_rows rows that lie one after the other in a. */
static void channel_rows(float *out, size_t ldo, const float *a, const nest *t, const float *b, size_t n_rows,
                         size_t columns, finish how, double *square)
{
    tile_rows r = {.square = square};
    for (size_t column = 0; column < columns;) {
        strip s = strip_of(columns - column);
        for (size_t done = 0; done < n_rows;) {
            size_t rows = even_rows(n_rows - done, s.rows);
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

/* Is a whole row of taps one block of rows? Then it reads a frame, if there is padding. Few channels need that; with
 * many, each tap looks at the positions where it sees the image. */
static bool taps_together(const wh_geometry *g, const wh_frame *f)
{
    return g->groups == 1 && (!needs_frame(f) || g->cg < 8);
}

/* Of tap row i, from these images (height, width: as they lie, maybe framed). out NULL: only the squares. */
static void weight_together(float *out, const float *x, const float *c, const wh_geometry *g, size_t height,
                            size_t width, size_t images, size_t i, finish how, double *square)
{
    nest t = {images, g->oh, g->ow};
    t.a_outer = (ptrdiff_t)(height * width * g->c);
    t.a_inner = (ptrdiff_t)(g->stride * width * g->c);
    t.a_step = (ptrdiff_t)(g->stride * g->c);
    t.b_outer = (ptrdiff_t)(g->oh * g->ow * g->o);
    t.b_inner = (ptrdiff_t)(g->ow * g->o);
    t.ldb = g->o;
    channel_rows(out, g->o, x + i * width * g->c, &t, c, g->kw * g->c, g->o, how, square);
}

static void weight_apart(float *out, const float *x, const float *c, const wh_geometry *g, size_t images, size_t i,
                         finish how, double *square)
{
    size_t y, y_end, z, z_end;
    wh_geometry_valid(&y, &y_end, g->oh, i, g->stride, g->pad, g->h);
    for (size_t j = 0; j < g->kw; j++) {
        wh_geometry_valid(&z, &z_end, g->ow, j, g->stride, g->pad, g->w);
        nest t = {images, y_end - y, z_end - z};
        t.a_outer = (ptrdiff_t)(g->h * g->w * g->c);
        t.a_inner = (ptrdiff_t)(g->stride * g->w * g->c);
        t.a_step = (ptrdiff_t)(g->stride * g->c);
        t.b_outer = (ptrdiff_t)(g->oh * g->ow * g->o);
        t.b_inner = (ptrdiff_t)(g->ow * g->o);
        t.ldb = g->o;
        bool sees = t.inner * t.run > 0;
        const float *a = sees ? x + ((y * g->stride + i - g->pad) * g->w + z * g->stride + j - g->pad) * g->c : x;
        const float *b = sees ? c + (y * g->ow + z) * g->o : c;
        for (size_t k = 0; k < g->groups; k++)
            channel_rows(out ? out + j * g->cg * g->o + k * g->og : NULL, g->o, a + k * g->cg, &t, b + k * g->og, g->cg,
                         g->og, how, square);
    }
}

/* Images whose sums stay in registers: what the second cache holds. */
static size_t weight_images(const wh_geometry *g, const wh_frame *f, bool framed)
{
    size_t size = g->h * g->w * g->c + g->oh * g->ow * g->o, most = 2 * WH_FRAME_REALS / size;
    if (framed && most > f->images) most = f->images;
    return most < 1 ? 1 : most < g->n ? most : g->n;
}

static void conv_weight(const wh_call *call, size_t from, size_t to)
{
    wh_geometry g = wh_geometry_weight(call);
    wh_frame f = wh_frame_image(&g);
    bool together = taps_together(&g, &f), framed = together && needs_frame(&f);
    size_t most = weight_images(&g, &f, framed), size = g.kw * g.cg * g.o;
    if (framed) memset(call->scratch, 0, wh_frame_reals(&f) * sizeof(float));
    for (size_t n = 0; n < g.n; n += most) {
        size_t images = g.n - n < most ? g.n - n : most;
        const float *x = (const float *)call->arg[0] + n * g.h * g.w * g.c;
        const float *c = (const float *)call->arg[1] + n * g.oh * g.ow * g.o;
        if (framed) fill_frame(call->scratch, x, &f, images);
        for (size_t i = from; i < to; i++) {
            float *out = (float *)call->out + i * size;
            finish how = n == 0 ? PUT : ADD;
            if (together)
                weight_together(out, framed ? call->scratch : x, c, &g, framed ? f.h : g.h, framed ? f.w : g.w, images,
                                i, how, NULL);
            else
                weight_apart(out, x, c, &g, images, i, how, NULL);
        }
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
    bool together = taps_together(&g, &f), framed = together && needs_frame(&f);
    if (framed) memset(call->scratch, 0, f.h * f.w * f.c * sizeof(float));
    for (size_t n = from; n < to; n++) {
        const float *x = (const float *)call->arg[0] + n * g.h * g.w * g.c;
        const float *c = (const float *)call->arg[1] + n * g.oh * g.ow * g.o;
        double sum = 0;
        if (framed) fill_frame(call->scratch, x, &f, 1);
        for (size_t i = 0; i < g.kh; i++) {
            if (together)
                weight_together(NULL, framed ? call->scratch : x, c, &g, framed ? f.h : g.h, framed ? f.w : g.w, 1, i,
                                SQUARE, &sum);
            else
                weight_apart(NULL, x, c, &g, 1, i, SQUARE, &sum);
        }
        ((float *)call->out)[n] = (float)sum;
    }
}
