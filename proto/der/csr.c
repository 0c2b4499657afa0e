#include "proto/der/csr.h"

#include "proto/der/der.h"
#include "proto/der/internal.h"
#include "proto/der/signature.h"
#include "proto/err.h"

// Bounds on what is compared pairwise or gathered before duplicates go.
enum { EXTENSION_COUNT_MAX = 64, NAMES_GATHERED_MAX = 2 * IDENTIFIER_COUNT_MAX };

struct reader {
    struct csr csr;
    const char **note;
    struct arena *arena;
    bool extensions_seen; // an extensionRequest attribute was there
    size_t gathered;
    struct identifier names[NAMES_GATHERED_MAX];
};

#define REFUSE(r, error, ...) (*(r)->note = arena_printf((r)->arena, __VA_ARGS__), ERR(error))

static struct err malformed(struct reader *r, const char *what)
{
    return REFUSE(r, BAD_CSR, "the request is malformed: %s", what);
}

static struct err gather(struct reader *r, enum identifier_type type, struct slice value)
{
    if (r->gathered == NAMES_GATHERED_MAX)
        return REFUSE(r, BAD_CSR_NAME, "the request has more than %d names", IDENTIFIER_COUNT_MAX);
    r->names[r->gathered++] = (struct identifier){type, value};
    return OK;
}

static struct err gather_dns(struct reader *r, struct slice text, const char *where)
{
    struct slice name;
    struct err e = dns_name_canonical(&name, r->arena, text, true);
    if (err_is(e, ERR_BAD_DNS_NAME)) {
        return REFUSE(r, BAD_CSR_NAME,
                      "the %s \"%" SLICE_FMT "\" is not a DNS name that can be certified", where,
                      SLICE_ARG(slice_sub(text, 0, DNS_NAME_LEN_MAX)));
    }
    TRY(e);
    return gather(r, IDENTIFIER_DNS, name);
}

static struct err read_common_name(struct reader *r, CBS_ASN1_TAG tag, struct slice text)
{
    struct slice address;
    bool ascii_based = tag == CBS_ASN1_UTF8STRING || tag == CBS_ASN1_PRINTABLESTRING ||
                       tag == CBS_ASN1_IA5STRING || tag == CBS_ASN1_T61STRING;
    if (text.n == 0) return OK; // asks for nothing
    if (!ascii_based)
        return REFUSE(r, BAD_CSR_NAME,
                      "the common name is of a string type that no DNS name needs");
    struct err e = ip_address_parse(&address, r->arena, text);
    if (!failed(e)) return gather(r, IDENTIFIER_IP, address);
    if (!err_is(e, ERR_BAD_IP_ADDRESS)) return e;
    return gather_dns(r, text, "common name");
}

// read_attribute_of_name takes one AttributeTypeAndValue of the subject. All but common names is
// dropped (T28).
static struct err read_attribute_of_name(struct reader *r, CBS *rdn)
{
    CBS attribute, oid, value;
    CBS_ASN1_TAG tag;
    if (!CBS_get_asn1(rdn, &attribute, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&attribute, &oid, CBS_ASN1_OBJECT) ||
        !CBS_get_any_asn1(&attribute, &value, &tag) || CBS_len(&attribute) != 0) {
        return malformed(r, "subject");
    }
    if (!is_name_text(tag)) return malformed(r, "an attribute of the subject is not text");
    if (!cbs_is(&oid, OID_COMMON_NAME)) return OK;
    return read_common_name(r, tag, slice_of_cbs(&value));
}

static struct err read_subject(struct reader *r, CBS *info)
{
    CBS subject, rdn;
    if (!CBS_get_asn1(info, &subject, CBS_ASN1_SEQUENCE)) return malformed(r, "subject");
    while (CBS_len(&subject) > 0) {
        if (!CBS_get_asn1(&subject, &rdn, CBS_ASN1_SET) || CBS_len(&rdn) == 0)
            return malformed(r, "subject");
        while (CBS_len(&rdn) > 0) TRY(read_attribute_of_name(r, &rdn));
    }
    return OK;
}

static struct err read_key(struct reader *r, CBS *info)
{
    if (!get_element(&r->csr.spki, info, CBS_ASN1_SEQUENCE)) return malformed(r, "public key");
    if (failed(public_key_kind_of(&r->csr.kind, r->csr.spki))) {
        return REFUSE(r, BAD_CSR_KEY,
                      "the public key is not a P-256, P-384 or P-521 point in uncompressed form, "
                      "not RSA, and not Ed25519");
    }
    if (!public_key_size_allowed(r->csr.kind)) {
        return REFUSE(r, BAD_CSR_KEY, "the RSA key has %u bits; allowed are %d to %d in steps of 8",
                      r->csr.kind.bits, RSA_BITS_MIN, RSA_BITS_MAX);
    }
    return OK;
}

static const char *general_name_kind(CBS_ASN1_TAG tag)
{
    static const char *const kinds[] = {"otherName",
                                        "rfc822Name",
                                        "dNSName",
                                        "x400Address",
                                        "directoryName",
                                        "ediPartyName",
                                        "uniformResourceIdentifier",
                                        "iPAddress",
                                        "registeredID"};
    CBS_ASN1_TAG number = tag & CBS_ASN1_TAG_NUMBER_MASK;
    bool known = (tag & CBS_ASN1_CLASS_MASK) == CBS_ASN1_CONTEXT_SPECIFIC &&
                 number < sizeof kinds / sizeof kinds[0];
    return known ? kinds[number] : "unknown";
}

static struct err read_general_name(struct reader *r, CBS *names)
{
    CBS value;
    CBS_ASN1_TAG tag;
    if (!CBS_get_any_asn1(names, &value, &tag)) return malformed(r, "subjectAltName");
    switch (tag) {
    case CBS_ASN1_CONTEXT_SPECIFIC | 2:
        return gather_dns(r, slice_of_cbs(&value), "dNSName");
    case CBS_ASN1_CONTEXT_SPECIFIC | 7:
        if (CBS_len(&value) == 4 || CBS_len(&value) == 16)
            return gather(r, IDENTIFIER_IP, slice_of_cbs(&value));
        return REFUSE(r, BAD_CSR_NAME, "an iPAddress has %zu octets, not 4 or 16", CBS_len(&value));
    default:
        return REFUSE(r, BAD_CSR_NAME,
                      "the subjectAltName holds a name of type %s; only dNSName and iPAddress can "
                      "be certified",
                      general_name_kind(tag));
    }
}

static struct err read_alt_names(struct reader *r, struct slice value)
{
    CBS in = cbs_of_slice(value), names;
    if (failed(der_check(value)) || !CBS_get_asn1(&in, &names, CBS_ASN1_SEQUENCE) ||
        CBS_len(&names) == 0)
        return malformed(r, "subjectAltName");
    while (CBS_len(&names) > 0) TRY(read_general_name(r, &names));
    return OK;
}

static bool oid_seen(const struct slice *seen, size_t count, struct slice oid)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(seen[i], oid)) return true;
    }
    return false;
}

// read_extensions: the names are read, all else that is asked for is dropped (T27), but nothing may
// be there twice (T25).
static struct err read_extensions(struct reader *r, CBS *extensions)
{
    struct slice seen[EXTENSION_COUNT_MAX];
    size_t count = 0;
    if (CBS_len(extensions) == 0) return malformed(r, "empty list of extensions");
    while (CBS_len(extensions) > 0) {
        struct extension_fields extension;
        if (!get_extension(&extension, extensions)) return malformed(r, "extension");
        if (oid_seen(seen, count, extension.oid))
            return malformed(r, "an extension is there twice");
        if (count == EXTENSION_COUNT_MAX) return malformed(r, "too many extensions");
        seen[count++] = extension.oid;
        if (slice_eq(extension.oid, OID_SUBJECT_ALT_NAME)) TRY(read_alt_names(r, extension.value));
    }
    return OK;
}

static bool is_extension_request(const CBS *oid)
{
    return cbs_is(oid, OID_EXTENSION_REQUEST) || cbs_is(oid, OID_MS_EXTENSION_REQUEST);
}

// read_attribute takes one Attribute: type and a set of at least one value. Unknown ones are
// skipped.
static struct err read_attribute(struct reader *r, CBS *attributes)
{
    CBS attribute, oid, values, extensions;
    if (!CBS_get_asn1(attributes, &attribute, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&attribute, &oid, CBS_ASN1_OBJECT) ||
        !CBS_get_asn1(&attribute, &values, CBS_ASN1_SET) || CBS_len(&attribute) != 0 ||
        CBS_len(&values) == 0) {
        return malformed(r, "attribute");
    }
    if (!is_extension_request(&oid)) return OK;
    if (r->extensions_seen) return malformed(r, "extensions are requested twice");
    r->extensions_seen = true;
    if (!CBS_get_asn1(&values, &extensions, CBS_ASN1_SEQUENCE) || CBS_len(&values) != 0)
        return malformed(r, "requested extensions");
    return read_extensions(r, &extensions);
}

static struct err read_attributes(struct reader *r, CBS *info)
{
    CBS attributes;
    if (!CBS_get_asn1(info, &attributes, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0))
        return malformed(r, "attributes");
    while (CBS_len(&attributes) > 0) TRY(read_attribute(r, &attributes));
    return OK;
}

// read_info is CertificationRequestInfo, RFC 2986 section 4.1.
static struct err read_info(struct reader *r)
{
    CBS in = cbs_of_slice(r->csr.info), info, version;
    if (!CBS_get_asn1(&in, &info, CBS_ASN1_SEQUENCE)) return malformed(r, "request info");
    if (!CBS_get_asn1(&info, &version, CBS_ASN1_INTEGER) || !cbs_is(&version, SLICE_LIT("\0")))
        return malformed(r, "version is not 0");
    TRY(read_subject(r, &info));
    TRY(read_key(r, &info));
    TRY(read_attributes(r, &info));
    return CBS_len(&info) == 0 ? OK : malformed(r, "bytes behind the attributes");
}

static struct err read_outer(struct reader *r, struct slice der)
{
    CBS in = cbs_of_slice(der), request;
    if (!CBS_get_asn1(&in, &request, CBS_ASN1_SEQUENCE) ||
        !get_element(&r->csr.info, &request, CBS_ASN1_SEQUENCE) ||
        !get_algorithm(&r->csr.algorithm, &request) || !get_bits(&r->csr.signature, &request) ||
        CBS_len(&request) != 0) {
        return malformed(r, "not a certification request");
    }
    return OK;
}

static struct err take_names(struct reader *r)
{
    size_t count = identifiers_sort(r->names, r->gathered);
    if (count > IDENTIFIER_COUNT_MAX)
        return REFUSE(r, BAD_CSR_NAME, "the request has more than %d names", IDENTIFIER_COUNT_MAX);
    if (count == 0)
        return REFUSE(r, BAD_CSR_NAME,
                      "the request holds no name: neither a subjectAltName nor a common name");
    r->csr.names = ARENA_ARRAY(r->arena, struct identifier, count);
    if (r->csr.names == NULL) return ERR(NO_SPACE);
    memcpy(r->csr.names, r->names, count * sizeof r->names[0]);
    r->csr.name_count = count;
    return OK;
}

struct err csr_parse(struct csr *out, const char **note, struct arena *a, struct slice der)
{
    struct reader r; // not zeroed as a whole: the array of names is large
    r.csr = (struct csr){0};
    r.note = note;
    r.arena = a;
    r.extensions_seen = false;
    r.gathered = 0;
    if (der.n > CSR_SIZE_MAX)
        return REFUSE(&r, BAD_CSR, "the request has %zu bytes; the limit is %d", der.n,
                      CSR_SIZE_MAX);
    if (failed(der_check(der))) return malformed(&r, "not DER");
    TRY(read_outer(&r, der));
    TRY(read_info(&r));
    TRY(take_names(&r));
    *out = r.csr;
    return OK;
}

struct err csr_verify(const struct csr *csr)
{
    return signature_verify(csr->algorithm, csr->spki, csr->info, csr->signature)
               ? OK
               : ERR(BAD_CSR_SIGNATURE);
}

bool csr_p256_take(struct signature_p256 *out, const struct csr *csr)
{
    return signature_p256_take(out, csr->algorithm, csr->spki, csr->info, csr->signature);
}
