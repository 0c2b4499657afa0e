"""certificates: what is issued, read by others: OpenSSL, GnuTLS, NSS, Go, zlint; and its fields, by the design's rules."""
import json
import os
import shutil
import subprocess
import time

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from certmill import Client, Dev, Responder, check

# Rules of zlint that a private CA does not follow, each with its reason.
ZLINT_EXCEPTIONS = {
    "w_ext_subject_key_identifier_not_recommended_subscriber": "RFC 5280 section 4.2.1.2 recommends the identifier in end entity certificates",
}


def run(command, text=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=text)
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def fields_check(cert, names, issuer):
    seconds = (cert.not_valid_after - cert.not_valid_before).total_seconds() + 1
    check(seconds == 86400, f"validity {seconds}")
    check(-5 <= time.time() - 60 - cert.not_valid_before.timestamp() + time.timezone <= 120, "not backdated by a minute")
    san = cert.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    check(san.critical and sorted(n.value for n in san.value) == sorted(names), "SAN is not the order's names")
    check(len(list(cert.subject)) == 0, "subject is not empty")
    check(cert.issuer.public_bytes() == issuer.subject.public_bytes(), "issuer bytes differ")
    aki = cert.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER).value
    check(aki.key_identifier and not aki.authority_cert_issuer and not aki.authority_cert_serial_number, "AKI is not the key id only")
    cert.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    check(list(cert.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value) == [ExtendedKeyUsageOID.SERVER_AUTH], "EKU is not serverAuth")
    serial = cert.serial_number.to_bytes(20, "big")
    check(serial[0] == 0x07, "serial does not begin with 07")
    check(int.from_bytes(serial[:3], "big") == int((cert.not_valid_before - __import__("datetime").datetime(1970, 1, 1)).total_seconds()) // 3600, "serial's hour is not that of notBefore")


def nss_check(dev, folder, leaf, issuing):
    db = os.path.join(folder, "nss")
    os.mkdir(db)
    run(["certutil", "-N", "-d", "sql:" + db, "--empty-password"])
    run(["certutil", "-A", "-d", "sql:" + db, "-n", "root", "-t", "CT,,", "-a", "-i", dev.root])
    run(["certutil", "-A", "-d", "sql:" + db, "-n", "issuing", "-t", ",,", "-a", "-i", issuing])
    run(["certutil", "-A", "-d", "sql:" + db, "-n", "leaf", "-t", ",,", "-a", "-i", leaf])
    run(["certutil", "-V", "-d", "sql:" + db, "-n", "leaf", "-u", "V"])


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


def go_check(dev, folder, leaf, issuing, name):
    if not shutil.which("go"):
        print("Go is not installed: its verifier is skipped")
        return
    program = os.path.join(folder, "verify.go")
    with open(program, "w", encoding="utf-8") as f:
        f.write(GO)
    binary = os.path.join(folder, "verify")
    if not os.path.exists(binary):
        subprocess.run(["go", "build", "-o", binary, program], check=True, cwd=folder, env=dict(os.environ, HOME=folder, GOCACHE=os.path.join(folder, "gocache"), GOFLAGS="-mod=mod", GO111MODULE="off"))
    run([binary, dev.root, issuing, leaf, name])


def zlint_check(leaf):
    zlint = os.path.join(os.environ["CERTMILL_DEPS"], "root/usr/bin/zlint")
    zlint = zlint if os.path.exists(zlint) else shutil.which("zlint")
    check(zlint, "zlint is not installed")
    # Filtered here: zlint 3.6 lists RFC8813 among its sources and refuses it as one to include.
    lints = [json.loads(line) for line in run([zlint, "-list-lints-json"]).splitlines()]
    wanted = {l["name"] for l in lints if l["source"] in ("RFC5280", "RFC5480", "RFC5891", "RFC8813")}
    results = {k: v for k, v in json.loads(run([zlint, leaf]).split("\n")[0]).items() if k in wanted}
    bad = {k: v["result"] for k, v in results.items() if v["result"] in ("warn", "error", "fatal") and k not in ZLINT_EXCEPTIONS}
    check(not bad and len(results) > 50, f"zlint: {bad} of {len(results)}")


with Dev() as dev:
    responder = Responder(dev.http_port)
    client = Client(dev)
    client.register()
    keys = {"P-256": ec.generate_private_key(ec.SECP256R1()), "P-384": ec.generate_private_key(ec.SECP384R1()), "RSA-2048": rsa.generate_private_key(65537, 2048), "RSA-4096": rsa.generate_private_key(65537, 4096)}
    for kind, key in keys.items():
        names = [f"{kind.lower()}.internal.test", "b.internal.test"]
        chain = client.obtain(names, responder, key)
        folder = os.path.join(dev.dir, kind)
        os.mkdir(folder)
        parts = ["-----BEGIN" + p for p in chain.split("-----BEGIN")[1:]]
        check(len(parts) == 2 and chain.endswith("-----END CERTIFICATE-----\n"), "the chain is not leaf and issuing CA")
        leaf, issuing = os.path.join(folder, "leaf.pem"), os.path.join(folder, "issuing.pem")
        for path, part in ((leaf, parts[0]), (issuing, parts[1])):
            with open(path, "w", encoding="utf-8") as f:
                f.write(part)
        fields_check(x509.load_pem_x509_certificate(parts[0].encode()), names, x509.load_pem_x509_certificate(parts[1].encode()))
        run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", names[0], "-CAfile", dev.root, "-untrusted", issuing, leaf])
        with open(dev.root, encoding="utf-8") as f:
            run(["certtool", "--verify", "--load-ca-certificate", dev.root, "--verify-hostname", names[0]], chain)
        nss_check(dev, folder, leaf, issuing)
        go_check(dev, folder, leaf, issuing, names[0])
        zlint_check(leaf)
        print(f"{kind}: OpenSSL, GnuTLS, NSS, Go and zlint agree")
    responder.close()
