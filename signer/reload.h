// reload: SIGHUP: the configuration file is read again. Profiles, the rate, the blocked keys and
// the log level are taken over; what needs a restart is named in one line of the log; a file that
// cannot be used changes nothing. One thread.
#pragma once
#include "cluster/core/block_list.h"
#include "signer/profiles.h"

struct log;

struct reload {
    const char *path; // of the file, readable still: see sandbox_enter
    struct log *log;
    struct signer_settings *settings; // in use; rate and log level are changed in place
    struct profiles *profiles;
    struct block_list *blocked;
};

// reload_run reads the file. False when nothing was taken over; the log says why.
bool reload_run(const struct reload *r, int64_t now_s);
