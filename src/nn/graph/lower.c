/* nn/graph/lower.c: convolutions by oneDNN, and images in its layout from one to the next.
 *
 * oneDNN wants the channels of an image in blocks of B: (N,C/B,H,W,B) instead of (N,H,W,C). One walk over the graph
 * rewrites what the outputs need. Each value has its rows, or its blocks, or both once somebody asked for the other. A
 * convolution takes and gives blocks; elementwise operations, pools and sums over places go on in blocks where their
 * arguments are there, so that nothing is turned over between one convolution and the next. What needs rows (norms,
 * dense layers) gets them by a transposition, which costs one pass over the image.
 *
 * Blocks are an ordinary value of five axes, and turning over is the ordinary transposition: chains, plans and threads
 * know nothing of this file. Batches are cut into pieces by their size alone, each a call of its own; gradients of
 * weights come as one array for each piece and are summed in order. So threads change no bit. */
#include "nn/graph/lower.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph/image.h"
#include "nn/graph/node.h"
#include "num/onednn.h"

/* ---- The operations that call it: attr primitive, that of the last piece or 0, images of a piece, pieces -------- */

enum { FULL, LAST, IMAGES, PIECES };

static size_t part_of(const wh_dims *dims, size_t parts)
{
    return wh_dims_size(dims) / parts;
}

/* A unit is a piece of the batch. */
static void call_onednn(const wh_call *call, size_t from, size_t to, bool sums)
{
    const size_t *a = call->attr->whole, n = call->arg_dims[0].dim[0];
    const size_t first = part_of(&call->arg_dims[0], n), second = sums ? part_of(&call->arg_dims[1], n) : 0;
    const size_t result = sums ? part_of(call->out_dims, a[PIECES]) : part_of(call->out_dims, n);
    for (size_t u = from; u < to; u++) {
        size_t at = u * a[IMAGES], primitive = a[LAST] && u + 1 == a[PIECES] ? a[LAST] : a[FULL];
        float *out = (float *)call->out + (sums ? u : at) * result;
        const float *x = (const float *)call->arg[0] + at * first, *y = (const float *)call->arg[1] + at * second;
        if (wh_onednn_run(primitive, out, x, y, call->scratch)) continue;
        /* It can only have run out of memory. Nobody takes these for numbers. */
        *out = NAN;
    }
}

static void conv_images(const wh_call *call, size_t from, size_t to)
{
    call_onednn(call, from, to, false);
}

static void conv_sums(const wh_call *call, size_t from, size_t to)
{
    call_onednn(call, from, to, true);
}

static wh_cut cut(const wh_call *call)
{
    enum { ENOUGH = 1 << 20 }; /* to be handed out alone */
    return (wh_cut){call->attr->whole[PIECES], ENOUGH};
}

static size_t scratch(const wh_call *call)
{
    const size_t *a = call->attr->whole;
    size_t full = wh_onednn_scratch(a[FULL]), last = a[LAST] ? wh_onednn_scratch(a[LAST]) : 0;
    return (full > last ? full : last) / sizeof(float) + 1;
}

static const wh_op onednn_conv = {.name = "onednn conv", .kernel = {conv_images, NULL}, .cut = cut, .scratch = scratch};
static const wh_op onednn_data = {
    .name = "onednn conv_data", .kernel = {conv_images, NULL}, .cut = cut, .scratch = scratch};
static const wh_op onednn_weight = {
    .name = "onednn conv_weight", .kernel = {conv_sums, NULL}, .cut = cut, .scratch = scratch};

/* ---- Rows and blocks -------------------------------------------------------------------------------------- */

typedef struct form {
    wh_value rows, blocks;
    bool native; /* made in blocks */
} form;

typedef struct lower {
    wh_graph *g;
    form *forms;    /* by value of the graph as it was */
    wh_value *args; /* of one node, as many as any has */
    size_t block;
    bool all;   /* not only where it is known to be faster */
    bool norms; /* some step needs rows between convolutions */
} lower;

static wh_dims blocked(const lower *l, wh_dims d)
{
    return WH_DIMS(d.dim[0], d.dim[3] / l->block, d.dim[1], d.dim[2], l->block);
}

static wh_value rows_of(lower *l, wh_value v)
{
    static const unsigned order[] = {0, 2, 3, 1, 4};
    form *f = &l->forms[v];
    if (f->rows == WH_NO_VALUE)
        f->rows = wh_graph_reshape(l->g, wh_graph_transpose(l->g, f->blocks, order), wh_graph_dims(l->g, v));
    return f->rows;
}

/* (N,H,W,C) in blocks; one pixel lies the same in both. */
static wh_value into_blocks(lower *l, wh_value rows)
{
    static const unsigned order[] = {0, 3, 1, 2, 4};
    wh_dims d = wh_graph_dims(l->g, rows);
    if (d.dim[1] * d.dim[2] == 1) return wh_graph_reshape(l->g, rows, blocked(l, d));
    d = WH_DIMS(d.dim[0], d.dim[1], d.dim[2], d.dim[3] / l->block, l->block);
    return wh_graph_transpose(l->g, wh_graph_reshape(l->g, rows, d), order);
}

static wh_value blocks_of(lower *l, wh_value v)
{
    form *f = &l->forms[v];
    if (f->blocks == WH_NO_VALUE) f->blocks = into_blocks(l, f->rows);
    return f->blocks;
}

static void made_rows(lower *l, wh_value v, wh_value rows)
{
    l->forms[v].rows = rows;
}

static void made_blocks(lower *l, wh_value v, wh_value blocks)
{
    l->forms[v].blocks = blocks;
    l->forms[v].native = true;
}

/* ---- Convolutions ----------------------------------------------------------------------------------------- */

typedef struct conv {
    wh_onednn_shape shape;
    wh_attr attr;
} conv;

static wh_onednn_kind kind_of(const wh_node *node)
{
    return node->op == &wh_op_conv        ? WH_ONEDNN_FORWARD
           : node->op == &wh_op_conv_data ? WH_ONEDNN_DATA
                                          : WH_ONEDNN_WEIGHT;
}

static bool is_conv(const wh_node *node)
{
    return node->op == &wh_op_conv || node->op == &wh_op_conv_data || node->op == &wh_op_conv_weight;
}

static wh_onednn_shape shape_of(const lower *l, const wh_node *node)
{
    wh_dims first = wh_graph_dims(l->g, node->arg[0]), second = wh_graph_dims(l->g, node->arg[1]);
    wh_onednn_kind kind = kind_of(node);
    const wh_dims *x = kind == WH_ONEDNN_DATA ? &node->dims : &first;
    const wh_dims *y = kind == WH_ONEDNN_FORWARD ? &node->dims : kind == WH_ONEDNN_DATA ? &first : &second;
    const wh_dims *w = kind == WH_ONEDNN_WEIGHT ? &node->dims : &second;
    return (wh_onednn_shape){.kind = kind,
                             .n = x->dim[0],
                             .h = x->dim[1],
                             .w = x->dim[2],
                             .c = x->dim[3],
                             .oh = y->dim[1],
                             .ow = y->dim[2],
                             .o = y->dim[3],
                             .kh = w->dim[0],
                             .kw = w->dim[1],
                             .stride = node->attr.whole[0],
                             .pad = node->attr.whole[1]};
}

/* Where it won when it was measured (docs/nn.md): with 256-bit vectors, many channels, images of some size, and no norm
 * that has them turned over. With AVX-512 it did not win in any layer that takes time. */
static bool is_faster(const lower *l, const wh_onednn_shape *s)
{
    enum { CHANNELS = 64, PLACES = 256 };
    return l->block == 8 && !l->norms && s->c >= CHANNELS && s->o >= CHANNELS && s->oh * s->ow >= PLACES;
}

/* How many pieces: a few for threads to share, if there is enough work for each; of gradients of weights fewer, as each
 * costs an array. */
static size_t shares_of(const wh_onednn_shape *s)
{
    enum { SHARES = 4, SUMS = 2, ENOUGH = 1 << 23 };
    size_t most = s->kind == WH_ONEDNN_WEIGHT ? SUMS : SHARES;
    size_t work = s->n * s->oh * s->ow * s->kh * s->kw * s->c * s->o / ENOUGH;
    return work < 1 ? 1 : work < most ? work : most;
}

static bool find_primitives(conv *c)
{
    wh_onednn_shape piece = c->shape;
    size_t shares = shares_of(&piece), n = piece.n;
    size_t images = (n + shares - 1) / shares, pieces = (n + images - 1) / images, rest = n % images;
    c->attr.whole[IMAGES] = images;
    c->attr.whole[PIECES] = pieces;
    piece.n = images;
    c->attr.whole[FULL] = wh_onednn_conv(&piece);
    if (c->attr.whole[FULL] == 0 || rest == 0) return c->attr.whole[FULL] != 0;
    piece.n = rest;
    c->attr.whole[LAST] = wh_onednn_conv(&piece);
    return c->attr.whole[LAST] != 0;
}

static bool is_few(const conv *c)
{
    return c->shape.c <= 4;
}

static bool fits(const lower *l, const wh_node *node, conv *c)
{
    *c = (conv){.shape = shape_of(l, node)};
    const wh_onednn_shape *s = &c->shape;
    bool channels = s->c % l->block == 0 || (is_few(c) && s->kind != WH_ONEDNN_DATA);
    if (!channels || s->o % l->block != 0 || node->attr.whole[2] != 1) return false;
    return (l->all || is_faster(l, s)) && find_primitives(c);
}

/* The weight as users have it, (O,I,kh,kw), to what a primitive reads. */
static wh_value weight_blocks(lower *l, wh_value w, const conv *c)
{
    static const unsigned from_conv[] = {3, 2, 0, 1}, from_data[] = {2, 3, 0, 1};
    static const unsigned few[] = {0, 3, 2, 1}, forward[] = {0, 2, 4, 3, 1}, data[] = {0, 2, 4, 1, 3};
    const wh_onednn_shape *s = &c->shape;
    bool back = s->kind == WH_ONEDNN_DATA;
    size_t b = l->block, taps = s->kh * s->kw;
    wh_value plain = wh_graph_transpose(l->g, w, back ? from_data : from_conv);
    if (is_few(c))
        return wh_graph_transpose(l->g, wh_graph_reshape(l->g, plain, WH_DIMS(s->o / b, b, s->c, taps)), few);
    plain = wh_graph_reshape(l->g, plain, WH_DIMS(s->o / b, b, s->c / b, b, taps));
    return wh_graph_transpose(l->g, plain, back ? data : forward);
}

/* And back: the parts of a gradient, summed. */
static wh_value weight_rows(lower *l, wh_value parts, const conv *c)
{
    static const unsigned taps_first[] = {2, 3, 1, 0}, few[] = {0, 3, 2, 1}, blocks[] = {0, 4, 1, 3, 2};
    const wh_onednn_shape *s = &c->shape;
    size_t b = l->block, taps = s->kh * s->kw;
    wh_value w = wh_graph_sum(l->g, parts, 1, false);
    if (is_few(c))
        w = wh_graph_transpose(l->g, wh_graph_reshape(l->g, w, WH_DIMS(s->o / b, taps, s->c, b)), few);
    else
        w = wh_graph_transpose(l->g, wh_graph_reshape(l->g, w, WH_DIMS(s->o / b, s->c / b, taps, b, b)), blocks);
    return wh_graph_transpose(l->g, wh_graph_reshape(l->g, w, WH_DIMS(s->o, s->c, s->kh, s->kw)), taps_first);
}

static wh_value image_of(lower *l, wh_value x, const conv *c)
{
    static const unsigned channels_first[] = {0, 3, 1, 2};
    const wh_onednn_shape *s = &c->shape;
    if (!is_few(c)) return blocks_of(l, x);
    if (s->c == 1) return wh_graph_reshape(l->g, rows_of(l, x), WH_DIMS(s->n, 1, s->h, s->w));
    return wh_graph_transpose(l->g, rows_of(l, x), channels_first);
}

static void lower_conv(lower *l, wh_value v, const wh_node *node, const conv *c)
{
    const wh_onednn_shape *s = &c->shape;
    size_t pieces = c->attr.whole[PIECES];
    if (s->kind == WH_ONEDNN_WEIGHT) {
        wh_value x = image_of(l, node->arg[0], c), y = blocks_of(l, node->arg[1]);
        wh_dims parts = WH_DIMS(pieces, s->o / l->block, s->kh * s->kw, s->c * l->block);
        made_rows(l, v, weight_rows(l, wh_graph_node2(l->g, &onednn_weight, x, y, parts, &c->attr), c));
        return;
    }
    bool back = s->kind == WH_ONEDNN_DATA;
    wh_value w = weight_blocks(l, rows_of(l, node->arg[1]), c);
    wh_value a = back ? blocks_of(l, node->arg[0]) : image_of(l, node->arg[0], c);
    made_blocks(l, v, wh_graph_node2(l->g, back ? &onednn_data : &onednn_conv, a, w, blocked(l, node->dims), &c->attr));
}

/* ---- What goes on in blocks ------------------------------------------------------------------------------- */

/* v in blocks if that costs nothing, else WH_NO_VALUE: they are there, or a constant, or repeated over all places. */
static wh_value settled(lower *l, wh_value v, wh_dims rows)
{
    double number;
    if (l->forms[v].blocks != WH_NO_VALUE) return l->forms[v].blocks;
    if (wh_graph_is_fill(l->g, v, &number)) return wh_graph_fill(l->g, blocked(l, rows), number);
    wh_node node = *wh_node_at(l->g, v);
    if (node.op != &wh_op_broadcast) return WH_NO_VALUE;
    wh_dims from = wh_graph_dims(l->g, node.arg[0]), full = {.rank = 4};
    for (unsigned k = 0; k < 4; k++) full.dim[k] = k + from.rank < 4 ? 1 : from.dim[k + from.rank - 4];
    wh_value narrow = rows_of(l, node.arg[0]);
    if (full.dim[3] == 1)
        narrow = wh_graph_reshape(l->g, narrow, WH_DIMS(full.dim[0], 1, full.dim[1], full.dim[2], 1));
    else if (full.dim[1] * full.dim[2] == 1)
        narrow = into_blocks(l, wh_graph_reshape(l->g, narrow, full));
    else
        return WH_NO_VALUE;
    return wh_graph_broadcast(l->g, narrow, blocked(l, rows));
}

static bool lower_element(lower *l, wh_value v, const wh_node *node)
{
    enum { MOST = 3 };
    wh_value args[MOST];
    bool any = false;
    if (node->dims.rank != 4 || node->n_args > MOST) return false;
    for (unsigned i = 0; i < node->n_args; i++) any = any || l->forms[node->arg[i]].native;
    for (unsigned i = 0; any && i < node->n_args; i++) {
        args[i] = settled(l, node->arg[i], node->dims);
        if (args[i] == WH_NO_VALUE) return false;
    }
    if (any)
        made_blocks(
            l, v, wh_graph_node(l->g, node->op, args, node->n_args, blocked(l, node->dims), &node->attr, WH_KIND_REAL));
    return any;
}

/* A pool sees blocks as more images of B channels. */
static bool lower_pool(lower *l, wh_value v, const wh_node *node)
{
    wh_value args[2];
    if (!l->forms[node->arg[0]].native) return false;
    for (unsigned i = 0; i < node->n_args; i++) {
        wh_dims d = blocked(l, wh_graph_dims(l->g, node->arg[i]));
        d = WH_DIMS(d.dim[0] * d.dim[1], d.dim[2], d.dim[3], d.dim[4]);
        args[i] = wh_graph_reshape(l->g, blocks_of(l, node->arg[i]), d);
    }
    wh_dims out = blocked(l, node->dims), images = WH_DIMS(out.dim[0] * out.dim[1], out.dim[2], out.dim[3], out.dim[4]);
    wh_value pooled = wh_graph_node(l->g, node->op, args, node->n_args, images, &node->attr, WH_KIND_REAL);
    made_blocks(l, v, wh_graph_reshape(l->g, pooled, out));
    return true;
}

/* Sums over all places, or over the channels: what is left stands in the same order. */
static bool lower_sum(lower *l, wh_value v, const wh_node *node)
{
    size_t axes = node->attr.whole[0];
    bool images = axes & 1, height = axes & 2, width = axes & 4, channels = axes & 8;
    if (!l->forms[node->arg[0]].native || !(channels || (height && width))) return false;
    unsigned there = (images ? 1u : 0) | (height ? 4u : 0) | (width ? 8u : 0) | (channels ? 2u | 16u : 0);
    made_rows(l, v,
              wh_graph_reshape(l->g, wh_graph_sum(l->g, l->forms[node->arg[0]].blocks, there, false), node->dims));
    return true;
}

static bool is_pool(const wh_op *op)
{
    return op == &wh_op_max_window || op == &wh_op_window_take || op == &wh_op_window_put || op == &wh_op_avg_pool ||
           op == &wh_op_avg_pool_back;
}

static bool lower_in_blocks(lower *l, wh_value v, const wh_node *node)
{
    conv c;
    if (is_conv(node) && fits(l, node, &c)) {
        lower_conv(l, v, node, &c);
        return true;
    }
    if (node->op->element != WH_ELEMENT_NONE) return lower_element(l, v, node);
    if (is_pool(node->op)) return lower_pool(l, v, node);
    return node->op == &wh_op_sum && lower_sum(l, v, node);
}

static void lower_in_rows(lower *l, wh_value v, const wh_node *node)
{
    bool same = true;
    for (unsigned i = 0; i < node->n_args; i++) same = rows_of(l, node->arg[i]) == node->arg[i] && same;
    if (same) {
        made_rows(l, v, v);
    } else if (node->op == &wh_op_transpose) {
        unsigned order[WH_GRAPH_RANK]; /* that of a weight may meet its like, and both are gone */
        for (unsigned k = 0; k < node->dims.rank; k++) order[k] = (unsigned)node->attr.whole[k];
        made_rows(l, v, wh_graph_transpose(l->g, rows_of(l, node->arg[0]), order));
    } else if (node->op == &wh_op_reshape) {
        made_rows(l, v, wh_graph_reshape(l->g, rows_of(l, node->arg[0]), node->dims));
    } else {
        for (unsigned i = 0; i < node->n_args; i++) l->args[i] = rows_of(l, node->arg[i]);
        made_rows(l, v, wh_graph_again(l->g, v, l->args));
    }
}

/* ---- The walk --------------------------------------------------------------------------------------------- */

static void lower_node(lower *l, wh_value v)
{
    const wh_node node = *wh_node_at(l->g, v);
    if (node.n_args == 0)
        made_rows(l, v, v);
    else if (!lower_in_blocks(l, v, &node))
        lower_in_rows(l, v, &node);
}

/* What the outputs need. */
typedef struct need {
    bool *nodes;
    size_t n_args; /* the most of one */
    bool convs, norms, by_example;
} need;

static void look(need *out, const wh_graph *g, const wh_value outputs[], size_t n)
{
    for (size_t i = 0; i < n; i++) out->nodes[outputs[i]] = true;
    for (wh_value v = (wh_value)wh_graph_size(g); v > 0; v--) {
        if (!out->nodes[v]) continue;
        const wh_node *node = wh_node_at(g, v);
        out->convs = out->convs || is_conv(node);
        out->norms = out->norms || node->op == &wh_op_normalize || node->op == &wh_op_normalize_grid;
        out->by_example = out->by_example || node->op == &wh_op_conv_squared || node->op == &wh_op_conv_each;
        if (node->n_args > out->n_args) out->n_args = node->n_args;
        for (unsigned i = 0; i < node->n_args; i++) out->nodes[node->arg[i]] = true;
    }
}

typedef enum choice { OWN, ONEDNN, AUTO } choice;

static whist_status chosen(choice *out)
{
    static const char *const names[] = {"own", "onednn", "auto"};
    const char *text = getenv("WHIST_CONV");
    *out = OWN;
    if (!text || !*text) return WHIST_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (choice)i;
            return WHIST_OK;
        }
    WH_FAIL(WHIST_E_ARG, "WHIST_CONV is '%.40s': own, onednn or auto", text);
}

const char *wh_graph_lower_name(void)
{
    choice what;
    if (chosen(&what) != WHIST_OK || what == OWN) return "";
    if (what == ONEDNN) return " conv=onednn";
    return wh_onednn_load() == WHIST_OK ? " conv=auto" : " conv=auto without onednn";
}

whist_status wh_graph_lower(wh_value outputs[], wh_graph *graph, size_t n)
{
    WH_ENSURE(outputs && graph, WHIST_E_ARG);
    WH_TRY(wh_graph_status(graph));
    choice what;
    WH_TRY(chosen(&what));
    if (what == OWN || wh_graph_real(graph) != WH_F32) return WHIST_OK;
    size_t size = wh_graph_size(graph) + 1;
    WH_AUTO(wh_owned) nodes = NULL;
    WH_AUTO(wh_owned) forms = NULL;
    WH_AUTO(wh_owned) args = NULL;
    WH_TRY(wh_alloc(&nodes, size, sizeof(bool)));
    need wanted = {.nodes = nodes};
    look(&wanted, graph, outputs, n);
    if (!wanted.convs || wanted.by_example) return WHIST_OK;
    whist_status status = wh_onednn_load();
    if (status != WHIST_OK) return what == AUTO ? WHIST_OK : status;
    WH_TRY(wh_alloc(&forms, size, sizeof(form)));
    WH_TRY(wh_alloc(&args, wanted.n_args, sizeof(wh_value)));
    lower l = {.g = graph, .forms = forms, .args = args, .block = wh_onednn_block()};
    l.all = what == ONEDNN;
    l.norms = wanted.norms;
    for (wh_value v = 1; v < size; v++)
        if (wanted.nodes[v]) lower_node(&l, v);
    WH_TRY(wh_graph_status(graph));
    for (size_t i = 0; i < n; i++) outputs[i] = rows_of(&l, outputs[i]);
    return wh_graph_status(graph);
}
