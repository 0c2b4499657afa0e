// members: the front ends of the cluster as their heartbeat rows tell, by the database's clock. A
// value: one core reads the rows, every core gets a copy. Pure.
#pragma once
#include "cluster/core/address.h"
#include "store/store.h"

enum { MEMBERS_MAX = 256 };

struct member {
    struct id node;
    uint64_t boot;
    unsigned region;
    bool alive;                     // its heartbeat is young enough
    char address[ADDRESS_TEXT_MAX]; // where its peers reach it
};

struct members {
    struct member rows[MEMBERS_MAX]; // without ourselves
    size_t count;
};

// members_take reads heartbeat rows. A row that is older than `dead_us` is a dead front end; those
// beyond MEMBERS_MAX and rows whose address is too long are left out.
void members_take(struct members *out, const struct node_row *rows, size_t count, uint64_t own_boot,
                  int64_t dead_us);
// members_equal says whether nothing has changed that anybody acts on.
bool members_equal(const struct members *a, const struct members *b);
// member_alive finds the living front end with this boot, NULL: none.
const struct member *member_alive(const struct members *m, uint64_t boot);
// members_dead writes the boots of the dead ones, at most `max`; returns how many.
size_t members_dead(const struct members *m, uint64_t *out, size_t max);
