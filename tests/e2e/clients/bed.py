"""bed: what every client of this suite meets: one `certmill dev` where the pages of docs/clients say it is, ports 80 and 443, and names that lead here.

The server's clock is 17 hours behind: each certificate has seven of its 24 hours left when it is issued, so that the ordinary renewal of a client finds
it due, as it will on the evening of a day in production, without an option that forces it."""
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

from certmill import BIN, Dev, check, shifted

from tree import Tree

BEHIND_S = 17 * 3600
NAME = "app.internal.test"
ADDRESS = "127.0.0.1"


# The zone's key, as the pages of docs/clients write it.
TSIG = "Y2VydG1pbGwgdGVzdHMga25vdCB6b25lIGtleSAwMQ=="
KNOT = f"""
server:
    listen: 127.0.0.1@53
    rundir: /run/knot
database:
    storage: /var/lib/knot
key:
  - id: acme
    algorithm: hmac-sha256
    secret: {TSIG}
acl:
  - id: acme
    action: update
    key: acme
template:
  - id: default
    storage: /var/lib/knot
    zonefile-sync: -1
zone:
  - domain: internal.test
    file: internal.test.zone
    acl: acme
  - domain: localhost
    file: localhost.zone
"""
ZONE = """$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
@ A 127.0.0.1
* A 127.0.0.1
ns A 127.0.0.1
"""


def own_network():
    """Whether this process is alone in its network: only then are the ports of the pages its own."""
    with open("/proc/net/dev", encoding="utf-8") as f:
        return [line.split(":")[0].strip() for line in f.readlines()[2:]] == ["lo"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Bed:
    def __init__(self):
        self.dev = Dev(options=["--resolver", "127.0.0.1"])
        self.dev.env = shifted(self.dev, -BEHIND_S)
        self.dev.port, self.dev.http_port, self.dev.tls_alpn_port, self.dev.private_port = 14000, 80, 443, 14100
        self.dns = None
        self.folder = tempfile.mkdtemp(prefix="certmill-clients-", dir="/tmp")

    def __enter__(self):
        self.dev.__enter__()
        try:
            self.dns = Tree("bookworm", os.path.join(self.folder, "dns"), {"/etc/knot/knot.conf": KNOT, "/var/lib/knot/internal.test.zone": ZONE, "/var/lib/knot/localhost.zone": ZONE}, {})
            self.dns.run("mkdir -p /run/knot; chmod 770 /run/knot; knotd -d -c /etc/knot/knot.conf; for i in $(seq 100); do ! knotc status || break; sleep 0.1; done; knotc zone-status")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        if self.dns:
            self.dns.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.dev.__exit__(kind, value, trace)

    def files(self):
        """What an operator's host has, besides a client's own files."""
        with open(self.dev.root, encoding="utf-8") as f:
            root = f.read()
        return {"/etc/hosts": f"127.0.0.1 localhost {NAME}\n::1 localhost\n", "/etc/resolv.conf": "nameserver 127.0.0.1\n", "/var/lib/certmill-dev/root.pem": root}

    def web_server(self, folder):
        """A web server for the folder, on port 80, until it is closed."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), functools.partial(QuietHandler, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def rows(self, sql):
        return [line.split("|") for line in self.dev.psql(sql).splitlines()]

    def account_of(self, serial):
        """The account that ordered the certificate: id, status, version of its key, contact, key id of its external binding."""
        rows = self.rows(f"SELECT a.id, a.status, a.key_version, a.contact, a.eab_kid FROM accounts a JOIN certificates c ON c.account = a.id WHERE c.serial = '\\x{serial}'")
        check(len(rows) == 1, f"the store has no certificate {serial}")
        return dict(zip(("id", "status", "key_version", "contact", "eab_kid"), rows[0]))

    def challenge_of(self, serial):
        """The type of the challenge that proved the certificate's names; "another order's" where its order used authorizations that were there."""
        bits = self.rows(f"SELECT DISTINCT a.decided_by FROM authorizations a JOIN certificates c ON c.order_id = a.order_id WHERE c.serial = '\\x{serial}'")
        check(len(bits) < 2, f"several types of challenges: {bits}")
        return {"1": "http-01", "2": "dns-01", "4": "tls-alpn-01"}[bits[0][0]] if bits else "another order's"

    def replaced_by(self, old, new):
        """Whether the order of `new` said that it replaces `old` (RFC 9773)."""
        return self.rows(f"SELECT 1 FROM replacements r JOIN certificates c ON c.order_id = r.order_id WHERE r.serial = '\\x{old}' AND c.serial = '\\x{new}'") != []

    def profile_of(self, serial):
        return self.rows(f"SELECT profile FROM certificates WHERE serial = '\\x{serial}'")[0][0]

    def revoked(self, serial):
        return self.rows(f"SELECT reason FROM revocations WHERE serial = '\\x{serial}'") != []

    def eab_key(self):
        """A new key for external account binding, as the operator makes one: key id and secret."""
        command = [os.path.join(BIN, "certmill"), "eab", "create", "--accounts-max", "1", "--json", "--config", os.path.join(self.dev.state, "acme-0.yaml")]
        made = subprocess.run(command, capture_output=True, text=True, timeout=30, env=self.dev.env)
        check(made.returncode == 0, made.stderr)
        key = json.loads(made.stdout)
        return key["kid"], key["hmac_key"]


def netns_command(command):
    """The command in a network of its own: only loopback, and all ports free to it, for root and for a user."""
    up = 'ip link set lo up; sysctl -q -w net.ipv4.ip_unprivileged_port_start=0; exec "$@"'
    if os.getuid() == 0:
        return ["unshare", "--net", "sh", "-c", up, "netns"] + command
    back = ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
    return ["unshare", "--map-root-user", "--net", "sh", "-c", up, "netns"] + back + command
