// dial: outgoing HTTP connections: connect, TLS, HTTP session, with deadlines. A dialed connection
// carries many requests (RPC, the load generator) or one (validation). Owned by its shard's thread.
#pragma once
#include <sys/socket.h>

#include "cluster/core/shard.h"
#include "proto/http/http.h"
#include "proto/tls/tls.h"

struct dial_conn;

struct dial_options {
    struct sockaddr_storage address; // where to connect: resolution is the caller's
    socklen_t address_len;
    struct tls_context *tls;   // NULL: plain text
    const char *server_name;   // SNI and name check
    enum http_version version; // without TLS or without ALPN answer: which HTTP to speak; with ALPN
                               // what was agreed
    const struct http_limits *http;
    unsigned connect_ms, handshake_ms;
    // connected runs when the connection exists, before TLS: return false to refuse the peer (the
    // address is checked again on the connected socket, T29). NULL: accept.
    bool (*connected)(void *ctx, const struct sockaddr *peer);
    // established runs instead of `ready` when the connection is for its TLS handshake alone: no
    // HTTP session is made, nothing is sent but close_notify, nothing more is read. NULL: HTTP.
    void (*established)(void *ctx, const struct tls *tls);
};

struct dial_callbacks {
    void (*ready)(void *ctx, struct dial_conn *c); // requests may be sent
    // closed: the connection has ended (also a failed connect or handshake); every open call has
    // failed before. `note`: a sentence. The connection is freed after it returns.
    void (*closed)(void *ctx, struct dial_conn *c, struct err why, const char *note);
};

struct dial_call {
    struct http_exchange x; // the session's part
    struct timer deadline;
    struct dial_conn *conn; // NULL when not under way
    // done runs exactly once: response NULL on failure. `unprocessed`: the peer certainly did not
    // act.
    void (*done)(struct dial_call *call, struct err why, const struct http_response *response,
                 bool unprocessed);
    uint64_t reserved[4];
};

// dial_open starts connecting. NULL when a pool or descriptor bound is reached.
struct dial_conn *dial_open(struct shard *shard, const struct dial_options *options,
                            const struct dial_callbacks *callbacks, void *ctx);
// dial_send sends a request on a ready connection; ERR_NO_SPACE when no stream is free. The request
// is copied.
RESULT dial_send(struct dial_conn *c, struct dial_call *call, const struct http_request *request,
                 unsigned deadline_ms);
// dial_cancel: no callback comes. dial_close ends the connection; closed() still runs, later in the
// turn.
void dial_cancel(struct dial_call *call);
void dial_close(struct dial_conn *c);
// dial_abort ends it as dial_close does, but without waiting for a peer that goes on sending: for
// peers that are not trusted to stop.
void dial_abort(struct dial_conn *c);
bool dial_can_send(const struct dial_conn *c);
const struct tls *dial_tls(const struct dial_conn *c);
