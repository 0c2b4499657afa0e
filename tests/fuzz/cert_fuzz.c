// cert_parse and cert_verify_signed_by on any bytes. Oracle: whatever we accept BoringSSL's
// d2i_X509 accepts whole and writes as the same bytes, with the same serial number, names, times,
// key, extensions and signature.
#include <openssl/asn1.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "proto/der/cert.h"
#include "proto/der/der.h"
#include "proto/err.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/x509_names.h"

enum { ARENA_MAX = 1 << 20 };

static void bytes_check(uint8_t *der, int n, struct slice want)
{
    CHECK(n >= 0 && slice_eq(slice_of(der, (size_t)n), want));
    OPENSSL_free(der);
}

static void fields_check(const struct cert *c, X509 *x)
{
    uint8_t *der = NULL;
    int64_t t;
    struct slice serial = c->serial;
    if (serial.p[0] == 0) serial = slice_sub(serial, 1, serial.n);
    CHECK(slice_eq(x509_string(X509_get0_serialNumber(x)), serial));
    CHECK(ASN1_TIME_to_posix(X509_get0_notBefore(x), &t) && t == c->not_before);
    CHECK(ASN1_TIME_to_posix(X509_get0_notAfter(x), &t) && t == c->not_after);
    int n = i2d_X509(x, &der);
    bytes_check(der, n, c->der);
    n = (der = NULL, i2d_X509_NAME(X509_get_issuer_name(x), &der));
    bytes_check(der, n, c->issuer);
    n = (der = NULL, i2d_X509_NAME(X509_get_subject_name(x), &der));
    bytes_check(der, n, c->subject);
    n = (der = NULL, i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der));
    bytes_check(der, n, c->spki);
    const ASN1_BIT_STRING *signature;
    const X509_ALGOR *algorithm;
    X509_get0_signature(&signature, &algorithm, x);
    CHECK(slice_eq(x509_string(signature), c->signature));
}

// has_structured_name: what is inside an otherName, directoryName and their kind is not ours to
// read, and BoringSSL may find it wanting.
static bool has_structured_name(const struct cert *c)
{
    CBS in, names, value;
    CBS_ASN1_TAG tag;
    struct slice content = cert_extension_find(c, OID_SUBJECT_ALT_NAME)->value;
    CBS_init(&in, content.p, content.n);
    CHECK(CBS_get_asn1(&in, &names, CBS_ASN1_SEQUENCE));
    while (CBS_len(&names) > 0) {
        CHECK(CBS_get_any_asn1(&names, &value, &tag));
        if ((tag & CBS_ASN1_CONSTRUCTED) != 0) return true;
    }
    return false;
}

static void alt_names_check(const struct cert *c, struct arena *a, const X509 *x)
{
    struct identifier *ids;
    size_t other;
    bool present = cert_extension_find(c, OID_SUBJECT_ALT_NAME) != NULL;
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    if (present && names == NULL && has_structured_name(c)) return;
    CHECK((names != NULL) == present);
    CHECK(x509_names_take(&ids, &other, a, names) == c->name_count);
    CHECK(other == c->other_name_count);
    for (size_t i = 0; i < c->name_count; i++) CHECK(identifier_cmp(&ids[i], &c->names[i]) == 0);
    GENERAL_NAMES_free(names);
}

static void key_ids_check(const struct cert *c, const X509 *x)
{
    ASN1_OCTET_STRING *ski = X509_get_ext_d2i(x, NID_subject_key_identifier, NULL, NULL);
    AUTHORITY_KEYID *aki = X509_get_ext_d2i(x, NID_authority_key_identifier, NULL, NULL);
    CHECK((ski != NULL) == (cert_extension_find(c, OID_SUBJECT_KEY_ID) != NULL));
    const struct cert_extension *e = cert_extension_find(c, OID_AUTHORITY_KEY_ID);
    // Its second field, [1], holds GeneralNames that are not ours to read either.
    bool has_issuer = e != NULL && memchr(e->value.p, 0xa1, e->value.n) != NULL;
    CHECK(has_issuer || (aki != NULL) == (e != NULL));
    CHECK(slice_eq(ski == NULL ? SLICE_NONE : x509_string(ski), c->ski));
    bool has_id = aki != NULL && aki->keyid != NULL;
    if (aki != NULL) CHECK(slice_eq(has_id ? x509_string(aki->keyid) : SLICE_NONE, c->aki));
    ASN1_OCTET_STRING_free(ski);
    AUTHORITY_KEYID_free(aki);
}

static void constraints_check(const struct cert *c, const X509 *x)
{
    BASIC_CONSTRAINTS *b = X509_get_ext_d2i(x, NID_basic_constraints, NULL, NULL);
    CHECK((b != NULL) == (cert_extension_find(c, OID_BASIC_CONSTRAINTS) != NULL));
    CHECK(c->is_ca == (b != NULL && b->ca != 0));
    bool has_len = b != NULL && b->pathlen != NULL;
    CHECK(c->path_len == (has_len ? (int)ASN1_INTEGER_get(b->pathlen) : -1));
    BASIC_CONSTRAINTS_free(b);
}

static void extensions_check(const struct cert *c, struct arena *a, const X509 *x)
{
    CHECK((size_t)X509_get_ext_count(x) == c->extension_count);
    for (size_t i = 0; i < c->extension_count; i++) {
        X509_EXTENSION *e = X509_get_ext(x, (int)i);
        const ASN1_OBJECT *oid = X509_EXTENSION_get_object(e);
        CHECK(slice_eq(slice_of(OBJ_get0_data(oid), OBJ_length(oid)), c->extensions[i].oid));
        CHECK((X509_EXTENSION_get_critical(e) != 0) == c->extensions[i].critical);
        CHECK(slice_eq(x509_string(X509_EXTENSION_get_data(e)), c->extensions[i].value));
    }
    alt_names_check(c, a, x);
    key_ids_check(c, x);
    constraints_check(c, x);
}

// A certificate that its own key has signed is the only one that an input can carry the key for.
static void signature_check(const struct cert *c, X509 *x)
{
    if (failed(cert_verify_signed_by(c, c->spki))) return;
    EVP_PKEY *key = X509_get_pubkey(x);
    CHECK(key != NULL && X509_verify(x, key) == 1);
    EVP_PKEY_free(key);
}

static void accepted_check(const struct cert *c, struct arena *a, struct slice in)
{
    const uint8_t *p = in.p;
    X509 *x = d2i_X509(NULL, &p, (long)in.n);
    CHECK(x != NULL && p == in.p + in.n);
    fields_check(c, x);
    extensions_check(c, a, x);
    signature_check(c, x);
    X509_free(x);
    ERR_clear_error();
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return mutate_der(data, size, size_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct cert c = {.name_count = 77};
    const char *note = NULL;
    arena_init(&a, ARENA_MAX);
    struct err err = cert_parse(&c, &note, &a, slice_of(data, size));
    if (failed(err)) {
        CHECK(note != NULL && strlen(note) > 10 && c.name_count == 77);
        CHECK(err_is(err, ERR_BAD_CERT));
    } else {
        accepted_check(&c, &a, slice_of(data, size));
    }
    CHECK(ERR_peek_error() == 0);
    arena_fini(&a);
    return 0;
}
