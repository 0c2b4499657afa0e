// caa: what the CAA records of a domain let this CA do (RFC 8659 section 4, RFC 8657). Pure; any
// thread. The records are found by caa_check.c.
#pragma once
#include "api/validate/issue_value.h"

// struct caa_asker is who wants to issue what.
struct caa_asker {
    const char *const *identities; // names of this CA
    size_t identity_count;
    bool wildcard;
    const char *method; // that proved control: "dns-01"
    // account_is says whether a URI is the account's.
    bool (*account_is)(const void *ctx, struct slice uri);
    const void *ctx;
};

// caa_permits judges the records (their data) of one set, which is the relevant one. False: `why`
// gets a clause for people. What cannot be read forbids.
bool caa_permits(char *why, size_t size, const struct slice *records, size_t count,
                 const struct caa_asker *asker);
