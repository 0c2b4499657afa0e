// crl: which CRLs are due, what stands on them, and that only the holder of the lease keeps one, in
// place of the one that it has read.
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/leaf.h"
#include "tests/unit/store/fixture.h"

static uint64_t token;

static uint32_t shard_now(unsigned part) { return crl_shard_of(now_us() / 1000000, part); }

static void lease_take(uint64_t boot, bool release)
{
    static struct id node = {.b = {1}};
    struct store_lease_take l = {.cmd = cmd(),
                                 .name = SLICE_LIT("crls"),
                                 .node = node,
                                 .boot = boot,
                                 .ttl_ms = 60000,
                                 .release = release};
    store_lease_take(stores[0], &l);
    run();
    assert_true(release || l.held);
    if (!release) token = l.token;
}

static struct store_crls_due due(void)
{
    struct store_crls_due c = {.cmd = cmd(), .issuer = 1, .parts = 2, .limit = 100};
    store_crls_due(stores[1], &c);
    run();
    assert_ok(result(&c.cmd));
    return c;
}

static const struct crl_due *due_find(const struct store_crls_due *c, uint32_t wanted)
{
    for (size_t i = 0; i < c->out_count; i++)
        if (c->out[i].shard == wanted) return &c->out[i];
    return NULL;
}

static struct store_crl_entries read_of(uint32_t of)
{
    struct store_crl_entries c = {.cmd = cmd(), .issuer = 1, .shard = of, .limit = 100};
    store_crl_entries(stores[1], &c);
    run();
    assert_ok(result(&c.cmd));
    return c;
}

static struct store_crl_commit commit_for(uint32_t of, uint64_t before, uint64_t number)
{
    int64_t now = now_us() / 1000000;
    return (struct store_crl_commit){.cmd = cmd(),
                                     .issuer = 1,
                                     .shard = of,
                                     .before = before,
                                     .number = number,
                                     .this_update = now,
                                     .next_update = now + 3000,
                                     .der = SLICE_LIT("crl"),
                                     .token = token};
}

static bool kept(struct store_crl_commit *c)
{
    store_crl_commit(stores[0], c);
    run();
    assert_ok(result(&c->cmd));
    return c->kept;
}

static uint64_t number_of(uint32_t of)
{
    struct store_crl_get g = {.cmd = cmd(), .issuer = 1, .shard = of};
    store_crl_get(stores[1], &g);
    run();
    return g.found ? g.number : 0;
}

// revoked_make issues a certificate of a shard and revokes it.
static struct store_revoke revoked_make(uint32_t of, unsigned reason)
{
    struct account_row a = account_make();
    struct order_made m = order_processing(&a);
    struct store_certificate_commit c = commit_of(&m, 1);
    c.crl_shard = of;
    store_certificate_commit(stores[0], &c);
    run();
    struct store_revoke r = {.cmd = cmd(), .reason = reason};
    memcpy(r.serial, c.serial, SERIAL_LEN);
    store_revoke(stores[0], &r);
    run();
    assert_int_equal(r.outcome, REVOCATION_MADE);
    return r;
}

// Before an hour begins, and for the hour that backdated certificates are of.
static void each_hour_has_its_crls_before_its_certificates(void **state)
{
    (void)state;
    struct store_crls_due c = due();
    assert_int_equal(c.out_count, 6); // three hours of two parts
    for (unsigned part = 0; part < 2; part++) {
        assert_non_null(due_find(&c, shard_now(part)));
        assert_non_null(due_find(&c, shard_now(part) - CRL_PARTS_MAX));
        assert_non_null(due_find(&c, shard_now(part) + CRL_PARTS_MAX));
    }
    for (size_t i = 0; i < c.out_count; i++) {
        assert_int_equal(c.out[i].number, 0);
        assert_false(c.out[i].late);
    }
}

static void what_is_kept_is_due_after_a_third_and_late_at_half(void **state)
{
    (void)state;
    lease_take(1, false);
    uint32_t of = shard_now(0) - 10 * CRL_PARTS_MAX; // not one of those that are due anyway
    struct store_crl_commit c = commit_for(of, 0, 10);
    assert_true(kept(&c));
    struct store_crls_due d = due();
    assert_null(due_find(&d, of));
    const struct {
        int since;
        bool due, late;
    } rows[] = {{900, false, false}, {1010, true, false}, {1490, true, false}, {1510, true, true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        sql_run("UPDATE crls SET this_update = now_us() / 1000000 - %d, next_update = now_us() / "
                "1000000 - %d + 3000",
                rows[i].since, rows[i].since);
        d = due();
        const struct crl_due *row = due_find(&d, of);
        assert_int_equal(row != NULL, rows[i].due);
        if (row != NULL) assert_int_equal(row->late, rows[i].late);
        if (row != NULL) assert_int_equal(row->number, 10);
    }
    sql_run("DELETE FROM crls");
}

static void a_revocation_is_due_until_it_is_on_a_crl_that_saw_it(void **state)
{
    (void)state;
    lease_take(1, false);
    uint32_t of = shard_now(1);
    struct store_crl_commit c = commit_for(of, 0, 10);
    assert_true(kept(&c));
    struct store_revoke r = revoked_make(of, 4), other = revoked_make(shard_now(0), 1);
    (void)other;
    struct store_crls_due d = due();
    assert_non_null(due_find(&d, of));
    struct store_crl_entries e = read_of(of);
    assert_true(e.there);
    assert_int_equal(e.count, 1); // of this shard only
    assert_memory_equal(e.entries[0].serial, r.serial, SERIAL_LEN);
    assert_int_equal(e.entries[0].reason, 4);
    assert_true(e.entries[0].revoked_at_us <= e.now_us);
    assert_int_equal(e.change_count, 1);
    struct store_revoke later = revoked_make(of, 5); // behind the reading
    c = commit_for(of, 10, 11);
    c.changes = e.changes;
    c.change_count = e.change_count;
    assert_true(kept(&c));
    d = due();
    assert_non_null(due_find(&d, of)); // it is on none yet
    e = read_of(of);
    assert_int_equal(e.count, 2);
    assert_true(memcmp(e.entries[0].serial, e.entries[1].serial, SERIAL_LEN) < 0);
    c = commit_for(of, 11, 12);
    c.changes = e.changes;
    c.change_count = e.change_count;
    assert_true(kept(&c));
    d = due();
    assert_null(due_find(&d, of));
    (void)later;
    sql_run("DELETE FROM crls");
    sql_run("DELETE FROM crl_changes");
}

// F32: of two makers one keeps its CRL, and one that lost the lease keeps nothing.
static void only_the_holder_keeps_and_only_what_it_saw_last(void **state)
{
    (void)state;
    uint32_t of = shard_now(0);
    lease_take(1, false);
    struct store_crl_commit first = commit_for(of, 0, 20);
    assert_true(kept(&first));
    struct store_crl_commit repeat = first;
    repeat.cmd = cmd();
    assert_true(kept(&repeat)); // after a lost answer it finds its own
    struct store_crl_commit stale = commit_for(of, 19, 21);
    assert_false(kept(&stale));
    struct store_crl_commit lower = commit_for(of, 20, 20);
    lower.der = SLICE_LIT("other");
    assert_false(kept(&lower));
    lease_take(1, true);
    struct store_crl_commit frozen = commit_for(of, 20, 22);
    assert_false(kept(&frozen));
    lease_take(2, false);
    struct store_crl_commit thawed = commit_for(of, 20, 23);
    thawed.token = token - 1;
    assert_false(kept(&thawed));
    assert_int_equal(number_of(of), 20);
    struct store_crl_commit next = commit_for(of, 20, 24);
    assert_true(kept(&next));
    assert_int_equal(number_of(of), 24);
    lease_take(2, true);
    sql_run("DELETE FROM crls");
}

static void an_hour_that_has_gone_has_no_entries(void **state)
{
    (void)state;
    struct store_crl_entries e = read_of(5 * CRL_PARTS_MAX);
    assert_false(e.there);
    assert_int_equal(e.count, 0);
    assert_int_equal(number_of(5 * CRL_PARTS_MAX), 0);
}

// What was burned may be somewhere, though nobody was given it: it is listed where there is a CRL.
static void burned_serials_are_listed(void **state)
{
    (void)state;
    for (int with_crl = 0; with_crl < 2; with_crl++) {
        struct account_row a = account_make();
        struct order_made m = order_ready(&a, 1);
        struct store_intent_create in = intent_of(&m, 9);
        in.intent.crl_shard = with_crl ? shard_now(0) : 0;
        store_intent_create(stores[0], &in);
        run();
        assert_int_equal(in.outcome, INTENT_CREATED);
        struct store_order_invalidate v = {.cmd = cmd(), .order = m.id, .error = SLICE_LIT("{}")};
        store_order_invalidate(stores[0], &v);
        run();
        struct store_certificate_commit c = commit_of(&m, 3); // for its serial
        pending--;
        for (int repeat = 0; repeat < 2; repeat++) {
            struct store_intent_close n = {.cmd = cmd(), .order = m.id, .has_burned = true};
            memcpy(n.burned_serial, c.serial, SERIAL_LEN);
            store_intent_close(stores[0], &n);
            run();
            assert_true(n.closed);
            struct store_revocation_get g = {.cmd = cmd()};
            memcpy(g.serial, c.serial, SERIAL_LEN);
            store_revocation_get(stores[1], &g);
            run();
            assert_int_equal(g.found, with_crl);
        }
        if (with_crl) {
            struct store_crl_entries e = read_of(shard_now(0));
            assert_true(e.count >= 1);
            assert_int_equal(e.change_count, 1); // once
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hour_has_its_crls_before_its_certificates),
        cmocka_unit_test(what_is_kept_is_due_after_a_third_and_late_at_half),
        cmocka_unit_test(a_revocation_is_due_until_it_is_on_a_crl_that_saw_it),
        cmocka_unit_test(only_the_holder_keeps_and_only_what_it_saw_last),
        cmocka_unit_test(an_hour_that_has_gone_has_no_entries),
        cmocka_unit_test(burned_serials_are_listed),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
