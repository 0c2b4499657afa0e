#include "signer/journal_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/core/clock.h"
#include "cluster/core/files.h"
#include "proto/err.h"
#include "signer/err.h"
#include "signer/journal_scan.h"

enum { COPY_SIZE = 1 << 20, HOUR_S = 3600, KEEP_HOURS = 24, KEEP_HOURS_MAX = 876000 };

struct archive {
    int from, to;
    int64_t before_s;
    unsigned moved;
    char *note;
    struct err err;
};

static struct err fail(char *note, const char *what, const char *name)
{
    snprintf(note, JOURNAL_NOTE_MAX, "%s cannot be %s (%s)", name, what, strerror(errno));
    return ERR(JOURNAL);
}

// bytes_copy copies a segment's records, without the zeros behind them.
static bool bytes_copy(int to, int from, uint64_t n)
{
    uint8_t *p = malloc(COPY_SIZE);
    uint64_t at = 0;
    while (p != NULL && at < n) {
        size_t want = n - at < COPY_SIZE ? (size_t)(n - at) : COPY_SIZE;
        ssize_t got = pread(from, p, want, (off_t)at);
        if (got <= 0 || pwrite(to, p, (size_t)got, (off_t)at) != got) break;
        at += (uint64_t)got;
    }
    free(p);
    return at == n && fsync(to) == 0;
}

static struct err segment_copy(struct archive *a, const char *name, uint64_t n)
{
    char fresh[SEGMENT_NAME_LEN + 4];
    snprintf(fresh, sizeof fresh, "%s.new", name);
    int from = openat(a->from, name, O_RDONLY | O_CLOEXEC);
    if (from < 0) return fail(a->note, "read", name);
    int to = openat(a->to, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = to >= 0 && bytes_copy(to, from, n) && renameat(a->to, fresh, a->to, name) == 0 &&
              fsync(a->to) == 0;
    struct err e = ok ? OK : fail(a->note, "copied into the archive", name);
    if (to >= 0) close(to);
    close(from);
    return e;
}

static struct err anchor_put(struct archive *a, int dir, const struct journal_anchor *anchor)
{
    char text[ANCHOR_TEXT_MAX], note[FILES_NOTE_MAX];
    journal_anchor_write(text, anchor);
    if (!failed(file_replace(note, dir, "anchor", slice_str(text), false))) return OK;
    snprintf(a->note, JOURNAL_NOTE_MAX, "%.400s", note);
    return ERR(JOURNAL);
}

static struct err segment_move(struct archive *a, const struct journal_scan *s)
{
    char name[SEGMENT_NAME_LEN];
    struct journal_anchor next = {.segment = s->segment + 1, .count = s->count};
    memcpy(next.previous, s->previous, HASH_LEN);
    journal_segment_name(name, s->segment);
    TRY(segment_copy(a, name, s->offset));
    TRY(anchor_put(a, a->from, &next));
    if (unlinkat(a->from, name, 0) != 0 || fsync(a->from) != 0)
        return fail(a->note, "removed", name);
    a->moved++;
    return OK;
}

static bool has(int dir, uint32_t segment)
{
    char name[SEGMENT_NAME_LEN];
    struct stat st;
    journal_segment_name(name, segment);
    return fstatat(dir, name, &st, 0) == 0;
}

static bool on_segment(void *ctx, const struct journal_scan *s)
{
    struct archive *a = ctx;
    if (!has(a->from, s->segment + 1) || s->newest_s >= a->before_s) return false;
    a->err = segment_move(a, s);
    return !failed(a->err);
}

static void on_record(void *ctx, uint32_t segment, uint64_t offset, const struct journal_record *r)
{
    (void)ctx;
    (void)segment;
    (void)offset;
    (void)r;
}

// leftover_remove: a crash between the anchor and the removal has left the segment before it.
static struct err leftover_remove(struct archive *a, const struct journal_anchor *anchor)
{
    char name[SEGMENT_NAME_LEN];
    if (!has(a->from, anchor->segment - 1) || !has(a->to, anchor->segment - 1)) return OK;
    journal_segment_name(name, anchor->segment - 1);
    return unlinkat(a->from, name, 0) == 0 ? OK : fail(a->note, "removed", name);
}

// begin_write: an archive goes on where it ended. One that begins here says where that is, as the
// journal does.
static struct err begin_write(struct archive *a, const struct journal_anchor *anchor)
{
    struct journal_anchor begin;
    if (anchor->segment == 1 || has(a->to, anchor->segment - 1)) return OK;
    TRY(journal_anchor_read(&begin, a->note, a->to));
    if (begin.segment == anchor->segment) return OK;
    if (begin.segment == 1 && !has(a->to, 1)) return anchor_put(a, a->to, anchor);
    snprintf(a->note, JOURNAL_NOTE_MAX,
             "the archive does not end where the journal begins, at segment %08u: choose another "
             "folder",
             anchor->segment);
    return ERR(JOURNAL);
}

static struct err run(struct archive *a, const char *to)
{
    struct journal_anchor anchor;
    struct journal_scan s;
    const struct journal_visitor v = {.record = on_record, .segment = on_segment, .ctx = a};
    if (flock(a->to, LOCK_EX | LOCK_NB) != 0) {
        snprintf(a->note, JOURNAL_NOTE_MAX, "the archive %.300s is in use", to);
        return ERR(JOURNAL);
    }
    TRY(journal_anchor_read(&anchor, a->note, a->from));
    TRY(leftover_remove(a, &anchor));
    TRY(begin_write(a, &anchor));
    TRY(journal_scan(&s, a->note, a->from, &v));
    return a->err;
}

struct err journal_archive(unsigned *out_moved, char note[JOURNAL_NOTE_MAX], const char *from,
                           const char *to, int64_t before_s)
{
    struct archive a = {.from = -1, .to = -1, .before_s = before_s, .note = note, .err = OK};
    struct stat st_from, st_to;
    struct err e = OK;
    a.from = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a.from < 0) e = fail(note, "opened", from);
    if (!failed(e)) e = journal_folder(&a.to, note, to, 0, 0);
    if (!failed(e) && fstat(a.from, &st_from) == 0 && fstat(a.to, &st_to) == 0 &&
        st_from.st_dev == st_to.st_dev && st_from.st_ino == st_to.st_ino) {
        snprintf(note, JOURNAL_NOTE_MAX, "the archive must be another folder than the journal");
        e = ERR(JOURNAL);
    }
    if (!failed(e)) e = run(&a, to);
    if (a.from >= 0) close(a.from);
    if (a.to >= 0) close(a.to);
    *out_moved = a.moved;
    return e;
}

// ---- the command

static const char usage[] =
    "usage: certmill-signer journal archive --dir DIR --to DIR [--keep-hours N]\n"
    "\n"
    "Moves those segments of the journal in --dir to --to whose records are all older than N hours "
    "(default 24, at least 1). The chain of\n"
    "hashes is verified first, and goes on through both folders: the file `anchor` in --dir says "
    "where. The signer may run meanwhile; the\n"
    "command needs the rights of its user. `certmill-signer journal dump` reads both folders.\n";

int journal_archive_main(int argc, char **argv)
{
    static const struct option longs[] = {{"dir", 1, NULL, 'd'},
                                          {"to", 1, NULL, 't'},
                                          {"keep-hours", 1, NULL, 'k'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    const char *dir = NULL, *to = NULL;
    char note[JOURNAL_NOTE_MAX] = "", *end = NULL;
    long hours = KEEP_HOURS;
    unsigned moved;
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'd')
            dir = optarg;
        else if (o == 't')
            to = optarg;
        else if (o == 'k')
            hours = strtol(optarg, &end, 10);
        else
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
    }
    bool number = end == NULL || (*end == 0 && hours >= 1 && hours <= KEEP_HOURS_MAX);
    if (dir == NULL || to == NULL || !number || optind + 1 != argc) return fputs(usage, stderr), 2;
    if (failed(clock_start()))
        return fputs("certmill-signer: CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds\n",
                     stderr),
               2;
    struct err e = journal_archive(&moved, note, dir, to, clock_wall_s() - hours * HOUR_S);
    printf("%u segments moved from %s to %s\n", moved, dir, to);
    if (!failed(e)) return 0;
    fprintf(stderr, "certmill-signer: %s\n", note);
    return 1;
}
