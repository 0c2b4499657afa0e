// verify_lanes: the part of verify that works on eight lanes. Its source is compiled for AVX-512
// IFMA, and for tests over the emulation of vec.h; elsewhere it is empty. Private to proto/p256.
#pragma once
#include "proto/p256/verify.h"

#if defined(__x86_64__) || defined(P256_VEC_EMULATED)
#define P256_HAS_VECTOR 1
#else
#define P256_HAS_VECTOR 0
#endif

enum {
    P256_LANES = 8,
    P256_VERIFY_CHUNK = 64 // items of one call: they share one inversion
};

// p256_verify_lanes sets items[i]->ok for `count` items, 1 to P256_VERIFY_CHUNK, in groups of
// eight lanes. `tabled` says whether they are checked by their tables, which all of them then have;
// else by their points. out_undecided[i] is set, and `ok` without meaning, where only BoringSSL can
// say.
void p256_verify_lanes(struct p256_verify_item *const items[], bool *out_undecided, size_t count,
                       bool tabled);
// p256_tables_lanes makes the tables of 1 to 8 keys.
void p256_tables_lanes(struct p256_table *tables, bool *out_ok, const uint8_t *points,
                       size_t count);
