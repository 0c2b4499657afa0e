// partition: leaves made ahead and dropped behind, statement by statement on a connection of their
// own, since DETACH CONCURRENTLY cannot be in a transaction. Every step is idempotent: whoever
// comes next goes on where a killed one stopped. The lease's token is looked at in each step.
#include <stdio.h>
#include <stdlib.h>

#include "store/events.h"
#include "store/internal.h"
#include "store/schema.h"

enum {
    BEHIND_H = 2,       // made for what is backdated (not_before up to 1 h back), and kept as long
    WORK_MAX = 4096,    // steps in one run
    CHECKS_MAX = 64,    // leaves that are looked through for live rows in one run
    CONNECT_MS = 10000, // until the connection is usable
};

// A leaf is marked before it is detached: one that an operator detached by hand is not dropped.
#define MARK "certmill: to be dropped"
// A step of a holder that lost its lease fails with this SQLSTATE.
#define FENCED "CM001"

static const char *column_of(enum leaf_table table)
{
    static const char *const columns[LEAF_TABLE_COUNT] = {
        [LEAF_ORDERS] = "id",           [LEAF_AUTHZS] = "id",
        [LEAF_INTENTS] = "order_id",    [LEAF_CERTIFICATES] = "serial",
        [LEAF_REPLACEMENTS] = "serial", [LEAF_REVOCATIONS] = "serial"};
    return columns[table];
}

// fence writes the condition under which a step goes on; it holds the lease's row until the step
// has committed, so that no other holder begins before.
static void fence(char *out, size_t size, uint64_t token)
{
    out[0] = 0;
    if (token == 0) return;
    snprintf(out, size,
             "PERFORM FROM leases WHERE name = 'partitions' AND token = %llu AND until > now_us() "
             "FOR SHARE; IF NOT FOUND THEN RAISE SQLSTATE '" FENCED "'; END IF; ",
             (unsigned long long)token);
}

void partition_make_sql(char out[PARTITION_SQL_MAX], enum leaf_table table, int64_t key,
                        uint64_t token)
{
    char name[LEAF_NAME_MAX], lower[LEAF_BOUND_MAX], upper[LEAF_BOUND_MAX], check[256];
    const char *parent = leaf_table_name(table), *column = column_of(table);
    leaf_name(name, table, key);
    leaf_bounds(lower, upper, table, key);
    fence(check, sizeof check, token);
    snprintf(out, PARTITION_SQL_MAX,
             "DO $$ BEGIN %sIF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = "
             "to_regclass('%s')) THEN "
             "CREATE TABLE IF NOT EXISTS %s (LIKE %s INCLUDING ALL, CONSTRAINT %s_bounds CHECK (%s "
             ">= %s AND %s < %s)) WITH (fillfactor = %d); "
             "ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s); END IF; END $$",
             check, name, name, parent, name, column, lower, column, upper,
             table == LEAF_CERTIFICATES || table == LEAF_REVOCATIONS ? 100 : 70, parent, name,
             lower, upper);
}

enum work_kind {
    WORK_TIDY,
    WORK_MAKE,
    WORK_CHECK,
    WORK_MARK,
    WORK_FENCE,
    WORK_DETACH,
    WORK_FINISH,
    WORK_DROP
};

struct work {
    enum work_kind kind;
    enum leaf_table table;
    int64_t key;
};

// struct maintenance is one run of store_partitions_tend.
struct maintenance {
    struct store *store;
    struct store_partitions_tend *cmd;
    struct conn *conn;
    struct conn_group group;
    struct turn_hook next; // a step begins in a hook: never inside the end of the last one
    struct timer deadline;
    bool listed;   // the work is planned
    bool stepping; // a piece of it is under way
    bool over;     // no more steps
    struct work work[WORK_MAX];
    size_t work_count, work_at;
    bool yes; // first column of the step's first row is true
    unsigned failures;
};

static void run_free(struct maintenance *m)
{
    m->store->maintenance = NULL;
    timer_cancel(&m->deadline);
    conn_free(m->conn); // may end a step, which arms the hook
    turn_hook_disarm(&m->next);
    free(m);
}

static void run_end(struct maintenance *m, struct err e)
{
    struct store *s = m->store;
    struct store_cmd *cmd = &m->cmd->cmd;
    s->leaves_stale = true;
    turn_hook_arm(s->shard, &s->pump);
    run_free(m);
    store_cmd_end(s, cmd, e);
}

void maintenance_free(struct store *s)
{
    struct maintenance *m = s->maintenance;
    if (m != NULL) run_end(m, ERR(STORE_AWAY));
}

// ---- planning

static void work_add(struct maintenance *m, enum work_kind kind, enum leaf_table table, int64_t key)
{
    if (m->work_count < WORK_MAX) m->work[m->work_count++] = (struct work){kind, table, key};
}

// list_make plans what is missing: it comes first, being what an issuance cannot do without.
static void list_make(struct maintenance *m, const struct leaf_set *attached, int64_t now_s)
{
    for (int t = 0; t < LEAF_TABLE_COUNT; t++) {
        enum leaf_table table = (enum leaf_table)t;
        int64_t to = leaf_at(table, now_s + (int64_t)m->cmd->ahead_h * 3600);
        for (int64_t key = leaf_at(table, now_s - BEHIND_H * 3600); key <= to; key++)
            if (!leaf_set_has(attached, table, key)) work_add(m, WORK_MAKE, table, key);
    }
}

struct listed {
    enum leaf_table table;
    int64_t key;
    bool attached, pending, marked;
};

static bool listed_read(struct listed *out, const PGresult *r, int i)
{
    out->attached = col_bool(r, i, 1);
    out->pending = col_bool(r, i, 2);
    out->marked = col_bool(r, i, 3);
    return leaf_parse(&out->table, &out->key, PQgetvalue(r, i, 0));
}

// drop_plan plans the first step towards the end of a leaf whose time is past.
static void drop_plan(struct maintenance *m, const struct leaf_set *attached, struct listed x,
                      unsigned *checks)
{
    enum leaf_table before;
    bool follows = leaf_follows(&before, x.table);
    if (!x.attached && x.marked)
        work_add(m, WORK_DROP, x.table, x.key);
    else if (x.pending)
        work_add(m, WORK_FINISH, x.table, x.key);
    else if (!x.attached || (follows && leaf_set_has(attached, before, x.key)))
        return; // an operator's; or not its turn yet
    else if (follows)
        work_add(m, WORK_MARK, x.table, x.key);
    else if ((*checks)++ < CHECKS_MAX)
        work_add(m, WORK_CHECK, x.table, x.key);
}

// on_list: rows are name, attached, detach pending, marked, and the database's time in seconds. The
// walk begins at another row every hour, so that leaves that live long do not hide the others.
static void on_list(struct maintenance *m, const PGresult *r)
{
    struct leaf_set attached = {0};
    struct listed x;
    int n = PQntuples(r);
    unsigned checks = 0;
    int64_t now_s = n > 0 ? col_int(r, 0, 4) : shard_wall_s(m->store->shard);
    for (int i = 0; i < n; i++)
        if (listed_read(&x, r, i) && x.attached) (void)leaf_set_add(&attached, x.table, x.key);
    list_make(m, &attached, now_s);
    for (int i = 0; i < n; i++) {
        if (!listed_read(&x, r, (int)((i + now_s / 3600) % n))) continue;
        int64_t keep_s = (int64_t)(m->cmd->keep_extra_h + BEHIND_H) * 3600;
        if ((x.key + 1) * (int64_t)leaf_span_s(x.table) + keep_s < now_s)
            drop_plan(m, &attached, x, &checks);
    }
    leaf_set_fini(&attached);
    work_add(m, WORK_TIDY, LEAF_ORDERS, 0);
    m->listed = true;
}

#define LIST_SQL                                                                            \
    "SELECT c.relname::text, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false), " \
    "coalesce(obj_description(c.oid, 'pg_class') = '" MARK "', false), now_us() / 1000000 " \
    "FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid "                        \
    "WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class "        \
    "WHERE oid = 'orders'::regclass) "                                                      \
    "AND c.relname ~ '^(orders|authorizations|intents|certificates|replacements|"           \
    "revocations)_[0-9]+$' ORDER BY c.relname"

// ---- steps

// drop_sql: with the intents go the entries of those that were never ended, with the revocations
// the CRLs of their hour.
static void drop_sql(char *out, size_t size, const struct work *w, const char *name,
                     const char *check)
{
    char lower[LEAF_BOUND_MAX], upper[LEAF_BOUND_MAX], more[256] = "";
    leaf_bounds(lower, upper, w->table, w->key);
    if (w->table == LEAF_INTENTS)
        snprintf(more, sizeof more,
                 "DELETE FROM intents_open WHERE order_id >= %s AND order_id < %s; ", lower, upper);
    if (w->table == LEAF_REVOCATIONS)
        snprintf(more, sizeof more,
                 "DELETE FROM crls WHERE shard / %d = %lld; "
                 "DELETE FROM crl_changes WHERE shard / %d = %lld; ",
                 CRL_PARTS_MAX, (long long)w->key, CRL_PARTS_MAX, (long long)w->key);
    snprintf(out, size, "DO $$ BEGIN %s%sDROP TABLE IF EXISTS %s; END $$", check, more, name);
}

static void work_sql(char out[PARTITION_SQL_MAX], const struct maintenance *m, const struct work *w)
{
    char name[LEAF_NAME_MAX], check[256];
    const char *parent = leaf_table_name(w->table);
    long long keep_us = (long long)m->cmd->keep_extra_h * 3600000000ll;
    leaf_name(name, w->table, w->key);
    fence(check, sizeof check, m->cmd->token);
    switch (w->kind) {
    case WORK_TIDY:
        snprintf(out, PARTITION_SQL_MAX,
                 "WITH n AS (DELETE FROM nodes WHERE seen_at < now_us() - 86400000000), "
                 "r AS (DELETE FROM rate_limits WHERE tat < now_us() - 3600000000) "
                 "DELETE FROM renewal_rules WHERE keep_until < now_us() / 1000000 - 86400");
        break;
    case WORK_MAKE:
        partition_make_sql(out, w->table, w->key, m->cmd->token);
        break;
    case WORK_CHECK: // an order's expires_at covers its certificate
        snprintf(out, PARTITION_SQL_MAX,
                 "SELECT NOT EXISTS (SELECT FROM %s WHERE %s > now_us() - %lld)", name,
                 w->table == LEAF_CERTIFICATES ? "not_after * 1000000" : "expires_at", keep_us);
        break;
    case WORK_MARK:
        snprintf(out, PARTITION_SQL_MAX, "DO $$ BEGIN %sCOMMENT ON TABLE %s IS '" MARK "'; END $$",
                 check, name);
        break;
    case WORK_FENCE:
        snprintf(out, PARTITION_SQL_MAX, "DO $$ BEGIN %sEND $$", check);
        break;
    case WORK_DETACH:
        snprintf(out, PARTITION_SQL_MAX, "ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", parent,
                 name);
        break;
    case WORK_FINISH:
        snprintf(out, PARTITION_SQL_MAX, "ALTER TABLE %s DETACH PARTITION %s FINALIZE", parent,
                 name);
        break;
    case WORK_DROP:
        drop_sql(out, PARTITION_SQL_MAX, w, name, check);
        break;
    }
}

// work_done adds what follows on a step that went through.
static void work_done(struct maintenance *m)
{
    const struct work w = m->work[m->work_at++];
    if (w.kind == WORK_MAKE) m->cmd->made++;
    if (w.kind == WORK_DROP) m->cmd->dropped++;
    if (w.kind == WORK_CHECK && m->yes) work_add(m, WORK_MARK, w.table, w.key);
    if (w.kind == WORK_MARK) {
        work_add(m, WORK_FENCE, w.table, w.key);
        work_add(m, WORK_DETACH, w.table, w.key);
    }
    if (w.kind == WORK_DETACH || w.kind == WORK_FINISH) work_add(m, WORK_DROP, w.table, w.key);
}

static void step_failed(struct maintenance *m)
{
    char name[LEAF_NAME_MAX] = "";
    if (m->stepping) {
        const struct work w = m->work[m->work_at++];
        leaf_name(name, w.table, w.key);
    } else {
        m->over = true;
    }
    LOG(shard_log(m->store->shard), &EVENT_STORE_PARTITION_FAILED, conn_text(m->conn),
        LOG_STR("partition", name));
    m->failures++;
}

static void on_result(struct conn_group *g, unsigned statement, const PGresult *r)
{
    struct maintenance *m = LIST_OWNER(g, struct maintenance, group);
    (void)statement;
    if (!m->listed)
        on_list(m, r);
    else
        m->yes = PQntuples(r) > 0 && col_bool(r, 0, 0);
}

static void on_done(struct conn_group *g, enum conn_ended ended, const char *sqlstate)
{
    struct maintenance *m = LIST_OWNER(g, struct maintenance, group);
    m->cmd->fenced = strcmp(sqlstate, FENCED) == 0;
    m->over = ended == CONN_ENDED_LOST || m->cmd->fenced; // the next run finds what was done
    if (ended == CONN_ENDED_OK && m->stepping)
        work_done(m);
    else if (ended != CONN_ENDED_OK && !m->cmd->fenced)
        step_failed(m);
    turn_hook_arm(m->store->shard, &m->next);
}

static void step(struct maintenance *m)
{
    char sql[PARTITION_SQL_MAX] = LIST_SQL;
    struct params p;
    m->stepping = m->listed;
    if (m->stepping) work_sql(sql, m, &m->work[m->work_at]);
    params_init(&p);
    m->yes = false;
    conn_begin(m->conn, &m->group);
    (void)conn_add(m->conn, sql, &p); // a failure ends the group as lost
    conn_submit(m->conn);
}

static void on_next(struct turn_hook *hook)
{
    struct maintenance *m = LIST_OWNER(hook, struct maintenance, next);
    if (m->over || (m->listed && m->work_at >= m->work_count))
        run_end(m, m->failures > 0 ? ERR(STORE_BUSY) : OK);
    else if (conn_state(m->conn) == CONN_IDLE)
        step(m);
}

// on_changed: a connection that cannot be made is tried again until the deadline.
static void on_changed(void *ctx, struct conn *c)
{
    struct maintenance *m = ctx;
    if (conn_state(c) != CONN_IDLE) return;
    timer_cancel(&m->deadline);
    turn_hook_arm(m->store->shard, &m->next);
}

static void on_deadline(struct timer *t)
{
    run_end(LIST_OWNER(t, struct maintenance, deadline), ERR(STORE_AWAY));
}

void store_partitions_tend(struct store *s, struct store_partitions_tend *c)
{
    struct maintenance *m = s->maintenance != NULL ? NULL : calloc(1, sizeof *m);
    c->made = c->dropped = 0;
    c->fenced = false;
    c->cmd.flags = 0;
    c->cmd.queued_ns = shard_now_ns(s->shard);
    s->waiting_count++;
    if (m != NULL) {
        *m = (struct maintenance){.store = s, .cmd = c};
        m->group = (struct conn_group){.result = on_result, .done = on_done};
        m->next.run = on_next;
        list_init(&m->next.node);
        m->deadline.fire = on_deadline;
        struct conn_options co = {
            .hosts = &s->hosts, .writes = true, .changed = on_changed, .ctx = m};
        m->conn = conn_new(s->shard, &co);
    }
    if (m == NULL || m->conn == NULL) { // one at a time
        free(m);
        list_push_back(&s->refused, &c->cmd.node);
        turn_hook_arm(s->shard, &s->pump);
        return;
    }
    s->maintenance = m;
    timer_set(s->shard, &m->deadline, CONNECT_MS);
}
