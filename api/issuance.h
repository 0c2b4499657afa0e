// issuance: one certificate from a committed intent to a committed certificate: steps s1 to e4 of
// design.md section 4 as the front end sees them. It outlives the request that began it; the reaper
// uses it for what others left behind.
#pragma once
#include "api/edge.h"

struct issuance;

// issuance_begin takes an intent that is committed (the order is PROCESSING) and copies it. `ended`
// runs once, later, when the order is VALID or INVALID or is left to the reaper; it may be NULL,
// and issuance_forget takes it back. NULL when ISSUANCES_MAX are under way or without memory: the
// reaper will find the intent.
struct issuance *issuance_begin(struct edge *e, const struct intent *intent,
                                void (*ended)(void *ctx), void *ctx);
void issuance_forget(struct issuance *i);
// issuance_running says whether this core is at work on the order.
bool issuance_running(const struct edge *e, const struct id *order);
// issuances_drop forgets all of a core that ends: after its store and signer client have ended.
void issuances_drop(struct edge *e);
