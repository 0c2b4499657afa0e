// call: the client side of gRPC: a channel to one service with several targets, one connection per
// target, picked by least pending with outlier ejection; reconnects by itself with backoff. Owned
// by its shard's thread.
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "cluster/core/dial.h"
#include "cluster/rpc/method.h"

struct rpc_channel;

struct rpc_target {
    struct sockaddr_storage address;
    socklen_t address_len;
    const char *text; // for messages; borrowed
};

struct rpc_channel_options {
    const struct rpc_target *targets; // copied
    size_t target_count;
    struct tls_context *tls; // mutual TLS with the peer's role checked; NULL: plain text (tests)
    const char *service;     // for logs: "signer"
    size_t response_size_max;
    unsigned connect_ms;
    unsigned backoff_ms_max;
};

struct rpc_call {
    struct dial_call dial; // the channel's part
    // done runs exactly once; response (decoded, lives until done returns) is NULL unless status is
    // RPC_OK. `text`: a sentence for people, with the target's address. `unsent` says that no
    // target can have acted on it.
    void (*done)(struct rpc_call *call, enum rpc_status status, const ProtobufCMessage *response,
                 const char *text, bool unsent);
    const ProtobufCMessageDescriptor *response_type; // from here on the channel's own
    const char *path;
    uint8_t *body; // framed request, until it has been sent
    size_t body_len;
    uint64_t deadline_ns;
    struct timer wait;
    bool sent;
    unsigned target; // index of the target that took it
    struct rpc_channel *channel;
    struct list node;
};

// rpc_channel_new starts connecting to the targets; rpc_channel_free closes the connections.
struct rpc_channel *rpc_channel_new(struct shard *shard, const struct rpc_channel_options *options);
void rpc_channel_free(struct rpc_channel *c);
// rpc_channel_tls_set replaces the context for connections made from now on; those that are open go
// on.
void rpc_channel_tls_set(struct rpc_channel *c, struct tls_context *tls);
// rpc_call_start sends a request (packed before it returns) to the best target, or to `target` when
// it is not RPC_ANY_TARGET. When no target is connected the call waits for one until the deadline
// (done with RPC_UNAVAILABLE then). ERR_NO_SPACE when the bound of waiting calls is reached.
enum { RPC_ANY_TARGET = -1 };
RESULT rpc_call_start(struct rpc_channel *c, struct rpc_call *call, const char *path,
                      const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *response_type, unsigned deadline_ms,
                      int target);
void rpc_call_cancel(struct rpc_call *call);
// rpc_channel_connected is the number of targets that can take calls now; rpc_channel_eject puts a
// target aside for a while (wrong answers).
size_t rpc_channel_connected(const struct rpc_channel *c);
void rpc_channel_eject(struct rpc_channel *c, unsigned target, unsigned for_ms);
// rpc_channel_text is a sentence on how the first target stands.
const char *rpc_channel_text(const struct rpc_channel *c);
