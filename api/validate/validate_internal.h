// validate_internal: what validate.c and the methods share: one validation under way.
#pragma once
#include "api/validate/resolver.h"
#include "api/validate/validate.h"

// struct validation is one request under way. validate.c owns tries, pauses and deadlines; a method
// owns one try.
struct validation {
    struct list node;
    struct validator *validator;
    struct validate_request *request;
    struct timer timer; // deadline of the try, or the pause before the next one
    bool pausing;
    unsigned tries;
    uint64_t started_ns;
    const struct validate_method_row *stage; // the challenge, then CAA where it is looked at
    struct validate_result last;             // of the try that ended last
    void *attempt;                           // the method's, while a try is under way
};

enum { VALIDATE_CAUSE_MAX = VALIDATE_DETAIL_MAX / 2 };

// struct validate_method_row is one method: begin starts a try, which ends by validation_try_end
// (at the earliest as the last act of begin); abandon frees it, or leaves that to the end of its
// connection, and sets v->attempt to NULL: also when it has ended, and where there is none. begin
// returning false means that no try could be started (out of memory). waits_for says, for a try
// whose time is over, what did not come: a clause such as "10.1.2.3:80 did not answer", and what
// kind of problem that is.
struct validate_method_row {
    const char *name; // for messages; NULL: the challenge's
    bool (*begin)(struct validation *v);
    void (*abandon)(struct validation *v);
    enum validate_problem (*waits_for)(const struct validation *v, char *out, size_t size);
};

// validation_shard and validation_resolver are what a try works with; borrowed from the
// validation's owner.
struct shard *validation_shard(const struct validation *v);
struct resolver *validation_resolver(const struct validation *v);
// validation_try_end ends a try and abandons it: neither may be touched afterwards. The cause is
// without name, count and time, which validate.c adds, and may be made of what the try owns; at
// most VALIDATE_CAUSE_MAX octets of it are told. `again` false: trying again cannot help.
void validation_try_end(struct validation *v, enum validate_problem problem, bool again,
                        const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// validation_target_allowed: the policy's networks (T29); called before connecting and again on the
// connected socket.
bool validation_target_allowed(const struct validate_policy *p, const struct sockaddr *a);

// validation_account_is says whether a URI is the URL of the account that asks, under any host of
// its tenant.
bool validation_account_is(const struct validate_request *r, struct slice uri);

extern const struct validate_method_row validate_caa; // caa_check.c
// One for each row of api/challenge_types.def, in the file of its method.
#define X(IDENT, ident, bit, name, proves, form, usual) \
    extern const struct validate_method_row validate_##ident;
#include "api/challenge_types.def"
#undef X
