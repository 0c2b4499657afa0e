// tlsalpn01: tls-alpn-01 as it meets the world: responders that are right, wrong, slow or hostile
// (RFC 8737, RFC 8738, threats T31 and T33).
#include <arpa/inet.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "api/err.h"
#include "api/validate/alpn_cert.h"
#include "api/validate/validate.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/support/alpn_peer.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

enum { LAST_TURNS = 300 };
static const uint64_t WAIT_NS = 20000000000;

static const char token[] = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
                  thumbprint[] = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";

static struct log *logger;
static struct metrics *metrics;
static struct shard *shard;
static struct alpn_peer *peer;
static struct arena arena;
static uint8_t digest[ALPN_DIGEST_LEN];

// ---- certificates, each good but for what it is named after

static struct slice digest_of(const char *tail)
{
    char text[256];
    uint8_t out[SHA256_DIGEST_LENGTH];
    struct slice copy;
    snprintf(text, sizeof text, "%s.%s%s", token, thumbprint, tail);
    SHA256((const uint8_t *)text, strlen(text), out);
    assert_ok(arena_dup(&copy, &arena, slice_of(out, sizeof out)));
    return copy;
}

static struct slice acme_identifier(bool critical, struct slice value)
{
    return make_extension(&arena, OID_ACME_IDENTIFIER, critical, value);
}

static struct slice good_identifier(void)
{
    return acme_identifier(true, MAKE_TLV(&arena, 0x04, digest_of("")));
}

static struct slice alt_name(uint8_t tag, struct slice value)
{
    return make_extension(&arena, OID_SUBJECT_ALT_NAME, false,
                          MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, tag, value)));
}

static struct slice common_name(const char *name)
{
    return MAKE_SEQUENCE(&arena, make_rdn(&arena, OID_COMMON_NAME, 0x0c, slice_str(name)));
}

// self_signed is a certificate with these extensions and a subject that is its issuer.
static struct slice self_signed(EVP_PKEY *key, struct slice extensions)
{
    struct slice name = common_name("ACME challenge");
    return make_cert(&arena, &(struct make_cert){.key = key,
                                                 .issuer_key = key,
                                                 .issuer = name,
                                                 .subject = name,
                                                 .extensions = extensions});
}

static struct slice good_for(EVP_PKEY *key, const char *name)
{
    return self_signed(key, MAKE_JOINED(&arena, make_alt_names(&arena, name), good_identifier()));
}

static EVP_PKEY *key_0(void) { return make_key(KEY_P256, 256, 0); }

// struct cert_row is one certificate for a.test (or what `of` says), and what is said of it.
struct cert_row {
    struct slice cert;
    const char *text; // NULL: good
};

enum { CERT_ROWS_MAX = 32 };
static struct cert_row cert_rows[CERT_ROWS_MAX];
static size_t cert_row_count;

static void cert_row(const char *text, struct slice cert)
{
    assert_true(cert_row_count < CERT_ROWS_MAX);
    cert_rows[cert_row_count++] = (struct cert_row){cert, text};
}

static void extensions_row(const char *text, struct slice names, struct slice identifier)
{
    cert_row(text, self_signed(key_0(), MAKE_JOINED(&arena, names, identifier)));
}

static void cert_rows_make(void)
{
    struct arena *a = &arena;
    struct slice names = make_alt_names(a, "a.test"), id = good_identifier(),
                 name = common_name("ACME challenge"), both = MAKE_JOINED(a, names, id),
                 right = MAKE_TLV(a, 0x04, digest_of(""));
    EVP_PKEY *k = key_0(), *other = make_key(KEY_P256, 256, 1);
    extensions_row(NULL, names, id);
    extensions_row(NULL, make_alt_names(a, "A.TeSt"), id);
    cert_row(NULL, good_for(make_key(KEY_RSA, 2048, 0), "a.test"));
    cert_row(NULL, good_for(make_key(KEY_P384, 384, 0), "a.test"));
    // mod_md draws 160 bits, so that every other serial number has 21 octets.
    for (size_t i = 0; i < 3; i++) {
        static const struct slice serials[] = {SLICE_LIT("\2\x15\0\x80"
                                                         "1234567890123456789"),
                                               SLICE_LIT("\2\1\0"), SLICE_LIT("\2\1\xff")};
        cert_row(NULL, make_cert(a, &(struct make_cert){.key = k,
                                                        .issuer_key = k,
                                                        .issuer = name,
                                                        .subject = name,
                                                        .serial = serials[i],
                                                        .extensions = both}));
    }
    extensions_row("no subjectAltName", SLICE_NONE, id);
    extensions_row("more names", make_alt_names(a, "a.test,b.test"), id);
    extensions_row("more names", make_alt_names(a, "a.test,a.test"), id);
    extensions_row("more names",
                   make_extension(a, OID_SUBJECT_ALT_NAME, false,
                                  MAKE_SEQUENCE(a, MAKE_TLV(a, 0x82, SLICE_LIT("a.test")),
                                                MAKE_TLV(a, 0x81, SLICE_LIT("x@a.test")))),
                   id);
    extensions_row("another name", make_alt_names(a, "b.test"), id);
    extensions_row("another name", make_alt_names(a, "*.test"), id);
    extensions_row("another name", make_alt_names(a, "xa.test"), id);
    extensions_row("another name", alt_name(0x82, SLICE_LIT("a.test\0")), id);
    extensions_row("another name", alt_name(0x81, SLICE_LIT("a.test")), id);
    extensions_row("another name", alt_name(0x86, SLICE_LIT("a.test")), id);
    extensions_row("another name", alt_name(0x87, SLICE_LIT("\x7f\0\0\1")), id);
    extensions_row("no acmeIdentifier", names, SLICE_NONE);
    // The draft's number.
    extensions_row(
        "no acmeIdentifier", names,
        make_extension(a, SLICE_LIT("\x2b\x06\x01\x05\x05\x07\x01\x1e\x01"), true, right));
    extensions_row("not critical", names, acme_identifier(false, right));
    extensions_row("another digest", names,
                   acme_identifier(true, MAKE_TLV(a, 0x04, digest_of("x"))));
    extensions_row("not an OCTET STRING of 32", names, acme_identifier(true, digest_of("")));
    extensions_row("not an OCTET STRING of 32", names,
                   acme_identifier(true, MAKE_JOINED(a, right, SLICE_LIT("\0"))));
    extensions_row("not an OCTET STRING of 32", names,
                   acme_identifier(true, MAKE_JOINED(a, SLICE_LIT("\x04\x81\x20"), digest_of(""))));
    extensions_row("not an OCTET STRING of 32", names,
                   acme_identifier(true, MAKE_TLV(a, 0x03, digest_of(""))));
    extensions_row("there twice", MAKE_JOINED(a, names, names), id);
    extensions_row("there twice", names, MAKE_JOINED(a, id, acme_identifier(true, right)));
    cert_row("not signed by its own key", make_cert(a, &(struct make_cert){.key = k,
                                                                           .issuer_key = other,
                                                                           .issuer = name,
                                                                           .subject = name,
                                                                           .extensions = both}));
    cert_row("not signed by its own key",
             make_cert(a, &(struct make_cert){
                              .key = k, .issuer_key = k, .subject = name, .extensions = both}));
    cert_row("cannot be read", MAKE_JOINED(a, good_for(k, "a.test"), SLICE_LIT("\0")));
    cert_row("cannot be read", SLICE_NONE);
}

static void certificates_are_judged(void **state)
{
    (void)state;
    const struct identifier id = {IDENTIFIER_DNS, SLICE_LIT("a.test")};
    for (size_t i = 0; i < cert_row_count; i++) {
        const struct cert_row *row = &cert_rows[i];
        const char *said = alpn_cert_judge(&arena, row->cert, &id, digest);
        if (row->text == NULL ? said != NULL : said == NULL || strstr(said, row->text) == NULL)
            fail_msg("certificate %zu: %s", i, said == NULL ? "good" : said);
    }
    // Addresses: the octets, as one iPAddress.
    static const struct {
        uint8_t tag;
        struct slice in_cert, asked;
        bool good;
    } rows[] = {
        {0x87, SLICE_LIT("\x7f\0\0\1"), SLICE_LIT("\x7f\0\0\1"), true},
        {0x87, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"),
         SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), true},
        {0x87, SLICE_LIT("\x7f\0\0\2"), SLICE_LIT("\x7f\0\0\1"), false},
        {0x87, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1"), SLICE_LIT("\x7f\0\0\1"), false},
        {0x82, SLICE_LIT("127.0.0.1"), SLICE_LIT("\x7f\0\0\1"), false},
        {0x82, SLICE_LIT("1.0.0.127.in-addr.arpa"), SLICE_LIT("\x7f\0\0\1"), false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct identifier ip = {IDENTIFIER_IP, rows[i].asked};
        struct slice cert = self_signed(
            key_0(),
            MAKE_JOINED(&arena, alt_name(rows[i].tag, rows[i].in_cert), good_identifier()));
        assert_int_equal(alpn_cert_judge(&arena, cert, &ip, digest) == NULL, rows[i].good);
    }
}

// A certificate with any bit changed proves nothing, or is still self-signed for the same name and
// digest, which it cannot be without the key.
static void every_octet_counts(void **state)
{
    (void)state;
    const struct identifier id = {IDENTIFIER_DNS, SLICE_LIT("a.test")};
    struct slice good = cert_rows[0].cert;
    uint8_t *copy = arena_alloc(&arena, good.n);
    for (size_t i = 0; i < good.n; i++) {
        memcpy(copy, good.p, good.n);
        copy[i] ^= 1;
        assert_non_null(alpn_cert_judge(&arena, slice_of(copy, good.n), &id, digest));
    }
    for (size_t n = 0; n < good.n; n++)
        assert_non_null(alpn_cert_judge(&arena, slice_of(good.p, n), &id, digest));
}

// ---- responders

enum { PEER_ROWS_MAX = 24 };
static struct alpn_row peer_rows[PEER_ROWS_MAX + 1];
static size_t peer_row_count;

static void peer_row(const char *sni, int how, EVP_PKEY *key, struct slice cert)
{
    assert_true(peer_row_count < PEER_ROWS_MAX);
    struct alpn_row *row = &peer_rows[peer_row_count++];
    row->sni = sni;
    row->key = key;
    row->cert = cert;
    memcpy(&row->how, &how, sizeof row->how);
}

static void peer_rows_make(void)
{
    static const struct {
        const char *sni;
        int how;
    } rows[] = {{"good.test", ALPN_GOOD},         {"none.test", ALPN_NONE},
                {"other.test", ALPN_OTHER},       {"old.test", ALPN_TLS_1_1},
                {"twelve.test", ALPN_TLS_1_2},    {"thirteen.test", ALPN_TLS_1_3},
                {"asks.test", ALPN_CLIENT_CERT},  {"huge.test", ALPN_HUGE},
                {"chatty.test", ALPN_CHATTY},     {"endless.test", ALPN_ENDLESS},
                {"again.test", ALPN_HELLO_AGAIN}, {"garbage.test", ALPN_GARBAGE},
                {"close.test", ALPN_CLOSE},       {"silent.test", ALPN_SILENT}};
    EVP_PKEY *key = key_0(), *rsa = make_key(KEY_RSA, 2048, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        peer_row(rows[i].sni, rows[i].how, key, good_for(key, rows[i].sni));
    peer_row("wrong.test", ALPN_GOOD, key, good_for(key, "another.test"));
    // keyUsage keyEncipherment, as lego's certificates have it; and one with digitalSignature.
    struct slice encipher = make_extension(&arena, OID_KEY_USAGE, true, SLICE_LIT("\3\2\5\x20")),
                 sign = make_extension(&arena, OID_KEY_USAGE, true, SLICE_LIT("\3\2\7\x80"));
    peer_row("encipher.test", ALPN_GOOD, rsa,
             self_signed(rsa, MAKE_JOINED(&arena, encipher, make_alt_names(&arena, "encipher.test"),
                                          good_identifier())));
    peer_row("sign.test", ALPN_GOOD, key,
             self_signed(key, MAKE_JOINED(&arena, sign, make_alt_names(&arena, "sign.test"),
                                          good_identifier())));
    peer_row("1.0.0.127.in-addr.arpa", ALPN_GOOD, key,
             self_signed(key, MAKE_JOINED(&arena, alt_name(0x87, SLICE_LIT("\x7f\0\0\1")),
                                          good_identifier())));
    peer_row("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", ALPN_GOOD,
             key,
             self_signed(key, MAKE_JOINED(&arena,
                                          alt_name(0x87, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0"
                                                                   "\0\0\0\1")),
                                          good_identifier())));
}

struct run {
    struct validate_request request;
    struct validate_result result;
    unsigned done;
};

static void on_done(struct validate_request *request, const struct validate_result *result)
{
    struct run *r = LIST_OWNER(request, struct run, request);
    r->result = *result;
    r->done++;
}

static struct validate_policy policy_make(struct validate_override *override)
{
    socklen_t len;
    *override = (struct validate_override){.suffix = "test"};
    assert_ok(address_parse(&override->address, &len, SLICE_LIT("127.0.0.1:1"), 1));
    return (struct validate_policy){.overrides = override,
                                    .override_count = 1,
                                    .tls_alpn_port = alpn_peer_port(peer),
                                    .attempts = 1,
                                    .retry_ms = 20,
                                    .attempt_ms = 2500,
                                    .total_ms = 5000};
}

static struct validate_result judge(const struct validate_policy *p, struct identifier id)
{
    struct run r = {.request = {.method = CHALLENGE_TLS_ALPN_01,
                                .identifier = id,
                                .token = slice_str(token),
                                .thumbprint = slice_str(thumbprint),
                                .policy = p,
                                .done = on_done}};
    struct validator *v = validator_new(shard, 4);
    assert_ok(validate_start(v, &r.request));
    assert_int_equal(r.done, 0); // never inside
    // Not so many turns, but so long: those of a peer that sends without end are short.
    uint64_t begun_ns = shard_now_ns(shard);
    while (r.done == 0 && shard_now_ns(shard) - begun_ns < WAIT_NS) shard_turn(shard, 5);
    for (int i = 0; i < 20; i++) shard_turn(shard, 1);
    assert_int_equal(r.done, 1);
    assert_int_equal(validator_count(v), 0);
    validator_free(v);
    for (int i = 0; i < 5; i++) shard_turn(shard, 1);
    return r.result;
}

static void expect(const struct validate_policy *p, struct identifier id,
                   enum validate_problem problem, const char *text)
{
    struct validate_result r = judge(p, id);
    if (r.problem != problem || (problem != VALIDATE_OK && strstr(r.detail, text) == NULL))
        fail_msg("%" SLICE_FMT ": problem %d, \"%s\"", SLICE_ARG(id.value), (int)r.problem,
                 r.detail);
    if (problem != VALIDATE_OK) assert_non_null(strstr(r.detail, "tls-alpn-01 for "));
}

static void responders_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum validate_problem problem;
        const char *text;
    } rows[] = {
        {"good.test", VALIDATE_OK, ""},
        {"twelve.test", VALIDATE_OK, ""},
        {"thirteen.test", VALIDATE_OK, ""},
        {"asks.test", VALIDATE_OK, ""},
        {"sign.test", VALIDATE_OK, ""},
        {"encipher.test", VALIDATE_OK, ""},
        {"chatty.test", VALIDATE_OK, ""},
        {"none.test", VALIDATE_TLS, "did not agree on the protocol \"acme-tls/1\""},
        {"other.test", VALIDATE_TLS, "INVALID_ALPN_PROTOCOL"},
        {"old.test", VALIDATE_TLS, "127.0.0.1:"},
        {"huge.test", VALIDATE_TLS, "EXCESSIVE_MESSAGE_SIZE"},
        {"endless.test", VALIDATE_TLS, "EXCESSIVE_MESSAGE_SIZE"},
        {"again.test", VALIDATE_TLS, "127.0.0.1:"},
        {"garbage.test", VALIDATE_TLS, "127.0.0.1:"},
        {"close.test", VALIDATE_TLS, "did not finish the TLS handshake"},
        {"silent.test", VALIDATE_TLS, "did not finish the TLS handshake within 2500 ms"},
        {"unknown.test", VALIDATE_TLS, "SNI unknown.test"},
        {"wrong.test", VALIDATE_INCORRECT_RESPONSE, "another name in its subjectAltName"},
    };
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect(&p, (struct identifier){IDENTIFIER_DNS, slice_str(rows[i].host)}, rows[i].problem,
               rows[i].text);
    // Every hello offered one protocol and no old version, and nobody was sent a word. The last is
    // what chatty.test would have seen.
    assert_int_equal(alpn_peer_faults(peer), 0);
    assert_in_range(alpn_peer_handshakes(peer), 8, 100);
    assert_in_range(alpn_peer_sent(peer), 0, 6 << 20); // who talks without end is not listened to
}

static void addresses_are_proved_under_their_reverse_names(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    static const struct identifier v4 = {IDENTIFIER_IP, SLICE_LIT("\x7f\0\0\1")},
                                   v6 = {IDENTIFIER_IP,
                                         SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1")};
    expect(&p, v4, VALIDATE_OK, "");
    if (alpn_peer_ipv6(peer)) expect(&p, v6, VALIDATE_OK, "");
    p.tls_alpn_port = 1; // nobody listens there
    expect(&p, v4, VALIDATE_CONNECTION, "tls-alpn-01 for 127.0.0.1: 127.0.0.1:1 refused");
    expect(&p, v6, VALIDATE_CONNECTION, "tls-alpn-01 for ::1: [::1]:1 ");
}

static void networks_bound_targets(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    struct address_range loopback;
    unsigned before = alpn_peer_handshakes(peer);
    assert_ok(address_range_parse(&loopback, SLICE_LIT("127.0.0.0/8")));
    p.denied = &loopback;
    p.denied_count = 1;
    expect(&p, (struct identifier){IDENTIFIER_DNS, SLICE_LIT("good.test")}, VALIDATE_CONNECTION,
           "outside the networks");
    expect(&p, (struct identifier){IDENTIFIER_IP, SLICE_LIT("\x7f\0\0\1")}, VALIDATE_CONNECTION,
           "outside the networks");
    assert_int_equal(alpn_peer_handshakes(peer), before);
}

// A validator that is freed in the middle of handshakes leaves nothing behind (ASan sees).
static void ends_in_the_middle(void **state)
{
    (void)state;
    struct validate_override o;
    struct validate_policy p = policy_make(&o);
    struct validator *v = validator_new(shard, 2);
    struct run r = {.request = {.method = CHALLENGE_TLS_ALPN_01,
                                .identifier = {IDENTIFIER_DNS, SLICE_LIT("silent.test")},
                                .token = slice_str(token),
                                .thumbprint = slice_str(thumbprint),
                                .policy = &p,
                                .done = on_done}};
    assert_ok(validate_start(v, &r.request));
    for (int i = 0; i < 30; i++) shard_turn(shard, 2);
    validator_free(v);
    for (int i = 0; i < 50; i++) shard_turn(shard, 2);
    assert_int_equal(r.done, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_are_judged),
        cmocka_unit_test(every_octet_counts),
        cmocka_unit_test(responders_are_judged),
        cmocka_unit_test(addresses_are_proved_under_their_reverse_names),
        cmocka_unit_test(networks_bound_targets),
        cmocka_unit_test(ends_in_the_middle),
    };
    proto_err_register();
    cluster_err_register();
    api_err_register();
    cluster_metrics_declare();
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "test"};
    struct shard_options so = {.count = 1, .io = SHARD_IO_EPOLL, .name = "t"};
    if (failed(log_new(&logger, &lo)) || failed(metrics_new(&metrics, 1))) return 1;
    so.log = logger;
    so.metrics = metrics;
    if (failed(shard_new(&shard, &so, 0))) return 1;
    arena_init(&arena, 64 << 20);
    memcpy(digest, digest_of("").p, sizeof digest);
    cert_rows_make();
    peer_rows_make();
    peer = alpn_peer_start(peer_rows);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    alpn_peer_stop(peer);
    for (int i = 0; i < LAST_TURNS; i++) shard_turn(shard, 5); // its connections linger
    shard_free(shard);
    arena_fini(&arena);
    metrics_free(metrics);
    log_free(logger);
    return failures;
}
