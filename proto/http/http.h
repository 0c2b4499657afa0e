// http: whole HTTP messages over bytes. One session is one connection, as server or as client,
// HTTP/1.1 (llhttp) or HTTP/2 (nghttp2), behind one interface: bytes are fed in, complete messages
// come out through callbacks, answers go in, bytes are pulled out. It knows no socket, no clock and
// no TLS. A session belongs to one thread. Used by cluster/core/conn (both roles).
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

enum http_version { HTTP_1_1 = 1, HTTP_2 = 2 };
enum http_method { HTTP_GET = 1, HTTP_HEAD, HTTP_POST, HTTP_OTHER };

struct http_header {
    struct slice name; // as to be sent in HTTP/1.1 ("Replay-Nonce"); HTTP/2 lowers it. Received
                       // names are lower case.
    struct slice value;
};

// struct http_request: received (server) or to be sent (client). For a received one everything
// lives in the exchange's arena.
struct http_request {
    enum http_method method;
    struct slice method_text;
    struct slice path;      // path with query, as sent: begins with '/'
    struct slice authority; // Host or :authority
    bool secure;            // scheme is https (client: what to send in :scheme)
    struct http_header *headers;
    size_t header_count;
    struct slice body;
};

// struct http_response: to be sent (server) or received (client). Content-Length is made by the
// session. Trailers only with HTTP/2 (gRPC needs them).
struct http_response {
    unsigned status;
    const struct http_header *headers;
    size_t header_count;
    struct slice body;
    const struct http_header *trailers;
    size_t trailer_count;
};

// struct http_budget bounds what the messages of many sessions of one thread may hold together.
struct http_budget {
    size_t size_max; // bytes
    size_t used;
};

struct http_limits {
    size_t head_size_max; // bytes of request line and headers, counted decoded (server and client)
    size_t body_size_max; // bytes of one message body
    unsigned header_count_max; // lines of one head
    unsigned streams_max;      // HTTP/2: concurrent streams; HTTP/1.1: requests read ahead (1)
    unsigned abuse_max;  // HTTP/2: resets (either direction, CVE-2023-44487 and CVE-2025-8671),
                         // pings, settings and empty frames that are forgiven without an answered
                         // request in between (one whose answer has been sent)
    size_t out_size_max; // bytes of answers that wait to be pulled, in HTTP/2 also for the peer's
                         // window: what does not fit is not sent (http_respond: ERR_NO_SPACE)
    size_t in_size_max;  // HTTP/2 server: bytes of all messages of one session, from their first
                         // byte to the end of their answer; what is beyond is answered with 503;
                         // 0: no bound but that of each message
    struct http_budget *budget; // server: the same bound for all sessions that share it, HTTP/1.1
                                // too; lives until the last exchange was released; NULL: none
};

// struct http_progress is what a session waits for from its peer: its owner's deadlines run for one
// message at a time, however much else goes on. Messages of a session are numbered from 1 in the
// order in which they begin.
struct http_progress {
    uint64_t reading;  // the oldest message that has begun and is not complete; 0: none
    bool reading_body; // its head is complete
    uint64_t writing;  // HTTP/2 server: the oldest answer that is not all pulled; 0: none
    uint64_t begun;    // the newest message; 0: none has begun yet
};

struct http_session;

// struct http_exchange is one request and its answer. On the server the session owns it, from the
// request callback until http_respond or the gone callback; on the client the caller owns it, from
// http_request_send until response or failed.
struct http_exchange {
    struct http_session
        *session; // NULL once the peer is gone: then the exchange may only be released
    struct http_request request;
    struct arena *arena; // of this exchange, for whatever its handler makes: 256 KiB and six times
                         // body_size_max; lives until the exchange ends (server only)
    void *user;          // for the handler
    bool head_only;      // the answer to HEAD carries no body
    uint32_t stream_id;  // HTTP/2
    void *stream;        // the session's own
    void *owner;         // for whoever owns the session (cluster/core/server)
};

struct http_server_callbacks {
    // request: a whole request has arrived. The handler answers now or later with http_respond,
    // exactly once.
    void (*request)(void *ctx, struct http_exchange *x);
    // gone: the peer reset the stream or the session ends before the answer; x->session is NULL
    // now. The handler stops caring and calls http_exchange_release(x) when nothing of its own
    // points at x any more (now or later).
    void (*gone)(void *ctx, struct http_exchange *x);
    // refusal: the session itself answers with r->status (400, 405, 413, 417, 431, 501, 503, 505);
    // the callback may set headers and body, which have to stay until it is called again. NULL, or
    // nothing set: an answer without a body.
    void (*refusal)(void *ctx, struct http_response *r);
};

struct http_client_callbacks {
    // response: the whole answer; it lives until the callback returns.
    void (*response)(void *ctx, struct http_exchange *x, const struct http_response *response);
    // failed: no answer will come; `unprocessed` says that the peer certainly did not act (RFC 9113
    // section 8.7).
    void (*failed)(void *ctx, struct http_exchange *x, struct err why, bool unprocessed);
};

// http_server_new makes a server session; limits and callbacks are borrowed while it lives. NULL
// without memory. A malformed HTTP/1.1 request, and in both versions a head or body over its limit,
// is answered by the session itself.
//
// Callbacks (but refusal, which does nothing but fill in) run inside http_session_feed,
// http_session_eof, http_session_pull (HTTP/1.1: a request that was waiting behind the one just
// answered) and http_session_free, never inside http_respond or http_request_send. Inside a
// callback http_respond, http_exchange_release, http_request_send and http_request_cancel are fine.
struct http_session *http_server_new(enum http_version version, const struct http_limits *limits,
                                     const struct http_server_callbacks *callbacks, void *ctx);
// http_client_new makes a client session; the same borrowing.
struct http_session *http_client_new(enum http_version version, const struct http_limits *limits,
                                     const struct http_client_callbacks *callbacks, void *ctx);
// http_session_ctx is the ctx given to new.
void *http_session_ctx(const struct http_session *s);
// http_session_free ends the session: every open exchange gets its gone or failed callback first.
// NULL is fine. Not inside a callback of this session.
void http_session_free(struct http_session *s);
// http_session_feed takes bytes from the peer and runs callbacks. After an error the session only
// wants to be pulled (it may have a last answer or GOAWAY) and freed.
RESULT http_session_feed(struct http_session *s, struct slice in);
// http_session_eof says that the peer will send no more. ERR_HTTP_CLOSED when a message was cut
// off.
RESULT http_session_eof(struct http_session *s);
// http_session_pull appends what is to be sent; up to about `size_max` bytes. Sets *more when there
// is more.
RESULT http_session_pull(struct http_session *s, struct buf *out, size_t size_max, bool *more);
// http_session_drain starts a graceful end: HTTP/2 announces it by GOAWAY, serves what was on its
// way to us until the peer has answered a PING, and takes no new streams then (RFC 9113
// section 6.8); HTTP/1.1 says "Connection: close" with its next answer, and waits for that request
// until the connection is closed.
void http_session_drain(struct http_session *s);
// http_session_finished is true when the connection can be closed once everything pulled has been
// sent.
bool http_session_finished(const struct http_session *s);
// http_session_open_count is the number of exchanges under way; http_session_can_request says
// whether one more may start.
size_t http_session_open_count(const struct http_session *s);
bool http_session_can_request(const struct http_session *s);
// http_session_progress says what a server's session waits for.
void http_session_progress(const struct http_session *s, struct http_progress *out);

// http_respond answers an exchange and ends it; everything is copied. When the peer is gone it only
// releases. ERR_NO_SPACE when the answer does not fit under out_size_max; the exchange is ended
// (HTTP/2: reset) all the same.
RESULT http_respond(struct http_exchange *x, const struct http_response *response);
// http_respond_late answers in place of a handler that takes too long: the response goes out, and
// for the handler the peer is gone (x->session is NULL, gone has run; it releases the exchange when
// it lets go). ERR_NO_SPACE as http_respond; without memory for that nothing has happened. Not
// inside a callback of this session.
RESULT http_respond_late(struct http_exchange *x, const struct http_response *response);
// http_exchange_release ends an exchange whose gone callback has run.
void http_exchange_release(struct http_exchange *x);
// http_request_send starts a request on a client session; `x` and nothing else is kept; the request
// is copied. ERR_NO_SPACE when no stream is free (see http_session_can_request).
RESULT http_request_send(struct http_session *s, struct http_exchange *x,
                         const struct http_request *request);
// http_request_cancel: the caller no longer wants the answer; no callback comes; x may be reused at
// once.
void http_request_cancel(struct http_exchange *x);

// http_header_find is the value of the first header `name` (lower case), empty when absent.
struct slice http_header_find(const struct http_header *headers, size_t count, const char *name);
