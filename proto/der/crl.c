#include "proto/der/crl.h"

#include "proto/der/der.h"
#include "proto/der/internal.h"
#include "proto/der/signature.h"
#include "proto/err.h"

enum { SERIAL_OCTETS_MAX = 20, REASON_MAX = 10 };

#define CONTEXT(n) (CBS_ASN1_CONTEXT_SPECIFIC | (n))
#define CONTEXT_SET(n) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (n))

static struct err malformed(const char **note, const char *what)
{
    *note = what;
    return ERR(BAD_CRL);
}

// get_time: UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 section 5.1.2.4).
static bool get_time(int64_t *out, CBS *in)
{
    static const int64_t year_2050 = 2524608000;
    CBS text;
    CBS_ASN1_TAG tag;
    if (!CBS_get_any_asn1(in, &text, &tag)) return false;
    bool generalized = tag == CBS_ASN1_GENERALIZEDTIME;
    if (!generalized && tag != CBS_ASN1_UTCTIME) return false;
    if (failed(der_time_parse(out, slice_of_cbs(&text), generalized))) return false;
    return generalized == (*out >= year_2050);
}

// ---- entries

// get_reason reads the extensions of an entry: a reason that says something, and no more.
static bool get_reason(unsigned *out, CBS *entry)
{
    CBS list, value, reason;
    struct extension_fields e;
    if (!CBS_get_asn1(entry, &list, CBS_ASN1_SEQUENCE) || !get_extension(&e, &list) ||
        CBS_len(&list) != 0 || e.critical || !slice_eq(e.oid, OID_CRL_REASON))
        return false;
    value = cbs_of_slice(e.value);
    if (!CBS_get_asn1(&value, &reason, CBS_ASN1_ENUMERATED) || CBS_len(&value) != 0 ||
        CBS_len(&reason) != 1)
        return false;
    *out = CBS_data(&reason)[0];
    return *out >= 1 && *out <= REASON_MAX && *out != 7 && *out != 8;
}

static bool get_entry(struct crl_entry *out, CBS *in)
{
    CBS entry, serial;
    if (!CBS_get_asn1(in, &entry, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&entry, &serial, CBS_ASN1_INTEGER) || !get_time(&out->revoked_at, &entry))
        return false;
    out->serial = slice_of_cbs(&serial);
    out->reason = 0;
    bool positive = out->serial.p[0] < 0x80 && !(out->serial.n == 1 && out->serial.p[0] == 0);
    if (!positive || out->serial.n > SERIAL_OCTETS_MAX) return false;
    return CBS_len(&entry) == 0 || (get_reason(&out->reason, &entry) && CBS_len(&entry) == 0);
}

bool crl_entry_next(struct crl_entry *out, struct slice *entries)
{
    CBS in = cbs_of_slice(*entries);
    if (entries->n == 0 || !get_entry(out, &in)) return false;
    *entries = slice_of_cbs(&in);
    return true;
}

// ---- extensions

struct seen {
    bool number, aki, idp;
};

static bool read_number(struct crl *c, CBS *value)
{
    return CBS_get_asn1_uint64(value, &c->number);
}

static bool read_aki(struct crl *c, CBS *value)
{
    CBS fields, id;
    if (!CBS_get_asn1(value, &fields, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&fields, &id, CONTEXT(0)) || CBS_len(&fields) != 0)
        return false;
    c->aki = slice_of_cbs(&id);
    return c->aki.n > 0;
}

bool crl_uri_next(struct slice *out, struct slice *uris)
{
    CBS in = cbs_of_slice(*uris), uri;
    if (!CBS_get_asn1(&in, &uri, CONTEXT(6))) return false;
    *out = slice_of_cbs(&uri);
    *uris = slice_of_cbs(&in);
    return true;
}

// read_idp: a fullName of URIs, and nothing that narrows the CRL's scope but its place.
static bool read_idp(struct crl *c, CBS *value)
{
    CBS fields, point, names;
    struct slice uri;
    if (!CBS_get_asn1(value, &fields, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&fields, &point, CONTEXT_SET(0)) || CBS_len(&fields) != 0 ||
        !CBS_get_asn1(&point, &names, CONTEXT_SET(0)) || CBS_len(&point) != 0)
        return false;
    c->uris = slice_of_cbs(&names);
    struct slice rest = c->uris;
    if (rest.n == 0) return false;
    while (rest.n > 0)
        if (!crl_uri_next(&uri, &rest) || uri.n == 0) return false;
    return true;
}

static bool read_extension(struct crl *c, struct seen *seen, const struct extension_fields *e)
{
    CBS value = cbs_of_slice(e->value);
    bool *which, ok, critical = false;
    if (slice_eq(e->oid, OID_CRL_NUMBER)) {
        which = &seen->number;
        ok = read_number(c, &value);
    } else if (slice_eq(e->oid, OID_AUTHORITY_KEY_ID)) {
        which = &seen->aki;
        ok = read_aki(c, &value);
    } else if (slice_eq(e->oid, OID_ISSUING_DISTRIBUTION_POINT)) {
        which = &seen->idp;
        critical = true; // RFC 5280 section 5.2.5
        ok = read_idp(c, &value);
    } else {
        return false;
    }
    ok = ok && CBS_len(&value) == 0 && !*which && e->critical == critical;
    *which = true;
    return ok;
}

static const char *read_extensions(struct crl *c, CBS *tbs)
{
    CBS outer, list;
    struct seen seen = {0};
    struct extension_fields e;
    if (!CBS_get_asn1(tbs, &outer, CONTEXT_SET(0)) ||
        !CBS_get_asn1(&outer, &list, CBS_ASN1_SEQUENCE) || CBS_len(&outer) != 0 ||
        CBS_len(tbs) != 0)
        return "the CRL is malformed: extensions";
    while (CBS_len(&list) > 0)
        if (!get_extension(&e, &list) || failed(der_check(e.value)) ||
            !read_extension(c, &seen, &e))
            return "the CRL is malformed: an extension is wrong, unknown or there twice";
    return seen.number && seen.aki ? NULL : "the CRL has no number or no authority key identifier";
}

// ----

static bool get_name(struct slice *out, CBS *tbs)
{
    return get_element(out, tbs, CBS_ASN1_SEQUENCE) && out->n > 2;
}

static const char *read_entries(struct crl *c, CBS *tbs)
{
    CBS list;
    struct crl_entry entry;
    if (!CBS_peek_asn1_tag(tbs, CBS_ASN1_SEQUENCE)) return NULL; // none is revoked
    if (!CBS_get_asn1(tbs, &list, CBS_ASN1_SEQUENCE) || CBS_len(&list) == 0)
        return "the CRL is malformed: an empty list of revoked certificates";
    c->entries = slice_of_cbs(&list);
    for (; CBS_len(&list) > 0; c->entry_count++)
        if (!get_entry(&entry, &list)) return "the CRL is malformed: an entry";
    return NULL;
}

static const char *read_tbs(struct crl *c)
{
    CBS in = cbs_of_slice(c->tbs), tbs;
    uint64_t version;
    struct slice algorithm;
    if (!CBS_get_asn1(&in, &tbs, CBS_ASN1_SEQUENCE) || !CBS_get_asn1_uint64(&tbs, &version) ||
        version != 1)
        return "the CRL is malformed: not version 2";
    if (!get_element(&algorithm, &tbs, CBS_ASN1_SEQUENCE) || !slice_eq(algorithm, c->algorithm))
        return "the CRL is malformed: two different signature algorithms";
    if (!get_name(&c->issuer, &tbs)) return "the CRL is malformed: issuer";
    if (!get_time(&c->this_update, &tbs) || !get_time(&c->next_update, &tbs))
        return "the CRL is malformed: thisUpdate or nextUpdate";
    const char *wrong = read_entries(c, &tbs);
    return wrong != NULL ? wrong : read_extensions(c, &tbs);
}

struct err crl_parse(struct crl *out, const char **note, struct slice der)
{
    struct crl c = {.der = der};
    CBS in = cbs_of_slice(der), outer;
    if (der.n > CRL_SIZE_MAX) return malformed(note, "the CRL is too large");
    if (failed(der_check(der))) return malformed(note, "the CRL is not DER");
    if (!CBS_get_asn1(&in, &outer, CBS_ASN1_SEQUENCE) ||
        !get_element(&c.tbs, &outer, CBS_ASN1_SEQUENCE) || !get_algorithm(&c.algorithm, &outer) ||
        !get_bits(&c.signature, &outer) || CBS_len(&outer) != 0)
        return malformed(note, "it is not a CRL");
    const char *wrong = read_tbs(&c);
    if (wrong != NULL) return malformed(note, wrong);
    *out = c;
    return OK;
}

struct err crl_verify_signed_by(const struct crl *crl, struct slice issuer_spki)
{
    return signature_verify(crl->algorithm, issuer_spki, crl->tbs, crl->signature)
               ? OK
               : ERR(BAD_CERT_SIGNATURE);
}
