#include "signer/x509.h"

#include <openssl/mem.h>
#include <time.h>

#include "proto/der/der.h"
#include "proto/err.h"

enum { YEAR_2050_S = 2524608000 };

int x509_bytes_add(CBB *cbb, struct slice s) { return CBB_add_bytes(cbb, s.p, s.n); }

int x509_time_add(CBB *cbb, int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    char text[32];
    CBB value;
    gmtime_r(&t, &tm);
    bool utc = unix_s < YEAR_2050_S;
    size_t n = strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm),
           skip = utc ? 2 : 0; // UTCTime has two digits of the year
    return CBB_add_asn1(cbb, &value, utc ? CBS_ASN1_UTCTIME : CBS_ASN1_GENERALIZEDTIME) &&
           CBB_add_bytes(&value, (const uint8_t *)text + skip, n - skip) && CBB_flush(cbb);
}

int x509_extension_begin(CBB *list, CBB *extension, CBB *value, struct slice oid, bool critical)
{
    CBB id;
    return CBB_add_asn1(list, extension, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(extension, &id, CBS_ASN1_OBJECT) && x509_bytes_add(&id, oid) &&
           (!critical || CBB_add_asn1_bool(extension, 1)) &&
           CBB_add_asn1(extension, value, CBS_ASN1_OCTETSTRING);
}

int x509_authority_key_add(CBB *list, struct slice key_id)
{
    CBB e, v, seq, id;
    return x509_extension_begin(list, &e, &v, OID_AUTHORITY_KEY_ID, false) &&
           CBB_add_asn1(&v, &seq, CBS_ASN1_SEQUENCE) &&
           CBB_add_asn1(&seq, &id, CBS_ASN1_CONTEXT_SPECIFIC | 0) && x509_bytes_add(&id, key_id) &&
           CBB_flush(list);
}

struct err x509_finish(struct buf *out, CBB *cbb, int ok)
{
    uint8_t *der = NULL;
    size_t n = 0;
    if (!ok || !CBB_finish(cbb, &der, &n)) {
        CBB_cleanup(cbb);
        return ERR(CRYPTO);
    }
    struct err e = buf_add(out, slice_of(der, n));
    OPENSSL_free(der);
    return e;
}
