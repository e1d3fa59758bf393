/* base/cpu.h: what the processor can do, read once. WHIST_CPU=generic|avx2|avx512 lowers it. */
#ifndef WH_BASE_CPU_H
#define WH_BASE_CPU_H

#include "base/status.h"

typedef enum wh_cpu_level {
    WH_CPU_GENERIC, /* portable C */
    WH_CPU_AVX2,    /* AVX2, FMA, BMI2 */
    WH_CPU_AVX512,  /* + AVX-512 F, BW, CD, DQ, VL */
} wh_cpu_level;

/* The level in force: what the machine has, lowered by WHIST_CPU. */
wh_cpu_level wh_cpu_get(void);
/* What the machine has, whatever WHIST_CPU says (tests run every kernel up to it). */
wh_cpu_level wh_cpu_machine(void);
const char *wh_cpu_name(wh_cpu_level level);

#endif
