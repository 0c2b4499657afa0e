// reuse: authorizations that later orders take over: which ones, how long, and that nothing that
// has ended gets into a certificate.
#include <stdio.h>

#include "proto/err.h"
#include "store/err.h"
#include "tests/unit/store/fixture.h"

enum { MANY = 48, LEFT_S = 600 };

static const int64_t s_us = 1000000;

// struct renewal is an order for names that its account may hold authorizations for.
struct renewal {
    struct order_made m;
    struct authz_row authzs[4];
    struct store_order_create c;
};

static void renewal_fill(struct renewal *w, const struct account_row *a, size_t count)
{
    static const char *const names[] = {"a.test", "b.test", "c.test", "d.test"};
    w->m = (struct order_made){.account = a->id, .id = new_id(), .authz_count = count};
    for (size_t i = 0; i < count; i++) w->m.authzs[i] = new_id();
    w->c = order_create_of(&w->m, w->authzs);
    for (size_t i = 0; i < count; i++) w->authzs[i].identifier.value = slice_str(names[i]);
    w->c.reuse_since_us = now_us() - 86400 * s_us;
    w->c.reuse_left_us = LEFT_S * s_us;
}

static void renew(struct renewal *w, const struct account_row *a, size_t count)
{
    renewal_fill(w, a, count);
    store_order_create(stores[1], &w->c);
    run();
    assert_ok(result(&w->c.cmd));
    assert_int_equal(w->c.outcome, ORDER_CREATED);
}

// held is an account with a valid authorization for a.test, in order `m`.
static struct account_row held(struct order_made *m)
{
    struct account_row a = account_make();
    *m = order_ready(&a, 1);
    return a;
}

static int64_t authz_count(const struct account_row *a)
{
    char id[UUID_TEXT_SIZE];
    return sql_int("SELECT count(*) FROM authorizations WHERE account = '%s'",
                   uuid_text(id, &a->id));
}

static struct store_intent_create intent_of_holder(const struct order_made *m, uint8_t salt)
{
    struct store_intent_create c = intent_of(m, salt);
    c.authzs_held = 1;
    c.authz_error = SLICE_LIT("{\"ended\":true}");
    return c;
}

static enum intent_outcome finalize(const struct order_made *m, uint8_t salt)
{
    struct store_intent_create c = intent_of_holder(m, salt);
    store_intent_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    return c.outcome;
}

static void deactivate(const struct order_made *m)
{
    struct store_authz_decide d = decision(m, 0, false);
    d.to = AUTHZ_DEACTIVATED;
    store_authz_decide(stores[0], &d);
    run();
    assert_true(d.decided);
}

static void an_order_takes_over_what_its_account_holds(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w;
    renew(&w, &a, 1);
    assert_int_equal(w.c.order.status, ORDER_READY);
    assert_int_equal(w.c.order.authzs_pending, 0);
    assert_int_equal(w.c.order.authzs_held, 1);
    assert_true(id_eq(&w.c.order.authzs[0], &m.authzs[0]));
    assert_int_equal(authz_count(&a), 1); // the one that was offered was not made
    assert_int_equal(status_of(&w.m), ORDER_READY);
    assert_int_equal(finalize(&w.m, 1), INTENT_CREATED);
    assert_int_equal(status_of(&m), ORDER_READY); // the order that made it is another
}

// What is held for one name does not stand for another; the order waits for its own.
static void an_order_waits_for_the_others(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w;
    renew(&w, &a, 3);
    assert_int_equal(w.c.order.status, ORDER_PENDING);
    assert_int_equal(w.c.order.authzs_pending, 2);
    assert_int_equal(w.c.order.authzs_held, 1);
    assert_true(id_eq(&w.m.authzs[0], &m.authzs[0]));
    assert_int_equal(authz_count(&a), 3);
    for (size_t i = 1; i < 3; i++) {
        assert_true(id_eq(&w.m.authzs[i], &w.authzs[i].id));
        assert_int_equal(status_of(&w.m), ORDER_PENDING);
        struct store_authz_decide d = decision(&w.m, i, true);
        store_authz_decide(stores[0], &d);
        run();
        assert_true(d.decided);
    }
    assert_int_equal(status_of(&w.m), ORDER_READY);
    assert_int_equal(finalize(&w.m, 1), INTENT_CREATED);
}

// Everything that must not be taken over, one at a time.
static void nothing_else_is_taken_over(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "status = 1",
        "status = 3",
        "status = 4",
        "expires_at = now_us() - 1",
        "expires_at = now_us() + 590000000", // less than LEFT_S
        "wildcard = true",
        "identifier = '\\x010006622e74657374'", // b.test
        "account = '00000000-0000-0000-0000-000000000001'",
    };
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        struct order_made m;
        struct account_row a = held(&m);
        struct renewal w;
        char id[UUID_TEXT_SIZE];
        sql_run("UPDATE authorizations SET %s WHERE id = '%s'", sets[i],
                uuid_text(id, &m.authzs[0]));
        renew(&w, &a, 1);
        if (w.c.order.status != ORDER_PENDING || !id_eq(&w.m.authzs[0], &w.authzs[0].id))
            fail_msg("taken over although %s", sets[i]);
    }
}

static void another_accounts_is_not_taken_over(void **state)
{
    (void)state;
    struct order_made m;
    (void)held(&m);
    struct account_row other = account_make();
    struct renewal w;
    renew(&w, &other, 1);
    assert_int_equal(w.c.order.status, ORDER_PENDING);
}

static void reuse_can_be_off(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w, with;
    renewal_fill(&w, &a, 1);
    w.c.reuse_left_us = 0;
    renewal_fill(&with, &a, 1);
    struct renewal only;
    renewal_fill(&only, &a, 1);
    only.c.reuse_alone = true;
    store_order_create(stores[0], &only.c);
    store_order_create(stores[0], &w.c);
    store_order_create(stores[0], &with.c); // in the same flush
    run();
    assert_int_equal(w.c.order.status, ORDER_PENDING);
    assert_int_equal(with.c.order.status, ORDER_READY);
    assert_int_equal(only.c.order.status, ORDER_PENDING);
}

// An order lives no longer than what it took over, and takes what lasts longest.
static void an_order_ends_with_what_it_took_over(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct order_made n = order_ready(&a, 1);
    struct renewal w;
    char id[UUID_TEXT_SIZE];
    int64_t now = now_us();
    sql_run("UPDATE authorizations SET expires_at = %lld WHERE id = '%s'",
            (long long)(now + 1000 * s_us), uuid_text(id, &n.authzs[0]));
    sql_run("UPDATE authorizations SET expires_at = %lld WHERE id = '%s'",
            (long long)(now + 2000 * s_us), uuid_text(id, &m.authzs[0]));
    renew(&w, &a, 1);
    assert_true(id_eq(&w.m.authzs[0], &m.authzs[0]));
    assert_int_equal(w.c.order.expires_at_us, now + 2000 * s_us);
    struct store_order_get g = {.cmd = cmd(), .id = w.m.id};
    store_order_get(stores[0], &g);
    run();
    assert_int_equal(g.out.expires_at_us, now + 2000 * s_us);
    assert_int_equal(g.out.authzs_held, 1);
}

// Somebody who fails again and again costs a bounded look.
static void only_the_newest_are_looked_at(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w;
    for (int i = 0; i < 15; i++) {
        turns(2); // ids of one millisecond have no order
        (void)order_make(&a, 1);
    }
    renew(&w, &a, 1);
    assert_int_equal(w.c.order.status, ORDER_READY);
    turns(2);
    (void)order_make(&a, 1);
    renew(&w, &a, 1);
    assert_int_equal(w.c.order.status, ORDER_PENDING);
}

// Sent again after an answer that was lost, it finds what it did, whatever has ended meanwhile.
static void a_repeat_changes_nothing(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w;
    renew(&w, &a, 2);
    deactivate(&m);
    w.c.cmd = cmd();
    for (size_t i = 0; i < 2; i++) w.m.authzs[i] = w.authzs[i].id;
    store_order_create(stores[0], &w.c);
    run();
    assert_int_equal(w.c.outcome, ORDER_CREATED);
    assert_true(id_eq(&w.m.authzs[0], &m.authzs[0]));
    assert_true(id_eq(&w.m.authzs[1], &w.authzs[1].id));
    assert_int_equal(authz_count(&a), 2);
}

// An authorization that was given back, or has ended, ends every order that took it over, at the
// latest when it is finalized.
static void what_has_ended_is_refused_at_finalize(void **state)
{
    (void)state;
    static const char *const sets[] = {"status = 4", "status = 6", "expires_at = now_us() - 1",
                                       "account = '00000000-0000-0000-0000-000000000001'"};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        struct order_made m;
        struct account_row a = held(&m);
        struct renewal w;
        char id[UUID_TEXT_SIZE];
        renew(&w, &a, 1);
        sql_run("UPDATE authorizations SET %s WHERE id = '%s'", sets[i],
                uuid_text(id, &m.authzs[0]));
        assert_int_equal(finalize(&w.m, 1), INTENT_AUTHZ_NOT_VALID);
        struct store_order_get g = {.cmd = cmd(), .id = w.m.id};
        store_order_get(stores[0], &g);
        run();
        assert_int_equal(g.out.status, ORDER_INVALID);
        assert_true(slice_eq_str(g.out.error, "{\"ended\":true}"));
        assert_int_equal(finalize(&w.m, 2), INTENT_ORDER_NOT_READY);
    }
}

// The same when it ends while finalize waits for the order: it decides on what is there afterwards.
static void what_ends_during_the_wait_is_seen(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w;
    char id[UUID_TEXT_SIZE];
    renew(&w, &a, 1);
    PGconn *other = sql_open();
    sql_on(other, "BEGIN");
    sql_on(other, "SELECT FROM orders WHERE id = '%s' FOR UPDATE", uuid_text(id, &w.m.id));
    struct store_intent_create c = intent_of_holder(&w.m, 1);
    store_intent_create(stores[0], &c);
    waiters_want(1);
    struct store_authz_decide d = decision(&m, 0, false);
    d.to = AUTHZ_DEACTIVATED;
    store_authz_decide(stores[1], &d); // waits for nobody: its order is another
    for (int i = 0; i < 2000 && !d.decided; i++) turns(1);
    assert_true(d.decided);
    sql_on(other, "COMMIT");
    PQfinish(other);
    run();
    assert_int_equal(c.outcome, INTENT_AUTHZ_NOT_VALID);
    assert_int_equal(status_of(&w.m), ORDER_INVALID);
}

// It is being given back in this moment: finalize waits for that and sees it. A lock on the order
// alone would not do, which is another's.
static void what_is_being_given_back_is_waited_for(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    struct renewal w;
    char id[UUID_TEXT_SIZE];
    renew(&w, &a, 1);
    PGconn *other = sql_open();
    sql_on(other, "BEGIN");
    sql_on(other, "UPDATE authorizations SET status = 4 WHERE id = '%s'",
           uuid_text(id, &m.authzs[0]));
    struct store_intent_create c = intent_of_holder(&w.m, 1);
    store_intent_create(stores[0], &c);
    waiters_want(1);
    sql_on(other, "COMMIT");
    PQfinish(other);
    run();
    assert_int_equal(c.outcome, INTENT_AUTHZ_NOT_VALID);
    assert_int_equal(status_of(&w.m), ORDER_INVALID);
}

// Many orders take one authorization over, or are finalized with it, while it is given back: each
// is finalized or ends, and none afterwards.
static void many_orders_meet_a_deactivation(void **state)
{
    (void)state;
    static struct renewal w[MANY];
    static struct store_intent_create c[MANY];
    for (int round = 0; round < 6; round++) {
        struct order_made m;
        struct account_row a = held(&m);
        for (int i = 0; i < MANY; i++) {
            renewal_fill(&w[i], &a, 1);
            store_order_create(stores[i % STORES], &w[i].c);
        }
        if (round % 2 == 0) run();
        struct store_authz_decide d = decision(&m, 0, false);
        d.to = AUTHZ_DEACTIVATED;
        store_authz_decide(stores[0], &d);
        for (int i = 0; i < MANY && round % 2 == 0; i++) {
            c[i] = intent_of_holder(&w[i].m, 1);
            store_intent_create(stores[i % STORES], &c[i]);
        }
        run();
        assert_true(d.decided);
        for (int i = 0; i < MANY; i++) {
            bool taken = id_eq(&w[i].m.authzs[0], &m.authzs[0]);
            assert_int_equal(w[i].c.order.status, taken ? ORDER_READY : ORDER_PENDING);
            enum order_status want = ORDER_PENDING;
            if (taken && round % 2 == 0)
                want = c[i].outcome == INTENT_CREATED ? ORDER_PROCESSING : ORDER_INVALID;
            else if (taken)
                want = ORDER_INVALID;
            if (want == ORDER_INVALID)
                assert_int_equal(round % 2 == 0 ? c[i].outcome : finalize(&w[i].m, 2),
                                 INTENT_AUTHZ_NOT_VALID);
            assert_int_equal(status_of(&w[i].m), want);
        }
        struct renewal late;
        renew(&late, &a, 1);
        assert_int_equal(late.c.order.status, ORDER_PENDING);
    }
}

// An authorization lives longer than the partition of the order that made it: it can be given back
// all the same.
static void an_authorization_outlives_its_order(void **state)
{
    (void)state;
    struct order_made m;
    struct account_row a = held(&m);
    char id[UUID_TEXT_SIZE], old[UUID_TEXT_SIZE];
    struct renewal w;
    static const uint8_t random[10] = {7};
    struct order_made long_ago = m;
    long_ago.id = id_make((uint64_t)(now_us() / 1000) - 10 * 86400000ull, 0, random);
    sql_run("UPDATE authorizations SET order_id = '%s' WHERE id = '%s'",
            uuid_text(old, &long_ago.id), uuid_text(id, &m.authzs[0]));
    renew(&w, &a, 1);
    assert_int_equal(w.c.order.status, ORDER_READY);
    deactivate(&long_ago);
    assert_int_equal(finalize(&w.m, 1), INTENT_AUTHZ_NOT_VALID);
}

// ---- before an order

static struct store_authz_create alone_of(const struct account_row *a)
{
    struct store_authz_create c = {.cmd = cmd(),
                                   .row = {.id = new_id(),
                                           .account = a->id,
                                           .tenant = SLICE_LIT("default"),
                                           .identifier = {IDENTIFIER_DNS, SLICE_LIT("a.test")},
                                           .challenges = CHALLENGE_HTTP_01,
                                           .expires_at_us = now_us() + 3600 * s_us},
                                   .key_version = 1,
                                   .reuse_since_us = now_us() - 86400 * s_us,
                                   .reuse_left_us = LEFT_S * s_us};
    memset(c.row.token, 5, sizeof c.row.token);
    return c;
}

static struct store_authz_create alone(const struct account_row *a)
{
    struct store_authz_create c = alone_of(a);
    store_authz_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    return c;
}

static void an_order_takes_over_what_was_asked_for_alone(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_authz_create c = alone(&a);
    struct renewal w;
    assert_int_equal(c.outcome, AUTHZ_CREATED);
    assert_true(id_eq(&c.out.id, &c.row.id));
    assert_int_equal(c.out.status, AUTHZ_PENDING);
    assert_memory_equal(c.out.token, c.row.token, sizeof c.row.token);
    renew(&w, &a, 1); // pending: not taken over
    assert_int_equal(w.c.order.status, ORDER_PENDING);
    struct order_made m = {.account = a.id, .id = c.out.order, .authzs = {c.out.id}};
    struct store_authz_decide d = decision(&m, 0, true);
    store_authz_decide(stores[0], &d);
    run();
    assert_true(d.decided);
    assert_int_equal(d.out.status, AUTHZ_VALID);
    renew(&w, &a, 1);
    assert_int_equal(w.c.order.status, ORDER_READY);
    assert_true(id_eq(&w.m.authzs[0], &c.out.id));
    renewal_fill(&w, &a, 1);
    w.c.reuse_alone = true;
    store_order_create(stores[0], &w.c);
    run();
    assert_int_equal(w.c.order.status, ORDER_READY);
    deactivate(&m);
    assert_int_equal(finalize(&w.m, 1), INTENT_AUTHZ_NOT_VALID);
}

// Asked for again it is the same one, and so is a valid one of an order; a pending one of an order
// is not: it is the order's.
static void what_is_held_is_not_made_again(void **state)
{
    (void)state;
    struct account_row a = account_make();
    (void)order_make(&a, 1);
    struct store_authz_create c = alone(&a), again = alone(&a);
    assert_int_equal(c.outcome, AUTHZ_CREATED);
    assert_int_equal(again.outcome, AUTHZ_HELD);
    assert_true(id_eq(&again.out.id, &c.row.id));
    struct order_made m = order_ready(&a, 1);
    struct store_authz_create valid = alone(&a);
    assert_int_equal(valid.outcome, AUTHZ_HELD);
    assert_true(id_eq(&valid.out.id, &m.authzs[0]));
    valid = alone_of(&a);
    valid.reuse_alone = true;
    store_authz_create(stores[0], &valid);
    run();
    assert_true(id_eq(&valid.out.id, &c.row.id));
    deactivate(&m);
    valid = alone(&a);
    assert_true(id_eq(&valid.out.id, &c.row.id));
    again.cmd = cmd(); // a repeat finds its own
    again.row.id = c.row.id;
    store_authz_create(stores[1], &again);
    run();
    assert_int_equal(again.outcome, AUTHZ_CREATED);
}

static void an_account_that_is_over_gets_none(void **state)
{
    (void)state;
    struct account_row a = account_make();
    char id[UUID_TEXT_SIZE];
    (void)alone(&a);
    struct store_authz_create c = alone_of(&a);
    c.key_version = 2;
    store_authz_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, AUTHZ_ACCOUNT_NOT_VALID);
    sql_run("UPDATE accounts SET status = 2 WHERE id = '%s'", uuid_text(id, &a.id));
    c = alone(&a);
    assert_int_equal(c.outcome, AUTHZ_ACCOUNT_NOT_VALID);
    assert_true(id_is_zero(&c.out.id));
    assert_int_equal(authz_count(&a), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_takes_over_what_its_account_holds),
        cmocka_unit_test(an_order_waits_for_the_others),
        cmocka_unit_test(nothing_else_is_taken_over),
        cmocka_unit_test(another_accounts_is_not_taken_over),
        cmocka_unit_test(reuse_can_be_off),
        cmocka_unit_test(an_order_ends_with_what_it_took_over),
        cmocka_unit_test(only_the_newest_are_looked_at),
        cmocka_unit_test(a_repeat_changes_nothing),
        cmocka_unit_test(what_has_ended_is_refused_at_finalize),
        cmocka_unit_test(what_ends_during_the_wait_is_seen),
        cmocka_unit_test(what_is_being_given_back_is_waited_for),
        cmocka_unit_test(many_orders_meet_a_deactivation),
        cmocka_unit_test(an_authorization_outlives_its_order),
        cmocka_unit_test(an_order_takes_over_what_was_asked_for_alone),
        cmocka_unit_test(what_is_held_is_not_made_again),
        cmocka_unit_test(an_account_that_is_over_gets_none),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
