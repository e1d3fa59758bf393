/* nn/graph/kern/image_avx512.c: tiles of 6 x 64, 12 x 32 or 12 x 16 sums in 32 registers. */
#include "num/kern/vec_avx512.h"

typedef __mmask16 choice;
#define ROWS_1 12
#define ROWS_2 12
#define ROWS_4 6

#define v_sub _mm512_sub_ps
#define v_max _mm512_max_ps
#define v_greater(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_GT_OQ)
#define v_equal(a, b) _mm512_cmp_ps_mask((a), (b), _CMP_EQ_OQ)
#define v_choose(choice, yes, no) _mm512_mask_blend_ps((choice), (no), (yes))

#include "nn/graph/kern/image_tiles.h"
#include "nn/graph/kern/image_windows.h"

#define v_low _mm512_unpacklo_ps
#define v_high _mm512_unpackhi_ps
#define v_shuffle _mm512_shuffle_ps

TILE void v_turn_parts(vec r[16])
{
    __m512 t[16];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
#define v_plain_turn wh_kern_f32_avx512_transpose
#include "nn/graph/kern/image_turn.h"

const wh_image_kernels wh_image_kernels_avx512 = {IMAGE_TABLE};
