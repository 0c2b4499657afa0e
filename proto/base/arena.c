#include "proto/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"

enum { CHUNK_SIZE = 4096 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; // bytes of data
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *a, size_t ceiling) { *a = (struct arena){.ceiling = ceiling}; }

static void chunks_free(struct arena_chunk *c)
{
    while (c != NULL) {
        struct arena_chunk *next = c->next;
        free(c);
        c = next;
    }
}

// A reset keeps a chunk for the next user. Under AddressSanitizer it keeps none, so that whoever
// uses what was given out before the reset is seen.
#ifdef __SANITIZE_ADDRESS__
enum { KEEPS_CHUNK = 0 };
#else
enum { KEEPS_CHUNK = 1 };
#endif

void arena_reset(struct arena *a)
{
    if (!KEEPS_CHUNK) arena_fini(a);
    if (a->head != NULL) {
        chunks_free(a->head->next);
        a->head->next = NULL;
        a->head->used = 0;
    }
    a->used = 0;
}

void arena_fini(struct arena *a)
{
    chunks_free(a->head);
    a->head = NULL;
    a->used = 0;
}

static bool chunk_add(struct arena *a, size_t n)
{
    size_t size = n > CHUNK_SIZE ? n : CHUNK_SIZE;
    struct arena_chunk *c = malloc(sizeof *c + size);
    if (c == NULL) return false;
    *c = (struct arena_chunk){.next = a->head, .size = size};
    a->head = c;
    return true;
}

static size_t padded(size_t n)
{
    size_t align = alignof(max_align_t);
    return (n + align - 1) & ~(align - 1);
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->ceiling) return NULL;
    size_t need = padded(n);
    if (need > a->ceiling - a->used) return NULL;
    if ((a->head == NULL || need > a->head->size - a->head->used) && !chunk_add(a, need))
        return NULL;
    void *p = a->head->data + a->head->used;
    a->head->used += need;
    a->used += need;
    return p;
}

// chunk_grow makes room for `size` bytes in the newest chunk, whose only piece is the one that
// grows.
static bool chunk_grow(struct arena *a, size_t size)
{
    struct arena_chunk *c = realloc(a->head, sizeof *c + size);
    if (c == NULL) return false;
    c->size = size;
    a->head = c;
    return true;
}

// piece_move takes the newest piece, `n` bytes behind `others`, to a new chunk with room for
// `size`.
static bool piece_move(struct arena *a, size_t others, size_t n, size_t size)
{
    struct arena_chunk *from = a->head;
    if (!chunk_add(a, size)) return false;
    memcpy(a->head->data, from->data + others, n);
    from->used = others;
    return true;
}

void *arena_resize(struct arena *a, void *p, size_t n, size_t new_n)
{
    struct arena_chunk *c = a->head;
    size_t had = padded(n), need = padded(new_n);
    if (c == NULL || had > c->used || (uint8_t *)p != c->data + c->used - had) return NULL;
    if (new_n > a->ceiling || need > a->ceiling - (a->used - had)) return NULL;
    size_t others = c->used - had;
    if (need > c->size - others) {
        if (others == 0 ? !chunk_grow(a, need) : !piece_move(a, others, n, need)) return NULL;
        others = 0;
    }
    a->head->used = others + need;
    a->used = a->used - had + need;
    return a->head->data + others;
}

void *arena_calloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p != NULL) memset(p, 0, n);
    return p;
}

struct err arena_dup(struct slice *out, struct arena *a, struct slice s)
{
    uint8_t *p = arena_alloc(a, s.n + 1);
    if (p == NULL) return ERR(NO_SPACE);
    if (s.n > 0) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    *out = slice_of(p, s.n);
    return OK;
}

const char *arena_printf(struct arena *a, const char *fmt, ...)
{
    static const char full[] = "(no room for the detail)";
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p != NULL) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p == NULL ? full : p;
}
