// timing_test: does the time of signing depend on the nonces or on the key? Welch's test (welch.h)
// of fixed against random ones, on the code that this processor runs, vector unit included. A last
// case does what is forbidden, a little: the test must see it.   usage: timing_test [--count N]
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/p256/internal.h"
#include "tests/ctime/welch.h"
#include "tests/p256/story.h"

enum { GROUP = 8, POOL = 512, TRIES = 3 };

#define T_MAX 5.0 // |t| beyond says: it depends. By chance once in 10^6 tests.

// struct subject: what a case works on, and the inputs of a block of runs.
struct subject {
    enum p256_kernel kernel;
    size_t count; // items of a run
    bool varies_key, varies_nonce;
    struct input {
        struct p256_signing_key key;
        uint8_t nonces[GROUP][32], d[32];
    } now, fixed, block[WELCH_BLOCK];
    struct p256_signing_key keys[POOL]; // for random keys: to prepare one is dear
    uint8_t ds[POOL][32];
    struct p256_sign_item items[GROUP];
    struct p256_sign_scratch scratch;
    uint64_t random;
};

static void nonces_fill(struct subject *s, uint8_t out[GROUP][32])
{
    for (int lane = 0; lane < GROUP; lane++) {
        story_octets(&s->random, out[lane], 32);
        out[lane][0] &= 0x7f; // below n
    }
}

static void subject_make(struct subject *s, enum p256_kernel kernel, size_t count, uint64_t seed)
{
    uint8_t point[64];
    memset(s, 0, sizeof *s);
    s->kernel = kernel, s->count = count, s->random = seed;
    for (int i = 0; i < POOL; i++) {
        story_key(&s->random, s->ds[i], point);
        CHECK(!failed(p256_signing_key_init(&s->keys[i], s->ds[i])));
    }
    for (int lane = 0; lane < GROUP; lane++) story_octets(&s->random, s->items[lane].digest, 32);
    s->fixed.key = s->keys[0];
    memcpy(s->fixed.d, s->ds[0], sizeof s->fixed.d);
    nonces_fill(s, s->fixed.nonces);
}

static void fill(void *context, const uint8_t classes[WELCH_BLOCK])
{
    struct subject *s = context;
    for (int i = 0; i < WELCH_BLOCK; i++) {
        struct input *in = &s->block[i];
        *in = s->fixed;
        if (classes[i] == 0) continue;
        size_t key = story_random(&s->random) % POOL;
        if (s->varies_key) in->key = s->keys[key];
        if (s->varies_key) memcpy(in->d, s->ds[key], sizeof in->d);
        if (s->varies_nonce) nonces_fill(s, in->nonces);
    }
}

static void load(void *context, unsigned i)
{
    struct subject *s = context;
    s->now = s->block[i];
}

static void run_nonces(void *context)
{
    struct subject *s = context;
    p256_sign_with_nonces(&s->now.key, s->items, (const uint8_t(*)[32])s->now.nonces, s->count,
                          &s->scratch, s->kernel);
}

static void run_sign(void *context)
{
    struct subject *s = context;
    p256_sign(&s->now.key, s->items, s->count, &s->scratch, s->kernel);
}

static void run_init(void *context)
{
    struct subject *s = context;
    CHECK(!failed(p256_signing_key_init(&s->now.key, s->now.d)));
}

// run_leaky takes a little longer for half of the random nonces, and never for the fixed.
static void run_leaky(void *context)
{
    struct subject *s = context;
    run_nonces(context);
    if (s->now.nonces[0][31] % 2 != s->fixed.nonces[0][31] % 2)
        for (volatile int i = 0; i < 300; i++) continue;
}

static double t_of(const char *name, struct subject *s, void (*run)(void *), unsigned long count)
{
    struct welch_case c = {.fill = fill, .load = load, .run = run, .context = s};
    double t = 0;
    // What the machine makes of one run it does not make of three; a real difference stays.
    for (int i = 0; i < TRIES; i++) {
        t = welch_t(&c, count, story_random(&s->random));
        printf("%-34s t = %6.2f of %lu\n", name, t, count);
        fflush(stdout);
        if (fabs(t) < T_MAX) break;
    }
    return fabs(t);
}

static double nonces_and_keys(struct subject *s, const char *const names[3], unsigned long count)
{
    s->varies_nonce = true, s->varies_key = false;
    double worst = t_of(names[0], s, run_nonces, count);
    s->varies_nonce = false, s->varies_key = true;
    worst = fmax(worst, t_of(names[1], s, run_nonces, count));
    return fmax(worst, t_of(names[2], s, run_sign, count));
}

int main(int argc, char **argv)
{
    static const char *const vector[] = {"vector, nonces", "vector, keys",
                                         "vector, derived nonces"};
    static const char *const scalar[] = {"scalar, nonces", "scalar, keys",
                                         "scalar, derived nonces"};
    unsigned long count = story_count(argc, argv, 40000);
    uint64_t seed = (uint64_t)time(NULL);
    static struct subject s;
    double worst = 0;
    printf("seed %llu, kernel %s\n", (unsigned long long)seed,
           p256_kernel_name(p256_kernel_detect()));
    if (p256_kernel_detect() == P256_IFMA) {
        subject_make(&s, P256_IFMA, GROUP, seed);
        worst = fmax(worst, nonces_and_keys(&s, vector, count));
    }
    subject_make(&s, P256_SCALAR, 1, seed);
    worst = fmax(worst, nonces_and_keys(&s, scalar, count));
    worst = fmax(worst, t_of("a key's preparation", &s, run_init, count));
    s.varies_nonce = true;
    struct welch_case leak = {.fill = fill, .load = load, .run = run_leaky, .context = &s};
    double leaky = fabs(welch_t(&leak, count, seed));
    printf("%-34s t = %6.2f of %lu\n", "a leak of 300 turns, to be seen", leaky, count);
    if (worst >= T_MAX) return printf("the time depends on a secret\n"), 1;
    if (leaky < T_MAX) return printf("the leak was not seen: this run says nothing\n"), 1;
    return 0;
}
