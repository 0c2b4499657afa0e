"""threats: what docs/threats.md promises and only whole programs can show: hostile texts, reflecting web servers, one bad name among many, secrets in logs."""
import base64
import http.server
import os
import re
import signal
import subprocess
import threading
import time

from certmill import Client, Dev, Key, Responder, check, csr_make

TEXTS = ["'", "''); DROP TABLE orders; --", '"', "\\", "\\'", "$1", "$$", "{1,2}", '{"', "}", "(,)", "NULL", "null", "\\N", "%s%n", "a\nb", "\t", "\x7f", "\u202e", "\ud55c", "\U0001f511", "\\u0000", "../../x", "x" * 200, ";", "--", "/*", "*/", "E'\\x41'",
         "${jndi:x}", "`id`", "$(id)", "\r\nX: y", "&lt;", "<script>"]


def hostile_texts(dev, client):
    """SQL, arrays, logs, HTTP: text of clients is text. What is taken is given back as it was; nothing is a fault of the server."""
    tables = dev.psql("SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')")
    taken = 0
    for text in TEXTS:
        contact = f"mailto:{text}@corp.example"
        other = Client(dev)
        answer = other.post(other.directory["newAccount"], {"termsOfServiceAgreed": True, "contact": [contact]})
        check(answer.status in (201, 400), f"contact {text!r}: {answer.status} {answer.body}")
        if answer.status == 201:
            other.kid, taken = answer.headers["Location"], taken + 1
            read = other.post(other.kid).json()
            check(read["contact"] == [contact], f"{text!r} became {read['contact']}")
        for order in ({"identifiers": [{"type": "dns", "value": text + ".internal.test"}]}, {"identifiers": [{"type": text, "value": "a.internal.test"}]}, {"identifiers": [{"type": "dns", "value": "a.internal.test"}], "profile": text}):
            answer = client.post(client.directory["newOrder"], order)
            fine = answer.status == 201 and answer.json()["identifiers"][0]["value"] == order["identifiers"][0]["value"].lower() and re.fullmatch(r"[\w-]{1,63}", text)
            check(fine or 400 <= answer.status < 500, f"{order}: {answer.status} {answer.body}")
        url = f"https://localhost:{dev.port}/acme/default/order/" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        check(400 <= client.post(url).status < 500, f"{url} was found")
    check(taken > 5, f"only {taken} contacts were taken: nothing of this reached the store")
    check(dev.psql("SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p')") == tables, "there are other tables than before")
    check(all(re.match(r"\d{4}-\d\d-\d\dT\S+Z (debug|info|warn|error) certmill-acme ", line) for line in dev.log("acme-0.log").splitlines()), "a line of the log is none of ours")


class Reflector:
    """A web server that answers every path, as its mode says."""

    MODES = {
        "path": lambda token, host, thumbprint: "/.well-known/acme-challenge/" + token,
        "token": lambda token, host, thumbprint: token,
        "token and dot": lambda token, host, thumbprint: token + ".",
        "host": lambda token, host, thumbprint: host,
        "another account": lambda token, host, thumbprint: token + "." + thumbprint,
        "another token": lambda token, host, thumbprint: token[::-1] + "." + thumbprint,
        "page": lambda token, host, thumbprint: f"<html>{token}.{thumbprint}</html>",
    }

    def __init__(self, port, key):
        self.mode, self.right = "path", None
        reflector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                token = self.path.rsplit("/", 1)[-1]
                # The last two modes speak of the right account, but not as they must.
                thumbprint = key.thumbprint() if reflector.mode == "another account" else reflector.right
                body = Reflector.MODES[reflector.mode](token, self.headers["Host"], thumbprint).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def reflectors(dev, client):
    """A site that reflects what it is asked proves nothing, nor does the proof of another account."""
    reflector = Reflector(dev.http_port, Key())
    reflector.right = client.key.thumbprint()
    try:
        for mode in Reflector.MODES:
            reflector.mode = mode
            order = client.new_order([f"{mode.replace(' ', '-')}.internal.test"])
            url = order["authorizations"][0]
            client.post(client.post(url).json()["challenges"][0]["url"], {})
            authorization = client.poll(url, ("pending", "processing"))
            problem = authorization["challenges"][0]["error"]
            check(authorization["status"] == "invalid" and problem["type"].endswith(":incorrectResponse"), f"{mode}: {authorization}")
    finally:
        reflector.server.shutdown()
        reflector.server.server_close()


def each_name_counts(dev, client):
    """Of N names one is bad, at each place: it is the one that is told, and nothing is issued."""
    for n in (1, 4, 9):
        good = [f"n{k}.internal.test" for k in range(n)]
        for bad in range(n):
            names = good[:bad] + ["not a name"] + good[bad + 1:]
            answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": v} for v in names]})
            check(answer.status == 400 and "not a name" in answer.body.decode(), f"{bad} of {n}: {answer.body}")
            told = [p["identifier"]["value"] for p in answer.json().get("subproblems", [])]
            check(told in ([], ["not a name"]), f"{bad} of {n}: {told}")
    responder = Responder(dev.http_port)
    try:
        # All challenges of all orders are under way at once: a refused one takes its tries.
        orders = []
        for n in (1, 3, 6):
            for bad in range(n):
                order = client.new_order([f"o{n}-{bad}-{k}.internal.test" for k in range(n)])
                for k, url in enumerate(order["authorizations"]):
                    authorization = client.post(url).json()
                    challenge = authorization["challenges"][0]
                    if f"o{n}-{bad}-{bad}." not in authorization["identifier"]["value"]:
                        responder.tokens[challenge["token"]] = challenge["token"] + "." + client.key.thumbprint()
                    check(client.post(challenge["url"], {}).status == 200, f"{k} of {n}")
                orders.append((n, bad, order))
        for n, bad, order in orders:
            ended = client.poll(order["url"], ("pending", "processing"))
            check(ended["status"] == "invalid", f"{bad} of {n}: {ended}")
            states = {a["identifier"]["value"]: a["status"] for a in (client.post(url).json() for url in order["authorizations"])}
            check(states[f"o{n}-{bad}-{bad}.internal.test"] == "invalid", f"{bad} of {n}: {states}")
            answer = client.finalize(order, csr_make([i["value"] for i in order["identifiers"]]))
            check(answer.status in (400, 403) and answer.type() == "orderNotReady", f"{bad} of {n}: {answer.status} {answer.body}")
        order = client.new_order([f"c{k}.internal.test" for k in range(5)])
        client.authorize(order, responder)
        names = [i["value"] for i in order["identifiers"]]
        for bad in range(5):
            for wrong in (names[:bad] + ["else.internal.test"] + names[bad + 1:], names[:bad] + names[bad + 1:]):
                answer = client.finalize(order, csr_make(wrong))
                check(answer.status == 400 and answer.type() == "badCSR", f"{bad}: {answer.status} {answer.body}")
        check(client.finalize(order, csr_make(names)).status == 200, "the right names")
    finally:
        responder.close()


class Witness(Client):
    """A client that remembers what must not be in a log."""

    def __init__(self, dev):
        self.secrets = set()
        super().__init__(dev)

    def request(self, method, url, body=None, headers=None):
        answer = super().request(method, url, body, headers)
        if "Replay-Nonce" in answer.headers:
            self.secrets.add(answer.headers["Replay-Nonce"])
        self.secrets |= set(re.findall(r'"token":"([\w-]+)"', answer.body.decode(errors="replace")))
        return answer


def secrets_in_logs(dev):
    """Whole issuances, failures and a signature that is wrong, with every log at debug: no nonce, token, passphrase, secret or key is in a log."""
    client = Witness(dev)
    client.register()
    responder = Responder(dev.http_port)
    client.obtain(["secret.internal.test"], responder)
    order = client.new_order(["refused.internal.test"])
    url = order["authorizations"][0]
    client.post(client.post(url).json()["challenges"][0]["url"], {})
    client.poll(url, ("pending", "processing"))
    check(client.post(client.directory["newOrder"], {}, signature="A" * 86).status in (400, 401, 403), "a wrong signature")
    responder.close()
    secrets = set(client.secrets)
    check(len(secrets) > 10, f"only {len(secrets)} secrets were seen")
    for name in ("passphrase", "cluster-secret"):
        with open(os.path.join(dev.state, name), encoding="utf-8") as f:
            secrets.add(f.read().strip())
    for name in ("issuer-1.key", "internal-root.key", "root/root.key"):
        der = subprocess.run(["openssl", "pkey", "-in", os.path.join(dev.state, "signer", name), "-passin", "file:" + os.path.join(dev.state, "passphrase"), "-outform", "DER"], check=True, capture_output=True).stdout
        scalar = re.search(rb"\x02\x01\x01\x04\x20(.{32})", der, re.DOTALL).group(1)
        secrets |= {scalar.hex(), scalar.hex().upper(), base64.b64encode(scalar).decode()[:40]}
    logs = os.listdir(os.path.join(dev.state, "log"))
    check("debug" in dev.log("acme-0.log"), "the log is not at debug")
    for name in logs:
        text = dev.log(name)
        for secret in secrets:
            check(secret not in text, f"{name} holds {secret[:6]}...")


with Dev() as dev:
    for config, program in (("acme-0.yaml", "certmill-acme"), ("signer.yaml", "certmill-signer")):
        with open(os.path.join(dev.state, config), "a", encoding="utf-8") as f:
            f.write("log_level: debug\n")
        os.kill(dev.pids(program)[0], signal.SIGHUP)
    deadline = time.monotonic() + 20
    while "acme.reloaded" not in dev.log("acme-0.log") or "signer.reloaded" not in dev.log("signer.log"):
        check(time.monotonic() < deadline, "no reload")
        time.sleep(0.1)
    client = Client(dev)
    client.register()
    for part in (hostile_texts, reflectors, each_name_counts):
        part(dev, client)
        print(part.__name__ + ": ok", flush=True)
    secrets_in_logs(dev)
    print("secrets_in_logs: ok", flush=True)
