// What `certmill dev` shows: where it serves, and commands to paste.
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/dev.h"
#include "api/cli/paths.h"
#include "proto/der/pem.h"

// The addresses of --listen that the name localhost leads to, and that the server's certificate
// names in any case. On [::] and 0.0.0.0 everything of this machine is served.
static bool is_localhost(const char *host)
{
    return strcmp(host, "127.0.0.1") == 0 || strcmp(host, "0.0.0.0") == 0 ||
           strcmp(host, "[::]") == 0;
}

const char *dev_server_name(const struct dev *d, char out[64])
{
    size_t n = strlen(d->host);
    if (is_localhost(d->host) || strcmp(d->host, "[::1]") == 0) return NULL;
    if (d->host[0] == '[')
        snprintf(out, 64, "%.*s", (int)n - 2, d->host + 1);
    else
        snprintf(out, 64, "%s", d->host);
    return out;
}

void dev_url(char out[256], const struct dev *d)
{
    snprintf(out, 256, "https://%s:%u/directory", is_localhost(d->host) ? "localhost" : d->host,
             d->port);
}

const char *dev_shell(char *out, size_t size, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:@%,";
    size_t n = 0;
    if (text[0] != 0 && strspn(text, plain) == strlen(text)) {
        snprintf(out, size, "%s", text);
        return out;
    }
    out[n++] = '\'';
    for (const char *p = text; *p != 0 && n + 6 < size; p++) {
        if (*p == '\'')
            n += (size_t)snprintf(out + n, size - n, "'\\''");
        else
            out[n++] = *p;
    }
    out[n++] = '\'';
    out[n] = 0;
    return out;
}

static void fingerprint_print(const struct dev *d)
{
    char path[DEV_PATH_MAX], text[65536];
    uint8_t digest[SHA256_DIGEST_LENGTH];
    struct arena a;
    struct pem_block block;
    dev_path(path, d, "root.pem");
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

static bool in_path(const char *program)
{
    char paths[4096], name[4200];
    const char *path = getenv("PATH");
    snprintf(paths, sizeof paths, "%s", path == NULL ? "/usr/bin:/bin" : path);
    for (char *save, *p = strtok_r(paths, ":", &save); p != NULL; p = strtok_r(NULL, ":", &save)) {
        snprintf(name, sizeof name, "%s/%s", p, program);
        if (access(name, X_OK) == 0) return true;
    }
    return false;
}

// client_say heads the command of one client, and says how to get the client where it is missing.
static void client_say(const char *program)
{
    if (in_path(program))
        printf("  # %s\n", program);
    else
        printf("  # %s (not installed here: apt-get install %s)\n", program, program);
}

// admin_print says how keys, accounts and certificates are looked after.
static void admin_print(const struct dev *d, const char *root)
{
    char path[DEV_PATH_MAX], program[PROGRAM_PATH_MAX], config[DEV_SHELL_MAX], cert[DEV_SHELL_MAX],
        key[DEV_SHELL_MAX];
    dev_path(path, d, "acme-0.yaml");
    dev_shell(config, sizeof config, path);
    printf("  # eab (docs/certmill.md: eab, account, cert)\n  %s eab create --config %s\n\n",
           program_path(program, "certmill") ? program : "certmill", config);
    if (!dev_has_admin(d)) return;
    dev_path(path, d, "signer/admin.pem");
    dev_shell(cert, sizeof cert, path);
    dev_path(path, d, "signer/admin.key");
    dev_shell(key, sizeof key, path);
    printf("  # admin (docs/openapi.json)\n"
           "  curl --cacert %s --cert %s --key %s https://localhost:%u/v1/accounts\n\n",
           root, cert, key, dev_admin_port(d));
}

void dev_block_print(const struct dev *d)
{
    char address[256], url[256], path[DEV_PATH_MAX], root[DEV_SHELL_MAX];
    dev_url(address, d);
    dev_shell(url, sizeof url, address);
    dev_path(path, d, "root.pem");
    dev_shell(root, sizeof root, path);
    printf("\n  directory    %s\n  root         %s\n", address, path);
    fingerprint_print(d);
    printf("\nIn another terminal, without root, DNS or port 80 (http-01 is fetched on port %u; "
           "*.localhost and *.internal.test are this machine):\n\n",
           d->http_port);
    client_say("curl");
    printf("  curl --cacert %s %s\n\n", root, url);
    client_say("lego");
    printf("  LEGO_CA_CERTIFICATES=%s lego --server %s --accept-tos --email you@internal.test \\\n"
           "    --path lego --domains app.internal.test --http --http.port 127.0.0.1:%u run\n\n",
           root, url, d->http_port);
    client_say("certbot");
    printf("  REQUESTS_CA_BUNDLE=%s certbot certonly --standalone --http-01-port %u --server %s "
           "\\\n    --agree-tos --register-unsafely-without-email -n -d app.internal.test "
           "--config-dir certbot/c --work-dir certbot/w --logs-dir certbot/l\n\n",
           root, d->http_port, url);
    admin_print(d, root);
    printf("Ctrl-C stops everything that was started here.\nready\n");
    fflush(stdout);
}
