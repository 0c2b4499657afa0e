#include "proto/der/pem.h"

#include <openssl/base64.h>

#include "proto/err.h"

enum { LINE_LEN = 64, LINE_BYTES = 48 };

#define BEGIN SLICE_LIT("-----BEGIN ")
#define END SLICE_LIT("-----END ")
#define DASHES SLICE_LIT("-----")

static size_t encoded_size(size_t label_n, size_t der_n)
{
    size_t text = (der_n + 2) / 3 * 4;
    size_t lines = (text + LINE_LEN - 1) / LINE_LEN;
    return BEGIN.n + END.n + 2 * (label_n + DASHES.n + 1) + text + lines;
}

static uint8_t *put(uint8_t *p, struct slice s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

static uint8_t *put_boundary(uint8_t *p, struct slice begin, struct slice label)
{
    p = put(put(put(p, begin), label), DASHES);
    *p++ = '\n';
    return p;
}

struct err pem_encode(struct buf *out, const char *label, struct slice der)
{
    size_t size = encoded_size(strlen(label), der.n);
    uint8_t *start = buf_reserve(out, size + 1); // the library adds a NUL behind each line
    if (start == NULL) return ERR(NO_SPACE);
    uint8_t *p = put_boundary(start, BEGIN, slice_str(label));
    while (der.n > 0) {
        struct slice line = slice_sub(der, 0, LINE_BYTES);
        p += EVP_EncodeBlock(p, line.p, line.n);
        *p++ = '\n';
        der = slice_sub(der, line.n, der.n);
    }
    p = put_boundary(p, END, slice_str(label));
    CHECK((size_t)(p - start) == size);
    buf_commit(out, size);
    return OK;
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; }

// take_line returns the next line without its end and trailing white space, and moves *text behind
// it.
static struct slice take_line(struct slice *text)
{
    const uint8_t *newline = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);
    size_t n = newline == NULL ? text->n : (size_t)(newline - text->p);
    struct slice line = slice_sub(*text, 0, n);
    *text = slice_sub(*text, n + 1, text->n);
    while (line.n > 0 && is_space(line.p[line.n - 1])) line.n--;
    return line;
}

// boundary_label is the label of a boundary line, or false when the line is none.
static bool boundary_label(struct slice *out, struct slice line, struct slice begin)
{
    if (!slice_starts(line, begin) || line.n < begin.n + DASHES.n) return false;
    struct slice rest = slice_sub(line, begin.n, line.n);
    *out = slice_sub(rest, 0, rest.n - DASHES.n);
    return slice_eq(slice_sub(rest, out->n, DASHES.n), DASHES) && out->n > 0;
}

static bool find_begin(struct slice *label, struct slice *text)
{
    while (text->n > 0) {
        if (boundary_label(label, take_line(text), BEGIN)) return true;
    }
    return false;
}

// take_body moves *text behind the END line, which must have the same label, and gives what stands
// before it.
static bool take_body(struct slice *body, struct slice label, struct slice *text)
{
    struct slice end, start = *text;
    while (text->n > 0) {
        size_t n = start.n - text->n;
        if (!boundary_label(&end, take_line(text), END)) continue;
        *body = slice_sub(start, 0, n);
        return slice_eq(end, label);
    }
    return false;
}

static struct err join_lines(struct slice *out, struct arena *a, struct slice body)
{
    uint8_t *p = arena_alloc(a, body.n);
    size_t n = 0;
    if (p == NULL) return ERR(NO_SPACE);
    while (body.n > 0) {
        struct slice line = take_line(&body);
        if (line.n > 0) memcpy(p + n, line.p, line.n);
        n += line.n;
    }
    *out = slice_of(p, n);
    return OK;
}

static struct err decode(struct slice *out, struct arena *a, struct slice base64)
{
    size_t size = base64.n / 4 * 3, n;
    uint8_t *p = arena_alloc(a, size);
    if (p == NULL) return ERR(NO_SPACE);
    if (base64.n == 0 || EVP_DecodeBase64(p, &n, size, base64.p, base64.n) != 1)
        return ERR(BAD_PEM);
    *out = slice_of(p, n);
    return OK;
}

struct err pem_next(struct pem_block *out, struct arena *a, struct slice *text)
{
    struct pem_block block = {0};
    struct slice body, base64, rest = *text;
    if (find_begin(&block.label, &rest)) {
        if (!take_body(&body, block.label, &rest)) return ERR(BAD_PEM);
        TRY(join_lines(&base64, a, body));
        TRY(decode(&block.der, a, base64));
    }
    *text = rest;
    *out = block;
    return OK;
}
