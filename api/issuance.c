#include "api/issuance.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "api/events.h"
#include "api/problem.h"
#include "cluster/core/seam.h"
#include "proto/der/cert.h"
#include "proto/err.h"
#include "signer/err.h"
#include "store/err.h"

enum { ARENA_MAX = 1 << 20, RETRY_MS = 500 };

struct issuance {
    struct edge *edge;
    struct list node; // in edge->issuances
    struct arena arena;
    struct intent intent;
    struct signer_sign sign;
    struct store_certificate_commit commit;
    struct store_order_invalidate invalidate;
    struct timer again;
    void (*ended)(void *ctx);
    void *ctx;
    uint64_t started_ns;
    bool burning;
};

static void sign_start(struct issuance *i);

static void finish(struct issuance *i)
{
    void (*ended)(void *) = i->ended;
    void *ctx = i->ctx;
    timer_cancel(&i->again);
    list_remove(&i->node);
    i->edge->issuance_count--;
    arena_fini(&i->arena);
    free(i);
    if (ended != NULL) ended(ctx);
}

// leave gives up for now: the intent stays committed and the reaper of any node goes on with it.
static void leave(struct issuance *i, struct err err, const char *text)
{
    LOG(shard_log(i->edge->shard), &EVENT_SIGN_DELAYED, text, LOG_ERR("error", err));
    finish(i);
}

// ---- invalid

static void on_invalidated(struct store_cmd *cmd, struct err err)
{
    struct issuance *i = LIST_OWNER(LIST_OWNER(cmd, struct store_order_invalidate, cmd),
                                    struct issuance, invalidate);
    if (failed(err))
        leave(i, err, "the order could not be made invalid");
    else {
        LOG(shard_log(i->edge->shard), &EVENT_ORDER_GIVEN_UP, NULL,
            LOG_INT("burned", i->invalidate.has_burned));
        finish(i);
    }
}

static void give_up(struct issuance *i, enum problem p, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    i->invalidate = (struct store_order_invalidate){
        .cmd = {.done = on_invalidated, .arena = &i->arena},
        .order = i->intent.order,
        .error = SLICE_LIT("{}")};
    if (!failed(problem_write(&b, p, problem_status(p), text, NULL)))
        (void)!failed(arena_dup(&i->invalidate.error, &i->arena, buf_slice(&b)));
    buf_fini(&b);
    if (i->sign.burned) {
        i->invalidate.has_burned = true;
        memcpy(i->invalidate.burned_serial, i->sign.serial, SERIAL_LEN);
    }
    store_order_invalidate(i->edge->store, &i->invalidate);
}

// ---- e3: what came back is what was asked for

static bool names_equal(const struct cert *c, const struct intent *in)
{
    if (c->name_count != in->name_count || c->other_name_count != 0) return false;
    for (size_t k = 0; k < in->name_count; k++) {
        bool found = false;
        for (size_t m = 0; m < c->name_count; m++)
            found |= identifier_cmp(&c->names[m], &in->names[k]) == 0;
        if (!found) return false;
    }
    return true;
}

static const char *certificate_wrong(struct issuance *i, const struct signer_sign *s)
{
    const struct intent *in = &i->intent;
    const struct signer_issuer *issuer = signer_client_issuer(i->edge->signer, in->issuer);
    struct cert c, ca;
    const char *note = "";
    if (issuer == NULL || failed(cert_parse(&ca, &note, &i->arena, issuer->certificate)))
        return "the issuer is not known here";
    if (failed(cert_parse(&c, &note, &i->arena, s->certificate))) return note;
    if (!slice_eq(c.spki, in->spki)) return "it is for another key";
    if (!names_equal(&c, in)) return "its names are not the order's";
    if (c.not_before != in->not_before || c.not_after != in->not_after)
        return "its dates are not the intent's";
    if (!slice_eq(c.serial, slice_of(s->serial, SERIAL_LEN)))
        return "its serial is not the one announced";
    if (c.is_ca) return "it is a CA certificate";
    if (!slice_eq(c.issuer, ca.subject) || failed(cert_verify_signed_by(&c, ca.spki)))
        return "its signature does not verify under the issuer";
    return NULL;
}

// ---- e4

static void on_committed(struct store_cmd *cmd, struct err err)
{
    struct issuance *i = LIST_OWNER(LIST_OWNER(cmd, struct store_certificate_commit, cmd),
                                    struct issuance, commit);
    struct edge *e = i->edge;
    if (failed(err)) {
        leave(i, err, "the certificate could not be committed yet");
        return;
    }
    crash_point("e4-after");
    if (i->commit.won) {
        metric_add(shard_metrics(e->shard), shard_index(e->shard), &METRIC_CERTIFICATES, 1);
        LOG(shard_log(e->shard), &EVENT_CERTIFICATE_ISSUED, NULL,
            LOG_SLICE("profile", i->intent.profile), LOG_INT("names", i->intent.name_count));
    }
    finish(i); // lost: another node has ended the order; the store says how
}

static void commit_start(struct issuance *i, const struct signer_sign *s)
{
    const struct intent *in = &i->intent;
    i->commit = (struct store_certificate_commit){.cmd = {.done = on_committed, .arena = &i->arena},
                                                  .order = in->order,
                                                  .account = in->account,
                                                  .tenant = in->tenant,
                                                  .profile = in->profile,
                                                  .issuer = in->issuer,
                                                  .not_before = in->not_before,
                                                  .not_after = in->not_after};
    memcpy(i->commit.serial, s->serial, SERIAL_LEN);
    SHA256(in->spki.p, in->spki.n, i->commit.spki_hash);
    if (failed(arena_dup(&i->commit.der, &i->arena, s->certificate))) {
        leave(i, ERR(NO_SPACE), "the certificate does not fit into memory");
        return;
    }
    crash_point("e4-before");
    store_certificate_commit(i->edge->store, &i->commit);
}

// ---- signing

static void on_signed(struct signer_sign *s, struct err err, const char *text)
{
    struct issuance *i = LIST_OWNER(s, struct issuance, sign);
    struct edge *e = i->edge;
    metric_observe_us(shard_metrics(e->shard), shard_index(e->shard), &METRIC_STAGE_SIGN,
                      (shard_now_ns(e->shard) - i->started_ns) / 1000);
    if (err_is(err, ERR_SIGNER_REFUSED)) {
        give_up(i, PROBLEM_REJECTED_IDENTIFIER, text);
        return;
    }
    if (failed(err)) {
        leave(i, err, text);
        return;
    }
    if (i->burning && s->burned) {
        give_up(i, PROBLEM_SERVER_INTERNAL, "the certificate could not be issued in time");
        return;
    }
    crash_point("e3-before");
    const char *wrong = certificate_wrong(i, s);
    if (wrong != NULL) {
        LOG(shard_log(e->shard), &EVENT_SIGNER_ANSWER_WRONG, wrong,
            LOG_INT("issuer", i->intent.issuer));
        signer_client_wrong(e->signer, s);
        leave(i, ERR(SIGNER_WRONG), wrong);
        return;
    }
    crash_point("e3-after");
    commit_start(i, s);
}

static bool too_old(const struct issuance *i)
{
    return edge_db_now_us(i->edge) - i->intent.created_at_us >
           i->edge->front->settings->jobs.give_up_ms * 1000;
}

static void sign_start(struct issuance *i)
{
    struct edge *e = i->edge;
    unsigned deadline = (unsigned)e->front->settings->signer.sign_ms;
    i->sign = (struct signer_sign){.done = on_signed, .intent = &i->intent};
    i->burning = too_old(i) && signer_client_ready(e->signer);
    struct err err = i->burning ? signer_client_burn(e->signer, &i->sign, deadline)
                                : signer_client_sign(e->signer, &i->sign, deadline);
    if (failed(err)) leave(i, err, err_text(err));
}

static void on_again(struct timer *t) { sign_start(LIST_OWNER(t, struct issuance, again)); }

struct issuance *issuance_begin(struct edge *e, const struct intent *intent,
                                void (*ended)(void *ctx), void *ctx)
{
    struct issuance *i = calloc(1, sizeof *i);
    if (i == NULL) return NULL;
    arena_init(&i->arena, ARENA_MAX);
    if (failed(intent_copy(&i->intent, &i->arena, intent))) {
        arena_fini(&i->arena);
        free(i);
        return NULL;
    }
    i->edge = e;
    i->ended = ended;
    i->ctx = ctx;
    i->started_ns = shard_now_ns(e->shard);
    i->again.fire = on_again;
    list_push_back(&e->issuances, &i->node);
    e->issuance_count++;
    timer_set(e->shard, &i->again, 0); // `ended` never runs inside this call
    return i;
}

void issuance_forget(struct issuance *i)
{
    i->ended = NULL;
    i->ctx = NULL;
}

bool issuance_running(const struct edge *e, const struct id *order)
{
    for (struct list *n = e->issuances.next; n != &e->issuances; n = n->next)
        if (id_eq(&LIST_OWNER(n, struct issuance, node)->intent.order, order)) return true;
    return false;
}
