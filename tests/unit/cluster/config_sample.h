// A settings table that has every type, for the tests and the fuzz target of config.
#pragma once
#include "cluster/core/address.h"
#include "cluster/core/config.h"

struct sample_listen {
    struct config_address address;
    int64_t conns_max;
    const char *mode;
};

struct sample_tenant {
    const char *name; // the map's key
    const char *title;
    struct config_list suffixes; // const char *
    int64_t rate;
};

struct sample_tls {
    const char *key;
    const char *chain;
    int64_t handshake_ms;
    bool tickets;
};

struct sample {
    const char *name;
    int64_t workers;
    int64_t timeout_ms;
    int64_t grace_ms;
    int64_t body_size;
    bool verbose;
    const char *note;
    int level;
    struct sample_tls tls;
    struct sample_tls backup;     // optional
    struct config_list listen;    // struct sample_listen
    struct config_list tenants;   // struct sample_tenant
    struct config_list resolvers; // struct config_address
    struct config_list allowed;   // struct address_range
    struct config_list weights;   // int64_t
};

static const char *const sample_levels[] = {"debug", "info", "warn", NULL};

static const struct setting sample_tls_rows[] = {
    {"key", SETTING_PATH, offsetof(struct sample_tls, key), .help = "The private key."},
    {"chain", SETTING_PATH, offsetof(struct sample_tls, chain), "chain.pem", .help = "The chain."},
    {"handshake", SETTING_DURATION, offsetof(struct sample_tls, handshake_ms), "5s",
     .reloadable = true, .min = 100, .max = 60000, .help = "How long a handshake may take."},
    {"tickets", SETTING_BOOL, offsetof(struct sample_tls, tickets), "true",
     .help = "Session tickets."},
    {0}};

static const struct setting sample_listen_rows[] = {
    {"address", SETTING_ADDRESS, offsetof(struct sample_listen, address), .port = 443,
     .help = "Where to listen."},
    {"conns_max", SETTING_INT, offsetof(struct sample_listen, conns_max), "1000", .min = 1,
     .max = 100000, .help = "Connections."},
    {"mode", SETTING_STRING, offsetof(struct sample_listen, mode), "", .optional = true,
     .help = "A mode."},
    {0}};

static const struct setting sample_tenant_rows[] = {
    {"title", SETTING_STRING, offsetof(struct sample_tenant, title), .min = 2, .max = 20,
     .help = "For people | machines."},
    {"suffixes", SETTING_LIST, offsetof(struct sample_tenant, suffixes), "[internal.test, corp]",
     .min = 1, .element = SETTING_STRING, .help = "Names end so."},
    {"rate", SETTING_INT, offsetof(struct sample_tenant, rate), "-5", .reloadable = true,
     .min = -10, .max = 0, .help = "Below zero."},
    {0}};

static const struct setting sample_rows[] = {
    {"name", SETTING_STRING, offsetof(struct sample, name), .help = "The name."},
    {"workers", SETTING_INT, offsetof(struct sample, workers), "2", .min = 1, .max = 64,
     .help = "Threads."},
    {"timeout", SETTING_DURATION, offsetof(struct sample, timeout_ms), "1500ms", .reloadable = true,
     .help = "Patience."},
    {"grace", SETTING_DURATION, offsetof(struct sample, grace_ms), "1s", .max = 86400000,
     .help = "More patience."},
    {"body_size", SETTING_SIZE, offsetof(struct sample, body_size), "64KiB", .min = 1024,
     .max = 1 << 20, .help = "Bytes."},
    {"verbose", SETTING_BOOL, offsetof(struct sample, verbose), "false", .reloadable = true,
     .help = "More words."},
    {"note", SETTING_STRING, offsetof(struct sample, note), .optional = true, .reloadable = true,
     .help = "Free text."},
    {"level", SETTING_ENUM, offsetof(struct sample, level), "info", .reloadable = true,
     .choices = sample_levels, .help = "How much."},
    {"tls", SETTING_GROUP, offsetof(struct sample, tls), .rows = sample_tls_rows,
     .help = "Transport security."},
    {"backup", SETTING_GROUP, offsetof(struct sample, backup), .optional = true,
     .rows = sample_tls_rows, .help = "Another one."},
    {"listen", SETTING_LIST, offsetof(struct sample, listen), .min = 1, .max = 3,
     .rows = sample_listen_rows, .element_size = sizeof(struct sample_listen),
     .help = "Listeners."},
    {"tenants", SETTING_MAP, offsetof(struct sample, tenants), "", .max = 4,
     .rows = sample_tenant_rows, .element_size = sizeof(struct sample_tenant), .help = "By name."},
    {"resolvers", SETTING_LIST, offsetof(struct sample, resolvers), "[\"127.0.0.1:53\"]",
     .port = 53, .element = SETTING_ADDRESS, .help = "DNS servers."},
    {"allowed", SETTING_LIST, offsetof(struct sample, allowed), "", .optional = true,
     .reloadable = true, .element = SETTING_RANGE, .help = "Ranges."},
    {"weights", SETTING_LIST, offsetof(struct sample, weights), "", .element = SETTING_INT,
     .help = "Numbers."},
    {0}};

// The least that sample_rows accepts.
#define SAMPLE_LEAST "name: x\ntls:\n  key: k.pem\nlisten:\n  - address: 127.0.0.1\n"
