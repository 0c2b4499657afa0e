"""issuers: one more issuing CA under the root that there is (`certmill-signer add-issuer`), profiles that share their certificates by weights, and a first one that is drained: nothing of what clients have is lost."""
import os
import signal
import subprocess
import time

from cryptography import x509
from cryptography.x509.oid import NameOID

from certmill import BIN, ENVIRON, Client, Dev, Responder, b64, check


def signer(dev, *words, code=0):
    done = subprocess.run([os.path.join(BIN, "certmill-signer"), *words], capture_output=True, text=True, timeout=60, env=ENVIRON)
    check(done.returncode == code, f"{words}: exit code {done.returncode}, wanted {code}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def wait(what, done):
    deadline = time.monotonic() + 30
    while not done():
        check(time.monotonic() < deadline, what)
        time.sleep(0.05)


def issuers_set(dev, text):
    """Gives the profile `server` these issuers, by a reload."""
    path = os.path.join(dev.state, "signer.yaml")
    with open(path, encoding="utf-8") as f:
        lines = [line for line in f.read().splitlines() if "issuers:" not in line]
    lines.insert(lines.index("  server:") + 1, f"    issuers: {text}")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    before = dev.log("signer.log").count("signer.reloaded")
    os.kill(dev.pids("certmill-signer")[0], signal.SIGHUP)
    wait("the signer has not reloaded:\n" + dev.log("signer.log")[-2000:], lambda: dev.log("signer.log").count("signer.reloaded") > before)


def obtain(client, responder, name, profile="server"):
    order = client.new_order([name], profile=profile)
    client.authorize(order, responder)
    pem = client.finish(order, [name])
    return order, pem, x509.load_pem_x509_certificate(pem.encode())


def issuer_of(cert):
    return int(cert.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value.rsplit(" ", 1)[1])


def verifies(dev, pem):
    end = "-----END CERTIFICATE-----\n"
    for name, text in (("leaf.pem", pem[: pem.index(end) + len(end)]), ("rest.pem", pem[pem.index(end) + len(end) :])):
        with open(os.path.join(dev.dir, name), "w", encoding="utf-8") as f:
            f.write(text)
    return subprocess.run(["openssl", "verify", "-no-CAfile", "-no-CApath", "-trusted", dev.root, "-untrusted", os.path.join(dev.dir, "rest.pem"), os.path.join(dev.dir, "leaf.pem")], capture_output=True).returncode == 0


def information(client, cert):
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    return client.get(f"{client.directory['renewalInfo']}/{b64(aki)}.{b64(cert.serial_number.to_bytes(20, 'big'))}").status


def rotation(dev, client, responder):
    first = obtain(client, responder, "first.internal.test")
    check(issuer_of(first[2]) == 1, "who has signed before")
    folder, passphrase = os.path.join(dev.state, "signer"), os.path.join(dev.state, "passphrase")
    add = ["add-issuer", "--dir", folder, "--passphrase-file", passphrase]
    told = signer(dev, *add, "--id", "2", "--name", "certmill dev")
    check("issuer-2.pem" in told and "SHA-256" in told, told)
    check("is there already" in signer(dev, *add, "--id", "2", code=1), "written over")
    check("2 to 99" in signer(dev, *add, "--id", "1", code=2), "the first again")
    check("root-passphrase" in signer(dev, *add, "--id", "3", "--root-passphrase-file", os.path.join(dev.dir, "wrong"), code=1), "a wrong passphrase")
    dev.stop()
    dev.start()
    client.connection = client.nonce = None
    check(issuer_of(obtain(client, responder, "named-nowhere.internal.test")[2]) == 1, "an issuer that no profile names signs")

    issuers_set(dev, "[{id: 1}, {id: 2, weight: 3}]")
    seen, deadline = [], time.monotonic() + 60
    while (len(seen) < 12 or {1, 2} - set(seen)) and time.monotonic() < deadline:
        _, pem, cert = obtain(client, responder, f"shared-{len(seen)}.internal.test")
        seen.append(issuer_of(cert))
        check(verifies(dev, pem) and information(client, cert) == 200, f"a certificate of issuer {seen[-1]}")
    check(set(seen) == {1, 2}, str(seen))
    check(issuer_of(obtain(client, responder, "others.internal.test", "client-server")[2]) == 1, "another profile has changed, too")

    issuers_set(dev, "[{id: 1, weight: 0}, {id: 2}]")
    wait("the first is not drained", lambda: all(issuer_of(obtain(client, responder, f"drained-{i}.internal.test")[2]) == 2 for i in range(6)))
    # What the first has signed is still there.
    url = client.post(first[0]["url"]).json()["certificate"]
    check(client.post(url).body.decode() == first[1] and information(client, first[2]) == 200, "an older certificate is lost")
    print("rotation: ok")


def tenants(dev, client, responder):
    """A tenant's `issuer` restricts it to one."""
    path = os.path.join(dev.state, "acme-0.yaml")
    with open(path, "a", encoding="utf-8") as f:
        f.write(f"  second:\n    hosts: ['localhost:{dev.port}']\n    profiles: [server]\n    issuer: 2\n    validation: {{http_port: {dev.http_port}, denied: [], overrides: [{{suffix: internal.test, address: 127.0.0.1}}]}}\n")
    issuers_set(dev, "[{id: 1, weight: 1000}, {id: 2}]")
    os.kill(dev.pids("acme-0.yaml")[0], signal.SIGHUP)
    url = f"https://localhost:{dev.port}/acme/second/directory"
    wait("the tenant is not there", lambda: client.get(url).status == 200)
    other = Client(dev)
    other.directory = other.get(url).json()
    other.register()
    check([issuer_of(obtain(other, responder, f"only-{i}.internal.test")[2]) for i in range(4)] == [2] * 4, "another issuer than the tenant's")
    print("tenants: ok")


with Dev() as dev:
    with open(os.path.join(dev.dir, "wrong"), "w", encoding="utf-8") as f:
        f.write("not this one at all\n")
    os.chmod(os.path.join(dev.dir, "wrong"), 0o600)
    responder, client = Responder(dev.http_port), Client(dev)
    client.register()
    rotation(dev, client, responder)
    tenants(dev, client, responder)
    responder.close()
    for name in ("acme-0.log", "signer.log"):
        check("ERROR: AddressSanitizer" not in dev.log(name), "sanitizer findings")
