// nonce: anti-replay nonces that never touch SQL (RFC 8555 section 6.5, design.md section 5). A
// nonce names the boot of the front end that made it (64 random bits, new with each start, so it
// names the node too), its core and a counter, the time, and carries a 16-byte HMAC tag under a key
// derived from the cluster secret and the day: any node refuses garbage by itself, and only the
// maker's core decides whether it was used.
//
// The guarantee (I9). A nonce is accepted at most once, by whichever node it is shown to:
//   - one bit per counter, in the memory of one core, decides; it is set before the request has any
//     effect, and nobody else has a copy that answers;
//   - what has left the window of the last NONCE_WINDOW counters, is older than the lifetime, or
//     was made by a boot that nobody holds is refused: forgetting a bit never means "unused";
//   - a start draws a new boot id, so the bits and the nonces of a process end together;
//   - a front end that leaves freezes its windows (no bit changes any more), hands them to one
//     living front end, and answers with "handed over" only after that one has confirmed: two
//     holders never answer for the same window.
// The other side: a fresh nonce is refused only when its maker died without handing over, when
// NONCE_WINDOW others were made after it on its core, or when its maker cannot be reached.
// Memory: NONCE_WINDOW / 8 bytes per core, and for what others handed over at most
// NONCE_ADOPTED_MAX windows of that size, each for one lifetime.
// Pure; each core's state belongs to its shard.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum {
    NONCE_LEN = 34,
    NONCE_TEXT_LEN = 46,
    NONCE_KEY_LEN = 32,
    NONCE_WINDOW = 1 << 22,
    NONCE_ADOPTED_MAX = 64,
    NONCE_SKEW_S = 60 // how far ahead the clock of a front end may be
};

struct nonce {
    uint64_t boot;
    uint8_t core;
    uint64_t counter; // 40 bits
    uint32_t unix_s;
};

// struct nonce_key: the cluster secret's two derived keys, today's and yesterday's, made anew when
// the day changes.
struct nonce_key {
    uint8_t secret[NONCE_KEY_LEN];
    int64_t day; // of `today`; -1: none yet
    uint8_t today[NONCE_KEY_LEN], yesterday[NONCE_KEY_LEN];
};

// nonce_key_init derives the root key from the cluster secret's bytes.
void nonce_key_init(struct nonce_key *k, struct slice cluster_secret);
// nonce_write makes the text form (NONCE_TEXT_LEN characters and a NUL).
void nonce_write(char out[NONCE_TEXT_LEN + 1], struct nonce_key *k, const struct nonce *n);
// nonce_read checks form, tag (in constant time) and age: at most `lifetime_s` (up to a day) old.
// False: garbage, forged, from the future or too old.
bool nonce_read(struct nonce *out, struct nonce_key *k, struct slice text, int64_t now_s,
                unsigned lifetime_s);

// NONCE_MOVED: this window was handed over; whoever holds it now has to be asked.
enum nonce_verdict { NONCE_OK, NONCE_USED, NONCE_UNKNOWN, NONCE_MOVED };

// struct nonce_window: the counters of one core of one boot. `bits` NULL: none.
struct nonce_window {
    uint64_t boot;
    uint8_t core;
    uint64_t next; // counter of the next nonce; never reused
    uint64_t size; // counters that `bits` covers: those from next - size to next - 1
    uint8_t *bits; // 1: used; counter c has bit c % size
};

// nonce_window_init allocates NONCE_WINDOW / 8 bytes. ERR_NO_SPACE.
RESULT nonce_window_init(struct nonce_window *w, uint64_t boot, uint8_t core);
void nonce_window_fini(struct nonce_window *w);
// nonce_window_issue gives the next counter; nonce_window_redeem marks one as used.
uint64_t nonce_window_issue(struct nonce_window *w);
enum nonce_verdict nonce_window_redeem(struct nonce_window *w, uint64_t counter);
// nonce_window_bits is what has to be handed over of a window that has issued `next` nonces: the
// bits of its last counters, borrowed. Nothing when none was issued.
struct slice nonce_window_bits(const struct nonce_window *w);
// nonce_window_adopt makes a window of what another front end handed over: `bits` is copied.
// ERR_NO_SPACE; ERR_BAD_NONCE_WINDOW when `bits` is not what nonce_window_bits gives for `next`.
RESULT nonce_window_adopt(struct nonce_window *w, uint64_t boot, uint8_t core, uint64_t next,
                          struct slice bits);
