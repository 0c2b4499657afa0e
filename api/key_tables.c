#include "api/key_tables.h"

#include <stdlib.h>
#include <string.h>

#include "proto/err.h"

// struct key_entry is in exactly one of the four lists, and in the map unless it is free.
struct key_entry {
    struct list node;
    uint8_t point[P256_POINT_LEN];
    struct p256_table *table; // NULL: a candidate
    unsigned uses;            // good signatures of a candidate
};

static struct key_entry *entry_of(struct list *node)
{
    return LIST_OWNER(node, struct key_entry, node);
}

struct err key_tables_init(struct key_tables *k, enum p256_kernel kernel, size_t capacity,
                           const uint8_t seed[MAP_SEED_LEN])
{
    *k = (struct key_tables){.kernel = kernel, .capacity = kernel == P256_SCALAR ? 0 : capacity};
    list_init(&k->free);
    list_init(&k->candidates);
    list_init(&k->ripe);
    list_init(&k->tabled);
    if (k->capacity == 0) return OK;
    size_t entries = k->capacity + KEY_CANDIDATES_MAX;
    k->entries = calloc(entries, sizeof *k->entries);
    k->tables = aligned_alloc(_Alignof(struct p256_table), k->capacity * sizeof *k->tables);
    if (k->entries == NULL || k->tables == NULL ||
        failed(map_init(&k->map, P256_POINT_LEN, entries, seed))) {
        key_tables_fini(k);
        return ERR(NO_SPACE);
    }
    for (size_t i = 0; i < entries; i++) list_push_back(&k->free, &k->entries[i].node);
    return OK;
}

void key_tables_fini(struct key_tables *k)
{
    if (k->map.slots != NULL) map_fini(&k->map);
    free(k->entries);
    free(k->tables);
    *k = (struct key_tables){0};
}

const struct p256_table *key_tables_find(struct key_tables *k, const uint8_t *point)
{
    struct key_entry *e = k->capacity == 0 ? NULL : map_get(&k->map, point);
    return e == NULL ? NULL : e->table;
}

static void entry_move(struct list *to, struct key_entry *e)
{
    list_remove(&e->node);
    list_push_back(to, &e->node);
}

static void entry_forget(struct key_tables *k, struct key_entry *e)
{
    map_remove(&k->map, e->point);
    entry_move(&k->free, e);
}

// candidate_drop forgets the candidate that is worth least, so that there is room for another.
static void candidate_drop(struct key_tables *k)
{
    bool any = !list_empty(&k->candidates);
    k->ripe_count -= !any;
    entry_forget(k, entry_of(any ? k->candidates.next : k->ripe.next));
}

static void candidate_add(struct key_tables *k, const uint8_t *point)
{
    // As many entries as tables and candidates: with none free there is a candidate.
    if (list_empty(&k->free) || k->map.count - k->count >= KEY_CANDIDATES_MAX) candidate_drop(k);
    struct key_entry *e = entry_of(k->free.next);
    memcpy(e->point, point, P256_POINT_LEN);
    e->table = NULL;
    e->uses = 1;
    entry_move(&k->candidates, e);
    CHECK(!failed(map_put(&k->map, e->point, e)));
}

void key_tables_used(struct key_tables *k, const uint8_t *point)
{
    if (k->capacity == 0) return;
    struct key_entry *e = map_get(&k->map, point);
    if (e == NULL) {
        candidate_add(k, point);
        return;
    }
    if (e->table != NULL) {
        entry_move(&k->tabled, e);
        return;
    }
    e->uses++;
    k->ripe_count += e->uses == KEY_USES_RIPE;
    entry_move(e->uses >= KEY_USES_RIPE ? &k->ripe : &k->candidates, e);
    k->urgent |= e->uses >= KEY_USES_ALONE;
}

// table_take is the memory for one more table: a fresh one, else that of the table that was not
// used for the longest time.
static struct p256_table *table_take(struct key_tables *k)
{
    if (k->count < k->capacity) return &k->tables[k->count++];
    struct key_entry *oldest = entry_of(k->tabled.next);
    struct p256_table *table = oldest->table;
    entry_forget(k, oldest);
    k->evicted++;
    return table;
}

// group_make makes the tables of up to KEY_GROUP ripe keys.
static void group_make(struct key_tables *k)
{
    struct p256_table made[KEY_GROUP];
    uint8_t points[KEY_GROUP][P256_POINT_LEN];
    struct key_entry *entries[KEY_GROUP];
    bool ok[KEY_GROUP];
    size_t n = 0;
    while (n < KEY_GROUP && n < k->capacity && !list_empty(&k->ripe)) {
        entries[n] = entry_of(list_pop_front(&k->ripe));
        memcpy(points[n], entries[n]->point, P256_POINT_LEN);
        n++;
    }
    k->ripe_count -= n;
    p256_tables_build(made, ok, points[0], n, k->kernel);
    for (size_t i = 0; i < n; i++) {
        CHECK(ok[i]); // a signature under it was good
        entries[i]->table = table_take(k);
        *entries[i]->table = made[i];
        list_push_back(&k->tabled, &entries[i]->node);
    }
    k->built += n;
}

void key_tables_make(struct key_tables *k)
{
    for (int i = 0; i < KEY_GROUPS_A_TURN && (k->ripe_count >= KEY_GROUP || k->urgent); i++) {
        group_make(k);
        k->urgent = false; // the oldest go first: an urgent one that is left says so again
    }
}
