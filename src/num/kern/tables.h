/* num/kern/tables.h: the tables that num/kern.c chooses from. */
#ifndef WH_NUM_KERN_TABLES_H
#define WH_NUM_KERN_TABLES_H

#include "num/kern.h"

extern const wh_num_kernels wh_num_kernels_generic;
#if defined(__x86_64__)
extern const wh_num_kernels wh_num_kernels_avx2;
extern const wh_num_kernels wh_num_kernels_avx512;
#endif

#endif
