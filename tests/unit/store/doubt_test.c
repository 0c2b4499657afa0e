// doubt: commits whose answer is lost, wherever it is cut, and servers that go away in between:
// every command ends with what really happened, and it happened once (reliability.md 3.1, F05,
// F09).
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/err.h"
#include "store/events.h"
#include "store/internal.h"
#include "tests/support/cutter.h"
#include "tests/unit/store/fixture.h"

enum { MANY = 64, TAIL = 72, STRIDE = 151 };

static struct cutter cutter;
static struct store *cut; // through the cutter, one connection for writes

static int64_t metric(const struct metric *m) { return metric_total(metrics, m); }

// ---- one flush with a command of every kind that writes

struct all {
    struct account_row account, updated, rekeyed;
    struct order_made made, decided, intended, committed, invalidated, closed, revoked;
    struct authz_row authzs[4];
    struct eab_row keys[3]; // of the account, to be made, to be rotated
    struct store_eab_create e;
    struct store_eab_change r;
    struct store_account_create a;
    struct store_account_update u;
    struct store_account_key_change k;
    struct store_order_create o;
    struct store_authz_decide d[2];
    struct store_intent_create i;
    struct store_certificate_commit c, issued;
    struct store_revoke w;
    struct store_order_invalidate v;
    struct store_intent_close n;
    struct store_lease_take l;
    struct store_node_heartbeat h;
};

static struct eab_row key_of(void)
{
    static char kids[4096][8];
    static unsigned count;
    char *kid = kids[count++ % COUNT_OF(kids)];
    snprintf(kid, sizeof kids[0], "k%u", count);
    return (struct eab_row){.tenant = SLICE_LIT("default"),
                            .kid = slice_str(kid),
                            .id = new_id(),
                            .status = EAB_ENABLED,
                            .algorithms = EAB_HS256,
                            .secret = SLICE_LIT("first"),
                            .accounts_max = 1,
                            .identifiers = SLICE_LIT("[]"),
                            .profiles = SLICE_LIT("[]")};
}

// all_prepare makes what the commands are about, on a store that is never cut.
static void all_prepare(struct all *x)
{
    x->account = account_make();
    x->updated = account_make();
    x->rekeyed = account_make();
    x->made = (struct order_made){
        .account = x->account.id, .id = new_id(), .authzs = {new_id()}, .authz_count = 1};
    x->decided = order_make(&x->account, 2);
    x->intended = order_ready(&x->account, 1);
    x->committed = order_processing(&x->account);
    x->invalidated = order_processing(&x->account);
    x->closed = order_processing(&x->account);
    x->revoked = order_processing(&x->account);
    x->issued = commit_of(&x->revoked, 5);
    x->issued.crl_shard = 64;
    store_certificate_commit(stores[0], &x->issued);
    struct store_order_invalidate v = {
        .cmd = cmd(), .order = x->closed.id, .error = SLICE_LIT("{}")};
    store_order_invalidate(stores[0], &v);
    run();
    assert_true(v.done_now);
    for (size_t k = 0; k < 3; k++) x->keys[k] = key_of();
    struct store_eab_create e = {.cmd = cmd(), .rows = x->keys, .count = 1}, l = e;
    l.cmd = cmd();
    l.rows = &x->keys[2];
    store_eab_create(stores[0], &e);
    store_eab_create(stores[0], &l);
    run();
    assert_int_equal(e.conflict + l.conflict, 0);
}

static void all_send(struct all *x, struct store *s)
{
    x->a = (struct store_account_create){.cmd = cmd(), .row = x->account};
    x->a.row.id = new_id();
    x->a.row.eab_kid = x->keys[0].kid;
    x->a.eab_secret = x->keys[0].secret;
    x->e = (struct store_eab_create){.cmd = cmd(), .rows = &x->keys[1], .count = 1};
    x->r = (struct store_eab_change){
        .cmd = cmd(), .row = x->keys[2], .what = EAB_SET_SECRET, .overlap_us = 60000000};
    x->r.row.secret = SLICE_LIT("second");
    shard_random(shard, x->a.row.thumbprint, sizeof x->a.row.thumbprint);
    x->u = (struct store_account_update){.cmd = cmd(),
                                         .id = x->updated.id,
                                         .key_version = 1,
                                         .deactivate = true,
                                         .set_contact = true,
                                         .contact = SLICE_LIT("[\"mailto:a@b.test\"]")};
    x->k = (struct store_account_key_change){
        .cmd = cmd(), .id = x->rekeyed.id, .key_version = 1, .spki = SLICE_LIT("0spki")};
    shard_random(shard, x->k.thumbprint, sizeof x->k.thumbprint);
    x->o = order_create_of(&x->made, x->authzs);
    x->i = intent_of(&x->intended, 3);
    x->c = commit_of(&x->committed, 4);
    x->v = (struct store_order_invalidate){
        .cmd = cmd(), .order = x->invalidated.id, .error = SLICE_LIT("{\"detail\":\"gone\"}")};
    x->n = (struct store_intent_close){
        .cmd = cmd(), .order = x->closed.id, .has_burned = true, .burned_serial = {7, 7, 7, 8}};
    x->w = (struct store_revoke){.cmd = cmd(), .reason = 4};
    memcpy(x->w.serial, x->issued.serial, SERIAL_LEN);
    x->l = (struct store_lease_take){
        .cmd = cmd(), .name = SLICE_LIT("x"), .node = x->account.id, .boot = 5, .ttl_ms = 1};
    x->h = (struct store_node_heartbeat){
        .cmd = cmd(), .self = {.node = x->account.id, .boot = 5}, .keep_ms = 60000};
    store_eab_create(s, &x->e);
    store_eab_change(s, &x->r);
    store_account_create(s, &x->a);
    store_account_update(s, &x->u);
    store_account_key_change(s, &x->k);
    store_order_create(s, &x->o);
    for (size_t k = 0; k < 2; k++) {
        x->d[k] = decision(&x->decided, k, true);
        store_authz_decide(s, &x->d[k]);
    }
    store_intent_create(s, &x->i);
    store_certificate_commit(s, &x->c);
    store_order_invalidate(s, &x->v);
    store_intent_close(s, &x->n);
    store_revoke(s, &x->w);
    store_lease_take(s, &x->l);
    store_node_heartbeat(s, &x->h);
}

// all_check: what the commands say, and what is there.
static void all_check(const struct all *x)
{
    char id[UUID_TEXT_SIZE];
    const struct store_cmd *cmds[] = {&x->e.cmd, &x->r.cmd,    &x->a.cmd,    &x->u.cmd, &x->k.cmd,
                                      &x->o.cmd, &x->d[0].cmd, &x->d[1].cmd, &x->i.cmd, &x->c.cmd,
                                      &x->v.cmd, &x->n.cmd,    &x->l.cmd,    &x->h.cmd, &x->w.cmd};
    for (size_t k = 0; k < COUNT_OF(cmds); k++) assert_ok(result(cmds[k]));
    assert_true(x->a.created);
    assert_int_equal(x->e.conflict, 0);
    assert_true(x->r.found);
    assert_slice_str(x->r.out.secret, "second");
    assert_slice_str(x->r.out.previous, "first");
    assert_int_equal(sql_int("SELECT accounts_used FROM eab_keys WHERE kid = '%.*s'",
                             (int)x->keys[0].kid.n, (const char *)x->keys[0].kid.p),
                     1);
    assert_int_equal(x->u.outcome, ACCOUNT_CHANGED);
    assert_int_equal(x->u.out.status, ACCOUNT_DEACTIVATED);
    assert_true(slice_eq(x->u.out.contact, x->u.contact));
    assert_int_equal(x->k.outcome, ACCOUNT_CHANGED);
    assert_int_equal(x->k.out.key_version, 2);
    uuid_text(id, &x->rekeyed.id);
    assert_int_equal(sql_int("SELECT count(*) FROM account_keys WHERE account = '%s'", id), 1);
    assert_int_equal(x->o.outcome, ORDER_CREATED);
    assert_true(x->d[0].decided && x->d[1].decided);
    assert_int_equal(x->i.outcome, INTENT_CREATED);
    assert_true(x->c.won);
    assert_true(x->v.done_now);
    assert_true(x->n.closed);
    assert_true(x->h.out_count > 0);
    assert_int_equal(x->w.outcome, REVOCATION_MADE); // by itself, also when it is a repeat
    assert_int_equal(
        sql_int("SELECT count(*) FROM revocations WHERE tag = %lld", (long long)x->w.tag), 1);
    assert_int_equal(status_of(&x->made), ORDER_PENDING);
    assert_int_equal(status_of(&x->decided), ORDER_READY);
    assert_int_equal(status_of(&x->intended), ORDER_PROCESSING);
    assert_int_equal(status_of(&x->committed), ORDER_VALID);
    assert_int_equal(status_of(&x->invalidated), ORDER_INVALID);
    uuid_text(id, &x->decided.id);
    assert_int_equal(sql_int("SELECT authzs_pending FROM orders WHERE id = '%s'", id), 0);
    uuid_text(id, &x->committed.id);
    assert_int_equal(sql_int("SELECT count(*) FROM certificates WHERE order_id = '%s'", id), 1);
    uuid_text(id, &x->intended.id);
    assert_int_equal(sql_int("SELECT count(*) FROM intents_open WHERE order_id = '%s'", id), 1);
    uuid_text(id, &x->closed.id);
    assert_int_equal(sql_int("SELECT count(*) FROM intents_open WHERE order_id = '%s'", id), 0);
    assert_int_equal(sql_int("SELECT count(*) FROM intents WHERE order_id = '%s' AND "
                             "substr(burned_serial, 1, 4) = '\\x07070708'",
                             id),
                     1);
}

// cut_once runs one flush of everything whose answer (or request) ends after so many bytes.
static void cut_once(bool answer, long bytes)
{
    struct all x;
    store_wait(cut);
    all_prepare(&x);
    if (answer)
        cutter_answer(&cutter, bytes);
    else
        cutter_request(&cutter, bytes);
    all_send(&x, cut);
    run();
    all_check(&x);
    cutter_request(&cutter, -1);
}

static void an_answer_may_end_at_any_byte(void **state)
{
    (void)state;
    cut_once(true, 0);  // so that the next connection has nothing prepared
    cut_once(true, -1); // how long is the whole answer?
    long whole = cutter_answered(&cutter);
    assert_true(whole > TAIL);
    int64_t doubts = metric(&METRIC_STORE_IN_DOUBT);
    unsigned cuts = 0;
    for (long n = 1; n < whole - TAIL; n += STRIDE, cuts++) cut_once(true, n);
    // COMMIT's answer and the sync, byte by byte.
    for (long n = whole - TAIL; n <= whole; n++, cuts++) cut_once(true, n);
    assert_true(metric(&METRIC_STORE_IN_DOUBT) - doubts >= (int64_t)cuts - 2);
}

static void a_request_may_end_at_any_byte(void **state)
{
    (void)state;
    for (long n = 0; n < 9000; n += 487) cut_once(false, n);
}

// ---- a server that crashes or stops

static void a_crash_at_any_moment_loses_nothing(void **state)
{
    (void)state;
    struct account_row a = account_make();
    for (int round = 0; round < 4; round++) {
        static struct order_made m[MANY];
        static struct store_intent_create c[MANY];
        for (int i = 0; i < MANY; i++) m[i] = order_ready(&a, 1);
        for (int i = 0; i < MANY; i++) {
            c[i] = intent_of(&m[i], (uint8_t)(round + 1));
            store_intent_create(stores[0], &c[i]);
            if (i % 16 == 15) shard_turn(shard, 0);
        }
        for (int i = 0; i < round; i++) shard_turn(shard, 0);
        pg_stop(&pg, SIGKILL);
        turns(20);
        assert_true(pg_start(&pg));
        run();
        store_wait(stores[0]);
        for (int i = 0; i < MANY; i++) {
            if (c[i].cmd.flags)
                assert_err(result(&c[i].cmd), ERR_STORE_AWAY); // was never sent
            else
                assert_int_equal(c[i].outcome, INTENT_CREATED);
            assert_int_equal(status_of(&m[i]), c[i].cmd.flags ? ORDER_READY : ORDER_PROCESSING);
        }
    }
}

// The role of a server may be taken away in the middle: it says so, and is asked again later.
static void a_server_that_takes_no_writes_is_left(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 1);
    struct store *s = store_open(pg.conninfo, NULL);
    sql_run("ALTER SYSTEM SET default_transaction_read_only = on");
    sql_run("SELECT pg_reload_conf()");
    turns(200);
    struct store_authz_decide d = decision(&m, 0, true);
    store_authz_decide(s, &d);
    state_want(s, "takes no writes");
    turns(200);
    assert_int_equal(pending, 1); // was sent, so it is neither done nor given up
    assert_false(store_ready(s));
    sql_run("ALTER SYSTEM RESET default_transaction_read_only");
    sql_run("SELECT pg_reload_conf()");
    run();
    assert_ok(result(&d.cmd));
    assert_true(d.decided);
    store_free(s);
    for (int i = 0; i < STORES; i++) store_wait(stores[i]);
}

// ---- a standby that does not answer

// standby_missed returns once a commit waits for the standby: a reload takes its time. The commit
// of this test's own goes on to wait until none is required.
static void standby_missed(void)
{
    PGconn *c = sql_open();
    int pid = PQbackendPID(c);
    for (int i = 0; i < 2000; i++) {
        if (!PQisBusy(c)) { // the last one did not wait
            for (PGresult *r; (r = PQgetResult(c)) != NULL;) PQclear(r);
            assert_int_equal(PQsendQuery(c, "SELECT pg_logical_emit_message(true, 't', '')"), 1);
        }
        turns(10);
        assert_int_equal(PQconsumeInput(c), 1);
        if (sql_int("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = "
                    "'SyncRep'",
                    pid) == 1) {
            PQfinish(c);
            return;
        }
    }
    fail_msg("no commit waits for the standby");
}

static void standby_require(const char *names)
{
    sql_run("SET synchronous_commit = local");
    sql_run("ALTER SYSTEM SET synchronous_standby_names = '%s'", names);
    sql_run("SELECT pg_reload_conf()");
    if (names[0] != 0) standby_missed();
}

// waiting_want turns until a backend waits for its standby, and does `what` to it.
static void waiting_want(const char *what)
{
    for (int i = 0; i < 2000; i++) {
        turns(10);
        if (sql_int("SELECT count(%s(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND "
                    "application_name = 'certmill'",
                    what) > 0)
            return;
    }
    fail_msg("nobody waits for the standby");
}

// PostgreSQL answers COMMIT when the wait is cancelled, with a warning; or ends the connection when
// the backend is told to go. Both times the row is there, and perhaps nowhere else.
static void a_commit_that_no_standby_confirmed_is_in_doubt(void **state)
{
    (void)state;
    static const char *const whats[] = {"pg_cancel_backend", "pg_terminate_backend"};
    struct account_row a = account_make();
    for (size_t k = 0; k < COUNT_OF(whats); k++) {
        char id[UUID_TEXT_SIZE];
        struct order_made m = {.account = a.id, .id = new_id()};
        struct authz_row none[4];
        int64_t doubts = metric(&METRIC_STORE_IN_DOUBT);
        standby_require("nobody");
        struct store_order_create c = order_create_of(&m, none);
        store_order_create(stores[0], &c);
        waiting_want(whats[k]);
        metric_want(&METRIC_STORE_IN_DOUBT, doubts + 1);
        turns(200);
        assert_int_equal(pending, 1); // though the row can be seen
        assert_int_equal(
            sql_int("SELECT count(*) FROM orders WHERE id = '%s'", uuid_text(id, &m.id)), 1);
        assert_int_equal(metric(&METRIC_STORE_IN_DOUBT), doubts + 1);
        standby_require("");
        run();
        assert_ok(result(&c.cmd));
        assert_int_equal(c.outcome, ORDER_CREATED);
        for (int i = 0; i < STORES; i++) store_wait(stores[i]);
    }
}

// A connection that is made while no standby confirms is not used: what it would read may be lost.
static void nothing_is_read_before_a_standby_confirms(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store *s = NULL;
    struct store_options o = options_usual;
    o.conninfo = pg.conninfo;
    standby_require("nobody");
    assert_ok(store_new(&s, shard, &o));
    turns(300);
    assert_false(store_ready(s));
    standby_require("");
    store_wait(s);
    struct store_account_get g = {.cmd = cmd(), .by_id = true, .id = a.id};
    store_account_get(s, &g);
    run();
    assert_true(g.found);
    store_free(s);
}

// ---- away

static void what_waits_fails_in_time_and_it_comes_back_by_itself(void **state)
{
    (void)state;
    struct account_row a = account_make();
    pg_stop(&pg, SIGQUIT);
    unready_want(stores[0]);
    assert_true(strlen(store_state_text(stores[0])) > 10);
    struct store_account_get g = {.cmd = cmd(), .by_id = true, .id = a.id};
    struct order_made m = {.account = a.id, .id = new_id()};
    struct authz_row none[4];
    struct store_order_create c = order_create_of(&m, none);
    uint64_t before = shard_now_ns(shard);
    store_account_get(stores[0], &g);
    store_order_create(stores[0], &c);
    run();
    uint64_t ms = (shard_now_ns(shard) - before) / 1000000;
    assert_err(result(&g.cmd), ERR_STORE_AWAY);
    assert_err(result(&c.cmd), ERR_STORE_AWAY);
    assert_in_range(ms, options_usual.queue_age_ms, 2 * options_usual.queue_age_ms);
    assert_true(pg_start(&pg));
    for (int i = 0; i < STORES; i++) store_wait(stores[i]);
    (void)order_ready(&a, 1);
}

// A server that accepts and says nothing more: reads are given up.
static void a_read_without_an_answer_is_given_up(void **state)
{
    (void)state;
    struct account_row a = account_make();
    store_wait(cut);
    cutter_stall(&cutter, true);
    struct store_account_get g = {.cmd = cmd(), .by_id = true, .id = a.id};
    store_account_get(cut, &g);
    for (int i = 0; pending > 0 && i < 20000; i++) shard_turn(shard, 5);
    cutter_stall(&cutter, false);
    assert_int_equal(pending, 0);
    assert_err(result(&g.cmd), ERR_STORE_AWAY);
    store_wait(cut);
}

// One connection of several is lost: the store is ready and says so, whichever it was.
static void the_state_is_told_of_what_is_usable(void **state)
{
    (void)state;
    struct store_options two = options_usual;
    two.write_conns = 2;
    struct store *s = store_open(pg.conninfo, &two);
    for (int i = 0; i < 4000 && conn_state(s->writers[1]) < CONN_IDLE; i++) shard_turn(shard, 5);
    for (unsigned i = 0; i < 2; i++) {
        conn_reset(s->writers[i], "lost by this test");
        assert_true(store_ready(s));
        assert_non_null(strstr(store_state_text(s), pg.dir));
        for (int k = 0; k < 4000 && conn_state(s->writers[i]) < CONN_IDLE; k++)
            shard_turn(shard, 5);
    }
    conn_reset(s->reader, "lost by this test");
    assert_false(store_ready(s));
    assert_string_equal(store_state_text(s), "lost by this test");
    store_wait(s);
    store_free(s);
}

// Of several hosts the next one is tried when one is away, silent, or takes no writes.
static void the_next_host_is_tried(void **state)
{
    (void)state;
    char conninfo[512];
    snprintf(conninfo, sizeof conninfo,
             "host=/nowhere,%s,%s port=5432 user=certmill dbname=postgres", cutter.dir, pg.dir);
    cutter_stall(&cutter, true); // accepts, and says nothing
    uint64_t before = shard_now_ns(shard);
    struct store *s = store_open(conninfo, NULL);
    // One connect deadline of 5 s was waited for, not two.
    assert_true(shard_now_ns(shard) - before < 10000000000ull);
    assert_non_null(strstr(store_state_text(s), pg.dir));
    cutter_stall(&cutter, false);
    store_free(s);
}

static int setup(void **state)
{
    struct store_options one = options_usual;
    one.write_conns = 1;
    if (fixture_setup(state) != 0 || !cutter_init(&cutter, &pg)) return -1;
    cut = store_open(cutter.conninfo, &one);
    return 0;
}

static int teardown(void **state)
{
    store_free(cut);
    int code = fixture_teardown(state);
    cutter_fini(&cutter);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_may_end_at_any_byte),
        cmocka_unit_test(a_request_may_end_at_any_byte),
        cmocka_unit_test(a_crash_at_any_moment_loses_nothing),
        cmocka_unit_test(a_server_that_takes_no_writes_is_left),
        cmocka_unit_test(a_commit_that_no_standby_confirmed_is_in_doubt),
        cmocka_unit_test(nothing_is_read_before_a_standby_confirms),
        cmocka_unit_test(what_waits_fails_in_time_and_it_comes_back_by_itself),
        cmocka_unit_test(a_read_without_an_answer_is_given_up),
        cmocka_unit_test(the_state_is_told_of_what_is_usable),
        cmocka_unit_test(the_next_host_is_tried),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
