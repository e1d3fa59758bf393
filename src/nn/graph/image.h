/* nn/graph/image.h: the geometry of convolutions and windows, channels last.
 *
 * Inside the graph an image is (N,H,W,C) and a weight (kh,kw,C/groups,O): the numbers that a product reads together
 * lie together, whatever the size of the image. docs/nn.md says what that buys. */
#ifndef WH_NN_GRAPH_IMAGE_H
#define WH_NN_GRAPH_IMAGE_H

#include "nn/graph/kern.h"

typedef struct wh_geometry {
    size_t n, h, w, c;     /* the image: (n,h,w,c) */
    size_t kh, kw, oh, ow; /* the kernel, and where it stands */
    size_t o;              /* channels of the output: (n,oh,ow,o) */
    size_t stride, pad, groups;
    size_t cg, og; /* c / groups, o / groups */
} wh_geometry;

/* attr: stride, pad, groups */
static inline wh_geometry wh_geometry_of(const wh_dims *x, const wh_dims *c, size_t kh, size_t kw, const wh_attr *attr)
{
    wh_geometry g = {.n = x->dim[0], .h = x->dim[1], .w = x->dim[2], .c = x->dim[3], .kh = kh, .kw = kw};
    g.oh = c->dim[1];
    g.ow = c->dim[2];
    g.o = c->dim[3];
    g.stride = attr->whole[0];
    g.pad = attr->whole[1];
    g.groups = attr->whole[2];
    g.cg = g.c / g.groups;
    g.og = g.o / g.groups;
    return g;
}

/* conv: (x, w) → c */
static inline wh_geometry wh_geometry_conv(const wh_call *call)
{
    const wh_dims *w = &call->arg_dims[1];
    return wh_geometry_of(&call->arg_dims[0], call->out_dims, w->dim[0], w->dim[1], call->attr);
}

/* conv_data: (c, w turned) → x */
static inline wh_geometry wh_geometry_data(const wh_call *call)
{
    const wh_dims *w = &call->arg_dims[1];
    return wh_geometry_of(call->out_dims, &call->arg_dims[0], w->dim[0], w->dim[1], call->attr);
}

/* conv_weight: (x, c) → w */
static inline wh_geometry wh_geometry_weight(const wh_call *call)
{
    const wh_dims *w = call->out_dims;
    return wh_geometry_of(&call->arg_dims[0], &call->arg_dims[1], w->dim[0], w->dim[1], call->attr);
}

/* conv_squared, conv_each: (x, c), the size of the kernel behind the other settings */
static inline wh_geometry wh_geometry_squared(const wh_call *call)
{
    const size_t *a = call->attr->whole;
    return wh_geometry_of(&call->arg_dims[0], &call->arg_dims[1], a[3], a[4], call->attr);
}

/* The positions of a window that see pixel 0 … size-1 at tap `tap`: [*from, *to). */
static inline void wh_geometry_valid(size_t *from, size_t *to, size_t positions, size_t tap, size_t stride, size_t pad,
                                     size_t size)
{
    size_t first = tap >= pad ? 0 : (pad - tap + stride - 1) / stride;
    size_t end = size + pad > tap ? (size + pad - tap - 1) / stride + 1 : 0;
    *to = end < positions ? end : positions;
    *from = first < *to ? first : *to;
}

/* How many images a kernel takes at once: about what the second cache holds, by shape alone. */
static inline size_t wh_images_at_once(size_t n, size_t reals)
{
    enum { REALS = 1 << 16 };
    size_t fit = reals < REALS ? REALS / reals : 1;
    return fit < n ? fit : n;
}

static inline size_t wh_geometry_images(const wh_geometry *g)
{
    return wh_images_at_once(g->n, g->h * g->w * g->c + g->oh * g->ow * g->o);
}

/* Few channels leave the image's gradient few lanes: then each place makes all its taps, and they are added to the
 * image. Reals for one image's taps and the weight turned to (O,kh,kw,C). */
static inline bool wh_geometry_few(const wh_geometry *g)
{
    return g->groups == 1 && g->c <= 4;
}

static inline size_t wh_geometry_few_reals(const wh_geometry *g)
{
    return (g->oh * g->ow + g->o) * g->kh * g->kw * g->c;
}

/* ---- Frames: a copy of images with zeros around, so that no product asks where it is ---- */
typedef struct wh_frame {
    size_t before, h, w;     /* zeros above and left; the frame's size */
    size_t inner_h, inner_w; /* of the image that is copied */
    size_t c;
    size_t images; /* at once */
} wh_frame;

/* The image as the output's positions walk over it. */
static inline wh_frame wh_frame_image(const wh_geometry *g)
{
    wh_frame f = {.before = g->pad, .inner_h = g->h, .inner_w = g->w, .c = g->c};
    f.h = (g->oh - 1) * g->stride + g->kh;
    f.w = (g->ow - 1) * g->stride + g->kw;
    f.images = wh_images_at_once(g->n, f.h * f.w * f.c + g->oh * g->ow * g->o);
    return f;
}

static inline size_t wh_frame_reals(const wh_frame *f)
{
    return f->images * f->h * f->w * f->c;
}

/* Is a whole row of taps one block of input channels to the weight's gradient? Then it reads frames, if there is
 * padding. Few channels need that; with many, each tap looks at the positions where it sees the image. */
static inline bool wh_geometry_together(const wh_geometry *g)
{
    return g->groups == 1 && (g->pad == 0 || g->cg < 8);
}

static inline bool wh_geometry_framed(const wh_geometry *g)
{
    return wh_geometry_together(g) && g->pad > 0;
}

/* The taps of one unit of conv_weight, in their order: half of them, for each unit reads all images. */
static inline size_t wh_geometry_unit_taps(const wh_geometry *g)
{
    return wh_geometry_together(g) ? (g->kh + 1) / 2 * g->kw : (g->kh * g->kw + 1) / 2;
}

static inline size_t wh_geometry_units(const wh_geometry *g)
{
    size_t each = wh_geometry_unit_taps(g);
    return (g->kh * g->kw + each - 1) / each;
}

/* Is the weight gradient's norm less work by the products of places than by the gradient itself? Short products run at
 * half the speed of tiles. */
static inline bool wh_geometry_by_places(const wh_geometry *g)
{
    size_t places = g->oh * g->ow, depth = g->kh * g->kw * g->cg;
    return 2 * places * (depth + g->og) < depth * g->og;
}

/* ---- Windows of pools: attr kernel, stride, pad ---- */
typedef struct wh_windows {
    size_t h, w, c, oh, ow, kernel, stride, pad;
    size_t top, bottom, left, right; /* of the window at hand */
} wh_windows;

static inline wh_windows wh_windows_of(const wh_dims *image, const wh_dims *out, const wh_attr *attr)
{
    wh_windows v = {.h = image->dim[1], .w = image->dim[2], .c = image->dim[3], .oh = out->dim[1], .ow = out->dim[2]};
    v.kernel = attr->whole[0];
    v.stride = attr->whole[1];
    v.pad = attr->whole[2];
    return v;
}

/* What lies inside: [*from, *to). */
static inline void wh_window_clip(size_t *from, size_t *to, size_t at, size_t kernel, size_t stride, size_t pad,
                                  size_t size)
{
    size_t start = at * stride, end = start + kernel;
    *from = start > pad ? start - pad : 0;
    end = end > pad ? end - pad : 0;
    *to = end < size ? end : size;
}

/* ---- Statistics over a grid (A,B,C,D): for each a and c over all b and d ---- */
typedef struct wh_grid {
    size_t a, b, c, d;
} wh_grid;

static inline wh_grid wh_grid_of(const wh_dims *x)
{
    return (wh_grid){x->dim[0], x->dim[1], x->dim[2], x->dim[3]};
}

/* A unit is one a and, of its c, a strip: of WH_GRID_STRIP numbers in a row about. */
enum { WH_GRID_STRIP = 64 };

static inline size_t wh_grid_groups(const wh_grid *g)
{
    size_t fit = g->d < WH_GRID_STRIP ? WH_GRID_STRIP / g->d : 1;
    return fit < g->c ? fit : g->c;
}

static inline size_t wh_grid_strips(const wh_grid *g)
{
    size_t groups = wh_grid_groups(g);
    return (g->c + groups - 1) / groups;
}

/* ---- The float kernels for images, by instruction set; generic is the specification ---- */
/* clang-format off */
#define WH_IMAGE_KERNELS(X) \
    X(conv) X(conv_data) X(conv_weight) X(conv_each) X(conv_squared) X(max_window) X(window_take) X(window_put) \
    X(normalize_grid) X(normalize_grid_back) X(normalize_grid_second) X(turn)
/* clang-format on */
#define WH_IMAGE_FIELD(name) wh_kernel *name;
typedef struct wh_image_kernels {
    WH_IMAGE_KERNELS(WH_IMAGE_FIELD)
} wh_image_kernels;
#undef WH_IMAGE_FIELD

extern const wh_image_kernels wh_image_kernels_generic, wh_image_kernels_avx2, wh_image_kernels_avx512;
const wh_image_kernels *wh_image_kernels_at(wh_cpu_level level);

#endif
