#include "signer/client.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"
#include "proto/rpc/signer.pb-c.h"
#include "signer/err.h"
#include "signer/events.h"
#include "signer/wire.h"

enum {
    TARGETS_MAX = 64,
    DESCRIPTION_MAX = 1 << 20,
    BATCH_ARENA_MAX = 8 << 20,
    DESCRIBE_DEADLINE_MS = 3000,
    WRONG_ASIDE_MS = 30000,
    KINDS_MAX = 8,
    PROFILES_MAX = 64,
    SIGN_SIZE_MAX = 1 << 20, // of a message: what signers take
    INTENT_SIZE = 512,       // of an intent on the wire, above what differs in length
    NAME_SIZE = 16           // of a name, above its text
};

typedef Certmill__Signer__V1__DescribeResponse Description;

// struct describer asks one target what it offers, again and again.
struct describer {
    struct signer_client *client;
    struct rpc_call call;
    struct timer timer;
    unsigned target;
    bool known, agrees, calling;
    uint8_t hash[HASH_LEN]; // over what must agree
};

// struct batch is one Sign call and the items in it.
struct batch {
    struct signer_client *client;
    struct rpc_call call;
    struct arena arena;
    struct list items;
    size_t count;
    bool burn;
    struct list node;
};

struct signer_client {
    struct shard *shard;
    struct signer_client_options o;
    struct rpc_channel *channel;
    struct describer describers[TARGETS_MAX];
    size_t target_count;
    struct list queue; // struct signer_sign
    size_t queued;
    struct turn_hook hook;
    struct list batches, renewals, crls;
    // what the agreeing signers offer
    struct arena arena;
    uint8_t hash[HASH_LEN];
    bool described;
    struct signer_profile *profiles;
    size_t profile_count;
    struct signer_issuer *issuers;
    size_t issuer_count;
    char text[256];
    bool away_said, freed;
};

static struct slice bin(ProtobufCBinaryData d) { return slice_of(d.data, d.len); }

// ---- Describe

static void hash_add(SHA256_CTX *ctx, struct slice s)
{
    uint8_t n[4] = {(uint8_t)(s.n >> 24), (uint8_t)(s.n >> 16), (uint8_t)(s.n >> 8), (uint8_t)s.n};
    SHA256_Update(ctx, n, 4);
    SHA256_Update(ctx, s.p, s.n);
}

static void chain_hash(SHA256_CTX *ctx, const Certmill__Signer__V1__DescribeResponse__Chain *c)
{
    for (size_t i = 0; i < c->n_certificates; i++) hash_add(ctx, bin(c->certificates[i]));
    hash_add(ctx, bin(c->root));
}

static void description_hash(uint8_t out[HASH_LEN], const Description *d)
{
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    for (size_t i = 0; i < d->n_profiles; i++) {
        hash_add(&ctx, slice_str(d->profiles[i]->name));
        hash_add(&ctx, bin(d->profiles[i]->hash));
        hash_add(&ctx, slice_of(d->profiles[i]->issuer_weights,
                                d->profiles[i]->n_issuer_weights * sizeof(uint32_t)));
    }
    for (size_t i = 0; i < d->n_issuers; i++) {
        hash_add(&ctx, bin(d->issuers[i]->certificate));
        for (size_t k = 0; k < d->issuers[i]->n_chains; k++)
            chain_hash(&ctx, d->issuers[i]->chains[k]);
        for (size_t k = 0; k < d->issuers[i]->n_serial_keys; k++)
            hash_add(&ctx, bin(d->issuers[i]->serial_keys[k]->hash));
    }
    SHA256_Final(out, &ctx);
}

static bool dup_text(struct slice *out, struct arena *a, const char *text)
{
    return !failed(arena_dup(out, a, slice_str(text)));
}

static bool profile_take(struct signer_profile *out, struct arena *a,
                         const Certmill__Signer__V1__DescribeResponse__Profile *p)
{
    uint16_t *issuers = ARENA_ARRAY(a, uint16_t, p->n_issuers + 1);
    uint32_t *weights = ARENA_ARRAY(a, uint32_t, p->n_issuers + 1);
    struct slice *kinds = ARENA_ARRAY(a, struct slice, p->n_key_kinds + 1),
                 *networks = ARENA_ARRAY(a, struct slice, p->n_networks + 1);
    if (issuers == NULL || weights == NULL || kinds == NULL || networks == NULL ||
        p->hash.len != HASH_LEN || !dup_text(&out->name, a, p->name) ||
        !dup_text(&out->text, a, p->text))
        return false;
    memcpy(out->hash, p->hash.data, HASH_LEN);
    out->template_version = p->template_version;
    out->validity_s = p->validity_s;
    out->backdate_s = p->backdate_s;
    out->no_rev_avail = p->no_rev_avail;
    out->wildcards = p->wildcards;
    out->crl_parts = p->crl_parts <= CRL_PARTS_MAX ? p->crl_parts : 0;
    bool weighed = p->n_issuer_weights == p->n_issuers;
    for (size_t i = 0; i < p->n_issuers; i++) {
        issuers[i] = (uint16_t)p->issuers[i];
        weights[i] = weighed ? p->issuer_weights[i] : 1;
    }
    out->weights = weights;
    for (size_t i = 0; i < p->n_key_kinds; i++)
        if (!dup_text(&kinds[i], a, p->key_kinds[i])) return false;
    for (size_t i = 0; i < p->n_networks; i++)
        if (!dup_text(&networks[i], a, p->networks[i])) return false;
    out->networks = networks;
    out->network_count = p->n_networks;
    out->issuers = issuers;
    out->issuer_count = p->n_issuers;
    out->key_kinds = kinds;
    out->key_kind_count = p->n_key_kinds;
    return true;
}

static bool slices_take(const struct slice **out, struct arena *a, const ProtobufCBinaryData *in,
                        size_t count)
{
    struct slice *copy = ARENA_ARRAY(a, struct slice, count + 1);
    bool ok = copy != NULL;
    for (size_t i = 0; ok && i < count; i++) ok = !failed(arena_dup(&copy[i], a, bin(in[i])));
    *out = copy;
    return ok;
}

static bool chains_take(struct signer_issuer *out, struct arena *a,
                        const Certmill__Signer__V1__DescribeResponse__Issuer *i)
{
    struct signer_chain *chains = ARENA_ARRAY(a, struct signer_chain, i->n_chains + 1);
    bool ok = chains != NULL && i->n_chains <= SIGNER_CHAINS_MAX;
    for (size_t k = 0; ok && k < i->n_chains; k++) {
        const Certmill__Signer__V1__DescribeResponse__Chain *c = i->chains[k];
        chains[k].count = c->n_certificates;
        ok = slices_take(&chains[k].certificates, a, c->certificates, c->n_certificates) &&
             !failed(arena_dup(&chains[k].root, a, bin(c->root)));
    }
    out->chains = chains;
    out->further_count = ok ? i->n_chains : 0;
    return ok;
}

static bool issuer_take(struct signer_issuer *out, struct arena *a,
                        const Certmill__Signer__V1__DescribeResponse__Issuer *i)
{
    if (i->n_serial_keys == 0 || !slices_take(&out->chain, a, i->chain, i->n_chain) ||
        !chains_take(out, a, i))
        return false;
    out->id = (uint16_t)i->id;
    if (failed(arena_dup(&out->certificate, a, bin(i->certificate))) ||
        failed(arena_dup(&out->root, a, bin(i->root))))
        return false;
    out->chain_count = i->n_chain;
    out->serial_key_generation = i->serial_keys[i->n_serial_keys - 1]->generation;
    SHA256(out->certificate.p, out->certificate.n, out->certificate_hash);
    return true;
}

static void adopt(struct signer_client *c, const Description *d, const uint8_t hash[HASH_LEN])
{
    arena_reset(&c->arena);
    c->profiles = ARENA_ARRAY(&c->arena, struct signer_profile, d->n_profiles + 1);
    c->issuers = ARENA_ARRAY(&c->arena, struct signer_issuer, d->n_issuers + 1);
    bool ok = c->profiles != NULL && c->issuers != NULL && d->n_issuers > 0;
    for (size_t i = 0; ok && i < d->n_issuers; i++)
        ok = issuer_take(&c->issuers[i], &c->arena, d->issuers[i]);
    for (size_t i = 0; ok && i < d->n_profiles; i++)
        ok = profile_take(&c->profiles[i], &c->arena, d->profiles[i]);
    c->described = ok;
    c->profile_count = ok ? d->n_profiles : 0;
    c->issuer_count = ok ? d->n_issuers : 0;
    memcpy(c->hash, hash, HASH_LEN);
    if (c->o.changed != NULL) c->o.changed(c->o.ctx);
}

static bool anyone_agrees(const struct signer_client *c)
{
    for (size_t i = 0; i < c->target_count; i++)
        if (c->describers[i].known && c->describers[i].agrees) return true;
    return false;
}

static void described(struct describer *d, const Description *m)
{
    struct signer_client *c = d->client;
    description_hash(d->hash, m);
    d->known = true;
    if (m->region != c->o.region) {
        d->agrees = false;
        rpc_channel_eject(c->channel, d->target, 2 * c->o.describe_ms);
        return;
    }
    d->agrees = c->described && memcmp(d->hash, c->hash, HASH_LEN) == 0;
    // The first one sets the standard; when nobody holds to it any more (a rolled-out profile), the
    // next one does.
    if (!d->agrees && !anyone_agrees(c)) {
        adopt(c, m, d->hash);
        d->agrees = c->described;
    }
    if (d->agrees) return;
    rpc_channel_eject(c->channel, d->target, 2 * c->o.describe_ms);
    LOG(shard_log(c->shard), &EVENT_SIGNER_DISAGREES, "a signer differs from the others",
        LOG_INT("target", d->target));
}

// away_say: once for each outage, and on one core, what an operator should know and do.
static void away_say(struct signer_client *c, bool away, const char *text)
{
    bool news = away && !c->away_said;
    c->away_said = away;
    if (news && shard_index(c->shard) == 0)
        LOG(shard_log(c->shard), &EVENT_SIGNER_UNREACHABLE,
            "no signer can be reached: orders wait; start a signer, or correct signer.targets",
            LOG_STR("why", text));
}

static void on_described(struct rpc_call *call, enum rpc_status status,
                         const ProtobufCMessage *response, const char *text, bool unsent)
{
    struct describer *d = LIST_OWNER(call, struct describer, call);
    (void)unsent;
    d->calling = false;
    if (status == RPC_OK)
        described(d, (const Description *)response);
    else
        d->known = d->agrees = false;
    snprintf(d->client->text, sizeof d->client->text, "%s",
             status == RPC_OK ? rpc_channel_text(d->client->channel) : text);
    away_say(d->client, !anyone_agrees(d->client), text);
    if (!d->client->freed)
        timer_set(d->client->shard, &d->timer, status == RPC_OK ? d->client->o.describe_ms : 200);
}

static void on_describe_timer(struct timer *t)
{
    struct describer *d = LIST_OWNER(t, struct describer, timer);
    Certmill__Signer__V1__DescribeRequest m = CERTMILL__SIGNER__V1__DESCRIBE_REQUEST__INIT;
    d->call.done = on_described;
    d->calling = true;
    struct err e = rpc_call_start(
        d->client->channel, &d->call, "/certmill.signer.v1.Signer/Describe", &m.base,
        &certmill__signer__v1__describe_response__descriptor, DESCRIBE_DEADLINE_MS, (int)d->target);
    if (!failed(e)) return;
    d->calling = false;
    timer_set(d->client->shard, t, d->client->o.describe_ms);
}

// ---- Sign

static void item_end(struct signer_sign *i, struct err e, const char *text) { i->done(i, e, text); }

static void batch_free(struct batch *b)
{
    list_remove(&b->node);
    arena_fini(&b->arena);
    free(b);
}

static struct err err_of(int status)
{
    switch (status) {
    case CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__SIGNED:
        return OK;
    case CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BURNED:
    case CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__REFUSED:
        return ERR(SIGNER_REFUSED);
    case CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__MISMATCH:
        return ERR(SIGNER_MISMATCH);
    case CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__CONFLICT:
        return ERR(SIGNER_CONFLICT);
    case CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BUSY:
        return ERR(SIGNER_BUSY);
    default:
        return ERR(SIGNER_WRONG);
    }
}

// result_take compares what came back with what was asked (T54: no answer goes to another's
// request).
static void result_take(struct batch *b, struct signer_sign *i,
                        const Certmill__Signer__V1__SignResult *r)
{
    uint8_t hash[HASH_LEN];
    intent_hash(hash, i->intent);
    i->target = b->call.target;
    bool same = r != NULL && slice_eq(bin(r->order), slice_of(i->intent->order.b, 16)) &&
                slice_eq(bin(r->intent_hash), slice_of(hash, HASH_LEN));
    if (!same) {
        item_end(i, ERR(SIGNER_WRONG), "the signer's answer is not for this intent");
        return;
    }
    struct err e = err_of(r->status);
    if (r->serial.len == SERIAL_LEN) memcpy(i->serial, r->serial.data, SERIAL_LEN);
    i->burned = r->status == CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BURNED &&
                r->serial.len == SERIAL_LEN;
    i->certificate = bin(r->certificate);
    if (b->burn && i->burned) e = OK;
    if (!failed(e) && !i->burned && (r->serial.len != SERIAL_LEN || i->certificate.n == 0))
        e = ERR(SIGNER_WRONG);
    item_end(i, e, r->text[0] != 0 ? r->text : err_text(e));
}

static void batch_fail(struct batch *b, struct err e, const char *text)
{
    while (!list_empty(&b->items))
        item_end(LIST_OWNER(list_pop_front(&b->items), struct signer_sign, node), e, text);
}

static void on_signed(struct rpc_call *call, enum rpc_status status,
                      const ProtobufCMessage *response, const char *text, bool unsent)
{
    struct batch *b = LIST_OWNER(call, struct batch, call);
    (void)unsent; // repeating is harmless: the same intent, the same certificate
    if (status != RPC_OK) {
        batch_fail(b, status == RPC_RESOURCE_EXHAUSTED ? ERR(SIGNER_BUSY) : ERR(SIGNER_AWAY), text);
    } else if (b->burn) {
        const Certmill__Signer__V1__BurnResponse *m = (const Certmill__Signer__V1__BurnResponse *)
            response;
        result_take(b, LIST_OWNER(list_pop_front(&b->items), struct signer_sign, node), m->result);
    } else {
        const Certmill__Signer__V1__SignResponse *m = (const Certmill__Signer__V1__SignResponse *)
            response;
        for (size_t k = 0; !list_empty(&b->items); k++)
            result_take(b, LIST_OWNER(list_pop_front(&b->items), struct signer_sign, node),
                        k < m->n_results ? m->results[k] : NULL);
    }
    batch_free(b);
}

static struct batch *batch_new(struct signer_client *c, bool burn)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL) return NULL;
    b->client = c;
    b->burn = burn;
    b->call.done = on_signed;
    list_init(&b->items);
    list_push_back(&c->batches, &b->node);
    arena_init(&b->arena, BATCH_ARENA_MAX);
    return b;
}

static unsigned deadline_of(const struct signer_client *c, const struct signer_sign *i)
{
    uint64_t now = shard_now_ns(c->shard);
    return i->deadline_ns > now ? (unsigned)((i->deadline_ns - now) / 1000000) + 1 : 1;
}

static struct err batch_send(struct signer_client *c, struct batch *b)
{
    Certmill__Signer__V1__SignRequest m = CERTMILL__SIGNER__V1__SIGN_REQUEST__INIT;
    Certmill__Signer__V1__Intent *intents = ARENA_ARRAY(&b->arena, Certmill__Signer__V1__Intent,
                                                        b->count);
    m.intents = ARENA_ARRAY(&b->arena, Certmill__Signer__V1__Intent *, b->count);
    if (intents == NULL || m.intents == NULL) return ERR(NO_SPACE);
    unsigned deadline = 1;
    LIST_EACH (node, &b->items) {
        struct signer_sign *i = LIST_OWNER(node, struct signer_sign, node);
        TRY(wire_intent_write(&intents[m.n_intents], &b->arena, i->intent));
        m.intents[m.n_intents] = &intents[m.n_intents];
        m.n_intents++;
        unsigned d = deadline_of(c, i);
        if (d > deadline) deadline = d;
    }
    return rpc_call_start(c->channel, &b->call, "/certmill.signer.v1.Signer/Sign", &m.base,
                          &certmill__signer__v1__sign_response__descriptor, deadline,
                          RPC_ANY_TARGET);
}

// wire_size is an intent's share of a message, at most.
static size_t wire_size(const struct intent *in)
{
    size_t n = INTENT_SIZE + in->spki.n + in->tenant.n + in->profile.n;
    for (size_t i = 0; i < in->name_count; i++) n += NAME_SIZE + in->names[i].value.n;
    return n;
}

// batch_fill moves what fits into one message from the queue to the batch: one item at least.
static void batch_fill(struct signer_client *c, struct batch *b)
{
    size_t size = 0;
    while (b->count < SIGNER_BATCH_MAX && !list_empty(&c->queue)) {
        size += wire_size(LIST_OWNER(c->queue.next, struct signer_sign, node)->intent);
        if (b->count > 0 && size > SIGN_SIZE_MAX) return;
        list_push_back(&b->items, list_pop_front(&c->queue));
        b->count++;
        c->queued--;
    }
}

static void on_turn(struct turn_hook *hook)
{
    struct signer_client *c = LIST_OWNER(hook, struct signer_client, hook);
    while (!list_empty(&c->queue)) {
        struct batch *b = batch_new(c, false);
        if (b == NULL) return; // the next turn with something new tries again
        batch_fill(c, b);
        struct err e = batch_send(c, b);
        if (!failed(e)) continue;
        batch_fail(b, ERR(SIGNER_BUSY), "the signer's queue is full");
        batch_free(b);
    }
}

struct err signer_client_sign(struct signer_client *c, struct signer_sign *call,
                              unsigned deadline_ms)
{
    if (c->queued >= c->o.queue_max) return ERR(SIGNER_BUSY);
    call->deadline_ns = shard_now_ns(c->shard) + (uint64_t)deadline_ms * 1000000;
    call->burned = false;
    call->certificate = SLICE_NONE;
    list_push_back(&c->queue, &call->node);
    c->queued++;
    turn_hook_arm(c->shard, &c->hook);
    return OK;
}

struct err signer_client_burn(struct signer_client *c, struct signer_sign *call,
                              unsigned deadline_ms)
{
    Certmill__Signer__V1__BurnRequest m = CERTMILL__SIGNER__V1__BURN_REQUEST__INIT;
    Certmill__Signer__V1__Intent intent;
    struct batch *b = batch_new(c, true);
    if (b == NULL) return ERR(SIGNER_BUSY);
    call->burned = false;
    call->certificate = SLICE_NONE;
    struct err e = wire_intent_write(&intent, &b->arena, call->intent);
    m.intent = &intent;
    if (!failed(e))
        e = rpc_call_start(c->channel, &b->call, "/certmill.signer.v1.Signer/Burn", &m.base,
                           &certmill__signer__v1__burn_response__descriptor, deadline_ms,
                           RPC_ANY_TARGET);
    if (failed(e)) {
        batch_free(b);
        return ERR(SIGNER_BUSY);
    }
    list_push_back(&b->items, &call->node);
    b->count = 1;
    return OK;
}

void signer_client_wrong(struct signer_client *c, const struct signer_sign *call)
{
    rpc_channel_eject(c->channel, call->target, WRONG_ASIDE_MS);
}

// ---- Renew

static void on_renewed(struct rpc_call *call, enum rpc_status status,
                       const ProtobufCMessage *response, const char *text, bool unsent)
{
    struct signer_renew *r = LIST_OWNER(call, struct signer_renew, call);
    (void)unsent;
    list_remove(&r->node);
    if (status == RPC_OK)
        r->done(r, OK, slice_str(((const Certmill__Signer__V1__RenewResponse *)response)->chain),
                "");
    else
        r->done(r,
                status == RPC_UNAVAILABLE || status == RPC_DEADLINE_EXCEEDED ? ERR(SIGNER_AWAY)
                : status == RPC_RESOURCE_EXHAUSTED                           ? ERR(SIGNER_BUSY)
                                                                             : ERR(SIGNER_REFUSED),
                SLICE_NONE, text);
}

struct err signer_client_renew(struct signer_client *c, struct signer_renew *call, bool server,
                               struct slice csr, unsigned deadline_ms)
{
    Certmill__Signer__V1__RenewRequest m = CERTMILL__SIGNER__V1__RENEW_REQUEST__INIT;
    m.purpose = server ? CERTMILL__SIGNER__V1__RENEW_REQUEST__PURPOSE__SERVER
                       : CERTMILL__SIGNER__V1__RENEW_REQUEST__PURPOSE__INTERNAL;
    m.csr = (ProtobufCBinaryData){.len = csr.n, .data = (uint8_t *)(uintptr_t)csr.p};
    call->call = (struct rpc_call){.done = on_renewed};
    list_push_back(&c->renewals, &call->node);
    struct err e = rpc_call_start(c->channel, &call->call, "/certmill.signer.v1.Signer/Renew",
                                  &m.base, &certmill__signer__v1__renew_response__descriptor,
                                  deadline_ms, RPC_ANY_TARGET);
    if (!failed(e)) return OK;
    list_remove(&call->node);
    return ERR(SIGNER_BUSY);
}

// ---- SignCrl

static struct err crl_err(int status)
{
    switch (status) {
    case CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__SIGNED:
        return OK;
    case CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__REFUSED:
        return ERR(SIGNER_REFUSED);
    case CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__MISMATCH:
        return ERR(SIGNER_MISMATCH);
    case CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__NUMBER_USED:
        return ERR(SIGNER_NUMBER);
    case CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__BUSY:
        return ERR(SIGNER_BUSY);
    default:
        return ERR(SIGNER_WRONG);
    }
}

static void on_crl(struct rpc_call *call, enum rpc_status status, const ProtobufCMessage *response,
                   const char *text, bool unsent)
{
    struct signer_crl *r = LIST_OWNER(call, struct signer_crl, call);
    const Certmill__Signer__V1__SignCrlResponse *m = (const Certmill__Signer__V1__SignCrlResponse *)
        response;
    (void)unsent; // a number that was used without an answer is told with the next one
    list_remove(&r->node);
    if (status != RPC_OK) {
        r->done(r, status == RPC_RESOURCE_EXHAUSTED ? ERR(SIGNER_BUSY) : ERR(SIGNER_AWAY), text);
        return;
    }
    r->crl = bin(m->crl);
    r->last_number = m->last_number;
    r->done(r, crl_err(m->status), m->text);
}

// crl_entries_put fills the message's entries, which borrow from the call's.
static struct err crl_entries_put(Certmill__Signer__V1__SignCrlRequest *m, struct arena *a,
                                  const struct signer_crl *r)
{
    Certmill__Signer__V1__CrlEntry *entries = ARENA_ARRAY(a, Certmill__Signer__V1__CrlEntry,
                                                          r->count + 1);
    m->entries = ARENA_ARRAY(a, Certmill__Signer__V1__CrlEntry *, r->count + 1);
    if (entries == NULL || m->entries == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < r->count; i++) {
        certmill__signer__v1__crl_entry__init(&entries[i]);
        entries[i].serial = (ProtobufCBinaryData){
            .len = SERIAL_LEN, .data = (uint8_t *)(uintptr_t)r->entries[i].serial};
        entries[i].revoked_at = r->entries[i].revoked_at;
        entries[i].reason = r->entries[i].reason;
        m->entries[i] = &entries[i];
    }
    m->n_entries = r->count;
    return OK;
}

struct err signer_client_crl(struct signer_client *c, struct signer_crl *call, unsigned deadline_ms)
{
    Certmill__Signer__V1__SignCrlRequest m = CERTMILL__SIGNER__V1__SIGN_CRL_REQUEST__INIT;
    struct arena a;
    arena_init(&a, BATCH_ARENA_MAX);
    m.issuer = call->issuer;
    m.issuer_cert_hash = (ProtobufCBinaryData){
        .len = HASH_LEN, .data = (uint8_t *)(uintptr_t)call->issuer_cert_hash};
    m.shard = call->shard;
    m.number = call->number;
    m.this_update = call->this_update;
    m.next_update = call->next_update;
    call->crl = SLICE_NONE;
    call->last_number = 0;
    call->call = (struct rpc_call){.done = on_crl};
    list_push_back(&c->crls, &call->node);
    struct err e = crl_entries_put(&m, &a, call);
    if (!failed(e) &&
        failed(rpc_call_start(c->channel, &call->call, "/certmill.signer.v1.Signer/SignCrl",
                              &m.base, &certmill__signer__v1__sign_crl_response__descriptor,
                              deadline_ms, RPC_ANY_TARGET)))
        e = ERR(SIGNER_BUSY);
    arena_fini(&a); // the request was packed
    if (failed(e)) list_remove(&call->node);
    return e;
}

void signer_client_tls_set(struct signer_client *c, struct tls_context *tls)
{
    rpc_channel_tls_set(c->channel, tls);
}

// ---- lookups

bool signer_client_ready(const struct signer_client *c)
{
    return c->described && rpc_channel_connected(c->channel) > 0;
}

const char *signer_client_state_text(const struct signer_client *c)
{
    return c->text[0] != 0 ? c->text : rpc_channel_text(c->channel);
}

const struct signer_profile *signer_client_profile(const struct signer_client *c, struct slice name)
{
    for (size_t i = 0; i < c->profile_count; i++)
        if (slice_eq(c->profiles[i].name, name)) return &c->profiles[i];
    return NULL;
}

const struct signer_issuer *signer_client_issuer(const struct signer_client *c, uint16_t id)
{
    for (size_t i = 0; i < c->issuer_count; i++)
        if (c->issuers[i].id == id) return &c->issuers[i];
    return NULL;
}

size_t signer_client_profiles(const struct signer_client *c, const struct signer_profile **out)
{
    *out = c->profiles;
    return c->profile_count;
}

struct err signer_client_new(struct signer_client **out, struct shard *shard,
                             const struct signer_client_options *options)
{
    struct signer_client *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR(SIGNER_BUSY);
    c->shard = shard;
    c->o = *options;
    c->hook.run = on_turn;
    list_init(&c->hook.node);
    list_init(&c->queue);
    list_init(&c->batches);
    list_init(&c->renewals);
    list_init(&c->crls);
    arena_init(&c->arena, DESCRIPTION_MAX);
    c->target_count = options->channel.target_count < TARGETS_MAX ? options->channel.target_count
                                                                  : TARGETS_MAX;
    c->channel = rpc_channel_new(shard, &options->channel);
    if (c->channel == NULL) {
        free(c);
        return ERR(SIGNER_BUSY);
    }
    for (size_t i = 0; i < c->target_count; i++) {
        c->describers[i] = (struct describer){
            .client = c, .target = (unsigned)i, .timer = {.fire = on_describe_timer}};
        timer_set(shard, &c->describers[i].timer, 0);
    }
    *out = c;
    return OK;
}

void signer_client_free(struct signer_client *c)
{
    if (c == NULL) return;
    c->freed = true;
    turn_hook_disarm(&c->hook);
    while (!list_empty(&c->queue))
        item_end(LIST_OWNER(list_pop_front(&c->queue), struct signer_sign, node), ERR(SIGNER_AWAY),
                 "shutting down");
    for (size_t i = 0; i < c->target_count; i++) {
        timer_cancel(&c->describers[i].timer);
        if (c->describers[i].calling) rpc_call_cancel(&c->describers[i].call);
    }
    LIST_EACH (node, &c->batches) {
        struct batch *b = LIST_OWNER(node, struct batch, node);
        rpc_call_cancel(&b->call);
        batch_fail(b, ERR(SIGNER_AWAY), "shutting down");
        batch_free(b);
    }
    while (!list_empty(&c->renewals)) {
        struct signer_renew *r = LIST_OWNER(list_pop_front(&c->renewals), struct signer_renew,
                                            node);
        rpc_call_cancel(&r->call);
        r->done(r, ERR(SIGNER_AWAY), SLICE_NONE, "shutting down");
    }
    while (!list_empty(&c->crls)) {
        struct signer_crl *r = LIST_OWNER(list_pop_front(&c->crls), struct signer_crl, node);
        rpc_call_cancel(&r->call);
        r->done(r, ERR(SIGNER_AWAY), "shutting down");
    }
    rpc_channel_free(c->channel);
    arena_fini(&c->arena);
    free(c);
}
