// finalize: the CSR against the order, the intent committed, and the answer in the POST when the
// certificate comes quickly (RFC 8555 section 7.4; steps e1, e2 and e5 of design.md section 4).
#include "api/acme/handlers.h"
#include "api/acme/order.h"
#include "api/acme/order_step.h"
#include "api/events.h"
#include "api/issuance.h"
#include "cluster/core/seam.h"
#include "proto/der/csr.h"
#include "proto/err.h"
#include "proto/text/base64url.h"
#include "proto/text/json.h"
#include "store/err.h"

// struct finalize is one request from its CSR to its answer; in the request's arena.
struct finalize {
    struct request *r;
    struct csr csr;
    struct id order;
    struct store_intent_create create;
    struct issuance *issuance;
    struct timer wait;
};

// ---- e5: the answer is what the store holds

static void order_answer(struct request *r, const struct order_row *row)
{
    order_respond(r, 200, row, true);
}

static void on_ended(void *ctx)
{
    struct finalize *f = ctx;
    f->issuance = NULL;
    timer_cancel(&f->wait);
    order_load(f->r, &f->order, order_answer);
}

static void on_wait_over(struct timer *t)
{
    struct finalize *f = LIST_OWNER(t, struct finalize, wait);
    issuance_forget(f->issuance); // goes on without us; the client polls
    order_load(f->r, &f->order, order_answer);
}

// ---- e2

static void intent_refused(struct request *r, const struct store_intent_create *c)
{
    switch (c->outcome) {
    case INTENT_ORDER_NOT_READY:
        request_fail(r, PROBLEM_ORDER_NOT_READY,
                     "the order is %s; only a ready order can be finalized",
                     order_status_name(c->order_status));
        return;
    case INTENT_ORDER_EXPIRED:
        request_fail(r, PROBLEM_ORDER_NOT_READY, "the order has expired; make a new one");
        return;
    case INTENT_ACCOUNT_NOT_VALID:
        request_fail(r, PROBLEM_UNAUTHORIZED, "the account is not valid any more");
        return;
    case INTENT_KEY_CHANGED:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the account's key was changed; sign with the new one");
        return;
    case INTENT_AUTHZ_NOT_VALID:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "an authorization of the order is not valid any more");
        return;
    default:
        request_fail_status(r, PROBLEM_UNAUTHORIZED, 404, "there is no such order");
        return;
    }
}

static void on_intent(struct store_cmd *cmd, struct err err)
{
    struct finalize *f = LIST_OWNER(LIST_OWNER(cmd, struct store_intent_create, cmd),
                                    struct finalize, create);
    struct request *r = f->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_store(r, err);
        return;
    }
    if (f->create.outcome != INTENT_CREATED) {
        intent_refused(r, &f->create);
        return;
    }
    crash_point("e2-after");
    f->issuance = issuance_begin(r->edge, &f->create.intent, on_ended, f);
    if (f->issuance == NULL)
        order_load(r, &f->order, order_answer);
    else
        timer_set(r->edge->shard, &f->wait, (uint64_t)r->edge->front->settings->finalize_wait_ms);
}

// intent_fill: everything the certificate is a function of. False: answered.
static bool intent_fill(struct finalize *f, const struct order_row *row)
{
    struct request *r = f->r;
    struct edge *e = r->edge;
    struct intent *in = &f->create.intent;
    const struct signer_profile *p = signer_client_profile(e->signer, row->profile);
    const struct signer_issuer *issuer = signer_client_issuer(
        e->signer, (uint16_t)r->tenant->settings->issuer);
    if (p == NULL || issuer == NULL) {
        r->retry_after = 2;
        request_fail_status(r, PROBLEM_SERVER_INTERNAL, 503,
                            "no signer is in reach for this order's profile just now; the order is "
                            "unchanged, try again (%s)",
                            signer_client_state_text(e->signer));
        return false;
    }
    int64_t now = edge_db_now_us(e) / 1000000;
    *in = (struct intent){.order = row->id,
                          .tenant = row->tenant,
                          .account = row->account,
                          .owner_node = e->front->node,
                          .owner_boot = e->front->boot,
                          .spki = f->csr.spki,
                          .names = f->csr.names,
                          .name_count = f->csr.name_count,
                          .profile = row->profile,
                          .template_version = p->template_version,
                          .issuer = issuer->id,
                          .region = (uint8_t)e->front->settings->region,
                          .serial_key_generation = issuer->serial_key_generation,
                          .not_before = now - p->backdate_s,
                          .not_after = now - p->backdate_s + p->validity_s - 1};
    memcpy(in->profile_hash, p->hash, HASH_LEN);
    memcpy(in->issuer_cert_hash, issuer->certificate_hash, HASH_LEN);
    shard_random(e->shard, in->salt, SALT_LEN);
    return true;
}

// key_kind_allowed: the profile's list names "P-256", "RSA-2048" (and larger up to 4096) and so on.
static bool key_kind_allowed(const struct signer_profile *p, struct public_key_kind kind)
{
    for (size_t i = 0; p != NULL && i < p->key_kind_count; i++) {
        struct slice k = p->key_kinds[i];
        if (kind.type == KEY_P256 && slice_eq_str(k, "P-256")) return true;
        if (kind.type == KEY_P384 && slice_eq_str(k, "P-384")) return true;
        if (kind.type == KEY_P521 && slice_eq_str(k, "P-521")) return true;
        if (kind.type == KEY_ED25519 && slice_eq_str(k, "Ed25519")) return true;
        if (kind.type == KEY_RSA && kind.bits >= 2048 && kind.bits <= 4096 &&
            slice_eq_str(k, "RSA-2048"))
            return true;
    }
    return false;
}

static bool names_match(struct request *r, const struct csr *csr, struct slice encoded)
{
    struct identifier *ids;
    size_t count;
    if (failed(identifiers_decode(&ids, &count, request_arena(r), encoded))) return false;
    count = identifiers_sort(ids, count);
    if (count != csr->name_count) return false;
    for (size_t i = 0; i < count; i++)
        if (identifier_cmp(&ids[i], &csr->names[i]) != 0) return false;
    return true;
}

static void on_order(struct request *r, const struct order_row *row)
{
    struct finalize *f = r->state;
    enum order_status status = order_status_at(row->status, row->expires_at_us,
                                               edge_db_now_us(r->edge)),
                      next;
    unsigned effects;
    const struct signer_profile *p = signer_client_profile(r->edge->signer, row->profile);
    if (!order_step(&next, &effects, status, ORDER_FINALIZE))
        request_fail(r, PROBLEM_ORDER_NOT_READY,
                     "the order is %s; only a ready order can be finalized",
                     order_status_name(status));
    else if (!names_match(r, &f->csr, row->identifiers))
        request_fail(r, PROBLEM_BAD_CSR, "the names in the request are not exactly the order's");
    else if (p != NULL && !key_kind_allowed(p, f->csr.kind))
        request_fail(r, PROBLEM_BAD_CSR, "the profile does not take keys of kind %s",
                     public_key_kind_text(f->csr.kind));
    else if (intent_fill(f, row)) {
        f->create.cmd = (struct store_cmd){.done = on_intent, .arena = request_arena(r)};
        f->create.key_version = r->key_version;
        f->create.authzs = row->authzs;
        f->create.authz_count = row->authz_count;
        crash_point("e2-before");
        store_intent_create(r->edge->store, &f->create);
    }
}

// ---- e1

static bool csr_take(struct finalize *f)
{
    struct request *r = f->r;
    struct slice text, der;
    const char *note = "";
    if (failed(json_string(json_get(r->payload, "csr"), &text))) {
        request_fail(r, PROBLEM_MALFORMED, "finalize needs a payload with \"csr\"");
        return false;
    }
    if (failed(base64url_decode_lenient(&der, request_arena(r), text))) {
        request_fail(r, PROBLEM_MALFORMED, "\"csr\" is not base64url");
        return false;
    }
    struct err e = csr_parse(&f->csr, &note, request_arena(r), der);
    if (failed(e)) {
        request_fail(r, PROBLEM_BAD_CSR, "%s", note[0] != 0 ? note : err_text(e));
        return false;
    }
    if (failed(csr_verify(&f->csr))) {
        request_fail(r, PROBLEM_BAD_CSR,
                     "the request's own signature does not verify: no proof of possession");
        return false;
    }
    // RFC 8555 section 11.1: an account key must not be a certificate's key.
    if (slice_eq(f->csr.spki, slice_of(r->key.spki, r->key.spki_len))) {
        request_fail(r, PROBLEM_BAD_CSR, "the request is for the account's own key");
        return false;
    }
    return true;
}

void finalize_post(struct request *r)
{
    struct finalize *f = ARENA_NEW(request_arena(r), struct finalize);
    if (f == NULL) {
        request_fail_store(r, ERR(STORE_BUSY));
        return;
    }
    f->r = r;
    f->wait.fire = on_wait_over;
    r->state = f;
    if (!request_object(r, &f->order) || !csr_take(f)) return;
    crash_point("e1-after");
    order_load(r, &f->order, on_order);
}
