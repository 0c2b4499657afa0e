#include "api/settings.h"

#include "api/settings_tenant.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define IN(type, member) .offset = offsetof(type, member)

static const char *const io_choices[] = {"auto", "uring", "epoll", NULL};
static const char *const p256_choices[] = {"auto", "scalar", NULL};
static const char *const level_choices[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_choices[] = {"text", "json", NULL};

// ---- what the tables cannot say; each answers NULL when it is good

// The group is in struct settings itself, so `value` is the whole.
static const char *cluster_wrong(const void *value)
{
    const struct settings *s = value;
    return s->cluster.dead_ms > 2 * s->cluster.heartbeat_ms
               ? NULL
               : "has a `dead` that one late heartbeat would reach; expected more than two of "
                 "`heartbeat`";
}

#define MS(name, member, text, low, high, words)                                                  \
    {                                                                                             \
        .key = name, .type = SETTING_DURATION, IN(struct settings, member), .default_text = text, \
        .min = low, .max = high, .help = words                                                    \
    }
#define NUM(name, member, text, low, high, words)                                            \
    {                                                                                        \
        .key = name, .type = SETTING_INT, IN(struct settings, member), .default_text = text, \
        .min = low, .max = high, .help = words                                               \
    }
#define FILE_OF(name, member, words)                                                  \
    {                                                                                 \
        .key = name, .type = SETTING_PATH, IN(struct settings, member), .help = words \
    }
#define RELOADED_FILE_OF(name, member, words)                                          \
    {                                                                                  \
        .key = name, .type = SETTING_PATH, IN(struct settings, member), .help = words, \
        .reloadable = true                                                             \
    }

static const struct setting server_rows[] = {
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct settings, server.address),
     .help = "Where ACME clients connect (HTTPS)."},
    RELOADED_FILE_OF(
        "chain", server.chain,
        "PEM file with the server's certificate chain. Read again on SIGHUP and when it is "
        "renewed."),
    RELOADED_FILE_OF("key", server.key, "PEM file with its private key."),
    {.key = "proxy_peers",
     .type = SETTING_LIST,
     IN(struct settings, server.proxy_peers),
     .default_text = "",
     .element = SETTING_RANGE,
     .min = 0,
     .max = 64,
     .help = "Load balancers that send the PROXY protocol, version 2. Required from these, refused "
             "from others."},
    NUM("connections_max", server.conns_max, "2048", 1, 100000, "Connections per core; more wait."),
    NUM("connections_per_peer_max", server.conns_per_peer_max, "0", 0, 100000,
        "Connections per core and client address (IPv6: /64); behind a proxy the client's. 0: no "
        "bound."),
    {.key = "body_max",
     .type = SETTING_SIZE,
     IN(struct settings, server.body_max),
     .default_text = "64KiB",
     .min = 4096,
     .max = 1048576,
     .help = "Largest request body."},
    {.key = "requests_memory",
     .type = SETTING_SIZE,
     IN(struct settings, server.requests_memory),
     .default_text = "64MiB",
     .min = 1048576,
     .max = INT64_C(1) << 36,
     .help = "Per core: heads and bodies of all requests that are being received or answered. What "
             "is beyond gets 503; one connection may take a sixteenth, but four bodies at least."},
    MS("handshake", server.handshake_ms, "10s", 100, 120000, "Deadline of a TLS handshake."),
    MS("head", server.head_ms, "10s", 100, 120000, "Deadline of a request's head."),
    MS("body", server.body_ms, "15s", 100, 120000, "Deadline of a request's body."),
    MS("idle", server.idle_ms, "60s", 100, 3600000,
       "A connection without requests is closed after this time."),
    MS("write", server.write_ms, "15s", 100, 120000, "Deadline for a client to take an answer."),
    MS("request", server.request_ms, "30s", 100, 120000,
       "A request that takes longer is answered with 503."),
    MS("drain_accept", server.drain_accept_ms, "500ms", 0, 60000,
       "On SIGTERM: how long connections are still accepted after readiness is off."),
    MS("drain", server.drain_ms, "30s", 0, 600000,
       "On SIGTERM: how long requests under way may take."),
    {0},
};
static const struct setting private_rows[] = {
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct settings, private_server.address),
     .help = "Where /livez, /readyz and /metrics are served, without TLS: keep it private."},
    {0},
};
static const struct setting crl_rows[] = {
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct settings, crl.address),
     .optional = true,
     .help =
         "Where CRLs are served without TLS, for relying parties: what the signer's profiles "
         "have as crl_url must lead here. Absent: only the listener for ACME clients has them."},
    MS("lifetime", crl.lifetime_ms, "24h", 60000, 2592000000,
       "nextUpdate behind thisUpdate. A CRL is made anew when a third of it has passed, and an "
       "alarm is raised at half."),
    {0},
};
static const struct setting admin_tls_rows[] = {
    FILE_OF("chain", admin.tls.chain,
            "PEM file with a certificate chain that names this host for the callers, such as that "
            "of `server`. Read again on SIGHUP and when it has changed."),
    FILE_OF("key", admin.tls.key, "PEM file with its private key."),
    FILE_OF("trust", admin.tls.trust,
            "PEM file with the internal root, from which the callers' certificates come. Never the "
            "CA that customers' certificates come from."),
    {0},
};
static const struct setting admin_rows[] = {
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct settings, admin.address),
     .help = "Where the admin operations are served (HTTPS, mutual TLS; docs/openapi.json) to "
             "callers with the role `urn:certmill:role:admin`."},
    {.key = "tls", .type = SETTING_GROUP, .rows = admin_tls_rows, .help = "Mutual TLS."},
    {.key = "names",
     .type = SETTING_LIST,
     IN(struct settings, admin.names),
     .default_text = "",
     .element = SETTING_STRING,
     .min = 0,
     .max = 256,
     .reloadable = true,
     .help = "Administrators by the names in their certificates (`certmill-signer renew --admin "
             "NAME`): nobody else is served, so that one can be left out. None: everybody with the "
             "role."},
    {0},
};
static const struct setting database_rows[] = {
    {.key = "conninfo",
     .type = SETTING_STRING,
     IN(struct settings, database.conninfo),
     .min = 1,
     .max = 2048,
     .help = "libpq connection string. Use hostaddr or a socket folder: names would be resolved "
             "blocking."},
    NUM("write_connections", database.write_conns, "2", 1, 8, "Connections per core that write."),
    NUM("batch_max", database.batch_max, "64", 1, 256, "Commands in one transaction."),
    MS("linger", database.linger_ms, "4ms", 0, 100,
       "Longest wait for company while a transaction is under way."),
    NUM("queue_max", database.queue_max, "4096", 16, 1000000,
        "Commands waiting per core; more are refused with 503."),
    MS("queue_age", database.queue_age_ms, "2s", 50, 60000,
       "A command that has waited longer is refused with 503."),
    {0},
};
static const struct setting signer_tls_rows[] = {
    FILE_OF("chain", signer.tls.chain,
            "PEM file with this front end's internal certificate (role acme). Read again on SIGHUP "
            "and when it is renewed."),
    FILE_OF("key", signer.tls.key, "PEM file with its private key."),
    FILE_OF(
        "trust", signer.tls.trust,
        "PEM file with the internal root. Never the CA that customers' certificates come from."),
    {0},
};
static const struct setting signer_rows[] = {
    {.key = "targets",
     .type = SETTING_LIST,
     IN(struct settings, signer.targets),
     .element = SETTING_ADDRESS,
     .min = 1,
     .max = 64,
     .help = "Addresses of the signers."},
    {.key = "tls",
     .type = SETTING_GROUP,
     .rows = signer_tls_rows,
     .help = "Mutual TLS towards the signers."},
    MS("sign", signer.sign_ms, "10s", 100, 120000,
       "How long one certificate may take before it is left to be finished in the background."),
    {.key = "required",
     .type = SETTING_BOOL,
     IN(struct settings, signer.required),
     .default_text = "true",
     .help = "Refuse to start when no signer can be reached. false: start all the same, answer 503 "
             "where a signer is needed, and go on when there is one."},
    {0},
};
static const struct setting cluster_tls_rows[] = {
    FILE_OF("chain", cluster.tls.chain,
            "PEM file with this front end's internal certificate (role acme). Read again on SIGHUP "
            "and when it is renewed."),
    FILE_OF("key", cluster.tls.key, "PEM file with its private key."),
    FILE_OF("trust", cluster.tls.trust, "PEM file with the internal root."),
    {0},
};
static const struct setting cluster_rows[] = {
    {.key = "address",
     .type = SETTING_ADDRESS,
     IN(struct settings, cluster.address),
     .help =
         "Where this front end listens for the others (gRPC, mutual TLS). A unix socket will do "
         "for one host."},
    {.key = "advertise",
     .type = SETTING_ADDRESS,
     IN(struct settings, cluster.advertise),
     .optional = true,
     .help = "Where the others reach it, when that is not `address` (which may be 0.0.0.0)."},
    {.key = "tls",
     .type = SETTING_GROUP,
     .rows = cluster_tls_rows,
     .help = "Mutual TLS among front ends."},
    FILE_OF("secret", cluster.secret,
            "File with the secret that all front ends share, at least 32 bytes: nonces and session "
            "tickets derive from it."),
    MS("heartbeat", cluster.heartbeat_ms, "1s", 50, 60000,
       "How often this front end tells the others that it lives."),
    MS("dead", cluster.dead_ms, "10s", 200, 600000,
       "A front end not heard of for so long is dead: its nonces are refused, its orders finished "
       "by others."),
    {0},
};
static const struct setting jobs_rows[] = {
    MS("crls", jobs.crls_ms, "2s", 100, 600000,
       "How often CRLs that have changed or get old are looked for, by one front end at a time: "
       "the time until a revocation is published."),
    MS("partitions", jobs.partitions_ms, "5m", 1000, 3600000,
       "How often partitions are made and dropped, by one front end at a time."),
    NUM("partitions_ahead_hours", jobs.ahead_h, "48", 2, 240, "Partitions are made so far ahead."),
    NUM("partitions_keep_hours", jobs.keep_h, "24", 1, 8760,
        "A partition falls so long after its last order and certificate have ended."),
    MS("reaper", jobs.reaper_ms, "2s", 50, 600000,
       "How often certificates that others left unfinished are looked for."),
    MS("intent_age", jobs.intent_age_ms, "30s", 100, 600000,
       "An unfinished certificate of a living front end is taken over after this time."),
    MS("give_up", jobs.give_up_ms, "10m", 1000, 86400000,
       "After this time with a signer in reach the order becomes invalid and its serial is "
       "burned."),
    {0},
};

const struct setting settings_table[] = {
    {.key = "server",
     .type = SETTING_GROUP,
     .rows = server_rows,
     .help = "The listener for ACME clients."},
    {.key = "private",
     .type = SETTING_GROUP,
     .rows = private_rows,
     .help = "The listener for operators."},
    {.key = "crl",
     .type = SETTING_GROUP,
     .rows = crl_rows,
     .help = "Certificate revocation lists, for issuers with a profile that has a crl_url."},
    {.key = "admin",
     .type = SETTING_GROUP,
     .optional = true,
     .rows = admin_rows,
     .help = "The listener for administrators; without this group there is none."},
    {.key = "database",
     .type = SETTING_GROUP,
     .rows = database_rows,
     .help = "PostgreSQL 15 or newer."},
    {.key = "signer", .type = SETTING_GROUP, .rows = signer_rows, .help = "The signer pool."},
    {.key = "cluster",
     .type = SETTING_GROUP,
     .rows = cluster_rows,
     .check = cluster_wrong,
     .help = "The other front ends."},
    {.key = "jobs", .type = SETTING_GROUP, .rows = jobs_rows, .help = "Work in the background."},
    {.key = "tenants",
     .type = SETTING_MAP,
     .reloadable = true,
     IN(struct settings, tenants),
     .rows = tenant_rows,
     .element_size = sizeof(struct tenant_settings),
     .min = 1,
     .max = 256,
     .check = tenant_wrong,
     .check_all = tenants_wrong,
     .help = "Tenants by name; served at /acme/NAME/directory."},
    NUM("region", region, "0", 0, 63, "Home region of this front end."),
    NUM("shards", shards, "0", 0, 64, "Cores to use; 0: all that the process may use."),
    {.key = "io",
     .type = SETTING_ENUM,
     IN(struct settings, io),
     .default_text = "auto",
     .choices = io_choices,
     .help = "auto: io_uring, or epoll where that is refused."},
    {.key = "p256",
     .type = SETTING_ENUM,
     IN(struct settings, p256),
     .default_text = "auto",
     .choices = p256_choices,
     .help = "How ECDSA P-256 signatures are checked. auto: many at once where the processor has "
             "AVX-512 IFMA; scalar: one by one."},
    NUM("key_tables", key_tables, "4096", 0, 1000000,
        "Account keys per core that keep a table of 8 KiB, by which their signatures are checked "
        "faster, when the processor has AVX-512 IFMA; 0: none. With more keys in use the one not "
        "used for the longest time loses its table."),
    MS("nonce_lifetime", nonce_ms, "1h", 1000, 86400000, "How long a nonce can be used."),
    MS("finalize_wait", finalize_wait_ms, "3s", 0, 20000,
       "How long a finalize request waits for its certificate before it answers \"processing\"."),
    {.key = "capacity",
     .type = SETTING_INT,
     IN(struct settings, capacity),
     .default_text = "0",
     .min = 0,
     .max = 10000000,
     .reloadable = true,
     .help = "Certificates per second that this installation can bear, all front ends together: "
             "`certmill cert renew-early` spreads renewals so that they stay below. 0: the most "
             "that a minute of the last 24 hours has seen."},
    {.key = "blocked_keys",
     .type = SETTING_PATH,
     IN(struct settings, blocked_keys),
     .default_text = "",
     .optional = true,
     .reloadable = true,
     .help = "File of keys that neither accounts nor certificates may have: a line for each, the "
             "SHA-256 of its SubjectPublicKeyInfo in hexadecimal, and after a blank anything. Read "
             "again on SIGHUP."},
    {.key = "bad_nonce_percent",
     .type = SETTING_INT,
     IN(struct settings, bad_nonce_percent),
     .default_text = "0",
     .min = 0,
     .max = 90,
     .reloadable = true,
     .help = "For tests of clients: so many of a hundred good nonces are refused with badNonce."},
    {.key = "log_level",
     .type = SETTING_ENUM,
     IN(struct settings, log_level),
     .default_text = "info",
     .choices = level_choices,
     .reloadable = true,
     .help = "Least severe events that are written."},
    {.key = "log_format",
     .type = SETTING_ENUM,
     IN(struct settings, log_format),
     .default_text = "text",
     .choices = format_choices,
     .help = "text or json."},
    {0},
};
