#include "tests/unit/proto/p256/lanes.h"

#include <openssl/nid.h>
#include <stdlib.h>
#include <time.h>

BIGNUM *lanes_p, *lanes_n;
BN_CTX *lanes_ctx;
static uint64_t seed;

int lanes_setup(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    lanes_ctx = BN_CTX_new();
    EC_GROUP *g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    lanes_p = BN_new();
    lanes_n = BN_dup(EC_GROUP_get0_order(g));
    return EC_GROUP_get_curve_GFp(g, lanes_p, NULL, NULL, lanes_ctx) == 1 ? 0 : -1;
}

int lanes_teardown(void **state)
{
    (void)state;
    BN_free(lanes_p);
    BN_free(lanes_n);
    BN_CTX_free(lanes_ctx);
    return 0;
}

// splitmix64
uint64_t lanes_random(void)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

struct lanes lanes_new(void)
{
    struct lanes l;
    for (int i = 0; i < LANES; i++) l.b[i] = BN_new();
    return l;
}

void lanes_free(struct lanes *l)
{
    for (int i = 0; i < LANES; i++) BN_free(l->b[i]);
}

static void pick_random(BIGNUM *out)
{
    uint8_t b[33];
    for (size_t i = 0; i < sizeof b; i++) b[i] = (uint8_t)lanes_random();
    b[0] &= 15; // 260 bits
    BN_bin2bn(b, sizeof b, out);
}

static void pick_limbs_of_ones(BIGNUM *out)
{
    uint64_t which = lanes_random();
    BN_zero(out);
    for (int bit = 0; bit < LIMBS * LIMB_BITS; bit++)
        if (which >> bit / LIMB_BITS & 1) BN_set_bit(out, bit);
}

// pick_near takes a multiple of m or a power of two, plus or minus little.
static void pick_near(BIGNUM *out, const BIGNUM *m)
{
    if (lanes_random() & 1) {
        BN_copy(out, m);
        BN_mul_word(out, lanes_random() % 17);
    } else {
        BN_zero(out);
        BN_set_bit(out, (int)(lanes_random() % 260));
    }
    BN_ULONG little = lanes_random() % 4;
    if (lanes_random() & 1)
        BN_add_word(out, little);
    else if (!BN_is_zero(out))
        BN_sub_word(out, little);
    if (BN_is_negative(out)) BN_zero(out);
}

void lanes_pick(struct lanes *out, const BIGNUM *m, unsigned multiple)
{
    BIGNUM *bound = BN_dup(m);
    BN_mul_word(bound, multiple);
    if (BN_num_bits(bound) > LIMBS * LIMB_BITS) {
        BN_zero(bound);
        BN_set_bit(bound, LIMBS * LIMB_BITS);
    }
    for (int i = 0; i < LANES; i++) {
        switch (lanes_random() % 4) {
        case 0:
            pick_limbs_of_ones(out->b[i]);
            break;
        case 1:
            pick_near(out->b[i], m);
            break;
        default:
            pick_random(out->b[i]);
        }
        BN_nnmod(out->b[i], out->b[i], bound, lanes_ctx);
    }
    BN_free(bound);
}

struct limbs lanes_to_limbs(const struct lanes *l)
{
    uint64_t v[LIMBS][LANES] = {{0}};
    struct limbs a;
    for (int lane = 0; lane < LANES; lane++)
        for (int bit = 0; bit < LIMBS * LIMB_BITS; bit++)
            v[bit / LIMB_BITS][lane] |= (uint64_t)BN_is_bit_set(l->b[lane], bit) << bit % LIMB_BITS;
    for (int i = 0; i < LIMBS; i++) a.v[i] = vec_load(v[i]);
    return a;
}

void lanes_of_limbs(struct lanes *out, const struct limbs *a)
{
    uint64_t v[LANES];
    for (int lane = 0; lane < LANES; lane++) BN_zero(out->b[lane]);
    for (int i = LIMBS - 1; i >= 0; i--) {
        vec_store(v, a->v[i]);
        for (int lane = 0; lane < LANES; lane++) {
            assert_true(v[lane] <= LIMB_MASK);
            BN_lshift(out->b[lane], out->b[lane], LIMB_BITS);
            BN_add_word(out->b[lane], v[lane]);
        }
    }
}

void lanes_check(const struct limbs *got, const struct lanes *want, const BIGNUM *m,
                 unsigned multiple, const char *what)
{
    struct lanes g = lanes_new();
    BIGNUM *bound = BN_dup(m), *d = BN_new();
    BN_mul_word(bound, multiple);
    lanes_of_limbs(&g, got);
    for (int i = 0; i < LANES; i++) {
        BN_sub(d, g.b[i], want->b[i]);
        BN_nnmod(d, d, m, lanes_ctx);
        if (BN_is_zero(d) && BN_cmp(g.b[i], bound) < 0) continue;
        char *hex = BN_bn2hex(g.b[i]), *wanted = BN_bn2hex(want->b[i]);
        fail_msg("%s, lane %d: got %s, want %s below %u m", what, i, hex, wanted, multiple);
    }
    BN_free(bound);
    BN_free(d);
    lanes_free(&g);
}
