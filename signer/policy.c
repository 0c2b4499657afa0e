#include "signer/policy.h"

#include <stdio.h>
#include <string.h>

#include "proto/der/blocked.h"
#include "proto/der/weak.h"
#include "proto/rpc/signer.pb-c.h"
#include "signer/constraints.h"

enum { BACK_S = 3600, AHEAD_S = 5, PROFILE_TEXT_MAX = 256 };

bool policy_caller(const struct policy *p, const struct caller_settings **out, const char *role)
{
    static const char group[] = "urn:certmill:role:acme:";
    const struct caller_settings *callers = p->settings->callers.items;
    const char *name = strncmp(role, group, sizeof group - 1) == 0 ? role + sizeof group - 1
                                                                   : "default";
    *out = NULL;
    for (size_t i = 0; i < p->settings->callers.count; i++)
        if (strcmp(callers[i].name, name) == 0) *out = &callers[i];
    return *out != NULL || p->settings->callers.count == 0;
}

bool policy_profile_allowed(const struct caller_settings *caller, const char *profile)
{
    const char *const *profiles = caller == NULL ? NULL : caller->profiles.items;
    if (caller == NULL || caller->profiles.count == 0) return true;
    for (size_t i = 0; i < caller->profiles.count; i++)
        if (strcmp(profiles[i], profile) == 0) return true;
    return false;
}

static bool caller_name_allowed(const struct caller_settings *caller, const struct identifier *name)
{
    if (name->type != IDENTIFIER_IP) return name_below_any(&caller->names, name->value);
    // A group that is bounded by names alone was meant to get nothing else.
    if (caller->networks.count == 0) return caller->names.count == 0;
    return address_in_any(&caller->networks, name->value);
}

static const char *caller_judge(const struct policy *p, const char *role, const struct intent *in)
{
    const struct caller_settings *caller;
    if (!policy_caller(p, &caller, role)) return "this caller's group is not among `callers` here";
    if (caller == NULL) return NULL;
    char profile[PROFILE_TEXT_MAX];
    snprintf(profile, sizeof profile, "%" SLICE_FMT, SLICE_ARG(in->profile));
    if (!policy_profile_allowed(caller, profile)) return "this caller may not use the profile here";
    for (size_t i = 0; i < in->name_count; i++)
        if (!caller_name_allowed(caller, &in->names[i]))
            return "a name is outside what this caller may ask for here";
    return NULL;
}

const char *policy_judge(const struct policy *policy, const char *role, const struct intent *in,
                         int64_t now_s, const struct profile **out_profile, int *out_status)
{
    const struct issuer *issuer = keystore_issuer(policy->keys, in->issuer);
    struct public_key_kind kind;
    bool known;
    const struct profile *p = profiles_find(policy->profiles, &known, in->profile, in->profile_hash,
                                            in->template_version, now_s);
    *out_profile = p;
    *out_status = CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__MISMATCH;
    if (p == NULL)
        return known ? "the profile is another version here" : "there is no such profile here";
    const char *outside = caller_judge(policy, role, in);
    if (outside != NULL) return outside;
    if (issuer == NULL || !profile_issuer_allowed(p, in->issuer) ||
        memcmp(in->issuer_cert_hash, issuer->certificate_hash, HASH_LEN) != 0)
        return "the issuer is another one here";
    if (in->serial_key_generation != policy->keys->serial_generation)
        return "the serial key is of another generation here";
    if (in->region != policy->settings->region) return "the region is another one here";
    *out_status = CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__REFUSED;
    if (failed(public_key_kind_of(&kind, in->spki)) || !profile_key_allowed(p, kind))
        return "the key is not of a kind that the profile takes";
    const char *weak = key_weakness(in->spki);
    if (weak != NULL) return weak;
    if (policy->blocked != NULL && blocked_keys_has(policy->blocked, in->spki))
        return "the key is on this signer's list of keys that are not certified";
    if (slice_eq(in->spki, issuer->cert.spki) || slice_eq(in->spki, issuer->root_spki))
        return "the key is a key of this CA";
    if (in->name_count == 0 || in->name_count > IDENTIFIER_COUNT_MAX)
        return "a certificate has 1 to 100 names";
    for (size_t i = 0; i < in->name_count; i++)
        if (!profile_name_allowed(p, &in->names[i]))
            return "a name is outside what this signer signs under the profile";
    for (size_t i = 0; i < in->name_count; i++)
        if (!constraints_permit(&issuer->cert, &in->names[i]))
            return "a name is outside what the issuing CA's certificate permits";
    if (!profile_has_crl(p) && in->crl_shard != 0) return "the profile has no CRL shards";
    if (profile_has_crl(p) &&
        (in->crl_shard < crl_shard_of(in->not_before, 0) ||
         in->crl_shard - crl_shard_of(in->not_before, 0) >= (uint64_t)p->settings->crl_parts))
        return "the CRL shard is not one of the hour of notBefore";
    if (in->not_after < in->not_before) return "the certificate would end before it begins";
    if (in->not_after - in->not_before + 1 > p->settings->validity_ms / 1000)
        return "the validity is longer than the profile's";
    if (in->not_after > issuer->cert.not_after || in->not_before < issuer->cert.not_before)
        return "the certificate would not lie within the issuer's life";
    if (in->not_before < now_s - BACK_S)
        return "notBefore is more than an hour behind this signer's clock";
    // Clocks that differ meet again, and another signer may have the right one.
    *out_status = CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BUSY;
    if (in->not_before > now_s + AHEAD_S)
        return "notBefore is more than five seconds ahead of this signer's clock";
    return NULL;
}

bool rate_take(struct rate *r, int64_t now_s, int64_t most)
{
    if (now_s != r->second_s) {
        r->second_s = now_s;
        r->count = 0;
    }
    bool taken = ++r->count <= most;
    r->refused += !taken;
    return taken;
}

int64_t rate_alarm(struct rate *r, int64_t now_s)
{
    int64_t refused = r->refused, minute = now_s / 60;
    if (refused == 0 || minute == r->said_min) return 0;
    r->said_min = minute;
    r->refused = 0;
    return refused;
}
