// problem: types, their usual status (RFC 8555 section 6.7), and the documents.
#include "api/problem.h"

#include <string.h>

#include "proto/err.h"
#include "proto/text/json.h"
#include "tests/unit/unit.h"

// The types of the RFCs, by hand: a type that is not here must not leave this server.
static const struct {
    enum problem p;
    const char *type;
    unsigned status;
} known[] = {
    {PROBLEM_ACCOUNT_DOES_NOT_EXIST, "accountDoesNotExist", 400}, // clients.md 28
    {PROBLEM_ALREADY_REPLACED, "alreadyReplaced", 409},           // RFC 9773 section 5
    {PROBLEM_ALREADY_REVOKED, "alreadyRevoked", 400},
    {PROBLEM_BAD_CSR, "badCSR", 400},
    {PROBLEM_BAD_NONCE, "badNonce", 400}, // clients.md 19
    {PROBLEM_BAD_PUBLIC_KEY, "badPublicKey", 400},
    {PROBLEM_BAD_REVOCATION_REASON, "badRevocationReason", 400},
    {PROBLEM_BAD_SIGNATURE_ALGORITHM, "badSignatureAlgorithm", 400},
    {PROBLEM_CAA, "caa", 403},
    {PROBLEM_COMPOUND, "compound", 400}, // RFC 8555 section 6.7.1
    {PROBLEM_CONNECTION, "connection", 400},
    {PROBLEM_DNS, "dns", 400},
    {PROBLEM_EXTERNAL_ACCOUNT_REQUIRED, "externalAccountRequired", 403},
    {PROBLEM_INCORRECT_RESPONSE, "incorrectResponse", 403},
    {PROBLEM_INVALID_CONTACT, "invalidContact", 400},
    {PROBLEM_INVALID_PROFILE, "invalidProfile", 400},
    {PROBLEM_MALFORMED, "malformed", 400},
    {PROBLEM_ORDER_NOT_READY, "orderNotReady", 403}, // RFC 8555 section 7.4
    {PROBLEM_RATE_LIMITED, "rateLimited", 429},
    {PROBLEM_REJECTED_IDENTIFIER, "rejectedIdentifier", 400},
    {PROBLEM_SERVER_INTERNAL, "serverInternal", 500},
    {PROBLEM_TLS, "tls", 400},
    {PROBLEM_UNAUTHORIZED, "unauthorized", 403},
    {PROBLEM_UNSUPPORTED_CONTACT, "unsupportedContact", 400},
    {PROBLEM_UNSUPPORTED_IDENTIFIER, "unsupportedIdentifier", 400},
    {PROBLEM_USER_ACTION_REQUIRED, "userActionRequired", 403},
};

static void every_type_is_known(void **state)
{
    (void)state;
    assert_int_equal(COUNT_OF(known), PROBLEM_COUNT);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        const char *type = problem_type(known[i].p);
        assert_int_equal(problem_status(known[i].p), known[i].status);
        assert_string_equal(strrchr(type, ':') + 1, known[i].type);
        assert_memory_equal(type, "urn:ietf:params:acme:error:", 27);
    }
}

static struct json parsed(struct arena *a, struct slice text)
{
    struct json j;
    assert_ok(json_parse(&j, a, text));
    assert_true(json_is_object(j));
    return j;
}

static void assert_member(struct json j, const char *name, const char *want)
{
    struct slice s;
    assert_ok(json_string(json_get(j, name), &s));
    assert_slice_str(s, want);
}

// clients.md 11 and 12: always an object with type, detail and the HTTP status.
static void a_document_has_type_detail_and_status(void **state)
{
    (void)state;
    struct arena a;
    struct buf b;
    int64_t status;
    arena_init(&a, 65536);
    buf_init(&b, 4096);
    const struct problem_extra extra = {
        .instance = "urn:x:1", .algorithms = "[\"ES256\"]", .subproblems = "[{},{}]"};
    assert_ok(problem_write(&b, PROBLEM_MALFORMED, 415, "what \"was\" wrong\n", &extra));
    struct json j = parsed(&a, buf_slice(&b));
    assert_member(j, "type", "urn:ietf:params:acme:error:malformed");
    assert_member(j, "detail", "what \"was\" wrong\n");
    assert_member(j, "instance", "urn:x:1");
    assert_ok(json_int(json_get(j, "status"), &status));
    assert_int_equal(status, 415);
    assert_int_equal(json_size(json_get(j, "algorithms")), 1);
    assert_int_equal(json_size(json_get(j, "subproblems")), 2);
    buf_fini(&b);
    arena_fini(&a);
}

static void what_is_absent_is_left_out(void **state)
{
    (void)state;
    struct arena a;
    struct buf b;
    arena_init(&a, 65536);
    buf_init(&b, 4096);
    assert_ok(problem_write(&b, PROBLEM_DNS, 400, "x", NULL));
    assert_int_equal(json_size(parsed(&a, buf_slice(&b))), 3);
    buf_fini(&b);
    arena_fini(&a);
}

static void a_ceiling_is_an_error(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 20);
    assert_err(problem_write(&b, PROBLEM_DNS, 400, "x", NULL), ERR_NO_SPACE);
    buf_fini(&b);
}

static void refusals_say_their_status_and_request(void **state)
{
    (void)state;
    static const unsigned codes[] = {400, 405, 408, 413, 417, 418, 431, 501, 503, 505};
    struct arena a;
    struct buf b;
    arena_init(&a, 1 << 20);
    buf_init(&b, 4096);
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        int64_t status;
        struct slice detail;
        buf_clear(&b);
        assert_ok(problem_write_refusal(&b, codes[i], "0123"));
        struct json j = parsed(&a, buf_slice(&b));
        assert_ok(json_int(json_get(j, "status"), &status));
        assert_int_equal(status, codes[i]);
        assert_member(j, "instance", "urn:certmill:request:0123");
        assert_member(j, "type",
                      codes[i] == 503 ? "urn:ietf:params:acme:error:serverInternal"
                                      : "urn:ietf:params:acme:error:malformed");
        assert_ok(json_string(json_get(j, "detail"), &detail));
        assert_true(detail.n > 10);
    }
    buf_fini(&b);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_known),
        cmocka_unit_test(a_document_has_type_detail_and_status),
        cmocka_unit_test(what_is_absent_is_left_out),
        cmocka_unit_test(a_ceiling_is_an_error),
        cmocka_unit_test(refusals_say_their_status_and_request),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
