// issuance: steps e1 to e5 and r1 of design.md section 4 through whole front ends: what a signer
// may do wrong, be away for, or refuse, and what a client sees of it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/support/signer_double.h"
#include "tests/unit/unit.h"

static struct front_rig rig;
static struct acme client;
static const char names[] = "a.internal.test,b.internal.test";

static const char extra[] = "finalize_wait: 300ms\n"
                            "jobs: {reaper: 50ms, intent_age: 400ms, give_up: 3s}\n";

static const char *finalize_url(const char *order)
{
    return (const char *)make_text(&client.arena, "%s/finalize", order).p;
}

static struct acme_answer finalize(const char *order, unsigned key)
{
    return acme_call(&client, finalize_url(order), acme_csr(&client, names, key));
}

static void assert_status(const struct acme_answer *a, const char *want)
{
    const char *got = acme_text(&client, a, "status");
    if (a->status != 200 || got == NULL || strcmp(got, want) != 0)
        fail_msg("wanted %s: %u %.*s", want, a->status, SLICE_ARG(a->body));
}

static void assert_problem(const struct acme_answer *a, unsigned status, const char *type)
{
    if (a->status != status || strcmp(acme_type(&client, a), type) != 0)
        fail_msg("wanted %u %s: %u %.*s", status, type, a->status, SLICE_ARG(a->body));
}

static struct acme_answer settled(const char *order)
{
    return acme_wait(&client, order, "processing", NULL, 10000);
}

static int64_t number(const char *sql)
{
    char text[64];
    assert_true(pg_value(&rig.pg, sql, text, sizeof text));
    return atoll(text);
}

// number_want waits until the query's answer is so.
static void number_want(const char *sql, int64_t want)
{
    for (int i = 0; i < 1000 && number(sql) != want; i++) usleep(10000);
    assert_int_equal(number(sql), want);
}

static void a_certificate_comes_in_the_answer(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    const char *order = acme_ready(&client, names);
    struct acme_answer a = finalize(order, 10);
    assert_status(&a, "valid");
    assert_slice_str(acme_header(&a, "Location"), order);
    assert_int_equal(acme_headers(&a, "Retry-After"), 0);
    struct acme_answer chain = acme_call(&client, acme_text(&client, &a, "certificate"), NULL);
    assert_int_equal(chain.status, 200);
    assert_slice_str(acme_header(&chain, "Content-Type"), "application/pem-certificate-chain");
    assert_int_equal(acme_headers(&chain, "Link"), 1); // index only (clients.md 16)
    const char *pem = (const char *)chain.body.p, *second = strstr(pem + 1, "-----BEGIN");
    assert_non_null(second);
    assert_null(strstr(second + 1, "-----BEGIN")); // the root is left out
    assert_string_equal(pem + chain.body.n - 26, "-----END CERTIFICATE-----\n");
    a = finalize(order, 10);
    assert_problem(&a, 403, "orderNotReady");
}

// T18: for each lie, the order waits, the signer is reported, and an honest answer ends it.
static void every_lie_of_a_signer_is_noticed(void **state)
{
    (void)state;
    for (int lie = DOUBLE_FIRST_LIE; lie < DOUBLE_MODE_COUNT; lie++) {
        signer_double_set(DOUBLE_HONEST);
        const char *order = acme_ready(&client, names);
        unsigned accused = signer_double_accused();
        signer_double_set((enum double_mode)lie);
        struct acme_answer a = finalize(order, 11);
        if (signer_double_accused() == accused) fail_msg("lie %d was not noticed", lie);
        assert_status(&a, "processing");
        assert_slice_str(acme_header(&a, "Retry-After"), "1");
        assert_null(acme_text(&client, &a, "certificate"));
        signer_double_set(DOUBLE_HONEST);
        a = settled(order);
        assert_status(&a, "valid");
    }
}

static void orders_wait_for_a_signer_that_is_away(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    const char *order = acme_ready(&client, names);
    signer_double_set(DOUBLE_AWAY);
    struct acme_answer a = finalize(order, 12);
    assert_status(&a, "processing");
    // The directory and chains do not need it.
    a = acme_send(&client, "GET", "/directory", NULL, NULL, SLICE_NONE);
    assert_non_null(acme_text(&client, &a, "meta.profiles.server"));
    a = finalize(order, 12);
    assert_problem(&a, 403, "orderNotReady");
    signer_double_set(DOUBLE_HONEST);
    a = settled(order);
    assert_status(&a, "valid");
}

static void a_refusal_ends_the_order(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    const char *order = acme_ready(&client, names);
    signer_double_set(DOUBLE_REFUSES);
    struct acme_answer a = finalize(order, 13);
    assert_status(&a, "invalid");
    assert_string_equal(acme_text(&client, &a, "error.type"),
                        "urn:ietf:params:acme:error:rejectedIdentifier");
    signer_double_set(DOUBLE_HONEST);
    a = acme_call(&client, order, NULL);
    assert_status(&a, "invalid");
}

static void what_cannot_be_signed_is_burned_in_the_end(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    int64_t before_burned = number("SELECT count(*) FROM intents WHERE burned_serial IS NOT NULL");
    const char *order = acme_ready(&client, names);
    unsigned before = signer_double_signed();
    signer_double_set(DOUBLE_NEVER);
    struct acme_answer a = finalize(order, 14);
    assert_status(&a, "processing");
    a = settled(order);
    assert_status(&a, "invalid");
    assert_string_equal(acme_text(&client, &a, "error.type"),
                        "urn:ietf:params:acme:error:serverInternal");
    assert_int_equal(signer_double_signed(), before);
    number_want("SELECT count(*) FROM intents_open", 0);
    assert_int_equal(number("SELECT count(*) FROM intents WHERE burned_serial IS NOT NULL"),
                     before_burned + 1);
}

// The order ends before its serial is burned: from then on nobody can commit its certificate, so
// that what is burned is with no client. What could not be burned yet is burned later.
static void an_order_is_invalid_before_its_serial_is_burned(void **state)
{
    (void)state;
    static const char open[] = "SELECT count(*) FROM intents_open",
                      burned[] = "SELECT count(*) FROM intents WHERE burned_serial IS NOT NULL";
    signer_double_set(DOUBLE_HONEST);
    int64_t before = number(burned);
    const char *order = acme_ready(&client, names);
    signer_double_set(DOUBLE_NOTHING);
    struct acme_answer a = finalize(order, 18);
    assert_status(&a, "processing");
    a = settled(order);
    assert_status(&a, "invalid");
    assert_int_equal(number(burned), before);
    assert_int_equal(number(open), 1);
    signer_double_set(DOUBLE_NEVER);
    number_want(open, 0);
    assert_int_equal(number(burned), before + 1);
}

static void a_busy_signer_is_asked_again(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    const char *order = acme_ready(&client, names);
    signer_double_set(DOUBLE_BUSY);
    struct acme_answer a = finalize(order, 15);
    assert_status(&a, "processing");
    signer_double_set(DOUBLE_HONEST);
    a = settled(order);
    assert_status(&a, "valid");
}

static void a_csr_is_compared_with_the_order_and_the_account(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    struct acme other;
    acme_init(&other, rig.root_pem_path, rig.ports[0], 31);
    acme_register(&other);
    const char *order = acme_ready(&client, names), *url = finalize_url(order);
    static const struct {
        const char *names;
        unsigned key;
    } rows[] = {{"a.internal.test", 16},
                {"a.internal.test,b.internal.test,c.internal.test", 16},
                {"a.internal.test,c.internal.test", 16},
                {"a.internal.test,b.internal.test", 1},   // the account's own key
                {"a.internal.test,b.internal.test", 31}}; // another account's (RFC 8555 11.1)
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct acme_answer a = acme_call(&client, url,
                                         acme_csr(&client, rows[i].names, rows[i].key));
        assert_problem(&a, 400, "badCSR");
    }
    struct acme_answer a = finalize(order, 16);
    assert_status(&a, "valid");
    acme_fini(&other);
}

// A front end that ends without a word leaves an intent; another one finishes it (r1).
static void another_front_end_finishes(void **state)
{
    (void)state;
    signer_double_set(DOUBLE_HONEST);
    front_start(&rig, 1);
    front_know(&rig, 1, 1);
    const char *order = acme_ready(&client, names);
    signer_double_set(DOUBLE_AWAY);
    struct acme_answer a = finalize(order, 17);
    assert_status(&a, "processing");
    front_kill(&rig, 0);
    signer_double_set(DOUBLE_HONEST);
    struct acme elsewhere;
    acme_init(&elsewhere, rig.root_pem_path, rig.ports[1], 1);
    acme_register(&elsewhere);
    const char *url = (const char *)make_text(&elsewhere.arena, "%s%s", elsewhere.origin,
                                              strchr(order + 8, '/'))
                          .p;
    a = acme_wait(&elsewhere, url, "processing", NULL, 10000);
    assert_string_equal(acme_text(&elsewhere, &a, "status"), "valid");
    acme_fini(&elsewhere);
    front_start(&rig, 0);
    front_drain(&rig, 1);
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    acme_init(&client, rig.root_pem_path, rig.ports[0], 1);
    acme_register(&client);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    acme_fini(&client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_comes_in_the_answer),
        cmocka_unit_test(every_lie_of_a_signer_is_noticed),
        cmocka_unit_test(orders_wait_for_a_signer_that_is_away),
        cmocka_unit_test(a_refusal_ends_the_order),
        cmocka_unit_test(what_cannot_be_signed_is_burned_in_the_end),
        cmocka_unit_test(an_order_is_invalid_before_its_serial_is_burned),
        cmocka_unit_test(a_busy_signer_is_asked_again),
        cmocka_unit_test(a_csr_is_compared_with_the_order_and_the_account),
        cmocka_unit_test(another_front_end_finishes),
    };
    if (!front_rig_init(&rig, extra)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    front_rig_fini(&rig);
    return failures;
}
