// lanes: eight BoringSSL integers beside eight lanes of the kernels, for the tests of the layers.
#pragma once
#include <openssl/bn.h>
#include <openssl/ec.h>

#include "proto/p256/limbs.h"
#include "tests/unit/unit.h"

struct lanes {
    BIGNUM *b[LANES];
};

// lanes_p and lanes_n are the field's prime and the group's order; lanes_ctx one context for all.
extern BIGNUM *lanes_p, *lanes_n;
extern BN_CTX *lanes_ctx;

// lanes_setup prints the seed and makes the above; lanes_teardown frees them: cmocka's group hooks.
int lanes_setup(void **state);
int lanes_teardown(void **state);
// lanes_new and lanes_free make and free eight integers.
struct lanes lanes_new(void);
void lanes_free(struct lanes *l);
// lanes_random is a 64-bit word of the run's seed.
uint64_t lanes_random(void);
// lanes_pick fills all lanes with integers below `multiple` * m (and below 2^260): half of them
// random, half such as lie near 0, multiples of m, powers of two, or have limbs of all ones.
void lanes_pick(struct lanes *out, const BIGNUM *m, unsigned multiple);
// lanes_to_limbs and lanes_of_limbs change the form; the test fails when a limb has over 52 bits.
struct limbs lanes_to_limbs(const struct lanes *l);
void lanes_of_limbs(struct lanes *out, const struct limbs *a);
// lanes_check fails unless each lane of `got` is below `multiple` * m and equal modulo m to `want`.
void lanes_check(const struct limbs *got, const struct lanes *want, const BIGNUM *m,
                 unsigned multiple, const char *what);
