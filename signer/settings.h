// settings: the signer's configuration file. It never holds a database password: the signer's host
// has none.
#pragma once
#include "cluster/core/config.h"

// struct issuer_settings: an issuing CA that signs a profile, and its part of the certificates.
struct issuer_settings {
    int64_t id, weight;
};

struct profile_settings {
    const char *name; // key of the map
    int64_t validity_ms, backdate_ms;
    struct config_list key_kinds; // const char *
    bool client_auth, no_rev_avail, wildcards;
    struct config_list names;    // const char *: suffixes; empty: any
    struct config_list networks; // struct address_range: of addresses; empty: no address
    struct config_list issuers;  // struct issuer_settings; empty: issuer 1
    const char *text;
    const char *crl_url; // its certificates name CRLs below this; empty or NULL: none
    int64_t crl_parts;   // of one hour's certificates
};

// struct caller_settings bounds what one group of front ends may ask for.
struct caller_settings {
    const char *name;            // key of the map: the group; "default": those without one
    struct config_list profiles; // const char *; empty: all
    struct config_list names;    // const char *: suffixes; empty: any
    struct config_list networks; // struct address_range; empty: any, or none where `names` is not
    int64_t rate_per_s;
};

struct signer_settings {
    const char *dir, *passphrase_file, *journal, *user;
    struct config_address address, private_address;
    int64_t region, rate_per_s, journal_segment, journal_index;
    const char *blocked_keys; // file; NULL: none
    int p256, log_level, log_format;
    struct config_list profiles;        // struct profile_settings
    struct config_list crl_former_urls; // const char *
    struct config_list callers;         // struct caller_settings; empty: any front end, anything
    bool sandbox;
};

extern const struct setting signer_settings_table[];
// group_name_plain says whether a text can name a group of front ends: 1 to 32 lower-case letters,
// digits or hyphens.
bool group_name_plain(const char *name);
