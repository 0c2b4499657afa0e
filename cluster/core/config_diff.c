// What differs between two configurations of one table.
#include "cluster/core/address.h"
#include "cluster/core/config_internal.h"

struct diff {
    struct config_changes changes;
    struct buf *restart_keys;
    struct trail trail;
};

static struct err rows_diff(struct diff *d, const struct setting *rows, const uint8_t *before,
                            const uint8_t *after, bool reloadable);

static struct err change_add(struct diff *d, bool reloadable)
{
    if (reloadable) return d->changes.reloadable++, OK;
    const char *comma = d->changes.restart++ == 0 ? "" : ", ";
    return buf_printf(d->restart_keys, "%s%s", comma, d->trail.text);
}

static bool text_eq(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool address_eq(const struct config_address *a, const struct config_address *b)
{
    return a->len == b->len && memcmp(&a->address, &b->address, a->len) == 0;
}

static bool range_eq(const struct address_range *a, const struct address_range *b)
{
    return a->bits == b->bits && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool scalar_eq(enum setting_type type, const void *a, const void *b)
{
    switch (type) {
    case SETTING_STRING:
    case SETTING_PATH:
        return text_eq(*(const char *const *)a, *(const char *const *)b);
    case SETTING_ADDRESS:
        return address_eq(a, b);
    case SETTING_RANGE:
        return range_eq(a, b);
    default:
        return memcmp(a, b, scalar_size(type)) == 0;
    }
}

static const uint8_t *item_at(const struct config_list *l, size_t i, size_t size)
{
    return (const uint8_t *)l->items + i * size;
}

static bool scalars_eq(const struct setting *row, const struct config_list *a,
                       const struct config_list *b)
{
    size_t size = scalar_size(row->element);
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = scalar_eq(row->element, item_at(a, i, size), item_at(b, i, size));
    return same;
}

static struct err list_diff(struct diff *d, const struct setting *row, const struct config_list *a,
                            const struct config_list *b, bool reloadable)
{
    size_t trail_n = d->trail.n;
    if (row->rows == NULL) return scalars_eq(row, a, b) ? OK : change_add(d, reloadable);
    if (a->count != b->count) TRY(change_add(d, reloadable));
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        trail_index(&d->trail, i);
        TRY(rows_diff(d, row->rows, item_at(a, i, row->element_size),
                      item_at(b, i, row->element_size), reloadable));
        trail_cut(&d->trail, trail_n);
    }
    return OK;
}

static const char *element_name(const uint8_t *element)
{
    const char *name;
    memcpy(&name, element, sizeof name);
    return name;
}

static const uint8_t *element_find(const struct config_list *l, size_t size, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(element_name(item_at(l, i, size)), name) == 0) return item_at(l, i, size);
    }
    return NULL;
}

// elements_diff compares the elements of `a` with those of the same name in `b`; both == false
// looks only for those that `b` lacks.
static struct err elements_diff(struct diff *d, const struct setting *row,
                                const struct config_list *a, const struct config_list *b,
                                bool reloadable, bool both)
{
    size_t trail_n = d->trail.n;
    for (size_t i = 0; i < a->count; i++) {
        const uint8_t *mine = item_at(a, i, row->element_size);
        const uint8_t *other = element_find(b, row->element_size, element_name(mine));
        trail_key(&d->trail, slice_str(element_name(mine)));
        if (other == NULL)
            TRY(change_add(d, reloadable));
        else if (both)
            TRY(rows_diff(d, row->rows, mine, other, reloadable));
        trail_cut(&d->trail, trail_n);
    }
    return OK;
}

static struct err value_diff(struct diff *d, const struct setting *row, const void *a,
                             const void *b, bool reloadable)
{
    switch (row->type) {
    case SETTING_GROUP:
        return rows_diff(d, row->rows, a, b, reloadable);
    case SETTING_LIST:
        return list_diff(d, row, a, b, reloadable);
    case SETTING_MAP:
        TRY(elements_diff(d, row, a, b, reloadable, true));
        return elements_diff(d, row, b, a, reloadable, false);
    default:
        return scalar_eq(row->type, a, b) ? OK : change_add(d, reloadable);
    }
}

static struct err rows_diff(struct diff *d, const struct setting *rows, const uint8_t *before,
                            const uint8_t *after, bool reloadable)
{
    size_t trail_n = d->trail.n;
    for (const struct setting *row = rows; row->key != NULL; row++) {
        trail_key(&d->trail, slice_str(row->key));
        TRY(value_diff(d, row, before + row->offset, after + row->offset,
                       reloadable || row->reloadable));
        trail_cut(&d->trail, trail_n);
    }
    return OK;
}

struct err config_diff(struct config_changes *out, struct buf *restart_keys,
                       const struct setting *rows, const void *before, const void *after)
{
    struct diff d = {.restart_keys = restart_keys};
    TRY(rows_diff(&d, rows, before, after, false));
    *out = d.changes;
    return OK;
}
