// h2: HTTP/2 (RFC 9113) by nghttp2. The library keeps the protocol; ours are whole messages,
// limits, and the count of what an abusive peer does: nghttp2 1.52 bounds acknowledgements, and
// counts the peer's resets generously, but not ours (CVE-2025-8671) and nothing else that is cheap.
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "proto/http/internal.h"

enum {
    HEADER_TABLE_SIZE = 4096,
    CONTINUATIONS_MAX = 8,
    OUTBOUND_ACK_MAX = 100,
    SETTINGS_MAX = 32,
    WINDOW_SIZE = 256 * 1024, // of one connection, more than the largest body
};

struct h2 {
    struct http_session s;
    nghttp2_session *session;
    unsigned abuse;   // forgiven so far, see limits.abuse_max
    size_t out_size;  // bytes of bodies that nghttp2 has not taken yet
    bool terminated;  // GOAWAY with an error was queued
    bool refused;     // because of abuse
    bool goaway_seen; // client: the peer takes no new requests
    int32_t goaway_last;
    bool goaway_sent;      // server: draining, and the last GOAWAY is out
    bool failed;           // nghttp2 refused to go on
    struct slice out_rest; // nghttp2's bytes that did not fit into the last pull
};

static struct h2 *h2_of(struct http_session *s) { return (struct h2 *)(void *)s; }
static const struct h2 *h2_of_const(const struct http_session *s)
{
    return (const struct h2 *)(const void *)s;
}

static struct stream *stream_of(struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

// abuse_count counts something that costs us and asks for nothing; over the bound the session ends
// (T38, T39, T41).
static void abuse_count(struct h2 *h)
{
    if (++h->abuse <= h->s.limits->abuse_max || h->terminated) return;
    h->terminated = h->refused = true;
    nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

// ---- out

static ssize_t body_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t n,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct stream *st = source->ptr;
    struct h2 *h = user;
    if (n > st->out_body.n) n = st->out_body.n;
    if (n > 0) memcpy(out, st->out_body.p, n);
    h->out_size -= n;
    st->out_body = slice_sub(st->out_body, n, st->out_body.n);
    if (st->out_body.n > 0) return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->out_trailer_count == 0) return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_nv nv[8];
    size_t count = st->out_trailer_count < 8 ? st->out_trailer_count : 8;
    for (size_t i = 0; i < count; i++)
        nv[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)st->out_trailers[i].name.p,
                             .namelen = st->out_trailers[i].name.n,
                             .value = (uint8_t *)(uintptr_t)st->out_trailers[i].value.p,
                             .valuelen = st->out_trailers[i].value.n};
    return nghttp2_submit_trailer(session, id, nv, count) == 0
               ? (ssize_t)n
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static nghttp2_nv nv_of(struct slice name, struct slice value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                        .namelen = name.n,
                        .value = (uint8_t *)(uintptr_t)value.p,
                        .valuelen = value.n};
}

// headers_lower copies headers into the arena with names in lower case (RFC 9113 section 8.2).
static struct err headers_lower(struct http_header **out, struct arena *a,
                                const struct http_header *in, size_t count)
{
    struct http_header *copy = ARENA_ARRAY(a, struct http_header, count + 1);
    if (copy == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++) {
        TRY(arena_dup(&copy[i].name, a, in[i].name));
        TRY(arena_dup(&copy[i].value, a, in[i].value));
        uint8_t *p = (uint8_t *)(uintptr_t)copy[i].name.p; // our own copy
        for (size_t k = 0; k < copy[i].name.n; k++)
            if (p[k] >= 'A' && p[k] <= 'Z') p[k] |= 0x20;
    }
    *out = copy;
    return OK;
}

// out_body_drop forgets what is left of a body.
static void out_body_drop(struct h2 *h, struct stream *st)
{
    h->out_size -= st->out_body.n;
    st->out_body = SLICE_NONE;
}

// out_body_set keeps a copy of a body until nghttp2 has taken it. ERR_NO_SPACE when it would keep
// more than out_size_max for this peer (T43).
static struct err out_body_set(struct h2 *h, struct stream *st, struct slice body)
{
    size_t most = h->s.limits->out_size_max;
    out_body_drop(h, st); // of an answer that could not be submitted
    if (body.n > most || h->out_size > most - body.n) return ERR(NO_SPACE);
    if (body.n <= OUT_SMALL_MAX) {
        TRY(arena_dup(&st->out_body, &st->arena, body));
    } else {
        buf_fini(&st->out_large);
        buf_init(&st->out_large, most);
        TRY(buf_add(&st->out_large, body));
        st->out_body = buf_slice(&st->out_large);
    }
    h->out_size += body.n;
    return OK;
}

static struct err response_submit(struct h2 *h, struct stream *st, const struct http_response *r,
                                  bool head_only)
{
    struct arena *a = &st->arena;
    struct http_header *headers, *trailers;
    TRY(headers_lower(&headers, a, r->headers, r->header_count));
    TRY(headers_lower(&trailers, a, r->trailers, r->trailer_count));
    nghttp2_nv *nv = ARENA_ARRAY(a, nghttp2_nv, r->header_count + 2);
    if (nv == NULL) return ERR(NO_SPACE);
    size_t count = 0;
    nv[count++] = nv_of(SLICE_LIT(":status"), slice_str(arena_printf(a, "%u", r->status)));
    for (size_t i = 0; i < r->header_count; i++)
        nv[count++] = nv_of(headers[i].name, headers[i].value);
    bool body = !head_only && (r->body.n > 0 || r->trailer_count > 0);
    if (r->status != 204 && r->status != 304 && r->trailer_count == 0)
        nv[count++] = nv_of(SLICE_LIT("content-length"),
                            slice_str(arena_printf(a, "%zu", r->body.n)));
    if (body) TRY(out_body_set(h, st, r->body));
    st->out_trailers = trailers;
    st->out_trailer_count = r->trailer_count;
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = body_read};
    return nghttp2_submit_response(h->session, st->id, nv, count, body ? &provider : NULL) == 0
               ? OK
               : ERR(NO_SPACE);
}

// refuse answers a request that cannot be taken, without the handler; what still comes of it is
// dropped.
static void refuse(struct h2 *h, struct stream *st, unsigned status)
{
    if (st->ended) return;
    st->ended = true;
    buf_fini(&st->body);
    stream_discharge(st);
    struct http_response r = session_refusal(&h->s, status);
    bool head_only = slice_eq_str(st->own.request.method_text, "HEAD");
    if (failed(response_submit(h, st, &r, head_only)))
        nghttp2_submit_rst_stream(h->session, 0, st->id, NGHTTP2_REFUSED_STREAM);
    abuse_count(h);
}

static struct err h2_respond(struct http_session *s, struct stream *st,
                             const struct http_response *r)
{
    struct h2 *h = h2_of(s);
    struct err e = response_submit(h, st, r, st->own.head_only);
    if (failed(e)) nghttp2_submit_rst_stream(h->session, 0, st->id, NGHTTP2_INTERNAL_ERROR);
    return e;
}

static struct err h2_request(struct http_session *s, struct stream *st,
                             const struct http_request *r)
{
    struct h2 *h = h2_of(s);
    struct arena *a = &st->arena;
    struct http_header *headers;
    TRY(headers_lower(&headers, a, r->headers, r->header_count));
    nghttp2_nv *nv = ARENA_ARRAY(a, nghttp2_nv, r->header_count + 5);
    if (nv == NULL) return ERR(NO_SPACE);
    struct slice method = r->method == HTTP_GET    ? SLICE_LIT("GET")
                          : r->method == HTTP_HEAD ? SLICE_LIT("HEAD")
                          : r->method == HTTP_POST ? SLICE_LIT("POST")
                                                   : r->method_text;
    size_t count = 0;
    nv[count++] = nv_of(SLICE_LIT(":method"), method);
    nv[count++] = nv_of(SLICE_LIT(":scheme"), r->secure ? SLICE_LIT("https") : SLICE_LIT("http"));
    nv[count++] = nv_of(SLICE_LIT(":authority"), r->authority);
    nv[count++] = nv_of(SLICE_LIT(":path"), r->path);
    for (size_t i = 0; i < r->header_count; i++)
        nv[count++] = nv_of(headers[i].name, headers[i].value);
    bool body = r->body.n > 0;
    if (body) TRY(out_body_set(h, st, r->body));
    nghttp2_data_provider provider = {.source.ptr = st, .read_callback = body_read};
    int32_t id = nghttp2_submit_request(h->session, NULL, nv, count, body ? &provider : NULL, st);
    if (id < 0) {
        out_body_drop(h, st);
        return ERR(NO_SPACE);
    }
    st->id = id;
    return OK;
}

static void h2_cancel(struct http_session *s, struct stream *st)
{
    nghttp2_submit_rst_stream(h2_of(s)->session, 0, st->id,
                              NGHTTP2_CANCEL); // on_stream_close frees it
}

// ---- in

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;
    if (!h->s.server || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct stream *st = stream_new(&h->s, frame->hd.stream_id);
    if (st == NULL) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, st);
    return 0;
}

static int server_header(struct h2 *h, struct stream *st, struct slice name, struct slice value)
{
    struct http_request *r = &st->own.request;
    struct slice *slot = slice_eq_str(name, ":method")      ? &r->method_text
                         : slice_eq_str(name, ":path")      ? &r->path
                         : slice_eq_str(name, ":authority") ? &r->authority
                                                            : NULL;
    if (slot != NULL) {
        st->head_size += name.n + value.n;
        if (st->head_size > h->s.limits->head_size_max ||
            failed(arena_dup(slot, &st->arena, value)))
            st->status = 431;
        return 0;
    }
    if (name.n > 0 && name.p[0] == ':') return 0; // :scheme: we serve what the listener is
    if (failed(stream_header_add(st, name, value)))
        st->status = 431;
    else if (!stream_charge(st, name.n + value.n))
        st->status = 503;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)session;
    (void)flags;
    struct h2 *h = user;
    struct stream *st = stream_of(h, frame->hd.stream_id);
    if (st == NULL || (h->s.server && st->status != 0)) return 0;
    struct slice n = slice_of(name, name_len), v = slice_of(value, value_len);
    if (h->s.server)
        return frame->headers.cat == NGHTTP2_HCAT_REQUEST ? server_header(h, st, n, v)
                                                          : 0; // trailers are dropped
    if (slice_eq_str(n, ":status")) {
        st->status = 0;
        for (size_t i = 0; i < v.n && i < 3; i++)
            st->status = st->status * 10 + (unsigned)(v.p[i] - '0');
        st->header_count = 0; // what an interim response said is dropped
        // A status begins at 100 (RFC 9110 section 15); nghttp2 takes any three digits.
        return st->status < 100 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
    }
    if (n.n > 0 && n.p[0] == ':') return 0;
    if (failed(stream_header_add(st, n, v))) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (st->head_done) st->out_trailer_count++; // client: counts received trailers
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t n, void *user)
{
    (void)session;
    (void)flags;
    struct h2 *h = user;
    struct stream *st = stream_of(h, id);
    if (st == NULL || st->ended || (h->s.server && st->status != 0)) return 0;
    if (!stream_charge(st, n)) {
        refuse(h, st, 503);
        return 0;
    }
    if (!failed(buf_add(&st->body, slice_of(data, n)))) return 0;
    if (h->s.server)
        refuse(h, st, 413);
    else
        nghttp2_submit_rst_stream(h->session, 0, id, NGHTTP2_CANCEL);
    return 0;
}

static void server_complete(struct h2 *h, struct stream *st)
{
    if (st->delivered || st->ended) return;
    if (st->status != 0) {
        refuse(h, st, st->status);
        return;
    }
    struct http_request *r = &st->own.request;
    struct slice authority = r->authority.n > 0
                                 ? r->authority
                                 : http_header_find(st->headers, st->header_count, "host");
    stream_request_set(st, r->method_text, r->path, authority, true);
    if (r->path.n == 0 || r->path.p[0] != '/' || authority.n == 0) {
        refuse(h, st, 400);
        return;
    }
    stream_deliver(st);
}

static void client_complete(struct stream *st)
{
    if (st->ended) return;
    // Received trailers are the last lines of `headers`.
    size_t trailers = st->out_trailer_count;
    stream_answer(st, trailers == 0 ? NULL : st->headers + st->header_count - trailers, trailers);
}

static void frame_cost(struct h2 *h, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PING:
        abuse_count(h);
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) abuse_count(h);
        break;
    case NGHTTP2_DATA:
        if (frame->hd.length == 0 && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
            abuse_count(h);
        break;
    default:
        break;
    }
}

// drain_finish: the peer has seen that we drain. The last stream id of this GOAWAY is the newest
// that was seen.
static void drain_finish(struct h2 *h)
{
    h->goaway_sent = true;
    (void)nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h = user;
    if (h->s.server) frame_cost(h, frame);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
        h->s.server && h->s.draining && !h->goaway_sent)
        drain_finish(h);
    if (frame->hd.type == NGHTTP2_GOAWAY && !h->s.server) {
        h->goaway_seen = true;
        h->goaway_last = frame->goaway.last_stream_id;
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    struct stream *st = stream_of(h, frame->hd.stream_id);
    if (st == NULL) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && (h->s.server || st->status >= 200))
        st->head_done = true;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        // A head that is too large is refused at once: its body need not come.
        if (h->s.server && frame->hd.type == NGHTTP2_HEADERS && st->status != 0)
            refuse(h, st, st->status);
        return 0;
    }
    if (h->s.server)
        server_complete(h, st);
    else
        client_complete(st);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h = user;
    // The peer can make us reset streams by broken frames (CVE-2025-8671): that is counted like its
    // own resets.
    if (!h->s.server) return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        abuse_count(h);
    bool last = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct stream *st = last ? stream_of(h, frame->hd.stream_id) : NULL;
    if (st != NULL && st->delivered) // an answer that has left forgives a little
        h->abuse = h->abuse > 2 ? h->abuse - 2 : 0;
    // Refused before all of it came: the rest need not be sent (RFC 9113 section 8.1).
    if (st != NULL && st->ended && !st->delivered)
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *user)
{
    (void)session;
    (void)frame;
    (void)code;
    struct h2 *h = user;
    if (h->s.server) abuse_count(h);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session;
    struct h2 *h = user;
    struct stream *st = stream_of(h, id);
    if (st == NULL) return 0;
    nghttp2_session_set_stream_user_data(h->session, id, NULL);
    out_body_drop(h, st);
    if (st->ended) {
        stream_free(st);
        return 0;
    }
    bool unprocessed = code == NGHTTP2_REFUSED_STREAM || (h->goaway_seen && id > h->goaway_last);
    struct err why = code == NGHTTP2_CANCEL && !h->s.server ? ERR(HTTP_TOO_LARGE)
                                                            : ERR(HTTP_CLOSED);
    stream_abandon(st, why, unprocessed);
    return 0;
}

static struct err h2_feed(struct http_session *s, struct slice in)
{
    struct h2 *h = h2_of(s);
    if (h->failed) return ERR(HTTP_PROTOCOL);
    if (h->refused) return ERR(HTTP_ABUSE);
    ssize_t n = nghttp2_session_mem_recv(h->session, in.p, in.n);
    if (n < 0) {
        h->failed = true;
        return n == NGHTTP2_ERR_FLOODED ? ERR(HTTP_ABUSE) : ERR(HTTP_PROTOCOL);
    }
    return h->refused ? ERR(HTTP_ABUSE) : OK;
}

static struct err h2_eof(struct http_session *s)
{
    struct h2 *h = h2_of(s);
    h->failed = true;
    return s->open_count > 0 ? ERR(HTTP_CLOSED) : OK;
}

static struct err h2_pull(struct http_session *s, struct buf *out, size_t size_max, bool *more)
{
    struct h2 *h = h2_of(s);
    size_t start = buf_len(out);
    *more = false;
    for (;;) {
        if (h->out_rest.n == 0) {
            const uint8_t *p;
            ssize_t n = nghttp2_session_mem_send(h->session, &p);
            if (n < 0) {
                h->failed = true;
                return n == NGHTTP2_ERR_NOMEM ? ERR(NO_SPACE) : ERR(HTTP_PROTOCOL);
            }
            if (n == 0) return OK;
            h->out_rest = slice_of(p, (size_t)n); // nghttp2's, until the next call
        }
        // A frame is taken whole or stays: nothing else is asked of nghttp2 in between.
        if (failed(buf_add(out, h->out_rest))) {
            *more = true;
            return OK;
        }
        h->out_rest = SLICE_NONE;
        if (buf_len(out) - start >= size_max) {
            *more = nghttp2_session_want_write(h->session) != 0;
            return OK;
        }
    }
}

static void h2_drain(struct http_session *s)
{
    struct h2 *h = h2_of(s);
    if (!s->server) return;
    // Requests that are on their way to us are still served: a first GOAWAY announces the end
    // without naming a last stream; the answer to the PING behind it says that the peer knows
    // (drain_finish). Without memory the peer's deadline ends the drain.
    (void)nghttp2_submit_shutdown_notice(h->session);
    (void)nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
}

static void h2_replace(struct http_session *s, struct stream *st)
{
    nghttp2_session_set_stream_user_data(h2_of(s)->session, st->id, st);
}

static bool h2_finished(const struct http_session *s)
{
    const struct h2 *h = h2_of_const(s);
    if (h->out_rest.n > 0 || nghttp2_session_want_write(h->session) != 0) return false;
    if (h->failed || h->refused) return true;
    if (s->draining && (h->goaway_sent || !s->server) && list_empty(&s->streams)) return true;
    return nghttp2_session_want_read(h->session) == 0;
}

static bool h2_can_request(const struct http_session *s)
{
    const struct h2 *h = h2_of_const(s);
    uint32_t peer_max = nghttp2_session_get_remote_settings(
        h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    size_t most = s->limits->streams_max < peer_max ? s->limits->streams_max : peer_max;
    return !h->failed && !h->goaway_seen && s->open_count < most &&
           nghttp2_session_check_request_allowed(h->session) != 0;
}

static void h2_progress(const struct http_session *s, struct http_progress *out)
{
    for (const struct list *n = s->streams.next; n != &s->streams; n = n->next) {
        const struct stream *st =
            (const struct stream *)(const void *)((const char *)n - offsetof(struct stream, node));
        if (st->ended && out->writing == 0) out->writing = st->number;
        if (st->delivered || st->ended || out->reading != 0) continue;
        out->reading = st->number;
        out->reading_body = st->head_done;
    }
}

static void h2_fini(struct http_session *s) { nghttp2_session_del(h2_of(s)->session); }

static const struct http_ops ops = {.feed = h2_feed,
                                    .eof = h2_eof,
                                    .pull = h2_pull,
                                    .respond = h2_respond,
                                    .request = h2_request,
                                    .cancel = h2_cancel,
                                    .replace = h2_replace,
                                    .drain = h2_drain,
                                    .finished = h2_finished,
                                    .can_request = h2_can_request,
                                    .progress = h2_progress,
                                    .fini = h2_fini};

static nghttp2_session_callbacks *callbacks_make(void)
{
    nghttp2_session_callbacks *c;
    if (nghttp2_session_callbacks_new(&c) != 0) return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
    return c;
}

static nghttp2_option *options_make(void)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0) return NULL;
    nghttp2_option_set_max_outbound_ack(o, OUTBOUND_ACK_MAX);
    nghttp2_option_set_max_settings(o, SETTINGS_MAX);
    nghttp2_option_set_max_reserved_remote_streams(o, 0);
    nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
    nghttp2_option_set_no_closed_streams(o, 1);
    return o;
}

static int session_make(struct h2 *h)
{
    nghttp2_session_callbacks *c = callbacks_make();
    nghttp2_option *o = options_make();
    int r = -1;
    if (c != NULL && o != NULL)
        r = h->s.server ? nghttp2_session_server_new2(&h->session, c, h, o)
                        : nghttp2_session_client_new2(&h->session, c, h, o);
    nghttp2_session_callbacks_del(c);
    nghttp2_option_del(o);
    return r;
}

static int settings_submit(struct h2 *h)
{
    const struct http_limits *l = h->s.limits;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->s.server ? l->streams_max : 0},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, HEADER_TABLE_SIZE},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->head_size_max},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    int r = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, h->s.server ? 3 : 4);
    return r != 0 ? r
                  : nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                          WINDOW_SIZE);
}

struct http_session *h2_new(bool server, const struct http_limits *limits, void *ctx)
{
    struct h2 *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
    session_init(&h->s, &ops, server, limits, ctx);
    if (session_make(h) != 0 || settings_submit(h) != 0) {
        if (h->session != NULL) nghttp2_session_del(h->session);
        free(h);
        return NULL;
    }
    return &h->s;
}
