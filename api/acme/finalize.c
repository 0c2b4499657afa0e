// finalize: the CSR against the order, the intent committed, and the answer in the POST when the
// certificate comes quickly (RFC 8555 section 7.4; steps e1, e2 and e5 of design.md section 4).
#include "api/acme/caa_recheck.h"
#include "api/acme/dates.h"
#include "api/acme/handlers.h"
#include "api/acme/key_judge.h"
#include "api/acme/order.h"
#include "api/acme/order_step.h"
#include "api/acme/refusals.h"
#include "api/events.h"
#include "api/issuance.h"
#include "cluster/core/seam.h"
#include "cluster/err.h"
#include "proto/der/csr.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

enum { RETRY_AFTER_S = 2 };

// struct finalize is one request from its CSR to its answer; in the request's arena.
struct finalize {
    struct request *r;
    struct csr csr;
    struct verify_job verify; // proof of possession
    struct id order;
    // e1: the order, and whether the CSR's key is an account's, are read together
    struct store_order_get get;
    struct store_account_get other;
    unsigned reads;
    struct err read_err;
    struct refusals refused; // names
    struct store_intent_create create;
    struct issuance *issuance;
    struct timer wait;
};

// ---- e5: the answer is what the store holds

static void order_answer(struct request *r, const struct order_row *row)
{
    crash_point("e5-before");
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

// authz_refused names the identifier whose authorization has ended: those of an order are in the
// order of its identifiers.
static void authz_refused(struct finalize *f)
{
    struct request *r = f->r;
    const struct order_row *row = &f->get.out;
    struct identifier *ids;
    size_t count;
    if (!failed(identifiers_decode(&ids, &count, request_arena(r), row->identifiers)))
        for (size_t i = 0; i < row->authz_count && i < count; i++)
            if (id_eq(&row->authzs[i], &f->create.authz))
                refusal_add_id(r, &f->refused, PROBLEM_UNAUTHORIZED, &ids[i],
                               "its authorization is not valid any more");
    r->subproblems = refusals_text(r, &f->refused);
    request_fail(r, PROBLEM_UNAUTHORIZED, "an authorization of the order is not valid any more");
}

static void intent_refused(struct finalize *f)
{
    struct request *r = f->r;
    const struct store_intent_create *c = &f->create;
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
        request_fail_account(r, "not valid any more");
        return;
    case INTENT_KEY_CHANGED:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the account's key was changed; sign with the new one");
        return;
    case INTENT_EAB_NOT_ENABLED:
        request_fail(r, PROBLEM_UNAUTHORIZED,
                     "the external account binding key of this account is disabled; ask those who "
                     "gave it to you");
        return;
    case INTENT_AUTHZ_NOT_VALID:
        authz_refused(f);
        return;
    default:
        request_fail_absent(r, "order");
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
        request_fail_err(r, err);
        return;
    }
    if (f->create.outcome != INTENT_CREATED) {
        intent_refused(f);
        return;
    }
    crash_point("e2-after");
    f->issuance = issuance_begin(r->edge, &f->create.intent, on_ended, f);
    if (f->issuance == NULL)
        order_load(r, &f->order, order_answer);
    else
        timer_set(r->edge->shard, &f->wait, (uint64_t)r->edge->front->settings->finalize_wait_ms);
}

// intent_fill: everything the certificate is a function of, once and for all.
static void intent_fill(struct finalize *f, const struct order_row *row,
                        const struct signer_profile *p, const struct catalog_issuer *ca)
{
    const struct signer_issuer *issuer = &ca->signer;
    struct edge *e = f->r->edge;
    struct intent *in = &f->create.intent;
    int64_t now = edge_db_now_us(e) / 1000000;
    *in = (struct intent){.order = row->id,
                          .tenant = row->tenant,
                          .account = row->account,
                          .owner_node = e->front->node,
                          .owner_boot = e->front->boot,
                          .spki = f->csr.spki,
                          .names = f->csr.names, // the order's: compared before
                          .name_count = f->csr.name_count,
                          .profile = row->profile,
                          .template_version = p->template_version,
                          .issuer = issuer->id,
                          .region = (uint8_t)e->front->settings->region,
                          .serial_key_generation = issuer->serial_key_generation};
    (void)dates_decide(&in->not_before, &in->not_after, p->validity_s, p->backdate_s,
                       ca->not_before, row->not_before, row->not_after, now,
                       f->r->tenant->settings->dates == DATES_CLAMP); // dates_fit: they can be had
    memcpy(in->profile_hash, p->hash, HASH_LEN);
    memcpy(in->issuer_cert_hash, issuer->certificate_hash, HASH_LEN);
    shard_random(e->shard, in->salt, SALT_LEN);
    if (p->crl_parts > 0) in->crl_shard = crl_shard_of(in->not_before, in->salt[0] % p->crl_parts);
}

static void intent_create(struct finalize *f, const struct order_row *row)
{
    struct request *r = f->r;
    f->create.cmd = (struct store_cmd){.done = on_intent, .arena = request_arena(r)};
    f->create.key_version = r->key_version;
    f->create.authzs = row->authzs;
    f->create.authz_count = row->authz_count;
    f->create.authzs_held = row->authzs_held;
    f->create.authz_error = order_authz_error(r);
    crash_point("e2-before");
    store_intent_create(r->edge->store, &f->create);
}

// ---- e1: the CSR against the order

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

// names_match compares the sorted names of order and request, and gathers those that only one has.
static bool names_match(struct request *r, struct refusals *f, const struct csr *csr,
                        struct slice encoded)
{
    struct identifier *ids;
    size_t count, i = 0, k = 0;
    if (failed(identifiers_decode(&ids, &count, request_arena(r), encoded))) return false;
    count = identifiers_sort(ids, count);
    while (i < count || k < csr->name_count) {
        int c = i == count             ? 1
                : k == csr->name_count ? -1
                                       : identifier_cmp(&ids[i], &csr->names[k]);
        if (c < 0)
            refusal_add_id(r, f, PROBLEM_BAD_CSR, &ids[i],
                           "is in the order and not in the request");
        else if (c > 0)
            refusal_add_id(r, f, PROBLEM_BAD_CSR, &csr->names[k],
                           "is in the request and not in the order");
        i += c <= 0;
        k += c >= 0;
    }
    return f->count == 0;
}

static void names_refused(struct finalize *f)
{
    f->r->subproblems = refusals_text(f->r, &f->refused);
    request_fail(f->r, PROBLEM_BAD_CSR, "the names in the request are not exactly the order's");
}

static void order_refused(struct request *r, enum order_status status)
{
    request_fail(r, PROBLEM_ORDER_NOT_READY, "the order is %s; only a ready order can be finalized",
                 order_status_name(status));
}

static void signer_unknown(struct request *r)
{
    r->retry_after = RETRY_AFTER_S;
    request_fail_status(r, PROBLEM_SERVER_INTERNAL, 503,
                        "no signer has been in reach for this order's profile yet; the order is "
                        "unchanged, try again (%s)",
                        signer_client_state_text(r->edge->signer));
}

static void on_caa(struct request *r, void *ctx)
{
    struct finalize *f = ctx;
    (void)r;
    intent_create(f, &f->get.out);
}

// issuer_choose: where none lives long enough, one of them all the same: the signer says why not.
static const struct catalog_issuer *issuer_choose(struct request *r, const struct signer_profile *p,
                                                  const struct id *order)
{
    const struct catalog *c = &r->edge->catalog;
    uint16_t only = (uint16_t)r->tenant->settings->issuer;
    if (p == NULL) return NULL;
    int64_t now = edge_db_now_us(r->edge) / 1000000;
    const struct catalog_issuer *fits = catalog_choose(c, p, only, order,
                                                       now - p->backdate_s + p->validity_s);
    return fits != NULL ? fits : catalog_choose(c, p, only, order, 0);
}

static void decide(struct finalize *f)
{
    struct request *r = f->r;
    struct edge *e = r->edge;
    const struct order_row *row = &f->get.out;
    enum order_status next,
        status = order_status_at(row->status, row->expires_at_us, edge_db_now_us(e));
    unsigned effects;
    const struct signer_profile *p = catalog_profile(&e->catalog, row->profile);
    const struct catalog_issuer *issuer = issuer_choose(r, p, &row->id);
    if (!order_step(&next, &effects, status, ORDER_FINALIZE))
        order_refused(r, status);
    else if (!names_match(r, &f->refused, &f->csr, row->identifiers))
        names_refused(f);
    else if (f->other.found)
        request_fail(r, PROBLEM_BAD_CSR, "the request is for the key of an account");
    else if (p == NULL || issuer == NULL)
        signer_unknown(r);
    else if (!key_kind_allowed(p, f->csr.kind))
        request_fail(r, PROBLEM_BAD_CSR, "the profile does not take keys of kind %s",
                     public_key_kind_text(f->csr.kind));
    else if (dates_fit(r, row, issuer->not_before)) {
        intent_fill(f, row, p, issuer);
        caa_recheck(r, row->authzs, row->authz_count, on_caa, f);
    }
}

static void reads_done(struct finalize *f, struct err err)
{
    struct request *r = f->r;
    const struct order_row *row = &f->get.out;
    if (failed(err)) f->read_err = err;
    if (--f->reads > 0) return;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(f->read_err))
        request_fail_err(r, f->read_err);
    else if (!f->get.found || !id_eq(&row->account, &r->account) ||
             !slice_eq_str(row->tenant, r->tenant->settings->name))
        request_fail_absent(r, "order");
    else
        decide(f);
}

static void on_order(struct store_cmd *cmd, struct err err)
{
    reads_done(LIST_OWNER(LIST_OWNER(cmd, struct store_order_get, cmd), struct finalize, get), err);
}

static void on_other(struct store_cmd *cmd, struct err err)
{
    reads_done(LIST_OWNER(LIST_OWNER(cmd, struct store_account_get, cmd), struct finalize, other),
               err);
}

// reads_start: RFC 8555 section 11.1: the key of an account must not be a certificate's. A key that
// is no account key in form cannot be one.
static void reads_start(struct finalize *f)
{
    struct request *r = f->r;
    struct jwk key;
    bool usable = !failed(jwk_from_spki(&key, f->csr.spki));
    f->reads = usable ? 2 : 1;
    f->get = (struct store_order_get){.cmd = {.done = on_order, .arena = request_arena(r)},
                                      .id = f->order};
    store_order_get(r->edge->store, &f->get);
    if (!usable) return;
    f->other = (struct store_account_get){.cmd = {.done = on_other, .arena = request_arena(r)},
                                          .tenant = slice_str(r->tenant->settings->name)};
    memcpy(f->other.thumbprint, key.thumbprint, sizeof f->other.thumbprint);
    store_account_get(r->edge->store, &f->other);
}

static void csr_refuse(struct request *r, struct err e, const char *text)
{
    if (err_class(e) == ERR_CLASS_BUSY)
        request_fail_err(r, e);
    else
        request_fail(r, PROBLEM_BAD_CSR, "%s", text);
}

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
        csr_refuse(r, e, note[0] != 0 ? note : err_text(e));
        return false;
    }
    const char *weak = key_judge(r, f->csr.spki);
    if (weak != NULL)
        request_fail(r, PROBLEM_BAD_CSR, "the request's key cannot be certified: %s", weak);
    return weak == NULL;
}

static bool verify_alone(struct verify_job *job)
{
    return !failed(csr_verify(&LIST_OWNER(job, struct finalize, verify)->csr));
}

static void on_verified(struct verify_job *job, bool ok)
{
    struct finalize *f = LIST_OWNER(job, struct finalize, verify);
    struct request *r = f->r;
    request_stage(r, &METRIC_STAGE_VERIFY);
    if (r->edge->stopping)
        request_fail_err(r, ERR(SHUTTING_DOWN));
    else if (!ok)
        request_fail(r, PROBLEM_BAD_CSR,
                     "the request's own signature does not verify: no proof of possession");
    else if (r->edge->issuance_count >= ISSUANCES_MAX) // before the order is touched
        request_fail_err(r, ERR(POOL_FULL));
    else {
        crash_point("e1-after");
        reads_start(f);
    }
}

void finalize_post(struct request *r)
{
    struct finalize *f = REQUEST_NEW(r, struct finalize);
    if (f == NULL) return;
    f->r = r;
    f->wait.fire = on_wait_over;
    if (!request_object(r, &f->order, "order") || !csr_take(f)) return;
    f->verify.done = on_verified;
    if (!csr_p256_take(&f->verify.p256, &f->csr)) f->verify.alone = verify_alone;
    verifier_add(&r->edge->verifier, &f->verify);
}
