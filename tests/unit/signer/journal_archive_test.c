// journal_archive: what is moved is there, what is left goes on from it, whatever a crash leaves
// between the steps; and nothing that is young, last, or damaged is moved.
#include "signer/journal_archive.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signer/err.h"
#include "signer/journal_scan.h"
#include "tests/unit/signer/fixture.h"

enum { SEGMENT = 16 << 10, INDEX = 1000, OLD_S = FIXTURE_NOW_S, NOW_S = OLD_S + 86400 };

static struct arena arena;
static char *folder;
static const char *live, *archive;
static char note[JOURNAL_NOTE_MAX];
static unsigned written; // records

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    folder = fixture_folder();
    live = fixture_path(&arena, folder, "journal");
    archive = fixture_path(&arena, folder, "archive");
    written = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_folder_remove(folder);
    arena_fini(&arena);
    return 0;
}

static struct err opened(struct journal *j)
{
    struct journal_options o = {.path = live, .segment_size = SEGMENT, .index_max = INDEX};
    note[0] = 0;
    return journal_open(j, note, &o, NOW_S);
}

// grown adds records at a time: about fifteen fill a segment.
static void grown(unsigned count, int64_t time_s)
{
    struct journal j;
    static uint8_t bytes[800];
    struct err e = opened(&j);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    assert_int_equal(j.count, written);
    memset(bytes, 0x5a, sizeof bytes);
    for (unsigned i = 0; i < count; i++, written++) {
        struct journal_record r = {
            .kind = JOURNAL_SIGNED, .time_s = time_s, .certificate = slice_of(bytes, sizeof bytes)};
        r.order.b[14] = (uint8_t)(written >> 8);
        r.order.b[15] = (uint8_t)written;
        assert_ok(journal_add(&j, &r));
        assert_ok(journal_sync(&j));
    }
    journal_close(&j);
}

struct seen {
    uint64_t first, next;
};

static void on_record(void *ctx, uint64_t position, const struct journal_record *r)
{
    struct seen *s = ctx;
    if (s->next == 0) s->first = s->next = position;
    assert_int_equal(position, s->next++);
    assert_int_equal(r->order.b[14] << 8 | r->order.b[15], position);
}

// whole checks that both folders hold all records once, in order.
static void whole(uint64_t moved)
{
    struct seen old = {0}, young = {0};
    if (moved > 0) {
        assert_ok(journal_each(archive, note, on_record, &old));
        assert_int_equal(old.first, 0);
        assert_int_equal(old.next, moved);
    }
    young.first = young.next = moved;
    struct err e = journal_each(live, note, on_record, &young);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    assert_int_equal(young.next, written);
}

static unsigned archived(int64_t before_s)
{
    unsigned moved;
    note[0] = 0;
    struct err e = journal_archive(&moved, note, live, archive, before_s);
    if (failed(e)) print_error("%s\n", note);
    assert_ok(e);
    return moved;
}

static const char *segment(const char *in, unsigned n)
{
    return arena_printf(&arena, "%s/%08u.seg", in, n);
}

static bool there(const char *path) { return access(path, F_OK) == 0; }

static uint64_t anchored(void)
{
    unsigned first, hash;
    unsigned long long records;
    struct slice text = fixture_read(&arena, arena_printf(&arena, "%s/anchor", live));
    assert_int_equal(sscanf((const char *)text.p,
                            "certmill journal anchor 1\nsegment %u\nrecords %llu\nhash %8x", &first,
                            &records, &hash),
                     3);
    return records;
}

static void moves_what_is_old(void **state)
{
    (void)state;
    grown(100, OLD_S);
    grown(20, NOW_S);
    assert_int_equal(archived(OLD_S), 0); // not older than that
    assert_true(archived(NOW_S - JOURNAL_KEEP_MIN_S) >= 5);
    uint64_t moved = anchored();
    assert_true(moved >= 75 && moved < 100);
    assert_true(there(segment(archive, 1)) && !there(segment(live, 1)));
    whole(moved);
    grown(30, NOW_S); // the chain goes on, and what is young is known still
    whole(moved);
    struct journal j;
    struct id order = {{0}};
    order.b[15] = 119;
    assert_ok(opened(&j));
    assert_non_null(journal_find(&j, &order));
    journal_close(&j);
    assert_int_equal(archived(NOW_S - JOURNAL_KEEP_MIN_S), 0);
    assert_true(archived(NOW_S + 1) >= 2); // a day later
    assert_true(anchored() > moved);
    whole(anchored());
    grown(1, NOW_S);
    whole(anchored());
}

static void never_moves_the_last(void **state)
{
    (void)state;
    grown(3, OLD_S);
    assert_int_equal(archived(NOW_S), 0);
    assert_false(there(fixture_path(&arena, live, "anchor")));
    whole(0);
}

// What a crash leaves behind each step is taken up again.
static void goes_on_after_a_crash(void **state)
{
    (void)state;
    grown(40, OLD_S);
    struct slice first = fixture_read(&arena, segment(live, 1));
    grown(20, NOW_S);
    // A copy that was cut, and its temporary file, from before the anchor.
    assert_int_equal(mkdir(archive, 0700), 0);
    fixture_write(segment(archive, 1), slice_sub(first, 0, 100), 0600);
    fixture_write(arena_printf(&arena, "%s.new", segment(archive, 1)), first, 0600);
    assert_true(archived(NOW_S - JOURNAL_KEEP_MIN_S) >= 2);
    whole(anchored());
    // The removal was missed: the segment before the anchor is there still.
    unsigned last = 1;
    while (there(segment(archive, last + 1))) last++;
    fixture_write(segment(live, last), fixture_read(&arena, segment(archive, last)), 0600);
    whole(anchored());
    grown(1, NOW_S);
    assert_int_equal(archived(NOW_S - JOURNAL_KEEP_MIN_S), 0);
    assert_false(there(segment(live, last)));
    whole(anchored());
}

static void another_archive_begins_with_an_anchor(void **state)
{
    (void)state;
    unsigned moved;
    grown(40, OLD_S);
    grown(20, OLD_S + 10);
    assert_true(archived(OLD_S + 5) >= 1);
    const char *first = archive;
    uint64_t before = anchored();
    grown(20, NOW_S);
    archive = fixture_path(&arena, folder, "second");
    assert_true(archived(NOW_S - JOURNAL_KEEP_MIN_S) >= 1);
    struct seen s = {before, before};
    assert_ok(journal_each(archive, note, on_record, &s));
    assert_int_equal(s.next, anchored());
    // The first one does not end here any more.
    grown(40, NOW_S);
    assert_err(journal_archive(&moved, note, live, first, NOW_S + 1), ERR_JOURNAL);
    assert_non_null(strstr(note, "choose another folder"));
    assert_int_equal(moved, 0);
}

static void moves_nothing_that_is_damaged(void **state)
{
    (void)state;
    unsigned moved;
    grown(100, OLD_S);
    struct slice whole_segment = fixture_read(&arena, segment(live, 2));
    ((uint8_t *)(uintptr_t)whole_segment.p)[500] ^= 1;
    fixture_write(segment(live, 2), whole_segment, 0600);
    assert_err(journal_archive(&moved, note, live, archive, NOW_S), ERR_JOURNAL_CORRUPT);
    assert_non_null(strstr(note, "segment 00000002 from octet"));
    assert_int_equal(moved, 1);
    assert_true(there(segment(live, 2)) && !there(segment(archive, 2)));
}

// Without its anchor, or with another's, the rest is no journal.
static void needs_its_anchor(void **state)
{
    static const char *const wrong[] = {
        "", "certmill journal anchor 1\n",
        "certmill journal anchor 1\nsegment 00000003\nrecords 30\nhash "
        "0000000000000000000000000000000000000000000000000000000000000000\n",
        "certmill journal anchor 1\nsegment 00000000\nrecords 0\nhash "
        "0000000000000000000000000000000000000000000000000000000000000000\n"};
    (void)state;
    struct journal j;
    grown(60, OLD_S);
    assert_true(archived(NOW_S) >= 2);
    const char *path = fixture_path(&arena, live, "anchor");
    struct slice right = fixture_read(&arena, path);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        fixture_write(path, slice_str(wrong[i]), 0600);
        assert_err(opened(&j), ERR_JOURNAL_CORRUPT);
    }
    assert_int_equal(unlink(path), 0);
    assert_err(opened(&j), ERR_JOURNAL_CORRUPT);
    assert_non_null(strstr(note, "segment 00000001 is missing"));
    fixture_write(path, right, 0600);
    grown(1, NOW_S);
    whole(anchored());
}

static void says_what_is_wrong_with_folders(void **state)
{
    (void)state;
    unsigned moved;
    grown(1, OLD_S);
    assert_err(journal_archive(&moved, note, "/no/such", archive, NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "/no/such cannot be opened"));
    assert_err(journal_archive(&moved, note, live, "/proc/no/such", NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "/proc/no/such cannot be made"));
    assert_err(journal_archive(&moved, note, live, live, NOW_S), ERR_JOURNAL);
    assert_non_null(strstr(note, "another folder than the journal"));
}

// A signer that runs is not disturbed, and its repeats are answered.
static void works_beside_a_signer(void **state)
{
    (void)state;
    struct journal j;
    struct arena a;
    struct slice der;
    grown(60, OLD_S);
    grown(5, NOW_S);
    arena_init(&a, 1 << 20);
    assert_ok(opened(&j));
    assert_true(archived(NOW_S - JOURNAL_KEEP_MIN_S) >= 2);
    struct id order = {{0}};
    order.b[15] = 62;
    const struct journal_entry *e = journal_find(&j, &order);
    assert_non_null(e);
    assert_ok(journal_certificate(&j, e, &a, &der));
    assert_int_equal(der.n, 800);
    journal_close(&j);
    grown(5, NOW_S);
    whole(anchored());
    arena_fini(&a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(moves_what_is_old),
        TEST(never_moves_the_last),
        TEST(goes_on_after_a_crash),
        TEST(another_archive_begins_with_an_anchor),
        TEST(moves_nothing_that_is_damaged),
        TEST(needs_its_anchor),
        TEST(says_what_is_wrong_with_folders),
        TEST(works_beside_a_signer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
