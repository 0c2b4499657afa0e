// pool: objects of one size, all allocated at init, handed out and taken back by one thread. Full
// is an answer, not a crash.
#pragma once
#include "proto/base/err.h"

struct pool {
    uint8_t *memory;
    void *free_list;
    size_t object_size; // bytes, rounded up to the alignment of any type
    size_t count;       // objects in all
    size_t fresh;       // objects that were handed out at least once: the memory behind them has
                        // never been touched, so it costs nothing yet
    size_t used;        // objects handed out
    size_t used_max;    // most ever handed out at once
    const char *name;   // for messages; borrowed
};

// pool_init allocates `count` objects of `object_size` bytes. ERR_NO_SPACE when malloc refuses.
RESULT pool_init(struct pool *p, const char *name, size_t object_size, size_t count);
// pool_fini frees the memory. CHECKs that every object came back.
void pool_fini(struct pool *p);
// pool_get returns a zeroed object, or NULL when all are handed out.
void *pool_get(struct pool *p);
// pool_put takes an object back. CHECKs that it is of this pool. NULL is fine.
void pool_put(struct pool *p, void *object);
