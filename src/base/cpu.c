/* base/cpu.c: CPU features by the compiler's cpuid helper, which also asks the OS (XGETBV). */
#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

wh_cpu_level wh_cpu_machine(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")))
        return WH_CPU_GENERIC;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return WH_CPU_AVX512;
    return WH_CPU_AVX2;
#else
    return WH_CPU_GENERIC;
#endif
}

wh_cpu_level wh_cpu_get(void)
{
    wh_cpu_level machine = wh_cpu_machine(), wanted = machine;
    const char *text = getenv("WHIST_CPU");
    if (text && strcmp(text, "generic") == 0) wanted = WH_CPU_GENERIC;
    if (text && strcmp(text, "avx2") == 0) wanted = WH_CPU_AVX2;
    return wanted < machine ? wanted : machine;
}

const char *wh_cpu_name(wh_cpu_level level)
{
    static const char *const names[] = {"generic", "avx2", "avx512"};
    return names[level];
}
