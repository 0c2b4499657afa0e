// journal_scan: reading a journal's folder from its first record to its last: segments named
// 00000001.seg and so on, in a chain of hashes that begins at zeros, or where the file `anchor`
// says that an archive ends (signer/journal_archive.h). Used by the journal's own files. One
// thread.
#pragma once
#include "signer/journal.h"
#include "signer/journal_record.h"

enum { SEGMENT_NAME_LEN = 16, ANCHOR_TEXT_MAX = 256 };

// struct journal_anchor: where the chain in a folder begins.
struct journal_anchor {
    uint32_t segment;           // the first one; 1 without an archive
    uint64_t count;             // records before it
    uint8_t previous[HASH_LEN]; // hash of the last one of them
};

struct journal_scan {
    uint32_t segment;           // the last one that was read; the first when there is none
    uint64_t offset;            // behind its last record
    uint64_t count;             // records, with those that were archived
    uint8_t previous[HASH_LEN]; // hash of the last record
    int64_t newest_s;           // greatest time of a record of the last segment
    bool torn;                  // something behind its last record was cut off by a crash
};

struct journal_visitor {
    void (*record)(void *ctx, uint32_t segment, uint64_t offset, const struct journal_record *r);
    // segment runs when a whole segment was read; false ends the scan there, without an error.
    // NULL: go on.
    bool (*segment)(void *ctx, const struct journal_scan *s);
    void *ctx;
};

// journal_scan reads everything. `note` gets a sentence. ERR_JOURNAL, ERR_JOURNAL_CORRUPT.
RESULT journal_scan(struct journal_scan *out, char note[JOURNAL_NOTE_MAX], int dir,
                    const struct journal_visitor *v);
void journal_segment_name(char out[SEGMENT_NAME_LEN], uint32_t segment);
// journal_anchor_read reads `anchor`; without the file it is the beginning of everything.
// journal_anchor_write writes its text. ERR_JOURNAL, ERR_JOURNAL_CORRUPT.
RESULT journal_anchor_read(struct journal_anchor *out, char note[JOURNAL_NOTE_MAX], int dir);
void journal_anchor_write(char out[ANCHOR_TEXT_MAX], const struct journal_anchor *a);
// journal_say writes "the journal <what>: <error>" with the cure, and returns the error.
struct err journal_say(char *note, uint32_t code, const char *what, int error);
