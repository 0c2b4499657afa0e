// leaves: which partitions exist, as this store knows. The list is read now and then, and when a
// command names a leaf that is not in it: leaves are made 48 h ahead, so that is rare.
#include "store/internal.h"

bool leaves_have(const struct store *s, enum leaf_table table, int64_t key)
{
    return leaf_set_has(&s->leaves, table, key);
}

static bool have_id(const struct store *s, enum leaf_table table, const struct id *id)
{
    return leaves_have(s, table, leaf_of_id(table, id));
}

static bool have_serial(const struct store *s, enum leaf_table table, const uint8_t *serial)
{
    return leaves_have(s, table, leaf_of_serial(serial));
}

static bool have_ids(const struct store *s, const struct id *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!have_id(s, LEAF_AUTHZS, &ids[i])) return false;
    return true;
}

static bool have_of_order(const struct store *s, const struct store_order_create *c)
{
    for (size_t i = 0; i < c->authz_count; i++)
        if (!have_id(s, LEAF_AUTHZS, &c->authzs[i].id)) return false;
    if (c->replacing && !leaves_have(s, LEAF_REPLACEMENTS, leaf_of_serial(c->replaced)))
        return false;
    return have_id(s, LEAF_ORDERS, &c->order.id);
}

// have_all: every leaf that the command names. `rows_only` leaves out those where it would only
// look for a row and not find it, which is an answer too.
static bool have_all(const struct store *s, const struct store_cmd *cmd, bool rows_only)
{
    const struct store_authz_decide *decide = (const struct store_authz_decide *)cmd;
    const struct store_intent_create *intent = (const struct store_intent_create *)cmd;
    const struct store_certificate_commit *commit = (const struct store_certificate_commit *)cmd;
    const struct store_revoke *revoke = (const struct store_revoke *)cmd;
    switch ((enum cmd_kind)cmd->kind) {
    case CMD_ORDER_CREATE:
        return have_of_order(s, (const struct store_order_create *)cmd);
    case CMD_AUTHZ_CREATE:
        return have_id(s, LEAF_AUTHZS, &((const struct store_authz_create *)cmd)->row.id);
    case CMD_AUTHZ_DECIDE:
        return rows_only ||
               (have_id(s, LEAF_AUTHZS, &decide->id) && have_id(s, LEAF_ORDERS, &decide->order));
    case CMD_INTENT_CREATE: // without its order's leaf there is no order
        return have_id(s, LEAF_ORDERS, &intent->intent.order)
                   ? have_id(s, LEAF_INTENTS, &intent->intent.order) &&
                         (rows_only || have_ids(s, intent->authzs, intent->authz_count))
                   : rows_only;
    case CMD_CERTIFICATE_COMMIT:
        return have_id(s, LEAF_ORDERS, &commit->order)
                   ? have_serial(s, LEAF_CERTIFICATES, commit->serial)
                   : rows_only;
    case CMD_ORDER_INVALIDATE:
        return rows_only ||
               have_id(s, LEAF_ORDERS, &((const struct store_order_invalidate *)cmd)->order);
    case CMD_INTENT_CLOSE:
        return rows_only ||
               have_id(s, LEAF_ORDERS, &((const struct store_intent_close *)cmd)->order);
    case CMD_ORDER_GET:
        return rows_only || have_id(s, LEAF_ORDERS, &((const struct store_order_get *)cmd)->id);
    case CMD_AUTHZ_GET:
        return rows_only || have_id(s, LEAF_AUTHZS, &((const struct store_authz_get *)cmd)->id);
    case CMD_INTENT_GET:
        return rows_only ||
               have_id(s, LEAF_INTENTS, &((const struct store_intent_get *)cmd)->order);
    case CMD_CERTIFICATE_GET:
        return rows_only || have_serial(s, LEAF_CERTIFICATES,
                                        ((const struct store_certificate_get *)cmd)->serial);
    case CMD_REVOKE: // without its certificates' leaf there is no certificate
        return have_serial(s, LEAF_CERTIFICATES, revoke->serial)
                   ? have_serial(s, LEAF_REVOCATIONS, revoke->serial)
                   : rows_only;
    case CMD_REVOCATION_GET:
        return rows_only ||
               have_serial(s, LEAF_REVOCATIONS, ((const struct store_revocation_get *)cmd)->serial);
    case CMD_RENEWAL_GET:
        return rows_only ||
               have_serial(s, LEAF_CERTIFICATES, ((const struct store_renewal_get *)cmd)->serial);
    default:
        return true;
    }
}

enum leaves_answer leaves_want(struct store *s, const struct store_cmd *cmd)
{
    if (have_all(s, cmd, false)) return LEAVES_THERE;
    bool asked_since = s->leaves_asked_ns >= cmd->queued_ns;
    if (asked_since && !s->leaves_loading && !s->leaves_stale)
        return have_all(s, cmd, true) ? LEAVES_THERE : LEAVES_MISSING;
    if (!asked_since) s->leaves_stale = true;
    return LEAVES_ASKED;
}

static void on_leaves(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store *s = f->store;
    (void)only;
    leaf_set_clear(&s->leaves);
    for (int i = 0; i < PQntuples(r); i++) {
        enum leaf_table table;
        int64_t key;
        if (leaf_parse(&table, &key, PQgetvalue(r, i, 0)))
            f->unsent |= !leaf_set_add(&s->leaves, table, key);
    }
}

static void on_leaves_done(struct conn_group *g, enum conn_ended ended, const char *sqlstate)
{
    struct flush *f = LIST_OWNER(g, struct flush, group);
    struct store *s = f->store;
    (void)sqlstate;
    s->leaves_loading = false;
    s->in_flight_reads--;
    if (ended == CONN_ENDED_OK && !f->unsent)
        s->leaves_loaded = true;
    else
        s->leaves_stale = true;
    turn_hook_arm(s->shard, &s->pump);
}

void leaves_load(struct store *s)
{
    struct flush *f = &s->leaves_flush;
    struct params p;
    s->leaves_loading = true;
    s->leaves_stale = false;
    s->leaves_asked_ns = shard_now_ns(s->shard);
    s->in_flight_reads++;
    f->store = s;
    f->read = true;
    f->step_count = 0;
    f->unsent = false;
    f->group = (struct conn_group){.result = flush_result, .done = on_leaves_done};
    f->conn = s->reader;
    params_init(&p);
    conn_begin(s->reader, &f->group);
    // A leaf that is being detached is not one any more.
    flush_add(f, &p, on_leaves,
              "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
              "WHERE NOT i.inhdetachpending AND i.inhparent IN "
              "('orders'::regclass, 'authorizations'::regclass, 'intents'::regclass, "
              "'certificates'::regclass, 'replacements'::regclass, "
              "'revocations'::regclass)");
    conn_submit(s->reader);
}
