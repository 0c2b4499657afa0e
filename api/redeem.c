#include "api/redeem.h"

#include "api/edge.h"

enum { PEERS_ASKED_MAX = 16 };

static void next_step(struct redemption *q, enum nonce_verdict verdict);

// ---- home again

static void on_home(struct shard *shard, struct message *m)
{
    struct redemption *q = LIST_OWNER(m, struct redemption, message);
    (void)shard;
    next_step(q, q->verdict);
}

static void answer(struct shard *shard, struct redemption *q, enum nonce_verdict verdict)
{
    q->verdict = verdict;
    q->message.run = on_home;
    if (shard == q->home)
        next_step(q, verdict);
    else
        shard_post(q->home, &q->message);
}

// ---- at the core that holds the window

static enum nonce_verdict adopted_redeem(struct edge *e, const struct nonce *n)
{
    for (size_t i = 0; i < e->adopted_count; i++) {
        struct nonce_window *w = &e->adopted[i].window;
        if (w->boot == n->boot && w->core == n->core) return nonce_window_redeem(w, n->counter);
    }
    return NONCE_UNKNOWN;
}

static void decide(struct edge *e, struct redemption *q)
{
    if (e->nonces_state == NONCES_FROZEN) {
        list_push_back(&e->frozen, &q->node); // until the handover has ended
        return;
    }
    enum nonce_verdict v = NONCE_MOVED;
    if (e->nonces_state == NONCES_HERE)
        v = q->stage == REDEEM_ADOPTED ? adopted_redeem(e, &q->nonce)
                                       : nonce_window_redeem(&e->nonces, q->nonce.counter);
    answer(e->shard, q, v);
}

void redeem_frozen_end(struct edge *e)
{
    while (!list_empty(&e->frozen))
        decide(e, LIST_OWNER(list_pop_front(&e->frozen), struct redemption, node));
}

static void on_holder(struct shard *shard, struct message *m)
{
    decide(edge_of(shard), LIST_OWNER(m, struct redemption, message));
}

static void ask_core(struct redemption *q, unsigned core)
{
    struct edge *e = q->edge;
    if (core == shard_index(e->shard)) {
        decide(e, q);
        return;
    }
    q->message.run = on_holder;
    shard_post(shard_sibling(e->shard, core), &q->message);
}

// ---- at another front end

static void on_peer(struct node_redeem *asked, enum nonce_verdict verdict)
{
    next_step(LIST_OWNER(asked, struct redemption, asked), verdict);
}

static bool ask_front_end(struct redemption *q, uint64_t boot)
{
    q->asked.done = on_peer;
    return node_rpc_redeem(q->edge->node_rpc, boot, &q->nonce, &q->asked);
}

// ask_next_peer asks the living front ends one after the other, for a nonce whose maker has left:
// one of them took its windows over, or nobody.
static void ask_next_peer(struct redemption *q)
{
    uint64_t boot;
    while (q->peer < PEERS_ASKED_MAX && node_rpc_peer(q->edge->node_rpc, q->peer++, &boot))
        if (boot != q->nonce.boot && ask_front_end(q, boot)) return;
    q->done(q, NONCE_UNKNOWN);
}

// ---- the steps: the maker; what was taken over here; every other front end

static void ask_adopted(struct redemption *q)
{
    q->stage = REDEEM_ADOPTED;
    ask_core(q, 0);
}

static void ask_peers(struct redemption *q)
{
    q->stage = REDEEM_PEERS;
    q->peer = 0;
    ask_next_peer(q);
}

// final says whether nobody else is to be asked: the nonce was decided; it left the window of its
// maker, whom nobody replaces; or a peer asks, for whom only this front end counts.
static bool final(const struct redemption *q, enum nonce_verdict verdict, bool own)
{
    return verdict == NONCE_OK || verdict == NONCE_USED ||
           (q->stage == REDEEM_MAKER && verdict == NONCE_UNKNOWN) ||
           (q->local && (own || q->stage == REDEEM_ADOPTED));
}

static void next_step(struct redemption *q, enum nonce_verdict verdict)
{
    bool own = q->nonce.boot == q->edge->front->boot;
    if (final(q, verdict, own))
        q->done(q, verdict);
    else if (q->stage == REDEEM_PEERS)
        ask_next_peer(q);
    else if (q->stage == REDEEM_MAKER && !own)
        ask_adopted(q);
    else
        ask_peers(q);
}

static void begin(struct edge *e, struct redemption *q, bool local)
{
    q->edge = e;
    q->home = e->shard;
    q->local = local;
    q->stage = REDEEM_MAKER;
    bool own = q->nonce.boot == e->front->boot;
    if (own && q->nonce.core < shard_count(e->shard))
        ask_core(q, q->nonce.core);
    else if (own)
        q->done(q, NONCE_UNKNOWN);
    else if (local || !ask_front_end(q, q->nonce.boot))
        ask_adopted(q);
}

void redeem_start(struct edge *e, struct redemption *q) { begin(e, q, false); }

void redeem_start_local(struct edge *e, struct redemption *q) { begin(e, q, true); }
