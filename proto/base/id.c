#include "proto/base/id.h"

#include "proto/err.h"

struct id id_make(uint64_t unix_ms, unsigned region, const uint8_t random[10])
{
    struct id id;
    for (unsigned i = 0; i < 6; i++) id.b[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    id.b[6] = (uint8_t)((region & 63) << 2 | (random[0] & 3));
    memcpy(id.b + 7, random + 1, 9);
    return id;
}

uint64_t id_unix_ms(const struct id *id)
{
    uint64_t ms = 0;
    for (unsigned i = 0; i < 6; i++) ms = ms << 8 | id->b[i];
    return ms;
}

unsigned id_region(const struct id *id) { return id->b[6] >> 2; }

// The text form is base64url, written out here because proto/base knows no other folder: 128 bits
// and 4 zero bits are 22 characters of 6 bits.
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    return c == '_' ? 63 : -1;
}

void id_text(char out[ID_TEXT_LEN + 1], const struct id *id)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t used = 0;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        if (have < 6) {
            bits = bits << 8 | (used < sizeof id->b ? id->b[used] : 0);
            used++;
            have += 8;
        }
        have -= 6;
        out[i] = alphabet[bits >> have & 63];
    }
    out[ID_TEXT_LEN] = 0;
}

struct err id_parse(struct id *out, struct slice text)
{
    struct id id;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t made = 0;
    if (text.n != ID_TEXT_LEN) return ERR(BAD_BASE64URL);
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        int v = value_of(text.p[i]);
        if (v < 0) return ERR(BAD_BASE64URL);
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            id.b[made++] = (uint8_t)(bits >> have);
        }
    }
    if ((bits & 15) != 0)
        return ERR(BAD_BASE64URL); // the 4 bits behind the last octet: one text per id
    *out = id;
    return OK;
}
