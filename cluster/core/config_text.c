// The text of a configuration file before its meaning: where a place is, and a first pass over
// libyaml's events that refuses what the document API would hide (anchors, aliases, tags, further
// documents) and bounds the depth.
#include <stdarg.h>
#include <stdio.h>

#include "cluster/core/config_internal.h"
#include "cluster/err.h"
#include "proto/err.h"

void trail_cut(struct trail *t, size_t n)
{
    t->n = n;
    t->text[n] = 0;
}

static void trail_add(struct trail *t, const char *s, size_t n)
{
    if (n > sizeof t->text - 1 - t->n) return;
    memcpy(t->text + t->n, s, n);
    trail_cut(t, t->n + n);
}

static bool key_is_plain(struct slice key)
{
    for (size_t i = 0; i < key.n; i++) {
        uint8_t c = key.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') return false;
    }
    return key.n > 0 && key.n <= 64;
}

void trail_key(struct trail *t, struct slice key)
{
    char quoted[CONFIG_QUOTE_MAX];
    if (t->n > 0) trail_add(t, ".", 1);
    if (key_is_plain(key)) {
        trail_add(t, (const char *)key.p, key.n);
        return;
    }
    config_quote(quoted, key);
    trail_add(t, quoted, strlen(quoted));
}

void trail_index(struct trail *t, size_t i)
{
    char text[24];
    trail_add(t, text, (size_t)snprintf(text, sizeof text, "[%zu]", i));
}

const char *config_quote(char out[CONFIG_QUOTE_MAX], struct slice s)
{
    enum { BYTES = 36 };
    size_t n = 0, take = s.n <= BYTES ? s.n : BYTES;
    while (take < s.n && take > 0 && (s.p[take] & 0xc0) == 0x80)
        take--; // not in the middle of a character
    out[n++] = '"';
    for (size_t i = 0; i < take; i++) {
        uint8_t c = s.p[i];
        if (c == '"' || c == '\\')
            n += (size_t)sprintf(out + n, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            n += (size_t)sprintf(out + n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    sprintf(out + n, "%s\"", take < s.n ? "..." : "");
    return out;
}

struct err reading_fail(struct reading *r, yaml_mark_t at, const char *fmt, ...)
{
    int n = snprintf(r->error, CONFIG_ERROR_MAX, "%s:%zu:%zu: %s%s", r->name, at.line + 1,
                     at.column + 1, r->trail.text, r->trail.n == 0 ? "" : ": ");
    va_list ap;
    va_start(ap, fmt);
    if (n >= 0 && n < CONFIG_ERROR_MAX)
        vsnprintf(r->error + n, (size_t)(CONFIG_ERROR_MAX - n), fmt, ap);
    va_end(ap);
    return ERR(BAD_CONFIG);
}

// struct level is one open mapping or list.
struct level {
    size_t trail_n; // length of its own dotted key
    size_t index;   // list: elements begun
    bool mapping;
    bool at_value; // mapping: its key has been read
};

struct check {
    struct reading *r;
    yaml_parser_t parser;
    struct level levels[CONFIG_DEPTH_MAX];
    size_t depth;
    size_t documents;
};

static struct level *check_level(struct check *c)
{
    return c->depth == 0 ? NULL : &c->levels[c->depth - 1];
}

// node_begin makes the trail name the node that begins. `key` is its text when it is a scalar.
static void node_begin(struct check *c, struct slice key)
{
    struct level *l = check_level(c);
    if (l == NULL || (l->mapping && l->at_value)) return;
    trail_cut(&c->r->trail, l->trail_n);
    if (l->mapping)
        trail_key(&c->r->trail, key);
    else
        trail_index(&c->r->trail, l->index);
}

static void node_end(struct check *c)
{
    struct level *l = check_level(c);
    if (l == NULL) return;
    if (!l->mapping)
        l->index++;
    else
        l->at_value = !l->at_value;
    if (!l->at_value) trail_cut(&c->r->trail, l->trail_n);
}

static struct err level_open(struct check *c, const yaml_event_t *e)
{
    if (c->depth == CONFIG_DEPTH_MAX) {
        return reading_fail(c->r, e->start_mark, "is nested too deep; expected at most %d levels",
                            CONFIG_DEPTH_MAX);
    }
    struct level *outer = check_level(c);
    if (outer != NULL && outer->mapping && !outer->at_value) {
        return reading_fail(c->r, e->start_mark, "a key is a mapping or list; expected text");
    }
    c->levels[c->depth++] = (struct level){.trail_n = c->r->trail.n,
                                           .mapping = e->type == YAML_MAPPING_START_EVENT};
    return OK;
}

static struct err decoration_check(struct check *c, yaml_mark_t at, const yaml_char_t *anchor,
                                   const yaml_char_t *tag)
{
    char quoted[CONFIG_QUOTE_MAX];
    if (anchor != NULL) {
        config_quote(quoted, slice_str((const char *)anchor));
        return reading_fail(
            c->r, at, "has the anchor %s; expected a value without one: anchors are not used here",
            quoted);
    }
    if (tag != NULL) {
        config_quote(quoted, slice_str((const char *)tag));
        return reading_fail(c->r, at,
                            "has the tag %s; expected a value without one: tags are not used here",
                            quoted);
    }
    return OK;
}

static struct err document_check(struct check *c, const yaml_event_t *e)
{
    bool tags = e->data.document_start.tag_directives.start !=
                e->data.document_start.tag_directives.end;
    if (e->data.document_start.version_directive != NULL || tags) {
        return reading_fail(c->r, e->start_mark, "a YAML directive; expected none");
    }
    if (++c->documents > 1)
        return reading_fail(c->r, e->start_mark, "a second YAML document begins; expected one");
    return OK;
}

static struct err event_check(struct check *c, const yaml_event_t *e)
{
    char quoted[CONFIG_QUOTE_MAX];
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return document_check(c, e);
    case YAML_ALIAS_EVENT:
        node_begin(c, SLICE_LIT("*"));
        config_quote(quoted, slice_str((const char *)e->data.alias.anchor));
        return reading_fail(
            c->r, e->start_mark,
            "is the alias of %s; expected the value itself: aliases are not used here", quoted);
    case YAML_SCALAR_EVENT:
        node_begin(c, slice_of(e->data.scalar.value, e->data.scalar.length));
        TRY(decoration_check(c, e->start_mark, e->data.scalar.anchor, e->data.scalar.tag));
        node_end(c);
        return OK;
    case YAML_SEQUENCE_START_EVENT:
        node_begin(c, SLICE_LIT("[]"));
        TRY(decoration_check(c, e->start_mark, e->data.sequence_start.anchor,
                             e->data.sequence_start.tag));
        return level_open(c, e);
    case YAML_MAPPING_START_EVENT:
        node_begin(c, SLICE_LIT("{}"));
        TRY(decoration_check(c, e->start_mark, e->data.mapping_start.anchor,
                             e->data.mapping_start.tag));
        return level_open(c, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        c->depth--;
        node_end(c);
        return OK;
    default:
        return OK;
    }
}

// offset_mark is the line and column of a byte: libyaml gives only offsets for what it cannot
// decode.
static yaml_mark_t offset_mark(struct slice text, size_t offset)
{
    yaml_mark_t m = {.index = offset};
    for (size_t i = 0; i < offset && i < text.n; i++) {
        if (text.p[i] == '\n')
            m.line++, m.column = 0;
        else if ((text.p[i] & 0xc0) != 0x80)
            m.column++;
    }
    return m;
}

static struct err parser_fail(struct check *c)
{
    const yaml_parser_t *p = &c->parser;
    yaml_mark_t at = p->problem_mark;
    switch (p->error) {
    case YAML_MEMORY_ERROR:
        snprintf(c->r->error, CONFIG_ERROR_MAX, "%s: no memory to read it", c->r->name);
        return ERR(NO_SPACE);
    case YAML_READER_ERROR:
        at = offset_mark(c->r->text, p->problem_offset);
        return reading_fail(c->r, at, "a byte that YAML does not allow (%s); expected UTF-8 text",
                            p->problem);
    default:
        break;
    }
    yaml_mark_t start = p->context != NULL ? p->context_mark : at;
    if (p->problem != NULL && strstr(p->problem, "cannot start any token") != NULL) {
        return reading_fail(c->r, at,
                            "a tab or a reserved character; expected spaces for indentation, and "
                            "quotes around such a value");
    }
    if (p->context == NULL || start.line == at.line) {
        return reading_fail(
            c->r, at, "not valid YAML: %s; expected \"key: value\" lines, indented with spaces",
            p->problem == NULL ? "broken" : p->problem);
    }
    return reading_fail(c->r, at,
                        "not valid YAML: %s %s that began on line %zu; expected \"key: value\" "
                        "lines, indented with spaces",
                        p->problem, p->context, start.line + 1);
}

static struct err events_check(struct check *c)
{
    for (bool end = false; !end;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&c->parser, &e)) return parser_fail(c);
        end = e.type == YAML_STREAM_END_EVENT;
        struct err err = event_check(c, &e);
        yaml_event_delete(&e);
        TRY(err);
    }
    return OK;
}

struct err reading_check(struct reading *r)
{
    if (r->text.n > CONFIG_SIZE_MAX) {
        return reading_fail(r, (yaml_mark_t){0}, "has more than %d bytes; expected a smaller file",
                            CONFIG_SIZE_MAX);
    }
    struct check c = {.r = r};
    if (!yaml_parser_initialize(&c.parser)) return ERR(NO_SPACE);
    yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&c.parser, r->text.p == NULL ? (const yaml_char_t *)"" : r->text.p,
                                 r->text.n);
    struct err err = events_check(&c);
    yaml_parser_delete(&c.parser);
    return err;
}
