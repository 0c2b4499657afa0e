#include "cluster/core/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/conn.h"
#include "cluster/core/proxy.h"
#include "cluster/core/reactor.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/base/pool.h"
#include "proto/err.h"

enum {
    BACKLOG = 4096,
    ACCEPT_PAUSE_MS = 100,
    PROXY_HEADER_MAX = 600,
    LATE_MAX = 8,
    DRAIN_FIRST_MS = 1000 // for the first request of a connection that came just before the end
};

struct server_conn {
    struct conn conn;
    struct server *server;
    struct list node;
    struct list requests; // struct open_request, oldest first
    struct server_peer peer;
    struct timer timer;
    enum { WAIT_PROXY, WAIT_HANDSHAKE, WAIT_HEAD, WAIT_IDLE, WAIT_WRITE, WAIT_REQUEST } waiting;
    bool timing;
    bool served; // a request has come
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
    struct timer timer; // accept again, or the end of drain_accept
    struct timer deadline;
    unsigned drain_ms;
    struct list conns;
    size_t conn_count;
    struct pool pool;
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

// ---- deadlines: one timer per connection, for what it waits for

static void wait_for(struct server_conn *c, int what, unsigned ms)
{
    if (c->timing && (int)c->waiting == what) return; // the time of a phase runs from its beginning
    c->waiting = what;
    c->timing = true;
    timer_set(c->server->shard, &c->timer, ms);
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
    struct http_session *s = conn->session;
    if (conn->sending || buf_len(&conn->out) > 0)
        wait_for(c, WAIT_WRITE, o->write_ms);
    else if (s == NULL)
        wait_for(c, WAIT_HANDSHAKE, o->handshake_ms);
    else if (!list_empty(&c->requests)) {
        uint64_t due = LIST_OWNER(c->requests.next, struct open_request, node)->deadline_ns,
                 now = shard_now_ns(c->server->shard);
        c->waiting = WAIT_REQUEST;
        c->timing = true;
        timer_set(c->server->shard, &c->timer, due > now ? (due - now) / 1000000 + 1 : 1);
    } else if (http_session_mid_message(s))
        wait_for(c, WAIT_HEAD, o->head_ms + o->body_ms);
    else
        wait_for(c, WAIT_IDLE, c->server->fd < 0 ? DRAIN_FIRST_MS : o->idle_ms);
}

static void on_timer(struct timer *t)
{
    struct server_conn *c = LIST_OWNER(t, struct server_conn, timer);
    struct server *s = c->server;
    c->timing = false;
    switch (c->waiting) {
    case WAIT_REQUEST:
        late_requests(c);
        conn_kick(&c->conn);
        return;
    case WAIT_PROXY:
        count(s, &METRIC_DEADLINE_PROXY);
        reactor_cancel(shard_reactor(s->shard), &c->proxy_op);
        return;
    case WAIT_HANDSHAKE:
        count(s, &METRIC_DEADLINE_HANDSHAKE);
        break;
    case WAIT_HEAD:
        count(s, &METRIC_DEADLINE_HEAD);
        break;
    case WAIT_IDLE:
        count(s, &METRIC_DEADLINE_IDLE);
        conn_close(&c->conn);
        wait_for(c, WAIT_WRITE, s->o.write_ms);
        return;
    case WAIT_WRITE:
        count(s, &METRIC_DEADLINE_WRITE);
        break;
    }
    conn_end(&c->conn, ERR(DEADLINE), "a deadline has passed");
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
    if (!s->draining || s->fd >= 0 || s->conn_count > 0 || s->freed) return;
    timer_cancel(&s->deadline);
    if (s->handler.drained != NULL) s->handler.drained(s->ctx);
}

static void server_release(struct server *s)
{
    if (!s->freed || s->accepting || s->conn_count > 0) return;
    pool_fini(&s->pool);
    free(s);
}

static void conn_gone(struct server_conn *c)
{
    struct server *s = c->server;
    list_remove(&c->node);
    timer_cancel(&c->timer);
    buf_fini(&c->proxy);
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
    c->timing = false;
    if (s->tls != NULL && tls == NULL) {
        reactor_close(shard_reactor(s->shard), c->fd);
        conn_gone(c);
        return;
    }
    wait_for(c, WAIT_HANDSHAKE, s->o.handshake_ms);
    conn_start(&c->conn, s->shard, &hooks, c->fd, tls, s->o.http.out_size_max);
    if (behind.n > 0) conn_feed(&c->conn, behind);
}

// ---- PROXY protocol

static void proxy_end(struct server_conn *c, bool ok)
{
    struct server *s = c->server;
    if (ok) {
        struct buf rest = c->proxy;
        buf_init(&c->proxy, PROXY_HEADER_MAX + 16384);
        conn_begin(c, buf_slice(&rest));
        buf_fini(&rest);
        return;
    }
    count(s, &METRIC_CONNS_REFUSED_PROXY);
    LOG(shard_log(s->shard), &EVENT_PROXY_REFUSED, NULL, LOG_STR("server", s->o.name));
    reactor_close(shard_reactor(s->shard), c->fd);
    conn_gone(c);
}

static void on_proxy(struct op *op, int32_t res, uint32_t flags)
{
    struct server_conn *c = LIST_OWNER(op, struct server_conn, proxy_op);
    struct reactor *r = shard_reactor(c->server->shard);
    bool last = (flags & OP_MORE) == 0;
    if (res > 0) {
        bool fits = !failed(buf_add(&c->proxy, reactor_buffer(r, flags, res)));
        reactor_buffer_return(r, flags);
        size_t used = 0;
        enum proxy_result p = fits ? proxy_parse(&c->peer.address, buf_slice(&c->proxy), &used)
                                   : PROXY_BAD;
        if (p == PROXY_OK) buf_consume(&c->proxy, used);
        if (p != PROXY_MORE && !c->proxy_ended) {
            c->proxy_ended = true;
            c->proxying = p == PROXY_OK;
            if (!last) reactor_cancel(r, op);
        }
    } else if (res != -ENOBUFS && !c->proxy_ended) {
        c->proxy_ended = true;
        c->proxying = false;
    }
    if (!last) return;
    if (c->proxy_ended)
        proxy_end(c, c->proxying);
    else
        reactor_recv(r, op, c->fd);
}

static bool from_proxy(const struct server *s, const struct sockaddr *a)
{
    for (size_t i = 0; i < s->o.proxy_peer_count; i++)
        if (address_range_has(&s->o.proxy_peers[i], a)) return true;
    return false;
}

// ---- accepting

static bool too_many_of(const struct server *s, const struct sockaddr_storage *a)
{
    if (s->o.conns_per_peer_max == 0 || a->ss_family == AF_UNIX) return false;
    char want[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX];
    unsigned n = 0;
    address_ip_text(want, (const struct sockaddr *)a);
    for (struct list *i = s->conns.next; i != &s->conns; i = i->next) {
        address_ip_text(
            text, (const struct sockaddr *)&LIST_OWNER(i, struct server_conn, node)->peer.address);
        n += strcmp(text, want) == 0;
    }
    return n >= s->o.conns_per_peer_max;
}

static void conn_accept(struct server *s, int fd)
{
    struct sockaddr_storage peer = {0};
    bool known = reactor_peer(shard_reactor(s->shard), fd, &peer) == 0;
    bool crowd = known && too_many_of(s, &peer);
    struct server_conn *c = known && !crowd ? pool_get(&s->pool) : NULL;
    if (c == NULL) {
        count(s, crowd ? &METRIC_CONNS_REFUSED_PEER : &METRIC_CONNS_REFUSED_FULL);
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
    buf_init(&c->proxy, PROXY_HEADER_MAX + 16384);
    if (!from_proxy(s, (const struct sockaddr *)&peer)) {
        conn_begin(c, SLICE_NONE);
        return;
    }
    c->proxy_op.done = on_proxy;
    wait_for(c, WAIT_PROXY, s->o.handshake_ms);
    reactor_recv(shard_reactor(s->shard), &c->proxy_op, fd);
}

static void on_accept(struct op *op, int32_t res, uint32_t flags)
{
    struct server *s = LIST_OWNER(op, struct server, accept_op);
    if ((flags & OP_MORE) == 0) s->accepting = false;
    if (res >= 0) {
        if (s->freed || s->fd < 0)
            reactor_close(shard_reactor(s->shard), res);
        else
            conn_accept(s, res);
    }
    if (s->freed) {
        server_release(s);
        return;
    }
    bool shortage = res == -EMFILE || res == -ENFILE || res == -ENOBUFS || res == -ENOMEM;
    if (shortage) {
        count(s, &METRIC_ACCEPT_PAUSES);
        LOG(shard_log(s->shard), &EVENT_SERVER_ACCEPT_PAUSED, strerror(-res),
            LOG_STR("server", s->o.name));
        timer_set(s->shard, &s->timer, ACCEPT_PAUSE_MS);
        return;
    }
    if (s->conn_count >= s->o.conns_max && s->accepting)
        reactor_cancel(shard_reactor(s->shard), &s->accept_op);
    accept_arm(s);
}

static void accept_arm(struct server *s)
{
    if (s->accepting || s->fd < 0 || s->conn_count >= s->o.conns_max || timer_pending(&s->timer))
        return;
    s->accepting = true;
    reactor_accept(shard_reactor(s->shard), &s->accept_op, s->fd);
}

// ---- drain

static void listen_end(struct server *s)
{
    if (s->fd < 0) return;
    int fd = s->fd;
    s->fd = -1;
    // What the kernel has accepted for us already is taken: nobody who got through is turned away.
    for (int one; (one = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (s->conn_count < s->o.conns_max)
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
    if (s == NULL || c->peer.version != HTTP_1_1) return;
    if (http_session_open_count(s) > 0 || http_session_mid_message(s)) return;
    if (c->timing && c->waiting == WAIT_IDLE) c->timing = false;
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

static void on_server_timer(struct timer *t)
{
    struct server *s = LIST_OWNER(t, struct server, timer);
    if (s->draining)
        drain_conns(s);
    else
        accept_arm(s);
}

void server_drain(struct server *s, unsigned accept_ms, unsigned deadline_ms)
{
    if (s->draining) return;
    s->draining = true;
    s->drain_ms = deadline_ms;
    LOG(shard_log(s->shard), &EVENT_SERVER_DRAINING, NULL, LOG_STR("server", s->o.name),
        LOG_INT("connections", s->conn_count));
    drain_announce(s);
    timer_set(s->shard, &s->timer, accept_ms);
}

// ----

static bool stale_socket_remove(const struct server_options *o)
{
    if (o->listen.ss_family != AF_UNIX) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)&o->listen, o->listen_len) != 0 &&
                errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    return dead && unlink(((const struct sockaddr_un *)&o->listen)->sun_path) == 0;
}

struct err server_address_check(char *note, size_t note_size, const char *name,
                                const struct sockaddr_storage *listen, socklen_t listen_len)
{
    char text[ADDRESS_TEXT_MAX];
    int one = 1;
    if (listen->ss_family == AF_UNIX || address_port((const struct sockaddr *)listen) == 0)
        return OK;
    int fd = socket(listen->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool used = fd >= 0 && bind(fd, (const struct sockaddr *)listen, listen_len) != 0 &&
                errno == EADDRINUSE;
    if (fd >= 0) close(fd);
    if (!used) return OK;
    address_text(text, (const struct sockaddr *)listen);
    snprintf(
        note, note_size,
        "%s is in use by another program; stop it or choose another address for the %s listener",
        text, name);
    return ERR(ADDRESS_IN_USE);
}

static struct err listen_start(struct server *s, char *note, size_t size)
{
    char address[ADDRESS_TEXT_MAX];
    address_text(address, (const struct sockaddr *)&s->o.listen);
    stale_socket_remove(&s->o);
    s->fd = reactor_listen(shard_reactor(s->shard), (const struct sockaddr *)&s->o.listen,
                           s->o.listen_len, BACKLOG);
    if (s->fd >= 0) return OK;
    int error = -s->fd;
    s->fd = -1;
    if (error == EADDRINUSE)
        snprintf(note, size,
                 "%s is in use by another program; stop it or choose another address for the %s "
                 "listener",
                 address, s->o.name);
    else
        snprintf(note, size, "%s cannot be listened on for the %s listener: %s", address, s->o.name,
                 strerror(error));
    return error == EADDRINUSE ? ERR(ADDRESS_IN_USE) : ERR(SYSTEM);
}

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
    s->timer.fire = on_server_timer;
    s->deadline.fire = on_deadline;
    list_init(&s->conns);
    struct err e = pool_init(&s->pool, options->name, sizeof(struct server_conn),
                             options->conns_max);
    if (!failed(e)) e = listen_start(s, note, note_size);
    if (failed(e)) {
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
    timer_cancel(&s->timer);
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
