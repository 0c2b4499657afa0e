// sandbox: what the signer never does is taken from its process: core dumps, tracing, other
// identities, new programs, files outside its own, and system calls that it does not need (io_uring
// among them, which would escape the filter). Called once, after everything has been opened. T59,
// T61.
#pragma once
#include <sys/types.h>

#include "proto/base/err.h"

struct log;

// sandbox_begin runs before secrets are read: not dumpable, no cores. ERR_SYSTEM.
RESULT sandbox_begin(char *note, size_t note_size);
// sandbox_user_find looks up `user`: what sandbox_user will become. 0 and 0 when nothing changes,
// because there is no user to become or because it was not started as root. ERR_SYSTEM.
RESULT sandbox_user_find(char *note, size_t note_size, uid_t *out_user, gid_t *out_group,
                         const char *user);
// sandbox_user becomes `user` when started as root; without a user, root gives up its capabilities.
// ERR_SYSTEM.
RESULT sandbox_user(char *note, size_t note_size, const char *user);
// sandbox_enter installs Landlock (reading and writing below the folder `writable`, a descriptor,
// reading in the folder of the file `config`, nothing else) and seccomp. What this system does not
// have is said in the log. ERR_SYSTEM.
RESULT sandbox_enter(char *note, size_t note_size, struct log *log, int writable,
                     const char *config);
