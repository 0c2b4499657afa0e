#include "proto/der/cert.h"

#include "proto/der/der.h"
#include "proto/der/internal.h"
#include "proto/der/signature.h"
#include "proto/err.h"

enum { SERIAL_LEN_MAX = 20 };

struct reader {
    struct cert cert;
    const char **note;
    struct arena *arena;
    bool any_serial; // zero, negative and long ones, too
};

static struct err malformed(struct reader *r, const char *what)
{
    *r->note = arena_printf(r->arena, "the certificate is malformed: %s", what);
    return ERR(BAD_CERT);
}

// read_serial: positive and at most 20 octets, RFC 5280 section 4.1.2.2.
static struct err read_serial(struct reader *r, CBS *tbs)
{
    CBS serial;
    if (!CBS_get_asn1(tbs, &serial, CBS_ASN1_INTEGER)) return malformed(r, "serial number");
    struct slice s = slice_of_cbs(&serial);
    bool positive = s.p[0] < 0x80 && !(s.n == 1 && s.p[0] == 0);
    if (!r->any_serial && (!positive || s.n > SERIAL_LEN_MAX))
        return malformed(r, "serial number is not positive or too long");
    r->cert.serial = s;
    return OK;
}

// read_time: UTCTime through 2049, GeneralizedTime from 2050 on, RFC 5280 section 4.1.2.5.
static bool read_time(int64_t *out, CBS *validity)
{
    static const int64_t year_2050 = 2524608000;
    CBS text;
    CBS_ASN1_TAG tag;
    if (!CBS_get_any_asn1(validity, &text, &tag)) return false;
    bool generalized = tag == CBS_ASN1_GENERALIZEDTIME;
    if (!generalized && tag != CBS_ASN1_UTCTIME) return false;
    if (failed(der_time_parse(out, slice_of_cbs(&text), generalized))) return false;
    return generalized == (*out >= year_2050);
}

static struct err read_validity(struct reader *r, CBS *tbs)
{
    CBS validity;
    if (!CBS_get_asn1(tbs, &validity, CBS_ASN1_SEQUENCE) ||
        !read_time(&r->cert.not_before, &validity) || !read_time(&r->cert.not_after, &validity) ||
        CBS_len(&validity) != 0) {
        return malformed(r, "validity");
    }
    return OK;
}

// is_general_name: the choices of RFC 5280 section 4.2.1.6, constructed where they hold a
// structure.
static bool is_general_name(CBS_ASN1_TAG tag)
{
    static const bool constructed[] = {true, false, false, true, true, true, false, false, false};
    CBS_ASN1_TAG number = tag & CBS_ASN1_TAG_NUMBER_MASK;
    return (tag & CBS_ASN1_CLASS_MASK) == CBS_ASN1_CONTEXT_SPECIFIC &&
           number < sizeof constructed &&
           ((tag & CBS_ASN1_CONSTRUCTED) != 0) == constructed[number];
}

static bool read_general_name(struct cert *c, CBS *names)
{
    CBS value;
    CBS_ASN1_TAG tag;
    if (!CBS_get_any_asn1(names, &value, &tag) || !is_general_name(tag)) return false;
    struct slice s = slice_of_cbs(&value);
    if (tag == (CBS_ASN1_CONTEXT_SPECIFIC | 2))
        c->names[c->name_count++] = (struct identifier){IDENTIFIER_DNS, s};
    else if (tag == (CBS_ASN1_CONTEXT_SPECIFIC | 7)) {
        if (s.n != 4 && s.n != 16) return false;
        c->names[c->name_count++] = (struct identifier){IDENTIFIER_IP, s};
    } else if (tag == (CBS_ASN1_CONTEXT_SPECIFIC | 8) && !CBS_is_valid_asn1_oid(&value)) {
        return false;
    } else {
        c->other_name_count++;
    }
    if (tag == (CBS_ASN1_CONTEXT_SPECIFIC | 6) && c->uri.n == 0) c->uri = s;
    return true;
}

static size_t count_values(CBS in)
{
    CBS value;
    size_t count = 0;
    while (CBS_get_any_asn1(&in, &value, NULL)) count++;
    return count;
}

static struct err read_alt_names(struct reader *r, CBS *value)
{
    CBS names;
    if (!CBS_get_asn1(value, &names, CBS_ASN1_SEQUENCE) || CBS_len(&names) == 0)
        return malformed(r, "subjectAltName");
    r->cert.names = ARENA_ARRAY(r->arena, struct identifier, count_values(names));
    if (r->cert.names == NULL) return ERR(NO_SPACE);
    while (CBS_len(&names) > 0) {
        if (!read_general_name(&r->cert, &names)) return malformed(r, "subjectAltName");
    }
    return OK;
}

static struct err read_subject_key_id(struct reader *r, CBS *value)
{
    CBS id;
    if (!CBS_get_asn1(value, &id, CBS_ASN1_OCTETSTRING) || CBS_len(&id) == 0)
        return malformed(r, "subjectKeyIdentifier");
    r->cert.ski = slice_of_cbs(&id);
    return OK;
}

// read_authority_key_id takes the keyIdentifier; issuer and serial number behind it are left to who
// wants them.
static struct err read_authority_key_id(struct reader *r, CBS *value)
{
    CBS fields, id, issuer, serial;
    int has_id, has_issuer, has_serial;
    if (!CBS_get_asn1(value, &fields, CBS_ASN1_SEQUENCE) ||
        !CBS_get_optional_asn1(&fields, &id, &has_id, CBS_ASN1_CONTEXT_SPECIFIC | 0) ||
        !CBS_get_optional_asn1(&fields, &issuer, &has_issuer,
                               CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1) ||
        !CBS_get_optional_asn1(&fields, &serial, &has_serial, CBS_ASN1_CONTEXT_SPECIFIC | 2) ||
        CBS_len(&fields) != 0 || (has_serial && !CBS_is_valid_asn1_integer(&serial, NULL))) {
        return malformed(r, "authorityKeyIdentifier");
    }
    if (has_id) r->cert.aki = slice_of_cbs(&id);
    return OK;
}

static struct err read_basic_constraints(struct reader *r, CBS *value)
{
    CBS fields, ca;
    int present;
    uint64_t path_len;
    if (!CBS_get_asn1(value, &fields, CBS_ASN1_SEQUENCE) ||
        !CBS_get_optional_asn1(&fields, &ca, &present, CBS_ASN1_BOOLEAN)) {
        return malformed(r, "basicConstraints");
    }
    if (present && !cbs_is(&ca, SLICE_LIT("\xff"))) return malformed(r, "basicConstraints");
    r->cert.is_ca = present;
    if (CBS_len(&fields) == 0) return OK;
    if (!CBS_get_asn1_uint64(&fields, &path_len) || CBS_len(&fields) != 0 || path_len > 255 ||
        !r->cert.is_ca) {
        return malformed(r, "basicConstraints");
    }
    r->cert.path_len = (int)path_len;
    return OK;
}

// read_known reads the content of the extensions that struct cert shows in parts. Their content is
// one DER value.
static struct err read_known(struct reader *r, const struct cert_extension *e)
{
    static const struct {
        struct slice oid;
        struct err (*read)(struct reader *, CBS *);
    } known[] = {
        {OID_SUBJECT_ALT_NAME, read_alt_names},
        {OID_SUBJECT_KEY_ID, read_subject_key_id},
        {OID_AUTHORITY_KEY_ID, read_authority_key_id},
        {OID_BASIC_CONSTRAINTS, read_basic_constraints},
    };
    CBS value = cbs_of_slice(e->value);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!slice_eq(e->oid, known[i].oid)) continue;
        if (failed(der_check(e->value))) return malformed(r, "an extension's value");
        TRY(known[i].read(r, &value));
    }
    return OK;
}

static struct err add_extension(struct reader *r, CBS *extensions)
{
    struct extension_fields fields;
    struct cert *c = &r->cert;
    if (!get_extension(&fields, extensions)) return malformed(r, "extension");
    if (cert_extension_find(c, fields.oid) != NULL)
        return malformed(r, "an extension is there twice");
    if (c->extension_count == CERT_EXTENSION_COUNT_MAX) return malformed(r, "too many extensions");
    struct cert_extension *e = &c->extensions[c->extension_count++];
    *e = (struct cert_extension){fields.oid, fields.critical, fields.value};
    return read_known(r, e);
}

static struct err read_extensions(struct reader *r, CBS *tbs)
{
    CBS outer, extensions;
    if (CBS_len(tbs) == 0) return OK;
    if (!CBS_get_asn1(tbs, &outer, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 3) ||
        !CBS_get_asn1(&outer, &extensions, CBS_ASN1_SEQUENCE) || CBS_len(&outer) != 0 ||
        CBS_len(&extensions) == 0 || CBS_len(tbs) != 0) {
        return malformed(r, "extensions");
    }
    size_t count = count_values(extensions);
    r->cert.extensions = ARENA_ARRAY(r->arena, struct cert_extension,
                                     count < CERT_EXTENSION_COUNT_MAX ? count
                                                                      : CERT_EXTENSION_COUNT_MAX);
    if (r->cert.extensions == NULL) return ERR(NO_SPACE);
    while (CBS_len(&extensions) > 0) TRY(add_extension(r, &extensions));
    return OK;
}

static bool attribute_valid(CBS *rdn)
{
    CBS attribute, oid, value;
    CBS_ASN1_TAG tag;
    return CBS_get_asn1(rdn, &attribute, CBS_ASN1_SEQUENCE) &&
           CBS_get_asn1(&attribute, &oid, CBS_ASN1_OBJECT) &&
           CBS_get_any_asn1(&attribute, &value, &tag) && CBS_len(&attribute) == 0 &&
           is_name_text(tag);
}

// get_name takes one Name with its header: sets of at least one attribute, all of them text.
static bool get_name(struct slice *out, CBS *tbs)
{
    CBS in, name, rdn;
    if (!get_element(out, tbs, CBS_ASN1_SEQUENCE)) return false;
    in = cbs_of_slice(*out);
    if (!CBS_get_asn1(&in, &name, CBS_ASN1_SEQUENCE)) return false;
    while (CBS_len(&name) > 0) {
        if (!CBS_get_asn1(&name, &rdn, CBS_ASN1_SET) || CBS_len(&rdn) == 0) return false;
        while (CBS_len(&rdn) > 0) {
            if (!attribute_valid(&rdn)) return false;
        }
    }
    return true;
}

// get_spki takes one SubjectPublicKeyInfo with its header; what key it holds is not looked at.
static bool get_spki(struct slice *out, CBS *tbs)
{
    CBS in, info;
    struct slice algorithm, bits;
    if (!get_element(out, tbs, CBS_ASN1_SEQUENCE)) return false;
    in = cbs_of_slice(*out);
    return CBS_get_asn1(&in, &info, CBS_ASN1_SEQUENCE) && get_algorithm(&algorithm, &info) &&
           get_bits(&bits, &info) && CBS_len(&info) == 0;
}

static struct err read_version(struct reader *r, CBS *tbs)
{
    CBS outer, version;
    if (!CBS_get_asn1(tbs, &outer, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) ||
        !CBS_get_asn1(&outer, &version, CBS_ASN1_INTEGER) || CBS_len(&outer) != 0 ||
        !cbs_is(&version, SLICE_LIT("\x02"))) {
        return malformed(r, "not version 3");
    }
    return OK;
}

static struct err read_tbs(struct reader *r)
{
    struct cert *c = &r->cert;
    CBS in = cbs_of_slice(c->tbs), tbs;
    struct slice algorithm;
    if (!CBS_get_asn1(&in, &tbs, CBS_ASN1_SEQUENCE)) return malformed(r, "TBSCertificate");
    TRY(read_version(r, &tbs));
    TRY(read_serial(r, &tbs));
    if (!get_element(&algorithm, &tbs, CBS_ASN1_SEQUENCE))
        return malformed(r, "signature algorithm");
    if (!slice_eq(algorithm, c->algorithm))
        return malformed(r, "two different signature algorithms");
    if (!get_name(&c->issuer, &tbs)) return malformed(r, "issuer");
    TRY(read_validity(r, &tbs));
    if (!get_name(&c->subject, &tbs)) return malformed(r, "subject");
    if (!get_spki(&c->spki, &tbs)) return malformed(r, "public key");
    return read_extensions(r, &tbs);
}

static struct err read_outer(struct reader *r)
{
    struct cert *c = &r->cert;
    CBS in = cbs_of_slice(c->der), outer;
    if (!CBS_get_asn1(&in, &outer, CBS_ASN1_SEQUENCE) ||
        !get_element(&c->tbs, &outer, CBS_ASN1_SEQUENCE) || !get_algorithm(&c->algorithm, &outer) ||
        !get_bits(&c->signature, &outer) || CBS_len(&outer) != 0) {
        return malformed(r, "not a certificate");
    }
    return OK;
}

static struct err parse(struct cert *out, struct reader *r)
{
    struct slice der = r->cert.der;
    if (der.n > CERT_SIZE_MAX) return malformed(r, "too large");
    if (failed(der_check(der))) return malformed(r, "not DER");
    TRY(read_outer(r));
    TRY(read_tbs(r));
    *out = r->cert;
    return OK;
}

struct err cert_parse(struct cert *out, const char **note, struct arena *a, struct slice der)
{
    struct reader r = {.cert = {.der = der, .path_len = -1}, .note = note, .arena = a};
    return parse(out, &r);
}

struct err cert_parse_any_serial(struct cert *out, const char **note, struct arena *a,
                                 struct slice der)
{
    struct reader r = {
        .cert = {.der = der, .path_len = -1}, .note = note, .arena = a, .any_serial = true};
    return parse(out, &r);
}

const struct cert_extension *cert_extension_find(const struct cert *cert, struct slice oid)
{
    for (size_t i = 0; i < cert->extension_count; i++) {
        if (slice_eq(cert->extensions[i].oid, oid)) return &cert->extensions[i];
    }
    return NULL;
}

struct err cert_verify_signed_by(const struct cert *cert, struct slice issuer_spki)
{
    return signature_verify(cert->algorithm, issuer_spki, cert->tbs, cert->signature)
               ? OK
               : ERR(BAD_CERT_SIGNATURE);
}
