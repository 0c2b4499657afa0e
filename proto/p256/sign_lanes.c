// The vector kernel: eight signatures to a group, up to sixteen groups at once. k * G is the sum of
// 32 points of the generator's table (base_table.h), added as affine points: all additions of one
// step, over all groups, share one inversion. Each group keeps several partial sums ("chains"), so
// that a step has many additions and there are few steps.
//
// No addition meets an exceptional case but with a probability below 2^-240. Partial sums over
// disjoint sets of windows are d * 256^i and e * 256^j with d, e odd integers, i and j the lowest
// windows. Their sum and difference are not zero, being odd multiples of 256^min(i, j), and below
// 2^258. Where neither holds window 0 they are multiples of 256, and as n is odd no such multiple
// of n is so small. Where one holds window 0, a handful of all scalars give n itself. The inversion
// then comes out zero for everything, is seen, and the caller signs by the scalar kernel.
#include <openssl/mem.h>
#include <string.h>

#include "proto/err.h"
#include "proto/p256/base_table.h"
#include "proto/p256/internal.h"
#include "proto/p256/point.h"
#include "proto/p256/scalar.h"
#include "proto/p256/sha512_lanes.h"

enum { GROUPS_MAX = P256_SIGN_CHUNK / LANES, SUMS_MAX = 128, CHAINS_MAX = 16 };

struct scratch {
    struct affine sum[SUMS_MAX];  // of chain c and group g: [c * groups + g]
    struct affine next[SUMS_MAX]; // what is added to them in this step
    struct limbs product[SUMS_MAX];
    struct group {
        vec digits[WORDS];      // (odd scalar + 2^256 - 1) / 2: octet w is the digit of window w
        struct limbs k;         // Montgomery form, below 2n
        struct limbs k_product; // with those of the groups before
        vec_mask usable;        // k was not zero
    } group[GROUPS_MAX];
};

_Static_assert(sizeof(struct scratch) <= P256_SIGN_SCRATCH_SIZE, "the scratch's size is public");

// struct batch: what one call works on.
struct batch {
    const struct p256_signing_key *key;
    struct p256_sign_item *items;
    size_t count, groups;
    struct scratch *s;
};

// item_of is the item of a lane; lanes after the last item repeat it, and nobody reads them.
static struct p256_sign_item *item_of(const struct batch *b, size_t group, size_t lane)
{
    size_t i = group * LANES + lane;
    return &b->items[i < b->count ? i : b->count - 1];
}

// ---- nonces

// message_block loads block `index` of eight padded messages.
static void message_block(vec w[SHA512_WORDS], uint8_t text[LANES][2 * SHA512_BLOCK], size_t index)
{
    uint64_t t[SHA512_WORDS][LANES];
    for (int lane = 0; lane < LANES; lane++)
        for (int i = 0; i < SHA512_WORDS; i++)
            t[i][lane] = word_load(text[lane] + index * SHA512_BLOCK + 8 * (size_t)i);
    for (int i = 0; i < SHA512_WORDS; i++) w[i] = vec_load(t[i]);
}

// nonces_hash is the SHA-512 of each lane's message (one block, two with random octets; which, is
// public), as two integers of 256 bits.
static void nonces_hash(struct limbs *high, struct limbs *low, const struct batch *b, size_t group)
{
    uint8_t text[LANES][2 * SHA512_BLOCK] = {{0}};
    vec state[SHA512_STATE], one[SHA512_STATE], w[SHA512_WORDS];
    vec_mask longer = 0;
    for (size_t lane = 0; lane < LANES; lane++) {
        size_t n = p256_nonce_message(text[lane], b->key, item_of(b, group, lane));
        size_t blocks = n + 17 > SHA512_BLOCK ? 2 : 1;
        text[lane][n] = 0x80;
        word_store(text[lane] + blocks * SHA512_BLOCK - 8, 8 * n);
        longer |= (vec_mask)((blocks - 1) << lane);
    }
    VEC_FOR (i, 0, SHA512_STATE) state[i] = vec_set1(SHA512_START[i]);
    message_block(w, text, 0);
    sha512_block(state, w);
    if (longer != 0) {
        memcpy(one, state, sizeof one);
        message_block(w, text, 1);
        sha512_block(state, w);
        VEC_FOR (i, 0, SHA512_STATE) state[i] = vec_select(longer, state[i], one[i]);
    }
    const vec h[WORDS] = {state[3], state[2], state[1], state[0]};
    const vec l[WORDS] = {state[7], state[6], state[5], state[4]};
    limbs_from_words(high, h);
    limbs_from_words(low, l);
}

// nonces_derive is the hash modulo n, high * 2^256 + low, in Montgomery form and below 2n.
static void nonces_derive(struct limbs *out, const struct batch *b, size_t group)
{
    // 2^516 mod n
    static const uint64_t shift[LIMBS] = {0xa08c9fd4c0a3a, 0xb2b149434a7be, 0x6bec595fc2db9,
                                          0x61fc845b2392b, 0x06e12d9553d95};
    struct limbs high, low, s = limbs_set1(shift);
    nonces_hash(&high, &low, b, group);
    scalar_mul(&high, &high, &s);   // below 2n
    scalar_add(&high, &high, &low); // below 4n
    scalar_to_montgomery(out, &high);
}

static vec_mask nonces_given(struct limbs *out, const struct batch *b, size_t group,
                             const uint8_t (*nonces)[32])
{
    const uint8_t *p[LANES];
    vec w[WORDS];
    for (size_t lane = 0; lane < LANES; lane++)
        p[lane] = nonces[item_of(b, group, lane) - b->items];
    words_load(w, p);
    limbs_from_words(out, w);
    vec_mask below = limbs_below(out, SCALAR_N);
    scalar_to_montgomery(out, out);
    return below;
}

// digits_make recodes k, plain and in [1, n-1]: an even k is replaced by n - k, which is odd and
// whose multiple of G has the same x. The nonce itself stays k.
static void digits_make(vec digits[WORDS], const struct limbs *k)
{
    struct limbs odd;
    vec t[LIMBS], w[WORDS];
    vec_mask even = vec_eq(vec_and(k->v[0], vec_set1(1)), vec_zero());
    VEC_FOR (i, 0, LIMBS) t[i] = vec_sub(vec_set1(SCALAR_N[i]), k->v[i]);
    limbs_carry(&odd, t);
    limbs_select(&odd, even, &odd, k);
    limbs_to_words(w, &odd);
    VEC_FOR (i, 0, WORDS - 1) digits[i] = vec_or(vec_shr(w[i], 1), vec_shl(w[i + 1], 63));
    digits[WORDS - 1] = vec_or(vec_shr(w[WORDS - 1], 1), vec_set1((uint64_t)1 << 63));
}

// nonces_prepare makes k in both its forms. A k of zero is replaced by one, so that it does not
// spoil what the others share with it; its lane fails.
static void nonces_prepare(const struct batch *b, size_t group, const uint8_t (*nonces)[32])
{
    static const uint64_t one_limb[LIMBS] = {1};
    struct group *g = &b->s->group[group];
    struct limbs plain, one = limbs_set1(one_limb), one_form;
    g->usable = 0xff;
    if (nonces != NULL)
        g->usable = nonces_given(&g->k, b, group, nonces);
    else
        nonces_derive(&g->k, b, group);
    scalar_mul(&plain, &g->k, &one); // at most n
    limbs_subtract_once(&plain, SCALAR_N);
    g->usable &= (vec_mask)~limbs_is_zero(&plain);
    scalar_to_montgomery(&one_form, &one);
    limbs_select(&plain, g->usable, &plain, &one);
    limbs_select(&g->k, g->usable, &g->k, &one_form);
    digits_make(g->digits, &plain);
}

// ---- k * G

// window_point is the point of the digit of window w in each lane. All 8 KiB of the window are
// read; the choice is made in registers. The octet B stands for the digit 2B - 255: for B >= 128
// entry B - 128, else the negative of entry 127 - B.
static void window_point(struct affine *out, unsigned w, const vec digits[WORDS])
{
    vec octet = vec_and(vec_shr(digits[w / 8], 8 * (w % 8)), vec_set1(255));
    vec_mask negative = vec_less(octet, vec_set1(128)), row[8];
    vec entry = vec_xor(octet, vec_select(negative, vec_set1(127), vec_zero()));
    vec high = vec_and(vec_shr(entry, 4), vec_set1(7)), words[BASE_WORDS];
    entry = vec_and(entry, vec_set1(15));
    VEC_FOR (j, 0, 8) row[j] = vec_eq(high, vec_set1((uint64_t)j));
    VEC_FOR (i, 0, BASE_WORDS) {
        const uint64_t *column = p256_base_columns[w][i];
        vec found[8];
        VEC_FOR (j, 0, 8)
            found[j] = vec_lookup16(row[j], entry, vec_load(column + 16 * j),
                                    vec_load(column + 16 * j + 8));
        words[i] = vec_or3(vec_or3(found[0], found[1], found[2]),
                           vec_or3(found[3], found[4], found[5]), vec_or(found[6], found[7]));
    }
    limbs_from_words(&out->x, words);
    limbs_from_words(&out->y, words + WORDS);
    field_negate_if(&out->y, negative);
}

// product_add multiplies the difference of addition i to the product of those before, in two rows,
// of the even and the odd i, so that one product need not wait for the other.
static inline void product_add(struct scratch *s, const struct affine *next, size_t i)
{
    struct limbs d;
    affine_difference(&d, &s->sum[i], &next[i]);
    if (i < 2)
        s->product[i] = d;
    else
        field_mul(&s->product[i], &s->product[i - 2], &d);
}

// products_invert makes the inverses of the last products of both rows (row i & 1) by one
// inversion. All ones unless a factor was zero.
static vec_mask products_invert(struct limbs inverse[2], const struct scratch *s, size_t count)
{
    struct limbs all, plain;
    const struct limbs *last = &s->product[count - 1], *other = count > 1 ? last - 1 : NULL;
    if (other != NULL) {
        field_mul_far(&all, last, other);
        field_invert(&all, &all);
        field_mul_far(&inverse[(count - 1) & 1], &all, other);
        field_mul_far(&inverse[count & 1], &all, last);
    } else {
        field_invert(&all, last);
        inverse[0] = all;
    }
    field_to_plain(&plain, &all);
    return (vec_mask)~limbs_is_zero(&plain);
}

// ABREAST additions go through each stage side by side: a stage's products depend on those of the
// stage before, and a processor looks too little ahead to find other work by itself.
enum { ABREAST = 8 };

// sums_finish adds next[i] to sum[i] for `count` (up to ABREAST) i, given the inverses.
static void sums_finish(struct affine *sum, const struct affine *next, const struct limbs *inverse,
                        size_t count)
{
    struct limbs slope[ABREAST], x[ABREAST];
    for (size_t i = 0; i < count; i++) affine_slope(&slope[i], &sum[i], &next[i], &inverse[i]);
    for (size_t i = 0; i < count; i++) affine_sum_x(&x[i], &sum[i], &next[i], &slope[i]);
    for (size_t i = 0; i < count; i++) affine_sum_y(&sum[i].y, &sum[i], &x[i], &slope[i]);
    for (size_t i = 0; i < count; i++) sum[i].x = x[i];
}

// sums_add sets sum[i] to sum[i] + next[i] for all i below count, after product_add for all. The
// result is all ones unless an addition met an exceptional case.
static vec_mask sums_add(struct scratch *s, const struct affine *next, size_t count)
{
    struct limbs inverse[2], own[ABREAST], d;
    vec_mask ok = products_invert(inverse, s, count);
    for (size_t end = count; end > 0;) {
        size_t n = end < ABREAST ? end : ABREAST, from = end - n;
        for (size_t i = end; i-- > from;) {
            struct limbs *rest = &inverse[i & 1];
            if (i < 2) {
                own[i - from] = *rest;
                continue;
            }
            affine_difference(&d, &s->sum[i], &next[i]);
            field_mul(&own[i - from], rest, &s->product[i - 2]);
            field_mul(rest, rest, &d);
        }
        sums_finish(&s->sum[from], &next[from], own, n);
        end = from;
    }
    return ok;
}

// multiples_make leaves k * G of each group in sum[group]. Chain c begins with window c * steps and
// takes one more in each step; then the chains are added, half to half.
static vec_mask multiples_make(const struct batch *b)
{
    struct scratch *s = b->s;
    size_t chains = b->groups <= SUMS_MAX / CHAINS_MAX ? CHAINS_MAX : CHAINS_MAX / 2;
    size_t steps = BASE_WINDOWS / chains, groups = b->groups;
    vec_mask ok = 0xff;
    for (size_t step = 0; step < steps; step++) {
        for (size_t i = 0; i < chains * groups; i++) {
            unsigned w = (unsigned)(i / groups * steps + step);
            window_point(step == 0 ? &s->sum[i] : &s->next[i], w, s->group[i % groups].digits);
            if (step > 0) product_add(s, s->next, i);
        }
        if (step > 0) ok &= sums_add(s, s->next, chains * groups);
    }
    for (chains /= 2; chains > 0; chains /= 2) {
        const struct affine *other = &s->sum[chains * groups];
        for (size_t i = 0; i < chains * groups; i++) product_add(s, other, i);
        ok &= sums_add(s, other, chains * groups);
    }
    return ok;
}

// ---- r and s

// signatures_store writes one group's results, `words` of r and then of s, and the lanes that are
// `ok`. All of it is public, which is why it is a function by itself: the reader of machine code in
// tests/ctime passes it over.
static __attribute__((noinline)) void signatures_store(const struct batch *b, size_t group,
                                                       const vec words[2 * WORDS], vec_mask ok)
{
    uint8_t *to[LANES];
    size_t rest = b->count - group * LANES;
    int live = rest < LANES ? (int)rest : LANES;
    struct p256_sign_item *items = &b->items[group * LANES];
    for (int half = 0; half < 2; half++) {
        for (int lane = 0; lane < live; lane++) to[lane] = items[lane].signature + 32 * half;
        words_store(to, live, words + half * WORDS);
    }
    for (int lane = 0; lane < live; lane++) {
        items[lane].err = ok >> lane & 1 ? OK : ERR(CRYPTO);
        if (failed(items[lane].err)) memset(items[lane].signature, 0, sizeof items[lane].signature);
    }
}

// signatures_finish makes r = x mod n and s = (digest + r * d) / k of one group.
static void signatures_finish(const struct batch *b, size_t group, const struct limbs *k_inverse,
                              const struct limbs *d)
{
    const uint8_t *digest[LANES];
    struct limbs r, s, e;
    vec w[2 * WORDS];
    for (size_t lane = 0; lane < LANES; lane++) digest[lane] = item_of(b, group, lane)->digest;
    words_load(w, digest);
    limbs_from_words(&e, w);
    field_to_plain(&r, &b->s->sum[group].x);
    limbs_subtract_once(&r, SCALAR_N); // p is below 2n
    scalar_mul(&s, &r, d);             // below 2n
    scalar_add(&s, &s, &e);            // below 4n
    scalar_mul(&s, &s, k_inverse);     // below 2n
    limbs_subtract_once(&s, SCALAR_N);
    limbs_to_words(w, &r);
    limbs_to_words(w + WORDS, &s);
    vec_mask ok = b->s->group[group].usable & (vec_mask) ~(limbs_is_zero(&r) | limbs_is_zero(&s));
    P256_PUBLIC(&ok, sizeof ok);
    P256_PUBLIC(w, sizeof w);
    signatures_store(b, group, w, ok);
}

static void signatures_make(const struct batch *b)
{
    struct group *g = b->s->group;
    struct limbs inverse, own, d;
    limbs_set1_words(&d, b->key->d_lanes);
    g[0].k_product = g[0].k;
    for (size_t i = 1; i < b->groups; i++)
        scalar_mul(&g[i].k_product, &g[i - 1].k_product, &g[i].k);
    scalar_invert(&inverse, &g[b->groups - 1].k_product);
    for (size_t i = b->groups - 1; i > 0; i--) {
        scalar_mul(&own, &inverse, &g[i - 1].k_product);
        scalar_mul(&inverse, &inverse, &g[i].k);
        signatures_finish(b, i, &own, &d);
    }
    signatures_finish(b, 0, &inverse, &d);
}

bool p256_sign_lanes(const struct p256_signing_key *key, struct p256_sign_item *items,
                     const uint8_t (*nonces)[32], size_t count, struct p256_sign_scratch *scratch)
{
    struct batch b = {.key = key,
                      .items = items,
                      .count = count,
                      .groups = (count + LANES - 1) / LANES,
                      .s = (struct scratch *)(void *)scratch};
    CHECK(count > 0 && count <= P256_SIGN_CHUNK);
    for (size_t group = 0; group < b.groups; group++) nonces_prepare(&b, group, nonces);
    vec_mask ok = multiples_make(&b);
    P256_PUBLIC(&ok, sizeof ok);
    if (ok == 0xff) signatures_make(&b);
    OPENSSL_cleanse(b.s, sizeof *b.s);
    vec_wipe();
    return ok == 0xff;
}
