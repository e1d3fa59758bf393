/* nn/graph/kern_product.h: products of matrices, with a chain behind them, and the norms of products by example.
 * Compiled after kern_chain.h. */

/* One block of the product; returns where it begins in the output, *n: its elements, if it has all columns. */
static size_t multiply_block(const wh_call *call, size_t unit, size_t *n)
{
    const wh_product_plan *p = &call->plan->product;
    wh_gemm_form form = (wh_gemm_form)call->attr->whole[0];
    size_t lda = form == WH_GEMM_TN ? p->m : p->k, ldb = form == WH_GEMM_NT ? p->k : p->n;
    size_t which = unit / (p->n_rows * p->n_columns), block = unit % (p->n_rows * p->n_columns);
    size_t i = block / p->n_columns * p->rows, j = block % p->n_columns * p->columns;
    size_t at = (which * p->m + i) * p->n + j, rows = least(p->rows, p->m - i);
    const REAL *a = (const REAL *)call->arg[0] + which * p->m * p->k + (form == WH_GEMM_TN ? i : i * lda);
    const REAL *b = (const REAL *)call->arg[1] + which * p->n * p->k + (form == WH_GEMM_NT ? j * ldb : j);
    gemm(call->num, form, (REAL *)call->out + at, p->n, a, lda, b, ldb, rows, least(p->columns, p->n - j), p->k);
    *n = rows * p->n;
    return at;
}

void NAME(matmul)(const wh_call *call, size_t from, size_t to)
{
    for (size_t unit = from, n; unit < to; unit++) (void)multiply_block(call, unit, &n);
}

/* A product and the chain that alone reads it: block after block, while the block is in the second cache. */
void NAME(matmul_chain)(const wh_call *call, size_t from, size_t to)
{
    fill_constants(call, wh_dims_size(call->out_dims));
    for (size_t unit = from, n; unit < to; unit++) {
        size_t at = multiply_block(call, unit, &n);
        chain_elements(call, at, at + n);
    }
}

/* Σ_ts (a_t · a_s)(b_t · b_s): blocks of rows against the columns up to their end, what lies beside the diagonal block
 * counted twice. */
static double by_products_of_steps(const wh_call *call, const REAL *a, const REAL *b, size_t t, size_t p, size_t q)
{
    enum { ROWS = 32 };
    double sum = 0;
    for (size_t i = 0; i < t; i += ROWS) {
        size_t rows = least(ROWS, t - i), seen = i + rows;
        REAL *x = call->scratch, *y = x + rows * seen;
        gemm(call->num, WH_GEMM_NT, x, seen, a + i * p, p, a, p, rows, seen, p);
        gemm(call->num, WH_GEMM_NT, y, seen, b + i * q, q, b, q, rows, seen, q);
        for (size_t r = 0; r < rows; r++)
            sum += 2 * dot_n(x + r * seen, y + r * seen, i) + dot_n(x + r * seen + i, y + r * seen + i, rows);
    }
    return sum;
}

void NAME(outer_squared)(const wh_call *call, size_t from, size_t to)
{
    size_t t = call->arg_dims[0].dim[1], p = call->arg_dims[0].dim[2], q = call->arg_dims[1].dim[2];
    REAL *s = call->scratch;
    for (size_t e = from; e < to; e++) {
        const REAL *a = (const REAL *)call->arg[0] + e * t * p, *b = (const REAL *)call->arg[1] + e * t * q;
        double sum;
        if (t == 1) {
            sum = dot_n(a, a, p) * dot_n(b, b, q);
        } else if (call->attr->whole[0]) {
            sum = by_products_of_steps(call, a, b, t, p, q);
        } else {
            gemm(call->num, WH_GEMM_TN, s, q, a, p, b, q, p, q, t);
            sum = dot_n(s, s, p * q);
        }
        ((REAL *)call->out)[e] = (REAL)sum;
    }
}

void NAME(gather_squared)(const wh_call *call, size_t from, size_t to)
{
    size_t t = call->arg_dims[1].dim[1], d = call->arg_dims[1].dim[2];
    for (size_t e = from; e < to; e++) {
        const uint32_t *index = (const uint32_t *)call->arg[0] + e * t;
        const REAL *c = (const REAL *)call->arg[1] + e * t * d;
        double sum = 0;
        for (size_t i = 0; i < t; i++)
            for (size_t j = 0; j <= i; j++)
                if (index[i] == index[j]) sum += (i == j ? 1 : 2) * dot_n(c + i * d, c + j * d, d);
        ((REAL *)call->out)[e] = (REAL)sum;
    }
}

/* Σ_ts rows[s, index[t]] (c[t] · cols[s]) */
void NAME(tied_cross)(const wh_call *call, size_t from, size_t to)
{
    size_t t = call->arg_dims[1].dim[1], d = call->arg_dims[1].dim[2];
    size_t s = call->arg_dims[2].dim[1], v = call->arg_dims[2].dim[2];
    REAL *products = call->scratch;
    for (size_t e = from; e < to; e++) {
        const uint32_t *index = (const uint32_t *)call->arg[0] + e * t;
        const REAL *rows = (const REAL *)call->arg[2] + e * s * v;
        gemm(call->num, WH_GEMM_NT, products, s, (const REAL *)call->arg[1] + e * t * d, d,
             (const REAL *)call->arg[3] + e * s * d, d, t, s, d);
        double sum = 0;
        for (size_t i = 0; i < t; i++)
            for (size_t j = 0; j < s; j++) sum += (double)products[i * s + j] * (double)rows[j * v + index[i]];
        ((REAL *)call->out)[e] = (REAL)sum;
    }
}
