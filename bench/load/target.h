// target: the ACME server that a run aims at, and what a run needs to aim: the resolved address,
// the trusted root, one shard, and the responder that answers http-01. One thread.
#pragma once
#include <sys/socket.h>

#include "bench/load/responder.h"
#include "cluster/core/shard.h"
#include "proto/base/buf.h"
#include "proto/tls/tls.h"

struct target {
    const char *directory; // whole URL, borrowed
    char host[256];        // for SNI and the name check
    char authority[300];   // host:port as in the directory URL
    struct sockaddr_storage address;
    socklen_t address_len;
    struct buf root_pem;
    struct tls_context *tls;
    struct log *log;
    struct metrics *metrics;
    struct shard *shard;
    struct responder *responder;
};

enum { TARGET_NOTE_MAX = 512 };

// target_open resolves the directory's host (blocking: this is a command, nothing else waits),
// reads the PEM file `root` and listens on `http` for challenges. ERR_BENCH_TARGET with a sentence
// in `note`; then, too, target_close must follow.
RESULT target_open(struct target *t, char note[TARGET_NOTE_MAX], const char *directory,
                   const char *root, const char *http);
void target_close(struct target *t);
