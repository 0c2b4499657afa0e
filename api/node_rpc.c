#include "api/node_rpc.h"

#include <stdlib.h>
#include <string.h>

#include "api/edge.h"
#include "api/handover.h"
#include "api/redeem.h"
#include "cluster/rpc/method.h"
#include "proto/err.h"
#include "proto/rpc/cluster.pb-c.h"

enum {
    REDEEM_MS = 1000,
    HANDOVER_MS = 5000,
    CONNECT_MS = 2000,
    BACKOFF_MS_MAX = 2000,
    REDEEM_SIZE_MAX = 64,
    HANDOVER_SIZE_MAX = NONCE_WINDOW / 8 + 64,
    RESPONSE_SIZE_MAX = 64,
    CONNS_MAX = 4 * MEMBERS_MAX
};

struct peer {
    uint64_t boot;
    char address[ADDRESS_TEXT_MAX];
    struct rpc_channel *channel;
};

struct node_rpc {
    struct edge *edge;
    struct tls_context *client_tls;
    struct rpc_service *service;
    struct server *server;
    struct peer peers[MEMBERS_MAX];
    size_t peer_count;
};

// ---- served

struct redeem_served {
    struct redemption redemption;
    struct rpc_request *r;
};

static Certmill__Cluster__V1__NonceRedeemResponse__Verdict verdict_out(enum nonce_verdict v)
{
    switch (v) {
    case NONCE_OK:
        return CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__OK;
    case NONCE_USED:
        return CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__USED;
    case NONCE_MOVED:
        return CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__MOVED;
    default:
        return CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__UNKNOWN;
    }
}

static void redeem_answer(struct redemption *q, enum nonce_verdict verdict)
{
    Certmill__Cluster__V1__NonceRedeemResponse out =
        CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__INIT;
    out.verdict = verdict_out(verdict);
    rpc_reply(LIST_OWNER(q, struct redeem_served, redemption)->r, &out.base);
}

static void redeem_handle(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct node_rpc *n = ctx;
    const Certmill__Cluster__V1__NonceRedeemRequest *in = (const void *)message;
    struct redeem_served *s = ARENA_NEW(rpc_request_arena(r), struct redeem_served);
    if (s == NULL || in->core > UINT8_MAX) {
        rpc_fail(r, s == NULL ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT, "core or memory");
        return;
    }
    s->r = r;
    s->redemption.nonce = (struct nonce){
        .boot = in->boot, .core = (uint8_t)in->core, .counter = in->counter};
    s->redemption.done = redeem_answer;
    redeem_start_local(n->edge, &s->redemption);
}

static void adopt_answer(void *ctx, bool accepted)
{
    Certmill__Cluster__V1__NonceHandoverResponse out =
        CERTMILL__CLUSTER__V1__NONCE_HANDOVER_RESPONSE__INIT;
    out.accepted = accepted;
    rpc_reply(ctx, &out.base);
}

static void handover_handle(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct node_rpc *n = ctx;
    const Certmill__Cluster__V1__NonceHandoverRequest *in = (const void *)message;
    struct nonce_window w;
    if (in->core > UINT8_MAX || failed(nonce_window_adopt(&w, in->boot, (uint8_t)in->core, in->next,
                                                          slice_of(in->bits.data, in->bits.len)))) {
        rpc_fail(r, RPC_INVALID_ARGUMENT, "not a window of nonces, or no memory for it");
        return;
    }
    handover_adopt(n->edge, &w, adopt_answer, r);
}

static const char *const roles[] = {NODE_RPC_ROLE, NULL};
static const struct rpc_method methods[] = {
    {.path = "/certmill.cluster.v1.Cluster/NonceRedeem",
     .request = &certmill__cluster__v1__nonce_redeem_request__descriptor,
     .response = &certmill__cluster__v1__nonce_redeem_response__descriptor,
     .request_size_max = REDEEM_SIZE_MAX,
     .roles = roles,
     .handle = redeem_handle},
    {.path = "/certmill.cluster.v1.Cluster/NonceHandover",
     .request = &certmill__cluster__v1__nonce_handover_request__descriptor,
     .response = &certmill__cluster__v1__nonce_handover_response__descriptor,
     .request_size_max = HANDOVER_SIZE_MAX,
     .roles = roles,
     .handle = handover_handle},
};

static struct err listen_start(struct node_rpc *n, char *note, size_t note_size,
                               const struct node_rpc_options *o)
{
    struct server_options s = {.name = "cluster",
                               .listen = o->listen,
                               .listen_len = o->listen_len,
                               .tls = o->server_tls,
                               .plain_version = HTTP_2,
                               .http = {.head_size_max = 8192,
                                        .body_size_max = HANDOVER_SIZE_MAX + 64,
                                        .header_count_max = 32,
                                        .streams_max = 256,
                                        .abuse_max = 100000,
                                        .out_size_max = 1 << 20},
                               .conns_max = CONNS_MAX,
                               .handshake_ms = 5000,
                               .head_ms = 5000,
                               .body_ms = 5000,
                               .idle_ms = 3600000,
                               .write_ms = 5000,
                               .request_ms = 2 * HANDOVER_MS};
    return server_new(&n->server, note, note_size, n->edge->shard, &s, rpc_service_handler(),
                      n->service);
}

struct err node_rpc_new(struct node_rpc **out, char *note, size_t note_size, struct edge *e,
                        const struct node_rpc_options *options)
{
    struct node_rpc *n = calloc(1, sizeof *n);
    if (n == NULL) return ERR(NO_SPACE);
    n->edge = e;
    n->client_tls = options->client_tls;
    n->service = rpc_service_new(e->shard, methods, sizeof methods / sizeof methods[0], n);
    struct err err = n->service == NULL ? ERR(NO_SPACE) : OK;
    if (!failed(err) && options->listening) err = listen_start(n, note, note_size, options);
    if (failed(err)) {
        node_rpc_free(n);
        return err;
    }
    *out = n;
    return OK;
}

void node_rpc_free(struct node_rpc *n)
{
    if (n == NULL) return;
    // A call that fails here may ask the next peer: only those that are still there.
    while (n->peer_count > 0) rpc_channel_free(n->peers[--n->peer_count].channel);
    server_free(n->server);
    rpc_service_free(n->service);
    free(n);
}

unsigned node_rpc_port(const struct node_rpc *n)
{
    return n->server == NULL ? 0 : server_port(n->server);
}

void node_rpc_tls_set(struct node_rpc *n, struct tls_context *server_tls,
                      struct tls_context *client_tls)
{
    n->client_tls = client_tls;
    if (n->server != NULL) server_tls_set(n->server, server_tls);
    for (size_t i = 0; i < n->peer_count; i++) rpc_channel_tls_set(n->peers[i].channel, client_tls);
}

// ---- peers

static struct rpc_channel *channel_open(struct node_rpc *n, const char *address)
{
    struct rpc_target target = {.text = address};
    if (failed(address_parse(&target.address, &target.address_len, slice_str(address), 0)))
        return NULL;
    return rpc_channel_new(n->edge->shard,
                           &(struct rpc_channel_options){.targets = &target,
                                                         .target_count = 1,
                                                         .tls = n->client_tls,
                                                         .service = "front end",
                                                         .response_size_max = RESPONSE_SIZE_MAX,
                                                         .connect_ms = CONNECT_MS,
                                                         .backoff_ms_max = BACKOFF_MS_MAX});
}

static struct peer *peer_find(struct node_rpc *n, uint64_t boot)
{
    for (size_t i = 0; i < n->peer_count; i++)
        if (n->peers[i].boot == boot) return &n->peers[i];
    return NULL;
}

void node_rpc_members(struct node_rpc *n, const struct members *members)
{
    for (size_t i = n->peer_count; i-- > 0;) {
        struct peer *p = &n->peers[i];
        const struct member *m = member_alive(members, p->boot);
        if (m != NULL && strcmp(m->address, p->address) == 0) continue;
        rpc_channel_free(p->channel);
        n->peers[i] = n->peers[--n->peer_count];
    }
    for (size_t i = 0; i < members->count; i++) {
        const struct member *m = &members->rows[i];
        if (!m->alive || peer_find(n, m->boot) != NULL || n->peer_count == MEMBERS_MAX) continue;
        struct peer *p = &n->peers[n->peer_count];
        *p = (struct peer){.boot = m->boot};
        memcpy(p->address, m->address, sizeof p->address);
        p->channel = channel_open(n, p->address);
        if (p->channel != NULL) n->peer_count++;
    }
}

bool node_rpc_peer(const struct node_rpc *n, unsigned index, uint64_t *out_boot)
{
    if (n == NULL || index >= n->peer_count) return false;
    *out_boot = n->peers[index].boot;
    return true;
}

// ---- asked

static enum nonce_verdict verdict_in(enum rpc_status status, const ProtobufCMessage *response)
{
    if (status != RPC_OK) return NONCE_MOVED; // gone or out of reach: another may have its windows
    const Certmill__Cluster__V1__NonceRedeemResponse *in = (const void *)response;
    switch (in->verdict) {
    case CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__OK:
        return NONCE_OK;
    case CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__USED:
        return NONCE_USED;
    case CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__MOVED:
        return NONCE_MOVED;
    default:
        return NONCE_UNKNOWN;
    }
}

static void on_redeemed(struct rpc_call *call, enum rpc_status status,
                        const ProtobufCMessage *response, const char *text, bool unsent)
{
    struct node_redeem *q = LIST_OWNER(call, struct node_redeem, call);
    (void)text;
    (void)unsent;
    q->done(q, verdict_in(status, response));
}

bool node_rpc_redeem(struct node_rpc *n, uint64_t boot, const struct nonce *nonce,
                     struct node_redeem *q)
{
    struct peer *p = n == NULL ? NULL : peer_find(n, boot);
    Certmill__Cluster__V1__NonceRedeemRequest in =
        CERTMILL__CLUSTER__V1__NONCE_REDEEM_REQUEST__INIT;
    in.boot = nonce->boot;
    in.core = nonce->core;
    in.counter = nonce->counter;
    q->call.done = on_redeemed;
    return p != NULL && !failed(rpc_call_start(p->channel, &q->call, methods[0].path, &in.base,
                                               methods[0].response, REDEEM_MS, RPC_ANY_TARGET));
}

static void on_offered(struct rpc_call *call, enum rpc_status status,
                       const ProtobufCMessage *response, const char *text, bool unsent)
{
    struct node_handover *h = LIST_OWNER(call, struct node_handover, call);
    const Certmill__Cluster__V1__NonceHandoverResponse *in = (const void *)response;
    (void)text;
    // A status other than these may have been made up on the way by somebody who does not know.
    bool refused = unsent || status == RPC_INVALID_ARGUMENT || status == RPC_UNIMPLEMENTED ||
                   status == RPC_PERMISSION_DENIED || (status == RPC_OK && !in->accepted);
    h->done(h, refused ? HANDOVER_REFUSED : status == RPC_OK ? HANDOVER_TAKEN : HANDOVER_IN_DOUBT);
}

bool node_rpc_handover(struct node_rpc *n, uint64_t boot, const struct nonce_window *window,
                       struct node_handover *h)
{
    struct peer *p = peer_find(n, boot);
    struct slice bits = nonce_window_bits(window);
    Certmill__Cluster__V1__NonceHandoverRequest in =
        CERTMILL__CLUSTER__V1__NONCE_HANDOVER_REQUEST__INIT;
    in.boot = window->boot;
    in.core = window->core;
    in.next = window->next;
    in.bits.data = (uint8_t *)(uintptr_t)bits.p; // only read
    in.bits.len = bits.n;
    h->call.done = on_offered;
    return p != NULL && !failed(rpc_call_start(p->channel, &h->call, methods[1].path, &in.base,
                                               methods[1].response, HANDOVER_MS, RPC_ANY_TARGET));
}
