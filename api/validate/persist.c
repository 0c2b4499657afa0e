#include "api/validate/persist.h"

#include <strings.h>

enum { DIGITS_MAX = 18 }; // of a time: fits into 64 bits

// time_read takes a decimal number and nothing else.
static bool time_read(int64_t *out, struct slice text)
{
    if (text.n == 0 || text.n > DIGITS_MAX) return false;
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        *out = *out * 10 + (text.p[i] - '0');
    }
    return true;
}

static bool is_wildcard(struct slice policy)
{
    static const char wildcard[] = "wildcard";
    return policy.n == sizeof wildcard - 1 &&
           strncasecmp((const char *)policy.p, wildcard, policy.n) == 0;
}

enum persist_verdict persist_judge(int64_t *out_until_s, struct slice text,
                                   const struct persist_asker *asker)
{
    struct issue_value v;
    size_t accounts, policies, ends;
    int64_t end_s = INT64_MAX;
    *out_until_s = 0;
    if (!issue_value_read(&v, text) ||
        !issue_value_is_by(&v, asker->identities, asker->identity_count))
        return PERSIST_NOT_OURS;
    struct slice account = issue_value_find(&accounts, &v, "accounturi"),
                 policy = issue_value_find(&policies, &v, "policy"),
                 end = issue_value_find(&ends, &v, "persistUntil");
    if (accounts != 1 || policies > 1 || ends > 1 || (ends == 1 && !time_read(&end_s, end)))
        return PERSIST_MALFORMED;
    if (!asker->account_is(asker->ctx, account)) return PERSIST_OTHER_ACCOUNT;
    if (asker->now_s > end_s) return PERSIST_ENDED;
    if (asker->wildcard && !is_wildcard(policy)) return PERSIST_NOT_WILDCARD;
    *out_until_s = end_s;
    return PERSIST_GOOD;
}

const char *persist_verdict_text(enum persist_verdict v)
{
    switch (v) {
    case PERSIST_MALFORMED:
        return "a record for this CA is malformed";
    case PERSIST_OTHER_ACCOUNT:
        return "a record for this CA names another account";
    case PERSIST_ENDED:
        return "the record's persistUntil is past";
    case PERSIST_NOT_WILDCARD:
        return "the record has no policy=wildcard";
    case PERSIST_GOOD:
        return "ok";
    default:
        return "no record is for this CA";
    }
}
