#include "proto/rpc/intent.h"

#include <openssl/sha.h>

#include "proto/err.h"

// The hash: SHA-256 over the label and then each field in the order of intent_hash below. Every
// field, also of fixed length, is a 4-octet big-endian length and its bytes; integers are 8 octets
// big endian. Changing anything here changes every serial number and makes signers of two versions
// disagree: it needs a new label.
static const char label[] = "certmill intent v1";

static void put_bytes(SHA256_CTX *h, struct slice s)
{
    CHECK(s.n <= UINT32_MAX);
    uint8_t n[4] = {(uint8_t)(s.n >> 24), (uint8_t)(s.n >> 16), (uint8_t)(s.n >> 8), (uint8_t)s.n};
    SHA256_Update(h, n, sizeof n);
    SHA256_Update(h, s.p, s.n);
}

static void put_int(SHA256_CTX *h, uint64_t v)
{
    uint8_t b[8];
    for (unsigned i = 0; i < sizeof b; i++) b[i] = (uint8_t)(v >> (56 - 8 * i));
    put_bytes(h, slice_of(b, sizeof b));
}

static void put_names(SHA256_CTX *h, const struct intent *in)
{
    put_int(h, in->name_count);
    for (size_t i = 0; i < in->name_count; i++) {
        put_int(h, (uint64_t)in->names[i].type);
        put_bytes(h, in->names[i].value);
    }
}

void intent_hash(uint8_t out[HASH_LEN], const struct intent *in)
{
    SHA256_CTX h;
    SHA256_Init(&h);
    put_bytes(&h, slice_str(label));
    put_bytes(&h, slice_of(in->order.b, sizeof in->order.b));
    put_bytes(&h, in->tenant);
    put_bytes(&h, slice_of(in->account.b, sizeof in->account.b));
    put_bytes(&h, in->spki);
    put_names(&h, in);
    put_bytes(&h, in->profile);
    put_bytes(&h, slice_of(in->profile_hash, HASH_LEN));
    put_int(&h, in->template_version);
    put_int(&h, in->issuer);
    put_int(&h, in->region);
    put_bytes(&h, slice_of(in->issuer_cert_hash, HASH_LEN));
    put_int(&h, in->serial_key_generation);
    put_int(&h, (uint64_t)in->not_before);
    put_int(&h, (uint64_t)in->not_after);
    put_int(&h, in->crl_shard);
    put_bytes(&h, slice_of(in->salt, SALT_LEN));
    SHA256_Final(out, &h);
}

static struct err copy_names(struct intent *copy, struct arena *a, const struct intent *in)
{
    copy->names = ARENA_ARRAY(a, struct identifier, in->name_count);
    if (copy->names == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < in->name_count; i++) {
        copy->names[i].type = in->names[i].type;
        TRY(arena_dup(&copy->names[i].value, a, in->names[i].value));
    }
    return OK;
}

struct err intent_copy(struct intent *out, struct arena *a, const struct intent *in)
{
    struct intent copy = *in;
    TRY(arena_dup(&copy.tenant, a, in->tenant));
    TRY(arena_dup(&copy.spki, a, in->spki));
    TRY(arena_dup(&copy.profile, a, in->profile));
    TRY(copy_names(&copy, a, in));
    *out = copy;
    return OK;
}
