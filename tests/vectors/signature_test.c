// signature: the verifier of requests and certificates (proto/der/signature) and of JWS
// (proto/jose/jws) over the signature vectors of Project Wycheproof.
#include "proto/der/signature.h"

#include <string.h>

#include "proto/jose/jws.h"
#include "proto/p256/verify.h"
#include "tests/unit/unit.h"
#include "tests/vectors/wycheproof.h"

// AlgorithmIdentifiers as requests and certificates carry them.
static const uint8_t ecdsa_sha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t ecdsa_sha384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t ecdsa_sha512[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x04};
static const uint8_t rsa_sha256[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                     0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
static const uint8_t ed25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};

static unsigned takes; // checks that were taken apart

// taken_apart: what can be taken apart for a batch gets there the verdict that it gets alone.
static void taken_apart(bool took, const struct signature_p256 *take, bool ok)
{
    if (!took) return;
    struct p256_verify_item item = {.table = NULL};
    memcpy(item.point, take->point, sizeof item.point);
    memcpy(item.digest, take->digest, sizeof item.digest);
    memcpy(item.r, take->r, sizeof item.r);
    memcpy(item.s, take->s, sizeof item.s);
    assert_int_equal(p256_verify_boringssl(&item), ok);
    takes++;
}

static enum verdict der_verify(const struct vector *v, const uint8_t *algorithm, size_t n)
{
    struct slice key = wycheproof_hex(v, v->group, "publicKeyDer"),
                 message = wycheproof_hex(v, v->test, "msg"),
                 signature = wycheproof_hex(v, v->test, "sig");
    struct signature_p256 take;
    bool ok = signature_verify(slice_of(algorithm, n), key, message, signature);
    taken_apart(signature_p256_take(&take, slice_of(algorithm, n), key, message, signature), &take,
                ok);
    return ok ? ACCEPTED : REFUSED;
}

#define DER(name, algorithm)                                \
    static enum verdict name(const struct vector *v)        \
    {                                                       \
        return der_verify(v, algorithm, sizeof(algorithm)); \
    }
DER(der_ecdsa_sha256, ecdsa_sha256)
DER(der_ecdsa_sha384, ecdsa_sha384)
DER(der_ecdsa_sha512, ecdsa_sha512)
DER(der_rsa_sha256, rsa_sha256)
DER(der_ed25519, ed25519)

static enum verdict raw_verify(const struct vector *v, enum jws_alg alg)
{
    struct jwk key;
    if (failed(jwk_from_spki(&key, wycheproof_hex(v, v->group, "publicKeyDer")))) return REFUSED;
    struct jws jws = {.alg = alg,
                      .signing_input = wycheproof_hex(v, v->test, "msg"),
                      .signature = wycheproof_hex(v, v->test, "sig")};
    struct signature_p256 take;
    bool ok = !failed(jws_verify(&jws, &key));
    taken_apart(jws_p256_take(&take, &jws, &key), &take, ok);
    return ok ? ACCEPTED : REFUSED;
}

#define RAW(name, alg) \
    static enum verdict name(const struct vector *v) { return raw_verify(v, alg); }
RAW(raw_es256, JWS_ES256)
RAW(raw_es384, JWS_ES384)
RAW(raw_es512, JWS_ES512)
RAW(raw_rs256, JWS_RS256)
RAW(raw_eddsa, JWS_EDDSA)

static const struct {
    const char *file;
    enum verdict (*verify)(const struct vector *v);
    unsigned least, accepted; // as many as there are at least; as many as must be accepted
} in_der[] = {{"ecdsa_secp256r1_sha256_test.json", der_ecdsa_sha256, 450, 170},
              {"ecdsa_secp384r1_sha384_test.json", der_ecdsa_sha384, 450, 170},
              {"ecdsa_secp384r1_sha256_test.json", der_ecdsa_sha256, 450, 160},
              {"ecdsa_secp521r1_sha512_test.json", der_ecdsa_sha512, 450, 170},
              {"rsa_signature_2048_sha256_test.json", der_rsa_sha256, 250, 7},
              {"rsa_signature_3072_sha256_test.json", der_rsa_sha256, 250, 7},
              {"rsa_signature_4096_sha256_test.json", der_rsa_sha256, 250, 7},
              {"ed25519_test.json", der_ed25519, 140, 80}},
  raw[] = {{"ecdsa_secp256r1_sha256_p1363_test.json", raw_es256, 250, 170},
           {"ecdsa_secp384r1_sha384_p1363_test.json", raw_es384, 250, 170},
           {"ecdsa_secp521r1_sha512_p1363_test.json", raw_es512, 250, 170},
           {"rsa_signature_2048_sha256_test.json", raw_rs256, 250, 7},
           {"rsa_signature_4096_sha256_test.json", raw_rs256, 250, 7},
           {"ed25519_test.json", raw_eddsa, 140, 80}};

static void requests_and_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(in_der); i++) {
        struct tally t = wycheproof_run(in_der[i].file, in_der[i].least, in_der[i].verify);
        assert_int_equal(t.wrong, 0);
        assert_true(t.accepted >= in_der[i].accepted);
        // Every valid signature of the one kind, and none of another.
        assert_true(i == 0 ? takes >= t.accepted : takes == 0);
        takes = 0;
    }
}

static void envelopes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        struct tally t = wycheproof_run(raw[i].file, raw[i].least, raw[i].verify);
        assert_int_equal(t.wrong, 0);
        assert_true(t.accepted >= raw[i].accepted);
        assert_true(i == 0 ? takes >= t.accepted : takes == 0);
        takes = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_and_certificates),
                                       cmocka_unit_test(envelopes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
