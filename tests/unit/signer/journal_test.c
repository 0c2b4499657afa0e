// journal: what was added is there after reopening; a write that was cut off at any byte is cut,
// and any changed bit is refused; segments; a full disk and one that fails; the index and its
// bound.
#include "signer/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signer/err.h"
#include "signer/journal_record.h"
#include "tests/unit/signer/fixture.h"

enum { SEGMENT = 64 << 10, INDEX = 1000, NOW_S = FIXTURE_NOW_S };

static struct arena arena;
static char *folder;
static char note[JOURNAL_NOTE_MAX];

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    folder = fixture_folder();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    arena_fini(&arena);
    return 0;
}

static struct err opened(struct journal *j, int64_t now_s)
{
    struct journal_options o = {.path = folder, .segment_size = SEGMENT, .index_max = INDEX};
    note[0] = 0;
    return journal_open(j, note, &o, now_s);
}

static void open_ok(struct journal *j)
{
    struct err e = opened(j, NOW_S);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
}

// record_of is the i-th record: each field differs, and the certificate has `size` octets that look
// random.
static struct journal_record record_of(unsigned i, size_t size)
{
    struct journal_record r = {.kind = JOURNAL_SIGNED,
                               .time_s = NOW_S,
                               .caller = SLICE_LIT("urn:certmill:role:acme"),
                               .intent = make_text(&arena, "intent %u", i)};
    uint8_t *p = arena_alloc(&arena, size + 1), seed[4] = {(uint8_t)(i >> 8), (uint8_t)i},
            block[SHA256_DIGEST_LENGTH];
    assert_non_null(p);
    for (size_t k = 0; k < size; k++) {
        seed[2] = (uint8_t)(k / 32);
        seed[3] = (uint8_t)(k / 32 >> 8);
        if (k % 32 == 0) SHA256(seed, sizeof seed, block);
        p[k] = block[k % 32] | 1; // never zero
    }
    memset(r.order.b, 0, sizeof r.order.b);
    r.order.b[0] = (uint8_t)(i >> 8), r.order.b[15] = (uint8_t)i;
    memset(r.intent_hash, (int)i + 1, HASH_LEN);
    memset(r.serial, (int)i + 2, SERIAL_LEN);
    memset(r.tbs_hash, (int)i + 3, HASH_LEN);
    memset(r.certificate_hash, (int)i + 4, HASH_LEN);
    r.certificate = slice_of(p, size);
    return r;
}

static void add(struct journal *j, unsigned i, size_t size)
{
    struct journal_record r = record_of(i, size);
    assert_ok(journal_add(j, &r));
}

struct seen {
    unsigned count, size;
};

static void on_record(void *ctx, uint64_t position, const struct journal_record *r)
{
    struct seen *s = ctx;
    struct journal_record want = record_of(s->count, s->size);
    assert_int_equal(position, s->count++);
    assert_int_equal(r->kind, want.kind);
    assert_memory_equal(r->order.b, want.order.b, 16);
    assert_memory_equal(r->intent_hash, want.intent_hash, HASH_LEN);
    assert_memory_equal(r->serial, want.serial, SERIAL_LEN);
    assert_memory_equal(r->tbs_hash, want.tbs_hash, HASH_LEN);
    assert_memory_equal(r->certificate_hash, want.certificate_hash, HASH_LEN);
    assert_int_equal(r->time_s, want.time_s);
    assert_slice(r->caller, want.caller);
    assert_slice(r->intent, want.intent);
    assert_slice(r->certificate, want.certificate);
}

// dumped counts the records, each of which is the right one.
static unsigned dumped(unsigned size)
{
    struct seen s = {.size = size};
    struct err e = journal_each(folder, note, on_record, &s);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    return s.count;
}

static const char *segment(unsigned n) { return arena_printf(&arena, "%s/%08u.seg", folder, n); }

static size_t used_of(struct slice s)
{
    while (s.n > 0 && s.p[s.n - 1] == 0) s.n--;
    return s.n;
}

// changed writes the file with one octet xor-ed, or all from `at` on zero when flip is 0.
static void changed(const char *path, struct slice whole, size_t at, uint8_t flip)
{
    uint8_t *p = malloc(whole.n);
    assert_non_null(p);
    memcpy(p, whole.p, whole.n);
    if (flip != 0)
        p[at] ^= flip;
    else
        memset(p + at, 0, whole.n - at);
    fixture_write(path, slice_of(p, whole.n), 0600);
    free(p);
}

// ---- what is kept

static void appends_dumps_and_reopens(void **state)
{
    (void)state;
    struct journal j;
    open_ok(&j);
    assert_int_equal(dumped(300), 0);
    for (unsigned i = 0; i < 10; i++) {
        add(&j, i, 300);
        if (i % 3 == 0) assert_ok(journal_sync(&j));
    }
    assert_int_equal(dumped(300), 10); // the last was synced
    journal_close(&j);
    open_ok(&j);
    assert_int_equal(j.count, 10);
    assert_false(j.cut);
    add(&j, 10, 300);
    assert_int_equal(dumped(300), 10); // not synced yet
    assert_ok(journal_sync(&j));
    assert_ok(journal_sync(&j)); // nothing more: fine
    journal_close(&j);
    assert_int_equal(dumped(300), 11);
    struct stat st;
    assert_int_equal(stat(segment(1), &st), 0);
    assert_int_equal(st.st_size, SEGMENT);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void one_signer_at_a_time(void **state)
{
    (void)state;
    struct journal j, second;
    open_ok(&j);
    assert_err(opened(&second, NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "in use by another signer"));
    journal_close(&j);
    open_ok(&second);
    journal_close(&second);
}

static void turns_segments_over(void **state)
{
    (void)state;
    struct journal j;
    struct slice der;
    enum { COUNT = 300, SIZE = 900 }; // about 1.1 KB each: five segments
    open_ok(&j);
    for (unsigned i = 0; i < COUNT; i++) {
        add(&j, i, SIZE);
        if (i % 7 == 0) assert_ok(journal_sync(&j));
    }
    // What waits and what is in an older segment can be read back.
    for (unsigned i = 0; i < COUNT; i++) {
        struct journal_record want = record_of(i, SIZE);
        const struct journal_entry *e = journal_find(&j, &want.order);
        assert_non_null(e);
        assert_ok(journal_certificate(&j, e, &arena, &der));
        assert_slice(der, want.certificate);
        assert_memory_equal(e->serial, want.serial, SERIAL_LEN);
    }
    assert_ok(journal_sync(&j));
    assert_true(j.segment >= 4);
    unsigned last = j.segment;
    journal_close(&j);
    assert_int_equal(dumped(SIZE), COUNT);
    open_ok(&j);
    assert_int_equal(j.count, COUNT);
    assert_int_equal(j.segment, last);
    journal_close(&j);
    // A crash between a segment's creation and its first octet.
    fixture_write(segment(last + 1), SLICE_LIT(""), 0600);
    open_ok(&j);
    assert_int_equal(j.count, COUNT);
    journal_close(&j);
    assert_int_equal(unlink(segment(last + 1)), 0);
    // Lost segments are noticed, wherever they are.
    for (unsigned n = 1; n < last; n++) {
        assert_int_equal(rename(segment(n), segment(99)), 0);
        assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
        assert_non_null(strstr(note, "is missing"));
        assert_int_equal(rename(segment(99), segment(n)), 0);
    }
    // Two swapped ones, too.
    assert_int_equal(rename(segment(1), segment(99)), 0);
    assert_int_equal(rename(segment(2), segment(1)), 0);
    assert_int_equal(rename(segment(99), segment(2)), 0);
    assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
    assert_non_null(strstr(note, "is damaged: segment 00000001 from octet 0 on"));
}

// ---- torn and damaged

// three_batches leaves three batches of two records each; returns the file, and where each record
// begins.
static struct slice three_batches(size_t at[7], size_t size)
{
    struct journal j;
    open_ok(&j);
    for (unsigned i = 0; i < 6; i++) {
        at[i] = j.offset;
        add(&j, i, size);
        if (i % 2 == 1) assert_ok(journal_sync(&j));
    }
    at[6] = j.offset;
    journal_close(&j);
    return fixture_read(&arena, segment(1));
}

static void expect_cut(unsigned records, unsigned size, size_t at)
{
    struct journal j;
    struct err e = opened(&j, NOW_S);
    if (failed(e)) fail_msg("cut at %zu: %s", at, note);
    assert_int_equal(j.count, records);
    add(&j, records, size); // and on it goes
    assert_ok(journal_sync(&j));
    journal_close(&j);
    if (dumped(size) != records + 1) fail_msg("cut at %zu: the next record is lost", at);
}

static void cuts_a_torn_tail_at_every_byte(void **state)
{
    (void)state;
    for (size_t size = 40; size <= 1200; size += 1160) { // within a sector, and over several
        size_t at[7];
        struct slice whole = three_batches(at, size);
        for (size_t cut = at[5]; cut <= at[6]; cut++) {
            changed(segment(1), whole, cut, 0);
            expect_cut(cut == at[6] ? 6 : 5, (unsigned)size, cut);
        }
        // The first record of the last batch torn off as well: both go.
        for (size_t cut = at[4] + 3; cut < at[5]; cut += 7) {
            changed(segment(1), whole, cut, 0);
            expect_cut(4, (unsigned)size, cut);
        }
        assert_int_equal(unlink(segment(1)), 0);
    }
}

// Sectors of one write reach the disk in any order: with any of them missing the batch is cut where
// the first hole is.
static void cuts_a_batch_with_holes(void **state)
{
    (void)state;
    size_t at[7];
    struct slice whole = three_batches(at, 1200);
    for (size_t hole = at[4] / 512 + 1; hole < at[6] / 512; hole++) {
        struct slice copy;
        assert_ok(arena_dup(&copy, &arena, whole));
        memset((uint8_t *)(uintptr_t)copy.p + hole * 512, 0, 512);
        fixture_write(segment(1), copy, 0600);
        expect_cut(hole * 512 < at[5] ? 4 : 5, 1200, hole * 512);
    }
}

static void refuses_any_flipped_bit(void **state)
{
    (void)state;
    size_t at[7], refused = 0;
    struct journal j;
    struct slice whole = three_batches(at, 100);
    assert_int_equal(used_of(whole), at[6]);
    for (size_t i = 0; i < at[6]; i++)
        for (unsigned bit = i % 3; bit < 8; bit += 3) {
            changed(segment(1), whole, i, (uint8_t)(1u << bit));
            struct err e = opened(&j, NOW_S);
            if (!failed(e)) fail_msg("bit %u of octet %zu may be flipped", bit, i);
            assert_err(e, ERR_JOURNAL_CORRUPT);
            assert_non_null(strstr(note, "the journal is damaged: segment 00000001 from octet"));
            assert_non_null(strstr(note, "restore it from a copy"));
            refused++;
        }
    assert_true(refused > 2 * at[6]);
    // The file was not touched, and the dump says the same.
    changed(segment(1), whole, at[2] + 60, 4);
    struct slice before = fixture_read(&arena, segment(1));
    assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
    assert_true(slice_eq(before, fixture_read(&arena, segment(1))));
    struct seen s = {.size = 100};
    assert_err(journal_each(folder, note, on_record, &s), ERR_JOURNAL_CORRUPT);
    assert_int_equal(s.count, 2);
    // A record of an acknowledged batch that is gone is no torn tail, either.
    struct slice copy;
    assert_ok(arena_dup(&copy, &arena, whole));
    memset((uint8_t *)(uintptr_t)copy.p + at[2], 0, at[4] - at[2]);
    fixture_write(segment(1), copy, 0600);
    assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
    // Nor is a whole record that was taken out.
    assert_ok(arena_dup(&copy, &arena, whole));
    memmove((uint8_t *)(uintptr_t)copy.p + at[1], whole.p + at[2], whole.n - at[2]);
    fixture_write(segment(1), copy, 0600);
    assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
}

static void refuses_damage_in_an_older_segment(void **state)
{
    (void)state;
    struct journal j;
    open_ok(&j);
    for (unsigned i = 0; i < 100; i++) add(&j, i, 900);
    assert_ok(journal_sync(&j));
    journal_close(&j);
    struct slice first = fixture_read(&arena, segment(1));
    changed(segment(1), first, used_of(first) - 900, 0); // a torn tail, where none may be
    assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
    assert_non_null(strstr(note, "segment 00000001"));
}

static void refuses_another_version(void **state)
{
    (void)state;
    struct journal j;
    struct buf b;
    uint8_t previous[HASH_LEN] = {0};
    struct journal_record r = record_of(0, 50);
    r.kind = (enum journal_kind)9;
    buf_init(&b, SEGMENT);
    assert_true(record_write(&b, previous, &r, 0));
    fixture_write(segment(1), buf_slice(&b), 0600);
    buf_fini(&b);
    assert_err(opened(&j, NOW_S), ERR_JOURNAL_CORRUPT);
    assert_non_null(strstr(note, "another version"));
}

// ---- disks that fail

static void stops_when_the_disk_refuses(void **state)
{
    static const struct {
        const char *path;
        const char *what;
    } disks[] = {{"/dev/full", "ENOSPC"}, {"/proc/self/mem", "EIO"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(disks); i++) {
        struct journal j;
        open_ok(&j);
        add(&j, 0, 300);
        assert_ok(journal_sync(&j));
        int bad = open(disks[i].path, O_RDWR | O_CLOEXEC);
        assert_true(bad >= 0);
        assert_int_equal(pwrite(bad, "x", 1, 64), -1);
        assert_int_equal(errno, i == 0 ? ENOSPC : EIO);
        assert_true(dup2(bad, j.fd) >= 0);
        close(bad);
        add(&j, 1, 300);
        assert_err(journal_sync(&j), ERR_JOURNAL);
        journal_close(&j);
        assert_int_equal(dumped(300), 1);
        assert_int_equal(unlink(segment(1)), 0);
    }
}

static void stops_when_a_sync_fails(void **state)
{
    (void)state;
    struct journal j;
    open_ok(&j);
    int bad = open("/dev/null", O_RDWR | O_CLOEXEC); // takes any write, and has no sync
    assert_true(bad >= 0 && dup2(bad, j.fd) >= 0);
    close(bad);
    add(&j, 0, 300);
    assert_err(journal_sync(&j), ERR_JOURNAL);
    journal_close(&j);
    assert_int_equal(dumped(300), 0);
}

// A second sync may succeed and yet not have what the first one lost: it is never made.
static void never_tries_again(void **state)
{
    (void)state;
    struct journal j;
    open_ok(&j);
    int good = dup(j.fd), bad = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(good >= 0 && bad >= 0 && dup2(bad, j.fd) >= 0);
    add(&j, 0, 300);
    assert_err(journal_sync(&j), ERR_JOURNAL);
    assert_true(dup2(good, j.fd) >= 0); // the disk is well again
    close(good);
    close(bad);
    assert_err(journal_sync(&j), ERR_JOURNAL);
    struct journal_record r = record_of(1, 300);
    assert_err(journal_add(&j, &r), ERR_JOURNAL);
    assert_err(journal_sync(&j), ERR_JOURNAL);
    journal_close(&j);
    assert_int_equal(dumped(300), 0);
}

// The file system is full when the next segment is due: what was synced before stays, and a restart
// on the full disk says what to do.
static void fill(const char *path)
{
    struct journal_options o = {.path = path, .segment_size = SEGMENT, .index_max = INDEX};
    struct journal j;
    struct err e = OK;
    unsigned kept = 0;
    assert_ok(journal_open(&j, note, &o, NOW_S));
    for (unsigned i = 0; i < 1000 && !failed(e); i++) {
        struct journal_record r = record_of(i, 900);
        e = journal_add(&j, &r);
        if (!failed(e)) e = journal_sync(&j);
        if (!failed(e)) kept++;
    }
    assert_err(e, ERR_JOURNAL);
    assert_true(kept > 40);
    journal_close(&j);
    struct seen s = {.size = 900};
    assert_ok(journal_each(path, note, on_record, &s));
    assert_int_equal(s.count, kept);
}

static void stops_on_a_full_file_system(void **state)
{
    (void)state;
    if (mount("none", folder, "tmpfs", 0, "size=160k,mode=700") == 0) {
        fill(folder);
        assert_int_equal(umount2(folder, MNT_DETACH), 0);
        return;
    }
    // Without the right to mount: a bound on the size of files gives EFBIG in place of ENOSPC.
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit small = {1 << 14, 1 << 14};
        signal(SIGXFSZ, SIG_IGN);
        struct journal_options o = {.path = folder, .segment_size = SEGMENT, .index_max = INDEX};
        struct journal j;
        _exit(setrlimit(RLIMIT_FSIZE, &small) == 0 &&
                      err_is(journal_open(&j, note, &o, NOW_S), ERR_JOURNAL) &&
                      strstr(note, "cannot be preallocated") != NULL
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void says_what_is_wrong_with_the_folder(void **state)
{
    (void)state;
    struct journal j;
    struct journal_options o = {
        .path = "/proc/no/such", .segment_size = SEGMENT, .index_max = INDEX};
    assert_err(journal_open(&j, note, &o, NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "the journal folder /proc/no/such cannot be made (No such file"));
    o.path = fixture_path(&arena, folder, "file");
    fixture_write(o.path, SLICE_LIT("x"), 0600);
    assert_err(journal_open(&j, note, &o, NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "/file cannot be opened (Not a directory)"));
}

static void refuses_records_that_are_too_large(void **state)
{
    (void)state;
    struct journal j;
    struct journal_record r = record_of(0, RECORD_MAX);
    open_ok(&j);
    assert_err(journal_add(&j, &r), ERR_JOURNAL);
    assert_null(journal_find(&j, &r.order));
    assert_int_equal(j.count, 0);
    journal_close(&j);
}

// ---- the index

static void forgets_after_fifteen_minutes(void **state)
{
    (void)state;
    struct journal j;
    struct journal_record a = record_of(1, 50), b = record_of(2, 50), c = record_of(3, 50);
    b.time_s = NOW_S + JOURNAL_INDEX_S;
    c.time_s = b.time_s + 1;
    open_ok(&j);
    assert_ok(journal_add(&j, &a));
    assert_ok(journal_add(&j, &b));
    assert_non_null(journal_find(&j, &a.order));
    assert_ok(journal_add(&j, &c));
    assert_null(journal_find(&j, &a.order));
    assert_non_null(journal_find(&j, &b.order));
    assert_ok(journal_sync(&j));
    journal_close(&j);
    assert_ok(opened(&j, NOW_S)); // by this clock all three are young
    assert_non_null(journal_find(&j, &b.order));
    journal_close(&j);
    assert_ok(opened(&j, c.time_s + JOURNAL_INDEX_S));
    assert_null(journal_find(&j, &b.order));
    assert_non_null(journal_find(&j, &c.order));
    journal_close(&j);
}

static void knows_burned_serials_after_a_restart(void **state)
{
    (void)state;
    struct journal j;
    struct journal_record r = record_of(5, 0);
    r.kind = JOURNAL_BURNED;
    open_ok(&j);
    assert_ok(journal_add(&j, &r));
    assert_true(journal_find(&j, &r.order)->burned);
    assert_ok(journal_sync(&j));
    journal_close(&j);
    open_ok(&j);
    assert_true(journal_find(&j, &r.order)->burned);
    journal_close(&j);
}

static void renewals_take_no_place(void **state)
{
    (void)state;
    struct journal j;
    struct journal_record r = record_of(5, 30);
    r.kind = JOURNAL_RENEWED;
    open_ok(&j);
    assert_ok(journal_add(&j, &r));
    assert_null(journal_find(&j, &r.order));
    assert_int_equal(journal_room(&j, NOW_S), INDEX);
    assert_ok(journal_sync(&j));
    journal_close(&j);
    open_ok(&j);
    assert_int_equal(j.count, 1);
    assert_int_equal(journal_room(&j, NOW_S), INDEX);
    journal_close(&j);
}

static void says_when_the_index_is_full(void **state)
{
    (void)state;
    struct journal j;
    open_ok(&j);
    for (unsigned i = 0; i < INDEX; i++) {
        assert_int_equal(journal_room(&j, NOW_S), INDEX - i);
        add(&j, i, 20);
    }
    assert_int_equal(journal_room(&j, NOW_S), 0);
    assert_int_equal(journal_room(&j, NOW_S + JOURNAL_INDEX_S), 0);
    struct journal_record more = record_of(INDEX, 20);
    assert_err(journal_add(&j, &more), ERR_JOURNAL); // room was not asked for
    assert_null(journal_find(&j, &more.order));
    journal_close(&j);
    // The whole lot expires at once.
    open_ok(&j);
    journal_close(&j);
}

static void refuses_to_start_with_too_small_an_index(void **state)
{
    (void)state;
    struct journal j;
    open_ok(&j);
    for (unsigned i = 0; i < 20; i++) add(&j, i, 20);
    assert_ok(journal_sync(&j));
    assert_int_equal(journal_room(&j, NOW_S + JOURNAL_INDEX_S + 1), INDEX);
    journal_close(&j);
    struct journal_options o = {.path = folder, .segment_size = SEGMENT, .index_max = 19};
    assert_err(journal_open(&j, note, &o, NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "raise journal_index"));
    o.index_max = 20;
    assert_ok(journal_open(&j, note, &o, NOW_S));
    journal_close(&j);
}

// A repeat must not be answered with what the disk made of a record.
static void notices_a_record_that_changed_under_it(void **state)
{
    (void)state;
    struct journal j;
    struct slice der;
    struct journal_record r = record_of(0, 300);
    open_ok(&j);
    add(&j, 0, 300);
    assert_ok(journal_sync(&j));
    const struct journal_entry *e = journal_find(&j, &r.order);
    assert_ok(journal_certificate(&j, e, &arena, &der));
    changed(segment(1), fixture_read(&arena, segment(1)), 250, 1);
    assert_err(journal_certificate(&j, e, &arena, &der), ERR_JOURNAL);
    assert_int_equal(truncate(segment(1), 100), 0);
    assert_err(journal_certificate(&j, e, &arena, &der), ERR_JOURNAL);
    assert_int_equal(unlink(segment(1)), 0);
    assert_err(journal_certificate(&j, e, &arena, &der), ERR_JOURNAL);
    journal_close(&j);
}

// crc32c: the check value of its specification, seen through a record (RFC 3720 appendix B.4 has
// the polynomial).
static void sums_are_crc32c(void **state)
{
    (void)state;
    struct buf b;
    uint8_t previous[HASH_LEN] = {0};
    struct journal_record r = record_of(0, 9);
    buf_init(&b, 4096);
    assert_true(record_write(&b, previous, &r, 0));
    const uint8_t *p = buf_slice(&b).p;
    uint32_t crc = ~0u,
             want = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
    for (size_t i = 8; i < buf_len(&b); i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            unsigned in = (p[i] >> bit & 1) ^ (crc & 1);
            crc = crc >> 1 ^ (in != 0 ? 0x82f63b78u : 0);
        }
    assert_int_equal(~crc, want);
    buf_fini(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(appends_dumps_and_reopens),
        TEST(one_signer_at_a_time),
        TEST(turns_segments_over),
        TEST(cuts_a_torn_tail_at_every_byte),
        TEST(cuts_a_batch_with_holes),
        TEST(refuses_any_flipped_bit),
        TEST(refuses_damage_in_an_older_segment),
        TEST(refuses_another_version),
        TEST(stops_when_the_disk_refuses),
        TEST(stops_when_a_sync_fails),
        TEST(never_tries_again),
        TEST(stops_on_a_full_file_system),
        TEST(says_what_is_wrong_with_the_folder),
        TEST(refuses_records_that_are_too_large),
        TEST(forgets_after_fifteen_minutes),
        TEST(knows_burned_serials_after_a_restart),
        TEST(renewals_take_no_place),
        TEST(says_when_the_index_is_full),
        TEST(refuses_to_start_with_too_small_an_index),
        TEST(notices_a_record_that_changed_under_it),
        TEST(sums_are_crc32c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
