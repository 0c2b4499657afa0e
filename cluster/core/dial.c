#include "cluster/core/dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/core/address.h"
#include "cluster/core/conn.h"
#include "cluster/core/metrics.h"
#include "cluster/core/reactor.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"

enum { NOTE_MAX = 256 };

struct dial_conn {
    struct conn conn;
    struct shard *shard;
    struct dial_options o;
    char name[256];
    const struct dial_callbacks *callbacks;
    void *ctx;
    int fd;
    struct op connect_op;
    bool connecting, started, established, closed, aborted;
    struct timer timer; // of connect, then of the handshake
    struct timer close; // dial_close: later in the turn
    struct err why;
    char note[NOTE_MAX];
};

static struct dial_conn *of_conn(struct conn *c) { return LIST_OWNER(c, struct dial_conn, conn); }

static void count(struct dial_conn *d, const struct metric *m)
{
    metric_add(shard_metrics(d->shard), shard_index(d->shard), m, 1);
}

// ---- the end

static void tell_closed(struct dial_conn *d, struct err why, const char *note)
{
    char address[ADDRESS_TEXT_MAX], text[NOTE_MAX];
    if (d->closed) return;
    d->closed = true;
    if (!d->established) count(d, &METRIC_DIALS_FAILED);
    timer_cancel(&d->timer);
    timer_cancel(&d->close);
    address_text(address, (const struct sockaddr *)&d->o.address);
    snprintf(text, sizeof text, "%.120s: %.120s", address, note);
    d->callbacks->closed(d->ctx, d, why, text);
}

static void end_unstarted(struct dial_conn *d, struct err why, const char *note)
{
    tell_closed(d, why, note);
    if (d->connecting) {
        reactor_cancel(shard_reactor(d->shard), &d->connect_op);
        return; // its completion frees
    }
    reactor_close(shard_reactor(d->shard), d->fd);
    free(d);
}

static void on_ended(struct conn *c, struct err why, const char *note)
{
    tell_closed(of_conn(c), why, note);
}

static void on_released(struct conn *c) { free(of_conn(c)); }

static void on_close(struct timer *t)
{
    struct dial_conn *d = LIST_OWNER(t, struct dial_conn, close);
    if (!d->started)
        end_unstarted(d, OK, "closed");
    else if (d->aborted || d->conn.phase == CONN_PHASE_HANDSHAKE)
        conn_end(&d->conn, OK, "closed");
    else
        conn_close(&d->conn);
}

void dial_close(struct dial_conn *d)
{
    if (!d->closed && !timer_pending(&d->close)) timer_set(d->shard, &d->close, 0);
}

void dial_abort(struct dial_conn *d)
{
    d->aborted = true;
    if (!d->closed) timer_set(d->shard, &d->close, 0);
}

// ---- answers

static void call_end(struct dial_call *call, struct err why, const struct http_response *r,
                     bool unprocessed)
{
    timer_cancel(&call->deadline);
    call->conn = NULL;
    call->done(call, why, r, unprocessed);
}

static void on_response(void *ctx, struct http_exchange *x, const struct http_response *r)
{
    (void)ctx;
    call_end(LIST_OWNER(x, struct dial_call, x), OK, r, false);
}

static void on_failed(void *ctx, struct http_exchange *x, struct err why, bool unprocessed)
{
    (void)ctx;
    call_end(LIST_OWNER(x, struct dial_call, x), why, NULL, unprocessed);
}

static const struct http_client_callbacks client_callbacks = {.response = on_response,
                                                              .failed = on_failed};

static void on_deadline(struct timer *t)
{
    struct dial_call *call = LIST_OWNER(t, struct dial_call, deadline);
    struct dial_conn *d = call->conn;
    http_request_cancel(&call->x);
    conn_kick(&d->conn);
    call_end(call, ERR(DEADLINE), NULL, false);
}

struct err dial_send(struct dial_conn *d, struct dial_call *call,
                     const struct http_request *request, unsigned deadline_ms)
{
    if (!dial_can_send(d)) return ERR(NO_SPACE);
    call->deadline = (struct timer){.fire = on_deadline};
    TRY(http_request_send(d->conn.session, &call->x, request));
    call->conn = d;
    timer_set(d->shard, &call->deadline, deadline_ms);
    conn_kick(&d->conn);
    return OK;
}

void dial_cancel(struct dial_call *call)
{
    struct dial_conn *d = call->conn;
    if (d == NULL) return;
    timer_cancel(&call->deadline);
    call->conn = NULL;
    http_request_cancel(&call->x);
    conn_kick(&d->conn);
}

bool dial_can_send(const struct dial_conn *d)
{
    return !d->closed && d->conn.session != NULL && d->conn.phase == CONN_PHASE_OPEN &&
           http_session_can_request(d->conn.session);
}

const struct tls *dial_tls(const struct dial_conn *d) { return d->conn.tls; }

// ---- connecting

static struct http_session *on_established(struct conn *c, enum tls_alpn alpn)
{
    struct dial_conn *d = of_conn(c);
    enum http_version version = alpn == TLS_ALPN_H2         ? HTTP_2
                                : alpn == TLS_ALPN_HTTP_1_1 ? HTTP_1_1
                                                            : d->o.version;
    timer_cancel(&d->timer);
    d->established = true;
    count(d, &METRIC_DIALS);
    if (d->o.established != NULL) {
        conn_close(c);
        d->o.established(d->ctx, c->tls);
        return NULL;
    }
    c->session = http_client_new(version, d->o.http, &client_callbacks, d);
    if (c->session != NULL) d->callbacks->ready(d->ctx, d);
    return c->session;
}

static void on_activity(struct conn *c) { (void)c; }

static const struct conn_hooks hooks = {.established = on_established,
                                        .activity = on_activity,
                                        .ended = on_ended,
                                        .released = on_released};

static uint32_t connect_code(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return ERR_CONNECT_REFUSED;
    case ETIMEDOUT:
        return ERR_CONNECT_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case ENOENT:
        return ERR_CONNECT_UNREACHABLE;
    default:
        return ERR_CONN_RESET;
    }
}

static void on_connect(struct op *op, int32_t res, uint32_t flags)
{
    struct dial_conn *d = LIST_OWNER(op, struct dial_conn, connect_op);
    struct sockaddr_storage peer;
    (void)flags;
    d->connecting = false;
    if (d->closed) {
        reactor_close(shard_reactor(d->shard), d->fd);
        free(d);
        return;
    }
    if (res < 0) {
        end_unstarted(d, (struct err){connect_code(-res)}, strerror(-res));
        return;
    }
    bool known = reactor_peer(shard_reactor(d->shard), d->fd, &peer) == 0;
    if (d->o.connected != NULL &&
        (!known || !d->o.connected(d->ctx, (const struct sockaddr *)&peer))) {
        end_unstarted(d, ERR(CONNECT_DENIED), "connections to this address are not allowed");
        return;
    }
    struct tls *tls = d->o.tls == NULL
                          ? NULL
                          : tls_new(d->o.tls, d->o.server_name == NULL ? NULL : d->name);
    if (d->o.tls != NULL && (tls == NULL || failed(tls_start(tls)))) {
        tls_free(tls);
        end_unstarted(d, ERR(TLS_CONFIG), "TLS could not be started");
        return;
    }
    timer_set(d->shard, &d->timer, d->o.handshake_ms);
    d->started = true;
    conn_start(&d->conn, d->shard, &hooks, d->fd, tls, d->o.http->out_size_max);
}

static void on_timer(struct timer *t)
{
    struct dial_conn *d = LIST_OWNER(t, struct dial_conn, timer);
    if (d->started)
        conn_end(&d->conn, ERR(CONNECT_TIMEOUT), "the TLS handshake took too long");
    else
        end_unstarted(d, ERR(CONNECT_TIMEOUT), "no connection in time");
}

struct dial_conn *dial_open(struct shard *shard, const struct dial_options *options,
                            const struct dial_callbacks *callbacks, void *ctx)
{
    struct dial_conn *d = calloc(1, sizeof *d);
    if (d == NULL) return NULL;
    d->fd = reactor_socket(shard_reactor(shard), options->address.ss_family);
    if (d->fd < 0) {
        free(d);
        return NULL;
    }
    d->shard = shard;
    d->o = *options;
    snprintf(d->name, sizeof d->name, "%s",
             options->server_name == NULL ? "" : options->server_name);
    d->callbacks = callbacks;
    d->ctx = ctx;
    d->connect_op.done = on_connect;
    d->timer.fire = on_timer;
    d->close.fire = on_close;
    d->connecting = true;
    timer_set(shard, &d->timer, options->connect_ms);
    reactor_connect(shard_reactor(shard), &d->connect_op, d->fd,
                    (const struct sockaddr *)&d->o.address, d->o.address_len);
    return d;
}
