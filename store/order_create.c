// order_create: a new order with the authorizations made for it, or taken over from earlier ones.
#include "proto/err.h"
#include "store/internal.h"

#include <stdio.h>

static int64_t create_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_create *)cmd)->order.id);
}

enum {
    REUSE_LEAVES_MAX = 64, // days that are looked through for an authorization: 31 and 7 at most
    REUSE_LOOKS = 16       // newest authorizations of an identifier that are looked at in each
};

// created_read takes what the store has made of the order: its authorizations may be others than
// those that were offered.
static void created_read(struct store_order_create *c, const PGresult *r, int i)
{
    struct order_row *o = &c->order;
    struct slice authzs = col_bytes(r, i, 4);
    if (authzs.n != o->authz_count * sizeof *o->authzs) return;
    if (authzs.n > 0) memcpy(o->authzs, authzs.p, authzs.n);
    c->outcome = ORDER_CREATED;
    o->created_at_us = col_int(r, i, 1);
    o->status = (enum order_status)col_int(r, i, 2);
    o->authzs_pending = (uint32_t)col_int(r, i, 3);
    o->expires_at_us = col_int(r, i, 5);
    o->authzs_held = (uint32_t)col_int(r, i, 6);
}

static void on_created(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        struct store_order_create *c = (struct store_order_create *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->order.id)) created_read(c, r, i);
        }
    }
}

static bool identifier_put(struct params *p, size_t col, const struct identifier *id)
{
    struct buf encoded;
    buf_init(&encoded, DNS_NAME_LEN_MAX + 16);
    bool ok = !failed(identifiers_encode(&encoded, id, 1));
    params_put_bytes(p, col, buf_slice(&encoded));
    buf_fini(&encoded);
    return ok;
}

// reuse_span finds the leaves in which the orders of one leaf may find an authorization to take
// over: false when none of them looks for one.
static bool reuse_span(struct flush *f, int64_t leaf, int64_t *from, int64_t *to)
{
    bool any = false;
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        const struct store_order_create *c = (const struct store_order_create *)cmd;
        if (create_leaf(cmd) != leaf || c->reuse_left_us <= 0) continue;
        int64_t oldest = leaf_at(LEAF_AUTHZS, c->reuse_since_us / 1000000),
                newest = leaf_of_id(LEAF_AUTHZS, &c->order.id);
        if (!any || oldest < *from) *from = oldest;
        if (!any || newest > *to) *to = newest;
        any = true;
    }
    if (any && *to - *from >= REUSE_LEAVES_MAX) *from = *to - REUSE_LEAVES_MAX + 1;
    return any;
}

// held_union writes the authorizations that the account of row `p` holds for its identifier: of
// each leaf the newest, so that one who fails a thousand times costs no more than others.
static bool held_union(char *out, size_t size, struct flush *f, int64_t leaf)
{
    int64_t from = 0, to = 0;
    size_t n = 0;
    bool reuse = reuse_span(f, leaf, &from, &to);
    for (int64_t key = to; reuse && key >= from && n < size; key--) {
        char name[LEAF_NAME_MAX];
        if (!leaves_have(f->store, LEAF_AUTHZS, key)) continue;
        leaf_name(name, LEAF_AUTHZS, key);
        n += (size_t)snprintf(
            out + n, size - n,
            "%s(SELECT id, order_id, status, wildcard, expires_at FROM %s "
            "WHERE account = p.account AND identifier = p.identifier ORDER BY id DESC LIMIT %d)",
            n == 0 ? "" : " UNION ALL ", name, REUSE_LOOKS);
    }
    if (n == 0)
        n = (size_t)snprintf(out, size,
                             "SELECT NULL::uuid AS id, NULL::uuid AS order_id, 0::smallint AS "
                             "status, false AS wildcard, "
                             "0::bigint AS expires_at WHERE false");
    return n < size;
}

enum {
    ORDER_COLS = 11,
    PAIR_ORDER = ORDER_COLS,
    PAIR_ACCOUNT,
    PAIR_AUTHZ,
    PAIR_IDENTIFIER,
    PAIR_WILDCARD,
    PAIR_LEFT,
    PAIR_ALONE
};

static void order_put(struct flush *f, struct params *p, const struct store_order_create *c)
{
    const struct order_row *o = &c->order;
    params_put_id(p, 0, &o->id);
    params_put_id(p, 1, &o->account);
    params_put_text(p, 2, o->tenant);
    params_put_bytes(p, 3, o->identifiers);
    params_put_text(p, 4, o->profile);
    params_put_int(p, 5, o->not_before);
    params_put_int(p, 6, o->not_after);
    params_put_int(p, 7, o->expires_at_us);
    params_put_int(p, 8, c->key_version);
    params_put_text(p, 9, o->replaces);
    params_put_bytes(p, 10, slice_of(c->replaced, c->replacing ? SERIAL_LEN : 0));
    for (size_t i = 0; i < c->authz_count; i++) {
        params_put_id(p, PAIR_ORDER, &o->id);
        params_put_id(p, PAIR_ACCOUNT, &o->account);
        params_put_id(p, PAIR_AUTHZ, &c->authzs[i].id);
        if (!identifier_put(p, PAIR_IDENTIFIER, &c->authzs[i].identifier)) f->unsent = true;
        params_put_bool(p, PAIR_WILDCARD, c->authzs[i].wildcard);
        params_put_int(p, PAIR_LEFT, c->reuse_left_us);
        params_put_bool(p, PAIR_ALONE, c->reuse_alone);
    }
}

// replacing_leaf is the leaf of the certificate that the order replaces, LEAF_NONE: of none.
enum { LEAF_NONE = 0 };
static int64_t replacing_leaf(const struct store_cmd *cmd)
{
    const struct store_order_create *c = (const struct store_order_create *)cmd;
    return c->replacing ? leaf_of_serial(c->replaced) : LEAF_NONE;
}

static size_t orders_put(struct flush *f, struct params *p, struct params *q, int64_t leaf,
                         int64_t replacing)
{
    static const enum pg_type types[] = {PG_UUID, PG_UUID, PG_TEXT,  PG_BYTEA, PG_TEXT,  PG_INT8,
                                         PG_INT8, PG_INT8, PG_INT8,  PG_TEXT,  PG_BYTEA, PG_UUID,
                                         PG_UUID, PG_UUID, PG_BYTEA, PG_BOOL,  PG_INT8,  PG_BOOL};
    size_t at = 0, rows = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(p, types[i]);
    size_t id = params_array(q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        if (create_leaf(cmd) != leaf || replacing_leaf(cmd) != replacing) continue;
        order_put(f, p, (struct store_order_create *)cmd);
        params_put_id(q, id, &((struct store_order_create *)cmd)->order.id);
        rows++;
    }
    return rows;
}

// orders_insert: the orders of one leaf that replace certificates of one leaf, or none. An order
// that replaces a certificate is inserted where its mark has been made (replacement.c). Each
// authorization of an order is one that the account holds, or the new one that was offered. One
// that ends in this moment may still be taken: finalize looks again.
static void orders_insert(struct flush *f, int64_t leaf, int64_t replacing)
{
    struct params p, q;
    char name[LEAF_NAME_MAX], marks[LEAF_NAME_MAX], join[160] = "", held[SQL_MAX - 4096];
    params_init(&p);
    params_init(&q);
    if (orders_put(f, &p, &q, leaf, replacing) == 0) {
        params_fini(&p);
        params_fini(&q);
        return;
    }
    leaf_name(name, LEAF_ORDERS, leaf);
    leaf_name(marks, LEAF_REPLACEMENTS, replacing);
    if (replacing != LEAF_NONE)
        snprintf(join, sizeof join, "JOIN %s r ON r.serial = t.replaced AND r.order_id = t.id ",
                 marks);
    if (!held_union(held, sizeof held, f, leaf)) f->unsent = true;
    flush_add(
        f, &p, flush_nothing,
        "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) t(id, "
        "account, tenant, identifiers, profile, not_before, not_after, expires_at, "
        "key_version, replaces, replaced)), "
        "v AS (SELECT p.order_id, p.n, p.authz, z.id AS held, z.expires_at "
        "FROM unnest($12, $13, $14, $15, $16, $17, $18) WITH ORDINALITY p(order_id, account, "
        "authz, identifier, wildcard, least, alone, n) LEFT JOIN LATERAL "
        "(SELECT h.id, h.expires_at FROM (%s) h WHERE h.status = 2 AND h.wildcard = p.wildcard "
        "AND p.least > 0 AND (NOT p.alone OR h.order_id = h.id) "
        "AND h.expires_at > now_us() + p.least ORDER BY h.expires_at DESC LIMIT 1) z ON true), "
        "w AS (SELECT order_id, string_agg(uuid_send(coalesce(held, authz)), ''::bytea "
        "ORDER BY n) AS authzs, count(*) FILTER (WHERE held IS NULL) AS pending, "
        "count(held) AS held, min(expires_at) AS until FROM v GROUP BY order_id) "
        "INSERT INTO %s SELECT t.id, t.account, t.tenant, CASE WHEN coalesce(w.pending, 0) "
        "= 0 THEN 2 ELSE 1 END, t.identifiers, coalesce(w.authzs, ''), coalesce(w.pending, "
        "0), t.profile, t.not_before, t.not_after, '', NULL, least(t.expires_at, w.until), "
        "now_us(), t.replaces, coalesce(w.held, 0) FROM t JOIN accounts a ON a.id = "
        "t.account AND a.status = 1 "
        "AND a.tenant = t.tenant AND a.key_version = t.key_version %sLEFT JOIN w ON "
        "w.order_id = t.id ORDER BY t.id ON CONFLICT DO NOTHING",
        held, name, join);
    flush_add(f, &q, on_created,
              "SELECT id, created_at, status::bigint, authzs_pending::bigint, authzs, expires_at, "
              "authzs_held::bigint FROM %s WHERE id = ANY($1)",
              name);
}

static void authz_put(struct flush *f, struct params *p, const size_t col[10],
                      const struct authz_row *z, const struct id *order)
{
    params_put_id(p, col[0], &z->id);
    params_put_id(p, col[1], &z->account);
    params_put_id(p, col[2], order);
    params_put_text(p, col[3], z->tenant);
    if (!identifier_put(p, col[4], &z->identifier)) f->unsent = true;
    params_put_bool(p, col[5], z->wildcard);
    params_put_int(p, col[6], z->status);
    params_put_int(p, col[7], z->challenges);
    params_put_bytes(p, col[8], slice_of(z->token, sizeof z->token));
    params_put_int(p, col[9], z->expires_at_us);
}

// authzs_insert: those of one authorization leaf whose order is in one order leaf; only where the
// order is really there and names it.
static void authzs_insert(struct flush *f, int64_t authz_leaf, int64_t order_leaf)
{
    static const enum pg_type types[] = {PG_UUID, PG_UUID, PG_UUID, PG_TEXT,  PG_BYTEA,
                                         PG_BOOL, PG_INT8, PG_INT8, PG_BYTEA, PG_INT8};
    struct params p;
    char name[LEAF_NAME_MAX], order_name[LEAF_NAME_MAX];
    size_t at = 0, col[10];
    params_init(&p);
    for (size_t i = 0; i < 10; i++) col[i] = params_array(&p, types[i]);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        const struct store_order_create *c = (struct store_order_create *)cmd;
        for (size_t i = 0; i < c->authz_count && create_leaf(cmd) == order_leaf; i++)
            if (leaf_of_id(LEAF_AUTHZS, &c->authzs[i].id) == authz_leaf)
                authz_put(f, &p, col, &c->authzs[i], &c->order.id);
    }
    leaf_name(name, LEAF_AUTHZS, authz_leaf);
    leaf_name(order_name, LEAF_ORDERS, order_leaf);
    flush_add(
        f, &p, flush_nothing,
        "INSERT INTO %s SELECT t.id, t.account, t.order_id, t.tenant, t.identifier, "
        "t.wildcard, t.status, t.challenges, t.token, 0, 0, 0, '', t.expires_at "
        "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) t(id, account, order_id, "
        "tenant, identifier, wildcard, status, challenges, token, expires_at) "
        "WHERE EXISTS (SELECT FROM %s o WHERE o.id = t.order_id AND position(uuid_send(t.id) IN "
        "o.authzs) > 0) ORDER BY t.id ON CONFLICT DO NOTHING",
        name, order_name);
}

// authz_leaf_next finds the smallest authorization leaf above *key among the new authorizations of
// one order leaf.
static bool authz_leaf_next(struct flush *f, int64_t order_leaf, int64_t *key)
{
    bool found = false;
    int64_t best = 0;
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        const struct store_order_create *c = (struct store_order_create *)cmd;
        for (size_t i = 0; i < c->authz_count && create_leaf(cmd) == order_leaf; i++) {
            int64_t k = leaf_of_id(LEAF_AUTHZS, &c->authzs[i].id);
            if (k <= *key || (found && k >= best)) continue;
            best = k;
            found = true;
        }
    }
    if (found) *key = best;
    return found;
}

void order_create_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;)
        ((struct store_order_create *)cmd)->outcome = ORDER_ACCOUNT_NOT_VALID;
    replacements_mark(f);
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_ORDER_CREATE, create_leaf, &leaf);) {
        for (int64_t hour = -1; flush_leaf_next(f, CMD_ORDER_CREATE, replacing_leaf, &hour);)
            orders_insert(f, leaf, hour);
        for (int64_t day = -1; authz_leaf_next(f, leaf, &day);) authzs_insert(f, day, leaf);
    }
    replacements_look(f);
}

void store_order_create(struct store *s, struct store_order_create *c)
{
    store_queue(s, &c->cmd, CMD_ORDER_CREATE);
}
