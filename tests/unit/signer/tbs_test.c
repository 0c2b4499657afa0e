// tbs: where each part of a serial comes from, what it depends on, and how dates are written.
#include "signer/tbs.h"

#include <openssl/hmac.h>
#include <string.h>

#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/unit/signer/fixture.h"

static struct arena arena;
static struct issuer issuer;
static struct fixture_profile profile;
static const uint8_t key_a[32] = "the first serial key, 32 octets", key_b[32] = "another one";

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    fixture_issuer(&issuer, &arena, KEY_P256, 0, 40ll * 365 * 86400);
    fixture_profile_init(&profile, "plain");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct intent intent_at(int64_t now_s)
{
    return fixture_intent(&arena, &profile.profile, &issuer,
                          make_spki(&arena, make_key(KEY_P256, 0, 0)), 3, now_s);
}

static void serial_of(uint8_t out[SERIAL_LEN], const uint8_t key[32], const struct intent *in)
{
    uint8_t hash[HASH_LEN];
    intent_hash(hash, in);
    serial_make(out, key, in, hash);
}

// ---- serial

static void lays_the_serial_out(void **state)
{
    static const struct {
        int64_t not_before;
        uint16_t issuer;
        uint8_t region;
        const char *hex;
    } rows[] = {
        {1780000000, 1, 0, "078b21 0040"}, // hour 494444
        {1779998400, 1, 0, "078b20 0040"}, // the first second of an hour (494444 h is 1779998400)
        {1780001999, 1023, 63, "078b21 ffff"}, {1780000000, 512, 1, "078b21 8001"},
        {3600, 0, 5, "000001 0005"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t serial[SERIAL_LEN], hash[HASH_LEN], text[18 + HASH_LEN], mac[32];
        unsigned n;
        struct intent in = intent_at(FIXTURE_NOW_S);
        in.not_before = rows[i].not_before;
        in.issuer = rows[i].issuer;
        in.region = rows[i].region;
        int64_t hour = in.not_before / 3600;
        serial_of(serial, key_a, &in);
        assert_int_equal(serial[0] << 16 | serial[1] << 8 | serial[2], hour);
        assert_int_equal(serial[3] << 8 | serial[4], rows[i].issuer << 6 | rows[i].region);
        assert_slice(slice_of(serial + 3, 2), slice_sub(make_hex(&arena, rows[i].hex), 3, 2));
        intent_hash(hash, &in);
        memcpy(text, "certmill serial 1", 18);
        memcpy(text + 18, hash, HASH_LEN);
        assert_non_null(HMAC(EVP_sha256(), key_a, 32, text, sizeof text, mac, &n));
        assert_memory_equal(serial + 5, mac, 15);
    }
}

static void begins_with_7_and_is_positive(void **state)
{
    (void)state;
    static const int64_t first = 1651507200ll, last = 30198988799ll; // 2022 and 2926
    for (int64_t at = first; at < last; at += (last - first) / 97) {
        uint8_t serial[SERIAL_LEN];
        struct intent in = intent_at(at + 60);
        serial_of(serial, key_a, &in);
        assert_true(serial[0] >= 7 && serial[0] < 0x80);
    }
}

static void other_order(struct intent *in) { in->order.b[15] ^= 1; }
static void other_tenant(struct intent *in) { in->tenant = SLICE_LIT("defaulu"); }
static void other_account(struct intent *in) { in->account.b[0] ^= 1; }
static void other_key(struct intent *in) { in->spki = make_spki(&arena, make_key(KEY_P256, 0, 1)); }
static void other_name(struct intent *in) { in->names[2].value = SLICE_LIT("n9.internal.test"); }
static void fewer_names(struct intent *in) { in->name_count--; }
static void other_type(struct intent *in) { in->names[0].type = IDENTIFIER_IP; }
static void other_profile(struct intent *in) { in->profile = SLICE_LIT("plain2"); }
static void other_profile_hash(struct intent *in) { in->profile_hash[31] ^= 1; }
static void other_template(struct intent *in) { in->template_version++; }
static void other_issuer(struct intent *in) { in->issuer++; }
static void other_region(struct intent *in) { in->region++; }
static void other_certificate(struct intent *in) { in->issuer_cert_hash[0] ^= 1; }
static void other_generation(struct intent *in) { in->serial_key_generation++; }
static void other_not_before(struct intent *in) { in->not_before++; }
static void other_not_after(struct intent *in) { in->not_after++; }
static void other_shard(struct intent *in) { in->crl_shard++; }
static void other_salt(struct intent *in) { in->salt[15] ^= 0x80; }

static void (*const sealed[])(struct intent *) = {
    other_order,     other_tenant, other_account,     other_key,          other_name,
    fewer_names,     other_type,   other_profile,     other_profile_hash, other_template,
    other_issuer,    other_region, other_certificate, other_generation,   other_not_before,
    other_not_after, other_shard,  other_salt,
};

static void owner_is_not_sealed(struct intent *in)
{
    in->owner_node.b[3] ^= 0xff;
    in->owner_boot += 7;
    in->created_at_us -= 99;
}

static void same_intent_same_serial_and_no_other(void **state)
{
    (void)state;
    uint8_t want[SERIAL_LEN], got[SERIAL_LEN];
    struct intent in = intent_at(FIXTURE_NOW_S), again = intent_at(FIXTURE_NOW_S);
    serial_of(want, key_a, &in);
    serial_of(got, key_a, &again);
    assert_memory_equal(want, got, SERIAL_LEN);
    owner_is_not_sealed(&again);
    serial_of(got, key_a, &again);
    assert_memory_equal(want, got, SERIAL_LEN);
    serial_of(got, key_b, &in);
    assert_memory_equal(want, got, 5);
    assert_memory_not_equal(want + 5, got + 5, 15);
    for (size_t i = 0; i < COUNT_OF(sealed); i++) {
        struct intent changed = intent_at(FIXTURE_NOW_S);
        sealed[i](&changed);
        serial_of(got, key_a, &changed);
        if (memcmp(want + 5, got + 5, 15) == 0) fail_msg("sealed field %zu does not count", i);
    }
}

// ---- dates

static struct slice validity_of(int64_t not_before)
{
    struct buf b;
    struct slice out;
    struct cert c;
    const char *note = "";
    uint8_t serial[SERIAL_LEN];
    struct intent in = intent_at(FIXTURE_NOW_S);
    in.not_before = not_before;
    in.not_after = not_before + FIXTURE_VALIDITY_S - 1;
    serial_of(serial, key_a, &in);
    buf_init(&b, TBS_MAX);
    assert_ok(tbs_build(&b, &in, &profile.profile, &issuer, serial));
    struct buf whole;
    buf_init(&whole, TBS_MAX + 64);
    assert_ok(certificate_build(&whole, buf_slice(&b), issuer.algorithm, SLICE_LIT("sig")));
    assert_ok(arena_dup(&out, &arena, buf_slice(&whole)));
    assert_ok(cert_parse(&c, &note, &arena, out));
    assert_int_equal(c.not_before, not_before);
    assert_int_equal(c.not_after - c.not_before + 1, FIXTURE_VALIDITY_S);
    assert_slice(c.issuer, issuer.cert.subject);
    buf_fini(&b);
    buf_fini(&whole);
    // Validity stands between the issuer's name and the subject.
    const uint8_t *from = c.issuer.p + c.issuer.n;
    return slice_of(from, (size_t)(c.subject.p - from));
}

static void writes_dates_by_their_year(void **state)
{
    static const struct {
        int64_t not_before;
        const char *from, *to;
        uint8_t from_tag, to_tag;
    } rows[] = {
        {1780000000, "260528202640Z", "260529202639Z", 0x17, 0x17},
        {2524521600, "491231000000Z", "491231235959Z", 0x17, 0x17},
        {2524521601, "491231000001Z", "20500101000000Z", 0x17, 0x18},
        {2524607999, "491231235959Z", "20500101235958Z", 0x17, 0x18},
        {2524608000, "20500101000000Z", "20500101235959Z", 0x18, 0x18},
        {1835308800, "280228000000Z", "280228235959Z", 0x17, 0x17}, // a leap year
        {1835395200, "280229000000Z", "280229235959Z", 0x17, 0x17},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice want = MAKE_SEQUENCE(
            &arena, MAKE_TLV(&arena, rows[i].from_tag, slice_str(rows[i].from)),
            MAKE_TLV(&arena, rows[i].to_tag, slice_str(rows[i].to)));
        assert_slice(validity_of(rows[i].not_before), want);
    }
}

static void builds_around_a_signature(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 256);
    assert_ok(certificate_build(&b, make_hex(&arena, "3003020101"), make_hex(&arena, "3000"),
                                SLICE_LIT("\xaa\xbb")));
    assert_slice(buf_slice(&b), make_hex(&arena, "300c 3003020101 3000 030300aabb"));
    buf_fini(&b);
    buf_init(&b, 8); // too small: nothing is added
    assert_err(certificate_build(&b, make_hex(&arena, "3003020101"), make_hex(&arena, "3000"),
                                 SLICE_LIT("\xaa\xbb")),
               ERR_NO_SPACE);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
}

static void refuses_a_key_it_cannot_read(void **state)
{
    (void)state;
    struct buf b;
    uint8_t serial[SERIAL_LEN] = {7};
    struct intent in = intent_at(FIXTURE_NOW_S);
    in.spki = slice_sub(in.spki, 0, in.spki.n - 1);
    buf_init(&b, TBS_MAX);
    assert_err(tbs_build(&b, &in, &profile.profile, &issuer, serial), ERR_CRYPTO);
    assert_int_equal(buf_len(&b), 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lays_the_serial_out),
        cmocka_unit_test(begins_with_7_and_is_positive),
        cmocka_unit_test(same_intent_same_serial_and_no_other),
        cmocka_unit_test(writes_dates_by_their_year),
        cmocka_unit_test(builds_around_a_signature),
        cmocka_unit_test(refuses_a_key_it_cannot_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
