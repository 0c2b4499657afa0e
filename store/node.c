// node: heartbeats of front ends, and leases for work that is done once per cluster.
#include "store/internal.h"

// clock_measure: the database's clock was read between sending and now.
static void clock_measure(struct flush *f, int64_t database_us)
{
    int64_t now = shard_wall_us(f->store->shard);
    f->store->clock_offset_us = database_us - (f->sent_us + (now - f->sent_us) / 2);
}

static void on_nodes(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    if (PQntuples(r) > 0) clock_measure(f, col_int(r, 0, 5));
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_NODE_HEARTBEAT, &at)) != NULL;) {
        struct store_node_heartbeat *c = (struct store_node_heartbeat *)cmd;
        c->out_count = 0;
        c->out = ARENA_ARRAY(cmd->arena, struct node_row, (size_t)PQntuples(r) + 1);
        if (c->out == NULL) cmd->flags |= CMD_FULL;
        for (int i = 0; c->out != NULL && i < PQntuples(r); i++) {
            int64_t seen = col_int(r, i, 4), now = col_int(r, i, 5);
            if (now - seen >= (int64_t)c->keep_ms * 1000) continue;
            c->out[c->out_count++] = (struct node_row){.node = col_id(r, i, 0),
                                                       .boot = (uint64_t)col_int(r, i, 1),
                                                       .region = (unsigned)col_int(r, i, 2),
                                                       .rpc_address = col_dup(r, i, 3, cmd),
                                                       .seen_at_us = seen,
                                                       .now_us = now};
        }
    }
}

static void heartbeat_send(struct flush *f, struct store_cmd *cmd)
{
    const struct store_node_heartbeat *c = (const struct store_node_heartbeat *)cmd;
    struct params p;
    params_init(&p);
    params_id(&p, &c->self.node);
    params_int(&p, (int64_t)c->self.boot);
    if (c->leaving) {
        flush_add_only(f, &p, flush_nothing, cmd,
                       "DELETE FROM nodes WHERE node = $1 AND boot = $2");
        return;
    }
    params_int(&p, c->self.region);
    params_text(&p, c->self.rpc_address);
    flush_add_only(f, &p, flush_nothing, cmd,
                   "INSERT INTO nodes VALUES ($1, $2, $3, $4, now_us()) ON CONFLICT (node) DO "
                   "UPDATE SET boot = excluded.boot, region = excluded.region, rpc_address = "
                   "excluded.rpc_address, seen_at = excluded.seen_at");
}

// node_heartbeat_send: the rows of nodes that died without leaving stay until partition.c drops
// them; a day is more than anybody asks for.
void node_heartbeat_send(struct flush *f)
{
    size_t at = 0;
    struct params all;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_NODE_HEARTBEAT, &at)) != NULL;)
        heartbeat_send(f, cmd);
    params_init(&all);
    flush_add(f, &all, on_nodes,
              "SELECT node, boot, region::bigint, rpc_address, seen_at, now_us() FROM nodes "
              "WHERE seen_at > now_us() - 86400000000 ORDER BY node");
}

static void on_leases(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_LEASE_TAKE, &at)) != NULL;) {
        struct store_lease_take *c = (struct store_lease_take *)cmd;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id node = col_id(r, i, 1);
            if (!slice_eq(col_bytes(r, i, 0), c->name)) continue;
            c->held = !c->release && id_eq(&node, &c->node) &&
                      (uint64_t)col_int(r, i, 2) == c->boot;
            c->token = (uint64_t)col_int(r, i, 3);
        }
    }
}

// lease_take_send: the token grows with each new holder; a holder that renews keeps it. Only the
// database's clock counts.
void lease_take_send(struct flush *f)
{
    size_t at = 0;
    struct params names;
    params_init(&names);
    size_t name = params_array(&names, PG_TEXT);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_LEASE_TAKE, &at)) != NULL;) {
        struct store_lease_take *c = (struct store_lease_take *)cmd;
        struct params p;
        c->held = false;
        params_put_text(&names, name, c->name);
        params_init(&p);
        params_text(&p, c->name);
        params_id(&p, &c->node);
        params_int(&p, (int64_t)c->boot);
        if (c->release) {
            flush_add(f, &p, flush_nothing,
                      "UPDATE leases SET until = 0 WHERE name = $1 AND node = $2 AND boot = $3");
            continue;
        }
        params_int(&p, (int64_t)c->ttl_ms * 1000);
        flush_add(
            f, &p, flush_nothing,
            "INSERT INTO leases AS l VALUES ($1, $2, $3, 1, now_us() + $4) ON CONFLICT (name) DO "
            "UPDATE SET node = excluded.node, boot = excluded.boot, until = excluded.until, "
            "token = CASE WHEN l.node = excluded.node AND l.boot = excluded.boot AND l.until > "
            "now_us() THEN l.token ELSE l.token + 1 END "
            "WHERE l.until <= now_us() OR (l.node = excluded.node AND l.boot = excluded.boot)");
    }
    flush_add(
        f, &names, on_leases,
        "SELECT name, node, boot, token FROM leases WHERE name = ANY($1) AND until > now_us()");
}

void store_node_heartbeat(struct store *s, struct store_node_heartbeat *c)
{
    store_queue(s, &c->cmd, CMD_NODE_HEARTBEAT);
}

void store_lease_take(struct store *s, struct store_lease_take *c)
{
    store_queue(s, &c->cmd, CMD_LEASE_TAKE);
}
