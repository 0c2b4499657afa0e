// listing: accounts and certificates as people look for them.
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "tests/unit/store/fixture.h"

static struct store_accounts_list accounts(struct store_accounts_list l)
{
    l.cmd = cmd();
    store_accounts_list(stores[0], &l);
    run();
    assert_ok(result(&l.cmd));
    assert_true(l.out_count <= l.limit);
    return l;
}

static struct account_row account_of(const char *tenant, const char *kid)
{
    struct store_account_create c = {.cmd = cmd(),
                                     .eab_secret = SLICE_LIT("sealed"),
                                     .row = {.id = new_id(),
                                             .tenant = slice_str(tenant),
                                             .status = ACCOUNT_VALID,
                                             .spki = SLICE_LIT("0spki"),
                                             .contact = SLICE_LIT("[]"),
                                             .eab_kid = slice_str(kid)}};
    shard_random(shard, c.row.thumbprint, sizeof c.row.thumbprint);
    store_account_create(stores[0], &c);
    run();
    turns(2); // ids of one millisecond have no order
    assert_true(c.created);
    return c.out;
}

static void key_make(const char *tenant, const char *kid)
{
    struct eab_row row = {.tenant = slice_str(tenant),
                          .kid = slice_str(kid),
                          .id = new_id(),
                          .status = EAB_ENABLED,
                          .algorithms = 7,
                          .secret = SLICE_LIT("sealed"),
                          .identifiers = SLICE_LIT("[]"),
                          .profiles = SLICE_LIT("[]")};
    struct store_eab_create c = {.cmd = cmd(), .rows = &row, .count = 1};
    store_eab_create(stores[0], &c);
    run();
    assert_int_equal(c.conflict, 0);
}

static void accounts_are_listed_by_what_is_asked_for(void **state)
{
    (void)state;
    struct account_row a[5];
    key_make("acc", "one");
    for (size_t i = 0; i < 5; i++)
        a[i] = account_of(i < 4 ? "acc" : "other", i % 2 == 0 && i < 4 ? "one" : "");
    struct store_accounts_list l = accounts(
        (struct store_accounts_list){.tenant = SLICE_LIT("acc"), .limit = 3});
    assert_int_equal(l.out_count, 3);
    for (size_t i = 0; i < 3; i++) assert_true(id_eq(&l.out[i].id, &a[3 - i].id)); // newest first
    l = accounts(
        (struct store_accounts_list){.tenant = SLICE_LIT("acc"), .limit = 3, .before = l.next});
    assert_int_equal(l.out_count, 1);
    assert_true(id_eq(&l.out[0].id, &a[0].id));
    assert_true(id_is_zero(&l.next));
    l = accounts((struct store_accounts_list){
        .tenant = SLICE_LIT("acc"), .eab_kid = SLICE_LIT("one"), .limit = 10});
    assert_int_equal(l.out_count, 2);
    assert_slice_str(l.out[0].eab_kid, "one");
    l = accounts((struct store_accounts_list){.tenant = SLICE_LIT("nobody"), .limit = 10});
    assert_int_equal(l.out_count, 0);
    assert_true(id_is_zero(&l.next));
    l = accounts((struct store_accounts_list){.limit = 1});
    assert_true(id_eq(&l.out[0].id, &a[4].id));
    assert_memory_equal(l.out[0].thumbprint, a[4].thumbprint, 32);
    assert_slice_str(l.out[0].tenant, "other");
}

// The server's own end of an account: whatever its key, and for good (RFC 8555 section 7.1.2).
static void an_account_is_revoked_whatever_its_key(void **state)
{
    (void)state;
    struct account_row a = account_of("rev", ""), gone = account_of("rev", "");
    struct store_account_update end = {
        .cmd = cmd(), .id = gone.id, .key_version = 1, .deactivate = true};
    store_account_update(stores[0], &end);
    run();
    for (int again = 0; again < 2; again++) {
        struct store_account_update u = {.cmd = cmd(), .id = a.id, .revoke = true},
                                    own = {.cmd = cmd(), .id = gone.id, .revoke = true},
                                    none = {.cmd = cmd(), .id = new_id(), .revoke = true};
        store_account_update(stores[0], &u);
        store_account_update(stores[0], &own);
        store_account_update(stores[0], &none);
        run();
        assert_int_equal(u.outcome, ACCOUNT_CHANGED);
        assert_int_equal(u.out.status, ACCOUNT_REVOKED);
        assert_int_equal(own.outcome, ACCOUNT_NOT_VALID);
        assert_int_equal(own.out.status, ACCOUNT_DEACTIVATED);
        assert_int_equal(none.outcome, ACCOUNT_UNKNOWN);
    }
    struct store_account_update back = {
        .cmd = cmd(), .id = a.id, .key_version = 1, .set_contact = true, .contact = a.contact};
    store_account_update(stores[0], &back);
    run();
    assert_int_equal(back.outcome, ACCOUNT_NOT_VALID);
    struct store_accounts_list l = accounts((struct store_accounts_list){
        .tenant = SLICE_LIT("rev"), .status = ACCOUNT_REVOKED, .limit = 10});
    assert_int_equal(l.out_count, 1);
    assert_true(id_eq(&l.out[0].id, &a.id));
}

// ---- certificates

static struct store_certificates_list certificates(struct store_certificates_list l)
{
    l.cmd = cmd();
    store_certificates_list(stores[0], &l);
    run();
    assert_ok(result(&l.cmd));
    return l;
}

static struct order_made issued(const struct account_row *a, uint8_t last, const char *name,
                                uint8_t serial[SERIAL_LEN])
{
    struct order_made m = order_processing(a);
    struct store_certificate_commit c = commit_of(&m, last);
    char id[UUID_TEXT_SIZE];
    store_certificate_commit(stores[0], &c);
    run();
    turns(2);
    assert_true(c.won);
    memcpy(serial, c.serial, SERIAL_LEN);
    sql_run("UPDATE orders SET identifiers = '\\x01%04zx'::bytea || '%s'::bytea WHERE id = '%s'",
            strlen(name), name, uuid_text(id, &m.id));
    return m;
}

static void certificates_are_listed_by_what_is_asked_for(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    static const char *const names[COUNT] = {"a.list.test", "b.list.test", "a.list.test",
                                             "aa.list.test", "a.list.tes"};
    struct account_row a = account_make(), b = account_make();
    struct order_made m[COUNT];
    uint8_t serials[COUNT][SERIAL_LEN];
    for (size_t i = 0; i < COUNT; i++)
        m[i] = issued(i < 4 ? &a : &b, (uint8_t)(40 + i), names[i], serials[i]);
    (void)order_ready(&a, 1); // no certificate
    struct store_certificates_list l = certificates(
        (struct store_certificates_list){.account = a.id, .limit = 3, .with_der = true});
    assert_int_equal(l.out_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(id_eq(&l.out[i].order, &m[3 - i].id));
        assert_memory_equal(l.out[i].serial, serials[3 - i], SERIAL_LEN);
        assert_true(l.out[i].der.n > 0);
        assert_true(l.out[i].not_after > l.out[i].not_before);
    }
    l = certificates(
        (struct store_certificates_list){.account = a.id, .limit = 3, .before = l.next});
    assert_int_equal(l.out_count, 1);
    assert_int_equal(l.out[0].der.n, 0); // not asked for
    assert_true(id_is_zero(&l.next));
    // A name is a whole name.
    l = certificates((struct store_certificates_list){
        .identifier = {IDENTIFIER_DNS, SLICE_LIT("a.list.test")}, .limit = 10});
    assert_int_equal(l.out_count, 2);
    assert_true(id_eq(&l.out[0].order, &m[2].id) && id_eq(&l.out[1].order, &m[0].id));
    struct store_certificates_list one = {.by_serial = true, .limit = 1};
    memcpy(one.serial, serials[1], SERIAL_LEN);
    l = certificates(one);
    assert_int_equal(l.out_count, 1);
    assert_true(id_eq(&l.out[0].order, &m[1].id));
    assert_true(id_eq(&l.out[0].account, &a.id));
    one.serial[19] ^= 0xff;
    assert_int_equal(certificates(one).out_count, 0);
    int64_t at = l.out[0].not_before;
    const struct {
        int64_t from, until;
        size_t count;
    } times[] = {{at, at + 1, 1}, {at + 1, 0, 0}, {0, at, 0}, {at, 0, 1}, {0, at + 1, 1}};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        l = certificates((struct store_certificates_list){
            .identifier = {IDENTIFIER_DNS, SLICE_LIT("b.list.test")},
            .issued_from = times[i].from,
            .issued_until = times[i].until,
            .limit = 10});
        assert_int_equal(l.out_count, times[i].count);
    }
    l = certificates((struct store_certificates_list){
        .account = a.id, .tenant = SLICE_LIT("other"), .limit = 10});
    assert_int_equal(l.out_count, 0);
    l = certificates((struct store_certificates_list){
        .account = a.id, .profile = SLICE_LIT("none"), .limit = 10});
    assert_int_equal(l.out_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_are_listed_by_what_is_asked_for),
        cmocka_unit_test(an_account_is_revoked_whatever_its_key),
        cmocka_unit_test(certificates_are_listed_by_what_is_asked_for),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
