// crl: a list put together part by part is read; with one part wrong it is refused.
#include "proto/der/crl.h"

#include <string.h>

#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

static struct arena arena;

struct parts {
    struct slice version, algorithm, issuer, dates, entries, extensions[5], tail, signature;
};

static EVP_PKEY *key(void) { return make_key(KEY_P256, 0, 3); }
static struct slice hex(const char *text) { return make_hex(&arena, text); }

static struct slice time_of(const char *text) { return MAKE_TLV(&arena, 0x17, slice_str(text)); }

static struct slice reason(const char *code)
{
    return MAKE_SEQUENCE(&arena, make_extension(&arena, OID_CRL_REASON, false, hex(code)));
}

static struct slice entry(const char *serial, struct slice extensions)
{
    return MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0x02, hex(serial)), time_of("260101000000Z"),
                         extensions);
}

static struct slice place(struct slice names)
{
    return make_extension(
        &arena, OID_ISSUING_DISTRIBUTION_POINT, true,
        MAKE_SEQUENCE(&arena, MAKE_TLV(&arena, 0xa0, MAKE_TLV(&arena, 0xa0, names))));
}

static struct parts good(void)
{
    struct arena *a = &arena;
    return (struct parts){
        .version = hex("020101"),
        .algorithm = make_algorithm(a, key()),
        .issuer = MAKE_SEQUENCE(a, make_rdn(a, OID_COMMON_NAME, 0x0c, SLICE_LIT("CA"))),
        .dates = MAKE_JOINED(a, time_of("260102000000Z"), time_of("491231235959Z")),
        .entries = MAKE_SEQUENCE(a, entry("01", SLICE_NONE), entry("00ff", reason("0a0101"))),
        .extensions = {make_extension(a, OID_AUTHORITY_KEY_ID, false, hex("3004 8002 abcd")),
                       make_extension(a, OID_CRL_NUMBER, false, hex("020107")),
                       place(MAKE_JOINED(a, MAKE_TLV(a, 0x86, SLICE_LIT("http://a")),
                                         MAKE_TLV(a, 0x86, SLICE_LIT("http://b"))))}};
}

static struct slice whole(const struct parts *p)
{
    static const uint8_t no_unused_bits[] = {0};
    struct arena *a = &arena;
    struct slice list = make_joined(a, p->extensions, 5);
    struct slice tbs = MAKE_SEQUENCE(a, p->version, p->algorithm, p->issuer, p->dates, p->entries,
                                     MAKE_TLV(a, 0xa0, MAKE_SEQUENCE(a, list)), p->tail);
    return MAKE_SEQUENCE(
        a, tbs, make_algorithm(a, key()),
        MAKE_TLV(a, 0x03, slice_of(no_unused_bits, 1), make_signature(a, key(), tbs)));
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void reads_every_part(void **state)
{
    (void)state;
    struct parts p = good();
    struct crl c;
    struct crl_entry e;
    struct slice uri;
    const char *note = "";
    struct err err = crl_parse(&c, &note, whole(&p));
    if (failed(err)) fail_msg("%s", note);
    assert_int_equal(c.number, 7);
    assert_slice(c.aki, SLICE_LIT("\xab\xcd"));
    assert_slice(c.issuer, p.issuer);
    assert_true(c.this_update == 1767312000 && c.next_update == 2524607999);
    assert_int_equal(c.entry_count, 2);
    assert_true(crl_entry_next(&e, &c.entries));
    assert_slice(e.serial, SLICE_LIT("\1"));
    assert_int_equal(e.reason, 0);
    assert_int_equal(e.revoked_at, 1767225600);
    assert_true(crl_entry_next(&e, &c.entries));
    assert_slice(e.serial, SLICE_LIT("\0\xff"));
    assert_int_equal(e.reason, 1);
    assert_false(crl_entry_next(&e, &c.entries));
    assert_true(crl_uri_next(&uri, &c.uris));
    assert_slice_str(uri, "http://a");
    assert_true(crl_uri_next(&uri, &c.uris));
    assert_slice_str(uri, "http://b");
    assert_false(crl_uri_next(&uri, &c.uris));
    assert_ok(crl_verify_signed_by(&c, make_spki(&arena, key())));
    assert_err(crl_verify_signed_by(&c, make_spki(&arena, make_key(KEY_P256, 0, 4))),
               ERR_BAD_CERT_SIGNATURE);
}

static void reads_an_empty_one(void **state)
{
    (void)state;
    struct parts p = good();
    struct crl c;
    struct crl_entry e;
    const char *note = "";
    p.entries = SLICE_NONE;
    p.extensions[2] = SLICE_NONE; // and one that says nothing of its place
    assert_ok(crl_parse(&c, &note, whole(&p)));
    assert_int_equal(c.entry_count, 0);
    assert_false(crl_entry_next(&e, &c.entries));
    assert_int_equal(c.uris.n, 0);
}

static void refuses_each_defect(void **state)
{
    (void)state;
    struct arena *a = &arena;
    struct slice uri = MAKE_TLV(a, 0x86, SLICE_LIT("http://a"));
    const struct {
        const char *what;
        size_t offset; // of the part
        struct slice part;
    } rows[] = {
#define PART(member) offsetof(struct parts, member)
        {"no version", PART(version), SLICE_NONE},
        {"version 1", PART(version), hex("020100")},
        {"another algorithm", PART(algorithm), make_algorithm(a, make_key(KEY_P384, 0, 1))},
        {"an empty issuer", PART(issuer), MAKE_EMPTY(a, 0x30)},
        {"no nextUpdate", PART(dates), time_of("260102000000Z")},
        {"GeneralizedTime before 2050", PART(dates),
         MAKE_JOINED(a, time_of("260102000000Z"), MAKE_TLV(a, 0x18, SLICE_LIT("20260103000000Z")))},
        {"an empty list", PART(entries), MAKE_EMPTY(a, 0x30)},
        {"serial 0", PART(entries), MAKE_SEQUENCE(a, entry("00", SLICE_NONE))},
        {"a negative serial", PART(entries), MAKE_SEQUENCE(a, entry("80", SLICE_NONE))},
        {"a serial of 21 octets", PART(entries),
         MAKE_SEQUENCE(a, entry("010203040506070809101112131415161718192021", SLICE_NONE))},
        {"reason 0, which is not written", PART(entries),
         MAKE_SEQUENCE(a, entry("01", reason("0a0100")))},
        {"reason 7", PART(entries), MAKE_SEQUENCE(a, entry("01", reason("0a0107")))},
        {"removeFromCRL", PART(entries), MAKE_SEQUENCE(a, entry("01", reason("0a0108")))},
        {"reason 11", PART(entries), MAKE_SEQUENCE(a, entry("01", reason("0a010b")))},
        {"a reason as INTEGER", PART(entries), MAKE_SEQUENCE(a, entry("01", reason("020101")))},
        {"a reason of two octets", PART(entries),
         MAKE_SEQUENCE(a, entry("01", reason("0a020101")))},
        {"an empty list of extensions", PART(entries),
         MAKE_SEQUENCE(a, entry("01", MAKE_EMPTY(a, 0x30)))},
        {"another extension of an entry", PART(entries),
         MAKE_SEQUENCE(a, entry("01", MAKE_SEQUENCE(a, make_extension(a, OID_CRL_NUMBER, false,
                                                                      hex("020101")))))},
        {"two extensions of an entry", PART(entries),
         MAKE_SEQUENCE(
             a,
             entry("01", MAKE_SEQUENCE(a, make_extension(a, OID_CRL_REASON, false, hex("0a0101")),
                                       make_extension(a, OID_CRL_REASON, false, hex("0a0101")))))},
        {"a critical reason", PART(entries),
         MAKE_SEQUENCE(a, entry("01", MAKE_SEQUENCE(a, make_extension(a, OID_CRL_REASON, true,
                                                                      hex("0a0101")))))},
        {"no AKI", PART(extensions[0]), SLICE_NONE},
        {"AKI with a serial", PART(extensions[0]),
         make_extension(a, OID_AUTHORITY_KEY_ID, false, hex("3007 8002 abcd 8201 01"))},
        {"no number", PART(extensions[1]), SLICE_NONE},
        {"a negative number", PART(extensions[1]),
         make_extension(a, OID_CRL_NUMBER, false, hex("020180"))},
        {"a critical number", PART(extensions[1]),
         make_extension(a, OID_CRL_NUMBER, true, hex("020107"))},
        {"a place that is not critical", PART(extensions[2]),
         make_extension(a, OID_ISSUING_DISTRIBUTION_POINT, false,
                        MAKE_SEQUENCE(a, MAKE_TLV(a, 0xa0, MAKE_TLV(a, 0xa0, uri))))},
        {"a place without names", PART(extensions[2]), place(SLICE_NONE)},
        {"an empty URI", PART(extensions[2]), place(MAKE_EMPTY(a, 0x86))},
        {"a place that is a name", PART(extensions[2]), place(MAKE_TLV(a, 0x82, SLICE_LIT("a")))},
        {"for user certificates only", PART(extensions[2]),
         make_extension(
             a, OID_ISSUING_DISTRIBUTION_POINT, true,
             MAKE_SEQUENCE(a, MAKE_TLV(a, 0xa0, MAKE_TLV(a, 0xa0, uri)), hex("8101ff")))},
        {"an indirect one", PART(extensions[2]),
         make_extension(
             a, OID_ISSUING_DISTRIBUTION_POINT, true,
             MAKE_SEQUENCE(a, MAKE_TLV(a, 0xa0, MAKE_TLV(a, 0xa0, uri)), hex("8401ff")))},
        {"a second number", PART(extensions[3]),
         make_extension(a, OID_CRL_NUMBER, false, hex("020108"))},
        {"a delta", PART(extensions[3]),
         make_extension(a, SLICE_LIT("\x55\x1d\x1b"), true, hex("020101"))},
        {"something behind the extensions", PART(tail), hex("0500")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct parts p = good();
        struct crl c = {.number = 99};
        const char *note = "";
        memcpy((char *)&p + rows[i].offset, &rows[i].part, sizeof rows[i].part);
        struct err e = crl_parse(&c, &note, whole(&p));
        if (!err_is(e, ERR_BAD_CRL) || note[0] == 0) fail_msg("%s: is taken", rows[i].what);
        assert_int_equal(c.number, 99); // outputs only on success
    }
    struct parts p = good();
    struct slice der = whole(&p);
    struct crl c;
    const char *note = "";
    assert_err(crl_parse(&c, &note, MAKE_JOINED(a, der, hex("00"))), ERR_BAD_CRL);
    for (size_t n = 0; n < der.n; n++)
        assert_err(crl_parse(&c, &note, slice_sub(der, 0, n)), ERR_BAD_CRL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_every_part, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_an_empty_one, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_each_defect, setup, teardown),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
