// dev: everything on one machine with one command, and the same code paths as production: a private
// PostgreSQL, a CA, the signer, front ends. State lives in one folder; a second start uses it
// again. Whatever was started is stopped, and nothing else.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/paths.h"
#include "api/cli/postgres.h"
#include "proto/der/pem.h"
#include "store/store.h"

enum {
    FRONTS_MAX = 4,
    NOTE_MAX = 1024,
    READY_MS = 30000,
    STEP_MS = 20,
    STOP_MS = 40000,
    PATH_LEN = 1200,
    WATCH_MS = 500
};

static const char usage[] =
    "usage: certmill dev [--state DIR] [--listen ADDRESS:PORT] [--http-port PORT] [--private-port "
    "PORT] [--fronts N] [--once]\n"
    "\n"
    "Starts a private PostgreSQL, a root and an issuing CA, a signer and an ACME front end, prints "
    "the directory URL and commands to paste, and serves until\n"
    "Ctrl-C; then it stops what it started. State lives in one folder and is used again by the "
    "next start.\n"
    "\n"
    "  --state DIR          where state lives (default: ~/.local/state/certmill-dev, "
    "/var/lib/certmill-dev for root)\n"
    "  --listen A:P         where ACME is served (default 127.0.0.1:14000); further front ends use "
    "the ports behind it\n"
    "  --http-port P        where http-01 challenges are fetched (default 5002)\n"
    "  --private-port P     first of the ports of private listeners and internal calls (default: "
    "the ACME port + 100)\n"
    "  --fronts N           front ends, 1 to 4 (default 1)\n"
    "  --once               issue one certificate through the whole path, print it, stop, exit 0\n"
    "  --test-seams         pass --test-seams to the programs (never in production)\n";

struct dev {
    char state[PATH_LEN], host[64];
    unsigned port, http_port, private_port, fronts;
    bool once, seams;
    int lock;
    struct postgres pg;
    struct process signer, front[FRONTS_MAX];
    int signals;
    char note[NOTE_MAX];
};

// ---- small things

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("certmill dev: ");
    vprintf(fmt, ap);
    printf("\n");
    fflush(stdout);
    va_end(ap);
}

__attribute__((format(printf, 2, 3))) static bool refuse(struct dev *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->note, sizeof d->note, fmt, ap);
    va_end(ap);
    return false;
}

static void path_of(char out[PATH_LEN + 256], const struct dev *d, const char *name)
{
    snprintf(out, PATH_LEN + 256, "%s/%s", d->state, name);
}

static bool folder_make(struct dev *d, const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST) return true;
    return refuse(d, "%s cannot be made: %s; choose another folder with --state", path,
                  strerror(errno));
}

static bool file_write(struct dev *d, const char *name, mode_t mode, const char *text)
{
    char path[PATH_LEN + 256];
    path_of(path, d, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    size_t n = strlen(text);
    bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;
    if (fd >= 0) ok = close(fd) == 0 && ok;
    return ok || refuse(d, "%s cannot be written: %s", path, strerror(errno));
}

static bool exists(const struct dev *d, const char *name)
{
    char path[PATH_LEN + 256];
    path_of(path, d, name);
    return access(path, F_OK) == 0;
}

static bool secret_make(struct dev *d, const char *name)
{
    uint8_t random[32];
    char text[2 * sizeof random + 2];
    if (exists(d, name)) return true;
    RAND_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) snprintf(text + 2 * i, 3, "%02x", random[i]);
    strcat(text, "\n");
    bool ok = file_write(d, name, 0600, text);
    explicit_bzero(text, sizeof text);
    return ok;
}

// ---- command line and state

static void state_default(struct dev *d)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME");
    // Not below /root: PostgreSQL runs as another user there.
    if (geteuid() == 0)
        snprintf(d->state, sizeof d->state, "/var/lib/certmill-dev");
    else if (xdg != NULL && xdg[0] == '/')
        snprintf(d->state, sizeof d->state, "%s/certmill-dev", xdg);
    else
        snprintf(d->state, sizeof d->state, "%s/.local/state/certmill-dev",
                 home == NULL ? "/tmp" : home);
}

static bool listen_read(struct dev *d, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof d->host) return false;
    snprintf(d->host, sizeof d->host, "%.*s", (int)(colon - text), text);
    d->port = (unsigned)atoi(colon + 1);
    return d->port > 0 && d->port < 65536;
}

static int options_read(struct dev *d, int argc, char **argv)
{
    static const struct option longs[] = {
        {"state", 1, NULL, 's'},        {"listen", 1, NULL, 'l'}, {"http-port", 1, NULL, 'p'},
        {"private-port", 1, NULL, 'q'}, {"fronts", 1, NULL, 'n'}, {"once", 0, NULL, 'o'},
        {"test-seams", 0, NULL, 't'},   {"help", 0, NULL, 'h'},   {0}};
    state_default(d);
    (void)listen_read(d, "127.0.0.1:14000");
    d->http_port = 5002;
    d->fronts = 1;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        bool ok = true;
        switch (c) {
        case 's':
            ok = optarg[0] != 0 &&
                 snprintf(d->state, sizeof d->state, "%s", optarg) < (int)sizeof d->state;
            break;
        case 'l':
            ok = listen_read(d, optarg);
            break;
        case 'p':
            ok = (d->http_port = (unsigned)atoi(optarg)) > 0 && d->http_port < 65536;
            break;
        case 'q':
            ok = (d->private_port = (unsigned)atoi(optarg)) > 0 && d->private_port < 65000;
            break;
        case 'n':
            ok = (d->fronts = (unsigned)atoi(optarg)) >= 1 && d->fronts <= FRONTS_MAX;
            break;
        case 'o':
            d->once = true;
            break;
        case 't':
            d->seams = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            ok = false;
        }
        if (!ok) return fputs(usage, stderr), 2;
    }
    if (optind != argc) return fputs(usage, stderr), 2;
    if (d->private_port == 0) d->private_port = d->port + 100;
    return 0;
}

static bool parents_make(struct dev *d)
{
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s", d->state);
    for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = 0;
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return refuse(d, "%s cannot be made: %s; choose another folder with --state", path,
                          strerror(errno));
        *p = '/';
    }
    return true;
}

static bool state_open(struct dev *d)
{
    char path[PATH_LEN + 256], real[PATH_MAX];
    // 0755: PostgreSQL's user must get through to its own folder; what is secret has modes of its
    // own.
    if (!parents_make(d) || !folder_make(d, d->state, 0755)) return false;
    if (realpath(d->state, real) == NULL || strlen(real) >= sizeof d->state)
        return refuse(d, "%s cannot be used: %s", d->state, strerror(errno));
    snprintf(d->state, sizeof d->state, "%.*s", PATH_LEN - 1, real);
    path_of(path, d, "lock");
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock < 0)
        return refuse(d, "%s cannot be written: %s; choose another folder with --state", path,
                      strerror(errno));
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0)
        return refuse(
            d, "another `certmill dev` runs on %s; stop it, or choose another folder with --state",
            d->state);
    path_of(path, d, "log");
    return folder_make(d, path, 0755) && secret_make(d, "passphrase") &&
           secret_make(d, "cluster-secret");
}

// ---- parts

static int run_program(struct dev *d, const char *name, const char *log, const char *const *args)
{
    char path[PROGRAM_PATH_MAX], log_path[PATH_LEN + 256];
    const char *argv[32] = {path};
    size_t n = 1;
    if (!program_path(path, name))
        return refuse(d, "%s is not beside this program: build it first", name), -1;
    for (size_t i = 0; args[i] != NULL && n < 31; i++) argv[n++] = args[i];
    path_of(log_path, d, log);
    int code = process_run(
        &(struct process_options){
            .name = name, .argv = argv, .log_path = log_path, .dir = "/", .stop_signal = SIGTERM},
        d->note, sizeof d->note);
    if (code > 0) {
        process_log_tail(log_path, 8);
        refuse(d, "%s failed; its last words are above, all of them in %s", name, log_path);
    }
    return code;
}

static bool ca_make(struct dev *d)
{
    char dir[PATH_LEN + 256], pass[PATH_LEN + 256];
    path_of(dir, d, "signer");
    path_of(pass, d, "passphrase");
    if (exists(d, "signer/root.pem")) return true;
    say("making a root and an issuing CA ...");
    const char *const args[] = {"ceremony",     "--dir",   dir, "--passphrase-file", pass, "--name",
                                "certmill dev", "--quiet", NULL};
    return run_program(d, "certmill-signer", "log/ceremony.log", args) == 0;
}

// leaves_renew: whoever comes back after months finds certificates that have ended. What still
// lives renews itself while it runs.
static bool leaves_renew(struct dev *d)
{
    char dir[PATH_LEN + 256], pass[PATH_LEN + 256];
    path_of(dir, d, "signer");
    path_of(pass, d, "passphrase");
    const char *const args[] = {"renew", "--ended", "--dir", dir, "--passphrase-file", pass, NULL};
    return run_program(d, "certmill-signer", "log/ceremony.log", args) == 0;
}

static bool root_copy(struct dev *d)
{
    char path[PATH_LEN + 256], text[65536];
    path_of(path, d, "signer/root.pem");
    FILE *f = fopen(path, "rb");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    if (f != NULL) fclose(f);
    text[n] = 0;
    return n > 0 ? file_write(d, "root.pem", 0644, text)
                 : refuse(d, "%s cannot be read: %s", path, strerror(errno));
}

static unsigned signer_port(const struct dev *d) { return d->private_port + FRONTS_MAX; }
static unsigned signer_private_port(const struct dev *d)
{
    return d->private_port + FRONTS_MAX + 1;
}
static unsigned cluster_port(const struct dev *d, unsigned i)
{
    return d->private_port + FRONTS_MAX + 2 + i;
}

static bool signer_config(struct dev *d)
{
    char text[4096];
    // Root's keys are read first; then the signer is nobody, whatever happens to it.
    const char *user = geteuid() == 0 ? "user: nobody\n" : "";
    snprintf(
        text, sizeof text,
        "# Written by `certmill dev`; changes are lost at its next start.\n"
        "dir: signer\npassphrase_file: passphrase\njournal: signer/journal\n%s"
        "address: 127.0.0.1:%u\nprivate_address: 127.0.0.1:%u\n"
        "profiles:\n"
        "  server:\n    keys: [P-256, P-384, RSA-2048]\n    text: 24-hour server certificates\n"
        "  client-server:\n    keys: [P-256, P-384, RSA-2048]\n    client_auth: true\n    text: "
        "24-hour certificates for servers and clients\n"
        "  short:\n    keys: [P-256]\n    validity: 1h\n    no_rev_avail: true\n    text: one-hour "
        "server certificates without revocation data\n",
        user, signer_port(d), signer_private_port(d));
    return file_write(d, "signer.yaml", 0644, text);
}

static bool front_config(struct dev *d, unsigned i)
{
    char text[4096], name[32];
    snprintf(name, sizeof name, "acme-%u.yaml", i);
    snprintf(text, sizeof text,
             "# Written by `certmill dev`; changes are lost at its next start.\n"
             "server:\n  address: \"%s:%u\"\n  chain: signer/server.pem\n  key: signer/server.key\n"
             "private:\n  address: 127.0.0.1:%u\n"
             "database:\n  conninfo: %s\n"
             "signer:\n  targets: [\"127.0.0.1:%u\"]\n  tls: {chain: signer/acme.pem, key: "
             "signer/acme.key, trust: signer/internal-root.pem}\n"
             "cluster:\n  address: 127.0.0.1:%u\n  tls: {chain: signer/acme.pem, key: "
             "signer/acme.key, trust: signer/internal-root.pem}\n  secret: cluster-secret\n  "
             "heartbeat: 500ms\n  dead: 3s\n"
             "tenants:\n"
             "  default:\n    default: true\n    hosts: [\"localhost:%u\", \"127.0.0.1:%u\", "
             "\"[::1]:%u\", \"%s:%u\"]\n    profiles: [server, client-server, short]\n    "
             "validation:\n      denied: []\n"
             "      http_port: %u\n      overrides:\n        - {suffix: localhost, address: "
             "127.0.0.1}\n        - {suffix: internal.test, address: 127.0.0.1}\n",
             d->host, d->port + i, d->private_port + i, d->pg.conninfo, signer_port(d),
             cluster_port(d, i), d->port + i, d->port + i, d->port + i, d->host, d->port + i,
             d->http_port);
    return file_write(d, name, 0644, text);
}

// ready asks a private listener on loopback: 200 on /readyz.
static bool ready(unsigned port)
{
    static const char request[] =
        "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = 1};
    char answer[64] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 &&
              send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
              recv(fd, answer, sizeof answer - 1, 0) > 12;
    if (fd >= 0) close(fd);
    return ok && strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

// asked_to_stop: a signal has come while something was starting.
static bool asked_to_stop(const struct dev *d)
{
    struct pollfd fd = {.fd = d->signals, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static bool wait_ready(struct dev *d, struct process *p, unsigned port)
{
    for (unsigned waited = 0; waited < READY_MS; waited += STEP_MS) {
        if (!process_alive(p, NULL)) {
            process_log_tail(p->log_path, 6);
            return refuse(d, "%s ended at once; its last words are above, all of them in %s",
                          p->name, p->log_path);
        }
        if (ready(port)) return true;
        if (asked_to_stop(d)) return refuse(d, "stopped while starting");
        struct timespec t = {.tv_nsec = STEP_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    process_log_tail(p->log_path, 6);
    return refuse(d, "%s was not ready within %d s; see %s", p->name, READY_MS / 1000, p->log_path);
}

static bool daemon_start(struct dev *d, struct process *p, const char *program, const char *label,
                         const char *config, const char *log, unsigned port)
{
    char path[PROGRAM_PATH_MAX], config_path[PATH_LEN + 256], log_path[PATH_LEN + 256];
    if (!program_path(path, program))
        return refuse(d, "%s is not beside this program: build it first", program);
    path_of(config_path, d, config);
    path_of(log_path, d, log);
    const char *const argv[] = {path, "--config", config_path, d->seams ? "--test-seams" : NULL,
                                NULL};
    return process_start(p,
                         &(struct process_options){.name = label,
                                                   .argv = argv,
                                                   .log_path = log_path,
                                                   .dir = "/",
                                                   .stop_signal = SIGTERM},
                         d->note, sizeof d->note) &&
           wait_ready(d, p, port);
}

static bool database_start(struct dev *d)
{
    int from, to;
    if (!postgres_find(&d->pg, d->note, sizeof d->note)) return false;
    say("PostgreSQL ... (%s)", d->pg.bin);
    if (!postgres_prepare(&d->pg, d->state, d->note, sizeof d->note) ||
        !postgres_start(&d->pg, d->state, d->note, sizeof d->note))
        return false;
    return !failed(store_migrate(d->pg.conninfo, &from, &to, d->note, sizeof d->note));
}

static bool all_start(struct dev *d)
{
    static const char *const labels[FRONTS_MAX] = {"front end 0", "front end 1", "front end 2",
                                                   "front end 3"};
    if (!state_open(d)) return false;
    say("state in %s", d->state);
    if (!database_start(d) || !ca_make(d) || !leaves_renew(d) || !root_copy(d) || !signer_config(d))
        return false;
    say("signer ...");
    if (!daemon_start(d, &d->signer, "certmill-signer", "the signer", "signer.yaml",
                      "log/signer.log", signer_private_port(d)))
        return false;
    for (unsigned i = 0; i < d->fronts; i++) {
        char config[32], log[32];
        snprintf(config, sizeof config, "acme-%u.yaml", i);
        snprintf(log, sizeof log, "log/acme-%u.log", i);
        say("front end %u ...", i);
        if (!front_config(d, i) || !daemon_start(d, &d->front[i], "certmill-acme", labels[i],
                                                 config, log, d->private_port + i))
            return false;
    }
    return true;
}

static void all_stop(struct dev *d)
{
    for (unsigned i = 0; i < d->fronts; i++) process_stop(&d->front[i], STOP_MS);
    process_stop(&d->signer, STOP_MS);
    postgres_stop(&d->pg);
}

// ---- what one sees

static const char *shown_host(const struct dev *d)
{
    return strcmp(d->host, "127.0.0.1") == 0 || strcmp(d->host, "0.0.0.0") == 0 ||
                   strcmp(d->host, "[::1]") == 0
               ? "localhost"
               : d->host;
}

static void fingerprint_print(const struct dev *d)
{
    char path[PATH_LEN + 256], text[65536];
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct arena a;
    struct pem_block block;
    path_of(path, d, "root.pem");
    FILE *f = fopen(path, "rb");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof text, f);
    if (f != NULL) fclose(f);
    struct slice s = slice_of(text, n);
    arena_init(&a, 1 << 20);
    if (!failed(pem_next(&block, &a, &s)) && block.label.n > 0) {
        SHA256(block.der.p, block.der.n, digest);
        printf("  fingerprint  SHA-256 ");
        for (size_t i = 0; i < sizeof digest; i++)
            printf("%02X%s", digest[i], i + 1 < sizeof digest ? ":" : "\n");
    }
    arena_fini(&a);
}

static void block_print(const struct dev *d)
{
    char url[256], root[PATH_LEN + 256];
    snprintf(url, sizeof url, "https://%s:%u/directory", shown_host(d), d->port);
    path_of(root, d, "root.pem");
    printf("\n  directory    %s\n  root         %s\n", url, root);
    fingerprint_print(d);
    printf("\nIn another terminal, without root, DNS or port 80 (http-01 is fetched on port %u; "
           "*.localhost and *.internal.test are this machine):\n\n",
           d->http_port);
    printf("  curl --cacert %s %s\n\n", root, url);
    printf("  LEGO_CA_CERTIFICATES=%s lego --server %s --accept-tos --email you@internal.test \\\n "
           "   --path lego --domains app.internal.test --http --http.port 127.0.0.1:%u run\n\n",
           root, url, d->http_port);
    printf("  REQUESTS_CA_BUNDLE=%s certbot certonly --standalone --http-01-port %u --server %s "
           "\\\n    --agree-tos --register-unsafely-without-email -n -d app.internal.test "
           "--config-dir certbot/c --work-dir certbot/w --logs-dir certbot/l\n\n",
           root, d->http_port, url);
    printf("Ctrl-C stops everything that was started here.\nready\n");
    fflush(stdout);
}

static int once(struct dev *d)
{
    char path[PROGRAM_PATH_MAX], url[256], root[PATH_LEN + 256], http[64];
    int status;
    snprintf(url, sizeof url, "https://%s:%u/directory", shown_host(d), d->port);
    snprintf(http, sizeof http, "127.0.0.1:%u", d->http_port);
    path_of(root, d, "root.pem");
    if (!program_path(path, "certmill-bench"))
        return refuse(d, "certmill-bench is not beside this program: build it first"), 1;
    say("one certificate for once.internal.test ...");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl(path, path, "once", "--directory", url, "--root", root, "--http", http,
              "once.internal.test", (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    char log[PATH_LEN + 256];
    path_of(log, d, "log/acme-0.log");
    process_log_tail(log, 10);
    refuse(d, "no certificate was issued; the front end's last words are above");
    return 1;
}

// serve waits for a signal, and looks after the children: one that ends takes the others with it.
static int serve(struct dev *d)
{
    for (;;) {
        struct pollfd fd = {.fd = d->signals, .events = POLLIN};
        if (poll(&fd, 1, WATCH_MS) > 0) return 0;
        struct process *all[FRONTS_MAX + 2] = {&d->pg.process, &d->signer};
        for (unsigned i = 0; i < d->fronts; i++) all[2 + i] = &d->front[i];
        for (unsigned i = 0; i < 2 + d->fronts; i++) {
            if (process_alive(all[i], NULL) || d->seams)
                continue; // a test kills on purpose and starts again by itself
            process_log_tail(all[i]->log_path, 6);
            refuse(d, "%s ended by itself; its last words are above, all of them in %s",
                   all[i]->name, all[i]->log_path);
            return 1;
        }
    }
}

int dev_main(int argc, char **argv)
{
    static struct dev d = {.lock = -1};
    sigset_t set;
    int code = options_read(&d, argc, argv);
    if (code != 0) return code;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    d.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (!all_start(&d))
        code = 1;
    else if (d.once)
        code = once(&d);
    else {
        block_print(&d);
        code = serve(&d);
        say("stopping ...");
    }
    all_stop(&d);
    if (code != 0)
        fprintf(stderr, "certmill dev: %s\n", d.note);
    else if (!d.once)
        say("stopped");
    return code;
}
