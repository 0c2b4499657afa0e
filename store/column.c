#include "store/internal.h"

int64_t col_int(const PGresult *r, int row, int col)
{
    int n = PQgetlength(r, row, col);
    const uint8_t *p = (const uint8_t *)PQgetvalue(r, row, col);
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[i];
    if (n > 0 && n < 8 && (p[0] & 0x80) != 0) v |= ~0ull << (8 * n);
    return (int64_t)v;
}

bool col_bool(const PGresult *r, int row, int col)
{
    return PQgetlength(r, row, col) == 1 && PQgetvalue(r, row, col)[0] != 0;
}

struct id col_id(const PGresult *r, int row, int col)
{
    struct id id = {0};
    if (PQgetlength(r, row, col) == (int)sizeof id.b)
        memcpy(id.b, PQgetvalue(r, row, col), sizeof id.b);
    return id;
}

struct slice col_bytes(const PGresult *r, int row, int col)
{
    return slice_of(PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col));
}

struct slice col_dup(const PGresult *r, int row, int col, struct store_cmd *cmd)
{
    struct slice out = SLICE_NONE;
    if (failed(arena_dup(&out, cmd->arena, col_bytes(r, row, col)))) cmd->flags |= CMD_FULL;
    return out;
}
