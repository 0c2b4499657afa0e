// small: the commands that are one call: init, migrate, config, openapi.
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/admin/openapi.h"
#include "api/cli/commands.h"
#include "api/cli/paths.h"
#include "api/settings.h"
#include "store/store.h"

enum { ARENA_MAX = 16 << 20, NOTE_MAX = 512, DOCS_MAX = 1 << 20, ARGS_MAX = 64 };

bool program_path(char out[PROGRAM_PATH_MAX], const char *name)
{
    char self[PROGRAM_PATH_MAX / 2];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return false;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (slash == NULL) return false;
    *slash = 0;
    snprintf(out, PROGRAM_PATH_MAX, "%s/%s", self, name);
    return access(out, X_OK) == 0;
}

int init_main(int argc, char **argv)
{
    char path[PROGRAM_PATH_MAX];
    char *args[ARGS_MAX] = {path, (char *)(uintptr_t) "ceremony"};
    int n = 2;
    if (!program_path(path, "certmill-signer"))
        return fprintf(stderr, "certmill: certmill-signer is not beside this program\n"), 1;
    for (int i = 1; i < argc && n < ARGS_MAX - 1; i++) args[n++] = argv[i];
    // The keys are made by the signer's own program: this one never holds a CA key.
    execv(path, args);
    fprintf(stderr, "certmill: %s: %s\n", path, strerror(errno));
    return 1;
}

int migrate_main(int argc, char **argv)
{
    static const char usage[] =
        "usage: certmill migrate --database CONNINFO\n\nBrings the database to the schema of this "
        "version, under a lock, and makes the first partitions.\n";
    char note[NOTE_MAX];
    int from, to;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return fputs(usage, stdout), 0;
    if (argc != 3 || strcmp(argv[1], "--database") != 0) return fputs(usage, stderr), 2;
    if (failed(store_migrate(argv[2], &from, &to, note, sizeof note)))
        return fprintf(stderr, "certmill: %s\n", note), 1;
    if (from == to)
        printf("the database has schema version %d already\n", to);
    else
        printf("the database went from schema version %d to %d\n", from, to);
    return 0;
}

static int config_check(const char *path)
{
    struct settings s;
    struct arena a;
    char error[CONFIG_ERROR_MAX];
    arena_init(&a, ARENA_MAX);
    bool ok = !failed(config_load(&s, sizeof s, settings_table, &a, path, error));
    arena_fini(&a);
    if (ok)
        printf("%s: ok\n", path);
    else
        fprintf(stderr, "certmill: %s\n", error);
    return ok ? 0 : 2;
}

static int config_reference(void)
{
    struct buf b;
    buf_init(&b, DOCS_MAX);
    bool ok = !failed(config_docs(&b, "The front end's configuration", settings_table));
    if (ok) fwrite(buf_slice(&b).p, 1, buf_len(&b), stdout);
    buf_fini(&b);
    return ok ? 0 : 1;
}

int openapi_main(int argc, char **argv)
{
    static const char usage[] =
        "usage: certmill openapi\n\nPrints the admin operations, as a front end's admin listener "
        "serves them, as an OpenAPI 3.1 document in JSON.\n";
    struct buf b;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return fputs(usage, stdout), 0;
    if (argc != 1) return fputs(usage, stderr), 2;
    buf_init(&b, DOCS_MAX);
    bool ok = !failed(admin_openapi_write(&b));
    if (ok) fwrite(buf_slice(&b).p, 1, buf_len(&b), stdout);
    buf_fini(&b);
    return ok ? 0 : 1;
}

int config_main(int argc, char **argv)
{
    static const char usage[] =
        "usage: certmill config check FILE\n       certmill config reference\n\nChecks a front "
        "end's configuration file, or prints the reference of all keys as Markdown.\n";
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return fputs(usage, stdout), 0;
    if (argc == 3 && strcmp(argv[1], "check") == 0) return config_check(argv[2]);
    if (argc == 2 && strcmp(argv[1], "reference") == 0) return config_reference();
    return fputs(usage, stderr), 2;
}
