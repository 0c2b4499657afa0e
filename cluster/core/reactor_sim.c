// The simulated back end: stream sockets in memory. An operation ends when, at the present virtual
// time, it can.
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "cluster/core/sim_internal.h"
#include "proto/err.h"

enum { BACKLOG_MAX = 4096 };

struct reactor_sim {
    struct reactor base;
    struct sim *sim;
    struct reactor_buffers buffers;
    unsigned number; // of the host: its address is 10.77.0.number
};

enum segment_kind { SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RESET };

struct segment {
    struct list node;
    uint64_t at_ns; // arrives
    enum segment_kind kind;
    size_t from, n;
    uint8_t data[];
};

enum socket_state { SOCKET_NEW, SOCKET_LISTENING, SOCKET_CONNECTING, SOCKET_OPEN };

struct sim_socket {
    int fd;
    struct reactor_sim *owner;
    enum socket_state state;
    struct sockaddr_storage local, remote;
    struct sim_socket *peer; // NULL before a connection and after the peer closed
    struct list segments;    // on their way here or unread
    size_t pending;          // bytes in them
    uint64_t last_ns;        // no segment arrives before the one sent earlier
    uint64_t ready_ns;       // a connection in a backlog, or the end of a connect
    int connect_res;
    bool shut; // own FIN is sent
    bool reset;
    struct list backlog; // listener: connections to accept; connection: its node there
    int backlog_count, backlog_size;
    struct op *in, *out; // accept or recv; connect or send
    bool one;            // accept: only one
    const void *send_p;
    size_t send_n;
};

static struct reactor_sim *rsim_of(struct reactor *r) { return (struct reactor_sim *)r; }

static struct sim_socket *socket_at(struct reactor_sim *r, int fd)
{
    size_t i = (size_t)fd - SIM_FD_FIRST;
    CHECK(fd >= SIM_FD_FIRST && i < r->sim->sockets_size && r->sim->sockets[i] != NULL);
    CHECK(r->sim->sockets[i]->owner == r);
    return r->sim->sockets[i];
}

static struct sim_socket *socket_make(struct reactor_sim *r, int family)
{
    struct sim *s = r->sim;
    size_t i = 0;
    while (i < s->sockets_size && s->sockets[i] != NULL) i++;
    if (i == s->sockets_size) {
        size_t size = s->sockets_size == 0 ? 64 : 2 * s->sockets_size;
        s->sockets = realloc(s->sockets, size * sizeof(struct sim_socket *));
        CHECK(s->sockets != NULL);
        memset(s->sockets + s->sockets_size, 0,
               (size - s->sockets_size) * sizeof(struct sim_socket *));
        s->sockets_size = size;
    }
    struct sim_socket *k = calloc(1, sizeof *k);
    CHECK(k != NULL); // a simulation that runs out of memory has no result
    *k = (struct sim_socket){
        .fd = SIM_FD_FIRST + (int)i, .owner = r, .local.ss_family = (sa_family_t)family};
    list_init(&k->segments);
    list_init(&k->backlog);
    s->sockets[i] = k;
    s->sockets_open++;
    return k;
}

static unsigned port_of(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)a)->sin_port);
    if (a->ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
    return 0;
}

static void port_set(struct sockaddr_storage *a, unsigned port)
{
    if (a->ss_family == AF_INET) ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    if (a->ss_family == AF_INET6) ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
}

// listens_for: ports decide; every listener of the world is on every address, except on unix paths.
static bool listens_for(const struct sim_socket *k, const struct sockaddr_storage *to)
{
    if (k == NULL || k->state != SOCKET_LISTENING || k->local.ss_family != to->ss_family)
        return false;
    if (to->ss_family == AF_UNIX) return memcmp(&k->local, to, sizeof *to) == 0;
    return port_of(&k->local) == port_of(to);
}

// listener_find draws one of the listeners, as SO_REUSEPORT does.
static struct sim_socket *listener_find(struct sim *s, const struct sockaddr_storage *to)
{
    struct sim_socket *found = NULL;
    uint64_t seen = 0;
    for (size_t i = 0; i < s->sockets_size; i++)
        if (listens_for(s->sockets[i], to) && sim_below(s, ++seen) == 0) found = s->sockets[i];
    return found;
}

static void deliver(struct sim_socket *to, enum segment_kind kind, const void *p, size_t n)
{
    struct sim *s = to->owner->sim;
    struct segment *g = calloc(1, sizeof *g + n);
    CHECK(g != NULL);
    uint64_t at = s->cut ? UINT64_MAX : s->now_ns + sim_latency_ns(s);
    if (at < to->last_ns) at = to->last_ns;
    to->last_ns = at;
    *g = (struct segment){.at_ns = at, .kind = kind, .n = n};
    if (n > 0) memcpy(g->data, p, n);
    to->pending += n;
    list_push_back(&to->segments, &g->node);
}

static void segment_free(struct sim_socket *k, struct segment *g)
{
    k->pending -= g->n - g->from;
    list_remove(&g->node);
    free(g);
}

static void rsim_end(struct reactor_sim *r, struct op *op, int fd, int32_t res, uint32_t flags)
{
    uint64_t words[] = {r->sim->now_ns, (uint64_t)fd, (uint64_t)(int64_t)res, flags & OP_MORE};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        r->sim->trace = (r->sim->trace ^ words[i]) * UINT64_C(0x100000001b3);
    reactor_ended_add(&r->base, op, res, flags);
}

static void rsim_poll(struct reactor *r, struct op *op, int fd, unsigned mask)
{
    (void)mask;
    rsim_end(rsim_of(r), op, fd, -EOPNOTSUPP,
             0); // for descriptors of libraries, which a simulation does not have
}

static void in_set(struct reactor *r, struct op *op, int fd)
{
    struct sim_socket *k = socket_at(rsim_of(r), fd);
    CHECK(k->in == NULL);
    k->in = op;
}

static void rsim_accept(struct reactor *r, struct op *op, int fd, bool one)
{
    in_set(r, op, fd);
    socket_at(rsim_of(r), fd)->one = one;
}

static void rsim_send(struct reactor *r, struct op *op, int fd, const void *p, size_t n)
{
    struct sim_socket *k = socket_at(rsim_of(r), fd);
    CHECK(k->out == NULL);
    k->out = op;
    k->send_p = p;
    k->send_n = n;
}

static void rsim_connect(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr,
                         socklen_t addr_len)
{
    struct reactor_sim *rs = rsim_of(r);
    struct sim *s = rs->sim;
    struct sim_socket *k = socket_at(rs, fd);
    CHECK(k->out == NULL && k->state == SOCKET_NEW && addr_len <= sizeof k->remote);
    memcpy(&k->remote, addr, addr_len);
    k->out = op;
    k->state = SOCKET_CONNECTING;
    k->ready_ns = s->cut ? UINT64_MAX : s->now_ns + 2 * sim_latency_ns(s);
    struct sim_socket *listener = s->cut ? NULL : listener_find(s, &k->remote);
    k->connect_res = listener == NULL || sim_happens(s, s->options.refuse_per_million)
                         ? -ECONNREFUSED
                         : 0;
    if (k->connect_res != 0) return;
    if (listener->backlog_count >=
        listener->backlog_size) { // the kernel drops the SYN: the client waits
        k->ready_ns = UINT64_MAX;
        return;
    }
    struct sim_socket *end = socket_make(listener->owner, k->remote.ss_family);
    end->state = SOCKET_OPEN;
    end->local = k->remote;
    end->remote = k->local;
    end->ready_ns = k->ready_ns;
    end->last_ns = k->ready_ns;
    end->peer = k;
    k->peer = end;
    list_push_back(&listener->backlog, &end->backlog);
    listener->backlog_count++;
}

static void rsim_cancel(struct reactor *r, struct op *op)
{
    struct sim *s = rsim_of(r)->sim;
    size_t i = (size_t)op->fd - SIM_FD_FIRST;
    struct sim_socket *k = op->fd >= SIM_FD_FIRST && i < s->sockets_size ? s->sockets[i] : NULL;
    if (k == NULL || (k->in != op && k->out != op)) return;
    if (k->in == op) k->in = NULL;
    if (k->out == op) k->out = NULL;
    rsim_end(rsim_of(r), op, k->fd, -ECANCELED, 0);
}

static void socket_free(struct sim_socket *k)
{
    struct sim *s = k->owner->sim;
    if (k->peer != NULL) {
        if (!k->shut) deliver(k->peer, k->pending > 0 ? SEGMENT_RESET : SEGMENT_FIN, NULL, 0);
        k->peer->peer = NULL;
    }
    LIST_EACH (it, &k->segments) segment_free(k, LIST_OWNER(it, struct segment, node));
    list_remove(&k->backlog);
    s->sockets[k->fd - SIM_FD_FIRST] = NULL;
    s->sockets_open--;
    free(k);
}

static void rsim_close(struct reactor *r, int fd)
{
    struct sim_socket *k = socket_at(rsim_of(r), fd);
    CHECK(k->in == NULL && k->out == NULL);
    if (k->state == SOCKET_LISTENING) {
        LIST_EACH (it, &k->backlog) { // never accepted: the kernel resets them
            struct sim_socket *end = LIST_OWNER(it, struct sim_socket, backlog);
            if (end->peer != NULL) deliver(end->peer, SEGMENT_RESET, NULL, 0);
            end->shut = true;
            socket_free(end);
        }
    }
    socket_free(k);
}

static int rsim_socket(struct reactor *r, int family)
{
    struct reactor_sim *rs = rsim_of(r);
    struct sim_socket *k = socket_make(rs, family);
    if (family == AF_INET)
        ((struct sockaddr_in *)&k->local)->sin_addr.s_addr = htonl(0x0a4d0000u + rs->number);
    port_set(&k->local, rs->sim->port_next++);
    return k->fd;
}

static int rsim_listen(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len,
                       int backlog)
{
    struct reactor_sim *rs = rsim_of(r);
    struct sim_socket *k = socket_make(rs, addr->sa_family);
    CHECK(addr_len <= sizeof k->local);
    memcpy(&k->local, addr, addr_len);
    if (port_of(&k->local) == 0) port_set(&k->local, rs->sim->port_next++);
    k->state = SOCKET_LISTENING;
    k->backlog_size = backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX;
    return k->fd;
}

static int rsim_local(struct reactor *r, int fd, struct sockaddr_storage *out)
{
    *out = socket_at(rsim_of(r), fd)->local;
    return 0;
}

static int rsim_peer(struct reactor *r, int fd, struct sockaddr_storage *out)
{
    struct sim_socket *k = socket_at(rsim_of(r), fd);
    if (k->state != SOCKET_OPEN) return -ENOTCONN;
    *out = k->remote;
    return 0;
}

static int rsim_shutdown(struct reactor *r, int fd)
{
    struct sim_socket *k = socket_at(rsim_of(r), fd);
    if (k->state != SOCKET_OPEN) return -ENOTCONN;
    if (!k->shut && k->peer != NULL) deliver(k->peer, SEGMENT_FIN, NULL, 0);
    k->shut = true;
    return 0;
}

static void accept_step(struct reactor_sim *r, struct sim_socket *k)
{
    LIST_EACH (it, &k->backlog) {
        struct sim_socket *end = LIST_OWNER(it, struct sim_socket, backlog);
        if (end->ready_ns > r->sim->now_ns) continue;
        list_remove(&end->backlog);
        k->backlog_count--;
        struct op *op = k->in;
        if (k->one) k->in = NULL;
        rsim_end(r, op, k->fd, end->fd, k->one ? 0 : OP_MORE);
        if (k->one) return;
    }
}

static void recv_end(struct reactor_sim *r, struct sim_socket *k, int32_t res)
{
    struct op *op = k->in;
    k->in = NULL;
    rsim_end(r, op, k->fd, res, 0);
}

static void recv_step(struct reactor_sim *r, struct sim_socket *k)
{
    while (k->in != NULL && !list_empty(&k->segments)) {
        struct segment *g = LIST_OWNER(k->segments.next, struct segment, node);
        if (g->at_ns > r->sim->now_ns) return;
        if (g->kind == SEGMENT_RESET) k->reset = true;
        if (k->reset || g->kind == SEGMENT_FIN) { // stays: every later recv ends the same way
            recv_end(r, k, k->reset ? -ECONNRESET : 0);
            return;
        }
        uint8_t *p = reactor_buffers_peek(&r->buffers);
        if (p == NULL) {
            recv_end(r, k, -ENOBUFS);
            return;
        }
        size_t n = g->n - g->from < REACTOR_BUFFER_SIZE ? g->n - g->from : REACTOR_BUFFER_SIZE;
        memcpy(p, g->data + g->from, n);
        g->from += n;
        k->pending -= n;
        if (g->from == g->n) segment_free(k, g);
        unsigned number = reactor_buffers_take(&r->buffers);
        rsim_end(r, k->in, k->fd, (int32_t)n, OP_MORE | number << REACTOR_BUFFER_SHIFT);
    }
}

static void connect_step(struct reactor_sim *r, struct sim_socket *k)
{
    if (k->ready_ns > r->sim->now_ns) return;
    struct op *op = k->out;
    k->out = NULL;
    k->state = k->connect_res == 0 ? SOCKET_OPEN : SOCKET_NEW;
    rsim_end(r, op, k->fd, k->connect_res, 0);
}

static void send_step(struct reactor_sim *r, struct sim_socket *k)
{
    struct sim *s = r->sim;
    struct op *op = k->out;
    if (k->peer == NULL || k->reset || k->shut) {
        k->out = NULL;
        rsim_end(r, op, k->fd, k->reset ? -ECONNRESET : -EPIPE, 0);
        return;
    }
    size_t room = s->options.window > k->peer->pending ? s->options.window - k->peer->pending : 0;
    size_t n = k->send_n < room ? k->send_n : room;
    if (n == 0) return;
    k->out = NULL;
    if (sim_happens(s, s->options.reset_per_million)) {
        deliver(k->peer, SEGMENT_RESET, NULL, 0);
        deliver(k, SEGMENT_RESET, NULL, 0);
    } else {
        for (size_t sent = 0; sent < n;) {
            size_t most = s->options.segment_max == 0
                              ? n
                              : 1 + (size_t)sim_below(s, s->options.segment_max);
            size_t part = n - sent < most ? n - sent : most;
            deliver(k->peer, SEGMENT_DATA, (const uint8_t *)k->send_p + sent, part);
            sent += part;
        }
    }
    rsim_end(r, op, k->fd, (int32_t)n, 0);
}

static void rsim_wait(struct reactor *r, unsigned wait_ms)
{
    (void)wait_ms; // time moves by sim_advance only
    struct reactor_sim *rs = rsim_of(r);
    for (size_t i = 0; i < rs->sim->sockets_size; i++) {
        struct sim_socket *k = rs->sim->sockets[i];
        if (k == NULL || k->owner != rs) continue;
        if (k->in != NULL && k->state == SOCKET_LISTENING) accept_step(rs, k);
        if (k->in != NULL && k->state == SOCKET_OPEN) recv_step(rs, k);
        if (k->out != NULL && k->state == SOCKET_CONNECTING)
            connect_step(rs, k);
        else if (k->out != NULL && k->state == SOCKET_OPEN)
            send_step(rs, k);
    }
}

uint64_t sim_next_ns(const struct sim *s)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < s->sockets_size; i++) {
        const struct sim_socket *k = s->sockets[i];
        if (k == NULL) continue;
        uint64_t at = UINT64_MAX;
        if (k->state == SOCKET_CONNECTING) at = k->ready_ns;
        if (k->state == SOCKET_OPEN && !list_empty(&k->backlog))
            at = k->ready_ns; // waits to be accepted
        if (at > s->now_ns && at < next) next = at;
        if (list_empty(&k->segments)) continue;
        at = LIST_OWNER(k->segments.next, struct segment, node)->at_ns;
        if (at > s->now_ns && at < next) next = at;
    }
    return next;
}

static struct slice rsim_buffer(struct reactor *r, unsigned number, size_t n)
{
    return reactor_buffers_slice(&rsim_of(r)->buffers, number, n);
}

static void rsim_buffer_return(struct reactor *r, unsigned number)
{
    reactor_buffers_put(&rsim_of(r)->buffers, number);
}

static void rsim_free(struct reactor *r)
{
    struct reactor_sim *rs = rsim_of(r);
    for (size_t i = 0; i < rs->sim->sockets_size; i++)
        if (rs->sim->sockets[i] != NULL && rs->sim->sockets[i]->owner == rs)
            socket_free(rs->sim->sockets[i]);
    rs->sim->reactors--;
    reactor_buffers_fini(&rs->buffers);
    reactor_base_fini(r);
    free(rs);
}

static const struct reactor_ops sim_ops = {
    .name = "simulated",
    .poll = rsim_poll,
    .accept = rsim_accept,
    .recv = in_set,
    .buffer = rsim_buffer,
    .buffer_return = rsim_buffer_return,
    .send = rsim_send,
    .connect = rsim_connect,
    .cancel = rsim_cancel,
    .close = rsim_close,
    .socket = rsim_socket,
    .listen = rsim_listen,
    .local = rsim_local,
    .peer = rsim_peer,
    .shutdown = rsim_shutdown,
    .wait = rsim_wait,
    .free = rsim_free,
};

struct err reactor_sim_new(struct reactor **out, struct sim *sim)
{
    struct reactor_sim *r = calloc(1, sizeof *r);
    if (r == NULL) return ERR(NO_SPACE);
    if (failed(reactor_base_init(&r->base, &sim_ops)) ||
        failed(reactor_buffers_init(&r->buffers))) {
        reactor_base_fini(&r->base);
        free(r);
        return ERR(NO_SPACE);
    }
    r->sim = sim;
    r->number = ++sim->reactors;
    *out = &r->base;
    return OK;
}
