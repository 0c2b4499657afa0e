// key_tables: the tables of the public keys whose signatures come again and again (accounts', the
// issuers'), so that a check costs a third: a bounded cache of one core. A key becomes a candidate
// with its first good signature that had no table, ripe with its second; tables are made eight at a
// time, as they cost the same alone. When the cache is full the table that was not used for the
// longest time makes room. A signature that does not verify never makes or moves a table. Used by
// api/verifier.c on its core's thread.
#pragma once
#include "proto/base/list.h"
#include "proto/base/map.h"
#include "proto/p256/verify.h"

enum {
    KEY_CANDIDATES_MAX = 1024, // keys without a table that are remembered
    KEY_USES_RIPE = 2,         // good signatures after which a key is worth an eighth of a group
    KEY_USES_ALONE = 12,       // and after which it is worth a group of its own
    KEY_GROUP = 8              // tables that are made together
};

struct key_entry;

struct key_tables {
    enum p256_kernel kernel;
    size_t capacity;         // tables at most; 0: there is no cache
    size_t count;            // tables held
    uint64_t built, evicted; // since start
    size_t ripe_count;
    bool urgent; // a candidate has reached KEY_USES_ALONE
    // private to key_tables.c
    struct map map; // struct key_entry by point
    struct key_entry *entries;
    struct p256_table *tables;
    struct list free, candidates, ripe, tabled; // struct key_entry; oldest use first
};

// key_tables_init makes an empty cache of at most `capacity` tables of 8 KiB; their memory is
// touched as it is used. Without the vector kernel tables are of no use, and there is no cache.
// `seed` as for map_init. ERR_NO_SPACE. key_tables_fini frees it; all-zero is a valid empty state.
RESULT key_tables_init(struct key_tables *k, enum p256_kernel kernel, size_t capacity,
                       const uint8_t seed[MAP_SEED_LEN]);
void key_tables_fini(struct key_tables *k);
// key_tables_find returns the table of a key (X || Y), NULL when there is none. It stays what it is
// until key_tables_make.
const struct p256_table *key_tables_find(struct key_tables *k, const uint8_t *point);
// key_tables_used says that a signature under the key was good: its table counts as used just now;
// without one the key becomes a candidate.
void key_tables_used(struct key_tables *k, const uint8_t *point);
// key_tables_make makes tables of full groups of ripe keys, or of fewer when one of them cannot
// wait; at most KEY_GROUPS_A_TURN groups.
enum { KEY_GROUPS_A_TURN = 4 };
void key_tables_make(struct key_tables *k);
