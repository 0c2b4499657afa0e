#include "signer/constraints.h"

#include <openssl/bytestring.h>

#include "proto/der/der.h"

enum {
    PERMITTED = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0,
    EXCLUDED = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1,
    DNS_NAME = CBS_ASN1_CONTEXT_SPECIFIC | 2,
    IP_ADDRESS = CBS_ASN1_CONTEXT_SPECIFIC | 7
};

// struct subtrees is what one list of subtrees says about a name; any: there is one of its type.
struct subtrees {
    bool readable, any, holds, touches; // touches: what the name stands for, in part
};

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

// below: an empty base holds every name; a base that begins with a dot only what is below it.
static bool below(struct slice name, struct slice base)
{
    if (base.n == 0) return true;
    if (name.n < base.n) return false;
    size_t skip = name.n - base.n;
    for (size_t i = 0; i < base.n; i++)
        if (name.p[skip + i] != lower(base.p[i])) return false;
    return skip == 0 || base.p[0] == '.' || name.p[skip - 1] == '.';
}

// covers says whether a wildcard stands for a name that is a subtree's base or below it: "*.corp"
// for a tree at "a.corp". Verifiers compare the wildcard as it is written, so that nobody else
// would notice (RFC 5280 section 4.2.1.10 knows no wildcards).
static bool covers(struct slice name, struct slice base)
{
    if (!slice_starts(name, SLICE_LIT("*."))) return false;
    const uint8_t *dot = base.n == 0 ? NULL : memchr(base.p, '.', base.n);
    size_t label = dot == NULL ? base.n : (size_t)(dot - base.p);
    return label > 0 && base.n - label == name.n - 1 &&
           below(slice_sub(name, 1, name.n), slice_sub(base, label, base.n));
}

// network_valid: an address and a mask of the same length, ones before zeros (RFC 4632).
static bool network_valid(struct slice network)
{
    bool ended = false;
    if (network.n != 8 && network.n != 32) return false;
    for (size_t i = network.n * 4; i < network.n * 8; i++) {
        bool bit = (network.p[i / 8] >> (7 - i % 8) & 1) != 0;
        if (bit && ended) return false;
        ended |= !bit;
    }
    return true;
}

static bool within(struct slice octets, struct slice network)
{
    if (network.n != 2 * octets.n) return false;
    for (size_t i = 0; i < octets.n; i++)
        if (((octets.p[i] ^ network.p[i]) & network.p[octets.n + i]) != 0) return false;
    return true;
}

static struct subtrees subtrees_read(CBS list, const struct identifier *name)
{
    struct subtrees s = {.readable = CBS_len(&list) > 0};
    while (s.readable && CBS_len(&list) > 0) {
        CBS subtree, base;
        CBS_ASN1_TAG tag;
        s.readable = CBS_get_asn1(&list, &subtree, CBS_ASN1_SEQUENCE) &&
                     CBS_get_any_asn1(&subtree, &base, &tag) && CBS_len(&subtree) == 0;
        if (!s.readable) break;
        struct slice at = slice_of(CBS_data(&base), CBS_len(&base));
        if (tag == IP_ADDRESS && !network_valid(at)) s.readable = false;
        if (!s.readable || tag != (name->type == IDENTIFIER_IP ? IP_ADDRESS : DNS_NAME)) continue;
        s.any = true;
        s.holds |= name->type == IDENTIFIER_IP ? within(name->value, at) : below(name->value, at);
        s.touches |= name->type == IDENTIFIER_DNS && covers(name->value, at);
    }
    return s;
}

// read puts both lists into `permitted` and `excluded`; a list that is absent holds nothing.
static bool read(struct subtrees *permitted, struct subtrees *excluded, const struct cert *ca,
                 const struct identifier *name)
{
    const struct cert_extension *e = cert_extension_find(ca, OID_NAME_CONSTRAINTS);
    CBS in, sequence, list;
    int present;
    *permitted = *excluded = (struct subtrees){.readable = true};
    if (e == NULL) return true;
    CBS_init(&in, e->value.p, e->value.n);
    if (!CBS_get_asn1(&in, &sequence, CBS_ASN1_SEQUENCE) || CBS_len(&in) != 0 ||
        CBS_len(&sequence) == 0 || !CBS_get_optional_asn1(&sequence, &list, &present, PERMITTED))
        return false;
    if (present) *permitted = subtrees_read(list, name);
    if (!CBS_get_optional_asn1(&sequence, &list, &present, EXCLUDED) || CBS_len(&sequence) != 0)
        return false;
    if (present) *excluded = subtrees_read(list, name);
    return permitted->readable && excluded->readable;
}

bool constraints_readable(const struct cert *ca)
{
    struct subtrees permitted, excluded;
    return read(&permitted, &excluded, ca, &(struct identifier){IDENTIFIER_DNS, SLICE_NONE});
}

bool constraints_permit(const struct cert *ca, const struct identifier *name)
{
    struct subtrees permitted, excluded;
    return read(&permitted, &excluded, ca, name) && (!permitted.any || permitted.holds) &&
           !excluded.holds && !excluded.touches;
}
