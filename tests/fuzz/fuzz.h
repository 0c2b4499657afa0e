// fuzz: what the fuzz targets share: the entry point, choices that are a function of the input, and
// the memory in use. A target names the functions under test and its oracle in its first comment;
// CHECK is how it complains.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

// LLVMFuzzerTestOneInput is called by libFuzzer, or by replay.c, once per input; it returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// struct fuzz_choices: numbers that only depend on the input, so that an input tells the whole
// story and a file of the corpus stays plain bytes of its format.
struct fuzz_choices {
    uint64_t state;
};

// fuzz_choices_of starts from the bytes of the input (FNV-1a).
static inline struct fuzz_choices fuzz_choices_of(struct slice in)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < in.n; i++) h = (h ^ in.p[i]) * 0x100000001b3;
    return (struct fuzz_choices){h};
}

// fuzz_below is the next number, 0 to n-1 (SplitMix64).
static inline size_t fuzz_below(struct fuzz_choices *c, size_t n)
{
    uint64_t z = c->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (size_t)((z ^ z >> 31) % n);
}

// __sanitizer_get_current_allocated_bytes is AddressSanitizer's, and absent without it.
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

// fuzz_memory_used is the number of bytes allocated now; always 0 without AddressSanitizer.
static inline size_t fuzz_memory_used(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL
               ? __sanitizer_get_current_allocated_bytes()
               : 0;
}
