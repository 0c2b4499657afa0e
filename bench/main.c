// certmill-bench: the load generator and micro-benchmarks. main only finds the command.
#include <stdio.h>
#include <string.h>

#include "bench/err.h"
#include "bench/loop.h"
#include "bench/micro/p256_bench.h"
#include "bench/micro/tls_bench.h"
#include "bench/once.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "proto/tls/tls.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"once", once_main, "one certificate from any ACME server, checked and printed"},
    {"loop", loop_main, "issuances one after the other, for some seconds: how many, how fast"},
    {"p256", p256_bench_main, "P-256: our kernels beside BoringSSL and crypto_mb"},
    {"tls", tls_bench_main, "what a TLS handshake costs the server, and its signature"},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: certmill-bench COMMAND [options]\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\ncertmill-bench COMMAND --help says more.\n");
}

int main(int argc, char **argv)
{
    proto_err_register();
    cluster_err_register();
    bench_err_register();
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return usage(stdout), 0;
    if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        return printf("certmill-bench %s, %s\n", CERTMILL_VERSION, tls_library_version()), 0;
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2) fprintf(stderr, "certmill-bench: there is no command %s\n\n", argv[1]);
    usage(stderr);
    return 2;
}
