// persist: the record by which a domain lets an account have certificates until it is taken away
// (draft-ietf-acme-dns-persist-01): issue-value syntax with accounturi, policy and persistUntil.
// Pure; any thread. The records are found by dnspersist01.c.
#pragma once
#include "api/validate/issue_value.h"

// struct persist_asker is who wants to prove what.
struct persist_asker {
    const char *const *identities; // names of this CA
    size_t identity_count;
    bool wildcard;
    int64_t now_s;
    // account_is says whether a URI is the account's.
    bool (*account_is)(const void *ctx, struct slice uri);
    const void *ctx;
};

enum persist_verdict { // from what says least about a record to what says most
    PERSIST_NOT_OURS,  // another CA's, or no such record at all: ignored
    PERSIST_MALFORMED, // no accounturi, a parameter twice, persistUntil no number
    PERSIST_OTHER_ACCOUNT,
    PERSIST_ENDED,        // persistUntil is past
    PERSIST_NOT_WILDCARD, // without policy=wildcard, which a wildcard needs
    PERSIST_GOOD,
};

// persist_judge judges the text of one record. *out_until_s is its persistUntil where it is good,
// INT64_MAX when it has none; else 0.
enum persist_verdict persist_judge(int64_t *out_until_s, struct slice text,
                                   const struct persist_asker *asker);
// persist_verdict_text is a clause for people. Never NULL.
const char *persist_verdict_text(enum persist_verdict v);
