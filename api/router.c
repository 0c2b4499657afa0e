#include "api/router.h"

#include <stdio.h>

#include "api/acme/handlers.h"
#include "api/events.h"

static const struct route routes[] = {
#define X(ident, pattern, methods, auth, handler) {#ident, pattern, methods, AUTH_##auth, handler},
#include "api/routes.def"
#undef X
};

static bool pattern_match(const char *pattern, struct slice rest, struct slice *segment)
{
    size_t at = 0;
    for (; *pattern != 0; pattern++) {
        if (*pattern != '*') {
            if (at >= rest.n || rest.p[at++] != (uint8_t)*pattern) return false;
            continue;
        }
        size_t start = at;
        while (at < rest.n && rest.p[at] != '/') at++;
        if (at == start) return false;
        *segment = slice_sub(rest, start, at - start);
    }
    return at == rest.n;
}

const struct route *route_find(struct slice rest, struct slice *segment)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (pattern_match(routes[i].pattern, rest, segment)) return &routes[i];
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

static bool authority_ok(const struct tenant_settings *t, struct slice authority)
{
    const char *const *hosts = t->hosts.items;
    if (authority.n == 0 || authority.n > 255) return false;
    for (size_t i = 0; i < authority.n; i++) {
        uint8_t c = authority.p[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
        if (!ok) return false; // it becomes part of our URLs
    }
    for (size_t i = 0; i < t->hosts.count; i++)
        if (slice_eq_str(authority, hosts[i])) return true;
    return t->hosts.count == 0;
}

static void base_make(struct request *r)
{
    const struct tenant_settings *t = r->tenant->settings;
    struct slice authority = r->x->request.authority;
    if (t->base_url != NULL)
        r->base = arena_printf(request_arena(r), "%s/acme/%s", t->base_url, t->name);
    else
        r->base = arena_printf(request_arena(r), "https://%" SLICE_FMT "/acme/%s",
                               SLICE_ARG(authority), t->name);
}

static bool method_ok(const struct request *r)
{
    enum http_method m = r->x->request.method;
    if (m == HTTP_POST) return (r->route->methods & ROUTE_POST) != 0;
    return (m == HTTP_GET || m == HTTP_HEAD) && (r->route->methods & ROUTE_GET) != 0;
}

static void dispatch(struct request *r)
{
    struct slice tenant, rest, path = r->x->request.path;
    const uint8_t *query = memchr(path.p, '?', path.n);
    if (query != NULL) path.n = (size_t)(query - path.p);
    if (router_path_split(path, &tenant, &rest))
        r->tenant = tenant.n == 0 ? r->edge->front->default_tenant
                                  : edge_tenant(r->edge->front, tenant);
    if (r->tenant == NULL) {
        request_fail_status(r, PROBLEM_MALFORMED, 404,
                            "there is nothing at this URL; the directory is at /directory");
        return;
    }
    if (!authority_ok(r->tenant->settings, r->x->request.authority)) {
        r->tenant = NULL;
        request_fail_status(r, PROBLEM_MALFORMED, 421,
                            "this server does not answer for that host name");
        return;
    }
    base_make(r);
    r->route = route_find(rest, &r->segment);
    if (r->route != NULL && !method_ok(r))
        r->allow = r->route->methods == ROUTE_GET ? "GET, HEAD" : "POST";
    if (r->route == NULL)
        request_fail_status(r, PROBLEM_MALFORMED, 404, "there is nothing at this URL");
    else if (r->allow != NULL)
        request_fail_status(r, PROBLEM_MALFORMED, 405, "%.*s is not allowed here; use %s",
                            SLICE_ARG(r->x->request.method_text),
                            r->route->methods == ROUTE_GET ? "GET" : "POST (RFC 8555 section 6.3)");
    else if (r->route->auth == AUTH_NONE)
        r->route->handle(r);
    else
        envelope_check(r);
}

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct edge *e = ctx;
    (void)peer;
    struct request *r = ARENA_NEW(x->arena, struct request);
    e->request_count++;
    if (r == NULL) {
        e->request_count--;
        server_respond(x, &(struct http_response){.status = 503});
        return;
    }
    uint8_t random[REQUEST_ID_LEN / 2];
    shard_random(e->shard, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) snprintf(r->id + 2 * i, 3, "%02x", random[i]);
    r->x = x;
    r->edge = e;
    r->base = "";
    r->started_ns = r->stage_ns = shard_now_ns(e->shard);
    list_init(&r->node);
    dispatch(r);
}

// The peer is gone: the request goes on, what it has begun must end, and its answer only releases
// the exchange.
static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    (void)x;
}

const struct server_handler *router_handler(void)
{
    static const struct server_handler handler = {.request = on_request, .gone = on_gone};
    return &handler;
}
