// http01: the http-01 challenge (RFC 8555 section 8.3): GET /.well-known/acme-challenge/<token> on
// port 80 of the name, redirects followed, the body compared with the key authorization. What is
// fetched never gets into a message.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate/target.h"
#include "api/validate/url.h"
#include "api/validate/validate_internal.h"
#include "cluster/core/dial.h"
#include "cluster/err.h"
#include "proto/err.h"

enum { BODY_MAX = 1024, HOST_ARENA_MAX = 4096, TARGET_TEXT_MAX = 340 };

static const char challenge_path[] = "/.well-known/acme-challenge/";
static const struct http_limits limits = {.head_size_max = 16384,
                                          .body_size_max = BODY_MAX,
                                          .header_count_max = 64,
                                          .streams_max = 1,
                                          .abuse_max = 20,
                                          .out_size_max = 16384};

struct attempt {
    struct validation *v; // NULL once decided or given up: the connection's end frees it then
    struct url url;
    unsigned hop;
    struct target target;
    struct tls_context *tls; // made for a redirect to https, accepts any certificate
    struct dial_conn *conn;  // NULL: none open
    struct dial_call call;
    bool calling;
    bool next_hop; // after the connection has closed: fetch `url`
};

static void hop_begin(struct attempt *a);

static void attempt_free(struct attempt *a)
{
    tls_context_free(a->tls);
    free(a);
}

static const char *target_text(const struct attempt *a)
{
    static _Thread_local char text[TARGET_TEXT_MAX];
    char address[ADDRESS_TEXT_MAX];
    address_text(address, target_address(&a->target));
    if (a->hop == 0)
        snprintf(text, sizeof text, "%s", address);
    else
        snprintf(text, sizeof text, "%s (redirected to %.100s)", address, a->url.host);
    return text;
}

// ---- the answer

static struct slice trimmed(struct slice s)
{
    while (s.n > 0 && memchr(" \t\r\n", s.p[s.n - 1], 4) != NULL) s.n--;
    return s;
}

// token_begins: the token and a dot, and what stands behind them.
static bool token_begins(struct slice *out_rest, const struct validate_request *r,
                         struct slice body)
{
    struct slice rest = slice_sub(body, r->token.n, body.n);
    *out_rest = slice_sub(rest, 1, rest.n);
    return slice_starts(body, r->token) && rest.n > 0 && rest.p[0] == '.';
}

// body_judge compares the body with the key authorization, white space at its end aside (RFC 8555
// section 8.3). Nothing of it gets into a message: whoever points a name, or a redirect, at a place
// that only this server reaches shall not read there (T29).
static void body_judge(struct attempt *a, struct slice body)
{
    struct slice thumbprint;
    bool token = token_begins(&thumbprint, a->v->request, trimmed(body));
    if (token && slice_eq(thumbprint, a->v->request->thumbprint))
        validation_try_end(a->v, VALIDATE_OK, false, "ok");
    else
        validation_try_end(a->v, VALIDATE_INCORRECT_RESPONSE, true,
                           "%s answered with %zu bytes that are not the key authorization%s",
                           target_text(a), body.n,
                           token ? ", but one of another account's key" : "");
}

static unsigned url_port(const struct attempt *a, const struct url *url)
{
    if (url->port != 0) return url->port;
    return url->secure ? 443 : a->v->request->policy->http_port;
}

// redirect_follow takes the next hop: http and https only, to the ports of the challenge only
// (T30).
static void redirect_follow(struct attempt *a, struct slice location)
{
    const struct validate_policy *p = a->v->request->policy;
    const char *why = "";
    struct url url;
    if (location.n == 0) {
        validation_try_end(a->v, VALIDATE_INCORRECT_RESPONSE, true,
                           "%s answered with a redirect without a Location", target_text(a));
        return;
    }
    if (a->hop >= p->redirects) {
        validation_try_end(a->v, VALIDATE_CONNECTION, false, "more than %u redirects",
                           p->redirects);
        return;
    }
    if (!url_resolve(&url, &why, &a->url, location)) {
        validation_try_end(a->v, VALIDATE_CONNECTION, false,
                           "%s redirects to a URL that is not followed: %s", target_text(a), why);
        return;
    }
    unsigned port = url_port(a, &url);
    if (port != 80 && port != 443 && port != p->http_port) {
        validation_try_end(a->v, VALIDATE_CONNECTION, false,
                           "%s redirects to port %u; only 80 and 443 are followed", target_text(a),
                           port);
        return;
    }
    a->url = url;
    a->hop++;
    a->next_hop = true;
    dial_abort(a->conn);
}

static void response_judge(struct attempt *a, const struct http_response *r)
{
    if (r->status == 301 || r->status == 302 || r->status == 303 || r->status == 307 ||
        r->status == 308) {
        redirect_follow(a, http_header_find(r->headers, r->header_count, "location"));
        return;
    }
    if (r->status != 200) {
        validation_try_end(a->v, VALIDATE_INCORRECT_RESPONSE, true, "%s answered %u instead of 200",
                           target_text(a), r->status);
        return;
    }
    body_judge(a, r->body);
}

static void on_response(struct dial_call *call, struct err why, const struct http_response *r,
                        bool unprocessed)
{
    (void)unprocessed;
    struct attempt *a = LIST_OWNER(call, struct attempt, call);
    a->calling = false;
    if (a->v == NULL) return;
    if (r != NULL)
        response_judge(a, r);
    else if (err_is(why, ERR_HTTP_TOO_LARGE))
        validation_try_end(a->v, VALIDATE_INCORRECT_RESPONSE, true,
                           "%s answered with more than %d bytes", target_text(a), BODY_MAX);
    else
        validation_try_end(a->v, VALIDATE_CONNECTION, true, "%s: %s", target_text(a),
                           err_text(why));
}

// ---- the connection

static void request_send(struct attempt *a)
{
    const struct validate_request *r = a->v->request;
    static const struct http_header headers[] = {
        {SLICE_LIT("User-Agent"), SLICE_LIT("certmill-validation/1")},
        {SLICE_LIT("Accept"), SLICE_LIT("*/*")},
        {SLICE_LIT("Connection"), SLICE_LIT("close")}};
    unsigned port = url_port(a, &a->url);
    char authority[URL_HOST_MAX + 16];
    bool v6 = strchr(a->url.host, ':') != NULL;
    // Host without the port when it is the scheme's own, and on the challenge port whatever it is
    // moved to: a server sees what it would on 80.
    bool bare = port == (a->url.secure ? 443u : 80u) || (a->url.port == 0 && !a->url.secure);
    snprintf(authority, sizeof authority, v6 ? "[%s]" : "%s", a->url.host);
    if (!bare)
        snprintf(authority + strlen(authority), sizeof authority - strlen(authority), ":%u", port);
    struct http_request request = {.method = HTTP_GET,
                                   .path = slice_str(a->url.path),
                                   .authority = slice_str(authority),
                                   .secure = a->url.secure,
                                   .headers = (struct http_header *)(uintptr_t)headers,
                                   .header_count = 3};
    a->call = (struct dial_call){.done = on_response};
    struct err e = dial_send(a->conn, &a->call, &request, r->policy->attempt_ms);
    if (failed(e))
        validation_try_end(a->v, VALIDATE_INTERNAL, true, "%s", err_text(e));
    else
        a->calling = true;
}

static void on_ready(void *ctx, struct dial_conn *c)
{
    struct attempt *a = ctx;
    (void)c;
    if (a->v != NULL) request_send(a);
}

static bool on_connected(void *ctx, const struct sockaddr *peer)
{
    const struct attempt *a = ctx;
    return a->v != NULL && validation_target_allowed(a->v->request->policy, peer);
}

static void address_connect(struct attempt *a);

static void connect_failed(struct attempt *a, struct err why, const char *note)
{
    if (target_next(&a->target)) {
        address_connect(a);
        return;
    }
    enum validate_problem problem = err_is(why, ERR_TLS_HANDSHAKE) || err_is(why, ERR_TLS_PROTOCOL)
                                        ? VALIDATE_TLS
                                        : VALIDATE_CONNECTION;
    validation_try_end(a->v, problem, true, "%s %s", target_text(a), target_why(why, note));
}

static void on_closed(void *ctx, struct dial_conn *c, struct err why, const char *note)
{
    struct attempt *a = ctx;
    (void)c;
    a->conn = NULL;
    if (a->v == NULL)
        attempt_free(a);
    else if (a->next_hop)
        hop_begin(a);
    else
        connect_failed(a, why, note);
}

static const struct dial_callbacks callbacks = {.ready = on_ready, .closed = on_closed};

static struct tls_context *tls_get(struct attempt *a)
{
    char note[128];
    if (a->tls == NULL &&
        failed(tls_context_new(&a->tls, note, sizeof note, false,
                               &(struct tls_options){.insecure = true, .alpn_http_1_1 = true})))
        return NULL;
    return a->tls;
}

static void address_connect(struct attempt *a)
{
    struct dial_options options = {.tls = a->url.secure ? tls_get(a) : NULL,
                                   .server_name = a->url.host,
                                   .version = HTTP_1_1,
                                   .http = &limits,
                                   .connected = on_connected};
    target_dial(&options, &a->target);
    a->conn = a->url.secure && options.tls == NULL
                  ? NULL
                  : dial_open(validation_shard(a->v), &options, &callbacks, a);
    if (a->conn == NULL)
        validation_try_end(a->v, VALIDATE_INTERNAL, true,
                           "this front end has no room for another connection");
}

static void on_target(struct target *t, enum validate_problem problem, bool again, const char *note)
{
    struct attempt *a = LIST_OWNER(t, struct attempt, target);
    if (problem == VALIDATE_OK)
        address_connect(a);
    else if (a->hop == 0)
        validation_try_end(a->v, problem, again, "%s", note);
    else
        validation_try_end(a->v, problem, again, "%s (redirected to %.100s)", note, a->url.host);
}

static void hop_begin(struct attempt *a)
{
    a->next_hop = false;
    a->target.done = on_target;
    if (!target_start(&a->target, validation_shard(a->v), validation_resolver(a->v),
                      a->v->request->policy, a->url.host, a->url.is_address, url_port(a, &a->url)))
        validation_try_end(a->v, VALIDATE_INTERNAL, true, "no resolver could be started");
}

static bool http_01_begin(struct validation *v)
{
    const struct validate_request *r = v->request;
    struct attempt *a = calloc(1, sizeof *a);
    if (a == NULL) return false;
    a->v = v;
    v->attempt = a;
    struct arena arena; // for the canonical text of an address (RFC 8738 section 5)
    arena_init(&arena, HOST_ARENA_MAX);
    const char *host = identifier_text(&arena, &r->identifier);
    snprintf(a->url.host, sizeof a->url.host, "%s", host == NULL ? "" : host);
    arena_fini(&arena);
    a->url.is_address = r->identifier.type == IDENTIFIER_IP;
    snprintf(a->url.path, sizeof a->url.path, "%s%.*s", challenge_path, SLICE_ARG(r->token));
    hop_begin(a);
    return true;
}

static void http_01_abandon(struct validation *v)
{
    struct attempt *a = v->attempt;
    if (a == NULL) return;
    v->attempt = NULL;
    a->v = NULL;
    target_cancel(&a->target);
    if (a->calling) dial_cancel(&a->call);
    if (a->conn != NULL)
        dial_abort(a->conn); // on_closed frees
    else
        attempt_free(a);
}

static enum validate_problem http_01_waits_for(const struct validation *v, char *out, size_t size)
{
    const struct attempt *a = v->attempt;
    if (target_resolving(&a->target)) {
        snprintf(out, size, "%s%sthe resolver did not answer", a->hop == 0 ? "" : a->url.host,
                 a->hop == 0 ? "" : ": ");
        return VALIDATE_DNS;
    }
    snprintf(out, size,
             a->calling ? "%s took the connection but did not answer" : "%s did not answer",
             target_text(a));
    return VALIDATE_CONNECTION;
}

const struct validate_method_row validate_http_01 = {
    .begin = http_01_begin, .abandon = http_01_abandon, .waits_for = http_01_waits_for};
