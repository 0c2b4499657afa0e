"""exactly once: parallel finalizes of one order on two front ends, many orders on one account, nonces across front ends, and crashes at every step of an issuance."""
import concurrent.futures
import os
import signal
import subprocess
import threading
import time

from certmill import BIN, Client, Dev, Key, Responder, b64, check, csr_make
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

POINTS_FRONT = ("e1-after", "e2-before", "e2-after", "e3-before", "e3-after", "e4-before", "e4-after", "e5-before")
POINTS_SIGNER = ("s1-after", "s2-after", "s3-before", "s3-after")


def clone(client, front):
    other = Client(client.dev, client.key, front)
    other.kid = client.kid.replace(f":{client.port}/", f":{other.port}/")
    return other


def parallel_finalizes(dev, responder):
    client = Client(dev)
    client.register()
    for round_ in range(3):
        order = client.new_order([f"r{round_}.internal.test"])
        client.authorize(order, responder)
        csr = csr_make([f"r{round_}.internal.test"])
        clients = [clone(client, i % 2) for i in range(64)]

        def one(c):
            url = order["finalize"].replace(f":{client.port}/", f":{c.port}/")
            answer = c.post(url, {"csr": b64(csr)})
            check(answer.status == 200 or (answer.status == 403 and answer.type() == "orderNotReady"), f"{answer.status} {answer.body}")
            done = c.poll(order["url"].replace(f":{client.port}/", f":{c.port}/"), ("processing",))
            check(done["status"] == "valid", str(done))
            return answer.status, c.post(done["certificate"]).body

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            results = list(pool.map(one, clients))
        check(len({body for _, body in results}) == 1, "clients saw different certificates")
        check(sum(status == 200 for status, _ in results) >= 1, "nobody's finalize was taken")


def many_orders(dev, responder):
    """1,000 orders of one account, over two front ends: all are open at once, then all ready, then finalized together; each gets its own certificate."""
    client = Client(dev)
    client.register()
    together = threading.Barrier(25, timeout=200)

    def forty(i):
        try:
            c = clone(client, i % 2)
            orders = [(name, c.new_order([name])) for name in (f"o{i}-{k}.internal.test" for k in range(40))]
            together.wait()
            for _, order in orders:
                c.authorize(order, responder)
            together.wait()
            return [c.finish(order, [name]) for name, order in orders]
        except BaseException:
            together.abort()
            raise

    with concurrent.futures.ThreadPoolExecutor(25) as pool:
        chains = [chain for part in pool.map(forty, range(25)) for chain in part]
    check(len(set(chains)) == 1000, "1,000 parallel orders did not all succeed")


class Patient(Client):
    """Asks again what was answered 503, after the time that the answer names (a fiftieth of it)."""

    refused = 0

    def post(self, url, payload=None, **more):
        deadline = time.monotonic() + 60
        while True:
            answer = super().post(url, payload, **more)
            if answer.status != 503 or time.monotonic() > deadline:
                return answer
            check(1 <= int(answer.headers["Retry-After"]) <= 60 and answer.type() == "serverInternal", f"{answer.headers} {answer.body}")
            Patient.refused += 1
            time.sleep(int(answer.headers["Retry-After"]) / 50)

    def finalize(self, order, csr):
        answer = super().finalize(order, csr)
        # The first of two may have been taken, though its answer was 503: then the order says how it went.
        return self.post(order["url"]) if answer.status == 403 and answer.type() == "orderNotReady" else answer


def database_crashes(dev, responder):
    """A backend of PostgreSQL is killed again and again, which ends all connections and makes it recover: requests are answered, or refused with Retry-After, and nothing is lost."""
    account, stop = Key(), threading.Event()
    Client(dev, account).register()

    def issue(i):
        c, count = Patient(dev, account, i % 2), 0
        c.register()
        while not stop.is_set():
            c.obtain([f"crash{i}-{count}.internal.test"], responder)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        loops = [pool.submit(issue, i) for i in range(12)]
        try:
            crashes = 0
            while crashes < 6 and not any(f.done() for f in loops):
                time.sleep(1)
                try:
                    pid = dev.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'certmill' ORDER BY random() LIMIT 1")
                except subprocess.CalledProcessError:
                    continue  # still recovering
                if pid:
                    os.kill(int(pid), signal.SIGKILL)
                    crashes += 1
            time.sleep(2)
        finally:
            stop.set()
        issued = sum(f.result() for f in loops)
    check(crashes == 6 and issued > 12, f"{crashes} crashes, {issued} certificates")
    deadline = time.monotonic() + 60
    while dev.psql("SELECT count(*) FROM intents_open") != "0" and time.monotonic() < deadline:
        time.sleep(0.2)
    print(f"database_crashes: {crashes} crashes, {issued} certificates, {Patient.refused} answers of 503", flush=True)
    dev.check_history()


def nonces(dev):
    a = Client(dev)
    a.register()
    b = clone(a, 1)
    a.request("HEAD", a.directory["newNonce"])
    b.nonce, a.nonce = a.nonce, None
    nonce = b.nonce
    answer = b.post(b.kid)
    check(answer.status == 200, f"a nonce of front end 0 on front end 1: {answer.body}")
    for client in (a, b):
        again = client.post(client.kid, header={"nonce": nonce})
        check(again.status == 400 and again.type() == "badNonce" and "Replay-Nonce" in again.headers, f"replay: {again.body}")
        check(client.post(client.kid).status == 200, "one retry does not suffice")


def owner_killed(dev):
    a = Client(dev)
    a.register()
    b = clone(a, 1)
    a.request("HEAD", a.directory["newNonce"])
    b.nonce = a.nonce
    os.kill(dev.pids("acme-0.yaml")[0], signal.SIGKILL)
    answer = b.post(b.kid)
    check(answer.status == 400 and answer.type() == "badNonce", f"nonce of a dead front end: {answer.status} {answer.body}")
    check(b.post(b.kid).status == 200, "one retry does not suffice")


def restart(dev, program, config, log, **env):
    out = open(os.path.join(dev.state, "log", log), "a", encoding="utf-8")
    p = subprocess.Popen([os.path.join(BIN, program), "--config", os.path.join(dev.state, config), "--test-seams"], stdout=out, stderr=out, env=dict(dev.env, **env), cwd="/")
    return p


def wait_ready(dev, front):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if dev.private("/readyz", front)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("not ready after a restart")


def crash_points(dev, responder):
    """Front end 0, or the signer, kills itself at each point; front end 1 finishes the order with the same key."""
    account = Key()
    steady = Client(dev, account, 1)
    steady.register()
    extra = []
    try:
        for pid in dev.pids("acme-0.yaml"):
            os.kill(pid, signal.SIGKILL)
        for point in POINTS_FRONT + POINTS_SIGNER:
            front = point.startswith("e")
            if front:
                broken = restart(dev, "certmill-acme", "acme-0.yaml", "acme-0.log", CERTMILL_TEST_CRASH=point)
                extra.append(broken)
                wait_ready(dev, 0)
                client = clone(steady, 0)
            else:
                for pid in dev.pids("signer.yaml") + [p.pid for p in extra if p.poll() is None and "signer.yaml" in " ".join(p.args)]:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.3)
                broken = restart(dev, "certmill-signer", "signer.yaml", "signer.log", CERTMILL_TEST_CRASH=point)
                extra.append(broken)
                time.sleep(0.5)
                wait_ready(dev, 1)
                client = steady
            name = f"{point}.internal.test"
            order = client.new_order([name])
            client.authorize(order, responder)
            key = ec.generate_private_key(ec.SECP256R1())
            try:
                client.finalize(order, csr_make([name], key))
            except OSError:
                pass
            broken.wait(20)
            check(broken.returncode == -signal.SIGKILL, f"{point}: not reached ({broken.returncode})")
            if not front:
                extra.append(restart(dev, "certmill-signer", "signer.yaml", "signer.log"))
            url = order["url"].replace(f":{client.port}/", f":{steady.port}/")
            deadline = time.monotonic() + 60
            while True:
                state = steady.post(url).json()
                if state["status"] == "ready":  # the crash came before the intent: the client finalizes again
                    steady.post(state["finalize"], {"csr": b64(csr_make([name], key))})
                elif state["status"] in ("valid", "invalid") or time.monotonic() > deadline:
                    break
                time.sleep(0.2)
            check(state["status"] == "valid", f"{point}: {state}")
            leaf = x509.load_pem_x509_certificate(steady.post(state["certificate"]).body)
            check(leaf.public_key().public_numbers() == key.public_key().public_numbers(), f"{point}: finished with another key")
            print(f"crash at {point}: finished")
        time.sleep(1)
        dev.check_history()
    finally:
        for p in extra:
            if p.poll() is None:
                p.kill()



def signer_forgets(dev, responder):
    """A signer dies after its journal has the certificate and before it answers; another, which has never seen the order, signs the intent once more: the same octets."""
    client = Client(dev, Key(), 1)
    client.register()
    journal = os.path.join(dev.state, "signer", "journal")
    extra = []
    try:
        for pid in dev.pids("signer.yaml"):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)
        extra.append(restart(dev, "certmill-signer", "signer.yaml", "signer.log", CERTMILL_TEST_CRASH="s3-after"))
        time.sleep(0.5)
        wait_ready(dev, 1)
        order = client.new_order(["forgotten.internal.test"])
        client.authorize(order, responder)
        client.finalize(order, csr_make(["forgotten.internal.test"]))
        extra[0].wait(20)
        check(extra[0].returncode == -signal.SIGKILL, "the signer did not reach its end")
        first = [r for r in dev.journal() if r["kind"] == "signed"][-1]
        was = os.stat(journal)
        os.rename(journal, journal + ".lost")
        os.mkdir(journal, was.st_mode & 0o777)
        os.chown(journal, was.st_uid, was.st_gid)
        extra.append(restart(dev, "certmill-signer", "signer.yaml", "signer.log"))
        done = client.poll(order["url"], ("processing",), 60)
        check(done["status"] == "valid", str(done))
        leaf = x509.load_pem_x509_certificate(client.post(done["certificate"]).body).public_bytes(serialization.Encoding.DER).hex()
        again = [r for r in dev.journal() if r["kind"] == "signed"]
        check(len(again) == 1 and again[0]["order"] == first["order"], f"the new journal: {again}")
        check(again[0]["certificate"] == first["certificate"] == leaf, "the second signature of an intent differs from the first")
    finally:
        for p in extra:
            if p.poll() is None:
                p.kill()


def late_orders(dev, client, responder, programs, number):
    """Three orders whose signer comes back after their time; returns what became of them. A call that was waiting for the signer just then is still answered: valid is right, too."""
    names = [f"late{number}-{i}.internal.test" for i in range(3)]
    orders = [client.new_order([name]) for name in names]
    for order in orders:
        client.authorize(order, responder)
    os.kill(dev.pids("signer.yaml")[0], signal.SIGKILL)
    for name, order in zip(names, orders):
        answer = client.finalize(order, csr_make([name]))
        check(answer.status == 200 and answer.json()["status"] == "processing", f"{answer.status} {answer.body}")
    time.sleep(3)
    programs.append(restart(dev, "certmill-signer", "signer.yaml", "signer.log"))
    states = [client.poll(order["url"], ("processing",)) for order in orders]
    for state in states:
        check(state["status"] == "valid" or (state["status"] == "invalid" and state["error"]["type"].endswith(":serverInternal")), str(state))
    return [state["status"] for state in states]


def given_up(dev, responder):
    """What could not be signed in time is INVALID, and then its serial is burned: in the journal, in the store, and by nobody's certificate."""
    client = Client(dev)
    client.register()
    with open(os.path.join(dev.state, "acme-0.yaml"), encoding="utf-8") as f:
        text = f.read()
    check("\nsigner:\n" in text, "no signer in the configuration")
    with open(os.path.join(dev.state, "hasty.yaml"), "w", encoding="utf-8") as f:
        f.write(text.replace("\nsigner:\n", "\nsigner:\n  sign: 100ms\n") + "finalize_wait: 300ms\njobs: {reaper: 200ms, intent_age: 500ms, give_up: 2s}\n")
    os.kill(dev.pids("acme-0.yaml")[0], signal.SIGKILL)
    programs = [restart(dev, "certmill-acme", "hasty.yaml", "acme-0.log")]
    try:
        wait_ready(dev, 0)
        client = clone(client, 0)
        ended = []
        while "invalid" not in ended:
            check(len(ended) < 18, "every late order was signed")
            ended += late_orders(dev, client, responder, programs, len(ended))
        deadline = time.monotonic() + 30
        while dev.psql("SELECT count(*) FROM intents_open") != "0" and time.monotonic() < deadline:
            time.sleep(0.2)
        burned = sum(j["kind"] == "burned" for j in dev.journal())
        check(burned == ended.count("invalid"), f"{burned} serials are burned: {ended}")
        dev.check_history()
    finally:
        for p in programs:
            p.kill()
            p.wait()


with Dev(fronts=2, history=True) as dev:
    responder = Responder(dev.http_port, dev)
    for part, arguments in ((parallel_finalizes, (dev, responder)), (many_orders, (dev, responder)), (nonces, (dev,))):
        part(*arguments)
        print(part.__name__ + ": ok", flush=True)
    dev.check_history()
    responder.close()
with Dev(fronts=2, history=True) as dev:
    responder = Responder(dev.http_port, dev)
    database_crashes(dev, responder)
    responder.close()
with Dev(options=["--test-seams"], history=True) as dev:
    responder = Responder(dev.http_port, dev)
    given_up(dev, responder)
    print("given_up: ok", flush=True)
    responder.close()
with Dev(fronts=2, options=["--test-seams"], history=True) as dev:
    responder = Responder(dev.http_port, dev)
    owner_killed(dev)
    print("owner_killed: ok", flush=True)
    crash_points(dev, responder)
    print("crash_points: ok", flush=True)
    signer_forgets(dev, responder)
    print("signer_forgets: ok", flush=True)
    responder.close()
