/* nn/graph/kern_sum.h: sums over axes, running sums, the largest of a row. Compiled after kern_chain.h. */

/* Moves the counters of the summed axes on; false after the last. Axes below `skip` from the end stay. */
static bool next(size_t at[], size_t *offset, const wh_sum_plan *plan, unsigned n_axes)
{
    for (unsigned k = n_axes; k-- > 0;) {
        if (!plan->summed[k]) continue;
        *offset += plan->stride[k];
        if (++at[k] < plan->size[k]) return true;
        *offset -= plan->size[k] * plan->stride[k];
        at[k] = 0;
    }
    return false;
}

static size_t outer_offset(const wh_sum_plan *plan, size_t index, unsigned n_axes)
{
    size_t offset = 0;
    for (unsigned k = n_axes; k-- > 0;) {
        if (plan->summed[k]) continue;
        offset += index % plan->size[k] * plan->stride[k];
        index /= plan->size[k];
    }
    return offset;
}

/* sum[j] += x[i stride + j] for all i < rows, i upward; eight vectors of columns at a time, asked for ahead */
static void add_rows_of(double sum[WH_SUM_COLUMNS], const REAL *x, size_t rows, size_t stride, size_t n)
{
    enum { AHEAD = 24, VECTORS = 8, SOME = VECTORS * DL };
    if (n < WH_SUM_COLUMNS) {
        for (size_t i = 0; i < rows; i++) EVERY(j, n) sum[j] += (double)x[i * stride + j];
        return;
    }
    for (size_t at = 0; at < WH_SUM_COLUMNS; at += SOME) {
        vd part[VECTORS];
        memcpy(part, sum + at, sizeof part);
        for (size_t i = 0; i < rows; i++) {
            const REAL *row = x + i * stride + at;
            for (size_t j = 0; j < SOME; j += 64 / sizeof *x) __builtin_prefetch(row + AHEAD * stride + j);
#pragma GCC unroll 8
            for (size_t v = 0; v < VECTORS; v++) {
                rd some;
                memcpy(&some, row + v * DL, sizeof some);
                part[v] += __builtin_convertvector(some, vd);
            }
        }
        memcpy(sum + at, part, sizeof part);
    }
}

static void sum_columns(const wh_call *call, const wh_sum_plan *plan, size_t unit)
{
    unsigned last = plan->rank - 1;
    size_t width = plan->size[last], chunks = (width + WH_SUM_COLUMNS - 1) / WH_SUM_COLUMNS;
    size_t outer = unit / chunks, column = unit % chunks * WH_SUM_COLUMNS, n = least(WH_SUM_COLUMNS, width - column);
    size_t at[WH_GRAPH_RANK] = {0}, offset = outer_offset(plan, outer, last) + column;
    double sum[WH_SUM_COLUMNS] = {0};
    /* Neighbouring axes are of different kinds: the one before the kept last is summed. */
    do {
        add_rows_of(sum, (const REAL *)call->arg[0] + offset, plan->size[last - 1], plan->stride[last - 1], n);
    } while (next(at, &offset, plan, last - 1));
    REAL *out = (REAL *)call->out + outer * width + column;
    for (size_t j = 0; j < n; j++) out[j] = (REAL)sum[j];
}

static void sum_element(const wh_call *call, const wh_sum_plan *plan, size_t unit)
{
    unsigned last = plan->rank - 1;
    size_t at[WH_GRAPH_RANK] = {0}, offset = outer_offset(plan, unit, last);
    double sum = 0;
    do {
        sum += sum_n((const REAL *)call->arg[0] + offset, plan->size[last]);
    } while (next(at, &offset, plan, last));
    ((REAL *)call->out)[unit] = (REAL)sum;
}

void NAME(sum)(const wh_call *call, size_t from, size_t to)
{
    const wh_sum_plan *plan = &call->plan->sum;
    for (size_t unit = from; unit < to; unit++) {
        if (plan->summed[plan->rank - 1])
            sum_element(call, plan, unit);
        else
            sum_columns(call, plan, unit);
    }
}

/* ---- The sum of a chain that nobody else reads: block after block, with the bits of the two apart ---- */

/* Rows of kept columns under each other, all of one a of (A,R,K). */
static void chain_columns(const wh_call *call, const wh_sum_plan *plan, size_t unit)
{
    size_t width = plan->size[plan->rank - 1], depth = plan->size[plan->rank - 2], rows = BLOCK / width;
    double sum[BLOCK] = {0};
    for (size_t i = 0; i < depth; i += rows) {
        size_t n = least(rows, depth - i);
        const REAL *block = chain_block(call, NULL, (unit * depth + i) * width, n * width);
        for (size_t j = 0; j < width; j += WH_SUM_COLUMNS)
            add_rows_of(sum + j, block + j, n, width, least(WH_SUM_COLUMNS, width - j));
    }
    REAL *out = (REAL *)call->out + unit * width;
    for (size_t j = 0; j < width; j++) out[j] = (REAL)sum[j];
}

/* As many rows as a block holds, each to one number. */
static void chain_rows(const wh_call *call, const wh_sum_plan *plan, size_t unit)
{
    size_t width = plan->size[plan->rank - 1], rows = BLOCK / width;
    size_t from = unit * rows, n = least(rows, (plan->rank > 1 ? plan->size[0] : 1) - from);
    const REAL *block = chain_block(call, NULL, from * width, n * width);
    for (size_t i = 0; i < n; i++) ((REAL *)call->out)[from + i] = (REAL)(0 + sum_n(block + i * width, width));
}

void NAME(chain_sum)(const wh_call *call, size_t from, size_t to)
{
    const wh_sum_plan *plan = &call->plan->sum;
    fill_constants(call, wh_dims_size(call->arg_dims));
    for (size_t unit = from; unit < to; unit++) {
        if (plan->summed[plan->rank - 1])
            chain_rows(call, plan, unit);
        else
            chain_columns(call, plan, unit);
    }
}

void NAME(cumsum)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->arg_dims);
    bool reverse = call->attr->whole[0] != 0;
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        const uint32_t *segment = call->n_args > 1 ? (const uint32_t *)call->arg[1] + row * n : NULL;
        REAL *out = (REAL *)call->out + row * n;
        double sum = 0;
        for (size_t k = 0; k < n; k++) {
            size_t i = reverse ? n - 1 - k : k;
            if (segment && k > 0 && segment[i] != segment[reverse ? i + 1 : i - 1]) sum = 0;
            sum += (double)x[i];
            out[i] = (REAL)sum;
        }
    }
}

static inline void take_larger(rv *part, const rv *v)
{
    mv more = *v > *part;
    *part = (rv)(((mv)*v & more) | ((mv)*part & ~more));
}

static REAL largest(const REAL *x, size_t n)
{
    rv part[RN], v;
    REAL last[LANES];
    for (size_t j = 0; j < LANES; j++) last[j] = x[0];
    memcpy(part, last, sizeof part);
    for (size_t at = 0; at < n; at += LANES) {
        const REAL *from = x + at;
        if (n - at < LANES) {
            for (size_t j = 0; j < LANES; j++) last[j] = x[at + j < n ? at + j : at];
            from = last;
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < RN; i++) {
            memcpy(&v, from + i * RL, sizeof v);
            take_larger(&part[i], &v);
        }
    }
#pragma GCC unroll 4
    for (int half = RN / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) take_larger(&part[i], &part[i + half]);
#if defined(__AVX512F__) && WH_KERN_F32
    v = __builtin_shufflevector(part[0], part[0], 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    take_larger(part, &v);
    v = __builtin_shufflevector(part[0], part[0], 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3);
    take_larger(part, &v);
    enum { KEPT = 4 };
#else
    enum { KEPT = RL };
#endif
    memcpy(last, part, sizeof part[0]);
    for (size_t half = KEPT / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++) last[j] = last[j + half] > last[j] ? last[j + half] : last[j];
    return last[0];
}

void NAME(max_last)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->arg_dims);
    for (size_t row = from; row < to; row++)
        ((REAL *)call->out)[row] = largest((const REAL *)call->arg[0] + row * n, n);
}
