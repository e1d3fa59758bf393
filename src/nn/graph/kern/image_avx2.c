/* nn/graph/kern/image_avx2.c: tiles of 6 x 16 or 12 x 8 sums in 16 registers. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vec;
typedef __m256i mask;
typedef __m256 choice;
#define V_LANES 8
#define ROWS_1 12
#define ROWS_2 6
#define ROWS_4 0

#define v_zero _mm256_setzero_ps
#define v_set1 _mm256_set1_ps
#define v_load _mm256_loadu_ps
#define v_load_mask(mask, p) _mm256_maskload_ps((p), (mask))
#define v_store _mm256_storeu_ps
#define v_store_mask _mm256_maskstore_ps
#define v_fma _mm256_fmadd_ps
#define v_mul _mm256_mul_ps
#define v_add _mm256_add_ps
#define v_sub _mm256_sub_ps
#define v_max _mm256_max_ps
#define v_greater(a, b) _mm256_cmp_ps((a), (b), _CMP_GT_OQ)
#define v_equal(a, b) _mm256_cmp_ps((a), (b), _CMP_EQ_OQ)
#define v_choose(choice, yes, no) _mm256_blendv_ps((no), (yes), (choice))

static inline mask v_mask(size_t n)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}

#include "nn/graph/kern/image_tiles.h"
#include "nn/graph/kern/image_windows.h"

const wh_image_kernels wh_image_kernels_avx2 = {IMAGE_TABLE};
