// leaf: the partitions: which leaf an id or serial belongs to, what it is called, and which exist.
// Pure but for the set's memory.
#pragma once
#include "proto/base/id.h"
#include "proto/base/slice.h"

enum leaf_table {
    LEAF_ORDERS,
    LEAF_AUTHZS,
    LEAF_INTENTS,
    LEAF_CERTIFICATES,
    LEAF_REPLACEMENTS,
    LEAF_REVOCATIONS,
    LEAF_TABLE_COUNT
};
enum { LEAF_NAME_MAX = 48 };

// A leaf's key is the number of its hour (authorizations: day) since 1970.
int64_t leaf_of_id(enum leaf_table table, const struct id *id);
int64_t leaf_of_serial(const uint8_t *serial); // 20 octets, hour in the first three
int64_t leaf_at(enum leaf_table table, int64_t unix_s);
unsigned leaf_span_s(enum leaf_table table);
// leaf_follows says whose leaf must have gone before one of this table may: intents go after the
// orders of their hour, replacements and revocations after the certificates. False for a table that
// decides itself.
bool leaf_follows(enum leaf_table *out, enum leaf_table table);
const char *leaf_table_name(enum leaf_table table);
// leaf_name writes "orders_2026112409". leaf_parse is the reverse; false for other names.
void leaf_name(char out[LEAF_NAME_MAX], enum leaf_table table, int64_t key);
bool leaf_parse(enum leaf_table *out_table, int64_t *out_key, const char *name);
// leaf_bounds writes the SQL literals of its range: lower inclusive, upper exclusive.
enum { LEAF_BOUND_MAX = 64 };
void leaf_bounds(char lower[LEAF_BOUND_MAX], char upper[LEAF_BOUND_MAX], enum leaf_table table,
                 int64_t key);

// struct leaf_set: the leaves that exist, sorted.
struct leaf_set {
    struct leaf_entry {
        enum leaf_table table;
        int64_t key;
    } * entries;
    size_t count, size;
};
void leaf_set_clear(struct leaf_set *s);
void leaf_set_fini(struct leaf_set *s);
bool leaf_set_add(struct leaf_set *s, enum leaf_table table, int64_t key); // false without memory
// leaf_set_next is the smallest key of the table above *key; false when there is none.
bool leaf_set_next(const struct leaf_set *s, enum leaf_table table, int64_t *key);
bool leaf_set_has(const struct leaf_set *s, enum leaf_table table, int64_t key);
