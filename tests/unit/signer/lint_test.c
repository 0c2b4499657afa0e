// lint: a TBSCertificate put together here, part by part, is what tbs_build makes, for each
// profile, key kind and number of names; and with one part wrong it is refused by a sentence that
// names it.
#include "signer/lint.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/der/der.h"
#include "signer/tbs.h"
#include "tests/unit/signer/fixture.h"

enum { EXT_USAGE, EXT_EKU, EXT_SKI, EXT_AKI, EXT_SAN, EXT_NRA, EXT_MORE, EXT_COUNT };

// struct parts is a TBSCertificate in pieces: whole DER values, SLICE_NONE for what is not there.
struct parts {
    struct arena *a;
    const struct issuer *issuer;
    struct intent *in;
    const uint8_t *serial_bytes;
    struct slice version, serial, algorithm, issuer_name, validity, subject, spki, ids;
    struct slice extensions[EXT_COUNT], tail, whole;
};

static struct arena arena;
static struct issuer issuer;
static struct fixture_profile plain, no_rev;
static const uint8_t serial_key[32] = "a key that tests know, no other";

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    fixture_issuer(&issuer, &arena, KEY_P256, 0, 30ll * 86400);
    fixture_profile_init(&plain, "plain");
    fixture_profile_init(&no_rev, "no-rev");
    no_rev.settings.no_rev_avail = true;
    fixture_profile_remake(&no_rev);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct slice utc(struct arena *a, int64_t at)
{
    char text[32];
    time_t t = (time_t)at;
    struct tm tm;
    strftime(text, sizeof text, "%Y%m%d%H%M%SZ", gmtime_r(&t, &tm));
    return MAKE_TLV(a, 0x17, slice_str(text + 2));
}

static struct slice names_of(struct arena *a, const struct intent *in)
{
    struct slice all = SLICE_NONE;
    for (size_t i = 0; i < in->name_count; i++)
        all = MAKE_JOINED(
            a, all,
            MAKE_TLV(a, in->names[i].type == IDENTIFIER_IP ? 0x87 : 0x82, in->names[i].value));
    return MAKE_SEQUENCE(a, all);
}

// The key's bits are what the SubjectPublicKeyInfo ends with; where they begin differs by kind.
static struct slice key_id(struct arena *a, struct slice spki, enum key_type type)
{
    size_t head = type == KEY_P256      ? 26
                  : type == KEY_P384    ? 23
                  : type == KEY_P521    ? 25
                  : type == KEY_ED25519 ? 12
                                        : 24;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct slice out;
    SHA256(spki.p + head, spki.n - head, digest);
    assert_ok(arena_dup(&out, a, slice_of(digest, 20)));
    return MAKE_TLV(a, 0x04, out);
}

static struct slice eku(struct arena *a, bool client)
{
    return make_extension(a, OID_EXT_KEY_USAGE, false,
                          MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, OID_SERVER_AUTH),
                                        client ? MAKE_TLV(a, 0x06, OID_CLIENT_AUTH) : SLICE_NONE));
}

// crl_points is cRLDistributionPoints of one URL.
static struct slice crl_points(struct arena *a, struct slice url)
{
    struct slice full = MAKE_TLV(a, 0xa0, MAKE_TLV(a, 0xa0, MAKE_TLV(a, 0x86, url)));
    return make_extension(a, OID_CRL_DISTRIBUTION_POINTS, false,
                          MAKE_SEQUENCE(a, MAKE_SEQUENCE(a, full)));
}

static struct slice crl_url(struct arena *a, const char *base, const struct intent *in)
{
    return make_text(a, "%s/%u/%u.crl", base, in->issuer, in->crl_shard);
}

static struct parts good(struct arena *a, const struct issuer *ca, const struct fixture_profile *p,
                         struct intent *in, enum key_type type, const uint8_t *serial)
{
    struct parts t = {.a = a, .issuer = ca, .in = in, .serial_bytes = serial};
    t.version = make_hex(a, "a003 020102");
    t.serial = MAKE_TLV(a, 0x02, slice_of(serial, SERIAL_LEN));
    t.algorithm = ca->algorithm;
    t.issuer_name = ca->cert.subject;
    t.validity = MAKE_SEQUENCE(a, utc(a, in->not_before), utc(a, in->not_after));
    t.subject = MAKE_EMPTY(a, 0x30);
    t.spki = in->spki;
    t.extensions[EXT_USAGE] = make_extension(
        a, OID_KEY_USAGE, true, make_hex(a, type == KEY_RSA ? "030205a0" : "03020780"));
    t.extensions[EXT_EKU] = eku(a, p->settings.client_auth);
    t.extensions[EXT_SKI] = make_extension(a, OID_SUBJECT_KEY_ID, false, key_id(a, in->spki, type));
    t.extensions[EXT_AKI] = make_extension(a, OID_AUTHORITY_KEY_ID, false,
                                           MAKE_SEQUENCE(a, MAKE_TLV(a, 0x80, ca->cert.ski)));
    t.extensions[EXT_SAN] = make_extension(a, OID_SUBJECT_ALT_NAME, true, names_of(a, in));
    if (p->settings.no_rev_avail)
        t.extensions[EXT_NRA] = make_extension(a, OID_NO_REV_AVAIL, false, make_hex(a, "0500"));
    if (profile_has_crl(&p->profile))
        t.extensions[EXT_NRA] = crl_points(a, crl_url(a, p->settings.crl_url, in));
    return t;
}

static struct slice assembled(const struct parts *t)
{
    struct slice list = make_joined(t->a, t->extensions, EXT_COUNT);
    struct slice tbs = MAKE_SEQUENCE(
        t->a, t->version, t->serial, t->algorithm, t->issuer_name, t->validity, t->subject, t->spki,
        t->ids, list.n == 0 ? SLICE_NONE : MAKE_TLV(t->a, 0xa3, MAKE_SEQUENCE(t->a, list)));
    return t->whole.p != NULL ? t->whole : MAKE_JOINED(t->a, tbs, t->tail);
}

static void serial_of(uint8_t out[SERIAL_LEN], const struct intent *in)
{
    uint8_t hash[HASH_LEN];
    intent_hash(hash, in);
    serial_make(out, serial_key, in, hash);
}

// ---- what is good

static const struct {
    enum key_type type;
    unsigned bits;
} kinds[] = {{KEY_P256, 0},   {KEY_P384, 0},   {KEY_P521, 0},  {KEY_ED25519, 0},
             {KEY_RSA, 2048}, {KEY_RSA, 3072}, {KEY_RSA, 4096}};

static void built_and_accepted(const struct issuer *ca, const struct fixture_profile *p,
                               size_t kind, size_t count)
{
    struct arena a;
    struct buf b;
    uint8_t serial[SERIAL_LEN];
    arena_init(&a, 4 << 20);
    buf_init(&b, TBS_MAX);
    struct intent in = fixture_intent(
        &a, &p->profile, ca, make_spki(&a, make_key(kinds[kind].type, kinds[kind].bits, 0)), count,
        FIXTURE_NOW_S);
    serial_of(serial, &in);
    struct parts t = good(&a, ca, p, &in, kinds[kind].type, serial);
    assert_ok(tbs_build(&b, &in, &p->profile, ca, serial));
    struct slice whole = assembled(&t);
    assert_true(slice_eq(buf_slice(&b), whole));
    const char *wrong = lint_tbs(&a, whole, &in, &p->profile, ca, serial);
    if (wrong != NULL) print_error("%zu names: %s\n", count, wrong);
    assert_null(wrong);
    buf_fini(&b);
    arena_fini(&a);
}

static void accepts_what_is_built(void **state)
{
    (void)state;
    // Lengths of one, two and three octets.
    static const char *const urls[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        "http://c",
        "http://crl.internal.test:8080/crl",
        "http://a-host-with-a-name-that-is-so-long-that-its-length-takes-two-octets.of-a-domain-"
        "that-does-not-make-it-shorter.internal.test/crl"};
    for (unsigned flags = 0; flags < COUNT_OF(urls); flags++) {
        struct fixture_profile p;
        fixture_profile_init(&p, "any");
        p.settings.client_auth = flags & 1;
        p.settings.no_rev_avail = flags < 4 && (flags & 2) != 0;
        p.settings.crl_url = urls[flags];
        fixture_profile_remake(&p);
        for (size_t k = 0; k < COUNT_OF(kinds); k++)
            for (size_t count = 1; count <= IDENTIFIER_COUNT_MAX; count += k == 0 ? 1 : 11)
                built_and_accepted(&issuer, &p, k, count);
    }
}

static void accepts_under_each_issuer(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct issuer ca;
        if (kinds[k].type == KEY_P521 || kinds[k].type == KEY_ED25519 || kinds[k].bits == 4096)
            continue; // no issuing CA has such a key, or one is enough
        fixture_issuer(&ca, &arena, kinds[k].type, kinds[k].bits, 30ll * 86400);
        built_and_accepted(&ca, &plain, 0, 3);
    }
}

// ---- what is wrong

static struct slice patched(struct arena *a, struct slice s, size_t at, uint8_t flip)
{
    struct slice out;
    assert_ok(arena_dup(&out, a, s));
    ((uint8_t *)(uintptr_t)out.p)[at] ^= flip;
    return out;
}

static struct slice alt_names(const struct parts *t, bool critical, struct slice names)
{
    return make_extension(t->a, OID_SUBJECT_ALT_NAME, critical, MAKE_SEQUENCE(t->a, names));
}

static struct slice dns(const struct parts *t, const char *name)
{
    return MAKE_TLV(t->a, 0x82, slice_str(name));
}

static struct slice dates(const struct parts *t, int64_t from, int64_t to)
{
    return MAKE_SEQUENCE(t->a, utc(t->a, t->in->not_before + from),
                         utc(t->a, t->in->not_after + to));
}

static void version_1(struct parts *t) { t->version = SLICE_NONE; }
static void version_2(struct parts *t) { t->version = make_hex(t->a, "a003 020101"); }
static void serial_other(struct parts *t)
{
    t->serial = patched(t->a, t->serial, 2 + SERIAL_LEN - 1, 1);
}
static void serial_short(struct parts *t)
{
    t->serial = MAKE_TLV(t->a, 0x02, slice_of(t->serial_bytes, SERIAL_LEN - 1));
}
static void serial_long(struct parts *t)
{
    t->serial = MAKE_TLV(t->a, 0x02, slice_of(t->serial_bytes, SERIAL_LEN), SLICE_LIT("\1"));
}
static void serial_negative(struct parts *t) { t->serial = patched(t->a, t->serial, 2, 0x80); }
static void algorithm_sha384(struct parts *t)
{
    t->algorithm = MAKE_SEQUENCE(t->a, MAKE_TLV(t->a, 0x06, OID_ECDSA_SHA384));
}
static void algorithm_null(struct parts *t)
{
    t->algorithm = MAKE_SEQUENCE(t->a, MAKE_TLV(t->a, 0x06, OID_ECDSA_SHA256), MAKE_EMPTY(t->a, 5));
}
// The same name with another string type is another name here: bytes are copied.
static void issuer_string_type(struct parts *t)
{
    struct slice o = t->issuer_name;
    const uint8_t *at = memmem(o.p, o.n, "Issuing CA", 10);
    assert_non_null(at);
    t->issuer_name = patched(t->a, o, (size_t)(at - o.p) - 2, 0x0c ^ 0x13);
}
static void issuer_letter(struct parts *t)
{
    t->issuer_name = patched(t->a, t->issuer_name, t->issuer_name.n - 1, 0x20);
}
static void issuer_empty(struct parts *t) { t->issuer_name = MAKE_EMPTY(t->a, 0x30); }
static void longer(struct parts *t) { t->validity = dates(t, 0, 1); }
static void shorter(struct parts *t) { t->validity = dates(t, 0, -1); }
static void shifted(struct parts *t) { t->validity = dates(t, 3600, 3600); }
static void backwards(struct parts *t)
{
    t->validity = MAKE_SEQUENCE(t->a, utc(t->a, t->in->not_after), utc(t->a, t->in->not_before));
}
static void generalized_early(struct parts *t)
{
    struct slice u = utc(t->a, t->in->not_before);
    t->validity = MAKE_SEQUENCE(t->a,
                                MAKE_TLV(t->a, 0x18, SLICE_LIT("20"), slice_sub(u, 2, u.n - 2)),
                                utc(t->a, t->in->not_after));
}
static void third_date(struct parts *t)
{
    t->validity = MAKE_SEQUENCE(t->a, utc(t->a, t->in->not_before), utc(t->a, t->in->not_after),
                                utc(t->a, t->in->not_after));
}
static void subject_named(struct parts *t)
{
    t->subject = MAKE_SEQUENCE(
        t->a, make_rdn(t->a, OID_COMMON_NAME, 0x0c, SLICE_LIT("n0.internal.test")));
}
static void other_key(struct parts *t) { t->spki = make_spki(t->a, make_key(KEY_P256, 0, 1)); }
static void key_of_issuer(struct parts *t) { t->spki = t->issuer->cert.spki; }
static void unique_id(struct parts *t) { t->ids = make_hex(t->a, "81020001"); }

static void no_extensions(struct parts *t)
{
    for (size_t i = 0; i < EXT_COUNT; i++) t->extensions[i] = SLICE_NONE;
}
static void usage_missing(struct parts *t) { t->extensions[EXT_USAGE] = SLICE_NONE; }
static void eku_missing(struct parts *t) { t->extensions[EXT_EKU] = SLICE_NONE; }
static void ski_missing(struct parts *t) { t->extensions[EXT_SKI] = SLICE_NONE; }
static void aki_missing(struct parts *t) { t->extensions[EXT_AKI] = SLICE_NONE; }
static void san_missing(struct parts *t) { t->extensions[EXT_SAN] = SLICE_NONE; }
static void nra_missing(struct parts *t) { t->extensions[EXT_NRA] = SLICE_NONE; }
static void usage_twice(struct parts *t) { t->extensions[EXT_MORE] = t->extensions[EXT_USAGE]; }
static void san_twice(struct parts *t) { t->extensions[EXT_MORE] = t->extensions[EXT_SAN]; }
static void extension_unknown(struct parts *t)
{
    t->extensions[EXT_MORE] = make_extension(t->a, SLICE_LIT("\x2a\x03\x04"), false,
                                             make_hex(t->a, "0500"));
}
static void extension_instead(struct parts *t)
{
    extension_unknown(t);
    t->extensions[EXT_SKI] = SLICE_NONE;
}
static void ca_flag(struct parts *t)
{
    t->extensions[EXT_MORE] = make_extension(t->a, OID_BASIC_CONSTRAINTS, true,
                                             make_hex(t->a, "3003 0101ff"));
}
static void ca_flag_instead(struct parts *t)
{
    ca_flag(t);
    t->extensions[EXT_EKU] = SLICE_NONE;
}
static void constraints_of_a_leaf(struct parts *t)
{
    t->extensions[EXT_MORE] = make_extension(t->a, OID_BASIC_CONSTRAINTS, true,
                                             make_hex(t->a, "3000"));
}
static void extension_order(struct parts *t)
{
    struct slice first = t->extensions[EXT_USAGE];
    t->extensions[EXT_USAGE] = t->extensions[EXT_SAN];
    t->extensions[EXT_SAN] = first;
}

static void usage_is(struct parts *t, bool critical, const char *hex)
{
    t->extensions[EXT_USAGE] = make_extension(t->a, OID_KEY_USAGE, critical, make_hex(t->a, hex));
}
static void usage_cert_sign(struct parts *t) { usage_is(t, true, "03020284"); }
static void usage_encipher(struct parts *t) { usage_is(t, true, "030205a0"); }
static void usage_not_critical(struct parts *t) { usage_is(t, false, "03020780"); }

static void eku_is(struct parts *t, bool critical, struct slice a, struct slice b)
{
    t->extensions[EXT_EKU] = make_extension(t->a, OID_EXT_KEY_USAGE, critical,
                                            MAKE_SEQUENCE(t->a, a, b));
}
static struct slice oid(struct parts *t, const char *hex)
{
    return MAKE_TLV(t->a, 0x06, make_hex(t->a, hex));
}
static const char server_hex[] = "2b06010505070301", any_hex[] = "551d2500";
static void eku_client_too(struct parts *t)
{
    eku_is(t, false, oid(t, server_hex), oid(t, "2b06010505070302"));
}
static void eku_client_only(struct parts *t)
{
    eku_is(t, false, oid(t, "2b06010505070302"), SLICE_NONE);
}
static void eku_any(struct parts *t) { eku_is(t, false, oid(t, any_hex), SLICE_NONE); }
static void eku_unknown_too(struct parts *t)
{
    eku_is(t, false, oid(t, server_hex), oid(t, "2a0304"));
}
static void eku_code_signing(struct parts *t)
{
    eku_is(t, false, oid(t, "2b06010505070303"), SLICE_NONE);
}
static void eku_critical(struct parts *t) { eku_is(t, true, oid(t, server_hex), SLICE_NONE); }
static void eku_empty(struct parts *t) { eku_is(t, false, SLICE_NONE, SLICE_NONE); }

static void ski_is(struct parts *t, bool critical, struct slice id)
{
    t->extensions[EXT_SKI] = make_extension(t->a, OID_SUBJECT_KEY_ID, critical,
                                            MAKE_TLV(t->a, 0x04, id));
}
static void ski_other(struct parts *t) { ski_is(t, false, t->issuer->cert.ski); }
static void ski_short(struct parts *t)
{
    ski_is(t, false, slice_of(t->extensions[EXT_SKI].p + t->extensions[EXT_SKI].n - 19, 19));
}
static void ski_critical(struct parts *t)
{
    ski_is(t, true, slice_of(t->extensions[EXT_SKI].p + t->extensions[EXT_SKI].n - 20, 20));
}

static void aki_is(struct parts *t, bool critical, struct slice id, struct slice more)
{
    t->extensions[EXT_AKI] = make_extension(t->a, OID_AUTHORITY_KEY_ID, critical,
                                            MAKE_SEQUENCE(t->a, MAKE_TLV(t->a, 0x80, id), more));
}
static void aki_other(struct parts *t)
{
    aki_is(t, false, patched(t->a, t->issuer->cert.ski, 0, 1), SLICE_NONE);
}
static void aki_critical(struct parts *t) { aki_is(t, true, t->issuer->cert.ski, SLICE_NONE); }
static void aki_with_serial(struct parts *t)
{
    aki_is(t, false, t->issuer->cert.ski, make_hex(t->a, "82020102"));
}
static void aki_empty(struct parts *t)
{
    t->extensions[EXT_AKI] = make_extension(t->a, OID_AUTHORITY_KEY_ID, false,
                                            MAKE_EMPTY(t->a, 0x30));
}

static void san_not_critical(struct parts *t)
{
    t->extensions[EXT_SAN] = make_extension(t->a, OID_SUBJECT_ALT_NAME, false,
                                            names_of(t->a, t->in));
}
static void san_is(struct parts *t, struct slice a, struct slice b, struct slice c)
{
    t->extensions[EXT_SAN] = alt_names(t, true, MAKE_JOINED(t->a, a, b, c));
}
static void san_other(struct parts *t)
{
    san_is(t, dns(t, "n0.internal.test"), dns(t, "evil.internal.test"), SLICE_NONE);
}
static void san_fewer(struct parts *t)
{
    san_is(t, dns(t, "n0.internal.test"), SLICE_NONE, SLICE_NONE);
}
static void san_more(struct parts *t)
{
    san_is(t, names_of(t->a, t->in), SLICE_NONE, SLICE_NONE); // an inner SEQUENCE is no name
}
static void san_third(struct parts *t)
{
    struct slice all = SLICE_NONE;
    for (size_t i = 0; i < t->in->name_count; i++)
        all = MAKE_JOINED(t->a, all, MAKE_TLV(t->a, 0x82, t->in->names[i].value));
    san_is(t, all, dns(t, "z.internal.test"), SLICE_NONE);
}
static void san_uri(struct parts *t)
{
    struct slice all = SLICE_NONE;
    for (size_t i = 0; i < t->in->name_count; i++)
        all = MAKE_JOINED(t->a, all, MAKE_TLV(t->a, 0x82, t->in->names[i].value));
    san_is(t, all, MAKE_TLV(t->a, 0x86, SLICE_LIT("urn:certmill:role:acme")), SLICE_NONE);
}
static void san_email(struct parts *t)
{
    struct slice all = SLICE_NONE;
    for (size_t i = 0; i < t->in->name_count; i++)
        all = MAKE_JOINED(t->a, all, MAKE_TLV(t->a, 0x82, t->in->names[i].value));
    san_is(t, all, MAKE_TLV(t->a, 0x81, SLICE_LIT("a@b.test")), SLICE_NONE);
}
static void san_ip(struct parts *t)
{
    san_is(t, dns(t, "n0.internal.test"), MAKE_TLV(t->a, 0x87, SLICE_LIT("\x7f\0\0\1")),
           SLICE_NONE);
}
static void san_case(struct parts *t)
{
    struct slice e = t->extensions[EXT_SAN];
    t->extensions[EXT_SAN] = patched(t->a, e, e.n - 1, 0x20);
}
static void san_order(struct parts *t)
{
    san_is(t, MAKE_TLV(t->a, 0x82, t->in->names[1].value),
           MAKE_TLV(t->a, 0x82, t->in->names[0].value), SLICE_NONE);
}
static void san_nul(struct parts *t)
{
    struct slice e = t->extensions[EXT_SAN];
    t->extensions[EXT_SAN] = patched(t->a, e, e.n - 5, '.'); // "." of ".test" becomes NUL
}

static void nra_added(struct parts *t)
{
    t->extensions[EXT_NRA] = make_extension(t->a, OID_NO_REV_AVAIL, false, make_hex(t->a, "0500"));
}
static void nra_instead(struct parts *t)
{
    nra_added(t);
    t->extensions[EXT_EKU] = SLICE_NONE;
}
static void nra_critical(struct parts *t)
{
    t->extensions[EXT_NRA] = make_extension(t->a, OID_NO_REV_AVAIL, true, make_hex(t->a, "0500"));
}
static void nra_content(struct parts *t)
{
    t->extensions[EXT_NRA] = make_extension(t->a, OID_NO_REV_AVAIL, false,
                                            make_hex(t->a, "0101ff"));
}
static void nra_replaced(struct parts *t)
{
    extension_unknown(t);
    t->extensions[EXT_NRA] = SLICE_NONE;
}

static void tail_bytes(struct parts *t) { t->tail = SLICE_LIT("\5\0"); }
static void tail_certificate(struct parts *t)
{
    t->tail = MAKE_JOINED(t->a, t->issuer->algorithm, make_hex(t->a, "03020000"));
}
static void tail_inside(struct parts *t) { t->ids = make_hex(t->a, "a4020500"); }
static void truncated(struct parts *t)
{
    struct slice whole = assembled(t);
    t->whole = slice_sub(whole, 0, whole.n - 1);
}
static void empty(struct parts *t) { t->whole = slice_of("", 0); }
// 30 82 xx xx becomes 30 83 00 xx xx.
static void length_not_minimal(struct parts *t)
{
    struct slice w = assembled(t);
    assert_int_equal(w.p[1], 0x82);
    t->whole = MAKE_JOINED(t->a, SLICE_LIT("\x30\x83\0"), slice_sub(w, 2, w.n - 2));
}
static void inner_length_not_minimal(struct parts *t) { t->subject = make_hex(t->a, "308100"); }
static void length_indefinite(struct parts *t)
{
    struct slice w = assembled(t);
    t->whole = MAKE_JOINED(t->a, SLICE_LIT("\x30\x80"), slice_sub(w, 4, w.n - 4),
                           SLICE_LIT("\0\0"));
}
static void critical_false_written(struct parts *t)
{
    struct slice e = t->extensions[EXT_EKU];
    struct slice value = slice_sub(e, 2 + 5, e.n - 7);
    t->extensions[EXT_EKU] = MAKE_SEQUENCE(t->a, MAKE_TLV(t->a, 0x06, OID_EXT_KEY_USAGE),
                                           make_hex(t->a, "010100"), value);
}

static const struct {
    const char *what;
    void (*change)(struct parts *);
    bool no_rev;
    const char *want; // in the sentence
} rows[] = {
    {"version 1", version_1, false, "not version 3"},
    {"version 2", version_2, false, "not version 3"},
    {"another serial", serial_other, false, "the serial is not the intent's"},
    {"a short serial", serial_short, false, "the serial is not the intent's"},
    {"a serial of 21 octets", serial_long, false, "serial number is not positive or too long"},
    {"a negative serial", serial_negative, false, "serial number is not positive or too long"},
    {"SHA-384", algorithm_sha384, false, "two different signature algorithms"},
    {"algorithm parameters", algorithm_null, false, "two different signature algorithms"},
    {"issuer as another string type", issuer_string_type, false, "issuer's name is not copied"},
    {"a letter of the issuer's name", issuer_letter, false, "issuer's name is not copied"},
    {"an empty issuer", issuer_empty, false, "issuer's name is not copied"},
    {"a second longer", longer, false, "the dates are not the intent's"},
    {"a second shorter", shorter, false, "the dates are not the intent's"},
    {"an hour later", shifted, false, "the dates are not the intent's"},
    {"dates in the wrong order", backwards, false, "the dates are not the intent's"},
    {"GeneralizedTime before 2050", generalized_early, false, "validity"},
    {"a third date", third_date, false, "validity"},
    {"a subject", subject_named, false, "the subject is not empty"},
    {"another key", other_key, false, "the key is not the intent's"},
    {"the issuer's key", key_of_issuer, false, "the key is not the intent's"},
    {"an issuerUniqueID", unique_id, false, "extensions"},
    {"no extensions", no_extensions, false, "the names are not the intent's"},
    {"no keyUsage", usage_missing, false, "there are other extensions than the template's"},
    {"no extendedKeyUsage", eku_missing, false, "there are other extensions than the template's"},
    {"no SKI", ski_missing, false, "there are other extensions than the template's"},
    {"no AKI", aki_missing, false, "there are other extensions than the template's"},
    {"no SAN", san_missing, false, "the names are not the intent's"},
    {"keyUsage twice", usage_twice, false, "an extension is there twice"},
    {"SAN twice", san_twice, false, "an extension is there twice"},
    {"an unknown extension", extension_unknown, false, "there are other extensions"},
    {"an unknown extension for the SKI", extension_instead, false, "subjectKeyIdentifier"},
    {"the CA flag", ca_flag, false, "there are other extensions"},
    {"the CA flag for the extendedKeyUsage", ca_flag_instead, false, "extendedKeyUsage is wrong"},
    {"basicConstraints of a leaf", constraints_of_a_leaf, false, "there are other extensions"},
    {"another order of extensions", extension_order, false,
     "keyUsage is wrong or not in its place"},
    {"keyCertSign", usage_cert_sign, false, "keyUsage is wrong"},
    {"keyEncipherment with an EC key", usage_encipher, false, "keyUsage is wrong"},
    {"keyUsage not critical", usage_not_critical, false, "keyUsage is wrong"},
    {"clientAuth as well", eku_client_too, false, "extendedKeyUsage is wrong"},
    {"clientAuth alone", eku_client_only, false, "extendedKeyUsage is wrong"},
    {"anyExtendedKeyUsage", eku_any, false, "extendedKeyUsage is wrong"},
    {"an unknown purpose as well", eku_unknown_too, false, "extendedKeyUsage is wrong"},
    {"codeSigning", eku_code_signing, false, "extendedKeyUsage is wrong"},
    {"extendedKeyUsage critical", eku_critical, false, "extendedKeyUsage is wrong"},
    {"extendedKeyUsage empty", eku_empty, false, "extendedKeyUsage is wrong"},
    {"the issuer's SKI", ski_other, false, "subjectKeyIdentifier"},
    {"a short SKI", ski_short, false, "subjectKeyIdentifier"},
    {"SKI critical", ski_critical, false, "subjectKeyIdentifier"},
    {"another AKI", aki_other, false, "authorityKeyIdentifier"},
    {"AKI critical", aki_critical, false, "authorityKeyIdentifier"},
    {"AKI with a serial", aki_with_serial, false, "authorityKeyIdentifier"},
    {"AKI without key id", aki_empty, false, "authorityKeyIdentifier"},
    {"SAN not critical", san_not_critical, false, "subjectAltName is not critical"},
    {"another name", san_other, false, "the names are not the intent's"},
    {"a name less", san_fewer, false, "the names are not the intent's"},
    {"a SEQUENCE as name", san_more, false, "the certificate is malformed: subjectAltName"},
    {"a name more", san_third, false, "the names are not the intent's"},
    {"a URI more", san_uri, false, "the names are not the intent's"},
    {"an e-mail address more", san_email, false, "the names are not the intent's"},
    {"an address for a name", san_ip, false, "the names are not the intent's"},
    {"a capital letter", san_case, false, "the names are not the intent's"},
    {"names in another order", san_order, false, "the names are not the intent's"},
    {"a NUL in a name", san_nul, false, "the names are not the intent's"},
    {"noRevAvail not in the profile", nra_added, false, "there are other extensions"},
    {"noRevAvail for the extendedKeyUsage", nra_instead, false, "extendedKeyUsage is wrong"},
    {"noRevAvail missing", nra_missing, true, "there are other extensions"},
    {"noRevAvail critical", nra_critical, true, "noRevAvail is wrong"},
    {"noRevAvail with a content", nra_content, true, "noRevAvail is wrong"},
    {"something for noRevAvail", nra_replaced, true, "noRevAvail is wrong"},
    {"bytes behind the end", tail_bytes, false, "exactly one DER value"},
    {"a whole certificate's end behind the end", tail_certificate, false, "exactly one DER value"},
    {"bytes inside the end", tail_inside, false, "extensions"},
    {"the last byte missing", truncated, false, "exactly one DER value"},
    {"nothing", empty, false, "exactly one DER value"},
    {"a length not minimal", length_not_minimal, false, "exactly one DER value"},
    {"an inner length not minimal", inner_length_not_minimal, false, "exactly one DER value"},
    {"an indefinite length", length_indefinite, false, "exactly one DER value"},
    {"a default that is written", critical_false_written, false, "extension"},
};

static void refuses_each_mutation(void **state)
{
    (void)state;
    size_t missed = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture_profile *p = rows[i].no_rev ? &no_rev : &plain;
        uint8_t serial[SERIAL_LEN];
        struct arena a;
        arena_init(&a, 1 << 20);
        struct intent in = fixture_intent(
            &a, &p->profile, &issuer, make_spki(&a, make_key(KEY_P256, 0, 0)), 2, FIXTURE_NOW_S);
        serial_of(serial, &in);
        struct parts t = good(&a, &issuer, p, &in, KEY_P256, serial);
        assert_null(lint_tbs(&a, assembled(&t), &in, &p->profile, &issuer, serial));
        rows[i].change(&t);
        const char *got = lint_tbs(&a, assembled(&t), &in, &p->profile, &issuer, serial);
        if (got == NULL || strstr(got, rows[i].want) == NULL) {
            print_error("%s: got \"%s\", want \"%s\"\n", rows[i].what, got == NULL ? "" : got,
                        rows[i].want);
            missed++;
        }
        arena_fini(&a);
    }
    assert_int_equal(missed, 0);
}

// The place of the CRL: where the profile says, this shard's, and nothing beside it.
static void refuses_each_other_place_of_the_crl(void **state)
{
    (void)state;
    struct fixture_profile p;
    uint8_t serial[SERIAL_LEN];
    struct arena a;
    fixture_profile_init(&p, "crl");
    p.settings.crl_url = "http://crl.test/crl";
    fixture_profile_remake(&p);
    arena_init(&a, 8 << 20);
    struct intent in = fixture_intent(&a, &p.profile, &issuer,
                                      make_spki(&a, make_key(KEY_P256, 0, 0)), 2, FIXTURE_NOW_S);
    serial_of(serial, &in);
    struct parts t = good(&a, &issuer, &p, &in, KEY_P256, serial);
    struct slice right = crl_url(&a, "http://crl.test/crl", &in), uri = MAKE_TLV(&a, 0x86, right),
                 point = MAKE_SEQUENCE(&a, MAKE_TLV(&a, 0xa0, MAKE_TLV(&a, 0xa0, uri)));
    assert_null(lint_tbs(&a, assembled(&t), &in, &p.profile, &issuer, serial));
    const struct slice wrong[] = {
        SLICE_NONE,
        make_extension(&a, OID_NO_REV_AVAIL, false, make_hex(&a, "0500")),
        crl_points(&a, crl_url(&a, "http://crl.test/cr", &in)),
        crl_points(&a, MAKE_JOINED(&a, right, SLICE_LIT("x"))),
        crl_points(&a, slice_sub(right, 0, right.n - 1)),
        crl_points(&a, make_text(&a, "http://crl.test/crl/1/%u.crl", in.crl_shard + 1)),
        crl_points(&a, make_text(&a, "http://crl.test/crl/2/%u.crl", in.crl_shard)),
        make_extension(&a, OID_CRL_DISTRIBUTION_POINTS, true, MAKE_SEQUENCE(&a, point)),
        make_extension(&a, OID_CRL_DISTRIBUTION_POINTS, false, MAKE_SEQUENCE(&a, point, point)),
        make_extension(
            &a, OID_CRL_DISTRIBUTION_POINTS, false,
            MAKE_SEQUENCE(&a, MAKE_SEQUENCE(&a, MAKE_TLV(&a, 0xa0, MAKE_TLV(&a, 0xa0, uri, uri))))),
        make_extension(
            &a, OID_CRL_DISTRIBUTION_POINTS, false,
            MAKE_SEQUENCE(&a, MAKE_SEQUENCE(&a, MAKE_TLV(&a, 0xa0, MAKE_TLV(&a, 0xa0, uri)),
                                            make_hex(&a, "810106")))),
        make_extension(
            &a, OID_CRL_DISTRIBUTION_POINTS, false,
            MAKE_SEQUENCE(&a, MAKE_SEQUENCE(&a, MAKE_TLV(&a, 0xa1, MAKE_TLV(&a, 0xa0, uri))))),
        make_extension(&a, OID_CRL_DISTRIBUTION_POINTS, false, make_hex(&a, "3000")),
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        t.extensions[EXT_NRA] = wrong[i];
        if (lint_tbs(&a, assembled(&t), &in, &p.profile, &issuer, serial) == NULL)
            fail_msg("place %zu is accepted", i);
    }
    t.extensions[EXT_NRA] = crl_points(&a, right);
    in.crl_shard += CRL_PARTS_MAX; // the next hour's
    t.extensions[EXT_NRA] = crl_points(&a, crl_url(&a, "http://crl.test/crl", &in));
    assert_non_null(lint_tbs(&a, assembled(&t), &in, &p.profile, &issuer, serial));
    arena_fini(&a);
}

// Each byte of a good TBS counts: no change of one leaves it good.
static void refuses_any_flipped_byte(void **state)
{
    (void)state;
    struct arena a;
    uint8_t serial[SERIAL_LEN];
    arena_init(&a, 16 << 20);
    struct intent in = fixture_intent(&a, &no_rev.profile, &issuer,
                                      make_spki(&a, make_key(KEY_P256, 0, 0)), 2, FIXTURE_NOW_S);
    serial_of(serial, &in);
    struct parts t = good(&a, &issuer, &no_rev, &in, KEY_P256, serial);
    struct slice whole = assembled(&t);
    for (size_t i = 0; i < whole.n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct arena scratch;
            arena_init(&scratch, 1 << 20);
            struct slice bad = patched(&scratch, whole, i, (uint8_t)(1 << bit));
            if (lint_tbs(&scratch, bad, &in, &no_rev.profile, &issuer, serial) == NULL)
                fail_msg("bit %u of byte %zu may be flipped", bit, i);
            arena_fini(&scratch);
        }
    arena_fini(&a);
}

// ---- what fits the TBS and not the rules

static struct intent base(struct arena *a, const struct fixture_profile *p)
{
    return fixture_intent(a, &p->profile, &issuer, make_spki(a, make_key(KEY_P256, 0, 0)), 2,
                          FIXTURE_NOW_S);
}

static const char *linted(struct arena *a, struct intent *in, const struct fixture_profile *p,
                          const uint8_t *serial)
{
    struct parts t = good(a, &issuer, p, in, KEY_P256, serial);
    return lint_tbs(a, assembled(&t), in, &p->profile, &issuer, serial);
}

static void assert_says(const char *got, const char *want)
{
    if (got == NULL || strstr(got, want) == NULL)
        fail_msg("got \"%s\", want \"%s\"", got == NULL ? "" : got, want);
}

static void refuses_intents_outside_the_rules(void **state)
{
    (void)state;
    uint8_t serial[SERIAL_LEN];
    struct intent in = base(&arena, &plain);
    in.not_after++;
    serial_of(serial, &in);
    assert_says(linted(&arena, &in, &plain, serial), "the validity is longer than the profile's");
    in.not_after = in.not_before - 1;
    assert_says(linted(&arena, &in, &plain, serial), "end before it begins");
    in.not_after = in.not_before + 59; // shorter is the client's wish
    assert_null(linted(&arena, &in, &plain, serial));

    in = base(&arena, &plain);
    in.not_before = issuer.cert.not_after - FIXTURE_VALIDITY_S + 2;
    in.not_after = issuer.cert.not_after + 1;
    serial_of(serial, &in);
    assert_says(linted(&arena, &in, &plain, serial), "within the issuer's life");
    in.not_before--, in.not_after--; // the last second that is the issuer's, too
    serial_of(serial, &in);
    assert_null(linted(&arena, &in, &plain, serial));

    in = base(&arena, &plain);
    in.not_before = issuer.cert.not_before - 1;
    in.not_after = in.not_before + FIXTURE_VALIDITY_S - 1;
    serial_of(serial, &in);
    assert_says(linted(&arena, &in, &plain, serial), "within the issuer's life");

    in = base(&arena, &plain);
    struct fixture_profile narrow;
    fixture_profile_init(&narrow, "narrow");
    narrow.names[0] = "other.test";
    narrow.settings.names.count = 1;
    fixture_profile_remake(&narrow);
    serial_of(serial, &in);
    assert_says(linted(&arena, &in, &narrow, serial), "a name is outside the profile's");
    narrow.names[0] = "internal.test";
    narrow.kinds[0] = "P-384";
    narrow.settings.key_kinds.count = 1;
    fixture_profile_remake(&narrow);
    assert_says(linted(&arena, &in, &narrow, serial), "the key is not of a kind");

    in = base(&arena, &plain);
    fixture_names(&in, &arena, "*.internal.test");
    serial_of(serial, &in);
    assert_says(linted(&arena, &in, &plain, serial), "a name is outside the profile's");
}

// The serial must lie where the intent says: hour, issuer, region.
static void refuses_serials_out_of_place(void **state)
{
    (void)state;
    static const struct {
        size_t octet;
        uint8_t flip;
    } places[] = {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 0x40}, {4, 1}};
    uint8_t serial[SERIAL_LEN];
    struct intent in = base(&arena, &plain);
    serial_of(serial, &in);
    assert_null(linted(&arena, &in, &plain, serial));
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        serial_of(serial, &in);
        serial[places[i].octet] ^= places[i].flip;
        assert_says(linted(&arena, &in, &plain, serial),
                    "the serial does not begin with the intent's hour, issuer and region");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_built),
        cmocka_unit_test(accepts_under_each_issuer),
        cmocka_unit_test(refuses_each_mutation),
        cmocka_unit_test(refuses_each_other_place_of_the_crl),
        cmocka_unit_test(refuses_any_flipped_byte),
        cmocka_unit_test(refuses_intents_outside_the_rules),
        cmocka_unit_test(refuses_serials_out_of_place),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
