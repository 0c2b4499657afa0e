#include "api/router.h"

#include <stdio.h>

#include "api/acme/handlers.h"
#include "api/crl_serve.h"
#include "api/events.h"
#include "cluster/core/clock.h"

static const struct route routes[] = {
#define X(pattern, methods, auth, handler) {pattern, methods, AUTH_##auth, handler},
#include "api/routes.def"
#undef X
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0], REFUSAL_RETRY_S = 1 };

// ---- counters

#define ANSWERS(pattern, class)                                                      \
    {                                                                                \
        "certmill_acme_requests_total", "route=\"" pattern "\",class=\"" class "\"", \
            METRIC_COUNTER, "Answers to ACME clients, by route and status class.", 0 \
    }
#define CLASSES(pattern)                                                          \
    {                                                                             \
        ANSWERS(pattern, "2xx"), ANSWERS(pattern, "4xx"), ANSWERS(pattern, "5xx") \
    }
static struct metric answers[ROUTE_COUNT + 1][3] = {
#define X(pattern, methods, auth, handler) CLASSES(pattern),
#include "api/routes.def"
#undef X
    CLASSES("none"),
};

void router_metrics_declare(void)
{
    metrics_declare(answers[0], sizeof answers / sizeof answers[0][0]);
}

const struct metric *router_metric(const struct route *route, unsigned status)
{
    size_t row = route == NULL ? ROUTE_COUNT : (size_t)(route - routes);
    return &answers[row][status < 400 ? 0 : status < 500 ? 1 : 2];
}

// ---- paths and hosts

static bool pattern_match(const char *pattern, struct slice rest,
                          struct slice segments[ROUTE_SEGMENT_COUNT_MAX])
{
    size_t at = 0, stars = 0;
    for (; *pattern != 0; pattern++) {
        if (*pattern != '*') {
            if (at >= rest.n || rest.p[at++] != (uint8_t)*pattern) return false;
            continue;
        }
        size_t start = at;
        while (at < rest.n && rest.p[at] != '/') at++;
        if (at == start) return false;
        CHECK(stars < ROUTE_SEGMENT_COUNT_MAX);
        segments[stars++] = slice_sub(rest, start, at - start);
    }
    return at == rest.n;
}

const struct route *route_find(struct slice rest, struct slice segments[ROUTE_SEGMENT_COUNT_MAX])
{
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        if (pattern_match(routes[i].pattern, rest, segments)) return &routes[i];
    return NULL;
}

bool router_path_split(struct slice path, struct slice *tenant, struct slice *rest)
{
    *tenant = SLICE_NONE;
    if (slice_eq_str(path, "/directory") || slice_eq_str(path, "/dir")) {
        *rest = SLICE_LIT("directory");
        return true;
    }
    if (!slice_starts(path, SLICE_LIT("/acme/"))) return false;
    struct slice after = slice_sub(path, 6, path.n);
    const uint8_t *slash = after.n == 0 ? NULL : memchr(after.p, '/', after.n);
    if (slash == NULL || slash == after.p) return false;
    *tenant = slice_sub(after, 0, (size_t)(slash - after.p));
    *rest = slice_sub(after, tenant->n + 1, after.n);
    return true;
}

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

static bool same_host(struct slice a, const char *b)
{
    if (a.n != strlen(b)) return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower((uint8_t)b[i])) return false;
    return true;
}

// port_drop takes the port of https off, which says nothing (RFC 9110 section 4.2.3): some clients
// send it when the directory's URL was written with it.
static struct slice port_drop(struct slice authority)
{
    static const char port[] = ":443";
    size_t n = sizeof port - 1;
    bool there = authority.n > n && memcmp(authority.p + authority.n - n, port, n) == 0;
    return there ? slice_sub(authority, 0, authority.n - n) : authority;
}

const char *router_origin(struct arena *a, const struct tenant_settings *t, struct slice authority)
{
    const char *const *hosts = t->hosts.items, *host = NULL;
    authority = port_drop(authority);
    for (size_t i = 0; i < t->hosts.count && host == NULL; i++)
        if (same_host(authority, hosts[i])) host = hosts[i];
    if (t->base_url == NULL) return host == NULL ? NULL : arena_printf(a, "https://%s", host);
    bool ours = host != NULL || same_host(authority, t->base_url + strlen("https://"));
    return ours ? t->base_url : NULL;
}

static bool method_ok(const struct request *r)
{
    enum http_method m = r->x->request.method;
    if (m == HTTP_POST) return (r->route->methods & ROUTE_POST) != 0;
    return (m == HTTP_GET || m == HTTP_HEAD) && (r->route->methods & ROUTE_GET) != 0;
}

static const char *methods_text(unsigned methods)
{
    return methods == ROUTE_GET ? "GET, HEAD" : methods == ROUTE_POST ? "POST" : "GET, HEAD, POST";
}

static bool tenant_find(struct request *r, struct slice *rest)
{
    struct slice tenant, path = r->x->request.path;
    const struct front *f = r->edge->front;
    const uint8_t *query = memchr(path.p, '?', path.n);
    if (query != NULL) path.n = (size_t)(query - path.p);
    const struct tenant *found = !router_path_split(path, &tenant, rest) ? NULL
                                 : tenant.n == 0                         ? f->default_tenant
                                                                         : edge_tenant(f, tenant);
    if (found == NULL) {
        request_fail_status(r, PROBLEM_MALFORMED, 404,
                            "there is nothing at this URL; the directory is at /directory");
        return false;
    }
    r->origin = router_origin(request_arena(r), found->settings, r->x->request.authority);
    if (r->origin == NULL) {
        request_fail_status(r, PROBLEM_MALFORMED, 421,
                            "this server does not answer for that host name");
        return false;
    }
    r->tenant = found;
    r->base = arena_printf(request_arena(r), "%s/acme/%s", r->origin, found->settings->name);
    return true;
}

static void dispatch(struct request *r)
{
    struct slice rest;
    if (!tenant_find(r, &rest)) return;
    r->route = route_find(rest, r->segments);
    if (r->route != NULL && !method_ok(r)) r->allow = methods_text(r->route->methods);
    if (r->route == NULL)
        request_fail_status(r, PROBLEM_MALFORMED, 404, "there is nothing at this URL");
    else if (r->allow != NULL)
        request_fail_status(r, PROBLEM_MALFORMED, 405, "%.20s is not allowed here; use %s",
                            request_text(r, r->x->request.method_text),
                            (r->route->methods & ROUTE_GET) != 0 ? "GET"
                                                                 : "POST (RFC 8555 section 6.3)");
    else if (r->route->auth == AUTH_NONE && r->x->request.method != HTTP_POST)
        r->route->handle(r);
    else
        envelope_check(r);
}

static void id_draw(struct edge *e, char out[REQUEST_ID_LEN + 1])
{
    uint8_t random[REQUEST_ID_LEN / 2];
    shard_random(e->shard, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) snprintf(out + 2 * i, 3, "%02x", random[i]);
}

// on_refusal dresses an answer that the server gives by itself as one of ours: it may be a POST
// that is answered, so it carries a nonce, too (clients.md 11 and 17).
static void on_refusal(void *ctx, struct http_response *out)
{
    struct edge *e = ctx;
    struct refusal *f = &e->refusal;
    struct buf *b = edge_scratch(e);
    id_draw(e, f->id);
    edge_nonce(e, f->nonce);
    snprintf(f->retry_after, sizeof f->retry_after, "%d", REFUSAL_RETRY_S);
    if (failed(problem_write_refusal(b, out->status, f->id))) buf_clear(b);
    const struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/problem+json")},
        {SLICE_LIT("Replay-Nonce"), slice_str(f->nonce)},
        {SLICE_LIT("Cache-Control"), SLICE_LIT("no-store")},
        {SLICE_LIT("X-Request-Id"), slice_str(f->id)},
        {SLICE_LIT("Retry-After"), slice_str(f->retry_after)}};
    _Static_assert(sizeof headers == sizeof f->headers, "the same number");
    memcpy(f->headers, headers, sizeof headers);
    out->headers = f->headers;
    out->header_count = out->status == 503 ? 5 : 4;
    out->body = buf_slice(b);
    edge_count(e, &METRIC_PROBLEMS);
    edge_count(e, router_metric(NULL, out->status));
    LOG(shard_log(e->shard), &EVENT_REQUEST_REFUSED, NULL, LOG_STR("request", f->id),
        LOG_INT("status", out->status));
}

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct edge *e = ctx;
    if (crl_path(x->request.path)) {
        crl_answer(e, x);
        return;
    }
    struct request *r = ARENA_NEW(x->arena, struct request);
    if (r == NULL) {
        struct http_response answer = {.status = 503};
        on_refusal(e, &answer);
        server_respond(x, &answer);
        return;
    }
    id_draw(e, r->id);
    e->request_count++;
    r->x = x;
    r->peer = peer->address;
    r->edge = e;
    r->base = "";
    r->started_ns = r->stage_ns = clock_monotonic_ns();
    dispatch(r);
}

// The peer is gone: the request goes on, what it has begun must end, and its answer only releases
// the exchange.
static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    (void)x;
}

static void on_drained(void *ctx)
{
    struct edge *e = ctx;
    e->server_drained = true;
    edge_quiet_check(e);
}

const struct server_handler *router_handler(void)
{
    static const struct server_handler handler = {
        .request = on_request, .gone = on_gone, .drained = on_drained, .refusal = on_refusal};
    return &handler;
}
