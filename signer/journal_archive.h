// journal_archive: whole old segments of a journal put into another folder, so that the signer's
// disk does not fill and its start does not read years. What stays begins with an anchor, which
// holds the hash of the last record that went: the chain goes on through both. May run beside a
// signer. One thread.
#pragma once
#include "signer/journal.h"

enum { JOURNAL_KEEP_MIN_S = 3600 }; // the index of a running signer reaches back for less

// journal_archive verifies the segments of `from` from the first on and moves those whose records
// are all older than `before_s` to `to`, never the last one. A segment is on the other disk, and
// the anchor behind it, before it is removed: what a crash interrupts is done again. *out_moved
// counts segments. `note` gets a sentence. ERR_JOURNAL, ERR_JOURNAL_CORRUPT.
RESULT journal_archive(unsigned *out_moved, char note[JOURNAL_NOTE_MAX], const char *from,
                       const char *to, int64_t before_s);
// journal_archive_main is `certmill-signer journal archive`. Returns the exit code.
int journal_archive_main(int argc, char **argv);
