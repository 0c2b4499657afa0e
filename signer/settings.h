// settings: the signer's configuration file. It never holds a database password: the signer's host
// has none.
#pragma once
#include "cluster/core/config.h"

struct profile_settings {
    const char *name; // key of the map
    int64_t validity_ms, backdate_ms;
    struct config_list key_kinds; // const char *
    bool client_auth, no_rev_avail;
    struct config_list names; // const char *: suffixes; empty: any
    const char *text;
};

struct signer_settings {
    const char *dir, *passphrase_file, *journal, *user;
    struct config_address address, private_address;
    int64_t region, rate_per_s, journal_segment, journal_index;
    int log_level, log_format;
    struct config_list profiles; // struct profile_settings
    bool sandbox;
};

extern const struct setting signer_settings_table[];
