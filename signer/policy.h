// policy: what this signer signs, whatever a front end asks for, and how much of it in a second
// (threats T49, T62). Which roles may ask at all is in the service's table of methods. One
// thread.
#pragma once
#include "signer/keystore.h"
#include "signer/profiles.h"

struct policy {
    const struct signer_settings *settings; // region and rate; read at every use
    const struct profiles *profiles;
    const struct keystore *keys;
    const struct blocked_keys *blocked; // that are not certified; NULL: none
};

// policy_caller finds what `callers` says about a caller's role: false when its group has no row.
// *out is NULL when nothing bounds it.
bool policy_caller(const struct policy *p, const struct caller_settings **out, const char *role);
// policy_profile_allowed says whether a caller (NULL: nothing bounds it) may use a profile.
bool policy_profile_allowed(const struct caller_settings *caller, const char *profile);
// policy_judge returns NULL when the intent may be signed, else a sentence and the status of the
// answer. *out_profile is the version of the profile that the intent names, NULL when it is not
// here. What is outside of a caller's bounds is not refused for good: another front end may ask
// for it. Pure but for the clock given.
const char *policy_judge(const struct policy *p, const char *role, const struct intent *in,
                         int64_t now_s, const struct profile **out_profile, int *out_status);

// struct rate counts what one second has taken; zeros to begin with.
struct rate {
    int64_t second_s, count;
    int64_t refused;  // since it was last said
    int64_t said_min; // the minute of that
};

// rate_take takes one of `most` in this second; false when they are used up. rate_alarm returns how
// many were refused when that should be said now: once a minute at most; else 0.
bool rate_take(struct rate *r, int64_t now_s, int64_t most);
int64_t rate_alarm(struct rate *r, int64_t now_s);
