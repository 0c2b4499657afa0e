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
