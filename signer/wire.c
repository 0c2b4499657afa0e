#include "signer/wire.h"

#include "proto/err.h"
#include "signer/err.h"

enum { ID_LEN = 16, SPKI_MAX = 2048, TEXT_MAX = 255 };

static ProtobufCBinaryData binary(const void *p, size_t n)
{
    return (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

// text copies a slice with a NUL: protobuf-c strings end in one.
static char *text(struct arena *a, struct slice s)
{
    struct slice copy;
    return failed(arena_dup(&copy, a, s)) ? NULL : (char *)(uintptr_t)copy.p;
}

static bool names_write(Certmill__Signer__V1__Intent *out, struct arena *a, const struct intent *in)
{
    Certmill__Signer__V1__Identifier *names = ARENA_ARRAY(a, Certmill__Signer__V1__Identifier,
                                                          in->name_count);
    out->names = ARENA_ARRAY(a, Certmill__Signer__V1__Identifier *, in->name_count);
    if (names == NULL || out->names == NULL) return false;
    for (size_t i = 0; i < in->name_count; i++) {
        certmill__signer__v1__identifier__init(&names[i]);
        names[i].type = in->names[i].type;
        names[i].value = binary(in->names[i].value.p, in->names[i].value.n);
        out->names[i] = &names[i];
    }
    out->n_names = in->name_count;
    return true;
}

struct err wire_intent_write(Certmill__Signer__V1__Intent *out, struct arena *a,
                             const struct intent *in)
{
    uint8_t *hash = arena_alloc(a, HASH_LEN);
    certmill__signer__v1__intent__init(out);
    out->tenant = text(a, in->tenant);
    out->profile = text(a, in->profile);
    if (hash == NULL || out->tenant == NULL || out->profile == NULL || !names_write(out, a, in))
        return ERR(NO_SPACE);
    intent_hash(hash, in);
    out->order = binary(in->order.b, ID_LEN);
    out->account = binary(in->account.b, ID_LEN);
    out->owner_node = binary(in->owner_node.b, ID_LEN);
    out->owner_boot = in->owner_boot;
    out->spki = binary(in->spki.p, in->spki.n);
    out->profile_hash = binary(in->profile_hash, HASH_LEN);
    out->template_version = in->template_version;
    out->issuer = in->issuer;
    out->region = in->region;
    out->issuer_cert_hash = binary(in->issuer_cert_hash, HASH_LEN);
    out->serial_key_generation = in->serial_key_generation;
    out->not_before = in->not_before;
    out->not_after = in->not_after;
    out->crl_shard = in->crl_shard;
    out->salt = binary(in->salt, SALT_LEN);
    out->hash = binary(hash, HASH_LEN);
    out->created_at_us = in->created_at_us;
    return OK;
}

static bool take(void *out, ProtobufCBinaryData in, size_t n)
{
    if (in.len != n) return false;
    memcpy(out, in.data, n);
    return true;
}

static struct err refuse(const char **note, uint32_t code, const char *what)
{
    *note = what;
    return (struct err){code};
}

static const char *names_read(struct intent *out, struct arena *a,
                              const Certmill__Signer__V1__Intent *in)
{
    if (in->n_names == 0 || in->n_names > IDENTIFIER_COUNT_MAX)
        return "the intent has no names or too many";
    out->names = ARENA_ARRAY(a, struct identifier, in->n_names);
    if (out->names == NULL) return "the intent is too large";
    for (size_t i = 0; i < in->n_names; i++) {
        struct slice canonical, value = slice_of(in->names[i]->value.data, in->names[i]->value.len);
        out->names[i] = (struct identifier){(enum identifier_type)in->names[i]->type, value};
        if (in->names[i]->type == IDENTIFIER_IP) {
            if (value.n != 4 && value.n != 16) return "an address has not 4 or 16 octets";
        } else if (in->names[i]->type != IDENTIFIER_DNS)
            return "a name is neither a DNS name nor an address";
        else if (failed(dns_name_canonical(&canonical, a, value, true)) ||
                 !slice_eq(canonical, value))
            return "a name is not in canonical form";
        if (i > 0 && identifier_cmp(&out->names[i - 1], &out->names[i]) >= 0)
            return "the names are not sorted, or one is there twice";
    }
    out->name_count = in->n_names;
    return NULL;
}

struct err wire_intent_read(struct intent *out, uint8_t hash[HASH_LEN], const char **note,
                            struct arena *a, const Certmill__Signer__V1__Intent *in)
{
    uint8_t claimed[HASH_LEN];
    *out = (struct intent){.tenant = slice_str(in->tenant),
                           .profile = slice_str(in->profile),
                           .spki = slice_of(in->spki.data, in->spki.len),
                           .template_version = in->template_version,
                           .issuer = (uint16_t)in->issuer,
                           .region = (uint8_t)in->region,
                           .serial_key_generation = in->serial_key_generation,
                           .not_before = in->not_before,
                           .not_after = in->not_after,
                           .crl_shard = in->crl_shard,
                           .owner_boot = in->owner_boot,
                           .created_at_us = in->created_at_us};
    if (in->n_receipts > 0 || in->finalize_jws.len > 0)
        return refuse(note, ERR_SIGNER_REFUSED,
                      "the intent carries evidence that this signer does not understand");
    if (!take(out->order.b, in->order, ID_LEN) || !take(out->account.b, in->account, ID_LEN) ||
        !take(out->owner_node.b, in->owner_node, ID_LEN))
        return refuse(note, ERR_INTENT_HASH, "an id of the intent is not 16 octets");
    if (!take(out->profile_hash, in->profile_hash, HASH_LEN) ||
        !take(out->issuer_cert_hash, in->issuer_cert_hash, HASH_LEN) ||
        !take(out->salt, in->salt, SALT_LEN) || !take(claimed, in->hash, HASH_LEN))
        return refuse(note, ERR_INTENT_HASH,
                      "a hash or the salt of the intent has the wrong length");
    // What is signed must fit into a record of the journal.
    if (out->tenant.n > TEXT_MAX || out->profile.n > TEXT_MAX)
        return refuse(note, ERR_INTENT_HASH, "tenant or profile of the intent is too long");
    if (in->issuer > 1023 || in->region > 63 || in->spki.len > SPKI_MAX)
        return refuse(note, ERR_INTENT_HASH,
                      "issuer, region or key of the intent are out of range");
    const char *wrong = names_read(out, a, in);
    if (wrong != NULL) return refuse(note, ERR_SIGNER_REFUSED, wrong);
    intent_hash(hash, out);
    return memcmp(hash, claimed, HASH_LEN) == 0
               ? OK
               : refuse(note, ERR_INTENT_HASH, "the intent's hash does not fit its fields");
}
