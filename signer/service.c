#include "signer/service.h"

#include <openssl/mem.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "cluster/core/address.h"
#include "cluster/core/clock.h"
#include "cluster/core/seam.h"
#include "proto/der/csr.h"
#include "proto/err.h"
#include "proto/rpc/health.pb-c.h"
#include "proto/rpc/signer.pb-c.h"
#include "proto/tls/tls.h"
#include "signer/crl_sign.h"
#include "signer/engine.h"
#include "signer/err.h"
#include "signer/events.h"
#include "signer/lint.h"
#include "signer/renewal.h"
#include "signer/tbs.h"
#include "signer/wire.h"

enum {
    INTENTS_MAX = 256,
    SIGN_SIZE_MAX = 1 << 20,
    SMALL_SIZE_MAX = 65536,
    TURN_MAX = 4096,
    SCRATCH_MAX = 1 << 20,
    RENEWALS_PER_MINUTE = 60,
    CRLS_PER_SECOND = 100,
    CALLERS_MAX = 64 // as in the settings
};

typedef Certmill__Signer__V1__SignRequest SignRequest;
typedef Certmill__Signer__V1__SignResult SignResult;
typedef Certmill__Signer__V1__Intent WireIntent;

// struct item is one intent on its way through a batch.
struct item {
    const WireIntent *wire;
    struct slice packed; // the whole intent as it came, for the journal
    struct intent intent;
    uint8_t hash[HASH_LEN], serial[SERIAL_LEN];
    const struct profile *profile;
    struct slice tbs;
    struct slice certificate; // when it was signed
    struct err err;           // of signing
    SignResult *result;
    struct arena *arena;
    bool burn, sign;
};

// struct waiting is one call, with its items, until the turn's batch has been journalled.
struct waiting {
    struct list node;
    struct rpc_request *r;
    struct item *items;
    size_t count;
    SignResult *results, **pointers;
    bool burn;
};

struct service {
    struct shard *shard;
    struct service_options o;
    struct rpc_service *rpc;
    struct list queue;
    size_t queued;
    size_t claimed;       // places in the journal's index that items at hand will take
    struct arena scratch; // of one item at a time
    struct turn_hook hook;
    struct rate fresh, repeats, crls; // of one second
    struct rate callers[CALLERS_MAX]; // in the order of the settings
    int64_t renewal_minute;
    unsigned renewal_count;
    bool stopped;
};

static ProtobufCBinaryData binary(const void *p, size_t n)
{
    return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

// ---- answers

static void answer(struct item *i, int status, const char *text)
{
    i->result->status = (Certmill__Signer__V1__SignResult__Status)status;
    i->result->text = (char *)(uintptr_t)text;
}

static void busy(struct item *i, const char *text)
{
    answer(i, CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BUSY, text);
}

// rate_taken takes a place in this second, of what is new or of what is repeated; and says, once a
// minute, that there was none.
static bool rate_taken(struct service *s, struct rate *r, struct item *i)
{
    int64_t now = shard_wall_s(s->shard), most = s->o.policy.settings->rate_per_s;
    bool taken = rate_take(r, now, most);
    int64_t refused = rate_alarm(r, now);
    if (refused > 0)
        LOG(shard_log(s->shard), &EVENT_SIGNER_RATE, NULL, LOG_INT("rate", most),
            LOG_INT("refused", refused), LOG_INT("repeats", r == &s->repeats));
    if (!taken) busy(i, "the signer's rate is used up for this second");
    return taken;
}

// burns_signed: the order ended without its certificate, which no client has got: its serial is
// burned all the same.
static bool burns_signed(const struct item *i, const struct journal_entry *e)
{
    return i->burn && !e->burned && memcmp(e->intent_hash, i->hash, HASH_LEN) == 0;
}

// caller_rate_taken takes a place in this second of the caller's group, where it has one.
static bool caller_rate_taken(struct service *s, struct item *i, const char *role)
{
    const struct caller_settings *caller, *all = s->o.policy.settings->callers.items;
    int64_t now = shard_wall_s(s->shard);
    if (!policy_caller(&s->o.policy, &caller, role)) {
        answer(i, CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__MISMATCH,
               "this caller's group is not among `callers` here");
        return false;
    }
    if (caller == NULL) return true;
    struct rate *r = &s->callers[caller - all];
    bool taken = rate_take(r, now, caller->rate_per_s);
    int64_t refused = rate_alarm(r, now);
    if (refused > 0)
        LOG(shard_log(s->shard), &EVENT_SIGNER_RATE, NULL, LOG_INT("rate", caller->rate_per_s),
            LOG_INT("refused", refused), LOG_STR("caller", role));
    if (!taken) busy(i, "the caller's rate is used up for this second");
    return taken;
}

// answer_from_journal: the order is known. The same intent gets what it got; another one is an
// alarm.
static bool answer_from_journal(struct service *s, struct item *i)
{
    const struct journal_entry *e = journal_find(s->o.journal, &i->intent.order);
    struct slice der = SLICE_NONE;
    if (e == NULL || burns_signed(i, e)) return false;
    if (memcmp(e->intent_hash, i->hash, HASH_LEN) != 0) {
        LOG(shard_log(s->shard), &EVENT_SIGNER_CONFLICT,
            "an order came with another intent than the one that was signed",
            LOG_SLICE("profile", i->intent.profile));
        answer(i, CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__CONFLICT,
               "this order is known here with another intent");
        return true;
    }
    // A repeat costs a read of the disk: as many as new ones, and no more.
    if (!rate_taken(s, &s->repeats, i)) return true;
    memcpy(i->serial, e->serial, SERIAL_LEN);
    i->result->serial = binary(i->serial, SERIAL_LEN);
    i->result->repeated_answer = 1;
    if (e->burned) {
        answer(i, CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BURNED,
               "the serial of this order was burned");
        return true;
    }
    if (failed(journal_certificate(s->o.journal, e, i->arena, &der))) {
        busy(i, "the journal could not be read");
        return true;
    }
    answer(i, CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__SIGNED, "");
    i->result->certificate = binary(der.p, der.n);
    return true;
}

// ---- the batch: policy, serial, TBS, lint - sign and verify - journal, one sync - reply

static void tbs_make(struct service *s, struct item *i)
{
    struct buf b;
    const struct issuer *issuer = keystore_issuer(s->o.policy.keys, i->intent.issuer);
    buf_init(&b, TBS_MAX);
    struct err e = tbs_build(&b, &i->intent, i->profile, issuer, i->serial);
    if (!failed(e)) e = arena_dup(&i->tbs, i->arena, buf_slice(&b));
    buf_fini(&b);
    if (failed(e)) {
        busy(i, "no memory for the certificate");
        return;
    }
    const char *wrong = lint_tbs(&s->scratch, i->tbs, &i->intent, i->profile, issuer, i->serial);
    if (wrong == NULL) {
        i->sign = true;
        return;
    }
    LOG(shard_log(s->shard), &EVENT_SIGNER_LINT, wrong, LOG_SLICE("profile", i->intent.profile));
    // The sentence may lie in the scratch, which the next item uses.
    answer(i, CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__REFUSED,
           arena_printf(i->arena, "%s", wrong));
}

// room_claim makes sure, before anything is signed, that the journal can take the item: what is not
// in its index could be signed twice.
static bool room_claim(struct service *s, struct item *i)
{
    size_t n = protobuf_c_message_get_packed_size(&i->wire->base);
    uint8_t *packed = arena_alloc(i->arena, n + 1);
    if (packed == NULL) return busy(i, "no memory for the journal's record"), false;
    protobuf_c_message_pack(&i->wire->base, packed);
    i->packed = slice_of(packed, n);
    if (journal_room(s->o.journal, shard_wall_s(s->shard)) <= s->claimed)
        return busy(i, "the journal's index of 15 minutes is full here: raise journal_index"),
               false;
    s->claimed++;
    return true;
}

static void item_prepare(struct service *s, struct item *i, const char *role)
{
    const char *note = "";
    int status;
    struct err e = wire_intent_read(&i->intent, i->hash, &note, i->arena, i->wire);
    i->result->order = i->wire->order;
    i->result->intent_hash = binary(i->hash, HASH_LEN);
    if (failed(e)) {
        answer(i,
               err_is(e, ERR_SIGNER_REFUSED)
                   ? CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__REFUSED
                   : CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BAD_INTENT,
               note);
        return;
    }
    if (answer_from_journal(s, i)) return;
    serial_make(i->serial, s->o.policy.keys->serial_key, &i->intent, i->hash);
    i->result->serial = binary(i->serial, SERIAL_LEN);
    note = i->burn ? NULL
                   : policy_judge(&s->o.policy, role, &i->intent, shard_wall_s(s->shard),
                                  &i->profile, &status);
    if (note != NULL)
        answer(i, status, note);
    else if (caller_rate_taken(s, i, role) && rate_taken(s, &s->fresh, i) && room_claim(s, i) &&
             !i->burn)
        tbs_make(s, i);
}

static bool journal_item(struct service *s, struct item *i, struct slice certificate,
                         const char *caller)
{
    struct journal_record r = {.kind = i->burn ? JOURNAL_BURNED : JOURNAL_SIGNED,
                               .order = i->intent.order,
                               .time_s = shard_wall_s(s->shard),
                               .caller = slice_str(caller),
                               .intent = i->packed,
                               .certificate = certificate};
    memcpy(r.intent_hash, i->hash, HASH_LEN);
    memcpy(r.serial, i->serial, SERIAL_LEN);
    SHA256(i->tbs.p, i->tbs.n, r.tbs_hash);
    SHA256(certificate.p, certificate.n, r.certificate_hash);
    return !failed(journal_add(s->o.journal, &r));
}

// struct gathered: what goes to the engine together, from however many calls.
struct gathered {
    struct engine_item items[INTENTS_MAX];
    struct item *owners[INTENTS_MAX];
    size_t count;
};

static void gathered_sign(const struct issuer *issuer, struct gathered *g)
{
    engine_run(issuer, g->items, g->count, NULL);
    for (size_t k = 0; k < g->count; k++) {
        g->owners[k]->certificate = g->items[k].certificate;
        g->owners[k]->err = g->items[k].err;
    }
    g->count = 0;
}

// issuer_sign signs what is to be signed by one issuing CA, of all calls.
static void issuer_sign(const struct issuer *issuer, struct list *batch)
{
    struct gathered g;
    g.count = 0;
    LIST_EACH (node, batch) {
        struct waiting *w = LIST_OWNER(node, struct waiting, node);
        for (size_t i = 0; i < w->count; i++) {
            struct item *item = &w->items[i];
            if (!item->sign || item->intent.issuer != issuer->id) continue;
            if (g.count == INTENTS_MAX) gathered_sign(issuer, &g);
            g.items[g.count] = (struct engine_item){.tbs = item->tbs, .arena = item->arena};
            memcpy(g.items[g.count].salt, item->intent.salt, SALT_LEN);
            g.owners[g.count++] = item;
        }
    }
    gathered_sign(issuer, &g);
}

// batch_sign: whatever is queued is the batch of its issuing CA.
static void batch_sign(struct service *s, struct list *batch)
{
    const struct issuer *issuer;
    for (size_t i = 0; (issuer = keystore_issuer_at(s->o.policy.keys, i)) != NULL; i++)
        issuer_sign(issuer, batch);
}

// item_journal records what was made of an item, or burns its serial. False when the journal
// failed.
static bool item_journal(struct service *s, struct item *i, const char *caller)
{
    if (i->result->status != CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__UNSPECIFIED) return true;
    // Twice in one batch: the first of them is in the journal's index by now.
    if (answer_from_journal(s, i)) return true;
    if (failed(i->err)) {
        LOG(shard_log(s->shard), &EVENT_SIGNER_FAULT, err_text(i->err), LOG_ERR("error", i->err));
        busy(i, "a signature could not be made, or did not verify");
        return true;
    }
    if (!journal_item(s, i, i->certificate, caller)) return false;
    answer(i,
           i->burn ? CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BURNED
                   : CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__SIGNED,
           "");
    if (!i->burn) i->result->certificate = binary(i->certificate.p, i->certificate.n);
    return true;
}

static void count(const struct service *s, const struct metric *metric)
{
    metric_add(shard_metrics(s->shard), shard_index(s->shard), metric, 1);
}

static void results_count(const struct service *s, const struct waiting *w)
{
    static const struct metric *const by_status[] = {
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__SIGNED] = &METRIC_SIGNER_ANSWER_SIGNED,
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__REFUSED] = &METRIC_SIGNER_ANSWER_REFUSED,
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__MISMATCH] = &METRIC_SIGNER_ANSWER_MISMATCH,
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__CONFLICT] = &METRIC_SIGNER_ANSWER_CONFLICT,
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BURNED] = &METRIC_SIGNER_ANSWER_BURNED,
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BUSY] = &METRIC_SIGNER_ANSWER_BUSY,
        [CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__BAD_INTENT] = &METRIC_SIGNER_ANSWER_BAD};
    for (size_t i = 0; i < w->count; i++) {
        const SignResult *r = w->pointers[i];
        bool made = r->status == CERTMILL__SIGNER__V1__SIGN_RESULT__STATUS__SIGNED &&
                    !r->repeated_answer;
        count(s, r->repeated_answer ? &METRIC_SIGNER_ANSWER_REPEATED : by_status[r->status]);
        if (made) count(s, &METRIC_SIGNER_SIGNED);
    }
}

static void reply(struct service *s, struct waiting *w)
{
    results_count(s, w);
    if (w->burn) {
        Certmill__Signer__V1__BurnResponse m = CERTMILL__SIGNER__V1__BURN_RESPONSE__INIT;
        m.result = w->pointers[0];
        rpc_reply(w->r, &m.base);
        return;
    }
    Certmill__Signer__V1__SignResponse m = CERTMILL__SIGNER__V1__SIGN_RESPONSE__INIT;
    m.results = w->pointers;
    m.n_results = w->count;
    rpc_reply(w->r, &m.base);
}

static void batch_fail(struct list *batch)
{
    while (!list_empty(batch)) {
        struct waiting *w = LIST_OWNER(list_pop_front(batch), struct waiting, node);
        rpc_fail(w->r, RPC_UNAVAILABLE, "the signer's journal has failed");
    }
}

// stop: without a journal nothing may leave, and a failed sync must not be tried again.
static void stop(struct service *s, struct list *batch)
{
    s->stopped = true;
    LOG(shard_log(s->shard), &EVENT_SIGNER_JOURNAL_FAILED,
        "the journal cannot be written: nothing is signed any more and this signer ends; make room "
        "or replace the disk");
    batch_fail(batch);
    s->o.stopped(s->o.ctx);
}

// calls_sign takes the batch from policy to the journal's buffer. False when the journal failed.
static bool calls_sign(struct service *s, struct list *batch)
{
    s->claimed = 0;
    LIST_EACH (node, batch) {
        struct waiting *w = LIST_OWNER(node, struct waiting, node);
        for (size_t i = 0; i < w->count; i++) {
            arena_reset(&s->scratch);
            item_prepare(s, &w->items[i], rpc_request_peer(w->r));
        }
    }
    crash_point("s1-after");
    batch_sign(s, batch);
    crash_point("s2-after");
    LIST_EACH (node, batch) {
        struct waiting *w = LIST_OWNER(node, struct waiting, node);
        for (size_t i = 0; i < w->count; i++)
            if (!item_journal(s, &w->items[i], rpc_request_peer(w->r))) return false;
    }
    return true;
}

static void batch_measure(struct service *s, uint64_t begun, uint64_t made, uint64_t synced)
{
    struct metrics *m = shard_metrics(s->shard);
    unsigned core = shard_index(s->shard);
    metric_observe_us(m, core, &METRIC_SIGNER_STAGE_SIGN, (made - begun) / 1000);
    metric_observe_us(m, core, &METRIC_SIGNER_STAGE_SYNC, (synced - made) / 1000);
    metric_set(m, core, &METRIC_SIGNER_JOURNAL_RECORDS, (int64_t)s->o.journal->count);
    metric_set(m, core, &METRIC_SIGNER_INDEX_USED, (int64_t)s->o.journal->entries.used);
    count(s, &METRIC_SIGNER_BATCHES);
}

static void on_batch(struct turn_hook *hook)
{
    struct service *s = LIST_OWNER(hook, struct service, hook);
    struct list batch;
    uint64_t begun = clock_monotonic_ns();
    list_init(&batch);
    while (!list_empty(&s->queue)) list_push_back(&batch, list_pop_front(&s->queue));
    s->queued = 0;
    if (s->stopped) { // after they were queued: another call of this turn met the journal's failure
        batch_fail(&batch);
        return;
    }
    bool ok = calls_sign(s, &batch);
    uint64_t made = clock_monotonic_ns();
    crash_point("s3-before");
    if (!ok || failed(journal_sync(s->o.journal))) {
        stop(s, &batch);
        return;
    }
    crash_point("s3-after");
    batch_measure(s, begun, made, clock_monotonic_ns());
    while (!list_empty(&batch)) reply(s, LIST_OWNER(list_pop_front(&batch), struct waiting, node));
}

static void queue(struct service *s, struct rpc_request *r, WireIntent *const *intents,
                  size_t count, bool burn)
{
    struct arena *a = rpc_request_arena(r);
    struct waiting *w = ARENA_NEW(a, struct waiting);
    if (s->stopped) {
        rpc_fail(r, RPC_UNAVAILABLE, "the signer is stopping");
        return;
    }
    if (count == 0 || count > INTENTS_MAX) {
        rpc_fail(r, RPC_INVALID_ARGUMENT, "a request holds 1 to 256 intents");
        return;
    }
    if (s->queued + count > TURN_MAX) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "too much waits here; try again");
        return;
    }
    if (w != NULL) {
        *w = (struct waiting){.r = r,
                              .count = count,
                              .burn = burn,
                              .items = ARENA_ARRAY(a, struct item, count),
                              .results = ARENA_ARRAY(a, SignResult, count),
                              .pointers = ARENA_ARRAY(a, SignResult *, count)};
    }
    if (w == NULL || w->items == NULL || w->results == NULL || w->pointers == NULL) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "no memory for the request");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        certmill__signer__v1__sign_result__init(&w->results[i]);
        w->pointers[i] = &w->results[i];
        w->items[i] = (struct item){
            .wire = intents[i], .result = &w->results[i], .arena = a, .burn = burn};
    }
    s->queued += count;
    list_push_back(&s->queue, &w->node);
    turn_hook_arm(s->shard, &s->hook);
}

static void on_sign(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    const SignRequest *m = (const SignRequest *)message;
    queue(ctx, r, m->intents, m->n_intents, false);
}

static void on_burn(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    const Certmill__Signer__V1__BurnRequest *m = (const Certmill__Signer__V1__BurnRequest *)message;
    WireIntent *one[1] = {m->intent};
    queue(ctx, r, one, m->intent == NULL ? 0 : 1, true);
}

// ---- Renew

// caller_kind is which certificate a caller has; LEAF_KINDS when it has none that is renewed.
static enum leaf_kind caller_kind(const char *role)
{
    for (enum leaf_kind k = 0; k < LEAF_KINDS; k++)
        if (leaf_role(k) != NULL && tls_role_is(role, leaf_role(k))) return k;
    return LEAF_KINDS;
}

// journal_renewed records a renewal and waits for the disk, as for any other signature of a CA key.
static bool journal_renewed(struct service *s, const char *caller, struct slice csr,
                            struct slice der, struct arena *a)
{
    struct cert cert;
    const char *note = "";
    struct journal_record r = {.kind = JOURNAL_RENEWED,
                               .time_s = shard_wall_s(s->shard),
                               .caller = slice_str(caller),
                               .intent = csr,
                               .certificate = der};
    if (failed(cert_parse(&cert, &note, a, der)) || cert.serial.n > SERIAL_LEN) return false;
    memcpy(r.serial + SERIAL_LEN - cert.serial.n, cert.serial.p, cert.serial.n);
    SHA256(csr.p, csr.n, r.intent_hash);
    SHA256(cert.tbs.p, cert.tbs.n, r.tbs_hash);
    SHA256(der.p, der.n, r.certificate_hash);
    return !failed(journal_add(s->o.journal, &r)) && !failed(journal_sync(s->o.journal));
}

static bool renewal_rate_taken(struct service *s)
{
    int64_t minute = shard_wall_s(s->shard) / 60;
    if (minute != s->renewal_minute) {
        s->renewal_minute = minute;
        s->renewal_count = 0;
    }
    return ++s->renewal_count <= RENEWALS_PER_MINUTE;
}

// renewal_key is the request's public key when it proves possession and is of a curve.
static EVP_PKEY *renewal_key(struct arena *a, struct slice der, const char **note)
{
    struct csr csr;
    if (failed(csr_parse(&csr, note, a, der))) return NULL;
    *note = "the request's own signature does not verify: no proof of possession";
    if (failed(csr_verify(&csr))) return NULL;
    *note = "the key is not of P-256 or P-384";
    if (csr.kind.type != KEY_P256 && csr.kind.type != KEY_P384) return NULL;
    return public_key_load(csr.spki);
}

static void renew(struct service *s, struct rpc_request *r, enum leaf_kind kind, EVP_PKEY *key,
                  struct slice csr)
{
    char note[KEYSTORE_NOTE_MAX];
    struct buf chain, der;
    Certmill__Signer__V1__RenewResponse m;
    certmill__signer__v1__renew_response__init(&m);
    buf_init(&chain, SMALL_SIZE_MAX);
    buf_init(&der, SMALL_SIZE_MAX);
    bool made = !failed(renewal_make(&chain, &der, note, s->o.policy.keys, kind,
                                     leaf_role(kind) == NULL ? NULL : rpc_request_peer(r), key,
                                     shard_wall_s(s->shard))) &&
                !failed(buf_add(&chain, slice_of("", 1)));
    struct list none;
    list_init(&none);
    if (!made)
        rpc_fail(r, RPC_FAILED_PRECONDITION, note);
    else if (!journal_renewed(s, rpc_request_peer(r), csr, buf_slice(&der), rpc_request_arena(r))) {
        rpc_fail(r, RPC_UNAVAILABLE, "the signer's journal has failed");
        stop(s, &none);
    } else {
        count(s, &METRIC_SIGNER_RENEWALS);
        LOG(shard_log(s->shard), &EVENT_SIGNER_RENEWED, NULL, LOG_STR("file", leaf_file(kind)),
            LOG_STR("caller", rpc_request_peer(r)));
        m.chain = (char *)(uintptr_t)buf_slice(&chain).p;
        rpc_reply(r, &m.base);
    }
    buf_fini(&chain);
    buf_fini(&der);
}

static void on_renew(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct service *s = ctx;
    const Certmill__Signer__V1__RenewRequest *q = (const Certmill__Signer__V1__RenewRequest *)
        message;
    const char *note = "";
    bool server = q->purpose == CERTMILL__SIGNER__V1__RENEW_REQUEST__PURPOSE__SERVER;
    enum leaf_kind kind = server ? LEAF_SERVER : caller_kind(rpc_request_peer(r));
    struct slice csr = slice_of(q->csr.data, q->csr.len);
    if (s->stopped) {
        rpc_fail(r, RPC_UNAVAILABLE, "the signer is stopping");
        return;
    }
    if (kind == LEAF_KINDS ||
        (!server && q->purpose != CERTMILL__SIGNER__V1__RENEW_REQUEST__PURPOSE__INTERNAL)) {
        rpc_fail(r, RPC_INVALID_ARGUMENT, "the purpose is neither INTERNAL nor SERVER");
        return;
    }
    if (!renewal_rate_taken(s)) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "too many renewals in this minute; try again later");
        return;
    }
    EVP_PKEY *key = renewal_key(rpc_request_arena(r), csr, &note);
    if (key == NULL)
        rpc_fail(r, RPC_INVALID_ARGUMENT, note);
    else
        renew(s, r, kind, key, csr);
    EVP_PKEY_free(key);
}

// ---- SignCrl

static void on_sign_crl(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct service *s = ctx;
    struct crl_sign c = {.policy = &s->o.policy,
                         .journal = s->o.journal,
                         .log = shard_log(s->shard),
                         .now_s = shard_wall_s(s->shard)};
    struct list none;
    list_init(&none);
    if (s->stopped) {
        rpc_fail(r, RPC_UNAVAILABLE, "the signer is stopping");
    } else if (!rate_take(&s->crls, c.now_s, CRLS_PER_SECOND)) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "too many CRLs in this second; try again");
    } else if (!crl_sign_run(&c, (const Certmill__Signer__V1__SignCrlRequest *)message,
                             rpc_request_peer(r), rpc_request_arena(r))) {
        rpc_fail(r, RPC_UNAVAILABLE, "the signer's journal has failed");
        stop(s, &none);
    } else {
        if (c.response.status == CERTMILL__SIGNER__V1__SIGN_CRL_RESPONSE__STATUS__SIGNED)
            count(s, &METRIC_SIGNER_CRLS);
        rpc_reply(r, &c.response.base);
    }
    crl_sign_fini(&c);
}

// ---- Describe and health

static bool networks_describe(Certmill__Signer__V1__DescribeResponse__Profile *out, struct arena *a,
                              const struct config_list *list)
{
    const struct address_range *networks = list->items;
    out->networks = ARENA_ARRAY(a, char *, list->count + 1);
    if (out->networks == NULL) return false;
    for (size_t i = 0; i < list->count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_range_text(text, &networks[i]);
        out->networks[i] = (char *)(uintptr_t)arena_printf(a, "%s", text);
        if (out->networks[i] == NULL) return false;
    }
    out->n_networks = list->count;
    return true;
}

// profile_issuers_describe: those of its issuing CAs that are here.
static bool profile_issuers_describe(Certmill__Signer__V1__DescribeResponse__Profile *out,
                                     struct arena *a, const struct profile *p,
                                     const struct keystore *k)
{
    struct issuer_settings each;
    out->issuers = ARENA_ARRAY(a, uint32_t, ISSUERS_MAX);
    out->issuer_weights = ARENA_ARRAY(a, uint32_t, ISSUERS_MAX);
    if (out->issuers == NULL || out->issuer_weights == NULL) return false;
    for (size_t i = 0; profile_issuer_at(p, i, &each) && out->n_issuers < ISSUERS_MAX; i++) {
        if (keystore_issuer(k, (uint32_t)each.id) == NULL) continue;
        out->issuers[out->n_issuers++] = (uint32_t)each.id;
        out->issuer_weights[out->n_issuer_weights++] = (uint32_t)each.weight;
    }
    return true;
}

static bool profile_describe(Certmill__Signer__V1__DescribeResponse__Profile *out, struct arena *a,
                             const struct profile *p, const struct keystore *k)
{
    const struct config_list *kinds = &p->settings->key_kinds;
    certmill__signer__v1__describe_response__profile__init(out);
    out->name = (char *)(uintptr_t)p->settings->name;
    out->hash = binary(p->hash, HASH_LEN);
    out->template_version = p->template_version;
    out->validity_s = p->settings->validity_ms / 1000;
    out->backdate_s = p->settings->backdate_ms / 1000;
    out->key_kinds = ARENA_ARRAY(a, char *, kinds->count);
    out->n_key_kinds = kinds->count;
    out->no_rev_avail = p->settings->no_rev_avail;
    out->wildcards = p->settings->wildcards;
    out->crl_parts = profile_has_crl(p) ? (uint32_t)p->settings->crl_parts : 0;
    out->text = (char *)(uintptr_t)p->settings->text;
    for (size_t i = 0; out->key_kinds != NULL && i < kinds->count; i++)
        out->key_kinds[i] = (char *)(uintptr_t)((const char *const *)kinds->items)[i];
    return out->key_kinds != NULL && profile_issuers_describe(out, a, p, k) &&
           networks_describe(out, a, &p->settings->networks);
}

// chains_describe: without memory there are none, which the next Describe mends.
static void chains_describe(Certmill__Signer__V1__DescribeResponse__Issuer *out, struct arena *a,
                            const struct issuer *i)
{
    typedef Certmill__Signer__V1__DescribeResponse__Chain Chain;
    Chain *chains = ARENA_ARRAY(a, Chain, i->chain_count + 1);
    out->chains = ARENA_ARRAY(a, Chain *, i->chain_count + 1);
    for (size_t k = 0; chains != NULL && out->chains != NULL && k < i->chain_count; k++) {
        const struct issuer_chain *from = &i->chains[k];
        certmill__signer__v1__describe_response__chain__init(&chains[k]);
        chains[k].certificates = ARENA_ARRAY(a, ProtobufCBinaryData, from->count);
        if (chains[k].certificates == NULL) return;
        chains[k].n_certificates = from->count;
        for (size_t n = 0; n < from->count; n++)
            chains[k].certificates[n] = binary(from->certificates[n].p, from->certificates[n].n);
        chains[k].root = binary(from->root.p, from->root.n);
        out->chains[out->n_chains++] = &chains[k];
    }
}

// serial_key_describe: one serial key serves all issuing CAs, whose ids are in the serials.
static void serial_key_describe(Certmill__Signer__V1__DescribeResponse__SerialKey *out,
                                uint8_t hash[HASH_LEN], const struct keystore *k)
{
    uint8_t text[64] = "certmill serial key";
    memcpy(text + 32, k->serial_key, 32);
    SHA256(text, sizeof text, hash);
    OPENSSL_cleanse(text, sizeof text);
    certmill__signer__v1__describe_response__serial_key__init(out);
    out->generation = k->serial_generation;
    out->hash = binary(hash, HASH_LEN);
}

typedef Certmill__Signer__V1__DescribeResponse__SerialKey SerialKey;
typedef Certmill__Signer__V1__DescribeResponse__Issuer IssuerMessage;

static bool issuers_describe(Certmill__Signer__V1__DescribeResponse *m, struct arena *a,
                             const struct keystore *k, SerialKey **serials)
{
    const struct issuer *i;
    IssuerMessage *issuers = ARENA_ARRAY(a, IssuerMessage, ISSUERS_MAX);
    m->issuers = ARENA_ARRAY(a, IssuerMessage *, ISSUERS_MAX);
    if (issuers == NULL || m->issuers == NULL) return false;
    for (size_t n = 0; (i = keystore_issuer_at(k, n)) != NULL; n++) {
        certmill__signer__v1__describe_response__issuer__init(&issuers[n]);
        issuers[n].id = i->id;
        issuers[n].certificate = binary(i->certificate.p, i->certificate.n);
        issuers[n].root = binary(i->root.p, i->root.n);
        issuers[n].serial_keys = serials;
        issuers[n].n_serial_keys = 1;
        chains_describe(&issuers[n], a, i);
        m->issuers[m->n_issuers++] = &issuers[n];
    }
    return true;
}

static void on_describe(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    struct service *s = ctx;
    struct arena *a = rpc_request_arena(r);
    const struct keystore *keys = s->o.policy.keys;
    Certmill__Signer__V1__DescribeResponse m;
    SerialKey serial, *serials[1] = {&serial};
    uint8_t hash[HASH_LEN];
    size_t count;
    const struct profile *current = profiles_current(s->o.policy.profiles, &count);
    Certmill__Signer__V1__DescribeResponse__Profile *profiles = ARENA_ARRAY(
        a, Certmill__Signer__V1__DescribeResponse__Profile, count + 1);
    (void)message;
    certmill__signer__v1__describe_response__init(&m);
    m.profiles = ARENA_ARRAY(a, Certmill__Signer__V1__DescribeResponse__Profile *, count + 1);
    const struct caller_settings *caller;
    bool ok = profiles != NULL && m.profiles != NULL,
         listed = policy_caller(&s->o.policy, &caller, rpc_request_peer(r));
    for (size_t k = 0; ok && listed && k < count; k++) { // those that the caller may use
        if (!policy_profile_allowed(caller, current[k].settings->name)) continue;
        ok = profile_describe(&profiles[m.n_profiles], a, &current[k], keys);
        m.profiles[m.n_profiles] = &profiles[m.n_profiles];
        m.n_profiles++;
    }
    serial_key_describe(&serial, hash, keys);
    if (!ok || !issuers_describe(&m, a, keys, serials)) {
        rpc_fail(r, RPC_RESOURCE_EXHAUSTED, "no memory for the answer");
        return;
    }
    m.region = (uint32_t)s->o.policy.settings->region;
    m.version = (char *)(uintptr_t)arena_printf(a, "certmill-signer " CERTMILL_VERSION ", %s",
                                                tls_library_version());
    m.clock_us = shard_wall_us(s->shard);
    rpc_reply(r, &m.base);
}

static void on_health(void *ctx, struct rpc_request *r, const ProtobufCMessage *message)
{
    const struct service *s = ctx;
    const Grpc__Health__V1__HealthCheckRequest *q = (const Grpc__Health__V1__HealthCheckRequest *)
        message;
    Grpc__Health__V1__HealthCheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    if (q->service[0] != 0 && strcmp(q->service, "certmill.signer.v1.Signer") != 0) {
        rpc_fail(r, RPC_NOT_FOUND, "there is no such service here");
        return;
    }
    m.status = s->stopped ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
                          : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    rpc_reply(r, &m.base);
}

static const char *const acme_only[] = {"urn:certmill:role:acme", NULL};
static const char *const renewable[] = {"urn:certmill:role:acme", "urn:certmill:role:operator",
                                        NULL};
static const char *const known[] = {"urn:certmill:role:acme", "urn:certmill:role:operator",
                                    "urn:certmill:role:signer", NULL};

static const struct rpc_method methods[] = {
    {"/certmill.signer.v1.Signer/Sign", &certmill__signer__v1__sign_request__descriptor,
     &certmill__signer__v1__sign_response__descriptor, SIGN_SIZE_MAX, acme_only, on_sign},
    {"/certmill.signer.v1.Signer/Burn", &certmill__signer__v1__burn_request__descriptor,
     &certmill__signer__v1__burn_response__descriptor, SMALL_SIZE_MAX, acme_only, on_burn},
    {"/certmill.signer.v1.Signer/Renew", &certmill__signer__v1__renew_request__descriptor,
     &certmill__signer__v1__renew_response__descriptor, SMALL_SIZE_MAX, renewable, on_renew},
    {"/certmill.signer.v1.Signer/SignCrl", &certmill__signer__v1__sign_crl_request__descriptor,
     &certmill__signer__v1__sign_crl_response__descriptor, SIGN_SIZE_MAX, acme_only, on_sign_crl},
    {"/certmill.signer.v1.Signer/Describe", &certmill__signer__v1__describe_request__descriptor,
     &certmill__signer__v1__describe_response__descriptor, SMALL_SIZE_MAX, known, on_describe},
    {"/grpc.health.v1.Health/Check", &grpc__health__v1__health_check_request__descriptor,
     &grpc__health__v1__health_check_response__descriptor, SMALL_SIZE_MAX, known, on_health},
};

struct service *service_new(struct shard *shard, const struct service_options *options)
{
    struct service *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->shard = shard;
    s->o = *options;
    s->hook.run = on_batch;
    list_init(&s->hook.node);
    list_init(&s->queue);
    arena_init(&s->scratch, SCRATCH_MAX);
    s->rpc = rpc_service_new(shard, methods, sizeof methods / sizeof methods[0], s);
    if (s->rpc != NULL) return s;
    free(s);
    return NULL;
}

void service_free(struct service *s)
{
    if (s == NULL) return;
    turn_hook_disarm(&s->hook);
    rpc_service_free(s->rpc);
    arena_fini(&s->scratch);
    free(s);
}

struct rpc_service *service_rpc(struct service *s) { return s->rpc; }
