#include "tests/support/cutter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS_MAX = 64, CHUNK = 4096, TICK_MS = 5 };
enum { TO_CLIENT, TO_SERVER, DIRECTIONS };

struct cutter_control {
    long left[DIRECTIONS]; // bytes until the cut; negative: no cut
    long answered;
    int stall;
};

struct pair {
    int fds[DIRECTIONS]; // [TO_CLIENT] is the client's
};

static long get(const long *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static void set(long *p, long v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }

static void pair_close(struct pair *p)
{
    for (int d = 0; d < DIRECTIONS; d++) close(p->fds[d]);
    p->fds[0] = p->fds[1] = -1;
}

// send_all writes to a socket that may be full for a moment.
static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        p += sent;
        n -= (size_t)sent;
    }
    return true;
}

// forward moves what has come on one side to the other; the pair is closed at an end or a cut.
static void forward(struct cutter_control *c, struct pair *p, int direction)
{
    char chunk[CHUNK];
    ssize_t n = recv(p->fds[1 - direction], chunk, sizeof chunk, 0);
    if (n <= 0) {
        pair_close(p);
        return;
    }
    long left = get(&c->left[direction]);
    bool cut = left >= 0 && n >= left;
    size_t pass = cut ? (size_t)left : (size_t)n;
    if (direction == TO_CLIENT) __atomic_add_fetch(&c->answered, (long)pass, __ATOMIC_SEQ_CST);
    bool ok = send_all(p->fds[direction], chunk, pass);
    if (left >= 0) set(&c->left[direction], cut ? -1 : left - n);
    if (cut || !ok) pair_close(p);
}

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

static void pair_accept(struct pair pairs[PAIRS_MAX], int listener, const char *path)
{
    int client = accept(listener, NULL, NULL), server = client < 0 ? -1 : dial(path);
    for (int i = 0; i < PAIRS_MAX && server >= 0; i++) {
        if (pairs[i].fds[0] >= 0) continue;
        pairs[i] = (struct pair){{client, server}};
        return;
    }
    if (client >= 0) close(client);
    if (server >= 0) close(server);
}

static void turn(struct cutter_control *c, struct pair pairs[PAIRS_MAX], int listener,
                 const char *path)
{
    struct pollfd polls[1 + 2 * PAIRS_MAX] = {{.fd = listener, .events = POLLIN}};
    bool stall = __atomic_load_n(&c->stall, __ATOMIC_SEQ_CST) != 0;
    for (int i = 0; i < PAIRS_MAX; i++) {
        polls[1 + 2 * i] = (struct pollfd){.fd = pairs[i].fds[0], .events = POLLIN};
        polls[2 + 2 * i] = (struct pollfd){.fd = stall ? -1 : pairs[i].fds[1], .events = POLLIN};
    }
    if (poll(polls, 1 + 2 * PAIRS_MAX, TICK_MS) <= 0) return;
    if (polls[0].revents != 0) pair_accept(pairs, listener, path);
    for (int i = 0; i < 2 * PAIRS_MAX; i++)
        if (polls[1 + i].revents != 0 && pairs[i / 2].fds[0] >= 0 && polls[1 + i].fd >= 0)
            forward(c, &pairs[i / 2], i % 2 == 0 ? TO_SERVER : TO_CLIENT);
}

static int listen_on(const char *dir)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/.s.PGSQL.5432", dir);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0) return fd;
    perror("cutter: socket");
    return -1;
}

bool cutter_init(struct cutter *c, const struct pg *pg)
{
    char path[96];
    *c = (struct cutter){.pid = -1};
    snprintf(c->dir, sizeof c->dir, "/tmp/certmill-cut-XXXXXX");
    snprintf(path, sizeof path, "%s/.s.PGSQL.5432", pg->dir);
    if (mkdtemp(c->dir) == NULL) return false;
    snprintf(c->conninfo, sizeof c->conninfo, "host=%s port=5432 user=certmill dbname=postgres",
             c->dir);
    c->control = mmap(NULL, sizeof *c->control, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
    int listener = listen_on(c->dir);
    if (c->control == MAP_FAILED || listener < 0) return false;
    *c->control = (struct cutter_control){.left = {-1, -1}};
    c->pid = fork();
    if (c->pid == 0) {
        struct pair pairs[PAIRS_MAX];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        // What the parent has open would live on here: its peers would not see the end of it.
        listener = dup2(listener, 3);
        close_range(4, ~0u, 0);
        for (int i = 0; i < PAIRS_MAX; i++) pairs[i] = (struct pair){{-1, -1}};
        for (;;) turn(c->control, pairs, listener, path);
    }
    close(listener);
    return c->pid > 0;
}

void cutter_fini(struct cutter *c)
{
    char path[96];
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
    }
    munmap(c->control, sizeof *c->control);
    snprintf(path, sizeof path, "%s/.s.PGSQL.5432", c->dir);
    unlink(path);
    rmdir(c->dir);
}

void cutter_answer(struct cutter *c, long bytes)
{
    set(&c->control->answered, 0);
    set(&c->control->left[TO_CLIENT], bytes);
}

void cutter_request(struct cutter *c, long bytes) { set(&c->control->left[TO_SERVER], bytes); }

long cutter_answered(const struct cutter *c) { return get(&c->control->answered); }

void cutter_stall(struct cutter *c, bool stall)
{
    __atomic_store_n(&c->control->stall, stall, __ATOMIC_SEQ_CST);
}
