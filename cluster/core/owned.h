// owned: the first member of every long-lived struct: a magic word and the thread that owns it.
// OWNED checks both on entry, in production too: two loads that turn a stray pointer or a call on
// the wrong core into a line and a stop.
#pragma once
#include "proto/base/err.h"

// thread_token is a variable whose address names the thread.
extern __thread char thread_token;

struct owned {
    uint64_t magic;
    const void *thread;
};

// OWNED_BY_ME is the initial value; a freed object gets OWNED_NONE.
#define OWNED_BY_ME(m) ((struct owned){.magic = (m), .thread = &thread_token})
#define OWNED_NONE ((struct owned){0})
// OWNED(x, m) stops the process unless `x` is alive, of the type with magic `m`, and of this
// thread.
#define OWNED(x, m) CHECK((x)->owned.magic == (m) && (x)->owned.thread == &thread_token)
