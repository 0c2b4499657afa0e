// constraints: what an issuing CA's name constraints let through (RFC 5280 section 4.2.1.10). A
// certificate outside of them would be refused by every client, so that it is not signed. DNS names
// and addresses are judged: other names are not signed at all. Pure.
#pragma once
#include "proto/der/cert.h"

// constraints_readable says whether the constraints of a CA's certificate, if it has any, have the
// form of the standard.
bool constraints_readable(const struct cert *ca);
// constraints_permit says whether a name is within a permitted subtree of its type, if there are
// any, and within none that is excluded: a DNS name in canonical form at or below one, an address
// in one of the same family; a wildcard must not stand for a name that is excluded either. False
// when they are not readable.
bool constraints_permit(const struct cert *ca, const struct identifier *name);
