// eab: external account binding keys: made all or none, counted in the commit that makes an
// account, rotated, disabled. A second connection holds locks, so that what would be a rare race
// happens every time.
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

static const struct slice tenant = SLICE_LIT("default");
static unsigned kids;

static struct eab_row row_of(const char *secret)
{
    static char texts[256][8];
    char *kid = texts[kids++ % COUNT_OF(texts)];
    snprintf(kid, sizeof texts[0], "k%u", kids);
    return (struct eab_row){.tenant = tenant,
                            .kid = slice_str(kid),
                            .id = new_id(),
                            .status = EAB_ENABLED,
                            .algorithms = EAB_HS256 | EAB_HS512,
                            .secret = slice_str(secret),
                            .identifiers = SLICE_LIT("[\"corp.test\"]"),
                            .profiles = SLICE_LIT("[]"),
                            .comment = SLICE_LIT("for the test")};
}

static size_t create(const struct eab_row *rows, size_t count)
{
    struct store_eab_create c = {.cmd = cmd(), .rows = rows, .count = count, .conflict = 99};
    store_eab_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    return c.conflict;
}

// key_make makes a key that makes so many accounts.
static struct eab_row key_make(int64_t accounts_max)
{
    struct eab_row row = row_of("sealed");
    row.accounts_max = accounts_max;
    assert_int_equal(create(&row, 1), 0);
    return row;
}

static bool get(struct slice kid, struct eab_row *out)
{
    struct store_eab_get g = {.cmd = cmd(), .tenant = tenant, .kid = kid};
    store_eab_get(stores[0], &g);
    run();
    assert_ok(result(&g.cmd));
    *out = g.out;
    return g.found;
}

static int64_t used(const struct eab_row *key)
{
    struct eab_row now;
    assert_true(get(key->kid, &now));
    return now.accounts_used;
}

static struct eab_row change(const struct eab_row *row, uint32_t what, int64_t overlap_us)
{
    struct store_eab_change c = {.cmd = cmd(), .row = *row, .what = what, .overlap_us = overlap_us};
    store_eab_change(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    assert_true(c.found);
    return c.out;
}

static struct store_account_create account_by(const struct eab_row *key)
{
    struct store_account_create c = {.cmd = cmd(),
                                     .eab_secret = key->secret,
                                     .row = {.id = new_id(),
                                             .tenant = tenant,
                                             .status = ACCOUNT_VALID,
                                             .spki = SLICE_LIT("0spki"),
                                             .contact = SLICE_LIT("[]"),
                                             .eab_kid = key->kid,
                                             .eab_binding = SLICE_LIT("{\"payload\":\"x\"}")}};
    shard_random(shard, c.row.thumbprint, sizeof c.row.thumbprint);
    return c;
}

// refusal is why the key makes no account now; 0: it made one.
static enum eab_refusal refusal(const struct eab_row *key)
{
    struct store_account_create c = account_by(key);
    store_account_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    assert_int_equal(c.created, c.refused == 0);
    assert_int_equal(c.out.status, c.created ? ACCOUNT_VALID : 0);
    return c.refused;
}

// ---- keys

static void a_key_is_kept_as_it_was_given(void **state)
{
    (void)state;
    struct eab_row row = row_of("sealed"), out;
    row.expires_at_us = now_us() + 1000000000;
    row.accounts_max = 7;
    row.profiles = SLICE_LIT("[\"server\"]");
    assert_false(get(row.kid, &out));
    assert_int_equal(create(&row, 1), 0);
    assert_true(get(row.kid, &out));
    assert_true(slice_eq(out.tenant, tenant) && slice_eq(out.kid, row.kid));
    assert_true(id_eq(&out.id, &row.id));
    assert_int_equal(out.status, EAB_ENABLED);
    assert_int_equal(out.algorithms, EAB_HS256 | EAB_HS512);
    assert_slice_str(out.secret, "sealed");
    assert_slice_str(out.previous, "");
    assert_int_equal(out.expires_at_us, row.expires_at_us);
    assert_int_equal(out.accounts_max, 7);
    assert_int_equal(out.accounts_used, 0);
    assert_slice_str(out.identifiers, "[\"corp.test\"]");
    assert_slice_str(out.profiles, "[\"server\"]");
    assert_slice_str(out.comment, "for the test");
    assert_true(llabs(out.created_at_us - now_us()) < 60000000);
    assert_int_equal(out.created_at_us / 1000000, out.secret_at_us / 1000000);
}

static void all_keys_of_an_import_are_made_or_none(void **state)
{
    (void)state;
    struct eab_row rows[5], out;
    int64_t before = sql_int("SELECT count(*) FROM eab_keys");
    for (size_t i = 0; i < 5; i++) rows[i] = row_of("sealed");
    assert_int_equal(create(&rows[3], 1), 0);
    rows[3].id = new_id(); // another key of this name
    assert_int_equal(create(rows, 5), 4);
    assert_int_equal(sql_int("SELECT count(*) FROM eab_keys"), before + 1);
    assert_false(get(rows[0].kid, &out));
    rows[3] = row_of("sealed");
    assert_int_equal(create(rows, 5), 0);
    assert_int_equal(create(rows, 5), 0); // a repeat is its own work
    assert_int_equal(sql_int("SELECT count(*) FROM eab_keys"), before + 6);
}

// Both stores, and twice in one flush: one is made, the others hear of it, and no row raises.
static void of_imports_that_race_for_a_name_one_is_made(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    struct eab_row rows[COUNT][2];
    struct store_eab_create c[COUNT];
    struct eab_row shared = row_of("sealed");
    int64_t before = metric_total(metrics, &METRIC_STORE_COMMANDS_FAILED),
            keys = sql_int("SELECT count(*) FROM eab_keys");
    unsigned made = 0;
    for (size_t i = 0; i < COUNT; i++) {
        rows[i][0] = row_of("sealed");
        rows[i][1] = shared;
        rows[i][1].id = new_id();
        c[i] = (struct store_eab_create){.cmd = cmd(), .rows = rows[i], .count = 2};
        store_eab_create(stores[i % STORES], &c[i]);
    }
    run();
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(result(&c[i].cmd));
        made += c[i].conflict == 0;
        if (c[i].conflict != 0) assert_int_equal(c[i].conflict, 2);
    }
    assert_int_equal(made, 1);
    assert_int_equal(sql_int("SELECT count(*) FROM eab_keys"), keys + 2);
    assert_int_equal(metric_total(metrics, &METRIC_STORE_COMMANDS_FAILED), before);
}

static void keys_are_listed_by_pages(void **state)
{
    (void)state;
    struct eab_row rows[5];
    for (size_t i = 0; i < 5; i++) {
        rows[i] = row_of("sealed");
        rows[i].tenant = i < 2 ? SLICE_LIT("list-a") : SLICE_LIT("list-b");
    }
    assert_int_equal(create(rows, 5), 0);
    struct store_eab_list l = {.cmd = cmd(), .tenant = SLICE_LIT("list-b"), .limit = 2};
    store_eab_list(stores[0], &l);
    run();
    assert_int_equal(l.out_count, 2);
    assert_true(l.more);
    assert_true(slice_cmp(l.out[0].kid, l.out[1].kid) < 0);
    struct store_eab_list rest = {.cmd = cmd(),
                                  .tenant = SLICE_LIT("list-b"),
                                  .after_tenant = l.out[1].tenant,
                                  .after_kid = l.out[1].kid,
                                  .limit = 2};
    struct store_eab_list all = {.cmd = cmd(), .after_tenant = SLICE_LIT("list-"), .limit = 1000};
    store_eab_list(stores[0], &rest);
    store_eab_list(stores[0], &all);
    run();
    assert_int_equal(rest.out_count, 1);
    assert_false(rest.more);
    assert_int_equal(all.out_count, 5);
}

// ---- accounts

static void a_key_makes_accounts_and_counts_them(void **state)
{
    (void)state;
    struct eab_row key = key_make(0);
    struct store_account_create c = account_by(&key), again;
    store_account_create(stores[0], &c);
    run();
    assert_true(c.created);
    assert_true(slice_eq(c.out.eab_kid, key.kid));
    assert_slice_str(c.out.eab_binding, "{\"payload\":\"x\"}");
    again = c; // the same account key: found, whatever its binding is worth, and not counted
    again.cmd = cmd();
    again.row.id = new_id();
    again.eab_secret = SLICE_LIT("none of it");
    store_account_create(stores[0], &again);
    run();
    assert_false(again.created);
    assert_int_equal(again.refused, 0);
    assert_true(id_eq(&again.out.id, &c.row.id));
    for (int i = 0; i < 3; i++) assert_int_equal(refusal(&key), 0);
    assert_int_equal(used(&key), 4);
}

static void what_a_key_does_not_allow_makes_no_account(void **state)
{
    (void)state;
    struct eab_row key = key_make(2), nobody = row_of("sealed"), other = key;
    int64_t before = sql_int("SELECT count(*) FROM accounts"),
            keys = sql_int("SELECT count(*) FROM account_keys");
    assert_int_equal(refusal(&nobody), EAB_UNKNOWN);
    other.secret = SLICE_LIT("another");
    assert_int_equal(refusal(&other), EAB_ROTATED);
    other.secret = SLICE_LIT(""); // "no previous secret" is no secret
    assert_int_equal(refusal(&other), EAB_ROTATED);
    key.status = EAB_DISABLED;
    assert_int_equal(change(&key, EAB_SET_STATUS, 0).status, EAB_DISABLED);
    assert_int_equal(refusal(&key), EAB_NOT_ENABLED);
    key.status = EAB_ENABLED;
    key.expires_at_us = now_us() - 1000;
    (void)change(&key, EAB_SET_STATUS | EAB_SET_EXPIRES, 0);
    assert_int_equal(refusal(&key), EAB_EXPIRED);
    assert_int_equal(sql_int("SELECT count(*) FROM accounts"), before);
    assert_int_equal(sql_int("SELECT count(*) FROM account_keys"), keys); // the key is still free
    key.expires_at_us = now_us() + 60000000;
    (void)change(&key, EAB_SET_EXPIRES, 0);
    assert_int_equal(refusal(&key), 0);
    assert_int_equal(refusal(&key), 0);
    assert_int_equal(refusal(&key), EAB_USED_UP);
    assert_int_equal(used(&key), 2);
}

// T10: many at once, over two stores and several in one flush: as many accounts as there are
// places.
static void as_many_accounts_as_places(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    for (int64_t places = 1; places <= 3; places += 2) {
        struct eab_row key = key_make(places);
        struct store_account_create c[COUNT];
        int64_t made = 0, before = metric_total(metrics, &METRIC_STORE_COMMANDS_FAILED);
        for (size_t i = 0; i < COUNT; i++) {
            c[i] = account_by(&key);
            store_account_create(stores[i % STORES], &c[i]);
        }
        run();
        for (size_t i = 0; i < COUNT; i++) {
            assert_ok(result(&c[i].cmd));
            made += c[i].created;
            if (!c[i].created) assert_int_equal(c[i].refused, EAB_USED_UP);
        }
        assert_int_equal(made, places);
        assert_int_equal(used(&key), places);
        assert_int_equal(metric_total(metrics, &METRIC_STORE_COMMANDS_FAILED), before);
    }
}

// One account key twice in a flush takes one place, and both get the account.
static void the_same_account_twice_takes_one_place(void **state)
{
    (void)state;
    struct eab_row key = key_make(2);
    struct store_account_create c[3] = {account_by(&key), account_by(&key), account_by(&key)};
    memcpy(c[1].row.thumbprint, c[0].row.thumbprint, 32);
    for (size_t i = 0; i < 3; i++) store_account_create(stores[0], &c[i]);
    run();
    for (size_t i = 0; i < 3; i++) assert_int_equal(c[i].refused, 0);
    assert_true(c[0].created && !c[1].created && c[2].created);
    assert_true(id_eq(&c[1].out.id, &c[0].out.id));
    assert_int_equal(used(&key), 2);
}

// The key changes while an account waits for it: what was seen before the wait does not decide.
static void what_changes_during_the_wait_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum eab_refusal want;
    } rows[] = {{"status = 2", EAB_NOT_ENABLED},
                {"accounts_used = 1", EAB_USED_UP},
                {"secret = 'other'", EAB_ROTATED},
                {"expires_at = 1", EAB_EXPIRED}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct eab_row key = key_make(1);
        PGconn *other = sql_open();
        sql_on(other, "BEGIN");
        sql_on(other, "SELECT FROM eab_keys WHERE kid = '%.*s' FOR UPDATE", (int)key.kid.n,
               (const char *)key.kid.p);
        struct store_account_create c = account_by(&key);
        store_account_create(stores[0], &c);
        waiters_want(1);
        sql_on(other, "UPDATE eab_keys SET %s WHERE kid = '%.*s'", rows[i].sql, (int)key.kid.n,
               (const char *)key.kid.p);
        sql_on(other, "COMMIT");
        PQfinish(other);
        run();
        assert_ok(result(&c.cmd));
        assert_int_equal(c.refused, rows[i].want);
        assert_false(c.created);
    }
}

// ---- rotation, changes

static void a_rotation_takes_both_secrets_for_a_while(void **state)
{
    (void)state;
    struct eab_row key = key_make(0), old = key, fresh = key, out;
    fresh.secret = SLICE_LIT("sealed anew");
    out = change(&fresh, EAB_SET_SECRET, 60000000);
    assert_slice_str(out.secret, "sealed anew");
    assert_slice_str(out.previous, "sealed");
    assert_true(out.previous_until_us > now_us());
    assert_int_equal(refusal(&old), 0);
    assert_int_equal(refusal(&fresh), 0);
    out = change(&fresh, EAB_SET_SECRET, 0); // a repeat of its own changes nothing
    assert_slice_str(out.previous, "sealed");
    assert_int_equal(refusal(&old), 0);
    struct eab_row third = key;
    third.secret = SLICE_LIT("a third");
    out = change(&third, EAB_SET_SECRET, 0); // at once
    assert_slice_str(out.previous, "");
    assert_int_equal(out.previous_until_us, 0);
    assert_int_equal(refusal(&old), EAB_ROTATED);
    assert_int_equal(refusal(&fresh), EAB_ROTATED);
    assert_int_equal(refusal(&third), 0);
    assert_int_equal(used(&key), 4);
}

static void only_what_is_asked_for_changes(void **state)
{
    (void)state;
    struct eab_row key = key_make(3), other = {.tenant = key.tenant, .kid = key.kid}, out;
    out = change(&other, 0, 0);
    assert_slice_str(out.secret, "sealed");
    assert_int_equal(out.accounts_max, 3);
    assert_int_equal(out.status, EAB_ENABLED);
    other.comment = SLICE_LIT("new");
    other.profiles = SLICE_LIT("[\"p\"]");
    other.identifiers = SLICE_LIT("[]");
    other.accounts_max = 9;
    other.algorithms = EAB_HS384;
    out = change(&other,
                 EAB_SET_COMMENT | EAB_SET_PROFILES | EAB_SET_IDENTIFIERS | EAB_SET_ACCOUNTS_MAX |
                     EAB_SET_ALGORITHMS,
                 0);
    assert_slice_str(out.comment, "new");
    assert_slice_str(out.profiles, "[\"p\"]");
    assert_slice_str(out.identifiers, "[]");
    assert_int_equal(out.accounts_max, 9);
    assert_int_equal(out.algorithms, EAB_HS384);
    assert_int_equal(out.status, EAB_ENABLED);
    struct eab_row nobody = row_of("x");
    struct store_eab_change c = {.cmd = cmd(), .row = nobody, .what = EAB_SET_STATUS};
    store_eab_change(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    assert_false(c.found);
}

// ---- finalize (design.md section 4, e2)

static void a_disabled_key_stops_its_accounts_from_finalizing(void **state)
{
    (void)state;
    struct eab_row key = key_make(0);
    struct store_account_create a = account_by(&key);
    store_account_create(stores[0], &a);
    run();
    struct order_made m = order_ready(&a.out, 1), unbound;
    struct account_row other = account_make();
    unbound = order_ready(&other, 1);
    key.status = EAB_DISABLED;
    (void)change(&key, EAB_SET_STATUS, 0);
    struct store_intent_create c = intent_of(&m, 1), u = intent_of(&unbound, 1);
    store_intent_create(stores[0], &c);
    store_intent_create(stores[0], &u);
    run();
    assert_int_equal(c.outcome, INTENT_EAB_NOT_ENABLED);
    assert_int_equal(u.outcome, INTENT_CREATED);
    assert_int_equal(status_of(&m), ORDER_READY);
    key.status = EAB_ENABLED;
    (void)change(&key, EAB_SET_STATUS, 0);
    c = intent_of(&m, 2);
    store_intent_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, INTENT_CREATED);
    // A key that expired or was used up bounds new accounts only.
    struct order_made late = order_ready(&a.out, 1);
    key.expires_at_us = 1;
    key.accounts_max = 1;
    (void)change(&key, EAB_SET_EXPIRES | EAB_SET_ACCOUNTS_MAX, 0);
    c = intent_of(&late, 3);
    store_intent_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, INTENT_CREATED);
    // A key that is gone is not enabled.
    struct order_made last = order_ready(&a.out, 1);
    sql_run("DELETE FROM eab_keys WHERE kid = '%.*s'", (int)key.kid.n, (const char *)key.kid.p);
    c = intent_of(&last, 4);
    store_intent_create(stores[0], &c);
    run();
    assert_int_equal(c.outcome, INTENT_EAB_NOT_ENABLED);
}

// The key is disabled while finalize waits for its order: what counts is what is there after the
// wait.
static void a_key_that_is_disabled_during_the_wait_stops_finalize(void **state)
{
    (void)state;
    struct eab_row key = key_make(0);
    struct store_account_create a = account_by(&key);
    char id[UUID_TEXT_SIZE];
    store_account_create(stores[0], &a);
    run();
    struct order_made m = order_ready(&a.out, 1);
    PGconn *other = sql_open();
    sql_on(other, "BEGIN");
    sql_on(other, "SELECT FROM orders WHERE id = '%s' FOR UPDATE", uuid_text(id, &m.id));
    struct store_intent_create c = intent_of(&m, 5);
    store_intent_create(stores[0], &c);
    waiters_want(1);
    sql_run("UPDATE eab_keys SET status = 2 WHERE kid = '%.*s'", (int)key.kid.n,
            (const char *)key.kid.p);
    sql_on(other, "COMMIT");
    PQfinish(other);
    run();
    assert_int_equal(c.outcome, INTENT_EAB_NOT_ENABLED);
    assert_int_equal(status_of(&m), ORDER_READY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_kept_as_it_was_given),
        cmocka_unit_test(all_keys_of_an_import_are_made_or_none),
        cmocka_unit_test(of_imports_that_race_for_a_name_one_is_made),
        cmocka_unit_test(keys_are_listed_by_pages),
        cmocka_unit_test(a_key_makes_accounts_and_counts_them),
        cmocka_unit_test(what_a_key_does_not_allow_makes_no_account),
        cmocka_unit_test(as_many_accounts_as_places),
        cmocka_unit_test(the_same_account_twice_takes_one_place),
        cmocka_unit_test(what_changes_during_the_wait_is_seen),
        cmocka_unit_test(a_rotation_takes_both_secrets_for_a_while),
        cmocka_unit_test(only_what_is_asked_for_changes),
        cmocka_unit_test(a_disabled_key_stops_its_accounts_from_finalizing),
        cmocka_unit_test(a_key_that_is_disabled_during_the_wait_stops_finalize),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
