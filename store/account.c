// account: accounts by id and by key.
#include "store/internal.h"

void account_row_read(struct account_row *out, const PGresult *r, int i, int first,
                      struct store_cmd *cmd)
{
    *out = (struct account_row){.id = col_id(r, i, first),
                                .tenant = col_dup(r, i, first + 1, cmd),
                                .status = (enum account_status)col_int(r, i, first + 2),
                                .key_version = (uint32_t)col_int(r, i, first + 3),
                                .spki = col_dup(r, i, first + 4, cmd),
                                .contact = col_dup(r, i, first + 6, cmd),
                                .terms_agreed = col_bool(r, i, first + 7),
                                .eab_kid = col_dup(r, i, first + 8, cmd),
                                .created_at_us = col_int(r, i, first + 9),
                                .eab_binding = col_dup(r, i, first + 10, cmd)};
    struct slice thumbprint = col_bytes(r, i, first + 5);
    if (thumbprint.n == sizeof out->thumbprint) memcpy(out->thumbprint, thumbprint.p, thumbprint.n);
}

static bool is_key(const PGresult *r, int i, struct slice tenant, const uint8_t thumbprint[32])
{
    return slice_eq(col_bytes(r, i, 1), tenant) &&
           slice_eq(col_bytes(r, i, 5), slice_of(thumbprint, 32));
}

static void on_created(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_CREATE, &at)) != NULL;) {
        struct store_account_create *c = (struct store_account_create *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            if (!is_key(r, i, c->row.tenant, c->row.thumbprint)) continue;
            account_row_read(&c->out, r, i, 0, cmd);
            c->created = id_eq(&c->out.id, &c->row.id);
            c->refused = 0; // it is there all the same
        }
    }
}

// on_claimed: why keys were not claimed; an account that is there all the same takes it back.
static void on_claimed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_CREATE, &at)) != NULL;) {
        struct store_account_create *c = (struct store_account_create *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id account = col_id(r, i, 0);
            if (id_eq(&account, &c->row.id)) c->refused = (enum eab_refusal)col_int(r, i, 1);
        }
    }
}

// claims_send: the key of each new account, unless it is known, or the account's binding key does
// not allow it. The binding keys were locked by an earlier statement, so that what they have left
// is what this one sees; several accounts of one flush take their places in the order in which they
// came. What is claimed is counted.
static void claims_send(struct flush *f)
{
    static const enum pg_type types[] = {PG_TEXT, PG_BYTEA, PG_UUID, PG_TEXT, PG_BYTEA};
    struct params k;
    size_t at = 0;
    params_init(&k);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(&k, types[i]);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_CREATE, &at)) != NULL;) {
        struct store_account_create *c = (struct store_account_create *)cmd;
        c->out = (struct account_row){.status = 0};
        c->created = false;
        c->refused = 0;
        params_put_text(&k, 0, c->row.tenant);
        params_put_bytes(&k, 1, slice_of(c->row.thumbprint, 32));
        params_put_id(&k, 2, &c->row.id);
        params_put_text(&k, 3, c->row.eab_kid);
        params_put_bytes(&k, 4, c->eab_secret);
    }
    flush_add(
        f, &k, on_claimed,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY t(tenant, thumbprint, "
        "account, eab, secret, n)), "
        "d AS (SELECT t.*, e.accounts_max AS most, e.accounts_used AS used, CASE "
        "WHEN t.eab = '' THEN 0 WHEN e.kid IS NULL THEN 1 WHEN e.status <> 1 THEN 2 "
        "WHEN e.expires_at > 0 AND e.expires_at <= now_us() THEN 3 "
        "WHEN t.secret = e.secret OR (t.secret = e.previous AND e.previous_until > now_us()) THEN "
        "0 ELSE 5 END AS why FROM t LEFT JOIN account_keys k USING (tenant, thumbprint) "
        "LEFT JOIN eab_keys e ON e.tenant = t.tenant AND e.kid = t.eab AND t.eab <> '' "
        "WHERE k.account IS NULL AND NOT EXISTS (SELECT FROM accounts a WHERE a.id = t.account)), "
        "g AS (SELECT d.*, min(n) OVER (PARTITION BY tenant, eab, why, thumbprint) AS first FROM "
        "d), "
        "p AS (SELECT g.*, CASE WHEN why = 0 AND eab <> '' AND most > 0 AND used + dense_rank() "
        "OVER (PARTITION BY tenant, eab, why ORDER BY first) > most THEN 4 ELSE why END AS outcome "
        "FROM g), "
        "w AS (SELECT DISTINCT ON (tenant, thumbprint) tenant, thumbprint, account, eab FROM p "
        "WHERE outcome = 0 ORDER BY tenant, thumbprint, n), "
        "i AS (INSERT INTO account_keys SELECT tenant, thumbprint, account FROM w ORDER BY tenant, "
        "thumbprint ON CONFLICT DO NOTHING RETURNING account), "
        "c AS (SELECT w.tenant, w.eab, count(*) AS made FROM w JOIN i USING (account) WHERE w.eab "
        "<> '' GROUP BY w.tenant, w.eab), "
        "u AS (UPDATE eab_keys e SET accounts_used = e.accounts_used + c.made FROM c WHERE "
        "e.tenant = c.tenant AND e.kid = c.eab) "
        "SELECT account, outcome::bigint FROM p WHERE outcome <> 0");
}

// account_create_send: the key first, unless it is known; then the accounts whose key it became,
// and then what is there: each statement's snapshot sees the winner of a race for the key. A repeat
// after a lost answer does not bring back a key that was changed meanwhile, and is not counted
// again.
void account_create_send(struct flush *f)
{
    static const enum pg_type types[] = {PG_UUID, PG_TEXT, PG_INT8, PG_BYTEA, PG_BYTEA,
                                         PG_TEXT, PG_BOOL, PG_TEXT, PG_TEXT};
    struct params p, q;
    size_t at = 0;
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(&p, types[i]);
    size_t tenant = params_array(&q, PG_TEXT), thumbprint = params_array(&q, PG_BYTEA);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_CREATE, &at)) != NULL;) {
        const struct account_row *row = &((struct store_account_create *)cmd)->row;
        params_put_id(&p, 0, &row->id);
        params_put_text(&p, 1, row->tenant);
        params_put_int(&p, 2, row->status);
        params_put_bytes(&p, 3, row->spki);
        params_put_bytes(&p, 4, slice_of(row->thumbprint, 32));
        params_put_text(&p, 5, row->contact);
        params_put_bool(&p, 6, row->terms_agreed);
        params_put_text(&p, 7, row->eab_kid);
        params_put_text(&p, 8, row->eab_binding);
        params_put_text(&q, tenant, row->tenant);
        params_put_bytes(&q, thumbprint, slice_of(row->thumbprint, 32));
    }
    claims_send(f);
    flush_add(f, &p, flush_nothing,
              "INSERT INTO accounts SELECT t.id, t.tenant, t.status, 1, t.spki, t.thumbprint, "
              "t.contact, t.terms, t.eab, now_us(), t.binding "
              "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) t(id, tenant, status, spki, "
              "thumbprint, contact, terms, eab, binding) JOIN account_keys k ON k.tenant = "
              "t.tenant AND k.thumbprint = t.thumbprint AND k.account = t.id ORDER BY t.id ON "
              "CONFLICT DO NOTHING");
    flush_add(f, &q, on_created,
              "SELECT " ACCOUNT_COLUMNS " FROM unnest($1, $2) t(tenant, thumbprint) JOIN "
              "account_keys k USING (tenant, thumbprint) JOIN accounts a ON a.id = k.account");
}

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_GET, &at)) != NULL;) {
        struct store_account_get *c = (struct store_account_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            c->found = c->by_id ? id_eq(&id, &c->id) : is_key(r, i, c->tenant, c->thumbprint);
            if (c->found) account_row_read(&c->out, r, i, 0, cmd);
        }
    }
}

void account_get_send(struct flush *f)
{
    struct params p, q;
    size_t at = 0, ids = 0, keys = 0;
    params_init(&p);
    params_init(&q);
    size_t id = params_array(&p, PG_UUID);
    size_t tenant = params_array(&q, PG_TEXT), thumbprint = params_array(&q, PG_BYTEA);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_GET, &at)) != NULL;) {
        struct store_account_get *c = (struct store_account_get *)cmd;
        c->found = false;
        if (c->by_id) {
            params_put_id(&p, id, &c->id);
            ids++;
        } else {
            params_put_text(&q, tenant, c->tenant);
            params_put_bytes(&q, thumbprint, slice_of(c->thumbprint, 32));
            keys++;
        }
    }
    if (ids > 0)
        flush_add(f, &p, on_got, "SELECT " ACCOUNT_COLUMNS " FROM accounts a WHERE a.id = ANY($1)");
    else
        params_fini(&p);
    if (keys > 0)
        flush_add(f, &q, on_got,
                  "SELECT " ACCOUNT_COLUMNS
                  " FROM unnest($1, $2) t(tenant, thumbprint) JOIN account_keys k USING (tenant, "
                  "thumbprint) JOIN accounts a ON a.id = k.account");
    else
        params_fini(&q);
}

void store_account_create(struct store *s, struct store_account_create *c)
{
    store_queue(s, &c->cmd, CMD_ACCOUNT_CREATE);
}

void store_account_get(struct store *s, struct store_account_get *c)
{
    store_queue(s, &c->cmd, CMD_ACCOUNT_GET);
}
