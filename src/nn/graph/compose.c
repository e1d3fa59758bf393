/* nn/graph/compose.c: larger pieces out of the operations; their derivatives follow by themselves. */
#include "nn/graph/node.h"

#include <math.h>
#include <stdlib.h>

/* ---- Normalisation -------------------------------------------------------------------------- */

/* hat · gamma + beta, both given in a shape that broadcasts. */
static wh_value affine(wh_graph *g, wh_value hat, wh_value gamma, wh_value beta, wh_dims dims)
{
    if (gamma != WH_NO_VALUE) hat = wh_graph_mul(g, hat, wh_graph_reshape(g, gamma, dims));
    if (beta != WH_NO_VALUE) hat = wh_graph_add(g, hat, wh_graph_reshape(g, beta, dims));
    return hat;
}

wh_value wh_graph_layer_norm(wh_graph *g, wh_value x, wh_value gamma, wh_value beta, double eps)
{
    wh_dims dims = wh_graph_dims(g, x);
    return affine(g, wh_graph_normalize(g, x, eps), gamma, beta, WH_DIMS(wh_dims_last(&dims)));
}

/* (C,1,…): a number for each channel of x (N,C,…) */
static wh_dims channels(const wh_dims *x)
{
    wh_dims dims = {.rank = x->rank - 1};
    for (unsigned i = 0; i < dims.rank; i++) dims.dim[i] = i == 0 ? x->dim[1] : 1;
    return dims;
}

static bool has_channels(wh_graph *g, const char *name, wh_value x)
{
    if (g->failed != WHIST_OK) return false;
    wh_dims dx = wh_graph_dims(g, x);
    if (dx.rank >= 2) return true;
    wh_graph_fail(g, WHIST_E_ARG, "%s of %s: (N,C,…) is needed", name, wh_dims_show(&dx).text);
    return false;
}

wh_value wh_graph_group_norm(wh_graph *g, wh_value x, size_t groups, wh_value gamma, wh_value beta, double eps)
{
    if (!has_channels(g, "group_norm", x)) return WH_NO_VALUE;
    wh_dims dx = wh_graph_dims(g, x);
    if (groups == 0 || dx.dim[1] % groups != 0)
        return wh_graph_fail(g, WHIST_E_ARG, "group_norm of %s: %zu groups do not divide the channels",
                             wh_dims_show(&dx).text, groups);
    size_t places = wh_dims_size(&dx) / (dx.dim[0] * dx.dim[1]);
    if (dx.rank == 4) {
        wh_dims grid = WH_DIMS(dx.dim[0], places, groups, dx.dim[1] / groups);
        wh_value hat = wh_graph_normalize_grid(g, wh_graph_channels_last(g, x), grid, eps);
        return affine(g, wh_graph_channels_first(g, hat), gamma, beta, channels(&dx));
    }
    size_t rows = dx.dim[0] * groups;
    wh_value flat = wh_graph_reshape(g, x, WH_DIMS(rows, wh_dims_size(&dx) / rows));
    return affine(g, wh_graph_reshape(g, wh_graph_normalize(g, flat, eps), dx), gamma, beta, channels(&dx));
}

/* Images, channels last, without what was added to each channel as a whole, such as a convolution's bias: the mean
 * takes it away again. */
static wh_value without_shift(const wh_graph *g, wh_value x)
{
    const wh_node *node = wh_node_at(g, x);
    size_t c = wh_dims_last(&node->dims);
    if (node->op != &wh_op_add) return x;
    for (unsigned i = 0; i < 2; i++) {
        const wh_node *shift = wh_node_at(g, node->arg[i]);
        if (shift->op != &wh_op_broadcast) continue;
        wh_dims from = wh_graph_dims(g, shift->arg[0]);
        if (wh_dims_size(&from) == 1 || (wh_dims_size(&from) == c && wh_dims_last(&from) == c)) return node->arg[1 - i];
    }
    return x;
}

/* By sums over channels and what is elementwise: chains fuse with both, so that an image is read twice for its
 * statistics and once for everything else. */
static wh_value batch_norm_images(wh_graph *g, wh_value x, wh_value gamma, wh_value beta, double eps)
{
    enum { PLACES = 1 | 2 | 4 };
    wh_dims dx = wh_graph_dims(g, x);
    wh_value images = without_shift(g, wh_graph_channels_last(g, x));
    wh_value hat = wh_graph_channels_first(g, wh_graph_standardize(g, images, PLACES, eps));
    return affine(g, hat, gamma, beta, channels(&dx));
}

wh_value wh_graph_batch_norm(wh_graph *g, wh_value x, wh_value gamma, wh_value beta, double eps)
{
    if (!has_channels(g, "batch_norm", x)) return WH_NO_VALUE;
    wh_dims dx = wh_graph_dims(g, x);
    size_t n = dx.dim[0], c = dx.dim[1], places = wh_dims_size(&dx) / (n * c);
    if (dx.rank == 4) return batch_norm_images(g, x, gamma, beta, eps);
    /* One example of n · c · places numbers: the batch is one a of the grid. */
    wh_value hat = wh_graph_normalize_grid(g, x, WH_DIMS(1, n, c, places), eps);
    return affine(g, hat, gamma, beta, channels(&dx));
}

wh_value wh_graph_batch_norm_given(wh_graph *g, wh_value x, wh_value mean, wh_value var, wh_value gamma, wh_value beta,
                                   double eps)
{
    if (!has_channels(g, "batch_norm", x)) return WH_NO_VALUE;
    wh_dims dx = wh_graph_dims(g, x), dims = channels(&dx);
    wh_value off = wh_graph_sub(g, x, wh_graph_reshape(g, mean, dims));
    wh_value scale = wh_graph_reshape(g, wh_graph_rsqrt(g, wh_graph_shift(g, var, eps)), dims);
    return affine(g, wh_graph_mul(g, off, scale), gamma, beta, dims);
}

/* ---- Losses ----------------------------------------------------------------------------------- */

/* softplus(a) - y a */
wh_value wh_graph_binary_cross_entropy(wh_graph *g, wh_value logits, wh_value y)
{
    return wh_graph_sub(g, wh_graph_softplus(g, logits), wh_graph_mul(g, y, logits));
}

wh_value wh_graph_squared_error(wh_graph *g, wh_value a, wh_value y)
{
    return wh_graph_square(g, wh_graph_sub(g, a, y));
}

/* ---- Attention, LSTM, dropout -------------------------------------------------------------------- */

wh_value wh_graph_attention(wh_graph *g, wh_value q, wh_value k, wh_value v, double scale, bool causal)
{
    wh_value scores = wh_graph_scale(g, wh_graph_matmul(g, q, k, WH_MATMUL_NT), scale);
    return wh_graph_matmul(g, wh_graph_softmax(g, scores, causal), v, WH_MATMUL_NN);
}

wh_value wh_graph_lstm_cell(wh_graph *g, wh_value *c_out, wh_value x, wh_value h, wh_value c, wh_value w, wh_value bias,
                            wh_matmul form)
{
    wh_dims dc = wh_graph_dims(g, c), dw = wh_graph_dims(g, w);
    if (g->failed == WHIST_OK && dc.rank != 2)
        return wh_graph_fail_dims(g, "lstm_cell", &dc, &dw, "a state (B,H) and a weight (D+H,4H)");
    wh_value gates = wh_graph_linear(g, wh_graph_concat(g, 1, (const wh_value[]){x, h}, 2), w, bias, form);
    wh_value part[4];
    for (size_t i = 0; i < 4; i++) part[i] = wh_graph_slice(g, gates, (const size_t[]){0, i * dc.dim[1]}, dc);
    wh_value keep = wh_graph_mul(g, wh_graph_sigmoid(g, part[1]), c);
    wh_value add = wh_graph_mul(g, wh_graph_sigmoid(g, part[0]), wh_graph_tanh(g, part[2]));
    wh_value next = wh_graph_add(g, keep, add);
    *c_out = next;
    return wh_graph_mul(g, wh_graph_sigmoid(g, part[3]), wh_graph_tanh(g, next));
}

static wh_cut mask_cut(const wh_call *call)
{
    return (wh_cut){(wh_dims_size(call->out_dims) + 511) / 512, 2048};
}

/* The examples lie in the first axis, the seed is the same for all. */
static bool mask_splits(const wh_graph *g, const wh_node *node, const bool split[], size_t examples)
{
    (void)g;
    return !split[0] && node->dims.rank > 0 && node->dims.dim[0] % examples == 0;
}

const wh_op wh_op_keep_mask = {.name = "keep_mask",
                               .flags = WH_OP_CONSTANT,
                               .splits = mask_splits,
                               .wide = WH_KERNEL_WIDE(keep_mask),
                               .cut = mask_cut};

wh_value wh_graph_keep_mask(wh_graph *g, wh_value seed, uint32_t site, double rate, wh_dims dims)
{
    if (!wh_graph_args(g, &wh_op_keep_mask, &seed, 1, 1)) return WH_NO_VALUE;
    wh_dims ds = wh_graph_dims(g, seed), two = WH_DIMS(2);
    if (!wh_dims_equal(&ds, &two)) return wh_graph_fail_dims(g, "keep_mask", &ds, &two, "a seed is two words");
    if (!(rate >= 0 && rate < 1)) return wh_graph_fail(g, WHIST_E_RANGE, "keep_mask: a rate of 0 or more, below 1");
    wh_attr attr = {.real = {rate}, .whole = {site}};
    return wh_graph_node1(g, &wh_op_keep_mask, seed, dims, &attr);
}

wh_value wh_graph_dropout(wh_graph *g, wh_value x, wh_value mask)
{
    return wh_graph_mul(g, x, mask);
}

/* ---- Cox ------------------------------------------------------------------------------------------- */

/* With e = e^(s - max) in order of falling time: the risk set of a place is everything up to the end of its tie, so its
 * sum R is a running sum taken there. Efron takes away the fraction l/d of D, the tied events' part. */
wh_value wh_graph_cox(wh_graph *g, wh_value scores, const wh_cox *cox)
{
    wh_dims ds = wh_graph_dims(g, scores);
    if (g->failed == WHIST_OK && ds.rank != 1)
        return wh_graph_fail(g, WHIST_E_ARG, "cox of %s: scores (N) are needed", wh_dims_show(&ds).text);
    wh_value shifted = wh_graph_sub(g, scores, wh_graph_max_last(g, scores));
    wh_value s = wh_graph_take(g, shifted, cox->order), e = wh_graph_exp(g, s);
    wh_value at_risk = wh_graph_take(g, wh_graph_cumsum(g, e, cox->stratum, false), cox->end);
    wh_value died = wh_graph_put(g, wh_graph_mul(g, e, cox->event), cox->tie, ds.dim[0]);
    wh_value tied = wh_graph_mul(g, cox->fraction, wh_graph_take(g, died, cox->tie));
    wh_value each = wh_graph_sub(g, wh_graph_log(g, wh_graph_sub(g, at_risk, tied)), s);
    return wh_graph_dot(g, cox->event, each);
}

typedef struct survival {
    double time, event;
    uint32_t row, stratum;
} survival;

static int earlier_stratum_later_time(const void *a, const void *b)
{
    const survival *x = a, *y = b;
    if (x->stratum != y->stratum) return x->stratum < y->stratum ? -1 : 1;
    if (x->time != y->time) return x->time > y->time ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

static void fill_tie(const wh_cox_rows *out, const survival *rows, size_t from, size_t to, bool efron)
{
    double events = 0, l = 0;
    for (size_t i = from; i < to; i++) events += rows[i].event;
    for (size_t i = from; i < to; i++) {
        out->order[i] = rows[i].row;
        out->end[i] = (uint32_t)(to - 1);
        out->tie[i] = (uint32_t)from;
        out->stratum[i] = rows[i].stratum;
        out->event[i] = rows[i].event;
        out->fraction[i] = efron && rows[i].event != 0 ? l++ / events : 0;
    }
}

whist_status wh_graph_cox_rows(const wh_cox_rows *out, const double *time, const double *event, const uint32_t *stratum,
                               size_t n, bool efron)
{
    WH_ENSURE(out && time && event && n > 0, WHIST_E_ARG);
    if (n > UINT32_MAX) WH_FAIL(WHIST_E_RANGE, "%zu rows of survival data: at most 2^32 - 1", n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(time[i]) || (event[i] != 0 && event[i] != 1))
            WH_FAIL(WHIST_E_RANGE, "row %zu: a time has to be finite and an event 0 or 1", i);
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc_raw(&memory, n, sizeof(survival)));
    survival *rows = memory;
    for (size_t i = 0; i < n; i++) rows[i] = (survival){time[i], event[i], (uint32_t)i, stratum ? stratum[i] : 0};
    qsort(rows, n, sizeof *rows, earlier_stratum_later_time);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && rows[to].time == rows[from].time && rows[to].stratum == rows[from].stratum;) to++;
        fill_tie(out, rows, from, to, efron);
    }
    return WHIST_OK;
}
