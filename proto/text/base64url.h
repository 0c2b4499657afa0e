// base64url: RFC 4648 section 5 without padding, strictly: no padding, no white space, no other
// alphabet, and the unused bits of the last character are zero (RFC 8555 section 6.1, RFC 7515
// section 2). Pure; any thread; variable time.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/buf.h"

// base64url_encoded_len is the length in characters of `n` bytes encoded.
static inline size_t base64url_encoded_len(size_t n)
{
    return n / 3 * 4 + (n % 3 == 0 ? 0 : n % 3 + 1);
}
// base64url_encode writes base64url_encoded_len(in.n) characters, no NUL; `out` has room for them.
void base64url_encode(char *out, struct slice in);
// base64url_encode_buf appends the encoding. ERR_NO_SPACE.
RESULT base64url_encode_buf(struct buf *out, struct slice in);
// base64url_decode_into writes the bytes to `out`, which has room for `out_size`, and their number
// to *out_n. ERR_BAD_BASE64URL; ERR_NO_SPACE when they are more than `out_size`. `out` may be
// scribbled on when it fails.
RESULT base64url_decode_into(uint8_t *out, size_t out_size, size_t *out_n, struct slice text);
// base64url_decode puts the bytes into the arena. ERR_BAD_BASE64URL, ERR_NO_SPACE.
RESULT base64url_decode(struct slice *out, struct arena *a, struct slice text);
// base64url_decode_lenient also takes padding and the standard alphabet: for the CSR and a
// certificate to revoke only (clients.md requirements 26 and 57). Same errors.
RESULT base64url_decode_lenient(struct slice *out, struct arena *a, struct slice text);
