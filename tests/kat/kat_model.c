/* kat/kat_model.c: layer by layer. */
#include "kat/kat_model.h"

#include <math.h>
#include <string.h>

void kat_model_clear(kat_model *m)
{
    wh_graph_free(m->graph);
    wh_arena_clear(&m->memory);
}

kat_tensor *kat_model_param(kat_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_params; i++)
        if (strcmp(m->param[i].name, name) == 0) return &m->param[i];
    return NULL;
}

/* ---- Data -------------------------------------------------------------------------------------- */

/* The formula of the file: splitmix64 of seed · 1000003 + i. */
static double formula(uint64_t seed, uint64_t i)
{
    uint64_t x = seed * 1000003 + i + 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

static whist_status read_dims(wh_dims *out, const wh_json *shape)
{
    wh_dims dims = {.rank = (unsigned)json_array_size(shape)};
    if (!json_is_array(shape) || json_array_size(shape) > WH_GRAPH_RANK) WH_FAIL(WHIST_E_FORMAT, "a shape of up to 5");
    for (unsigned i = 0; i < dims.rank; i++) {
        json_int_t n = json_integer_value(json_array_get(shape, i));
        if (n <= 0 || n > 1 << 24) WH_FAIL(WHIST_E_FORMAT, "a shape with an axis of 1 to 2^24");
        dims.dim[i] = (size_t)n;
    }
    *out = dims;
    return WHIST_OK;
}

/* The shape of nested lists, all of one length on each level. */
static wh_dims list_dims(const wh_json *list)
{
    wh_dims dims = WH_SCALAR;
    for (; json_is_array(list) && dims.rank < WH_GRAPH_RANK; list = json_array_get(list, 0))
        dims.dim[dims.rank++] = json_array_size(list);
    return dims;
}

whist_status kat_tensor_read(kat_tensor *t, wh_arena *memory, const char *name, const wh_json *spec)
{
    t->name = name;
    if (json_is_array(spec))
        t->dims = list_dims(spec);
    else
        WH_TRY(read_dims(&t->dims, json_object_get(spec, "shape")));
    t->n = wh_dims_size(&t->dims);
    if (t->n > 1 << 26) WH_FAIL(WHIST_E_RANGE, "the tensor %s is too large", name);
    WH_TRY(WH_ARENA_NEW(&t->data, memory, t->n));
    if (json_is_array(spec)) {
        if (kat_flatten(t->data, t->n, spec) != t->n) WH_FAIL(WHIST_E_FORMAT, "the tensor %s is ragged", name);
        return WHIST_OK;
    }
    double scale = kat_number(spec, "scale", 1), shift = kat_number(spec, "shift", 0);
    for (size_t i = 0; i < t->n; i++) t->data[i] = scale * (2 * formula(kat_size(spec, "seed", 0), i) - 1) + shift;
    return WHIST_OK;
}

static whist_status read_params(kat_model *m, const wh_json *params)
{
    const char *key;
    wh_json *spec;
    json_object_foreach((wh_json *)(uintptr_t)params, key, spec)
    {
        kat_tensor *t = kat_model_param(m, key);
        if (!t) {
            if (m->n_params == KAT_MAX_PARAMS) WH_FAIL(WHIST_E_RANGE, "more than %d tensors", KAT_MAX_PARAMS);
            t = &m->param[m->n_params++];
        }
        WH_TRY(kat_tensor_read(t, &m->memory, key, spec));
        t->value = wh_graph_input(m->graph, key, WH_PARAM, t->dims);
    }
    return WHIST_OK;
}

whist_status kat_index_read(kat_index *out, wh_arena *memory, const char *name, const wh_json *list, uint64_t limit)
{
    out->dims = list_dims(list);
    size_t n = wh_dims_size(&out->dims);
    double *values, top = 0;
    WH_TRY(WH_ARENA_NEW(&values, memory, n));
    WH_TRY(WH_ARENA_NEW(&out->data, memory, n));
    if (!json_is_array(list) || kat_flatten(values, n, list) != n)
        WH_FAIL(WHIST_E_FORMAT, "the list %s is ragged", name);
    for (size_t i = 0; i < n; i++) {
        if (!(values[i] >= 0 && values[i] < (limit ? (double)limit : 0x1p32)))
            WH_FAIL(WHIST_E_RANGE, "%s: not below %llu", name, (unsigned long long)limit);
        out->data[i] = (uint32_t)values[i];
        top = fmax(top, values[i]);
    }
    out->limit = limit ? limit : (uint64_t)top + 1;
    return WHIST_OK;
}

static whist_status index_input(kat_index *out, kat_model *m, const char *name, const wh_json *list, size_t limit)
{
    WH_TRY(kat_index_read(out, &m->memory, name, list, limit));
    out->value = wh_graph_index(m->graph, name, WH_EXAMPLES, out->dims, limit);
    return WHIST_OK;
}

/* ---- Layers ---------------------------------------------------------------------------------------- */

/* What a layer's name stands for; WH_NO_VALUE for null. A name without a tensor makes the case unknown. */
static wh_value named(kat_model *m, const char *name)
{
    if (!*name) return WH_NO_VALUE;
    kat_tensor *t = kat_model_param(m, name);
    if (!t) m->unknown = true;
    return t ? t->value : WH_NO_VALUE;
}

static wh_value param(kat_model *m, const wh_json *layer, const char *key)
{
    return named(m, kat_text(layer, key));
}

static wh_value activation(kat_model *m, wh_value x, const char *fn)
{
    static const struct {
        const char *name;
        wh_value (*build)(wh_graph *graph, wh_value a);
    } all[] = {{"relu", wh_graph_relu},     {"tanh", wh_graph_tanh},           {"softplus", wh_graph_softplus},
               {"gelu_erf", wh_graph_gelu}, {"gelu_tanh", wh_graph_gelu_tanh}, {"sigmoid", wh_graph_sigmoid}};
    for (size_t i = 0; i < WH_COUNT(all); i++)
        if (strcmp(fn, all[i].name) == 0) return all[i].build(m->graph, x);
    m->unknown = true;
    return x;
}

static wh_value norm(kat_model *m, wh_value x, const wh_json *layer)
{
    const char *kind = kat_text(layer, "kind");
    wh_value gamma = param(m, layer, "gamma"), beta = param(m, layer, "beta");
    double eps = kat_number(layer, "eps", 1e-5);
    if (strcmp(kind, "batch_norm") == 0) return wh_graph_batch_norm(m->graph, x, gamma, beta, eps);
    if (strcmp(kind, "layer_norm") == 0) return wh_graph_layer_norm(m->graph, x, gamma, beta, eps);
    if (strcmp(kind, "group_norm") == 0)
        return wh_graph_group_norm(m->graph, x, kat_size(layer, "groups", 1), gamma, beta, eps);
    m->unknown = true;
    return x;
}

static wh_value conv(kat_model *m, wh_value x, const wh_json *layer)
{
    wh_conv how = {kat_size(layer, "stride", 1), kat_size(layer, "pad", 0), kat_size(layer, "groups", 1)};
    return wh_graph_conv(m->graph, x, param(m, layer, "weight"), param(m, layer, "bias"), how);
}

static wh_window window(const wh_json *layer)
{
    size_t kernel = kat_size(layer, "kernel", 2);
    return (wh_window){kernel, kat_size(layer, "stride", kernel), kat_size(layer, "pad", 0)};
}

static wh_value flatten(kat_model *m, wh_value x)
{
    wh_dims dims = wh_graph_dims(m->graph, x);
    if (dims.rank < 2) return x;
    return wh_graph_reshape(m->graph, x, WH_DIMS(dims.dim[0], wh_dims_size(&dims) / dims.dim[0]));
}

/* The first T rows of the learned positions. */
static wh_value positions(kat_model *m, wh_value x, const wh_json *layer)
{
    wh_value table = param(m, layer, "weight");
    wh_dims dims = wh_graph_dims(m->graph, x), rows = wh_graph_dims(m->graph, table);
    if (strcmp(kat_text(layer, "kind"), "learned") != 0 || dims.rank != 3 || rows.rank != 2) {
        m->unknown = true;
        return x;
    }
    rows.dim[0] = dims.dim[1];
    return wh_graph_add(m->graph, x, wh_graph_slice(m->graph, table, (const size_t[]){0, 0}, rows));
}

/* The i-th tensor of a part of a transformer block. */
static wh_value part(kat_model *m, const wh_json *layer, const char *key, size_t i)
{
    const wh_json *names = json_object_get(json_object_get(layer, "params"), key);
    const char *name = json_string_value(json_array_get(names, i));
    return name ? named(m, name) : WH_NO_VALUE;
}

static wh_value dense(kat_model *m, wh_value x, const wh_json *layer, const char *key)
{
    return wh_graph_linear(m->graph, x, part(m, layer, key, 0), part(m, layer, key, 1), WH_MATMUL_NT);
}

/* y = h Wᵀ + b + scale (h Aᵀ) Bᵀ; the tensors are named after the weight's: h0.qkv.w has h0.qkv.A and h0.qkv.B. */
static wh_value lora(kat_model *m, wh_value y, wh_value h, const wh_json *layer, const wh_json *how)
{
    const wh_json *names = json_object_get(json_object_get(layer, "params"), kat_text(how, "target"));
    const char *weight = json_string_value(json_array_get(names, 0));
    const char *dot = weight ? strrchr(weight, '.') : NULL;
    char a[128], b[128];
    if (!dot || dot - weight > 100) {
        m->unknown = true;
        return y;
    }
    snprintf(a, sizeof a, "%.*s.A", (int)(dot - weight), weight);
    snprintf(b, sizeof b, "%.*s.B", (int)(dot - weight), weight);
    wh_value low = wh_graph_linear(m->graph, h, named(m, a), WH_NO_VALUE, WH_MATMUL_NT);
    low = wh_graph_linear(m->graph, low, named(m, b), WH_NO_VALUE, WH_MATMUL_NT);
    return wh_graph_add(m->graph, y, wh_graph_scale(m->graph, low, kat_number(how, "scale", 1)));
}

static wh_value block_norm(kat_model *m, wh_value x, const wh_json *layer, const char *key)
{
    const wh_json *how = json_object_get(layer, "norm");
    if (strcmp(kat_text(how, "kind"), "layer_norm") != 0 || strcmp(kat_text(how, "placement"), "pre") != 0)
        m->unknown = true;
    return wh_graph_layer_norm(m->graph, x, part(m, layer, key, 0), part(m, layer, key, 1),
                               kat_number(how, "eps", 1e-5));
}

/* (B,T,3D) → the i-th of q, k, v as (B,H,T,D/H) */
static wh_value heads(kat_model *m, wh_value packed, size_t i, size_t d, size_t n_heads)
{
    wh_dims dims = wh_graph_dims(m->graph, packed);
    size_t b = dims.dim[0], t = dims.dim[1];
    wh_value one = wh_graph_slice(m->graph, packed, (const size_t[]){0, 0, i * d}, WH_DIMS(b, t, d));
    one = wh_graph_reshape(m->graph, one, WH_DIMS(b, t, n_heads, d / n_heads));
    return wh_graph_transpose(m->graph, one, (const unsigned[]){0, 2, 1, 3});
}

static wh_value block(kat_model *m, wh_value x, const wh_json *layer, const wh_json *adapter)
{
    wh_graph *g = m->graph;
    wh_dims dims = wh_graph_dims(g, x);
    size_t d = kat_size(layer, "d_model", 0), n_heads = kat_size(layer, "heads", 1);
    if (dims.rank != 3 || n_heads == 0 || d % n_heads != 0 || dims.dim[2] != d) {
        m->unknown = true;
        return x;
    }
    wh_value h = block_norm(m, x, layer, "ln1"), packed = dense(m, h, layer, "qkv");
    if (adapter && strcmp(kat_text(adapter, "target"), "qkv") == 0)
        packed = lora(m, packed, h, layer, adapter);
    else if (adapter)
        m->unknown = true;
    double scale = kat_number(layer, "score_scale", 1 / sqrt((double)(d / n_heads)));
    wh_value mixed =
        wh_graph_attention(g, heads(m, packed, 0, d, n_heads), heads(m, packed, 1, d, n_heads),
                           heads(m, packed, 2, d, n_heads), scale, json_is_true(json_object_get(layer, "causal")));
    mixed = wh_graph_reshape(g, wh_graph_transpose(g, mixed, (const unsigned[]){0, 2, 1, 3}), dims);
    x = wh_graph_add(g, x, dense(m, mixed, layer, "proj"));
    h = activation(m, dense(m, block_norm(m, x, layer, "ln2"), layer, "fc"), kat_text(layer, "activation"));
    return wh_graph_add(g, x, dense(m, h, layer, "fcproj"));
}

/* A weight that is given flat is (out,in) by the layer's word. */
static wh_value linear(kat_model *m, wh_value x, const wh_json *layer)
{
    wh_value w = param(m, layer, "weight");
    wh_dims flat = wh_graph_dims(m->graph, w), dims = WH_DIMS(kat_size(layer, "out", 0), kat_size(layer, "in", 0));
    if (flat.rank == 1 && wh_dims_size(&flat) == wh_dims_size(&dims)) w = wh_graph_reshape(m->graph, w, dims);
    return wh_graph_linear(m->graph, x, w, param(m, layer, "bias"), WH_MATMUL_NT);
}

static wh_value one_layer(kat_model *m, wh_value x, const wh_json *layer, const kat_case *c)
{
    const char *op = kat_text(layer, "op");
    if (strcmp(op, "linear") == 0) return linear(m, x, layer);
    if (strcmp(op, "activation") == 0) return activation(m, x, kat_text(layer, "fn"));
    if (strcmp(op, "conv2d") == 0) return conv(m, x, layer);
    if (strcmp(op, "norm") == 0) return norm(m, x, layer);
    if (strcmp(op, "max_pool2d") == 0) return wh_graph_max_pool(m->graph, x, window(layer));
    if (strcmp(op, "avg_pool2d") == 0) return wh_graph_avg_pool(m->graph, x, window(layer));
    if (strcmp(op, "flatten") == 0) return flatten(m, x);
    if (strcmp(op, "embedding") == 0) return wh_graph_gather(m->graph, param(m, layer, "weight"), m->ids.value);
    if (strcmp(op, "positions") == 0) return positions(m, x, layer);
    if (strcmp(op, "transformer_block") == 0) return block(m, x, layer, kat_field(c, "lora"));
    m->unknown = true;
    return x;
}

/* ---- Input, loss ------------------------------------------------------------------------------------------ */

static whist_status read_input(kat_model *m, const kat_case *c, const wh_json *layers)
{
    const wh_json *x = kat_field(c, "x"), *ids = kat_field(c, "ids");
    if (x) {
        WH_TRY(kat_tensor_read(&m->x, &m->memory, "x", x));
        m->x.value = wh_graph_input(m->graph, "x", WH_EXAMPLES, m->x.dims);
        m->examples = m->x.dims.rank ? m->x.dims.dim[0] : 0;
    } else if (ids) {
        WH_TRY(index_input(&m->ids, m, "ids", ids, kat_size(json_array_get(layers, 0), "vocab", 0)));
        m->examples = json_array_size(ids);
    }
    if (m->examples == 0) m->unknown = true;
    return WHIST_OK;
}

/* The mean over an example's tokens, where it has more than one. */
static wh_value token_mean(wh_graph *g, wh_value each)
{
    wh_dims dims = wh_graph_dims(g, each);
    return dims.rank > 1 ? wh_graph_mean(g, each, (1u << dims.rank) - 2, false) : each;
}

static whist_status cross_entropy(kat_model *m, const kat_case *c)
{
    const wh_json *target = kat_field(c, kat_field(c, "y") ? "y" : "targets");
    wh_dims dims = wh_graph_dims(m->graph, m->output);
    if (!target || dims.rank < 2) {
        m->unknown = true;
        return WHIST_OK;
    }
    WH_TRY(index_input(&m->target, m, "target", target, dims.dim[dims.rank - 1]));
    m->losses = token_mean(m->graph, wh_graph_cross_entropy(m->graph, m->output, m->target.value));
    m->loss = wh_graph_mean_all(m->graph, m->losses);
    return WHIST_OK;
}

static whist_status weighted_sum(kat_model *m, const kat_case *c, const wh_json *task)
{
    const wh_json *spec = kat_field(c, kat_text(task, "weights"));
    if (!spec) {
        m->unknown = true;
        return WHIST_OK;
    }
    WH_TRY(kat_tensor_read(&m->weights, &m->memory, "weights", spec));
    m->weights.value = wh_graph_input(m->graph, "weights", WH_EXAMPLES, m->weights.dims);
    wh_value each = wh_graph_mul(m->graph, m->output, m->weights.value);
    unsigned rank = wh_graph_dims(m->graph, each).rank;
    m->losses = rank ? wh_graph_sum(m->graph, each, (1u << rank) - 2, false) : each;
    m->loss = wh_graph_scale(m->graph, wh_graph_sum_all(m->graph, m->losses), kat_number(task, "loss_scale", 1));
    return WHIST_OK;
}

/* The object's field `key`, or that of its object `data`. */
static const wh_json *own_data(const wh_json *object, const char *key)
{
    const wh_json *found = json_object_get(object, key);
    return found ? found : json_object_get(json_object_get(object, "data"), key);
}

const wh_json *kat_data(const kat_case *c, const char *key)
{
    const wh_json *found = own_data(c->inner, key);
    return found || !c->outer ? found : own_data(c->outer, key);
}

/* Tensors that layers name and that stand among the data instead of the parameters. */
static whist_status read_named(kat_model *m, const kat_case *c)
{
    static const char *const keys[] = {"weight", "bias"};
    const wh_json *layers = json_object_get(kat_field(c, "arch"), "layers");
    for (size_t i = 0; i < json_array_size(layers); i++)
        for (size_t k = 0; k < WH_COUNT(keys); k++) {
            const char *name = json_string_value(json_object_get(json_array_get(layers, i), keys[k]));
            const wh_json *spec = name ? kat_data(c, name) : NULL;
            if (!spec || kat_model_param(m, name)) continue;
            wh_json *one = json_pack("{s:O}", name, (wh_json *)(uintptr_t)spec);
            whist_status status = one ? read_params(m, one) : WHIST_E_NOMEM;
            if (m->n_params > 0) m->param[m->n_params - 1].name = name;
            json_decref(one);
            WH_TRY(status);
        }
    return WHIST_OK;
}

whist_status kat_model_read(kat_model *m, const kat_case *c)
{
    WH_TRY(wh_graph_new(&m->graph, WH_F64));
    if (c->outer) WH_TRY(read_params(m, json_object_get(c->outer, "params")));
    WH_TRY(read_params(m, json_object_get(c->inner, "params")));
    WH_TRY(read_named(m, c));
    return wh_graph_status(m->graph);
}

static wh_value all_layers(kat_model *m, wh_value x, const kat_case *c)
{
    const wh_json *layers = json_object_get(kat_field(c, "arch"), "layers");
    if (json_array_size(layers) == 0) m->unknown = true;
    for (size_t i = 0; i < json_array_size(layers) && !m->unknown; i++)
        x = one_layer(m, x, json_array_get(layers, i), c);
    return x;
}

wh_value kat_model_layers(kat_model *m, wh_graph *graph, const wh_value params[], wh_value x, const kat_case *c)
{
    wh_graph *own = m->graph;
    m->graph = graph;
    for (size_t i = 0; i < m->n_params; i++) m->param[i].value = params[i];
    wh_value out = all_layers(m, x, c);
    m->graph = own;
    return out;
}

bool kat_tensors_close(kat_case *c, kat_model *m, const double *const got[], const wh_json *expected)
{
    const char *name;
    wh_json *list;
    bool good = json_is_object(expected);
    json_object_foreach((wh_json *)(uintptr_t)expected, name, list)
    {
        const kat_tensor *t = kat_model_param(m, name);
        const double *tensor = t ? got[t - m->param] : NULL;
        good = kat_close(c, name, tensor, tensor ? t->n : 0, list) && good;
    }
    return good;
}

whist_status kat_model_build(kat_model *m, const kat_case *c)
{
    const wh_json *arch = kat_field(c, "arch"), *task = kat_field(c, "task");
    WH_TRY(kat_model_read(m, c));
    WH_TRY(read_input(m, c, json_object_get(arch, "layers")));
    if (!m->unknown) m->output = all_layers(m, m->x.value, c);
    if (m->unknown) return WHIST_OK;
    WH_TRY(wh_graph_status(m->graph));
    if (strcmp(kat_text(task, "loss"), "cross_entropy") == 0) return cross_entropy(m, c);
    if (strcmp(kat_text(task, "loss"), "weighted_sum") == 0) return weighted_sum(m, c, task);
    m->unknown = true;
    return WHIST_OK;
}
