/* nn/graph/program.c: from a graph to steps.
 *
 * Elementwise nodes whose every reader is in one chain join that chain; constants and repetitions along axes are read
 * by chains without ever lying in memory; views share their argument's bytes. A product that one chain alone reads is
 * computed by that chain's step, block by block; a chain that one sum alone reads is computed by that sum's. What is
 * left becomes a step each, in the order of the graph. */
#include <string.h>

#include "nn/graph/program_parts.h"

/* The chains that read a value, each by its last node. */
enum { MOST_CHAINS = 4 };
typedef struct readers {
    wh_value chain[MOST_CHAINS];
    unsigned n;  /* at most one more than are kept */
    bool others; /* somebody who is no chain reads it, too */
} readers;

/* What is known of a node while the program is made. */
typedef struct mark {
    readers in;      /* elementwise: the chains it belongs to: one, or each that reads it (repeated) */
    readers readers; /* so far */
    uint32_t place;  /* of the bytes */
    uint8_t n_ops;   /* of the chain that ends here */
    uint8_t n_operands;
    wh_value operand[WH_CHAIN_ARGS]; /* what it reads from outside so far */
    wh_value only;                   /* the chain that alone reads these bytes, itself or through views; or CONFLICT */
    wh_value product;                /* the chain that ends here: the product its step computes first */
    wh_value sum;                    /* the sum that alone reads this; or CONFLICT */
    bool needed, is_output;
} mark;
enum { CONFLICT = UINT32_MAX };

typedef struct build {
    const wh_graph *graph;
    wh_program *program;
    mark *marks;
    bool fuse, keep;
} build;

WH_AUTO_FREE(mark, wh_free)

static bool is_element(const wh_node *node)
{
    return node->op->element != WH_ELEMENT_NONE;
}

static bool is_input(const wh_node *node)
{
    return node->op == &wh_op_input || node->op == &wh_op_index;
}

/* Read by chains alone, and never laid out. */
static bool is_virtual(const build *b, wh_value v)
{
    const wh_op *op = wh_node_at(b->graph, v)->op;
    const mark *m = &b->marks[v];
    return b->fuse && (op == &wh_op_fill || op == &wh_op_broadcast) && !m->readers.others && !m->is_output;
}

/* ---- Which nodes, which chains ------------------------------------------------------------------ */

/* The operands of `end` without v and with v's arguments, into out; false where they do not fit. */
static bool operands_with(mark *out, const mark *end, const wh_node *node, wh_value v)
{
    out->n_operands = 0;
    for (unsigned i = 0; i < end->n_operands; i++)
        if (end->operand[i] != v) out->operand[out->n_operands++] = end->operand[i];
    for (unsigned i = 0; i < node->n_args; i++) {
        unsigned k = 0;
        while (k < out->n_operands && out->operand[k] != node->arg[i]) k++;
        if (k < out->n_operands) continue;
        if (k == WH_CHAIN_ARGS) return false;
        out->operand[out->n_operands++] = node->arg[i];
    }
    return true;
}

/* Does computing it anew for every chain that reads it cost no more than reading it? One operation of one array and
 * of what never lies in memory. */
static bool is_cheap(const build *b, const wh_node *node)
{
    unsigned arrays = 0;
    for (unsigned i = 0; i < node->n_args; i++) arrays += !is_virtual(b, node->arg[i]);
    switch (node->op->element) {
    case WH_ELEMENT_ADD:
    case WH_ELEMENT_SUB:
    case WH_ELEMENT_MUL:
    case WH_ELEMENT_STANDARDIZE:
    case WH_ELEMENT_NEG: return arrays <= 1;
    default: return false;
    }
}

static bool fits_chain(const build *b, const wh_node *node, wh_value v, wh_value end)
{
    mark with;
    return b->marks[end].n_ops < WH_CHAIN_OPS && operands_with(&with, &b->marks[end], node, v);
}

static void add_to_chain(build *b, const wh_node *node, wh_value v, wh_value chain)
{
    mark with, *end = &b->marks[chain];
    (void)operands_with(&with, end, node, v);
    end->n_ops++;
    end->n_operands = with.n_operands;
    memcpy(end->operand, with.operand, sizeof with.operand);
}

/* Into the chain that alone reads it, or if it is cheap into each; else it ends a chain of its own. */
static void join_chain(build *b, wh_value v)
{
    const wh_node *node = wh_node_at(b->graph, v);
    const mark nothing = {.n_operands = 0};
    mark *m = &b->marks[v];
    bool joins = b->fuse && !m->readers.others && !m->is_output && m->readers.n > 0;
    joins = joins && (m->readers.n == 1 || (m->readers.n <= MOST_CHAINS && is_cheap(b, node)));
    for (unsigned i = 0; joins && i < m->readers.n; i++) joins = fits_chain(b, node, v, m->readers.chain[i]);
    if (joins) {
        for (unsigned i = 0; i < m->readers.n; i++) add_to_chain(b, node, v, m->readers.chain[i]);
        m->in = m->readers;
        return;
    }
    m->in = (readers){.chain = {v}, .n = 1};
    m->n_ops = 1;
    (void)operands_with(m, &nothing, node, v); /* three at most: they fit */
}

static bool is_in_chain(const build *b, wh_value v, wh_value chain)
{
    const readers *in = &b->marks[v].in;
    for (unsigned i = 0; i < in->n; i++)
        if (in->chain[i] == chain) return true;
    return false;
}

static void tell_chain(readers *r, wh_value chain)
{
    for (unsigned i = 0; i < r->n; i++)
        if (i == MOST_CHAINS || r->chain[i] == chain) return;
    if (r->n < MOST_CHAINS) r->chain[r->n] = chain;
    r->n++;
}

static void tell_argument(build *b, wh_value v, wh_value arg)
{
    const mark *reader = &b->marks[v];
    mark *m = &b->marks[arg];
    m->needed = true;
    if (!is_element(wh_node_at(b->graph, v))) m->readers.others = true;
    for (unsigned i = 0; i < reader->in.n; i++) tell_chain(&m->readers, reader->in.chain[i]);
}

/* Keeps account of the one sum that reads arg; before `needed` is set. */
static void tell_sum(build *b, wh_value v, wh_value arg)
{
    mark *m = &b->marks[arg];
    m->sum = !m->needed && wh_node_at(b->graph, v)->op == &wh_op_sum ? v : CONFLICT;
}

/* Does the sum that alone reads the chain that ends at v compute it? */
static bool is_summed(const build *b, wh_value v)
{
    const mark *m = &b->marks[v];
    if (!b->fuse || m->sum == WH_NO_VALUE || m->sum == CONFLICT) return false;
    const wh_node *node = wh_node_at(b->graph, v);
    return is_element(node) && wh_graph_sums_chain(&node->dims, wh_node_at(b->graph, m->sum)->attr.whole[0]);
}

/* Keeps account of the one chain that reads arg's bytes. */
static void tell_only(build *b, wh_value v, wh_value arg)
{
    bool is_view = wh_node_at(b->graph, v)->op->flags & WH_OP_VIEW;
    wh_value reader = is_view ? b->marks[v].only : CONFLICT;
    if (is_element(wh_node_at(b->graph, v))) reader = b->marks[v].in.n == 1 ? b->marks[v].in.chain[0] : CONFLICT;
    mark *m = &b->marks[arg];
    m->only = m->only == WH_NO_VALUE || m->only == reader ? reader : CONFLICT;
}

/* May the chain that alone reads the product v compute it? Its rows have to be many enough to be cut by rows alone, and
 * a block of them short enough to stay in the second cache. */
static void join_product(build *b, wh_value v)
{
    enum { LEAST_ROWS = 512, MOST_COLUMNS = 2048 };
    const mark *m = &b->marks[v];
    const wh_dims *dims = &wh_node_at(b->graph, v)->dims;
    if (!b->fuse || wh_node_at(b->graph, v)->op != &wh_op_matmul || m->is_output) return;
    if (m->only == WH_NO_VALUE || m->only == CONFLICT || b->marks[m->only].product != WH_NO_VALUE) return;
    if (is_summed(b, m->only)) return;
    size_t columns = wh_dims_last(dims), rows = wh_dims_size(dims) / columns;
    if (rows >= LEAST_ROWS && columns <= MOST_COLUMNS) b->marks[m->only].product = v;
}

static void choose(build *b)
{
    for (wh_value v = (wh_value)wh_graph_size(b->graph); v > 0; v--) {
        const wh_node *node = wh_node_at(b->graph, v);
        if (!b->marks[v].needed) continue;
        if (is_element(node)) join_chain(b, v);
        join_product(b, v);
        for (unsigned i = 0; i < node->n_args; i++) {
            tell_sum(b, v, node->arg[i]);
            tell_argument(b, v, node->arg[i]);
            tell_only(b, v, node->arg[i]);
        }
    }
}

/* ---- Places ----------------------------------------------------------------------------------------- */

static size_t bytes_of(const build *b, wh_value v)
{
    const wh_node *node = wh_node_at(b->graph, v);
    size_t each = node->kind == WH_KIND_INDEX ? sizeof(uint32_t) : wh_real_size(b->graph->real);
    return wh_dims_size(&node->dims) * each;
}

static uint32_t new_place(build *b, wh_value v, wh_place_kind kind)
{
    wh_program *p = b->program;
    p->places[p->n_places] = (wh_place){.kind = kind, .value = v, .bytes = bytes_of(b, v)};
    return (uint32_t)p->n_places++;
}

/* The node whose bytes v's are. */
static wh_value base_of(const wh_graph *g, wh_value v)
{
    while (wh_node_at(g, v)->op->flags & WH_OP_VIEW) v = wh_node_at(g, v)->arg[0];
    return v;
}

static whist_status place_input(build *b, wh_value v)
{
    wh_program *p = b->program;
    const wh_node *node = wh_node_at(b->graph, v);
    uint32_t place = new_place(b, v, WH_PLACE_INPUT);
    char *name;
    WH_TRY(wh_arena_strdup(&name, &p->memory, node->name));
    p->input_name[place] = name;
    p->input_place[v] = place;
    p->places[place].kept = b->keep && node->role == WH_PARAM;
    b->marks[v].place = place;
    if (node->kind == WH_KIND_INDEX)
        p->checks[p->n_checks++] = (wh_index_check){place, wh_dims_size(&node->dims), node->attr.whole[0], name};
    return WHIST_OK;
}

/* ---- Steps ---------------------------------------------------------------------------------------------- */

static whist_status step_args(wh_step *step, wh_program *p, unsigned n)
{
    step->n_args = n;
    step->first_arg = p->n_args;
    p->n_args += n;
    WH_TRY(WH_ARENA_NEW(&step->arg_dims, &p->memory, n ? n : 1));
    return WH_ARENA_NEW(&step->arg_place, &p->memory, n ? n : 1);
}

/* How a chain of shape out reads an argument of shape in, repeated to it. */
static wh_operand repeated(const wh_dims *in, const wh_dims *out)
{
    wh_operand operand = {.kind = WH_OPERAND_STRIDED};
    size_t step[WH_GRAPH_RANK] = {0}, total = 1;
    unsigned lead = out->rank - in->rank;
    for (unsigned k = in->rank; k-- > 0; total *= in->dim[k]) step[k + lead] = in->dim[k] == 1 ? 0 : total;
    for (unsigned k = 0; k < out->rank; k++) {
        if (out->dim[k] == 1) continue;
        unsigned r = operand.rank;
        /* Joined with the axis before where one step there is a whole run here. */
        if (r > 0 && operand.stride[r - 1] == step[k] * out->dim[k]) {
            operand.size[r - 1] *= out->dim[k];
            operand.stride[r - 1] = step[k];
            continue;
        }
        operand.size[r] = out->dim[k];
        operand.stride[r] = step[k];
        operand.rank++;
    }
    if (wh_dims_size(in) == 1) operand.kind = WH_OPERAND_ONE;
    return operand;
}

static void describe_operand(const build *b, wh_operand *operand, wh_value *reads, wh_value v)
{
    const wh_graph *g = b->graph;
    const wh_node *node = wh_node_at(g, v);
    *reads = v;
    *operand = (wh_operand){.kind = wh_dims_size(&node->dims) == 1 ? WH_OPERAND_ONE : WH_OPERAND_ARRAY};
    if (!is_virtual(b, v)) return;
    if (node->op == &wh_op_fill) {
        *operand = (wh_operand){.kind = WH_OPERAND_FILL, .number = node->attr.real[0]};
        *reads = WH_NO_VALUE;
    } else {
        *operand = repeated(&wh_node_at(g, node->arg[0])->dims, &node->dims);
        *reads = node->arg[0];
    }
}

/* While a chain is written down. */
typedef struct chain_build {
    wh_value operand[WH_CHAIN_ARGS], op[WH_CHAIN_OPS];
    unsigned n_operands, n_ops;
} chain_build;

static void collect_operands(const build *b, chain_build *c, wh_value v, wh_value end)
{
    const wh_node *node = wh_node_at(b->graph, v);
    for (unsigned i = 0; i < node->n_args; i++) {
        wh_value arg = node->arg[i];
        if (is_in_chain(b, arg, end)) continue;
        unsigned k = 0;
        while (k < c->n_operands && c->operand[k] != arg) k++;
        if (k == c->n_operands) c->operand[c->n_operands++] = arg;
    }
}

/* Block buffers: one is free again after the last operation that reads it. */
static void assign_slots(wh_chain *chain)
{
    unsigned last[WH_CHAIN_OPS] = {0};
    bool busy[WH_CHAIN_OPS] = {false};
    for (unsigned k = 0; k < chain->n_ops; k++)
        for (unsigned i = 0; i < 3; i++)
            if (chain->op[k].source[i] >= chain->n_operands) last[chain->op[k].source[i] - chain->n_operands] = k;
    for (unsigned k = 0; k < chain->n_ops; k++) {
        uint8_t slot = 0;
        while (busy[slot]) slot++;
        chain->op[k].slot = slot;
        busy[slot] = true;
        if (slot + 1u > chain->n_slots) chain->n_slots = slot + 1u;
        for (unsigned i = 0; i < k; i++)
            if (last[i] == k) busy[chain->op[i].slot] = false;
    }
}

static void write_ops(const build *b, wh_chain *chain, const chain_build *c)
{
    for (unsigned k = 0; k < c->n_ops; k++) {
        const wh_node *node = wh_node_at(b->graph, c->op[k]);
        chain->op[k].element = node->op->element;
        chain->op[k].number = node->attr.real[0];
        for (unsigned i = 0; i < 3; i++) {
            wh_value arg = node->arg[i < node->n_args ? i : 0];
            unsigned at = 0;
            while (at < c->n_operands && c->operand[at] != arg) at++;
            if (at == c->n_operands)
                while (c->op[at - c->n_operands] != arg) at++;
            chain->op[k].source[i] = (uint8_t)at;
        }
    }
}

/* The nodes of the chain that ends at v, in their order: found by walking up from it. */
static void collect_ops(const build *b, chain_build *c, wh_value v)
{
    c->op[c->n_ops++] = v;
    for (unsigned at = 0; at < c->n_ops; at++) {
        const wh_node *node = wh_node_at(b->graph, c->op[at]);
        for (unsigned i = 0; i < node->n_args; i++) {
            wh_value arg = node->arg[i];
            unsigned k = 0;
            if (!is_in_chain(b, arg, v)) continue;
            while (k < c->n_ops && c->op[k] != arg) k++;
            if (k == c->n_ops) c->op[c->n_ops++] = arg;
        }
    }
    for (unsigned i = 1; i < c->n_ops; i++)
        for (unsigned k = i; k > 0 && c->op[k] < c->op[k - 1]; k--) {
            wh_value other = c->op[k];
            c->op[k] = c->op[k - 1];
            c->op[k - 1] = other;
        }
}

static void plain_arg(const build *b, wh_step *step, unsigned i, wh_value v)
{
    step->arg_dims[i] = wh_node_at(b->graph, v)->dims;
    step->arg_place[i] = b->marks[base_of(b->graph, v)].place;
}

/* Arguments before the chain's operands are the caller's to describe. */
static whist_status chain_args(build *b, wh_step *step, const chain_build *c, unsigned before)
{
    step->chain_arg = before;
    WH_TRY(step_args(step, b->program, before + c->n_operands));
    for (unsigned k = 0; k < c->n_operands; k++) {
        wh_value reads;
        describe_operand(b, &step->chain->operand[k], &reads, c->operand[k]);
        plain_arg(b, step, before + k, c->operand[k]);
        step->arg_place[before + k] = reads ? b->marks[base_of(b->graph, reads)].place : 0;
    }
    step->chain->n_operands = c->n_operands;
    step->chain->n_ops = c->n_ops;
    return WHIST_OK;
}

static void chain_kernel(const build *b, wh_step *step, wh_kernel *const kernels[3][2])
{
    step->kernel = kernels[b->program->level][b->graph->real];
    step->n_units = (wh_dims_size(&step->out_dims) + WH_CHAIN_BLOCK - 1) / WH_CHAIN_BLOCK;
}

/* The product is written where the chain's value goes, and the chain works there in place. */
static void product_first(const build *b, wh_step *step, wh_value product)
{
    static wh_kernel *const products[3][2] = WH_KERNEL_WIDE(matmul_chain);
    for (unsigned k = 0; k < 2; k++) plain_arg(b, step, k, wh_node_at(b->graph, product)->arg[k]);
    step->name = "matmul, chain";
    step->attr = wh_node_at(b->graph, product)->attr;
    step->fused = &wh_op_matmul;
    chain_kernel(b, step, products);
}

/* Argument 0 is the chain's value, which has a shape and no place. */
static void sum_last(const build *b, wh_step *step, wh_value v, wh_value sum)
{
    step->arg_dims[0] = wh_node_at(b->graph, v)->dims;
    step->arg_place[0] = 0;
    step->fused = &wh_op_chain_sum;
    step->name = step->fused->name;
    step->attr = wh_node_at(b->graph, sum)->attr;
    chain_kernel(b, step, step->fused->wide);
}

/* The chain that ends at v, behind its product, or before the sum that reads it. */
static whist_status chain_step(build *b, wh_step *step, wh_value v)
{
    static wh_kernel *const chains[3][2] = WH_KERNEL_WIDE(chain);
    chain_build c = {.n_ops = 0};
    wh_value product = b->marks[v].product;
    bool summed = is_summed(b, v);
    if (product) b->marks[product].place = step->out_place;
    collect_ops(b, &c, v);
    for (unsigned k = 0; k < c.n_ops; k++) collect_operands(b, &c, c.op[k], v);
    WH_TRY(WH_ARENA_NEW(&step->chain, &b->program->memory, 1));
    WH_TRY(chain_args(b, step, &c, product ? 2 : summed ? 1 : 0));
    step->name = c.n_ops > 1 ? "chain" : wh_node_at(b->graph, v)->op->name;
    chain_kernel(b, step, chains);
    if (product) product_first(b, step, product);
    if (summed) sum_last(b, step, v, b->marks[v].sum);
    write_ops(b, step->chain, &c);
    assign_slots(step->chain);
    return WHIST_OK;
}

/* A copy of the value v, for outputs that are not the result of a step of their own. */
static whist_status copy_step(build *b, wh_step *step, wh_value v)
{
    static wh_kernel *const chains[3][2] = WH_KERNEL_WIDE(chain);
    chain_build c = {.operand = {v}, .n_operands = 1};
    WH_TRY(WH_ARENA_NEW(&step->chain, &b->program->memory, 1));
    step->name = "copy";
    WH_TRY(chain_args(b, step, &c, 0));
    chain_kernel(b, step, chains);
    step->chain->n_ops = 1;
    step->chain->op[0].element = WH_ELEMENT_COPY;
    step->chain->n_slots = 1;
    return WHIST_OK;
}

static whist_status plain_step(build *b, wh_step *step, wh_value v)
{
    const wh_node *node = wh_node_at(b->graph, v);
    WH_TRY(step_args(step, b->program, node->n_args));
    for (unsigned i = 0; i < node->n_args; i++) plain_arg(b, step, i, node->arg[i]);
    step->name = node->op->name;
    step->attr = node->attr;
    wh_kernel *wide = node->op->wide[b->program->level][b->graph->real];
    step->kernel = wide ? wide : node->op->kernel[b->graph->real];
    step->n_units = 1;
    return WHIST_OK;
}

static size_t scratch_of(const build *b, const wh_step *step, const wh_op *op, const wh_call *call)
{
    size_t reals = 0;
    if (step->chain) reals = (size_t)(2 * step->chain->n_operands + step->chain->n_slots) * WH_CHAIN_BLOCK;
    if (!step->chain && op->scratch) reals = op->scratch(call);
    return (reals * wh_real_size(b->graph->real) + 63) / 64 * 64;
}

/* Cuts the step's units into pieces of enough work to hand out. The shape alone decides. */
static void cut_step(build *b, wh_step *step, const wh_op *op)
{
    enum { PIECE = 1 << 16 };
    const wh_call call = {.out_dims = &step->out_dims,
                          .arg_dims = step->arg_dims,
                          .n_args = step->n_args,
                          .attr = &step->attr,
                          .plan = &step->plan,
                          .chain = step->chain};
    wh_cut cut = {step->n_units, step->chain ? (size_t)step->chain->n_ops * WH_CHAIN_BLOCK : 1};
    const wh_op *by = step->chain ? step->fused : op;
    if (by && by->plan) step->plan = by->plan(&call);
    if (by && by->cut) cut = by->cut(&call);
    step->n_units = cut.units;
    step->per_piece = cut.cost >= PIECE ? 1 : PIECE / (cut.cost ? cut.cost : 1);
    step->n_pieces = (cut.units + step->per_piece - 1) / step->per_piece;
    size_t scratch = scratch_of(b, step, op, &call);
    if (scratch > b->program->size.scratch_bytes) b->program->size.scratch_bytes = scratch;
}

/* Made of parameters and constants alone, and no output: those go where a caller says. */
static bool is_kept(const build *b, const wh_step *step)
{
    const wh_place *places = b->program->places;
    bool kept = b->keep && places[step->out_place].kind == WH_PLACE_ARENA;
    for (unsigned i = 0; i < step->n_args; i++) kept &= step->arg_place[i] == 0 || places[step->arg_place[i]].kept;
    return kept;
}

static whist_status add_step(build *b, wh_value v, uint32_t out_place, bool copies)
{
    wh_program *p = b->program;
    const wh_node *node = wh_node_at(b->graph, v);
    wh_step *step = &p->steps[p->n_steps];
    step->out_dims = node->dims;
    step->out_place = out_place;
    bool sums = node->op == &wh_op_sum && is_summed(b, node->arg[0]);
    if (copies)
        WH_TRY(copy_step(b, step, v));
    else if (sums)
        WH_TRY(chain_step(b, step, node->arg[0]));
    else if (is_element(node))
        WH_TRY(chain_step(b, step, v));
    else
        WH_TRY(plain_step(b, step, v));
    cut_step(b, step, node->op);
    step->kept = p->places[out_place].kept = is_kept(b, step);
    p->size.kept += step->kept;
    p->places[out_place].last_use = p->n_steps;
    for (unsigned i = 0; i < step->n_args; i++) p->places[step->arg_place[i]].last_use = p->n_steps;
    p->n_steps++;
    return WHIST_OK;
}

/* ---- All together ------------------------------------------------------------------------------------------- */

static whist_status reserve(build *b, size_t n_outputs)
{
    wh_program *p = b->program;
    size_t n = b->graph->n, inputs = 0;
    for (wh_value v = 1; v < n; v++) inputs += is_input(wh_node_at(b->graph, v));
    p->n_values = n;
    WH_TRY(WH_ARENA_NEW(&p->steps, &p->memory, n + n_outputs));
    WH_TRY(WH_ARENA_NEW(&p->places, &p->memory, n + n_outputs));
    WH_TRY(WH_ARENA_NEW(&p->input_name, &p->memory, n + n_outputs));
    WH_TRY(WH_ARENA_NEW(&p->input_place, &p->memory, n));
    WH_TRY(WH_ARENA_NEW(&p->is_input, &p->memory, n));
    WH_TRY(WH_ARENA_NEW(&p->checks, &p->memory, inputs + 1));
    WH_TRY(WH_ARENA_NEW(&p->output_place, &p->memory, n_outputs));
    p->n_outputs = n_outputs;
    p->n_places = 1;
    for (wh_value v = 1; v < n; v++) p->is_input[v] = is_input(wh_node_at(b->graph, v));
    return WHIST_OK;
}

static whist_status add_steps(build *b)
{
    for (wh_value v = 1; v < b->graph->n; v++) {
        const wh_node *node = wh_node_at(b->graph, v);
        mark *m = &b->marks[v];
        if (!m->needed) continue;
        if (is_input(node)) {
            WH_TRY(place_input(b, v));
            continue;
        }
        bool inside_chain = is_element(node) && (m->in.chain[0] != v || is_summed(b, v));
        bool in_product = m->only != CONFLICT && b->marks[m->only].product == v; /* [WH_NO_VALUE] has none */
        if (inside_chain || in_product || node->op->flags & WH_OP_VIEW || is_virtual(b, v)) continue;
        if (m->place == 0) m->place = new_place(b, v, WH_PLACE_ARENA);
        WH_TRY(add_step(b, v, m->place, false));
    }
    return WHIST_OK;
}

static bool steps_alone(const build *b, wh_value v)
{
    const wh_node *node = wh_node_at(b->graph, v);
    return !is_input(node) && !(node->op->flags & WH_OP_VIEW);
}

/* An output that a step makes is made in place; the others are copied at the end. */
static void place_outputs(build *b, const wh_value outputs[])
{
    wh_program *p = b->program;
    for (size_t i = 0; i < p->n_outputs; i++) {
        wh_value base = base_of(b->graph, outputs[i]);
        uint32_t place = new_place(b, outputs[i], WH_PLACE_OUTPUT);
        p->places[place].output = i;
        p->output_place[i] = place;
        if (steps_alone(b, base) && b->marks[base].place == 0) b->marks[base].place = place;
    }
}

static whist_status copy_outputs(build *b, const wh_value outputs[])
{
    for (size_t i = 0; i < b->program->n_outputs; i++) {
        wh_value base = base_of(b->graph, outputs[i]);
        if (b->marks[base].place != b->program->output_place[i])
            WH_TRY(add_step(b, outputs[i], b->program->output_place[i], true));
    }
    return WHIST_OK;
}

static whist_status make(build *b, const wh_value outputs[], size_t n)
{
    WH_TRY(reserve(b, n));
    for (size_t i = 0; i < n; i++) {
        wh_value base = base_of(b->graph, outputs[i]);
        b->marks[outputs[i]].needed = b->marks[base].needed = true;
        b->marks[outputs[i]].is_output = b->marks[base].is_output = true;
    }
    choose(b);
    place_outputs(b, outputs);
    WH_TRY(add_steps(b));
    WH_TRY(copy_outputs(b, outputs));
    WH_TRY(wh_program_plan(b->program));
    b->program->size.steps = b->program->n_steps;
    return WHIST_OK;
}

whist_status wh_program_new(wh_program **out, const wh_graph *graph, const wh_value outputs[], size_t n)
{
    return wh_program_make(out, graph, outputs, n, true, false);
}

whist_status wh_program_new_keeping(wh_program **out, const wh_graph *graph, const wh_value outputs[], size_t n)
{
    return wh_program_make(out, graph, outputs, n, true, true);
}

whist_status wh_program_make(wh_program **out, const wh_graph *graph, const wh_value outputs[], size_t n, bool fuse,
                             bool keep)
{
    WH_ENSURE(out && graph && outputs && n > 0, WHIST_E_ARG);
    WH_TRY(wh_graph_status(graph));
    for (size_t i = 0; i < n; i++)
        if (outputs[i] == WH_NO_VALUE || outputs[i] >= graph->n || wh_node_at(graph, outputs[i])->kind != WH_KIND_REAL)
            WH_FAIL(WHIST_E_ARG, "output %zu of the program is no real value of the graph", i);
    WH_AUTO(wh_program_ptr) program = NULL;
    WH_AUTO(mark_ptr) marks = NULL;
    WH_TRY(WH_NEW(&program, 1));
    WH_TRY(WH_NEW(&marks, graph->n));
    program->real = graph->real;
    program->level = wh_cpu_get();
    build b = {.graph = graph, .program = program, .marks = marks, .fuse = fuse, .keep = keep};
    WH_TRY(make(&b, outputs, n));
    *out = program;
    program = NULL;
    return WHIST_OK;
}

void wh_program_free(wh_program *program)
{
    if (!program) return;
    wh_arena_clear(&program->memory);
    wh_free(program);
}

wh_program_size wh_program_measure(const wh_program *program)
{
    return program->size;
}

whist_status wh_program_show(wh_buf *out, const wh_program *program)
{
    for (size_t s = 0; s < program->n_steps; s++) {
        const wh_step *step = &program->steps[s];
        const wh_place *to = &program->places[step->out_place];
        WH_TRY(wh_buf_text(out, "%5zu %-18s", s, step->name));
        for (unsigned i = 0; i < step->n_args; i++)
            WH_TRY(wh_buf_text(out, " %s", wh_dims_show(&step->arg_dims[i]).text));
        WH_TRY(wh_buf_text(out, " -> %s", wh_dims_show(&step->out_dims).text));
        if (step->chain) WH_TRY(wh_buf_text(out, "  %u operations", step->chain->n_ops));
        if (to->kind == WH_PLACE_OUTPUT)
            WH_TRY(wh_buf_text(out, "  output %zu\n", to->output));
        else
            WH_TRY(wh_buf_text(out, "  at %zu\n", to->offset));
    }
    const wh_program_size *size = &program->size;
    return wh_buf_text(out, "%zu steps, arena %zu bytes (%zu without sharing), scratch %zu bytes for each worker\n",
                       size->steps, size->arena_bytes, size->values_bytes, size->scratch_bytes);
}
