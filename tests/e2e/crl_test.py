"""crl: revocation as relying parties see it. Certificates name the CRL of their hour; it is there before the first of them, holds what was revoked within seconds, is served without TLS and at the ACME listener, and OpenSSL and
GnuTLS refuse with it what was revoked and nothing else. Numbers grow whoever makes them, also when front ends are killed; zlint finds nothing."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtensionOID

from certmill import Client, Dev, Responder, b64, check


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)


def leaf_of(chain):
    return x509.load_pem_x509_certificate(chain.encode())


def obtain(client, responder, name, profile="revocable"):
    order = client.new_order([name], profile=profile)
    client.authorize(order, responder)
    return client.finish(order, [name])


def url_of(leaf):
    points = leaf.extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS)
    check(not points.critical and len(points.value) == 1 and len(points.value[0].full_name) == 1, str(points))
    return points.value[0].full_name[0].value


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as r:
        check(r.status == 200 and r.headers["Content-Type"] == "application/pkix-crl", str(r.headers))
        return r.headers, r.read()


def crl_of(url):
    return x509.load_der_x509_crl(fetch(url)[1])


def number_of(crl):
    return crl.extensions.get_extension_for_oid(ExtensionOID.CRL_NUMBER).value.crl_number


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, what)
        time.sleep(0.1)


def revoke(client, leaf, reason=None):
    payload = {"certificate": b64(leaf.public_bytes(serialization.Encoding.DER))}
    answer = client.post(client.directory["revokeCert"], payload if reason is None else dict(payload, reason=reason))
    check(answer.status == 200, answer.body)


def verdicts(dev, chain, der):
    """What OpenSSL and GnuTLS say of a chain with this CRL: (revoked, revoked)."""
    files = {name: os.path.join(dev.dir, name) for name in ("leaf.pem", "chain.pem", "crl.pem")}
    leaf, rest = chain.split("-----END CERTIFICATE-----\n", 1)
    pem = x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM).decode()
    for name, text in (("leaf.pem", leaf + "-----END CERTIFICATE-----\n"), ("chain.pem", rest), ("crl.pem", pem)):
        with open(files[name], "w", encoding="utf-8") as f:
            f.write(text)
    said = run(["openssl", "verify", "-crl_check", "-CAfile", dev.root, "-untrusted", files["chain.pem"], "-CRLfile", files["crl.pem"], files["leaf.pem"]])
    check(said.returncode == 0 or "certificate revoked" in said.stdout + said.stderr, said.stdout + said.stderr)
    whole = os.path.join(dev.dir, "whole.pem")
    with open(whole, "w", encoding="utf-8") as f:
        f.write(chain)
    gnu = run(["certtool", "--verify", "--load-ca-certificate", dev.root, "--load-crl", files["crl.pem"], "--infile", whole])
    return said.returncode != 0, "revoked" in gnu.stdout


def revocation(dev, client, responder):
    wait_for("the first CRLs were not made", lambda: int(dev.psql("SELECT count(*) FROM crls")) >= 3)  # of a CA that has just been made
    kept, gone, by_key = (obtain(client, responder, n) for n in ("kept.internal.test", "gone.internal.test", "third.internal.test"))
    leaf, other = leaf_of(gone), leaf_of(by_key)
    url = url_of(leaf)
    crl = crl_of(url)  # there at once
    check(crl.get_revoked_certificate_by_serial_number(leaf.serial_number) is None, "revoked before it was")
    check(verdicts(dev, gone, fetch(url)[1]) == (False, False), "refused before it was revoked")
    before = number_of(crl)
    revoke(client, leaf, 4)
    revoke(client, other)
    wait_for("the revocations were not published", lambda: len(list(crl_of(url))) + (0 if url == url_of(other) else len(list(crl_of(url_of(other))))) >= 2)
    headers, der = fetch(url)
    crl = x509.load_der_x509_crl(der)
    entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
    check(entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.superseded, "the reason is not there")
    entry = crl_of(url_of(other)).get_revoked_certificate_by_serial_number(other.serial_number)
    check(len(entry.extensions) == 0, "unspecified is written")  # RFC 5280 section 5.3.1
    check(number_of(crl) > before, "the number did not grow")
    place = crl.extensions.get_extension_for_oid(ExtensionOID.ISSUING_DISTRIBUTION_POINT)
    check(place.critical and url in [n.value for n in place.value.full_name], str(place))
    check(verdicts(dev, gone, der) == (True, True), "a revoked certificate is accepted")
    check(verdicts(dev, kept, fetch(url_of(leaf_of(kept)))[1]) == (False, False), "another certificate is refused")
    check(re.fullmatch(r"public, max-age=\d+", headers["Cache-Control"]) and headers["ETag"] == f'"{number_of(crl)}"', str(headers))
    return url


def serving(dev, url):
    """HEAD, conditional requests, what is not there; and the same at the listener for ACME clients."""
    headers, der = fetch(url)
    port, path = int(url.split(":")[2].split("/")[0]), "/" + url.split("/", 3)[3]
    for method, target, more, status in (("HEAD", path, {}, 200), ("GET", path, {"If-None-Match": headers["ETag"]}, 304), ("GET", path, {"If-None-Match": '"1"'}, 200), ("POST", path, {}, 405), ("GET", "/crl/1/64.crl", {}, 404),
                                         ("GET", "/crl/1/064.crl", {}, 404), ("GET", "/crl/2/" + path.rsplit("/", 1)[1], {}, 404), ("GET", path + "x", {}, 404), ("GET", "/crl/", {}, 404), ("GET", "/directory", {}, 404), ("GET", "/metrics", {}, 404)):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request(method, target, headers=more)
        r = c.getresponse()
        body = r.read()
        check(r.status == status, f"{method} {target}: {r.status}")
        check(method != "HEAD" or (body == b"" and r.headers["Content-Length"] == str(len(der))), str(r.headers))
        c.close()
    answer = Client(dev).get(f"https://localhost:{dev.port}{path}")
    check(answer.status == 200 and answer.body == der, "the ACME listener has another CRL")


def others(dev, client, responder):
    """Profiles without crl_url name no CRL; noRevAvail keeps nothing."""
    before = dev.psql("SELECT count(*) FROM revocations")
    plain, short = leaf_of(obtain(client, responder, "plain.internal.test", "server")), leaf_of(obtain(client, responder, "short.internal.test", "short"))
    for leaf in (plain, short):
        check(not [e for e in leaf.extensions if e.oid == ExtensionOID.CRL_DISTRIBUTION_POINTS], "a CRL is named")
    answer = client.post(client.directory["revokeCert"], {"certificate": b64(short.public_bytes(serialization.Encoding.DER))})
    check(answer.status == 403 and "noRevAvail" in answer.json()["detail"], answer.body)
    check(dev.psql("SELECT count(*) FROM revocations") == before, "something is kept of a certificate with noRevAvail")


def lint(dev, url, chain):
    program = next(p for p in (os.path.join(os.environ["CERTMILL_DEPS"], "root/usr/bin/zlint"), shutil.which("zlint")) if p and os.path.exists(p))
    for name, data in (("crl", x509.load_der_x509_crl(fetch(url)[1]).public_bytes(serialization.Encoding.PEM)), ("certificate", chain.encode())):
        path = os.path.join(dev.dir, "lint.pem")
        with open(path, "wb") as f:
            f.write(data)
        out = run([program, "-includeSources", "RFC5280", path])
        results = json.loads(out.stdout)
        bad = {k: v for k, v in results.items() if v["result"] in ("warn", "error", "fatal")}
        check(out.returncode == 0 and len(results) > (2 if name == "crl" else 50) and not bad, f"{name}: {bad} of {len(results)}: {out.stderr}")


def stopped(dev, client, responder, url):
    """F32: a front end stands still past the lease; the other publishes, and no number comes twice, also when it goes on."""
    seen = [number_of(crl_of(url))]
    leaf = leaf_of(obtain(client, responder, "stopped.internal.test"))
    os.kill(dev.pids("certmill-acme")[1], signal.SIGSTOP)
    revoke(client, leaf, 5)
    wait_for("nobody published", lambda: crl_of(url_of(leaf)).get_revoked_certificate_by_serial_number(leaf.serial_number) is not None, 45)
    os.kill(dev.pids("certmill-acme")[1], signal.SIGCONT)
    seen.append(number_of(crl_of(url)))
    check(seen == sorted(seen), f"numbers go back: {seen}")
    records = [r for r in dev.journal() if r["kind"] == "crl"]
    keys = [r["order"] for r in records]
    check(len(keys) == len(set(keys)) and len(keys) >= 3, "a number was signed twice")
    last = {}
    for key in keys:
        shard, number = int(key.replace("-", "")[:16], 16), int(key.replace("-", "")[16:], 16)
        check(number > last.get(shard, 0), f"shard {shard}: {number} behind {last.get(shard)}")
        last[shard] = number


with Dev(fronts=2) as dev:
    responder = Responder(dev.http_port)
    client = Client(dev)
    client.register()
    url = revocation(dev, client, responder)
    serving(dev, url)
    others(dev, client, responder)
    lint(dev, url, obtain(client, responder, "lint.internal.test"))
    stopped(dev, client, responder, url)
    check(int(re.search(r"certmill_crl_answers_total\{class=\"ok\"\} (\d+)", dev.private("/metrics")[1]).group(1)) > 0, "answers are not counted")
    responder.close()
