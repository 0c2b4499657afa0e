#include "api/node_rpc.h"

#include <stdlib.h>

#include "cluster/rpc/call.h"
#include "proto/err.h"
#include "proto/rpc/cluster.pb-c.h"

enum { PEERS_MAX = 64, DEAD_MAX = 64, MESSAGE_MAX = 4096, REDEEM_MS = 2000, BACKOFF_MS = 2000 };

struct peer {
    uint64_t boot;
    struct rpc_channel *channel;
    bool alive;
};

struct node_rpc {
    struct edge *edge;
    struct tls_context *client_tls;
    struct rpc_service *service;
    struct server *server;
    struct peer peers[PEERS_MAX];
    size_t peer_count;
    uint64_t dead[DEAD_MAX]; // the latest
    size_t dead_count;
};

// ---- asked

typedef Certmill__Cluster__V1__NonceRedeemRequest RedeemRequest;
typedef Certmill__Cluster__V1__NonceRedeemResponse RedeemResponse;

// struct asked carries a peer's question to the core that made the nonce and back.
struct asked {
    struct message m;
    struct rpc_request *r;
    struct shard *home;
    uint64_t counter;
    enum nonce_verdict verdict;
};

static void reply(struct rpc_request *r, enum nonce_verdict v)
{
    RedeemResponse m = CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__INIT;
    m.verdict = v == NONCE_OK     ? CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__OK
                : v == NONCE_USED ? CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__USED
                                  : CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__UNKNOWN;
    rpc_reply(r, &m.base);
}

static void asked_back(struct shard *shard, struct message *m)
{
    struct asked *a = LIST_OWNER(m, struct asked, m);
    (void)shard;
    reply(a->r, a->verdict);
}

static void asked_answer(struct shard *shard, struct message *m)
{
    struct asked *a = LIST_OWNER(m, struct asked, m);
    a->verdict = nonce_window_redeem(&edge_of(shard)->nonces, a->counter);
    a->m.run = asked_back;
    shard_post(a->home, &a->m);
}

static void on_redeem(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct node_rpc *n = ctx;
    const RedeemRequest *m = (const RedeemRequest *)message;
    struct asked *a = ARENA_NEW(rpc_request_arena(r), struct asked);
    if (a == NULL || m->boot != n->edge->front->boot || m->core >= shard_count(n->edge->shard)) {
        reply(r, NONCE_UNKNOWN);
        return;
    }
    *a = (struct asked){
        .m = {.run = asked_answer}, .r = r, .home = n->edge->shard, .counter = m->counter};
    shard_post(shard_sibling(n->edge->shard, m->core), &a->m);
}

static const char *const acme_only[] = {"urn:certmill:role:acme", NULL};
static const struct rpc_method methods[] = {
    {"/certmill.cluster.v1.Cluster/NonceRedeem",
     &certmill__cluster__v1__nonce_redeem_request__descriptor,
     &certmill__cluster__v1__nonce_redeem_response__descriptor, MESSAGE_MAX, acme_only, on_redeem},
};

// ---- asking

struct asking {
    struct rpc_call call;
    void (*done)(void *ctx, enum nonce_verdict verdict);
    void *ctx;
};

static void on_answer(struct rpc_call *call, enum rpc_status status,
                      const ProtobufCMessage *response, const char *text, bool unsent)
{
    struct asking *a = LIST_OWNER(call, struct asking, call);
    const RedeemResponse *m = (const RedeemResponse *)response;
    (void)text;
    (void)unsent; // an answer that was lost may have used the nonce up: a fresh one is the safe way
                  // on
    bool ok = status == RPC_OK &&
              m->verdict == CERTMILL__CLUSTER__V1__NONCE_REDEEM_RESPONSE__VERDICT__OK;
    a->done(a->ctx, ok ? NONCE_OK : NONCE_UNKNOWN);
}

static struct peer *peer_find(struct node_rpc *n, uint64_t boot)
{
    for (size_t i = 0; i < n->peer_count; i++)
        if (n->peers[i].boot == boot) return &n->peers[i];
    return NULL;
}

bool node_rpc_redeem(struct node_rpc *n, struct arena *arena, const struct nonce *nonce,
                     void (*done)(void *ctx, enum nonce_verdict verdict), void *ctx)
{
    struct peer *p = n == NULL ? NULL : peer_find(n, nonce->boot);
    struct asking *a = p == NULL ? NULL : ARENA_NEW(arena, struct asking);
    if (a == NULL) return false;
    RedeemRequest m = CERTMILL__CLUSTER__V1__NONCE_REDEEM_REQUEST__INIT;
    m.boot = nonce->boot;
    m.core = nonce->core;
    m.counter = nonce->counter;
    *a = (struct asking){.call = {.done = on_answer}, .done = done, .ctx = ctx};
    return !failed(rpc_call_start(
        p->channel, &a->call, "/certmill.cluster.v1.Cluster/NonceRedeem", &m.base,
        &certmill__cluster__v1__nonce_redeem_response__descriptor, REDEEM_MS, RPC_ANY_TARGET));
}

// ---- members

static void peer_add(struct node_rpc *n, const struct node_row *row)
{
    struct rpc_target target = {0};
    if (n->peer_count == PEERS_MAX ||
        failed(address_parse(&target.address, &target.address_len, row->rpc_address, 0)))
        return;
    struct rpc_channel_options o = {.targets = &target,
                                    .target_count = 1,
                                    .tls = n->client_tls,
                                    .service = "front end",
                                    .response_size_max = MESSAGE_MAX,
                                    .connect_ms = 1000,
                                    .backoff_ms_max = BACKOFF_MS};
    struct rpc_channel *channel = rpc_channel_new(n->edge->shard, &o);
    if (channel != NULL)
        n->peers[n->peer_count++] = (struct peer){
            .boot = row->boot, .channel = channel, .alive = true};
}

void node_rpc_members(struct node_rpc *n, const struct node_row *rows, size_t count)
{
    for (size_t i = 0; i < n->peer_count; i++) n->peers[i].alive = false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].boot == n->edge->front->boot) continue;
        struct peer *p = peer_find(n, rows[i].boot);
        if (p != NULL)
            p->alive = true;
        else
            peer_add(n, &rows[i]);
    }
    for (size_t i = n->peer_count; i-- > 0;) {
        if (n->peers[i].alive) continue;
        n->dead[n->dead_count++ % DEAD_MAX] = n->peers[i].boot;
        rpc_channel_free(n->peers[i].channel);
        n->peers[i] = n->peers[--n->peer_count];
    }
}

size_t node_rpc_dead_boots(const struct node_rpc *n, uint64_t *out, size_t max)
{
    size_t count = n->dead_count < DEAD_MAX ? n->dead_count : DEAD_MAX;
    if (count > max) count = max;
    for (size_t i = 0; i < count; i++) out[i] = n->dead[i];
    return count;
}

struct err node_rpc_new(struct node_rpc **out, char *note, size_t note_size, struct edge *e,
                        struct tls_context *server_tls, struct tls_context *client_tls)
{
    const struct config_address *address = &e->front->settings->cluster.address;
    struct node_rpc *n = calloc(1, sizeof *n);
    if (n == NULL) return ERR(NO_SPACE);
    n->edge = e;
    n->client_tls = client_tls;
    n->service = rpc_service_new(e->shard, methods, sizeof methods / sizeof methods[0], n);
    struct server_options o = {.name = "cluster",
                               .listen = address->address,
                               .listen_len = address->len,
                               .tls = server_tls,
                               .plain_version = HTTP_2,
                               .http = {.head_size_max = 16384,
                                        .body_size_max = 2 * MESSAGE_MAX,
                                        .header_count_max = 64,
                                        .streams_max = 256,
                                        .abuse_max = 1000,
                                        .out_size_max = 1 << 20},
                               .conns_max = 256,
                               .handshake_ms = 5000,
                               .head_ms = 5000,
                               .body_ms = 5000,
                               .idle_ms = 3600000,
                               .write_ms = 5000,
                               .request_ms = 5000};
    struct err err = n->service == NULL ? ERR(NO_SPACE)
                                        : server_new(&n->server, note, note_size, e->shard, &o,
                                                     rpc_service_handler(), n->service);
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
    for (size_t i = 0; i < n->peer_count; i++) rpc_channel_free(n->peers[i].channel);
    server_free(n->server);
    rpc_service_free(n->service);
    free(n);
}
