// batch: commands gathered into flushes: one transaction of array statements for writes, a few
// array reads. A flush is sent when none is in flight, or enough wait, or the linger has passed;
// its commands hear of it after the synchronous commit.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/internal.h"

enum { RETRY_MAX = 5, RETRY_MS = 3, TICK_MS = 20, LEAVES_REFRESH_MS = 60000 };

const struct kind kinds[CMD_KIND_COUNT] = {
    [CMD_ACCOUNT_CREATE] = {"account_create", account_create_send},
    [CMD_ORDER_CREATE] = {"order_create", order_create_send},
    [CMD_AUTHZ_DECIDE] = {"authz_decide", authz_decide_send},
    [CMD_INTENT_CREATE] = {"intent_create", intent_create_send},
    [CMD_CERTIFICATE_COMMIT] = {"certificate_commit", certificate_commit_send},
    [CMD_ORDER_INVALIDATE] = {"order_invalidate", order_invalidate_send},
    [CMD_INTENTS_CLAIM] = {"intents_claim", intents_claim_send},
    [CMD_NODE_HEARTBEAT] = {"node_heartbeat", node_heartbeat_send},
    [CMD_LEASE_TAKE] = {"lease_take", lease_take_send},
    [CMD_ACCOUNT_GET] = {"account_get", account_get_send},
    [CMD_ORDER_GET] = {"order_get", order_get_send},
    [CMD_AUTHZ_GET] = {"authz_get", authz_get_send},
    [CMD_CERTIFICATE_GET] = {"certificate_get", certificate_get_send},
    [CMD_INTENT_GET] = {"intent_get", intent_get_send},
};

static void pump(struct store *s);

// ---- statements of a flush

void flush_add(struct flush *f, struct params *p,
               void (*result)(struct flush *f, const PGresult *r), const char *fmt, ...)
{
    char *sql = arena_alloc(&f->sql, SQL_MAX);
    va_list ap;
    va_start(ap, fmt);
    int n = sql == NULL ? -1 : vsnprintf(sql, SQL_MAX, fmt, ap);
    va_end(ap);
    bool ok = n > 0 && n < SQL_MAX && f->step_count < STEPS_MAX && !f->unsent;
    if (ok) f->steps[f->step_count++].result = result;
    if (!ok || !conn_add(f->conn, sql, p)) f->unsent = true;
    params_fini(p);
}

struct store_cmd *flush_each(struct flush *f, enum cmd_kind kind, size_t *at)
{
    while (*at < f->count) {
        struct store_cmd *cmd = f->cmds[(*at)++];
        if (cmd->kind == kind) return cmd;
    }
    return NULL;
}

bool leaf_next(struct flush *f, enum cmd_kind kind, int64_t (*key_of)(const struct store_cmd *cmd),
               int64_t *key)
{
    bool found = false;
    int64_t best = 0;
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, kind, &at)) != NULL;) {
        int64_t k = key_of(cmd);
        if (k <= *key || (found && k >= best)) continue;
        best = k;
        found = true;
    }
    if (found) *key = best;
    return found;
}

// ---- locks: every order that a flush will change, in id order, before anything is decided
// (design.md section 4)

static const struct id *order_changed(const struct store_cmd *cmd)
{
    switch ((enum cmd_kind)cmd->kind) {
    case CMD_AUTHZ_DECIDE:
        return &((const struct store_authz_decide *)cmd)->order;
    case CMD_INTENT_CREATE:
        return &((const struct store_intent_create *)cmd)->intent.order;
    case CMD_CERTIFICATE_COMMIT:
        return &((const struct store_certificate_commit *)cmd)->order;
    case CMD_ORDER_INVALIDATE:
        return &((const struct store_order_invalidate *)cmd)->order;
    default:
        return NULL;
    }
}

static int id_ptr_cmp(const void *a, const void *b)
{
    return id_cmp(*(const struct id *const *)a, *(const struct id *const *)b);
}

static void nothing(struct flush *f, const PGresult *r)
{
    (void)f;
    (void)r;
}

static void locks_send(struct flush *f)
{
    const struct id *ids[BATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        if ((ids[count] = order_changed(f->cmds[i])) != NULL) count++;
    qsort(ids, count, sizeof *ids, id_ptr_cmp);
    for (size_t i = 0; i < count;) {
        int64_t leaf = leaf_of_id(LEAF_ORDERS, ids[i]);
        struct params p;
        char name[LEAF_NAME_MAX];
        params_init(&p);
        size_t c = params_array(&p, PG_UUID);
        for (size_t from = i; i < count && leaf_of_id(LEAF_ORDERS, ids[i]) == leaf; i++)
            if (i == from || !id_eq(ids[i], ids[i - 1])) params_put_id(&p, c, ids[i]);
        leaf_name(name, LEAF_ORDERS, leaf);
        if (leaf_exists(f->store, LEAF_ORDERS, leaf))
            flush_add(f, &p, nothing,
                      "SELECT FROM %s WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", name);
        else
            params_fini(&p);
    }
}

static void plain(struct flush *f, const char *sql)
{
    struct params p;
    params_init(&p);
    flush_add(f, &p, nothing, "%s", sql);
}

// ---- sending

static void on_result(struct conn_group *g, unsigned statement, const PGresult *r)
{
    struct flush *f = LIST_OWNER(g, struct flush, group);
    if (statement < f->step_count) f->steps[statement].result(f, r);
}

static void on_done(struct conn_group *g, const char *sqlstate, bool lost);

static void flush_send(struct flush *f, struct conn *c)
{
    f->conn = c;
    f->step_count = 0;
    f->unsent = false;
    f->group = (struct conn_group){.result = on_result, .done = on_done};
    arena_reset(&f->sql);
    *(f->read ? &f->store->in_flight_reads : &f->store->in_flight_writes) += 1;
    conn_begin(c, &f->group);
    if (f->barrier) plain(f, "UPDATE barrier SET count = count + 1 WHERE one = 1");
    if (!f->read) {
        plain(f, "BEGIN");
        locks_send(f);
    }
    for (int k = 0; k < CMD_KIND_COUNT; k++) {
        size_t at = 0;
        if (flush_each(f, (enum cmd_kind)k, &at) != NULL) kinds[k].send(f);
    }
    if (!f->read) plain(f, "COMMIT");
    conn_end(c);
    if (f->unsent) conn_reset(c); // ends the group as lost: it goes again in halves
}

static void cmd_end(struct store *s, struct store_cmd *cmd, struct err e)
{
    s->waiting_count--;
    cmd->done(cmd, e);
}

static void flush_free(struct flush *f)
{
    timer_cancel(&f->again);
    arena_fini(&f->sql);
    free(f);
}

static void flush_end(struct flush *f, struct err e)
{
    struct store *s = f->store;
    for (size_t i = 0; i < f->count; i++) cmd_end(s, f->cmds[i], e);
    flush_free(f);
}

static void on_again(struct timer *t)
{
    struct flush *f = LIST_OWNER(t, struct flush, again);
    turn_hook_arm(f->store->shard, &f->store->pump);
}

static struct flush *flush_new(struct store *s, bool read)
{
    struct flush *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->store = s;
    f->read = read;
    f->again.fire = on_again;
    list_init(&f->node);
    arena_init(&f->sql, (size_t)STEPS_MAX * SQL_MAX);
    return f;
}

static void flush_again(struct flush *f, unsigned delay_ms)
{
    uint8_t jitter;
    shard_random(f->store->shard, &jitter, 1);
    delay_ms += delay_ms * jitter / 128;
    f->due_ns = shard_now_ns(f->store->shard) + (uint64_t)delay_ms * 1000000;
    list_push_back(&f->store->resend, &f->node);
    timer_set(f->store->shard, &f->again, delay_ms + 1);
}

// flush_halve sends both halves on their own, so that only the guilty row is refused.
static void flush_halve(struct flush *f)
{
    struct flush *other = flush_new(f->store, f->read);
    if (other == NULL) {
        flush_end(f, ERR(STORE_BUSY));
        return;
    }
    size_t half = f->count / 2;
    memcpy(other->cmds, f->cmds + half, (f->count - half) * sizeof *f->cmds);
    other->count = f->count - half;
    f->count = half;
    other->barrier = f->barrier;
    f->attempts = 0;
    flush_again(f, 0);
    flush_again(other, 0);
}

static bool is_transient(const char *sqlstate)
{
    static const char *const states[] = {"40001", "40P01", "55P03", "55006"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(sqlstate, states[i]) == 0) return true;
    return strncmp(sqlstate, "53", 2) == 0; // out of connections, memory, disk: it may come back
}

static void on_done(struct conn_group *g, const char *sqlstate, bool lost)
{
    struct flush *f = LIST_OWNER(g, struct flush, group);
    struct store *s = f->store;
    *(f->read ? &s->in_flight_reads : &s->in_flight_writes) -= 1;
    if (lost && f->unsent && f->count > 1) {
        flush_halve(f);
    } else if (lost) {
        // Whether it was committed is unknown. Every command is a compare-and-set by key: sent
        // again behind a barrier it either finds its own work or does it (design.md section 4,
        // in-doubt commits). It is not given up while it is in doubt.
        f->barrier |= !f->read;
        flush_again(f, RETRY_MS);
    } else if (sqlstate[0] == 0) {
        s->flush_count += !f->read;
        flush_end(f, OK);
    } else if (strcmp(sqlstate, "42P01") == 0 && f->attempts++ < RETRY_MAX) {
        s->leaves_stale = true; // a leaf was dropped under us
        flush_again(f, RETRY_MS * 10);
    } else if (is_transient(sqlstate)) {
        if (f->attempts++ < RETRY_MAX)
            flush_again(f, RETRY_MS);
        else
            flush_end(f, ERR(STORE_BUSY));
    } else if (f->count > 1) {
        flush_halve(f);
    } else {
        flush_end(f, ERR(STORE_DATA));
    }
    turn_hook_arm(s->shard, &s->pump);
}

// ---- leaves

static void on_leaves(struct flush *f, const PGresult *r)
{
    struct store *s = f->store;
    leaf_set_clear(&s->leaves);
    for (int i = 0; i < PQntuples(r); i++) {
        enum leaf_table table;
        int64_t key;
        char name[LEAF_NAME_MAX];
        struct slice text = col_bytes(r, i, 0);
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(text));
        if (leaf_parse(&table, &key, name)) (void)leaf_set_add(&s->leaves, table, key);
    }
}

static void on_leaves_done(struct conn_group *g, const char *sqlstate, bool lost)
{
    struct flush *f = LIST_OWNER(g, struct flush, group);
    struct store *s = f->store;
    s->leaf_loading = false;
    s->in_flight_reads--;
    if (!lost && sqlstate[0] == 0) s->leaves_loaded = true;
    turn_hook_arm(s->shard, &s->pump);
}

static void leaves_load(struct store *s)
{
    struct flush *f = &s->leaf_flush;
    struct params p;
    s->leaf_loading = true;
    s->leaves_stale = false;
    s->in_flight_reads++;
    f->store = s;
    f->read = true;
    f->step_count = 0;
    f->unsent = false;
    f->group = (struct conn_group){.result = on_result, .done = on_leaves_done};
    f->conn = s->reader;
    arena_reset(&f->sql);
    params_init(&p);
    conn_begin(s->reader, &f->group);
    // A partition that is being detached is not in pg_inherits as attached any more
    // (inhdetachpending).
    flush_add(f, &p, on_leaves,
              "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
              "WHERE NOT i.inhdetachpending AND i.inhparent IN "
              "('orders'::regclass, 'authorizations'::regclass, 'intents'::regclass, "
              "'certificates'::regclass)");
    conn_end(s->reader);
}

bool leaf_exists(struct store *s, enum leaf_table table, int64_t key)
{
    if (leaf_set_has(&s->leaves, table, key)) return true;
    s->leaves_stale = true;
    return false;
}

// ---- the pump

static struct conn *writer_idle(struct store *s)
{
    for (unsigned i = 0; i < s->o.write_conns; i++)
        if (conn_state(s->writers[i]) == CONN_IDLE) return s->writers[i];
    return NULL;
}

static void fill(struct flush *f, struct list *waiting, size_t max)
{
    while (f->count < max && !list_empty(waiting))
        f->cmds[f->count++] = LIST_OWNER(list_pop_front(waiting), struct store_cmd, node);
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
        struct conn *c = f->read ? (conn_state(s->reader) == CONN_IDLE ? s->reader : NULL)
                                 : writer_idle(s);
        if (c == NULL || f->due_ns > shard_now_ns(s->shard)) continue;
        list_remove(&f->node);
        timer_cancel(&f->again);
        flush_send(f, c);
    }
}

static void drained_check(struct store *s)
{
    if (s->drained == NULL || s->waiting_count > 0) return;
    void (*drained)(void *) = s->drained;
    s->drained = NULL;
    drained(s->drained_ctx);
}

static void pump(struct store *s)
{
    if (conn_state(s->reader) == CONN_IDLE && !s->leaf_loading &&
        (!s->leaves_loaded || s->leaves_stale))
        leaves_load(s);
    if (s->leaves_loaded) {
        resend(s);
        for (struct conn *c; writes_due(s) && (c = writer_idle(s)) != NULL;) {
            struct flush *f = flush_new(s, false);
            if (f == NULL) break;
            fill(f, &s->waiting_writes, s->o.batch_max);
            flush_send(f, c);
        }
        if (!list_empty(&s->waiting_reads) && conn_state(s->reader) == CONN_IDLE) {
            struct flush *f = flush_new(s, true);
            if (f != NULL) {
                fill(f, &s->waiting_reads, s->o.batch_max);
                flush_send(f, s->reader);
            }
        }
    }
    if (!list_empty(&s->waiting_writes) && !timer_pending(&s->linger))
        timer_set(s->shard, &s->linger, (s->o.linger_us + 999) / 1000);
    drained_check(s);
}

static void on_pump(struct turn_hook *hook) { pump(LIST_OWNER(hook, struct store, pump)); }

static void on_linger(struct timer *t)
{
    struct store *s = LIST_OWNER(t, struct store, linger);
    turn_hook_arm(s->shard, &s->pump);
}

static void on_changed(void *ctx, struct conn *c)
{
    struct store *s = ctx;
    (void)c;
    turn_hook_arm(s->shard, &s->pump);
}

// expire fails what has waited too long and was never sent.
static void expire(struct store *s, struct list *waiting)
{
    uint64_t now = shard_now_ns(s->shard), age = (uint64_t)s->o.queue_age_ms * 1000000;
    struct err e = store_ready(s) ? ERR(STORE_BUSY) : ERR(STORE_AWAY);
    LIST_EACH (node, waiting) {
        struct store_cmd *cmd = LIST_OWNER(node, struct store_cmd, node);
        if (now - cmd->queued_ns < age) break; // the queue is in order of time
        list_remove(&cmd->node);
        cmd_end(s, cmd, e);
    }
}

// expire_reads gives up reads that were sent and lost: nothing of them can be in doubt.
static void expire_resend(struct store *s)
{
    LIST_EACH (node, &s->resend) {
        struct flush *f = LIST_OWNER(node, struct flush, node);
        bool old = shard_now_ns(s->shard) - f->cmds[0]->queued_ns >=
                   (uint64_t)s->o.queue_age_ms * 1000000;
        if (!f->read || !old) continue;
        list_remove(&f->node);
        flush_end(f, ERR(STORE_AWAY));
    }
}

static void on_tick(struct timer *t)
{
    struct store *s = LIST_OWNER(t, struct store, tick);
    static const unsigned refresh = LEAVES_REFRESH_MS / TICK_MS;
    static _Thread_local unsigned ticks;
    expire(s, &s->waiting_reads);
    expire(s, &s->waiting_writes);
    expire_resend(s);
    if (++ticks % refresh == 0) s->leaves_stale = true;
    turn_hook_arm(s->shard, &s->pump);
    timer_set(s->shard, &s->tick, TICK_MS);
}

static void on_refused(struct timer *t);

// struct refusal ends a command that was not taken, in the next turn: `done` never runs inside the
// call.
struct refusal {
    struct timer timer;
    struct store_cmd *cmd;
};

static void on_refused(struct timer *t)
{
    struct refusal *r = LIST_OWNER(t, struct refusal, timer);
    struct store_cmd *cmd = r->cmd;
    free(r);
    cmd->done(cmd, ERR(STORE_BUSY));
}

void store_queue(struct store *s, struct store_cmd *cmd, enum cmd_kind kind)
{
    cmd->kind = (uint8_t)kind;
    cmd->queued_ns = shard_now_ns(s->shard);
    struct refusal *r = s->waiting_count < s->o.queue_max ? NULL : calloc(1, sizeof *r);
    if (r != NULL) {
        *r = (struct refusal){.timer = {.fire = on_refused}, .cmd = cmd};
        timer_set(s->shard, &r->timer, 0);
        return;
    }
    s->waiting_count++;
    list_push_back(kind < CMD_WRITE_COUNT ? &s->waiting_writes : &s->waiting_reads, &cmd->node);
    turn_hook_arm(s->shard, &s->pump);
}

// ---- the store

struct err store_new(struct store **out, struct shard *shard, const struct store_options *options)
{
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR(STORE_BUSY);
    s->shard = shard;
    s->o = *options;
    if (s->o.batch_max > BATCH_MAX) s->o.batch_max = BATCH_MAX;
    if (s->o.write_conns > WRITE_CONNS_MAX) s->o.write_conns = WRITE_CONNS_MAX;
    s->conninfo = strdup(options->conninfo);
    list_init(&s->waiting_reads);
    list_init(&s->waiting_writes);
    list_init(&s->resend);
    list_init(&s->pump.node);
    s->pump.run = on_pump;
    s->tick.fire = on_tick;
    s->linger.fire = on_linger;
    arena_init(&s->leaf_flush.sql, 2 * SQL_MAX);
    struct conn_options co = {.conninfo = s->conninfo, .changed = on_changed, .ctx = s};
    s->reader = conn_new(shard, &co);
    co.writes = true;
    bool ok = s->conninfo != NULL && s->reader != NULL;
    for (unsigned i = 0; i < s->o.write_conns; i++)
        ok = (s->writers[i] = conn_new(shard, &co)) != NULL && ok;
    if (!ok) {
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
    while (!list_empty(waiting))
        cmd_end(s, LIST_OWNER(list_pop_front(waiting), struct store_cmd, node), ERR(STORE_AWAY));
}

void store_free(struct store *s)
{
    if (s == NULL) return;
    fail_all(s, &s->waiting_reads);
    fail_all(s, &s->waiting_writes);
    // Freed connections end their flushes as lost; those then wait in timers. They are ended here
    // for good.
    struct conn *conns[WRITE_CONNS_MAX + 1] = {s->reader};
    for (unsigned i = 0; i < s->o.write_conns; i++) conns[i + 1] = s->writers[i];
    for (unsigned i = 0; i <= s->o.write_conns; i++) conn_free(conns[i]);
    maintenance_free(s);
    while (!list_empty(&s->resend)) {
        struct flush *f = LIST_OWNER(list_pop_front(&s->resend), struct flush, node);
        flush_end(f, ERR(STORE_AWAY));
    }
    timer_cancel(&s->tick);
    timer_cancel(&s->linger);
    turn_hook_disarm(&s->pump);
    leaf_set_fini(&s->leaves);
    arena_fini(&s->leaf_flush.sql);
    free(s->conninfo);
    free(s);
}

bool store_ready(const struct store *s)
{
    if (!s->leaves_loaded || conn_state(s->reader) < CONN_IDLE) return false;
    for (unsigned i = 0; i < s->o.write_conns; i++)
        if (conn_state(s->writers[i]) >= CONN_IDLE) return true;
    return false;
}

const char *store_state_text(const struct store *s)
{
    if (conn_state(s->reader) < CONN_IDLE) return conn_text(s->reader);
    return s->o.write_conns == 0 ? "" : conn_text(s->writers[0]);
}

uint64_t store_flush_count(const struct store *s) { return s->flush_count; }

int64_t store_clock_offset_us(const struct store *s) { return conn_clock_offset_us(s->reader); }
