// order: the order document, shared by newOrder, reads and finalize.
#pragma once
#include "api/request.h"

// order_respond answers with the order as it stands; `location` for newOrder and finalize.
void order_respond(struct request *r, unsigned status, const struct order_row *row, bool location);
// order_authz_error is the problem document of an order one of whose authorizations has ended, in
// the request's arena; without memory an empty object.
struct slice order_authz_error(struct request *r);
// order_load reads an order that must be this account's, then runs `next`; answers by itself
// otherwise (404: unknown, 403: another's).
struct order_load {
    struct store_order_get get;
    struct request *r;
    void (*next)(struct request *r, const struct order_row *row);
};
void order_load(struct request *r, const struct id *id,
                void (*next)(struct request *r, const struct order_row *row));
