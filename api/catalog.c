#include "api/catalog.h"

#include <openssl/sha.h>

#include "proto/der/cert.h"
#include "proto/err.h"

void catalog_init(struct catalog *c)
{
    *c = (struct catalog){0};
    arena_init(&c->arena, CATALOG_ARENA_MAX);
}

void catalog_fini(struct catalog *c)
{
    arena_fini(&c->arena);
    *c = (struct catalog){0};
}

const struct signer_profile *catalog_profile(const struct catalog *c, struct slice name)
{
    for (size_t i = 0; i < c->profile_count; i++)
        if (slice_eq(c->profiles[i].name, name)) return &c->profiles[i];
    return NULL;
}

const struct catalog_issuer *catalog_issuer(const struct catalog *c, uint16_t id)
{
    for (size_t i = 0; i < c->issuer_count; i++)
        if (c->issuers[i].signer.id == id) return &c->issuers[i];
    return NULL;
}

static struct err slices_copy(const struct slice **out, struct arena *a, const struct slice *in,
                              size_t count)
{
    struct slice *copy = ARENA_ARRAY(a, struct slice, count + 1);
    if (copy == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++) TRY(arena_dup(&copy[i], a, in[i]));
    *out = copy;
    return OK;
}

static struct err profile_add(struct catalog *c, const struct signer_profile *p)
{
    struct signer_profile *copy = &c->profiles[c->profile_count];
    uint16_t *issuers = ARENA_ARRAY(&c->arena, uint16_t, p->issuer_count + 1);
    uint32_t *weights = ARENA_ARRAY(&c->arena, uint32_t, p->issuer_count + 1);
    if (issuers == NULL || weights == NULL) return ERR(NO_SPACE);
    *copy = *p;
    for (size_t i = 0; i < p->issuer_count; i++) {
        issuers[i] = p->issuers[i];
        weights[i] = p->weights[i];
    }
    copy->issuers = issuers;
    copy->weights = weights;
    TRY(arena_dup(&copy->name, &c->arena, p->name));
    TRY(arena_dup(&copy->text, &c->arena, p->text));
    TRY(slices_copy(&copy->key_kinds, &c->arena, p->key_kinds, p->key_kind_count));
    TRY(slices_copy(&copy->networks, &c->arena, p->networks, p->network_count));
    c->profile_count++;
    return OK;
}

static struct err chains_copy(struct signer_issuer *out, struct arena *a,
                              const struct signer_issuer *s)
{
    struct signer_chain *chains = ARENA_ARRAY(a, struct signer_chain, s->further_count + 1);
    if (chains == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < s->further_count; i++) {
        chains[i] = s->chains[i];
        TRY(slices_copy(&chains[i].certificates, a, s->chains[i].certificates, s->chains[i].count));
        TRY(arena_dup(&chains[i].root, a, s->chains[i].root));
    }
    out->chains = chains;
    return OK;
}

static struct err issuer_add(struct catalog *c, const struct signer_issuer *s)
{
    struct catalog_issuer *copy = &c->issuers[c->issuer_count];
    struct cert cert;
    const char *note;
    copy->signer = *s;
    TRY(arena_dup(&copy->signer.certificate, &c->arena, s->certificate));
    TRY(arena_dup(&copy->signer.root, &c->arena, s->root));
    TRY(slices_copy(&copy->signer.chain, &c->arena, s->chain, s->chain_count));
    TRY(chains_copy(&copy->signer, &c->arena, s));
    TRY(cert_parse(&cert, &note, &c->arena, copy->signer.certificate));
    copy->subject = cert.subject;
    copy->spki = cert.spki;
    copy->ski = cert.ski;
    copy->not_before = cert.not_before;
    copy->not_after = cert.not_after;
    c->issuer_count++;
    return OK;
}

// offered_take copies what is offered now, each issuer once.
static struct err offered_take(struct catalog *c, const struct signer_client *client,
                               const struct signer_profile *offered, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TRY(profile_add(c, &offered[i]));
        for (size_t k = 0; k < offered[i].issuer_count; k++) {
            const struct signer_issuer *s = signer_client_issuer(client, offered[i].issuers[k]);
            if (s != NULL && catalog_issuer(c, s->id) == NULL) TRY(issuer_add(c, s));
        }
    }
    return OK;
}

// absent_keep keeps what is not offered now: profiles while nobody offers anything, issuers always,
// because their certificates are out.
static struct err absent_keep(struct catalog *c, const struct catalog *old, bool nobody)
{
    for (size_t i = 0; nobody && i < old->profile_count; i++)
        TRY(profile_add(c, &old->profiles[i]));
    for (size_t i = 0; i < old->issuer_count; i++)
        if (catalog_issuer(c, old->issuers[i].signer.id) == NULL)
            TRY(issuer_add(c, &old->issuers[i].signer));
    return OK;
}

static struct err refresh(struct catalog *c, const struct catalog *old,
                          const struct signer_client *client)
{
    const struct signer_profile *offered = NULL;
    size_t count = signer_client_profiles(client, &offered), issuers = old->issuer_count;
    for (size_t i = 0; i < count; i++) issuers += offered[i].issuer_count;
    c->profiles = ARENA_ARRAY(&c->arena, struct signer_profile, count + old->profile_count + 1);
    c->issuers = ARENA_ARRAY(&c->arena, struct catalog_issuer, issuers + 1);
    if (c->profiles == NULL || c->issuers == NULL) return ERR(NO_SPACE);
    TRY(offered_take(c, client, offered, count));
    return absent_keep(c, old, count == 0);
}

struct err catalog_refresh(struct catalog *c, const struct signer_client *client)
{
    struct catalog fresh;
    catalog_init(&fresh);
    struct err e = refresh(&fresh, c, client);
    if (failed(e)) {
        catalog_fini(&fresh);
        return e;
    }
    catalog_fini(c);
    *c = fresh;
    return OK;
}

// weight_of: 0 for one that must not sign this.
static uint32_t weight_of(const struct catalog *c, const struct signer_profile *p, size_t i,
                          uint16_t only, int64_t not_after)
{
    const struct catalog_issuer *issuer = catalog_issuer(c, p->issuers[i]);
    if (issuer == NULL || issuer->not_after < not_after) return 0;
    return only == 0 || p->issuers[i] == only ? p->weights[i] : 0;
}

const struct catalog_issuer *catalog_choose(const struct catalog *c, const struct signer_profile *p,
                                            uint16_t only, const struct id *order,
                                            int64_t not_after)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t total = 0, place = 0;
    for (size_t i = 0; i < p->issuer_count; i++) total += weight_of(c, p, i, only, not_after);
    if (total == 0) return NULL;
    SHA256(order->b, sizeof order->b, digest); // the id's first octets are the time
    for (size_t i = 0; i < 8; i++) place = place << 8 | digest[i];
    place %= total;
    for (size_t i = 0; i < p->issuer_count; i++) {
        uint32_t weight = weight_of(c, p, i, only, not_after);
        if (place < weight) return catalog_issuer(c, p->issuers[i]);
        place -= weight;
    }
    return NULL;
}
