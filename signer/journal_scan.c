#include "signer/journal_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/err.h"
#include "signer/err.h"

struct err journal_say(char *note, uint32_t code, const char *what, int error)
{
    const char *cure = error == EACCES || error == EPERM
                           ? ": its files must belong to the user that the signer runs as"
                       : error == ENOSPC ? ": make room on its disk"
                                         : "";
    snprintf(note, JOURNAL_NOTE_MAX, "the journal %s%s%s%s", what, error == 0 ? "" : ": ",
             error == 0 ? "" : strerror(error), cure);
    return (struct err){code};
}

void journal_segment_name(char out[SEGMENT_NAME_LEN], uint32_t segment)
{
    snprintf(out, SEGMENT_NAME_LEN, "%08u.seg", segment);
}

// segment_read puts a whole segment into malloc'ed memory; n 0 when it does not exist.
static struct err segment_read(uint8_t **out, size_t *out_n, char *note, int dir, uint32_t segment)
{
    char name[SEGMENT_NAME_LEN];
    struct stat st;
    *out = NULL;
    *out_n = 0;
    journal_segment_name(name, segment);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return OK;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > JOURNAL_SEGMENT_SIZE) {
        if (fd >= 0) close(fd);
        return journal_say(note, ERR_JOURNAL, "cannot be read", errno);
    }
    size_t n = (size_t)st.st_size, got = 0;
    uint8_t *p = malloc(n + 1);
    for (ssize_t r; p != NULL && got < n && (r = pread(fd, p + got, n - got, (off_t)got)) > 0;)
        got += (size_t)r;
    close(fd);
    if (p == NULL || got < n) {
        free(p);
        return journal_say(note, ERR_JOURNAL, "cannot be read", errno);
    }
    *out = p;
    *out_n = n;
    return OK;
}

// ---- where the chain begins

static bool anchor_parse(struct journal_anchor *a, const char *text)
{
    unsigned long long count;
    char hash[2 * HASH_LEN + 1], rest;
    int n = sscanf(text,
                   "certmill journal anchor 1\nsegment %8u\nrecords %19llu\nhash %64[0-9a-f]%c",
                   &a->segment, &count, hash, &rest);
    if (n != 4 || rest != '\n' || a->segment == 0 || strlen(hash) != 2 * HASH_LEN) return false;
    a->count = count;
    for (size_t i = 0; i < HASH_LEN; i++)
        if (sscanf(hash + 2 * i, "%2hhx", &a->previous[i]) != 1) return false;
    return true;
}

void journal_anchor_write(char out[ANCHOR_TEXT_MAX], const struct journal_anchor *a)
{
    int n = snprintf(out, ANCHOR_TEXT_MAX,
                     "certmill journal anchor 1\nsegment %08u\nrecords %llu\nhash ", a->segment,
                     (unsigned long long)a->count);
    for (size_t i = 0; i < HASH_LEN; i++)
        n += snprintf(out + n, (size_t)(ANCHOR_TEXT_MAX - n), "%02x", a->previous[i]);
    snprintf(out + n, (size_t)(ANCHOR_TEXT_MAX - n), "\n");
}

struct err journal_anchor_read(struct journal_anchor *out, char note[JOURNAL_NOTE_MAX], int dir)
{
    char text[ANCHOR_TEXT_MAX] = "";
    *out = (struct journal_anchor){.segment = 1};
    int fd = openat(dir, "anchor", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return OK;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    int e = errno;
    if (fd >= 0) close(fd);
    if (n < 0) return journal_say(note, ERR_JOURNAL, "has an anchor that cannot be read", e);
    if (anchor_parse(out, text)) return OK;
    return journal_say(note, ERR_JOURNAL_CORRUPT,
                       "has an anchor that is none: restore it from a copy", 0);
}

// ---- segments

// segment_scan walks one segment; *last says that no further segment exists, so what does not
// continue the chain may be a write that a crash cut off.
static struct err segment_scan(struct journal_scan *s, char *note, const uint8_t *p, size_t n,
                               bool last, const struct journal_visitor *v)
{
    size_t offset = 0;
    s->newest_s = 0;
    for (struct slice payload; (payload = record_payload(p, n, offset)).n > 0;) {
        struct journal_record r;
        uint32_t batch;
        if (!record_follows(p + offset, s->previous)) break;
        if (!record_read(&r, &batch, payload))
            return journal_say(note, ERR_JOURNAL_CORRUPT,
                               "has a record that cannot be read: another version wrote it", 0);
        v->record(v->ctx, s->segment, offset, &r);
        if (r.time_s > s->newest_s) s->newest_s = r.time_s;
        record_hash(s->previous, p + offset, RECORD_HEAD_LEN + payload.n);
        s->count++;
        offset += RECORD_HEAD_LEN + payload.n;
    }
    enum record_end end = record_end_judge(p, n, offset);
    s->offset = offset;
    s->torn = end == RECORD_END_TORN;
    if (end == RECORD_END_CLEAN || (s->torn && last)) return OK;
    snprintf(note, JOURNAL_NOTE_MAX,
             "the journal is damaged: segment %08u from octet %zu on, behind record %llu; restore "
             "it from a copy: nothing is signed without it",
             s->segment, offset, (unsigned long long)s->count);
    return (struct err){ERR_JOURNAL_CORRUPT};
}

// gap_check: a segment behind a missing one would be written over.
static struct err gap_check(char *note, int dir, uint32_t missing)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0) close(fd);
        return journal_say(note, ERR_JOURNAL, "folder cannot be read", errno);
    }
    bool gap = false;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        unsigned number;
        char rest;
        gap |= sscanf(e->d_name, "%8u.se%c", &number, &rest) == 2 && rest == 'g' &&
               number > missing;
    }
    closedir(d);
    if (!gap) return OK;
    snprintf(note, JOURNAL_NOTE_MAX,
             "the journal is damaged: segment %08u is missing or empty, and later ones exist; "
             "restore it from a copy: nothing is signed without it",
             missing);
    return (struct err){ERR_JOURNAL_CORRUPT};
}

struct err journal_scan(struct journal_scan *out, char note[JOURNAL_NOTE_MAX], int dir,
                        const struct journal_visitor *v)
{
    struct journal_anchor anchor;
    TRY(journal_anchor_read(&anchor, note, dir));
    *out = (struct journal_scan){.segment = anchor.segment, .count = anchor.count};
    memcpy(out->previous, anchor.previous, HASH_LEN);
    for (uint32_t segment = anchor.segment;; segment++) {
        uint8_t *p;
        size_t n;
        char name[SEGMENT_NAME_LEN];
        struct stat st;
        TRY(segment_read(&p, &n, note, dir, segment));
        if (n == 0) {
            free(p);
            return gap_check(note, dir, segment);
        }
        journal_segment_name(name, segment + 1);
        bool last = fstatat(dir, name, &st, 0) != 0;
        out->segment = segment;
        struct err e = segment_scan(out, note, p, n, last, v);
        free(p);
        TRY(e);
        if (v->segment != NULL && !v->segment(v->ctx, out)) return OK;
    }
}
