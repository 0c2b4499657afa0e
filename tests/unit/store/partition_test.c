// partition: leaves made ahead and dropped behind, by whoever holds the lease, also after another
// was stopped anywhere in between.
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "store/err.h"
#include "store/leaf.h"
#include "store/schema.h"
#include "tests/unit/store/fixture.h"

enum { OLD_H = 100, KEEP_H = 24 }; // leaves of so many hours ago are past everything

static uint64_t token;

static int64_t hour_now(void) { return now_us() / 3600000000; }

// leaf_make makes and attaches a leaf as the store would.
static void leaf_make(enum leaf_table table, int64_t key)
{
    char sql[PARTITION_SQL_MAX];
    partition_make_sql(sql, table, key, 0);
    sql_run("%s", sql);
}

static bool leaf_is(enum leaf_table table, int64_t key)
{
    char name[LEAF_NAME_MAX];
    leaf_name(name, table, key);
    return sql_int("SELECT count(*) FROM pg_class WHERE relname = '%s'", name) == 1;
}

static void lease_take(uint64_t boot, bool release)
{
    static struct id node = {.b = {1}};
    struct store_lease_take l = {.cmd = cmd(),
                                 .name = SLICE_LIT("partitions"),
                                 .node = node,
                                 .boot = boot,
                                 .ttl_ms = 60000,
                                 .release = release};
    store_lease_take(stores[0], &l);
    run();
    assert_ok(result(&l.cmd));
    assert_true(release || l.held);
    token = l.token;
}

static struct store_partitions_tend tend(unsigned ahead_h)
{
    struct store_partitions_tend t = {
        .cmd = cmd(), .token = token, .ahead_h = ahead_h, .keep_extra_h = KEEP_H};
    store_partitions_tend(stores[0], &t);
    assert_true(pending > 0); // never inside the call
    run();
    return t;
}

// id_at is an id of the middle of an hour.
static struct id id_at(int64_t hour)
{
    uint8_t random[10] = {9};
    return id_make((uint64_t)hour * 3600000 + 1800000, 0, random);
}

// order_at puts an order into an old leaf, by hand.
static struct id order_at(int64_t hour, int64_t expires_us)
{
    struct id id = id_at(hour);
    char text[UUID_TEXT_SIZE];
    sql_run("INSERT INTO orders VALUES ('%s', '%s', 'default', 1, '', '', 0, 'p', 0, 0, '', NULL, "
            "%lld, 1)",
            uuid_text(text, &id), text, (long long)expires_us);
    return id;
}

static void more_are_made_ahead(void **state)
{
    (void)state;
    lease_take(1, false);
    struct store_partitions_tend t = tend(55);
    assert_ok(result(&t.cmd));
    assert_in_range(t.made, 35, 41); // 7 hours of five tables, perhaps a day
    for (int64_t h = hour_now() - 2; h <= hour_now() + 54; h++) {
        assert_true(leaf_is(LEAF_ORDERS, h) && leaf_is(LEAF_INTENTS, h));
        assert_true(leaf_is(LEAF_CERTIFICATES, h) && leaf_is(LEAF_AUTHZS, h / 24));
        assert_true(leaf_is(LEAF_REPLACEMENTS, h) && leaf_is(LEAF_REVOCATIONS, h));
    }
    t = tend(55);
    assert_in_range(t.made, 0, 6); // all are there (unless the hour has just changed)
    // What was just made is used at once.
    struct account_row a = account_make();
    uint8_t random[10] = {3};
    struct order_made m = {.account = a.id,
                           .id = id_make((uint64_t)(now_us() / 1000) + 54 * 3600000ull, 0, random)};
    struct authz_row none[4];
    struct store_order_create c = order_create_of(&m, none);
    store_order_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    assert_int_equal(c.outcome, ORDER_CREATED);
}

static void what_is_past_is_dropped(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H;
    static const enum leaf_table tables[] = {LEAF_ORDERS, LEAF_INTENTS, LEAF_CERTIFICATES,
                                             LEAF_REPLACEMENTS, LEAF_REVOCATIONS};
    char text[UUID_TEXT_SIZE];
    for (size_t i = 0; i < COUNT_OF(tables); i++) leaf_make(tables[i], old);
    leaf_make(LEAF_AUTHZS, old / 24 - 1);
    struct id id = order_at(old, 1);
    sql_run("INSERT INTO intents_open VALUES ('%s', 1, 1)", uuid_text(text, &id));
    lease_take(1, false);
    struct store_order_get g = {.cmd = cmd(), .id = id};
    store_order_get(stores[1], &g);
    run();
    assert_true(g.found);
    struct store_partitions_tend t = tend(50);
    assert_ok(result(&t.cmd));
    assert_int_equal(t.dropped, 3);
    // What goes when the orders or certificates of its hour have gone: in the next run.
    assert_true(leaf_is(LEAF_INTENTS, old) && leaf_is(LEAF_REPLACEMENTS, old));
    assert_true(leaf_is(LEAF_REVOCATIONS, old));
    t = tend(50);
    assert_int_equal(t.dropped, 3);
    for (size_t i = 0; i < COUNT_OF(tables); i++) assert_false(leaf_is(tables[i], old));
    assert_int_equal(
        sql_int("SELECT count(*) FROM intents_open WHERE order_id = '%s'", uuid_text(text, &id)),
        0);
    // The other store still has it in its list: it reads as not found, and changes nothing.
    g.cmd = cmd();
    store_order_get(stores[1], &g);
    struct store_order_invalidate v = {.cmd = cmd(), .order = id, .error = SLICE_LIT("{}")};
    store_order_invalidate(stores[1], &v);
    run();
    assert_ok(result(&g.cmd));
    assert_false(g.found);
    assert_ok(result(&v.cmd));
    assert_false(v.done_now);
    assert_int_equal(v.order_status, 0);
}

static int64_t crl_rows(int64_t hour)
{
    return sql_int("SELECT (SELECT count(*) FROM crls WHERE shard / 64 = %lld) + (SELECT count(*) "
                   "FROM crl_changes WHERE shard / 64 = %lld)",
                   (long long)hour, (long long)hour);
}

// A revocation and its CRL live as long as a certificate of their hour, and go with them.
static void revocations_and_crls_go_with_their_certificates(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H - 20;
    char serial[41];
    leaf_make(LEAF_CERTIFICATES, old);
    leaf_make(LEAF_REVOCATIONS, old);
    snprintf(serial, sizeof serial, "%06llx0000000000000000000000000000000001",
             (unsigned long long)old);
    sql_run("INSERT INTO certificates SELECT '\\x%s', gen_random_uuid(), gen_random_uuid(), 't', "
            "'p', 1, 0, now_us() / 1000000 + 10, '', '', %lld",
            serial, (long long)old * 64 + 3);
    sql_run("INSERT INTO revocations VALUES ('\\x%s', 1, %lld, 1, 1, 1, 1)", serial,
            (long long)old * 64 + 3);
    for (int64_t part = 0; part < 64; part += 63) {
        sql_run("INSERT INTO crls VALUES (1, %lld, 1, 1, 1, '')", (long long)(old * 64 + part));
        sql_run("INSERT INTO crl_changes VALUES (gen_random_uuid(), 1, %lld)",
                (long long)(old * 64 + part));
    }
    sql_run("INSERT INTO crls VALUES (1, %lld, 1, 1, 1, '')", (long long)(old + 1) * 64);
    lease_take(1, false);
    (void)tend(50);
    assert_true(leaf_is(LEAF_CERTIFICATES, old) && leaf_is(LEAF_REVOCATIONS, old));
    assert_int_equal(crl_rows(old), 4);
    sql_run("UPDATE certificates SET not_after = 1 WHERE serial = '\\x%s'", serial);
    (void)tend(50);
    assert_false(leaf_is(LEAF_CERTIFICATES, old));
    assert_true(leaf_is(LEAF_REVOCATIONS, old)); // in the next run
    (void)tend(50);
    assert_false(leaf_is(LEAF_REVOCATIONS, old));
    assert_int_equal(crl_rows(old), 0);
    assert_int_equal(crl_rows(old + 1), 1); // another hour's
    sql_run("DELETE FROM crls");
}

// A row that lives, or has lived until KEEP_H ago, keeps its leaf.
static void what_lives_is_kept(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H;
    leaf_make(LEAF_ORDERS, old);
    leaf_make(LEAF_INTENTS, old);
    (void)order_at(old, now_us() - (KEEP_H * 3600000000ll - 60000000));
    lease_take(1, false);
    struct store_partitions_tend t = tend(50);
    assert_ok(result(&t.cmd));
    assert_int_equal(t.dropped, 0);
    assert_true(leaf_is(LEAF_ORDERS, old) && leaf_is(LEAF_INTENTS, old));
    sql_run("UPDATE orders SET expires_at = expires_at - 120000000");
    t = tend(50);
    t.dropped += tend(50).dropped;
    assert_int_equal(t.dropped, 2);
}

static void a_leaf_that_an_operator_detached_is_left_alone(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H;
    char name[LEAF_NAME_MAX];
    leaf_make(LEAF_CERTIFICATES, old);
    leaf_name(name, LEAF_CERTIFICATES, old);
    sql_run("ALTER TABLE certificates DETACH PARTITION %s", name);
    lease_take(1, false);
    struct store_partitions_tend t = tend(50);
    assert_ok(result(&t.cmd));
    assert_int_equal(t.dropped, 0);
    assert_true(leaf_is(LEAF_CERTIFICATES, old));
    sql_run("DROP TABLE %s", name);
}

// Rows of the small tables that say nothing any more are forgotten.
static void what_says_nothing_is_forgotten(void **state)
{
    (void)state;
    sql_run("INSERT INTO rate_limits SELECT gen_random_uuid(), now_us() - 3700000000 * i FROM "
            "generate_series(0, 1) i");
    sql_run("INSERT INTO renewal_rules SELECT gen_random_uuid(), '', '', 0, 0, 0, true, 0, 0, '', "
            "1, 1, 0, now_us() / 1000000 - 90000 * i FROM generate_series(0, 1) i");
    sql_run("INSERT INTO renewal_rule_serials SELECT '\\x07', id FROM renewal_rules");
    lease_take(1, false);
    struct store_partitions_tend t = tend(50);
    assert_ok(result(&t.cmd));
    assert_int_equal(sql_int("SELECT count(*) FROM rate_limits"), 1);
    assert_int_equal(sql_int("SELECT count(*) FROM renewal_rules"), 1);
    assert_int_equal(sql_int("SELECT count(*) FROM renewal_rule_serials"), 1);
}

// Stopped between the two transactions of DETACH CONCURRENTLY: another session holds the parent.
static void a_detach_that_was_interrupted_is_finished(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H;
    char name[LEAF_NAME_MAX];
    leaf_make(LEAF_CERTIFICATES, old);
    leaf_name(name, LEAF_CERTIFICATES, old);
    PGconn *reader = sql_open();
    sql_on(reader, "BEGIN");
    sql_on(reader, "SELECT count(*) FROM certificates");
    lease_take(1, false);
    struct store_partitions_tend t = tend(50); // waits for the reader, until lock_timeout
    assert_err(result(&t.cmd), ERR_STORE_BUSY);
    assert_int_equal(t.dropped, 0);
    assert_int_equal(sql_int("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), 1);
    sql_on(reader, "COMMIT");
    PQfinish(reader);
    t = tend(50);
    assert_ok(result(&t.cmd));
    assert_int_equal(t.dropped, 1);
    assert_false(leaf_is(LEAF_CERTIFICATES, old));
}

// Stopped after any number of turns, by the end of its store: the next run does the rest.
static void a_run_may_be_stopped_anywhere(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H;
    lease_take(1, false);
    for (unsigned stop = 0; stop < 45; stop += 2) {
        struct store *s = store_open(pg.conninfo, NULL);
        for (int i = 0; i < 2; i++) {
            leaf_make(LEAF_ORDERS, old - i);
            leaf_make(LEAF_CERTIFICATES, old - i);
        }
        struct store_partitions_tend t = {
            .cmd = cmd(), .token = token, .ahead_h = 50, .keep_extra_h = KEEP_H};
        store_partitions_tend(s, &t);
        for (unsigned i = 0; i < stop; i++) shard_turn(shard, 2);
        store_free(s);
        assert_int_equal(pending, 0);
        turns(30); // what was under way ends on the server
        struct err e = {1};
        for (int i = 0; i < 10 && failed(e); i++) {
            if (i > 0) turns(100);
            struct store_partitions_tend again = tend(50);
            e = result(&again.cmd);
        }
        assert_ok(e);
        for (int i = 0; i < 2; i++)
            assert_false(leaf_is(LEAF_ORDERS, old - i) || leaf_is(LEAF_CERTIFICATES, old - i));
    }
}

// Whoever has lost the lease stops, at whichever step it is.
static void without_the_lease_nothing_is_done(void **state)
{
    (void)state;
    int64_t old = hour_now() - OLD_H;
    lease_take(1, false);
    uint64_t lost = token;
    lease_take(1, true);
    lease_take(2, false);
    assert_true(token > lost);
    uint64_t mine = token;
    token = lost;
    leaf_make(LEAF_CERTIFICATES, old);
    struct store_partitions_tend t = tend(70);
    assert_ok(result(&t.cmd));
    assert_true(t.fenced);
    assert_int_equal(t.made + t.dropped, 0);
    t = tend(50); // nothing to make: fenced where it would drop
    assert_true(t.fenced || leaf_is(LEAF_CERTIFICATES, old));
    assert_int_equal(t.dropped, 0);
    assert_true(leaf_is(LEAF_CERTIFICATES, old));
    token = mine;
    t = tend(50);
    assert_false(t.fenced);
    assert_int_equal(t.dropped, 1);
}

static void one_run_at_a_time(void **state)
{
    (void)state;
    lease_take(2, false);
    struct store_partitions_tend t[2];
    for (int i = 0; i < 2; i++) {
        t[i] = (struct store_partitions_tend){
            .cmd = cmd(), .token = token, .ahead_h = 50, .keep_extra_h = KEEP_H};
        store_partitions_tend(stores[0], &t[i]);
    }
    run();
    assert_ok(result(&t[0].cmd));
    assert_err(result(&t[1].cmd), ERR_STORE_BUSY);
}

static void nodes_that_are_gone_for_a_day_are_forgotten(void **state)
{
    (void)state;
    lease_take(2, false);
    sql_run("INSERT INTO nodes VALUES ('00000000-0000-0000-0000-000000000001', 1, 0, '', 1)");
    struct store_partitions_tend t = tend(50);
    assert_ok(result(&t.cmd));
    assert_int_equal(sql_int("SELECT count(*) FROM nodes WHERE seen_at = 1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_are_made_ahead),
        cmocka_unit_test(what_is_past_is_dropped),
        cmocka_unit_test(revocations_and_crls_go_with_their_certificates),
        cmocka_unit_test(what_lives_is_kept),
        cmocka_unit_test(what_says_nothing_is_forgotten),
        cmocka_unit_test(a_leaf_that_an_operator_detached_is_left_alone),
        cmocka_unit_test(a_detach_that_was_interrupted_is_finished),
        cmocka_unit_test(a_run_may_be_stopped_anywhere),
        cmocka_unit_test(without_the_lease_nothing_is_done),
        cmocka_unit_test(one_run_at_a_time),
        cmocka_unit_test(nodes_that_are_gone_for_a_day_are_forgotten),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
