// certmill-acme: the ACME front end. main reads the command line, starts the program and waits for
// signals.
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/err.h"
#include "api/program.h"
#include "cluster/core/log.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "signer/err.h"
#include "store/err.h"

enum { EXIT_FAILED = 1, EXIT_CONFIG = 2, FIRST_TEND_MS = 2000 };

static const char usage[] =
    "usage: certmill-acme --config FILE [--test-seams]\n"
    "       certmill-acme config check FILE\n"
    "\n"
    "Serves ACME (RFC 8555) over HTTP/1.1 and HTTP/2. Runs until SIGTERM, then drains. SIGHUP "
    "reads the tenants and the server's certificate again.\n"
    "exit code: 0 ended in order, 1 failed, 2 configuration or command line\n";

static int fail(int code, const char *text)
{
    fprintf(stderr, "certmill-acme: %s\n", text);
    return code;
}

static int check(const char *path)
{
    struct program *p;
    char note[PROGRAM_NOTE_MAX] = "out of memory";
    if (failed(program_load(&p, path, note))) return fail(EXIT_CONFIG, note);
    program_free(p);
    printf("%s: ok\n", path);
    return 0;
}

// signals_open blocks the signals that main waits for, before there are threads, which inherit it.
static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int serve(const char *path, bool seams)
{
    struct program *p;
    char note[PROGRAM_NOTE_MAX] = "out of memory";
    if (failed(program_load(&p, path, note))) return fail(EXIT_CONFIG, note);
    int signals = signals_open();
    if (failed(program_start(p, seams, note))) {
        log_flush(program_log(p));
        _exit(fail(EXIT_FAILED, note)); // cores that had started are not taken apart one by one
    }
    for (unsigned wait_ms = FIRST_TEND_MS;;) {
        struct pollfd fd = {.fd = signals, .events = POLLIN};
        struct signalfd_siginfo info;
        if (poll(&fd, 1, (int)wait_ms) == 0) {
            wait_ms = program_tend(p);
            continue;
        }
        if (read(signals, &info, sizeof info) != sizeof info || info.ssi_signo != SIGHUP) break;
        program_reload(p);
    }
    program_drain(p);
    program_free(p);
    close(signals);
    return 0;
}

static int usage_print(FILE *to, int code)
{
    fputs(usage, to);
    return code;
}

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
    store_err_register();
    signer_err_register();
    api_err_register();
    if (argc == 4 && strcmp(argv[1], "config") == 0 && strcmp(argv[2], "check") == 0)
        return check(argv[3]);
    for (int o; (o = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (o == 'c')
            config = optarg;
        else if (o == 't')
            seams = true;
        else if (o == 'v') {
            printf("certmill-acme %s, %s\n", CERTMILL_VERSION, tls_library_version());
            return 0;
        } else
            return usage_print(o == 'h' ? stdout : stderr, o == 'h' ? 0 : EXIT_CONFIG);
    }
    return config == NULL || optind != argc ? usage_print(stderr, EXIT_CONFIG)
                                            : serve(config, seams);
}
