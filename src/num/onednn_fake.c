/* num/onednn_fake.c: a library that calls itself libdnnl.so.2 and is of another version (for onednn_test.c). */
struct version {
    int major, minor, patch;
    const char *hash;
    unsigned cpu_runtime, gpu_runtime;
};

/* clang-format off */
#define NAMES(X) \
    X(set_verbose) X(set_max_cpu_isa) X(engine_create) X(stream_create) X(stream_destroy) X(memory_desc_init_by_tag) \
    X(memory_desc_get_size) X(memory_create) X(memory_destroy) X(primitive_attr_create) X(primitive_attr_destroy) \
    X(primitive_attr_set_scratchpad_mode) X(convolution_forward_desc_init) X(convolution_backward_data_desc_init) \
    X(convolution_backward_weights_desc_init) X(primitive_desc_create) X(primitive_desc_destroy) \
    X(primitive_desc_query) X(primitive_desc_query_md) X(primitive_create) X(primitive_execute)
/* clang-format on */
#define SEEN __attribute__((visibility("default")))
#define DECLARE(name) SEEN int dnnl_##name(void);
#define FAIL(name)                                                                                                     \
    int dnnl_##name(void)                                                                                              \
    {                                                                                                                  \
        return 1;                                                                                                      \
    }
NAMES(DECLARE)
NAMES(FAIL)

SEEN const struct version *dnnl_version(void);
const struct version *dnnl_version(void)
{
    static const struct version v = {3, 1, 4, "", 2, 0};
    return &v;
}
