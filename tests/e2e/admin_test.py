"""admin: the admin operations over mutual TLS, held against docs/openapi.json: every path, parameter, status and member of it is used, and no answer has more. And the same by the command, and by curl."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

from certmill import BIN, ENVIRON, Client, Dev, Responder, b64, check, csr_make

with open(os.path.join(os.environ["CERTMILL_SOURCE_DIR"], "docs", "openapi.json"), encoding="utf-8") as f:
    SPEC = json.load(f)
OPERATIONS = {o["operationId"]: (path, method.upper(), o) for path, methods in SPEC["paths"].items() for method, o in methods.items()}
used = set()  # what of the document was seen: (operation, "status" | "parameter" | "member", name)


def resolve(schema):
    return SPEC["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema


KINDS = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def fits(operation, schema, value, where):
    """The value is as the schema says, and what of it was seen is noted."""
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    schema = resolve(schema)
    check(type(value) is KINDS[schema["type"]], f"{where} is {value!r}, not of type {schema['type']}")
    if schema["type"] == "array":
        for i, item in enumerate(value):
            fits(operation, schema["items"], item, f"{where}[{i}]")
    if schema.get("format") == "date-time":
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value), f"{where} is {value}")
    if schema["type"] != "object":
        return
    check(set(schema["required"]) <= set(value), f"{where} lacks {set(schema['required']) - set(value)}")
    for member, inner in value.items():
        check(member in schema["properties"], f"{where} has a member {member} that is not in the document")
        used.add((name, "member", member))
        fits(operation, schema["properties"][member], inner, f"{where}.{member}")


class Admin:
    """HTTP with a client's certificate."""

    def __init__(self, dev, name="admin"):
        folder = os.path.join(dev.state, "signer")
        self.port = dev.private_port + 10
        self.context = ssl.create_default_context(cafile=dev.root)
        if name:
            self.context.load_cert_chain(os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key"))

    def raw(self, method, path, body=None, headers=None):
        c = http.client.HTTPSConnection("localhost", self.port, context=self.context, timeout=90)
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, r.headers, text

    def send(self, operation, path, body=None, kind="application/json"):
        """The answer, which is as the document says it may be."""
        method, described = OPERATIONS[operation][1:]
        status, headers, text = self.raw(method, path, body, {"Content-Type": kind} if body is not None else {})
        check(str(status) in described["responses"], f"{operation}: {status} is not in the document: {text}")
        content = described["responses"][str(status)]["content"]
        check(headers["Content-Type"] in content, f"{operation}: {status} with {headers['Content-Type']}")
        check(headers["Cache-Control"] == "no-store", f"{operation}: may be cached")
        check((headers["Retry-After"] is not None) == (status == 503), f"{operation}: {status} with Retry-After {headers['Retry-After']}")
        used.add((operation, "status", str(status)))
        value = json.loads(text)
        fits(operation, content[headers["Content-Type"]]["schema"], value, f"{operation} {status}")
        return status, value

    def call(self, operation, wanted=None, /, **given):
        path, _, described = OPERATIONS[operation]
        query = {}
        for p in described["parameters"]:
            if p["name"] in given:
                used.add((operation, "parameter", p["name"]))
                value = given.pop(p["name"])
                if p["in"] == "path":
                    path = path.replace("{" + p["name"] + "}", urllib.parse.quote(str(value), safe=""))
                else:
                    query[p["name"]] = value
        body = json.dumps(given) if "requestBody" in described and given else None
        for name in given:
            used.add((operation, "parameter", name))
        wanted = wanted or int(min(described["responses"]))
        got, value = self.send(operation, path + ("?" + urllib.parse.urlencode(query) if query else ""), body)
        check(got == wanted, f"{operation} {str(given)[:200]}: {got}, wanted {wanted}: {value}")
        return value


def everything():
    """All that the document has, in the form of `used`."""
    for operation, (_, _, described) in OPERATIONS.items():
        for status, response in described["responses"].items():
            yield operation, "status", status
        for p in described["parameters"]:
            yield operation, "parameter", p["name"]
        for kind, content in described.get("requestBody", {}).get("content", {}).items():
            for name in content["schema"].get("properties", {}):
                yield operation, "parameter", name
    for name, schema in SPEC["components"]["schemas"].items():
        for member in schema["properties"]:
            yield name, "member", member


# ---- keys


def keys(a):
    key = a.call("eab_create", tenant="default", kid="one", algorithms=["HS256"], expires="2030-01-02T03:04:05Z", accounts_max=3, identifiers=["internal.test", "10.0.0.0/8"], profiles=["server"], comment="t\u00ebam \"a\"")
    check(len(key["hmac_key"]) == 43 and key["identifiers"] == ["internal.test", "10.0.0.0/8"] and key["usable"], str(key))
    check(key["tenant_eab"] == "optional" and key["directory"].endswith("/acme/default/directory"), str(key))
    a.call("eab_create", 409, kid="one")
    for wrong in ({"kid": "a b"}, {"tenant": "none-such"}, {"algorithms": ["RS256"]}, {"algorithms": "HS256"}, {"expires": "2030-01-02"}, {"expires": 7}, {"accounts_max": -1}, {"accounts_max": "3"},
                  {"identifiers": ["*.test"]}, {"identifiers": ["x"] * 65}, {"profiles": ["none-such"]}, {"comment": "x" * 1025}, {"comment": "a\nb"}, {"frob": 1}):
        a.call("eab_create", 400, **wrong)
    check(a.call("eab_show", kid="one", tenant="default")["comment"] == "t\u00ebam \"a\"", "the comment is another")
    a.call("eab_show", 404, kid="nobody")
    a.call("eab_show", 404, kid="a/b")
    a.call("eab_show", 400, kid="one", tenant="none-such")
    for operation in ("eab_update", "eab_disable", "eab_enable", "eab_rotate"):
        a.call(operation, 404, kid="nobody", tenant="default", **({"comment": "x"} if operation == "eab_update" else {}))
        a.call(operation, 400, kid="one", frob=1)
    check(a.call("eab_disable", kid="one")["status"] == "disabled", "it is enabled")
    check(a.call("eab_enable", kid="one")["status"] == "enabled", "it is disabled")
    key = a.call("eab_update", kid="one", tenant="default", algorithms=["HS256", "HS512"], expires="never", accounts_max=0, identifiers=[], profiles=[], comment="")
    check("expires" not in key and "accounts_max" not in key and key["identifiers"] == [] and key["algorithms"] == ["HS256", "HS512"], str(key))
    rotated = a.call("eab_rotate", kid="one", overlap="1h")
    check(len(rotated["hmac_key"]) == 86 and "previous_until" in a.call("eab_show", kid="one"), "there is no overlap")
    check("previous_until" not in a.call("eab_rotate", kid="one", overlap="0s"), "there is an overlap")
    a.call("eab_rotate", 400, kid="one", overlap="soon")
    for n in range(4):
        a.call("eab_create", kid=f"page-{n}")
    seen, cursor = [], {}
    while True:
        page = a.call("eab_list", tenant="default", limit=2, **cursor)
        check(len(page["items"]) <= 2, "the page is too long")
        seen += [k["kid"] for k in page["items"]]
        if "next" not in page:
            break
        cursor = {"cursor": page["next"]}
    check(seen == ["one"] + [f"page-{n}" for n in range(4)], str(seen))
    for wrong in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"cursor": "x"}, {"tenant": "none-such"}):
        a.call("eab_list", 400, **wrong)
    print("keys: made, listed, changed, rotated")


def imports(a):
    secret = b64(bytes(range(32)))
    path = OPERATIONS["eab_import"][0]
    used.add(("eab_import", "parameter", "tenant"))
    lines = "\n".join(json.dumps({"kid": f"json-{n}", "hmac_key": secret, "identifiers": ["corp.test"], "accounts_max": n}) for n in range(3)) + "\n"
    status, value = a.send("eab_import", path + "?tenant=default", lines, "application/x-ndjson")
    check((status, value) == (201, {"imported": 3}), str(value))
    key = a.call("eab_show", kid="json-2")
    check(key["accounts_max"] == 2 and key["identifiers"] == ["corp.test"], str(key))
    text = f'kid,hmac_key,comment,identifiers,expires\r\ncsv-0,{secret}=,"a, ""b""",corp.test 10.0.0.0/8,\r\n\r\ncsv-1,{secret},,,90d\r\n'
    status, value = a.send("eab_import", path, text, "text/csv; charset=utf-8")
    check((status, value) == (201, {"imported": 2}), str(value))
    key = a.call("eab_show", kid="csv-0")
    check(key["comment"] == 'a, "b"' and key["identifiers"] == ["corp.test", "10.0.0.0/8"], str(key))
    check("expires" in a.call("eab_show", kid="csv-1"), "it does not expire")
    for status, line, text in (
        (409, 2, f"kid,hmac_key\ncsv-0,{secret}\n"),
        (400, 3, f"kid,hmac_key\nnew-0,{secret}\nnew-1,short\n"),
        (400, 3, f"kid,hmac_key\nnew-0,{secret}\nnew-0,{secret}\n"),
        (400, 1, f"kid,frob\nnew-0,{secret}\n"),
        (400, 2, f"kid,hmac_key\nnew-0\n"),
        (400, 2, f"kid,hmac_key\nnew-0,{secret},x\n"),
        (400, 2, f'kid,hmac_key\n"new-0,{secret}\n'),
        (400, 2, f"kid,hmac_key\n,{secret}\n"),
        (400, 3, f"\nkid,hmac_key,identifiers\nnew-0,{secret},Corp\n"),
    ):
        got, value = a.send("eab_import", path, text, "text/csv")
        check(got == status and value["detail"].startswith(f"line {line}: ") and value["detail"].endswith("no key was made") and secret not in value["detail"], f"{text}: {got} {value}")
    for text in ("{}", '{"kid":"new-0"}', "{x", f'{{"kid":"new-0","hmac_key":"{secret}","frob":1}}', '{"kid":1}'):
        got, value = a.send("eab_import", path, text, "application/x-ndjson")
        check(got == 400 and "line 1: " in value["detail"], f"{text}: {value}")
    got, value = a.send("eab_import", path, " \n", "text/csv")
    check(got == 400, "no keys")
    a.call("eab_import", 400)
    a.call("eab_show", 404, kid="new-0")
    # Many at once, and one too many.
    many = "kid,hmac_key\n" + "".join(f"many-{n},{secret}\n" for n in range(2000))
    got, value = a.send("eab_import", path, many, "text/csv")
    check((got, value) == (201, {"imported": 2000}), str(value))
    got, value = a.send("eab_import", path, "kid,hmac_key\n" + "".join(f"x-{n},{secret}\n" for n in range(10001)), "text/csv")
    check(got == 400 and "more than 10000" in value["detail"], str(value))
    page = a.call("eab_list", limit=1000)
    check(len(page["items"]) == 1000 and "next" in page, "a page of a thousand")
    return secret


# ---- accounts and certificates


def binding(client, kid, secret):
    """externalAccountBinding for newAccount, with an imported secret."""
    import hashlib
    import hmac

    protected = b64(json.dumps({"alg": "HS256", "kid": kid, "url": client.directory["newAccount"]}).encode())
    payload = b64(json.dumps(client.key.jwk).encode())
    return {"protected": protected, "payload": payload, "signature": b64(hmac.new(secret, f"{protected}.{payload}".encode(), hashlib.sha256).digest())}


def accounts(dev, a, responder):
    client = Client(dev)
    answer = client.post(client.directory["newAccount"], {"termsOfServiceAgreed": True, "contact": ["mailto:a@b.test"], "externalAccountBinding": binding(client, "csv-1", bytes(range(32)))})
    check(answer.status == 201, answer.body)
    client.kid = answer.headers["Location"]
    ident = client.kid.rsplit("/", 1)[-1]
    chain = client.obtain(["admin.internal.test", "two.internal.test"], responder)
    other = Client(dev)
    other.register()
    other.obtain(["other.internal.test"], responder)
    listed = a.call("account_list", tenant="default", eab_kid="csv-1", status="valid")["items"]
    check([x["id"] for x in listed] == [ident] and listed[0]["contact"] == ["mailto:a@b.test"] and listed[0]["thumbprint"] == client.key.thumbprint(), str(listed))
    page = a.call("account_list", limit=1)
    check(page["items"][0]["id"] == other.kid.rsplit("/", 1)[-1] and a.call("account_list", cursor=page["next"])["items"][0]["id"] == ident, "the pages are wrong")
    check(a.call("account_show", id=ident)["eab_kid"] == "csv-1", "the account is not bound")
    for operation in ("account_show", "account_deactivate"):
        a.call(operation, 404, id="A" * 22)
        a.call(operation, 400, id="nothing")
    for wrong in ({"status": "none"}, {"cursor": "x"}, {"tenant": "none-such"}):
        a.call("account_list", 400, **wrong)
    certificates(a, ident, chain)
    check(a.call("account_deactivate", id=ident)["status"] == "revoked", "the account is not revoked")
    check(a.call("account_deactivate", id=ident)["status"] == "revoked", "again")
    answer = client.post(client.kid)
    deadline = time.monotonic() + 20  # a front end knows accounts for some seconds
    while answer.status == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = client.post(client.kid)
    check(answer.status == 401 and "revoked" in answer.json()["detail"], answer.body)
    check(a.call("account_list", status="revoked")["items"][0]["id"] == ident, "it is not listed as revoked")
    print("accounts and certificates: listed, shown, ended")


def certificates(a, account, chain):
    leaf = chain.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    pem = subprocess.run(["openssl", "x509", "-noout", "-serial", "-startdate"], input=leaf, capture_output=True, text=True, check=True).stdout
    serial = re.search(r"serial=(\w+)", pem).group(1).lower()
    shown = a.call("cert_show", serial=serial)
    check(shown["pem"] == leaf and sorted(shown["names"]) == ["admin.internal.test", "two.internal.test"] and shown["account"] == account, str(shown))
    check(a.call("cert_show", serial=":".join(re.findall("..", serial.upper()))) == shown, "with colons it is another")
    a.call("cert_show", 404, serial="07" + "0" * 38)
    a.call("cert_show", 400, serial="07")
    bare = {k: v for k, v in shown.items() if k != "pem"}
    for given in ({"account": account}, {"name": "two.internal.test"}, {"tenant": "default", "profile": "server", "name": "admin.internal.test", "issued_after": shown["not_before"], "issued_before": shown["not_before"], "limit": 5}):
        check(a.call("cert_list", **given)["items"] == [bare], f"{given}")
        check(a.call("cert_export", **given)["items"] == [shown], f"{given}")
    for given in ({"issued_before": "2026-01-01T00:00:00Z", "account": account}, {"name": "internal.test"}, {"name": "10.0.0.1"}, {"profile": "none"}, {"issued_after": "1h"}):
        check(a.call("cert_list", **given)["items"] == a.call("cert_export", **given)["items"] == [], f"{given}")
    check(a.call("cert_export", limit=1)["next"] == a.call("cert_list", limit=1)["next"], "the pages of list and export differ")
    page = a.call("cert_list", limit=1)
    check(a.call("cert_list", cursor=page["next"])["items"] == [bare], "the second page")
    check(a.call("cert_export", cursor=page["next"])["items"] == [shown], "the second page of the export")
    for operation in ("cert_list", "cert_export"):
        for wrong in ({"account": "x"}, {"name": "a b"}, {"issued_after": "then"}, {"limit": 101}, {"cursor": "x"}, {"tenant": "none-such"}, {"frob": 1}):
            path = OPERATIONS[operation][0] + "?" + urllib.parse.urlencode(wrong)
            check(a.send(operation, path)[0] == 400, f"{operation} {wrong}")


def revocations(dev, a):
    serial = a.call("cert_list", name="two.internal.test")["items"][0]["serial"]
    a.call("cert_revoke", 400, serial=serial, reason="certificateHold")
    a.call("cert_revoke", 400, serial="07")
    a.call("cert_revoke", 404, serial="07" + "0" * 38)
    revoked = a.call("cert_revoke", serial=serial, reason="superseded")
    check(revoked["serial"] == serial and revoked["reason"] == "superseded", str(revoked))
    check("superseded" in a.call("cert_revoke", 409, serial=serial)["detail"], "the first revocation stays as it is")
    check(dev.psql(f"SELECT reason FROM revocations WHERE serial = decode('{serial}', 'hex')") == "4", "it is not kept")
    print("a certificate revoked")


def renewals(a):
    certificate = a.call("cert_list", limit=1)["items"][0]
    at = certificate["not_before"]
    rule = a.call("cert_renew-early", within="1h", tenant="default", profile=certificate["profile"], issuer=1, issued_after=at, issued_before=at, serials=[certificate["serial"]], comment="early", force=True)
    check(rule["certificates"] == 1 and rule["serials"] == 1, str(rule))
    check(a.call("renewal_list")["items"][0]["id"] == rule["id"], "the rule is not listed")
    check("cancelled" in a.call("renewal_cancel", id=rule["id"]), "the rule is not cancelled")
    a.call("cert_renew-early", 404, within="1h", profile="none-such")
    a.call("cert_renew-early", 409, within="1s", profile=certificate["profile"])
    for wrong in ({"within": "1h"}, {"profile": "server"}, {"within": "1h", "serials": ["x"]}, {"within": "1h", "serials": "x"}, {"within": "1h", "tenant": "none-such"}, {"within": "1h", "issuer": 1024}):
        a.call("cert_renew-early", 400, **wrong)
    many = [f"{n:040x}" for n in range(10000)]  # as many as one rule takes
    a.call("cert_renew-early", 404, within="1h", serials=many)
    a.call("cert_renew-early", 400, within="1h", serials=many + many[:1])
    a.call("renewal_cancel", 404, id="A" * 22)
    check(a.send("renewal_cancel", f"/v1/renewal-rules/{rule['id']}/cancel", '{"frob":1}')[0] == 400, "an unknown member")
    check(a.send("renewal_list", OPERATIONS["renewal_list"][0] + "?frob=1")[0] == 400, "an unknown parameter")
    print("renewals: moved, listed, cancelled")


# ---- the door


def door(dev, a):
    """Who may not, what is no request, what is too much."""
    for name in ("operator", "acme", "signer"):
        for operation, (path, _, _) in OPERATIONS.items():
            check(Admin(dev, name).send(operation, re.sub(r"\{\w+\}", "x", path), None)[0] == 403, f"{name} may {operation}")
    try:
        Admin(dev, None).raw("GET", "/v1/accounts")
        raise AssertionError("without a certificate there was an answer")
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        pass
    for method, path, status in (("GET", "/", 404), ("GET", "/v1/eab-keys/", 404), ("GET", "/v1/eab-keys/a/b", 404), ("DELETE", "/v1/eab-keys/one", 405), ("PUT", "/v1/accounts", 405), ("GET", "/v1/eab-keys/%zz", 400),
                                 ("GET", "/v1/eab-keys?limit=%2", 400), ("GET", "/v1/eab-keys?limit=1&limit=2", 400)):
        got, headers, text = a.raw(method, path)
        check(got == status and json.loads(text)["status"] == status, f"{method} {path}: {got} {text}")
        check(got != 405 or set(headers["Allow"].split(", ")) <= {"GET", "POST"}, str(headers))
    for operation, (path, method, described) in OPERATIONS.items():
        if method != "POST":
            continue
        path = re.sub(r"\{\w+\}", "one", path)
        check(a.send(operation, path, "x" * (4 << 20 | 1), "application/json")[0] == 413, f"{operation}: a large body")
        check(a.send(operation, path, "{}", "text/plain")[0] == 415, f"{operation}: text")
        if operation != "eab_import":
            for body in ("[]", "{", '{"comment":"a","comment":"b"}', '"x"'):
                check(a.send(operation, path, body)[0] == 400, f"{operation}: {body}")
    log = dev.log("acme-0.log")
    check("admin.refused role=urn:certmill:role:operator" in log.replace('"', ""), "who may not is not in the log")
    print("the door: roles, forms, bounds")


def away(dev, a):
    """Without its database each operation says so."""
    pids = subprocess.run(["pgrep", "-P", str(dev.process.pid), "-f", "postgres"], capture_output=True, text=True).stdout.split()
    postmaster = int(pids[0])
    children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True).stdout.split()
    everyone = [postmaster] + [int(p) for p in children]
    for p in everyone:
        os.kill(p, signal.SIGSTOP)
    try:
        threads, answers = [], {}
        for operation, (path, method, _) in OPERATIONS.items():
            path = re.sub(r"\{serial\}", "07" + "0" * 38, re.sub(r"\{id\}", "A" * 22, path)).replace("{kid}", "one")
            body, kind = (None, None) if method == "GET" else ('{"comment":"x"}' if operation in ("eab_update", "eab_create") else "{}", "application/json")
            if operation == "cert_renew-early":
                body = '{"within":"1h","profile":"server"}'
            if operation == "eab_import":
                body, kind = f"kid,hmac_key\nlate,{b64(bytes(32))}\n", "text/csv"

            def ask(operation=operation, path=path, body=body, kind=kind):
                answers[operation] = a.send(operation, path, body, kind)[0]

            threads.append(threading.Thread(target=ask))
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
    finally:
        for p in everyone:
            os.kill(p, signal.SIGCONT)
    check(set(answers) == set(OPERATIONS) and set(answers.values()) == {503}, str(answers))
    config = os.path.join(dev.dir, "away.yaml")
    with open(os.path.join(dev.state, "acme-0.yaml"), encoding="utf-8") as f:
        text = f.read().replace(os.path.join(dev.state, "run"), os.path.join(dev.dir, "none"))
    with open(config, "w", encoding="utf-8") as f:
        f.write(re.sub(r"(signer/|cluster-secret)", dev.state + r"/\1", text))
    done = subprocess.run([os.path.join(BIN, "certmill"), "eab", "list", "--config", config], capture_output=True, text=True, timeout=60, env=ENVIRON)
    check(done.returncode == 1 and "database cannot be reached" in done.stderr, done.stderr)
    deadline = time.monotonic() + 30
    while dev.private("/readyz")[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    print("the database away: 503 everywhere")


def renewed(dev):
    """New certificates are taken into use on SIGHUP, and one administrator is known by name."""
    folder, password = os.path.join(dev.state, "signer"), os.path.join(dev.state, "passphrase")
    port = dev.private_port + 10

    def shown():
        context = ssl.create_default_context(cafile=dev.root)
        context.load_cert_chain(os.path.join(folder, "admin-alice.pem"), os.path.join(folder, "admin-alice.key"))
        with socket.create_connection(("localhost", port), timeout=10) as s, context.wrap_socket(s, server_hostname="localhost") as t:
            return t.getpeercert()["serialNumber"]

    command = [os.path.join(BIN, "certmill-signer"), "renew", "--dir", folder, "--passphrase-file", password]
    subprocess.run(command + ["--admin", "alice"], check=True, capture_output=True, env=ENVIRON)
    for wrong in (["--admin", "Alice"], ["--admin", "a", "--front-end", "b"]):
        check(subprocess.run(command + wrong, capture_output=True, env=ENVIRON).returncode == 2, f"{wrong} was taken")
    before = shown()
    subprocess.run(command + ["--force"], check=True, capture_output=True, env=ENVIRON)
    os.kill(dev.pids("certmill-acme")[0], signal.SIGHUP)
    deadline = time.monotonic() + 20
    while shown() == before and time.monotonic() < deadline:
        time.sleep(0.1)
    check(shown() != before, "the listener shows the old certificate")
    check(Admin(dev, "admin-alice").send("account_list", "/v1/accounts")[0] == 200, "alice may not")
    check('who="urn:certmill:role:admin:alice from 127.0.0.1"' in dev.log("acme-0.log"), "alice is not in the log")
    # Who is not named is not served any more.
    config = os.path.join(dev.state, "acme-0.yaml")
    with open(config, encoding="utf-8") as f:
        text = f.read()
    for names, wanted in (("[bob, carol]", (403, 403)), ("[bob, alice]", (200, 403)), ("[]", (200, 200))):
        with open(config, "w", encoding="utf-8") as f:
            f.write(text.replace("admin:\n", f"admin:\n  names: {names}\n"))
        os.kill(dev.pids("certmill-acme")[0], signal.SIGHUP)
        got, deadline = None, time.monotonic() + 20
        while got != wanted and time.monotonic() < deadline:
            time.sleep(0.1)
            got = tuple(Admin(dev, name).send("account_list", "/v1/accounts")[0] for name in ("admin-alice", "admin"))
        check(got == wanted, f"{names}: {got}, wanted {wanted}")
    print("certificates: renewed, one by name, one left out")


def by_others(dev, secret):
    """The same by curl, and by the command over TLS and in its own process."""
    folder = os.path.join(dev.state, "signer")
    port = dev.private_port + 10
    out = subprocess.run(["curl", "-sS", "--fail", "--cacert", dev.root, "--cert", os.path.join(folder, "admin.pem"), "--key", os.path.join(folder, "admin.key"), f"https://localhost:{port}/v1/eab-keys/one"],
                         capture_output=True, text=True, check=True).stdout
    by_curl = json.loads(out)
    doors = {
        "in its own process": ["--config", os.path.join(dev.state, "acme-0.yaml")],
        "over TLS": ["--admin", f"https://localhost:{port}", "--cert", os.path.join(folder, "admin.pem"), "--key", os.path.join(folder, "admin.key"), "--trust", dev.root],
    }

    def certmill(options, *words, code=0, **more):
        done = subprocess.run([os.path.join(BIN, "certmill"), *words, *options], capture_output=True, text=True, timeout=60, env=ENVIRON, **more)
        check(done.returncode == code, f"{words}: {done.returncode}, wanted {code}: {done.stdout}{done.stderr}")
        return done.stdout

    for n, (name, options) in enumerate(doors.items()):
        check(json.loads(certmill(options, "eab", "show", "one", "--json")) == by_curl, f"{name}: another key")
        made = json.loads(certmill(options, "eab", "create", "--kid", f"cli-{n}", "--identifiers", "corp.test,10.0.0.0/8", "--accounts-max", "2", "--json"))
        check(made["identifiers"] == ["corp.test", "10.0.0.0/8"] and made["accounts_max"] == 2, str(made))
        rotated = json.loads(certmill(options, "eab", "rotate", f"cli-{n}", "--overlap", "0s", "--json"))
        check(rotated["hmac_key"] != made["hmac_key"], "the secret is the same")
        lines = os.path.join(dev.dir, f"keys-{n}.csv")
        with open(lines, "w", encoding="utf-8") as f:
            f.write(f"kid,hmac_key,profiles\nfile-{n},{secret},server short\n")
        check(json.loads(certmill(options, "eab", "import", lines, "--json")) == {"imported": 1}, name)
        certmill(options, "eab", "import", lines, code=1)
        certmill(options, "eab", "import", "-", "--json", input=f'{{"kid":"stdin-{n}","hmac_key":"{secret}"}}\n')
        certmill(options, "eab", "import", os.path.join(dev.dir, "none-such"), code=2)
        ids = [x["id"] for line in certmill(options, "account", "list", "--limit", "1", "--all", "--json").splitlines() for x in json.loads(line)["items"]]
        check(len(ids) == 2, str(ids))
        check(ids[0] in certmill(options, "account", "show", ids[0]), "the account is not shown")
        check("other.internal.test" in certmill(options, "cert", "list", "--name", "other.internal.test"), "the certificate is not listed")
        pem = certmill(options, "cert", "export", "--all", "--limit", "1")
        check(pem.count("BEGIN CERTIFICATE") == 2, pem)
        serial = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
        check("BEGIN CERTIFICATE" in certmill(options, "cert", "show", serial), "the certificate is not shown")
        certmill(options, "account", "show", "A" * 22, code=1)
        print(f"the command {name}")
    trust = ["--cert", os.path.join(folder, "admin.pem"), "--key", os.path.join(folder, "admin.key"), "--trust", dev.root]
    for options, code in (([], 2), (["--config", "a", "--admin", "b", *trust], 2), (["--admin", f"https://localhost:{port}"], 2), (["--admin", f"https://localhost:{port}/v1", *trust], 2), (["--admin", f"https://localhost:{port + 9}", *trust], 1),
                          (["--admin", f"https://none.invalid:{port}", *trust], 1), (["--admin", f"https://localhost:{port}", *trust[:-1], os.path.join(folder, "internal-root.pem")], 1), (["--admin", f"https://localhost:{port}", *trust[:-1], "none"], 2),
                          (["--admin", f"https://localhost:{port}", "--cert", os.path.join(folder, "operator.pem"), "--key", os.path.join(folder, "operator.key"), "--trust", dev.root], 1)):
        certmill(options, "eab", "list", code=code)
    check('operation="eab rotate" who="urn:certmill:role:admin from 127.0.0.1"' in dev.log("acme-0.log"), "the audit log lacks the rotation")
    check('operation="cert export" who="urn:certmill:role:admin from 127.0.0.1"' in dev.log("acme-0.log"), "the audit log lacks what was read")
    check(secret not in dev.log("acme-0.log") and made["hmac_key"] not in dev.log("acme-0.log"), "a secret is in the log")


with Dev() as dev:
    responder = Responder(dev.http_port, dev)
    admin = Admin(dev)
    keys(admin)
    imported = imports(admin)
    accounts(dev, admin, responder)
    renewals(admin)
    revocations(dev, admin)
    door(dev, admin)
    by_others(dev, imported)
    renewed(dev)
    admin = Admin(dev)  # with its new certificate
    away(dev, admin)
    missing = sorted(set(everything()) - used)
    check(not missing, f"of docs/openapi.json nothing here has used {missing}")
    print(f"{len(used)} statuses, parameters and members of docs/openapi.json")
