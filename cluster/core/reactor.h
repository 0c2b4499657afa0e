// reactor: the one place of a shard that may wait. Three back ends behind this header: io_uring (multishot accept and recv into
// provided buffers), epoll (the same operations, made of readiness), simulated (tests). Owned by its shard's thread.
// Every submit returns at once; the op completes later through op->done, never inside the submit.
#pragma once
#include <sys/socket.h>

#include "cluster/core/op.h"
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct reactor;

enum reactor_poll_mask { REACTOR_IN = 1, REACTOR_OUT = 4 }; // POLLIN, POLLOUT

// reactor_poll completes once when fd is ready for any of `mask`: res is the poll mask that is ready. For libpq, c-ares, eventfd.
void reactor_poll(struct reactor *r, struct op *op, int fd, unsigned mask);
// reactor_accept is multishot: res is a connected non-blocking descriptor, with OP_MORE while it goes on. Descriptor or memory
// shortage (EMFILE, ENFILE, ENOBUFS, ENOMEM) completes it without OP_MORE: the owner arms it again later.
void reactor_accept(struct reactor *r, struct op *op, int listen_fd);
// reactor_recv is multishot: res bytes are in the provided buffer `flags` names; 0 is the end of the stream. -ENOBUFS without
// OP_MORE when buffers ran out: arm it again.
void reactor_recv(struct reactor *r, struct op *op, int fd);
// reactor_buffer is the data of such a completion; reactor_buffer_return gives the buffer back (exactly once per completion with res > 0).
struct slice reactor_buffer(struct reactor *r, uint32_t flags, int32_t res);
void reactor_buffer_return(struct reactor *r, uint32_t flags);
// reactor_send sends from memory that stays until done; res may be less than n.
void reactor_send(struct reactor *r, struct op *op, int fd, const void *p, size_t n);
// reactor_connect connects a non-blocking socket; the address is copied. res 0 or negative errno.
void reactor_connect(struct reactor *r, struct op *op, int fd, const struct sockaddr *addr, socklen_t addr_len);
// reactor_cancel asks for an early end of an op: it still completes (with -ECANCELED or its result). Unknown ops are ignored.
void reactor_cancel(struct reactor *r, struct op *op);
// reactor_close closes a descriptor once no op of this reactor uses it any more.
void reactor_close(struct reactor *r, int fd);
