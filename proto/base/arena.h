// arena: memory of one request, released all at once. Grows by chunks up to a ceiling given at
// init. All-zero is not usable: call arena_init. Owned by one thread. Never returns memory
// piecemeal.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *head; // the chunk that is being filled
    size_t used;              // bytes handed out since init or the last reset, with padding
    size_t ceiling;           // bytes that may be handed out at most
};

// arena_init makes `a` empty with a ceiling in bytes. The first chunk is allocated by the first
// use.
void arena_init(struct arena *a, size_t ceiling);
// arena_reset wipes nothing, keeps one chunk for reuse, frees the others; everything handed out is
// invalid afterwards.
void arena_reset(struct arena *a);
// arena_fini frees all memory and leaves `a` as after arena_init.
void arena_fini(struct arena *a);
// arena_alloc returns `n` bytes aligned for any type, not zeroed, or NULL at the ceiling or when
// malloc refuses.
void *arena_alloc(struct arena *a, size_t n);
// arena_calloc is arena_alloc with all bytes zero.
void *arena_calloc(struct arena *a, size_t n);
// arena_resize makes the newest piece, `p` of `n` bytes, larger or smaller, and returns where it is
// now; a smaller one stays where it is. NULL, and nothing is changed, when `p` is not the newest,
// at the ceiling or when malloc refuses.
void *arena_resize(struct arena *a, void *p, size_t n, size_t new_n);
// arena_dup copies bytes and adds a NUL behind them (not counted in out->n). ERR_NO_SPACE at the
// ceiling.
RESULT arena_dup(struct slice *out, struct arena *a, struct slice s);
// arena_printf formats into the arena: NUL-terminated, valid until reset. Returns a constant text
// when the arena is full.
const char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
#define ARENA_NEW(a, type) ((type *)arena_calloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, count) ((type *)arena_calloc((a), sizeof(type) * (count)))
