// x509_names: what BoringSSL reads in a subjectAltName, for the oracles of csr and cert.
#pragma once
#include <openssl/x509v3.h>

#include "proto/der/name.h"

// x509_names_take copies the dNSName and iPAddress entries, as written and in their order, into the
// arena; *out_other counts the names of other types. Returns the number of entries. `names` may be
// NULL.
size_t x509_names_take(struct identifier **out, size_t *out_other, struct arena *a,
                       const GENERAL_NAMES *names);
// x509_string is the content of a string; it lives as long as the string.
struct slice x509_string(const ASN1_STRING *s);
