// sim: a world in memory for simulated shards (SHARD_IO_SIM): one virtual clock and a network of
// stream sockets with latency, splits, refusals and resets drawn from one seed. Time moves only
// when sim_advance or sim_run say so, so the same seed and the same calls give the same trace.
// Several shards of one thread share a world. For tests; no system call is made.
#pragma once
#include "cluster/core/shard.h"

struct sim;

struct sim_options {
    uint64_t seed;
    int64_t wall_us;         // wall time at the start
    unsigned latency_us_min; // one way, drawn per segment; order is kept
    unsigned latency_us_max;
    unsigned segment_max;        // bytes sent are split into segments of 1 to this; 0: as sent
    unsigned refuse_per_million; // of connects
    unsigned reset_per_million;  // of segments: both ends get ECONNRESET
    unsigned window;             // bytes that may be under way or unread per direction; 0: 65536
};

// sim_new makes a world without shards; the options are copied. ERR_NO_SPACE.
RESULT sim_new(struct sim **out, const struct sim_options *options);
// sim_free: every shard of the world has been freed before.
void sim_free(struct sim *s);
uint64_t sim_now_ns(const struct sim *s);
int64_t sim_wall_us(const struct sim *s);
void sim_advance(struct sim *s, uint64_t ns);
// sim_next_ns is when the network does something next; UINT64_MAX when it is quiet.
uint64_t sim_next_ns(const struct sim *s);
// sim_run runs `ms` of virtual time: turns of every shard, in order, until nothing is left to do at
// an instant, then on to the next. A shard that always has something to do at one instant is a bug
// of its owner, and stops the process.
void sim_run(struct sim *s, struct shard *const *shards, size_t count, uint64_t ms);
// sim_cut holds back everything that is sent from now on and lets connects hang (a partition) until
// it is called with false.
void sim_cut(struct sim *s, bool cut);
// sim_random fills from the world's generator, which also draws the network's moods.
void sim_random(struct sim *s, void *out, size_t n);
// sim_trace is a hash over every completion that was gathered so far: when, on which socket, with
// which result.
uint64_t sim_trace(const struct sim *s);
// sim_socket_count is how many sockets are open: a test's check for leaks.
size_t sim_socket_count(const struct sim *s);
