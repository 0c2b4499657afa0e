#include "api/validate/validate.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/err.h"
#include "api/validate/validate_internal.h"
#include "proto/base/pool.h"

static const struct {
    enum challenge_type method;
    const struct validate_method_row *row;
} methods[] = {
#define X(IDENT, ident, bit, name, proves, form, usual) {CHALLENGE_##IDENT, &validate_##ident},
#include "api/challenge_types.def"
#undef X
};

struct validator {
    struct shard *shard;
    struct resolver *resolver;
    struct pool pool;
    struct list open;
};

struct shard *validation_shard(const struct validation *v) { return v->validator->shard; }

struct resolver *validation_resolver(const struct validation *v) { return v->validator->resolver; }

static const struct validate_method_row *row_of(enum challenge_type method)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (methods[i].method == method) return methods[i].row;
    return NULL;
}

static bool range_has(const struct address_range *ranges, size_t count, const struct sockaddr *a)
{
    for (size_t i = 0; i < count; i++)
        if (address_range_has(&ranges[i], a)) return true;
    return false;
}

// is_unspecified: 0.0.0.0, also inside an IPv6 address, and ::, which the kernel takes for this
// host itself.
static bool is_unspecified(const struct sockaddr *a)
{
    static const struct address_range v4 = {.bytes = {[10] = 0xff, [11] = 0xff}, .bits = 128},
                                      v6 = {.bits = 128};
    return address_range_has(&v4, a) || address_range_has(&v6, a);
}

bool validation_target_allowed(const struct validate_policy *p, const struct sockaddr *a)
{
    if (is_unspecified(a)) return false;
    if (range_has(p->denied, p->denied_count, a)) return false;
    return p->allowed_count == 0 || range_has(p->allowed, p->allowed_count, a);
}

bool validation_account_is(const struct validate_request *r, struct slice uri)
{
    const struct validate_policy *p = r->policy;
    size_t id = r->account_url.n;
    while (id > 0 && r->account_url.p[id - 1] != '/') id--;
    struct slice own = slice_sub(r->account_url, id, r->account_url.n);
    for (size_t i = 0; i < p->account_base_count; i++) {
        struct slice base = slice_str(p->account_bases[i]);
        if (slice_starts(uri, base) && slice_eq(slice_sub(uri, base.n, uri.n), own))
            return own.n > 0;
    }
    return own.n > 0 && slice_eq(uri, r->account_url);
}

// identifier_write: for messages. A name is as the order has it; an address in its text form.
static void identifier_write(char *out, size_t size, const struct identifier *id)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (id->type == IDENTIFIER_IP)
        inet_ntop(id->value.n == 4 ? AF_INET : AF_INET6, id->value.p, text, sizeof text);
    if (id->type == IDENTIFIER_IP)
        snprintf(out, size, "%s", text);
    else
        snprintf(out, size, "%.*s", SLICE_ARG(id->value));
}

// finish tells the caller: "http-01 for a.corp: 10.1.2.3:80 refused after 3 tries in 9 s
// (resolver 10.0.0.53)".
static void finish(struct validation *v)
{
    struct validator *owner = v->validator;
    struct validate_request *request = v->request;
    struct validate_result result = v->last;
    char name[DNS_NAME_LEN_MAX + 1], resolvers[128], cause[VALIDATE_DETAIL_MAX], took[24];
    uint64_t took_ms = (shard_now_ns(owner->shard) - v->started_ns) / 1000000;
    snprintf(took, sizeof took, took_ms < 1000 ? "0.%u" : "%u",
             (unsigned)(took_ms < 1000 ? took_ms / 100 : took_ms / 1000));
    result.tries = v->tries;
    result.took_us = took_ms * 1000;
    identifier_write(name, sizeof name, &request->identifier);
    resolver_text(resolvers, sizeof resolvers, request->policy);
    snprintf(cause, sizeof cause, "%s", result.detail);
    if (result.problem != VALIDATE_OK) {
        int n = snprintf(result.detail, sizeof result.detail,
                         "%s for %s%.100s: %.400s after %u %s in %s s (%.50s)",
                         v->stage->name != NULL ? v->stage->name
                                                : challenge_type_row(request->method)->name,
                         request->wildcard ? "*." : "", name, cause, v->tries,
                         v->tries == 1 ? "try" : "tries", took, resolvers);
        CHECK(n > 0);
    }
    timer_cancel(&v->timer);
    list_remove(&v->node);
    pool_put(&owner->pool, v);
    request->done(request, &result);
}

static void try_begin(struct validation *v)
{
    v->pausing = false;
    v->tries++;
    timer_set(v->validator->shard, &v->timer, v->request->policy->attempt_ms);
    if (!v->stage->begin(v))
        validation_try_end(v, VALIDATE_INTERNAL, true,
                           "this front end has no room for another connection");
}

static uint64_t pause_ms(const struct validation *v)
{
    uint64_t ms = v->request->policy->retry_ms;
    for (unsigned i = 1; i < v->tries; i++) ms += ms / 2;
    return ms;
}

// caa_is_asked: addresses have no CAA records (RFC 8738 section 4).
static bool caa_is_asked(const struct validate_request *r)
{
    return r->policy->caa && r->identifier.type == IDENTIFIER_DNS;
}

// stage_begin goes on to the next stage within the same try.
static void stage_begin(struct validation *v, const struct validate_method_row *stage)
{
    v->stage = stage;
    if (!stage->begin(v))
        validation_try_end(v, VALIDATE_INTERNAL, true,
                           "this front end has no room for another connection");
}

void validation_try_end(struct validation *v, enum validate_problem problem, bool again,
                        const char *fmt, ...)
{
    const struct validate_policy *p = v->request->policy;
    va_list ap;
    va_start(ap, fmt);
    v->last.problem = problem;
    vsnprintf(v->last.detail, VALIDATE_CAUSE_MAX, fmt, ap);
    va_end(ap);
    v->stage->abandon(v); // not before: what the cause is made of may be the try's
    if (problem == VALIDATE_OK && v->stage != &validate_caa && caa_is_asked(v->request)) {
        stage_begin(v, &validate_caa);
        return;
    }
    uint64_t spent_ms = (shard_now_ns(v->validator->shard) - v->started_ns) / 1000000,
             pause = pause_ms(v);
    if (problem == VALIDATE_OK || !again || v->tries >= p->attempts ||
        spent_ms + pause >= p->total_ms) {
        finish(v);
        return;
    }
    v->pausing = true;
    timer_set(v->validator->shard, &v->timer, pause);
}

static void on_timer(struct timer *t)
{
    struct validation *v = LIST_OWNER(t, struct validation, timer);
    if (v->pausing) {
        try_begin(v);
        return;
    }
    char what[VALIDATE_CAUSE_MAX];
    enum validate_problem problem = v->stage->waits_for(v, what, sizeof what);
    validation_try_end(v, problem, true, "%s within %u ms", what, v->request->policy->attempt_ms);
}

struct validator *validator_new(struct shard *shard, unsigned max)
{
    struct validator *v = calloc(1, sizeof *v);
    if (v == NULL) return NULL;
    v->shard = shard;
    list_init(&v->open);
    v->resolver = resolver_new(shard);
    if (v->resolver == NULL ||
        failed(pool_init(&v->pool, "validations", sizeof(struct validation), max))) {
        resolver_free(v->resolver);
        free(v);
        return NULL;
    }
    return v;
}

void validator_free(struct validator *v)
{
    if (v == NULL) return;
    while (!list_empty(&v->open)) {
        struct validation *one = LIST_OWNER(list_pop_front(&v->open), struct validation, node);
        timer_cancel(&one->timer);
        if (!one->pausing) one->stage->abandon(one);
        pool_put(&v->pool, one);
    }
    resolver_free(v->resolver);
    pool_fini(&v->pool);
    free(v);
}

struct err validate_start(struct validator *owner, struct validate_request *request)
{
    bool fits = challenge_types_for(request->method, &request->identifier, request->wildcard) != 0;
    if (!fits || request->token.n > VALIDATE_TOKEN_MAX ||
        request->thumbprint.n > VALIDATE_THUMBPRINT_TEXT_MAX)
        return ERR(VALIDATE_METHOD);
    struct validation *v = pool_get(&owner->pool);
    if (v == NULL) return ERR(VALIDATE_BUSY);
    v->validator = owner;
    v->request = request;
    v->stage = request->caa_alone ? &validate_caa : row_of(request->method);
    v->timer.fire = on_timer;
    v->started_ns = shard_now_ns(owner->shard);
    list_push_back(&owner->open, &v->node);
    // The first try begins in the next turn: `done` never runs inside validate_start.
    v->pausing = true;
    timer_set(owner->shard, &v->timer, 0);
    return OK;
}

unsigned validator_count(const struct validator *v) { return (unsigned)v->pool.used; }
