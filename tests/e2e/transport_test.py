"""transport: real connections under stress: a drain that fails no request, attackers beside honest clients, and more connections than descriptors."""
import http.client
import os
import random
import signal
import socket
import ssl
import struct
import threading
import time

import http2
from certmill import Client, Dev, check

NONCE = "/acme/default/new-nonce"


# ---- drain


def http1_load(dev, counts, failures):
    """Keep-alive as the standard library does it, and nothing is ever tried twice."""
    context, done = ssl.create_default_context(cafile=dev.root), 0
    try:
        while True:
            connection = http.client.HTTPSConnection("localhost", dev.port, context=context, timeout=30)
            try:
                connection.connect()
            except ConnectionError:
                return  # the listener is gone: a load balancer has left long before
            for _ in range(25):
                connection.request("HEAD", NONCE)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    failures.append(f"HTTP/1.1 {answer.status}")
                done += 1
                if answer.headers.get("Connection") == "close":
                    break
            connection.close()
    except Exception as e:  # noqa: B902
        failures.append(f"HTTP/1.1 {e!r}")
    finally:
        counts.append(done)


def http2_load(dev, counts, failures):
    """Four streams at a time; every stream that the server's GOAWAY does not disown has to be answered."""
    done = 0
    try:
        while True:
            try:
                c = http2.Connection(dev.port, dev.root)
            except ConnectionError:
                return
            try:
                while c.last is None and c.next < 400 or c.open:
                    while c.last is None and c.next < 400 and len(c.open) < 4:
                        c.request("HEAD", NONCE)
                    c.step()
            except (ConnectionError, ssl.SSLError) as e:
                if [s for s in c.open if c.last is None or s <= c.last]:
                    failures.append(f"HTTP/2 {e!r}, open {sorted(c.open)}, last {c.last}")
            failures += [f"HTTP/2 {s}" for s in c.statuses if s != 200]
            done += len(c.statuses)
            c.socket.close()
    except Exception as e:  # noqa: B902
        failures.append(f"HTTP/2 {e!r}")
    finally:
        counts.append(done)


def drain(dev):
    """SIGTERM under load: readiness goes off first, every request that was sent is answered well, and the program ends by itself."""
    failures, first, second = [], [], []
    threads = [threading.Thread(target=http1_load, args=(dev, first, failures)) for _ in range(4)] + [threading.Thread(target=http2_load, args=(dev, second, failures)) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(1.5)
    pid, began = dev.pids("acme-0.yaml")[0], time.monotonic()
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.2)
    status = dev.private("/readyz")[0]
    for t in threads:
        t.join(40)
    while pid in dev.pids("acme-0.yaml") and time.monotonic() < began + 40:
        time.sleep(0.1)
    check(pid not in dev.pids("acme-0.yaml"), "the drained front end does not end")
    check(status == 503, f"readiness is {status} while draining")
    check(not failures, f"{len(failures)} failed after {sum(first)} + {sum(second)}: {failures[:5]}")
    check(sum(first) > 50 and sum(second) > 50, f"{first} {second}")
    print(f"drain: {sum(first)} requests over HTTP/1.1 and {sum(second)} over HTTP/2, none failed; it took {time.monotonic() - began:.1f} s", flush=True)


# ---- attacks


def garbage(dev):
    s = socket.create_connection(("127.0.0.1", dev.port), 10)
    s.sendall(random.choice((os.urandom(3000), b"\x16\x03\x01\x02\x00" + os.urandom(512), b"GET / HTTP/1.1\r\n\r\n")))
    s.recv(4096)
    s.close()


def broken_http1(dev):
    s = http2.connect(dev.port, dev.root, "http/1.1")
    s.sendall(random.choice((b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 40000, b"\x00" * 2000,
                             b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 60000, b"\r\n" * 20000)))
    s.recv(4096)
    s.close()


def endless_body(dev):
    s = http2.connect(dev.port, dev.root, "http/1.1")
    s.sendall(b"POST /acme/default/new-order HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(2000):
        s.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
    s.close()


def flood(dev, begin, again):
    s = http2.connect(dev.port, dev.root)
    s.sendall(http2.PREFACE + http2.frame(http2.SETTINGS) + begin)
    for i in range(400):
        s.sendall(b"".join(again(i * 20 + k) for k in range(20)))
    s.close()


def h2_floods():
    def request(i):
        return http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 2 * i + 1, http2.head("GET", "/directory", "localhost"))

    big = b"\x40" + http2.literal("x-a") + b"\x7f\x80\x1e" + b"v" * 3967  # one entry that fills the table
    yield "rapid reset", b"", lambda i: request(i) + http2.frame(http2.RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08")
    yield "made you reset", b"", lambda i: request(i) + http2.frame(http2.WINDOW_UPDATE, 0, 2 * i + 1, b"\0\0\0\0")
    yield "ping", b"", lambda i: http2.frame(http2.PING, 0, 0, b"12345678")
    yield "settings", b"", lambda i: http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, i))
    yield "empty data", http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.head("POST", "/", "localhost")), lambda i: http2.frame(http2.DATA, 0, 1)
    yield "continuation", http2.frame(http2.HEADERS, 0, 1, http2.head("GET", "/", "localhost")), lambda i: http2.frame(http2.CONTINUATION, 0, 1, b"\x40\x01a\x01b" * 100)
    yield "hpack bomb", b"", lambda i: http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 2 * i + 1, http2.head("GET", "/", "localhost") + (big if i == 0 else b"\xbe" * 4000))
    yield "half requests", b"", lambda i: http2.frame(http2.HEADERS, http2.END_HEADERS, 2 * i + 1, http2.head("POST", "/", "localhost")) + http2.frame(http2.DATA, 0, 2 * i + 1, b"x" * 10000)
    yield "answers nobody reads", http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0)), request
    yield "unknown frames", b"", lambda i: http2.frame(0x77, 0, 0, b"x" * 1000)


def attack_forever(dev, stop, attack, counts):
    while not stop.is_set():
        try:
            attack()
        except (OSError, ssl.SSLError):
            pass
        counts.append(1)


def slow_heads(dev, stop, count):
    """Connections that begin something and never go on; each one that the server ends is begun again."""
    held = []
    while not stop.is_set():
        try:
            s = http2.connect(dev.port, dev.root, "http/1.1")
            s.sendall(b"GET / HTTP/1.1\r\nHost: loc")
            held.append(s)
        except (OSError, ssl.SSLError):
            pass
        if len(held) >= count:
            held.pop(0).close()
    for s in held:
        s.close()


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


def attacks(dev):
    """Every attack at once, for a while: honest clients are served, memory stays where it is, the program is the same one."""
    client, pid, stop, counts = Client(dev), dev.pids("acme-0.yaml")[0], threading.Event(), {}
    client.register()
    jobs = [("TLS garbage", lambda: garbage(dev)), ("broken HTTP/1.1", lambda: broken_http1(dev)), ("endless body", lambda: endless_body(dev))]
    jobs += [(name, lambda b=begin, a=again: flood(dev, b, a)) for name, begin, again in h2_floods()]
    threads = [threading.Thread(target=attack_forever, args=(dev, stop, job, counts.setdefault(name, []))) for name, job in jobs] + [threading.Thread(target=slow_heads, args=(dev, stop, 100))]
    for t in threads:
        t.start()
    served, sizes, began = 0, [], time.monotonic()
    try:
        while time.monotonic() < began + 20:
            answer = client.request("HEAD", client.directory["newNonce"])
            check(answer.status == 200, f"{answer.status} {answer.body}")
            if served % 10 == 0:
                client.new_order([f"a{served}.internal.test"])
            served += 1
            sizes.append((time.monotonic() - began, rss_kib(pid)))
    finally:
        stop.set()
        for t in threads:
            t.join(60)
    check(dev.pids("acme-0.yaml") == [pid], "the front end did not survive")
    check(all(counts.values()), f"an attack did not happen: {({n: len(c) for n, c in counts.items()})}")
    settled, most = max(size for t, size in sizes if t < 8), max(size for _, size in sizes)
    check(most - settled < 64 << 10, f"memory grew from {settled} to {most} KiB")
    print(f"attacks: {({n: len(c) for n, c in counts.items()})}; {served} honest requests meanwhile; at most {most >> 10} MiB, {settled >> 10} MiB after eight seconds", flush=True)


# ---- descriptors


def few_descriptors(dev):
    """More connections come than the program may have files: it said so at the start, and the private listener and the database still answer."""
    log = dev.log("acme-0.log")
    check(log.count("limits.descriptors") == 1 and "LimitNOFILE=" in log, "not said at the start")
    held = []
    for _ in range(700):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", dev.port))
        held.append(s)
    time.sleep(1)
    check(dev.private("/livez") == (200, "ok\n"), "livez")
    status, text = dev.private("/metrics")
    used = int(next(line for line in text.splitlines() if line.startswith("certmill_connections_open ")).split()[1])
    check(status == 200 and used > 100 and dev.private("/readyz")[0] == 200, f"{used} connections are open")
    check("server.accept_paused" not in dev.log("acme-0.log"), "descriptors ran out")
    for s in held:
        s.close()
    client = Client(dev)
    client.register()


with Dev(fronts=2, options=["--test-seams"]) as dev:
    drain(dev)
with Dev(env={"ASAN_OPTIONS": "quarantine_size_mb=4:malloc_context_size=2"}) as dev:
    attacks(dev)
    check("ERROR: AddressSanitizer" not in dev.log("acme-0.log") and "runtime error" not in dev.log("acme-0.log"), "sanitizer findings")
dev = Dev()
command = dev.command
dev.command = lambda: ["prlimit", "--nofile=400:400"] + command()
with dev:
    few_descriptors(dev)
print("few_descriptors: ok", flush=True)
