"""clients: stock certbot (HTTP/1.1, RS256), lego (ES256) and curl (HTTP/2), with the private root trusted through their own variables only."""
import glob
import os
import signal
import subprocess
import time

from certmill import Client, Dev, check


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def serial_of(path):
    return run(["openssl", "x509", "-in", path, "-noout", "-serial"])


def refused(dev, percent):
    """From now on so many of a hundred good nonces are refused."""
    path, client = os.path.join(dev.state, "acme-0.yaml"), Client(dev)
    if percent:
        client.register()
    with open(path, encoding="utf-8") as f:
        text = "".join(line for line in f if not line.startswith("bad_nonce_percent"))
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + f"bad_nonce_percent: {percent}\n")
    os.kill(dev.pids("certmill-acme")[0], signal.SIGHUP)
    deadline, refusals = time.monotonic() + 20, 0
    while percent and refusals < 3 and time.monotonic() < deadline:
        refusals += client.post(client.kid).status == 400
    check(refusals >= 3 or not percent, "no nonce was refused")


def revoked(dev, path):
    """The reason that is kept of a certificate's revocation, "" of none."""
    return dev.psql("SELECT reason FROM revocations WHERE serial = decode('%s', 'hex')" % serial_of(path).strip().split("=")[1])


def revocations(dev, lego, folders):
    """certbot by the certificate's key and by the account, lego by the account; what is revoked once cannot be again."""
    live = os.path.join(dev.dir, "c", "live", "certbot.internal.test")
    archive = os.path.join(dev.dir, "c", "archive", "certbot.internal.test")
    certbot = ["certbot", "revoke", "-n", "--no-delete-after-revoke", "--server", dev.directory] + folders
    run(certbot + ["--cert-path", os.path.join(archive, "cert1.pem"), "--key-path", os.path.join(archive, "privkey1.pem"), "--reason", "keycompromise"], REQUESTS_CA_BUNDLE=dev.root)
    check(revoked(dev, os.path.join(archive, "cert1.pem")) == "1", "certbot did not revoke by the certificate's key")
    run(certbot + ["--cert-path", os.path.join(live, "cert.pem"), "--reason", "superseded"], REQUESTS_CA_BUNDLE=dev.root)
    check(revoked(dev, os.path.join(live, "cert.pem")) == "4", "certbot did not revoke by its account")
    again = subprocess.run(certbot + ["--cert-path", os.path.join(live, "cert.pem")], capture_output=True, text=True, timeout=120, env=dict(os.environ, REQUESTS_CA_BUNDLE=dev.root))
    with open(os.path.join(dev.dir, "l", "letsencrypt.log"), encoding="utf-8") as f:  # certbot 2.1 stumbles over its own error and shows another
        check(again.returncode != 0 and "alreadyRevoked" in f.read(), again.stderr + again.stdout)
    certificate = glob.glob(os.path.join(dev.dir, "lego", "certificates", "lego.internal.test.crt"))[0]
    check(revoked(dev, certificate) == "", "it was revoked already")
    run(lego + ["revoke", "--keep"], LEGO_CA_CERTIFICATES=dev.root)
    check(revoked(dev, certificate) == "0", "lego did not revoke")
    print("certbot and lego revoked")


with Dev() as dev:
    run(["curl", "--version"])
    out = run(["curl", "-sS", "--http2", "--cacert", dev.root, "-w", "%{http_version} %{http_code}", dev.directory])
    check(out.endswith("2 200") and "newOrder" in out, out)
    out = run(["curl", "-sS", "--http1.1", "--cacert", dev.root, "-w", "%{http_version} %{http_code}", f"https://localhost:{dev.port}/dir"])
    check(out.endswith("1.1 200"), out)

    lego = ["lego", "--server", dev.directory, "--accept-tos", "--email", "a@internal.test", "--path", os.path.join(dev.dir, "lego"), "--domains", "lego.internal.test", "--domains", "two.internal.test",
            "--http", "--http.port", f"127.0.0.1:{dev.http_port}"]
    run(lego + ["run"], LEGO_CA_CERTIFICATES=dev.root)
    certificate = glob.glob(os.path.join(dev.dir, "lego", "certificates", "lego.internal.test.crt"))[0]
    first = serial_of(certificate)
    run(lego + ["renew", "--days", "90", "--no-random-sleep"], LEGO_CA_CERTIFICATES=dev.root)
    check(serial_of(certificate) != first, "lego did not renew")
    print("lego obtained and renewed")
    refused(dev, 20)
    second = serial_of(certificate)
    run(lego + ["renew", "--days", "90", "--no-random-sleep"], LEGO_CA_CERTIFICATES=dev.root)
    check(serial_of(certificate) != second, "lego did not renew where nonces are refused")
    print("lego renewed where every fifth nonce is refused")
    refused(dev, 0)

    folders = ["--config-dir", os.path.join(dev.dir, "c"), "--work-dir", os.path.join(dev.dir, "w"), "--logs-dir", os.path.join(dev.dir, "l")]
    run(["certbot", "certonly", "--standalone", "--http-01-port", str(dev.http_port), "--server", dev.directory, "-d", "certbot.internal.test", "--agree-tos", "--register-unsafely-without-email", "-n"] + folders,
        REQUESTS_CA_BUNDLE=dev.root)
    certificate = os.path.join(dev.dir, "c", "live", "certbot.internal.test", "cert.pem")
    first = serial_of(certificate)
    run(["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew"] + folders, REQUESTS_CA_BUNDLE=dev.root)
    check(serial_of(certificate) != first, "certbot did not renew")
    print("certbot obtained and renewed")
    revocations(dev, lego, folders)
    check(dev.psql("SELECT count(*) FROM certificates") == "5", "the store does not hold five certificates")
    check(len([r for r in dev.journal() if r["kind"] == "signed"]) == 5, "the journal does not hold five certificates")
