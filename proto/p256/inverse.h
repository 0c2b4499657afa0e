// inverse: one inversion modulo the field's prime or the group's order, in constant time, on any
// processor: the division steps of Bernstein and Yang (eprint.iacr.org/2019/266), in the variant
// that begins at delta = 1/2, for which 590 steps are enough for 256 bits. Pure; any thread.
#pragma once
#include <stdint.h>

// p256_inverse_p replaces x in [0, p) by its inverse modulo p, and p256_inverse_n x in [0, n) by
// that modulo n, as four words of 64 bits, the least first. 0 stays 0. What they leave on the stack
// they wipe.
void p256_inverse_p(uint64_t x[4]);
void p256_inverse_n(uint64_t x[4]);
