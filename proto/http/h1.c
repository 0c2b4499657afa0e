// h1: HTTP/1.1 (RFC 9112) by llhttp in its strict mode, one message at a time in each direction.
// Bytes that arrive while a request is being answered wait in `pending`, up to PENDING_MAX: whoever
// sends more is not read from.
#include <stdlib.h>
#include <strings.h>

// llhttp names its methods as we do: its own get another name here.
#define HTTP_GET LLHTTP_METHOD_GET
#define HTTP_HEAD LLHTTP_METHOD_HEAD
#define HTTP_POST LLHTTP_METHOD_POST
#include <llhttp.h>
#undef HTTP_GET
#undef HTTP_HEAD
#undef HTTP_POST

#include "proto/http/internal.h"

// HEAD_EXTRA is what a head may have beyond its limit before it is counted line by line: method,
// version, line ends and white space.
// BODY_FACTOR is how many bytes on the wire each byte of a body may take: chunks of one byte take
// six.
enum { PENDING_MAX = 64 * 1024, HEAD_EXTRA = 64, BODY_FACTOR = 8 };

struct h1 {
    struct http_session s;
    llhttp_t parser;
    llhttp_settings_t settings;
    struct stream *stream; // the message under way, or the exchange that is being answered
    struct buf pending;    // received, not parsed yet
    struct buf out;        // to be sent
    struct buf text;       // of the line or header part that is being collected
    struct slice name;     // header name, in the stream's arena
    struct slice method, target;
    bool expects_100;
    bool closing;        // nothing more is parsed; close once `out` is sent
    bool message_done;   // the parser is paused behind a complete message
    bool busy;           // inside advance()
    bool last_cr;        // state of head_scan
    bool over_limit;     // head_scan refused for length
    size_t head_len;     // bytes of the head so far, also those that llhttp skips
    size_t body_wire;    // bytes of the body so far with chunk sizes, extensions and trailers
    size_t line_len;     // characters on the line under way
    unsigned head_lines; // lines of the head so far
    unsigned spaces;     // in the request line: exactly two
    bool in_head;
    unsigned refusal; // status with which the message under way is refused
};

static struct h1 *h1_of(struct http_session *s) { return (struct h1 *)(void *)s; }
static const struct h1 *h1_of_const(const struct http_session *s)
{
    return (const struct h1 *)(const void *)s;
}
static struct h1 *h1_of_parser(llhttp_t *p) { return p->data; }

// ---- parser callbacks

static int refuse(struct h1 *h, unsigned status)
{
    if (h->refusal == 0) h->refusal = status;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *p)
{
    struct h1 *h = h1_of_parser(p);
    h->in_head = true;
    buf_clear(&h->text);
    h->name = h->method = h->target = SLICE_NONE;
    h->expects_100 = false;
    if (h->s.server) h->stream = stream_new(&h->s, 0);
    return h->stream == NULL ? refuse(h, 503) : 0;
}

static int text_add(struct h1 *h, const char *at, size_t n)
{
    return failed(buf_add(&h->text, slice_of(at, n))) ? refuse(h, 431) : 0;
}

static int on_text(llhttp_t *p, const char *at, size_t n)
{
    return text_add(h1_of_parser(p), at, n);
}

static int text_take(struct h1 *h, struct slice *out)
{
    struct err e = arena_dup(out, &h->stream->arena, buf_slice(&h->text));
    buf_clear(&h->text);
    return failed(e) ? refuse(h, 431) : 0;
}

static int on_method_complete(llhttp_t *p)
{
    return text_take(h1_of_parser(p), &h1_of_parser(p)->method);
}

static int on_url_complete(llhttp_t *p)
{
    struct h1 *h = h1_of_parser(p);
    h->stream->head_size += buf_len(&h->text);
    if (h->stream->head_size > h->s.limits->head_size_max) return refuse(h, 431);
    return text_take(h, &h->target);
}

static int on_status_complete(llhttp_t *p)
{
    buf_clear(&h1_of_parser(p)->text);
    return 0;
}

static void lower(struct slice s)
{
    uint8_t *p = (uint8_t *)(uintptr_t)s.p; // our own copy in the arena
    for (size_t i = 0; i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z') p[i] |= 0x20;
}

static int on_header_field_complete(llhttp_t *p)
{
    struct h1 *h = h1_of_parser(p);
    int r = text_take(h, &h->name);
    if (r == 0) lower(h->name);
    return r;
}

static int on_header_value_complete(llhttp_t *p)
{
    struct h1 *h = h1_of_parser(p);
    // Trailers of a chunked message are read and dropped: nothing of ours needs them (RFC 9112
    // section 7.1.2).
    if (!h->in_head) {
        buf_clear(&h->text);
        return 0;
    }
    struct slice value = buf_slice(&h->text);
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t')) value.n--;
    size_t n = h->name.n + value.n;
    struct err e = stream_header_add(h->stream, h->name, value);
    buf_clear(&h->text);
    if (failed(e)) return refuse(h, 431);
    return stream_charge(h->stream, n) ? 0 : refuse(h, 503);
}

static size_t header_count_of(const struct stream *st, const char *name, struct slice *out_last)
{
    size_t count = 0;
    for (size_t i = 0; i < st->header_count; i++) {
        if (!slice_eq_str(st->headers[i].name, name)) continue;
        *out_last = st->headers[i].value;
        count++;
    }
    return count;
}

static bool value_is(struct slice value, const char *word)
{
    return value.n == strlen(word) && strncasecmp((const char *)value.p, word, value.n) == 0;
}

// target_split takes origin form ("/path") and absolute form ("https://host/path", RFC 9112
// section 3.2.2).
static bool target_split(struct slice target, struct slice *path, struct slice *authority)
{
    if (target.n > 0 && target.p[0] == '/') {
        *path = target;
        return true;
    }
    struct slice rest = SLICE_NONE;
    if (slice_starts(target, SLICE_LIT("https://")))
        rest = slice_sub(target, 8, target.n);
    else if (slice_starts(target, SLICE_LIT("http://")))
        rest = slice_sub(target, 7, target.n);
    if (rest.n == 0) return false;
    const uint8_t *slash = memchr(rest.p, '/', rest.n);
    size_t n = slash == NULL ? rest.n : (size_t)(slash - rest.p);
    if (n == 0) return false;
    *authority = slice_sub(rest, 0, n);
    *path = slash == NULL ? SLICE_LIT("/") : slice_sub(rest, n, rest.n);
    return true;
}

// request_head_check: what llhttp leaves to its user. Whoever could be read in two ways is refused
// (T45 of the threat list).
static int request_head_check(struct h1 *h)
{
    struct stream *st = h->stream;
    struct slice host = SLICE_NONE, te = SLICE_NONE, cl = SLICE_NONE, expect = SLICE_NONE, path,
                 authority;
    size_t hosts = header_count_of(st, "host", &host),
           tes = header_count_of(st, "transfer-encoding", &te);
    size_t cls = header_count_of(st, "content-length", &cl);
    if (h->parser.http_major != 1 || h->parser.http_minor > 1) return refuse(h, 505);
    if (hosts != 1 && !(hosts == 0 && h->parser.http_minor == 0)) return refuse(h, 400);
    if (tes > 1 || cls > 1 || (tes > 0 && cls > 0)) return refuse(h, 400);
    if (tes == 1 && h->parser.http_minor == 0) return refuse(h, 400);
    if (tes == 1 && !value_is(te, "chunked")) return refuse(h, 501);
    authority = host;
    if (!target_split(h->target, &path, &authority)) return refuse(h, 400);
    if (hosts == 1 && host.n == 0) return refuse(h, 400);
    if (cls == 1 && h->parser.content_length > h->s.limits->body_size_max) return refuse(h, 413);
    if (header_count_of(st, "expect", &expect) > 0) {
        if (!value_is(expect, "100-continue")) return refuse(h, 417);
        h->expects_100 = h->parser.http_minor == 1;
    }
    stream_request_set(st, h->method, path, authority, true);
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct h1 *h = h1_of_parser(p);
    h->in_head = false;
    if (h->s.server) {
        int r = request_head_check(h);
        if (r != 0) return r;
        bool has_body = (p->flags & F_CHUNKED) != 0 || p->content_length > 0;
        if (h->expects_100 && has_body)
            return failed(buf_add_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n")) ? -1 : 0;
        // llhttp takes CONNECT and Upgrade as the end of HTTP: we never switch protocols (no h2c).
        return p->upgrade && p->method == HTTP_CONNECT ? refuse(h, 405) : 0;
    }
    h->stream->status = (unsigned)p->status_code;
    // A status begins at 100 (RFC 9110 section 15); we never asked to switch protocols.
    if (p->status_code < 100 || p->status_code == 101) return refuse(h, 502);
    return h->stream->x != NULL && h->stream->x->head_only ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct h1 *h = h1_of_parser(p);
    if (!stream_charge(h->stream, n)) return refuse(h, 503);
    return failed(buf_add(&h->stream->body, slice_of(at, n))) ? refuse(h, 413) : 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct h1 *h = h1_of_parser(p);
    if (!h->s.server && p->status_code / 100 == 1) { // an interim response: the real one follows
        h->stream->header_count = 0;
        h->stream->head_size = 0;
        return 0;
    }
    h->message_done = true;
    return HPE_PAUSED;
}

// ---- line ends

// head_scan walks over the head of a request, up to and with its empty line (*out_n bytes). False
// for a line feed without a carriage return or a carriage return without a line feed, *out_n bytes
// from here: llhttp takes them in some places, and a proxy in front of us may read the same bytes
// in another way (T45 of the threat list). False, too, where the head is longer than any that the
// limit lets through: empty lines in front and white space around values would be free else.
static bool head_scan(struct h1 *h, struct slice in, size_t *out_n)
{
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        *out_n = i;
        if (h->head_len == h->s.limits->head_size_max + HEAD_EXTRA) {
            h->over_limit = true;
            return false;
        }
        h->head_len++;
        if (h->last_cr != (c == '\n')) return false;
        h->last_cr = c == '\r';
        if (c == '\r') continue;
        if (c != '\n') {
            h->line_len++;
            if (h->head_lines == 0 && c == ' ') h->spaces++;
            continue;
        }
        if (h->head_lines == 0 && h->line_len > 0 && h->spaces != 2) return false;
        if (h->line_len == 0 && h->head_lines > 0) {
            *out_n = i + 1;
            return true;
        }
        if (h->line_len > 0)
            h->head_lines++; // empty lines before a request are skipped (RFC 9112 section 2.2)
        h->line_len = 0;
    }
    *out_n = in.n;
    return true;
}

// ---- out

static struct err line_add(struct buf *out, struct slice name, struct slice value)
{
    TRY(buf_add(out, name));
    TRY(buf_add_str(out, ": "));
    TRY(buf_add(out, value));
    return buf_add_str(out, "\r\n");
}

static const char *reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } rows[] = {{200, "OK"},
                {201, "Created"},
                {204, "No Content"},
                {301, "Moved Permanently"},
                {302, "Found"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {408, "Request Timeout"},
                {409, "Conflict"},
                {413, "Content Too Large"},
                {415, "Unsupported Media Type"},
                {417, "Expectation Failed"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {501, "Not Implemented"},
                {502, "Bad Gateway"},
                {503, "Service Unavailable"},
                {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status) return rows[i].text;
    return "";
}

static struct err response_write(struct buf *out, const struct http_response *r, bool head_only,
                                 bool close)
{
    TRY(buf_printf(out, "HTTP/1.1 %u %s\r\n", r->status, reason(r->status)));
    for (size_t i = 0; i < r->header_count; i++)
        TRY(line_add(out, r->headers[i].name, r->headers[i].value));
    if (r->status != 204 && r->status != 304)
        TRY(buf_printf(out, "Content-Length: %zu\r\n", r->body.n));
    if (close) TRY(buf_add_str(out, "Connection: close\r\n"));
    TRY(buf_add_str(out, "\r\n"));
    return head_only ? OK : buf_add(out, r->body);
}

// refuse_write ends the session with the answer for a message that cannot be taken.
static struct err refuse_write(struct h1 *h, unsigned status, struct err why)
{
    bool head_only = h->stream != NULL && h->stream->own.head_only;
    if (h->stream != NULL) {
        stream_free(h->stream);
        h->stream = NULL;
    }
    struct http_response r = session_refusal(&h->s, status);
    h->closing = true;
    (void)!failed(
        response_write(&h->out, &r, head_only, true)); // without room the close alone must do
    return why;
}

// ---- the loop

static struct err server_failure(struct h1 *h)
{
    unsigned status = h->refusal != 0 ? h->refusal : 400;
    bool large = status == 413 || status == 431;
    return refuse_write(h, status, large ? ERR(HTTP_TOO_LARGE) : ERR(HTTP_MALFORMED));
}

static struct err client_failure(struct h1 *h, struct err why)
{
    h->closing = true;
    struct stream *st = h->stream;
    h->stream = NULL;
    if (st != NULL) stream_abandon(st, why, false);
    return why;
}

static struct err parse_failure(struct h1 *h)
{
    if (h->s.server) return server_failure(h);
    return client_failure(h, h->refusal == 413 || h->refusal == 431 ? ERR(HTTP_TOO_LARGE)
                                                                    : ERR(HTTP_PROTOCOL));
}

// keep_alive says whether the connection goes on after this message; asked once, when the message
// is complete.
static void message_complete(struct h1 *h)
{
    bool keep = llhttp_should_keep_alive(&h->parser) != 0;
    llhttp_resume(&h->parser);
    h->message_done = false;
    h->last_cr = false;
    h->line_len = h->head_len = h->body_wire = 0;
    h->head_lines = h->spaces = 0;
    if (!keep) h->closing = true;
    struct stream *st = h->stream;
    if (h->s.server) {
        stream_deliver(st);
        return;
    }
    h->stream = NULL;
    if (st->x != NULL) stream_answer(st, NULL, 0);
    stream_free(st);
}

// body_endless counts what comes of a body: chunk extensions and trailers would be free else.
static bool body_endless(struct h1 *h, size_t n)
{
    const struct http_limits *l = h->s.limits;
    h->body_wire += n;
    return h->body_wire > BODY_FACTOR * l->body_size_max + l->head_size_max + PENDING_MAX;
}

// parse hands one piece to llhttp: bytes taken in *out_taken. What stands before a bad line end is
// judged first, so that the answer does not depend on how the bytes were cut on their way.
static struct err parse(struct h1 *h, struct slice in, size_t *out_taken)
{
    bool head = h->s.server && (h->stream == NULL || h->in_head);
    bool good = true;
    if (head) {
        size_t n = 0;
        good = head_scan(h, in, &n);
        in = slice_sub(in, 0, n);
    }
    bool endless = h->s.server && !head && body_endless(h, in.n);
    if (endless) return refuse(h, 413), parse_failure(h);
    llhttp_errno_t e = llhttp_execute(&h->parser, (const char *)in.p, in.n);
    *out_taken = in.n;
    if (e == HPE_OK && good) return OK;
    if (e == HPE_PAUSED && h->message_done && good) {
        *out_taken = (size_t)(llhttp_get_error_pos(&h->parser) - (const char *)in.p);
        message_complete(h);
        return OK;
    }
    if (e == HPE_PAUSED_UPGRADE) h->refusal = 501;
    if (e == HPE_OK && h->over_limit) h->refusal = 431;
    return parse_failure(h);
}

static bool may_parse(const struct h1 *h)
{
    if (buf_len(&h->pending) == 0) return false;
    if (h->s.server) return !h->closing && (h->stream == NULL || !h->stream->delivered);
    return !h->closing && h->stream != NULL;
}

// advance parses what is pending until a request must be answered first. A callback may end the
// exchange: it goes on then.
static struct err advance(struct h1 *h)
{
    if (h->busy) return OK;
    h->busy = true;
    struct err e = OK;
    while (!failed(e) && may_parse(h)) {
        size_t taken = 0;
        struct slice in = buf_slice(&h->pending);
        e = parse(h, in, &taken);
        buf_consume(&h->pending, failed(e) ? in.n : taken);
    }
    // A response nobody asked for (T45, response splitting).
    if (!failed(e) && !h->s.server && h->stream == NULL && !h->closing && buf_len(&h->pending) > 0)
        e = client_failure(h, ERR(HTTP_PROTOCOL));
    if (h->closing) buf_clear(&h->pending);
    h->busy = false;
    return e;
}

static struct err h1_feed(struct http_session *s, struct slice in)
{
    struct h1 *h = h1_of(s);
    if (h->closing) return OK; // what follows a last message is not read
    if (failed(buf_add(&h->pending, in))) {
        h->closing = true;
        return ERR(HTTP_ABUSE);
    }
    return advance(h);
}

static struct err h1_eof(struct http_session *s)
{
    struct h1 *h = h1_of(s);
    if (s->server) {
        bool cut = h->stream != NULL && !h->stream->delivered;
        if (cut) {
            stream_free(h->stream);
            h->stream = NULL;
        }
        h->closing = true;
        return cut ? ERR(HTTP_CLOSED) : OK;
    }
    if (h->stream == NULL) {
        h->closing = true;
        return OK;
    }
    // A response without a length ends with the connection (RFC 9112 section 6.3).
    bool until_close = llhttp_message_needs_eof(&h->parser) != 0 && !h->in_head &&
                       h->stream->status != 0;
    llhttp_errno_t e = until_close ? llhttp_finish(&h->parser) : HPE_INVALID_EOF_STATE;
    if (h->message_done && (e == HPE_OK || e == HPE_PAUSED)) {
        message_complete(h);
        h->closing = true;
        return OK;
    }
    return client_failure(h, ERR(HTTP_CLOSED));
}

static struct err h1_pull(struct http_session *s, struct buf *out, size_t size_max, bool *more)
{
    struct h1 *h = h1_of(s);
    struct err e = advance(h);
    struct slice ready = slice_sub(buf_slice(&h->out), 0, size_max);
    TRY(buf_add(out, ready));
    buf_consume(&h->out, ready.n);
    *more = buf_len(&h->out) > 0;
    return e;
}

static struct err h1_respond(struct http_session *s, struct stream *st,
                             const struct http_response *r)
{
    struct h1 *h = h1_of(s);
    CHECK(st == h->stream);
    if (s->draining) h->closing = true;
    struct err e = response_write(&h->out, r, st->own.head_only, h->closing);
    if (failed(e)) {
        h->closing = true; // the answer may be half there: the end of the connection says so
        buf_clear(&h->out);
    }
    h->stream = NULL;
    stream_free(st);
    return e;
}

static struct err h1_request(struct http_session *s, struct stream *st,
                             const struct http_request *r)
{
    struct h1 *h = h1_of(s);
    struct buf *out = &h->out;
    struct slice method = r->method == HTTP_GET    ? SLICE_LIT("GET")
                          : r->method == HTTP_HEAD ? SLICE_LIT("HEAD")
                          : r->method == HTTP_POST ? SLICE_LIT("POST")
                                                   : r->method_text;
    TRY(buf_printf(out, "%" SLICE_FMT " %" SLICE_FMT " HTTP/1.1\r\n", SLICE_ARG(method),
                   SLICE_ARG(r->path)));
    TRY(line_add(out, SLICE_LIT("Host"), r->authority));
    for (size_t i = 0; i < r->header_count; i++)
        TRY(line_add(out, r->headers[i].name, r->headers[i].value));
    if (r->method == HTTP_POST || r->body.n > 0)
        TRY(buf_printf(out, "Content-Length: %zu\r\n", r->body.n));
    TRY(buf_add_str(out, "\r\n"));
    TRY(buf_add(out, r->body));
    h->stream = st;
    return OK;
}

static void h1_cancel(struct http_session *s, struct stream *st)
{
    struct h1 *h = h1_of(s);
    h->stream = NULL;
    h->closing = true; // its answer would be taken for the next one's
    stream_free(st);
}

static void h1_replace(struct http_session *s, struct stream *st) { h1_of(s)->stream = st; }

// h1_drain has nothing to say before the next answer: closing an idle connection here would cut off
// the request that may be on its way (RFC 9112 section 9.5). When to stop waiting is the server's
// to decide.
static void h1_drain(struct http_session *s) { (void)s; }

static bool h1_finished(const struct http_session *s)
{
    const struct h1 *h = h1_of_const(s);
    return h->closing && h->stream == NULL && buf_len(&h->out) == 0;
}

static bool h1_can_request(const struct http_session *s)
{
    const struct h1 *h = h1_of_const(s);
    return !h->closing && h->stream == NULL;
}

static void h1_progress(const struct http_session *s, struct http_progress *out)
{
    const struct h1 *h = h1_of_const(s);
    if (h->stream == NULL || h->stream->delivered) return;
    out->reading = h->stream->number;
    out->reading_body = !h->in_head;
}

static void h1_fini(struct http_session *s)
{
    struct h1 *h = h1_of(s);
    buf_fini(&h->pending);
    buf_fini(&h->out);
    buf_fini(&h->text);
}

static const struct http_ops ops = {.feed = h1_feed,
                                    .eof = h1_eof,
                                    .pull = h1_pull,
                                    .respond = h1_respond,
                                    .request = h1_request,
                                    .cancel = h1_cancel,
                                    .replace = h1_replace,
                                    .drain = h1_drain,
                                    .finished = h1_finished,
                                    .can_request = h1_can_request,
                                    .progress = h1_progress,
                                    .fini = h1_fini};

static void settings_fill(llhttp_settings_t *t)
{
    llhttp_settings_init(t);
    t->on_message_begin = on_message_begin;
    t->on_method = on_text;
    t->on_method_complete = on_method_complete;
    t->on_url = on_text;
    t->on_url_complete = on_url_complete;
    t->on_status = on_text;
    t->on_status_complete = on_status_complete;
    t->on_header_field = on_text;
    t->on_header_field_complete = on_header_field_complete;
    t->on_header_value = on_text;
    t->on_header_value_complete = on_header_value_complete;
    t->on_headers_complete = on_headers_complete;
    t->on_body = on_body;
    t->on_message_complete = on_message_complete;
}

struct http_session *h1_new(bool server, const struct http_limits *limits, void *ctx)
{
    struct h1 *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
    session_init(&h->s, &ops, server, limits, ctx);
    settings_fill(&h->settings);
    llhttp_init(&h->parser, server ? HTTP_REQUEST : HTTP_RESPONSE, &h->settings);
    h->parser.data = h;
    buf_init(&h->pending, PENDING_MAX + limits->body_size_max + limits->head_size_max);
    buf_init(&h->out, limits->out_size_max + limits->head_size_max);
    buf_init(&h->text, limits->head_size_max + HEAD_EXTRA);
    return &h->s;
}
