"""grpc: a standard gRPC client, Debian's python3-grpcio, calls the signer's health and Describe methods over mutual TLS; who has not the right certificate gets nowhere."""
import hashlib
import importlib
import os
import re
import subprocess
import sys
import tempfile

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certmill import BIN, Client, Dev, Responder, check, csr_make

SOURCE = os.environ["CERTMILL_SOURCE_DIR"]


def messages(folder):
    """The messages, made from the product's .proto files as any client would make them."""
    rpc = os.path.join(SOURCE, "proto", "rpc")
    subprocess.run(["protoc", f"-I{rpc}", f"--python_out={folder}", "health.proto", "signer.proto"], check=True)
    sys.path.insert(0, folder)
    return importlib.import_module("health_pb2"), importlib.import_module("signer_pb2")


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Signer:
    """A channel to the signer with some certificate, or none."""

    def __init__(self, dev, key=None, chain=None):
        with open(os.path.join(dev.state, "signer.yaml"), encoding="utf-8") as f:
            address = re.search(r"^address: (\S+)$", f.read(), re.M).group(1)
        trust = read(os.path.join(dev.state, "signer", "internal-root.pem"))
        name = x509.load_pem_x509_certificate(read(os.path.join(dev.state, "signer", "signer.pem"))).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        options = [("grpc.ssl_target_name_override", name[0])] if name else []
        self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(trust, key, chain), options)

    def call(self, method, request, answer):
        return self.channel.unary_unary(method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString)(request, timeout=10)

    def refused(self, method, request, answer, codes):
        try:
            self.call(method, request, answer)
        except grpc.RpcError as e:
            check(e.code() in codes, f"{method}: {e.code()} {e.details()}")
            return e.details()
        raise AssertionError(f"{method} was answered")


def right(dev, health, signer):
    folder = os.path.join(dev.state, "signer")
    channel = Signer(dev, read(os.path.join(folder, "acme.key")), read(os.path.join(folder, "acme.pem")))
    answer = channel.call("/grpc.health.v1.Health/Check", health.HealthCheckRequest(), health.HealthCheckResponse)
    check(answer.status == health.HealthCheckResponse.SERVING, str(answer))
    answer = channel.call("/grpc.health.v1.Health/Check", health.HealthCheckRequest(service="certmill.signer.v1.Signer"), health.HealthCheckResponse)
    check(answer.status == health.HealthCheckResponse.SERVING, str(answer))
    described = channel.call("/certmill.signer.v1.Signer/Describe", signer.DescribeRequest(), signer.DescribeResponse)
    check([p.name for p in described.profiles] == ["server", "client-server", "short", "revocable"], str(described.profiles))
    check(all(len(p.hash) == 32 and p.issuers == [1] for p in described.profiles), "profiles")
    issuer = x509.load_der_x509_certificate(described.issuers[0].certificate)
    check(issuer == x509.load_pem_x509_certificate(read(os.path.join(folder, "issuer-1.pem"))), "the issuer is another")
    check(len(described.issuers[0].serial_keys[0].hash) == 32 and "BoringSSL" in described.version, str(described.version))
    detail = channel.refused("/certmill.signer.v1.Signer/SignDigest", signer.DescribeRequest(), signer.DescribeResponse, {grpc.StatusCode.UNIMPLEMENTED})
    check(detail, "a refusal without words")
    # A field that the schema does not have, and too many intents
    unknown = signer.DescribeRequest()
    unknown.MergeFromString(b"\xfa\x3f\x01x")
    channel.refused("/certmill.signer.v1.Signer/Describe", unknown, signer.DescribeResponse, {grpc.StatusCode.INVALID_ARGUMENT})
    many = signer.SignRequest(intents=[signer.Intent()] * 257)
    channel.refused("/certmill.signer.v1.Signer/Sign", many, signer.SignResponse, {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED})
    one = channel.call("/certmill.signer.v1.Signer/Sign", signer.SignRequest(intents=[signer.Intent()]), signer.SignResponse)
    check(len(one.results) == 1 and one.results[0].status == signer.SignResult.BAD_INTENT and not one.results[0].certificate, str(one))
    huge = signer.SignRequest(intents=[signer.Intent(finalize_jws=bytes(1 << 20))])
    channel.refused("/certmill.signer.v1.Signer/Sign", huge, signer.SignResponse, {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE})
    check(channel.call("/grpc.health.v1.Health/Check", health.HealthCheckRequest(), health.HealthCheckResponse).status == 1, "not serving any more")


def wrong(dev, health, signer, responder):
    """T51: no certificate, a certificate that this very CA issued to a client, a server's own."""
    client = Client(dev)
    client.register()
    key = ec.generate_private_key(ec.SECP256R1())
    order = client.new_order(["signer.internal.test"], profile="client-server")
    client.authorize(order, responder)
    answer = client.finalize(order, csr_make(["signer.internal.test"], key))
    chain = client.post(answer.json()["certificate"]).body
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    folder = os.path.join(dev.state, "signer")
    describe = ("/certmill.signer.v1.Signer/Describe", signer.DescribeRequest(), signer.DescribeResponse)
    sign = ("/certmill.signer.v1.Signer/Sign", signer.SignRequest(intents=[signer.Intent()]), signer.SignResponse)
    renew = ("/certmill.signer.v1.Signer/Renew", signer.RenewRequest(purpose="SERVER", csr=csr_make(["a.test"])), signer.RenewResponse)
    own = [read(os.path.join(folder, name)) for name in ("signer.key", "signer.pem", "operator.key", "operator.pem")]
    for who, pair, calls, code in (("nobody", (None, None), (describe, sign, renew), grpc.StatusCode.UNAVAILABLE), ("a customer", (pem, chain), (describe, sign, renew), grpc.StatusCode.UNAVAILABLE),
                                   ("a signer", own[:2], (sign, renew), grpc.StatusCode.PERMISSION_DENIED), ("an operator", own[2:], (sign,), grpc.StatusCode.PERMISSION_DENIED)):
        channel = Signer(dev, *pair)
        for call in calls:
            channel.refused(*call, {code})
        print(f"{who}: refused", flush=True)
    check(len([r for r in dev.journal() if r["kind"] == "signed"]) == 1, "something else was signed")


def groups(dev, signer):
    """A front end of a group is one, and its certificate renews as what it was."""
    folder = os.path.join(dev.state, "signer")
    subprocess.run([os.path.join(BIN, "certmill-signer"), "renew", "--dir", folder, "--passphrase-file", os.path.join(dev.state, "passphrase"), "--front-end", "eu"], check=True, stdout=subprocess.DEVNULL)
    channel = Signer(dev, read(os.path.join(folder, "acme-eu.key")), read(os.path.join(folder, "acme-eu.pem")))
    check(channel.call("/certmill.signer.v1.Signer/Sign", signer.SignRequest(intents=[signer.Intent()]), signer.SignResponse).results[0].status == signer.SignResult.BAD_INTENT, "not a front end")
    chain = channel.call("/certmill.signer.v1.Signer/Renew", signer.RenewRequest(purpose="INTERNAL", csr=csr_make(["a.test"])), signer.RenewResponse).chain
    san = x509.load_pem_x509_certificate(chain.encode()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    check(san.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:certmill:role:acme:eu"] and len(list(san)) == 1, str(san))


def renewals(dev, signer):
    """Renew gives the caller's own role and the ceremony's names, whatever is asked for, and everything is in the journal."""
    folder = os.path.join(dev.state, "signer")
    channel = Signer(dev, read(os.path.join(folder, "acme.key")), read(os.path.join(folder, "acme.pem")))
    method = "/certmill.signer.v1.Signer/Renew"
    key = ec.generate_private_key(ec.SECP256R1())
    csr = csr_make(["evil.test", "localhost"], key, cn="evil.test")
    made = []
    for purpose, issuer, names in (("INTERNAL", "internal-root.pem", []), ("SERVER", "issuer-1.pem", ["acme.internal.test", "localhost"])):
        chain = channel.call(method, signer.RenewRequest(purpose=purpose, csr=csr), signer.RenewResponse).chain
        leaf = x509.load_pem_x509_certificate(chain.encode())  # the first
        made.append(leaf)
        x509.load_pem_x509_certificate(read(os.path.join(folder, issuer))).public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        check(sorted(san.get_values_for_type(x509.DNSName)) == names and leaf.public_key().public_numbers() == key.public_key().public_numbers(), f"{purpose}: {san}")
        check(san.get_values_for_type(x509.UniformResourceIdentifier) == (["urn:certmill:role:acme"] if purpose == "INTERNAL" else []), f"{purpose}: {san}")
        check(not any(isinstance(e.value, x509.BasicConstraints) and e.value.ca for e in leaf.extensions), purpose)
    records = [r for r in dev.journal() if r["kind"] == "renewed"][-2:]
    check([r["certificate_hash"] for r in records] == [leaf.fingerprint(hashes.SHA256()).hex() for leaf in made], "not in the journal")
    broken = bytearray(csr)
    broken[-2] ^= 1
    for request in (signer.RenewRequest(purpose="INTERNAL", csr=bytes(broken)), signer.RenewRequest(purpose="INTERNAL", csr=b"x"), signer.RenewRequest(csr=csr),
                    signer.RenewRequest(purpose="INTERNAL", csr=csr_make(["a.test"], rsa.generate_private_key(65537, 2048)))):
        channel.refused(method, request, signer.RenewResponse, {grpc.StatusCode.INVALID_ARGUMENT})
    codes = set()
    for _ in range(61):
        try:
            channel.call(method, signer.RenewRequest(purpose="INTERNAL", csr=csr), signer.RenewResponse)
        except grpc.RpcError as e:
            codes.add(e.code())
    check(codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}, f"no bound on renewals: {codes}")


with Dev() as dev, tempfile.TemporaryDirectory() as folder:
    health, signer = messages(folder)
    responder = Responder(dev.http_port)
    right(dev, health, signer)
    print("right: ok", flush=True)
    wrong(dev, health, signer, responder)
    print("wrong: ok", flush=True)
    groups(dev, signer)
    print("groups: ok", flush=True)
    renewals(dev, signer)
    print("renewals: ok", flush=True)
    responder.close()
