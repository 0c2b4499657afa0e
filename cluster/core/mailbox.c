#include "cluster/core/mailbox.h"

#include <errno.h>
#include <unistd.h>

void mailbox_init(struct mailbox *m, int wake_fd) { *m = (struct mailbox){.wake_fd = wake_fd}; }

// wake writes once per sleep: whoever turns `asleep` off does it.
static void wake(struct mailbox *m)
{
    if (!__atomic_load_n(&m->asleep, __ATOMIC_SEQ_CST) ||
        !__atomic_exchange_n(&m->asleep, 0, __ATOMIC_SEQ_CST))
        return;
    if (m->wake_fd < 0) return;
    uint64_t one = 1;
    ssize_t n;
    do n = write(m->wake_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
    // EAGAIN means that the counter is full, so the consumer is certainly woken.
    CHECK(n == (ssize_t)sizeof one || errno == EAGAIN);
}

void mailbox_post(struct mailbox *m, struct message *message)
{
    // The message is the consumer's from the moment the exchange succeeds; it is not touched again.
    struct message *head = __atomic_load_n(&m->newest, __ATOMIC_RELAXED);
    do message->next = head;
    while (!__atomic_compare_exchange_n(&m->newest, &head, message, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED));
    wake(m);
}

struct message *mailbox_take(struct mailbox *m)
{
    if (__atomic_load_n(&m->newest, __ATOMIC_RELAXED) == NULL) return NULL;
    struct message *newest = __atomic_exchange_n(&m->newest, NULL, __ATOMIC_SEQ_CST);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

bool mailbox_sleep(struct mailbox *m)
{
    // The store must be seen before the load is made (sequential consistency): either a producer
    // sees `asleep`, or we see its message.
    __atomic_store_n(&m->asleep, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&m->newest, __ATOMIC_SEQ_CST) == NULL) return true;
    mailbox_awake(m);
    return false;
}

void mailbox_awake(struct mailbox *m) { __atomic_store_n(&m->asleep, 0, __ATOMIC_SEQ_CST); }
