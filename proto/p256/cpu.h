// cpu: which code for P-256 this processor can run. The choice is made once, by whoever owns a key
// or a cache, and handed down as a parameter, so that a test can run every kernel. Pure; any
// thread.
#pragma once

// enum p256_kernel: P256_SCALAR runs everywhere; P256_IFMA works on eight values at once with the
// 52-bit multiply-add of AVX-512 IFMA. The results are the same, octet by octet.
enum p256_kernel { P256_SCALAR, P256_IFMA };

// p256_kernel_detect is the fastest kernel that processor and operating system support and that
// this program was built with.
enum p256_kernel p256_kernel_detect(void);
// p256_kernel_name is "scalar" or "avx512ifma", for logs and reports.
const char *p256_kernel_name(enum p256_kernel kernel);
