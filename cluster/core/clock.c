#include "cluster/core/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/err.h"

static const int64_t offset_s_max = INT64_C(100) * 366 * 86400;

static int64_t offset_s; // written by clock_start only, before other threads exist

static struct err offset_read(int64_t *out)
{
    const char *text = getenv("CERTMILL_TEST_CLOCK_OFFSET_S");
    *out = 0;
    if (text == NULL || text[0] == '\0') return OK;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > offset_s_max || value < -offset_s_max)
        return ERR(BAD_CONFIG);
    *out = value;
    return OK;
}

struct err clock_start(void)
{
    int64_t value;
    TRY(offset_read(&value));
    if (value != offset_s) offset_s = value; // a second start, with threads about, writes nothing
    return OK;
}

int64_t clock_offset_s(void) { return offset_s; }

int64_t clock_wall_us(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return ((int64_t)now.tv_sec + offset_s) * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_s(void) { return clock_wall_us() / 1000000; }

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
