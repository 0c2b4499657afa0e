// listen: how a server gets its listening socket, and the sentences that people read when it does
// not.
#pragma once
#include <sys/socket.h>

#include "cluster/core/reactor.h"
#include "proto/base/err.h"

// LISTEN_BACKLOG: connections that the kernel keeps until they are accepted.
enum { LISTEN_BACKLOG = 1024 };

// listen_open binds and listens; *fd is the descriptor, -1 on failure, and `note` a sentence then.
// A unix socket that nobody listens on any more is removed first. ERR_ADDRESS_IN_USE, ERR_SYSTEM.
RESULT listen_open(int *fd, char *note, size_t note_size, struct reactor *r, const char *name,
                   const struct sockaddr_storage *address, socklen_t address_len);
