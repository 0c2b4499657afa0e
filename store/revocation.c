// revocation: certificates revoked and looked up, hour by hour: a certificate and its revocation
// lie in leaves of the same key.
#include "store/internal.h"

static int64_t revoke_leaf(const struct store_cmd *cmd)
{
    return leaf_of_serial(((const struct store_revoke *)cmd)->serial);
}
static int64_t get_leaf(const struct store_cmd *cmd)
{
    return leaf_of_serial(((const struct store_revocation_get *)cmd)->serial);
}

// ---- revoke

static void on_decided(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_REVOKE, &at)) != NULL;) {
        struct store_revoke *c = (struct store_revoke *)cmd;
        for (int i = 0; i < PQntuples(r); i++)
            if (col_int(r, i, 0) == c->tag) c->outcome = (enum revocation_outcome)col_int(r, i, 1);
    }
}

static void row_read(struct revocation *out, const PGresult *r, int i)
{
    *out = (struct revocation){.reason = (unsigned)col_int(r, i, 1),
                               .revoked_at_us = col_int(r, i, 2)};
}

// on_rows: what is there now. Of those that may, whose tag it has was the first.
static void on_rows(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_REVOKE, &at)) != NULL;) {
        struct store_revoke *c = (struct store_revoke *)cmd;
        if (c->outcome != REVOCATION_MADE) continue;
        for (int i = 0; i < PQntuples(r); i++) {
            if (!slice_eq(col_bytes(r, i, 0), slice_of(c->serial, SERIAL_LEN))) continue;
            row_read(&c->out, r, i);
            if (col_int(r, i, 3) != c->tag) c->outcome = REVOCATION_ALREADY;
        }
    }
}

enum { COL_SERIAL, COL_BY_ACCOUNT, COL_ACCOUNT, COL_VERSION, COL_REASON, COL_TAG, REVOKE_COLS };
enum { NAME_TAG = REVOKE_COLS, NAME_ACCOUNT, NAME_VALUE, NAME_WILDCARD, ALL_COLS };

// name_put writes a name as authorizations have it: without "*.", which is a column of its own.
static void name_put(struct flush *f, struct params *p, const struct store_revoke *c,
                     struct identifier name)
{
    struct buf value;
    bool wildcard = name.type == IDENTIFIER_DNS && slice_starts(name.value, SLICE_LIT("*."));
    if (wildcard) name.value = slice_sub(name.value, 2, name.value.n);
    buf_init(&value, 1024);
    if (failed(identifiers_encode(&value, &name, 1))) f->unsent = true;
    params_put_int(p, NAME_TAG, c->tag);
    params_put_id(p, NAME_ACCOUNT, &c->account);
    params_put_bytes(p, NAME_VALUE, buf_slice(&value));
    params_put_bool(p, NAME_WILDCARD, wildcard);
    buf_fini(&value);
}

static void revoke_put(struct flush *f, struct params *p, const struct store_revoke *c)
{
    params_put_bytes(p, COL_SERIAL, slice_of(c->serial, SERIAL_LEN));
    params_put_bool(p, COL_BY_ACCOUNT, c->by_account);
    params_put_id(p, COL_ACCOUNT, &c->account);
    params_put_int(p, COL_VERSION, c->key_version);
    params_put_int(p, COL_REASON, c->reason);
    params_put_int(p, COL_TAG, c->tag);
    for (size_t i = 0; c->by_account && i < c->name_count; i++) name_put(f, p, c, c->names[i]);
}

// revokes_add decides about the certificates of one leaf and inserts, of several revocations of one
// certificate in one flush the first; a row that is there stays. Whether it is ours the next
// statement says.
static void revokes_add(struct flush *f, struct params *p, int64_t leaf)
{
    char certificates[LEAF_NAME_MAX], revocations[LEAF_NAME_MAX];
    leaf_name(certificates, LEAF_CERTIFICATES, leaf);
    leaf_name(revocations, LEAF_REVOCATIONS, leaf);
    flush_add(
        f, p, on_decided,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY t(serial, "
        "by_account, account, key_version, reason, tag, n)), "
        "z AS (SELECT p.tag, bool_and(EXISTS (SELECT FROM authorizations z WHERE z.account = "
        "p.account AND z.identifier = p.identifier AND z.wildcard = p.wildcard AND z.status = 2 "
        "AND z.expires_at > now_us())) AS held "
        "FROM unnest($7, $8, $9, $10) p(tag, account, identifier, wildcard) GROUP BY p.tag), "
        "d AS (SELECT t.*, c.issuer, c.crl_shard, c.not_after, CASE WHEN c.serial IS NULL THEN 3 "
        "WHEN t.by_account AND (a.id IS NULL OR a.status <> 1) THEN 5 "
        "WHEN t.by_account AND a.key_version <> t.key_version THEN 6 "
        "WHEN t.by_account AND c.account <> t.account AND NOT coalesce(z.held, false) THEN 7 "
        "WHEN (c.not_after + 1) * 1000000 <= now_us() THEN 4 ELSE 1 END AS outcome "
        "FROM t LEFT JOIN %s c ON c.serial = t.serial "
        "LEFT JOIN accounts a ON t.by_account AND a.id = t.account LEFT JOIN z ON z.tag = t.tag), "
        "i AS (INSERT INTO %s SELECT DISTINCT ON (serial) serial, issuer, crl_shard, reason, "
        "now_us(), not_after, tag FROM d WHERE outcome = 1 ORDER BY serial, n ON CONFLICT DO "
        "NOTHING RETURNING issuer, shard), "
        "w AS (INSERT INTO crl_changes SELECT gen_random_uuid(), issuer, shard FROM (SELECT "
        "DISTINCT issuer, shard FROM i WHERE shard > 0) s) "
        "SELECT tag, outcome::bigint FROM d",
        certificates, revocations);
}

static void revokes_send(struct flush *f, int64_t leaf)
{
    static const enum pg_type types[ALL_COLS] = {PG_BYTEA, PG_BOOL, PG_UUID, PG_INT8,  PG_INT8,
                                                 PG_INT8,  PG_INT8, PG_UUID, PG_BYTEA, PG_BOOL};
    struct params p, q;
    char revocations[LEAF_NAME_MAX];
    size_t at = 0;
    if (!leaves_have(f->store, LEAF_CERTIFICATES, leaf)) return; // no such certificate
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < ALL_COLS; i++) (void)params_array(&p, types[i]);
    size_t serial = params_array(&q, PG_BYTEA);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_REVOKE, &at)) != NULL;) {
        const struct store_revoke *c = (const struct store_revoke *)cmd;
        if (revoke_leaf(cmd) != leaf) continue;
        revoke_put(f, &p, c);
        params_put_bytes(&q, serial, slice_of(c->serial, SERIAL_LEN));
    }
    revokes_add(f, &p, leaf);
    leaf_name(revocations, LEAF_REVOCATIONS, leaf);
    flush_add(f, &q, on_rows,
              "SELECT serial, reason::bigint, revoked_at, tag FROM %s WHERE serial = ANY($1)",
              revocations);
}

void revoke_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_REVOKE, &at)) != NULL;)
        ((struct store_revoke *)cmd)->outcome = REVOCATION_UNKNOWN;
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_REVOKE, revoke_leaf, &leaf);)
        revokes_send(f, leaf);
}

// ---- burned serials: they may be somewhere, and nobody was given them

static int64_t close_order_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_intent_close *)cmd)->order);
}

static int64_t burned_leaf(const struct store_cmd *cmd)
{
    const struct store_intent_close *c = (const struct store_intent_close *)cmd;
    return c->has_burned ? leaf_of_serial(c->burned_serial) : 0;
}

static void burned_add(struct flush *f, int64_t order_leaf, int64_t leaf)
{
    struct params p;
    char orders[LEAF_NAME_MAX], intents[LEAF_NAME_MAX], revocations[LEAF_NAME_MAX];
    size_t at = 0;
    if (!leaves_have(f->store, LEAF_REVOCATIONS, leaf)) return; // of an hour long past
    params_init(&p);
    size_t id = params_array(&p, PG_UUID), serial = params_array(&p, PG_BYTEA);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CLOSE, &at)) != NULL;) {
        const struct store_intent_close *c = (const struct store_intent_close *)cmd;
        if (close_order_leaf(cmd) != order_leaf || burned_leaf(cmd) != leaf) continue;
        params_put_id(&p, id, &c->order);
        params_put_bytes(&p, serial, slice_of(c->burned_serial, SERIAL_LEN));
    }
    leaf_name(orders, LEAF_ORDERS, order_leaf);
    leaf_name(intents, LEAF_INTENTS, order_leaf);
    leaf_name(revocations, LEAF_REVOCATIONS, leaf);
    flush_add(f, &p, flush_nothing,
              "WITH i AS (INSERT INTO %s SELECT DISTINCT ON (t.serial) t.serial, i.issuer, "
              "i.crl_shard, 0, now_us(), i.not_after, 0 FROM unnest($1, $2) t(id, serial) JOIN %s "
              "o ON o.id = t.id AND o.status = 5 JOIN %s i ON i.order_id = t.id AND i.crl_shard > "
              "0 AND i.burned_serial = t.serial ORDER BY t.serial ON CONFLICT DO NOTHING RETURNING "
              "issuer, shard) "
              "INSERT INTO crl_changes SELECT gen_random_uuid(), issuer, shard FROM (SELECT "
              "DISTINCT issuer, shard FROM i) s",
              revocations, orders, intents);
}

void burned_send(struct flush *f, int64_t order_leaf)
{
    for (int64_t leaf = 0; flush_leaf_next(f, CMD_INTENT_CLOSE, burned_leaf, &leaf);) {
        size_t at = 0;
        bool any = false;
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CLOSE, &at)) != NULL;)
            any |= close_order_leaf(cmd) == order_leaf && burned_leaf(cmd) == leaf;
        if (any) burned_add(f, order_leaf, leaf);
    }
}

// ---- get

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_REVOCATION_GET, &at)) != NULL;) {
        struct store_revocation_get *c = (struct store_revocation_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            if (!slice_eq(col_bytes(r, i, 0), slice_of(c->serial, SERIAL_LEN))) continue;
            c->found = true;
            row_read(&c->out, r, i);
        }
    }
}

void revocation_get_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_REVOCATION_GET, get_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        if (!leaves_have(f->store, LEAF_REVOCATIONS, leaf)) continue;
        params_init(&p);
        size_t serial = params_array(&p, PG_BYTEA);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_REVOCATION_GET, &at)) != NULL;)
            if (get_leaf(cmd) == leaf)
                params_put_bytes(
                    &p, serial, slice_of(((struct store_revocation_get *)cmd)->serial, SERIAL_LEN));
        leaf_name(name, LEAF_REVOCATIONS, leaf);
        flush_add(f, &p, on_got,
                  "SELECT serial, reason::bigint, revoked_at FROM %s WHERE serial = ANY($1)", name);
    }
}

void store_revoke(struct store *s, struct store_revoke *c)
{
    do shard_random(s->shard, &c->tag, sizeof c->tag);
    while (c->tag == 0);
    c->outcome = REVOCATION_UNKNOWN;
    c->out = (struct revocation){0};
    store_queue(s, &c->cmd, CMD_REVOKE);
}

void store_revocation_get(struct store *s, struct store_revocation_get *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_REVOCATION_GET);
}
