// finalize: the statements of an issuance that must happen exactly once (design.md section 4): the
// intent that moves an order to PROCESSING, the certificate that makes it VALID, and the reaper's
// claim of what others left behind.
#include <stdio.h>

#include "proto/err.h"
#include "store/internal.h"

#define INTENT_COLUMNS                                                                          \
    "i.order_id, i.tenant, i.account, i.owner_node, i.owner_boot, i.spki, i.names, i.profile, " \
    "i.profile_hash, i.template_version, i.issuer::bigint, i.region::bigint, "                  \
    "i.issuer_cert_hash, i.serial_key_generation, i.not_before, i.not_after, i.crl_shard, "     \
    "i.salt, i.created_at"

enum { AUTHZ_LEAVES_MAX = 64 }; // days that the authorizations of one flush may come from

static int64_t intent_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_INTENTS, &((const struct store_intent_create *)cmd)->intent.order);
}
static int64_t intent_get_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_INTENTS, &((const struct store_intent_get *)cmd)->order);
}
static int64_t commit_order_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_certificate_commit *)cmd)->order);
}
static int64_t commit_leaf(const struct store_cmd *cmd)
{
    return leaf_of_serial(((const struct store_certificate_commit *)cmd)->serial);
}
static int64_t certificate_leaf(const struct store_cmd *cmd)
{
    return leaf_of_serial(((const struct store_certificate_get *)cmd)->serial);
}

static void hash_copy(uint8_t *out, size_t n, struct slice s)
{
    if (s.n == n) memcpy(out, s.p, n);
}

static const struct id *intent_order(const struct store_cmd *cmd)
{
    return &((const struct store_intent_create *)cmd)->intent.order;
}
static const struct id *commit_order(const struct store_cmd *cmd)
{
    return &((const struct store_certificate_commit *)cmd)->order;
}

// intent_read marks the command CMD_FULL when the arena is; false when the row is not one of ours.
static bool intent_read(struct intent *out, const PGresult *r, int i, struct store_cmd *cmd)
{
    *out = (struct intent){.order = col_id(r, i, 0),
                           .tenant = col_dup(r, i, 1, cmd),
                           .account = col_id(r, i, 2),
                           .owner_node = col_id(r, i, 3),
                           .owner_boot = (uint64_t)col_int(r, i, 4),
                           .spki = col_dup(r, i, 5, cmd),
                           .profile = col_dup(r, i, 7, cmd),
                           .template_version = (uint32_t)col_int(r, i, 9),
                           .issuer = (uint16_t)col_int(r, i, 10),
                           .region = (uint8_t)col_int(r, i, 11),
                           .serial_key_generation = (uint32_t)col_int(r, i, 13),
                           .not_before = col_int(r, i, 14),
                           .not_after = col_int(r, i, 15),
                           .crl_shard = (uint32_t)col_int(r, i, 16),
                           .created_at_us = col_int(r, i, 18)};
    hash_copy(out->profile_hash, HASH_LEN, col_bytes(r, i, 8));
    hash_copy(out->issuer_cert_hash, HASH_LEN, col_bytes(r, i, 12));
    hash_copy(out->salt, SALT_LEN, col_bytes(r, i, 17));
    struct err e = identifiers_decode(&out->names, &out->name_count, cmd->arena,
                                      col_dup(r, i, 6, cmd));
    if (err_is(e, ERR_NO_SPACE)) cmd->flags |= CMD_FULL;
    return !failed(e);
}

// ---- e2

static void on_decided(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;) {
        struct store_intent_create *c = (struct store_intent_create *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->intent.order)) continue;
            c->outcome = (enum intent_outcome)col_int(r, i, 1);
            c->order_status = (enum order_status)col_int(r, i, 2);
            c->authz = col_id(r, i, 3);
            c->intent.created_at_us = col_int(r, i, 4);
            if (c->outcome != INTENT_CREATED || flush_is_first(f, cmd, intent_order)) continue;
            // The second of one order in one flush lost to the first.
            c->outcome = INTENT_ORDER_NOT_READY;
            c->order_status = ORDER_PROCESSING;
        }
    }
}

enum { INTENT_ERROR = 20, PAIR_ORDER, PAIR_AUTHZ, AUTHZS_OWN, AUTHZS_HELD };

// authz_leaves collects the leaves of the authorizations that the intents of one order leaf name,
// of orders that hold others' (`held`) or have only their own; sorted so that the same set makes
// the same statement. False when there are too many.
static bool authz_leaves(struct flush *f, int64_t leaf, bool held, int64_t keys[AUTHZ_LEAVES_MAX],
                         size_t *out_count)
{
    size_t count = 0, at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;) {
        const struct store_intent_create *c = (const struct store_intent_create *)cmd;
        if (intent_leaf(cmd) != leaf || (c->authzs_held > 0) != held) continue;
        for (size_t i = 0; i < c->authz_count; i++) {
            int64_t key = leaf_of_id(LEAF_AUTHZS, &c->authzs[i]);
            size_t k = 0;
            while (k < count && keys[k] < key) k++;
            if ((k < count && keys[k] == key) || !leaves_have(f->store, LEAF_AUTHZS, key)) continue;
            if (count == AUTHZ_LEAVES_MAX) return false;
            memmove(keys + k + 1, keys + k, (count++ - k) * sizeof *keys);
            keys[k] = key;
        }
    }
    *out_count = count;
    return true;
}

// authz_union_add appends "UNION ALL SELECT ... FROM leaf1 WHERE id = ANY($n) ..." over the leaves
// of one kind. What an order holds of other orders is not under its own lock: it is locked here, so
// that nobody gives it back before the order is PROCESSING; whoever did so just now is waited for,
// and seen.
static bool authz_union_add(char *out, size_t size, struct flush *f, int64_t leaf, bool held)
{
    int64_t keys[AUTHZ_LEAVES_MAX];
    size_t count, n = strlen(out);
    if (!authz_leaves(f, leaf, held, keys, &count)) return false;
    for (size_t k = 0; k < count && n < size; k++) {
        char name[LEAF_NAME_MAX];
        leaf_name(name, LEAF_AUTHZS, keys[k]);
        n += (size_t)snprintf(out + n, size - n,
                              held ? " UNION ALL SELECT * FROM (SELECT id, account, status, "
                                     "expires_at FROM %s WHERE id = ANY($%u) ORDER BY id FOR "
                                     "SHARE) h"
                                   : " UNION ALL SELECT id, account, status, expires_at FROM %s "
                                     "WHERE id = ANY($%u)",
                              name, (held ? AUTHZS_HELD : AUTHZS_OWN) + 1u);
    }
    return n < size;
}

static void intent_put(struct flush *f, struct params *p, const struct store_intent_create *c)
{
    const struct intent *in = &c->intent;
    struct buf names;
    buf_init(&names, 65536);
    if (failed(identifiers_encode(&names, in->names, in->name_count))) f->unsent = true;
    params_put_id(p, 0, &in->order);
    params_put_text(p, 1, in->tenant);
    params_put_id(p, 2, &in->account);
    params_put_id(p, 3, &in->owner_node);
    params_put_int(p, 4, (int64_t)in->owner_boot);
    params_put_bytes(p, 5, in->spki);
    params_put_bytes(p, 6, buf_slice(&names));
    params_put_text(p, 7, in->profile);
    params_put_bytes(p, 8, slice_of(in->profile_hash, HASH_LEN));
    params_put_int(p, 9, in->template_version);
    params_put_int(p, 10, in->issuer);
    params_put_int(p, 11, in->region);
    params_put_bytes(p, 12, slice_of(in->issuer_cert_hash, HASH_LEN));
    params_put_int(p, 13, in->serial_key_generation);
    params_put_int(p, 14, in->not_before);
    params_put_int(p, 15, in->not_after);
    params_put_int(p, 16, in->crl_shard);
    params_put_bytes(p, 17, slice_of(in->salt, SALT_LEN));
    params_put_int(p, 18, c->key_version);
    params_put_bytes(p, 19, slice_of(c->authzs, c->authz_count * sizeof *c->authzs));
    params_put_text(p, INTENT_ERROR, c->authz_error);
    for (size_t i = 0; i < c->authz_count; i++) {
        params_put_id(p, PAIR_ORDER, &in->order);
        params_put_id(p, PAIR_AUTHZ, &c->authzs[i]);
        params_put_id(p, c->authzs_held > 0 ? AUTHZS_HELD : AUTHZS_OWN, &c->authzs[i]);
    }
    buf_fini(&names);
}

static void intents_send(struct flush *f, int64_t leaf)
{
    static const enum pg_type types[] = {
        PG_UUID, PG_TEXT,  PG_UUID, PG_UUID,  PG_INT8, PG_BYTEA, PG_BYTEA, PG_TEXT, PG_BYTEA,
        PG_INT8, PG_INT8,  PG_INT8, PG_BYTEA, PG_INT8, PG_INT8,  PG_INT8,  PG_INT8, PG_BYTEA,
        PG_INT8, PG_BYTEA, PG_TEXT, PG_UUID,  PG_UUID, PG_UUID,  PG_UUID};
    struct params p;
    // Both arrays are named even where no leaf is: PostgreSQL knows their types then.
    char orders[LEAF_NAME_MAX], intents[LEAF_NAME_MAX],
        authzs[SQL_MAX / 2] = "SELECT NULL::uuid AS id, NULL::uuid AS account, 0::smallint AS "
                              "status, 0::bigint AS expires_at WHERE $24::uuid[] IS NULL OR "
                              "$25::uuid[] IS NULL";
    size_t at = 0;
    if (!leaves_have(f->store, LEAF_ORDERS, leaf)) return; // no such order
    params_init(&p);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(&p, types[i]);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;)
        if (intent_leaf(cmd) == leaf && flush_is_first(f, cmd, intent_order))
            intent_put(f, &p, (const struct store_intent_create *)cmd);
    leaf_name(orders, LEAF_ORDERS, leaf);
    leaf_name(intents, LEAF_INTENTS, leaf);
    if (!authz_union_add(authzs, sizeof authzs, f, leaf, false) ||
        !authz_union_add(authzs, sizeof authzs, f, leaf, true))
        f->unsent = true;
    // The orders were locked by an earlier statement: this one decides on a fresh snapshot of
    // everything (an UPDATE that had waited would keep its old view of other tables). A repeat
    // after a lost answer finds its own salt and counts as created. An order one of whose
    // authorizations has ended, here or with another order, ends with it.
    flush_add(
        f, &p, on_decided,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
        "$14, $15, $16, $17, $18, $19, $20, $21) "
        "t(order_id, tenant, account, owner_node, owner_boot, spki, names, profile, profile_hash, "
        "template_version, issuer, region, issuer_cert_hash, "
        "generation, not_before, not_after, crl_shard, salt, key_version, authzs, error)), "
        "z AS (%s), "
        "b AS (SELECT p.order_id, (array_agg(p.authz ORDER BY p.n) FILTER (WHERE z.id IS NULL OR "
        "z.status <> 2 OR z.expires_at <= now_us() OR z.account <> t.account))[1] AS bad "
        "FROM unnest($22, $23) WITH ORDINALITY p(order_id, authz, n) JOIN t USING (order_id) LEFT "
        "JOIN z ON z.id = p.authz GROUP BY p.order_id), "
        "d AS (SELECT t.*, o.status AS order_status, b.bad, i.order_id IS NOT NULL AS mine, "
        "coalesce(i.created_at, now_us()) AS at, "
        "CASE WHEN o.id IS NULL OR o.account <> t.account THEN 2 WHEN i.order_id IS NOT NULL THEN "
        "1 WHEN o.status <> 2 THEN 3 WHEN o.expires_at <= now_us() THEN 4 "
        "WHEN a.id IS NULL OR a.status <> 1 THEN 5 WHEN a.key_version <> t.key_version THEN 6 "
        "WHEN a.eab_kid <> '' AND e.status IS DISTINCT FROM 1 THEN 8 "
        "WHEN b.bad IS NOT NULL OR o.authzs <> t.authzs THEN 7 ELSE 1 END AS outcome "
        "FROM t LEFT JOIN %s o ON o.id = t.order_id LEFT JOIN accounts a ON a.id = t.account LEFT "
        "JOIN eab_keys e ON e.tenant = a.tenant AND e.kid = a.eab_kid AND a.eab_kid <> '' "
        "LEFT JOIN b ON b.order_id = t.order_id "
        "LEFT JOIN %s i ON i.order_id = t.order_id AND i.salt = t.salt), "
        "u AS (UPDATE %s o SET status = CASE d.outcome WHEN 1 THEN 3 ELSE 5 END, error = CASE "
        "d.outcome WHEN 1 THEN o.error ELSE d.error END FROM d WHERE o.id = d.order_id AND "
        "((d.outcome = 1 AND NOT d.mine) OR (d.outcome = 7 AND o.authzs = d.authzs))), "
        "n AS (INSERT INTO %s SELECT order_id, tenant, account, owner_node, owner_boot, spki, "
        "names, profile, profile_hash, template_version, issuer, region, issuer_cert_hash, "
        "generation, not_before, not_after, crl_shard, salt, at, NULL FROM d WHERE outcome = 1 "
        "AND NOT mine ORDER BY order_id), "
        "w AS (INSERT INTO intents_open SELECT order_id, owner_boot, at FROM d WHERE outcome = 1 "
        "AND NOT mine ORDER BY order_id) "
        "SELECT order_id, outcome::bigint, coalesce(order_status, 0)::bigint, bad, at FROM d",
        authzs, orders, intents, orders, intents);
}

void intent_create_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;)
        ((struct store_intent_create *)cmd)->outcome = INTENT_ORDER_UNKNOWN;
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_INTENT_CREATE, intent_leaf, &leaf);)
        intents_send(f, leaf);
}

static void on_intent(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_GET, &at)) != NULL;) {
        struct store_intent_get *c = (struct store_intent_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->order)) c->found = intent_read(&c->out, r, i, cmd);
        }
    }
}

void intent_get_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_INTENT_GET, intent_get_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t id = params_array(&p, PG_UUID);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_GET, &at)) != NULL;)
            if (intent_get_leaf(cmd) == leaf)
                params_put_id(&p, id, &((struct store_intent_get *)cmd)->order);
        leaf_name(name, LEAF_INTENTS, leaf);
        if (leaves_have(f->store, LEAF_INTENTS, leaf))
            flush_add(f, &p, on_intent,
                      "SELECT " INTENT_COLUMNS " FROM %s i WHERE i.order_id = ANY($1)", name);
        else
            params_fini(&p);
    }
}

// ---- e4

static void on_committed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATE_COMMIT, &at)) != NULL;) {
        struct store_certificate_commit *c = (struct store_certificate_commit *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->order)) continue;
            c->order_status = (enum order_status)col_int(r, i, 1);
            hash_copy(c->order_serial, SERIAL_LEN, col_bytes(r, i, 2));
            c->won = c->order_status == ORDER_VALID &&
                     memcmp(c->order_serial, c->serial, SERIAL_LEN) == 0;
        }
    }
}

static size_t commits_put(struct flush *f, struct params *p, struct params *q, int64_t order_leaf,
                          int64_t leaf)
{
    static const enum pg_type types[] = {PG_UUID, PG_BYTEA, PG_UUID,  PG_TEXT,  PG_TEXT, PG_INT8,
                                         PG_INT8, PG_INT8,  PG_BYTEA, PG_BYTEA, PG_INT8};
    size_t at = 0, rows = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(p, types[i]);
    size_t id = params_array(q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATE_COMMIT, &at)) != NULL;) {
        const struct store_certificate_commit *c = (const struct store_certificate_commit *)cmd;
        if (commit_order_leaf(cmd) != order_leaf || commit_leaf(cmd) != leaf) continue;
        if (!flush_is_first(f, cmd, commit_order)) continue;
        params_put_id(p, 0, &c->order);
        params_put_bytes(p, 1, slice_of(c->serial, SERIAL_LEN));
        params_put_id(p, 2, &c->account);
        params_put_text(p, 3, c->tenant);
        params_put_text(p, 4, c->profile);
        params_put_int(p, 5, c->issuer);
        params_put_int(p, 6, c->not_before);
        params_put_int(p, 7, c->not_after);
        params_put_bytes(p, 8, slice_of(c->spki_hash, HASH_LEN));
        params_put_bytes(p, 9, c->der);
        params_put_int(p, 10, c->crl_shard);
        params_put_id(q, id, &c->order);
        rows++;
    }
    return rows;
}

// commit_pair writes the certificates of one leaf whose orders are in one order leaf, then reads
// what the orders hold now: a lost race and a repeat both see it.
static void commit_pair(struct flush *f, int64_t order_leaf, int64_t leaf)
{
    struct params p, q;
    char orders[LEAF_NAME_MAX], certificates[LEAF_NAME_MAX];
    params_init(&p);
    params_init(&q);
    if (commits_put(f, &p, &q, order_leaf, leaf) == 0 ||
        !leaves_have(f->store, LEAF_ORDERS, order_leaf)) {
        params_fini(&p);
        params_fini(&q);
        return;
    }
    leaf_name(orders, LEAF_ORDERS, order_leaf);
    leaf_name(certificates, LEAF_CERTIFICATES, leaf);
    flush_add(f, &p, flush_nothing,
              "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
              "t(order_id, serial, account, tenant, profile, issuer, not_before, not_after, "
              "spki_hash, der, crl_shard)), "
              "won AS (UPDATE %s o SET status = 4, serial = t.serial, expires_at = "
              "greatest(o.expires_at, t.not_after * 1000000) FROM t WHERE o.id = t.order_id AND "
              "o.status = 3 RETURNING o.id), "
              "w AS (DELETE FROM intents_open w USING won WHERE w.order_id = won.id) "
              "INSERT INTO %s (serial, order_id, account, tenant, profile, issuer, not_before, "
              "not_after, spki_hash, der, crl_shard) SELECT t.serial, t.order_id, t.account, "
              "t.tenant, t.profile, t.issuer, t.not_before, t.not_after, t.spki_hash, t.der, "
              "t.crl_shard "
              "FROM t JOIN won ON won.id = t.order_id ORDER BY t.serial",
              orders, certificates);
    flush_add(f, &q, on_committed,
              "SELECT id, status::bigint, coalesce(serial, ''::bytea) FROM %s WHERE id = ANY($1)",
              orders);
}

void certificate_commit_send(struct flush *f)
{
    for (int64_t order_leaf = -1;
         flush_leaf_next(f, CMD_CERTIFICATE_COMMIT, commit_order_leaf, &order_leaf);)
        for (int64_t leaf = -1; flush_leaf_next(f, CMD_CERTIFICATE_COMMIT, commit_leaf, &leaf);)
            commit_pair(f, order_leaf, leaf);
}

static void on_certificate(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATE_GET, &at)) != NULL;) {
        struct store_certificate_get *c = (struct store_certificate_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            if (!slice_eq(col_bytes(r, i, 0), slice_of(c->serial, SERIAL_LEN))) continue;
            c->found = true;
            c->order = col_id(r, i, 1);
            c->account = col_id(r, i, 2);
            c->issuer = (uint16_t)col_int(r, i, 3);
            c->not_before = col_int(r, i, 4);
            c->not_after = col_int(r, i, 5);
            c->der = col_dup(r, i, 6, cmd);
            c->tenant = col_dup(r, i, 7, cmd);
            c->profile = col_dup(r, i, 8, cmd);
        }
    }
}

void certificate_get_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_CERTIFICATE_GET, certificate_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t serial = params_array(&p, PG_BYTEA);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATE_GET, &at)) != NULL;)
            if (certificate_leaf(cmd) == leaf)
                params_put_bytes(
                    &p, serial,
                    slice_of(((struct store_certificate_get *)cmd)->serial, SERIAL_LEN));
        leaf_name(name, LEAF_CERTIFICATES, leaf);
        if (leaves_have(f->store, LEAF_CERTIFICATES, leaf))
            flush_add(f, &p, on_certificate,
                      "SELECT serial, order_id, account, issuer::bigint, not_before, not_after, "
                      "der, tenant, profile FROM %s WHERE serial = ANY($1)",
                      name);
        else
            params_fini(&p);
    }
}

// ---- r1

static void on_claimed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_intents_claim *c = (struct store_intents_claim *)only;
    int rows = PQntuples(r);
    (void)f;
    c->out_count = 0;
    c->out = ARENA_ARRAY(only->arena, struct intent, (size_t)rows + 1);
    if (c->out == NULL) only->flags |= CMD_FULL;
    for (int i = 0; c->out != NULL && i < rows; i++) {
        if (!intent_read(&c->out[c->out_count], r, i, only)) continue;
        c->out[c->out_count].owner_node = c->node;
        c->out[c->out_count++].owner_boot = c->boot;
    }
}

// claim_send looks at what nobody has touched for `age_ms` and at what dead boots own. Only what is
// open is looked at: a small table, whose rows e2 inserts and e4 deletes, because an index on the
// orders' status would end their HOT updates. The join prunes at run time: one leaf for each row.
static void claim_send(struct flush *f, struct store_intents_claim *c)
{
    struct params p;
    params_init(&p);
    params_int(&p, (int64_t)c->age_ms * 1000);
    params_int(&p, (int64_t)c->boot);
    params_int(&p, c->limit);
    size_t boots = params_array(&p, PG_INT8);
    for (size_t i = 0; i < c->dead_count; i++) params_put_int(&p, boots, (int64_t)c->dead_boots[i]);
    flush_add_only(
        f, &p, on_claimed, &c->cmd,
        "WITH due AS (SELECT order_id FROM intents_open WHERE claimed_at < now_us() - $1 "
        "OR (owner_boot = ANY($4) AND owner_boot <> $2) ORDER BY order_id LIMIT $3 "
        "FOR UPDATE SKIP LOCKED), "
        "w AS (UPDATE intents_open w SET owner_boot = $2, claimed_at = now_us() FROM due "
        "WHERE w.order_id = due.order_id RETURNING w.order_id) "
        "SELECT " INTENT_COLUMNS " FROM w JOIN intents i ON i.order_id = w.order_id "
        "ORDER BY i.order_id");
}

void intents_claim_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENTS_CLAIM, &at)) != NULL;)
        claim_send(f, (struct store_intents_claim *)cmd);
}

void store_intent_create(struct store *s, struct store_intent_create *c)
{
    store_queue(s, &c->cmd, CMD_INTENT_CREATE);
}

void store_intent_get(struct store *s, struct store_intent_get *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_INTENT_GET);
}

void store_certificate_commit(struct store *s, struct store_certificate_commit *c)
{
    c->won = false;
    c->order_status = (enum order_status)0;
    store_queue(s, &c->cmd, CMD_CERTIFICATE_COMMIT);
}

void store_certificate_get(struct store *s, struct store_certificate_get *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_CERTIFICATE_GET);
}

void store_intents_claim(struct store *s, struct store_intents_claim *c)
{
    store_queue(s, &c->cmd, CMD_INTENTS_CLAIM);
}
