/* nn/graph/kern_attention.h: attention of a sequence to itself, one head of one example at a time; compiled after
 * kern_sum.h, whose helpers it uses.
 *
 * Blocks of WH_ATTENTION_ROWS rows of scores live in scratch, no more of them than the rows see; the way back makes
 * them again. The sums of the gradients by key and value go on from block to block in the order of the rows. */

typedef struct head {
    const REAL *q, *k, *v; /* (T, each), from one step to the next ld elements */
    size_t steps, each, ld, width;
    bool causal;
    REAL scale;
} head;

static head head_at(const wh_call *call, size_t unit)
{
    const wh_dims *dims = &call->arg_dims[0];
    const size_t heads = call->attr->whole[0];
    head h = {.steps = dims->dim[1], .ld = dims->dim[2], .width = dims->dim[2] / 3};
    h.each = h.width / heads;
    h.causal = call->attr->whole[1] != 0;
    h.scale = (REAL)call->attr->real[0];
    h.q = (const REAL *)call->arg[0] + unit / heads * h.steps * h.ld + unit % heads * h.each;
    h.k = h.q + h.width;
    h.v = h.k + h.width;
    return h;
}

/* Asks for the next head, whose rows lie far apart. */
static void ask_head(const REAL *x, size_t parts, size_t apart, size_t steps, size_t ld, size_t each)
{
    for (size_t i = 0; i < steps; i++)
        for (size_t part = 0; part < parts; part++)
            for (size_t j = 0; j < each; j += 64 / sizeof *x) __builtin_prefetch(x + i * ld + part * apart + j, 0, 2);
}

static void ask_next(const wh_call *call, size_t unit)
{
    const wh_dims *dims = &call->arg_dims[0];
    const size_t heads = call->attr->whole[0];
    if (unit + 1 == dims->dim[0] * heads) return;
    const head h = head_at(call, unit + 1);
    ask_head(h.q, 3, h.width, h.steps, h.ld, h.each);
    if (call->n_args == 1) return;
    const REAL *c = (const REAL *)call->arg[1] + (unit + 1) / heads * h.steps * h.width + (unit + 1) % heads * h.each;
    ask_head(c, 1, 0, h.steps, h.width, h.each);
}

/* p (rows, seen): what rows from … of the head look at. */
static void look(REAL *p, const wh_num_kernels *num, const head *h, size_t from, size_t rows, size_t seen)
{
    gemm(num, WH_GEMM_NT, p, seen, h->q + from * h->ld, h->ld, h->k, h->ld, rows, seen, h->each);
    for (size_t i = 0; i < rows; i++) {
        REAL *row = p + i * seen;
        size_t n = h->causal ? from + i + 1 : seen;
        EVERY(j, n) row[j] *= h->scale;
        REAL most = largest(row, n);
        EVERY(j, n) row[j] -= most;
        fill_n(row + n, -(REAL)INFINITY, seen - n);
    }
    exp_n(num, p, p, rows * seen);
    for (size_t i = 0; i < rows; i++) {
        REAL *row = p + i * seen, share = (REAL)(1 / sum_n(row, seen));
        EVERY(j, seen) row[j] *= share;
    }
}

void NAME(attention)(const wh_call *call, size_t from, size_t to)
{
    const size_t heads = call->attr->whole[0];
    for (size_t unit = from; unit < to; unit++) {
        const head h = head_at(call, unit);
        ask_next(call, unit);
        REAL *out = (REAL *)call->out + unit / heads * h.steps * h.width + unit % heads * h.each;
        for (size_t i = 0; i < h.steps; i += WH_ATTENTION_ROWS) {
            size_t rows = least(WH_ATTENTION_ROWS, h.steps - i), seen = h.causal ? i + rows : h.steps;
            look(call->scratch, call->num, &h, i, rows, seen);
            gemm(call->num, WH_GEMM_NN, out + i * h.width, h.width, call->scratch, seen, h.v, h.ld, rows, h.each, seen);
        }
    }
}

/* d (rows, seen): from the cotangent of p to that of the scores. */
static void pull_scores(REAL *d, const REAL *p, const head *h, size_t from, size_t rows, size_t seen)
{
    for (size_t i = 0; i < rows; i++) {
        REAL *row = d + i * seen;
        const REAL *y = p + i * seen;
        size_t n = h->causal ? from + i + 1 : seen;
        REAL along = (REAL)dot_n(y, row, n), scale = h->scale;
        EVERY(j, n) row[j] = y[j] * (row[j] - along) * scale;
        memset(row + n, 0, (seen - n) * sizeof *row);
    }
}

void NAME(attention_back)(const wh_call *call, size_t from, size_t to)
{
    const size_t heads = call->attr->whole[0];
    const wh_num_kernels *num = call->num;
    for (size_t unit = from; unit < to; unit++) {
        const head h = head_at(call, unit);
        ask_next(call, unit);
        const REAL *c = (const REAL *)call->arg[1] + unit / heads * h.steps * h.width + unit % heads * h.each;
        REAL *dq = (REAL *)call->out + unit / heads * h.steps * h.ld + unit % heads * h.each;
        REAL *dk = dq + h.width, *dv = dk + h.width, *p = call->scratch, *d = p + WH_ATTENTION_ROWS * h.steps;
        for (size_t i = 0; i < h.steps; i++) {
            memset(dk + i * h.ld, 0, h.each * sizeof *dk);
            memset(dv + i * h.ld, 0, h.each * sizeof *dv);
        }
        for (size_t i = 0; i < h.steps; i += WH_ATTENTION_ROWS) {
            size_t rows = least(WH_ATTENTION_ROWS, h.steps - i), seen = h.causal ? i + rows : h.steps;
            const REAL *ci = c + i * h.width;
            look(p, num, &h, i, rows, seen);
            gemm_more(num, dv, h.ld, p, seen, ci, h.width, seen, h.each, rows);
            gemm(num, WH_GEMM_NT, d, seen, ci, h.width, h.v, h.ld, rows, seen, h.each);
            pull_scores(d, p, &h, i, rows, seen);
            gemm(num, WH_GEMM_NN, dq + i * h.ld, h.ld, d, seen, h.k, h.ld, rows, h.each, seen);
            gemm_more(num, dk, h.ld, d, seen, h.q + i * h.ld, h.ld, seen, h.each, rows);
        }
    }
}
