// account_change: an account's contacts and end, and its key. Both lock the accounts first
// (flush.c), then decide on what is there.
#include "store/internal.h"

// ---- contacts, deactivation

static void on_updated(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    int64_t n = 0;
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_UPDATE, &at)) != NULL; n++) {
        struct store_account_update *c = (struct store_account_update *)cmd;
        for (int i = 0; i < PQntuples(r); i++)
            if (col_int(r, i, 0) == n + 1) c->outcome = (enum account_outcome)col_int(r, i, 1);
    }
}

static void on_updated_rows(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_UPDATE, &at)) != NULL;) {
        struct store_account_update *c = (struct store_account_update *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->id)) account_row_read(&c->out, r, i, 0, cmd);
        }
    }
}

// account_update_send: several updates of one account in one flush are added up, because UPDATE ...
// FROM would apply one of them: the last contacts count, and any deactivation. A
// repeat of a deactivation finds the account deactivated, which is what it wanted.
void account_update_send(struct flush *f)
{
    static const enum pg_type types[] = {PG_UUID, PG_INT8, PG_BOOL, PG_TEXT, PG_BOOL, PG_BOOL};
    struct params p, q;
    size_t at = 0;
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(&p, types[i]);
    size_t id = params_array(&q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_UPDATE, &at)) != NULL;) {
        struct store_account_update *c = (struct store_account_update *)cmd;
        c->out = (struct account_row){.status = 0};
        params_put_id(&p, 0, &c->id);
        params_put_int(&p, 1, c->key_version);
        params_put_bool(&p, 2, c->set_contact);
        params_put_text(&p, 3, c->contact);
        params_put_bool(&p, 4, c->deactivate);
        params_put_bool(&p, 5, c->revoke);
        params_put_id(&q, id, &c->id);
    }
    flush_add(
        f, &p, on_updated,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY t(id, "
        "key_version, set_contact, contact, deactivate, revoke, n)), "
        "d AS (SELECT t.*, CASE WHEN a.id IS NULL THEN 2 WHEN t.revoke THEN CASE WHEN a.status IN "
        "(1, 3) THEN 1 ELSE 3 END WHEN a.key_version <> t.key_version THEN "
        "4 WHEN a.status = 1 OR (a.status = 2 AND t.deactivate) THEN 1 ELSE 3 END AS outcome "
        "FROM t LEFT JOIN accounts a ON a.id = t.id), "
        "m AS (SELECT id, (array_agg(contact ORDER BY n DESC) FILTER (WHERE set_contact))[1] AS "
        "contact, bool_or(deactivate) AS deactivate, bool_or(revoke) AS revoke FROM d "
        "WHERE outcome = 1 GROUP BY id), "
        "u AS (UPDATE accounts a SET contact = coalesce(m.contact, a.contact), status = CASE WHEN "
        "m.revoke THEN 3 WHEN m.deactivate THEN 2 ELSE a.status END FROM "
        "m WHERE a.id = m.id AND a.status = 1) "
        "SELECT n, outcome::bigint FROM d");
    flush_add(f, &q, on_updated_rows,
              "SELECT " ACCOUNT_COLUMNS " FROM accounts a WHERE a.id = ANY($1)");
}

// ---- the key

static const struct id *key_change_account(const struct store_cmd *cmd)
{
    return &((const struct store_account_key_change *)cmd)->id;
}

static void on_key_changed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_KEY_CHANGE, &at)) != NULL;) {
        struct store_account_key_change *c = (struct store_account_key_change *)cmd;
        bool first = flush_is_first(f, cmd, key_change_account);
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->id)) continue;
            c->outcome = first ? (enum account_outcome)col_int(r, i, 1) : ACCOUNT_KEY_CHANGED;
            c->taken_by = col_id(r, i, 2);
        }
    }
}

static void on_key_rows(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_KEY_CHANGE, &at)) != NULL;) {
        struct store_account_key_change *c = (struct store_account_key_change *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->id)) account_row_read(&c->out, r, i, 0, cmd);
        }
    }
}

// keys_claim inserts the new keys whose account may change; a key that is somebody's stays theirs,
// without raising.
static void keys_claim(struct flush *f)
{
    struct params p;
    size_t at = 0;
    params_init(&p);
    (void)params_array(&p, PG_UUID);
    (void)params_array(&p, PG_INT8);
    (void)params_array(&p, PG_BYTEA);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_KEY_CHANGE, &at)) != NULL;) {
        const struct store_account_key_change *c = (struct store_account_key_change *)cmd;
        if (!flush_is_first(f, cmd, key_change_account)) continue;
        params_put_id(&p, 0, &c->id);
        params_put_int(&p, 1, c->key_version);
        params_put_bytes(&p, 2, slice_of(c->thumbprint, sizeof c->thumbprint));
    }
    flush_add(f, &p, flush_nothing,
              "INSERT INTO account_keys SELECT a.tenant, t.thumbprint, a.id FROM unnest($1, $2, "
              "$3) t(id, key_version, thumbprint) JOIN accounts a ON a.id = t.id AND a.status = 1 "
              "AND a.key_version = t.key_version ORDER BY a.tenant, t.thumbprint ON CONFLICT DO "
              "NOTHING");
}

// account_key_change_send: the new key is claimed, then the accounts that won theirs take it and
// leave their old one, in one statement: all of its parts see the accounts as they were. A repeat
// finds the account with this key, one version on: its own work.
void account_key_change_send(struct flush *f)
{
    struct params p, q;
    size_t at = 0;
    params_init(&p);
    params_init(&q);
    (void)params_array(&p, PG_UUID);
    (void)params_array(&p, PG_INT8);
    (void)params_array(&p, PG_BYTEA);
    (void)params_array(&p, PG_BYTEA);
    size_t id = params_array(&q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNT_KEY_CHANGE, &at)) != NULL;) {
        struct store_account_key_change *c = (struct store_account_key_change *)cmd;
        c->outcome = ACCOUNT_UNKNOWN;
        c->out = (struct account_row){.status = 0};
        if (!flush_is_first(f, cmd, key_change_account)) continue;
        params_put_id(&p, 0, &c->id);
        params_put_int(&p, 1, c->key_version);
        params_put_bytes(&p, 2, slice_of(c->thumbprint, sizeof c->thumbprint));
        params_put_bytes(&p, 3, c->spki);
        params_put_id(&q, id, &c->id);
    }
    keys_claim(f);
    flush_add(
        f, &p, on_key_changed,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4) t(id, key_version, thumbprint, spki)), "
        "d AS (SELECT t.*, a.tenant, a.thumbprint AS old, k.account AS holder, CASE "
        "WHEN a.key_version = t.key_version + 1 AND a.thumbprint = t.thumbprint THEN 1 "
        "WHEN a.key_version <> t.key_version THEN 4 WHEN a.status <> 1 THEN 3 "
        "WHEN k.account IS DISTINCT FROM a.id OR a.thumbprint = t.thumbprint THEN 5 ELSE 1 END AS "
        "outcome, a.key_version = t.key_version AS now "
        "FROM t JOIN accounts a ON a.id = t.id LEFT JOIN account_keys k ON k.tenant = a.tenant AND "
        "k.thumbprint = t.thumbprint), "
        "u AS (UPDATE accounts a SET spki = d.spki, thumbprint = d.thumbprint, key_version = "
        "a.key_version + 1 FROM d WHERE d.outcome = 1 AND d.now AND a.id = d.id), "
        "x AS (DELETE FROM account_keys k USING d WHERE d.outcome = 1 AND d.now AND k.tenant = "
        "d.tenant AND k.thumbprint = d.old AND k.account = d.id) "
        "SELECT id, outcome::bigint, CASE WHEN outcome = 5 THEN holder END FROM d");
    flush_add(f, &q, on_key_rows,
              "SELECT " ACCOUNT_COLUMNS " FROM accounts a WHERE a.id = ANY($1)");
}

void store_account_update(struct store *s, struct store_account_update *c)
{
    store_queue(s, &c->cmd, CMD_ACCOUNT_UPDATE);
}

void store_account_key_change(struct store *s, struct store_account_key_change *c)
{
    store_queue(s, &c->cmd, CMD_ACCOUNT_KEY_CHANGE);
}
