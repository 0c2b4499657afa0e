// validate: proof that an ACME client controls an identifier. Called only through a typed message
// and answering with a result, so that it can later run in another network zone (design.md section
// 9). One validator per shard; asynchronous, bounded, retried. A new method is a row in
// api/challenge_types.def and a file of its own.
#pragma once
#include "api/challenge_types.h"
#include "cluster/core/address.h"
#include "cluster/core/shard.h"
#include "proto/der/name.h"

enum { VALIDATE_TOKEN_MAX = 128, VALIDATE_THUMBPRINT_TEXT_MAX = 48, VALIDATE_DETAIL_MAX = 800 };

// struct validate_override answers a name without the DNS: `*.suffix` and the suffix itself resolve
// to the address. For `certmill dev`.
struct validate_override {
    const char *suffix;
    struct sockaddr_storage address; // its port is not used
};

struct validate_resolver {
    struct sockaddr_storage address; // with port
    socklen_t address_len;
};

// struct validate_policy is a tenant's; const, and borrowed until every validation that uses it has
// ended.
struct validate_policy {
    const struct validate_resolver *resolvers; // none: those of the host (/etc/resolv.conf)
    size_t resolver_count;
    bool dns_tcp; // they are asked over TCP alone
    const struct validate_override *overrides;
    size_t override_count;
    const struct address_range
        *allowed; // targets must be in one of these; none: everywhere that is not denied
    size_t allowed_count;
    const struct address_range *denied; // and in none of these
    size_t denied_count;
    // The account's URL is one of these and its id: an account has one for each host of its tenant.
    const char *const *account_bases; // "https://acme.corp/acme/default/acct/"
    size_t account_base_count;
    const char *const *identities; // names of this CA in CAA records (RFC 8659)
    size_t identity_count;
    bool caa;               // CAA records are looked for
    unsigned http_port;     // 80
    unsigned tls_alpn_port; // 443
    unsigned attempts;      // tries in all, at least 1
    unsigned retry_ms;      // pause before the second try; grows by half each time
    unsigned attempt_ms;    // one try: resolution, every hop and every address
    unsigned total_ms;      // all tries together
    unsigned redirects;     // hops followed at most (10)
};

enum validate_problem { // what went wrong, as ACME problem types name it (RFC 8555 section 6.7)
    VALIDATE_OK = 0,
    VALIDATE_CONNECTION,
    VALIDATE_DNS,
    VALIDATE_INCORRECT_RESPONSE,
    VALIDATE_TLS,
    VALIDATE_MALFORMED,
    VALIDATE_CAA,
    VALIDATE_INTERNAL,
};

struct validate_result {
    enum validate_problem problem;
    char detail[VALIDATE_DETAIL_MAX]; // a sentence: "http-01 for a.corp: 10.1.2.3:80 refused after
                                      // 3 tries in 9 s (resolver 10.0.0.53)"
    unsigned tries;
    uint64_t took_us;
    int64_t until_s; // the proof holds no longer than until then; 0: it says nothing of that
};

// struct validate_request is the caller's until `done` has run, exactly once.
struct validate_request {
    enum challenge_type method;
    struct identifier identifier; // borrowed; without "*."
    bool wildcard;                // every name below it is to be proved
    struct slice token;           // text; borrowed
    struct slice thumbprint;      // of the account key, base64url text; borrowed
    struct slice account_url;     // as the client that asks writes it; borrowed
    bool caa_alone; // only CAA is looked at again; `method` is what proved the identifier
    const struct validate_policy *policy;
    void (*done)(struct validate_request *request, const struct validate_result *result);
};

struct validator;

// validator_new makes a shard's validator for at most `max` validations at once. NULL without
// memory.
struct validator *validator_new(struct shard *shard, unsigned max);
// validator_free gives up what is under way without running `done`, and frees all.
void validator_free(struct validator *v);
// validate_start starts one; ERR_VALIDATE_BUSY when `max` are under way, ERR_VALIDATE_METHOD when
// the method cannot prove such an identifier; then `done` does not run.
RESULT
validate_start(struct validator *v, struct validate_request *request);
// validator_count is the number under way (a draining front end waits for them).
unsigned validator_count(const struct validator *v);
