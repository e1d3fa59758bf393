/* base/cpu.c: CPU features by the compiler's cpuid helper, which also asks the OS (XGETBV). */
#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

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

bool wh_cpu_has_ifma(void)
{
#if defined(__x86_64__)
    return wh_cpu_get() == WH_CPU_AVX512 && __builtin_cpu_supports("avx512ifma");
#else
    return false;
#endif
}

bool wh_cpu_has_vaes(void)
{
#if defined(__x86_64__)
    /* The compiler's helper does not know this word everywhere: leaf 7, ecx bit 9. */
    unsigned a, b, c, d;
    return wh_cpu_get() == WH_CPU_AVX512 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c >> 9 & 1);
#else
    return false;
#endif
}
