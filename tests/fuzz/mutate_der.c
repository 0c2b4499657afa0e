#include <string.h>

#include "tests/fuzz/mutate.h"

enum { NODES_MAX = 512, CONTENT_CHANGE_MAX = 16 };

// struct node: one value: its header begins at `start`, its content at `inside`.
struct node {
    size_t start, inside, end;
    int parent; // -1: at the top
};

struct tree {
    struct node nodes[NODES_MAX];
    int count;
};

// header_read reads tag and length at *n->start; false when no whole value is there.
static bool header_read(struct node *n, const uint8_t *data, size_t end)
{
    size_t at = n->start;
    if (end - at < 2 || (data[at] & 0x1f) == 0x1f) return false;
    size_t len = data[at + 1];
    at += 2;
    if (len >= 0x80) {
        size_t octets = len & 0x7f;
        if (octets == 0 || octets > 3 || end - at < octets) return false;
        for (len = 0; octets > 0; octets--) len = len << 8 | data[at++];
    }
    if (len > end - at) return false;
    n->inside = at;
    n->end = at + len;
    return true;
}

// fits says whether values and nothing else stand from `at` to `end`.
static bool fits(const uint8_t *data, size_t at, size_t end)
{
    struct node n = {.start = at};
    if (at == end) return false;
    for (; n.start < end; n.start = n.end) {
        if (!header_read(&n, data, end)) return false;
    }
    return true;
}

static void tree_read(struct tree *t, const uint8_t *data, size_t at, size_t end, int parent)
{
    while (at < end && t->count < NODES_MAX) {
        int i = t->count;
        struct node *n = &t->nodes[i];
        *n = (struct node){.start = at, .parent = parent};
        if (!header_read(n, data, end)) return;
        t->count++;
        at = n->end;
        size_t inside = n->inside + (data[n->start] == 0x03); // behind the count of unused bits
        bool wraps = data[n->start] == 0x03 || data[n->start] == 0x04;
        bool holds = (data[n->start] & 0x20) != 0 || (wraps && inside < n->end);
        if (holds && fits(data, inside, n->end)) tree_read(t, data, inside, n->end, i);
    }
}

// struct bytes: a value under construction.
struct bytes {
    uint8_t p[MUTATE_SIZE_MAX];
    size_t n;
};

static bool put(struct bytes *b, const void *p, size_t n)
{
    if (n > sizeof b->p - b->n) return false;
    if (n > 0) memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

static bool put_header(struct bytes *b, uint8_t tag, size_t len)
{
    uint8_t head[4] = {tag, (uint8_t)len};
    size_t n = 2;
    if (len >= 0x80 && len < 0x100) {
        head[1] = 0x81, head[2] = (uint8_t)len, n = 3;
    } else if (len >= 0x100) {
        head[1] = 0x82, head[2] = (uint8_t)(len >> 8), head[3] = (uint8_t)len, n = 4;
    }
    return put(b, head, n);
}

// mend puts `piece` in place of node `i` and makes every value around it anew.
static size_t mend(uint8_t *data, size_t size, size_t size_max, const struct tree *t, int i,
                   struct bytes *piece)
{
    static struct bytes around;
    size_t start = t->nodes[i].start, end = t->nodes[i].end;
    for (int p = t->nodes[i].parent; p >= 0; p = t->nodes[p].parent) {
        const struct node *n = &t->nodes[p];
        size_t len = start - n->inside + piece->n + (n->end - end);
        around.n = 0;
        if (len > 0xffff || !put_header(&around, data[n->start], len) ||
            !put(&around, data + n->inside, start - n->inside) ||
            !put(&around, piece->p, piece->n) || !put(&around, data + end, n->end - end))
            return size;
        memcpy(piece->p, around.p, around.n);
        piece->n = around.n;
        start = n->start, end = n->end;
    }
    if (start + piece->n + (size - end) > size_max) return size;
    memmove(data + start + piece->n, data + end, size - end);
    memcpy(data + start, piece->p, piece->n);
    return start + piece->n + (size - end);
}

// put_changed is the node with another tag, or with other content.
static bool put_changed(struct bytes *b, const uint8_t *data, const struct node *n,
                        struct fuzz_choices *c)
{
    static const uint8_t tags[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x13,
                                   0x16, 0x17, 0x18, 0x1a, 0x1e, 0x30, 0x31, 0x80, 0x81,
                                   0x82, 0x86, 0x87, 0x88, 0xa0, 0xa1, 0xa3, 0xa4};
    static uint8_t content[MUTATE_SIZE_MAX];
    size_t len = n->end - n->inside;
    bool tag = fuzz_below(c, 4) == 0;
    memcpy(content, data + n->inside, len);
    if (!tag) len = LLVMFuzzerMutate(content, len, len + CONTENT_CHANGE_MAX);
    return put_header(b, tag ? tags[fuzz_below(c, sizeof tags)] : data[n->start], len) &&
           put(b, content, len);
}

size_t mutate_der(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    static struct tree t;
    static struct bytes piece;
    struct fuzz_choices c = {seed};
    t.count = 0;
    tree_read(&t, data, 0, size, -1);
    if (t.count == 0 || size > MUTATE_SIZE_MAX / 2 || fuzz_below(&c, 8) == 0)
        return LLVMFuzzerMutate(data, size, size_max);
    int i = (int)fuzz_below(&c, (size_t)t.count), k = (int)fuzz_below(&c, (size_t)t.count);
    const struct node *n = &t.nodes[i], *other = &t.nodes[k];
    bool ok = true;
    piece.n = 0;
    switch (fuzz_below(&c, 6)) {
    case 0: // dropped
        break;
    case 1: // twice
        ok = put(&piece, data + n->start, n->end - n->start);
        if (ok) ok = put(&piece, data + n->start, n->end - n->start);
        break;
    case 2: // another one in its place
        ok = put(&piece, data + other->start, other->end - other->start);
        break;
    case 3: // another one behind it
        ok = put(&piece, data + n->start, n->end - n->start) &&
             put(&piece, data + other->start, other->end - other->start);
        break;
    default:
        ok = put_changed(&piece, data, n, &c);
    }
    return ok ? mend(data, size, size_max, &t, i, &piece) : size;
}
