#include "signer/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/err.h"
#include "signer/err.h"

enum {
    HEAD_LEN = 4 + 4 + HASH_LEN,
    FIXED_LEN = 1 + 16 + HASH_LEN + SERIAL_LEN + HASH_LEN + HASH_LEN + 8,
    RECORD_MAX = 1 << 20,
    PENDING_MAX = 64 << 20,
    NAME_LEN = 16
};

// ---- bytes

static uint32_t crc32c(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void put(struct buf *b, uint64_t v, unsigned n, bool *ok)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    if (failed(buf_add(b, slice_of(bytes, n)))) *ok = false;
}

static void put_slice(struct buf *b, struct slice s, bool *ok)
{
    put(b, s.n, 4, ok);
    if (failed(buf_add(b, s))) *ok = false;
}

static uint64_t get(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static bool get_slice(struct slice *out, struct slice *in)
{
    if (in->n < 4) return false;
    size_t n = get(in->p, 4);
    if (n > in->n - 4) return false;
    *out = slice_sub(*in, 4, n);
    *in = slice_sub(*in, 4 + n, in->n);
    return true;
}

static bool payload_write(struct buf *b, const struct journal_record *r)
{
    bool ok = true;
    put(b, r->kind, 1, &ok);
    ok = !failed(buf_add(b, slice_of(r->order.b, 16))) && ok;
    ok = !failed(buf_add(b, slice_of(r->intent_hash, HASH_LEN))) && ok;
    ok = !failed(buf_add(b, slice_of(r->serial, SERIAL_LEN))) && ok;
    ok = !failed(buf_add(b, slice_of(r->tbs_hash, HASH_LEN))) && ok;
    ok = !failed(buf_add(b, slice_of(r->certificate_hash, HASH_LEN))) && ok;
    put(b, (uint64_t)r->time_s, 8, &ok);
    put_slice(b, r->caller, &ok);
    put_slice(b, r->intent, &ok);
    put_slice(b, r->certificate, &ok);
    return ok;
}

static bool payload_read(struct journal_record *r, struct slice in)
{
    if (in.n < FIXED_LEN || in.p[0] < JOURNAL_SIGNED || in.p[0] > JOURNAL_RENEWED) return false;
    const uint8_t *p = in.p;
    r->kind = (enum journal_kind)p[0];
    memcpy(r->order.b, p + 1, 16);
    memcpy(r->intent_hash, p + 17, HASH_LEN);
    memcpy(r->serial, p + 49, SERIAL_LEN);
    memcpy(r->tbs_hash, p + 69, HASH_LEN);
    memcpy(r->certificate_hash, p + 101, HASH_LEN);
    r->time_s = (int64_t)get(p + 133, 8);
    struct slice rest = slice_sub(in, FIXED_LEN, in.n);
    return get_slice(&r->caller, &rest) && get_slice(&r->intent, &rest) &&
           get_slice(&r->certificate, &rest) && rest.n == 0;
}

// ---- segments

static struct err say(char *note, uint32_t code, const char *what, int error)
{
    snprintf(note, JOURNAL_NOTE_MAX, "the journal %s%s%s", what, error == 0 ? "" : ": ",
             error == 0 ? "" : strerror(error));
    return (struct err){code};
}

static void segment_name(char out[NAME_LEN], uint32_t segment)
{
    snprintf(out, NAME_LEN, "%08u.seg", segment);
}

// segment_read puts a whole segment into malloc'ed memory; n 0 when it does not exist.
static struct err segment_read(uint8_t **out, size_t *out_n, char *note, int dir, uint32_t segment)
{
    char name[NAME_LEN];
    struct stat st;
    *out = NULL;
    *out_n = 0;
    segment_name(name, segment);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return OK;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > JOURNAL_SEGMENT_SIZE) {
        if (fd >= 0) close(fd);
        return say(note, ERR_JOURNAL, "cannot be read", errno);
    }
    size_t n = (size_t)st.st_size, got = 0;
    uint8_t *p = malloc(n + 1);
    for (ssize_t r; p != NULL && got < n && (r = pread(fd, p + got, n - got, (off_t)got)) > 0;)
        got += (size_t)r;
    close(fd);
    if (p == NULL || got < n) {
        free(p);
        return say(note, ERR_JOURNAL, "cannot be read", errno);
    }
    *out = p;
    *out_n = n;
    return OK;
}

// record_at reads the record at `offset`: its payload, or empty at the end. `torn` when what is
// there is not a whole record.
static struct slice record_at(const uint8_t *p, size_t n, size_t offset,
                              const uint8_t previous[HASH_LEN], bool *torn)
{
    *torn = false;
    if (offset + HEAD_LEN > n) return SLICE_NONE;
    uint32_t length = (uint32_t)get(p + offset, 4), crc = (uint32_t)get(p + offset + 4, 4);
    if (length == 0) {
        // The rest must be zero, as it was preallocated: a torn write may have left bytes behind a
        // length that did not get there.
        *torn = crc != 0;
        return SLICE_NONE;
    }
    *torn = true;
    if (length > RECORD_MAX || offset + HEAD_LEN + length > n) return SLICE_NONE;
    if (memcmp(p + offset + 8, previous, HASH_LEN) != 0) return SLICE_NONE;
    if (crc32c(p + offset + 8, HASH_LEN + length) != crc) return SLICE_NONE;
    *torn = false;
    return slice_of(p + offset + HEAD_LEN, length);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}

struct scan {
    uint32_t segment;
    uint64_t offset, count;
    uint8_t previous[HASH_LEN];
    bool torn;
};

// segment_scan walks one segment; *last says that no further segment exists, so a torn record may
// be a write that a crash cut off.
static struct err segment_scan(struct scan *s, char *note, const uint8_t *p, size_t n, bool last,
                               void (*visit)(void *ctx, uint32_t segment, uint64_t offset,
                                             const struct journal_record *r),
                               void *ctx)
{
    size_t offset = 0;
    bool torn;
    for (struct slice payload; (payload = record_at(p, n, offset, s->previous, &torn)).n > 0;) {
        struct journal_record r;
        if (!payload_read(&r, payload))
            return say(
                note, ERR_JOURNAL_CORRUPT,
                "has a record that cannot be read: it was written by another version or damaged",
                0);
        visit(ctx, s->segment, offset, &r);
        SHA256(p + offset, HEAD_LEN + payload.n, s->previous);
        s->count++;
        offset += HEAD_LEN + payload.n;
    }
    s->offset = offset;
    s->torn = torn;
    if (torn && !last)
        return say(
            note, ERR_JOURNAL_CORRUPT,
            "is damaged before its end: restore it from a copy; nothing is signed without it", 0);
    // Behind a torn record there may be more of the same batch, but never a record that was
    // acknowledged: a batch is synced as one.
    if (!torn && offset < n && !all_zero(p + offset, n - offset))
        return say(note, ERR_JOURNAL_CORRUPT, "has bytes behind its end: it is damaged", 0);
    return OK;
}

static struct err scan_all(struct scan *s, char *note, int dir,
                           void (*visit)(void *ctx, uint32_t segment, uint64_t offset,
                                         const struct journal_record *r),
                           void *ctx)
{
    *s = (struct scan){.segment = 1};
    for (uint32_t segment = 1;; segment++) {
        uint8_t *p;
        size_t n;
        char name[NAME_LEN];
        struct stat st;
        TRY(segment_read(&p, &n, note, dir, segment));
        if (n == 0) {
            free(p);
            return OK;
        }
        segment_name(name, segment + 1);
        bool last = fstatat(dir, name, &st, 0) != 0;
        s->segment = segment;
        struct err e = segment_scan(s, note, p, n, last, visit, ctx);
        free(p);
        TRY(e);
    }
}

static struct err segment_open(struct journal *j, char *note)
{
    char name[NAME_LEN];
    segment_name(name, j->segment);
    if (j->fd >= 0) close(j->fd);
    j->fd = openat(j->dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->fd < 0) return say(note, ERR_JOURNAL, "cannot be opened for writing", errno);
    int e = posix_fallocate(j->fd, 0, JOURNAL_SEGMENT_SIZE);
    if (e != 0) return say(note, ERR_JOURNAL, "cannot be preallocated", e);
    if (fsync(j->fd) != 0 || fsync(j->dir) != 0)
        return say(note, ERR_JOURNAL, "cannot be synced", errno);
    return OK;
}

// ---- index

static void entry_drop(struct journal *j, struct journal_entry *e)
{
    if (map_get(&j->index, e->order.b) == e) map_remove(&j->index, e->order.b);
    list_remove(&e->node);
    pool_put(&j->entries, e);
}

static void index_add(struct journal *j, uint32_t segment, uint64_t offset,
                      const struct journal_record *r)
{
    if (r->kind == JOURNAL_RENEWED) return; // of no order
    while (!list_empty(&j->ages)) {
        struct journal_entry *oldest = LIST_OWNER(j->ages.next, struct journal_entry, node);
        if (oldest->time_s + JOURNAL_INDEX_S >= r->time_s && j->entries.used < j->entries.count)
            break;
        entry_drop(j, oldest);
    }
    struct journal_entry *old = map_get(&j->index, r->order.b);
    if (old != NULL) entry_drop(j, old);
    struct journal_entry *e = pool_get(&j->entries);
    if (e == NULL) return;
    *e = (struct journal_entry){.order = r->order,
                                .burned = r->kind == JOURNAL_BURNED,
                                .time_s = r->time_s,
                                .segment = segment,
                                .offset = offset};
    memcpy(e->intent_hash, r->intent_hash, HASH_LEN);
    memcpy(e->serial, r->serial, SERIAL_LEN);
    list_push_back(&j->ages, &e->node);
    CHECK(!failed(map_put(&j->index, e->order.b, e)));
}

struct indexer {
    struct journal *j;
    int64_t since_s;
};

static void on_record(void *ctx, uint32_t segment, uint64_t offset, const struct journal_record *r)
{
    struct indexer *i = ctx;
    if (r->time_s >= i->since_s) index_add(i->j, segment, offset, r);
}

const struct journal_entry *journal_find(const struct journal *j, const struct id *order)
{
    return map_get(&j->index, order->b);
}

struct err journal_certificate(const struct journal *j, const struct journal_entry *e,
                               struct arena *a, struct slice *out)
{
    struct journal_record r;
    struct slice payload;
    if (e->segment == j->segment && e->offset >= j->unsynced_offset) {
        struct slice pending = buf_slice(&j->pending);
        size_t at = e->offset - j->unsynced_offset;
        payload = slice_sub(pending, at + HEAD_LEN, get(pending.p + at, 4));
        return payload_read(&r, payload) ? arena_dup(out, a, r.certificate) : ERR(JOURNAL);
    }
    char name[NAME_LEN];
    uint8_t head[HEAD_LEN];
    segment_name(name, e->segment);
    int fd = openat(j->dir, name, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pread(fd, head, sizeof head, (off_t)e->offset) == HEAD_LEN;
    size_t n = ok ? get(head, 4) : 0;
    uint8_t *p = ok && n <= RECORD_MAX ? arena_alloc(a, n) : NULL;
    ok = p != NULL && pread(fd, p, n, (off_t)e->offset + HEAD_LEN) == (ssize_t)n;
    if (fd >= 0) close(fd);
    if (!ok || !payload_read(&r, slice_of(p, n))) return ERR(JOURNAL);
    *out = r.certificate;
    return OK;
}

// ----

struct err journal_open(struct journal *j, char note[JOURNAL_NOTE_MAX], const char *path,
                        int64_t now_s)
{
    struct scan s;
    uint8_t seed[MAP_SEED_LEN];
    *j = (struct journal){.fd = -1, .dir = -1};
    RAND_bytes(seed, sizeof seed);
    list_init(&j->ages);
    buf_init(&j->pending, PENDING_MAX);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return say(note, ERR_JOURNAL, "folder cannot be made", errno);
    j->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dir < 0) return say(note, ERR_JOURNAL, "folder cannot be opened", errno);
    if (failed(map_init(&j->index, sizeof(struct id), JOURNAL_INDEX_MAX, seed)) ||
        failed(pool_init(&j->entries, "journal index", sizeof(struct journal_entry),
                         JOURNAL_INDEX_MAX)))
        return say(note, ERR_JOURNAL, "index does not fit into memory", 0);
    struct indexer indexer = {j, now_s - JOURNAL_INDEX_S};
    TRY(scan_all(&s, note, j->dir, on_record, &indexer));
    j->segment = s.segment;
    j->offset = j->unsynced_offset = s.offset;
    j->count = s.count;
    memcpy(j->previous, s.previous, HASH_LEN);
    TRY(segment_open(j, note));
    if (!s.torn) return OK;
    // The torn tail is cut: zeros again from the last whole record on.
    if (ftruncate(j->fd, (off_t)s.offset) != 0 ||
        posix_fallocate(j->fd, 0, JOURNAL_SEGMENT_SIZE) != 0 || fsync(j->fd) != 0)
        return say(note, ERR_JOURNAL, "tail cannot be cut", errno);
    return OK;
}

void journal_close(struct journal *j)
{
    while (j->ages.next != NULL && !list_empty(&j->ages))
        entry_drop(j, LIST_OWNER(j->ages.next, struct journal_entry, node));
    map_fini(&j->index);
    if (j->entries.memory != NULL) pool_fini(&j->entries);
    buf_fini(&j->pending);
    if (j->fd >= 0) close(j->fd);
    if (j->dir >= 0) close(j->dir);
    *j = (struct journal){.fd = -1, .dir = -1};
}

static struct err segment_turn(struct journal *j)
{
    char note[JOURNAL_NOTE_MAX];
    TRY(journal_sync(j));
    j->segment++;
    j->offset = j->unsynced_offset = 0;
    return segment_open(j, note);
}

struct err journal_add(struct journal *j, const struct journal_record *r)
{
    struct buf payload, record;
    bool ok = true;
    buf_init(&payload, RECORD_MAX);
    buf_init(&record, RECORD_MAX + HEAD_LEN);
    ok = payload_write(&payload, r);
    struct err e = ok ? OK : ERR(JOURNAL);
    size_t n = buf_len(&payload) + HEAD_LEN;
    if (!failed(e) && j->offset + n > JOURNAL_SEGMENT_SIZE) e = segment_turn(j);
    put(&record, buf_len(&payload), 4, &ok);
    put(&record, 0, 4, &ok);
    ok = ok && !failed(buf_add(&record, slice_of(j->previous, HASH_LEN))) &&
         !failed(buf_add(&record, buf_slice(&payload)));
    if (!failed(e) && ok) {
        uint8_t *p = record.p + record.head;
        uint32_t crc = crc32c(p + 8, n - 8);
        for (int i = 0; i < 4; i++) p[4 + i] = (uint8_t)(crc >> (24 - 8 * i));
        SHA256(p, n, j->previous);
        e = buf_add(&j->pending, buf_slice(&record));
        if (!failed(e)) index_add(j, j->segment, j->offset, r);
        j->offset += n;
        j->count++;
    }
    buf_fini(&payload);
    buf_fini(&record);
    return failed(e) || !ok ? ERR(JOURNAL) : OK;
}

struct err journal_sync(struct journal *j)
{
    struct slice s = buf_slice(&j->pending);
    if (s.n == 0) return OK;
    for (size_t done = 0; done < s.n;) {
        ssize_t n = pwrite(j->fd, s.p + done, s.n - done, (off_t)(j->unsynced_offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ERR(JOURNAL);
        done += (size_t)n;
    }
    if (fdatasync(j->fd) != 0)
        return ERR(JOURNAL); // never retried: the kernel may have dropped the pages
    j->unsynced_offset += s.n;
    buf_clear(&j->pending);
    return OK;
}

struct visitor {
    void (*visit)(void *ctx, uint64_t position, const struct journal_record *r);
    void *ctx;
    uint64_t position;
};

static void on_visit(void *ctx, uint32_t segment, uint64_t offset, const struct journal_record *r)
{
    struct visitor *v = ctx;
    (void)segment;
    (void)offset;
    v->visit(v->ctx, v->position++, r);
}

struct err journal_each(const char *path, char note[JOURNAL_NOTE_MAX],
                        void (*visit)(void *ctx, uint64_t position, const struct journal_record *r),
                        void *ctx)
{
    struct scan s;
    struct visitor v = {visit, ctx, 0};
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return say(note, ERR_JOURNAL, "folder cannot be opened", errno);
    struct err e = scan_all(&s, note, dir, on_visit, &v);
    close(dir);
    return e;
}
