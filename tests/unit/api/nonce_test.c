// nonce: forms, tags, ages and windows (I9, T05): what is accepted is accepted once.
#include "api/acme/nonce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/err.h"
#include "proto/text/base64url.h"
#include "tests/unit/unit.h"

enum { LIFETIME = 3600, DAY = 86400 };

#define NOW INT64_C(1790000000) // 2026-09-21, in the afternoon
static const struct slice secret = {(const uint8_t *)"a secret of a cluster, 32 bytes..", 32};

static struct nonce_key key_of(struct slice s)
{
    struct nonce_key k;
    nonce_key_init(&k, s);
    return k;
}

static struct nonce sample(int64_t at)
{
    return (struct nonce){
        .boot = 0x0123456789abcdef, .core = 7, .counter = 0xfedcba9876, .unix_s = (uint32_t)at};
}

static bool reads(const char *text, int64_t now, unsigned lifetime)
{
    struct nonce_key k = key_of(secret); // another node's: it shares nothing but the secret
    struct nonce out;
    return nonce_read(&out, &k, slice_str(text), now, lifetime);
}

// ---- form, tag and age

static void another_node_reads_what_was_written(void **state)
{
    (void)state;
    struct nonce_key a = key_of(secret), b = key_of(secret);
    struct nonce n = sample(NOW), out;
    char text[NONCE_TEXT_LEN + 1];
    nonce_write(text, &a, &n);
    assert_int_equal(strlen(text), NONCE_TEXT_LEN);
    assert_true(nonce_read(&out, &b, slice_str(text), NOW, LIFETIME));
    assert_true(out.boot == n.boot && out.core == n.core && out.counter == n.counter &&
                out.unix_s == n.unix_s);
}

static void another_secret_refuses(void **state)
{
    (void)state;
    struct nonce_key a = key_of(secret), b = key_of(SLICE_LIT("another secret of 32 bytes ....."));
    struct nonce n = sample(NOW), out;
    char text[NONCE_TEXT_LEN + 1];
    nonce_write(text, &a, &n);
    assert_false(nonce_read(&out, &b, slice_str(text), NOW, LIFETIME));
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct nonce_key k = key_of(secret);
    struct nonce n = sample(NOW);
    char text[NONCE_TEXT_LEN + 1];
    uint8_t bytes[NONCE_LEN];
    size_t len;
    nonce_write(text, &k, &n);
    assert_ok(base64url_decode_into(bytes, sizeof bytes, &len, slice_str(text)));
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        base64url_encode(text, slice_of(bytes, sizeof bytes));
        if (reads(text, NOW, LIFETIME)) fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    base64url_encode(text, slice_of(bytes, sizeof bytes));
    assert_true(reads(text, NOW, LIFETIME));
}

static void other_texts_are_garbage(void **state)
{
    (void)state;
    struct nonce_key k = key_of(secret);
    struct nonce n = sample(NOW), out;
    char text[NONCE_TEXT_LEN + 3];
    nonce_write(text, &k, &n);
    for (size_t len = 0; len < NONCE_TEXT_LEN; len++)
        assert_false(nonce_read(&out, &k, slice_of(text, len), NOW, LIFETIME));
    strcpy(text + NONCE_TEXT_LEN, "==");
    assert_false(reads(text, NOW, LIFETIME));
    text[NONCE_TEXT_LEN] = 0;
    char last = text[NONCE_TEXT_LEN - 1];
    text[NONCE_TEXT_LEN - 1] = '=';
    assert_false(reads(text, NOW, LIFETIME));
    // The four unused bits of the last character: another text for the same bytes is another nonce.
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t value = (size_t)(strchr(alphabet, last) - alphabet);
    for (size_t low = 1; low < 16; low++) {
        text[NONCE_TEXT_LEN - 1] = alphabet[(value & ~15u) | low];
        assert_false(reads(text, NOW, LIFETIME));
    }
    assert_false(reads("", NOW, LIFETIME));
}

static void the_age_is_bounded_on_both_sides(void **state)
{
    (void)state;
    struct nonce_key k = key_of(secret);
    static const struct {
        int64_t made;
        bool good;
    } rows[] = {{NOW, true},
                {NOW - LIFETIME, true},
                {NOW - LIFETIME - 1, false},
                {NOW + NONCE_SKEW_S, true},
                {NOW + NONCE_SKEW_S + 1, false},
                {NOW - DAY, false},
                {0, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct nonce n = sample(rows[i].made);
        char text[NONCE_TEXT_LEN + 1];
        nonce_write(text, &k, &n);
        if (reads(text, NOW, LIFETIME) != rows[i].good) fail_msg("row %zu", i);
    }
}

static void midnight_changes_the_key_and_loses_nothing(void **state)
{
    (void)state;
    const int64_t midnight = (NOW / DAY + 1) * DAY;
    struct nonce_key k = key_of(secret);
    struct nonce before = sample(midnight - 10), after = sample(midnight + 5), out;
    char early[NONCE_TEXT_LEN + 1], late[NONCE_TEXT_LEN + 1];
    nonce_write(early, &k, &before);
    nonce_write(late, &k, &after);
    assert_memory_not_equal(early, late, NONCE_TEXT_LEN);
    for (int turn = 0; turn < 2; turn++) { // in either order, on one key
        assert_true(nonce_read(&out, &k, slice_str(early), midnight + 1, LIFETIME));
        assert_true(nonce_read(&out, &k, slice_str(late), midnight + 1, LIFETIME));
    }
    // A peer whose clock is ahead is in tomorrow already; today's stay good.
    assert_true(nonce_read(&out, &k, slice_str(late), midnight - 5, LIFETIME));
    assert_true(nonce_read(&out, &k, slice_str(early), midnight - 5, LIFETIME));
}

static void a_tag_of_another_day_is_refused(void **state)
{
    (void)state;
    struct nonce_key k = key_of(secret);
    struct nonce old = sample(NOW - DAY), out;
    char text[NONCE_TEXT_LEN + 1];
    uint8_t bytes[NONCE_LEN];
    size_t len;
    nonce_write(text, &k, &old);
    assert_ok(base64url_decode_into(bytes, sizeof bytes, &len, slice_str(text)));
    // The same body with today's time and yesterday's tag.
    for (int i = 0; i < 4; i++) bytes[14 + i] = (uint8_t)((uint64_t)NOW >> (24 - 8 * i));
    base64url_encode(text, slice_of(bytes, sizeof bytes));
    assert_false(nonce_read(&out, &k, slice_str(text), NOW, LIFETIME));
}

// ---- windows

static struct nonce_window window_new(void)
{
    struct nonce_window w;
    assert_ok(nonce_window_init(&w, 1, 2));
    return w;
}

static void each_counter_is_good_once(void **state)
{
    (void)state;
    struct nonce_window w = window_new();
    for (uint64_t i = 0; i < 1000; i++) assert_int_equal(nonce_window_issue(&w), i);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t c = i * 7 % 1000;
        assert_int_equal(nonce_window_redeem(&w, c), NONCE_OK);
        assert_int_equal(nonce_window_redeem(&w, c), NONCE_USED);
    }
    nonce_window_fini(&w);
}

static void what_was_not_issued_is_unknown(void **state)
{
    (void)state;
    struct nonce_window w = window_new();
    assert_int_equal(nonce_window_redeem(&w, 0), NONCE_UNKNOWN);
    nonce_window_issue(&w);
    assert_int_equal(nonce_window_redeem(&w, 1), NONCE_UNKNOWN);
    assert_int_equal(nonce_window_redeem(&w, UINT64_MAX), NONCE_UNKNOWN);
    assert_int_equal(nonce_window_redeem(&w, NONCE_WINDOW), NONCE_UNKNOWN);
    assert_int_equal(nonce_window_redeem(&w, 0), NONCE_OK);
    nonce_window_fini(&w);
}

// Ten times the window, some redeemed at once, some late, against a plain array that forgets
// nothing: never OK twice, and refused for age only when it has left the window.
static void the_window_agrees_with_a_plain_record(void **state)
{
    (void)state;
    const uint64_t total = 10ull * NONCE_WINDOW;
    struct nonce_window w = window_new();
    uint8_t *used = calloc(total, 1);
    uint64_t x = 88172645463325252u, wrong = 0;
    for (uint64_t i = 0; i < total; i++) {
        nonce_window_issue(&w);
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        uint64_t back = x % 3 == 0 ? x % 64 : x % (2 * NONCE_WINDOW), c = i - back;
        if (back > i) continue;
        enum nonce_verdict v = nonce_window_redeem(&w, c), want = back >= NONCE_WINDOW
                                                                      ? NONCE_UNKNOWN
                                                                  : used[c] ? NONCE_USED
                                                                            : NONCE_OK;
        wrong += v != want;
        if (v == NONCE_OK) used[c] = 1;
    }
    assert_int_equal(wrong, 0);
    free(used);
    nonce_window_fini(&w);
}

static void a_new_boot_knows_nothing_of_the_last(void **state)
{
    (void)state;
    struct nonce_window old = window_new(), fresh;
    for (int i = 0; i < 10; i++) nonce_window_issue(&old);
    assert_int_equal(nonce_window_redeem(&old, 3), NONCE_OK);
    assert_ok(nonce_window_init(&fresh, 99, 2));
    // The boot is compared before a window is asked; the counters alone must not help either.
    for (uint64_t c = 0; c < 10; c++)
        assert_int_equal(nonce_window_redeem(&fresh, c), NONCE_UNKNOWN);
    nonce_window_fini(&old);
    nonce_window_fini(&fresh);
}

// ---- handing over

static void adopted_after(uint64_t issued)
{
    struct nonce_window w = window_new(), heir;
    for (uint64_t i = 0; i < issued; i++) nonce_window_issue(&w);
    uint64_t low = issued < NONCE_WINDOW ? 0 : issued - NONCE_WINDOW;
    for (uint64_t c = low; c < issued; c += 3)
        assert_int_equal(nonce_window_redeem(&w, c), NONCE_OK);
    assert_ok(nonce_window_adopt(&heir, w.boot, w.core, w.next, nonce_window_bits(&w)));
    nonce_window_fini(&w);
    for (uint64_t c = low; c < issued; c++) {
        enum nonce_verdict want = (c - low) % 3 == 0 ? NONCE_USED : NONCE_OK;
        if (nonce_window_redeem(&heir, c) != want) fail_msg("counter %llu", (unsigned long long)c);
        if (nonce_window_redeem(&heir, c) != NONCE_USED)
            fail_msg("counter %llu twice", (unsigned long long)c);
    }
    if (low > 0) assert_int_equal(nonce_window_redeem(&heir, low - 1), NONCE_UNKNOWN);
    assert_int_equal(nonce_window_redeem(&heir, issued), NONCE_UNKNOWN);
    nonce_window_fini(&heir);
}

static void an_heir_knows_what_was_used(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1,
                                      7,
                                      8,
                                      9,
                                      1000,
                                      NONCE_WINDOW - 1,
                                      NONCE_WINDOW,
                                      NONCE_WINDOW + 1,
                                      2ull * NONCE_WINDOW + 12345};
    for (size_t i = 0; i < COUNT_OF(counts); i++) adopted_after(counts[i]);
}

static void a_window_can_be_handed_on_twice(void **state)
{
    (void)state;
    struct nonce_window a = window_new(), b, c;
    for (int i = 0; i < 100; i++) nonce_window_issue(&a);
    assert_int_equal(nonce_window_redeem(&a, 1), NONCE_OK);
    assert_ok(nonce_window_adopt(&b, a.boot, a.core, a.next, nonce_window_bits(&a)));
    assert_int_equal(nonce_window_redeem(&b, 2), NONCE_OK);
    assert_ok(nonce_window_adopt(&c, b.boot, b.core, b.next, nonce_window_bits(&b)));
    assert_int_equal(nonce_window_redeem(&c, 1), NONCE_USED);
    assert_int_equal(nonce_window_redeem(&c, 2), NONCE_USED);
    assert_int_equal(nonce_window_redeem(&c, 3), NONCE_OK);
    nonce_window_fini(&a);
    nonce_window_fini(&b);
    nonce_window_fini(&c);
}

static void bits_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static uint8_t bits[NONCE_WINDOW / 8 + 1];
    struct nonce_window w;
    static const struct {
        uint64_t next;
        size_t n;
    } rows[] = {{0, 0},
                {0, 1},
                {1, 0},
                {8, 2},
                {9, 1},
                {NONCE_WINDOW, NONCE_WINDOW / 8 + 1},
                {NONCE_WINDOW + 1ull, NONCE_WINDOW / 8 - 1},
                {UINT64_MAX, NONCE_WINDOW / 8}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_err(nonce_window_adopt(&w, 1, 1, rows[i].next, slice_of(bits, rows[i].n)),
                   ERR_BAD_NONCE_WINDOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_node_reads_what_was_written),
        cmocka_unit_test(another_secret_refuses),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(other_texts_are_garbage),
        cmocka_unit_test(the_age_is_bounded_on_both_sides),
        cmocka_unit_test(midnight_changes_the_key_and_loses_nothing),
        cmocka_unit_test(a_tag_of_another_day_is_refused),
        cmocka_unit_test(each_counter_is_good_once),
        cmocka_unit_test(what_was_not_issued_is_unknown),
        cmocka_unit_test(the_window_agrees_with_a_plain_record),
        cmocka_unit_test(a_new_boot_knows_nothing_of_the_last),
        cmocka_unit_test(an_heir_knows_what_was_used),
        cmocka_unit_test(a_window_can_be_handed_on_twice),
        cmocka_unit_test(bits_that_do_not_fit_are_refused),
    };
    api_err_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
