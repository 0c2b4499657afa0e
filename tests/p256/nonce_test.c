// nonce: with the key known, the nonce of each signature is recovered: k = (digest + r d) / s mod
// n. None repeats; no bit, no octet and no bit's change from one to the next is likelier than
// another (5 sigma; the key and the inputs are fixed, so a run says the same each time). Also where
// the random octets are always the same, and after a fork. usage: [--count N]
#include <math.h>
#include <openssl/bn.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "tests/p256/story.h"

enum { BATCH = 128, SEED = 4, BITS = 256 };

static const uint8_t ORDER[P256_LEN] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

typedef uint8_t nonce[P256_LEN];

struct recovery {
    BIGNUM *n, *d;
    BN_CTX *ctx;
};

static struct p256_signing_key key;
static struct p256_sign_scratch scratch;
static struct recovery known;

static void known_make(void)
{
    uint64_t random = SEED;
    uint8_t d[P256_LEN], point[P256_POINT_LEN];
    story_key(&random, d, point);
    CHECK(!failed(p256_signing_key_init(&key, d)));
    known.ctx = BN_CTX_new();
    known.n = BN_bin2bn(ORDER, P256_LEN, NULL);
    known.d = BN_bin2bn(d, P256_LEN, NULL);
    CHECK(known.ctx != NULL && known.n != NULL && known.d != NULL);
}

static void known_free(void)
{
    p256_signing_key_fini(&key);
    BN_free(known.n);
    BN_free(known.d);
    BN_CTX_free(known.ctx);
}

// recover writes the nonce, which s and n - s do not tell apart: the one that gives this s.
static void recover(nonce out, const struct p256_sign_item *item)
{
    BIGNUM *r = BN_bin2bn(item->signature, P256_LEN, NULL);
    BIGNUM *s = BN_bin2bn(item->signature + P256_LEN, P256_LEN, NULL);
    BIGNUM *z = BN_bin2bn(item->digest, P256_LEN, NULL);
    CHECK(r != NULL && s != NULL && z != NULL && BN_mod_mul(r, r, known.d, known.n, known.ctx) &&
          BN_mod_add(z, z, r, known.n, known.ctx) && BN_mod_inverse(s, s, known.n, known.ctx) &&
          BN_mod_mul(z, z, s, known.n, known.ctx) && BN_bn2bin_padded(out, P256_LEN, z));
    BN_free(r);
    BN_free(s);
    BN_free(z);
}

// nonces_make: digests are counters, hashed by nobody: the worst that a caller could pass. With
// `constant`, salt and digest's top stay the same and random octets are there, but all equal.
static void nonces_make(nonce *out, unsigned long count, bool constant)
{
    static struct p256_sign_item items[BATCH];
    for (unsigned long done = 0; done < count; done += BATCH) {
        size_t n = count - done < BATCH ? count - done : BATCH;
        memset(items, 0, sizeof items);
        for (size_t i = 0; i < n; i++) {
            uint64_t counter = done + i;
            memcpy(items[i].digest, &counter, sizeof counter);
            if (!constant) memcpy(items[i].salt, &counter, sizeof counter);
            items[i].has_random = constant;
            memset(items[i].random, constant ? 0x55 : 0, sizeof items[i].random);
        }
        p256_sign(&key, items, n, &scratch, p256_kernel_detect());
        for (size_t i = 0; i < n; i++) recover(out[done + i], &items[i]);
    }
}

// ---- statistics

static int compare(const void *a, const void *b) { return memcmp(a, b, sizeof(nonce)); }

static void no_repeat(nonce *nonces, unsigned long count)
{
    qsort(nonces, count, sizeof *nonces, compare);
    for (unsigned long i = 1; i < count; i++) CHECK(compare(nonces[i - 1], nonces[i]) != 0);
}

static bool bit_of(const nonce k, unsigned bit) { return k[bit / 8] >> (bit % 8) & 1; }

// bits_even: how often each bit is set, and how often it differs from the nonce before. Returns the
// largest deviation in sigmas.
static double bits_even(const nonce *nonces, unsigned long count)
{
    unsigned long set[BITS] = {0}, changed[BITS] = {0};
    for (unsigned long i = 0; i < count; i++)
        for (unsigned bit = 0; bit < BITS; bit++) {
            set[bit] += bit_of(nonces[i], bit);
            changed[bit] += i > 0 && bit_of(nonces[i], bit) != bit_of(nonces[i - 1], bit);
        }
    double worst = 0, sigma = sqrt((double)count) / 2;
    for (unsigned bit = 0; bit < BITS; bit++) {
        worst = fmax(worst, fabs((double)set[bit] - (double)count / 2) / sigma);
        worst = fmax(worst, fabs((double)changed[bit] - (double)(count - 1) / 2) / sigma);
    }
    return worst;
}

// octets_even: chi-square of each octet's 256 values, as sigmas of its 255 degrees of freedom.
static double octets_even(const nonce *nonces, unsigned long count)
{
    double worst = 0;
    for (unsigned at = 0; at < P256_LEN; at++) {
        unsigned long seen[256] = {0};
        double chi = 0, want = (double)count / 256;
        for (unsigned long i = 0; i < count; i++) seen[nonces[i][at]]++;
        for (int v = 0; v < 256; v++)
            chi += ((double)seen[v] - want) * ((double)seen[v] - want) / want;
        worst = fmax(worst, fabs(chi - 255) / sqrt(2 * 255.0));
    }
    return worst;
}

static void judge(const char *what, nonce *nonces, unsigned long count)
{
    double bits = bits_even(nonces, count), octets = octets_even(nonces, count);
    printf("%s: %lu nonces, bits within %.2f sigma, octets within %.2f sigma\n", what, count, bits,
           octets);
    CHECK(bits < 5 && octets < 5);
    no_repeat(nonces, count);
}

// biased_is_seen: the statistics find what they are for: a bit that is set on purpose in one of 16
// nonces.
static void biased_is_seen(unsigned long count)
{
    nonce *nonces = malloc(count * sizeof *nonces);
    uint64_t random = SEED;
    CHECK(nonces != NULL);
    story_octets(&random, nonces, count * sizeof *nonces);
    CHECK(bits_even(nonces, count) < 5 && octets_even(nonces, count) < 5);
    for (unsigned long i = 0; i < count; i += 16) nonces[i][31] |= 1;
    CHECK(bits_even(nonces, count) > 5);
    free(nonces);
}

// ---- a fork

static void fresh_sign(uint8_t signature[2 * P256_LEN])
{
    struct p256_sign_item item = {.digest = {1}, .has_random = true};
    RAND_bytes(item.random, sizeof item.random);
    p256_sign(&key, &item, 1, &scratch, p256_kernel_detect());
    memcpy(signature, item.signature, sizeof item.signature);
}

// A process that forks and a child that sign the same with fresh random octets use other nonces:
// BoringSSL's source of random octets sees the fork.
static void after_a_fork(void)
{
    uint8_t mine[2 * P256_LEN], its[2 * P256_LEN];
    int pipes[2];
    fresh_sign(mine); // the source is in use before
    CHECK(pipe(pipes) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    fresh_sign(mine);
    if (child == 0) _exit(write(pipes[1], mine, sizeof mine) == sizeof mine ? 0 : 1);
    int status;
    CHECK(read(pipes[0], its, sizeof its) == sizeof its);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(memcmp(mine, its, P256_LEN) != 0);
    close(pipes[0]);
    close(pipes[1]);
    printf("after a fork: another nonce\n");
}

int main(int argc, char **argv)
{
    unsigned long count = story_count(argc, argv, 20000);
    nonce *nonces = malloc(count * sizeof *nonces);
    CHECK(nonces != NULL);
    known_make();
    biased_is_seen(20000);
    nonces_make(nonces, count, false);
    judge("salts that count", nonces, count);
    nonces_make(nonces, count, true);
    judge("a constant random source", nonces, count);
    after_a_fork();
    known_free();
    free(nonces);
    return 0;
}
