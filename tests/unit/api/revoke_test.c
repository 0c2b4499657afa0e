// revoke: revokeCert in its three ways (RFC 8555 section 7.6), through whole front ends.
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/der/der.h"
#include "proto/der/pem.h"
#include "proto/text/base64url.h"
#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/unit/unit.h"

static struct front_rig rig;

static void begin(struct acme *c, unsigned key)
{
    acme_init(c, rig.root_pem_path, rig.ports[0], key);
    acme_register(c);
}

static void want(struct acme *c, const struct acme_answer *a, unsigned status, const char *type,
                 const char *what)
{
    if (a->status == status && strcmp(acme_type(c, a), type) == 0) return;
    fail_msg("%s: got %u %s, want %u %s: %.*s", what, a->status, acme_type(c, a), status, type,
             (int)a->body.n, (const char *)a->body.p);
}

// leaf_of is the first certificate of a chain, DER.
static struct slice leaf_of(struct acme *c, struct slice pem)
{
    struct pem_block block;
    struct slice rest = pem;
    assert_ok(pem_next(&block, &c->arena, &rest));
    return block.der;
}

// chain_of finalizes the order and returns the leaf.
static struct slice chain_of(struct acme *c, const char *order, const char *csr)
{
    struct acme_answer a = acme_call(c, arena_printf(&c->arena, "%s/finalize", order), csr);
    want(c, &a, 200, "", "finalize");
    a = acme_wait(c, order, "processing", NULL, 10000);
    a = acme_call(c, acme_text(c, &a, "certificate"), NULL);
    want(c, &a, 200, "", "certificate");
    return leaf_of(c, a.body);
}

// issue obtains a certificate of the usual profile; issue_as one of another, for one name and any
// key.
static struct slice issue(struct acme *c, const char *names, unsigned key)
{
    return chain_of(c, acme_ready(c, names), acme_csr(c, names, key));
}

static struct slice issue_as(struct acme *c, const char *profile, EVP_PKEY *key)
{
    struct acme_answer a = acme_call(
        c, acme_path(c, "new-order"),
        arena_printf(&c->arena,
                     "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.internal.test\"}],"
                     "\"profile\":\"%s\"}",
                     profile));
    want(c, &a, 201, "", profile);
    const char *order = arena_printf(&c->arena, "%" SLICE_FMT,
                                     SLICE_ARG(acme_header(&a, "Location")));
    acme_authorize(c, &a);
    struct slice csr = make_csr_for(&c->arena, key, "a.internal.test");
    char *text = arena_calloc(&c->arena, base64url_encoded_len(csr.n) + 1);
    base64url_encode(text, csr);
    return chain_of(c, order, arena_printf(&c->arena, "{\"csr\":\"%s\"}", text));
}

// payload_of is revokeCert's; `more` stands behind the certificate.
static const char *payload_of(struct acme *c, struct slice der, const char *more)
{
    char *text = arena_calloc(&c->arena, base64url_encoded_len(der.n) + 1);
    base64url_encode(text, der);
    return arena_printf(&c->arena, "{\"certificate\":\"%s\"%s}", text, more);
}

static struct acme_answer revoke(struct acme *c, struct slice der, const char *more)
{
    return acme_call(c, acme_path(c, "revoke-cert"), payload_of(c, der, more));
}

// revoke_by_key signs with a key and "jwk".
static struct acme_answer revoke_by_key(struct acme *c, EVP_PKEY *key, struct slice der)
{
    EVP_PKEY *own = c->key;
    c->key = key;
    struct acme_answer a = acme_post(c, acme_path(c, "revoke-cert"), ACME_JWK,
                                     payload_of(c, der, ""));
    c->key = own;
    return a;
}

static int64_t number(const char *sql)
{
    char text[64];
    assert_true(pg_value(&rig.pg, sql, text, sizeof text));
    return atoll(text);
}

static int64_t rows(void) { return number("SELECT count(*) FROM revocations"); }

static void by_the_account_that_issued(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 301);
    struct acme_answer a = acme_send(&c, "GET", "/directory", NULL, NULL, SLICE_NONE);
    assert_string_equal(acme_text(&c, &a, "revokeCert"), acme_url(&c, "revoke-cert"));
    struct slice der = issue(&c, "a.internal.test", 302);
    a = revoke(&c, der, ",\"reason\":4");
    want(&c, &a, 200, "", "revocation");
    assert_int_equal(a.body.n, 0); // clients.md 14
    assert_int_equal(acme_headers(&a, "Replay-Nonce"), 1);
    assert_int_equal(number("SELECT reason FROM revocations"), 4);
    a = revoke(&c, der, ",\"reason\":1");
    want(&c, &a, 400, "alreadyRevoked", "again");
    assert_non_null(memmem(a.body.p, a.body.n, "already", 7)); // dehydrated looks for the words
    a = revoke_by_key(&c, make_key(KEY_P256, 0, 302), der);
    want(&c, &a, 400, "alreadyRevoked", "again, by the key");
    assert_int_equal(number("SELECT reason FROM revocations"), 4);
    acme_fini(&c);
}

static void by_the_key_of_the_certificate(void **state)
{
    (void)state;
    static const enum key_type types[] = {KEY_P256, KEY_P384, KEY_P521, KEY_RSA, KEY_ED25519};
    struct acme c, stranger;
    begin(&c, 303);
    acme_init(&stranger, rig.root_pem_path, rig.ports[0], 304); // has no account
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        EVP_PKEY *key = make_key(types[i], types[i] == KEY_RSA ? 2048 : 0, 302);
        struct slice der = issue_as(&c, "wide", key);
        int64_t before = rows();
        struct acme_answer a = revoke_by_key(
            &stranger, make_key(types[i], types[i] == KEY_RSA ? 2048 : 0, 306), der);
        want(&stranger, &a, 403, "unauthorized", "another key of the kind");
        a = revoke_by_key(&stranger, c.key, der); // "jwk" is for the certificate's key only
        want(&stranger, &a, 403, "unauthorized", "the account's key as jwk");
        assert_int_equal(rows(), before);
        a = revoke_by_key(&stranger, key, der);
        want(&stranger, &a, 200, "", "the certificate's key");
        assert_int_equal(rows(), before + 1);
    }
    acme_fini(&c);
    acme_fini(&stranger);
}

// T03: the public key is in every certificate; only its signature counts.
static void a_copied_public_key_is_no_proof(void **state)
{
    (void)state;
    struct acme c, thief;
    begin(&c, 307);
    begin(&thief, 308);
    struct slice der = issue(&c, "a.internal.test", 302);
    struct slice jwk = make_jwk(&c.arena, make_key(KEY_P256, 0, 302));
    const char *header = arena_printf(&thief.arena,
                                      "{\"alg\":\"ES256\",\"jwk\":%" SLICE_FMT
                                      ",\"nonce\":\"%%N\",\"url\":\"%%U\"}",
                                      SLICE_ARG(jwk));
    int64_t before = rows();
    struct acme_answer a = acme_post(&thief, acme_path(&thief, "revoke-cert"), header,
                                     payload_of(&thief, der, ""));
    want(&thief, &a, 400, "malformed", "signed by another key than the one shown");
    assert_int_equal(rows(), before);
    acme_fini(&c);
    acme_fini(&thief);
}

static void by_another_account_that_holds_all_names(void **state)
{
    (void)state;
    struct acme c, other;
    begin(&c, 310);
    begin(&other, 311);
    struct slice der = issue(&c, "a.internal.test,b.internal.test", 302);
    struct acme_answer a = revoke(&other, der, "");
    want(&other, &a, 403, "unauthorized", "no authorization");
    acme_ready(&other, "a.internal.test");
    a = revoke(&other, der, "");
    want(&other, &a, 403, "unauthorized", "one of two names");
    const char *order = acme_ready(&other, "b.internal.test");
    struct acme_answer o = acme_call(&other, order, NULL);
    const char *authz = acme_text(&other, &o, "authorizations.0");
    a = acme_call(&other, authz, "{\"status\":\"deactivated\"}");
    want(&other, &a, 200, "", "deactivation");
    a = revoke(&other, der, "");
    want(&other, &a, 403, "unauthorized", "one was given back");
    acme_ready(&other, "b.internal.test");
    a = revoke(&other, der, "");
    want(&other, &a, 200, "", "all names");
    acme_fini(&c);
    acme_fini(&other);
}

static void only_what_was_issued_here(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 313);
    struct slice der = issue(&c, "a.internal.test", 302), changed;
    int64_t before = rows();
    assert_ok(arena_dup(&changed, &c.arena, der));
    ((uint8_t *)(uintptr_t)changed.p)[changed.n - 1] ^= 1; // of the signature
    struct acme_answer a = revoke(&c, changed, "");
    want(&c, &a, 404, "malformed", "one octet of the signature differs");
    struct make_cert foreign = {.key = make_key(KEY_P256, 0, 302),
                                .issuer_key = make_key(KEY_P256, 0, 315)};
    der = make_cert(&c.arena, &foreign);
    a = revoke(&c, der, "");
    want(&c, &a, 404, "malformed", "another CA's");
    a = revoke_by_key(&c, make_key(KEY_P256, 0, 302), der);
    want(&c, &a, 404, "malformed", "another CA's, by its key");
    assert_int_equal(rows(), before);
    acme_fini(&c);
}

// noRevAvail (RFC 9608): nothing is kept, and nobody is told otherwise.
static void what_has_no_revocation_data_is_not_revoked(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 316);
    struct slice der = issue_as(&c, "norev", make_key(KEY_P256, 0, 302));
    int64_t before = rows();
    struct acme_answer a = revoke(&c, der, "");
    want(&c, &a, 403, "unauthorized", "by its account");
    assert_non_null(memmem(a.body.p, a.body.n, "noRevAvail", 10));
    a = revoke_by_key(&c, make_key(KEY_P256, 0, 302), der);
    want(&c, &a, 403, "unauthorized", "by its key");
    assert_int_equal(rows(), before);
    acme_fini(&c);
}

static void each_defect_revokes_nothing(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 318);
    struct slice der = issue(&c, "a.internal.test", 302);
    int64_t before = rows();
    static const struct {
        const char *more;
        unsigned status;
        const char *type;
    } reasons[] = {{",\"reason\":2", 400, "badRevocationReason"},
                   {",\"reason\":6", 400, "badRevocationReason"},
                   {",\"reason\":7", 400, "badRevocationReason"},
                   {",\"reason\":8", 400, "badRevocationReason"},
                   {",\"reason\":11", 400, "badRevocationReason"},
                   {",\"reason\":-1", 400, "badRevocationReason"},
                   {",\"reason\":9007199254740991", 400, "badRevocationReason"},
                   {",\"reason\":\"1\"", 400, "malformed"},
                   {",\"reason\":1.5", 400, "malformed"},
                   {",\"reason\":null", 400, "malformed"}};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        struct acme_answer a = revoke(&c, der, reasons[i].more);
        want(&c, &a, reasons[i].status, reasons[i].type, reasons[i].more);
    }
    static const char *const payloads[] = {"{}", "{\"certificate\":1}", "{\"certificate\":\"\"}",
                                           "{\"certificate\":\"*\"}", "{\"certificate\":\"AAAA\"}"};
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        struct acme_answer a = acme_call(&c, acme_path(&c, "revoke-cert"), payloads[i]);
        want(&c, &a, 400, "malformed", payloads[i]);
    }
    struct acme_answer a = acme_call(&c, acme_path(&c, "revoke-cert"), NULL);
    want(&c, &a, 400, "malformed", "no payload");
    a = revoke(&c, slice_sub(der, 0, der.n - 1), "");
    want(&c, &a, 400, "malformed", "cut");
    assert_int_equal(rows(), before);
    acme_fini(&c);
}

// clients.md 26 and 57: padding and the standard alphabet are taken here.
static void padded_base64_is_taken(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 320);
    struct slice der = issue(&c, "a.internal.test", 302);
    size_t size;
    assert_true(EVP_EncodedLength(&size, der.n));
    uint8_t *text = arena_calloc(&c.arena, size);
    size_t n = EVP_EncodeBlock(text, der.p, der.n);
    struct acme_answer a = acme_call(
        &c, acme_path(&c, "revoke-cert"),
        arena_printf(&c.arena, "{\"certificate\":\"%.*s\",\"reason\":0}", (int)n, text));
    want(&c, &a, 200, "", "standard base64");
    acme_fini(&c);
}

static void a_deactivated_account_revokes_nothing_and_its_keys_do(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 322);
    struct slice der = issue(&c, "a.internal.test", 302);
    struct acme_answer a = acme_call(&c, c.kid, "{\"status\":\"deactivated\"}");
    want(&c, &a, 200, "", "deactivation");
    a = revoke(&c, der, "");
    want(&c, &a, 401, "unauthorized", "the account has ended");
    a = revoke_by_key(&c, make_key(KEY_P256, 0, 302), der);
    want(&c, &a, 200, "", "the key has not");
    acme_fini(&c);
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_account_that_issued),
        cmocka_unit_test(by_the_key_of_the_certificate),
        cmocka_unit_test(a_copied_public_key_is_no_proof),
        cmocka_unit_test(by_another_account_that_holds_all_names),
        cmocka_unit_test(only_what_was_issued_here),
        cmocka_unit_test(what_has_no_revocation_data_is_not_revoked),
        cmocka_unit_test(each_defect_revokes_nothing),
        cmocka_unit_test(padded_base64_is_taken),
        cmocka_unit_test(a_deactivated_account_revokes_nothing_and_its_keys_do),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, NULL);
    front_rig_fini(&rig);
    return failures;
}
