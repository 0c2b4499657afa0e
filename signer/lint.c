#include "signer/lint.h"

#include <openssl/bytestring.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "proto/der/der.h"
#include "proto/err.h"
#include "signer/tbs.h"

// The template's extensions in their order.
enum {
    KEY_USAGE,
    EXT_KEY_USAGE,
    SUBJECT_KEY_ID,
    AUTHORITY_KEY_ID,
    ALT_NAMES,
    LAST_IF_ANY // noRevAvail or cRLDistributionPoints, where the profile has it
};
enum { KEY_ID_LEN = 20 };

static bool names_same(const struct cert *c, const struct intent *in)
{
    if (c->name_count != in->name_count || c->other_name_count != 0 || c->uri.n != 0) return false;
    for (size_t i = 0; i < in->name_count; i++)
        if (identifier_cmp(&c->names[i], &in->names[i]) != 0)
            return false; // the intent's are sorted, and so are ours
    return true;
}

// extension_is looks at one place: the template's extensions have an order.
static bool extension_is(const struct cert *c, size_t place, struct slice oid, bool critical,
                         struct slice value)
{
    const struct cert_extension *e = &c->extensions[place];
    return slice_eq(e->oid, oid) && e->critical == critical && slice_eq(e->value, value);
}

// key_id_is compares the content of an extension that holds one key identifier of 20 octets behind
// `head` and nothing else.
static bool key_id_is(const struct cert *c, size_t place, struct slice oid, struct slice head,
                      struct slice id)
{
    uint8_t value[4 + KEY_ID_LEN];
    if (id.n != KEY_ID_LEN) return false;
    memcpy(value, head.p, head.n);
    memcpy(value + head.n, id.p, KEY_ID_LEN);
    return extension_is(c, place, oid, false, slice_of(value, head.n + KEY_ID_LEN));
}

// subject_key_id is SHA-256 over the key's bits, cut to 160 (RFC 7093 section 2, method 1): the
// bits are the second value in a SubjectPublicKeyInfo, behind a count of unused bits.
static bool subject_key_id(uint8_t out[SHA256_DIGEST_LENGTH], struct slice spki)
{
    CBS in = {spki.p, spki.n}, fields, bits;
    if (!CBS_get_asn1(&in, &fields, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&fields, NULL, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&fields, &bits, CBS_ASN1_BITSTRING) || !CBS_skip(&bits, 1))
        return false;
    SHA256(CBS_data(&bits), CBS_len(&bits), out);
    return true;
}

static const char *usages_wrong(const struct cert *c, const struct intent *in,
                                const struct profile *p)
{
    static const uint8_t server[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                     0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    static const uint8_t both[] = {0x30, 0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05,
                                   0x05, 0x07, 0x03, 0x01, 0x06, 0x08, 0x2b, 0x06,
                                   0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
    static const uint8_t sign_only[] = {0x03, 0x02, 0x07, 0x80},
                         sign_encipher[] = {0x03, 0x02, 0x05, 0xa0};
    struct public_key_kind kind;
    if (failed(public_key_kind_of(&kind, in->spki)) || !profile_key_allowed(p, kind))
        return "the key is not of a kind that the profile takes";
    if (!extension_is(c, KEY_USAGE, OID_KEY_USAGE, true,
                      kind.type == KEY_RSA ? slice_of(sign_encipher, sizeof sign_encipher)
                                           : slice_of(sign_only, sizeof sign_only)))
        return "keyUsage is wrong or not in its place";
    if (!extension_is(c, EXT_KEY_USAGE, OID_EXT_KEY_USAGE, false,
                      p->settings->client_auth ? slice_of(both, sizeof both)
                                               : slice_of(server, sizeof server)))
        return "extendedKeyUsage is wrong or not in its place";
    return NULL;
}

// crl_points_are compares with one DistributionPoint of one URL, each level written by hand: the
// URL's end is that of all of them.
static bool crl_points_are(const struct cert *c, const struct intent *in, const struct profile *p)
{
    static const uint8_t tags[] = {0x30, 0x30, 0xa0, 0xa0, 0x86};
    char uri[CRL_URI_MAX], want[64];
    const struct cert_extension *e = &c->extensions[LAST_IF_ANY];
    struct slice rest = e->value;
    snprintf(want, sizeof want, "/%u/%u.crl", in->issuer, in->crl_shard);
    snprintf(uri, sizeof uri, "%s%s", p->settings->crl_url, want);
    for (size_t i = 0; i < sizeof tags; i++) {
        size_t head = rest.n >= 2 && rest.p[1] == 0x81   ? 3
                      : rest.n >= 2 && rest.p[1] == 0x82 ? 4
                                                         : 2;
        if (rest.n < head || rest.p[0] != tags[i]) return false;
        size_t n = head == 4   ? (size_t)rest.p[2] << 8 | rest.p[3]
                   : head == 3 ? rest.p[2]
                               : rest.p[1];
        rest = slice_sub(rest, head, rest.n);
        if (rest.n != n) return false; // nothing stands beside it
    }
    return slice_eq(e->oid, OID_CRL_DISTRIBUTION_POINTS) && !e->critical &&
           slice_eq_str(rest, uri) && in->crl_shard / CRL_PARTS_MAX == in->not_before / 3600;
}

static const char *extensions_wrong(const struct cert *c, const struct intent *in,
                                    const struct profile *p, const struct issuer *issuer)
{
    uint8_t id[SHA256_DIGEST_LENGTH];
    if (c->extension_count != (size_t)LAST_IF_ANY + p->settings->no_rev_avail + profile_has_crl(p))
        return "there are other extensions than the template's";
    const char *usage = usages_wrong(c, in, p);
    if (usage != NULL) return usage;
    if (!subject_key_id(id, in->spki) ||
        !key_id_is(c, SUBJECT_KEY_ID, OID_SUBJECT_KEY_ID, SLICE_LIT("\x04\x14"),
                   slice_of(id, KEY_ID_LEN)))
        return "subjectKeyIdentifier is wrong or not in its place";
    if (!key_id_is(c, AUTHORITY_KEY_ID, OID_AUTHORITY_KEY_ID, SLICE_LIT("\x30\x16\x80\x14"),
                   issuer->cert.ski))
        return "authorityKeyIdentifier is not the issuer's key identifier alone, in its place";
    if (!slice_eq(c->extensions[ALT_NAMES].oid, OID_SUBJECT_ALT_NAME) ||
        !c->extensions[ALT_NAMES].critical) // RFC 5280 section 4.2.1.6
        return "subjectAltName is not critical beside an empty subject, or not in its place";
    if (p->settings->no_rev_avail &&
        !extension_is(c, LAST_IF_ANY, OID_NO_REV_AVAIL, false, SLICE_LIT("\x05\x00")))
        return "noRevAvail is wrong or not in its place";
    if (profile_has_crl(p) && !crl_points_are(c, in, p))
        return "cRLDistributionPoints is not the shard's URL alone, in its place";
    return NULL;
}

// serial_placed: hour of notBefore, then issuer (10 bits) and region (6 bits), as design and
// partitions want it; what follows is the MAC, which only the keys' holder can judge.
static bool serial_placed(const uint8_t serial[SERIAL_LEN], const struct intent *in)
{
    uint32_t hour = (uint32_t)serial[0] << 16 | (uint32_t)serial[1] << 8 | serial[2];
    unsigned place = (unsigned)serial[3] << 8 | serial[4];
    return in->not_before >= 0 && hour == in->not_before / 3600 && place >> 6 == in->issuer &&
           (place & 63) == in->region;
}

static const char *wrong(const struct cert *c, const struct intent *in, const struct profile *p,
                         const struct issuer *issuer, const uint8_t serial[SERIAL_LEN])
{
    if (!slice_eq(c->serial, slice_of(serial, SERIAL_LEN))) return "the serial is not the intent's";
    if (!serial_placed(serial, in))
        return "the serial does not begin with the intent's hour, issuer and region";
    if (!slice_eq(c->issuer, issuer->cert.subject))
        return "the issuer's name is not copied byte for byte";
    if (c->subject.n != 2) return "the subject is not empty";
    if (c->not_before != in->not_before || c->not_after != in->not_after)
        return "the dates are not the intent's";
    if (c->not_after < c->not_before) return "it would end before it begins";
    if (c->not_after - c->not_before + 1 > p->settings->validity_ms / 1000)
        return "the validity is longer than the profile's";
    if (c->not_after > issuer->cert.not_after || c->not_before < issuer->cert.not_before)
        return "it would not lie within the issuer's life";
    if (!slice_eq(c->spki, in->spki)) return "the key is not the intent's";
    if (in->name_count == 0 || !names_same(c, in)) return "the names are not the intent's";
    for (size_t i = 0; i < c->name_count; i++)
        if (!profile_name_allowed(p, &c->names[i])) return "a name is outside the profile's";
    return extensions_wrong(c, in, p, issuer);
}

const char *lint_tbs(struct arena *a, struct slice tbs, const struct intent *in,
                     const struct profile *p, const struct issuer *issuer,
                     const uint8_t serial[SERIAL_LEN])
{
    struct buf whole;
    struct slice der;
    struct cert c;
    const char *note = "it cannot be read back";
    if (failed(der_check(tbs))) return "it is not exactly one DER value";
    // The reader takes whole certificates: this one is given a signature of one bit pattern that
    // nothing looks at.
    buf_init(&whole, TBS_MAX + 1024);
    struct err e = certificate_build(&whole, tbs, issuer->algorithm, SLICE_LIT("lint"));
    if (!failed(e)) e = arena_dup(&der, a, buf_slice(&whole));
    buf_fini(&whole);
    if (!failed(e)) e = cert_parse(&c, &note, a, der);
    if (failed(e)) return note;
    // The reader insists that the algorithm inside is the one outside, which is the issuer's.
    return wrong(&c, in, p, issuer, serial);
}
