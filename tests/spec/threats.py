"""What attackers try at the front end, T01 to T37 of threats.rows, where the cases of the RFCs' sections do not show it yet."""
import base64
import concurrent.futures
import glob
import hashlib
import hmac
import ipaddress
import json
import os
import random
import re
import subprocess
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from cases import expect, fresh
from certmill import ENVIRON, BIN, Key, b64, check, csr_make


def _registered(dev, key=None):
    client = fresh(dev, key)
    client.register()
    return client


def _ready(dev, ctx, names):
    client = _registered(dev)
    order = client.new_order(names)
    client.authorize(order, ctx.responder)
    return client, order


def _csr(names, key=None, subject=(), extensions=()):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(o, v) for o, v in subject]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def published_vectors_make_no_account(dev, ctx):
    """T01: every JWS of Wycheproof, in the flattened form, at newAccount: refused with a problem of ours, and without effect."""
    files = glob.glob(os.path.join(os.environ["CERTMILL_DEPS"], "root/usr/share/gocode/src/github.com/c2sp/wycheproof/testvectors_v1/json_web_signature_test.json"))
    check(len(files) == 1, "the vectors are not there")
    with open(files[0], encoding="utf-8") as f:
        vectors = [t["jws"] for g in json.load(f)["testGroups"] for t in g["tests"]]
    before, sent = ctx.counts(), 0
    for jws in vectors:
        parts = jws.split(".") if isinstance(jws, str) else []
        body = json.dumps(dict(zip(("protected", "payload", "signature"), parts))) if len(parts) == 3 else json.dumps(jws)
        answer = ctx.client.request("POST", ctx.client.directory["newAccount"], body, ctx.jose)
        check(answer.status == 400 and answer.type() in ("malformed", "badSignatureAlgorithm", "badNonce", "badPublicKey"), f"{jws}: {answer.status} {answer.body}")
        sent += 1
    check(sent > 300 and ctx.counts() == before, f"{sent} sent, {before} became {ctx.counts()}")


def each_octet_of_a_revocation_counts(dev, ctx):
    """T03: a revocation with the certificate's public key as jwk and one bit of the signature changed, each octet in its turn; by another key with that jwk; none revokes."""
    client, order = _ready(dev, ctx, ["revoke.internal.test"])
    key = Key()
    pem = client.finish(order, ["revoke.internal.test"], key.private)
    payload = {"certificate": b64(x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER))}
    owner = fresh(dev, key)  # signs with the certificate's key and names it by jwk
    url = owner.directory["revokeCert"]
    for octet in range(64):
        jws = json.loads(owner.jws(url, payload))
        raw = bytearray(base64.urlsafe_b64decode(jws["signature"] + "=="))
        raw[octet] ^= 1 << (octet % 8)
        jws["signature"] = b64(bytes(raw))
        expect(owner.request("POST", url, json.dumps(jws), ctx.jose), 400, "malformed", f"octet {octet}")
    stranger = fresh(dev)
    expect(stranger.post(url, payload, header={"jwk": key.jwk}), 400, "malformed", "a copied public key")
    expect(stranger.post(url, payload), 403, "unauthorized", "a key of its own")
    expect(_registered(dev).post(url, payload), 403, "unauthorized", "another account")
    check(dev.psql("SELECT count(*) FROM revocations") == "0", "something was revoked")
    check(owner.post(url, payload).status == 200, "the certificate's key")
    expect(owner.post(url, payload), 400, "alreadyRevoked", "once more")


def a_relay_proves_nothing(dev, ctx):
    """T12: an attacker orders the victim's name by an account of his own and hands the token to the victim, who answers for his own account, as he thinks he must."""
    victim, attacker = _registered(dev), _registered(dev)
    order = attacker.new_order(["relay.internal.test"])
    challenge = attacker.post(order["authorizations"][0]).json()["challenges"][0]
    ctx.responder.tokens[challenge["token"]] = challenge["token"] + "." + victim.key.thumbprint()
    attacker.post(challenge["url"], {})
    check(attacker.poll(order["authorizations"][0], ("pending", "processing"))["status"] == "invalid", "the relay's order")
    check(attacker.post(order["url"]).json()["status"] == "invalid", "the order")
    expect(attacker.finalize(order, csr_make(["relay.internal.test"])), 403, "orderNotReady", "finalize")


def http2_names_its_host_too(dev, ctx):
    """T04 over HTTP/2: :authority stands for Host; a JWS for another spelling is unauthorized there, too, and another authority is none of ours."""
    def call(url, signed, *more):
        out = subprocess.run(["curl", "-sS", "--http2", "--cacert", dev.root, "-H", "Content-Type: application/jose+json", "--data-binary", "@-", "-w", "\n%{http_version} %{http_code}", *more, url], input=ctx.client.jws(signed, None), capture_output=True, text=True, timeout=30, check=True).stdout
        return out.rsplit("\n", 1)[1]

    url = ctx.client.kid
    other = url.replace("localhost", "127.0.0.1")
    check(call(url, url) == "2 200", "the right one")
    for signed in (other, url.upper(), url + "/", url.replace("https:", "http:"), url.replace("/acme/", "//acme/")):
        check(call(url, signed) == "2 403", signed)
    check(call(url, url, "-H", "Host: evil.test") == "2 421", "another authority")
    check(call(url, url, "-H", "Host: 127.0.0.1:%d" % dev.port) == "2 403", "the authority of the other spelling")


def one_binding_for_many(dev, ctx):
    """T10: a key that allows one account, 64 newAccounts at once with keys of their own: one account."""
    made = subprocess.run([os.path.join(BIN, "certmill"), "eab", "create", "--config", os.path.join(dev.state, "acme-0.yaml"), "--accounts-max", "1", "--json"], capture_output=True, text=True, env=ENVIRON, timeout=60)
    check(made.returncode == 0, made.stderr)
    eab = json.loads(made.stdout)
    eab = eab[0] if isinstance(eab, list) else eab
    kid, secret = eab["kid"], eab.get("hmac_key") or eab.get("secret")
    raw = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    clients = [fresh(dev) for _ in range(64)]
    url = clients[0].directory["newAccount"]

    def payload(client):
        protected, inner = b64(json.dumps({"alg": "HS256", "kid": kid, "url": url}).encode()), b64(json.dumps(client.key.jwk).encode())
        return {"externalAccountBinding": {"protected": protected, "payload": inner, "signature": b64(hmac.new(raw, f"{protected}.{inner}".encode(), hashlib.sha256).digest())}}

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda c: c.post(url, payload(c)), clients))
    statuses = [a.status for a in answers]
    check(statuses.count(201) == 1, str(statuses))
    for answer in answers:
        check(answer.status == 201 or (answer.status in (400, 403) and answer.type() in ("unauthorized", "malformed")), answer.body)


def deactivation_races_with_everything(dev, ctx):
    """T14: an account is deactivated while it orders, again and again: whatever was answered before is there, nothing is made after the answer to the deactivation."""
    for i in range(25):
        client = _registered(dev)
        other = fresh(dev, client.key)
        other.kid, kid = client.kid, client.kid
        done, late = threading.Event(), []

        def order():
            while True:
                ended = done.is_set()
                answer = other.post(other.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "race.internal.test"}]})
                if ended:
                    late.append((answer.status, answer.type() if answer.status >= 400 else "made"))
                    return
                if answer.status != 201:
                    check(answer.status == 401 and answer.type() == "unauthorized", answer.body)

        thread = threading.Thread(target=order)
        thread.start()
        time.sleep(random.random() / 50)
        check(client.post(kid, {"status": "deactivated"}).status == 200, "deactivation")
        done.set()
        thread.join()
        check(late == [(401, "unauthorized")], str(late))


def _beside(text):
    """An id of the same moment that nobody has."""
    raw = base64.urlsafe_b64decode(text + "==")
    return b64(raw[:8] + bytes(x ^ 0x55 for x in raw[8:]))


def not_yours_is_not_there(dev, ctx):
    """T15: an object of another's and one that nobody has: the same status, the same document, and no time that tells them apart."""
    stranger = _registered(dev)
    missing = {}
    for pattern in ("order/*", "order/*/finalize", "authz/*", "chall/*/*"):
        url = ctx.resources[pattern]
        found = re.search(r"/([A-Za-z0-9_-]{22})(/|$)", url)
        missing[pattern] = url[:found.start(1)] + _beside(found.group(1)) + url[found.end(1):]
        check(len(set(found.group(1))) > 8, f"the id does not look random: {url}")
        payload = {"csr": b64(csr_make(["resource.internal.test"]))} if "finalize" in pattern else None
        theirs, nobodys = (stranger.post(u, payload) for u in (url, missing[pattern]))
        documents = [{k: v for k, v in a.json().items() if k != "instance"} for a in (theirs, nobodys)]
        check(theirs.status == nobodys.status == 404 and documents[0] == documents[1], f"{documents}")
        check(set(theirs.headers.keys()) == set(nobodys.headers.keys()), f"{theirs.headers} {nobodys.headers}")
    for attempt in range(4):  # the machine has other things to do, too
        times = {"theirs": [], "nobodys": []}
        for _ in range(200):
            for which, url in (("theirs", ctx.resources["order/*"]), ("nobodys", missing["order/*"])):
                body = stranger.jws(url, None)
                began = time.perf_counter()
                stranger.request("POST", url, body, ctx.jose)
                times[which].append(time.perf_counter() - began)
        low = {which: sorted(t)[len(t) // 4] for which, t in times.items()}
        ratio = low["theirs"] / low["nobodys"]
        if 0.8 < ratio < 1.25:
            return
    check(False, f"the time tells: {low}")


def nothing_of_anothers(dev, ctx):
    """T15: every object of an account, by every payload that does something, from another account: refused, and everything is as it was."""
    client, order = _ready(dev, ctx, ["theirs.internal.test", "also.internal.test"])
    pending = client.new_order(["pending.internal.test"])
    challenge = client.post(pending["authorizations"][0]).json()["challenges"][0]["url"]
    done, ended = _ready(dev, ctx, ["issued.internal.test"])
    done.finish(ended, ["issued.internal.test"])
    certificate = done.post(ended["url"]).json()["certificate"]
    watched = [(client, client.kid), (client, order["url"]), (client, pending["url"]), *[(client, url) for url in order["authorizations"] + pending["authorizations"]], (done, certificate), (client, client.kid + "/orders")]
    before = [c.post(url).body for c, url in watched]
    stranger = _registered(dev)
    csr = {"csr": b64(csr_make(["theirs.internal.test", "also.internal.test"]))}
    tries = [(client.kid, None), (client.kid, {"contact": ["mailto:evil@b.test"]}), (client.kid, {"status": "deactivated"}), (client.kid + "/orders", None), (order["url"], None), (order["finalize"], csr), (order["authorizations"][0], None),
             (order["authorizations"][0], {"status": "deactivated"}), (pending["authorizations"][0], {"status": "deactivated"}), (challenge, None), (challenge, {}), (certificate, None)]
    for url, payload in tries:
        answer = stranger.post(url, payload)
        check(answer.status in (403, 404) and answer.type() == "unauthorized", f"{url} {payload}: {answer.status} {answer.body}")
    check([c.post(url).body for c, url in watched] == before, "something has changed")
    check(client.finalize(order, csr_make(["theirs.internal.test", "also.internal.test"])).status == 200, "its own account")


def a_csr_is_the_order_or_nothing(dev, ctx):
    """T16: of random sets of names only the order's is taken; other kinds of names, wherever they are, never."""
    names = [f"n{i}.internal.test" for i in range(4)]
    client, order = _ready(dev, ctx, names)
    dice, pool = random.Random(16), names + ["x.internal.test", "internal.test", "n0.internal.test.evil.test", "*.internal.test"]
    for _ in range(60):
        chosen = dice.sample(pool, dice.randint(0, len(pool)))
        if set(chosen) == set(names):
            continue
        answer = client.finalize(order, csr_make(chosen))
        check(answer.status == 400 and answer.type() == "badCSR", f"{chosen}: {answer.status} {answer.body}")
    good = [x509.DNSName(n) for n in names]
    for what, csr in (("an address", _csr(good + [x509.IPAddress(ipaddress.ip_address("10.0.0.1"))])), ("mail", _csr(good + [x509.RFC822Name("a@b.test")])), ("a URI", _csr(good + [x509.UniformResourceIdentifier("spiffe://a/b")])), ("a directory name", _csr(good + [x509.DirectoryName(x509.Name([]))])),
                      ("another name", _csr(good + [x509.OtherName(ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a")])), ("an id", _csr(good + [x509.RegisteredID(ObjectIdentifier("1.2.3"))])), ("a subject with another name", _csr(good, subject=[(NameOID.COMMON_NAME, "evil.test")])),
                      ("a subject with an address", _csr(good, subject=[(NameOID.COMMON_NAME, "10.0.0.1")]))):
        answer = client.finalize(order, csr)
        check(answer.status == 400 and answer.type() == "badCSR", f"{what}: {answer.status} {answer.body}")
    cert = x509.load_pem_x509_certificate(client.finish(order, list(reversed(names))).encode())
    check(sorted(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)) == names, "names")


def a_base_does_not_authorize_its_wildcard(dev, ctx):
    """T17: the base domain's proof by http-01 is none for `*.`, and a CSR with the wildcard does not fit the order of the base."""
    client = _registered(dev)
    order = client.new_order(["star.internal.test", "*.star.internal.test"])
    for url in order["authorizations"]:
        authz = client.post(url).json()
        kinds = {c["type"]: c for c in authz["challenges"]}
        if "http-01" in kinds:
            ctx.responder.tokens[kinds["http-01"]["token"]] = kinds["http-01"]["token"] + "." + client.key.thumbprint()
            client.post(kinds["http-01"]["url"], {})
            check(client.poll(url, ("pending", "processing"))["status"] == "valid", url)
        else:
            wild = url
            expect(client.post(kinds["dns-01"]["url"].replace("dns-01", "http-01"), {}), 404, "unauthorized", "http-01 for a wildcard")
    check(client.post(order["url"]).json()["status"] == "pending" and client.post(wild).json()["status"] == "pending", "ready without its wildcard")
    answer = client.finalize(order, csr_make(["star.internal.test", "*.star.internal.test"]))
    expect(answer, 403, "orderNotReady", "finalize")
    client, order = _ready(dev, ctx, ["star.internal.test"])
    for names in (["*.star.internal.test"], ["star.internal.test", "*.star.internal.test"]):
        expect(client.finalize(order, csr_make(names)), 400, "badCSR", str(names))


def the_bad_one_is_told_at_each_place(dev, ctx):
    """T18: for N names one is bad, at each place: refused, with its index. N from 1 to 20, and 50, and the most."""
    client = ctx.client
    for n in [*range(1, 21), 50, 100]:
        good = [f"n{k}.internal.test" for k in range(n)]
        for bad in range(n) if n <= 20 else sorted({0, 1, n // 2, n - 2, n - 1}):
            names = good[:bad] + ["bad..internal.test"] + good[bad + 1:]
            answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": v} for v in names]})
            check(answer.status == 400 and answer.type() == "rejectedIdentifier", f"{bad} of {n}: {answer.status} {answer.body}")
            problem = answer.json()
            check(f"identifier {bad} (bad..internal.test)" in problem["detail"] and [s["identifier"] for s in problem["subproblems"]] == [{"type": "dns", "value": "bad..internal.test"}], f"{bad} of {n}: {answer.body}")
    answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": v} for v in ("a.internal.test", "one..test", "b.internal.test", "two..test", "a.internal.test")]})
    check([re.search(r"identifier (\d)", s["detail"]).group(1) + s["identifier"]["value"] for s in answer.json()["subproblems"]] == ["1one..test", "3two..test"], answer.body)
    check(client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": f"m{k}.internal.test"} for k in range(101)]}).status == 400, "more than the most")


def a_key_is_an_accounts_or_a_certificates(dev, ctx):
    """T22: newAccount and finalize with one key at once, again and again: when the account was there first the certificate is refused; one of the two may come first, never an error of the server."""
    both = 0
    for i in range(12):
        key, name = Key(), f"keyrace{i}.internal.test"
        client, order = _ready(dev, ctx, [name])
        made = fresh(dev, key)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            account = pool.submit(lambda: made.post(made.directory["newAccount"], {}))
            final = pool.submit(lambda: client.finalize(order, csr_make([name], key.private)))
        check(account.result().status == 201, account.result().body)
        answer = final.result()
        check(answer.status == 200 or (answer.status == 400 and answer.type() == "badCSR"), f"{answer.status} {answer.body}")
        both += answer.status == 200
        if answer.status != 200:
            expect(client.finalize(order, csr_make([name], key.private)), 400, "badCSR", "afterwards")
    print(f"  {both} of 12 certificates were decided before their key's account", flush=True)


def nothing_of_a_csr_but_its_key(dev, ctx):
    """T27, T28: extensions that are asked for, each known one, and whatever subject: the certificate is the one of a plain request, but for its key."""
    name = "plain.internal.test"

    def extensions_of(csr):
        client, order = _ready(dev, ctx, [name])
        answer = client.finalize(order, csr)
        check(answer.status == 200, answer.body)
        cert = x509.load_pem_x509_certificate(client.post(client.poll(order["url"], ("processing",))["certificate"]).body)
        return cert.subject.rfc4514_string(), [(e.oid.dotted_string, e.critical, e.value.public_bytes()) for e in cert.extensions if e.oid != x509.ExtensionOID.SUBJECT_KEY_IDENTIFIER]

    names, plain = [x509.DNSName(name)], extensions_of(csr_make([name]))
    asked = [(x509.BasicConstraints(True, 0), True), (x509.KeyUsage(False, False, False, False, False, True, True, False, False), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.OCSP_SIGNING]), False), (x509.PrecertPoison(), True),
             (x509.NameConstraints([x509.DNSName("evil.test")], None), True), (x509.PolicyConstraints(0, 0), True), (x509.InhibitAnyPolicy(0), True), (x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("2.23.140.1.1"), None)]), False),
             (x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier("http://evil.test/crl")], None, None, None)]), False), (x509.AuthorityInformationAccess([x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://evil.test"))]), False),
             (x509.IssuerAlternativeName([x509.DNSName("evil.test")]), False), (x509.OCSPNoCheck(), False), (x509.TLSFeature([x509.TLSFeatureType.status_request]), False), (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True)]
    for extension, critical in asked:
        check(extensions_of(_csr(names, extensions=[(extension, critical)])) == plain, str(extension))
    check(extensions_of(_csr(names, extensions=asked)) == plain, "all of them")
    for subject in ([(NameOID.ORGANIZATION_NAME, "Evil Corp"), (NameOID.COUNTRY_NAME, "US")], [(NameOID.COMMON_NAME, name), (NameOID.EMAIL_ADDRESS, "a@b.test")], [(NameOID.ORGANIZATION_NAME, "a\x00b\u202e/CN=evil.test")]):
        check(extensions_of(_csr(names, subject=subject)) == plain, str(subject))
