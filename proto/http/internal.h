// internal: what http.c, h1.c and h2.c share: the session's common part and one message under way.
#pragma once
#include "proto/base/list.h"
#include "proto/err.h"
#include "proto/http/http.h"

// An arena holds what a handler makes of a body: a JSON text within a JSON text, each read (twice
// its size, and four times while it is read, proto/text/json.h), decoded and kept.
enum {
    STREAM_ARENA_MAX = 256 * 1024, // and for each byte that a body may have:
    ARENA_PER_BODY = 6,
    OUT_SMALL_MAX = 128 * 1024, // bytes of a body that goes into the arena
    HEADERS_FIRST = 16
};

// struct stream is one exchange under way: on the server it holds the exchange, on the client it
// points at the caller's.
struct stream {
    struct http_exchange own; // server
    struct http_exchange *x;  // &own, or the caller's; NULL once the caller has cancelled
    struct list node;         // in the session's `streams`; alone when the session is gone
    struct http_session *session;
    int32_t id;
    uint64_t number; // as in http_progress
    size_t charged;  // bytes counted against in_size_max and the budget
    struct http_budget *budget;
    struct arena arena;

    // what comes in
    struct http_header *headers;
    size_t header_count, header_size; // slots used, slots allocated
    size_t head_size;                 // bytes counted against head_size_max
    struct buf body;
    unsigned status; // client: of the response; server: of the refusal that the session makes
    bool delivered;  // the request callback has run, or the response has been handed on
    bool ended;     // answered (server), answered or failed (client): the exchange is no longer the
                    // handler's
    bool head_done; // HTTP/2: the head (client: of the final response) is complete

    // what goes out (HTTP/2; HTTP/1.1 writes at once)
    struct slice out_body; // what is left of it: in the arena, or in out_large
    struct buf out_large;  // a body that is too large for the arena
    const struct http_header *out_trailers;
    size_t out_trailer_count;
};

struct http_ops {
    struct err (*feed)(struct http_session *s, struct slice in);
    struct err (*eof)(struct http_session *s);
    struct err (*pull)(struct http_session *s, struct buf *out, size_t size_max, bool *more);
    struct err (*respond)(struct http_session *s, struct stream *st,
                          const struct http_response *response);
    struct err (*request)(struct http_session *s, struct stream *st,
                          const struct http_request *request);
    void (*cancel)(struct http_session *s, struct stream *st);
    void (*replace)(struct http_session *s,
                    struct stream *st); // server: `st` takes the place of the stream with its id
    void (*drain)(struct http_session *s);
    bool (*finished)(const struct http_session *s);
    bool (*can_request)(const struct http_session *s);
    void (*progress)(const struct http_session *s, struct http_progress *out);
    void (*fini)(struct http_session *s);
};

struct http_session {
    const struct http_ops *ops;
    bool server;
    const struct http_limits *limits;
    const struct http_server_callbacks *server_callbacks;
    const struct http_client_callbacks *client_callbacks;
    void *ctx;
    struct list streams;
    size_t open_count; // exchanges that are the handler's or wait for an answer
    uint64_t begun;    // messages; the number of the newest
    size_t in_size;    // bytes that its streams are charged with
    struct list spare; // a few streams kept for reuse
    unsigned spare_count;
    bool draining;
};

// session_init fills the common part.
void session_init(struct http_session *s, const struct http_ops *ops, bool server,
                  const struct http_limits *limits, void *ctx);
// stream_new makes or reuses a stream and links it; NULL without memory.
struct stream *stream_new(struct http_session *s, int32_t id);
// stream_free takes a stream whose exchange has ended, or never began, out of everything.
void stream_free(struct stream *st);
// stream_charge counts `n` more bytes of a server's message; false beyond in_size_max or the
// budget. stream_discharge gives them back, at the latest stream_free does.
bool stream_charge(struct stream *st, size_t n);
void stream_discharge(struct stream *st);
// stream_header_add copies one header line; counts it as HPACK does (32 bytes of overhead).
// ERR_HTTP_TOO_LARGE over a limit.
RESULT
stream_header_add(struct stream *st, struct slice name, struct slice value);
// stream_request_set fills the request from method, path, authority and the headers that have been
// added.
void stream_request_set(struct stream *st, struct slice method, struct slice path,
                        struct slice authority, bool secure);
// stream_deliver hands a complete request to the handler.
void stream_deliver(struct stream *st);
// stream_abandon tells the handler that its peer is gone (server) or that no answer will come
// (client), and lets go of the stream.
void stream_abandon(struct stream *st, struct err why, bool unprocessed);
// stream_answer hands a complete response to the caller (client).
void stream_answer(struct stream *st, const struct http_header *trailers, size_t trailer_count);
// session_refusal is the answer that the session itself gives with `status`, to be written at once.
struct http_response session_refusal(const struct http_session *s, unsigned status);

// h1_new and h2_new make a session of one version, without its callbacks; NULL without memory.
struct http_session *h1_new(bool server, const struct http_limits *limits, void *ctx);
struct http_session *h2_new(bool server, const struct http_limits *limits, void *ctx);
