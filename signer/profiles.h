// profiles: the versions of all profiles that a signer holds: those of the file as it was last
// read, and for an hour those of before, because intents that name them are on their way (design.md
// section 4, pool agreement). One thread.
#pragma once
#include "signer/profile.h"

enum { PROFILES_KEPT_S = 3600, PROFILES_GENERATIONS_MAX = 16 };

struct profiles_generation; // one reading of the file

struct profiles {
    struct profiles_generation *newest;
    size_t count; // generations
};

// profiles_take makes a copy of these settings' profiles the current ones. When they are the same
// as before nothing changes. ERR_NO_SPACE; ERR_POOL_FULL when so many versions of the last hour are
// held that no further one may be (PROFILES_GENERATIONS_MAX).
RESULT profiles_take(struct profiles *p, const struct signer_settings *settings, int64_t now_s);
// profiles_fini frees all. A struct profiles of zeros is empty.
void profiles_fini(struct profiles *p);
// profiles_current are those to offer.
const struct profile *profiles_current(const struct profiles *p, size_t *out_count);
// profiles_find returns the version with this name, hash and template that is current or was so
// within the last hour, or NULL; *out_known says whether the name is a current profile's at all.
const struct profile *profiles_find(const struct profiles *p, bool *out_known, struct slice name,
                                    const uint8_t hash[HASH_LEN], uint32_t template_version,
                                    int64_t now_s);
