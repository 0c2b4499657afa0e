#include "proto/der/csr_write.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <string.h>

#include "proto/err.h"

static const uint8_t oid_extension_request[] = {0x2a, 0x86, 0x48, 0x86, 0xf7,
                                                0x0d, 0x01, 0x09, 0x0e},
                     oid_subject_alt_name[] = {0x55, 0x1d, 0x11},
                     oid_ecdsa_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

static bool oid_add(CBB *cbb, const uint8_t *oid, size_t n)
{
    CBB child;
    return CBB_add_asn1(cbb, &child, CBS_ASN1_OBJECT) && CBB_add_bytes(&child, oid, n) &&
           CBB_flush(cbb);
}

// names_add writes the value of subjectAltName: GeneralNames with one dNSName.
static bool names_add(CBB *cbb, const char *dns_name)
{
    CBB names, name;
    return CBB_add_asn1(cbb, &names, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&names, &name, CBS_ASN1_CONTEXT_SPECIFIC | 2) &&
           CBB_add_bytes(&name, (const uint8_t *)dns_name, strlen(dns_name)) && CBB_flush(cbb);
}

// attributes_add writes [0] SET OF Attribute with one extensionRequest.
static bool attributes_add(CBB *cbb, const char *dns_name)
{
    CBB attributes, attribute, values, extensions, extension, value;
    return CBB_add_asn1(cbb, &attributes, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) &&
           CBB_add_asn1(&attributes, &attribute, CBS_ASN1_SEQUENCE) &&
           oid_add(&attribute, oid_extension_request, sizeof oid_extension_request) &&
           CBB_add_asn1(&attribute, &values, CBS_ASN1_SET) &&
           CBB_add_asn1(&values, &extensions, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&extensions, &extension, CBS_ASN1_SEQUENCE) &&
           oid_add(&extension, oid_subject_alt_name, sizeof oid_subject_alt_name) &&
           CBB_add_asn1(&extension, &value, CBS_ASN1_OCTETSTRING) && names_add(&value, dns_name) &&
           CBB_flush(cbb);
}

static bool info_make(uint8_t **out, size_t *out_n, EVP_PKEY *key, const char *dns_name)
{
    CBB cbb, info, subject;
    bool ok = CBB_init(&cbb, 512) && CBB_add_asn1(&cbb, &info, CBS_ASN1_SEQUENCE) &&
              CBB_add_asn1_uint64(&info, 0) && CBB_add_asn1(&info, &subject, CBS_ASN1_SEQUENCE) &&
              CBB_flush(&info) && EVP_marshal_public_key(&info, key) &&
              attributes_add(&info, dns_name) && CBB_finish(&cbb, out, out_n);
    if (!ok) CBB_cleanup(&cbb);
    return ok;
}

static bool signature_make(uint8_t **out, size_t *out_n, EVP_PKEY *key, const uint8_t *info,
                           size_t n)
{
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    size_t size = EVP_PKEY_size(key);
    *out = OPENSSL_malloc(size);
    *out_n = size;
    bool ok = *out != NULL && EVP_DigestSignInit(&ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(&ctx, *out, out_n, info, n) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    return ok;
}

static struct err request_add(struct buf *out, const uint8_t *info, size_t info_n,
                              const uint8_t *signature, size_t signature_n)
{
    CBB cbb, request, algorithm, bits;
    uint8_t *der = NULL;
    size_t n = 0;
    bool ok = CBB_init(&cbb, info_n + signature_n + 64) &&
              CBB_add_asn1(&cbb, &request, CBS_ASN1_SEQUENCE) &&
              CBB_add_bytes(&request, info, info_n) &&
              CBB_add_asn1(&request, &algorithm, CBS_ASN1_SEQUENCE) &&
              oid_add(&algorithm, oid_ecdsa_sha256, sizeof oid_ecdsa_sha256) &&
              CBB_add_asn1(&request, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0) &&
              CBB_add_bytes(&bits, signature, signature_n) && CBB_finish(&cbb, &der, &n);
    if (!ok) CBB_cleanup(&cbb);
    struct err e = ok ? buf_add(out, slice_of(der, n)) : ERR(CRYPTO);
    OPENSSL_free(der);
    return e;
}

struct err csr_write(struct buf *out, EVP_PKEY *key, const char *dns_name)
{
    uint8_t *info = NULL, *signature = NULL;
    size_t info_n = 0, signature_n = 0;
    bool ok = info_make(&info, &info_n, key, dns_name) &&
              signature_make(&signature, &signature_n, key, info, info_n);
    struct err e = ok ? request_add(out, info, info_n, signature, signature_n) : ERR(CRYPTO);
    OPENSSL_free(info);
    OPENSSL_free(signature);
    return e;
}
