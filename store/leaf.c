#include "store/leaf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

static const struct {
    const char *name;
    unsigned span_s;
    enum leaf_table leader;
    bool by_serial;
} tables[LEAF_TABLE_COUNT] = {
    [LEAF_ORDERS] = {"orders", HOUR_S, LEAF_TABLE_COUNT, false},
    [LEAF_AUTHZS] = {"authorizations", DAY_S, LEAF_TABLE_COUNT, false},
    [LEAF_INTENTS] = {"intents", HOUR_S, LEAF_ORDERS, false},
    [LEAF_CERTIFICATES] = {"certificates", HOUR_S, LEAF_TABLE_COUNT, true},
    [LEAF_REPLACEMENTS] = {"replacements", HOUR_S, LEAF_CERTIFICATES, true},
    [LEAF_REVOCATIONS] = {"revocations", HOUR_S, LEAF_CERTIFICATES, true}};

unsigned leaf_span_s(enum leaf_table table) { return tables[table].span_s; }

const char *leaf_table_name(enum leaf_table table) { return tables[table].name; }

bool leaf_follows(enum leaf_table *out, enum leaf_table table)
{
    *out = tables[table].leader;
    return *out != LEAF_TABLE_COUNT;
}

int64_t leaf_at(enum leaf_table table, int64_t unix_s) { return unix_s / tables[table].span_s; }

int64_t leaf_of_id(enum leaf_table table, const struct id *id)
{
    return leaf_at(table, (int64_t)(id_unix_ms(id) / 1000));
}

int64_t leaf_of_serial(const uint8_t *serial)
{
    return (int64_t)serial[0] << 16 | serial[1] << 8 | serial[2];
}

void leaf_name(char out[LEAF_NAME_MAX], enum leaf_table table, int64_t key)
{
    time_t t = (time_t)(key * tables[table].span_s);
    struct tm tm;
    char date[16];
    gmtime_r(&t, &tm);
    strftime(date, sizeof date, tables[table].span_s == DAY_S ? "%Y%m%d" : "%Y%m%d%H", &tm);
    snprintf(out, LEAF_NAME_MAX, "%s_%s", tables[table].name, date);
}

bool leaf_parse(enum leaf_table *out_table, int64_t *out_key, const char *name)
{
    for (int i = 0; i < LEAF_TABLE_COUNT; i++) {
        size_t n = strlen(tables[i].name);
        if (strncmp(name, tables[i].name, n) != 0 || name[n] != '_') continue;
        struct tm tm = {0};
        const char *end = strptime(name + n + 1, tables[i].span_s == DAY_S ? "%Y%m%d" : "%Y%m%d%H",
                                   &tm);
        if (end == NULL || *end != 0) return false;
        *out_table = (enum leaf_table)i;
        *out_key = (int64_t)timegm(&tm) / tables[i].span_s;
        return true;
    }
    return false;
}

static void id_bound(char out[LEAF_BOUND_MAX], int64_t unix_s)
{
    uint64_t ms = (uint64_t)unix_s * 1000;
    snprintf(out, LEAF_BOUND_MAX, "'%08x-%04x-0000-0000-000000000000'", (unsigned)(ms >> 16),
             (unsigned)(ms & 0xffff));
}

void leaf_bounds(char lower[LEAF_BOUND_MAX], char upper[LEAF_BOUND_MAX], enum leaf_table table,
                 int64_t key)
{
    if (tables[table].by_serial) {
        snprintf(lower, LEAF_BOUND_MAX, "'\\x%06llx'::bytea", (unsigned long long)key);
        snprintf(upper, LEAF_BOUND_MAX, "'\\x%06llx'::bytea", (unsigned long long)key + 1);
        return;
    }
    id_bound(lower, key * tables[table].span_s);
    id_bound(upper, (key + 1) * tables[table].span_s);
}

void leaf_set_clear(struct leaf_set *s) { s->count = 0; }

void leaf_set_fini(struct leaf_set *s)
{
    free(s->entries);
    *s = (struct leaf_set){0};
}

static int entry_cmp(const struct leaf_entry *a, enum leaf_table table, int64_t key)
{
    if (a->table != table) return a->table < table ? -1 : 1;
    return a->key < key ? -1 : a->key > key;
}

// lower_bound is the place of the first entry that is not before (table, key).
static size_t lower_bound(const struct leaf_set *s, enum leaf_table table, int64_t key)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (entry_cmp(&s->entries[middle], table, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool leaf_set_add(struct leaf_set *s, enum leaf_table table, int64_t key)
{
    if (leaf_set_has(s, table, key)) return true;
    if (s->count == s->size) {
        size_t size = s->size == 0 ? 256 : s->size * 2;
        struct leaf_entry *entries = realloc(s->entries, size * sizeof *entries);
        if (entries == NULL) return false;
        s->entries = entries;
        s->size = size;
    }
    size_t at = lower_bound(s, table, key);
    memmove(s->entries + at + 1, s->entries + at, (s->count - at) * sizeof *s->entries);
    s->entries[at] = (struct leaf_entry){table, key};
    s->count++;
    return true;
}

bool leaf_set_has(const struct leaf_set *s, enum leaf_table table, int64_t key)
{
    size_t at = lower_bound(s, table, key);
    return at < s->count && entry_cmp(&s->entries[at], table, key) == 0;
}

bool leaf_set_next(const struct leaf_set *s, enum leaf_table table, int64_t *key)
{
    size_t at = lower_bound(s, table, *key + 1);
    if (at == s->count || s->entries[at].table != table) return false;
    *key = s->entries[at].key;
    return true;
}
