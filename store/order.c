// order: orders with the authorizations made for them, read and written; and the end of an order
// that cannot be finished.
#include "store/internal.h"

#define ORDER_COLUMNS                                                                             \
    "id, account, tenant, status::bigint, identifiers, authzs, authzs_pending::bigint, profile, " \
    "not_before, not_after, error, coalesce(serial, ''::bytea), expires_at, created_at"

static int64_t create_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_create *)cmd)->order.id);
}
static int64_t get_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_get *)cmd)->id);
}
static int64_t invalidate_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_invalidate *)cmd)->order);
}

static void nothing(struct flush *f, const PGresult *r)
{
    (void)f;
    (void)r;
}

// ---- create

static void on_created(struct flush *f, const PGresult *r)
{
    size_t at = 0;
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

static void orders_insert(struct flush *f, int64_t leaf)
{
    struct params p, q;
    char name[LEAF_NAME_MAX];
    size_t at = 0, col[11];
    static const enum pg_type types[] = {PG_UUID, PG_UUID, PG_TEXT, PG_INT8, PG_BYTEA, PG_BYTEA,
                                         PG_INT8, PG_TEXT, PG_INT8, PG_INT8, PG_INT8};
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < 11; i++) col[i] = params_array(&p, types[i]);
    size_t id = params_array(&q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        if (create_leaf(cmd) != leaf) continue;
        const struct order_row *o = &((struct store_order_create *)cmd)->order;
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
        params_put_id(&q, id, &o->id);
    }
    leaf_name(name, LEAF_ORDERS, leaf);
    flush_add(f, &p, nothing,
              "INSERT INTO %s SELECT t.id, t.account, t.tenant, t.status, t.identifiers, t.authzs, "
              "t.pending, t.profile, t.not_before, t.not_after, '', NULL, t.expires_at, now_us() "
              "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) t(id, account, tenant, "
              "status, identifiers, authzs, pending, profile, not_before, not_after, expires_at) "
              "JOIN accounts a ON a.id = t.account AND a.status = 1 AND a.tenant = t.tenant ORDER "
              "BY t.id ON CONFLICT DO NOTHING",
              name);
    flush_add(f, &q, on_created, "SELECT id, created_at FROM %s WHERE id = ANY($1)", name);
}

// authzs_insert: those of one authorization leaf whose order is in one order leaf; only where the
// order is really there.
static bool authzs_insert(struct flush *f, int64_t authz_leaf, int64_t order_leaf)
{
    struct params p;
    char name[LEAF_NAME_MAX], order_name[LEAF_NAME_MAX];
    size_t at = 0, col[10], rows = 0;
    static const enum pg_type types[] = {PG_UUID, PG_UUID, PG_UUID, PG_TEXT,  PG_BYTEA,
                                         PG_BOOL, PG_INT8, PG_INT8, PG_BYTEA, PG_INT8};
    params_init(&p);
    for (size_t i = 0; i < 10; i++) col[i] = params_array(&p, types[i]);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        const struct store_order_create *c = (struct store_order_create *)cmd;
        for (size_t i = 0; i < c->authz_count && create_leaf(cmd) == order_leaf; i++) {
            const struct authz_row *z = &c->authzs[i];
            struct buf identifier;
            if (leaf_of_id(LEAF_AUTHZS, &z->id) != authz_leaf) continue;
            buf_init(&identifier, 1024);
            if (failed(identifiers_encode(&identifier, &z->identifier, 1))) f->unsent = true;
            params_put_id(&p, col[0], &z->id);
            params_put_id(&p, col[1], &z->account);
            params_put_id(&p, col[2], &c->order.id);
            params_put_text(&p, col[3], z->tenant);
            params_put_bytes(&p, col[4], buf_slice(&identifier));
            params_put_bool(&p, col[5], z->wildcard);
            params_put_int(&p, col[6], z->status);
            params_put_int(&p, col[7], z->challenges);
            params_put_bytes(&p, col[8], slice_of(z->token, sizeof z->token));
            params_put_int(&p, col[9], z->expires_at_us);
            buf_fini(&identifier);
            rows++;
        }
    }
    if (rows == 0) {
        params_fini(&p);
        return false;
    }
    leaf_name(name, LEAF_AUTHZS, authz_leaf);
    leaf_name(order_name, LEAF_ORDERS, order_leaf);
    flush_add(f, &p, nothing,
              "INSERT INTO %s SELECT t.id, t.account, t.order_id, t.tenant, t.identifier, "
              "t.wildcard, t.status, t.challenges, t.token, 0, 0, 0, '', t.expires_at "
              "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) t(id, account, order_id, "
              "tenant, identifier, wildcard, status, challenges, token, expires_at) "
              "WHERE EXISTS (SELECT FROM %s o WHERE o.id = t.order_id) ORDER BY t.id ON CONFLICT "
              "DO NOTHING",
              name, order_name);
    return true;
}

void order_create_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;)
        ((struct store_order_create *)cmd)->outcome = ORDER_ACCOUNT_NOT_VALID;
    for (int64_t leaf = -1; leaf_next(f, CMD_ORDER_CREATE, create_leaf, &leaf);) {
        (void)leaf_exists(
            f->store, LEAF_ORDERS,
            leaf); // one that is missing fails the statement: partitions are made 48 h ahead
        orders_insert(f, leaf);
        // Authorizations are made in the same second as their order: one or two days are all there
        // can be.
        int64_t day = leaf * leaf_span_s(LEAF_ORDERS) / leaf_span_s(LEAF_AUTHZS);
        for (int64_t d = day - 1; d <= day + 1; d++) (void)authzs_insert(f, d, leaf);
    }
}

// ---- get

static bool row_read(struct order_row *out, const PGresult *r, int i, struct arena *a)
{
    bool ok = true;
    *out = (struct order_row){.id = col_id(r, i, 0),
                              .account = col_id(r, i, 1),
                              .tenant = col_dup(r, i, 2, a, &ok),
                              .status = (enum order_status)col_int(r, i, 3),
                              .identifiers = col_dup(r, i, 4, a, &ok),
                              .authzs_pending = (uint32_t)col_int(r, i, 6),
                              .profile = col_dup(r, i, 7, a, &ok),
                              .not_before = col_int(r, i, 8),
                              .not_after = col_int(r, i, 9),
                              .error = col_dup(r, i, 10, a, &ok),
                              .expires_at_us = col_int(r, i, 12),
                              .created_at_us = col_int(r, i, 13)};
    struct slice authzs = col_bytes(r, i, 5), serial = col_bytes(r, i, 11);
    out->authz_count = authzs.n / sizeof(struct id);
    out->authzs = ARENA_ARRAY(a, struct id, out->authz_count + 1);
    if (out->authzs == NULL) return false;
    if (authzs.n > 0) memcpy(out->authzs, authzs.p, out->authz_count * sizeof(struct id));
    out->has_serial = serial.n == SERIAL_LEN;
    if (out->has_serial) memcpy(out->serial, serial.p, SERIAL_LEN);
    return ok;
}

static void on_got(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_GET, &at)) != NULL;) {
        struct store_order_get *c = (struct store_order_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->id)) c->found = row_read(&c->out, r, i, cmd->arena);
        }
    }
}

void order_get_send(struct flush *f)
{
    for (int64_t leaf = -1; leaf_next(f, CMD_ORDER_GET, get_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t id = params_array(&p, PG_UUID);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_GET, &at)) != NULL;) {
            if (get_leaf(cmd) != leaf) continue;
            ((struct store_order_get *)cmd)->found = false;
            params_put_id(&p, id, &((struct store_order_get *)cmd)->id);
        }
        leaf_name(name, LEAF_ORDERS, leaf);
        if (leaf_exists(f->store, LEAF_ORDERS, leaf))
            flush_add(f, &p, on_got, "SELECT " ORDER_COLUMNS " FROM %s WHERE id = ANY($1)", name);
        else
            params_fini(&p); // dropped long ago, or never: not found
    }
}

// ---- invalidate

static void on_invalidated(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_INVALIDATE, &at)) != NULL;) {
        struct store_order_invalidate *c = (struct store_order_invalidate *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->order)) continue;
            c->order_status = (enum order_status)col_int(r, i, 1);
            c->done_now = c->order_status == ORDER_INVALID &&
                          slice_eq(col_bytes(r, i, 2), c->error);
        }
    }
}

void order_invalidate_send(struct flush *f)
{
    for (int64_t leaf = -1; leaf_next(f, CMD_ORDER_INVALIDATE, invalidate_leaf, &leaf);) {
        struct params p, q;
        char orders[LEAF_NAME_MAX], intents[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        params_init(&q);
        size_t id = params_array(&p, PG_UUID), error = params_array(&p, PG_TEXT),
               burned = params_array(&p, PG_BYTEA), id2 = params_array(&q, PG_UUID);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_INVALIDATE, &at)) != NULL;) {
            struct store_order_invalidate *c = (struct store_order_invalidate *)cmd;
            if (invalidate_leaf(cmd) != leaf) continue;
            c->done_now = false;
            c->order_status = ORDER_INVALID;
            params_put_id(&p, id, &c->order);
            params_put_text(&p, error, c->error);
            params_put_bytes(&p, burned,
                             slice_of(c->burned_serial, c->has_burned ? SERIAL_LEN : 0));
            params_put_id(&q, id2, &c->order);
        }
        leaf_name(orders, LEAF_ORDERS, leaf);
        leaf_name(intents, LEAF_INTENTS, leaf);
        if (!leaf_exists(f->store, LEAF_ORDERS, leaf)) {
            params_fini(&p);
            params_fini(&q);
            continue;
        }
        flush_add(f, &p, nothing,
                  "WITH t AS (SELECT DISTINCT ON (id) * FROM unnest($1, $2, $3) t(id, error, "
                  "burned) ORDER BY id), "
                  "o AS (UPDATE %s o SET status = 5, error = t.error FROM t WHERE o.id = t.id AND "
                  "o.status = 3 RETURNING o.id) "
                  "UPDATE %s i SET burned_serial = t.burned FROM t JOIN o USING (id) WHERE "
                  "i.order_id = t.id AND length(t.burned) > 0",
                  orders, intents);
        flush_add(f, &q, on_invalidated,
                  "SELECT id, status::bigint, error FROM %s WHERE id = ANY($1)", orders);
    }
}

void store_order_create(struct store *s, struct store_order_create *c)
{
    store_queue(s, &c->cmd, CMD_ORDER_CREATE);
}

void store_order_get(struct store *s, struct store_order_get *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_ORDER_GET);
}

void store_order_invalidate(struct store *s, struct store_order_invalidate *c)
{
    store_queue(s, &c->cmd, CMD_ORDER_INVALIDATE);
}
