// sample: how long one operation takes, of several that are compared. The cases take turns, a
// short slice each, for many rounds; a ratio is taken within a round, so that what the machine does
// meanwhile strikes both sides. Time is the thread's CPU time: waiting for a processor does not
// count. One thread.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_ROUNDS_MAX = 1000 };

// struct sample_case: `run` does `operations` operations; it must not be optimised away, so it
// leaves its results in `context`.
struct sample_case {
    const char *name;
    void (*run)(void *context);
    void *context;
    unsigned operations;
    double us[SAMPLE_ROUNDS_MAX]; // out: microseconds of one operation, by round
};

struct sample_summary {
    double min, median, p99;
};

// sample_pin binds this thread to the processor that it runs on. False where that is refused.
int sample_pin(void);
// sample_run measures `count` cases for `rounds` rounds, each at least `slice_us` a round.
void sample_run(struct sample_case *const *cases, size_t count, unsigned rounds, unsigned slice_us);
// sample_summary sorts a copy of the rounds; microseconds of one operation.
struct sample_summary sample_summary(const struct sample_case *c, unsigned rounds);
// sample_ratio is the median over the rounds of `slow` divided by `fast`: how many times as quick
// `fast` is.
double sample_ratio(const struct sample_case *slow, const struct sample_case *fast,
                    unsigned rounds);
