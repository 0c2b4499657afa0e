// verifier: every job hears once what its signature is worth, after the call that added it and in
// order; what one turn brings is one batch; who goes is not called.
#include "api/verifier.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/p256_cases.h"
#include "tests/unit/unit.h"

enum { JOBS = 200, KEYS = 10 };

static const uint8_t seed[MAP_SEED_LEN] = "0123456789abcdef";
static struct p256_verify_item good[JOBS];
static struct shard *shard;
static struct verifier verifier;

struct owner {
    struct verify_job job;
    unsigned done, alone; // calls
    unsigned place;       // of its end among all
    bool ok, alone_ok;
    struct owner *cancels, *adds;
};

static struct owner owners[JOBS + 1];
static unsigned ended;

static void on_done(struct verify_job *job, bool ok)
{
    struct owner *o = LIST_OWNER(job, struct owner, job);
    o->done++;
    o->ok = ok;
    o->place = ended++;
    if (o->cancels != NULL) verify_job_cancel(&o->cancels->job);
    if (o->adds != NULL) verifier_add(&verifier, &o->adds->job);
}

static bool on_alone(struct verify_job *job)
{
    struct owner *o = LIST_OWNER(job, struct owner, job);
    o->alone++;
    return o->alone_ok;
}

static bool spoilt(size_t i) { return i % 11 == 2; }

static void owner_fill(size_t i)
{
    struct owner *o = &owners[i];
    struct p256_verify_item item = good[i % JOBS];
    if (spoilt(i)) p256_spoil(&item, (unsigned)i);
    memcpy(o->job.p256.point, item.point, sizeof item.point);
    memcpy(o->job.p256.digest, item.digest, sizeof item.digest);
    memcpy(o->job.p256.r, item.r, sizeof item.r);
    memcpy(o->job.p256.s, item.s, sizeof item.s);
    o->job.recurring = true;
    o->job.done = on_done;
}

static int setup_all(void **state)
{
    (void)state;
    p256_signed_fill(good, JOBS, KEYS);
    struct shard_options so = {.count = 1, .io = SHARD_IO_EPOLL, .name = "test"};
    return failed(shard_new(&shard, &so, 0)) ? -1 : 0;
}

static int teardown_all(void **state)
{
    (void)state;
    shard_free(shard);
    return 0;
}

static void begin(enum p256_kernel kernel, size_t tables)
{
    verifier_fini(&verifier);
    assert_ok(verifier_init(&verifier, shard, kernel, tables, seed));
    memset(owners, 0, sizeof owners);
    ended = 0;
    for (size_t i = 0; i <= JOBS; i++) owner_fill(i);
}

static int teardown(void **state)
{
    (void)state;
    verifier_fini(&verifier);
    verifier = (struct verifier){0};
    return 0;
}

static void each_hears_once_and_in_order(void **state)
{
    (void)state;
    const enum p256_kernel kernels[] = {P256_SCALAR, p256_kernel_detect()};
    for (size_t k = 0; k < COUNT_OF(kernels); k++) {
        begin(kernels[k], 100);
        for (int turn = 1; turn <= 5; turn++) {
            ended = 0;
            for (size_t i = 0; i < JOBS; i++) {
                if (i % 7 == 3) owners[i].job.alone = on_alone, owners[i].alone_ok = i % 2 == 0;
                verifier_add(&verifier, &owners[i].job);
                assert_int_equal(owners[i].done, turn - 1);
            }
            shard_turn(shard, 0);
            for (size_t i = 0; i < JOBS; i++) {
                assert_int_equal(owners[i].done, turn);
                assert_int_equal(owners[i].place, i);
                assert_int_equal(owners[i].ok, i % 7 == 3 ? i % 2 == 0 : !spoilt(i));
                assert_int_equal(owners[i].alone, i % 7 == 3 ? turn : 0);
            }
        }
        assert_int_equal(verifier.batches,
                         5 * ((JOBS + VERIFIER_BATCH_MAX - 1) / VERIFIER_BATCH_MAX));
        uint64_t all = verifier.checked[0] + verifier.checked[1] + verifier.checked[2];
        assert_int_equal(all, 5 * JOBS);
        assert_int_equal(verifier.tables.count, kernels[k] == P256_IFMA ? KEYS : 0);
        assert_true((verifier.checked[0] > 0) == (kernels[k] == P256_IFMA));
    }
}

static void a_key_that_does_not_recur_gets_no_table(void **state)
{
    (void)state;
    begin(p256_kernel_detect(), 100);
    for (int turn = 0; turn < 5; turn++) {
        for (size_t i = 0; i < JOBS; i++) {
            owners[i].job.recurring = false;
            verifier_add(&verifier, &owners[i].job);
        }
        shard_turn(shard, 0);
    }
    assert_int_equal(verifier.tables.count, 0);
    assert_int_equal(verifier.tables.map.count, 0);
}

// Whoever sends signatures that do not verify makes no table, of his own keys or of others'.
static void bad_signatures_make_no_table(void **state)
{
    (void)state;
    begin(p256_kernel_detect(), 100);
    for (int turn = 0; turn < 5; turn++) {
        for (size_t i = 0; i < JOBS; i++) {
            if (!spoilt(i)) owners[i].job.p256.digest[7] ^= turn == 0;
            verifier_add(&verifier, &owners[i].job);
        }
        shard_turn(shard, 0);
    }
    assert_int_equal(ended, 5 * JOBS);
    assert_int_equal(verifier.tables.map.count, 0);
}

static void who_goes_is_not_called(void **state)
{
    (void)state;
    begin(p256_kernel_detect(), 100);
    for (size_t i = 0; i < JOBS; i++) verifier_add(&verifier, &owners[i].job);
    verify_job_cancel(&owners[0].job);
    verify_job_cancel(&owners[JOBS - 1].job);
    verify_job_cancel(&owners[JOBS].job);                // was never added
    owners[1].cancels = &owners[2];                      // of its batch
    owners[3].cancels = &owners[VERIFIER_BATCH_MAX + 5]; // of a later one
    owners[5].cancels = &owners[4];                      // told already
    shard_turn(shard, 0);
    for (size_t i = 0; i < JOBS; i++) {
        bool gone = i == 0 || i == 2 || i == VERIFIER_BATCH_MAX + 5 || i == JOBS - 1;
        assert_int_equal(owners[i].done, !gone);
        if (!gone) assert_int_equal(owners[i].ok, !spoilt(i));
    }
}

// A request's own check leads to that of its CSR: the same turn still ends it, in a batch of its
// own.
static void what_is_added_meanwhile_is_the_next_batch(void **state)
{
    (void)state;
    enum { CSRS = 20 };
    begin(p256_kernel_detect(), 100);
    for (size_t i = 0; i < CSRS; i++) {
        owners[i].adds = &owners[CSRS + i];
        verifier_add(&verifier, &owners[i].job);
    }
    shard_turn(shard, 0);
    for (size_t i = 0; i < 2 * CSRS; i++) {
        assert_int_equal(owners[i].done, 1);
        assert_int_equal(owners[i].place, i);
    }
    assert_int_equal(verifier.batches, 2);
}

static void the_end_forgets_what_is_queued(void **state)
{
    (void)state;
    begin(p256_kernel_detect(), 100);
    for (size_t i = 0; i < JOBS; i++) verifier_add(&verifier, &owners[i].job);
    verifier_fini(&verifier);
    shard_turn(shard, 0);
    assert_int_equal(ended, 0);
    verify_job_cancel(&owners[7].job);
}

#define CASE(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(each_hears_once_and_in_order),
                                       CASE(a_key_that_does_not_recur_gets_no_table),
                                       CASE(bad_signatures_make_no_table),
                                       CASE(who_goes_is_not_called),
                                       CASE(what_is_added_meanwhile_is_the_next_batch),
                                       CASE(the_end_forgets_what_is_queued)};
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
