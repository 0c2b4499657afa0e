#include "signer/constraints.h"

#include <openssl/bytestring.h>

#include "proto/der/der.h"

enum {
    PERMITTED = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0,
    EXCLUDED = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1,
    DNS_NAME = CBS_ASN1_CONTEXT_SPECIFIC | 2
};

// struct subtrees is what one list of subtrees says about a name.
struct subtrees {
    bool readable, any_dns, holds, touches; // touches: what the name stands for, in part
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

static struct subtrees subtrees_read(CBS list, struct slice name)
{
    struct subtrees s = {.readable = CBS_len(&list) > 0};
    while (s.readable && CBS_len(&list) > 0) {
        CBS subtree, base;
        CBS_ASN1_TAG tag;
        s.readable = CBS_get_asn1(&list, &subtree, CBS_ASN1_SEQUENCE) &&
                     CBS_get_any_asn1(&subtree, &base, &tag) && CBS_len(&subtree) == 0;
        if (!s.readable || tag != DNS_NAME) continue;
        s.any_dns = true;
        struct slice at = slice_of(CBS_data(&base), CBS_len(&base));
        s.holds |= below(name, at);
        s.touches |= covers(name, at);
    }
    return s;
}

// read puts both lists into `permitted` and `excluded`; a list that is absent holds nothing.
static bool read(struct subtrees *permitted, struct subtrees *excluded, const struct cert *ca,
                 struct slice name)
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
    return read(&permitted, &excluded, ca, SLICE_NONE);
}

bool constraints_permit(const struct cert *ca, struct slice name)
{
    struct subtrees permitted, excluded;
    return read(&permitted, &excluded, ca, name) && (!permitted.any_dns || permitted.holds) &&
           !excluded.holds && !excluded.touches;
}
