"""cases: what the cases of this folder share: one running server, an account with an order, counts of what was made, the routes that there are, wrong envelopes."""
import json
import os
import re

from certmill import Client, Key, b64, check

# Types of problems that we use and the registry does not have: draft-ietf-acme-profiles.
OTHER = {"invalidProfile"}

PROBLEMS = []


class Watched(Client):
    """A client whose problems are kept."""

    def request(self, method, url, body=None, headers=None):
        answer = super().request(method, url, body, headers)
        if answer.headers["Content-Type"] == "application/problem+json" and method != "HEAD":
            PROBLEMS.append(answer.json())
        return answer


def fresh(dev, key=None):
    return Watched(dev, key or Key())


def expect(answer, status, kind, what):
    check(answer.status == status, f"{what}: {answer.status} {answer.body[:300]}")
    problem = answer.json()
    check(answer.headers["Content-Type"] == "application/problem+json" and problem["type"] == "urn:ietf:params:acme:error:" + kind, f"{what}: {problem}")
    check(problem["status"] == status and problem["detail"] and "Replay-Nonce" in answer.headers, f"{what}: {problem}")


def routes():
    with open(os.path.join(os.environ["CERTMILL_SOURCE_DIR"], "api", "routes.def"), encoding="utf-8") as f:
        return re.findall(r'^X\("([^"]+)", ([A-Z_| ]+), (\w+),', f.read(), re.M)


def post_routes(dev):
    """(pattern, "jwk" or "kid") of every route that takes a POST."""
    return [(pattern, "jwk" if auth == "JWK" else "kid") for pattern, methods, auth in routes() if "ROUTE_POST" in methods]


def resources_of(dev, client):
    """A URL for every route: objects of the client's where there are such."""
    order = client.new_order(["resource.internal.test"])
    base = f"https://localhost:{dev.port}/acme/default/"
    authz = order["authorizations"][0]
    known = {"acct/*": client.kid, "acct/*/orders": client.kid + "/orders", "order/*": order["url"], "order/*/finalize": order["finalize"], "authz/*": authz, "chall/*/*": client.post(authz).json()["challenges"][0]["url"]}
    return {pattern: known.get(pattern, base + pattern.replace("*", "A" * 22)) for pattern, _, _ in routes()}


def post_raw(client, url, kind, header, edit):
    """A POST whose protected header is changed by `header`, and whose members are changed by `edit` after it was signed."""
    whole = {"alg": client.key.alg, "nonce": client.take_nonce(), "url": url}
    whole.update({"kid": client.kid} if kind == "kid" else {"jwk": client.key.jwk})
    text = header(whole) if callable(header) else json.dumps({k: v for k, v in dict(whole, **(header or {})).items() if v is not None})
    protected, payload = b64(text.encode()), b64(b"{}")
    jws = {"protected": protected, "payload": payload, "signature": b64(client.key.sign(f"{protected}.{payload}".encode()))}
    body = edit(jws) if edit else jws
    return client.request("POST", url, body if isinstance(body, (str, bytes)) else json.dumps(body), {"Content-Type": "application/jose+json"})


def envelope(client, kind):
    """(what, change of the header, change of the JWS, status, type): each wrong in one way."""
    jwk, kid = client.key.jwk, client.kid
    other = {"kid": kid} if kind == "jwk" else {"jwk": jwk}
    with_member = lambda **members: lambda jws: dict(jws, **members)
    without = lambda name: lambda jws: {k: v for k, v in jws.items() if k != name}
    twice = lambda name: lambda whole: json.dumps(whole)[:-1] + f', "{name}": {json.dumps(whole[name])}}}'
    escaped = lambda whole: json.dumps(whole)[:-1] + ', "\\u0061lg": "ES256"}'
    bad = [("no JSON", None, lambda jws: "x", "malformed"), ("empty body", None, lambda jws: "", "malformed"), ("an array", None, lambda jws: [jws], "malformed"), ("text behind", None, lambda jws: json.dumps(jws) + "x", "malformed"),
           ("a BOM", None, lambda jws: b"\xef\xbb\xbf" + json.dumps(jws).encode(), "malformed"), ("compact form", None, lambda jws: f'"{jws["protected"]}.{jws["payload"]}.{jws["signature"]}"', "malformed"),
           ("unprotected header", None, with_member(header={}), "malformed"), ("kid outside", {"kid": None, "jwk": None}, with_member(header={"kid": kid}), "malformed"),
           ("general form", None, lambda jws: {"payload": jws["payload"], "signatures": [{"protected": jws["protected"], "signature": jws["signature"]}]}, "malformed"),
           ("two signatures", None, lambda jws: dict(jws, signatures=[{"protected": jws["protected"], "signature": jws["signature"]}]), "malformed"),
           ("another member", None, with_member(x=1), "malformed"), ("no protected", None, without("protected"), "malformed"), ("detached payload", None, without("payload"), "malformed"), ("no signature", None, without("signature"), "malformed"),
           ("payload null", None, with_member(payload=None), "malformed"), ("payload an object", None, with_member(payload={}), "malformed"), ("signature empty", None, with_member(signature=""), "malformed"), ("signature short", None, with_member(signature="AAAA"), "malformed"),
           ("signature zero", None, with_member(signature=b64(bytes(64))), "malformed"), ("signature longer", None, lambda jws: dict(jws, signature=jws["signature"] + "AAAA"), "malformed"), ("payload exchanged", None, with_member(payload=b64(b'{"a":1}')), "malformed"),
           ("payload padded", None, with_member(payload="e30="), "malformed"), ("protected padded", None, lambda jws: dict(jws, protected=jws["protected"] + "="), "malformed"), ("member twice", None, lambda jws: json.dumps(jws)[:-1] + ', "payload": ""}', "malformed"),
           ("crit", {"crit": ["url"]}, None, "malformed"), ("crit of nothing", {"crit": []}, None, "malformed"), ("b64", {"b64": False}, None, "malformed"), ("b64 and crit", {"b64": False, "crit": ["b64"]}, None, "malformed"),
           ("header no object", lambda whole: "[]", None, "malformed"), ("header empty", lambda whole: "{}", None, "malformed"), ("alg twice", twice("alg"), None, "malformed"), ("nonce twice", twice("nonce"), None, "malformed"), ("alg twice, escaped", escaped, None, "malformed"),
           ("both jwk and kid", other, None, "malformed"), ("neither", {"kid": None, "jwk": None}, None, "malformed"), ("the other kind of key", dict({"kid": None, "jwk": None}, **other), None, "malformed"), ("no alg", {"alg": None}, None, "malformed"), ("alg a number", {"alg": 1}, None, "malformed"),
           ("alg none", {"alg": "none"}, None, "badSignatureAlgorithm"), ("alg HS256", {"alg": "HS256"}, None, "badSignatureAlgorithm"), ("alg of another key", {"alg": "RS256"}, None, "badSignatureAlgorithm"),
           ("no url", {"url": None}, None, "malformed"), ("no nonce", {"nonce": None}, None, "badNonce"), ("forged nonce", {"nonce": "A" * 46}, None, "badNonce")]
    for what, header, edit, problem in bad:
        yield what, header, edit, 400, problem
    yield "another url", {"url": client.directory["newNonce"] + "/x"}, None, 403, "unauthorized"
    if kind == "kid":
        for what, name in (("kid of nobody", kid[:-22] + "A" * 22), ("kid of another place", "https://elsewhere.test/acct/1"), ("kid with a slash", kid + "/"), ("kid that is only an id", kid.rsplit("/", 1)[1])):
            yield what, {"kid": name}, None, 400, "accountDoesNotExist"
    else:
        for what, key in (("jwk symmetric", {"kty": "oct", "k": "AAAA"}), ("jwk off the curve", {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(b"\1" * 32)}), ("jwk of another curve", dict(jwk, crv="secp256k1")), ("jwk empty", {}), ("jwk a text", "x")):
            yield what, {"jwk": key}, None, 400, "badPublicKey"


class Context:
    """One account with an order, for the cases that need no more."""

    jose = {"Content-Type": "application/jose+json"}
    problems = PROBLEMS

    def __init__(self, dev, responder):
        self.dev, self.responder = dev, responder
        self.client = fresh(dev)
        self.client.register()
        self.resources = resources_of(dev, self.client)

    def counts(self):
        """How many objects there are of each kind."""
        return self.dev.psql("SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM orders), (SELECT count(*) FROM authorizations), (SELECT count(*) FROM certificates)")
