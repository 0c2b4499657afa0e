// clock: where time comes from. Shards read it once a turn (shard_now_ns, shard_wall_us); nothing
// else in cluster/ reads it.
//
// The wall clock has one test seam: the environment variable CERTMILL_TEST_CLOCK_OFFSET_S (whole
// seconds, may be negative) is added to it. It is read once, by clock_start, and never silently:
// seam_clock_say logs `clock.shifted` (WARN) when it is in force, and a value that is not a number
// stops the start. Any thread after clock_start.
#pragma once
#include "proto/base/err.h"

// clock_start reads the seam. ERR_BAD_CONFIG when the variable is set to something else than whole
// seconds within +-100 years.
RESULT clock_start(void);
// clock_offset_s is the shift in force; 0 in production.
int64_t clock_offset_s(void);
// clock_wall_us is wall time in microseconds since 1970, shifted by the seam.
int64_t clock_wall_us(void);
// clock_wall_s is the same in whole seconds: what certificates are compared with
// (tls_options.now_s).
int64_t clock_wall_s(void);
// clock_monotonic_ns never goes back and is not shifted.
uint64_t clock_monotonic_ns(void);
