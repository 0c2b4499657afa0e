// resolver: names to addresses by c-ares on a shard's reactor. One channel per set of resolvers,
// kept; /etc/hosts is never read.
#pragma once
#include "api/validate/validate.h"

enum { RESOLVER_ADDRESSES_MAX = 8 };

struct resolver; // of one shard

struct resolver_query {
    // done runs once: `count` addresses (IPv6 before IPv4, as the DNS gave them), or none and a
    // sentence saying why.
    void (*done)(struct resolver_query *q, const struct sockaddr_storage *addresses, size_t count,
                 const char *note);
    struct list node;       // from here on the resolver's own
    struct resolver *owner; // NULL when not under way
    void *asked;
    struct timer soon;
    unsigned port;
    struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
    size_t count;
    const char *note;
};

// resolver_new makes the shard's resolver, NULL without memory; resolver_free gives up every query
// under way, whose callers are not told. NULL is fine.
struct resolver *resolver_new(struct shard *shard);
void resolver_free(struct resolver *r);
// resolver_start asks for the addresses of `name` (borrowed for the call), each with `port`; `done`
// never runs inside the call. False when no channel could be made: then `done` does not run.
bool resolver_start(struct resolver *r, struct resolver_query *q,
                    const struct validate_policy *policy, const char *name, unsigned port);
// resolver_cancel: `done` will not run any more; the query may be reused at once. Fine on one that
// is not under way.
void resolver_cancel(struct resolver_query *q);
// resolver_text writes the resolvers of a policy for messages ("10.0.0.53", "the host's
// resolvers").
void resolver_text(char *out, size_t size, const struct validate_policy *policy);
