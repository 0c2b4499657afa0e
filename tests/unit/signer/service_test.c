// service: the policy, reason by reason; and the service over mutual TLS on loopback, with a real
// journal: what is answered, what is repeated, what is refused, and what happens when the journal
// fails.
#include "signer/service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/log.h"
#include "cluster/core/metrics.h"
#include "cluster/core/server.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "cluster/rpc/call.h"
#include "proto/der/blocked.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "proto/rpc/signer.pb-c.h"
#include "signer/engine.h"
#include "signer/err.h"
#include "signer/events.h"
#include "signer/pki.h"
#include "signer/wire.h"
#include "tests/support/testca.h"
#include "tests/unit/signer/fixture.h"

#define STATUS(name) CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__##name

enum { SEGMENT = 4 << 20, INDEX = 600, ANSWERS_MAX = 256 };

static struct arena arena;
static struct keystore keys;
static struct signer_settings settings;
static struct profile_settings profile_settings[3];
static struct fixture_profile server_profile, corp_profile, crl_profile;
static struct profiles profiles;
static struct service_options options;
static struct blocked_keys blocked;           // the P-256 key of number 9
static struct address_range corp_networks[2]; // 10.0.0.0/8 and fd00::/8

// ---- a signer's insides

static struct slice p256(unsigned number)
{
    return make_spki(&arena, make_key(KEY_P256, 0, number));
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    fixture_issuer(&keys.issuer, &arena, KEY_P256, 0, 400ll * 86400);
    assert_ok(engine_open(&keys.issuer.engine, keys.issuer.key, keys.issuer.cert.spki,
                          p256_kernel_detect()));
    static uint8_t serial_key[32];
    memset(serial_key, 7, sizeof serial_key);
    keys.serial_key = serial_key;
    keys.serial_generation = 1;
    fixture_profile_init(&server_profile, "server");
    fixture_profile_init(&corp_profile, "corp");
    assert_ok(address_range_parse(&corp_networks[0], SLICE_LIT("10.0.0.0/8")));
    assert_ok(address_range_parse(&corp_networks[1], SLICE_LIT("fd00::/8")));
    corp_profile.names[0] = "corp.example";
    corp_profile.settings.names.count = 1;
    corp_profile.settings.networks = (struct config_list){corp_networks, COUNT_OF(corp_networks)};
    corp_profile.kinds[0] = "P-256";
    corp_profile.settings.key_kinds.count = 1;
    fixture_profile_remake(&corp_profile);
    server_profile.settings.wildcards = true;
    fixture_profile_remake(&server_profile);
    profile_settings[0] = server_profile.settings;
    profile_settings[1] = corp_profile.settings;
    fixture_profile_init(&crl_profile, "crl");
    crl_profile.settings.crl_url = "http://crl.test/crl";
    crl_profile.settings.crl_parts = 3;
    fixture_profile_remake(&crl_profile);
    profile_settings[2] = crl_profile.settings;
    settings = (struct signer_settings){
        .region = 5, .rate_per_s = 100000, .profiles = {profile_settings, 3}};
    assert_ok(profiles_take(&profiles, &settings, FIXTURE_NOW_S));
    static uint8_t digests[1][BLOCKED_DIGEST_LEN];
    struct slice spki = p256(9);
    SHA256(spki.p, spki.n, digests[0]);
    blocked = (struct blocked_keys){(const uint8_t(*)[BLOCKED_DIGEST_LEN])digests, 1};
    options = (struct service_options){.policy = {&settings, &profiles, &keys, &blocked}};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_close(keys.issuer.engine);
    profiles_fini(&profiles);
    arena_fini(&arena);
    return 0;
}

static struct intent good_at(int64_t now_s)
{
    struct intent in = fixture_intent(&arena, &server_profile.profile, &keys.issuer, p256(0), 2,
                                      now_s);
    in.region = 5;
    return in;
}

static struct intent corp_at(int64_t now_s)
{
    struct intent in = fixture_intent(&arena, &corp_profile.profile, &keys.issuer, p256(0), 1,
                                      now_s);
    in.region = 5;
    fixture_names(&in, &arena, "a.corp.example,corp.example");
    return in;
}

static struct intent crl_at(int64_t now_s)
{
    struct intent in = fixture_intent(&arena, &crl_profile.profile, &keys.issuer, p256(0), 2,
                                      now_s);
    in.region = 5;
    return in;
}

// ---- policy

static void profile_unknown(struct intent *in) { in->profile = SLICE_LIT("other"); }
static void profile_case(struct intent *in) { in->profile = SLICE_LIT("Server"); }
static void profile_hash(struct intent *in) { in->profile_hash[31] ^= 1; }
static void template_version(struct intent *in) { in->template_version++; }
static void issuer_id(struct intent *in) { in->issuer = 2; }
static void issuer_hash(struct intent *in) { in->issuer_cert_hash[0] ^= 1; }
static void generation(struct intent *in) { in->serial_key_generation = 2; }
static void region(struct intent *in) { in->region = 4; }
static void key_kind(struct intent *in) { in->spki = make_spki(&arena, make_key(KEY_P384, 0, 0)); }
static void key_small(struct intent *in) { in->spki = make_rsa_spki(&arena, 1024, "010001"); }
static void key_odd(struct intent *in) { in->spki = make_rsa_spki(&arena, 2050, "010001"); }
static void key_huge(struct intent *in) { in->spki = make_rsa_spki(&arena, 8192, "010001"); }
static void key_garbage(struct intent *in) { in->spki = SLICE_LIT("\x30\x00"); }
static void key_of_issuer(struct intent *in) { in->spki = keys.issuer.cert.spki; }
static void key_of_root(struct intent *in) { in->spki = keys.issuer.root_spki; }
static void name_other(struct intent *in) { fixture_names(in, &arena, "a.corp.example,b.example"); }
static void name_ends_alike(struct intent *in) { fixture_names(in, &arena, "evilcorp.example"); }
static void name_above(struct intent *in) { fixture_names(in, &arena, "example"); }
static void name_empty(struct intent *in) { in->names[0].value = SLICE_NONE; }
static void wildcard(struct intent *in) { fixture_names(in, &arena, "*.corp.example"); }
static void wildcard_any(struct intent *in) { fixture_names(in, &arena, "*.internal.test"); }
static void address(struct intent *in)
{
    in->names[0] = (struct identifier){IDENTIFIER_IP, SLICE_LIT("\x7f\0\0\1")};
}
static void last_name(struct intent *in, struct slice octets)
{
    in->names[in->name_count - 1] = (struct identifier){IDENTIFIER_IP, octets};
}
static void address_v4(struct intent *in) { last_name(in, SLICE_LIT("\x0a\1\2\3")); }
static void address_v6(struct intent *in)
{
    last_name(in, SLICE_LIT("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"));
}
static void address_v4_outside(struct intent *in) { last_name(in, SLICE_LIT("\x0b\1\2\3")); }
static void address_v6_outside(struct intent *in)
{
    last_name(in, SLICE_LIT("\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"));
}
static void address_of_5(struct intent *in) { last_name(in, SLICE_LIT("\x0a\1\2\3\4")); }
static void no_names(struct intent *in) { in->name_count = 0; }
static void names_101(struct intent *in)
{
    in->names = ARENA_ARRAY(&arena, struct identifier, 101);
    for (size_t i = 0; i < 101; i++)
        in->names[i] = (struct identifier){IDENTIFIER_DNS, make_text(&arena, "a%03zu.test", i)};
    in->name_count = 101;
}
static void crl_shard(struct intent *in) { in->crl_shard = 1; }
static void shard_part_2(struct intent *in) { in->crl_shard += 2; }
static void shard_part_3(struct intent *in) { in->crl_shard += 3; }
static void shard_none(struct intent *in) { in->crl_shard = 0; }
static void shard_before(struct intent *in) { in->crl_shard -= CRL_PARTS_MAX; }
static void shard_behind(struct intent *in) { in->crl_shard += CRL_PARTS_MAX; }
static void second_more(struct intent *in) { in->not_after++; }
static void year(struct intent *in) { in->not_after += 365 * 86400; }
static void before_it_begins(struct intent *in) { in->not_after = in->not_before - 1; }
static void moved(struct intent *in, int64_t not_before)
{
    in->not_after += not_before - in->not_before;
    in->not_before = not_before;
}
static void back_3600(struct intent *in) { moved(in, FIXTURE_NOW_S - 3600); }
static void back_3601(struct intent *in) { moved(in, FIXTURE_NOW_S - 3601); }
static void ahead_5(struct intent *in) { moved(in, FIXTURE_NOW_S + 5); }
static void ahead_6(struct intent *in) { moved(in, FIXTURE_NOW_S + 6); }
static void in_1969(struct intent *in) { moved(in, -5); }
static void nothing(struct intent *in) { (void)in; }
static void key_rsa(struct intent *in) { in->spki = make_spki(&arena, make_key(KEY_RSA, 4096, 0)); }
static void key_weak(struct intent *in) { in->spki = make_rsa_spki(&arena, 2048, "03"); }
static void key_blocked(struct intent *in) { in->spki = p256(9); }

static const struct {
    const char *what;
    struct intent (*make)(int64_t now_s);
    void (*change)(struct intent *);
    int status;
    const char *want; // in the sentence; NULL: may be signed
} rows[] = {
    {"good", good_at, nothing, 0, NULL},
    {"good, narrow profile", corp_at, nothing, 0, NULL},
    {"good, RSA", good_at, key_rsa, 0, NULL},
    {"an hour back", good_at, back_3600, 0, NULL},
    {"five seconds ahead", good_at, ahead_5, 0, NULL},
    {"unknown profile", good_at, profile_unknown, STATUS(MISMATCH), "no such profile"},
    {"profile in capitals", good_at, profile_case, STATUS(MISMATCH), "no such profile"},
    {"another profile hash", good_at, profile_hash, STATUS(MISMATCH), "another version"},
    {"another template", good_at, template_version, STATUS(MISMATCH), "another version"},
    {"another issuer", good_at, issuer_id, STATUS(MISMATCH), "the issuer is another"},
    {"another issuer certificate", good_at, issuer_hash, STATUS(MISMATCH), "the issuer is another"},
    {"another serial key", good_at, generation, STATUS(MISMATCH), "another generation"},
    {"another region", good_at, region, STATUS(MISMATCH), "the region is another"},
    {"key kind", corp_at, key_kind, STATUS(REFUSED), "not of a kind"},
    {"RSA 1024", good_at, key_small, STATUS(REFUSED), "not of a kind"},
    {"RSA 2050", good_at, key_odd, STATUS(REFUSED), "not of a kind"},
    {"RSA 8192", good_at, key_huge, STATUS(REFUSED), "not of a kind"},
    {"no key", good_at, key_garbage, STATUS(REFUSED), "not of a kind"},
    {"a weak key", good_at, key_weak, STATUS(REFUSED), "its public exponent is smaller"},
    {"a blocked key", good_at, key_blocked, STATUS(REFUSED), "on this signer's list"},
    {"the issuing CA's key", good_at, key_of_issuer, STATUS(REFUSED), "a key of this CA"},
    {"the root's key", good_at, key_of_root, STATUS(REFUSED), "a key of this CA"},
    {"one name outside", corp_at, name_other, STATUS(REFUSED), "a name is outside"},
    {"a name that ends alike", corp_at, name_ends_alike, STATUS(REFUSED), "a name is outside"},
    {"a name above", corp_at, name_above, STATUS(REFUSED), "a name is outside"},
    {"an empty name", corp_at, name_empty, STATUS(REFUSED), "a name is outside"},
    {"a wildcard", corp_at, wildcard, STATUS(REFUSED), "a name is outside"},
    {"a wildcard where the profile has them", good_at, wildcard_any, 0, NULL},
    {"an address", good_at, address, STATUS(REFUSED), "a name is outside"},
    {"an address of the profile's", corp_at, address_v4, 0, NULL},
    {"an IPv6 address of the profile's", corp_at, address_v6, 0, NULL},
    {"an address outside", corp_at, address_v4_outside, STATUS(REFUSED), "a name is outside"},
    {"an IPv6 address outside", corp_at, address_v6_outside, STATUS(REFUSED), "a name is outside"},
    {"an address of five octets", corp_at, address_of_5, STATUS(REFUSED), "a name is outside"},
    {"no names", good_at, no_names, STATUS(REFUSED), "1 to 100 names"},
    {"101 names", good_at, names_101, STATUS(REFUSED), "1 to 100 names"},
    {"a CRL shard", good_at, crl_shard, STATUS(REFUSED), "no CRL shards"},
    {"good, with a CRL", crl_at, nothing, 0, NULL},
    {"the last part of the hour", crl_at, shard_part_2, 0, NULL},
    {"a part that is none", crl_at, shard_part_3, STATUS(REFUSED), "CRL shard"},
    {"no shard", crl_at, shard_none, STATUS(REFUSED), "CRL shard"},
    {"the shard of the hour before", crl_at, shard_before, STATUS(REFUSED), "CRL shard"},
    {"the shard of the next hour", crl_at, shard_behind, STATUS(REFUSED), "CRL shard"},
    {"a second more", good_at, second_more, STATUS(REFUSED), "validity is longer than the"},
    {"a year more", good_at, year, STATUS(REFUSED), "validity is longer than the profile's"},
    {"an end before the beginning", good_at, before_it_begins, STATUS(REFUSED), "end before it"},
    {"an hour and a second back", good_at, back_3601, STATUS(REFUSED), "more than an hour behind"},
    {"six seconds ahead", good_at, ahead_6, STATUS(BUSY), "five seconds ahead"},
    {"before 1970", good_at, in_1969, STATUS(REFUSED), "issuer's life"},
};

static const char *asking = "urn:certmill:role:acme"; // the role of who asks

static const char *judged(const struct intent *in, int64_t now_s, int *status)
{
    const struct profile *p;
    *status = -1;
    const char *said = policy_judge(&options.policy, asking, in, now_s, &p, status);
    if (said == NULL) assert_slice_str(in->profile, p->settings->name);
    return said;
}

static void refuses_for_each_reason(void **state)
{
    (void)state;
    size_t missed = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct intent in = rows[i].make(FIXTURE_NOW_S);
        int status;
        rows[i].change(&in);
        const char *got = judged(&in, FIXTURE_NOW_S, &status);
        bool right = rows[i].want == NULL ? got == NULL
                                          : got != NULL && strstr(got, rows[i].want) != NULL &&
                                                status == rows[i].status;
        if (!right) print_error("%s: %d \"%s\"\n", rows[i].what, status, got == NULL ? "" : got);
        missed += !right;
    }
    assert_int_equal(missed, 0);
}

static void never_outlives_the_issuer(void **state)
{
    (void)state;
    int status;
    int64_t last = keys.issuer.cert.not_after - FIXTURE_VALIDITY_S + 1;
    struct intent in = good_at(last + 60); // not_before is `last`: both end together
    assert_int_equal(in.not_after, keys.issuer.cert.not_after);
    assert_null(judged(&in, last, &status));
    in = good_at(last + 61);
    assert_non_null(strstr(judged(&in, last, &status), "issuer's life"));
    assert_int_equal(status, STATUS(REFUSED));
}

// Who may ask for what: groups of front ends, by their certificates.
static void bounds_each_caller(void **state)
{
    static const char *server_only[] = {"server"}, *corp[] = {"corp.example"};
    static const struct caller_settings callers[] = {
        {.name = "eu", .profiles = {server_only, 1}, .rate_per_s = 10},
        {.name = "default", .names = {corp, 1}, .rate_per_s = 10},
        {.name = "any", .rate_per_s = 10},
        {.name = "ten", .names = {corp, 1}, .networks = {corp_networks, 1}, .rate_per_s = 10}};
    static const struct {
        const char *role, *want; // NULL: may be signed
        bool corp;
        void (*change)(struct intent *);
    } cases[] = {
        {"urn:certmill:role:acme:any", NULL, true, address_v6},
        {"urn:certmill:role:acme:ten", NULL, true, address_v4},
        {"urn:certmill:role:acme:ten", "outside what this caller may ask for", true, address_v6},
        {"urn:certmill:role:acme", "outside what this caller may ask for", true, address_v4},
        {"urn:certmill:role:acme:eu", NULL, false, nothing},
        {"urn:certmill:role:acme:eu", "may not use the profile", true, nothing},
        {"urn:certmill:role:acme", "outside what this caller may ask for", false, nothing},
        {"urn:certmill:role:acme", NULL, true, nothing},
        {"urn:certmill:role:acme:us", "not among `callers`", true, nothing},
        {"urn:certmill:role:acme:EU", "not among `callers`", false, nothing},
        {"urn:certmill:role:acme:", "not among `callers`", false, nothing},
    };
    (void)state;
    settings.callers = (struct config_list){(void *)(uintptr_t)callers, COUNT_OF(callers)};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct intent in = cases[i].corp ? corp_at(FIXTURE_NOW_S) : good_at(FIXTURE_NOW_S);
        int status;
        cases[i].change(&in);
        asking = cases[i].role;
        const char *got = judged(&in, FIXTURE_NOW_S, &status);
        bool right = cases[i].want == NULL ? got == NULL
                                           : got != NULL && strstr(got, cases[i].want) != NULL &&
                                                 status == STATUS(MISMATCH);
        if (!right) fail_msg("case %zu: %d \"%s\"", i, status, got == NULL ? "" : got);
    }
    asking = "urn:certmill:role:acme";
}

static void stays_within_the_issuers_constraints(void **state)
{
    (void)state;
    int status;
    struct cert_extension one = {
        OID_NAME_CONSTRAINTS, true,
        make_hex(&arena, "3012 a010 300e 820c 636f72702e6578616d706c65")}; // corp.example
    struct intent in = corp_at(FIXTURE_NOW_S), other = good_at(FIXTURE_NOW_S);
    keys.issuer.cert.extensions = &one;
    keys.issuer.cert.extension_count = 1;
    assert_null(judged(&in, FIXTURE_NOW_S, &status));
    assert_non_null(strstr(judged(&other, FIXTURE_NOW_S, &status), "certificate permits"));
    assert_int_equal(status, STATUS(REFUSED));
}

static void keeps_old_profiles_for_an_hour(void **state)
{
    (void)state;
    int status;
    size_t count;
    const int64_t changed = FIXTURE_NOW_S + 1000;
    struct intent old = good_at(changed + 3600), removed = corp_at(changed + 3600);
    struct profile_settings fresh = server_profile.settings;
    struct signer_settings changed_settings = settings;
    fresh.validity_ms = 7200000;
    changed_settings.profiles = (struct config_list){&fresh, 1};
    assert_ok(profiles_take(&profiles, &changed_settings, changed));
    assert_int_equal(profiles_current(&profiles, &count)->settings->validity_ms, 7200000);
    assert_int_equal(count, 1);
    struct intent now = good_at(changed);
    assert_null(judged(&now, changed, &status));
    assert_null(judged(&old, changed + PROFILES_KEPT_S, &status));
    assert_null(judged(&removed, changed + PROFILES_KEPT_S, &status));
    assert_non_null(
        strstr(judged(&old, changed + PROFILES_KEPT_S + 1, &status), "another version"));
    assert_int_equal(status, STATUS(MISMATCH));
    assert_non_null(
        strstr(judged(&removed, changed + PROFILES_KEPT_S + 1, &status), "no such profile"));
    // Reading the same again changes nothing; so many changes in an hour are refused.
    for (int i = 0; i < 100; i++) assert_ok(profiles_take(&profiles, &changed_settings, changed));
    assert_int_equal(profiles.count, 2);
    struct err e = OK;
    for (int i = 1; !failed(e); i++) {
        fresh.validity_ms = 7200000 + 1000 * i;
        e = profiles_take(&profiles, &changed_settings, changed);
    }
    assert_err(e, ERR_POOL_FULL);
    assert_int_equal(profiles.count, PROFILES_GENERATIONS_MAX);
    assert_ok(profiles_take(&profiles, &changed_settings, changed + PROFILES_KEPT_S + 1));
    assert_int_equal(profiles.count, 2);
}

// ---- over the wire

struct answer {
    int status;
    struct slice order, hash, serial, certificate;
    char text[160];
    bool repeated;
};

static struct {
    struct log *log;
    struct metrics *metrics;
    struct shard *shard;
    struct service *service;
    struct server *server;
    struct tls_context *server_tls, *client_tls;
    struct testca_pair root, leaf, caller;
    struct rpc_channel *channel;
    struct journal journal;
    char *folder;
    int stopped;
    FILE *lines;
    // the call at hand
    struct rpc_call call;
    bool done, burn;
    enum rpc_status status;
    char text[256];
    struct answer answers[ANSWERS_MAX];
    size_t count;
} rig;

static void on_stopped(void *ctx)
{
    (void)ctx;
    rig.stopped++;
}

static void tls_make(struct tls_context **out, bool server, const struct testca_pair *pair)
{
    char note[256] = "";
    struct tls_options o = {.chain_pem = slice_str(pair->cert_pem),
                            .key_pem = slice_str(pair->key_pem),
                            .trust_pem = slice_str(rig.root.cert_pem),
                            .peer_required = server,
                            .peer_role = server ? NULL : "urn:certmill:role:signer",
                            .peer_name_ignored = true,
                            .alpn_h2 = true};
    struct err e = tls_context_new(out, note, sizeof note, server, &o);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
}

static void server_start(void)
{
    char note[256] = "";
    struct server_options o = {.name = "rpc",
                               .tls = rig.server_tls,
                               .plain_version = HTTP_2,
                               .http = {.head_size_max = 16384,
                                        .body_size_max = (1 << 20) + 16,
                                        .header_count_max = 64,
                                        .streams_max = 64,
                                        .abuse_max = 1000,
                                        .out_size_max = 16 << 20},
                               .conns_max = 16,
                               .handshake_ms = 5000,
                               .head_ms = 5000,
                               .body_ms = 5000,
                               .idle_ms = 60000,
                               .write_ms = 5000,
                               .request_ms = 20000};
    struct sockaddr_in *in = (struct sockaddr_in *)&o.listen;
    *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    o.listen_len = sizeof *in;
    struct err e = server_new(&rig.server, note, sizeof note, rig.shard, &o, rpc_service_handler(),
                              service_rpc(rig.service));
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
}

static void channel_start(const char *role)
{
    struct rpc_target target = {.text = "signer"};
    struct sockaddr_in *in = (struct sockaddr_in *)&target.address;
    *in = (struct sockaddr_in){.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)server_port(rig.server)),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    target.address_len = sizeof *in;
    rig.caller = testca_leaf(&rig.root,
                             &(struct testca_options){.common_name = "caller", .uri = role});
    tls_make(&rig.client_tls, false, &rig.caller);
    struct rpc_channel_options o = {.targets = &target,
                                    .target_count = 1,
                                    .tls = rig.client_tls,
                                    .service = "signer",
                                    .response_size_max = 16 << 20,
                                    .connect_ms = 5000,
                                    .backoff_ms_max = 100};
    rig.channel = rpc_channel_new(rig.shard, &o);
    assert_non_null(rig.channel);
}

static void channel_stop(void)
{
    rpc_channel_free(rig.channel);
    for (int i = 0; i < 5; i++) shard_turn(rig.shard, 1);
    tls_context_free(rig.client_tls);
    testca_free(&rig.caller);
}

static int rig_setup(void **state)
{
    char note[JOURNAL_NOTE_MAX] = "";
    setup(state);
    rig.lines = tmpfile();
    rig.stopped = 0;
    assert_non_null(rig.lines);
    struct log_options lo = {.level = LOG_INFO, .fd = fileno(rig.lines), .program = "test"};
    assert_ok(log_new(&rig.log, &lo));
    assert_ok(metrics_new(&rig.metrics, 1));
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .metrics = rig.metrics, .log = rig.log, .name = "test"};
    assert_ok(shard_new(&rig.shard, &so, 0));
    rig.folder = fixture_folder();
    struct journal_options jo = {.path = rig.folder, .segment_size = SEGMENT, .index_max = INDEX};
    assert_ok(journal_open(&rig.journal, note, &jo, shard_wall_s(rig.shard)));
    // The fixtures' CA lives at FIXTURE_NOW_S; the service has the machine's clock.
    int64_t shift = shard_wall_s(rig.shard) - FIXTURE_NOW_S;
    keys.issuer.cert.not_before += shift;
    keys.issuer.cert.not_after += shift;
    options.journal = &rig.journal;
    options.stopped = on_stopped;
    rig.service = service_new(rig.shard, &options);
    assert_non_null(rig.service);
    rig.root = testca_root("Internal Root");
    rig.leaf = testca_leaf(&rig.root, &(struct testca_options){.common_name = "signer",
                                                               .uri = "urn:certmill:role:signer"});
    tls_make(&rig.server_tls, true, &rig.leaf);
    server_start();
    channel_start("urn:certmill:role:acme");
    return 0;
}

static int rig_teardown(void **state)
{
    channel_stop();
    server_free(rig.server);
    for (int i = 0; i < 5; i++) shard_turn(rig.shard, 1);
    service_free(rig.service);
    journal_close(&rig.journal);
    shard_free(rig.shard);
    tls_context_free(rig.server_tls);
    testca_free(&rig.root);
    testca_free(&rig.leaf);
    metrics_free(rig.metrics);
    log_free(rig.log);
    fclose(rig.lines);
    fixture_folder_remove(rig.folder);
    return teardown(state);
}

static struct slice copied(ProtobufCBinaryData d)
{
    struct slice out;
    assert_ok(arena_dup(&out, &arena, slice_of(d.data, d.len)));
    return out;
}

static void answer_take(const Certmill__Signer__V1__SignResult *r)
{
    struct answer *a = &rig.answers[rig.count++];
    *a = (struct answer){.status = (int)r->status,
                         .order = copied(r->order),
                         .hash = copied(r->intent_hash),
                         .serial = copied(r->serial),
                         .certificate = copied(r->certificate),
                         .repeated = r->repeated_answer};
    snprintf(a->text, sizeof a->text, "%s", r->text);
}

static void on_done(struct rpc_call *call, enum rpc_status status, const ProtobufCMessage *response,
                    const char *text, bool unsent)
{
    (void)call;
    (void)unsent;
    rig.done = true;
    rig.status = status;
    snprintf(rig.text, sizeof rig.text, "%s", text == NULL ? "" : text);
    if (response == NULL) return;
    if (rig.burn) {
        answer_take(((const Certmill__Signer__V1__BurnResponse *)response)->result);
        return;
    }
    const Certmill__Signer__V1__SignResponse *m = (const Certmill__Signer__V1__SignResponse *)
        response;
    for (size_t i = 0; i < m->n_results; i++) answer_take(m->results[i]);
}

static enum rpc_status called(const char *path, const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *response, bool burn)
{
    rig.done = false;
    rig.burn = burn;
    rig.count = 0;
    rig.call = (struct rpc_call){.done = on_done};
    assert_ok(
        rpc_call_start(rig.channel, &rig.call, path, request, response, 20000, RPC_ANY_TARGET));
    for (int i = 0; i < 20000 && !rig.done; i++) shard_turn(rig.shard, 5);
    assert_true(rig.done);
    return rig.status;
}

static enum rpc_status sent(Certmill__Signer__V1__Intent **intents, size_t count)
{
    Certmill__Signer__V1__SignRequest m = CERTMILL__SIGNER__V1__SIGN_REQUEST__INIT;
    m.intents = intents;
    m.n_intents = count;
    return called("/certmill.signer.v1.Signer/Sign", &m.base,
                  &certmill__signer__v1__sign_response__descriptor, false);
}

static Certmill__Signer__V1__Intent *wired(const struct intent *in)
{
    Certmill__Signer__V1__Intent *m = ARENA_NEW(&arena, Certmill__Signer__V1__Intent);
    struct intent *copy = ARENA_NEW(&arena, struct intent); // the message borrows
    assert_ok(intent_copy(copy, &arena, in));
    assert_ok(wire_intent_write(m, &arena, copy));
    return m;
}

static const struct answer *signed_one(const struct intent *in)
{
    Certmill__Signer__V1__Intent *one[1] = {wired(in)};
    assert_int_equal(sent(one, 1), RPC_OK);
    assert_int_equal(rig.count, 1);
    return &rig.answers[0];
}

static const struct answer *burned_one(const struct intent *in)
{
    Certmill__Signer__V1__BurnRequest m = CERTMILL__SIGNER__V1__BURN_REQUEST__INIT;
    m.intent = wired(in);
    assert_int_equal(called("/certmill.signer.v1.Signer/Burn", &m.base,
                            &certmill__signer__v1__burn_response__descriptor, true),
                     RPC_OK);
    return &rig.answers[0];
}

static struct intent good_now(uint8_t order)
{
    struct intent in = good_at(shard_wall_s(rig.shard));
    in.order.b[15] = order;
    return in;
}

struct records {
    unsigned signed_, burned;
    struct slice last;
};

static void on_record(void *ctx, uint64_t position, const struct journal_record *r)
{
    struct records *s = ctx;
    (void)position;
    s->signed_ += r->kind == JOURNAL_SIGNED;
    s->burned += r->kind == JOURNAL_BURNED;
    assert_true(slice_starts(r->caller, SLICE_LIT("urn:certmill:role:acme")));
    assert_ok(arena_dup(&s->last, &arena, r->certificate));
}

static struct records recorded(void)
{
    char note[JOURNAL_NOTE_MAX] = "";
    struct records r = {0};
    assert_ok(journal_each(rig.folder, note, on_record, &r));
    return r;
}

static unsigned logged(const char *what)
{
    static char lines[1 << 16];
    unsigned count = 0;
    log_flush(rig.log);
    ssize_t n = pread(fileno(rig.lines), lines, sizeof lines - 1, 0);
    lines[n < 0 ? 0 : n] = 0;
    for (const char *p = lines; (p = strstr(p, what)) != NULL; p++) count++;
    return count;
}

static void signs_and_repeats_itself(void **state)
{
    (void)state;
    struct intent in = good_now(1);
    uint8_t hash[HASH_LEN], serial[SERIAL_LEN];
    struct cert c;
    const char *note = "";
    const struct answer *a = signed_one(&in);
    assert_string_equal(a->text, "");
    assert_int_equal(a->status, STATUS(SIGNED));
    assert_false(a->repeated);
    intent_hash(hash, &in);
    assert_slice(a->hash, slice_of(hash, HASH_LEN));
    assert_slice(a->order, slice_of(in.order.b, 16));
    assert_ok(cert_parse(&c, &note, &arena, a->certificate));
    assert_ok(cert_verify_signed_by(&c, keys.issuer.cert.spki));
    assert_slice(c.serial, a->serial);
    assert_slice(c.spki, in.spki);
    assert_int_equal(c.not_before, in.not_before);
    memcpy(serial, a->serial.p, SERIAL_LEN);
    struct slice first = a->certificate;
    assert_int_equal(recorded().signed_, 1);
    assert_slice(recorded().last, first);
    // Again, from another node: the same bytes, and nothing more in the journal.
    memset(in.owner_node.b, 9, 16);
    in.owner_boot = 99;
    a = signed_one(&in);
    assert_int_equal(a->status, STATUS(SIGNED));
    assert_true(a->repeated);
    assert_slice(a->certificate, first);
    assert_slice(a->serial, slice_of(serial, SERIAL_LEN));
    assert_int_equal(recorded().signed_, 1);
    assert_int_equal(metric_total(rig.metrics, &METRIC_SIGNER_SIGNED), 1);
    assert_int_equal(metric_total(rig.metrics, &METRIC_SIGNER_ANSWER_REPEATED), 1);
}

// Of one batch each certificate is signed by the issuing CA that its intent names, if that is one
// of the profile's.
static void signs_by_the_issuer_that_is_named(void **state)
{
    (void)state;
    static struct issuer_settings both[2] = {{1, 1}, {2, 0}}; // 2 is drained: still signed
    struct issuer *second = &keys.further[0];
    fixture_issuer(second, &arena, KEY_P384, 0, 400ll * 86400);
    second->id = 2;
    second->cert.not_before += shard_wall_s(rig.shard) - FIXTURE_NOW_S;
    second->cert.not_after += shard_wall_s(rig.shard) - FIXTURE_NOW_S;
    keys.further_count = 1;
    struct intent in = good_now(1), other = good_now(2);
    other.issuer = 2;
    memcpy(other.issuer_cert_hash, second->certificate_hash, HASH_LEN);
    const struct answer *a = signed_one(&other);
    assert_int_equal(a->status, STATUS(MISMATCH)); // not one of the profile's
    struct config_list before = profile_settings[0].issuers;
    profile_settings[0].issuers = (struct config_list){both, 2};
    struct profile with;
    profile_make(&with, &profile_settings[0]);
    assert_memory_not_equal(with.hash, server_profile.profile.hash, HASH_LEN);
    assert_ok(profiles_take(&profiles, &settings, shard_wall_s(rig.shard)));
    memcpy(in.profile_hash, with.hash, HASH_LEN);
    memcpy(other.profile_hash, with.hash, HASH_LEN);
    struct cert c;
    const char *note = "";
    const struct intent *ins[2] = {&in, &other};
    for (size_t i = 0; i < 2; i++) {
        a = signed_one(ins[i]);
        assert_string_equal(a->text, "");
        assert_ok(cert_parse(&c, &note, &arena, a->certificate));
        const struct issuer *issuer = i == 0 ? &keys.issuer : second;
        assert_ok(cert_verify_signed_by(&c, issuer->cert.spki));
        assert_slice(c.aki, issuer->cert.ski);
        assert_int_equal(a->serial.p[3] << 2 | a->serial.p[4] >> 6, issuer->id);
    }
    other.issuer = 3;
    other.order.b[15] = 3;
    assert_int_equal(signed_one(&other)->status, STATUS(MISMATCH));
    // Another weight is another offer, and the same profile to intents.
    both[1].weight = 5;
    profile_make(&with, &profile_settings[0]);
    assert_memory_equal(with.hash, in.profile_hash, HASH_LEN);
    size_t generations = profiles.count;
    assert_ok(profiles_take(&profiles, &settings, shard_wall_s(rig.shard)));
    assert_int_equal(profiles.count, generations + 1);
    profile_settings[0].issuers = before;
    keys.further_count = 0;
}

static void answers_each_of_a_batch(void **state)
{
    (void)state;
    struct intent a = good_now(1), b = good_now(2), c = good_now(3), d = good_now(1);
    c.not_after++;
    d.salt[0] ^= 1; // the order of `a` with another content
    Certmill__Signer__V1__Intent *all[6] = {wired(&a), wired(&b), wired(&c),
                                            wired(&a), wired(&d), wired(&b)};
    all[5]->hash.len = 31;
    assert_int_equal(sent(all, 6), RPC_OK);
    assert_int_equal(rig.count, 6);
    static const int want[] = {STATUS(SIGNED), STATUS(SIGNED),   STATUS(REFUSED),
                               STATUS(SIGNED), STATUS(CONFLICT), STATUS(BAD_INTENT)};
    for (size_t i = 0; i < 6; i++) assert_int_equal(rig.answers[i].status, want[i]);
    assert_slice(rig.answers[3].certificate, rig.answers[0].certificate);
    assert_true(rig.answers[3].repeated && !rig.answers[0].repeated);
    for (size_t i = 0; i < 6; i++)
        if (want[i] != STATUS(SIGNED)) {
            assert_int_equal(rig.answers[i].certificate.n, 0);
            assert_true(strlen(rig.answers[i].text) > 10);
        }
    assert_int_equal(recorded().signed_, 2);
    assert_int_equal(logged("signer.conflict"), 1);
}

// Calls of one turn are one batch, whoever they are from: the same intent in two of them is signed
// once, and another content of an order is refused in the later one.
static void takes_the_calls_of_a_turn_together(void **state)
{
    (void)state;
    enum { CALLS = 4, EACH = 3 };
    struct rpc_call calls[CALLS];
    unsigned done = 0;
    rig.burn = false;
    rig.count = 0;
    for (unsigned k = 0; k < CALLS; k++) {
        struct intent in[EACH] = {good_now(1), good_now(10 + k), good_now(20 + k / 2)};
        if (k == 3) in[2].salt[0] ^= 1; // the order of call 2 with another content
        Certmill__Signer__V1__Intent *all[EACH] = {wired(&in[0]), wired(&in[1]), wired(&in[2])};
        Certmill__Signer__V1__SignRequest m = CERTMILL__SIGNER__V1__SIGN_REQUEST__INIT;
        m.intents = all;
        m.n_intents = EACH;
        calls[k] = (struct rpc_call){.done = on_done};
        assert_ok(rpc_call_start(rig.channel, &calls[k], "/certmill.signer.v1.Signer/Sign", &m.base,
                                 &certmill__signer__v1__sign_response__descriptor, 20000,
                                 RPC_ANY_TARGET));
    }
    for (int i = 0; i < 4000 && rig.count < CALLS * EACH; i++) shard_turn(rig.shard, 5);
    assert_int_equal(rig.count, CALLS * EACH);
    assert_int_equal(metric_total(rig.metrics, &METRIC_SIGNER_BATCHES), 1);
    for (unsigned i = 0; i < CALLS * EACH; i++) {
        const struct answer *a = &rig.answers[i];
        bool conflict = i == CALLS * EACH - 1;
        assert_int_equal(a->status, conflict ? STATUS(CONFLICT) : STATUS(SIGNED));
        assert_int_equal(a->repeated, !conflict && i > 0 && (i % EACH == 0 || i == EACH + 2));
        if (a->repeated)
            assert_slice(a->certificate, rig.answers[i % EACH == 0 ? 0 : 2].certificate);
        done += a->status == STATUS(SIGNED) && !a->repeated;
    }
    assert_int_equal(recorded().signed_, done);
    assert_int_equal(done, 7);
    assert_int_equal(logged("signer.conflict"), 1);
}

static void alarms_when_an_order_comes_with_another_content(void **state)
{
    (void)state;
    struct intent in = good_now(1);
    assert_int_equal(signed_one(&in)->status, STATUS(SIGNED));
    assert_int_equal(logged("signer.conflict"), 0);
    in.spki = p256(1);
    const struct answer *a = signed_one(&in);
    assert_int_equal(a->status, STATUS(CONFLICT));
    assert_int_equal(a->certificate.n, 0);
    assert_int_equal(logged("signer.conflict"), 1);
    a = burned_one(&in);
    assert_int_equal(a->status, STATUS(CONFLICT));
    assert_int_equal(recorded().signed_, 1);
    assert_int_equal(recorded().burned, 0);
}

static void burns(void **state)
{
    (void)state;
    struct intent in = good_now(1), other = good_now(2);
    const struct answer *a = burned_one(&in);
    assert_int_equal(a->status, STATUS(BURNED));
    assert_int_equal(a->serial.n, SERIAL_LEN);
    struct slice serial = a->serial;
    a = signed_one(&in);
    assert_int_equal(a->status, STATUS(BURNED));
    assert_int_equal(a->certificate.n, 0);
    assert_slice(a->serial, serial);
    assert_true(a->repeated);
    assert_int_equal(burned_one(&in)->status, STATUS(BURNED));
    assert_int_equal(recorded().burned, 1);
    assert_int_equal(recorded().signed_, 0);
    // Signed first: the same serial is burned, and the certificate does not come any more.
    serial = signed_one(&other)->serial;
    a = burned_one(&other);
    assert_int_equal(a->status, STATUS(BURNED));
    assert_slice(a->serial, serial);
    assert_int_equal(a->certificate.n, 0);
    assert_int_equal(recorded().burned, 2);
    assert_int_equal(signed_one(&other)->status, STATUS(BURNED));
}

static void keeps_its_memory_over_a_restart(void **state)
{
    (void)state;
    char note[JOURNAL_NOTE_MAX] = "";
    struct intent in = good_now(1), burned = good_now(2);
    struct slice der = signed_one(&in)->certificate;
    burned_one(&burned);
    journal_close(&rig.journal);
    struct journal_options jo = {.path = rig.folder, .segment_size = SEGMENT, .index_max = INDEX};
    assert_ok(journal_open(&rig.journal, note, &jo, shard_wall_s(rig.shard)));
    const struct answer *a = signed_one(&in);
    assert_int_equal(a->status, STATUS(SIGNED));
    assert_slice(a->certificate, der);
    assert_int_equal(signed_one(&burned)->status, STATUS(BURNED));
    in.salt[3]++;
    assert_int_equal(signed_one(&in)->status, STATUS(CONFLICT));
}

// A signer that never saw the order, as another of the pool or this one after the loss of its disk,
// signs the same octets.
static void signs_the_same_without_its_memory(void **state)
{
    (void)state;
    char note[JOURNAL_NOTE_MAX] = "";
    struct intent in[3] = {good_now(1), good_now(2), good_now(3)};
    Certmill__Signer__V1__Intent *all[3] = {wired(&in[0]), wired(&in[1]), wired(&in[2])};
    struct slice first[3];
    assert_int_equal(sent(all, 3), RPC_OK);
    for (size_t i = 0; i < 3; i++) first[i] = rig.answers[i].certificate;
    journal_close(&rig.journal);
    fixture_folder_remove(rig.folder);
    rig.folder = fixture_folder();
    struct journal_options jo = {.path = rig.folder, .segment_size = SEGMENT, .index_max = INDEX};
    assert_ok(journal_open(&rig.journal, note, &jo, shard_wall_s(rig.shard)));
    for (size_t i = 3; i-- > 0;) { // alone, and in another order
        const struct answer *a = signed_one(&in[i]);
        assert_int_equal(a->status, STATUS(SIGNED));
        assert_false(a->repeated);
        assert_slice(a->certificate, first[i]);
    }
    assert_int_equal(recorded().signed_, 3);
}

// ---- what is malformed

static void hash_wrong(Certmill__Signer__V1__Intent *m) { m->hash.data[0] ^= 1; }
static void hash_missing(Certmill__Signer__V1__Intent *m) { m->hash.len = 0; }
static void order_short(Certmill__Signer__V1__Intent *m) { m->order.len = 15; }
static void salt_short(Certmill__Signer__V1__Intent *m) { m->salt.len = 15; }
static void not_after_other(Certmill__Signer__V1__Intent *m) { m->not_after++; }
static void profile_renamed(Certmill__Signer__V1__Intent *m)
{
    static char name[] = "corp";
    m->profile = name;
}
static void issuer_beyond(Certmill__Signer__V1__Intent *m) { m->issuer = 65537; }
static void region_beyond(Certmill__Signer__V1__Intent *m) { m->region = 256 + 5; }
static void spki_long(Certmill__Signer__V1__Intent *m)
{
    static uint8_t many[2049];
    m->spki = (ProtobufCBinaryData){sizeof many, many};
}
static void tenant_long(Certmill__Signer__V1__Intent *m)
{
    static char text[257];
    memset(text, 'a', 256);
    m->tenant = text;
}
static void names_none(Certmill__Signer__V1__Intent *m) { m->n_names = 0; }
static void names_swapped(Certmill__Signer__V1__Intent *m)
{
    Certmill__Signer__V1__Identifier *first = m->names[0];
    m->names[0] = m->names[1];
    m->names[1] = first;
}
static void names_twice(Certmill__Signer__V1__Intent *m) { m->names[1] = m->names[0]; }
static void name_capital(Certmill__Signer__V1__Intent *m)
{
    static uint8_t name[] = "A.internal.test";
    m->names[0]->value = (ProtobufCBinaryData){sizeof name - 1, name};
}
static void name_wildcard(Certmill__Signer__V1__Intent *m)
{
    static uint8_t name[] = "a.*.internal.test";
    m->names[0]->value = (ProtobufCBinaryData){sizeof name - 1, name};
}
static void name_nul(Certmill__Signer__V1__Intent *m)
{
    static uint8_t name[] = "a\0.internal.test";
    m->names[0]->value = (ProtobufCBinaryData){sizeof name - 1, name};
}
static void name_type(Certmill__Signer__V1__Intent *m)
{
    static uint8_t octets[5] = {10, 0, 0, 1, 1};
    m->names[m->n_names - 1]->type = 2;
    m->names[m->n_names - 1]->value = (ProtobufCBinaryData){sizeof octets, octets};
}
static void name_type_other(Certmill__Signer__V1__Intent *m) { m->names[0]->type = 3; }
static void evidence(Certmill__Signer__V1__Intent *m)
{
    static uint8_t jws[] = "{}";
    m->finalize_jws = (ProtobufCBinaryData){2, jws};
}
static void receipts(Certmill__Signer__V1__Intent *m)
{
    static ProtobufCBinaryData one[1] = {{0, NULL}};
    m->receipts = one;
    m->n_receipts = 1;
}

static const struct {
    const char *what;
    void (*change)(Certmill__Signer__V1__Intent *);
    int status;
    const char *want;
} malformed[] = {
    {"another hash", hash_wrong, STATUS(BAD_INTENT), "hash does not fit"},
    {"no hash", hash_missing, STATUS(BAD_INTENT), "wrong length"},
    {"a short order id", order_short, STATUS(BAD_INTENT), "not 16 octets"},
    {"a short salt", salt_short, STATUS(BAD_INTENT), "wrong length"},
    {"another end than hashed", not_after_other, STATUS(BAD_INTENT), "hash does not fit"},
    {"another profile than hashed", profile_renamed, STATUS(BAD_INTENT), "hash does not fit"},
    {"an issuer beyond 10 bits", issuer_beyond, STATUS(BAD_INTENT), "out of range"},
    {"a region beyond 6 bits", region_beyond, STATUS(BAD_INTENT), "out of range"},
    {"a key of 2049 octets", spki_long, STATUS(BAD_INTENT), "out of range"},
    {"a tenant of 256 octets", tenant_long, STATUS(BAD_INTENT), "too long"},
    {"no names", names_none, STATUS(REFUSED), "no names or too many"},
    {"names not sorted", names_swapped, STATUS(REFUSED), "not sorted"},
    {"a name twice", names_twice, STATUS(REFUSED), "there twice"},
    {"a capital letter", name_capital, STATUS(REFUSED), "canonical"},
    {"a wildcard in the middle", name_wildcard, STATUS(REFUSED), "canonical"},
    {"a NUL in a name", name_nul, STATUS(REFUSED), "canonical"},
    {"an address of five octets", name_type, STATUS(REFUSED), "not 4 or 16 octets"},
    {"another type of name", name_type_other, STATUS(REFUSED), "neither a DNS name nor an address"},
    {"a finalize JWS", evidence, STATUS(REFUSED), "does not understand"},
    {"a receipt", receipts, STATUS(REFUSED), "does not understand"},
};

static void refuses_malformed_intents(void **state)
{
    (void)state;
    size_t missed = 0;
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        struct intent in = good_now((uint8_t)i);
        Certmill__Signer__V1__Intent *one[1] = {wired(&in)};
        malformed[i].change(one[0]);
        assert_int_equal(sent(one, 1), RPC_OK);
        const struct answer *a = &rig.answers[0];
        bool right = a->status == malformed[i].status &&
                     strstr(a->text, malformed[i].want) != NULL && a->certificate.n == 0 &&
                     a->serial.n == 0;
        if (!right) print_error("%s: %d \"%s\"\n", malformed[i].what, a->status, a->text);
        missed += !right;
    }
    assert_int_equal(missed, 0);
    assert_int_equal(recorded().signed_, 0);
    struct intent in = good_now(1);    // and a burn takes no other care
    in.tenant = SLICE_LIT("\xc3\xa4"); // text, if not ASCII
    assert_int_equal(burned_one(&in)->status, STATUS(BURNED));
}

static void refuses_what_the_schema_does_not_have(void **state)
{
    (void)state;
    struct intent in = good_now(1);
    static uint8_t content[] = "\3abc";
    ProtobufCMessageUnknownField field = {
        .tag = 40, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 4, .data = content};
    Certmill__Signer__V1__Intent *one[1] = {wired(&in)};
    one[0]->base.n_unknown_fields = 1;
    one[0]->base.unknown_fields = &field;
    assert_int_equal(sent(one, 1), RPC_INVALID_ARGUMENT);
    one[0] = wired(&in);
    one[0]->names[1]->base.n_unknown_fields = 1; // however deep
    one[0]->names[1]->base.unknown_fields = &field;
    assert_int_equal(sent(one, 1), RPC_INVALID_ARGUMENT);
    in.tenant = SLICE_LIT("\xff\xfe");
    one[0] = wired(&in);
    assert_int_equal(sent(one, 1), RPC_INVALID_ARGUMENT);
    assert_int_equal(recorded().signed_, 0);
}

static void bounds_a_request(void **state)
{
    (void)state;
    Certmill__Signer__V1__Intent *all[257];
    static uint8_t megabyte[1 << 20];
    struct intent in = good_now(1);
    for (size_t i = 0; i < 257; i++) all[i] = wired(&in);
    assert_int_equal(sent(all, 257), RPC_INVALID_ARGUMENT);
    assert_int_equal(sent(all, 0), RPC_INVALID_ARGUMENT);
    all[0]->finalize_jws = (ProtobufCBinaryData){sizeof megabyte, megabyte};
    assert_int_not_equal(sent(all, 1), RPC_OK);
    assert_int_equal(recorded().signed_, 0);
    all[0] = wired(&in);
    assert_int_equal(sent(all, 1), RPC_OK);
    assert_int_equal(rig.answers[0].status, STATUS(SIGNED));
}

// The largest requests that are allowed are answered, all of them, and the signer lives on.
static void takes_the_largest_requests(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        Certmill__Signer__V1__Intent *all[256];
        size_t signed_ = 0;
        for (size_t i = 0; i < 256; i++) {
            struct intent in = good_now((uint8_t)i);
            in.order.b[0] = (uint8_t)round;
            // 100 names of 9 octets, or 15 of nearly 250: about 1 MiB altogether in either case.
            in.name_count = round == 0 ? 100 : 14;
            in.names = ARENA_ARRAY(&arena, struct identifier, 100);
            for (size_t k = 0; k < in.name_count; k++)
                in.names[k] = (struct identifier){
                    IDENTIFIER_DNS,
                    round == 0
                        ? make_text(&arena, "n%03zu.test", k)
                        : make_text(&arena, "n%02zu.%060d.%060d.%060d.%055d.t", k, 0, 0, 0, 0)};
            all[i] = wired(&in);
        }
        assert_int_equal(sent(all, 256), RPC_OK);
        assert_int_equal(rig.count, 256);
        for (size_t i = 0; i < 256; i++) {
            signed_ += rig.answers[i].status == STATUS(SIGNED);
        }
        assert_int_equal(signed_, 256);
        assert_int_equal(rig.stopped, 0);
    }
}

static void asks_for_the_role(void **state)
{
    (void)state;
    static const char *const roles[] = {"urn:certmill:role:operator", "urn:certmill:role:signer",
                                        "urn:certmill:role:acme2", "urn:certmill:role:"};
    struct intent in = good_now(1);
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        channel_stop();
        channel_start(roles[i]);
        Certmill__Signer__V1__Intent *one[1] = {wired(&in)};
        assert_int_equal(sent(one, 1), RPC_PERMISSION_DENIED);
        Certmill__Signer__V1__BurnRequest m = CERTMILL__SIGNER__V1__BURN_REQUEST__INIT;
        m.intent = wired(&in);
        assert_int_equal(called("/certmill.signer.v1.Signer/Burn", &m.base,
                                &certmill__signer__v1__burn_response__descriptor, true),
                         RPC_PERMISSION_DENIED);
    }
    assert_int_equal(recorded().signed_ + recorded().burned, 0);
    channel_stop();
    channel_start("urn:certmill:role:acme");
    assert_int_equal(signed_one(&in)->status, STATUS(SIGNED));
}

// ---- bounds and failures

static void is_busy_beyond_its_rate(void **state)
{
    (void)state;
    Certmill__Signer__V1__Intent *all[40];
    size_t busy = 0;
    settings.rate_per_s = 10;
    for (size_t i = 0; i < 40; i++) {
        struct intent in = good_now((uint8_t)i);
        all[i] = wired(&in);
    }
    assert_int_equal(sent(all, 40), RPC_OK);
    for (size_t i = 0; i < 40; i++) busy += rig.answers[i].status == STATUS(BUSY);
    assert_int_equal(busy, 30);
    assert_non_null(strstr(rig.answers[39].text, "rate"));
}

static void bounds_each_callers_rate(void **state)
{
    static const struct caller_settings callers[] = {{.name = "eu", .rate_per_s = 5},
                                                     {.name = "default", .rate_per_s = 1000}};
    (void)state;
    Certmill__Signer__V1__Intent *all[40];
    settings.callers = (struct config_list){(void *)(uintptr_t)callers, COUNT_OF(callers)};
    for (size_t round = 0; round < 3; round++) {
        size_t signed_ = 0, busy = 0, mismatch = 0;
        channel_stop();
        channel_start(round == 0   ? "urn:certmill:role:acme:eu"
                      : round == 1 ? "urn:certmill:role:acme"
                                   : "urn:certmill:role:acme:us");
        for (size_t i = 0; i < 40; i++) {
            struct intent in = good_now((uint8_t)i);
            in.order.b[1] = (uint8_t)round;
            all[i] = wired(&in);
        }
        assert_int_equal(sent(all, 40), RPC_OK);
        for (size_t i = 0; i < 40; i++) {
            signed_ += rig.answers[i].status == STATUS(SIGNED);
            busy += rig.answers[i].status == STATUS(BUSY);
            mismatch += rig.answers[i].status == STATUS(MISMATCH);
        }
        assert_int_equal(signed_, round == 0 ? 5 : round == 1 ? 40 : 0);
        assert_int_equal(busy, round == 0 ? 35 : 0);
        assert_int_equal(mismatch, round == 2 ? 40 : 0);
    }
    struct intent in = good_now(200);
    assert_int_equal(burned_one(&in)->status, STATUS(MISMATCH));
    assert_int_equal(logged("caller=urn:certmill:role:acme:eu"), 1);
    settings.callers = (struct config_list){0};
}

// What is answered from the journal, and what is burned, costs the disk as well.
static void repeats_and_burns_have_a_rate_too(void **state)
{
    (void)state;
    Certmill__Signer__V1__Intent *all[40];
    size_t busy = 0, again = 0;
    struct intent in = good_now(1);
    signed_one(&in);
    settings.rate_per_s = 10;
    for (size_t i = 0; i < 40; i++) all[i] = wired(&in);
    assert_int_equal(sent(all, 40), RPC_OK);
    for (size_t i = 0; i < 40; i++) {
        bool is_busy = rig.answers[i].status == STATUS(BUSY);
        busy += is_busy;
        again += rig.answers[i].status == STATUS(SIGNED) && rig.answers[i].repeated;
        if (is_busy) assert_int_equal(rig.answers[i].certificate.n + rig.answers[i].repeated, 0);
    }
    assert_int_equal(again, 10);
    assert_int_equal(busy, 30);
    assert_int_equal(logged("signer.rate"), 1);
    assert_int_equal(logged("repeats=1"), 1);
    // Burns one after the other, within a second or in the next one.
    size_t burned = 0;
    int64_t begun = shard_wall_s(rig.shard);
    settings.rate_per_s = 3;
    for (uint8_t i = 0; i < 30; i++) {
        struct intent more = good_now(i);
        more.order.b[1] = 7;
        burned += burned_one(&more)->status == STATUS(BURNED);
    }
    size_t seconds = (size_t)(shard_wall_s(rig.shard) - begun) + 1;
    assert_true(burned >= 2 && burned <= 3 * seconds); // the first second has had one
    assert_int_equal(recorded().burned, burned);
}

static void is_busy_when_the_index_is_full(void **state)
{
    (void)state;
    Certmill__Signer__V1__Intent *all[200];
    size_t signed_ = 0, busy = 0;
    struct intent known = good_now(0), more = good_now(200);
    more.order.b[1] = 9;
    for (unsigned round = 0; round < 4; round++) {
        for (size_t i = 0; i < 200; i++) {
            struct intent in = good_now((uint8_t)i);
            in.order.b[1] = (uint8_t)round;
            if (round == 1 && i == 7) known = in;
            all[i] = wired(&in);
        }
        assert_int_equal(sent(all, round == 2 ? 199 : 200), RPC_OK);
        for (size_t i = 0; i < rig.count; i++) {
            signed_ += rig.answers[i].status == STATUS(SIGNED);
            busy += rig.answers[i].status == STATUS(BUSY);
        }
    }
    assert_int_equal(signed_, INDEX);
    assert_int_equal(busy, 199);
    assert_non_null(strstr(rig.answers[199].text, "raise journal_index"));
    assert_int_equal(recorded().signed_, INDEX);
    // What is known is answered still; a burn has no room, either.
    assert_int_equal(signed_one(&known)->status, STATUS(SIGNED));
    assert_true(rig.answers[0].repeated);
    assert_int_equal(burned_one(&more)->status, STATUS(BUSY));
    assert_int_equal(rig.stopped, 0);
}

static void releases_nothing_without_its_journal(void **state)
{
    (void)state;
    static const char *const disks[] = {"/dev/full", "/proc/self/mem", "/dev/null"};
    for (size_t i = 0; i < COUNT_OF(disks); i++) {
        if (i > 0) {
            rig_teardown(state);
            rig_setup(state);
        }
        struct intent in = good_now(1), more = good_now(2);
        signed_one(&in);
        int bad = open(disks[i], O_RDWR | O_CLOEXEC);
        assert_true(bad >= 0 && dup2(bad, rig.journal.fd) >= 0);
        close(bad);
        Certmill__Signer__V1__Intent *both[2] = {wired(&in), wired(&more)};
        assert_int_equal(sent(both, 2), RPC_UNAVAILABLE);
        assert_int_equal(rig.count, 0);
        assert_int_equal(rig.stopped, 1);
        assert_int_equal(logged("signer.journal_failed"), 1);
        // Nor later, and not even what is known.
        assert_int_equal(sent(both, 1), RPC_UNAVAILABLE);
        assert_int_equal(rig.stopped, 1);
        assert_int_equal(recorded().signed_, 1);
    }
}

// Two calls of one turn: the renewal meets the failure, and what was queued before it is not signed
// over a journal that has failed.
static void stops_for_what_was_queued_before(void **state)
{
    (void)state;
    struct intent in = good_now(1);
    struct pki_request ca = {.common_name = "Internal Root",
                             .not_before = shard_wall_s(rig.shard) - 60,
                             .not_after = shard_wall_s(rig.shard) + 86400,
                             .ca = true};
    char note[256] = "";
    keys.internal.key = make_key(KEY_P256, 0, 50);
    keys.internal.cert = pki_cert_make(&ca, keys.internal.key, NULL, NULL, note, sizeof note);
    assert_non_null(keys.internal.cert);
    int bad = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(bad >= 0 && dup2(bad, rig.journal.fd) >= 0);
    close(bad);
    // Sign is sent first, Renew right behind it, on one connection.
    Certmill__Signer__V1__Intent *one[1] = {wired(&in)};
    Certmill__Signer__V1__SignRequest sign = CERTMILL__SIGNER__V1__SIGN_REQUEST__INIT;
    sign.intents = one;
    sign.n_intents = 1;
    rig.burn = false;
    rig.count = 0;
    struct rpc_call first = {.done = on_done};
    assert_ok(rpc_call_start(rig.channel, &first, "/certmill.signer.v1.Signer/Sign", &sign.base,
                             &certmill__signer__v1__sign_response__descriptor, 20000,
                             RPC_ANY_TARGET));
    Certmill__Signer__V1__RenewRequest renew = CERTMILL__SIGNER__V1__RENEW_REQUEST__INIT;
    struct slice csr = make_csr_for(&arena, make_key(KEY_P256, 0, 51), "a.test");
    renew.purpose = CERTMILL__SIGNER__V1__RENEW_REQUEST__PURPOSE__INTERNAL;
    renew.csr = (ProtobufCBinaryData){csr.n, (uint8_t *)(uintptr_t)csr.p};
    assert_int_equal(called("/certmill.signer.v1.Signer/Renew", &renew.base,
                            &certmill__signer__v1__renew_response__descriptor, false),
                     RPC_UNAVAILABLE);
    for (int i = 0; i < 100; i++) shard_turn(rig.shard, 1);
    assert_int_equal(rig.status, RPC_UNAVAILABLE); // of whichever was answered last
    assert_int_equal(rig.count, 0);
    assert_int_equal(rig.stopped, 1);
    assert_int_equal(logged("signer.journal_failed"), 1);
    X509_free(keys.internal.cert);
    keys.internal = (struct leaf_ca){0};
}

#define PURE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define RIG(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PURE(refuses_for_each_reason),
        PURE(never_outlives_the_issuer),
        PURE(bounds_each_caller),
        PURE(stays_within_the_issuers_constraints),
        RIG(bounds_each_callers_rate),
        PURE(keeps_old_profiles_for_an_hour),
        RIG(signs_and_repeats_itself),
        RIG(signs_by_the_issuer_that_is_named),
        RIG(answers_each_of_a_batch),
        RIG(takes_the_calls_of_a_turn_together),
        RIG(alarms_when_an_order_comes_with_another_content),
        RIG(burns),
        RIG(keeps_its_memory_over_a_restart),
        RIG(signs_the_same_without_its_memory),
        RIG(refuses_malformed_intents),
        RIG(refuses_what_the_schema_does_not_have),
        RIG(bounds_a_request),
        RIG(takes_the_largest_requests),
        RIG(asks_for_the_role),
        RIG(is_busy_beyond_its_rate),
        RIG(is_busy_when_the_index_is_full),
        RIG(releases_nothing_without_its_journal),
        RIG(stops_for_what_was_queued_before),
        RIG(repeats_and_burns_have_a_rate_too),
    };
    proto_err_register();
    cluster_err_register();
    signer_err_register();
    cluster_metrics_declare();
    signer_metrics_declare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
