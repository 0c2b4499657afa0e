// journal: what the signer has signed, on disk before it leaves. Preallocated segments; a record is
// its length, CRC32C, the hash of the record before it, and the payload (signer/journal_record.h).
// A torn tail is cut at start; anything else that does not continue the chain is damage and
// refused. A failed write or sync is never retried: the signer stops. One thread; it blocks for the
// sync, which is what gathers the next batch.
#pragma once
#include <sys/types.h>

#include "proto/base/list.h"
#include "proto/base/map.h"
#include "proto/base/pool.h"
#include "proto/rpc/intent.h"

enum {
    JOURNAL_SEGMENT_SIZE = 64 << 20, // bytes at most
    JOURNAL_INDEX_S = 900,
    JOURNAL_NOTE_MAX = 512
};
// JOURNAL_RENEWED: a certificate of one of our own programs; there is no order, the intent is the
// request that came. JOURNAL_CRL: a CRL, whose shard, issuer and number stand in place of the order
// (journal_crl_key); the intent is the request without its entries, the certificate is the CRL.
enum journal_kind { JOURNAL_SIGNED = 1, JOURNAL_BURNED = 2, JOURNAL_RENEWED = 3, JOURNAL_CRL = 4 };

struct journal_record {
    enum journal_kind kind;
    struct id order;
    uint8_t intent_hash[HASH_LEN], serial[SERIAL_LEN], tbs_hash[HASH_LEN],
        certificate_hash[HASH_LEN];
    int64_t time_s;
    struct slice caller;      // role URI
    struct slice intent;      // the whole intent as it came, packed
    struct slice certificate; // DER; empty when burned
};

// struct journal_entry is one order of the last 15 minutes in the index.
struct journal_entry {
    struct list node; // oldest first
    struct id order;
    uint8_t intent_hash[HASH_LEN], serial[SERIAL_LEN];
    bool burned;
    int64_t time_s;
    uint32_t segment;
    uint64_t offset; // of the record
};

// struct journal_crl is the newest CRL of a shard. The JOURNAL_CRLS_MAX newest shards are known by
// heart; of those before them, whose certificates have ended, nothing is asked.
enum { JOURNAL_CRLS_MAX = 65536 };
struct journal_crl {
    uint64_t shard, number; // of the issuer whose id is in the lowest 16 bits of `shard`
    int64_t this_update;    // of the record: the time of signing
};

struct journal_options {
    const char *path;    // folder
    size_t segment_size; // bytes preallocated at a time: at most JOURNAL_SEGMENT_SIZE
    size_t index_max;    // orders of the last JOURNAL_INDEX_S; memory is used as they come
};

struct journal {
    int dir, fd;
    size_t segment_size;
    bool cut;    // a torn tail was cut when it was opened
    bool broken; // a write or sync failed: nothing is added or synced any more
    uint32_t segment;
    uint64_t offset;            // where the next record goes
    uint8_t previous[HASH_LEN]; // of the last record
    uint64_t count;
    struct buf pending; // records of this batch
    struct map index;
    struct pool entries;
    struct list ages;
    uint64_t unsynced_offset;
    struct journal_crl *crls; // by shard
    size_t crl_count, crl_size;
};

// journal_folder opens the folder; when it is missing it is made, and given to `owner` and `group`
// (0: stays the caller's). The signer does this before it becomes its own user. ERR_JOURNAL.
RESULT journal_folder(int *out, char note[JOURNAL_NOTE_MAX], const char *path, uid_t owner,
                      gid_t group);
// journal_open_at takes over the folder's descriptor, reads everything, cuts a torn tail and is
// ready to append. The folder is locked until journal_close. `note` gets a sentence. journal_open
// does both. ERR_JOURNAL, ERR_JOURNAL_CORRUPT.
RESULT journal_open_at(struct journal *j, char note[JOURNAL_NOTE_MAX], int folder,
                       const struct journal_options *o, int64_t now_s);
RESULT journal_open(struct journal *j, char note[JOURNAL_NOTE_MAX], const struct journal_options *o,
                    int64_t now_s);
void journal_close(struct journal *j);
// journal_find looks an order up in the index; journal_certificate reads the certificate of an
// entry back (entries of this batch too).
const struct journal_entry *journal_find(const struct journal *j, const struct id *order);
RESULT journal_certificate(const struct journal *j, const struct journal_entry *e, struct arena *a,
                           struct slice *out);
// journal_crl_key is what stands in place of the order of a CRL; journal_crl_find the newest CRL of
// a shard (of this batch, too), NULL: none is known.
struct id journal_crl_key(uint16_t issuer, uint64_t shard, uint64_t number);
const struct journal_crl *journal_crl_find(const struct journal *j, uint16_t issuer,
                                           uint64_t shard);
// journal_room is how many more orders the index can take now; what has no room must be refused as
// busy, because an order that is not in the index could be signed a second time.
size_t journal_room(struct journal *j, int64_t now_s);
// journal_add appends a record to the batch and the index; journal_sync writes the batch and waits
// for the disk. journal_add without journal_room,
// and a record of more than 1 MiB, are errors. After an error of either the process must stop: all
// later calls fail as well, because a sync that is tried again can succeed without the pages that
// the kernel dropped. ERR_JOURNAL.
RESULT journal_add(struct journal *j, const struct journal_record *r);
RESULT journal_sync(struct journal *j);
// journal_each reads all records of a folder in order, an archive's too; `position` counts from the
// first record of all.
// ERR_JOURNAL, ERR_JOURNAL_CORRUPT.
RESULT journal_each(const char *path, char note[JOURNAL_NOTE_MAX],
                    void (*visit)(void *ctx, uint64_t position, const struct journal_record *r),
                    void *ctx);
