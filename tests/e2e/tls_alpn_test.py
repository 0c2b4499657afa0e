"""tls_alpn: lego (whose certificate for tls-alpn-01 has keyEncipherment alone) obtains and renews by tls-alpn-01; a server that shows another certificate, or speaks no acme-tls/1, is refused with a reason."""
import datetime
import glob
import os
import socket
import ssl
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certmill import Client, Dev, check


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def serial_of(path):
    return run(["openssl", "x509", "-in", path, "-noout", "-serial"])


class Server:
    """A TLS server with a certificate of its own for one name and no idea of the challenge."""

    def __init__(self, folder, port, name, alpn):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
                       .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(key, hashes.SHA256()))
        path = os.path.join(folder, "server.pem")
        with open(path, "wb") as f:
            f.write(certificate.public_bytes(serialization.Encoding.PEM))
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path)
        self.context.set_alpn_protocols(alpn)
        self.socket = socket.create_server(("127.0.0.1", port))
        self.socket.settimeout(0.1)
        self.ended = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.ended:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                continue
            connection.settimeout(3)
            try:
                with self.context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)
            except OSError:
                pass

    def stop(self):
        self.ended = True
        self.thread.join()
        self.socket.close()


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
    server = Server(dev.dir, dev.tls_alpn_port, "web.internal.test", ["h2", "http/1.1"])
    error = refusal(dev, "web.internal.test")
    server.stop()
    check(error["type"].endswith(":tls"), f"{error}")
    server = Server(dev.dir, dev.tls_alpn_port, "web.internal.test", ["acme-tls/1"])
    error = refusal(dev, "web.internal.test")
    server.stop()
    check(error["type"].endswith(":incorrectResponse") and "no acmeIdentifier extension" in error["detail"], f"{error}")
    print("others are refused with a reason")
