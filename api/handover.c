#include "api/handover.h"

#include <stdlib.h>

#include "api/edge.h"
#include "api/events.h"
#include "api/node_rpc.h"
#include "api/redeem.h"

enum { PEERS_OFFERED_MAX = 8 };

// struct snapshot travels to a core and back with what it has to hand over.
struct snapshot {
    struct message message;
    struct shard *home;
    struct handover *handover;
    struct nonce_window window; // a copy; `bits` NULL: nothing
};

struct handover {
    struct edge *edge;
    void (*done)(void *ctx, unsigned taken, unsigned count);
    void *ctx;
    unsigned missing; // snapshots on their way
    struct nonce_window *windows;
    unsigned count, at, taken, peer;
    struct node_handover offer;
};

static void offer_next(struct handover *h);

// ---- the end: cores answer again

static void thaw(struct shard *shard, struct message *m)
{
    struct edge *e = edge_of(shard);
    e->nonces_state = NONCES_GONE;
    redeem_frozen_end(e);
    free(m);
}

static void finish(struct handover *h)
{
    struct shard *shard = h->edge->shard;
    for (unsigned i = 0; i < shard_count(shard); i++) {
        struct message *m = calloc(1, sizeof *m);
        CHECK(m != NULL); // a few bytes, once
        m->run = thaw;
        shard_post(shard_sibling(shard, i), m);
    }
    for (unsigned i = 0; i < h->count; i++) nonce_window_fini(&h->windows[i]);
    h->done(h->ctx, h->taken, h->count);
    free(h->windows);
    free(h);
}

// ---- offering

static void on_offered(struct node_handover *offer, enum handover_result result)
{
    struct handover *h = LIST_OWNER(offer, struct handover, offer);
    if (result == HANDOVER_REFUSED) {
        h->peer++; // nobody has it: ask the next
    } else {
        h->taken += result == HANDOVER_TAKEN;
        h->at++; // in doubt is lost: offering it again could make two holders
        h->peer = 0;
    }
    offer_next(h);
}

static void offer_next(struct handover *h)
{
    struct node_rpc *n = h->edge->node_rpc;
    h->offer.done = on_offered;
    for (; h->at < h->count; h->at++, h->peer = 0) {
        uint64_t boot;
        for (; h->peer < PEERS_OFFERED_MAX && node_rpc_peer(n, h->peer, &boot); h->peer++)
            if (node_rpc_handover(n, boot, &h->windows[h->at], &h->offer)) return;
    }
    finish(h);
}

// ---- gathering

static void window_add(struct handover *h, const struct nonce_window *w)
{
    struct nonce_window copy;
    if (w->next == 0 ||
        failed(nonce_window_adopt(&copy, w->boot, w->core, w->next, nonce_window_bits(w))))
        return;
    h->windows[h->count++] = copy;
}

static void on_snapshot(struct shard *shard, struct message *m)
{
    struct snapshot *s = LIST_OWNER(m, struct snapshot, message);
    struct handover *h = s->handover;
    (void)shard;
    if (s->window.bits != NULL) h->windows[h->count++] = s->window;
    free(s);
    if (--h->missing > 0) return;
    for (size_t i = 0; i < h->edge->adopted_count; i++) window_add(h, &h->edge->adopted[i].window);
    offer_next(h);
}

static void freeze(struct shard *shard, struct message *m)
{
    struct snapshot *s = LIST_OWNER(m, struct snapshot, message);
    struct edge *e = edge_of(shard);
    const struct nonce_window *w = &e->nonces;
    e->nonces_state = NONCES_FROZEN;
    if (w->next == 0 ||
        failed(nonce_window_adopt(&s->window, w->boot, w->core, w->next, nonce_window_bits(w))))
        s->window.bits = NULL;
    s->message.run = on_snapshot;
    shard_post(s->home, &s->message);
}

void handover_start(struct edge *e, void (*done)(void *ctx, unsigned taken, unsigned count),
                    void *ctx)
{
    unsigned cores = shard_count(e->shard);
    struct handover *h = calloc(1, sizeof *h);
    CHECK(h != NULL); // a few kilobytes, once
    h->windows = calloc(cores + NONCE_ADOPTED_MAX, sizeof *h->windows);
    CHECK(h->windows != NULL);
    h->edge = e;
    h->done = done;
    h->ctx = ctx;
    h->missing = cores;
    for (unsigned i = 0; i < cores; i++) {
        struct snapshot *s = calloc(1, sizeof *s);
        CHECK(s != NULL);
        s->message.run = freeze;
        s->home = e->shard;
        s->handover = h;
        shard_post(shard_sibling(e->shard, i), &s->message);
    }
}

// ---- taking over

struct adoption {
    struct message message;
    struct shard *home;
    struct nonce_window window;
    bool accepted;
    void (*done)(void *ctx, bool accepted);
    void *ctx;
};

static bool adopt(struct edge *e, const struct nonce_window *w)
{
    if (e->draining || e->nonces_state != NONCES_HERE || e->adopted_count == NONCE_ADOPTED_MAX ||
        w->boot == e->front->boot)
        return false;
    for (size_t i = 0; i < e->adopted_count; i++)
        if (e->adopted[i].window.boot == w->boot && e->adopted[i].window.core == w->core)
            return false;
    uint64_t life_ns = ((uint64_t)e->front->settings->nonce_ms / 1000 + NONCE_SKEW_S) * 1000000000;
    e->adopted[e->adopted_count++] = (struct adopted_window){
        .window = *w, .until_ns = shard_now_ns(e->shard) + life_ns};
    return true;
}

static void on_adopted(struct shard *shard, struct message *m)
{
    struct adoption *a = LIST_OWNER(m, struct adoption, message);
    (void)shard;
    a->done(a->ctx, a->accepted);
    free(a);
}

static void on_adoption(struct shard *shard, struct message *m)
{
    struct adoption *a = LIST_OWNER(m, struct adoption, message);
    a->accepted = adopt(edge_of(shard), &a->window);
    if (a->accepted)
        LOG(shard_log(shard), &EVENT_NONCES_ADOPTED, NULL, LOG_INT("core", a->window.core),
            LOG_INT("issued", a->window.next));
    else
        nonce_window_fini(&a->window);
    a->message.run = on_adopted;
    shard_post(a->home, &a->message);
}

void handover_adopt(struct edge *e, struct nonce_window *w, void (*done)(void *ctx, bool accepted),
                    void *ctx)
{
    struct adoption *a = calloc(1, sizeof *a);
    if (a == NULL) {
        nonce_window_fini(w);
        done(ctx, false);
        return;
    }
    *a = (struct adoption){
        .message = {.run = on_adoption}, .home = e->shard, .window = *w, .done = done, .ctx = ctx};
    shard_post(shard_sibling(e->shard, 0), &a->message);
}

void handover_expire(struct edge *e)
{
    uint64_t now = shard_now_ns(e->shard);
    for (size_t i = e->adopted_count; i-- > 0;) {
        if (e->adopted[i].until_ns > now) continue;
        nonce_window_fini(&e->adopted[i].window);
        e->adopted[i] = e->adopted[--e->adopted_count];
    }
}
