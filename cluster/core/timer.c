#include "cluster/core/timer.h"

#include "proto/base/list.h"

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
    *w = (struct timer_wheel){.now_ms = now_ms};
    for (unsigned l = 0; l < TIMER_LEVELS; l++)
        for (unsigned s = 0; s < TIMER_SLOTS; s++) list_init(&w->slots[l][s]);
}

static unsigned digit(uint64_t ms, unsigned level)
{
    return (unsigned)(ms >> (level * TIMER_SLOT_BITS)) & (TIMER_SLOTS - 1);
}

struct timer_place timer_wheel_place(uint64_t now_ms, uint64_t due_ms)
{
    unsigned highest_bit = 63 - (unsigned)__builtin_clzll((now_ms ^ due_ms) | 1);
    unsigned level = highest_bit / TIMER_SLOT_BITS;
    if (level >= TIMER_LEVELS) {
        // Beyond the reach: wait in the last slot of this round, or in the first of the next.
        // Neither begins after due_ms.
        level = TIMER_LEVELS - 1;
        return (struct timer_place){level,
                                    digit(now_ms, level) == TIMER_SLOTS - 1 ? 0 : TIMER_SLOTS - 1};
    }
    return (struct timer_place){level, digit(due_ms, level)};
}

void timer_wheel_set(struct timer_wheel *w, struct timer *t, uint64_t due_ms)
{
    timer_cancel(t);
    t->due_ms = due_ms > w->now_ms ? due_ms : w->now_ms + 1;
    struct timer_place at = timer_wheel_place(w->now_ms, t->due_ms);
    list_push_back(&w->slots[at.level][at.slot], &t->node);
    w->occupied[at.level] |= UINT64_C(1) << at.slot;
}

bool timer_pending(const struct timer *t)
{
    return t->node.next != NULL && t->node.next != &t->node;
}

void timer_cancel(struct timer *t)
{
    if (timer_pending(t))
        list_remove(&t->node);
    else
        list_init(&t->node);
}

// slot_start is when slot `slot` of `level` begins next, seen from now: at or after the present
// tick.
static uint64_t slot_start(uint64_t now_ms, unsigned level, unsigned slot)
{
    unsigned shift = level * TIMER_SLOT_BITS;
    uint64_t round = UINT64_C(1) << (shift + TIMER_SLOT_BITS);
    uint64_t start = (now_ms & ~(round - 1)) + ((uint64_t)slot << shift);
    return slot > digit(now_ms, level) ? start : start + round;
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
    uint64_t next = UINT64_MAX;
    for (unsigned level = 0; level < TIMER_LEVELS; level++) {
        if (w->occupied[level] == 0) continue;
        // Rotated so that bit 0 is the slot after the present one: its lowest set bit is the first
        // to come.
        unsigned from = (digit(w->now_ms, level) + 1) % TIMER_SLOTS;
        uint64_t bits = w->occupied[level] >> from |
                        (from == 0 ? 0 : w->occupied[level] << (TIMER_SLOTS - from));
        unsigned slot = (from + (unsigned)__builtin_ctzll(bits)) % TIMER_SLOTS;
        uint64_t start = slot_start(w->now_ms, level, slot);
        if (start < next) next = start;
    }
    return next;
}

// slot_take moves a slot's timers to `out` and clears its bit.
static void slot_take(struct timer_wheel *w, struct list *out, unsigned level, unsigned slot)
{
    struct list *head = &w->slots[level][slot];
    list_init(out);
    w->occupied[level] &= ~(UINT64_C(1) << slot);
    if (list_empty(head)) return;
    list_insert_before(head, out); // put `out` in the ring, then take the old head out of it
    list_remove(head);
}

// tick_enter: every level whose digit has just changed hands its slot down; level 0 holds what is
// due at exactly this tick.
static size_t tick_enter(struct timer_wheel *w)
{
    struct list due;
    size_t count = 0;
    for (unsigned level = TIMER_LEVELS - 1; level > 0; level--) {
        if ((w->now_ms & ((UINT64_C(1) << (level * TIMER_SLOT_BITS)) - 1)) != 0) continue;
        slot_take(w, &due, level, digit(w->now_ms, level));
        for (struct list *node; (node = list_pop_front(&due)) != NULL;) {
            struct timer *t = LIST_OWNER(node, struct timer, node);
            if (t->due_ms > w->now_ms) {
                timer_wheel_set(w, t, t->due_ms);
            } else { // due now: to this tick's slot, which is emptied next
                list_push_back(&w->slots[0][digit(w->now_ms, 0)], &t->node);
            }
        }
    }
    slot_take(w, &due, 0, digit(w->now_ms, 0));
    for (struct list *node; (node = list_pop_front(&due)) != NULL;) {
        struct timer *t = LIST_OWNER(node, struct timer, node);
        t->fire(t);
        count++;
    }
    return count;
}

size_t timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms)
{
    size_t count = 0;
    while (w->now_ms < now_ms) {
        uint64_t next = timer_wheel_next(w);
        if (next > now_ms) {
            w->now_ms = now_ms;
            break;
        }
        w->now_ms = next;
        count += tick_enter(w);
    }
    return count;
}
