#include "signer/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/err.h"
#include "signer/err.h"
#include "signer/journal_scan.h"

enum { PENDING_MAX = 64 << 20 };

// ---- the segment that is written

static struct err say(char *note, const char *what, int error)
{
    return journal_say(note, ERR_JOURNAL, what, error);
}

static struct err segment_open(struct journal *j, char *note)
{
    char name[SEGMENT_NAME_LEN];
    journal_segment_name(name, j->segment);
    if (j->fd >= 0) close(j->fd);
    j->fd = openat(j->dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->fd < 0) return say(note, "cannot be opened for writing", errno);
    int e = posix_fallocate(j->fd, 0, (off_t)j->segment_size);
    if (e != 0) return say(note, "cannot be preallocated", e);
    if (fsync(j->fd) != 0 || fsync(j->dir) != 0) return say(note, "cannot be synced", errno);
    return OK;
}

// ---- index

static void entry_drop(struct journal *j, struct journal_entry *e)
{
    if (map_get(&j->index, e->order.b) == e) map_remove(&j->index, e->order.b);
    list_remove(&e->node);
    pool_put(&j->entries, e);
}

// index_expire drops what is older than the index reaches back.
static void index_expire(struct journal *j, int64_t now_s)
{
    while (!list_empty(&j->ages)) {
        struct journal_entry *oldest = LIST_OWNER(j->ages.next, struct journal_entry, node);
        if (oldest->time_s + JOURNAL_INDEX_S >= now_s) break;
        entry_drop(j, oldest);
    }
}

size_t journal_room(struct journal *j, int64_t now_s)
{
    index_expire(j, now_s);
    return j->entries.count - j->entries.used;
}

// ---- CRLs

// shard_key keeps the shards of all issuers in one order, by hour first: the oldest go first.
static uint64_t shard_key(uint16_t issuer, uint64_t shard) { return shard << 16 | issuer; }

struct id journal_crl_key(uint16_t issuer, uint64_t shard, uint64_t number)
{
    struct id id;
    shard = shard_key(issuer, shard);
    for (int i = 0; i < 8; i++) id.b[i] = (uint8_t)(shard >> (56 - 8 * i));
    for (int i = 0; i < 8; i++) id.b[8 + i] = (uint8_t)(number >> (56 - 8 * i));
    return id;
}

static struct journal_crl crl_of(const struct journal_record *r)
{
    struct journal_crl c = {.this_update = r->time_s};
    for (int i = 0; i < 8; i++) c.shard = c.shard << 8 | r->order.b[i];
    for (int i = 8; i < 16; i++) c.number = c.number << 8 | r->order.b[i];
    return c;
}

// crl_place is the place of the first shard that is not before this one.
static size_t crl_place(const struct journal *j, uint64_t shard)
{
    size_t low = 0, high = j->crl_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (j->crls[middle].shard < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct journal_crl *journal_crl_find(const struct journal *j, uint16_t issuer, uint64_t shard)
{
    shard = shard_key(issuer, shard);
    size_t at = crl_place(j, shard);
    return at < j->crl_count && j->crls[at].shard == shard ? &j->crls[at] : NULL;
}

static bool crl_room(struct journal *j)
{
    if (j->crl_count == JOURNAL_CRLS_MAX) // the oldest shard goes
        memmove(j->crls, j->crls + 1, --j->crl_count * sizeof *j->crls);
    if (j->crl_count < j->crl_size) return true;
    size_t size = j->crl_size == 0 ? 64 : j->crl_size * 2;
    struct journal_crl *crls = realloc(j->crls, size * sizeof *crls);
    if (crls == NULL) return false;
    j->crls = crls;
    j->crl_size = size;
    return true;
}

static bool crl_keep(struct journal *j, const struct journal_record *r)
{
    struct journal_crl c = crl_of(r);
    size_t at = crl_place(j, c.shard);
    if (at < j->crl_count && j->crls[at].shard == c.shard) {
        j->crls[at] = c;
        return true;
    }
    if (!crl_room(j)) return false;
    at = crl_place(j, c.shard);
    memmove(j->crls + at + 1, j->crls + at, (j->crl_count - at) * sizeof *j->crls);
    j->crls[at] = c;
    j->crl_count++;
    return true;
}

static bool index_add(struct journal *j, uint32_t segment, uint64_t offset,
                      const struct journal_record *r)
{
    if (r->kind == JOURNAL_CRL) return crl_keep(j, r);
    if (r->kind == JOURNAL_RENEWED) return true; // of no order
    index_expire(j, r->time_s);
    struct journal_entry *old = map_get(&j->index, r->order.b);
    if (old != NULL) entry_drop(j, old);
    struct journal_entry *e = pool_get(&j->entries);
    if (e == NULL) return false;
    *e = (struct journal_entry){.order = r->order,
                                .burned = r->kind == JOURNAL_BURNED,
                                .time_s = r->time_s,
                                .segment = segment,
                                .offset = offset};
    memcpy(e->intent_hash, r->intent_hash, HASH_LEN);
    memcpy(e->serial, r->serial, SERIAL_LEN);
    list_push_back(&j->ages, &e->node);
    CHECK(!failed(map_put(&j->index, e->order.b, e)));
    return true;
}

struct indexer {
    struct journal *j;
    int64_t since_s;
    bool full;
};

static void on_record(void *ctx, uint32_t segment, uint64_t offset, const struct journal_record *r)
{
    struct indexer *i = ctx;
    // Of CRLs all count: a number is never used again.
    if ((r->kind == JOURNAL_CRL || r->time_s >= i->since_s) && !index_add(i->j, segment, offset, r))
        i->full = true;
}

const struct journal_entry *journal_find(const struct journal *j, const struct id *order)
{
    return map_get(&j->index, order->b);
}

// certificate_take checks that what was read is the entry's record, whole.
static struct err certificate_take(struct slice *out, struct arena *a,
                                   const struct journal_entry *e, const uint8_t *p, size_t n)
{
    struct journal_record r;
    uint32_t batch;
    struct slice payload = record_payload(p, n, 0);
    if (payload.n == 0 || !record_read(&r, &batch, payload) ||
        memcmp(r.order.b, e->order.b, sizeof r.order.b) != 0 ||
        memcmp(r.intent_hash, e->intent_hash, HASH_LEN) != 0)
        return ERR(JOURNAL);
    return arena_dup(out, a, r.certificate);
}

static struct err certificate_read(struct slice *out, struct arena *a,
                                   const struct journal_entry *e, int fd)
{
    uint8_t head[RECORD_HEAD_LEN];
    if (pread(fd, head, sizeof head, (off_t)e->offset) != RECORD_HEAD_LEN) return ERR(JOURNAL);
    size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    uint8_t *p = n > RECORD_MAX ? NULL : malloc(RECORD_HEAD_LEN + n);
    if (p == NULL) return ERR(JOURNAL);
    ssize_t got = pread(fd, p, RECORD_HEAD_LEN + n, (off_t)e->offset);
    struct err r = got == (ssize_t)(RECORD_HEAD_LEN + n)
                       ? certificate_take(out, a, e, p, RECORD_HEAD_LEN + n)
                       : ERR(JOURNAL);
    free(p);
    return r;
}

struct err journal_certificate(const struct journal *j, const struct journal_entry *e,
                               struct arena *a, struct slice *out)
{
    char name[SEGMENT_NAME_LEN];
    if (e->segment == j->segment && e->offset >= j->unsynced_offset) {
        struct slice pending = buf_slice(&j->pending);
        size_t at = e->offset - j->unsynced_offset;
        return certificate_take(out, a, e, pending.p + at, pending.n - at);
    }
    journal_segment_name(name, e->segment);
    int fd = openat(j->dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ERR(JOURNAL);
    struct err r = certificate_read(out, a, e, fd);
    close(fd);
    return r;
}

// ----

// folder_say: what is wrong with the folder itself, by its path.
static struct err folder_say(char *note, const char *path, const char *what)
{
    const char *cure = errno == EACCES || errno == EPERM
                           ? ": it must belong to the user that the signer runs as"
                       : errno == EROFS || errno == ENOSPC ? ": make room, or choose another disk"
                                                           : "";
    snprintf(note, JOURNAL_NOTE_MAX, "the journal folder %.300s cannot be %s (%s)%s", path, what,
             strerror(errno), cure);
    return ERR(JOURNAL);
}

struct err journal_folder(int *out, char note[JOURNAL_NOTE_MAX], const char *path, uid_t owner,
                          gid_t group)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno != EEXIST) return folder_say(note, path, "made");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return folder_say(note, path, "opened");
    if (made && owner != 0 && fchown(fd, owner, group) != 0) {
        close(fd);
        return folder_say(note, path, "given to the signer's user");
    }
    *out = fd;
    return OK;
}

// folder_lock keeps other signers out of the folder until it is closed.
static struct err folder_lock(struct journal *j, char *note, const char *path)
{
    if (flock(j->dir, LOCK_EX | LOCK_NB) == 0) return OK;
    snprintf(note, JOURNAL_NOTE_MAX, "the journal in %.300s is in use by another signer", path);
    return ERR(JOURNAL);
}

static struct err index_make(struct journal *j, char *note, size_t index_max)
{
    uint8_t seed[MAP_SEED_LEN];
    RAND_bytes(seed, sizeof seed);
    if (failed(map_init(&j->index, sizeof(struct id), index_max, seed)) ||
        failed(pool_init(&j->entries, "journal index", sizeof(struct journal_entry), index_max)))
        return say(note, "index does not fit into memory", 0);
    return OK;
}

// tail_cut makes zeros again of all behind the last whole record.
static struct err tail_cut(struct journal *j, char *note)
{
    if (ftruncate(j->fd, (off_t)j->offset) != 0 ||
        posix_fallocate(j->fd, 0, (off_t)j->segment_size) != 0 || fsync(j->fd) != 0)
        return say(note, "tail cannot be cut", errno);
    return OK;
}

static struct err opened(struct journal *j, char *note, const struct journal_options *o,
                         int64_t now_s)
{
    struct journal_scan s;
    struct indexer indexer = {j, now_s - JOURNAL_INDEX_S, false};
    const struct journal_visitor v = {.record = on_record, .ctx = &indexer};
    TRY(folder_lock(j, note, o->path));
    TRY(index_make(j, note, o->index_max));
    TRY(journal_scan(&s, note, j->dir, &v));
    if (indexer.full) {
        snprintf(note, JOURNAL_NOTE_MAX,
                 "the journal has more than %zu records of the last %d minutes: raise "
                 "journal_index",
                 o->index_max, JOURNAL_INDEX_S / 60);
        return (struct err){ERR_JOURNAL};
    }
    j->segment = s.segment;
    j->offset = j->unsynced_offset = s.offset;
    j->count = s.count;
    j->cut = s.torn;
    memcpy(j->previous, s.previous, HASH_LEN);
    TRY(segment_open(j, note));
    return s.torn ? tail_cut(j, note) : OK;
}

struct err journal_open_at(struct journal *j, char note[JOURNAL_NOTE_MAX], int folder,
                           const struct journal_options *o, int64_t now_s)
{
    *j = (struct journal){.fd = -1, .dir = folder, .segment_size = o->segment_size};
    list_init(&j->ages);
    buf_init(&j->pending, PENDING_MAX);
    struct err e = opened(j, note, o, now_s);
    if (failed(e)) journal_close(j);
    return e;
}

struct err journal_open(struct journal *j, char note[JOURNAL_NOTE_MAX],
                        const struct journal_options *o, int64_t now_s)
{
    int folder;
    *j = (struct journal){.fd = -1, .dir = -1};
    TRY(journal_folder(&folder, note, o->path, 0, 0));
    return journal_open_at(j, note, folder, o, now_s);
}

void journal_close(struct journal *j)
{
    while (j->ages.next != NULL && !list_empty(&j->ages))
        entry_drop(j, LIST_OWNER(j->ages.next, struct journal_entry, node));
    map_fini(&j->index);
    if (j->entries.memory != NULL) pool_fini(&j->entries);
    buf_fini(&j->pending);
    free(j->crls);
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

static struct err record_add(struct journal *j, struct buf *record, const struct journal_record *r)
{
    uint8_t previous[HASH_LEN];
    memcpy(previous, j->previous, HASH_LEN);
    if (!record_write(record, previous, r, (uint32_t)j->unsynced_offset)) return ERR(JOURNAL);
    if (j->offset + buf_len(record) > j->segment_size) {
        TRY(segment_turn(j));
        memcpy(previous, j->previous, HASH_LEN);
        buf_clear(record);
        if (!record_write(record, previous, r, 0)) return ERR(JOURNAL);
    }
    if (failed(buf_add(&j->pending, buf_slice(record))) || !index_add(j, j->segment, j->offset, r))
        return ERR(JOURNAL);
    memcpy(j->previous, previous, HASH_LEN);
    j->offset += buf_len(record);
    j->count++;
    return OK;
}

struct err journal_add(struct journal *j, const struct journal_record *r)
{
    struct buf record;
    if (j->broken) return ERR(JOURNAL);
    buf_init(&record, RECORD_HEAD_LEN + RECORD_MAX);
    struct err e = record_add(j, &record, r);
    buf_fini(&record);
    j->broken = failed(e);
    return e;
}

static struct err pending_write(struct journal *j)
{
    struct slice s = buf_slice(&j->pending);
    if (s.n == 0) return OK;
    for (size_t done = 0; done < s.n;) {
        ssize_t n = pwrite(j->fd, s.p + done, s.n - done, (off_t)(j->unsynced_offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ERR(JOURNAL);
        done += (size_t)n;
    }
    if (fdatasync(j->fd) != 0) return ERR(JOURNAL);
    j->unsynced_offset += s.n;
    buf_clear(&j->pending);
    return OK;
}

struct err journal_sync(struct journal *j)
{
    if (j->broken) return ERR(JOURNAL);
    struct err e = pending_write(j);
    j->broken = failed(e);
    return e;
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
    struct journal_scan s;
    struct visitor all = {visit, ctx, 0};
    const struct journal_visitor v = {.record = on_visit, .ctx = &all};
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return folder_say(note, path, "opened");
    struct journal_anchor anchor;
    struct err e = journal_anchor_read(&anchor, note, dir);
    all.position = anchor.count;
    if (!failed(e)) e = journal_scan(&s, note, dir, &v);
    close(dir);
    return e;
}
