// envelope: who sends this POST, and is it fresh (RFC 8555 sections 6.2 to 6.5). In this order:
// form; the nonce's tag and age; the URL; the account; the signature, with the others of this turn;
// and last the nonce is redeemed by the core that made it. A request that fails anywhere has no
// effect (I11).
#include "api/acme/handlers.h"

#include <strings.h>

#include "api/events.h"
#include "cluster/err.h"
#include "proto/err.h"

// ---- redemption

static void bad_nonce(struct request *r)
{
    edge_count(r->edge, &METRIC_NONCES_REFUSED);
    request_fail(
        r, PROBLEM_BAD_NONCE,
        "JWS has an invalid anti-replay nonce: it is missing, unknown, too old or was used "
        "before; use the one in this answer");
}

static bool payload_parse(struct request *r)
{
    if (r->jws.payload.n == 0) return true; // POST-as-GET
    struct err e = json_parse(&r->payload, request_arena(r), r->jws.payload);
    if (err_class(e) == ERR_CLASS_BUSY) {
        request_fail_err(r, e);
        return false;
    }
    if (!failed(e) && json_is_object(r->payload)) return true;
    request_fail(r, PROBLEM_MALFORMED, "the payload is not a JSON object: %s",
                 failed(e) ? err_text(e) : "another kind of value");
    return false;
}

// read_only_ok: what anybody may GET is only read by a POST, too (RFC 8555 section 6.3).
static bool read_only_ok(struct request *r)
{
    if (r->route->auth != AUTH_NONE || r->jws.payload.n == 0) return true;
    request_fail(r, PROBLEM_MALFORMED, "reading this takes an empty payload (POST-as-GET)");
    return false;
}

// refused_for_tests: tests of clients ask for a share of good nonces to be refused (clients.md 60).
static bool refused_for_tests(struct edge *e)
{
    uint16_t dice;
    int64_t percent = e->front->settings->bad_nonce_percent;
    if (percent == 0) return false;
    shard_random(e->shard, &dice, sizeof dice);
    return dice % 100 < percent;
}

static void on_redeemed(struct redemption *q, enum nonce_verdict verdict)
{
    struct request *r = LIST_OWNER(q, struct request, redemption);
    if (r->edge->stopping)
        request_fail_err(r, ERR(SHUTTING_DOWN));
    else if (verdict != NONCE_OK || refused_for_tests(r->edge))
        bad_nonce(r);
    else if (read_only_ok(r) && payload_parse(r))
        r->route->handle(r);
}

static void redeem(struct request *r)
{
    r->redemption.done = on_redeemed;
    redeem_start(r->edge, &r->redemption);
}

// ---- signature: all of a turn together

static bool verify_alone(struct verify_job *job)
{
    struct request *r = LIST_OWNER(job, struct request, verify);
    r->verify_err = jws_verify(&r->jws, &r->key);
    return !failed(r->verify_err);
}

static void account_read(struct request *r, const struct id *id);

static void on_verified(struct verify_job *job, bool ok)
{
    struct request *r = LIST_OWNER(job, struct request, verify);
    struct err e = ok ? OK : r->verify_err;
    request_stage(r, &METRIC_STAGE_VERIFY);
    if (failed(e) && r->account_is_cached)
        account_read(r, &r->account); // its key may have been changed elsewhere: once more
    else if (!failed(e) && r->has_account && r->account_status != ACCOUNT_VALID)
        request_fail_account(r, account_status_text(r->account_status));
    else if (!failed(e))
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

static void verify_start(struct request *r)
{
    r->verify.done = on_verified;
    r->verify.recurring = r->has_account;
    r->verify_err = ERR(BAD_JWS_SIGNATURE);
    r->verify.alone = jws_p256_take(&r->verify.p256, &r->jws, &r->key) ? NULL : verify_alone;
    verifier_add(&r->edge->verifier, &r->verify);
}

// ---- account

static void account_unknown(struct request *r)
{
    request_fail(r, PROBLEM_ACCOUNT_DOES_NOT_EXIST,
                 "\"kid\" is not the URL of an account of this server");
}

static void account_use(struct request *r, const struct cached_account *c, bool is_cached)
{
    if (c == NULL || strcmp(c->tenant, r->tenant->settings->name) != 0) {
        account_unknown(r);
        return;
    }
    r->key = c->key;
    r->account = c->id;
    r->has_account = true;
    r->account_is_cached = is_cached;
    r->account_status = c->status;
    r->key_version = c->key_version;
    memcpy(r->eab_kid, c->eab_kid, sizeof r->eab_kid);
    verify_start(r);
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
    if (failed(err))
        request_fail_err(r, err);
    else
        account_use(r, a->get.found ? edge_account_keep(r->edge, &a->get.out) : NULL, false);
}

static void account_read(struct request *r, const struct id *id)
{
    struct account_read *a = REQUEST_NEW(r, struct account_read);
    if (a == NULL) return;
    *a = (struct account_read){
        .get = {.cmd = {.done = on_account, .arena = request_arena(r)}, .by_id = true, .id = *id},
        .r = r};
    store_account_get(r->edge->store, &a->get);
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
        account_unknown(r);
        return;
    }
    const struct cached_account *c = edge_account_cached(r->edge, &id);
    if (c != NULL)
        account_use(r, c, true);
    else
        account_read(r, &id);
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
    struct slice type = http_header_find(q->headers, q->header_count, "content-type");
    static const char jose[] = "application/jose+json"; // in any case: RFC 9110 section 8.3.1
    return type.n == sizeof jose - 1 && strncasecmp((const char *)type.p, jose, type.n) == 0;
}

// url_ok compares octet by octet with the URL that we would show for this path: no other spelling
// of it is the same (RFC 8555 section 6.4, T04).
static bool url_ok(struct request *r)
{
    return slice_eq_str(r->jws.url, arena_printf(request_arena(r), "%s%" SLICE_FMT, r->origin,
                                                 SLICE_ARG(r->x->request.path)));
}

void envelope_form_refuse(struct request *r, struct err e, const char *note)
{
    if (err_class(e) == ERR_CLASS_BUSY)
        request_fail_err(r, e);
    else
        request_fail(r, form_problem(e), "%s", note[0] != 0 ? note : err_text(e));
}

static bool nonce_fresh(struct request *r)
{
    struct edge *e = r->edge;
    unsigned lifetime_s = (unsigned)(e->front->settings->nonce_ms / 1000);
    return nonce_read(&r->redemption.nonce, &e->nonce_key, r->jws.nonce, shard_wall_s(e->shard),
                      lifetime_s);
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
    if (failed(e) && !err_is(e, ERR_BAD_JWS_NONCE))
        envelope_form_refuse(r, e, note);
    else if (failed(e) || !nonce_fresh(r))
        bad_nonce(r);
    else if (!url_ok(r))
        request_fail(
            r, PROBLEM_UNAUTHORIZED,
            "\"url\" in the protected header is not the URL that this request was sent to");
    else if (r->route->auth != AUTH_EITHER && (r->route->auth == AUTH_JWK) != r->jws.has_jwk)
        request_fail(r, PROBLEM_MALFORMED, "this resource needs \"%s\" in the protected header",
                     r->route->auth == AUTH_JWK ? "jwk" : "kid");
    else if (!r->jws.has_jwk)
        account_find(r);
    else {
        r->key = r->jws.jwk;
        verify_start(r);
    }
}
