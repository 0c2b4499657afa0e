// What the jobs share: each is one struct, begun by x_start, made quiet by x_quiesce, freed with
// its owner.
#pragma once
#include "api/jobs/jobs.h"
#include "api/members.h"

enum { JOB_ARENA_MAX = 4 << 20 };

// struct job: a timer that fires again `period_ms` after a run has ended.
struct job {
    struct edge *edge;
    struct jobs *jobs;
    struct timer timer;
    struct arena arena; // of one run
    bool quiet, busy;
    bool failing; // the last run failed: only the first of a series is logged
};

// job_init prepares; job_again ends a run and lets the next one begin after `period_ms`; job_begin
// starts the arena of a run. job_failed logs. job_fini frees.
void job_init(struct job *b, struct jobs *j, void (*fire)(struct timer *t));
void job_begin(struct job *b);
void job_again(struct job *b, int64_t period_ms);
void job_quiesce(struct job *b);
void job_failed(struct job *b, const char *what, struct err err);
void job_fini(struct job *b);

struct heartbeat {
    struct job job;
    struct store_node_heartbeat beat;
    struct store_node_heartbeat sweep; // removes the row of one that is long dead
    bool sweeping;
    char address[ADDRESS_TEXT_MAX];
    void (*left)(void *ctx);
    void *ctx;
};

struct reaper {
    struct job job;
    struct store_intents_claim claim;
    uint64_t dead[MEMBERS_MAX];
    int64_t issued; // certificates of this front end, at the last run
};

struct partitions {
    struct job job;
    struct store_lease_take lease;
    struct store_partitions_tend tend;
};

struct crl_refresh {
    struct job job;
    struct store_lease_take lease;
    struct store_crls_due due;
    size_t at;   // in due.out
    size_t turn; // which issuer comes next
    bool late_said;
    // of the CRL at hand
    struct store_crl_entries entries;
    struct signer_crl sign;
    struct store_crl_commit commit;
    int64_t issuer_end; // seconds: no CRL is good for longer
    bool asked_again;
};

struct jobs {
    struct edge *edge;
    struct members members; // as of the last heartbeat
    struct heartbeat heartbeat;
    struct reaper reaper;
    struct partitions partitions;
    struct crl_refresh crl_refresh;
};

// heartbeat_start, reaper_start, partitions_start and crl_refresh_start begin with a first run
// soon.
void heartbeat_start(struct heartbeat *h, struct jobs *j);
void reaper_start(struct reaper *r, struct jobs *j);
void partitions_start(struct partitions *p, struct jobs *j);
void crl_refresh_start(struct crl_refresh *c, struct jobs *j);
// heartbeat_leave: see jobs_leave.
void heartbeat_leave(struct heartbeat *h, void (*done)(void *ctx), void *ctx);
// reaper_limit is how many intents one run may take: a tenth of what this front end has issued
// since the last run; at least REAPER_MIN, which is less than a tenth of what one signer core signs
// in the meantime, so that what waited for a signer is not made to wait much longer; at most
// REAPER_MAX. Pure.
enum { REAPER_MIN = 64, REAPER_MAX = 1024 };
unsigned reaper_limit(int64_t issued_since);
