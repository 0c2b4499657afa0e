// jobs: work in the background of a front end, on its first core: heartbeats that feed the member
// table of every core, the reaper of unfinished certificates, and the care of the partitions under
// a lease. Each job is a timer, a command and its answer; a failed run is followed by the next.
#pragma once
#include "api/edge.h"

struct jobs;

// jobs_start begins, with the first heartbeat at once. NULL without memory.
struct jobs *jobs_start(struct edge *e);
// jobs_quiesce: no reaper and no partitions any more; heartbeats go on.
void jobs_quiesce(struct jobs *j);
// jobs_leave ends the heartbeats and tells the others that this front end goes; `done` runs when
// they can know it, or cannot be told.
void jobs_leave(struct jobs *j, void (*done)(void *ctx), void *ctx);
// jobs_stop: nothing more is asked of the store; jobs_free when what was asked has ended. NULL is
// fine.
void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j);
