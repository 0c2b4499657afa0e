// envelope: who sends this POST, and is it fresh (RFC 8555 sections 6.2 to 6.5). In this order:
// form; the nonce's tag and age; the URL; the account; the signature, with the others of this turn;
// and last the nonce is redeemed by the core that made it. A request that fails anywhere has no
// effect (I11).
#include "api/acme/handlers.h"
#include "api/events.h"
#include "api/node_rpc.h"
#include "cluster/core/reactor.h"
#include "proto/err.h"
#include "store/err.h"

// ---- redemption

static void bad_nonce(struct request *r)
{
    metric_add(shard_metrics(r->edge->shard), shard_index(r->edge->shard), &METRIC_NONCES_REFUSED,
               1);
    request_fail(r, PROBLEM_BAD_NONCE,
                 "JWS has an invalid anti-replay nonce: it is unknown, too old or was used before; "
                 "use the one in this answer");
}

static bool payload_parse(struct request *r)
{
    if (r->jws.payload.n == 0) return true; // POST-as-GET
    struct err e = json_parse(&r->payload, request_arena(r), r->jws.payload);
    if (!failed(e) && json_is_object(r->payload)) return true;
    request_fail(r, PROBLEM_MALFORMED, "the payload is not a JSON object: %s",
                 failed(e) ? err_text(e) : "another kind of value");
    return false;
}

static void redeemed(struct request *r, enum nonce_verdict verdict)
{
    if (verdict != NONCE_OK)
        bad_nonce(r);
    else if (payload_parse(r))
        r->route->handle(r);
}

// struct question travels to the core that made a nonce and back.
struct question {
    struct message m;
    struct request *r;
    struct shard *home;
    uint64_t counter;
    enum nonce_verdict verdict;
};

static void question_back(struct shard *shard, struct message *m)
{
    struct question *q = LIST_OWNER(m, struct question, m);
    (void)shard;
    redeemed(q->r, q->verdict);
}

static void question_answer(struct shard *shard, struct message *m)
{
    struct question *q = LIST_OWNER(m, struct question, m);
    q->verdict = nonce_window_redeem(&edge_of(shard)->nonces, q->counter);
    q->m.run = question_back;
    shard_post(q->home, &q->m);
}

static void on_remote(void *ctx, enum nonce_verdict verdict) { redeemed(ctx, verdict); }

static void redeem(struct request *r)
{
    struct edge *e = r->edge;
    const struct nonce *n = &r->nonce;
    if (n->boot != e->front->boot) {
        if (!node_rpc_redeem(e->node_rpc, request_arena(r), n, on_remote, r)) bad_nonce(r);
        return;
    }
    if (n->core == e->nonces.core) {
        redeemed(r, nonce_window_redeem(&e->nonces, n->counter));
        return;
    }
    struct question *q = ARENA_NEW(request_arena(r), struct question);
    if (q == NULL || n->core >= shard_count(e->shard)) {
        bad_nonce(r);
        return;
    }
    *q = (struct question){
        .m = {.run = question_answer}, .r = r, .home = e->shard, .counter = n->counter};
    shard_post(shard_sibling(e->shard, n->core), &q->m);
}

// ---- signature: all of a turn together

static void verify_one(struct request *r)
{
    struct err e = jws_verify(&r->jws, &r->key);
    request_stage(r, &METRIC_STAGE_VERIFY);
    if (!failed(e))
        redeem(r);
    else if (err_is(e, ERR_BAD_JWS_ALG))
        request_fail(r, PROBLEM_BAD_SIGNATURE_ALGORITHM,
                     "the JWS algorithm %s does not fit the account's key",
                     jws_alg_name(r->jws.alg));
    else
        request_fail_status(r, PROBLEM_MALFORMED, 400,
                            "the JWS signature does not verify under the %s",
                            r->jws.has_jwk ? "key in the request" : "account's key");
}

static void on_verify(struct turn_hook *hook)
{
    struct edge *e = LIST_OWNER(hook, struct edge, verify_hook);
    struct list batch;
    list_init(&batch);
    while (!list_empty(&e->verify_queue)) list_push_back(&batch, list_pop_front(&e->verify_queue));
    while (!list_empty(&batch))
        verify_one(LIST_OWNER(list_pop_front(&batch), struct request, node));
}

static void verify_queue(struct request *r)
{
    struct edge *e = r->edge;
    e->verify_hook.run = on_verify;
    list_push_back(&e->verify_queue, &r->node);
    turn_hook_arm(e->shard, &e->verify_hook);
}

// ---- account

static void account_use(struct request *r, const struct cached_account *c)
{
    if (c->tenant != r->tenant) {
        request_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
                     "the account in \"kid\" belongs to another tenant");
        return;
    }
    if (c->status != ACCOUNT_VALID) {
        request_fail(r, PROBLEM_UNAUTHORIZED, "the account is %s",
                     c->status == ACCOUNT_DEACTIVATED ? "deactivated" : "revoked");
        return;
    }
    r->key = c->key;
    r->account = c->id;
    r->account_id = &r->account;
    r->key_version = c->key_version;
    verify_queue(r);
}

struct account_read {
    struct store_account_get get;
    struct request *r;
};

static void on_account(struct store_cmd *cmd, struct err err)
{
    struct account_read *a = LIST_OWNER(LIST_OWNER(cmd, struct store_account_get, cmd),
                                        struct account_read, get);
    struct request *r = a->r;
    request_stage(r, &METRIC_STAGE_STORE);
    if (failed(err)) {
        request_fail_store(r, err);
        return;
    }
    const struct tenant *tenant = a->get.found ? edge_tenant(r->edge->front, a->get.out.tenant)
                                               : NULL;
    const struct cached_account *c = tenant == NULL
                                         ? NULL
                                         : edge_account_keep(r->edge, tenant, &a->get.out);
    if (c == NULL)
        request_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
                     "there is no account at the URL in \"kid\"");
    else
        account_use(r, c);
}

// kid_parse takes the account's id out of its URL, which must be of this tenant at this host.
static bool kid_parse(struct request *r, struct id *out)
{
    struct slice prefix = slice_str(request_url(r, "acct/"));
    return slice_starts(r->jws.kid, prefix) &&
           !failed(id_parse(out, slice_sub(r->jws.kid, prefix.n, r->jws.kid.n)));
}

static void account_find(struct request *r)
{
    struct id id;
    if (!kid_parse(r, &id)) {
        request_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
                     "\"kid\" is not the URL of an account of this server");
        return;
    }
    const struct cached_account *c = edge_account_cached(r->edge, &id);
    if (c != NULL) {
        account_use(r, c);
        return;
    }
    struct account_read *a = ARENA_NEW(request_arena(r), struct account_read);
    if (a == NULL) {
        request_fail_store(r, ERR(STORE_BUSY));
        return;
    }
    *a = (struct account_read){
        .get = {.cmd = {.done = on_account, .arena = request_arena(r)}, .by_id = true, .id = id},
        .r = r};
    store_account_get(r->edge->store, &a->get);
}

// ---- form

static enum problem form_problem(struct err e)
{
    if (err_is(e, ERR_BAD_JWS_ALG)) return PROBLEM_BAD_SIGNATURE_ALGORITHM;
    if (err_is(e, ERR_BAD_JWK)) return PROBLEM_BAD_PUBLIC_KEY;
    return PROBLEM_MALFORMED;
}

static bool content_type_ok(const struct request *r)
{
    const struct http_request *q = &r->x->request;
    return slice_eq_str(http_header_find(q->headers, q->header_count, "content-type"),
                        "application/jose+json");
}

static bool url_ok(struct request *r)
{
    const struct http_request *q = &r->x->request;
    const char *t = r->tenant->settings->base_url;
    const char *want = t != NULL
                           ? arena_printf(request_arena(r), "%s%" SLICE_FMT, t, SLICE_ARG(q->path))
                           : arena_printf(request_arena(r), "https://%" SLICE_FMT "%" SLICE_FMT,
                                          SLICE_ARG(q->authority), SLICE_ARG(q->path));
    return slice_eq_str(r->jws.url, want);
}

void envelope_check(struct request *r)
{
    const char *note = "";
    if (!content_type_ok(r)) {
        request_fail_status(r, PROBLEM_MALFORMED, 415,
                            "the Content-Type must be application/jose+json");
        return;
    }
    struct err e = jws_parse(&r->jws, &note, request_arena(r), r->x->request.body, JWS_USE_REQUEST);
    request_stage(r, &METRIC_STAGE_PARSE);
    if (failed(e))
        request_fail(r, form_problem(e), "%s", note[0] != 0 ? note : err_text(e));
    else if (!nonce_read(&r->nonce, &r->edge->nonce_key, r->jws.nonce, shard_wall_s(r->edge->shard),
                         (unsigned)(r->edge->front->settings->nonce_ms / 1000)))
        bad_nonce(r);
    else if (!url_ok(r))
        request_fail(
            r, PROBLEM_UNAUTHORIZED,
            "\"url\" in the protected header is not the URL that this request was sent to");
    else if ((r->route->auth == AUTH_JWK) != r->jws.has_jwk)
        request_fail(r, PROBLEM_MALFORMED, "this resource needs \"%s\" in the protected header",
                     r->route->auth == AUTH_JWK ? "jwk" : "kid");
    else if (r->route->auth == AUTH_KID)
        account_find(r);
    else {
        r->key = r->jws.jwk;
        verify_queue(r);
    }
}
