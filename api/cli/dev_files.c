// The configuration files that `certmill dev` writes at each start, and the ports in them.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/cli/dev.h"
#include "cluster/core/address.h"

unsigned dev_signer_port(const struct dev *d) { return d->private_port + DEV_FRONTS_MAX; }
unsigned dev_admin_port(const struct dev *d) { return d->private_port + 2 * DEV_FRONTS_MAX + 2; }
unsigned dev_crl_port(const struct dev *d) { return d->private_port + 2 * DEV_FRONTS_MAX + 3; }
unsigned dev_signer_private_port(const struct dev *d)
{
    return d->private_port + DEV_FRONTS_MAX + 1;
}
static unsigned cluster_port(const struct dev *d, unsigned i)
{
    return d->private_port + DEV_FRONTS_MAX + 2 + i;
}

// ---- ports

static bool port_check(struct dev *d, const char *host, unsigned port, const char *option)
{
    char text[128];
    struct sockaddr_storage address;
    socklen_t len;
    const int one = 1;
    snprintf(text, sizeof text, "%s:%u", host, port);
    if (failed(address_parse(&address, &len, slice_str(text), 0)))
        return dev_refuse(d, "%s is no address; choose another with %s", text, option);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int error = fd < 0 || bind(fd, (const struct sockaddr *)&address, len) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    if (error == 0) return true;
    if (error == EADDRINUSE)
        return dev_refuse(d, "%s is in use by another program; stop it, or choose another with %s",
                          text, option);
    return dev_refuse(d, "%s cannot be listened on: %s; choose another with %s", text,
                      strerror(error), option);
}

bool dev_ports_check(struct dev *d)
{
    for (unsigned i = 0; i < d->fronts; i++)
        if (!port_check(d, d->host, d->port + i, "--listen") ||
            !port_check(d, "127.0.0.1", d->private_port + i, "--private-port") ||
            !port_check(d, "127.0.0.1", cluster_port(d, i), "--private-port"))
            return false;
    return port_check(d, "127.0.0.1", dev_signer_port(d), "--private-port") &&
           port_check(d, "127.0.0.1", dev_signer_private_port(d), "--private-port") &&
           port_check(d, "127.0.0.1", dev_admin_port(d), "--private-port") &&
           port_check(d, "127.0.0.1", dev_crl_port(d), "--private-port") &&
           (!d->once || port_check(d, "127.0.0.1", d->http_port, "--http-port"));
}

// ---- files

bool dev_signer_config(struct dev *d)
{
    char text[4096];
    // Root's keys are read first; then the signer is nobody, whatever happens to it.
    const char *user = geteuid() == 0 ? "user: nobody\n" : "";
    snprintf(text, sizeof text,
             "# Written by `certmill dev`; changes are lost at its next start.\n"
             "dir: signer\n"
             "passphrase_file: passphrase\n"
             "journal: signer/journal\n"
             "%s"
             "address: 127.0.0.1:%u\n"
             "private_address: 127.0.0.1:%u\n"
             "profiles:\n"
             "  server:\n"
             "    keys: [P-256, P-384, RSA-2048]\n"
             "    networks: [127.0.0.0/8, '::1']\n"
             "    text: 24-hour server certificates\n"
             "  client-server:\n"
             "    keys: [P-256, P-384, RSA-2048]\n"
             "    client_auth: true\n"
             "    networks: [127.0.0.0/8, '::1']\n"
             "    text: 24-hour certificates for servers and clients\n"
             "  short:\n"
             "    keys: [P-256]\n"
             "    validity: 1h\n"
             "    no_rev_avail: true\n"
             "    text: one-hour server certificates without revocation data\n"
             "  revocable:\n"
             "    keys: [P-256, P-384, RSA-2048]\n"
             "    networks: [127.0.0.0/8, '::1']\n"
             "    crl_url: http://localhost:%u/crl\n"
             "    text: 24-hour server certificates that name a CRL\n",
             user, dev_signer_port(d), dev_signer_private_port(d), dev_crl_port(d));
    return dev_file_write(d, "signer.yaml", false, text);
}

// yaml_quote writes a text in YAML's single quotes.
static void yaml_quote(char *out, size_t size, const char *text)
{
    size_t n = 0;
    out[n++] = '\'';
    for (const char *p = text; *p != 0 && n + 4 < size; p++) {
        if (*p == '\'') out[n++] = '\'';
        out[n++] = *p;
    }
    out[n++] = '\'';
    out[n] = 0;
}

bool dev_has_admin(const struct dev *d) { return dev_file_exists(d, "signer/admin.pem"); }

// first_config: the first front end serves CRLs without TLS and listens for administrators. A CA of
// an earlier version has no certificate for them.
static void first_config(const struct dev *d, unsigned i, char *out, size_t size)
{
    out[0] = 0;
    if (i != 0) return;
    size_t n = (size_t)snprintf(out, size, "crl:\n  address: 127.0.0.1:%u\n", dev_crl_port(d));
    if (!dev_has_admin(d)) return;
    snprintf(out + n, size - n,
             "admin:\n"
             "  address: 127.0.0.1:%u\n"
             "  tls: {chain: signer/server.pem, key: signer/server.key, trust: "
             "signer/internal-root.pem}\n",
             dev_admin_port(d));
}

bool dev_front_config(struct dev *d, unsigned i)
{
    char text[8192], name[32], conninfo[2 * sizeof d->pg.conninfo], first[512];
    unsigned port = d->port + i;
    char resolver[2 * sizeof d->resolver] = "";
    if (d->resolver[0] != 0) yaml_quote(resolver, sizeof resolver, d->resolver);
    yaml_quote(conninfo, sizeof conninfo, d->pg.conninfo);
    first_config(d, i, first, sizeof first);
    snprintf(name, sizeof name, "acme-%u.yaml", i);
    snprintf(text, sizeof text,
             "# Written by `certmill dev`; changes are lost at its next start.\n"
             "server:\n"
             "  address: \"%s:%u\"\n"
             "  chain: signer/server.pem\n"
             "  key: signer/server.key\n"
             "private:\n"
             "  address: 127.0.0.1:%u\n"
             "database:\n"
             "  conninfo: %s\n"
             "signer:\n"
             "  targets: [\"127.0.0.1:%u\"]\n"
             "  tls: {chain: signer/acme.pem, key: signer/acme.key, trust: "
             "signer/internal-root.pem}\n"
             "cluster:\n"
             "  address: 127.0.0.1:%u\n"
             "  tls: {chain: signer/acme.pem, key: signer/acme.key, trust: "
             "signer/internal-root.pem}\n"
             "  secret: cluster-secret\n"
             "  heartbeat: 500ms\n"
             "  dead: 3s\n"
             "%s"
             "tenants:\n"
             "  default:\n"
             "    default: true\n"
             "    hosts: [\"localhost:%u\", \"127.0.0.1:%u\", \"[::1]:%u\", \"%s:%u\"]\n"
             "    profiles: [server, client-server, short, revocable]\n"
             "    eab: optional\n"
             "    validation:\n"
             "      denied: []\n"
             "      http_port: %u\n"
             "      tls_alpn_port: %u\n"
             "      resolvers: [%s]\n"
             "      overrides:\n"
             "        - {suffix: localhost, address: 127.0.0.1}\n"
             "        - {suffix: internal.test, address: 127.0.0.1}\n",
             d->host, port, d->private_port + i, conninfo, dev_signer_port(d), cluster_port(d, i),
             first, port, port, port, d->host, port, d->http_port, d->tls_alpn_port, resolver);
    return dev_file_write(d, name, false, text);
}
