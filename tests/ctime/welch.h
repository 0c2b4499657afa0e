// welch: does the time of an operation depend on which of two classes its input is of? Both classes
// are timed in random turns, and Welch's t compares their means; a value far from zero (5 and more)
// says yes. After Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (2017): the
// test is made on all samples and on those below several percentiles, since the slow tail is the
// machine's. What the machine does meanwhile strikes both classes alike, so that it can hide a
// difference but not make one.
#pragma once
#include <stdint.h>

enum { WELCH_BLOCK = 256 };

// struct welch_case: `fill` makes the inputs of a block of runs, input i of class classes[i], 0
// (fixed) or 1 (random), in memory of one place for each; `load` puts input i where `run` finds it.
// So before each run the machine has done the same, whatever the class. Only `run` is timed.
struct welch_case {
    void (*fill)(void *context, const uint8_t classes[WELCH_BLOCK]);
    void (*load)(void *context, unsigned i);
    void (*run)(void *context);
    void *context;
};

// welch_t times `samples` runs and returns the t of largest size among the crops. The order of
// classes comes from `seed`.
double welch_t(const struct welch_case *c, unsigned long samples, uint64_t seed);
