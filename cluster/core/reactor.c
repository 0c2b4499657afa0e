#include "cluster/core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/err.h"
#include "proto/err.h"

enum { ENDED_SIZE_MIN = 1024 };

struct err reactor_base_init(struct reactor *r, const struct reactor_ops *ops)
{
    r->ops = ops;
    r->ended_size = r->running_size = ENDED_SIZE_MIN;
    r->ended = calloc(ENDED_SIZE_MIN, sizeof *r->ended);
    r->running = calloc(ENDED_SIZE_MIN, sizeof *r->running);
    if (r->ended != NULL && r->running != NULL) return OK;
    reactor_base_fini(r);
    return ERR(NO_SPACE);
}

void reactor_base_fini(struct reactor *r)
{
    free(r->ended);
    free(r->running);
    r->ended = r->running = NULL;
}

void reactor_ended_add(struct reactor *r, struct op *op, int32_t res, uint32_t flags)
{
    if (r->ended_count == r->ended_size) {
        // Back ends gather a bounded number per wait; only a flood of cancels in one turn comes
        // here.
        struct reactor_ended *more = realloc(r->ended, 2 * r->ended_size * sizeof *more);
        CHECK(more != NULL);
        r->ended = more;
        r->ended_size *= 2;
    }
    r->ended[r->ended_count++] = (struct reactor_ended){op, res, flags};
    if (!(flags & OP_MORE)) r->inflight--;
}

// no_ring_sentence says why there is no ring and what to do: the one place that knows the causes.
static void no_ring_sentence(char note[REACTOR_NOTE_MAX], int error, const char *step)
{
    const char *cause = "the kernel refuses it", *cure = "see the kernel's log";
    char sysctl[4] = "";
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, sysctl, 1);
        sysctl[n == 1 ? 1 : 0] = '\0';
        close(fd);
    }
    if (error == EPERM && (sysctl[0] == '1' || sysctl[0] == '2')) {
        cause = "the sysctl kernel.io_uring_disabled forbids it";
        cure = "set it to 0";
    } else if (error == EPERM || error == EACCES) {
        cause = "a seccomp filter forbids it, as the default profiles of container runtimes do";
        cure = "allow io_uring_setup, io_uring_enter and io_uring_register in the container's "
               "seccomp profile";
    } else if (error == ENOSYS) {
        cause = "the kernel has no io_uring, or a seccomp filter hides it";
        cure = "use a kernel with CONFIG_IO_URING, or allow io_uring_setup, io_uring_enter and "
               "io_uring_register";
    } else if (error == EINVAL) {
        cause = "the kernel is older than 6.1";
        cure = "use Linux 6.1 or newer";
    } else if (error == ENOMEM) {
        cause = "the limit of locked memory is too low";
        cure = "raise it (ulimit -l, or LimitMEMLOCK= of the service)";
    } else if (error == EMFILE || error == ENFILE) {
        cause = "no file descriptor is left";
        cure = "raise the limit of open files (ulimit -n, or LimitNOFILE= of the service)";
    }
    snprintf(note, REACTOR_NOTE_MAX, "io_uring is refused (%s: %s): %s; %s, or set `io: epoll`",
             step, strerror(error), cause, cure);
}

struct err reactor_new(struct reactor **out, char note[REACTOR_NOTE_MAX], enum shard_io io,
                       struct sim *sim)
{
    note[0] = '\0';
    if (io == SHARD_IO_SIM) return reactor_sim_new(out, sim);
    if (io == SHARD_IO_EPOLL) return reactor_epoll_new(out);
    const char *step = "";
    int res = reactor_uring_new(out, &step);
    if (res == 0) return OK;
    no_ring_sentence(note, -res, step);
    return io == SHARD_IO_URING ? ERR(RING_REFUSED) : reactor_epoll_new(out);
}

void reactor_free(struct reactor *r)
{
    if (r != NULL) r->ops->free(r);
}

void reactor_wait(struct reactor *r, unsigned wait_ms)
{
    r->ops->wait(r, reactor_idle(r) ? wait_ms : 0);
}

bool reactor_idle(const struct reactor *r) { return r->ended_count == 0; }

void reactor_run(struct reactor *r)
{
    // What done() submits or cancels is gathered in the other array and runs next turn.
    struct reactor_ended *run = r->ended;
    size_t count = r->ended_count, size = r->ended_size;
    r->ended = r->running;
    r->ended_size = r->running_size;
    r->ended_count = 0;
    r->running = run;
    r->running_size = size;
    for (size_t i = 0; i < count; i++) run[i].op->done(run[i].op, run[i].res, run[i].flags);
}

void reactor_fault_set(struct reactor *r, reactor_fault_fn *fault, void *ctx)
{
    r->fault = fault;
    r->fault_ctx = ctx;
}

// begins counts the op, and ends it at once when a test's fault says so.
static bool begins(struct reactor *r, struct op *op, enum reactor_call call, int fd)
{
    r->inflight++;
    op->fd = fd;
    int32_t res = r->fault == NULL ? 0 : r->fault(r->fault_ctx, call, fd);
    if (res < 0) reactor_ended_add(r, op, res, 0);
    return res >= 0;
}

void reactor_poll(struct reactor *r, struct op *op, int fd, unsigned mask)
{
    if (begins(r, op, REACTOR_CALL_POLL, fd)) r->ops->poll(r, op, fd, mask);
}

void reactor_accept(struct reactor *r, struct op *op, int listen_fd)
{
    if (begins(r, op, REACTOR_CALL_ACCEPT, listen_fd)) r->ops->accept(r, op, listen_fd, false);
}

void reactor_accept_one(struct reactor *r, struct op *op, int listen_fd)
{
    if (begins(r, op, REACTOR_CALL_ACCEPT, listen_fd)) r->ops->accept(r, op, listen_fd, true);
}

void reactor_recv(struct reactor *r, struct op *op, int fd)
{
    if (begins(r, op, REACTOR_CALL_RECV, fd)) r->ops->recv(r, op, fd);
}

void reactor_send(struct reactor *r, struct op *op, int fd, const void *p, size_t n)
{
    if (begins(r, op, REACTOR_CALL_SEND, fd)) r->ops->send(r, op, fd, p, n);
}

void reactor_connect(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr,
                     socklen_t addr_len)
{
    if (begins(r, op, REACTOR_CALL_CONNECT, fd)) r->ops->connect(r, op, fd, addr, addr_len);
}

struct slice reactor_buffer(struct reactor *r, uint32_t flags, int32_t res)
{
    CHECK(res > 0 && res <= REACTOR_BUFFER_SIZE);
    return r->ops->buffer(r, flags >> REACTOR_BUFFER_SHIFT, (size_t)res);
}

void reactor_buffer_return(struct reactor *r, uint32_t flags)
{
    r->ops->buffer_return(r, flags >> REACTOR_BUFFER_SHIFT);
}
void reactor_cancel(struct reactor *r, struct op *op) { r->ops->cancel(r, op); }
void reactor_close(struct reactor *r, int fd) { r->ops->close(r, fd); }
int reactor_socket(struct reactor *r, int family) { return r->ops->socket(r, family); }
int reactor_local(struct reactor *r, int fd, struct sockaddr_storage *out)
{
    return r->ops->local(r, fd, out);
}
int reactor_peer(struct reactor *r, int fd, struct sockaddr_storage *out)
{
    return r->ops->peer(r, fd, out);
}
int reactor_shutdown(struct reactor *r, int fd) { return r->ops->shutdown(r, fd); }

int reactor_listen(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len, int backlog)
{
    return r->ops->listen(r, addr, addr_len, backlog);
}
