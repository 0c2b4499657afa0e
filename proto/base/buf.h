// buf: bytes that grow at the end and are consumed at the front, with a ceiling. All-zero is an
// empty buf whose ceiling is zero, so buf_init comes first. Owned by one thread.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct buf {
    uint8_t *p;     // start of the allocation
    size_t head;    // first byte not consumed
    size_t tail;    // first free byte
    size_t size;    // bytes allocated
    size_t ceiling; // bytes that may be held (tail - head) at most
};

// buf_init makes `b` empty with a ceiling in bytes; nothing is allocated yet.
void buf_init(struct buf *b, size_t ceiling);
// buf_fini frees the memory; the buf is empty and keeps its ceiling.
void buf_fini(struct buf *b);
// buf_wipe_fini overwrites everything the buf ever held in its present allocation, then frees it:
// for secrets.
void buf_wipe_fini(struct buf *b);
// buf_clear drops the contents and keeps the memory.
void buf_clear(struct buf *b);
// buf_reserve makes room for `n` more bytes and returns where they go, or NULL at the ceiling or
// when malloc refuses. The bytes count only after buf_commit.
uint8_t *buf_reserve(struct buf *b, size_t n);
// buf_commit adds `n` bytes that were written where buf_reserve said; n is at most what was
// reserved.
void buf_commit(struct buf *b, size_t n);
// buf_add appends a copy; ERR_NO_SPACE leaves the buf as it was.
RESULT buf_add(struct buf *b, struct slice s);
// buf_add_str appends a NUL-terminated text without its NUL.
RESULT buf_add_str(struct buf *b, const char *s);
// buf_printf appends formatted text; ERR_NO_SPACE leaves the buf as it was.
RESULT buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// buf_consume drops `n` bytes at the front; n is at most buf_slice(b).n.
void buf_consume(struct buf *b, size_t n);
// buf_slice is what the buf holds; valid until the buf is changed.
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->p == NULL ? NULL : b->p + b->head, b->tail - b->head);
}
static inline size_t buf_len(const struct buf *b) { return b->tail - b->head; }
