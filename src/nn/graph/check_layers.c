/* nn/graph/check_layers.c: cases of the derivative check: images, norms, losses, larger pieces. */
#include "nn/graph/check_cases.h"

static wh_dims any_dims(const wh_check_setup *s)
{
    return s->variant == 0 ? WH_DIMS(7) : WH_DIMS(3, 5);
}

/* ---- Images ------------------------------------------------------------------------------------------------ */

static wh_value case_conv(wh_check_setup *s)
{
    static const wh_conv convs[] = {{1, 1, 1}, {2, 0, 1}, {2, 1, 2}, {3, 2, 4}};
    wh_conv conv = convs[s->variant];
    wh_value x = wh_check_learned(s, WH_DIMS(2, 4, 4, 5)), w = wh_check_learned(s, WH_DIMS(4, 4 / conv.groups, 3, 2));
    return wh_graph_conv(s->g, x, w, wh_check_learned(s, WH_DIMS(4)), conv);
}

/* One pixel at a time, and a frame of padding wider than the image. */
static wh_value case_conv_edges(wh_check_setup *s)
{
    bool point = s->variant == 0;
    wh_value x = wh_check_learned(s, point ? WH_DIMS(2, 3, 2, 3) : WH_DIMS(1, 2, 2, 1));
    wh_value w = wh_check_learned(s, point ? WH_DIMS(2, 3, 1, 1) : WH_DIMS(3, 2, 3, 3));
    return wh_graph_conv(s->g, x, w, WH_NO_VALUE, point ? (wh_conv){1, 0, 1} : (wh_conv){2, 2, 1});
}

/* Images of one column or one row: their layouts look alike and are not. */
static wh_value case_thin_images(wh_check_setup *s)
{
    wh_dims dims = s->variant == 0 ? WH_DIMS(2, 2, 3, 1) : WH_DIMS(2, 2, 1, 3);
    wh_value x = wh_check_learned(s, dims), y = wh_check_learned(s, dims);
    wh_value h = wh_graph_conv(s->g, wh_graph_sub(s->g, wh_graph_exp(s->g, x), y),
                               wh_check_learned(s, WH_DIMS(2, 2, 1, 1)), WH_NO_VALUE, (wh_conv){1, 0, 1});
    h = wh_graph_avg_pool(s->g, wh_graph_tanh(s->g, wh_graph_neg(s->g, h)), (wh_window){1, 1, 0});
    return wh_graph_sub(s->g, y, wh_graph_mul(s->g, h, x));
}

static const wh_window windows[] = {{2, 2, 0}, {3, 2, 1}, {3, 1, 0}};

static wh_value case_max_pool(wh_check_setup *s)
{
    return wh_graph_max_pool(s->g, wh_check_learned(s, WH_DIMS(2, 2, 5, 4)), windows[s->variant]);
}

static wh_value case_avg_pool(wh_check_setup *s)
{
    return wh_graph_avg_pool(s->g, wh_check_learned(s, WH_DIMS(2, 2, 5, 4)), windows[s->variant]);
}

/* ---- Norms, softmax, losses ------------------------------------------------------------------------------------ */

static wh_value case_normalize(wh_check_setup *s)
{
    return wh_graph_normalize(s->g, wh_check_learned(s, s->variant == 0 ? WH_DIMS(5) : WH_DIMS(2, 3, 4)), 1e-3);
}

static wh_value case_layer_norm(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(2, 2, 4));
    return wh_graph_layer_norm(s->g, x, wh_check_positive(s, WH_DIMS(4)), wh_check_learned(s, WH_DIMS(4)), 1e-5);
}

static wh_value case_group_norm(wh_check_setup *s)
{
    static const size_t groups[] = {1, 2, 4};
    wh_value x = wh_check_learned(s, WH_DIMS(2, 4, 2, 3));
    return wh_graph_group_norm(s->g, x, groups[s->variant], wh_check_positive(s, WH_DIMS(4)),
                               wh_check_learned(s, WH_DIMS(4)), 1e-5);
}

static wh_value case_batch_norm(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, s->variant == 0 ? WH_DIMS(5, 3) : WH_DIMS(2, 3, 2, 2));
    return wh_graph_batch_norm(s->g, x, wh_check_positive(s, WH_DIMS(3)), wh_check_learned(s, WH_DIMS(3)), 1e-5);
}

static wh_value case_batch_norm_given(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(2, 3, 2, 2)), mean = wh_check_learned(s, WH_DIMS(3)),
             var = wh_check_positive(s, WH_DIMS(3));
    return wh_graph_batch_norm_given(s->g, x, mean, var, wh_check_positive(s, WH_DIMS(3)),
                                     wh_check_learned(s, WH_DIMS(3)), 1e-5);
}

static wh_value case_softmax(wh_check_setup *s)
{
    return wh_graph_softmax(s->g, wh_check_learned(s, s->variant == 2 ? WH_DIMS(3, 3) : WH_DIMS(2, 3, 4)),
                            s->variant > 0);
}

static wh_value case_log_softmax(wh_check_setup *s)
{
    return wh_graph_log_softmax(s->g, wh_check_learned(s, WH_DIMS(3, 4)));
}

static wh_value case_cross_entropy(wh_check_setup *s)
{
    wh_dims rows = s->variant == 0 ? WH_DIMS(3) : WH_DIMS(2, 3), logits = rows;
    logits.dim[logits.rank++] = 4;
    return wh_graph_cross_entropy(s->g, wh_check_learned(s, logits), wh_check_indices(s, WH_SHARED, rows, 4));
}

static wh_value case_binary_cross_entropy(wh_check_setup *s)
{
    return wh_graph_binary_cross_entropy(s->g, wh_check_learned(s, any_dims(s)), wh_check_learned(s, any_dims(s)));
}

static wh_value case_squared_error(wh_check_setup *s)
{
    return wh_graph_squared_error(s->g, wh_check_learned(s, any_dims(s)), wh_check_learned(s, any_dims(s)));
}

static wh_value cox_input(wh_check_setup *s, const void *data, size_t n, uint32_t limit)
{
    s->data[s->n_data++] = data;
    return limit ? wh_graph_index(s->g, "rows", WH_SHARED, WH_DIMS(n), limit)
                 : wh_graph_input(s->g, "rows", WH_SHARED, WH_DIMS(n));
}

/* Nine rows with ties and two strata. */
static wh_value case_cox(wh_check_setup *s)
{
    enum { N = 9 };
    static const double time[N] = {3, 1, 2, 2, 5, 2, 3, 1, 4}, event[N] = {1, 1, 1, 1, 0, 1, 0, 1, 1};
    static const uint32_t stratum[N] = {0, 0, 1, 1, 0, 1, 0, 0, 1};
    uint32_t *index = NULL;
    double *number = NULL;
    if (WH_ARENA_NEW(&index, &s->memory, 4 * N) != WHIST_OK || WH_ARENA_NEW(&number, &s->memory, 2 * N) != WHIST_OK) {
        s->failed = WHIST_E_NOMEM;
        return WH_NO_VALUE;
    }
    wh_cox_rows rows = {index, index + N, index + 2 * N, index + 3 * N, number, number + N};
    s->failed = wh_graph_cox_rows(&rows, time, event, s->variant == 2 ? stratum : NULL, N, s->variant > 0);
    wh_value scores = wh_check_learned(s, WH_DIMS(N));
    wh_cox cox = {.order = cox_input(s, rows.order, N, N), .end = cox_input(s, rows.end, N, N)};
    cox.stratum = cox_input(s, rows.stratum, N, 2);
    cox.tie = cox_input(s, rows.tie, N, N);
    cox.event = cox_input(s, rows.event, N, 0);
    cox.fraction = cox_input(s, rows.fraction, N, 0);
    return wh_graph_cox(s->g, scores, &cox);
}

/* ---- Larger pieces --------------------------------------------------------------------------------------------- */

static wh_value case_attention(wh_check_setup *s)
{
    wh_value q = wh_check_learned(s, WH_DIMS(2, 3, 2)), k = wh_check_learned(s, WH_DIMS(2, 4, 2)),
             v = wh_check_learned(s, WH_DIMS(2, 4, 3));
    return wh_graph_attention(s->g, q, k, v, .7, s->variant == 1);
}

static wh_value case_self_attention(wh_check_setup *s)
{
    wh_value qkv = wh_check_learned(s, WH_DIMS(2, 3, 12));
    return wh_graph_self_attention(s->g, qkv, s->variant == 1 ? 1 : 2, .7, s->variant == 2);
}

static wh_value case_lstm_cell(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(2, 3)), h = wh_check_learned(s, WH_DIMS(2, 2)),
             c = wh_check_learned(s, WH_DIMS(2, 2));
    bool turned = s->variant == 1;
    wh_value w = wh_check_learned(s, turned ? WH_DIMS(8, 5) : WH_DIMS(5, 8)), next;
    wh_value out = wh_graph_lstm_cell(s->g, &next, x, h, c, w, wh_check_learned(s, WH_DIMS(8)),
                                      turned ? WH_MATMUL_NT : WH_MATMUL_NN);
    return wh_graph_add(s->g, out, next);
}

static wh_value case_dropout(wh_check_setup *s)
{
    wh_value seed = wh_check_indices(s, WH_SHARED, WH_DIMS(2), UINT32_MAX);
    wh_value mask = wh_graph_keep_mask(s->g, seed, 3, .4, WH_DIMS(3, 5));
    return wh_graph_dropout(s->g, wh_graph_exp(s->g, wh_check_learned(s, WH_DIMS(3, 5))), mask);
}

/* A value that several branches use, one of them through a view. */
static wh_value case_branches(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(3, 4)), e = wh_graph_exp(s->g, x);
    wh_value turned = wh_graph_transpose(s->g, e, (const unsigned[]){1, 0});
    wh_value square = wh_graph_matmul(s->g, e, turned, WH_MATMUL_NN);
    return wh_graph_mul(s->g, square, wh_graph_sum(s->g, wh_graph_mul(s->g, e, x), 2, true));
}

/* ---- Networks ------------------------------------------------------------------------------------------- */

/* Two steps of one cell, whose weights get the sum of both. */
static wh_value case_lstm_steps(wh_check_setup *s)
{
    wh_value w = wh_check_learned(s, WH_DIMS(4, 8)), bias = wh_check_learned(s, WH_DIMS(8));
    wh_value h = wh_graph_fill(s->g, WH_DIMS(2, 2), 0), c = h;
    for (size_t t = 0; t < 2; t++)
        h = wh_graph_lstm_cell(s->g, &c, wh_check_learned(s, WH_DIMS(2, 2)), h, c, w, bias, WH_MATMUL_NN);
    return h;
}

/* Convolution, batch norm by batch or given statistics, ReLU, pool, dense: the few-shot network. */
static wh_value case_conv_net(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(3, 1, 4, 4)), gamma = wh_check_positive(s, WH_DIMS(2)),
             beta = wh_check_learned(s, WH_DIMS(2));
    wh_value h = wh_graph_conv(s->g, x, wh_check_learned(s, WH_DIMS(2, 1, 3, 3)), wh_check_learned(s, WH_DIMS(2)),
                               (wh_conv){1, 1, 1});
    h = s->variant == 0 ? wh_graph_batch_norm(s->g, h, gamma, beta, 1e-3)
                        : wh_graph_batch_norm_given(s->g, h, wh_check_learned(s, WH_DIMS(2)),
                                                    wh_check_positive(s, WH_DIMS(2)), gamma, beta, 1e-3);
    h = wh_graph_max_pool(s->g, wh_graph_softplus(s->g, h), (wh_window){2, 2, 0});
    h = wh_graph_linear(s->g, wh_graph_reshape(s->g, h, WH_DIMS(3, 8)), wh_check_learned(s, WH_DIMS(3, 8)),
                        wh_check_learned(s, WH_DIMS(3)), WH_MATMUL_NT);
    return wh_graph_cross_entropy(s->g, h, wh_check_indices(s, WH_SHARED, WH_DIMS(3), 3));
}

/* (B,T,2) as (B,2,T,1): two heads */
static wh_value two_heads(wh_check_setup *s, wh_value x)
{
    wh_dims dims = wh_graph_dims(s->g, x);
    x = wh_graph_reshape(s->g, x, WH_DIMS(dims.dim[0], dims.dim[1], 2, dims.dim[2] / 2));
    return wh_graph_transpose(s->g, x, (const unsigned[]){0, 2, 1, 3});
}

/* Tied embedding, a block of two heads, loss by token. */
static wh_value case_gpt(wh_check_setup *s)
{
    wh_value table = wh_check_learned(s, WH_DIMS(4, 2));
    wh_value x = wh_graph_gather(s->g, table, wh_check_indices(s, WH_SHARED, WH_DIMS(2, 3), 4));
    x = wh_graph_add(s->g, x, wh_check_learned(s, WH_DIMS(3, 2)));
    wh_value h = wh_graph_layer_norm(s->g, x, wh_check_positive(s, WH_DIMS(2)), wh_check_learned(s, WH_DIMS(2)), 1e-1),
             p[3];
    for (size_t i = 0; i < 3; i++)
        p[i] = two_heads(s, wh_graph_matmul(s->g, h, wh_check_learned(s, WH_DIMS(2, 2)), WH_MATMUL_NT));
    h = wh_graph_transpose(s->g, wh_graph_attention(s->g, p[0], p[1], p[2], .7, true), (const unsigned[]){0, 2, 1, 3});
    x = wh_graph_add(s->g, x, wh_graph_reshape(s->g, h, WH_DIMS(2, 3, 2)));
    x = wh_graph_gelu_tanh(s->g,
                           wh_graph_linear(s->g, x, wh_check_learned(s, WH_DIMS(2, 2)), WH_NO_VALUE, WH_MATMUL_NN));
    wh_value logits = wh_graph_matmul(s->g, x, table, WH_MATMUL_NT);
    return wh_graph_cross_entropy(s->g, logits, wh_check_indices(s, WH_SHARED, WH_DIMS(2, 3), 4));
}

/* Fused operations whose arguments are views, which the builders of their parts see through. */
static wh_value case_views(wh_check_setup *s)
{
    wh_value x = wh_check_learned(s, WH_DIMS(2, 3, 4)), w = wh_check_learned(s, WH_DIMS(2, 3));
    wh_value turned = wh_graph_transpose(s->g, x, (const unsigned[]){0, 2, 1}), y;
    if (s->variant == 0)
        y = wh_graph_cross_entropy(s->g, turned, wh_check_indices(s, WH_SHARED, WH_DIMS(2, 4), 3));
    else if (s->variant == 1)
        y = wh_graph_sum(s->g, wh_graph_mul(s->g, wh_graph_softmax(s->g, wh_graph_neg(s->g, turned), false), turned), 4,
                         false);
    else
        y = wh_graph_sum(s->g, wh_graph_exp(s->g, wh_graph_normalize(s->g, turned, 1e-2)), 4, false);
    y = wh_graph_reshape(s->g, wh_graph_reshape(s->g, y, WH_DIMS(8)), WH_DIMS(4, 2));
    return wh_graph_tanh(s->g, wh_graph_neg(s->g, wh_graph_matmul(s->g, wh_graph_neg(s->g, y), w, WH_MATMUL_NN)));
}

/* ---- The table ---- */

const wh_check_case wh_check_layers[] = {
    {"conv", case_conv, 4},
    {"max_pool", case_max_pool, 3},
    {"avg_pool", case_avg_pool, 3},
    {"normalize", case_normalize, 2},
    {"layer_norm", case_layer_norm, 1},
    {"group_norm", case_group_norm, 3},
    {"batch_norm", case_batch_norm, 2},
    {"batch_norm_given", case_batch_norm_given, 1},
    {"softmax", case_softmax, 3},
    {"log_softmax", case_log_softmax, 1},
    {"cross_entropy", case_cross_entropy, 2},
    {"binary_cross_entropy", case_binary_cross_entropy, 2},
    {"squared_error", case_squared_error, 2},
    {"cox", case_cox, 3},
    {"attention", case_attention, 2},
    {"lstm_cell", case_lstm_cell, 2},
    {"dropout", case_dropout, 1},
    {"branches", case_branches, 1},
    {"conv_edges", case_conv_edges, 2},
    {"thin_images", case_thin_images, 2},
    {"lstm_steps", case_lstm_steps, 1},
    {"conv_net", case_conv_net, 2},
    {"gpt", case_gpt, 1},
    {"views", case_views, 3},
    {"self_attention", case_self_attention, 3},
    {NULL, NULL, 0},
};
