// journal_record: the bytes of a journal: one record, and what may stand where a segment's records
// end. Used by the journal alone. Pure.
//
// A record is its length (4 octets, of the payload), CRC32C (4, over all that follows), the SHA-256
// of the record before it (32), and the payload: the fields of struct journal_record, the offset in
// the segment where its batch began (4), and an end mark (4). Integers are big endian. A segment is
// zero behind its last record.
#pragma once
#include "signer/journal.h"

enum {
    RECORD_HEAD_LEN = 4 + 4 + HASH_LEN,
    RECORD_MAX = 1 << 20, // bytes of one payload
};

// record_write appends a whole record and puts its hash into `previous`, which holds the one before
// it. False when it is larger than RECORD_MAX or memory is short.
bool record_write(struct buf *out, uint8_t previous[HASH_LEN], const struct journal_record *r,
                  uint32_t batch);
// record_payload is the payload of the whole record at `offset` of a segment of `n` bytes, whose
// CRC and end mark are right; empty when there is none. Whether it continues the chain:
// record_follows.
struct slice record_payload(const uint8_t *p, size_t n, size_t offset);
bool record_follows(const uint8_t *record, const uint8_t previous[HASH_LEN]);
// record_hash is what the next record must hold. `n` is the length with its head.
void record_hash(uint8_t out[HASH_LEN], const uint8_t *record, size_t n);
// record_read takes a payload apart; slices point into it. False: another version wrote it.
bool record_read(struct journal_record *out, uint32_t *out_batch, struct slice payload);

enum record_end {
    RECORD_END_CLEAN,  // zeros, as they were preallocated
    RECORD_END_TORN,   // a crash cut the last batch off: it was never answered
    RECORD_END_DAMAGED // no crash explains it: what was acknowledged has been changed
};

// record_end_judge says what stands at `offset`, where no record continues the chain. A write that
// a crash cut off leaves sectors unwritten or ends before a record's end mark, and nothing was
// written after it; a changed byte does neither.
enum record_end record_end_judge(const uint8_t *p, size_t n, size_t offset);
