// node_rpc: what front ends ask each other: whether a nonce was used. One per shard, over mutual
// TLS; front ends find each other by their heartbeat rows, which api/jobs feeds in.
#pragma once
#include "api/edge.h"

struct node_rpc;

// node_rpc_new serves this core's share of the cluster listener and is ready to ask others. `tls`
// contexts stay borrowed. `note` gets a sentence on failure.
RESULT node_rpc_new(struct node_rpc **out, char *note, size_t note_size, struct edge *e,
                    struct tls_context *server_tls, struct tls_context *client_tls);
void node_rpc_free(struct node_rpc *n);
// node_rpc_members takes the front ends that lived lately (rows as the store gave them).
void node_rpc_members(struct node_rpc *n, const struct node_row *rows, size_t count);
// node_rpc_redeem asks the front end with the nonce's boot. `done` runs once, later, also when that
// front end is gone (NONCE_UNKNOWN). False when no living front end has that boot: then `done` does
// not run. `arena` lives until `done`.
bool node_rpc_redeem(struct node_rpc *n, struct arena *arena, const struct nonce *nonce,
                     void (*done)(void *ctx, enum nonce_verdict verdict), void *ctx);
// node_rpc_dead_boots writes boots that were seen and are gone now; returns how many.
size_t node_rpc_dead_boots(const struct node_rpc *n, uint64_t *out, size_t max);
