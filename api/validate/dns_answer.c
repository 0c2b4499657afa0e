#include "api/validate/dns_answer.h"

#include <string.h>

enum { HEADER_LEN = 12, TRUNCATED = 0x02, POINTER = 0xc0, POINTERS_MAX = 32, LABELS_MAX = 128 };
enum { ANSWERS_MAX = 4 * DNS_RECORDS_MAX }; // records of any kind and name in one message

// struct reader goes through a message; `at` is where the next field begins.
struct reader {
    struct slice message;
    size_t at;
};

static bool skip(struct reader *r, size_t n)
{
    if (r->message.n - r->at < n) return false;
    r->at += n;
    return true;
}

static bool read_u16(struct reader *r, unsigned *out)
{
    size_t at = r->at;
    if (!skip(r, 2)) return false;
    *out = (unsigned)r->message.p[at] << 8 | r->message.p[at + 1];
    return true;
}

// label_char: what a label may hold to be a name that is asked for again. A dot or a backslash
// inside a label would make it another name in text.
static bool label_char(uint8_t c) { return c > 0x20 && c < 0x7f && c != '.' && c != '\\'; }

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

// struct name is a name as text; `odd` when it has octets that a name in text cannot have.
struct name {
    char text[DNS_NAME_LEN_MAX + 1];
    size_t n;
    bool odd;
};

static bool label_take(struct name *out, const uint8_t *p, size_t n)
{
    if (out->n + (out->n > 0) + n > DNS_NAME_LEN_MAX) return false;
    if (out->n > 0) out->text[out->n++] = '.';
    for (size_t i = 0; i < n; i++) {
        out->odd |= !label_char(p[i]);
        out->text[out->n++] = (char)lower(p[i]);
    }
    return true;
}

// read_name reads a name, which may be pieced together by pointers (RFC 1035 section 4.1.4). Each
// pointer must lead to before the place where the piece with it begins, so there are no loops.
static bool read_name(struct reader *r, struct name *out)
{
    struct slice m = r->message;
    size_t at = r->at, piece = r->at, end = 0;
    *out = (struct name){0};
    for (unsigned steps = 0; steps < LABELS_MAX + POINTERS_MAX; steps++) {
        if (at >= m.n) return false;
        unsigned c = m.p[at];
        if (c == 0) {
            r->at = end != 0 ? end : at + 1;
            out->text[out->n] = 0;
            return true;
        }
        if ((c & POINTER) == POINTER) {
            if (m.n - at < 2) return false;
            size_t to = (c & 0x3f) << 8 | m.p[at + 1];
            if (end == 0) end = at + 2;
            if (to >= piece) return false;
            at = piece = to;
            continue;
        }
        if ((c & POINTER) != 0 || m.n - at - 1 < c || !label_take(out, m.p + at + 1, c))
            return false;
        at += c + 1;
    }
    return false;
}

struct record {
    struct name owner;
    unsigned type, class;
    size_t data_at;
    struct slice data;
};

static bool read_record(struct reader *r, struct record *out)
{
    unsigned n;
    if (!read_name(r, &out->owner) || !read_u16(r, &out->type) || !read_u16(r, &out->class) ||
        !skip(r, 4) || !read_u16(r, &n))
        return false;
    out->data_at = r->at;
    if (!skip(r, n)) return false;
    out->data = slice_sub(r->message, out->data_at, n);
    return true;
}

static bool is_of(const struct record *rec, const char *owner)
{
    enum { CLASS_IN = 1 };
    return rec->class == CLASS_IN && !rec->owner.odd && strcmp(rec->owner.text, owner) == 0;
}

// struct pass is one way through the answers for one owner.
struct pass {
    struct name alias; // where a CNAME leads; n 0: none
    bool too_many;
};

static bool answers_pass(struct pass *pass, struct dns_answer *out, struct reader r, unsigned count,
                         enum dns_type type)
{
    pass->alias.n = 0;
    for (unsigned i = 0; i < count; i++) {
        struct record rec;
        if (!read_record(&r, &rec)) return false;
        if (!is_of(&rec, out->owner)) continue;
        if (rec.type == (unsigned)type) {
            pass->too_many |= out->count == DNS_RECORDS_MAX;
            if (!pass->too_many) out->records[out->count++] = rec.data;
        } else if (rec.type == DNS_TYPE_CNAME) {
            struct reader data = {slice_sub(r.message, 0, rec.data_at + rec.data.n), rec.data_at};
            if (!read_name(&data, &pass->alias) || data.at != data.message.n) return false;
        }
    }
    return true;
}

// answers_read follows the aliases through the answers, whatever their order.
static bool answers_read(struct dns_answer *out, const char **why, struct reader r, unsigned count,
                         enum dns_type type)
{
    for (;;) {
        struct pass pass = {.too_many = false};
        *why = "is malformed";
        if (!answers_pass(&pass, out, r, count, type)) return false;
        *why = "has too many records";
        if (pass.too_many) return false;
        if (out->count > 0 || pass.alias.n == 0) return true;
        *why = "has an alias whose name cannot be asked for";
        if (pass.alias.odd) return false;
        *why = "has too many aliases";
        if (out->aliases++ == DNS_ALIASES_MAX) return false;
        memcpy(out->owner, pass.alias.text, pass.alias.n + 1);
    }
}

bool dns_answer_read(struct dns_answer *out, const char **why, struct slice message,
                     const char *name, enum dns_type type)
{
    struct reader r = {message, 2}; // the id was compared by who asked
    unsigned flags, questions, answers;
    struct name asked;
    out->count = 0;
    out->aliases = 0;
    *why = "is malformed";
    if (message.n < HEADER_LEN || !read_u16(&r, &flags) || !read_u16(&r, &questions) ||
        !read_u16(&r, &answers) || !skip(&r, 4))
        return false;
    for (unsigned i = 0; i < questions; i++)
        if (!read_name(&r, &asked) || !skip(&r, 4)) return false;
    *why = "is truncated";
    if ((flags >> 8 & TRUNCATED) != 0) return false; // half an answer says nothing
    *why = "has too many records";
    if (answers > ANSWERS_MAX || strlen(name) > DNS_NAME_LEN_MAX) return false;
    strcpy(out->owner, name);
    return answers_read(out, why, r, answers, type);
}

bool dns_txt_read(uint8_t out[DNS_TXT_MAX], size_t *out_len, struct slice data)
{
    size_t n = 0;
    *out_len = 0;
    for (size_t at = 0; at < data.n;) {
        size_t len = data.p[at++];
        if (data.n - at < len || DNS_TXT_MAX - n < len) return false;
        memcpy(out + n, data.p + at, len);
        n += len;
        at += len;
    }
    *out_len = n;
    return data.n > 0;
}
