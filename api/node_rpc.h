// node_rpc: what front ends ask each other: whether a nonce was used. One per shard, over mutual
// TLS; front ends find each other by their heartbeat rows.
#pragma once
#include "api/edge.h"

struct node_rpc;

// node_rpc_redeem asks the front end with the nonce's boot. `done` runs once, later, also when that
// front end is gone (NONCE_UNKNOWN). False when no living front end has that boot: then `done` does
// not run. `arena` lives until `done`.
bool node_rpc_redeem(struct node_rpc *n, struct arena *arena, const struct nonce *nonce,
                     void (*done)(void *ctx, enum nonce_verdict verdict), void *ctx);
