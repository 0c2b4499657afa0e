// renewal: what renewal information is made of (RFC 9773 section 4), and the rules that move
// windows.
#include "store/internal.h"

static int64_t renewal_leaf(const struct store_cmd *cmd)
{
    return leaf_of_serial(((const struct store_renewal_get *)cmd)->serial);
}

static void renewal_read(struct store_renewal_get *c, const PGresult *r, int i)
{
    c->found = true;
    c->order = col_id(r, i, 1);
    c->account = col_id(r, i, 2);
    c->tenant = col_dup(r, i, 3, &c->cmd);
    c->profile = col_dup(r, i, 4, &c->cmd);
    c->issuer = (uint16_t)col_int(r, i, 5);
    c->not_before = col_int(r, i, 6);
    c->not_after = col_int(r, i, 7);
    c->moved = !PQgetisnull(r, i, 8);
    if (c->moved) {
        c->moved_from = col_int(r, i, 8);
        c->moved_until = col_int(r, i, 9);
    }
    if (!PQgetisnull(r, i, 10)) c->replaced_by = col_id(r, i, 10);
    c->revoked_at_us = PQgetisnull(r, i, 11) ? 0 : col_int(r, i, 11);
}

static void on_got(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RENEWAL_GET, &at)) != NULL;) {
        struct store_renewal_get *c = (struct store_renewal_get *)cmd;
        for (int i = 0; i < PQntuples(r) && !c->found; i++)
            if (slice_eq(col_bytes(r, i, 0), slice_of(c->serial, SERIAL_LEN)))
                renewal_read(c, r, i);
    }
}

// A rule is about certificates that were there when it was made: what came after it is new enough.
#define MOVED                                                                                   \
    "LEFT JOIN LATERAL (SELECT w.starts_at, w.ends_at FROM renewal_rules w "                    \
    "WHERE w.cancelled_at = 0 AND w.tenant IN ('', c.tenant) AND w.profile IN ('', c.profile) " \
    "AND w.issuer IN (0, c.issuer) AND c.not_before BETWEEN w.issued_from AND w.issued_until "  \
    "AND (NOT w.has_serials OR EXISTS (SELECT FROM renewal_rule_serials s WHERE s.serial = "    \
    "c.serial AND s.rule = w.id)) ORDER BY w.starts_at, w.id LIMIT 1) w ON true "

void renewal_get_send(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_RENEWAL_GET, renewal_leaf, &leaf);) {
        struct params p;
        char certificates[LEAF_NAME_MAX], marks[LEAF_NAME_MAX], revocations[LEAF_NAME_MAX];
        size_t at = 0;
        if (!leaves_have(f->store, LEAF_CERTIFICATES, leaf) ||
            !leaves_have(f->store, LEAF_REPLACEMENTS, leaf) ||
            !leaves_have(f->store, LEAF_REVOCATIONS, leaf))
            continue; // dropped long ago, or never: not found
        params_init(&p);
        size_t serial = params_array(&p, PG_BYTEA);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RENEWAL_GET, &at)) != NULL;)
            if (renewal_leaf(cmd) == leaf)
                params_put_bytes(
                    &p, serial,
                    slice_of(((const struct store_renewal_get *)cmd)->serial, SERIAL_LEN));
        leaf_name(certificates, LEAF_CERTIFICATES, leaf);
        leaf_name(marks, LEAF_REPLACEMENTS, leaf);
        leaf_name(revocations, LEAF_REVOCATIONS, leaf);
        flush_add(
            f, &p, on_got,
            "SELECT c.serial, c.order_id, c.account, c.tenant, c.profile, c.issuer::bigint, "
            "c.not_before, c.not_after, w.starts_at, w.ends_at, r.order_id, v.revoked_at FROM %s c "
            "LEFT JOIN %s r ON r.serial = c.serial "
            "LEFT JOIN %s v ON v.serial = c.serial " MOVED "WHERE c.serial = ANY($1)",
            certificates, marks, revocations);
    }
}

void store_renewal_get(struct store *s, struct store_renewal_get *c)
{
    c->found = c->moved = false;
    c->replaced_by = (struct id){0};
    store_queue(s, &c->cmd, CMD_RENEWAL_GET);
}
