// csr: strict reading of a PKCS#10 certification request (RFC 2986) as ACME finalize uses it (RFC
// 8555 section 7.4). DER only, named curves and uncompressed points only, at most CSR_SIZE_MAX
// bytes and IDENTIFIER_COUNT_MAX names. It takes from the request the public key and the set of
// names, nothing else. Pure; any thread.
#pragma once
#include "proto/der/key.h"
#include "proto/der/name.h"

enum { CSR_SIZE_MAX = 8192 };

struct csr {
    struct slice spki;           // whole SubjectPublicKeyInfo, DER, points into the input
    struct public_key_kind kind; // what key it is
    struct identifier *names; // SAN dNSName and iPAddress, and a subject CN not among them; sorted,
                              // no duplicates, canonical
    size_t name_count;
    struct slice info;      // CertificationRequestInfo, DER: what is signed
    struct slice algorithm; // signature AlgorithmIdentifier, DER
    struct slice signature; // bits of the BIT STRING
};

// csr_parse reads `der`; slices point into it, the array is in the arena. It refuses SAN types
// other than dNSName and iPAddress (also ACME's permanentIdentifier), repeated extensions, trailing
// bytes, BER forms. Requested extensions other than subjectAltName are ignored (never copied: T27).
// `note` gets a sentence for people. Errors: ERR_BAD_CSR, ERR_BAD_CSR_KEY, ERR_BAD_CSR_NAME,
// ERR_NO_SPACE.
RESULT csr_parse(struct csr *out, const char **note, struct arena *a, struct slice der);
// csr_verify checks proof of possession with the key inside; the algorithm must fit the key.
// ERR_BAD_CSR_SIGNATURE.
RESULT csr_verify(const struct csr *csr);
// csr_p256_take takes the same check apart when it is ECDSA on P-256 with SHA-256, so that it can
// be made together with others; false: csr_verify gives the answer.
struct signature_p256;
bool csr_p256_take(struct signature_p256 *out, const struct csr *csr);
