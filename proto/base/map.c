#include "proto/base/map.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/siphash.h>

#include "proto/err.h"

struct err map_init(struct map *m, size_t key_len, size_t capacity,
                    const uint8_t seed[MAP_SEED_LEN])
{
    size_t slots = 4;
    while (slots - slots / 4 < capacity) {
        if (slots > SIZE_MAX / 2) return ERR(NO_SPACE);
        slots *= 2;
    }
    struct map_slot *p = calloc(slots, sizeof *p);
    if (p == NULL) return ERR(NO_SPACE);
    *m = (struct map){.slots = p, .mask = slots - 1, .capacity = capacity, .key_len = key_len};
    memcpy(m->seed, seed, MAP_SEED_LEN);
    return OK;
}

void map_fini(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

static uint64_t hash_of(const struct map *m, const void *key)
{
    return SIPHASH_24(m->seed, key, m->key_len);
}

// slot_of is the slot that holds `key`, or the free one where it would go. There always is a free
// one.
static size_t slot_of(const struct map *m, uint64_t hash, const void *key)
{
    size_t i = (size_t)hash & m->mask;
    while (m->slots[i].value != NULL) {
        const struct map_slot *s = &m->slots[i];
        if (s->hash == hash && memcmp(s->key, key, m->key_len) == 0) break;
        i = (i + 1) & m->mask;
    }
    return i;
}

void *map_get(const struct map *m, const void *key)
{
    if (m->count == 0) return NULL;
    return m->slots[slot_of(m, hash_of(m, key), key)].value;
}

struct err map_put(struct map *m, const void *key, void *value)
{
    CHECK(value != NULL);
    if (m->slots == NULL) return ERR(POOL_FULL);
    uint64_t hash = hash_of(m, key);
    struct map_slot *s = &m->slots[slot_of(m, hash, key)];
    if (s->value == NULL) {
        if (m->count == m->capacity) return ERR(POOL_FULL);
        m->count++;
    }
    *s = (struct map_slot){.hash = hash, .key = key, .value = value};
    return OK;
}

// close_gap moves later entries of the same run into the free slot, so that no entry is cut off
// from its home slot.
static void close_gap(struct map *m, size_t gap)
{
    for (size_t i = (gap + 1) & m->mask; m->slots[i].value != NULL; i = (i + 1) & m->mask) {
        size_t home = (size_t)m->slots[i].hash & m->mask;
        if (((i - home) & m->mask) < ((i - gap) & m->mask))
            continue; // its home lies behind the gap: it stays
        m->slots[gap] = m->slots[i];
        gap = i;
    }
    m->slots[gap] = (struct map_slot){0};
}

void *map_remove(struct map *m, const void *key)
{
    if (m->count == 0) return NULL;
    size_t i = slot_of(m, hash_of(m, key), key);
    void *value = m->slots[i].value;
    if (value == NULL) return NULL;
    close_gap(m, i);
    m->count--;
    return value;
}

void *map_next(const struct map *m, size_t *cursor)
{
    if (m->slots == NULL) return NULL;
    while (*cursor <= m->mask) {
        void *value = m->slots[(*cursor)++].value;
        if (value != NULL) return value;
    }
    return NULL;
}
