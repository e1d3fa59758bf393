/* nn/graph/kern_chain.h: chains of elementwise operations, block by block in the nearest cache. Compiled after
 * kern_real.h, whose helpers it uses. */

static void gelu_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    REAL t[BLOCK];
    EVERY(i, n) t[i] = x[i] * (REAL)M_SQRT1_2;
    erf_n(num, t, t, n);
    EVERY(i, n) out[i] = x[i] * ((REAL).5 * (1 + t[i]));
}

/* max(x, 0) + log(1 + e), e = e^(-|x|): log u · e / (u - 1) with u = 1 + e, where rounding of u cancels. */
static void softplus_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    REAL e[BLOCK], u[BLOCK], l[BLOCK];
    EVERY(i, n) e[i] = -FN(fabs)(x[i]);
    exp_n(num, e, e, n);
    EVERY(i, n) u[i] = 1 + e[i];
    log_n(num, l, u, n);
    EVERY(i, n) l[i] = u[i] == 1 ? e[i] : l[i] * (e[i] / (u[i] - 1));
    EVERY(i, n) out[i] = (x[i] > 0 ? x[i] : 0) + l[i];
}

static void gelu_tanh_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    REAL t[BLOCK];
    EVERY(i, n) t[i] = (REAL)(M_2_SQRTPI * M_SQRT1_2) * (x[i] + (REAL)0.044715 * x[i] * x[i] * x[i]);
    tanh_n(num, t, t, n);
    EVERY(i, n) out[i] = (REAL).5 * x[i] * (1 + t[i]);
}

/* Φ(x) + x φ(x) */
static void gelu_slope_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    const REAL peak = (REAL)(.5 * M_2_SQRTPI * M_SQRT1_2);
    REAL t[BLOCK], e[BLOCK];
    EVERY(i, n) t[i] = x[i] * (REAL)M_SQRT1_2;
    EVERY(i, n) e[i] = (REAL)-.5 * (x[i] * x[i]);
    erf_n(num, t, t, n);
    exp_n(num, e, e, n);
    EVERY(i, n) out[i] = (REAL).5 * (1 + t[i]) + x[i] * e[i] * peak;
}

/* (1 + t)/2 + x/2 (1 - t²) u' with t = tanh u, u = √(2/π) (x + c x³) */
static void gelu_tanh_slope_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    const REAL root = (REAL)(M_2_SQRTPI * M_SQRT1_2), c = (REAL)0.044715;
    REAL t[BLOCK];
    EVERY(i, n) t[i] = root * (x[i] + c * x[i] * x[i] * x[i]);
    tanh_n(num, t, t, n);
    EVERY(i, n) out[i] = (REAL).5 * (1 + t[i] + x[i] * (1 - t[i] * t[i]) * (root * (1 + 3 * c * (x[i] * x[i]))));
}

#define EACH(expression)                                                                                               \
    EVERY(i, n) out[i] = (expression);                                                                                 \
    break

/* One operation on up to BLOCK elements. out may be one of the sources. */
static void element(const wh_num_kernels *num, wh_element what, double number, REAL *out, const REAL *a, const REAL *b,
                    const REAL *c, size_t n)
{
    switch (what) {
    case WH_ELEMENT_ADD: EACH(a[i] + b[i]);
    case WH_ELEMENT_SUB: EACH(a[i] - b[i]);
    case WH_ELEMENT_MUL: EACH(a[i] * b[i]);
    case WH_ELEMENT_DIV: EACH(a[i] / b[i]);
    case WH_ELEMENT_MAX: EACH(a[i] >= b[i] || a[i] != a[i] ? a[i] : b[i]);
    case WH_ELEMENT_MIN: EACH(a[i] <= b[i] || a[i] != a[i] ? a[i] : b[i]);
    case WH_ELEMENT_NOT_LESS: EACH(a[i] >= b[i] ? 1 : 0);
    case WH_ELEMENT_WHERE: EACH(a[i] != 0 ? b[i] : c[i]);
    case WH_ELEMENT_STANDARDIZE: EACH((a[i] - b[i]) * c[i]);
    case WH_ELEMENT_NEG: EACH(-a[i]);
    case WH_ELEMENT_EXP: exp_n(num, out, a, n); break;
    case WH_ELEMENT_LOG: log_n(num, out, a, n); break;
    case WH_ELEMENT_SQRT: EACH(FN(sqrt)(a[i]));
    case WH_ELEMENT_RSQRT: EACH(1 / FN(sqrt)(a[i]));
    case WH_ELEMENT_TANH: tanh_n(num, out, a, n); break;
    case WH_ELEMENT_SIGMOID: sigmoid_n(num, out, a, n); break;
    case WH_ELEMENT_SOFTPLUS: softplus_n(num, out, a, n); break;
    case WH_ELEMENT_ERF: erf_n(num, out, a, n); break;
    case WH_ELEMENT_RELU: EACH(a[i] < 0 ? 0 : a[i]);
    case WH_ELEMENT_POSITIVE: EACH(a[i] > 0 ? 1 : 0);
    case WH_ELEMENT_ABS: EACH(FN(fabs)(a[i]));
    case WH_ELEMENT_POW: EACH(FN(pow)(a[i], (REAL)number));
    case WH_ELEMENT_GELU: gelu_n(num, out, a, n); break;
    case WH_ELEMENT_GELU_TANH: gelu_tanh_n(num, out, a, n); break;
    case WH_ELEMENT_GELU_SLOPE: gelu_slope_n(num, out, a, n); break;
    case WH_ELEMENT_GELU_TANH_SLOPE: gelu_tanh_slope_n(num, out, a, n); break;
    default: EACH(a[i]);
    }
}

/* An operand has room for two blocks: of a short row that repeats, one block begins wherever one wants. */
enum { OPERAND = 2 * BLOCK };

/* The same row again and again, and no longer than a block? */
static bool is_row(const wh_operand *operand)
{
    return operand->kind == WH_OPERAND_STRIDED && operand->rank == 2 && operand->stride[0] == 0 &&
           operand->stride[1] == 1 && operand->size[1] <= BLOCK;
}

/* The operands of one block, in source[]. Buffers of constants and of rows were filled before. */
static void point_operands(const REAL *source[], const wh_call *call, REAL *buffers, size_t from, size_t n)
{
    const wh_chain *chain = call->chain;
    for (unsigned k = 0; k < chain->n_operands; k++) {
        const wh_operand *operand = &chain->operand[k];
        REAL *buffer = buffers + k * OPERAND;
        source[k] = buffer;
        const REAL *data = call->arg[call->chain_arg + k];
        if (operand->kind == WH_OPERAND_ARRAY) source[k] = data + from;
        if (is_row(operand))
            source[k] = buffer + from % operand->size[1];
        else if (operand->kind == WH_OPERAND_STRIDED)
            load_strided(buffer, data, operand, from, n);
    }
}

/* For a chain of n elements: no more is filled than its first block reads, if there is no other. */
static void fill_constants(const wh_call *call, size_t n)
{
    const wh_chain *chain = call->chain;
    const size_t block = least(BLOCK, n), rows = n <= BLOCK ? n : OPERAND;
    for (unsigned k = 0; k < chain->n_operands; k++) {
        const wh_operand *operand = &chain->operand[k];
        REAL *buffer = (REAL *)call->scratch + k * OPERAND;
        const REAL *data = call->arg[call->chain_arg + k];
        if (operand->kind == WH_OPERAND_FILL) fill_n(buffer, (REAL)operand->number, block);
        if (operand->kind == WH_OPERAND_ONE) fill_n(buffer, *data, block);
        if (is_row(operand))
            for (size_t at = 0, row = operand->size[1]; at < rows; at += row)
                EVERY(i, least(row, rows - at)) buffer[at + i] = data[i];
    }
}

/* 1 to BLOCK elements, from `at` on: all operations run on them while they are in the nearest cache. The result goes
 * to `to`; NULL: to the last operation's own block, which is returned. */
static const REAL *chain_block(const wh_call *call, REAL *to, size_t at, size_t some)
{
    const size_t n = (some - 1) % BLOCK + 1; /* the same, and the compiler knows that it is from 1 to BLOCK */
    const wh_chain *chain = call->chain;
    const REAL *source[WH_CHAIN_ARGS + WH_CHAIN_OPS];
    REAL *buffers = call->scratch, *slots = buffers + chain->n_operands * OPERAND, *out = NULL;
    point_operands(source, call, buffers, at, n);
    for (unsigned k = 0; k < chain->n_ops; k++) {
        const uint8_t *s = chain->op[k].source;
        out = k + 1 == chain->n_ops && to ? to : slots + chain->op[k].slot * (size_t)BLOCK;
        element(call->num, chain->op[k].element, chain->op[k].number, out, source[s[0]], source[s[1]], source[s[2]], n);
        source[chain->n_operands + k] = out;
    }
    return out;
}

static void chain_elements(const wh_call *call, size_t from, size_t to)
{
    for (size_t at = from; at < to; at += BLOCK)
        (void)chain_block(call, (REAL *)call->out + at, at, least(BLOCK, to - at));
}

/* A unit is BLOCK elements. */
void NAME(chain)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_size(call->out_dims);
    fill_constants(call, n);
    chain_elements(call, from * BLOCK, least(to * BLOCK, n));
}
