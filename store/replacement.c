// replacement: which order replaces a certificate (RFC 9773 section 5), decided by compare-and-set
// in the transaction that creates the order.
#include "store/internal.h"

// mark_leaf is the leaf of what an order replaces, -1: nothing, which no walk over leaves finds.
static int64_t mark_leaf(const struct store_cmd *cmd)
{
    const struct store_order_create *c = (const struct store_order_create *)cmd;
    return c->replacing ? leaf_of_serial(c->replaced) : -1;
}

static void marks_put(struct flush *f, struct params *p, int64_t leaf)
{
    static const enum pg_type types[] = {PG_BYTEA, PG_UUID, PG_UUID, PG_UUID, PG_TEXT, PG_INT8};
    size_t at = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) (void)params_array(p, types[i]);
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        const struct store_order_create *c = (const struct store_order_create *)cmd;
        if (mark_leaf(cmd) != leaf) continue;
        params_put_bytes(p, 0, slice_of(c->replaced, SERIAL_LEN));
        params_put_id(p, 1, &c->order.id);
        params_put_id(p, 2, &c->instead_of);
        params_put_id(p, 3, &c->order.account);
        params_put_text(p, 4, c->order.tenant);
        params_put_int(p, 5, c->key_version);
    }
}

// replacements_mark: of the orders of this flush that want one place the one with the smallest id
// is let through, because no statement may write a row twice. The place of another order is taken
// only from the one that the caller saw to have ended. A repeat leaves its own as it is.
void replacements_mark(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_ORDER_CREATE, mark_leaf, &leaf);) {
        struct params p;
        char marks[LEAF_NAME_MAX], certificates[LEAF_NAME_MAX];
        if (!leaves_have(f->store, LEAF_CERTIFICATES, leaf)) continue; // no such certificate
        params_init(&p);
        marks_put(f, &p, leaf);
        leaf_name(marks, LEAF_REPLACEMENTS, leaf);
        leaf_name(certificates, LEAF_CERTIFICATES, leaf);
        flush_add(
            f, &p, flush_nothing,
            "INSERT INTO %s AS r SELECT DISTINCT ON (t.serial) t.serial, t.id, t.instead_of "
            "FROM unnest($1, $2, $3, $4, $5, $6) t(serial, id, instead_of, account, tenant, "
            "key_version) "
            "JOIN accounts a ON a.id = t.account AND a.status = 1 AND a.tenant = t.tenant AND "
            "a.key_version = t.key_version "
            "JOIN %s c ON c.serial = t.serial AND c.account = t.account "
            "ORDER BY t.serial, t.id "
            "ON CONFLICT (serial) DO UPDATE SET order_id = excluded.order_id, instead_of = "
            "excluded.instead_of WHERE r.order_id = excluded.instead_of",
            marks, certificates);
    }
}

static void on_looked(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    size_t at = 0;
    (void)only;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;) {
        struct store_order_create *c = (struct store_order_create *)cmd;
        if (!c->replacing || c->outcome == ORDER_CREATED) continue;
        for (int i = 0; i < PQntuples(r); i++) {
            struct id by = col_id(r, i, 1);
            if (!slice_eq(col_bytes(r, i, 0), slice_of(c->replaced, SERIAL_LEN)) ||
                id_eq(&by, &c->order.id))
                continue;
            c->outcome = ORDER_REPLACED;
            c->replaced_by = by;
        }
    }
}

void replacements_look(struct flush *f)
{
    for (int64_t leaf = -1; flush_leaf_next(f, CMD_ORDER_CREATE, mark_leaf, &leaf);) {
        struct params p;
        char marks[LEAF_NAME_MAX];
        size_t at = 0;
        params_init(&p);
        size_t serial = params_array(&p, PG_BYTEA);
        for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ORDER_CREATE, &at)) != NULL;)
            if (mark_leaf(cmd) == leaf)
                params_put_bytes(
                    &p, serial,
                    slice_of(((const struct store_order_create *)cmd)->replaced, SERIAL_LEN));
        leaf_name(marks, LEAF_REPLACEMENTS, leaf);
        flush_add(f, &p, on_looked, "SELECT serial, order_id FROM %s WHERE serial = ANY($1)",
                  marks);
    }
}
