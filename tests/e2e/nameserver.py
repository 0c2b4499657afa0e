"""nameserver: a DNS server on loopback whose records, and whose manners, a test chooses; and Knot DNS with a zone that clients may update."""
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

TYPES = {"A": 1, "CNAME": 5, "TXT": 16, "CAA": 257}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def txt(text):
    """The data of a TXT record; strings of at most 255 octets."""
    data = text.encode() if isinstance(text, str) else text
    return b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, max(len(data), 1), 255))


def caa(flags, tag, value):
    return bytes([flags, len(tag)]) + tag.encode() + value.encode()


class Nameserver:
    """Answers for any name: what is not in `records` does not exist. `manners` maps a name (with "*" for any) to a function that gets
    (query, question, tcp) and returns the datagrams to send instead."""

    def __init__(self):
        self.records, self.manners, self.asked = {}, {}, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.port = self.udp.getsockname()[1]
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        for loop in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.udp.close()
        self.tcp.close()

    def put(self, name, kind, *data):
        self.records[name, kind] = [name_bytes(d) if kind == "CNAME" else txt(d) if kind == "TXT" else d for d in data]

    def question(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        return ".".join(labels), struct.unpack(">H", query[at + 1 : at + 3])[0], query[12 : at + 5]

    def answer(self, query, records, code=NOERROR, flags=0x8400):
        """records: (name, number of the type, data)."""
        body = b"".join(name_bytes(n) + struct.pack(">HHIH", t, 1, 1, len(d)) + d for n, t, d in records)
        return query[:2] + struct.pack(">HHHHH", flags | code, 1, len(records), 0, 0) + self.question(query)[2] + body

    def find(self, name, kind):
        """The chain of aliases and what is at its end; whether the last name exists."""
        found = []
        for _ in range(20):
            if (name, kind) in self.records:
                return found + [(name, TYPES[kind], d) for d in self.records[name, kind]], True
            if (name, "CNAME") not in self.records:
                break
            found.append((name, TYPES["CNAME"], self.records[name, "CNAME"][0]))
            name = self.question(b"\0" * 12 + self.records[name, "CNAME"][0] + b"\0\0\0\0")[0]
        return found, any(n == name or n.endswith("." + name) for n, _ in self.records)

    def answers(self, query, tcp):
        name, number, _ = self.question(query)
        kind = next((k for k, v in TYPES.items() if v == number), None)
        self.asked.append((name, kind or number, "tcp" if tcp else "udp"))
        manner = self.manners.get(name) or self.manners.get("*")
        if manner:
            return manner(query, name, tcp)
        found, exists = self.find(name, kind)
        whole = self.answer(query, found, NOERROR if found or exists else NXDOMAIN)
        return [whole if tcp or len(whole) <= 512 else self.answer(query, [], flags=0x8600)]

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self.answer_udp, args=(query, peer), daemon=True).start()

    def answer_udp(self, query, peer):
        for one in self.answers(query, False):
            try:
                self.udp.sendto(one, peer)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_peer, args=(peer,), daemon=True).start()

    def serve_peer(self, peer):
        with peer:
            try:
                while len(size := peer.recv(2, socket.MSG_WAITALL)) == 2:
                    query = peer.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                    for one in self.answers(query, True):
                        peer.sendall(struct.pack(">H", len(one)) + one)
            except OSError:
                pass


class Knot:
    """Knot DNS with the zone internal.test, which the TSIG key `key` may update (RFC 2136)."""

    KEY = "certmill-test"
    SECRET = "kp4/24gyYsEzbuTVJRUMoqGFmN3LYgVDzJ/3oRSP7ys="
    ZONE = """$ORIGIN internal.test.
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
* A 127.0.0.1
"""

    def __init__(self, port):
        self.port, self.process = port, None
        self.dir = tempfile.mkdtemp(prefix="certmill-knot-", dir="/tmp")

    def __enter__(self):
        with open(os.path.join(self.dir, "internal.test.zone"), "w", encoding="ascii") as f:
            f.write(self.ZONE)
        with open(os.path.join(self.dir, "knot.conf"), "w", encoding="ascii") as f:
            f.write(f"""server:
  rundir: {self.dir}
  listen: 127.0.0.1@{self.port}
log:
  - target: stderr
    any: warning
database:
  storage: {self.dir}
key:
  - id: {self.KEY}
    algorithm: hmac-sha256
    secret: {self.SECRET}
acl:
  - id: update
    key: {self.KEY}
    action: [update, transfer]
zone:
  - domain: internal.test
    storage: {self.dir}
    file: internal.test.zone
    acl: update
""")
        self.log = open(os.path.join(self.dir, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(["knotd", "-c", os.path.join(self.dir, "knot.conf")], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name_bytes("ns.internal.test") + b"\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            while True:
                try:
                    s.sendto(query, ("127.0.0.1", self.port))
                    if s.recv(512)[3] & 15 == NOERROR:
                        return self
                except OSError:
                    pass
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.log.seek(0)
                    raise RuntimeError("knotd did not start:\n" + self.log.read())
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)
