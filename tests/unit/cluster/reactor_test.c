// reactor: the same table of tests over each back end (io_uring, epoll, simulated), and what
// happens where io_uring is refused.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/internal.h"
#include "cluster/core/sim.h"
#include "cluster/err.h"
#include "tests/unit/unit.h"

enum { RECORDS = 4096, STEPS_MAX = 400 };

// struct probe is an op that writes down its completions.
struct probe {
    struct op op;
    size_t count;
    bool ended; // a completion without OP_MORE came
    int32_t res[RECORDS];
    uint32_t flags[RECORDS];
};

static enum shard_io io;
static struct sim *sim;
static struct reactor *r;
static bool inside_submit;

static void probe_done(struct op *op, int32_t res, uint32_t flags)
{
    struct probe *p = (struct probe *)op;
    assert_false(inside_submit); // never inside the submit
    assert_false(p->ended);
    assert_true(p->count < RECORDS);
    p->res[p->count] = res;
    p->flags[p->count++] = flags;
    p->ended = !(flags & OP_MORE);
}

static struct probe *probe_new(void)
{
    struct probe *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->op.done = probe_done;
    return p;
}

static int setup(void **state)
{
    (void)state;
    char note[REACTOR_NOTE_MAX];
    struct sim_options options = {.seed = 1, .latency_us_min = 50, .latency_us_max = 300};
    sim = NULL;
    if (io == SHARD_IO_SIM) assert_ok(sim_new(&sim, &options));
    assert_ok(reactor_new(&r, note, io, sim));
    assert_string_equal(note, "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(r->inflight, 0);
    reactor_free(r);
    sim_free(sim);
    return 0;
}

static void step(void)
{
    reactor_wait(r, sim == NULL ? 10 : 0);
    reactor_run(r);
    if (sim != NULL) sim_advance(sim, 100000);
}

static void until_count(const struct probe *p, size_t count)
{
    for (int i = 0; p->count < count && i < STEPS_MAX; i++) step();
    assert_true(p->count >= count);
}

static void until_ended(const struct probe *p)
{
    for (int i = 0; !p->ended && i < STEPS_MAX; i++) step();
    assert_true(p->ended);
}

#define SUBMIT(call)           \
    do {                       \
        inside_submit = true;  \
        call;                  \
        inside_submit = false; \
    } while (0)

static int listener_open(struct sockaddr_storage *where)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = reactor_listen(r, (struct sockaddr *)&any, sizeof any, 128);
    assert_true(fd >= 0);
    assert_int_equal(reactor_local(r, fd, where), 0);
    assert_true(address_port((struct sockaddr *)where) > 0);
    return fd;
}

// struct pair is an accepted connection, both ends in this reactor.
struct pair {
    struct sockaddr_storage where;
    int listener, client, server;
    struct probe *accept;
};

static int connect_one(const struct sockaddr_storage *where, int32_t want)
{
    struct probe *p = probe_new();
    int fd = reactor_socket(r, AF_INET);
    assert_true(fd >= 0);
    SUBMIT(
        reactor_connect(r, &p->op, fd, (const struct sockaddr *)where, sizeof(struct sockaddr_in)));
    until_ended(p);
    assert_int_equal(p->count, 1);
    assert_int_equal(p->res[0], want);
    free(p);
    return fd;
}

static void pair_open(struct pair *p)
{
    *p = (struct pair){.accept = probe_new()};
    p->listener = listener_open(&p->where);
    SUBMIT(reactor_accept(r, &p->accept->op, p->listener));
    p->client = connect_one(&p->where, 0);
    until_count(p->accept, 1);
    p->server = p->accept->res[0];
    assert_true(p->server >= 0);
    assert_int_equal(p->accept->flags[0] & OP_MORE, OP_MORE);
}

static void cancel(struct probe *p)
{
    SUBMIT(reactor_cancel(r, &p->op));
    until_ended(p);
    free(p);
}

static void pair_close(struct pair *p)
{
    cancel(p->accept);
    reactor_close(r, p->listener);
    if (p->client >= 0) reactor_close(r, p->client);
    if (p->server >= 0) reactor_close(r, p->server);
}

static void send_all(int fd, const uint8_t *p, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        struct probe *s = probe_new();
        SUBMIT(reactor_send(r, &s->op, fd, p + sent, n - sent));
        until_ended(s);
        assert_true(s->res[0] > 0);
        sent += (size_t)s->res[0];
        free(s);
    }
}

// collect copies what a recv has brought from record `from` on, and gives the buffers back.
static size_t collect(const struct probe *p, size_t from, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = from; i < p->count; i++) {
        if (p->res[i] <= 0) continue;
        struct slice s = reactor_buffer(r, p->flags[i], p->res[i]);
        if (out != NULL) memcpy(out + n, s.p, s.n);
        n += s.n;
        reactor_buffer_return(r, p->flags[i]);
    }
    return n;
}

static void accepts_several_and_knows_both_addresses(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    int more[3];
    for (int i = 0; i < 3; i++) more[i] = connect_one(&p.where, 0);
    until_count(p.accept, 4);
    struct sockaddr_storage client, seen;
    assert_int_equal(reactor_local(r, p.client, &client), 0);
    assert_int_equal(reactor_peer(r, p.server, &seen), 0);
    assert_int_equal(address_port((struct sockaddr *)&client),
                     address_port((struct sockaddr *)&seen));
    assert_int_equal(reactor_peer(r, p.client, &seen), 0);
    assert_int_equal(address_port((struct sockaddr *)&p.where),
                     address_port((struct sockaddr *)&seen));
    for (int i = 0; i < 3; i++) {
        reactor_close(r, more[i]);
        reactor_close(r, p.accept->res[i + 1]);
    }
    pair_close(&p);
}

// One connection is taken, and the others wait for whoever asks next.
static void accepts_one_when_asked_for_one(void **state)
{
    (void)state;
    struct sockaddr_storage where;
    int listener = listener_open(&where), clients[4], served[4];
    for (int i = 0; i < 4; i++) clients[i] = connect_one(&where, 0);
    for (int i = 0; i < 4; i++) {
        struct probe *p = probe_new();
        SUBMIT(reactor_accept_one(r, &p->op, listener));
        until_ended(p);
        assert_int_equal(p->count, 1);
        served[i] = p->res[0];
        assert_true(served[i] >= 0);
        free(p);
    }
    for (int i = 0; i < 4; i++) {
        reactor_close(r, clients[i]);
        reactor_close(r, served[i]);
    }
    reactor_close(r, listener);
}

static void carries_bytes_and_the_end_of_the_stream(void **state)
{
    (void)state;
    enum { BIG = 300000 };
    struct pair p;
    pair_open(&p);
    struct probe *in = probe_new();
    uint8_t *sent = malloc(BIG), *got = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) sent[i] = (uint8_t)(i * 7 + i / 251);
    SUBMIT(reactor_recv(r, &in->op, p.server));
    size_t taken = 0, received = 0, chunk = 0;
    for (size_t off = 0; off < BIG; off += chunk) {
        chunk = BIG - off < 20000 ? BIG - off : 20000;
        send_all(p.client, sent + off, chunk);
        received += collect(in, taken, got + received);
        taken = in->count;
    }
    assert_int_equal(reactor_shutdown(r, p.client), 0);
    until_ended(in);
    received += collect(in, taken, got + received);
    assert_int_equal(received, BIG);
    assert_memory_equal(sent, got, BIG);
    assert_int_equal(in->res[in->count - 1], 0);
    send_all(p.server, sent, 10); // the other direction still works
    struct probe *back = probe_new();
    SUBMIT(reactor_recv(r, &back->op, p.client));
    until_count(back, 1);
    assert_int_equal(collect(back, 0, got), 10);
    cancel(back);
    free(in);
    free(sent);
    free(got);
    pair_close(&p);
}

static void sends_wait_for_a_slow_reader(void **state)
{
    (void)state;
    enum { BIG = 8 << 20 };
    struct pair p;
    pair_open(&p);
    uint8_t *bytes = calloc(1, BIG);
    struct probe *out = probe_new(), *in = probe_new();
    size_t sent = 0;
    SUBMIT(reactor_send(r, &out->op, p.client, bytes,
                        BIG)); // nobody reads: partly done, then it hangs
    for (int i = 0; i < 5; i++) {
        step();
        if (!out->ended) continue;
        assert_true(out->res[0] > 0);
        sent += (size_t)out->res[0];
        *out = (struct probe){.op.done = probe_done};
        SUBMIT(reactor_send(r, &out->op, p.client, bytes + sent, BIG - sent));
    }
    assert_false(out->ended);
    assert_true(sent < BIG);
    SUBMIT(reactor_recv(r, &in->op, p.server)); // somebody reads: it goes on
    for (int i = 0; !out->ended && i < STEPS_MAX; i++) {
        size_t from = in->count;
        step();
        collect(in, from, NULL);
        if (in->ended) { // out of buffers for a moment
            *in = (struct probe){.op.done = probe_done};
            SUBMIT(reactor_recv(r, &in->op, p.server));
        }
    }
    assert_true(out->ended && out->res[0] > 0);
    SUBMIT(reactor_cancel(r, &in->op));
    size_t from = in->count;
    until_ended(in);
    collect(in, from, NULL);
    free(in);
    free(out);
    free(bytes);
    pair_close(&p);
}

static void says_when_nobody_listens(void **state)
{
    (void)state;
    struct sockaddr_storage where;
    int fd = listener_open(&where);
    reactor_close(r, fd);
    reactor_close(r, connect_one(&where, -ECONNREFUSED));
}

static void cancels_each_kind_of_op(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct probe *in = probe_new(), *idle = probe_new();
    SUBMIT(reactor_cancel(r, &idle->op)); // unknown: ignored
    SUBMIT(reactor_recv(r, &in->op, p.server));
    step();
    SUBMIT(reactor_cancel(r, &in->op));
    SUBMIT(reactor_cancel(r, &in->op)); // twice is once
    until_ended(in);
    assert_int_equal(in->count, 1);
    assert_int_equal(in->res[0], -ECANCELED);
    *in = (struct probe){.op.done = probe_done};
    SUBMIT(reactor_recv(r, &in->op, p.server)); // submitted and cancelled in one turn
    SUBMIT(reactor_cancel(r, &in->op));
    until_ended(in);
    assert_int_equal(in->res[0], -ECANCELED);
    for (int i = 0; i < 3; i++) step();
    assert_int_equal(idle->count, 0);
    free(in);
    free(idle);
    pair_close(&p);
}

static void runs_out_of_buffers_and_recovers(void **state)
{
    (void)state;
    enum { EACH = REACTOR_BUFFER_SIZE, TOTAL = EACH * (REACTOR_BUFFER_COUNT + 20) };
    struct pair p;
    pair_open(&p);
    struct probe *in = probe_new();
    uint8_t *bytes = calloc(1, TOTAL);
    SUBMIT(reactor_recv(r, &in->op, p.server));
    size_t sent = 0;
    while (!in->ended && sent < TOTAL) { // hold every buffer until none is left
        size_t n = TOTAL - sent < 4 * EACH ? TOTAL - sent : 4 * EACH;
        send_all(p.client, bytes, n);
        sent += n;
        step();
    }
    for (int i = 0; !in->ended && i < STEPS_MAX; i++) step();
    assert_true(in->ended);
    assert_int_equal(in->res[in->count - 1], -ENOBUFS);
    size_t got = collect(in, 0, NULL);
    *in = (struct probe){.op.done = probe_done};
    SUBMIT(reactor_recv(r, &in->op, p.server));
    for (int i = 0; got < sent && i < STEPS_MAX; i++) {
        size_t from = in->count;
        step();
        got += collect(in, from, NULL);
    }
    assert_int_equal(got, sent);
    cancel(in);
    free(bytes);
    pair_close(&p);
}

static void reports_a_reset(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct probe *in = probe_new();
    send_all(p.server, (const uint8_t *)"unread", 6);
    for (int i = 0; i < 10; i++) step();
    reactor_close(r, p.client); // with unread data: the peer is reset
    p.client = -1;
    SUBMIT(reactor_recv(r, &in->op, p.server));
    until_ended(in);
    assert_int_equal(in->res[in->count - 1], -ECONNRESET);
    free(in);
    pair_close(&p);
}

static void survives_descriptor_numbers_that_come_back(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    for (int i = 0; i < 50;
         i++) { // the kernel hands out the lowest free numbers: the same ones again and again
        int client = connect_one(&p.where, 0);
        until_count(p.accept, (size_t)i + 2);
        int server = p.accept->res[i + 1];
        struct probe *in = probe_new();
        SUBMIT(reactor_recv(r, &in->op, server));
        send_all(client, (const uint8_t *)"x", 1);
        until_count(in, 1);
        assert_int_equal(collect(in, 0, NULL), 1);
        reactor_close(r, client);
        until_ended(in);
        free(in);
        reactor_close(r, server);
    }
    pair_close(&p);
}

static void many_in_one_turn(void **state)
{
    (void)state;
    enum { CONNS = 100, PER_TURN = 2000 };
    struct pair p;
    pair_open(&p);
    struct probe *out[CONNS];
    int client[CONNS];
    for (int i = 0; i < CONNS; i++) client[i] = connect_one(&p.where, 0);
    until_count(p.accept, CONNS + 1);
    for (int i = 0; i < CONNS; i++) {
        out[i] = probe_new();
        SUBMIT(reactor_send(r, &out[i]->op, client[i], "hello", 5));
    }
    // More submissions than the ring's queue holds: cancels of an op nobody knows.
    struct op unknown = {.done = probe_done};
    for (int i = 0; i < PER_TURN; i++) SUBMIT(reactor_cancel(r, &unknown));
    for (int i = 0; i < CONNS; i++) {
        until_ended(out[i]);
        assert_int_equal(out[i]->res[0], 5);
        free(out[i]);
        reactor_close(r, client[i]);
        reactor_close(r, p.accept->res[i + 1]);
    }
    pair_close(&p);
}

struct chain {
    struct op op;
    int left, fd;
};

static void chain_done(struct op *op, int32_t res, uint32_t flags)
{
    struct chain *c = (struct chain *)op;
    (void)flags;
    assert_false(inside_submit);
    assert_int_equal(res, 1);
    if (--c->left > 0)
        SUBMIT(
            reactor_send(r, &c->op, c->fd, "y", 1)); // the op is free again the moment it has ended
}

static void submits_inside_done(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    struct chain c = {.op.done = chain_done, .left = 20, .fd = p.client};
    SUBMIT(reactor_send(r, &c.op, c.fd, "y", 1));
    for (int i = 0; c.left > 0 && i < STEPS_MAX; i++) step();
    assert_int_equal(c.left, 0);
    pair_close(&p);
}

static int32_t countdown_fault(void *ctx, enum reactor_call call, int fd)
{
    (void)fd;
    int *left = ctx;
    return call == REACTOR_CALL_SEND && --*left == 0 ? -EIO : 0;
}

static void fails_the_nth_operation_on_request(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    int left = 3;
    reactor_fault_set(r, countdown_fault, &left);
    for (int i = 1; i <= 4; i++) {
        struct probe *out = probe_new();
        SUBMIT(reactor_send(r, &out->op, p.client, "z", 1));
        until_ended(out);
        assert_int_equal(out->res[0], i == 3 ? -EIO : 1);
        free(out);
    }
    reactor_fault_set(r, NULL, NULL);
    pair_close(&p);
}

static void polls_descriptors_of_libraries(void **state)
{
    (void)state;
    if (io == SHARD_IO_SIM) return; // has none
    int fds[2];
    for (int round = 0; round < 3;
         round++) { // closed and opened again behind the reactor's back, with the same numbers
        assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
        struct probe *in = probe_new(), *out = probe_new();
        SUBMIT(reactor_poll(r, &in->op, fds[0], REACTOR_IN));
        step();
        assert_int_equal(in->count, 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        until_ended(in);
        assert_int_equal(in->res[0] & REACTOR_IN, REACTOR_IN);
        *in = (struct probe){.op.done = probe_done};
        SUBMIT(reactor_poll(
            r, &in->op, fds[0],
            REACTOR_IN | REACTOR_OUT)); // not read yet: ready at once, whatever else is asked
        until_ended(in);
        assert_int_equal(in->res[0] & REACTOR_IN, REACTOR_IN);
        SUBMIT(reactor_poll(r, &out->op, fds[1], REACTOR_OUT));
        until_ended(out);
        assert_int_equal(out->res[0], REACTOR_OUT);
        char c;
        assert_int_equal(read(fds[0], &c, 1), 1);
        *in = (struct probe){.op.done = probe_done};
        SUBMIT(reactor_poll(r, &in->op, fds[0], REACTOR_IN));
        step();
        SUBMIT(reactor_cancel(r, &in->op));
        *out = (struct probe){.op.done = probe_done};
        SUBMIT(reactor_poll(r, &out->op, fds[0],
                            REACTOR_IN)); // another op at once, while the first has not ended yet
        until_ended(in);
        assert_int_equal(in->res[0], -ECANCELED);
        close(fds[1]); // the end of the stream is readiness too
        until_ended(out);
        assert_true(out->res[0] > 0);
        close(fds[0]);
        free(in);
        free(out);
    }
}

static void ends_accepting_when_descriptors_run_out(void **state)
{
    (void)state;
    if (io == SHARD_IO_SIM) return; // has as many as it wants
    struct pair p;
    pair_open(&p);
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int client = reactor_socket(r, AF_INET);
    tight = before;
    tight.rlim_cur = (rlim_t)client + 1;
    SUBMIT(reactor_cancel(r, &p.accept->op)); // io_uring keeps the limit of when it was armed
    until_ended(p.accept);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    *p.accept = (struct probe){.op.done = probe_done};
    SUBMIT(reactor_accept(r, &p.accept->op, p.listener));
    struct probe *c = probe_new();
    SUBMIT(reactor_connect(r, &c->op, client, (struct sockaddr *)&p.where,
                           sizeof(struct sockaddr_in)));
    until_ended(c);
    assert_int_equal(c->res[0], 0);
    until_ended(p.accept);
    assert_int_equal(p.accept->res[0], -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    *p.accept = (struct probe){
        .op.done = probe_done}; // armed again: the connection waited in the backlog
    SUBMIT(reactor_accept(r, &p.accept->op, p.listener));
    until_count(p.accept, 1);
    assert_true(p.accept->res[0] >= 0);
    reactor_close(r, p.accept->res[0]);
    reactor_close(r, client);
    free(c);
    pair_close(&p);
}

static void listens_on_a_shared_port_only_by_agreement(void **state)
{
    (void)state;
    if (io == SHARD_IO_SIM) return;
    struct sockaddr_storage where;
    int first = listener_open(&where);
    int second = reactor_listen(r, (struct sockaddr *)&where, sizeof(struct sockaddr_in),
                                8); // SO_REUSEPORT on both
    assert_true(second >= 0);
    reactor_close(r, first);
    reactor_close(r, second);
    struct sockaddr_in elsewhere = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};
    assert_int_equal(reactor_listen(r, (struct sockaddr *)&elsewhere, sizeof elsewhere, 8),
                     -EADDRNOTAVAIL);
}

// refuse_io_uring makes the kernel answer io_uring_setup with `error`, as container runtimes do.
static void refuse_io_uring(int call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT_OF(code), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(99);
}

// refused_child: what reactor_new does in a process whose `call` is refused; the exit code says
// which promise was broken.
static int refused_child(int call, int error, const char *cause, const char *cure)
{
    char note[REACTOR_NOTE_MAX];
    struct reactor *made = NULL;
    refuse_io_uring(call, error);
    if (failed(reactor_new(&made, note, SHARD_IO_AUTO, NULL))) return 1;
    if (strcmp(made->ops->name, "epoll") != 0) return 2;
    if (strncmp(note, "io_uring is refused (", 21) != 0 || strstr(note, cause) == NULL ||
        strstr(note, cure) == NULL)
        return 3;
    if (strchr(note, '\n') != NULL) return 4;
    reactor_free(made);
    made = NULL;
    if (!err_is(reactor_new(&made, note, SHARD_IO_URING, NULL), ERR_RING_REFUSED) || made != NULL)
        return 5;
    if (strstr(note, cause) == NULL) return 6;
    if (failed(reactor_new(&made, note, SHARD_IO_EPOLL, NULL)) || note[0] != '\0') return 7;
    reactor_free(made);
    return 0;
}

static void says_why_io_uring_is_refused_and_goes_on_with_epoll(void **state)
{
    (void)state;
    static const struct {
        int call, error;
        const char *cause, *cure;
    } rows[] = {
        {SYS_io_uring_setup, EPERM, "seccomp", "allow io_uring_setup"},
        {SYS_io_uring_setup, ENOSYS, "CONFIG_IO_URING", "allow io_uring_setup"},
        {SYS_io_uring_setup, EINVAL, "older than 6.1", "Linux 6.1 or newer"},
        {SYS_io_uring_setup, ENOMEM, "locked memory", "LimitMEMLOCK="},
        {SYS_io_uring_register, EPERM, "seccomp", "io_uring_register"},
        {SYS_io_uring_enter, EPERM, "seccomp", "io_uring_enter"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(refused_child(rows[i].call, rows[i].error, rows[i].cause, rows[i].cure));
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("row %zu: status %x", i, status);
    }
}

#define EACH_BACK_END(test)                \
    {                                      \
#test, test, setup, teardown, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_BACK_END(accepts_several_and_knows_both_addresses),
        EACH_BACK_END(accepts_one_when_asked_for_one),
        EACH_BACK_END(carries_bytes_and_the_end_of_the_stream),
        EACH_BACK_END(sends_wait_for_a_slow_reader),
        EACH_BACK_END(says_when_nobody_listens),
        EACH_BACK_END(cancels_each_kind_of_op),
        EACH_BACK_END(runs_out_of_buffers_and_recovers),
        EACH_BACK_END(reports_a_reset),
        EACH_BACK_END(survives_descriptor_numbers_that_come_back),
        EACH_BACK_END(many_in_one_turn),
        EACH_BACK_END(submits_inside_done),
        EACH_BACK_END(fails_the_nth_operation_on_request),
        EACH_BACK_END(polls_descriptors_of_libraries),
        EACH_BACK_END(ends_accepting_when_descriptors_run_out),
        EACH_BACK_END(listens_on_a_shared_port_only_by_agreement),
    };
    const struct CMUnitTest refusals[] = {
        cmocka_unit_test(says_why_io_uring_is_refused_and_goes_on_with_epoll)};
    static const struct {
        enum shard_io io;
        const char *name;
    } back_ends[] = {{SHARD_IO_EPOLL, "reactor over epoll"},
                     {SHARD_IO_SIM, "reactor over the simulation"},
                     {SHARD_IO_URING, "reactor over io_uring"}};
    int bad = 0;
    for (size_t i = 0; i < COUNT_OF(back_ends); i++) {
        char note[REACTOR_NOTE_MAX];
        struct reactor *probe = NULL;
        io = back_ends[i].io;
        if (io == SHARD_IO_URING && failed(reactor_new(&probe, note, io, NULL))) {
            print_message("[ SKIPPED  ] %s: %s\n", back_ends[i].name,
                          note); // the machine's choice; the other two have run
            continue;
        }
        reactor_free(probe);
        bad += _cmocka_run_group_tests(back_ends[i].name, tests, COUNT_OF(tests), NULL, NULL);
    }
    return bad + cmocka_run_group_tests(refusals, NULL, NULL);
}
