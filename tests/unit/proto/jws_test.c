// jws: T01 to T10 as far as reading and verifying goes: which envelopes are taken for which use,
// and every algorithm with every key.
#include "proto/jose/jws.h"

#include "proto/der/name.h"
#include "proto/err.h"
#include "proto/http/internal.h"
#include "proto/text/base64url.h"
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

static const struct {
    enum key_type type;
    unsigned bits;
    enum jws_alg alg;
} kinds[] = {{KEY_P256, 0, JWS_ES256},
             {KEY_P384, 0, JWS_ES384},
             {KEY_P521, 0, JWS_ES512},
             {KEY_RSA, 2048, JWS_RS256},
             {KEY_ED25519, 0, JWS_EDDSA}};

static EVP_PKEY *key_of(size_t i, unsigned number)
{
    return make_key(kinds[i].type, kinds[i].bits, number);
}

static struct jwk jwk_of(EVP_PKEY *key)
{
    struct jwk k;
    assert_ok(jwk_from_spki(&k, make_spki(&arena, key)));
    return k;
}

// parsed reads a message that must be good.
static struct jws parsed(struct slice body, enum jws_use use)
{
    struct jws jws;
    note = "";
    struct err e = jws_parse(&jws, &note, &arena, body, use);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    return jws;
}

static void refused(struct slice body, enum jws_use use, uint32_t code)
{
    struct jws jws = {.alg = JWS_HS512};
    note = NULL;
    struct err e = jws_parse(&jws, &note, &arena, body, use);
    if (!err_is(e, code))
        print_error("%" SLICE_FMT "\n%s\n", SLICE_ARG(body), note == NULL ? "" : note);
    assert_err(e, code);
    assert_true(note != NULL && strlen(note) > 10);
    assert_int_equal(jws.alg, JWS_HS512);
}

static struct slice request_header(const char *alg, const char *rest)
{
    return make_text(
        &arena,
        "{\"alg\":\"%s\",\"nonce\":\"bm9uY2U\",\"url\":\"https://ca.example/acme/new-order\",%s}",
        alg, rest);
}

#define KID "\"kid\":\"https://ca.example/acme/acct/1\""

static void reads_a_request_by_kid(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = key_of(i, 0);
        struct jwk jwk = jwk_of(key);
        struct jws jws = parsed(
            make_jws(&arena, key, request_header(make_alg(key), KID), SLICE_LIT("{\"a\":1}")),
            JWS_USE_REQUEST);
        assert_int_equal(jws.alg, kinds[i].alg);
        assert_string_equal(jws_alg_name(jws.alg), make_alg(key));
        assert_slice_str(jws.nonce, "bm9uY2U");
        assert_slice_str(jws.url, "https://ca.example/acme/new-order");
        assert_slice_str(jws.kid, "https://ca.example/acme/acct/1");
        assert_slice_str(jws.payload, "{\"a\":1}");
        assert_false(jws.has_jwk);
        assert_ok(jws_verify(&jws, &jwk));
        assert_non_null(strstr(jws_alg_list(), jws_alg_name(jws.alg)));
    }
}

static void reads_a_request_by_jwk(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = key_of(i, 0);
        struct slice jwk = make_jwk(&arena, key),
                     member = make_text(&arena, "\"jwk\":%" SLICE_FMT, SLICE_ARG(jwk));
        struct jws jws = parsed(make_jws(&arena, key,
                                         request_header(make_alg(key), (const char *)member.p),
                                         SLICE_NONE),
                                JWS_USE_REQUEST);
        assert_true(jws.has_jwk);
        assert_int_equal(jws.kid.n, 0);
        assert_int_equal(jws.payload.n, 0);
        assert_memory_equal(jws.jwk.thumbprint, jwk_of(key).thumbprint, JWK_THUMBPRINT_LEN);
        assert_ok(jws_verify(&jws, &jws.jwk));
    }
}

// clients.md 23: certbot's indented JSON, any order of members, an empty payload.
static void takes_any_layout(void **state)
{
    (void)state;
    EVP_PKEY *key = key_of(0, 0);
    struct slice body = make_jws(&arena, key, request_header("ES256", KID), SLICE_NONE);
    struct json j;
    struct slice protected, signature;
    assert_ok(json_parse(&j, &arena, body));
    assert_ok(json_string(json_get(j, "protected"), &protected));
    assert_ok(json_string(json_get(j, "signature"), &signature));
    struct slice indented = make_text(
        &arena,
        "\r\n{\n  \"signature\" : \"%" SLICE_FMT
        "\",\n\t\"payload\": \"\",\n  \"prot\\u0065cted\": \"%" SLICE_FMT "\"\n}\n",
        SLICE_ARG(signature), SLICE_ARG(protected));
    struct jws jws = parsed(indented, JWS_USE_REQUEST);
    struct jwk jwk = jwk_of(key);
    assert_ok(jws_verify(&jws, &jwk));
}

static struct slice with_header(const char *header)
{
    return make_jws_parts(
        &arena, slice_str(header), SLICE_NONE,
        SLICE_LIT("0123456789012345678901234567890123456789012345678901234567890123"));
}

#define URL "\"url\":\"https://a\""
#define NONCE "\"nonce\":\"bm9uY2U\""
#define ED_JWK                                                            \
    "\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_" \
    "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

static void judges_the_protected_header(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum jws_use use;
        uint32_t code; // 0: taken
    } cases[] = {
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, 0},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," ED_JWK "}", JWS_USE_REQUEST, 0},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"typ\":\"jose\",\"x\":[1,{}]}",
         JWS_USE_REQUEST, 0},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID "," ED_JWK "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{" NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"none\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"None\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"HS256\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"HS512\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"RS384\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"RS1\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"PS256\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"ES256K\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"es256\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"ES256\\u0000\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":null," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":[\"ES256\"]," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"ALG\":\"ES256\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST,
         ERR_JSON_DUPLICATE},
        {"{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"," NONCE "," URL "," KID "}", JWS_USE_REQUEST,
         ERR_JSON_DUPLICATE},
        {"{\"alg\":\"ES256\"," NONCE "," NONCE "," URL "," KID "}", JWS_USE_REQUEST,
         ERR_JSON_DUPLICATE},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"jwk\":{\"kty\":1,\"kty\":1}}",
         JWS_USE_REQUEST, ERR_JSON_DUPLICATE},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"crit\":[\"exp\"]}", JWS_USE_REQUEST,
         ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"crit\":[]}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"crit\":null}", JWS_USE_REQUEST,
         ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"b64\":false,\"crit\":[\"b64\"]}",
         JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"b64\":true}", JWS_USE_REQUEST,
         ERR_BAD_JWS},
        {"{\"alg\":\"ES256\",\"nonce\":\"\"," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_NONCE},
        {"{\"alg\":\"ES256\"," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS_NONCE},
        {"{\"alg\":\"ES256\"," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\",\"nonce\":7," URL "," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\",\"nonce\":\"not base64url\"," URL "," KID "}", JWS_USE_REQUEST,
         ERR_BAD_BASE64URL},
        {"{\"alg\":\"ES256\",\"nonce\":\"Zg==\"," URL "," KID "}", JWS_USE_REQUEST,
         ERR_BAD_BASE64URL},
        {"{\"alg\":\"ES256\"," NONCE ",\"url\":\"\"," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE ",\"url\":{}," KID "}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL ",\"kid\":\"\"}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL ",\"kid\":1}", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL ",\"jwk\":\"x\"}", JWS_USE_REQUEST, ERR_BAD_JWK},
        {"{\"alg\":\"ES256\"," NONCE "," URL ",\"jwk\":null}", JWS_USE_REQUEST, ERR_BAD_JWK},
        {"{\"alg\":\"ES256\"," NONCE "," URL ",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
         JWS_USE_REQUEST, ERR_BAD_JWK},
        {"", JWS_USE_REQUEST, ERR_BAD_JSON},
        {"[]", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"\"alg\"", JWS_USE_REQUEST, ERR_BAD_JWS},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID "} ", JWS_USE_REQUEST, 0},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID "}x", JWS_USE_REQUEST, ERR_BAD_JSON},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",}", JWS_USE_REQUEST, ERR_BAD_JSON},
        {"{\"alg\":\"ES256\"," NONCE "," URL "," KID ",\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
         JWS_USE_REQUEST, ERR_JSON_TOO_DEEP},
        {"{\"alg\":\"HS256\"," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, 0},
        {"{\"alg\":\"HS384\"," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, 0},
        {"{\"alg\":\"HS512\"," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, 0},
        {"{\"alg\":\"ES256\"," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"none\"," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"HS1\"," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"HS256\"," URL "}", JWS_USE_EAB, ERR_BAD_JWS},
        {"{\"alg\":\"HS256\",\"kid\":\"k1\"}", JWS_USE_EAB, ERR_BAD_JWS},
        {"{\"alg\":\"HS256\"," NONCE "," URL ",\"kid\":\"k1\"}", JWS_USE_EAB, ERR_BAD_JWS},
        {"{\"alg\":\"HS256\"," URL ",\"kid\":\"k1\"," ED_JWK "}", JWS_USE_EAB, ERR_BAD_JWS},
        {"{\"alg\":\"HS256\"," URL "," ED_JWK "}", JWS_USE_EAB, ERR_BAD_JWS},
        {"{\"alg\":\"EdDSA\"," URL "," ED_JWK "}", JWS_USE_KEY_CHANGE_INNER, 0},
        {"{\"alg\":\"EdDSA\"," ED_JWK "}", JWS_USE_KEY_CHANGE_INNER, ERR_BAD_JWS},
        {"{\"alg\":\"EdDSA\"," URL "," KID "}", JWS_USE_KEY_CHANGE_INNER, ERR_BAD_JWS},
        {"{\"alg\":\"EdDSA\"," URL "," KID "," ED_JWK "}", JWS_USE_KEY_CHANGE_INNER, ERR_BAD_JWS},
        {"{\"alg\":\"EdDSA\"," NONCE "," URL "," ED_JWK "}", JWS_USE_KEY_CHANGE_INNER, ERR_BAD_JWS},
        {"{\"alg\":\"HS256\"," URL "," ED_JWK "}", JWS_USE_KEY_CHANGE_INNER, ERR_BAD_JWS_ALG},
        {"{\"alg\":\"ES256\"}", JWS_USE_PLAIN, 0},
        {"{\"alg\":\"HS256\"}", JWS_USE_PLAIN, ERR_BAD_JWS_ALG},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].code == 0)
            parsed(with_header(cases[i].header), cases[i].use);
        else
            refused(with_header(cases[i].header), cases[i].use, cases[i].code);
    }
    struct slice octets = make_jws_parts(&arena, SLICE_LIT("{\"alg\":\"ES256\"}\0"), SLICE_NONE,
                                         SLICE_NONE);
    refused(octets, JWS_USE_PLAIN, ERR_BAD_JSON);
    octets = make_jws_parts(&arena, SLICE_LIT("\xef\xbb\xbf{\"alg\":\"ES256\"}"), SLICE_NONE,
                            SLICE_NONE);
    refused(octets, JWS_USE_PLAIN, ERR_BAD_JSON);
    struct slice long_nonce = make_text(
        &arena, "{\"alg\":\"ES256\",\"nonce\":\"%0260d\"," URL "," KID "}", 0);
    refused(make_jws_parts(&arena, long_nonce, SLICE_NONE, SLICE_NONE), JWS_USE_REQUEST,
            ERR_BAD_JWS_NONCE);
}

#define PROTECTED "eyJhbGciOiJFUzI1NiJ9" // {"alg":"ES256"}

static void judges_the_envelope(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint32_t code;
    } cases[] = {
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\"}", 0},
        {"", ERR_BAD_JSON},
        {"null", ERR_BAD_JWS},
        {"[]", ERR_BAD_JWS},
        {"{}", ERR_BAD_JWS},
        {PROTECTED "..AAAA", ERR_BAD_JSON}, // the compact form
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\"}", ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"signature\":\"\"}", ERR_BAD_JWS},
        {"{\"payload\":\"\",\"signature\":\"\"}", ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\",\"header\":{}}",
         ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED
         "\",\"payload\":\"\",\"signature\":\"\",\"header\":{\"kid\":\"x\"}}",
         ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\",\"signatures\":[]}",
         ERR_BAD_JWS},
        {"{\"payload\":\"\",\"signatures\":[{\"protected\":\"" PROTECTED "\",\"signature\":\"\"}]}",
         ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\",\"x\":1}",
         ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\",\"signature\":\"\"}",
         ERR_JSON_DUPLICATE},
        {"{\"protected\":\"" PROTECTED
         "\",\"payload\":\"\",\"payload\":\"e30\",\"signature\":\"\"}",
         ERR_JSON_DUPLICATE},
        {"{\"Protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\"}", ERR_BAD_JWS},
        {"{\"protected\":{\"alg\":\"ES256\"},\"payload\":\"\",\"signature\":\"\"}", ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":{},\"signature\":\"\"}", ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":null,\"signature\":\"\"}", ERR_BAD_JWS},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":1}", ERR_BAD_JWS},
        {"{\"protected\":\"\",\"payload\":\"\",\"signature\":\"\"}", ERR_BAD_JSON},
        {"{\"protected\":\"" PROTECTED "=\",\"payload\":\"\",\"signature\":\"\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\\n\",\"payload\":\"\",\"signature\":\"\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"e30=\",\"signature\":\"\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"e31\",\"signature\":\"\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"e30 \",\"signature\":\"\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"Zg==\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"+/+/\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"Z\"}",
         ERR_BAD_BASE64URL},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\"}{}", ERR_BAD_JSON},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\"},", ERR_BAD_JSON},
        {"{\"protected\":\"" PROTECTED "\",\"payload\":\"\",\"signature\":\"\",}", ERR_BAD_JSON},
        {"{'protected':'" PROTECTED "','payload':'','signature':''}", ERR_BAD_JSON},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].code == 0)
            parsed(slice_str(cases[i].body), JWS_USE_PLAIN);
        else
            refused(slice_str(cases[i].body), JWS_USE_PLAIN, cases[i].code);
    }
}

// T01: the algorithm must fit the key, whatever the header says.
static void every_algorithm_with_every_key(void **state)
{
    (void)state;
    struct slice payload = SLICE_LIT("{}");
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            struct slice header = request_header(jws_alg_name(kinds[i].alg), KID);
            struct jws jws = parsed(make_jws(&arena, key_of(k, 0), header, payload),
                                    JWS_USE_REQUEST);
            struct jwk jwk = jwk_of(key_of(k, 0));
            if (i == k)
                assert_ok(jws_verify(&jws, &jwk));
            else
                assert_err(jws_verify(&jws, &jwk), ERR_BAD_JWS_ALG);
        }
    }
}

static void another_key_or_message_does_not_verify(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        EVP_PKEY *key = key_of(i, 0);
        struct jws jws = parsed(
            make_jws(&arena, key, request_header(make_alg(key), KID), SLICE_LIT("{}")),
            JWS_USE_REQUEST);
        struct jwk jwk = jwk_of(key), other = jwk_of(key_of(i, 1));
        assert_ok(jws_verify(&jws, &jwk));
        assert_err(jws_verify(&jws, &other), ERR_BAD_JWS_SIGNATURE);
        struct jws bad = jws;
        bad.signing_input = slice_sub(jws.signing_input, 0, jws.signing_input.n - 1);
        assert_err(jws_verify(&bad, &jwk), ERR_BAD_JWS_SIGNATURE);
        for (size_t n = 0; n < jws.signature.n; n++) {
            bad = jws;
            bad.signature = slice_sub(jws.signature, 0, n);
            if (n > 70 && n + 3 < jws.signature.n) continue;
            assert_err(jws_verify(&bad, &jwk), ERR_BAD_JWS_SIGNATURE);
        }
        bad.signature = MAKE_JOINED(&arena, jws.signature, SLICE_LIT("\0"));
        assert_err(jws_verify(&bad, &jwk), ERR_BAD_JWS_SIGNATURE);
    }
}

// T03 and T08: every octet of the signature matters; zero, n, and DER in place of r and s do not
// verify.
static void refuses_each_changed_signature(void **state)
{
    (void)state;
    static const char order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    EVP_PKEY *key = key_of(0, 0);
    struct jwk jwk = jwk_of(key);
    struct jws jws = parsed(make_jws(&arena, key, request_header("ES256", KID), SLICE_LIT("{}")),
                            JWS_USE_REQUEST);
    uint8_t good[64], bad[64];
    memcpy(good, jws.signature.p, 64);
    jws.signature = slice_of(bad, 64);
    for (size_t i = 0; i < 64 * 8; i++) {
        memcpy(bad, good, 64);
        bad[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_err(jws_verify(&jws, &jwk), ERR_BAD_JWS_SIGNATURE);
    }
    struct slice n = make_hex(&arena, order);
    for (int part = 0; part < 3; part++) { // r, s, both
        for (int value = 0; value < 2; value++) {
            memcpy(bad, good, 64);
            for (int half = 0; half < 2; half++) {
                if (part != 2 && part != half) continue;
                if (value == 0)
                    memset(bad + 32 * half, 0, 32);
                else
                    memcpy(bad + 32 * half, n.p, 32);
            }
            assert_err(jws_verify(&jws, &jwk), ERR_BAD_JWS_SIGNATURE);
        }
    }
    memcpy(bad, good, 64);
    assert_ok(jws_verify(&jws, &jwk));
    jws.signature = make_signature(&arena, key, jws.signing_input); // DER
    assert_err(jws_verify(&jws, &jwk), ERR_BAD_JWS_SIGNATURE);
}

static void verifies_nothing_without_an_algorithm(void **state)
{
    (void)state;
    struct jwk jwk = jwk_of(key_of(0, 0));
    struct jws jws = parsed(
        make_jws(&arena, key_of(0, 0), request_header("ES256", KID), SLICE_LIT("{}")),
        JWS_USE_REQUEST);
    static const enum jws_alg others[] = {JWS_ALG_NONE, JWS_HS256, JWS_HS384,
                                          JWS_HS512,    JWS_RS256, (enum jws_alg)99};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        jws.alg = others[i];
        assert_err(jws_verify(&jws, &jwk), ERR_BAD_JWS_ALG);
    }
    jws.alg = JWS_ES256;
    assert_err(jws_verify_mac(&jws, SLICE_LIT("secret")), ERR_BAD_JWS_ALG);
    jws.alg = JWS_ALG_NONE;
    assert_err(jws_verify_mac(&jws, SLICE_LIT("secret")), ERR_BAD_JWS_ALG);
    assert_string_equal(jws_alg_name(JWS_ALG_NONE), "none");
    assert_string_equal(jws_alg_name((enum jws_alg)99), "none");
    assert_null(strstr(jws_alg_list(), "HS"));
}

// T10: the whole MAC counts.
static void verifies_the_mac_of_an_account_binding(void **state)
{
    (void)state;
    static const unsigned bits[] = {256, 384, 512};
    struct slice secret = SLICE_LIT("a secret of 32 octets or of more");
    for (size_t i = 0; i < COUNT_OF(bits); i++) {
        struct slice header = make_text(&arena, "{\"alg\":\"HS%u\"," URL ",\"kid\":\"k1\"}",
                                        bits[i]);
        struct jws jws = parsed(make_jws_mac(&arena, bits[i], secret, header, SLICE_LIT("{}")),
                                JWS_USE_EAB);
        assert_ok(jws_verify_mac(&jws, secret));
        assert_err(jws_verify_mac(&jws, SLICE_LIT("a secret of 32 octets or of morf")),
                   ERR_BAD_JWS_SIGNATURE);
        assert_err(jws_verify_mac(&jws, SLICE_NONE), ERR_BAD_JWS_SIGNATURE);
        struct slice mac = jws.signature;
        assert_int_equal(mac.n, bits[i] / 8);
        for (size_t n = 0; n < mac.n; n++) {
            jws.signature = slice_sub(mac, 0, n);
            assert_err(jws_verify_mac(&jws, secret), ERR_BAD_JWS_SIGNATURE);
        }
        jws.signature = MAKE_JOINED(&arena, mac, SLICE_LIT("\0"));
        assert_err(jws_verify_mac(&jws, secret), ERR_BAD_JWS_SIGNATURE);
        struct jwk jwk = jwk_of(key_of(0, 0));
        assert_err(jws_verify(&jws, &jwk), ERR_BAD_JWS_ALG);
    }
}

// RFC 7515 appendix A.3 and RFC 8037 appendix A.4, put in the flattened form.
static void verifies_the_published_examples(void **state)
{
    (void)state;
    static const struct {
        const char *protected, *payload, *signature, *jwk;
    } examples[] = {
        {"eyJhbGciOiJFUzI1NiJ9",
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c"
         "nVlfQ",
         "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
         "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"},
        {"eyJhbGciOiJFZERTQSJ9", "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
         "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
         "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
         "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"},
    };
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct slice body = make_text(
            &arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
            examples[i].protected, examples[i].payload, examples[i].signature);
        struct jws jws = parsed(body, JWS_USE_PLAIN);
        struct json j;
        struct jwk jwk;
        assert_ok(json_parse(&j, &arena, slice_str(examples[i].jwk)));
        assert_ok(jwk_parse(&jwk, j));
        assert_ok(jws_verify(&jws, &jwk));
    }
}

static void says_so_when_the_arena_is_full(void **state)
{
    (void)state;
    EVP_PKEY *key = key_of(0, 0);
    struct slice body = make_jws(&arena, key, request_header("ES256", KID), SLICE_LIT("{}"));
    bool done = false;
    for (size_t ceiling = 0; !done; ceiling += 16) {
        struct arena small;
        struct jws jws;
        arena_init(&small, ceiling);
        struct err e = jws_parse(&jws, &note, &small, body, JWS_USE_REQUEST);
        done = !failed(e);
        if (!done) assert_err(e, ERR_NO_SPACE);
        arena_fini(&small);
        assert_true(ceiling < 16384);
    }
}

// An order of as many names as may be, each as long as may be, is read in the arena of one request.
static void the_largest_order_fits_into_a_request(void **state)
{
    (void)state;
    struct arena own;
    struct jws jws;
    struct json order;
    char label[DNS_LABEL_LEN_MAX + 1] = {0};
    memset(label, 'a', DNS_LABEL_LEN_MAX);
    const char *text = "{\"identifiers\":[";
    for (int i = 0; i < IDENTIFIER_COUNT_MAX; i++)
        text = arena_printf(&arena, "%s%s{\"type\":\"dns\",\"value\":\"%s.%s.%s.%.55s.test\"}",
                            text, i == 0 ? "" : ",", label, label, label, label);
    text = arena_printf(&arena, "%s]}", text);
    EVP_PKEY *key = key_of(0, 0);
    struct slice body = make_jws(&arena, key, request_header("ES256", KID), slice_str(text));
    arena_init(&own, STREAM_ARENA_MAX);
    assert_ok(jws_parse(&jws, &note, &own, body, JWS_USE_REQUEST));
    assert_ok(json_parse(&order, &own, jws.payload));
    assert_int_equal(json_size(json_get(order, "identifiers")), IDENTIFIER_COUNT_MAX);
    arena_fini(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request_by_kid),
        cmocka_unit_test(reads_a_request_by_jwk),
        cmocka_unit_test(takes_any_layout),
        cmocka_unit_test(judges_the_protected_header),
        cmocka_unit_test(judges_the_envelope),
        cmocka_unit_test(every_algorithm_with_every_key),
        cmocka_unit_test(another_key_or_message_does_not_verify),
        cmocka_unit_test(refuses_each_changed_signature),
        cmocka_unit_test(verifies_nothing_without_an_algorithm),
        cmocka_unit_test(verifies_the_mac_of_an_account_binding),
        cmocka_unit_test(verifies_the_published_examples),
        cmocka_unit_test(says_so_when_the_arena_is_full),
        cmocka_unit_test(the_largest_order_fits_into_a_request),
    };
    proto_err_register();
    return cmocka_run_group_tests(tests, setup, teardown);
}
