#include "bench/load/flow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/err.h"
#include "bench/load/target.h"
#include "cluster/core/dial.h"
#include "proto/err.h"
#include "proto/text/base64url.h"
#include "proto/text/json.h"

enum {
    BODY_MAX = 262144,
    ARENA_MAX = 1 << 20,
    BAD_NONCE_RETRIES = 3,
    POLLS_MAX = 600,
    NONCE_MAX = 128,
    HTTP_STREAMS = 4
};

struct flow {
    struct flow_options o;
    struct dial_conn *conn;
    struct dial_call call;
    bool calling, ended, freed;
    struct timer timer;
    struct arena arena; // of the response being read
    struct buf body;    // of the request being made
    char nonce[NONCE_MAX + 1];
    char new_nonce[FLOW_URL_MAX], new_account[FLOW_URL_MAX], new_order[FLOW_URL_MAX];
    char kid[FLOW_URL_MAX], order[FLOW_URL_MAX], finalize[FLOW_URL_MAX], certificate[FLOW_URL_MAX],
        challenge[FLOW_URL_MAX];
    char authz[FLOW_NAMES_MAX][FLOW_URL_MAX];
    size_t authz_count, authz_at;
    struct responder_entry entry;
    // the request under way, kept for a retry after badNonce
    char url[FLOW_URL_MAX];
    struct slice payload; // in request_arena; p NULL: POST-as-GET
    struct arena request_arena;
    void (*next)(struct flow *f, const struct http_response *r, struct json body);
    unsigned retries, polls, posts;
};

static const struct http_limits limits = {.head_size_max = 32768,
                                          .body_size_max = BODY_MAX,
                                          .header_count_max = 100,
                                          .streams_max = HTTP_STREAMS,
                                          .abuse_max = 1000,
                                          .out_size_max = BODY_MAX};

static void flow_end(struct flow *f, struct err err, struct slice certificate, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void flow_end(struct flow *f, struct err err, struct slice certificate, const char *fmt, ...)
{
    char note[FLOW_NOTE_MAX];
    va_list ap;
    if (f->ended) return;
    f->ended = true;
    va_start(ap, fmt);
    vsnprintf(note, sizeof note, fmt, ap);
    va_end(ap);
    responder_withdraw(&f->entry);
    timer_cancel(&f->timer);
    f->o.done(f->o.ctx, err, certificate, note);
}

static void step(struct flow *f, const char *what)
{
    if (f->o.step != NULL) f->o.step(f->o.ctx, what);
}

// ---- requests

static struct slice path_of(const char *url)
{
    const char *slash = strncmp(url, "https://", 8) == 0 ? strchr(url + 8, '/') : NULL;
    return slice_str(slash == NULL ? "/" : slash);
}

static void on_done(struct dial_call *call, struct err why, const struct http_response *r,
                    bool unprocessed);

static void send_request(struct flow *f, enum http_method method, const char *url,
                         struct slice body)
{
    static struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/jose+json")},
        {SLICE_LIT("User-Agent"), SLICE_LIT("certmill-bench/" CERTMILL_VERSION)}};
    bool post = method == HTTP_POST;
    struct http_request request = {.method = method,
                                   .path = path_of(url),
                                   .authority = slice_str(f->o.target->authority),
                                   .secure = true,
                                   .headers = post ? headers : headers + 1,
                                   .header_count = post ? 2 : 1,
                                   .body = body};
    f->call = (struct dial_call){.done = on_done};
    struct err e = f->conn == NULL ? ERR(HTTP_CLOSED)
                                   : dial_send(f->conn, &f->call, &request, f->o.request_ms);
    if (failed(e))
        flow_end(f, e, SLICE_NONE, "%s: %s", url, err_text(e));
    else
        f->calling = true;
}

static void post_again(struct flow *f)
{
    buf_clear(&f->body);
    struct err e = bench_jws_write(&f->body, f->o.account_key, slice_str(f->kid),
                                   slice_str(f->nonce), slice_str(f->url), f->payload);
    f->nonce[0] = 0;
    f->posts++;
    if (failed(e))
        flow_end(f, e, SLICE_NONE, "the request could not be signed: %s", err_text(e));
    else
        send_request(f, HTTP_POST, f->url, buf_slice(&f->body));
}

static void post(struct flow *f, const char *url, struct slice payload,
                 void (*next)(struct flow *, const struct http_response *, struct json))
{
    if (url != f->url) snprintf(f->url, sizeof f->url, "%s", url);
    arena_reset(&f->request_arena);
    f->payload = SLICE_NONE;
    if (payload.p != NULL && failed(arena_dup(&f->payload, &f->request_arena, payload))) {
        flow_end(f, ERR(NO_SPACE), SLICE_NONE, "the request is too large");
        return;
    }
    f->next = next;
    f->retries = 0;
    post_again(f);
}

static void get(struct flow *f, enum http_method method, const char *url,
                void (*next)(struct flow *, const struct http_response *, struct json))
{
    f->next = next;
    send_request(f, method, url, SLICE_NONE);
}

static void nonce_take(struct flow *f, const struct http_response *r)
{
    struct slice nonce = http_header_find(r->headers, r->header_count, "replay-nonce");
    if (nonce.n > 0 && nonce.n <= NONCE_MAX)
        snprintf(f->nonce, sizeof f->nonce, "%.*s", SLICE_ARG(nonce));
}

static bool is_bad_nonce(struct json body)
{
    struct slice type;
    return !failed(json_string(json_get(body, "type"), &type)) &&
           slice_eq_str(type, "urn:ietf:params:acme:error:badNonce");
}

static void refused(struct flow *f, const struct http_response *r, struct json body)
{
    struct slice type = SLICE_LIT("no problem document"), detail = SLICE_NONE;
    (void)!failed(json_string(json_get(body, "type"), &type));
    (void)!failed(json_string(json_get(body, "detail"), &detail));
    flow_end(f, ERR(BENCH_REFUSED), SLICE_NONE, "%s answered %u: %.*s: %.*s", f->url, r->status,
             SLICE_ARG(type), SLICE_ARG(detail));
}

static void on_done(struct dial_call *call, struct err why, const struct http_response *r,
                    bool unprocessed)
{
    (void)unprocessed;
    struct flow *f = LIST_OWNER(call, struct flow, call);
    f->calling = false;
    if (f->ended) return;
    if (r == NULL) {
        flow_end(f, why, SLICE_NONE, "%s: %s", f->url, err_text(why));
        return;
    }
    nonce_take(f, r);
    arena_reset(&f->arena);
    struct json body = {0};
    struct slice type = http_header_find(r->headers, r->header_count, "content-type");
    if (slice_starts(type, SLICE_LIT("application/json")) ||
        slice_starts(type, SLICE_LIT("application/problem+json")))
        (void)!failed(json_parse(&body, &f->arena, r->body));
    if (r->status == 400 && is_bad_nonce(body) && f->retries++ < BAD_NONCE_RETRIES)
        post_again(f);
    else if (r->status >= 400)
        refused(f, r, body);
    else
        f->next(f, r, body);
}

// member_url copies a URL member; ends the flow when it is not there.
static bool member_url(struct flow *f, char out[FLOW_URL_MAX], struct json object, const char *name)
{
    struct slice s;
    if (!failed(json_string(json_get(object, name), &s)) && s.n < FLOW_URL_MAX) {
        snprintf(out, FLOW_URL_MAX, "%.*s", SLICE_ARG(s));
        return true;
    }
    flow_end(f, ERR(BENCH_ANSWER), SLICE_NONE, "the answer of %s has no usable \"%s\"", f->url,
             name);
    return false;
}

static struct slice status_of(struct json body)
{
    struct slice status = SLICE_NONE;
    (void)!failed(json_string(json_get(body, "status"), &status));
    return status;
}

static bool location_take(struct flow *f, char out[FLOW_URL_MAX], const struct http_response *r)
{
    struct slice s = http_header_find(r->headers, r->header_count, "location");
    if (s.n == 0 || s.n >= FLOW_URL_MAX) {
        flow_end(f, ERR(BENCH_ANSWER), SLICE_NONE, "the answer of %s has no usable Location",
                 f->url);
        return false;
    }
    snprintf(out, FLOW_URL_MAX, "%.*s", SLICE_ARG(s));
    return true;
}

// poll_later posts as GET to `f->url` again after the server's Retry-After or our own pause.
static void on_timer(struct timer *t)
{
    struct flow *f = LIST_OWNER(t, struct flow, timer);
    post_again(f);
}

static void poll_later(struct flow *f)
{
    if (f->polls++ >= POLLS_MAX)
        flow_end(f, ERR(BENCH_ANSWER), SLICE_NONE, "%s did not come to an end", f->url);
    else
        timer_set(f->o.target->shard, &f->timer, f->o.poll_ms);
}

// ---- the steps

static void on_certificate(struct flow *f, const struct http_response *r, struct json body)
{
    (void)body;
    flow_end(f, OK, r->body, "ok");
}

static void on_order_poll(struct flow *f, const struct http_response *r, struct json body)
{
    struct slice status = status_of(body);
    if (slice_eq_str(status, "valid")) {
        if (!member_url(f, f->certificate, body, "certificate")) return;
        step(f, "certificate");
        post(f, f->certificate, SLICE_NONE, on_certificate);
    } else if (slice_eq_str(status, "processing")) {
        if (strcmp(f->url, f->order) != 0) {
            post(f, f->order, SLICE_NONE, on_order_poll);
            return;
        }
        poll_later(f);
    } else {
        refused(f, r, json_get(body, "error"));
    }
}

static void finalize(struct flow *f)
{
    struct buf csr, payload;
    step(f, "finalize");
    buf_init(&csr, 32768);
    buf_init(&payload, 65536);
    struct err e = bench_csr_write(&csr, f->o.leaf_key, f->o.names, f->o.name_count);
    if (!failed(e)) e = buf_add_str(&payload, "{\"csr\":\"");
    if (!failed(e)) e = base64url_encode_buf(&payload, buf_slice(&csr));
    if (!failed(e)) e = buf_add_str(&payload, "\"}");
    f->polls = 0;
    if (failed(e))
        flow_end(f, e, SLICE_NONE, "the certificate request could not be made: %s", err_text(e));
    else
        post(f, f->finalize, buf_slice(&payload), on_order_poll);
    buf_fini(&csr);
    buf_fini(&payload);
}

static void authz_next(struct flow *f);

static void on_authz_poll(struct flow *f, const struct http_response *r, struct json body)
{
    struct slice status = status_of(body);
    if (slice_eq_str(status, "valid")) {
        responder_withdraw(&f->entry);
        f->authz_at++;
        authz_next(f);
    } else if (slice_eq_str(status, "pending") || slice_eq_str(status, "processing")) {
        poll_later(f);
    } else {
        struct json challenges = json_get(body, "challenges"), error = {0};
        for (size_t i = 0; i < json_size(challenges); i++)
            if (json_present(json_get(json_at(challenges, i), "error")))
                error = json_get(json_at(challenges, i), "error");
        refused(f, r, error);
    }
}

static void on_challenge(struct flow *f, const struct http_response *r, struct json body)
{
    (void)r;
    (void)body;
    f->polls = 0;
    post(f, f->authz[f->authz_at], SLICE_NONE, on_authz_poll);
}

static bool challenge_pick(struct flow *f, struct json body)
{
    struct json challenges = json_get(body, "challenges");
    for (size_t i = 0; i < json_size(challenges); i++) {
        struct json c = json_at(challenges, i);
        struct slice type, token;
        if (failed(json_string(json_get(c, "type"), &type)) || !slice_eq_str(type, "http-01"))
            continue;
        if (failed(json_string(json_get(c, "token"), &token)) || token.n > RESPONDER_TOKEN_MAX ||
            !member_url(f, f->challenge, c, "url"))
            return false;
        char thumbprint[BENCH_THUMBPRINT_TEXT_LEN + 1];
        bench_key_thumbprint(f->o.account_key, thumbprint);
        snprintf(f->entry.token, sizeof f->entry.token, "%.*s", SLICE_ARG(token));
        snprintf(f->entry.key_authorization, sizeof f->entry.key_authorization, "%s.%s",
                 f->entry.token, thumbprint);
        return true;
    }
    return false;
}

static void on_authz(struct flow *f, const struct http_response *r, struct json body)
{
    struct slice status = status_of(body);
    if (slice_eq_str(status, "valid")) {
        on_authz_poll(f, r, body);
        return;
    }
    if (!slice_eq_str(status, "pending") || !challenge_pick(f, body)) {
        flow_end(f, ERR(BENCH_ANSWER), SLICE_NONE,
                 "%s offers no http-01 challenge that can be answered", f->url);
        return;
    }
    responder_offer(f->o.target->responder, &f->entry);
    step(f, "challenge");
    post(f, f->challenge, SLICE_LIT("{}"), on_challenge);
}

static void authz_next(struct flow *f)
{
    if (f->authz_at == f->authz_count) {
        finalize(f);
        return;
    }
    step(f, "authorization");
    post(f, f->authz[f->authz_at], SLICE_NONE, on_authz);
}

static void on_order(struct flow *f, const struct http_response *r, struct json body)
{
    struct json list = json_get(body, "authorizations");
    if (!location_take(f, f->order, r) || !member_url(f, f->finalize, body, "finalize")) return;
    f->authz_count = json_size(list);
    if (f->authz_count > FLOW_NAMES_MAX) {
        flow_end(f, ERR(BENCH_ANSWER), SLICE_NONE, "the order has %zu authorizations",
                 f->authz_count);
        return;
    }
    for (size_t i = 0; i < f->authz_count; i++) {
        struct slice url = SLICE_NONE;
        if (failed(json_string(json_at(list, i), &url)) || url.n >= FLOW_URL_MAX) url = SLICE_NONE;
        snprintf(f->authz[i], FLOW_URL_MAX, "%.*s", SLICE_ARG(url));
    }
    authz_next(f);
}

static void on_account(struct flow *f, const struct http_response *r, struct json body)
{
    (void)body;
    struct buf payload;
    struct json_out o;
    if (!location_take(f, f->kid, r)) return;
    step(f, "order");
    buf_init(&payload, 65536);
    json_out_begin(&o, &payload);
    json_object_begin(&o);
    json_key(&o, "identifiers");
    json_array_begin(&o);
    for (size_t i = 0; i < f->o.name_count; i++) {
        json_object_begin(&o);
        json_key(&o, "type");
        json_put_str(&o, "dns");
        json_key(&o, "value");
        json_put_str(&o, f->o.names[i]);
        json_object_end(&o);
    }
    json_array_end(&o);
    json_object_end(&o);
    struct err e = json_out_end(&o);
    if (failed(e))
        flow_end(f, e, SLICE_NONE, "the order is too large");
    else
        post(f, f->new_order, buf_slice(&payload), on_order);
    buf_fini(&payload);
}

static void on_nonce(struct flow *f, const struct http_response *r, struct json body)
{
    (void)r;
    (void)body;
    step(f, "account");
    post(f, f->new_account, SLICE_LIT("{\"termsOfServiceAgreed\":true}"), on_account);
}

static void on_directory(struct flow *f, const struct http_response *r, struct json body)
{
    (void)r;
    if (!member_url(f, f->new_nonce, body, "newNonce") ||
        !member_url(f, f->new_account, body, "newAccount") ||
        !member_url(f, f->new_order, body, "newOrder"))
        return;
    step(f, "nonce");
    get(f, HTTP_HEAD, f->new_nonce, on_nonce);
}

// ---- the connection

static void on_ready(void *ctx, struct dial_conn *c)
{
    struct flow *f = ctx;
    (void)c;
    if (f->ended) return;
    step(f, "directory");
    snprintf(f->url, sizeof f->url, "%s", f->o.target->directory);
    get(f, HTTP_GET, f->o.target->directory, on_directory);
}

static void flow_release(struct flow *f)
{
    arena_fini(&f->arena);
    arena_fini(&f->request_arena);
    buf_fini(&f->body);
    free(f);
}

static void on_closed(void *ctx, struct dial_conn *c, struct err why, const char *note)
{
    struct flow *f = ctx;
    (void)c;
    f->conn = NULL;
    if (f->freed)
        flow_release(f);
    else
        flow_end(f, failed(why) ? why : ERR(HTTP_CLOSED), SLICE_NONE,
                 "%s: the connection ended: %s", f->o.target->authority, note);
}

static const struct dial_callbacks callbacks = {.ready = on_ready, .closed = on_closed};

struct flow *flow_start(const struct flow_options *options)
{
    const struct target *t = options->target;
    struct flow *f = calloc(1, sizeof *f);
    if (f == NULL) return NULL;
    f->o = *options;
    f->timer.fire = on_timer;
    arena_init(&f->arena, ARENA_MAX);
    arena_init(&f->request_arena, ARENA_MAX);
    buf_init(&f->body, BODY_MAX);
    struct dial_options d = {.address = t->address,
                             .address_len = t->address_len,
                             .tls = t->tls,
                             .server_name = t->host,
                             .version = HTTP_1_1,
                             .http = &limits,
                             .connect_ms = options->request_ms,
                             .handshake_ms = options->request_ms};
    step(f, "connect");
    f->conn = dial_open(t->shard, &d, &callbacks, f);
    if (f->conn != NULL) return f;
    flow_release(f);
    return NULL;
}

void flow_free(struct flow *f)
{
    if (f == NULL) return;
    f->ended = f->freed = true;
    responder_withdraw(&f->entry);
    timer_cancel(&f->timer);
    if (f->calling) dial_cancel(&f->call);
    if (f->conn != NULL)
        dial_close(f->conn); // on_closed releases
    else
        flow_release(f);
}

unsigned flow_posts(const struct flow *f) { return f->posts; }
