// Reads a checked YAML document by a settings table. Recursion follows the table and the document's
// depth, both bounded.
#include "cluster/core/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/core/config_internal.h"
#include "cluster/err.h"
#include "proto/err.h"

// struct node is a place in a document; without a document (what a file leaves out) only the mark
// counts.
struct node {
    yaml_document_t *doc;
    yaml_node_t *at;
    yaml_mark_t mark;
};

static struct err rows_read(struct reading *r, const struct setting *rows, uint8_t *out,
                            struct node mapping);
static struct err value_read(struct reading *r, const struct setting *row, void *field,
                             struct node n);

static struct node node_get(yaml_document_t *doc, int id)
{
    yaml_node_t *at = yaml_document_get_node(doc, id);
    return (struct node){doc, at, at->start_mark};
}

static struct slice node_text(const yaml_node_t *n)
{
    return slice_of(n->data.scalar.value, n->data.scalar.length);
}

static struct scalar node_scalar(const yaml_node_t *n)
{
    return (struct scalar){node_text(n), n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE};
}

// node_is_null: "key:" with nothing behind it, "~" and "null".
static bool node_is_null(const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct slice s = node_text(n);
    return s.n == 0 || slice_eq_str(s, "~") || slice_eq_str(s, "null");
}

static const char *node_kind(const yaml_node_t *n)
{
    if (node_is_null(n)) return "has no value";
    return n->type == YAML_SCALAR_NODE     ? "is a single value"
           : n->type == YAML_SEQUENCE_NODE ? "is a list"
                                           : "is a mapping";
}

static struct err expected_fail(struct reading *r, const struct setting *row,
                                enum setting_type type, yaml_mark_t at, const char *wrong)
{
    char expected[320];
    return reading_fail(r, at, "%s; expected %s", wrong,
                        setting_expected(expected, sizeof expected, row, type, type == row->type));
}

// --- unknown and duplicate keys
// -------------------------------------------------------------------------------------------

enum { KEY_MAX = 64 };

static size_t min3(size_t a, size_t b, size_t c)
{
    return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

// key_distance is the number of single-character edits between two keys (swapped neighbours count
// once).
static size_t key_distance(struct slice a, struct slice b)
{
    size_t d[3][KEY_MAX + 1];
    if (a.n > KEY_MAX || b.n > KEY_MAX) return KEY_MAX;
    for (size_t j = 0; j <= b.n; j++) d[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *row = d[i % 3], *before = d[(i + 2) % 3], *before2 = d[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            row[j] = min3(before[j] + 1, row[j - 1] + 1,
                          before[j - 1] + (a.p[i - 1] != b.p[j - 1]));
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && before2[j - 2] + 1 < row[j]) row[j] = before2[j - 2] + 1;
        }
    }
    return d[a.n % 3][b.n];
}

static const char *key_nearest(const struct setting *rows, struct slice key)
{
    const char *best = NULL;
    size_t best_distance = (key.n < 4 ? 1 : key.n / 3) + 1;
    for (const struct setting *row = rows; row->key != NULL; row++) {
        size_t distance = key_distance(key, slice_str(row->key));
        if (distance < best_distance) best = row->key, best_distance = distance;
    }
    return best;
}

static struct err unknown_fail(struct reading *r, const struct setting *rows, yaml_mark_t at,
                               struct slice key)
{
    char known[200];
    size_t n = 0;
    known[0] = 0;
    for (const struct setting *row = rows; row->key != NULL; row++) {
        int k = snprintf(known + n, sizeof known - n, "%s%s", n == 0 ? "" : ", ", row->key);
        if (k < 0 || (size_t)k >= sizeof known - n) {
            snprintf(known + n, sizeof known - n, ", ...");
            break;
        }
        n += (size_t)k;
    }
    const char *nearest = key_nearest(rows, key);
    if (nearest == NULL)
        return reading_fail(r, at, "is not a known key; expected one of %s", known);
    return reading_fail(r, at, "is not a known key (did you mean %s?); expected one of %s", nearest,
                        known);
}

static size_t rows_count(const struct setting *rows)
{
    size_t n = 0;
    while (rows[n].key != NULL) n++;
    return n;
}

static size_t row_find(const struct setting *rows, struct slice key)
{
    size_t i = 0;
    while (rows[i].key != NULL && !slice_eq_str(key, rows[i].key)) i++;
    return i;
}

static struct err key_read(struct reading *r, struct slice *out, struct node key)
{
    if (key.at->type != YAML_SCALAR_NODE)
        return reading_fail(r, key.mark, "a key is a mapping or list; expected text");
    *out = node_text(key.at);
    return OK;
}

static struct err duplicate_fail(struct reading *r, yaml_mark_t at, yaml_mark_t first)
{
    return reading_fail(r, at, "is given twice, first on line %zu; expected once", first.line + 1);
}

// --- scalars, groups, lists, maps
// -----------------------------------------------------------------------------------------

// value_check asks the row's own check about a value that was read.
static struct err value_check(struct reading *r, const char *(*check)(const void *),
                              const void *value, yaml_mark_t at)
{
    const char *wrong = check == NULL ? NULL : check(value);
    return wrong == NULL ? OK : reading_fail(r, at, "%s", wrong);
}

static struct err scalar_check(struct reading *r, const struct setting *row, const void *value,
                               struct node n)
{
    char quoted[CONFIG_QUOTE_MAX];
    const char *wrong = row->check == NULL ? NULL : row->check(value);
    if (wrong == NULL) return OK;
    return reading_fail(r, n.mark, "%s %s", config_quote(quoted, node_text(n.at)), wrong);
}

static struct err scalar_value_read(struct reading *r, const struct setting *row,
                                    enum setting_type type, void *field, struct node n)
{
    char wrong[CONFIG_QUOTE_MAX + 64];
    if (n.at->type != YAML_SCALAR_NODE || node_is_null(n.at))
        return expected_fail(r, row, type, n.mark, node_kind(n.at));
    struct err err = scalar_read(field, r, row, type, node_scalar(n.at), wrong, sizeof wrong);
    if (err_is(err, ERR_BAD_CONFIG)) return expected_fail(r, row, type, n.mark, wrong);
    return failed(err) ? err : scalar_check(r, row, field, n);
}

static struct err group_read(struct reading *r, const struct setting *row, void *field,
                             struct node n)
{
    if (n.at->type != YAML_MAPPING_NODE)
        return expected_fail(r, row, SETTING_GROUP, n.mark, node_kind(n.at));
    return rows_read(r, row->rows, field, n);
}

static struct err count_check(struct reading *r, const struct setting *row, yaml_mark_t at,
                              size_t count)
{
    char wrong[64];
    if ((int64_t)count >= row->min && !(setting_has_max(row) && (int64_t)count > row->max))
        return OK;
    snprintf(wrong, sizeof wrong, "has %zu %s", count, count == 1 ? "entry" : "entries");
    return expected_fail(r, row, row->type, at, wrong);
}

static struct err items_new(struct config_list *out, struct reading *r, size_t count, size_t size)
{
    CHECK(size > 0);
    *out = (struct config_list){.items = arena_calloc(r->arena, count == 0 ? 1 : count * size),
                                .count = count};
    return out->items == NULL ? ERR(NO_SPACE) : OK;
}

static struct err list_read(struct reading *r, const struct setting *row, struct config_list *out,
                            struct node n)
{
    if (n.at->type != YAML_SEQUENCE_NODE)
        return expected_fail(r, row, SETTING_LIST, n.mark, node_kind(n.at));
    const yaml_node_item_t *items = n.at->data.sequence.items.start;
    size_t count = (size_t)(n.at->data.sequence.items.top - items);
    size_t size = row->rows != NULL ? row->element_size : scalar_size(row->element),
           trail_n = r->trail.n;
    TRY(count_check(r, row, n.mark, count));
    TRY(items_new(out, r, count, size));
    for (size_t i = 0; i < count; i++) {
        struct node item = node_get(n.doc, items[i]);
        uint8_t *field = (uint8_t *)out->items + i * size;
        trail_index(&r->trail, i);
        if (row->rows == NULL)
            TRY(scalar_value_read(r, row, row->element, field, item));
        else {
            TRY(group_read(r, row, field, item));
            TRY(value_check(r, row->check, field, item.mark));
        }
        trail_cut(&r->trail, trail_n);
    }
    return value_check(r, row->check_all, out, n.mark);
}

struct map_key {
    struct slice text;
    yaml_mark_t mark;
};

static int map_key_compare(const void *a, const void *b)
{
    const struct map_key *x = a, *y = b;
    int c = slice_cmp(x->text, y->text);
    return c != 0 ? c : (x->mark.index > y->mark.index) - (x->mark.index < y->mark.index);
}

static struct err map_keys_check(struct reading *r, struct node n, size_t count)
{
    const yaml_node_pair_t *pairs = n.at->data.mapping.pairs.start;
    struct map_key *keys = ARENA_ARRAY(r->arena, struct map_key, count == 0 ? 1 : count);
    if (keys == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++) {
        struct node key = node_get(n.doc, pairs[i].key);
        TRY(key_read(r, &keys[i].text, key));
        keys[i].mark = key.mark;
        if (keys[i].text.n == 0 || keys[i].text.n > KEY_MAX ||
            memchr(keys[i].text.p, 0, keys[i].text.n) != NULL) {
            trail_key(&r->trail, keys[i].text);
            return reading_fail(r, key.mark, "is not a usable name; expected 1 to %d bytes",
                                KEY_MAX);
        }
    }
    qsort(keys, count, sizeof *keys, map_key_compare);
    for (size_t i = 1; i < count; i++) {
        if (!slice_eq(keys[i - 1].text, keys[i].text)) continue;
        trail_key(&r->trail, keys[i].text);
        return duplicate_fail(r, keys[i].mark, keys[i - 1].mark);
    }
    return OK;
}

static struct err map_read(struct reading *r, const struct setting *row, struct config_list *out,
                           struct node n)
{
    if (n.at->type != YAML_MAPPING_NODE)
        return expected_fail(r, row, SETTING_MAP, n.mark, node_kind(n.at));
    const yaml_node_pair_t *pairs = n.at->data.mapping.pairs.start;
    size_t count = (size_t)(n.at->data.mapping.pairs.top - pairs), trail_n = r->trail.n;
    TRY(map_keys_check(r, n, count));
    TRY(count_check(r, row, n.mark, count));
    TRY(items_new(out, r, count, row->element_size));
    for (size_t i = 0; i < count; i++) {
        uint8_t *element = (uint8_t *)out->items + i * row->element_size;
        struct node name = node_get(n.doc, pairs[i].key);
        struct slice key;
        TRY(arena_dup(&key, r->arena, node_text(name.at)));
        trail_key(&r->trail, key);
        TRY(group_read(r, row, element, node_get(n.doc, pairs[i].value)));
        memcpy(element, &key.p, sizeof key.p); // the first member, a const char *
        TRY(value_check(r, row->check, element, name.mark));
        trail_cut(&r->trail, trail_n);
    }
    return value_check(r, row->check_all, out, n.mark);
}

static struct err value_read(struct reading *r, const struct setting *row, void *field,
                             struct node n)
{
    switch (row->type) {
    case SETTING_GROUP:
        TRY(group_read(r, row, field, n));
        return value_check(r, row->check, field, n.mark);
    case SETTING_LIST:
        return list_read(r, row, field, n);
    case SETTING_MAP:
        return map_read(r, row, field, n);
    default:
        return scalar_value_read(r, row, row->type, field, n);
    }
}

// --- what a file leaves out
// -----------------------------------------------------------------------------------------------

// document_load loads a text that reading_check has passed.
static struct err document_load(yaml_document_t *doc, struct slice text)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return ERR(NO_SPACE);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.p == NULL ? (const yaml_char_t *)"" : text.p,
                                 text.n);
    bool good = yaml_parser_load(&parser, doc) != 0;
    yaml_parser_delete(&parser);
    return good ? OK : ERR(NO_SPACE);
}

// default_list_read reads a default of several values as if it stood in the file.
static struct err default_list_read(struct reading *r, const struct setting *row, void *field)
{
    yaml_document_t doc;
    TRY(document_load(&doc, slice_str(row->default_text)));
    yaml_node_t *root = yaml_document_get_root_node(&doc);
    CHECK(root != NULL);
    struct err err = value_read(r, row, field, (struct node){&doc, root, root->start_mark});
    yaml_document_delete(&doc);
    return err;
}

static struct err default_read(struct reading *r, const struct setting *row, void *field,
                               yaml_mark_t at)
{
    char wrong[CONFIG_QUOTE_MAX + 64];
    bool empty = row->default_text == NULL || row->default_text[0] == 0;
    if (row->optional && empty) return OK;
    if (row->type == SETTING_GROUP)
        return rows_read(r, row->rows, field, (struct node){.mark = at});
    if (row->default_text == NULL) return expected_fail(r, row, row->type, at, "is missing");
    if (!setting_is_scalar(row->type)) return empty ? OK : default_list_read(r, row, field);
    struct scalar s = {slice_str(row->default_text), true};
    struct err err = scalar_read(field, r, row, row->type, s, wrong, sizeof wrong);
    return err_is(err, ERR_BAD_CONFIG) ? expected_fail(r, row, row->type, at, wrong) : err;
}

// --- mappings by rows
// -----------------------------------------------------------------------------------------------------

static struct err pairs_read(struct reading *r, const struct setting *rows, uint8_t *out,
                             struct node n, const yaml_mark_t **seen)
{
    size_t trail_n = r->trail.n;
    for (yaml_node_pair_t *pair = n.at->data.mapping.pairs.start;
         pair < n.at->data.mapping.pairs.top; pair++) {
        struct node key = node_get(n.doc, pair->key);
        struct slice text;
        TRY(key_read(r, &text, key));
        trail_key(&r->trail, text);
        size_t i = row_find(rows, text);
        if (rows[i].key == NULL) return unknown_fail(r, rows, key.mark, text);
        if (seen[i] != NULL) return duplicate_fail(r, key.mark, *seen[i]);
        seen[i] = &key.at->start_mark;
        TRY(value_read(r, &rows[i], out + rows[i].offset, node_get(n.doc, pair->value)));
        trail_cut(&r->trail, trail_n);
    }
    return OK;
}

static struct err rows_read(struct reading *r, const struct setting *rows, uint8_t *out,
                            struct node mapping)
{
    size_t trail_n = r->trail.n;
    const yaml_mark_t **seen = ARENA_ARRAY(r->arena, const yaml_mark_t *, rows_count(rows) + 1);
    if (seen == NULL) return ERR(NO_SPACE);
    if (mapping.at != NULL) TRY(pairs_read(r, rows, out, mapping, seen));
    for (size_t i = 0; rows[i].key != NULL; i++) {
        if (seen[i] != NULL) continue;
        trail_key(&r->trail, slice_str(rows[i].key));
        TRY(default_read(r, &rows[i], out + rows[i].offset, mapping.mark));
        trail_cut(&r->trail, trail_n);
    }
    return OK;
}

static struct err root_read(struct reading *r, const struct setting *rows, uint8_t *out,
                            yaml_document_t *doc)
{
    yaml_node_t *root = yaml_document_get_root_node(doc);
    if (root == NULL || node_is_null(root))
        return rows_read(r, rows, out, (struct node){0}); // an empty file
    if (root->type != YAML_MAPPING_NODE) {
        return reading_fail(r, root->start_mark,
                            "the file %s; expected a mapping of keys and values", node_kind(root));
    }
    return rows_read(r, rows, out, (struct node){doc, root, root->start_mark});
}

static struct err text_read(struct reading *r, const struct setting *rows, uint8_t *out)
{
    yaml_document_t doc;
    TRY(reading_check(r));
    trail_cut(&r->trail, 0);
    TRY(document_load(&doc, r->text));
    struct err err = root_read(r, rows, out, &doc);
    yaml_document_delete(&doc);
    return err;
}

struct err config_parse(void *out, size_t out_size, const struct setting *rows, struct arena *a,
                        struct slice text, const char *name, const char *base,
                        char error[CONFIG_ERROR_MAX])
{
    struct reading r = {.arena = a, .text = text, .name = name, .base = base, .error = error};
    error[0] = 0;
    uint8_t *filled = arena_calloc(a, out_size);
    struct err err = filled == NULL ? ERR(NO_SPACE) : text_read(&r, rows, filled);
    if (!failed(err))
        memcpy(out, filled, out_size);
    else if (error[0] == 0)
        snprintf(error, CONFIG_ERROR_MAX,
                 "%s: needs more memory than there is for it; expected a smaller file", name);
    return err;
}

// --- files
// ----------------------------------------------------------------------------------------------------------------

static struct err file_fail(char *error, const char *path, const char *what)
{
    snprintf(error, CONFIG_ERROR_MAX, "%s: cannot be read: %s; expected a readable YAML file", path,
             what);
    return ERR(BAD_CONFIG);
}

// fd_read appends all of a file, up to one byte more than a configuration may have.
static struct err fd_read(struct buf *out, int fd)
{
    for (;;) {
        uint8_t *p = buf_reserve(out, 4096);
        if (p == NULL) return ERR(NO_SPACE);
        ssize_t n = read(fd, p, 4096);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ERR(SYSTEM);
        if (n == 0 || buf_len(out) > CONFIG_SIZE_MAX) return OK;
        buf_commit(out, (size_t)n);
    }
}

static struct err file_read(struct buf *out, const char *path, char *error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return file_fail(error, path, strerror(errno));
    struct err err = OK;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        err = file_fail(error, path, "it is a folder");
    else
        err = fd_read(out, fd);
    if (err_is(err, ERR_SYSTEM)) err = file_fail(error, path, strerror(errno));
    close(fd);
    return err;
}

// folder_of writes the absolute folder that `path` is in.
static bool folder_of(char out[PATH_MAX], const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return realpath(".", out) != NULL;
    if (slash == path) return strcpy(out, "/"), true;
    if ((size_t)(slash - path) >= sizeof folder) return errno = ENAMETOOLONG, false;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = 0;
    return realpath(folder, out) != NULL;
}

struct err config_load(void *out, size_t out_size, const struct setting *rows, struct arena *a,
                       const char *path, char error[CONFIG_ERROR_MAX])
{
    char base[PATH_MAX];
    struct buf text;
    error[0] = 0;
    if (!folder_of(base, path)) return file_fail(error, path, strerror(errno));
    buf_init(&text, CONFIG_SIZE_MAX + 16384);
    struct err err = file_read(&text, path, error);
    if (!failed(err))
        err = config_parse(out, out_size, rows, a, buf_slice(&text), path, base, error);
    else if (error[0] == 0)
        snprintf(error, CONFIG_ERROR_MAX, "%s: no memory to read it", path);
    buf_wipe_fini(&text);
    return err;
}
