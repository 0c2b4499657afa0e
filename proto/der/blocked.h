// blocked: public keys that are known to be in wrong hands, or to have come out of a broken
// generator (Debian's of 2006 to 2008), as a list of digests. Made from the text of a file, const
// afterwards: any thread may ask.
//
// A line is the SHA-256 of a key's SubjectPublicKeyInfo (DER) in 64 hexadecimal digits, in any
// order and either case; behind it, after a blank, may stand anything. Empty lines and those that
// begin with '#' say nothing.
#pragma once
#include "proto/base/arena.h"
#include "proto/base/slice.h"

enum { BLOCKED_DIGEST_LEN = 32, BLOCKED_COUNT_MAX = 1 << 21 };

struct blocked_keys {
    const uint8_t (*digests)[BLOCKED_DIGEST_LEN]; // sorted; NULL: none
    size_t count;
};

// blocked_keys_parse reads `text` into the arena, which needs 32 octets for each line. `note` gets
// a sentence that begins with the number of the line ("line 7: ..."). ERR_BAD_BLOCK_LIST,
// ERR_NO_SPACE.
RESULT blocked_keys_parse(struct blocked_keys *out, const char **note, struct arena *a,
                          struct slice text);
// blocked_keys_has says whether a SubjectPublicKeyInfo is on the list; an empty list has none.
bool blocked_keys_has(const struct blocked_keys *b, struct slice spki);
