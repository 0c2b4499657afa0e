// authz: authorizations read, and decided together with the order that waits for them.
#include <stdio.h>

#include "proto/err.h"
#include "store/internal.h"

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

static const struct id *decide_id(const struct store_cmd *cmd)
{
    return &((const struct store_authz_decide *)cmd)->id;
}

bool authz_row_read(struct authz_row *out, const PGresult *r, int i, struct store_cmd *cmd)
{
    struct identifier *ids;
    size_t count = 0;
    struct slice token = col_bytes(r, i, 8);
    struct err e = identifiers_decode(&ids, &count, cmd->arena, col_dup(r, i, 4, cmd));
    if (err_is(e, ERR_NO_SPACE)) cmd->flags |= CMD_FULL;
    if (failed(e) || count != 1 || token.n != sizeof out->token) return false;
    *out = (struct authz_row){.id = col_id(r, i, 0),
                              .account = col_id(r, i, 1),
                              .order = col_id(r, i, 2),
                              .tenant = col_dup(r, i, 3, cmd),
                              .identifier = ids[0],
                              .wildcard = col_bool(r, i, 5),
                              .status = (enum authz_status)col_int(r, i, 6),
                              .challenges = (uint32_t)col_int(r, i, 7),
                              .decided_by = (uint32_t)col_int(r, i, 9),
                              .validated_at_us = col_int(r, i, 11),
                              .error = col_dup(r, i, 12, cmd),
                              .expires_at_us = col_int(r, i, 13)};
    memcpy(out->token, token.p, token.n);
    return true;
}

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_GET, &at)) != NULL;) {
        struct store_authz_get *c = (struct store_authz_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++) {
            struct id id = col_id(r, i, 0);
            if (id_eq(&id, &c->id)) c->found = authz_row_read(&c->out, r, i, cmd);
        }
    }
}

void authz_get_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_AUTHZ_GET, get_leaf, &leaf);) {
        struct params p;
        char name[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t id = params_array(&p, PG_UUID);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_GET, &at)) != NULL;)
            if (get_leaf(cmd) == leaf) params_put_id(&p, id, &((struct store_authz_get *)cmd)->id);
        leaf_name(name, LEAF_AUTHZS, leaf);
        if (leaves_have(f->store, LEAF_AUTHZS, leaf))
            flush_add(f, &p, on_got, "SELECT " AUTHZ_COLUMNS " FROM %s WHERE id = ANY($1)", name);
        else
            params_fini(&p);
    }
}

// ---- decide

static void on_decided(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_DECIDE, &at)) != NULL;) {
        struct store_authz_decide *c = (struct store_authz_decide *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id id = col_id(r, i, 0);
            if (!id_eq(&id, &c->id) || !authz_row_read(&c->out, r, i, cmd)) continue;
            c->decided = col_int(r, i, 10) == c->tag;
        }
    }
}

// decisions_put fills the columns with the decisions whose authorization and order are in these two
// leaves, and `id` with the authorizations; the number of decisions.
static size_t decisions_put(struct flush *f, struct params *p, struct params *q, int64_t authz_leaf,
                            int64_t order_leaf)
{
    static const enum pg_type types[] = {PG_UUID, PG_UUID, PG_INT8, PG_INT8,
                                         PG_INT8, PG_TEXT, PG_INT8, PG_TEXT};
    size_t at = 0, rows = 0, col[8];
    for (size_t i = 0; i < 8; i++) col[i] = params_array(p, types[i]);
    size_t id = params_array(q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_DECIDE, &at)) != NULL;) {
        const struct store_authz_decide *c = (const struct store_authz_decide *)cmd;
        if (decide_leaf(cmd) != authz_leaf || decide_order_leaf(cmd) != order_leaf) continue;
        if (!flush_is_first(f, cmd, decide_id)) continue;
        params_put_id(p, col[0], &c->id);
        params_put_id(p, col[1], &c->order);
        params_put_int(p, col[2], c->to);
        params_put_int(p, col[3], c->by);
        params_put_int(p, col[4], c->tag);
        params_put_text(p, col[5], c->error);
        params_put_int(p, col[6], c->valid_until_us);
        params_put_text(p, col[7], c->order_error);
        params_put_id(q, id, &c->id);
        rows++;
    }
    return rows;
}

// decide_pair writes the decisions of one authorization leaf whose orders are in one order leaf. An
// authorization that later orders take over may outlive the order that made it, and its leaf; one
// that was asked for alone has none.
// The orders are locked already, so this statement's snapshot is the newest; decisions about one
// order are added up before the order is touched (design.md section 4).
static void decide_pair(struct flush *f, int64_t authz_leaf, int64_t order_leaf)
{
    struct params p, q;
    char authzs[LEAF_NAME_MAX], orders[LEAF_NAME_MAX], waiting[512] = "SELECT FROM s";
    params_init(&p);
    params_init(&q);
    if (decisions_put(f, &p, &q, authz_leaf, order_leaf) == 0 ||
        !leaves_have(f->store, LEAF_AUTHZS, authz_leaf)) {
        params_fini(&p);
        params_fini(&q);
        return;
    }
    leaf_name(authzs, LEAF_AUTHZS, authz_leaf);
    leaf_name(orders, LEAF_ORDERS, order_leaf);
    if (leaves_have(f->store, LEAF_ORDERS, order_leaf))
        (void)snprintf(
            waiting, sizeof waiting,
            "UPDATE %s o SET authzs_pending = o.authzs_pending - s.good, error = "
            "coalesce(s.error, o.error), "
            "status = CASE WHEN s.bad THEN 5 WHEN o.authzs_pending - s.good <= 0 THEN 2 ELSE "
            "o.status END FROM s WHERE o.id = s.order_id AND (o.status = 1 OR (o.status = 2 AND "
            "s.bad))",
            orders);
    flush_add(f, &p, flush_nothing,
              "WITH t AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) "
              "t(id, order_id, goal, by, tag, error, until, order_error)), "
              "d AS (UPDATE %s a SET status = t.goal, decision = t.tag, "
              "decided_by = CASE t.goal WHEN 4 THEN a.decided_by ELSE t.by END, "
              "error = CASE t.goal WHEN 4 THEN a.error ELSE t.error END, "
              "validated_at = CASE t.goal WHEN 2 THEN now_us() ELSE a.validated_at END, "
              "expires_at = CASE t.goal WHEN 2 THEN t.until ELSE a.expires_at END "
              "FROM t WHERE a.id = t.id AND a.order_id = t.order_id AND (a.status = 1 OR (a.status "
              "= 2 AND t.goal = 4)) AND "
              "a.expires_at > now_us() RETURNING a.order_id, t.goal, t.order_error AS error), "
              "s AS (SELECT order_id, count(*) FILTER (WHERE goal = 2) AS good, bool_or(goal <> 2) "
              "AS bad, min(error) FILTER (WHERE goal <> 2) AS error FROM d GROUP BY order_id) %s",
              authzs, waiting);
    flush_add(f, &q, on_decided, "SELECT " AUTHZ_COLUMNS " FROM %s WHERE id = ANY($1)", authzs);
}

void authz_decide_send(struct flush *f)
{
    for (int64_t authz_leaf = -1; flush_leaf_next(f, CMD_AUTHZ_DECIDE, decide_leaf, &authz_leaf);)
        for (int64_t order_leaf = -1;
             flush_leaf_next(f, CMD_AUTHZ_DECIDE, decide_order_leaf, &order_leaf);)
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
    c->out = (struct authz_row){0};
    do shard_random(s->shard, &c->tag, sizeof c->tag);
    while (c->tag == 0); // 0 is in a row that nobody has decided
    store_queue(s, &c->cmd, CMD_AUTHZ_DECIDE);
}
