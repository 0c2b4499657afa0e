// The socket calls of reactor.h for back ends with real sockets, and the receive buffers that a
// back end hands out itself.
#include "cluster/core/internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/err.h"

static int option_on(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof one) == 0 ? 0 : -errno;
}

int socket_new(struct reactor *r, int family)
{
    (void)r;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (family != AF_UNIX)
        (void)option_on(fd, IPPROTO_TCP, TCP_NODELAY); // only latency is lost without it
    return fd;
}

static int listen_prepare(int fd, const struct sockaddr *addr, socklen_t addr_len, int backlog)
{
    int res = 0;
    if (addr->sa_family != AF_UNIX) {
        res = option_on(fd, SOL_SOCKET, SO_REUSEADDR);
        if (res == 0) res = option_on(fd, SOL_SOCKET, SO_REUSEPORT);
        if (res == 0) res = option_on(fd, IPPROTO_TCP, TCP_NODELAY); // accepted sockets inherit it
    }
    if (res == 0 && addr->sa_family == AF_INET6) res = option_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    if (res == 0 && bind(fd, addr, addr_len) != 0) res = -errno;
    if (res == 0 && listen(fd, backlog) != 0) res = -errno;
    return res;
}

int socket_listen(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len, int backlog)
{
    (void)r;
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int res = listen_prepare(fd, addr, addr_len, backlog);
    if (res == 0) return fd;
    close(fd);
    return res;
}

int socket_local(struct reactor *r, int fd, struct sockaddr_storage *out)
{
    (void)r;
    *out = (struct sockaddr_storage){0};
    socklen_t n = sizeof *out;
    return getsockname(fd, (struct sockaddr *)out, &n) == 0 ? 0 : -errno;
}

int socket_peer(struct reactor *r, int fd, struct sockaddr_storage *out)
{
    (void)r;
    *out = (struct sockaddr_storage){0};
    socklen_t n = sizeof *out;
    return getpeername(fd, (struct sockaddr *)out, &n) == 0 ? 0 : -errno;
}

int socket_shutdown(struct reactor *r, int fd)
{
    (void)r;
    return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
}

struct err reactor_buffers_init(struct reactor_buffers *b)
{
    *b = (struct reactor_buffers){
        .memory = malloc((size_t)REACTOR_BUFFER_SIZE * REACTOR_BUFFER_COUNT)};
    if (b->memory == NULL) return ERR(NO_SPACE);
    for (unsigned i = 0; i < REACTOR_BUFFER_COUNT; i++)
        b->free[b->free_count++] = (uint16_t)(REACTOR_BUFFER_COUNT - 1 - i);
    return OK;
}

void reactor_buffers_fini(struct reactor_buffers *b)
{
    free(b->memory);
    *b = (struct reactor_buffers){0};
}

uint8_t *reactor_buffers_peek(const struct reactor_buffers *b)
{
    return b->free_count == 0
               ? NULL
               : b->memory + (size_t)b->free[b->free_count - 1] * REACTOR_BUFFER_SIZE;
}

unsigned reactor_buffers_take(struct reactor_buffers *b)
{
    CHECK(b->free_count > 0);
    unsigned number = b->free[--b->free_count];
    b->out[number / 64] |= UINT64_C(1) << number % 64;
    return number;
}

void reactor_buffers_put(struct reactor_buffers *b, unsigned number)
{
    CHECK(number < REACTOR_BUFFER_COUNT && (b->out[number / 64] >> number % 64 & 1) != 0);
    b->out[number / 64] &= ~(UINT64_C(1) << number % 64);
    b->free[b->free_count++] = (uint16_t)number;
}

struct slice reactor_buffers_slice(const struct reactor_buffers *b, unsigned number, size_t n)
{
    CHECK(number < REACTOR_BUFFER_COUNT && (b->out[number / 64] >> number % 64 & 1) != 0);
    return slice_of(b->memory + (size_t)number * REACTOR_BUFFER_SIZE, n);
}
