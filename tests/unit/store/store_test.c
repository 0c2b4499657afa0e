// store: every command against a real PostgreSQL, and each rule of the batch with a case that fails
// without it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "tests/unit/store/fixture.h"

enum { MANY = 64 };

// ---- cases

static void an_account_is_made_once_per_key(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_account_create c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = (struct store_account_create){.cmd = cmd(), .row = a};
        c[i].row.id = new_id();
        c[i].row.tenant = i == 2 ? SLICE_LIT("other") : SLICE_LIT("default");
        store_account_create(stores[i % STORES], &c[i]);
    }
    run();
    assert_false(c[0].created || c[1].created);
    assert_true(id_eq(&c[0].out.id, &a.id) && id_eq(&c[1].out.id, &a.id));
    assert_true(c[2].created);
    struct store_account_get g[3] = {{.cmd = cmd(), .by_id = true, .id = a.id},
                                     {.cmd = cmd(), .tenant = SLICE_LIT("default")},
                                     {.cmd = cmd(), .by_id = true, .id = new_id()}};
    memcpy(g[1].thumbprint, a.thumbprint, 32);
    for (int i = 0; i < 3; i++) store_account_get(stores[0], &g[i]);
    run();
    assert_true(g[0].found && g[1].found && !g[2].found);
    assert_slice_str(g[1].out.contact, "[]");
    assert_int_equal(g[0].out.key_version, 1);
}

static void racing_keys_make_one_account(void **state)
{
    (void)state;
    struct store_account_create c[MANY];
    uint8_t thumbprint[32];
    shard_random(shard, thumbprint, 32);
    unsigned created = 0;
    for (int i = 0; i < MANY; i++) {
        c[i] = (struct store_account_create){.cmd = cmd(),
                                             .row = {.id = new_id(),
                                                     .tenant = SLICE_LIT("default"),
                                                     .status = ACCOUNT_VALID,
                                                     .spki = SLICE_LIT("k"),
                                                     .contact = SLICE_LIT("[]")}};
        memcpy(c[i].row.thumbprint, thumbprint, 32);
        store_account_create(stores[i % STORES], &c[i]);
    }
    run();
    for (int i = 0; i < MANY; i++) {
        created += c[i].created;
        assert_true(id_eq(&c[i].out.id, &c[0].out.id));
    }
    assert_int_equal(created, 1);
}

static void an_order_becomes_ready_when_its_last_authorization_is_valid(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 4);
    assert_int_equal(status_of(&m), ORDER_PENDING);
    struct store_authz_decide d = decision(&m, 0, true), again = decision(&m, 0, false);
    store_authz_decide(stores[0], &d);
    pending--; // `again` is sent later
    run();
    assert_true(d.decided);
    pending++;
    store_authz_decide(stores[1], &again);
    run();
    assert_false(again.decided); // decided already
    assert_int_equal(again.out.status, AUTHZ_VALID);
    assert_int_equal(status_of(&m), ORDER_PENDING);
    // Two decisions about one order in one flush: both must count.
    struct store_authz_decide two[2] = {decision(&m, 1, true), decision(&m, 2, true)};
    store_authz_decide(stores[0], &two[0]);
    store_authz_decide(stores[0], &two[1]);
    run();
    assert_int_equal(status_of(&m), ORDER_PENDING); // one is left
    struct store_authz_decide last = decision(&m, 3, true);
    store_authz_decide(stores[1], &last);
    run();
    assert_int_equal(status_of(&m), ORDER_READY);
    struct store_authz_get g = {.cmd = cmd(), .id = m.authzs[1]};
    store_authz_get(stores[1], &g);
    run();
    assert_true(g.found);
    assert_int_equal(g.out.status, AUTHZ_VALID);
    assert_slice_str(g.out.identifier.value, "a.test");
    assert_true(id_eq(&g.out.order, &m.id));
}

static void concurrent_decisions_of_two_stores_all_count(void **state)
{
    (void)state;
    struct account_row a = account_make();
    for (int round = 0; round < 20; round++) {
        struct order_made m = order_make(&a, 4);
        struct store_authz_decide d[4];
        for (size_t i = 0; i < 4; i++) {
            d[i] = decision(&m, i, true);
            store_authz_decide(stores[i % STORES], &d[i]);
        }
        run();
        assert_int_equal(status_of(&m), ORDER_READY);
    }
}

static void one_invalid_authorization_ends_the_order(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_make(&a, 2);
    struct store_authz_decide d[2] = {decision(&m, 0, true), decision(&m, 1, false)};
    d[1].error = SLICE_LIT("{\"detail\":\"of the challenge\"}");
    d[1].order_error = SLICE_LIT("{\"detail\":\"no\"}");
    store_authz_decide(stores[0], &d[0]);
    store_authz_decide(stores[0], &d[1]);
    run();
    struct store_order_get g = {.cmd = cmd(), .id = m.id};
    store_order_get(stores[0], &g);
    run();
    assert_int_equal(g.out.status, ORDER_INVALID);
    assert_slice_str(g.out.error, "{\"detail\":\"no\"}");
    assert_slice_str(d[1].out.error, "{\"detail\":\"of the challenge\"}");
}

static void of_many_finalizes_one_wins(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_ready(&a, 2);
    struct store_intent_create c[MANY];
    for (int i = 0; i < MANY; i++) {
        c[i] = intent_of(&m, (uint8_t)(i + 1));
        store_intent_create(stores[i % STORES], &c[i]);
    }
    run();
    unsigned created = 0;
    for (int i = 0; i < MANY; i++) {
        assert_false(c[i].cmd.flags);
        created += c[i].outcome == INTENT_CREATED;
        if (c[i].outcome != INTENT_CREATED) assert_int_equal(c[i].outcome, INTENT_ORDER_NOT_READY);
    }
    assert_int_equal(created, 1);
    assert_int_equal(status_of(&m), ORDER_PROCESSING);
    struct store_intent_get g = {.cmd = cmd(), .order = m.id};
    store_intent_get(stores[0], &g);
    run();
    assert_true(g.found);
    assert_slice_str(g.out.spki, "spki");
    assert_int_equal(g.out.name_count, 1);
}

static void finalize_is_refused_for_each_reason(void **state)
{
    (void)state;
    struct account_row a = account_make(), b = account_make();
    struct order_made pending_order = order_make(&a, 1), ready[6];
    for (int i = 0; i < 6; i++) {
        ready[i] = order_ready(&a, 1);
    }
    struct store_intent_create c[8];
    c[0] = intent_of(&pending_order, 1);
    c[1] = intent_of(&ready[0], 1);
    c[1].intent.account = b.id; // another account's
    c[2] = intent_of(&ready[1], 1);
    c[2].key_version = 2;
    c[3] = intent_of(&ready[2], 1);
    char sql[400];
    // deactivated, expired authorization; expired order: by hand, as an operator or time would
    struct {
        const struct order_made *m;
        const char *set;
    } changes[] = {{&ready[2], "authorizations SET status = 4 WHERE order_id"},
                   {&ready[3], "authorizations SET expires_at = 1 WHERE order_id"},
                   {&ready[4], "orders SET expires_at = 1 WHERE id"}};
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *x = changes[i].m->id.b;
        snprintf(
            sql, sizeof sql,
            "UPDATE %s = '%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x'",
            changes[i].set, x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], x[10],
            x[11], x[12], x[13], x[14], x[15]);
        assert_int_equal(pg_psql(&pg, sql), 0);
    }
    c[4] = intent_of(&ready[3], 1);
    c[5] = intent_of(&ready[4], 1);
    struct order_made unknown = {.id = new_id(), .account = a.id};
    c[6] = intent_of(&unknown, 1);
    c[7] = intent_of(&ready[5], 1);
    c[7].authz_count = 0; // fewer than the order has
    for (int i = 0; i < 8; i++) store_intent_create(stores[0], &c[i]);
    run();
    static const enum intent_outcome want[] = {
        INTENT_ORDER_NOT_READY, INTENT_ORDER_UNKNOWN, INTENT_KEY_CHANGED,   INTENT_AUTHZ_NOT_VALID,
        INTENT_AUTHZ_NOT_VALID, INTENT_ORDER_EXPIRED, INTENT_ORDER_UNKNOWN, INTENT_AUTHZ_NOT_VALID};
    for (int i = 0; i < 8; i++)
        if (c[i].outcome != want[i])
            fail_msg("case %d: outcome %d, want %d", i, c[i].outcome, want[i]);
    assert_true(id_eq(&c[3].authz, &ready[2].authzs[0]));
    assert_int_equal(pg_psql(&pg, "UPDATE accounts SET status = 2"), 0);
    struct store_intent_create last = intent_of(&ready[5], 1);
    store_intent_create(stores[0], &last);
    run();
    assert_int_equal(last.outcome, INTENT_ACCOUNT_NOT_VALID);
    assert_int_equal(pg_psql(&pg, "UPDATE accounts SET status = 1"), 0);
}

static void of_two_certificates_one_is_kept(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_processing(&a);
    struct store_certificate_commit c[4] = {commit_of(&m, 1), commit_of(&m, 2)};
    store_certificate_commit(stores[0], &c[0]);
    store_certificate_commit(stores[1], &c[1]);
    run();
    assert_int_equal(c[0].won + c[1].won, 1);
    const struct store_certificate_commit *winner = c[0].won ? &c[0] : &c[1],
                                          *loser = c[0].won ? &c[1] : &c[0];
    assert_memory_equal(loser->order_serial, winner->serial, SERIAL_LEN);
    struct store_certificate_commit repeat = *winner;
    repeat.cmd = cmd();
    store_certificate_commit(stores[1], &repeat);
    run();
    assert_true(repeat.won);
    struct store_certificate_get g[2] = {{.cmd = cmd()}, {.cmd = cmd()}};
    memcpy(g[0].serial, winner->serial, SERIAL_LEN);
    memcpy(g[1].serial, loser->serial, SERIAL_LEN);
    store_certificate_get(stores[0], &g[0]);
    store_certificate_get(stores[0], &g[1]);
    run();
    assert_true(g[0].found && !g[1].found);
    assert_slice_str(g[0].der, "der");
    assert_int_equal(status_of(&m), ORDER_VALID);
    // An order that is valid cannot be made invalid.
    struct store_order_invalidate inv = {.cmd = cmd(), .order = m.id, .error = SLICE_LIT("{}")};
    store_order_invalidate(stores[0], &inv);
    run();
    assert_false(inv.done_now);
    assert_int_equal(inv.order_status, ORDER_VALID);
}

static void the_reaper_claims_what_is_left_behind_once(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct order_made m = order_processing(&a), n = order_processing(&a);
    (void)n;
    uint64_t dead[] = {7};
    struct store_intents_claim young = {
        .cmd = cmd(), .node = new_id(), .boot = 8, .limit = 100, .age_ms = 30000};
    store_intents_claim(stores[0], &young);
    run();
    for (size_t i = 0; i < young.out_count; i++) assert_false(id_eq(&young.out[i].order, &m.id));
    struct store_intents_claim c[2];
    for (int i = 0; i < 2; i++) {
        c[i] = (struct store_intents_claim){.cmd = cmd(),
                                            .node = new_id(),
                                            .boot = 8 + (uint64_t)i,
                                            .limit = 100,
                                            .age_ms = 30000,
                                            .dead_boots = dead,
                                            .dead_count = 1};
        store_intents_claim(stores[i], &c[i]);
    }
    run();
    unsigned seen = 0;
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < c[i].out_count; k++) seen += id_eq(&c[i].out[k].order, &m.id);
    assert_int_equal(seen, 1);
    struct store_order_invalidate inv = {
        .cmd = cmd(), .order = m.id, .error = SLICE_LIT("{\"x\":1}")};
    store_order_invalidate(stores[0], &inv);
    run();
    assert_true(inv.done_now);
    assert_int_equal(status_of(&m), ORDER_INVALID);
}

static void a_row_the_database_refuses_fails_alone(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_order_create c[8];
    struct order_made made[8];
    for (int i = 0; i < 8; i++) {
        made[i] = (struct order_made){.id = new_id()};
        c[i] = (struct store_order_create){
            .cmd = cmd(),
            .key_version = 1,
            .order = {.id = made[i].id,
                      .account = a.id,
                      .tenant = a.tenant,
                      .status = ORDER_PENDING,
                      .identifiers = SLICE_LIT("x"),
                      .profile = i == 5 ? slice_of("\xff\xfe", 2) : SLICE_LIT("p"),
                      .expires_at_us = 1}};
        store_order_create(stores[0], &c[i]);
    }
    run();
    for (int i = 0; i < 8; i++) {
        assert_int_equal(c[i].cmd.flags, i == 5);
        if (i != 5) assert_int_equal(c[i].outcome, ORDER_CREATED);
    }
    assert_err(result(&c[5].cmd), ERR_STORE_DATA);
}

static void deadlocks_and_lock_waits_are_tried_again(void **state)
{
    (void)state;
    struct account_row a = account_make();
    assert_int_equal(pg_psql(&pg, "CREATE SEQUENCE hits; CREATE FUNCTION trouble() RETURNS trigger "
                                  "LANGUAGE plpgsql AS $$ BEGIN "
                                  "CASE nextval('hits') % 4 WHEN 1 THEN RAISE SQLSTATE '40P01'; "
                                  "WHEN 2 THEN RAISE SQLSTATE '40001'; WHEN 3 THEN RAISE SQLSTATE "
                                  "'55P03'; ELSE RETURN NEW; END CASE; END $$; "
                                  "CREATE TRIGGER trouble BEFORE INSERT ON accounts FOR EACH ROW "
                                  "EXECUTE FUNCTION trouble()"),
                     0);
    struct account_row b = account_make();
    assert_int_equal(
        pg_psql(&pg, "DROP TRIGGER trouble ON accounts; DROP FUNCTION trouble; DROP SEQUENCE hits"),
        0);
    assert_false(id_eq(&a.id, &b.id));
}

static void leases_have_one_holder_and_growing_tokens(void **state)
{
    (void)state;
    struct store_lease_take a = {.cmd = cmd(),
                                 .name = SLICE_LIT("partitions"),
                                 .node = new_id(),
                                 .boot = 1,
                                 .ttl_ms = 60000};
    store_lease_take(stores[0], &a);
    run();
    assert_true(a.held);
    struct store_lease_take b = {.cmd = cmd(),
                                 .name = SLICE_LIT("partitions"),
                                 .node = new_id(),
                                 .boot = 2,
                                 .ttl_ms = 60000};
    store_lease_take(stores[1], &b);
    run();
    assert_false(b.held);
    uint64_t first = a.token;
    a.cmd = cmd();
    store_lease_take(stores[0], &a);
    run();
    assert_true(a.held);
    assert_int_equal(a.token, first);
    // partitions are made and dropped under it
    assert_int_equal(
        pg_psql(
            &pg,
            "CREATE TABLE orders_2020010100 (LIKE orders INCLUDING ALL); ALTER TABLE orders ATTACH "
            "PARTITION orders_2020010100 FOR VALUES FROM ('016f5e66-e800-0000-0000-000000000000') "
            "TO ('016f5e9d-d680-0000-0000-000000000000')"),
        0);
    struct store_partitions_tend t = {
        .cmd = cmd(), .token = a.token, .ahead_h = 50, .keep_extra_h = 24};
    store_partitions_tend(stores[0], &t);
    run();
    assert_false(t.cmd.flags);
    assert_int_equal(t.dropped, 1);
    assert_true(t.made >= 6);
    char count[32];
    assert_true(pg_value(&pg, "SELECT count(*) FROM pg_class WHERE relname = 'orders_2020010100'",
                         count, sizeof count));
    assert_string_equal(count, "0");
    struct store_partitions_tend stale = {
        .cmd = cmd(), .token = a.token + 1, .ahead_h = 60, .keep_extra_h = 24};
    store_partitions_tend(stores[0], &stale);
    run();
    assert_int_equal(stale.made, 0); // fenced
    a.cmd = cmd();
    a.release = true;
    store_lease_take(stores[0], &a);
    run();
    b.cmd = cmd();
    store_lease_take(stores[1], &b);
    run();
    assert_true(b.held);
    assert_true(b.token > first);
}

static void nodes_see_each_other(void **state)
{
    (void)state;
    struct store_node_heartbeat h[2];
    for (int i = 0; i < 2; i++) {
        h[i] = (struct store_node_heartbeat){.cmd = cmd(),
                                             .self = {.node = new_id(),
                                                      .boot = ~0ull - (uint64_t)i,
                                                      .region = 3,
                                                      .rpc_address = SLICE_LIT("127.0.0.1:1")},
                                             .keep_ms = 10000};
        store_node_heartbeat(stores[i], &h[i]);
        run();
    }
    assert_int_equal(h[1].out_count, 2);
    assert_true(h[1].out[0].boot >= ~0ull - 1);
    h[0].cmd = cmd();
    h[0].leaving = true;
    store_node_heartbeat(stores[0], &h[0]);
    run();
    assert_int_equal(h[0].out_count, 1);
}

// The commit's answer is lost by a crash at a random moment: nothing is lost, nothing happens
// twice.
static void a_crash_in_the_middle_loses_nothing(void **state)
{
    (void)state;
    struct account_row a = account_make();
    for (int round = 0; round < 3; round++) {
        struct store_order_create c[MANY];
        for (int i = 0; i < MANY; i++) {
            c[i] = (struct store_order_create){.cmd = cmd(),
                                               .key_version = 1,
                                               .order = {.id = new_id(),
                                                         .account = a.id,
                                                         .tenant = a.tenant,
                                                         .status = ORDER_PENDING,
                                                         .identifiers = SLICE_LIT("x"),
                                                         .profile = SLICE_LIT("p"),
                                                         .expires_at_us = now_us()}};
            store_order_create(stores[0], &c[i]);
        }
        for (int i = 0; i < round * 2; i++) shard_turn(shard, 0);
        pg_stop(&pg, SIGKILL);
        for (int i = 0; i < 5; i++) shard_turn(shard, 1);
        assert_true(pg_start(&pg));
        run();
        store_wait(stores[1]); // connects again in its own time
        struct store_order_get g[MANY];
        for (int i = 0; i < MANY; i++) {
            g[i] = (struct store_order_get){.cmd = cmd(), .id = c[i].order.id};
            store_order_get(stores[1], &g[i]);
        }
        run();
        for (int i = 0; i < MANY; i++) {
            assert_ok(result(&g[i].cmd));
            if (c[i].cmd.flags)
                assert_err(result(&c[i].cmd), ERR_STORE_AWAY); // was never sent
            else
                assert_true(g[i].found);
        }
    }
}

static void away_is_said_and_ends_by_itself(void **state)
{
    (void)state;
    pg_stop(&pg, SIGQUIT);
    unready_want(stores[0]);
    struct store_account_get g = {.cmd = cmd(), .by_id = true};
    store_account_get(stores[0], &g);
    run();
    assert_true(g.cmd.flags);
    assert_err(result(&g.cmd), ERR_STORE_AWAY);
    assert_true(pg_start(&pg));
    store_wait(stores[0]);
    (void)account_make();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_made_once_per_key),
        cmocka_unit_test(racing_keys_make_one_account),
        cmocka_unit_test(an_order_becomes_ready_when_its_last_authorization_is_valid),
        cmocka_unit_test(concurrent_decisions_of_two_stores_all_count),
        cmocka_unit_test(one_invalid_authorization_ends_the_order),
        cmocka_unit_test(of_many_finalizes_one_wins),
        cmocka_unit_test(finalize_is_refused_for_each_reason),
        cmocka_unit_test(of_two_certificates_one_is_kept),
        cmocka_unit_test(the_reaper_claims_what_is_left_behind_once),
        cmocka_unit_test(a_row_the_database_refuses_fails_alone),
        cmocka_unit_test(deadlocks_and_lock_waits_are_tried_again),
        cmocka_unit_test(leases_have_one_holder_and_growing_tokens),
        cmocka_unit_test(nodes_see_each_other),
        cmocka_unit_test(a_crash_in_the_middle_loses_nothing),
        cmocka_unit_test(away_is_said_and_ends_by_itself),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
