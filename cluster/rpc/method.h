// method: the server side of gRPC: a table of unary methods with message types, size caps and the
// caller roles allowed to use each, served over HTTP/2 by cluster/core/server. Messages are
// protobuf-c; unknown fields and strings that are not UTF-8 are refused (INVALID_ARGUMENT). Owned
// by its shard's thread.
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "cluster/core/server.h"

enum rpc_status { // google.golang.org/grpc/codes, the subset that is used
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16,
};

struct rpc_request; // one call under way

struct rpc_method {
    const char *path; // "/certmill.signer.v1.Signer/Sign"
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    size_t request_size_max;  // bytes of one encoded request
    const char *const *roles; // roles that may call it, NULL-terminated (tls_role_is); NULL: any
                              // authenticated peer
    // handle answers now or later with rpc_reply or rpc_fail, exactly once. `message` lives until
    // then.
    void (*handle)(void *ctx, struct rpc_request *r, const ProtobufCMessage *message);
};

struct rpc_service;

// rpc_service_new serves `methods` (borrowed, count rows) with `ctx`; give rpc_service_handler's
// result to server_new.
struct rpc_service *rpc_service_new(struct shard *shard, const struct rpc_method *methods,
                                    size_t count, void *ctx);
void rpc_service_free(struct rpc_service *s);
const struct server_handler *rpc_service_handler(void);
// rpc_reply sends the response message (packed before it returns); rpc_fail sends a status and a
// text.
void rpc_reply(struct rpc_request *r, const ProtobufCMessage *response);
void rpc_fail(struct rpc_request *r, enum rpc_status status, const char *text);
// rpc_request_peer is the role URI of the caller ("" without TLS); rpc_request_arena lives until
// the reply; rpc_request_deadline_ns is the monotonic time after which nobody waits any more (0:
// none).
const char *rpc_request_peer(const struct rpc_request *r);
struct arena *rpc_request_arena(struct rpc_request *r);
uint64_t rpc_request_deadline_ns(const struct rpc_request *r);
struct shard *rpc_request_shard(const struct rpc_request *r);
