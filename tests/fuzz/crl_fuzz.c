// crl_parse on any bytes. Oracle: whatever we accept BoringSSL's d2i_X509_CRL accepts whole and
// writes as the same bytes, with the same issuer, times, entries and reasons, number and places.
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "proto/der/crl.h"
#include "proto/err.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/x509_names.h"

static void bytes_check(uint8_t *der, int n, struct slice want)
{
    CHECK(n >= 0 && slice_eq(slice_of(der, (size_t)n), want));
    OPENSSL_free(der);
}

static void entries_check(const struct crl *c, X509_CRL *x)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(x);
    struct slice rest = c->entries;
    struct crl_entry e;
    size_t i = 0;
    for (; crl_entry_next(&e, &rest); i++) {
        const X509_REVOKED *r = sk_X509_REVOKED_value(all, i);
        int64_t t;
        struct slice serial = e.serial;
        if (serial.p[0] == 0) serial = slice_sub(serial, 1, serial.n);
        CHECK(r != NULL && slice_eq(x509_string(X509_REVOKED_get0_serialNumber(r)), serial));
        CHECK(ASN1_TIME_to_posix(X509_REVOKED_get0_revocationDate(r), &t) && t == e.revoked_at);
        ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
        CHECK((reason == NULL ? 0 : ASN1_ENUMERATED_get(reason)) == (long)e.reason);
        ASN1_ENUMERATED_free(reason);
    }
    CHECK(rest.n == 0 && i == c->entry_count && i == (all == NULL ? 0 : sk_X509_REVOKED_num(all)));
}

static void places_check(const struct crl *c, X509_CRL *x)
{
    ISSUING_DIST_POINT *idp = X509_CRL_get_ext_d2i(x, NID_issuing_distribution_point, NULL, NULL);
    struct slice rest = c->uris, uri;
    size_t i = 0;
    CHECK((idp != NULL) == (c->uris.n > 0));
    for (; crl_uri_next(&uri, &rest); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(idp->distpoint->name.fullname, i);
        CHECK(n->type == GEN_URI && slice_eq(x509_string(n->d.uniformResourceIdentifier), uri));
    }
    CHECK(idp == NULL || i == sk_GENERAL_NAME_num(idp->distpoint->name.fullname));
    ISSUING_DIST_POINT_free(idp);
}

static void fields_check(const struct crl *c, X509_CRL *x)
{
    uint8_t *der = NULL;
    int64_t t;
    uint64_t number;
    CHECK(ASN1_TIME_to_posix(X509_CRL_get0_lastUpdate(x), &t) && t == c->this_update);
    CHECK(ASN1_TIME_to_posix(X509_CRL_get0_nextUpdate(x), &t) && t == c->next_update);
    int n = i2d_X509_CRL(x, &der);
    bytes_check(der, n, c->der);
    n = (der = NULL, i2d_X509_NAME(X509_CRL_get_issuer(x), &der));
    bytes_check(der, n, c->issuer);
    ASN1_INTEGER *cn = X509_CRL_get_ext_d2i(x, NID_crl_number, NULL, NULL);
    CHECK(cn != NULL && ASN1_INTEGER_get_uint64(&number, cn) && number == c->number);
    ASN1_INTEGER_free(cn);
    AUTHORITY_KEYID *aki = X509_CRL_get_ext_d2i(x, NID_authority_key_identifier, NULL, NULL);
    CHECK(aki != NULL && slice_eq(x509_string(aki->keyid), c->aki));
    AUTHORITY_KEYID_free(aki);
    entries_check(c, x);
    places_check(c, x);
}

// name_is_read: what a Name holds is not ours to read here (the signer compares it octet by octet
// with its own), and BoringSSL may find it wanting.
static bool name_is_read(struct slice name)
{
    const uint8_t *p = name.p;
    X509_NAME *n = d2i_X509_NAME(NULL, &p, (long)name.n);
    uint8_t *der = NULL;
    int size = n == NULL ? -1 : i2d_X509_NAME(n, &der);
    bool same = size >= 0 && slice_eq(slice_of(der, (size_t)size), name);
    OPENSSL_free(der);
    X509_NAME_free(n);
    ERR_clear_error();
    return same;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return mutate_der(data, size, size_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct crl c = {.number = 77};
    const char *note = NULL;
    struct err err = crl_parse(&c, &note, slice_of(data, size));
    if (failed(err)) {
        CHECK(note != NULL && strlen(note) > 10 && c.number == 77 && err_is(err, ERR_BAD_CRL));
    } else if (name_is_read(c.issuer)) {
        const uint8_t *p = data;
        X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)size);
        CHECK(x != NULL && p == data + size);
        fields_check(&c, x);
        X509_CRL_free(x);
    }
    CHECK(ERR_peek_error() == 0);
    return 0;
}
