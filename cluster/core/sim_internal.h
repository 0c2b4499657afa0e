// sim_internal: the world that sim.c (clock, generator, running) and reactor_sim.c (sockets and
// their operations) share.
#pragma once
#include "cluster/core/internal.h"
#include "cluster/core/sim.h"

struct sim_socket;

struct sim {
    struct sim_options options;
    uint64_t now_ns;
    uint64_t random[2];
    uint64_t trace;
    struct sim_socket **sockets; // by descriptor - SIM_FD_FIRST; NULL: free
    size_t sockets_size;
    size_t sockets_open;
    unsigned reactors;
    unsigned port_next;
    bool cut;
};

// Simulated descriptors are far above real ones, so that mixing them up fails at once.
enum { SIM_FD_FIRST = 1 << 24 };

// sim_draw is the next 64 bits of the seed's sequence; all chance in the world comes from it.
uint64_t sim_draw(struct sim *s);
// sim_below is a number in [0, n); 0 when n is 0.
uint64_t sim_below(struct sim *s, uint64_t n);
bool sim_happens(struct sim *s, unsigned per_million);
uint64_t sim_latency_ns(struct sim *s);
