// jwk: the published keys and thumbprints, round trips, and one defect per case (T09).
#include "proto/jose/jwk.h"

#include "proto/err.h"
#include "proto/text/base64url.h"
#include "tests/support/make.h"
#include "tests/unit/unit.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 24);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static struct err parse(struct jwk *out, struct slice text)
{
    struct json j;
    assert_ok(json_parse(&j, &arena, text));
    return jwk_parse(out, j);
}

static struct slice thumbprint(const struct jwk *k)
{
    static char text[64];
    base64url_encode(text, slice_of(k->thumbprint, JWK_THUMBPRINT_LEN));
    return slice_of(text, base64url_encoded_len(JWK_THUMBPRINT_LEN));
}

// RFC 7638 section 3.1; RFC 8037 appendix A.3; the EC key of RFC 7517 appendix A.1 with its
// thumbprint.
#define RFC7638_N                                                                             \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_" \
    "BJECPebWKRXjBZCiFV4n3oknjhMs"                                                            \
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"                            \
    "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"       \
    "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"

static void knows_the_published_keys(void **state)
{
    (void)state;
    struct jwk k;
    assert_ok(parse(&k, SLICE_LIT("{\"kty\":\"RSA\",\"n\":\"" RFC7638_N
                                  "\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}")));
    assert_slice_str(thumbprint(&k), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_int_equal(k.kind.type, KEY_RSA);
    assert_int_equal(k.kind.bits, 2048);
    assert_ok(parse(&k, SLICE_LIT("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
                                  "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}")));
    assert_slice_str(thumbprint(&k), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_int_equal(k.kind.type, KEY_ED25519);
    assert_ok(parse(&k, SLICE_LIT("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
                                  "\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"y\":"
                                  "\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\","
                                  "\"use\":\"enc\",\"kid\":\"1\"}")));
    assert_slice_str(thumbprint(&k), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
    assert_int_equal(k.kind.type, KEY_P256);
}

static const struct {
    enum key_type type;
    unsigned bits;
} kinds[] = {{KEY_P256, 0}, {KEY_P384, 0}, {KEY_P521, 0}, {KEY_RSA, 2048}, {KEY_ED25519, 0}};

static void round_trips_between_text_and_spki(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct slice spki = make_spki(&arena, make_key(kinds[i].type, kinds[i].bits, 0));
        struct jwk from_spki, from_text;
        struct buf b;
        buf_init(&b, 4096);
        assert_ok(jwk_from_spki(&from_spki, spki));
        assert_slice(slice_of(from_spki.spki, from_spki.spki_len), spki);
        assert_ok(jwk_write(&b, &from_spki));
        assert_ok(parse(&from_text, buf_slice(&b)));
        assert_slice(slice_of(from_text.spki, from_text.spki_len), spki);
        assert_memory_equal(from_text.thumbprint, from_spki.thumbprint, JWK_THUMBPRINT_LEN);
        assert_int_equal(from_text.kind.type, kinds[i].type);
        buf_fini(&b);
    }
}

static void takes_rsa_of_4096_bits(void **state)
{
    (void)state;
    struct jwk k;
    struct buf b;
    buf_init(&b, 4096);
    assert_ok(jwk_from_spki(&k, make_rsa_spki(&arena, 4096, "01ffffffff")));
    assert_ok(jwk_write(&b, &k));
    struct jwk again;
    assert_ok(parse(&again, buf_slice(&b)));
    assert_memory_equal(again.spki, k.spki, k.spki_len);
    buf_clear(&b);
    buf_fini(&b);
    buf_init(&b, 10);
    assert_err(jwk_write(&b, &k), ERR_NO_SPACE);
    buf_fini(&b);
}

#define X "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\""
#define Y "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\""
#define ED_X "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static void refuses_each_defect(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[]",
        "\"EC\"",
        "null",
        "{\"kty\":1}",
        "{\"kty\":\"ec\",\"crv\":\"P-256\"," X "," Y "}",
        "{\"kty\":\"EC\"," X "," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-257\"," X "," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\"," X "," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\"," X "," Y "}",
        "{\"kty\":\"EC\",\"crv\":null," X "," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," X "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," X ",\"y\":7}",
        // off the curve: x and y exchanged
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
        "\"x\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}",
        // infinity, and a coordinate equal to the prime
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"_____wAAAAEAAAAAAAAAAAAAAAD_______________8\"," Y
        "}",
        // an octet more, in front (a leading zero) and behind; an octet less
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"ADCgQkzSHClEg4otdckrN-duog2fAIk6O07uijwKr-w-"
        "\"," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
        "\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4A\"," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7A\"," Y
        "}",
        // padding, the standard alphabet, unused bits not zero
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4="
        "\"," Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D5\"," Y
        "}",
        // private and symmetric members
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y
        ",\"d\":\"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," X "," Y ",\"d\":null}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," ED_X
        ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}",
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AQAB\",\"p\":\"AQ\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed448\"," ED_X "}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\"," ED_X "}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
        "{\"kty\":\"OKP\"," ED_X "}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"}",
        "{\"kty\":\"EC\",\"crv\":\"Ed25519\"," ED_X "}",
        "{\"kty\":\"OKP\",\"crv\":\"P-256\"," X "," Y "}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AQ\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AQAA\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AAEAAQ\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AwAAAAE\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AQAAAAAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"AA" RFC7638_N "\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct jwk k = {.spki_len = 7};
        struct err e = parse(&k, slice_str(bad[i]));
        if (!failed(e)) print_error("%s\n", bad[i]);
        assert_err(e, ERR_BAD_JWK);
        assert_int_equal(k.spki_len, 7);
    }
}

static struct slice rsa_jwk(unsigned bits)
{
    size_t n = (bits + 7) / 8;
    uint8_t modulus[1100];
    char text[1500];
    memset(modulus, 0xa5, sizeof modulus);
    modulus[0] = (uint8_t)(1u << (bits - 1) % 8);
    base64url_encode(text, slice_of(modulus, n));
    return make_text(&arena, "{\"kty\":\"RSA\",\"n\":\"%.*s\",\"e\":\"AQAB\"}",
                     (int)base64url_encoded_len(n), text);
}

static void bounds_rsa_sizes(void **state)
{
    (void)state;
    static const unsigned bad[] = {512, 1024, 2047, 2049, 4095, 4097, 4104, 8192};
    struct jwk k;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_err(parse(&k, rsa_jwk(bad[i])), ERR_BAD_JWK);
        assert_err(jwk_from_spki(&k, make_rsa_spki(&arena, bad[i], "010001")), ERR_BAD_JWK);
    }
    assert_ok(parse(&k, rsa_jwk(2048)));
    assert_ok(parse(&k, rsa_jwk(3072)));
    assert_ok(parse(&k, rsa_jwk(4096)));
}

static void ignores_members_it_does_not_know(void **state)
{
    (void)state;
    struct jwk plain, more;
    assert_ok(parse(&plain, SLICE_LIT("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"," ED_X "}")));
    assert_ok(
        parse(&more, SLICE_LIT("{\"x5c\":[1],\"n\":\"?\",\"crv\":\"Ed25519\",\"ext\":true," ED_X
                               ",\"key_ops\":[\"verify\"],\"kty\":\"OKP\"}")));
    assert_memory_equal(plain.thumbprint, more.thumbprint, JWK_THUMBPRINT_LEN);
}

static void refuses_malformed_spkis(void **state)
{
    (void)state;
    struct jwk k;
    struct slice spki = make_spki(&arena, make_key(KEY_P256, 0, 0));
    for (size_t n = 0; n < spki.n; n++)
        assert_err(jwk_from_spki(&k, slice_sub(spki, 0, n)), ERR_BAD_JWK);
    assert_err(jwk_from_spki(&k, MAKE_JOINED(&arena, spki, SLICE_LIT("\0"))), ERR_BAD_JWK);
    uint8_t large[JWK_SPKI_MAX + 1] = {0x30};
    assert_err(jwk_from_spki(&k, slice_of(large, sizeof large)), ERR_BAD_JWK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_published_keys),
        cmocka_unit_test(round_trips_between_text_and_spki),
        cmocka_unit_test(takes_rsa_of_4096_bits),
        cmocka_unit_test(refuses_each_defect),
        cmocka_unit_test(bounds_rsa_sizes),
        cmocka_unit_test(ignores_members_it_does_not_know),
        cmocka_unit_test(refuses_malformed_spkis),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
