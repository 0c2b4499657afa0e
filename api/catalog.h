// catalog: what the signers offer, as this core last heard it. A copy that outlives their absence:
// while no signer is in reach the directory still names the profiles, chains are still served,
// intents are still made (the certificate follows when a signer is back), and answers are compared
// with the issuer's certificate that was in force. Owned by its shard.
#pragma once
#include "proto/base/arena.h"
#include "signer/client.h"

// struct catalog_issuer: `signer` and what is read from its certificate once.
struct catalog_issuer {
    struct signer_issuer signer;
    struct slice subject, spki, ski; // of the issuing certificate
    int64_t not_before, not_after;   // of it, seconds
};

struct catalog {
    struct arena arena; // of everything below
    struct signer_profile *profiles;
    size_t profile_count;
    struct catalog_issuer *issuers;
    size_t issuer_count;
};

enum { CATALOG_ARENA_MAX = 4 << 20 };

// catalog_init makes an empty one; catalog_fini frees all that it holds.
void catalog_init(struct catalog *c);
void catalog_fini(struct catalog *c);
// catalog_refresh takes over what connected signers offer now. Profiles are kept while no signer
// offers anything, issuers for ever: certificates of theirs are out.
// ERR_NO_SPACE and ERR_BAD_CERT leave the catalog as it was.
RESULT catalog_refresh(struct catalog *c, const struct signer_client *client);
// The lookups return NULL when no signer has ever offered it. The results are valid until the next
// refresh.
const struct signer_profile *catalog_profile(const struct catalog *c, struct slice name);
const struct catalog_issuer *catalog_issuer(const struct catalog *c, uint16_t id);
// catalog_choose chooses the issuing CA of an order's certificate among those of the profile, by
// their weights and the order's id: the same for one order as long as they do not change. Not one
// whose own certificate ends before `not_after`. `only` restricts it, 0: to none. NULL: there is
// none.
const struct catalog_issuer *catalog_choose(const struct catalog *c, const struct signer_profile *p,
                                            uint16_t only, const struct id *order,
                                            int64_t not_after);
