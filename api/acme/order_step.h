// order_step: the states of an order as a pure step over order_states.def. The store carries out
// the same transitions in SQL, each as a compare-and-set on the state it comes from; this is where
// they are written down once, and what a request may ask for is decided. Pure.
#pragma once
#include <stdbool.h>

#include "store/store.h"

enum order_event {
    ORDER_AUTHZ_VALID = 1,
    ORDER_LAST_AUTHZ_VALID,
    ORDER_AUTHZ_INVALID,
    ORDER_EXPIRE,
    ORDER_FINALIZE,
    ORDER_ISSUED,
    ORDER_GIVE_UP,
    ORDER_EVENT_COUNT
};
enum order_effect { EFFECT_PERSIST = 1, EFFECT_SIGN = 2, EFFECT_BURN = 4 };

// order_step gives the next state and its effects; false, with nothing written, when the table has
// no such row.
bool order_step(enum order_status *out, unsigned *out_effects, enum order_status from,
                enum order_event event);
// order_status_at is the state that a reader sees: PENDING and READY end when the order expires.
enum order_status order_status_at(enum order_status stored, int64_t expires_at_us, int64_t now_us);
// order_status_name is the text of documents ("processing"). Never NULL.
const char *order_status_name(enum order_status s);
