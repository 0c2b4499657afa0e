"""RFC 8555 section 6 over the wire: every envelope at every route, methods, URLs, nonces, problems. Names of functions are what rfc8555.rows and docs/threats.md point at."""
import base64
import json
import re
import socket

from cases import envelope, expect, fresh, post_raw, post_routes
from certmill import Client, Key, b64, check


def https_only(dev, ctx):
    """The port speaks TLS and nothing else: a request in clear gets no answer of ACME's."""
    with socket.create_connection(("127.0.0.1", dev.port), 10) as s:
        s.settimeout(10)
        s.sendall(b"GET /directory HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            got = s.recv(4096)
        except ConnectionError:
            got = b""
    check(b"newOrder" not in got and not got.startswith(b"HTTP/1.1 200"), str(got[:80]))
    check(all(v.startswith("https://") for k, v in ctx.client.directory.items() if k != "meta"), "a URL without https")


def texts_are_utf_8(dev, ctx):
    """UTF-8 in both directions: other octets are refused, and what was sent comes back as it was."""
    client = fresh(dev)
    new = client.directory["newAccount"]
    for payload in (b'{"x":"\xff"}', b'{"x":"\xc0\xaf"}', b'{"x":"\xed\xa0\x80"}', '{"x":"\u00e9"}'.encode("latin-1"), '{"x":1}'.encode("utf-16")):
        expect(client.post(new, payload64=b64(payload)), 400, "malformed", str(payload))
    answer = client.post(client.directory["newAccount"], payload64=b64('{"x":"\u00e9\u4e2d"}'.encode()))
    check(answer.status == 201, answer.body)
    answer.body.decode("utf-8")


def padding_is_refused(dev, ctx):
    """Base64url without padding, strictly, in each of the three members and in the nonce; nothing that this server makes has padding."""
    client = ctx.client
    url = client.directory["newOrder"]
    padded = lambda text: text + "=" * (-len(text) % 4) if len(text) % 4 else text + "="
    for name in ("protected", "payload", "signature"):
        for change in (padded, lambda t: t + "=", lambda t: t + "\n", lambda t: " " + t, lambda t: t[:-1] + "+", lambda t: t[:-1] + "/", lambda t: t + "A" * (1 + (4 - len(t)) % 4)):
            jws = json.loads(client.jws(url, {"identifiers": [{"type": "dns", "value": "a.internal.test"}]}))
            jws[name] = change(jws[name])
            expect(client.request("POST", url, json.dumps(jws), ctx.jose), 400, "malformed", f"{name}: {jws[name][-6:]!r}")
    nonce = client.take_nonce()
    expect(client.post(url, {}, header={"nonce": nonce + "=" * (-len(nonce) % 4 or 1)}), 400, "malformed", "a padded nonce")
    order = client.new_order(["padding.internal.test"])
    challenge = client.post(order["authorizations"][0]).json()["challenges"][0]
    check("=" not in challenge["token"] + client.nonce + client.kid + order["url"], "padding in what the server made")


def each_envelope_at_each_route(dev, ctx):
    """T02: some forty envelopes that are wrong in one way, at every route that takes a POST: each gets its problem, and nothing has an effect."""
    client, resources = ctx.client, ctx.resources
    before = ctx.counts()
    for pattern, kind in post_routes(dev):
        url = resources[pattern]
        for what, header, edit, status, problem in envelope(client, kind):
            answer = post_raw(client, url, kind, header, edit)
            expect(answer, status, problem, f"{what} at {pattern}")
            if problem == "badSignatureAlgorithm":
                check("ES256" in answer.json()["algorithms"], f"{what} at {pattern}: no list")
    check(ctx.counts() == before, f"{before} became {ctx.counts()}")
    check(client.post(client.kid).json()["status"] == "valid", "the account")
    check(client.post(resources["order/*"]).json()["status"] == "pending", "the order")
    check(client.post(resources["authz/*"]).json()["status"] == "pending", "the authorization")


def unknown_members_are_ignored(dev, ctx):
    """Members of the protected header that the server does not know change nothing."""
    client = ctx.client
    for name, value in (("x", 1), ("typ", "JOSE"), ("cty", "json"), ("x5u", "https://a.test"), ("jku", "https://a.test"), ("header", {}), ("iat", 1)):
        check(client.post(client.kid, header={name: value}).status == 200, name)


def each_algorithm_with_each_key(dev, ctx):
    """T01: the algorithm is a function of the key: with another name in the header there is no account, and the list of names is told."""
    algorithms = ("ES256", "ES384", "ES512", "RS256", "EdDSA")
    others = ("none", "", "HS256", "HS384", "HS512", "PS256", "RS384", "RS512", "RS1", "ES256K", "es256", "EdDSA ", "dir")
    for alg in ("ES256", "ES384", "RS256", "EdDSA"):
        client = Client(dev, Key(alg))
        for name in algorithms + others:
            if name == alg:
                continue
            answer = client.post(client.directory["newAccount"], {}, header={"alg": name})
            expect(answer, 400, "badSignatureAlgorithm" if name else "malformed", f"{name} with a key of {alg}")
            check(not name or set(answer.json()["algorithms"]) == set(algorithms), answer.body)
        check(client.post(client.directory["newAccount"], {"onlyReturnExisting": True}).type() == "accountDoesNotExist", f"{alg}: an account was made")
        check(client.post(client.directory["newAccount"], {}).status == 201, alg)


def a_signature_counts_to_its_last_bit(dev, ctx):
    """Verified before anything is done: a bit anywhere, another message, another's key."""
    client = ctx.client
    url, before = client.directory["newOrder"], ctx.counts()
    payload = {"identifiers": [{"type": "dns", "value": "bits.internal.test"}]}
    for octet in range(64):
        jws = json.loads(client.jws(url, payload))
        raw = bytearray(base64.urlsafe_b64decode(jws["signature"] + "=="))
        raw[octet] ^= 1 << (octet % 8)
        jws["signature"] = b64(bytes(raw))
        expect(client.request("POST", url, json.dumps(jws), ctx.jose), 400, "malformed", f"octet {octet}")
    jws = json.loads(client.jws(url, payload))
    jws["payload"] = b64(json.dumps(dict(payload, profile="short")).encode())
    expect(client.request("POST", url, json.dumps(jws), ctx.jose), 400, "malformed", "another payload")
    stranger = Client(dev, Key())
    stranger.kid = client.kid
    expect(stranger.post(url, payload), 400, "malformed", "another's key")
    check(ctx.counts() == before, "something was made")


def get_is_for_the_directory_and_nonces(dev, ctx):
    """GET and HEAD where POST belongs: 405, malformed, and what is allowed; directory and newNonce may be read by anybody."""
    for pattern, _ in post_routes(dev):
        if pattern in ("directory", "new-nonce"):
            continue
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = ctx.client.request(method, ctx.resources[pattern])
            check(answer.status == 405 and answer.headers["Allow"] == "POST", f"{method} {pattern}: {answer.status}")
            check(method == "HEAD" or (answer.type() == "malformed" and answer.json()["status"] == 405), f"{method} {pattern}: {answer.body}")
    for name, status in (("directory", 200), ("new-nonce", 204)):
        check(ctx.client.get(ctx.resources[name]).status == status and ctx.client.request("HEAD", ctx.resources[name]).status == 200, name)


def post_as_get_is_a_get(dev, ctx):
    """An empty payload reads, behind the same checks as every POST; a payload where there is only reading is refused."""
    client, stranger = ctx.client, fresh(dev)
    stranger.register()
    for pattern in ("directory", "new-nonce", "acct/*", "acct/*/orders", "order/*", "authz/*", "chall/*/*"):
        url = ctx.resources[pattern]
        answer = client.post(url)
        check(answer.status == (204 if pattern == "new-nonce" else 200), f"{pattern}: {answer.status} {answer.body}")
        if pattern in ("directory", "new-nonce"):
            check(answer.body == client.get(url).body and len(answer.headers.get_all("Cache-Control")) == 1, f"{pattern}: {answer.headers}")
            expect(client.post(url, {}), 400, "malformed", f"{pattern} with a payload")
            expect(client.post(url, header={"kid": None, "jwk": client.key.jwk}), 400, "malformed", f"{pattern} by jwk")
        else:
            status, problem = (403, "unauthorized") if pattern.startswith("acct") else (404, "unauthorized")
            expect(stranger.post(url), status, problem, f"another's {pattern}")
        expect(client.post(url, signature=b64(bytes(64))), 400, "malformed", f"{pattern} with a wrong signature")
    for pattern in ("acct/*/orders", "order/*"):
        expect(client.post(ctx.resources[pattern], {}), 400, "malformed", f"{pattern} with a payload")
    for payload in (None, "[]", '""', "null"):
        expect(client.post(client.directory["newOrder"], payload64="" if payload is None else b64(payload.encode())), 400, "malformed", f"newOrder with {payload}")


def urls_are_compared_octet_by_octet(dev, ctx):
    """T04: the URL in the protected header is the one that the server has shown, or the request is unauthorized."""
    client = ctx.client
    for pattern in ("new-order", "order/*", "acct/*"):
        url = ctx.resources[pattern]
        host, path = url.split("/", 3)[2:]
        spellings = [url + "/", url + "?", url + "#", url + "?x=1", url.upper(), url.replace("https:", "http:"), url.replace("https:", "HTTPS:"), url.replace("localhost", "LOCALHOST"), url.replace("localhost", "localhost."),
                     url.replace("localhost", "127.0.0.1"), url.replace("https://", "https://user@"), url.replace("/acme/", "//acme/"), url.replace("/acme/", "/./acme/"), url.replace("/acme/", "/x/../acme/"),
                     url.replace("default", "%64efault"), url.replace("default", "other"), f"https://localhost/{path}", f"https://localhost:443/{path}", f"https://localhost:0{dev.port}/{path}", f"//{host}/{path}", "/" + path, path, " " + url, url + " ",
                     url + "\u200b", client.directory["newAccount"], dev.directory, "x"]
        for spelling in spellings:
            expect(client.post(url, header={"url": spelling}), 403, "unauthorized", f"{pattern}: {spelling!r}")
        for wrong in (None, "", 7, [url], {"url": url}):
            expect(client.post(url, header={"url": wrong}), 400, "malformed", f"{pattern}: {wrong!r}")
        # What was sent to another spelling of the path is not what was signed, whatever it is routed to.
        for other in (path + "?", path.replace("acme", "%61cme"), "/" + path):
            answer = client.request("POST", f"https://{host}/{other}", client.jws(url, None), ctx.jose)
            check(answer.status in (400, 403, 404), f"POST to {other}: {answer.status}")
    # An unprotected header cannot carry it.
    expect(client.post(client.kid, header={"url": None}, members={"header": {"url": client.kid}}), 400, "malformed", "url outside")


def each_post_brings_a_nonce(dev, ctx):
    """A fresh nonce with every answer to a POST, good or bad; each is base64url, no two are the same, and each is good for the next request."""
    client, seen = ctx.client, set()
    for i in range(60):
        answer = client.post(client.kid) if i % 3 else client.post(client.directory["newOrder"], {})
        nonce = answer.headers["Replay-Nonce"]
        check(len(answer.headers.get_all("Replay-Nonce")) == 1 and re.fullmatch(r"[A-Za-z0-9_-]{22,}", nonce) and nonce not in seen, nonce)
        seen.add(nonce)
    # Nothing in one tells of the next: of two texts of n characters in an alphabet of 64, few places agree by chance beyond those that name the maker.
    texts = sorted(seen)
    steady = sum(all(t[i] == texts[0][i] for t in texts) for i in range(len(texts[0])))
    check(len(texts[0]) - steady >= 22, f"only {len(texts[0]) - steady} characters vary")


def a_nonce_is_good_once(dev, ctx):
    """Used, forged, missing, of another form: 400 badNonce (or malformed, when it is no base64url) with a nonce that the same request succeeds with."""
    client = ctx.client
    url = client.kid
    used = client.take_nonce()
    check(client.post(url, header={"nonce": used}).status == 200, "a fresh one")
    forged = used[:-2] + ("A" if used[-2] != "A" else "B") + used[-1]
    for what, nonce in (("used", used), ("forged", forged), ("missing", None), ("short", "AAAA"), ("long", "A" * 400), ("empty", "")):
        answer = client.post(url, header={"nonce": nonce})
        expect(answer, 400, "badNonce", what)
        check(answer.headers["Replay-Nonce"] != used and client.post(url).status == 200, f"{what}: the fresh nonce does not help")
    for what, nonce in (("no base64url", "*"), ("padded", "Zg=="), ("white space", "AA AA"), ("a number", 7), ("a list", [used])):
        expect(client.post(url, header={"nonce": nonce}), 400, "malformed", what)
    # A request that is refused for another reason has used its nonce or not; either way it is not good twice.
    nonce = client.take_nonce()
    expect(client.post(client.directory["newOrder"], {}, header={"nonce": nonce}), 400, "malformed", "no identifiers")
    expect(client.post(url, header={"nonce": nonce}), 400, "badNonce", "used by a refused request")
    expect(client.post(url, header={"nonce": None}, members={"header": {"nonce": client.take_nonce()}}), 400, "malformed", "nonce outside the protected header")
