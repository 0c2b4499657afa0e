#include "signer/settings_main.h"

#include <stdio.h>
#include <string.h>

#include "cluster/core/config.h"
#include "signer/settings.h"

enum { ARENA_MAX = 4 << 20, DOCS_MAX = 1 << 20 };

static int check(const char *path)
{
    struct signer_settings s;
    struct arena a;
    char error[CONFIG_ERROR_MAX];
    arena_init(&a, ARENA_MAX);
    bool ok = !failed(config_load(&s, sizeof s, signer_settings_table, &a, path, error));
    arena_fini(&a);
    if (ok)
        printf("%s: ok\n", path);
    else
        fprintf(stderr, "certmill-signer: %s\n", error);
    return ok ? 0 : 2;
}

static int reference(void)
{
    struct buf b;
    buf_init(&b, DOCS_MAX);
    bool ok = !failed(config_docs(&b, "The signer's configuration", signer_settings_table));
    if (ok) fwrite(buf_slice(&b).p, 1, buf_len(&b), stdout);
    buf_fini(&b);
    return ok ? 0 : 1;
}

int settings_main(int argc, char **argv)
{
    static const char usage[] =
        "usage: certmill-signer config check FILE\n       certmill-signer config reference\n\n"
        "Checks a signer's configuration file, or prints the reference of all keys as Markdown.\n";
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return fputs(usage, stdout), 0;
    if (argc == 3 && strcmp(argv[1], "check") == 0) return check(argv[2]);
    if (argc == 2 && strcmp(argv[1], "reference") == 0) return reference();
    return fputs(usage, stderr), 2;
}
