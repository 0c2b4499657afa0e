// params: parameters of a statement in PostgreSQL's binary format: one-dimensional arrays, one per
// column, all of one length, and single values. Owned by one thread; memory from malloc, with a
// ceiling.
#pragma once
#include "proto/base/buf.h"
#include "proto/base/id.h"

enum { PARAMS_MAX = 32, PARAMS_SIZE_MAX = 16 * 1024 * 1024 };

struct params {
    struct buf columns[PARAMS_MAX];
    uint32_t oids[PARAMS_MAX]; // of the parameter: array or scalar type
    size_t counts[PARAMS_MAX]; // elements of an array
    bool array[PARAMS_MAX];
    size_t count;
    bool full; // memory or a bound was reached: the statement must not be sent
};

enum pg_type { PG_BOOL = 16, PG_BYTEA = 17, PG_INT8 = 20, PG_TEXT = 25, PG_UUID = 2950 };

// params_init makes `p` empty; params_fini frees what its columns hold.
void params_init(struct params *p);
void params_fini(struct params *p);
// params_array begins an array column and returns its number; params_put_* append one element to
// column `c`.
size_t params_array(struct params *p, enum pg_type element);
void params_put_id(struct params *p, size_t c, const struct id *id);
void params_put_bytes(struct params *p, size_t c, struct slice s);
void params_put_text(struct params *p, size_t c, struct slice s);
void params_put_int(struct params *p, size_t c, int64_t v);
void params_put_bool(struct params *p, size_t c, bool v);
// params_int and the others add a single value as a parameter of its own.
void params_int(struct params *p, int64_t v);
void params_id(struct params *p, const struct id *id);
void params_text(struct params *p, struct slice s);
void params_bytes(struct params *p, struct slice s);
// params_finish writes the array headers; *values and *lengths are then as libpq takes them
// (binary). False when `full`.
bool params_finish(struct params *p, const char *values[PARAMS_MAX], int lengths[PARAMS_MAX],
                   int formats[PARAMS_MAX]);
