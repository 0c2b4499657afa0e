// crl: reading of an X.509 v2 certificate revocation list (RFC 5280 section 5) into parts: by the
// signer's lint, by the front end's check of what a signer sent, and by the operator's command. It
// reads complete CRLs of one issuer, as this CA makes them: no delta, no indirect CRL, no unknown
// critical extension, entries with a reason and nothing else. Slices point into the input. Pure;
// any thread.
#pragma once
#include "proto/der/name.h"

enum { CRL_SIZE_MAX = 16 << 20 };

struct crl {
    struct slice der;       // the whole CRL
    struct slice tbs;       // TBSCertList with its header: what is signed
    struct slice algorithm; // AlgorithmIdentifier with its header, the same inside and outside
    struct slice signature; // bits of the BIT STRING
    struct slice issuer;    // Name with its header
    int64_t this_update;    // seconds since 1970
    int64_t next_update;    // seconds since 1970
    uint64_t number;        // cRLNumber
    struct slice aki;       // keyIdentifier of authorityKeyIdentifier
    struct slice uris;    // GeneralNames of the issuingDistributionPoint's fullName, one behind the
                          // other: crl_uri_next; empty: it has none
    struct slice entries; // content of revokedCertificates: crl_entry_next
    size_t entry_count;
};

struct crl_entry {
    struct slice serial; // content octets of the INTEGER
    int64_t revoked_at;  // seconds since 1970
    unsigned reason;     // RFC 5280 section 5.3.1; 0 when none is said
};

// crl_parse reads exactly one CRL in DER with nothing behind it, every entry of it. `note` gets a
// constant sentence when it fails. ERR_BAD_CRL.
RESULT crl_parse(struct crl *out, const char **note, struct slice der);
// crl_entry_next takes the first entry from `entries`, which begins as a copy of crl.entries; false
// at the end.
bool crl_entry_next(struct crl_entry *out, struct slice *entries);
// crl_uri_next takes the first URI from `uris`, which begins as a copy of crl.uris.
bool crl_uri_next(struct slice *out, struct slice *uris);
// crl_verify_signed_by checks the signature with an issuer's SubjectPublicKeyInfo.
// ERR_BAD_CERT_SIGNATURE.
RESULT crl_verify_signed_by(const struct crl *crl, struct slice issuer_spki);
