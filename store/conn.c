#include "store/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/core/reactor.h"
#include "store/events.h"
#include "store/store.h"

enum {
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 5000,
    NEXT_HOST_MS = 10,     // pause before the next host of the same round
    CONNECT_MS_MAX = 5000, // until the server has answered who it is
    NAME_SIZE = 24,
    VERSION_MIN = 150000,
};

enum entry_kind { ENTRY_PREPARE, ENTRY_STATEMENT, ENTRY_OWN };

struct entry {
    enum entry_kind kind;
    uint64_t hash;
};

struct conn {
    struct shard *shard;
    struct conn_options o;
    PGconn *pg;
    enum conn_state state;
    struct op op; // one poll at a time
    bool polling, freed;
    unsigned mask;
    struct timer timer; // when down: connect; else the deadline of what is under way
    unsigned attempt, backoff_ms;
    struct turn_hook flush;
    char note[CONN_NOTE_MAX];
    bool lost_logged;
    // the set-up under way
    bool setup_barrier; // the facts are known; the synchronous write is on its way
    int64_t asked_us;
    int64_t clock_offset_us;
    // hashes of statement texts that are prepared
    uint64_t prepared[CONN_PREPARED_KEEP + CONN_GROUP_MAX];
    size_t prepared_count;
    // the group under way
    struct conn_group *group;
    struct entry entries[2 * CONN_GROUP_MAX + 2];
    size_t entry_count, entry_at;
    unsigned statement_at;
    bool broken;      // a statement could not be sent
    bool unconfirmed; // the server gave up waiting for its standby
    char sqlstate[6];
};

static void poll_arm(struct conn *c, unsigned mask);

// text_hash is FNV-1a over our own few statement texts.
static uint64_t text_hash(const char *s)
{
    uint64_t h = 1469598103934665603u;
    for (; *s != 0; s++) h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h;
}

static void name_of(char out[NAME_SIZE], uint64_t hash)
{
    snprintf(out, NAME_SIZE, "s%016llx", (unsigned long long)hash);
}

static void note_keep(struct conn *c, const char *text)
{
    size_t n = strcspn(text, "\n");
    if (n > CONN_NOTE_MAX - 1) n = CONN_NOTE_MAX - 1;
    memmove(c->note, text, n);
    c->note[n] = 0;
}

static void state_set(struct conn *c, enum conn_state state)
{
    bool usable = c->state >= CONN_IDLE;
    struct metrics *m = shard_metrics(c->shard);
    c->state = state;
    if (usable && state == CONN_DOWN)
        metric_add(m, shard_index(c->shard), &METRIC_STORE_CONNS_LOST, 1);
    if (state == CONN_IDLE || state == CONN_DOWN) c->o.changed(c->o.ctx, c);
}

// ---- losing and connecting

static void group_end(struct conn *c, enum conn_ended ended)
{
    struct conn_group *g = c->group;
    if (g == NULL) return;
    c->group = NULL;
    g->done(g, ended, c->sqlstate);
}

static void pg_close(struct conn *c)
{
    if (c->polling) reactor_cancel(shard_reactor(c->shard), &c->op);
    PQfinish(c->pg);
    c->pg = NULL;
    c->prepared_count = 0;
}

// pause_ms is how long to wait before the next attempt: short while hosts of this round are left.
static unsigned pause_ms(struct conn *c)
{
    uint8_t jitter;
    if (++c->attempt % (unsigned)c->o.hosts->count != 0) return NEXT_HOST_MS;
    c->backoff_ms = c->backoff_ms == 0 ? BACKOFF_MS_MIN : c->backoff_ms * 2;
    if (c->backoff_ms > BACKOFF_MS_MAX) c->backoff_ms = BACKOFF_MS_MAX;
    shard_random(c->shard, &jitter, 1);
    return c->backoff_ms + c->backoff_ms * jitter / 512;
}

static void lose(struct conn *c, const char *text)
{
    note_keep(c, text); // before the connection, whose text it may be, is closed
    pg_close(c);
    if (!c->lost_logged)
        LOG(shard_log(c->shard), &EVENT_STORE_LOST, c->note,
            LOG_STR("role", c->o.writes ? "write" : "read"));
    c->lost_logged = true;
    timer_set(c->shard, &c->timer, pause_ms(c));
    state_set(c, CONN_DOWN);
    group_end(c, CONN_ENDED_LOST);
}

void conn_reset(struct conn *c, const char *reason)
{
    if (c->pg != NULL) lose(c, reason);
}

static void on_notice(void *arg, const PGresult *r)
{
    struct conn *c = arg;
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    // The commit is on this server and perhaps nowhere else (reliability.md 3.1): unknown, not
    // done.
    if (text != NULL && strstr(text, "canceling wait for synchronous replication") != NULL)
        c->unconfirmed = true;
}

// ---- set-up: settings, what the server is, and a synchronous write, before the first group

#define FACTS                                                                        \
    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool, " \
    "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "                    \
    "current_setting('server_version_num')::int, (SELECT max(version) FROM schema_version)"
#define BARRIER "SELECT pg_logical_emit_message(true, 'certmill', '')"

// Every statement finds its rows by key in a leaf that it names. Plans that read whole tables can
// only come from statistics of a young leaf, and would outlive them in a prepared statement.
#define SETTINGS                                                                                \
    "SET timezone = 'UTC'; SET default_transaction_isolation = 'read committed'; "              \
    "SET synchronous_commit = on; SET idle_in_transaction_session_timeout = 0; SET jit = off; " \
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; "

static const char setup_writes[] = SETTINGS
    "SET statement_timeout = 0; SET lock_timeout = '2s'; " FACTS;
static const char setup_reads[] = SETTINGS "SET statement_timeout = '4s'; " FACTS;
static const char barrier_writes[] = BARRIER;
static const char barrier_reads[] = BARRIER "; SET default_transaction_read_only = on";

static bool facts_judge(struct conn *c, const PGresult *r)
{
    if (strcmp(PQgetvalue(r, 0, 0), "f") != 0)
        return lose(c, "this server takes no writes; waiting for the primary"), false;
    if (atoi(PQgetvalue(r, 0, 2)) < VERSION_MIN)
        return lose(c, "this PostgreSQL is older than 15"), false;
    if (atoi(PQgetvalue(r, 0, 3)) != STORE_SCHEMA_VERSION) {
        char text[CONN_NOTE_MAX];
        snprintf(text, sizeof text, "the database has schema version %s, this program needs %d",
                 PQgetvalue(r, 0, 3), STORE_SCHEMA_VERSION);
        return lose(c, text), false;
    }
    int64_t now = shard_wall_us(c->shard);
    c->clock_offset_us = atoll(PQgetvalue(r, 0, 1)) - (c->asked_us + (now - c->asked_us) / 2);
    return true;
}

static void setup_send(struct conn *c, const char *sql)
{
    if (PQsendQuery(c->pg, sql) != 1 || PQflush(c->pg) != 0)
        lose(c, PQerrorMessage(c->pg));
    else
        poll_arm(c, REACTOR_IN);
}

static void setup_next(struct conn *c)
{
    timer_cancel(&c->timer);
    if (!c->setup_barrier) {
        // No deadline from here: with its standbys gone a server answers writes when one is back,
        // and a connection that was given up would keep waiting there.
        c->setup_barrier = true;
        setup_send(c, c->o.writes ? barrier_writes : barrier_reads);
        return;
    }
    if (c->unconfirmed || PQenterPipelineMode(c->pg) != 1) {
        lose(c, c->unconfirmed ? "a standby did not confirm" : PQerrorMessage(c->pg));
        return;
    }
    c->backoff_ms = 0;
    c->lost_logged = false;
    snprintf(c->note, sizeof c->note, "connected to %s", PQhost(c->pg));
    LOG(shard_log(c->shard), &EVENT_STORE_CONNECTED, c->note,
        LOG_STR("role", c->o.writes ? "write" : "read"),
        LOG_INT("clock_offset_us", c->clock_offset_us));
    poll_arm(c, REACTOR_IN); // notices the end of the connection while idle
    state_set(c, CONN_IDLE);
}

// setup_refused says what the operator can do about the server's answer.
static void setup_refused(struct conn *c, const PGresult *r)
{
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    bool no_schema = sqlstate != NULL && strcmp(sqlstate, "42P01") == 0;
    char text[CONN_NOTE_MAX];
    snprintf(text, sizeof text, "%s",
             no_schema ? "the database has no certmill schema; run `certmill migrate`"
                       : PQresultErrorMessage(r));
    lose(c, text);
}

static void setup_read(struct conn *c)
{
    while (!PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (r == NULL) {
            setup_next(c);
            return;
        }
        ExecStatusType status = PQresultStatus(r);
        bool rows = status == PGRES_TUPLES_OK && PQntuples(r) == 1;
        bool good = rows ? c->setup_barrier || facts_judge(c, r) : status == PGRES_COMMAND_OK;
        if (!good && !rows) setup_refused(c, r);
        PQclear(r);
        if (!good) return;
    }
    poll_arm(c, REACTOR_IN);
}

static void setup_start(struct conn *c)
{
    PQsetnonblocking(c->pg, 1);
    PQsetNoticeReceiver(c->pg, on_notice, c);
    c->state = CONN_SETUP;
    c->setup_barrier = false;
    c->asked_us = shard_wall_us(c->shard);
    setup_send(c, c->o.writes ? setup_writes : setup_reads);
}

static void connect_step(struct conn *c)
{
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        poll_arm(c, REACTOR_IN);
        return;
    case PGRES_POLLING_WRITING:
        poll_arm(c, REACTOR_OUT);
        return;
    case PGRES_POLLING_OK:
        setup_start(c);
        return;
    default:
        lose(c, PQerrorMessage(c->pg));
        return;
    }
}

static void connect_start(struct conn *c)
{
    c->pg = hosts_connect(c->o.hosts, c->attempt);
    c->state = CONN_CONNECTING;
    c->unconfirmed = false;
    if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD) {
        lose(c, c->pg == NULL ? "out of memory" : PQerrorMessage(c->pg));
        return;
    }
    timer_set(c->shard, &c->timer, CONNECT_MS_MAX);
    poll_arm(c, REACTOR_OUT);
}

static void on_timer(struct timer *t)
{
    struct conn *c = LIST_OWNER(t, struct conn, timer);
    if (c->pg == NULL && c->polling)
        timer_set(c->shard, t, 1); // the old poll has not ended yet
    else if (c->pg == NULL)
        connect_start(c);
    else
        lose(c,
             c->state == CONN_BUSY ? "no answer to a read in time" : "no answer while connecting");
}

// ---- results

static void entry_result(struct conn *c, const PGresult *r)
{
    const struct entry *e = &c->entries[c->entry_at];
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_FATAL_ERROR && c->sqlstate[0] == 0) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state == NULL ? "58000" : state);
        note_keep(c, PQresultErrorMessage(r));
    }
    if (c->sqlstate[0] != 0 || status == PGRES_PIPELINE_ABORTED) return;
    if (e->kind == ENTRY_PREPARE) c->prepared[c->prepared_count++] = e->hash;
    if (e->kind == ENTRY_STATEMENT) c->group->result(c->group, c->statement_at, r);
}

// group_read takes what has arrived of the group under way. True when its sync has come.
static bool group_read(struct conn *c)
{
    while (!PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (r == NULL) {
            if (c->entry_at >= c->entry_count) return false; // nothing more yet
            c->statement_at += c->entries[c->entry_at++].kind == ENTRY_STATEMENT;
            continue;
        }
        bool sync = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
        if (!sync && c->entry_at < c->entry_count) entry_result(c, r);
        PQclear(r);
        if (sync) return true;
    }
    return false;
}

// is_end: the server's word that this connection is of no use any more: it goes away (57P), the
// session is broken (08, 25), or it has become a standby (25006).
static bool is_end(const char *sqlstate)
{
    return strncmp(sqlstate, "57", 2) == 0 || strncmp(sqlstate, "08", 2) == 0 ||
           strncmp(sqlstate, "25", 2) == 0;
}

static void group_finish(struct conn *c)
{
    if (c->unconfirmed || is_end(c->sqlstate)) {
        lose(c, c->unconfirmed ? "a commit was not confirmed by the standby" : c->note);
        return;
    }
    timer_cancel(&c->timer);
    c->state = CONN_IDLE; // `done` may begin the next group
    group_end(c, c->sqlstate[0] == 0 ? CONN_ENDED_OK : CONN_ENDED_REFUSED);
}

static void busy_read(struct conn *c)
{
    bool ended = c->group != NULL && group_read(c);
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    int left = PQflush(c->pg);
    if (left < 0) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    poll_arm(c, REACTOR_IN | (left > 0 ? REACTOR_OUT : 0u));
    if (ended) group_finish(c);
}

static void on_ready(struct op *op, int32_t res, uint32_t flags)
{
    (void)flags;
    struct conn *c = LIST_OWNER(op, struct conn, op);
    c->polling = false;
    if (c->freed) {
        free(c);
        return;
    }
    if (c->pg == NULL) return;
    if (res == -ECANCELED) { // asked for, to be armed for more
        poll_arm(c, c->mask);
        return;
    }
    if (c->state == CONN_CONNECTING) {
        connect_step(c);
        return;
    }
    if (PQconsumeInput(c->pg) != 1)
        lose(c, PQerrorMessage(c->pg));
    else if (c->state == CONN_SETUP)
        setup_read(c);
    else
        busy_read(c);
}

static void poll_arm(struct conn *c, unsigned mask)
{
    c->mask = mask;
    if (c->polling) return;
    c->polling = true;
    reactor_poll(shard_reactor(c->shard), &c->op, PQsocket(c->pg), mask);
}

// ---- groups

// own_send adds a statement of the connection's own, whose result nobody asked for.
static void own_send(struct conn *c, const char *sql)
{
    if (PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 1) != 1) c->broken = true;
    c->entries[c->entry_count++] = (struct entry){.kind = ENTRY_OWN};
}

void conn_begin(struct conn *c, struct conn_group *g)
{
    CHECK(c->state == CONN_IDLE && c->group == NULL);
    c->state = CONN_BUSY;
    c->group = g;
    c->entry_count = c->entry_at = 0;
    c->statement_at = 0;
    c->broken = false;
    c->sqlstate[0] = 0;
    if (c->o.group_ms_max > 0) timer_set(c->shard, &c->timer, c->o.group_ms_max);
    // A group that failed leaves its transaction open: the rest of its pipeline, COMMIT too, was
    // skipped.
    if (PQtransactionStatus(c->pg) != PQTRANS_IDLE) own_send(c, "ROLLBACK");
    // Statements name leaves, and leaves come and go: what is prepared would grow for ever.
    if (c->prepared_count > CONN_PREPARED_KEEP) {
        own_send(c, "DEALLOCATE ALL");
        c->prepared_count = 0;
    }
}

static bool is_prepared(const struct conn *c, uint64_t hash)
{
    for (size_t i = 0; i < c->prepared_count; i++)
        if (c->prepared[i] == hash) return true;
    for (size_t i = 0; i < c->entry_count; i++)
        if (c->entries[i].kind == ENTRY_PREPARE && c->entries[i].hash == hash) return true;
    return false;
}

static bool send_statement(struct conn *c, const char *sql, struct params *p)
{
    const char *values[PARAMS_MAX];
    int lengths[PARAMS_MAX], formats[PARAMS_MAX];
    char name[NAME_SIZE];
    uint64_t hash = text_hash(sql);
    name_of(name, hash);
    if (!params_finish(p, values, lengths, formats)) return false;
    if (c->entry_count + 2 > sizeof c->entries / sizeof c->entries[0]) return false;
    if (!is_prepared(c, hash)) {
        if (PQsendPrepare(c->pg, name, sql, (int)p->count, p->oids) != 1) return false;
        c->entries[c->entry_count++] = (struct entry){.kind = ENTRY_PREPARE, .hash = hash};
    }
    if (PQsendQueryPrepared(c->pg, name, (int)p->count, values, lengths, formats, 1) != 1)
        return false;
    c->entries[c->entry_count++] = (struct entry){.kind = ENTRY_STATEMENT, .hash = hash};
    return true;
}

bool conn_add(struct conn *c, const char *sql, struct params *params)
{
    if (!c->broken && !send_statement(c, sql, params)) c->broken = true;
    return !c->broken;
}

static void on_flush(struct turn_hook *hook)
{
    struct conn *c = LIST_OWNER(hook, struct conn, flush);
    if (c->state != CONN_BUSY || c->pg == NULL) return;
    int left = c->broken ? -1 : PQflush(c->pg);
    if (left < 0) {
        lose(c, c->broken ? "a statement could not be sent" : PQerrorMessage(c->pg));
        return;
    }
    unsigned mask = REACTOR_IN | (left > 0 ? REACTOR_OUT : 0u);
    bool widen = c->polling && (mask & ~c->mask) != 0;
    poll_arm(c, mask);
    if (widen) reactor_cancel(shard_reactor(c->shard), &c->op); // comes back, armed for both
}

void conn_submit(struct conn *c)
{
    if (!c->broken && PQpipelineSync(c->pg) != 1) c->broken = true;
    turn_hook_arm(c->shard, &c->flush);
}

// ----

struct conn *conn_new(struct shard *shard, const struct conn_options *options)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->shard = shard;
    c->o = *options;
    c->op.done = on_ready;
    c->timer.fire = on_timer;
    c->flush.run = on_flush;
    list_init(&c->flush.node);
    snprintf(c->note, sizeof c->note, "not connected yet");
    timer_set(shard, &c->timer, 0);
    return c;
}

void conn_free(struct conn *c)
{
    if (c == NULL) return;
    timer_cancel(&c->timer);
    turn_hook_disarm(&c->flush);
    c->freed = true;
    pg_close(c);
    group_end(c, CONN_ENDED_LOST);
    if (!c->polling) free(c); // else its last completion does
}

enum conn_state conn_state(const struct conn *c) { return c->state; }

const char *conn_text(const struct conn *c) { return c->note; }

int64_t conn_clock_offset_us(const struct conn *c) { return c->clock_offset_us; }
