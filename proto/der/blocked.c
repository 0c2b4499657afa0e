#include "proto/der/blocked.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "proto/err.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct slice line_take(struct slice *text)
{
    const uint8_t *end = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);
    struct slice line = end == NULL ? *text : slice_of(text->p, (size_t)(end - text->p));
    *text = slice_sub(*text, line.n + 1, text->n);
    if (line.n > 0 && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

static bool says_nothing(struct slice line) { return line.n == 0 || line.p[0] == '#'; }

static bool digest_read(uint8_t out[BLOCKED_DIGEST_LEN], struct slice line)
{
    const size_t digits = 2 * BLOCKED_DIGEST_LEN;
    if (line.n < digits || (line.n > digits && line.p[digits] != ' ' && line.p[digits] != '\t'))
        return false;
    for (size_t i = 0; i < BLOCKED_DIGEST_LEN; i++) {
        int high = hex_value(line.p[2 * i]), low = hex_value(line.p[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int compare(const void *a, const void *b) { return memcmp(a, b, BLOCKED_DIGEST_LEN); }

struct err blocked_keys_parse(struct blocked_keys *out, const char **note, struct arena *a,
                              struct slice text)
{
    size_t count = 0, number = 0;
    for (struct slice rest = text; rest.n > 0;) count += !says_nothing(line_take(&rest));
    if (count > BLOCKED_COUNT_MAX) {
        *note = arena_printf(a, "the list has %zu keys; the most is %d", count, BLOCKED_COUNT_MAX);
        return ERR(BAD_BLOCK_LIST);
    }
    uint8_t(*digests)[BLOCKED_DIGEST_LEN] = arena_alloc(a, (count + 1) * BLOCKED_DIGEST_LEN);
    if (digests == NULL) {
        *note = "the list has more keys than there is memory for";
        return ERR(NO_SPACE);
    }
    count = 0;
    for (struct slice rest = text; rest.n > 0;) {
        struct slice line = line_take(&rest);
        number++;
        if (says_nothing(line)) continue;
        if (!digest_read(digests[count++], line)) {
            *note = arena_printf(a,
                                 "line %zu: expected the SHA-256 of a SubjectPublicKeyInfo in 64 "
                                 "hexadecimal digits",
                                 number);
            return ERR(BAD_BLOCK_LIST);
        }
    }
    qsort(digests, count, BLOCKED_DIGEST_LEN, compare);
    *out = (struct blocked_keys){(const uint8_t(*)[BLOCKED_DIGEST_LEN])digests, count};
    return OK;
}

bool blocked_keys_has(const struct blocked_keys *b, struct slice spki)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    if (b->count == 0) return false;
    SHA256(spki.p, spki.n, digest);
    return bsearch(digest, b->digests, b->count, BLOCKED_DIGEST_LEN, compare) != NULL;
}
