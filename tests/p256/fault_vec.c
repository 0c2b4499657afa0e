// The program for flips in computations: the emulation calls p256_vec_fault for each result.
#include <string.h>

#include "proto/p256/vec.h"
#include "tests/p256/fault.h"
#include "tests/p256/story.h"

static unsigned long operations_done, next = (unsigned long)-1;
static struct {
    unsigned long at;
    uint64_t flip;
} faults[LANES_OF_A_FAULT];

bool faults_computed(void) { return true; }

static void next_find(void)
{
    next = (unsigned long)-1;
    for (int lane = 0; lane < LANES_OF_A_FAULT; lane++)
        if (faults[lane].flip != 0 && faults[lane].at < next) next = faults[lane].at;
}

void fault_arm(uint64_t *random, unsigned long operations)
{
    for (int lane = 0; lane < LANES_OF_A_FAULT; lane++) {
        faults[lane].at = operations_done + story_random(random) % operations;
        faults[lane].flip = (uint64_t)1 << story_random(random) % 64;
    }
    next_find();
}

unsigned long fault_none(void)
{
    memset(faults, 0, sizeof faults);
    next_find();
    return operations_done;
}

vec p256_vec_fault(vec result)
{
    if (operations_done++ != next) return result;
    for (int lane = 0; lane < LANES_OF_A_FAULT; lane++)
        if (faults[lane].flip != 0 && faults[lane].at == next) {
            result.lane[lane] ^= faults[lane].flip;
            faults[lane].flip = 0;
        }
    next_find();
    return result;
}
