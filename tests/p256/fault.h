// fault: bits that flip in the results of vector operations. The emulation of the kernels' vector
// operations asks p256_vec_fault about each result where it is built with P256_VEC_FAULT.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LANES_OF_A_FAULT = 8 };

// faults_computed: this program is built with the emulation, and flips bits in computations.
bool faults_computed(void);
// fault_arm lets one bit flip in each lane, each at one of the next `operations` operations; the
// sequence decides which. fault_none stops that and returns how many operations there were so far.
void fault_arm(uint64_t *random, unsigned long operations);
unsigned long fault_none(void);
