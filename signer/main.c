// certmill-signer: main wires the signer together and finds the command.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/core/address.h"
#include "cluster/core/clock.h"
#include "cluster/core/seam.h"
#include "cluster/core/server.h"
#include "cluster/err.h"
#include "cluster/events.h"
#include "proto/err.h"
#include "signer/ceremony.h"
#include "signer/ends.h"
#include "signer/err.h"
#include "signer/events.h"
#include "signer/identity.h"
#include "signer/issuer_add.h"
#include "signer/journal_archive.h"
#include "signer/journal_dump.h"
#include "signer/reload.h"
#include "signer/renewal.h"
#include "signer/sandbox.h"
#include "signer/service.h"
#include "signer/settings_main.h"
#include "signer/vault.h"

enum {
    ARENA_MAX = 4 << 20,
    NOTE_MAX = 512,
    DRAIN_ACCEPT_MS = 100,
    DRAIN_MS = 10000,
    RENEWAL_MS = 3600000,
    CONNS_MAX = 256
};

static const char usage[] =
    "usage: certmill-signer --config FILE [--test-seams]\n"
    "       certmill-signer ceremony --dir DIR --passphrase-file FILE [options]\n"
    "       certmill-signer add-issuer --dir DIR --passphrase-file FILE --id N [options]\n"
    "       certmill-signer renew --dir DIR --passphrase-file FILE [--force|--ended]\n"
    "       certmill-signer journal dump --dir DIR [--json]\n"
    "       certmill-signer journal archive --dir DIR --to DIR [--keep-hours N]\n"
    "       certmill-signer config check FILE\n"
    "       certmill-signer config reference\n"
    "\n"
    "Holds the issuing keys and signs what front ends ask for, within its own policy. Runs until "
    "SIGTERM;\nSIGHUP reads profiles, rate, blocked keys and log level again.\n"
    "exit code: 0 ended in order, 1 failed, 2 configuration or command line\n";

struct program {
    const char *config; // path of the file
    struct signer_settings settings;
    struct arena arena;
    struct profiles profiles;
    struct block_list blocked;
    struct keystore keys;
    struct journal journal;
    struct log *log;
    struct metrics *metrics;
    struct shard *shard;
    struct service *service;
    struct server *rpc, *private;
    struct identity identity;
    struct timer renewal;
    int64_t ends_said_day;
    bool ending, failed;
    char note[NOTE_MAX];
};

static volatile sig_atomic_t asked_to_end, asked_to_reload;

static void on_signal(int number)
{
    if (number == SIGHUP)
        asked_to_reload = 1;
    else
        asked_to_end = 1;
}

static int fail(const char *text)
{
    fprintf(stderr, "certmill-signer: %s\n", text);
    return 1;
}

// ---- the private listener

static void on_private(void *ctx, struct http_exchange *x, const struct server_peer *peer)
{
    struct program *p = ctx;
    static const struct http_header text[] = {
        {SLICE_LIT("Content-Type"), SLICE_LIT("text/plain; version=0.0.4")}};
    struct buf b;
    (void)peer;
    buf_init(&b, 4 << 20);
    unsigned status = 200;
    if (slice_eq_str(x->request.path, "/livez"))
        (void)!failed(buf_add_str(&b, "ok\n"));
    else if (slice_eq_str(x->request.path, "/readyz")) {
        status = p->ending ? 503 : 200;
        (void)!failed(buf_add_str(&b, p->ending ? "ending\n" : "ready\n"));
    } else if (slice_eq_str(x->request.path, "/metrics")) {
        (void)!failed(metrics_write(p->metrics, &b));
    } else
        status = 404;
    server_respond(
        x, &(struct http_response){
               .status = status, .headers = text, .header_count = 1, .body = buf_slice(&b)});
    buf_fini(&b);
}

static void on_private_gone(void *ctx, struct http_exchange *x)
{
    (void)ctx;
    http_exchange_release(x);
}

static const struct server_handler private_handler = {.request = on_private,
                                                      .gone = on_private_gone};

// ---- start

static enum p256_kernel kernel_of(const struct signer_settings *s)
{
    return s->p256 == 0 ? p256_kernel_detect() : P256_SCALAR;
}

static bool secrets_open(struct program *p)
{
    int64_t now = shard_wall_s(p->shard);
    if (failed(block_list_read(&p->blocked, p->note, p->settings.blocked_keys))) return false;
    if (failed(profiles_take(&p->profiles, &p->settings, now)))
        return snprintf(p->note, sizeof p->note, "out of memory"), false;
    return !failed(sandbox_begin(p->note, sizeof p->note)) &&
           !failed(vault_open(p->note, sizeof p->note)) &&
           !failed(keystore_open(&p->keys, p->note, p->settings.dir, p->settings.passphrase_file,
                                 now, kernel_of(&p->settings))) &&
           !failed(ends_fit(p->note, &p->keys, &p->profiles, now));
}

static void on_stopped(void *ctx)
{
    struct program *p = ctx;
    p->failed = true;
    asked_to_end = 1;
}

// on_renewal: once an hour, whether the signer's own certificate is past half of its life.
// Connections that have begun hold on to the old context.
static void on_renewal(struct timer *t)
{
    struct program *p = LIST_OWNER(t, struct program, renewal);
    struct tls_context *old;
    struct err e = identity_renew(&p->identity, &old, p->note, &p->keys, shard_wall_s(p->shard));
    if (failed(e))
        LOG(p->log, &EVENT_SIGNER_RENEW_FAILED, p->note);
    else if (old != NULL) {
        server_tls_set(p->rpc, p->identity.tls);
        tls_context_free(old);
        LOG(p->log, &EVENT_SIGNER_RENEWED, NULL, LOG_STR("file", "signer"),
            LOG_STR("caller", "itself"));
    }
    ends_report(p->shard, &p->keys, &p->identity, &p->profiles, shard_wall_s(p->shard),
                &p->ends_said_day);
    timer_set(p->shard, t, RENEWAL_MS);
}

static bool identity_start(struct program *p)
{
    bool renewed;
    if (failed(identity_open(&p->identity, p->note, p->settings.dir, &p->keys,
                             shard_wall_s(p->shard), &renewed)))
        return false;
    if (renewed)
        LOG(p->log, &EVENT_SIGNER_RENEWED, NULL, LOG_STR("file", "signer"),
            LOG_STR("caller", "itself"));
    ends_report(p->shard, &p->keys, &p->identity, &p->profiles, shard_wall_s(p->shard),
                &p->ends_said_day);
    p->renewal.fire = on_renewal;
    timer_set(p->shard, &p->renewal, RENEWAL_MS);
    return true;
}

// journal_start: the folder is opened, and made, by who started the program; everything in it is
// the signer's own user's. What that user cannot read has been read by now.
static bool journal_start(struct program *p)
{
    uid_t user;
    gid_t group;
    int folder;
    const char *path = p->settings.journal;
    struct journal_options jo = {.path = path,
                                 .segment_size = (size_t)p->settings.journal_segment,
                                 .index_max = (size_t)p->settings.journal_index};
    if (failed(sandbox_user_find(p->note, sizeof p->note, &user, &group, p->settings.user)) ||
        failed(journal_folder(&folder, p->note, path, user, group)))
        return false;
    if (failed(sandbox_user(p->note, sizeof p->note, p->settings.user))) {
        close(folder);
        return false;
    }
    if (geteuid() == 0) LOG(p->log, &EVENT_SIGNER_ROOT, NULL);
    return !failed(journal_open_at(&p->journal, p->note, folder, &jo, shard_wall_s(p->shard)));
}

static bool servers_start(struct program *p)
{
    struct service_options so = {.policy = {&p->settings, &p->profiles, &p->keys, &p->blocked.keys},
                                 .journal = &p->journal,
                                 .stopped = on_stopped,
                                 .ctx = p};
    p->service = service_new(p->shard, &so);
    if (p->service == NULL) return snprintf(p->note, sizeof p->note, "out of memory"), false;
    struct server_options rpc = {.name = "rpc",
                                 .listen = p->settings.address.address,
                                 .listen_len = p->settings.address.len,
                                 .tls = p->identity.tls,
                                 .plain_version = HTTP_2,
                                 .http = {.head_size_max = 16384,
                                          .body_size_max = (1 << 20) + 16,
                                          .header_count_max = 64,
                                          .streams_max = 256,
                                          .abuse_max = 1000,
                                          .out_size_max = 16 << 20,
                                          .in_size_max = 16 << 20},
                                 .conns_max = CONNS_MAX,
                                 .handshake_ms = 5000,
                                 .head_ms = 10000,
                                 .body_ms = 10000,
                                 .idle_ms = 3600000,
                                 .write_ms = 10000,
                                 .request_ms = 30000};
    struct server_options private = {.name = "private",
                                     .listen = p->settings.private_address.address,
                                     .listen_len = p->settings.private_address.len,
                                     .plain_version = HTTP_1_1,
                                     .http = {.head_size_max = 8192,
                                              .body_size_max = 1024,
                                              .header_count_max = 64,
                                              .streams_max = 8,
                                              .abuse_max = 100,
                                              .out_size_max = 8 << 20},
                                     .conns_max = 32,
                                     .handshake_ms = 5000,
                                     .head_ms = 5000,
                                     .body_ms = 5000,
                                     .idle_ms = 60000,
                                     .write_ms = 5000,
                                     .request_ms = 5000};
    return !failed(server_new(&p->rpc, p->note, sizeof p->note, p->shard, &rpc,
                              rpc_service_handler(), service_rpc(p->service))) &&
           !failed(server_new(&p->private, p->note, sizeof p->note, p->shard, &private,
                              &private_handler, p));
}

static bool start(struct program *p, bool seams)
{
    struct log_options lo = {.level = (enum log_level)p->settings.log_level,
                             .format = (enum log_format)p->settings.log_format,
                             .fd = STDERR_FILENO,
                             .program = "certmill-signer"};
    cluster_metrics_declare();
    signer_metrics_declare();
    if (failed(log_new(&p->log, &lo)) || failed(metrics_new(&p->metrics, 1)))
        return snprintf(p->note, sizeof p->note, "out of memory"), false;
    if (failed(clock_start()))
        return snprintf(p->note, sizeof p->note,
                        "CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds"),
               false;
    seam_clock_say(p->log);
    if (seams) seams_enable(p->log);
    // Always epoll: a ring would escape the system call filter.
    struct shard_options so = {
        .count = 1, .io = SHARD_IO_EPOLL, .metrics = p->metrics, .log = p->log, .name = "signer"};
    if (failed(shard_new(&p->shard, &so, 0)))
        return snprintf(p->note, sizeof p->note, "the event loop could not be started: %s",
                        strerror(errno)),
               false;
    if (!secrets_open(p) || !identity_start(p) || !journal_start(p)) return false;
    const struct config_address *rpc = &p->settings.address,
                                *private = &p->settings.private_address;
    if (failed(server_address_check(p->note, sizeof p->note, "rpc", &rpc->address, rpc->len)) ||
        failed(server_address_check(p->note, sizeof p->note, "private", &private->address,
                                    private->len)))
        return false;
    if (!servers_start(p)) return false;
    return !p->settings.sandbox ||
           !failed(sandbox_enter(p->note, sizeof p->note, p->log, p->journal.dir, p->config));
}

// ---- run

// loop serves until it is asked to end, then until the last connection has closed or the drain's
// time is over.
static void loop(struct program *p)
{
    uint64_t deadline = 0, earliest = 0;
    for (;;) {
        shard_turn(p->shard, 50);
        uint64_t now = shard_now_ns(p->shard);
        if (asked_to_reload) {
            asked_to_reload = 0;
            reload_run(&(struct reload){p->config, p->log, &p->settings, &p->profiles, &p->blocked},
                       shard_wall_s(p->shard));
        }
        if (!asked_to_end) continue;
        if (!p->ending) {
            p->ending = true;
            deadline = now + (uint64_t)DRAIN_MS * 1000000;
            earliest = now + 2ull * DRAIN_ACCEPT_MS * 1000000;
            server_drain(p->rpc, DRAIN_ACCEPT_MS, DRAIN_MS);
        }
        if (p->failed || now > deadline || (now > earliest && server_conn_count(p->rpc) == 0))
            return;
    }
}

static void stop(struct program *p)
{
    timer_cancel(&p->renewal);
    server_free(p->rpc);
    server_free(p->private);
    for (int i = 0; p->shard != NULL && i < 10; i++) shard_turn(p->shard, 1);
    service_free(p->service);
    journal_close(&p->journal);
    profiles_fini(&p->profiles);
    block_list_fini(&p->blocked);
    keystore_close(&p->keys);
    if (p->shard != NULL) shard_free(p->shard);
    identity_close(&p->identity);
    metrics_free(p->metrics);
    log_free(p->log);
}

static int run(const char *config, bool seams)
{
    struct program p = {.config = config, .journal = {.fd = -1, .dir = -1}};
    char error[CONFIG_ERROR_MAX];
    arena_init(&p.arena, ARENA_MAX);
    if (failed(config_load(&p.settings, sizeof p.settings, signer_settings_table, &p.arena, config,
                           error))) {
        fail(error);
        arena_fini(&p.arena);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is a journal that failed
    int code = start(&p, seams) ? 0 : fail(p.note);
    if (code == 0) {
        LOG(p.log, &EVENT_SIGNER_STARTED, tls_library_version(),
            LOG_STR("version", CERTMILL_VERSION), LOG_INT("profiles", p.settings.profiles.count),
            LOG_STR("p256", p256_kernel_name(kernel_of(&p.settings))),
            LOG_INT("journal_records", p.journal.count), LOG_INT("journal_cut", p.journal.cut));
        loop(&p);
        LOG(p.log, &EVENT_SIGNER_STOPPED, NULL,
            LOG_INT("signed", metric_total(p.metrics, &METRIC_SIGNER_SIGNED)));
        code = p.failed;
    }
    stop(&p);
    arena_fini(&p.arena);
    return code;
}

#if defined(__SANITIZE_ADDRESS__)
// The leak checker reads the process from another one, which this process does not allow.
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return 1; }
#endif

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"config", 1, NULL, 'c'},
                                          {"test-seams", 0, NULL, 't'},
                                          {"help", 0, NULL, 'h'},
                                          {"version", 0, NULL, 'v'},
                                          {0}};
    const char *config = NULL;
    bool seams = false;
    proto_err_register();
    cluster_err_register();
    signer_err_register();
    bool keys = argc > 1 && (strcmp(argv[1], "ceremony") == 0 ||
                             strcmp(argv[1], "add-issuer") == 0 || strcmp(argv[1], "renew") == 0);
    char note[NOTE_MAX];
    if (keys && failed(sandbox_begin(note, sizeof note))) return fail(note);
    if (argc > 1 && strcmp(argv[1], "ceremony") == 0) return ceremony_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "add-issuer") == 0) return issuer_add_main(argc - 1, argv + 1);
    if (argc > 2 && strcmp(argv[1], "journal") == 0 && strcmp(argv[2], "archive") == 0)
        return journal_archive_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "journal") == 0) return journal_dump_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "renew") == 0) return renewal_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "config") == 0) return settings_main(argc - 1, argv + 1);
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'c')
            config = optarg;
        else if (o == 't')
            seams = true;
        else if (o == 'v')
            return printf("certmill-signer %s, %s\n", CERTMILL_VERSION, tls_library_version()), 0;
        else
            return fputs(usage, o == 'h' ? stdout : stderr), o == 'h' ? 0 : 2;
    }
    if (config == NULL || optind != argc) return fputs(usage, stderr), 2;
    return run(config, seams);
}
