"""authorizations: orders that take over the valid authorizations of their account: renewals of lego and certbot without a second validation, and many orders that hold one while it is given back."""
import concurrent.futures
import datetime
import os
import signal
import subprocess
import time

from cryptography import x509

from certmill import Client, Dev, Responder, b64, check, csr_make


def run(command, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ, **env))
    check(done.returncode == 0, " ".join(command) + "\n" + done.stdout + done.stderr)
    return done.stdout + done.stderr


def tenant_set(dev, front, *lines):
    """More settings of the default tenant, from now on."""
    path, log = os.path.join(dev.state, f"acme-{front}.yaml"), f"acme-{front}.log"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    check("    default: true\n" in text, text)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("    default: true\n", "    default: true\n" + "".join(f"    {line}\n" for line in lines)))
    before = dev.log(log).count("acme.reload")
    os.kill(dev.pids(f"acme-{front}.yaml")[0], signal.SIGHUP)
    deadline = time.monotonic() + 20
    while dev.log(log).count("acme.reload") == before and time.monotonic() < deadline:
        time.sleep(0.05)
    check("acme.reload_refused" not in dev.log(log), "the settings were refused")
    time.sleep(0.2)  # each core takes them with its next turn


def renewals(dev):
    """lego and certbot renew: the orders are ready at once, and nothing is validated."""
    lego = ["lego", "--server", dev.directory, "--accept-tos", "--email", "a@internal.test", "--path", os.path.join(dev.dir, "lego"), "--domains", "lego.internal.test", "--domains", "two.internal.test",
            "--http", "--http.port", f"127.0.0.1:{dev.http_port}"]
    folders = ["--config-dir", os.path.join(dev.dir, "c"), "--work-dir", os.path.join(dev.dir, "w"), "--logs-dir", os.path.join(dev.dir, "l")]
    certbot = ["certbot", "certonly", "--standalone", "--http-01-port", str(dev.http_port), "--server", dev.directory, "-d", "certbot.internal.test", "--agree-tos", "--register-unsafely-without-email", "-n"]
    steps = (("lego", lego + ["run"], lego + ["renew", "--days", "90", "--no-random-sleep"], 2), ("certbot", certbot + folders, ["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew"] + folders, 1))
    for name, first, again, names in steps:
        before = int(dev.psql("SELECT count(*) FROM authorizations"))
        run(first, LEGO_CA_CERTIFICATES=dev.root, REQUESTS_CA_BUNDLE=dev.root)
        check(int(dev.psql("SELECT count(*) FROM authorizations")) == before + names, f"{name}: not {names} authorizations")
        certificates = int(dev.psql("SELECT count(*) FROM certificates"))
        run(again, LEGO_CA_CERTIFICATES=dev.root, REQUESTS_CA_BUNDLE=dev.root)
        check(int(dev.psql("SELECT count(*) FROM certificates")) == certificates + 1, f"{name} did not renew")
        check(int(dev.psql("SELECT count(*) FROM authorizations")) == before + names, f"{name}: its renewal made authorizations")
        print(f"{name} renewed without a validation", flush=True)


def given_back(dev, responder):
    """Orders that hold one authorization are finalized on both front ends while it is given back: each ends with a certificate or invalid, and the history knows of none that came too late."""
    for round_ in range(4):
        client = Client(dev)
        client.register()
        name = f"held{round_}.internal.test"
        first = client.new_order([name])
        client.authorize(first, responder)
        fetched = len(responder.seen)
        clients = []
        for i in range(24):
            c = Client(dev, client.key, i % 2)
            c.register()
            order = c.new_order([name])
            check(order["status"] == "ready" and [u.rsplit("/", 1)[1] for u in order["authorizations"]] == [first["authorizations"][0].rsplit("/", 1)[1]], str(order))
            clients.append((c, order))

        def finalize(pair):
            c, order = pair
            answer = c.finalize(order, csr_make([name]))
            done = c.poll(order["url"], ("processing",))
            check((answer.status == 200 and done["status"] == "valid") or (answer.status == 403 and answer.type() == "unauthorized" and done["status"] == "invalid" and done["error"]["type"].endswith(":unauthorized")), f"{answer.status} {answer.body} {done}")
            return done["status"]

        with concurrent.futures.ThreadPoolExecutor(25) as pool:
            results = [pool.submit(finalize, pair) for pair in clients[:16]]
            time.sleep(0.02 * round_)
            answer = client.post(first["authorizations"][0], {"status": "deactivated"})
            check(answer.status == 200 and answer.json()["status"] == "deactivated", str(answer.body))
            seen = [f.result() for f in results]
        for c, order in clients[16:]:  # nobody has touched these
            check(c.post(order["url"]).json()["status"] == "invalid", "an order is ready with an authorization that was given back")
            check(finalize((c, order)) == "invalid", "an order was finalized with an authorization that was given back")
        check(len(responder.seen) == fetched, "something was validated again")
        check(client.new_order([name])["status"] == "pending", "an authorization that was given back was taken over")
        print(f"given back: {seen.count('valid')} certificates, {seen.count('invalid')} came too late", flush=True)


def killed(dev, responder):
    """A front end dies in the middle of many newOrders and finalizes; what its clients send again to the other one is done."""
    client = Client(dev)
    client.register()
    name = "killed.internal.test"
    client.authorize(client.new_order([name]), responder)

    def renew(i):
        c = Client(dev, client.key, 1)
        c.register()
        for _ in range(3):
            order = c.new_order([name])
            check(order["status"] == "ready", str(order))
            c.finish(order, [name])

    def try_renew(i):
        try:
            c = Client(dev, client.key, 0)
            c.register()
            for _ in range(20):
                order = c.new_order([name])
                c.post(order["finalize"], {"csr": b64(csr_make([name]))})
        except (OSError, AssertionError):
            pass  # it is killed

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        dying = [pool.submit(try_renew, i) for i in range(6)]
        time.sleep(0.5)
        os.kill(dev.pids("acme-0.yaml")[0], signal.SIGKILL)
        for f in [pool.submit(renew, i) for i in range(6)] + dying:
            f.result()
    deadline = time.monotonic() + 60
    while dev.psql("SELECT count(*) FROM intents_open") != "0" and time.monotonic() < deadline:
        time.sleep(0.2)


def before_the_order(dev):
    """newAuthz, then an order for the name: ready at once, where every order proves control anew."""
    responder, client = Responder(dev.http_port, dev), Client(dev)
    client.register()
    answer = client.post(client.directory["newAuthz"], {"identifier": {"type": "dns", "value": "before.internal.test"}})
    check(answer.status == 201 and answer.json()["status"] == "pending" and "Retry-After" not in answer.headers, f"{answer.status} {answer.body}")
    url = answer.headers["Location"]
    client.authorize({"authorizations": [url]}, responder)
    order = client.new_order(["before.internal.test"])
    check(order["status"] == "ready" and order["authorizations"] == [url], str(order))
    client.finish(order, ["before.internal.test"])
    order = client.new_order(["before.internal.test", "after.internal.test"])
    check(order["status"] == "pending" and order["authorizations"][0] == url, str(order))
    client.authorize(order, responder)
    client.finish(order, ["before.internal.test", "after.internal.test"])
    check(client.new_order(["after.internal.test"])["status"] == "pending", "another order's authorization was taken over")
    responder.close()


def clamped(dev):
    """Where a tenant clamps dates, what lies outside the profile becomes the nearest that can be had."""
    tenant_set(dev, 0, "dates: clamp")
    responder, client = Responder(dev.http_port, dev), Client(dev)
    client.register()
    order = client.new_order(["clamped.internal.test"], notBefore="2001-01-01T00:00:00Z", notAfter="2101-01-01T00:00:00Z")
    check((order["notBefore"], order["notAfter"]) == ("2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"), str(order))
    client.authorize(order, responder)
    chain = client.finish(order, ["clamped.internal.test"]).split("-----BEGIN")[1:3]
    cert, issuer = (x509.load_pem_x509_certificate(("-----BEGIN" + pem).encode()) for pem in chain)
    begin, end = (t.replace(tzinfo=datetime.timezone.utc).timestamp() for t in (cert.not_valid_before, cert.not_valid_after))
    check(end - begin == 86399 and cert.not_valid_before == issuer.not_valid_before, f"{cert.not_valid_before} {cert.not_valid_after}: the CA is new, and began at {issuer.not_valid_before}")
    responder.close()


if __name__ == "__main__":
    with Dev(fronts=2, options=["--test-seams"], history=True) as dev:
        for front in (0, 1):
            tenant_set(dev, front, "authorization_reuse: true")
        responder = Responder(dev.http_port, dev)
        given_back(dev, responder)
        dev.check_history()
        killed(dev, responder)
        print("killed: ok", flush=True)
        dev.check_history()
        responder.close()
    with Dev() as dev:
        before_the_order(dev)
        tenant_set(dev, 0, "authorization_reuse: true")
        renewals(dev)
        clamped(dev)
        check("certmill_authorizations_reused_total 5\n" in dev.private("/metrics")[1], "the metric does not count them")
    print("authorizations: ok")
