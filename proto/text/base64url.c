#include "proto/text/base64url.h"

#include "proto/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(char *out, struct slice in)
{
    const uint8_t *p = in.p;
    size_t n = in.n;
    for (; n >= 3; p += 3, n -= 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = alphabet[v >> 6 & 63];
        *out++ = alphabet[v & 63];
    }
    if (n == 0) return;
    uint32_t v = (uint32_t)p[0] << 8 | (n == 2 ? p[1] : 0);
    *out++ = alphabet[v >> 10];
    *out++ = alphabet[v >> 4 & 63];
    if (n == 2) *out = alphabet[v << 2 & 63];
}

struct err base64url_encode_buf(struct buf *out, struct slice in)
{
    size_t n = base64url_encoded_len(in.n);
    uint8_t *p = buf_reserve(out, n);
    if (p == NULL) return ERR(NO_SPACE);
    base64url_encode((char *)p, in);
    buf_commit(out, n);
    return OK;
}

enum { BAD = 0x80 }; // the bit that no value of 6 bits has

// strict_values maps a character to its 6 bits or BAD; lenient_values also knows the standard
// alphabet's '+' and '/'.
#define SAME_IN_BOTH                                                                              \
    ['A'] = 0, ['B'] = 1, ['C'] = 2, ['D'] = 3, ['E'] = 4, ['F'] = 5, ['G'] = 6, ['H'] = 7,       \
    ['I'] = 8, ['J'] = 9, ['K'] = 10, ['L'] = 11, ['M'] = 12, ['N'] = 13, ['O'] = 14, ['P'] = 15, \
    ['Q'] = 16, ['R'] = 17, ['S'] = 18, ['T'] = 19, ['U'] = 20, ['V'] = 21, ['W'] = 22,           \
    ['X'] = 23, ['Y'] = 24, ['Z'] = 25, ['a'] = 26, ['b'] = 27, ['c'] = 28, ['d'] = 29,           \
    ['e'] = 30, ['f'] = 31, ['g'] = 32, ['h'] = 33, ['i'] = 34, ['j'] = 35, ['k'] = 36,           \
    ['l'] = 37, ['m'] = 38, ['n'] = 39, ['o'] = 40, ['p'] = 41, ['q'] = 42, ['r'] = 43,           \
    ['s'] = 44, ['t'] = 45, ['u'] = 46, ['v'] = 47, ['w'] = 48, ['x'] = 49, ['y'] = 50,           \
    ['z'] = 51, ['0'] = 52, ['1'] = 53, ['2'] = 54, ['3'] = 55, ['4'] = 56, ['5'] = 57,           \
    ['6'] = 58, ['7'] = 59, ['8'] = 60, ['9'] = 61, ['-'] = 62, ['_'] = 63
#define REST_BAD                                                          \
    [0 ... '+' - 1] = BAD, [','] = BAD, ['.'] = BAD, [':' ... '@'] = BAD, \
                 ['[' ... '^'] = BAD, ['`'] = BAD, ['{' ... 255] = BAD
static const uint8_t strict_values[256] = {SAME_IN_BOTH, REST_BAD, ['+'] = BAD, ['/'] = BAD};
static const uint8_t lenient_values[256] = {SAME_IN_BOTH, REST_BAD, ['+'] = 62, ['/'] = 63};

// decode_tail reads the last 2 or 3 characters, whose unused bits must be zero: one text per value.
static uint32_t decode_tail(uint8_t *out, const uint8_t *c, size_t n, const uint8_t values[256])
{
    uint32_t bad = values[c[0]] | values[c[1]];
    uint32_t v = (uint32_t)values[c[0]] << 18 | (uint32_t)values[c[1]] << 12;
    if (n == 3) {
        bad |= values[c[2]];
        v |= (uint32_t)values[c[2]] << 6;
        out[1] = (uint8_t)(v >> 8);
    }
    out[0] = (uint8_t)(v >> 16);
    if ((v & (n == 3 ? 0xff : 0xffff)) != 0) return BAD;
    return bad;
}

static size_t decoded_len(size_t n) { return n / 4 * 3 + (n % 4 == 0 ? 0 : n % 4 - 1); }

// decode writes decoded_len(text.n) bytes. Bad characters are gathered and judged once, which keeps
// the loop short.
static struct err decode(uint8_t *out, struct slice text, const uint8_t values[256])
{
    const uint8_t *c = text.p;
    size_t n = text.n;
    uint32_t bad = 0;
    if (n % 4 == 1) return ERR(BAD_BASE64URL);
    for (; n >= 4; c += 4, out += 3, n -= 4) {
        uint32_t v0 = values[c[0]], v1 = values[c[1]], v2 = values[c[2]], v3 = values[c[3]];
        bad |= v0 | v1 | v2 | v3;
        out[0] = (uint8_t)(v0 << 2 | v1 >> 4);
        out[1] = (uint8_t)(v1 << 4 | v2 >> 2);
        out[2] = (uint8_t)(v2 << 6 | v3);
    }
    if (n > 0) bad |= decode_tail(out, c, n, values);
    return (bad & BAD) != 0 ? ERR(BAD_BASE64URL) : OK;
}

struct err base64url_decode_into(uint8_t *out, size_t out_size, size_t *out_n, struct slice text)
{
    size_t n = decoded_len(text.n);
    if (text.n % 4 == 1) return ERR(BAD_BASE64URL);
    if (n > out_size) return ERR(NO_SPACE);
    TRY(decode(out, text, strict_values));
    *out_n = n;
    return OK;
}

static struct err decode_in_arena(struct slice *out, struct arena *a, struct slice text,
                                  const uint8_t values[256])
{
    if (text.n % 4 == 1) return ERR(BAD_BASE64URL);
    size_t n = decoded_len(text.n);
    uint8_t *p = arena_alloc(a, n);
    if (p == NULL) return ERR(NO_SPACE);
    TRY(decode(p, text, values));
    *out = slice_of(p, n);
    return OK;
}

struct err base64url_decode(struct slice *out, struct arena *a, struct slice text)
{
    return decode_in_arena(out, a, text, strict_values);
}

struct err base64url_decode_lenient(struct slice *out, struct arena *a, struct slice text)
{
    if (text.n > 0 && text.n % 4 == 0 && text.p[text.n - 1] == '=') {
        text.n--;
        if (text.p[text.n - 1] == '=') text.n--;
    }
    return decode_in_arena(out, a, text, lenient_values);
}
