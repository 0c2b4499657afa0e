// renewal_rules: rules that move windows, and what they are about. A rule is a row, and one more
// for each serial number where it names some: nothing is written to certificates.
#include <stdio.h>

#include "store/internal.h"

#define RULE_COLUMNS                                                                            \
    "w.id, w.tenant, w.profile, w.issuer::bigint, w.issued_from, w.issued_until, w.starts_at, " \
    "w.ends_at, w.comment, w.certificates, w.created_at, w.cancelled_at, w.keep_until, "        \
    "(SELECT count(*) FROM renewal_rule_serials s WHERE s.rule = w.id)"

static void rule_read(struct renewal_rule *out, const PGresult *r, int i, struct store_cmd *cmd)
{
    *out = (struct renewal_rule){.id = col_id(r, i, 0),
                                 .set = {.tenant = col_dup(r, i, 1, cmd),
                                         .profile = col_dup(r, i, 2, cmd),
                                         .issuer = (uint16_t)col_int(r, i, 3),
                                         .issued_from = col_int(r, i, 4),
                                         .issued_until = col_int(r, i, 5),
                                         .serial_count = (size_t)col_int(r, i, 13)},
                                 .starts_at = col_int(r, i, 6),
                                 .ends_at = col_int(r, i, 7),
                                 .comment = col_dup(r, i, 8, cmd),
                                 .certificates = col_int(r, i, 9),
                                 .created_at_us = col_int(r, i, 10),
                                 .cancelled_at_us = col_int(r, i, 11),
                                 .keep_until = col_int(r, i, 12)};
}

static int64_t until_of(const struct renewal_set *set)
{
    return set->issued_until == 0 ? INT64_MAX : set->issued_until;
}

static void serials_put(struct params *p, const struct renewal_set *set)
{
    size_t col = params_array(p, PG_BYTEA);
    for (size_t i = 0; i < set->serial_count; i++)
        params_put_bytes(p, col, slice_of(set->serials[i], SERIAL_LEN));
}

// ---- survey

static void on_surveyed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_renewal_survey *c = (struct store_renewal_survey *)only;
    (void)f;
    c->count = col_int(r, 0, 0);
    c->not_after = col_int(r, 0, 1);
    c->minute_max = col_int(r, 0, 2);
}

static void survey_send(struct flush *f, struct store_renewal_survey *c)
{
    struct params p;
    char leaf[LEAF_NAME_MAX], sql[1024];
    int64_t hour = c->after_hour;
    c->hour = 0;
    if (!leaf_set_next(&f->store->leaves, LEAF_CERTIFICATES, &hour)) return;
    c->hour = hour;
    params_init(&p);
    params_text(&p, c->set.tenant);
    params_text(&p, c->set.profile);
    params_int(&p, c->set.issuer);
    params_int(&p, c->set.issued_from);
    params_int(&p, until_of(&c->set));
    params_int(&p, (int64_t)c->set.serial_count);
    serials_put(&p, &c->set);
    leaf_name(leaf, LEAF_CERTIFICATES, hour);
    snprintf(sql, sizeof sql,
             "WITH m AS (SELECT count(*) AS n, count(*) FILTER (WHERE k) AS good, max(not_after) "
             "FILTER (WHERE k) AS last FROM (SELECT not_before, not_after, "
             "not_after >= now_us() / 1000000 AND $1 IN ('', tenant) AND $2 IN ('', profile) AND "
             "$3 IN (0, issuer) AND not_before BETWEEN $4 AND $5 AND ($6 = 0 OR serial = ANY($7)) "
             "AS k FROM %s) c GROUP BY not_before / 60) "
             "SELECT coalesce(sum(good), 0)::bigint, coalesce(max(last), 0), coalesce(max(n), 0) "
             "FROM m",
             leaf);
    flush_add_only(f, &p, on_surveyed, &c->cmd, sql);
}

void renewal_survey_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RENEWAL_SURVEY, &at)) != NULL;)
        survey_send(f, (struct store_renewal_survey *)cmd);
}

// ---- create

static void rule_create_send(struct flush *f, const struct renewal_rule *w)
{
    struct params p;
    params_init(&p);
    params_id(&p, &w->id);
    params_text(&p, w->set.tenant);
    params_text(&p, w->set.profile);
    params_int(&p, w->set.issuer);
    params_int(&p, w->set.issued_from);
    params_int(&p, until_of(&w->set));
    params_int(&p, w->starts_at);
    params_int(&p, w->ends_at);
    params_text(&p, w->comment);
    params_int(&p, w->certificates);
    params_int(&p, w->keep_until);
    serials_put(&p, &w->set);
    // What was issued later is new enough. A repeat finds its own rule.
    flush_add(f, &p, flush_nothing,
              "WITH w AS (INSERT INTO renewal_rules SELECT $1, $2, $3, $4, $5, least($6, now_us() "
              "/ 1000000), cardinality($12) > 0, $7, $8, $9, $10, now_us(), 0, $11 "
              "ON CONFLICT DO NOTHING RETURNING id) "
              "INSERT INTO renewal_rule_serials SELECT DISTINCT s, w.id FROM w, unnest($12) s "
              "ORDER BY s");
}

void renewal_rule_create_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RENEWAL_RULE_CREATE, &at)) != NULL;)
        rule_create_send(f, &((const struct store_renewal_rule_create *)cmd)->rule);
}

// ---- list

static void on_listed(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_renewal_rules_list *c = (struct store_renewal_rules_list *)only;
    (void)f;
    c->out_count = (size_t)PQntuples(r);
    c->out = ARENA_ARRAY(only->arena, struct renewal_rule, c->out_count + 1);
    if (c->out == NULL) {
        only->flags |= CMD_FULL;
        c->out_count = 0;
    }
    for (size_t i = 0; i < c->out_count; i++) rule_read(&c->out[i], r, (int)i, only);
}

void renewal_rules_list_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RENEWAL_RULES_LIST, &at)) != NULL;) {
        struct params p;
        params_init(&p);
        params_int(&p, RENEWAL_RULES_MAX);
        flush_add_only(f, &p, on_listed, cmd,
                       "SELECT " RULE_COLUMNS " FROM renewal_rules w ORDER BY w.id DESC LIMIT $1");
    }
}

// ---- cancel

static void on_cancelled(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    struct store_renewal_rule_cancel *c = (struct store_renewal_rule_cancel *)only;
    (void)f;
    c->found = PQntuples(r) == 1;
    if (c->found) rule_read(&c->out, r, 0, only);
}

void renewal_rule_cancel_send(struct flush *f)
{
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, CMD_RENEWAL_RULE_CANCEL, &at)) != NULL;) {
        const struct id *id = &((const struct store_renewal_rule_cancel *)cmd)->id;
        struct params p, q;
        params_init(&p);
        params_init(&q);
        params_id(&p, id);
        params_id(&q, id);
        flush_add(f, &p, flush_nothing,
                  "UPDATE renewal_rules SET cancelled_at = now_us() WHERE id = $1 AND cancelled_at "
                  "= 0");
        flush_add_only(f, &q, on_cancelled, cmd,
                       "SELECT " RULE_COLUMNS " FROM renewal_rules w WHERE w.id = $1");
    }
}

void store_renewal_survey(struct store *s, struct store_renewal_survey *c)
{
    c->hour = c->count = c->not_after = c->minute_max = 0;
    store_queue(s, &c->cmd, CMD_RENEWAL_SURVEY);
}

void store_renewal_rule_create(struct store *s, struct store_renewal_rule_create *c)
{
    store_queue(s, &c->cmd, CMD_RENEWAL_RULE_CREATE);
}

void store_renewal_rules_list(struct store *s, struct store_renewal_rules_list *c)
{
    store_queue(s, &c->cmd, CMD_RENEWAL_RULES_LIST);
}

void store_renewal_rule_cancel(struct store *s, struct store_renewal_rule_cancel *c)
{
    c->found = false;
    store_queue(s, &c->cmd, CMD_RENEWAL_RULE_CANCEL);
}
