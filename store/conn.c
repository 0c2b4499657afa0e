#include "store/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/reactor.h"
#include "store/store.h"

enum {
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 5000,
    CONNECT_MS_MAX = 10000,
    NAME_MAX_LEN = 24,
    VERSION_MIN = 150000
};

enum entry_kind { ENTRY_PREPARE, ENTRY_STATEMENT, ENTRY_ROLLBACK };

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
    struct timer timer; // reconnect, or the deadline of a connect
    unsigned backoff_ms;
    struct turn_hook flush;
    char note[CONN_NOTE_MAX];
    int64_t clock_offset_us;
    uint64_t prepared[CONN_PREPARED_MAX]; // hashes of statement texts
    size_t prepared_count;
    // the group under way
    struct conn_group *group;
    struct entry entries[2 * CONN_GROUP_MAX];
    size_t entry_count, entry_at;
    unsigned statement_at;
    bool broken;      // a statement could not be sent
    bool unconfirmed; // the server gave up waiting for its standby
    char sqlstate[6];
};

static void connect_start(struct conn *c);
static void poll_arm(struct conn *c, unsigned mask);

static uint64_t text_hash(const char *s)
{
    uint64_t h = 1469598103934665603u; // FNV-1a: names of our own few statements
    for (; *s != 0; s++) h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h;
}

static void name_of(char out[NAME_MAX_LEN], uint64_t hash)
{
    snprintf(out, NAME_MAX_LEN, "s%016llx", (unsigned long long)hash);
}

static void state_set(struct conn *c, enum conn_state state)
{
    c->state = state;
    if (state == CONN_IDLE || state == CONN_DOWN) c->o.changed(c->o.ctx, c);
}

// ---- losing and connecting

static void group_end(struct conn *c, bool lost)
{
    struct conn_group *g = c->group;
    if (g == NULL) return;
    c->group = NULL;
    g->done(g, lost ? "" : c->sqlstate, lost);
}

static void pg_close(struct conn *c)
{
    if (c->polling) reactor_cancel(shard_reactor(c->shard), &c->op);
    if (c->pg != NULL) PQfinish(c->pg);
    c->pg = NULL;
    c->prepared_count = 0;
}

static void note_keep(struct conn *c, const char *text)
{
    snprintf(c->note, sizeof c->note, "%s", text);
    size_t n = strcspn(c->note, "\n");
    c->note[n] = 0;
}

static void lose(struct conn *c, const char *text)
{
    note_keep(c, text);
    pg_close(c);
    c->backoff_ms = c->backoff_ms == 0                   ? BACKOFF_MS_MIN
                    : c->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX
                                                         : c->backoff_ms * 2;
    uint8_t jitter;
    shard_random(c->shard, &jitter, 1);
    timer_set(c->shard, &c->timer, c->backoff_ms + c->backoff_ms * jitter / 512);
    state_set(c, CONN_DOWN);
    group_end(c, true);
}

void conn_reset(struct conn *c) { lose(c, "the connection was given up"); }

static void on_notice(void *arg, const PGresult *r)
{
    struct conn *c = arg;
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    // The commit is on this server and perhaps nowhere else (reliability.md 3.1): unknown, not
    // done.
    if (text != NULL && strstr(text, "canceling wait for synchronous replication") != NULL)
        c->unconfirmed = true;
}

// ---- set-up: settings, role and clock, before the first group

static const char setup_writes[] =
    "SET synchronous_commit = on; SET statement_timeout = 0; SET lock_timeout = '2s'; SET "
    "idle_in_transaction_session_timeout = 0; SET timezone = 'UTC'; "
    "SELECT pg_is_in_recovery()::int, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
    "current_setting('server_version_num')::int, (SELECT max(version) FROM schema_version)";
static const char setup_reads[] =
    "SET statement_timeout = '10s'; SET default_transaction_read_only = on; SET timezone = 'UTC'; "
    "SELECT pg_is_in_recovery()::int, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
    "current_setting('server_version_num')::int, (SELECT max(version) FROM schema_version)";

static bool setup_judge(struct conn *c, const PGresult *r)
{
    if (strcmp(PQgetvalue(r, 0, 0), "0") != 0)
        return lose(c, "this server is a standby; waiting for one that takes writes"), false;
    if (atoi(PQgetvalue(r, 0, 2)) < VERSION_MIN)
        return lose(c, "this PostgreSQL is older than 15"), false;
    if (atoi(PQgetvalue(r, 0, 3)) != STORE_SCHEMA_VERSION) {
        char text[CONN_NOTE_MAX];
        snprintf(text, sizeof text, "the database has schema version %s, this program needs %d",
                 PQgetvalue(r, 0, 3), STORE_SCHEMA_VERSION);
        return lose(c, text), false;
    }
    c->clock_offset_us = atoll(PQgetvalue(r, 0, 1)) - shard_wall_us(c->shard);
    return true;
}

static void setup_finish(struct conn *c)
{
    if (PQenterPipelineMode(c->pg) != 1) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    timer_cancel(&c->timer);
    c->backoff_ms = 0;
    snprintf(c->note, sizeof c->note, "connected to %s", PQhost(c->pg));
    state_set(c, CONN_IDLE);
    if (c->pg != NULL) poll_arm(c, REACTOR_IN); // notices the end of the connection while idle
}

static void setup_read(struct conn *c)
{
    for (PGresult *r; !PQisBusy(c->pg);) {
        r = PQgetResult(c->pg);
        if (r == NULL) {
            setup_finish(c);
            return;
        }
        ExecStatusType status = PQresultStatus(r);
        char text[CONN_NOTE_MAX];
        snprintf(text, sizeof text, "%s", PQresultErrorMessage(r));
        bool ok = status == PGRES_COMMAND_OK || (status == PGRES_TUPLES_OK && PQntuples(r) == 1);
        bool good = ok && (status != PGRES_TUPLES_OK || setup_judge(c, r));
        PQclear(r);
        if (good) continue;
        if (!ok)
            lose(c, strstr(text, "schema_version") != NULL
                        ? "the database has no certmill schema; run `certmill migrate`"
                        : text);
        return;
    }
    poll_arm(c, REACTOR_IN);
}

static void setup_start(struct conn *c)
{
    PQsetnonblocking(c->pg, 1);
    PQsetNoticeReceiver(c->pg, on_notice, c);
    c->state = CONN_SETUP;
    if (PQsendQuery(c->pg, c->o.writes ? setup_writes : setup_reads) != 1) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    PQflush(c->pg);
    poll_arm(c, REACTOR_IN);
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
    c->pg = PQconnectStart(c->o.conninfo);
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
    if (c->polling && c->pg == NULL)
        timer_set(c->shard, t, 1); // the old poll has not ended yet
    else if (c->pg == NULL)
        connect_start(c);
    else
        lose(c, "no answer while connecting");
}

// ---- results

static void entry_result(struct conn *c, const PGresult *r)
{
    struct entry *e = &c->entries[c->entry_at];
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_FATAL_ERROR) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        if (c->sqlstate[0] == 0)
            snprintf(c->sqlstate, sizeof c->sqlstate, "%s", state == NULL ? "58000" : state);
        note_keep(c, PQresultErrorMessage(r));
    }
    if (c->sqlstate[0] != 0 || status == PGRES_PIPELINE_ABORTED) return;
    if (e->kind == ENTRY_PREPARE && c->prepared_count < CONN_PREPARED_MAX)
        c->prepared[c->prepared_count++] = e->hash;
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

static void group_finish(struct conn *c)
{
    bool unknown = c->unconfirmed;
    if (unknown || (strncmp(c->sqlstate, "57", 2) == 0 || strncmp(c->sqlstate, "08", 2) == 0)) {
        lose(c, unknown ? "a commit was not confirmed by the standby" : c->note);
        return;
    }
    c->state = CONN_IDLE; // `done` may begin the next group
    group_end(c, false);
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
    if (c->pg == NULL || res == -ECANCELED) {
        if (c->pg != NULL && c->mask != 0) poll_arm(c, c->mask);
        return;
    }
    if (c->state == CONN_CONNECTING) {
        connect_step(c);
        return;
    }
    if (res & REACTOR_OUT) PQflush(c->pg);
    if (PQconsumeInput(c->pg) != 1) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    if (c->state == CONN_SETUP) {
        setup_read(c);
        return;
    }
    bool ended = c->group != NULL && group_read(c);
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    poll_arm(c, REACTOR_IN | (PQflush(c->pg) > 0 ? REACTOR_OUT : 0u));
    if (ended) group_finish(c);
}

static void poll_arm(struct conn *c, unsigned mask)
{
    c->mask = mask;
    if (c->polling) return;
    c->polling = true;
    reactor_poll(shard_reactor(c->shard), &c->op, PQsocket(c->pg), mask);
}

// ---- groups

void conn_begin(struct conn *c, struct conn_group *g)
{
    CHECK(c->state == CONN_IDLE && c->group == NULL);
    c->state = CONN_BUSY;
    c->group = g;
    c->entry_count = c->entry_at = 0;
    c->statement_at = 0;
    c->broken = false;
    c->sqlstate[0] = 0;
    // A group that failed leaves its transaction open: the rest of its pipeline, COMMIT too, was
    // skipped.
    if (PQtransactionStatus(c->pg) == PQTRANS_IDLE) return;
    c->broken = PQsendQueryParams(c->pg, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 1) != 1;
    c->entries[c->entry_count++] = (struct entry){.kind = ENTRY_ROLLBACK};
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
    char name[NAME_MAX_LEN];
    uint64_t hash = text_hash(sql);
    name_of(name, hash);
    if (!params_finish(p, values, lengths, formats) ||
        c->entry_count + 2 > sizeof c->entries / sizeof c->entries[0])
        return false;
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
    if (c->broken) {
        lose(c, "a statement could not be sent");
        return;
    }
    int left = PQflush(c->pg);
    if (left < 0) {
        lose(c, PQerrorMessage(c->pg));
        return;
    }
    unsigned mask = REACTOR_IN | (left > 0 ? REACTOR_OUT : 0u);
    if (c->polling && left > 0 && c->mask != mask)
        reactor_cancel(shard_reactor(c->shard), &c->op); // comes back and is armed for both
    poll_arm(c, mask);
}

void conn_end(struct conn *c)
{
    if (PQpipelineSync(c->pg) != 1) c->broken = true;
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
    group_end(c, true);
    if (!c->polling) free(c); // else its last completion does
}

enum conn_state conn_state(const struct conn *c) { return c->state; }

const char *conn_text(const struct conn *c) { return c->note; }

int64_t conn_clock_offset_us(const struct conn *c) { return c->clock_offset_us; }
