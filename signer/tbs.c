#include "signer/tbs.h"

#include <openssl/bytestring.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include "proto/der/der.h"
#include "proto/err.h"
#include "signer/x509.h"

enum { HOUR_S = 3600, KEY_ID_LEN = 20 };

void serial_make(uint8_t out[SERIAL_LEN], const uint8_t key[32], const struct intent *in,
                 const uint8_t hash[HASH_LEN])
{
    static const char label[] = "certmill serial 1";
    uint8_t text[sizeof label + HASH_LEN], mac[32];
    unsigned n;
    uint64_t hour = (uint64_t)in->not_before / HOUR_S;
    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, hash, HASH_LEN);
    CHECK(HMAC(EVP_sha256(), key, 32, text, sizeof text, mac, &n) != NULL);
    out[0] = (uint8_t)(hour >> 16);
    out[1] = (uint8_t)(hour >> 8);
    out[2] = (uint8_t)hour;
    unsigned place = (unsigned)in->issuer << 6 | in->region;
    out[3] = (uint8_t)(place >> 8);
    out[4] = (uint8_t)place;
    memcpy(out + 5, mac, SERIAL_LEN - 5);
    OPENSSL_cleanse(mac, sizeof mac);
}

static int key_usage_add(CBB *list, bool rsa)
{
    CBB e, v, bits;
    return x509_extension_begin(list, &e, &v, OID_KEY_USAGE, true) &&
           CBB_add_asn1(&v, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, rsa ? 5 : 7) &&
           CBB_add_u8(&bits, rsa ? 0xa0 : 0x80) && CBB_flush(list);
}

static int ext_key_usage_add(CBB *list, bool client)
{
    CBB e, v, seq, id;
    if (!x509_extension_begin(list, &e, &v, OID_EXT_KEY_USAGE, false) ||
        !CBB_add_asn1(&v, &seq, CBS_ASN1_SEQUENCE))
        return 0;
    if (!CBB_add_asn1(&seq, &id, CBS_ASN1_OBJECT) || !x509_bytes_add(&id, OID_SERVER_AUTH))
        return 0;
    if (client &&
        (!CBB_add_asn1(&seq, &id, CBS_ASN1_OBJECT) || !x509_bytes_add(&id, OID_CLIENT_AUTH)))
        return 0;
    return CBB_flush(list);
}

static int names_add(CBB *list, const struct intent *in)
{
    CBB e, v, seq, name;
    // Critical, because the subject is empty (RFC 5280 section 4.2.1.6).
    if (!x509_extension_begin(list, &e, &v, OID_SUBJECT_ALT_NAME, true) ||
        !CBB_add_asn1(&v, &seq, CBS_ASN1_SEQUENCE))
        return 0;
    for (size_t i = 0; i < in->name_count; i++) {
        unsigned tag = CBS_ASN1_CONTEXT_SPECIFIC | (in->names[i].type == IDENTIFIER_DNS ? 2 : 7);
        if (!CBB_add_asn1(&seq, &name, tag) || !x509_bytes_add(&name, in->names[i].value)) return 0;
    }
    return CBB_flush(list);
}

// subject_key_add: the first 160 bits of SHA-256 over the key's bits (RFC 7093 section 2, method
// 1).
static int subject_key_add(CBB *list, struct slice spki)
{
    CBB e, v, id;
    CBS outer, seq, algorithm, bits;
    uint8_t digest[SHA256_DIGEST_LENGTH], unused;
    CBS_init(&outer, spki.p, spki.n);
    if (!CBS_get_asn1(&outer, &seq, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&seq, &algorithm, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&seq, &bits, CBS_ASN1_BITSTRING) || !CBS_get_u8(&bits, &unused))
        return 0;
    SHA256(CBS_data(&bits), CBS_len(&bits), digest);
    return x509_extension_begin(list, &e, &v, OID_SUBJECT_KEY_ID, false) &&
           CBB_add_asn1(&v, &id, CBS_ASN1_OCTETSTRING) && CBB_add_bytes(&id, digest, KEY_ID_LEN) &&
           CBB_flush(list);
}

static int no_rev_avail_add(CBB *list)
{
    CBB e, v, null;
    return x509_extension_begin(list, &e, &v, OID_NO_REV_AVAIL, false) &&
           CBB_add_asn1(&v, &null, CBS_ASN1_NULL) && CBB_flush(list);
}

// crl_points_add: one place with one URL, below which the issuer's CRL of this shard is.
static int crl_points_add(CBB *list, const struct intent *in, const struct profile *p)
{
    char uri[CRL_URI_MAX];
    CBB e, v, points, point, name, full, url;
    crl_uri(uri, p->settings->crl_url, in->issuer, in->crl_shard);
    return x509_extension_begin(list, &e, &v, OID_CRL_DISTRIBUTION_POINTS, false) &&
           CBB_add_asn1(&v, &points, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&points, &point, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&point, &name, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) &&
           CBB_add_asn1(&name, &full, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) &&
           CBB_add_asn1(&full, &url, CBS_ASN1_CONTEXT_SPECIFIC | 6) &&
           x509_bytes_add(&url, slice_str(uri)) && CBB_flush(list);
}

static int extensions_add(CBB *tbs, const struct intent *in, const struct profile *p,
                          const struct issuer *issuer)
{
    CBB tagged, list;
    struct public_key_kind kind;
    if (failed(public_key_kind_of(&kind, in->spki))) return 0;
    return CBB_add_asn1(tbs, &tagged, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 3) &&
           CBB_add_asn1(&tagged, &list, CBS_ASN1_SEQUENCE) &&
           key_usage_add(&list, kind.type == KEY_RSA) &&
           ext_key_usage_add(&list, p->settings->client_auth) && subject_key_add(&list, in->spki) &&
           x509_authority_key_add(&list, issuer->cert.ski) && names_add(&list, in) &&
           (!profile_has_crl(p) || crl_points_add(&list, in, p)) &&
           (!p->settings->no_rev_avail || no_rev_avail_add(&list)) && CBB_flush(tbs);
}

static int tbs_add(CBB *out, const struct intent *in, const struct profile *p,
                   const struct issuer *issuer, const uint8_t serial[SERIAL_LEN])
{
    CBB tbs, version, number, validity, subject;
    return CBB_add_asn1(out, &tbs, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&tbs, &version, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) &&
           CBB_add_asn1_uint64(&version, 2) && CBB_add_asn1(&tbs, &number, CBS_ASN1_INTEGER) &&
           CBB_add_bytes(&number, serial, SERIAL_LEN) && x509_bytes_add(&tbs, issuer->algorithm) &&
           x509_bytes_add(&tbs, issuer->cert.subject) &&
           CBB_add_asn1(&tbs, &validity, CBS_ASN1_SEQUENCE) &&
           x509_time_add(&validity, in->not_before) && x509_time_add(&validity, in->not_after) &&
           CBB_add_asn1(&tbs, &subject, CBS_ASN1_SEQUENCE) && x509_bytes_add(&tbs, in->spki) &&
           extensions_add(&tbs, in, p, issuer) && CBB_flush(out);
}

struct err tbs_build(struct buf *out, const struct intent *in, const struct profile *p,
                     const struct issuer *issuer, const uint8_t serial[SERIAL_LEN])
{
    CBB cbb;
    if (!CBB_init(&cbb, 1024)) return ERR(NO_SPACE);
    return x509_finish(out, &cbb, tbs_add(&cbb, in, p, issuer, serial));
}

struct err certificate_build(struct buf *out, struct slice tbs, struct slice algorithm,
                             struct slice signature)
{
    CBB cbb, seq, bits;
    if (!CBB_init(&cbb, 1024)) return ERR(NO_SPACE);
    return x509_finish(out, &cbb,
                       CBB_add_asn1(&cbb, &seq, CBS_ASN1_SEQUENCE) && x509_bytes_add(&seq, tbs) &&
                           x509_bytes_add(&seq, algorithm) &&
                           CBB_add_asn1(&seq, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0) &&
                           x509_bytes_add(&bits, signature) && CBB_flush(&cbb));
}
