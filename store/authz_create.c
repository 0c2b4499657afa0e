// authz_create: authorizations that are asked for alone, before an order (RFC 8555 section 7.4.1).
#include "proto/err.h"
#include "store/internal.h"

static void on_made(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_authz_create *c = (struct store_authz_create *)only;
    (void)f;
    if (PQntuples(r) == 0 || !authz_row_read(&c->out, r, 0, only)) return;
    c->outcome = id_eq(&c->out.id, &c->row.id) ? AUTHZ_CREATED : AUTHZ_HELD;
}

// authz_create_send: one statement a command, over all leaves that can hold one: rare clients. What
// is pending is found again only where it was asked for alone: an order's is the order's. Such a
// one names itself as its order, so that a decision about it finds none that waits. A repeat finds
// its own.
void authz_create_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_AUTHZ_CREATE, &at)) != NULL;) {
        struct store_authz_create *c = (struct store_authz_create *)cmd;
        const struct authz_row *z = &c->row;
        static const uint8_t lowest[10];
        struct id since = id_make((uint64_t)(c->reuse_since_us / 1000), 0, lowest);
        struct buf identifier;
        struct params p;
        params_init(&p);
        buf_init(&identifier, DNS_NAME_LEN_MAX + 16);
        if (failed(identifiers_encode(&identifier, &z->identifier, 1))) f->unsent = true;
        c->outcome = AUTHZ_ACCOUNT_NOT_VALID;
        c->out = (struct authz_row){0};
        params_id(&p, &z->id);
        params_id(&p, &z->account);
        params_text(&p, z->tenant);
        params_bytes(&p, buf_slice(&identifier));
        params_int(&p, z->challenges);
        params_bytes(&p, slice_of(z->token, sizeof z->token));
        params_int(&p, z->expires_at_us);
        params_id(&p, &since);
        params_int(&p, c->reuse_left_us);
        params_int(&p, c->key_version);
        params_int(&p, c->reuse_alone);
        buf_fini(&identifier);
        flush_add_only(
            f, &p, on_made, cmd,
            "WITH k AS (SELECT FROM accounts WHERE id = $2 AND status = 1 AND tenant = $3 AND "
            "key_version = $10), "
            "h AS (SELECT z.* FROM (SELECT * FROM authorizations WHERE account = $2 AND identifier "
            "= $4 AND id >= $8 ORDER BY id DESC LIMIT 64) z WHERE NOT z.wildcard AND z.expires_at "
            "> now_us() + $9 AND ((z.status = 2 AND $11 = 0) OR (z.status IN (1, 2) AND z.order_id "
            "= z.id)) AND EXISTS "
            "(SELECT FROM k) ORDER BY z.status DESC, z.expires_at DESC LIMIT 1), "
            "n AS (INSERT INTO authorizations SELECT $1, $2, $1, $3, $4, false, 1, $5, $6, 0, 0, "
            "0, '', $7 WHERE EXISTS (SELECT FROM k) AND NOT EXISTS (SELECT FROM h) ON CONFLICT DO "
            "NOTHING RETURNING *) "
            "SELECT " AUTHZ_COLUMNS " FROM h UNION ALL SELECT " AUTHZ_COLUMNS " FROM n");
    }
}

void store_authz_create(struct store *s, struct store_authz_create *c)
{
    store_queue(s, &c->cmd, CMD_AUTHZ_CREATE);
}
