// csr: what clients send is taken (clients.md 56), and each defect of T25, T26 and T27 alone is
// refused.
#include "proto/der/csr.h"

#include <openssl/evp.h>

#include "proto/der/csr_write.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

static struct arena arena;
static const char *note;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 26);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static EVP_PKEY *key(void) { return make_key(KEY_P256, 0, 0); }

// names_of reads a request that must be good and gives its names as one text.
static const char *names_of(struct slice der)
{
    struct csr csr;
    const char *text = "";
    note = "";
    struct err e = csr_parse(&csr, &note, &arena, der);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    assert_ok(csr_verify(&csr));
    for (size_t i = 0; i < csr.name_count; i++)
        text = arena_printf(&arena, "%s%s%s", text, i == 0 ? "" : " ",
                            identifier_text(&arena, &csr.names[i]));
    return text;
}

static void refused(struct slice der, uint32_t code, const char *why)
{
    struct csr csr = {.name_count = 77};
    note = NULL;
    struct err e = csr_parse(&csr, &note, &arena, der);
    if (!err_is(e, code)) print_error("%s: %s\n", why, note == NULL ? "" : note);
    assert_err(e, code);
    assert_true(note != NULL && strlen(note) > 10);
    assert_int_equal(csr.name_count, 77);
}

static struct slice common_name(const char *text)
{
    return make_rdn(&arena, OID_COMMON_NAME, 0x0c, slice_str(text));
}

static struct slice subject(struct slice rdns) { return MAKE_SEQUENCE(&arena, rdns); }

#define ORGANISATION make_rdn(&arena, SLICE_LIT("\x55\x04\x0a"), 0x13, SLICE_LIT("Example Ltd"))

static void takes_a_request_with_every_kind_of_key(void **state)
{
    (void)state;
    static const struct {
        enum key_type type;
        unsigned bits;
    } kinds[] = {{KEY_P256, 0}, {KEY_P384, 0}, {KEY_P521, 0}, {KEY_RSA, 2048}, {KEY_ED25519, 0}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *k = make_key(kinds[i].type, kinds[i].bits, 0);
        struct csr csr;
        assert_ok(csr_parse(&csr, &note, &arena, make_csr_for(&arena, k, "b.example,A.example")));
        assert_ok(csr_verify(&csr));
        assert_slice(csr.spki, make_spki(&arena, k));
        assert_int_equal(csr.kind.type, kinds[i].type);
        assert_int_equal(csr.name_count, 2);
        assert_slice_str(csr.names[0].value, "a.example");
        assert_slice_str(csr.names[1].value, "b.example");
    }
}

static void takes_what_clients_send(void **state)
{
    (void)state;
    struct slice san = make_alt_names(&arena, "a.example,b.example");
    struct make_csr parts = {.key = key(), .extensions = san};
    assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example b.example"); // empty subject
    parts.subject = subject(common_name("a.example"));
    assert_string_equal(names_of(make_csr(&arena, &parts)),
                        "a.example b.example"); // common name among the names
    parts.subject = subject(common_name("A.Example"));
    assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example b.example");
    parts.subject = subject(common_name("c.example"));
    assert_string_equal(names_of(make_csr(&arena, &parts)),
                        "a.example b.example c.example"); // not among them
    parts.subject = subject(ORGANISATION);
    assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example b.example");
    parts.subject = subject(MAKE_JOINED(&arena, ORGANISATION, common_name("")));
    assert_string_equal(names_of(make_csr(&arena, &parts)),
                        "a.example b.example"); // an empty one asks for nothing
    parts.extensions = SLICE_NONE;
    parts.subject = subject(MAKE_JOINED(&arena, ORGANISATION, common_name("only.example")));
    assert_string_equal(names_of(make_csr(&arena, &parts)), "only.example"); // common name alone
    parts.subject = subject(common_name("10.1.2.3"));
    assert_string_equal(names_of(make_csr(&arena, &parts)), "10.1.2.3");
    parts.subject = subject(common_name("*.wild.example"));
    assert_string_equal(names_of(make_csr(&arena, &parts)), "*.wild.example");
}

static void takes_addresses(void **state)
{
    (void)state;
    struct slice names = MAKE_JOINED(
        &arena, MAKE_TLV(&arena, 0x87, SLICE_LIT("\x0a\1\2\3")),
        MAKE_TLV(&arena, 0x82, SLICE_LIT("a.example")),
        MAKE_TLV(&arena, 0x87, SLICE_LIT("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1")),
        MAKE_TLV(&arena, 0x87, SLICE_LIT("\x0a\1\2\3")));
    struct make_csr parts = {.key = key(), .subject = subject(ORGANISATION)};
    parts.extensions = make_extension(&arena, OID_SUBJECT_ALT_NAME, true,
                                      MAKE_SEQUENCE(&arena, names));
    assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example 10.1.2.3 2001:db8::1");
}

static void takes_every_string_type_that_can_hold_a_name(void **state)
{
    (void)state;
    static const uint8_t tags[] = {0x0c, 0x13, 0x14, 0x16};
    for (size_t i = 0; i < COUNT_OF(tags); i++) {
        struct make_csr parts = {
            .key = key(),
            .subject = subject(make_rdn(&arena, OID_COMMON_NAME, tags[i], SLICE_LIT("a.example")))};
        assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example");
    }
    struct slice wide = make_rdn(&arena, OID_COMMON_NAME, 0x1e, SLICE_LIT("\0a\0b"));
    refused(make_csr(&arena, &(struct make_csr){.key = key(), .subject = subject(wide)}),
            ERR_BAD_CSR_NAME, "BMPString");
    wide = make_rdn(&arena, SLICE_LIT("\x55\x04\x0a"), 0x1e, SLICE_LIT("\0a\0b"));
    struct make_csr parts = {
        .key = key(), .subject = subject(wide), .extensions = make_alt_names(&arena, "a.example")};
    assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example");
}

// T27: nothing but the names is taken from what is asked for.
static void ignores_other_extensions_and_attributes(void **state)
{
    (void)state;
    static const struct {
        struct slice oid;
        const char *value;
    } asked[] = {
        {OID_BASIC_CONSTRAINTS, "30060101ff020100"},
        {OID_KEY_USAGE, "03020106"},
        {OID_EXT_KEY_USAGE, "301406082b0601050507030106082b06010505070302"},
        {OID_EXT_KEY_USAGE, "30060604551d2500"},
        {OID_NAME_CONSTRAINTS, "300ea00c300a820865782e61636d6500"},
        {OID_TLS_FEATURE, "3003020105"},
        {OID_SUBJECT_KEY_ID, "0402abcd"},
        {OID_CERTIFICATE_POLICIES, "3000"},
        {OID_CRL_DISTRIBUTION_POINTS, "ff"},
        {SLICE_LIT("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"), "0500"}, // poison
        {SLICE_LIT("\x2a\x03\x04"), ""},
    };
    struct slice all = make_alt_names(&arena, "a.example");
    for (size_t i = 0; i < COUNT_OF(asked); i++) {
        struct slice other = make_extension(&arena, asked[i].oid, true,
                                            make_hex(&arena, asked[i].value));
        struct make_csr parts = {
            .key = key(),
            .extensions = MAKE_JOINED(&arena, other, make_alt_names(&arena, "a.example"))};
        assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example");
        if (i != 3) all = MAKE_JOINED(&arena, all, other);
    }
    assert_string_equal(
        names_of(make_csr(&arena, &(struct make_csr){.key = key(), .extensions = all})),
        "a.example");
    struct slice request = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, OID_EXTENSION_REQUEST),
                                         MAKE_TLV(&arena, 0x31, MAKE_SEQUENCE(&arena, all)));
    struct slice password = make_hex(&arena, "301506092a864886f70d010907310813063132333435 36");
    struct slice unknown = make_hex(&arena, "300a0602 2a03 3104 0500 0500");
    struct make_csr parts = {.key = key(),
                             .attributes = MAKE_JOINED(&arena, password, request, unknown)};
    assert_string_equal(names_of(make_csr(&arena, &parts)), "a.example");
}

static void takes_the_older_name_of_the_extension_request(void **state)
{
    (void)state;
    struct slice values = MAKE_TLV(&arena, 0x31,
                                   MAKE_SEQUENCE(&arena, make_alt_names(&arena, "a.example")));
    struct slice older = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, OID_MS_EXTENSION_REQUEST),
                                       values);
    struct slice newer = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, OID_EXTENSION_REQUEST),
                                       values);
    assert_string_equal(
        names_of(make_csr(&arena, &(struct make_csr){.key = key(), .attributes = older})),
        "a.example");
    refused(make_csr(&arena, &(struct make_csr){.key = key(),
                                                .attributes = MAKE_JOINED(&arena, older, newer)}),
            ERR_BAD_CSR, "both");
}

static struct slice many_names(unsigned count)
{
    struct slice all = SLICE_NONE;
    for (unsigned i = 0; i < count; i++)
        all = MAKE_JOINED(&arena, all, MAKE_TLV(&arena, 0x82, make_text(&arena, "n%u.example", i)));
    return make_extension(&arena, OID_SUBJECT_ALT_NAME, false, MAKE_SEQUENCE(&arena, all));
}

static void bounds_the_number_of_names(void **state)
{
    (void)state;
    struct csr csr;
    struct make_csr parts = {.key = key(),
                             .extensions = many_names(IDENTIFIER_COUNT_MAX),
                             .subject = subject(common_name("n5.example"))};
    assert_ok(csr_parse(&csr, &note, &arena, make_csr(&arena, &parts)));
    assert_int_equal(csr.name_count, IDENTIFIER_COUNT_MAX);
    parts.subject = subject(common_name("one.more.example"));
    refused(make_csr(&arena, &parts), ERR_BAD_CSR_NAME, "one name too many");
    parts.subject = SLICE_NONE;
    parts.extensions = many_names(IDENTIFIER_COUNT_MAX + 1);
    refused(make_csr(&arena, &parts), ERR_BAD_CSR_NAME, "one name too many");
    parts.extensions = many_names(2 * IDENTIFIER_COUNT_MAX + 1);
    refused(make_csr(&arena, &parts), ERR_BAD_CSR_NAME, "many names too many");
}

static void bounds_the_size(void **state)
{
    (void)state;
    static const uint8_t filler[CSR_SIZE_MAX];
    struct slice san = make_alt_names(&arena, "a.example");
    struct slice der = SLICE_NONE;
    for (size_t n = CSR_SIZE_MAX - 300; der.n != CSR_SIZE_MAX;
         n++) { // the signature's length varies by a few octets
        struct slice padding = make_extension(&arena, SLICE_LIT("\x2a\x03"), false,
                                              slice_of(filler, n));
        der = make_csr(&arena, &(struct make_csr){.key = key(),
                                                  .extensions = MAKE_JOINED(&arena, san, padding)});
        if (der.n > CSR_SIZE_MAX) n -= 20;
    }
    assert_string_equal(names_of(der), "a.example");
    struct slice padding = make_extension(&arena, SLICE_LIT("\x2a\x03"), false,
                                          slice_of(filler, CSR_SIZE_MAX - 100));
    refused(make_csr(&arena, &(struct make_csr){.key = key(),
                                                .extensions = MAKE_JOINED(&arena, san, padding)}),
            ERR_BAD_CSR, "too large");
}

#define NAMES(...) \
    make_extension(&arena, OID_SUBJECT_ALT_NAME, false, MAKE_SEQUENCE(&arena, __VA_ARGS__))

static void refuses_names_that_cannot_be_certified(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "*",    "a_b.example", "a..b", "a.example.", "m\xc3\xbcnchen.de", "1.2.3.4",
        "a b", "-a.b", "*.*.a",       "a.*",  "xn--a.b",    "http://a.b"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct slice san = NAMES(MAKE_TLV(&arena, 0x82, SLICE_LIT("good.example")),
                                 MAKE_TLV(&arena, 0x82, slice_str(bad[i])));
        refused(make_csr(&arena, &(struct make_csr){.key = key(), .extensions = san}),
                ERR_BAD_CSR_NAME, bad[i]);
        if (i == 0 || slice_eq_str(SLICE_LIT("1.2.3.4"), bad[i]))
            continue; // an empty or address common name is fine
        refused(make_csr(&arena,
                         &(struct make_csr){.key = key(), .subject = subject(common_name(bad[i]))}),
                ERR_BAD_CSR_NAME, bad[i]);
    }
    struct slice nul = NAMES(MAKE_TLV(&arena, 0x82, SLICE_LIT("a.example\0.evil.example")));
    refused(make_csr(&arena, &(struct make_csr){.key = key(), .extensions = nul}), ERR_BAD_CSR_NAME,
            "NUL");
    refused(make_csr(&arena, &(struct make_csr){.key = key()}), ERR_BAD_CSR_NAME, "no name at all");
    refused(make_csr(&arena, &(struct make_csr){.key = key(), .subject = subject(ORGANISATION)}),
            ERR_BAD_CSR_NAME, "no name but an organisation");
}

// T16: no other type of name, each at every place beside a good one.
static void refuses_other_types_of_names(void **state)
{
    (void)state;
    static const char *const others[] = {
        "a00f06082b06010505070804a0030c0178", // otherName: permanentIdentifier-like
        "a0120608 2b06010505070803 a0060c04 74657374",
        "8109 61406578616d706c65", // rfc822Name
        "a300",                    // x400Address
        "a4023000",                // directoryName
        "a500",                    // ediPartyName
        "8609 687474703a2f2f612e", // URI
        "88022a03",                // registeredID
        "8900",
        "a203820161",
        "0c0161",
        "8703 0a0102",
        "8705 0a01020304",
        "8708 0a010203ffffff00",
        "8700",
        "a7050a01010500",
    };
    struct slice good = MAKE_TLV(&arena, 0x82, SLICE_LIT("a.example"));
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct slice other = make_hex(&arena, others[i]);
        refused(
            make_csr(&arena, &(struct make_csr){.key = key(), .extensions = NAMES(good, other)}),
            ERR_BAD_CSR_NAME, others[i]);
        refused(
            make_csr(&arena, &(struct make_csr){.key = key(), .extensions = NAMES(other, good)}),
            ERR_BAD_CSR_NAME, others[i]);
    }
}

// T25: one defect of structure in each.
static void refuses_each_defect_of_structure(void **state)
{
    (void)state;
    struct slice san = make_alt_names(&arena, "a.example");
    struct slice request_oid = MAKE_TLV(&arena, 0x06, OID_EXTENSION_REQUEST);
    struct slice values = MAKE_TLV(&arena, 0x31, MAKE_SEQUENCE(&arena, san));
    struct slice request = MAKE_SEQUENCE(&arena, request_oid, values);
    struct slice san_oid = MAKE_TLV(&arena, 0x06, OID_SUBJECT_ALT_NAME);
    struct slice san_value = MAKE_TLV(
        &arena, 0x04, MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x82, SLICE_LIT("a.example"))));
    struct slice cn = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, OID_COMMON_NAME),
                                    MAKE_TLV(&arena, 0x0c, SLICE_LIT("a.example")));
#define ATTRIBUTES(...)                                              \
    {                                                                \
        .key = key(), .attributes = MAKE_JOINED(&arena, __VA_ARGS__) \
    }
#define EXTENSIONS(...)                                              \
    {                                                                \
        .key = key(), .extensions = MAKE_JOINED(&arena, __VA_ARGS__) \
    }
#define SUBJECT(...)                                                                   \
    {                                                                                  \
        .key = key(), .extensions = san, .subject = MAKE_SEQUENCE(&arena, __VA_ARGS__) \
    }
    struct slice visible = make_rdn(&arena, SLICE_LIT("\x55\x04\x0a"), 0x1a, SLICE_LIT("Org"));
    const struct {
        const char *defect;
        struct make_csr parts;
    } cases[] = {
        {"organization is a VisibleString", SUBJECT(visible)},
        {"version 1", {.key = key(), .extensions = san, .version = SLICE_LIT("\2\1\1")}},
        {"version 256", {.key = key(), .extensions = san, .version = SLICE_LIT("\2\2\1\0")}},
        {"version negative", {.key = key(), .extensions = san, .version = SLICE_LIT("\2\1\xff")}},
        {"version padded", {.key = key(), .extensions = san, .version = SLICE_LIT("\2\2\0\0")}},
        {"no version", {.key = key(), .extensions = san, .version = SLICE_LIT("")}},
        {"subject is a SET", {.key = key(), .extensions = san, .subject = SLICE_LIT("\x31\x00")}},
        {"no subject", {.key = key(), .extensions = san, .subject = SLICE_LIT("")}},
        {"empty RDN", SUBJECT(MAKE_EMPTY(&arena, 0x31))},
        {"RDN is a SEQUENCE", SUBJECT(MAKE_SEQUENCE(&arena, cn))},
        {"attribute without value",
         SUBJECT(MAKE_TLV(&arena, 0x31,
                          MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, OID_COMMON_NAME))))},
        {"attribute with two values",
         SUBJECT(MAKE_TLV(&arena, 0x31,
                          MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x06, OID_COMMON_NAME),
                                        MAKE_EMPTY(&arena, 0x0c), MAKE_EMPTY(&arena, 0x0c))))},
        {"attribute that is no text",
         SUBJECT(make_rdn(&arena, SLICE_LIT("\x55\x04\x0a"), 0x04, SLICE_LIT("x")))},
        {"attribute that is a container",
         SUBJECT(make_rdn(&arena, SLICE_LIT("\x55\x04\x0a"), 0x30, SLICE_LIT("")))},
        {"attribute that is not UTF-8",
         SUBJECT(make_rdn(&arena, SLICE_LIT("\x55\x04\x0a"), 0x0c, SLICE_LIT("\xff")))},
        {"no attributes",
         {.key = key(),
          .subject = MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x31, cn)),
          .no_attributes = true}},
        {"bytes behind the attributes",
         {.key = key(), .extensions = san, .info_tail = SLICE_LIT("\5\0")}},
        {"second attributes", {.key = key(), .extensions = san, .info_tail = SLICE_LIT("\xa0\0")}},
        {"attribute is a SET", ATTRIBUTES(MAKE_TLV(&arena, 0x31, request_oid, values))},
        {"attribute without values", ATTRIBUTES(MAKE_SEQUENCE(&arena, request_oid))},
        {"attribute with an empty set",
         ATTRIBUTES(MAKE_SEQUENCE(&arena, request_oid, MAKE_EMPTY(&arena, 0x31)))},
        {"unknown attribute with an empty set",
         ATTRIBUTES(request, make_hex(&arena, "300506012a3100"))},
        {"attribute with a tail",
         ATTRIBUTES(MAKE_SEQUENCE(&arena, request_oid, values, SLICE_LIT("\5\0")))},
        {"values are a SEQUENCE",
         ATTRIBUTES(MAKE_SEQUENCE(&arena, request_oid, MAKE_SEQUENCE(&arena, san)))},
        {"two extension requests", ATTRIBUTES(request, request)},
        {"extension request with two values",
         ATTRIBUTES(MAKE_SEQUENCE(
             &arena, request_oid,
             MAKE_TLV(&arena, 0x31, MAKE_SEQUENCE(&arena, san), MAKE_SEQUENCE(&arena, san))))},
        {"extension request that is no list",
         ATTRIBUTES(MAKE_SEQUENCE(&arena, request_oid, MAKE_TLV(&arena, 0x31, SLICE_LIT("\5\0"))))},
        {"empty list of extensions", EXTENSIONS(SLICE_LIT(""))},
        {"two subjectAltNames", EXTENSIONS(san, san)},
        {"two subjectAltNames that differ", EXTENSIONS(san, make_alt_names(&arena, "b.example"))},
        {"unknown extension twice",
         EXTENSIONS(san, make_extension(&arena, SLICE_LIT("\x2a"), false, SLICE_LIT("")),
                    make_extension(&arena, SLICE_LIT("\x2a"), true, SLICE_LIT("")))},
        {"critical FALSE written out",
         EXTENSIONS(MAKE_SEQUENCE(&arena, san_oid, SLICE_LIT("\1\1\0"), san_value))},
        {"critical neither",
         EXTENSIONS(MAKE_SEQUENCE(&arena, san_oid, SLICE_LIT("\1\1\1"), san_value))},
        {"critical twice",
         EXTENSIONS(MAKE_SEQUENCE(&arena, san_oid, SLICE_LIT("\1\1\xff\1\1\xff"), san_value))},
        {"extension without value", EXTENSIONS(MAKE_SEQUENCE(&arena, san_oid))},
        {"extension with a tail",
         EXTENSIONS(MAKE_SEQUENCE(&arena, san_oid, san_value, SLICE_LIT("\5\0")))},
        {"extension without type", EXTENSIONS(MAKE_SEQUENCE(&arena, san_value))},
        {"extension is a SET", EXTENSIONS(MAKE_TLV(&arena, 0x31, san_oid, san_value))},
        {"value is a BIT STRING",
         EXTENSIONS(
             MAKE_SEQUENCE(&arena, san_oid, MAKE_TLV(&arena, 0x03, SLICE_LIT("\0"), san_value)))},
        {"empty subjectAltName",
         EXTENSIONS(make_extension(&arena, OID_SUBJECT_ALT_NAME, false, MAKE_EMPTY(&arena, 0x30)))},
        {"subjectAltName of no bytes",
         EXTENSIONS(make_extension(&arena, OID_SUBJECT_ALT_NAME, false, SLICE_LIT("")))},
        {"subjectAltName with a tail",
         EXTENSIONS(make_extension(&arena, OID_SUBJECT_ALT_NAME, false,
                                   make_hex(&arena, "3003820161 00")))},
        {"subjectAltName in BER", EXTENSIONS(make_extension(&arena, OID_SUBJECT_ALT_NAME, false,
                                                            make_hex(&arena, "30808201610000")))},
        {"subjectAltName with a long length",
         EXTENSIONS(make_extension(&arena, OID_SUBJECT_ALT_NAME, false,
                                   make_hex(&arena, "308103820161")))},
        {"algorithm is no SEQUENCE",
         {.key = key(), .extensions = san, .algorithm = SLICE_LIT("\5\0")}},
        {"algorithm is empty", {.key = key(), .extensions = san, .algorithm = SLICE_LIT("\x30\0")}},
        {"algorithm is an octet string",
         {.key = key(), .extensions = san, .algorithm = make_hex(&arena, "300304012a")}},
        {"algorithm with two parameters",
         {.key = key(), .extensions = san, .algorithm = make_hex(&arena, "300706012a 0500 0500")}},
        {"signature with unused bits",
         {.key = key(), .extensions = san, .signature = SLICE_LIT("\1\0\0")}},
        {"signature without its count",
         {.key = key(), .extensions = san, .signature = SLICE_LIT("")}},
        {"bytes behind the signature",
         {.key = key(), .extensions = san, .tail = SLICE_LIT("\5\0")}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refused(make_csr(&arena, &cases[i].parts), ERR_BAD_CSR, cases[i].defect);
    struct slice many = san;
    for (unsigned i = 0; i < 64; i++)
        many = MAKE_JOINED(
            &arena, many,
            make_extension(&arena, make_text(&arena, "%c", (char)i + 1), false, SLICE_LIT("")));
    refused(make_csr(&arena, &(struct make_csr){.key = key(), .extensions = many}), ERR_BAD_CSR,
            "too many extensions");
    struct slice good = make_csr_for(&arena, key(), "a.example");
    refused(MAKE_JOINED(&arena, good, SLICE_LIT("\0")), ERR_BAD_CSR, "bytes behind");
    for (size_t n = 0; n < good.n; n++) refused(slice_sub(good, 0, n), ERR_BAD_CSR, "cut short");
}

// ber_length rewrites the outermost header with one more length octet than it needs.
static void refuses_ber_at_the_top(void **state)
{
    (void)state;
    struct slice good = make_csr_for(&arena, key(), "a.example");
    assert_int_equal(good.p[1], 0x81); // between 128 and 255 octets
    struct slice content = slice_sub(good, 3, good.n);
    uint8_t n = (uint8_t)content.n;
    refused(MAKE_JOINED(&arena, SLICE_LIT("\x30\x82\0"), slice_of(&n, 1), content), ERR_BAD_CSR,
            "padded length");
    refused(MAKE_JOINED(&arena, SLICE_LIT("\x30\x80"), content, SLICE_LIT("\0\0")), ERR_BAD_CSR,
            "indefinite length");
}

static void refuses_keys(void **state)
{
    (void)state;
    static const unsigned sizes[] = {512, 1024, 2047, 2049, 4097, 8192, 8200};
    struct slice san = make_alt_names(&arena, "a.example");
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct make_csr parts = {
            .key = key(), .extensions = san, .spki = make_rsa_spki(&arena, sizes[i], "010001")};
        refused(make_csr(&arena, &parts), ERR_BAD_CSR_KEY, "RSA size");
    }
    static const char *const spkis[] = {
        "3039301306072a8648ce3d020106082a8648ce3d030107032200036b17d1f2e12c4247f8bce6e563a440f2"
        "77037d812deb33a0f4a13945d898c296",                       // compressed
        "3019301306072a8648ce3d020106082a8648ce3d03010703020000", // infinity
        "302a300506032b656e0321006b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2"
        "96", // X25519
        "3000",
    };
    for (size_t i = 0; i < COUNT_OF(spkis); i++) {
        refused(make_csr(&arena, &(struct make_csr){.key = key(),
                                                    .extensions = san,
                                                    .spki = make_hex(&arena, spkis[i])}),
                ERR_BAD_CSR_KEY, spkis[i]);
    }
}

// T26: proof of possession.
static void proof_must_be_by_the_key_inside(void **state)
{
    (void)state;
    struct slice san = make_alt_names(&arena, "a.example");
    EVP_PKEY *other = make_key(KEY_P256, 0, 1), *rsa = make_key(KEY_RSA, 2048, 0);
    struct slice foreign = MAKE_JOINED(&arena, SLICE_LIT("\0"),
                                       make_signature(&arena, key(), SLICE_LIT("something else")));
    const struct make_csr cases[] = {
        {.key = key(), .signer = other, .extensions = san},
        {.key = key(), .signer = rsa, .extensions = san},
        {.key = rsa, .signer = key(), .extensions = san},
        {.key = key(), .extensions = san, .algorithm = make_algorithm(&arena, rsa)},
        {.key = key(),
         .extensions = san,
         .algorithm = make_algorithm(&arena, make_key(KEY_P384, 0, 0))},
        {.key = key(), .extensions = san, .algorithm = make_hex(&arena, "300906072a8648ce3d0401")},
        {.key = rsa,
         .extensions = san,
         .algorithm = make_hex(&arena, "300d06092a864886f70d0101050500")},
        {.key = key(), .extensions = san, .signature = foreign},
        {.key = key(), .extensions = san, .signature = SLICE_LIT("\0")},
        {.key = key(), .extensions = san, .signature = SLICE_LIT("\0\x30\6\2\1\0\2\1\0")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct csr csr;
        assert_ok(csr_parse(&csr, &note, &arena, make_csr(&arena, &cases[i])));
        assert_err(csr_verify(&csr), ERR_BAD_CSR_SIGNATURE);
    }
}

// Every bit of a good request matters: flipped, it is refused by the reader or by the check of the
// signature.
static void every_bit_counts(void **state)
{
    (void)state;
    struct slice good = make_csr_for(&arena, key(), "a.example");
    for (size_t bit = 0; bit < good.n * 8; bit++) {
        struct arena scratch;
        struct slice bad;
        struct csr csr;
        arena_init(&scratch, 1 << 16);
        assert_ok(arena_dup(&bad, &scratch, good));
        uint8_t *p = arena_alloc(&scratch, good.n);
        memcpy(p, good.p, good.n);
        p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct err e = csr_parse(&csr, &note, &scratch, slice_of(p, good.n));
        if (!failed(e)) e = csr_verify(&csr);
        assert_true(failed(e));
        arena_fini(&scratch);
    }
}

static void works_in_little_memory(void **state)
{
    (void)state;
    struct slice good = make_csr_for(&arena, key(), "a.example,b.example");
    bool done = false;
    for (size_t ceiling = 0; !done; ceiling += 16) {
        struct arena small;
        struct csr csr;
        arena_init(&small, ceiling);
        struct err e = csr_parse(&csr, &note, &small, good);
        done = !failed(e);
        if (!done) assert_err(e, ERR_NO_SPACE);
        arena_fini(&small);
        assert_true(ceiling < 256);
    }
}

// What we ask for ourselves is what we take.
static void what_is_written_is_read(void **state)
{
    (void)state;
    struct buf b;
    struct csr csr;
    const char *why = "";
    EVP_PKEY *k = key();
    buf_init(&b, 4096);
    assert_ok(csr_write(&b, k, "renewal.invalid"));
    assert_ok(csr_parse(&csr, &why, &arena, buf_slice(&b)));
    assert_ok(csr_verify(&csr));
    assert_int_equal(csr.name_count, 1);
    assert_slice_str(csr.names[0].value, "renewal.invalid");
    assert_int_equal(csr.kind.type, KEY_P256);
    struct buf small;
    buf_init(&small, 16);
    assert_err(csr_write(&small, k, "renewal.invalid"), ERR_NO_SPACE);
    buf_fini(&small);
    buf_fini(&b);
    EVP_PKEY_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_request_with_every_kind_of_key),
        cmocka_unit_test(takes_what_clients_send),
        cmocka_unit_test(takes_addresses),
        cmocka_unit_test(takes_every_string_type_that_can_hold_a_name),
        cmocka_unit_test(ignores_other_extensions_and_attributes),
        cmocka_unit_test(takes_the_older_name_of_the_extension_request),
        cmocka_unit_test(bounds_the_number_of_names),
        cmocka_unit_test(bounds_the_size),
        cmocka_unit_test(refuses_names_that_cannot_be_certified),
        cmocka_unit_test(refuses_other_types_of_names),
        cmocka_unit_test(refuses_each_defect_of_structure),
        cmocka_unit_test(refuses_ber_at_the_top),
        cmocka_unit_test(refuses_keys),
        cmocka_unit_test(proof_must_be_by_the_key_inside),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(works_in_little_memory),
        cmocka_unit_test(what_is_written_is_read),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
