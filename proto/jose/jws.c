#include "proto/jose/jws.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include "proto/der/signature.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

// Algorithms.

enum family { FAMILY_ECDSA, FAMILY_RSA, FAMILY_EDDSA, FAMILY_MAC };

struct algorithm {
    const char *name;
    enum family family;
    enum key_type key;    // KEY_NONE for a MAC
    size_t signature_len; // octets; 0: given by the key
    const EVP_MD *(*hash)(void);
};

static const struct algorithm algorithms[] = {
    [JWS_ES256] = {"ES256", FAMILY_ECDSA, KEY_P256, 64, EVP_sha256},
    [JWS_ES384] = {"ES384", FAMILY_ECDSA, KEY_P384, 96, EVP_sha384},
    [JWS_ES512] = {"ES512", FAMILY_ECDSA, KEY_P521, 132, EVP_sha512},
    [JWS_RS256] = {"RS256", FAMILY_RSA, KEY_RSA, 0, EVP_sha256},
    [JWS_EDDSA] = {"EdDSA", FAMILY_EDDSA, KEY_ED25519, 64, NULL},
    [JWS_HS256] = {"HS256", FAMILY_MAC, KEY_NONE, 32, EVP_sha256},
    [JWS_HS384] = {"HS384", FAMILY_MAC, KEY_NONE, 48, EVP_sha384},
    [JWS_HS512] = {"HS512", FAMILY_MAC, KEY_NONE, 64, EVP_sha512},
};

#define ALGORITHM_COUNT (sizeof algorithms / sizeof algorithms[0])

static enum jws_alg alg_named(struct slice name)
{
    for (size_t i = JWS_ALG_NONE + 1; i < ALGORITHM_COUNT; i++) {
        if (slice_eq_str(name, algorithms[i].name)) return (enum jws_alg)i;
    }
    return JWS_ALG_NONE;
}

// algorithm_of is NULL for JWS_ALG_NONE and for what is no algorithm at all.
static const struct algorithm *algorithm_of(enum jws_alg alg)
{
    return alg != JWS_ALG_NONE && (size_t)alg < ALGORITHM_COUNT ? &algorithms[alg] : NULL;
}

const char *jws_alg_name(enum jws_alg alg)
{
    return algorithm_of(alg) == NULL ? "none" : algorithms[alg].name;
}

const char *jws_alg_list(void) { return "[\"ES256\",\"ES384\",\"ES512\",\"RS256\",\"EdDSA\"]"; }

const char *jws_mac_list(void) { return "[\"HS256\",\"HS384\",\"HS512\"]"; }

// What each use asks of the protected header.

enum presence { MAY, MUST, MUST_NOT };

struct rules {
    bool mac;
    enum presence nonce, url, kid, jwk;
    bool one_of_kid_and_jwk;
};

static const struct rules rules_of[] = {
    [JWS_USE_REQUEST] = {false, MUST, MUST, MAY, MAY, true},      // RFC 8555 section 6.2
    [JWS_USE_EAB] = {true, MUST_NOT, MUST, MUST, MUST_NOT, true}, // RFC 8555 section 7.3.4
    [JWS_USE_KEY_CHANGE_INNER] = {false, MUST_NOT, MUST, MUST_NOT, MUST,
                                  true}, // RFC 8555 section 7.3.5
    [JWS_USE_PLAIN] = {false, MAY, MAY, MAY, MAY, false},
    [JWS_USE_PLAIN_MAC] = {true, MAY, MAY, MAY, MUST_NOT, false},
};

// Reading.

struct reader {
    struct jws jws;
    const char **note;
    struct arena *arena;
    const struct rules *rules;
};

#define REFUSE(r, error, ...) (*(r)->note = arena_printf((r)->arena, __VA_ARGS__), ERR(error))

// struct parts is the flattened form of RFC 7515 section 7.2.2, still encoded.
struct parts {
    struct slice protected, payload, signature;
};

static struct err read_part(struct reader *r, struct slice *out, struct json envelope,
                            const char *name)
{
    if (failed(json_string(json_get(envelope, name), out)))
        return REFUSE(r, BAD_JWS, "the JWS has no text member \"%s\"", name);
    return OK;
}

// read_envelope takes exactly the three members: this also refuses "header", "signatures" and
// whatever else (T02).
static struct err read_envelope(struct reader *r, struct parts *out, struct slice body)
{
    struct json envelope;
    struct err e = json_parse(&envelope, r->arena, body);
    if (failed(e)) return *r->note = err_text(e), e;
    if (!json_is_object(envelope)) return REFUSE(r, BAD_JWS, "the body is not a JWS object");
    TRY(read_part(r, &out->protected, envelope, "protected"));
    TRY(read_part(r, &out->payload, envelope, "payload"));
    TRY(read_part(r, &out->signature, envelope, "signature"));
    if (json_size(envelope) != 3)
        return REFUSE(r, BAD_JWS, "the JWS has members besides protected, payload and signature");
    return OK;
}

static struct err decode(struct reader *r, struct slice *out, struct slice text, const char *what)
{
    struct err e = base64url_decode(out, r->arena, text);
    if (err_is(e, ERR_BAD_BASE64URL))
        *r->note = arena_printf(r->arena, "the JWS %s is not base64url without padding", what);
    return e;
}

// read_text reads a text member of the protected header whose presence is ruled.
static struct err read_text(struct reader *r, struct slice *out, struct json header,
                            const char *name, enum presence presence)
{
    struct json j = json_get(header, name);
    if (!json_present(j))
        return presence == MUST ? REFUSE(r, BAD_JWS, "the protected header lacks \"%s\"", name)
                                : OK;
    if (presence == MUST_NOT)
        return REFUSE(r, BAD_JWS, "the protected header must not have \"%s\" here", name);
    if (failed(json_string(j, out)) || out->n == 0)
        return REFUSE(r, BAD_JWS, "\"%s\" in the protected header is not a text", name);
    return OK;
}

static struct err read_alg(struct reader *r, struct json header)
{
    struct slice name = SLICE_NONE;
    TRY(read_text(r, &name, header, "alg", MUST));
    enum jws_alg alg = alg_named(name);
    bool mac = alg != JWS_ALG_NONE && algorithms[alg].family == FAMILY_MAC;
    if (alg == JWS_ALG_NONE || mac != r->rules->mac) {
        const char *allowed = r->rules->mac ? jws_mac_list() : jws_alg_list();
        return REFUSE(r, BAD_JWS_ALG, "the signature algorithm \"%" SLICE_FMT "\" is not one of %s",
                      SLICE_ARG(slice_sub(name, 0, 32)), allowed);
    }
    r->jws.alg = alg;
    return OK;
}

static struct err read_jwk(struct reader *r, struct json header)
{
    struct json j = json_get(header, "jwk");
    if (!json_present(j))
        return r->rules->jwk == MUST ? REFUSE(r, BAD_JWS, "the protected header lacks \"jwk\"")
                                     : OK;
    if (r->rules->jwk == MUST_NOT)
        return REFUSE(r, BAD_JWS, "the protected header must not have \"jwk\" here");
    if (failed(jwk_parse(&r->jws.jwk, j))) {
        return REFUSE(r, BAD_JWK,
                      "\"jwk\" is not a public key of type EC P-256, P-384 or P-521, RSA of %d to "
                      "%d bits, or OKP Ed25519",
                      RSA_BITS_MIN, RSA_BITS_MAX);
    }
    r->jws.has_jwk = true;
    return OK;
}

// read_nonce: a nonce that is no base64url is malformed, not a bad nonce (RFC 8555 section 6.5.2);
// one that is not there, or cannot be one of ours, is a bad nonce (section 6.5).
static struct err read_nonce(struct reader *r, struct json header)
{
    struct slice ignored, *nonce = &r->jws.nonce;
    struct json j = json_get(header, "nonce");
    if (r->rules->nonce != MUST) return read_text(r, nonce, header, "nonce", r->rules->nonce);
    if (json_present(j) && failed(json_string(j, nonce)))
        return REFUSE(r, BAD_JWS, "\"nonce\" in the protected header is not a text");
    TRY(decode(r, &ignored, *nonce, "nonce"));
    if (nonce->n == 0) return REFUSE(r, BAD_JWS_NONCE, "the protected header lacks \"nonce\"");
    if (nonce->n > JWS_NONCE_LEN_MAX) return REFUSE(r, BAD_JWS_NONCE, "\"nonce\" is too long");
    return OK;
}

static struct err read_header(struct reader *r, struct slice text)
{
    struct json header;
    struct err e = json_parse(&header, r->arena, text);
    if (failed(e))
        return *r->note = arena_printf(r->arena, "the protected header is bad: %s", err_text(e)), e;
    if (!json_is_object(header)) return REFUSE(r, BAD_JWS, "the protected header is not an object");
    if (json_present(json_get(header, "crit")) || json_present(json_get(header, "b64"))) {
        return REFUSE(r, BAD_JWS,
                      "the protected header has \"crit\" or \"b64\": no extension is understood");
    }
    TRY(read_alg(r, header));
    TRY(read_text(r, &r->jws.url, header, "url", r->rules->url));
    TRY(read_text(r, &r->jws.kid, header, "kid", r->rules->kid));
    TRY(read_jwk(r, header));
    if (r->rules->one_of_kid_and_jwk && r->jws.has_jwk == (r->jws.kid.n > 0)) {
        return REFUSE(r, BAD_JWS, "the protected header must have either \"jwk\" or \"kid\"");
    }
    return read_nonce(r, header);
}

static struct err join_signing_input(struct reader *r, const struct parts *parts)
{
    size_t n = parts->protected.n + 1 + parts->payload.n;
    uint8_t *p = arena_alloc(r->arena, n);
    if (p == NULL) return ERR(NO_SPACE);
    memcpy(p, parts->protected.p, parts->protected.n);
    p[parts->protected.n] = '.';
    memcpy(p + parts->protected.n + 1, parts->payload.p, parts->payload.n);
    r->jws.signing_input = slice_of(p, n);
    return OK;
}

struct err jws_parse(struct jws *out, const char **note, struct arena *a, struct slice body,
                     enum jws_use use)
{
    struct reader r; // not zeroed as a whole: the key in it is large
    struct parts parts;
    struct slice header;
    r.jws.nonce = r.jws.url = r.jws.kid = SLICE_NONE;
    r.jws.has_jwk = false;
    r.jws.jwk.kind = (struct public_key_kind){KEY_NONE, 0};
    r.jws.jwk.spki_len = 0;
    r.note = note;
    r.arena = a;
    r.rules = &rules_of[use];
    TRY(read_envelope(&r, &parts, body));
    TRY(decode(&r, &header, parts.protected, "protected header"));
    TRY(read_header(&r, header));
    TRY(decode(&r, &r.jws.payload, parts.payload, "payload"));
    TRY(decode(&r, &r.jws.signature, parts.signature, "signature"));
    TRY(join_signing_input(&r, &parts));
    *out = r.jws;
    return OK;
}

// Verifying.

// verify_ecdsa: r and s of fixed length (RFC 7518 section 3.4). The library checks that both are in
// range.
static bool verify_ecdsa(const struct algorithm *alg, EVP_PKEY *key, struct slice input,
                         struct slice signature)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    size_t half = signature.n / 2;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.p, half, NULL), *s = BN_bin2bn(signature.p + half, half, NULL);
    bool ok = sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1;
    if (ok) r = s = NULL; // now the signature's
    ok = ok && EVP_Digest(input.p, input.n, digest, &digest_len, alg->hash(), NULL) == 1 &&
         ECDSA_do_verify(digest, digest_len, sig, EVP_PKEY_get0_EC_KEY(key)) == 1;
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return ok;
}

static bool verify_digest(const struct algorithm *alg, EVP_PKEY *key, struct slice input,
                          struct slice signature)
{
    EVP_MD_CTX ctx;
    const EVP_MD *hash = alg->hash == NULL ? NULL : alg->hash();
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestVerifyInit(&ctx, NULL, hash, NULL, key) == 1 &&
              EVP_DigestVerify(&ctx, signature.p, signature.n, input.p, input.n) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    return ok;
}

struct err jws_verify(const struct jws *jws, const struct jwk *key)
{
    const struct algorithm *alg = algorithm_of(jws->alg);
    if (alg == NULL || alg->family == FAMILY_MAC || alg->key != key->kind.type)
        return ERR(BAD_JWS_ALG);
    if (alg->signature_len != 0 && jws->signature.n != alg->signature_len)
        return ERR(BAD_JWS_SIGNATURE);
    EVP_PKEY *public = public_key_load(slice_of(key->spki, key->spki_len));
    if (public == NULL) return ERR(CRYPTO);
    bool ok = alg->family == FAMILY_ECDSA
                  ? verify_ecdsa(alg, public, jws->signing_input, jws->signature)
                  : verify_digest(alg, public, jws->signing_input, jws->signature);
    EVP_PKEY_free(public);
    if (!ok) ERR_clear_error();
    return ok ? OK : ERR(BAD_JWS_SIGNATURE);
}

bool jws_p256_take(struct signature_p256 *out, const struct jws *jws, const struct jwk *key)
{
    if (jws->alg != JWS_ES256 || jws->signature.n != 64 ||
        !public_key_p256_point(out->point, slice_of(key->spki, key->spki_len)))
        return false;
    memcpy(out->r, jws->signature.p, 32);
    memcpy(out->s, jws->signature.p + 32, 32);
    SHA256(jws->signing_input.p, jws->signing_input.n, out->digest);
    return true;
}

struct err jws_verify_mac(const struct jws *jws, struct slice secret)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n;
    const struct algorithm *alg = algorithm_of(jws->alg);
    if (alg == NULL || alg->family != FAMILY_MAC) return ERR(BAD_JWS_ALG);
    if (HMAC(alg->hash(), secret.p, secret.n, jws->signing_input.p, jws->signing_input.n, mac,
             &n) == NULL)
        return ERR(CRYPTO);
    bool ok = jws->signature.n == n && CRYPTO_memcmp(mac, jws->signature.p, n) == 0;
    explicit_bzero(mac, sizeof mac);
    return ok ? OK : ERR(BAD_JWS_SIGNATURE);
}
