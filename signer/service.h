// service: the signer's gRPC service (proto/rpc/signer.proto): what arrives in one turn is one
// batch, from policy to journal. One shard.
#pragma once
#include "cluster/rpc/method.h"
#include "signer/journal.h"
#include "signer/policy.h"

struct service_options {
    struct policy policy;
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
