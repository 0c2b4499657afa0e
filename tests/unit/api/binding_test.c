// binding: external account binding (RFC 8555 section 7.3.4) through a whole front end: every way
// in which a binding can be wrong, what its key allows, and what becomes of its accounts.
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/eab.h"
#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/unit/unit.h"

static struct front_rig rig;
static const char secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static struct arena arena;

static const char tenants[] = "  default:\n    default: true\n    profiles: [server, short]\n"
                              "    eab: required\n"
                              "  open:\n    profiles: [server, short]\n    eab: optional\n"
                              "  none:\n    profiles: [short]\n";

static void want(struct acme *c, const struct acme_answer *a, unsigned status, const char *type,
                 const char *what)
{
    if (a->status == status && strcmp(acme_type(c, a), type) == 0) return;
    fail_msg("%s: got %u %s, want %u %s: %.*s", what, a->status, acme_type(c, a), status, type,
             (int)a->body.n, (const char *)a->body.p);
}

static void sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void sql(const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_int_equal(pg_psql(&rig.pg, text), 0);
}

static const char *sealed_hex(const char *tenant, const char *kid, const char *plain)
{
    static const char file[] = "0123456789abcdef0123456789abcdef"; // the rig's cluster secret
    uint8_t cluster[SHA256_DIGEST_LENGTH];
    struct slice sealed;
    static char hex[1024];
    SHA256((const uint8_t *)file, sizeof file - 1, cluster);
    assert_ok(eab_seal(&sealed, &arena, slice_of(cluster, sizeof cluster), slice_str(tenant),
                       slice_str(kid), slice_str(plain)));
    for (size_t i = 0; i < sealed.n; i++) snprintf(hex + 2 * i, 3, "%02x", sealed.p[i]);
    return hex;
}

// key_make makes a key as `certmill eab create` would.
static void key_make(const char *tenant, const char *kid)
{
    sql("INSERT INTO eab_keys VALUES ('%s', '%s', gen_random_uuid(), 1, 7, '\\x%s', now_us(), '', "
        "0, 0, 0, 0, '[]', '[]', '', now_us())",
        tenant, kid, sealed_hex(tenant, kid, secret));
}

// struct eab is a binding that is right but for what is not NULL. In `header` and `payload` %U is
// the URL of newAccount, %K the key id, %J the account's key.
struct eab {
    const char *what, *header, *payload, *secret;
    unsigned bits;
    unsigned status;
    const char *type;
};

static const char *fill(struct acme *c, const char *template, const char *kid)
{
    struct slice jwk = make_jwk(&c->arena, c->key);
    struct buf b;
    buf_init(&b, 1 << 16);
    for (const char *at = template; *at != 0; at++) {
        struct slice piece = slice_of(at, 1);
        if (*at == '%')
            piece = *++at == 'J' ? jwk
                    : *at == 'K' ? slice_str(kid)
                                 : slice_str(acme_url(c, "new-account"));
        assert_ok(buf_add(&b, piece));
    }
    const char *text = arena_printf(&c->arena, "%" SLICE_FMT, SLICE_ARG(buf_slice(&b)));
    buf_fini(&b);
    return text;
}

static const char *binding_of(struct acme *c, const char *kid, const struct eab *row)
{
    unsigned bits = row->bits == 0 ? 256 : row->bits;
    const char *right = arena_printf(&c->arena,
                                     "{\"alg\":\"HS%u\",\"kid\":\"%%K\",\"url\":\"%%U\"}", bits);
    const char *header = fill(c, row->header == NULL ? right : row->header, kid);
    const char *payload = fill(c, row->payload == NULL ? "%J" : row->payload, kid);
    struct slice jws = make_jws_mac(&c->arena, bits,
                                    slice_str(row->secret == NULL ? secret : row->secret),
                                    slice_str(header), slice_str(payload));
    return arena_printf(&c->arena, "%" SLICE_FMT, SLICE_ARG(jws));
}

// ask asks for an account with a binding, in JSON.
static struct acme_answer ask(struct acme *c, const char *binding)
{
    return acme_post(c, acme_path(c, "new-account"), ACME_JWK,
                     arena_printf(&c->arena,
                                  "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":%s}",
                                  binding));
}

static struct acme_answer ask_with(struct acme *c, const char *kid)
{
    static const struct eab right;
    return ask(c, binding_of(c, kid, &right));
}

static void begin(struct acme *c, unsigned key, const char *tenant)
{
    acme_init(c, rig.root_pem_path, rig.ports[0], key);
    c->tenant = tenant;
}

static void bound(struct acme *c, unsigned key, const char *kid)
{
    begin(c, key, "default");
    struct acme_answer a = ask_with(c, kid);
    want(c, &a, 201, "", kid);
    c->kid = arena_printf(&c->arena, "%" SLICE_FMT, SLICE_ARG(acme_header(&a, "Location")));
}

// ---- the binding

static void each_defect_of_a_binding_makes_no_account(void **state)
{
    (void)state;
    static const struct eab rows[] = {
        {"a nonce", "{\"alg\":\"HS256\",\"kid\":\"%K\",\"url\":\"%U\",\"nonce\":\"AAAA\"}", NULL,
         NULL, 0, 400, "malformed"},
        {"another url", "{\"alg\":\"HS256\",\"kid\":\"%K\",\"url\":\"%Ux\"}", NULL, NULL, 0, 400,
         "malformed"},
        {"no url", "{\"alg\":\"HS256\",\"kid\":\"%K\"}", NULL, NULL, 0, 400, "malformed"},
        {"no kid", "{\"alg\":\"HS256\",\"url\":\"%U\"}", NULL, NULL, 0, 400, "malformed"},
        {"an empty kid", "{\"alg\":\"HS256\",\"kid\":\"\",\"url\":\"%U\"}", NULL, NULL, 0, 400,
         "malformed"},
        {"a jwk", "{\"alg\":\"HS256\",\"jwk\":%J,\"url\":\"%U\"}", NULL, NULL, 0, 400, "malformed"},
        {"kid and jwk", "{\"alg\":\"HS256\",\"kid\":\"%K\",\"jwk\":%J,\"url\":\"%U\"}", NULL, NULL,
         0, 400, "malformed"},
        {"crit", "{\"alg\":\"HS256\",\"kid\":\"%K\",\"url\":\"%U\",\"crit\":[\"x\"]}", NULL, NULL,
         0, 400, "malformed"},
        {"a signature", "{\"alg\":\"ES256\",\"kid\":\"%K\",\"url\":\"%U\"}", NULL, NULL, 0, 400,
         "badSignatureAlgorithm"},
        {"none", "{\"alg\":\"none\",\"kid\":\"%K\",\"url\":\"%U\"}", NULL, NULL, 0, 400,
         "badSignatureAlgorithm"},
        {"the MAC of another algorithm", "{\"alg\":\"HS384\",\"kid\":\"%K\",\"url\":\"%U\"}", NULL,
         NULL, 256, 403, "unauthorized"},
        {"another kid", "{\"alg\":\"HS256\",\"kid\":\"nobody\",\"url\":\"%U\"}", NULL, NULL, 0, 403,
         "unauthorized"},
        {"a kid that cannot be one", "{\"alg\":\"HS256\",\"kid\":\"%K' --\",\"url\":\"%U\"}", NULL,
         NULL, 0, 403, "unauthorized"},
        {"another secret", NULL, NULL, "0123456789abcdef0123456789abcdef", 0, 403, "unauthorized"},
        {"another key inside", NULL,
         "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         NULL, 0, 400, "malformed"},
        {"no key inside", NULL, "{}", NULL, 0, 400, "malformed"},
        {"nothing inside", NULL, "", NULL, 0, 400, "malformed"},
        {"text inside", NULL, "x", NULL, 0, 400, "malformed"},
    };
    struct acme c;
    begin(&c, 301, "default");
    key_make("default", "defects");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct acme_answer a = ask(&c, binding_of(&c, "defects", &rows[i]));
        want(&c, &a, rows[i].status, rows[i].type, rows[i].what);
        if (strcmp(rows[i].type, "badSignatureAlgorithm") == 0)
            assert_string_equal(acme_text(&c, &a, "algorithms.0"), "HS256");
    }
    static const char *const shapes[] = {"null",
                                         "true",
                                         "\"x\"",
                                         "[]",
                                         "{}",
                                         "{\"protected\":\"\",\"payload\":\"\"}",
                                         "{\"protected\":1,\"payload\":\"\",\"signature\":\"\"}"};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct acme_answer a = ask(&c, shapes[i]);
        want(&c, &a, 400, "malformed", shapes[i]);
    }
    static const struct eab right;
    const char *good = binding_of(&c, "defects", &right);
    struct acme_answer a = ask(&c, arena_printf(&c.arena, "{\"header\":{},%s", good + 1));
    want(&c, &a, 400, "malformed", "an unprotected header");
    a = acme_post(&c, acme_path(&c, "new-account"), ACME_JWK, "{\"onlyReturnExisting\":true}");
    want(&c, &a, 400, "accountDoesNotExist", "after all of these");
    char count[16];
    assert_true(pg_value(&rig.pg, "SELECT accounts_used FROM eab_keys WHERE kid = 'defects'", count,
                         sizeof count));
    assert_string_equal(count, "0");
    acme_fini(&c);
}

// T10: a key id that is not there answers like one with another secret.
static void nobody_learns_which_key_ids_are_there(void **state)
{
    (void)state;
    static const struct eab wrong = {.secret = "another secret that is long enough"};
    struct acme c;
    begin(&c, 302, "default");
    key_make("default", "probed");
    struct acme_answer a = ask(&c, binding_of(&c, "probed", &wrong)),
                       b = ask(&c, binding_of(&c, "probes", &wrong));
    want(&c, &a, 403, "unauthorized", "there");
    want(&c, &b, 403, "unauthorized", "not there");
    assert_string_equal(acme_text(&c, &a, "detail"), acme_text(&c, &b, "detail"));
    acme_fini(&c);
}

static void an_account_shows_its_binding(void **state)
{
    (void)state;
    struct acme c;
    key_make("default", "shown");
    begin(&c, 303, "default");
    struct acme_answer a = acme_post(&c, acme_path(&c, "new-account"), ACME_JWK,
                                     "{\"termsOfServiceAgreed\":true}");
    want(&c, &a, 403, "externalAccountRequired", "without a binding");
    static const struct eab right;
    const char *binding = binding_of(&c, "shown", &right);
    a = ask(&c, binding);
    want(&c, &a, 201, "", "with one");
    c.kid = arena_printf(&c.arena, "%" SLICE_FMT, SLICE_ARG(acme_header(&a, "Location")));
    for (int again = 0; again < 2; again++) { // in the first answer, and when it is read
        assert_non_null(memmem(a.body.p, a.body.n, binding, strlen(binding)));
        a = acme_call(&c, c.kid, NULL);
        want(&c, &a, 200, "", "read");
    }
    a = acme_call(&c, c.kid, "{\"contact\":[\"mailto:a@b.test\"],\"externalAccountBinding\":{}}");
    want(&c, &a, 200, "", "an update");
    assert_non_null(memmem(a.body.p, a.body.n, binding, strlen(binding)));
    // The account is found again with a binding, without one, and with one that is worth nothing.
    c.kid = NULL;
    a = ask_with(&c, "shown");
    want(&c, &a, 200, "", "the same again");
    a = ask_with(&c, "nobody");
    want(&c, &a, 200, "", "another kid");
    a = acme_post(&c, acme_path(&c, "new-account"), ACME_JWK, "{\"termsOfServiceAgreed\":true}");
    want(&c, &a, 200, "", "without a binding");
    acme_fini(&c);
}

static void all_three_algorithms_verify_and_a_key_may_bound_them(void **state)
{
    (void)state;
    static const struct eab rows[] = {{.bits = 256}, {.bits = 384}, {.bits = 512}};
    struct acme c;
    key_make("default", "algorithms");
    for (unsigned i = 0; i < 3; i++) {
        begin(&c, 304 + i, "default");
        struct acme_answer a = ask(&c, binding_of(&c, "algorithms", &rows[i]));
        want(&c, &a, 201, "", "algorithm");
        acme_fini(&c);
    }
    sql("UPDATE eab_keys SET algorithms = 4 WHERE kid = 'algorithms'");
    begin(&c, 307, "default");
    struct acme_answer a = ask(&c, binding_of(&c, "algorithms", &rows[0]));
    want(&c, &a, 400, "badSignatureAlgorithm", "HS256 for a key of HS512");
    a = ask(&c, binding_of(&c, "algorithms", &rows[2]));
    want(&c, &a, 201, "", "HS512");
    acme_fini(&c);
}

static void what_bounds_a_key_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *set, *told;
    } rows[] = {{"status = 2", "disabled"},
                {"expires_at = 1", "expired"},
                {"accounts_max = 2, accounts_used = 2", "all the accounts"}};
    struct acme c;
    begin(&c, 308, "default");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *kid = arena_printf(&arena, "bounds%zu", i);
        key_make("default", kid);
        sql("UPDATE eab_keys SET %s WHERE kid = '%s'", rows[i].set, kid);
        struct acme_answer a = ask_with(&c, kid);
        want(&c, &a, 403, "unauthorized", rows[i].told);
        assert_non_null(strstr(acme_text(&c, &a, "detail"), rows[i].told));
    }
    acme_fini(&c);
}

static void both_secrets_verify_while_a_rotation_lasts(void **state)
{
    (void)state;
    static const char fresh[] = "another secret for the same key, long enough for HS512 as well..";
    static const struct eab old = {0}, new = {.secret = fresh};
    struct acme c;
    key_make("default", "rotated");
    sql("UPDATE eab_keys SET previous = secret, previous_until = now_us() + 60000000, secret = "
        "'\\x%s' WHERE kid = 'rotated'",
        sealed_hex("default", "rotated", fresh));
    begin(&c, 310, "default");
    struct acme_answer a = ask(&c, binding_of(&c, "rotated", &old));
    want(&c, &a, 201, "", "the old secret");
    acme_fini(&c);
    begin(&c, 311, "default");
    a = ask(&c, binding_of(&c, "rotated", &new));
    want(&c, &a, 201, "", "the new secret");
    acme_fini(&c);
    sql("UPDATE eab_keys SET previous_until = now_us() WHERE kid = 'rotated'");
    begin(&c, 312, "default");
    a = ask(&c, binding_of(&c, "rotated", &old));
    want(&c, &a, 403, "unauthorized", "the old secret afterwards");
    acme_fini(&c);
}

static void a_secret_of_another_cluster_verifies_nothing(void **state)
{
    (void)state;
    struct acme c;
    key_make("default", "foreign");
    sql("UPDATE eab_keys SET secret = '\\x%s' WHERE kid = 'foreign'",
        sealed_hex("default", "another", secret));
    begin(&c, 313, "default");
    struct acme_answer a = ask_with(&c, "foreign");
    want(&c, &a, 403, "unauthorized", "a secret that cannot be opened");
    acme_fini(&c);
}

// ---- tenants

static void each_tenant_has_its_own_way(void **state)
{
    (void)state;
    struct acme c;
    struct acme_answer a;
    static const char *const names[] = {"default", "open", "none"};
    key_make("open", "of-open");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        begin(&c, 320 + (unsigned)i, names[i]);
        a = acme_send(&c, "GET", acme_path(&c, "directory"), NULL, NULL, SLICE_NONE);
        bool said = memmem(a.body.p, a.body.n, "\"externalAccountRequired\":true", 30) != NULL;
        assert_int_equal(said, i == 0);
        a = acme_post(&c, acme_path(&c, "new-account"), ACME_JWK, "{}");
        want(&c, &a, i == 0 ? 403 : 201, i == 0 ? "externalAccountRequired" : "", names[i]);
        acme_fini(&c);
    }
    begin(&c, 323, "open");
    a = ask_with(&c, "nobody");
    want(&c, &a, 403, "unauthorized", "a binding that is not asked for must be right");
    a = ask_with(&c, "of-open");
    want(&c, &a, 201, "", "optional");
    acme_fini(&c);
    begin(&c, 324, "none");
    a = ask_with(&c, "nobody");
    want(&c, &a, 201, "", "off: ignored");
    assert_null(memmem(a.body.p, a.body.n, "externalAccountBinding", 22));
    acme_fini(&c);
    begin(&c, 325, "default"); // a key is its tenant's
    a = ask_with(&c, "of-open");
    want(&c, &a, 403, "unauthorized", "another tenant's key");
    acme_fini(&c);
}

// ---- what accounts may order

static struct acme_answer order(struct acme *c, const char *name, const char *profile)
{
    return acme_call(c, acme_path(c, "new-order"),
                     arena_printf(&c->arena,
                                  "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.internal."
                                  "test\"},{\"type\":\"dns\",\"value\":\"%s\"}]%s}",
                                  name, profile));
}

static void a_key_bounds_what_its_accounts_order(void **state)
{
    (void)state;
    struct acme c;
    key_make("default", "policy");
    sql("UPDATE eab_keys SET identifiers = '[\"internal.test\"]', profiles = '[\"short\"]' WHERE "
        "kid = 'policy'");
    bound(&c, 330, "policy");
    struct acme_answer a = order(&c, "b.internal.test", "");
    want(&c, &a, 201, "", "allowed");
    assert_string_equal(acme_text(&c, &a, "profile"), "short"); // the first that is allowed
    a = order(&c, "b.other.test", "");
    want(&c, &a, 400, "rejectedIdentifier", "another name");
    assert_non_null(strstr(acme_text(&c, &a, "detail"), "identifier 1 (b.other.test)"));
    a = order(&c, "b.internal.test", ",\"profile\":\"server\"");
    want(&c, &a, 400, "invalidProfile", "another profile");
    assert_non_null(strstr(acme_text(&c, &a, "detail"), "binding key"));
    a = order(&c, "b.internal.test", ",\"profile\":\"nothing\"");
    want(&c, &a, 400, "invalidProfile", "no profile");
    assert_non_null(strstr(acme_text(&c, &a, "detail"), "not offered"));
    a = order(&c, "b.internal.test", ",\"profile\":\"short\"");
    want(&c, &a, 201, "", "the profile that is allowed");
    acme_fini(&c);
}

// design.md section 4, e2: what was ordered before is not finalized after.
static void a_disabled_key_ends_what_its_accounts_do(void **state)
{
    (void)state;
    struct acme c;
    key_make("default", "ended");
    bound(&c, 331, "ended");
    responder_thumbprint(acme_thumbprint(&c));
    struct acme_answer made = acme_order(&c, "a.internal.test"), a;
    acme_authorize(&c, &made);
    sql("UPDATE eab_keys SET status = 2 WHERE kid = 'ended'");
    const char *csr = acme_csr(&c, "a.internal.test", 1331);
    a = acme_call(&c, acme_text(&c, &made, "finalize"), csr);
    want(&c, &a, 403, "unauthorized", "finalize");
    assert_non_null(strstr(acme_text(&c, &a, "detail"), "disabled"));
    a = acme_call(&c, acme_path(&c, "new-order"),
                  "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.internal.test\"}]}");
    want(&c, &a, 403, "unauthorized", "newOrder");
    a = acme_call(&c, c.kid, NULL); // the account is there, and can be read
    want(&c, &a, 200, "", "the account");
    sql("UPDATE eab_keys SET status = 1 WHERE kid = 'ended'");
    a = acme_call(&c, acme_text(&c, &made, "finalize"), csr);
    want(&c, &a, 200, "", "finalize, enabled again");
    acme_fini(&c);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    front_config(&rig, 0, tenants);
    front_start(&rig, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_defect_of_a_binding_makes_no_account),
        cmocka_unit_test(nobody_learns_which_key_ids_are_there),
        cmocka_unit_test(an_account_shows_its_binding),
        cmocka_unit_test(all_three_algorithms_verify_and_a_key_may_bound_them),
        cmocka_unit_test(what_bounds_a_key_is_told),
        cmocka_unit_test(both_secrets_verify_while_a_rotation_lasts),
        cmocka_unit_test(a_secret_of_another_cluster_verifies_nothing),
        cmocka_unit_test(each_tenant_has_its_own_way),
        cmocka_unit_test(a_key_bounds_what_its_accounts_order),
        cmocka_unit_test(a_disabled_key_ends_what_its_accounts_do),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, NULL);
    front_rig_fini(&rig);
    arena_fini(&arena);
    return failures;
}
