// redeem: marks a nonce as used where its window is: on this core, on another core by message, on
// another front end by RPC. A request has passed every other check by then. Begun and ended on the
// same shard.
#pragma once
#include "api/acme/nonce.h"
#include "api/node_rpc.h"

struct edge;

// struct redemption is the caller's until `done` has run.
struct redemption {
    struct nonce nonce;
    // done runs exactly once, maybe inside redeem_start: NONCE_OK for the first who asks, for
    // nobody else.
    void (*done)(struct redemption *q, enum nonce_verdict verdict);
    void *ctx;
    // redeem's own from here on
    struct message message;
    struct list node;
    struct edge *edge;
    struct shard *home;
    enum nonce_verdict verdict;
    struct node_redeem asked;
    enum { REDEEM_MAKER, REDEEM_ADOPTED, REDEEM_PEERS } stage; // who is being asked
    unsigned peer;                                             // REDEEM_PEERS: the next one
    bool local; // asked by a peer: only what is here counts
};

// redeem_start asks whoever holds the window.
void redeem_start(struct edge *e, struct redemption *q);
// redeem_start_local answers for the windows of this front end only: NONCE_UNKNOWN and NONCE_MOVED
// otherwise.
void redeem_start_local(struct edge *e, struct redemption *q);
// redeem_frozen_end answers what had to wait on this core while its window was handed over.
void redeem_frozen_end(struct edge *e);
