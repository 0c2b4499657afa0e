// order_create: a new order with the authorizations made for it.
#include <stdio.h>

#include "store/internal.h"

static int64_t create_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_create *)cmd)->order.id);
}

static void on_created(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        struct store_order_create *c = (struct store_order_create *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->order.id)) continue;
            c->outcome = ORDER_CREATED;
            c->order.created_at_us = col_int(r, i, 1);
        }
    }
}

static struct slice authzs_of(const struct order_row *o)
{
    return slice_of(o->authzs, o->authz_count * sizeof *o->authzs);
}

// replacing_leaf is the leaf of the certificate that the order replaces, LEAF_NONE: of none.
enum { LEAF_NONE = 0 };
static int64_t replacing_leaf(const struct store_cmd *cmd)
{
    const struct store_order_create *c = (const struct store_order_create *)cmd;
    return c->replacing ? leaf_of_serial(c->replaced) : LEAF_NONE;
}

// orders_insert: the orders of one leaf that replace certificates of one leaf, or none. An order
// that replaces a certificate is inserted where its mark has been made (replacement.c).
static void orders_insert(struct flush *f, int64_t leaf, int64_t replacing)
{
    struct params p, q;
    char name[LEAF_NAME_MAX], marks[LEAF_NAME_MAX], join[160] = "";
    size_t at = 0, col[14];
    static const enum pg_type types[] = {PG_UUID,  PG_UUID, PG_TEXT, PG_INT8, PG_BYTEA,
                                         PG_BYTEA, PG_INT8, PG_TEXT, PG_INT8, PG_INT8,
                                         PG_INT8,  PG_INT8, PG_TEXT, PG_BYTEA};
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < 14; i++) col[i] = params_array(&p, types[i]);
    size_t id = params_array(&q, PG_UUID), rows = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        if (create_leaf(cmd) != leaf || replacing_leaf(cmd) != replacing) continue;
        const struct store_order_create *c = (struct store_order_create *)cmd;
        const struct order_row *o = &c->order;
        params_put_id(&p, col[0], &o->id);
        params_put_id(&p, col[1], &o->account);
        params_put_text(&p, col[2], o->tenant);
        params_put_int(&p, col[3], o->status);
        params_put_bytes(&p, col[4], o->identifiers);
        params_put_bytes(&p, col[5], authzs_of(o));
        params_put_int(&p, col[6], o->authzs_pending);
        params_put_text(&p, col[7], o->profile);
        params_put_int(&p, col[8], o->not_before);
        params_put_int(&p, col[9], o->not_after);
        params_put_int(&p, col[10], o->expires_at_us);
        params_put_int(&p, col[11], c->key_version);
        params_put_text(&p, col[12], o->replaces);
        params_put_bytes(&p, col[13], slice_of(c->replaced, c->replacing ? SERIAL_LEN : 0));
        params_put_id(&q, id, &o->id);
        rows++;
    }
    if (rows == 0) {
        params_fini(&p);
        params_fini(&q);
        return;
    }
    leaf_name(name, LEAF_ORDERS, leaf);
    leaf_name(marks, LEAF_REPLACEMENTS, replacing);
    if (replacing != LEAF_NONE)
        snprintf(join, sizeof join, "JOIN %s r ON r.serial = t.replaced AND r.order_id = t.id ",
                 marks);
    flush_add(f, &p, flush_nothing,
              "INSERT INTO %s SELECT t.id, t.account, t.tenant, t.status, t.identifiers, t.authzs, "
              "t.pending, t.profile, t.not_before, t.not_after, '', NULL, t.expires_at, now_us(), "
              "t.replaces "
              "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) t(id, "
              "account, tenant, status, identifiers, authzs, pending, profile, not_before, "
              "not_after, expires_at, key_version, replaces, replaced) "
              "JOIN accounts a ON a.id = t.account AND a.status = 1 AND a.tenant = t.tenant AND "
              "a.key_version = t.key_version %sORDER BY t.id ON CONFLICT DO NOTHING",
              name, join);
    flush_add(f, &q, on_created, "SELECT id, created_at FROM %s WHERE id = ANY($1)", name);
}

static void authz_put(struct flush *f, struct params *p, const size_t col[10],
                      const struct authz_row *z, const struct id *order)
{
    struct buf identifier;
    buf_init(&identifier, DNS_NAME_LEN_MAX + 16);
    if (failed(identifiers_encode(&identifier, &z->identifier, 1))) f->unsent = true;
    params_put_id(p, col[0], &z->id);
    params_put_id(p, col[1], &z->account);
    params_put_id(p, col[2], order);
    params_put_text(p, col[3], z->tenant);
    params_put_bytes(p, col[4], buf_slice(&identifier));
    params_put_bool(p, col[5], z->wildcard);
    params_put_int(p, col[6], z->status);
    params_put_int(p, col[7], z->challenges);
    params_put_bytes(p, col[8], slice_of(z->token, sizeof z->token));
    params_put_int(p, col[9], z->expires_at_us);
    buf_fini(&identifier);
}

// authzs_insert: those of one authorization leaf whose order is in one order leaf; only where the
// order is really there.
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
    flush_add(f, &p, flush_nothing,
              "INSERT INTO %s SELECT t.id, t.account, t.order_id, t.tenant, t.identifier, "
              "t.wildcard, t.status, t.challenges, t.token, 0, 0, 0, '', t.expires_at "
              "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) t(id, account, order_id, "
              "tenant, identifier, wildcard, status, challenges, token, expires_at) "
              "WHERE EXISTS (SELECT FROM %s o WHERE o.id = t.order_id) ORDER BY t.id ON CONFLICT "
              "DO NOTHING",
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
