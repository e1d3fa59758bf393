/* nn/graph/kern/image_avx2.c: tiles of 6 x 16 or 12 x 8 sums in 16 registers. */
#include "num/kern/vec_avx2.h"

typedef __m256 choice;
#define ROWS_1 12
#define ROWS_2 6
#define ROWS_4 0

#define v_sub _mm256_sub_ps
#define v_max _mm256_max_ps
#define v_greater(a, b) _mm256_cmp_ps((a), (b), _CMP_GT_OQ)
#define v_equal(a, b) _mm256_cmp_ps((a), (b), _CMP_EQ_OQ)
#define v_choose(choice, yes, no) _mm256_blendv_ps((no), (yes), (choice))

#include "nn/graph/kern/image_tiles.h"
#include "nn/graph/kern/image_windows.h"

#define v_low _mm256_unpacklo_ps
#define v_high _mm256_unpackhi_ps
#define v_shuffle _mm256_shuffle_ps

TILE void v_turn_parts(vec r[8])
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m256 low = r[i], high = r[i + 4];
        r[i] = _mm256_permute2f128_ps(low, high, 0x20);
        r[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
}
#define v_plain_turn wh_kern_f32_avx2_transpose
#include "nn/graph/kern/image_turn.h"

const wh_image_kernels wh_image_kernels_avx2 = {IMAGE_TABLE};
