// main of the tests that are compiled for AVX-512: it is not, so that it can skip where that does
// not run.
#include <stdio.h>

#include "proto/p256/cpu.h"

int vector_tests(void);

int main(void)
{
    if (p256_kernel_detect() == P256_SCALAR) {
        puts("this processor has no AVX-512 IFMA: the same source is tested in emulation");
        return 77;
    }
    return vector_tests();
}
