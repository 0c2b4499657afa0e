// caa_recheck: CAA looked at again before an order is finalized (RFC 8659 section 3).
#pragma once
#include "api/request.h"

// How old an authorization may be for its look at CAA to count still.
enum { CAA_FRESH_H = 8 };

// caa_recheck runs `next` at once when the tenant does not look at CAA or each of the
// authorizations was proved lately, else once the CAA records of the older ones permit it. When one
// does not, the request was answered, with a subproblem for each such identifier, and `next` does
// not run.
void caa_recheck(struct request *r, const struct id *authzs, size_t count,
                 void (*next)(struct request *r, void *ctx), void *ctx);
