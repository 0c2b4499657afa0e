// server: an HTTP(S) service on one listener, on one shard: accept, PROXY protocol v2 from listed
// peers, TLS, ALPN, HTTP/1.1 or HTTP/2, limits and deadlines on every phase, graceful drain. Each
// shard makes its own on the same address (SO_REUSEPORT). The handler sees whole requests. Owned by
// its shard's thread.
#pragma once
#include <sys/socket.h>

#include "cluster/core/shard.h"
#include "proto/http/http.h"
#include "proto/tls/tls.h"

struct address_range; // cluster/core/address.h

struct server_options {
    const char *name;               // "acme", "private": for logs and metrics
    struct sockaddr_storage listen; // IPv4, IPv6 or unix
    socklen_t listen_len;
    struct tls_context *tls; // NULL: plain text. server_tls_set replaces it for new connections.
    enum http_version
        plain_version; // without TLS: which HTTP (gRPC over a unix socket would say HTTP_2)
    struct http_limits http;
    unsigned conns_max;          // per shard; above it accept waits
    unsigned conns_per_peer_max; // per shard and peer address; 0: no bound
    unsigned handshake_ms, head_ms, body_ms, idle_ms, write_ms; // deadlines of the phases
    unsigned request_ms; // a handler that has not answered by then: 503 is sent for it
    const struct address_range
        *proxy_peers; // PROXY protocol v2 is required from these and refused from others; borrowed
    size_t proxy_peer_count;
};

// struct server_peer: who sent a request. Lives as long as the exchange has a session.
struct server_peer {
    struct sockaddr_storage address; // the client's: from the PROXY header when there was one
    bool tls;
    enum http_version version;
    const struct tls *connection; // for the peer's certificate role; NULL without TLS
};

struct server_handler {
    // request: answer with server_respond now or later, exactly once.
    void (*request)(void *ctx, struct http_exchange *x, const struct server_peer *peer);
    // gone: as in http_server_callbacks: the handler calls http_exchange_release(x) when it has let
    // go of it.
    void (*gone)(void *ctx, struct http_exchange *x);
    // closed: the drain is over and the last connection closed; optional.
    void (*drained)(void *ctx);
    // refusal: the server answers with r->status by itself (malformed or oversized requests, late
    // handlers); the handler may set headers and body, which have to stay until it is called again.
    // Optional.
    void (*refusal)(void *ctx, struct http_response *r);
};

struct server;

// server_address_check asks whether another program listens on an address, before the first core of
// this one does: SO_REUSEPORT lets our own cores share it, and would let another program of the
// same user share it with us unnoticed. `note` gets a sentence. ERR_ADDRESS_IN_USE.
RESULT server_address_check(char *note, size_t note_size, const char *name,
                            const struct sockaddr_storage *listen, socklen_t listen_len);
// server_new binds and listens; `note` gets a sentence when the address cannot be used ("port 14000
// is in use by another program: ...").
RESULT server_new(struct server **out, char *note, size_t note_size, struct shard *shard,
                  const struct server_options *options, const struct server_handler *handler,
                  void *ctx);
// server_respond answers and sends at the end of the turn (or releases the exchange when its peer
// is gone).
void server_respond(struct http_exchange *x, const struct http_response *response);
void server_tls_set(struct server *s, struct tls_context *tls);
// server_drain: the listener stays open until `accept_ms` have passed (the load balancer sees
// readiness off); connections get GOAWAY, or Connection: close with their next answer. Then it
// closes when its accept queue is empty: HTTP/1.1 connections that have been quiet meanwhile are
// closed, those without a request yet have a second for it, open requests finish; after
// `deadline_ms` the rest is cut.
void server_drain(struct server *s, unsigned accept_ms, unsigned deadline_ms);
size_t server_conn_count(const struct server *s);
// server_port is the bound port (after listening on port 0).
unsigned server_port(const struct server *s);
// server_free closes everything at once.
void server_free(struct server *s);
