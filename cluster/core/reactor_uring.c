// The io_uring back end: one ring per shard, SINGLE_ISSUER and DEFER_TASKRUN (completions are made
// only while we ask for them), multishot accept and recv, one ring of provided buffers, ordinary
// descriptors. One io_uring_enter per turn submits, waits and gathers. The ring is restricted
// before it is enabled to the operations below, so that a stray or forged entry can do nothing
// else.
#include "cluster/core/internal.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SQ_ENTRIES = 512,  // submissions of one turn; a fuller turn costs a second system call
    CQ_ENTRIES = 4096, // completions that fit before the kernel keeps them aside
    GATHER_MAX = 1024, // completions run per turn
    BUFFER_GROUP = 0,
};

struct reactor_uring {
    struct reactor base;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory;
    uint64_t out[REACTOR_BUFFER_COUNT / 64]; // bit per buffer that a completion handed to us
    bool more;                               // the last gathering left completions in the ring
    struct list connects; // struct connecting: addresses that the kernel may still read
    struct list connects_free;
};

// struct connecting wraps a connect: the kernel reads the address when it takes the submission, the
// caller's may be gone by then.
struct connecting {
    struct op op;
    struct list node;
    struct reactor_uring *u;
    struct op *owner;
    struct sockaddr_storage address;
};

static struct reactor_uring *uring_of(struct reactor *r) { return (struct reactor_uring *)r; }

static struct io_uring_sqe *sqe_get(struct reactor_uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    while (sqe == NULL) { // the turn has more to submit than the queue holds
        int res = io_uring_submit(&u->ring);
        CHECK(res >= 0 || res == -EAGAIN || res == -EBUSY || res == -EINTR);
        if (res == -EBUSY || res == -EAGAIN) io_uring_get_events(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void uring_poll(struct reactor *r, struct op *op, int fd, unsigned mask)
{
    struct io_uring_sqe *sqe = sqe_get(uring_of(r));
    io_uring_prep_poll_add(sqe, fd, mask);
    io_uring_sqe_set_data(sqe, op);
}

static void uring_accept(struct reactor *r, struct op *op, int listen_fd, bool one)
{
    struct io_uring_sqe *sqe = sqe_get(uring_of(r));
    if (one)
        io_uring_prep_accept(sqe, listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    else
        io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    io_uring_sqe_set_data(sqe, op);
}

static void uring_recv(struct reactor *r, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = sqe_get(uring_of(r));
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    io_uring_sqe_set_data(sqe, op);
}

static void uring_send(struct reactor *r, struct op *op, int fd, const void *p, size_t n)
{
    struct io_uring_sqe *sqe = sqe_get(uring_of(r));
    io_uring_prep_send(sqe, fd, p, n, MSG_NOSIGNAL);
    io_uring_sqe_set_data(sqe, op);
}

static void connecting_done(struct op *op, int32_t res, uint32_t flags)
{
    struct connecting *c = (struct connecting *)op;
    list_remove(&c->node);
    list_push_front(&c->u->connects_free, &c->node);
    c->owner->done(c->owner, res, flags);
}

static struct connecting *connecting_get(struct reactor_uring *u)
{
    struct list *node = list_pop_front(&u->connects_free);
    return node != NULL ? LIST_OWNER(node, struct connecting, node)
                        : calloc(1, sizeof(struct connecting));
}

static void uring_connect(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr,
                          socklen_t addr_len)
{
    struct reactor_uring *u = uring_of(r);
    struct connecting *c = connecting_get(u);
    if (c == NULL || addr_len > sizeof c->address) {
        free(c);
        reactor_ended_add(r, op, c == NULL ? -ENOMEM : -EINVAL, 0);
        return;
    }
    *c = (struct connecting){.op.done = connecting_done, .u = u, .owner = op};
    memcpy(&c->address, addr, addr_len);
    list_push_back(&u->connects, &c->node);
    struct io_uring_sqe *sqe = sqe_get(u);
    io_uring_prep_connect(sqe, fd, (struct sockaddr *)&c->address, addr_len);
    io_uring_sqe_set_data(sqe, &c->op);
}

static void uring_cancel(struct reactor *r, struct op *op)
{
    struct reactor_uring *u = uring_of(r);
    LIST_EACH (it, &u->connects) // few at a time
        if (LIST_OWNER(it, struct connecting, node)->owner == op)
            op = &LIST_OWNER(it, struct connecting, node)->op;
    struct io_uring_sqe *sqe = sqe_get(u);
    io_uring_prep_cancel(sqe, op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, NULL); // a failure (unknown op) comes back with it and is dropped
}

static struct slice uring_buffer(struct reactor *r, unsigned number, size_t n)
{
    struct reactor_uring *u = uring_of(r);
    CHECK(number < REACTOR_BUFFER_COUNT && (u->out[number / 64] >> number % 64 & 1) != 0);
    return slice_of(u->memory + (size_t)number * REACTOR_BUFFER_SIZE, n);
}

static void buffer_give(struct reactor_uring *u, unsigned number)
{
    io_uring_buf_ring_add(u->buffers, u->memory + (size_t)number * REACTOR_BUFFER_SIZE,
                          REACTOR_BUFFER_SIZE, (unsigned short)number,
                          io_uring_buf_ring_mask(REACTOR_BUFFER_COUNT), 0);
    io_uring_buf_ring_advance(u->buffers, 1);
}

static void uring_buffer_return(struct reactor *r, unsigned number)
{
    struct reactor_uring *u = uring_of(r);
    CHECK(number < REACTOR_BUFFER_COUNT && (u->out[number / 64] >> number % 64 & 1) != 0);
    u->out[number / 64] &= ~(UINT64_C(1) << number % 64);
    buffer_give(u, number);
}

static void uring_close(struct reactor *r, int fd)
{
    (void)r;
    close(fd);
}

// gather_one turns a CQE into a completion. A buffer that comes with nothing in it goes back at
// once.
static void gather_one(struct reactor_uring *u, const struct io_uring_cqe *cqe)
{
    struct op *op = io_uring_cqe_get_data(cqe);
    if (op == NULL) return; // a cancel that found nothing
    uint32_t flags = cqe->flags & IORING_CQE_F_MORE ? OP_MORE : 0;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned number = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        if (cqe->res > 0) {
            u->out[number / 64] |= UINT64_C(1) << number % 64;
            flags |= number << REACTOR_BUFFER_SHIFT;
        } else {
            buffer_give(u, number);
        }
    }
    reactor_ended_add(&u->base, op, cqe->res, flags);
}

static void gather(struct reactor_uring *u)
{
    unsigned head, count = 0;
    struct io_uring_cqe *cqe;
    u->more = false;
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        if (count == GATHER_MAX) {
            u->more = true;
            break;
        }
        gather_one(u, cqe);
        count++;
    }
    io_uring_cq_advance(&u->ring, count);
}

static void uring_wait(struct reactor *r, unsigned wait_ms)
{
    struct reactor_uring *u = uring_of(r);
    int res;
    if (wait_ms == 0 || u->more) {
        res = io_uring_submit_and_get_events(&u->ring);
    } else {
        struct __kernel_timespec t = {.tv_sec = wait_ms / 1000,
                                      .tv_nsec = (long long)(wait_ms % 1000) * 1000000};
        struct io_uring_cqe *first;
        res = io_uring_submit_and_wait_timeout(&u->ring, &first, 1, &t, NULL);
    }
    // EBUSY and EAGAIN: the kernel wants completions taken before it takes more; what was not
    // submitted stays queued.
    CHECK(res >= 0 || res == -ETIME || res == -EINTR || res == -EBUSY || res == -EAGAIN);
    gather(u);
}

static void uring_free(struct reactor *r)
{
    struct reactor_uring *u = uring_of(r);
    io_uring_queue_exit(&u->ring);
    if (u->buffers != NULL) munmap(u->buffers, REACTOR_BUFFER_COUNT * sizeof(struct io_uring_buf));
    free(u->memory);
    while (!list_empty(&u->connects))
        free(LIST_OWNER(list_pop_front(&u->connects), struct connecting, node));
    while (!list_empty(&u->connects_free))
        free(LIST_OWNER(list_pop_front(&u->connects_free), struct connecting, node));
    reactor_base_fini(r);
    free(u);
}

static int buffers_register(struct reactor_uring *u)
{
    size_t ring_size = REACTOR_BUFFER_COUNT * sizeof(struct io_uring_buf);
    u->memory = malloc((size_t)REACTOR_BUFFER_SIZE * REACTOR_BUFFER_COUNT);
    void *p = mmap(NULL, ring_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || u->memory == NULL) return -ENOMEM;
    u->buffers = p;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)p, .ring_entries = REACTOR_BUFFER_COUNT, .bgid = BUFFER_GROUP};
    int res = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (res != 0) return res;
    io_uring_buf_ring_init(u->buffers);
    for (unsigned i = 0; i < REACTOR_BUFFER_COUNT; i++) buffer_give(u, i);
    return 0;
}

static int restrict_and_enable(struct reactor_uring *u)
{
    static const uint8_t allowed[] = {IORING_OP_POLL_ADD, IORING_OP_ACCEPT,
                                      IORING_OP_RECV,     IORING_OP_SEND,
                                      IORING_OP_CONNECT,  IORING_OP_ASYNC_CANCEL};
    enum { OP_COUNT = sizeof allowed };
    struct io_uring_restriction rows[OP_COUNT + 2] = {0};
    for (unsigned i = 0; i < OP_COUNT; i++) {
        rows[i].opcode = IORING_RESTRICTION_SQE_OP;
        rows[i].sqe_op = allowed[i];
    }
    rows[OP_COUNT].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rows[OP_COUNT].sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
    rows[OP_COUNT + 1].opcode = IORING_RESTRICTION_REGISTER_OP;
    rows[OP_COUNT + 1].register_op = IORING_UNREGISTER_RING_FDS; // io_uring_queue_exit uses it
    int res = io_uring_register_restrictions(&u->ring, rows, OP_COUNT + 2);
    return res != 0 ? res : io_uring_enable_rings(&u->ring);
}

static const struct reactor_ops uring_ops = {
    .name = "io_uring",
    .poll = uring_poll,
    .accept = uring_accept,
    .recv = uring_recv,
    .buffer = uring_buffer,
    .buffer_return = uring_buffer_return,
    .send = uring_send,
    .connect = uring_connect,
    .cancel = uring_cancel,
    .close = uring_close,
    .socket = socket_new,
    .listen = socket_listen,
    .local = socket_local,
    .peer = socket_peer,
    .shutdown = socket_shutdown,
    .wait = uring_wait,
    .free = uring_free,
};

int reactor_uring_new(struct reactor **out, const char **step)
{
    struct reactor_uring *u = calloc(1, sizeof *u);
    *step = "memory";
    if (u == NULL || failed(reactor_base_init(&u->base, &uring_ops))) {
        free(u);
        return -ENOMEM;
    }
    list_init(&u->connects);
    list_init(&u->connects_free);
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = CQ_ENTRIES,
    };
    *step = "io_uring_setup";
    int res = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &params);
    if (res != 0) {
        reactor_base_fini(&u->base);
        free(u);
        return res;
    }
    *step = "io_uring_register";
    res = buffers_register(u);
    if (res == 0)
        (void)io_uring_register_ring_fd(
            &u->ring); // saves a look-up per system call; all works without
    if (res == 0) res = restrict_and_enable(u);
    if (res == 0) {
        *step = "io_uring_enter";
        res = io_uring_get_events(&u->ring); // a filter may allow the one and forbid the other
    }
    if (res < 0) {
        uring_free(&u->base);
        return res;
    }
    *out = &u->base;
    return 0;
}
