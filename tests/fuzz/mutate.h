// mutate: changes of an input that keep its outer form, so that libFuzzer reaches what lies behind
// it: DER whose lengths still fit, HTTP/2 frames that still follow each other, a JWS whose parts
// are still base64url. A target calls one of them from LLVMFuzzerCustomMutator.
#pragma once
#include "tests/fuzz/fuzz.h"

enum { MUTATE_SIZE_MAX = 1 << 16 };

// LLVMFuzzerMutate is libFuzzer's own change of some bytes; absent in the replay programs, which
// change nothing.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max) __attribute__((weak));
// LLVMFuzzerCustomMutator is called by libFuzzer in place of its own changes: `data` has room for
// `size_max` bytes, the new size is returned.
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

// mutate_der changes, copies, moves or drops one value at any depth, also inside OCTET STRING and
// BIT STRING, and mends the lengths around it.
size_t mutate_der(uint8_t *data, size_t size, size_t size_max, unsigned seed);
// mutate_h2 changes, copies, moves or drops one frame behind an optional client preface.
size_t mutate_h2(uint8_t *data, size_t size, size_t size_max, unsigned seed);
// mutate_jws changes the protected header, the payload or the signature before its encoding.
size_t mutate_jws(uint8_t *data, size_t size, size_t size_max, unsigned seed);
