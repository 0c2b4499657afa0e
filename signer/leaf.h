// leaf: the certificates of the installation's own programs: those of signers, front ends,
// operators and administrators come from the internal root and carry a role, the front ends' server
// certificate comes from the issuing CA. They live 90 days and are made anew at half of that. One
// thread.
#pragma once
#include <openssl/x509.h>

#include "proto/base/arena.h"
#include "proto/der/cert.h"

enum leaf_kind { LEAF_SIGNER, LEAF_ACME, LEAF_OPERATOR, LEAF_ADMIN, LEAF_SERVER, LEAF_KINDS };

// struct leaf_names: DNS names and addresses in a certificate; NULL-terminated lists, NULL: none.
struct leaf_names {
    const char *const *dns, *const *ips;
    const char *role; // of a group of front ends, or one administrator; NULL: the kind's own
};

// leaf_file is the name of its files without ending: "acme" for acme.pem and acme.key. leaf_role is
// its role as a URI, NULL for the server certificate, which has none and is from the issuing CA.
const char *leaf_file(enum leaf_kind kind);
const char *leaf_role(enum leaf_kind kind);
// leaf_make makes a certificate for `key`, signed by `ca` and verified before it is returned; the
// caller frees it. It ends with the CA at the latest. NULL with a sentence in `note`.
X509 *leaf_make(enum leaf_kind kind, const struct leaf_names *names, EVP_PKEY *key, X509 *ca,
                EVP_PKEY *ca_key, int64_t now_s, char *note, size_t note_size);
// leaf_due says whether half of a life has passed.
bool leaf_due(int64_t not_before, int64_t not_after, int64_t now_s);
// leaf_read parses a certificate object into parts; leaf_names_of takes the names of a parsed one.
// What they return lies in the arena. ERR_BAD_CERT, ERR_NO_SPACE.
RESULT leaf_read(struct cert *out, struct arena *a, X509 *cert);
RESULT leaf_names_of(struct leaf_names *out, struct arena *a, const struct cert *cert);
