"""signer: what was taken from its process; SIGHUP gives it and the front ends new profiles while orders are on their way; a journal that cannot grow, or was damaged, ends it and releases nothing."""
import os
import re
import signal
import subprocess
import threading
import time

from cryptography import x509

from certmill import BIN, Client, Dev, Responder, check, csr_make

PROGRAM = os.path.join(BIN, "certmill-signer")


def sanitized():
    with open(PROGRAM, "rb") as f:
        return b"__asan_init" in f.read()


def start(dev):
    out = open(os.path.join(dev.state, "log", "signer.log"), "a", encoding="utf-8")
    return subprocess.Popen([PROGRAM, "--config", os.path.join(dev.state, "signer.yaml")], stdout=out, stderr=out, env=dev.env, cwd="/")


def wait(what, probe, seconds=30):
    deadline = time.monotonic() + seconds
    while not probe():
        check(time.monotonic() < deadline, f"{what} did not happen")
        time.sleep(0.05)


def edit(dev, name, old, new):
    """Puts a new file in the place of the old one, as editors do."""
    path = os.path.join(dev.state, name)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    check(old in text, f"{name} has no {old!r}")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text.replace(old, new, 1))
    os.rename(path + ".new", path)


def logged(dev, event, log="signer.log"):
    return [line for line in dev.log(log).splitlines() if f" {event} " in line]


def reload_signer(dev, pid, event="signer.reloaded"):
    before = len(logged(dev, event))
    os.kill(pid, signal.SIGHUP)
    wait(event, lambda: len(logged(dev, event)) > before)
    return logged(dev, event)[-1]


def sandboxed(dev, pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
    check(status["NoNewPrivs"] == "1", "privileges may come back")
    uids, caps = set(status["Uid"].split()), {status[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")}
    check("0" not in uids and len(uids) == 1 and (os.geteuid() == 0 or uids == {str(os.geteuid())}), f"its user is {uids}")
    check(caps == {"0" * 16}, f"capabilities {caps}")
    check(os.stat(os.path.join(dev.state, "signer", "journal")).st_uid == int(uids.pop()), "the journal is another user's")
    check(status["Seccomp"] == ("0" if sanitized() else "2"), f"seccomp {status['Seccomp']}")
    line = logged(dev, "signer.sandbox")[-1]
    check(f"seccomp={0 if sanitized() else 1}" in line, line)
    descriptors = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")] if os.geteuid() == 0 else []
    check(not any("io_uring" in d or d.endswith((".key", "passphrase")) for d in descriptors), str(descriptors))
    if os.geteuid() != 0:
        try:
            os.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            return
        raise AssertionError("the process is dumpable")


def lifetime(pem):
    leaf = x509.load_pem_x509_certificate(pem.encode())
    return int((leaf.not_valid_after - leaf.not_valid_before).total_seconds()) + 1


def new_profile(dev, pid, client, responder):
    """A profile that the signer learns by SIGHUP can be ordered."""
    edit(dev, "acme-0.yaml", "profiles: [server, client-server, short, revocable]", "profiles: [server, client-server, short, revocable, tiny]")
    os.kill(dev.pids("acme-0.yaml")[0], signal.SIGHUP)
    wait("acme.reloaded", lambda: logged(dev, "acme.reloaded", "acme-0.log"))
    check(sorted(client.get(dev.directory).json()["meta"]["profiles"]) == ["client-server", "revocable", "server", "short"], "a profile that no signer has is advertised")
    edit(dev, "signer.yaml", "  short:\n", "  tiny:\n    keys: [P-256]\n    validity: 30m\n    text: half an hour\n  short:\n")
    line = reload_signer(dev, pid)
    check("profiles=5" in line and "generations=2" in line, line)
    wait("the profile in the directory", lambda: "tiny" in client.get(dev.directory).json()["meta"]["profiles"])
    check(client.get(dev.directory).json()["meta"]["profiles"]["tiny"] == "half an hour", "another text")
    order = client.new_order(["t.internal.test"], profile="tiny")
    client.authorize(order, responder)
    answer = client.finalize(order, csr_make(["t.internal.test"]))
    order = client.poll(order["url"], ("processing",))
    check(order["status"] == "valid" and lifetime(client.post(order["certificate"]).body.decode()) == 1800, f"{answer.body} {order}")


def changed_profile(dev, pid, client, responder):
    """Orders that are finalized while the default profile changes all become valid, with the old validity or the new."""
    lifetimes, failures, stop = [], [], threading.Event()

    def issue():
        try:
            mine = Client(dev)
            mine.register()
            while not stop.is_set():
                lifetimes.append(lifetime(mine.obtain([f"c{len(lifetimes)}.internal.test"], responder)))
        except Exception as e:  # noqa: B902
            failures.append(repr(e))

    threads = [threading.Thread(target=issue) for _ in range(3)]
    for t in threads:
        t.start()
    wait("an issuance", lambda: lifetimes or failures)
    edit(dev, "signer.yaml", "  server:\n", "  server:\n    validity: 12h\n")
    reload_signer(dev, pid)
    wait("the new validity", lambda: 43200 in lifetimes or failures)
    stop.set()
    for t in threads:
        t.join(30)
    check(not failures and set(lifetimes) == {86400, 43200}, f"{failures} {set(lifetimes)}")


def level_and_rest(dev, pid):
    """What cannot be reloaded is named, once, and is left; a broken file changes nothing and is named with line and key."""
    edit(dev, "signer.yaml", "journal: signer/journal", "journal: signer/elsewhere\nregion: 3\nlog_level: warn")
    before = len(logged(dev, "signer.reloaded"))
    line = reload_signer(dev, pid, "signer.restart_needed")
    check("journal" in line and "region" in line and "log_level" not in line, line)
    time.sleep(0.2)
    check(len(logged(dev, "signer.reloaded")) == before, "an INFO line after log_level: warn")
    edit(dev, "signer.yaml", "journal: signer/elsewhere\nregion: 3\nlog_level: warn", "journal: signer/journal\nlog_level: info")
    reload_signer(dev, pid)
    for old, new, words in (("validity: 30m", "validity: 30", ("signer.yaml:", "profiles.tiny.validity")), ("validity: 12h", "validitee: 12h", ("signer.yaml:", "validitee")),
                            ("keys: [P-256]", "keys: [P-257]", ("signer.yaml:", "profiles.tiny.keys[0]", "P-257", "is no key kind")), ("dir: signer\n", "dir: [\n", ("signer.yaml:",))):
        edit(dev, "signer.yaml", old, new)
        line = reload_signer(dev, pid, "signer.reload_refused")
        check(all(w in line for w in words), f"{words}: {line}")
        edit(dev, "signer.yaml", new, old)
    path = os.path.join(dev.state, "signer.yaml")
    os.rename(path, path + ".away")
    check("signer.yaml" in reload_signer(dev, pid, "signer.reload_refused"), "a missing file")
    os.rename(path + ".away", path)


def limit_files(pid, size):
    """Bounds the size of files that a process may write, as its own user: root may not be allowed to."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        uid, gid = (int(next(line for line in f if line.startswith(key)).split()[1]) for key in ("Uid:", "Gid:"))
    mine = {} if os.geteuid() else {"user": uid, "group": gid, "extra_groups": []}
    subprocess.run(["prlimit", f"--pid={pid}", f"--fsize={size}:{size}"], check=True, cwd="/", **mine)


def journal_fails(dev, responder):
    """A file that may not grow is a disk that is full: the signer ends with 1, nobody gets a certificate; after a restart the order is finished."""
    running = start(dev)
    client = Client(dev)
    client.register()
    client.obtain(["before.internal.test"], responder)
    order = client.new_order(["full.internal.test"])
    client.authorize(order, responder)
    records, certificates = len(dev.journal()), dev.psql("SELECT count(*) FROM certificates")
    limit_files(running.pid, 4096)
    client.finalize(order, csr_make(["full.internal.test"]))
    check(running.wait(20) == 1, f"the signer ended with {running.returncode}")
    check("nothing is signed any more" in logged(dev, "signer.journal_failed")[-1], "not said")
    state = client.post(order["url"]).json()
    check(state["status"] == "processing" and "certificate" not in state, str(state))
    check(len(dev.journal()) == records and dev.psql("SELECT count(*) FROM certificates") == certificates, "something was released")
    edit(dev, "signer.yaml", "journal: signer/journal", "p256: scalar\njournal: signer/journal")
    running = start(dev)
    check(client.poll(order["url"], ("processing",), 60)["status"] == "valid", "not finished after a restart")
    check("p256=scalar" in logged(dev, "signer.started")[-1], "the vector kernel was not switched off")
    check(len(dev.journal()) == records + 1, "not one record more")
    os.kill(running.pid, signal.SIGTERM)
    check(running.wait(30) == 0, f"ended with {running.returncode}")


def journal_damaged(dev):
    path = os.path.join(dev.state, "signer", "journal", "00000001.seg")
    with open(path, "r+b") as f:
        f.seek(700)
        byte = f.read(1)
        f.seek(700)
        f.write(bytes([byte[0] ^ 4]))
        f.flush()
        done = subprocess.run([PROGRAM, "--config", os.path.join(dev.state, "signer.yaml")], capture_output=True, text=True, timeout=30, env=dev.env)
        check(done.returncode == 1 and re.search(r"the journal is damaged: segment 00000001 from octet \d+ on, .*restore it from a copy", done.stderr), f"{done.returncode} {done.stderr}")
        f.seek(700)
        f.write(byte)


with Dev(options=["--test-seams"]) as dev:
    responder = Responder(dev.http_port)
    client = Client(dev)
    client.register()
    client.obtain(["first.internal.test"], responder)
    pid = dev.pids("signer.yaml")[0]
    sandboxed(dev, pid)
    print("sandboxed: ok", flush=True)
    new_profile(dev, pid, client, responder)
    print("new_profile: ok", flush=True)
    changed_profile(dev, pid, client, responder)
    print("changed_profile: ok", flush=True)
    level_and_rest(dev, pid)
    print("level_and_rest: ok", flush=True)
    os.kill(pid, signal.SIGTERM)
    wait("the signer's end", lambda: not dev.pids("signer.yaml"))
    journal_fails(dev, responder)
    print("journal_fails: ok", flush=True)
    journal_damaged(dev)
    print("journal_damaged: ok", flush=True)
    responder.close()
