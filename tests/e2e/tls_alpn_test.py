"""tls_alpn: lego (whose certificate for tls-alpn-01 has keyEncipherment alone) obtains and renews by tls-alpn-01; a server that shows another certificate, or speaks no acme-tls/1, is refused with a reason."""
import glob
import os
import subprocess
import time

from cryptography import x509

from certmill import Client, Dev, check
from tls_server import TlsServer


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def serial_of(path):
    return run(["openssl", "x509", "-in", path, "-noout", "-serial"])


def refusal(dev, name):
    """What the challenge says when there is something else at the name's port."""
    client = Client(dev)
    client.register()
    order = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]}).json()
    url = order["authorizations"][0]
    offered = {c["type"]: c["url"] for c in client.post(url).json()["challenges"]}
    check({"http-01", "tls-alpn-01"} <= set(offered), f"{offered}")
    client.post(offered["tls-alpn-01"], {})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        authorization = client.post(url).json()
        if authorization["status"] != "pending":
            break
        time.sleep(0.2)
    check(authorization["status"] == "invalid", f"{authorization}")
    (challenge,) = authorization["challenges"]
    check(challenge["type"] == "tls-alpn-01" and challenge["status"] == "invalid", f"{challenge}")
    return challenge["error"]


with Dev() as dev:
    lego = ["lego", "--server", dev.directory, "--accept-tos", "--email", "a@internal.test", "--path", os.path.join(dev.dir, "lego"), "--domains", "lego.internal.test", "--domains", "two.internal.test",
            "--tls", "--tls.port", f"127.0.0.1:{dev.tls_alpn_port}"]
    run(lego + ["run"], LEGO_CA_CERTIFICATES=dev.root)
    certificate = glob.glob(os.path.join(dev.dir, "lego", "certificates", "lego.internal.test.crt"))[0]
    first = serial_of(certificate)
    run(lego + ["renew", "--days", "90", "--no-random-sleep"], LEGO_CA_CERTIFICATES=dev.root)
    check(serial_of(certificate) != first, "lego did not renew")
    print("lego obtained and renewed by tls-alpn-01")

    error = refusal(dev, "nobody.internal.test")
    check(error["type"].endswith(":connection") and "refused" in error["detail"], f"{error}")
    server = TlsServer(dev.dir, "127.0.0.1", dev.tls_alpn_port, ["h2", "http/1.1"], x509.DNSName("web.internal.test"))
    error = refusal(dev, "web.internal.test")
    server.close()
    check(error["type"].endswith(":tls"), f"{error}")
    server = TlsServer(dev.dir, "127.0.0.1", dev.tls_alpn_port, ["acme-tls/1"], x509.DNSName("web.internal.test"))
    error = refusal(dev, "web.internal.test")
    server.close()
    check(error["type"].endswith(":incorrectResponse") and "no acmeIdentifier extension" in error["detail"], f"{error}")
    print("others are refused with a reason")
