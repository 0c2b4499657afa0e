"""certificates: what is issued, read by others: OpenSSL, GnuTLS, NSS, Go, zlint; and its fields, by the design's rules."""
import datetime
import hashlib
import hmac
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from certmill import BIN, Client, Dev, Responder, check, csr_make

# Rules of zlint that a private CA does not follow, each with its reason.
ZLINT_EXCEPTIONS = {
    "w_ext_subject_key_identifier_not_recommended_subscriber": "RFC 5280 section 4.2.1.2 recommends the identifier in end entity certificates",
}


def run(command, text=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=text)
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def moment(cert, field):
    """A date of a certificate in seconds since 1970; its name has changed with the library's versions."""
    date = getattr(cert, field + "_utc", None) or getattr(cert, field).replace(tzinfo=datetime.timezone.utc)
    return date.timestamp()


def fields_check(cert, names, issuer, profile):
    life = {"server": 86400, "client-server": 86400, "short": 3600}[profile]
    begin, end = moment(cert, "not_valid_before"), moment(cert, "not_valid_after")
    seconds = end - begin + 1
    check(seconds == life, f"validity {seconds}")
    check(-5 <= time.time() - 60 - begin <= 120, "not backdated by a minute")
    san = cert.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    check(san.critical and sorted(n.value for n in san.value) == sorted(names), "SAN is not the order's names")
    check(len(list(cert.subject)) == 0, "subject is not empty")
    check(cert.issuer.public_bytes() == issuer.subject.public_bytes(), "issuer bytes differ")
    aki = cert.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER).value
    check(not aki.authority_cert_issuer and not aki.authority_cert_serial_number, "AKI is not the key id only")
    check(aki.key_identifier == issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest, "AKI is not the issuer's SKI")
    bits = cert.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ski = cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    check(ski == hashlib.sha256(key_bits(bits)).digest()[:20], "SKI is not RFC 7093's first method")
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] + [ExtendedKeyUsageOID.CLIENT_AUTH] * (profile == "client-server")
    check(list(cert.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value) == usages, "EKU is not the profile's")
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage)
    check(usage.critical and usage.value.digital_signature and usage.value.key_encipherment == isinstance(cert.public_key(), rsa.RSAPublicKey), "key usage")
    no_revocation = [e for e in cert.extensions if e.oid.dotted_string == "2.5.29.56"]  # RFC 9608 section 2
    check([(e.critical, e.value.value) for e in no_revocation] == [(False, b"\x05\x00")] * (profile == "short"), f"noRevAvail: {no_revocation}")
    check(len(list(cert.extensions)) == 5 + (profile == "short"), "other extensions than the template's")


def key_bits(spki):
    """The bits of a SubjectPublicKeyInfo: the second value in its SEQUENCE, behind a count of unused bits."""
    def value(at):
        n, at = spki[at + 1], at + 2
        if n & 0x80:
            n, at = int.from_bytes(spki[at : at + (n & 0x7F)], "big"), at + (n & 0x7F)
        return at, at + n
    inside, _ = value(0)
    _, algorithm_end = value(inside)
    begin, end = value(algorithm_end)
    return spki[begin + 1 : end]


def serial_key(dev):
    """The key of serials, opened as the format of signer/pki.h says."""
    with open(os.path.join(dev.state, "passphrase"), "rb") as f:
        passphrase = f.read().rstrip(b"\r\n")
    with open(os.path.join(dev.state, "signer", "serial-1.key"), "rb") as f:
        sealed = f.read()
    check(sealed[:7] == b"CMSEAL1", "another format")
    key = hashlib.pbkdf2_hmac("sha256", passphrase, sealed[7:23], 200000)
    return AESGCM(key).decrypt(sealed[23:35], sealed[35:], sealed[:7])


def intent_hash(m):
    """SHA-256 over the label and each field, every one behind its length (proto/rpc/intent.c), written once more."""
    integer = lambda v: v.to_bytes(8, "big", signed=v < 0)  # noqa: E731
    fields = [b"certmill intent v1", m.order, m.tenant.encode(), m.account, m.spki, integer(len(m.names))]
    for name in m.names:
        fields += [integer(name.type), name.value]
    fields += [m.profile.encode(), m.profile_hash, integer(m.template_version), integer(m.issuer), integer(m.region), m.issuer_cert_hash, integer(m.serial_key_generation)]
    fields += [integer(m.not_before), integer(m.not_after), integer(m.crl_shard), m.salt]
    return hashlib.sha256(b"".join(len(f).to_bytes(4, "big") + f for f in fields)).digest()


def journal_check(dev, count):
    """Every record says what was signed; the serial is the design's function of the intent, computed once more."""
    with tempfile.TemporaryDirectory() as folder:
        rpc = os.path.join(os.environ["CERTMILL_SOURCE_DIR"], "proto", "rpc")
        subprocess.run(["protoc", f"-I{rpc}", f"--python_out={folder}", "signer.proto"], check=True)
        sys.path.insert(0, folder)
        messages = importlib.import_module("signer_pb2")
        sys.path.remove(folder)
    key, records = serial_key(dev), [r for r in dev.journal() if r["kind"] == "signed"]
    check(len(records) == count, f"{len(records)} records, {count} certificates")
    for r in records:
        intent, der = messages.Intent.FromString(bytes.fromhex(r["intent"])), bytes.fromhex(r["certificate"])
        cert, hashed = x509.load_der_x509_certificate(der), intent_hash(intent)
        check(r["order"] == intent.order.hex() and r["intent_hash"] == hashed.hex() == intent.hash.hex(), "the intent's hash")
        place = (intent.not_before // 3600).to_bytes(3, "big") + (intent.issuer << 6 | intent.region).to_bytes(2, "big")
        serial = place + hmac.new(key, b"certmill serial 1\0" + hashed, "sha256").digest()[:15]
        check(cert.serial_number == int.from_bytes(serial, "big") and r["serial"] == serial.hex() and serial[0] == 7, f"serial {r['serial']}")
        check(r["certificate_hash"] == hashlib.sha256(der).hexdigest() and r["tbs_hash"] == hashlib.sha256(cert.tbs_certificate_bytes).hexdigest(), "hashes")
        check([n.value.decode() for n in intent.names] == [n.value for n in cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value], "names")


def nss_check(dev, folder, leaf, issuing, usages):
    db = os.path.join(folder, "nss")
    os.mkdir(db)
    run(["certutil", "-N", "-d", "sql:" + db, "--empty-password"])
    run(["certutil", "-A", "-d", "sql:" + db, "-n", "root", "-t", "CT,,", "-a", "-i", dev.root])
    run(["certutil", "-A", "-d", "sql:" + db, "-n", "issuing", "-t", ",,", "-a", "-i", issuing])
    run(["certutil", "-A", "-d", "sql:" + db, "-n", "leaf", "-t", ",,", "-a", "-i", leaf])
    for usage in usages:
        run(["certutil", "-V", "-d", "sql:" + db, "-n", "leaf", "-u", usage])


GO = """package main
import ("crypto/x509"; "encoding/pem"; "fmt"; "os")
func read(p string) []byte { b, e := os.ReadFile(p); if e != nil { panic(e) }; return b }
func main() {
  roots, middle := x509.NewCertPool(), x509.NewCertPool()
  roots.AppendCertsFromPEM(read(os.Args[1])); middle.AppendCertsFromPEM(read(os.Args[2]))
  block, _ := pem.Decode(read(os.Args[3]))
  c, e := x509.ParseCertificate(block.Bytes); if e != nil { panic(e) }
  if _, e = c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, DNSName: os.Args[4]}); e != nil { panic(e) }
  fmt.Println("ok")
}
"""


def go_build(folder):
    go = shutil.which("go")
    check(go, "Go is not installed; scripts/setup does it")
    program, binary = os.path.join(folder, "verify.go"), os.path.join(folder, "verify")
    with open(program, "w", encoding="utf-8") as f:
        f.write(GO)
    subprocess.run([go, "build", "-o", binary, program], check=True, cwd=folder, env=dict(os.environ, HOME=folder, GOCACHE=os.path.join(folder, "gocache"), GOFLAGS="-mod=mod", GO111MODULE="off"))
    return binary


class Zlint:
    def __init__(self):
        path = os.path.join(os.environ["CERTMILL_DEPS"], "root/usr/bin/zlint")
        self.program = path if os.path.exists(path) else shutil.which("zlint")
        check(self.program, "zlint is not installed")
        # Filtered here: zlint 3.6 lists RFC8813 among its sources and refuses it as one to include.
        lints = [json.loads(line) for line in run([self.program, "-list-lints-json"]).splitlines()]
        self.wanted = {l["name"] for l in lints if l["source"] in ("RFC5280", "RFC5480", "RFC5891", "RFC8813")}

    def check(self, path):
        results = {k: v for k, v in json.loads(run([self.program, path]).split("\n")[0]).items() if k in self.wanted}
        bad = {k: v["result"] for k, v in results.items() if v["result"] in ("warn", "error", "fatal") and k not in ZLINT_EXCEPTIONS}
        check(not bad and len(results) > 50, f"{path}: zlint: {bad} of {len(results)}")


def issue(dev, client, responder, go, zlint, kind, key, profile):
    """One certificate, and what all of them say to it."""
    names = [f"{kind.lower()}.internal.test", "b.internal.test"]
    order = client.new_order(names, profile=profile)
    client.authorize(order, responder)
    client.finalize(order, csr_make(names, key))
    chain = client.post(client.poll(order["url"], ("processing",))["certificate"]).body.decode()
    folder = os.path.join(dev.dir, f"{kind}-{profile}")
    os.mkdir(folder)
    parts = ["-----BEGIN" + p for p in chain.split("-----BEGIN")[1:]]
    check(len(parts) == 2 and chain.endswith("-----END CERTIFICATE-----\n"), "the chain is not leaf and issuing CA")
    leaf, issuing = os.path.join(folder, "leaf.pem"), os.path.join(folder, "issuing.pem")
    for path, part in ((leaf, parts[0]), (issuing, parts[1])):
        with open(path, "w", encoding="utf-8") as f:
            f.write(part)
    fields_check(x509.load_pem_x509_certificate(parts[0].encode()), names, x509.load_pem_x509_certificate(parts[1].encode()), profile)
    purposes = ["sslserver"] + ["sslclient"] * (profile == "client-server")
    for purpose in purposes:
        run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-verify_hostname", names[0], "-CAfile", dev.root, "-untrusted", issuing, leaf])
    run(["certtool", "--verify", "--load-ca-certificate", dev.root, "--verify-hostname", names[0]], chain)
    nss_check(dev, folder, leaf, issuing, ["V"] + ["C"] * (profile == "client-server"))
    run([go, dev.root, issuing, leaf, names[0]])
    zlint.check(leaf)


def ca_make(dev, key_type):
    """A CA of another kind than dev's own, made beforehand as an operator would."""
    os.mkdir(dev.state)
    os.chmod(dev.state, 0o755)
    passphrase = os.path.join(dev.state, "passphrase")
    with open(passphrase, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write("a passphrase for tests\n")
    run([os.path.join(BIN, "certmill-signer"), "ceremony", "--dir", os.path.join(dev.state, "signer"), "--passphrase-file", passphrase, "--key-type", key_type, "--quiet"])


SERVER, CLIENT, SHORT = "server", "client-server", "short"
KEYS = {"P-256": lambda: ec.generate_private_key(ec.SECP256R1()), "P-384": lambda: ec.generate_private_key(ec.SECP384R1()), "RSA-2048": lambda: rsa.generate_private_key(65537, 2048), "RSA-4096": lambda: rsa.generate_private_key(65537, 4096)}
CASES = {"p256": [(kind, SERVER) for kind in KEYS] + [("P-256", CLIENT), ("P-256", SHORT)], "p384": [("P-256", SERVER), ("RSA-2048", CLIENT)], "rsa2048": [("P-384", SERVER), ("P-256", SHORT)]}

with tempfile.TemporaryDirectory() as folder:
    go, zlint = go_build(folder), Zlint()
    for ca, cases in CASES.items():
        dev = Dev()
        if ca != "p256":
            ca_make(dev, ca)
        with dev:
            responder = Responder(dev.http_port)
            client = Client(dev)
            client.register()
            for kind, profile in cases:
                issue(dev, client, responder, go, zlint, kind, KEYS[kind](), profile)
                print(f"{ca} CA, {kind}, {profile}: OpenSSL, GnuTLS, NSS, Go and zlint agree", flush=True)
            for name in ("root", "issuer-1", "internal-root", "server"):
                zlint.check(os.path.join(dev.state, "signer", name + ".pem"))
            print(f"{ca} CA: zlint agrees with the CA certificates", flush=True)
            journal_check(dev, len(cases))
            print(f"{ca} CA: every serial is the design's", flush=True)
            responder.close()
