// rules: the rules of batches (design.md section 4), each with a case that fails without it. A
// second connection holds locks, so that what would be a rare race happens every time.
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "store/err.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

enum { MANY = 64 };

// order_hold locks an order's row on a connection of its own, in an open transaction.
static PGconn *order_hold(const struct order_made *m)
{
    char id[UUID_TEXT_SIZE];
    PGconn *c = sql_open();
    sql_on(c, "BEGIN");
    sql_on(c, "SELECT FROM orders WHERE id = '%s' FOR UPDATE", uuid_text(id, &m->id));
    return c;
}

static void release(PGconn *c)
{
    sql_on(c, "COMMIT");
    PQfinish(c);
}

static int64_t metric(const struct metric *m) { return metric_total(metrics, m); }

// An authorization is deactivated while e2 waits for the order: an UPDATE that joined it would go
// on with what it saw before the wait.
static void a_deactivated_authorization_does_not_slip_through(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_ready(&a, 2);
    char id[UUID_TEXT_SIZE];
    PGconn *other = order_hold(&m);
    struct store_intent_create c = intent_of(&m, 1);
    store_intent_create(stores[0], &c);
    waiters_want(1);
    sql_on(other, "UPDATE authorizations SET status = 4 WHERE id = '%s'",
           uuid_text(id, &m.authzs[1]));
    release(other);
    run();
    assert_int_equal(c.outcome, INTENT_AUTHZ_NOT_VALID);
    assert_true(id_eq(&c.authz, &m.authzs[1]));
    assert_int_equal(status_of(&m), ORDER_INVALID);
}

// The same for the account, and for a key that is changed meanwhile.
static void an_account_that_changes_during_the_wait_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        enum intent_outcome outcome;
    } cases[] = {{"status = 2", INTENT_ACCOUNT_NOT_VALID}, {"key_version = 2", INTENT_KEY_CHANGED}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct account_row a = account_make();
        struct order_made m = order_ready(&a, 1);
        char id[UUID_TEXT_SIZE];
        PGconn *other = order_hold(&m);
        struct store_intent_create c = intent_of(&m, 1);
        store_intent_create(stores[0], &c);
        waiters_want(1);
        sql_on(other, "UPDATE accounts SET %s WHERE id = '%s'", cases[i].set, uuid_text(id, &a.id));
        release(other);
        run();
        assert_int_equal(c.outcome, cases[i].outcome);
    }
}

// Both decide their authorization at the same moment: if each read the other's row it would be
// pending still, and the order for ever.
static void concurrent_decisions_both_count(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 2);
    PGconn *other = order_hold(&m);
    struct store_authz_decide d[2] = {decision(&m, 0, true), decision(&m, 1, true)};
    for (int i = 0; i < 2; i++) store_authz_decide(stores[i], &d[i]);
    waiters_want(2);
    release(other);
    run();
    assert_true(d[0].decided && d[1].decided);
    assert_int_equal(status_of(&m), ORDER_READY);
}

// A valid authorization can be given back: its order, ready by now, must not be finalized with it.
// An order that is being finalized goes on; whoever is later, waits.
static void a_deactivated_authorization_ends_its_order(void **state)
{
    (void)state;
    static const enum order_status was[] = {ORDER_PENDING, ORDER_READY, ORDER_PROCESSING};
    struct account_row a = account_make();
    for (size_t i = 0; i < COUNT_OF(was); i++) {
        struct order_made m = was[i] == ORDER_PENDING ? order_make(&a, 2)
                              : was[i] == ORDER_READY ? order_ready(&a, 2)
                                                      : order_processing(&a);
        for (int again = 0; again < 2; again++) {
            struct store_authz_decide d = decision(&m, 0, false);
            d.to = AUTHZ_DEACTIVATED;
            d.order_error = SLICE_LIT("{\"detail\":\"given back\"}");
            store_authz_decide(stores[0], &d);
            run();
            assert_ok(result(&d.cmd));
            assert_int_equal(d.decided, again == 0);
            assert_int_equal(d.out.status, AUTHZ_DEACTIVATED);
            assert_int_equal(d.out.error.n, 0); // of its challenge
            assert_int_equal(d.out.decided_by, was[i] == ORDER_PENDING ? 0 : CHALLENGE_HTTP_01);
        }
        assert_int_equal(status_of(&m),
                         was[i] == ORDER_PROCESSING ? ORDER_PROCESSING : ORDER_INVALID);
        struct store_authz_decide late = decision(&m, 0, true);
        store_authz_decide(stores[1], &late);
        run();
        assert_false(late.decided);
    }
}

// Two decisions about one order in one flush: UPDATE ... FROM would apply one of them.
static void decisions_of_one_flush_are_added_up(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 4);
    struct store_authz_decide d[4];
    uint64_t flushes = store_flush_count(stores[0]);
    for (size_t i = 0; i < 4; i++) d[i] = decision(&m, i, true);
    for (size_t i = 0; i < 4; i++) store_authz_decide(stores[0], &d[i]);
    run();
    assert_int_equal(store_flush_count(stores[0]), flushes + 1);
    assert_int_equal(status_of(&m), ORDER_READY);
}

// Two decisions about one authorization in one flush: the first counts, and once.
static void of_two_decisions_about_one_authorization_the_first_counts(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 2);
    struct store_authz_decide d[2] = {decision(&m, 0, true), decision(&m, 0, false)};
    store_authz_decide(stores[0], &d[0]);
    store_authz_decide(stores[0], &d[1]);
    run();
    assert_true(d[0].decided);
    assert_false(d[1].decided);
    assert_int_equal(d[1].out.status, AUTHZ_VALID);
    struct store_order_get g = {.cmd = cmd(), .id = m.id};
    store_order_get(stores[0], &g);
    run();
    assert_int_equal(g.out.authzs_pending, 1);
}

static void a_decision_needs_the_order_of_its_authorization(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 1), n = order_make(&a, 1);
    struct store_authz_decide d = decision(&m, 0, true), none = decision(&m, 0, true);
    d.order = n.id;
    none.id = new_id();
    store_authz_decide(stores[0], &d);
    store_authz_decide(stores[0], &none);
    run();
    assert_false(d.decided || none.decided);
    assert_int_equal(d.out.status, AUTHZ_PENDING);
    assert_true(id_is_zero(&none.out.id));
    assert_int_equal(status_of(&m), ORDER_PENDING);
    assert_int_equal(status_of(&n), ORDER_PENDING);
}

// Two stores decide about the same orders in opposite order, again and again: locks are taken in
// the order of ids, so nobody ever meets a deadlock.
static void opposite_orders_do_not_deadlock(void **state)
{
    (void)state;
    struct account_row a = account_make();
    static struct order_made m[MANY];
    static struct store_authz_decide d[2 * MANY];
    int64_t retries = metric(&METRIC_STORE_RETRIES);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) m[i] = order_make(&a, 2);
        for (int i = 0; i < MANY; i++) {
            d[2 * i] = decision(&m[i], 0, true);
            d[2 * i + 1] = decision(&m[MANY - 1 - i], 1, true);
            store_authz_decide(stores[0], &d[2 * i]);
            store_authz_decide(stores[1], &d[2 * i + 1]);
        }
        run();
        for (int i = 0; i < MANY; i++) assert_int_equal(status_of(&m[i]), ORDER_READY);
    }
    assert_int_equal(metric(&METRIC_STORE_RETRIES), retries);
}

// Whoever waits for the first order holds none of the later ones, in whichever order they came.
static void locks_are_taken_in_the_order_of_ids(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m[3];
    char id[UUID_TEXT_SIZE];
    for (int i = 0; i < 3; i++) {
        m[i] = order_make(&a, 1);
        turns(2); // ids of one millisecond have no order
    }
    PGconn *first = order_hold(&m[0]), *others = sql_open();
    struct store_authz_decide d[3];
    for (int i = 2; i >= 0; i--) {
        d[i] = decision(&m[i], 0, true);
        store_authz_decide(stores[0], &d[i]);
    }
    waiters_want(1);
    for (int i = 1; i < 3; i++)
        sql_on(others, "SELECT FROM orders WHERE id = '%s' FOR UPDATE NOWAIT",
               uuid_text(id, &m[i].id));
    PQfinish(others);
    release(first);
    run();
    for (int i = 0; i < 3; i++) assert_true(d[i].decided);
}

// Two finalizes of one order in one flush, and 64 of two stores.
static void one_order_is_finalized_once(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_ready(&a, 1);
    static struct store_intent_create c[MANY];
    unsigned created = 0;
    int64_t bisections = metric(&METRIC_STORE_BISECTIONS);
    char id[UUID_TEXT_SIZE];
    for (int i = 0; i < MANY; i++) {
        c[i] = intent_of(&m, (uint8_t)(i + 1));
        store_intent_create(stores[i / (MANY / STORES)], &c[i]);
    }
    run();
    for (int i = 0; i < MANY; i++) {
        created += c[i].outcome == INTENT_CREATED;
        if (c[i].outcome == INTENT_CREATED) continue;
        assert_int_equal(c[i].outcome, INTENT_ORDER_NOT_READY);
        assert_int_equal(c[i].order_status, ORDER_PROCESSING);
    }
    assert_int_equal(created, 1);
    uuid_text(id, &m.id);
    assert_int_equal(sql_int("SELECT count(*) FROM intents WHERE order_id = '%s'", id), 1);
    assert_int_equal(metric(&METRIC_STORE_BISECTIONS), bisections); // no row has raised
}

// e2 takes the authorizations from its caller, who has read the order; but they must be the
// order's.
static void other_authorizations_than_the_orders_do_not_do(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 1), valid = order_ready(&a, 1);
    char id[UUID_TEXT_SIZE];
    sql_run("UPDATE orders SET status = 2 WHERE id = '%s'", uuid_text(id, &m.id));
    struct store_intent_create c = intent_of(&m, 1);
    c.authzs = valid.authzs; // valid, of this account, and not of this order
    store_intent_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, INTENT_AUTHZ_NOT_VALID);
    assert_true(id_is_zero(&c.authz));
    assert_int_equal(status_of(&m), ORDER_READY); // the caller's mistake is not the order's
    c = intent_of(&m, 1);
    c.authzs = valid.authzs;
    sql_run("UPDATE authorizations SET status = 4 WHERE id = '%s'",
            uuid_text(id, &valid.authzs[0]));
    store_intent_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, INTENT_AUTHZ_NOT_VALID);
    assert_int_equal(status_of(&m), ORDER_READY);
}

// What the reaper looks at is what is PROCESSING, or INVALID with a serial that is not burned, and
// nothing else.
static void open_intents_follow_the_order(void **state)
{
    (void)state;
    static const char open[] = "SELECT count(*) FROM intents_open WHERE order_id = '%s'",
                      burned[] = "SELECT count(*) FROM intents WHERE order_id = '%s' AND "
                                 "substr(burned_serial, 1, 4) = '\\x07070700'";
    struct account_row a = account_make();
    struct order_made m = order_processing(&a), n = order_processing(&a);
    char id[UUID_TEXT_SIZE];
    assert_int_equal(sql_int(open, uuid_text(id, &m.id)), 1);
    struct store_certificate_commit c = commit_of(&m, 1);
    struct store_order_invalidate v[2];
    for (int i = 0; i < 2; i++)
        v[i] = (struct store_order_invalidate){
            .cmd = cmd(), .order = n.id, .error = SLICE_LIT("{\"x\":1}")};
    store_certificate_commit(stores[0], &c);
    store_order_invalidate(stores[0], &v[0]);
    store_order_invalidate(stores[0], &v[1]);
    run();
    assert_true(c.won);
    assert_true(v[0].done_now);
    assert_false(v[1].done_now); // of two in one flush the first did it
    assert_int_equal(v[1].order_status, ORDER_INVALID);
    assert_int_equal(sql_int(open, uuid_text(id, &m.id)), 0);
    assert_int_equal(sql_int(open, uuid_text(id, &n.id)), 1); // its serial is not burned yet
    struct store_intent_close e[3];
    for (uint8_t i = 0; i < 3; i++)
        e[i] = (struct store_intent_close){.cmd = cmd(),
                                           .order = i == 2 ? m.id : n.id,
                                           .has_burned = true,
                                           .burned_serial = {7, 7, 7, i}};
    for (int i = 0; i < 3; i++) store_intent_close(stores[0], &e[i]);
    run();
    assert_true(e[0].closed && e[1].closed);
    assert_false(e[2].closed); // VALID: no serial of it is ever burned
    assert_int_equal(sql_int(open, uuid_text(id, &n.id)), 0);
    assert_int_equal(sql_int(burned, uuid_text(id, &n.id)), 1);
    assert_int_equal(sql_int("SELECT count(*) FROM intents WHERE order_id = '%s' AND "
                             "burned_serial IS NULL",
                             uuid_text(id, &m.id)),
                     1);
    e[1].cmd = cmd(); // again, with another serial and with none: the first stays
    e[2] = (struct store_intent_close){.cmd = cmd(), .order = n.id};
    store_intent_close(stores[0], &e[1]);
    store_intent_close(stores[1], &e[2]);
    run();
    assert_true(e[1].closed && e[2].closed);
    assert_int_equal(sql_int(burned, uuid_text(id, &n.id)), 1);
}

// An order that is processing cannot be closed: its serial may be a client's tomorrow.
static void an_order_that_may_end_well_is_not_closed(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_processing(&a);
    char id[UUID_TEXT_SIZE];
    struct store_intent_close c = {.cmd = cmd(), .order = m.id, .has_burned = true},
                              none = {.cmd = cmd(), .order = new_id(), .has_burned = true};
    store_intent_close(stores[0], &c);
    store_intent_close(stores[0], &none);
    run();
    assert_false(c.closed || none.closed);
    assert_int_equal(sql_int("SELECT count(*) FROM intents JOIN intents_open USING (order_id) "
                             "WHERE order_id = '%s' AND burned_serial IS NULL",
                             uuid_text(id, &m.id)),
                     1);
}

// Two claims in one flush and one of another store: every intent goes to one of them, oldest first.
static void a_claim_is_of_one(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m[6];
    sql_run("DELETE FROM intents_open");
    for (int i = 0; i < 6; i++) m[i] = order_processing(&a);
    sql_run("UPDATE intents_open SET claimed_at = claimed_at - 60000000");
    struct store_intents_claim c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = (struct store_intents_claim){
            .cmd = cmd(), .node = new_id(), .boot = 80u + (unsigned)i, .limit = 2, .age_ms = 30000};
        store_intents_claim(stores[i == 2], &c[i]);
    }
    run();
    unsigned seen = 0;
    for (int i = 0; i < 3; i++) {
        assert_in_range(c[i].out_count, 1, 2); // a row that another is about to take is skipped
        for (size_t k = 0; k < c[i].out_count; k++) {
            const struct intent *in = &c[i].out[k];
            assert_int_equal(in->owner_boot, c[i].boot);
            assert_slice_str(in->spki, "spki");
            for (int n = 0; n < 6; n++)
                if (id_eq(&in->order, &m[n].id)) seen |= seen & 1u << n ? 1u << 31 : 1u << n;
        }
    }
    assert_int_equal(seen & ~63u, 0); // nobody got one of another
    assert_true(id_eq(&c[0].out[0].order, &m[0].id) || id_eq(&c[2].out[0].order, &m[0].id));
    sql_run("DELETE FROM intents_open");
}

// A lock that is held longer than lock_timeout: the flush is sent again, with the rest of it.
static void a_lock_wait_that_times_out_is_tried_again(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 1);
    int64_t retries = metric(&METRIC_STORE_RETRIES);
    PGconn *other = order_hold(&m);
    struct store_authz_decide d = decision(&m, 0, true);
    store_authz_decide(stores[0], &d);
    metric_want(&METRIC_STORE_RETRIES, retries + 1); // lock_timeout is 2 s
    assert_int_equal(pending, 1);
    release(other);
    run();
    assert_ok(result(&d.cmd));
    assert_true(d.decided);
}

// ---- the queue

static void commands_of_one_turn_are_one_flush(void **state)
{
    (void)state;
    struct account_row a = account_make();
    static struct order_made m[MANY];
    static struct store_order_create c[MANY];
    static struct authz_row authzs[MANY][4];
    static struct store_order_get g[MANY];
    uint64_t flushes = store_flush_count(stores[0]);
    for (int i = 0; i < MANY; i++) {
        m[i] = (struct order_made){
            .account = a.id, .id = new_id(), .authzs = {new_id()}, .authz_count = 1};
        c[i] = order_create_of(&m[i], authzs[i]);
        store_order_create(stores[0], &c[i]);
    }
    assert_int_equal(pending, MANY); // never inside the call
    run();
    assert_int_equal(store_flush_count(stores[0]), flushes + 1);
    int64_t reads = metric(&METRIC_STORE_FLUSHES_READ);
    for (int i = 0; i < MANY; i++) {
        g[i] = (struct store_order_get){.cmd = cmd(), .id = m[i].id};
        store_order_get(stores[0], &g[i]);
    }
    run();
    assert_int_equal(metric(&METRIC_STORE_FLUSHES_READ), reads + 1);
    for (int i = 0; i < MANY; i++) {
        assert_true(g[i].found);
        assert_true(id_eq(&g[i].out.authzs[0], &m[i].authzs[0]));
    }
}

static void too_many_waiting_are_refused_at_once(void **state)
{
    (void)state;
    struct store_options o = options_usual;
    o.queue_max = 2;
    struct store *s = store_open(pg.conninfo, &o);
    struct store_account_get g[3];
    for (int i = 0; i < 3; i++) {
        g[i] = (struct store_account_get){.cmd = cmd(), .by_id = true, .id = new_id()};
        store_account_get(s, &g[i]);
    }
    assert_int_equal(pending, 3);
    run();
    assert_ok(result(&g[0].cmd));
    assert_ok(result(&g[1].cmd));
    assert_err(result(&g[2].cmd), ERR_STORE_BUSY);
    store_free(s);
}

static void an_output_without_room_is_an_error(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct arena small;
    arena_init(&small, 16);
    struct store_account_get g = {.cmd = cmd(), .by_id = true, .id = a.id};
    g.cmd.arena = &small;
    store_account_get(stores[0], &g);
    run();
    assert_err(result(&g.cmd), ERR_NO_SPACE);
    arena_fini(&small);
}

// A new row without a partition fails alone and soon; a look for one finds nothing.
static void a_time_without_a_partition_is_said(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m[3];
    struct authz_row authzs[3][4];
    struct store_order_create c[3];
    uint8_t random[10] = {1};
    for (int i = 0; i < 3; i++) {
        m[i] = (struct order_made){.account = a.id, .id = new_id()};
        if (i == 1) m[i].id = id_make((uint64_t)now_us() / 1000 + 100 * 3600000ull, 0, random);
        c[i] = order_create_of(&m[i], authzs[i]);
        store_order_create(stores[0], &c[i]);
    }
    struct store_order_get g = {.cmd = cmd(), .id = m[1].id};
    store_order_get(stores[0], &g);
    run();
    assert_ok(result(&c[0].cmd));
    assert_err(result(&c[1].cmd), ERR_STORE_LEAF);
    assert_ok(result(&c[2].cmd));
    assert_ok(result(&g.cmd));
    assert_false(g.found);
}

// Statements name leaves: more of them than a connection keeps prepared.
static void many_leaves_do_not_exhaust_a_connection(void **state)
{
    (void)state;
    uint8_t random[10] = {2};
    for (int round = 0; round < 3; round++) {
        for (int hour = 0; hour < 47; hour++) {
            uint64_t ms = (uint64_t)now_us() / 1000 + (uint64_t)hour * 3600000;
            struct id id = id_make(ms, 0, random);
            int64_t h = (int64_t)(ms / 3600000);
            struct store_order_get o = {.cmd = cmd(), .id = id};
            struct store_intent_get n = {.cmd = cmd(), .order = id};
            struct store_certificate_get g = {
                .cmd = cmd(), .serial = {(uint8_t)(h >> 16), (uint8_t)(h >> 8), (uint8_t)h}};
            store_order_get(stores[0], &o);
            store_intent_get(stores[0], &n);
            store_certificate_get(stores[0], &g);
            run();
            assert_ok(result(&o.cmd));
            assert_ok(result(&n.cmd));
            assert_ok(result(&g.cmd));
        }
    }
}

static void count_up(void *ctx) { ++*(int *)ctx; }

static void drain_waits_and_free_ends_everything(void **state)
{
    (void)state;
    struct store *s = store_open(pg.conninfo, NULL);
    int drained = 0;
    struct store_account_get g = {.cmd = cmd(), .by_id = true, .id = new_id()};
    store_account_get(s, &g);
    store_drain(s, count_up, &drained);
    assert_int_equal(drained, 0);
    for (int i = 0; i < 400 && drained == 0; i++) shard_turn(shard, 5);
    assert_int_equal(drained, 1);
    assert_int_equal(pending, 0);
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 1);
    PGconn *other = order_hold(&m);
    struct store_authz_decide d = decision(&m, 0, true); // will be in flight
    store_authz_decide(s, &d);
    waiters_want(1);
    struct store_account_get late = {.cmd = cmd(), .by_id = true, .id = a.id}; // will wait
    store_account_get(s, &late);
    store_free(s);
    assert_int_equal(pending, 0);
    assert_err(result(&d.cmd), ERR_STORE_AWAY);
    assert_err(result(&late.cmd), ERR_STORE_AWAY);
    release(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deactivated_authorization_does_not_slip_through),
        cmocka_unit_test(an_account_that_changes_during_the_wait_is_seen),
        cmocka_unit_test(concurrent_decisions_both_count),
        cmocka_unit_test(a_deactivated_authorization_ends_its_order),
        cmocka_unit_test(decisions_of_one_flush_are_added_up),
        cmocka_unit_test(of_two_decisions_about_one_authorization_the_first_counts),
        cmocka_unit_test(a_decision_needs_the_order_of_its_authorization),
        cmocka_unit_test(opposite_orders_do_not_deadlock),
        cmocka_unit_test(locks_are_taken_in_the_order_of_ids),
        cmocka_unit_test(one_order_is_finalized_once),
        cmocka_unit_test(other_authorizations_than_the_orders_do_not_do),
        cmocka_unit_test(open_intents_follow_the_order),
        cmocka_unit_test(an_order_that_may_end_well_is_not_closed),
        cmocka_unit_test(a_claim_is_of_one),
        cmocka_unit_test(a_lock_wait_that_times_out_is_tried_again),
        cmocka_unit_test(commands_of_one_turn_are_one_flush),
        cmocka_unit_test(too_many_waiting_are_refused_at_once),
        cmocka_unit_test(an_output_without_room_is_an_error),
        cmocka_unit_test(a_time_without_a_partition_is_said),
        cmocka_unit_test(many_leaves_do_not_exhaust_a_connection),
        cmocka_unit_test(drain_waits_and_free_ends_everything),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
