#include "tests/ctime/welch.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "proto/base/err.h"

enum { WARM = 4096, CROPS = 8 };

// The share of the samples that a crop keeps; the last keeps all.
static const double keep[CROPS] = {0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1};

struct moments {
    double n, mean, m2;
};

static uint64_t ticks(void)
{
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
#endif
}

// next_random is splitmix64: the order of classes needs no secrecy.
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// block_run times a block of runs.
static void block_run(const struct welch_case *c, uint8_t classes[WELCH_BLOCK],
                      uint64_t took[WELCH_BLOCK], uint64_t *random)
{
    for (unsigned i = 0; i < WELCH_BLOCK; i++) classes[i] = next_random(random) & 1;
    c->fill(c->context, classes);
    for (unsigned i = 0; i < WELCH_BLOCK; i++) {
        c->load(c->context, i);
        uint64_t from = ticks();
        c->run(c->context);
        took[i] = ticks() - from;
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// limits_find: the percentiles of the first samples are the limits of the crops.
static void limits_find(uint64_t limits[CROPS], const struct welch_case *c, uint64_t *random)
{
    static uint64_t warm[WARM];
    uint8_t classes[WELCH_BLOCK];
    for (int i = 0; i < WARM; i += WELCH_BLOCK) block_run(c, classes, warm + i, random);
    qsort(warm, WARM, sizeof warm[0], compare);
    for (int i = 0; i < CROPS; i++)
        limits[i] = i == CROPS - 1 ? UINT64_MAX : warm[(int)(keep[i] * (WARM - 1))];
}

static void moments_add(struct moments *m, double x)
{
    double d = x - m->mean;
    m->n++;
    m->mean += d / m->n;
    m->m2 += d * (x - m->mean);
}

static double t_of(const struct moments m[2])
{
    if (m[0].n < 100 || m[1].n < 100) return 0;
    double v = m[0].m2 / (m[0].n - 1) / m[0].n + m[1].m2 / (m[1].n - 1) / m[1].n;
    return v > 0 ? (m[0].mean - m[1].mean) / sqrt(v) : 0;
}

double welch_t(const struct welch_case *c, unsigned long samples, uint64_t seed)
{
    uint64_t random = seed, limits[CROPS], took[WELCH_BLOCK];
    uint8_t classes[WELCH_BLOCK];
    struct moments m[CROPS][2] = {0};
    limits_find(limits, c, &random);
    for (unsigned long done = 0; done < samples; done += WELCH_BLOCK) {
        block_run(c, classes, took, &random);
        for (int i = 0; i < WELCH_BLOCK; i++)
            for (int crop = 0; crop < CROPS; crop++)
                if (took[i] <= limits[crop]) moments_add(&m[crop][classes[i]], (double)took[i]);
    }
    double worst = 0;
    for (int crop = 0; crop < CROPS; crop++)
        if (fabs(t_of(m[crop])) > fabs(worst)) worst = t_of(m[crop]);
    return worst;
}
