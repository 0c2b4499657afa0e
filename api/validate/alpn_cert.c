#include "api/validate/alpn_cert.h"

#include <openssl/bytestring.h>
#include <strings.h>

#include "proto/der/cert.h"
#include "proto/der/der.h"

static bool identifier_same(const struct identifier *in_cert, const struct identifier *want)
{
    if (in_cert->type != want->type || in_cert->value.n != want->value.n) return false;
    if (want->type == IDENTIFIER_IP) return slice_eq(in_cert->value, want->value);
    // RFC 4343: ASCII letters only; a name in canonical form has no NUL.
    return strncasecmp((const char *)in_cert->value.p, (const char *)want->value.p,
                       want->value.n) == 0;
}

static const char *name_wrong(const struct cert *c, const struct identifier *want)
{
    size_t count = c->name_count + c->other_name_count;
    if (count == 0) return "has no subjectAltName";
    if (count != 1) return "has more names in its subjectAltName than the one that is validated";
    if (c->name_count != 1 || !identifier_same(&c->names[0], want))
        return "has another name in its subjectAltName than the one that is validated";
    return NULL;
}

static const char *extension_wrong(const struct cert *c, const uint8_t digest[ALPN_DIGEST_LEN])
{
    const struct cert_extension *e = cert_extension_find(c, OID_ACME_IDENTIFIER);
    if (e == NULL) return "has no acmeIdentifier extension";
    if (!e->critical) return "has an acmeIdentifier extension that is not critical";
    // Authorization ::= OCTET STRING (SIZE (32)), which has one form in DER.
    if (e->value.n != 2 + ALPN_DIGEST_LEN || e->value.p[0] != CBS_ASN1_OCTETSTRING ||
        e->value.p[1] != ALPN_DIGEST_LEN)
        return "has an acmeIdentifier extension that is not an OCTET STRING of 32 octets";
    if (memcmp(e->value.p + 2, digest, ALPN_DIGEST_LEN) != 0)
        return "has another digest in its acmeIdentifier extension than that of the key "
               "authorization";
    return NULL;
}

const char *alpn_cert_judge(struct arena *a, struct slice der, const struct identifier *identifier,
                            const uint8_t digest[ALPN_DIGEST_LEN])
{
    struct cert c;
    const char *note = "cannot be read", *wrong;
    if (failed(cert_parse_any_serial(&c, &note, a, der)))
        return arena_printf(a, "cannot be read: %s", note);
    wrong = name_wrong(&c, identifier);
    if (wrong == NULL) wrong = extension_wrong(&c, digest);
    if (wrong != NULL) return wrong;
    return slice_eq(c.issuer, c.subject) && !failed(cert_verify_signed_by(&c, c.spki))
               ? NULL
               : "is not signed by its own key under its own name";
}
