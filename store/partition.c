// partition: leaves made ahead and dropped behind, statement by statement on a connection of their
// own, since DETACH CONCURRENTLY cannot be in a transaction. Every step is idempotent: whoever
// comes next goes on where a killed one stopped.
#include <stdio.h>
#include <stdlib.h>

#include "cluster/core/reactor.h"
#include "store/internal.h"
#include "store/schema.h"

enum { BEHIND_H = 2, WORK_MAX = 2048, CHECKS_MAX = 16 };

void partition_make_sql(char out[PARTITION_SQL_MAX], enum leaf_table table, int64_t key)
{
    char name[LEAF_NAME_MAX], lower[LEAF_BOUND_MAX], upper[LEAF_BOUND_MAX];
    const char *parent = leaf_table_name(table), *column = table == LEAF_INTENTS        ? "order_id"
                                                           : table == LEAF_CERTIFICATES ? "serial"
                                                                                        : "id";
    leaf_name(name, table, key);
    leaf_bounds(lower, upper, table, key);
    snprintf(out, PARTITION_SQL_MAX,
             "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = "
             "to_regclass('%s')) THEN "
             "CREATE TABLE IF NOT EXISTS %s (LIKE %s INCLUDING ALL, CONSTRAINT %s_bounds CHECK (%s "
             ">= %s AND %s < %s)) WITH (fillfactor = %d); "
             "ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s); END IF; END $$",
             name, name, parent, name, column, lower, column, upper,
             table == LEAF_CERTIFICATES ? 100 : 70, parent, name, lower, upper);
}

enum work_kind { WORK_MAKE, WORK_CHECK, WORK_DETACH, WORK_FINISH, WORK_DROP };

struct work {
    enum work_kind kind;
    enum leaf_table table;
    int64_t key;
};

enum phase { PHASE_CONNECT, PHASE_LIST, PHASE_FENCE, PHASE_WORK };

// struct maintenance is one run of store_partitions_tend.
struct maintenance {
    struct store *store;
    struct store_partitions_tend *cmd;
    PGconn *pg;
    struct op op;
    bool polling, freed;
    enum phase phase;
    struct work work[WORK_MAX];
    size_t work_count, work_at;
    bool refused; // the statement under way failed
    bool yes;     // first column of its first row is true
};

static void advance(struct maintenance *m);

static void run_free(struct maintenance *m)
{
    if (m->pg != NULL) PQfinish(m->pg);
    m->pg = NULL;
    m->freed = true;
    if (m->polling)
        reactor_cancel(shard_reactor(m->store->shard), &m->op); // its last completion frees
    else
        free(m);
}

static void run_end(struct maintenance *m, struct err e)
{
    struct store *s = m->store;
    struct store_cmd *cmd = &m->cmd->cmd;
    s->maintenance = NULL;
    s->leaves_stale = true;
    turn_hook_arm(s->shard, &s->pump);
    run_free(m);
    cmd->done(cmd, e);
}

void maintenance_free(struct store *s)
{
    struct maintenance *m = s->maintenance;
    if (m == NULL) return;
    struct store_cmd *cmd = &m->cmd->cmd;
    s->maintenance = NULL;
    run_free(m);
    cmd->done(cmd, ERR(STORE_AWAY));
}

static void arm(struct maintenance *m, unsigned mask)
{
    m->polling = true;
    reactor_poll(shard_reactor(m->store->shard), &m->op, PQsocket(m->pg), mask);
}

static void query(struct maintenance *m, const char *sql)
{
    m->refused = m->yes = false;
    if (PQsendQuery(m->pg, sql) != 1 || PQflush(m->pg) < 0)
        run_end(m, ERR(STORE_AWAY));
    else
        arm(m, REACTOR_IN);
}

static void work_add(struct maintenance *m, enum work_kind kind, enum leaf_table table, int64_t key)
{
    if (m->work_count < WORK_MAX) m->work[m->work_count++] = (struct work){kind, table, key};
}

// list_read plans what is to be dropped; rows are name, attached, detach pending, the database's
// time in seconds. Leaves to be made come first: they are what an issuance cannot do without.
static void list_read(struct maintenance *m, const PGresult *r)
{
    struct leaf_set attached = {0};
    int64_t now_s = PQntuples(r) > 0 ? atoll(PQgetvalue(r, 0, 3)) : shard_wall_s(m->store->shard);
    unsigned checks = 0;
    for (int i = 0; i < PQntuples(r); i++) {
        enum leaf_table table;
        int64_t key;
        if (leaf_parse(&table, &key, PQgetvalue(r, i, 0)) && PQgetvalue(r, i, 1)[0] == 't')
            (void)leaf_set_add(&attached, table, key);
    }
    for (int t = 0; t < LEAF_TABLE_COUNT; t++) {
        int64_t to = leaf_at((enum leaf_table)t, now_s + (int64_t)m->cmd->ahead_h * 3600);
        for (int64_t key = leaf_at((enum leaf_table)t, now_s - BEHIND_H * 3600); key <= to; key++)
            if (!leaf_set_has(&attached, (enum leaf_table)t, key))
                work_add(m, WORK_MAKE, (enum leaf_table)t, key);
    }
    for (int i = 0; i < PQntuples(r); i++) {
        enum leaf_table table;
        int64_t key;
        if (!leaf_parse(&table, &key, PQgetvalue(r, i, 0))) continue;
        bool past = (key + 1) * leaf_span_s(table) +
                        (int64_t)(m->cmd->keep_extra_h + BEHIND_H) * 3600 <
                    now_s;
        if (!past) continue;
        if (PQgetvalue(r, i, 1)[0] != 't')
            work_add(m, WORK_DROP, table, key);
        else if (PQgetvalue(r, i, 2)[0] == 't')
            work_add(m, WORK_FINISH, table, key);
        else if (table != LEAF_INTENTS && checks++ < CHECKS_MAX)
            work_add(m, WORK_CHECK, table, key);
        else if (table == LEAF_INTENTS && !leaf_set_has(&attached, LEAF_ORDERS, key))
            work_add(m, WORK_DETACH, table, key); // goes with its orders
    }
    leaf_set_fini(&attached);
}

static void work_run(struct maintenance *m)
{
    const struct work *w = &m->work[m->work_at];
    char name[LEAF_NAME_MAX], sql[PARTITION_SQL_MAX];
    leaf_name(name, w->table, w->key);
    switch (w->kind) {
    case WORK_MAKE:
        partition_make_sql(sql, w->table, w->key);
        break;
    case WORK_CHECK: // does anything in it still live? Stops at the first row that does; expires_at
                     // of an order covers its certificate.
        snprintf(sql, sizeof sql, "SELECT NOT EXISTS (SELECT FROM %s WHERE %s > now_us() - %lld)",
                 name, w->table == LEAF_CERTIFICATES ? "not_after * 1000000" : "expires_at",
                 (long long)m->cmd->keep_extra_h * 3600000000ll);
        break;
    case WORK_DETACH:
        snprintf(sql, sizeof sql, "ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY",
                 leaf_table_name(w->table), name);
        break;
    case WORK_FINISH:
        snprintf(sql, sizeof sql, "ALTER TABLE %s DETACH PARTITION %s FINALIZE",
                 leaf_table_name(w->table), name);
        break;
    case WORK_DROP:
        snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS %s", name);
        break;
    }
    query(m, sql);
}

static void work_done(struct maintenance *m)
{
    const struct work w = m->work[m->work_at++];
    if (m->refused) return; // another run will try again
    if (w.kind == WORK_MAKE) m->cmd->made++;
    if (w.kind == WORK_CHECK && m->yes) work_add(m, WORK_DETACH, w.table, w.key);
    if (w.kind == WORK_DETACH || w.kind == WORK_FINISH) work_add(m, WORK_DROP, w.table, w.key);
    if (w.kind == WORK_DROP) m->cmd->dropped++;
}

static void fence(struct maintenance *m)
{
    char sql[256];
    if (m->work_at == m->work_count) {
        run_end(m, OK);
        return;
    }
    // Whoever has lost the lease stops; what it did is finished by the next holder.
    snprintf(sql, sizeof sql,
             "SELECT EXISTS (SELECT FROM leases WHERE name = 'partitions' AND token = %llu AND "
             "until > now_us())",
             (unsigned long long)m->cmd->token);
    m->phase = PHASE_FENCE;
    query(m, sql);
}

// advance runs when the statement under way has ended.
static void advance(struct maintenance *m)
{
    switch (m->phase) {
    case PHASE_CONNECT:
        m->phase = PHASE_LIST;
        query(m, "SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false), "
                 "(now_us() / 1000000)::bigint FROM pg_class c LEFT JOIN pg_inherits i ON "
                 "i.inhrelid = c.oid "
                 "WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class "
                 "WHERE oid = 'orders'::regclass) "
                 "AND c.relname ~ '^(orders|authorizations|intents|certificates)_[0-9]+$' ORDER BY "
                 "c.relname");
        return;
    case PHASE_LIST:
        if (m->refused)
            run_end(m, ERR(STORE_AWAY));
        else
            fence(m);
        return;
    case PHASE_FENCE:
        m->phase = PHASE_WORK;
        if (m->refused || !m->yes)
            run_end(m, OK);
        else
            work_run(m);
        return;
    case PHASE_WORK:
        work_done(m);
        fence(m);
        return;
    }
}

static void results_read(struct maintenance *m)
{
    while (!PQisBusy(m->pg)) {
        PGresult *r = PQgetResult(m->pg);
        if (r == NULL) {
            advance(m);
            return;
        }
        ExecStatusType status = PQresultStatus(r);
        if (status == PGRES_TUPLES_OK && m->phase == PHASE_LIST)
            list_read(m, r);
        else if (status == PGRES_TUPLES_OK && PQntuples(r) > 0)
            m->yes = PQgetvalue(r, 0, 0)[0] == 't';
        else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            m->refused = true;
        PQclear(r);
    }
    arm(m, REACTOR_IN);
}

static void connect_step(struct maintenance *m)
{
    switch (PQconnectPoll(m->pg)) {
    case PGRES_POLLING_READING:
        arm(m, REACTOR_IN);
        return;
    case PGRES_POLLING_WRITING:
        arm(m, REACTOR_OUT);
        return;
    case PGRES_POLLING_OK:
        PQsetnonblocking(m->pg, 1);
        query(
            m,
            "SET lock_timeout = '2s'; SET statement_timeout = 0; SET client_min_messages = error");
        m->phase = PHASE_CONNECT;
        return;
    default:
        run_end(m, ERR(STORE_AWAY));
        return;
    }
}

static void on_ready(struct op *op, int32_t res, uint32_t flags)
{
    (void)flags;
    (void)res;
    struct maintenance *m = LIST_OWNER(op, struct maintenance, op);
    m->polling = false;
    if (m->freed)
        free(m);
    else if (PQstatus(m->pg) != CONNECTION_OK)
        connect_step(m);
    else if (PQconsumeInput(m->pg) != 1)
        run_end(m, ERR(STORE_AWAY));
    else
        results_read(m);
}

void store_partitions_tend(struct store *s, struct store_partitions_tend *c)
{
    struct maintenance *m = s->maintenance != NULL ? NULL : calloc(1, sizeof *m);
    c->made = c->dropped = 0;
    if (m != NULL) m->pg = PQconnectStart(s->conninfo);
    if (m == NULL || m->pg == NULL || PQstatus(m->pg) == CONNECTION_BAD) {
        struct err e = m == NULL ? ERR(STORE_BUSY) : ERR(STORE_AWAY);
        if (m != NULL) PQfinish(m->pg);
        free(m);
        c->cmd.done(&c->cmd, e);
        return;
    }
    m->store = s;
    m->cmd = c;
    m->op.done = on_ready;
    s->maintenance = m;
    arm(m, REACTOR_OUT);
}
