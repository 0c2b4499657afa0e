#include <stdio.h>

#include "proto/grpc/frame.h"
#include "proto/jose/jws.h"
#include "tests/fuzz/seeds.h"
#include "tests/support/make.h"

static const struct {
    enum key_type type;
    unsigned bits;
    const char *name;
} keys[] = {{KEY_P256, 0, "p256"},
            {KEY_P384, 0, "p384"},
            {KEY_P521, 0, "p521"},
            {KEY_RSA, 2048, "rsa2048"},
            {KEY_ED25519, 0, "ed25519"}};

enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static EVP_PKEY *key_at(size_t i) { return make_key(keys[i].type, keys[i].bits, 0); }

// file_name is "<stem>_<what>".
static const char *file_name(struct seeds *s, const char *stem, const char *what)
{
    return arena_printf(&s->arena, "%s_%s", stem, what);
}

static void json(struct seeds *s)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"new_order.json", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"},"
                           "{\"type\":\"ip\",\"value\":\"10.0.0.1\"}]}"},
        {"new_account.json", "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@b.example\"],"
                             "\"onlyReturnExisting\":false}"},
        {"numbers.json", "[0,-0,1.5,-1e10,9223372036854775807,-9223372036854775808,"
                         "18446744073709551615,1E-7,12345678901234567890123]"},
        {"escapes.json", "\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\xc3\xa9\""},
        {"lone_surrogate.json", "\"\\ud800\""},
        {"bad_utf8.json", "\"\xc3\x28\xed\xa0\x80\""},
        {"control_character.json", "\"a\x01z\""},
        {"twin_names.json", "{\"a\":1,\"b\":{\"c\":2,\"c\":3}}"},
        {"twin_by_escape.json", "{\"a\":1,\"\\u0061\":2}"},
        {"name_with_nul.json", "{\"a\\u0000b\":1,\"a\":null}"},
        {"seventeen_names.json", "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
                                 "\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,"
                                 "\"q\":1}"},
        {"seventeen_names_twin.json",
         "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,"
         "\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"b\":1}"},
        {"depth_16.json", "[[[[[[[[{\"a\":[[[[[[[1]]]]]]]}]]]]]]]]"},
        {"depth_17.json", "[[[[[[[[{\"a\":[[[[[[[[]]]]]]]]}]]]]]]]]"},
        {"literals.json", " [ null , true , false , { } , [ ] , \"\" ] \r\n\t"},
        {"trailing.json", "{} x"},
        {"comma_at_end.json", "[1,]"},
        {"comment.json", "[1/*2*/]"},
        {"byte_order_mark.json", "\xef\xbb\xbf{}"},
        {"leading_zero.json", "[01]"},
        {"infinite.json", "[1e999]"},
        {"open_string.json", "{\"a\":\"b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "json", rows[i].name, slice_str(rows[i].text));
}

static void base64url(struct seeds *s)
{
    static const struct {
        const char *name, *text;
    } rows[] = {{"empty_value", "AA"},         {"no_rest", "AbC9-_xyZ012"},
                {"rest_of_one", "_w"},         {"rest_of_two", "-_8"},
                {"unused_bits", "_x"},         {"padded", "_w=="},
                {"padded_wrongly", "_w="},     {"standard_alphabet", "+/+/"},
                {"white_space", "QUJD\nREVG"}, {"single", "A"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "base64url", rows[i].name, slice_str(rows[i].text));
}

static void jwk(struct seeds *s)
{
    struct arena *a = &s->arena;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        struct slice text = make_jwk(a, key_at(i));
        seed(s, "jwk", file_name(s, keys[i].name, "key.json"), text);
        seed(s, "jwk", file_name(s, keys[i].name, "spki.der"), make_spki(a, key_at(i)));
        struct slice open = slice_sub(text, 0, text.n - 1);
        seed(s, "jwk", file_name(s, keys[i].name, "private.json"),
             MAKE_JOINED(a, open, SLICE_LIT(",\"d\":\"AQ\"}")));
        seed(s, "jwk", file_name(s, keys[i].name, "more_members.json"),
             MAKE_JOINED(a, open, SLICE_LIT(",\"use\":\"sig\",\"kid\":7}")));
    }
    seed(s, "jwk", "point_off_curve.json",
         make_text(a, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%043d\",\"y\":\"%043d\"}", 0, 0));
    seed(s, "jwk", "rsa_1024.der", make_rsa_spki(a, 1024, "010001"));
    seed(s, "jwk", "rsa_exponent_3.der", make_rsa_spki(a, 2048, "03"));
    seed(s, "jwk", "rsa_exponent_33_bits.der", make_rsa_spki(a, 2048, "01ffffffff"));
    seed(s, "jwk", "symmetric.json", SLICE_LIT("{\"kty\":\"oct\",\"k\":\"AQ\"}"));
}

#define URL "\"url\":\"https://ca.example/acme/new-order\""
#define NONCE "\"nonce\":\"bm9uY2U\""

static struct slice header(struct seeds *s, const char *alg, const char *members, const char *key)
{
    return make_text(&s->arena, "{\"alg\":\"%s\",%s,%s}", alg, members, key);
}

static void jws_signed(struct seeds *s, size_t i)
{
    struct arena *a = &s->arena;
    EVP_PKEY *key = key_at(i);
    const char *alg = make_alg(key);
    struct slice text = make_jwk(a, key), payload = SLICE_LIT("{\"a\":[1,true]}");
    const char *inside = arena_printf(a, "\"jwk\":%.*s", SLICE_ARG(text));
    struct slice first = header(s, alg, URL "," NONCE, inside);
    struct slice later = header(s, alg, URL "," NONCE, "\"kid\":\"https://ca.example/acct/1\"");
    struct slice inner = header(s, alg, URL, inside);
    seed(s, "jws", file_name(s, keys[i].name, "new_account.json"),
         make_jws(a, key, first, payload));
    seed(s, "jws", file_name(s, keys[i].name, "post_as_get.json"),
         make_jws(a, key, later, SLICE_NONE));
    seed(s, "jws", file_name(s, keys[i].name, "key_change_inner.json"),
         make_jws(a, key, inner, payload));
    EVP_PKEY *other = make_key(keys[i].type, keys[i].bits, 1);
    seed(s, "jws", file_name(s, keys[i].name, "foreign_signature.json"),
         make_jws(a, other, first, payload));
}

static void jws(struct seeds *s)
{
    struct arena *a = &s->arena;
    for (size_t i = 0; i < KEY_COUNT; i++) jws_signed(s, i);
    EVP_PKEY *key = key_at(0);
    struct slice text = make_jwk(a, key), payload = SLICE_LIT("{}");
    const char *inside = arena_printf(a, "\"jwk\":%.*s", SLICE_ARG(text));
    for (unsigned bits = 256; bits <= 512; bits += 128) {
        const char *alg = arena_printf(a, "HS%u", bits);
        seed(s, "jws", arena_printf(a, "eab_hs%u.json", bits),
             make_jws_mac(a, bits, SLICE_LIT("secret"), header(s, alg, URL, "\"kid\":\"k1\""),
                          text));
    }
    seed(s, "jws", "key_and_kid.json",
         make_jws(a, key,
                  header(s, "ES256", URL "," NONCE, arena_printf(a, "\"kid\":\"k\",%s", inside)),
                  payload));
    seed(s, "jws", "no_key.json", make_jws(a, key, header(s, "ES256", URL, NONCE), payload));
    seed(s, "jws", "no_url.json", make_jws(a, key, header(s, "ES256", NONCE, inside), payload));
    seed(s, "jws", "crit.json",
         make_jws(a, key, header(s, "ES256", "\"crit\":[\"b64\"],\"b64\":false", inside), payload));
    seed(s, "jws", "alg_none.json", make_jws(a, key, header(s, "none", URL, inside), payload));
    seed(s, "jws", "wrong_alg.json",
         make_jws(a, key, header(s, "RS256", URL "," NONCE, inside), payload));
    seed(s, "jws", "bad_nonce.json",
         make_jws(a, key, header(s, "ES256", URL ",\"nonce\":\"a=\"", inside), payload));
    seed(s, "jws", "unprotected.json",
         SLICE_LIT("{\"protected\":\"e30\",\"header\":{},\"payload\":\"\",\"signature\":\"\"}"));
    seed(s, "jws", "general.json", SLICE_LIT("{\"payload\":\"\",\"signatures\":[]}"));
}

static void grpc(struct seeds *s)
{
    static const struct {
        const char *name;
        struct slice bytes;
    } rows[] = {
        {"frame_empty", SLICE_LIT("\0\0\0\0\0")},
        {"frame_message", SLICE_LIT("\0\0\0\0\4\x0a\2ab")},
        {"frame_compressed", SLICE_LIT("\1\0\0\0\2ab")},
        {"frame_short", SLICE_LIT("\0\0\0\0\5abc")},
        {"frame_two", SLICE_LIT("\0\0\0\0\1a\0\0\0\0\1b")},
        {"frame_huge", SLICE_LIT("\0\xff\xff\xff\xff")},
        {"text_percent", SLICE_LIT("50%25 of \"a\" %C3%A9 %zz %")},
        {"text_binary", SLICE_LIT("\0\1\x7f\x80\xff\r\n")},
        {"timeout_hours", SLICE_LIT("99999999H")},
        {"timeout_minutes", SLICE_LIT("61M")},
        {"timeout_seconds", SLICE_LIT("99999999S")},
        {"timeout_ms", SLICE_LIT("1500m")},
        {"timeout_us", SLICE_LIT("1u")},
        {"timeout_ns", SLICE_LIT("99999999n")},
        {"timeout_long", SLICE_LIT("100000000m")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "grpc", rows[i].name, rows[i].bytes);
}

// The first octet is the target's own: 't' for a text, anything else for a message.
static void dns(struct seeds *s)
{
#define HEAD(flags, answers) "m\x12\x34" flags "\0\1\0" answers "\0\0\0\0\1a\4test\0\0\x10\0\1"
#define RECORD(type, length) "\xc0\x0c\0" type "\0\1\0\0\0\1\0" length
#define CAA_RECORD(length) "\xc0\x0c\1\1\0\1\0\0\0\1\0" length
#define ROW(name, bytes)                                      \
    {                                                         \
        name, { (const uint8_t *)(bytes), sizeof(bytes) - 1 } \
    }
    static const struct {
        const char *name;
        struct slice bytes;
    } rows[] = {
        ROW("nothing.dns", HEAD("\x84\x80", "\0")),
        ROW("text.dns", HEAD("\x84\x80", "\1") RECORD("\x10", "\3") "\2hi"),
        ROW("texts.dns",
            HEAD("\x84\x80", "\2") RECORD("\x10", "\5") "\1a\0\1b" RECORD("\x10", "\1") "\0"),
        ROW("alias.dns",
            HEAD("\x84\x80", "\2") RECORD("\5", "\4") "\1b\xc0\x0e"
                                                      "\1b\xc0\x0e\0\x10\0\1\0\0\0\1\0\3\2hi"),
        ROW("alias_loop.dns", HEAD("\x84\x80", "\1") RECORD("\5", "\2") "\xc0\x0c"),
        ROW("truncated.dns", HEAD("\x86\x80", "\0")),
        ROW("pointer_loop.dns", HEAD("\x84\x80", "\1") "\xc0\x18\0\x10\0\1\0\0\0\1\0\3\2hi"),
        ROW("caa.dns", HEAD("\x84\x80", "\2") CAA_RECORD("\x0e") "\0\5issueca.test" CAA_RECORD(
                           "\x0c") "\0\11issuewild;"),
        ROW("caa_critical.dns", HEAD("\x84\x80", "\1") CAA_RECORD("\x08") "\200\3tbshi!"),
        ROW("caa_empty.dns", HEAD("\x84\x80", "\1") CAA_RECORD("\0")),
        ROW("persist.txt", "tca.test; accounturi=https://a/1; policy=wildcard"),
        ROW("persist_until.txt", "tca.test; accounturi=https://a/1; persistUntil=1767225600"),
        ROW("methods.txt", "tca.test; validationmethods=dns-01,http-01"),
        ROW("nobody.txt", "t;"),
        ROW("spaces.txt", "t \tca.test ; a = b ; c=d;"),
        ROW("wrong.txt", "tca..test; a"),
    };
#undef ROW
#undef CAA_RECORD
#undef RECORD
#undef HEAD
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        seed(s, "dns", rows[i].name, rows[i].bytes);
}

void seeds_text(struct seeds *s)
{
    dns(s);
    json(s);
    base64url(s);
    jwk(s);
    jws(s);
    grpc(s);
}
