#include "proto/der/name.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/der/alabel.h"
#include "proto/err.h"

// DNS names.

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static bool is_label_char(uint8_t c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; }

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i])) return false;
    }
    return true;
}

// label_valid checks one lower-case label: letters, digits and inner hyphens (RFC 5890
// section 2.3.1: LDH). Hyphens at places 3 and 4 are reserved, and "xn--" is the only use that
// exists.
static bool label_valid(struct slice l)
{
    if (l.n == 0 || l.n > DNS_LABEL_LEN_MAX || l.p[0] == '-' || l.p[l.n - 1] == '-') return false;
    for (size_t i = 0; i < l.n; i++) {
        if (!is_label_char(l.p[i])) return false;
    }
    if (l.n >= 4 && l.p[2] == '-' && l.p[3] == '-') return alabel_valid(l);
    return true;
}

static struct slice first_label(struct slice name)
{
    const uint8_t *dot = name.n == 0 ? NULL : memchr(name.p, '.', name.n);
    return dot == NULL ? name : slice_sub(name, 0, (size_t)(dot - name.p));
}

// labels_valid checks lower-case labels one by one. A numeric last label would make the name look
// like an address.
static bool labels_valid(struct slice name)
{
    for (;;) {
        struct slice label = first_label(name);
        if (!label_valid(label)) return false;
        if (label.n == name.n) return !all_digits(label);
        name = slice_sub(name, label.n + 1, name.n);
    }
}

struct err dns_name_canonical(struct slice *out, struct arena *a, struct slice text,
                              bool wildcard_allowed)
{
    if (text.n == 0 || text.n > DNS_NAME_LEN_MAX) return ERR(BAD_DNS_NAME);
    uint8_t *p = arena_alloc(a, text.n + 1);
    if (p == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < text.n; i++) p[i] = lower(text.p[i]);
    p[text.n] = 0;
    struct slice name = slice_of(p, text.n), base = name;
    if (wildcard_allowed && slice_starts(name, SLICE_LIT("*."))) base = slice_sub(name, 2, name.n);
    if (!labels_valid(base)) return ERR(BAD_DNS_NAME);
    *out = name;
    return OK;
}

// Addresses.

// read_ipv4 reads four decimal numbers without leading zeros.
static bool read_ipv4(uint8_t out[4], struct slice text)
{
    for (size_t i = 0; i < 4; i++) {
        struct slice part = i < 3 ? first_label(text) : text;
        unsigned v = 0;
        if (part.n == 0 || part.n > 3 || !all_digits(part) || (part.n > 1 && part.p[0] == '0'))
            return false;
        if (i < 3 && part.n == text.n) return false;
        for (size_t k = 0; k < part.n; k++) v = v * 10 + (unsigned)(part.p[k] - '0');
        if (v > 255) return false;
        out[i] = (uint8_t)v;
        text = slice_sub(text, part.n + 1, text.n);
    }
    return true;
}

static int hex_value(uint8_t c)
{
    c = lower(c);
    if (is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t hex_group_len(struct slice text)
{
    size_t n = 0;
    while (n < text.n && hex_value(text.p[n]) >= 0) n++;
    return n;
}

static void read_hex_group(uint8_t out[2], struct slice group)
{
    unsigned v = 0;
    for (size_t i = 0; i < group.n; i++) v = v << 4 | (unsigned)hex_value(group.p[i]);
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
}

// struct ipv6_reader: bytes read so far, and where "::" stood (-1: not yet).
struct ipv6_reader {
    uint8_t b[16];
    size_t n;
    int gap;
};

// read_ipv6_group takes one group, or a dotted address in the last place, from the front of *text.
static bool read_ipv6_group(struct ipv6_reader *r, struct slice *text)
{
    size_t n = hex_group_len(*text);
    if (n < text->n && text->p[n] == '.') {
        if (r->n > 12 || !read_ipv4(r->b + r->n, *text)) return false;
        r->n += 4;
        *text = SLICE_NONE;
        return true;
    }
    if (n == 0 || n > 4 || r->n > 14) return false;
    read_hex_group(r->b + r->n, slice_sub(*text, 0, n));
    r->n += 2;
    *text = slice_sub(*text, n, text->n);
    return true;
}

// read_ipv6_separator takes ":" before another group, or the one "::", from the front of *text.
static bool read_ipv6_separator(struct ipv6_reader *r, struct slice *text)
{
    if (slice_starts(*text, SLICE_LIT("::"))) {
        if (r->gap >= 0) return false;
        r->gap = (int)r->n;
        *text = slice_sub(*text, 2, text->n);
        return true;
    }
    if (r->n == 0 || text->n < 2 || text->p[0] != ':') return false;
    *text = slice_sub(*text, 1, text->n);
    return true;
}

static bool read_ipv6(uint8_t out[16], struct slice text)
{
    struct ipv6_reader r = {.gap = -1};
    if (slice_starts(text, SLICE_LIT(":")) && !read_ipv6_separator(&r, &text)) return false;
    while (text.n > 0) {
        if (!read_ipv6_group(&r, &text)) return false;
        if (text.n > 0 && !read_ipv6_separator(&r, &text)) return false;
    }
    if (r.gap < 0 ? r.n != 16 : r.n > 14) return false;
    size_t front = r.gap < 0 ? 16 : (size_t)r.gap;
    memset(out, 0, 16);
    memcpy(out, r.b, front);
    memcpy(out + 16 - (r.n - front), r.b + front, r.n - front);
    return true;
}

struct err ip_address_parse(struct slice *out, struct arena *a, struct slice text)
{
    uint8_t b[16];
    size_t n = 0;
    if (read_ipv4(b, text))
        n = 4;
    else if (read_ipv6(b, text))
        n = 16;
    if (n == 0) return ERR(BAD_IP_ADDRESS);
    return arena_dup(out, a, slice_of(b, n));
}

// struct zero_run: the groups [from, from+count) of an IPv6 address that "::" stands for.
struct zero_run {
    unsigned from, count;
};

// longest_zero_run is RFC 5952 section 4.2: the longest run, the first of equals, and never a
// single group.
static struct zero_run longest_zero_run(const uint8_t b[16])
{
    struct zero_run best = {8, 1}, run = {0, 0};
    for (unsigned i = 0; i < 8; i++) {
        if (b[2 * i] != 0 || b[2 * i + 1] != 0)
            run = (struct zero_run){i + 1, 0};
        else if (++run.count > best.count)
            best = run;
    }
    return best.count > 1 ? best : (struct zero_run){8, 0};
}

enum { IPV6_TEXT_MAX = 46 };

static void ipv6_text(char out[IPV6_TEXT_MAX], const uint8_t b[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (memcmp(b, mapped, sizeof mapped) == 0) { // RFC 5952 section 5
        snprintf(out, IPV6_TEXT_MAX, "::ffff:%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
        return;
    }
    struct zero_run gap = longest_zero_run(b);
    int n = 0;
    for (unsigned i = 0; i < 8;) {
        if (i == gap.from) {
            n += snprintf(out + n, IPV6_TEXT_MAX - (size_t)n, "::");
            i += gap.count;
            continue;
        }
        const char *colon = i == 0 || i == gap.from + gap.count ? "" : ":";
        n += snprintf(out + n, IPV6_TEXT_MAX - (size_t)n, "%s%x", colon,
                      (unsigned)(b[2 * i] << 8 | b[2 * i + 1]));
        i++;
    }
}

void ip_reverse_name(char out[IP_REVERSE_NAME_MAX], struct slice octets)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = octets.p;
    if (octets.n == 4) {
        snprintf(out, IP_REVERSE_NAME_MAX, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
        return;
    }
    CHECK(octets.n == 16);
    for (size_t i = 16; i-- > 0;) {
        *out++ = digits[b[i] & 15];
        *out++ = '.';
        *out++ = digits[b[i] >> 4];
        *out++ = '.';
    }
    memcpy(out, "ip6.arpa", sizeof "ip6.arpa");
}

const char *identifier_text(struct arena *a, const struct identifier *id)
{
    char v6[IPV6_TEXT_MAX];
    const uint8_t *b = id->value.p;
    if (id->type == IDENTIFIER_IP && id->value.n == 4)
        return arena_printf(a, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    if (id->type == IDENTIFIER_IP && id->value.n == 16) {
        ipv6_text(v6, b);
        return arena_printf(a, "%s", v6);
    }
    return arena_printf(a, "%" SLICE_FMT, SLICE_ARG(id->value));
}

// Sets of identifiers.

int identifier_cmp(const struct identifier *a, const struct identifier *b)
{
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    return slice_cmp(a->value, b->value);
}

static int compare(const void *a, const void *b) { return identifier_cmp(a, b); }

size_t identifiers_sort(struct identifier *ids, size_t count)
{
    if (count < 2) return count;
    qsort(ids, count, sizeof ids[0], compare);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (identifier_cmp(&ids[kept - 1], &ids[i]) != 0) ids[kept++] = ids[i];
    }
    return kept;
}

struct err identifiers_encode(struct buf *out, const struct identifier *ids, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(ids[i].value.n <= UINT16_MAX);
        size += 3 + ids[i].value.n;
    }
    uint8_t *p = buf_reserve(out, size);
    if (p == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++) {
        struct slice value = ids[i].value;
        *p++ = (uint8_t)ids[i].type;
        *p++ = (uint8_t)(value.n >> 8);
        *p++ = (uint8_t)value.n;
        if (value.n > 0) memcpy(p, value.p, value.n);
        p += value.n;
    }
    buf_commit(out, size);
    return OK;
}

// take_identifier reads one entry from the front of *in.
static bool take_identifier(struct identifier *out, struct slice *in)
{
    if (in->n < 3) return false;
    size_t n = (size_t)in->p[1] << 8 | in->p[2];
    struct identifier id = {.type = (enum identifier_type)in->p[0], .value = slice_sub(*in, 3, n)};
    if (id.value.n != n || n == 0) return false;
    if (id.type != IDENTIFIER_DNS && !(id.type == IDENTIFIER_IP && (n == 4 || n == 16)))
        return false;
    *in = slice_sub(*in, 3 + n, in->n);
    *out = id;
    return true;
}

struct err identifiers_decode(struct identifier **out, size_t *out_count, struct arena *a,
                              struct slice in)
{
    struct identifier id;
    size_t count = 0;
    for (struct slice rest = in; rest.n > 0; count++) {
        if (!take_identifier(&id, &rest)) return ERR(BAD_DER);
    }
    struct identifier *ids = ARENA_ARRAY(a, struct identifier, count);
    if (ids == NULL) return ERR(NO_SPACE);
    for (size_t i = 0; i < count; i++) CHECK(take_identifier(&ids[i], &in));
    *out = ids;
    *out_count = count;
    return OK;
}
