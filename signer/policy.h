// policy: what this signer signs, whatever a front end asks for, and how much of it in a second
// (threats T49, T62). Which callers may ask at all is in the service's table of methods. One
// thread.
#pragma once
#include "signer/keystore.h"
#include "signer/profiles.h"

struct policy {
    const struct signer_settings *settings; // region and rate; read at every use
    const struct profiles *profiles;
    const struct keystore *keys;
};

// policy_judge returns NULL when the intent may be signed, else a sentence and the status of the
// answer. *out_profile is the version of the profile that the intent names, NULL when it is not
// here. Pure but for the clock given.
const char *policy_judge(const struct policy *p, const struct intent *in, int64_t now_s,
                         const struct profile **out_profile, int *out_status);

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
