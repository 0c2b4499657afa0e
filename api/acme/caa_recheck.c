#include "api/acme/caa_recheck.h"

#include "api/acme/refusals.h"
#include "api/err.h"
#include "api/events.h"
#include "proto/err.h"

// struct look is one older authorization: read, then looked at.
struct look {
    struct store_authz_get get;
    struct validate_request request;
    struct caa_recheck *owner;
    const char *detail; // why not; NULL: nothing is wrong with it
};

struct caa_recheck {
    struct request *r;
    void (*next)(struct request *r, void *ctx);
    void *ctx;
    struct look *looks;
    size_t count, pending;
    struct err err; // of ours
};

static int64_t fresh_since_us(const struct request *r)
{
    return edge_db_now_us(r->edge) - (int64_t)CAA_FRESH_H * 3600 * 1000000;
}

// ---- the end

static void refuse(struct caa_recheck *c)
{
    struct request *r = c->r;
    struct refusals f = {0};
    for (size_t i = 0; i < c->count; i++) {
        const struct look *l = &c->looks[i];
        struct identifier id = l->request.identifier;
        if (l->detail == NULL) continue;
        id.value = slice_str(arena_printf(request_arena(r), "%s%.*s",
                                          l->request.wildcard ? "*." : "", SLICE_ARG(id.value)));
        refusal_add_id(r, &f, PROBLEM_CAA, &id, l->detail);
    }
    r->subproblems = refusals_text(r, &f);
    request_fail(r, PROBLEM_CAA,
                 "the CAA records of %zu of the order's identifiers do not permit it; the order is "
                 "unchanged",
                 f.count);
}

static void end(struct caa_recheck *c)
{
    bool bad = false;
    for (size_t i = 0; i < c->count; i++) bad |= c->looks[i].detail != NULL;
    request_stage(c->r, &METRIC_STAGE_VALIDATE);
    if (failed(c->err))
        request_fail_err(c->r, c->err);
    else if (bad)
        refuse(c);
    else
        c->next(c->r, c->ctx);
}

// ---- looking

static void on_looked(struct validate_request *request, const struct validate_result *result)
{
    struct look *l = LIST_OWNER(request, struct look, request);
    struct caa_recheck *c = l->owner;
    if (result->problem != VALIDATE_OK) {
        l->detail = arena_printf(request_arena(c->r), "%s", result->detail);
        if (result->problem == VALIDATE_INTERNAL) c->err = ERR(VALIDATE_BUSY);
    }
    if (--c->pending == 0) end(c);
}

// look_start looks where it is needed. What is gone or not valid any more is for the statement that
// creates the intent to refuse.
static void look_start(struct caa_recheck *c, struct look *l)
{
    const struct authz_row *z = &l->get.out;
    struct request *r = c->r;
    if (!l->get.found || z->status != AUTHZ_VALID || z->validated_at_us >= fresh_since_us(r) ||
        z->identifier.type != IDENTIFIER_DNS)
        return;
    l->request = (struct validate_request){.method = (enum challenge_type)z->decided_by,
                                           .identifier = z->identifier,
                                           .wildcard = z->wildcard,
                                           .account_url = r->jws.kid,
                                           .caa_alone = true,
                                           .policy = &r->tenant->policy,
                                           .done = on_looked};
    struct err e = validate_start(r->edge->validator, &l->request);
    if (failed(e))
        c->err = e;
    else
        c->pending++;
}

static void on_loaded(struct store_cmd *cmd, struct err err)
{
    struct look *l = LIST_OWNER(LIST_OWNER(cmd, struct store_authz_get, cmd), struct look, get);
    struct caa_recheck *c = l->owner;
    if (failed(err)) c->err = err;
    if (--c->pending > 0) return;
    for (size_t i = 0; i < c->count && !failed(c->err); i++) look_start(c, &c->looks[i]);
    if (c->pending == 0) end(c);
}

void caa_recheck(struct request *r, const struct id *authzs, size_t count,
                 void (*next)(struct request *r, void *ctx), void *ctx)
{
    if (!r->tenant->policy.caa || count == 0) {
        next(r, ctx);
        return;
    }
    struct caa_recheck *c = REQUEST_NEW(r, struct caa_recheck);
    if (c == NULL) return;
    *c = (struct caa_recheck){.r = r, .next = next, .ctx = ctx};
    c->looks = request_new(r, count * sizeof *c->looks);
    if (c->looks == NULL) return;
    for (size_t i = 0; i < count; i++)
        c->looks[i] = (struct look){
            .get = {.cmd = {.done = on_loaded, .arena = request_arena(r)}, .id = authzs[i]},
            .owner = c};
    c->count = c->pending = count;
    for (size_t i = 0; i < c->count; i++) store_authz_get(r->edge->store, &c->looks[i].get);
}
