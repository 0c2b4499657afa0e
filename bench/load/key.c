#include "bench/load/key.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "proto/err.h"
#include "proto/text/base64url.h"
#include "proto/text/json.h"

enum { JSON_MAX = 65536, COORDINATE_LEN = 32 };

struct bench_key {
    EVP_PKEY *pkey;
    struct jwk jwk;
};

static bool jwk_fill(struct bench_key *k)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(k->pkey, &der);
    bool ok = n > 0 && !failed(jwk_from_spki(&k->jwk, slice_of(der, (size_t)n)));
    OPENSSL_free(der);
    return ok;
}

struct bench_key *bench_key_new(void)
{
    struct bench_key *k = calloc(1, sizeof *k);
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    if (k == NULL || ec == NULL || EC_KEY_generate_key(ec) != 1 ||
        (k->pkey = EVP_PKEY_new()) == NULL) {
        EC_KEY_free(ec);
        free(k);
        return NULL;
    }
    if (EVP_PKEY_assign_EC_KEY(k->pkey, ec) == 1 && jwk_fill(k)) return k;
    bench_key_free(k);
    return NULL;
}

void bench_key_free(struct bench_key *k)
{
    if (k == NULL) return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

const struct jwk *bench_key_jwk(const struct bench_key *k) { return &k->jwk; }

void bench_key_thumbprint(const struct bench_key *k, char out[BENCH_THUMBPRINT_TEXT_LEN + 1])
{
    base64url_encode(out, slice_of(k->jwk.thumbprint, sizeof k->jwk.thumbprint));
    out[BENCH_THUMBPRINT_TEXT_LEN] = 0;
}

static struct err header_write(struct buf *out, const struct bench_key *k, struct slice kid,
                               struct slice nonce, struct slice url)
{
    struct json_out o;
    struct buf jwk;
    buf_init(&jwk, 4096);
    struct err e = jwk_write(&jwk, &k->jwk);
    json_out_begin(&o, out);
    json_object_begin(&o);
    json_key(&o, "alg");
    json_put_str(&o, "ES256");
    json_key(&o, kid.n > 0 ? "kid" : "jwk");
    if (kid.n > 0)
        json_put_string(&o, kid);
    else
        json_put_raw(&o, buf_slice(&jwk));
    json_key(&o, "nonce");
    json_put_string(&o, nonce);
    json_key(&o, "url");
    json_put_string(&o, url);
    json_object_end(&o);
    if (!failed(e)) e = json_out_end(&o);
    buf_fini(&jwk);
    return e;
}

static struct err sign(uint8_t out[2 * COORDINATE_LEN], const struct bench_key *k,
                       struct slice input)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(input.p, input.n, digest);
    ECDSA_SIG *sig = ECDSA_do_sign(digest, sizeof digest, EVP_PKEY_get0_EC_KEY(k->pkey));
    bool ok = sig != NULL && BN_bn2bin_padded(out, COORDINATE_LEN, sig->r) == 1 &&
              BN_bn2bin_padded(out + COORDINATE_LEN, COORDINATE_LEN, sig->s) == 1;
    ECDSA_SIG_free(sig);
    return ok ? OK : ERR(CRYPTO);
}

// signing_input is base64url(header) "." base64url(payload), and where the dot is.
static struct err signing_input(struct buf *out, size_t *out_dot, struct slice header,
                                struct slice payload)
{
    TRY(base64url_encode_buf(out, header));
    *out_dot = buf_len(out);
    TRY(buf_add_str(out, "."));
    return base64url_encode_buf(out, payload);
}

static struct err envelope_write(struct buf *out, struct slice input, size_t dot,
                                 const uint8_t *signature)
{
    TRY(buf_add_str(out, "{\"protected\":\""));
    TRY(buf_add(out, slice_sub(input, 0, dot)));
    TRY(buf_add_str(out, "\",\"payload\":\""));
    TRY(buf_add(out, slice_sub(input, dot + 1, input.n)));
    TRY(buf_add_str(out, "\",\"signature\":\""));
    TRY(base64url_encode_buf(out, slice_of(signature, 2 * COORDINATE_LEN)));
    return buf_add_str(out, "\"}");
}

struct err bench_jws_write(struct buf *out, const struct bench_key *k, struct slice kid,
                           struct slice nonce, struct slice url, struct slice payload)
{
    struct buf header, input;
    uint8_t signature[2 * COORDINATE_LEN];
    size_t dot = 0;
    buf_init(&header, JSON_MAX);
    buf_init(&input, 2 * JSON_MAX);
    struct err e = header_write(&header, k, kid, nonce, url);
    if (!failed(e)) e = signing_input(&input, &dot, buf_slice(&header), payload);
    if (!failed(e)) e = sign(signature, k, buf_slice(&input));
    if (!failed(e)) e = envelope_write(out, buf_slice(&input), dot, signature);
    buf_fini(&header);
    buf_fini(&input);
    return e;
}

static bool san_add(X509_REQ *req, const char *const *names, size_t count)
{
    struct buf san;
    buf_init(&san, JSON_MAX);
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok = ok && !failed(buf_printf(&san, "%sDNS:%s", i == 0 ? "" : ",", names[i]));
    ok = ok && !failed(buf_add(&san, slice_of("", 1)));
    X509_EXTENSION *ext = ok ? X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name,
                                                    (const char *)buf_slice(&san).p)
                             : NULL;
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    ok = ext != NULL && list != NULL && sk_X509_EXTENSION_push(list, ext) > 0;
    if (!ok) X509_EXTENSION_free(ext);
    ok = ok && X509_REQ_add_extensions(req, list) == 1;
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    buf_fini(&san);
    return ok;
}

struct err bench_csr_write(struct buf *out, const struct bench_key *k, const char *const *names,
                           size_t count)
{
    X509_REQ *req = X509_REQ_new();
    uint8_t *der = NULL;
    bool ok = req != NULL && X509_REQ_set_version(req, 0) == 1 &&
              X509_REQ_set_pubkey(req, k->pkey) == 1 && san_add(req, names, count) &&
              X509_REQ_sign(req, k->pkey, EVP_sha256()) > 0;
    int n = ok ? i2d_X509_REQ(req, &der) : 0;
    struct err e = n > 0 ? buf_add(out, slice_of(der, (size_t)n)) : ERR(CRYPTO);
    OPENSSL_free(der);
    X509_REQ_free(req);
    return e;
}

struct err bench_key_pem(struct buf *out, const struct bench_key *k)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *p;
    size_t n;
    bool ok = bio != NULL &&
              PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
              BIO_mem_contents(bio, &p, &n) == 1;
    struct err e = ok ? buf_add(out, slice_of(p, n)) : ERR(CRYPTO);
    BIO_free(bio);
    return e;
}
