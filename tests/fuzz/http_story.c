#include "tests/fuzz/http_story.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"

// Small, so that an input can reach each of them.
static const struct http_limits limits = {.head_size_max = 512,
                                          .body_size_max = 256,
                                          .header_count_max = 8,
                                          .streams_max = 4,
                                          .abuse_max = 16,
                                          .out_size_max = 2048,
                                          .in_size_max = 1200};

// What one session may hold at any time, buffers of the library and room for growth included, plus
// a multiple of what it has been fed: HTTP/1.1 keeps bytes that wait behind an answer.
enum { MEMORY_MAX = 192 * 1024, MEMORY_PER_BYTE = 4, STORY_MAX = 1 << 22, HEADER_OVERHEAD = 32 };

static void tell(struct http_story *s, const char *what, struct slice text)
{
    CHECK(!failed(buf_printf(&s->told, "%s %zu ", what, text.n)));
    CHECK(!failed(buf_add(&s->told, text)) && !failed(buf_add_str(&s->told, "\n")));
}

static void note_err(struct http_story *s, struct err e)
{
    if (failed(e) && !failed(s->err)) s->err = e;
}

// ---- what holds of every message

// single_line: nothing that could end a line or a text when it is sent on or logged.
static void single_line(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) CHECK(s.p[i] != 0 && s.p[i] != '\r' && s.p[i] != '\n');
}

static void headers_check(struct http_story *s, const struct http_header *headers, size_t count)
{
    size_t size = 0;
    CHECK(count <= limits.header_count_max);
    for (size_t i = 0; i < count; i++) {
        struct slice name = headers[i].name;
        CHECK(name.n > 0 && name.p[0] != ':');
        for (size_t k = 0; k < name.n; k++)
            CHECK(name.p[k] > ' ' && name.p[k] < 0x7f && !(name.p[k] >= 'A' && name.p[k] <= 'Z'));
        single_line(headers[i].value);
        size += name.n + headers[i].value.n + HEADER_OVERHEAD;
        tell(s, " name", name);
        tell(s, " value", headers[i].value);
    }
    CHECK(size <= limits.head_size_max);
}

static void memory_check(const struct http_story *s)
{
    size_t ours = s->told.size + s->sent.size, now = fuzz_memory_used();
    CHECK(now <= s->memory_start + ours + MEMORY_MAX + MEMORY_PER_BYTE * s->fed);
}

// ---- server

static void answer(struct http_exchange *x, bool late)
{
    static const struct http_header headers[] = {{SLICE_LIT("Content-Type"), SLICE_LIT("a/b")}};
    static const struct http_header trailers[] = {{SLICE_LIT("grpc-status"), SLICE_LIT("0")}};
    bool trailer = x->request.path.n > 1 && x->request.path.p[1] == 't';
    struct http_response r = {.status = 200,
                              .headers = headers,
                              .header_count = 1,
                              .body = x->request.body,
                              .trailers = trailers,
                              .trailer_count = trailer ? 1 : 0};
    // Without room the session ends the exchange in another way.
    (void)!failed(late ? http_respond_late(x, &r) : http_respond(x, &r));
}

static void on_request(void *ctx, struct http_exchange *x)
{
    struct http_story *s = ctx;
    const struct http_request *r = &x->request;
    CHECK(x->session == s->session);
    tell(s, "request", r->method_text);
    tell(s, " path", r->path);
    tell(s, " authority", r->authority);
    CHECK(r->path.n > 0 && r->path.p[0] == '/' && r->method_text.n > 0);
    single_line(r->path);
    single_line(r->method_text);
    single_line(r->authority);
    headers_check(s, r->headers, r->header_count);
    CHECK(r->body.n <= limits.body_size_max);
    tell(s, " body", r->body);
    size_t most = s->version == HTTP_2 ? limits.streams_max : 1;
    CHECK(http_session_open_count(s->session) <= most && s->open_count < HTTP_STORY_OPEN_MAX);
    // "/h..." and "/l..." are answered later.
    bool later = r->path.n > 1 && (r->path.p[1] == 'h' || r->path.p[1] == 'l');
    if (later)
        s->open[s->open_count++] = x;
    else
        answer(x, false);
}

static void forget(struct http_story *s, const struct http_exchange *x)
{
    size_t i = 0;
    while (i < s->open_count && s->open[i] != x) i++;
    CHECK(i < s->open_count);
    s->open[i] = s->open[--s->open_count];
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    struct http_story *s = ctx;
    CHECK(x->session == NULL);
    tell(s, "gone", x->request.path);
    forget(s, x);
    http_exchange_release(x);
}

static void answer_open(struct http_story *s, size_t i)
{
    struct http_exchange *x = s->open[i];
    bool late = x->request.path.p[1] == 'l';
    if (!late) forget(s, x);
    answer(x, late);
}

// ---- client

static void ended(struct http_story *s, const struct http_exchange *x)
{
    unsigned bit = 1u << (x - s->asked);
    CHECK((s->waiting & bit) != 0);
    s->waiting &= ~bit;
}

static void on_response(void *ctx, struct http_exchange *x, const struct http_response *r)
{
    struct http_story *s = ctx;
    ended(s, x);
    CHECK(r->status >= 200 && r->status <= 999 && r->body.n <= limits.body_size_max);
    CHECK(!failed(buf_printf(&s->told, "response %zu %u\n", (size_t)(x - s->asked), r->status)));
    headers_check(s, r->headers, r->header_count);
    headers_check(s, r->trailers, r->trailer_count);
    tell(s, " body", r->body);
}

static void on_failed(void *ctx, struct http_exchange *x, struct err why, bool unprocessed)
{
    struct http_story *s = ctx;
    ended(s, x);
    CHECK(failed(why));
    CHECK(!failed(buf_printf(&s->told, "failed %zu %d\n", (size_t)(x - s->asked), unprocessed)));
}

static void ask(struct http_story *s)
{
    for (size_t i = 0; i < HTTP_STORY_REQUESTS; i++) {
        s->asked[i] = (struct http_exchange){0};
        if (!http_session_can_request(s->session)) continue;
        struct http_request r = {.method = i == 1 ? HTTP_HEAD : HTTP_GET,
                                 .path = SLICE_LIT("/a"),
                                 .authority = SLICE_LIT("a.example"),
                                 .secure = true};
        CHECK(!failed(http_request_send(s->session, &s->asked[i], &r)));
        s->waiting |= 1u << i;
    }
    CHECK(s->waiting != 0);
}

static void cancel_one(struct http_story *s)
{
    size_t i = fuzz_below(&s->choices, HTTP_STORY_REQUESTS);
    if ((s->waiting & 1u << i) == 0) return;
    s->waiting &= ~(1u << i);
    http_request_cancel(&s->asked[i]);
}

// ---- the story

static void pull(struct http_story *s)
{
    bool more = true;
    while (more) {
        struct err e = http_session_pull(s->session, &s->sent, 1024, &more);
        note_err(s, e);
        if (failed(e)) return;
    }
}

static void turn_mixed(struct http_story *s)
{
    switch (fuzz_below(&s->choices, 8)) {
    case 0:
        if (s->open_count > 0) answer_open(s, fuzz_below(&s->choices, s->open_count));
        break;
    case 1:
    case 2:
        pull(s);
        break;
    case 3:
        if (!s->server) cancel_one(s);
        break;
    case 4:
        if (fuzz_below(&s->choices, 4) == 0) http_session_drain(s->session);
        break;
    default:
        break;
    }
}

static void feed(struct http_story *s, struct slice in)
{
    s->fed = 0;
    while (s->fed < in.n && !failed(s->err)) {
        size_t n = in.n - s->fed;
        if (s->way != HTTP_STORY_WHOLE)
            n = fuzz_below(&s->choices, fuzz_below(&s->choices, 4) == 0 ? n : n < 8 ? n : 8) + 1;
        // A copy of its own, so that AddressSanitizer sees a read of what has gone.
        uint8_t *piece = malloc(n);
        CHECK(piece != NULL);
        memcpy(piece, in.p + s->fed, n);
        note_err(s, http_session_feed(s->session, slice_of(piece, n)));
        free(piece);
        s->fed += n;
        memory_check(s);
        if (s->way == HTTP_STORY_MIXED) turn_mixed(s);
    }
}

static void finish(struct http_story *s)
{
    pull(s);
    while (s->open_count > 0) {
        answer_open(s, 0);
        pull(s);
    }
    CHECK(http_session_open_count(s->session) == (size_t)__builtin_popcount(s->waiting));
    if (!failed(s->err)) note_err(s, http_session_eof(s->session));
    pull(s);
    memory_check(s);
    http_session_free(s->session);
    s->session = NULL;
    CHECK(s->open_count == 0 && s->waiting == 0);
}

static const struct http_client_callbacks client_callbacks = {on_response, on_failed};

static void on_refusal(void *ctx, struct http_response *r)
{
    (void)ctx;
    if (r->status == 413) r->body = SLICE_LIT("{\"status\":413}");
}

static const struct http_server_callbacks server_callbacks = {on_request, on_gone, on_refusal};

static void reset(struct buf *b)
{
    if (b->ceiling == 0) buf_init(b, STORY_MAX);
    buf_clear(b);
}

void http_story_run(struct http_story *s, enum http_version version, bool server,
                    enum http_story_way way, struct slice in)
{
    reset(&s->told);
    reset(&s->sent);
    s->err = OK;
    s->version = version;
    s->server = server;
    s->way = way;
    s->choices = fuzz_choices_of(in);
    s->open_count = 0;
    s->waiting = 0;
    s->memory_start = fuzz_memory_used() - s->told.size - s->sent.size;
    s->session = server ? http_server_new(version, &limits, &server_callbacks, s)
                        : http_client_new(version, &limits, &client_callbacks, s);
    CHECK(s->session != NULL);
    if (!server) ask(s);
    pull(s);
    feed(s, in);
    finish(s);
}

static void show(const struct http_story *s)
{
    struct slice told = buf_slice(&s->told), sent = buf_slice(&s->sent);
    fprintf(stderr, "---- error %08x\n%.*s---- sent:", s->err.v, SLICE_ARG(told));
    for (size_t i = 0; i < sent.n; i++) fprintf(stderr, " %02x", sent.p[i]);
    fprintf(stderr, "\n");
}

void http_story_compare(const struct http_story *a, const struct http_story *b)
{
    // Of several faults in one answer a client may name another one first. What HTTP/2 sends
    // besides messages may depend on the cut.
    bool same_err = a->server ? a->err.v == b->err.v : failed(a->err) == failed(b->err);
    bool same_sent = a->version == HTTP_2 || slice_eq(buf_slice(&a->sent), buf_slice(&b->sent));
    bool same = same_err && same_sent && slice_eq(buf_slice(&a->told), buf_slice(&b->told));
    if (!same) {
        show(a);
        show(b);
    }
    CHECK(same);
}
