"""clients: stock certbot (HTTP/1.1, RS256), lego (ES256) and curl (HTTP/2), with the private root trusted through their own variables only."""
import glob
import os
import subprocess

from certmill import Dev, check


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def serial_of(path):
    return run(["openssl", "x509", "-in", path, "-noout", "-serial"])


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

    folders = ["--config-dir", os.path.join(dev.dir, "c"), "--work-dir", os.path.join(dev.dir, "w"), "--logs-dir", os.path.join(dev.dir, "l")]
    run(["certbot", "certonly", "--standalone", "--http-01-port", str(dev.http_port), "--server", dev.directory, "-d", "certbot.internal.test", "--agree-tos", "--register-unsafely-without-email", "-n"] + folders,
        REQUESTS_CA_BUNDLE=dev.root)
    certificate = os.path.join(dev.dir, "c", "live", "certbot.internal.test", "cert.pem")
    first = serial_of(certificate)
    run(["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew"] + folders, REQUESTS_CA_BUNDLE=dev.root)
    check(serial_of(certificate) != first, "certbot did not renew")
    print("certbot obtained and renewed")
    check(dev.psql("SELECT count(*) FROM certificates") == "4", "the store does not hold four certificates")
    check(len([r for r in dev.journal() if r["kind"] == "signed"]) == 4, "the journal does not hold four certificates")
