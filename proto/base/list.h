// list: an intrusive doubly linked list. A node that is in no list points at itself, so removal is
// always safe. Owned by one thread; nothing allocates.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

// LIST_OWNER is the struct of type `type` whose member `member` is the node `node`.
#define LIST_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
// LIST_EACH walks from front to back; `it` may be removed or freed in the body.
#define LIST_EACH(it, head)                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}
static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}
static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
// list_pop_front removes and returns the first node, NULL when empty.
static inline struct list *list_pop_front(struct list *head)
{
    if (list_empty(head)) return NULL;
    struct list *node = head->next;
    list_remove(node);
    return node;
}
