#include "tests/unit/proto/http_pair.h"

#include <stdio.h>

static void answer(struct http_pair *p, struct http_exchange *x)
{
    const struct http_header headers[] = {{SLICE_LIT("Content-Type"), SLICE_LIT("text/plain")},
                                          {SLICE_LIT("Replay-Nonce"), SLICE_LIT("n1")}};
    const struct http_header trailers[] = {{SLICE_LIT("grpc-status"), SLICE_LIT("0")}};
    bool trailer = slice_eq_str(x->request.path, "/trailers");
    struct http_response r = {.status = 200,
                              .headers = headers,
                              .header_count = 2,
                              .body = x->request.body,
                              .trailers = trailers,
                              .trailer_count = trailer ? 1 : 0};
    p->unsent += failed(http_respond(x, &r));
}

static void on_request(void *ctx, struct http_exchange *x)
{
    struct http_pair *p = ctx;
    const struct http_request *r = &x->request;
    CHECK(!failed(buf_printf(&p->seen, "%.*s %.*s %.*s %.*s\n", SLICE_ARG(r->method_text),
                             SLICE_ARG(r->path), SLICE_ARG(r->authority), SLICE_ARG(r->body))));
    if (p->hold)
        p->held[p->held_count++] = x;
    else
        answer(p, x);
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    struct http_pair *p = ctx;
    p->gone++;
    CHECK(x->session == NULL);
    for (size_t i = 0; i < p->held_count; i++)
        if (p->held[i] == x) return; // answered later: http_respond releases it
    http_exchange_release(x);
}

static void on_response(void *ctx, struct http_exchange *x, const struct http_response *r)
{
    struct http_pair *p = ctx;
    (void)x;
    CHECK(!failed(buf_printf(&p->answers, "%u %.*s%s\n", r->status, SLICE_ARG(r->body),
                             r->trailer_count > 0 ? " +trailer" : "")));
}

static void on_failed(void *ctx, struct http_exchange *x, struct err why, bool unprocessed)
{
    struct http_pair *p = ctx;
    (void)x;
    p->failures++;
    p->client_err = why;
    p->unprocessed = unprocessed;
}

static const struct http_client_callbacks client_callbacks = {on_response, on_failed};

static void on_refusal(void *ctx, struct http_response *r)
{
    static const struct http_header headers[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("application/problem+json")}};
    (void)ctx;
    r->headers = headers;
    r->header_count = 1;
    r->body = r->status == 413   ? SLICE_LIT("{\"status\":413}")
              : r->status == 503 ? SLICE_LIT("{\"status\":503}")
              : r->status == 431 ? SLICE_LIT("{\"status\":431}")
                                 : SLICE_LIT("{\"status\":400}");
}

static const struct http_server_callbacks server_callbacks = {on_request, on_gone, on_refusal};

void http_pair_init(struct http_pair *p, enum http_version version, bool with_client)
{
    *p = (struct http_pair){.limits = {.head_size_max = 16384,
                                       .body_size_max = 65536,
                                       .header_count_max = 64,
                                       .streams_max = 32,
                                       .abuse_max = 50,
                                       .out_size_max = 1 << 20}};
    p->server = http_server_new(version, &p->limits, &server_callbacks, p);
    if (with_client) p->client = http_client_new(version, &p->limits, &client_callbacks, p);
    buf_init(&p->seen, 1 << 20);
    buf_init(&p->answers, 1 << 20);
    buf_init(&p->raw, 1 << 22);
}

void http_pair_fini(struct http_pair *p)
{
    http_session_free(p->client);
    http_session_free(p->server);
    for (size_t i = 0; i < p->held_count; i++)
        if (p->held[i] != NULL && p->held[i]->session == NULL) http_exchange_release(p->held[i]);
    buf_fini(&p->seen);
    buf_fini(&p->answers);
    buf_fini(&p->raw);
}

static struct err feed(struct http_session *s, struct slice in, size_t chunk)
{
    if (chunk == 0) return http_session_feed(s, in);
    struct err e = OK;
    for (size_t at = 0; at < in.n && !failed(e); at += chunk) {
        // Each piece in memory of its own, so that the sanitizer sees a read beyond it.
        struct buf piece;
        buf_init(&piece, chunk);
        CHECK(!failed(buf_add(&piece, slice_sub(in, at, chunk))));
        e = http_session_feed(s, buf_slice(&piece));
        buf_fini(&piece);
    }
    return e;
}

static bool carry(struct http_session *from, struct http_session *to, struct buf *keep,
                  size_t chunk, struct err *out_err)
{
    struct buf b;
    bool more = true, any = false;
    buf_init(&b, 1 << 22);
    while (more) {
        struct err e = http_session_pull(from, &b, 16384, &more);
        if (failed(e)) more = false;
    }
    any = buf_len(&b) > 0;
    if (keep != NULL) CHECK(!failed(buf_add(keep, buf_slice(&b))));
    if (to != NULL && any) {
        struct err e = feed(to, buf_slice(&b), chunk);
        if (failed(e)) *out_err = e;
    }
    buf_fini(&b);
    return any;
}

void http_pair_raw(struct http_pair *p, struct slice in)
{
    struct err e = feed(p->server, in, p->chunk), ignored;
    if (failed(e)) p->server_err = e;
    carry(p->server, NULL, &p->raw, 0, &ignored);
}

void http_pair_run(struct http_pair *p)
{
    for (bool any = true; any;) {
        any = carry(p->client, p->server, NULL, p->chunk, &p->server_err);
        any |= carry(p->server, p->client, NULL, p->chunk, &p->client_err);
    }
}

void http_pair_answer(struct http_pair *p, size_t i)
{
    struct http_exchange *x = p->held[i];
    p->held[i] = NULL;
    answer(p, x);
}
