#include "tests/support/testca.h"

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"

static EVP_PKEY *key_make(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    CHECK(ec != NULL && key != NULL && EC_KEY_generate_key(ec) == 1 &&
          EVP_PKEY_assign_EC_KEY(key, ec) == 1);
    return key;
}

static char *text_of(BIO *bio)
{
    const uint8_t *p;
    size_t n;
    CHECK(BIO_mem_contents(bio, &p, &n) == 1);
    char *text = strndup((const char *)p, n);
    BIO_free(bio);
    return text;
}

static void ext_add(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, ctx, nid, value);
    CHECK(ext != NULL && X509_add_ext(cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
}

static X509 *cert_make(EVP_PKEY *key, const char *cn, int64_t from_s, int64_t to_s)
{
    X509 *cert = X509_new();
    uint8_t serial[8];
    RAND_bytes(serial, sizeof serial);
    serial[0] &= 0x7f;
    BIGNUM *bn = BN_bin2bn(serial, sizeof serial, NULL);
    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));
    BN_free(bn);
    X509_NAME *name = X509_get_subject_name(cert);
    CHECK(X509_set_version(cert, 2) == 1 && X509_set_pubkey(cert, key) == 1);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0) ==
          1);
    time_t now = time(NULL);
    ASN1_TIME_set(X509_getm_notBefore(cert), now + from_s);
    ASN1_TIME_set(X509_getm_notAfter(cert), now + to_s);
    return cert;
}

static struct testca_pair pair_of(X509 *cert, EVP_PKEY *key)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(c, cert) == 1 &&
          PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1);
    return (struct testca_pair){text_of(c), text_of(k)};
}

struct testca_pair testca_root(const char *common_name)
{
    EVP_PKEY *key = key_make();
    X509 *cert = cert_make(key, common_name, -3600, 10 * 86400);
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1);
    ext_add(cert, &ctx, NID_basic_constraints, "critical,CA:TRUE");
    ext_add(cert, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign");
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    struct testca_pair out = pair_of(cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return out;
}

static void san_add(X509 *cert, X509V3_CTX *ctx, const struct testca_options *o)
{
    char san[512] = "";
    const struct {
        const char *kind, *value;
    } parts[] = {{"DNS", o->dns}, {"IP", o->ip}, {"URI", o->uri}, {"URI", o->uri2}};
    for (size_t i = 0; i < 4; i++) {
        size_t n = strlen(san);
        if (parts[i].value != NULL)
            snprintf(san + n, sizeof san - n, "%s%s:%s", n == 0 ? "" : ",", parts[i].kind,
                     parts[i].value);
    }
    if (san[0] != 0) ext_add(cert, ctx, NID_subject_alt_name, san);
}

struct testca_pair testca_leaf(const struct testca_pair *root, const struct testca_options *o)
{
    BIO *c = BIO_new_mem_buf(root->cert_pem, -1), *k = BIO_new_mem_buf(root->key_pem, -1);
    X509 *issuer = PEM_read_bio_X509(c, NULL, NULL, NULL);
    EVP_PKEY *issuer_key = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL), *key = key_make();
    CHECK(issuer != NULL && issuer_key != NULL);
    bool window = o->from_s != 0 || o->to_s != 0;
    X509 *cert = cert_make(key, o->common_name, window ? o->from_s : -3600,
                           window ? o->to_s : 86400);
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
    ext_add(cert, &ctx, NID_ext_key_usage, "serverAuth,clientAuth");
    san_add(cert, &ctx, o);
    CHECK(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
    struct testca_pair out = pair_of(cert, key);
    X509_free(cert);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
    BIO_free(c);
    BIO_free(k);
    return out;
}

void testca_free(struct testca_pair *p)
{
    free(p->cert_pem);
    free(p->key_pem);
    *p = (struct testca_pair){0};
}
