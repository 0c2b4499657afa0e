// account: contacts, end, key and orders of accounts. A second connection holds locks, so that what
// would be a rare race happens every time.
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

static const struct slice contact_a = SLICE_LIT("[\"mailto:a@x.test\"]"),
                          contact_b = SLICE_LIT("[\"mailto:b@x.test\"]"),
                          spki = SLICE_LIT("0another");

static struct store_account_update update_of(const struct account_row *a)
{
    return (struct store_account_update){.cmd = cmd(), .id = a->id, .key_version = a->key_version};
}

static struct store_account_key_change change_of(const struct account_row *a)
{
    struct store_account_key_change c = {
        .cmd = cmd(), .id = a->id, .key_version = a->key_version, .spki = spki};
    shard_random(shard, c.thumbprint, sizeof c.thumbprint);
    return c;
}

static struct account_row account_of_key(const uint8_t thumbprint[32])
{
    struct store_account_get g = {.cmd = cmd(), .tenant = SLICE_LIT("default")};
    memcpy(g.thumbprint, thumbprint, 32);
    store_account_get(stores[0], &g);
    run();
    assert_ok(result(&g.cmd));
    if (!g.found) memset(&g.out, 0, sizeof g.out);
    return g.out;
}

static int64_t refused(void) { return metric_total(metrics, &METRIC_STORE_COMMANDS_FAILED); }

static PGconn *account_hold(const struct account_row *a)
{
    char id[UUID_TEXT_SIZE];
    PGconn *c = sql_open();
    sql_on(c, "BEGIN");
    sql_on(c, "SELECT FROM accounts WHERE id = '%s' FOR UPDATE", uuid_text(id, &a->id));
    return c;
}

static void release(PGconn *c)
{
    sql_on(c, "COMMIT");
    PQfinish(c);
}

// ---- contacts, end

static void what_is_not_asked_for_stays(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_account_update u = update_of(&a);
    u.set_contact = true;
    u.contact = contact_a;
    store_account_update(stores[0], &u);
    run();
    assert_ok(result(&u.cmd));
    assert_int_equal(u.outcome, ACCOUNT_CHANGED);
    assert_true(slice_eq(u.out.contact, contact_a));
    u = update_of(&a);
    store_account_update(stores[0], &u);
    run();
    assert_int_equal(u.outcome, ACCOUNT_CHANGED);
    assert_true(slice_eq(u.out.contact, contact_a));
    assert_true(u.out.terms_agreed);
    assert_int_equal(u.out.status, ACCOUNT_VALID);
    assert_int_equal(u.out.key_version, 1);
    assert_memory_equal(u.out.thumbprint, a.thumbprint, 32);
}

// UPDATE ... FROM would apply one of them.
static void updates_of_one_flush_are_added_up(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_account_update u[4];
    uint64_t flushes = store_flush_count(stores[0]);
    for (size_t i = 0; i < COUNT_OF(u); i++) u[i] = update_of(&a);
    u[0].set_contact = u[2].set_contact = true;
    u[0].contact = contact_a;
    u[2].contact = contact_b;
    u[3].deactivate = true;
    for (size_t i = 0; i < COUNT_OF(u); i++) store_account_update(stores[0], &u[i]);
    run();
    assert_int_equal(store_flush_count(stores[0]), flushes + 1);
    for (size_t i = 0; i < COUNT_OF(u); i++) {
        assert_int_equal(u[i].outcome, ACCOUNT_CHANGED);
        assert_true(slice_eq(u[i].out.contact, contact_b));
        assert_int_equal(u[i].out.status, ACCOUNT_DEACTIVATED);
    }
}

static void a_deactivated_account_does_not_change_any_more(void **state)
{
    (void)state;
    struct account_row a = account_make();
    for (int i = 0; i < 2; i++) { // the second finds what it wanted
        struct store_account_update u = update_of(&a);
        u.deactivate = true;
        store_account_update(stores[0], &u);
        run();
        assert_int_equal(u.outcome, ACCOUNT_CHANGED);
    }
    struct store_account_update u = update_of(&a);
    struct store_account_key_change c = change_of(&a);
    u.set_contact = true;
    u.contact = contact_a;
    store_account_update(stores[0], &u);
    store_account_key_change(stores[0], &c);
    run();
    assert_int_equal(u.outcome, ACCOUNT_NOT_VALID);
    assert_int_equal(u.out.status, ACCOUNT_DEACTIVATED);
    assert_true(slice_eq_str(u.out.contact, "[]"));
    assert_int_equal(c.outcome, ACCOUNT_NOT_VALID);
    assert_int_equal(c.out.key_version, 1);
}

static void an_older_key_changes_nothing(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_account_key_change c = change_of(&a), again;
    store_account_key_change(stores[0], &c);
    run();
    assert_int_equal(c.outcome, ACCOUNT_CHANGED);
    struct store_account_update u = update_of(&a);
    u.deactivate = true;
    again = change_of(&a);
    struct order_made m = {.account = a.id, .id = new_id()};
    struct store_order_create o = order_create_of(&m, NULL); // with the first key
    store_account_update(stores[0], &u);
    store_account_key_change(stores[0], &again);
    store_order_create(stores[0], &o);
    run();
    assert_int_equal(o.outcome, ORDER_ACCOUNT_NOT_VALID);
    assert_int_equal(u.outcome, ACCOUNT_KEY_CHANGED);
    assert_int_equal(u.out.status, ACCOUNT_VALID);
    assert_int_equal(again.outcome, ACCOUNT_KEY_CHANGED);
    assert_memory_equal(again.out.thumbprint, c.thumbprint, 32);
}

static void of_nobody_there_is_nothing_to_change(void **state)
{
    (void)state;
    struct account_row nobody = {.id = new_id(), .key_version = 1};
    struct store_account_update u = update_of(&nobody);
    struct store_account_key_change c = change_of(&nobody);
    u.deactivate = true;
    store_account_update(stores[0], &u);
    store_account_key_change(stores[0], &c);
    run();
    assert_int_equal(u.outcome, ACCOUNT_UNKNOWN);
    assert_int_equal(c.outcome, ACCOUNT_UNKNOWN);
    assert_int_equal(account_of_key(c.thumbprint).key_version, 0);
}

// The account ends while an update waits for it: what the update saw before its wait is not what
// decides.
static void what_changes_during_the_wait_is_seen(void **state)
{
    (void)state;
    struct account_row a = account_make();
    char id[UUID_TEXT_SIZE];
    PGconn *other = account_hold(&a);
    struct store_account_update u = update_of(&a);
    struct store_account_key_change c = change_of(&a);
    u.set_contact = true;
    u.contact = contact_a;
    store_account_update(stores[0], &u);
    store_account_key_change(stores[0], &c);
    waiters_want(1);
    sql_on(other, "UPDATE accounts SET status = 2 WHERE id = '%s'", uuid_text(id, &a.id));
    release(other);
    run();
    assert_int_equal(u.outcome, ACCOUNT_NOT_VALID);
    assert_int_equal(c.outcome, ACCOUNT_NOT_VALID);
    assert_int_equal(account_of_key(c.thumbprint).key_version, 0);
}

// ---- keys

static void a_changed_key_finds_the_account_and_the_old_one_is_free(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_account_key_change c = change_of(&a);
    store_account_key_change(stores[0], &c);
    run();
    assert_int_equal(c.outcome, ACCOUNT_CHANGED);
    assert_int_equal(c.out.key_version, 2);
    assert_true(slice_eq(c.out.spki, spki));
    struct account_row found = account_of_key(c.thumbprint);
    assert_true(id_eq(&found.id, &a.id));
    assert_int_equal(account_of_key(a.thumbprint).key_version, 0);
    struct store_account_create n = {.cmd = cmd(), .row = a};
    n.row.id = new_id();
    store_account_create(stores[0], &n);
    run();
    assert_true(n.created);
    assert_true(id_eq(&n.out.id, &n.row.id));
}

static void a_key_that_is_somebodys_is_not_taken(void **state)
{
    (void)state;
    struct account_row a = account_make(), b = account_make();
    int64_t before = refused();
    struct store_account_key_change c = change_of(&a), same = change_of(&b);
    memcpy(c.thumbprint, b.thumbprint, 32);
    memcpy(same.thumbprint, b.thumbprint, 32); // its own
    store_account_key_change(stores[0], &c);
    store_account_key_change(stores[0], &same);
    run();
    assert_ok(result(&c.cmd));
    assert_int_equal(c.outcome, ACCOUNT_KEY_TAKEN);
    assert_true(id_eq(&c.taken_by, &b.id));
    assert_int_equal(c.out.key_version, 1);
    assert_int_equal(same.outcome, ACCOUNT_KEY_TAKEN);
    assert_true(id_eq(&same.taken_by, &b.id));
    assert_int_equal(refused(), before);
    struct account_row found = account_of_key(a.thumbprint);
    assert_true(id_eq(&found.id, &a.id));
}

// Two accounts and a new one want one key, from two stores and in one flush: one has it, and no row
// raises.
static void of_all_who_want_a_key_one_gets_it(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    struct account_row a[COUNT];
    struct store_account_key_change c[COUNT];
    uint8_t key[32];
    int64_t before = refused();
    unsigned won = 0;
    shard_random(shard, key, sizeof key);
    for (size_t i = 0; i < COUNT; i++) a[i] = account_make();
    for (size_t i = 0; i < COUNT; i++) {
        c[i] = change_of(&a[i]);
        memcpy(c[i].thumbprint, key, sizeof key);
        store_account_key_change(stores[i % STORES], &c[i]);
    }
    struct store_account_create n = {.cmd = cmd(), .row = a[0]};
    n.row.id = new_id();
    memcpy(n.row.thumbprint, key, sizeof key);
    store_account_create(stores[1], &n);
    run();
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(result(&c[i].cmd));
        won += c[i].outcome == ACCOUNT_CHANGED;
        if (c[i].outcome != ACCOUNT_CHANGED) assert_int_equal(c[i].outcome, ACCOUNT_KEY_TAKEN);
    }
    assert_ok(result(&n.cmd));
    assert_int_equal(won + n.created, 1);
    assert_int_equal(refused(), before);
    struct account_row found = account_of_key(key);
    assert_true(id_eq(&n.out.id, &found.id));
}

static void of_two_changes_of_one_account_the_first_is_made(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct store_account_key_change c[2] = {change_of(&a), change_of(&a)};
    for (size_t i = 0; i < 2; i++) store_account_key_change(stores[0], &c[i]);
    run();
    assert_int_equal(c[0].outcome, ACCOUNT_CHANGED);
    assert_int_equal(c[1].outcome, ACCOUNT_KEY_CHANGED);
    assert_memory_equal(c[1].out.thumbprint, c[0].thumbprint, 32);
    assert_int_equal(account_of_key(c[1].thumbprint).key_version, 0);
    // Many accounts swap keys between two stores in any order, and all end.
    enum { COUNT = 32 };
    struct account_row many[COUNT];
    struct store_account_key_change m[COUNT];
    for (size_t i = 0; i < COUNT; i++) many[i] = account_make();
    for (size_t i = 0; i < COUNT; i++) {
        m[i] = change_of(&many[i]);
        memcpy(m[i].thumbprint, many[COUNT - 1 - i].thumbprint, 32);
        store_account_key_change(stores[i % STORES], &m[i]);
    }
    run();
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(m[i].outcome, ACCOUNT_KEY_TAKEN);
}

// ---- the list of orders

static size_t list(const struct account_row *a, struct id before, unsigned limit, struct id *out,
                   bool *more)
{
    struct store_orders_list l = {.cmd = cmd(), .account = a->id, .before = before, .limit = limit};
    store_orders_list(stores[0], &l);
    run();
    assert_ok(result(&l.cmd));
    assert_true(l.out_count <= limit);
    memcpy(out, l.out, l.out_count * sizeof *out);
    *more = l.more;
    return l.out_count;
}

static void orders_are_listed_by_pages_newest_first(void **state)
{
    (void)state;
    enum { COUNT = 7 };
    struct account_row a = account_make(), b = account_make();
    struct order_made made[COUNT];
    struct id all[COUNT], page[3];
    char id[UUID_TEXT_SIZE];
    bool more;
    for (int i = 0; i < COUNT; i++) {
        made[i] = order_make(&a, 1);
        (void)order_make(&b, 1);
    }
    assert_int_equal(list(&a, (struct id){0}, COUNT, all, &more), COUNT);
    assert_false(more);
    for (int i = 1; i < COUNT; i++) assert_true(id_cmp(&all[i - 1], &all[i]) > 0);
    size_t seen = 0;
    struct id before = {0};
    do {
        size_t n = list(&a, before, 3, page, &more);
        for (size_t i = 0; i < n; i++) assert_true(id_eq(&page[i], &all[seen++]));
        before = page[n - 1];
    } while (more);
    assert_int_equal(seen, COUNT);
    // What has ended without a certificate is not shown.
    sql_run("UPDATE orders SET status = 5 WHERE id = '%s'", uuid_text(id, &made[2].id));
    sql_run("UPDATE orders SET expires_at = 1 WHERE id = '%s'", uuid_text(id, &made[3].id));
    sql_run("UPDATE orders SET expires_at = 1, status = 4 WHERE id = '%s'",
            uuid_text(id, &made[4].id));
    assert_int_equal(list(&a, (struct id){0}, COUNT, all, &more), COUNT - 2);
    assert_int_equal(list(&a, all[COUNT - 3], COUNT, page, &more), 0);
    assert_false(more);
}

// After all of the above: one row each, of the key that the account has.
static void every_account_has_its_key(void **state)
{
    (void)state;
    assert_int_equal(sql_int("SELECT count(*) FROM accounts a LEFT JOIN account_keys k ON "
                             "k.tenant = a.tenant AND k.thumbprint = a.thumbprint AND k.account = "
                             "a.id WHERE k.account IS NULL"),
                     0);
    assert_int_equal(
        sql_int("SELECT (SELECT count(*) FROM accounts) - (SELECT count(*) FROM account_keys)"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_asked_for_stays),
        cmocka_unit_test(updates_of_one_flush_are_added_up),
        cmocka_unit_test(a_deactivated_account_does_not_change_any_more),
        cmocka_unit_test(an_older_key_changes_nothing),
        cmocka_unit_test(of_nobody_there_is_nothing_to_change),
        cmocka_unit_test(what_changes_during_the_wait_is_seen),
        cmocka_unit_test(a_changed_key_finds_the_account_and_the_old_one_is_free),
        cmocka_unit_test(a_key_that_is_somebodys_is_not_taken),
        cmocka_unit_test(of_all_who_want_a_key_one_gets_it),
        cmocka_unit_test(of_two_changes_of_one_account_the_first_is_made),
        cmocka_unit_test(orders_are_listed_by_pages_newest_first),
        cmocka_unit_test(every_account_has_its_key),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
