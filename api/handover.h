// handover: the nonces of a front end that leaves go to one that stays, so that a rolling restart
// costs no client a badNonce (some never retry). On the first shard, when the last request has been
// answered: every core freezes its window and gives a copy; each window is offered to living front
// ends, one after the other, until one takes it or has perhaps taken it; then the cores answer
// NONCE_MOVED. The guarantee is written down in api/acme/nonce.h.
#pragma once
#include "api/acme/nonce.h"

struct edge;

// handover_start begins on the first shard; `done` runs there once, later. `taken` windows of
// `count` have a new holder.
void handover_start(struct edge *e, void (*done)(void *ctx, unsigned taken, unsigned count),
                    void *ctx);
// handover_adopt takes over a window that a peer offers (any shard; `w` is taken in any case).
// `done` runs on this shard: refused while this front end leaves too, when NONCE_ADOPTED_MAX are
// held, or for a window that is held already.
void handover_adopt(struct edge *e, struct nonce_window *w, void (*done)(void *ctx, bool accepted),
                    void *ctx);
// handover_expire drops the adopted windows whose last nonce has become too old (first shard).
void handover_expire(struct edge *e);
