// map: a hash map of fixed capacity from keys of one length (ids, hashes) to pointers. Everything
// is allocated by map_init; full is an answer. The hash is SipHash-2-4 under a seed, so that
// clients who choose keys cannot choose collisions. Owned by one thread. A map does not own what it
// points at: the key usually lies in the value's object, and neither may change or go away while it
// is in the map.
#pragma once
#include "proto/base/err.h"

struct map_slot {
    uint64_t hash;
    const void *key;
    void *value; // NULL: the slot is free
};

struct map {
    struct map_slot *slots; // linear probing; a power of two, at least 4/3 of the capacity
    size_t mask;            // number of slots less one
    size_t count;           // entries held
    size_t capacity;        // entries that may be held
    size_t key_len;         // bytes
    uint64_t seed[2];
};

enum { MAP_SEED_LEN = 16 };

// map_init allocates room for `capacity` entries with keys of `key_len` bytes. `seed` should be
// random once per process. ERR_NO_SPACE when malloc refuses.
RESULT
map_init(struct map *m, size_t key_len, size_t capacity, const uint8_t seed[MAP_SEED_LEN]);
// map_fini frees the memory and leaves all zero; what is still held is forgotten, not freed.
void map_fini(struct map *m);
// map_get returns the value at `key`, or NULL.
void *map_get(const struct map *m, const void *key);
// map_put adds `value` (not NULL) at `key`; both stay borrowed until removed. When the key is there
// already, key and value are replaced; map_get first if that matters. ERR_POOL_FULL at the
// capacity: nothing is changed.
RESULT
map_put(struct map *m, const void *key, void *value);
// map_remove takes the entry at `key` out and returns its value, NULL when there was none.
void *map_remove(struct map *m, const void *key);
// map_next walks over the entries in no meaningful order: start with *cursor 0, ends with NULL. The
// map must not be changed between calls.
void *map_next(const struct map *m, size_t *cursor);
