#include "bench/micro/tls_load.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/tls/tls.h"

enum { FLIGHT_MAX = 1 << 16, EVENTS = 64, READ_SIZE = 16384, FAILURES_MAX = 100 };

struct client {
    int fd;
    struct tls *tls;
};

struct load {
    const struct tls_load_options *o;
    int epoll;
    struct addrinfo *address;
    struct tls_context *tls;
    struct buf flight;
    struct client clients[TLS_LOAD_CLIENTS_MAX];
    unsigned long done, failures;
};

static double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// process_cpu_s: user and system time of a process so far.
static double process_cpu_s(pid_t pid)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) return 0;
    const char *after = fgets(line, sizeof line, f) == NULL ? NULL : strrchr(line, ')');
    fclose(f);
    if (after == NULL || sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void client_stop(struct client *c)
{
    tls_free(c->tls);
    if (c->fd >= 0) close(c->fd);
    c->tls = NULL, c->fd = -1;
}

static void client_send(struct load *l, struct client *c)
{
    buf_clear(&l->flight);
    if (failed(tls_pull(c->tls, &l->flight))) return;
    // A flight of a handshake always fits an empty socket's buffer.
    if (buf_len(&l->flight) > 0 &&
        send(c->fd, buf_slice(&l->flight).p, buf_len(&l->flight), MSG_NOSIGNAL) < 0)
        l->failures++;
}

static void client_start(struct load *l, struct client *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    c->fd = socket(l->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->tls = tls_new(l->tls, "localhost");
    CHECK(c->fd >= 0 && c->tls != NULL);
    if (connect(c->fd, l->address->ai_addr, l->address->ai_addrlen) != 0 && errno != EINPROGRESS)
        l->failures++;
    CHECK(!failed(tls_start(c->tls)) && epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0);
}

// client_restart: a handshake has ended, well or not; the next one begins.
static void client_restart(struct load *l, struct client *c, bool ok)
{
    if (ok)
        l->done++;
    else
        l->failures++;
    client_stop(c);
    client_start(l, c);
}

static void client_event(struct load *l, struct client *c, unsigned events)
{
    uint8_t in[READ_SIZE];
    if (events & EPOLLOUT) { // connected
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event);
        client_send(l, c);
        return;
    }
    ssize_t n = recv(c->fd, in, sizeof in, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || failed(tls_feed(c->tls, slice_of(in, (size_t)n)))) {
        client_restart(l, c, false);
        return;
    }
    bool done = tls_established(c->tls);
    if (done) tls_close(c->tls);
    client_send(l, c);
    if (done) client_restart(l, c, true);
}

static int report(const struct load *l, double took, double server_s)
{
    if (l->failures > 0 || l->done == 0) {
        fprintf(stderr, "tls: %lu handshakes failed, %lu succeeded\n", l->failures, l->done);
        return 1;
    }
    printf("%u clients: %.0f full handshakes per second", l->o->clients, (double)l->done / took);
    if (l->o->server != 0)
        printf(", %.1f us of the server's CPU time each, %.0f %% of one processor",
               server_s * 1e6 / (double)l->done, 100 * server_s / took);
    putchar('\n');
    return 0;
}

int tls_load_run(const struct tls_load_options *o)
{
    static struct load l;
    char note[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct epoll_event events[EVENTS];
    l.o = o;
    if (getaddrinfo(o->host, o->port, &hints, &l.address) != 0) {
        fprintf(stderr, "tls: %s:%s is no numeric address and port\n", o->host, o->port);
        return 2;
    }
    CHECK(!failed(tls_context_new(&l.tls, note, sizeof note, false,
                                  &(struct tls_options){.alpn_h2 = true, .insecure = true})));
    buf_init(&l.flight, FLIGHT_MAX);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(l.epoll >= 0);
    for (unsigned i = 0; i < o->clients; i++) client_start(&l, &l.clients[i]);
    double started = now_s(CLOCK_MONOTONIC), server_s = process_cpu_s(o->server), took = 0;
    while (took < o->seconds && l.failures < FAILURES_MAX) {
        int n = epoll_wait(l.epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++) client_event(&l, events[i].data.ptr, events[i].events);
        took = now_s(CLOCK_MONOTONIC) - started;
    }
    server_s = process_cpu_s(o->server) - server_s;
    for (unsigned i = 0; i < o->clients; i++) client_stop(&l.clients[i]);
    buf_fini(&l.flight);
    tls_context_free(l.tls);
    freeaddrinfo(l.address);
    close(l.epoll);
    return report(&l, took, server_s);
}
