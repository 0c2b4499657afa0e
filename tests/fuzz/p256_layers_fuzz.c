// The field and scalar layers of the P-256 kernels, over the emulation that stops where a bound
// does not hold: a small machine of six registers of eight lanes, whose program is the input. Each
// register has a twin of BoringSSL's integers and a bound (what multiple of the modulus it is
// below); an operation runs when the bounds allow it. Oracle: after each, the lanes are congruent
// to the twin, and below the bound.
#include <openssl/bn.h>
#include <string.h>

#include "proto/p256/field.h"
#include "proto/p256/scalar.h"
#include "tests/fuzz/fuzz.h"

enum { REGISTERS = 6, STEPS_MAX = 200, LIMB_OCTETS = 40 };

struct value {
    struct limbs limbs;
    BIGNUM *twin[LANES]; // in [0, m)
    unsigned bound;      // below bound * m
};

// struct machine computes modulo p or n.
struct machine {
    bool scalar;
    BIGNUM *m, *r; // the modulus, and 1 / 2^260
    BN_CTX *ctx;
    struct value registers[REGISTERS];
};

static void machine_make(struct machine *m, bool scalar)
{
    const char *hex = scalar ? "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
                             : "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    *m = (struct machine){.scalar = scalar, .ctx = BN_CTX_new(), .r = BN_new()};
    CHECK(m->ctx != NULL && m->r != NULL && BN_hex2bn(&m->m, hex) > 0 && BN_set_bit(m->r, 260) &&
          BN_mod_inverse(m->r, m->r, m->m, m->ctx) != NULL);
    for (int i = 0; i < REGISTERS; i++) {
        m->registers[i].limbs = (struct limbs){0};
        m->registers[i].bound = 1;
        for (int lane = 0; lane < LANES; lane++)
            CHECK((m->registers[i].twin[lane] = BN_new()) != NULL);
    }
}

static void machine_free(struct machine *m)
{
    for (int i = 0; i < REGISTERS; i++)
        for (int lane = 0; lane < LANES; lane++) BN_free(m->registers[i].twin[lane]);
    BN_free(m->m);
    BN_free(m->r);
    BN_CTX_free(m->ctx);
}

// lane_value is the integer of one lane.
static void lane_value(BIGNUM *out, const struct limbs *a, int lane)
{
    uint64_t t[LANES];
    BN_zero(out);
    for (int i = LIMBS; i-- > 0;) {
        vec_store(t, a->v[i]);
        CHECK(t[lane] < (uint64_t)1 << LIMB_BITS && BN_lshift(out, out, LIMB_BITS) &&
              BN_add_word(out, t[lane]));
    }
}

static void check(struct machine *m, struct value *v)
{
    BIGNUM *got = BN_new(), *limit = BN_dup(m->m);
    CHECK(got != NULL && limit != NULL && BN_mul_word(limit, v->bound));
    for (int lane = 0; lane < LANES; lane++) {
        lane_value(got, &v->limbs, lane);
        CHECK(BN_cmp(got, limit) <= 0 && BN_mod(got, got, m->m, m->ctx));
        CHECK(BN_cmp(got, v->twin[lane]) == 0);
    }
    BN_free(got);
    BN_free(limit);
}

// load fills a register from the input: every lane a value below 2m. An octet of 0xff or 0 stands
// for a limb of all ones or zeros.
static void load(struct machine *m, struct value *v, struct slice *in)
{
    uint64_t t[LIMBS][LANES];
    BIGNUM *n = BN_new();
    for (int lane = 0; lane < LANES; lane++) {
        uint8_t octets[LIMB_OCTETS] = {0};
        for (int i = 0; i < LIMBS; i++) {
            struct slice raw = slice_sub(*in, 0, 1);
            *in = slice_sub(*in, raw.n, in->n);
            bool plain = raw.n > 0 && (raw.p[0] == 0 || raw.p[0] == 0xff);
            struct slice rest = slice_sub(*in, 0, raw.n == 0 || plain ? 0 : 6);
            *in = slice_sub(*in, rest.n, in->n);
            memset(octets + 8 * i, raw.n > 0 ? raw.p[0] : 0, 7);
            if (rest.n > 0) memcpy(octets + 8 * i + 1, rest.p, rest.n);
        }
        for (int i = 0; i < LIMBS; i++) {
            memcpy(&t[i][lane], octets + 8 * i, 8);
            t[i][lane] &= LIMB_MASK;
        }
        t[LIMBS - 1][lane] &= ((uint64_t)1 << 48) - 1; // below 2^256, so below 2m
    }
    for (int i = 0; i < LIMBS; i++) v->limbs.v[i] = vec_load(t[i]);
    v->bound = 2;
    for (int lane = 0; lane < LANES; lane++) {
        lane_value(n, &v->limbs, lane);
        CHECK(BN_mod(v->twin[lane], n, m->m, m->ctx));
    }
    BN_free(n);
}

enum operation { LOAD, MUL, SQUARE, ADD, SUB, INVERT, REDUCE, OPERATIONS };

static void twin_do(struct machine *m, enum operation op, BIGNUM *out, const BIGNUM *a,
                    const BIGNUM *b)
{
    int ok = 1;
    switch (op) {
    case MUL:
    case SQUARE:
        ok = BN_mod_mul(out, a, op == MUL ? b : a, m->m, m->ctx) &&
             BN_mod_mul(out, out, m->r, m->m, m->ctx);
        break;
    case ADD:
        ok = BN_mod_add(out, a, b, m->m, m->ctx);
        break;
    case SUB:
        ok = BN_mod_sub(out, a, b, m->m, m->ctx);
        break;
    case INVERT: // what stands as x R comes out as R / x
        ok = BN_mod_mul(out, a, m->r, m->m, m->ctx) && BN_mod_mul(out, out, m->r, m->m, m->ctx) &&
             BN_mod_inverse(out, out, m->m, m->ctx) != NULL;
        break;
    default:
        ok = BN_copy(out, a) != NULL;
    }
    CHECK(ok == 1);
}

static bool any_zero(const struct value *v)
{
    for (int lane = 0; lane < LANES; lane++)
        if (BN_is_zero(v->twin[lane])) return true;
    return false;
}

// limbs_do runs one operation on the lanes; false where its bounds do not allow it.
static bool limbs_do(const struct machine *m, enum operation op, struct value *out,
                     const struct value *a, const struct value *b)
{
    struct limbs r;
    unsigned bound;
    switch (op) {
    case MUL:
    case SQUARE:
        b = op == MUL ? b : a;
        bound = (a->bound * b->bound + 15) / 16 + 1;
        if (a->bound > 15 || b->bound > 15) return false;
        if (m->scalar)
            scalar_mul(&r, &a->limbs, &b->limbs);
        else if (op == MUL)
            field_mul(&r, &a->limbs, &b->limbs);
        else
            field_sqr(&r, &a->limbs);
        break;
    case ADD:
        bound = a->bound + b->bound;
        if (bound > 15) return false;
        if (m->scalar)
            scalar_add(&r, &a->limbs, &b->limbs);
        else
            field_add(&r, &a->limbs, &b->limbs);
        break;
    case SUB:
        bound = a->bound + 4;
        if (m->scalar || b->bound > 4 || bound > 15) return false;
        field_sub(&r, &a->limbs, &b->limbs);
        break;
    case INVERT:
        bound = 2;
        if (a->bound > 4 || any_zero(a)) return false;
        if (m->scalar)
            scalar_invert(&r, &a->limbs);
        else
            field_invert(&r, &a->limbs);
        break;
    default: // REDUCE: to the residue
        if (a->bound > 2) return false;
        bound = 1;
        r = a->limbs;
        limbs_subtract_once(&r, m->scalar ? SCALAR_N : FIELD_P);
    }
    out->limbs = r;
    out->bound = bound;
    return true;
}

static void step(struct machine *m, enum operation op, struct value *out, struct value *a,
                 struct value *b, struct slice *in)
{
    if (op == LOAD) {
        load(m, out, in);
    } else {
        BIGNUM *twins[LANES];
        struct value was_a = *a, was_b = *b;
        if (!limbs_do(m, op, out, &was_a, &was_b)) return;
        for (int lane = 0; lane < LANES; lane++) {
            CHECK((twins[lane] = BN_new()) != NULL);
            twin_do(m, op, twins[lane], a->twin[lane], b->twin[lane]);
        }
        for (int lane = 0; lane < LANES; lane++) {
            BN_free(out->twin[lane]);
            out->twin[lane] = twins[lane];
        }
    }
    check(m, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct machine m;
    if (size == 0) return 0;
    struct slice in = slice_of(data + 1, size - 1);
    machine_make(&m, data[0] & 1);
    for (int i = 0; in.n >= 2 && i < STEPS_MAX; i++) {
        uint8_t op = in.p[0], which = in.p[1];
        in = slice_sub(in, 2, in.n);
        step(&m, (enum operation)(op % OPERATIONS), &m.registers[which % REGISTERS],
             &m.registers[which / REGISTERS % REGISTERS],
             &m.registers[(op / OPERATIONS + which / 36) % REGISTERS], &in);
    }
    machine_free(&m);
    return 0;
}
