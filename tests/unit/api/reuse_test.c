// reuse: orders that take over authorizations, through a whole front end: a renewal without a
// validation, and its end with what it took over.
#include <stdlib.h>
#include <string.h>

#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/support/signer_double.h"
#include "tests/unit/unit.h"

static struct front_rig rig;

// short: what is valid lasts too short a time to be taken over.
static const char tenants[] =
    "  default:\n    default: true\n    profiles: [server, short]\n    authorization_reuse: true\n"
    "  off:\n    profiles: [server]\n    pre_authorization: false\n"
    "  alone:\n    profiles: [server]\n"
    "  short:\n    profiles: [server]\n    authorization_reuse: true\n"
    "    authorization_valid: 2m\n    authorization_reuse_left: 3m\n";

static void client_make(struct acme *c, const char *tenant, unsigned key)
{
    acme_init(c, rig.root_pem_path, rig.ports[0], key);
    c->tenant = tenant;
    acme_register(c);
}

static void want(struct acme *c, const struct acme_answer *a, unsigned status, const char *path,
                 const char *text)
{
    const char *got = acme_text(c, a, path);
    if (a->status != status || got == NULL || strcmp(got, text) != 0)
        fail_msg("wanted %u with %s %s: %u %.*s", status, path, text, a->status,
                 SLICE_ARG(a->body));
}

static const char *url_of(struct acme *c, const struct acme_answer *a)
{
    struct slice s = acme_header(a, "Location");
    return (const char *)make_text(&c->arena, "%.*s", SLICE_ARG(s)).p;
}

static struct acme_answer finalize(struct acme *c, const char *order, const char *names)
{
    return acme_call(c, (const char *)make_text(&c->arena, "%s/finalize", order).p,
                     acme_csr(c, names, 20));
}

static void a_renewal_needs_no_validation(void **state)
{
    (void)state;
    struct acme c;
    client_make(&c, "default", 30);
    (void)acme_ready(&c, "a.internal.test,b.internal.test");
    struct acme_answer first = acme_order(&c, "a.internal.test,b.internal.test");
    want(&c, &first, 201, "status", "ready");
    assert_int_equal(acme_headers(&first, "Retry-After"), 0);
    struct acme_answer again = acme_order(&c, "b.internal.test,a.internal.test");
    want(&c, &again, 201, "status", "ready");
    // Each is listed at the place of its identifier.
    want(&c, &again, 201, "authorizations.0", acme_text(&c, &first, "authorizations.1"));
    want(&c, &again, 201, "authorizations.1", acme_text(&c, &first, "authorizations.0"));
    const char *order = url_of(&c, &again);
    struct acme_answer a = acme_call(&c, order, NULL);
    want(&c, &a, 200, "status", "ready");
    a = acme_call(&c, acme_text(&c, &again, "authorizations.0"), NULL);
    want(&c, &a, 200, "status", "valid");
    want(&c, &a, 200, "identifier.value", "b.internal.test");
    a = finalize(&c, order, "a.internal.test,b.internal.test");
    want(&c, &a, 200, "status", "valid");
    acme_fini(&c);
}

static void an_order_waits_for_what_is_new(void **state)
{
    (void)state;
    struct acme c;
    client_make(&c, "default", 31);
    (void)acme_ready(&c, "a.internal.test");
    struct acme_answer a = acme_order(&c, "a.internal.test,new.internal.test");
    want(&c, &a, 201, "status", "pending");
    acme_authorize(&c, &a);
    struct acme_answer now = acme_call(&c, url_of(&c, &a), NULL);
    want(&c, &now, 200, "status", "ready");
    acme_fini(&c);
}

// Given back by its account, it ends the orders that took it over, and no later one takes it.
static void an_authorization_that_is_given_back_is_over(void **state)
{
    (void)state;
    struct acme c;
    client_make(&c, "default", 32);
    (void)acme_ready(&c, "a.internal.test");
    struct acme_answer a = acme_order(&c, "a.internal.test");
    want(&c, &a, 201, "status", "ready");
    const char *order = url_of(&c, &a);
    struct acme_answer z = acme_call(&c, acme_text(&c, &a, "authorizations.0"),
                                     "{\"status\":\"deactivated\"}");
    want(&c, &z, 200, "status", "deactivated");
    for (int finalized = 0; finalized < 2; finalized++) {
        a = acme_call(&c, order, NULL);
        want(&c, &a, 200, "status", "invalid");
        want(&c, &a, 200, "error.type", "urn:ietf:params:acme:error:unauthorized");
        a = finalize(&c, order, "a.internal.test");
        want(&c, &a, 403, "type",
             finalized ? "urn:ietf:params:acme:error:orderNotReady"
                       : "urn:ietf:params:acme:error:unauthorized");
    }
    a = acme_order(&c, "a.internal.test");
    want(&c, &a, 201, "status", "pending");
    acme_fini(&c);
}

static void what_is_off_or_too_short_is_not_taken_over(void **state)
{
    (void)state;
    static const char *const names[] = {"off", "short"};
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        struct acme c;
        client_make(&c, names[i], 33 + i);
        (void)acme_ready(&c, "a.internal.test");
        struct acme_answer a = acme_order(&c, "a.internal.test");
        want(&c, &a, 201, "status", "pending");
        acme_fini(&c);
    }
}

// newAuthz: made, found again, validated, used by an order.
static void an_identifier_is_authorized_before_its_order(void **state)
{
    (void)state;
    static const char payload[] =
        "{\"identifier\":{\"type\":\"dns\",\"value\":\"Before.internal.test\"}}";
    struct acme c;
    client_make(&c, "default", 36);
    const char *path = acme_path(&c, "new-authz");
    struct acme_answer a = acme_call(&c, path, payload);
    want(&c, &a, 201, "status", "pending");
    want(&c, &a, 201, "identifier.value", "before.internal.test");
    assert_int_equal(acme_headers(&a, "Retry-After"), 0);
    assert_int_equal(acme_headers(&a, "Link"), 1);
    const char *url = url_of(&c, &a), *token = acme_text(&c, &a, "challenges.0.token");
    a = acme_call(&c, path, payload);
    want(&c, &a, 200, "challenges.0.token", token);
    assert_string_equal(url_of(&c, &a), url);
    responder_thumbprint(acme_thumbprint(&c));
    a = acme_call(&c, acme_text(&c, &a, "challenges.0.url"), "{}");
    assert_int_equal(a.status, 200);
    a = acme_wait(&c, url, "pending", NULL, 10000);
    want(&c, &a, 200, "status", "valid");
    a = acme_call(&c, path, payload);
    want(&c, &a, 200, "status", "valid");
    a = acme_order(&c, "before.internal.test");
    want(&c, &a, 201, "status", "ready");
    want(&c, &a, 201, "authorizations.0", url);
    a = finalize(&c, url_of(&c, &a), "before.internal.test");
    want(&c, &a, 200, "status", "valid");
    acme_fini(&c);
}

// Where every order proves control anew, what was asked for before it is taken over all the same.
static void what_was_asked_for_before_is_used_without_reuse(void **state)
{
    (void)state;
    struct acme c;
    client_make(&c, "alone", 39);
    (void)acme_ready(&c, "x.internal.test");
    struct acme_answer a = acme_call(
        &c, acme_path(&c, "new-authz"),
        "{\"identifier\":{\"type\":\"dns\",\"value\":\"x.internal.test\"}}");
    want(&c, &a, 201, "status", "pending"); // not the one of the order
    const char *url = url_of(&c, &a);
    a = acme_order(&c, "x.internal.test");
    want(&c, &a, 201, "status", "pending");
    a = acme_call(&c, acme_text(&c, &a, "authorizations.0"), NULL);
    a = acme_call(&c, url, NULL);
    a = acme_call(&c, acme_text(&c, &a, "challenges.0.url"), "{}");
    a = acme_wait(&c, url, "pending", NULL, 10000);
    want(&c, &a, 200, "status", "valid");
    a = acme_order(&c, "x.internal.test");
    want(&c, &a, 201, "status", "ready");
    acme_fini(&c);
}

static void what_cannot_be_authorized_before_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        const char *type;
    } rows[] = {
        {NULL, "malformed"},
        {"{}", "malformed"},
        {"{\"identifier\":\"a.internal.test\"}", "malformed"},
        {"{\"identifier\":{\"type\":\"dns\"}}", "malformed"},
        {"{\"identifier\":{\"type\":\"email\",\"value\":\"a@b\"}}", "unsupportedIdentifier"},
        {"{\"identifier\":{\"type\":\"dns\",\"value\":\"a..b\"}}", "rejectedIdentifier"},
        {"{\"identifier\":{\"type\":\"dns\",\"value\":\"*.a.internal.test\"}}",
         "rejectedIdentifier"},
    };
    struct acme c;
    client_make(&c, "default", 37);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct acme_answer a = acme_call(&c, acme_path(&c, "new-authz"), rows[i].payload);
        if (a.status != 400 || strcmp(acme_type(&c, &a), rows[i].type) != 0)
            fail_msg("row %zu: %u %.*s", i, a.status, SLICE_ARG(a.body));
        if (i > 3) assert_non_null(acme_text(&c, &a, "subproblems.0.identifier.value"));
    }
    acme_fini(&c);
    client_make(&c, "off", 38); // not advertised, not there
    struct acme_answer a = acme_call(&c, acme_path(&c, "new-authz"), "{}");
    assert_int_equal(a.status, 404);
    acme_fini(&c);
}

static void what_is_taken_over_is_counted(void **state)
{
    (void)state;
    char text[65536];
    assert_int_equal(front_private_get(&rig, 0, "/metrics", text, sizeof text), 200);
    const char *at = strstr(text, "\ncertmill_authorizations_reused_total ");
    assert_non_null(at);
    assert_int_equal(atoi(strchr(at, ' ')), 8); // of the cases above
}

static int setup(void **state)
{
    (void)state;
    front_config(&rig, 0, tenants);
    front_start(&rig, 0);
    signer_double_set(DOUBLE_HONEST);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewal_needs_no_validation),
        cmocka_unit_test(an_order_waits_for_what_is_new),
        cmocka_unit_test(an_authorization_that_is_given_back_is_over),
        cmocka_unit_test(what_is_off_or_too_short_is_not_taken_over),
        cmocka_unit_test(an_identifier_is_authorized_before_its_order),
        cmocka_unit_test(what_was_asked_for_before_is_used_without_reuse),
        cmocka_unit_test(what_cannot_be_authorized_before_is_refused),
        cmocka_unit_test(what_is_taken_over_is_counted),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, NULL);
    front_rig_fini(&rig);
    return failures;
}
