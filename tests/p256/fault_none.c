// The program for flips in memory: nothing happens to computations.
#include "tests/p256/fault.h"

bool faults_computed(void) { return false; }

void fault_arm(uint64_t *random, unsigned long operations) { (void)random, (void)operations; }

unsigned long fault_none(void) { return 0; }
