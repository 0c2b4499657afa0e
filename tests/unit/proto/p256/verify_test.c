// p256_verify: every kernel says of every signature what BoringSSL and arithmetic say: edges, good
// and bad ones in every place, any count, with and without tables.
#include "proto/p256/verify.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/p256_cases.h"
#include "tests/unit/unit.h"

enum { COUNT_MAX = 257, KEYS = 40 };

// The emulation takes some hundred times as long: of what is tried many times a part will do, since
// it is the same source.
#ifdef P256_VEC_EMULATED
enum { CASE_STEP = 47, PLACES = 9, PLACE_STEP = 4, SIZE_STEP = 85, TABLES_STEP = 7, ROUNDS = 1 };
#else
enum { CASE_STEP = 1, PLACES = 24, PLACE_STEP = 1, SIZE_STEP = 1, TABLES_STEP = 1, ROUNDS = 12 };
#endif

static struct p256_case cases[P256_CASES_MAX];
static size_t case_count;
static struct p256_verify_item good[COUNT_MAX], items[P256_CASES_MAX];
static struct p256_table *tables; // P256_CASES_MAX of them
static uint8_t points[P256_CASES_MAX][P256_POINT_LEN];
static bool usable[P256_CASES_MAX];

static int setup(void **state)
{
    (void)state;
    tables = aligned_alloc(64, sizeof *tables * P256_CASES_MAX);
    assert_non_null(tables);
    case_count = p256_cases_make(cases);
    p256_signed_fill(good, COUNT_MAX, KEYS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(tables);
    return 0;
}

// kernels runs `run` with each kernel that this processor has.
static void kernels(void (*run)(enum p256_kernel kernel))
{
    run(P256_SCALAR);
    if (p256_kernel_detect() == P256_IFMA)
        run(P256_IFMA);
    else
        printf("avx512ifma: not on this processor, its part is skipped\n");
}

// tables_for makes the tables of `count` items and gives them to those for which `chosen` says so.
static void tables_for(struct p256_verify_item *of, size_t count, enum p256_kernel kernel,
                       bool (*chosen)(size_t i))
{
    for (size_t i = 0; i < count; i++) memcpy(points[i], of[i].point, P256_POINT_LEN);
    p256_tables_build(tables, usable, points[0], count, kernel);
    for (size_t i = 0; i < count; i++) of[i].table = usable[i] && chosen(i) ? &tables[i] : NULL;
}

static bool none(size_t i) { return i == SIZE_MAX; }
static bool all(size_t i) { return i != SIZE_MAX; }
static bool some(size_t i) { return i % 3 == 1 || i / 16 % 2 == 1; }
#ifdef P256_VEC_EMULATED
static bool (*const choices[])(size_t) = {some};
#else
static bool (*const choices[])(size_t) = {none, all, some};
#endif

// ---- edges

static void boringssl_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < case_count; i++)
        if (p256_verify_boringssl(&cases[i].item) != cases[i].valid)
            fail_msg("BoringSSL calls \"%s\" %s", cases[i].what,
                     cases[i].valid ? "invalid" : "valid");
    assert_true(case_count > 250);
}

static void edges_with(enum p256_kernel kernel)
{
    for (size_t way = 0; way < COUNT_OF(choices); way++) {
        for (size_t i = 0; i < case_count; i++) items[i] = cases[i].item;
        tables_for(items, case_count, kernel, choices[way]);
        p256_verify(items, case_count, kernel);
        for (size_t i = 0; i < case_count; i++)
            if (items[i].ok != cases[i].valid)
                fail_msg("%s, tables %zu: \"%s\" is %s", p256_kernel_name(kernel), way,
                         cases[i].what, items[i].ok ? "valid" : "invalid");
    }
}

static void edges(void **state)
{
    (void)state;
    kernels(edges_with);
}

// Alone in its group, and in each lane of one.
static void edges_alone_with(enum p256_kernel kernel)
{
    for (size_t i = 0; i < case_count; i += CASE_STEP)
        for (size_t lane = i % 4; lane < 8; lane += 4) {
            for (size_t k = 0; k < 8; k++) items[k] = k == lane ? cases[i].item : good[k];
            tables_for(items, 8, kernel, i % 2 == 0 ? all : none);
            p256_verify(items, 8, kernel);
            for (size_t k = 0; k < 8; k++)
                if (items[k].ok != (k == lane ? cases[i].valid : true))
                    fail_msg("%s: lane %zu of \"%s\" in %zu", p256_kernel_name(kernel), k,
                             cases[i].what, lane);
        }
}

static void edges_in_each_lane(void **state)
{
    (void)state;
    kernels(edges_alone_with);
}

// ---- positions and sizes

static void positions_with(enum p256_kernel kernel)
{
    enum { N = PLACES };
    for (size_t place = 0; place < N; place += PLACE_STEP)
        for (int inverted = 0; inverted < 2; inverted++) {
            for (size_t i = 0; i < N; i++) {
                items[i] = good[i];
                if ((i == place) != (inverted == 1)) p256_spoil(&items[i], (unsigned)(place + i));
                items[i].ok = i % 2 == 0; // what is there before means nothing
            }
            tables_for(items, N, kernel, choices[place % COUNT_OF(choices)]);
            p256_verify(items, N, kernel);
            for (size_t i = 0; i < N; i++)
                if (items[i].ok != ((i == place) == (inverted == 1)))
                    fail_msg("%s: %s one at %zu: %zu is wrong", p256_kernel_name(kernel),
                             inverted ? "good" : "bad", place, i);
        }
}

static void one_among_others_in_each_place(void **state)
{
    (void)state;
    kernels(positions_with);
}

static void sizes_with(enum p256_kernel kernel)
{
    static uint8_t guard[sizeof(struct p256_verify_item)];
    RAND_bytes(guard, sizeof guard);
    p256_verify(items, 0, kernel);
    tables_for(good, COUNT_MAX, kernel, some);
    // BoringSSL has no notion of a batch: a few sizes say all of it.
    for (size_t n = 1; n <= COUNT_MAX; n += kernel == P256_SCALAR ? 32 : SIZE_STEP) {
        for (size_t i = 0; i < n; i++) {
            items[i] = good[i];
            if ((i * 7 + n) % 5 == 0) p256_spoil(&items[i], (unsigned)(i + n));
        }
        memcpy(&items[n], guard, sizeof guard);
        p256_verify(items, n, kernel);
        for (size_t i = 0; i < n; i++)
            if (items[i].ok != ((i * 7 + n) % 5 != 0))
                fail_msg("%s: %zu of %zu", p256_kernel_name(kernel), i, n);
        assert_memory_equal(&items[n], guard, sizeof guard);
    }
    for (size_t i = 0; i < COUNT_MAX; i++) good[i].table = NULL;
}

static void any_count(void **state)
{
    (void)state;
    kernels(sizes_with);
}

// ---- tables

static void tables_refuse_what_is_no_point_with(enum p256_kernel kernel)
{
    for (size_t n = 1; n <= 20; n += TABLES_STEP)
        for (size_t bad = 0; bad < n; bad += 3) {
            for (size_t i = 0; i < n; i++) memcpy(points[i], good[i].point, P256_POINT_LEN);
            points[bad][63] ^= 1;
            for (size_t i = 0; i < n; i++) usable[i] = i == bad;
            p256_tables_build(tables, usable, points[0], n, kernel);
            for (size_t i = 0; i < n; i++) assert_int_equal(usable[i], i != bad);
        }
}

static void tables_refuse_what_is_no_point(void **state)
{
    (void)state;
    kernels(tables_refuse_what_is_no_point_with);
}

// ---- agreement: half of what is random is spoilt, in a random bit of any field

static void agreement_with(enum p256_kernel kernel)
{
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t draw[COUNT_MAX][2];
        RAND_bytes(draw[0], sizeof draw);
        p256_signed_fill(items, COUNT_MAX, KEYS);
        for (size_t i = 0; i < COUNT_MAX; i++) {
            uint8_t *fields[] = {items[i].point, items[i].digest, items[i].r, items[i].s};
            unsigned field = draw[i][0] / 2 % 4;
            if (draw[i][0] % 2 == 0)
                fields[field][draw[i][1] / 8] ^= (uint8_t)(1 << draw[i][1] % 8);
        }
        tables_for(items, COUNT_MAX, kernel, choices[round % COUNT_OF(choices)]);
        p256_verify(items, COUNT_MAX, kernel);
        for (size_t i = 0; i < COUNT_MAX; i++)
            assert_int_equal(items[i].ok, p256_verify_boringssl(&items[i]));
    }
}

static void agreement_with_boringssl(void **state)
{
    (void)state;
    kernels(agreement_with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(boringssl_agrees),
                                       cmocka_unit_test(edges),
                                       cmocka_unit_test(edges_in_each_lane),
                                       cmocka_unit_test(one_among_others_in_each_place),
                                       cmocka_unit_test(any_count),
                                       cmocka_unit_test(tables_refuse_what_is_no_point),
                                       cmocka_unit_test(agreement_with_boringssl)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
