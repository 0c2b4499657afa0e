// timer: the wheel behind timer_set (shard.h): hierarchical, one tick is a millisecond, six levels
// of 64 slots. Setting and cancelling are O(1); a timer moves down at most five times before it
// fires. Pure: time is a parameter. One thread.
#pragma once
#include "cluster/core/shard.h"

enum { TIMER_LEVELS = 6, TIMER_SLOT_BITS = 6, TIMER_SLOTS = 1 << TIMER_SLOT_BITS };
// TIMER_SPAN_MS: the wheel's reach (2 years). A timer further away waits in a slot of the last
// level and is placed again there.
#define TIMER_SPAN_MS (UINT64_C(1) << (TIMER_LEVELS * TIMER_SLOT_BITS))

struct timer_wheel {
    uint64_t now_ms;                 // every timer due at or before it has fired
    uint64_t occupied[TIMER_LEVELS]; // bit per slot; a set bit may be stale after a cancel, a clear
                                     // one never is
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

// struct timer_place: where a timer that is due in the future waits.
struct timer_place {
    unsigned level;
    unsigned slot;
};

// timer_wheel_init makes an empty wheel that stands at `now_ms`.
void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms);
// timer_wheel_place: the level is that of the highest base-64 digit in which `due_ms` differs from
// `now_ms`, the slot that digit of `due_ms`. `due_ms` is later than `now_ms`. Beyond the reach: the
// last slot of the last level or, from there, the first.
struct timer_place timer_wheel_place(uint64_t now_ms, uint64_t due_ms);
// timer_wheel_set starts or moves a timer to an absolute time. A time that is not in the future
// fires at the next tick.
void timer_wheel_set(struct timer_wheel *w, struct timer *t, uint64_t due_ms);
// timer_wheel_next is a lower bound of the next time at which something is to be done; UINT64_MAX
// when nothing waits.
uint64_t timer_wheel_next(const struct timer_wheel *w);
// timer_wheel_advance moves to `now_ms` and fires what is due, in order of due time. `fire` may set
// and cancel any timer, its own too; it is idle already when it fires. Returns how many fired.
size_t timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms);
