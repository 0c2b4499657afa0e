#include "proto/http/http.h"

#include <stdlib.h>
#include <strings.h>

#include "proto/http/internal.h"

enum { SPARE_MAX = 4, HEADER_OVERHEAD = 32 };

void session_init(struct http_session *s, const struct http_ops *ops, bool server,
                  const struct http_limits *limits, void *ctx)
{
    s->ops = ops;
    s->server = server;
    s->limits = limits;
    s->ctx = ctx;
    list_init(&s->streams);
    list_init(&s->spare);
}

struct http_session *http_server_new(enum http_version version, const struct http_limits *limits,
                                     const struct http_server_callbacks *callbacks, void *ctx)
{
    struct http_session *s = version == HTTP_2 ? h2_new(true, limits, ctx)
                                               : h1_new(true, limits, ctx);
    if (s != NULL) s->server_callbacks = callbacks;
    return s;
}

struct http_session *http_client_new(enum http_version version, const struct http_limits *limits,
                                     const struct http_client_callbacks *callbacks, void *ctx)
{
    struct http_session *s = version == HTTP_2 ? h2_new(false, limits, ctx)
                                               : h1_new(false, limits, ctx);
    if (s != NULL) s->client_callbacks = callbacks;
    return s;
}

void *http_session_ctx(const struct http_session *s) { return s->ctx; }

void http_session_free(struct http_session *s)
{
    if (s == NULL) return;
    while (!list_empty(&s->streams))
        stream_abandon(LIST_OWNER(s->streams.next, struct stream, node), ERR(HTTP_CLOSED), false);
    s->ops->fini(s);
    while (!list_empty(&s->spare)) {
        struct stream *st = LIST_OWNER(list_pop_front(&s->spare), struct stream, node);
        arena_fini(&st->arena);
        free(st);
    }
    free(s);
}

struct err http_session_feed(struct http_session *s, struct slice in)
{
    return s->ops->feed(s, in);
}

struct err http_session_eof(struct http_session *s) { return s->ops->eof(s); }

struct err http_session_pull(struct http_session *s, struct buf *out, size_t size_max, bool *more)
{
    return s->ops->pull(s, out, size_max, more);
}

void http_session_drain(struct http_session *s)
{
    if (s->draining) return;
    s->draining = true;
    s->ops->drain(s);
}

bool http_session_finished(const struct http_session *s) { return s->ops->finished(s); }

size_t http_session_open_count(const struct http_session *s) { return s->open_count; }

bool http_session_can_request(const struct http_session *s)
{
    return !s->server && !s->draining && s->ops->can_request(s);
}

void http_session_progress(const struct http_session *s, struct http_progress *out)
{
    *out = (struct http_progress){.begun = s->begun};
    s->ops->progress(s, out);
}

// ---- streams

static size_t stream_arena_max(const struct http_limits *l)
{
    return STREAM_ARENA_MAX + ARENA_PER_BODY * l->body_size_max;
}

struct stream *stream_new(struct http_session *s, int32_t id)
{
    struct list *spare = list_pop_front(&s->spare);
    struct stream *st = spare != NULL ? LIST_OWNER(spare, struct stream, node)
                                      : calloc(1, sizeof *st);
    if (st == NULL) return NULL;
    if (spare != NULL)
        s->spare_count--;
    else
        arena_init(&st->arena, stream_arena_max(s->limits));
    struct arena arena = st->arena;
    *st = (struct stream){
        .arena = arena, .session = s, .id = id, .number = ++s->begun, .budget = s->limits->budget};
    buf_init(&st->body, s->limits->body_size_max);
    if (s->server) {
        st->x = &st->own;
        st->own = (struct http_exchange){
            .session = s, .arena = &st->arena, .stream = st, .stream_id = (uint32_t)id};
    }
    list_push_back(&s->streams, &st->node);
    return st;
}

bool stream_charge(struct stream *st, size_t n)
{
    struct http_session *s = st->session;
    if (!s->server) return true;
    const struct http_limits *l = s->limits;
    if (l->in_size_max > 0 && (n > l->in_size_max || s->in_size > l->in_size_max - n)) return false;
    if (st->budget != NULL &&
        (n > st->budget->size_max || st->budget->used > st->budget->size_max - n))
        return false;
    if (st->budget != NULL) st->budget->used += n;
    s->in_size += n;
    st->charged += n;
    return true;
}

void stream_discharge(struct stream *st)
{
    // The session may be gone, the budget is not.
    if (st->session != NULL) st->session->in_size -= st->charged;
    if (st->budget != NULL) st->budget->used -= st->charged;
    st->charged = 0;
}

void stream_free(struct stream *st)
{
    struct http_session *s = st->session;
    stream_discharge(st);
    list_remove(&st->node);
    buf_fini(&st->body);
    buf_fini(&st->out_large);
    arena_reset(&st->arena);
    if (s != NULL && s->spare_count < SPARE_MAX) {
        s->spare_count++;
        list_push_back(&s->spare, &st->node);
        return;
    }
    arena_fini(&st->arena);
    free(st);
}

static bool headers_grow(struct stream *st)
{
    size_t size = st->header_size == 0 ? HEADERS_FIRST : st->header_size * 2;
    struct http_header *headers = ARENA_ARRAY(&st->arena, struct http_header, size);
    if (headers == NULL) return false;
    if (st->header_count > 0) memcpy(headers, st->headers, st->header_count * sizeof *headers);
    st->headers = headers;
    st->header_size = size;
    return true;
}

struct err stream_header_add(struct stream *st, struct slice name, struct slice value)
{
    const struct http_limits *limits = st->session->limits;
    st->head_size += name.n + value.n + HEADER_OVERHEAD;
    if (st->head_size > limits->head_size_max || st->header_count >= limits->header_count_max)
        return ERR(HTTP_TOO_LARGE);
    if (st->header_count == st->header_size && !headers_grow(st)) return ERR(HTTP_TOO_LARGE);
    struct http_header h;
    if (failed(arena_dup(&h.name, &st->arena, name)) ||
        failed(arena_dup(&h.value, &st->arena, value)))
        return ERR(HTTP_TOO_LARGE);
    st->headers[st->header_count++] = h;
    return OK;
}

void stream_request_set(struct stream *st, struct slice method, struct slice path,
                        struct slice authority, bool secure)
{
    enum http_method m = slice_eq_str(method, "GET")    ? HTTP_GET
                         : slice_eq_str(method, "HEAD") ? HTTP_HEAD
                         : slice_eq_str(method, "POST") ? HTTP_POST
                                                        : HTTP_OTHER;
    st->own.head_only = m == HTTP_HEAD;
    st->own.request = (struct http_request){.method = m,
                                            .method_text = method,
                                            .path = path,
                                            .authority = authority,
                                            .secure = secure,
                                            .headers = st->headers,
                                            .header_count = st->header_count};
}

void stream_deliver(struct stream *st)
{
    struct http_session *s = st->session;
    st->own.request.body = buf_slice(&st->body);
    st->delivered = true;
    s->open_count++;
    s->server_callbacks->request(s->ctx, st->x);
}

// stream_leave takes a stream whose exchange lives on from its session: only the budget counts it.
static void stream_leave(struct stream *st)
{
    st->session->in_size -= st->charged;
    st->session = NULL;
}

static void server_abandon(struct stream *st)
{
    struct http_session *s = st->session;
    if (!st->delivered || st->ended) {
        stream_free(st);
        return;
    }
    s->open_count--;
    list_remove(&st->node);
    stream_leave(st);
    st->own.session = NULL;
    s->server_callbacks->gone(s->ctx, st->x); // from here on http_exchange_release frees it
}

static void client_abandon(struct stream *st, struct err why, bool unprocessed)
{
    struct http_session *s = st->session;
    struct http_exchange *x = st->x;
    if (!st->ended) s->open_count--;
    stream_free(st);
    if (x == NULL) return;
    x->session = NULL;
    x->stream = NULL;
    s->client_callbacks->failed(s->ctx, x, why, unprocessed);
}

void stream_abandon(struct stream *st, struct err why, bool unprocessed)
{
    if (st->session->server)
        server_abandon(st);
    else
        client_abandon(st, why, unprocessed);
}

void stream_answer(struct stream *st, const struct http_header *trailers, size_t trailer_count)
{
    struct http_session *s = st->session;
    struct http_exchange *x = st->x;
    struct http_response response = {.status = st->status,
                                     .headers = st->headers,
                                     .header_count = st->header_count - trailer_count,
                                     .body = buf_slice(&st->body),
                                     .trailers = trailers,
                                     .trailer_count = trailer_count};
    st->ended = true;
    st->x = NULL;
    s->open_count--;
    if (x == NULL) return;
    x->session = NULL;
    x->stream = NULL;
    s->client_callbacks->response(s->ctx, x, &response);
}

struct http_response session_refusal(const struct http_session *s, unsigned status)
{
    struct http_response r = {.status = status};
    if (s->server_callbacks->refusal != NULL) s->server_callbacks->refusal(s->ctx, &r);
    return r;
}

// ---- exchanges

struct err http_respond(struct http_exchange *x, const struct http_response *response)
{
    struct stream *st = x->stream;
    if (x->session == NULL) {
        http_exchange_release(x);
        return OK;
    }
    CHECK(st != NULL && st->session == x->session && st->delivered && !st->ended);
    struct http_session *s = x->session;
    st->ended = true;
    s->open_count--;
    return s->ops->respond(s, st, response);
}

struct err http_respond_late(struct http_exchange *x, const struct http_response *response)
{
    struct stream *st = x->stream;
    CHECK(x->session != NULL && st != NULL && st->delivered && !st->ended);
    struct http_session *s = x->session;
    struct stream *heir = stream_new(s, st->id);
    if (heir == NULL) return ERR(NO_SPACE);
    heir->delivered = heir->ended = true;
    heir->own.head_only = x->head_only;
    s->ops->replace(s, heir);
    s->open_count--;
    list_remove(&st->node);
    stream_leave(st);
    x->session = NULL;
    struct err e = s->ops->respond(s, heir, response);
    s->server_callbacks->gone(s->ctx, x);
    return e;
}

void http_exchange_release(struct http_exchange *x)
{
    struct stream *st = x->stream;
    CHECK(x->session == NULL && st != NULL && st->session == NULL);
    stream_free(st);
}

struct err http_request_send(struct http_session *s, struct http_exchange *x,
                             const struct http_request *request)
{
    if (!http_session_can_request(s)) return ERR(NO_SPACE);
    struct stream *st = stream_new(s, -1);
    if (st == NULL) return ERR(NO_SPACE);
    x->head_only = request->method == HTTP_HEAD;
    st->x = x;
    struct err e = s->ops->request(s, st, request);
    if (failed(e)) {
        st->x = NULL;
        stream_free(st);
        return e;
    }
    s->open_count++;
    x->session = s;
    x->stream = st;
    x->stream_id = (uint32_t)st->id;
    return OK;
}

void http_request_cancel(struct http_exchange *x)
{
    struct stream *st = x->stream;
    if (x->session == NULL || st == NULL) return;
    struct http_session *s = x->session;
    x->session = NULL;
    x->stream = NULL;
    st->x = NULL;
    st->ended = true;
    s->open_count--;
    s->ops->cancel(s, st);
}

struct slice http_header_find(const struct http_header *headers, size_t count, const char *name)
{
    struct slice want = slice_str(name);
    for (size_t i = 0; i < count; i++)
        if (headers[i].name.n == want.n &&
            strncasecmp((const char *)headers[i].name.p, name, want.n) == 0)
            return headers[i].value;
    return SLICE_NONE;
}
