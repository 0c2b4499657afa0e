// slice: bytes that somebody else owns, as pointer and length. It never frees and may be empty with
// any pointer. Pure functions; any thread.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p;
    size_t n; // bytes
};

#define SLICE_NONE ((struct slice){NULL, 0})
// SLICE_LIT is the slice of a string literal, without its NUL.
#define SLICE_LIT(s) ((struct slice){(const uint8_t *)("" s), sizeof(s) - 1})
// SLICE_FMT and SLICE_ARG print a slice with printf: printf("%" SLICE_FMT, SLICE_ARG(s)).
#define SLICE_FMT ".*s"
#define SLICE_ARG(s) (int)(s).n, (const char *)(s).p

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){(const uint8_t *)p, n};
}
static inline struct slice slice_str(const char *s)
{
    return slice_of(s, s == NULL ? 0 : strlen(s));
}
// slice_eq compares bytes; variable time, so not for secrets.
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_eq_str(struct slice a, const char *s) { return slice_eq(a, slice_str(s)); }
// slice_sub is the part [from, from+n), clipped to the slice.
static inline struct slice slice_sub(struct slice s, size_t from, size_t n)
{
    if (from > s.n) from = s.n;
    if (n > s.n - from) n = s.n - from;
    return (struct slice){s.p == NULL ? NULL : s.p + from, n};
}
static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq(slice_sub(s, 0, prefix.n), prefix);
}
// slice_cmp orders by bytes, then by length, as memcmp does: negative, zero or positive.
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}
