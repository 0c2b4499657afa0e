// lookup: the records of one type at a name, its aliases followed (RFC 1034 section 3.6.2) whether
// the resolver does so or not. One thread.
#pragma once
#include "api/validate/dns_answer.h"
#include "api/validate/resolver.h"

enum lookup_outcome {
    LOOKUP_FOUND,  // at least one record
    LOOKUP_NONE,   // the DNS says that there is none
    LOOKUP_FAILED, // nobody knows
};

enum { LOOKUP_NOTE_MAX = 200 };

struct lookup {
    // done runs once, never inside lookup_start. `answer` is there when found, and only for the
    // call; otherwise `note` is a clause for people.
    void (*done)(struct lookup *l, enum lookup_outcome outcome, const struct dns_answer *answer,
                 const char *note);
    struct resolver_query query; // from here on the lookup's own
    struct resolver *resolver;
    const struct validate_policy *policy;
    enum dns_type type;
    unsigned aliases;
    char name[DNS_NAME_LEN_MAX + 1]; // being asked for
};

// lookup_start begins; `name` is lower case, at most DNS_NAME_LEN_MAX long. False without memory.
bool lookup_start(struct lookup *l, struct resolver *r, const struct validate_policy *policy,
                  const char *name, enum dns_type type);
// lookup_cancel: `done` will not run any more. Fine on one that is not under way, or all zero.
void lookup_cancel(struct lookup *l);
