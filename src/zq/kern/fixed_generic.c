/* zq/kern/fixed_generic.c: the portable kernels, which are the specification. */
#include "zq/kern/fixed_words.h"

const struct wh_fixed_kernels wh_fixed_kernels_generic = {
    words_encode32, words_encode64, words_add32,    words_add64,
    words_decode32, words_decode64, words_within32, words_within64,
};
