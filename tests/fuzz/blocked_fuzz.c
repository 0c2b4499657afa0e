// blocked_keys_parse on any bytes. Oracle: what is accepted is sorted, has as many keys as there
// are lines that say something, and written plainly it is read as the same.
#include "proto/der/blocked.h"

#include "proto/base/buf.h"
#include "proto/err.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_MAX = 1 << 24 };

static size_t lines_count(struct slice text)
{
    size_t count = 0;
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        bool empty = n == 0 || (n == 1 && text.p[0] == '\r') || text.p[0] == '#';
        count += !empty;
        text = slice_sub(text, n + 1, text.n);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct blocked_keys b = {.count = 77}, again;
    const char *note = NULL;
    arena_init(&a, ARENA_MAX);
    struct err e = blocked_keys_parse(&b, &note, &a, slice_of(data, size));
    if (failed(e)) {
        CHECK(note != NULL && b.count == 77);
        arena_fini(&a);
        return 0;
    }
    CHECK(b.count == lines_count(slice_of(data, size)));
    struct buf text;
    buf_init(&text, 2 * size + 1024);
    for (size_t i = 0; i < b.count; i++) {
        CHECK(i == 0 || memcmp(b.digests[i - 1], b.digests[i], BLOCKED_DIGEST_LEN) <= 0);
        for (size_t k = 0; k < BLOCKED_DIGEST_LEN; k++)
            CHECK(!failed(buf_printf(&text, "%02x", b.digests[i][k])));
        CHECK(!failed(buf_add_str(&text, "\n")));
    }
    CHECK(!failed(blocked_keys_parse(&again, &note, &a, buf_slice(&text))));
    CHECK(again.count == b.count);
    CHECK(b.count == 0 || memcmp(again.digests, b.digests, b.count * BLOCKED_DIGEST_LEN) == 0);
    buf_fini(&text);
    arena_fini(&a);
    return 0;
}
