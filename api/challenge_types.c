#include "api/challenge_types.h"

#include <stdio.h>
#include <string.h>

static const struct challenge_type_row rows[] = {
#define X(IDENT, ident, bit, name, proves, form, usual) \
    {CHALLENGE_##IDENT, name, proves, CHALLENGE_HAS_##form, usual},
#include "api/challenge_types.def"
#undef X
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

const struct challenge_type_row *challenge_type_at(size_t i)
{
    return i < ROW_COUNT ? &rows[i] : NULL;
}

const struct challenge_type_row *challenge_type_row(uint32_t bit)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if ((uint32_t)rows[i].type == bit) return &rows[i];
    return NULL;
}

const struct challenge_type_row *challenge_type_named(struct slice name)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (slice_eq_str(name, rows[i].name)) return &rows[i];
    return NULL;
}

struct identifier challenge_identifier(bool *out_wildcard, const struct identifier *id)
{
    struct identifier base = *id;
    *out_wildcard = id->type == IDENTIFIER_DNS && slice_starts(id->value, SLICE_LIT("*."));
    if (*out_wildcard) base.value = slice_sub(id->value, 2, id->value.n);
    return base;
}

uint32_t challenge_types_for(uint32_t offered, const struct identifier *id, bool wildcard)
{
    uint32_t found = 0;
    unsigned needed = id->type == IDENTIFIER_IP ? CHALLENGE_PROVES_IP
                      : wildcard                ? CHALLENGE_PROVES_WILDCARD
                                                : CHALLENGE_PROVES_DNS;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if ((rows[i].proves & needed) != 0) found |= (uint32_t)rows[i].type & offered;
    return found;
}

void challenge_types_text(char *out, size_t size, uint32_t bits)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < ROW_COUNT && at < size; i++)
        if ((rows[i].type & bits) != 0)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at == 0 ? "" : ", ", rows[i].name);
}
