// tls: handshakes over memory between our own client and server: who is let in, who is not, and
// why.
#include "proto/tls/tls.h"

#include <stdio.h>
#include <time.h>

#include "proto/err.h"
#include "tests/support/testca.h"
#include "tests/unit/unit.h"

static struct testca_pair root, other_root, good;

static int make_certificates(void **state)
{
    (void)state;
    root = testca_root("test root");
    other_root = testca_root("other root");
    good = testca_leaf(&root, &(struct testca_options){.common_name = "server",
                                                       .dns = "localhost",
                                                       .ip = "127.0.0.1",
                                                       .uri = "urn:certmill:role:signer"});
    return 0;
}

static int free_certificates(void **state)
{
    (void)state;
    testca_free(&root);
    testca_free(&other_root);
    testca_free(&good);
    return 0;
}

struct result {
    struct err server, client;
    char server_text[256], client_text[256];
    enum tls_alpn alpn;
    bool resumed;
};

static bool move(struct tls *from, struct tls *to, struct err *out, size_t chunk)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_ok(tls_pull(from, &b));
    bool any = buf_len(&b) > 0;
    for (size_t at = 0; at < buf_len(&b) && !failed(*out); at += chunk)
        *out = tls_feed(to, slice_sub(buf_slice(&b), at, chunk));
    buf_fini(&b);
    return any;
}

static void shake(struct tls *client, struct tls *server, struct result *r, size_t chunk)
{
    r->client = tls_start(client);
    for (bool any = true; any;) {
        any = move(client, server, &r->server, chunk);
        any |= move(server, client, &r->client, chunk);
        // Reading processes what follows the handshake: tickets, alerts.
        struct buf plain;
        buf_init(&plain, 4096);
        if (!failed(r->client) && tls_established(client)) r->client = tls_read(client, &plain);
        if (!failed(r->server) && tls_established(server)) r->server = tls_read(server, &plain);
        buf_fini(&plain);
    }
    snprintf(r->server_text, sizeof r->server_text, "%s", tls_failure(server));
    snprintf(r->client_text, sizeof r->client_text, "%s", tls_failure(client));
    r->alpn = tls_established(client) ? tls_alpn(client) : TLS_ALPN_NONE;
    r->resumed = tls_established(server) && tls_resumed(server);
}

static struct tls_context *context(bool server, const struct tls_options *o)
{
    char note[256] = "";
    struct tls_context *c = NULL;
    struct err e = tls_context_new(&c, note, sizeof note, server, o);
    if (failed(e)) fail_msg("%s", note);
    return c;
}

static struct tls_options server_options(void)
{
    return (struct tls_options){.chain_pem = slice_str(good.cert_pem),
                                .key_pem = slice_str(good.key_pem),
                                .alpn_h2 = true,
                                .alpn_http_1_1 = true};
}

static struct tls_options client_options(void)
{
    return (struct tls_options){
        .trust_pem = slice_str(root.cert_pem), .alpn_h2 = true, .alpn_http_1_1 = true};
}

static struct result meet(const struct tls_options *so, const struct tls_options *co,
                          const char *name)
{
    struct result r = {0};
    struct tls_context *sc = context(true, so), *cc = context(false, co);
    struct tls *s = tls_new(sc, NULL), *c = tls_new(cc, name);
    assert_non_null(s);
    assert_non_null(c);
    shake(c, s, &r, 1 << 20);
    tls_free(s);
    tls_free(c);
    tls_context_free(sc);
    tls_context_free(cc);
    return r;
}

static void names_and_addresses_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {{"localhost", true},
                {"127.0.0.1", true},
                {"127.0.0.2", false},
                {"::1", false},
                {"example.test", false},
                {"LOCALHOST", true},
                {"x.localhost", false},
                // a name, though it begins like an address
                {"127.0.0.1.example", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls_options so = server_options(), co = client_options();
        struct result r = meet(&so, &co, rows[i].name);
        if (failed(r.client) == rows[i].ok) fail_msg("%s: %s", rows[i].name, r.client_text);
        if (rows[i].ok) assert_int_equal(r.alpn, TLS_ALPN_H2);
    }
}

static void a_wrong_root_an_old_certificate_and_none_are_refused(void **state)
{
    (void)state;
    struct tls_options so = server_options(), co = client_options();
    co.trust_pem = slice_str(other_root.cert_pem);
    struct result r = meet(&so, &co, "localhost");
    assert_err(r.client, ERR_TLS_HANDSHAKE);
    assert_non_null(strstr(r.client_text, "certificate is refused"));
    struct testca_pair old = testca_leaf(
        &root, &(struct testca_options){
                   .common_name = "old", .dns = "localhost", .from_s = -7200, .to_s = -3600});
    so.chain_pem = slice_str(old.cert_pem);
    so.key_pem = slice_str(old.key_pem);
    co = client_options();
    r = meet(&so, &co, "localhost");
    assert_err(r.client, ERR_TLS_HANDSHAKE);
    assert_non_null(strstr(r.client_text, "expired"));
    co.insecure = true; // http-01 over a redirect to https
    r = meet(&so, &co, "whatever.test");
    assert_ok(r.client);
    testca_free(&old);
}

static int64_t in_400_days(void) { return (int64_t)time(NULL) + 400 * 86400; }

static void the_given_clock_decides(void **state)
{
    (void)state;
    struct tls_options so = server_options(), co = client_options();
    co.now_s = in_400_days;
    struct result r = meet(&so, &co, "localhost");
    assert_err(r.client, ERR_TLS_HANDSHAKE);
    assert_non_null(strstr(r.client_text, "expired"));
}

static void a_group_has_the_role(void **state)
{
    static const struct {
        const char *held, *wanted;
        bool is;
    } rows[] = {{"urn:r:acme", "urn:r:acme", true},
                {"urn:r:acme:eu", "urn:r:acme", true},
                {"urn:r:acme:eu:1", "urn:r:acme", true},
                {"urn:r:acme2", "urn:r:acme", false},
                {"urn:r:acme:", "urn:r:acme", false},
                {"urn:r:acm", "urn:r:acme", false},
                {"", "urn:r:acme", false},
                {"urn:r:acme", "urn:r:acme:eu", false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(tls_role_is(rows[i].held, rows[i].wanted), rows[i].is);
}

static void roles_are_checked_in_both_directions(void **state)
{
    (void)state;
    struct testca_pair acme = testca_leaf(
        &root, &(struct testca_options){.common_name = "acme", .uri = "urn:certmill:role:acme"});
    struct testca_pair two = testca_leaf(
        &root, &(struct testca_options){.common_name = "two",
                                        .uri = "urn:certmill:role:acme",
                                        .uri2 = "urn:certmill:role:signer"});
    struct testca_pair none = testca_leaf(
        &root, &(struct testca_options){.common_name = "customer", .dns = "customer.test"});
    struct testca_pair foreign = testca_leaf(
        &other_root,
        &(struct testca_options){.common_name = "acme", .uri = "urn:certmill:role:acme"});
    const struct {
        const struct testca_pair *client;
        const char *want_server_role;
        bool ok;
    } rows[] = {
        {&acme, "urn:certmill:role:signer", true},     {&acme, "urn:certmill:role:acme", false},
        {&two, "urn:certmill:role:signer", false},     {&none, "urn:certmill:role:signer", false},
        {&foreign, "urn:certmill:role:signer", false}, {NULL, "urn:certmill:role:signer", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls_options so = server_options(), co = client_options();
        so.trust_pem = slice_str(root.cert_pem);
        so.peer_required = true;
        so.peer_role = "urn:certmill:role:acme";
        co.peer_role = rows[i].want_server_role;
        co.peer_name_ignored = true;
        if (rows[i].client != NULL) {
            co.chain_pem = slice_str(rows[i].client->cert_pem);
            co.key_pem = slice_str(rows[i].client->key_pem);
        }
        struct result r = meet(&so, &co, "anything");
        bool ok = !failed(r.client) && !failed(r.server);
        if (ok != rows[i].ok)
            fail_msg("row %zu: client %s, server %s", i, r.client_text, r.server_text);
    }
    testca_free(&acme);
    testca_free(&two);
    testca_free(&none);
    testca_free(&foreign);
}

static void an_unknown_protocol_is_refused(void **state)
{
    (void)state;
    struct tls_options so = server_options(), co = client_options();
    so.alpn_http_1_1 = false;
    co.alpn_h2 = false;
    struct result r = meet(&so, &co, "localhost");
    assert_true(failed(r.server) && failed(r.client));
    co.alpn_http_1_1 = false; // offers none: that is fine
    r = meet(&so, &co, "localhost");
    assert_ok(r.client);
    assert_int_equal(r.alpn, TLS_ALPN_NONE);
    so.alpn_http_1_1 = co.alpn_http_1_1 = true;
    r = meet(&so, &co, "localhost");
    assert_int_equal(r.alpn, TLS_ALPN_HTTP_1_1);
}

static bool resumes(struct tls_context *first, struct tls_context *second)
{
    struct tls_options co = client_options();
    struct tls_context *cc = context(false, &co);
    struct result a = {0}, b = {0};
    struct tls *s1 = tls_new(first, NULL), *c1 = tls_new(cc, "localhost");
    shake(c1, s1, &a, 1 << 20);
    assert_ok(a.client);
    assert_false(a.resumed);
    // BoringSSL sends tickets with the first answer, not before.
    struct buf plain;
    buf_init(&plain, 4096);
    assert_ok(tls_write(s1, SLICE_LIT("hello")));
    assert_true(move(s1, c1, &a.client, 1 << 20));
    assert_ok(tls_read(c1, &plain));
    buf_fini(&plain);
    struct tls *s2 = tls_new(second, NULL), *c2 = tls_new(cc, "localhost");
    assert_true(tls_resume(c2, c1));
    shake(c2, s2, &b, 1 << 20);
    assert_ok(b.client);
    tls_free(s1);
    tls_free(c1);
    tls_free(s2);
    tls_free(c2);
    tls_context_free(cc);
    return b.resumed;
}

static void tickets_resume_on_every_node_with_the_keys(void **state)
{
    (void)state;
    uint8_t k1[TLS_TICKET_KEY_LEN], k2[TLS_TICKET_KEY_LEN], k3[TLS_TICKET_KEY_LEN];
    memset(k1, 1, sizeof k1);
    memset(k2, 2, sizeof k2);
    memset(k3, 3, sizeof k3);
    struct tls_options so = server_options();
    so.tickets = true;
    struct tls_context *a = context(true, &so), *b = context(true, &so);
    tls_context_ticket_keys(a, k2, k1);
    tls_context_ticket_keys(b, k2, k1);
    assert_true(resumes(a, b));
    tls_context_ticket_keys(b, k3, k2); // an hour later
    assert_true(resumes(a, b));
    tls_context_ticket_keys(b, k1, k3); // keys that never meet
    assert_false(resumes(a, b));
    for (int i = 0; i < 10; i++) tls_context_ticket_keys(a, k1, k2);
    tls_context_free(a);
    tls_context_free(b);
}

static void plaintext_arrives_however_it_is_cut(void **state)
{
    (void)state;
    struct tls_options so = server_options(), co = client_options();
    struct tls_context *sc = context(true, &so), *cc = context(false, &co);
    for (size_t chunk = 1; chunk < 40000; chunk = chunk * 7 + 1) {
        struct result r = {0};
        struct tls *s = tls_new(sc, NULL), *c = tls_new(cc, "localhost");
        shake(c, s, &r, chunk);
        assert_ok(r.client);
        static uint8_t text[50000];
        for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 31);
        assert_ok(tls_write(c, slice_of(text, sizeof text)));
        struct buf wire, got;
        buf_init(&wire, 1 << 20);
        buf_init(&got, 1 << 20);
        assert_ok(tls_pull(c, &wire));
        for (size_t at = 0; at < buf_len(&wire); at += chunk) {
            assert_ok(tls_feed(s, slice_sub(buf_slice(&wire), at, chunk)));
            assert_ok(tls_read(s, &got));
        }
        assert_slice(buf_slice(&got), slice_of(text, sizeof text));
        tls_close(c);
        buf_clear(&wire);
        assert_ok(tls_pull(c, &wire));
        assert_ok(tls_feed(s, buf_slice(&wire)));
        assert_ok(tls_read(s, &got));
        assert_true(tls_peer_closed(s));
        buf_fini(&wire);
        buf_fini(&got);
        tls_free(s);
        tls_free(c);
    }
    tls_context_free(sc);
    tls_context_free(cc);
}

static void garbage_fails_with_an_alert(void **state)
{
    (void)state;
    static const char *const rows[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello",
                                       "\x16\x03\x00\x00\x01x", "\x80\x2e\x01\x00\x02",
                                       "\xff\xff\xff\xff\xff\xff"};
    struct tls_options so = server_options();
    struct tls_context *sc = context(true, &so);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls *s = tls_new(sc, NULL);
        if (!failed(tls_feed(s, slice_str(rows[i]))) &&
            !failed(tls_feed(s, SLICE_LIT("and a good deal more of the same, so that a record is "
                                          "complete........................"))))
            assert_false(tls_established(s));
        tls_free(s);
    }
    tls_context_free(sc);
}

static void broken_inputs_are_named(void **state)
{
    (void)state;
    struct tls_context *c = NULL;
    char note[256];
    struct tls_options o = server_options();
    o.key_pem = slice_str(root.key_pem);
    assert_err(tls_context_new(&c, note, sizeof note, true, &o), ERR_TLS_CONFIG);
    assert_non_null(strstr(note, "private key does not belong"));
    o.key_pem = SLICE_LIT("nonsense");
    assert_err(tls_context_new(&c, note, sizeof note, true, &o), ERR_TLS_CONFIG);
    assert_non_null(strstr(note, "private key cannot be read"));
    o = server_options();
    o.chain_pem = SLICE_LIT("nonsense");
    assert_err(tls_context_new(&c, note, sizeof note, true, &o), ERR_TLS_CONFIG);
    o = client_options();
    o.trust_pem = SLICE_LIT("nonsense");
    assert_err(tls_context_new(&c, note, sizeof note, false, &o), ERR_TLS_CONFIG);
    assert_non_null(strstr(note, "trust anchors"));
    o = (struct tls_options){0};
    assert_err(tls_context_new(&c, note, sizeof note, true, &o), ERR_TLS_CONFIG);
    assert_null(c);
}

int main(void)
{
    proto_err_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_addresses_are_checked),
        cmocka_unit_test(a_wrong_root_an_old_certificate_and_none_are_refused),
        cmocka_unit_test(the_given_clock_decides),
        cmocka_unit_test(a_group_has_the_role),
        cmocka_unit_test(roles_are_checked_in_both_directions),
        cmocka_unit_test(an_unknown_protocol_is_refused),
        cmocka_unit_test(tickets_resume_on_every_node_with_the_keys),
        cmocka_unit_test(plaintext_arrives_however_it_is_cut),
        cmocka_unit_test(garbage_fails_with_an_alert),
        cmocka_unit_test(broken_inputs_are_named),
    };
    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}
