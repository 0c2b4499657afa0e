// reactor: the one place of a shard that may wait. Three back ends behind this header: io_uring
// (multishot accept and recv into provided buffers), epoll (the same operations, made of
// readiness), simulated (tests). Owned by its shard's thread. Every submit returns at once; the op
// completes later through op->done, never inside the submit.
//
// Rules that keep every back end safe: an op and what it points at stay where they are until its
// completion without OP_MORE has run, also after a cancel, so an owner counts its ops in flight and
// is released at zero. One op per direction (accept, recv, poll IN; send, connect, poll OUT) is
// under way on a descriptor. Any call is fine inside done().
#pragma once
#include <sys/socket.h>

#include "cluster/core/op.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct reactor;

enum reactor_poll_mask { REACTOR_IN = 1, REACTOR_OUT = 4 }; // POLLIN, POLLOUT

// reactor_poll completes once when fd is ready for any of `mask`: res is the poll mask that is
// ready. For libpq, c-ares, eventfd.
void reactor_poll(struct reactor *r, struct op *op, int fd, unsigned mask);
// reactor_accept is multishot: res is a connected non-blocking descriptor, with OP_MORE while it
// goes on. Descriptor or memory shortage (EMFILE, ENFILE, ENOBUFS, ENOMEM) completes it without
// OP_MORE: the owner arms it again later.
void reactor_accept(struct reactor *r, struct op *op, int listen_fd);
// reactor_accept_one takes one connection and completes without OP_MORE, for an owner with little
// room left: a multishot accept may take all that waits before its owner can stop it.
void reactor_accept_one(struct reactor *r, struct op *op, int listen_fd);
// reactor_recv is multishot: res bytes are in the provided buffer `flags` names; 0 is the end of
// the stream. -ENOBUFS without OP_MORE when buffers ran out: arm it again.
void reactor_recv(struct reactor *r, struct op *op, int fd);
// reactor_buffer is the data of such a completion; reactor_buffer_return gives the buffer back
// (exactly once per completion with res > 0).
struct slice reactor_buffer(struct reactor *r, uint32_t flags, int32_t res);
void reactor_buffer_return(struct reactor *r, uint32_t flags);
// reactor_send sends from memory that stays until done; res may be less than n.
void reactor_send(struct reactor *r, struct op *op, int fd, const void *p, size_t n);
// reactor_connect connects a non-blocking socket; the address is copied. res 0 or negative errno.
void reactor_connect(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr,
                     socklen_t addr_len);
// reactor_cancel asks for an early end of an op: it still completes (with -ECANCELED or its
// result). Unknown ops are ignored.
void reactor_cancel(struct reactor *r, struct op *op);
// reactor_close closes a descriptor of reactor_socket, reactor_listen or reactor_accept; no op may
// be under way on it.
void reactor_close(struct reactor *r, int fd);

// The socket calls that need no waiting; they are here because the simulated back end has sockets
// of its own. Results are a descriptor, 0, or negative errno. reactor_socket makes a non-blocking
// stream socket (AF_INET, AF_INET6, AF_UNIX; no delay on TCP).
int reactor_socket(struct reactor *r, int family);
// reactor_listen makes a listening socket with SO_REUSEADDR and SO_REUSEPORT, IPv6 only when the
// address is IPv6.
int reactor_listen(struct reactor *r, const struct sockaddr *addr, socklen_t addr_len, int backlog);
// reactor_local and reactor_peer are getsockname and getpeername.
int reactor_local(struct reactor *r, int fd, struct sockaddr_storage *out);
int reactor_peer(struct reactor *r, int fd, struct sockaddr_storage *out);
// reactor_shutdown ends the sending direction: the peer reads the end of the stream.
int reactor_shutdown(struct reactor *r, int fd);
