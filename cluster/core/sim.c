#include "cluster/core/sim.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/core/sim_internal.h"
#include "proto/err.h"

enum { ROUNDS_MAX = 100000 }; // turns at one instant before sim_run says that something spins

struct err sim_new(struct sim **out, const struct sim_options *options)
{
    struct sim *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR(NO_SPACE);
    s->options = *options;
    if (s->options.window == 0) s->options.window = 65536;
    s->now_ns = UINT64_C(1000000000); // not zero: a forgotten time shows
    s->random[0] = options->seed;
    s->random[1] = options->seed ^ UINT64_C(0x6a09e667f3bcc908);
    for (int i = 0; i < 8; i++) sim_draw(s);
    s->trace = UINT64_C(0xcbf29ce484222325);
    s->port_next = 40000;
    *out = s;
    return OK;
}

void sim_free(struct sim *s)
{
    if (s == NULL) return;
    CHECK(s->reactors == 0 && s->sockets_open == 0);
    free(s->sockets);
    free(s);
}

// sim_draw: a 128-bit linear generator with an output mix. Quality is no matter, repeatability is.
uint64_t sim_draw(struct sim *s)
{
    unsigned __int128 state = (unsigned __int128)s->random[1] << 64 | s->random[0];
    state = state * (((unsigned __int128)UINT64_C(0x2360ed051fc65da4) << 64) |
                     UINT64_C(0x4385df649fccf645)) +
            0x9e3779b97f4a7c15u;
    s->random[0] = (uint64_t)state;
    s->random[1] = (uint64_t)(state >> 64);
    uint64_t x = s->random[1] ^ s->random[0] >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

uint64_t sim_below(struct sim *s, uint64_t n) { return n == 0 ? 0 : sim_draw(s) % n; }

bool sim_happens(struct sim *s, unsigned per_million)
{
    return per_million > 0 && sim_below(s, 1000000) < per_million;
}

uint64_t sim_latency_ns(struct sim *s)
{
    uint64_t min = s->options.latency_us_min, max = s->options.latency_us_max;
    return (min + sim_below(s, max > min ? max - min + 1 : 1)) * 1000;
}

void sim_random(struct sim *s, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        uint64_t x = sim_draw(s);
        size_t part = n < sizeof x ? n : sizeof x;
        memcpy(p, &x, part);
        p += part;
        n -= part;
    }
}

uint64_t sim_now_ns(const struct sim *s) { return s->now_ns; }
int64_t sim_wall_us(const struct sim *s)
{
    return s->options.wall_us + (int64_t)((s->now_ns - UINT64_C(1000000000)) / 1000);
}
void sim_advance(struct sim *s, uint64_t ns) { s->now_ns += ns; }
void sim_cut(struct sim *s, bool cut) { s->cut = cut; }
uint64_t sim_trace(const struct sim *s) { return s->trace; }
size_t sim_socket_count(const struct sim *s) { return s->sockets_open; }

static void run_instant(struct shard *const *shards, size_t count)
{
    size_t did = 1;
    for (int round = 0; did > 0; round++) {
        CHECK(round < ROUNDS_MAX);
        did = 0;
        for (size_t i = 0; i < count; i++) did += shard_turn_once(shards[i], 0);
    }
}

void sim_run(struct sim *s, struct shard *const *shards, size_t count, uint64_t ms)
{
    uint64_t end = s->now_ns + ms * 1000000;
    for (;;) {
        run_instant(shards, count);
        uint64_t next = sim_next_ns(s);
        for (size_t i = 0; i < count; i++) {
            uint64_t timer = shard_next_ns(shards[i]);
            if (timer < next) next = timer;
        }
        if (next > end) break;
        if (next <= s->now_ns)
            next = s->now_ns +
                   1000; // a wheel's lower bound that was not one: the clock still moves
        s->now_ns = next;
    }
    s->now_ns = end;
    run_instant(shards, count);
}
