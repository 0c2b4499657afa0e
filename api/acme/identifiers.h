// identifiers: what a client asks a certificate or an authorization for, in canonical form
// (RFC 8555 sections 7.1.3 and 9.7.7).
#pragma once
#include "api/acme/refusals.h"

struct identifiers {
    struct identifier *ids; // canonical, without duplicates, in the order in which they were given
    size_t *places;         // where each was given, from 0: what refusals count by
    size_t count;
    struct refusals refused; // everything that is wrong with any of them
};

// identifiers_take reads the payload's "identifiers", 1 to IDENTIFIER_COUNT_MAX, into the request's
// arena. Those that are wrong are left out and gathered in `refused`, for refusals_answer when all
// checks are done. False: there is no such list, and that was answered.
bool identifiers_take(struct request *r, struct identifiers *out);
// identifiers_take_one reads the payload's "identifier", of newAuthz: a wildcard is refused, too
// (RFC 8555 section 7.4.1). False: there is none, and that was answered.
bool identifiers_take_one(struct request *r, struct identifiers *out);
// identifier_refuse gathers that identifier `i` of the list is rejected; `why` goes on from
// "identifier 3 (a.test) ...".
void identifier_refuse(struct request *r, struct identifiers *ids, size_t i, const char *why);
// identifiers_fit_profile gathers those that the profile does not sign, as far as a signer has said
// so.
void identifiers_fit_profile(struct request *r, struct identifiers *ids, struct slice profile);
