"""bed: what every client of this suite meets: one `certmill dev` where the pages of docs/clients say it is, ports 80 and 443, and names that lead here.

The server's clock is 17 hours behind: each certificate has seven of its 24 hours left when it is issued, so that the ordinary renewal of a client finds
it due, as it will on the evening of a day in production, without an option that forces it."""
import functools
import http.server
import os
import shutil
import subprocess
import tempfile
import threading

from certmill import Dev, check, shifted

BEHIND_S = 17 * 3600
NAME = "app.internal.test"


def own_network():
    """Whether this process is alone in its network: only then are the ports of the pages its own."""
    with open("/proc/net/dev", encoding="utf-8") as f:
        return [line.split(":")[0].strip() for line in f.readlines()[2:]] == ["lo"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Bed:
    def __init__(self):
        self.dev = Dev()
        self.dev.env = shifted(self.dev, -BEHIND_S)
        self.dev.port, self.dev.http_port, self.dev.private_port = 14000, 80, 14100
        self.folder = tempfile.mkdtemp(prefix="certmill-clients-", dir="/tmp")

    def __enter__(self):
        self.dev.__enter__()
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.dev.__exit__(kind, value, trace)

    def files(self):
        """What an operator's host has, besides a client's own files."""
        with open(self.dev.root, encoding="utf-8") as f:
            root = f.read()
        return {"/etc/hosts": f"127.0.0.1 localhost {NAME}\n::1 localhost\n", "/var/lib/certmill-dev/root.pem": root}

    def web_server(self, folder):
        """A web server for the folder, on port 80, until it is closed."""
        os.makedirs(folder, exist_ok=True)
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


def netns_command(command):
    """The command in a network of its own: only loopback, and all ports free to it, for root and for a user."""
    up = 'ip link set lo up; sysctl -q -w net.ipv4.ip_unprivileged_port_start=0; exec "$@"'
    if os.getuid() == 0:
        return ["unshare", "--net", "sh", "-c", up, "netns"] + command
    back = ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
    return ["unshare", "--map-root-user", "--net", "sh", "-c", up, "netns"] + back + command


def can(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
