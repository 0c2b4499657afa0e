// account: contacts, the end of accounts and key changes (RFC 8555 sections 7.3.2, 7.3.5 and
// 7.3.6) and the orders list (section 7.1.2.1), through whole front ends.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/unit/unit.h"

static struct front_rig rig;

static const char order_payload[] =
    "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.internal.test\"}]}";

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

// ---- contacts, the end

static void contacts_change_and_nothing_else(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 101);
    struct acme_answer a = acme_call(&c, c.kid, "{\"contact\":[\"mailto: a@b.test\"]}");
    want(&c, &a, 200, "", "contact");
    assert_string_equal(acme_text(&c, &a, "contact.0"), "mailto:a@b.test");
    assert_int_equal(acme_headers(&a, "Location"), 0); // clients.md 15
    // What a client may not change is ignored (RFC 8555 section 7.3.2).
    a = acme_call(&c, c.kid,
                  "{\"status\":\"revoked\",\"orders\":\"https://x\",\"termsOfServiceAgreed\":false,"
                  "\"x\":{}}");
    want(&c, &a, 200, "", "members to ignore");
    assert_string_equal(acme_text(&c, &a, "status"), "valid");
    assert_non_null(memmem(a.body.p, a.body.n, "\"termsOfServiceAgreed\":true", 27));
    assert_string_equal(acme_text(&c, &a, "contact.0"), "mailto:a@b.test");
    a = acme_call(&c, c.kid, "{\"contact\":[\"tel:1\"]}");
    want(&c, &a, 400, "unsupportedContact", "another scheme");
    a = acme_call(&c, c.kid, "{\"contact\":[\"mailto:a@b.test,c@d.test\"]}");
    want(&c, &a, 400, "invalidContact", "two addresses");
    a = acme_call(&c, c.kid, NULL);
    assert_string_equal(acme_text(&c, &a, "contact.0"), "mailto:a@b.test");
    a = acme_call(&c, c.kid, "{\"contact\":[]}");
    want(&c, &a, 200, "", "no contact");
    assert_null(acme_text(&c, &a, "contact.0"));
    acme_fini(&c);
}

static void a_deactivated_account_can_do_nothing(void **state)
{
    (void)state;
    struct acme c;
    begin(&c, 102);
    struct acme_answer order = acme_order(&c, "a.internal.test");
    const char *authz = acme_text(&c, &order, "authorizations.0");
    struct acme_answer a = acme_call(&c, c.kid, "{\"status\":\"deactivated\"}");
    want(&c, &a, 200, "", "deactivation");
    assert_string_equal(acme_text(&c, &a, "status"), "deactivated");
    const struct {
        const char *url, *payload;
    } rows[] = {{c.kid, NULL},
                {c.kid, "{\"status\":\"deactivated\"}"},
                {c.kid, "{\"contact\":[]}"},
                {acme_path(&c, "new-order"), order_payload},
                {authz, NULL},
                {acme_path(&c, "key-change"), "{}"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        a = acme_call(&c, rows[i].url, rows[i].payload);
        want(&c, &a, 401, "unauthorized", rows[i].url);
    }
    a = acme_post(&c, acme_path(&c, "new-account"), ACME_JWK, "{}");
    want(&c, &a, 401, "unauthorized", "newAccount");
    acme_fini(&c);
}

// ---- key change

// struct inner is an inner JWS that is right but for one thing: what is NULL is right. In `header`
// and `payload` %O is the old key, %K the account.
struct inner {
    const char *what, *header, *payload, *find, *put;
    unsigned status;
    const char *type;
};

static const char *payload_make(struct acme *c, const char *template)
{
    struct slice old = make_jwk(&c->arena, c->key);
    struct buf b;
    buf_init(&b, 1 << 16);
    for (const char *at = template; *at != 0; at++) {
        struct slice piece = slice_of(at, 1);
        if (*at == '%') piece = *++at == 'O' ? old : slice_str(c->kid);
        assert_ok(buf_add(&b, piece));
    }
    const char *text = arena_printf(&c->arena, "%" SLICE_FMT, SLICE_ARG(buf_slice(&b)));
    buf_fini(&b);
    return text;
}

#define INNER_HEADER "{\"alg\":\"%A\",\"jwk\":%J,\"url\":\"%U\"}"
#define INNER_PAYLOAD "{\"account\":\"%K\",\"oldKey\":%O}"

// change sends a key change to the key of client `next`.
static struct acme_answer change(struct acme *c, struct acme *next, const struct inner *row)
{
    const char *path = acme_path(c, "key-change");
    const char *payload = payload_make(c, row->payload == NULL ? INNER_PAYLOAD : row->payload);
    struct slice inner = acme_jws(next, path, row->header == NULL ? INNER_HEADER : row->header,
                                  payload);
    const char *text = arena_printf(&c->arena, "%" SLICE_FMT, SLICE_ARG(inner));
    if (row->find != NULL) {
        const char *at = strstr(text, row->find);
        assert_non_null(at);
        text = arena_printf(&c->arena, "%.*s%s%s", (int)(at - text), text, row->put,
                            at + strlen(row->find));
    }
    return acme_call(c, path, text);
}

static void each_defect_of_a_key_change_changes_nothing(void **state)
{
    (void)state;
    static const struct inner rows[] = {
        {"a nonce inside", "{\"alg\":\"%A\",\"jwk\":%J,\"url\":\"%U\",\"nonce\":\"AAAA\"}", NULL,
         NULL, NULL, 400, "malformed"},
        {"another url", "{\"alg\":\"%A\",\"jwk\":%J,\"url\":\"%Ux\"}", NULL, NULL, NULL, 400,
         "malformed"},
        {"no url", "{\"alg\":\"%A\",\"jwk\":%J}", NULL, NULL, NULL, 400, "malformed"},
        {"no key", "{\"alg\":\"%A\",\"url\":\"%U\"}", NULL, NULL, NULL, 400, "malformed"},
        {"kid instead of the key", "{\"alg\":\"%A\",\"kid\":\"x\",\"url\":\"%U\"}", NULL, NULL,
         NULL, 400, "malformed"},
        {"a weak key",
         "{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"},\"url\":\"%"
         "U\"}",
         NULL, NULL, NULL, 400, "badPublicKey"},
        {"a MAC", "{\"alg\":\"HS256\",\"jwk\":%J,\"url\":\"%U\"}", NULL, NULL, NULL, 400,
         "badSignatureAlgorithm"},
        {"the algorithm of another key", "{\"alg\":\"ES384\",\"jwk\":%J,\"url\":\"%U\"}", NULL,
         NULL, NULL, 400, "badSignatureAlgorithm"},
        {"another account", NULL, "{\"account\":\"%Kx\",\"oldKey\":%O}", NULL, NULL, 400,
         "malformed"},
        {"no account", NULL, "{\"oldKey\":%O}", NULL, NULL, 400, "malformed"},
        {"another old key", NULL,
         "{\"account\":\"%K\",\"oldKey\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
         "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}",
         NULL, NULL, 400, "malformed"},
        {"no old key", NULL, "{\"account\":\"%K\"}", NULL, NULL, 400, "malformed"},
        {"an array inside", NULL, "[]", NULL, NULL, 400, "malformed"},
        {"another signature", NULL, NULL, "\"signature\":\"", "\"signature\":\"AAAA", 400,
         "malformed"},
        {"an unprotected header", NULL, NULL, "{\"protected\"", "{\"header\":{},\"protected\"", 400,
         "malformed"},
    };
    struct acme c, next;
    begin(&c, 103);
    acme_init(&next, rig.root_pem_path, rig.ports[0], 104);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct acme_answer a = change(&c, &next, &rows[i]);
        want(&c, &a, rows[i].status, rows[i].type, rows[i].what);
    }
    struct acme_answer a = acme_call(&c, acme_path(&c, "key-change"), NULL);
    want(&c, &a, 400, "malformed", "POST-as-GET");
    a = acme_call(&c, c.kid, NULL);
    want(&c, &a, 200, "", "the old key afterwards");
    a = acme_post(&next, acme_path(&next, "new-account"), ACME_JWK,
                  "{\"onlyReturnExisting\":true}");
    want(&next, &a, 400, "accountDoesNotExist", "the new key afterwards");
    acme_fini(&c);
    acme_fini(&next);
}

static void the_new_key_takes_over_at_once(void **state)
{
    (void)state;
    static const struct inner right;
    struct acme c, next, again;
    begin(&c, 105);
    acme_init(&next, rig.root_pem_path, rig.ports[0], 106);
    struct acme_answer order = acme_order(&c, "a.internal.test");
    const char *authz = acme_text(&c, &order, "authorizations.0");
    struct acme_answer a = change(&c, &next, &right);
    want(&c, &a, 200, "", "key change");
    assert_string_equal(acme_text(&c, &a, "status"), "valid");
    next.kid = c.kid;
    a = acme_call(&next, authz, NULL); // the account's resources are still its own
    want(&next, &a, 200, "", "new key");
    a = acme_call(&c, c.kid, NULL);
    want(&c, &a, 400, "malformed", "old key");
    // The account is found by its new key, and the old key may make another account.
    a = acme_post(&next, acme_path(&next, "new-account"), ACME_JWK,
                  "{\"onlyReturnExisting\":true}");
    want(&next, &a, 200, "", "newAccount");
    assert_slice_str(acme_header(&a, "Location"), c.kid);
    begin(&again, 105);
    assert_string_not_equal(again.kid, c.kid);
    // And back again is a conflict now.
    a = change(&next, &again, &right);
    want(&next, &a, 409, "malformed", "a key that has an account");
    assert_slice_str(acme_header(&a, "Location"), again.kid);
    a = change(&next, &next, &right);
    want(&next, &a, 409, "malformed", "its own key");
    assert_slice_str(acme_header(&a, "Location"), next.kid);
    acme_fini(&c);
    acme_fini(&next);
    acme_fini(&again);
}

// ---- authorizations given back

static void an_authorization_can_be_given_back(void **state)
{
    (void)state;
    struct acme c, other;
    begin(&c, 111);
    begin(&other, 112);
    responder_thumbprint(acme_thumbprint(&c));
    struct acme_answer order = acme_order(&c, "a.internal.test"), a;
    const char *url = acme_text(&c, &order, "authorizations.0");
    const char *order_url = arena_printf(&c.arena, "%" SLICE_FMT,
                                         SLICE_ARG(acme_header(&order, "Location")));
    static const char give_back[] = "{\"status\":\"deactivated\"}";
    a = acme_call(&c, url, "{}");
    want(&c, &a, 400, "malformed", "nothing asked");
    a = acme_call(&c, url, "{\"status\":\"valid\"}");
    want(&c, &a, 400, "malformed", "another status");
    a = acme_call(&other, url, give_back);
    want(&other, &a, 404, "unauthorized", "another account's");
    acme_authorize(&c, &order);
    for (int again = 0; again < 2; again++) {
        a = acme_call(&c, url, give_back);
        want(&c, &a, 200, "", "deactivation");
        assert_string_equal(acme_text(&c, &a, "status"), "deactivated");
    }
    a = acme_call(&c, order_url, NULL);
    assert_string_equal(acme_text(&c, &a, "status"), "invalid");
    assert_non_null(strstr(acme_text(&c, &a, "error.detail"), "deactivated"));
    a = acme_call(&c, acme_text(&c, &order, "finalize"), acme_csr(&c, "a.internal.test", 1));
    want(&c, &a, 403, "orderNotReady", "finalize");
    acme_fini(&c);
    acme_fini(&other);
}

// ---- orders list

// next_of is the URL with rel="next", NULL: none.
static const char *next_of(struct acme *c, const struct acme_answer *a)
{
    const char *head = arena_printf(&c->arena, "%" SLICE_FMT, SLICE_ARG(a->headers));
    const char *rel = strstr(head, ">;rel=\"next\""), *begin = rel;
    if (rel == NULL) return NULL;
    while (*begin != '<') begin--;
    return arena_printf(&c->arena, "%.*s", (int)(rel - begin - 1), begin + 1);
}

static void orders_are_listed_by_pages(void **state)
{
    (void)state;
    enum { COUNT = 205 };
    struct acme c, other;
    begin(&c, 109);
    begin(&other, 110);
    struct acme_answer a = acme_call(&c, c.kid, NULL);
    const char *first = acme_text(&c, &a, "orders"), *url = first;
    assert_non_null(first);
    a = acme_call(&c, first, NULL);
    want(&c, &a, 200, "", "no orders");
    assert_null(acme_text(&c, &a, "orders.0"));
    assert_null(next_of(&c, &a));
    const char *made[COUNT];
    for (int i = 0; i < COUNT; i++) {
        a = acme_order(&c, "a.internal.test");
        made[i] = arena_printf(&c.arena, "%" SLICE_FMT, SLICE_ARG(acme_header(&a, "Location")));
    }
    int seen = 0, pages = 0;
    for (; url != NULL; url = next_of(&c, &a), pages++) {
        a = acme_call(&c, url, NULL);
        want(&c, &a, 200, "", url);
        for (int i = 0;; i++, seen++) {
            char path[32];
            snprintf(path, sizeof path, "orders.%d", i);
            const char *order = acme_text(&c, &a, path);
            if (order == NULL) break;
            assert_string_equal(order, made[COUNT - 1 - seen]);
        }
    }
    assert_int_equal(seen, COUNT);
    assert_int_equal(pages, 3);
    a = acme_call(&c, arena_printf(&c.arena, "%s?cursor=x", first), NULL);
    want(&c, &a, 400, "malformed", "a cursor of our own");
    a = acme_call(&c, arena_printf(&c.arena, "%s?page=2", first), NULL);
    want(&c, &a, 400, "malformed", "another query");
    a = acme_call(&c, first, "{}");
    want(&c, &a, 400, "malformed", "a payload");
    a = acme_call(&other, first, NULL);
    want(&other, &a, 403, "unauthorized", "another account's");
    acme_fini(&c);
    acme_fini(&other);
}

// turn_to makes a client talk to another front end, whose URLs are its own.
static void turn_to(struct acme *c, unsigned front)
{
    const char *id = strstr(c->kid, "acct/");
    acme_port(c, rig.ports[front]);
    c->kid = acme_url(c, id);
}

// 401 from a core that still has the old key, 400 from one that has read the account since.
static void old_key_orders_nothing(struct acme *c)
{
    struct acme_answer a = acme_call(c, acme_path(c, "new-order"), order_payload);
    if (a.status != 400) want(c, &a, 401, "unauthorized", "an order by the old key");
}

// Another front end has the account as it was; it looks again before it refuses a signature. The
// old key may read there for a moment, and nothing that counts.
static void the_new_key_is_known_everywhere_at_once(void **state)
{
    (void)state;
    static const struct inner right;
    struct acme c, next;
    begin(&c, 107);
    acme_init(&next, rig.root_pem_path, rig.ports[0], 108);
    turn_to(&c, 1);
    struct acme_answer a = acme_call(&c, acme_path(&c, "new-order"), order_payload);
    want(&c, &a, 201, "", "the other front end knows the account");
    turn_to(&c, 0);
    a = change(&c, &next, &right);
    want(&c, &a, 200, "", "key change");
    turn_to(&c, 1);
    old_key_orders_nothing(&c);
    a = acme_call(&c, acme_path(&c, "key-change"), "{}");
    want(&c, &a, 400, "malformed", "a change by the old key");
    next.kid = c.kid;
    turn_to(&next, 1);
    a = acme_call(&next, acme_path(&next, "new-order"), order_payload);
    want(&next, &a, 201, "", "an order by the new key");
    old_key_orders_nothing(&c);
    acme_fini(&c);
    acme_fini(&next);
}

static int setup(void **state)
{
    (void)state;
    front_start(&rig, 0);
    front_start(&rig, 1);
    front_know(&rig, 0, 1);
    front_know(&rig, 1, 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contacts_change_and_nothing_else),
        cmocka_unit_test(a_deactivated_account_can_do_nothing),
        cmocka_unit_test(each_defect_of_a_key_change_changes_nothing),
        cmocka_unit_test(the_new_key_takes_over_at_once),
        cmocka_unit_test(an_authorization_can_be_given_back),
        cmocka_unit_test(orders_are_listed_by_pages),
        cmocka_unit_test(the_new_key_is_known_everywhere_at_once),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, NULL);
    front_rig_fini(&rig);
    return failures;
}
