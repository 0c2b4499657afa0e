// crl: what a signer signs as a CRL and what it refuses; the CRL read by BoringSSL, too; numbers
// that are never used twice, over a restart as well.
#include "signer/crl.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "cluster/core/log.h"
#include "cluster/err.h"
#include "proto/der/crl.h"
#include "proto/err.h"
#include "signer/crl_sign.h"
#include "signer/engine.h"
#include "signer/err.h"
#include "tests/unit/signer/fixture.h"

#define STATUS(name) CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__##name

enum { HOUR = FIXTURE_NOW_S / 3600, PART = 1, SEGMENT = 4 << 20 };

static struct arena arena;
static struct keystore keys;
static struct profile_settings two[2];
static const char *former[] = {"http://old.test/crl", "http://crl.test/crl"};
static struct signer_settings settings;
static struct profiles profiles;
static struct policy policy = {.settings = &settings, .profiles = &profiles, .keys = &keys};
static struct crl_revoked entries[4];

static void world_make(enum key_type type, unsigned bits)
{
    static struct fixture_profile p, other;
    memset(&keys, 0, sizeof keys);
    fixture_issuer(&keys.issuer, &arena, type, bits, 400ll * 86400);
    assert_ok(engine_open(&keys.issuer.engine, keys.issuer.key, keys.issuer.cert.spki,
                          p256_kernel_detect()));
    fixture_profile_init(&p, "crl");
    p.settings.crl_url = "http://crl.test/crl";
    fixture_profile_init(&other, "plain");
    fixture_profile_remake(&p);
    two[0] = other.settings;
    two[1] = p.settings;
    settings = (struct signer_settings){
        .region = 5, .profiles = {two, 2}, .crl_former_urls = {former, 2}};
    assert_ok(profiles_take(&profiles, &settings, FIXTURE_NOW_S));
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i] = (struct crl_revoked){.revoked_at = FIXTURE_NOW_S - 100 + (int64_t)i};
        uint8_t *s = entries[i].serial;
        memset(s, 0x55, SERIAL_LEN);
        s[0] = (uint8_t)(HOUR >> 16);
        s[1] = (uint8_t)(HOUR >> 8);
        s[2] = (uint8_t)HOUR;
        s[3] = 0;
        s[4] = 1 << 6 | 5;
        s[19] = (uint8_t)(i + 1);
    }
    entries[1].reason = 1;
    entries[2].reason = 10;
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    world_make(KEY_P256, 0);
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

static struct crl_request good(void)
{
    struct crl_request r = {.issuer = 1,
                            .shard = (uint64_t)HOUR * CRL_PARTS_MAX + PART,
                            .number = 7,
                            .this_update = FIXTURE_NOW_S,
                            .next_update = FIXTURE_NOW_S + 86400,
                            .entries = entries,
                            .count = COUNT_OF(entries)};
    memcpy(r.issuer_cert_hash, keys.issuer.certificate_hash, HASH_LEN);
    return r;
}

// ---- what is refused

static void issuer_other(struct crl_request *r) { r->issuer = 2; }
static void hash_other(struct crl_request *r) { r->issuer_cert_hash[3] ^= 1; }
static void number_0(struct crl_request *r) { r->number = 0; }
static void number_negative(struct crl_request *r) { r->number = 1ull << 63; }
static void number_last(struct crl_request *r) { r->number = 5; }
static void number_next(struct crl_request *r) { r->number = 6; }
static void early(struct crl_request *r) { r->this_update = FIXTURE_NOW_S - 301; }
static void goes_back(struct crl_request *r)
{
    r->this_update = FIXTURE_NOW_S - 200;
    r->count = 0;
}
static void ahead_5(struct crl_request *r) { r->this_update += 5; }
static void ahead_6(struct crl_request *r) { r->this_update += 6; }
static void next_now(struct crl_request *r) { r->next_update = r->this_update; }
static void next_31_days(struct crl_request *r) { r->next_update = r->this_update + 31 * 86400; }
static void next_far(struct crl_request *r) { r->next_update = r->this_update + 31 * 86400 + 1; }
static void shard_far(struct crl_request *r)
{
    r->shard += 3 * CRL_PARTS_MAX;
    r->count = 0;
}
static void shard_ahead(struct crl_request *r)
{
    r->shard += 2 * CRL_PARTS_MAX;
    r->count = 0;
}
static void shard_other_hour(struct crl_request *r) { r->shard -= CRL_PARTS_MAX; }
static void none(struct crl_request *r) { r->count = 0; }
static void too_many(struct crl_request *r) { r->count = CRL_ENTRIES_MAX + 1; }
static void unsorted(struct crl_request *r) { (void)r, entries[0].serial[19] = 9; }
static void twice(struct crl_request *r) { (void)r, entries[1].serial[19] = 1; }
static void other_issuer(struct crl_request *r) { (void)r, entries[0].serial[4] = 2 << 6 | 5; }
static void other_region(struct crl_request *r) { (void)r, entries[0].serial[4] = 1 << 6 | 4; }
static void reason_7(struct crl_request *r) { (void)r, entries[3].reason = 7; }
static void reason_8(struct crl_request *r) { (void)r, entries[3].reason = 8; }
static void reason_11(struct crl_request *r) { (void)r, entries[3].reason = 11; }
static void revoked_later(struct crl_request *r)
{
    (void)r;
    entries[3].revoked_at = FIXTURE_NOW_S + 6;
}
static void revoked_before_1970(struct crl_request *r) { (void)r, entries[3].revoked_at = -1; }
static void nothing(struct crl_request *r) { (void)r; }

static const struct {
    const char *what;
    void (*change)(struct crl_request *);
    enum crl_verdict verdict;
    const char *want;
} rows[] = {
    {"good", nothing, CRL_GOOD, ""},
    {"the next number", number_next, CRL_GOOD, ""},
    {"empty", none, CRL_GOOD, ""},
    {"five seconds ahead", ahead_5, CRL_GOOD, ""},
    {"31 days", next_31_days, CRL_GOOD, ""},
    {"a shard made ahead", shard_ahead, CRL_GOOD, ""},
    {"another issuer", issuer_other, CRL_MISMATCH, "issuer is another"},
    {"another certificate", hash_other, CRL_MISMATCH, "issuer is another"},
    {"no number", number_0, CRL_REFUSED, "number"},
    {"a number of 64 bits", number_negative, CRL_REFUSED, "number"},
    {"the number of the last", number_last, CRL_NUMBER, "signed already"},
    {"before the last", goes_back, CRL_NUMBER, "signed already"},
    {"six seconds ahead", ahead_6, CRL_BUSY, "ahead of this signer's clock"},
    {"five minutes behind", early, CRL_REFUSED, "five minutes behind"},
    {"without a life", next_now, CRL_REFUSED, "31 days"},
    {"of a long life", next_far, CRL_REFUSED, "31 days"},
    {"a shard far ahead", shard_far, CRL_REFUSED, "far ahead"},
    {"entries of another hour", shard_other_hour, CRL_REFUSED, "not of this shard"},
    {"entries of another issuer", other_issuer, CRL_REFUSED, "not of this shard"},
    {"entries of another region", other_region, CRL_REFUSED, "not of this shard"},
    {"too many", too_many, CRL_REFUSED, "16384"},
    {"not sorted", unsorted, CRL_REFUSED, "not sorted"},
    {"one twice", twice, CRL_REFUSED, "not sorted"},
    {"reason 7", reason_7, CRL_REFUSED, "a reason that is none"},
    {"reason 8", reason_8, CRL_REFUSED, "a reason that is none"},
    {"reason 11", reason_11, CRL_REFUSED, "a reason that is none"},
    {"revoked later", revoked_later, CRL_REFUSED, "after thisUpdate"},
    {"revoked before 1970", revoked_before_1970, CRL_REFUSED, "after thisUpdate"},
};

static void refuses_for_each_reason(void **state)
{
    (void)state;
    struct crl_revoked kept[COUNT_OF(entries)];
    const struct journal_crl last = {.number = 5, .this_update = FIXTURE_NOW_S - 100};
    memcpy(kept, entries, sizeof kept);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *note = "";
        struct crl_request r = good();
        rows[i].change(&r);
        enum crl_verdict v = crl_judge(&policy, &r, &last, FIXTURE_NOW_S, &note);
        if (v != rows[i].verdict || (v != CRL_GOOD && strstr(note, rows[i].want) == NULL))
            fail_msg("%s: %d \"%s\"", rows[i].what, (int)v, note);
        memcpy(entries, kept, sizeof kept);
    }
    // Without a profile that has CRLs there are none.
    const char *note = "";
    struct crl_request r = good();
    struct signer_settings bare = {.region = 5, .profiles = {two, 1}};
    struct profiles plain = {0};
    assert_ok(profiles_take(&plain, &bare, FIXTURE_NOW_S));
    const struct policy poor = {.settings = &bare, .profiles = &plain, .keys = &keys};
    assert_int_equal(crl_judge(&poor, &r, NULL, FIXTURE_NOW_S, &note), CRL_MISMATCH);
    profiles_fini(&plain);
}

static void never_outlives_the_issuer(void **state)
{
    (void)state;
    const char *note = "";
    struct crl_request r = good();
    r.this_update = keys.issuer.cert.not_after - 60;
    r.next_update = keys.issuer.cert.not_after;
    assert_int_equal(crl_judge(&policy, &r, NULL, r.this_update, &note), CRL_GOOD);
    r.next_update++;
    assert_int_equal(crl_judge(&policy, &r, NULL, r.this_update, &note), CRL_REFUSED);
}

// ---- what is built

static struct slice tbs_of(const struct crl_request *r)
{
    struct buf b;
    struct slice out;
    buf_init(&b, CRL_DER_MAX);
    assert_ok(crl_tbs_build(&b, &policy, r));
    assert_ok(arena_dup(&out, &arena, buf_slice(&b)));
    buf_fini(&b);
    return out;
}

static struct slice crl_of(const struct crl_request *r)
{
    struct buf b;
    struct slice out;
    buf_init(&b, CRL_DER_MAX);
    assert_ok(engine_sign_crl(&b, &keys.issuer, tbs_of(r), NULL));
    assert_ok(arena_dup(&out, &arena, buf_slice(&b)));
    buf_fini(&b);
    return out;
}

static void is_what_boringssl_reads(void **state)
{
    (void)state;
    struct crl_request r = good();
    struct slice der = crl_of(&r);
    const uint8_t *p = der.p;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);
    assert_true(crl != NULL && p == der.p + der.n);
    assert_int_equal(X509_CRL_verify(crl, keys.issuer.key), 1);
    assert_int_equal(X509_CRL_get_version(crl), 1);
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), COUNT_OF(entries));
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        X509_REVOKED *x = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), i);
        const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(x);
        assert_memory_equal(ASN1_STRING_get0_data((const ASN1_STRING *)serial), entries[i].serial,
                            SERIAL_LEN);
        ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(x, NID_crl_reason, NULL, NULL);
        assert_int_equal(reason == NULL ? 0 : ASN1_ENUMERATED_get(reason), entries[i].reason);
        ASN1_ENUMERATED_free(reason);
    }
    X509_CRL_free(crl);
}

static void says_what_it_is_good_for(void **state)
{
    (void)state;
    struct crl_request r = good();
    struct crl c;
    const char *note = "";
    struct slice uri;
    assert_ok(crl_parse(&c, &note, crl_of(&r)));
    assert_int_equal(c.number, 7);
    assert_slice(c.aki, keys.issuer.cert.ski);
    assert_slice(c.issuer, keys.issuer.cert.subject);
    static const char *const bases[] = {"http://crl.test/crl", "http://old.test/crl"};
    for (size_t i = 0; i < COUNT_OF(bases); i++) { // each once
        assert_true(crl_uri_next(&uri, &c.uris));
        assert_slice(uri,
                     make_text(&arena, "%s/1/%llu.crl", bases[i], (unsigned long long)r.shard));
    }
    assert_false(crl_uri_next(&uri, &c.uris));
    r.count = 0;
    assert_ok(crl_parse(&c, &note, crl_of(&r)));
    assert_int_equal(c.entry_count, 0);
    r.next_update = 2524608000 + 5; // of 2050
    assert_ok(crl_parse(&c, &note, crl_of(&r)));
    assert_int_equal(c.next_update, r.next_update);
}

// Each bit counts: no change of one leaves it what was asked for.
static void lint_refuses_any_flipped_bit(void **state)
{
    (void)state;
    struct crl_request r = good();
    struct slice tbs = tbs_of(&r), bad;
    assert_null(crl_lint(tbs, &policy, &r));
    for (size_t i = 0; i < tbs.n * 8; i++) {
        assert_ok(arena_dup(&bad, &arena, tbs));
        ((uint8_t *)(uintptr_t)bad.p)[i / 8] ^= (uint8_t)(1 << i % 8);
        if (crl_lint(bad, &policy, &r) == NULL) fail_msg("bit %zu may be flipped", i);
    }
    for (size_t n = 0; n < tbs.n; n += 7)
        assert_non_null(crl_lint(slice_sub(tbs, 0, n), &policy, &r));
}

static void lint_compares_with_the_request(void **state)
{
    (void)state;
    struct crl_request r = good(), other;
    struct slice tbs = tbs_of(&r);
    other = r, other.number++;
    assert_non_null(crl_lint(tbs, &policy, &other));
    other = r, other.this_update--;
    assert_non_null(crl_lint(tbs, &policy, &other));
    other = r, other.next_update++;
    assert_non_null(crl_lint(tbs, &policy, &other));
    other = r, other.shard++;
    assert_non_null(crl_lint(tbs, &policy, &other));
    other = r, other.issuer++;
    assert_non_null(crl_lint(tbs, &policy, &other));
    other = r, other.count--;
    assert_non_null(crl_lint(tbs, &policy, &other));
    entries[2].reason = 9;
    assert_non_null(crl_lint(tbs, &policy, &r));
    entries[2].reason = 10;
    entries[2].revoked_at++;
    assert_non_null(crl_lint(tbs, &policy, &r));
    entries[2].revoked_at--;
    assert_null(crl_lint(tbs, &policy, &r));
}

static void flip(uint8_t *signature, size_t n) { signature[n - 1] ^= 1; }

static void each_kind_of_issuer_signs_and_faults_stay(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[] = {{KEY_P256, 0}, {KEY_P384, 0}, {KEY_RSA, 2048}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        engine_close(keys.issuer.engine);
        profiles_fini(&profiles);
        world_make(kinds[i].type, kinds[i].bits);
        struct crl_request r = good();
        struct slice tbs = tbs_of(&r), one = crl_of(&r), two_ = crl_of(&r);
        // A nonce is fresh each time: ECDSA gives another signature to the same list.
        assert_int_equal(slice_eq(one, two_), kinds[i].type == KEY_RSA);
        struct buf b;
        buf_init(&b, CRL_DER_MAX);
        assert_err(engine_sign_crl(&b, &keys.issuer, tbs, flip), ERR_SIGNATURE_FAULT);
        assert_int_equal(buf_len(&b), 0);
        buf_fini(&b);
    }
}

// ---- from message to journal

struct rig {
    struct journal journal;
    struct log *log;
    char *folder;
};

static void rig_open(struct rig *r)
{
    char note[JOURNAL_NOTE_MAX] = "";
    struct log_options lo = {.level = LOG_ERROR, .fd = 2, .program = "test"};
    struct journal_options jo = {.path = r->folder, .segment_size = SEGMENT, .index_max = 10};
    assert_ok(log_new(&r->log, &lo));
    assert_ok(journal_open(&r->journal, note, &jo, FIXTURE_NOW_S));
}

static void rig_close(struct rig *r)
{
    journal_close(&r->journal);
    log_free(r->log);
}

// run sends one request with `count` entries; the status.
static int run(struct rig *rig, uint64_t number, size_t count, struct slice *out, uint64_t *last)
{
    struct crl_sign c = {
        .policy = &policy, .journal = &rig->journal, .log = rig->log, .now_s = FIXTURE_NOW_S};
    struct crl_request r = good();
    Certmill__Signer__V1__SignCrlRequest m = CERTMILL__SIGNER__V1__SIGN_CRL_REQUEST__INIT;
    Certmill__Signer__V1__CrlEntry *each = ARENA_ARRAY(&arena, Certmill__Signer__V1__CrlEntry,
                                                       count + 1);
    m.entries = ARENA_ARRAY(&arena, Certmill__Signer__V1__CrlEntry *, count + 1);
    for (size_t i = 0; i < count; i++) {
        uint8_t *serial = arena_alloc(&arena, SERIAL_LEN);
        memcpy(serial, entries[0].serial, SERIAL_LEN);
        serial[18] = (uint8_t)(i >> 8);
        serial[19] = (uint8_t)i;
        certmill__signer__v1__crl_entry__init(&each[i]);
        each[i].serial = (ProtobufCBinaryData){SERIAL_LEN, serial};
        each[i].revoked_at = FIXTURE_NOW_S - 1;
        each[i].reason = 4;
        m.entries[i] = &each[i];
    }
    m.n_entries = count;
    m.issuer = r.issuer;
    m.issuer_cert_hash = (ProtobufCBinaryData){HASH_LEN, r.issuer_cert_hash};
    m.shard = r.shard;
    m.number = number;
    m.this_update = r.this_update;
    m.next_update = r.next_update;
    assert_true(crl_sign_run(&c, &m, "urn:certmill:role:acme", &arena));
    if (out != NULL)
        assert_ok(arena_dup(out, &arena, slice_of(c.response.crl.data, c.response.crl.len)));
    if (last != NULL) *last = c.response.last_number;
    int status = (int)c.response.status;
    crl_sign_fini(&c);
    return status;
}

static void numbers_are_used_once_also_over_a_restart(void **state)
{
    (void)state;
    struct rig rig = {.folder = fixture_folder()};
    uint64_t last = 0;
    rig_open(&rig);
    assert_int_equal(run(&rig, 5, 1, NULL, &last), STATUS(SIGNED));
    assert_int_equal(last, 0);
    assert_int_equal(run(&rig, 5, 1, NULL, &last), STATUS(NUMBER_USED));
    assert_int_equal(last, 5);
    assert_int_equal(run(&rig, 4, 2, NULL, &last), STATUS(NUMBER_USED));
    assert_int_equal(run(&rig, 900, 2, NULL, &last), STATUS(SIGNED));
    rig_close(&rig);
    rig_open(&rig);
    assert_int_equal(run(&rig, 900, 2, NULL, &last), STATUS(NUMBER_USED));
    assert_int_equal(last, 900);
    assert_int_equal(run(&rig, 901, 2, NULL, &last), STATUS(SIGNED));
    assert_int_equal(rig.journal.count, 3);
    rig_close(&rig);
    fixture_folder_remove(rig.folder);
}

// The largest CRL fits into a record and an answer; one more entry is refused.
static void the_largest_fits(void **state)
{
    (void)state;
    struct rig rig = {.folder = fixture_folder()};
    struct slice der = SLICE_NONE;
    struct crl c;
    const char *note = "";
    rig_open(&rig);
    assert_int_equal(run(&rig, 1, CRL_ENTRIES_MAX, &der, NULL), STATUS(SIGNED));
    assert_ok(crl_parse(&c, &note, der));
    assert_int_equal(c.entry_count, CRL_ENTRIES_MAX);
    assert_in_range(der.n, 500000, CRL_DER_MAX);
    assert_int_equal(run(&rig, 2, CRL_ENTRIES_MAX + 1, NULL, NULL), STATUS(REFUSED));
    assert_int_equal(rig.journal.count, 1);
    rig_close(&rig);
    fixture_folder_remove(rig.folder);
}

static void many_shards_are_remembered_in_any_order(void **state)
{
    (void)state;
    struct rig rig = {.folder = fixture_folder()};
    rig_open(&rig);
    for (unsigned i = 0; i < 500; i++) {
        struct journal_record r = {
            .kind = JOURNAL_CRL,
            .order = journal_crl_key((uint16_t)(i % 3), i * 7919 % 500, 1000 + i),
            .time_s = 1};
        assert_ok(journal_add(&rig.journal, &r));
    }
    assert_ok(journal_sync(&rig.journal));
    rig_close(&rig);
    rig_open(&rig);
    for (unsigned i = 0; i < 500; i++) {
        const struct journal_crl *c = journal_crl_find(&rig.journal, (uint16_t)(i % 3),
                                                       i * 7919 % 500);
        assert_non_null(c);
        assert_int_equal(c->number, 1000 + i);
    }
    assert_null(journal_crl_find(&rig.journal, 0, 500));
    assert_null(journal_crl_find(&rig.journal, 3, 0)); // another issuer's
    rig_close(&rig);
    fixture_folder_remove(rig.folder);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(refuses_for_each_reason),
        CASE(never_outlives_the_issuer),
        CASE(is_what_boringssl_reads),
        CASE(says_what_it_is_good_for),
        CASE(lint_refuses_any_flipped_bit),
        CASE(lint_compares_with_the_request),
        CASE(each_kind_of_issuer_signs_and_faults_stay),
        CASE(numbers_are_used_once_also_over_a_restart),
        CASE(the_largest_fits),
        CASE(many_shards_are_remembered_in_any_order),
    };
    proto_err_register();
    cluster_err_register();
    signer_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
