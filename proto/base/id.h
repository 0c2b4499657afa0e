// id: the 128-bit identifiers of accounts, orders and authorizations, and their text forms.
//
// Layout, big endian: 48 bits milliseconds since 1970, 6 bits home region, 74 random bits. Bytes
// order as time does, so tables partition on the id itself. Pure: time and random bytes are
// parameters. Any thread.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

struct id {
    uint8_t b[16];
};

enum { ID_TEXT_LEN = 22 }; // base64url of 16 bytes, no padding: the form in URLs

// id_make builds an id. `region` is 0..63; `random` gives 10 bytes of which 74 bits are used.
struct id id_make(uint64_t unix_ms, unsigned region, const uint8_t random[10]);
// id_unix_ms and id_region read the prefix back.
uint64_t id_unix_ms(const struct id *id);
unsigned id_region(const struct id *id);
// id_text writes the URL form and a NUL.
void id_text(char out[ID_TEXT_LEN + 1], const struct id *id);
// id_parse reads the URL form strictly. ERR_BAD_BASE64URL.
RESULT id_parse(struct id *out, struct slice text);
static inline bool id_eq(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
static inline int id_cmp(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}
static inline bool id_is_zero(const struct id *a)
{
    static const struct id zero;
    return id_eq(a, &zero);
}
