#include "cluster/rpc/method.h"

#include <stdio.h>
#include <stdlib.h>

#include "cluster/rpc/message.h"
#include "proto/err.h"
#include "proto/grpc/frame.h"
#include "proto/tls/tls.h"

enum { ROLE_MAX = 128, MESSAGE_ARENA_MAX = 8 * 1024 * 1024, STATUS_TEXT_MAX = 16 };

struct rpc_service {
    struct shard *shard;
    const struct rpc_method *methods;
    size_t count;
    void *ctx;
};

struct rpc_request {
    struct rpc_service *service;
    struct http_exchange *x;
    struct arena messages; // what was decoded, and the handler's own
    char role[ROLE_MAX];
    uint64_t deadline_ns;
};

static const struct http_header content_type = {SLICE_LIT("content-type"),
                                                SLICE_LIT("application/grpc")};

static void status_respond(struct http_exchange *x, enum rpc_status status, const char *text)
{
    char number[STATUS_TEXT_MAX];
    struct buf message;
    buf_init(&message, 4096);
    snprintf(number, sizeof number, "%d", status);
    (void)!failed(grpc_message_encode(&message, slice_str(text)));
    const struct http_header headers[] = {content_type,
                                          {SLICE_LIT("grpc-status"), slice_str(number)},
                                          {SLICE_LIT("grpc-message"), buf_slice(&message)}};
    server_respond(x,
                   &(struct http_response){.status = 200, .headers = headers, .header_count = 3});
    buf_fini(&message);
}

void rpc_fail(struct rpc_request *r, enum rpc_status status, const char *text)
{
    struct http_exchange *x = r->x;
    struct arena messages = r->messages; // `text` may lie in it; `r` goes with the exchange
    status_respond(x, status, text);
    arena_fini(&messages);
}

static void reply(struct rpc_request *r, struct buf *framed, const ProtobufCMessage *response)
{
    size_t n = protobuf_c_message_get_packed_size(response);
    uint8_t *packed = malloc(n + 1);
    if (packed != NULL) protobuf_c_message_pack(response, packed);
    bool ok = packed != NULL && !failed(grpc_frame_write(framed, slice_of(packed, n)));
    free(packed);
    if (!ok) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "the answer is too large");
        return;
    }
    static const struct http_header trailers[] = {{SLICE_LIT("grpc-status"), SLICE_LIT("0")}};
    struct http_exchange *x = r->x;
    arena_fini(&r->messages);
    server_respond(x, &(struct http_response){.status = 200,
                                              .headers = &content_type,
                                              .header_count = 1,
                                              .body = buf_slice(framed),
                                              .trailers = trailers,
                                              .trailer_count = 1});
}

void rpc_reply(struct rpc_request *r, const ProtobufCMessage *response)
{
    struct buf framed;
    buf_init(&framed, MESSAGE_ARENA_MAX);
    reply(r, &framed, response);
    buf_fini(&framed);
}

const char *rpc_request_peer(const struct rpc_request *r) { return r->role; }

struct arena *rpc_request_arena(struct rpc_request *r) { return &r->messages; }

uint64_t rpc_request_deadline_ns(const struct rpc_request *r) { return r->deadline_ns; }

struct shard *rpc_request_shard(const struct rpc_request *r) { return r->service->shard; }

// ----

static const struct rpc_method *method_find(const struct rpc_service *s, struct slice path)
{
    for (size_t i = 0; i < s->count; i++)
        if (slice_eq_str(path, s->methods[i].path)) return &s->methods[i];
    return NULL;
}

static bool role_allowed(const struct rpc_method *m, const char *role)
{
    if (m->roles == NULL) return true;
    for (size_t i = 0; m->roles[i] != NULL; i++)
        if (tls_role_is(role, m->roles[i])) return true;
    return false;
}

static uint64_t deadline_of(const struct rpc_service *s, const struct http_request *q)
{
    uint64_t ms;
    struct slice text = http_header_find(q->headers, q->header_count, "grpc-timeout");
    return text.n > 0 && !failed(grpc_timeout_parse(&ms, text))
               ? shard_now_ns(s->shard) + ms * 1000000
               : 0;
}

static void call_begin(struct rpc_service *s, const struct rpc_method *m, struct http_exchange *x,
                       const char *role)
{
    struct slice in;
    struct rpc_request *r = ARENA_NEW(x->arena, struct rpc_request);
    if (r == NULL) {
        status_respond(x, RPC_RESOURCE_EXHAUSTED, "no memory for the request");
        return;
    }
    r->service = s;
    r->x = x;
    r->deadline_ns = deadline_of(s, &x->request);
    snprintf(r->role, sizeof r->role, "%s", role);
    arena_init(&r->messages, MESSAGE_ARENA_MAX);
    if (x->request.body.n > m->request_size_max + GRPC_PREFIX_LEN) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "the request is larger than this method takes");
        return;
    }
    if (failed(grpc_frame_read(&in, x->request.body, m->request_size_max))) {
        rpc_fail(r, RPC_INVALID_ARGUMENT, "the request is not one uncompressed gRPC message");
        return;
    }
    const ProtobufCMessage *message = message_decode(&r->messages, m->request, in);
    if (message == NULL)
        rpc_fail(r, RPC_INVALID_ARGUMENT,
                 "the message is malformed, has unknown fields, or text that is not UTF-8");
    else
        m->handle(s->ctx, r, message);
}

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct rpc_service *s = ctx;
    const struct http_request *q = &x->request;
    char role[ROLE_MAX] = "";
    struct slice type = http_header_find(q->headers, q->header_count, "content-type");
    if (q->method != HTTP_POST || !slice_starts(type, SLICE_LIT("application/grpc"))) {
        server_respond(x, &(struct http_response){.status = 415});
        return;
    }
    const struct rpc_method *m = method_find(s, q->path);
    if (peer->tls) (void)tls_peer_role(peer->connection, role, sizeof role);
    if (m == NULL)
        status_respond(x, RPC_UNIMPLEMENTED, "there is no such method");
    else if (!role_allowed(m, role))
        status_respond(x, RPC_PERMISSION_DENIED, "the caller's role may not use this method");
    else
        call_begin(s, m, x, role);
}

// The caller is gone: the handler goes on and its reply releases the exchange.
static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    (void)x;
}

const struct server_handler *rpc_service_handler(void)
{
    static const struct server_handler handler = {.request = on_request, .gone = on_gone};
    return &handler;
}

struct rpc_service *rpc_service_new(struct shard *shard, const struct rpc_method *methods,
                                    size_t count, void *ctx)
{
    struct rpc_service *s = calloc(1, sizeof *s);
    if (s != NULL)
        *s = (struct rpc_service){.shard = shard, .methods = methods, .count = count, .ctx = ctx};
    return s;
}

void rpc_service_free(struct rpc_service *s) { free(s); }
