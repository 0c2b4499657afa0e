// settings: the front end's configuration file: the table that reads it, documents it and checks
// it, and the structs it fills. Const once loaded; shared by all shards.
#pragma once
#include "cluster/core/address.h"
#include "cluster/core/config.h"

enum { TENANT_NAME_MAX = 63 };

// enum eab_mode: external account binding of new accounts.
enum dates_mode { DATES_REFUSE, DATES_CLAMP };
enum eab_mode { EAB_OFF, EAB_OPTIONAL, EAB_REQUIRED };

struct tls_files_settings {
    const char *chain, *key, *trust; // PEM files
};

struct validation_settings {
    struct config_list resolvers; // struct config_address
    bool dns_tcp;
    struct config_list overrides;       // struct override_settings
    struct config_list allowed, denied; // struct address_range
    int64_t http_port, tls_alpn_port, attempts, retry_ms, attempt_ms, total_ms, redirects;
};

struct override_settings {
    const char *suffix;
    struct config_address address;
};

// enum limit_what and limit_by: what a rate limit counts, and for whom.
enum limit_what { LIMIT_NEW_ACCOUNT, LIMIT_NEW_ORDER, LIMIT_FAILED_VALIDATION };
enum limit_by { LIMIT_BY_ACCOUNT, LIMIT_BY_EAB_KEY, LIMIT_BY_ADDRESS, LIMIT_BY_NAME };
struct limit_settings {
    int what, by; // enum limit_what, enum limit_by
    int64_t count, per_ms;
    int64_t labels;           // of the name's end
    int64_t v4_bits, v6_bits; // of the address's beginning
};

struct tenant_settings {
    const char *name; // key of the map
    bool is_default;
    const char *base_url;        // "https://acme.corp:14000"; NULL: `hosts` say it
    struct config_list hosts;    // const char *: authorities that are answered, beside base_url's
    struct config_list profiles; // const char *: allowed, the first is the default
    int64_t issuer;              // 0: those of the profile
    int64_t order_ms, authz_ms, authz_valid_ms; // lifetimes
    bool reuse;                                 // orders take over valid authorizations
    int dates;                                  // enum dates_mode
    bool pre_authorization;                     // newAuthz
    int64_t reuse_left_ms;                      // of those that last so long
    struct config_list challenges;              // const char *: names of those that are offered
    const char *terms_of_service, *website;
    int eab;                           // enum eab_mode
    int caa;                           // position in off, on
    struct config_list caa_identities; // const char *
    struct config_list limits;         // struct limit_settings
    bool limit_renewals;               // orders with "replaces" count, too
    struct validation_settings validation;
};

struct settings {
    struct {
        struct config_address address;
        const char *chain, *key;        // PEM files
        struct config_list proxy_peers; // struct address_range
        int64_t conns_max, conns_per_peer_max, body_max, requests_memory;
        int64_t handshake_ms, head_ms, body_ms, idle_ms, write_ms, request_ms;
        int64_t drain_accept_ms, drain_ms;
    } server;
    struct {
        struct config_address address;
    } private_server;
    struct {
        struct config_address address; // absent: no admin listener
        struct tls_files_settings tls;
        struct config_list names; // const char *: of administrators; none: all with the role
    } admin;
    struct {
        const char *conninfo;
        int64_t write_conns, batch_max, linger_ms, queue_max, queue_age_ms;
    } database;
    struct {
        struct config_list targets; // struct config_address
        struct tls_files_settings tls;
        int64_t sign_ms;
        bool required;
    } signer;
    struct {
        struct config_address address;   // where this one listens for the others
        struct config_address advertise; // where the others reach it; absent: `address`
        struct tls_files_settings tls;
        const char *secret; // file with the cluster secret
        int64_t heartbeat_ms, dead_ms;
    } cluster;
    struct {
        struct config_address address; // absent: no listener without TLS
        int64_t lifetime_ms;
    } crl;
    struct {
        int64_t crls_ms, partitions_ms, ahead_h, keep_h, reaper_ms, intent_age_ms, give_up_ms;
    } jobs;
    struct config_list tenants; // struct tenant_settings
    int64_t region, shards, key_tables, nonce_ms, finalize_wait_ms, bad_nonce_percent, capacity;
    const char *blocked_keys; // file; NULL: none
    int io, p256, log_level, log_format;
};

extern const struct setting settings_table[];
