// nonce: anti-replay nonces that never touch SQL (RFC 8555 section 6.5, design.md section 5). A
// nonce names the boot of the front end that made it, its core and a counter, the time, and carries
// a 16-byte HMAC tag under a key derived from the cluster secret and the day: any node refuses
// garbage by itself, and only the maker's core decides whether it was used.
//
// The guarantee: a nonce is accepted at most once. Its maker's core keeps one bit per counter in a
// window of NONCE_WINDOW counters; what has left the window, is older than the lifetime, or was
// made by a process that is gone is refused with a fresh nonce. A restart forgets all bits together
// with the boot id that they belong to, so a nonce of before is refused, never accepted twice.
// Pure; each core's state belongs to its shard.
#pragma once
#include "proto/base/err.h"
#include "proto/base/slice.h"

enum { NONCE_LEN = 34, NONCE_TEXT_LEN = 46, NONCE_KEY_LEN = 32, NONCE_WINDOW = 1 << 22 };

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
// nonce_read checks form, tag (in constant time) and age. False: garbage, forged or too old.
bool nonce_read(struct nonce *out, struct nonce_key *k, struct slice text, int64_t now_s,
                unsigned lifetime_s);

enum nonce_verdict { NONCE_OK, NONCE_USED, NONCE_UNKNOWN };

// struct nonce_window: one core's counters of one boot. `bits` NULL until nonce_window_init.
struct nonce_window {
    uint64_t boot;
    uint8_t core;
    uint64_t next; // counter of the next nonce; never reused
    uint8_t *bits; // of the last NONCE_WINDOW counters, 1: used
};

// nonce_window_init allocates NONCE_WINDOW / 8 bytes. ERR_NO_SPACE.
RESULT nonce_window_init(struct nonce_window *w, uint64_t boot, uint8_t core);
void nonce_window_fini(struct nonce_window *w);
// nonce_window_issue gives the next counter; nonce_window_redeem marks one as used.
uint64_t nonce_window_issue(struct nonce_window *w);
enum nonce_verdict nonce_window_redeem(struct nonce_window *w, uint64_t counter);
