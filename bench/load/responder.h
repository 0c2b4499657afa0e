// responder: answers http-01 challenges over plain HTTP on one shard: token to key authorization.
#pragma once
#include "cluster/core/server.h"
#include "cluster/core/shard.h"

enum { RESPONDER_TOKEN_MAX = 128 };

struct responder;

// struct responder_entry is a token being answered for; the caller's, linked while it is offered.
struct responder_entry {
    struct list node;
    char token[RESPONDER_TOKEN_MAX + 1];
    char key_authorization[2 * RESPONDER_TOKEN_MAX];
    unsigned served; // how often it was fetched
};

// responder_new listens on `address`; `note` gets a sentence on failure.
RESULT responder_new(struct responder **out, char *note, size_t note_size, struct shard *shard,
                     const struct sockaddr_storage *address, socklen_t address_len);
void responder_free(struct responder *r);
void responder_offer(struct responder *r, struct responder_entry *entry);
// responder_withdraw is fine on an entry that is not offered.
void responder_withdraw(struct responder_entry *entry);
