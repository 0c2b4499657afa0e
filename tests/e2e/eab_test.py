"""eab: keys made by `certmill eab`, used by stock lego and certbot; and what the command says."""
import json
import os
import signal
import subprocess
import time

from certmill import BIN, ENVIRON, Client, Dev, check


def certmill(dev, *words, code=0, config="acme-0.yaml"):
    """What the command prints; its standard error comes second."""
    done = subprocess.run([os.path.join(BIN, "certmill"), *words, "--config", os.path.join(dev.state, config)], capture_output=True, text=True, timeout=60, env=ENVIRON)
    check(done.returncode == code, f"certmill {' '.join(words)}: exit code {done.returncode}, wanted {code}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def key_make(dev, *options):
    return json.loads(certmill(dev, "eab", "create", "--json", *options)[0])


def show(dev, kid):
    return json.loads(certmill(dev, "eab", "show", kid, "--json")[0])


def require(dev):
    """From now on new accounts need a binding."""
    path = os.path.join(dev.state, "acme-0.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("eab: optional", "eab: required"))
    os.kill(dev.pids("certmill-acme")[0], signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not Client(dev).directory["meta"].get("externalAccountRequired"):
        check(time.monotonic() < deadline, "the directory does not say that a binding is required")
        time.sleep(0.05)


def lego(dev, name, *options, code=0):
    command = ["lego", "--server", dev.directory, "--accept-tos", "--email", "a@internal.test", "--path", os.path.join(dev.dir, name), "--domains", f"{name}.internal.test", "--http", "--http.port", f"127.0.0.1:{dev.http_port}"]
    done = subprocess.run(command + list(options) + ["run"], capture_output=True, text=True, timeout=120, env=dict(os.environ, LEGO_CA_CERTIFICATES=dev.root))
    check((done.returncode == 0) == (code == 0), f"lego {name}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def certbot(dev, name, *options, code=0):
    folders = [x for o, d in (("--config-dir", "c"), ("--work-dir", "w"), ("--logs-dir", "l")) for x in (o, os.path.join(dev.dir, name, d))]
    command = ["certbot", "certonly", "--standalone", "--http-01-port", str(dev.http_port), "--server", dev.directory, "-d", f"{name}.internal.test", "--agree-tos", "--register-unsafely-without-email", "-n"]
    done = subprocess.run(command + list(options) + folders, capture_output=True, text=True, timeout=120, env=dict(os.environ, REQUESTS_CA_BUNDLE=dev.root))
    check((done.returncode == 0) == (code == 0), f"certbot {name}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def clients(dev):
    require(dev)
    key = key_make(dev, "--comment", "for lego", "--identifiers", "internal.test", "--accounts-max", "2")
    told = lego(dev, "unbound", code=1)
    check("requires External Account Binding" in told, told)
    lego(dev, "bound", "--eab", "--kid", key["kid"], "--hmac", key["hmac_key"])
    certbot(dev, "certbot", "--eab-kid", key["kid"], "--eab-hmac-key", key["hmac_key"])
    check(show(dev, key["kid"])["accounts_used"] == 2, "two accounts are not counted")
    told = certbot(dev, "third", "--eab-kid", key["kid"], "--eab-hmac-key", key["hmac_key"], code=1)
    check("made all the accounts" in told, told)
    certmill(dev, "eab", "update", key["kid"], "--accounts-max", "0")
    certmill(dev, "eab", "disable", key["kid"])
    told = lego(dev, "bound", "--domains", "two.internal.test", "--eab", "--kid", key["kid"], "--hmac", key["hmac_key"], code=1)
    check("disabled" in told, told)
    certmill(dev, "eab", "enable", key["kid"])
    lego(dev, "bound", "--domains", "two.internal.test", "--eab", "--kid", key["kid"], "--hmac", key["hmac_key"])
    check(dev.psql(f"SELECT count(*) FROM accounts WHERE eab_kid = '{key['kid']}'") == "2", "an account is not bound")
    print("lego and certbot bind their accounts")


def race(dev):
    """T10: many newAccount at once, on two front ends, with a key for three: three accounts."""
    import hashlib
    import hmac
    from concurrent.futures import ThreadPoolExecutor

    from certmill import b64, unb64

    key = key_make(dev, "--accounts-max", "3")

    def register(n):
        client = Client(dev, front=n % 2)
        url = client.directory["newAccount"]
        protected, payload = b64(json.dumps({"alg": "HS256", "kid": key["kid"], "url": url}).encode()), b64(json.dumps(client.key.jwk).encode())
        mac = b64(hmac.new(unb64(key["hmac_key"]), f"{protected}.{payload}".encode(), hashlib.sha256).digest())
        answer = client.post(url, {"termsOfServiceAgreed": True, "externalAccountBinding": {"protected": protected, "payload": payload, "signature": mac}})
        check(answer.status == 201 or (answer.status == 403 and "made all the accounts" in answer.json()["detail"]), answer.body)
        return answer.status

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(register, range(32))).count(201)
    check(made == 3 and show(dev, key["kid"])["accounts_used"] == 3, f"{made} accounts were made")
    print("of many accounts at once as many as the key may make")


def command(dev):
    text, told = certmill(dev, "eab", "create", "--kid", "team-a", "--comment", "team A", "--expires", "2030-01-02T03:04:05Z", "--algorithms", "HS256")
    check("--eab-kid team-a" in text and "lego" in text and dev.directory.replace("/directory", "/acme/default/directory") in text, text)
    secret = text.split("hmac_key")[1].split()[0]
    check(len(secret) == 43, "the secret of HS256 is not 32 octets")  # RFC 7518 section 3.2
    check('operation="eab create"' in told and "kid=team-a" in told and secret not in told, told)
    check(secret not in dev.psql("SELECT * FROM eab_keys") and secret not in dev.log("acme-0.log"), "the secret is not sealed")
    key = show(dev, "team-a")
    check(key["expires"] == "2030-01-02T03:04:05Z" and key["usable"] and "hmac_key" not in key, str(key))
    certmill(dev, "eab", "create", "--kid", "team-a", code=1)
    certmill(dev, "eab", "update", "team-a", "--expires", "0s")
    check(not show(dev, "team-a")["usable"], "an expired key is usable")
    for n in range(5):
        key_make(dev, "--kid", f"page-{n}")
    pages = [json.loads(line) for line in certmill(dev, "eab", "list", "--limit", "2", "--all", "--json")[0].splitlines()]
    kids = [k["kid"] for page in pages for k in page["items"]]
    check(kids == sorted(kids) and {f"page-{n}" for n in range(5)} < set(kids) and len(pages) > 2, str(kids))
    text, told = certmill(dev, "eab", "list", "--limit", "2")
    check(len(text.splitlines()) == 3 and "--cursor default/" in told, text + told)
    for words, wanted in (
        (["eab", "show", "nobody"], 1),
        (["eab", "create", "--identifiers", "Corp.test"], 1),
        (["eab", "create", "--profiles", "none-such"], 1),
        (["eab", "create", "--tenant", "none-such"], 1),
        (["eab", "create", "--kid", "a b"], 1),
        (["eab", "update", "team-a"], 1),
        (["eab", "list", "--cursor", "x"], 1),
        (["eab", "create", "--algorithms", "HS1"], 2),
        (["eab", "create", "--expires", "soon"], 2),
        (["eab", "create", "--accounts-max", "many"], 2),
        (["eab", "list", "--limit", "1001"], 2),
        (["eab", "list", "--frob"], 2),
        (["eab", "list", "superfluous"], 2),
        (["eab", "show"], 2),
        (["eab", "frob"], 2),
    ):
        text, told = certmill(dev, *words, code=wanted)
        check(text == "" and "certmill" in told, f"{words}: {told}")
    certmill(dev, "eab", "list", code=2, config="none.yaml")
    print("the command says what is wrong")


with Dev(fronts=2) as dev:
    command(dev)
    race(dev)
    clients(dev)
