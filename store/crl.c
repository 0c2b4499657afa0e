// crl: which CRLs have to be made, what stands on one, and the newest of each shard (RFC 5280
// section 5). Whoever makes them holds the lease "crls": its token is looked at in the statement
// that keeps a CRL.
#include <stdio.h>

#include "store/internal.h"

// ---- due

static void on_due(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_crls_due *c = (struct store_crls_due *)only;
    size_t rows = (size_t)PQntuples(r);
    (void)f;
    c->out_count = 0;
    c->out = ARENA_ARRAY(only->arena, struct crl_due, rows + 1);
    if (c->out == NULL) only->flags |= CMD_FULL;
    for (size_t i = 0; c->out != NULL && i < rows; i++)
        c->out[c->out_count++] = (struct crl_due){.shard = (uint32_t)col_int(r, (int)i, 0),
                                                  .number = (uint64_t)col_int(r, (int)i, 1),
                                                  .late = col_bool(r, (int)i, 2)};
}

// crls_due_send: what is not there yet, what a third of its time has passed of, and what has
// changed. The order is by who ends first: a new one ends at once.
void crls_due_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CRLS_DUE, &at)) != NULL;) {
        const struct store_crls_due *c = (const struct store_crls_due *)cmd;
        struct params p;
        params_init(&p);
        params_int(&p, c->issuer);
        params_int(&p, c->parts);
        params_int(&p, c->limit);
        flush_add_only(
            f, &p, on_due, cmd,
            "WITH t AS (SELECT now_us() / 1000000 AS now), "
            "w AS (SELECT h * 64 + p AS shard FROM t, generate_series(now / 3600 - 1, now / 3600 + "
            "1) h, generate_series(0, $2::bigint - 1) p UNION "
            "SELECT shard FROM crl_changes WHERE issuer = $1 UNION SELECT shard FROM crls, t WHERE "
            "issuer = $1 AND 3 * (now - this_update) >= next_update - this_update) "
            "SELECT w.shard, coalesce(c.number, 0), coalesce(2 * (now - this_update) >= "
            "next_update - this_update, false) FROM t, w LEFT JOIN crls c ON c.issuer = $1 AND "
            "c.shard = w.shard WHERE c.shard IS NULL OR 3 * (now - this_update) >= next_update - "
            "this_update OR EXISTS (SELECT FROM crl_changes x WHERE x.issuer = $1 AND x.shard = "
            "w.shard) ORDER BY coalesce(c.next_update, 0), w.shard LIMIT $3");
    }
}

// ---- what stands on one

static void on_now(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    (void)f;
    ((struct store_crl_entries *)only)->now_us = col_int(r, 0, 0);
}

static void on_changes(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_crl_entries *c = (struct store_crl_entries *)only;
    size_t rows = (size_t)PQntuples(r);
    (void)f;
    c->changes = ARENA_ARRAY(only->arena, struct id, rows + 1);
    c->change_count = c->changes == NULL ? 0 : rows;
    if (c->changes == NULL) only->flags |= CMD_FULL;
    for (size_t i = 0; i < c->change_count; i++) c->changes[i] = col_id(r, (int)i, 0);
}

static void on_entries(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_crl_entries *c = (struct store_crl_entries *)only;
    size_t rows = (size_t)PQntuples(r);
    (void)f;
    c->entries = ARENA_ARRAY(only->arena, struct crl_row, rows + 1);
    c->count = c->entries == NULL ? 0 : rows;
    if (c->entries == NULL) only->flags |= CMD_FULL;
    for (size_t i = 0; i < c->count; i++) {
        struct slice serial = col_bytes(r, (int)i, 0);
        c->entries[i] = (struct crl_row){.reason = (unsigned)col_int(r, (int)i, 1),
                                         .revoked_at_us = col_int(r, (int)i, 2)};
        if (serial.n == SERIAL_LEN) memcpy(c->entries[i].serial, serial.p, SERIAL_LEN);
    }
}

// entries_add: three statements, each on its own snapshot, in this order: what is committed before
// the time is on the list, and a change that is seen has its revocations on it.
static void entries_add(struct flush *f, struct store_crl_entries *c)
{
    struct params none, p, q;
    char name[LEAF_NAME_MAX], sql[256];
    params_init(&none);
    params_init(&p);
    params_init(&q);
    params_int(&p, c->issuer);
    params_int(&p, c->shard);
    params_int(&q, c->issuer);
    params_int(&q, c->shard);
    params_int(&q, c->limit);
    leaf_name(name, LEAF_REVOCATIONS, c->shard / CRL_PARTS_MAX);
    snprintf(sql, sizeof sql,
             "SELECT serial, reason::bigint, revoked_at FROM %s WHERE issuer = $1 AND shard = $2 "
             "ORDER BY serial LIMIT $3",
             name);
    flush_add_only(f, &none, on_now, &c->cmd, "SELECT now_us()");
    flush_add_only(f, &p, on_changes, &c->cmd,
                   "SELECT id FROM crl_changes WHERE issuer = $1 AND shard = $2 LIMIT 10000");
    flush_add_only(f, &q, on_entries, &c->cmd, sql);
}

void crl_entries_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CRL_ENTRIES, &at)) != NULL;) {
        struct store_crl_entries *c = (struct store_crl_entries *)cmd;
        c->there = leaves_have(f->store, LEAF_REVOCATIONS, c->shard / CRL_PARTS_MAX);
        c->count = c->change_count = 0;
        if (c->there) entries_add(f, c);
    }
}

// ---- kept

static void on_kept(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    (void)f;
    ((struct store_crl_commit *)only)->kept = PQntuples(r) > 0 && col_bool(r, 0, 0);
}

// commit_add: a holder that has lost the lease, or met another's number, keeps nothing; a repeat
// finds its own octets.
static void commit_add(struct flush *f, struct store_crl_commit *c)
{
    struct params p, q;
    params_init(&p);
    params_init(&q);
    params_int(&p, c->issuer);
    params_int(&p, c->shard);
    params_int(&p, (int64_t)c->before);
    params_int(&p, (int64_t)c->number);
    params_int(&p, c->this_update);
    params_int(&p, c->next_update);
    params_bytes(&p, c->der);
    params_int(&p, (int64_t)c->token);
    size_t ids = params_array(&p, PG_UUID);
    for (size_t i = 0; i < c->change_count; i++) params_put_id(&p, ids, &c->changes[i]);
    params_int(&q, c->issuer);
    params_int(&q, c->shard);
    params_int(&q, (int64_t)c->number);
    params_bytes(&q, c->der);
    flush_add_only(
        f, &p, flush_nothing, &c->cmd,
        "WITH l AS (SELECT FROM leases WHERE name = 'crls' AND token = $8 AND until > now_us() FOR "
        "SHARE), "
        "u AS (INSERT INTO crls AS k SELECT $1, $2, $4, $5, $6, $7 FROM l WHERE $4 > $3 ON "
        "CONFLICT (issuer, shard) DO UPDATE SET number = excluded.number, this_update = "
        "excluded.this_update, next_update = excluded.next_update, der = excluded.der WHERE "
        "k.number = $3 RETURNING shard) "
        "DELETE FROM crl_changes x USING u WHERE x.id = ANY($9)");
    flush_add_only(f, &q, on_kept, &c->cmd,
                   "SELECT number = $3 AND der = $4 FROM crls WHERE issuer = $1 AND shard = $2");
}

void crl_commit_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CRL_COMMIT, &at)) != NULL;)
        commit_add(f, (struct store_crl_commit *)cmd);
}

// ---- read

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_crl_get *c = (struct store_crl_get *)only;
    (void)f;
    c->found = PQntuples(r) > 0;
    if (!c->found) return;
    c->number = (uint64_t)col_int(r, 0, 0);
    c->this_update = col_int(r, 0, 1);
    c->next_update = col_int(r, 0, 2);
    c->der = col_dup(r, 0, 3, only);
}

void crl_get_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CRL_GET, &at)) != NULL;) {
        const struct store_crl_get *c = (const struct store_crl_get *)cmd;
        struct params p;
        params_init(&p);
        params_int(&p, c->issuer);
        params_int(&p, c->shard);
        flush_add_only(f, &p, on_got, cmd,
                       "SELECT number, this_update, next_update, der FROM crls WHERE issuer = $1 "
                       "AND shard = $2");
    }
}

void store_crls_due(struct store *s, struct store_crls_due *c)
{
    store_queue(s, &c->cmd, CMD_CRLS_DUE);
}

void store_crl_entries(struct store *s, struct store_crl_entries *c)
{
    store_queue(s, &c->cmd, CMD_CRL_ENTRIES);
}

void store_crl_commit(struct store *s, struct store_crl_commit *c)
{
    c->kept = false;
    store_queue(s, &c->cmd, CMD_CRL_COMMIT);
}

void store_crl_get(struct store *s, struct store_crl_get *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_CRL_GET);
}
