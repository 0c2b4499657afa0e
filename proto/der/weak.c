#include "proto/der/weak.h"

#include <openssl/bn.h>
#include <openssl/err.h>

#include "proto/der/der.h"
#include "proto/der/internal.h"
#include "proto/der/key.h"

// Odd primes up to WEAK_FACTOR_MAX.
static const uint16_t primes[] = {
    3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
    73,  79,  83,  89,  97,  101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    173, 179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257, 263, 269, 271,
    277, 281, 283, 293, 307, 311, 313, 317, 331, 337, 347, 349, 353, 359, 367, 373, 379, 383, 389,
    397, 401, 409, 419, 421, 431, 433, 439, 443, 449, 457, 461, 463, 467, 479, 487, 491, 499, 503,
    509, 521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599, 601, 607, 613, 617, 619, 631,
    641, 643, 647, 653, 659, 661, 673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743, 751,
};
enum { PRIME_COUNT = sizeof primes / sizeof primes[0] };

// ---- RSA: the modulus by small primes

// residue is the magnitude (big-endian) modulo m.
static uint64_t residue(struct slice n, uint64_t m)
{
    unsigned __int128 r = 0;
    for (size_t i = 0; i < n.n;) {
        unsigned take = n.n - i < 8 ? (unsigned)(n.n - i) : 8;
        for (unsigned k = 0; k < take; k++) r = r << 8 | n.p[i++];
        r %= m;
    }
    return (uint64_t)r;
}

// residues_take fills out[i] with n modulo primes[i]: as many primes at a time as one word has room
// for.
static void residues_take(uint16_t out[PRIME_COUNT], struct slice n)
{
    for (size_t first = 0, end; first < PRIME_COUNT; first = end) {
        uint64_t product = 1;
        for (end = first; end < PRIME_COUNT && product <= UINT64_MAX / primes[end]; end++)
            product *= primes[end];
        uint64_t r = residue(n, product);
        for (size_t i = first; i < end; i++) out[i] = (uint16_t)(r % primes[i]);
    }
}

// is_power says whether r is 65537 to some power modulo p.
static bool is_power(unsigned r, unsigned p)
{
    unsigned x = 1;
    do {
        if (x == r) return true;
        x = x * (65537 % p) % p;
    } while (x != 1);
    return false;
}

// is_roca: the primes of the affected chips are k * M + 65537^a modulo M, where M is the product of
// the first primes, so that the modulus is a power of 65537 modulo each of these, too (Nemec and
// others, "The Return of Coppersmith's Attack", 2017, section 5.1). These are the primes below 167
// for which not every number is; another modulus passes all of them once in 2.4 * 10^8 times.
static bool is_roca(const uint16_t residues[PRIME_COUNT])
{
    static const uint8_t telling[] = {11, 13, 17,  19,  37,  53,  61,  71, 73,
                                      79, 97, 103, 107, 109, 127, 151, 157};
    size_t at = 0;
    for (size_t i = 0; i < sizeof telling; i++) {
        while (primes[at] != telling[i]) at++;
        if (!is_power(residues[at], primes[at])) return false;
    }
    return true;
}

// ---- RSA: Fermat's method

// sqrt_up is the smallest a with a * a >= n, by Newton's method from above.
static bool sqrt_up(BIGNUM *a, const BIGNUM *n, BN_CTX *ctx)
{
    BIGNUM *next = BN_CTX_get(ctx);
    if (next == NULL || !BN_set_bit(a, (int)(BN_num_bits(n) + 1) / 2)) return false;
    for (;;) {
        if (!BN_div(next, NULL, n, a, ctx) || !BN_add(next, next, a) || !BN_rshift1(next, next))
            return false;
        if (BN_cmp(next, a) >= 0) break;
        if (BN_copy(a, next) == NULL) return false;
    }
    return BN_sqr(next, a, ctx) && (BN_cmp(next, n) >= 0 || BN_add_word(a, 1));
}

// square_possible looks at a number modulo 64: three of four that are no squares are told.
static bool square_possible(const BIGNUM *b)
{
    static const uint64_t squares = 1ull << 0 | 1ull << 1 | 1ull << 4 | 1ull << 9 | 1ull << 16 |
                                    1ull << 17 | 1ull << 25 | 1ull << 33 | 1ull << 36 | 1ull << 41 |
                                    1ull << 49 | 1ull << 57;
    static const struct {
        unsigned modulus;
        uint64_t squares; // bit r: there is a square r modulo it
    } others[] = {{63, 0x0402483012450293ull}, {61, 0x1713e6940a59f23bull}};
    BN_ULONG low = 0;
    for (int i = 0; i < 6; i++) low |= (BN_ULONG)BN_is_bit_set(b, i) << i;
    if ((squares >> low & 1) == 0) return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if ((others[i].squares >> BN_mod_word(b, others[i].modulus) & 1) == 0) return false;
    return true;
}

// close_found: n = a^2 - b^2 = (a - b)(a + b), tried for a from the root of n upwards. b^2 grows by
// 2a + 1 each time; what cannot be a square is told before its root is taken.
static bool close_found(const BIGNUM *n, BN_CTX *ctx)
{
    BIGNUM *a = BN_CTX_get(ctx), *b2 = BN_CTX_get(ctx), *root = BN_CTX_get(ctx),
           *step = BN_CTX_get(ctx);
    if (step == NULL || !sqrt_up(a, n, ctx) || !BN_sqr(b2, a, ctx) || !BN_sub(b2, b2, n))
        return false;
    for (int i = 0; i < WEAK_FERMAT_ROUNDS; i++) {
        if (square_possible(b2) && BN_sqrt(root, b2, ctx)) return true;
        ERR_clear_error(); // "not a square" is an error to the library
        if (!BN_lshift1(step, a) || !BN_add_word(step, 1) || !BN_add(b2, b2, step) ||
            !BN_add_word(a, 1))
            return false;
    }
    return false;
}

static bool primes_close(struct slice modulus)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *n = BN_bin2bn(modulus.p, modulus.n, NULL);
    bool found = false;
    if (ctx != NULL && n != NULL) {
        BN_CTX_start(ctx);
        found = close_found(n, ctx);
        BN_CTX_end(ctx);
    }
    BN_free(n);
    BN_CTX_free(ctx);
    return found;
}

// ---- RSA

static struct slice magnitude(CBS *key)
{
    CBS integer;
    if (!CBS_get_asn1(key, &integer, CBS_ASN1_INTEGER)) return SLICE_NONE;
    struct slice s = slice_of_cbs(&integer);
    while (s.n > 0 && s.p[0] == 0) s = slice_sub(s, 1, s.n);
    return s;
}

static bool exponent_small(struct slice e)
{
    uint64_t v = 0;
    if (e.n > 4) return false;
    for (size_t i = 0; i < e.n; i++) v = v << 8 | e.p[i];
    return v < WEAK_EXPONENT_MIN;
}

static const char *rsa_weakness(struct slice bits)
{
    CBS in = cbs_of_slice(bits), key;
    uint16_t residues[PRIME_COUNT];
    if (!CBS_get_asn1(&in, &key, CBS_ASN1_SEQUENCE)) return NULL;
    struct slice n = magnitude(&key), e = magnitude(&key);
    if (n.n == 0 || n.n > RSA_BITS_PARSED_MAX / 8 || e.n == 0) return NULL;
    if (exponent_small(e)) return "its public exponent is smaller than 65537";
    if ((n.p[n.n - 1] & 1) == 0) return "its modulus has small factors";
    residues_take(residues, n);
    for (size_t i = 0; i < PRIME_COUNT; i++)
        if (residues[i] == 0) return "its modulus has small factors";
    if (is_roca(residues))
        return "it was made by a chip whose keys can be factored (ROCA, CVE-2017-15361)";
    if (primes_close(n))
        return "its two primes lie so close together that they are found at once (Fermat's method, "
               "CVE-2022-26320)";
    return NULL;
}

// ---- Ed25519

// point_small: the y of the points whose order is 1, 2, 4 or 8, in all forms that a decoder may
// take (y and y + p), whatever the sign of x.
static bool point_small(struct slice point)
{
    static const struct slice all[] = {
        SLICE_LIT("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        SLICE_LIT("\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        SLICE_LIT("\xed\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        SLICE_LIT("\xee\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        SLICE_LIT("\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f"
                  "\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a"),
        SLICE_LIT("\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0"
                  "\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05"),
    };
    uint8_t y[32];
    if (point.n != sizeof y) return false;
    memcpy(y, point.p, sizeof y);
    y[31] &= 0x7f;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (slice_eq(slice_of(y, sizeof y), all[i])) return true;
    return false;
}

const char *key_weakness(struct slice spki)
{
    CBS in = cbs_of_slice(spki), info, algorithm, oid;
    struct slice bits;
    if (!CBS_get_asn1(&in, &info, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&info, &algorithm, CBS_ASN1_SEQUENCE) ||
        !CBS_get_asn1(&algorithm, &oid, CBS_ASN1_OBJECT) || !get_bits(&bits, &info))
        return NULL;
    if (cbs_is(&oid, OID_RSA_ENCRYPTION)) return rsa_weakness(bits);
    if (cbs_is(&oid, OID_ED25519) && point_small(bits)) return "its point has a small order";
    return NULL;
}
