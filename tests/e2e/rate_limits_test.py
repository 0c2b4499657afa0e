"""rate_limits: the limits of tenants (RFC 8555 section 6.6), exact over two front ends: what is counted, what is not, and what the answer says."""
import datetime
import os
import re
import signal
import threading
import time

from cryptography import x509

from certmill import Client, Dev, Responder, b64, check

TENANTS = {  # name: limits and more
    "orders": "    rate_limits: [{what: new_order, by: account, count: 5, per: 10h}]\n    website: https://corp.test/limits\n",
    "names": "    rate_limits: [{what: new_order, by: name, count: 2, per: 10h, labels: 3}, {what: new_order, by: account, count: 50, per: 1h}]\n",
    "fast": "    rate_limits: [{what: new_order, by: account, count: 1, per: 2s}]\n",
    "accounts": "    rate_limits: [{what: new_account, by: address, count: 3, per: 10h}]\n",
    "failures": "    rate_limits: [{what: failed_validation, by: name, count: 1, per: 10h, labels: 4}, {what: failed_validation, by: account, count: 2, per: 10h}]\n    validation: {http_port: %d, attempts: 1, denied: [], overrides: [{suffix: internal.test, address: 127.0.0.1}]}\n",
    "strict": "    rate_limits: [{what: new_order, by: account, count: 1, per: 10h}]\n    rate_limit_renewals: true\n    validation: {http_port: %d, denied: [], overrides: [{suffix: internal.test, address: 127.0.0.1}]}\n",
    "renewals": "    rate_limits: [{what: new_order, by: account, count: 1, per: 10h}]\n    validation: {http_port: %d, denied: [], overrides: [{suffix: internal.test, address: 127.0.0.1}]}\n",
}


def client_of(dev, tenant, front=0, like=None):
    client = Client(dev, like.key if like else None, front)
    client.directory = client.get(f"https://localhost:{dev.port + front}/acme/{tenant}/directory").json()
    if like:
        client.kid = like.kid.replace(f":{dev.port}/", f":{dev.port + front}/")
    return client


def order(client, *names, **more):
    return client.post(client.directory["newOrder"], dict({"identifiers": [{"type": "dns", "value": n} for n in names]}, **more))


def limited(answer, *told):
    check(answer.status == 429 and answer.type() == "rateLimited", f"{answer.status} {answer.body}")
    check(1 <= int(answer.headers["Retry-After"]) <= 60 and "Replay-Nonce" in answer.headers, str(answer.headers))
    detail = answer.json()["detail"]
    check(all(t in detail for t in told), detail)
    return datetime.datetime.strptime(re.search(r"again at (\S+)$", detail).group(1), "%Y-%m-%dT%H:%M:%SZ")


def orders(dev, _):
    """Thirty at once on two front ends: five are made, each exactly once."""
    first = client_of(dev, "orders")
    first.register()
    clients = [client_of(dev, "orders", i % 2, first) for i in range(30)]
    answers = [None] * 30

    def ask(i):
        answers[i] = order(clients[i], f"at-once-{i}.internal.test")

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    made = [a for a in answers if a.status == 201]
    check(len(made) == 5 and dev.psql("SELECT count(*) FROM orders WHERE tenant = 'orders'") == "5", str([a.status for a in answers]))
    for a in answers:
        if a.status != 201:
            again = limited(a, "new orders for this account", "5 in 36000 s")
            wait = again - datetime.datetime.utcnow()
            check(datetime.timedelta(hours=1, minutes=50) < wait <= datetime.timedelta(hours=2, seconds=10), str(wait))
            check('<https://corp.test/limits>;rel="help"' in a.headers.get_all("Link"), str(a.headers))
    other = client_of(dev, "orders")
    other.register()
    check(order(other, "another.internal.test").status == 201, "another account's orders count")
    status, text = dev.private("/metrics")
    check(status == 200 and re.search(r"^certmill_rate_limited_total [1-9]", text, re.M), "not counted in the metrics")


def names(dev, _):
    client, other = client_of(dev, "names"), client_of(dev, "names", 1)
    client.register()
    other.register()
    check(order(client, "a.team.corp.test", "b.team.corp.test", "team.corp.test").status == 201, "names of one order count once")
    check(order(other, "c.team.corp.test").status == 201, "within the limit")
    limited(order(client, "x.other.corp.test", "deep.down.team.corp.test"), "at or below team.corp.test", "2 in")
    check(order(client, "x.free.corp.test").status == 201, "another name is refused")
    # What was refused has taken nothing from the others.
    check([order(client, "x.other.corp.test").status for _ in range(3)] == [201, 201, 429], "what was refused counts")


def fast(dev, _):
    client = client_of(dev, "fast")
    client.register()
    check(order(client, "a.internal.test").status == 201, "the first")
    answer = order(client, "a.internal.test")
    limited(answer, "1 in 2 s")
    check(int(answer.headers["Retry-After"]) <= 3, str(answer.headers))
    time.sleep(int(answer.headers["Retry-After"]))
    check(order(client, "a.internal.test").status == 201, "Retry-After is too early")


def accounts(dev, _):
    made = [client_of(dev, "accounts", i % 2) for i in range(4)]
    for c in made[:3]:
        check(c.post(c.directory["newAccount"], {}).status == 201, "an account within the limit")
    limited(made[3].post(made[3].directory["newAccount"], {}), "new accounts from 127.0.0.0/24", "3 in")
    check(made[0].post(made[0].directory["newAccount"], {}).status == 200, "an account that is there counts")


def failures(dev, _):
    """Failures count, orders do not; then no new order."""
    client = client_of(dev, "failures")
    client.register()

    def fail(name):
        made = client.new_order([name])
        challenge = client.post(made["authorizations"][0]).json()["challenges"][0]
        client.post(challenge["url"], {})
        check(client.poll(made["authorizations"][0], ("pending", "processing"), 30)["status"] == "invalid", "nobody answers, and it is valid")

    for _ in range(4):
        client.new_order(["one.fails.internal.test"])
    fail("one.fails.internal.test")
    deadline = time.monotonic() + 10
    while (answer := order(client, "one.fails.internal.test")).status == 201 and time.monotonic() < deadline:
        time.sleep(0.05)
    limited(answer, "failed validations at or below one.fails.internal.test")
    check(order(client, "two.fails.internal.test").status == 201, "another name")
    fail("two.fails.internal.test")
    while (answer := order(client, "three.fails.internal.test")).status == 201 and time.monotonic() < deadline:
        time.sleep(0.05)
    limited(answer, "failed validations for this account", "2 in")


def renewals(dev, responder):
    for tenant, exempt in (("renewals", True), ("strict", False)):
        client = client_of(dev, tenant)
        client.register()
        name = f"{tenant}.internal.test"
        cert = x509.load_pem_x509_certificate(client.obtain([name], responder).encode())
        limited(order(client, name), "new orders for this account")
        aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        answer = order(client, name, replaces=f"{b64(aki)}.{b64(cert.serial_number.to_bytes(20, 'big'))}")
        check(answer.status == (201 if exempt else 429), f"{tenant}: {answer.status} {answer.body}")
        if exempt:
            limited(order(client, name), "new orders for this account")


with Dev(fronts=2) as dev:
    for front in range(2):
        path = os.path.join(dev.state, f"acme-{front}.yaml")
        with open(path, "a", encoding="utf-8") as f:
            for tenant, more in TENANTS.items():
                f.write(f"  {tenant}:\n    hosts: ['localhost:{dev.port + front}']\n    profiles: [server]\n" + (more % dev.http_port if "%d" in more else more))
        os.kill(dev.pids(f"acme-{front}.yaml")[0], signal.SIGHUP)
        client, deadline = Client(dev, front=front), time.monotonic() + 20
        while client.get(f"https://localhost:{dev.port + front}/acme/renewals/directory").status != 200:
            check(time.monotonic() < deadline, dev.log(f"acme-{front}.log")[-2000:])
            time.sleep(0.05)
    responder = Responder(dev.http_port)
    for part in (orders, names, fast, accounts, failures, renewals):
        part(dev, responder)
        print(part.__name__ + ": ok", flush=True)
    responder.close()
