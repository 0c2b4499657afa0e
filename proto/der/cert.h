// cert: reading of an X.509 v3 certificate (RFC 5280 section 4.1) into parts, without an object
// model. Used by the signer's lint, the front end's check of the signer's reply, and the bench
// client. It reads structure and judges no policy: what a certificate may say is for the caller.
// Slices point into the input, arrays are in the arena. Pure; any thread.
#pragma once
#include "proto/der/key.h"
#include "proto/der/name.h"

enum { CERT_SIZE_MAX = 65536, CERT_EXTENSION_COUNT_MAX = 32 };

struct cert_extension {
    struct slice oid; // content octets: compare with the OID_* of proto/der/der.h
    bool critical;
    struct slice value; // content of the OCTET STRING
};

struct cert {
    struct slice der; // the whole certificate
    struct slice tbs; // TBSCertificate with its header: what is signed
    struct slice
        algorithm; // AlgorithmIdentifier with its header; inside and outside are the same bytes
    struct slice signature; // bits of the BIT STRING
    struct slice serial;    // content octets of the positive INTEGER: 1 to 20, a leading zero octet
                            // where DER needs one; cert_parse_any_serial: of any INTEGER
    struct slice issuer;    // Name with its header
    struct slice subject;   // Name with its header
    int64_t not_before;     // seconds since 1970
    int64_t not_after;      // inclusive last second
    struct slice spki;      // SubjectPublicKeyInfo with its header; its kind is not judged
    struct cert_extension *extensions; // in document order, none twice
    size_t extension_count;
    struct identifier
        *names; // dNSName and iPAddress of the SAN, as written and in the order written
    size_t name_count;
    size_t other_name_count; // SAN names of other types
    struct slice uri;        // the first uniformResourceIdentifier of the SAN; empty: none
    struct slice aki;        // keyIdentifier of authorityKeyIdentifier; empty: none
    struct slice ski;        // subjectKeyIdentifier; empty: none
    bool is_ca;              // basicConstraints says CA
    int path_len;            // its pathLenConstraint, -1: none
};

// cert_parse reads exactly one certificate in DER with nothing behind it. `note` gets a sentence
// for people when it fails. ERR_BAD_CERT, ERR_NO_SPACE.
RESULT
cert_parse(struct cert *out, const char **note, struct arena *a, struct slice der);
// cert_parse_any_serial is cert_parse for certificates that are looked at once and never named by
// their serial number: it may be any INTEGER (RFC 5280 section 4.1.2.2 asks those who read
// certificates to be prepared for zero and negative ones). The same errors.
RESULT
cert_parse_any_serial(struct cert *out, const char **note, struct arena *a, struct slice der);
// cert_extension_find returns the extension with these OID octets, or NULL.
const struct cert_extension *cert_extension_find(const struct cert *cert, struct slice oid);
// cert_verify_signed_by checks the signature with an issuer's SubjectPublicKeyInfo; names, dates
// and rights are not looked at. ERR_BAD_CERT_SIGNATURE.
RESULT
cert_verify_signed_by(const struct cert *cert, struct slice issuer_spki);
