#include "bench/micro/sample.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int sample_pin(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();
    CPU_ZERO(&set);
    if (cpu < 0) return 0;
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static double slice_run(struct sample_case *c, unsigned slice_us)
{
    double started = cpu_us(), took;
    unsigned long runs = 0;
    do {
        c->run(c->context);
        runs++;
        took = cpu_us() - started;
    } while (took < slice_us);
    return took / ((double)runs * c->operations);
}

void sample_run(struct sample_case *const *cases, size_t count, unsigned rounds, unsigned slice_us)
{
    CHECK(rounds > 0 && rounds <= SAMPLE_ROUNDS_MAX);
    for (size_t i = 0; i < count; i++) slice_run(cases[i], slice_us); // warm
    for (unsigned round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++) cases[i]->us[round] = slice_run(cases[i], slice_us);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct sample_summary sample_summary(const struct sample_case *c, unsigned rounds)
{
    double sorted[SAMPLE_ROUNDS_MAX];
    memcpy(sorted, c->us, rounds * sizeof sorted[0]);
    qsort(sorted, rounds, sizeof sorted[0], compare);
    return (struct sample_summary){sorted[0], sorted[rounds / 2], sorted[(rounds * 99) / 100]};
}

double sample_ratio(const struct sample_case *slow, const struct sample_case *fast, unsigned rounds)
{
    double ratio[SAMPLE_ROUNDS_MAX];
    for (unsigned i = 0; i < rounds; i++) ratio[i] = slow->us[i] / fast->us[i];
    qsort(ratio, rounds, sizeof ratio[0], compare);
    return ratio[rounds / 2];
}
