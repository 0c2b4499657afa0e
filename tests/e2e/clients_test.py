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
    check(dev.psql("SELECT count(*) FROM certificates") == "5", "the store does not hold five certificates")
    check(len([r for r in dev.journal() if r["kind"] == "signed"]) == 5, "the journal does not hold five certificates")
