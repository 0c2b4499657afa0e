// identifiers: what a client asks a certificate or an authorization for, in canonical form
// (RFC 8555 sections 7.1.3 and 9.7.7).
#pragma once
#include "api/request.h"

// identifiers_take reads the payload's "identifiers": 1 to IDENTIFIER_COUNT_MAX, canonical, without
// duplicates, in the order in which they were given; in the request's arena. NULL: refused, and
// answered with the index of the first that is wrong.
struct identifier *identifiers_take(struct request *r, size_t *out_count);
// identifiers_fit_profile refuses, and answers, when the profile signs no such name as far as a
// signer has said so.
bool identifiers_fit_profile(struct request *r, const struct identifier *ids, size_t count,
                             struct slice profile);
