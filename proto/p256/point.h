// point: points of P-256, eight side by side, coordinates in Montgomery form (field.h). Affine
// points for what is summed with shared inversions, Jacobian ones (x = X/Z^2, y = Y/Z^3) for what
// is doubled. None of the formulas knows the exceptional cases: the point at infinity, and the sum
// of equal or opposite points in an addition. Each says how they show. Private to proto/p256.
// Constant time.
#pragma once
#include "proto/p256/field.h"

// struct affine: x and y below 2.01p; in tables below p.
struct affine {
    struct limbs x, y;
};

// struct jacobian: all three below 4p.
struct jacobian {
    struct limbs x, y, z;
};

VEC_INLINE void affine_to_jacobian(struct jacobian *out, const struct affine *p)
{
    out->x = p->x;
    out->y = p->y;
    out->z = limbs_set1(FIELD_ONE);
}

// affine_difference is q.x - p.x, below 6.01p: what must be inverted to add p and q. It is zero
// modulo p in the exceptional cases and in no other.
VEC_INLINE void affine_difference(struct limbs *out, const struct affine *p, const struct affine *q)
{
    field_sub(out, &q->x, &p->x);
}

// affine_slope is (q.y - p.y) * inverse, below 1.8p, where `inverse` (below 2p) is that of the
// difference.
VEC_INLINE void affine_slope(struct limbs *out, const struct affine *p, const struct affine *q,
                             const struct limbs *inverse)
{
    field_sub(out, &q->y, &p->y); // 6.01p
    field_mul(out, out, inverse);
}

// affine_sum_x is the x of p + q: slope^2 - p.x - q.x.
VEC_INLINE void affine_sum_x(struct limbs *out, const struct affine *p, const struct affine *q,
                             const struct limbs *slope)
{
    vec r[2 * LIMBS];
    field_square(r, slope);
    field_reduce(r);
    VEC_FOR (i, 0, LIMBS) r[LIMBS + i] = vec_sub(r[LIMBS + i], vec_add(p->x.v[i], q->x.v[i]));
    field_weak(out, r + LIMBS);
}

// affine_sum_y is the y of p + q, whose x is known: slope * (p.x - x) - p.y. `out` may be p's y.
VEC_INLINE void affine_sum_y(struct limbs *out, const struct affine *p, const struct limbs *x,
                             const struct limbs *slope)
{
    struct limbs t;
    vec r[2 * LIMBS];
    field_sub(&t, &p->x, x); // 6.01p
    VEC_FOR (i, 0, 2 * LIMBS) r[i] = vec_zero();
    field_accumulate(r, slope, &t);
    field_reduce(r);
    VEC_FOR (i, 0, LIMBS) r[LIMBS + i] = vec_sub(r[LIMBS + i], p->y.v[i]);
    field_weak(out, r + LIMBS);
}

// affine_add sets p to p + q, given the inverse of their difference. If the difference was zero the
// inverse is zero (field_invert), and the result means nothing.
VEC_INLINE void affine_add(struct affine *p, const struct affine *q, const struct limbs *inverse)
{
    struct limbs slope, x;
    affine_slope(&slope, p, q, inverse);
    affine_sum_x(&x, p, q, &slope);
    affine_sum_y(&p->y, p, &x, &slope);
    p->x = x;
}

// jacobian_y finishes an addition: y = r * (v - x) - y1 * hhh with one reduction for both products,
// below (5.7 * 6 + 4 * 2.1)/16 + 1 < 4p.
VEC_INLINE void jacobian_y(struct limbs *out, const struct limbs *r, const struct limbs *v,
                           const struct limbs *x, const struct limbs *y1, const struct limbs *hhh)
{
    struct limbs t, negated;
    vec c[2 * LIMBS], n[LIMBS];
    field_sub(&t, v, x);
    VEC_FOR (i, 0, LIMBS) n[i] = vec_sub(vec_set1(4 * FIELD_P[i]), y1->v[i]);
    limbs_carry(&negated, n);
    VEC_FOR (i, 0, 2 * LIMBS) c[i] = vec_zero();
    field_accumulate(c, r, &t);
    field_accumulate(c, &negated, hhh);
    field_reduce(c);
    limbs_carry(out, c + LIMBS);
}

// jacobian_x is r^2 - h^3 - 2v, weakly reduced.
VEC_INLINE void jacobian_x(struct limbs *out, const struct limbs *r, const struct limbs *hhh,
                           const struct limbs *v)
{
    vec c[2 * LIMBS];
    field_square(c, r);
    field_reduce(c);
    VEC_FOR (i, 0, LIMBS) {
        vec t = vec_add(hhh->v[i], vec_add(v->v[i], v->v[i]));
        c[LIMBS + i] = vec_sub(c[LIMBS + i], t);
    }
    field_weak(out, c + LIMBS);
}

// jacobian_add_affine sets p to p + q: 8 products and 3 squares. In an exceptional case z becomes
// zero modulo p, and once zero it stays so through every later addition and doubling.
VEC_FAR void jacobian_add_affine(struct jacobian *p, const struct affine *q)
{
    struct limbs zz, u, s, h, r, hh, hhh, v, x;
    field_sqr(&zz, &p->z);       // 2p
    field_mul(&s, &q->y, &p->z); // 1.6p
    field_mul(&u, &q->x, &zz);   // 1.3p
    field_mul(&s, &s, &zz);      // 1.2p
    field_sub(&h, &u, &p->x);    // 5.3p
    field_sub(&r, &s, &p->y);    // 5.2p
    field_sqr(&hh, &h);          // 2.8p
    field_mul(&p->z, &p->z, &h); // 2.4p
    field_mul(&hhh, &h, &hh);    // 2p
    field_mul(&v, &p->x, &hh);   // 1.7p
    jacobian_x(&x, &r, &hhh, &v);
    jacobian_y(&p->y, &r, &v, &x, &p->y, &hhh);
    p->x = x;
}

// jacobian_add sets p to p + q: 12 products and 4 squares. Exceptional cases show as in
// jacobian_add_affine.
VEC_FAR void jacobian_add(struct jacobian *p, const struct jacobian *q)
{
    struct limbs zp, zq, u, s, h, r, hh, hhh, v, x;
    field_sqr(&zp, &p->z);       // 2p
    field_sqr(&zq, &q->z);       // 2p
    field_mul(&u, &q->x, &zp);   // 1.5p
    field_mul(&v, &p->x, &zq);   // 1.5p
    field_mul(&s, &q->y, &p->z); // 2p
    field_mul(&s, &s, &zp);      // 1.3p
    field_mul(&x, &p->y, &q->z);
    field_mul(&x, &x, &zq);         // 1.3p: y of p at the common z
    field_sub(&h, &u, &v);          // 5.5p
    field_sub(&r, &s, &x);          // 5.3p
    field_sqr(&hh, &h);             // 2.9p
    field_mul(&hhh, &h, &hh);       // 2p
    field_mul(&v, &v, &hh);         // 1.3p
    field_mul(&p->z, &p->z, &q->z); // 2p
    field_mul(&p->z, &p->z, &h);    // 1.7p
    s = x;
    jacobian_x(&x, &r, &hhh, &v);
    jacobian_y(&p->y, &r, &v, &x, &s, &hhh);
    p->x = x;
}

// jacobian_double sets p to 2p, by the formulas for a = -3: 4 products and 4 squares. There is no
// exceptional case: the order is odd, so no y is zero.
VEC_FAR void jacobian_double(struct jacobian *p)
{
    struct limbs delta, gamma, alpha, beta, t, x;
    vec r[2 * LIMBS], w[LIMBS];
    field_sqr(&delta, &p->z);        // 2p
    field_sqr(&gamma, &p->y);        // 2p
    field_mul(&beta, &p->x, &gamma); // 1.5p
    field_sub(&t, &p->x, &delta);    // 8p
    field_add(&x, &p->x, &delta);    // 6p
    field_mul(&t, &t, &x);           // 4p
    VEC_FOR (i, 0, LIMBS) w[i] = vec_add(t.v[i], vec_add(t.v[i], t.v[i]));
    field_weak(&alpha, w);       // 3(X - delta)(X + delta)
    field_mul(&t, &p->y, &p->z); // 2p
    field_add(&p->z, &t, &t);    // 2YZ, 4p
    field_square(r, &alpha);
    field_reduce(r);
    VEC_FOR (i, 0, LIMBS) w[i] = vec_sub(r[LIMBS + i], vec_shl(beta.v[i], 3));
    field_weak(&x, w); // alpha^2 - 8 beta
    VEC_FOR (i, 0, LIMBS) w[i] = vec_sub(vec_shl(beta.v[i], 2), x.v[i]);
    field_weak(&t, w);         // 4 beta - X
    field_sqr(&gamma, &gamma); // 1.3p
    VEC_FOR (i, 0, 2 * LIMBS) r[i] = vec_zero();
    field_accumulate(r, &alpha, &t);
    field_reduce(r);
    VEC_FOR (i, 0, LIMBS) w[i] = vec_sub(r[LIMBS + i], vec_shl(gamma.v[i], 3));
    field_weak(&p->y, w); // alpha (4 beta - X) - 8 gamma^2
    p->x = x;
}
