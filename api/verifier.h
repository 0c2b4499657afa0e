// verifier: the signatures that one core of the front end checks: those of requests, of certificate
// signing requests and of the signer's answers. What one turn brings is checked together at its
// end, ECDSA on P-256 as batches of proto/p256 with the tables of keys that come again, anything
// else one by one. Used on its core's thread.
#pragma once
#include "api/key_tables.h"
#include "cluster/core/shard.h"
#include "proto/der/signature.h"

enum { VERIFIER_BATCH_MAX = 64 }; // signatures of one call of the kernel

// struct verify_job is one check; in its owner, who keeps it until `done`. All-zero is in no queue.
struct verify_job {
    struct list node;           // the verifier's own
    struct signature_p256 p256; // what is checked, when `alone` is NULL
    bool recurring; // the key signs again: it may get a table (no certificate signing request's)
    bool ok;        // the verifier's own
    // alone checks a signature of any other kind; it runs once.
    bool (*alone)(struct verify_job *job);
    void (*done)(struct verify_job *job, bool ok);
};

struct verifier {
    struct shard *shard;
    enum p256_kernel kernel;
    struct key_tables tables;
    struct list queue; // struct verify_job
    struct turn_hook hook;
    uint64_t checked[3]; // since start: with a table, without, alone
    uint64_t batches;
    struct p256_verify_item items[VERIFIER_BATCH_MAX];
};

// verifier_init: at most `tables_max` tables of 8 KiB; 0: none. ERR_NO_SPACE. verifier_fini forgets
// what is still queued; all-zero is a valid empty state.
RESULT verifier_init(struct verifier *v, struct shard *shard, enum p256_kernel kernel,
                     size_t tables_max, const uint8_t seed[MAP_SEED_LEN]);
void verifier_fini(struct verifier *v);
// verifier_add queues a check: job->done(job, ok) runs at the end of this turn or of the next one,
// never inside this call, in the order in which jobs were added.
void verifier_add(struct verifier *v, struct verify_job *job);
// verify_job_cancel takes a job out of the queue, so that its owner may go; in none it changes
// nothing.
void verify_job_cancel(struct verify_job *job);
// verifier_metrics writes the gauges and counters of this core.
void verifier_metrics(const struct verifier *v);
