#include "proto/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/err.h"

enum { SIZE_MIN = 256 };

void buf_init(struct buf *b, size_t ceiling) { *b = (struct buf){.ceiling = ceiling}; }

void buf_fini(struct buf *b)
{
    free(b->p);
    buf_init(b, b->ceiling);
}

void buf_wipe_fini(struct buf *b)
{
    if (b->p != NULL) explicit_bzero(b->p, b->size);
    buf_fini(b);
}

void buf_clear(struct buf *b) { b->head = b->tail = 0; }

static void move_to_front(struct buf *b)
{
    if (b->head == 0) return;
    memmove(b->p, b->p + b->head, buf_len(b));
    b->tail -= b->head;
    b->head = 0;
}

// grow makes the allocation at least `need` bytes. The old one is wiped: a buf may hold key
// material.
static bool grow(struct buf *b, size_t need)
{
    size_t size = b->size < SIZE_MIN ? SIZE_MIN : b->size;
    while (size < need) size *= 2;
    uint8_t *p = malloc(size);
    if (p == NULL) return false;
    if (buf_len(b) > 0) memcpy(p, b->p + b->head, buf_len(b));
    if (b->p != NULL) explicit_bzero(b->p, b->size);
    free(b->p);
    b->tail = buf_len(b);
    b->head = 0;
    b->p = p;
    b->size = size;
    return true;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (n > b->ceiling || buf_len(b) > b->ceiling - n) return NULL;
    if (b->p != NULL && n <= b->size - b->tail) return b->p + b->tail;
    if (b->p != NULL && buf_len(b) + n <= b->size)
        move_to_front(b);
    else if (!grow(b, buf_len(b) + n))
        return NULL;
    return b->p + b->tail;
}

void buf_commit(struct buf *b, size_t n)
{
    CHECK(n <= b->size - b->tail);
    b->tail += n;
}

struct err buf_add(struct buf *b, struct slice s)
{
    uint8_t *p = buf_reserve(b, s.n);
    if (p == NULL) return ERR(NO_SPACE);
    if (s.n > 0) memcpy(p, s.p, s.n);
    b->tail += s.n;
    return OK;
}

struct err buf_add_str(struct buf *b, const char *s) { return buf_add(b, slice_str(s)); }

struct err buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    uint8_t *p = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (p != NULL) {
        vsnprintf((char *)p, (size_t)n + 1, fmt, again);
        b->tail += (size_t)n; // the NUL behind the text is not counted
    }
    va_end(again);
    va_end(ap);
    return p == NULL ? ERR(NO_SPACE) : OK;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= buf_len(b));
    b->head += n;
    if (b->head == b->tail) b->head = b->tail = 0;
}
