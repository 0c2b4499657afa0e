// flush: commands sent as one transaction of array statements (writes) or as a group of array
// reads, and what becomes of them: done, tried again, halved to find a guilty row, or in doubt and
// resolved.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "store/events.h"
#include "store/internal.h"

enum { RETRY_MAX = 5, RETRY_MS = 3 };

static void (*const send_of[CMD_KIND_COUNT])(struct flush *f) = {
    [CMD_EAB_CREATE] = eab_create_send,
    [CMD_EAB_CHANGE] = eab_change_send,
    [CMD_ACCOUNT_CREATE] = account_create_send,
    [CMD_ACCOUNT_UPDATE] = account_update_send,
    [CMD_ACCOUNT_KEY_CHANGE] = account_key_change_send,
    [CMD_ORDER_CREATE] = order_create_send,
    [CMD_AUTHZ_CREATE] = authz_create_send,
    [CMD_AUTHZ_DECIDE] = authz_decide_send,
    [CMD_INTENT_CREATE] = intent_create_send,
    [CMD_CERTIFICATE_COMMIT] = certificate_commit_send,
    [CMD_ORDER_INVALIDATE] = order_invalidate_send,
    [CMD_INTENT_CLOSE] = intent_close_send,
    [CMD_REVOKE] = revoke_send,
    [CMD_CRL_COMMIT] = crl_commit_send,
    [CMD_INTENTS_CLAIM] = intents_claim_send,
    [CMD_NODE_HEARTBEAT] = node_heartbeat_send,
    [CMD_LEASE_TAKE] = lease_take_send,
    [CMD_ACCOUNT_GET] = account_get_send,
    [CMD_EAB_GET] = eab_get_send,
    [CMD_EAB_LIST] = eab_list_send,
    [CMD_ACCOUNTS_LIST] = accounts_list_send,
    [CMD_CERTIFICATES_LIST] = certificates_list_send,
    [CMD_ORDER_GET] = order_get_send,
    [CMD_ORDERS_LIST] = orders_list_send,
    [CMD_AUTHZ_GET] = authz_get_send,
    [CMD_CERTIFICATE_GET] = certificate_get_send,
    [CMD_RATE_TAKE] = rate_take_send,
    [CMD_RENEWAL_RULE_CREATE] = renewal_rule_create_send,
    [CMD_RENEWAL_RULE_CANCEL] = renewal_rule_cancel_send,
    [CMD_RENEWAL_GET] = renewal_get_send,
    [CMD_RENEWAL_SURVEY] = renewal_survey_send,
    [CMD_RENEWAL_RULES_LIST] = renewal_rules_list_send,
    [CMD_INTENT_GET] = intent_get_send,
    [CMD_REVOCATION_GET] = revocation_get_send,
    [CMD_CRLS_DUE] = crls_due_send,
    [CMD_CRL_ENTRIES] = crl_entries_send,
    [CMD_CRL_GET] = crl_get_send,
};

// ---- statements

static void statement_add(struct flush *f, struct params *p, struct step step, const char *sql)
{
    if (f->unsent || f->step_count == STEPS_MAX || !conn_add(f->conn, sql, p))
        f->unsent = true;
    else
        f->steps[f->step_count++] = step;
    params_fini(p);
}

void flush_add(struct flush *f, struct params *p,
               void (*result)(struct flush *f, const PGresult *r, struct store_cmd *only),
               const char *fmt, ...)
{
    char sql[SQL_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof sql) f->unsent = true;
    statement_add(f, p, (struct step){result, NULL}, sql);
}

void flush_add_only(struct flush *f, struct params *p,
                    void (*result)(struct flush *f, const PGresult *r, struct store_cmd *only),
                    struct store_cmd *only, const char *sql)
{
    statement_add(f, p, (struct step){result, only}, sql);
}

void flush_nothing(struct flush *f, const PGresult *r, struct store_cmd *only)
{
    (void)f;
    (void)r;
    (void)only;
}

static void plain(struct flush *f, const char *sql)
{
    struct params p;
    params_init(&p);
    flush_add_only(f, &p, flush_nothing, NULL, sql);
}

struct store_cmd *flush_each(struct flush *f, enum cmd_kind kind, size_t *at)
{
    while (*at < f->count) {
        struct store_cmd *cmd = f->cmds[(*at)++];
        if (cmd->kind == kind) return cmd;
    }
    return NULL;
}

bool flush_is_first(const struct flush *f, const struct store_cmd *cmd,
                    const struct id *(*id_of)(const struct store_cmd *cmd))
{
    for (size_t i = 0; i < f->count && f->cmds[i] != cmd; i++)
        if (f->cmds[i]->kind == cmd->kind && id_eq(id_of(f->cmds[i]), id_of(cmd))) return false;
    return true;
}

bool flush_leaf_next(struct flush *f, enum cmd_kind kind,
                     int64_t (*key_of)(const struct store_cmd *cmd), int64_t *key)
{
    bool found = false;
    int64_t best = 0;
    size_t at = 0;
    for (struct store_cmd *cmd; (cmd = flush_each(f, kind, &at)) != NULL;) {
        int64_t k = key_of(cmd);
        if (k <= *key || (found && k >= best)) continue;
        best = k;
        found = true;
    }
    if (found) *key = best;
    return found;
}

// ---- locks: every order, account and external account binding key that a flush will change, in
// this order, each in that of its keys, before anything is decided: the next statement then decides
// on a snapshot that is newer than any wait (design.md section 4)

static const struct id *order_changed(const struct store_cmd *cmd)
{
    switch ((enum cmd_kind)cmd->kind) {
    case CMD_AUTHZ_DECIDE:
        return &((const struct store_authz_decide *)cmd)->order;
    case CMD_INTENT_CREATE:
        return &((const struct store_intent_create *)cmd)->intent.order;
    case CMD_CERTIFICATE_COMMIT:
        return &((const struct store_certificate_commit *)cmd)->order;
    case CMD_ORDER_INVALIDATE:
        return &((const struct store_order_invalidate *)cmd)->order;
    case CMD_INTENT_CLOSE:
        return &((const struct store_intent_close *)cmd)->order;
    default:
        return NULL;
    }
}

static const struct id *account_changed(const struct store_cmd *cmd)
{
    switch ((enum cmd_kind)cmd->kind) {
    case CMD_ACCOUNT_UPDATE:
        return &((const struct store_account_update *)cmd)->id;
    case CMD_ACCOUNT_KEY_CHANGE:
        return &((const struct store_account_key_change *)cmd)->id;
    default:
        return NULL;
    }
}

static int id_ptr_cmp(const void *a, const void *b)
{
    return id_cmp(*(const struct id *const *)a, *(const struct id *const *)b);
}

// changed collects the ids that `id_of` gives, in order.
static size_t changed(const struct flush *f, const struct id *ids[BATCH_MAX],
                      const struct id *(*id_of)(const struct store_cmd *cmd))
{
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        if ((ids[count] = id_of(f->cmds[i])) != NULL) count++;
    qsort(ids, count, sizeof *ids, id_ptr_cmp);
    return count;
}

static void account_locks_send(struct flush *f)
{
    const struct id *ids[BATCH_MAX];
    size_t count = changed(f, ids, account_changed);
    struct params p;
    if (count == 0) return;
    params_init(&p);
    size_t c = params_array(&p, PG_UUID);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !id_eq(ids[i], ids[i - 1])) params_put_id(&p, c, ids[i]);
    flush_add(f, &p, flush_nothing,
              "SELECT FROM accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE");
}

static void order_locks_send(struct flush *f)
{
    const struct id *ids[BATCH_MAX];
    size_t count = changed(f, ids, order_changed);
    for (size_t i = 0; i < count;) {
        int64_t leaf = leaf_of_id(LEAF_ORDERS, ids[i]);
        struct params p;
        char name[LEAF_NAME_MAX];
        params_init(&p);
        size_t c = params_array(&p, PG_UUID);
        for (size_t from = i; i < count && leaf_of_id(LEAF_ORDERS, ids[i]) == leaf; i++)
            if (i == from || !id_eq(ids[i], ids[i - 1])) params_put_id(&p, c, ids[i]);
        leaf_name(name, LEAF_ORDERS, leaf);
        if (leaves_have(f->store, LEAF_ORDERS, leaf))
            flush_add(f, &p, flush_nothing,
                      "SELECT FROM %s WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", name);
        else
            params_fini(&p);
    }
}

static void locks_send(struct flush *f)
{
    order_locks_send(f);
    account_locks_send(f);
    eab_locks_send(f);
}

// ---- sending

static void on_done(struct conn_group *g, enum conn_ended ended, const char *sqlstate);

void flush_result(struct conn_group *g, unsigned statement, const PGresult *r)
{
    struct flush *f = LIST_OWNER(g, struct flush, group);
    if (statement < f->step_count) f->steps[statement].result(f, r, f->steps[statement].only);
}

void flush_send(struct flush *f, struct conn *c)
{
    struct store *s = f->store;
    f->conn = c;
    f->step_count = 0;
    f->unsent = false;
    f->sent_us = shard_wall_us(s->shard);
    f->group = (struct conn_group){.result = flush_result, .done = on_done};
    *(f->read ? &s->in_flight_reads : &s->in_flight_writes) += 1;
    for (size_t i = 0; i < f->count; i++) f->cmds[i]->flags = CMD_SENT;
    conn_begin(c, &f->group);
    if (!f->read) plain(f, "BEGIN");
    // In doubt: what is found is let out only after a write of our own that the standbys have,
    // even where everything is there already and nothing else is written.
    if (f->in_doubt) plain(f, "SELECT pg_logical_emit_message(true, 'certmill', '')");
    if (!f->read) locks_send(f);
    for (int k = 0; k < CMD_KIND_COUNT; k++) {
        size_t at = 0;
        if (flush_each(f, (enum cmd_kind)k, &at) != NULL) send_of[k](f);
    }
    if (!f->read) plain(f, "COMMIT");
    conn_submit(c);
    if (f->unsent) conn_reset(c, "a statement was too large"); // ends the group as lost
}

struct flush *flush_new(struct store *s, bool read)
{
    struct flush *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->store = s;
    f->read = read;
    list_init(&f->node);
    return f;
}

static void flush_free(struct flush *f)
{
    timer_cancel(&f->again);
    free(f);
}

void flush_end(struct flush *f, struct err e)
{
    for (size_t i = 0; i < f->count; i++) {
        bool full = !failed(e) && f->cmds[i]->flags & CMD_FULL;
        store_cmd_end(f->store, f->cmds[i], full ? ERR(NO_SPACE) : e);
    }
    flush_free(f);
}

// ---- and again

static void on_again(struct timer *t)
{
    struct flush *f = LIST_OWNER(t, struct flush, again);
    turn_hook_arm(f->store->shard, &f->store->pump);
}

// flush_again puts it into the queue of those to be sent again, with jitter: two that met in a
// deadlock do not meet again.
static void flush_again(struct flush *f, unsigned delay_ms)
{
    struct store *s = f->store;
    uint8_t jitter;
    shard_random(s->shard, &jitter, 1);
    delay_ms += delay_ms * jitter / 128;
    f->due_ns = shard_now_ns(s->shard) + (uint64_t)delay_ms * 1000000;
    f->again.fire = on_again;
    list_push_back(&s->resend, &f->node);
    timer_set(s->shard, &f->again, delay_ms + 1);
}

static void count(const struct flush *f, const struct metric *metric)
{
    struct shard *shard = f->store->shard;
    metric_add(shard_metrics(shard), shard_index(shard), metric, 1);
}

// flush_halve sends both halves on their own, so that only the guilty row is refused.
static void flush_halve(struct flush *f)
{
    struct flush *other = flush_new(f->store, f->read);
    if (other == NULL) {
        flush_end(f, ERR(STORE_BUSY));
        return;
    }
    size_t half = f->count / 2;
    memcpy(other->cmds, f->cmds + half, (f->count - half) * sizeof *f->cmds);
    other->count = f->count - half;
    f->count = half;
    other->in_doubt = f->in_doubt;
    f->attempts = 0;
    count(f, &METRIC_STORE_BISECTIONS);
    flush_again(f, 0);
    flush_again(other, 0);
}

static void refuse_row(struct flush *f, const char *sqlstate, const char *text)
{
    LOG(shard_log(f->store->shard), &EVENT_STORE_ROW_REFUSED, text, LOG_STR("sqlstate", sqlstate),
        LOG_INT("kind", f->cmds[0]->kind));
    flush_end(f, ERR(STORE_DATA));
}

// is_transient: it may go through when repeated: serialization failure, deadlock, lock timeout,
// object in use, and shortages (53: connections, memory, disk; 58: the host's files; XX: internal).
static bool is_transient(const char *sqlstate)
{
    static const char *const states[] = {"40", "55P03", "55006", "53", "58", "XX"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strncmp(sqlstate, states[i], strlen(states[i])) == 0) return true;
    return false;
}

static void on_refused(struct flush *f, const char *sqlstate)
{
    bool no_table = strcmp(sqlstate, "42P01") == 0; // a leaf was dropped under us
    if (no_table) f->store->leaves_stale = true;
    if (!no_table && !is_transient(sqlstate)) {
        if (f->count > 1)
            flush_halve(f);
        else
            refuse_row(f, sqlstate, conn_text(f->conn));
        return;
    }
    if (f->attempts++ < RETRY_MAX) {
        count(f, &METRIC_STORE_RETRIES);
        flush_again(f, (no_table ? 10 : RETRY_MS) << f->attempts);
        return;
    }
    LOG(shard_log(f->store->shard), &EVENT_STORE_RETRIES_OVER, conn_text(f->conn),
        LOG_STR("sqlstate", sqlstate), LOG_INT("commands", f->count));
    flush_end(f, ERR(STORE_BUSY));
}

// on_lost: whether it was committed is unknown. Every command is a compare-and-set by key: sent
// again behind a synchronous write it finds its own work, or does it now (design.md section 4,
// in-doubt commits). It is not given up while it is in doubt.
static void on_lost(struct flush *f)
{
    if (f->unsent && f->count > 1) {
        flush_halve(f);
    } else if (f->unsent) {
        refuse_row(f, "", "the command is too large for a statement");
    } else {
        if (!f->read && !f->in_doubt) {
            count(f, &METRIC_STORE_IN_DOUBT);
            LOG(shard_log(f->store->shard), &EVENT_STORE_IN_DOUBT, conn_text(f->conn),
                LOG_INT("commands", f->count));
        }
        f->in_doubt |= !f->read;
        flush_again(f, RETRY_MS);
    }
}

static void on_done(struct conn_group *g, enum conn_ended ended, const char *sqlstate)
{
    struct flush *f = LIST_OWNER(g, struct flush, group);
    struct store *s = f->store;
    bool read = f->read;
    *(read ? &s->in_flight_reads : &s->in_flight_writes) -= 1;
    turn_hook_arm(s->shard, &s->pump);
    if (ended == CONN_ENDED_LOST) {
        on_lost(f);
    } else if (ended == CONN_ENDED_REFUSED) {
        on_refused(f, sqlstate);
    } else {
        count(f, read ? &METRIC_STORE_FLUSHES_READ : &METRIC_STORE_FLUSHES_WRITE);
        s->flush_count += !read;
        flush_end(f, OK);
    }
}
