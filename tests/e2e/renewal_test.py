"""renewal: certificates of our own programs renew at half of their life without a restart, on two front ends that share them; and an installation that slept for 400 days works again."""
import datetime
import glob
import os
import socket
import ssl
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certmill import BIN, Client, Dev, ENVIRON, Responder, check, shifted

DAY_S = 86400


def read(dev, name):
    with open(os.path.join(dev.state, "signer", name), "rb") as f:
        return f.read()


def shown(port, trust, key=None, hostname="localhost"):
    """The certificate that a listener shows on a new connection; dates are not compared: its clock may be another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if key:
        context.load_cert_chain(*key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", port), 10) as s, context.wrap_socket(s, server_hostname=hostname) as t:
        return x509.load_der_x509_certificate(t.getpeercert(True))


def signer_port(dev):
    with open(os.path.join(dev.state, "signer.yaml"), encoding="utf-8") as f:
        return int(next(line for line in f if line.startswith("address:")).rsplit(":", 1)[1])


def until(what, condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.2)


def pair_fits(dev, name):
    cert, key = x509.load_pem_x509_certificate(read(dev, name + ".pem")), serialization.load_pem_private_key(read(dev, name + ".key"), None)
    return cert.public_key().public_numbers() == key.public_key().public_numbers()


def metric(dev, front, name):
    line = next(line for line in dev.private("/metrics", front)[1].splitlines() if line.startswith(name))
    return int(line.split()[-1])


def half_life():
    """The state is 50 days old: everything is past half of its life at the first start."""
    dev = Dev(fronts=2)
    made = subprocess.run(dev.command() + ["--once"], capture_output=True, text=True, timeout=100, env=shifted(dev, -50 * DAY_S))
    check(made.returncode == 0, made.stdout + made.stderr)
    old = {name: x509.load_pem_x509_certificate(read(dev, name + ".pem")) for name in ("server", "acme", "signer")}
    now = datetime.datetime.utcnow()
    check(all(c.not_valid_before < now - datetime.timedelta(days=49) and c.not_valid_after > now for c in old.values()), "not as old as they should be")
    with dev:
        responder = Responder(dev.http_port)
        before = dev.process.pid, dev.pids("certmill-acme"), dev.pids("certmill-signer")
        client = Client(dev)
        client.register()
        client.obtain(["before.internal.test"], responder)
        # The signer makes its own at once, in memory; front ends theirs in a moment.
        check(shown(signer_port(dev), None).serial_number != old["signer"].serial_number, "the signer shows its old certificate")
        for front in (0, 1):
            until(f"front end {front} shows a new certificate", lambda: shown(dev.port + front, None).serial_number != old["server"].serial_number)
            until(f"front end {front} says when it ends", lambda: metric(dev, front, 'certmill_own_certificate_end_seconds{certificate="internal"}') > time.time() + 80 * DAY_S)
        until("both front ends show the same one", lambda: shown(dev.port, None) == shown(dev.port + 1, None))
        check(shown(dev.port, None) == x509.load_pem_x509_certificate(read(dev, "server.pem")), "the file is another")
        for name in ("server", "acme"):
            check(x509.load_pem_x509_certificate(read(dev, name + ".pem")).serial_number != old[name].serial_number and pair_fits(dev, name), name + ": the files were not renewed together")
            check(os.stat(os.path.join(dev.state, "signer", name + ".key")).st_mode & 0o777 == 0o600, name + ".key can be read by others")
        names = shown(dev.port, None).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        check(sorted(names) == ["acme.internal.test", "localhost"], f"names of the server: {names}")
        check(len([r for r in dev.journal() if r["kind"] == "renewed"]) == 2, "one renewal each, for both front ends")
        for front in (0, 1):  # over new connections, with the new certificate verified
            c = Client(dev, client.key, front)
            c.register()
            c.obtain([f"after-{front}.internal.test"], responder)
        check(before == (dev.process.pid, dev.pids("certmill-acme"), dev.pids("certmill-signer")), "something was restarted")
        responder.close()
    return dev


def asleep():
    """A state is made, and started again with the clock 400 days ahead."""
    dev = Dev()
    made = subprocess.run(dev.command() + ["--once"], capture_output=True, text=True, timeout=100, env=ENVIRON)
    check(made.returncode == 0, made.stdout + made.stderr)
    old = x509.load_pem_x509_certificate(read(dev, "server.pem"))
    again = subprocess.run(dev.command() + ["--once"], capture_output=True, text=True, timeout=100, env=shifted(dev, 400 * DAY_S))
    check(again.returncode == 0, again.stdout + again.stderr + dev.log("acme-0.log")[-2000:])
    fresh = x509.load_pem_x509_certificate(read(dev, "server.pem"))
    check(fresh.not_valid_before > old.not_valid_after and pair_fits(dev, "server") and pair_fits(dev, "acme"), f"{fresh.not_valid_before} after {old.not_valid_after}")
    leaf = x509.load_pem_x509_certificate(again.stdout[again.stdout.index("-----BEGIN") :].encode())
    check(abs((leaf.not_valid_before - datetime.datetime.utcnow()).days - 400) <= 1, f"issued for {leaf.not_valid_before}")
    check("clock.shifted" in dev.log("acme-0.log") and "clock.shifted" in dev.log("signer.log"), "a shifted clock is not said")
    return dev


def by_hand(dev):
    """certmill-signer renew: all with --force, nothing that is fresh without."""
    folder = os.path.join(dev.state, "signer")
    command = [os.path.join(BIN, "certmill-signer"), "renew", "--dir", folder, "--passphrase-file", os.path.join(dev.state, "passphrase")]
    before = {name: read(dev, name + ".pem") for name in ("signer", "acme", "operator", "admin", "server")}
    env = dict(ENVIRON, CERTMILL_TEST_CLOCK_OFFSET_S=str(400 * DAY_S))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    check(done.returncode == 0 and done.stdout == "" and all(read(dev, n + ".pem") == pem for n, pem in before.items()), done.stdout + done.stderr)
    done = subprocess.run(command + ["--force"], capture_output=True, text=True, timeout=60, env=env)
    check(done.returncode == 0 and done.stdout.count("renewed") == 5 and all(read(dev, n + ".pem") != pem and pair_fits(dev, n) for n, pem in before.items()), done.stdout + done.stderr)
    wrong = subprocess.run(command[:-1] + ["/dev/null"], capture_output=True, text=True, timeout=60, env=env)
    check(wrong.returncode == 1 and "passphrase" in wrong.stderr + wrong.stdout or "/dev/null" in wrong.stderr, wrong.stderr)


def main():
    import shutil

    half_life()
    print("half_life: ok", flush=True)
    dev = asleep()
    print("asleep: ok", flush=True)
    by_hand(dev)
    print("by_hand: ok", flush=True)
    shutil.rmtree(dev.dir, ignore_errors=True)


main()
