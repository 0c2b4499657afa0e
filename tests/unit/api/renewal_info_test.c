// renewal_info: renewal information and "replaces" (RFC 9773) through whole front ends.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/base64url.h"
#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/support/signer_double.h"
#include "tests/unit/unit.h"

static struct front_rig rig;
static struct acme client;

// issued is a certificate of the client: its identifier of RFC 9773.
static const char *issued(struct acme *c, const char *names)
{
    const char *order = acme_ready(c, names);
    struct acme_answer a = acme_call(c, (const char *)make_text(&c->arena, "%s/finalize", order).p,
                                     acme_csr(c, names, 10));
    assert_string_equal(acme_text(c, &a, "status"), "valid");
    const char *url = acme_text(c, &a, "certificate");
    char aki[64] = "";
    base64url_encode(aki, SLICE_LIT(SIGNER_DOUBLE_KEY_ID));
    return (const char *)make_text(&c->arena, "%s.%s", aki, strrchr(url, '/') + 1).p;
}

static struct acme_answer info(const char *id)
{
    const char *path = acme_path(&client,
                                 (const char *)make_text(&client.arena, "renewal-info/%s", id).p);
    return acme_send(&client, "GET", path, NULL, NULL, SLICE_NONE);
}

static struct acme_answer order_for(const char *names, const char *replaces)
{
    struct slice ids = SLICE_NONE;
    for (const char *at = names; *at != 0;) {
        size_t n = strcspn(at, ",");
        ids = make_text(&client.arena, "%.*s%s{\"type\":\"dns\",\"value\":\"%.*s\"}",
                        SLICE_ARG(ids), ids.n > 0 ? "," : "", (int)n, at);
        at += n + (at[n] == ',');
    }
    return acme_call(&client, acme_path(&client, "new-order"),
                     (const char *)make_text(&client.arena,
                                             "{\"identifiers\":[%.*s],\"replaces\":%s}",
                                             SLICE_ARG(ids), replaces)
                         .p);
}

static const char *quoted(const char *id)
{
    return (const char *)make_text(&client.arena, "\"%s\"", id).p;
}

static void assert_problem(const struct acme_answer *a, unsigned status, const char *type)
{
    if (a->status != status || strcmp(acme_type(&client, a), type) != 0)
        fail_msg("wanted %u %s: %u %.*s", status, type, a->status, SLICE_ARG(a->body));
}

static int64_t number(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int64_t number(const char *fmt, ...)
{
    char sql[600], out[64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    assert_true(pg_value(&rig.pg, sql, out, sizeof out));
    return atoll(out);
}

static void anybody_may_ask(void **state)
{
    (void)state;
    const char *id = issued(&client, "window.internal.test");
    struct acme_answer a = info(id);
    assert_int_equal(a.status, 200);
    assert_slice_str(acme_header(&a, "Content-Type"), "application/json");
    assert_int_equal(acme_headers(&a, "Replay-Nonce"), 0);
    struct slice retry = acme_header(&a, "Retry-After");
    assert_in_range(atoi((const char *)retry.p), 3600, 21600);
    const char *start = acme_text(&client, &a, "suggestedWindow.start"),
               *end = acme_text(&client, &a, "suggestedWindow.end");
    assert_non_null(start);
    assert_non_null(end);
    assert_int_equal(start[19], 'Z');
    assert_true(strcmp(start, end) < 0);
    assert_int_equal(
        number("SELECT ('%s'::timestamptz >= to_timestamp((not_before + not_after) / 2) AND "
               "'%s'::timestamptz < to_timestamp(not_before + (not_after - not_before) * 2 / 3.0))"
               "::int FROM certificates ORDER BY serial DESC LIMIT 1",
               start, end),
        1);
    // The same for everybody, at every time, by HEAD, and in a tenant of its own only.
    struct acme_answer again = info(id);
    assert_slice_str(again.body,
                     (const char *)make_text(&client.arena, "%.*s", SLICE_ARG(a.body)).p);
    a = acme_send(
        &client, "HEAD",
        acme_path(&client, (const char *)make_text(&client.arena, "renewal-info/%s", id).p), NULL,
        NULL, SLICE_NONE);
    assert_int_equal(a.status, 200);
}

static void what_is_no_certificate_of_ours_is_told_apart(void **state)
{
    (void)state;
    char other[128];
    const char *id = issued(&client, "absent.internal.test");
    snprintf(other, sizeof other, "%s", id);
    other[strlen(other) - 2] = other[strlen(other) - 2] == 'A' ? 'B' : 'A';
    const char *absent[] = {other, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
                            (const char *)make_text(&client.arena, "AQID%s", strchr(id, '.')).p};
    for (size_t i = 0; i < COUNT_OF(absent); i++) {
        struct acme_answer a = info(absent[i]);
        assert_problem(&a, 404, "malformed");
    }
    const char *bad[] = {"x", (const char *)make_text(&client.arena, "%s=", id).p,
                         (const char *)make_text(&client.arena, "%s.", id).p};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct acme_answer a = info(bad[i]);
        assert_problem(&a, 400, "malformed");
    }
    struct acme_answer a = acme_send(&client, "GET", acme_path(&client, "renewal-info"), NULL, NULL,
                                     SLICE_NONE);
    assert_problem(&a, 400, "malformed");
    a = acme_send(
        &client, "POST",
        acme_path(&client, (const char *)make_text(&client.arena, "renewal-info/%s", id).p), NULL,
        "application/jose+json", SLICE_LIT("{}"));
    assert_int_equal(a.status, 405);
}

static void a_revoked_certificate_is_renewed_at_once(void **state)
{
    (void)state;
    const char *id = issued(&client, "revoked.internal.test");
    assert_int_equal(
        number("WITH r AS (INSERT INTO revocations SELECT c.serial, c.issuer, 0, 1, now_us() - "
               "9000000, c.not_after, 1 FROM certificates c JOIN orders o ON o.id = c.order_id "
               "WHERE o.identifiers = (SELECT identifiers FROM orders ORDER BY id DESC LIMIT 1) "
               "RETURNING 1) SELECT count(*) FROM r"),
        1);
    struct acme_answer a = info(id);
    assert_int_equal(a.status, 200);
    assert_int_equal(number("SELECT ('%s'::timestamptz < '%s'::timestamptz AND '%s'::timestamptz < "
                            "now())::int",
                            acme_text(&client, &a, "suggestedWindow.start"),
                            acme_text(&client, &a, "suggestedWindow.end"),
                            acme_text(&client, &a, "suggestedWindow.end")),
                     1);
}

// It needs the row only: neither the certificate nor a signer.
static void the_row_alone_answers(void **state)
{
    (void)state;
    const char *id = issued(&client, "row.internal.test");
    assert_true(
        number("WITH u AS (UPDATE certificates SET der = '' RETURNING 1) SELECT count(*) FROM u") >
        0);
    signer_double_set(DOUBLE_AWAY);
    struct acme_answer a = info(id);
    signer_double_set(DOUBLE_HONEST);
    assert_int_equal(a.status, 200);
}

static void an_order_replaces_a_certificate(void **state)
{
    (void)state;
    const char *id = issued(&client, "one.internal.test,two.internal.test");
    struct acme_answer a = order_for("three.internal.test,two.internal.test", quoted(id));
    assert_int_equal(a.status, 201);
    assert_string_equal(acme_text(&client, &a, "replaces"), id);
    const char *order =
        (const char *)make_text(&client.arena, "%.*s", SLICE_ARG(acme_header(&a, "Location"))).p;
    struct acme_answer read = acme_call(&client, order, NULL);
    assert_string_equal(acme_text(&client, &read, "replaces"), id);
    struct acme_answer second = order_for("one.internal.test", quoted(id));
    assert_problem(&second, 409, "alreadyReplaced");
    // Given back when the order has become invalid ...
    const char *authz = acme_text(&client, &a, "authorizations.0");
    struct acme_answer gone = acme_call(&client, authz, "{\"status\":\"deactivated\"}");
    assert_int_equal(gone.status, 200);
    second = order_for("one.internal.test", quoted(id));
    assert_int_equal(second.status, 201);
    // ... or has expired, and not at the very moment.
    assert_int_equal(number("WITH u AS (UPDATE orders SET expires_at = now_us() - 1000000 WHERE "
                            "status = 1 AND replaces = '%s' RETURNING 1) SELECT count(*) FROM u",
                            id),
                     1);
    a = order_for("one.internal.test", quoted(id));
    assert_problem(&a, 409, "alreadyReplaced");
    assert_int_equal(number("WITH u AS (UPDATE orders SET expires_at = now_us() - 60000000 WHERE "
                            "status = 1 AND replaces = '%s' RETURNING 1) SELECT count(*) FROM u",
                            id),
                     1);
    a = order_for("one.internal.test", quoted(id));
    assert_int_equal(a.status, 201);
    // Without "replaces" there is none in the document.
    a = acme_order(&client, "one.internal.test");
    assert_null(acme_text(&client, &a, "replaces"));
}

static void what_cannot_be_replaced_is_refused(void **state)
{
    (void)state;
    const char *id = issued(&client, "mine.internal.test");
    struct acme other;
    acme_init(&other, rig.root_pem_path, rig.ports[0], 2);
    acme_register(&other);
    responder_thumbprint(acme_thumbprint(&other));
    const char *foreign = quoted(issued(&other, "mine.internal.test"));
    responder_thumbprint(acme_thumbprint(&client));
    acme_fini(&other);
    const char *bad[] = {
        "7",
        "null",
        "\"\"",
        "\"x\"",
        quoted("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"),
        quoted((const char *)make_text(&client.arena, "AQID%s", strchr(id, '.')).p),
        (const char *)make_text(&client.arena, "\"%s=\"", id).p};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct acme_answer a = order_for("mine.internal.test", bad[i]);
        assert_problem(&a, 400, "malformed");
    }
    struct acme_answer a = order_for("mine.internal.test", foreign);
    assert_problem(&a, 400, "malformed");
    a = order_for("other.internal.test", quoted(id)); // nothing in common
    assert_problem(&a, 400, "malformed");
    a = order_for("mine.internal.test", quoted(id)); // and nothing of it has taken the place
    assert_int_equal(a.status, 201);
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    acme_init(&client, rig.root_pem_path, rig.ports[0], 1);
    acme_register(&client);
    signer_double_set(DOUBLE_HONEST);
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
        cmocka_unit_test(anybody_may_ask),
        cmocka_unit_test(what_is_no_certificate_of_ours_is_told_apart),
        cmocka_unit_test(a_revoked_certificate_is_renewed_at_once),
        cmocka_unit_test(the_row_alone_answers),
        cmocka_unit_test(an_order_replaces_a_certificate),
        cmocka_unit_test(what_cannot_be_replaced_is_refused),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    front_rig_fini(&rig);
    return failures;
}
