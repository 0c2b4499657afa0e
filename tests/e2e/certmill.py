"""certmill: what the end-to-end tests share: a running `certmill dev`, a small ACME client that can be made to misbehave, an http-01 responder."""
import base64
import glob
import hashlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "history"))
from invariants import violations  # noqa: E402
from records import Records, id_in_url  # noqa: E402
from store import Store  # noqa: E402

BIN = os.environ["CERTMILL_BIN"]
ENVIRON = dict(os.environ, LSAN_OPTIONS="detect_leaks=0")


def free_ports(count):
    """A run of free ports: the lowest. The run is not reserved; tests run one after the other."""
    for base in range(20000 + os.getpid() % 20000, 60000, 50):
        sockets = []
        try:
            for i in range(count):
                s = socket.socket()
                sockets.append(s)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", base + i))
            return base
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError("no free ports")


class Dev:
    """`certmill dev` in a folder of its own, from start to stop."""

    def __init__(self, fronts=1, options=(), env=None, history=False):
        self.dir = tempfile.mkdtemp(prefix="certmill-e2e-", dir="/tmp")
        os.chmod(self.dir, 0o755)  # PostgreSQL's user must get through
        self.state = os.path.join(self.dir, "state")
        base = free_ports(20)
        self.port, self.http_port, self.tls_alpn_port, self.private_port = base, base + 9, base + 8, base + 10
        self.fronts, self.options, self.env = fronts, list(options), dict(ENVIRON, **(env or {}))
        self.process = None
        self.records = Records() if history else None  # what clients and responders of this folder's tests see

    def command(self):
        return [os.path.join(BIN, "certmill"), "dev", "--state", self.state, "--listen", f"127.0.0.1:{self.port}", "--http-port", str(self.http_port),
                "--tls-alpn-port", str(self.tls_alpn_port), "--private-port", str(self.private_port), "--fronts", str(self.fronts)] + self.options

    def start(self):
        self.out = open(os.path.join(self.dir, "out"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(self.command(), stdout=self.out, stderr=subprocess.STDOUT, env=self.env)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with open(self.out.name, encoding="utf-8") as f:
                text = f.read()
            if "\nready\n" in text:
                if self.records:
                    self.store().watch()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.show_logs()
        raise RuntimeError("certmill dev did not become ready:\n" + text)

    def store(self):
        return Store(os.path.join(self.state, "run"))

    def check_history(self):
        """Everything that clients, store and journal say, against the invariants (tests/history)."""
        r = self.records
        self.store().dump(r)
        r.journal = self.journal()
        with open(os.path.join(self.state, "signer", "issuer-1.pem"), "rb") as f:
            r.issuer = x509.load_pem_x509_certificate(f.read()).public_bytes(serialization.Encoding.DER)
        if "CERTMILL_HISTORY" in os.environ:
            r.save(os.environ["CERTMILL_HISTORY"])
        found = violations(r)
        check(not found, "\n".join(f"{name}: {text}" for name, text in found[:20]))
        print(f"history: {len(r.calls)} calls, {len(r.orders)} orders, {len(r.certificates)} certificates: no violation", flush=True)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        return self.process.returncode if self.process else None

    def show_logs(self):
        log = os.path.join(self.state, "log")
        for name in sorted(os.listdir(log)) if os.path.isdir(log) else []:
            with open(os.path.join(log, name), encoding="utf-8", errors="replace") as f:
                lines = f.readlines()
            fault = next((i for i, line in enumerate(lines) if "Sanitizer" in line or "runtime error" in line), None)
            sys.stderr.write(f"== {name}\n" + "".join(lines[-15:] if fault is None else lines[fault : fault + 40]))

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        code = self.stop()
        if kind:
            self.show_logs()
        shutil.rmtree(self.dir, ignore_errors=True)
        if not kind:
            assert code == 0, f"certmill dev ended with {code}"

    @property
    def root(self):
        return os.path.join(self.state, "root.pem")

    @property
    def directory(self):
        return self.url(0)

    def url(self, front):
        return f"https://localhost:{self.port + front}/directory"

    def log(self, name):
        with open(os.path.join(self.state, "log", name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def private(self, path, front=0):
        c = http.client.HTTPConnection("127.0.0.1", self.private_port + front, timeout=5)
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read().decode()

    def psql(self, sql):
        return subprocess.run(["psql", "-X", "-q", "-t", "-A", "-h", os.path.join(self.state, "run"), "-U", "certmill", "-d", "postgres", "-c", sql], check=True, capture_output=True, text=True).stdout.strip()

    def journal(self):
        out = subprocess.run([os.path.join(BIN, "certmill-signer"), "journal", "dump", "--json", "--dir", os.path.join(self.state, "signer", "journal")], check=True, capture_output=True, text=True, env=ENVIRON).stdout
        return [json.loads(line) for line in out.splitlines()]

    def pids(self, program):
        out = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", program], capture_output=True, text=True).stdout
        return [int(p) for p in out.split()]


def shifted(dev, seconds):
    """The environment in which everything has another time: our programs by their seam, PostgreSQL by libfaketime."""
    real = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True).stdout.strip() or sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0]
    folder = os.path.join(dev.dir, f"bin{seconds}")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(real):
        wrapper = os.path.join(folder, name)
        with open(wrapper, "w", encoding="utf-8") as f:
            fake = f"LD_PRELOAD={library} FAKETIME='{seconds:+d}' FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1" if name == "postgres" else ""
            f.write(f'#!/bin/sh\nexec env {fake} {real}/{name} "$@"\n')
        os.chmod(wrapper, 0o755)
    return dict(ENVIRON, CERTMILL_TEST_CLOCK_OFFSET_S=str(seconds), PG_BINDIR=folder)


class Responder:
    """Answers http-01: token to key authorization."""

    def __init__(self, port, dev=None):
        self.tokens, self.seen = {}, []
        responder, fetches = self, dev.records.fetches if dev and dev.records else []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                responder.seen.append(self.path)
                token = self.path.rsplit("/", 1)[-1]
                body = responder.tokens.get(token, "").encode()
                if body:
                    fetches.append({"t": time.monotonic(), "token": token, "key_authorization": body.decode()})
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, length=None):
    return b64(n.to_bytes(length or (n.bit_length() + 7) // 8, "big"))


class Key:
    """An account key of one of the algorithms."""

    def __init__(self, alg="ES256"):
        self.alg = alg
        if alg in ("ES256", "ES384"):
            self.size = 32 if alg == "ES256" else 48
            self.private = ec.generate_private_key(ec.SECP256R1() if alg == "ES256" else ec.SECP384R1())
            p = self.private.public_key().public_numbers()
            self.jwk = {"crv": "P-256" if alg == "ES256" else "P-384", "kty": "EC", "x": number(p.x, self.size), "y": number(p.y, self.size)}
        elif alg == "RS256":
            self.private = rsa.generate_private_key(65537, 2048)
            p = self.private.public_key().public_numbers()
            self.jwk = {"e": number(p.e), "kty": "RSA", "n": number(p.n)}
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            self.jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}

    def sign(self, data):
        if self.alg in ("ES256", "ES384"):
            der = self.private.sign(data, ec.ECDSA(hashes.SHA256() if self.alg == "ES256" else hashes.SHA384()))
            r, s = utils.decode_dss_signature(der)
            return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")
        if self.alg == "RS256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(data)

    def thumbprint(self):
        return b64(hashlib.sha256(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    def json(self):
        return json.loads(self.body)

    def type(self):
        return self.json()["type"].rsplit(":", 1)[-1]


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def call_begun(client, method, url, body):
    """What the history keeps of a request; requests that are no JWS at all are only a method and a URL."""
    call = {"start": time.monotonic(), "end": None, "client": id(client), "key": client.key.thumbprint(), "account": client.kid and id_in_url(client.kid, "acct"), "method": method, "url": url, "payload": False, "nonce": None,
            "fresh": None, "status": None, "location": None, "object": None, "certificate": None, "csr_spki": None}
    try:
        jws = json.loads(body or "")
        call["nonce"], call["payload"] = json.loads(unb64(jws["protected"])).get("nonce"), bool(jws["payload"])
        csr = x509.load_der_x509_csr(unb64(json.loads(unb64(jws["payload"]))["csr"])) if url.endswith("/finalize") else None
        if csr:
            call["csr_spki"] = hashlib.sha256(csr.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)).hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return call


def call_ended(call, answer):
    kind = answer.headers["Content-Type"]
    call.update(end=time.monotonic(), status=answer.status, fresh=answer.headers["Replay-Nonce"], location=answer.headers["Location"])
    if kind == "application/json":
        call["object"] = json.loads(answer.body)
    elif kind == "application/pem-certificate-chain":
        call["certificate"] = answer.body.decode()


class Client:
    """ACME over HTTP/1.1; every part of a request can be overridden."""

    def __init__(self, dev, key=None, front=0):
        self.dev, self.key, self.kid, self.nonce = dev, key or Key(), None, None
        self.host, self.port = "localhost", dev.port + front
        self.context = ssl.create_default_context(cafile=dev.root)
        self.connection, self.kid = None, None
        self.directory = self.get(dev.url(front)).json()

    def request(self, method, url, body=None, headers=None):
        path, records = "/" + url.split("/", 3)[3], self.dev.records
        for attempt in (0, 1):
            call = call_begun(self, method, url, body) if records else None
            if records:
                records.calls.append(call)  # an attempt without an answer may have had its effect
            try:
                if self.connection is None:
                    # Longer than the 30 s after which the server itself answers 503: its answer is what tests look at.
                    self.connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=45)
                self.connection.request(method, path, body=body, headers=headers or {})
                response = self.connection.getresponse()
                answer = Answer(response, response.read())
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection = None
                if attempt:
                    raise
        if records:
            call_ended(call, answer)
        if "Replay-Nonce" in answer.headers:
            self.nonce = answer.headers["Replay-Nonce"]
        return answer

    def get(self, url):
        return self.request("GET", url)

    def take_nonce(self):
        if self.nonce is None:
            self.request("HEAD", self.directory["newNonce"])
        nonce, self.nonce = self.nonce, None
        return nonce

    def jws(self, url, payload, **changes):
        header = {"alg": self.key.alg, "nonce": self.take_nonce(), "url": url}
        header.update({"kid": self.kid} if self.kid else {"jwk": self.key.jwk})
        header.update(changes.pop("header", {}))
        header = {k: v for k, v in header.items() if v is not None}
        protected = changes.pop("protected", None) or b64(json.dumps(header).encode())
        text = changes.pop("payload64", None)
        if text is None:
            text = "" if payload is None else b64(json.dumps(payload).encode())
        signature = changes.pop("signature", None) or b64(self.key.sign(f"{protected}.{text}".encode()))
        jws = {"protected": protected, "payload": text, "signature": signature}
        jws.update(changes.pop("members", {}))
        assert not changes
        return json.dumps(jws)

    def post(self, url, payload=None, content_type="application/jose+json", **changes):
        return self.request("POST", url, self.jws(url, payload, **changes), {"Content-Type": content_type})

    def register(self):
        answer = self.post(self.directory["newAccount"], {"termsOfServiceAgreed": True})
        assert answer.status in (200, 201), answer.body
        self.kid = answer.headers["Location"]
        return answer

    def new_order(self, names, **more):
        answer = self.post(self.directory["newOrder"], dict({"identifiers": [{"type": "dns", "value": n} for n in names]}, **more))
        assert answer.status == 201, answer.body
        order = answer.json()
        order["url"] = answer.headers["Location"]
        return order

    def authorize(self, order, responder):
        for url in order["authorizations"]:
            challenge = self.post(url).json()["challenges"][0]
            responder.tokens[challenge["token"]] = challenge["token"] + "." + self.key.thumbprint()
            assert self.post(challenge["url"], {}).status == 200
            self.poll(url, ("pending", "processing"))

    def poll(self, url, while_in, seconds=30):
        deadline = time.monotonic() + seconds
        while True:
            answer = self.post(url)
            assert answer.status == 200, answer.body
            if answer.json()["status"] not in while_in or time.monotonic() > deadline:
                return answer.json()
            time.sleep(0.05)

    def finalize(self, order, csr):
        return self.post(order["finalize"], {"csr": b64(csr)})

    def obtain(self, names, responder, key=None):
        order = self.new_order(names)
        self.authorize(order, responder)
        return self.finish(order, names, key)

    def finish(self, order, names, key=None):
        answer = self.finalize(order, csr_make(names, key))
        assert answer.status == 200, answer.body
        order = self.poll(order["url"], ("processing",)) if answer.json()["status"] == "processing" else answer.json()
        assert order["status"] == "valid", order
        return self.post(order["certificate"]).body.decode()


def csr_make(names, key=None, cn=None):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def check(condition, text):
    if not condition:
        raise AssertionError(text)
