// batch: the queue of a shard's store, and the store itself. A flush is sent when none is in
// flight, or enough wait, or the linger has passed; its commands hear of it after the synchronous
// commit.
#include <stdio.h>
#include <stdlib.h>

#include "store/events.h"
#include "store/internal.h"

enum { TICK_MS = 20, READ_GROUP_MS_MAX = 5000 };
// The list of leaves is read once a minute, and when a command names another: but not as often as
// somebody who makes up ids would have it.
static const uint64_t leaves_refresh_ns = 60000000000, leaves_pause_ns = 100000000;

// ---- the pump

static struct conn *writer_idle(struct store *s)
{
    for (unsigned i = 0; i < s->o.write_conns; i++)
        if (conn_state(s->writers[i]) == CONN_IDLE) return s->writers[i];
    return NULL;
}

// fill takes waiting commands into a flush; those whose leaf is being looked up stay.
static void fill(struct flush *f, struct list *waiting)
{
    struct store *s = f->store;
    LIST_EACH (node, waiting) {
        struct store_cmd *cmd = LIST_OWNER(node, struct store_cmd, node);
        if (f->count == s->o.batch_max) return;
        enum leaves_answer answer = leaves_want(s, cmd);
        if (answer == LEAVES_ASKED) continue;
        list_remove(node);
        if (answer == LEAVES_THERE) {
            f->cmds[f->count++] = cmd;
        } else {
            LOG(shard_log(s->shard), &EVENT_STORE_LEAF_MISSING, NULL, LOG_INT("kind", cmd->kind));
            store_cmd_end(s, cmd, ERR(STORE_LEAF));
        }
    }
}

// begin sends what waits; false when nothing of it can go now.
static bool begin(struct store *s, struct list *waiting, struct conn *c, bool read)
{
    struct flush *f = flush_new(s, read);
    if (f == NULL) return false;
    fill(f, waiting);
    if (f->count == 0) {
        free(f);
        return false;
    }
    flush_send(f, c);
    return true;
}

static bool writes_due(const struct store *s)
{
    if (list_empty(&s->waiting_writes)) return false;
    if (s->in_flight_writes == 0) return true;
    size_t waiting = 0;
    for (const struct list *n = s->waiting_writes.next;
         n != &s->waiting_writes && waiting < s->o.batch_max; n = n->next)
        waiting++;
    const struct store_cmd *first = LIST_OWNER(s->waiting_writes.next, const struct store_cmd,
                                               node);
    return waiting >= s->o.batch_max ||
           shard_now_ns(s->shard) - first->queued_ns >= (uint64_t)s->o.linger_us * 1000;
}

static void resend(struct store *s)
{
    LIST_EACH (node, &s->resend) {
        struct flush *f = LIST_OWNER(node, struct flush, node);
        struct conn *reader = conn_state(s->reader) == CONN_IDLE ? s->reader : NULL;
        struct conn *c = f->read ? reader : writer_idle(s);
        if (c == NULL || f->due_ns > shard_now_ns(s->shard)) continue;
        list_remove(&f->node);
        timer_cancel(&f->again);
        flush_send(f, c);
    }
}

static void refused_end(struct store *s)
{
    for (struct list *node; (node = list_pop_front(&s->refused)) != NULL;)
        store_cmd_end(s, LIST_OWNER(node, struct store_cmd, node), ERR(STORE_BUSY));
}

static void drained_check(struct store *s)
{
    if (s->drained == NULL || s->waiting_count > 0) return;
    void (*drained)(void *) = s->drained;
    s->drained = NULL;
    drained(s->drained_ctx);
}

// leaves_due: never loaded, or stale and not asked for a moment ago.
static bool leaves_due(const struct store *s)
{
    if (s->leaves_loading || conn_state(s->reader) != CONN_IDLE) return false;
    uint64_t age = shard_now_ns(s->shard) - s->leaves_asked_ns;
    return !s->leaves_loaded || (s->leaves_stale && age >= leaves_pause_ns);
}

static void on_pump(struct turn_hook *hook)
{
    struct store *s = LIST_OWNER(hook, struct store, pump);
    refused_end(s);
    if (leaves_due(s)) leaves_load(s);
    if (s->leaves_loaded) {
        resend(s);
        for (struct conn *c; writes_due(s) && (c = writer_idle(s)) != NULL;)
            if (!begin(s, &s->waiting_writes, c, false)) break;
        if (!list_empty(&s->waiting_reads) && conn_state(s->reader) == CONN_IDLE)
            (void)begin(s, &s->waiting_reads, s->reader, true);
    }
    if (!list_empty(&s->waiting_writes) && !timer_pending(&s->linger))
        timer_set(s->shard, &s->linger, (s->o.linger_us + 999) / 1000);
    drained_check(s);
}

static void on_linger(struct timer *t)
{
    struct store *s = LIST_OWNER(t, struct store, linger);
    turn_hook_arm(s->shard, &s->pump);
}

static void on_changed(void *ctx, struct conn *c)
{
    struct store *s = ctx;
    if (conn_state(c) == CONN_IDLE) s->clock_offset_us = conn_clock_offset_us(c);
    turn_hook_arm(s->shard, &s->pump);
}

// ---- age

static bool is_old(const struct store *s, const struct store_cmd *cmd)
{
    uint64_t age = (uint64_t)s->o.queue_age_ms * 1000000;
    return shard_now_ns(s->shard) - cmd->queued_ns >= age;
}

// expire fails what has waited too long and was never sent.
static void expire(struct store *s, struct list *waiting)
{
    struct err e = store_ready(s) ? ERR(STORE_BUSY) : ERR(STORE_AWAY);
    LIST_EACH (node, waiting) {
        struct store_cmd *cmd = LIST_OWNER(node, struct store_cmd, node);
        if (!is_old(s, cmd)) break; // the queue is in order of time
        list_remove(&cmd->node);
        store_cmd_end(s, cmd, e);
    }
}

// expire_reads gives up reads that were sent and lost: nothing of them can be in doubt.
static void expire_reads(struct store *s)
{
    LIST_EACH (node, &s->resend) {
        struct flush *f = LIST_OWNER(node, struct flush, node);
        if (!f->read || !is_old(s, f->cmds[0])) continue;
        list_remove(&f->node);
        flush_end(f, ERR(STORE_AWAY));
    }
}

static int64_t conns_up(const struct store *s)
{
    int64_t up = conn_state(s->reader) >= CONN_IDLE;
    for (unsigned i = 0; i < s->o.write_conns; i++) up += conn_state(s->writers[i]) >= CONN_IDLE;
    return up;
}

static void on_tick(struct timer *t)
{
    struct store *s = LIST_OWNER(t, struct store, tick);
    struct metrics *m = shard_metrics(s->shard);
    expire(s, &s->waiting_reads);
    expire(s, &s->waiting_writes);
    expire_reads(s);
    if (shard_now_ns(s->shard) - s->leaves_asked_ns > leaves_refresh_ns) s->leaves_stale = true;
    metric_set(m, shard_index(s->shard), &METRIC_STORE_WAITING, (int64_t)s->waiting_count);
    metric_set(m, shard_index(s->shard), &METRIC_STORE_CONNS_UP, conns_up(s));
    turn_hook_arm(s->shard, &s->pump);
    timer_set(s->shard, &s->tick, TICK_MS);
}

// ---- commands in and out

void store_queue(struct store *s, struct store_cmd *cmd, enum cmd_kind kind)
{
    bool full = s->waiting_count >= s->o.queue_max;
    struct list *waiting = kind < CMD_WRITE_COUNT ? &s->waiting_writes : &s->waiting_reads;
    cmd->kind = (uint8_t)kind;
    cmd->flags = 0;
    cmd->queued_ns = shard_now_ns(s->shard);
    s->waiting_count++;
    list_push_back(full ? &s->refused : waiting, &cmd->node); // `done` never runs inside the call
    turn_hook_arm(s->shard, &s->pump);
}

void store_cmd_end(struct store *s, struct store_cmd *cmd, struct err e)
{
    struct metrics *m = shard_metrics(s->shard);
    unsigned core = shard_index(s->shard);
    uint64_t ns = shard_now_ns(s->shard) - cmd->queued_ns;
    s->waiting_count--;
    metric_observe_us(m, core, &METRIC_STORE_COMMAND_TIME, ns / 1000);
    metric_add(m, core,
               !failed(e)                       ? &METRIC_STORE_COMMANDS_OK
               : err_class(e) == ERR_CLASS_BUSY ? &METRIC_STORE_COMMANDS_BUSY
                                                : &METRIC_STORE_COMMANDS_FAILED,
               1);
    cmd->done(cmd, e);
}

// ---- the store

static bool conns_new(struct store *s)
{
    struct conn_options co = {
        .hosts = &s->hosts, .group_ms_max = READ_GROUP_MS_MAX, .changed = on_changed, .ctx = s};
    bool ok = (s->reader = conn_new(s->shard, &co)) != NULL;
    co.writes = true;
    co.group_ms_max = 0; // a commit is never cancelled
    for (unsigned i = 0; i < s->o.write_conns; i++)
        ok = (s->writers[i] = conn_new(s->shard, &co)) != NULL && ok;
    return ok;
}

static void bounds_set(struct store *s)
{
    if (s->o.batch_max == 0 || s->o.batch_max > BATCH_MAX) s->o.batch_max = BATCH_MAX;
    if (s->o.write_conns == 0) s->o.write_conns = 1;
    if (s->o.write_conns > WRITE_CONNS_MAX) s->o.write_conns = WRITE_CONNS_MAX;
}

struct err store_new(struct store **out, struct shard *shard, const struct store_options *options)
{
    char note[CONN_NOTE_MAX];
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR(STORE_BUSY);
    s->shard = shard;
    s->o = *options;
    bounds_set(s);
    list_init(&s->waiting_reads);
    list_init(&s->waiting_writes);
    list_init(&s->refused);
    list_init(&s->resend);
    list_init(&s->pump.node);
    s->pump.run = on_pump;
    s->tick.fire = on_tick;
    s->linger.fire = on_linger;
    struct err e = hosts_parse(&s->hosts, options->conninfo, false, note, sizeof note);
    if (failed(e)) {
        free(s);
        return e;
    }
    if (!conns_new(s)) {
        store_free(s);
        return ERR(STORE_BUSY);
    }
    timer_set(shard, &s->tick, TICK_MS);
    *out = s;
    return OK;
}

void store_drain(struct store *s, void (*drained)(void *ctx), void *ctx)
{
    s->drained = drained;
    s->drained_ctx = ctx;
    turn_hook_arm(s->shard, &s->pump);
}

static void fail_all(struct store *s, struct list *waiting)
{
    for (struct list *node; (node = list_pop_front(waiting)) != NULL;)
        store_cmd_end(s, LIST_OWNER(node, struct store_cmd, node), ERR(STORE_AWAY));
}

static void conns_free(struct store *s)
{
    conn_free(s->reader);
    for (unsigned i = 0; i < s->o.write_conns; i++) conn_free(s->writers[i]);
}

void store_free(struct store *s)
{
    if (s == NULL) return;
    fail_all(s, &s->waiting_reads);
    fail_all(s, &s->waiting_writes);
    fail_all(s, &s->refused);
    // Freed connections end their flushes as lost; those would be sent again. They end here.
    conns_free(s);
    maintenance_free(s);
    for (struct list *node; (node = list_pop_front(&s->resend)) != NULL;)
        flush_end(LIST_OWNER(node, struct flush, node), ERR(STORE_AWAY));
    timer_cancel(&s->tick);
    timer_cancel(&s->linger);
    turn_hook_disarm(&s->pump);
    leaf_set_fini(&s->leaves);
    hosts_fini(&s->hosts);
    free(s);
}

bool store_ready(const struct store *s)
{
    if (!s->leaves_loaded || conn_state(s->reader) < CONN_IDLE) return false;
    for (unsigned i = 0; i < s->o.write_conns; i++)
        if (conn_state(s->writers[i]) >= CONN_IDLE) return true;
    return false;
}

// writer_telling is the one whose text says why the store is ready or not: one that is usable, else
// one that has failed to connect rather than one that is still trying.
static const struct conn *writer_telling(const struct store *s)
{
    const struct conn *best = s->writers[0];
    for (unsigned i = 0; i < s->o.write_conns; i++) {
        const struct conn *c = s->writers[i];
        if (conn_state(c) >= CONN_IDLE) return c;
        if (conn_state(best) != CONN_DOWN && conn_state(c) == CONN_DOWN) best = c;
    }
    return best;
}

const char *store_state_text(const struct store *s)
{
    const struct conn *writer = writer_telling(s);
    if (conn_state(s->reader) < CONN_IDLE) return conn_text(s->reader);
    if (conn_state(writer) >= CONN_IDLE && !s->leaves_loaded)
        return "the list of partitions has not been read yet";
    return conn_text(writer);
}

uint64_t store_flush_count(const struct store *s) { return s->flush_count; }

int64_t store_clock_offset_us(const struct store *s) { return s->clock_offset_us; }

struct err store_conninfo_check(const char *conninfo, char *note, size_t note_size)
{
    struct hosts h;
    TRY(hosts_parse(&h, conninfo, false, note, note_size));
    hosts_fini(&h);
    return OK;
}

struct err store_conninfo_resolve(char *out, size_t out_size, const char *conninfo, char *note,
                                  size_t note_size)
{
    return hosts_resolve(out, out_size, conninfo, note, note_size);
}
