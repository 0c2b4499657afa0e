// service: the signer's gRPC service (proto/rpc/signer.proto): what arrives in one turn is one
// batch, from policy to journal. One shard.
#pragma once
#include "cluster/rpc/method.h"
#include "signer/journal.h"
#include "signer/keystore.h"
#include "signer/profiles.h"

struct service_options {
    const struct signer_settings *settings; // region and rate; read at every use
    const struct profiles *profiles;
    const struct keystore *keys;
    struct journal *journal;
    // stopped runs when the journal failed: nothing more is signed, the program must end.
    void (*stopped)(void *ctx);
    void *ctx;
};

struct service;

// service_new makes the service on a shard; options are copied, what they point at stays borrowed.
// NULL without memory.
struct service *service_new(struct shard *shard, const struct service_options *options);
void service_free(struct service *s);
// service_rpc is what server_new serves: with rpc_service_handler().
struct rpc_service *service_rpc(struct service *s);
uint64_t service_signed_count(const struct service *s);
// service_judge is the policy: NULL when the intent may be signed, else a sentence and the status
// of the answer. *out_profile is the version of the profile that the intent names, NULL when it is
// not here. Which callers may ask at all is in the table of methods. Pure but for the clock given.
const char *service_judge(const struct service_options *o, const struct intent *in, int64_t now_s,
                          const struct profile **out_profile, int *out_status);
