// replaces: the certificate that a new order replaces (RFC 9773 section 5).
#pragma once
#include "api/request.h"

// replaces_check reads the payload's "replaces" and checks what it names: a certificate of this
// account that has at least one of the identifiers and has no other order in its place, unless that
// has ended. Then it fills `create` and runs `next`; else it answers. Without a "replaces" `next`
// runs at once. What it is given lives until then.
void replaces_check(struct request *r, struct store_order_create *create,
                    const struct identifier *ids, size_t count,
                    void (*next)(struct request *r, void *ctx), void *ctx);
// replaces_refuse answers 409 alreadyReplaced.
void replaces_refuse(struct request *r);
