// agreement: random batches are signed and verified, and BoringSSL has the same opinion of every
// signature. Half of what is verified is spoiled in one bit, somewhere. usage: [--count N]
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"
#include "tests/p256/story.h"

enum { BATCH_MAX = 257, KEYS = 16, BATCHES_PER_KEY = 32, SCALAR_EVERY = 64 };

static struct p256_sign_item signs[BATCH_MAX], twins[BATCH_MAX];
static struct p256_verify_item items[BATCH_MAX], again[BATCH_MAX];
static struct p256_sign_scratch scratch;
static struct p256_table tables[KEYS];
static struct p256_signing_key keys[KEYS];
static uint8_t points[KEYS][P256_POINT_LEN];

static void keys_make(uint64_t *random, enum p256_kernel kernel)
{
    bool ok[KEYS];
    uint8_t d[P256_LEN];
    for (int i = 0; i < KEYS; i++) {
        story_key(random, d, points[i]);
        CHECK(!failed(p256_signing_key_init(&keys[i], d)));
    }
    p256_tables_build(tables, ok, points[0], KEYS, kernel);
    for (int i = 0; i < KEYS; i++) CHECK(ok[i]);
}

// sign_batch: every 64th batch the scalar twin signs too, and must give the same octets.
static void sign_batch(uint64_t *random, int key, size_t n, enum p256_kernel kernel)
{
    for (size_t i = 0; i < n; i++) {
        story_octets(random, &signs[i].digest, sizeof signs[i].digest);
        story_octets(random, &signs[i].salt, sizeof signs[i].salt);
        story_octets(random, &signs[i].random, sizeof signs[i].random);
        signs[i].has_random = story_random(random) & 1;
    }
    memcpy(twins, signs, sizeof twins);
    p256_sign(&keys[key], signs, n, &scratch, kernel);
    if (story_random(random) % SCALAR_EVERY != 0) return;
    p256_sign(&keys[key], twins, n, NULL, P256_SCALAR);
    for (size_t i = 0; i < n; i++)
        CHECK(memcmp(signs[i].signature, twins[i].signature, sizeof signs[i].signature) == 0);
}

// spoil changes one bit of one of the numbers (a coordinate changed is a point off the curve).
static void spoil(struct p256_verify_item *item, uint64_t random)
{
    uint8_t *where[] = {item->digest, item->r, item->s, item->point, item->point + P256_LEN};
    unsigned bit = (unsigned)(random >> 8) % 256;
    unsigned which = (unsigned)(random >> 32) % (item->table != NULL ? 3 : 5);
    where[which][bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void verify_batch(uint64_t *random, int key, size_t n, enum p256_kernel kernel)
{
    bool want[BATCH_MAX];
    for (size_t i = 0; i < n; i++) {
        uint64_t choice = story_random(random);
        items[i].table = choice & 2 ? &tables[key] : NULL;
        memcpy(items[i].point, points[key], P256_POINT_LEN);
        memcpy(items[i].digest, signs[i].digest, P256_LEN);
        memcpy(items[i].r, signs[i].signature, P256_LEN);
        memcpy(items[i].s, signs[i].signature + P256_LEN, P256_LEN);
        if (choice & 1) spoil(&items[i], story_random(random));
        want[i] = p256_verify_boringssl(&items[i]);
        // What we signed is valid, and no bit of it can be another.
        CHECK(want[i] == !(choice & 1));
    }
    memcpy(again, items, sizeof again);
    p256_verify(items, n, kernel);
    for (size_t i = 0; i < n; i++) CHECK(items[i].ok == want[i]);
    // The same without tables, so that each signature is checked in both ways at some time.
    for (size_t i = 0; i < n; i++) again[i].table = NULL;
    p256_verify(again, n, kernel);
    for (size_t i = 0; i < n; i++) CHECK(again[i].ok == want[i]);
}

int main(int argc, char **argv)
{
    unsigned long count = story_count(argc, argv, 6000), done = 0;
    uint64_t seed = (uint64_t)time(NULL), random = seed;
    enum p256_kernel kernel = p256_kernel_detect();
    printf("seed %llu, kernel %s, %lu signatures\n", (unsigned long long)seed,
           p256_kernel_name(kernel), count);
    for (unsigned long batch = 0; done < count; batch++) {
        if (batch % (KEYS * BATCHES_PER_KEY) == 0) keys_make(&random, kernel);
        int key = (int)(batch % KEYS);
        size_t n = 1 + story_random(&random) % BATCH_MAX;
        sign_batch(&random, key, n, kernel);
        verify_batch(&random, key, n, kernel);
        done += n;
    }
    printf("%lu signatures made and verified, and BoringSSL agrees\n", done);
    return 0;
}
