#include "signer/lint.h"

#include "proto/der/der.h"
#include "proto/err.h"
#include "signer/tbs.h"

static bool names_same(const struct cert *c, const struct intent *in)
{
    if (c->name_count != in->name_count || c->other_name_count != 0 || c->uri.n != 0) return false;
    for (size_t i = 0; i < in->name_count; i++)
        if (identifier_cmp(&c->names[i], &in->names[i]) != 0)
            return false; // the intent's are sorted, and so are ours
    return true;
}

static bool value_is(const struct cert *c, struct slice oid, bool critical, struct slice value)
{
    const struct cert_extension *e = cert_extension_find(c, oid);
    return e != NULL && e->critical == critical && slice_eq(e->value, value);
}

static const char *extensions_wrong(const struct cert *c, const struct intent *in,
                                    const struct profile *p, const struct issuer *issuer)
{
    static const uint8_t server[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                     0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    static const uint8_t both[] = {0x30, 0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05,
                                   0x05, 0x07, 0x03, 0x01, 0x06, 0x08, 0x2b, 0x06,
                                   0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
    static const uint8_t sign_only[] = {0x03, 0x02, 0x07, 0x80},
                         sign_encipher[] = {0x03, 0x02, 0x05, 0xa0}, null[] = {0x05, 0x00};
    struct public_key_kind kind;
    if (failed(public_key_kind_of(&kind, in->spki)) || !profile_key_allowed(p, kind))
        return "the key is not of a kind that the profile takes";
    if (c->extension_count != 5u + p->settings->no_rev_avail)
        return "there are other extensions than the template's";
    if (!value_is(c, OID_KEY_USAGE, true,
                  kind.type == KEY_RSA ? slice_of(sign_encipher, sizeof sign_encipher)
                                       : slice_of(sign_only, sizeof sign_only)))
        return "keyUsage is wrong";
    if (!value_is(c, OID_EXT_KEY_USAGE, false,
                  p->settings->client_auth ? slice_of(both, sizeof both)
                                           : slice_of(server, sizeof server)))
        return "extendedKeyUsage is wrong";
    if (p->settings->no_rev_avail &&
        !value_is(c, OID_NO_REV_AVAIL, false, slice_of(null, sizeof null)))
        return "noRevAvail is wrong";
    const struct cert_extension *san = cert_extension_find(c, OID_SUBJECT_ALT_NAME);
    if (san == NULL || !san->critical)
        return "subjectAltName is missing or not critical beside an empty subject";
    if (c->ski.n != 20 || c->aki.n == 0 || !slice_eq(c->aki, issuer->cert.ski))
        return "the key identifiers are wrong";
    return c->is_ca ? "it is a CA certificate" : NULL;
}

static const char *wrong(const struct cert *c, const struct intent *in, const struct profile *p,
                         const struct issuer *issuer, const uint8_t serial[SERIAL_LEN])
{
    if (!slice_eq(c->serial, slice_of(serial, SERIAL_LEN))) return "the serial is not the intent's";
    if (serial[0] == 0 || (serial[0] & 0x80) != 0)
        return "the serial is not positive and of full length";
    if (!slice_eq(c->issuer, issuer->cert.subject))
        return "the issuer's name is not copied byte for byte";
    if (c->subject.n != 2) return "the subject is not empty";
    if (!slice_eq(c->algorithm, issuer->algorithm))
        return "the signature algorithm is not the issuer's";
    if (c->not_before != in->not_before || c->not_after != in->not_after)
        return "the dates are not the intent's";
    if (c->not_after - c->not_before + 1 != p->settings->validity_ms / 1000)
        return "the validity is not the profile's";
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
    // The reader takes whole certificates: this one is given a signature of one bit pattern that
    // nothing looks at.
    buf_init(&whole, TBS_MAX + 1024);
    struct err e = certificate_build(&whole, tbs, issuer->algorithm, SLICE_LIT("lint"));
    if (!failed(e)) e = arena_dup(&der, a, buf_slice(&whole));
    buf_fini(&whole);
    if (!failed(e)) e = cert_parse(&c, &note, a, der);
    return failed(e) ? note : wrong(&c, in, p, issuer, serial);
}
