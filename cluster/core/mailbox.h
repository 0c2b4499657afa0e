// mailbox: messages from any thread to one shard. Many producers, one consumer, no lock; a sleeping
// consumer is woken through an eventfd, an awake one costs the producer one atomic exchange.
// Messages of one producer arrive in the order they were posted. mailbox_post: any thread.
// Everything else: the consumer's thread.
#pragma once
#include "cluster/core/shard.h"

struct mailbox {
    struct message *newest; // atomic: the stack of what was posted and not taken
    int asleep;             // atomic: the consumer is about to wait or waits
    int wake_fd;            // eventfd, -1 when the consumer never waits
};

// mailbox_init takes over `wake_fd`'s use, not the descriptor.
void mailbox_init(struct mailbox *m, int wake_fd);
void mailbox_post(struct mailbox *m, struct message *message);
// mailbox_take returns everything posted so far as a list through message->next, oldest first; NULL
// when there is nothing.
struct message *mailbox_take(struct mailbox *m);
// mailbox_sleep says that the consumer is about to wait; false when something is there already and
// it must not.
bool mailbox_sleep(struct mailbox *m);
// mailbox_awake ends the sleep: producers need not write to the eventfd any more.
void mailbox_awake(struct mailbox *m);
