// base64url_decode, base64url_decode_lenient and the encoder on any bytes, once as text and once as
// content. Oracle: what is decoded encodes to the very text (lenient: after padding and alphabet
// are put right), and what is encoded decodes to the same bytes.
#include "proto/err.h"
#include "proto/text/base64url.h"
#include "tests/fuzz/fuzz.h"

static void strict_check(struct arena *a, struct slice text)
{
    struct slice bytes, lenient;
    uint8_t *room = arena_alloc(a, text.n + 1);
    char *again = arena_alloc(a, text.n + 4);
    size_t n = 0;
    struct err err = base64url_decode(&bytes, a, text);
    struct err into = base64url_decode_into(room, text.n, &n, text);
    CHECK(err.v == into.v && (!failed(err) || err_is(err, ERR_BAD_BASE64URL)));
    if (failed(err)) return;
    CHECK(slice_eq(bytes, slice_of(room, n)) && base64url_encoded_len(n) == text.n);
    base64url_encode(again, bytes);
    CHECK(slice_eq(slice_of(again, text.n), text));
    CHECK(!failed(base64url_decode_lenient(&lenient, a, text)) && slice_eq(lenient, bytes));
    if (n > 0) CHECK(err_is(base64url_decode_into(room, n - 1, &n, text), ERR_NO_SPACE));
}

static void lenient_check(struct arena *a, struct slice text)
{
    struct slice bytes, strict;
    if (failed(base64url_decode_lenient(&bytes, a, text))) return;
    uint8_t *plain = arena_alloc(a, text.n + 1);
    size_t n = text.n;
    for (size_t i = 0; i < n; i++)
        plain[i] = text.p[i] == '+' ? '-' : text.p[i] == '/' ? '_' : text.p[i];
    while (n > 0 && text.n - n < 2 && text.n % 4 == 0 && plain[n - 1] == '=') n--;
    CHECK(!failed(base64url_decode(&strict, a, slice_of(plain, n))) && slice_eq(strict, bytes));
}

static void encode_check(struct arena *a, struct slice bytes)
{
    struct buf text;
    struct slice again;
    buf_init(&text, base64url_encoded_len(bytes.n));
    CHECK(!failed(base64url_encode_buf(&text, bytes)));
    CHECK(!failed(base64url_decode(&again, a, buf_slice(&text))) && slice_eq(again, bytes));
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    arena_init(&a, 64 * 1024 + 16 * size);
    strict_check(&a, slice_of(data, size));
    lenient_check(&a, slice_of(data, size));
    encode_check(&a, slice_of(data, size));
    arena_fini(&a);
    return 0;
}
