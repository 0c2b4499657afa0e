"""http2: as much HTTP/2 as a test needs, frame by frame: an honest client, and whatever an attacker sends."""
import socket
import ssl
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(text):
    return bytes((len(text),)) + text.encode()


def head(method, path, authority):
    """A request's header block, without Huffman codes and without the dynamic table."""
    return b"\x02" + literal(method) + b"\x04" + literal(path) + b"\x87" + b"\x01" + literal(authority)


def connect(port, root, alpn="h2", timeout=20):
    context = ssl.create_default_context(cafile=root)
    context.set_alpn_protocols([alpn])
    s = socket.create_connection(("127.0.0.1", port), timeout)
    try:
        return context.wrap_socket(s, server_hostname="localhost")
    except BaseException:
        s.close()
        raise


class Connection:
    """An honest client's connection: request() opens a stream, step() reads one frame."""

    def __init__(self, port, root):
        self.socket, self.authority = connect(port, root), f"localhost:{port}"
        self.buffer, self.next, self.open, self.statuses, self.last, self.ended = b"", 1, set(), [], None, False
        self.socket.sendall(PREFACE + frame(SETTINGS))

    def request(self, method, path):
        stream, self.next = self.next, self.next + 2
        self.open.add(stream)
        self.socket.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, head(method, path, self.authority)))

    def read(self, n):
        while len(self.buffer) < n:
            part = self.socket.recv(65536)
            if not part:
                self.ended = True
                raise ConnectionError("the server closed the connection")
            self.buffer += part
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def step(self):
        start = self.read(9)
        payload, kind, flags, stream = self.read(int.from_bytes(start[:3], "big")), start[3], start[4], int.from_bytes(start[5:], "big")
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            self.last = int.from_bytes(payload[:4], "big")
        elif kind == HEADERS and stream in self.open:
            block = payload.lstrip(b"\x20\x3f\xe1\x1f")  # an update of the table's size may come first
            self.statuses.append({0x88: 200, 0x89: 204}.get(block[0], 0))
        elif kind == RST_STREAM and stream in self.open:
            self.statuses.append(-int.from_bytes(payload, "big"))
            self.open.discard(stream)
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.open.discard(stream)
        if kind == DATA and payload:
            self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
