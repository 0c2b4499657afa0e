// Shared by the readers of proto/der: between BoringSSL's CBS and slices.
#pragma once
#include <openssl/bytestring.h>

#include "proto/base/slice.h"

static inline struct slice slice_of_cbs(const CBS *cbs)
{
    return slice_of(CBS_data(cbs), CBS_len(cbs));
}

static inline CBS cbs_of_slice(struct slice s)
{
    CBS cbs;
    CBS_init(&cbs, s.p, s.n);
    return cbs;
}

static inline bool cbs_is(const CBS *cbs, struct slice s) { return slice_eq(slice_of_cbs(cbs), s); }

// get_element takes one value with its header from the front of `in` when its tag is `tag`.
static inline bool get_element(struct slice *out, CBS *in, CBS_ASN1_TAG tag)
{
    CBS element;
    if (!CBS_get_asn1_element(in, &element, tag)) return false;
    *out = slice_of_cbs(&element);
    return true;
}

// get_bits takes a BIT STRING of whole octets.
static inline bool get_bits(struct slice *out, CBS *in)
{
    CBS bits;
    uint8_t unused;
    if (!CBS_get_asn1(in, &bits, CBS_ASN1_BITSTRING) || !CBS_get_u8(&bits, &unused) || unused != 0)
        return false;
    *out = slice_of_cbs(&bits);
    return true;
}

// get_algorithm takes one AlgorithmIdentifier with its header: an object identifier and at most one
// value of parameters (RFC 5280 section 4.1.1.2).
static inline bool get_algorithm(struct slice *out, CBS *in)
{
    CBS element, fields, ignored;
    if (!CBS_get_asn1_element(in, &element, CBS_ASN1_SEQUENCE)) return false;
    *out = slice_of_cbs(&element);
    if (!CBS_get_asn1(&element, &fields, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&fields, &ignored, CBS_ASN1_OBJECT))
        return false;
    if (CBS_len(&fields) > 0 && !CBS_get_any_asn1(&fields, &ignored, NULL)) return false;
    return CBS_len(&fields) == 0;
}

// is_name_text says whether a value of this type may stand in a Name: the strings of X.520.
static inline bool is_name_text(CBS_ASN1_TAG tag)
{
    switch (tag) {
    case CBS_ASN1_UTF8STRING:
    case CBS_ASN1_NUMERICSTRING:
    case CBS_ASN1_PRINTABLESTRING:
    case CBS_ASN1_T61STRING:
    case CBS_ASN1_IA5STRING:
    case CBS_ASN1_UNIVERSALSTRING:
    case CBS_ASN1_BMPSTRING:
        return true;
    default:
        return false;
    }
}

// struct extension_fields is one Extension of RFC 5280 section 4.1.
struct extension_fields {
    struct slice oid;
    bool critical;
    struct slice value; // content of the OCTET STRING
};

// get_extension takes one Extension from the front of `in`. DER leaves out a value equal to its
// default, so critical is TRUE or absent.
static inline bool get_extension(struct extension_fields *out, CBS *in)
{
    CBS extension, oid, critical, value;
    int has_critical;
    if (!CBS_get_asn1(in, &extension, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&extension, &oid, CBS_ASN1_OBJECT))
        return false;
    if (!CBS_get_optional_asn1(&extension, &critical, &has_critical, CBS_ASN1_BOOLEAN))
        return false;
    if (has_critical && !cbs_is(&critical, SLICE_LIT("\xff"))) return false;
    if (!CBS_get_asn1(&extension, &value, CBS_ASN1_OCTETSTRING) || CBS_len(&extension) != 0)
        return false;
    *out = (struct extension_fields){slice_of_cbs(&oid), has_critical != 0, slice_of_cbs(&value)};
    return true;
}
