#include "store/params.h"

enum { ARRAY_HEADER_LEN = 20 };

static uint32_t array_oid(enum pg_type element)
{
    switch (element) {
    case PG_BOOL:
        return 1000;
    case PG_BYTEA:
        return 1001;
    case PG_INT8:
        return 1016;
    case PG_TEXT:
        return 1009;
    case PG_UUID:
        return 2951;
    }
    return 0;
}

static void put32(uint8_t out[4], uint32_t v)
{
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put64(uint8_t out[8], uint64_t v)
{
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(v >> (56 - 8 * i));
}

void params_init(struct params *p) { *p = (struct params){0}; }

void params_fini(struct params *p)
{
    for (size_t i = 0; i < p->count; i++) buf_fini(&p->columns[i]);
    p->count = 0;
}

static void add(struct params *p, size_t c, const void *bytes, size_t n)
{
    if (failed(buf_add(&p->columns[c], slice_of(bytes, n)))) p->full = true;
}

static size_t column(struct params *p, uint32_t oid, bool array)
{
    CHECK(p->count < PARAMS_MAX);
    size_t c = p->count++;
    buf_init(&p->columns[c], PARAMS_SIZE_MAX);
    p->oids[c] = oid;
    p->array[c] = array;
    p->counts[c] = 0;
    return c;
}

size_t params_array(struct params *p, enum pg_type element)
{
    size_t c = column(p, array_oid(element), true);
    uint8_t header[ARRAY_HEADER_LEN] = {0};
    put32(header, 1);                     // dimensions
    put32(header + 8, (uint32_t)element); // element type; the count follows in params_finish
    put32(header + 16, 1);                // lower bound
    add(p, c, header, sizeof header);
    return c;
}

static void element(struct params *p, size_t c, const void *bytes, size_t n)
{
    uint8_t length[4];
    put32(length, (uint32_t)n);
    add(p, c, length, sizeof length);
    if (n > 0) add(p, c, bytes, n);
    p->counts[c]++;
}

void params_put_id(struct params *p, size_t c, const struct id *id)
{
    element(p, c, id->b, sizeof id->b);
}

void params_put_bytes(struct params *p, size_t c, struct slice s) { element(p, c, s.p, s.n); }

void params_put_text(struct params *p, size_t c, struct slice s) { element(p, c, s.p, s.n); }

void params_put_int(struct params *p, size_t c, int64_t v)
{
    uint8_t bytes[8];
    put64(bytes, (uint64_t)v);
    element(p, c, bytes, sizeof bytes);
}

void params_put_bool(struct params *p, size_t c, bool v)
{
    uint8_t byte = v;
    element(p, c, &byte, 1);
}

void params_int(struct params *p, int64_t v)
{
    uint8_t bytes[8];
    put64(bytes, (uint64_t)v);
    add(p, column(p, PG_INT8, false), bytes, sizeof bytes);
}

void params_id(struct params *p, const struct id *id)
{
    add(p, column(p, PG_UUID, false), id->b, sizeof id->b);
}

static void value(struct params *p, enum pg_type type, struct slice s)
{
    size_t c = column(p, type, false);
    if (s.n > 0) add(p, c, s.p, s.n);
}

void params_text(struct params *p, struct slice s) { value(p, PG_TEXT, s); }

void params_bytes(struct params *p, struct slice s) { value(p, PG_BYTEA, s); }

bool params_finish(struct params *p, const char *values[PARAMS_MAX], int lengths[PARAMS_MAX],
                   int formats[PARAMS_MAX])
{
    for (size_t i = 0; i < p->count; i++) {
        struct slice s = buf_slice(&p->columns[i]);
        if (p->array[i]) put32(p->columns[i].p + p->columns[i].head + 12, (uint32_t)p->counts[i]);
        values[i] = s.n == 0 ? "" : (const char *)s.p;
        lengths[i] = (int)s.n;
        formats[i] = 1;
    }
    return !p->full;
}
