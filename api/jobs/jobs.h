// jobs: work in the background of a front end: heartbeats that feed the member table (every core),
// and on the first core the reaper of unfinished certificates and the care of the partitions under
// a lease. Each job is a timer, a command and its answer; a failed run is followed by the next.
#pragma once
#include "api/edge.h"

struct jobs;

// jobs_start begins with the first heartbeat at once. NULL without memory. jobs_stop ends all; what
// is under way in the store must have been drained before.
struct jobs *jobs_start(struct edge *e);
void jobs_stop(struct jobs *j);
// jobs_leave tells the others that this front end goes; `done` runs when they can know it, or
// cannot be told.
void jobs_leave(struct jobs *j, void (*done)(void *ctx), void *ctx);
