// certmill: the operator's command. main only finds the command.
#include <stdio.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/err.h"
#include "cluster/core/clock.h"
#include "cluster/err.h"
#include "proto/err.h"
#include "proto/tls/tls.h"
#include "store/err.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"dev", dev_main, "everything on this machine: PostgreSQL, CA, signer, front end"},
    {"init", init_main, "make the keys and certificates of a new CA (the signer's ceremony)"},
    {"migrate", migrate_main, "bring a database to this version's schema"},
    {"eab", eab_main, "keys for external account binding: create, list, show, disable ..."},
    {"account", account_main, "accounts: list, show, deactivate"},
    {"cert", cert_main, "certificates: list, show, export, revoke, renew early"},
    {"renewal", renewal_main, "rules by which renewals were moved: list, cancel"},
    {"openapi", openapi_main, "print the admin operations as an OpenAPI document"},
    {"config", config_main, "check a front end's configuration, or print its reference"},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: certmill COMMAND [options]\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\ncertmill COMMAND --help says more.\n");
}

int main(int argc, char **argv)
{
    proto_err_register();
    cluster_err_register();
    store_err_register();
    api_err_register();
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return usage(stdout), 0;
    if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        return printf("certmill %s, %s\n", CERTMILL_VERSION, tls_library_version()), 0;
    if (failed(clock_start()))
        return fputs("certmill: CERTMILL_TEST_CLOCK_OFFSET_S is not a number of seconds\n", stderr),
               2;
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    if (argc >= 2) fprintf(stderr, "certmill: there is no command %s\n\n", argv[1]);
    usage(stderr);
    return 2;
}
