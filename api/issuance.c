#include "api/issuance.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events.h"
#include "api/problem.h"
#include "cluster/core/seam.h"
#include "cluster/err.h"
#include "proto/der/cert.h"
#include "proto/err.h"
#include "signer/err.h"

enum { ARENA_MAX = 1 << 20, RETRY_MS = 500 };

struct issuance {
    struct edge *edge;
    struct list node;   // in edge->issuances
    struct arena arena; // of the intent
    struct arena work;  // of one try
    struct intent intent;
    struct signer_sign sign;
    struct slice certificate; // the signer's answer, in `work`
    struct cert cert;         // of it
    struct verify_job verify;
    struct store_certificate_commit commit;
    struct store_order_invalidate invalidate;
    struct store_intent_close close;
    struct timer again;
    void (*ended)(void *ctx);
    void *ctx;
    uint64_t started_ns;
};

// tell runs `ended`, once: what the order is now is in the store.
static void tell(struct issuance *i)
{
    void (*ended)(void *) = i->ended;
    i->ended = NULL;
    if (ended != NULL) ended(i->ctx);
}

static void finish(struct issuance *i)
{
    struct edge *e = i->edge;
    void (*ended)(void *) = i->ended;
    void *ctx = i->ctx;
    timer_cancel(&i->again);
    verify_job_cancel(&i->verify);
    list_remove(&i->node);
    e->issuance_count--;
    arena_fini(&i->arena);
    arena_fini(&i->work);
    free(i);
    if (ended != NULL) ended(ctx);
    edge_quiet_check(e);
}

static int64_t age_us(const struct issuance *i)
{
    return edge_db_now_us(i->edge) - i->intent.created_at_us;
}

// later: something that is needed was away or busy. The same intent is tried again here while it is
// ours alone; then, or when this front end ends, it is left to the reaper of any node.
static void later(struct issuance *i, struct err err, const char *text)
{
    struct edge *e = i->edge;
    bool ours = age_us(i) < e->front->settings->jobs.intent_age_ms * 1000;
    if (err_class(err) == ERR_CLASS_BUSY && ours && !e->draining && !e->stopping) {
        timer_set(e->shard, &i->again, RETRY_MS);
        return;
    }
    LOG(shard_log(e->shard), &EVENT_SIGN_DELAYED, text, LOG_ERR("error", err));
    finish(i);
}

// ---- invalid: first the order, so that no certificate of it can be committed any more, then its
// serial. A node that dies in between leaves the intent to the reaper.

static void on_closed(struct store_cmd *cmd, struct err err)
{
    struct issuance *i = LIST_OWNER(LIST_OWNER(cmd, struct store_intent_close, cmd),
                                    struct issuance, close);
    if (failed(err)) {
        later(i, err, "a burned serial could not be recorded yet");
        return;
    }
    LOG(shard_log(i->edge->shard), &EVENT_ORDER_GIVEN_UP, NULL,
        LOG_INT("burned", i->close.has_burned));
    finish(i);
}

static void on_burned(struct signer_sign *s, struct err err, const char *text)
{
    struct issuance *i = LIST_OWNER(s, struct issuance, sign);
    bool never = err_is(err, ERR_SIGNER_REFUSED); // has no serial and gets none
    if (!never && !failed(err) && !s->burned) err = ERR(SIGNER_WRONG);
    if (!never && failed(err)) {
        later(i, err, text);
        return;
    }
    i->close = (struct store_intent_close){.cmd = {.done = on_closed, .arena = &i->work},
                                           .order = i->intent.order,
                                           .has_burned = !never};
    memcpy(i->close.burned_serial, s->serial, SERIAL_LEN);
    store_intent_close(i->edge->store, &i->close);
}

static void burn_start(struct issuance *i)
{
    struct edge *e = i->edge;
    tell(i); // whoever waits for the order need not wait for this
    i->sign = (struct signer_sign){.done = on_burned, .intent = &i->intent};
    crash_point("r1-invalid");
    struct err err = e->stopping ? ERR(SHUTTING_DOWN)
                                 : signer_client_burn(e->signer, &i->sign,
                                                      (unsigned)e->front->settings->signer.sign_ms);
    if (failed(err)) later(i, err, "a serial could not be burned yet");
}

static void on_invalidated(struct store_cmd *cmd, struct err err)
{
    struct issuance *i = LIST_OWNER(LIST_OWNER(cmd, struct store_order_invalidate, cmd),
                                    struct issuance, invalidate);
    if (failed(err))
        later(i, err, "the order could not be made invalid");
    else if (i->invalidate.order_status == ORDER_INVALID)
        burn_start(i);
    else
        finish(i); // another node has finished it
}

static void give_up(struct issuance *i, enum problem p, const char *text)
{
    struct buf *b = edge_scratch(i->edge);
    i->invalidate = (struct store_order_invalidate){
        .cmd = {.done = on_invalidated, .arena = &i->work},
        .order = i->intent.order,
        .error = SLICE_LIT("{}")};
    if (!failed(problem_write(b, p, problem_status(p), text, NULL)))
        (void)!failed(arena_dup(&i->invalidate.error, &i->work, buf_slice(b)));
    store_order_invalidate(i->edge->store, &i->invalidate);
}

// ---- e3: what came back is what was asked for

// names_equal: as many names, and each of the intent's, which are all different, is there (T16).
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

// certificate_wrong says why the certificate is not the one that the intent asks for, NULL when it
// is. Its signature is looked at afterwards.
static const char *certificate_wrong(struct issuance *i, const struct signer_sign *s,
                                     const struct catalog_issuer *issuer)
{
    const struct intent *in = &i->intent;
    struct cert *c = &i->cert;
    const char *note = "it cannot be read";
    if (failed(cert_parse(c, &note, &i->work, i->certificate))) return note;
    if (!slice_eq(c->spki, in->spki)) return "it is for another key";
    if (!names_equal(c, in)) return "its names are not the order's";
    if (c->not_before != in->not_before || c->not_after != in->not_after)
        return "its dates are not the intent's";
    if (!slice_eq(c->serial, slice_of(s->serial, SERIAL_LEN)))
        return "its serial is not the one announced";
    if (c->is_ca) return "it is a CA certificate";
    if (!slice_eq(c->issuer, issuer->subject)) return "it is of another issuer";
    return NULL;
}

static const struct catalog_issuer *issuer_of(const struct issuance *i)
{
    const struct catalog_issuer *issuer = catalog_issuer(&i->edge->catalog, i->intent.issuer);
    bool same = issuer != NULL &&
                memcmp(issuer->signer.certificate_hash, i->intent.issuer_cert_hash, HASH_LEN) == 0;
    return same ? issuer : NULL;
}

// ---- e4

// issued_tell: the serial is written as certificates show it, the order as URLs do.
static void issued_tell(const struct issuance *i)
{
    struct edge *e = i->edge;
    char order[ID_TEXT_LEN + 1], serial[2 * SERIAL_LEN + 1];
    id_text(order, &i->intent.order);
    for (size_t k = 0; k < SERIAL_LEN; k++)
        snprintf(serial + 2 * k, 3, "%02x", i->commit.serial[k]);
    edge_count(e, &METRIC_CERTIFICATES);
    LOG(shard_log(e->shard), &EVENT_CERTIFICATE_ISSUED, NULL, LOG_SLICE("tenant", i->intent.tenant),
        LOG_SLICE("profile", i->intent.profile), LOG_STR("order", order), LOG_STR("serial", serial),
        LOG_INT("names", i->intent.name_count));
}

static void on_committed(struct store_cmd *cmd, struct err err)
{
    struct issuance *i = LIST_OWNER(LIST_OWNER(cmd, struct store_certificate_commit, cmd),
                                    struct issuance, commit);
    if (failed(err)) {
        later(i, err, "the certificate could not be committed yet");
        return;
    }
    crash_point("e4-after");
    if (i->commit.won) issued_tell(i);
    if (i->commit.order_status == ORDER_INVALID)
        burn_start(i); // given up meanwhile
    else
        finish(i); // lost: another node has ended the order; the store says how
}

static void commit_start(struct issuance *i)
{
    const struct intent *in = &i->intent;
    i->commit = (struct store_certificate_commit){.cmd = {.done = on_committed, .arena = &i->work},
                                                  .order = in->order,
                                                  .account = in->account,
                                                  .tenant = in->tenant,
                                                  .profile = in->profile,
                                                  .issuer = in->issuer,
                                                  .not_before = in->not_before,
                                                  .not_after = in->not_after,
                                                  .crl_shard = in->crl_shard};
    memcpy(i->commit.serial, i->sign.serial, SERIAL_LEN);
    SHA256(in->spki.p, in->spki.n, i->commit.spki_hash);
    i->commit.der = i->certificate;
    crash_point("e4-before");
    store_certificate_commit(i->edge->store, &i->commit);
}

// ---- signing

static void answer_wrong(struct issuance *i, const char *wrong)
{
    struct edge *e = i->edge;
    LOG(shard_log(e->shard), &EVENT_SIGNER_ANSWER_WRONG, wrong,
        LOG_INT("issuer", i->intent.issuer));
    if (e->signer != NULL) signer_client_wrong(e->signer, &i->sign);
    later(i, ERR(SIGNER_WRONG), wrong);
}

static bool verify_alone(struct verify_job *job)
{
    struct issuance *i = LIST_OWNER(job, struct issuance, verify);
    const struct catalog_issuer *issuer = issuer_of(i);
    return issuer != NULL && !failed(cert_verify_signed_by(&i->cert, issuer->spki));
}

static void on_verified(struct verify_job *job, bool ok)
{
    struct issuance *i = LIST_OWNER(job, struct issuance, verify);
    struct edge *e = i->edge;
    if (!ok) {
        answer_wrong(i, "its signature does not verify under the issuer");
        return;
    }
    crash_point("e3-after");
    if (e->stopping)
        later(i, ERR(SHUTTING_DOWN), "the front end ends");
    else
        commit_start(i);
}

// check_and_commit: the certificates of one answer of the signer, and of one turn, are verified
// together.
static void check_and_commit(struct issuance *i, struct signer_sign *s)
{
    struct edge *e = i->edge;
    const struct catalog_issuer *issuer = issuer_of(i);
    if (issuer == NULL) { // not the signer's fault: this core has not heard of that issuer yet
        later(i, ERR(SIGNER_AWAY), "the intent's issuer certificate is not known here");
        return;
    }
    crash_point("e3-before");
    struct err err = arena_dup(&i->certificate, &i->work, s->certificate);
    if (failed(err)) {
        later(i, err, "the certificate does not fit into memory");
        return;
    }
    const char *wrong = certificate_wrong(i, s, issuer);
    if (wrong != NULL) {
        answer_wrong(i, wrong);
        return;
    }
    const struct cert *c = &i->cert;
    i->verify = (struct verify_job){.recurring = true, .done = on_verified};
    if (!signature_p256_take(&i->verify.p256, c->algorithm, issuer->spki, c->tbs, c->signature))
        i->verify.alone = verify_alone;
    verifier_add(&e->verifier, &i->verify);
}

static void on_signed(struct signer_sign *s, struct err err, const char *text)
{
    struct issuance *i = LIST_OWNER(s, struct issuance, sign);
    struct edge *e = i->edge;
    metric_observe_us(shard_metrics(e->shard), shard_index(e->shard), &METRIC_STAGE_SIGN,
                      (shard_now_ns(e->shard) - i->started_ns) / 1000);
    if (err_is(err, ERR_SIGNER_REFUSED))
        give_up(i, PROBLEM_REJECTED_IDENTIFIER, text);
    else if (failed(err))
        later(i, err, text);
    else
        check_and_commit(i, s);
}

// try_start asks for the certificate, or gives the order up when its time is over and a signer is
// in reach.
static struct err try_start(struct issuance *i)
{
    struct edge *e = i->edge;
    const struct settings *s = e->front->settings;
    arena_reset(&i->work);
    if (age_us(i) > s->jobs.give_up_ms * 1000 && signer_client_ready(e->signer)) {
        give_up(i, PROBLEM_SERVER_INTERNAL, "the certificate could not be issued in time");
        return OK;
    }
    i->sign = (struct signer_sign){.done = on_signed, .intent = &i->intent};
    i->started_ns = shard_now_ns(e->shard);
    crash_point("s1-before");
    return signer_client_sign(e->signer, &i->sign, (unsigned)s->signer.sign_ms);
}

static void on_again(struct timer *t)
{
    struct issuance *i = LIST_OWNER(t, struct issuance, again);
    struct err e = i->edge->stopping ? ERR(SHUTTING_DOWN) : try_start(i);
    if (failed(e)) later(i, e, err_text(e));
}

struct issuance *issuance_begin(struct edge *e, const struct intent *intent,
                                void (*ended)(void *ctx), void *ctx)
{
    struct issuance *i = e->issuance_count < ISSUANCES_MAX ? calloc(1, sizeof *i) : NULL;
    if (i == NULL) return NULL;
    arena_init(&i->arena, ARENA_MAX);
    arena_init(&i->work, ARENA_MAX);
    if (failed(intent_copy(&i->intent, &i->arena, intent))) {
        arena_fini(&i->arena);
        free(i);
        return NULL;
    }
    i->edge = e;
    i->ended = ended;
    i->ctx = ctx;
    i->again.fire = on_again;
    list_push_back(&e->issuances, &i->node);
    e->issuance_count++;
    // `ended` never runs inside this call: a signer client that is full is asked again later.
    if (failed(try_start(i))) timer_set(e->shard, &i->again, RETRY_MS);
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

void issuances_drop(struct edge *e)
{
    while (!list_empty(&e->issuances)) finish(LIST_OWNER(e->issuances.next, struct issuance, node));
}
