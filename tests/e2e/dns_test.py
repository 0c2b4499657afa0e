"""dns: dns-01, dns-account-01, dns-persist-01, CAA and wildcards, from the order to a certificate that a verifier takes; resolvers that lie, cut and loop (T17, T32); certbot and lego through RFC 2136."""
import base64
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

from certmill import BIN, Client, Dev, Responder, b64, check, csr_make, free_ports
from nameserver import NXDOMAIN, REFUSED, SERVFAIL, Knot, Nameserver, caa, name_bytes, txt


def challenge_of(client, url, kind):
    authz = client.post(url).json()
    return authz, next((c for c in authz["challenges"] if c["type"] == kind), None)


def digest(client, challenge):
    return b64(hashlib.sha256((challenge["token"] + "." + client.key.thumbprint()).encode()).digest())


def names_of(pem):
    text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pem, capture_output=True, text=True, check=True).stdout
    return sorted(part.strip().removeprefix("DNS:") for part in text.splitlines()[1].split(","))


def obtains(dev, ns):
    """RFC 8555 section 7.1.3: a wildcard and its base name are two authorizations; the wildcard is proved by the DNS alone."""
    client = Client(dev)
    client.register()
    order = client.new_order(["*.wild.internal.test", "wild.internal.test"])
    check(len(order["authorizations"]) == 2, str(order))
    values = []
    for url, wildcard in zip(order["authorizations"], (True, False)):
        authz, challenge = challenge_of(client, url, "dns-01")
        check(authz["identifier"] == {"type": "dns", "value": "wild.internal.test"} and authz.get("wildcard", False) == wildcard, str(authz))
        kinds = [c["type"] for c in authz["challenges"]]
        check(("http-01" in kinds) != wildcard and "dns-01" in kinds, str(kinds))
        if wildcard:
            answer = client.post(challenge["url"].replace("dns-01", "http-01"), {})
            check(answer.status == 404, answer.body)
        values.append(digest(client, challenge))
        ns.put("_acme-challenge.wild.internal.test", "TXT", "unrelated", *values)  # both stay
        check(client.post(challenge["url"], {}).status == 200, "posted")
        authz = client.poll(url, ("pending", "processing"))
        check(authz["status"] == "valid" and [c["type"] for c in authz["challenges"]] == ["dns-01"] and authz["challenges"][0]["status"] == "valid", str(authz))
    pem = client.finish(order, ["*.wild.internal.test", "wild.internal.test"])
    check(names_of(pem) == ["*.wild.internal.test", "wild.internal.test"], str(names_of(pem)))
    chain = os.path.join(dev.dir, "chain.pem")
    with open(chain, "w", encoding="ascii") as f:
        f.write(pem)
    for host, good in (("a.wild.internal.test", True), ("wild.internal.test", True), ("a.b.wild.internal.test", False)):
        done = subprocess.run(["openssl", "verify", "-CAfile", dev.root, "-untrusted", chain, "-verify_hostname", host, chain], capture_output=True, text=True)
        check((done.returncode == 0) == good, host + done.stdout + done.stderr)
    zlint = os.path.join(os.environ["CERTMILL_DEPS"], "root/usr/bin/zlint")
    zlint = zlint if os.path.exists(zlint) else shutil.which("zlint")
    check(zlint, "zlint is not installed")
    results = json.loads(run([zlint, "-includeSources", "RFC5280", chain]).splitlines()[0])
    bad = [k for k, v in results.items() if v["result"] in ("error", "fatal")]
    check(not bad and len(results) > 50, str(bad))
    print("a wildcard and its base name in one certificate")


def wildcards_are_refused(dev):
    """T17: '*' is the whole first label or nothing; a name's own authorization does not stand for what is below it."""
    client = Client(dev)
    client.register()
    bad = ["*", "*.", "**.internal.test", "*a.internal.test", "a*.internal.test", "a.*.internal.test", "*.*.internal.test", "internal.*", ".internal.test", "*..internal.test", "xn--*.internal.test", "*.internal.test."]
    for at, name in enumerate(bad):
        names = ["a%d.internal.test" % i for i in range(3)]
        names[at % 3] = name
        answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": n} for n in names]})
        check(answer.status == 400 and answer.type() in ("rejectedIdentifier", "malformed") and f"identifier {at % 3} " in answer.json()["detail"], name + answer.body.decode())
    responder = Responder(dev.http_port)
    order = client.new_order(["base.internal.test"])
    client.authorize(order, responder)
    answer = client.finalize(order, csr_make(["*.base.internal.test"]))
    check(answer.status == 400 and answer.type() == "badCSR", answer.body)
    order = client.new_order(["*.base.internal.test", "base.internal.test"])
    for url in order["authorizations"]:
        authz, challenge = challenge_of(client, url, "http-01")
        if challenge:
            responder.tokens[challenge["token"]] = challenge["token"] + "." + client.key.thumbprint()
            client.post(challenge["url"], {})
            check(client.poll(url, ("pending", "processing"))["status"] == "valid", "the base name")
    answer = client.finalize(order, csr_make(["*.base.internal.test", "base.internal.test"]))
    check(answer.status == 403 and answer.type() == "orderNotReady", answer.body)
    responder.close()
    print("wildcards that are none, and base names in their place, are refused")


def hostile(ns):
    """T32: what a resolver may do, whether the right record may still count, and what people are told."""
    def after(delay, rest):
        def manner(query, name, tcp):
            time.sleep(delay)
            return rest(query, name, tcp)
        return manner

    def turns(*manners):
        asked = []

        def manner(query, name, tcp):
            asked.append(name)
            return manners[min(len(asked), len(manners)) - 1](query, name, tcp)
        return manner

    def chain(query, name, aliases, value):
        names = [name] + [f"{i}.alias.test" for i in range(aliases)]
        return ns.answer(query, [(a, 5, name_bytes(b)) for a, b in zip(names, names[1:])] + [(names[-1], 16, txt(value))])

    def good(query, value, **more):
        return ns.answer(query, [(ns.question(query)[0], 16, txt(value))], **more)

    def lies(query, value):
        name, _, question = ns.question(query)
        yield bytes([query[0] ^ 1]) + good(query, value)[1:]                       # another id
        yield query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + b"\1x" + question + b""      # another question
        yield ns.answer(query, [("other.test", 16, txt(value))])                   # another name
        yield b"\0"                                                               # no header

    return {
        "right": (True, lambda v: lambda q, n, tcp: [good(q, v)]),
        "another-id-first": (True, lambda v: lambda q, n, tcp: [bytes([q[0] ^ 1]) + good(q, "no")[1:], good(q, v)]),
        "another-id": (False, lambda v: lambda q, n, tcp: [bytes([q[0] ^ 1]) + good(q, v)[1:]]),
        "another-name": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [("other.test", 16, txt(v))])]),
        "another-type": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 99, txt(v))])]),
        "two-strings": (True, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, txt(v[:5]) + txt(v[5:]))])]),
        "string-past-the-end": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, b"\x40" + v.encode())])]),
        "cut-then-whole": (True, lambda v: lambda q, n, tcp: [good(q, v)] if tcp else [ns.answer(q, [], flags=0x8600)]),
        "cut-always": (False, lambda v: lambda q, n, tcp: [good(q, v, flags=0x8600)]),
        "servfail": (False, lambda v: lambda q, n, tcp: [good(q, v, code=SERVFAIL)]),
        "refused": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [], REFUSED)]),
        "silent": (False, lambda v: lambda q, n, tcp: []),
        "late": (False, lambda v: after(6, lambda q, n, tcp: [good(q, v)])),
        "count-too-high": (False, lambda v: lambda q, n, tcp: [good(q, v)[:6] + b"\0\x09" + good(q, v)[8:]]),
        "header-only": (False, lambda v: lambda q, n, tcp: [good(q, v)[:12]]),
        "loop": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 5, b"\1x" + q[12:-4])])]),
        "pointer-loop": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 5, b"\xc0" + bytes([len(q) + 10]))])]),
        "thousand": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, txt("x"))] * 1000 + [(n, 16, txt(v))])] if tcp else [ns.answer(q, [], flags=0x8600)]),
        "sixty-thousand-octets": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, txt("x" * 60000))])] if tcp else [ns.answer(q, [], flags=0x8600)]),
        "garbage": (False, lambda v: lambda q, n, tcp: [q[:2] + os.urandom(300)]),
        "appears-later": (True, lambda v: turns(lambda q, n, tcp: [ns.answer(q, [], NXDOMAIN)], lambda q, n, tcp: [good(q, v)])),
        "fails-at-first": (True, lambda v: turns(lambda q, n, tcp: [ns.answer(q, [], SERVFAIL)], lambda q, n, tcp: [good(q, v)])),
        "eight-aliases": (True, lambda v: lambda q, n, tcp: [chain(q, n, 8, v)]),
        "nine-aliases": (False, lambda v: lambda q, n, tcp: [chain(q, n, 9, v)]),
        "two-aliases-at-once": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 5, name_bytes("a.test")), (n, 5, name_bytes("b.test")), ("c.test", 16, txt(v))])]),
        "other-section": (False, lambda v: lambda q, n, tcp: [good(q, v)[:6] + b"\0\0\0\1" + good(q, v)[10:]]),
        "other-class": (False, lambda v: lambda q, n, tcp: [good(q, v).replace(b"\0\x10\0\1\0\0\0\1", b"\0\x10\0\3\0\0\0\1")]),
        "name-in-capitals": (True, lambda v: lambda q, n, tcp: [ns.answer(q, [(n.upper(), 16, txt(v))])]),
        "empty-strings": (True, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, b"\0\0" + txt(v) + b"\0")])]),
        "no-strings": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, b"")])]),
        "zero-octet-behind": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, txt(v + "\0"))])]),
        "space-behind": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, txt(v + " "))])]),
        "quotes-around": (False, lambda v: lambda q, n, tcp: [ns.answer(q, [(n, 16, txt('"' + v + '"'))])]),
        "a-query-in-return": (False, lambda v: lambda q, n, tcp: [q]),
        "tcp-closes": (False, lambda v: lambda q, n, tcp: [] if tcp else [ns.answer(q, [], flags=0x8600)]),
        "lies-only": (False, lambda v: lambda q, n, tcp: list(lies(q, v))),
    }


def resolvers_are_not_trusted(dev, ns):
    client = Client(dev)
    client.register()
    rows, running = hostile(ns), []
    for name, (good, make) in rows.items():
        order = client.new_order([f"{name}.internal.test"])
        url = order["authorizations"][0]
        _, challenge = challenge_of(client, url, "dns-01")
        ns.manners[f"_acme-challenge.{name}.internal.test"] = make(digest(client, challenge))
        check(client.post(challenge["url"], {}).status == 200, name)
        running.append((name, good, url))
    for name, good, url in running:
        authz = client.poll(url, ("pending", "processing"), 60)
        challenge = authz["challenges"][0]
        check(authz["status"] == ("valid" if good else "invalid"), f"{name}: {authz}")
        if not good:
            error = challenge["error"]
            check(error["type"].rsplit(":", 1)[-1] in ("dns", "incorrectResponse") and f"(resolver 127.0.0.1:{ns.port})" in error["detail"] and f"dns-01 for {name}.internal.test" in error["detail"], str(error))
    check(client.get(dev.directory).status == 200, "the front end is not well")
    print(f"{len(rows)} manners of a resolver")


def configure(dev, lines):
    """Adds lines to the default tenant and waits until the front end has them."""
    path = os.path.join(dev.state, "acme-0.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("    profiles: [server", "".join(f"    {line}\n" for line in lines) + "    website: https://www.internal.test/\n    profiles: [server"))
    os.kill(dev.pids("certmill-acme")[0], signal.SIGHUP)
    deadline = time.monotonic() + 20
    while Client(dev).directory["meta"].get("website") != "https://www.internal.test/":
        check(time.monotonic() < deadline, "the configuration was not taken")
        time.sleep(0.1)


def proved(client, ns, names, kind="dns-01"):
    """An order whose authorizations were tried, and these."""
    order, authzs = client.new_order(names), []
    for url in order["authorizations"]:
        authz, challenge = challenge_of(client, url, kind)
        label = "_acme-challenge."
        if kind == "dns-persist-01":
            check("token" not in challenge and challenge["issuer-domain-names"] == ["ca.internal.test"], str(challenge))
            ns.put("_validation-persist." + authz["identifier"]["value"], "TXT", "ca.internal.test; accounturi=" + client.kid + "; policy=wildcard")
        elif kind == "dns-account-01":
            label = "_" + base64.b32encode(hashlib.sha256(client.kid.encode()).digest()[:10]).decode().lower() + "._acme-challenge."
        if "token" in challenge:
            ns.put(label + authz["identifier"]["value"], "TXT", digest(client, challenge))
        check(client.post(challenge["url"], {}).status == 200, "posted")
        authzs.append(client.poll(url, ("pending", "processing")))
    return order, authzs


def accounts_have_labels(dev, ns):
    """dns-account-01: two accounts prove one name at a time."""
    clients = [Client(dev), Client(dev)]
    for client in clients:
        client.register()
    for client in clients:
        order, authzs = proved(client, ns, ["*.shared.internal.test"], "dns-account-01")
        check(authzs[0]["status"] == "valid" and authzs[0]["challenges"][0]["type"] == "dns-account-01", str(authzs))
        client.finish(order, ["*.shared.internal.test"])
    check(len([n for n, _ in ns.records if n.endswith("._acme-challenge.shared.internal.test")]) == 2, "two labels")
    print("dns-account-01: two accounts, two labels")


def records_last(dev, ns):
    """dns-persist-01: a record that stays is good for one certificate after another, a wildcard too, and for no other account."""
    clients = [Client(dev), Client(dev)]
    for client in clients:
        client.register()
    for names in (["lasting.internal.test"], ["*.lasting.internal.test"]):
        order, (authz,) = proved(clients[0], ns, names, "dns-persist-01")
        check(authz["status"] == "valid", str(authz))
        clients[0].finish(order, names)
    end = int(time.time()) + 3600
    ns.put("_validation-persist.ending.internal.test", "TXT", f"ca.internal.test; accounturi={clients[0].kid}; persistUntil={end}")
    order = clients[0].new_order(["ending.internal.test"])
    _, challenge = challenge_of(clients[0], order["authorizations"][0], "dns-persist-01")
    clients[0].post(challenge["url"], {})
    authz = clients[0].poll(order["authorizations"][0], ("pending", "processing"))
    check(authz["status"] == "valid" and authz["expires"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)), str(authz))
    order = clients[1].new_order(["lasting.internal.test"])
    _, challenge = challenge_of(clients[1], order["authorizations"][0], "dns-persist-01")
    clients[1].post(challenge["url"], {})
    authz = clients[1].poll(order["authorizations"][0], ("pending", "processing"))
    check(authz["status"] == "invalid" and "names another account" in authz["challenges"][0]["error"]["detail"], str(authz))
    print("dns-persist-01: one record, two certificates, one account")


def caa_forbids(dev, ns):
    """CAA at the validation, and once more when the authorization is old (RFC 8659, RFC 8657); which of N names it is (T18)."""
    client = Client(dev)
    client.register()
    check(client.directory["meta"]["caaIdentities"] == ["ca.internal.test"], str(client.directory))
    ns.put("good.internal.test", "CAA", caa(0, "issue", "ca.internal.test; validationmethods=dns-01; accounturi=" + client.kid))
    ns.put("bad.internal.test", "CAA", caa(0, "issue", "other.internal.test"))
    ns.put("account.internal.test", "CAA", caa(0, "issue", "ca.internal.test; accounturi=" + client.kid[:-1] + ("a" if client.kid[-1] != "a" else "b")))
    ns.put("wild.internal.test", "CAA", caa(0, "issue", "ca.internal.test"), caa(0, "issuewild", ";"))
    for names, good in (["a.good.internal.test", True], ["a.bad.internal.test", False], ["account.internal.test", False], ["wild.internal.test", True], ["*.wild.internal.test", False], ["nothing.internal.test", True]):
        order, (authz,) = proved(client, ns, [names])
        check(authz["status"] == ("valid" if good else "invalid"), names + str(authz))
        if good:
            client.finish(order, [names])
        else:
            error = authz["challenges"][0]["error"]
            check(error["type"] == "urn:ietf:params:acme:error:caa" and error["detail"].startswith("CAA for " + names), str(error))
            check(client.post(order["url"]).json()["status"] == "invalid", "the order")
    for bad in range(3):
        names = [f"{i}.late{bad}.internal.test" for i in range(3)]
        order, authzs = proved(client, ns, names)
        check(all(a["status"] == "valid" for a in authzs), str(authzs))
        ns.put(names[bad], "CAA", caa(0, "issue", ";"))
        if bad == 0:  # a fresh authorization stands
            client.finish(order, names)
            continue
        dev.psql("UPDATE authorizations SET validated_at = validated_at - 9 * 3600 * 1000000::bigint")
        answer = client.finalize(order, csr_make(names))
        problem = answer.json()
        check(answer.status == 403 and answer.type() == "caa" and [s["identifier"]["value"] for s in problem["subproblems"]] == [names[bad]], answer.body)
        check(problem["subproblems"][0]["type"] == problem["type"] and names[bad] in problem["subproblems"][0]["detail"], answer.body)
        ns.manners[names[bad]] = lambda q, n, tcp: [ns.answer(q, [], SERVFAIL)]  # not knowing is not permitting
        check(client.finalize(order, csr_make(names)).type() == "caa", "SERVFAIL")
        del ns.manners[names[bad]]
        del ns.records[names[bad], "CAA"]
        client.finish(order, names)  # nothing was spoiled
    print("CAA forbids at validation and, of old authorizations, at finalize")


def constraints_hold(ns):
    """A CA that is bound to one name (RFC 5280 section 4.2.1.10) signs wildcards below it, and none above."""
    dev = Dev(options=["--resolver", f"127.0.0.1:{ns.port}"])
    os.makedirs(dev.state, 0o755)
    passphrase = os.path.join(dev.state, "passphrase")
    with open(os.open(passphrase, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
        f.write("a passphrase of this test\n")
    run([os.path.join(BIN, "certmill"), "init", "--dir", os.path.join(dev.state, "signer"), "--passphrase-file", passphrase, "--name", "Bound", "--permit-dns", "corp.internal.test", "--permit-dns", "localhost"])
    with dev:
        client = Client(dev)
        client.register()
        for names in (["*.corp.internal.test"], ["*.a.corp.internal.test", "corp.internal.test"]):
            order, authzs = proved(client, ns, names)
            check(all(a["status"] == "valid" for a in authzs), str(authzs))
            check(names_of(client.finish(order, names)) == sorted(names), str(names))
        order, authzs = proved(client, ns, ["*.internal.test"])
        check(authzs[0]["status"] == "valid", str(authzs))
        answer = client.finalize(order, csr_make(["*.internal.test"]))
        ended = client.poll(order["url"], ("ready", "processing")) if answer.status == 200 else answer.json()
        check((ended["status"] == "invalid" and "permits" in ended["error"]["detail"]) or (answer.status >= 400 and "permit" in ended["detail"]), str(ended))
        check(len([r for r in dev.journal() if r["kind"] == "signed"]) == 2, "one too many was signed")
    print("the issuing CA's constraints hold for wildcards")


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def clients_obtain(dev, knot):
    """certbot and lego set the records themselves (RFC 2136), a wildcard among the names."""
    folder = os.path.join(dev.dir, "lego")
    run(["lego", "--server", dev.directory, "--accept-tos", "--email", "a@internal.test", "--path", folder, "--domains", "*.lego.internal.test", "--domains", "lego.internal.test",
         "--dns", "rfc2136", "--dns.disable-cp", "--dns.resolvers", f"127.0.0.1:{knot.port}", "run"],
        LEGO_CA_CERTIFICATES=dev.root, RFC2136_NAMESERVER=f"127.0.0.1:{knot.port}", RFC2136_TSIG_KEY=knot.KEY, RFC2136_TSIG_SECRET=knot.SECRET, RFC2136_TSIG_ALGORITHM="hmac-sha256.",
        RFC2136_PROPAGATION_TIMEOUT="10", RFC2136_POLLING_INTERVAL="1", RFC2136_SEQUENCE_INTERVAL="1", RFC2136_TTL="1")
    with open(glob.glob(os.path.join(folder, "certificates", "*lego.internal.test.crt"))[0], encoding="ascii") as f:
        check(names_of(f.read()) == ["*.lego.internal.test", "lego.internal.test"], "lego's certificate")
    print("lego obtained a wildcard through RFC 2136")
    credentials = os.path.join(dev.dir, "rfc2136.ini")
    with open(credentials, "w", encoding="ascii") as f:
        f.write(f"dns_rfc2136_server = 127.0.0.1\ndns_rfc2136_port = {knot.port}\ndns_rfc2136_name = {knot.KEY}\ndns_rfc2136_secret = {knot.SECRET}\ndns_rfc2136_algorithm = HMAC-SHA256\n")
    os.chmod(credentials, 0o600)
    folders = ["--config-dir", os.path.join(dev.dir, "c"), "--work-dir", os.path.join(dev.dir, "w"), "--logs-dir", os.path.join(dev.dir, "l")]
    run(["certbot", "certonly", "--dns-rfc2136", "--dns-rfc2136-credentials", credentials, "--dns-rfc2136-propagation-seconds", "1", "--server", dev.directory, "-d", "*.certbot.internal.test",
         "-d", "certbot.internal.test", "--agree-tos", "--register-unsafely-without-email", "-n"] + folders, REQUESTS_CA_BUNDLE=dev.root)
    run(["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew"] + folders, REQUESTS_CA_BUNDLE=dev.root)
    with open(os.path.join(dev.dir, "c", "live", "certbot.internal.test", "cert.pem"), encoding="ascii") as f:
        check(names_of(f.read()) == ["*.certbot.internal.test", "certbot.internal.test"], "certbot's certificate")
    print("certbot obtained and renewed a wildcard through RFC 2136")


with Nameserver() as ns, Dev(options=["--resolver", f"127.0.0.1:{ns.port}"]) as dev:
    obtains(dev, ns)
    wildcards_are_refused(dev)
    resolvers_are_not_trusted(dev, ns)
    configure(dev, ["challenges: [http-01, dns-01, dns-account-01, dns-persist-01]", "caa: on", "caa_identities: [ca.internal.test]"])
    accounts_have_labels(dev, ns)
    records_last(dev, ns)
    caa_forbids(dev, ns)
with Nameserver() as ns:
    constraints_hold(ns)
with Knot(free_ports(1)) as knot, Dev(options=["--resolver", f"127.0.0.1:{knot.port}"]) as dev:
    clients_obtain(dev, knot)
