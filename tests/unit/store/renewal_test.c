// renewal: what renewal information is made of, and which order has a certificate's place
// (RFC 9773), against a real PostgreSQL.
#include <stdio.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

enum { MANY = 64, SERIAL_TEXT_SIZE = 2 * SERIAL_LEN + 1 };

struct issued {
    struct order_made order;
    uint8_t serial[SERIAL_LEN];
};

static struct issued issue(const struct account_row *a)
{
    struct issued i = {.order = order_processing(a)};
    struct store_certificate_commit c = commit_of(&i.order, 1);
    store_certificate_commit(stores[0], &c);
    run();
    assert_true(c.won);
    memcpy(i.serial, c.serial, SERIAL_LEN);
    return i;
}

static const char *serial_text(char out[SERIAL_TEXT_SIZE], const uint8_t serial[SERIAL_LEN])
{
    for (int i = 0; i < SERIAL_LEN; i++) snprintf(out + (ptrdiff_t)2 * i, 3, "%02x", serial[i]);
    return out;
}

// replacing fills the command that creates an order of the account in a certificate's place.
static struct store_order_create replacing(struct order_made *m, struct authz_row authzs[4],
                                           const struct account_row *a,
                                           const uint8_t serial[SERIAL_LEN])
{
    *m = (struct order_made){
        .account = a->id, .id = new_id(), .authzs = {new_id()}, .authz_count = 1};
    struct store_order_create c = order_create_of(m, authzs);
    c.order.replaces = SLICE_LIT("as the client wrote it");
    c.replacing = true;
    memcpy(c.replaced, serial, SERIAL_LEN);
    return c;
}

static bool order_is(const struct id *id)
{
    struct store_order_get g = {.cmd = cmd(), .id = *id};
    store_order_get(stores[1], &g);
    run();
    if (g.found) assert_slice_str(g.out.replaces, "as the client wrote it");
    return g.found;
}

static struct store_renewal_get renewal(const uint8_t serial[SERIAL_LEN])
{
    struct store_renewal_get g = {.cmd = cmd()};
    memcpy(g.serial, serial, SERIAL_LEN);
    store_renewal_get(stores[1], &g);
    run();
    assert_ok(result(&g.cmd));
    return g;
}

static void an_order_takes_the_place_of_a_certificate(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i = issue(&a);
    struct store_renewal_get g = renewal(i.serial);
    assert_true(g.found && id_eq(&g.order, &i.order.id) && id_eq(&g.account, &a.id));
    assert_slice_str(g.tenant, "default");
    assert_slice_str(g.profile, "p");
    assert_int_equal(g.issuer, 1);
    assert_int_equal(g.not_after - g.not_before, 86399);
    assert_true(!g.moved && id_is_zero(&g.replaced_by));
    struct order_made m;
    struct authz_row authzs[4];
    struct store_order_create c = replacing(&m, authzs, &a, i.serial);
    store_order_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    assert_int_equal(c.outcome, ORDER_CREATED);
    assert_true(order_is(&m.id));
    g = renewal(i.serial);
    assert_true(id_eq(&g.replaced_by, &m.id));
    // The same command once more, as after a lost answer, finds its own work.
    c.cmd = cmd();
    store_order_create(stores[1], &c);
    run();
    assert_int_equal(c.outcome, ORDER_CREATED);
    struct store_authz_get z = {.cmd = cmd(), .id = m.authzs[0]};
    store_authz_get(stores[0], &z);
    run();
    assert_true(z.found);
    // A serial of the same hour that nobody has.
    i.serial[19] ^= 1;
    assert_false(renewal(i.serial).found);
    i.serial[0] = 1; // and of an hour without leaves
    assert_false(renewal(i.serial).found);
}

static void of_many_orders_one_gets_the_place(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i = issue(&a);
    static struct order_made m[MANY];
    static struct authz_row authzs[MANY][4];
    static struct store_order_create c[MANY];
    int winner = -1;
    int64_t bisections = metric_total(metrics, &METRIC_STORE_BISECTIONS);
    for (int k = 0; k < MANY; k++) {
        c[k] = replacing(&m[k], authzs[k], &a, i.serial);
        store_order_create(stores[k % STORES], &c[k]);
    }
    run();
    for (int k = 0; k < MANY; k++) {
        assert_ok(result(&c[k].cmd));
        if (c[k].outcome == ORDER_CREATED) {
            assert_int_equal(winner, -1);
            winner = k;
        } else {
            assert_int_equal(c[k].outcome, ORDER_REPLACED);
        }
    }
    assert_true(winner >= 0);
    assert_int_equal(metric_total(metrics, &METRIC_STORE_BISECTIONS), bisections); // no row raised
    for (int k = 0; k < MANY; k++) {
        assert_true(order_is(&m[k].id) == (k == winner));
        if (k != winner) assert_true(id_eq(&c[k].replaced_by, &m[winner].id));
    }
}

// Orders with and without a certificate to replace, of several hours, in one flush.
static void one_flush_takes_all_kinds(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued here = issue(&a), there = issue(&a);
    int64_t hour = now_us() / 3600000000 - 1; // the other one is moved to the hour before
    char old[SERIAL_TEXT_SIZE], moved[SERIAL_TEXT_SIZE];
    serial_text(old, there.serial);
    there.serial[0] = (uint8_t)(hour >> 16);
    there.serial[1] = (uint8_t)(hour >> 8);
    there.serial[2] = (uint8_t)hour;
    sql_run("UPDATE certificates SET serial = '\\x%s' WHERE serial = '\\x%s'",
            serial_text(moved, there.serial), old);
    struct order_made m[3];
    struct authz_row authzs[3][4];
    struct store_order_create c[3] = {replacing(&m[0], authzs[0], &a, here.serial),
                                      replacing(&m[1], authzs[1], &a, there.serial),
                                      replacing(&m[2], authzs[2], &a, here.serial)};
    c[2].replacing = false;
    for (int i = 0; i < 3; i++) store_order_create(stores[0], &c[i]);
    run();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].outcome, ORDER_CREATED);
        assert_true(order_is(&m[i].id));
    }
    struct store_renewal_get g = renewal(here.serial);
    assert_true(id_eq(&g.replaced_by, &m[0].id));
    g = renewal(there.serial);
    assert_true(id_eq(&g.replaced_by, &m[1].id));
}

static void an_order_that_has_ended_gives_the_place_back(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i = issue(&a);
    struct order_made m[4];
    struct authz_row authzs[4][4];
    struct store_order_create first = replacing(&m[0], authzs[0], &a, i.serial);
    store_order_create(stores[0], &first);
    run();
    assert_int_equal(first.outcome, ORDER_CREATED);
    struct store_authz_decide d = decision(&m[0], 0, false);
    store_authz_decide(stores[0], &d);
    run();
    assert_int_equal(status_of(&m[0]), ORDER_INVALID);
    // Whoever has not seen it does not get it; of two who have, one does.
    struct store_order_create blind = replacing(&m[1], authzs[1], &a, i.serial);
    store_order_create(stores[0], &blind);
    run();
    assert_int_equal(blind.outcome, ORDER_REPLACED);
    assert_true(id_eq(&blind.replaced_by, &m[0].id));
    struct store_order_create two[2] = {replacing(&m[2], authzs[2], &a, i.serial),
                                        replacing(&m[3], authzs[3], &a, i.serial)};
    for (int k = 0; k < 2; k++) {
        two[k].instead_of = m[0].id;
        store_order_create(stores[k], &two[k]);
    }
    run();
    assert_int_equal((two[0].outcome == ORDER_CREATED) + (two[1].outcome == ORDER_CREATED), 1);
    assert_int_equal((two[0].outcome == ORDER_REPLACED) + (two[1].outcome == ORDER_REPLACED), 1);
}

// What does not become an order leaves no mark.
static void a_refused_order_takes_no_place(void **state)
{
    (void)state;
    struct account_row a = account_make(), other = account_make();
    struct issued i = issue(&a);
    for (int k = 0; k < 3; k++) {
        struct order_made m;
        struct authz_row authzs[4];
        struct store_order_create c = replacing(&m, authzs, k == 0 ? &other : &a, i.serial);
        c.key_version += k == 1;
        c.replaced[19] ^= k == 2; // no such certificate
        store_order_create(stores[0], &c);
        run();
        assert_ok(result(&c.cmd));
        assert_int_equal(c.outcome, ORDER_ACCOUNT_NOT_VALID);
        assert_false(order_is(&m.id));
    }
    char text[SERIAL_TEXT_SIZE];
    assert_int_equal(sql_int("SELECT count(*) FROM replacements WHERE serial = '\\x%s'",
                             serial_text(text, i.serial)),
                     0);
}

// ---- rules

static struct id rule_make(struct renewal_set set, int64_t starts_at)
{
    struct store_renewal_rule_create c = {.cmd = cmd(),
                                          .rule = {.id = new_id(),
                                                   .set = set,
                                                   .starts_at = starts_at,
                                                   .ends_at = starts_at + 7200,
                                                   .comment = SLICE_LIT("why"),
                                                   .certificates = 5,
                                                   .keep_until = now_us() / 1000000 + 86400}};
    store_renewal_rule_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    c.cmd = cmd(); // a repeat, as after a lost answer, is no second rule
    store_renewal_rule_create(stores[0], &c);
    run();
    assert_ok(result(&c.cmd));
    return c.rule.id;
}

static struct store_renewal_rule_cancel cancel(struct id id)
{
    struct store_renewal_rule_cancel c = {.cmd = cmd(), .id = id};
    store_renewal_rule_cancel(stores[1], &c);
    run();
    assert_ok(result(&c.cmd));
    return c;
}

// Each predicate moves what it names and nothing else.
static void a_rule_moves_what_it_names(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i = issue(&a), other = issue(&a);
    int64_t now = now_us() / 1000000;
    uint8_t serials[2][SERIAL_LEN];
    memcpy(serials[0], i.serial, SERIAL_LEN);
    memcpy(serials[1], i.serial, SERIAL_LEN);
    const struct {
        struct renewal_set set;
        bool moves, moves_other;
    } rows[] = {
        {{.issuer = 0}, true, true},
        {{.tenant = SLICE_LIT("default")}, true, true},
        {{.tenant = SLICE_LIT("another")}, false, false},
        {{.profile = SLICE_LIT("p")}, true, true},
        {{.profile = SLICE_LIT("q")}, false, false},
        {{.issuer = 1}, true, true},
        {{.issuer = 2}, false, false},
        {{.issued_from = now - 60}, true, true},
        {{.issued_from = now + 60}, false, false},
        {{.issued_until = now - 600}, false, false},
        {{.issued_from = now - 600, .issued_until = now + 60}, true, true},
        {{.serials = (const uint8_t(*)[SERIAL_LEN])serials, .serial_count = 2}, true, false},
        {{.tenant = SLICE_LIT("another"),
          .serials = (const uint8_t(*)[SERIAL_LEN])serials,
          .serial_count = 1},
         false,
         false}};
    for (size_t k = 0; k < COUNT_OF(rows); k++) {
        struct id id = rule_make(rows[k].set, now + (int64_t)k);
        struct store_renewal_get g = renewal(i.serial), h = renewal(other.serial);
        if (g.moved != rows[k].moves || h.moved != rows[k].moves_other) fail_msg("row %zu", k);
        if (g.moved) {
            assert_int_equal(g.moved_from, now + (int64_t)k);
            assert_int_equal(g.moved_until, now + (int64_t)k + 7200);
        }
        struct store_renewal_rule_cancel c = cancel(id);
        assert_true(c.found && c.out.cancelled_at_us > 0 && id_eq(&c.out.id, &id));
        assert_false(renewal(i.serial).moved);
    }
    assert_false(cancel(new_id()).found);
}

static void a_revocation_is_told(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i = issue(&a), other = issue(&a);
    char text[SERIAL_TEXT_SIZE];
    assert_int_equal(renewal(i.serial).revoked_at_us, 0);
    sql_run("INSERT INTO revocations VALUES ('\\x%s', 1, 0, 1, 77, 99, 1)",
            serial_text(text, i.serial));
    assert_int_equal(renewal(i.serial).revoked_at_us, 77);
    assert_int_equal(renewal(other.serial).revoked_at_us, 0);
}

// Of several rules the one that begins first counts; what is issued later is not moved.
static void rules_add_up(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i = issue(&a);
    int64_t now = now_us() / 1000000;
    struct id late = rule_make((struct renewal_set){0}, now + 1000),
              early = rule_make((struct renewal_set){0}, now + 10);
    assert_int_equal(renewal(i.serial).moved_from, now + 10);
    (void)cancel(early);
    assert_int_equal(renewal(i.serial).moved_from, now + 1000);
    char text[SERIAL_TEXT_SIZE];
    sql_run("UPDATE certificates SET not_before = not_before + 100 WHERE serial = '\\x%s'",
            serial_text(text, i.serial));
    assert_false(renewal(i.serial).moved);
    struct store_renewal_rules_list l = {.cmd = cmd()};
    store_renewal_rules_list(stores[0], &l);
    run();
    assert_ok(result(&l.cmd));
    assert_true(l.out_count >= 2 && id_eq(&l.out[0].id, &early) && id_eq(&l.out[1].id, &late));
    assert_true(l.out[0].cancelled_at_us > 0 && l.out[1].cancelled_at_us == 0);
    assert_slice_str(l.out[1].comment, "why");
    assert_int_equal(l.out[1].certificates, 5);
    assert_int_equal(l.out[1].starts_at, now + 1000);
    (void)cancel(late);
}

static int64_t surveyed(struct renewal_set set, int64_t *minute_max)
{
    struct store_renewal_survey v = {.set = set};
    int64_t count = 0;
    *minute_max = 0;
    do {
        v.after_hour = v.hour;
        v.cmd = cmd();
        store_renewal_survey(stores[1], &v);
        run();
        assert_ok(result(&v.cmd));
        assert_true(v.hour == 0 || v.hour > v.after_hour);
        count += v.count;
        if (v.minute_max > *minute_max) *minute_max = v.minute_max;
        if (v.count > 0) assert_true(v.not_after > now_us() / 1000000);
    } while (v.hour != 0);
    return count;
}

static void a_survey_counts_what_lives(void **state)
{
    (void)state;
    struct account_row a = account_make();
    struct issued i[3] = {issue(&a), issue(&a), issue(&a)};
    int64_t minute, all = sql_int("SELECT count(*) FROM certificates");
    char text[SERIAL_TEXT_SIZE];
    assert_int_equal(surveyed((struct renewal_set){0}, &minute), all);
    assert_in_range(minute, 1, all);
    assert_int_equal(surveyed((struct renewal_set){.tenant = SLICE_LIT("x")}, &minute), 0);
    assert_in_range(minute, 1, all); // of all kinds
    uint8_t serials[2][SERIAL_LEN];
    memcpy(serials[0], i[0].serial, SERIAL_LEN);
    memcpy(serials[1], i[1].serial, SERIAL_LEN);
    struct renewal_set two = {.serials = (const uint8_t(*)[SERIAL_LEN])serials, .serial_count = 2};
    assert_int_equal(surveyed(two, &minute), 2);
    sql_run("UPDATE certificates SET not_after = 1 WHERE serial = '\\x%s'",
            serial_text(text, i[1].serial));
    assert_int_equal(surveyed(two, &minute), 1); // the other one has ended
    assert_int_equal(surveyed((struct renewal_set){.issuer = 1}, &minute), all - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_takes_the_place_of_a_certificate),
        cmocka_unit_test(of_many_orders_one_gets_the_place),
        cmocka_unit_test(one_flush_takes_all_kinds),
        cmocka_unit_test(an_order_that_has_ended_gives_the_place_back),
        cmocka_unit_test(a_refused_order_takes_no_place),
        cmocka_unit_test(a_rule_moves_what_it_names),
        cmocka_unit_test(a_revocation_is_told),
        cmocka_unit_test(rules_add_up),
        cmocka_unit_test(a_survey_counts_what_lives),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
