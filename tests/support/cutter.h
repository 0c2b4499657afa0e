// cutter: a process between a client and PostgreSQL's unix socket that cuts a connection after an
// exact number of bytes, so that a test can lose any part of an answer. Forked; it ends with its
// parent.
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "tests/support/pg.h"

struct cutter_control; // shared with the process

struct cutter {
    char dir[64];       // temporary folder with the socket
    char conninfo[160]; // the same database, through the cutter
    pid_t pid;
    struct cutter_control *control;
};

// cutter_init starts it; false with a sentence on standard error. cutter_fini ends it and its
// connections.
bool cutter_init(struct cutter *c, const struct pg *pg);
void cutter_fini(struct cutter *c);
// cutter_answer cuts the connection that carries the byte number `bytes`, counted from now over all
// connections in the direction of the client: so many still arrive, no more do, and the server sees
// the end. cutter_request does so in the direction of the server. Once; a negative number: never.
void cutter_answer(struct cutter *c, long bytes);
void cutter_request(struct cutter *c, long bytes);
// cutter_answered is how many bytes went to the client since the last call of cutter_answer.
long cutter_answered(const struct cutter *c);
// cutter_stall stops forwarding what the server says, until it is called with false: the connection
// lives, no answer comes.
void cutter_stall(struct cutter *c, bool stall);
