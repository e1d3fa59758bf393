/* nn/graph/kern_body.h: the kernels, written once for a type REAL and compiled for float and for double, and of each
 * once for every instruction set (WH_KERN_SET).
 *
 * A set changes no bit: nothing is contracted or reordered, and what runs along a row (sums, products, the largest)
 * runs in LANES interleaved parts that a fixed tree joins. Those sums are in double whatever REAL is. Products of
 * matrices and exponentials are those of num/kern.h. */
#include <math.h>
#include <string.h>

#include "nn/graph/kern.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#if WH_KERN_F32
#define REAL float
#define FN(name) name##f
#define KIND wh_kern_f32_
#else
#define REAL double
#define FN(name) name
#define KIND wh_kern_f64_
#endif
#ifdef WH_KERN_SET
#define NAME(name) JOIN(JOIN(KIND, WH_KERN_SET), _##name)
#else
#define NAME(name) JOIN(KIND, name)
#endif

enum { BLOCK = WH_CHAIN_BLOCK, LANES = 16 };

/* The loop may run in any width: its iterations meet at most in their own element. */
#if defined(__clang__)
/* The pragma says that lanes do not meet; a loop that clang leaves as it is (under a sanitizer: all) is no fault. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define EVERY(i, n) _Pragma("clang loop vectorize(assume_safety)") for (size_t i = 0; i < (n); i++)
#else
#define EVERY(i, n) _Pragma("GCC ivdep") for (size_t i = 0; i < (n); i++)
#endif

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- Rows of numbers ----------------------------------------------------------------------- */

static void exp_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->exp(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = exp(x[i]);
#endif
}

static void log_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->log(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = log(x[i]);
#endif
}

static void tanh_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->tanh(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = tanh(x[i]);
#endif
}

static void erf_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->erf(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) out[i] = erf(x[i]);
#endif
}

static void sigmoid_n(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
#if WH_KERN_F32
    num->sigmoid(out, x, n);
#else
    (void)num;
    for (size_t i = 0; i < n; i++) {
        double e = exp(-fabs(x[i]));
        out[i] = (x[i] >= 0 ? 1 : e) / (1 + e);
    }
#endif
}

/* Vectors of the compiler's own, as wide as the set has them. Sixteen lanes are DN vectors of doubles or RN of REAL; rd
 * is as many REALs as fill one of doubles. */
#if defined(__AVX512F__)
enum { WIDTH = 64 };
#elif defined(__AVX__)
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif
enum { DL = WIDTH / sizeof(double), DN = LANES / DL, RL = WIDTH / sizeof(REAL), RN = LANES / RL };
typedef double vd __attribute__((vector_size(WIDTH)));
typedef REAL rd __attribute__((vector_size(DL * sizeof(REAL))));
typedef REAL rv __attribute__((vector_size(WIDTH)));
#if WH_KERN_F32
typedef int32_t mv __attribute__((vector_size(WIDTH)));
#else
typedef int64_t mv __attribute__((vector_size(WIDTH)));
#endif

/* Lane j takes j + 8, then j + 4, j + 2, j + 1. */
static inline double tree(vd part[DN])
{
#pragma GCC unroll 4
    for (int half = DN / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    vd s = part[0];
#if defined(__AVX512F__)
    s += __builtin_shufflevector(s, s, 4, 5, 6, 7, 4, 5, 6, 7);
    s += __builtin_shufflevector(s, s, 2, 3, 2, 3, 2, 3, 2, 3);
#elif defined(__AVX__)
    s += __builtin_shufflevector(s, s, 2, 3, 2, 3);
#endif
    return s[0] + s[1];
}

/* Sixteen elements, or what is left of them and zeros, as doubles. */
static inline void load_doubles(vd out[DN], const REAL *x, size_t n)
{
    REAL part[LANES] = {0};
    if (n < LANES) {
        for (size_t j = 0; j < n; j++) part[j] = x[j];
        x = part;
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < DN; i++) {
        rd some;
        memcpy(&some, x + i * DL, sizeof some);
        out[i] = __builtin_convertvector(some, vd);
    }
}

static double sum_n(const REAL *x, size_t n)
{
    vd part[DN] = {{0}}, v[DN];
    for (size_t at = 0; at < n; at += LANES) {
        load_doubles(v, x + at, n - at);
#pragma GCC unroll 8
        for (size_t i = 0; i < DN; i++) part[i] += v[i];
    }
    return tree(part);
}

static double dot_n(const REAL *x, const REAL *y, size_t n)
{
    vd part[DN] = {{0}}, v[DN], w[DN];
    for (size_t at = 0; at < n; at += LANES) {
        load_doubles(v, x + at, n - at);
        load_doubles(w, y + at, n - at);
#pragma GCC unroll 8
        for (size_t i = 0; i < DN; i++) part[i] += v[i] * w[i];
    }
    return tree(part);
}

/* C (M,N) = op(A) · op(B), as wh_num_gemm. */
static void gemm(const wh_num_kernels *num, wh_gemm_form form, REAL *restrict c, size_t ldc, const REAL *restrict a,
                 size_t lda, const REAL *restrict b, size_t ldb, size_t m, size_t n, size_t k)
{
#if WH_KERN_F32
    wh_num_gemm(num, form, c, ldc, a, lda, b, ldb, m, n, k);
#else
    wh_num_gemm_f64(num, form, c, ldc, a, lda, b, ldb, m, n, k);
#endif
}

/* C (M,N) goes on with the sums it holds: C += Aᵀ (K,M) · B (K,N), k upward. */
static void gemm_more(const wh_num_kernels *num, REAL *restrict c, size_t ldc, const REAL *restrict a, size_t lda,
                      const REAL *restrict b, size_t ldb, size_t m, size_t n, size_t k)
{
#if WH_KERN_F32
    num->gemm_bn(c, ldc, a, 1, lda, b, ldb, m, n, k, WH_GEMM_MORE, 0);
#else
    num->gemm_f64(c, ldc, a, 1, lda, b, ldb, 1, m, n, k, true);
#endif
}

/* ---- Chains ------------------------------------------------------------------------------------ */

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

static void fill_n(REAL *out, REAL value, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = value;
}

/* Elements from … from + n - 1 of an operand that repeats along some axes. */
static void load_strided(REAL *out, const REAL *data, const wh_operand *operand, size_t from, size_t n)
{
    size_t at[WH_GRAPH_RANK], offset = 0, last = operand->rank - 1;
    for (size_t k = operand->rank; k-- > 0; from /= operand->size[k]) {
        at[k] = from % operand->size[k];
        offset += at[k] * operand->stride[k];
    }
    while (n > 0) {
        size_t run = least(n, operand->size[last] - at[last]), step = operand->stride[last];
        if (step == 0)
            fill_n(out, data[offset], run);
        else if (step == 1)
            memcpy(out, data + offset, run * sizeof *out);
        else
            for (size_t i = 0; i < run; i++) out[i] = data[offset + i * step];
        out += run;
        n -= run;
        at[last] += run;
        offset += run * step;
        for (size_t k = last; k > 0 && at[k] == operand->size[k]; k--) {
            offset -= operand->size[k] * operand->stride[k];
            at[k] = 0;
            at[k - 1]++;
            offset += operand->stride[k - 1];
        }
    }
}

/* The operands of one block, in source[]. Buffers of constants were filled before. */
static void point_operands(const REAL *source[], const wh_call *call, REAL *buffers, size_t from, size_t n)
{
    const wh_chain *chain = call->chain;
    for (unsigned k = 0; k < chain->n_operands; k++) {
        REAL *buffer = buffers + k * BLOCK;
        source[k] = buffer;
        const REAL *data = call->arg[call->chain_arg + k];
        if (chain->operand[k].kind == WH_OPERAND_ARRAY) source[k] = data + from;
        if (chain->operand[k].kind == WH_OPERAND_STRIDED) load_strided(buffer, data, &chain->operand[k], from, n);
    }
}

static void fill_constants(const wh_call *call)
{
    const wh_chain *chain = call->chain;
    for (unsigned k = 0; k < chain->n_operands; k++) {
        REAL *buffer = (REAL *)call->scratch + k * BLOCK;
        if (chain->operand[k].kind == WH_OPERAND_FILL) fill_n(buffer, (REAL)chain->operand[k].number, BLOCK);
        if (chain->operand[k].kind == WH_OPERAND_ONE)
            fill_n(buffer, *(const REAL *)call->arg[call->chain_arg + k], BLOCK);
    }
}

/* Elements from … to-1, block by block: all operations run on a block while it is in the nearest cache. */
static void chain_elements(const wh_call *call, size_t from, size_t to)
{
    const wh_chain *chain = call->chain;
    const REAL *source[WH_CHAIN_ARGS + WH_CHAIN_OPS];
    REAL *buffers = call->scratch, *slots = buffers + chain->n_operands * BLOCK;
    for (size_t at = from; at < to; at += BLOCK) {
        size_t n = least(BLOCK, to - at);
        point_operands(source, call, buffers, at, n);
        for (unsigned k = 0; k < chain->n_ops; k++) {
            REAL *out = k + 1 == chain->n_ops ? (REAL *)call->out + at : slots + chain->op[k].slot * (size_t)BLOCK;
            const uint8_t *s = chain->op[k].source;
            element(call->num, chain->op[k].element, chain->op[k].number, out, source[s[0]], source[s[1]], source[s[2]],
                    n);
            source[chain->n_operands + k] = out;
        }
    }
}

/* A unit is BLOCK elements. */
void NAME(chain)(const wh_call *call, size_t from, size_t to)
{
    fill_constants(call);
    chain_elements(call, from * BLOCK, least(to * BLOCK, wh_dims_size(call->out_dims)));
}

/* ---- Shapes ------------------------------------------------------------------------------------- */

void NAME(fill)(const wh_call *call, size_t from, size_t to)
{
    (void)from, (void)to;
    fill_n(call->out, (REAL)call->attr->real[0], wh_dims_size(call->out_dims));
}

/* Rows from … to-1 of the output: element (i, …, j) is data[base + i stride[0] + … + j stride[rank-1]]. */
static void copy_strided(const wh_call *call, const size_t stride[], size_t base, size_t from, size_t to)
{
    const wh_dims *dims = call->out_dims;
    const REAL *data = call->arg[0];
    const unsigned outer = dims->rank > 0 ? dims->rank - 1 : 0;
    size_t last = wh_dims_last(dims), step = dims->rank ? stride[outer] : 1, at[WH_GRAPH_RANK], offset = base;
    for (size_t k = outer, left = from; k-- > 0; left /= dims->dim[k]) {
        at[k] = left % dims->dim[k];
        offset += at[k] * stride[k];
    }
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * last;
        if (step == 1)
            memcpy(out, data + offset, last * sizeof *out);
        else
            for (size_t i = 0; i < last; i++) out[i] = data[offset + i * step];
        for (size_t k = outer; k-- > 0;) {
            offset += stride[k];
            if (++at[k] < dims->dim[k]) break;
            offset -= dims->dim[k] * stride[k];
            at[k] = 0;
        }
    }
}

static void strides_of(size_t stride[], const wh_dims *dims)
{
    size_t step = 1;
    for (unsigned k = dims->rank; k-- > 0; step *= dims->dim[k]) stride[k] = step;
}

/* Rows of the output, as one range of its elements: axes where one step is a whole run of the next are joined. */
void NAME(transpose)(const wh_call *call, size_t from, size_t to)
{
    size_t in[WH_GRAPH_RANK] = {0}, last = wh_dims_last(call->out_dims);
    wh_operand o = {.rank = 0};
    strides_of(in, call->arg_dims);
    for (unsigned k = 0; k < call->out_dims->rank; k++) {
        size_t size = call->out_dims->dim[k], stride = in[call->attr->whole[k]];
        if (size == 1 && (o.rank > 0 || k + 1 < call->out_dims->rank)) continue;
        if (o.rank > 0 && o.stride[o.rank - 1] == stride * size) {
            o.size[o.rank - 1] *= size;
            o.stride[o.rank - 1] = stride;
        } else {
            o.size[o.rank] = size;
            o.stride[o.rank++] = stride;
        }
    }
    load_strided((REAL *)call->out + from * last, call->arg[0], &o, from * last, (to - from) * last);
}

void NAME(broadcast)(const wh_call *call, size_t from, size_t to)
{
    size_t in[WH_GRAPH_RANK] = {0}, stride[WH_GRAPH_RANK] = {0};
    const wh_dims *narrow = call->arg_dims;
    unsigned lead = call->out_dims->rank - narrow->rank;
    strides_of(in, narrow);
    for (unsigned k = 0; k < narrow->rank; k++) stride[k + lead] = narrow->dim[k] == 1 ? 0 : in[k];
    copy_strided(call, stride, 0, from, to);
}

void NAME(slice)(const wh_call *call, size_t from, size_t to)
{
    size_t stride[WH_GRAPH_RANK] = {0}, base = 0;
    strides_of(stride, call->arg_dims);
    for (unsigned k = 0; k < call->out_dims->rank; k++) base += call->attr->whole[k] * stride[k];
    copy_strided(call, stride, base, from, to);
}

void NAME(pad)(const wh_call *call, size_t from, size_t to)
{
    const wh_dims *wide = call->out_dims, *small = call->arg_dims;
    const size_t *before = call->attr->whole;
    unsigned rank = wide->rank;
    size_t stride[WH_GRAPH_RANK] = {0}, last = wide->dim[rank - 1], inner = small->dim[rank - 1];
    strides_of(stride, small);
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * last;
        size_t left = row, offset = 0;
        bool inside = true;
        for (unsigned k = rank - 1; k-- > 0; left /= wide->dim[k]) {
            size_t at = left % wide->dim[k];
            inside = inside && at >= before[k] && at - before[k] < small->dim[k];
            if (inside) offset += (at - before[k]) * stride[k];
        }
        memset(out, 0, last * sizeof *out);
        if (inside) memcpy(out + before[rank - 1], (const REAL *)call->arg[0] + offset, inner * sizeof *out);
    }
}

void NAME(concat)(const wh_call *call, size_t from, size_t to)
{
    (void)from, (void)to;
    size_t axis = call->attr->whole[0], outer = 1, row = 1, offset = 0;
    for (unsigned k = 0; k < call->out_dims->rank; k++) *(k < axis ? &outer : &row) *= call->out_dims->dim[k];
    for (unsigned i = 0; i < call->n_args; i++) {
        size_t part = wh_dims_size(&call->arg_dims[i]) / outer;
        for (size_t o = 0; o < outer; o++)
            memcpy((REAL *)call->out + o * row + offset, (const REAL *)call->arg[i] + o * part, part * sizeof(REAL));
        offset += part;
    }
}

/* ---- Sums ------------------------------------------------------------------------------------------- */

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
    wh_sum_plan plan = wh_graph_sum_plan(call->arg_dims, call->attr->whole[0]);
    for (size_t unit = from; unit < to; unit++) {
        if (plan.summed[plan.rank - 1])
            sum_element(call, &plan, unit);
        else
            sum_columns(call, &plan, unit);
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

/* ---- Products ------------------------------------------------------------------------------------------ */

/* One block of the product; returns where it begins in the output, *n: its elements, if it has all columns. */
static size_t multiply_block(const wh_call *call, const wh_product_plan *p, size_t unit, size_t *n)
{
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
    const wh_product_plan p = wh_graph_product_plan(call);
    for (size_t unit = from, n; unit < to; unit++) (void)multiply_block(call, &p, unit, &n);
}

/* A product and the chain that alone reads it: block after block, while the block is in the second cache. */
void NAME(matmul_chain)(const wh_call *call, size_t from, size_t to)
{
    const wh_product_plan p = wh_graph_product_plan(call);
    fill_constants(call);
    for (size_t unit = from, n; unit < to; unit++) {
        size_t at = multiply_block(call, &p, unit, &n);
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

/* ---- Indices ------------------------------------------------------------------------------------------------ */

void NAME(gather)(const wh_call *call, size_t from, size_t to)
{
    size_t d = call->arg_dims[0].dim[1];
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++)
        memcpy((REAL *)call->out + row * d, (const REAL *)call->arg[0] + index[row] * d, d * sizeof(REAL));
}

void NAME(scatter)(const wh_call *call, size_t from, size_t to)
{
    size_t v = call->out_dims->dim[0], d = call->out_dims->dim[1], n = wh_dims_size(&call->arg_dims[1]);
    const uint32_t *index = call->arg[1];
    size_t first = from * 64, width = least(d, to * 64) - first;
    for (size_t row = 0; row < v; row++) memset((REAL *)call->out + row * d + first, 0, width * sizeof(REAL));
    for (size_t row = 0; row < n; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * d + first;
        REAL *out = (REAL *)call->out + index[row] * d + first;
        EVERY(j, width) out[j] += x[j];
    }
}

void NAME(take)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(&call->arg_dims[0]), k = wh_dims_last(&call->arg_dims[1]);
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++)
        for (size_t j = 0; j < k; j++)
            ((REAL *)call->out)[row * k + j] = ((const REAL *)call->arg[0])[row * n + index[row * k + j]];
}

void NAME(put)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims), k = wh_dims_last(&call->arg_dims[1]);
    const uint32_t *index = call->arg[1];
    memset((REAL *)call->out + from * n, 0, (to - from) * n * sizeof(REAL));
    for (size_t row = from; row < to; row++)
        for (size_t j = 0; j < k; j++)
            ((REAL *)call->out)[row * n + index[row * k + j]] += ((const REAL *)call->arg[0])[row * k + j];
}

static uint64_t scramble(uint64_t x)
{
    x += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

/* Element i is kept where 53 bits of a hash of (seed, site, i) are at least rate. */
void NAME(keep_mask)(const wh_call *call, size_t from, size_t to)
{
    const uint32_t *seed = call->arg[0];
    uint64_t key = scramble(scramble((uint64_t)seed[1] << 32 | seed[0]) ^ call->attr->whole[0]);
    double rate = call->attr->real[0];
    REAL kept = (REAL)(1 / (1 - rate));
    size_t end = least(wh_dims_size(call->out_dims), to * BLOCK);
    for (size_t i = from * BLOCK; i < end; i++)
        ((REAL *)call->out)[i] = (double)(scramble(key + i * 0x9E3779B97F4A7C15) >> 11) * 0x1p-53 < rate ? 0 : kept;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static double moments(double *mean, const REAL *x, size_t n, double eps)
{
    double m = sum_n(x, n) / (double)n, rest[LANES] = {0};
    vd part[DN] = {{0}}, v[DN];
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        load_doubles(v, x + at, LANES);
#pragma GCC unroll 8
        for (size_t i = 0; i < DN; i++) part[i] += (v[i] - m) * (v[i] - m);
    }
    for (size_t j = 0; at + j < n; j++) rest[j] = ((double)x[at + j] - m) * ((double)x[at + j] - m);
    memcpy(v, rest, sizeof v);
    for (size_t i = 0; i < DN; i++) part[i] += v[i];
    *mean = m;
    return 1 / sqrt(tree(part) / (double)n + eps);
}

void NAME(normalize)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        REAL *out = (REAL *)call->out + row * n;
        double mean, scale = moments(&mean, x, n, call->attr->real[0]);
        EVERY(i, n) out[i] = (REAL)(((double)x[i] - mean) * scale);
    }
}

void NAME(normalize_back)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n, *c = (const REAL *)call->arg[1] + row * n;
        REAL *out = (REAL *)call->out + row * n;
        double mean, scale = moments(&mean, x, n, call->attr->real[0]), level = sum_n(c, n) / (double)n;
        vd part[DN] = {{0}}, v[DN], w[DN];
        for (size_t at = 0; at < n; at += LANES) { /* where c ends there are zeros */
            load_doubles(v, x + at, n - at);
            load_doubles(w, c + at, n - at);
#pragma GCC unroll 8
            for (size_t i = 0; i < DN; i++) part[i] += w[i] * ((v[i] - mean) * scale);
        }
        double along = tree(part) / (double)n;
        EVERY(i, n)
        out[i] = (REAL)(scale * ((double)c[i] - level - ((double)x[i] - mean) * scale * along));
    }
}

/* How many columns row `row` of a (causal) softmax sees. */
static size_t visible(const wh_call *call, size_t row)
{
    const wh_dims *dims = call->out_dims;
    size_t s = wh_dims_last(dims);
    if (!call->attr->whole[0]) return s;
    size_t t = dims->dim[dims->rank - 2];
    return row % t + s - t + 1;
}

static void softmax_row(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    REAL max = largest(x, n);
    EVERY(i, n) out[i] = x[i] - max;
    exp_n(num, out, out, n);
    REAL scale = (REAL)(1 / sum_n(out, n));
    EVERY(i, n) out[i] *= scale;
}

void NAME(softmax)(const wh_call *call, size_t from, size_t to)
{
    size_t s = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * s;
        size_t n = visible(call, row);
        softmax_row(call->num, out, (const REAL *)call->arg[0] + row * s, n);
        memset(out + n, 0, (s - n) * sizeof *out);
    }
}

void NAME(softmax_back)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *y = (const REAL *)call->arg[0] + row * n, *c = (const REAL *)call->arg[1] + row * n;
        REAL *out = (REAL *)call->out + row * n, along = (REAL)dot_n(y, c, n);
        EVERY(i, n) out[i] = y[i] * (c[i] - along);
    }
}

/* log Σ e^(x - max), and max */
static double log_sum(const wh_num_kernels *num, REAL *max, const REAL *x, size_t n)
{
    REAL t[BLOCK];
    double sum = 0;
    *max = largest(x, n);
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t len = least(BLOCK, n - from);
        EVERY(i, len) t[i] = x[from + i] - *max;
        exp_n(num, t, t, len);
        sum += sum_n(t, len);
    }
    return log(sum);
}

void NAME(log_softmax)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        REAL max, *out = (REAL *)call->out + row * n;
        REAL log_total = (REAL)log_sum(call->num, &max, x, n);
        EVERY(i, n) out[i] = x[i] - max - log_total;
    }
}

void NAME(cross_entropy)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->arg_dims);
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        REAL max;
        double log_total = log_sum(call->num, &max, x, n);
        ((REAL *)call->out)[row] = (REAL)(log_total + ((double)max - (double)x[index[row]]));
    }
}

void NAME(cross_entropy_back)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * n, c = ((const REAL *)call->arg[2])[row];
        softmax_row(call->num, out, (const REAL *)call->arg[0] + row * n, n);
        out[index[row]] -= 1;
        EVERY(i, n) out[i] *= c;
    }
}

#include "nn/graph/kern_attention.h"
