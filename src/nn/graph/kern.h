/* nn/graph/kern.h: how a kernel is called, and the kernels there are.
 *
 * A kernel does units from … to-1 of its work. The units are cut by shape, and no unit's result depends on how they
 * are grouped. kern_body.h is compiled once for float and once for double; it is the specification. */
#ifndef WH_NN_GRAPH_KERN_H
#define WH_NN_GRAPH_KERN_H

#include "nn/graph/graph.h"
#include "num/kern.h"

size_t wh_dims_last(const wh_dims *dims); /* 1 for a scalar */

/* An operation's settings; unused ones are 0. */
typedef struct wh_attr {
    double real[2];
    size_t whole[6];
} wh_attr;

/* ---- Sums: the axes with neighbours of one kind joined, axes of 1 left out ---- */
typedef struct wh_sum_plan {
    unsigned rank; /* >= 1 */
    size_t size[WH_GRAPH_RANK], stride[WH_GRAPH_RANK];
    bool summed[WH_GRAPH_RANK];
} wh_sum_plan;

/* ---- Products: how one of a stack is cut into blocks, from m, n, k and the height of the stack alone ---- */
typedef struct wh_product_plan {
    size_t m, n, k, stack;
    size_t rows, columns;     /* of a block */
    size_t n_rows, n_columns; /* blocks of one product */
} wh_product_plan;

/* What a step's shapes alone decide, found once when its program is made. */
typedef union wh_plan {
    wh_sum_plan sum;
    wh_product_plan product;
} wh_plan;

typedef struct wh_call {
    void *out;
    const void *const *arg;
    const wh_dims *out_dims;
    const wh_dims *arg_dims;
    unsigned n_args;
    const wh_attr *attr;
    const wh_plan *plan;          /* of sums and products */
    void *scratch;                /* the worker's */
    const struct wh_chain *chain; /* its operands are the last arguments */
    unsigned chain_arg;           /* the first of them */
    const wh_num_kernels *num;
} wh_call;

typedef void wh_kernel(const wh_call *call, size_t from, size_t to);

typedef struct wh_cut {
    size_t units;
    size_t cost; /* of one, in about multiply-adds: small units are handed out together */
} wh_cut;

/* ---- Chains of elementwise operations ---- */
typedef enum wh_element {
    WH_ELEMENT_NONE,
    WH_ELEMENT_COPY,
    WH_ELEMENT_ADD,
    WH_ELEMENT_SUB,
    WH_ELEMENT_MUL,
    WH_ELEMENT_DIV,
    WH_ELEMENT_MAX,
    WH_ELEMENT_MIN,
    WH_ELEMENT_NOT_LESS,
    WH_ELEMENT_WHERE,
    WH_ELEMENT_STANDARDIZE,
    WH_ELEMENT_NEG,
    WH_ELEMENT_EXP,
    WH_ELEMENT_LOG,
    WH_ELEMENT_SQRT,
    WH_ELEMENT_RSQRT,
    WH_ELEMENT_TANH,
    WH_ELEMENT_SIGMOID,
    WH_ELEMENT_SOFTPLUS,
    WH_ELEMENT_ERF,
    WH_ELEMENT_RELU,
    WH_ELEMENT_POSITIVE,
    WH_ELEMENT_ABS,
    WH_ELEMENT_POW,
    WH_ELEMENT_GELU,
    WH_ELEMENT_GELU_TANH,
    WH_ELEMENT_GELU_SLOPE,
    WH_ELEMENT_GELU_TANH_SLOPE,
} wh_element;

enum { WH_CHAIN_OPS = 24, WH_CHAIN_ARGS = 12, WH_CHAIN_BLOCK = 512 };

typedef enum wh_operand_kind {
    WH_OPERAND_ARRAY,   /* as the output lies */
    WH_OPERAND_ONE,     /* one number, everywhere */
    WH_OPERAND_STRIDED, /* repeated along some axes */
    WH_OPERAND_FILL,    /* a constant of the chain */
} wh_operand_kind;

/* An argument of a chain: where element i of the output finds its partner. */
typedef struct wh_operand {
    wh_operand_kind kind;
    double number; /* FILL */
    unsigned rank; /* STRIDED: axes of the output with neighbours joined, stride 0 where it repeats */
    size_t size[WH_GRAPH_RANK], stride[WH_GRAPH_RANK];
} wh_operand;

/* Instruction k writes register k; sources below n_operands are operands, the others registers. The last writes the
 * output. */
typedef struct wh_chain {
    unsigned n_ops, n_operands;
    wh_operand operand[WH_CHAIN_ARGS]; /* operand i reads call->arg[i] */
    struct {
        wh_element element;
        uint8_t source[3];
        uint8_t slot; /* of the block buffers */
        double number;
    } op[WH_CHAIN_OPS];
    unsigned n_slots; /* block buffers a worker needs, beside two for each operand */
} wh_chain;

enum { WH_ATTENTION_ROWS = 64 }; /* of scores at a time */
enum { WH_SUM_COLUMNS = 64 };    /* summed together where the last axis is kept */

/* Kernels compiled for every instruction set (kern_body.h), and those that are there once. */
/* clang-format off */
#define WH_WIDE_KERNELS(X) \
    X(chain) X(chain_sum) X(fill) X(sum) X(cumsum) X(transpose) X(broadcast) X(slice) X(pad) X(concat) X(matmul) X(matmul_chain) \
    X(gather) X(scatter) X(take) X(put) X(normalize) X(normalize_back) X(softmax) X(softmax_back) X(log_softmax) \
    X(cross_entropy) X(cross_entropy_back) X(max_last) X(outer_squared) X(gather_squared) X(tied_cross) X(keep_mask) \
    X(attention) X(attention_back)
#define WH_KERNELS(X) \
    WH_WIDE_KERNELS(X) X(max_window) X(window_take) X(window_put) X(avg_pool) X(avg_pool_back) X(conv) X(conv_data) \
    X(conv_weight) X(conv_squared) X(conv_each) X(normalize_grid) X(normalize_grid_back) X(normalize_grid_second) \
    X(turn)
/* clang-format on */
#define WH_KERNEL_DECLARE(name)                                                                                        \
    void wh_kern_f32_##name(const wh_call *call, size_t from, size_t to);                                              \
    void wh_kern_f64_##name(const wh_call *call, size_t from, size_t to);
WH_KERNELS(WH_KERNEL_DECLARE)
#undef WH_KERNEL_DECLARE
#define WH_KERNEL_PAIR(name)                                                                                           \
    {                                                                                                                  \
        wh_kern_f32_##name, wh_kern_f64_##name                                                                         \
    }
#if defined(__x86_64__)
#define WH_KERNEL_DECLARE(name)                                                                                        \
    void wh_kern_f32_avx2_##name(const wh_call *call, size_t from, size_t to);                                         \
    void wh_kern_f64_avx2_##name(const wh_call *call, size_t from, size_t to);                                         \
    void wh_kern_f32_avx512_##name(const wh_call *call, size_t from, size_t to);                                       \
    void wh_kern_f64_avx512_##name(const wh_call *call, size_t from, size_t to);
WH_WIDE_KERNELS(WH_KERNEL_DECLARE)
#undef WH_KERNEL_DECLARE
#define WH_KERNEL_WIDE(name)                                                                                           \
    {                                                                                                                  \
        WH_KERNEL_PAIR(name), WH_KERNEL_PAIR(avx2_##name), WH_KERNEL_PAIR(avx512_##name)                               \
    }
#else
#define WH_KERNEL_WIDE(name)                                                                                           \
    {                                                                                                                  \
        WH_KERNEL_PAIR(name), WH_KERNEL_PAIR(name), WH_KERNEL_PAIR(name)                                               \
    }
#endif

#endif
