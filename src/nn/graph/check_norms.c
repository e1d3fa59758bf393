/* nn/graph/check_norms.c: cases of per-example norms: losses (B), whose squared norms stand against one backward pass
 * for each example. */
#include "nn/graph/check_cases.h"

/* ---- Per-example norms: losses (B) --------------------------------------------------------------------------------
 */

static wh_value batch(wh_check_setup *s, wh_dims dims)
{
    return wh_check_given(s, WH_EXAMPLES, dims, -1, 1);
}

static wh_value norms_mlp(wh_check_setup *s)
{
    wh_value x = batch(s, WH_DIMS(5, 4)), y = wh_check_indices(s, WH_EXAMPLES, WH_DIMS(5), 3);
    wh_value w1 = wh_check_learned(s, WH_DIMS(4, 6)), b1 = wh_check_learned(s, WH_DIMS(6)),
             w2 = wh_check_learned(s, WH_DIMS(3, 6));
    wh_value h = wh_graph_tanh(s->g, wh_graph_linear(s->g, x, w1, b1, WH_MATMUL_NN));
    return wh_graph_cross_entropy(s->g, wh_graph_linear(s->g, h, w2, wh_check_learned(s, WH_DIMS(3)), WH_MATMUL_NT), y);
}

/* Steps: few of many features by products of steps, many of few by the gradient. */
static wh_value norms_steps(wh_check_setup *s)
{
    size_t t = s->variant == 0 ? 2 : 9, d = s->variant == 0 ? 8 : 3;
    wh_value x = batch(s, WH_DIMS(3, t, d)), w = wh_check_learned(s, WH_DIMS(d, d)),
             gain = wh_check_positive(s, WH_DIMS(d));
    wh_value h = wh_graph_layer_norm(s->g, wh_graph_linear(s->g, x, w, wh_check_learned(s, WH_DIMS(d)), WH_MATMUL_NN),
                                     gain, wh_check_learned(s, WH_DIMS(d)), 1e-5);
    h = wh_graph_add(s->g, h, wh_check_learned(s, WH_DIMS(t, d)));
    h = wh_graph_gelu(s->g, wh_graph_matmul(s->g, h, w, WH_MATMUL_NN)); /* the same weight again */
    return wh_graph_sum(s->g, h, 6, false);
}

static wh_value norms_conv(wh_check_setup *s)
{
    static const wh_conv convs[] = {{1, 1, 1}, {2, 1, 2}, {2, 0, 1}, {3, 2, 1}, {1, 0, 2}};
    size_t size = s->variant == 2 ? 4 : 7;
    wh_value x = batch(s, WH_DIMS(3, 2, size, size));
    wh_conv conv = convs[s->variant];
    wh_value w = wh_check_learned(s, WH_DIMS(4, 2 / conv.groups, 3, 3));
    wh_value h = wh_graph_conv(s->g, x, w, wh_check_learned(s, WH_DIMS(4)), conv);
    h = wh_graph_group_norm(s->g, h, 2, wh_check_positive(s, WH_DIMS(4)), wh_check_learned(s, WH_DIMS(4)), 1e-5);
    h = wh_graph_tanh(s->g, h);
    return wh_graph_sum(s->g, h, 14, false);
}

/* So many examples that their gradients do not lie in a cache together: another rule takes over. */
static wh_value norms_conv_many(wh_check_setup *s)
{
    wh_value x = batch(s, WH_DIMS(460, 4, 3, 3)), w = wh_check_learned(s, WH_DIMS(8, 4, 3, 3));
    wh_value h = wh_graph_conv(s->g, x, w, WH_NO_VALUE, (wh_conv){1, 0, 1});
    return wh_graph_sum(s->g, wh_graph_tanh(s->g, h), 14, false);
}

static wh_value norms_tied(wh_check_setup *s)
{
    wh_value ids = wh_check_indices(s, WH_EXAMPLES, WH_DIMS(3, 4), 6),
             y = wh_check_indices(s, WH_EXAMPLES, WH_DIMS(3, 4), 6);
    wh_value table = wh_check_learned(s, WH_DIMS(6, 5)), h = wh_graph_gather(s->g, table, ids);
    if (s->variant > 0) h = wh_graph_attention(s->g, h, h, h, .4, true);
    h = wh_graph_tanh(s->g, wh_graph_linear(s->g, h, wh_check_learned(s, WH_DIMS(5, 5)), WH_NO_VALUE, WH_MATMUL_NT));
    wh_value logits = s->variant == 2
                          ? wh_graph_linear(s->g, h, wh_check_learned(s, WH_DIMS(6, 5)), WH_NO_VALUE, WH_MATMUL_NT)
                          : wh_graph_linear(s->g, h, table, WH_NO_VALUE, WH_MATMUL_NT);
    return wh_graph_mean(s->g, wh_graph_cross_entropy(s->g, logits, y), 2, false);
}

static wh_value norms_lstm(wh_check_setup *s)
{
    wh_value w = wh_check_learned(s, WH_DIMS(5, 8)), bias = wh_check_learned(s, WH_DIMS(8));
    wh_value h = wh_graph_fill(s->g, WH_DIMS(3, 2), 0), c = h;
    wh_value x = batch(s, WH_DIMS(3, 4, 3));
    for (size_t t = 0; t < 4; t++) {
        wh_value now = wh_graph_slice(s->g, x, (const size_t[]){0, t, 0}, WH_DIMS(3, 1, 3));
        h = wh_graph_lstm_cell(s->g, &c, wh_graph_reshape(s->g, now, WH_DIMS(3, 3)), h, c, w, bias, WH_MATMUL_NN);
    }
    return wh_graph_sum(s->g, wh_graph_square(s->g, h), 2, false);
}

/* Max-pool, batch norm by given statistics, average pool. */
static wh_value norms_pools(wh_check_setup *s)
{
    wh_value x = batch(s, WH_DIMS(2, 1, 6, 6)), w = wh_check_learned(s, WH_DIMS(3, 1, 3, 3));
    wh_value h = wh_graph_conv(s->g, x, w, WH_NO_VALUE, (wh_conv){1, 1, 1});
    wh_value mean = wh_check_given(s, WH_SHARED, WH_DIMS(3), -1, 1),
             var = wh_check_given(s, WH_SHARED, WH_DIMS(3), .5, 1);
    h = wh_graph_batch_norm_given(s->g, h, mean, var, wh_check_positive(s, WH_DIMS(3)), wh_check_learned(s, WH_DIMS(3)),
                                  1e-5);
    h = wh_graph_relu(s->g, wh_graph_max_pool(s->g, h, (wh_window){2, 2, 0}));
    h = wh_graph_reshape(s->g, wh_graph_avg_pool(s->g, h, (wh_window){2, 1, 0}), WH_DIMS(2, 12));
    wh_value y = wh_graph_linear(s->g, h, wh_check_learned(s, WH_DIMS(12, 1)), WH_NO_VALUE, WH_MATMUL_NN);
    wh_value target = batch(s, WH_DIMS(2, 1));
    return wh_graph_reshape(s->g, wh_graph_squared_error(s->g, y, target), WH_DIMS(2));
}

/* q, k and v of their own, two heads, learned positions, two norms: a transformer's block. */
static wh_value norms_block(wh_check_setup *s)
{
    enum { B = 3, T = 4, D = 4 };
    bool causal = s->variant == 1;
    wh_value x = wh_graph_add(s->g, batch(s, WH_DIMS(B, T, D)), wh_check_learned(s, WH_DIMS(T, D))), part[3];
    wh_value h = wh_graph_layer_norm(s->g, x, wh_check_positive(s, WH_DIMS(D)), wh_check_learned(s, WH_DIMS(D)), 1e-5);
    wh_value packed = wh_graph_linear(s->g, h, wh_check_learned(s, WH_DIMS(3 * D, D)),
                                      wh_check_learned(s, WH_DIMS(3 * D)), WH_MATMUL_NT);
    for (size_t i = 0; i < 3 && s->variant < 2; i++) {
        part[i] = wh_graph_slice(s->g, packed, (const size_t[]){0, 0, i * D}, WH_DIMS(B, T, D));
        part[i] = wh_graph_transpose(s->g, wh_graph_reshape(s->g, part[i], WH_DIMS(B, T, 2, D / 2)),
                                     (const unsigned[]){0, 2, 1, 3});
    }
    if (s->variant < 2)
        h = wh_graph_transpose(s->g, wh_graph_attention(s->g, part[0], part[1], part[2], .7, causal),
                               (const unsigned[]){0, 2, 1, 3});
    else
        h = wh_graph_self_attention(s->g, packed, 2, .7, true);
    x = wh_graph_add(s->g, x,
                     wh_graph_linear(s->g, wh_graph_reshape(s->g, h, WH_DIMS(B, T, D)),
                                     wh_check_learned(s, WH_DIMS(D, D)), WH_NO_VALUE, WH_MATMUL_NN));
    h = wh_graph_gelu(s->g, wh_graph_linear(s->g, x, wh_check_learned(s, WH_DIMS(D, 6)),
                                            wh_check_learned(s, WH_DIMS(6)), WH_MATMUL_NN));
    return wh_graph_sum(s->g, wh_graph_square(s->g, h), 6, false);
}

/* One weight there and back: as it is, and turned. */
static wh_value norms_autoencoder(wh_check_setup *s)
{
    wh_value x = batch(s, WH_DIMS(4, 5)), w = wh_check_learned(s, WH_DIMS(5, 3));
    wh_value h = wh_graph_tanh(s->g, wh_graph_linear(s->g, x, w, wh_check_learned(s, WH_DIMS(3)), WH_MATMUL_NN));
    wh_value y = wh_graph_linear(s->g, h, w, wh_check_learned(s, WH_DIMS(5)), WH_MATMUL_NT);
    return wh_graph_sum(s->g, wh_graph_squared_error(s->g, y, x), 2, false);
}

/* One number, a row, and one row for each step, each used twice; a parameter of another shape; one that is not used. */
static wh_value norms_elements(wh_check_setup *s)
{
    wh_value x = batch(s, WH_DIMS(3, 2, 4)), one = wh_check_learned(s, WH_DIMS(1)),
             row = wh_check_learned(s, WH_DIMS(4)), steps = wh_check_learned(s, WH_DIMS(2, 4)),
             flat = wh_check_learned(s, WH_DIMS(8));
    wh_check_learned(s, WH_DIMS(3));
    wh_value h = wh_graph_add(s->g, wh_graph_mul(s->g, x, row), steps);
    h = wh_graph_tanh(s->g, wh_graph_mul(s->g, wh_graph_add(s->g, h, one), one));
    h = wh_graph_mul(s->g, wh_graph_add(s->g, h, row), steps);
    h = wh_graph_mul(s->g, h, wh_graph_reshape(s->g, flat, WH_DIMS(2, 4)));
    return wh_graph_mean(s->g, wh_graph_exp(s->g, h), 6, false);
}

/* Group norm in groups of any size, dropout by example, a sigmoid's loss. */
static wh_value norms_groups(wh_check_setup *s)
{
    static const size_t groups[] = {1, 4};
    wh_value x = batch(s, WH_DIMS(3, 4, 2, 2)), seed = wh_check_indices(s, WH_SHARED, WH_DIMS(2), UINT32_MAX);
    wh_value h = wh_graph_conv(s->g, x, wh_check_learned(s, WH_DIMS(4, 1, 1, 1)), wh_check_learned(s, WH_DIMS(4)),
                               (wh_conv){1, 0, 4});
    h = wh_graph_group_norm(s->g, h, groups[s->variant], wh_check_positive(s, WH_DIMS(4)),
                            wh_check_learned(s, WH_DIMS(4)), 1e-5);
    h = wh_graph_dropout(s->g, wh_graph_relu(s->g, h), wh_graph_keep_mask(s->g, seed, 1, .3, WH_DIMS(3, 4, 2, 2)));
    h = wh_graph_linear(s->g, wh_graph_reshape(s->g, h, WH_DIMS(3, 16)), wh_check_learned(s, WH_DIMS(16, 1)),
                        wh_check_learned(s, WH_DIMS(1)), WH_MATMUL_NN);
    h = wh_graph_binary_cross_entropy(s->g, h, wh_graph_sigmoid(s->g, batch(s, WH_DIMS(3, 1))));
    return wh_graph_reshape(s->g, h, WH_DIMS(3));
}

/* ---- The table ---- */

const wh_check_case wh_check_norms[] = {
    {"norms.mlp", norms_mlp, 1},
    {"norms.steps", norms_steps, 2},
    {"norms.conv", norms_conv, 5},
    {"norms.conv_many", norms_conv_many, 1},
    {"norms.tied", norms_tied, 3},
    {"norms.lstm", norms_lstm, 1},
    {"norms.pools", norms_pools, 1},
    {"norms.block", norms_block, 3},
    {"norms.autoencoder", norms_autoencoder, 1},
    {"norms.elements", norms_elements, 1},
    {"norms.groups", norms_groups, 2},
    {NULL, NULL, 0},
};
