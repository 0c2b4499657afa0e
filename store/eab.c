// eab: external account binding keys, for the people who give them out. Accounts are counted where
// they are made (account.c), under the lock that eab_locks_send takes.
#include "store/internal.h"

#define EAB_COLUMNS                                                                          \
    "e.tenant, e.kid, e.id, e.status::bigint, e.algorithms::bigint, e.secret, e.secret_at, " \
    "e.previous, e.previous_until, e.accounts_max, e.accounts_used, e.expires_at, "          \
    "e.identifiers, e.profiles, e.comment, e.created_at"

static void row_read(struct eab_row *out, const PGresult *r, int i, struct store_cmd *cmd)
{
    *out = (struct eab_row){.tenant = col_dup(r, i, 0, cmd),
                            .kid = col_dup(r, i, 1, cmd),
                            .id = col_id(r, i, 2),
                            .status = (enum eab_status)col_int(r, i, 3),
                            .algorithms = (uint32_t)col_int(r, i, 4),
                            .secret = col_dup(r, i, 5, cmd),
                            .secret_at_us = col_int(r, i, 6),
                            .previous = col_dup(r, i, 7, cmd),
                            .previous_until_us = col_int(r, i, 8),
                            .accounts_max = col_int(r, i, 9),
                            .accounts_used = col_int(r, i, 10),
                            .expires_at_us = col_int(r, i, 11),
                            .identifiers = col_dup(r, i, 12, cmd),
                            .profiles = col_dup(r, i, 13, cmd),
                            .comment = col_dup(r, i, 14, cmd),
                            .created_at_us = col_int(r, i, 15)};
}

// ---- locks

static bool key_changed(const struct store_cmd *cmd, struct slice *tenant, struct slice *kid)
{
    if (cmd->kind == CMD_ACCOUNT_CREATE) {
        const struct account_row *row = &((const struct store_account_create *)cmd)->row;
        *tenant = row->tenant;
        *kid = row->eab_kid;
        return row->eab_kid.n > 0;
    }
    if (cmd->kind != CMD_EAB_CHANGE) return false;
    *tenant = ((const struct store_eab_change *)cmd)->row.tenant;
    *kid = ((const struct store_eab_change *)cmd)->row.kid;
    return true;
}

void eab_locks_send(struct flush *f)
{
    struct params p;
    size_t count = 0;
    params_init(&p);
    size_t tenants = params_array(&p, PG_TEXT), kids = params_array(&p, PG_TEXT);
    for (size_t i = 0; i < f->count; i++) {
        struct slice tenant, kid;
        if (!key_changed(f->cmds[i], &tenant, &kid)) continue;
        params_put_text(&p, tenants, tenant);
        params_put_text(&p, kids, kid);
        count++;
    }
    if (count == 0)
        params_fini(&p);
    else
        flush_add(f, &p, flush_nothing,
                  "SELECT FROM eab_keys WHERE (tenant, kid) IN (SELECT * FROM unnest($1, $2)) "
                  "ORDER BY tenant, kid FOR NO KEY UPDATE");
}

// ---- create

static void on_created(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    (void)f;
    ((struct store_eab_create *)only)->conflict = (size_t)col_int(r, 0, 0);
}

static void rows_put(struct params *p, const struct store_eab_create *c)
{
    static const enum pg_type types[] = {PG_TEXT, PG_TEXT, PG_UUID, PG_INT8, PG_INT8, PG_BYTEA,
                                         PG_INT8, PG_INT8, PG_TEXT, PG_TEXT, PG_TEXT};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(p, types[i]);
    for (size_t i = 0; i < c->count; i++) {
        const struct eab_row *row = &c->rows[i];
        params_put_text(p, 0, row->tenant);
        params_put_text(p, 1, row->kid);
        params_put_id(p, 2, &row->id);
        params_put_int(p, 3, row->status);
        params_put_int(p, 4, row->algorithms);
        params_put_bytes(p, 5, row->secret);
        params_put_int(p, 6, row->accounts_max);
        params_put_int(p, 7, row->expires_at_us);
        params_put_text(p, 8, row->identifiers);
        params_put_text(p, 9, row->profiles);
        params_put_text(p, 10, row->comment);
    }
}

// eab_create_send: whoever makes keys takes one lock first, so that all or none is decided on what
// is there, and nothing raises. Each command is a statement of its own: a later one sees what an
// earlier one has made.
void eab_create_send(struct flush *f)
{
    size_t at = 0;
    struct params lock;
    params_init(&lock);
    flush_add(f, &lock, flush_nothing, "SELECT pg_advisory_xact_lock(7231044210912)");
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_EAB_CREATE, &at)) != NULL;) {
        struct params p;
        params_init(&p);
        rows_put(&p, (const struct store_eab_create *)cmd);
        flush_add_only(
            f, &p, on_created, cmd,
            "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH "
            "ORDINALITY t(tenant, kid, id, status, algorithms, secret, accounts_max, expires_at, "
            "identifiers, profiles, comment, n)), "
            "b AS (SELECT coalesce(min(t.n), 0) AS n FROM t JOIN eab_keys e USING (tenant, kid) "
            "WHERE e.id <> t.id), "
            "w AS (INSERT INTO eab_keys SELECT t.tenant, t.kid, t.id, t.status, t.algorithms, "
            "t.secret, now_us(), '', 0, t.accounts_max, 0, t.expires_at, t.identifiers, "
            "t.profiles, t.comment, now_us() FROM t JOIN b ON b.n = 0 ORDER BY t.tenant, t.kid ON "
            "CONFLICT DO NOTHING) "
            "SELECT n FROM b");
    }
}

// ---- reads

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_EAB_GET, &at)) != NULL;) {
        struct store_eab_get *c = (struct store_eab_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            c->found = slice_eq(col_bytes(r, i, 0), c->tenant) &&
                       slice_eq(col_bytes(r, i, 1), c->kid);
            if (c->found) row_read(&c->out, r, i, cmd);
        }
    }
}

void eab_get_send(struct flush *f)
{
    struct params p;
    size_t at = 0;
    params_init(&p);
    size_t tenant = params_array(&p, PG_TEXT), kid = params_array(&p, PG_TEXT);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_EAB_GET, &at)) != NULL;) {
        struct store_eab_get *c = (struct store_eab_get *)cmd;
        c->found = false;
        params_put_text(&p, tenant, c->tenant);
        params_put_text(&p, kid, c->kid);
    }
    flush_add(f, &p, on_got,
              "SELECT " EAB_COLUMNS
              " FROM eab_keys e WHERE (e.tenant, e.kid) IN (SELECT * FROM unnest($1, $2))");
}

static void on_listed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_eab_list *c = (struct store_eab_list *)only;
    size_t count = (size_t)PQntuples(r);
    (void)f;
    c->more = count > c->limit;
    if (c->more) count = c->limit;
    c->out = ARENA_ARRAY(only->arena, struct eab_row, count + 1);
    c->out_count = c->out == NULL ? 0 : count;
    if (c->out == NULL) only->flags |= CMD_FULL;
    for (size_t i = 0; i < c->out_count; i++) row_read(&c->out[i], r, (int)i, only);
}

void eab_list_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_EAB_LIST, &at)) != NULL;) {
        struct store_eab_list *c = (struct store_eab_list *)cmd;
        struct params p;
        c->out_count = 0;
        params_init(&p);
        params_text(&p, c->tenant);
        params_text(&p, c->after_tenant);
        params_text(&p, c->after_kid);
        params_int(&p, (int64_t)c->limit + 1);
        flush_add_only(f, &p, on_listed, cmd,
                       "SELECT " EAB_COLUMNS
                       " FROM eab_keys e WHERE ($1 = '' OR e.tenant = $1) AND (e.tenant, e.kid) > "
                       "($2, $3) ORDER BY e.tenant, e.kid LIMIT $4");
    }
}

// ---- change

static void on_changed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_eab_change *c = (struct store_eab_change *)only;
    (void)f;
    c->found = PQntuples(r) == 1;
    if (c->found) row_read(&c->out, r, 0, only);
}

// eab_change_send: a repeat of a rotation finds its own secret, and leaves the previous one alone.
void eab_change_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_EAB_CHANGE, &at)) != NULL;) {
        const struct store_eab_change *c = (const struct store_eab_change *)cmd;
        struct params p;
        params_init(&p);
        params_text(&p, c->row.tenant);
        params_text(&p, c->row.kid);
        params_int(&p, c->what);
        params_int(&p, c->row.status);
        params_bytes(&p, c->row.secret);
        params_int(&p, c->overlap_us);
        params_int(&p, c->row.expires_at_us);
        params_int(&p, c->row.accounts_max);
        params_text(&p, c->row.identifiers);
        params_text(&p, c->row.profiles);
        params_text(&p, c->row.comment);
        params_int(&p, c->row.algorithms);
        flush_add_only(
            f, &p, on_changed, cmd,
            "UPDATE eab_keys e SET "
            "status = CASE WHEN $3 & 1 > 0 THEN $4 ELSE e.status END, "
            "secret = CASE WHEN $3 & 2 > 0 THEN $5 ELSE e.secret END, "
            "secret_at = CASE WHEN $3 & 2 > 0 AND e.secret <> $5 THEN now_us() ELSE e.secret_at "
            "END, "
            "previous = CASE WHEN $3 & 2 > 0 AND e.secret <> $5 THEN CASE WHEN $6 > 0 THEN "
            "e.secret "
            "ELSE '' END ELSE e.previous END, "
            "previous_until = CASE WHEN $3 & 2 > 0 AND e.secret <> $5 THEN CASE WHEN $6 > 0 THEN "
            "now_us() + $6 ELSE 0 END ELSE e.previous_until END, "
            "expires_at = CASE WHEN $3 & 4 > 0 THEN $7 ELSE e.expires_at END, "
            "accounts_max = CASE WHEN $3 & 8 > 0 THEN $8 ELSE e.accounts_max END, "
            "identifiers = CASE WHEN $3 & 16 > 0 THEN $9 ELSE e.identifiers END, "
            "profiles = CASE WHEN $3 & 32 > 0 THEN $10 ELSE e.profiles END, "
            "comment = CASE WHEN $3 & 64 > 0 THEN $11 ELSE e.comment END, "
            "algorithms = CASE WHEN $3 & 128 > 0 THEN $12 ELSE e.algorithms END "
            "WHERE e.tenant = $1 AND e.kid = $2 RETURNING " EAB_COLUMNS);
    }
}

void store_eab_create(struct store *s, struct store_eab_create *c)
{
    store_queue(s, &c->cmd, CMD_EAB_CREATE);
}

void store_eab_get(struct store *s, struct store_eab_get *c)
{
    store_queue(s, &c->cmd, CMD_EAB_GET);
}

void store_eab_list(struct store *s, struct store_eab_list *c)
{
    store_queue(s, &c->cmd, CMD_EAB_LIST);
}

void store_eab_change(struct store *s, struct store_eab_change *c)
{
    store_queue(s, &c->cmd, CMD_EAB_CHANGE);
}
