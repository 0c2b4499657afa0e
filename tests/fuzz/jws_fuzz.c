// jws_parse for every use, and jws_verify with the key inside, on any bytes. Oracle: the members
// that RFC 8555 asks for are there and the forbidden ones are not; the envelope put together again
// from what was read is read as the same; a signature that verifies does not after one bit of what
// it signs has changed.
#include "proto/err.h"
#include "proto/jose/jws.h"
#include "proto/text/base64url.h"
#include "tests/fuzz/mutate.h"

enum { ARENA_MAX = 1 << 20 };

static void header_check(const struct jws *j, enum jws_use use)
{
    bool mac = use == JWS_USE_EAB || use == JWS_USE_PLAIN_MAC;
    CHECK(j->alg > JWS_ALG_NONE && j->alg <= JWS_HS512 && (j->alg >= JWS_HS256) == mac);
    CHECK(j->has_jwk == (j->jwk.kind.type != KEY_NONE));
    if (use == JWS_USE_PLAIN || use == JWS_USE_PLAIN_MAC) return;
    CHECK(j->url.n > 0 && j->has_jwk == (j->kid.n == 0));
    CHECK((j->nonce.n > 0) == (use == JWS_USE_REQUEST));
    if (use != JWS_USE_REQUEST) CHECK(j->has_jwk == (use == JWS_USE_KEY_CHANGE_INNER));
}

static bool same(const struct jws *a, const struct jws *b)
{
    return a->alg == b->alg && slice_eq(a->nonce, b->nonce) && slice_eq(a->url, b->url) &&
           slice_eq(a->kid, b->kid) && a->has_jwk == b->has_jwk &&
           slice_eq(slice_of(a->jwk.spki, a->jwk.spki_len),
                    slice_of(b->jwk.spki, b->jwk.spki_len)) &&
           slice_eq(a->payload, b->payload) && slice_eq(a->signing_input, b->signing_input) &&
           slice_eq(a->signature, b->signature);
}

// round_trip: header as it was signed, payload and signature encoded anew.
static void round_trip(struct arena *a, const struct jws *j, enum jws_use use)
{
    struct buf body;
    struct jws again;
    const char *note = "";
    const uint8_t *dot = memchr(j->signing_input.p, '.', j->signing_input.n);
    CHECK(dot != NULL);
    struct slice header = slice_of(j->signing_input.p, (size_t)(dot - j->signing_input.p));
    buf_init(&body, 1 << 20);
    CHECK(!failed(buf_printf(&body, "{\"signature\":\"")));
    CHECK(!failed(base64url_encode_buf(&body, j->signature)));
    CHECK(!failed(buf_add_str(&body, "\",\"payload\":\"")));
    CHECK(!failed(base64url_encode_buf(&body, j->payload)));
    CHECK(!failed(buf_add_str(&body, "\",\"protected\":\"")));
    CHECK(!failed(buf_add(&body, header)) && !failed(buf_add_str(&body, "\"}")));
    CHECK(!failed(jws_parse(&again, &note, a, buf_slice(&body), use)) && same(&again, j));
    buf_fini(&body);
}

static void signature_check(struct arena *a, const struct jws *j)
{
    if (!j->has_jwk || j->alg >= JWS_HS256) return;
    struct err err = jws_verify(j, &j->jwk);
    CHECK(!failed(err) || err_is(err, ERR_BAD_JWS_SIGNATURE) || err_is(err, ERR_BAD_JWS_ALG));
    if (failed(err)) return;
    struct jws other = *j;
    CHECK(!failed(arena_dup(&other.signing_input, a, j->signing_input)));
    ((uint8_t *)(uintptr_t)other.signing_input.p)[other.signing_input.n - 1] ^= 1;
    CHECK(err_is(jws_verify(&other, &j->jwk), ERR_BAD_JWS_SIGNATURE));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    return mutate_jws(data, size, size_max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int use = JWS_USE_REQUEST; use <= JWS_USE_PLAIN_MAC; use++) {
        struct arena a;
        struct jws j = {.alg = JWS_ALG_NONE};
        const char *note = NULL;
        arena_init(&a, ARENA_MAX);
        struct err err = jws_parse(&j, &note, &a, slice_of(data, size), (enum jws_use)use);
        if (failed(err)) {
            CHECK(note != NULL && strlen(note) > 0 && j.alg == JWS_ALG_NONE);
            CHECK(err_class(err) == ERR_CLASS_CLIENT);
        } else {
            header_check(&j, (enum jws_use)use);
            round_trip(&a, &j, (enum jws_use)use);
            if (use == JWS_USE_PLAIN) signature_check(&a, &j);
        }
        arena_fini(&a);
    }
    return 0;
}
