"""alternate_chains: a certificate's other chains (RFC 8555 section 7.4.2): named by Link, downloaded, verified with the other root alone, and chosen by certbot and lego."""
import datetime
import os
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certmill import Client, Dev, Responder, check

PEM = serialization.Encoding.PEM
OTHER = "Another Company Root"


def ca(subject, public, issuer, signer, path_len):
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=3650))
               .add_extension(x509.BasicConstraints(ca=True, path_length=path_len), critical=True)
               .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False))
    return builder.sign(signer, hashes.SHA256())


def chains_make(dev):
    """The issuing CA's root, and the issuing CA itself, under the root of another company."""
    folder = os.path.join(dev.state, "signer")
    root, issuer = (x509.load_pem_x509_certificate(open(os.path.join(folder, name), "rb").read()) for name in ("root.pem", "issuer-1.pem"))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, OTHER)])
    other = ca(name, key.public_key(), name, key, 2)
    cross_root, cross_issuer = ca(root.subject, root.public_key(), name, key, 1), ca(issuer.subject, issuer.public_key(), name, key, 0)
    for number, certs in ((2, (issuer, cross_root, other)), (5, (cross_issuer, other))):
        with open(os.path.join(folder, f"issuer-1-chain-{number}.pem"), "wb") as f:
            f.write(b"".join(c.public_bytes(PEM) for c in certs))
    path = os.path.join(dev.dir, "other.pem")
    with open(path, "wb") as f:
        f.write(other.public_bytes(PEM))
    return path, cross_root, cross_issuer


def certificates(pem):
    return [part + "-----END CERTIFICATE-----\n" for part in pem.split("-----END CERTIFICATE-----\n") if part.strip()]


def verifies(dev, pem, root):
    """The chain with this root alone, by OpenSSL."""
    parts = certificates(pem)
    for name, text in (("leaf.pem", parts[0]), ("rest.pem", "".join(parts[1:]))):
        with open(os.path.join(dev.dir, name), "w", encoding="utf-8") as f:
            f.write(text)
    done = subprocess.run(["openssl", "verify", "-no-CAfile", "-no-CApath", "-trusted", root, "-untrusted", os.path.join(dev.dir, "rest.pem"), os.path.join(dev.dir, "leaf.pem")], capture_output=True, text=True)
    return done.returncode == 0


def alternates(answer):
    return [v.split(">")[0][1:] for v in answer.headers.get_all("Link") if v.endswith('rel="alternate"')]


def links(dev, responder, other, cross_root, cross_issuer):
    client = Client(dev)
    client.register()
    order = client.new_order(["alternate.internal.test"])
    client.authorize(order, responder)
    client.finish(order, ["alternate.internal.test"])
    url = client.post(order["url"]).json()["certificate"]
    first = client.post(url)
    check(alternates(first) == [url + "/2", url + "/3"], str(first.headers))
    second, third = client.post(url + "/2"), client.post(url + "/3")
    for answer, rest in ((second, [url, url + "/3"]), (third, [url, url + "/2"])):
        check(answer.status == 200 and answer.headers["Content-Type"] == "application/pem-certificate-chain" and alternates(answer) == rest, str(answer.headers))
    texts = [certificates(a.body.decode()) for a in (first, second, third)]
    check([len(t) for t in texts] == [2, 3, 2] and len({t[0] for t in texts}) == 1, "the leaf, then the chain without its root")
    check(texts[1][1] == texts[0][1] and texts[1][2] == cross_root.public_bytes(PEM).decode() and texts[2][1] == cross_issuer.public_bytes(PEM).decode(), "not the chains of the files")
    check([verifies(dev, a.body.decode(), dev.root) for a in (first, second, third)] == [True, True, False], "with our root")
    check([verifies(dev, a.body.decode(), other) for a in (first, second, third)] == [False, True, True], "with the other root")
    for tail in ("/0", "/1", "/4", "/02", "/x", "/2/"):
        check(client.post(url + tail).status == 404, tail)
    stranger = Client(dev)
    stranger.register()
    check(stranger.post(url + "/2").status == 404, "another's certificate")
    print("links: ok")


def clients(dev, other):
    folders = [x for o, d in (("--config-dir", "c"), ("--work-dir", "w"), ("--logs-dir", "l")) for x in (o, os.path.join(dev.dir, d))]
    common = ["certbot", "certonly", "--standalone", "--http-01-port", str(dev.http_port), "--server", dev.directory, "--agree-tos", "--register-unsafely-without-email", "-n"]
    lego = ["lego", "--server", dev.directory, "--accept-tos", "--email", "a@internal.test", "--path", os.path.join(dev.dir, "lego"), "--http", "--http.port", f"127.0.0.1:{dev.http_port}"]
    for name, options, command, env, path in (
        ("certbot-ours", [], common + folders, {"REQUESTS_CA_BUNDLE": dev.root}, "c/live/{}/fullchain.pem"),
        ("certbot-other", ["--preferred-chain", OTHER], common + folders, {"REQUESTS_CA_BUNDLE": dev.root}, "c/live/{}/fullchain.pem"),
        ("lego-ours", [], lego, {"LEGO_CA_CERTIFICATES": dev.root}, "lego/certificates/{}.crt"),
        ("lego-other", ["--preferred-chain", OTHER], lego, {"LEGO_CA_CERTIFICATES": dev.root}, "lego/certificates/{}.crt"),
    ):
        domain = name + ".internal.test"
        line = command + ["-d", domain] + options if command[0] == "certbot" else command + ["--domains", domain, "run"] + options
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
        check(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}")
        with open(os.path.join(dev.dir, path.format(domain)), encoding="utf-8") as f:
            pem = f.read()
        check(verifies(dev, pem, other) == name.endswith("other"), f"{name} has taken another chain")
        print(name + ": ok", flush=True)


with Dev() as dev:
    client = Client(dev)
    client.register()
    responder = Responder(dev.http_port)
    order = client.new_order(["single.internal.test"])
    client.authorize(order, responder)
    client.finish(order, ["single.internal.test"])
    url = client.post(order["url"]).json()["certificate"]
    check(alternates(client.post(url)) == [] and client.post(url + "/2").status == 404, "there is one chain only")
    files = chains_make(dev)
    dev.stop()
    dev.start()
    links(dev, responder, *files)
    responder.close()
    clients(dev, files[0])
