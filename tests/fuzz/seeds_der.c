#include "proto/der/der.h"
#include "tests/fuzz/seeds.h"
#include "tests/support/make.h"

static struct slice common_name(struct arena *a, const char *text)
{
    return MAKE_SEQUENCE(a, make_rdn(a, OID_COMMON_NAME, 0x0c, slice_str(text)));
}

// names is a whole subjectAltName extension around GeneralNames in hexadecimal.
static struct slice names(struct arena *a, const char *hex)
{
    return make_extension(a, OID_SUBJECT_ALT_NAME, true, MAKE_SEQUENCE(a, make_hex(a, hex)));
}

static struct slice request_attribute(struct arena *a, struct slice oid, struct slice extensions)
{
    return MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, oid),
                         MAKE_TLV(a, 0x31, MAKE_SEQUENCE(a, extensions)));
}

static void csr_keys(struct seeds *s)
{
    struct arena *a = &s->arena;
    seed(s, "csr", "p256.der", make_csr_for(a, make_key(KEY_P256, 0, 0), "a.example,b.example"));
    seed(s, "csr", "p384.der", make_csr_for(a, make_key(KEY_P384, 0, 0), "*.a.example"));
    seed(s, "csr", "p521.der", make_csr_for(a, make_key(KEY_P521, 0, 0), "a.example"));
    seed(s, "csr", "rsa2048.der", make_csr_for(a, make_key(KEY_RSA, 2048, 0), "A.Example"));
    seed(s, "csr", "ed25519.der", make_csr_for(a, make_key(KEY_ED25519, 0, 0), "xn--4ca.example"));
}

static void csr(struct seeds *s)
{
    struct arena *a = &s->arena;
    EVP_PKEY *key = make_key(KEY_P256, 0, 0);
    struct slice san = make_alt_names(a, "a.example");
    struct slice request = request_attribute(a, OID_EXTENSION_REQUEST, san);
    struct slice usage = make_extension(a, OID_KEY_USAGE, true, SLICE_LIT("\3\2\7\x80"));
    struct slice password = MAKE_SEQUENCE(
        a, MAKE_TLV(a, 0x06, SLICE_LIT("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07")),
        MAKE_TLV(a, 0x31, MAKE_TLV(a, 0x0c, SLICE_LIT("secret"))));
    const struct {
        const char *name;
        struct make_csr parts;
    } rows[] = {
        {"common_name_only.der", {.subject = common_name(a, "a.example")}},
        {"common_name_too.der", {.subject = common_name(a, "c.example"), .extensions = san}},
        {"common_name_address.der", {.subject = common_name(a, "10.0.0.1")}},
        {"common_name_empty.der", {.subject = common_name(a, ""), .extensions = san}},
        {"addresses.der",
         {.extensions = names(a, "87040a000001 871020010db8000000000000000000000001")}},
        {"other_name.der", {.extensions = names(a, "a007 06022a03 a0010c")}},
        {"mail_name.der", {.extensions = names(a, "8103614062")}},
        {"more_extensions.der", {.extensions = MAKE_JOINED(a, usage, san)}},
        {"twin_extension.der", {.extensions = MAKE_JOINED(a, san, san)}},
        {"microsoft.der", {.attributes = request_attribute(a, OID_MS_EXTENSION_REQUEST, san)}},
        {"more_attributes.der", {.attributes = MAKE_JOINED(a, password, request)}},
        {"two_requests.der", {.attributes = MAKE_JOINED(a, request, request)}},
        {"no_attributes.der", {.subject = common_name(a, "a.example"), .no_attributes = true}},
        {"bad_signature.der", {.extensions = san, .signer = make_key(KEY_P256, 0, 1)}},
        {"version_1.der", {.extensions = san, .version = SLICE_LIT("\2\1\1")}},
        {"tail.der", {.extensions = san, .tail = SLICE_LIT("\5\0")}},
        {"bmp_subject.der",
         {.extensions = san,
          .subject = MAKE_SEQUENCE(
              a, make_rdn(a, SLICE_LIT("\x55\x04\x0a"), 0x1e, SLICE_LIT("\0A\0b")))}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct make_csr parts = rows[i].parts;
        parts.key = key;
        seed(s, "csr", rows[i].name, make_csr(a, &parts));
    }
    seed(s, "csr", "long_length.der", SLICE_LIT("\x30\x81\x05\x30\x03\2\1\0"));
    seed(s, "csr", "indefinite.der", SLICE_LIT("\x30\x80\x30\x80\2\1\0\0\0\0\0"));
}

static struct slice leaf_extensions(struct arena *a)
{
    return MAKE_JOINED(
        a, names(a, "8209612e6578616d706c65 87040a000001"),
        make_extension(a, OID_AUTHORITY_KEY_ID, false, make_hex(a, "30048002abcd")),
        make_extension(a, OID_SUBJECT_KEY_ID, false, make_hex(a, "0403010203")),
        make_extension(a, OID_EXT_KEY_USAGE, false, make_hex(a, "300a06082b06010505070301")));
}

static void cert(struct seeds *s)
{
    struct arena *a = &s->arena;
    EVP_PKEY *key = make_key(KEY_P256, 0, 0), *ca = make_key(KEY_P384, 0, 0);
    struct slice late = MAKE_SEQUENCE(a, MAKE_TLV(a, 0x17, SLICE_LIT("491231235959Z")),
                                      MAKE_TLV(a, 0x18, SLICE_LIT("20500101000000Z")));
    const struct {
        const char *name;
        struct make_cert parts;
    } rows[] = {
        {"leaf.der", {.issuer_key = ca, .extensions = leaf_extensions(a)}},
        {"own_signature.der", {.issuer_key = key, .extensions = leaf_extensions(a)}},
        {"authority.der",
         {.issuer_key = ca,
          .subject = common_name(a, "CA"),
          .extensions = make_extension(a, OID_BASIC_CONSTRAINTS, true,
                                       make_hex(a, "30060101ff020100"))}},
        {"no_extensions.der", {.issuer_key = ca}},
        {"year_2050.der", {.issuer_key = ca, .validity = late}},
        {"serial_of_20.der",
         {.issuer_key = ca,
          .serial = make_hex(a, "0214 007fffffffffffffffffffffffffffffffffffff")}},
        {"serial_with_sign.der", {.issuer_key = ca, .serial = make_hex(a, "0202 0080")}},
        {"serial_zero.der", {.issuer_key = ca, .serial = make_hex(a, "020100")}},
        {"uri_name.der", {.issuer_key = ca, .extensions = names(a, "8607 7370696666653a 820161")}},
        {"key_id_with_issuer.der",
         {.issuer_key = ca,
          .extensions = make_extension(a, OID_AUTHORITY_KEY_ID, false,
                                       make_hex(a, "300a 8001aa a1028200 820105"))}},
        {"version_1.der", {.issuer_key = ca, .version = SLICE_NONE}},
        {"unique_id.der", {.issuer_key = ca, .tbs_tail = make_hex(a, "8102 00ff")}},
        {"algorithms_differ.der",
         {.issuer_key = ca, .outer_algorithm = make_hex(a, "300506032b6570")}},
        {"tail.der", {.issuer_key = ca, .tail = SLICE_LIT("\5\0")}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct make_cert parts = rows[i].parts;
        parts.key = key;
        seed(s, "cert", rows[i].name, make_cert(a, &parts));
    }
    EVP_PKEY *rsa = make_key(KEY_RSA, 2048, 0), *ed = make_key(KEY_ED25519, 0, 0);
    seed(s, "cert", "rsa_own_signature.der",
         make_cert(a, &(struct make_cert){.key = rsa, .issuer_key = rsa}));
    seed(s, "cert", "ed25519_own_signature.der",
         make_cert(a, &(struct make_cert){.key = ed, .issuer_key = ed}));
}

// crl_make is a list of these entries and a place, signed.
static struct slice crl_make(struct arena *a, EVP_PKEY *key, struct slice entries,
                             struct slice place)
{
    static const uint8_t no_unused_bits[] = {0};
    struct slice extensions = MAKE_JOINED(
        a, make_extension(a, OID_AUTHORITY_KEY_ID, false, make_hex(a, "3004 8002 abcd")),
        make_extension(a, OID_CRL_NUMBER, false, make_hex(a, "0206 019aa0b1c2d3")), place);
    struct slice tbs = MAKE_SEQUENCE(a, make_hex(a, "020101"), make_algorithm(a, key),
                                     common_name(a, "CA"),
                                     MAKE_TLV(a, 0x17, SLICE_LIT("260102000000Z")),
                                     MAKE_TLV(a, 0x18, SLICE_LIT("20500103000000Z")), entries,
                                     MAKE_TLV(a, 0xa0, MAKE_SEQUENCE(a, extensions)));
    return MAKE_SEQUENCE(
        a, tbs, make_algorithm(a, key),
        MAKE_TLV(a, 0x03, slice_of(no_unused_bits, 1), make_signature(a, key, tbs)));
}

static void crl(struct seeds *s)
{
    struct arena *a = &s->arena;
    EVP_PKEY *key = make_key(KEY_P256, 0, 0);
    struct slice date = MAKE_TLV(a, 0x17, SLICE_LIT("260101000000Z")),
                 reason = MAKE_SEQUENCE(
                     a, make_extension(a, OID_CRL_REASON, false, make_hex(a, "0a0104"))),
                 one = MAKE_SEQUENCE(a, make_hex(a, "020300ff01"), date),
                 two = MAKE_SEQUENCE(a, make_hex(a, "020107"), date, reason),
                 url = MAKE_TLV(a, 0x86, SLICE_LIT("http://crl.test/crl/1/7.crl")),
                 place = make_extension(
                     a, OID_ISSUING_DISTRIBUTION_POINT, true,
                     MAKE_SEQUENCE(a, MAKE_TLV(a, 0xa0, MAKE_TLV(a, 0xa0, url, url))));
    seed(s, "crl", "empty.der", crl_make(a, key, SLICE_NONE, place));
    seed(s, "crl", "two.der", crl_make(a, key, MAKE_SEQUENCE(a, one, two), place));
    seed(s, "crl", "no_place.der", crl_make(a, key, MAKE_SEQUENCE(a, two), SLICE_NONE));
    seed(s, "crl", "empty_list.der", crl_make(a, key, MAKE_EMPTY(a, 0x30), place));
    seed(s, "crl", "rsa.der",
         crl_make(a, make_key(KEY_RSA, 2048, 0), MAKE_SEQUENCE(a, one), place));
}

// alpn_cert: for a.test and the digest 010203 with 29 zeros, which the target asks for.
static void alpn_cert(struct seeds *s)
{
    struct arena *a = &s->arena;
    EVP_PKEY *key = make_key(KEY_P256, 0, 0), *rsa = make_key(KEY_RSA, 2048, 0);
    struct slice digest = MAKE_JOINED(a, make_hex(a, "0420 010203"),
                                      slice_of((uint8_t[29]){0}, 29)),
                 name = common_name(a, "ACME"),
                 good = make_extension(a, OID_ACME_IDENTIFIER, true, digest);
    const struct {
        const char *name;
        EVP_PKEY *key;
        struct slice extensions;
    } rows[] = {
        {"good.der", key, MAKE_JOINED(a, make_alt_names(a, "a.test"), good)},
        {"good_rsa.der", rsa, MAKE_JOINED(a, make_alt_names(a, "A.test"), good)},
        {"two_names.der", key, MAKE_JOINED(a, make_alt_names(a, "a.test,b.test"), good)},
        {"not_critical.der", key,
         MAKE_JOINED(a, make_alt_names(a, "a.test"),
                     make_extension(a, OID_ACME_IDENTIFIER, false, digest))},
        {"no_names.der", key, good},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "alpn_cert", rows[i].name,
             make_cert(a, &(struct make_cert){.key = rows[i].key,
                                              .issuer_key = rows[i].key,
                                              .issuer = name,
                                              .subject = name,
                                              .extensions = rows[i].extensions}));
}

void seeds_der(struct seeds *s)
{
    csr_keys(s);
    csr(s);
    cert(s);
    crl(s);
    alpn_cert(s);
}
