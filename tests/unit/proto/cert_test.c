// cert: the parts of good certificates, one defect per case, and signatures under the right and the
// wrong key.
#include "proto/der/cert.h"

#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

static struct arena arena;
static const char *note;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 25);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static EVP_PKEY *leaf(void) { return make_key(KEY_P256, 0, 0); }
static EVP_PKEY *issuer(void) { return make_key(KEY_P384, 0, 0); }

static struct cert parsed(struct slice der)
{
    struct cert c;
    note = "";
    struct err e = cert_parse(&c, &note, &arena, der);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    return c;
}

static void refused(struct slice der, const char *defect)
{
    struct cert c = {.path_len = 77};
    note = NULL;
    struct err e = cert_parse(&c, &note, &arena, der);
    if (!failed(e)) print_error("%s\n", defect);
    assert_err(e, ERR_BAD_CERT);
    assert_true(note != NULL && strlen(note) > 10);
    assert_int_equal(c.path_len, 77);
}

static struct slice extension(struct slice oid, const char *hex)
{
    return make_extension(&arena, oid, false, make_hex(&arena, hex));
}

static void reads_the_parts(void **state)
{
    (void)state;
    struct slice names = MAKE_SEQUENCE(
        &arena, MAKE_TLV(&arena, 0x82, SLICE_LIT("b.example")),
        MAKE_TLV(&arena, 0x86, SLICE_LIT("urn:certmill:role:signer")),
        MAKE_TLV(&arena, 0x82, SLICE_LIT("A.example")),
        MAKE_TLV(&arena, 0x87, SLICE_LIT("\x0a\1\2\3")),
        MAKE_TLV(&arena, 0x86, SLICE_LIT("urn:x")));
    struct slice extensions = MAKE_JOINED(
        &arena, make_extension(&arena, OID_SUBJECT_ALT_NAME, true, names),
        extension(OID_AUTHORITY_KEY_ID, "3004 8002 abcd"),
        extension(OID_SUBJECT_KEY_ID, "0403 010203"), extension(OID_BASIC_CONSTRAINTS, "3000"),
        extension(OID_EXT_KEY_USAGE, "300a06082b06010505070301"));
    struct make_cert parts = {.key = leaf(),
                              .issuer_key = issuer(),
                              .extensions = extensions,
                              .serial = SLICE_LIT("\2\3\0\xff\1")};
    struct slice der = make_cert(&arena, &parts);
    struct cert c = parsed(der);
    assert_slice(c.der, der);
    assert_slice(c.serial, SLICE_LIT("\0\xff\1"));
    assert_slice(c.spki, make_spki(&arena, leaf()));
    assert_slice(c.algorithm, make_algorithm(&arena, issuer()));
    assert_slice(c.issuer, MAKE_SEQUENCE(&arena, make_rdn(&arena, OID_COMMON_NAME, 0x0c,
                                                          SLICE_LIT("Issuer"))));
    assert_slice(c.subject, SLICE_LIT("\x30\0"));
    assert_true(c.not_before == 1767225600 && c.not_after == 1767312000);
    assert_int_equal(c.extension_count, 5);
    assert_true(c.extensions[0].critical);
    assert_false(c.extensions[4].critical);
    assert_slice(cert_extension_find(&c, OID_EXT_KEY_USAGE)->value,
                 make_hex(&arena, "300a06082b06010505070301"));
    assert_null(cert_extension_find(&c, OID_KEY_USAGE));
    assert_int_equal(c.name_count, 3);
    assert_slice_str(c.names[0].value, "b.example");
    assert_slice_str(c.names[1].value, "A.example"); // as written
    assert_int_equal(c.names[2].type, IDENTIFIER_IP);
    assert_int_equal(c.other_name_count, 2);
    assert_slice_str(c.uri, "urn:certmill:role:signer");
    assert_slice(c.aki, SLICE_LIT("\xab\xcd"));
    assert_slice(c.ski, SLICE_LIT("\1\2\3"));
    assert_false(c.is_ca);
    assert_int_equal(c.path_len, -1);
}

static void reads_a_bare_one_and_a_ca(void **state)
{
    (void)state;
    struct make_cert parts = {.key = leaf(), .issuer_key = issuer()};
    struct cert c = parsed(make_cert(&arena, &parts));
    assert_int_equal(c.extension_count, 0);
    assert_int_equal(c.aki.n, 0);
    parts.extensions = extension(OID_BASIC_CONSTRAINTS, "3003 0101ff");
    c = parsed(make_cert(&arena, &parts));
    assert_true(c.is_ca);
    assert_int_equal(c.path_len, -1);
    parts.extensions = extension(OID_BASIC_CONSTRAINTS, "3006 0101ff 020100");
    assert_int_equal(parsed(make_cert(&arena, &parts)).path_len, 0);
    parts.extensions = extension(OID_AUTHORITY_KEY_ID, "3000");
    assert_int_equal(parsed(make_cert(&arena, &parts)).aki.n, 0);
    parts.extensions = SLICE_NONE;
    parts.validity = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x17, SLICE_LIT("491231235959Z")),
                                   MAKE_TLV(&arena, 0x18, SLICE_LIT("20500101000000Z")));
    c = parsed(make_cert(&arena, &parts));
    assert_true(c.not_before + 1 == c.not_after);
}

static void verifies_only_under_the_issuer(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[] = {{KEY_P256, 0}, {KEY_P384, 0}, {KEY_P521, 0}, {KEY_RSA, 2048}, {KEY_ED25519, 0}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = make_key(kinds[i].type, kinds[i].bits, 0);
        struct slice der = make_cert(&arena, &(struct make_cert){.key = leaf(), .issuer_key = key});
        struct cert c = parsed(der);
        assert_ok(cert_verify_signed_by(&c, make_spki(&arena, key)));
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            assert_err(cert_verify_signed_by(
                           &c, make_spki(&arena, make_key(kinds[k].type, kinds[k].bits, 1))),
                       ERR_BAD_CERT_SIGNATURE);
        }
        assert_err(cert_verify_signed_by(&c, SLICE_NONE), ERR_BAD_CERT_SIGNATURE);
        c.tbs = slice_sub(c.tbs, 0, c.tbs.n - 1);
        assert_err(cert_verify_signed_by(&c, make_spki(&arena, key)), ERR_BAD_CERT_SIGNATURE);
    }
}

static void refuses_each_defect(void **state)
{
    (void)state;
#define CERT(...)                                          \
    {                                                      \
        .key = leaf(), .issuer_key = issuer(), __VA_ARGS__ \
    }
#define WITH(oid, hex) CERT(.extensions = extension(oid, hex))
#define VALIDITY(...) CERT(.validity = MAKE_SEQUENCE(&arena, __VA_ARGS__))
    struct slice utc = MAKE_TLV(&arena, 0x17, SLICE_LIT("260101000000Z")),
                 general = MAKE_TLV(&arena, 0x18, SLICE_LIT("20260101000000Z"));
    struct slice ski = extension(OID_SUBJECT_KEY_ID, "040101");
    struct slice octets = make_hex(&arena, "300304012a");
    const struct {
        const char *defect;
        struct make_cert parts;
    } cases[] = {
        {"version 1", CERT(.version = SLICE_LIT(""))},
        {"version 1 written out", CERT(.version = SLICE_LIT("\xa0\3\2\1\0"))},
        {"version 2", CERT(.version = SLICE_LIT("\xa0\3\2\1\1"))},
        {"version 4", CERT(.version = SLICE_LIT("\xa0\3\2\1\3"))},
        {"version with a tail", CERT(.version = SLICE_LIT("\xa0\5\2\1\2\5\0"))},
        {"serial 0", CERT(.serial = SLICE_LIT("\2\1\0"))},
        {"serial negative", CERT(.serial = SLICE_LIT("\2\1\x80"))},
        {"serial padded", CERT(.serial = SLICE_LIT("\2\2\0\1"))},
        {"serial of 21 octets", CERT(.serial = SLICE_LIT("\2\x15"
                                                         "123456789012345678901"))},
        {"serial empty", CERT(.serial = SLICE_LIT("\2\0"))},
        {"algorithms differ", CERT(.algorithm = make_algorithm(&arena, leaf()))},
        {"algorithms differ", CERT(.outer_algorithm = make_algorithm(&arena, leaf()))},
        {"issuer is a SET", CERT(.issuer = SLICE_LIT("\x31\0"))},
        {"subject is a SET", CERT(.subject = SLICE_LIT("\x31\0"))},
        {"issuer holds no sets", CERT(.issuer = MAKE_SEQUENCE(&arena, SLICE_LIT("\5\0")))},
        {"subject has an empty set", CERT(.subject = SLICE_LIT("\x30\2\x31\0"))},
        {"subject has an attribute without a value",
         CERT(.subject = make_hex(&arena, "3009 3107 3005 0603550403"))},
        {"subject has an attribute that is no text",
         CERT(.subject = MAKE_SEQUENCE(&arena,
                                       make_rdn(&arena, OID_COMMON_NAME, 0x02, SLICE_LIT("a"))))},
        {"algorithm is an octet string", CERT(.algorithm = octets, .outer_algorithm = octets)},
        {"no times", VALIDITY(SLICE_LIT(""))},
        {"one time", VALIDITY(utc)},
        {"three times", VALIDITY(utc, utc, utc)},
        {"GeneralizedTime before 2050", VALIDITY(general, utc)},
        {"GeneralizedTime before 2050", VALIDITY(utc, general)},
        {"time is text", VALIDITY(utc, MAKE_TLV(&arena, 0x16, SLICE_LIT("260101000000Z")))},
        {"key is a SET", CERT(.spki = SLICE_LIT("\x31\0"))},
        {"key is empty", CERT(.spki = SLICE_LIT("\x30\0"))},
        {"key with a tail", CERT(.spki = make_hex(&arena, "300b 300306012a 03020001 0500"))},
        {"key is an octet string", CERT(.spki = make_hex(&arena, "3009 300306012a 04020001"))},
        {"unique identifier", CERT(.tbs_tail = SLICE_LIT("\x81\2\0\1"))},
        {"bytes behind the extensions", CERT(.extensions = ski, .tbs_tail = SLICE_LIT("\5\0"))},
        {"no extension in the list", CERT(.extensions = SLICE_LIT(""))},
        {"extensions with a tail",
         CERT(.tbs_tail = MAKE_TLV(&arena, 0xa3, MAKE_SEQUENCE(&arena, ski), SLICE_LIT("\5\0")))},
        {"an extension twice", CERT(.extensions = MAKE_JOINED(&arena, ski, ski))},
        {"critical FALSE written out",
         CERT(.extensions = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, SLICE_LIT("\x2a")),
                                          SLICE_LIT("\1\1\0\4\0")))},
        {"empty subjectAltName", WITH(OID_SUBJECT_ALT_NAME, "3000")},
        {"subjectAltName with a tail", WITH(OID_SUBJECT_ALT_NAME, "3003820161 0500")},
        {"subjectAltName of no bytes", WITH(OID_SUBJECT_ALT_NAME, "")},
        {"subjectAltName in BER", WITH(OID_SUBJECT_ALT_NAME, "308103820161")},
        {"address of 5 octets", WITH(OID_SUBJECT_ALT_NAME, "3007 87050102030405")},
        {"name of no known kind", WITH(OID_SUBJECT_ALT_NAME, "3003890161")},
        {"name that is universal", WITH(OID_SUBJECT_ALT_NAME, "30030c0161")},
        {"registeredID that is empty", WITH(OID_SUBJECT_ALT_NAME, "30028800")},
        {"otherName that is primitive", WITH(OID_SUBJECT_ALT_NAME, "3003800161")},
        {"dNSName that is constructed", WITH(OID_SUBJECT_ALT_NAME, "3002a200")},
        {"empty subjectKeyIdentifier", WITH(OID_SUBJECT_KEY_ID, "0400")},
        {"subjectKeyIdentifier that is text", WITH(OID_SUBJECT_KEY_ID, "0c0161")},
        {"subjectKeyIdentifier with a tail", WITH(OID_SUBJECT_KEY_ID, "040101 00")},
        {"authorityKeyIdentifier that is an octet string", WITH(OID_AUTHORITY_KEY_ID, "040101")},
        {"authorityKeyIdentifier with a tail", WITH(OID_AUTHORITY_KEY_ID, "30058001aa 0500")},
        {"authorityKeyIdentifier with an empty serial", WITH(OID_AUTHORITY_KEY_ID, "30028200")},
        {"basicConstraints FALSE written out", WITH(OID_BASIC_CONSTRAINTS, "3003010100")},
        {"basicConstraints pathlen without CA", WITH(OID_BASIC_CONSTRAINTS, "3003020100")},
        {"basicConstraints pathlen negative", WITH(OID_BASIC_CONSTRAINTS, "30060101ff0201ff")},
        {"basicConstraints pathlen large", WITH(OID_BASIC_CONSTRAINTS, "30070101ff02020100")},
        {"basicConstraints with a tail", WITH(OID_BASIC_CONSTRAINTS, "30080101ff0201000500")},
        {"signature with unused bits", CERT(.signature = SLICE_LIT("\1\2"))},
        {"bytes behind the signature", CERT(.tail = SLICE_LIT("\5\0"))},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refused(make_cert(&arena, &cases[i].parts), cases[i].defect);
    struct slice many = ski;
    for (int i = 0; i < CERT_EXTENSION_COUNT_MAX; i++)
        many = MAKE_JOINED(
            &arena, many,
            make_extension(&arena, make_text(&arena, "%c", i + 1), false, SLICE_LIT("")));
    refused(make_cert(&arena, &(struct make_cert)CERT(.extensions = many)), "too many extensions");
    struct slice good = make_cert(&arena, &(struct make_cert)CERT(.extensions = ski));
    parsed(good);
    for (size_t n = 0; n < good.n; n++) refused(slice_sub(good, 0, n), "cut short");
    refused(MAKE_JOINED(&arena, good, SLICE_LIT("\0")), "bytes behind");
}

static void any_serial_is_any_integer(void **state)
{
    (void)state;
    static const struct slice integers[] = {SLICE_LIT("\2\1\0"), SLICE_LIT("\2\1\x80"),
                                            SLICE_LIT("\2\2\xff\1"), SLICE_LIT("\2\1\1"),
                                            SLICE_LIT("\2\x15"
                                                      "123456789012345678901")},
                              others[] = {SLICE_LIT("\2\0"), SLICE_LIT("\2\2\0\1")};
    struct cert c;
    for (size_t i = 0; i < COUNT_OF(integers); i++) {
        struct slice der = make_cert(&arena, &(struct make_cert)CERT(.serial = integers[i]));
        assert_ok(cert_parse_any_serial(&c, &note, &arena, der));
        assert_slice(c.serial, slice_sub(integers[i], 2, integers[i].n));
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct slice der = make_cert(&arena, &(struct make_cert)CERT(.serial = others[i]));
        assert_err(cert_parse_any_serial(&c, &note, &arena, der), ERR_BAD_CERT);
    }
}

// Every bit of a good certificate matters: flipped, it is refused by the reader or does not verify.
static void every_bit_counts(void **state)
{
    (void)state;
    struct slice spki = make_spki(&arena, leaf());
    struct slice good = make_cert(
        &arena, &(struct make_cert){.key = leaf(),
                                    .issuer_key = leaf(),
                                    .extensions = make_alt_names(&arena, "a.example")});
    for (size_t bit = 0; bit < good.n * 8; bit++) {
        struct arena scratch;
        struct cert c;
        arena_init(&scratch, 1 << 16);
        uint8_t *p = arena_alloc(&scratch, good.n);
        memcpy(p, good.p, good.n);
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct err e = cert_parse(&c, &note, &scratch, slice_of(p, good.n));
        if (!failed(e)) e = cert_verify_signed_by(&c, spki);
        assert_true(failed(e));
        arena_fini(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_parts),
        cmocka_unit_test(reads_a_bare_one_and_a_ca),
        cmocka_unit_test(verifies_only_under_the_issuer),
        cmocka_unit_test(refuses_each_defect),
        cmocka_unit_test(any_serial_is_any_integer),
        cmocka_unit_test(every_bit_counts),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
