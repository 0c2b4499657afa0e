"""protocol: every class of malformed request gets the problem type and status of RFC 8555 section 6.7, and the answers have the form that clients need."""
import json
import os
import signal
import socket
import ssl
import time

from cryptography.hazmat.primitives.asymmetric import rsa

from certmill import Client, Dev, Key, Responder, b64, check, csr_make


def expect(answer, status, kind, what):
    check(answer.status == status, f"{what}: {answer.status} {answer.body[:300]}")
    check(answer.headers["Content-Type"] == "application/problem+json", f"{what}: {answer.headers['Content-Type']}")
    problem = answer.json()
    check(problem["type"] == "urn:ietf:params:acme:error:" + kind, f"{what}: {problem}")
    check(problem["status"] == status and problem["detail"], f"{what}: {problem}")
    check("Replay-Nonce" in answer.headers, f"{what}: no fresh nonce")


def form(dev):
    client = Client(dev)
    url = client.directory["newAccount"]
    expect(client.post(url, {}, content_type="application/json"), 415, "malformed", "content type")
    expect(client.request("POST", url, "", {"Content-Type": "application/jose+json"}), 400, "malformed", "empty body")
    expect(client.request("POST", url, "{", {"Content-Type": "application/jose+json"}), 400, "malformed", "bad JSON")
    expect(client.request("POST", url, "[]", {"Content-Type": "application/jose+json"}), 400, "malformed", "an array")
    expect(client.post(url, {}, members={"header": {}}), 400, "malformed", "unprotected header")
    expect(client.post(url, {}, members={"signatures": []}), 400, "malformed", "general form")
    expect(client.post(url, {}, payload64="e30="), 400, "malformed", "padding")
    expect(client.post(url, {}, payload64="e3 0"), 400, "malformed", "white space in base64url")
    expect(client.post(url, {}, payload64="e+0/"), 400, "malformed", "other alphabet")
    expect(client.post(url, {}, payload64=b64(b"[1]")), 400, "malformed", "payload is an array")
    expect(client.post(url, {}, payload64=b64(b'{"a":1,"a":2}')), 400, "malformed", "duplicate member in the payload")
    nonce = client.take_nonce()
    doubled = b64(json.dumps({"alg": "ES256", "nonce": nonce, "url": url, "jwk": client.key.jwk})[:-1].encode() + b',"alg":"ES256"}')
    expect(client.request("POST", url, client.jws(url, {}, protected=doubled), {"Content-Type": "application/jose+json"}), 400, "malformed", "duplicate member in the header")
    for name, value in (("crit", ["exp"]), ("b64", False)):
        expect(client.post(url, {}, header={name: value}), 400, "malformed", name)
    for alg in ("none", "HS256", "RS1", "XY"):
        answer = client.post(url, {}, header={"alg": alg})
        expect(answer, 400, "badSignatureAlgorithm", "alg " + alg)
        check("ES256" in answer.json()["algorithms"], "no list of algorithms")
    expect(client.post(url, {}, header={"alg": "RS256"}), 400, "badSignatureAlgorithm", "alg of another key kind")
    expect(client.post(url, {}, signature=b64(bytes(64))), 400, "malformed", "zero signature")
    expect(client.post(url, {}, signature=b64(bytes(10))), 400, "malformed", "short signature")
    expect(client.post(url, {}, header={"url": dev.directory}), 403, "unauthorized", "wrong url")
    expect(client.post(url, {}, header={"url": None}), 400, "malformed", "no url")
    expect(client.post(url, {}, header={"nonce": None}), 400, "badNonce", "no nonce")
    expect(client.post(url, {}, header={"nonce": b64(bytes(34))}), 400, "badNonce", "forged nonce")
    expect(client.post(url, {}, header={"nonce": "x"}), 400, "malformed", "nonce that is not base64url")
    expect(client.post(url, {}, header={"nonce": "AAAA"}), 400, "badNonce", "short nonce")
    expect(client.post(url, {}, header={"kid": client.directory["newAccount"]}), 400, "malformed", "kid and jwk")
    expect(client.post(url, {}, header={"jwk": None, "kid": url}), 400, "malformed", "kid for newAccount")
    weak = Key("RS256")
    weak.private = rsa.generate_private_key(65537, 1024)
    n = weak.private.public_key().public_numbers().n
    weak.jwk["n"] = b64(n.to_bytes(128, "big"))
    expect(Client(dev, weak).post(url, {}), 400, "badPublicKey", "RSA 1024")
    big = client.request("POST", url, "x" * 70000, {"Content-Type": "application/jose+json"})
    check(big.status == 413 and big.json()["status"] == 413, f"large body: {big.status}")


def accounts(dev):
    for alg in ("ES256", "ES384", "RS256", "EdDSA"):
        client = Client(dev, Key(alg))
        expect(client.post(client.directory["newAccount"], {"onlyReturnExisting": True}), 400, "accountDoesNotExist", "unknown key")
        answer = client.post(client.directory["newAccount"], {"contact": ["mailto: a@b.test"], "termsOfServiceAgreed": True})
        check(answer.status == 201 and answer.json()["status"] == "valid" and answer.json()["contact"] == ["mailto:a@b.test"], answer.body)
        check(len(answer.headers.get_all("Location")) == 1 and 'rel="index"' in answer.headers["Link"], "Location or Link")
        again = client.post(client.directory["newAccount"], {"onlyReturnExisting": True})
        check(again.status == 200 and again.headers["Location"] == answer.headers["Location"], "existing account")
        client.kid = answer.headers["Location"]
        for payload in (None, {}):
            read = client.post(client.kid, payload)
            check(read.status == 200 and "Location" not in read.headers and read.headers["Content-Type"] == "application/json", "account read")
        expect(client.post(client.directory["newAccount"], {}), 400, "malformed", "kid for newAccount")
        client.kid = client.kid[:-22] + "A" * 22
        expect(client.post(client.directory["newOrder"], {}), 400, "accountDoesNotExist", "unknown kid")
    client = Client(dev)
    expect(client.post(client.directory["newAccount"], {"contact": ["tel:1"]}), 400, "unsupportedContact", "telephone")
    expect(client.post(client.directory["newAccount"], {"contact": ["mailto:a@b,c@d"]}), 400, "invalidContact", "two addresses")
    expect(client.post(client.directory["newAccount"]), 400, "malformed", "no payload")


def orders(dev, responder):
    client, other = Client(dev), Client(dev)
    client.register()
    other.register()
    new = client.directory["newOrder"]
    for payload, kind in (({}, "malformed"), ({"identifiers": []}, "malformed"), ({"identifiers": [{"type": "dns"}]}, "malformed"), ({"identifiers": [{"type": "email", "value": "a@b.test"}]}, "unsupportedIdentifier"),
                          ({"identifiers": [{"type": "dns", "value": "a.*.test"}]}, "rejectedIdentifier"), ({"identifiers": [{"type": "dns", "value": "a..test"}]}, "rejectedIdentifier"),
                          ({"identifiers": [{"type": "dns", "value": "10.0.0.1"}]}, "rejectedIdentifier"), ({"identifiers": [{"type": "dns", "value": "a.test"}] * 101}, "malformed"),
                          ({"identifiers": [{"type": "dns", "value": "a.test"}], "profile": "nobody"}, "invalidProfile"), ({"identifiers": [{"type": "dns", "value": "a.test"}], "notAfter": "2030-01-01T00:00:00Z"}, "malformed")):
        expect(client.post(new, payload), 400, kind, str(payload)[:60])
    order = client.new_order(["Mixed.Internal.Test", "two.internal.test"])
    check([i["value"] for i in order["identifiers"]] == ["mixed.internal.test", "two.internal.test"] and order["status"] == "pending" and len(order["authorizations"]) == 2, str(order))
    check("certificate" not in order and "error" not in order and order["expires"].endswith("Z"), str(order))
    expect(client.finalize(order, csr_make(["a.test"])), 403, "orderNotReady", "finalize while pending")
    expect(other.post(order["url"]), 404, "unauthorized", "another's order")
    expect(other.post(order["authorizations"][0]), 404, "unauthorized", "another's authorization")
    expect(client.post(order["url"], {"a": 1}), 400, "malformed", "order read with payload")
    expect(client.post(order["url"][:-22] + "A" * 22), 404, "unauthorized", "unknown order")
    authz = client.post(order["authorizations"][0]).json()
    check(authz["status"] == "pending" and authz["identifier"] == {"type": "dns", "value": "mixed.internal.test"} and "wildcard" not in authz, str(authz))
    challenge = authz["challenges"][0]
    check(challenge["type"] == "http-01" and len(challenge["token"]) >= 22, str(challenge))
    answer = client.post(challenge["url"], {})
    check(answer.status == 200 and answer.json()["url"] == challenge["url"], answer.body)
    check(any(f'<{order["authorizations"][0]}>;rel="up"' == v for v in answer.headers.get_all("Link")), str(answer.headers))
    failed = client.poll(order["authorizations"][0], ("pending", "processing"), 40)  # nobody answers the challenge
    error = failed["challenges"][0]["error"]
    check(failed["status"] == "invalid" and error["type"].endswith(":incorrectResponse") and "after 3 tries" in error["detail"] and "http-01 for mixed.internal.test" in error["detail"], str(failed))
    check(client.post(order["url"]).json()["status"] == "invalid", "order with an invalid authorization")

    order = client.new_order(["a.internal.test", "b.internal.test"])
    client.authorize(order, responder)
    check(client.post(order["url"]).json()["status"] == "ready", "order is not ready")
    for csr, what in ((csr_make(["a.internal.test"]), "one name missing"), (csr_make(["a.internal.test", "b.internal.test", "c.internal.test"]), "one name more"), (csr_make(["a.internal.test", "c.internal.test"]), "another name"),
                      (csr_make([]), "no names"), (b"garbage", "garbage"), (csr_make(["a.internal.test", "b.internal.test"])[:-1], "cut off"), (csr_make(["a.internal.test", "b.internal.test"], client.key.private), "the account's key"),
                      (csr_make(["a.internal.test", "b.internal.test"], rsa.generate_private_key(65537, 1024)), "RSA 1024")):
        expect(client.finalize(order, csr), 400, "badCSR", what)
    broken = bytearray(csr_make(["a.internal.test", "b.internal.test"]))
    broken[-3] ^= 1
    expect(client.finalize(order, bytes(broken)), 400, "badCSR", "broken signature")
    expect(client.post(order["finalize"], {"csr": "?"}), 400, "malformed", "csr is not base64url")
    expect(client.post(order["finalize"], {}), 400, "malformed", "no csr")
    check(client.post(order["url"]).json()["status"] == "ready", "a refused CSR spoiled the order")
    answer = client.finalize(order, csr_make(["b.internal.test", "a.internal.test"], cn="a.internal.test"))
    check(answer.status == 200 and answer.json()["status"] == "valid" and answer.headers["Location"] == order["url"], answer.body)
    expect(client.finalize(order, csr_make(["a.internal.test", "b.internal.test"])), 403, "orderNotReady", "finalize again")
    url = answer.json()["certificate"]
    chain = client.post(url)
    check(chain.status == 200 and chain.headers["Content-Type"] == "application/pem-certificate-chain" and "Replay-Nonce" in chain.headers, str(chain.headers))
    check(not any('rel="up"' in v for v in chain.headers.get_all("Link")), "rel=up on a certificate")
    expect(other.post(url), 404, "unauthorized", "another's certificate")


def resources(dev):
    client = Client(dev)
    directory = client.get(dev.directory)
    check(directory.headers["Content-Type"] == "application/json" and set(directory.json()) >= {"newNonce", "newAccount", "newOrder", "meta"}, directory.body)  # which others: r52 of requirements_test.py
    check(set(directory.json()["meta"]["profiles"]) == {"server", "client-server", "short", "revocable"}, "profiles")
    check(client.get(f"https://localhost:{dev.port}/dir").json() == directory.json() == client.get(f"https://localhost:{dev.port}/acme/default/directory").json(), "aliases")
    head, get = client.request("HEAD", directory.json()["newNonce"]), client.get(directory.json()["newNonce"])
    check(head.status == 200 and get.status == 204 and head.headers["Cache-Control"] == "no-store" and head.headers["Replay-Nonce"] != get.headers["Replay-Nonce"], "newNonce")
    for method, url, status in (("GET", "newOrder", 405), ("PUT", "newNonce", 405), ("POST", "renewalInfo", 405), ("PUT", "newAccount", 405)):
        answer = client.request(method, directory.json()[url], "" if method != "GET" else None)
        check(answer.status == status and answer.headers["Allow"] and answer.json()["status"] == status, f"{method} {url}: {answer.status}")
    for path in ("/", "/acme/nobody/directory", "/acme/default/nothing", "/acme/default/acct/x"):
        answer = client.get(f"https://localhost:{dev.port}{path}")
        check(answer.status in (404, 405) and answer.json()["status"] == answer.status, f"{path}: {answer.status}")
    check(client.request("GET", dev.directory, headers={"Content-Type": "application/json", "Content-Length": "0", "Accept-Encoding": "gzip", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}).status == 200, "odd headers")


def transport(dev):
    def raw(data, tls=True, alpn=None):
        s = socket.create_connection(("127.0.0.1", dev.port), 10)
        if tls:
            context = ssl.create_default_context(cafile=dev.root)
            if alpn:
                context.set_alpn_protocols([alpn])
            s = context.wrap_socket(s, server_hostname="localhost")
        s.settimeout(15)
        s.sendall(data)
        got = b""
        try:
            while len(got) < 65536:
                part = s.recv(4096)
                if not part:
                    break
                got += part
        except (ConnectionError, ssl.SSLError):
            pass
        s.close()
        return got

    raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls=False)
    raw(b"\x16\x03\x01\xff\xff" + b"x" * 1000, tls=False)
    for bad in (b"\r\n\r\n\r\nnothing at all\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n"):
        answer = raw(bad)
        check(answer.startswith(b"HTTP/1.1 4") and b"application/problem+json" in answer, f"{bad[:30]}: {answer[:80]}")
    raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64, alpn="h2")
    raw(b"not the preface at all, not at all, no", alpn="h2")
    check(Client(dev).directory, "the server is gone")


def tenants(dev):
    """A tenant that is added by a reload, and what is said of one that asks for what no signer has."""
    path = os.path.join(dev.state, "acme-0.yaml")
    with open(path, "a", encoding="utf-8") as f:
        f.write(f"  team:\n    hosts: ['localhost:{dev.port}']\n    profiles: [short, nobodys]\n    issuer: 7\n")
    os.kill(dev.pids("acme-0.yaml")[0], signal.SIGHUP)
    client, deadline, url = Client(dev), time.monotonic() + 20, f"https://localhost:{dev.port}/acme/team/directory"
    while client.get(url).status != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    directory = client.get(url).json()
    check(directory["newOrder"] == f"https://localhost:{dev.port}/acme/team/new-order" and set(directory["meta"]["profiles"]) == {"short"}, str(directory))
    while "profile=nobodys" not in dev.log("acme-0.log") and time.monotonic() < deadline:
        time.sleep(0.05)
    said = [line for line in dev.log("acme-0.log").splitlines() if "signer.not_offered" in line]
    check(len(said) == 2 and all("warn" in line and "tenant=team" in line for line in said) and "issuer=7" in said[1], str(said))


with Dev(history=True) as dev:
    responder = Responder(dev.http_port, dev)
    for part, arguments in ((resources, ()), (form, ()), (accounts, ()), (orders, (responder,)), (transport, ()), (tenants, ())):
        part(dev, *arguments)
        print(part.__name__ + ": ok")
    dev.check_history()  # I11: nothing that was refused above has had an effect
    responder.close()
    check("ERROR: AddressSanitizer" not in dev.log("acme-0.log") and "runtime error" not in dev.log("acme-0.log"), "sanitizer findings")
