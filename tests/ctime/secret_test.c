// secret_test: signs with everything secret marked as such (secret.h): the private key, the random
// octets, the nonces given, and all that is computed of them. Under memcheck or MSan a jump or an
// address that depends on it is an error. The kernel's source is built over its emulation, because
// neither tool runs AVX-512 code.
//   usage: secret_test lanes|scalar|nonces|inverse|jump|address
// jump and address do what is forbidden: the watcher must complain.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/p256/internal.h"
#include "proto/p256/inverse.h"
#include "proto/p256/order.h"
#include "proto/p256/verify.h"
#include "tests/ctime/secret.h"

enum { BATCHES = 5 };

static const size_t counts[BATCHES] = {1, 2, 8, 9, 40};
static struct p256_sign_scratch scratch;
static struct p256_sign_item items[64];
static volatile int sink;

// The generator is the public key of d = 1; any d will do: its digits are plain octets here.
static const uint8_t secret_d[32] = {0x3a, 0x11, 0x99, 7, 200, 31, 4, 77, 81, 9, 1, 3};

static void items_fill(size_t count)
{
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < count; i++) {
        memset(items[i].digest, (int)(i * 37 + 1), sizeof items[i].digest);
        memset(items[i].salt, (int)i, sizeof items[i].salt);
        memset(items[i].random, (int)(i + 100), sizeof items[i].random);
        items[i].has_random = i & 1;
        secret_mark(items[i].random, sizeof items[i].random);
    }
}

// outputs_check looks at the results, which are public: so the run did what it was meant to do.
static int outputs_check(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        secret_clear(&items[i], sizeof items[i]);
        if (failed(items[i].err)) return fprintf(stderr, "item %zu failed\n", i), 1;
        for (size_t j = 0; j < i; j++)
            if (memcmp(items[i].signature, items[j].signature, 32) == 0)
                return fprintf(stderr, "items %zu and %zu have one nonce\n", i, j), 1;
    }
    return 0;
}

static int sign_all(enum p256_kernel kernel)
{
    struct p256_signing_key key;
    uint8_t d[32];
    memcpy(d, secret_d, sizeof d);
    secret_mark(d, sizeof d);
    if (failed(p256_signing_key_init(&key, d))) return 1;
    for (int b = 0; b < BATCHES; b++) {
        items_fill(counts[b]);
        p256_sign(&key, items, counts[b], &scratch, kernel);
        if (outputs_check(counts[b]) != 0) return 1;
    }
    p256_signing_key_fini(&key);
    return 0;
}

static int sign_with_nonces(void)
{
    struct p256_signing_key key;
    uint8_t d[32], nonces[16][32];
    memcpy(d, secret_d, sizeof d);
    secret_mark(d, sizeof d);
    if (failed(p256_signing_key_init(&key, d))) return 1;
    items_fill(16);
    for (size_t i = 0; i < 16; i++) memset(nonces[i], (int)(3 * i + 1), 32);
    memset(nonces[0], 0, 31), nonces[0][31] = 1; // the least
    secret_mark(nonces, sizeof nonces);
    p256_sign_with_nonces(&key, items, (const uint8_t(*)[32])nonces, 16, &scratch, P256_IFMA);
    return outputs_check(16);
}

static int inverses(void)
{
    uint64_t x[4] = {5, 6, 7, 8};
    secret_mark(x, sizeof x);
    p256_inverse_p(x);
    p256_inverse_n(x);
    return 0;
}

static int jump(void)
{
    uint8_t d[32];
    memcpy(d, secret_d, sizeof d);
    secret_mark(d, sizeof d);
    if (d[3] == 7) sink++;
    return 0;
}

static int address(void)
{
    static const int table[256] = {1};
    uint8_t d[32];
    memcpy(d, secret_d, sizeof d);
    secret_mark(d, sizeof d);
    sink = table[d[3]];
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    if (strcmp(mode, "lanes") == 0) return sign_all(P256_IFMA);
    if (strcmp(mode, "scalar") == 0) return sign_all(P256_SCALAR);
    if (strcmp(mode, "nonces") == 0) return sign_with_nonces();
    if (strcmp(mode, "inverse") == 0) return inverses();
    if (strcmp(mode, "jump") == 0) return jump();
    if (strcmp(mode, "address") == 0) return address();
    fprintf(stderr, "usage: secret_test lanes|scalar|nonces|inverse|jump|address\n");
    return 2;
}
