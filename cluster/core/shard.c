#include "cluster/core/shard.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/internal.h"
#include "cluster/core/log.h"
#include "cluster/core/mailbox.h"
#include "cluster/core/metrics.h"
#include "cluster/core/owned.h"
#include "cluster/core/reactor.h"
#include "cluster/core/sim.h"
#include "cluster/core/timer.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"

enum {
    HOOK_ROUNDS = 4,        // rounds of hooks armed by hooks within one turn
    FREE_TURNS_MAX = 100,   // turns that shard_free gives to ops under way
    FREE_TURN_WAIT_MS = 10, // and how long each waits
};
static const uint64_t shard_magic = 0x73686172645f6f6b;

__thread char thread_token;

struct shard {
    struct owned owned;
    struct shard_options options;
    unsigned index;
    struct shard_group group;
    struct reactor *reactor;
    struct mailbox mailbox;
    struct op wake;
    bool wake_armed;
    struct timer_wheel timers;
    struct list hooks;
    uint64_t now_ns;
    int64_t wall_us;
    void *slots[SHARD_SLOT_COUNT];
    char note[REACTOR_NOTE_MAX];
};

static void clock_read(struct shard *s)
{
    s->now_ns = s->options.sim != NULL ? sim_now_ns(s->options.sim) : clock_monotonic_ns();
    s->wall_us = s->options.sim != NULL ? sim_wall_us(s->options.sim) : clock_wall_us();
}

static void wake_done(struct op *op, int32_t res, uint32_t flags)
{
    (void)flags;
    struct shard *s = (struct shard *)((char *)op - offsetof(struct shard, wake));
    s->wake_armed = false;
    if (res == -ECANCELED) return;
    uint64_t count;
    ssize_t n = read(s->mailbox.wake_fd, &count, sizeof count); // non-blocking; empties the counter
    CHECK(n == (ssize_t)sizeof count || errno == EAGAIN);
}

static struct err wake_open(struct shard *s)
{
    if (s->options.sim != NULL) { // a simulated shard never sleeps
        mailbox_init(&s->mailbox, -1);
        return OK;
    }
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return ERR(SYSTEM);
    mailbox_init(&s->mailbox, fd);
    s->wake.done = wake_done;
    return OK;
}

struct err shard_new(struct shard **out, const struct shard_options *options, unsigned index)
{
    CHECK((options->io == SHARD_IO_SIM) == (options->sim != NULL));
    struct shard *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR(NO_SPACE);
    s->owned = OWNED_BY_ME(shard_magic);
    s->options = *options;
    s->index = index;
    s->mailbox.wake_fd = -1;
    list_init(&s->hooks);
    struct err e = reactor_new(&s->reactor, s->note, options->io, options->sim);
    if (!failed(e)) e = wake_open(s);
    if (failed(e)) {
        if (options->io == SHARD_IO_URING && s->note[0] != '\0')
            LOG(options->log, &EVENT_RING_REFUSED, s->note);
        reactor_free(s->reactor);
        free(s);
        return e;
    }
    clock_read(s);
    timer_wheel_init(&s->timers, s->now_ns / 1000000);
    log_batch_begin(options->log);
    *out = s;
    return OK;
}

void shard_free(struct shard *s)
{
    if (s == NULL) return;
    OWNED(s, shard_magic);
    if (s->wake_armed) reactor_cancel(s->reactor, &s->wake);
    for (int i = 0; i < FREE_TURNS_MAX && s->reactor->inflight > 0; i++) {
        reactor_wait(s->reactor, FREE_TURN_WAIT_MS);
        reactor_run(s->reactor);
    }
    reactor_free(s->reactor);
    if (s->mailbox.wake_fd >= 0) close(s->mailbox.wake_fd);
    log_batch_end(s->options.log);
    s->owned = OWNED_NONE;
    free(s);
}

static size_t messages_run(struct shard *s)
{
    size_t count = 0;
    for (struct message *m = mailbox_take(&s->mailbox), *next; m != NULL; m = next, count++) {
        next = m->next;
        m->run(s, m);
    }
    return count;
}

static size_t hooks_run(struct shard *s)
{
    size_t count = 0;
    for (int round = 0; round < HOOK_ROUNDS && !list_empty(&s->hooks); round++) {
        struct list armed; // this round's: what a hook arms belongs to the next
        list_init(&armed);
        list_insert_before(&s->hooks, &armed);
        list_remove(&s->hooks);
        for (struct list *node; (node = list_pop_front(&armed)) != NULL; count++) {
            struct turn_hook *hook = LIST_OWNER(node, struct turn_hook, node);
            hook->run(hook);
        }
    }
    return count;
}

// wait_bound is how long this turn may wait: not past the next timer, not at all when something is
// there already.
static unsigned wait_bound(struct shard *s, unsigned wait_ms)
{
    if (wait_ms == 0 || !list_empty(&s->hooks)) return 0;
    uint64_t next = timer_wheel_next(&s->timers);
    uint64_t now = (s->options.sim != NULL ? sim_now_ns(s->options.sim) : clock_monotonic_ns()) /
                   1000000;
    if (next <= now) return 0;
    return next - now < wait_ms ? (unsigned)(next - now) : wait_ms;
}

size_t shard_turn_once(struct shard *s, unsigned wait_ms)
{
    OWNED(s, shard_magic);
    if (!s->wake_armed && s->mailbox.wake_fd >= 0) {
        s->wake_armed = true;
        reactor_poll(s->reactor, &s->wake, s->mailbox.wake_fd, REACTOR_IN);
    }
    unsigned wait = wait_bound(s, wait_ms);
    if (wait > 0 && !mailbox_sleep(&s->mailbox)) wait = 0;
    reactor_wait(s->reactor, wait);
    if (wait > 0) mailbox_awake(&s->mailbox);

    clock_read(s);
    size_t count = s->reactor->ended_count;
    reactor_run(s->reactor);
    count += timer_wheel_advance(&s->timers, s->now_ns / 1000000);
    count += messages_run(s);
    count += hooks_run(s);
    log_flush(s->options.log);
    metric_set(s->options.metrics, s->index, &METRIC_LOG_LINES_DROPPED, (int64_t)log_dropped());
    return count;
}

void shard_turn(struct shard *s, unsigned wait_ms) { (void)shard_turn_once(s, wait_ms); }

uint64_t shard_next_ns(const struct shard *s)
{
    uint64_t next = timer_wheel_next(&s->timers);
    return next == UINT64_MAX ? UINT64_MAX : next * 1000000;
}

void shard_group_set(struct shard *s, struct shard_group group) { s->group = group; }

unsigned shard_index(const struct shard *s) { return s->index; }
unsigned shard_count(const struct shard *s) { return s->group.count == 0 ? 1 : s->group.count; }

struct shard *shard_sibling(struct shard *s, unsigned index)
{
    if (s->group.count == 0) return index == s->index ? s : NULL;
    return index < s->group.count ? s->group.members[index] : NULL;
}

struct reactor *shard_reactor(struct shard *s) { return s->reactor; }
struct log *shard_log(struct shard *s) { return s->options.log; }
struct metrics *shard_metrics(struct shard *s) { return s->options.metrics; }
uint64_t shard_now_ns(const struct shard *s) { return s->now_ns; }
int64_t shard_wall_us(const struct shard *s) { return s->wall_us; }
const char *shard_io_name(const struct shard *s) { return s->reactor->ops->name; }
const char *shard_io_note(const struct shard *s) { return s->note; }

void shard_random(struct shard *s, void *out, size_t n)
{
    OWNED(s, shard_magic);
    if (s->options.sim != NULL)
        sim_random(s->options.sim, out, n);
    else
        CHECK(RAND_bytes(out, n) == 1);
}

void *shard_slot_get(const struct shard *s, enum shard_slot slot) { return s->slots[slot]; }
void shard_slot_set(struct shard *s, enum shard_slot slot, void *value) { s->slots[slot] = value; }

void shard_post(struct shard *to, struct message *m) { mailbox_post(&to->mailbox, m); }

void turn_hook_arm(struct shard *s, struct turn_hook *hook)
{
    OWNED(s, shard_magic);
    if (hook->node.next == NULL) list_init(&hook->node);
    if (list_empty(&hook->node)) list_push_back(&s->hooks, &hook->node);
}

void turn_hook_disarm(struct turn_hook *hook)
{
    if (hook->node.next != NULL) list_remove(&hook->node);
}

void timer_set(struct shard *s, struct timer *t, uint64_t delay_ms)
{
    OWNED(s, shard_magic);
    if (delay_ms > UINT64_C(1) << 40) delay_ms = UINT64_C(1) << 40; // 34 years
    timer_wheel_set(&s->timers, t, (s->now_ns + 999999) / 1000000 + delay_ms);
}
