// refusals: what is wrong with the identifiers of a request, gathered, so that one answer names all
// of them (RFC 8555 section 6.7.1). In the request's arena.
#pragma once
#include "api/request.h"

struct refused {
    enum problem problem;
    size_t place; // in the request
    const char *detail;
    struct slice type,
        value; // of the identifier as it was sent, UTF-8; no type: it has none to show
};

struct refusals {
    struct refused *rows; // by place
    size_t count;
};

enum { REFUSALS_MAX = 100, REFUSED_VALUE_MAX = 253 };

// refusal_add adds what is wrong with identifier number `place` of the request, counted from 0;
// `why` goes on from "identifier 3 (a.test) ...". More than REFUSALS_MAX are not kept; a value is
// cut at REFUSED_VALUE_MAX octets.
void refusal_add(struct request *r, struct refusals *f, enum problem p, size_t place,
                 struct slice type, struct slice value, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
// refusal_add_id is refusal_add for an identifier in canonical form, with the whole of the detail.
void refusal_add_id(struct request *r, struct refusals *f, enum problem p,
                    const struct identifier *id, const char *detail);
// refusals_answer answers when there are any: with the type that they share, or else "compound",
// the detail of the first, and a subproblem for each. False: there are none.
bool refusals_answer(struct request *r, const struct refusals *f);
// refusals_text is "subproblems" as JSON, for a problem document; NULL without refusals or room.
const char *refusals_text(struct request *r, const struct refusals *f);
// order_problem writes the problem of an order that ends with one authorization, into `a`: its
// subproblem names the identifier as orders do. ERR_NO_SPACE.
RESULT order_problem(struct slice *out, struct edge *e, struct arena *a, enum problem p,
                     const char *detail, const struct authz_row *z);
