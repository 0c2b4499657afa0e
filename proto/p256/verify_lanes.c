// The eight-lane verifier. Of each signature: u1 = digest / s and u2 = r / s modulo n, with one
// inversion for the whole chunk; then u1 G + u2 Q in Jacobian coordinates, the generator's comb and
// the key's sharing their doublings; then X = r Z^2 instead of a division. No formula knows the
// exceptional cases: whatever meets one has Z = 0 at the end (point.h), and is left to BoringSSL.
// Nothing here is secret: rows are loaded by address.
#include "proto/p256/verify_lanes.h"

#include <string.h>

#include "proto/p256/comb.h"
#include "proto/p256/point.h"

#if VEC_NATIVE || defined(P256_VEC_EMULATED)

_Static_assert(2 * KEY_HALF_ROWS == P256_TABLE_ROWS, "a table holds a key's comb");
_Static_assert(BASE_SPACING == KEY_SPACING + 1, "the combs share their doublings");

enum {
    GROUPS = P256_VERIFY_CHUNK / LANES,
    WINDOW = 4, // signs of one step with a key never seen
    WINDOWS = 256 / WINDOW,
    MULTIPLES = 1 << (WINDOW - 1) // odd ones: 1 Q, 3 Q ... 15 Q
};

static const uint64_t ONE[LIMBS] = {1};
// CURVE_B is b of the curve's equation, GENERATOR_* a point of it, in Montgomery form.
static const uint64_t CURVE_B[LIMBS] = {0xdf6229c4bddfd, 0xca8843090d89c, 0x212ed6acf005c,
                                        0x83415a220abf7, 0x0c30061dd4874};
static const uint64_t GENERATOR_X[LIMBS] = {0x30d418a9143c1, 0xc4fedb60179e7, 0x62251075ba95f,
                                            0x5c669fb732b77, 0x08905f76b5375};
static const uint64_t GENERATOR_Y[LIMBS] = {0x5357ce95560a8, 0x43a19e45cddf2, 0x21f3258b4ab8e,
                                            0xd8552e88688dd, 0x0571ff18a5885};

// struct group is eight items on their way; lanes beyond `count` repeat the first.
struct group {
    struct p256_verify_item *item[LANES];
    size_t count;
    vec_mask in_range;    // r and s in [1, n-1]
    vec_mask on_curve;    // the key, where it was asked
    struct limbs r;       // plain
    struct limbs s;       // in Montgomery form; 1 where out of range
    struct limbs product; // of s of all groups up to this one
    struct signs u1, u2;
};

// ---- scalars

static void group_load(struct group *g, struct p256_verify_item *const items[], size_t count,
                       const struct limbs *product_before)
{
    const uint8_t *r[LANES], *s[LANES];
    struct limbs plain, one = limbs_set1(ONE);
    vec w[WORDS];
    g->count = count;
    for (size_t lane = 0; lane < LANES; lane++) {
        g->item[lane] = items[lane < count ? lane : 0];
        r[lane] = g->item[lane]->r;
        s[lane] = g->item[lane]->s;
    }
    words_load(w, r);
    limbs_from_words(&g->r, w);
    words_load(w, s);
    limbs_from_words(&plain, w);
    g->in_range = limbs_below(&g->r, SCALAR_N) & limbs_below(&plain, SCALAR_N) &
                  (vec_mask)~limbs_is_zero(&g->r) & (vec_mask)~limbs_is_zero(&plain);
    limbs_select(&plain, g->in_range, &plain, &one);
    scalar_to_montgomery(&g->s, &plain);
    if (product_before == NULL)
        g->product = g->s;
    else
        scalar_mul(&g->product, product_before, &g->s);
}

// group_scalars recodes u1 and u2, given 1 / s in Montgomery form.
static void group_scalars(struct group *g, const struct limbs *inverse, unsigned key_bits)
{
    const uint8_t *digest[LANES];
    struct limbs e, u;
    vec w[WORDS];
    for (size_t lane = 0; lane < LANES; lane++) digest[lane] = g->item[lane]->digest;
    words_load(w, digest);
    limbs_from_words(&e, w);
    scalar_mul(&u, &e, inverse); // the digest may be above n: it is below 2n
    limbs_subtract_once(&u, SCALAR_N);
    signs_of(&g->u1, &u, BASE_BITS);
    scalar_mul(&u, &g->r, inverse);
    limbs_subtract_once(&u, SCALAR_N);
    signs_of(&g->u2, &u, key_bits);
}

// scalars_prepare loads all groups and inverts every s by one inversion.
static size_t scalars_prepare(struct group groups[GROUPS], struct p256_verify_item *const items[],
                              size_t count, unsigned key_bits)
{
    struct limbs inverse, one;
    size_t n = 0;
    do {
        size_t left = count - n * LANES;
        group_load(&groups[n], items + n * LANES, left < LANES ? left : LANES,
                   n == 0 ? NULL : &groups[n - 1].product);
        n++;
    } while (n * LANES < count);
    scalar_invert(&inverse, &groups[n - 1].product); // of all of them
    for (size_t i = n; i-- > 0;) {
        if (i > 0) {
            scalar_mul(&one, &inverse, &groups[i - 1].product);
            scalar_mul(&inverse, &inverse, &groups[i].s);
        } else {
            one = inverse;
        }
        group_scalars(&groups[i], &one, key_bits);
    }
    return n;
}

// ---- sums

// affine_load takes one row per lane, negated in the lanes of the mask.
static inline void affine_load(struct affine *out, const uint64_t *const rows[LANES],
                               vec_mask negate)
{
    vec w[8];
    rows_load(w, rows);
    limbs_from_words(&out->x, w);
    limbs_from_words(&out->y, w + WORDS);
    field_negate_if(&out->y, negate);
}

// base_digit is the generator's point of a column.
static inline void base_digit(struct affine *out, const struct signs *u, unsigned column)
{
    const uint64_t *rows[LANES];
    uint64_t row[LANES];
    vec at;
    vec_mask minus = digit_split(&at, signs_gather(u, column, BASE_SPACING, BASE_TEETH),
                                 BASE_TEETH);
    vec_store(row, at);
    for (int lane = 0; lane < LANES; lane++) rows[lane] = p256_base_comb[row[lane]];
    affine_load(out, rows, (vec_mask)(minus ^ u->negated));
}

// key_digit is the point of a column and half of each lane's own comb.
static inline void key_digit(struct affine *out, const struct group *g, unsigned column,
                             unsigned half)
{
    const uint64_t *rows[LANES];
    uint64_t row[LANES];
    vec at, digit = signs_gather(&g->u2, column + half * KEY_HALF_TEETH * KEY_SPACING, KEY_SPACING,
                                 KEY_HALF_TEETH);
    vec_mask minus = digit_split(&at, digit, KEY_HALF_TEETH);
    vec_store(row, at);
    for (int lane = 0; lane < LANES; lane++)
        rows[lane] = g->item[lane]->table->rows[half * KEY_HALF_ROWS + row[lane]];
    affine_load(out, rows, (vec_mask)(minus ^ g->u2.negated));
}

// sum_tabled: the generator's comb has one column more, so it begins. 19 doublings, 57 additions.
static void sum_tabled(struct jacobian *p, const struct group *g)
{
    struct affine q;
    base_digit(&q, &g->u1, BASE_SPACING - 1);
    affine_to_jacobian(p, &q);
    for (unsigned column = KEY_SPACING; column-- > 0;) {
        jacobian_double(p);
        for (unsigned half = 0; half < 2; half++) {
            key_digit(&q, g, column, half);
            jacobian_add_affine(p, &q);
        }
        base_digit(&q, &g->u1, column);
        jacobian_add_affine(p, &q);
    }
}

// multiple_digit is +-1 Q to +-15 Q, taken from the lanes' own multiples.
static inline void multiple_digit(struct affine *out, const struct affine odd[MULTIPLES],
                                  const struct signs *u, unsigned window)
{
    vec at, digit = vec_and(vec_shr(u->word[window * WINDOW / 64], window * WINDOW % 64),
                            vec_set1((1 << WINDOW) - 1));
    vec_mask minus = digit_split(&at, digit, WINDOW);
    struct limbs negated;
    vec t[LIMBS];
    *out = odd[0];
    VEC_FOR (i, 1, MULTIPLES) {
        vec_mask here = vec_eq(at, vec_set1((uint64_t)i));
        limbs_select(&out->x, here, &odd[i].x, &out->x);
        limbs_select(&out->y, here, &odd[i].y, &out->y);
    }
    VEC_FOR (i, 0, LIMBS) t[i] = vec_sub(vec_set1(4 * FIELD_P[i]), out->y.v[i]);
    limbs_carry(&negated, t); // below 4p
    limbs_select(&out->y, (vec_mask)(minus ^ u->negated), &negated, &out->y);
}

// sum_multiples: 252 doublings; in the last 19 and at the end the generator's comb joins.
static void sum_multiples(struct jacobian *p, const struct group *g,
                          const struct affine odd[MULTIPLES])
{
    struct affine q;
    multiple_digit(&q, odd, &g->u2, WINDOWS - 1);
    affine_to_jacobian(p, &q);
    for (unsigned bit = (WINDOWS - 1) * WINDOW; bit-- > 0;) {
        jacobian_double(p);
        if (bit % WINDOW == 0) {
            multiple_digit(&q, odd, &g->u2, bit / WINDOW);
            jacobian_add_affine(p, &q);
        }
        if (bit < BASE_SPACING) {
            base_digit(&q, &g->u1, bit);
            jacobian_add_affine(p, &q);
        }
    }
}

// ---- points

// points_load enters X || Y of eight lanes into Montgomery form, and says which are points of the
// curve; the others become the generator.
static vec_mask points_load(struct affine *out, const uint8_t *const points[LANES])
{
    const uint8_t *y[LANES];
    struct affine generator = {limbs_set1(GENERATOR_X), limbs_set1(GENERATOR_Y)};
    struct limbs left, right, t, b = limbs_set1(CURVE_B);
    vec w[WORDS], c[LIMBS];
    for (int lane = 0; lane < LANES; lane++) y[lane] = points[lane] + P256_LEN;
    words_load(w, points);
    limbs_from_words(&out->x, w);
    words_load(w, y);
    limbs_from_words(&out->y, w);
    vec_mask ok = limbs_below(&out->x, FIELD_P) & limbs_below(&out->y, FIELD_P);
    field_from_plain(&out->x, &out->x);
    field_from_plain(&out->y, &out->y);
    // y^2 - x^3 + 3x - b = 0
    field_sqr_far(&left, &out->y);
    field_sqr_far(&t, &out->x);
    field_mul_far(&right, &t, &out->x);
    VEC_FOR (i, 0, LIMBS)
        c[i] = vec_sub(vec_add(left.v[i], vec_add(out->x.v[i], vec_add(out->x.v[i], out->x.v[i]))),
                       vec_add(right.v[i], b.v[i]));
    field_weak(&t, c);
    field_to_plain(&t, &t);
    ok &= limbs_is_zero(&t);
    limbs_select(&out->x, ok, &out->x, &generator.x);
    limbs_select(&out->y, ok, &out->y, &generator.y);
    return ok;
}

// affine_all brings `count` Jacobian points to affine form by one inversion. products holds as many
// values.
static void affine_all(struct affine *out, const struct jacobian *in, struct limbs *products,
                       size_t count)
{
    struct limbs inverse, zi, zz;
    products[0] = in[0].z;
    for (size_t i = 1; i < count; i++) field_mul_far(&products[i], &products[i - 1], &in[i].z);
    field_invert(&inverse, &products[count - 1]);
    for (size_t i = count; i-- > 0;) {
        if (i > 0) {
            field_mul_far(&zi, &inverse, &products[i - 1]);
            field_mul_far(&inverse, &inverse, &in[i].z);
        } else {
            zi = inverse;
        }
        field_sqr_far(&zz, &zi);
        field_mul_far(&out[i].x, &in[i].x, &zz);
        field_mul_far(&zz, &zz, &zi);
        field_mul_far(&out[i].y, &in[i].y, &zz);
    }
}

// multiples_make fills odd with 1 Q, 3 Q ... of the first group, then of the next; n groups share
// one inversion.
static void multiples_make(struct affine odd[GROUPS * MULTIPLES], struct group groups[], size_t n)
{
    struct jacobian sum[GROUPS * MULTIPLES];
    struct limbs products[GROUPS * MULTIPLES];
    size_t i = 0;
    do {
        const uint8_t *points[LANES];
        struct jacobian *of = sum + i * MULTIPLES, twice;
        struct affine q;
        for (int lane = 0; lane < LANES; lane++) points[lane] = groups[i].item[lane]->point;
        groups[i].on_curve = points_load(&q, points);
        affine_to_jacobian(&of[0], &q);
        twice = of[0];
        jacobian_double(&twice);
        for (int k = 1; k < MULTIPLES; k++) {
            of[k] = of[k - 1];
            jacobian_add(&of[k], &twice);
        }
    } while (++i < n);
    affine_all(odd, sum, products, n * MULTIPLES);
}

// ---- the verdict

// group_end compares the sum's x with r: X = r Z^2.
static void group_end(struct group *g, const struct jacobian *p, bool *out_undecided)
{
    // p - n: below it r + n, too, would be an x.
    static const uint64_t gap[LIMBS] = {0x6353d039cdaae, 0x5358e8617b0c4, 0x431905, 0, 0};
    struct limbs r, zz, z, x;
    field_from_plain(&r, &g->r);
    field_sqr_far(&zz, &p->z);
    field_mul_far(&r, &r, &zz);
    field_to_plain(&r, &r);
    field_to_plain(&x, &p->x);
    field_to_plain(&z, &p->z);
    vec_mask equal = limbs_eq(&r, &x), exceptional = limbs_is_zero(&z) | limbs_below(&g->r, gap);
    vec_mask ok = g->in_range & g->on_curve & equal;
    vec_mask undecided = g->in_range & g->on_curve & exceptional;
    for (size_t lane = 0; lane < g->count; lane++) {
        g->item[lane]->ok = (ok >> lane & 1) != 0;
        out_undecided[lane] = (undecided >> lane & 1) != 0;
    }
}

void p256_verify_lanes(struct p256_verify_item *const items[], bool *out_undecided, size_t count,
                       bool tabled)
{
    struct group groups[GROUPS];
    struct affine odd[GROUPS * MULTIPLES];
    size_t n = scalars_prepare(groups, items, count, tabled ? KEY_BITS : WINDOWS * WINDOW);
    if (!tabled) multiples_make(odd, groups, n);
    for (size_t i = 0; i < n; i++) {
        struct jacobian p;
        if (tabled) {
            groups[i].on_curve = (vec_mask)0xff; // else there were no table
            sum_tabled(&p, &groups[i]);
        } else {
            sum_multiples(&p, &groups[i], odd + i * MULTIPLES);
        }
        group_end(&groups[i], &p, out_undecided + i * LANES);
    }
}

// ---- tables

// struct teeth: 2^(19t) Q, and twice that, of each tooth.
struct teeth {
    struct affine once[2 * KEY_HALF_TEETH], twice[2 * KEY_HALF_TEETH];
};

static void teeth_make(struct teeth *out, const struct affine *q)
{
    enum { COUNT = 2 * KEY_HALF_TEETH };
    struct jacobian once[2 * COUNT], p;
    struct affine made[2 * COUNT];
    struct limbs products[2 * COUNT];
    affine_to_jacobian(&p, q);
    for (unsigned t = 0; t < COUNT; t++) {
        once[t] = p;
        jacobian_double(&p);
        once[COUNT + t] = p;
        for (unsigned i = 1; i < KEY_SPACING && t + 1 < COUNT; i++) jacobian_double(&p);
    }
    affine_all(made, once, products, 2 * COUNT);
    memcpy(out->once, made, sizeof out->once);
    memcpy(out->twice, made + COUNT, sizeof out->twice);
}

static void add_signed(struct jacobian *p, const struct affine *q, bool minus)
{
    struct affine t = *q;
    if (minus) {
        vec n[LIMBS];
        VEC_FOR (i, 0, LIMBS) n[i] = vec_sub(vec_set1(4 * FIELD_P[i]), t.y.v[i]);
        limbs_carry(&t.y, n); // below 4p
    }
    jacobian_add_affine(p, &t);
}

// half_make fills the rows of one half. They are walked in Gray's order: from one row to the next
// one sign changes, which is one addition of twice its tooth.
static void half_make(struct p256_table *const tables[], size_t count, const struct teeth *teeth,
                      unsigned half)
{
    struct jacobian row[KEY_HALF_ROWS], p;
    struct affine made[KEY_HALF_ROWS];
    struct limbs products[KEY_HALF_ROWS];
    const struct affine *once = teeth->once + half * KEY_HALF_TEETH,
                        *twice = teeth->twice + half * KEY_HALF_TEETH;
    affine_to_jacobian(&p, &once[KEY_HALF_TEETH - 1]);
    for (unsigned t = 0; t + 1 < KEY_HALF_TEETH; t++) add_signed(&p, &once[t], true);
    row[0] = p;
    for (unsigned i = 1; i < KEY_HALF_ROWS; i++) {
        unsigned gray = i ^ i >> 1, t = (unsigned)__builtin_ctz(i);
        add_signed(&p, &twice[t], (gray >> t & 1) == 0);
        row[gray] = p;
    }
    affine_all(made, row, products, KEY_HALF_ROWS);
    for (unsigned i = 0; i < KEY_HALF_ROWS; i++) {
        uint64_t *to[LANES];
        vec w[8];
        limbs_subtract_once(&made[i].x, FIELD_P);
        limbs_subtract_once(&made[i].y, FIELD_P);
        limbs_to_words(w, &made[i].x);
        limbs_to_words(w + WORDS, &made[i].y);
        for (size_t lane = 0; lane < count; lane++)
            to[lane] = tables[lane]->rows[half * KEY_HALF_ROWS + i];
        rows_store(to, count, w);
    }
}

void p256_tables_lanes(struct p256_table *tables, bool *out_ok, const uint8_t *points, size_t count)
{
    const uint8_t *point[LANES];
    struct p256_table *table[LANES];
    struct affine q;
    struct teeth teeth;
    for (size_t lane = 0; lane < LANES; lane++) {
        point[lane] = points + (lane < count ? lane : 0) * P256_POINT_LEN;
        table[lane] = &tables[lane < count ? lane : 0];
    }
    vec_mask ok = points_load(&q, point);
    for (size_t lane = 0; lane < count; lane++) out_ok[lane] = (ok >> lane & 1) != 0;
    teeth_make(&teeth, &q);
    for (unsigned half = 0; half < 2; half++) half_make(table, count, &teeth, half);
}
#endif
