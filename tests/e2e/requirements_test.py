"""requirements: what ACME clients need of a server, by the numbers of docs/client-requirements.md, over the wire. A function per number; `rules` hold for every answer that any of them sees."""
import base64
import datetime
import http.client
import json
import re
import socket
import ssl
import subprocess
import time

from cryptography import x509

from certmill import Client, Dev, Responder, b64, check, csr_make

STATUSES = {"pending", "ready", "processing", "valid", "invalid", "deactivated", "expired", "revoked"}
ONCE = ("Location", "Replay-Nonce", "Retry-After", "Content-Type", "Cache-Control")


def strings(document):
    """Every text of a document with the name of its member."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from ((name, value),) if isinstance(value, str) else strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from (("", value),) if isinstance(value, str) else strings(value)


def json_rules(what, text, base):
    document = json.loads(text, object_pairs_hook=lambda pairs: dict(pairs) if len({k for k, _ in pairs}) == len(pairs) else check(False, f"{what}: a member twice"))
    check("\\/" not in text and "\\u" not in text, f"{what}: escapes in {text}")  # 50
    check(json.dumps(document, separators=(",", ":"), ensure_ascii=False) == text, f"{what}: not compact: {text}")
    for name, value in strings(document):
        if name == "status":
            check(value in STATUSES, f"{what}: status {value}")  # 42
        if name in ("expires", "validated", "start", "end"):
            check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value), f"{what}: {name} {value}")  # 51
        if value.startswith(("http:", "https:")):
            check(value.startswith(base + "/"), f"{what}: {value} is not below {base}")  # 6
    return document


def rules(method, url, answer):
    """What holds for every answer."""
    what, headers = f"{method} {url}: {answer.status}", answer.headers.items()
    base = "/".join(url.split("/")[:3])
    for name, value in headers:
        check(name == "-".join(part.capitalize() for part in name.split("-")), f"{what}: header {name} is not spelled canonically")  # 2
        check(name == "Location" or "location" not in (name + value).lower(), f"{what}: {name}: {value}")  # 3
    for name in ONCE:
        check(len(answer.headers.get_all(name, [])) <= 1, f"{what}: {name} twice")  # 4
    check(answer.headers.get("Location", base + "/").startswith(base + "/"), f"{what}: Location {answer.headers['Location']}")
    check("Content-Encoding" not in answer.headers, f"{what}: compressed")  # 5
    if method == "POST" or answer.status >= 400:
        check(re.fullmatch(r"[A-Za-z0-9_-]{20,128}", answer.headers.get("Replay-Nonce", "") if method == "POST" else "x" * 20), f"{what}: Replay-Nonce {answer.headers['Replay-Nonce']}")  # 17, 18
    check(answer.status in (200, 201, 400, 401, 403, 404, 405, 409, 413, 415, 421, 503) or (answer.status == 204 and method == "GET"), what)  # 14
    check(f'<{base}/acme/default/directory>;rel="index"' in answer.headers.get_all("Link", []) or answer.status in (413, 421) or "/acme/nobody" in url or "/acme/" not in url, f"{what}: no index")  # 16
    information = "/renewal-info/" in url and answer.status == 200
    if information:
        check(3600 <= int(answer.headers["Retry-After"]) <= 21600 and answer.headers["Retry-After"].isdigit(), f"{what}: Retry-After {answer.headers['Retry-After']}")  # 53
    elif "Retry-After" in answer.headers:
        check(re.fullmatch(r"[1-9]\d?", answer.headers["Retry-After"]) and int(answer.headers["Retry-After"]) <= 60, f"{what}: Retry-After {answer.headers['Retry-After']}")  # 47, 58
    check(len(answer.body) < 65536, f"{what}: {len(answer.body)} bytes")  # 9
    kind, text = answer.headers["Content-Type"], answer.body.decode()
    if answer.status >= 400:
        check(kind == "application/problem+json", f"{what}: {kind}")  # 11
        problem = json_rules(what, text, base) if method != "HEAD" else {"status": answer.status, "type": "", "detail": "-"}
        check(problem["status"] == answer.status and isinstance(problem["type"], str) and problem["detail"], f"{what}: {problem}")  # 12
    elif kind == "application/json":  # 10
        document = json_rules(what, text, base) if method != "HEAD" else {}
        if document.get("status") not in ("pending", "processing") and not information:
            check("Retry-After" not in answer.headers, f"{what}: Retry-After with {text}")  # 47
    else:
        check(kind in (None, "application/pem-certificate-chain") and (kind or not text), f"{what}: {kind}")  # 13


class Strict(Client):
    """Checks every answer."""

    def request(self, method, url, body=None, headers=None):
        answer = super().request(method, url, body, headers)
        rules(method, url, answer)
        return answer


class Alone(Strict):
    """A new connection for every request, as acme-tiny and nginx do."""

    def request(self, method, url, body=None, headers=None):
        self.connection = None
        return super().request(method, url, body, dict(headers or {}, Connection="close"))


def curl_post(dev, version, url, body):
    """A POST by curl: (version and code, head, body)."""
    out = subprocess.run(["curl", "-sS", "-i", version, "--cacert", dev.root, "-H", "Content-Type: application/jose+json", "-H", "Expect:", "--data-binary", "@-", "-w", "\n%{http_version} %{http_code}", url],
                         input=body, capture_output=True, text=True, timeout=30, check=True).stdout
    head, rest = out.replace("\r\n", "\n").split("\n\n", 1)
    text, code = rest.rsplit("\n", 1)
    return code, head, text


def challenge_of(client, order):
    return client.post(order["authorizations"][0]).json()["challenges"][0]


def r01(dev, responder):
    client = Alone(dev)
    client.register()
    check(client.obtain(["one.internal.test"], responder).startswith("-----BEGIN"), "one connection per request")
    for version, want in (("--http2", "2"), ("--http1.1", "1.1")):
        client = Client(dev)
        code, head, _ = curl_post(dev, version, client.directory["newAccount"], client.jws(client.directory["newAccount"], {}))
        check(code == want + " 201" and head.lower().count("\nreplay-nonce: ") == head.lower().count("\nlocation: https://") == 1, code + head)


def r05(dev, _):
    client = Strict(dev)
    odd = {"Content-Type": "application/jose+json", "Content-Length": "0", "Accept": "*/*", "Accept-Charset": "utf-8", "Accept-Language": "de", "Accept-Encoding": "gzip", "Cache-Control": "no-cache", "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    for url, status in ((dev.directory, 200), (client.directory["newNonce"], 204)):
        check(client.request("GET", url, headers=odd).status == status, f"GET {url}")
        check(client.request("HEAD", url, headers=odd).status == 200, f"HEAD {url}")


def r06(dev, _):
    for host in ("localhost", "127.0.0.1"):
        client = Strict(dev)
        client.host, client.connection = host, None
        directory = client.get(f"https://{host}:{dev.port}/directory").json()
        check(directory["newOrder"] == f"https://{host}:{dev.port}/acme/default/new-order", str(directory))


def r07(dev, _):
    client = Strict(dev)
    for path in ("directory", "dir", "acme/default/directory"):
        answer = client.get(f"https://localhost:{dev.port}/{path}")
        check(answer.status == 200 and answer.headers["Cache-Control"] == "public, max-age=60", f"{path}: {answer.headers}")


def r09(dev, responder):
    client = Strict(dev)
    client.register()
    names = [f"{i:03}-{'a' * 59}.{'b' * 63}.{'c' * 63}.{'d' * 40}.internal.test" for i in range(100)]
    check(len(client.new_order(names)["authorizations"]) == 100, "the largest order")
    check(client.obtain(["end.internal.test"], responder).endswith("-----END CERTIFICATE-----\n"), "bytes behind the chain")


def r14(dev, responder):
    client = Strict(dev)
    new = client.directory["newAccount"]
    check([client.post(new, {}).status, client.post(new, {}).status] == [201, 200], "newAccount")
    client.register()
    order = client.new_order(["codes.internal.test"])  # 201
    client.authorize(order, responder)  # 200
    answer = client.finalize(order, csr_make(["codes.internal.test"]))
    check(answer.status == 200 and answer.headers["Location"] == order["url"], "finalize")  # 15
    check(client.post(answer.json()["certificate"]).status == 200, "certificate")


def r16(dev, _):
    client = Strict(dev)
    client.register()
    order = client.new_order(["link.internal.test"])
    answer = client.post(challenge_of(client, order)["url"], {})
    check(f'<{order["authorizations"][0]}>;rel="up"' in answer.headers.get_all("Link"), str(answer.headers))
    # `up` and `alternate` on a certificate: tests/unit/api/issuance_test.c


def r17(dev, _):
    client = Strict(dev)
    answer = client.request("POST", client.directory["newOrder"], "x" * 70000, {"Content-Type": "application/jose+json"})
    check(answer.status == 413 and "Replay-Nonce" in answer.headers, str(answer.headers))
    client.connection = None
    check(client.post(client.directory["newAccount"], {}).status == 201, "the nonce of a refusal is good")
    code, head, text = curl_post(dev, "--http2", client.directory["newOrder"], "x" * 70000)
    check(code == "2 413" and "\nreplay-nonce: " in head and json.loads(text)["status"] == 413, code + head)


def r19(dev, _):
    client = Strict(dev)
    client.register()
    client.nonce = None
    old = client.take_nonce()
    for kind, status in (("", 404), ("badNonce", 400)):
        client.nonce = old
        answer = client.post(client.directory["newOrder"].replace("new-order", "order/x"))
        check(answer.status == status, answer.body)
    check(answer.type() == kind and "JWS has an invalid anti-replay nonce" in answer.json()["detail"] and answer.headers["Replay-Nonce"] != old, answer.body)
    check(client.post(client.kid).status == 200, "the fresh nonce")


def r21(dev, _):
    client = Strict(dev)
    head, get = client.request("HEAD", client.directory["newNonce"]), client.get(client.directory["newNonce"])
    for answer, status in ((head, 200), (get, 204)):
        check(answer.status == status and answer.headers["Cache-Control"] == "no-store" and not answer.body, str(answer.headers))
    check(head.headers["Replay-Nonce"] != get.headers["Replay-Nonce"], "the same nonce twice")


def r23(dev, _):
    client = Strict(dev)
    client.register()
    url = client.directory["newOrder"]
    header = {"url": url, "nonce": client.take_nonce(), "kid": client.kid, "alg": client.key.alg}
    protected, payload = b64(json.dumps(header, indent=2).encode()), b64(json.dumps({"identifiers": [{"value": "pretty.internal.test", "type": "dns"}]}, indent=4).encode())
    jws = {"signature": b64(client.key.sign(f"{protected}.{payload}".encode())), "payload": payload, "protected": protected}
    answer = client.request("POST", url, json.dumps(jws, indent=4), {"Content-Type": "application/jose+json"})
    check(answer.status == 201, answer.body)
    check(client.post(client.kid, {}).status == 200, "an empty object at the account")


def r24(dev, responder):
    client = Strict(dev)
    account = client.register()
    check(account.json()["status"] == "valid" and account.json()["contact"] == [], account.body)  # 29
    check(re.fullmatch(r".*/acct/[A-Za-z0-9_-]+", client.kid), client.kid)  # 30
    order = client.new_order(["read.internal.test"])
    client.authorize(order, responder)
    certificate = client.finalize(order, csr_make(["read.internal.test"])).json()["certificate"]
    orders = account.json()["orders"]
    check(order["url"] in client.post(orders).json()["orders"], "the list of orders")
    for url in (client.kid, orders, order["url"], order["authorizations"][0], challenge_of(client, order)["url"], certificate):
        check(client.post(url).status == 200, url)


def r26(dev, responder):
    """Padded base64 of the standard alphabet, as acmetool sends it; 200 with nothing in it (14)."""
    client = Strict(dev)
    client.register()
    for encode in (base64.b64encode, base64.urlsafe_b64encode, lambda der: b64(der).encode()):
        der = b"x"
        while len(der) % 3 == 0 or len(der) == 1:
            der = ssl.PEM_cert_to_DER_cert(client.obtain(["revoked.internal.test"], responder).split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
        check("revoke" in client.directory["revokeCert"], client.directory)  # 8
        answer = client.post(client.directory["revokeCert"], {"certificate": encode(der).decode(), "reason": 4})
        check(answer.status == 200 and answer.body == b"", f"{answer.status} {answer.body}")
        answer = client.post(client.directory["revokeCert"], {"certificate": encode(der).decode()})
        check(answer.status == 400 and answer.type() == "alreadyRevoked", answer.body)


def r31(dev, _):
    kids = {Strict(dev).register().headers["Location"] for _ in range(25)}
    check(len(kids) == 25, "an account for each key")


def r32(dev, _):
    client = Strict(dev)
    client.register()
    order = client.new_order(["Zeta.Internal.Test", "alpha.internal.test"])
    check(order["identifiers"] == [{"type": "dns", "value": "zeta.internal.test"}, {"type": "dns", "value": "alpha.internal.test"}], str(order))


def r33(dev, _):
    client = Strict(dev)
    client.register()
    order = client.new_order(["fields.internal.test"])
    check(set(order) - {"url"} == {"status", "expires", "identifiers", "profile", "authorizations", "finalize"} and order["status"] == "pending", str(order))


def r34(dev, responder):
    client = Strict(dev)
    client.register()
    unset = "0001-01-01T00:00:00Z"
    order = client.new_order(["year-one.internal.test"], notBefore=unset, notAfter=unset)
    check("notBefore" not in order and "notAfter" not in order, str(order))
    for name, value, text in (("notBefore", "2031-01-01T00:00:00Z", "ahead"), ("notBefore", "2021-01-01T00:00:00Z", "past"), ("notAfter", "2031-01-01T00:00:00Z", "profile"), ("notAfter", "2021-01-01T00:00:00Z", "minute"), ("notAfter", "soon", '"notAfter"'), ("notBefore", 17, '"notBefore"')):
        answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "dated.internal.test"}], name: value})
        check(answer.status == 400 and answer.type() == "malformed" and text in answer.json()["detail"], answer.body)
    begin = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(seconds=30)
    end = begin + datetime.timedelta(hours=2)
    dates = {"notBefore": begin.isoformat().replace("+00:00", ".5Z"), "notAfter": end.isoformat()}
    order = client.new_order(["dated.internal.test"], **dates)
    check(order["notBefore"] == begin.isoformat().replace("+00:00", "Z") and order["notAfter"] == end.isoformat().replace("+00:00", "Z"), str(order))
    client.authorize(order, responder)
    cert = x509.load_pem_x509_certificate(client.finish(order, ["dated.internal.test"]).encode())
    check((cert.not_valid_before, cert.not_valid_after) == (begin.replace(tzinfo=None), end.replace(tzinfo=None)), f"{cert.not_valid_before} {cert.not_valid_after}, not {begin} {end}")


def r35(dev, _):
    client = Strict(dev)
    client.register()
    profiles = client.directory["meta"]["profiles"]
    check(profiles and all(isinstance(text, str) and text for text in profiles.values()), str(profiles))
    for name in profiles:
        check(client.new_order(["profile.internal.test"], profile=name)["profile"] == name, name)
    answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "profile.internal.test"}], "profile": "nobody's"})
    check(answer.status == 400 and answer.type() == "invalidProfile", answer.body)


def r37(dev, responder):
    """Polls the three documents of an order as fast as it goes, oldest truth first: none may be behind the one read before."""
    client = Strict(dev)
    client.register()
    order = client.new_order(["atomic.internal.test"])
    challenge = challenge_of(client, order)
    responder.tokens[challenge["token"]] = challenge["token"] + "." + client.key.thumbprint()
    client.post(challenge["url"], {})
    deadline, seen = time.monotonic() + 20, []
    while time.monotonic() < deadline and seen[-1:] != ["ready"]:
        one, authz, whole = (client.post(url).json() for url in (challenge["url"], order["authorizations"][0], order["url"]))
        check(one["status"] != "valid" or authz["status"] == "valid", f"{one} {authz}")
        check(authz["status"] != "valid" or (authz["challenges"][0]["status"] == "valid" and whole["status"] == "ready"), f"{authz} {whole}")
        seen.append(whole["status"])
    check(seen[-1] == "ready", str(seen))


def r39(dev, responder):
    client = Strict(dev)
    client.register()
    order, csr = client.new_order(["early.internal.test"]), csr_make(["early.internal.test"])
    for _ in range(3):  # some try again and again
        answer = client.finalize(order, csr)
        check(answer.status == 403 and answer.type() == "orderNotReady", answer.body)
    client.authorize(order, responder)
    check(client.finalize(order, csr).json()["status"] in ("processing", "valid"), "the order was spoiled")
    answer = client.finalize(order, csr)
    check(answer.status == 403 and answer.type() == "orderNotReady", answer.body)


def r43(dev, _):
    client = Strict(dev)
    client.register()
    order = client.new_order(["regex.internal.test"])
    text = client.post(order["authorizations"][0]).body.decode()
    check(text.count('"value"') == 1 and "wildcard" not in text, text)
    challenge = json.loads(text)["challenges"][0]
    check(list(challenge) == ["type", "url", "status", "token"] and all(isinstance(v, str) for v in challenge.values()), str(challenge))
    check(16 <= len(base64.urlsafe_b64decode(challenge["token"] + "==")) and len(challenge["token"]) <= 255, challenge["token"])  # 44


def r45(dev, responder):
    client = Strict(dev)
    client.register()
    order = client.new_order(["again.internal.test"])
    challenge = challenge_of(client, order)
    responder.tokens[challenge["token"]] = challenge["token"] + "." + client.key.thumbprint()
    for _ in range(3):
        answer = client.post(challenge["url"], {})
        check(answer.status == 200 and answer.json()["url"] == challenge["url"] and answer.json()["status"] in ("pending", "processing", "valid"), answer.body)
    check(client.poll(order["authorizations"][0], ("pending",))["status"] == "valid", "posted three times")
    check(client.post(challenge["url"], {}).json()["status"] == "valid", "posted once more")


def r48(dev, responder):
    client = Strict(dev)
    client.register()
    took = []
    for i in range(5):
        order = client.new_order([f"quick-{i}.internal.test"])
        begun = time.monotonic()
        client.authorize(order, responder)
        took.append(time.monotonic() - begun)
    check(min(took) < 1, f"validations took {took} s")


def r49(dev, _):
    client = Strict(dev)
    client.register()
    order = client.new_order(["nobody.internal.test"])
    client.post(challenge_of(client, order)["url"], {})
    failed = client.poll(order["authorizations"][0], ("pending",), 40)
    error = failed["challenges"][0]["error"]
    check(failed["status"] == "invalid" and set(error) == {"type", "detail", "status"} and error["type"].startswith("urn:ietf:params:acme:error:") and isinstance(error["status"], int), str(failed))
    check(re.search(r"^http-01 for nobody.internal.test: 127\.0\.0\.1:\d+ answered 404 instead of 200 after 3 tries in \d+ s \(", error["detail"]), error["detail"])
    check(client.post(challenge_of(client, order)["url"]).json()["status"] == "invalid", "the challenge says otherwise")  # 46


def r52(dev, _):
    client = Strict(dev)
    answer, base = client.get(dev.directory), f"https://localhost:{dev.port}/acme/default/"
    directory = answer.json()
    paths = {"newNonce": "new-nonce", "newAccount": "new-account", "newOrder": "new-order", "newAuthz": "new-authz", "revokeCert": "revoke-cert", "keyChange": "key-change", "renewalInfo": "renewal-info"}
    check({"newNonce", "newAccount", "newOrder", "meta"} <= set(directory) <= set(paths) | {"meta"}, answer.body)
    for name, path in paths.items():
        there = client.get(base + path).status != 404
        check(there == (name in directory) and directory.get(name, base + path) == base + path, f"{name}: {directory}")
        check(answer.body.decode().count(name) == there, f"{name} is there as other text, too")  # 50
    check(directory["meta"].get("externalAccountRequired", True) is True, answer.body)


def certificate_id(pem):
    """The identifier of RFC 9773 section 4.1."""
    cert = x509.load_pem_x509_certificate(pem.encode())
    aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    check(aki.authority_cert_issuer is None and aki.authority_cert_serial_number is None, "authority key identifier with more than the key id")  # 54
    serial = cert.serial_number.to_bytes(cert.serial_number.bit_length() // 8 + 1, "big")
    return f"{b64(aki.key_identifier)}.{b64(serial)}", cert


def moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def r36(dev, responder):
    client, other = Strict(dev), Strict(dev)
    client.register()
    other.register()
    before, _ = certificate_id(client.obtain(["replaced.internal.test", "too.internal.test"], responder))
    foreign, _ = certificate_id(other.obtain(["replaced.internal.test"], responder))

    def refused(replaces, names=("replaced.internal.test",)):
        answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": n} for n in names], "replaces": replaces})
        return answer.status, answer.type()

    for bad in (foreign, before + "=", before[:-1] + ("A" if before[-1] != "A" else "E"), "x", 7, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"):
        check(refused(bad) == (400, "malformed"), str(bad))
    check(refused(before, ["another.internal.test"]) == (400, "malformed"), "nothing in common")
    order = client.new_order(["replaced.internal.test"], replaces=before)
    check(order["replaces"] == before and client.post(order["url"]).json()["replaces"] == before, str(order))
    check(refused(before) == (409, "alreadyReplaced"), "replaced twice")
    client.authorize(order, responder)
    after, _ = certificate_id(client.finish(order, ["replaced.internal.test"]))
    check(client.post(order["url"]).json()["replaces"] == before and refused(before) == (409, "alreadyReplaced"), "replaced for good")
    order = client.new_order(["replaced.internal.test"], replaces=after)  # given back by an order that fails
    check(refused(after) == (409, "alreadyReplaced"), "replaced twice")
    client.post(order["authorizations"][0], {"status": "deactivated"})
    check(client.new_order(["replaced.internal.test"], replaces=after)["replaces"] == after, "not given back")


def r53(dev, responder):
    client = Strict(dev)
    client.register()
    for profile in client.directory["meta"]["profiles"]:
        order = client.new_order(["window.internal.test"], profile=profile)
        client.authorize(order, responder)
        name, cert = certificate_id(client.finish(order, ["window.internal.test"]))
        url = client.directory["renewalInfo"] + "/" + name
        life = (cert.not_valid_after - cert.not_valid_before).total_seconds() + 1
        if life < 86400:
            continue  # what is asked for less often than it lives has a Retry-After of its own
        answer = client.get(url)
        window = answer.json()["suggestedWindow"]
        start, end = ((moment(window[which]) - cert.not_valid_before).total_seconds() / life for which in ("start", "end"))
        check(answer.status == 200 and 0.5 <= start < end < 2 / 3 and (end - start) * life >= 2, f"{profile}: {window}")  # 55
        check(client.get(url).body == answer.body and client.request("HEAD", url).status == 200, "another answer")
        padded = name.split(".")[0] + "." + b64(b"\0" + cert.serial_number.to_bytes(20, "big"))
        check(client.get(client.directory["renewalInfo"] + "/" + padded).body == answer.body, "a zero octet in front")
    for path, status in (("x", 400), (name + "=", 400), (name.replace(".", ""), 400), ("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", 404), ("AQID." + name.split(".")[1], 404)):
        answer = client.get(client.directory["renewalInfo"] + "/" + path)
        check((answer.status, answer.type()) == (status, "malformed"), f"{path}: {answer.status}")


def r57(dev, responder):
    client = Strict(dev)
    client.register()
    for i, encode in enumerate((base64.urlsafe_b64encode, base64.b64encode)):
        name, csr = f"padded-{i}.internal.test", b"x"
        while len(csr) % 3 == 0 or len(csr) == 1:
            csr = csr_make([name])
        order = client.new_order([name])
        client.authorize(order, responder)
        answer = client.post(order["finalize"], {"csr": encode(csr).decode()})
        check(answer.status == 200 and "=" in encode(csr).decode(), answer.body)


def r59(dev, _):
    """As many requests at once as there are connections: every one gets an answer."""
    context = ssl.create_default_context(cafile=dev.root)
    connections = [http.client.HTTPSConnection("localhost", dev.port, context=context, timeout=30) for _ in range(60)]
    for c in connections:
        c.connect()
        c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(5):
        for c in connections:
            c.request("GET", "/directory")
        check(all(json.loads(c.getresponse().read())["newOrder"] for c in connections), "an answer is missing")
    for c in connections:
        c.close()


with Dev() as dev:
    responder = Responder(dev.http_port)
    for name, test in sorted((n, t) for n, t in globals().items() if re.fullmatch(r"r\d\d", n)):
        test(dev, responder)
        print(name + ": ok", flush=True)
    wrong = Strict(dev)
    for method, url, status in (("GET", "/acme/nobody/directory", 404), ("GET", "/acme/default/nothing", 404), ("GET", "/acme/default/new-order", 405), ("PUT", "/acme/default/new-order", 405)):
        answer = wrong.request(method, f"https://localhost:{dev.port}{url}", "" if method == "PUT" else None)
        check(answer.status == status, f"{method} {url}: {answer.status}")
    check("ERROR: AddressSanitizer" not in dev.log("acme-0.log"), "sanitizer findings")
    responder.close()
