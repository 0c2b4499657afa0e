// binding: external account binding in newAccount (RFC 8555 section 7.3.4), and what the binding
// key of an account lets it order.
#pragma once
#include "api/acme/identifiers.h"

// struct binding: the binding of a new account, in the request's arena.
struct binding {
    struct slice kid;    // the key's; empty: none
    struct slice text;   // as the client sent it, JSON
    struct slice secret; // sealed, the one that verified it
};

// binding_take reads externalAccountBinding of newAccount as the tenant's `eab` setting asks, and
// runs `next` with the binding, `ctx` as given, when an account may be asked of the store: whether
// the key still allows it is decided there. A key that has an account already goes on without a
// binding: that account is found (RFC 8555 section 7.3.1). Otherwise the request is answered.
void binding_take(struct request *r, void (*next)(struct request *r, const struct binding *b),
                  void *ctx);
// binding_refused answers for what the store refused.
void binding_refused(struct request *r, enum eab_refusal why);

// binding_key_read reads the binding key of the request's account and runs `next` with it, NULL for
// an account without one: then within the call. A key that is disabled or gone is answered here.
// r->user is the handler's for the time between. binding_key_allows gathers those identifiers that
// the key (NULL: none) does not allow.
void binding_key_read(struct request *r,
                      void (*next)(struct request *r, const struct eab_row *key));
void binding_key_allows(struct request *r, const struct eab_row *key, struct identifiers *ids);
