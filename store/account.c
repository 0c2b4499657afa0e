// account: accounts by id and by key.
#include "store/internal.h"

void account_row_read(struct account_row *out, const PGresult *r, int i, struct store_cmd *cmd)
{
    *out = (struct account_row){.id = col_id(r, i, 0),
                                .tenant = col_dup(r, i, 1, cmd),
                                .status = (enum account_status)col_int(r, i, 2),
                                .key_version = (uint32_t)col_int(r, i, 3),
                                .spki = col_dup(r, i, 4, cmd),
                                .contact = col_dup(r, i, 6, cmd),
                                .terms_agreed = col_bool(r, i, 7),
                                .eab_kid = col_dup(r, i, 8, cmd),
                                .created_at_us = col_int(r, i, 9)};
    struct slice thumbprint = col_bytes(r, i, 5);
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
            account_row_read(&c->out, r, i, cmd);
            c->created = id_eq(&c->out.id, &c->row.id);
        }
    }
}

// account_create_send: the key first, unless it is known; then the accounts whose key it became,
// and then what is there: each statement's snapshot sees the winner of a race for the key. A repeat
// after a lost answer does not bring back a key that was changed meanwhile.
void account_create_send(struct flush *f)
{
    struct params k, p, q;
    size_t at = 0, col[8];
    params_init(&k);
    params_init(&p);
    params_init(&q);
    static const enum pg_type types[] = {PG_UUID,  PG_TEXT, PG_INT8, PG_BYTEA,
                                         PG_BYTEA, PG_TEXT, PG_BOOL, PG_TEXT};
    for (size_t i = 0; i < 8; i++) col[i] = params_array(&p, types[i]);
    size_t tenant = params_array(&q, PG_TEXT), thumbprint = params_array(&q, PG_BYTEA);
    size_t key_tenant = params_array(&k, PG_TEXT), key = params_array(&k, PG_BYTEA),
           key_account = params_array(&k, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_CREATE, &at)) != NULL;) {
        const struct account_row *row = &((struct store_account_create *)cmd)->row;
        params_put_id(&p, col[0], &row->id);
        params_put_text(&p, col[1], row->tenant);
        params_put_int(&p, col[2], row->status);
        params_put_bytes(&p, col[3], row->spki);
        params_put_bytes(&p, col[4], slice_of(row->thumbprint, 32));
        params_put_text(&p, col[5], row->contact);
        params_put_bool(&p, col[6], row->terms_agreed);
        params_put_text(&p, col[7], row->eab_kid);
        params_put_text(&q, tenant, row->tenant);
        params_put_bytes(&q, thumbprint, slice_of(row->thumbprint, 32));
        params_put_text(&k, key_tenant, row->tenant);
        params_put_bytes(&k, key, slice_of(row->thumbprint, 32));
        params_put_id(&k, key_account, &row->id);
    }
    flush_add(f, &k, flush_nothing,
              "INSERT INTO account_keys SELECT t.tenant, t.thumbprint, t.account FROM unnest($1, "
              "$2, $3) t(tenant, thumbprint, account) WHERE NOT EXISTS (SELECT FROM accounts a "
              "WHERE a.id = t.account) ORDER BY t.tenant, t.thumbprint ON CONFLICT DO NOTHING");
    flush_add(f, &p, flush_nothing,
              "INSERT INTO accounts SELECT t.id, t.tenant, t.status, 1, t.spki, t.thumbprint, "
              "t.contact, t.terms, t.eab, now_us() "
              "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) t(id, tenant, status, spki, thumbprint, "
              "contact, terms, eab) JOIN account_keys k ON k.tenant = t.tenant AND k.thumbprint = "
              "t.thumbprint AND k.account = t.id ORDER BY t.id ON CONFLICT DO NOTHING");
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
            if (c->found) account_row_read(&c->out, r, i, cmd);
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
