// envelope: every way in which a POST can be wrong gets its problem type and status (RFC 8555
// sections 6.2 to 6.7; T01 to T07), a fresh nonce, and has no effect (I11). Through a whole front
// end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/acme.h"
#include "tests/support/front.h"
#include "tests/unit/unit.h"

static struct front_rig rig;
static struct acme client, ec384, ec521, rsa, ed25519;

static const char order_payload[] =
    "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.internal.test\"}]}";

// struct row: a newOrder request that is right but for one thing. What is NULL is right. `find` and
// `put` edit the JWS once it is signed.
struct row {
    const char *what, *header, *payload, *find, *put, *content_type;
    unsigned status;
    const char *type;
};

#define REST "\"kid\":\"%K\",\"nonce\":\"%N\",\"url\":\"%U\""

static const struct row rows[] = {
    {"nothing", NULL, NULL, NULL, NULL, NULL, 201, ""},
    {"spaces and another order of members",
     "{ \"url\" : \"%U\" ,\n \"nonce\":\"%N\", \"kid\":\"%K\", \"alg\":\"%A\" }", NULL,
     "{\"protected\"", "{\n  \"protected\"", NULL, 201, ""},
    {"unknown member in the header", "{\"alg\":\"%A\"," REST ",\"x\":{\"y\":[1]}}", NULL, NULL,
     NULL, NULL, 201, ""},
    // content type
    {"JSON", NULL, NULL, NULL, NULL, "application/json", 415, "malformed"},
    {"the right one in capitals", NULL, NULL, NULL, NULL, "Application/JOSE+JSON", 201, ""},
    {"with a parameter", NULL, NULL, NULL, NULL, "application/jose+json; charset=utf-8", 415,
     "malformed"},
    {"empty", NULL, NULL, NULL, NULL, "", 415, "malformed"},
    {"a form", NULL, NULL, NULL, NULL, "application/x-www-form-urlencoded", 415, "malformed"},
    // the flattened form and nothing else (T02)
    {"unprotected header", NULL, NULL, "{\"protected\"", "{\"header\":{},\"protected\"", NULL, 400,
     "malformed"},
    {"kid in the unprotected header", "{\"alg\":\"%A\",\"nonce\":\"%N\",\"url\":\"%U\"}", NULL,
     "{\"protected\"", "{\"header\":{\"kid\":\"x\"},\"protected\"", NULL, 400, "malformed"},
    {"general form", NULL, NULL, "{\"protected\"", "{\"signatures\":[],\"protected\"", NULL, 400,
     "malformed"},
    {"no payload", NULL, NULL, "\"payload\"", "\"Payload\"", NULL, 400, "malformed"},
    {"no protected", NULL, NULL, "\"protected\"", "\"Protected\"", NULL, 400, "malformed"},
    {"no signature", NULL, NULL, "\"signature\"", "\"Signature\"", NULL, 400, "malformed"},
    {"a member twice", NULL, NULL, "{\"protected\"", "{\"payload\":\"\",\"protected\"", NULL, 400,
     "malformed"},
    {"a member twice, escaped", NULL, NULL, "{\"protected\"",
     "{\"p\\u0061yload\":\"\",\"protected\"", NULL, 400, "malformed"},
    {"text behind it", NULL, NULL, "\"}", "\"}x", NULL, 400, "malformed"},
    {"a BOM before it", NULL, NULL, "{\"protected\"", "\xef\xbb\xbf{\"protected\"", NULL, 400,
     "malformed"},
    {"not JSON", NULL, NULL, "{\"protected\"", "(\"protected\"", NULL, 400, "malformed"},
    {"protected is a number", NULL, NULL, "{\"protected\":\"", "{\"protected\":1,\"x\":\"", NULL,
     400, "malformed"},
    // base64url (T07)
    {"padding", NULL, NULL, "\",\"signature\"", "=\",\"signature\"", NULL, 400, "malformed"},
    {"white space", NULL, NULL, "\",\"signature\"", " \",\"signature\"", NULL, 400, "malformed"},
    {"the other alphabet", NULL, NULL, "\",\"signature\"", "+/AA\",\"signature\"", NULL, 400,
     "malformed"},
    // protected header
    {"header is an array", "[1]", NULL, NULL, NULL, NULL, 400, "malformed"},
    {"header is empty", "{}", NULL, NULL, NULL, NULL, 400, "malformed"},
    {"header member twice", "{\"alg\":\"%A\"," REST ",\"alg\":\"%A\"}", NULL, NULL, NULL, NULL, 400,
     "malformed"},
    {"crit", "{\"alg\":\"%A\"," REST ",\"crit\":[\"url\"]}", NULL, NULL, NULL, NULL, 400,
     "malformed"},
    {"b64", "{\"alg\":\"%A\"," REST ",\"b64\":true}", NULL, NULL, NULL, NULL, 400, "malformed"},
    // alg (T01)
    {"no alg", "{" REST "}", NULL, NULL, NULL, NULL, 400, "malformed"},
    {"alg none", "{\"alg\":\"none\"," REST "}", NULL, NULL, NULL, NULL, 400,
     "badSignatureAlgorithm"},
    {"alg HS256", "{\"alg\":\"HS256\"," REST "}", NULL, NULL, NULL, NULL, 400,
     "badSignatureAlgorithm"},
    {"alg in lower case", "{\"alg\":\"es256\"," REST "}", NULL, NULL, NULL, NULL, 400,
     "badSignatureAlgorithm"},
    {"alg of another curve", "{\"alg\":\"ES384\"," REST "}", NULL, NULL, NULL, NULL, 400,
     "badSignatureAlgorithm"},
    {"alg of another kind of key", "{\"alg\":\"RS256\"," REST "}", NULL, NULL, NULL, NULL, 400,
     "badSignatureAlgorithm"},
    {"alg PS256", "{\"alg\":\"PS256\"," REST "}", NULL, NULL, NULL, NULL, 400,
     "badSignatureAlgorithm"},
    {"alg is a number", "{\"alg\":1," REST "}", NULL, NULL, NULL, NULL, 400, "malformed"},
    // nonce (RFC 8555 section 6.5)
    {"no nonce", "{\"alg\":\"%A\",\"kid\":\"%K\",\"url\":\"%U\"}", NULL, NULL, NULL, NULL, 400,
     "badNonce"},
    {"nonce that is no base64url", "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"*\",\"url\":\"%U\"}",
     NULL, NULL, NULL, NULL, 400, "malformed"},
    {"nonce that nobody made", "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"AAAA\",\"url\":\"%U\"}",
     NULL, NULL, NULL, NULL, 400, "badNonce"},
    {"empty nonce", "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"\",\"url\":\"%U\"}", NULL, NULL,
     NULL, NULL, 400, "badNonce"},
    {"forged nonce",
     "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":"
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"url\":\"%U\"}",
     NULL, NULL, NULL, NULL, 400, "badNonce"},
    // url (RFC 8555 section 6.4, T04)
    {"no url", "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"%N\"}", NULL, NULL, NULL, NULL, 400,
     "malformed"},
    {"url of another path", "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"%N\",\"url\":\"%Ux\"}",
     NULL, NULL, NULL, NULL, 403, "unauthorized"},
    {"url with a query", "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"%N\",\"url\":\"%U?\"}", NULL,
     NULL, NULL, NULL, 403, "unauthorized"},
    {"url of another host",
     "{\"alg\":\"%A\",\"kid\":\"%K\",\"nonce\":\"%N\",\"url\":\"https://127.0.0.1/acme/default/"
     "new-order\"}",
     NULL, NULL, NULL, NULL, 403, "unauthorized"},
    // key (RFC 8555 section 6.2)
    {"neither kid nor jwk", "{\"alg\":\"%A\",\"nonce\":\"%N\",\"url\":\"%U\"}", NULL, NULL, NULL,
     NULL, 400, "malformed"},
    {"kid and jwk", "{\"alg\":\"%A\"," REST ",\"jwk\":%J}", NULL, NULL, NULL, NULL, 400,
     "malformed"},
    {"jwk where kid belongs", ACME_JWK, NULL, NULL, NULL, NULL, 400, "malformed"},
    {"kid is a number", "{\"alg\":\"%A\",\"kid\":7,\"nonce\":\"%N\",\"url\":\"%U\"}", NULL, NULL,
     NULL, NULL, 400, "malformed"},
    {"kid of nobody", "{\"alg\":\"%A\",\"kid\":\"%KA\",\"nonce\":\"%N\",\"url\":\"%U\"}", NULL,
     NULL, NULL, NULL, 400, "accountDoesNotExist"},
    {"kid elsewhere",
     "{\"alg\":\"%A\",\"kid\":\"https://x/acct/1\",\"nonce\":\"%N\",\"url\":\"%U\"}", NULL, NULL,
     NULL, NULL, 400, "accountDoesNotExist"},
    // signature
    {"another signature", NULL, NULL, "\"signature\":\"", "\"signature\":\"AAAA", NULL, 400,
     "malformed"},
    {"empty signature", NULL, NULL, "\"signature\":\"", "\"signature\":\"\",\"x\":\"", NULL, 400,
     "malformed"},
    {"another payload than the signed one", NULL, NULL, "\"payload\":\"",
     "\"payload\":\"e30\",\"y\":\"", NULL, 400, "malformed"},
    // payload, once all of the above is right (T06)
    {"payload is no JSON", NULL, "{", NULL, NULL, NULL, 400, "malformed"},
    {"payload is an array", NULL, "[]", NULL, NULL, NULL, 400, "malformed"},
    {"payload is a string", NULL, "\"x\"", NULL, NULL, NULL, 400, "malformed"},
    {"payload has a member twice", NULL, "{\"identifiers\":[],\"identifiers\":[]}", NULL, NULL,
     NULL, 400, "malformed"},
    {"payload with text behind", NULL, "{} x", NULL, NULL, NULL, 400, "malformed"},
    {"payload nested deep", NULL, "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]}", NULL,
     NULL, NULL, 400, "malformed"},
    {"payload is not UTF-8", NULL, "{\"a\":\"\xff\"}", NULL, NULL, NULL, 400, "malformed"},
    {"payload is empty", NULL, "", NULL, NULL, NULL, 400, "malformed"},
};

static struct slice edited(struct slice jws, const char *find, const char *put)
{
    if (find == NULL) return jws;
    const char *at = memmem(jws.p, jws.n, find, strlen(find));
    assert_non_null(at);
    size_t before = (size_t)(at - (const char *)jws.p), after = before + strlen(find);
    return MAKE_JOINED(&client.arena, slice_sub(jws, 0, before), slice_str(put),
                       slice_sub(jws, after, jws.n));
}

static struct acme_answer send_row(const struct row *row)
{
    const char *path = acme_path(&client, "new-order");
    struct slice jws = acme_jws(&client, path, row->header == NULL ? ACME_KID : row->header,
                                row->payload == NULL ? order_payload : row->payload);
    client.nonce[0] = 0;
    return acme_send(&client, "POST", path, NULL,
                     row->content_type == NULL ? "application/jose+json" : row->content_type,
                     edited(jws, row->find, row->put));
}

// assert_answer: clients.md 10 to 12 and 17 hold for every answer.
static void assert_answer(const char *what, const struct acme_answer *a, unsigned status,
                          const char *type)
{
    if (a->status != status || strcmp(acme_type(&client, a), type) != 0)
        fail_msg("%s: wanted %u %s: %u %.*s", what, status, type, a->status, SLICE_ARG(a->body));
    if (acme_headers(a, "Replay-Nonce") != 1) fail_msg("%s: no fresh nonce", what);
    assert_slice_str(acme_header(a, "Content-Type"),
                     status < 400 ? "application/json" : "application/problem+json");
    if (status < 400) return;
    char text[16];
    snprintf(text, sizeof text, "%u", status);
    assert_string_equal(acme_text(&client, a, "status"), text);
    assert_true(strlen(acme_text(&client, a, "detail")) > 10);
    assert_non_null(acme_text(&client, a, "instance"));
}

static long count_of(const char *table)
{
    char sql[64], text[32];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    assert_true(pg_value(&rig.pg, sql, text, sizeof text));
    return atol(text);
}

static void each_defect_has_its_problem_and_no_effect(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        long before = count_of("orders");
        struct acme_answer a = send_row(&rows[i]);
        assert_answer(rows[i].what, &a, rows[i].status, rows[i].type);
        if (count_of("orders") != before + (rows[i].status == 201))
            fail_msg("%s: orders", rows[i].what);
    }
}

static void the_algorithms_that_are_taken_are_named(void **state)
{
    (void)state;
    struct row none = {.header = "{\"alg\":\"none\"," REST "}"};
    struct acme_answer a = send_row(&none);
    static const char *const want[] = {"ES256", "ES384", "ES512", "RS256", "EdDSA"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        bool found = false;
        for (unsigned k = 0; k < COUNT_OF(want); k++) {
            char path[32];
            snprintf(path, sizeof path, "algorithms.%u", k);
            const char *got = acme_text(&client, &a, path);
            found |= got != NULL && strcmp(got, want[i]) == 0;
        }
        if (!found) fail_msg("%s is not listed", want[i]);
    }
}

// Each route takes the kind of key that belongs to it, with a good signature of the other kind.
static void each_route_takes_its_kind_of_key(void **state)
{
    (void)state;
    static const struct {
        const char *rest;
        bool jwk;
    } routes[] = {{"new-account", true},
                  {"new-order", false},
                  {"acct/AaINMxB8AJJNKGoNNHKy1w", false},
                  {"order/AaINMxB8AJJNKGoNNHKy1w", false},
                  {"order/AaINMxB8AJJNKGoNNHKy1w/finalize", false},
                  {"authz/AaINMxB8AJJNKGoNNHKy1w", false},
                  {"chall/AaINMxB8AJJNKGoNNHKy1w/http-01", false},
                  {"cert/AaINMxB8AJJNKGoNNHKy1w", false},
                  {"revoke-cert", true}}; // takes both: the payload is what it refuses
    long accounts = count_of("accounts");
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        const char *path = acme_path(&client, routes[i].rest);
        struct acme_answer a = acme_post(&client, path, routes[i].jwk ? ACME_KID : ACME_JWK, "{}");
        assert_answer(routes[i].rest, &a, 400, "malformed");
        a = acme_send(&client, "GET", path, NULL, NULL, SLICE_NONE);
        assert_int_equal(a.status, 405);
        assert_slice_str(acme_header(&a, "Allow"), "POST");
        assert_string_equal(acme_type(&client, &a), "malformed");
    }
    assert_int_equal(count_of("accounts"), accounts);
}

// ---- keys

static struct acme *keyed(struct acme *c, enum key_type type, unsigned bits)
{
    acme_init(c, rig.root_pem_path, rig.ports[0], 1);
    c->key = make_key(type, bits, 40);
    return c;
}

// clients.md 22.
static void each_kind_of_account_key_works(void **state)
{
    (void)state;
    struct acme *all[] = {keyed(&ec384, KEY_P384, 0), keyed(&ec521, KEY_P521, 0),
                          keyed(&rsa, KEY_RSA, 2048), keyed(&ed25519, KEY_ED25519, 0)};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        acme_register(all[i]);
        struct acme_answer a = acme_call(all[i], all[i]->kid, NULL);
        assert_int_equal(a.status, 200);
        assert_string_equal(acme_text(all[i], &a, "status"), "valid");
        // Another's account is not his, whoever signs.
        a = acme_call(all[i], client.kid, NULL);
        assert_int_equal(a.status, 403);
        acme_fini(all[i]);
    }
}

static void weak_keys_are_refused(void **state)
{
    (void)state;
    static const char *const jwks[] = {
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}",
        "{}",
    };
    for (size_t i = 0; i < COUNT_OF(jwks); i++) {
        char header[512];
        snprintf(header, sizeof header,
                 "{\"alg\":\"%%A\",\"jwk\":%s,\"nonce\":\"%%N\",\"url\":\"%%U\"}", jwks[i]);
        struct acme_answer a = acme_post(&client, acme_path(&client, "new-account"), header, "{}");
        assert_answer(jwks[i], &a, 400, "badPublicKey");
    }
}

// ---- accounts

static struct acme_answer new_account(struct acme *c, const char *payload)
{
    return acme_post(c, acme_path(c, "new-account"), ACME_JWK, payload);
}

static void accounts_are_made_found_and_read(void **state)
{
    (void)state;
    struct acme c;
    acme_init(&c, rig.root_pem_path, rig.ports[0], 50);
    struct acme_answer a = new_account(&c, "{\"onlyReturnExisting\":true}");
    assert_answer("unknown", &a, 400, "accountDoesNotExist");
    a = new_account(&c, "{\"contact\":[\"mailto: a@b.test\"]}"); // clients.md 29
    assert_answer("new", &a, 201, "");
    assert_string_equal(acme_text(&c, &a, "contact.0"), "mailto:a@b.test");
    c.kid = (const char *)make_text(&c.arena, "%.*s", SLICE_ARG(acme_header(&a, "Location"))).p;
    a = new_account(&c, "{\"onlyReturnExisting\":true}");
    assert_answer("existing", &a, 200, "");
    assert_slice_str(acme_header(&a, "Location"), c.kid);
    a = new_account(&c, "{}");
    assert_answer("again", &a, 200, "");
    assert_slice_str(acme_header(&a, "Location"), c.kid);
    a = acme_call(&c, c.kid, "{}"); // clients.md 23
    assert_answer("read", &a, 200, "");
    assert_int_equal(acme_headers(&a, "Location"), 0); // clients.md 15
    acme_fini(&c);
}

static void accounts_are_of_one_tenant(void **state)
{
    (void)state;
    struct acme c;
    acme_init(&c, rig.root_pem_path, rig.ports[0], 1); // a key that is known to "default"
    c.tenant = "other";
    struct acme_answer a = new_account(&c, "{\"onlyReturnExisting\":true}");
    assert_answer("unknown here", &a, 400, "accountDoesNotExist");
    a = new_account(&c, "{}");
    assert_answer("terms", &a, 403, "userActionRequired");
    // RFC 8555 sections 6.7 and 7.3.3: people are sent to the terms.
    static const char link[] = "\r\nLink: <https://localhost/terms>;rel=\"terms-of-service\"\r\n";
    assert_string_equal(acme_text(&c, &a, "instance"), "https://localhost/terms");
    assert_non_null(memmem(a.headers.p, a.headers.n, link, sizeof link - 1));
    a = new_account(&c, "{\"termsOfServiceAgreed\":true}");
    assert_answer("agreed", &a, 201, "");
    // The account of one tenant is nobody at the other, under either's URL.
    c.kid = client.kid;
    a = acme_call(&c, acme_path(&c, "new-order"), order_payload);
    assert_answer("kid of another tenant", &a, 400, "accountDoesNotExist");
    const char *id = strrchr(client.kid, '/') + 1;
    c.kid = (const char *)make_text(&c.arena, "%s%s", acme_url(&c, "acct/"), id).p;
    a = acme_call(&c, acme_path(&c, "new-order"), order_payload);
    assert_answer("id of another tenant", &a, 400, "accountDoesNotExist");
    acme_fini(&c);
}

static void contacts_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *contact, *type;
    } cases[] = {
        {"\"tel:1\"", "unsupportedContact"},
        {"\"x@y\"", "unsupportedContact"},
        {"\"mailto:\"", "invalidContact"},
        {"\"mailto:nobody\"", "invalidContact"},
        {"\"mailto:a@b,c@d\"", "invalidContact"},
        {"\"mailto:a@b?subject=x\"", "invalidContact"},
        {"\"mailto:a@\\u00e9\"", "invalidContact"},
        {"\"mailto:a b@c\"", "invalidContact"},
        {"7", "invalidContact"},
    };
    struct acme c;
    acme_init(&c, rig.root_pem_path, rig.ports[0], 51);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char payload[128];
        snprintf(payload, sizeof payload, "{\"contact\":[\"mailto:ok@b.test\",%s]}",
                 cases[i].contact);
        struct acme_answer a = new_account(&c, payload);
        assert_answer(cases[i].contact, &a, 400, cases[i].type);
    }
    struct acme_answer a = new_account(&c, "{\"contact\":\"mailto:a@b\"}");
    assert_answer("no list", &a, 400, "invalidContact");
    acme_fini(&c);
}

// RFC 8555 section 7.3.6, and whatever else ends an account.
static void an_account_that_has_ended_is_unauthorized(void **state)
{
    (void)state;
    struct acme c;
    acme_init(&c, rig.root_pem_path, rig.ports[0], 52);
    acme_register(&c);
    assert_int_equal(pg_psql(&rig.pg, "UPDATE accounts SET status = 2 WHERE created_at = "
                                      "(SELECT max(created_at) FROM accounts)"),
                     0);
    struct acme_answer a = new_account(&c, "{}");
    assert_answer("newAccount", &a, 401, "unauthorized");
    assert_non_null(strstr(acme_text(&c, &a, "detail"), "deactivated"));
    a = new_account(&c, "{\"onlyReturnExisting\":true}");
    assert_answer("onlyReturnExisting", &a, 401, "unauthorized");
    a = acme_call(&c, acme_path(&c, "new-order"), order_payload); // decided in the store at once
    assert_answer("newOrder", &a, 401, "unauthorized");
    a = acme_call(&c, c.kid, NULL);
    assert_answer("account", &a, 401, "unauthorized");
    // What a core has read before is forgotten in a few seconds: then the envelope knows.
    for (unsigned i = 0; i < 80; i++) {
        a = acme_call(&c, acme_path(&c, "new-order"), order_payload);
        assert_answer("newOrder later", &a, 401, "unauthorized");
        if (strstr(acme_text(&c, &a, "detail"), "deactivated") != NULL) break;
        usleep(100000);
    }
    assert_non_null(strstr(acme_text(&c, &a, "detail"), "deactivated"));
    acme_fini(&c);
}

// ---- objects

// clients.md 41: a client with a URL of long ago, of another server even, makes a new order when it
// hears "unauthorized" and gives up when it hears "malformed".
static void what_is_not_there_is_not_malformed(void **state)
{
    (void)state;
    static const char *const rests[] = {"acct/%s",  "order/%s",         "order/%s/finalize",
                                        "authz/%s", "chall/%s/http-01", "cert/%s"};
    static const char *const ids[] = {"1", "AaINMxB8AJJNKGoNNHKy1w", "AaINMxB8AJJNKGoNNHKy1w=",
                                      "AaINMxB8AJJNKGoNNHKy1wAaINMxB8AJJNKGoNNHKy1w"};
    const char *csr = acme_csr(&client, "a.internal.test", 60);
    for (size_t i = 0; i < COUNT_OF(rests); i++)
        for (size_t k = 0; k < COUNT_OF(ids); k++) {
            char rest[128];
            int n = snprintf(rest, sizeof rest, "%.*s%s%s", (int)(strchr(rests[i], '%') - rests[i]),
                             rests[i], ids[k], strchr(rests[i], '%') + 2);
            assert_true(n > 0);
            bool finalize = strstr(rest, "finalize") != NULL;
            struct acme_answer a = acme_call(&client, acme_path(&client, rest),
                                             finalize ? csr : NULL);
            if (a.status != 404 && a.status != 403) fail_msg("%s: %u", rest, a.status);
            assert_answer(rest, &a, a.status, "unauthorized");
        }
}

// clients.md 46 and 47: whoever polls the challenge, and whoever polls the authorization, sees that
// it is too late, and is not told to ask again.
static void an_authorization_ends_in_time(void **state)
{
    (void)state;
    struct acme_answer order = acme_order(&client, "late.internal.test");
    const char *authz = acme_text(&client, &order, "authorizations.0");
    struct acme_answer a = acme_call(&client, authz, NULL);
    const char *challenge = acme_text(&client, &a, "challenges.0.url");
    assert_int_equal(pg_psql(&rig.pg,
                             "UPDATE authorizations SET expires_at = 1 WHERE id = (SELECT id FROM "
                             "authorizations ORDER BY id DESC LIMIT 1)"),
                     0);
    const struct {
        const char *url, *payload;
    } reads[] = {{authz, NULL}, {challenge, NULL}, {challenge, "{}"}, {authz, NULL}};
    for (size_t i = 0; i < COUNT_OF(reads); i++) {
        a = acme_call(&client, reads[i].url, reads[i].payload);
        assert_answer(reads[i].url, &a, 200, "");
        assert_string_equal(acme_text(&client, &a, "status"), "invalid");
        assert_int_equal(acme_headers(&a, "Retry-After"), 0);
    }
    assert_string_equal(acme_text(&client, &a, "challenges.0.status"), "invalid");
}

// A challenge that the authorization does not have is not there, read or begun; one that it has is.
static void only_offered_challenges_are_there(void **state)
{
    (void)state;
    struct acme_answer order = acme_order(&client, "offered.internal.test");
    struct acme_answer a = acme_call(&client, acme_text(&client, &order, "authorizations.0"), NULL);
    const char *good = acme_text(&client, &a, "challenges.0.url");
    static const char *const kinds[] = {"http-02", "HTTP-01", "http-0", "http-011", "none-01"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const char *url = arena_printf(&client.arena, "%.*s%s", (int)(strlen(good) - 7), good,
                                       kinds[i]);
        for (int k = 0; k < 2; k++) {
            a = acme_call(&client, url, k == 0 ? NULL : "{}");
            assert_answer(url, &a, 404, "unauthorized");
        }
    }
    a = acme_call(&client, good, NULL);
    assert_answer(good, &a, 200, "");
}

// ---- what the server refuses by itself

// clients.md 11, 12 and 17: these are answers to POSTs like any other. The connection ends, so each
// is a new one.
static void refusals_of_the_server_are_problems_with_a_nonce(void **state)
{
    (void)state;
    static const struct {
        const char *method, *host, *type;
        unsigned body, status;
    } refused[] = {{"POST", NULL, "application/jose+json", 70000, 413},
                   {"POST", NULL, "application/jose+json\r\nExpect: wonders", 2, 417},
                   {"POST", NULL, "application/jose+json\r\nTransfer-Encoding: chunked", 2, 400},
                   {"POST", NULL, "application/jose+json\r\nTransfer-Encoding: gzip", 0, 400},
                   {"POST", "", "application/jose+json", 2, 400},
                   {"POST", "a\r\nHost: b", "application/jose+json", 2, 400},
                   {"P(ST", NULL, "application/jose+json", 2, 400}};
    static char filler[70000];
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct acme_answer a = acme_send(&client, refused[i].method,
                                         acme_path(&client, "new-order"), refused[i].host,
                                         refused[i].type, slice_of(filler, refused[i].body));
        assert_answer(refused[i].type, &a, refused[i].status, "malformed");
        assert_int_equal(acme_headers(&a, "X-Request-Id"), 1);
        // The nonce is one of ours.
        a = acme_post(&client, acme_path(&client, "order/x"), ACME_KID, NULL);
        assert_answer("afterwards", &a, 404, "unauthorized");
    }
}

// ---- sizes

// Whatever fits into the bound of bodies is judged by what it says: a client is not told to come
// again with it (503), and no memory is left short.
static void every_body_below_the_bound_is_judged(void **state)
{
    (void)state;
    static const struct {
        const char *before, *unit, *after;
    } kinds[] = {{"\"", "yy", "\""}, {"[\"", "yy", "\"]"}, {"[", "1,", "1]"}};
    for (size_t size = 4096; size <= 49152; size += 4096)
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            struct buf b;
            buf_init(&b, 1 << 20);
            assert_ok(buf_printf(&b,
                                 "{\"identifiers\":[{\"type\":\"dns\",\"value\":"
                                 "\"a.internal.test\"}],\"x\":%s",
                                 kinds[k].before));
            while (buf_len(&b) < size) assert_ok(buf_add_str(&b, kinds[k].unit));
            assert_ok(buf_printf(&b, "%s}", kinds[k].after));
            const char *payload =
                (const char *)make_text(&client.arena, "%.*s", SLICE_ARG(buf_slice(&b))).p;
            buf_fini(&b);
            struct acme_answer a = acme_post(&client, acme_path(&client, "new-order"), ACME_KID,
                                             payload);
            bool many = k == 2 && size > 8192; // values, not bytes
            if (a.status == 413)
                assert_true(size > 47000);
            else
                assert_answer(kinds[k].before, &a, many ? 400 : 201, many ? "malformed" : "");
        }
}

// ---- for tests of clients

// clients.md 60: after a reload so many of a hundred good nonces are refused, cleanly.
static void nonces_are_refused_on_demand(void **state)
{
    (void)state;
    unsigned refused = 0, tries = 0;
    rig.extra = "bad_nonce_percent: 50\n";
    front_config(&rig, 0, NULL);
    program_reload(rig.programs[0]);
    for (; tries < 400 && (refused < 20 || tries < 60); tries++) {
        struct acme_answer a = acme_post(&client, acme_path(&client, "order/x"), ACME_KID, NULL);
        bool bad = a.status == 400;
        assert_answer("refused or not", &a, bad ? 400 : 404, bad ? "badNonce" : "unauthorized");
        refused += bad;
    }
    assert_in_range(refused, 20, tries - 10);
    rig.extra = NULL;
    front_config(&rig, 0, NULL);
    program_reload(rig.programs[0]);
}

// ---- wildcards

static void refused_identifier(const char *names, const char *sentence)
{
    const char *payload = arena_printf(
        &client.arena,
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":"
        "\"plain.internal.test\"},{\"type\":\"dns\",\"value\":\"%s\"}]}",
        names);
    struct acme_answer a = acme_call(&client, acme_path(&client, "new-order"), payload);
    assert_answer(names, &a, 400, "rejectedIdentifier");
    const char *detail = acme_text(&client, &a, "detail");
    if (strstr(detail, sentence) == NULL || strstr(detail, "identifier 1 ") == NULL)
        fail_msg("%s", detail);
}

// What cannot end in a certificate is refused at once: where the profile signs no wildcards, and
// where no challenge is offered that could prove one (RFC 8555 section 7.1.3).
static void a_wildcard_needs_a_profile_and_a_challenge(void **state)
{
    (void)state;
    refused_identifier("*.internal.test", "is a wildcard, which this profile does not have");
    front_config(&rig, 0,
                 "  default:\n    default: true\n    profiles: [server, short, wide, norev]\n"
                 "    challenges: [http-01]\n");
    program_reload(rig.programs[0]);
    for (int i = 0; i < 100; i++) { // the other core hears of it a little later
        struct acme_answer order = acme_order(&client, "offer.internal.test");
        struct acme_answer a = acme_call(&client, acme_text(&client, &order, "authorizations.0"),
                                         NULL);
        if (acme_text(&client, &a, "challenges.1.type") == NULL) break;
        usleep(20000);
    }
    refused_identifier(
        "*.internal.test",
        "is a wildcard, which no challenge that is offered here can prove (http-01)");
    front_config(&rig, 0, NULL);
    program_reload(rig.programs[0]);
}

// ---- hosts

static void only_the_hosts_of_the_tenant_are_served(void **state)
{
    (void)state;
    static const char *const hosts[] = {"evil.example", "localhost", "127.0.0.1", "localhost:1"};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct acme_answer a = acme_send(&client, "GET", "/directory", hosts[i], NULL, SLICE_NONE);
        assert_int_equal(a.status, 421);
        assert_string_equal(acme_type(&client, &a), "malformed");
    }
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
        cmocka_unit_test(each_defect_has_its_problem_and_no_effect),
        cmocka_unit_test(the_algorithms_that_are_taken_are_named),
        cmocka_unit_test(each_route_takes_its_kind_of_key),
        cmocka_unit_test(each_kind_of_account_key_works),
        cmocka_unit_test(weak_keys_are_refused),
        cmocka_unit_test(accounts_are_made_found_and_read),
        cmocka_unit_test(accounts_are_of_one_tenant),
        cmocka_unit_test(contacts_are_checked),
        cmocka_unit_test(an_account_that_has_ended_is_unauthorized),
        cmocka_unit_test(what_is_not_there_is_not_malformed),
        cmocka_unit_test(an_authorization_ends_in_time),
        cmocka_unit_test(only_offered_challenges_are_there),
        cmocka_unit_test(a_wildcard_needs_a_profile_and_a_challenge),
        cmocka_unit_test(only_the_hosts_of_the_tenant_are_served),
        cmocka_unit_test(refusals_of_the_server_are_problems_with_a_nonce),
        cmocka_unit_test(every_body_below_the_bound_is_judged),
        cmocka_unit_test(nonces_are_refused_on_demand),
    };
    if (!front_rig_init(&rig, NULL)) return 77;
    int failures = cmocka_run_group_tests(tests, setup, teardown);
    front_rig_fini(&rig);
    return failures;
}
