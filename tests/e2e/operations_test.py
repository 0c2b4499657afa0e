"""operations: health and metrics, the database away and back, io_uring refused, and the errors that people meet when they start things."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from certmill import BIN, Client, Dev, ENVIRON, Responder, check, free_ports


def private(dev):
    check(dev.private("/livez") == (200, "ok\n"), "livez")
    check(dev.private("/readyz")[0] == 200, "readyz")
    status, text = dev.private("/metrics")
    for stage in ("parse", "verify", "store", "validate", "sign", "total"):
        found = re.search(rf'certmill_stage_seconds_count{{stage="{stage}"}} (\d+)', text)
        check(status == 200 and found and int(found.group(1)) > 0, f"stage {stage} is not measured")  # an issuance has gone through all of them
        sums = float(re.search(rf'certmill_stage_seconds_sum{{stage="{stage}"}} ([\d.]+)', text).group(1))
        check(0 < sums < 60, f"stage {stage} took {sums} s")
    check("certmill_certificates_issued_total 1" in text, "certificates are not counted")


def loop(dev):
    """The load generator issues without a failure, and its count is the store's."""
    before = int(dev.psql("SELECT count(*) FROM certificates"))
    done = subprocess.run([os.path.join(BIN, "certmill-bench"), "loop", "--directory", dev.directory, "--root", dev.root, "--http", f"127.0.0.1:{dev.http_port}", "--clients", "8", "--seconds", "2", "--json"],
                          capture_output=True, text=True, timeout=60, env=ENVIRON)
    check(done.returncode == 0, done.stdout + done.stderr)
    result = json.loads(done.stdout)
    check(result["failed"] == 0 and result["issued"] > 8 and result["issued"] == int(dev.psql("SELECT count(*) FROM certificates")) - before, done.stdout)
    sentence([os.path.join(BIN, "certmill-bench"), "loop", "--directory", dev.directory, "--root", dev.root, "--clients", "0"], "usage", 2)


def database_away(dev):
    client = Client(dev)
    client.register()
    postmaster = dev.psql("SELECT pg_backend_pid()") and int(open(os.path.join(dev.state, "postgres", "postmaster.pid"), encoding="utf-8").readline())
    children = [int(p) for p in subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True).stdout.split()]

    def all_get(what):
        for pid in [postmaster] + children:
            with contextlib.suppress(ProcessLookupError):  # a back end whose client has just left
                os.kill(pid, what)

    all_get(signal.SIGSTOP)
    try:
        answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "a.internal.test"}]})
        check(answer.status == 503 and int(answer.headers["Retry-After"]) <= 60 and answer.json()["status"] == 503, f"{answer.status} {answer.body}")
    finally:
        all_get(signal.SIGCONT)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "a.internal.test"}]})
        if answer.status == 201:
            return
        time.sleep(0.2)
    raise AssertionError(f"no recovery: {answer.status} {answer.body}")


def signer_away(dev):
    """A front end without a signer does not start and says what to do; or, where it need not have one, says so in one sentence and is not ready."""
    config = os.path.join(dev.state, "away.yaml")
    with open(os.path.join(dev.state, "acme-0.yaml"), encoding="utf-8") as f:
        text = f.read()
    ports = iter(range(free_ports(10), 65000))
    signer = next(ports)
    text = re.sub(r'targets: \["[^"]*"\]', f'targets: ["127.0.0.1:{signer}"]', text)
    text = re.sub(r'address: "?127.0.0.1:\d+"?', lambda _: f"address: 127.0.0.1:{next(ports)}", text)
    private_port = signer + 2
    with open(config, "w", encoding="utf-8") as f:
        f.write(text)
    sentence([os.path.join(BIN, "certmill-acme"), "--config", config], f"no signer can be reached at 127.0.0.1:{signer} (Connection refused): start certmill-signer first")
    with open(config, "w", encoding="utf-8") as f:
        f.write(text.replace("signer:\n", "signer:\n  required: false\n"))
    log = os.path.join(dev.dir, "away.log")
    with open(log, "w", encoding="utf-8") as out:
        program = subprocess.Popen([os.path.join(BIN, "certmill-acme"), "--config", config], stderr=out, env=ENVIRON)
    try:
        deadline = time.monotonic() + 15
        while "signer.unreachable" not in open(log, encoding="utf-8").read():
            check(time.monotonic() < deadline and program.poll() is None, "an unreachable signer is not said")
            time.sleep(0.1)
        with open(log, encoding="utf-8") as f:
            said = [line for line in f if "signer.unreachable" in line]
        check(len(said) == 1 and "start a signer, or correct signer.targets" in said[0] and f"127.0.0.1:{signer}" in said[0], str(said))
        connection = http.client.HTTPConnection("127.0.0.1", private_port, timeout=5)
        connection.request("GET", "/readyz")
        check(connection.getresponse().status == 503, "ready without a signer")
    finally:
        program.terminate()
        program.wait(30)


NO_RING = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def f(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
# io_uring_setup (425) gives EPERM, everything else goes on
program = f(0x20, 0, 0, 0) + f(0x15, 0, 1, 425) + f(0x06, 0, 0, 0x00050001) + f(0x06, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(program)
class Fprog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
prog = Fprog(4, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.byref(prog), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def ring_refused():
    dev = Dev()
    command = dev.command
    dev.command = lambda: ["python3", "-c", NO_RING] + command()
    with dev:
        responder = Responder(dev.http_port)
        client = Client(dev)
        client.register()
        client.obtain(["epoll.internal.test"], responder)
        responder.close()
        lines = [line for line in dev.log("acme-0.log").splitlines() if "ring.refused" in line]
        check(len(lines) == 1 and "epoll" in lines[0], f"not said in one sentence: {lines}")
        check("io=epoll" in dev.log("acme-0.log"), "not on epoll")


def sentence(command, want, code=1, **env):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=dict(ENVIRON, **env))
    check(done.returncode == code and want in done.stderr + done.stdout and "Traceback" not in done.stderr, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")


def start_errors(dev):
    certmill = os.path.join(BIN, "certmill")
    sentence(dev.command(), "another `certmill dev` runs on")
    folder = tempfile.mkdtemp(prefix="certmill-err-", dir="/tmp")
    os.chmod(folder, 0o755)
    try:
        sentence([certmill, "nonsense"], "usage", 2)
        sentence([certmill, "migrate", "--database", "host=/nowhere"], "the database cannot be reached")
        with open(os.path.join(dev.state, "signer.yaml"), encoding="utf-8") as f:
            text = re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_ports(1)}", f.read()).replace("dir: signer", f"dir: {dev.state}/signer").replace("journal: signer", f"journal: {folder}")
        wrong, config, right = (os.path.join(folder, name) for name in ("wrong", "signer.yaml", "right.yaml"))
        with open(wrong, "w", encoding="utf-8") as f:
            f.write("not the passphrase\n")
            os.chmod(wrong, 0o600)
        with open(config, "w", encoding="utf-8") as f:
            f.write(text.replace("passphrase_file: passphrase", f"passphrase_file: {wrong}"))
        with open(right, "w", encoding="utf-8") as f:
            f.write(text.replace("passphrase_file: passphrase", f"passphrase_file: {dev.state}/passphrase"))
        signer = os.path.join(BIN, "certmill-signer")
        sentence([signer, "--config", config], "the passphrase does not open issuer-1.key")
        os.chmod(wrong, 0o644)
        sentence([signer, "--config", config], "chmod 600")
        os.chmod(wrong, 0o600)
        sentence([signer, "--config", right], "the CA certificate issuer-1.pem has expired", CERTMILL_TEST_CLOCK_OFFSET_S=str(20000 * 86400))
        with open(config, "a", encoding="utf-8") as f:
            f.write("colour: green\n")
        sentence([signer, "config", "check", config], "colour", 2)
        sentence([os.path.join(BIN, "certmill-acme"), "--config", os.path.join(folder, "missing.yaml")], "missing.yaml", 2)
        sentence([certmill, "config", "check", os.path.join(dev.state, "acme-0.yaml")], "ok", 0)
        sentence([signer, "ceremony", "--dir", os.path.join(dev.state, "signer"), "--passphrase-file", wrong], "has a CA already")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


with Dev() as dev:
    responder = Responder(dev.http_port)
    client = Client(dev)
    client.register()
    client.obtain(["a.internal.test"], responder)
    responder.close()
    for part in (private, start_errors, loop, signer_away, database_away):
        part(dev)
        print(part.__name__ + ": ok", flush=True)
ring_refused()
print("ring_refused: ok", flush=True)
