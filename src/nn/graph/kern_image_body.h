/* nn/graph/kern_image_body.h: the kernels for images, compiled after kern_body.h, whose helpers they use. */

typedef struct geometry {
    size_t channels, h, w; /* of one group of the image */
    size_t kh, kw, oh, ow;
    size_t stride, pad, groups, outs; /* outs: of one group */
    size_t depth, places;             /* channels · kh · kw, oh · ow */
} geometry;

static geometry geometry_of(const wh_dims *x, size_t kh, size_t kw, const wh_dims *c, const wh_attr *attr)
{
    geometry g = {.h = x->dim[2], .w = x->dim[3], .kh = kh, .kw = kw, .oh = c->dim[2], .ow = c->dim[3]};
    g.stride = attr->whole[0];
    g.pad = attr->whole[1];
    g.groups = attr->whole[2];
    g.channels = x->dim[1] / g.groups;
    g.outs = c->dim[1] / g.groups;
    g.depth = g.channels * kh * kw;
    g.places = g.oh * g.ow;
    return g;
}

/* Where the row of the image under output row y and kernel row i lies; false outside. */
static inline bool inside(size_t *at, size_t out, size_t tap, size_t stride, size_t pad, size_t size)
{
    size_t padded = out * stride + tap;
    *at = padded - pad;
    return padded >= pad && padded - pad < size;
}

/* columns (depth, places) of one group of one image (channels,h,w) */
static void unfold(REAL *columns, const REAL *x, const geometry *g)
{
    for (size_t c = 0; c < g->channels; c++)
        for (size_t i = 0; i < g->kh; i++)
            for (size_t j = 0; j < g->kw; j++)
                for (size_t y = 0; y < g->oh; y++) {
                    size_t row, column;
                    bool has_row = inside(&row, y, i, g->stride, g->pad, g->h);
                    for (size_t z = 0; z < g->ow; z++)
                        *columns++ = has_row && inside(&column, z, j, g->stride, g->pad, g->w)
                                         ? x[(c * g->h + row) * g->w + column]
                                         : 0;
                }
}

/* The transpose: adds columns to the image. */
static void fold(REAL *x, const REAL *columns, const geometry *g)
{
    for (size_t c = 0; c < g->channels; c++)
        for (size_t i = 0; i < g->kh; i++)
            for (size_t j = 0; j < g->kw; j++)
                for (size_t y = 0; y < g->oh; y++) {
                    size_t row, column;
                    bool has_row = inside(&row, y, i, g->stride, g->pad, g->h);
                    for (size_t z = 0; z < g->ow; z++, columns++)
                        if (has_row && inside(&column, z, j, g->stride, g->pad, g->w))
                            x[(c * g->h + row) * g->w + column] += *columns;
                }
}

static const REAL *group_of(const void *images, size_t image, size_t group, size_t groups, size_t size)
{
    return (const REAL *)images + (image * groups + group) * size;
}

void NAME(conv)(const wh_call *call, size_t from, size_t to)
{
    const wh_dims *w = &call->arg_dims[1];
    geometry g = geometry_of(&call->arg_dims[0], w->dim[2], w->dim[3], call->out_dims, call->attr);
    REAL *columns = call->scratch;
    for (size_t n = from; n < to; n++)
        for (size_t k = 0; k < g.groups; k++) {
            unfold(columns, group_of(call->arg[0], n, k, g.groups, g.channels * g.h * g.w), &g);
            REAL *out = (REAL *)call->out + (n * g.groups + k) * g.outs * g.places;
            gemm(call->num, WH_GEMM_NN, out, g.places, (const REAL *)call->arg[1] + k * g.outs * g.depth, g.depth,
                 columns, g.places, g.outs, g.places, g.depth);
        }
}

void NAME(conv_data)(const wh_call *call, size_t from, size_t to)
{
    const wh_dims *w = &call->arg_dims[1];
    geometry g = geometry_of(call->out_dims, w->dim[2], w->dim[3], &call->arg_dims[0], call->attr);
    size_t image = g.channels * g.h * g.w;
    REAL *columns = call->scratch;
    for (size_t n = from; n < to; n++)
        for (size_t k = 0; k < g.groups; k++) {
            REAL *out = (REAL *)call->out + (n * g.groups + k) * image;
            gemm(call->num, WH_GEMM_TN, columns, g.places, (const REAL *)call->arg[1] + k * g.outs * g.depth, g.depth,
                 group_of(call->arg[0], n, k, g.groups, g.outs * g.places), g.places, g.depth, g.places, g.outs);
            memset(out, 0, image * sizeof *out);
            fold(out, columns, &g);
        }
}

void NAME(conv_weight)(const wh_call *call, size_t from, size_t to)
{
    const wh_dims *w = call->out_dims, *x = &call->arg_dims[0];
    geometry g = geometry_of(x, w->dim[2], w->dim[3], &call->arg_dims[1], call->attr);
    size_t size = g.outs * g.depth;
    REAL *columns = call->scratch, *one = columns + g.depth * g.places;
    for (size_t k = from; k < to; k++) {
        REAL *out = (REAL *)call->out + k * size;
        memset(out, 0, size * sizeof *out);
        for (size_t n = 0; n < x->dim[0]; n++) {
            unfold(columns, group_of(call->arg[0], n, k, g.groups, g.channels * g.h * g.w), &g);
            gemm(call->num, WH_GEMM_NT, one, g.depth, group_of(call->arg[1], n, k, g.groups, g.outs * g.places),
                 g.places, columns, g.places, g.outs, g.depth, g.places);
            for (size_t i = 0; i < size; i++) out[i] += one[i];
        }
    }
}

/* |c · columnsᵀ|² of one group: by the gradient itself, or by the products of places where that is less work. */
static double group_squared(const wh_num_kernels *num, const REAL *c, const REAL *columns, REAL *scratch,
                            const geometry *g)
{
    size_t l = g->places;
    if (l * (g->depth + g->outs) >= g->depth * g->outs) {
        gemm(num, WH_GEMM_NT, scratch, g->depth, c, l, columns, l, g->outs, g->depth, l);
        return dot_n(scratch, scratch, g->outs * g->depth);
    }
    gemm(num, WH_GEMM_TN, scratch, l, c, l, c, l, l, l, g->outs);
    gemm(num, WH_GEMM_TN, scratch + l * l, l, columns, l, columns, l, l, l, g->depth);
    return dot_n(scratch, scratch + l * l, l * l);
}

void NAME(conv_squared)(const wh_call *call, size_t from, size_t to)
{
    const size_t *a = call->attr->whole;
    geometry g = geometry_of(&call->arg_dims[0], a[3], a[4], &call->arg_dims[1], call->attr);
    REAL *columns = call->scratch;
    for (size_t n = from; n < to; n++) {
        double sum = 0;
        for (size_t k = 0; k < g.groups; k++) {
            unfold(columns, group_of(call->arg[0], n, k, g.groups, g.channels * g.h * g.w), &g);
            sum += group_squared(call->num, group_of(call->arg[1], n, k, g.groups, g.outs * g.places), columns,
                                 columns + g.depth * g.places, &g);
        }
        ((REAL *)call->out)[n] = (REAL)sum;
    }
}

/* The part of a window inside the image: [*from, *to) */
static void clip_window(size_t *from, size_t *to, size_t at, size_t kernel, size_t stride, size_t pad, size_t size)
{
    size_t start = at * stride, end = start + kernel;
    *from = start > pad ? start - pad : 0;
    *to = least(size, end > pad ? end - pad : 0);
}

void NAME(argmax_window)(const wh_call *call, size_t from, size_t to)
{
    const size_t *a = call->attr->whole;
    size_t h = call->arg_dims->dim[2], w = call->arg_dims->dim[3], oh = a[4], ow = a[5];
    for (size_t plane = from; plane < to; plane++) {
        const REAL *x = (const REAL *)call->arg[0] + plane * h * w;
        uint32_t *out = (uint32_t *)call->out + plane * oh * ow;
        for (size_t y = 0; y < oh; y++)
            for (size_t z = 0; z < ow; z++) {
                size_t top, bottom, left, right;
                clip_window(&top, &bottom, y, a[1], a[2], a[3], h);
                clip_window(&left, &right, z, a[1], a[2], a[3], w);
                size_t best = top * w + left;
                for (size_t i = top; i < bottom; i++)
                    for (size_t j = left; j < right; j++)
                        if (x[i * w + j] > x[best]) best = i * w + j;
                out[y * ow + z] = (uint32_t)best;
            }
    }
}

void NAME(avg_pool)(const wh_call *call, size_t from, size_t to)
{
    const size_t *a = call->attr->whole;
    const wh_dims *in = call->arg_dims, *dims = call->out_dims;
    size_t h = in->dim[2], w = in->dim[3], oh = dims->dim[2], ow = dims->dim[3];
    for (size_t unit = from * oh * ow; unit < to * oh * ow; unit++) {
        const REAL *x = (const REAL *)call->arg[0] + unit / (oh * ow) * h * w;
        size_t top, bottom, left, right;
        clip_window(&top, &bottom, unit / ow % oh, a[0], a[1], a[2], h);
        clip_window(&left, &right, unit % ow, a[0], a[1], a[2], w);
        double sum = 0;
        for (size_t i = top; i < bottom; i++)
            for (size_t j = left; j < right; j++) sum += (double)x[i * w + j];
        ((REAL *)call->out)[unit] = (REAL)(sum / (double)(a[0] * a[0]));
    }
}

void NAME(avg_pool_back)(const wh_call *call, size_t from, size_t to)
{
    const size_t *a = call->attr->whole;
    const wh_dims *in = call->out_dims, *dims = call->arg_dims;
    size_t h = in->dim[2], w = in->dim[3], oh = dims->dim[2], ow = dims->dim[3];
    REAL share = (REAL)(1 / (double)(a[0] * a[0]));
    memset((REAL *)call->out + from * h * w, 0, (to - from) * h * w * sizeof(REAL));
    for (size_t unit = from * oh * ow; unit < to * oh * ow; unit++) {
        REAL *out = (REAL *)call->out + unit / (oh * ow) * h * w, c = ((const REAL *)call->arg[0])[unit] * share;
        size_t top, bottom, left, right;
        clip_window(&top, &bottom, unit / ow % oh, a[0], a[1], a[2], h);
        clip_window(&left, &right, unit % ow, a[0], a[1], a[2], w);
        for (size_t i = top; i < bottom; i++)
            for (size_t j = left; j < right; j++) out[i * w + j] += c;
    }
}
