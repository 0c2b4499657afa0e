#include "proto/der/alabel.h"

// FIRST_LETTER: below it stand control characters and signs only.
enum { LABEL_LEN_MAX = 63, FIRST_LETTER = 0xb7 };

// The parameters of RFC 3492 section 5.
enum {
    BASE = 36,
    T_MIN = 1,
    T_MAX = 26,
    SKEW = 38,
    DAMP = 700,
    INITIAL_BIAS = 72,
    INITIAL_N = 128
};

struct ulabel {
    uint32_t chars[LABEL_LEN_MAX];
    size_t count;
};

// adapt is section 6.1: the bias for the next delta.
static uint32_t adapt(uint32_t delta, uint32_t count, bool first)
{
    uint32_t k = 0;
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / count;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE) delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static uint32_t threshold(uint32_t k, uint32_t bias)
{
    if (k <= bias + T_MIN) return T_MIN;
    return k >= bias + T_MAX ? T_MAX : k - bias;
}

static int digit_value(uint8_t c)
{
    if (c >= 'a' && c <= 'z') return c - 'a';
    return c >= '0' && c <= '9' ? c - '0' + 26 : -1;
}

static char digit_of(uint32_t value) { return (char)(value < 26 ? 'a' + value : '0' + value - 26); }

// read_delta reads one variable-length integer of section 3.3 from the front of `in`. Deltas stay
// far below 2^32 because anything over `limit` is refused at once.
static bool read_delta(uint32_t *out, struct slice *in, uint32_t bias, uint32_t limit)
{
    uint64_t delta = 0, weight = 1;
    for (uint32_t k = BASE;; k += BASE) {
        if (in->n == 0) return false;
        int digit = digit_value(in->p[0]);
        *in = slice_sub(*in, 1, in->n);
        if (digit < 0) return false;
        delta += (uint64_t)digit * weight;
        if (delta > limit) return false;
        uint32_t t = threshold(k, bias);
        if ((uint32_t)digit < t) break;
        weight *= BASE - t;
        if (weight > limit)
            weight = (uint64_t)limit + 1; // any further digit but 0 is too large anyway
    }
    *out = (uint32_t)delta;
    return true;
}

// split_basic copies the ASCII characters in front of the last '-' and leaves the deltas in `in`.
static bool split_basic(struct ulabel *u, struct slice *in)
{
    size_t n = in->n;
    while (n > 0 && in->p[n - 1] != '-') n--;
    if (n == 1) return false; // "xn---abc": the delimiter is written only after a basic character
    for (size_t i = 0; i + 1 < n; i++) u->chars[u->count++] = in->p[i];
    *in = slice_sub(*in, n, in->n);
    return true;
}

static void insert(struct ulabel *u, size_t at, uint32_t c)
{
    memmove(u->chars + at + 1, u->chars + at, (u->count - at) * sizeof u->chars[0]);
    u->chars[at] = c;
    u->count++;
}

// decode is section 6.2.
static bool decode(struct ulabel *u, struct slice in)
{
    uint32_t n = INITIAL_N, i = 0, bias = INITIAL_BIAS;
    if (!split_basic(u, &in) || in.n == 0) return false;
    for (bool first = true; in.n > 0; first = false) {
        uint32_t delta, count = (uint32_t)u->count + 1;
        if (count > LABEL_LEN_MAX || !read_delta(&delta, &in, bias, (0x10ffff - n + 1) * count))
            return false;
        i += delta;
        n += i / count;
        i %= count;
        bias = adapt(delta, count, first);
        if (n < FIRST_LETTER || n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) return false;
        insert(u, i++, n);
    }
    return true;
}

static bool put(char out[LABEL_LEN_MAX], size_t *n, char c)
{
    if (*n == LABEL_LEN_MAX) return false;
    out[(*n)++] = c;
    return true;
}

static bool put_delta(char out[LABEL_LEN_MAX], size_t *n, uint32_t delta, uint32_t bias)
{
    uint32_t q = delta;
    for (uint32_t k = BASE;; k += BASE) {
        uint32_t t = threshold(k, bias);
        if (q < t) return put(out, n, digit_of(q));
        if (!put(out, n, digit_of(t + (q - t) % (BASE - t)))) return false;
        q = (q - t) / (BASE - t);
    }
}

static uint32_t next_char(const struct ulabel *u, uint32_t least)
{
    uint32_t next = UINT32_MAX;
    for (size_t i = 0; i < u->count; i++) {
        if (u->chars[i] >= least && u->chars[i] < next) next = u->chars[i];
    }
    return next;
}

static size_t put_basic(char out[LABEL_LEN_MAX], const struct ulabel *u)
{
    size_t n = 0;
    for (size_t i = 0; i < u->count; i++) {
        if (u->chars[i] < INITIAL_N) out[n++] = (char)u->chars[i];
    }
    return n;
}

// encode is section 6.3. What decode accepted is short enough that nothing here overflows 32 bits.
static bool encode(char out[LABEL_LEN_MAX], size_t *out_n, const struct ulabel *u)
{
    size_t used = put_basic(out, u);
    uint32_t n = INITIAL_N, delta = 0, bias = INITIAL_BIAS, handled = (uint32_t)used,
             basic = handled;
    if (basic > 0 && !put(out, &used, '-')) return false;
    while (handled < u->count) {
        uint32_t m = next_char(u, n);
        delta += (m - n) * (handled + 1);
        n = m;
        for (size_t i = 0; i < u->count; i++) {
            if (u->chars[i] < n) delta++;
            if (u->chars[i] != n) continue;
            if (!put_delta(out, &used, delta, bias)) return false;
            bias = adapt(delta, handled + 1, handled == basic);
            delta = 0;
            handled++;
        }
        delta++;
        n++;
    }
    *out_n = used;
    return true;
}

// hyphens_fit: RFC 5891 section 4.2.3.1, of the decoded label: none at either end, not two at
// places 3 and 4.
static bool hyphens_fit(const struct ulabel *u)
{
    if (u->chars[0] == '-' || u->chars[u->count - 1] == '-') return false;
    return u->count < 4 || u->chars[2] != '-' || u->chars[3] != '-';
}

bool alabel_valid(struct slice label)
{
    struct ulabel u = {.count = 0};
    char again[LABEL_LEN_MAX];
    size_t n;
    if (label.n > LABEL_LEN_MAX || !slice_starts(label, SLICE_LIT("xn--"))) return false;
    struct slice code = slice_sub(label, 4, label.n);
    return decode(&u, code) && hyphens_fit(&u) && encode(again, &n, &u) &&
           slice_eq(code, slice_of(again, n));
}
