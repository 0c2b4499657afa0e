// jws: whole JSON Web Signatures of Project Wycheproof, from text to verdict, as an envelope comes
// in: jws_parse, jwk_parse, jws_verify or jws_verify_mac.
#include "proto/jose/jws.h"

#include <stdio.h>
#include <string.h>

#include "proto/text/base64url.h"
#include "tests/unit/unit.h"
#include "tests/vectors/wycheproof.h"

// What no ACME server takes (RFC 8555 section 6.2 names no such algorithm as a must, and each one
// less is one less to get wrong).
static const char *const not_taken[] = {"RS384", "RS512", "PS256", "PS384", "PS512", "ES256K"};

// Vectors that we judge otherwise, and why.
static const struct {
    const char *comment, *reason;
} judged_otherwise[] = {
    {"UsingRS256", "an account's key is its SubjectPublicKeyInfo: \"alg\" of a JWK is not kept"},
    {"rejectWrongUse", "nor is \"use\""},
    {"rejectWrongKeyOps", "nor is \"key_ops\""},
    {"InvalidCharacterInsertedInHeader", "base64url is read strictly: no character is skipped"},
    {"InvalidCharacterInsertedInPayload", "as above"},
    {"invalidBase64Padding", "its text is that of the valid vector 357, without any padding"},
    {"invalidBase64PaddingInPayload", "as above"},
};

static bool excepted(const struct vector *v, yyjson_val *key)
{
    const char *alg = yyjson_get_str(yyjson_obj_get(key, "alg"));
    for (size_t i = 0; alg != NULL && i < COUNT_OF(not_taken); i++)
        if (strcmp(alg, not_taken[i]) == 0) return true;
    for (size_t i = 0; i < COUNT_OF(judged_otherwise); i++)
        if (strcmp(v->comment, judged_otherwise[i].comment) == 0) return true;
    return false;
}

// flattened turns the compact form into the one that ACME uses; what has not three parts, or is
// JSON already, stays as it is and must be refused.
static struct slice flattened(const struct vector *v, const char *text)
{
    size_t dots = 0;
    for (const char *p = text; *p != 0; p++) dots += *p == '.';
    if (dots != 2 || text[0] == '{') return slice_str(text);
    const char *payload = strchr(text, '.') + 1, *signature = strchr(payload, '.') + 1;
    return slice_str(arena_printf(
        v->arena, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"%s\"}",
        (int)(payload - 1 - text), text, (int)(signature - 1 - payload), payload, signature));
}

static bool mac_verify(const struct vector *v, const struct jws *jws, yyjson_val *key)
{
    struct slice secret;
    const char *k = yyjson_get_str(yyjson_obj_get(key, "k"));
    return k != NULL && !failed(base64url_decode(&secret, v->arena, slice_str(k))) &&
           !failed(jws_verify_mac(jws, secret));
}

static bool key_verify(const struct vector *v, const struct jws *jws, yyjson_val *key)
{
    struct json j;
    struct jwk jwk;
    size_t n;
    char *text = yyjson_val_write(key, 0, &n);
    bool ok = !failed(json_parse(&j, v->arena, slice_of(text, n))) && !failed(jwk_parse(&jwk, j)) &&
              !failed(jws_verify(jws, &jwk));
    free(text);
    return ok;
}

static enum verdict verify(const struct vector *v)
{
    struct jws jws;
    const char *note = "", *text = yyjson_get_str(yyjson_obj_get(v->test, "jws"));
    yyjson_val *key = yyjson_obj_get(v->group, "public");
    if (key == NULL) key = yyjson_obj_get(v->group, "private");
    bool mac = yyjson_equals_str(yyjson_obj_get(key, "kty"), "oct"), ok = false;
    // General JSON and other shapes come as objects.
    char *written = text == NULL ? yyjson_val_write(yyjson_obj_get(v->test, "jws"), 0, NULL) : NULL;
    struct slice body = flattened(v, text == NULL ? written : text);
    enum jws_use use = mac ? JWS_USE_PLAIN_MAC : JWS_USE_PLAIN;
    if (!failed(jws_parse(&jws, &note, v->arena, body, use)))
        ok = mac ? mac_verify(v, &jws, key) : key_verify(v, &jws, key);
    free(written);
    return excepted(v, key) ? EXCEPTED : ok ? ACCEPTED : REFUSED;
}

static void signatures(void **state)
{
    (void)state;
    struct tally t = wycheproof_run("json_web_signature_test.json", 400, verify);
    assert_int_equal(t.wrong, 0);
    assert_true(t.accepted >= 20 && t.refused >= 280);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(signatures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
