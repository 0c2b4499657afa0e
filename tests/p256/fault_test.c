// fault: bits flip while a batch is signed and verified, and no bad signature is released. Two
// ways:
//   memory: one bit of the key, the generator's tables, the issuer's table, or an item, before a
//     batch, on the kernel that this processor runs;
//   computation: one bit of the result of one vector operation in each lane, anywhere in signing or
//     verifying, in the kernel's source over its emulation (fault_emulated_test).
// "Released" is what the signer's engine releases: what the batch verifier takes, the digest being
// made anew for it. What is released under a fault must be what BoringSSL takes, too.
//   usage: [--count N]
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/p256/base_comb.h"
#include "proto/p256/base_table.h"
#include "tests/p256/fault.h"
#include "tests/p256/story.h"

enum { BATCH = LANES_OF_A_FAULT, BITS = 8, FAULTS_ORDINARY = 4000 };

// struct story: a batch as it should be, and the same under a fault.
struct story {
    uint8_t point[P256_POINT_LEN];
    struct p256_signing_key key;
    struct p256_table table;
    struct p256_sign_item items[BATCH];
    struct p256_verify_item checks[BATCH];
};

static struct story good, now;
static struct p256_sign_scratch scratch;
static unsigned long refused, changed, stopped;
static sigjmp_buf stop;

static void story_make(uint64_t *random)
{
    uint8_t d[P256_LEN];
    bool ok;
    story_key(random, d, good.point);
    CHECK(!failed(p256_signing_key_init(&good.key, d)));
    p256_tables_build(&good.table, &ok, good.point, 1, P256_IFMA);
    CHECK(ok);
    for (int i = 0; i < BATCH; i++) {
        story_octets(random, good.items[i].digest, sizeof good.items[i].digest);
        story_octets(random, good.items[i].salt, sizeof good.items[i].salt);
    }
    p256_sign(&good.key, good.items, BATCH, &scratch, P256_IFMA);
}

static bool released_is_good(int i)
{
    struct p256_verify_item item = now.checks[i];
    memcpy(item.point, good.point, sizeof item.point);
    memcpy(item.digest, good.items[i].digest, sizeof item.digest);
    return p256_verify_boringssl(&item);
}

static void sign_and_check(void)
{
    p256_sign(&now.key, now.items, BATCH, &scratch, P256_IFMA);
    for (int i = 0; i < BATCH; i++) {
        now.checks[i].table = &now.table;
        memcpy(now.checks[i].point, now.point, sizeof now.point);
        memcpy(now.checks[i].digest, good.items[i].digest, P256_LEN); // the engine hashes again
        memcpy(now.checks[i].r, now.items[i].signature, P256_LEN);
        memcpy(now.checks[i].s, now.items[i].signature + P256_LEN, P256_LEN);
    }
    p256_verify(now.checks, BATCH, P256_IFMA);
}

// on_stop: a fault in a number that chooses a row (of public scalars) can lead outside all memory:
// that stops a process, which releases nothing then.
static void on_stop(int signal)
{
    (void)signal;
    siglongjmp(stop, 1);
}

// judge looks at what was released. Most is octet for octet what it would have been without a
// fault.
static void judge(void)
{
    for (int i = 0; i < BATCH; i++) {
        bool same = memcmp(now.items[i].signature, good.items[i].signature,
                           sizeof good.items[i].signature) == 0;
        changed += !same;
        if (failed(now.items[i].err) || !now.checks[i].ok)
            refused++;
        else
            CHECK(same || released_is_good(i));
    }
}

// ---- memory

static void bit_flip(void *p, size_t size, uint64_t random)
{
    size_t bit = random % (size * BITS);
    ((uint8_t *)p)[bit / BITS] ^= (uint8_t)(1u << bit % BITS);
}

// writable lets a constant of the program be changed.
static void *writable(const void *p, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p & ~(page - 1);
    size_t n = ((uintptr_t)p + size - from + page - 1) & ~(page - 1);
    CHECK(mprotect((void *)from, n, PROT_READ | PROT_WRITE) == 0);
    return (void *)(uintptr_t)p;
}

// memory_faults flips one bit per batch. The tables of the generator are large, and a batch of
// eight uses but a part of the rows: flips there are tried in proportion to what they can hit.
static void memory_faults(uint64_t *random, unsigned long count)
{
    void *columns = writable(p256_base_columns, sizeof p256_base_columns);
    void *comb = writable(p256_base_comb, sizeof p256_base_comb);
    struct {
        void *p;
        size_t size;
        bool shared; // must be flipped back
    } places[] = {
        {&now.key, sizeof now.key, false},         {&now.table, sizeof now.table, false},
        {&now.point, sizeof now.point, false},     {now.items, sizeof now.items, false},
        {columns, sizeof p256_base_columns, true}, {comb, sizeof p256_base_comb, true},
    };
    for (unsigned long i = 0; i < count; i++) {
        size_t place = i % (sizeof places / sizeof places[0]);
        uint64_t bit = story_random(random);
        now = good;
        bit_flip(places[place].p, places[place].size, bit);
        // What is stored in a bool must stay one.
        for (int k = 0; k < BATCH; k++) now.items[k].has_random = good.items[k].has_random;
        sign_and_check();
        if (places[place].shared) bit_flip(places[place].p, places[place].size, bit);
        judge();
    }
}

// ---- computation

static void computation_faults(uint64_t *random, unsigned long count)
{
    static volatile unsigned long done;
    struct sigaction action = {.sa_handler = on_stop, .sa_flags = SA_NODEFER};
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
    unsigned long operations = fault_none();
    now = good;
    sign_and_check();
    operations = fault_none() - operations;
    printf("one of %lu operations in each of %d lanes\n", operations, BATCH);
    for (done = 0; done < count; done += BATCH) {
        now = good;
        fault_arm(random, operations);
        if (sigsetjmp(stop, 1) != 0) {
            fault_none();
            stopped++;
            continue;
        }
        sign_and_check();
        fault_none();
        judge();
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL), random = seed;
    unsigned long count = story_count(argc, argv, FAULTS_ORDINARY);
    if (p256_kernel_detect() != P256_IFMA) {
        printf("this processor has no AVX-512 IFMA\n");
        return 77;
    }
    printf("seed %llu: bits flip in %s\n", (unsigned long long)seed,
           faults_computed() ? "computations" : "memory");
    story_make(&random);
    now = good;
    sign_and_check();
    judge();
    CHECK(refused == 0 && changed == 0); // without a fault
    if (faults_computed())
        computation_faults(&random, count);
    else
        memory_faults(&random, count);
    printf(
        "%lu flips: %lu signatures changed, %lu refused, %lu processes stopped; no bad signature "
        "was released\n",
        count, changed, refused, stopped);
    // Faults that change nothing prove nothing.
    CHECK(changed > count / 100 && refused > count / 100);
    return 0;
}
