#include "signer/pki.h"

#include <openssl/aead.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "proto/der/pem.h"
#include "proto/err.h"
#include "signer/err.h"

enum {
    ITERATIONS = 200000,
    SALT_SIZE = 16,
    SERIAL_SIZE = 16,
    NONCE_SIZE = 12,
    SEAL_HEAD = 7 + SALT_SIZE + NONCE_SIZE
};

bool pki_key_parse(enum pki_key *out, const char *text)
{
    static const char *const names[] = {"p256", "p384", "rsa2048", "rsa3072", "rsa4096"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) return *out = (enum pki_key)i, true;
    return false;
}

static EVP_PKEY *ec_make(int nid)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(nid);
    EVP_PKEY *key = EVP_PKEY_new();
    if (ec != NULL && key != NULL && EC_KEY_generate_key(ec) == 1 &&
        EVP_PKEY_assign_EC_KEY(key, ec) == 1)
        return key;
    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

static EVP_PKEY *rsa_make(int bits)
{
    RSA *rsa = RSA_new();
    BIGNUM *e = BN_new();
    EVP_PKEY *key = EVP_PKEY_new();
    bool ok = rsa != NULL && e != NULL && key != NULL && BN_set_word(e, RSA_F4) == 1 &&
              RSA_generate_key_ex(rsa, bits, e, NULL) == 1 && EVP_PKEY_assign_RSA(key, rsa) == 1;
    BN_free(e);
    if (ok) return key;
    RSA_free(rsa);
    EVP_PKEY_free(key);
    return NULL;
}

EVP_PKEY *pki_key_make(enum pki_key kind)
{
    switch (kind) {
    case PKI_P256:
        return ec_make(NID_X9_62_prime256v1);
    case PKI_P384:
        return ec_make(NID_secp384r1);
    case PKI_RSA2048:
        return rsa_make(2048);
    case PKI_RSA3072:
        return rsa_make(3072);
    case PKI_RSA4096:
        return rsa_make(4096);
    }
    return NULL;
}

// ---- certificates

static bool extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, ctx, nid, value);
    bool ok = e != NULL && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static void list_add(struct buf *b, const char *kind, const char *const *values)
{
    for (size_t i = 0; values != NULL && values[i] != NULL; i++)
        (void)!failed(buf_printf(b, "%s%s:%s", buf_len(b) == 0 ? "" : ",", kind, values[i]));
}

static bool constraints(X509 *cert, X509V3_CTX *ctx, const struct pki_request *r)
{
    struct buf b;
    buf_init(&b, 65536);
    (void)!failed(buf_add_str(&b, "critical"));
    list_add(&b, "permitted;DNS", r->permit_dns);
    bool ok = !failed(buf_add(&b, slice_of("", 1))) &&
              extension(cert, ctx, NID_name_constraints, (const char *)buf_slice(&b).p);
    buf_fini(&b);
    return ok;
}

static bool names(X509 *cert, X509V3_CTX *ctx, const struct pki_request *r)
{
    struct buf b;
    const char *const uris[] = {r->uri, NULL};
    buf_init(&b, 65536);
    list_add(&b, "DNS", r->dns);
    list_add(&b, "IP", r->ips);
    list_add(&b, "URI", uris);
    bool none = buf_len(&b) == 0;
    bool ok = none || (!failed(buf_add(&b, slice_of("", 1))) &&
                       extension(cert, ctx, NID_subject_alt_name, (const char *)buf_slice(&b).p));
    buf_fini(&b);
    return ok;
}

static bool extensions(X509 *cert, X509 *issuer, const struct pki_request *r)
{
    char basic[64];
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    if (!extension(cert, &ctx, NID_subject_key_identifier, "hash")) return false;
    if (issuer != cert && !extension(cert, &ctx, NID_authority_key_identifier, "keyid"))
        return false;
    if (!r->ca)
        return extension(cert, &ctx, NID_key_usage, "critical,digitalSignature") &&
               extension(cert, &ctx, NID_ext_key_usage,
                         r->uri != NULL ? "serverAuth,clientAuth" : "serverAuth") &&
               names(cert, &ctx, r);
    if (r->path_len < 0)
        snprintf(basic, sizeof basic, "critical,CA:TRUE");
    else
        snprintf(basic, sizeof basic, "critical,CA:TRUE,pathlen:%d", r->path_len);
    return extension(cert, &ctx, NID_basic_constraints, basic) &&
           extension(cert, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           (r->permit_dns == NULL || constraints(cert, &ctx, r));
}

static bool serial_set(X509 *cert)
{
    uint8_t bytes[SERIAL_SIZE];
    RAND_bytes(bytes, sizeof bytes);
    bytes[0] = (uint8_t)((bytes[0] & 0x3f) | 0x40); // positive and of full length
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
    BN_free(n);
    return ok;
}

static bool subject_set(X509 *cert, const struct pki_request *r)
{
    X509_NAME *name = X509_get_subject_name(cert);
    bool ok = r->organization == NULL ||
              X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)r->organization,
                                         -1, -1, 0) == 1;
    return ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                            (const uint8_t *)r->common_name, -1, -1, 0) == 1;
}

static bool times_set(X509 *cert, const struct pki_request *r)
{
    // ASN1_TIME_set picks UTCTime before 2050 and GeneralizedTime from then on (RFC 5280
    // section 4.1.2.5).
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)r->not_before) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)r->not_after) != NULL;
}

static const EVP_MD *digest_for(EVP_PKEY *key)
{
    return EVP_PKEY_id(key) == EVP_PKEY_EC && EVP_PKEY_bits(key) == 384 ? EVP_sha384()
                                                                        : EVP_sha256();
}

X509 *pki_cert_make(const struct pki_request *r, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                    char *note, size_t note_size)
{
    X509 *cert = X509_new();
    if (issuer == NULL) issuer_key = key;
    bool ok = cert != NULL && X509_set_version(cert, 2) == 1 && X509_set_pubkey(cert, key) == 1 &&
              serial_set(cert) && subject_set(cert, r) && times_set(cert, r) &&
              X509_set_issuer_name(cert, issuer == NULL ? X509_get_subject_name(cert)
                                                        : X509_get_subject_name(issuer)) == 1 &&
              extensions(cert, issuer == NULL ? cert : issuer, r) &&
              X509_sign(cert, issuer_key, digest_for(issuer_key)) > 0;
    if (ok) return cert;
    uint32_t e = ERR_peek_last_error();
    snprintf(note, note_size, "the certificate for \"%s\" could not be made%s%s", r->common_name,
             e == 0 ? "" : ": ", e == 0 ? "" : ERR_reason_error_string(e));
    ERR_clear_error();
    X509_free(cert);
    return NULL;
}

X509 *pki_cert_parse(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (ossl_ssize_t)pem.n);
    X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

struct err pki_cert_der(struct buf *out, X509 *cert)
{
    uint8_t *der = NULL;
    int n = i2d_X509(cert, &der);
    struct err e = n > 0 ? buf_add(out, slice_of(der, (size_t)n)) : ERR(CRYPTO);
    OPENSSL_free(der);
    return e;
}

struct err pki_cert_pem(struct buf *out, X509 *cert)
{
    struct buf der;
    buf_init(&der, 65536);
    struct err e = pki_cert_der(&der, cert);
    if (!failed(e)) e = pem_encode(out, "CERTIFICATE", buf_slice(&der));
    buf_fini(&der);
    return e;
}

// ---- keys

static struct err pem_of_cbb(struct buf *out, const char *label, CBB *cbb, int ok)
{
    uint8_t *der = NULL;
    size_t n = 0;
    if (ok != 1 || CBB_finish(cbb, &der, &n) != 1) {
        CBB_cleanup(cbb);
        return ERR(CRYPTO);
    }
    struct err e = pem_encode(out, label, slice_of(der, n));
    OPENSSL_cleanse(der, n);
    OPENSSL_free(der);
    return e;
}

struct err pki_key_pem(struct buf *out, EVP_PKEY *key)
{
    CBB cbb;
    CBB_init(&cbb, 512);
    return pem_of_cbb(out, "PRIVATE KEY", &cbb, EVP_marshal_private_key(&cbb, key));
}

struct err pki_key_seal(struct buf *out, EVP_PKEY *key, struct slice passphrase)
{
    CBB cbb;
    uint8_t salt[SALT_SIZE];
    RAND_bytes(salt, sizeof salt);
    CBB_init(&cbb, 512);
    return pem_of_cbb(out, "ENCRYPTED PRIVATE KEY", &cbb,
                      PKCS8_marshal_encrypted_private_key(&cbb, -1, EVP_aes_256_cbc(),
                                                          (const char *)passphrase.p, passphrase.n,
                                                          salt, sizeof salt, ITERATIONS, key));
}

struct err pki_key_open(EVP_PKEY **out, struct slice pem, struct slice passphrase)
{
    struct arena a;
    struct pem_block block;
    CBS cbs;
    arena_init(&a, 65536);
    struct err e = pem_next(&block, &a, &pem);
    EVP_PKEY *key = NULL;
    bool sealed = false;
    if (!failed(e)) {
        CBS_init(&cbs, block.der.p, block.der.n);
        sealed = slice_eq_str(block.label, "ENCRYPTED PRIVATE KEY");
        if (sealed)
            key = PKCS8_parse_encrypted_private_key(&cbs, (const char *)passphrase.p, passphrase.n);
        else if (slice_eq_str(block.label, "PRIVATE KEY"))
            key = EVP_parse_private_key(&cbs);
        OPENSSL_cleanse((uint8_t *)(uintptr_t)block.der.p, block.der.n);
    }
    arena_fini(&a);
    ERR_clear_error();
    if (key == NULL) return sealed ? ERR(PASSPHRASE) : ERR(KEY);
    *out = key;
    return OK;
}

// ---- secrets

static const char seal_label[] = "CMSEAL1";

static bool seal_key(uint8_t out[32], struct slice passphrase, const uint8_t salt[SALT_SIZE])
{
    return PKCS5_PBKDF2_HMAC((const char *)passphrase.p, passphrase.n, salt, SALT_SIZE, ITERATIONS,
                             EVP_sha256(), 32, out) == 1;
}

struct err pki_secret_seal(struct buf *out, const uint8_t secret[PKI_SECRET_LEN],
                           struct slice passphrase)
{
    uint8_t key[32], bytes[SEAL_HEAD + PKI_SECRET_LEN + 16];
    size_t n = 0;
    EVP_AEAD_CTX ctx;
    memcpy(bytes, seal_label, 7);
    RAND_bytes(bytes + 7, SALT_SIZE + NONCE_SIZE);
    bool ok = seal_key(key, passphrase, bytes + 7) &&
              EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_256_gcm(), key, sizeof key, 16, NULL) == 1;
    if (ok) {
        ok = EVP_AEAD_CTX_seal(&ctx, bytes + SEAL_HEAD, &n, PKI_SECRET_LEN + 16,
                               bytes + 7 + SALT_SIZE, NONCE_SIZE, secret, PKI_SECRET_LEN, bytes,
                               7) == 1;
        EVP_AEAD_CTX_cleanup(&ctx);
    }
    OPENSSL_cleanse(key, sizeof key);
    return ok ? buf_add(out, slice_of(bytes, SEAL_HEAD + n)) : ERR(CRYPTO);
}

struct err pki_secret_open(uint8_t out[PKI_SECRET_LEN], struct slice sealed,
                           struct slice passphrase)
{
    uint8_t key[32];
    size_t n = 0;
    EVP_AEAD_CTX ctx;
    if (sealed.n != SEAL_HEAD + PKI_SECRET_LEN + 16 || memcmp(sealed.p, seal_label, 7) != 0)
        return ERR(KEY);
    bool ok = seal_key(key, passphrase, sealed.p + 7) &&
              EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_256_gcm(), key, sizeof key, 16, NULL) == 1;
    if (ok) {
        ok = EVP_AEAD_CTX_open(&ctx, out, &n, PKI_SECRET_LEN, sealed.p + 7 + SALT_SIZE, NONCE_SIZE,
                               sealed.p + SEAL_HEAD, sealed.n - SEAL_HEAD, sealed.p, 7) == 1 &&
             n == PKI_SECRET_LEN;
        EVP_AEAD_CTX_cleanup(&ctx);
    }
    OPENSSL_cleanse(key, sizeof key);
    ERR_clear_error();
    return ok ? OK : ERR(PASSPHRASE);
}
