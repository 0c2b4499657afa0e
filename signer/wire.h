// wire: struct intent to its message and back. Pure.
#pragma once
#include "proto/rpc/intent.h"
#include "proto/rpc/signer.pb-c.h"

// wire_intent_write fills a message whose bytes borrow from `in` and the arena; the hash is
// computed. ERR_NO_SPACE.
RESULT wire_intent_write(Certmill__Signer__V1__Intent *out, struct arena *a,
                         const struct intent *in);
// wire_intent_read is the reverse; slices borrow from the message. It checks every length, that the
// names are sorted and canonical, and that the hash fits the fields (ERR_INTENT_HASH); evidence
// that this version does not understand is refused. `note` gets a sentence.
RESULT wire_intent_read(struct intent *out, uint8_t hash[HASH_LEN], const char **note,
                        struct arena *a, const Certmill__Signer__V1__Intent *in);
