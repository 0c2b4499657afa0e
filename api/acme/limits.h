// limits: the rate limits of a tenant (RFC 8555 section 6.6): what a request counts towards, and
// the answer when it is too much.
#pragma once
#include "api/request.h"

// limits_new_order and limits_new_account run `next` when no limit stands against the request, at
// once where none is set; else they answer 429 with the limit and the time. `kid` is the new
// account's binding key, empty: none.
void limits_new_order(struct request *r, const struct identifier *ids, size_t count,
                      void (*next)(struct request *r, void *ctx), void *ctx);
void limits_new_account(struct request *r, struct slice kid,
                        void (*next)(struct request *r, void *ctx), void *ctx);
// limits_failed fills `out` with what a failed validation of this identifier counts towards, for
// the request's account; 0: nothing. Const from then on: the request may be gone when it is used.
enum { LIMITS_MAX = 16 };
size_t limits_failed(struct rate_item out[LIMITS_MAX], const struct request *r,
                     const struct identifier *id);

// limits_name_end is the end of a DNS name with so many labels, or the whole of a shorter one;
// "*." does not count. limits_block writes the first bits of an address as text with its size
// ("192.0.2.0/24"); false for an address that is neither IPv4 nor IPv6. Pure.
struct slice limits_name_end(struct slice name, unsigned labels);
enum { LIMITS_BLOCK_MAX = 160 };
bool limits_block(char out[LIMITS_BLOCK_MAX], const struct sockaddr *address,
                  const struct limit_settings *l);
