#include "api/admin/listener.h"

#include <strings.h>

#include "api/events.h"
#include "api/identity.h"
#include "cluster/core/address.h"
#include "proto/err.h"

enum {
    ROLE_MAX = 256,
    BODY_MAX = 4 << 20,
    CONNS_MAX = 64,
    REQUESTS_MEMORY = 32 << 20,
    VALUES_MAX = 65536
};

static const char retry_after_s[] = "2";

// ---- answers

static void respond(struct edge *e, struct http_exchange *x, unsigned status, const char *allow,
                    struct slice body)
{
    const struct http_header headers[] = {
        {SLICE_LIT("Content-Type"),
         slice_str(status < 300 ? "application/json" : "application/problem+json")},
        {SLICE_LIT("Cache-Control"), SLICE_LIT("no-store")},
        {allow != NULL ? SLICE_LIT("Allow") : SLICE_LIT("Retry-After"),
         slice_str(allow != NULL ? allow : retry_after_s)}};
    bool more = allow != NULL || status == 503;
    e->request_count--;
    server_respond(
        x, &(struct http_response){
               .status = status, .headers = headers, .header_count = more ? 3 : 2, .body = body});
    edge_quiet_check(e);
}

static void refuse(struct edge *e, struct http_exchange *x, unsigned status, const char *allow,
                   const char *detail)
{
    struct buf *b = edge_scratch(e);
    if (failed(admin_problem_write(b, status, detail))) buf_clear(b);
    respond(e, x, status, allow, buf_slice(b));
}

static void on_done(struct admin_call *c, unsigned status, struct slice body)
{
    respond(c->edge, c->ctx, status, NULL, body);
}

// ---- paths and queries

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// percent_decode (RFC 3986 section 2.1); false for what is no encoding.
static bool percent_decode(struct slice *out, struct arena *a, struct slice text)
{
    uint8_t *p = arena_alloc(a, text.n + 1);
    size_t n = 0;
    if (p == NULL) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%') {
            p[n++] = text.p[i];
            continue;
        }
        int high = i + 2 < text.n ? hex(text.p[i + 1]) : -1,
            low = high < 0 ? -1 : hex(text.p[i + 2]);
        if (low < 0) return false;
        p[n++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    *out = slice_of(p, n);
    return true;
}

static bool pattern_match(const char *pattern, struct slice path, struct slice segments[2])
{
    size_t at = 0, k = 0;
    for (; *pattern != 0; pattern++) {
        if (*pattern != '*') {
            if (at >= path.n || path.p[at++] != (uint8_t)*pattern) return false;
            continue;
        }
        size_t start = at;
        while (at < path.n && path.p[at] != '/') at++;
        if (at == start || k == 2) return false;
        segments[k++] = slice_sub(path, start, at - start);
    }
    return at == path.n;
}

static struct slice until(struct slice s, uint8_t end)
{
    const uint8_t *p = s.n == 0 ? NULL : memchr(s.p, end, s.n);
    return p == NULL ? s : slice_sub(s, 0, (size_t)(p - s.p));
}

// operation_find also says which methods there are for the path: NULL and "" for none.
static const struct admin_operation *operation_find(struct arena *a, struct slice method,
                                                    struct slice path, struct slice segments[2],
                                                    const char **out_allow)
{
    *out_allow = "";
    for (size_t i = 0; i < admin_operation_count; i++) {
        const struct admin_operation *op = &admin_operations[i];
        if (!pattern_match(op->path, path, segments)) continue;
        if (slice_eq_str(method, op->method)) return op;
        *out_allow = arena_printf(a, "%s%s%s", *out_allow, **out_allow == 0 ? "" : ", ",
                                  op->method);
    }
    return NULL;
}

// ---- parameters; each returns NULL, or a sentence

static const char *path_take(struct admin_call *c, const struct slice segments[2])
{
    size_t k = 0;
    for (const struct admin_param *p = c->op->params; p->name != NULL; p++) {
        struct slice text = SLICE_NONE;
        if (p->in != ADMIN_PATH) continue;
        if (!percent_decode(&text, c->arena, segments[k++])) return "the path is badly encoded";
        const char *wrong = admin_take_text(c, p, text);
        if (wrong != NULL) return wrong;
    }
    return NULL;
}

static const char *unknown(struct admin_call *c, struct slice name, const char *where)
{
    return arena_printf(c->arena, "there is no parameter \"%.*s\" in the %s of \"%s %s\"",
                        (int)(name.n < 40 ? name.n : 40), (const char *)name.p, where, c->op->noun,
                        c->op->verb);
}

static const char *query_take(struct admin_call *c, struct slice query)
{
    while (query.n > 0) {
        struct slice pair = until(query, '&'), raw = until(pair, '='), name = SLICE_NONE,
                     value = SLICE_NONE;
        query = slice_sub(query, pair.n + 1, query.n);
        if (!percent_decode(&name, c->arena, raw) ||
            !percent_decode(&value, c->arena, slice_sub(pair, raw.n + 1, pair.n)))
            return "the query is badly encoded";
        const struct admin_param *p = admin_param_find(c->op, name);
        if (p == NULL || p->in != ADMIN_QUERY) return unknown(c, name, "query");
        const char *wrong = admin_take_text(c, p, value);
        if (wrong != NULL) return wrong;
    }
    return NULL;
}

static const char *members_take(struct admin_call *c, struct json body)
{
    for (size_t i = 0; i < json_size(body); i++) {
        struct slice name;
        struct json value = json_member(body, i, &name);
        const struct admin_param *p = admin_param_find(c->op, name);
        if (p == NULL || p->in != ADMIN_BODY || p->type == ADMIN_LINES)
            return unknown(c, name, "body");
        const char *wrong = admin_take_json(c, p, value);
        if (wrong != NULL) return wrong;
    }
    return NULL;
}

static const struct admin_param *lines_param(const struct admin_operation *op)
{
    for (const struct admin_param *p = op->params; p->name != NULL; p++)
        if (p->type == ADMIN_LINES) return p;
    return NULL;
}

static const char *body_take(struct admin_call *c, struct slice body)
{
    const struct admin_param *lines = lines_param(c->op);
    struct json j;
    if (body.n == 0) return NULL;
    if (lines != NULL) return admin_take_text(c, lines, body);
    struct err e = json_parse_large(&j, c->arena, body, VALUES_MAX);
    if (failed(e)) return arena_printf(c->arena, "the body is no JSON: %s", err_text(e));
    return json_is_object(j) ? members_take(c, j) : "the body is not a JSON object";
}

// type_ok: what the body is must be said, and be what the operation takes.
static bool type_ok(const struct admin_operation *op, const struct http_request *q)
{
    struct slice type = until(http_header_find(q->headers, q->header_count, "content-type"), ';');
    const char *const *good = lines_param(op) == NULL
                                  ? (const char *const[]){"application/json", NULL}
                                  : (const char *const[]){"application/x-ndjson", "text/csv", NULL};
    for (; q->body.n > 0 && *good != NULL; good++)
        if (type.n == strlen(*good) && strncasecmp((const char *)type.p, *good, type.n) == 0)
            return true;
    return q->body.n == 0;
}

// ---- requests

static void call_begin(struct edge *e, struct http_exchange *x, const struct admin_operation *op,
                       const struct slice segments[2], const char *who)
{
    struct slice path = x->request.path, bare = until(path, '?');
    struct admin_call *c = admin_call_new(e, x->arena, op, who);
    if (c == NULL) {
        refuse(e, x, 503, NULL, "there is no memory for the request; try again");
        return;
    }
    c->done = on_done;
    c->ctx = x;
    const char *wrong = path_take(c, segments);
    if (wrong == NULL) wrong = query_take(c, slice_sub(path, bare.n + 1, path.n));
    if (wrong == NULL && strcmp(op->method, "POST") == 0) wrong = body_take(c, x->request.body);
    if (wrong != NULL)
        admin_fail(c, 400, "%s", wrong);
    else
        admin_run(c);
}

// admitted: the role, and where the configuration names administrators, one of these.
static bool admitted(const struct config_list *names, const char *role)
{
    if (!tls_role_is(role, ADMIN_ROLE)) return false;
    const char *name = role + strlen(ADMIN_ROLE); // "" or ":alice"
    bool found = names->count == 0;
    for (size_t i = 0; !found && i < names->count && name[0] == ':'; i++)
        found = strcmp(name + 1, ((const char *const *)names->items)[i]) == 0;
    return found;
}

// who_text is who asks, for the audit log: the role of the certificate, and the address.
static const char *who_text(struct arena *a, const char *role, const struct server_peer *peer)
{
    char address[ADDRESS_TEXT_MAX];
    address_ip_text(address, (const struct sockaddr *)&peer->address);
    return arena_printf(a, "%s from %s", role, address);
}

static void on_request(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct edge *e = ctx;
    char role[ROLE_MAX];
    struct slice segments[2] = {SLICE_NONE, SLICE_NONE};
    const char *allow;
    e->request_count++;
    if (!tls_peer_role(peer->connection, role, sizeof role) ||
        !admitted(&e->front->settings->admin.names, role)) {
        LOG(shard_log(e->shard), &EVENT_ADMIN_REFUSED, NULL, LOG_STR("role", role),
            LOG_SLICE("path", x->request.path));
        refuse(e, x, 403, NULL,
               "the certificate does not have the role of an administrator (" ADMIN_ROLE
               "), or of none that `admin.names` has");
        return;
    }
    const struct admin_operation *op = operation_find(
        x->arena, x->request.method_text, until(x->request.path, '?'), segments, &allow);
    if (op == NULL && *allow == 0)
        refuse(e, x, 404, NULL, "there is no operation at this path; see docs/openapi.json");
    else if (op == NULL)
        refuse(e, x, 405, allow, "this path takes other methods");
    else if (!type_ok(op, &x->request))
        refuse(e, x, 415, NULL,
               lines_param(op) == NULL ? "the Content-Type must be application/json"
                                       : "the Content-Type must be application/x-ndjson (an object "
                                         "a line) or text/csv");
    else
        call_begin(e, x, op, segments, who_text(x->arena, role, peer));
}

// The peer is gone: the call goes on, and its answer releases the exchange.
static void on_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    (void)x;
}

// on_refusal: what the server answers by itself.
static void on_refusal(void *ctx, struct http_response *out)
{
    static const struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/problem+json")},
        {SLICE_LIT("Cache-Control"), SLICE_LIT("no-store")},
        {SLICE_LIT("Retry-After"), SLICE_LIT("2")}};
    struct buf *b = edge_scratch(ctx);
    const char *detail = out->status == 413 ? "the body is larger than 4 MiB"
                         : out->status == 503
                             ? "there was no answer in time; what was asked for may have "
                               "been done all the same: look before you try again"
                             : "the HTTP request cannot be used";
    if (failed(admin_problem_write(b, out->status, detail))) buf_clear(b);
    out->headers = headers;
    out->header_count = out->status == 503 ? 3 : 2;
    out->body = buf_slice(b);
}

struct err admin_listener_new(struct server **out, char *note, size_t note_size, struct edge *e)
{
    static const struct server_handler handler = {
        .request = on_request, .gone = on_gone, .refusal = on_refusal};
    const struct config_address *address = &e->front->settings->admin.address;
    e->admin_budget = (struct http_budget){.size_max = REQUESTS_MEMORY};
    struct server_options o = {.name = "admin",
                               .listen = address->address,
                               .listen_len = address->len,
                               .tls = e->identity->admin,
                               .plain_version = HTTP_1_1,
                               .http = {.head_size_max = 16384,
                                        .body_size_max = BODY_MAX,
                                        .header_count_max = 64,
                                        .streams_max = 16,
                                        .abuse_max = 100,
                                        .out_size_max = 16 << 20,
                                        .in_size_max = 2 * BODY_MAX,
                                        .budget = &e->admin_budget},
                               .conns_max = CONNS_MAX,
                               .handshake_ms = 10000,
                               .head_ms = 10000,
                               .body_ms = 30000,
                               .idle_ms = 60000,
                               .write_ms = 15000,
                               .request_ms = 30000};
    return server_new(out, note, note_size, e->shard, &o, &handler, e);
}
