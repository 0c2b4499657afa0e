// limit: rate limits, exact across front ends: the rows of a flush are locked in the order of their
// keys, and each command is decided by a statement of its own, so that a later one sees what an
// earlier one took. Nothing of this is sent where no limit is set.
#include "store/internal.h"

// rate_locks_send makes the rows that are missing, then locks all: of two front ends that take from
// a new key at once the second decides on what the first has written.
static void rate_locks_send(struct flush *f)
{
    struct params p, q;
    size_t at = 0;
    params_init(&p);
    params_init(&q);
    size_t make = params_array(&p, PG_UUID), lock = params_array(&q, PG_UUID);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RATE_TAKE, &at)) != NULL;) {
        const struct store_rate_take *c = (const struct store_rate_take *)cmd;
        for (size_t i = 0; i < c->count; i++) {
            params_put_id(&p, make, &c->items[i].key);
            params_put_id(&q, lock, &c->items[i].key);
        }
    }
    flush_add(f, &p, flush_nothing,
              "INSERT INTO rate_limits SELECT DISTINCT k, 0 FROM unnest($1) k ORDER BY k ON "
              "CONFLICT DO NOTHING");
    flush_add(f, &q, flush_nothing,
              "SELECT FROM rate_limits WHERE key = ANY($1) ORDER BY key FOR NO KEY UPDATE");
}

static void on_taken(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_rate_take *c = (struct store_rate_take *)only;
    (void)f;
    c->taken = PQntuples(r) == 0;
    if (c->taken) return;
    c->refused = (size_t)col_int(r, 0, 0) - 1;
    c->until_us = col_int(r, 0, 1);
}

static void take_send(struct flush *f, struct store_rate_take *c)
{
    static const enum pg_type types[] = {PG_UUID, PG_INT8, PG_INT8, PG_INT8};
    struct params p;
    params_init(&p);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(&p, types[i]);
    for (size_t i = 0; i < c->count; i++) {
        params_put_id(&p, 0, &c->items[i].key);
        params_put_int(&p, 1, c->items[i].step_us);
        params_put_int(&p, 2, c->items[i].room_us);
        params_put_int(&p, 3, c->items[i].how);
    }
    flush_add_only(
        f, &p, on_taken, &c->cmd,
        "WITH now AS MATERIALIZED (SELECT now_us() AS at), "
        "s AS MATERIALIZED (SELECT t.*, greatest(coalesce(r.tat, 0), now.at) + t.step AS next, "
        "now.at FROM (SELECT DISTINCT ON (key) * FROM unnest($1, $2, $3, $4) WITH ORDINALITY "
        "t(key, step, room, how, n) ORDER BY key, n) t CROSS JOIN now LEFT JOIN rate_limits r ON "
        "r.key = t.key), "
        "b AS (SELECT n, next - room AS until FROM s WHERE how <> 3 AND next - at > room ORDER BY "
        "until DESC, n LIMIT 1), "
        "w AS (INSERT INTO rate_limits SELECT key, least(next, at + room) FROM s WHERE how <> 2 "
        "AND NOT EXISTS (SELECT FROM b) ORDER BY key ON CONFLICT (key) DO UPDATE SET tat = "
        "greatest(rate_limits.tat, excluded.tat)) "
        "SELECT n, until FROM b");
}

void rate_take_send(struct flush *f)
{
    size_t at = 0;
    rate_locks_send(f);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RATE_TAKE, &at)) != NULL;)
        take_send(f, (struct store_rate_take *)cmd);
}

void store_rate_take(struct store *s, struct store_rate_take *c)
{
    c->taken = false;
    store_queue(s, &c->cmd, CMD_RATE_TAKE);
}
