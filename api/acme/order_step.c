#include "api/acme/order_step.h"

#include <stddef.h>

static const struct {
    enum order_status from;
    enum order_event event;
    enum order_status to;
    unsigned effects;
} rows[] = {
#define X(from, event, to, effects) {ORDER_##from, ORDER_##event, ORDER_##to, effects},
#include "api/acme/order_states.def"
#undef X
};

bool order_step(enum order_status *out, unsigned *out_effects, enum order_status from,
                enum order_event event)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].from != from || rows[i].event != event) continue;
        *out = rows[i].to;
        *out_effects = rows[i].effects;
        return true;
    }
    return false;
}

enum order_status order_status_at(enum order_status stored, int64_t expires_at_us, int64_t now_us)
{
    enum order_status to;
    unsigned effects;
    if (expires_at_us > now_us) return stored;
    return order_step(&to, &effects, stored, ORDER_EXPIRE) ? to : stored;
}

const char *order_status_name(enum order_status s)
{
    static const char *const names[] = {"invalid",    "pending", "ready",
                                        "processing", "valid",   "invalid"};
    return s >= ORDER_PENDING && s <= ORDER_INVALID ? names[s] : names[0];
}
