// resolver: names to addresses, and questions of any type, by c-ares on a shard's reactor. One
// channel per set of resolvers, kept; /etc/hosts is never read.
#pragma once
#include "api/validate/validate.h"

enum { RESOLVER_ADDRESSES_MAX = 8 };

struct resolver; // of one shard

enum resolver_outcome {
    RESOLVER_ANSWERED, // there is a message to read
    RESOLVER_NONE,     // the name, or a record of that type at it, does not exist
    RESOLVER_FAILED,   // nobody knows: SERVFAIL, refused, no answer
};

struct resolver_query {
    // done runs once: `count` addresses (IPv6 before IPv4, as the DNS gave them), or none and a
    // sentence saying why.
    void (*done)(struct resolver_query *q, const struct sockaddr_storage *addresses, size_t count,
                 const char *note);
    // answered runs once for a query of resolver_ask: the message (only for the call; empty unless
    // RESOLVER_ANSWERED), or why there is none.
    void (*answered)(struct resolver_query *q, enum resolver_outcome outcome, struct slice message,
                     const char *note);
    struct list node;       // from here on the resolver's own
    struct resolver *owner; // NULL when not under way
    void *asked;
    struct timer soon;
    unsigned port;
    struct sockaddr_storage found[RESOLVER_ADDRESSES_MAX];
    size_t count;
    bool raw; // of resolver_ask
    enum resolver_outcome outcome;
    struct slice message; // malloc'ed
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
// resolver_ask asks for the records of `type` (a number of the DNS) at `name` (borrowed for the
// call) and gives the message as it came, over TCP when it is large; overrides do not count.
// Otherwise as resolver_start, with `answered`.
bool resolver_ask(struct resolver *r, struct resolver_query *q,
                  const struct validate_policy *policy, const char *name, unsigned type);
// resolver_cancel: `done` and `answered` will not run any more; the query may be reused at once.
// Fine on one that is not under way.
void resolver_cancel(struct resolver_query *q);
// resolver_text writes the resolvers of a policy for messages ("10.0.0.53", "the host's
// resolvers").
void resolver_text(char *out, size_t size, const struct validate_policy *policy);
