#include "proto/p256/cpu.h"

enum p256_kernel p256_kernel_detect(void)
{
#if defined(P256_VEC_EMULATED)
    return P256_IFMA; // its source, in portable C: runs everywhere
#elif defined(__x86_64__)
    // The compiler's library asks the operating system, too, whether it keeps the wide registers.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma"))
        return P256_IFMA;
#endif
    return P256_SCALAR;
}

const char *p256_kernel_name(enum p256_kernel kernel)
{
    return kernel == P256_IFMA ? "avx512ifma" : "scalar";
}
