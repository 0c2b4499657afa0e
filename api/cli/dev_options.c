// The command line of `certmill dev`.
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/dev.h"
#include "cluster/core/address.h"

static const char usage[] =
    "usage: certmill dev [--state DIR] [--listen ADDRESS:PORT] [--http-port PORT]\n"
    "                    [--tls-alpn-port PORT] [--resolver ADDRESS[:PORT]]\n"
    "                    [--private-port PORT] [--fronts N] [--once]\n"
    "\n"
    "Starts a private PostgreSQL, a root and an issuing CA, a signer and an ACME front end, "
    "prints\n"
    "the directory URL and commands to paste, and serves until Ctrl-C; then it stops what it\n"
    "started. State lives in one folder and is used again by the next start.\n"
    "\n"
    "  --state DIR          where state lives (default: ~/.local/state/certmill-dev,\n"
    "                       /var/lib/certmill-dev for root)\n"
    "  --listen A:P         where ACME is served (default 127.0.0.1:14000); further front ends\n"
    "                       use the ports behind it\n"
    "  --http-port P        where http-01 challenges are fetched (default 5002)\n"
    "  --tls-alpn-port P    where tls-alpn-01 challenges are met (default 5001)\n"
    "  --resolver A[:P]     the DNS server that is asked when challenges are validated\n"
    "                       (default: the host's)\n"
    "  --private-port P     first of eleven ports, on 127.0.0.1, of private listeners and "
    "internal\n"
    "                       calls (default: the ACME port + 100)\n"
    "  --fronts N           front ends, 1 to 4 (default 1)\n"
    "  --once               issue one certificate through the whole path, print it, stop, exit 0\n"
    "  --test-seams         pass --test-seams to the programs (never in production)\n"
    "  --help               print this\n"
    "\n"
    "exit code: 0 stopped in order, 1 failed, 2 command line\n";

static int wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int wrong(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("certmill dev: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("\n\n", stderr);
    fputs(usage, stderr);
    va_end(ap);
    return 2;
}

// number_read takes a decimal number of low..high and nothing else.
static bool number_read(unsigned *out, const char *text, unsigned low, unsigned high)
{
    char *end;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits] != 0) return false;
    unsigned long n = strtoul(text, &end, 10);
    if (n < low || n > high) return false;
    *out = (unsigned)n;
    return true;
}

static bool listen_read(struct dev *d, const char *text)
{
    struct sockaddr_storage address;
    socklen_t len;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof d->host ||
        failed(address_parse(&address, &len, slice_str(text), 0)) || address.ss_family == AF_UNIX)
        return false;
    snprintf(d->host, sizeof d->host, "%.*s", (int)(colon - text), text);
    d->port = address_port((const struct sockaddr *)&address);
    return d->port > 0;
}

static bool resolver_read(struct dev *d, const char *text)
{
    struct sockaddr_storage address;
    socklen_t len;
    if (strlen(text) >= sizeof d->resolver ||
        failed(address_parse(&address, &len, slice_str(text), 53)) || address.ss_family == AF_UNIX)
        return false;
    snprintf(d->resolver, sizeof d->resolver, "%s", text);
    return true;
}

// state_default: root's is not below /root, because PostgreSQL runs as another user there. Empty
// when there is no home.
static void state_default(struct dev *d)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME");
    const struct passwd *user = getpwuid(geteuid());
    if (home == NULL || home[0] != '/') home = user == NULL ? NULL : user->pw_dir;
    if (geteuid() == 0)
        snprintf(d->state, sizeof d->state, "/var/lib/certmill-dev");
    else if (xdg != NULL && xdg[0] == '/')
        snprintf(d->state, sizeof d->state, "%s/certmill-dev", xdg);
    else if (home != NULL && home[0] == '/')
        snprintf(d->state, sizeof d->state, "%s/.local/state/certmill-dev", home);
}

// ports_fit: every listener gets a port of its own, below 65536.
static int ports_fit(const struct dev *d)
{
    unsigned last = d->port + d->fronts - 1, private_last = d->private_port + DEV_PORTS - 1;
    if (last > 65535)
        return wrong("--listen: %u front ends from port %u on do not fit below 65536", d->fronts,
                     d->port);
    if (private_last > 65535)
        return wrong("--private-port: the %d ports from %u on do not fit below 65536", DEV_PORTS,
                     d->private_port);
    if (d->private_port <= last && d->port <= private_last)
        return wrong("--private-port: the ports %u to %u overlap with those of --listen, %u to %u",
                     d->private_port, private_last, d->port, last);
    const struct {
        const char *option;
        unsigned port;
    } challenges[] = {{"--http-port", d->http_port}, {"--tls-alpn-port", d->tls_alpn_port}};
    for (size_t i = 0; i < sizeof challenges / sizeof challenges[0]; i++) {
        unsigned port = challenges[i].port;
        if ((port >= d->port && port <= last) || (port >= d->private_port && port <= private_last))
            return wrong("%s: %u is a port that certmill itself listens on", challenges[i].option,
                         port);
    }
    return 0;
}

static int option_read(struct dev *d, int c)
{
    switch (c) {
    case 's':
        if (optarg[0] != 0 &&
            snprintf(d->state, sizeof d->state, "%s", optarg) < (int)sizeof d->state)
            return 0;
        return wrong("--state: expected a path of 1 to %d bytes", DEV_STATE_MAX - 1);
    case 'l':
        if (listen_read(d, optarg)) return 0;
        return wrong("--listen: \"%s\" is no address and port; expected one such as "
                     "127.0.0.1:14000 or [::1]:14000",
                     optarg);
    case 'p':
        if (number_read(&d->http_port, optarg, 1, 65535)) return 0;
        return wrong("--http-port: expected a port, 1 to 65535; got \"%s\"", optarg);
    case 'a':
        if (number_read(&d->tls_alpn_port, optarg, 1, 65535)) return 0;
        return wrong("--tls-alpn-port: expected a port, 1 to 65535; got \"%s\"", optarg);
    case 'r':
        if (resolver_read(d, optarg)) return 0;
        return wrong("--resolver: \"%s\" is no address; expected one such as 10.0.0.53 or "
                     "127.0.0.1:5300",
                     optarg);
    case 'q':
        if (number_read(&d->private_port, optarg, 1, 65535)) return 0;
        return wrong("--private-port: expected a port, 1 to 65535; got \"%s\"", optarg);
    case 'n':
        if (number_read(&d->fronts, optarg, 1, DEV_FRONTS_MAX)) return 0;
        return wrong("--fronts: expected 1 to %d; got \"%s\"", DEV_FRONTS_MAX, optarg);
    case 'o':
        d->once = true;
        return 0;
    case 't':
        d->seams = true;
        return 0;
    default: // --help
        fputs(usage, stdout);
        exit(0);
    }
}

int dev_options_read(struct dev *d, int argc, char **argv)
{
    static const struct option longs[] = {{"state", 1, NULL, 's'},
                                          {"listen", 1, NULL, 'l'},
                                          {"http-port", 1, NULL, 'p'},
                                          {"private-port", 1, NULL, 'q'},
                                          {"fronts", 1, NULL, 'n'},
                                          {"once", 0, NULL, 'o'},
                                          {"tls-alpn-port", 1, NULL, 'a'},
                                          {"test-seams", 0, NULL, 't'},
                                          {"resolver", 1, NULL, 'r'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    state_default(d);
    (void)listen_read(d, "127.0.0.1:14000");
    d->http_port = 5002;
    d->tls_alpn_port = 5001;
    d->fronts = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        const char *word = argv[optind - 1];
        if (c == ':') return wrong("%s needs a value", word);
        if (c == '?') return wrong("there is no option %s", word);
        int code = option_read(d, c);
        if (code != 0) return code;
    }
    if (optind != argc) return wrong("\"%s\" is not expected here", argv[optind]);
    if (d->state[0] == 0)
        return wrong("there is no home folder for the state (HOME is not set); name a folder with "
                     "--state");
    if (d->private_port == 0) d->private_port = d->port + 100;
    return ports_fit(d);
}
