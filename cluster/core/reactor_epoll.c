// The epoll back end: the same operations and completions, made of readiness. Descriptors are
// watched level-triggered and only for what an op waits for; sends are tried at once at the start
// of a wait, so a quiet request costs recv, send and epoll_wait.
//
// The system calls of this mode, for a seccomp allow list: epoll_create1 epoll_ctl epoll_pwait
// (epoll_wait) accept4 recvfrom sendto connect socket bind listen setsockopt getsockopt getsockname
// getpeername shutdown close read write eventfd2 clock_gettime; besides what malloc, threads and
// BoringSSL use: mmap munmap brk madvise futex getrandom rt_sigprocmask.
#include "cluster/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cluster/err.h"
#include "proto/err.h"

enum {
    EVENTS_MAX = 256,  // descriptors looked at per wait
    ACCEPT_BURST = 64, // connections taken from one listener per wait
    RECV_BURST = 4,    // buffers filled for one descriptor per wait
    FDS_SIZE_MIN = 256,
};

enum want_kind { WANT_NONE, WANT_POLL, WANT_ACCEPT, WANT_RECV, WANT_SEND, WANT_CONNECT };

// struct want is an op that waits for one direction of a descriptor. A poll for both directions is
// in both.
struct want {
    struct op *op; // NULL: none
    enum want_kind kind;
    const void *p; // send
    size_t n;      // accept: 1 for one connection, else 0
};

enum { IN, OUT, DIRECTIONS };

struct watched {
    struct want want[DIRECTIONS];
    uint32_t registered; // events that epoll watches for
    uint32_t
        generation; // of this descriptor number: events gathered for an earlier one are dropped
    bool known;     // epoll may know the number
    bool queued;    // in `changed`
};

struct reactor_epoll {
    struct reactor base;
    struct reactor_buffers buffers;
    int epoll_fd;
    struct watched *fds; // by descriptor number
    int fds_size;
    int *changed; // descriptors whose wants changed since the last wait; room for every descriptor
    int changed_count;
};

static const uint32_t event_bits[DIRECTIONS] = {EPOLLIN, EPOLLOUT};

static struct reactor_epoll *epoll_of(struct reactor *r) { return (struct reactor_epoll *)r; }

// fds_grow makes room for descriptor `fd`.
static bool fds_grow(struct reactor_epoll *e, int fd)
{
    if (fd < e->fds_size) return true;
    int size = e->fds_size == 0 ? FDS_SIZE_MIN : e->fds_size;
    while (size <= fd) size *= 2;
    int *changed = realloc(e->changed, (size_t)size * sizeof *changed);
    if (changed == NULL) return false;
    e->changed = changed;
    struct watched *fds = realloc(e->fds, (size_t)size * sizeof *fds);
    if (fds == NULL) return false;
    memset(fds + e->fds_size, 0, (size_t)(size - e->fds_size) * sizeof *fds);
    e->fds = fds;
    e->fds_size = size;
    return true;
}

static void changed_add(struct reactor_epoll *e, int fd)
{
    if (e->fds[fd].queued) return;
    e->fds[fd].queued = true;
    e->changed[e->changed_count++] = fd;
}

static bool want_set(struct reactor_epoll *e, int fd, int direction, struct want want)
{
    if (fd < 0 || !fds_grow(e, fd)) {
        reactor_ended_add(&e->base, want.op, fd < 0 ? -EBADF : -ENOMEM, 0);
        return false;
    }
    CHECK(e->fds[fd].want[direction].op == NULL); // one op per direction
    e->fds[fd].want[direction] = want;
    changed_add(e, fd);
    return true;
}

// want_end completes an op and takes it out of both directions.
static void want_end(struct reactor_epoll *e, struct watched *w, int direction, int32_t res)
{
    struct op *op = w->want[direction].op;
    for (int d = 0; d < DIRECTIONS; d++)
        if (w->want[d].op == op) w->want[d] = (struct want){0};
    reactor_ended_add(&e->base, op, res, 0);
}

static void epoll_poll(struct reactor *r, struct op *op, int fd, unsigned mask)
{
    struct reactor_epoll *e = epoll_of(r);
    struct want want = {.op = op, .kind = WANT_POLL};
    // Its owner may have closed the descriptor behind our back and opened another with the same
    // number, so epoll is always told again.
    if (fd >= 0 && fd < e->fds_size) e->fds[fd].registered = 0;
    if (mask & REACTOR_IN && !want_set(e, fd, IN, want)) return;
    if (mask & REACTOR_OUT) (void)want_set(e, fd, OUT, want);
}

static void epoll_accept(struct reactor *r, struct op *op, int listen_fd, bool one)
{
    (void)want_set(epoll_of(r), listen_fd, IN,
                   (struct want){.op = op, .kind = WANT_ACCEPT, .n = one});
}

static void epoll_recv(struct reactor *r, struct op *op, int fd)
{
    (void)want_set(epoll_of(r), fd, IN, (struct want){.op = op, .kind = WANT_RECV});
}

static void epoll_send(struct reactor *r, struct op *op, int fd, const void *p, size_t n)
{
    (void)want_set(epoll_of(r), fd, OUT,
                   (struct want){.op = op, .kind = WANT_SEND, .p = p, .n = n});
}

static void epoll_connect(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr,
                          socklen_t addr_len)
{
    int res;
    do res = connect(fd, addr, addr_len) == 0 ? 0 : -errno;
    while (res == -EINTR);
    if (res == -EINPROGRESS)
        (void)want_set(epoll_of(r), fd, OUT, (struct want){.op = op, .kind = WANT_CONNECT});
    else
        reactor_ended_add(r, op, res, 0);
}

static void epoll_cancel(struct reactor *r, struct op *op)
{
    struct reactor_epoll *e = epoll_of(r);
    if (op->fd < 0 || op->fd >= e->fds_size) return;
    struct watched *w = &e->fds[op->fd];
    for (int d = 0; d < DIRECTIONS; d++) {
        if (w->want[d].op != op) continue;
        want_end(e, w, d, -ECANCELED);
        return;
    }
}

// fresh forgets what was known of a number that the kernel has just given to a new descriptor (a
// library may have closed the old one).
static int fresh(struct reactor_epoll *e, int fd)
{
    if (fd < 0 || fd >= e->fds_size) return fd;
    e->fds[fd].registered = 0;
    e->fds[fd].known = false;
    e->fds[fd].generation++;
    return fd;
}

static int epoll_socket(struct reactor *r, int family)
{
    return fresh(epoll_of(r), socket_new(r, family));
}

static int epoll_listen(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len,
                        int backlog)
{
    return fresh(epoll_of(r), socket_listen(r, addr, addr_len, backlog));
}

static void epoll_close(struct reactor *r, int fd)
{
    struct reactor_epoll *e = epoll_of(r);
    if (fd < e->fds_size) {
        CHECK(e->fds[fd].want[IN].op == NULL && e->fds[fd].want[OUT].op == NULL);
        fresh(e, fd);
    }
    close(fd);
}

// send_try sends what is wanted; nothing changes when the socket is full.
static void send_try(struct reactor_epoll *e, int fd, struct watched *w)
{
    const struct want *want = &w->want[OUT];
    ssize_t n;
    do n = send(fd, want->p, want->n, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return;
    want_end(e, w, OUT, n < 0 ? -errno : (int32_t)n);
}

static void watch(struct reactor_epoll *e, int fd, struct watched *w)
{
    uint32_t wanted = 0;
    for (int d = 0; d < DIRECTIONS; d++)
        if (w->want[d].op != NULL) wanted |= event_bits[d];
    if (wanted == w->registered) return;
    struct epoll_event event = {.events = wanted,
                                .data.u64 = (uint64_t)w->generation << 32 | (uint32_t)fd};
    int res = epoll_ctl(e->epoll_fd, w->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    // Libraries close and reopen their descriptors without telling us: then the other call is the
    // right one.
    if (res != 0 && errno == ENOENT)
        res = epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    else if (res != 0 && errno == EEXIST)
        res = epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    w->known = res == 0;
    w->registered = res == 0 ? wanted : 0;
    if (res == 0) return;
    int32_t error = -errno;
    for (int d = 0; d < DIRECTIONS; d++)
        if (w->want[d].op != NULL) want_end(e, w, d, error);
}

// changes_apply is the submission: sends are tried, and epoll learns what is waited for.
static void changes_apply(struct reactor_epoll *e)
{
    for (int i = 0; i < e->changed_count; i++) {
        int fd = e->changed[i];
        struct watched *w = &e->fds[fd];
        w->queued = false;
        if (w->want[OUT].kind == WANT_SEND) send_try(e, fd, w);
        // Nothing wanted: left registered when it was, so that an op that comes back costs nothing.
        // ready() drops idle ones.
        if (w->want[IN].op != NULL || w->want[OUT].op != NULL) watch(e, fd, w);
    }
    e->changed_count = 0;
}

static void accept_ready(struct reactor_epoll *e, int fd, struct watched *w)
{
    for (int i = 0; i < ACCEPT_BURST; i++) {
        int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn >= 0 && w->want[IN].n == 1) {
            want_end(e, w, IN, fresh(e, conn));
            return;
        }
        if (conn >= 0) {
            reactor_ended_add(&e->base, w->want[IN].op, fresh(e, conn), OP_MORE);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            want_end(e, w, IN, -errno);
            return;
        }
    }
}

static void recv_ready(struct reactor_epoll *e, int fd, struct watched *w)
{
    for (int i = 0; i < RECV_BURST; i++) {
        uint8_t *p = reactor_buffers_peek(&e->buffers);
        if (p == NULL) {
            want_end(e, w, IN, -ENOBUFS);
            return;
        }
        ssize_t n = recv(fd, p, REACTOR_BUFFER_SIZE, MSG_DONTWAIT);
        if (n > 0) {
            unsigned number = reactor_buffers_take(&e->buffers);
            reactor_ended_add(&e->base, w->want[IN].op, (int32_t)n,
                              OP_MORE | number << REACTOR_BUFFER_SHIFT);
            if (n < REACTOR_BUFFER_SIZE) return; // probably all; else epoll says so again
        } else if (n < 0 && errno == EAGAIN) {
            return;
        } else if (n == 0 || errno != EINTR) {
            want_end(e, w, IN, n == 0 ? 0 : -errno);
            return;
        }
    }
}

static void connect_ready(struct reactor_epoll *e, int fd, struct watched *w)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) error = errno;
    want_end(e, w, OUT, -error);
}

static void ready_direction(struct reactor_epoll *e, int fd, struct watched *w, int direction,
                            uint32_t events)
{
    switch (w->want[direction].kind) {
    case WANT_NONE:
        break;
    case WANT_POLL:
        want_end(e, w, direction, (int32_t)(events & (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP)));
        break;
    case WANT_ACCEPT:
        accept_ready(e, fd, w);
        break;
    case WANT_RECV:
        recv_ready(e, fd, w);
        break;
    case WANT_SEND:
        send_try(e, fd, w);
        break;
    case WANT_CONNECT:
        connect_ready(e, fd, w);
        break;
    }
}

static void ready(struct reactor_epoll *e, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    struct watched *w = &e->fds[fd];
    if (w->generation != (uint32_t)(event->data.u64 >> 32)) return;
    uint32_t wrong = event->events &
                     (EPOLLERR | EPOLLHUP); // every op finds out by itself what is wrong
    bool idle = w->want[IN].op == NULL && w->want[OUT].op == NULL;
    for (int d = 0; d < DIRECTIONS; d++)
        if (event->events & (event_bits[d] | wrong)) ready_direction(e, fd, w, d, event->events);
    uint32_t wanted = 0;
    for (int d = 0; d < DIRECTIONS; d++)
        if (w->want[d].op != NULL) wanted |= event_bits[d];
    if (idle) { // errors are reported without being asked for: forget the descriptor until an op
                // comes
        epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        w->known = false;
        w->registered = 0;
    } else if (wanted != 0 && wanted != w->registered) {
        watch(e, fd, w);
    }
}

static void epoll_wait_turn(struct reactor *r, unsigned wait_ms)
{
    struct reactor_epoll *e = epoll_of(r);
    struct epoll_event events[EVENTS_MAX];
    changes_apply(e);
    int timeout = reactor_idle(r) ? (int)(wait_ms > INT32_MAX ? INT32_MAX : wait_ms) : 0;
    int count = epoll_wait(e->epoll_fd, events, EVENTS_MAX, timeout);
    CHECK(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) ready(e, &events[i]);
}

static struct slice epoll_buffer(struct reactor *r, unsigned number, size_t n)
{
    return reactor_buffers_slice(&epoll_of(r)->buffers, number, n);
}

static void epoll_buffer_return(struct reactor *r, unsigned number)
{
    reactor_buffers_put(&epoll_of(r)->buffers, number);
}

static void epoll_free(struct reactor *r)
{
    struct reactor_epoll *e = epoll_of(r);
    if (e->epoll_fd >= 0) close(e->epoll_fd);
    reactor_buffers_fini(&e->buffers);
    reactor_base_fini(r);
    free(e->fds);
    free(e->changed);
    free(e);
}

static const struct reactor_ops epoll_ops = {
    .name = "epoll",
    .poll = epoll_poll,
    .accept = epoll_accept,
    .recv = epoll_recv,
    .buffer = epoll_buffer,
    .buffer_return = epoll_buffer_return,
    .send = epoll_send,
    .connect = epoll_connect,
    .cancel = epoll_cancel,
    .close = epoll_close,
    .socket = epoll_socket,
    .listen = epoll_listen,
    .local = socket_local,
    .peer = socket_peer,
    .shutdown = socket_shutdown,
    .wait = epoll_wait_turn,
    .free = epoll_free,
};

struct err reactor_epoll_new(struct reactor **out)
{
    struct reactor_epoll *e = calloc(1, sizeof *e);
    if (e == NULL) return ERR(NO_SPACE);
    e->epoll_fd = -1;
    if (failed(reactor_base_init(&e->base, &epoll_ops)) ||
        failed(reactor_buffers_init(&e->buffers)) || !fds_grow(e, 0)) {
        epoll_free(&e->base);
        return ERR(NO_SPACE);
    }
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll_fd < 0) {
        epoll_free(&e->base);
        return ERR(SYSTEM);
    }
    *out = &e->base;
    return OK;
}
