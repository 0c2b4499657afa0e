// listing: accounts and certificates as people look for them, newest first, a page at a time. A
// page looks at so many rows at most, however rare what is asked for is: then it says where the
// next one goes on.
#include <stdio.h>

#include "store/internal.h"

enum { SCAN_MAX = 5000 };

static const struct id newest = {.b = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// page_count is how many of a result's rows are of the page; *out_next where the next one begins,
// zero: there is none. Columns 0 and 1 say how many rows were looked at and which was the last,
// column 2 is a row's id, NULL when there is no row.
static size_t page_count(const PGresult *r, unsigned limit, struct id *out_next)
{
    size_t rows = PQntuples(r) == 0 || PQgetisnull(r, 0, 2) ? 0 : (size_t)PQntuples(r);
    *out_next = (struct id){0};
    if (rows > limit)
        *out_next = col_id(r, (int)limit - 1, 2);
    else if (PQntuples(r) > 0 && col_int(r, 0, 0) == SCAN_MAX)
        *out_next = col_id(r, 0, 1);
    return rows > limit ? limit : rows;
}

// ---- accounts

static void on_accounts(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_accounts_list *c = (struct store_accounts_list *)only;
    size_t count = page_count(r, c->limit, &c->next);
    (void)f;
    c->out = ARENA_ARRAY(only->arena, struct account_row, count + 1);
    c->out_count = c->out == NULL ? 0 : count;
    if (c->out == NULL) only->flags |= CMD_FULL;
    for (size_t i = 0; i < c->out_count; i++) account_row_read(&c->out[i], r, (int)i, 2, only);
}

void accounts_list_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_ACCOUNTS_LIST, &at)) != NULL;) {
        struct store_accounts_list *c = (struct store_accounts_list *)cmd;
        struct params p;
        char sql[SQL_MAX];
        c->out_count = 0;
        params_init(&p);
        params_id(&p, id_is_zero(&c->before) ? &newest : &c->before);
        params_int(&p, (int64_t)c->limit + 1);
        params_int(&p, c->status);
        params_text(&p, c->tenant);
        params_text(&p, c->eab_kid);
        // What is not asked for is not in the statement, so that an index serves it.
        snprintf(sql, sizeof sql,
                 "WITH s AS MATERIALIZED (SELECT a.* FROM accounts a WHERE a.id < $1%s%s ORDER BY "
                 "a.id DESC LIMIT %d), "
                 "m AS (SELECT * FROM s WHERE $3 = 0 OR s.status = $3 ORDER BY s.id DESC LIMIT $2) "
                 "SELECT (SELECT count(*) FROM s), (SELECT s.id FROM s ORDER BY s.id LIMIT "
                 "1), " ACCOUNT_COLUMNS
                 " FROM (SELECT 1) one LEFT JOIN m a ON true ORDER BY a.id DESC",
                 c->tenant.n > 0 ? " AND a.tenant = $4" : "",
                 c->eab_kid.n > 0 ? " AND a.eab_kid = $5 AND a.eab_kid <> ''" : "", SCAN_MAX);
        flush_add_only(f, &p, on_accounts, cmd, sql);
    }
}

// ---- certificates

static void certificate_read(struct certificate_row *out, const PGresult *r, int i,
                             struct store_cmd *cmd)
{
    *out = (struct certificate_row){.order = col_id(r, i, 2),
                                    .account = col_id(r, i, 3),
                                    .tenant = col_dup(r, i, 4, cmd),
                                    .profile = col_dup(r, i, 5, cmd),
                                    .identifiers = col_dup(r, i, 6, cmd),
                                    .issuer = (uint16_t)col_int(r, i, 8),
                                    .not_before = col_int(r, i, 9),
                                    .not_after = col_int(r, i, 10),
                                    .der = col_dup(r, i, 11, cmd)};
    struct slice serial = col_bytes(r, i, 7);
    if (serial.n == SERIAL_LEN) memcpy(out->serial, serial.p, SERIAL_LEN);
}

static void on_certificates(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_certificates_list *c = (struct store_certificates_list *)only;
    size_t count = page_count(r, c->limit, &c->next);
    (void)f;
    c->out = ARENA_ARRAY(only->arena, struct certificate_row, count + 1);
    c->out_count = c->out == NULL ? 0 : count;
    if (c->out == NULL) only->flags |= CMD_FULL;
    for (size_t i = 0; i < c->out_count; i++) certificate_read(&c->out[i], r, (int)i, only);
}

// order_first is the oldest id that an order of a certificate of this time can have: an order is
// finalized within its life, a week at most.
static struct id order_first(int64_t not_before)
{
    static const uint8_t zero[10];
    int64_t at = not_before - 8 * 86400;
    return at <= 0 ? (struct id){0} : id_make((uint64_t)at * 1000, 0, zero);
}

// names_put is the identifier that is asked for in the form in which orders keep theirs; empty:
// any.
static void identifier_put(struct flush *f, struct params *p, const struct identifier *id)
{
    struct buf b;
    buf_init(&b, DNS_NAME_LEN_MAX + 16);
    if (id->value.n > 0 && failed(identifiers_encode(&b, id, 1))) f->unsent = true;
    params_bytes(p, buf_slice(&b));
    buf_fini(&b);
}

static const char certificates_sql[] =
    "WITH s AS MATERIALIZED (SELECT o.* FROM orders o WHERE o.id < $1 AND o.id >= $2%s%s ORDER BY "
    "o.id DESC LIMIT %d), "
    "m AS (SELECT s.*, c.issuer, c.not_before AS nb, c.not_after AS na, %s AS der FROM s JOIN "
    "certificates c ON c.serial = s.serial WHERE s.serial IS NOT NULL AND ($4 = '' OR s.tenant = "
    "$4) AND ($5 = '' OR s.profile = $5) AND (length($6) = 0 OR position($6 IN s.identifiers) > 0) "
    "AND ($7 = 0 OR c.not_before >= $7) AND ($8 = 0 OR c.not_before < $8) ORDER BY s.id DESC LIMIT "
    "$3) "
    "SELECT (SELECT count(*) FROM s), (SELECT s.id FROM s ORDER BY s.id LIMIT 1), m.id, m.account, "
    "m.tenant, m.profile, m.identifiers, m.serial, m.issuer::bigint, m.nb, m.na, m.der FROM "
    "(SELECT 1) one LEFT JOIN m ON true ORDER BY m.id DESC";

void certificates_list_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_CERTIFICATES_LIST, &at)) != NULL;) {
        struct store_certificates_list *c = (struct store_certificates_list *)cmd;
        struct params p;
        struct id first = order_first(c->issued_from);
        char sql[SQL_MAX];
        bool of_account = !id_is_zero(&c->account);
        c->out_count = 0;
        params_init(&p);
        params_id(&p, id_is_zero(&c->before) ? &newest : &c->before);
        params_id(&p, &first);
        params_int(&p, (int64_t)c->limit + 1);
        params_text(&p, c->tenant);
        params_text(&p, c->profile);
        identifier_put(f, &p, &c->identifier);
        params_int(&p, c->issued_from);
        params_int(&p, c->issued_until);
        params_id(&p, &c->account);
        params_bytes(&p, slice_of(c->serial, c->by_serial ? SERIAL_LEN : 0));
        snprintf(sql, sizeof sql, certificates_sql, of_account ? " AND o.account = $9" : "",
                 c->by_serial
                     ? " AND o.id = (SELECT k.order_id FROM certificates k WHERE k.serial = $10)"
                     : "",
                 SCAN_MAX, c->with_der ? "c.der" : "''::bytea");
        flush_add_only(f, &p, on_certificates, cmd, sql);
    }
}

void store_accounts_list(struct store *s, struct store_accounts_list *c)
{
    store_queue(s, &c->cmd, CMD_ACCOUNTS_LIST);
}

void store_certificates_list(struct store *s, struct store_certificates_list *c)
{
    store_queue(s, &c->cmd, CMD_CERTIFICATES_LIST);
}
