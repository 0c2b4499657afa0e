// order: orders read and listed; and the end of an order that cannot be finished.
#include "store/internal.h"

#define ORDER_COLUMNS                                                                             \
    "id, account, tenant, status::bigint, identifiers, authzs, authzs_pending::bigint, profile, " \
    "not_before, not_after, error, coalesce(serial, ''::bytea), expires_at, created_at, "         \
    "replaces, "                                                                                  \
    "authzs_held::bigint"

static int64_t get_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_get *)cmd)->id);
}
static int64_t invalidate_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_order_invalidate *)cmd)->order);
}

static int64_t close_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_intent_close *)cmd)->order);
}

static const struct id *close_id(const struct store_cmd *cmd)
{
    return &((const struct store_intent_close *)cmd)->order;
}
static const struct id *invalidate_id(const struct store_cmd *cmd)
{
    return &((const struct store_order_invalidate *)cmd)->order;
}

// ---- get

static void row_read(struct order_row *out, const PGresult *r, int i, struct store_cmd *cmd)
{
    *out = (struct order_row){.id = col_id(r, i, 0),
                              .account = col_id(r, i, 1),
                              .tenant = col_dup(r, i, 2, cmd),
                              .status = (enum order_status)col_int(r, i, 3),
                              .identifiers = col_dup(r, i, 4, cmd),
                              .authzs_pending = (uint32_t)col_int(r, i, 6),
                              .profile = col_dup(r, i, 7, cmd),
                              .not_before = col_int(r, i, 8),
                              .not_after = col_int(r, i, 9),
                              .error = col_dup(r, i, 10, cmd),
                              .expires_at_us = col_int(r, i, 12),
                              .created_at_us = col_int(r, i, 13),
                              .replaces = col_dup(r, i, 14, cmd),
                              .authzs_held = (uint32_t)col_int(r, i, 15)};
    struct slice authzs = col_bytes(r, i, 5), serial = col_bytes(r, i, 11);
    out->authz_count = authzs.n / sizeof(struct id);
    out->authzs = ARENA_ARRAY(cmd->arena, struct id, out->authz_count + 1);
    if (out->authzs == NULL)
        cmd->flags |= CMD_FULL;
    else
        memcpy(out->authzs, authzs.p, out->authz_count * sizeof(struct id));
    out->has_serial = serial.n == SERIAL_LEN;
    if (out->has_serial) memcpy(out->serial, serial.p, SERIAL_LEN);
}

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_GET, &at)) != NULL;) {
        struct store_order_get *c = (struct store_order_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            c->found = id_eq(&id, &c->id);
            if (c->found) row_read(&c->out, r, i, cmd);
        }
    }
}

void order_get_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_ORDER_GET, get_leaf, &leaf);) {
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
        if (leaves_have(f->store, LEAF_ORDERS, leaf))
            flush_add(f, &p, on_got, "SELECT " ORDER_COLUMNS " FROM %s WHERE id = ANY($1)", name);
        else
            params_fini(&p); // dropped long ago, or never: not found
    }
}

// ---- invalidate

static void on_moved(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_INVALIDATE, &at)) != NULL;) {
        struct store_order_invalidate *c = (struct store_order_invalidate *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->order)) c->done_now = flush_is_first(f, cmd, invalidate_id);
        }
    }
}

// on_invalidated: after a lost commit an order that has our error is our own work.
static void on_invalidated(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_INVALIDATE, &at)) != NULL;) {
        struct store_order_invalidate *c = (struct store_order_invalidate *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->order)) continue;
            c->order_status = (enum order_status)col_int(r, i, 1);
            c->done_now |= f->in_doubt && c->order_status == ORDER_INVALID &&
                           slice_eq(col_bytes(r, i, 2), c->error);
        }
    }
}

static void invalidations_put(struct flush *f, struct params *p, struct params *q, int64_t leaf)
{
    size_t at = 0, id = params_array(p, PG_UUID), error = params_array(p, PG_TEXT),
           id2 = params_array(q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_INVALIDATE, &at)) != NULL;) {
        struct store_order_invalidate *c = (struct store_order_invalidate *)cmd;
        if (invalidate_leaf(cmd) != leaf) continue;
        c->done_now = false;
        c->order_status = (enum order_status)0;
        if (!flush_is_first(f, cmd, invalidate_id)) continue;
        params_put_id(p, id, &c->order);
        params_put_text(p, error, c->error);
        params_put_id(q, id2, &c->order);
    }
}

void order_invalidate_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_ORDER_INVALIDATE, invalidate_leaf, &leaf);) {
        struct params p, q;
        char orders[LEAF_NAME_MAX];
        params_init(&p);
        params_init(&q);
        invalidations_put(f, &p, &q, leaf);
        leaf_name(orders, LEAF_ORDERS, leaf);
        if (!leaves_have(f->store, LEAF_ORDERS, leaf)) {
            params_fini(&p);
            params_fini(&q);
            continue;
        }
        flush_add(f, &p, on_moved,
                  "UPDATE %s o SET status = 5, error = t.error FROM unnest($1, $2) t(id, error) "
                  "WHERE o.id = t.id AND o.status = 3 RETURNING o.id",
                  orders);
        flush_add(f, &q, on_invalidated,
                  "SELECT id, status::bigint, error FROM %s WHERE id = ANY($1)", orders);
    }
}

// ---- close

static void on_closed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CLOSE, &at)) != NULL;) {
        struct store_intent_close *c = (struct store_intent_close *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            c->closed |= id_eq(&id, &c->order);
        }
    }
}

static void closes_put(struct flush *f, struct params *p, int64_t leaf)
{
    size_t at = 0, id = params_array(p, PG_UUID), burned = params_array(p, PG_BYTEA);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_INTENT_CLOSE, &at)) != NULL;) {
        struct store_intent_close *c = (struct store_intent_close *)cmd;
        if (close_leaf(cmd) != leaf) continue;
        c->closed = false;
        if (!flush_is_first(f, cmd, close_id)) continue;
        params_put_id(p, id, &c->order);
        params_put_bytes(p, burned, slice_of(c->burned_serial, c->has_burned ? SERIAL_LEN : 0));
    }
}

// intent_close_send: the orders are locked already and end here, INVALID for good: the statement
// may be repeated.
void intent_close_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_INTENT_CLOSE, close_leaf, &leaf);) {
        struct params p;
        char orders[LEAF_NAME_MAX], intents[LEAF_NAME_MAX];
        params_init(&p);
        closes_put(f, &p, leaf);
        leaf_name(orders, LEAF_ORDERS, leaf);
        leaf_name(intents, LEAF_INTENTS, leaf);
        if (!leaves_have(f->store, LEAF_ORDERS, leaf) ||
            !leaves_have(f->store, LEAF_INTENTS, leaf)) {
            params_fini(&p); // past, and so is what was open of it
            continue;
        }
        flush_add(f, &p, on_closed,
                  "WITH t AS (SELECT * FROM unnest($1, $2) t(id, burned)), "
                  "o AS (SELECT o.id, t.burned FROM t JOIN %s o ON o.id = t.id AND o.status = 5), "
                  "b AS (UPDATE %s i SET burned_serial = o.burned FROM o WHERE i.order_id = o.id "
                  "AND i.burned_serial IS NULL AND length(o.burned) > 0), "
                  "w AS (DELETE FROM intents_open w USING o WHERE w.order_id = o.id) "
                  "SELECT id FROM o",
                  orders, intents);
        burned_send(f, leaf);
    }
}

// ---- list

static void on_listed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_orders_list *c = (struct store_orders_list *)only;
    size_t rows = (size_t)PQntuples(r);
    (void)f;
    c->more = rows > c->limit;
    c->out_count = rows < c->limit ? rows : c->limit;
    c->out = ARENA_ARRAY(only->arena, struct id, c->out_count + 1);
    if (c->out == NULL) {
        only->flags |= CMD_FULL;
        c->out_count = 0;
    }
    for (size_t i = 0; i < c->out_count; i++) c->out[i] = col_id(r, (int)i, 0);
}

// orders_list_send: invalid ones are left out, and those that ended before they were finalized: so
// they are shown, too.
void orders_list_send(struct flush *f)
{
    static const struct id newest = {.b = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    static const struct id none;
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDERS_LIST, &at)) != NULL;) {
        const struct store_orders_list *c = (const struct store_orders_list *)cmd;
        struct params p;
        params_init(&p);
        params_id(&p, &c->account);
        params_id(&p, id_eq(&c->before, &none) ? &newest : &c->before);
        params_int(&p, (int64_t)c->limit + 1);
        flush_add_only(f, &p, on_listed, cmd,
                       "SELECT id FROM orders WHERE account = $1 AND id < $2 AND status <> 5 AND "
                       "(status > 2 OR expires_at > now_us()) ORDER BY id DESC LIMIT $3");
    }
}

void store_orders_list(struct store *s, struct store_orders_list *c)
{
    store_queue(s, &c->cmd, CMD_ORDERS_LIST);
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

void store_intent_close(struct store *s, struct store_intent_close *c)
{
    store_queue(s, &c->cmd, CMD_INTENT_CLOSE);
}
