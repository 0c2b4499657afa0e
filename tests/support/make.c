#include "tests/support/make.h"

#include <stdarg.h>
#include <stdio.h>

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#include "proto/der/der.h"
#include "proto/jose/jwk.h"
#include "proto/text/base64url.h"

static uint8_t *room(struct arena *a, size_t n)
{
    uint8_t *p = arena_alloc(a, n + 1);
    CHECK(p != NULL);
    return p;
}

static struct slice copied(struct arena *a, const void *p, size_t n)
{
    struct slice out;
    CHECK(!failed(arena_dup(&out, a, slice_of(p, n))));
    return out;
}

// DER.

struct slice make_joined(struct arena *a, const struct slice *parts, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) n += parts[i].n;
    uint8_t *p = room(a, n), *at = p;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].n > 0) memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    return slice_of(p, n);
}

static size_t put_length(uint8_t out[4], size_t n)
{
    CHECK(n < 0x1000000);
    if (n < 0x80) return out[0] = (uint8_t)n, 1;
    if (n < 0x100) return out[0] = 0x81, out[1] = (uint8_t)n, 2;
    if (n < 0x10000) return out[0] = 0x82, out[1] = (uint8_t)(n >> 8), out[2] = (uint8_t)n, 3;
    return out[0] = 0x83, out[1] = (uint8_t)(n >> 16), out[2] = (uint8_t)(n >> 8),
           out[3] = (uint8_t)n, 4;
}

struct slice make_tlv(struct arena *a, uint8_t tag, const struct slice *parts, size_t count)
{
    struct slice content = make_joined(a, parts, count);
    uint8_t header[5] = {tag};
    size_t n = 1 + put_length(header + 1, content.n);
    return MAKE_JOINED(a, slice_of(header, n), content);
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

struct slice make_hex(struct arena *a, const char *text)
{
    uint8_t *p = room(a, strlen(text) / 2);
    size_t n = 0;
    for (; *text != 0; text++) {
        if (*text == ' ') continue;
        CHECK(text[1] != 0);
        p[n++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
        text++;
    }
    return slice_of(p, n);
}

struct slice make_text(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    CHECK(n >= 0);
    uint8_t *p = room(a, (size_t)n);
    vsnprintf((char *)p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return slice_of(p, (size_t)n);
}

// Keys.

static EVP_PKEY *ec_key_new(int nid)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(nid);
    CHECK(key != NULL && ec != NULL && EC_KEY_generate_key(ec) == 1 &&
          EVP_PKEY_assign_EC_KEY(key, ec) == 1);
    return key;
}

static EVP_PKEY *rsa_key_new(unsigned bits)
{
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();
    CHECK(key != NULL && rsa != NULL && e != NULL && BN_set_word(e, 65537) == 1);
    CHECK(RSA_generate_key_ex(rsa, (int)bits, e, NULL) == 1 && EVP_PKEY_assign_RSA(key, rsa) == 1);
    BN_free(e);
    return key;
}

static EVP_PKEY *ed25519_key_new(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
    CHECK(ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_keygen(ctx, &key) == 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *key_new(enum key_type type, unsigned bits)
{
    switch (type) {
    case KEY_P256:
        return ec_key_new(NID_X9_62_prime256v1);
    case KEY_P384:
        return ec_key_new(NID_secp384r1);
    case KEY_P521:
        return ec_key_new(NID_secp521r1);
    case KEY_RSA:
        return rsa_key_new(bits);
    case KEY_ED25519:
        return ed25519_key_new();
    case KEY_NONE:
        break;
    }
    CHECK(false);
}

EVP_PKEY *make_key(enum key_type type, unsigned bits, unsigned number)
{
    static struct {
        enum key_type type;
        unsigned bits, number;
        EVP_PKEY *key;
    } made[32];
    size_t i = 0;
    for (; i < 32 && made[i].key != NULL; i++) {
        if (made[i].type == type && made[i].bits == bits && made[i].number == number)
            return made[i].key;
    }
    CHECK(i < 32);
    made[i].type = type;
    made[i].bits = bits;
    made[i].number = number;
    return made[i].key = key_new(type, bits);
}

static struct slice finished(struct arena *a, CBB *cbb)
{
    uint8_t *p;
    size_t n;
    CHECK(CBB_finish(cbb, &p, &n) == 1);
    struct slice out = copied(a, p, n);
    OPENSSL_free(p);
    return out;
}

struct slice make_spki(struct arena *a, EVP_PKEY *key)
{
    CBB cbb;
    CHECK(CBB_init(&cbb, 128) && EVP_marshal_public_key(&cbb, key) == 1);
    return finished(a, &cbb);
}

struct slice make_rsa_spki(struct arena *a, unsigned bits, const char *exponent_hex)
{
    size_t n = (bits + 7) / 8;
    uint8_t *modulus = room(a, n + 1);
    memset(modulus, 0xa5, n + 1);
    modulus[0] = 0;
    modulus[1] = (uint8_t)(1u << (bits - 1) % 8);
    struct slice magnitude = modulus[1] < 0x80 ? slice_of(modulus + 1, n)
                                               : slice_of(modulus, n + 1);
    struct slice key = MAKE_SEQUENCE(a, MAKE_TLV(a, 0x02, magnitude),
                                     MAKE_TLV(a, 0x02, make_hex(a, exponent_hex)));
    struct slice algorithm = make_hex(a, "300d06092a864886f70d0101010500");
    return MAKE_SEQUENCE(a, algorithm, MAKE_TLV(a, 0x03, SLICE_LIT("\0"), key));
}

static const EVP_MD *hash_of(EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) == EVP_PKEY_ED25519) return NULL;
    if (EVP_PKEY_id(key) == EVP_PKEY_RSA || EVP_PKEY_bits(key) == 256) return EVP_sha256();
    return EVP_PKEY_bits(key) == 384 ? EVP_sha384() : EVP_sha512();
}

struct slice make_algorithm(struct arena *a, EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) == EVP_PKEY_ED25519)
        return MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, OID_ED25519));
    if (EVP_PKEY_id(key) == EVP_PKEY_RSA)
        return MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, OID_RSA_SHA256), MAKE_EMPTY(a, 0x05));
    struct slice oid = EVP_PKEY_bits(key) == 256   ? OID_ECDSA_SHA256
                       : EVP_PKEY_bits(key) == 384 ? OID_ECDSA_SHA384
                                                   : OID_ECDSA_SHA512;
    return MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, oid));
}

struct slice make_signature(struct arena *a, EVP_PKEY *key, struct slice message)
{
    uint8_t signature[1024];
    size_t n = sizeof signature;
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    CHECK(EVP_DigestSignInit(&ctx, NULL, hash_of(key), NULL, key) == 1);
    CHECK(EVP_DigestSign(&ctx, signature, &n, message.p, message.n) == 1);
    EVP_MD_CTX_cleanup(&ctx);
    return copied(a, signature, n);
}

struct slice make_signature_jws(struct arena *a, EVP_PKEY *key, struct slice message)
{
    struct slice der = make_signature(a, key, message);
    if (EVP_PKEY_id(key) != EVP_PKEY_EC) return der;
    size_t half = ((size_t)EVP_PKEY_bits(key) + 7) / 8;
    uint8_t *p = room(a, 2 * half);
    ECDSA_SIG *sig = ECDSA_SIG_from_bytes(der.p, der.n);
    CHECK(sig != NULL && BN_bn2bin_padded(p, half, ECDSA_SIG_get0_r(sig)) &&
          BN_bn2bin_padded(p + half, half, ECDSA_SIG_get0_s(sig)));
    ECDSA_SIG_free(sig);
    return slice_of(p, 2 * half);
}

// Requests.

struct slice make_extension(struct arena *a, struct slice oid, bool critical, struct slice value)
{
    struct slice flag = critical ? SLICE_LIT("\x01\x01\xff") : SLICE_NONE;
    return MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, oid), flag, MAKE_TLV(a, 0x04, value));
}

struct slice make_alt_names(struct arena *a, const char *names)
{
    struct slice all = SLICE_NONE;
    while (*names != 0) {
        size_t n = strcspn(names, ",");
        all = MAKE_JOINED(a, all, MAKE_TLV(a, 0x82, slice_of(names, n)));
        names += n + (names[n] == ',');
    }
    return make_extension(a, OID_SUBJECT_ALT_NAME, false, MAKE_SEQUENCE(a, all));
}

struct slice make_rdn(struct arena *a, struct slice oid, uint8_t tag, struct slice value)
{
    return MAKE_TLV(a, 0x31, MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, oid), MAKE_TLV(a, tag, value)));
}

static struct slice or_default(struct slice given, struct slice otherwise)
{
    return given.p == NULL ? otherwise : given;
}

static struct slice csr_attributes(struct arena *a, const struct make_csr *parts)
{
    if (parts->no_attributes) return SLICE_NONE;
    if (parts->attributes.p != NULL) return MAKE_TLV(a, 0xa0, parts->attributes);
    if (parts->extensions.p == NULL) return MAKE_EMPTY(a, 0xa0);
    struct slice values = MAKE_TLV(a, 0x31, MAKE_SEQUENCE(a, parts->extensions));
    return MAKE_TLV(a, 0xa0, MAKE_SEQUENCE(a, MAKE_TLV(a, 0x06, OID_EXTENSION_REQUEST), values));
}

struct slice make_csr(struct arena *a, const struct make_csr *parts)
{
    EVP_PKEY *signer = parts->signer == NULL ? parts->key : parts->signer;
    struct slice version = or_default(parts->version, SLICE_LIT("\x02\x01\x00"));
    struct slice subject = or_default(parts->subject, SLICE_LIT("\x30\x00"));
    struct slice spki = parts->spki.p == NULL ? make_spki(a, parts->key) : parts->spki;
    struct slice info = MAKE_SEQUENCE(a, version, subject, spki, csr_attributes(a, parts),
                                      parts->info_tail);
    struct slice algorithm = parts->algorithm.p == NULL ? make_algorithm(a, signer)
                                                        : parts->algorithm;
    struct slice signature = parts->signature;
    if (signature.p == NULL)
        signature = MAKE_JOINED(a, SLICE_LIT("\0"), make_signature(a, signer, info));
    return MAKE_SEQUENCE(a, info, algorithm, MAKE_TLV(a, 0x03, signature), parts->tail);
}

struct slice make_csr_for(struct arena *a, EVP_PKEY *key, const char *names)
{
    return make_csr(a, &(struct make_csr){.key = key, .extensions = make_alt_names(a, names)});
}

// JWS.

static struct slice encoded(struct arena *a, struct slice s)
{
    uint8_t *p = room(a, base64url_encoded_len(s.n));
    base64url_encode((char *)p, s);
    return slice_of(p, base64url_encoded_len(s.n));
}

static struct slice signing_input(struct arena *a, struct slice protected, struct slice payload)
{
    return MAKE_JOINED(a, encoded(a, protected), SLICE_LIT("."), encoded(a, payload));
}

struct slice make_jws_parts(struct arena *a, struct slice protected, struct slice payload,
                            struct slice signature)
{
    return MAKE_JOINED(a, SLICE_LIT("{\"protected\":\""), encoded(a, protected),
                       SLICE_LIT("\",\"payload\":\""), encoded(a, payload),
                       SLICE_LIT("\",\"signature\":\""), encoded(a, signature), SLICE_LIT("\"}"));
}

struct slice make_jws(struct arena *a, EVP_PKEY *key, struct slice protected, struct slice payload)
{
    struct slice input = signing_input(a, protected, payload);
    return make_jws_parts(a, protected, payload, make_signature_jws(a, key, input));
}

struct slice make_jws_mac(struct arena *a, unsigned bits, struct slice secret,
                          struct slice protected, struct slice payload)
{
    const EVP_MD *hash = bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : EVP_sha512();
    struct slice input = signing_input(a, protected, payload);
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n;
    CHECK(HMAC(hash, secret.p, secret.n, input.p, input.n, mac, &n) != NULL);
    return make_jws_parts(a, protected, payload, slice_of(mac, n));
}

struct slice make_jwk(struct arena *a, EVP_PKEY *key)
{
    struct jwk jwk;
    struct buf b;
    buf_init(&b, 2048);
    CHECK(!failed(jwk_from_spki(&jwk, make_spki(a, key))) && !failed(jwk_write(&b, &jwk)));
    struct slice out = copied(a, buf_slice(&b).p, buf_len(&b));
    buf_fini(&b);
    return out;
}

const char *make_alg(EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) == EVP_PKEY_ED25519) return "EdDSA";
    if (EVP_PKEY_id(key) == EVP_PKEY_RSA) return "RS256";
    return EVP_PKEY_bits(key) == 256 ? "ES256" : EVP_PKEY_bits(key) == 384 ? "ES384" : "ES512";
}

// Certificates.

struct slice make_cert(struct arena *a, const struct make_cert *parts)
{
    struct slice good_algorithm = make_algorithm(a, parts->issuer_key);
    struct slice issuer = MAKE_SEQUENCE(a, make_rdn(a, OID_COMMON_NAME, 0x0c, SLICE_LIT("Issuer")));
    struct slice validity = MAKE_SEQUENCE(a, MAKE_TLV(a, 0x17, SLICE_LIT("260101000000Z")),
                                          MAKE_TLV(a, 0x17, SLICE_LIT("260102000000Z")));
    struct slice extensions = parts->extensions.p == NULL
                                  ? SLICE_NONE
                                  : MAKE_TLV(a, 0xa3, MAKE_SEQUENCE(a, parts->extensions));
    struct slice tbs = MAKE_SEQUENCE(
        a, or_default(parts->version, SLICE_LIT("\xa0\3\2\1\2")),
        or_default(parts->serial, SLICE_LIT("\2\2\1\2")),
        or_default(parts->algorithm, good_algorithm), or_default(parts->issuer, issuer),
        or_default(parts->validity, validity), or_default(parts->subject, SLICE_LIT("\x30\0")),
        parts->spki.p == NULL ? make_spki(a, parts->key) : parts->spki, extensions,
        parts->tbs_tail);
    struct slice signature = parts->signature;
    if (signature.p == NULL)
        signature = MAKE_JOINED(a, SLICE_LIT("\0"), make_signature(a, parts->issuer_key, tbs));
    return MAKE_SEQUENCE(a, tbs, or_default(parts->outer_algorithm, good_algorithm),
                         MAKE_TLV(a, 0x03, signature), parts->tail);
}
