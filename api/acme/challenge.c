// challenge: the challenges of an authorization (RFC 8555 sections 7.5.1 and 8). A validation under
// way lives in the memory of the front end that the client asked; its outcome is committed together
// with the order that waits for it.
#include "api/acme/authz.h"

#include "api/acme/handlers.h"
#include "api/acme/limits.h"
#include "api/acme/refusals.h"
#include "api/err.h"
#include "api/events.h"
#include "proto/err.h"
#include "proto/text/base64url.h"

#include <stdlib.h>

enum {
    RETRY_AFTER_S = 1,
    TOKEN_TEXT_LEN = 43,
    THUMBPRINT_TEXT_LEN = 43,
    RUNNING_ARENA_MAX = 65536,
    DECIDE_RETRY_MS = 500
};

// struct running_validation is one challenge being checked, and its decision on the way to the
// store.
struct running_validation {
    struct edge *edge;
    struct id authz;
    struct validate_request request;
    struct store_authz_decide decide;
    struct timer again;                   // the store was away: the decision is not lost
    struct rate_item charges[LIMITS_MAX]; // when it fails
    size_t charge_count;
    struct store_rate_take charge;
    uint8_t value[DNS_NAME_LEN_MAX]; // of the identifier
    char token[TOKEN_TEXT_LEN + 1], thumbprint[THUMBPRINT_TEXT_LEN + 1];
    struct arena arena;
    uint64_t started_ns;
};

// running_type is the challenge of an authorization that this core is validating, NULL: none.
static const struct challenge_type_row *running_type(const struct request *r,
                                                     const struct authz_row *z)
{
    const struct running_validation *v = authz_is_pending(r, z)
                                             ? map_get(&r->edge->validations, z->id.b)
                                             : NULL;
    return v == NULL ? NULL : challenge_type_row(v->request.method);
}

// ---- documents

// challenge_status_text: a client that polls the challenge sees what one sees that polls the
// authorization (clients.md 46).
static const char *challenge_status_text(struct request *r, const struct authz_row *z,
                                         const struct challenge_type_row *t)
{
    if (z->decided_by == (uint32_t)t->type) return z->validated_at_us > 0 ? "valid" : "invalid";
    if (!authz_is_pending(r, z)) return "invalid"; // too late, or another one has decided
    return running_type(r, z) == t ? "processing" : "pending";
}

static const char *challenge_url(struct request *r, const struct authz_row *z,
                                 const struct challenge_type_row *t)
{
    char id[ID_TEXT_LEN + 1];
    id_text(id, &z->id);
    return request_url(r, "chall/%s/%s", id, t->name);
}

static void token_put(struct json_out *o, const struct authz_row *z)
{
    char token[TOKEN_TEXT_LEN + 1] = "";
    base64url_encode(token, slice_of(z->token, sizeof z->token));
    json_key(o, "token");
    json_put_str(o, token);
}

static void issuers_put(const struct request *r, struct json_out *o)
{
    const struct validate_policy *p = &r->tenant->policy;
    json_key(o, "issuer-domain-names");
    json_array_begin(o);
    for (size_t i = 0; i < p->identity_count && i < CHALLENGE_ISSUERS_MAX; i++)
        json_put_str(o, p->identities[i]);
    json_array_end(o);
}

static void challenge_put(struct request *r, struct json_out *o, const struct authz_row *z,
                          const struct challenge_type_row *t)
{
    bool decided = z->decided_by == (uint32_t)t->type;
    char time[TIME_TEXT_LEN + 1];
    json_object_begin(o);
    json_key(o, "type");
    json_put_str(o, t->name);
    json_key(o, "url");
    json_put_str(o, challenge_url(r, z, t));
    json_key(o, "status");
    json_put_str(o, challenge_status_text(r, z, t));
    if (t->form == CHALLENGE_HAS_ISSUERS)
        issuers_put(r, o);
    else
        token_put(o, z);
    if (decided && z->validated_at_us > 0) {
        request_time(time, z->validated_at_us / 1000000);
        json_key(o, "validated");
        json_put_str(o, time);
    }
    if (decided && z->error.n > 0) {
        json_key(o, "error");
        json_put_raw(o, z->error);
    }
    json_object_end(o);
}

void challenges_put(struct request *r, struct json_out *o, const struct authz_row *z)
{
    uint32_t shown = z->decided_by != 0 ? z->decided_by : z->challenges;
    const struct challenge_type_row *t;
    for (size_t i = 0; (t = challenge_type_at(i)) != NULL; i++)
        if ((shown & (uint32_t)t->type) != 0) challenge_put(r, o, z, t);
}

// challenge_named is the challenge in the request's path; NULL: the authorization has none such,
// and the request was answered.
static const struct challenge_type_row *challenge_named(struct request *r,
                                                        const struct authz_row *z)
{
    const struct challenge_type_row *t = challenge_type_named(r->segments[1]);
    if (t != NULL && (z->challenges & (uint32_t)t->type) != 0) return t;
    request_fail_absent(r, "challenge");
    return NULL;
}

static void challenge_respond(struct request *r, const struct authz_row *z)
{
    const struct challenge_type_row *t = challenge_named(r, z);
    if (t == NULL) return;
    char id[ID_TEXT_LEN + 1];
    struct json_out o;
    json_out_begin(&o, edge_scratch(r->edge));
    challenge_put(r, &o, z, t);
    id_text(id, &z->id);
    r->link_up = request_url(r, "authz/%s", id);
    if (authz_poll_soon(r, z)) r->retry_after = RETRY_AFTER_S;
    request_respond_json(r, 200, &o);
}

// ---- decisions

static void running_free(struct running_validation *v)
{
    struct edge *e = v->edge;
    map_remove(&e->validations, v->authz.b);
    timer_cancel(&v->again);
    arena_fini(&v->arena);
    free(v);
    edge_quiet_check(e);
}

void validations_drop(struct edge *e)
{
    size_t at = 0;
    for (struct running_validation *v; (v = map_next(&e->validations, &at)) != NULL; at = 0)
        running_free(v);
}

static void on_charged(struct store_cmd *cmd, struct err err)
{
    (void)err; // a charge that was lost is not worth more than this
    running_free(LIST_OWNER(LIST_OWNER(cmd, struct store_rate_take, cmd), struct running_validation,
                            charge));
}

static void charge(struct running_validation *v)
{
    v->charge = (struct store_rate_take){.cmd = {.done = on_charged, .arena = &v->arena},
                                         .items = v->charges,
                                         .count = v->charge_count};
    store_rate_take(v->edge->store, &v->charge);
}

static void on_decided(struct store_cmd *cmd, struct err err)
{
    struct running_validation *v = LIST_OWNER(LIST_OWNER(cmd, struct store_authz_decide, cmd),
                                              struct running_validation, decide);
    struct edge *e = v->edge;
    if (err_class(err) == ERR_CLASS_BUSY && !e->draining && !e->stopping) {
        // Proof of control is not thrown away because the store is away for a moment.
        timer_set(e->shard, &v->again, DECIDE_RETRY_MS);
        return;
    }
    if (failed(err))
        LOG(shard_log(e->shard), &EVENT_DECISION_LOST, NULL, LOG_ERR("error", err));
    else if (v->decide.decided)
        edge_count(e, v->decide.to == AUTHZ_VALID ? &METRIC_VALIDATIONS_VALID
                                                  : &METRIC_VALIDATIONS_INVALID);
    bool counts = !failed(err) && v->decide.decided && v->decide.to == AUTHZ_INVALID;
    if (counts && v->charge_count > 0 && !e->stopping)
        charge(v);
    else
        running_free(v);
}

static void on_again(struct timer *t)
{
    struct running_validation *v = LIST_OWNER(t, struct running_validation, again);
    if (!v->edge->stopping) store_authz_decide(v->edge->store, &v->decide);
}

static enum problem problem_of(enum validate_problem p)
{
    switch (p) {
    case VALIDATE_CONNECTION:
        return PROBLEM_CONNECTION;
    case VALIDATE_DNS:
        return PROBLEM_DNS;
    case VALIDATE_INCORRECT_RESPONSE:
        return PROBLEM_INCORRECT_RESPONSE;
    case VALIDATE_TLS:
        return PROBLEM_TLS;
    case VALIDATE_CAA:
        return PROBLEM_CAA;
    case VALIDATE_MALFORMED:
        return PROBLEM_MALFORMED;
    default:
        return PROBLEM_SERVER_INTERNAL;
    }
}

// errors_write: the problem of the challenge, and that of the order, which names the identifier.
static void errors_write(struct running_validation *v, const struct validate_result *result)
{
    struct buf *b = edge_scratch(v->edge);
    enum problem p = problem_of(result->problem);
    struct authz_row z = {.identifier = v->request.identifier, .wildcard = v->request.wildcard};
    v->decide.error = v->decide.order_error = SLICE_LIT("{}");
    if (!failed(problem_write(b, p, problem_status(p), result->detail, NULL)))
        (void)!failed(arena_dup(&v->decide.error, &v->arena, buf_slice(b)));
    (void)!failed(order_problem(&v->decide.order_error, v->edge, &v->arena, p, result->detail, &z));
}

static void on_validated(struct validate_request *request, const struct validate_result *result)
{
    struct running_validation *v = LIST_OWNER(request, struct running_validation, request);
    struct edge *e = v->edge;
    metric_observe_us(shard_metrics(e->shard), shard_index(e->shard), &METRIC_STAGE_VALIDATE,
                      (shard_now_ns(e->shard) - v->started_ns) / 1000);
    v->decide.to = result->problem == VALIDATE_OK ? AUTHZ_VALID : AUTHZ_INVALID;
    if (result->until_s > 0 && result->until_s < v->decide.valid_until_us / 1000000)
        v->decide.valid_until_us = result->until_s * 1000000;
    if (v->decide.to == AUTHZ_INVALID) {
        char authz[ID_TEXT_LEN + 1];
        id_text(authz, &v->authz);
        errors_write(v, result);
        LOG(shard_log(e->shard), &EVENT_VALIDATION_FAILED, result->detail, LOG_STR("authz", authz),
            LOG_INT("tries", result->tries), LOG_INT("took_ms", result->took_us / 1000));
    }
    store_authz_decide(e->store, &v->decide);
}

static struct running_validation *running_new(struct request *r, const struct authz_row *z,
                                              const struct challenge_type_row *t)
{
    struct edge *e = r->edge;
    struct running_validation *v = calloc(1, sizeof *v);
    struct slice account_url;
    if (v == NULL) return NULL;
    CHECK(z->identifier.value.n <= sizeof v->value);
    v->edge = e;
    v->authz = z->id;
    v->started_ns = shard_now_ns(e->shard);
    v->again.fire = on_again;
    arena_init(&v->arena, RUNNING_ARENA_MAX);
    base64url_encode(v->token, slice_of(z->token, sizeof z->token));
    base64url_encode(v->thumbprint, slice_of(r->key.thumbprint, sizeof r->key.thumbprint));
    memcpy(v->value, z->identifier.value.p, z->identifier.value.n);
    if (failed(arena_dup(&account_url, &v->arena, r->jws.kid))) {
        arena_fini(&v->arena);
        free(v);
        return NULL;
    }
    v->request = (struct validate_request){
        .method = t->type,
        .identifier = {z->identifier.type, slice_of(v->value, z->identifier.value.n)},
        .wildcard = z->wildcard,
        .token = slice_str(v->token),
        .thumbprint = slice_str(v->thumbprint),
        .account_url = account_url,
        .policy = &r->tenant->policy,
        .done = on_validated};
    v->decide = (struct store_authz_decide){
        .cmd = {.done = on_decided, .arena = &v->arena},
        .id = z->id,
        .order = z->order,
        .by = (uint32_t)t->type,
        .valid_until_us = edge_db_now_us(e) + r->tenant->settings->authz_valid_ms * 1000};
    shard_random(e->shard, &v->decide.tag, sizeof v->decide.tag);
    v->charge_count = limits_failed(v->charges, r, &v->request.identifier);
    return v;
}

static struct err validation_begin(struct request *r, const struct authz_row *z,
                                   const struct challenge_type_row *t)
{
    struct edge *e = r->edge;
    struct running_validation *v = running_new(r, z, t);
    if (v == NULL) return ERR(VALIDATE_BUSY);
    struct err err = map_put(&e->validations, v->authz.b, v);
    if (!failed(err)) err = validate_start(e->validator, &v->request);
    if (failed(err)) running_free(v);
    return err;
}

// ---- requests

static void challenge_begin(struct request *r, const struct authz_row *z)
{
    const struct challenge_type_row *t = challenge_named(r, z);
    if (t == NULL) return; // answered: r is gone
    const struct challenge_type_row *running = running_type(r, z);
    if (running != NULL && running != t) {
        request_fail(r, PROBLEM_MALFORMED,
                     "the authorization is being validated by its %s challenge already, which "
                     "decides it",
                     running->name);
        return;
    }
    // A second POST changes nothing.
    struct err e = authz_is_pending(r, z) && running == NULL ? validation_begin(r, z, t) : OK;
    if (failed(e))
        request_fail_err(r, e);
    else
        challenge_respond(r, z);
}

// challenge_post: an empty payload reads the challenge; an object, empty or not, asks for it to be
// validated (RFC 8555 section 7.5.1; what is inside is ignored).
void challenge_post(struct request *r)
{
    authz_load(r, "challenge", json_present(r->payload) ? challenge_begin : challenge_respond);
}
