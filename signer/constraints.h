// constraints: what an issuing CA's name constraints let through (RFC 5280 section 4.2.1.10). A
// certificate outside of them would be refused by every client, so that it is not signed. Only DNS
// names are judged: other names are not signed at all. Pure.
#pragma once
#include "proto/der/cert.h"

// constraints_readable says whether the constraints of a CA's certificate, if it has any, have the
// form of the standard.
bool constraints_readable(const struct cert *ca);
// constraints_permit says whether a DNS name in canonical form is at or below a permitted subtree,
// if there are any, and at or below none that is excluded; a wildcard must not stand for a name
// that is excluded either. False when they are not readable.
bool constraints_permit(const struct cert *ca, struct slice name);
