// internal: what the files of cluster/core share: the reactor's back ends behind one table, and how
// a shard drives them.
#pragma once
#include "cluster/core/reactor.h"
#include "cluster/core/shard.h"

struct sim;

// struct reactor_ended is one completion that was gathered and waits to be run.
struct reactor_ended {
    struct op *op;
    int32_t res;
    uint32_t flags;
};

// struct reactor_ops is a back end. Each call means what reactor.h says of its namesake.
struct reactor_ops {
    const char *name; // as shards_io_name gives it
    void (*poll)(struct reactor *r, struct op *op, int fd, unsigned mask);
    void (*accept)(struct reactor *r, struct op *op, int listen_fd, bool one);
    void (*recv)(struct reactor *r, struct op *op, int fd);
    struct slice (*buffer)(struct reactor *r, unsigned number, size_t n);
    void (*buffer_return)(struct reactor *r, unsigned number);
    void (*send)(struct reactor *r, struct op *op, int fd, const void *p, size_t n);
    void (*connect)(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr,
                    socklen_t addr_len);
    void (*cancel)(struct reactor *r, struct op *op);
    void (*close)(struct reactor *r, int fd);
    int (*socket)(struct reactor *r, int family);
    int (*listen)(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len, int backlog);
    int (*local)(struct reactor *r, int fd, struct sockaddr_storage *out);
    int (*peer)(struct reactor *r, int fd, struct sockaddr_storage *out);
    int (*shutdown)(struct reactor *r, int fd);
    // wait submits what was asked for, waits at most wait_ms (0: not at all) and gathers with
    // reactor_ended_add.
    void (*wait)(struct reactor *r, unsigned wait_ms);
    void (*free)(struct reactor *r);
};

enum reactor_call {
    REACTOR_CALL_POLL,
    REACTOR_CALL_ACCEPT,
    REACTOR_CALL_RECV,
    REACTOR_CALL_SEND,
    REACTOR_CALL_CONNECT
};

// reactor_fault_fn lets a test fail operations by countdown: a negative errno ends the op with it
// instead of starting it. Fault libraries cannot see what io_uring does, so the hook is ours. NULL
// (always, outside tests): no faults.
typedef int32_t reactor_fault_fn(void *ctx, enum reactor_call call, int fd);

// struct reactor is the part that every back end begins with.
struct reactor {
    const struct reactor_ops *ops;
    struct reactor_ended *ended; // gathered, in order
    size_t ended_count, ended_size;
    struct reactor_ended *running; // being run
    size_t running_size;
    size_t inflight; // ops that were started and have not had their last completion
    reactor_fault_fn *fault;
    void *fault_ctx;
};

enum {
    REACTOR_BUFFER_SIZE = 4096, // bytes of a provided receive buffer
    REACTOR_BUFFER_COUNT = 512, // of them per shard: 2 MiB
    REACTOR_BUFFER_SHIFT = 16,  // the buffer's number in a completion's flags
    REACTOR_NOTE_MAX = 512,
};

// reactor_new makes the back end that `io` asks for. With SHARD_IO_AUTO a refused ring gives epoll
// and a sentence in `note` (which is empty otherwise); with SHARD_IO_URING the sentence comes with
// ERR_RING_REFUSED. `sim` is the world of SHARD_IO_SIM.
RESULT reactor_new(struct reactor **out, char note[REACTOR_NOTE_MAX], enum shard_io io,
                   struct sim *sim);
void reactor_free(struct reactor *r);
// reactor_wait and reactor_run are the two halves of a turn: the clock is read between them.
void reactor_wait(struct reactor *r, unsigned wait_ms);
void reactor_run(struct reactor *r);
// reactor_idle is true when nothing is gathered, so that a wait makes sense.
bool reactor_idle(const struct reactor *r);
void reactor_fault_set(struct reactor *r, reactor_fault_fn *fault, void *ctx);

// For the back ends.
RESULT reactor_base_init(struct reactor *r, const struct reactor_ops *ops);
void reactor_base_fini(struct reactor *r);
void reactor_ended_add(struct reactor *r, struct op *op, int32_t res, uint32_t flags);
RESULT reactor_epoll_new(struct reactor **out);
// reactor_uring_new returns 0 or a negative errno; `step` names the call that failed.
int reactor_uring_new(struct reactor **out, const char **step);
RESULT reactor_sim_new(struct reactor **out, struct sim *sim);

// The socket calls of the back ends that have real sockets (reactor_socket.c).
int socket_new(struct reactor *r, int family);
int socket_listen(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len, int backlog);
int socket_local(struct reactor *r, int fd, struct sockaddr_storage *out);
int socket_peer(struct reactor *r, int fd, struct sockaddr_storage *out);
int socket_shutdown(struct reactor *r, int fd);

// struct reactor_buffers: receive buffers of the back ends that hand them out themselves (epoll,
// simulated).
struct reactor_buffers {
    uint8_t *memory;
    uint16_t free[REACTOR_BUFFER_COUNT]; // numbers of free buffers
    unsigned free_count;
    uint64_t out[REACTOR_BUFFER_COUNT /
                 64]; // bit per buffer that is handed out: a double return is caught
};
RESULT reactor_buffers_init(struct reactor_buffers *b);
void reactor_buffers_fini(struct reactor_buffers *b);
// reactor_buffers_peek is the buffer that reactor_buffers_take will hand out next; NULL when none
// is left.
uint8_t *reactor_buffers_peek(const struct reactor_buffers *b);
unsigned reactor_buffers_take(struct reactor_buffers *b);
void reactor_buffers_put(struct reactor_buffers *b, unsigned number);
struct slice reactor_buffers_slice(const struct reactor_buffers *b, unsigned number, size_t n);

// How the group of a program's shards and the simulator drive one.
struct shard_group {
    struct shard *const *members;
    unsigned count;
};
// shard_group_set tells a shard its siblings; before its first turn.
void shard_group_set(struct shard *s, struct shard_group group);
// shard_turn_once is shard_turn and says how many completions, timers, messages and hooks it ran.
size_t shard_turn_once(struct shard *s, unsigned wait_ms);
// shard_next_ns is a lower bound of when the next timer is due; UINT64_MAX when there is none.
uint64_t shard_next_ns(const struct shard *s);
const char *shard_io_name(const struct shard *s);
// shard_io_note is the sentence when io_uring was refused, "" otherwise.
const char *shard_io_note(const struct shard *s);
