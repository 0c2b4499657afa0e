#include "api/validate/issue_value.h"

#include <string.h>
#include <strings.h>

static bool is_space(uint8_t c) { return c == ' ' || c == '\t'; }

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static void spaces_skip(struct slice *s)
{
    while (s->n > 0 && is_space(s->p[0])) *s = slice_sub(*s, 1, s->n);
}

static bool take(struct slice *s, uint8_t c)
{
    if (s->n == 0 || s->p[0] != c) return false;
    *s = slice_sub(*s, 1, s->n);
    return true;
}

// word_take takes (ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT)): a label, or a parameter's tag. Empty:
// there is none.
static struct slice word_take(struct slice *s)
{
    size_t n = 0;
    if (s->n > 0 && is_alnum(s->p[0]))
        while (n < s->n && (is_alnum(s->p[n]) || s->p[n] == '-')) n++;
    struct slice word = slice_sub(*s, 0, n);
    *s = slice_sub(*s, n, s->n);
    return word.n > 0 && word.p[n - 1] != '-' ? word : SLICE_NONE;
}

// issuer_take takes labels with dots between them; false when a label is missing.
static bool issuer_take(struct slice *out, struct slice *s)
{
    struct slice whole = *s;
    do
        if (word_take(s).n == 0) return false;
    while (take(s, '.'));
    *out = slice_sub(whole, 0, whole.n - s->n);
    return true;
}

static bool parameter_take(struct issue_parameter *out, struct slice *s)
{
    size_t n = 0;
    out->tag = word_take(s);
    spaces_skip(s);
    if (out->tag.n == 0 || !take(s, '=')) return false;
    spaces_skip(s);
    while (n < s->n && s->p[n] > 0x20 && s->p[n] < 0x7f && s->p[n] != ';') n++;
    out->value = slice_sub(*s, 0, n);
    *s = slice_sub(*s, n, s->n);
    spaces_skip(s);
    return true;
}

bool issue_value_read(struct issue_value *out, struct slice text)
{
    out->issuer = SLICE_NONE;
    out->count = 0;
    spaces_skip(&text);
    if (text.n > 0 && text.p[0] != ';' && !issuer_take(&out->issuer, &text)) return false;
    spaces_skip(&text);
    if (text.n == 0) return true;
    if (!take(&text, ';')) return false;
    for (spaces_skip(&text); text.n > 0; spaces_skip(&text)) {
        if (out->count == ISSUE_PARAMETERS_MAX ||
            !parameter_take(&out->parameters[out->count], &text))
            return false;
        out->count++;
        if (text.n > 0 && !take(&text, ';')) return false;
    }
    return true;
}

static bool same(struct slice a, const char *b)
{
    return a.n == strlen(b) && strncasecmp((const char *)a.p, b, a.n) == 0;
}

struct slice issue_value_find(size_t *out_count, const struct issue_value *v, const char *tag)
{
    struct slice found = SLICE_NONE;
    *out_count = 0;
    for (size_t i = 0; i < v->count; i++)
        if (same(v->parameters[i].tag, tag)) {
            found = v->parameters[i].value;
            ++*out_count;
        }
    return found;
}

bool issue_value_is_by(const struct issue_value *v, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (v->issuer.n > 0 && same(v->issuer, names[i])) return true;
    return false;
}
