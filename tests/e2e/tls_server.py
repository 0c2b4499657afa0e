"""tls_server: a TLS server with a self-signed certificate, for what looks at handshakes (tls-alpn-01)."""
import datetime
import os
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def self_signed(path, alternative, critical=()):
    """Writes a certificate for one general name, valid for a day, with its key; `critical` are further extensions."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
               .add_extension(x509.SubjectAlternativeName([alternative]), False))
    for extension in critical:
        builder = builder.add_extension(extension, True)
    with open(path, "wb") as f:
        f.write(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class TlsServer:
    """Shakes hands with whoever comes, one after the other, and says nothing; `names` are the server names it was asked for."""

    def __init__(self, folder, address, port, alpn, alternative, critical=()):
        path = os.path.join(folder, "tls-server.pem")
        self_signed(path, alternative, critical)
        self.names, self.ended = [], False
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path)
        self.context.set_alpn_protocols(alpn)
        self.context.sni_callback = lambda tls, server_name, context: self.names.append(server_name)
        self.socket = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.ended:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                continue
            connection.settimeout(3)
            try:
                with self.context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)
            except OSError:
                pass

    def close(self):
        self.ended = True
        self.thread.join()
        self.socket.close()
