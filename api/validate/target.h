// target: the addresses at which one connection of a try may be made: resolved or given, bounded by
// the tenant's networks, gone through one after the other. Owned by a method's try, on its shard.
#pragma once
#include "api/validate/resolver.h"
#include "cluster/core/dial.h"

struct target {
    // done runs once, never inside target_start: VALIDATE_OK, and the addresses are there; or a
    // problem with its clause, and whether trying again may help.
    void (*done)(struct target *t, enum validate_problem problem, bool again, const char *note);
    struct resolver_query query; // from here on the target's own
    const struct validate_policy *policy;
    struct timer soon;
    struct sockaddr_storage addresses[RESOLVER_ADDRESSES_MAX];
    size_t count, index;
};

// target_start looks for the addresses of a host: a name, or an address in text when `is_address`;
// each gets `port`. `host` is borrowed for the call. False: out of memory, and `done` does not run.
bool target_start(struct target *t, struct shard *shard, struct resolver *resolver,
                  const struct validate_policy *policy, const char *host, bool is_address,
                  unsigned port);
// target_cancel: `done` will not run. Fine on one that is not under way.
void target_cancel(struct target *t);
// target_resolving says whether the resolver has not answered yet.
bool target_resolving(const struct target *t);
// target_address is the one to connect to now; target_next goes on to the next, false when there is
// none.
const struct sockaddr *target_address(const struct target *t);
bool target_next(struct target *t);
// target_dial fills address and times of a connection to it: every address gets its part of a try's
// time, at most five seconds. The rest of the options is the caller's.
void target_dial(struct dial_options *out, const struct target *t);
// target_why is a clause for what dial said ("refused", "did not answer in time"), behind the
// address; `note` is dial's own.
const char *target_why(struct err why, const char *note);
