"""address: certificates for IP addresses (RFC 8738), by http-01 and tls-alpn-01, IPv4 and IPv6; what is asked for in another form, or outside the profile's networks, is refused with a reason."""
import hashlib
import http.server
import ipaddress
import socket
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certmill import Client, Dev, check
from tls_server import TlsServer

V4, V6 = "127.0.0.1", "::1"


class Web:
    """Answers http-01 on one address, and remembers under which Host it was asked."""

    def __init__(self, address, port, tokens):
        self.hosts = hosts = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hosts.append(self.headers["Host"])
                body = tokens.get(self.path.rsplit("/", 1)[-1], "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

        self.server = Server((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def alpn_server(folder, address, port, key_authorization):
    """Answers tls-alpn-01 for one address."""
    digest = b"\x04\x20" + hashlib.sha256(key_authorization.encode()).digest()
    return TlsServer(folder, address, port, ["acme-tls/1"], x509.IPAddress(ipaddress.ip_address(address)), [x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"), digest)])


def request_for(addresses, names):
    alternatives = [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses] + [x509.DNSName(n) for n in names]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(x509.SubjectAlternativeName(alternatives), False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def order(client, addresses, names, **more):
    identifiers = [{"type": "ip", "value": a} for a in addresses] + [{"type": "dns", "value": n} for n in names]
    answer = client.post(client.directory["newOrder"], dict({"identifiers": identifiers}, **more))
    check(answer.status == 201, answer.body)
    made = answer.json()
    made["url"] = answer.headers["Location"]
    check(made["identifiers"] == identifiers, f"{made}")
    return made


def finish(client, made, addresses, names):
    answer = client.finalize(made, request_for(addresses, names))
    check(answer.status == 200, answer.body)
    done = client.poll(made["url"], ("processing",))
    check(done["status"] == "valid", f"{done}")
    certificate = x509.load_pem_x509_certificate(client.post(done["certificate"]).body)
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    check({str(a) for a in alternatives.get_values_for_type(x509.IPAddress)} == set(addresses), f"{alternatives}")
    check(set(alternatives.get_values_for_type(x509.DNSName)) == set(names), f"{alternatives}")


def http_01(dev, client, addresses):
    tokens, names = {}, ["web.internal.test"]
    webs = [Web(a, dev.http_port, tokens) for a in addresses]
    made = order(client, addresses, names)
    for url in made["authorizations"]:
        authorization = client.post(url).json()
        offered = {c["type"]: c for c in authorization["challenges"]}
        if authorization["identifier"]["type"] == "ip":
            check(set(offered) == {"http-01", "tls-alpn-01"} and "wildcard" not in authorization, f"{authorization}")
        challenge = offered["http-01"]
        tokens[challenge["token"]] = challenge["token"] + "." + client.key.thumbprint()
        check(client.post(challenge["url"], {}).status == 200, "challenge")
        authorization = client.poll(url, ("pending", "processing"))
        check(authorization["status"] == "valid", f"{authorization}")
    for web, address in zip(webs, addresses):
        want = f"[{address}]" if ":" in address else address
        check(web.hosts and set(web.hosts) <= {want, "web.internal.test"} and want in web.hosts, f"{web.hosts}")
        web.close()
    # Not for another set of names, nor for the address as a name.
    for others in (request_for([], names), request_for(addresses, names + ["other.internal.test"]), request_for(["127.0.0.2"] + addresses[1:], names)):
        answer = client.finalize(made, others)
        check(answer.status == 400 and answer.json()["type"].endswith(":badCSR"), answer.body)
    finish(client, made, addresses, names)


def tls_alpn_01(dev, client, address, reverse):
    made = order(client, [address], [])
    (url,) = made["authorizations"]
    authorization = client.post(url).json()
    (challenge,) = [c for c in authorization["challenges"] if c["type"] == "tls-alpn-01"]
    server = alpn_server(dev.dir, address, dev.tls_alpn_port, challenge["token"] + "." + client.key.thumbprint())
    check(client.post(challenge["url"], {}).status == 200, "challenge")
    authorization = client.poll(url, ("pending", "processing"))
    server.close()
    check(authorization["status"] == "valid" and authorization["identifier"] == {"type": "ip", "value": address}, f"{authorization}")
    check(set(server.names) == {reverse}, f"{server.names}")
    finish(client, made, [address], [])


def refusals(client):
    for value, kind, text in (("127.0.0.1.", "malformed", "not the text of"), ("127.1", "malformed", "not the text of"), ("127.0.0.01", "malformed", "not the text of"), ("0x7f000001", "malformed", "not the text of"),
                              ("localhost", "malformed", "not the text of"), ("::1%lo", "malformed", "not the text of"), ("[::1]", "malformed", "not the text of"), ("127.0.0.0/8", "malformed", "not the text of"),
                              ("", "malformed", "not the text of"), ("0:0:0:0:0:0:0:1", "malformed", "RFC 5952): ::1"), ("2001:DB8::1", "malformed", "2001:db8::1"), ("2001:db8::0:1", "malformed", "2001:db8::1"),
                              ("::ffff:127.0.0.1", "rejectedIdentifier", "ask for the IPv4 address"), ("10.0.0.1", "rejectedIdentifier", "outside the networks"), ("::2", "rejectedIdentifier", "outside the networks")):
        answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": "a.internal.test"}, {"type": "ip", "value": value}]})
        problem = answer.json()
        check(answer.status == 400 and problem["type"].endswith(":" + kind) and text in problem["detail"] and "identifier 1 " in problem["detail"], f"{value}: {problem}")
    for identifier, kind in (({"type": "dns", "value": "127.0.0.1"}, "rejectedIdentifier"), ({"type": "email", "value": "a@b"}, "unsupportedIdentifier"), ({"type": "IP", "value": "127.0.0.1"}, "unsupportedIdentifier")):
        answer = client.post(client.directory["newOrder"], {"identifiers": [identifier]})
        check(answer.status == 400 and answer.json()["type"].endswith(":" + kind), answer.body)
    answer = client.post(client.directory["newOrder"], {"identifiers": [{"type": "ip", "value": V4}], "profile": "short"})
    check(answer.status == 400 and "this profile is for names alone" in answer.json()["detail"], answer.body)


with Dev() as dev:
    account = Client(dev)
    account.register()
    try:
        socket.create_server((V6, 0), family=socket.AF_INET6).close()
        six = True
    except OSError:
        six = False
    http_01(dev, account, [V4, V6] if six else [V4])
    print("http-01 proves addresses")
    tls_alpn_01(dev, account, V4, "1.0.0.127.in-addr.arpa")
    if six:
        tls_alpn_01(dev, account, V6, "1." + "0." * 31 + "ip6.arpa")
    print("tls-alpn-01 proves addresses" + ("" if six else " (no IPv6 here)"))
    refusals(account)
    print("other texts and other networks are refused")
