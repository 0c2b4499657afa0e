// authz: authorizations read, and decided together with the order that waits for them.
#include "store/internal.h"

#define AUTHZ_COLUMNS                                                                           \
    "id, account, order_id, tenant, identifier, wildcard, status::bigint, challenges::bigint, " \
    "token, decided_by::bigint, decision, validated_at, error, expires_at"

static int64_t get_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_AUTHZS, &((const struct store_authz_get *)cmd)->id);
}
static int64_t decide_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_AUTHZS, &((const struct store_authz_decide *)cmd)->id);
}
static int64_t decide_order_leaf(const struct store_cmd *cmd)
{
    return leaf_of_id(LEAF_ORDERS, &((const struct store_authz_decide *)cmd)->order);
}

static bool row_read(struct authz_row *out, const PGresult *r, int i, struct arena *a)
{
    bool ok = true;
    struct identifier *ids;
    size_t count;
    struct slice encoded = col_dup(r, i, 4, a, &ok), token = col_bytes(r, i, 8);
    if (!ok || failed(identifiers_decode(&ids, &count, a, encoded)) || count != 1 ||
        token.n != sizeof out->token)
        return false;
    *out = (struct authz_row){.id = col_id(r, i, 0),
                              .account = col_id(r, i, 1),
                              .order = col_id(r, i, 2),
                              .tenant = col_dup(r, i, 3, a, &ok),
                              .identifier = ids[0],
                              .wildcard = col_bool(r, i, 5),
                              .status = (enum authz_status)col_int(r, i, 6),
                              .challenges = (uint32_t)col_int(r, i, 7),
                              .decided_by = (enum challenge_type)col_int(r, i, 9),
                              .validated_at_us = col_int(r, i, 11),
                              .error = col_dup(r, i, 12, a, &ok),
                              .expires_at_us = col_int(r, i, 13)};
    memcpy(out->token, token.p, token.n);
    return ok;
}

static void on_got(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_GET, &at)) != NULL;) {
        struct store_authz_get *c = (struct store_authz_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->id)) c->found = row_read(&c->out, r, i, cmd->arena);
        }
    }
}

void authz_get_send(struct flush *f)
{
    for (int64_t leaf = -1; leaf_next(f, CMD_AUTHZ_GET, get_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t id = params_array(&p, PG_UUID);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_GET, &at)) != NULL;)
            if (get_leaf(cmd) == leaf) params_put_id(&p, id, &((struct store_authz_get *)cmd)->id);
        leaf_name(name, LEAF_AUTHZS, leaf);
        if (leaf_exists(f->store, LEAF_AUTHZS, leaf))
            flush_add(f, &p, on_got, "SELECT " AUTHZ_COLUMNS " FROM %s WHERE id = ANY($1)", name);
        else
            params_fini(&p);
    }
}

// ---- decide

static void on_decided(struct flush *f, const PGresult *r)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_DECIDE, &at)) != NULL;) {
        struct store_authz_decide *c = (struct store_authz_decide *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->id) || !row_read(&c->out, r, i, cmd->arena)) continue;
            c->decided = col_int(r, i, 10) == c->tag;
        }
    }
}

static void nothing(struct flush *f, const PGresult *r)
{
    (void)f;
    (void)r;
}

// decide_pair writes the decisions of one authorization leaf whose orders are in one order leaf.
// The orders are locked already, so this statement's snapshot is the newest; decisions about one
// order are added up before the order is touched (design.md section 4).
static void decide_pair(struct flush *f, int64_t authz_leaf, int64_t order_leaf)
{
    struct params p, q;
    char authzs[LEAF_NAME_MAX], orders[LEAF_NAME_MAX];
    size_t at = 0, rows = 0, col[6];
    static const enum pg_type types[] = {PG_UUID, PG_BOOL, PG_INT8, PG_INT8, PG_TEXT, PG_INT8};
    params_init(&p);
    params_init(&q);
    for (size_t i = 0; i < 6; i++) col[i] = params_array(&p, types[i]);
    size_t id = params_array(&q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_DECIDE, &at)) != NULL;) {
        struct store_authz_decide *c = (struct store_authz_decide *)cmd;
        if (decide_leaf(cmd) != authz_leaf || decide_order_leaf(cmd) != order_leaf) continue;
        params_put_id(&p, col[0], &c->id);
        params_put_bool(&p, col[1], c->valid);
        params_put_int(&p, col[2], c->by);
        params_put_int(&p, col[3], c->tag);
        params_put_text(&p, col[4], c->error);
        params_put_int(&p, col[5], c->valid_until_us);
        params_put_id(&q, id, &c->id);
        rows++;
    }
    if (rows == 0 || !leaf_exists(f->store, LEAF_AUTHZS, authz_leaf) ||
        !leaf_exists(f->store, LEAF_ORDERS, order_leaf)) {
        params_fini(&p);
        params_fini(&q);
        return;
    }
    leaf_name(authzs, LEAF_AUTHZS, authz_leaf);
    leaf_name(orders, LEAF_ORDERS, order_leaf);
    flush_add(f, &p, nothing,
              "WITH t AS (SELECT DISTINCT ON (id) * FROM unnest($1, $2, $3, $4, $5, $6) t(id, "
              "valid, by, tag, error, until) ORDER BY id, tag), "
              "d AS (UPDATE %s a SET status = CASE WHEN t.valid THEN 2 ELSE 3 END, decided_by = "
              "t.by, decision = t.tag, error = t.error, "
              "validated_at = CASE WHEN t.valid THEN now_us() ELSE 0 END, expires_at = CASE WHEN "
              "t.valid THEN t.until ELSE a.expires_at END "
              "FROM t WHERE a.id = t.id AND a.status = 1 AND a.expires_at > now_us() RETURNING "
              "a.order_id, t.valid, t.error), "
              "s AS (SELECT order_id, count(*) FILTER (WHERE valid) AS good, bool_or(NOT valid) AS "
              "bad, min(error) FILTER (WHERE NOT valid) AS error FROM d GROUP BY order_id) "
              "UPDATE %s o SET authzs_pending = o.authzs_pending - s.good, error = "
              "coalesce(s.error, o.error), "
              "status = CASE WHEN s.bad THEN 5 WHEN o.authzs_pending - s.good <= 0 THEN 2 ELSE "
              "o.status END FROM s WHERE o.id = s.order_id AND o.status = 1",
              authzs, orders);
    flush_add(f, &q, on_decided, "SELECT " AUTHZ_COLUMNS " FROM %s WHERE id = ANY($1)", authzs);
}

void authz_decide_send(struct flush *f)
{
    for (int64_t authz_leaf = -1; leaf_next(f, CMD_AUTHZ_DECIDE, decide_leaf, &authz_leaf);)
        for (int64_t order_leaf = -1;
             leaf_next(f, CMD_AUTHZ_DECIDE, decide_order_leaf, &order_leaf);)
            decide_pair(f, authz_leaf, order_leaf);
}

void store_authz_get(struct store *s, struct store_authz_get *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_AUTHZ_GET);
}

void store_authz_decide(struct store *s, struct store_authz_decide *c)
{
    c->decided = false;
    store_queue(s, &c->cmd, CMD_AUTHZ_DECIDE);
}
