/* num/onednn.c: the few functions of oneDNN's C interface that a convolution takes, by dlopen, with declarations of our
 * own. State: the library, filled once; primitives by shape, under a lock and never changed after they are published.
 */
#include "num/onednn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"

/* ---- The interface of version 2.6 --------------------------------------------------------------------------- */

enum { MAJOR = 2, MINOR = 6, RUNTIME_OMP = 2 };
enum { SUCCESS = 0, CPU = 1, F32 = 3, FORWARD_TRAINING = 64, DIRECT = 1, IN_ORDER = 1, SCRATCHPAD_USER = 1 };
enum { QUERY_IMPLEMENTATION = 8, QUERY_SCRATCHPAD = 136, ISA_AVX2 = 0x7, ISA_AVX512 = 0x27 };
enum {
    ARG_SRC = 1,
    ARG_DST = 17,
    ARG_WEIGHTS = 33,
    ARG_SCRATCHPAD = 80,
    ARG_DIFF_SRC = 129,
    ARG_DIFF_DST = 145,
    ARG_DIFF_WEIGHTS = 161
};
/* Layouts, a, b … being the axes in order, capitals blocked. */
enum {
    LAYOUT_ABCD = 5,
    LAYOUT_ABCD16A16B = 66,
    LAYOUT_ABCD16B = 69,
    LAYOUT_ABCD16B16A = 70,
    LAYOUT_ABCD8A8B = 91,
    LAYOUT_ABCD8B = 93,
    LAYOUT_ABCD8B8A = 98,
    LAYOUT_ACDB16A = 202,
    LAYOUT_ACDB8A = 207
};

enum { AXES = 12, LAYOUT_BYTES = 696, CONV_BYTES = 5976 };
typedef int64_t axes[AXES];
/* Filled by the library and handed back to it: only the sizes matter here. */
typedef struct layout {
    _Alignas(8) uint8_t bytes[LAYOUT_BYTES];
} layout;
typedef struct conv_text {
    _Alignas(8) uint8_t bytes[CONV_BYTES];
} conv_text;
typedef struct version {
    int major, minor, patch;
    const char *hash;
    unsigned cpu_runtime, gpu_runtime;
} version;
typedef struct engine engine;
typedef struct stream stream;
typedef struct attributes attributes;
typedef struct description description;
typedef struct code code;
typedef struct memory memory;
typedef struct argument {
    int name;
    memory *memory;
} argument;

/* What is called, with its type. */
/* clang-format off */
#define FUNCTIONS(X) \
    X(const version *, version, (void)) \
    X(int, set_verbose, (int level)) \
    X(int, set_max_cpu_isa, (int isa)) \
    X(int, engine_create, (engine **out, int kind, size_t index)) \
    X(int, stream_create, (stream **out, engine *e, unsigned flags)) \
    X(int, stream_destroy, (stream *s)) \
    X(int, memory_desc_init_by_tag, (layout *out, int rank, const int64_t *dims, int type, int tag)) \
    X(size_t, memory_desc_get_size, (const layout *l)) \
    X(int, memory_create, (memory **out, const layout *l, engine *e, void *data)) \
    X(int, memory_destroy, (memory *m)) \
    X(int, primitive_attr_create, (attributes **out)) \
    X(int, primitive_attr_destroy, (attributes *a)) \
    X(int, primitive_attr_set_scratchpad_mode, (attributes *a, int mode)) \
    X(int, convolution_forward_desc_init, (conv_text *out, int kind, int algorithm, const layout *src, \
      const layout *weights, const layout *bias, const layout *dst, const int64_t *strides, const int64_t *left, \
      const int64_t *right)) \
    X(int, convolution_backward_data_desc_init, (conv_text *out, int algorithm, const layout *src, \
      const layout *weights, const layout *dst, const int64_t *strides, const int64_t *left, const int64_t *right)) \
    X(int, convolution_backward_weights_desc_init, (conv_text *out, int algorithm, const layout *src, \
      const layout *weights, const layout *bias, const layout *dst, const int64_t *strides, const int64_t *left, \
      const int64_t *right)) \
    X(int, primitive_desc_create, (description **out, const conv_text *text, const attributes *a, engine *e, \
      const description *hint)) \
    X(int, primitive_desc_destroy, (description *d)) \
    X(int, primitive_desc_query, (const description *d, int what, int index, void *out)) \
    X(const layout *, primitive_desc_query_md, (const description *d, int what, int index)) \
    X(int, primitive_create, (code **out, const description *d)) \
    X(int, primitive_execute, (const code *p, stream *s, int n, const argument *arguments))
/* clang-format on */
#define POINTER(result, name, arguments) result(*name) arguments;
#define NAME_OF(result, name, arguments) "dnnl_" #name,

/* A primitive with what it takes to call it. */
typedef struct made {
    wh_onednn_shape shape;
    code *code; /* NULL: the library has none that is worth it */
    layout out, a, b, scratchpad;
    size_t scratch_bytes;
} made;

static struct {
    pthread_once_t once;
    struct {
        FUNCTIONS(POINTER)
    } fn;
    int (*omp_threads)(void);
    void (*omp_set_threads)(int);
    engine *cpu;
    wh_cpu_level level;
    char name[40], why[160];
    atomic_bool loaded, used;
    pthread_mutex_t lock; /* of the two below; entries below n never change */
    made *made[WH_ONEDNN_SHAPES + 1];
    size_t n;
} dnn = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .n = 1};

/* ---- Loading ---------------------------------------------------------------------------------------------- */

static bool find_functions(void *library)
{
    static const char *const names[] = {FUNCTIONS(NAME_OF)};
    _Static_assert(sizeof dnn.fn == sizeof names, "a pointer for each name");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        /* dlsym gives an object pointer; POSIX promises that it can hold a function's. */
        void *symbol = dlsym(library, names[i]);
        if (!symbol) {
            (void)snprintf(dnn.why, sizeof dnn.why, "libdnnl.so.2 has no function %s", names[i]);
            return false;
        }
        memcpy((char *)&dnn.fn + i * sizeof symbol, &symbol, sizeof symbol);
    }
    return true;
}

/* The build of Debian splits each call over OpenMP's threads, which the calling thread can forbid. */
static bool find_openmp(void *library, const version *v)
{
    *(void **)&dnn.omp_threads = dlsym(library, "omp_get_max_threads");
    *(void **)&dnn.omp_set_threads = dlsym(library, "omp_set_num_threads");
    if (v->cpu_runtime == RUNTIME_OMP && dnn.omp_threads && dnn.omp_set_threads) return true;
    (void)snprintf(dnn.why, sizeof dnn.why, "libdnnl.so.2 is built for threads of kind %u, not for OpenMP",
                   v->cpu_runtime);
    return false;
}

static bool start(void *library)
{
    if (!find_functions(library)) return false;
    const version *v = dnn.fn.version();
    if (v->major != MAJOR || v->minor != MINOR) {
        (void)snprintf(dnn.why, sizeof dnn.why, "libdnnl.so.2 is version %d.%d.%d; %d.%d is asked for", v->major,
                       v->minor, v->patch, MAJOR, MINOR);
        return false;
    }
    if (!find_openmp(library, v)) return false;
    (void)dnn.fn.set_verbose(0); /* ONEDNN_VERBOSE would print */
    if (dnn.fn.set_max_cpu_isa(dnn.level == WH_CPU_AVX512 ? ISA_AVX512 : ISA_AVX2) != SUCCESS ||
        dnn.fn.engine_create(&dnn.cpu, CPU, 0) != SUCCESS) {
        (void)snprintf(dnn.why, sizeof dnn.why, "libdnnl.so.2 does not start for %s", wh_cpu_name(dnn.level));
        return false;
    }
    (void)snprintf(dnn.name, sizeof dnn.name, "onednn-%d.%d.%d", v->major, v->minor, v->patch);
    return true;
}

static void load(void)
{
    dnn.level = wh_cpu_get();
    if (dnn.level == WH_CPU_GENERIC) return;
    void *library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        (void)snprintf(dnn.why, sizeof dnn.why, "libdnnl.so.2 is not here (Debian: apt-get install libdnnl2)");
    else if (start(library))
        atomic_store(&dnn.loaded, true);
    else
        (void)dlclose(library);
}

whist_status wh_onednn_load(void)
{
    wh_cpu_level level = wh_cpu_get();
    if (level == WH_CPU_GENERIC) WH_FAIL(WHIST_E_UNSUPPORTED, "oneDNN: none for the generic instruction set");
    (void)pthread_once(&dnn.once, load);
    if (level != dnn.level)
        WH_FAIL(WHIST_E_UNSUPPORTED, "oneDNN: this process settled on %s, not %s", wh_cpu_name(dnn.level),
                wh_cpu_name(level));
    if (!atomic_load(&dnn.loaded)) WH_FAIL(WHIST_E_UNSUPPORTED, "oneDNN: %s", dnn.why);
    return WHIST_OK;
}

const char *wh_onednn_name(void)
{
    return atomic_load(&dnn.used) ? dnn.name : NULL;
}

size_t wh_onednn_block(void)
{
    return dnn.level == WH_CPU_AVX512 ? 16 : 8;
}

/* ---- Primitives ------------------------------------------------------------------------------------------ */

typedef struct layouts {
    layout x, w, y;
} layouts;

static bool describe(layout *out, size_t a, size_t b, size_t c, size_t d, int tag)
{
    const axes dims = {(int64_t)a, (int64_t)b, (int64_t)c, (int64_t)d};
    return dnn.fn.memory_desc_init_by_tag(out, 4, dims, F32, tag) == SUCCESS;
}

static bool lay_out(layouts *l, const wh_onednn_shape *s)
{
    bool wide = wh_onednn_block() == 16, few = s->c <= 4;
    int image = wide ? LAYOUT_ABCD16B : LAYOUT_ABCD8B, weight = wide ? LAYOUT_ABCD16B16A : LAYOUT_ABCD8B8A;
    if (s->kind == WH_ONEDNN_DATA) weight = wide ? LAYOUT_ABCD16A16B : LAYOUT_ABCD8A8B;
    if (few) weight = wide ? LAYOUT_ACDB16A : LAYOUT_ACDB8A;
    return describe(&l->x, s->n, s->c, s->h, s->w, few ? LAYOUT_ABCD : image) &&
           describe(&l->w, s->o, s->c, s->kh, s->kw, weight) && describe(&l->y, s->n, s->o, s->oh, s->ow, image);
}

static description *described(const wh_onednn_shape *s, const layouts *l, const attributes *user)
{
    const axes strides = {(int64_t)s->stride, (int64_t)s->stride}, pad = {(int64_t)s->pad, (int64_t)s->pad};
    conv_text text;
    description *forward = NULL, *d = NULL;
    if (dnn.fn.convolution_forward_desc_init(&text, FORWARD_TRAINING, DIRECT, &l->x, &l->w, NULL, &l->y, strides, pad,
                                             pad) != SUCCESS)
        return NULL;
    if (s->kind == WH_ONEDNN_FORWARD)
        return dnn.fn.primitive_desc_create(&d, &text, user, dnn.cpu, NULL) == SUCCESS ? d : NULL;
    /* The way back wants to know its way forward; in which layouts does not matter. */
    layouts own = *l;
    if (s->kind == WH_ONEDNN_DATA)
        (void)describe(&own.w, s->o, s->c, s->kh, s->kw, wh_onednn_block() == 16 ? LAYOUT_ABCD16B16A : LAYOUT_ABCD8B8A);
    (void)dnn.fn.convolution_forward_desc_init(&text, FORWARD_TRAINING, DIRECT, &own.x, &own.w, NULL, &own.y, strides,
                                               pad, pad);
    if (dnn.fn.primitive_desc_create(&forward, &text, NULL, dnn.cpu, NULL) != SUCCESS) return NULL;
    int status = s->kind == WH_ONEDNN_DATA
                     ? dnn.fn.convolution_backward_data_desc_init(&text, DIRECT, &l->x, &l->w, &l->y, strides, pad, pad)
                     : dnn.fn.convolution_backward_weights_desc_init(&text, DIRECT, &l->x, &l->w, NULL, &l->y, strides,
                                                                     pad, pad);
    if (status != SUCCESS || dnn.fn.primitive_desc_create(&d, &text, user, dnn.cpu, forward) != SUCCESS) d = NULL;
    (void)dnn.fn.primitive_desc_destroy(forward);
    return d;
}

/* Is it code written for this shape? Matrix products and the plain loops of the library are far slower than ours. */
static bool is_generated(const description *d)
{
    const char *how = "";
    if (dnn.fn.primitive_desc_query(d, QUERY_IMPLEMENTATION, 0, &how) != SUCCESS || !how) return false;
    return strncmp(how, "jit:", 4) == 0 || strncmp(how, "brgconv:", 8) == 0;
}

static void keep_layouts(made *m, const layouts *l, const description *d)
{
    bool forward = m->shape.kind == WH_ONEDNN_FORWARD, data = m->shape.kind == WH_ONEDNN_DATA;
    m->out = forward ? l->y : data ? l->x : l->w;
    m->a = data ? l->y : l->x;
    m->b = forward || data ? l->w : l->y;
    const layout *scratchpad = dnn.fn.primitive_desc_query_md(d, QUERY_SCRATCHPAD, 0);
    if (!scratchpad) return;
    m->scratchpad = *scratchpad;
    m->scratch_bytes = dnn.fn.memory_desc_get_size(scratchpad);
}

static void make(made *m)
{
    layouts l;
    attributes *user = NULL;
    if (!lay_out(&l, &m->shape) || dnn.fn.primitive_attr_create(&user) != SUCCESS) return;
    if (dnn.fn.primitive_attr_set_scratchpad_mode(user, SCRATCHPAD_USER) == SUCCESS) {
        description *d = described(&m->shape, &l, user);
        if (d && is_generated(d) && dnn.fn.primitive_create(&m->code, d) == SUCCESS) keep_layouts(m, &l, d);
        if (d) (void)dnn.fn.primitive_desc_destroy(d);
    }
    (void)dnn.fn.primitive_attr_destroy(user);
}

static bool same_shape(const wh_onednn_shape *a, const wh_onednn_shape *b)
{
    return a->kind == b->kind && a->n == b->n && a->c == b->c && a->h == b->h && a->w == b->w && a->o == b->o &&
           a->oh == b->oh && a->ow == b->ow && a->kh == b->kh && a->kw == b->kw && a->stride == b->stride &&
           a->pad == b->pad;
}

/* One thread while it lasts: the code is written for a number of threads, and called by as many. */
static int alone(void)
{
    int before = dnn.omp_threads();
    dnn.omp_set_threads(1);
    return before;
}

size_t wh_onednn_conv(const wh_onednn_shape *shape)
{
    size_t found = 0;
    (void)pthread_mutex_lock(&dnn.lock);
    for (size_t i = 1; i < dnn.n && !found; i++)
        if (same_shape(&dnn.made[i]->shape, shape)) found = i;
    made *m = NULL;
    if (!found && dnn.n <= WH_ONEDNN_SHAPES && WH_NEW(&m, 1) == WHIST_OK) {
        m->shape = *shape;
        int before = alone();
        make(m);
        dnn.omp_set_threads(before);
        found = dnn.n;
        dnn.made[dnn.n++] = m;
    }
    if (found && !dnn.made[found]->code) found = 0;
    if (found) atomic_store(&dnn.used, true);
    (void)pthread_mutex_unlock(&dnn.lock);
    return found;
}

size_t wh_onednn_scratch(size_t primitive)
{
    return dnn.made[primitive]->scratch_bytes;
}

/* ---- Calls ------------------------------------------------------------------------------------------------ */

enum { ARGUMENTS = 4 };

static bool execute(const made *m, const argument arguments[ARGUMENTS], int n)
{
    stream *s = NULL;
    if (dnn.fn.stream_create(&s, dnn.cpu, IN_ORDER) != SUCCESS) return false;
    int before = alone();
    bool good = dnn.fn.primitive_execute(m->code, s, n, arguments) == SUCCESS;
    dnn.omp_set_threads(before);
    (void)dnn.fn.stream_destroy(s);
    return good;
}

bool wh_onednn_run(size_t primitive, float *out, const float *a, const float *b, void *scratch)
{
    static const int names[][3] = {[WH_ONEDNN_FORWARD] = {ARG_DST, ARG_SRC, ARG_WEIGHTS},
                                   [WH_ONEDNN_DATA] = {ARG_DIFF_SRC, ARG_DIFF_DST, ARG_WEIGHTS},
                                   [WH_ONEDNN_WEIGHT] = {ARG_DIFF_WEIGHTS, ARG_SRC, ARG_DIFF_DST}};
    const made *m = dnn.made[primitive];
    const int *name = names[m->shape.kind];
    /* The library takes what it only reads as void * as well. */
    union {
        const float *in;
        void *any;
    } first = {.in = a}, second = {.in = b};
    const layout *l[ARGUMENTS] = {&m->out, &m->a, &m->b, &m->scratchpad};
    void *const data[ARGUMENTS] = {out, first.any, second.any, scratch};
    argument arguments[ARGUMENTS] = {{name[0], NULL}, {name[1], NULL}, {name[2], NULL}, {ARG_SCRATCHPAD, NULL}};
    int n = m->scratch_bytes > 0 ? ARGUMENTS : ARGUMENTS - 1;
    bool good = true;
    for (int i = 0; i < n && good; i++)
        good = dnn.fn.memory_create(&arguments[i].memory, l[i], dnn.cpu, data[i]) == SUCCESS;
    good = good && execute(m, arguments, n);
    for (int i = 0; i < n; i++)
        if (arguments[i].memory) (void)dnn.fn.memory_destroy(arguments[i].memory);
    return good;
}
