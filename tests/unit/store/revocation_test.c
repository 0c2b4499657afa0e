// revocation: who may, once, and by the hour of the certificate (RFC 8555 section 7.6).
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/leaf.h"
#include "store/schema.h"
#include "tests/unit/store/fixture.h"

enum { SHARD = 77 };

struct issued {
    struct account_row account;
    struct order_made order;
    struct store_certificate_commit commit;
};

static struct identifier names[2] = {{IDENTIFIER_DNS, SLICE_LIT("a.test")},
                                     {IDENTIFIER_DNS, SLICE_LIT("*.b.test")}};

// issued_make issues a certificate; with `shard` it is on a CRL.
static struct issued issued_make(uint32_t crl_shard)
{
    struct issued x = {.account = account_make()};
    x.order = order_processing(&x.account);
    x.commit = commit_of(&x.order, 1);
    x.commit.crl_shard = crl_shard;
    store_certificate_commit(stores[0], &x.commit);
    run();
    assert_true(x.commit.won);
    return x;
}

static struct store_revoke revoke_of(const struct issued *x, const struct account_row *by)
{
    struct store_revoke c = {.cmd = cmd(), .reason = 1, .names = names, .name_count = 1};
    memcpy(c.serial, x->commit.serial, SERIAL_LEN);
    if (by == NULL) return c;
    c.by_account = true;
    c.account = by->id;
    c.key_version = by->key_version;
    return c;
}

static void outcome_want(struct store_revoke *c, enum revocation_outcome want)
{
    store_revoke(stores[0], c);
    run();
    assert_ok(result(&c->cmd));
    assert_int_equal(c->outcome, want);
}

static struct store_revocation_get look(const struct issued *x)
{
    struct store_revocation_get g = {.cmd = cmd()};
    memcpy(g.serial, x->commit.serial, SERIAL_LEN);
    store_revocation_get(stores[1], &g);
    run();
    assert_ok(result(&g.cmd));
    return g;
}

static int64_t changes(void)
{
    return sql_int("SELECT count(*) FROM crl_changes WHERE shard = %d AND issuer = 1", SHARD);
}

static void the_first_revocation_stays(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD);
    int64_t before = now_us(), changed = changes();
    assert_false(look(&x).found);
    struct store_revoke c = revoke_of(&x, &x.account);
    outcome_want(&c, REVOCATION_MADE);
    assert_int_equal(c.out.reason, 1);
    assert_in_range(c.out.revoked_at_us, before - 1000000, now_us() + 1000000);
    assert_int_equal(changes(), changed + 1);
    struct store_revoke again = revoke_of(&x, NULL);
    again.reason = 4;
    outcome_want(&again, REVOCATION_ALREADY);
    assert_int_equal(again.out.reason, 1);
    assert_int_equal(again.out.revoked_at_us, c.out.revoked_at_us);
    assert_int_equal(changes(), changed + 1); // nothing new for the CRL
    struct store_revocation_get g = look(&x);
    assert_true(g.found);
    assert_int_equal(g.out.reason, 1);
}

// What is on no CRL leaves nothing for whoever makes CRLs.
static void without_a_shard_no_crl_changes(void **state)
{
    (void)state;
    struct issued x = issued_make(0);
    int64_t before = sql_int("SELECT count(*) FROM crl_changes");
    struct store_revoke c = revoke_of(&x, &x.account);
    outcome_want(&c, REVOCATION_MADE);
    assert_int_equal(sql_int("SELECT count(*) FROM crl_changes"), before);
}

static void of_many_in_one_flush_and_in_two_stores_one_is_made(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD);
    struct store_revoke c[6];
    unsigned made = 0;
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        c[i] = revoke_of(&x, &x.account);
        c[i].reason = (unsigned)i + 3;
        store_revoke(stores[i % 2], &c[i]);
    }
    run();
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        assert_ok(result(&c[i].cmd));
        made += c[i].outcome == REVOCATION_MADE;
        assert_true(c[i].outcome == REVOCATION_MADE || c[i].outcome == REVOCATION_ALREADY);
        assert_int_equal(c[i].out.reason, c[0].out.reason); // all see the same row
        if (c[i].outcome == REVOCATION_MADE) assert_int_equal(c[i].out.reason, i + 3);
    }
    assert_int_equal(made, 1);
    assert_int_equal(sql_int("SELECT count(*) FROM revocations WHERE reason = %u", c[0].out.reason),
                     1);
}

// ---- who

static void authz_insert(const struct account_row *a, const char *identifier_hex, bool wildcard,
                         int status, int64_t expires_us)
{
    struct id id = new_id();
    char text[UUID_TEXT_SIZE], account[UUID_TEXT_SIZE];
    sql_run("INSERT INTO authorizations (id, account, order_id, tenant, identifier, wildcard, "
            "status, challenges, token, decided_by, decision, validated_at, error, expires_at) "
            "VALUES ('%s', '%s', '%s', 'default', '\\x%s', %s, %d, 1, '', 1, 1, 1, '', %lld)",
            uuid_text(text, &id), uuid_text(account, &a->id), text, identifier_hex,
            wildcard ? "true" : "false", status, (long long)expires_us);
}

#define A_TEST "010006612e74657374"
#define B_TEST "010006622e74657374"

static void another_account_needs_valid_authorizations_for_all_names(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD);
    struct account_row other = account_make();
    int64_t later = now_us() + 3600000000ll;
    // Each line gives the account one more; only the last is what was missing.
    const struct {
        const char *identifier;
        bool wildcard;
        int status;
        int64_t expires;
        enum revocation_outcome then;
    } steps[] = {{NULL, false, 0, 0, REVOCATION_NOT_ALLOWED},
                 {A_TEST, false, AUTHZ_VALID, later, REVOCATION_NOT_ALLOWED}, // one of two names
                 {B_TEST, false, AUTHZ_VALID, later, REVOCATION_NOT_ALLOWED}, // not the wildcard
                 {B_TEST, true, AUTHZ_PENDING, later, REVOCATION_NOT_ALLOWED},
                 {B_TEST, true, AUTHZ_DEACTIVATED, later, REVOCATION_NOT_ALLOWED},
                 {B_TEST, true, AUTHZ_VALID, now_us() - 1, REVOCATION_NOT_ALLOWED},
                 {B_TEST, true, AUTHZ_VALID, later, REVOCATION_MADE}};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (steps[i].identifier != NULL)
            authz_insert(&other, steps[i].identifier, steps[i].wildcard, steps[i].status,
                         steps[i].expires);
        struct store_revoke c = revoke_of(&x, &other);
        c.name_count = 2;
        store_revoke(stores[0], &c);
        run();
        if (c.outcome != steps[i].then) fail_msg("step %zu: outcome %d", i, (int)c.outcome);
        assert_int_equal(look(&x).found, steps[i].then == REVOCATION_MADE);
    }
    // No names at all are no right.
    struct issued y = issued_make(SHARD);
    struct store_revoke none = revoke_of(&y, &other);
    none.name_count = 0;
    outcome_want(&none, REVOCATION_NOT_ALLOWED);
}

// Two accounts in one flush: what one holds is not the other's.
static void rights_are_not_mixed_up_in_a_flush(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD), y = issued_make(SHARD);
    struct account_row holder = account_make(), stranger = account_make();
    authz_insert(&holder, A_TEST, false, AUTHZ_VALID, now_us() + 3600000000ll);
    struct store_revoke c[2] = {revoke_of(&x, &stranger), revoke_of(&y, &holder)};
    uint64_t flushes = store_flush_count(stores[0]);
    for (size_t i = 0; i < 2; i++) store_revoke(stores[0], &c[i]);
    run();
    assert_int_equal(store_flush_count(stores[0]), flushes + 1);
    assert_int_equal(c[0].outcome, REVOCATION_NOT_ALLOWED);
    assert_int_equal(c[1].outcome, REVOCATION_MADE);
}

static void the_account_must_be_valid_and_its_key_the_one_that_signed(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD);
    struct store_revoke c = revoke_of(&x, &x.account);
    c.key_version++;
    outcome_want(&c, REVOCATION_KEY_CHANGED);
    struct store_account_update u = {
        .cmd = cmd(), .id = x.account.id, .key_version = 1, .deactivate = true};
    store_account_update(stores[0], &u);
    run();
    c = revoke_of(&x, &x.account);
    outcome_want(&c, REVOCATION_ACCOUNT_NOT_VALID);
    assert_false(look(&x).found);
    c = revoke_of(&x, NULL); // the certificate's key needs no account
    outcome_want(&c, REVOCATION_MADE);
}

// ---- what

static void what_is_not_there_is_unknown_and_what_has_expired_is_told(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD), y = x;
    y.commit.serial[19] ^= 1;
    struct store_revoke c = revoke_of(&y, NULL);
    outcome_want(&c, REVOCATION_UNKNOWN);
    y.commit.serial[0] = 0x01; // of an hour that no leaf is for
    c = revoke_of(&y, NULL);
    outcome_want(&c, REVOCATION_UNKNOWN);
    assert_false(look(&y).found);
    sql_run("UPDATE certificates SET not_after = %lld WHERE serial = '\\x%02x%02x%02x%02x'::bytea "
            "|| substr(serial, 5)",
            (long long)(now_us() / 1000000 - 1), x.commit.serial[0], x.commit.serial[1],
            x.commit.serial[2], x.commit.serial[3]);
    c = revoke_of(&x, NULL);
    outcome_want(&c, REVOCATION_EXPIRED);
    assert_false(look(&x).found);
}

// A revocation lies in the leaf of its certificate's hour, and both are of the same hours.
static void it_lies_beside_its_certificate(void **state)
{
    (void)state;
    struct issued x = issued_make(SHARD);
    char name[LEAF_NAME_MAX];
    struct store_revoke c = revoke_of(&x, NULL);
    outcome_want(&c, REVOCATION_MADE);
    leaf_name(name, LEAF_REVOCATIONS, leaf_of_serial(x.commit.serial));
    assert_true(sql_int("SELECT count(*) FROM %s WHERE tag <> 0", name) > 0);
    assert_int_equal(sql_int("SELECT count(*) FROM pg_inherits WHERE inhparent = "
                             "'revocations'::regclass"),
                     sql_int("SELECT count(*) FROM pg_inherits WHERE inhparent = "
                             "'certificates'::regclass"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_revocation_stays),
        cmocka_unit_test(without_a_shard_no_crl_changes),
        cmocka_unit_test(of_many_in_one_flush_and_in_two_stores_one_is_made),
        cmocka_unit_test(another_account_needs_valid_authorizations_for_all_names),
        cmocka_unit_test(rights_are_not_mixed_up_in_a_flush),
        cmocka_unit_test(the_account_must_be_valid_and_its_key_the_one_that_signed),
        cmocka_unit_test(what_is_not_there_is_unknown_and_what_has_expired_is_told),
        cmocka_unit_test(it_lies_beside_its_certificate),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
