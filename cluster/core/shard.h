// shard: one core of a program. One pinned thread owns a reactor, timers, a mailbox, listeners,
// connections, database connections, pools and counters; nothing mutable is shared (design.md
// section 7). A turn is: submit - reap completions - run them - run due timers - run messages - run
// the turn hooks (group commit, batch verify, one write per connection). Everything here is called
// on the shard's own thread unless it says "any thread".
#pragma once
#include "cluster/core/op.h"
#include "proto/base/err.h"
#include "proto/base/list.h"

struct log;
struct metrics;
struct reactor;
struct sim;

enum shard_io { SHARD_IO_AUTO, SHARD_IO_URING, SHARD_IO_EPOLL, SHARD_IO_SIM };

struct shard_options {
    unsigned count; // shards; 0: one per online processor that the process may use
    enum shard_io
        io;   // AUTO: io_uring, else epoll with one sentence in the log naming cause and cure
    bool pin; // pin each thread to one processor
    struct metrics *metrics; // sized for the same count; borrowed
    struct log *log;         // borrowed
    const char *name;        // thread name prefix, at most 10 characters
    struct sim
        *sim; // the world that the shard lives in (SHARD_IO_SIM, cluster/core/sim.h); else NULL
};

struct shard;  // one core
struct shards; // all cores of the program

// struct message travels to another shard and belongs to it from shard_post on.
struct message {
    struct message *next; // the mailbox's own
    void (*run)(struct shard *shard, struct message *m);
};

// struct turn_hook runs at the end of a turn in which it was armed: the place where work of one
// turn becomes one batch.
struct turn_hook {
    struct list node; // the shard's own
    void (*run)(struct turn_hook *hook);
};

// struct timer fires once, at or up to one tick (1 ms) after its time. All-zero with `fire` set is
// an idle timer.
struct timer {
    struct list node; // the wheel's own
    uint64_t due_ms;
    void (*fire)(struct timer *t);
};

// shards_start makes the shards and their threads; on each thread `start(shard, ctx)` runs first
// (open listeners, connect); an error from any start stops all and is returned (what other starts
// opened is theirs: the program is expected to end). Returns after every start has run. The threads
// block every signal: main takes them.
RESULT shards_start(struct shards **out, const struct shard_options *options,
                    struct err (*start)(struct shard *shard, void *ctx), void *ctx);
// shards_post_all posts `run(shard, ctx)` to every shard and returns at once (any thread).
// shards_stop asks every loop to return; shards_join waits for the threads, and runs `stop(shard,
// ctx)` on each thread before it ends; it frees all.
void shards_post_all(struct shards *s, void (*run)(struct shard *shard, void *ctx), void *ctx);
void shards_stop(struct shards *s);
void shards_join(struct shards *s, void (*stop)(struct shard *shard, void *ctx), void *ctx);
unsigned shards_count(const struct shards *s);
struct shard *shards_at(struct shards *s, unsigned index);
const char *shards_io_name(const struct shards *s); // "io_uring", "epoll", "simulated"

// shard_new and shard_turn run one shard by hand, without a thread: for tests, the simulator and
// one-core programs. Only the thread that made a shard may use it.
RESULT shard_new(struct shard **out, const struct shard_options *options, unsigned index);
// shard_free first runs turns until every op under way has ended (at most a second): owners cancel
// theirs before it.
void shard_free(struct shard *s);
// shard_turn waits at most `wait_ms` for work and runs one turn.
void shard_turn(struct shard *s, unsigned wait_ms);

// What a shard is and has. shard_sibling is another shard of the program, to post to (any thread);
// all are borrowed.
unsigned shard_index(const struct shard *s);
unsigned shard_count(const struct shard *s); // of the program
struct shard *shard_sibling(struct shard *s, unsigned index);
struct reactor *shard_reactor(struct shard *s);
struct log *shard_log(struct shard *s);
struct metrics *shard_metrics(struct shard *s);
// The clocks are read once a turn: monotonic nanoseconds, and wall time in microseconds since 1970
// (which tests can move).
uint64_t shard_now_ns(const struct shard *s);
int64_t shard_wall_us(const struct shard *s);
static inline int64_t shard_wall_s(const struct shard *s) { return shard_wall_us(s) / 1000000; }
// shard_random fills from BoringSSL's generator. shard_slot holds one pointer per kind of per-core
// context (front end, store, ...).
void shard_random(struct shard *s, void *out, size_t n);
enum shard_slot {
    SHARD_SLOT_EDGE,
    SHARD_SLOT_STORE,
    SHARD_SLOT_SIGNER,
    SHARD_SLOT_RESOLVER,
    SHARD_SLOT_NODE,
    SHARD_SLOT_TEST,
    SHARD_SLOT_COUNT
};
void *shard_slot_get(const struct shard *s, enum shard_slot slot);
void shard_slot_set(struct shard *s, enum shard_slot slot, void *value);

// shard_post hands a message to `to` (any thread). Never fails: the message is memory of the
// sender's that now is `to`'s.
void shard_post(struct shard *to, struct message *m);
// turn_hook_arm runs hook->run at the end of this turn, once, however often it is armed. Disarm
// before freeing it. A hook armed by a hook runs in the same turn still, up to four rounds; what is
// armed after that runs at the end of the next turn, which does not wait.
void turn_hook_arm(struct shard *s, struct turn_hook *hook);
void turn_hook_disarm(struct turn_hook *hook);
// timer_set starts or moves a timer; it fires after `delay_ms`. timer_cancel is fine on an idle
// timer.
void timer_set(struct shard *s, struct timer *t, uint64_t delay_ms);
void timer_cancel(struct timer *t);
bool timer_pending(const struct timer *t);
