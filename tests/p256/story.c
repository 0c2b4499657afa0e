#include "tests/p256/story.h"

#include <openssl/bn.h>
#include <openssl/nid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"

unsigned long story_count(int argc, char **argv, unsigned long ordinary)
{
    if (argc == 3 && strcmp(argv[1], "--count") == 0) return strtoul(argv[2], NULL, 10);
    return ordinary;
}

// splitmix64
uint64_t story_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

void story_octets(uint64_t *state, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t at = 0; at < n; at += 8) {
        uint64_t word = story_random(state);
        memcpy(p + at, &word, n - at < 8 ? n - at : 8);
    }
}

void story_key(uint64_t *state, uint8_t d[P256_LEN], uint8_t point[P256_POINT_LEN])
{
    uint8_t octets[1 + P256_POINT_LEN];
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *p = EC_POINT_new(group);
    BIGNUM *n = BN_new();
    do {
        story_octets(state, d, P256_LEN);
        CHECK(BN_bin2bn(d, P256_LEN, n) != NULL);
    } while (BN_is_zero(n) || BN_cmp(n, EC_GROUP_get0_order(group)) >= 0);
    CHECK(EC_POINT_mul(group, p, n, NULL, NULL, NULL) == 1 &&
          EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, octets, sizeof octets,
                             NULL) == sizeof octets);
    memcpy(point, octets + 1, P256_POINT_LEN);
    BN_free(n);
    EC_POINT_free(p);
    EC_GROUP_free(group);
}

int story_kernels(enum p256_kernel out[2])
{
    out[0] = P256_SCALAR;
    out[1] = p256_kernel_detect();
    return out[1] == P256_SCALAR ? 1 : 2;
}
