// op: one operation under way in a reactor. It is embedded in its owner; the reactor keeps its
// address until it completes.
#pragma once
#include <stdint.h>

struct op {
    // done runs on the owner's core with the kernel's result (negative errno on failure). It may
    // submit, it never waits. `flags` belongs to the reactor: OP_MORE, and the number of a provided
    // buffer.
    void (*done)(struct op *op, int32_t res, uint32_t flags);
    int32_t fd; // the reactor's own: the descriptor it was last started on
};

// OP_MORE: a multishot op will complete again; its owner counts it as in flight until a completion
// without it.
#define OP_MORE 1u
