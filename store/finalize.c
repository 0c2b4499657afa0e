// finalize: the statements of an issuance that must happen exactly once (design.md section 4): the
// intent that moves an order to PROCESSING, the certificate that makes it VALID, and the reaper's
// claim of what others left behind.
#include <stdio.h>

#include "store/internal.h"

#define INTENT_COLUMNS                                                                          \
    "i.order_id, i.tenant, i.account, i.owner_node, i.owner_boot, i.spki, i.names, i.profile, " \
    "i.profile_hash, i.template_version, i.issuer::bigint, i.region::bigint, "                  \
    "i.issuer_cert_hash, i.serial_key_generation, i.not_before, i.not_after, i.crl_shard, "     \
    "i.salt, i.created_at"

enum { AUTHZ_LEAVES_MAX = 16 };

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

static void nothing(struct flush *f, const PGresult *r)
{
    (void)f;
    (void)r;
}

static void hash_copy(uint8_t *out, size_t n, struct slice s)
{
    if (s.n == n) memcpy(out, s.p, n);
}

static bool intent_read(struct intent *out, const PGresult *r, int i, struct arena *a)
{
    bool ok = true;
    *out = (struct intent){.order = col_id(r, i, 0),
                           .tenant = col_dup(r, i, 1, a, &ok),
                           .account = col_id(r, i, 2),
                           .owner_node = col_id(r, i, 3),
                           .owner_boot = (uint64_t)col_int(r, i, 4),
                           .spki = col_dup(r, i, 5, a, &ok),
                           .profile = col_dup(r, i, 7, a, &ok),
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
    return ok &&
           !failed(
               identifiers_decode(&out->names, &out->name_count, a, col_dup(r, i, 6, a, &ok))) &&
           ok;
}

// ---- e2

static bool is_first_of_order(struct flush *f, const struct store_intent_create *c)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;) {
        const struct store_intent_create *other = (const struct store_intent_create *)cmd;
        if (other == c) return true;
        if (id_eq(&other->intent.order, &c->intent.order)) return false;
    }
    return true;
}

static void on_decided(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;) {
        struct store_intent_create *c = (struct store_intent_create *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->intent.order)) continue;
            c->outcome = (enum intent_outcome)col_int(r, i, 1);
            c->order_status = (enum order_status)col_int(r, i, 2);
            c->authz = col_id(r, i, 3);
            c->intent.created_at_us = col_int(r, i, 4);
            if (c->outcome != INTENT_CREATED || is_first_of_order(f, c)) continue;
            // The second of one order in one flush lost to the first.
            c->outcome = INTENT_ORDER_NOT_READY;
            c->order_status = ORDER_PROCESSING;
        }
    }
}

// authz_union is "(SELECT ... FROM leaf1 WHERE id = ANY($n) UNION ALL ...)" over the leaves of the
// authorizations in question.
static bool authz_union(char *out, size_t size, struct flush *f, int64_t leaf, unsigned param)
{
    int64_t keys[AUTHZ_LEAVES_MAX];
    size_t count = 0, at = 0, n = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;) {
        const struct store_intent_create *c = (const struct store_intent_create *)cmd;
        for (size_t i = 0; i < c->authz_count && intent_leaf(cmd) == leaf; i++) {
            int64_t key = leaf_of_id(LEAF_AUTHZS, &c->authzs[i]);
            size_t k = 0;
            while (k < count && keys[k] != key) k++;
            if (k < count || !leaf_exists(f->store, LEAF_AUTHZS, key)) continue;
            if (count == AUTHZ_LEAVES_MAX) return false;
            keys[count++] = key;
        }
    }
    for (size_t k = 0; k < count && n < size; k++) {
        char name[LEAF_NAME_MAX];
        leaf_name(name, LEAF_AUTHZS, keys[k]);
        n += (size_t)snprintf(
            out + n, size - n,
            "%sSELECT id, account, status, expires_at FROM %s WHERE id = ANY($%u)",
            k == 0 ? "" : " UNION ALL ", name, param);
    }
    if (count == 0)
        n = (size_t)snprintf(out, size,
                             "SELECT NULL::uuid AS id, NULL::uuid AS account, 0::smallint AS "
                             "status, 0::bigint AS expires_at WHERE $%u::uuid[] IS NULL",
                             param);
    return n < size;
}

static void intents_send(struct flush *f, int64_t leaf)
{
    static const enum pg_type types[] = {PG_UUID,  PG_TEXT,  PG_UUID,  PG_UUID,  PG_INT8,
                                         PG_BYTEA, PG_BYTEA, PG_TEXT,  PG_BYTEA, PG_INT8,
                                         PG_INT8,  PG_INT8,  PG_BYTEA, PG_INT8,  PG_INT8,
                                         PG_INT8,  PG_INT8,  PG_BYTEA, PG_INT8,  PG_INT8};
    struct params p;
    char orders[LEAF_NAME_MAX], intents[LEAF_NAME_MAX], authzs[SQL_MAX / 4];
    size_t at = 0, col[20];
    params_init(&p);
    for (size_t i = 0; i < 20; i++) col[i] = params_array(&p, types[i]);
    size_t pair_order = params_array(&p, PG_UUID), pair_authz = params_array(&p, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;) {
        const struct store_intent_create *c = (const struct store_intent_create *)cmd;
        const struct intent *in = &c->intent;
        struct buf names;
        if (intent_leaf(cmd) != leaf || !is_first_of_order(f, c)) continue;
        buf_init(&names, 65536);
        if (failed(identifiers_encode(&names, in->names, in->name_count))) f->unsent = true;
        params_put_id(&p, col[0], &in->order);
        params_put_text(&p, col[1], in->tenant);
        params_put_id(&p, col[2], &in->account);
        params_put_id(&p, col[3], &in->owner_node);
        params_put_int(&p, col[4], (int64_t)in->owner_boot);
        params_put_bytes(&p, col[5], in->spki);
        params_put_bytes(&p, col[6], buf_slice(&names));
        params_put_text(&p, col[7], in->profile);
        params_put_bytes(&p, col[8], slice_of(in->profile_hash, HASH_LEN));
        params_put_int(&p, col[9], in->template_version);
        params_put_int(&p, col[10], in->issuer);
        params_put_int(&p, col[11], in->region);
        params_put_bytes(&p, col[12], slice_of(in->issuer_cert_hash, HASH_LEN));
        params_put_int(&p, col[13], in->serial_key_generation);
        params_put_int(&p, col[14], in->not_before);
        params_put_int(&p, col[15], in->not_after);
        params_put_int(&p, col[16], in->crl_shard);
        params_put_bytes(&p, col[17], slice_of(in->salt, SALT_LEN));
        params_put_int(&p, col[18], c->key_version);
        params_put_int(&p, col[19], (int64_t)c->authz_count);
        for (size_t i = 0; i < c->authz_count; i++) {
            params_put_id(&p, pair_order, &in->order);
            params_put_id(&p, pair_authz, &c->authzs[i]);
        }
        buf_fini(&names);
    }
    leaf_name(orders, LEAF_ORDERS, leaf);
    leaf_name(intents, LEAF_INTENTS, leaf);
    if (!leaf_exists(f->store, LEAF_ORDERS, leaf) ||
        !authz_union(authzs, sizeof authzs, f, leaf, 22)) {
        params_fini(&p);
        return;
    }
    // The orders were locked by an earlier statement: this one decides on a fresh snapshot of
    // everything (an UPDATE that had waited would keep its old view of other tables). A repeat
    // after a lost answer finds its own salt and counts as created.
    flush_add(
        f, &p, on_decided,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
        "$14, $15, $16, $17, $18, $19, $20) "
        "t(order_id, tenant, account, owner_node, owner_boot, spki, names, profile, profile_hash, "
        "template_version, issuer, region, issuer_cert_hash, "
        "generation, not_before, not_after, crl_shard, salt, key_version, authz_count)), "
        "z AS (%s), "
        "b AS (SELECT p.order_id, count(*) FILTER (WHERE z.status = 2 AND z.expires_at > now_us() "
        "AND z.account = t.account) AS good, "
        "(array_agg(p.authz) FILTER (WHERE z.id IS NULL OR z.status <> 2 OR z.expires_at <= "
        "now_us() OR z.account <> t.account))[1] AS bad "
        "FROM unnest($21, $22) p(order_id, authz) JOIN t USING (order_id) LEFT JOIN z ON z.id = "
        "p.authz GROUP BY p.order_id), "
        "d AS (SELECT t.*, o.status AS order_status, b.bad, i.order_id IS NOT NULL AS mine, "
        "coalesce(i.created_at, now_us()) AS at, "
        "CASE WHEN o.id IS NULL OR o.account <> t.account THEN 2 WHEN i.order_id IS NOT NULL THEN "
        "1 WHEN o.status <> 2 THEN 3 WHEN o.expires_at <= now_us() THEN 4 "
        "WHEN a.id IS NULL OR a.status <> 1 THEN 5 WHEN a.key_version <> t.key_version THEN 6 "
        "WHEN coalesce(b.good, 0) <> t.authz_count OR length(o.authzs) <> 16 * t.authz_count THEN "
        "7 ELSE 1 END AS outcome "
        "FROM t LEFT JOIN %s o ON o.id = t.order_id LEFT JOIN accounts a ON a.id = t.account LEFT "
        "JOIN b ON b.order_id = t.order_id "
        "LEFT JOIN %s i ON i.order_id = t.order_id AND i.salt = t.salt), "
        "u AS (UPDATE %s o SET status = 3 FROM d WHERE d.outcome = 1 AND NOT d.mine AND o.id = "
        "d.order_id), "
        "n AS (INSERT INTO %s SELECT order_id, tenant, account, owner_node, owner_boot, spki, "
        "names, profile, profile_hash, template_version, issuer, region, issuer_cert_hash, "
        "generation, not_before, not_after, crl_shard, salt, at, at, NULL FROM d WHERE outcome = 1 "
        "AND NOT mine ORDER BY order_id) "
        "SELECT order_id, outcome::bigint, coalesce(order_status, 0)::bigint, bad, at FROM d",
        authzs, orders, intents, orders, intents);
}

void intent_create_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CREATE, &at)) != NULL;)
        ((struct store_intent_create *)cmd)->outcome = INTENT_ORDER_UNKNOWN;
    for (int64_t leaf = -1; leaf_next(f, CMD_INTENT_CREATE, intent_leaf, &leaf);)
        intents_send(f, leaf);
}

static void on_intent(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_GET, &at)) != NULL;) {
        struct store_intent_get *c = (struct store_intent_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->order)) c->found = intent_read(&c->out, r, i, cmd->arena);
        }
    }
}

void intent_get_send(struct flush *f)
{
    for (int64_t leaf = -1; leaf_next(f, CMD_INTENT_GET, intent_get_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t id = params_array(&p, PG_UUID);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_GET, &at)) != NULL;)
            if (intent_get_leaf(cmd) == leaf)
                params_put_id(&p, id, &((struct store_intent_get *)cmd)->order);
        leaf_name(name, LEAF_INTENTS, leaf);
        if (leaf_exists(f->store, LEAF_INTENTS, leaf))
            flush_add(f, &p, on_intent,
                      "SELECT " INTENT_COLUMNS " FROM %s i WHERE i.order_id = ANY($1)", name);
        else
            params_fini(&p);
    }
}

// ---- e4

static void on_committed(struct flush *f, const PGresult *r)
{
    size_t at = 0;
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

static void commit_pair(struct flush *f, int64_t order_leaf, int64_t leaf)
{
    static const enum pg_type types[] = {PG_UUID, PG_BYTEA, PG_UUID, PG_TEXT,  PG_TEXT,
                                         PG_INT8, PG_INT8,  PG_INT8, PG_BYTEA, PG_BYTEA};
    struct params p, q;
    char orders[LEAF_NAME_MAX], certificates[LEAF_NAME_MAX];
    size_t at = 0, rows = 0, col[10];
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < 10; i++) col[i] = params_array(&p, types[i]);
    size_t id = params_array(&q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATE_COMMIT, &at)) != NULL;) {
        const struct store_certificate_commit *c = (const struct store_certificate_commit *)cmd;
        if (commit_order_leaf(cmd) != order_leaf || commit_leaf(cmd) != leaf) continue;
        params_put_id(&p, col[0], &c->order);
        params_put_bytes(&p, col[1], slice_of(c->serial, SERIAL_LEN));
        params_put_id(&p, col[2], &c->account);
        params_put_text(&p, col[3], c->tenant);
        params_put_text(&p, col[4], c->profile);
        params_put_int(&p, col[5], c->issuer);
        params_put_int(&p, col[6], c->not_before);
        params_put_int(&p, col[7], c->not_after);
        params_put_bytes(&p, col[8], slice_of(c->spki_hash, HASH_LEN));
        params_put_bytes(&p, col[9], c->der);
        params_put_id(&q, id, &c->order);
        rows++;
    }
    if (rows == 0 || !leaf_exists(f->store, LEAF_ORDERS, order_leaf)) {
        params_fini(&p);
        params_fini(&q);
        return;
    }
    leaf_name(orders, LEAF_ORDERS, order_leaf);
    leaf_name(certificates, LEAF_CERTIFICATES, leaf);
    (void)leaf_exists(f->store, LEAF_CERTIFICATES, leaf);
    flush_add(f, &p, nothing,
              "WITH t AS (SELECT DISTINCT ON (order_id) * FROM unnest($1, $2, $3, $4, $5, $6, $7, "
              "$8, $9, $10) "
              "t(order_id, serial, account, tenant, profile, issuer, not_before, not_after, "
              "spki_hash, der) ORDER BY order_id), "
              "won AS (UPDATE %s o SET status = 4, serial = t.serial, expires_at = "
              "greatest(o.expires_at, t.not_after * 1000000) FROM t WHERE o.id = t.order_id AND "
              "o.status = 3 RETURNING o.id) "
              "INSERT INTO %s SELECT t.serial, t.order_id, t.account, t.tenant, t.profile, "
              "t.issuer, t.not_before, t.not_after, t.spki_hash, t.der "
              "FROM t JOIN won ON won.id = t.order_id ORDER BY t.serial",
              orders, certificates);
    flush_add(f, &q, on_committed,
              "SELECT id, status::bigint, coalesce(serial, ''::bytea) FROM %s WHERE id = ANY($1)",
              orders);
}

void certificate_commit_send(struct flush *f)
{
    for (int64_t order_leaf = -1;
         leaf_next(f, CMD_CERTIFICATE_COMMIT, commit_order_leaf, &order_leaf);)
        for (int64_t leaf = -1; leaf_next(f, CMD_CERTIFICATE_COMMIT, commit_leaf, &leaf);)
            commit_pair(f, order_leaf, leaf);
}

static void on_certificate(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATE_GET, &at)) != NULL;) {
        struct store_certificate_get *c = (struct store_certificate_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            if (!slice_eq(col_bytes(r, i, 0), slice_of(c->serial, SERIAL_LEN))) continue;
            bool ok = true;
            c->order = col_id(r, i, 1);
            c->account = col_id(r, i, 2);
            c->issuer = (uint16_t)col_int(r, i, 3);
            c->not_before = col_int(r, i, 4);
            c->not_after = col_int(r, i, 5);
            c->der = col_dup(r, i, 6, cmd->arena, &ok);
            c->found = ok;
        }
    }
}

void certificate_get_send(struct flush *f)
{
    for (int64_t leaf = -1; leaf_next(f, CMD_CERTIFICATE_GET, certificate_leaf, &leaf);) {
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
        if (leaf_exists(f->store, LEAF_CERTIFICATES, leaf))
            flush_add(f, &p, on_certificate,
                      "SELECT serial, order_id, account, issuer::bigint, not_before, not_after, "
                      "der FROM %s WHERE serial = ANY($1)",
                      name);
        else
            params_fini(&p);
    }
}

// ---- r1

static void on_claimed(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    struct store_cmd *cmd = flush_each(f, CMD_INTENTS_CLAIM, &at);
    struct store_intents_claim *c = (struct store_intents_claim *)cmd;
    int rows = PQntuples(r);
    c->out = ARENA_ARRAY(cmd->arena, struct intent, (size_t)rows + 1);
    for (int i = 0; c->out != NULL && i < rows; i++)
        if (intent_read(&c->out[c->out_count], r, i, cmd->arena)) c->out_count++;
}

// intents_claim_send looks at what nobody has touched for `age_ms` and at what dead boots own. The
// parent table is named here: this runs every few seconds, on an index of the time. One claim per
// flush; a second waits for its own.
void intents_claim_send(struct flush *f)
{
    size_t at = 0, boot_column;
    struct store_intents_claim *c = (struct store_intents_claim *)flush_each(f, CMD_INTENTS_CLAIM,
                                                                             &at);
    struct params p;
    c->out_count = 0;
    c->out = NULL;
    params_init(&p);
    params_int(&p, (int64_t)c->age_ms * 1000);
    params_id(&p, &c->node);
    params_int(&p, (int64_t)c->boot);
    params_int(&p, c->limit);
    boot_column = params_array(&p, PG_INT8);
    for (size_t i = 0; i < c->dead_count; i++)
        params_put_int(&p, boot_column, (int64_t)c->dead_boots[i]);
    flush_add(f, &p, on_claimed,
              "WITH due AS (SELECT i.order_id FROM intents i JOIN orders o ON o.id = i.order_id "
              "AND o.status = 3 "
              "WHERE i.claimed_at < now_us() - $1 OR (i.owner_boot = ANY($5) AND i.owner_boot <> "
              "$3) ORDER BY i.order_id LIMIT $4 FOR UPDATE OF i SKIP LOCKED) "
              "UPDATE intents i SET owner_node = $2, owner_boot = $3, claimed_at = now_us() FROM "
              "due WHERE i.order_id = due.order_id RETURNING " INTENT_COLUMNS);
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
    c->order_status = ORDER_INVALID;
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
