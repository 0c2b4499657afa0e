// node_rpc: what front ends ask each other (proto/rpc/cluster.proto): whether a nonce was used, and
// to take over the nonces of one that leaves. One per shard, over mutual TLS with the role
// "urn:certmill:role:acme" on both sides; front ends find each other by their heartbeat rows.
#pragma once
#include "api/acme/nonce.h"
#include "api/members.h"
#include "cluster/rpc/call.h"

struct edge;
struct node_rpc;

#define NODE_RPC_ROLE "urn:certmill:role:acme"

struct node_rpc_options {
    struct sockaddr_storage listen;
    socklen_t listen_len;
    bool listening; // a unix socket belongs to one shard
    struct tls_context *server_tls, *client_tls;
};

// node_rpc_new listens for peers; `note` gets a sentence when it cannot. node_rpc_free ends all
// connections. NULL is fine.
RESULT node_rpc_new(struct node_rpc **out, char *note, size_t note_size, struct edge *e,
                    const struct node_rpc_options *options);
void node_rpc_free(struct node_rpc *n);
// node_rpc_port is the bound port (after listening on port 0); 0 when this shard does not listen.
unsigned node_rpc_port(const struct node_rpc *n);
// node_rpc_tls_set replaces the contexts for connections made from now on.
void node_rpc_tls_set(struct node_rpc *n, struct tls_context *server_tls,
                      struct tls_context *client_tls);
// node_rpc_members tells who is there now: connections follow.
void node_rpc_members(struct node_rpc *n, const struct members *members);
// The functions below take NULL: there are no peers.
// node_rpc_peer gives the boot of the living peer `index`; false behind the last.
bool node_rpc_peer(const struct node_rpc *n, unsigned index, uint64_t *out_boot);

// struct node_redeem and struct node_handover are the caller's until `done` has run, once, later.
struct node_redeem {
    struct rpc_call call;
    void (*done)(struct node_redeem *q, enum nonce_verdict verdict);
};
// How an offered window went: only after HANDOVER_REFUSED may it be offered to another front end.
enum handover_result { HANDOVER_TAKEN, HANDOVER_REFUSED, HANDOVER_IN_DOUBT };
struct node_handover {
    struct rpc_call call;
    void (*done)(struct node_handover *h, enum handover_result result);
};

// node_rpc_redeem asks the front end with this boot about a nonce; false, and `done` does not run,
// when none that lives has it. The verdict is NONCE_MOVED also when it cannot be reached.
bool node_rpc_redeem(struct node_rpc *n, uint64_t boot, const struct nonce *nonce,
                     struct node_redeem *q);
// node_rpc_handover offers a window to the front end with this boot; otherwise as node_rpc_redeem.
bool node_rpc_handover(struct node_rpc *n, uint64_t boot, const struct nonce_window *window,
                       struct node_handover *h);
