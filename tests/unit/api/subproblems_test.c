// subproblems: everything that is wrong with the identifiers of a request is told at once, each
// with its own type, its identifier and its place (RFC 8555 section 6.7.1).
#include <stdio.h>
#include <string.h>

#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/support/signer_double.h"
#include "tests/unit/unit.h"

static struct front_rig rig;
static struct acme c;

#define URN "urn:ietf:params:acme:error:"

static void text_want(const struct acme_answer *a, const char *path, const char *want)
{
    const char *got = acme_text(&c, a, path);
    if (want == NULL ? got != NULL : got == NULL || strcmp(got, want) != 0)
        fail_msg("wanted %s %s: %u %.*s", path, want == NULL ? "absent" : want, a->status,
                 SLICE_ARG(a->body));
}

static const char *text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *text(const char *fmt, ...)
{
    char out[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, sizeof out, fmt, ap);
    va_end(ap);
    return (const char *)make_text(&c.arena, "%s", out).p;
}

// struct bad: an identifier that is refused, the type of its problem, how it is shown again.
static const struct bad {
    const char *json, *problem, *type, *value;
} bads[] = {
    {"{\"type\":\"dns\"}", "malformed", NULL, NULL},
    {"17", "malformed", NULL, NULL},
    {"{\"type\":\"email\",\"value\":\"a@b.test\"}", "unsupportedIdentifier", "email", "a@b.test"},
    {"{\"type\":\"dns\",\"value\":\"a..test\"}", "rejectedIdentifier", "dns", "a..test"},
    {"{\"type\":\"dns\",\"value\":\"*.a.test\"}", "rejectedIdentifier", "dns", "*.a.test"},
    {"{\"type\":\"dns\",\"value\":\"A/b.test\"}", "rejectedIdentifier", "dns", "A/b.test"},
};

static struct acme_answer order_of(const char *const *elements, size_t count)
{
    char payload[4096] = "{\"identifiers\":[";
    size_t n = strlen(payload);
    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(payload + n, sizeof payload - n, "%s%s", i == 0 ? "" : ",",
                              elements[i]);
    (void)snprintf(payload + n, sizeof payload - n, "]}");
    return acme_call(&c, acme_path(&c, "new-order"), payload);
}

static const char *good(size_t i)
{
    return text("{\"type\":\"dns\",\"value\":\"n%zu.internal.test\"}", i);
}

// For N names, one bad one at each place: the place in the answer is the right one, also when names
// before it are given twice.
static void each_place_is_named(void **state)
{
    (void)state;
    enum { N = 5 };
    for (size_t b = 0; b < COUNT_OF(bads); b++)
        for (size_t at = 0; at < N; at++)
            for (int twice = 0; twice < 2; twice++) {
                const char *elements[N];
                for (size_t i = 0; i < N; i++) elements[i] = good(twice ? 0 : i);
                elements[at] = bads[b].json;
                struct acme_answer a = order_of(elements, N);
                assert_int_equal(a.status, 400);
                text_want(&a, "type", text(URN "%s", bads[b].problem));
                text_want(&a, "subproblems.0.type", text(URN "%s", bads[b].problem));
                text_want(&a, "subproblems.0.identifier.type", bads[b].type);
                text_want(&a, "subproblems.0.identifier.value", bads[b].value);
                text_want(&a, "subproblems.1.type", NULL);
                const char *detail = acme_text(&c, &a, "detail"),
                           *start = text("identifier %zu (", at);
                if (strncmp(detail, start, strlen(start)) != 0) fail_msg("%zu: %s", at, detail);
                text_want(&a, "subproblems.0.detail", detail);
            }
}

static void all_of_them_are_told_at_once(void **state)
{
    (void)state;
    const char *elements[2 * COUNT_OF(bads)];
    for (size_t i = 0; i < COUNT_OF(elements); i++)
        elements[i] = i % 2 == 0 ? good(i) : bads[i / 2].json;
    struct acme_answer a = order_of(elements, COUNT_OF(elements));
    assert_int_equal(a.status, 400);
    text_want(&a, "type", URN "compound");
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        text_want(&a, text("subproblems.%zu.type", i), text(URN "%s", bads[i].problem));
        text_want(&a, text("subproblems.%zu.identifier.value", i), bads[i].value);
        const char *detail = acme_text(&c, &a, text("subproblems.%zu.detail", i)),
                   *start = text("identifier %zu (", 2 * i + 1);
        if (strncmp(detail, start, strlen(start)) != 0) fail_msg("%zu: %s", i, detail);
    }
    text_want(&a, text("subproblems.%zu.type", COUNT_OF(bads)), NULL);
    // Of one kind they keep their type.
    a = order_of((const char *const[]){bads[3].json, good(1), bads[5].json}, 3);
    text_want(&a, "type", URN "rejectedIdentifier");
    text_want(&a, "subproblems.1.identifier.value", "A/b.test");
}

static void an_answer_without_identifiers_has_no_subproblems(void **state)
{
    (void)state;
    struct acme_answer a = acme_call(&c, acme_path(&c, "new-order"), "{\"identifiers\":[]}");
    text_want(&a, "type", URN "malformed");
    text_want(&a, "subproblems", NULL);
    text_want(&a, "subproblems.0.type", NULL);
}

static const char *url_of(const struct acme_answer *a)
{
    struct slice s = acme_header(a, "Location");
    return text("%.*s", SLICE_ARG(s));
}

// A failed order names the identifier that ended it.
static void a_failed_order_names_its_identifier(void **state)
{
    (void)state;
    for (int deactivated = 0; deactivated < 2; deactivated++) {
        struct acme_answer o = acme_order(&c, "x.internal.test,y.internal.test");
        const char *order = url_of(&o), *authz = acme_text(&c, &o, "authorizations.1");
        struct acme_answer z = acme_call(&c, authz, NULL);
        const char *type = deactivated ? URN "unauthorized" : URN "incorrectResponse";
        responder_thumbprint(NULL);
        z = deactivated ? acme_call(&c, authz, "{\"status\":\"deactivated\"}")
                        : acme_call(&c, acme_text(&c, &z, "challenges.0.url"), "{}");
        assert_int_equal(z.status, 200);
        struct acme_answer a = acme_wait(&c, order, "pending", NULL, 10000);
        text_want(&a, "status", "invalid");
        text_want(&a, "error.type", type);
        text_want(&a, "error.subproblems.0.type", type);
        text_want(&a, "error.subproblems.0.identifier.type", "dns");
        text_want(&a, "error.subproblems.0.identifier.value", "y.internal.test");
        text_want(&a, "error.subproblems.0.detail", acme_text(&c, &a, "error.detail"));
        a = acme_call(&c, authz, NULL);
        text_want(&a, "challenges.0.error.subproblems", NULL);
        responder_thumbprint(acme_thumbprint(&c));
    }
}

// A CSR for other names: those that only one of them has are named.
static void names_that_differ_at_finalize_are_named(void **state)
{
    (void)state;
    const char *order = acme_ready(&c, "a.internal.test,b.internal.test,c.internal.test");
    struct acme_answer a = acme_call(
        &c, text("%s/finalize", order),
        acme_csr(&c, "a.internal.test,c.internal.test,d.internal.test", 9));
    assert_int_equal(a.status, 400);
    text_want(&a, "type", URN "badCSR");
    text_want(&a, "subproblems.0.identifier.value", "b.internal.test");
    text_want(&a, "subproblems.0.detail", "is in the order and not in the request");
    text_want(&a, "subproblems.1.identifier.value", "d.internal.test");
    text_want(&a, "subproblems.1.detail", "is in the request and not in the order");
    text_want(&a, "subproblems.2.type", NULL);
    a = acme_call(&c, order, NULL);
    text_want(&a, "status", "ready"); // nothing is lost
}

// An authorization that is not valid any more: at each place of the order, that identifier is
// named.
static void an_authorization_that_has_ended_is_named(void **state)
{
    (void)state;
    static const char *const names[] = {"a.internal.test", "b.internal.test", "c.internal.test"};
    static const char all[] = "a.internal.test,b.internal.test,c.internal.test",
                      ended[] = "UPDATE authorizations SET status = 6 WHERE id = (SELECT encode("
                                "substr(authzs, %zu, 16), 'hex')::uuid FROM orders ORDER BY id "
                                "DESC LIMIT 1)";
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *order = acme_ready(&c, all);
        assert_int_equal(pg_psql(&rig.pg, text(ended, 16 * i + 1)), 0);
        struct acme_answer a = acme_call(&c, text("%s/finalize", order), acme_csr(&c, all, 9));
        assert_int_equal(a.status, 403);
        text_want(&a, "type", URN "unauthorized");
        text_want(&a, "subproblems.0.identifier.value", names[i]);
        text_want(&a, "subproblems.1.type", NULL);
        a = acme_call(&c, order, NULL);
        text_want(&a, "status", "invalid");
        text_want(&a, "error.type", URN "unauthorized");
    }
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    signer_double_set(DOUBLE_HONEST);
    acme_init(&c, rig.root_pem_path, rig.ports[0], 40);
    acme_register(&c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    acme_fini(&c);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_is_named),
        cmocka_unit_test(all_of_them_are_told_at_once),
        cmocka_unit_test(an_answer_without_identifiers_has_no_subproblems),
        cmocka_unit_test(a_failed_order_names_its_identifier),
        cmocka_unit_test(names_that_differ_at_finalize_are_named),
        cmocka_unit_test(an_authorization_that_has_ended_is_named),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    front_rig_fini(&rig);
    return failures;
}
