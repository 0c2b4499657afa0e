#include "proto/p256/sign.h"

#include <openssl/mem.h>
#include <openssl/sha.h>
#include <string.h>

#include "proto/err.h"
#include "proto/p256/internal.h"
#include "proto/p256/order.h"

struct err p256_signing_key_init(struct p256_signing_key *out, const uint8_t d[32])
{
    uint64_t words[4];
    uint8_t message[1 + 32] = {P256_NONCE_KEY_DOMAIN}, hash[SHA512_DIGEST_LENGTH];
    p256_order_load(words, d);
    uint64_t ok = p256_order_in_range(words);
    P256_PUBLIC(&ok, sizeof ok);
    if (ok != 0) {
        p256_order_mul(out->d_scalar, words, p256_order_r2);
        p256_order_mul(out->d_lanes, words, p256_order_2_516);
        memcpy(message + 1, d, 32);
        SHA512(message, sizeof message, hash);
        memcpy(out->nonce_key, hash, sizeof out->nonce_key);
    }
    OPENSSL_cleanse(words, sizeof words);
    OPENSSL_cleanse(message, sizeof message);
    OPENSSL_cleanse(hash, sizeof hash);
    return ok != 0 ? OK : ERR(CRYPTO);
}

void p256_signing_key_fini(struct p256_signing_key *key) { OPENSSL_cleanse(key, sizeof *key); }

size_t p256_nonce_message(uint8_t out[P256_NONCE_MESSAGE_MAX], const struct p256_signing_key *key,
                          const struct p256_sign_item *item)
{
    uint8_t *p = out;
    *p++ = P256_NONCE_DOMAIN;
    memcpy(p, key->nonce_key, 32);
    memcpy(p + 32, item->digest, 32);
    memcpy(p + 64, item->salt, P256_SALT_LEN);
    p += 64 + P256_SALT_LEN;
    if (item->has_random) {
        memcpy(p, item->random, 32);
        p += 32;
    }
    return (size_t)(p - out);
}

// stack_wipe overwrites the part of the stack that the kernels and BoringSSL have used below this
// call: spilled registers and locals that they do not wipe themselves.
static __attribute__((noinline)) void stack_wipe(void)
{
    uint8_t used[P256_SIGN_STACK / 2];
    OPENSSL_cleanse(used, sizeof used);
}

// One signature is cheaper by the scalar kernel than a group of eight with seven lanes idle; two
// are not (measured: proto/p256/README.md).
enum { LANES_MIN = 2 };

static void sign_chunk(const struct p256_signing_key *key, struct p256_sign_item *items,
                       const uint8_t (*nonces)[32], size_t count, struct p256_sign_scratch *scratch,
                       enum p256_kernel kernel)
{
#if defined(__x86_64__) || defined(P256_VEC_EMULATED)
    if (kernel == P256_IFMA && scratch != NULL && count >= LANES_MIN &&
        p256_sign_lanes(key, items, nonces, count, scratch))
        return;
#else
    (void)kernel, (void)scratch;
#endif
    for (size_t i = 0; i < count; i++)
        p256_sign_scalar(key, &items[i], nonces != NULL ? nonces[i] : NULL);
}

void p256_sign_with_nonces(const struct p256_signing_key *key, struct p256_sign_item *items,
                           const uint8_t (*nonces)[32], size_t count,
                           struct p256_sign_scratch *scratch, enum p256_kernel kernel)
{
    for (size_t from = 0; from < count; from += P256_SIGN_CHUNK) {
        size_t n = count - from < P256_SIGN_CHUNK ? count - from : P256_SIGN_CHUNK;
        sign_chunk(key, items + from, nonces != NULL ? nonces + from : NULL, n, scratch, kernel);
    }
    stack_wipe();
}

void p256_sign(const struct p256_signing_key *key, struct p256_sign_item *items, size_t count,
               struct p256_sign_scratch *scratch, enum p256_kernel kernel)
{
    p256_sign_with_nonces(key, items, NULL, count, scratch, kernel);
}
