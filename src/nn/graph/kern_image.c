/* nn/graph/kern_image.c: which float kernels for images. The level is that of the run's table. */
#include "nn/graph/image.h"

const wh_image_kernels *wh_image_kernels_at(wh_cpu_level level)
{
#if defined(__x86_64__)
    static const wh_image_kernels *const tables[] = {&wh_image_kernels_generic, &wh_image_kernels_avx2,
                                                     &wh_image_kernels_avx512};
    return tables[level];
#else
    (void)level;
    return &wh_image_kernels_generic;
#endif
}

#define IMAGE_CHOOSE(name)                                                                                             \
    void wh_kern_f32_##name(const wh_call *call, size_t from, size_t to)                                               \
    {                                                                                                                  \
        wh_image_kernels_at(call->num->level)->name(call, from, to);                                                   \
    }
WH_IMAGE_KERNELS(IMAGE_CHOOSE)
