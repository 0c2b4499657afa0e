#include "api/members.h"

#include <string.h>

void members_take(struct members *out, const struct node_row *rows, size_t count, uint64_t own_boot,
                  int64_t dead_us)
{
    *out = (struct members){0};
    for (size_t i = 0; i < count && out->count < MEMBERS_MAX; i++) {
        const struct node_row *r = &rows[i];
        if (r->boot == own_boot || r->rpc_address.n >= ADDRESS_TEXT_MAX) continue;
        struct member *m = &out->rows[out->count++];
        *m = (struct member){.node = r->node,
                             .boot = r->boot,
                             .region = r->region,
                             .alive = r->now_us - r->seen_at_us <= dead_us};
        memcpy(m->address, r->rpc_address.p, r->rpc_address.n);
    }
}

bool members_equal(const struct members *a, const struct members *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct member *x = &a->rows[i], *y = &b->rows[i];
        if (x->boot != y->boot || x->alive != y->alive || strcmp(x->address, y->address) != 0)
            return false;
    }
    return true;
}

const struct member *member_alive(const struct members *m, uint64_t boot)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->rows[i].boot == boot && m->rows[i].alive) return &m->rows[i];
    return NULL;
}

size_t members_dead(const struct members *m, uint64_t *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count && n < max; i++)
        if (!m->rows[i].alive) out[n++] = m->rows[i].boot;
    return n;
}
