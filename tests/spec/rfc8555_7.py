"""RFC 8555 section 7 over the wire: what resources look like, what they ignore, what they refuse."""
import datetime
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import time

from cryptography import x509

from cases import expect, fresh, routes
from certmill import BIN, ENVIRON, Key, b64, check, csr_make, unb64

def dns(*names):
    return {"identifiers": [{"type": "dns", "value": n} for n in names]}


def _valid(dev, ctx, names):
    """A client with an order that was finalized: (client, order, chain)."""
    client = fresh(dev)
    client.register()
    order = client.new_order(names)
    client.authorize(order, ctx.responder)
    chain = client.finish(order, names)
    return client, client.post(order["url"]).json(), chain


def tenants_of_their_own(dev, ctx):
    """Two tenants more, for what is a tenant's choice: terms of service, a binding that is asked for, identities for CAA."""
    with open(os.path.join(dev.state, "acme-0.yaml"), "a", encoding="utf-8") as f:
        for name, more in (("terms", "    terms_of_service: https://localhost/terms/2\n    website: https://localhost/about\n    caa_identities: [ca.internal.test, ca2.internal.test]\n"), ("bound", "    eab: required\n")):
            f.write(f"  {name}:\n    hosts: ['localhost:{dev.port}']\n    profiles: [short]\n{more}")
    os.kill(dev.pids("acme-0.yaml")[0], signal.SIGHUP)
    deadline = time.monotonic() + 20
    while ctx.client.get(f"https://localhost:{dev.port}/acme/bound/directory").status != 200:
        check(time.monotonic() < deadline, "no reload")
        time.sleep(0.05)


def _of_tenant(dev, name):
    client = fresh(dev)
    client.directory = client.get(f"https://localhost:{dev.port}/acme/{name}/directory").json()
    return client


def the_directory_is_what_works(dev, ctx):
    """Every resource that the directory names answers at its URL, every one that has a route is named; `meta` is an object that says what the tenant chose."""
    names = {"newNonce": "new-nonce", "newAccount": "new-account", "newOrder": "new-order", "newAuthz": "new-authz", "revokeCert": "revoke-cert", "keyChange": "key-change", "renewalInfo": "renewal-info"}
    patterns = {pattern for pattern, _, _ in routes()}
    directory = ctx.client.get(dev.directory).json()
    check({"newNonce", "newAccount", "newOrder"} <= set(directory), str(directory))
    for name, path in names.items():
        check((name in directory) == (path in patterns), f"{name}: {sorted(directory)} but {sorted(patterns)}")
        check(name not in directory or ctx.client.request("PUT", directory[name]).status == 405, f"{name} does not answer")
    check(set(directory) - set(names) == {"meta"} and isinstance(directory["meta"], dict), str(directory))
    meta = _of_tenant(dev, "terms").directory["meta"]
    check(meta["termsOfService"] == "https://localhost/terms/2" and meta["website"] == "https://localhost/about" and meta["caaIdentities"] == ["ca.internal.test", "ca2.internal.test"], str(meta))
    check("externalAccountRequired" not in meta and _of_tenant(dev, "bound").directory["meta"]["externalAccountRequired"] is True, str(meta))


def nonces_are_not_cached(dev, ctx):
    """newNonce: 200 for HEAD, 204 and no body for GET, a fresh nonce and no-store on both."""
    seen = set()
    for method, status in (("HEAD", 200), ("GET", 204)) * 5:
        answer = ctx.client.request(method, ctx.client.directory["newNonce"])
        check(answer.status == status and answer.body == b"" and answer.headers["Cache-Control"] == "no-store", f"{method}: {answer.status} {answer.headers}")
        seen.add(answer.headers["Replay-Nonce"])
    check(len(seen) == 10, str(seen))


def what_accounts_ignore(dev, ctx):
    """newAccount takes contacts and agreement; "orders", "status" and what nobody knows change nothing and do not come back."""
    client, made = fresh(dev), int(dev.psql("SELECT count(*) FROM accounts"))
    payload = {"contact": ["mailto:a@b.test"], "termsOfServiceAgreed": True, "orders": "https://elsewhere.test/orders", "status": "revoked", "key": {}, "id": 7, "createdAt": "x", "initialIp": "x", "unknown": {"a": [1]}}
    answer = client.post(client.directory["newAccount"], payload)
    check(answer.status == 201 and int(dev.psql("SELECT count(*) FROM accounts")) == made + 1, answer.body)
    client.kid = answer.headers["Location"]
    account = answer.json()
    check(set(account) == {"status", "contact", "orders", "termsOfServiceAgreed"} and account["status"] == "valid" and account["orders"] == client.kid + "/orders", str(account))
    # The same key again, with other values: the account as it was (section 7.3.1).
    again = fresh(dev, client.key)
    answer = again.post(again.directory["newAccount"], {"contact": ["mailto:other@b.test"], "status": "deactivated"})
    check(answer.status == 200 and answer.headers["Location"] == client.kid and answer.json() == account, answer.body)
    answer = again.post(again.directory["newAccount"], {"onlyReturnExisting": True, "contact": ["mailto:other@b.test"]})
    check(answer.status == 200 and answer.headers["Location"] == client.kid and answer.json() == account, answer.body)
    # Updates (section 7.3.2).
    answer = client.post(client.kid, {"orders": "https://elsewhere.test/", "termsOfServiceAgreed": False, "status": "valid", "unknown": 1})
    check(answer.status == 200 and answer.json() == account, answer.body)
    answer = client.post(client.kid, {"contact": ["mailto:new@b.test"], "status": "revoked", "x": 1})
    check(answer.status == 200 and answer.json() == dict(account, contact=["mailto:new@b.test"]) and client.post(client.kid).json() == answer.json(), answer.body)


def an_account_is_found_whatever_is_sent(dev, ctx):
    """newAccount by a key that has an account answers with it, though what is sent would make none: wrong contacts, no agreement, no binding (section 7.3.1)."""
    key_id = json.loads(subprocess.run([os.path.join(BIN, "certmill"), "eab", "create", "--config", os.path.join(dev.state, "acme-0.yaml"), "--tenant", "bound", "--json"], capture_output=True, text=True, env=ENVIRON, timeout=60, check=True).stdout)
    for tenant in ("default", "terms", "bound"):
        client, first = _of_tenant(dev, tenant), {"termsOfServiceAgreed": True}
        url = client.directory["newAccount"]
        if tenant == "bound":
            protected, inner = b64(json.dumps({"alg": "HS256", "kid": key_id["kid"], "url": url}).encode()), b64(json.dumps(client.key.jwk).encode())
            mac = hmac.new(unb64(key_id["hmac_key"]), f"{protected}.{inner}".encode(), hashlib.sha256).digest()
            first["externalAccountBinding"] = {"protected": protected, "payload": inner, "signature": b64(mac)}
        answer = client.post(url, first)
        check(answer.status == 201, answer.body)
        before = ctx.counts()
        for payload in ({}, {"contact": ["tel:1"]}, {"contact": 7}, {"termsOfServiceAgreed": False}, {"termsOfServiceAgreed": "yes"}, {"externalAccountBinding": "x"}, {"externalAccountBinding": {"protected": "e30", "payload": "", "signature": ""}}, first):
            again = client.post(url, payload)
            check(again.status == 200 and again.json() == answer.json() and again.headers["Location"] == answer.headers["Location"], f"{tenant}: {payload}: {again.status} {again.body}")
        check(ctx.counts() == before, "an account was made")


def only_existing_makes_none(dev, ctx):
    """onlyReturnExisting with a key that nobody has: accountDoesNotExist, and still no account."""
    client, before = fresh(dev), ctx.counts()
    for _ in range(2):
        expect(client.post(client.directory["newAccount"], {"onlyReturnExisting": True, "termsOfServiceAgreed": True}), 400, "accountDoesNotExist", "an unknown key")
    check(ctx.counts() == before, "an account was made")


def contacts_are_judged(dev, ctx):
    """mailto with one address; another scheme is unsupportedContact and says what is taken, a wrong value is invalidContact; at newAccount and at updates alike."""
    client, other = ctx.client, fresh(dev)
    for contact, kind in (("tel:+12025551212", "unsupportedContact"), ("https://a.test", "unsupportedContact"), ("a@b.test", "unsupportedContact"), ("mailto:", "invalidContact"), ("mailto:a", "invalidContact"), ("mailto:@b", "invalidContact"), ("mailto:a@", "invalidContact"),
                          ("mailto:a@b.test,c@d.test", "invalidContact"), ("mailto:a@b.test?subject=x", "invalidContact"), ("mailto:a@b.test?cc=c@d.test", "invalidContact"), ("mailto:a b@c.test", "invalidContact")):
        for post in (lambda p: client.post(client.kid, p), lambda p: other.post(other.directory["newAccount"], p)):
            answer = post({"contact": ["mailto:fine@b.test", contact]})
            expect(answer, 400, kind, contact)
            check(kind != "unsupportedContact" or "mailto" in answer.json()["detail"], answer.body)
    check(client.post(client.kid).json()["contact"] == [], "a contact was kept")


def terms_are_agreed_to(dev, ctx):
    """Where there are terms, newAccount without agreement is refused with a link to them, and no account is made."""
    client, before = _of_tenant(dev, "terms"), ctx.counts()
    for payload in ({}, {"termsOfServiceAgreed": False}):
        answer = client.post(client.directory["newAccount"], payload)
        expect(answer, 403, "userActionRequired", str(payload))
        check('<https://localhost/terms/2>;rel="terms-of-service"' in answer.headers.get_all("Link") and answer.json()["instance"] == "https://localhost/terms/2", str(answer.headers))
    expect(client.post(client.directory["newAccount"], {"termsOfServiceAgreed": "true"}), 400, "malformed", "a text")
    check(ctx.counts() == before, "an account was made")
    check(client.post(client.directory["newAccount"], {"termsOfServiceAgreed": True}).status == 201, "agreed")


def an_order_keeps_its_identifiers_and_authorizations(dev, ctx):
    """From pending over ready to valid the two arrays are those of the first answer; `expires` is there in each state, `certificate` only at the end."""
    client = fresh(dev)
    client.register()
    names = ["zeta.internal.test", "alpha.internal.test", "mid.internal.test"]
    order = client.new_order(names)
    first = {k: order[k] for k in ("identifiers", "authorizations", "finalize")}
    check(order["status"] == "pending" and [i["value"] for i in order["identifiers"]] == names and len(set(order["authorizations"])) == 3, str(order))

    def seen(status):
        now = client.post(order["url"]).json()
        check(now["status"] == status and {k: now[k] for k in first} == first and ("certificate" in now) == (status == "valid") and "error" not in now, f"{status}: {now}")
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now["expires"]) and datetime.datetime.strptime(now["expires"], "%Y-%m-%dT%H:%M:%SZ") > datetime.datetime.utcnow(), str(now))

    seen("pending")
    client.authorize(order, ctx.responder)
    seen("ready")
    client.finish(order, names)
    seen("valid")
    orders = client.post(client.post(client.kid).json()["orders"])
    check(orders.json() == {"orders": [order["url"]]}, orders.body)


def a_certificate_is_what_was_ordered(dev, ctx):
    """A CSR must ask for exactly the order's identifiers, in subject or extension or both, in any order; what the order cannot give is refused, not bent."""
    client = fresh(dev)
    client.register()
    names = ["one.internal.test", "two.internal.test"]
    for more, kind in ((dict(dns("a.internal.test"), profile="none"), "invalidProfile"), ({"identifiers": [{"type": "email", "value": "a@b.test"}]}, "unsupportedIdentifier"), (dns("a..b"), "rejectedIdentifier"), (dns("a_b.internal.test/"), "rejectedIdentifier")):
        answer = client.post(client.directory["newOrder"], more)
        expect(answer, 400, kind, str(more))
    order = client.new_order(names)
    client.authorize(order, ctx.responder)
    for csr, what in ((csr_make(names[:1]), "one missing"), (csr_make(names + ["three.internal.test"]), "one more"), (csr_make(names[:1] + ["three.internal.test"]), "another"), (csr_make(names, cn="three.internal.test"), "another in the subject"), (csr_make(names[:1], cn="one.internal.test"), "one missing beside a subject")):
        expect(client.finalize(order, csr), 400, "badCSR", what)
    expect(client.post(order["finalize"], {}), 400, "malformed", "no CSR")
    expect(client.post(order["finalize"]), 400, "malformed", "POST-as-GET")
    answer = client.finalize(order, csr_make(["two.internal.test"], cn="one.internal.test"))
    check(answer.status == 200, answer.body)
    cert = x509.load_pem_x509_certificate(client.post(client.poll(order["url"], ("processing",))["certificate"]).body)
    check(sorted(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)) == sorted(names), "names")


def the_account_key_is_no_certificate_key(dev, ctx):
    """Neither the key that signs the request nor any other account's is certified; a key is one account's only."""
    client, other = fresh(dev), fresh(dev, Key("ES384"))
    client.register()
    other.register()
    name = ["keys.internal.test"]
    order = client.new_order(name)
    client.authorize(order, ctx.responder)
    for key, what in ((client.key, "own"), (other.key, "another's"), (Key("RS256"), None)):
        if what is None:
            made = fresh(dev, key)
            made.register()  # an RSA account's key
        expect(client.finalize(order, csr_make(name, key.private)), 400, "badCSR", what or "an RSA account's")
    check(client.finalize(order, csr_make(name)).status == 200, "a key of its own")
    check(int(dev.psql("SELECT count(*) - count(DISTINCT (tenant, thumbprint)) FROM accounts")) == 0, "two accounts have one key")


def names_are_written_as_in_a_certificate(dev, ctx):
    """Identifiers in their form in a certificate: lower case, A-labels that decode, nothing else."""
    client = ctx.client
    for value, shown in (("UPPER.Internal.Test", "upper.internal.test"), ("xn--bcher-kva.internal.test", "xn--bcher-kva.internal.test"), ("XN--BCHER-KVA.internal.test", "xn--bcher-kva.internal.test"), ("a-b.internal.test", "a-b.internal.test")):
        order = client.new_order([value])
        authz = client.post(order["authorizations"][0]).json()
        check(order["identifiers"] == [{"type": "dns", "value": shown}] and authz["identifier"] == {"type": "dns", "value": shown} and "wildcard" not in authz, f"{order} {authz}")
    for value in ("b\u00fccher.internal.test", "xn--.internal.test", "xn--a.internal.test", "xn--\u00fc.internal.test", "xn--zzzzzzzzzz99999.internal.test", "ab--cd.internal.test", "a.internal.test.", ".internal.test", "a..internal.test", "-a.internal.test", "a-.internal.test", "a" * 64 + ".internal.test", ("a" * 60 + ".") * 5 + "test", "a b.test",
                  "a.123", "10.0.0.1", "[::1]", "::1", "a*.internal.test", "a.*.internal.test", "**.internal.test", "*", "*.", "*.*.internal.test", "a\0.internal.test", "a/b.test", "a@b.test", "a:80", "", "test\n"):
        answer = client.post(client.directory["newOrder"], dns("fine.internal.test", value))
        expect(answer, 400, "rejectedIdentifier", repr(value))
        check("identifier 1 " in answer.json()["detail"] and [s["identifier"]["value"] for s in answer.json()["subproblems"]] == [value[:253]], answer.body)


def a_challenge_takes_no_members(dev, ctx):
    """The response to a challenge is an object; what is in it changes nothing. Anything else is an error, and the challenge stays as it was."""
    client = fresh(dev)
    client.register()
    order = client.new_order(["response.internal.test"])
    authz = order["authorizations"][0]
    challenge = client.post(authz).json()["challenges"][0]
    for payload in (b"[]", b"1", b'"x"', b"null", b"true", b"{", b"{}x", b"\xff"):
        expect(client.post(challenge["url"], payload64=b64(payload)), 400, "malformed", str(payload))
    check(client.post(authz).json()["status"] == "pending" and client.post(challenge["url"]).json()["status"] == "pending", "a wrong response began it")
    ctx.responder.tokens[challenge["token"]] = challenge["token"] + "." + client.key.thumbprint()
    answer = client.post(challenge["url"], {"keyAuthorization": "x", "type": "dns-01", "token": "y", "status": "invalid", "url": "https://elsewhere.test", "resource": "challenge"})
    check(answer.status == 200 and {k: answer.json()[k] for k in ("type", "url", "token")} == {k: challenge[k] for k in ("type", "url", "token")}, answer.body)
    states = []
    while not states or states[-1] in ("pending", "processing"):
        answer = client.post(authz)
        check(answer.status == 200, answer.body)  # polls are answered while it is under way
        states.append(answer.json()["status"])
    final = answer.json()
    check(final["status"] == "valid" and final["expires"] and final["challenges"][0]["status"] == "valid" and final["challenges"][0]["validated"] and "error" not in final["challenges"][0], str(final))


def failed_challenges_tell_why(dev, ctx):
    """`error` is on invalid challenges only, `validated` on valid ones; a client that polls is told when to come again, and how often it was tried."""
    client = fresh(dev)
    client.register()
    order = client.new_order(["absent.internal.test"])
    authz = order["authorizations"][0]
    challenge = client.post(authz).json()["challenges"][0]
    check("error" not in challenge and "validated" not in challenge and len(challenge["token"]) * 6 >= 128 and re.fullmatch(r"[A-Za-z0-9_-]+", challenge["token"]), str(challenge))
    client.post(challenge["url"], {})
    waits, now = [], None
    while now is None or now["status"] in ("pending", "processing"):
        answer = client.post(challenge["url"])
        now = answer.json()
        check(("error" in now) == (now["status"] == "invalid") and "validated" not in now, str(now))
        if now["status"] == "processing":
            waits.append(answer.headers["Retry-After"])
        time.sleep(0.02)
    check(waits and all(w and int(w) > 0 for w in waits), f"Retry-After while it is tried: {waits}")
    check(now["error"]["type"].endswith(":incorrectResponse") and re.search(r"after \d+ tries", now["error"]["detail"]), str(now))
    check(client.post(order["url"]).json()["status"] == "invalid" and "Retry-After" not in client.post(authz).headers, "the order")


def what_was_given_back_issues_nothing(dev, ctx):
    """An authorization that its account has deactivated is deactivated, by nobody else, and no certificate comes of it."""
    client, stranger = fresh(dev), fresh(dev)
    client.register()
    stranger.register()
    order = client.new_order(["given.internal.test", "kept.internal.test"])
    client.authorize(order, ctx.responder)
    url = order["authorizations"][0]
    expect(stranger.post(url, {"status": "deactivated"}), 404, "unauthorized", "another's")
    expect(client.post(url, {"status": "deactivated"}, signature=b64(bytes(64))), 400, "malformed", "a wrong signature")
    check(client.post(url).json()["status"] == "valid", "deactivated by a stranger")
    answer = client.post(url, {"status": "deactivated"})
    check(answer.status == 200 and answer.json()["status"] == "deactivated", answer.body)
    answer = client.finalize(order, csr_make(["given.internal.test", "kept.internal.test"]))
    check(answer.status == 403 and answer.type() in ("orderNotReady", "unauthorized"), answer.body)
    check("certificate" not in client.post(order["url"]).json(), "a certificate")


def a_chain_begins_with_the_certificate(dev, ctx):
    """Strict PEM: nothing but CERTIFICATE blocks of 64 columns, the end entity's first, each signed by the next."""
    client, order, chain = _valid(dev, ctx, ["chain.internal.test"])
    check(re.fullmatch(r"(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{1,64}={0,2}\n-----END CERTIFICATE-----\n)+", chain) and "PRIVATE" not in chain, chain)
    certs = [x509.load_pem_x509_certificate((part + "-----END CERTIFICATE-----\n").encode()) for part in chain.split("-----END CERTIFICATE-----\n")[:-1]]
    check(len(certs) > 1 and not certs[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca if any(isinstance(e.value, x509.BasicConstraints) for e in certs[0].extensions) else len(certs) > 1, "the first is a CA's")
    check(certs[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["chain.internal.test"], "the first is another's")
    for child, parent in zip(certs, certs[1:]):
        check(child.issuer == parent.subject and parent.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, "the order of the chain")
    check(client.post(order["certificate"]).body.decode() == chain, "another chain")


def wildcards_are_authorized_by_their_base(dev, ctx):
    """A wildcard is in the order as it was asked for; its authorization names the base, says so, and offers DNS challenges only. The base beside it has an authorization of its own."""
    order = ctx.client.new_order(["*.wild.internal.test", "wild.internal.test"])
    check([i["value"] for i in order["identifiers"]] == ["*.wild.internal.test", "wild.internal.test"] and len(set(order["authorizations"])) == 2, str(order))
    wild, base = (ctx.client.post(url).json() for url in order["authorizations"])
    check(wild["identifier"] == base["identifier"] == {"type": "dns", "value": "wild.internal.test"}, f"{wild} {base}")
    check(wild["wildcard"] is True and "wildcard" not in base, f"{wild} {base}")
    kinds = [c["type"] for c in wild["challenges"]]
    check(kinds and all(k.startswith("dns-") for k in kinds) and "http-01" in [c["type"] for c in base["challenges"]], f"{wild} {base}")


def tokens_are_long_and_plain(dev, ctx):
    """Tokens of all challenges: 128 bits or more, base64url without padding, never the same for two authorizations."""
    seen, kinds = set(), set()
    for i in range(10):
        order = ctx.client.new_order([f"token{i}.internal.test", f"*.token{i}.internal.test"])
        for url in order["authorizations"]:
            challenges = ctx.client.post(url).json()["challenges"]
            tokens = {c["token"] for c in challenges if "token" in c}
            kinds |= {c["type"] for c in challenges if "token" in c}
            check(tokens and all(re.fullmatch(r"[A-Za-z0-9_-]{22,}", t) for t in tokens) and not tokens & seen, str(challenges))
            seen |= tokens
    check({"http-01", "dns-01", "tls-alpn-01"} <= kinds and len(seen) >= 20, f"{kinds} {len(seen)}")


def an_account_is_ended_by_its_own_key(dev, ctx):
    """Deactivation of another's account, by a signature that is wrong, by a key of nobody: refused, and the account goes on; by its own key it ends."""
    client, stranger = fresh(dev), fresh(dev)
    client.register()
    stranger.register()
    ended = {"status": "deactivated"}
    expect(stranger.post(client.kid, ended), 403, "unauthorized", "another account")
    expect(client.post(client.kid, ended, signature=b64(bytes(64))), 400, "malformed", "a wrong signature")
    expect(stranger.post(client.kid, ended, header={"kid": client.kid}), 400, "malformed", "another's key")
    expect(stranger.post(client.kid, ended, header={"kid": None, "jwk": client.key.jwk}), 400, "malformed", "by jwk")
    check(client.post(client.kid).json()["status"] == stranger.post(stranger.kid).json()["status"] == "valid", "ended by somebody else")
    answer = client.post(client.kid, ended)
    check(answer.status == 200 and answer.json()["status"] == "deactivated", answer.body)
    for url, payload in ((client.kid, None), (client.kid, {"contact": []}), (client.directory["newOrder"], dns("a.internal.test")), (client.kid + "/orders", None), (client.directory["keyChange"], {}), (client.directory["newNonce"], None), (client.directory["revokeCert"], {"certificate": "AAAA"})):
        expect(client.post(url, payload), 401, "unauthorized", url)
    again = fresh(dev, client.key)
    for payload in ({}, {"onlyReturnExisting": True}):
        expect(again.post(again.directory["newAccount"], payload), 401, "unauthorized", str(payload))
