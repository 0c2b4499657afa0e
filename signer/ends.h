// ends: how long CA certificates live on, in metrics and in the log, before people find out from
// orders that fail (threat T76). One thread.
#pragma once
#include "signer/identity.h"
#include "signer/profiles.h"

struct shard;

// ends_fit says whether at least one current profile's certificates, made now, would end within the
// issuing CA's life; else a sentence in `note`. ERR_EXPIRED_CA.
RESULT ends_fit(char note[KEYSTORE_NOTE_MAX], const struct keystore *k, const struct profiles *p,
                int64_t now_s);
// ends_report sets the gauges and, once a day (*said_day), warns of each CA certificate that is in
// the last tenth of its life, and of profiles that reach beyond the issuing CA's.
void ends_report(struct shard *shard, const struct keystore *k, const struct identity *own,
                 const struct profiles *p, int64_t now_s, int64_t *said_day);
