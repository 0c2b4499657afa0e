#include "cluster/core/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/conn.h"
#include "cluster/core/listen.h"
#include "cluster/core/peers.h"
#include "cluster/core/proxy.h"
#include "cluster/core/reactor.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/base/pool.h"
#include "proto/err.h"

enum {
    ACCEPT_PAUSE_MS = 100,
    // What may come with a PROXY header before reading on is left to the connection: all that can
    // be in the receive buffers.
    PROXY_BYTES_MAX = 4 << 20,
    LATE_MAX = 8,
    DRAIN_FIRST_MS = 1000 // for the first request of a connection that came just before the end
};

// enum wait: what a connection can wait for.
enum wait {
    WAIT_PROXY,
    WAIT_HANDSHAKE,
    WAIT_HEAD,    // the oldest request that is not complete: its head
    WAIT_BODY,    // ... its body
    WAIT_REQUEST, // the handler, for the oldest request that is not answered
    WAIT_ANSWER,  // HTTP/2: the peer's window, for the oldest answer
    WAIT_WRITE,   // the peer to take what is being sent
    WAIT_IDLE,    // a request
    WAIT_COUNT
};

// struct waiting is one of them, since when it began: what else happens on the connection meanwhile
// moves nothing.
struct waiting {
    uint64_t what;   // which message, sending ...; 0: not waiting for such
    uint64_t due_ns; // the deadline
};

struct server_conn {
    struct conn conn;
    struct server *server;
    struct list node;
    struct list requests; // struct open_request, oldest first
    struct server_peer peer;
    struct timer timer;
    uint64_t timer_ns; // when the timer is due; 0: it is not set
    struct waiting waiting[WAIT_COUNT];
    struct peer *counted; // in the server's peers; NULL: not counted
    bool served;          // a request has come
    // PROXY protocol: the header is read before TLS begins
    struct op proxy_op;
    bool proxying, proxy_ended;
    int fd;
    struct buf proxy;
};

// struct open_request is in its exchange's arena.
struct open_request {
    struct list node;
    struct http_exchange *x;
    uint64_t deadline_ns;
};

struct server {
    struct shard *shard;
    struct server_options o;
    struct server_handler handler;
    void *ctx;
    struct tls_context *tls;
    int fd; // -1: not listening any more
    struct op accept_op;
    bool accepting, draining, freed;
    struct timer pause;    // accept again after a shortage
    struct timer closing;  // the end of drain_accept
    struct timer deadline; // of the drain
    unsigned drain_ms;
    struct list conns;
    size_t conn_count;
    struct pool pool;
    struct peers peers; // with conns_per_peer_max
};

static struct server_conn *of_conn(struct conn *c)
{
    return LIST_OWNER(c, struct server_conn, conn);
}

static void count(struct server *s, const struct metric *m)
{
    metric_add(shard_metrics(s->shard), shard_index(s->shard), m, 1);
}

static void accept_arm(struct server *s);

// ---- deadlines: one timer per connection, for the first of what it waits for

// wait_for says what a connection waits for; `what` 0: nothing of that kind.
static void wait_for(struct server_conn *c, enum wait kind, uint64_t what, unsigned ms)
{
    struct waiting *w = &c->waiting[kind];
    if (w->what != what && what != 0)
        w->due_ns = shard_now_ns(c->server->shard) + (uint64_t)ms * 1000000;
    w->what = what;
}

static void timer_arm(struct server_conn *c)
{
    uint64_t next = UINT64_MAX, now = shard_now_ns(c->server->shard);
    for (int i = 0; i < WAIT_COUNT; i++)
        if (c->waiting[i].what != 0 && c->waiting[i].due_ns < next) next = c->waiting[i].due_ns;
    if (next == c->timer_ns) return;
    c->timer_ns = next;
    if (next == UINT64_MAX)
        timer_cancel(&c->timer);
    else
        timer_set(c->server->shard, &c->timer, next > now ? (next - now) / 1000000 + 1 : 1);
}

static void on_refusal(void *ctx, struct http_response *r)
{
    const struct server *s = ((struct server_conn *)ctx)->server;
    if (s->handler.refusal != NULL) s->handler.refusal(s->ctx, r);
}

static void late_requests(struct server_conn *c)
{
    uint64_t now = shard_now_ns(c->server->shard);
    for (int i = 0; i < LATE_MAX && !list_empty(&c->requests); i++) {
        struct open_request *q = LIST_OWNER(c->requests.next, struct open_request, node);
        if (q->deadline_ns > now) return;
        struct http_response r = {.status = 503};
        on_refusal(c, &r);
        count(c->server, &METRIC_DEADLINE_REQUEST);
        if (failed(http_respond_late(q->x, &r))) return;
    }
}

static void on_activity(struct conn *conn)
{
    struct server_conn *c = of_conn(conn);
    const struct server_options *o = &c->server->o;
    bool handshake = conn->phase == CONN_PHASE_HANDSHAKE;
    bool unsent = conn->sending || buf_len(&conn->out) > 0;
    const struct open_request *oldest = list_empty(&c->requests)
                                            ? NULL
                                            : LIST_OWNER(c->requests.next, struct open_request,
                                                         node);
    struct http_progress p = {0};
    if (conn->session != NULL) http_session_progress(conn->session, &p);
    wait_for(c, WAIT_HANDSHAKE, handshake, o->handshake_ms);
    wait_for(c, WAIT_HEAD, p.reading_body ? 0 : p.reading, o->head_ms);
    wait_for(c, WAIT_BODY, p.reading_body ? p.reading : 0, o->body_ms);
    wait_for(c, WAIT_ANSWER, p.writing, o->write_ms);
    wait_for(c, WAIT_WRITE, unsent ? conn->wires : 0, o->write_ms);
    c->waiting[WAIT_REQUEST] = oldest == NULL ? (struct waiting){0}
                                              : (struct waiting){1, oldest->deadline_ns};
    bool idle = !handshake && p.reading == 0 && p.writing == 0 && oldest == NULL;
    wait_for(c, WAIT_IDLE, idle ? p.begun + 1 : 0, c->server->fd < 0 ? DRAIN_FIRST_MS : o->idle_ms);
    timer_arm(c);
}

// deadline_passed: what becomes of the connection. True when it goes on.
static bool deadline_passed(struct server_conn *c, enum wait kind)
{
    struct server *s = c->server;
    static const struct metric *const counters[WAIT_COUNT] = {
        [WAIT_PROXY] = &METRIC_DEADLINE_PROXY,  [WAIT_HANDSHAKE] = &METRIC_DEADLINE_HANDSHAKE,
        [WAIT_HEAD] = &METRIC_DEADLINE_HEAD,    [WAIT_BODY] = &METRIC_DEADLINE_BODY,
        [WAIT_ANSWER] = &METRIC_DEADLINE_WRITE, [WAIT_WRITE] = &METRIC_DEADLINE_WRITE,
        [WAIT_IDLE] = &METRIC_DEADLINE_IDLE};
    c->waiting[kind] = (struct waiting){0};
    if (counters[kind] != NULL) count(s, counters[kind]);
    switch (kind) {
    case WAIT_REQUEST:
        late_requests(c);
        conn_kick(&c->conn);
        return true;
    case WAIT_PROXY:
        reactor_cancel(shard_reactor(s->shard), &c->proxy_op);
        return true;
    case WAIT_IDLE:
        conn_close(&c->conn);
        return true;
    default:
        conn_end(&c->conn, ERR(DEADLINE), "a deadline has passed");
        return false;
    }
}

static void on_timer(struct timer *t)
{
    struct server_conn *c = LIST_OWNER(t, struct server_conn, timer);
    uint64_t now = shard_now_ns(c->server->shard);
    c->timer_ns = 0;
    if (c->conn.lingering) return; // that has a time of its own
    for (int i = 0; i < WAIT_COUNT; i++)
        if (c->waiting[i].what != 0 && c->waiting[i].due_ns <= now &&
            !deadline_passed(c, (enum wait)i))
            return;
    timer_arm(c);
}

// ---- requests

static void request_drop(struct http_exchange *x)
{
    struct open_request *q = x->owner;
    if (q == NULL) return;
    list_remove(&q->node);
    x->owner = NULL;
}

static void on_request(void *ctx, struct http_exchange *x)
{
    struct server_conn *c = ctx;
    struct server *s = c->server;
    struct open_request *q = ARENA_NEW(x->arena, struct open_request);
    count(s, &METRIC_REQUESTS);
    c->served = true;
    if (q != NULL) {
        *q = (struct open_request){
            .x = x, .deadline_ns = shard_now_ns(s->shard) + (uint64_t)s->o.request_ms * 1000000};
        list_push_back(&c->requests, &q->node);
        x->owner = q;
    }
    s->handler.request(s->ctx, x, &c->peer);
}

static void on_gone(void *ctx, struct http_exchange *x)
{
    struct server_conn *c = ctx;
    request_drop(x);
    c->server->handler.gone(c->server->ctx, x);
}

static const struct http_server_callbacks callbacks = {
    .request = on_request, .gone = on_gone, .refusal = on_refusal};

void server_respond(struct http_exchange *x, const struct http_response *response)
{
    if (x->session == NULL) {
        http_exchange_release(x);
        return;
    }
    struct server_conn *c = http_session_ctx(x->session);
    unsigned class = response->status / 100;
    count(c->server, class == 2   ? &METRIC_RESPONSES_2XX
                     : class == 3 ? &METRIC_RESPONSES_3XX
                     : class == 4 ? &METRIC_RESPONSES_4XX
                                  : &METRIC_RESPONSES_5XX);
    request_drop(x);
    (void)!failed(http_respond(x, response)); // what does not fit has reset the stream
    conn_kick(&c->conn);
}

// ---- connections

static struct http_session *on_established(struct conn *conn, enum tls_alpn alpn)
{
    struct server_conn *c = of_conn(conn);
    struct server *s = c->server;
    enum http_version version = alpn == TLS_ALPN_H2 ? HTTP_2
                                : s->o.tls != NULL  ? HTTP_1_1
                                                    : s->o.plain_version;
    if (conn->tls != NULL)
        count(s, tls_resumed(conn->tls) ? &METRIC_HANDSHAKES_RESUMED : &METRIC_HANDSHAKES_FULL);
    c->peer.version = version;
    c->peer.connection = conn->tls;
    c->peer.tls = conn->tls != NULL;
    struct http_session *session = http_server_new(version, &s->o.http, &callbacks, c);
    if (session != NULL && s->draining) http_session_drain(session);
    return session;
}

static void drained_check(struct server *s)
{
    if (!s->draining || s->fd >= 0 || s->accepting || s->conn_count > 0 || s->freed) return;
    timer_cancel(&s->deadline);
    if (s->handler.drained != NULL) s->handler.drained(s->ctx);
}

static void server_release(struct server *s)
{
    if (!s->freed || s->accepting || s->conn_count > 0) return;
    peers_fini(&s->peers);
    pool_fini(&s->pool);
    free(s);
}

static void conn_gone(struct server_conn *c)
{
    struct server *s = c->server;
    list_remove(&c->node);
    timer_cancel(&c->timer);
    buf_fini(&c->proxy);
    peers_leave(&s->peers, c->counted);
    pool_put(&s->pool, c);
    s->conn_count--;
    metric_add(shard_metrics(s->shard), shard_index(s->shard), &METRIC_CONNS_OPEN, -1);
    if (s->freed)
        server_release(s);
    else {
        accept_arm(s);
        drained_check(s);
    }
}

static void on_ended(struct conn *conn, struct err why, const char *note)
{
    struct server_conn *c = of_conn(conn);
    struct server *s = c->server;
    timer_cancel(&c->timer);
    metric_add(shard_metrics(s->shard), shard_index(s->shard), &METRIC_BYTES_IN,
               (int64_t)conn->bytes_in);
    metric_add(shard_metrics(s->shard), shard_index(s->shard), &METRIC_BYTES_OUT,
               (int64_t)conn->bytes_out);
    if (err_is(why, ERR_TLS_HANDSHAKE)) count(s, &METRIC_HANDSHAKES_FAILED);
    if (failed(why)) LOG(shard_log(s->shard), &EVENT_CONN_ENDED, note, LOG_ERR("error", why));
}

static void on_released(struct conn *conn) { conn_gone(of_conn(conn)); }

static const struct conn_hooks hooks = {.established = on_established,
                                        .activity = on_activity,
                                        .ended = on_ended,
                                        .released = on_released};

static void conn_begin(struct server_conn *c, struct slice behind)
{
    struct server *s = c->server;
    struct tls *tls = s->tls == NULL ? NULL : tls_new(s->tls, NULL);
    if (s->tls != NULL && tls == NULL) {
        reactor_close(shard_reactor(s->shard), c->fd);
        conn_gone(c);
        return;
    }
    wait_for(c, WAIT_PROXY, 0, 0);
    wait_for(c, WAIT_HANDSHAKE, tls != NULL, s->o.handshake_ms);
    timer_arm(c);
    conn_start(&c->conn, s->shard, &hooks, c->fd, tls, s->o.http.out_size_max);
    if (behind.n > 0) conn_feed(&c->conn, behind);
}

// ---- PROXY protocol

static bool from_proxy(const struct server *s, const struct sockaddr *a)
{
    for (size_t i = 0; i < s->o.proxy_peer_count; i++)
        if (address_range_has(&s->o.proxy_peers[i], a)) return true;
    return false;
}

static bool peer_refused(struct server_conn *c)
{
    struct server *s = c->server;
    if (s->o.conns_per_peer_max == 0 ||
        peers_join(&s->peers, &c->counted, (const struct sockaddr *)&c->peer.address))
        return false;
    count(s, &METRIC_CONNS_REFUSED_PEER);
    return true;
}

static void refuse(struct server_conn *c)
{
    reactor_close(shard_reactor(c->server->shard), c->fd);
    conn_gone(c);
}

static void proxy_end(struct server_conn *c)
{
    struct server *s = c->server;
    if (!c->proxying) {
        count(s, &METRIC_CONNS_REFUSED_PROXY);
        LOG(shard_log(s->shard), &EVENT_PROXY_REFUSED, NULL, LOG_STR("server", s->o.name));
        refuse(c);
        return;
    }
    // A proxy that speaks for itself (its health checks) has no bound.
    if (!from_proxy(s, (const struct sockaddr *)&c->peer.address) && peer_refused(c)) {
        refuse(c);
        return;
    }
    struct buf rest = c->proxy;
    buf_init(&c->proxy, 0);
    conn_begin(c, buf_slice(&rest));
    buf_fini(&rest);
}

// proxy_header looks for the end of the header; what follows it is the client's, whatever it looks
// like.
static void proxy_header(struct server_conn *c)
{
    size_t used = 0;
    enum proxy_result p = proxy_parse(&c->peer.address, buf_slice(&c->proxy), &used);
    if (p == PROXY_MORE) return;
    c->proxy_ended = true;
    c->proxying = p == PROXY_OK;
    buf_consume(&c->proxy, used);
}

static void on_proxy(struct op *op, int32_t res, uint32_t flags)
{
    struct server_conn *c = LIST_OWNER(op, struct server_conn, proxy_op);
    struct reactor *r = shard_reactor(c->server->shard);
    bool last = (flags & OP_MORE) == 0, ended = c->proxy_ended;
    if (res > 0) {
        bool fits = !failed(buf_add(&c->proxy, reactor_buffer(r, flags, res)));
        reactor_buffer_return(r, flags);
        if (!fits) {
            c->proxy_ended = true;
            c->proxying = false;
        } else if (!c->proxy_ended) {
            proxy_header(c);
        }
    } else if (res != -ENOBUFS && !c->proxy_ended) {
        c->proxy_ended = true;
        c->proxying = false;
    }
    if (c->proxy_ended && !ended && !last) reactor_cancel(r, op);
    if (!last) return;
    if (c->proxy_ended)
        proxy_end(c);
    else
        reactor_recv(r, op, c->fd);
}

// ---- accepting

static void conn_accept(struct server *s, int fd)
{
    struct sockaddr_storage peer = {0};
    bool known = reactor_peer(shard_reactor(s->shard), fd, &peer) == 0;
    struct server_conn *c = known ? pool_get(&s->pool) : NULL;
    if (c == NULL) {
        count(s, &METRIC_CONNS_REFUSED_FULL);
        reactor_close(shard_reactor(s->shard), fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    c->peer.address = peer;
    c->timer.fire = on_timer;
    list_init(&c->requests);
    list_push_back(&s->conns, &c->node);
    s->conn_count++;
    count(s, &METRIC_CONNS_ACCEPTED);
    count(s, &METRIC_CONNS_OPEN);
    if (!from_proxy(s, (const struct sockaddr *)&peer)) {
        if (peer_refused(c))
            refuse(c);
        else
            conn_begin(c, SLICE_NONE);
        return;
    }
    buf_init(&c->proxy, PROXY_BYTES_MAX);
    c->proxy_op.done = on_proxy;
    wait_for(c, WAIT_PROXY, 1, s->o.handshake_ms);
    timer_arm(c);
    reactor_recv(shard_reactor(s->shard), &c->proxy_op, fd);
}

static size_t conns_left(const struct server *s) { return s->o.conns_max - s->conn_count; }

static void on_accept(struct op *op, int32_t res, uint32_t flags)
{
    struct server *s = LIST_OWNER(op, struct server, accept_op);
    if ((flags & OP_MORE) == 0) s->accepting = false;
    if (res >= 0) {
        if (s->freed)
            reactor_close(shard_reactor(s->shard), res);
        else // also what was accepted while the listener was being closed: it got through
            conn_accept(s, res);
    }
    if (s->freed) {
        server_release(s);
        return;
    }
    drained_check(s);
    bool shortage = res == -EMFILE || res == -ENFILE || res == -ENOBUFS || res == -ENOMEM;
    if (shortage) {
        count(s, &METRIC_ACCEPT_PAUSES);
        LOG(shard_log(s->shard), &EVENT_SERVER_ACCEPT_PAUSED, strerror(-res),
            LOG_STR("server", s->o.name));
        timer_set(s->shard, &s->pause, ACCEPT_PAUSE_MS);
        return;
    }
    if (s->accepting && conns_left(s) <= LISTEN_BACKLOG) // goes on one by one
        reactor_cancel(shard_reactor(s->shard), &s->accept_op);
    accept_arm(s);
}

static void accept_arm(struct server *s)
{
    if (s->accepting || s->fd < 0 || conns_left(s) == 0 || timer_pending(&s->pause)) return;
    s->accepting = true;
    // A multishot accept may take all that waits at once; what there is no room for is to wait.
    if (conns_left(s) > LISTEN_BACKLOG)
        reactor_accept(shard_reactor(s->shard), &s->accept_op, s->fd);
    else
        reactor_accept_one(shard_reactor(s->shard), &s->accept_op, s->fd);
}

static void on_pause(struct timer *t) { accept_arm(LIST_OWNER(t, struct server, pause)); }

// ---- drain

static void listen_end(struct server *s)
{
    if (s->fd < 0) return;
    int fd = s->fd;
    s->fd = -1;
    // What the kernel has accepted for us already is taken: nobody who got through is turned away.
    for (int one; (one = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (conns_left(s) > 0)
            conn_accept(s, one);
        else
            close(one);
    }
    if (s->accepting) reactor_cancel(shard_reactor(s->shard), &s->accept_op);
    close(fd);
}

// conns_cut ends every connection, in whichever phase it is.
static void conns_cut(struct server *s, const char *why)
{
    LIST_EACH (node, &s->conns) {
        struct server_conn *c = LIST_OWNER(node, struct server_conn, node);
        if (c->conn.hooks != NULL)
            conn_end(&c->conn, ERR(SHUTTING_DOWN), why);
        else
            reactor_cancel(shard_reactor(s->shard), &c->proxy_op);
    }
}

static void on_deadline(struct timer *t)
{
    struct server *s = LIST_OWNER(t, struct server, deadline);
    LOG(shard_log(s->shard), &EVENT_SERVER_DRAINED, NULL, LOG_STR("server", s->o.name),
        LOG_INT("cut", s->conn_count));
    conns_cut(s, "the program is shutting down");
}

// drain_announce: while the listener is still open every answer says that it is its connection's
// last, so that clients leave by themselves.
static void drain_announce(struct server *s)
{
    LIST_EACH (node, &s->conns) {
        struct server_conn *c = LIST_OWNER(node, struct server_conn, node);
        if (c->conn.session == NULL) continue;
        http_session_drain(c->conn.session);
        conn_kick(&c->conn);
    }
}

// idle_end: an HTTP/1.1 connection that has been quiet since the drain was announced is closed; one
// that has not asked anything yet may, within DRAIN_FIRST_MS. HTTP/2 ends by its GOAWAY.
static void idle_end(struct server_conn *c)
{
    const struct http_session *s = c->conn.session;
    struct http_progress p;
    if (s == NULL || c->peer.version != HTTP_1_1) return;
    http_session_progress(s, &p);
    if (http_session_open_count(s) > 0 || p.reading != 0) return;
    wait_for(c, WAIT_IDLE, 0, 0); // its time begins anew, and is DRAIN_FIRST_MS now
    if (c->served)
        conn_close(&c->conn);
    else
        conn_kick(&c->conn);
}

static void drain_conns(struct server *s)
{
    listen_end(s);
    LIST_EACH (node, &s->conns) idle_end(LIST_OWNER(node, struct server_conn, node));
    timer_set(s->shard, &s->deadline, s->drain_ms);
    drained_check(s);
}

static void on_closing(struct timer *t) { drain_conns(LIST_OWNER(t, struct server, closing)); }

void server_drain(struct server *s, unsigned accept_ms, unsigned deadline_ms)
{
    if (s->draining) return;
    s->draining = true;
    s->drain_ms = deadline_ms;
    LOG(shard_log(s->shard), &EVENT_SERVER_DRAINING, NULL, LOG_STR("server", s->o.name),
        LOG_INT("connections", s->conn_count));
    drain_announce(s);
    timer_set(s->shard, &s->closing, accept_ms);
}

// ----

struct err server_new(struct server **out, char *note, size_t note_size, struct shard *shard,
                      const struct server_options *options, const struct server_handler *handler,
                      void *ctx)
{
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR(NO_SPACE);
    s->shard = shard;
    s->o = *options;
    s->handler = *handler;
    s->ctx = ctx;
    s->tls = options->tls;
    s->accept_op.done = on_accept;
    s->pause.fire = on_pause;
    s->closing.fire = on_closing;
    s->deadline.fire = on_deadline;
    list_init(&s->conns);
    struct err e = pool_init(&s->pool, options->name, sizeof(struct server_conn),
                             options->conns_max);
    if (!failed(e) && options->conns_per_peer_max > 0) {
        uint8_t seed[MAP_SEED_LEN];
        shard_random(shard, seed, sizeof seed);
        e = peers_init(&s->peers, options->conns_max, options->conns_per_peer_max, seed);
    }
    if (!failed(e))
        e = listen_open(&s->fd, note, note_size, shard_reactor(shard), options->name,
                        &options->listen, options->listen_len);
    if (failed(e)) {
        peers_fini(&s->peers);
        if (s->pool.memory != NULL) pool_fini(&s->pool);
        free(s);
        return e;
    }
    if (shard_index(shard) == 0) {
        char address[ADDRESS_TEXT_MAX];
        address_text(address, (const struct sockaddr *)&options->listen);
        LOG(shard_log(shard), &EVENT_SERVER_LISTENING, NULL, LOG_STR("server", options->name),
            LOG_STR("address", address), LOG_INT("connections_max", options->conns_max),
            LOG_INT("bytes_each", sizeof(struct server_conn)));
    }
    accept_arm(s);
    *out = s;
    return OK;
}

void server_tls_set(struct server *s, struct tls_context *tls) { s->tls = tls; }

size_t server_conn_count(const struct server *s) { return s->conn_count; }

unsigned server_port(const struct server *s)
{
    struct sockaddr_storage a;
    return s->fd >= 0 && reactor_local(shard_reactor(s->shard), s->fd, &a) == 0
               ? address_port((const struct sockaddr *)&a)
               : 0;
}

void server_free(struct server *s)
{
    if (s == NULL) return;
    s->freed = true;
    timer_cancel(&s->pause);
    timer_cancel(&s->closing);
    timer_cancel(&s->deadline);
    if (s->accepting) reactor_cancel(shard_reactor(s->shard), &s->accept_op);
    if (s->fd >= 0 && !s->accepting)
        reactor_close(shard_reactor(s->shard), s->fd);
    else if (s->fd >= 0)
        close(s->fd);
    if (s->fd >= 0 && s->o.listen.ss_family == AF_UNIX)
        unlink(((const struct sockaddr_un *)&s->o.listen)->sun_path);
    s->fd = -1;
    s->conn_count++; // held while connections end
    conns_cut(s, "closed");
    s->conn_count--;
    server_release(s);
}
