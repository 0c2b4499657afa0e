#include "tests/unit/store/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/core/log.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "store/err.h"
#include "store/events.h"

struct pg pg;
static struct log *logger;
struct metrics *metrics;
struct shard *shard;
struct store *stores[STORES];
struct arena arena;
unsigned pending;

// ---- turning

static void on_done(struct store_cmd *cmd, struct err e)
{
    cmd->queued_ns = e.v; // nobody's any more
    cmd->flags = failed(e);
    pending--;
}

struct store_cmd cmd(void)
{
    pending++;
    return (struct store_cmd){.done = on_done, .arena = &arena};
}

struct err result(const struct store_cmd *c) { return (struct err){(uint32_t)c->queued_ns}; }

void run(void)
{
    for (int i = 0; pending > 0 && i < 20000; i++) shard_turn(shard, 5);
    assert_int_equal(pending, 0);
}

void turns(unsigned ms)
{
    shard_turn(shard, 0); // the clock is read once a turn
    uint64_t until = shard_now_ns(shard) + ms * 1000000ull;
    while (shard_now_ns(shard) < until) shard_turn(shard, 5);
}

struct id new_id(void)
{
    uint8_t random[10];
    struct timespec t;
    shard_random(shard, random, sizeof random);
    clock_gettime(CLOCK_REALTIME, &t);
    return id_make((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000, 0, random);
}

int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

struct account_row account_make(void)
{
    static const uint8_t spki[] = {0x30, 0x03, 1, 2, 3};
    struct store_account_create c = {.cmd = cmd(),
                                     .row = {.id = new_id(),
                                             .tenant = SLICE_LIT("default"),
                                             .status = ACCOUNT_VALID,
                                             .spki = slice_of(spki, sizeof spki),
                                             .contact = SLICE_LIT("[]"),
                                             .terms_agreed = true}};
    shard_random(shard, c.row.thumbprint, sizeof c.row.thumbprint);
    store_account_create(stores[0], &c);
    run();
    assert_false(c.cmd.flags);
    assert_true(c.created);
    return c.out;
}

struct store_order_create order_create_of(const struct order_made *m, struct authz_row authzs[4])
{
    for (size_t i = 0; i < m->authz_count; i++) {
        authzs[i] = (struct authz_row){.id = m->authzs[i],
                                       .account = m->account,
                                       .tenant = SLICE_LIT("default"),
                                       .identifier = {IDENTIFIER_DNS, SLICE_LIT("a.test")},
                                       .status = AUTHZ_PENDING,
                                       .challenges = CHALLENGE_HTTP_01,
                                       .expires_at_us = now_us() + 3600000000ll};
        memset(authzs[i].token, (int)i, 32);
    }
    return (struct store_order_create){
        .cmd = cmd(),
        .order = {.id = m->id,
                  .account = m->account,
                  .tenant = SLICE_LIT("default"),
                  .status = m->authz_count == 0 ? ORDER_READY : ORDER_PENDING,
                  .identifiers = SLICE_LIT("x"),
                  .authzs = (struct id *)(uintptr_t)m->authzs,
                  .authz_count = m->authz_count,
                  .authzs_pending = (uint32_t)m->authz_count,
                  .profile = SLICE_LIT("p"),
                  .expires_at_us = now_us() + 3600000000ll},
        .key_version = 1,
        .authzs = authzs,
        .authz_count = m->authz_count};
}

struct order_made order_make(const struct account_row *account, size_t authz_count)
{
    struct order_made m = {.account = account->id, .id = new_id(), .authz_count = authz_count};
    struct authz_row authzs[4];
    for (size_t i = 0; i < authz_count; i++) m.authzs[i] = new_id();
    struct store_order_create c = order_create_of(&m, authzs);
    store_order_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    assert_int_equal(c.outcome, ORDER_CREATED);
    return m;
}

struct store_authz_decide decision(const struct order_made *m, size_t i, bool valid)
{
    return (struct store_authz_decide){.cmd = cmd(),
                                       .id = m->authzs[i],
                                       .order = m->id,
                                       .to = valid ? AUTHZ_VALID : AUTHZ_INVALID,
                                       .by = CHALLENGE_HTTP_01,
                                       .error = valid ? SLICE_NONE : SLICE_LIT("{}"),
                                       .order_error = valid ? SLICE_NONE : SLICE_LIT("{}"),
                                       .valid_until_us = now_us() + 3600000000ll};
}

struct order_made order_ready(const struct account_row *account, size_t authz_count)
{
    struct order_made m = order_make(account, authz_count);
    struct store_authz_decide d[4];
    for (size_t i = 0; i < authz_count; i++) d[i] = decision(&m, i, true);
    for (size_t i = 0; i < authz_count; i++) store_authz_decide(stores[0], &d[i]);
    run();
    for (size_t i = 0; i < authz_count; i++) assert_true(d[i].decided);
    return m;
}

enum order_status status_of(const struct order_made *m)
{
    struct store_order_get g = {.cmd = cmd(), .id = m->id};
    store_order_get(stores[0], &g);
    run();
    assert_true(g.found);
    return g.out.status;
}

struct store_intent_create intent_of(const struct order_made *m, uint8_t salt)
{
    static struct identifier name = {IDENTIFIER_DNS, SLICE_LIT("a.test")};
    struct store_intent_create c = {.cmd = cmd(),
                                    .key_version = 1,
                                    .authzs = m->authzs,
                                    .authz_count = m->authz_count,
                                    .intent = {.order = m->id,
                                               .tenant = SLICE_LIT("default"),
                                               .account = m->account,
                                               .owner_boot = 7,
                                               .spki = SLICE_LIT("spki"),
                                               .names = &name,
                                               .name_count = 1,
                                               .profile = SLICE_LIT("p"),
                                               .issuer = 1,
                                               .not_before = now_us() / 1000000,
                                               .not_after = now_us() / 1000000 + 86399}};
    memset(c.intent.salt, salt, sizeof c.intent.salt);
    return c;
}

struct store_certificate_commit commit_of(const struct order_made *m, uint8_t last)
{
    struct store_certificate_commit c = {.cmd = cmd(),
                                         .order = m->id,
                                         .account = m->account,
                                         .tenant = SLICE_LIT("default"),
                                         .profile = SLICE_LIT("p"),
                                         .issuer = 1,
                                         .not_before = now_us() / 1000000,
                                         .not_after = now_us() / 1000000 + 86399,
                                         .der = SLICE_LIT("der")};
    int64_t hour = now_us() / 1000000 / 3600;
    shard_random(shard, c.serial, sizeof c.serial);
    c.serial[0] = (uint8_t)(hour >> 16);
    c.serial[1] = (uint8_t)(hour >> 8);
    c.serial[2] = (uint8_t)hour;
    c.serial[19] = last;
    return c;
}

struct order_made order_processing(const struct account_row *account)
{
    struct order_made m = order_ready(account, 1);
    struct store_intent_create c = intent_of(&m, 9);
    store_intent_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, INTENT_CREATED);
    return m;
}

// ---- SQL of the test's own

static PGconn *own;

PGconn *sql_open(void)
{
    PGconn *c = PQconnectdb(pg.conninfo);
    assert_int_equal(PQstatus(c), CONNECTION_OK);
    return c;
}

static PGresult *execute(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    return r;
}

// own_now is the connection of sql_run; PostgreSQL may have been restarted since the last time.
static PGconn *own_now(void)
{
    PGresult *r = own == NULL ? NULL : PQexec(own, "SELECT 1");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        PQfinish(own);
        own = sql_open();
    }
    PQclear(r);
    return own;
}

static void format(char out[4096], const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void format(char out[4096], const char *fmt, va_list ap)
{
    int n = vsnprintf(out, 4096, fmt, ap);
    assert_in_range(n, 1, 4095);
}

void sql_on(PGconn *c, const char *fmt, ...)
{
    char sql[4096];
    va_list ap;
    va_start(ap, fmt);
    format(sql, fmt, ap);
    va_end(ap);
    PQclear(execute(c, sql));
}

void sql_run(const char *fmt, ...)
{
    char sql[4096];
    va_list ap;
    va_start(ap, fmt);
    format(sql, fmt, ap);
    va_end(ap);
    PQclear(execute(own_now(), sql));
}

int64_t sql_int(const char *fmt, ...)
{
    char sql[4096];
    va_list ap;
    va_start(ap, fmt);
    format(sql, fmt, ap);
    va_end(ap);
    PGresult *r = execute(own_now(), sql);
    assert_int_equal(PQntuples(r), 1);
    int64_t v = atoll(PQgetvalue(r, 0, 0));
    PQclear(r);
    return v;
}

void waiters_want(int64_t count)
{
    for (int i = 0; i < 2000; i++) {
        turns(5);
        if (sql_int("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") ==
            count)
            return;
    }
    fail_msg("not %d backends wait for a lock", (int)count);
}

const char *uuid_text(char out[UUID_TEXT_SIZE], const struct id *id)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof id->b; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[n++] = '-';
        n += (size_t)snprintf(out + n, 3, "%02x", id->b[i]);
    }
    return out;
}

// ---- the group

const struct store_options options_usual = {
    .write_conns = 2, .batch_max = 64, .linger_us = 4000, .queue_max = 4096, .queue_age_ms = 1500};

void store_wait(const struct store *s)
{
    for (int i = 0; i < 4000 && !store_ready(s); i++) shard_turn(shard, 5);
    if (!store_ready(s)) fail_msg("the store is not ready: %s", store_state_text(s));
}

void state_want(const struct store *s, const char *text)
{
    for (int i = 0; i < 4000 && strstr(store_state_text(s), text) == NULL; i++)
        shard_turn(shard, 5);
    if (strstr(store_state_text(s), text) == NULL)
        fail_msg("not \"%s\": %s", text, store_state_text(s));
}

void unready_want(const struct store *s)
{
    for (int i = 0; i < 4000 && store_ready(s); i++) shard_turn(shard, 5);
    assert_false(store_ready(s));
}

void metric_want(const struct metric *m, int64_t least)
{
    for (int i = 0; i < 4000 && metric_total(metrics, m) < least; i++) shard_turn(shard, 5);
    assert_true(metric_total(metrics, m) >= least);
}

struct store *store_open(const char *conninfo, const struct store_options *changes)
{
    struct store_options o = changes == NULL ? options_usual : *changes;
    struct store *s = NULL;
    o.conninfo = conninfo;
    assert_ok(store_new(&s, shard, &o));
    store_wait(s);
    return s;
}

int fixture_setup_empty(void **state)
{
    (void)state;
    proto_err_register();
    cluster_err_register();
    store_err_register();
    cluster_metrics_declare();
    store_metrics_declare();
    arena_init(&arena, 1 << 26);
    if (!pg_init(&pg)) return -1;
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "test"};
    if (failed(log_new(&logger, &lo)) || failed(metrics_new(&metrics, 1))) return -1;
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .log = logger, .metrics = metrics, .name = "t"};
    return failed(shard_new(&shard, &so, 0)) ? -1 : 0;
}

int fixture_setup(void **state)
{
    char note[256] = "";
    int from, to;
    if (fixture_setup_empty(state) != 0) return -1;
    if (failed(store_migrate(pg.conninfo, &from, &to, note, sizeof note)))
        return fprintf(stderr, "%s\n", note), -1;
    for (int i = 0; i < STORES; i++) stores[i] = store_open(pg.conninfo, NULL);
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    for (int i = 0; i < STORES; i++) store_free(stores[i]);
    for (int i = 0; i < 10; i++) shard_turn(shard, 1);
    shard_free(shard);
    metrics_free(metrics);
    log_free(logger);
    arena_fini(&arena);
    PQfinish(own);
    own = NULL;
    pg_fini(&pg);
    return 0;
}
