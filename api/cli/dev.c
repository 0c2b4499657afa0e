// dev: everything on one machine with one command, and the same code paths as production: a private
// PostgreSQL, a CA, the signer, front ends. State lives in one folder; a second start uses it
// again. Whatever was started is stopped, and nothing else.
#include "api/cli/dev.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/paths.h"
#include "proto/der/pem.h"
#include "proto/tls/tls.h"
#include "store/store.h"

enum { READY_MS = 30000, STEP_MS = 20, STOP_MS = 40000, WATCH_MS = 500, ARGS_MAX = 32 };

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

bool dev_refuse(struct dev *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->note, sizeof d->note, fmt, ap);
    va_end(ap);
    return false;
}

// asked_to_stop: a signal has come while something was starting.
static bool asked_to_stop(const struct dev *d)
{
    struct pollfd fd = {.fd = d->signals, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static bool go_on(struct dev *d)
{
    return !asked_to_stop(d) || dev_refuse(d, "stopped while starting");
}

static bool program_find(struct dev *d, char path[PROGRAM_PATH_MAX], const char *name)
{
    return program_path(path, name) ||
           dev_refuse(d, "%s is not beside this program: build it first", name);
}

// ---- the CA

static bool signer_run(struct dev *d, const char *const *args)
{
    char path[PROGRAM_PATH_MAX], log[DEV_PATH_MAX];
    const char *argv[ARGS_MAX] = {path};
    size_t n = 1;
    if (!program_find(d, path, "certmill-signer")) return false;
    for (size_t i = 0; args[i] != NULL && n < ARGS_MAX - 1; i++) argv[n++] = args[i];
    dev_path(log, d, "log/ceremony.log");
    return process_run(&(struct process_options){.name = "the CA's keys",
                                                 .argv = argv,
                                                 .log_path = log,
                                                 .dir = "/",
                                                 .stop_signal = SIGTERM},
                       d->note, sizeof d->note) == 0;
}

static bool ca_make(struct dev *d)
{
    char dir[DEV_PATH_MAX], pass[DEV_PATH_MAX], name[64];
    const char *own = dev_server_name(d, name);
    dev_path(dir, d, "signer");
    dev_path(pass, d, "passphrase");
    if (dev_file_exists(d, "signer/root.pem")) return true;
    say("making a root and an issuing CA ...");
    const char *const args[] = {"ceremony",
                                "--dir",
                                dir,
                                "--passphrase-file",
                                pass,
                                "--name",
                                "certmill dev",
                                "--quiet",
                                own == NULL ? NULL : "--server-name",
                                own,
                                NULL};
    return signer_run(d, args);
}

// leaves_renew: whoever comes back after months finds certificates that have ended. What still
// lives renews itself while it runs.
static bool leaves_renew(struct dev *d)
{
    char dir[DEV_PATH_MAX], pass[DEV_PATH_MAX];
    dev_path(dir, d, "signer");
    dev_path(pass, d, "passphrase");
    const char *const args[] = {"renew", "--ended", "--dir", dir, "--passphrase-file", pass, NULL};
    return signer_run(d, args);
}

static bool file_get(struct dev *d, const char *name, char *text, size_t size)
{
    char path[DEV_PATH_MAX];
    dev_path(path, d, name);
    FILE *f = fopen(path, "rb");
    size_t n = f == NULL ? 0 : fread(text, 1, size - 1, f);
    if (f != NULL) fclose(f);
    text[n] = 0;
    return n > 0 || dev_refuse(d, "%s cannot be read: %s", path, strerror(errno));
}

static bool root_copy(struct dev *d)
{
    char text[65536];
    return file_get(d, "signer/root.pem", text, sizeof text) &&
           dev_file_write(d, "root.pem", false, text);
}

// server_named: the names of the server's certificate were given when the CA was made, and another
// start may listen elsewhere.
static bool server_named(struct dev *d)
{
    char name[64], text[65536];
    const char *own = dev_server_name(d, name);
    struct arena a;
    struct pem_block block = {0};
    if (own == NULL) return true;
    if (!file_get(d, "signer/server.pem", text, sizeof text)) return false;
    struct slice s = slice_str(text);
    arena_init(&a, 1 << 20);
    const uint8_t *der = !failed(pem_next(&block, &a, &s)) ? block.der.p : NULL;
    X509 *cert = der == NULL ? NULL : d2i_X509(NULL, &der, (long)block.der.n);
    bool ok = cert != NULL && X509_check_ip_asc(cert, own, 0) == 1;
    X509_free(cert);
    arena_fini(&a);
    return ok || dev_refuse(d,
                            "the server's certificate in %s does not name %s, because this state "
                            "was made for another address; listen on 127.0.0.1, or choose another "
                            "folder with --state",
                            d->state, own);
}

// ---- the programs

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

static bool wait_ready(struct dev *d, struct process *p, unsigned port)
{
    for (unsigned waited = 0; waited < READY_MS; waited += STEP_MS) {
        if (!process_alive(p, NULL)) {
            process_ended_note(p, d->note, sizeof d->note);
            return false;
        }
        if (ready(port)) return true;
        if (!go_on(d)) return false;
        struct timespec t = {.tv_nsec = STEP_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    process_log_tail(p, 6);
    return dev_refuse(d,
                      "%s was not ready within %d s; its last words are above, all of them in %s",
                      p->name, READY_MS / 1000, p->log_path);
}

static bool daemon_start(struct dev *d, struct process *p, const char *program, const char *label,
                         const char *config, const char *log, unsigned port)
{
    char path[PROGRAM_PATH_MAX], config_path[DEV_PATH_MAX], log_path[DEV_PATH_MAX];
    if (!program_find(d, path, program)) return false;
    dev_path(config_path, d, config);
    dev_path(log_path, d, log);
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
    if (!postgres_find(&d->pg, d->state, d->note, sizeof d->note)) return false;
    say("PostgreSQL ... (%s)", d->pg.bin);
    return postgres_prepare(&d->pg, d->state, d->note, sizeof d->note) && go_on(d) &&
           postgres_start(&d->pg, d->state, d->note, sizeof d->note) &&
           !failed(store_migrate(d->pg.conninfo, &from, &to, d->note, sizeof d->note));
}

static bool signer_start(struct dev *d)
{
    if (!go_on(d) || !ca_make(d) || !leaves_renew(d) || !root_copy(d) || !server_named(d) ||
        !dev_signer_config(d))
        return false;
    say("signer ...");
    return daemon_start(d, &d->signer, "certmill-signer", "the signer", "signer.yaml",
                        "log/signer.log", dev_signer_private_port(d));
}

static bool front_start(struct dev *d, unsigned i)
{
    static const char *const labels[DEV_FRONTS_MAX] = {"front end 0", "front end 1", "front end 2",
                                                       "front end 3"};
    char config[32], log[32];
    snprintf(config, sizeof config, "acme-%u.yaml", i);
    snprintf(log, sizeof log, "log/acme-%u.log", i);
    say("front end %u ...", i);
    return dev_front_config(d, i) && daemon_start(d, &d->front[i], "certmill-acme", labels[i],
                                                  config, log, d->private_port + i);
}

static bool all_start(struct dev *d)
{
    if (!dev_state_open(d)) return false;
    say("certmill %s, %s; state in %s", CERTMILL_VERSION, tls_library_version(), d->state);
    if (!dev_ports_check(d) || !database_start(d) || !signer_start(d)) return false;
    for (unsigned i = 0; i < d->fronts; i++)
        if (!front_start(d, i)) return false;
    return true;
}

static void all_stop(struct dev *d)
{
    for (unsigned i = 0; i < d->fronts; i++) process_stop(&d->front[i], STOP_MS);
    process_stop(&d->signer, STOP_MS);
    postgres_stop(&d->pg);
}

// ---- what it is for

// bench_start runs the ACME client with our own standard output.
static pid_t bench_start(struct dev *d)
{
    char path[PROGRAM_PATH_MAX], url[256], root[DEV_PATH_MAX], http[64];
    dev_url(url, d);
    snprintf(http, sizeof http, "127.0.0.1:%u", d->http_port);
    dev_path(root, d, "root.pem");
    if (!program_find(d, path, "certmill-bench")) return -1;
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid != 0) return pid;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    execl(path, path, "once", "--directory", url, "--root", root, "--http", http,
          "once.internal.test", (char *)NULL);
    _exit(127);
}

static int once(struct dev *d)
{
    int status = -1;
    say("one certificate for once.internal.test ...");
    pid_t pid = bench_start(d);
    if (pid < 0) return 1;
    for (bool told = false; waitpid(pid, &status, WNOHANG) == 0;) {
        struct pollfd fd = {.fd = d->signals, .events = POLLIN};
        if (poll(&fd, told ? 0 : 1, STEP_MS) <= 0 || told) continue;
        kill(pid, SIGTERM);
        told = true;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (asked_to_stop(d)) return dev_refuse(d, "stopped before there was a certificate"), 1;
    process_log_tail(&d->front[0], 10);
    dev_refuse(d,
               "no certificate was issued; the front end's last words are above, all of them "
               "in %s",
               d->front[0].log_path);
    return 1;
}

// serve waits for a signal, and looks after the children: one that ends takes the others with it.
static int serve(struct dev *d)
{
    for (;;) {
        struct pollfd fd = {.fd = d->signals, .events = POLLIN};
        if (poll(&fd, 1, WATCH_MS) > 0) return 0;
        struct process *all[DEV_FRONTS_MAX + 2] = {&d->pg.process, &d->signer};
        for (unsigned i = 0; i < d->fronts; i++) all[2 + i] = &d->front[i];
        for (unsigned i = 0; i < 2 + d->fronts; i++) {
            if (process_alive(all[i], NULL) || d->seams)
                continue; // a test kills on purpose and starts again by itself
            process_log_tail(all[i], 6);
            dev_refuse(d, "%s ended by itself; its last words are above, all of them in %s",
                       all[i]->name, all[i]->log_path);
            return 1;
        }
    }
}

static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int dev_main(int argc, char **argv)
{
    static struct dev d = {.dir = -1, .lock = -1};
    int code = dev_options_read(&d, argc, argv);
    if (code != 0) return code;
    umask(022); // what is secret has a mode of its own; PostgreSQL's user must get through the rest
    signal(SIGPIPE, SIG_IGN); // whoever read our output may go before we have stopped everything
    d.signals = signals_open();
    d.pg.user = postgres_user();
    if (!all_start(&d))
        code = 1;
    else if (d.once)
        code = once(&d);
    else {
        dev_block_print(&d);
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
